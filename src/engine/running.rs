//! While the target runs: what each thread's event means, decided on that thread while the others go on.

use super::go::GoContext;
use super::hits::Moment;
use super::points::{Kind, Point};
use super::stepover::{Passed, clean_code};
use super::watch::{TRAP_HWBKPT, WatchNews};
use super::{Engine, EngineError, Happened};
use crate::arch::Registers;
use crate::base::{BreakpointId, LoadAddr, Tid};
use crate::model::StopReason;
use crate::target::linux::memory::ProcessMemory;
use crate::target::linux::sys;
use crate::target::linux::tracer::{Event, State, Tracer};
use std::time::{Duration, Instant};

/// `si_code` of the trap that ends a single step (asm-generic/siginfo.h); an int3 has SI_KERNEL or TRAP_BRKPT.
const TRAP_TRACE: i32 = 2;

/// How long the next hit is waited for without sleeping. It takes some microseconds from a processor that has nothing better to do, and
/// gives way to whoever wants to run.
const SPIN: Duration = Duration::from_micros(80);
/// A processor that was given away comes back within so long if nobody else wants it.
const CONTENDED: Duration = Duration::from_micros(40);
/// So long nobody waits awake where others want the processors: who sleeps is woken sooner there than who has used up his share. Twice
/// as long each time that it is found so again, up to the second.
pub(super) const ASLEEP: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// After so long requests are looked at again, whatever the program does.
const TURN: Duration = Duration::from_millis(5);

/// What a hit asks for.
pub(super) enum Verdict {
    /// Go on.
    Pass,
    /// Watched data is elsewhere now: go on once the debug registers are set anew.
    Moved,
    /// Stop all; why.
    Stop(StopReason),
}

impl Engine {
    /// Deals with everything that happened to the target's threads. Cheap when nothing did.
    pub fn pump(&mut self) -> Result<(), EngineError> {
        if self.gone {
            return Ok(());
        }
        if !self.running {
            // Held: nothing can happen to it but death.
            for e in self.tracer.poll_standing() {
                if let Event::Exited(status, signal) = e {
                    self.exited(status, signal);
                }
            }
            return Ok(());
        }
        self.drain_probes(false);
        let begun = Instant::now();
        let mut last = None;
        loop {
            // Never with events in hand that `stand` does not know of.
            if std::mem::take(&mut self.replan) {
                self.plan_watches()?;
                if self.gone || !self.running {
                    return Ok(());
                }
            }
            let events = self.tracer.poll();
            if events.is_empty() {
                // Where one hit was, the next is near: sleeping and being woken would take longer.
                let now = Instant::now();
                if last.is_none_or(|t| now >= t + SPIN) || now < self.asleep_until || now - begun >= TURN {
                    break;
                }
                std::thread::yield_now();
                if now.elapsed() > CONTENDED {
                    self.asleep_until = Instant::now() + self.asleep_for;
                    self.asleep_for = ASLEEP.1.min(self.asleep_for * 2);
                }
                continue;
            }
            let mut traps =
                events.iter().filter_map(|e| if let Event::Trap(t, _) = e { Some(*t) } else { None }).peekable();
            if traps.peek().is_some() {
                if last.is_some() && Instant::now() >= self.asleep_until {
                    self.asleep_for = ASLEEP.0; // waiting awake was of use
                    // Where what a breakpoint may cost is limited, no processor is taken for it.
                    if self.guard.is_none() {
                        traps.for_each(|t| self.awake.keep(self.tracer.pid(), t));
                    }
                }
                last = Some(Instant::now());
            }
            self.unhandled.extend(events);
            // What is left when one of them stops everything is for `stand`: a hit that nobody rewinds would kill the target.
            while let Some(e) = self.unhandled.pop_front() {
                self.event(e)?;
                if self.gone || !self.running {
                    return Ok(());
                }
            }
        }
        self.pump_vforked()
    }

