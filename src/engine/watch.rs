//! Watchpoints: data whose accesses are reported, by the processor's debug registers.
//!
//! The registers of all threads are set while the program runs and cleared whenever the user sees a stop, so that a stop stays
//! kill-safe. A variable on a stack is followed when the stack is copied (`runtime.copystack`), and is over when its function returns.

use super::breakpoints::Logical;
use super::crowd::STATUS;
use super::go::GoContext;
use super::hits::Moment;
use super::{Engine, EngineError, Happened};
use crate::arch::Registers;
use crate::base::text::hex;
use crate::base::{BreakpointId, GoroutineId, LoadAddr, Memory, Tid};
use crate::goruntime::value::{Limits, Place, Reader, ValueRef};
use crate::model::{Access, Breakpoint, BreakpointPlace, BreakpointSpec, HitKind, Mechanism, StopReason};
use crate::target::linux::debugreg::{self, REGISTERS, Watched};
use std::collections::BTreeMap;

/// `si_code` of a trap by a debug register (asm-generic/siginfo.h).
pub(super) const TRAP_HWBKPT: i32 = 4;
/// How much of a value goes into the old and new texts.
const SHOWN: Limits = Limits { string: 64, elements: 8, fields: 8, depth: 1 };

/// A variable on a goroutine's stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackSpot {
    /// Whose stack.
    pub goroutine: GoroutineId,
    /// Its `runtime.g`.
    pub g: LoadAddr,
    /// End of the stack.
    pub stack_hi: u64,
    /// Canonical frame address of its frame, relative to the end of the stack.
    pub frame: i64,
    /// Where the frame's function returns to; nil for the outermost.
    pub returns_to: LoadAddr,
}

/// What is watched.
#[derive(Clone, Debug)]
pub struct Data {
    /// It, in memory.
    pub value: ValueRef,
    /// Where it is on a stack, if it is on one.
    pub stack: Option<StackSpot>,
}

/// The part of a watchpoint that a breakpoint has not.
pub struct Watch {
    data: Data,
    reads: bool,
    old: Vec<u8>,
    pieces: Vec<Watched>,
}

/// Which register watches for whom, and which threads have them set.
#[derive(Default)]
pub(super) struct Plan {
    registers: [Option<(BreakpointId, Watched)>; REGISTERS],
    /// Changed with every plan.
    number: u64,
    /// Threads whose registers are set, and by which plan.
    set: BTreeMap<Tid, u64>,
}

impl Plan {
    pub(super) fn is_empty(&self) -> bool {
        self.registers.iter().all(Option::is_none)
    }
    fn list(&self) -> [Option<Watched>; REGISTERS] {
        self.registers.map(|r| r.map(|r| r.1))
    }
    /// Do reads count anywhere? The emulator's are not seen by the processor.
    pub(super) fn sees_reads(&self) -> bool {
        self.registers.iter().flatten().any(|r| r.1.reads)
    }
    /// The registers that watch any of these bytes.
    pub(super) fn touched(&self, addr: LoadAddr, len: u64) -> u8 {
        let hit = |w: &Watched| w.addr.0 < addr.0.saturating_add(len) && addr.0 < w.addr.0 + u64::from(w.len);
        (0..REGISTERS).filter(|i| self.registers[*i].is_some_and(|r| hit(&r.1))).fold(0, |m, i| m | 1 << i)
    }
    /// A thread is gone.
    pub(super) fn forget(&mut self, tid: Tid) {
        self.set.remove(&tid);
    }
}

