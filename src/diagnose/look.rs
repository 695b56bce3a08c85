//! One look at all goroutines: what each waits for, its frames, the pointers on its stack. Of a running target each is read and
//! then checked again; those that moved meanwhile count as running.

use crate::arch::Registers;
use crate::base::pages::PagedMemory;
use crate::base::{GoroutineId, LoadAddr, Memory, MemoryError};
use crate::goruntime::unwind::RawFrame;
use crate::goruntime::{G, GoRuntime, GoroutineList};
use crate::heap::{Heap, StackScanner, StackWords};
use crate::waits::{Found, Waits};
use rayon::prelude::*;
use rustc_hash::FxHashSet;
use std::collections::HashMap;
use std::sync::Arc;

/// Goroutines that one worker looks at at once.
const CHUNK: usize = 1024;
/// Bytes of a system stack that are read (`g0` has 16 KiB, `gsignal` 32; C threads' own more).
const MAX_SYSTEM_STACK: u64 = 256 << 10;

/// A goroutine as it was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its `runtime.g`.
    pub g: G,
    /// Row of the list.
    pub row: usize,
    /// One of the runtime's own.
    pub system: bool,
    /// Wait reason; empty when it does not wait.
    pub reason: Arc<str>,
    /// What it waits for.
    pub found: Found,
    /// Frames, innermost first.
    pub frames: Vec<RawFrame>,
    /// Words of its stack that lead into the heap.
    pub words: Vec<StackWords>,
    /// It did not move while it was looked at, and nobody was about to wake it.
    pub stable: bool,
    /// Hash of its stack.
    pub print: u64,
}

/// What else has pointers: a goroutine that is not in the list because it began later (its `runtime.g`), or a thread's system stack
/// and registers (nil).
#[derive(Clone, Debug, Default)]
pub struct Other {
    /// Its `runtime.g`, or nil.
    pub g: LoadAddr,
    /// Words that lead into the heap.
    pub words: Vec<u64>,
}

impl Seen {
    /// Its id.
    pub fn id(&self) -> GoroutineId {
        GoroutineId(self.g.goid)
    }
    /// Does another look at the same goroutine show that it has not run: the same wait, for the same objects, and the same stack?
    pub fn same(&self, o: &Seen) -> bool {
        let wants = |s: &Seen| -> Vec<_> { s.found.on.iter().map(|on| (on.addr, on.op)).collect() };
        self.g.goid == o.g.goid
            && self.g.same_wait(&o.g)
            && self.found.sudogs == o.found.sudogs
            && self.found.woken == o.found.woken
            && self.print == o.print
            && wants(self) == wants(o)
    }
    /// Is a function among its frames, inlined ones too?
    pub fn calls(&self, is: impl Fn(&str) -> bool) -> bool {
        self.logical().any(is)
    }
    /// Functions of its frames, innermost first.
    pub fn logical(&self) -> impl Iterator<Item = &str> {
        self.frames.iter().flat_map(|f| f.info.frames.iter().map(|l| l.at.function.as_str()))
    }
}

/// All goroutines of one moment.
pub struct Look<'a> {
    /// The runtime.
    pub rt: &'a GoRuntime,
    /// Memory.
    pub mem: &'a dyn Memory,
    /// The list that it was made from.
    pub list: &'a GoroutineList,
    /// Goroutines, by id.
    pub seen: Vec<Seen>,
    /// What has pointers beside them.
    pub others: Vec<Other>,
    /// Nothing ran while it was made: what was read is of one moment.
    pub still: bool,
    /// Channels that are contexts' Done channels; filled by the heap walk.
    pub contexts: rustc_hash::FxHashSet<LoadAddr>,
}

/// A P, in words that change whenever it runs anything: (status, schedtick, syscalltick, since when it is idle). The tick alone does not
/// do: a goroutine that a timer readied inherits its time slice and does not count.
type Ticks = [u64; 4];