    pub(super) fn event(&mut self, e: Event) -> Result<(), EngineError> {
        match e {
            Event::Trap(tid, code) => self.trap(tid, code)?,
            Event::Signal(tid, sig) => self.signal(tid, sig)?,
            Event::Parked(tid) => {
                self.cancel_flight(tid)?;
                self.arm_watches(tid)?; // a new thread
                self.probe_thread(tid);
                self.tracer.resume(tid)?;
            }
            Event::NewThread(creator, _) => self.tracer.resume(creator)?,
            Event::NewProcess(creator, child, shares_memory) => {
                self.new_process(child, shares_memory);
                self.tracer.resume(creator)?;
            }
            Event::Exec(tid) => self.exec(tid),
            Event::ThreadGone(tid) => {
                self.displaced.land(tid);
                self.dealt_with.remove(&tid);
                self.plan.forget(tid);
                self.probe_thread_gone(tid);
            }
            Event::Exited(status, signal) => self.exited(status, signal),
        }
        Ok(())
    }

    fn signal(&mut self, tid: Tid, sig: i32) -> Result<(), EngineError> {
        let Some(flight) = self.displaced.flight(tid) else { return Ok(self.tracer.resume(tid)?) };
        if matches!(sig, libc::SIGSEGV | libc::SIGBUS | libc::SIGFPE | libc::SIGILL) {
            // The copied instruction faulted: the program must see it at the original.
            let mut regs = self.tracer.registers(tid)?;
            regs.set_pc(flight.from.0);
            self.tracer.set_registers(tid, &regs)?;
            self.displaced.land(tid);
            return Ok(self.tracer.resume(tid)?);
        }
        // Anything else waits until the copy has run: no handler may see the copy's address.
        Ok(self.tracer.start_step(tid)?)
    }

    /// A thread that was parked in the middle of a displaced step goes back to, or behind, the original.
    pub(super) fn cancel_flight(&mut self, tid: Tid) -> Result<(), EngineError> {
        if let Some(f) = self.displaced.land(tid) {
            let mut regs = self.tracer.registers(tid)?;
            regs.set_pc(f.landing(LoadAddr(regs.pc())).0);
            self.tracer.set_registers(tid, &regs)?;
        }
        Ok(())
    }

    fn trap(&mut self, tid: Tid, code: i32) -> Result<(), EngineError> {
        // A step that ends and data that is accessed come as one trap.
        let watched = if matches!(code, TRAP_TRACE | TRAP_HWBKPT) { self.take_watch_hits(tid) } else { 0 };
        let flew = self.displaced.flight(tid).is_some();
        if flew {
            self.cancel_flight(tid)?;
        }
        if watched != 0 {
            let regs = self.tracer.registers(tid)?;
            return match self.watch_hit(tid, watched, &regs) {
                Some(reason) => self.stop_for_watch(tid, reason),
                None => Ok(self.tracer.resume(tid)?),
            };
        }
        if flew || code == TRAP_TRACE {
            return Ok(self.tracer.resume(tid)?); // else the end of a step that an interrupt overtook
        }
        let mut regs = self.tracer.registers(tid)?;
        let at = LoadAddr(regs.pc().wrapping_sub(1));
        if !self.traps.was_armed(at) {
            if self.call_trap(tid, &regs)? {
                return Ok(());
            }
            if self.is_hardcoded(at) && self.stops_for("a breakpoint of the program's own was met") {
                self.dealt_with.insert(tid);
                return self.stop_for(tid, StopReason::HardcodedBreakpoint);
            }
            return Ok(self.tracer.resume(tid)?); // the trap is swallowed
        }
        regs.set_pc(at.0);
        if !super::int3::Mechanism::armed(&self.traps, at) {
            // Taken out before the kernel reported the hit.
            self.tracer.set_registers(tid, &regs)?;
            return Ok(self.tracer.resume(tid)?);
        }
        let begun = Instant::now();
        match self.verdict(tid, at, &regs)? {
            Verdict::Stop(reason) => {
                self.tracer.set_registers(tid, &regs)?;
                self.dealt_with.insert(tid);
                let (StopReason::Breakpoint(id) | StopReason::StepInterrupted(id)) = reason else {
                    return self.stop_for(tid, reason);
                };
                self.stop_for(tid, reason)?;
                self.retire(id);
                Ok(())
            }
            Verdict::Pass => {
                self.pass(tid, at, regs)?;
                self.count_cost(at, begun.elapsed());
                Ok(())
            }
            Verdict::Moved => {
                self.tracer.set_registers(tid, &regs)?;
                self.dealt_with.insert(tid);
                self.plan_watches()?;
                // Nothing had to be set anew after all: it goes on by itself.
                let waits = self.running && self.tracer.thread(tid).is_some_and(|t| t.state.stands());
                if waits && self.dealt_with.remove(&tid) { self.pass(tid, at, regs) } else { Ok(()) }
            }
        }
    }

