//! Following control to where it is not visible in the code: new goroutines, and the bodies of range-over-func loops.

use super::go::{Start, StepFrame};
use super::points::{Kind, Point, Who};
use super::{Engine, EngineError};
use crate::arch::Registers;
use crate::base::{LoadAddr, Tid};
use crate::symbols::Function;
use iced_x86::{Decoder, DecoderOptions, FlowControl, OpKind};

/// `F-range1` and nested forms: name of the function whose loop body this is.
pub fn range_parent(name: &str) -> Option<&str> {
    let i = name.find("-range")?;
    name[i + 6..].starts_with(|c: char| c.is_ascii_digit()).then(|| &name[..i])
}

impl Engine {
    /// The address in `runtime.newproc.func1` of its call to `runtime.runqput`: the new goroutine is complete there, and is its
    /// second argument (go/src/runtime/proc.go).
    pub(super) fn goroutine_birth(&self) -> Option<LoadAddr> {
        let f = self.sym.find_function("runtime.newproc.func1")?;
        let code = self.sym.text(f.entry, f.end.since(f.entry) as usize)?;
        for i in &mut Decoder::with_ip(64, code, f.entry.0, DecoderOptions::NONE) {
            if i.flow_control() == FlowControl::Call && i.op0_kind() == OpKind::NearBranch64 {
                let callee = self.sym.function_at(crate::base::FileAddr(i.near_branch_target()));
                if callee.is_some_and(|c| self.sym.function_name(c) == "runtime.runqput") {
                    return Some(self.bias.to_load(crate::base::FileAddr(i.ip())));
                }
            }
        }
        None
    }

    /// At that call: the step goes on in the new goroutine, at its function.
    pub(super) fn follow_new_goroutine(&mut self, regs: &Registers) -> Result<(), EngineError> {
        let g = LoadAddr(regs.gp[3]); // RBX: second integer argument of ABIInternal
        let Ok(new) = self.rt.read_g(&*self.mem, g) else { return Ok(()) };
        let entry = self.bias.to_file(LoadAddr(new.startpc));
        let Some(f) = self.sym.function_at(entry) else { return Ok(()) };
        let target = self.go_wrapper_target(f).unwrap_or(f);
        let at = self.bias.to_load(self.sym.pc_after_prologue(target));
        if let Some(step) = &mut self.step {
            for p in &mut step.points {
                p.off = true;
            }
            step.who = Who::Goroutine(crate::base::GoroutineId(new.goid));
            step.points.push(Point::next(at, step.who, None));
        }
        self.rearm()
    }

    /// `go f(x)` starts a wrapper `outer.gowrap1` that calls f.
    fn go_wrapper_target(&self, f: Function) -> Option<Function> {
        if !self.sym.function_name(f).contains(".gowrap") {
            return None;
        }
        let code = self.sym.text(f.entry, f.end.since(f.entry) as usize)?;
        for i in &mut Decoder::with_ip(64, code, f.entry.0, DecoderOptions::NONE) {
            if i.flow_control() == FlowControl::Call && i.op0_kind() == OpKind::NearBranch64 {
                let g = self.sym.function_at(crate::base::FileAddr(i.near_branch_target()))?;
                if !super::go::private_runtime(self.sym.function_name(g)) {
                    return Some(g);
                }
            }
        }
        None
    }

    /// Points in the bodies of range-over-func loops of the current function, and, from inside a body, in its parents.
    pub(super) fn plan_range_bodies(
        &self,
        step: &mut super::points::Step,
        _start: &Start,
        frames: &[StepFrame],
        function: Function,
        here: (&str, u32),
    ) -> Result<(), EngineError> {
        let name = self.sym.function_name(function);
        let parent = range_parent(name).unwrap_or(name);
        let Ok(re) = regex::Regex::new(&format!("^{}-range[0-9]+(-range[0-9]+)*$", regex::escape(parent))) else {
            return Ok(());
        };
        let bodies = self.sym.match_functions(&re, 256);
        for b in &bodies {
            let pc = self.sym.pc_after_prologue(*b);
            let same_line = self.sym.location(pc).is_some_and(|l| (l.file, l.line) == here);
            let kind = if same_line { Kind::RangeBody } else { Kind::Next };
            step.points.push(Point::next(self.bias.to_load(pc), step.who, None).kind(kind));
        }
        if range_parent(name).is_none() {
            return Ok(());
        }
        step.body_frame = frames.first().map(|f| f.offset);
        // Inside a body: its parent's statements end the step too, at the parent's own frame, and so does the return into the parent
        // of the iterator.
        if let Some(it) = frames.get(1) {
            step.points.push(Point::next(it.pc, step.who, Some(it.offset)).kind(Kind::BodyReturned));
        }
        for f in frames.iter().skip(2) {
            let caller = self.function_name_at(f.pc.offset(-1));
            let is_parent = caller == parent || range_parent(caller) == Some(parent);
            if is_parent {
                step.points.push(Point::next(f.pc, step.who, Some(f.offset)));
            }
            if caller == parent {
                break;
            }
        }
        Ok(())
    }

    /// Control is back in the iterator: the statements of the body that it left must not stop a new round inside its prologue.
    pub(super) fn body_returned(&mut self) {
        if let Some(step) = &mut self.step
            && let Some(body) = step.body_frame
        {
            for p in step.points.iter_mut().filter(|p| p.kind == Kind::Next && p.frame == Some(body)) {
                p.off = true;
            }
        }
    }

    /// The body of a loop was entered on the line where the step began: plan the step anew from here.
    pub(super) fn restart_step(&mut self, tid: Tid, regs: &Registers) -> Result<(), EngineError> {
        let Some(step) = self.step.take() else { return Ok(()) };
        let planned = self.plan_next(&Start::Thread(tid, Box::new(*regs)), step.who, step.into, false)?;
        self.step = Some(planned);
        self.rearm()
    }

    /// For `stepout` of a loop body: the frames from its parent outwards.
    pub(super) fn frames_of_range_parent(&self, frames: &[StepFrame]) -> Vec<StepFrame> {
        let Some(f) = frames.first().and_then(|f| f.function) else { return frames.to_vec() };
        let Some(parent) = range_parent(self.sym.function_name(f)) else { return frames.to_vec() };
        match frames.iter().position(|f| f.function.is_some_and(|f| self.sym.function_name(f) == parent)) {
            Some(i) => frames[i..].to_vec(),
            None => frames.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::range_parent;
    #[test]
    fn both_naming_schemes() {
        assert_eq!(range_parent("main.f-range1"), Some("main.f"));
        assert_eq!(range_parent("main.f-range1-range2"), Some("main.f"));
        assert_eq!(range_parent("main.f-rangefinder"), None);
        assert_eq!(range_parent("main.f"), None);
    }
}
