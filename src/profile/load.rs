//! Bytes to samples, whatever form they have: told by their beginning, unpacked as they are read.

use super::calls::{Builder, CallsError};
use super::folded::{self, FoldedError};
use super::legacy::{self, LegacyError};
use super::pprof::{self, PprofError};
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

/// An unpacked pprof profile begins with a message that is one of its fields: a sample type, nearly always.
fn is_pprof(head: &[u8]) -> bool {
    let Some((tag, rest)) = head.split_first() else { return false };
    let (field, kind) = (tag >> 3, tag & 7);
    // A ValueType or another short message, whose own first field has a number that it can have.
    let inner =
        matches!((kind, rest), (2, [n, t, ..]) if *n == 0 || (1..=15).contains(&(t >> 3)) && matches!(t & 7, 0 | 2));
    match field {
        1..=5 | 11 => inner,
        6 => kind == 2 && rest.first() == Some(&0),
        _ => false,
    }
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
