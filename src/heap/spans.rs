//! Spans: which address is which object. All spans are read once; the contents of those with pointers are copied (or
//! borrowed, where they lie in our memory already).

use super::HeapError;
use super::bits::{TypeMask, arena_bits};
use crate::base::{LoadAddr, Memory, MemoryError, ReadOp};
use crate::goruntime::GoRuntime;
use crate::goruntime::many::Many;
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};

/// Bytes of a page of the heap (`pageSize`).
pub(super) const PAGE: u64 = 8192;
/// Bytes of an arena (`heapArenaBytes`, linux/amd64).
pub(super) const ARENA: u64 = 64 << 20;
/// What is added to an address before its arena's number is taken (`arenaBaseOffset`, amd64).
const ARENA_BASE: u64 = 0x8000_0000_0000;
/// `mSpanInUse`.
const IN_USE: u8 = 1;
/// More spans than any heap that fits has.
const MAX_SPANS: u64 = 1 << 27;
/// Arenas between the lowest and the highest (4 TiB).
const MAX_ARENAS: u64 = 1 << 16;
/// Spans whose contents one worker fetches at once.
const CHUNK: usize = 256;

/// How the heap is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeapOptions {
    /// The target stands still (or is a copy): allocation bits can be believed. Else every slot counts as allocated.
    pub stopped: bool,
    /// Bytes with pointers that may be copied.
    pub limit: u64,
}

impl Default for HeapOptions {
    fn default() -> Self {
        HeapOptions { stopped: false, limit: 8 << 30 }
    }
}

/// One span in use.
#[derive(Clone, Debug, Default)]
pub struct Span {
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub bytes: u64,
    /// End of its objects.
    pub limit: u64,
    /// Bytes of a slot.
    pub elemsize: u64,
    /// Slots.
    pub nelems: u32,
    /// Slots below this are allocated.
    freeindex: u32,
    /// `2^32 / elemsize`, rounded up: `runtime.mspan.divMul`.
    div: u32,
    /// Number of its first object among all of the heap.
    pub first: u32,
    /// Where its allocation bits are.
    alloc_at: usize,
    /// No pointers inside.
    pub noscan: bool,
    /// Size class; 0 for large objects.
    pub class: u8,
    /// Type of a large object; 0 while it is not initialised.
    pub large_type: u64,
    /// A chunk of a user arena.
    pub user_arena: bool,
    /// First special record.
    pub specials: u64,
}

/// The heap of one moment.
pub struct Heap<'a> {
    pub(super) rt: &'a GoRuntime,
    pub(super) mem: &'a dyn Memory,
    pub(super) spans: Vec<Span>,
    /// Contents of spans with pointers, by span.
    pub(super) contents: Vec<Cow<'a, [u8]>>,
    /// Pointer bits of spans, where they are not at the span's end (1.21).
    pub(super) pointer_bits: Vec<Box<[u8]>>,
    alloc_bits: Vec<u8>,
    /// Number of the lowest arena.
    low: u64,
    /// Span + 1 by page, for each arena.
    pages: Vec<Option<Box<[u32]>>>,
    objects: u32,
    stopped: bool,
    pub(super) masks: RwLock<FxHashMap<u64, Arc<TypeMask>>>,
}

fn arena_of(addr: u64) -> u64 {
    addr.wrapping_add(ARENA_BASE) / ARENA
}

