//! Which goroutines can never wake: reachability as the runtime's leak detector does it (go/src/runtime/mgc.go, GOLF), from outside.
//!
//! Everything is marked from globals and from goroutines that can run. A waiting goroutine whose object is reached can be woken: it is
//! added, and marking goes on, until nothing changes. What is left waits for objects that nothing which runs can ever touch.

use super::look::{Look, Seen};
use crate::base::LoadAddr;
use crate::heap::{Heap, Marker, ObjectId};
use crate::model::{WaitKind, WaitOn};
use rustc_hash::{FxHashMap, FxHashSet};

/// Is a wait one of those that only another goroutine can end?
pub fn depends(kind: WaitKind) -> bool {
    use WaitKind::*;
    matches!(kind, Chan | Select | Mutex | Rwmutex | Waitgroup | Cond | Once)
}

/// Will a timer end the wait?
pub fn timed(on: &WaitOn) -> bool {
    on.detail.as_deref().is_some_and(|d| d.starts_with("timer"))
}

/// A goroutine whose wait only another goroutine can end, with the objects that would.
pub fn candidate(s: &Seen) -> bool {
    s.stable && !s.system && !s.found.on.is_empty() && s.found.on.iter().all(|o| depends(o.kind) && !timed(o))
}

/// What reachability says.
#[derive(Default)]
pub struct Reach {
    /// By index of the look: it can never wake.
    pub leaked: Vec<bool>,
    /// Objects waited for (their heap object) by who refers to them: goroutines, by the number of steps. Two steps for all; any number
    /// where only leaked goroutines reach them.
    pub referrers: FxHashMap<ObjectId, Vec<(u32, u8)>>,
    /// References from objects to objects waited for: (from, offset in it, to).
    pub met: Vec<(ObjectId, u64, ObjectId)>,
    /// Objects and bytes that something reaches.
    pub live: (u64, u64),
}

impl Reach {
    /// Walks the heap.
    pub fn find(look: &Look<'_>, heap: &Heap<'_>) -> Reach {
        let mut m = Marker::new(heap);
        for s in &look.seen {
            m.hide(s.g.addr.0);
            for sudog in &s.found.sudogs {
                m.hide(sudog.0);
            }
            for addr in s.found.on.iter().filter_map(|o| o.addr) {
                m.watch(addr.0);
            }
        }
        // Goroutines that ended are kept for reuse: they are no roots.
        if let Ok(all) = look.rt.all_gs(look.mem) {
            for g in all {
                m.hide(g);
            }
        }
        for r in heap.roots() {
            m.add(r.value);
        }
        let add = |m: &mut Marker<'_, '_>, s: &Seen| {
            m.add_contents(s.g.addr.0);
            for w in &s.words {
                m.add(w.value);
            }
        };
        let mut leaked: Vec<bool> = look.seen.iter().map(candidate).collect();
        for (s, _) in look.seen.iter().zip(&leaked).filter(|(_, c)| !**c) {
            add(&mut m, s);
        }
        for o in &look.others {
            m.add_contents(o.g.0);
            o.words.iter().for_each(|w| m.add(*w));
        }
        m.drain();
        loop {
            let mut progress = false;
            for (s, l) in look.seen.iter().zip(&mut leaked).filter(|(_, l)| **l) {
                if s.found.on.iter().filter_map(|o| o.addr).any(|a| m.reached(a.0)) {
                    *l = false;
                    progress = true;
                    add(&mut m, s);
                }
            }
            if !progress {
                break;
            }
            m.drain();
        }
        let live = m.total();
        m.record();
        for (s, _) in look.seen.iter().zip(&leaked).filter(|(_, l)| **l) {
            add(&mut m, s);
        }
        m.drain();
        let object = |a: u64| heap.find(a).map(|(span, slot)| ObjectId { span, slot });
        let met: Vec<(ObjectId, u64, ObjectId)> =
            m.met().iter().filter_map(|x| Some((x.from, x.offset, object(x.value)?))).collect();
        let edges = m.recorded();
        let mut reach = Reach { leaked, referrers: FxHashMap::default(), met, live };
        reach.note_referrers(look, heap);
        reach.note_far_referrers(look, heap, &edges);
        reach
    }

    fn note_referrers(&mut self, look: &Look<'_>, heap: &Heap<'_>) {
        let mut one: FxHashMap<ObjectId, Vec<ObjectId>> = FxHashMap::default();
        for s in &look.seen {
            for a in s.found.on.iter().filter_map(|o| o.addr) {
                if let Some((span, slot)) = heap.find(a.0) {
                    self.referrers.entry(ObjectId { span, slot }).or_default();
                }
            }
        }
        for (from, _, to) in &self.met {
            let v = one.entry(*from).or_default();
            if !v.contains(to) {
                v.push(*to);
            }
        }
        for (i, s) in look.seen.iter().enumerate().filter(|(_, s)| !s.system) {
            let mut mine: Vec<(ObjectId, u8)> = Vec::new();
            let mut note = |o: ObjectId, steps: u8| match mine.iter_mut().find(|m| m.0 == o) {
                Some(m) => m.1 = m.1.min(steps),
                None => mine.push((o, steps)),
            };
            for w in &s.words {
                let Some((span, slot)) = heap.find(w.value) else { continue };
                let o = ObjectId { span, slot };
                if self.referrers.contains_key(&o) {
                    note(o, 1);
                }
                for to in one.get(&o).into_iter().flatten() {
                    note(*to, 2);
                }
            }
            for (o, steps) in mine {
                self.referrers.entry(o).or_default().push((i as u32, steps));
            }
        }
    }

    /// Backwards from each object along the references of the part of the heap that only leaked goroutines reach.
    fn note_far_referrers(&mut self, look: &Look<'_>, heap: &Heap<'_>, edges: &[(ObjectId, ObjectId)]) {
        const MAX_OBJECTS: usize = 10_000;
        let mut back: FxHashMap<ObjectId, Vec<ObjectId>> = FxHashMap::default();
        for (from, to) in edges {
            back.entry(*to).or_default().push(*from);
        }
        let mut on_stack: FxHashMap<ObjectId, Vec<u32>> = FxHashMap::default();
        for (i, s) in look.seen.iter().enumerate().filter(|(i, _)| self.leaked[*i]) {
            for w in &s.words {
                if let Some((span, slot)) = heap.find(w.value) {
                    let v = on_stack.entry(ObjectId { span, slot }).or_default();
                    if v.last() != Some(&(i as u32)) {
                        v.push(i as u32);
                    }
                }
            }
        }
        for (object, list) in &mut self.referrers {
            let mut known: FxHashSet<u32> = list.iter().map(|r| r.0).collect();
            let mut seen = FxHashSet::from_iter([*object]);
            let mut layer = vec![*object];
            let mut steps = 1u8;
            while !layer.is_empty() && seen.len() < MAX_OBJECTS {
                for o in &layer {
                    for who in on_stack.get(o).into_iter().flatten() {
                        if known.insert(*who) {
                            list.push((*who, steps));
                        }
                    }
                }
                let from = layer.iter().flat_map(|o| back.get(o).into_iter().flatten()).copied();
                layer = from.filter(|o| seen.insert(*o)).collect();
                steps = steps.saturating_add(1);
            }
        }
    }

    /// Goroutines that refer to what is at an address: index and steps.
    pub fn referrers_of(&self, heap: &Heap<'_>, addr: LoadAddr) -> &[(u32, u8)] {
        let o = heap.find(addr.0).map(|(span, slot)| ObjectId { span, slot });
        o.and_then(|o| self.referrers.get(&o)).map_or(&[], Vec::as_slice)
    }
}
