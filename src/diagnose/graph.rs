//! The wait-for graph of one look: objects, who waits for them, who holds them or could serve them.

use super::look::{Look, Seen};
use super::reach::{Reach, depends};
use crate::base::{LoadAddr, Memory};
use crate::heap::Heap;
use crate::model::{Evidence, WaitKind, WaitOn, WaitOp};
use crate::waits::holders::{Hold, Holders, WillDo};
use crate::waits::lockflow::Mode;
use rayon::prelude::*;
use rustc_hash::FxHashMap;

/// `sync.Once.m`.
const ONCE_M: u64 = 4;
/// `sync.Cond.L`: the data word of the interface.
const COND_L: u64 = 8;
/// Goroutines that refer to one object: with more the reference says nothing about who would serve it.
const MAX_SERVERS: usize = 64;
/// Steps from a stack that count as near.
const NEAR: u8 = 2;

/// Someone who holds an object, or could serve it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Index of the look.
    pub who: u32,
    /// How it is known.
    pub evidence: Evidence,
    /// How a lock is held; none for what is no lock, and for a writer that is queued.
    pub mode: Option<Mode>,
}

/// Something waited for.
#[derive(Clone, Debug)]
pub struct Object {
    /// As its first waiter sees it.
    pub on: WaitOn,
    /// Waiters (index of the look) and what they want.
    pub waiters: Vec<(u32, WaitOp)>,
    /// Holders, or those who could serve it.
    pub held: Vec<Holder>,
}

/// Is it a lock?
pub fn is_lock(kind: WaitKind) -> bool {
    matches!(kind, WaitKind::Mutex | WaitKind::Rwmutex | WaitKind::Once)
}

impl Object {
    /// Those of its holders that a waiter who wants `op` waits for.
    pub fn blockers(&self, op: WaitOp) -> impl Iterator<Item = &Holder> {
        let reader = self.on.kind == WaitKind::Rwmutex && op == WaitOp::Rlock;
        let writer = self.on.kind == WaitKind::Rwmutex && op == WaitOp::Lock;
        self.held.iter().filter(move |h| match h.mode {
            Some(Mode::Read) => !reader,
            Some(Mode::Write) => true,
            // A queued writer keeps new readers out, not other writers.
            None => !writer,
        })
    }
}

/// The graph.
#[derive(Default)]
pub struct Graph {
    /// Objects.
    pub objects: Vec<Object>,
    /// By address.
    pub by_addr: FxHashMap<LoadAddr, u32>,
    /// By index of the look: the objects that the goroutine waits for.
    pub waits: Vec<Vec<(u32, WaitOp)>>,
    /// By index of the look: locks that it holds.
    pub holds: Vec<Vec<Hold>>,
}

