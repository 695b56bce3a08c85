//! One `runtime.g`, and which one a thread runs.

use super::layout::Layout;
use super::many::Many;
use crate::base::{LoadAddr, Memory, MemoryError};
use crate::model::GoroutineState;

/// Bit that says a goroutine's stack is being scanned.
pub const SCAN_BIT: u32 = 0x1000;

/// Status numbers of `runtime.g`, the same since 1.2; 10 and 11 are new in 1.26.
pub mod status {
    #![allow(missing_docs)]
    pub const IDLE: u32 = 0;
    pub const RUNNABLE: u32 = 1;
    pub const RUNNING: u32 = 2;
    pub const SYSCALL: u32 = 3;
    pub const WAITING: u32 = 4;
    pub const DEAD: u32 = 6;
    pub const COPYSTACK: u32 = 8;
    pub const PREEMPTED: u32 = 9;
    pub const LEAKED: u32 = 10;
    pub const DEAD_EXTRA: u32 = 11;
}

/// The parts of a `runtime.g` that are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct G {
    pub addr: LoadAddr,
    pub goid: u64,
    /// Without the scan bit.
    pub status: u32,
    pub wait_reason: u8,
    pub wait_since: u64,
    pub stack_lo: u64,
    pub stack_hi: u64,
    pub sched_pc: u64,
    pub sched_sp: u64,
    pub syscall_pc: u64,
    pub syscall_sp: u64,
    pub m: LoadAddr,
    pub parent: u64,
    pub gopc: u64,
    pub startpc: u64,
    pub waiting: LoadAddr,
    pub labels: LoadAddr,
    pub defers: LoadAddr,
    pub panics: LoadAddr,
    pub cleaning: bool,
    /// Counts, modulo 256, how often it stopped running (`casgstatus` raises `trackingSeq` at each transition out of `_Grunning`).
    pub stints: Option<u8>,
}

/// Bytes to read of a g.
pub fn window(l: &Layout) -> usize {
    (l.g.labels.max(l.g.startpc).max(l.g.waiting) + 8) as usize
}

fn word(b: &[u8], at: u64) -> u64 {
    b.get(at as usize..at as usize + 8).and_then(|s| s.try_into().ok()).map_or(0, u64::from_le_bytes)
}

impl G {
    /// From the bytes at `addr`, [`window`] of them.
    pub fn parse(l: &Layout, addr: LoadAddr, b: &[u8]) -> G {
        let o = &l.g;
        G {
            addr,
            goid: word(b, o.goid),
            status: word(b, o.status) as u32 & !SCAN_BIT,
            wait_reason: b.get(o.waitreason as usize).copied().unwrap_or(0),
            wait_since: word(b, o.waitsince),
            stack_lo: word(b, o.stack_lo),
            stack_hi: word(b, o.stack_hi),
            sched_pc: word(b, o.sched_pc),
            sched_sp: word(b, o.sched_sp),
            syscall_pc: word(b, o.syscallpc),
            syscall_sp: word(b, o.syscallsp),
            m: LoadAddr(word(b, o.m)),
            parent: word(b, o.parent_goid),
            gopc: word(b, o.gopc),
            startpc: word(b, o.startpc),
            waiting: LoadAddr(word(b, o.waiting)),
            labels: LoadAddr(word(b, o.labels)),
            defers: LoadAddr(word(b, o.defer)),
            panics: LoadAddr(word(b, o.panic)),
            stints: o.tracking_seq.and_then(|a| b.get(a as usize)).copied(),
            cleaning: o.running_cleanups.and_then(|a| b.get(a as usize)).is_some_and(|v| *v != 0),
        }
    }
    /// Reads one.
    pub fn read(l: &Layout, mem: &dyn Memory, addr: LoadAddr) -> Result<G, MemoryError> {
        Ok(G::parse(l, addr, &mem.read_vec(addr, window(l))?))
    }
    /// Reads those at many addresses, in their order; none for one that cannot be read. The error is for what stops all reads.
    pub fn read_all<'a>(
        l: &'a Layout,
        mem: &dyn Memory,
        at: &'a [u64],
    ) -> Result<impl Iterator<Item = Option<G>> + use<'a>, MemoryError> {
        let many = Many::read(mem, at, window(l))?;
        Ok(at.iter().enumerate().map(move |(i, &a)| Some(G::parse(l, LoadAddr(a), many.get(i)?))))
    }
    /// Is it in use?
    pub fn alive(&self) -> bool {
        !matches!(self.status, status::IDLE | status::DEAD | status::DEAD_EXTRA)
    }
    /// Has it not run since `earlier` was read?
    pub fn same_wait(&self, earlier: &G) -> bool {
        (self.status, self.sched_sp, self.sched_pc, self.wait_reason, self.waiting)
            == (earlier.status, earlier.sched_sp, earlier.sched_pc, earlier.wait_reason, earlier.waiting)
            && self.stack_hi == earlier.stack_hi
    }
    /// Is it parked, for its wait reason?
    pub fn waits(&self) -> bool {
        matches!(self.status, status::WAITING | status::LEAKED)
    }
    /// Its state in the model's words.
    pub fn state(&self) -> GoroutineState {
        state(self.status)
    }
    /// Where its own context was saved: (pc, sp); none while it runs.
    pub fn parked_at(&self) -> Option<(LoadAddr, LoadAddr)> {
        let (pc, sp) = match self.status {
            status::SYSCALL if self.syscall_sp != 0 => (self.syscall_pc, self.syscall_sp),
            status::RUNNABLE
            | status::WAITING
            | status::PREEMPTED
            | status::LEAKED
            | status::COPYSTACK
            | status::SYSCALL => (self.sched_pc, self.sched_sp),
            _ => return None,
        };
        (pc != 0 && sp >= self.stack_lo && sp <= self.stack_hi).then_some((LoadAddr(pc), LoadAddr(sp)))
    }
    /// Is an address on its stack?
    pub fn on_stack(&self, sp: LoadAddr) -> bool {
        sp.0 >= self.stack_lo && sp.0 <= self.stack_hi && self.stack_hi != 0
    }
}

