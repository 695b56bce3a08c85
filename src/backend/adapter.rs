//! Parts of the protocol that debug adapters need: values as trees, code by address, long lists in short.

use super::protocol::{FrameRef, Instruction};
use crate::base::{GoroutineId, Tid};
use serde::{Deserialize, Serialize};

/// Which values are wanted as trees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ValuesOf {
    /// Arguments, results and locals in scope.
    Scope(FrameRef),
    /// Package variables whose full name matches a regular expression.
    Package(String),
    /// What an expression comes to.
    Expression {
        /// Where names are looked up.
        frame: FrameRef,
        /// Go expression.
        expression: String,
    },
    /// A value that was given before, read again.
    Given(u64),
    /// Elements (or entries) of a slice, array, map or channel that was given before: the value with these as its children.
    Part {
        /// [`crate::model::ValueTree::handle`].
        handle: u64,
        /// First element.
        start: u64,
        /// Elements at most.
        count: u64,
    },
}

/// An instruction and the file that its line is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeLine {
    /// The instruction.
    pub instruction: Instruction,
    /// Source path; empty when unknown.
    pub file: String,
    /// Function; empty between functions.
    pub function: String,
}

/// A goroutine in a list that is to be short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedGoroutine {
    /// Its id.
    pub id: GoroutineId,
    /// Index of the function that it is in, as its user sees it, in the list's table.
    pub function: u32,
    /// Thread it runs on.
    pub thread: Option<Tid>,
    /// pprof labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<(String, String)>,
}