    fn is_hardcoded(&self, at: LoadAddr) -> bool {
        clean_code(&self.sym, self.bias, at).is_some_and(|c| c.first() == Some(&0xcc))
    }

    /// Takes a thread past the breakpoint it stands on, others running.
    fn pass(&mut self, tid: Tid, at: LoadAddr, mut regs: Registers) -> Result<(), EngineError> {
        let Some(code) = clean_code(&self.sym, self.bias, at).map(<[u8]>::to_vec) else {
            return Err(EngineError::NotFound(format!("no code at {at}")));
        };
        if let Some((area, bytes)) = self.displaced.area() {
            self.traps.record(area, bytes)?; // costs nothing once it is on record
        }
        match self.displaced.pass(tid, &code, &mut regs, &self.mem, !self.plan.sees_reads()) {
            Passed::Emulated(store) => {
                let mut watched = 0;
                if let Some((addr, value, size)) = store {
                    self.mem.write(addr, &value.to_le_bytes()[..size as usize])?;
                    watched = self.plan.touched(addr, u64::from(size));
                }
                self.tracer.set_registers(tid, &regs)?;
                // The processor has not seen this store.
                if watched != 0
                    && let Some(reason) = self.watch_hit(tid, watched, &regs)
                {
                    return self.stop_for_watch(tid, reason);
                }
                self.tracer.resume(tid)?;
            }
            Passed::InFlight => {
                self.tracer.set_registers(tid, &regs)?;
                self.tracer.start_step(tid)?;
            }
            Passed::Alone => {
                self.tracer.set_registers(tid, &regs)?;
                self.dealt_with.insert(tid);
                self.stand()?;
                self.run_again()?;
            }
        }
        Ok(())
    }