/// `p.status`.
mod p_status {
    pub const IDLE: u64 = 0;
    pub const SYSCALL: u64 = 2;
    pub const DEAD: u64 = 4;
}
/// Kinds of `limiterEvent` stamps are their top three bits; this one says that a P is idle.
const STAMP_SHIFT: u32 = 61;
const STAMP_IDLE: u64 = 4;

fn ticks(rt: &GoRuntime, mem: &dyn Memory) -> Option<Vec<Ticks>> {
    let (l, allp) = (rt.layout().sched?, rt.globals().allp?);
    let (at, n) = (mem.read_ptr(allp).ok()?, mem.read_u64(allp.add(8)).ok()?.min(4096));
    let of = |p: LoadAddr| -> Option<Ticks> {
        let w = |o| mem.read_u32(p.add(o)).ok().map(u64::from);
        let stamp = mem.read_u64(p.add(l.p_limiter_event)).ok()?;
        Some([w(l.p_status)?, w(l.p_schedtick)?, w(l.p_syscalltick)?, stamp])
    };
    (0..n).map(|i| of(mem.read_ptr(at.add(i * 8)).ok()?)).collect()
}

/// Has a P that looked the same twice run nothing between?
fn stood(rt: &GoRuntime, p: &Ticks) -> bool {
    match p[0] {
        p_status::IDLE => p[3] >> STAMP_SHIFT == STAMP_IDLE,
        // Its goroutine is in the kernel or in C; coming back counts.
        p_status::SYSCALL => rt.layout().facts.p_syscall_status,
        p_status::DEAD => true,
        _ => false,
    }
}

/// Watches whether anything runs between two moments.
pub struct Stillness(Option<Vec<Ticks>>);

impl Stillness {
    /// From now on.
    pub fn begin(rt: &GoRuntime, mem: &dyn Memory) -> Stillness {
        Stillness(ticks(rt, mem))
    }
    /// No P has run anything since.
    pub fn holds(&self, rt: &GoRuntime, mem: &dyn Memory) -> bool {
        let now = ticks(rt, mem);
        now.as_ref() == self.0.as_ref() && now.is_some_and(|t| t.iter().all(|p| stood(rt, p)))
    }
}

