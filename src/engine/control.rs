//! What the user asks of the engine: pause, go on, step, break.

use super::breakpoints::valid_name;
use super::go::Start;
use super::locspec::{Here, resolve};
use super::points::Who;
use super::{Engine, EngineError, Happened};
use crate::arch::Registers;
use crate::base::{BreakpointId, GoroutineId, LoadAddr, Tid};
use crate::eval;
use crate::model::{Breakpoint, BreakpointPlace, BreakpointSpec, Location, StopReason};
use std::sync::Arc;

/// How to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Go {
    /// Until something stops it.
    Continue,
    /// To the next line.
    Next,
    /// To the next line, into calls.
    Into,
    /// To the caller.
    Out,
    /// One instruction.
    Instruction,
    /// One instruction, calls as one.
    NextInstruction,
    /// To a location.
    To(String, Here),
}

impl Engine {
    /// Stops the target. If it stands already, says so again.
    pub fn pause(&mut self) -> Result<(), EngineError> {
        self.pause_because(StopReason::Paused)
    }

    /// Stops the target and says why.
    pub fn pause_because(&mut self, reason: StopReason) -> Result<(), EngineError> {
        if self.gone {
            return Err(EngineError::State("the process is gone".into()));
        }
        if !self.running {
            return Ok(());
        }
        let t0 = std::time::Instant::now();
        self.stand()?;
        if !self.gone {
            let tid = self.thread_to_show();
            self.report_stop(tid, reason, t0);
        }
        Ok(())
    }

    /// After a pause: the thread of the goroutine shown before, else one that runs a user goroutine, else any.
    fn thread_to_show(&self) -> Tid {
        let mut best = (0, Tid(self.pid()));
        for (tid, t) in self.tracer.threads() {
            if !t.state.stands() {
                continue;
            }
            let Ok(regs) = self.tracer.registers(tid) else { continue };
            let cx = self.go_context(&regs);
            let score = 1
                + 4 * u8::from(cx.goid.is_some())
                + 2 * u8::from(cx.goid.is_some() && cx.goid == self.state.goroutine)
                + u8::from(!cx.system_stack && cx.goid.is_some());
            if score > best.0 {
                best = (score, tid);
            }
        }
        best.1
    }

    /// Goes on. `goroutine` names the one that a step is about; none for the one of the stop.
    pub fn proceed(&mut self, go: &Go, goroutine: Option<GoroutineId>) -> Result<(), EngineError> {
        if self.gone {
            return Err(EngineError::State("the process is gone".into()));
        }
        if self.running {
            return Err(EngineError::State("the program is running; pause it first".into()));
        }
        let stepping = !matches!(go, Go::Continue);
        if stepping && self.step.is_some() {
            return Err(EngineError::State(
                "a step is under way that another goroutine's breakpoint interrupted: continue finishes it, cancelnext drops it".into(),
            ));
        }
        if !matches!(go, Go::Next | Go::Into | Go::Out) {
            self.crowd_scatters();
        }
        match go {
            Go::Continue => {}
            Go::To(spec, here) => {
                let all = resolve(&self.sym, self.bias, spec, here)?;
                self.to = all.into_iter().flatten().collect();
                self.to.sort_unstable();
            }
            Go::Instruction | Go::NextInstruction => return self.step_instruction(go, goroutine),
            Go::Next | Go::Into | Go::Out => {
                let (start, who) = self.start_of(goroutine)?;
                let (tid, g) = match &start {
                    Start::Thread(tid, regs) => (Some(*tid), self.go_context(regs).g),
                    Start::Parked(_, g) => (None, *g),
                };
                self.crowd_steps(tid, g)?;
                self.step = Some(match go {
                    Go::Out => self.plan_out(&start, who)?,
                    g => self.plan_next(&start, who, *g == Go::Into, false)?,
                });
            }
        }
        self.go()
    }

    /// Drops an interrupted step.
    pub fn cancel_step(&mut self) {
        self.end_step();
    }

    /// Where the goroutine (or the thread of the stop) is.
    pub(super) fn start_of(&self, goroutine: Option<GoroutineId>) -> Result<(Start, Who), EngineError> {
        let want = goroutine.or(self.state.goroutine);
        let Some(id) = want else {
            let tid = self.state.thread;
            return Ok((Start::Thread(tid, Box::new(self.tracer.registers(tid)?)), Who::Thread(tid)));
        };
        for (tid, t) in self.tracer.threads() {
            if t.state.stands() {
                let regs = self.tracer.registers(tid)?;
                if self.go_context(&regs).goid == Some(id) {
                    return Ok((Start::Thread(tid, Box::new(regs)), Who::Goroutine(id)));
                }
            }
        }
        let g = self
            .rt
            .find_goroutine(&*self.mem, id)
            .ok_or_else(|| EngineError::NotFound(format!("no goroutine {id}")))?;
        Ok((Start::Parked(id, g), Who::Goroutine(id)))
    }

