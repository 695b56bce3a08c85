//! Structures of one size at many addresses, read at once: neighbours are joined, and the room they are read into is used again.

use crate::base::{LoadAddr, Memory, MemoryError, ReadOp};
use std::cell::Cell;

/// Neighbouring structures closer than this are fetched by one read, bytes.
const JOIN_GAP: u64 = 512;
/// Longest such read, bytes.
const JOIN_MAX: u64 = 256 << 10;
/// Room that a thread keeps for its next read, bytes at most. New room is new pages, each cleared by the kernel when it is first touched:
/// ten looks a second at 100,000 goroutines spent a quarter of their time on that.
const KEPT: usize = 4 << 20;
/// Place of a structure that cannot be read.
const MISSING: usize = usize::MAX;

thread_local! {
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What was read.
pub struct Many {
    room: Vec<u8>,
    /// Of each structure, where it is in `room`.
    places: Vec<usize>,
    size: usize,
}

impl Many {
    /// Reads the `size` bytes at each address of `at`. The error is for what stops all reads.
    pub fn read(mem: &dyn Memory, at: &[u64], size: usize) -> Result<Many, MemoryError> {
        let mut order: Vec<u32> = (0..at.len() as u32).collect();
        order.sort_unstable_by_key(|i| at[*i as usize]);
        // First address and length.
        let mut runs: Vec<(u64, usize)> = Vec::new();
        let mut run_of = vec![0u32; at.len()];
        let mut many = Many { room: SPARE.take(), places: vec![MISSING; at.len()], size };
        let mut total = 0;
        for &i in &order {
            let a = at[i as usize];
            match runs.last_mut() {
                Some((base, len)) if a - *base <= *len as u64 + JOIN_GAP && a - *base + (size as u64) < JOIN_MAX => {
                    let longer = (a - *base) as usize + size;
                    total += longer - *len;
                    *len = longer;
                }
                _ => {
                    runs.push((a, size));
                    total += size;
                }
            }
            run_of[i as usize] = runs.len() as u32 - 1;
            // In ascending order each is the end of its run.
            many.places[i as usize] = total - size;
        }
        if many.room.len() < total {
            many.room.resize(total, 0);
        }
        let mut rest = &mut many.room[..total];
        let mut ops = Vec::with_capacity(runs.len());
        for &(addr, len) in &runs {
            let (buf, behind) = rest.split_at_mut(len);
            ops.push(ReadOp { addr: LoadAddr(addr), buf, ok: false });
            rest = behind;
        }
        mem.read_scatter(&mut ops)?;
        let whole: Vec<bool> = ops.iter().map(|o| o.ok).collect();
        drop(ops);
        for ((&a, &run), place) in at.iter().zip(&run_of).zip(&mut many.places) {
            // One that cannot be read does not hide its neighbours.
            if !whole[run as usize] && mem.read(LoadAddr(a), &mut many.room[*place..*place + size]).is_err() {
                *place = MISSING;
            }
        }
        Ok(many)
    }

    /// The bytes of the structure at the `i`th address; none where they cannot be read.
    pub fn get(&self, i: usize) -> Option<&[u8]> {
        let at = *self.places.get(i).filter(|p| **p != MISSING)?;
        self.room.get(at..at + self.size)
    }

    /// All of them, in the order of the addresses.
    pub fn iter(&self) -> impl Iterator<Item = Option<&[u8]>> {
        (0..self.places.len()).map(|i| self.get(i))
    }
}

impl Drop for Many {
    fn drop(&mut self) {
        let room = std::mem::take(&mut self.room);
        if room.capacity() <= KEPT {
            // The thread is ending where there is no such place any more.
            let _gone = SPARE.try_with(|s| s.set(room));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::memory::SparseMemory;

    #[test]
    fn each_is_found_where_it_was_asked_for() {
        let mut mem = SparseMemory::default();
        mem.insert(LoadAddr(0x1000), (0..=255).collect());
        mem.insert(LoadAddr(0x9000), vec![7; 64]);
        // Out of order, twice, overlapping, far away, not there, and half there.
        let at = [0x1010, 0x1000, 0x9000, 0x1004, 0x1010, 0x1200, 0x10fc, 0x10f8];
        for _ in 0..2 {
            let many = Many::read(&mem, &at, 8).expect("read");
            let first: Vec<Option<u8>> = many.iter().map(|b| b.map(|b| b[0])).collect();
            assert_eq!(first, [Some(16), Some(0), Some(7), Some(4), Some(16), None, None, Some(248)]);
            assert!(many.iter().flatten().all(|b| b.len() == 8));
            assert_eq!(many.get(8), None);
        }
    }
}