impl Engine {
    /// Begins to watch. The program is stopped for a moment if it runs.
    ///
    /// # Errors
    /// The value is larger than four registers can watch, or they are in use.
    pub fn set_watchpoint(&mut self, spec: &BreakpointSpec, data: Data) -> Result<Breakpoint, EngineError> {
        let BreakpointPlace::Watch { expression, access } = &spec.place else {
            return Err(EngineError::State("not a watchpoint".into()));
        };
        if self.gone {
            return Err(EngineError::State("the process is gone".into()));
        }
        self.check(spec)?;
        let (size, addr) = (data.value.ty.size, data.value.place.addr);
        if !data.value.place.in_memory() || size == 0 {
            return Err(EngineError::State(format!("`{expression}` is not in memory: there is nothing to watch")));
        }
        let reads = *access == Access::ReadWrite;
        let pieces = debugreg::pieces(addr, size, reads);
        if pieces.len() > REGISTERS {
            return Err(EngineError::State(format!(
                "`{expression}` has {size} bytes; the processor watches {REGISTERS} pieces of 8 at most: watch a part of it"
            )));
        }
        let old = self.mem.read_vec(addr, size as usize)?;
        let watch = Watch { reads, old, pieces, data };
        let (support, returns) = self.support(&watch);
        let id = self.table.add(spec.clone(), Vec::new(), support, returns);
        if let Some(l) = self.table.get_mut(id) {
            l.public.mechanism = Mechanism::DebugRegister;
            l.watch = Some(watch);
        }
        let done = self.plan_watches().and_then(|()| self.rearm());
        if let Err(e) = done {
            self.table.remove(id);
            self.plan_watches()?;
            return Err(e);
        }
        self.table.get(id).map(|l| l.public.clone()).ok_or_else(|| EngineError::NotFound(expression.clone()))
    }

    /// Where the program must be caught so that a variable on a stack can be followed: where its function returns to, and where
    /// stacks have been copied.
    fn support(&self, w: &Watch) -> (Vec<LoadAddr>, Vec<LoadAddr>) {
        let Some(s) = w.data.stack else { return (Vec::new(), Vec::new()) };
        let ends = if s.returns_to.is_nil() { Vec::new() } else { vec![s.returns_to] };
        let copy = self.sym.find_function("runtime.copystack").map(|f| self.bias.to_load(f.entry));
        (ends, self.returns(copy.as_slice()))
    }

    /// Gives registers to the active watchpoints, and to the threads, which are stopped for it if they run.
    pub(super) fn plan_watches(&mut self) -> Result<(), EngineError> {
        let mut registers = [None; REGISTERS];
        let mut free = registers.iter_mut();
        for l in self.table.iter().filter(|l| l.active()) {
            for p in l.watch.iter().flat_map(|w| &w.pieces) {
                match free.next() {
                    Some(r) => *r = Some((l.public.id, *p)),
                    None => {
                        return Err(EngineError::State(format!(
                            "all {REGISTERS} debug registers of the processor are in use: clear a watchpoint first"
                        )));
                    }
                }
            }
        }
        // A step can do without.
        let status = self.crowd.to_watch().zip(free.next()).map(|(w, r)| *r = Some((STATUS, w)));
        self.crowd.is_watched(status.is_some());
        if registers == self.plan.registers {
            return Ok(());
        }
        self.plan.registers = registers;
        self.plan.number += 1;
        if let Some(g) = self.traps.guardian() {
            g.watch(!self.plan.is_empty());
        }
        if self.running && !self.gone {
            self.stand()?;
            self.look_at_status();
            self.run_again()?;
        }
        Ok(())
    }

    /// Sets the registers of a standing thread, if they are not.
    pub(super) fn arm_watches(&mut self, tid: Tid) -> Result<(), EngineError> {
        if self.plan.is_empty() || self.plan.set.get(&tid) == Some(&self.plan.number) {
            return Ok(());
        }
        match debugreg::set(tid, &self.plan.list()) {
            Ok(()) => drop(self.plan.set.insert(tid, self.plan.number)),
            Err(e) if e.raw_os_error() == Some(libc::ESRCH) => {}
            Err(e) => return Err(crate::target::TargetError::os("set the debug registers", e).into()),
        }
        Ok(())
    }

    /// Clears the registers of all threads that stand.
    pub(super) fn disarm_watches(&mut self) {
        let tracer = &self.tracer;
        self.plan.set.retain(|tid, _| {
            let stands = tracer.thread(*tid).is_some_and(|t| t.state.stands());
            // One that cannot be stopped now keeps them, and is met again when it can.
            !stands || debugreg::set(*tid, &[None; REGISTERS]).is_err_and(|e| e.raw_os_error() != Some(libc::ESRCH))
        });
    }

    /// The registers that fired for a thread that has just trapped; none are armed: 0.
    pub(super) fn take_watch_hits(&self, tid: Tid) -> u8 {
        if self.plan.set.contains_key(&tid) { debugreg::take_hits(tid).unwrap_or(0) } else { 0 }
    }

