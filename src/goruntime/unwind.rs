//! Walking a stack with nothing but the function table: right for stripped files, for every release, and cheap.
//!
//! A frame's size at a PC gives its caller; where control left the chain of calls (system stacks, signals, faults) the
//! runtime keeps the other end, and each of those places is a case in [`Unwinder::below`].

use super::g::G;
use super::layout::Layout;
use super::pcinfo::{PcCache, PcInfo, Special};
use crate::arch::Registers;
use crate::base::{LoadAddr, Memory};
use std::sync::Arc;

/// Changes of stack that one walk may make.
const MAX_SWITCHES: u32 = 8;
/// Bytes fetched at once when the window does not have a word.
const REFILL: usize = 2048;
/// Offsets in the signal context that the kernel pushes (`ucontext_t`, amd64).
const UC_RSP: u64 = 160;
const UC_RIP: u64 = 168;
/// The first of the general registers there.
pub(super) const UC_GREGS: u64 = 40;

/// A physical frame.
#[derive(Clone, Debug)]
pub struct RawFrame {
    /// Where it stands.
    pub pc: LoadAddr,
    /// It stands exactly at `pc`, which is not a return address.
    pub exact: bool,
    /// Canonical frame address: SP before the call.
    pub cfa: LoadAddr,
    /// SP in the body of the function.
    pub sp: LoadAddr,
    /// On g0 or gsignal.
    pub system_stack: bool,
    /// Facts about the PC.
    pub info: Arc<PcInfo>,
}

/// Where to begin.
#[derive(Clone, Copy, Debug, Default)]
pub struct Start {
    /// PC.
    pub pc: LoadAddr,
    /// SP.
    pub sp: LoadAddr,
    /// Execution stands exactly there.
    pub exact: bool,
    /// On g0 or gsignal.
    pub system_stack: bool,
}

/// A walked stack.
#[derive(Clone, Debug, Default)]
pub struct RawStack {
    /// Innermost first.
    pub frames: Vec<RawFrame>,
    /// Stopped at the depth asked for.
    pub more: bool,
    /// What went wrong, in words.
    pub problems: Vec<String>,
}

/// Walks one stack, a frame a call.
pub struct Unwinder<'a> {
    mem: &'a dyn Memory,
    cache: &'a PcCache,
    layout: &'a Layout,
    curg: Option<G>,
    m: LoadAddr,
    /// Window of stack that was read already.
    base: u64,
    bytes: std::borrow::Cow<'a, [u8]>,
    next: Option<Start>,
    switches: u32,
    last_sp: u64,
    /// The frame above stands in a function that changes SP (`gogo`): what is below may be no frame yet.
    switching: bool,
    problem: Option<String>,
}

impl<'a> Unwinder<'a> {
    /// A walk from `start`; `curg` is the goroutine on whose behalf the stack is.
    pub fn new(mem: &'a dyn Memory, cache: &'a PcCache, layout: &'a Layout, curg: Option<G>, start: Start) -> Self {
        Unwinder {
            mem,
            cache,
            layout,
            curg,
            m: curg.map_or(LoadAddr(0), |g| g.m),
            base: 0,
            bytes: std::borrow::Cow::Borrowed(&[]),
            next: Some(start),
            switches: 0,
            last_sp: 0,
            switching: false,
            problem: None,
        }
    }

    /// Says which `runtime.m` the thread is, for when it works for no goroutine.
    pub fn with_m(mut self, m: LoadAddr) -> Self {
        self.m = m;
        self
    }

    /// Uses a window of stack memory that was read already.
    pub fn with_window(mut self, base: LoadAddr, bytes: &'a [u8]) -> Self {
        self.base = base.0;
        self.bytes = std::borrow::Cow::Borrowed(bytes);
        self
    }

    /// What stopped the walk early.
    pub fn problem(&mut self) -> Option<String> {
        self.problem.take()
    }

