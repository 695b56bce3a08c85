//! A bounded cursor over foreign bytes: every read is checked, nothing panics.

/// A read past the end, or a malformed variable-length number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("truncated or malformed data at byte {at}")]
pub struct CursorError {
    /// Offset at which the read failed.
    pub at: usize,
}

/// Little-endian reader over a byte slice.
#[derive(Clone, Copy)]
pub struct Cursor<'a> {
    data: &'a [u8],
    pos: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor at the start of `data`.
    pub fn new(data: &'a [u8]) -> Self {
        Cursor { data, pos: 0 }
    }
    /// A cursor at byte `pos` (past the end is allowed; reads then fail).
    pub fn at(data: &'a [u8], pos: usize) -> Self {
        Cursor { data, pos }
    }
    /// Bytes consumed so far.
    pub fn pos(&self) -> usize {
        self.pos
    }
    /// Bytes left.
    pub fn remaining(&self) -> usize {
        self.data.len().saturating_sub(self.pos)
    }
    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], CursorError> {
        let err = CursorError { at: self.pos };
        let end = self.pos.checked_add(n).ok_or(err)?;
        let s = self.data.get(self.pos..end).ok_or(err)?;
        self.pos = end;
        Ok(s)
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N], CursorError> {
        let mut a = [0; N];
        a.copy_from_slice(self.take(N)?);
        Ok(a)
    }
    /// One byte.
    pub fn u8(&mut self) -> Result<u8, CursorError> {
        Ok(self.array::<1>()?[0])
    }
    /// Little-endian u16.
    pub fn u16(&mut self) -> Result<u16, CursorError> {
        Ok(u16::from_le_bytes(self.array()?))
    }
    /// Little-endian u32.
    pub fn u32(&mut self) -> Result<u32, CursorError> {
        Ok(u32::from_le_bytes(self.array()?))
    }
    /// Little-endian u64.
    pub fn u64(&mut self) -> Result<u64, CursorError> {
        Ok(u64::from_le_bytes(self.array()?))
    }
    /// Unsigned LEB128, as in DWARF and in Go's pc-value tables.
    pub fn uvarint(&mut self) -> Result<u64, CursorError> {
        let mut v = 0u64;
        for shift in (0..64).step_by(7) {
            let b = self.u8()?;
            v |= u64::from(b & 0x7f) << shift;
            if b & 0x80 == 0 {
                return Ok(v);
            }
        }
        Err(CursorError { at: self.pos })
    }
    /// Bytes up to a NUL, which is consumed.
    pub fn cstr(&mut self) -> Result<&'a [u8], CursorError> {
        let rest = self.data.get(self.pos..).ok_or(CursorError { at: self.pos })?;
        let n = rest.iter().position(|&b| b == 0).ok_or(CursorError { at: self.pos })?;
        self.pos += n + 1;
        Ok(&rest[..n])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn never_past_the_end() {
        let mut c = Cursor::new(&[0x80, 0x01, b'a', 0]);
        assert_eq!(c.uvarint(), Ok(128));
        assert_eq!(c.cstr(), Ok(&b"a"[..]));
        assert_eq!(c.u8(), Err(CursorError { at: 4 }));
        assert!(Cursor::new(&[0xff; 12]).uvarint().is_err());
        assert!(Cursor::at(&[1], usize::MAX).take(2).is_err());
    }
}