    /// Watched data was accessed by `tid`: does it stop the program, and how is that said?
    pub(super) fn watch_hit(&mut self, tid: Tid, bits: u8, regs: &Registers) -> Option<StopReason> {
        let cx = self.go_context(regs);
        let mut ids: Vec<BreakpointId> =
            (0..REGISTERS).filter(|i| bits & 1 << i != 0).filter_map(|i| Some(self.plan.registers[i]?.0)).collect();
        ids.dedup();
        if ids.pop_if(|id| *id == STATUS).is_some() {
            self.status_written();
        }
        let mut stop = None;
        let mem = self.mem.clone();
        for id in ids {
            let Some((old, new)) = self.note_access(id) else { continue };
            let kind = HitKind::Accessed { old: old.clone(), new: new.clone() };
            let reason = match self.place_hit(id, &Moment::now(tid, LoadAddr(regs.pc()), regs, &cx, &*mem), kind) {
                Ok(true) => Some(StopReason::Watchpoint { id, old, new }),
                Ok(false) => None,
                Err(why) => Some(StopReason::ConditionFailed(id, why)),
            };
            stop = stop.or(reason);
        }
        stop.filter(|_| self.stops_are_permitted())
    }

    /// Reads the new value: texts of the old one and it.
    fn note_access(&mut self, id: BreakpointId) -> Option<(String, String)> {
        let w = self.table.get(id)?.watch.as_ref()?;
        let new = self.mem.read_vec(w.data.value.place.addr, w.old.len()).ok()?;
        let reader = Reader::new(&self.rt, &*self.mem);
        let text = |bytes: &[u8]| match &reader {
            Some(r) => {
                let value = ValueRef { place: Place::bytes(bytes.into()), ..w.data.value.clone() };
                r.variable(&value, SHOWN).value
            }
            None => "0x".to_string() + &hex(bytes.iter().rev()),
        };
        let texts = (text(&w.old), text(&new));
        if let Some(w) = self.table.get_mut(id).and_then(|l| l.watch.as_mut()) {
            w.old = new;
        }
        Some(texts)
    }

    /// The program came by a place that the watchpoint of a stack variable needs: its function returns, or a stack was copied.
    pub(super) fn watch_support(
        &mut self,
        id: BreakpointId,
        at: LoadAddr,
        regs: &Registers,
        cx: &GoContext,
    ) -> Option<WatchNews> {
        let l = self.table.get_mut(id)?;
        let returned = !l.is_return(at);
        let w = l.watch.as_mut()?;
        let s = w.data.stack.as_mut()?;
        if returned {
            let frame = regs.sp().wrapping_sub(cx.stack_hi) as i64;
            if cx.goid != Some(s.goroutine) || frame != s.frame {
                return None;
            }
            return Some(self.watch_over(id, "its function returned"));
        }
        let g = self.rt.read_g(&*self.mem, s.g).ok()?;
        if g.goid != s.goroutine.0 || !g.alive() {
            return Some(self.watch_over(id, "its goroutine ended"));
        }
        if g.stack_hi == s.stack_hi {
            return None;
        }
        let moved = g.stack_hi.wrapping_sub(s.stack_hi);
        s.stack_hi = g.stack_hi;
        let addr = LoadAddr(w.data.value.place.addr.0.wrapping_add(moved));
        w.data.value.place = Place::at(addr);
        w.pieces = debugreg::pieces(addr, w.data.value.ty.size, w.reads);
        Some(WatchNews::Moved)
    }

    fn watch_over(&mut self, id: BreakpointId, why: &str) -> WatchNews {
        let ran_on = self.table.remove(id).is_some_and(|l| l.public.spec.actions.run_on);
        self.happened.push(Happened::BreakpointGone(id));
        self.replan = true;
        if ran_on {
            self.happened.push(Happened::Note(format!("watchpoint {id} is over: {why}")));
            return WatchNews::Moved;
        }
        WatchNews::Over(StopReason::WatchEnded(id, why.into()))
    }
}

/// What became of a watched stack variable.
pub(super) enum WatchNews {
    /// It is elsewhere now, or need not be watched any more.
    Moved,
    /// It is no more.
    Over(StopReason),
}

impl Logical {
    /// The watchpoint is one of a stack variable and `at` is a place that it needs.
    pub(super) fn is_support(&self) -> bool {
        self.watch.is_some()
    }
}