    /// What the hit of `tid` at `at` asks for. `regs` has the PC at the breakpoint.
    fn verdict(&mut self, tid: Tid, at: LoadAddr, regs: &Registers) -> Result<Verdict, EngineError> {
        // Which goroutine it is takes some reads: only where somebody asks.
        let users = self.table.at(at);
        let asks = |id: &BreakpointId| self.table.get(*id).is_some_and(|l| l.needs_goroutine(at));
        let asked = self.step.is_some() || self.own.contains_key(&at) || users.iter().any(asks);
        let cx = if asked { self.go_context(regs) } else { GoContext::default() };
        if self.entry == Some(at) {
            self.entry = None;
            return Ok(Verdict::Stop(StopReason::Launched));
        }
        let mut step_done = false;
        let mut step_same = false;
        let mut moved = false;
        if let Some(step) = &self.step {
            step_same = step.who.is(tid, &cx);
            let hit: Vec<Point> = step
                .points
                .iter()
                .filter(|p| p.addr == at && !p.off && p.who.is(tid, &cx))
                // What a signal handler calls on its own (asynchronous preemption does) is not what the goroutine called.
                .filter(|p| p.frame.is_some() || !cx.signal_stack)
                .filter(|p| p.frame.is_none_or(|f| self.frame_offset(regs, &cx) == Some(f)))
                .cloned()
                .collect();
            if !step_same && step.addresses().any(|a| a == at) {
                moved = self.meets_step(cx.goid);
            }
            for p in hit {
                match p.kind {
                    Kind::Next => {
                        step_done = true;
                        if let Some(entry) = p.returns_from {
                            self.note_returned(tid, entry, regs);
                        }
                    }
                    Kind::NextDefer { on_return } => step_done |= self.called_by_panic_or_return(regs, &cx, on_return),
                    Kind::Call => self.follow_call(tid, regs)?,
                    Kind::NewGoroutine => self.follow_new_goroutine(regs)?,
                    Kind::RangeBody => self.restart_step(tid, regs)?,
                    Kind::BodyReturned => self.body_returned(),
                }
            }
        }
        if let Some(&id) = self.own.get(&at) {
            let reason = self.death_reason(id, regs, &cx);
            if self.stops_for(&format!("{reason:?}")) {
                self.end_step();
                return Ok(Verdict::Stop(reason));
            }
        }
        let mut hit_user: Option<BreakpointId> = None;
        let mem = self.mem.clone();
        for id in users {
            if self.table.get(id).is_some_and(super::breakpoints::Logical::is_support) {
                match self.watch_support(id, at, regs, &cx) {
                    Some(WatchNews::Over(reason)) if self.stops_for(&format!("{reason:?}")) => {
                        return Ok(Verdict::Stop(reason));
                    }
                    Some(_) => moved = true,
                    None => {}
                }
                continue;
            }
            match self.user_hit(id, &Moment::now(tid, at, regs, &cx, &*mem)) {
                Ok(true) => hit_user = hit_user.or(Some(id)),
                Ok(false) => {}
                Err(why) => {
                    if self.stops_are_permitted() {
                        return Ok(Verdict::Stop(StopReason::ConditionFailed(id, why)));
                    }
                }
            }
        }
        let hit_user = hit_user.filter(|_| self.stops_are_permitted());
        let reached = self.to.contains(&at);
        Ok(match (hit_user, step_done || reached) {
            (None, false) if moved => Verdict::Moved,
            (None, false) => Verdict::Pass,
            (None, true) => {
                self.end_step();
                Verdict::Stop(StopReason::StepDone)
            }
            (Some(id), done) => {
                if done || step_same || self.step.is_none() {
                    self.end_step();
                    Verdict::Stop(StopReason::Breakpoint(id))
                } else {
                    Verdict::Stop(StopReason::StepInterrupted(id))
                }
            }
        })
    }

    /// A step ends where the function at `entry` returned to: its results are still where it left them.
    fn note_returned(&mut self, tid: Tid, entry: LoadAddr, regs: &Registers) {
        let Some(reader) = crate::goruntime::value::Reader::new(&self.rt, &*self.mem) else { return };
        let all = self.with_vectors(tid, regs);
        self.returned = self.results_of(self.bias.to_file(entry), &all, LoadAddr(regs.sp()), &reader);
    }

    pub(super) fn end_step(&mut self) {
        self.step = None;
        self.crowd_waits();
        self.to.clear();
    }

    /// The process forked. Its copy of the text has our traps in it, or it runs in our very memory.
    fn new_process(&mut self, child: i32, shares_memory: bool) {
        let tid = Tid(child);
        if !matches!(sys::wait(tid, true), Ok(sys::WaitStatus::Event(..) | sys::WaitStatus::Signal(_))) {
            return;
        }
        if shares_memory {
            self.vforked.insert(tid);
            let _gone_shows_in_wait = sys::cont(tid, 0);
            return;
        }
        if let Ok(mem) = ProcessMemory::open(child)
            && let Err(e) = self.traps.clean_fork(&mem).and_then(|()| self.displaced.clean_fork(&mem))
        {
            self.happened.push(Happened::Note(format!("cannot clean the text of forked process {child}: {e}")));
        }
        Tracer::release_child(child);
    }