    fn step_instruction(&mut self, go: &Go, goroutine: Option<GoroutineId>) -> Result<(), EngineError> {
        let (start, who) = self.start_of(goroutine)?;
        let Start::Thread(tid, regs) = start else {
            // Parked: it stops where it comes back to life.
            let frames = self.step_frames(&start, 1);
            let at =
                frames.first().map(|f| f.pc).ok_or_else(|| EngineError::State("this goroutine has no frame".into()))?;
            let points = vec![super::points::Point::next(at, who, None)];
            self.step = Some(super::points::Step { who, points, into: false, body_frame: None });
            return self.go();
        };
        if *go == Go::NextInstruction
            && let Some(behind) = self.behind_call(&regs)
        {
            let cx = self.go_context(&regs);
            let p = super::points::Point::next(behind, who, self.frame_offset(&regs, &cx));
            self.step = Some(super::points::Step { who, points: vec![p], into: false, body_frame: None });
            return self.go();
        }
        let t0 = std::time::Instant::now();
        let mut events = Vec::new();
        self.epoch.0 += 1;
        self.happened.push(Happened::Resumed(self.epoch));
        let alive = self.tracer.step_alone(tid, &mut events)?;
        for e in events {
            if let crate::target::linux::tracer::Event::Exited(s, sig) = e {
                self.exited(s, sig);
                return Ok(());
            }
        }
        if alive {
            self.tracer.park(tid)?;
            self.dealt_with.insert(tid);
        }
        // It may have ended, or be where the kernel cannot stop it.
        let shown = if alive { tid } else { self.thread_to_show() };
        self.report_stop(shown, StopReason::StepDone, t0);
        Ok(())
    }

    /// The address behind the CALL that these registers stand at.
    fn behind_call(&self, regs: &Registers) -> Option<LoadAddr> {
        use iced_x86::{Decoder, DecoderOptions, FlowControl};
        let code = super::stepover::clean_code(&self.sym, self.bias, LoadAddr(regs.pc()))?;
        let i = Decoder::with_ip(64, code, regs.pc(), DecoderOptions::NONE).decode();
        matches!(i.flow_control(), FlowControl::Call | FlowControl::IndirectCall).then(|| LoadAddr(i.next_ip()))
    }

    /// Sets a breakpoint (for a regular expression, one a function). Works while the target runs.
    pub fn set_breakpoint(&mut self, spec: &BreakpointSpec, here: &Here) -> Result<Vec<Breakpoint>, EngineError> {
        let BreakpointPlace::Spec(place) = &spec.place else {
            return Err(EngineError::State("a watchpoint needs the data that it watches".into()));
        };
        self.check(spec)?;
        let all = resolve(&self.sym, self.bias, place, here)?;
        let mut out = Vec::new();
        let several = all.len() > 1;
        for addrs in all {
            if let Some(id) = self.table.same_place(&addrs) {
                if several {
                    continue;
                }
                return Err(EngineError::State(format!("breakpoint {id} is there already")));
            }
            let at = addrs.iter().map(|a| self.location(*a)).collect();
            let returns = self.traced_returns(spec, &addrs);
            let id = self.table.add(spec.clone(), at, addrs, returns);
            out.extend(self.table.get(id).map(|l| l.public.clone()));
        }
        if let Err(e) = self.rearm() {
            for b in &out {
                self.table.remove(b.id);
            }
            self.rearm()?;
            return Err(e);
        }
        Ok(out)
    }

    pub(super) fn check(&self, spec: &BreakpointSpec) -> Result<(), EngineError> {
        if !spec.name.is_empty() && !valid_name(&spec.name) {
            return Err(EngineError::State(format!(
                "`{}` is no breakpoint name: letters and digits, not a number",
                spec.name
            )));
        }
        if !spec.condition.is_empty() {
            eval::check_syntax(&spec.condition).map_err(|e| EngineError::Expression(e.to_string()))?;
        }
        for e in &spec.actions.values {
            eval::check_syntax(e).map_err(|e| EngineError::Expression(e.to_string()))?;
        }
        eval::check_template(&spec.actions.log).map_err(|e| EngineError::Expression(e.to_string()))?;
        if let Some(id) = spec.after
            && self.table.get(id).is_none()
        {
            return Err(EngineError::NotFound(format!("no breakpoint {id} to wait for")));
        }
        Ok(())
    }

