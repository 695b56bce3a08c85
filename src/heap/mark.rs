//! Marking: what can be reached from what was added. The worklist is ours; a caller adds roots in rounds and asks in between
//! what was reached, which is how leaked goroutines are found.

use super::spans::Heap;
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::atomic::{AtomicU64, Ordering};

/// Slot size and kind of the tiny allocator's blocks, which several small objects share.
const TINY: u64 = 16;
/// References kept.
const MAX_RECORDED: usize = 4_000_000;
/// Objects at hand from which on several workers share them.
const SHARED_FROM: usize = 256;
/// Objects that a single worker looks into before it asks again whether there is enough for several.
const ALONE: usize = 4_096;
/// Objects that one of several looks into before all come together.
const BUDGET: usize = 200_000;

/// An object: span and slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// Index of the span.
    pub span: u32,
    /// Index of the slot.
    pub slot: u32,
}

/// A reference to an object of interest that was met while marking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Met {
    /// The object that refers.
    pub from: ObjectId,
    /// Where in it.
    pub offset: u64,
    /// The word.
    pub value: u64,
}

/// What workers share while they follow references.
struct Shared<'m> {
    heap: &'m Heap<'m>,
    marks: &'m [AtomicU64],
    opaque: &'m FxHashSet<ObjectId>,
    interest: &'m FxHashSet<ObjectId>,
    tiny: &'m FxHashMap<ObjectId, u64>,
    record: bool,
}

/// One worker's part: objects to look into, and what it met.
#[derive(Default)]
struct Part {
    work: Vec<ObjectId>,
    met: Vec<Met>,
    tiny: Vec<(ObjectId, u64)>,
    recorded: Vec<(ObjectId, ObjectId)>,
    marked: u64,
    bytes: u64,
}

impl Part {
    fn add(&mut self, m: &Shared<'_>, o: ObjectId, value: u64) {
        if !m.tiny.is_empty() && m.tiny.contains_key(&o) {
            self.tiny.push((o, value));
        }
        let s = &m.heap.spans()[o.span as usize];
        let n = (s.first + o.slot) as usize;
        let bit = 1u64 << (n % 64);
        let word = &m.marks[n / 64];
        if word.load(Ordering::Relaxed) & bit != 0 || word.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
            return;
        }
        self.marked += 1;
        self.bytes += s.elemsize;
        if !s.noscan && !m.opaque.contains(&o) {
            self.work.push(o);
        }
    }

    fn look_into(&mut self, m: &Shared<'_>, o: ObjectId) {
        m.heap.pointers(o.span, o.slot, &mut |offset, value| {
            let Some((span, slot)) = m.heap.find(value) else { return };
            let to = ObjectId { span, slot };
            if m.record && self.recorded.len() < MAX_RECORDED {
                self.recorded.push((o, to));
            }
            if !m.interest.is_empty() && m.interest.contains(&to) {
                self.met.push(Met { from: o, offset, value });
            }
            self.add(m, to, value);
        });
    }

    /// Looks into at most `budget` objects; the rest stays.
    fn run(mut self, m: &Shared<'_>, mut budget: usize) -> Part {
        while budget > 0
            && let Some(o) = self.work.pop()
        {
            self.look_into(m, o);
            budget -= 1;
        }
        self
    }
}

/// Marks of one walk.
pub struct Marker<'h, 'a> {
    heap: &'h Heap<'a>,
    marks: Vec<AtomicU64>,
    /// Marked but not looked into: `runtime.g`s and the sudogs of those that wait.
    opaque: FxHashSet<ObjectId>,
    work: Vec<ObjectId>,
    /// Lowest pointer into the tiny blocks that are asked for.
    tiny: FxHashMap<ObjectId, u64>,
    /// Objects whose referrers are wanted.
    interest: FxHashSet<ObjectId>,
    met: Vec<Met>,
    /// Weak pointers whose handle was not reached yet: handle, object.
    weak: Vec<(u64, u64)>,
    /// All references from objects marked since recording began, if it did.
    recorded: Option<Vec<(ObjectId, ObjectId)>>,
    marked: u64,
    bytes: u64,
}

