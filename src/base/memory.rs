//! One trait for reading a target's memory, whatever the target is: process, core, snapshot, recorded fixture.

use super::addr::LoadAddr;

/// Why memory could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// The page is not mapped, not readable, or not in the core.
    #[error("cannot read {len} bytes at {addr}")]
    Unreadable {
        /// First address asked for.
        addr: LoadAddr,
        /// Bytes asked for.
        len: usize,
    },
    /// The process is gone.
    #[error("the target process is gone")]
    Gone,
    /// The kernel refused.
    #[error("reading the target's memory was refused: {0}")]
    Denied(String),
    /// More was asked for than is sane; the length probably comes from damaged data.
    #[error("refusing to read {0} bytes at once")]
    TooLarge(usize),
}

/// One element of a scatter read: fills `buf` from `addr`, and says in `ok` whether all of it was read.
pub struct ReadOp<'a> {
    /// Where to read.
    pub addr: LoadAddr,
    /// What to fill.
    pub buf: &'a mut [u8],
    /// Set by the read; a buffer with `ok == false` has undefined contents.
    pub ok: bool,
}

/// Largest single read that `read_vec` accepts, in bytes.
pub const MAX_READ: usize = 256 << 20;

/// Readable target memory. Implementations are cheap to call from several threads.
pub trait Memory: Send + Sync {
    /// Fills `buf` from `addr`, all or nothing.
    fn read(&self, addr: LoadAddr, buf: &mut [u8]) -> Result<(), MemoryError>;

    /// Many reads at once; each op says for itself whether it worked. The error is for what stops all of them.
    fn read_scatter(&self, ops: &mut [ReadOp<'_>]) -> Result<(), MemoryError> {
        for op in ops {
            op.ok = match self.read(op.addr, op.buf) {
                Ok(()) => true,
                Err(MemoryError::Unreadable { .. }) => false,
                Err(e) => return Err(e),
            };
        }
        Ok(())
    }

    /// The bytes themselves, where they lie in our own memory already (a core, a snapshot): no copy.
    fn slice(&self, _addr: LoadAddr, _len: usize) -> Option<&[u8]> {
        None
    }

    /// `len` bytes from `addr`.
    fn read_vec(&self, addr: LoadAddr, len: usize) -> Result<Vec<u8>, MemoryError> {
        if len > MAX_READ {
            return Err(MemoryError::TooLarge(len));
        }
        let mut v = vec![0; len];
        self.read(addr, &mut v)?;
        Ok(v)
    }
    /// A little-endian 64-bit word.
    fn read_u64(&self, addr: LoadAddr) -> Result<u64, MemoryError> {
        let mut b = [0; 8];
        self.read(addr, &mut b)?;
        Ok(u64::from_le_bytes(b))
    }
    /// A little-endian 32-bit word.
    fn read_u32(&self, addr: LoadAddr) -> Result<u32, MemoryError> {
        let mut b = [0; 4];
        self.read(addr, &mut b)?;
        Ok(u32::from_le_bytes(b))
    }
    /// One byte.
    fn read_u8(&self, addr: LoadAddr) -> Result<u8, MemoryError> {
        let mut b = [0; 1];
        self.read(addr, &mut b)?;
        Ok(b[0])
    }
    /// A pointer-sized word as an address.
    fn read_ptr(&self, addr: LoadAddr) -> Result<LoadAddr, MemoryError> {
        Ok(LoadAddr(self.read_u64(addr)?))
    }
}

impl<M: Memory + ?Sized> Memory for std::sync::Arc<M> {
    fn read(&self, addr: LoadAddr, buf: &mut [u8]) -> Result<(), MemoryError> {
        (**self).read(addr, buf)
    }
    fn read_scatter(&self, ops: &mut [ReadOp<'_>]) -> Result<(), MemoryError> {
        (**self).read_scatter(ops)
    }
    fn slice(&self, addr: LoadAddr, len: usize) -> Option<&[u8]> {
        (**self).slice(addr, len)
    }
}

/// Memory made of a few byte ranges: what tests and recorded fixtures use.
#[derive(Default, Clone)]
pub struct SparseMemory {
    ranges: std::collections::BTreeMap<u64, Vec<u8>>,
}

impl SparseMemory {
    /// Adds a range; ranges must not overlap.
    pub fn insert(&mut self, addr: LoadAddr, bytes: Vec<u8>) {
        self.ranges.insert(addr.0, bytes);
    }
}

impl Memory for SparseMemory {
    fn read(&self, addr: LoadAddr, buf: &mut [u8]) -> Result<(), MemoryError> {
        let err = MemoryError::Unreadable { addr, len: buf.len() };
        let (base, bytes) = self.ranges.range(..=addr.0).next_back().ok_or(err.clone())?;
        let off = (addr.0 - base) as usize;
        let src = bytes.get(off..off.checked_add(buf.len()).ok_or(err.clone())?).ok_or(err)?;
        buf.copy_from_slice(src);
        Ok(())
    }
}
