//! What a thread at a trap means in Go's terms: which goroutine, which frame.

use super::Engine;
use crate::arch::Registers;
use crate::base::{GoroutineId, LoadAddr, Memory, Tid};
use crate::goruntime::{RawFrame, StackStart};
use crate::symbols::Function;

/// The goroutine of a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GoContext {
    /// The user goroutine on whose behalf the thread runs, if any.
    pub goid: Option<GoroutineId>,
    /// Its `runtime.g`.
    pub g: LoadAddr,
    /// Top of its stack; 0 on a system stack.
    pub stack_hi: u64,
    /// The thread is on g0 or gsignal.
    pub system_stack: bool,
    /// The thread is on gsignal: a signal handler interrupted the goroutine.
    pub signal_stack: bool,
}

/// A physical frame for stepping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepFrame {
    /// Exact PC for the innermost, return address for others.
    pub pc: LoadAddr,
    /// Canonical frame address.
    pub cfa: LoadAddr,
    /// Stack pointer in the body.
    pub sp: LoadAddr,
    /// Its function.
    pub function: Option<Function>,
    /// `cfa - stack.hi`, or the CFA itself on a system stack.
    pub offset: i64,
}

/// Where to begin: a thread's registers, or a parked goroutine.
#[derive(Clone, Debug)]
pub enum Start {
    /// On this thread.
    Thread(Tid, Box<Registers>),
    /// Parked.
    Parked(GoroutineId, LoadAddr),
}

impl Engine {
    /// The goroutine on whose behalf a thread with these registers runs.
    pub(super) fn go_context(&self, regs: &Registers) -> GoContext {
        let Some(cur) = self.rt.current_g(&*self.mem, regs.fs_base) else { return GoContext::default() };
        if cur.curg.is_nil() {
            return GoContext { system_stack: true, ..GoContext::default() };
        }
        let stack_hi = self.mem.read_u64(cur.curg.add(self.rt.layout().g.stack_hi)).unwrap_or(0);
        let goid = (cur.goid != 0).then_some(GoroutineId(cur.goid));
        GoContext {
            goid,
            g: cur.curg,
            stack_hi,
            system_stack: cur.is_g0 || cur.is_gsignal,
            signal_stack: cur.is_gsignal,
        }
    }

    /// `runtime.frameoff` of the innermost frame.
    pub(super) fn frame_offset(&self, regs: &Registers, cx: &GoContext) -> Option<i64> {
        let cfa = self.innermost_cfa(regs)?;
        Some(offset_of(cfa, cx))
    }

    /// CFA of the innermost frame.
    pub(super) fn innermost_cfa(&self, regs: &Registers) -> Option<LoadAddr> {
        let delta = self.sym.sp_delta(self.bias.to_file(LoadAddr(regs.pc())))?;
        Some(LoadAddr(regs.sp()).offset(i64::from(delta) + 8))
    }

    /// Physical frames, innermost first.
    pub(super) fn step_frames(&self, start: &Start, max: usize) -> Vec<StepFrame> {
        let walked = match start {
            Start::Thread(_, regs) => self.rt.stack(&*self.mem, StackStart::Registers(regs), max, false),
            Start::Parked(_, g) => self.rt.stack(&*self.mem, StackStart::Parked(*g), max, false),
        };
        let Ok(walked) = walked else { return Vec::new() };
        let cx = GoContext {
            goid: walked.g.map(|g| GoroutineId(g.goid)),
            g: walked.g.map_or(LoadAddr(0), |g| g.addr),
            stack_hi: walked.g.map_or(0, |g| g.stack_hi),
            system_stack: false,
            signal_stack: false,
        };
        let frame = |f: &RawFrame| {
            let cx = GoContext { system_stack: f.system_stack, ..cx };
            StepFrame { pc: f.pc, cfa: f.cfa, sp: f.sp, function: Some(f.info.function), offset: offset_of(f.cfa, &cx) }
        };
        walked.raw.iter().map(frame).collect()
    }

    /// Entry of the function that the top frame's next deferred call runs.
    pub(super) fn topmost_deferred(&self, start: &Start) -> Option<LoadAddr> {
        let walked = match start {
            Start::Thread(_, regs) => self.rt.stack(&*self.mem, StackStart::Registers(regs), 2, true),
            Start::Parked(_, g) => self.rt.stack(&*self.mem, StackStart::Parked(*g), 2, true),
        };
        let walked = walked.ok()?;
        let shown = walked.origin.iter().rposition(|o| o.0 == 0)?;
        let first = walked.stack.frames.get(shown)?.defers.iter().find(|d| !d.at.pc.is_nil())?;
        let f = self.sym.function_at(self.bias.to_file(first.at.pc))?;
        Some(self.bias.to_load(f.entry))
    }

    /// Name of the function at an address; empty outside Go code.
    pub(super) fn function_name_at(&self, pc: LoadAddr) -> &str {
        self.sym.function_at(self.bias.to_file(pc)).map_or("", |f| self.sym.function_name(f))
    }

    /// At the start of a deferred function: was it called by a panic, or (if that counts) by a return?
    pub(super) fn called_by_panic_or_return(&self, regs: &Registers, _cx: &GoContext, on_return: bool) -> bool {
        let frames = self.step_frames(&Start::Thread(Tid(0), Box::new(*regs)), 4);
        let callers: Vec<&str> =
            frames.iter().skip(1).take(2).map(|f| self.function_name_at(f.pc.offset(-1))).collect();
        let panicking = |n: &&str| matches!(*n, "runtime.gopanic" | "runtime.Goexit");
        // Open-coded defers are called by the function itself on a normal return; listed ones by deferreturn.
        callers.iter().any(panicking)
            || on_return && callers.first().is_some_and(|n| *n == "runtime.deferreturn" || !n.starts_with("runtime."))
    }
}

fn offset_of(cfa: LoadAddr, cx: &GoContext) -> i64 {
    if cx.system_stack { cfa.0 as i64 } else { cfa.0.wrapping_sub(cx.stack_hi) as i64 }
}

/// Delve's rule for functions that `step` does not enter: the runtime's own, unless they are exported.
pub fn private_runtime(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("runtime.") else {
        return name.starts_with("internal/runtime/");
    };
    !rest.starts_with(|c: char| c.is_uppercase() || c == '(')
        || rest.strip_prefix("(*").is_some_and(|r| !r.starts_with(char::is_uppercase))
}

#[cfg(test)]
mod tests {
    use super::private_runtime;
    #[test]
    fn exported_runtime_functions_are_entered() {
        assert!(private_runtime("runtime.newproc") && private_runtime("runtime.(*mheap).alloc"));
        assert!(
            !private_runtime("runtime.Gosched")
                && !private_runtime("main.f")
                && !private_runtime("runtime.(*Frames).Next")
        );
    }
}
