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
use std::collections::HashMap;
use std::sync::Arc;

/// Goroutines that one worker looks at at once.
const CHUNK: usize = 1024;

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
    /// It did not move while it was looked at.
    pub stable: bool,
}

impl Seen {
    /// Its id.
    pub fn id(&self) -> GoroutineId {
        GoroutineId(self.g.goid)
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
    /// Nothing ran while it was made: what was read is of one moment.
    pub still: bool,
    /// Channels that are contexts' Done channels; filled by the heap walk.
    pub contexts: rustc_hash::FxHashSet<LoadAddr>,
}

/// Numbers of each P in [`ticks`].
const PER_P: usize = 6;

/// Scheduler counters that change when any goroutine is scheduled; and the next timer of each P, since a goroutine that a timer wakes on an
/// idle P inherits its time slice, which is not counted.
fn ticks(rt: &GoRuntime, mem: &dyn Memory) -> Option<Vec<u64>> {
    let (l, allp) = (rt.layout().sched?, rt.globals().allp?);
    let (at, n) = (mem.read_ptr(allp).ok()?, mem.read_u64(allp.add(8)).ok()?.min(4096));
    let t = rt.layout().timer?;
    let running = |p: LoadAddr| -> Option<[u64; PER_P]> {
        let w = |o| mem.read_u32(p.add(o)).ok().map(u64::from);
        let heap = p.add(t.p_timers + t.heap.unwrap_or(0));
        let (first, timers) = (mem.read_ptr(heap).ok()?, mem.read_u64(heap.add(8)).ok()?);
        let (mut next, mut when) = (LoadAddr(0), 0);
        if timers > 0 {
            next = mem.read_ptr(first).ok()?;
            let at = if rt.layout().facts.timers_are_pairs { first.add(8) } else { next.add(t.when) };
            when = mem.read_u64(at).ok()?;
        }
        Some([w(l.p_schedtick)?, w(l.p_syscalltick)?, w(l.p_status)?, timers, next.0, when])
    };
    let mut out = Vec::new();
    for i in 0..n {
        out.extend(running(mem.read_ptr(at.add(i * 8)).ok()?)?);
    }
    Some(out)
}

/// Watches whether anything runs between two moments.
pub struct Stillness(Option<Vec<u64>>);

impl Stillness {
    /// From now on.
    pub fn begin(rt: &GoRuntime, mem: &dyn Memory) -> Stillness {
        Stillness(ticks(rt, mem))
    }
    /// Nothing was scheduled since, and no P runs anything now.
    pub fn holds(&self, rt: &GoRuntime, mem: &dyn Memory) -> bool {
        const P_RUNNING: u64 = 1;
        let now = ticks(rt, mem);
        now.is_some() && now == self.0 && now.is_some_and(|t| t.chunks(PER_P).all(|p| p[2] != P_RUNNING))
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
                        let frames = scanner.scan(&g, regs, &mut |w| {
                            if heap.is_some_and(|h| h.may_contain(w.value)) {
                                words.push(w);
                            }
                        });
                        let reason = if g.waits() { rt.wait_reason(g.wait_reason) } else { None };
                        Some(Seen {
                            found: waits.of(&g),
                            reason: reason.unwrap_or_else(|| Arc::from("")),
                            system: list.is_system(row),
                            g,
                            row,
                            frames,
                            words,
                            stable: true,
                        })
                    })
                    .collect()
            })
            .collect();
        let seen = parts.into_iter().flatten().collect();
        let mut look = Look { rt, mem, list, seen, still: stopped, contexts: Default::default() };
        if !stopped {
            look.check(mem)?;
            look.still = stillness.holds(rt, mem);
        }
        Ok(look)
    }

    /// Reads every goroutine again: those that moved were not seen at one moment. Can be asked again later; what has moved once stays so.
    pub fn check(&mut self, mem: &dyn Memory) -> Result<(), MemoryError> {
        let size = crate::goruntime::g::window(self.rt.layout());
        let rt = self.rt;
        self.seen.par_chunks_mut(CHUNK).try_for_each(|part| {
            let at: Vec<u64> = part.iter().map(|s| s.g.addr.0).collect();
            let mut buf = vec![0u8; size * at.len()];
            let ok = crate::goruntime::goroutines::read_many(mem, &at, size, &mut buf)?;
            for ((s, b), ok) in part.iter_mut().zip(buf.chunks_exact(size)).zip(ok) {
                let now = G::parse(rt.layout(), s.g.addr, b);
                s.stable &= ok && now.goid == s.g.goid && now.same_wait(&s.g);
            }
            Ok::<(), MemoryError>(())
        })
    }
}
