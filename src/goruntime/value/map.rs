//! Maps of both designs (buckets up to 1.23, groups since 1.24), walked in batched reads by the types DWARF gives.

use super::{Place, Problem, Reader};
use crate::base::{LoadAddr, ReadOp};
use crate::model::Unavailable;
use crate::symbols::dwarf::{GoType, TypeKind};
use std::sync::Arc;

/// Slots of a bucket or group.
const SLOTS: u64 = 8;
/// Keys and elements above this size are kept behind a pointer.
const MAX_INLINE: u64 = 128;
/// Bytes fetched by one batch.
const BATCH: u64 = 4 << 20;
/// Directory entries of the largest map that is walked, and groups of one of its tables.
const MAX_DIRECTORY: u64 = 1 << 22;
const MAX_GROUPS: u64 = 4096;
/// Bytes looked through for a page of entries, and for a key: a damaged map must not hold us up.
const PAGE_BYTES: u64 = 256 << 20;
const FIND_BYTES: u64 = 4 << 30;
/// Lowest tophash of a used slot, and of one that did not move (old maps).
const USED: u8 = 5;
/// Control byte: the high bit is clear for a full slot.
const EMPTY_BIT: u8 = 0x80;

/// Where the parts of a bucket or group are.
#[derive(Clone, Copy, Debug)]
struct Shape {
    size: u64,
    key: u64,
    key_stride: u64,
    elem: u64,
    elem_stride: u64,
    key_indirect: bool,
    elem_indirect: bool,
    overflow: u64,
}

/// A full slot where it was found: fetched bytes, offset of its group in them, address of the group, number of the slot.
struct Slot<'s> {
    bytes: &'s Arc<[u8]>,
    at: usize,
    addr: LoadAddr,
    n: u64,
}

