//! The wait-for graph: goroutines, the objects that they wait for, and who holds those.

use super::{Goroutine, WaitKind, WaitOp};
use crate::base::{GoroutineId, LoadAddr};
use serde::{Deserialize, Serialize};

/// Something that goroutines wait for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitObject {
    /// What kind of thing.
    pub kind: WaitKind,
    /// Where; nil channels and sleeps have no address.
    pub addr: Option<LoadAddr>,
    /// `chan int`, `sync.Mutex`.
    pub type_name: Option<String>,
    /// `main.mu`, `(*Store).mu`, where one was found.
    pub name: Option<String>,
    /// `buffered 3 of 3`, `locked, 2 waiters`, `counter 1`.
    pub state: String,
}

/// How it is known that a goroutine holds an object, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    /// A pending deferred call unlocks it.
    Defer,
    /// A frame stands between locking and unlocking it.
    Frame,
    /// The runtime's own records say so.
    Runtime,
    /// No other goroutine that is not in its queue refers to it.
    Exclusion,
}

impl Evidence {
    /// The word in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Evidence::Defer => "defer",
            Evidence::Frame => "frame",
            Evidence::Runtime => "runtime",
            Evidence::Exclusion => "exclusion",
        }
    }
    /// The letter on screens.
    pub fn letter(self) -> char {
        match self {
            Evidence::Defer => 'd',
            Evidence::Frame => 'f',
            Evidence::Runtime => 'r',
            Evidence::Exclusion => 'i',
        }
    }
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WaitNode {
    /// Goroutines that stand at the same place and wait for the same things; one of them when nothing is folded.
    Goroutines {
        /// How many.
        count: u64,
        /// The first ids, ascending.
        ids: Vec<GoroutineId>,
        /// One of them.
        sample: Box<Goroutine>,
        /// The heap walk found that nothing that runs can reach what they wait for.
        leaked: bool,
    },
    /// An object.
    Object(WaitObject),
}

/// What an edge says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EdgeKind {
    /// From a goroutine to what it waits for.
    Waits(WaitOp),
    /// From an object to a goroutine that holds it (or that alone could serve it).
    Held(Evidence),
}

/// An edge between two nodes, by their index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitEdge {
    /// Index of the node that it leaves.
    pub from: u32,
    /// Index of the node that it enters.
    pub to: u32,
    /// What it says.
    pub kind: EdgeKind,
}

/// The graph.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitGraph {
    /// Goroutines and objects.
    pub nodes: Vec<WaitNode>,
    /// Edges.
    pub edges: Vec<WaitEdge>,
    /// Cycles, each a list of node indices in order.
    pub cycles: Vec<Vec<u32>>,
    /// Goroutines that wait in the whole program, those left out here included.
    pub waiting: u64,
    /// Some were left out.
    pub truncated: bool,
    /// The heap was walked, so that `leaked` means something.
    pub heap_walked: bool,
}

/// Which part of the graph is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WaitScope {
    /// Everything.
    #[default]
    All,
    /// What is on a cycle, or waits for something that is.
    Cycles,
    /// Leaked goroutines and what they wait for.
    Leaks,
}
