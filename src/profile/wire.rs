//! Protocol buffers from a stream: only what is looked at is in memory, whatever the file claims to hold.

use crate::base::bytes::{Cursor, CursorError};
use std::io::{self, Read};

/// Bytes fetched at a time.
const CHUNK: usize = 64 << 10;
/// Longest single message (a sample, a function, a string).
pub const MAX_MESSAGE: usize = 64 << 20;
/// Longest profile, unpacked.
pub const MAX_RAW: u64 = 1 << 30;

/// Why a stream could not be read.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The file cannot be read, or its packing is damaged.
    #[error("byte {at} of the unpacked profile: {error}")]
    Io {
        /// Offset in the unpacked data.
        at: u64,
        /// What the reader said.
        error: io::Error,
    },
    /// It ends in the middle of something.
    #[error("cut off at byte {at} of the unpacked profile")]
    Cut {
        /// Offset in the unpacked data.
        at: u64,
    },
    /// Bytes that are no protocol buffer.
    #[error("damaged at byte {at} of the unpacked profile: {what}")]
    Bad {
        /// Offset in the unpacked data.
        at: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// More than is read.
    #[error("longer than {} MiB unpacked", MAX_RAW >> 20)]
    TooLong,
}

/// One field of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number, or eight or four bytes as one.
    Number(u64),
    /// A message, a string or packed numbers.
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The number; 0 of bytes.
    pub fn number(self) -> u64 {
        if let Value::Number(n) = self { n } else { 0 }
    }
    /// The bytes; none of a number.
    pub fn bytes(self) -> &'a [u8] {
        if let Value::Bytes(b) = self { b } else { &[] }
    }
    /// All numbers of a repeated field, packed or not.
    pub fn numbers(self, mut to: impl FnMut(u64)) -> Result<(), CursorError> {
        match self {
            Value::Number(n) => to(n),
            Value::Bytes(b) => {
                let mut c = Cursor::new(b);
                while c.remaining() > 0 {
                    to(c.uvarint()?);
                }
            }
        }
        Ok(())
    }
}

/// Calls `each` with number and value of every field of a message that is in memory.
pub fn fields<'a>(
    message: &'a [u8],
    mut each: impl FnMut(u64, Value<'a>) -> Result<(), CursorError>,
) -> Result<(), CursorError> {
    let mut c = Cursor::new(message);
    while c.remaining() > 0 {
        let at = c.pos();
        let tag = c.uvarint()?;
        let value = match tag & 7 {
            0 => Value::Number(c.uvarint()?),
            1 => Value::Number(c.u64()?),
            2 => {
                let n = c.uvarint()?;
                Value::Bytes(c.take(usize::try_from(n).map_err(|_| CursorError { at })?)?)
            }
            5 => Value::Number(u64::from(c.u32()?)),
            _ => return Err(CursorError { at }),
        };
        if tag >> 3 == 0 {
            return Err(CursorError { at });
        }
        each(tag >> 3, value)?;
    }
    Ok(())
}

/// The fields of a message as they come in.
pub struct Stream<R> {
    from: R,
    buffer: Vec<u8>,
    /// Of what is in the buffer, what was looked at.
    used: usize,
    /// Offset of the buffer in the stream.
    base: u64,
    ended: bool,
}

impl<R: Read> Stream<R> {
    /// A stream at its beginning.
    pub fn new(from: R) -> Stream<R> {
        Stream { from, buffer: Vec::new(), used: 0, base: 0, ended: false }
    }
    /// Bytes looked at.
    pub fn at(&self) -> u64 {
        self.base + self.used as u64
    }
    fn bad(&self, what: &'static str) -> WireError {
        WireError::Bad { at: self.at(), what }
    }