    /// Changes condition, hit count, name or enabled state.
    pub fn edit_breakpoint(&mut self, id: BreakpointId, spec: &BreakpointSpec) -> Result<Breakpoint, EngineError> {
        self.check(spec)?;
        let l = self.table.get_mut(id).ok_or_else(|| EngineError::NotFound(format!("no breakpoint {id}")))?;
        let place = l.public.spec.place.clone();
        l.public.spec = BreakpointSpec { place, ..spec.clone() };
        l.reset();
        if l.watch.is_none() {
            let addrs = l.addrs.clone();
            let returns = self.traced_returns(spec, &addrs);
            self.table.set_returns(id, returns);
        }
        let public =
            self.table.get(id).map(|l| l.public.clone()).ok_or_else(|| EngineError::NotFound(String::new()))?;
        self.plan_watches()?;
        self.rearm()?;
        Ok(public)
    }

    /// Removes a breakpoint.
    pub fn clear_breakpoint(&mut self, id: BreakpointId) -> Result<(), EngineError> {
        self.table.remove(id).ok_or_else(|| EngineError::NotFound(format!("no breakpoint {id}")))?;
        self.plan_watches()?;
        self.rearm()
    }

    /// All breakpoints.
    pub fn breakpoints(&self) -> Vec<Breakpoint> {
        self.table.iter().map(|l| l.public.clone()).collect()
    }

    /// Takes the breakpoints over from the engine of a program that was restarted: places are resolved again; what has no place
    /// any more says so.
    pub fn adopt_breakpoints(&mut self, old: &mut Engine) {
        for mut l in old.table.take() {
            let BreakpointPlace::Spec(place) = &l.public.spec.place else {
                let text =
                    format!("watchpoint {} of {} ended with the program", l.public.id, l.public.spec.place.text());
                self.happened.push(Happened::Note(text));
                self.happened.push(Happened::BreakpointGone(l.public.id));
                continue;
            };
            // A line without a file was meant in the file in which it was found.
            let full = match (place.parse::<i64>(), l.public.at.first()) {
                (Ok(_), Some(at)) => format!("{}:{}", at.file, at.line),
                _ if place.starts_with(['+', '-']) => {
                    l.public.at.first().map_or_else(|| place.clone(), |at| format!("{}:{}", at.file, at.line))
                }
                // `/regex/`; a path begins so, too.
                _ if place.starts_with('/') && place.ends_with('/') => {
                    l.public.at.first().map_or_else(|| place.clone(), |at| at.function.clone())
                }
                _ if place.starts_with('*') => {
                    l.public.at.first().map_or_else(|| place.clone(), |at| format!("{}:{}", at.file, at.line))
                }
                _ => place.clone(),
            };
            l.reset();
            l.released = false;
            (l.public.hits, l.public.reached) = (0, 0);
            match resolve(&self.sym, self.bias, &full, &Here::default()) {
                Ok(all) => {
                    l.addrs = all.into_iter().flatten().collect();
                    l.addrs.sort_unstable();
                    l.public.at = l.addrs.iter().map(|a| self.location(*a)).collect();
                    l.returns = self.traced_returns(&l.public.spec, &l.addrs);
                }
                Err(e) => {
                    l.addrs.clear();
                    l.returns.clear();
                    l.public.at.clear();
                    l.public.problem = e.to_string();
                }
            }
            self.happened.push(Happened::Breakpoint(Box::new(l.public.clone())));
            self.table.restore(l);
        }
    }

    /// Where the functions at these addresses return, if their calls are traced.
    fn traced_returns(&self, spec: &BreakpointSpec, addrs: &[LoadAddr]) -> Vec<LoadAddr> {
        if spec.actions.trace { self.returns(addrs) } else { Vec::new() }
    }

    /// Where the functions at these addresses return: their RET instructions, ascending.
    pub(super) fn returns(&self, addrs: &[LoadAddr]) -> Vec<LoadAddr> {
        use iced_x86::{Decoder, DecoderOptions, FlowControl};
        let mut out = Vec::new();
        for f in addrs.iter().filter_map(|a| self.sym.function_at(self.bias.to_file(*a))) {
            let Some(code) = self.sym.text(f.entry, f.end.since(f.entry) as usize) else { continue };
            let instructions = Decoder::with_ip(64, code, self.bias.to_load(f.entry).0, DecoderOptions::NONE);
            out.extend(
                instructions.into_iter().filter(|i| i.flow_control() == FlowControl::Return).map(|i| LoadAddr(i.ip())),
            );
        }
        out.sort_unstable();
        out.dedup();
        out
    }

    /// Function, file and line at an address.
    pub fn location(&self, pc: LoadAddr) -> Arc<Location> {
        self.sym.place(self.bias, pc)
    }
}
