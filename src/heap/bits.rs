//! Which words of an object are pointers: the bitmaps of the runtime (go/src/runtime/mbitmap.go; 1.21: one bitmap an arena,
//! later: at the span's end, or by the type in front of the object).

use super::HeapError;
use super::spans::{ARENA, Heap, Span, word};
use crate::base::{LoadAddr, Memory};
use crate::goruntime::GoRuntime;
use crate::goruntime::rtype::{KIND_MASK, kind};
use rayon::prelude::*;

/// Largest object with its bits at the end of the span, bytes (`minSizeForMallocHeader`).
const MAX_INLINE: u64 = 512;
/// Bytes of mark bits behind the pointer bits (`spanInlineMarkBits`).
const INLINE_MARKS: u64 = 128;
/// Smallest object of a span with inline mark bits, bytes.
const MIN_INLINE_MARKS: u64 = 16;
/// Offsets and bits of `abi.Type`.
const PTR_BYTES: u64 = 8;
const TFLAG: usize = 20;
const KIND: usize = 23;
const GC_DATA: u64 = 32;
const TFLAG_ON_DEMAND: u8 = 16;
const KIND_GC_PROGRAM: u8 = 64;
/// Largest mask that is read, bytes (covers a type of 8 GiB).
const MAX_MASK: u64 = 128 << 20;
/// Where types say what their parts are (internal/abi/type.go): `ArrayType.Elem` and `Len`, `StructType.Fields` of `Name`, `Typ`, `Offset`.
const ARRAY_ELEM: u64 = 48;
const ARRAY_LEN: u64 = 64;
const STRUCT_FIELDS: u64 = 56;
const FIELD: u64 = 24;
/// Largest mask that is made, bytes, and how many parts of a type are looked at for it: beyond that any word may be a pointer.
const MAX_MADE: u64 = 1 << 20;
const MAX_PARTS: u32 = 100_000;

/// Which words of a type are pointers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TypeMask {
    /// Bytes of a value.
    pub size: u64,
    /// Bytes up to the end of the last pointer.
    pub ptr_bytes: u64,
    /// A bit a word; none: any word may be one.
    mask: Option<Box<[u8]>>,
}

impl TypeMask {
    pub(super) fn read(rt: &GoRuntime, mem: &dyn Memory, t: LoadAddr) -> TypeMask {
        let Ok(b) = mem.read_vec(t, 48) else { return TypeMask::default() };
        let (size, ptr_bytes, mut data) = (word(&b, 0), word(&b, PTR_BYTES), LoadAddr(word(&b, GC_DATA)));
        let facts = &rt.layout().facts;
        let len = ptr_bytes.div_ceil(64);
        let mut mask = None;
        let program = facts.gc_programs && b[KIND] & KIND_GC_PROGRAM != 0;
        if facts.gc_mask_on_demand && b[TFLAG] & TFLAG_ON_DEMAND != 0 {
            data = mem.read_ptr(data).unwrap_or_default();
        }
        if !data.is_nil() && !program && len <= MAX_MASK && ptr_bytes <= size {
            mask = mem.read_vec(data, len as usize).ok().map(Vec::into_boxed_slice);
        } else if data.is_nil() && facts.gc_mask_on_demand && len <= MAX_MADE && ptr_bytes <= size {
            // The runtime makes it when the collector comes to such an object for the first time.
            let mut bits = vec![0; len as usize];
            let mut parts = MAX_PARTS;
            mask = make(mem, t, 0, &mut bits, &mut parts).map(|()| bits.into_boxed_slice());
        }
        TypeMask { size, ptr_bytes, mask }
    }

    fn is_pointer(&self, w: u64) -> bool {
        self.mask.as_ref().is_none_or(|m| m.get((w / 8) as usize).is_none_or(|b| b >> (w % 8) & 1 != 0))
    }

    /// Calls `f` with the byte offset of each pointer of values laid end to end from `from` to `to`.
    pub(super) fn each(&self, from: u64, to: u64, f: &mut impl FnMut(u64)) {
        if self.size == 0 {
            for o in (from..to).step_by(8) {
                f(o); // a type that is not readable: any word may be a pointer
            }
            return;
        }
        let words = self.ptr_bytes / 8;
        let mut at = from;
        while at < to {
            for w in 0..words {
                let o = at + w * 8;
                if o + 8 > to {
                    return;
                }
                if self.is_pointer(w) {
                    f(o);
                }
            }
            at += self.size;
        }
    }
}

