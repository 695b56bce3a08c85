//! pprof labels of goroutines.

use super::GoRuntime;
use crate::base::{LoadAddr, Memory};

/// Most labels taken from one goroutine, and longest text.
const MAX_LABELS: u64 = 1000;
const MAX_TEXT: u64 = 4096;
/// Old maps: entries of a bucket, and where its keys begin.
const BUCKET: u64 = 8;
const HMAP_B: u64 = 9;
const HMAP_BUCKETS: u64 = 16;
const STRING: u64 = 16;
/// Lowest tophash of a used slot.
const USED: u8 = 5;

impl GoRuntime {
    /// Labels behind `g.labels`; what cannot be read is left out.
    pub fn labels(&self, mem: &dyn Memory, at: LoadAddr) -> Vec<(String, String)> {
        if at.is_nil() {
            return Vec::new();
        }
        let mut v = match self.layout().facts.labels_are_slice {
            true => slice_labels(mem, at),
            false => map_labels(mem, at),
        }
        .unwrap_or_default();
        v.sort();
        if let Some(x) = self.redaction() {
            v.iter_mut().for_each(|(key, value)| x.clean_named(key, value));
        }
        v
    }
}

fn string(mem: &dyn Memory, at: LoadAddr) -> Option<String> {
    let ptr = mem.read_ptr(at).ok()?;
    let len = mem.read_u64(at.add(8)).ok()?.min(MAX_TEXT);
    let bytes = if len == 0 { Vec::new() } else { mem.read_vec(ptr, len as usize).ok()? };
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn slice_labels(mem: &dyn Memory, at: LoadAddr) -> Option<Vec<(String, String)>> {
    let ptr = mem.read_ptr(at).ok()?;
    let len = mem.read_u64(at.add(8)).ok()?.min(MAX_LABELS);
    (0..len).map(|i| Some((string(mem, ptr.add(i * 32))?, string(mem, ptr.add(i * 32 + 16))?))).collect()
}

fn map_labels(mem: &dyn Memory, at: LoadAddr) -> Option<Vec<(String, String)>> {
    let hmap = mem.read_ptr(at).ok().filter(|p| !p.is_nil())?;
    let b = mem.read_u8(hmap.add(HMAP_B)).ok().filter(|b| *b < 16)?;
    let buckets = mem.read_ptr(hmap.add(HMAP_BUCKETS)).ok().filter(|p| !p.is_nil())?;
    let size = BUCKET + BUCKET * STRING * 2 + 8;
    let mut out = Vec::new();
    for i in 0..1u64 << b {
        let mut bucket = buckets.add(i * size);
        while !bucket.is_nil() && out.len() < MAX_LABELS as usize {
            for slot in 0..BUCKET {
                if mem.read_u8(bucket.add(slot)).ok()? >= USED {
                    let key = bucket.add(BUCKET + slot * STRING);
                    out.push((string(mem, key)?, string(mem, key.add(BUCKET * STRING))?));
                }
            }
            bucket = mem.read_ptr(bucket.add(size - 8)).ok()?;
        }
    }
    Some(out)
}