impl<'a> Heap<'a> {
    /// Reads all spans.
    pub fn read(rt: &'a GoRuntime, mem: &'a dyn Memory, options: HeapOptions) -> Result<Heap<'a>, HeapError> {
        let l = rt.layout().heap.ok_or(HeapError::Layout)?;
        let mheap = rt.globals().mheap.ok_or(HeapError::NoHeap)?;
        let list = mem.read_ptr(mheap.add(l.allspans))?;
        let n = mem.read_u64(mheap.add(l.allspans + 8))?;
        if n > MAX_SPANS {
            return Err(HeapError::Nonsense(format!("{n} spans")));
        }
        let ptrs = mem.read_vec(list, n as usize * 8)?;
        let ptrs: Vec<u64> = ptrs.chunks_exact(8).map(|c| c.try_into().map_or(0, u64::from_le_bytes)).collect();
        let size = l.span_size as usize;
        let wide = rt.layout().facts.span_counts_are_words;
        let in_use = |b: &&[u8]| b[l.span_state as usize] == IN_USE;
        let span = |b: &[u8]| {
            let w = |o: u64| word(b, o);
            let count = |o: u64| if wide { w(o) as u32 } else { w(o) as u32 & 0xffff };
            let (start, bytes, elemsize) = (w(l.span_start), w(l.span_npages) * PAGE, w(l.span_elemsize));
            if elemsize == 0 || start == 0 || bytes == 0 || bytes > 1 << 40 {
                return None; // being made just now
            }
            let class = b[l.span_class as usize];
            let span = Span {
                start,
                bytes,
                limit: w(l.span_limit).min(start + bytes),
                elemsize,
                nelems: count(l.span_nelems).min((bytes / elemsize) as u32),
                freeindex: count(l.span_freeindex),
                div: u32::try_from((u64::from(u32::MAX) / elemsize) + 1).unwrap_or(u32::MAX),
                noscan: class & 1 != 0,
                class: class >> 1,
                large_type: l.span_large_type.map_or(0, w),
                user_arena: b[l.span_user_arena as usize] != 0,
                specials: w(l.span_specials),
                ..Span::default()
            };
            Some((span, w(l.span_alloc_bits)))
        };
        let read = |part| Ok(Many::read(mem, part, size)?.iter().flatten().filter(in_use).filter_map(span).collect());
        let parts: Vec<Vec<(Span, u64)>> = ptrs.par_chunks(8192).map(read).collect::<Result<_, MemoryError>>()?;
        let mut spans = parts.concat();
        spans.sort_unstable_by_key(|s| s.0.start);
        spans.dedup_by_key(|s| s.0.start);
        let scan: u64 = spans.iter().filter(|s| !s.0.noscan).map(|s| s.0.bytes).sum();
        if scan > options.limit {
            return Err(HeapError::TooLarge(scan >> 20, options.limit >> 20));
        }
        let mut heap = Heap {
            rt,
            mem,
            spans: Vec::with_capacity(spans.len()),
            contents: Vec::new(),
            pointer_bits: Vec::new(),
            alloc_bits: Vec::new(),
            low: 0,
            pages: Vec::new(),
            objects: 0,
            stopped: options.stopped,
            masks: RwLock::default(),
        };
        let mut alloc_at = Vec::with_capacity(spans.len());
        for (mut s, bits) in spans {
            s.first = heap.objects;
            s.alloc_at = heap.alloc_bits.len();
            heap.objects = heap
                .objects
                .checked_add(s.nelems)
                .ok_or_else(|| HeapError::Nonsense("more than 2^32 objects".into()))?;
            heap.alloc_bits.resize(s.alloc_at + s.nelems.div_ceil(8) as usize, 0xff);
            alloc_at.push(bits);
            heap.spans.push(s);
        }
        heap.read_alloc_bits(&alloc_at)?;
        heap.map_pages()?;
        heap.contents = heap.read_contents()?;
        if l.arena_bitmap.is_some() {
            heap.pointer_bits = arena_bits(&heap, mheap)?;
        }
        Ok(heap)
    }

    fn read_alloc_bits(&mut self, at: &[u64]) -> Result<(), HeapError> {
        let mut rest: &mut [u8] = &mut self.alloc_bits;
        let mut ops = Vec::with_capacity(at.len());
        for (s, &addr) in self.spans.iter().zip(at) {
            let (buf, more) = std::mem::take(&mut rest).split_at_mut(s.nelems.div_ceil(8) as usize);
            rest = more;
            if addr != 0 {
                ops.push(ReadOp { addr: LoadAddr(addr), buf, ok: false });
            }
        }
        self.mem.read_scatter(&mut ops)?;
        Ok(())
    }

    fn map_pages(&mut self) -> Result<(), HeapError> {
        let (Some(first), Some(last)) = (self.spans.first(), self.spans.last()) else { return Ok(()) };
        self.low = arena_of(first.start);
        let high = arena_of(last.start + last.bytes - 1);
        if high - self.low > MAX_ARENAS {
            return Err(HeapError::Nonsense("the heap is spread too wide".into()));
        }
        self.pages = (0..=high - self.low).map(|_| None).collect();
        for (i, s) in self.spans.iter().enumerate() {
            for p in (s.start..s.start + s.bytes).step_by(PAGE as usize) {
                let a = (arena_of(p) - self.low) as usize;
                let pages = self.pages[a].get_or_insert_with(|| vec![0u32; (ARENA / PAGE) as usize].into_boxed_slice());
                pages[(p / PAGE % (ARENA / PAGE)) as usize] = i as u32 + 1;
            }
        }
        Ok(())
    }

    fn read_contents(&self) -> Result<Vec<Cow<'a, [u8]>>, HeapError> {
        let mem: &'a dyn Memory = self.mem;
        let parts: Vec<Vec<Cow<'a, [u8]>>> = self
            .spans
            .par_chunks(CHUNK)
            .map(|spans| {
                let mut out: Vec<Cow<'a, [u8]>> = spans
                    .iter()
                    .map(|s| match s.noscan {
                        true => Cow::Borrowed(&[][..]),
                        false => match mem.slice(LoadAddr(s.start), s.bytes as usize) {
                            Some(b) => Cow::Borrowed(b),
                            None => Cow::Owned(vec![0; s.bytes as usize]),
                        },
                    })
                    .collect();
                let mut ops: Vec<ReadOp<'_>> = out
                    .iter_mut()
                    .zip(spans)
                    .filter_map(|(c, s)| match c {
                        Cow::Owned(b) => Some(ReadOp { addr: LoadAddr(s.start), buf: b, ok: false }),
                        Cow::Borrowed(_) => None,
                    })
                    .collect();
                mem.read_scatter(&mut ops)?;
                // What went away meanwhile has nothing to say.
                for op in ops.iter_mut().filter(|o| !o.ok) {
                    op.buf.fill(0);
                }
                drop(ops);
                Ok(out)
            })
            .collect::<Result<_, HeapError>>()?;
        Ok(parts.into_iter().flatten().collect())
    }

    /// Slots of all spans, allocated or not.
    pub fn slots(&self) -> u32 {
        self.objects
    }
    /// All spans in use, by address.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }
    /// Is an address in the heap's range (a cheap test before the real one)?
    pub fn may_contain(&self, addr: u64) -> bool {
        arena_of(addr).wrapping_sub(self.low) < self.pages.len() as u64
    }

    /// Span and slot of an address; none if it is not inside an allocated object.
    pub fn find(&self, addr: u64) -> Option<(u32, u32)> {
        let a = arena_of(addr).wrapping_sub(self.low);
        let pages = self.pages.get(usize::try_from(a).ok()?)?.as_ref()?;
        let n = pages[(addr / PAGE % (ARENA / PAGE)) as usize].checked_sub(1)?;
        let s = &self.spans[n as usize];
        let off = addr.wrapping_sub(s.start);
        let i = if s.nelems == 1 { 0 } else { (off.wrapping_mul(u64::from(s.div)) >> 32) as u32 };
        (addr < s.limit && i < s.nelems && self.allocated(s, i)).then_some((n, i))
    }

    fn allocated(&self, s: &Span, i: u32) -> bool {
        !self.stopped || self.has_alloc_bit(s, i)
    }

    /// Do the span's own records say that a slot is allocated?
    pub fn has_alloc_bit(&self, s: &Span, i: u32) -> bool {
        i < s.freeindex || self.alloc_bits.get(s.alloc_at + (i / 8) as usize).is_none_or(|b| b >> (i % 8) & 1 != 0)
    }

    /// First byte and size of a slot.
    pub fn object(&self, span: u32, slot: u32) -> (LoadAddr, u64) {
        let s = &self.spans[span as usize];
        (LoadAddr(s.start + u64::from(slot) * s.elemsize), s.elemsize)
    }

    /// Span and slot of an object's number.
    pub fn by_number(&self, n: u32) -> Option<(u32, u32)> {
        let i = self.spans.partition_point(|s| s.first <= n).checked_sub(1)?;
        let s = &self.spans[i];
        (n - s.first < s.nelems).then_some((i as u32, n - s.first))
    }

    /// The mask of a type; remembered.
    pub(super) fn mask(&self, t: u64) -> Arc<TypeMask> {
        if let Some(m) = self.masks.read().unwrap_or_else(PoisonError::into_inner).get(&t) {
            return m.clone();
        }
        let m = Arc::new(TypeMask::read(self.rt, self.mem, LoadAddr(t)));
        self.masks.write().unwrap_or_else(PoisonError::into_inner).insert(t, m.clone());
        m
    }
}

pub(super) fn word(b: &[u8], at: u64) -> u64 {
    let at = at as usize;
    b.get(at..at + 8).and_then(|s| s.try_into().ok()).map_or(0, u64::from_le_bytes)
}