/// Status number to state.
pub fn state(n: u32) -> GoroutineState {
    match n {
        status::IDLE => GoroutineState::Idle,
        status::RUNNABLE => GoroutineState::Runnable,
        status::RUNNING => GoroutineState::Running,
        status::SYSCALL => GoroutineState::Syscall,
        status::COPYSTACK => GoroutineState::Copystack,
        status::PREEMPTED => GoroutineState::Preempted,
        status::LEAKED => GoroutineState::Leaked,
        status::DEAD | status::DEAD_EXTRA => GoroutineState::Dead,
        _ => GoroutineState::Waiting,
    }
}

/// What a thread runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CurrentG {
    /// The g in thread-local storage: a goroutine's, g0 or gsignal.
    pub g: LoadAddr,
    /// The thread's `runtime.m`.
    pub m: LoadAddr,
    /// It is the m's system goroutine.
    pub is_g0: bool,
    /// It is the m's signal goroutine.
    pub is_gsignal: bool,
    /// The user goroutine on whose behalf the thread works; nil if none.
    pub curg: LoadAddr,
    /// Its id; 0 if none.
    pub goid: u64,
}

/// Where executables keep the thread's `runtime.g`, from the thread pointer on.
pub const TLS_G: i64 = -8;

/// What the thread with this `fs_base` runs; none if it is not a Go thread (yet). `tls_g` is where its g is from there.
pub fn current_g(l: &Layout, mem: &dyn Memory, fs_base: u64, tls_g: i64) -> Option<CurrentG> {
    if fs_base == 0 {
        return None;
    }
    let g = mem.read_ptr(LoadAddr(fs_base.wrapping_add_signed(tls_g))).ok().filter(|g| !g.is_nil())?;
    let m = mem.read_ptr(g.add(l.g.m)).ok().filter(|m| !m.is_nil())?;
    let g0 = mem.read_ptr(m.add(l.m.g0)).ok()?;
    let gsignal = mem.read_ptr(m.add(l.m.gsignal)).ok()?;
    let saved = mem.read_ptr(m.add(l.m.curg)).ok()?;
    let (is_g0, is_gsignal) = (g == g0, g == gsignal);
    let curg = if is_g0 || is_gsignal { saved } else { g };
    let goid = if curg.is_nil() { 0 } else { mem.read_u64(curg.add(l.g.goid)).ok()? };
    Some(CurrentG { g, m, is_g0, is_gsignal, curg, goid })
}
