//! Memory that lies in our own: pieces of files and buffers by the address at which the program had them.
//!
//! A core, a snapshot and a copy of a living process are all this, plus what their executable has and they have not.

use crate::base::mmap::FileBytes;
use crate::base::{LoadAddr, Memory, MemoryError};
use std::collections::BTreeMap;

/// Where a piece's bytes are.
#[derive(Clone)]
enum Source {
    /// In `bytes`, from `offset`.
    Bytes { bytes: FileBytes, offset: usize },
    /// Nowhere: the program never wrote there and would have read zeros.
    Zeros,
}

/// A range of addresses that can be read.
#[derive(Clone)]
struct Piece {
    start: u64,
    end: u64,
    source: Source,
}

impl Piece {
    fn part(&self, start: u64, end: u64) -> Piece {
        let source = match &self.source {
            Source::Bytes { bytes, offset } => {
                Source::Bytes { bytes: bytes.clone(), offset: offset + (start - self.start) as usize }
            }
            Source::Zeros => Source::Zeros,
        };
        Piece { start, end, source }
    }
    /// The bytes from `addr` to the piece's end; none for zeros.
    fn bytes_from(&self, addr: u64) -> Option<&[u8]> {
        let Source::Bytes { bytes, offset } = &self.source else { return None };
        bytes.get(offset + (addr - self.start) as usize..offset + (self.end - self.start) as usize)
    }
}

/// Collects pieces; what was added first stays.
#[derive(Clone, Default)]
pub struct Builder {
    pieces: BTreeMap<u64, Piece>,
}

impl Builder {
    /// Adds `len` bytes at `offset` of `bytes` as the memory at `addr`, cut to what `bytes` has.
    pub fn bytes(&mut self, addr: u64, len: u64, bytes: &FileBytes, offset: u64) {
        let there = (bytes.len() as u64).saturating_sub(offset).min(len);
        self.add(addr, there, Source::Bytes { bytes: bytes.clone(), offset: offset as usize });
    }
    /// Adds memory that reads as zeros.
    pub fn zeros(&mut self, addr: u64, len: u64) {
        self.add(addr, len, Source::Zeros);
    }
    fn add(&mut self, start: u64, len: u64, source: Source) {
        let Some(end) = start.checked_add(len).filter(|e| *e > start) else { return };
        let whole = Piece { start, end, source };
        let mut at = start;
        let before = self.pieces.range(..=start).next_back().map_or(start, |(_, p)| p.end);
        at = at.max(before);
        let there: Vec<(u64, u64)> = self.pieces.range(start..end).map(|(s, p)| (*s, p.end)).collect();
        for (s, e) in there {
            if s > at {
                self.pieces.insert(at, whole.part(at, s));
            }
            at = at.max(e);
        }
        if at < end {
            self.pieces.insert(at, whole.part(at, end));
        }
    }

    /// The memory.
    pub fn finish(&self) -> PieceMemory {
        let mut out: Vec<Piece> = Vec::with_capacity(self.pieces.len());
        for p in self.pieces.values() {
            if let Some(last) = out.last_mut()
                && last.end == p.start
                && joined(last, p)
            {
                last.end = p.end;
            } else {
                out.push(p.clone());
            }
        }
        PieceMemory { pieces: out }
    }
}

/// Do these neighbours lie side by side in the same bytes, too?
fn joined(a: &Piece, b: &Piece) -> bool {
    match (&a.source, &b.source) {
        (Source::Zeros, Source::Zeros) => true,
        (Source::Bytes { bytes: x, offset: i }, Source::Bytes { bytes: y, offset: j }) => {
            x.as_ptr() == y.as_ptr() && i + (a.end - a.start) as usize == *j
        }
        _ => false,
    }
}

/// Memory made of pieces.
#[derive(Clone, Default)]
pub struct PieceMemory {
    pieces: Vec<Piece>,
}

impl PieceMemory {
    /// The piece that has an address.
    fn at(&self, addr: u64) -> Option<&Piece> {
        let i = self.pieces.partition_point(|p| p.end <= addr);
        self.pieces.get(i).filter(|p| p.start <= addr)
    }
    /// All pieces in ascending order: first address, end, and the bytes; none where zeros are.
    pub fn pieces(&self) -> impl Iterator<Item = (u64, u64, Option<&[u8]>)> {
        self.pieces.iter().map(|p| (p.start, p.end, p.bytes_from(p.start)))
    }
}

impl Memory for PieceMemory {
    fn read(&self, addr: LoadAddr, buf: &mut [u8]) -> Result<(), MemoryError> {
        let err = MemoryError::Unreadable { addr, len: buf.len() };
        let (mut at, mut rest) = (addr.0, buf);
        while !rest.is_empty() {
            let piece = self.at(at).ok_or_else(|| err.clone())?;
            let n = (piece.end - at).min(rest.len() as u64) as usize;
            let (now, later) = rest.split_at_mut(n);
            match &piece.source {
                Source::Zeros => now.fill(0),
                Source::Bytes { .. } => {
                    let bytes = piece.bytes_from(at).and_then(|b| b.get(..n)).ok_or_else(|| err.clone())?;
                    now.copy_from_slice(bytes);
                }
            }
            at = at.wrapping_add(n as u64);
            rest = later;
        }
        Ok(())
    }

    fn slice(&self, addr: LoadAddr, len: usize) -> Option<&[u8]> {
        self.at(addr.0)?.bytes_from(addr.0)?.get(..len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_stays_and_neighbours_join() {
        let a = FileBytes::from_vec((0..=255).collect());
        let other = FileBytes::from_vec(vec![0xee; 256]);
        let mut b = Builder::default();
        b.bytes(0x1000, 16, &a, 0);
        b.bytes(0x1010, 16, &a, 16);
        b.bytes(0x1030, 16, &a, 48);
        b.bytes(0x0ff0, 0x60, &other, 0); // only fills the gaps
        b.zeros(0x1050, 0x10);
        b.bytes(0x2000, 16, &a, 250); // cut to six bytes
        let m = b.finish();
        assert_eq!(m.slice(LoadAddr(0x1000), 32), a.get(..32), "two pieces side by side are one");
        assert_eq!(m.slice(LoadAddr(0x1000), 33), None);
        let mut want = vec![0xee; 16];
        want.extend(0..32u8);
        want.extend([0xee; 16]);
        want.extend(48..64u8);
        want.extend([0xee; 16]);
        want.extend([0; 16]);
        assert_eq!(m.read_vec(LoadAddr(0x0ff0), want.len()), Ok(want));
        assert!(m.read_vec(LoadAddr(0x0fef), 2).is_err() && m.read_vec(LoadAddr(0x1058), 9).is_err());
        assert_eq!(m.read_vec(LoadAddr(0x2000), 6), Ok((250..=255).collect()));
        assert!(m.read_vec(LoadAddr(0x2000), 7).is_err());
        assert_eq!(m.slice(LoadAddr(0x1050), 4), None, "zeros have no bytes to lend");
        assert!(m.read_vec(LoadAddr(u64::MAX - 1), 8).is_err());
    }
}
