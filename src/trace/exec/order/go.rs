//! Goroutines: created, started, stopped, in and out of system calls.

use super::super::event::GoState;
use super::*;

impl Ordering {
    pub(super) fn go_start(&mut self, raw: &Raw, now: &mut Now) -> Step {
        let (id, seq) = (raw.args[0].cast_signed(), now.seq(raw.args[1]));
        // It may not have been created or unblocked yet, as far as merged.
        let Some(slot) = self.find(id) else { return Ok(false) };
        let g = &mut self.gs[slot as usize];
        if g.status != RUNNABLE || !seq.follows(g.seq) {
            return Ok(false);
        }
        now.require(Must, No)?;
        (g.status, g.seq) = (RUNNING, seq);
        self.bind_g(now, id, slot);
        now.emit(raw, raw.args);
        Ok(true)
    }

    /// GoBlock, GoStop, GoDestroy: always possible, since who runs is bound to its thread.
    pub(super) fn go_stop(&mut self, raw: &Raw, now: &mut Now) -> Step {
        now.require(Must, Must)?;
        let slot = self.running(now, raw.typ)?;
        match raw.typ {
            ev::GO_DESTROY => self.delete(slot as u32),
            ev::GO_STOP => self.gs[slot].status = RUNNABLE,
            _ => self.gs[slot].status = WAITING,
        }
        self.bind_g(now, NONE, 0);
        now.emit(raw, raw.args);
        Ok(true)
    }

    pub(super) fn go_unblock(&mut self, raw: &Raw, now: &mut Now) -> Step {
        let (id, seq) = (raw.args[0].cast_signed(), now.seq(raw.args[1]));
        let Some(slot) = self.find(id) else { return Ok(false) };
        let g = &mut self.gs[slot as usize];
        if g.status != WAITING || !seq.follows(g.seq) {
            return Ok(false);
        }
        (g.status, g.seq) = (RUNNABLE, seq);
        // Anything may unblock: sysmon has no P.
        now.emit(raw, raw.args);
        Ok(true)
    }

    pub(super) fn go_create(&mut self, raw: &Raw, now: &mut Now) -> Step {
        now.require(Must, May)?;
        if let Some(slot) = self.own(now)
            && self.gs[slot as usize].status != RUNNING
        {
            return Err(Trouble::order(format!("{} event for goroutine that's not Running", name(raw.typ))));
        }
        let id = raw.args[0].cast_signed();
        if self.find(id).is_some() {
            return Err(Trouble::order(format!("tried to create goroutine ({id}) that already exists")));
        }
        let status = if raw.typ == ev::GO_CREATE_BLOCKED { WAITING } else { RUNNABLE };
        self.new_go(id, status, now.seq(0))?;
        now.emit(raw, raw.args);
        Ok(true)
    }

    /// Three events in one: the other is unblocked, this one blocks or ends, the other starts.
    pub(super) fn go_switch(&mut self, raw: &Raw, now: &mut Now) -> Step {
        now.require(Must, Must)?;
        let own = self.running(now, raw.typ)?;
        let (id, seq) = (raw.args[0].cast_signed(), now.seq(raw.args[1]));
        let Some(next) = self.find(id) else { return Ok(false) };
        let g = &self.gs[next as usize];
        if g.status != WAITING || !seq.follows(g.seq) {
            return Ok(false);
        }
        now.emit(raw, raw.args);
        let typ = if raw.typ == ev::GO_SWITCH {
            self.gs[own].status = WAITING;
            ev::GO_BLOCK
        } else {
            self.delete(own as u32);
            ev::GO_DESTROY
        };
        now.emit(&Raw { typ, ..*raw }, [0; 4]);
        let g = &mut self.gs[next as usize];
        (g.status, g.seq) = (RUNNING, seq);
        now.g = NONE;
        now.emit(&Raw { typ: ev::GO_START, ..*raw }, [raw.args[0], raw.args[1], 0, 0]);
        self.bind_g(now, id, next);
        Ok(true)
    }

    pub(super) fn syscall_begin(&mut self, raw: &Raw, now: &mut Now) -> Step {
        now.require(Must, Must)?;
        let slot = self.running(now, raw.typ)?;
        self.gs[slot].status = SYSCALL;
        let seq = now.seq(raw.args[0]);
        let p = self.ps.get(now.p).ok_or_else(|| no_proc(now.p, raw.typ))?;
        p.status = P_SYSCALL;
        // The number is there to tell which system call a P is stolen from; a P that runs cannot have to wait for it.
        if !seq.follows(p.seq) {
            return Err(Trouble::order(format!(
                "failed to advance {}: can't make sequence: {} -> {}",
                name(raw.typ),
                p.seq.n,
                seq.n
            )));
        }
        p.seq = seq;
        now.emit(raw, raw.args);
        Ok(true)
    }

    pub(super) fn syscall_end(&mut self, raw: &Raw, now: &mut Now) -> Step {
        now.require(Must, Must)?;
        let slot = self.in_syscall(now, raw.typ)?;
        self.gs[slot].status = RUNNING;
        let p = self.ps.get(now.p).ok_or_else(|| no_proc(now.p, raw.typ))?;
        if p.status != P_SYSCALL {
            return Err(Trouble::order(format!(
                "expected proc {} in state Syscall, but got {} instead",
                now.p, p.status
            )));
        }
        p.status = P_RUNNING;
        now.emit(raw, raw.args);
        Ok(true)
    }