    /// Children between vfork and exec run in our memory and may meet our traps: they are taken past them.
    fn pump_vforked(&mut self) -> Result<(), EngineError> {
        for tid in self.vforked.clone() {
            match sys::wait(tid, false) {
                Ok(sys::WaitStatus::None) => {}
                Ok(sys::WaitStatus::Event(libc::PTRACE_EVENT_EXEC, _)) => {
                    self.vforked.remove(&tid);
                    Tracer::release_child(tid.0);
                }
                Ok(sys::WaitStatus::Signal(libc::SIGTRAP)) => self.vforked_trap(tid)?,
                Ok(sys::WaitStatus::Signal(sig)) => drop(sys::cont(tid, sig)),
                Ok(sys::WaitStatus::Event(..)) => drop(sys::cont(tid, 0)),
                Ok(sys::WaitStatus::Exited(_) | sys::WaitStatus::Signaled(_)) | Err(_) => {
                    self.vforked.remove(&tid);
                    self.displaced.land(tid);
                }
            }
        }
        Ok(())
    }

    fn vforked_trap(&mut self, tid: Tid) -> Result<(), EngineError> {
        let Ok(mut regs) = sys::registers(tid) else { return Ok(()) };
        let (mut step, mut store) = (false, None);
        if let Some(f) = self.displaced.land(tid) {
            regs.set_pc(f.landing(LoadAddr(regs.pc())).0);
        } else {
            let at = LoadAddr(regs.pc().wrapping_sub(1));
            if self.traps.was_armed(at) {
                regs.set_pc(at.0);
                if let Some(code) = clean_code(&self.sym, self.bias, at).map(<[u8]>::to_vec) {
                    match self.displaced.pass(tid, &code, &mut regs, &self.mem, true) {
                        Passed::Emulated(s) => store = s,
                        Passed::InFlight => step = true,
                        // Nobody else can be hurt by taking the byte out: the parent thread waits for this child.
                        Passed::Alone => self.mem.write(at, &code[..1])?,
                    }
                }
            }
        }
        if let Some((addr, value, size)) = store {
            self.mem.write(addr, &value.to_le_bytes()[..size as usize])?;
        }
        let _gone_shows_in_wait = sys::set_registers(tid, &regs)
            .and_then(|()| if step { sys::single_step(tid, 0) } else { sys::cont(tid, 0) });
        Ok(())
    }

    /// The process replaced its program. Nothing of ours is left in it; it is let go.
    fn exec(&mut self, tid: Tid) {
        self.traps.abandon();
        self.displaced.abandon();
        let exe = crate::target::linux::procfs::exe(self.tracer.pid()).map_or_else(|_| "?".into(), |e| e.0);
        let _gone_is_fine = self.tracer.park(tid);
        self.tracer.release_all();
        self.gone = true;
        self.running = false;
        self.news_of_hits(true);
        self.happened
            .push(Happened::Released(format!("the process replaced its program by {exe} (exec) and was let go")));
    }

    pub(super) fn exited(&mut self, status: Option<i32>, signal: Option<i32>) {
        self.traps.abandon();
        self.gone = true;
        self.running = false;
        self.step = None;
        self.drain_probes(true);
        self.probes.clear();
        self.news_of_hits(true);
        self.happened.push(Happened::Exited(status, signal));
    }

    fn stop_for_watch(&mut self, tid: Tid, reason: StopReason) -> Result<(), EngineError> {
        let id = match &reason {
            StopReason::Watchpoint { id, .. } => Some(*id),
            _ => None,
        };
        self.end_step();
        self.stop_for(tid, reason)?;
        id.into_iter().for_each(|id| self.retire(id));
        Ok(())
    }

    /// Stops everything on behalf of `tid`, at which something happened.
    pub(super) fn stop_for(&mut self, tid: Tid, reason: StopReason) -> Result<(), EngineError> {
        let t0 = Instant::now();
        self.stand()?;
        if self.gone {
            return Ok(());
        }
        if reason == StopReason::HardcodedBreakpoint {
            self.leave_runtime_breakpoint(tid)?;
        }
        self.report_stop(tid, reason, t0);
        Ok(())
    }

