//! The heap from outside: objects, who refers to them, and sums by type and by who keeps them alive.

use super::Location;
use crate::base::{GoroutineId, LoadAddr};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One heap object (or a variable that is none).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeapObject {
    /// Its first byte.
    pub addr: LoadAddr,
    /// Bytes of its slot.
    pub size: u64,
    /// Its type, where it is known; `size class 48` style words are left to the screen.
    pub type_name: Option<String>,
    /// No pointers inside.
    pub noscan: bool,
}

/// One step of a path that keeps an object alive, root first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefStep {
    /// A package variable.
    Global {
        /// `main.cache`, where it has a name.
        name: String,
        /// Address of the word that refers on.
        addr: LoadAddr,
    },
    /// A goroutine's stack.
    Stack {
        /// Whose.
        goroutine: GoroutineId,
        /// The frame that holds it.
        at: Arc<Location>,
        /// The variable, where it is known.
        variable: Option<String>,
        /// Address of the word that refers on.
        addr: LoadAddr,
    },
    /// A record of the runtime: finalizer, cleanup, timer.
    Special {
        /// What.
        what: String,
        /// Address of the record.
        addr: LoadAddr,
    },
    /// An object on the heap.
    Object {
        /// Which.
        object: HeapObject,
        /// Where in it the reference to the next step is; for the last step 0.
        offset: u64,
        /// The field at that offset, where it is known.
        field: Option<String>,
    },
}

/// Why an object is alive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct References {
    /// The object.
    pub object: HeapObject,
    /// Shortest paths from different roots, shortest first. Empty: nothing refers to it, it is garbage.
    pub paths: Vec<Vec<RefStep>>,
    /// Roots that reach it in all, as far as they were counted.
    pub roots: u64,
    /// Bytes that only this object keeps alive, itself included, where that was computed.
    pub retained: Option<u64>,
}

/// Objects of one kind together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeapRow {
    /// Type, or the root that keeps them alive.
    pub name: String,
    /// Objects.
    pub count: u64,
    /// Bytes of their slots.
    pub bytes: u64,
    /// One of them.
    pub sample: LoadAddr,
}

/// How heap rows are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeapBy {
    /// By type.
    #[default]
    Type,
    /// By the root (package variable, or function of the frame) that reaches them first.
    Site,
}

/// Sums over the heap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeapSummary {
    /// Rows, most bytes first.
    pub rows: Vec<HeapRow>,
    /// Rows in all.
    pub total_rows: u64,
    /// Objects and bytes that roots reach.
    pub live: (u64, u64),
    /// Objects and bytes that are allocated and that no root reaches: garbage not yet collected.
    pub garbage: (u64, u64),
}