impl<'h, 'a> Marker<'h, 'a> {
    /// Nothing is marked.
    pub fn new(heap: &'h Heap<'a>) -> Marker<'h, 'a> {
        Marker {
            heap,
            marks: (0..(heap.slots() as usize).div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            opaque: FxHashSet::default(),
            work: Vec::new(),
            tiny: FxHashMap::default(),
            interest: FxHashSet::default(),
            met: Vec::new(),
            weak: heap.weak(),
            recorded: None,
            marked: 0,
            bytes: 0,
        }
    }

    /// The object that an address is in.
    pub fn object(&self, addr: u64) -> Option<ObjectId> {
        self.heap.find(addr).map(|(span, slot)| ObjectId { span, slot })
    }
    /// Says that an object is to be marked, but not looked into.
    pub fn hide(&mut self, addr: u64) {
        if let Some(o) = self.object(addr) {
            self.opaque.insert(o);
        }
    }
    /// Says that it matters who refers to the object at an address; and, in a tiny block, to which part.
    pub fn watch(&mut self, addr: u64) {
        let Some(o) = self.object(addr) else { return };
        let s = &self.heap.spans()[o.span as usize];
        if s.noscan && s.elemsize == TINY {
            self.tiny.entry(o).or_insert(u64::MAX);
        }
        self.interest.insert(o);
    }
    /// From now on all references between objects are kept.
    pub fn record(&mut self) {
        self.recorded = Some(Vec::new());
    }
    /// Those that were kept.
    pub fn recorded(&mut self) -> Vec<(ObjectId, ObjectId)> {
        self.recorded.take().unwrap_or_default()
    }
    /// References to watched objects, met so far.
    pub fn met(&self) -> &[Met] {
        &self.met
    }
    /// Objects and bytes marked.
    pub fn total(&self) -> (u64, u64) {
        (self.marked, self.bytes)
    }

    /// Is an object marked?
    pub fn is_marked(&self, o: ObjectId) -> bool {
        let n = (self.heap.spans()[o.span as usize].first + o.slot) as usize;
        self.marks[n / 64].load(Ordering::Relaxed) >> (n % 64) & 1 != 0
    }

    /// Could what is at an address be reached? What is not on the heap always can. Several small objects without pointers share a tiny
    /// block: a pointer to what lies behind leads to no part in front of it, so only those to or before the address count.
    pub fn reached(&self, addr: u64) -> bool {
        let Some(o) = self.object(addr) else { return true };
        match self.tiny.get(&o) {
            Some(lowest) => *lowest < addr + 8,
            None => self.is_marked(o),
        }
    }

    /// Does something with one part and takes over what came of it.
    fn with(&mut self, f: impl FnOnce(&mut Part, &Shared<'_>)) {
        let mut part = Part { work: std::mem::take(&mut self.work), ..Part::default() };
        f(&mut part, &self.shared());
        self.take(part);
    }

    fn shared(&self) -> Shared<'_> {
        Shared {
            heap: self.heap,
            marks: &self.marks,
            opaque: &self.opaque,
            interest: &self.interest,
            tiny: &self.tiny,
            record: self.recorded.is_some(),
        }
    }

    fn take(&mut self, mut p: Part) {
        self.work.append(&mut p.work);
        self.met.append(&mut p.met);
        for (o, value) in p.tiny {
            if let Some(lowest) = self.tiny.get_mut(&o) {
                *lowest = value.min(*lowest);
            }
        }
        if let Some(r) = &mut self.recorded
            && r.len() < MAX_RECORDED
        {
            r.append(&mut p.recorded);
        }
        self.marked += p.marked;
        self.bytes += p.bytes;
    }

    /// Adds a word that may be a pointer.
    pub fn add(&mut self, value: u64) {
        if let Some(o) = self.object(value) {
            self.with(|p, m| p.add(m, o, value));
        }
    }

    /// Adds what an object refers to, marked before or not (a live goroutine's `runtime.g`).
    pub fn add_contents(&mut self, addr: u64) {
        if let Some(o) = self.object(addr) {
            self.with(|p, m| p.look_into(m, o));
        }
    }

    /// Follows all that was added. Long lists make few objects at a time: those are followed by one worker, deep first.
    fn follow(&mut self) {
        while !self.work.is_empty() {
            let work = std::mem::take(&mut self.work);
            let m = self.shared();
            let parts: Vec<Part> = if work.len() < SHARED_FROM {
                vec![Part { work, ..Part::default() }.run(&m, ALONE)]
            } else {
                let size = work.len().div_ceil(rayon::current_num_threads() * 4);
                let pieces: Vec<Vec<ObjectId>> = work.chunks(size).map(<[ObjectId]>::to_vec).collect();
                pieces.into_par_iter().map(|work| Part { work, ..Part::default() }.run(&m, BUDGET)).collect()
            };
            for p in parts {
                self.take(p);
            }
        }
    }

    /// Follows all that was added, through weak pointers too: who has one can make a strong one of it.
    pub fn drain(&mut self) {
        loop {
            self.follow();
            let weak = std::mem::take(&mut self.weak);
            let before = weak.len();
            for (handle, object) in weak {
                match self.object(handle).is_none_or(|h| self.is_marked(h)) {
                    true => self.add(object),
                    false => self.weak.push((handle, object)),
                }
            }
            if self.weak.len() == before {
                return;
            }
        }
    }
}