impl<'a> Look<'a> {
    /// Looks at every goroutine of a list. `registers` by thread where the target stands still. With a heap, pointers are collected.
    pub fn read(
        rt: &'a GoRuntime,
        mem: &'a dyn Memory,
        list: &'a GoroutineList,
        registers: &HashMap<i32, Registers>,
        stopped: bool,
        heap: Option<&Heap<'_>>,
    ) -> Result<Look<'a>, MemoryError> {
        let stillness = Stillness::begin(rt, mem);
        let by_g: HashMap<u64, &Registers> = registers
            .values()
            .filter_map(|r| Some((rt.current_g(mem, r.fs_base).filter(|c| !c.curg.is_nil())?.curg.0, r)))
            .collect();
        let waits = Waits::new(rt, mem, list.now_ns());
        waits.prepare();
        let rows: Vec<usize> = (0..list.len()).collect();
        let parts: Vec<Vec<Seen>> = rows
            .par_chunks(CHUNK)
            .map(|rows| {
                let near = PagedMemory::new(mem);
                let waits = waits.through(&near);
                let mut scanner = StackScanner::new(rt, mem);
                rows.iter()
                    .filter_map(|&row| {
                        let g = rt.read_g(mem, list.g(row)?).ok().filter(G::alive)?;
                        let regs = by_g.get(&g.addr.0).copied();
                        let mut words = Vec::new();
                        let (frames, print) = scanner.scan_printed(&g, regs, &mut |w| {
                            if heap.is_some_and(|h| h.may_contain(w.value)) {
                                words.push(w);
                            }
                        });
                        let reason = if g.waits() { rt.wait_reason(g.wait_reason) } else { None };
                        let found = waits.of(&g);
                        Some(Seen {
                            stable: !found.woken,
                            found,
                            reason: reason.unwrap_or_else(|| Arc::from("")),
                            system: list.is_system(row),
                            g,
                            row,
                            frames,
                            words,
                            print,
                        })
                    })
                    .collect()
            })
            .collect();
        let seen: Vec<Seen> = parts.into_iter().flatten().collect();
        let mut look = Look { rt, mem, list, seen, others: Vec::new(), still: stopped, contexts: Default::default() };
        if let Some(h) = heap {
            look.add_others(registers, h)?;
        }
        if !stopped {
            look.check(mem)?;
            look.still = stillness.holds(rt, mem);
        }
        Ok(look)
    }

    /// Looks at one goroutine again: has it not run since?
    pub fn unmoved(&self, i: u32) -> bool {
        let s = &self.seen[i as usize];
        let Ok(g) = self.rt.read_g(self.mem, s.g.addr) else { return false };
        let (frames, print) = StackScanner::new(self.rt, self.mem).scan_printed(&g, None, &mut |_| ());
        let found = Waits::new(self.rt, self.mem, self.list.now_ns()).of(&g);
        let now = Seen { g, frames, print, found, ..s.clone() };
        now.same(s)
    }

    /// Goroutines that began after the list was made, and threads that work on a system stack: a timer's function, for one, is nowhere
    /// else while it is called.
    fn add_others(&mut self, registers: &HashMap<i32, Registers>, heap: &Heap<'_>) -> Result<(), MemoryError> {
        let (rt, mem) = (self.rt, self.mem);
        let known: FxHashSet<u64> = self.seen.iter().map(|s| s.g.addr.0).collect();
        let all = rt.all_gs(mem).unwrap_or_default();
        let at: Vec<u64> = all.into_iter().filter(|g| !known.contains(g)).collect();
        let mut scanner = StackScanner::new(rt, mem);
        for at in at.chunks(CHUNK) {
            for g in G::read_all(rt.layout(), mem, at)?.flatten().filter(G::alive) {
                let mut words = Vec::new();
                scanner.scan(&g, None, &mut |w| words.push(w.value));
                words.retain(|w| heap.may_contain(*w));
                self.others.push(Other { g: g.addr, words });
            }
        }
        for r in registers.values() {
            let Some(c) = rt.current_g(mem, r.fs_base).filter(|c| c.is_g0 || c.is_gsignal) else { continue };
            // One that is parked has nothing on its stack but what it did before; one without a P may not touch the heap at all.
            let idle = rt.layout().sched.is_some_and(|l| {
                mem.read_u8(c.m.add(l.m_blocked)).is_ok_and(|b| b != 0)
                    || mem.read_u64(c.m.add(l.m_p)).is_ok_and(|p| p == 0)
            });
            if idle {
                continue;
            }
            let mut words: Vec<u64> = r.gp.to_vec();
            if let Ok(g) = rt.read_g(mem, c.g)
                && g.on_stack(LoadAddr(r.sp()))
                && let Ok(b) = mem.read_vec(LoadAddr(r.sp()), (g.stack_hi - r.sp()).min(MAX_SYSTEM_STACK) as usize)
            {
                words.extend(b.chunks_exact(8).filter_map(|w| Some(u64::from_le_bytes(w.try_into().ok()?))));
            }
            words.retain(|w| heap.may_contain(*w));
            self.others.push(Other { g: LoadAddr(0), words });
        }
        Ok(())
    }

    /// Reads every goroutine again: those that moved were not seen at one moment. Can be asked again later; what has moved once stays so.
    pub fn check(&mut self, mem: &dyn Memory) -> Result<(), MemoryError> {
        let rt = self.rt;
        self.seen.par_chunks_mut(CHUNK).try_for_each(|part| {
            let at: Vec<u64> = part.iter().map(|s| s.g.addr.0).collect();
            for (s, now) in part.iter_mut().zip(G::read_all(rt.layout(), mem, &at)?) {
                s.stable &= now.is_some_and(|now| now.goid == s.g.goid && now.same_wait(&s.g));
            }
            Ok::<(), MemoryError>(())
        })
    }
}
