//! A cache of memory blocks for one read of many small structures that lie close together: a system call a block instead of one a word.

use super::addr::LoadAddr;
use super::memory::{Memory, MemoryError, ReadOp};
use rustc_hash::FxHashMap;
use std::sync::{Mutex, PoisonError};

/// Size of a block, a power of two, bytes.
const BLOCK: usize = 16 << 10;
/// Reads longer than this go past the cache, bytes.
const LONG: usize = 4 << 10;
/// Blocks kept; when full all are forgotten (64 MiB).
const MAX_BLOCKS: usize = 4096;

/// Memory that remembers what was read. Make a new one for each moment: nothing in it ever becomes newer.
pub struct PagedMemory<'a> {
    inner: &'a dyn Memory,
    /// `None`: not readable as a whole block.
    blocks: Mutex<FxHashMap<u64, Option<Box<[u8]>>>>,
}

impl<'a> PagedMemory<'a> {
    /// An empty cache over `inner`.
    pub fn new(inner: &'a dyn Memory) -> PagedMemory<'a> {
        PagedMemory { inner, blocks: Mutex::new(FxHashMap::default()) }
    }
}

impl Memory for PagedMemory<'_> {
    fn read(&self, addr: LoadAddr, buf: &mut [u8]) -> Result<(), MemoryError> {
        if buf.len() > LONG {
            return self.inner.read(addr, buf);
        }
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if blocks.len() >= MAX_BLOCKS {
            blocks.clear();
        }
        let mut done = 0;
        while done < buf.len() {
            let at = addr.add(done as u64);
            let base = at.0 & !(BLOCK as u64 - 1);
            let block = blocks.entry(base).or_insert_with(|| {
                let mut b = vec![0; BLOCK].into_boxed_slice();
                self.inner.read(LoadAddr(base), &mut b).is_ok().then_some(b)
            });
            let off = (at.0 - base) as usize;
            let n = (BLOCK - off).min(buf.len() - done);
            match block {
                Some(b) => buf[done..done + n].copy_from_slice(&b[off..off + n]),
                None => self.inner.read(at, &mut buf[done..done + n])?,
            }
            done += n;
        }
        Ok(())
    }

    fn read_scatter(&self, ops: &mut [ReadOp<'_>]) -> Result<(), MemoryError> {
        self.inner.read_scatter(ops)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::memory::SparseMemory;

    #[test]
    fn equals_what_is_behind_it() {
        let mut m = SparseMemory::default();
        let bytes: Vec<u8> = (0..3 * BLOCK).map(|i| (i * 7 % 251) as u8).collect();
        m.insert(LoadAddr(0x4000), bytes.clone());
        m.insert(LoadAddr(0x100), vec![9; 16]); // in a block that cannot be read whole
        let p = PagedMemory::new(&m);
        for (off, len) in [(0usize, 8usize), (BLOCK - 3, 8), (5, 3000), (2 * BLOCK, 4000)] {
            assert_eq!(p.read_vec(LoadAddr(0x4000 + off as u64), len).ok().as_deref(), Some(&bytes[off..off + len]));
        }
        assert_eq!(p.read_u64(LoadAddr(0x104)), Ok(0x0909_0909_0909_0909));
        assert!(p.read_u64(LoadAddr(0x200)).is_err());
    }
}
