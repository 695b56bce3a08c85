//! Ps: who has which.

use super::super::event::ProcState;
use super::*;

impl Ordering {
    pub(super) fn proc_start(&mut self, raw: &Raw, now: &mut Now) -> Step {
        let (id, seq) = (raw.args[0].cast_signed(), now.seq(raw.args[1]));
        let has_one = now.p != NONE;
        let Some(p) = self.ps.get(id) else { return Ok(false) };
        // Also if this thread still has a P that it was robbed of in a system call.
        if p.status != P_IDLE || !seq.follows(p.seq) || has_one {
            return Ok(false);
        }
        now.require(No, May)?;
        (p.status, p.seq) = (P_RUNNING, seq);
        self.bind_p(now, id);
        now.emit(raw, raw.args);
        Ok(true)
    }

    pub(super) fn proc_stop(&mut self, raw: &Raw, now: &mut Now) -> Step {
        let missing = Trouble::order(format!("event {} for proc ({}) that doesn't exist", name(raw.typ), now.p));
        let p = self.ps.get(now.p).ok_or(missing)?;
        if p.status != P_RUNNING && p.status != P_SYSCALL {
            return Err(Trouble::order(format!("{} event for proc that's not Running or Syscall", name(raw.typ))));
        }
        now.require(Must, May)?;
        p.status = P_IDLE;
        self.bind_p(now, NONE);
        now.emit(raw, raw.args);
        Ok(true)
    }

    pub(super) fn proc_steal(&mut self, raw: &Raw, now: &mut Now) -> Step {
        let (id, seq) = (raw.args[0].cast_signed(), now.seq(raw.args[1]));
        let Some(p) = self.ps.get(id) else { return Ok(false) };
        if !matches!(p.status, P_SYSCALL | P_ABANDONED) || !seq.follows(p.seq) {
            return Ok(false);
        }
        now.require(May, May)?;
        let old = p.status;
        (p.status, p.seq) = (P_IDLE, seq);
        let args = [raw.args[0], raw.args[1], raw.args[2], u64::from(old)];
        if old == P_ABANDONED {
            // Its thread may be anywhere by now.
            now.emit(raw, args);
            return Ok(true);
        }
        let victim = raw.args[2].cast_signed();
        if victim == now.m {
            if now.p != id {
                return Err(Trouble::order(format!(
                    "tried to self-steal proc {id} (thread {victim}), but got proc {} instead",
                    now.p
                )));
            }
            now.emit(raw, args);
            self.bind_p(now, NONE);
            return Ok(true);
        }
        let t = self.by_m.get(&victim).map(|t| &mut self.ms[*t as usize]).filter(|t| t.seen);
        let t = t.ok_or_else(|| Trouble::order(format!("stole proc from non-existent thread {victim}")))?;
        if t.p != id {
            return Err(Trouble::order(format!(
                "tried to steal proc {id} from thread {victim}, but got proc {} instead",
                t.p
            )));
        }
        t.p = NONE;
        now.emit(raw, args);
        Ok(true)
    }

    pub(super) fn proc_status(&mut self, raw: &Raw, now: &mut Now) -> Step {
        let id = raw.args[0].cast_signed();
        let status = raw.args[1] as u8;
        let mut old = match status {
            0 => ProcState::Undetermined,
            P_RUNNING | P_SYSCALL => ProcState::Running,
            P_IDLE | P_ABANDONED => ProcState::Idle,
            _ => return Err(Trouble::order(format!("invalid status for proc {id}: {status}"))),
        };
        let mut args = [raw.args[0], raw.args[1], 0, 0];
        match self.ps.get(id) {
            Some(p) => {
                match (status, p.status) {
                    (P_ABANDONED, P_SYSCALL) => {
                        // Nothing was lost: it is known who is in that system call.
                        (old, args[1]) = (ProcState::Running, u64::from(P_SYSCALL));
                    }
                    (P_ABANDONED, P_ABANDONED) => old = ProcState::Idle,
                    (new, known) if new != known => {
                        return Err(Trouble::order(format!(
                            "inconsistent status for proc {id}: old {known} vs. new {new}"
                        )));
                    }
                    _ => {}
                }
                p.seq = now.seq(0);
            }
            None => {
                self.ps.put(id, Proc { status, seq: now.seq(0), ranges: Ranges::default() });
                old = if now.first { ProcState::Undetermined } else { ProcState::NotExist };
            }
        }
        args[2] = old as u64;
        if status == P_ABANDONED && old == ProcState::Running {
            // About to be stolen: the event belongs to the thread that has it.
            let owner = self.by_m.iter().find(|(_, t)| {
                let t = &self.ms[**t as usize];
                t.seen && t.p == id
            });
            let Some((&m, &t)) = owner else {
                return Err(Trouble::order(format!(
                    "failed to find sched context for proc {id} that's about to be stolen"
                )));
            };
            (now.m, now.p, now.g) = (m, id, self.ms[t as usize].g);
        }
        now.emit(raw, args);
        if matches!(status, P_RUNNING | P_SYSCALL) {
            self.bind_p(now, id);
        }
        Ok(true)
    }
}