/// Calls for each entry until it says false.
type Visit<'v> = &'v mut dyn FnMut(&Shape, Slot<'_>) -> bool;

/// A key to look for.
#[derive(Clone, Copy, Debug)]
pub enum MapKey<'k> {
    /// Equal if the bytes are: integers, pointers, bools.
    Bytes(&'k [u8]),
    /// A string.
    Text(&'k [u8]),
}

/// Strings compared by one batch of reads.
const STRING_BATCH: usize = 4096;

fn no(what: &str) -> Problem {
    Unavailable::Other(format!("unknown map layout: {what}"))
}

impl Reader<'_> {
    fn inner(&self, ty: &GoType) -> Result<Arc<GoType>, Problem> {
        match ty.kind {
            TypeKind::Map { inner, .. } => Ok(self.dwarf.go_type(inner)),
            _ => Err(no("not a map")),
        }
    }

    fn word_of(&self, t: &GoType, at: LoadAddr, field: &str) -> Result<u64, Problem> {
        let f = t.field(field).ok_or_else(|| no(field))?;
        let size = self.dwarf.go_type(f.ty).size.max(1);
        self.number(&Place::at(at), f.offset, size)
    }

    /// Number of entries of the map structure at `base`.
    pub fn map_len(&self, ty: &GoType, base: LoadAddr) -> Result<u64, Problem> {
        let inner = self.inner(ty)?;
        let field = if inner.field("used").is_some() { "used" } else { "count" };
        self.word_of(&inner, base, field)
    }

    /// `count` entries from number `start` on, as (key, element).
    pub fn map_entries(
        &self,
        ty: &GoType,
        base: LoadAddr,
        start: u64,
        count: u64,
    ) -> Result<Vec<(Place, Place)>, Problem> {
        let mut out = Vec::new();
        let mut n = 0;
        if count == 0 {
            return Ok(out);
        }
        let walked = self.walk(ty, base, PAGE_BYTES, &mut |shape, slot| {
            if n >= start {
                out.push(self.entry(shape, &slot));
            }
            n += 1;
            (out.len() as u64) < count
        });
        if out.is_empty() {
            walked?; // what was found before a bad place is worth having
        }
        Ok(out)
    }

    /// Walks all entries until `visit` says false.
    pub fn map_walk(
        &self,
        ty: &GoType,
        base: LoadAddr,
        visit: &mut dyn FnMut(Place, Place) -> bool,
    ) -> Result<(), Problem> {
        self.walk(ty, base, FIND_BYTES, &mut |shape, slot| {
            let (k, v) = self.entry(shape, &slot);
            visit(k, v)
        })
    }

    /// The element of a key. The target's hash functions cannot be run, so all keys are compared, in large reads.
    pub fn map_find(&self, ty: &GoType, base: LoadAddr, key: MapKey<'_>) -> Result<Option<Place>, Problem> {
        let mut found = None;
        let mut candidates: Vec<(LoadAddr, Place)> = Vec::new();
        let key_at = |shape: &Shape, slot: &Slot<'_>, off: u64, len: usize| -> Option<std::ops::Range<usize>> {
            let start = slot.at + (shape.key + slot.n * shape.key_stride + off) as usize;
            (start + len <= slot.bytes.len()).then_some(start..start + len)
        };
        self.walk(ty, base, FIND_BYTES, &mut |shape, slot| {
            match key {
                MapKey::Bytes(want) => {
                    if key_at(shape, &slot, 0, want.len()).is_some_and(|r| slot.bytes[r] == *want) {
                        found = Some(self.entry(shape, &slot).1);
                    }
                }
                MapKey::Text(want) => {
                    let len = (want.len() as u64).to_le_bytes();
                    if key_at(shape, &slot, 8, 8).is_some_and(|r| slot.bytes[r] == len) {
                        let ptr = key_at(shape, &slot, 0, 8).and_then(|r| slot.bytes[r].try_into().ok());
                        candidates.push((LoadAddr(ptr.map_or(0, u64::from_le_bytes)), self.entry(shape, &slot).1));
                        if candidates.len() >= STRING_BATCH {
                            found = self.pick(want, &mut candidates);
                        }
                    }
                }
            }
            found.is_none()
        })?;
        if let (None, MapKey::Text(want)) = (&found, key) {
            found = self.pick(want, &mut candidates);
        }
        Ok(found)
    }

    /// The candidate whose text is `want`.
    fn pick(&self, want: &[u8], candidates: &mut Vec<(LoadAddr, Place)>) -> Option<Place> {
        let all = std::mem::take(candidates);
        if want.is_empty() {
            return all.into_iter().next().map(|c| c.1);
        }
        let mut buf = vec![0u8; want.len() * all.len()];
        let mut ops: Vec<ReadOp<'_>> =
            buf.chunks_exact_mut(want.len()).zip(&all).map(|(b, c)| ReadOp { addr: c.0, buf: b, ok: false }).collect();
        self.mem.read_scatter(&mut ops).ok()?;
        let i = ops.iter().position(|o| o.ok && *o.buf == *want)?;
        all.into_iter().nth(i).map(|c| c.1)
    }

    fn walk(&self, ty: &GoType, base: LoadAddr, mut left: u64, visit: Visit<'_>) -> Result<(), Problem> {
        let inner = self.inner(ty)?;
        match inner.field("dirPtr").is_some() {
            true => self.walk_groups(ty, &inner, base, &mut left, visit),
            false => self.walk_buckets(ty, &inner, base, left, visit),
        }
    }

    fn sizes(&self, ty: &GoType) -> Result<(u64, u64), Problem> {
        match ty.kind {
            TypeKind::Map { key, elem, .. } => Ok((self.dwarf.go_type(key).size, self.dwarf.go_type(elem).size)),
            _ => Err(no("not a map")),
        }
    }

    fn pointee(&self, t: &GoType, field: &str) -> Result<Arc<GoType>, Problem> {
        let f = t.field(field).ok_or_else(|| no(field))?;
        match self.dwarf.go_type(f.ty).kind {
            TypeKind::Pointer { elem: Some(e) } => Ok(self.dwarf.go_type(self.dwarf.resolve(e))),
            _ => Err(no(field)),
        }
    }

    fn array(&self, t: &GoType, field: &str) -> Option<(u64, Arc<GoType>)> {
        let f = t.field(field)?;
        match self.dwarf.go_type(self.dwarf.resolve(f.ty)).kind {
            TypeKind::Array { elem, .. } => Some((f.offset, self.dwarf.go_type(self.dwarf.resolve(elem)))),
            _ => None,
        }
    }

    /// Shape of a group (`slots`, or `keys` and `elems`) or a bucket (`keys`, `values`, `overflow`).
    fn shape(&self, ty: &GoType, t: &GoType) -> Result<Shape, Problem> {
        let (ks, vs) = self.sizes(ty)?;
        let mut s = Shape {
            size: t.size,
            key: 0,
            key_stride: 0,
            elem: 0,
            elem_stride: 0,
            key_indirect: ks > MAX_INLINE,
            elem_indirect: vs > MAX_INLINE,
            overflow: t.field("overflow").map_or(0, |f| f.offset),
        };
        if let Some((off, slot)) = self.array(t, "slots") {
            let (k, e) = (slot.field("key").ok_or_else(|| no("key"))?, slot.field("elem").ok_or_else(|| no("elem"))?);
            (s.key, s.key_stride) = (off + k.offset, slot.size);
            (s.elem, s.elem_stride) = (off + e.offset, slot.size);
            return Ok(s);
        }
        let keys = self.array(t, "keys").ok_or_else(|| no("keys"))?;
        (s.key, s.key_stride) = (keys.0, keys.1.size);
        if let Some(v) = self.array(t, "elems").or_else(|| self.array(t, "values")) {
            (s.elem, s.elem_stride) = (v.0, v.1.size);
        }
        Ok(s)
    }

    fn entry(&self, s: &Shape, slot: &Slot<'_>) -> (Place, Place) {
        let part = |off: u64, indirect: bool| {
            let p = Place::fetched(slot.addr.add(off), slot.bytes.clone(), slot.at + off as usize);
            match indirect {
                true => self.word(&p, 0).map_or_else(Place::missing, |a| Place::at(LoadAddr(a))),
                false => p,
            }
        };
        let (key, elem) = (s.key + slot.n * s.key_stride, s.elem + slot.n * s.elem_stride);
        (part(key, s.key_indirect), part(elem, s.elem_indirect))
    }

    fn walk_groups(
        &self,
        ty: &GoType,
        inner: &GoType,
        base: LoadAddr,
        budget: &mut u64,
        visit: Visit<'_>,
    ) -> Result<(), Problem> {
        let dir = LoadAddr(self.word_of(inner, base, "dirPtr")?);
        let dir_len = self.word_of(inner, base, "dirLen")?;
        if self.word_of(inner, base, "used")? == 0 || dir.is_nil() {
            return Ok(());
        }
        if dir_len > MAX_DIRECTORY {
            return Err(Unavailable::Other(format!("{dir_len} tables in a map")));
        }
        // `dirPtr` is **table; the group type hangs below the table.
        let table = match self.pointee(inner, "dirPtr")?.kind {
            TypeKind::Pointer { elem: Some(e) } => self.dwarf.go_type(self.dwarf.resolve(e)),
            _ => return Err(no("dirPtr")),
        };
        let groups_at = table.field("groups").ok_or_else(|| no("groups"))?.clone();
        let groups = self.dwarf.go_type(self.dwarf.resolve(groups_at.ty));
        let group = self.pointee(&groups, "data")?;
        let s = self.shape(ty, &group)?;
        if s.size < SLOTS {
            return Err(no("group"));
        }
        if dir_len == 0 {
            self.walk_arrays(&s, &[(dir, 1)], budget, visit)?;
            return Ok(());
        }
        let pointers = self.mem.read_vec(dir, dir_len as usize * 8).map_err(|e| super::problem(&e))?;
        let mut tables: Vec<u64> =
            pointers.chunks_exact(8).map(|c| c.try_into().map_or(0, u64::from_le_bytes)).collect();
        tables.dedup(); // a table with a smaller local depth fills several neighbouring entries
        let data_off = groups_at.offset + groups.field("data").ok_or_else(|| no("data"))?.offset;
        let mask_off = groups_at.offset + groups.field("lengthMask").ok_or_else(|| no("lengthMask"))?.offset;
        for chunk in tables.chunks(1024) {
            let size = table.size as usize;
            let mut buf = vec![0u8; size * chunk.len()];
            let mut ops: Vec<ReadOp<'_>> = buf
                .chunks_exact_mut(size.max(1))
                .zip(chunk)
                .map(|(b, &a)| ReadOp { addr: LoadAddr(a), buf: b, ok: false })
                .collect();
            self.mem.read_scatter(&mut ops).map_err(|e| super::problem(&e))?;
            let good: Vec<bool> = ops.iter().map(|o| o.ok).collect();
            drop(ops);
            let mut arrays = Vec::new();
            for (b, ok) in buf.chunks_exact(size.max(1)).zip(good) {
                let w = |o: u64| {
                    b.get(o as usize..o as usize + 8).and_then(|x| x.try_into().ok()).map_or(0, u64::from_le_bytes)
                };
                let n = w(mask_off).saturating_add(1);
                if ok && n <= MAX_GROUPS {
                    arrays.push((LoadAddr(w(data_off)), n));
                }
            }
            if !self.walk_arrays(&s, &arrays, budget, visit)? {
                break;
            }
        }
        Ok(())
    }

    /// Walks arrays of groups, fetching a few megabytes at a time; false when the visitor had enough.
    fn walk_arrays(
        &self,
        s: &Shape,
        arrays: &[(LoadAddr, u64)],
        left: &mut u64,
        visit: Visit<'_>,
    ) -> Result<bool, Problem> {
        let mut pieces: Vec<(LoadAddr, u64)> = Vec::new();
        let per_piece = (BATCH / 16 / s.size).max(1);
        for &(at, n) in arrays {
            let mut done = 0;
            while done < n {
                let k = (n - done).min(per_piece);
                pieces.push((at.add(done * s.size), k));
                done += k;
            }
        }
        // A page of entries needs little: begin small.
        let mut budget = 64 << 10;
        let mut rest = &pieces[..];
        while !rest.is_empty() {
            let mut take = 0;
            let mut bytes = 0;
            while take < rest.len() && (take == 0 || bytes + rest[take].1 * s.size <= budget) {
                bytes += rest[take].1 * s.size;
                take += 1;
            }
            budget = (budget * 2).min(BATCH);
            *left = left.checked_sub(bytes).ok_or_else(|| no("too large"))?;
            let (now, later) = rest.split_at(take);
            rest = later;
            let mut bufs: Vec<Vec<u8>> = now.iter().map(|p| vec![0; (p.1 * s.size) as usize]).collect();
            let mut ops: Vec<ReadOp<'_>> =
                bufs.iter_mut().zip(now).map(|(b, p)| ReadOp { addr: p.0, buf: b, ok: false }).collect();
            self.mem.read_scatter(&mut ops).map_err(|e| super::problem(&e))?;
            let good: Vec<bool> = ops.iter().map(|o| o.ok).collect();
            drop(ops);
            for ((b, p), ok) in bufs.into_iter().zip(now).zip(good) {
                if !ok {
                    return Err(Unavailable::Unreadable { addr: p.0 });
                }
                let b: Arc<[u8]> = b.into();
                for g in 0..p.1 {
                    let at = (g * s.size) as usize;
                    for slot in 0..SLOTS {
                        if b.get(at + slot as usize).is_none_or(|c| c & EMPTY_BIT != 0) {
                            continue;
                        }
                        if !visit(s, Slot { bytes: &b, at, addr: p.0.add(g * s.size), n: slot }) {
                            return Ok(false);
                        }
                    }
                }
            }
        }
        Ok(true)
    }

    fn walk_buckets(
        &self,
        ty: &GoType,
        inner: &GoType,
        base: LoadAddr,
        mut budget: u64,
        visit: Visit<'_>,
    ) -> Result<(), Problem> {
        let bucket = self.pointee(inner, "buckets")?;
        let s = self.shape(ty, &bucket)?;
        let b = self.word_of(inner, base, "B")? & 0xff;
        let buckets = LoadAddr(self.word_of(inner, base, "buckets")?);
        let old = LoadAddr(self.word_of(inner, base, "oldbuckets")?);
        let count = self.word_of(inner, base, "count")?;
        if count == 0 || buckets.is_nil() {
            return Ok(());
        }
        if b > 28 || s.size < SLOTS {
            return Err(Unavailable::Other(format!("2^{b} buckets in a map")));
        }
        let same_size = self.word_of(inner, base, "flags")? & 8 != 0;
        let n_old = if same_size { 1u64 << b } else { 1u64 << b.saturating_sub(1) };
        let mut left = count;
        // While it grows: an old bucket that has not moved stands for its new ones, which are still empty.
        let arrays = [(old, n_old, true), (buckets, 1u64 << b, false)];
        for (array, n, is_old) in arrays.into_iter().filter(|a| !a.0.is_nil()) {
            let mut i = 0;
            while i < n {
                let k = (n - i).min((BATCH / s.size).max(1)).min(if i == 0 { 512 } else { u64::MAX });
                let at = array.add(i * s.size);
                budget = budget.checked_sub(k * s.size).ok_or_else(|| no("too large"))?;
                let bytes: Arc<[u8]> =
                    self.mem.read_vec(at, (k * s.size) as usize).map_err(|e| super::problem(&e))?.into();
                for j in 0..k {
                    let off = (j * s.size) as usize;
                    let moved = is_old && bytes.get(off).is_some_and(|t| (2..=4).contains(t));
                    if moved {
                        continue;
                    }
                    if !self.bucket_chain(&s, &bytes, off, at.add(j * s.size), &mut left, visit)? {
                        return Ok(());
                    }
                }
                i += k;
            }
        }
        Ok(())
    }

    fn bucket_chain(
        &self,
        s: &Shape,
        bytes: &Arc<[u8]>,
        off: usize,
        addr: LoadAddr,
        left: &mut u64,
        visit: Visit<'_>,
    ) -> Result<bool, Problem> {
        let (mut bytes, mut off, mut addr) = (bytes.clone(), off, addr);
        loop {
            for slot in 0..SLOTS {
                if bytes.get(off + slot as usize).is_none_or(|t| *t < USED) {
                    continue;
                }
                if *left == 0 {
                    return Ok(false);
                }
                *left -= 1;
                if !visit(s, Slot { bytes: &bytes, at: off, addr, n: slot }) {
                    return Ok(false);
                }
            }
            let next = self.word(&Place::fetched(addr, bytes.clone(), off), s.overflow)?;
            if next == 0 || *left == 0 {
                return Ok(true);
            }
            addr = LoadAddr(next);
            off = 0;
            bytes = self.mem.read_vec(addr, s.size as usize).map_err(|e| super::problem(&e))?.into();
        }
    }
}