impl Graph {
    /// Builds it. Without reachability there are no holders by exclusion and nobody who could serve a channel.
    pub fn build(look: &Look<'_>, reach: Option<(&Reach, &Heap<'_>)>) -> Graph {
        let mut g = Graph { waits: vec![Vec::new(); look.seen.len()], ..Graph::default() };
        for (i, s) in look.seen.iter().enumerate().filter(|(_, s)| !s.system) {
            for on in s.found.on.iter().filter(|o| depends(o.kind)) {
                let Some(addr) = on.addr else { continue };
                let n = *g.by_addr.entry(addr).or_insert_with(|| {
                    g.objects.push(Object { on: on.clone(), waiters: Vec::new(), held: Vec::new() });
                    g.objects.len() as u32 - 1
                });
                g.objects[n as usize].waiters.push((i as u32, on.op));
                g.waits[i].push((n, on.op));
            }
        }
        g.add_holders(look);
        g.add_queued_writers();
        if let Some((reach, heap)) = reach {
            g.add_referrers(look, reach, heap);
        }
        g
    }

    fn add_holders(&mut self, look: &Look<'_>) {
        self.holds = vec![Vec::new(); look.seen.len()];
        let kinds = |k: WaitKind| is_lock(k) || k == WaitKind::Waitgroup;
        // Of those that panic it is told which locks they hold.
        let panics = look.seen.iter().any(|s| !s.system && !s.g.panics.is_nil());
        if !panics && !self.objects.iter().any(|o| kinds(o.on.kind)) {
            return;
        }
        let holders = Holders::new(look.rt, look.mem);
        let found: Vec<(Vec<Hold>, Vec<WillDo>)> = look
            .seen
            .par_iter()
            .map(|s| {
                if s.system || !s.stable || s.frames.is_empty() {
                    return Default::default();
                }
                let wanted = s.found.on.iter().find(|o| is_lock(o.kind)).and_then(|o| o.addr);
                let (mut holds, will) = holders.of(&s.g, &s.frames, wanted);
                let not_held = released_by_cond(look.mem, s, wanted);
                holds.retain(|h| h.lock.is_none_or(|l| !not_held.contains(&l)));
                (holds, will)
            })
            .collect();
        for (i, (holds, will)) in found.into_iter().enumerate() {
            let who = i as u32;
            for h in &holds {
                let Some(lock) = h.lock else { continue };
                let at = [lock, lock.offset(-(ONCE_M as i64))];
                let object = self.by_addr.get(&at[0]).or_else(|| {
                    let n = self.by_addr.get(&at[1])?;
                    (self.objects[*n as usize].on.kind == WaitKind::Once).then_some(n)
                });
                if let Some(&n) = object {
                    let o = &mut self.objects[n as usize];
                    let new = Holder { who, evidence: h.evidence, mode: Some(h.mode) };
                    if is_lock(o.on.kind) && !o.held.contains(&new) {
                        o.held.push(new);
                    }
                }
            }
            for w in will {
                if let Some(&n) = self.by_addr.get(&w.object) {
                    self.objects[n as usize].held.push(Holder { who, evidence: Evidence::Defer, mode: None });
                }
            }
            self.holds[i] = holds;
        }
        for o in &mut self.objects {
            o.held.sort_by_key(|h| (h.who, h.mode, h.evidence));
            o.held.dedup_by_key(|h| (h.who, h.mode));
        }
    }

    /// A writer that waits for readers keeps new readers out.
    fn add_queued_writers(&mut self) {
        for o in self.objects.iter_mut().filter(|o| o.on.kind == WaitKind::Rwmutex) {
            for &(who, op) in &o.waiters {
                if op == WaitOp::Lock {
                    o.held.push(Holder { who, evidence: Evidence::Runtime, mode: None });
                }
            }
        }
    }

    fn add_referrers(&mut self, look: &Look<'_>, reach: &Reach, heap: &Heap<'_>) {
        for o in &mut self.objects {
            let Some(addr) = o.on.addr else { continue };
            let lock = is_lock(o.on.kind);
            if lock && o.held.iter().any(|h| h.mode.is_some()) {
                continue;
            }
            // In the order of the look.
            let waits = |who: u32| o.waiters.binary_search_by_key(&who, |w| w.0).is_ok();
            let leaked = o.waiters.iter().all(|w| reach.leaked[w.0 as usize]);
            let mut outside: Vec<(u32, u8)> = reach
                .referrers_of(heap, addr)
                .iter()
                .copied()
                .filter(|(who, _)| !waits(*who) && look.seen[*who as usize].stable)
                .collect();
            // For a lock, exclusion: only if a single one is left, of all that can ever reach it, can it be the holder.
            if lock && (outside.len() != 1 || !leaked) {
                continue;
            }
            // Of those that could serve a channel, the nearest.
            if !lock && outside.iter().any(|r| r.1 <= NEAR) {
                outside.retain(|r| r.1 <= NEAR);
            }
            let outside: Vec<u32> = outside.into_iter().map(|r| r.0).collect();
            if outside.len() > MAX_SERVERS {
                continue;
            }
            for who in outside {
                if !o.held.iter().any(|h| h.who == who) {
                    let mode = lock.then_some(Mode::Write);
                    o.held.push(Holder { who, evidence: Evidence::Exclusion, mode });
                }
            }
        }
    }

    /// Who a goroutine waits for: (object, holder).
    pub fn edges(&self, who: u32) -> impl Iterator<Item = (u32, &Holder)> {
        self.waits[who as usize].iter().flat_map(move |&(n, op)| {
            let same = move |h: &&Holder| h.who != who || h.mode.is_some();
            self.objects[n as usize].blockers(op).filter(same).map(move |h| (n, h))
        })
    }
}

/// Cond.Wait lets its lock go while it waits, and takes it again inside: neither means that it is held.
fn released_by_cond(mem: &dyn Memory, s: &Seen, wanted: Option<LoadAddr>) -> Vec<LoadAddr> {
    let mut out = Vec::new();
    for on in s.found.on.iter().filter(|o| o.kind == WaitKind::Cond) {
        out.extend(on.addr.and_then(|c| mem.read_ptr(c.add(COND_L)).ok()));
    }
    if s.calls(|f| f == "sync.(*Cond).Wait") {
        out.extend(wanted);
    }
    out
}