    /// Makes `n` bytes be there, if there are so many. The buffer grows with what comes, not with what is claimed.
    fn fill(&mut self, n: usize) -> Result<bool, WireError> {
        while self.buffer.len() - self.used < n && !self.ended {
            if self.used > 0 {
                self.buffer.drain(..self.used);
                self.base += self.used as u64;
                self.used = 0;
            }
            let had = self.buffer.len();
            let at = self.base + had as u64;
            if at > MAX_RAW {
                return Err(WireError::TooLong);
            }
            self.buffer.resize(had + CHUNK.max(had), 0);
            let got = loop {
                match self.from.read(&mut self.buffer[had..]) {
                    Ok(n) => break n,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Err(WireError::Cut { at }),
                    Err(error) => return Err(WireError::Io { at, error }),
                }
            };
            self.buffer.truncate(had + got);
            self.ended = got == 0;
        }
        Ok(self.buffer.len() - self.used >= n)
    }

    fn varint(&mut self) -> Result<u64, WireError> {
        let whole = self.fill(10)?;
        let mut c = Cursor::at(&self.buffer, self.used);
        match c.uvarint() {
            Ok(v) => {
                self.used = c.pos();
                Ok(v)
            }
            Err(_) if whole => Err(self.bad("a number of more than ten bytes")),
            Err(_) => Err(WireError::Cut { at: self.base + self.buffer.len() as u64 }),
        }
    }

    /// The next field; none at the end.
    pub fn next_field(&mut self) -> Result<Option<(u64, Value<'_>)>, WireError> {
        if !self.fill(1)? {
            return Ok(None);
        }
        let tag = self.varint()?;
        if tag >> 3 == 0 {
            return Err(self.bad("a field without a number"));
        }
        let n = match tag & 7 {
            0 => {
                let v = self.varint()?;
                return Ok(Some((tag >> 3, Value::Number(v))));
            }
            1 => 8,
            5 => 4,
            2 => match usize::try_from(self.varint()?) {
                Ok(n) if n <= MAX_MESSAGE => n,
                _ => return Err(self.bad("a field longer than any profile has")),
            },
            _ => return Err(self.bad("a field of a kind that there is not")),
        };
        if !self.fill(n)? {
            return Err(WireError::Cut { at: self.base + self.buffer.len() as u64 });
        }
        let from = self.used;
        self.used += n;
        let bytes = &self.buffer[from..self.used];
        let value = match tag & 7 {
            2 => Value::Bytes(bytes),
            _ => Value::Number(bytes.iter().rev().fold(0, |v, b| v << 8 | u64::from(*b))),
        };
        Ok(Some((tag >> 3, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_one_by_one_and_ends_are_named() {
        // 1: 150, 2: "ab", 3: packed 1 2, 4: fixed32
        let bytes = [8, 0x96, 1, 0x12, 2, b'a', b'b', 0x1a, 2, 1, 2, 0x25, 1, 0, 0, 0];
        let mut s = Stream::new(&bytes[..]);
        assert_eq!(s.next_field().expect("read"), Some((1, Value::Number(150))));
        assert_eq!(s.next_field().expect("read"), Some((2, Value::Bytes(b"ab"))));
        let mut all = Vec::new();
        s.next_field().expect("read").expect("there").1.numbers(|n| all.push(n)).expect("numbers");
        assert_eq!(all, [1, 2]);
        assert_eq!(s.next_field().expect("read"), Some((4, Value::Number(1))));
        assert!(s.next_field().expect("the end").is_none());
        for cut in 1..bytes.len() {
            let mut s = Stream::new(&bytes[..cut]);
            let end = loop {
                match s.next_field() {
                    Ok(Some(_)) => {}
                    Ok(None) => break None,
                    Err(e) => break Some(e.to_string()),
                }
            };
            let whole = [3, 7, 11].contains(&cut);
            assert_eq!(end, (!whole).then(|| format!("cut off at byte {cut} of the unpacked profile")), "{cut}");
        }
        // A length that no file has takes no memory.
        let huge = [0x12, 0xff, 0xff, 0xff, 0x1f, 0];
        assert!(matches!(Stream::new(&huge[..]).next_field(), Err(WireError::Cut { .. })));
    }
}
