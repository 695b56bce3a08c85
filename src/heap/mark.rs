//! Marking: what can be reached from what was added. The worklist is ours; a caller adds roots in rounds and asks in between
//! what was reached, which is how leaked goroutines are found.

use super::spans::Heap;
use rustc_hash::{FxHashMap, FxHashSet};

/// Slot size and kind of the tiny allocator's blocks, which several small objects share.
const TINY: u64 = 16;
/// References kept.
const MAX_RECORDED: usize = 4_000_000;

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

/// Marks of one walk.
pub struct Marker<'h, 'a> {
    heap: &'h Heap<'a>,
    marks: Vec<u64>,
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
            marks: vec![0; (heap.slots() as usize).div_ceil(64)],
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

    fn number(&self, o: ObjectId) -> usize {
        (self.heap.spans()[o.span as usize].first + o.slot) as usize
    }
    /// Is an object marked?
    pub fn is_marked(&self, o: ObjectId) -> bool {
        let n = self.number(o);
        self.marks[n / 64] >> (n % 64) & 1 != 0
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

    /// Adds a word that may be a pointer.
    pub fn add(&mut self, value: u64) {
        let Some(o) = self.object(value) else { return };
        self.add_object(o, value);
    }

    fn add_object(&mut self, o: ObjectId, value: u64) {
        if !self.tiny.is_empty()
            && let Some(lowest) = self.tiny.get_mut(&o)
        {
            *lowest = value.min(*lowest);
        }
        let n = self.number(o);
        let bit = 1u64 << (n % 64);
        if self.marks[n / 64] & bit != 0 {
            return;
        }
        self.marks[n / 64] |= bit;
        let s = &self.heap.spans()[o.span as usize];
        self.marked += 1;
        self.bytes += s.elemsize;
        if !s.noscan && !self.opaque.contains(&o) {
            self.work.push(o);
        }
    }

    /// Adds what an object refers to, marked before or not (a live goroutine's `runtime.g`).
    pub fn add_contents(&mut self, addr: u64) {
        if let Some(o) = self.object(addr) {
            self.look_into(o);
        }
    }

    fn look_into(&mut self, o: ObjectId) {
        let heap = self.heap;
        heap.pointers(o.span, o.slot, &mut |offset, value| {
            if let Some((span, slot)) = heap.find(value) {
                let to = ObjectId { span, slot };
                if let Some(r) = &mut self.recorded
                    && r.len() < MAX_RECORDED
                {
                    r.push((o, to));
                }
                if !self.interest.is_empty() && self.interest.contains(&to) {
                    self.met.push(Met { from: o, offset, value });
                }
                self.add_object(to, value);
            }
        });
    }

    /// Follows all that was added, through weak pointers too: who has one can make a strong one of it.
    pub fn drain(&mut self) {
        loop {
            while let Some(o) = self.work.pop() {
                self.look_into(o);
            }
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