    fn word(&mut self, addr: LoadAddr) -> Option<u64> {
        let off = addr.0.wrapping_sub(self.base);
        if let Ok(o) = usize::try_from(off)
            && let Some(b) = o.checked_add(8).and_then(|e| self.bytes.get(o..e))
        {
            return b.try_into().ok().map(u64::from_le_bytes);
        }
        let to_page = (4096 - addr.0 % 4096) as usize;
        for len in [REFILL, to_page] {
            if len >= 8
                && let Ok(v) = self.mem.read_vec(addr, len)
            {
                self.base = addr.0;
                self.bytes = std::borrow::Cow::Owned(v);
                return self.bytes.get(..8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
            }
        }
        self.mem.read_u64(addr).ok()
    }

    /// The next frame outwards.
    pub fn step(&mut self) -> Option<RawFrame> {
        let at = self.next.take()?;
        let Some(info) = self.cache.get(at.pc, at.exact) else {
            self.next = self.leave_foreign_code();
            if self.next.is_some() {
                return self.step();
            }
            if !self.switching {
                self.problem = Some(format!("no Go function at {}", at.pc));
            }
            return None;
        };
        let Some(delta) = info.delta else {
            self.next = self.leave_foreign_code();
            if self.next.is_some() {
                return self.step();
            }
            return None;
        };
        // The functions that call into the vDSO move and align SP: their frame is where the runtime noted it.
        if at.exact
            && info.sp_write
            && info.special == Special::None
            && let Some((pc, cfa)) = self.vdso_caller()
        {
            let system_stack = self.is_system(cfa);
            self.next = self.switch(Start { pc, sp: cfa, exact: false, system_stack });
            return Some(RawFrame { pc: at.pc, exact: true, cfa, sp: at.sp, system_stack, info });
        }
        // Nobody called what the kernel's frame for a signal returns to.
        let cfa = if info.special == Special::Sigreturn { at.sp } else { at.sp.add(u64::from(delta) + 8) };
        let frame =
            RawFrame { pc: at.pc, exact: at.exact, cfa, sp: at.sp, system_stack: at.system_stack, info: info.clone() };
        self.next = self.below(&frame, at);
        Some(frame)
    }

    /// Where the frame below begins.
    fn below(&mut self, f: &RawFrame, at: Start) -> Option<Start> {
        match f.info.special {
            Special::Sigtramp | Special::Sigreturn => {
                let (pc, sp) = interrupted(f.cfa, |at| self.word(at))?;
                let system_stack = self.is_system(sp);
                return self.switch(Start { pc, sp, exact: true, system_stack });
            }
            Special::Systemstack | Special::Mcall | Special::Morestack if at.system_stack => {
                return self.resume_goroutine();
            }
            // SP is the goroutine's already, and the next thing is the jump.
            Special::Gogo if !at.system_stack && at.exact => {
                let g = self.curg?;
                return self.switch(Start { pc: LoadAddr(g.sched_pc), sp: at.sp, exact: false, system_stack: false });
            }
            Special::AsmcgocallOnSystem => return self.asmcgocall_on_system(f),
            Special::SystemBottom => return if at.system_stack { self.resume_saved_goroutine() } else { None },
            Special::Asmcgocall if at.system_stack => {
                let g = self.curg?;
                let depth = self.word(f.sp.add(self.layout.facts.asmcgocall_depth))?;
                let noted = LoadAddr(g.stack_hi.wrapping_sub(depth));
                let saved = LoadAddr(g.sched_sp);
                // At its own instructions it may not have noted how deep the goroutine's stack is; what it saved first says the same.
                let sp = if at.exact && g.on_stack(saved) { saved } else { noted };
                if g.on_stack(sp) {
                    return self.switch(Start { pc: at.pc, sp, exact: false, system_stack: false });
                }
                return self.resume_goroutine();
            }
            _ => {}
        }
        // Where execution stands the frame size is right, also in a function that writes SP later.
        let innermost = f.exact;
        self.switching = innermost && f.info.sp_write;
        if f.info.top || (f.info.sp_write && !innermost && f.info.special == Special::None) {
            return None;
        }
        if f.sp.0 < self.last_sp {
            self.problem = Some(format!("the stack goes backwards at {}", f.sp));
            return None;
        }
        self.last_sp = f.sp.0.max(1);
        let ret_at = LoadAddr(f.cfa.0.wrapping_sub(8));
        let Some(ret) = self.word(ret_at) else {
            self.problem = Some(format!("cannot read the return address at {ret_at}"));
            return None;
        };
        if ret == 0 {
            return None;
        }
        let exact = f.info.special == Special::ExactBelow;
        Some(Start { pc: LoadAddr(ret), sp: f.cfa, exact, system_stack: at.system_stack })
    }

    /// The caller of `asmcgocall` on the same stack: 0 for a goroutine and the SP from before are noted, once the room for that is made and
    /// aligned.
    fn asmcgocall_on_system(&mut self, f: &RawFrame) -> Option<Start> {
        let (at, room) = (self.layout.facts.asmcgocall_depth, self.layout.facts.asmcgocall_room);
        let may_be = [f.sp.add(room + 8), f.sp.add(room)];
        let noted = match self.word(f.sp.add(at + 8))? {
            0 => self.word(f.sp.add(at)).map(LoadAddr).filter(|sp| may_be.contains(sp)),
            _ => None,
        };
        // From there on its frame is as everybody's; above the return address is the C function, which is in no table.
        let frame = u64::from(f.info.delta?);
        let returns = |u: &mut Self, sp: LoadAddr| u.word(sp.add(frame)).map(LoadAddr);
        let is_code = |u: &mut Self, sp| returns(u, sp).is_some_and(|pc| u.cache.get(pc, false).is_some());
        let sp = noted.or_else(|| may_be.into_iter().find(|sp| is_code(self, *sp)))?;
        Some(Start { pc: returns(self, sp)?, sp: sp.add(frame + 8), exact: false, system_stack: true })
    }

    /// Is an address anywhere else than on the goroutine's stack?
    fn is_system(&self, sp: LoadAddr) -> bool {
        !self.curg.is_some_and(|g| g.on_stack(sp))
    }

    fn switch(&mut self, s: Start) -> Option<Start> {
        self.switches += 1;
        if self.switches > MAX_SWITCHES {
            self.problem = Some("too many changes of stack".into());
            return None;
        }
        self.last_sp = 1;
        Some(s)
    }

    fn resume_goroutine(&mut self) -> Option<Start> {
        let g = self.curg?;
        if g.sched_sp == 0 || !g.on_stack(LoadAddr(g.sched_sp)) {
            return None;
        }
        self.switch(Start { pc: LoadAddr(g.sched_pc), sp: LoadAddr(g.sched_sp), exact: false, system_stack: false })
    }

    fn resume_saved_goroutine(&mut self) -> Option<Start> {
        self.curg.filter(|g| g.status != super::g::status::RUNNING)?;
        self.resume_goroutine()
    }

    /// PC and SP of the Go code that called into the vDSO, while it has.
    fn vdso_caller(&self) -> Option<(LoadAddr, LoadAddr)> {
        if self.m.is_nil() {
            return None;
        }
        let sp = self.mem.read_ptr(self.m.add(self.layout.m.vdso_sp)).ok().filter(|p| !p.is_nil())?;
        Some((self.mem.read_ptr(self.m.add(self.layout.m.vdso_pc)).ok()?, sp))
    }

    /// C code and the vDSO have no table; the runtime noted where Go code left for them.
    fn leave_foreign_code(&mut self) -> Option<Start> {
        if let Some((pc, sp)) = self.vdso_caller() {
            let system_stack = self.is_system(sp);
            return self.switch(Start { pc, sp, exact: false, system_stack });
        }
        let g = self.curg?;
        if g.syscall_sp != 0 && g.on_stack(LoadAddr(g.syscall_sp)) {
            return self.switch(Start {
                pc: LoadAddr(g.syscall_pc),
                sp: LoadAddr(g.syscall_sp),
                exact: false,
                system_stack: false,
            });
        }
        None
    }

    /// Walks at most `depth` frames.
    pub fn run(mut self, depth: usize) -> RawStack {
        let mut out = RawStack::default();
        while out.frames.len() < depth {
            match self.step() {
                Some(f) => out.frames.push(f),
                None => break,
            }
        }
        out.more = self.next.is_some();
        out.problems.extend(self.problem.take());
        out
    }
}

/// PC and SP of what a signal interrupted, by the context that the kernel pushed.
pub(super) fn interrupted(
    context: LoadAddr,
    mut word: impl FnMut(LoadAddr) -> Option<u64>,
) -> Option<(LoadAddr, LoadAddr)> {
    let (pc, sp) = (word(context.add(UC_RIP))?, LoadAddr(word(context.add(UC_RSP))?));
    // While the handler injects a call the PC is pushed already, and the new one not set yet (`sigctxt.pushCall`).
    let pushed = word(sp) == Some(pc);
    Some((LoadAddr(pc), if pushed { sp.add(8) } else { sp }))
}

/// Start of a walk from a thread's registers.
pub fn from_registers(regs: &Registers, system_stack: bool) -> Start {
    Start { pc: LoadAddr(regs.pc()), sp: LoadAddr(regs.sp()), exact: true, system_stack }
}
