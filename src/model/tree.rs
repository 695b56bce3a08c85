//! Values as trees: what a debug adapter shows, read in one piece as deep as a client wants it.

use super::{VarFlags, VarKind};
use crate::base::LoadAddr;
use serde::{Deserialize, Serialize};

/// Capacity of a slice of which all but that is known.
pub const UNKNOWN_CAP: i64 = -1;

/// A capacity in words.
pub fn cap_text(cap: i64) -> String {
    if cap == UNKNOWN_CAP { "?".into() } else { cap.to_string() }
}

/// A value that was read, with what was read below it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ValueTree {
    /// Variable or field; `data` below an interface; empty for elements and for what a pointer leads to.
    pub name: String,
    /// Go type; empty for none.
    pub type_name: String,
    /// Kind.
    pub kind: VarKind,
    /// Size of the type, bytes.
    pub size: u64,
    /// Bytes of a string; else text: a number, the name of a function, the time of a `time.Time`.
    pub value: Vec<u8>,
    /// Where it is; nil when it is in registers.
    pub addr: LoadAddr,
    /// Where a string's bytes, a slice's elements, a map's or channel's structure are.
    pub base: LoadAddr,
    /// Length of strings, arrays, slices, maps, channels; number of fields, of captured variables.
    pub len: i64,
    /// Capacity of slices and channels; [`UNKNOWN_CAP`] where only that is not there.
    pub cap: i64,
    /// Fields; elements; key and value by turns; what a pointer or an interface leads to; captured variables.
    pub children: Vec<ValueTree>,
    /// It is somewhere, in memory or in registers.
    pub exists: bool,
    /// Too deep: only the address was taken.
    pub only_addr: bool,
    /// An interface without a type in it.
    pub nil_interface: bool,
    /// Why there is no value, in words.
    pub unreadable: Option<String>,
    /// The text to show in place of a value, or a part of it, that looks like a secret; `value` is then the same, and there are no children.
    pub redacted: Option<String>,
    /// Facts.
    pub flags: VarFlags,
    /// For asking for more of it, valid for the epoch in which it was given; 0 for what has no more.
    pub handle: u64,
}