/// Sets the bits of a value of type `t` at `at`, as `buildGCMask` of the runtime does (runtime/type.go). None: it cannot be read, or has too many parts.
fn make(mem: &dyn Memory, t: LoadAddr, at: u64, bits: &mut [u8], parts: &mut u32) -> Option<()> {
    *parts = parts.checked_sub(1)?;
    let b = mem.read_vec(t, 48).ok()?;
    let (size, ptr_bytes) = (word(&b, 0), word(&b, PTR_BYTES));
    if ptr_bytes == 0 {
        return Some(());
    }
    if ptr_bytes.div_ceil(64) > bits.len() as u64 {
        return None;
    }
    if b[TFLAG] & TFLAG_ON_DEMAND == 0 {
        let mask = mem.read_vec(LoadAddr(word(&b, GC_DATA)), usize::try_from(ptr_bytes.div_ceil(64)).ok()?).ok()?;
        for w in (0..ptr_bytes / 8).filter(|w| mask[(w / 8) as usize] >> (w % 8) & 1 != 0) {
            let to = (at / 8).checked_add(w)?;
            *bits.get_mut((to / 8) as usize)? |= 1 << (to % 8);
        }
        return Some(());
    }
    match b[KIND] & KIND_MASK {
        kind::ARRAY => {
            let (elem, n) = (mem.read_ptr(t.add(ARRAY_ELEM)).ok()?, mem.read_u64(t.add(ARRAY_LEN)).ok()?);
            let each = size.checked_div(n)?;
            (0..n).try_for_each(|i| make(mem, elem, at.checked_add(i.checked_mul(each)?)?, bits, parts))
        }
        kind::STRUCT => {
            let (fields, n) = (mem.read_ptr(t.add(STRUCT_FIELDS)).ok()?, mem.read_u64(t.add(STRUCT_FIELDS + 8)).ok()?);
            if n > u64::from(*parts) {
                return None;
            }
            let all = mem.read_vec(fields, usize::try_from(n * FIELD).ok()?).ok()?;
            all.chunks_exact(FIELD as usize)
                .try_for_each(|f| make(mem, LoadAddr(word(f, 8)), at.checked_add(word(f, 16))?, bits, parts))
        }
        _ => None,
    }
}

/// 1.21: the pointer bits of each span, cut out of the arenas' bitmaps; bits behind an object's last pointer cleared.
pub(super) fn arena_bits(heap: &Heap<'_>, mheap: LoadAddr) -> Result<Vec<Box<[u8]>>, HeapError> {
    let l = heap.rt.layout().heap.ok_or(HeapError::Layout)?;
    let (Some(bitmap), Some(no_more)) = (l.arena_bitmap, l.arena_no_more_ptrs) else { return Ok(Vec::new()) };
    let mem = heap.mem;
    let level2 = mem.read_ptr(mheap.add(l.arenas))?;
    let of = |s: &Span| -> Box<[u8]> {
        if s.noscan {
            return Box::default();
        }
        let bytes = (s.bytes / 64) as usize;
        let mut out = vec![0u8; bytes];
        // A span may reach over several arenas.
        let mut at = s.start;
        while at < s.start + s.bytes {
            let end = (s.start + s.bytes).min((at / ARENA + 1) * ARENA);
            let n = at.wrapping_add(0x8000_0000_0000) / ARENA;
            let Ok(arena) = mem.read_ptr(level2.add(n * 8)) else { break };
            let w = (at / 8) % (ARENA / 8);
            let (from, len) = (((at - s.start) / 64) as usize, ((end - at) / 64) as usize);
            let Ok(bits) = mem.read_vec(arena.add(bitmap + w / 8), len) else { break };
            let first_bit = w / 64;
            let flags = mem.read_vec(arena.add(no_more + first_bit / 8), len.div_ceil(64) + 1).unwrap_or_default();
            out[from..from + len].copy_from_slice(&bits);
            // Each flag stands for one word of the bitmap: 64 words of an object.
            for k in 0..(len / 8) as u64 {
                let bit = first_bit % 8 + k;
                if flags.get((bit / 8) as usize).is_some_and(|b| b >> (bit % 8) & 1 != 0) {
                    clear_rest(s, at + k * 512, &mut out);
                }
            }
            at = end;
        }
        out.into_boxed_slice()
    };
    Ok(heap.spans.par_iter().map(of).collect())
}

