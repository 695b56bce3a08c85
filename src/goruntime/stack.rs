//! A goroutine's stack as the model shows it: physical frames, inlined ones between them, defers, panics.

use super::unwind::{RawFrame, RawStack, Start, Unwinder, from_registers};
use super::{G, GoRuntime, RuntimeError};
use crate::arch::Registers;
use crate::base::{GoroutineId, LoadAddr, Memory};
use crate::model::{CreatedBy, Frame, Stack};

/// Where a stack walk begins.
#[derive(Clone, Copy, Debug)]
pub enum StackStart<'a> {
    /// A thread that stands still.
    Registers(&'a Registers),
    /// The saved context of a goroutine that does not run.
    Parked(LoadAddr),
}

/// A stack with the physical frames behind it.
#[derive(Clone, Debug, Default)]
pub struct WalkedStack {
    /// As shown.
    pub stack: Stack,
    /// Physical frames.
    pub raw: Vec<RawFrame>,
    /// For each shown frame: which physical frame, and which of its logical frames (0 innermost).
    pub origin: Vec<(u32, u32)>,
    /// The goroutine; none for a thread without one.
    pub g: Option<G>,
    /// Physical frames that were interrupted, not left by a call, and their registers as they were saved.
    pub saved: Vec<(u32, Registers)>,
}

impl WalkedStack {
    /// Registers of a shown frame: of the thread (`regs`, where the walk began with them) if it stands there, or as they were saved when it
    /// was interrupted. None for a frame that waits for a call to return: no register but SP outlives a call in Go's convention.
    pub fn registers(&self, frame: usize, regs: Option<&Registers>) -> Option<Registers> {
        let &(p, _) = self.origin.get(frame)?;
        let raw = self.raw.get(p as usize)?;
        let of_thread = regs.filter(|r| p == 0 && raw.exact && r.pc() == raw.pc.0).copied();
        of_thread.or_else(|| self.saved.iter().find(|s| s.0 == p).map(|s| s.1))
    }
}

impl GoRuntime {
    /// Walks a stack: at most `depth` shown frames.
    pub fn stack(
        &self,
        mem: &dyn Memory,
        start: StackStart<'_>,
        depth: usize,
        with_defers: bool,
    ) -> Result<WalkedStack, RuntimeError> {
        let mut m = None;
        let (g, begin) = match start {
            StackStart::Registers(regs) => {
                let cur = self.current_g(mem, regs.fs_base);
                m = cur.map(|c| c.m);
                let g = cur.filter(|c| !c.curg.is_nil()).and_then(|c| self.read_g(mem, c.curg).ok());
                // By where SP is: `gogo` and the signal handler's first instructions are on a system stack, but the thread's g is a user's.
                let system = match g {
                    Some(g) => !g.on_stack(LoadAddr(regs.sp())),
                    None => cur.is_some_and(|c| c.is_g0 || c.is_gsignal),
                };
                (g, from_registers(regs, system))
            }
            StackStart::Parked(at) => {
                let g = self.read_g(mem, at)?;
                let Some((pc, sp)) = g.parked_at() else {
                    let problem = match g.alive() {
                        true => "the goroutine is running: its stack can be read when it is stopped",
                        false => "the goroutine has ended",
                    };
                    let stack = Stack {
                        goroutine: GoroutineId(g.goid),
                        problems: vec![problem.to_string()],
                        ..Stack::default()
                    };
                    return Ok(WalkedStack { stack, g: Some(g), ..WalkedStack::default() });
                };
                (Some(g), Start { pc, sp, exact: false, system_stack: false })
            }
        };
        // Inlined frames only make the list longer, so `depth` physical frames are enough; one more tells of the rest.
        let mut walk = Unwinder::new(mem, self.pcs(), self.layout(), g, begin);
        if let Some(m) = m {
            walk = walk.with_m(m);
        }
        let raw = walk.run(depth.max(1));
        let mut out = self.shown(raw, depth);
        let interrupted = |(i, f): (usize, &RawFrame)| Some((i as u32 + 1, self.saved_registers(mem, f)?));
        out.saved = out.raw.iter().enumerate().filter_map(interrupted).collect();
        out.g = g;
        out.stack.goroutine = GoroutineId(g.map_or(0, |g| g.goid));
        if with_defers && let Some(g) = g {
            self.attach_defers(mem, &g, &mut out);
        }
        if let Some(g) = g {
            out.stack.panics = self.panics(mem, &g);
            // The innermost panic asks the pending calls in the order in which they run.
            let first = out.stack.frames.iter().flat_map(|f| &f.defers).find(|d| d.recovers).map(|d| d.at.clone());
            if let Some(p) = out.stack.panics.first_mut().filter(|p| !p.goexit && !p.recovered) {
                p.recovered_by = first;
            }
            out.stack.created_by = self.created_by(&g);
        }
        Ok(out)
    }

    /// The `go` statement that made a goroutine; goroutine 1 has none.
    fn created_by(&self, g: &G) -> Option<CreatedBy> {
        let info = self.pcs().get(LoadAddr(g.gopc), false).filter(|_| g.gopc != 0 && g.parent != 0)?;
        Some(CreatedBy { at: info.frames.first()?.at.clone(), goroutine: GoroutineId(g.parent) })
    }

    fn shown(&self, raw: RawStack, depth: usize) -> WalkedStack {
        let mut out = WalkedStack::default();
        out.stack.more = raw.more;
        out.stack.problems = raw.problems;
        for (p, f) in raw.frames.iter().enumerate() {
            for (n, l) in f.info.frames.iter().enumerate() {
                if out.stack.frames.len() >= depth {
                    out.stack.more = true;
                    break;
                }
                let physical = n + 1 == f.info.frames.len();
                out.stack.frames.push(Frame {
                    index: out.stack.frames.len() as u32,
                    at: l.at.clone(),
                    inlined: !physical,
                    cfa: f.cfa,
                    system_stack: f.system_stack,
                    hidden: l.internal || (physical && f.info.wrapper),
                    defers: Vec::new(),
                });
                out.origin.push((p as u32, n as u32));
            }
        }
        out.raw = raw.frames;
        out
    }
}
