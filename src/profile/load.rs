//! Bytes to samples, whatever form they have: told by their beginning, unpacked as they are read.

use super::calls::{Builder, CallsError};
use super::folded::{self, FoldedError};
use super::legacy::{self, LegacyError};
use super::pprof::{self, PprofError};
use super::wire::{MAX_MESSAGE, fields};
use crate::base::bytes::Cursor;
use flate2::read::MultiGzDecoder;
use std::io::{self, BufRead, BufReader, Read};

/// Bytes looked at to tell the form.
const HEAD: usize = 4 << 10;

/// Why a profile could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A pprof profile that is damaged, cut off or too large.
    #[error(transparent)]
    Pprof(#[from] PprofError),
    /// Folded stacks.
    #[error(transparent)]
    Folded(#[from] FoldedError),
    /// Text of `debug=1`.
    #[error(transparent)]
    Legacy(#[from] LegacyError),
    /// Nothing that is known.
    #[error("no profile: looked for pprof's format (packed or not), its text (debug=1) and folded stacks")]
    Unknown,
    /// Nothing at all.
    #[error("empty")]
    Empty,
}

impl LoadError {
    /// Is it a limit of ours, rather than damage?
    pub fn is_limit(&self) -> bool {
        use super::wire::WireError::TooLong;
        matches!(
            self,
            LoadError::Pprof(PprofError::Wire(TooLong) | PprofError::Calls(CallsError::TooLarge))
                | LoadError::Folded(FoldedError::Calls(CallsError::TooLarge))
                | LoadError::Legacy(LegacyError::Calls(CallsError::TooLarge))
        )
    }
}

/// Does it begin like something that [`read`] reads? `head` is what a file begins with, unpacked or not.
pub fn is_profile(head: &[u8]) -> bool {
    if head.starts_with(&[0x1f, 0x8b]) {
        let mut inside = Vec::new();
        // A head is cut off: what came out before that is what counts.
        let _cut = MultiGzDecoder::new(head).take(HEAD as u64).read_to_end(&mut inside);
        return !inside.starts_with(&[0x1f, 0x8b]) && is_profile(&inside);
    }
    is_pprof(head) || legacy::is_legacy(head) || folded::is_folded(head)
}

/// An unpacked pprof profile has fields of its numbers and kinds one behind the other, in whatever order.
fn is_pprof(head: &[u8]) -> bool {
    let mut c = Cursor::new(head);
    for n in 0..8 {
        let Ok(tag) = c.uvarint() else { return n > 0 };
        match (tag >> 3, tag & 7) {
            (7..=10 | 12..=15, 0) => {
                if c.uvarint().is_err() {
                    return n > 0;
                }
            }
            (field @ (1..=6 | 11 | 13), 2) => {
                let Some(len) = c.uvarint().ok().and_then(|n| usize::try_from(n).ok()) else { return n > 0 };
                // A message that goes beyond the head is none that can be looked into.
                let Ok(inside) = c.take(len) else { return n > 0 || (len < MAX_MESSAGE && field == 2) };
                let known = match field {
                    1 | 11 => 2,
                    2 => 3,
                    6 | 13 => continue,
                    _ => 10,
                };
                let mut good = true;
                let whole = fields(inside, |f, _| {
                    good &= f <= known;
                    Ok(())
                });
                if whole.is_err() || !good {
                    return false;
                }
            }
            // What later versions add is skipped, here and by the reader.
            (16..=200, 0) => drop(c.uvarint()),
            (16..=200, 2) => {
                let len = c.uvarint().ok().and_then(|n| usize::try_from(n).ok());
                if len.is_none_or(|len| c.take(len).is_err()) {
                    return n > 0;
                }
            }
            _ => return false,
        }
    }
    true
}

/// Reads a profile into a builder.
pub fn read(from: impl Read, into: &mut Builder) -> Result<(), LoadError> {
    let mut from = BufReader::with_capacity(64 << 10, from);
    let head = from.fill_buf()?;
    if head.starts_with(&[0x1f, 0x8b]) {
        let mut inside = BufReader::with_capacity(64 << 10, MultiGzDecoder::new(from));
        return match inside.fill_buf() {
            Ok([0x1f, 0x8b, ..]) => Err(LoadError::Unknown),
            // Damaged packing is told by the reader, with the place.
            Err(_) => Ok(pprof::read(inside, into)?),
            Ok(_) => unpacked(inside, into),
        };
    }
    unpacked(from, into)
}

fn unpacked(mut from: impl BufRead, into: &mut Builder) -> Result<(), LoadError> {
    let head = from.fill_buf()?;
    match () {
        _ if head.is_empty() => Err(LoadError::Empty),
        _ if is_pprof(head) => Ok(pprof::read(from, into)?),
        _ if legacy::is_legacy(head) => Ok(legacy::read(from, into)?),
        _ if folded::is_folded(head) => Ok(folded::read(from, into)?),
        _ => Err(LoadError::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_told_by_their_beginnings() {
        for (head, is) in [
            // A sample type first, or the time, as Go writes CPU profiles.
            (&[0x0a, 4, 8, 1, 16, 2, 0x0a, 4, 8, 3, 16, 4][..], true),
            (&[0x48, 0xb3, 0xf3, 1, 0x50, 3, 0x5a, 4, 8, 3, 16, 4], true),
            (b"main;f 3\n", true),
            (b"--- mutex:\ncycles/second=1\n", true),
            (b"\nsome text", false),
            (b"goroutine 1 [running]:\n", false),
            (b"{\"a\": 1}", false),
            (b"PK\x03\x04", false),
            (b"", false),
        ] {
            assert_eq!(is_profile(head), is, "{head:?}");
        }
    }
}