    fn in_syscall(&self, now: &Now, typ: u8) -> Result<usize, Trouble> {
        let slot = self.must_own(now, typ)?;
        match self.gs[slot].status {
            SYSCALL => Ok(slot),
            _ => Err(Trouble::order(format!("{} event for goroutine that's not Syscall", name(typ)))),
        }
    }

    /// It lost its P on the way: that has to be merged first. It may have another one by now.
    pub(super) fn syscall_end_blocked(&mut self, raw: &Raw, now: &mut Now) -> Step {
        if now.p != NONE {
            let p = self.ps.get(now.p).ok_or_else(|| no_proc(now.p, raw.typ))?;
            if p.status == P_SYSCALL {
                return Ok(false);
            }
        }
        now.require(May, Must)?;
        let slot = self.in_syscall(now, raw.typ)?;
        self.gs[slot].status = RUNNABLE;
        self.bind_g(now, NONE, 0);
        now.emit(raw, raw.args);
        Ok(true)
    }

    /// A thread of C's comes in.
    pub(super) fn create_syscall(&mut self, raw: &Raw, now: &mut Now) -> Step {
        now.require(May, No)?;
        let id = raw.args[0].cast_signed();
        if self.find(id).is_some() {
            return Err(Trouble::order(format!("tried to create goroutine ({id}) in syscall that already exists")));
        }
        let slot = self.new_go(id, SYSCALL, now.seq(0))?;
        self.bind_g(now, id, slot);
        now.emit(raw, raw.args);
        Ok(true)
    }

    /// And goes. Its P, if it still has one, is given up too: the system may use the thread's id again.
    pub(super) fn destroy_syscall(&mut self, raw: &Raw, now: &mut Now) -> Step {
        now.require(May, Must)?;
        let slot = self.in_syscall(now, raw.typ)?;
        self.delete(slot as u32);
        self.bind_g(now, NONE, 0);
        if now.p != NONE {
            let p = self.ps.get(now.p).ok_or_else(|| no_proc(now.p, raw.typ))?;
            if p.status != P_SYSCALL {
                return Err(Trouble::order(format!(
                    "proc {} in unexpected state {} during {}",
                    now.p,
                    p.status,
                    name(raw.typ)
                )));
            }
            p.status = P_ABANDONED;
            self.bind_p(now, NONE);
            let steal = Raw { typ: ev::PROC_STEAL, ..*raw };
            now.emit(&steal, [now.p.cast_unsigned(), 0, 0, u64::from(P_SYSCALL)]);
        }
        now.emit(raw, raw.args);
        Ok(true)
    }

    pub(super) fn go_status(&mut self, raw: &Raw, now: &mut Now) -> Step {
        let (id, mid) = (raw.args[0].cast_signed(), raw.args[1].cast_signed());
        let status = raw.args[2] as u8;
        let new = GoState::of_status(u64::from(status))
            .ok_or_else(|| Trouble::order(format!("invalid status for goroutine {id}: {status}")))?;
        let mut old = new;
        let slot = match self.find(id) {
            Some(slot) => {
                let g = &mut self.gs[slot as usize];
                if g.status != status {
                    return Err(Trouble::order(format!(
                        "inconsistent status for goroutine {id}: old {} vs. new {status}",
                        g.status
                    )));
                }
                g.seq = now.seq(0);
                slot
            }
            None if now.first => {
                old = GoState::Undetermined;
                self.new_go(id, status, now.seq(0))?
            }
            None => {
                return Err(Trouble::order(format!(
                    "found goroutine status for new goroutine after the first generation: id={id} status={status}"
                )));
            }
        };
        let mut bind = false;
        if status == RUNNING {
            bind = true;
        } else if status == SYSCALL {
            bind = self.status_in_syscall(id, mid, slot, now)?;
        }
        let args = [raw.args[0], raw.args[1], (old as u64) << 32 | u64::from(status), raw.args[3]];
        now.emit(raw, args);
        if bind {
            self.bind_g(now, id, slot);
        }
        Ok(true)
    }

    /// In a system call on this thread (true: it is to be bound) or on another, which is then whose event this is.
    fn status_in_syscall(&mut self, id: i64, mid: i64, slot: u32, now: &mut Now) -> Result<bool, Trouble> {
        if mid == NONE {
            return Err(Trouble::order(format!("found goroutine {id} in syscall without a thread")));
        }
        let wrong = |g: i64| {
            Trouble::order(format!("inconsistent thread for syscalling goroutine {id}: thread has goroutine {g}"))
        };
        if mid == now.m {
            if !now.first && now.g != id {
                return Err(wrong(now.g));
            }
            return Ok(true);
        }
        // A whole generation in one system call: without a P, since all are taken back at its begin.
        if let Some(t) = self.thread(mid) {
            let t = &mut self.ms[t as usize];
            if t.seen {
                if t.g != id {
                    return Err(wrong(t.g));
                }
                now.g = t.g;
            } else {
                *t = Thread { g: id, slot, p: NONE, seen: true };
            }
        }
        now.m = mid;
        Ok(false)
    }
}

fn no_proc(p: i64, typ: u8) -> Trouble {
    Trouble::order(format!("uninitialized proc {p} found during {}", name(typ)))
}