/// Clears what follows the 512 bytes at `chunk` up to the end of the object that reaches over its end.
fn clear_rest(s: &Span, chunk: u64, out: &mut [u8]) {
    let from = chunk + 512;
    let slot = (from - 1 - s.start) / s.elemsize;
    let end = (s.start + (slot + 1) * s.elemsize).min(s.start + s.bytes);
    for a in (from..end).step_by(8) {
        let w = (a - s.start) / 8;
        if let Some(b) = out.get_mut((w / 8) as usize) {
            *b &= !(1 << (w % 8));
        }
    }
}

impl Heap<'_> {
    /// Calls `f(offset in the slot, word)` for each non-nil pointer word of an object.
    pub fn pointers(&self, span: u32, slot: u32, f: &mut impl FnMut(u64, u64)) {
        let s = &self.spans[span as usize];
        if s.noscan {
            return;
        }
        let data: &[u8] = &self.contents[span as usize];
        let base = u64::from(slot) * s.elemsize;
        let mut tell = |off: u64| {
            let v = word(data, base + off);
            if v != 0 {
                f(off, v);
            }
        };
        if s.user_arena {
            (0..s.elemsize).step_by(8).for_each(tell);
        } else if let Some(bits) = self.pointer_bits.get(span as usize) {
            each_bit(bits, 0, base / 8, s.elemsize / 8, &mut tell);
        } else if s.elemsize <= MAX_INLINE {
            let mut at = s.bytes - s.bytes / 64;
            if self.rt.layout().facts.inline_mark_bits && s.elemsize >= MIN_INLINE_MARKS {
                at -= INLINE_MARKS;
            }
            each_bit(data, at, base / 8, s.elemsize / 8, &mut tell);
        } else if s.class != 0 {
            let t = word(data, base);
            if t != 0 {
                self.mask(t).each(8, s.elemsize, &mut tell);
            }
        } else if s.large_type != 0 {
            self.mask(s.large_type).each(0, s.elemsize, &mut tell);
        }
    }

    /// The type descriptor that the runtime keeps with an object (those over 512 bytes, from 1.22 on) and where its data begin.
    pub fn header_type(&self, span: u32, slot: u32) -> Option<(LoadAddr, u64)> {
        let s = &self.spans[span as usize];
        if s.noscan || s.user_arena || !self.pointer_bits.is_empty() || s.elemsize <= MAX_INLINE {
            return None;
        }
        let (t, skip) = match s.class {
            0 => (s.large_type, 0),
            _ => (word(&self.contents[span as usize], u64::from(slot) * s.elemsize), 8),
        };
        (t != 0).then_some((LoadAddr(t), skip))
    }
}

/// Calls `f(8 * k)` for each set bit `first + k`, `k < n`, of the bitmap that begins at byte `at`.
fn each_bit(bytes: &[u8], at: u64, first: u64, n: u64, f: &mut impl FnMut(u64)) {
    let mut k = 0;
    while k < n {
        let bit = first + k;
        let w = word(bytes, at + bit / 64 * 8) >> (bit % 64);
        let have = (64 - bit % 64).min(n - k);
        let mut w = if have == 64 { w } else { w & ((1 << have) - 1) };
        while w != 0 {
            let z = u64::from(w.trailing_zeros());
            f((k + z) * 8);
            w &= w - 1;
        }
        k += have;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn bits_across_words() {
        let mut b = vec![0u8; 32];
        for bit in [3usize, 63, 64, 70, 130] {
            b[8 + bit / 8] |= 1 << (bit % 8);
        }
        let mut got = Vec::new();
        each_bit(&b, 8, 60, 72, &mut |o| got.push(o / 8 + 60));
        assert_eq!(got, [63, 64, 70, 130]);
    }
    #[test]
    fn masks_are_laid_end_to_end() {
        let t = TypeMask { size: 24, ptr_bytes: 16, mask: Some(Box::new([0b10])) };
        let mut got = Vec::new();
        t.each(8, 80, &mut |o| got.push(o));
        assert_eq!(got, [16, 40, 64]);
    }
}
