//! Values by stack: what a pprof file, perf samples and the blocking profiles of a trace come to.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a value counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ValueKind {
    /// `cpu`, `inuse_space`, `delay`…
    pub name: String,
    /// `nanoseconds`, `bytes`, `count`…
    pub unit: String,
}

/// A function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProfileFunction {
    /// Name with package.
    pub name: Arc<str>,
    /// File.
    pub file: Arc<str>,
    /// First line; 0 if not known.
    pub start_line: u32,
}

/// One frame of a stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProfileFrame {
    /// Index of its function.
    pub function: u32,
    /// Line; 0 if not known.
    pub line: u32,
    /// Inlined into the next one.
    pub inlined: bool,
}

/// Values by stack. Equal stacks appear once for each set of labels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// What each value counts.
    pub kinds: Vec<ValueKind>,
    /// The kind shown first.
    pub shown: usize,
    /// Functions.
    pub functions: Vec<ProfileFunction>,
    /// Distinct frames.
    pub frames: Vec<ProfileFrame>,
    /// Indices into `frames` of all stacks, leaf first, one behind the other.
    pub stacks: Vec<u32>,
    /// Where each sample's stack ends in `stacks`; it begins where the one before ends.
    pub ends: Vec<u32>,
    /// Values of all samples, `kinds.len()` for each.
    pub values: Vec<i64>,
    /// Begin, ns since 1970; 0 if not known.
    pub time_ns: i64,
    /// Length, ns; 0 if not known.
    pub duration_ns: i64,
    /// What came with it: comments, what is lost or cut.
    pub notes: Vec<String>,
}