    /// All threads stand, kill-safely, and the text is clean. Hits that came in behind the first are rewound and will be met again.
    pub(super) fn stand(&mut self) -> Result<(), EngineError> {
        self.pauses.begin();
        let mut events: Vec<Event> = self.unhandled.drain(..).collect();
        events.extend(self.tracer.stop_all(Duration::from_millis(300)));
        self.settle(events)?;
        if self.gone {
            return Ok(());
        }
        let tids: Vec<Tid> = self.tracer.threads().map(|t| t.0).collect();
        for tid in tids {
            // Each round can bring one queued event to light; a thread has few.
            for _ in 0..8 {
                match self.tracer.park(tid)? {
                    Some(e) => self.settle(vec![e])?,
                    None => break,
                }
            }
            if self.displaced.flight(tid).is_some() && self.tracer.thread(tid).is_some_and(|t| t.state.stands()) {
                self.cancel_flight(tid)?;
            }
        }
        if self.gone {
            return Ok(());
        }
        let text = super::EngineText { sym: &self.sym, bias: self.bias, mem: &self.mem };
        super::int3::Mechanism::disarm(&mut self.traps, &text)?;
        self.displaced.restore(&self.mem);
        self.disarm_watches();
        self.drain_probes(true);
        let all_stand = self.tracer.threads().all(|(_, t)| t.state != State::Running);
        if all_stand && self.vforked.is_empty() {
            self.traps.forget_recent();
            self.traps.lower_shield(&self.mem)?;
            self.say_armed(false);
        }
        self.running = false;
        Ok(())
    }

    /// Events that came in while everything was being stopped.
    fn settle(&mut self, events: Vec<Event>) -> Result<(), EngineError> {
        for e in events {
            match e {
                Event::Trap(tid, code) => {
                    let watched = if matches!(code, TRAP_TRACE | TRAP_HWBKPT) { self.take_watch_hits(tid) } else { 0 };
                    let flew = self.displaced.flight(tid).is_some();
                    if flew {
                        self.cancel_flight(tid)?;
                    }
                    if watched != 0 {
                        let regs = self.tracer.registers(tid)?;
                        self.watch_hit_while_stopping(tid, watched, &regs);
                    }
                    if flew || watched != 0 || code == TRAP_TRACE {
                        continue; // the end of a step: the PC is where it belongs
                    }
                    let mut regs = self.tracer.registers(tid)?;
                    let at = LoadAddr(regs.pc().wrapping_sub(1));
                    if self.traps.was_armed(at) {
                        regs.set_pc(at.0);
                        self.tracer.set_registers(tid, &regs)?;
                        self.dealt_with.remove(&tid);
                    }
                }
                Event::Signal(tid, _) | Event::Parked(tid) => {
                    if self.displaced.flight(tid).is_some() {
                        self.cancel_flight(tid)?;
                    }
                }
                Event::NewThread(..) => {}
                Event::NewProcess(_, child, shares) => self.new_process(child, shares),
                Event::Exec(tid) => self.exec(tid),
                Event::ThreadGone(tid) => {
                    self.displaced.land(tid);
                    self.dealt_with.remove(&tid);
                    self.plan.forget(tid);
                }
                Event::Exited(status, signal) => self.exited(status, signal),
            }
        }
        Ok(())
    }

    /// Data was accessed behind the event for which all is being stopped. It cannot be done again, so it is counted now.
    pub(super) fn watch_hit_while_stopping(&mut self, tid: Tid, bits: u8, regs: &Registers) {
        if let Some(reason) = self.watch_hit(tid, bits, regs) {
            let text = match reason {
                StopReason::Watchpoint { id, old, new } => format!("watchpoint {id} at the same time: {old} -> {new}"),
                other => format!("{other:?}"),
            };
            self.happened.push(Happened::Note(format!("{text}, thread {tid}")));
        }
    }
}
