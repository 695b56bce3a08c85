//! Parts of the protocol: what of the target is meant, and how much of it is wanted.

use crate::base::GoroutineId;
use crate::model::{GoroutineFilter, GroupBy, WaitScope};
use serde::{Deserialize, Serialize};

/// A frame of a goroutine. `goroutine` none means: the one of the current stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FrameRef {
    /// Which goroutine.
    pub goroutine: Option<GoroutineId>,
    /// Index into its stack, inlined frames counted.
    pub frame: u32,
}

/// How much of a value to put into its one-line text, and how long pages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LoadLimits {
    /// Bytes of a string.
    pub string: u32,
    /// Elements of arrays, slices and maps.
    pub elements: u32,
    /// Fields of a struct.
    pub fields: u32,
    /// Levels below the value itself.
    pub depth: u32,
}

impl Default for LoadLimits {
    /// Delve's interactive defaults: 64 bytes, 64 elements, all fields, one level.
    fn default() -> Self {
        LoadLimits { string: 64, elements: 64, fields: u32::MAX, depth: 1 }
    }
}

/// How to go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResumeKind {
    /// Until something stops it.
    Continue,
    /// To the next line of this goroutine, calls included.
    Next,
    /// To the next line, into calls.
    Step,
    /// To the caller.
    StepOut,
    /// One machine instruction.
    StepInstruction,
    /// One machine instruction, a call as one.
    NextInstruction,
    /// Until this location (Delve syntax) is reached by any goroutine.
    To(String),
}

/// What to list of goroutines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoroutineQuery {
    /// Which.
    pub filter: GoroutineFilter,
    /// First row, in ascending id order.
    pub start: u64,
    /// Rows at most.
    pub count: u64,
    /// Frames to fetch of each; 0 for none.
    pub stack: u32,
    /// Fetch pending defers too.
    pub defers: bool,
    /// Wait for type information, so that objects have names, too; else they have them once it is there.
    pub names: bool,
}

/// Order of groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupQuery {
    /// Which goroutines.
    pub filter: GoroutineFilter,
    /// How to group.
    pub by: GroupBy,
    /// First group, largest first.
    pub start: u64,
    /// Groups at most.
    pub count: u64,
}

/// What a diagnosis is to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiagnoseQuery {
    /// Goroutine ids listed in a finding, at most.
    pub listed: u32,
    /// Findings whose place's function or summary contains one of these are left out (and counted).
    pub mutes: Vec<String>,
    /// Leave the heap alone: faster, and without the detectors that need it.
    pub no_heap: bool,
}

/// Which part of the wait graph is wanted, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitQuery {
    /// This goroutine first, and what is connected to it.
    pub around: Option<GoroutineId>,
    /// Only a part.
    pub scope: WaitScope,
    /// Equal waiters become one node.
    pub fold: bool,
    /// Nodes at most.
    pub limit: u32,
    /// Leave the heap alone: no leaks, no holders by exclusion.
    pub no_heap: bool,
}

/// What of the symbol tables a completion or list is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum SymbolKind {
    Functions,
    Sources,
    Types,
    PackageVariables,
}
