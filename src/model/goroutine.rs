//! Goroutines as lists and screens show them.

use super::{Defer, Frame, Location, WaitOn};
use crate::base::{GoroutineId, LoadAddr, Tid};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// `runtime.g.atomicstatus` without the scan bit (go/src/runtime/runtime2.go).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum GoroutineState {
    /// Just allocated.
    Idle,
    /// On a run queue.
    Runnable,
    /// Executing on a thread.
    Running,
    /// In a system call.
    Syscall,
    /// Parked; the wait reason says on what.
    #[default]
    Waiting,
    /// Not in use.
    Dead,
    /// Its stack is being moved.
    Copystack,
    /// Stopped itself for a suspension.
    Preempted,
    /// The runtime's leak detector found that nothing can wake it (1.26 and newer).
    Leaked,
}

impl GoroutineState {
    /// The word used in JSON and on screens.
    pub fn name(self) -> &'static str {
        match self {
            GoroutineState::Idle => "idle",
            GoroutineState::Runnable => "runnable",
            GoroutineState::Running => "running",
            GoroutineState::Syscall => "syscall",
            GoroutineState::Waiting => "waiting",
            GoroutineState::Dead => "dead",
            GoroutineState::Copystack => "copystack",
            GoroutineState::Preempted => "preempted",
            GoroutineState::Leaked => "leaked",
        }
    }
}

/// The `go` statement that made a goroutine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedBy {
    /// The statement.
    pub at: Arc<Location>,
    /// The goroutine that ran it (0 when the runtime did not record it).
    pub goroutine: GoroutineId,
}

/// One goroutine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Goroutine {
    /// `goid`.
    pub id: GoroutineId,
    /// Address of its `runtime.g`.
    pub g: LoadAddr,
    /// Status.
    pub state: GoroutineState,
    /// `chan receive`, `sync.Mutex.Lock`…; only when waiting or leaked.
    pub wait_reason: Option<Arc<str>>,
    /// How long it has waited, nanoseconds; the runtime records it at the first GC after parking, so it may be absent.
    pub wait_ns: Option<u64>,
    /// One of the runtime's own.
    pub system: bool,
    /// Thread it runs on.
    pub thread: Option<Tid>,
    /// pprof labels.
    pub labels: Vec<(String, String)>,
    /// Innermost frame.
    pub at: Arc<Location>,
    /// First frame outside the runtime's internals.
    pub user: Arc<Location>,
    /// Who started it.
    pub created_by: Option<CreatedBy>,
    /// Function it was started with.
    pub entry: Option<Arc<Location>>,
    /// What it waits for.
    pub waits_on: Vec<WaitOn>,
    /// Frames, if asked for.
    pub stack: Option<Vec<Frame>>,
    /// Pending defers, if asked for.
    pub defers: Option<Vec<Defer>>,
    /// It kept changing while it was read from the running process; the row may mix two moments.
    pub torn: bool,
}

/// How goroutines are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum GroupBy {
    /// By the user frame's function and line, state and wait reason.
    #[default]
    User,
    /// By all return addresses of the stack.
    Stack,
    /// By wait reason or state.
    Wait,
    /// By the `go` statement.
    Creator,
    /// By start function.
    Entry,
    /// By status.
    State,
    /// By all labels.
    Label,
}

impl GroupBy {
    /// All groupings, in the order in which a key cycles through them.
    pub const ALL: [GroupBy; 7] = [
        GroupBy::User,
        GroupBy::Stack,
        GroupBy::Wait,
        GroupBy::Creator,
        GroupBy::Entry,
        GroupBy::State,
        GroupBy::Label,
    ];
    /// The word on the command line and on screens.
    pub fn name(self) -> &'static str {
        match self {
            GroupBy::User => "user",
            GroupBy::Stack => "stack",
            GroupBy::Wait => "wait",
            GroupBy::Creator => "creator",
            GroupBy::Entry => "entry",
            GroupBy::State => "state",
            GroupBy::Label => "label",
        }
    }
}

/// Which goroutines are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
pub struct GoroutineFilter {
    /// Include the runtime's own.
    pub system: bool,
    /// Case-insensitive substring of id, state, wait reason, any location's function or file:line, or label; empty matches all.
    pub text: String,
    /// Keep those that do *not* match `text`.
    pub inverse: bool,
}

/// A set of goroutines that are alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoroutineGroup {
    /// Stable key of the group within one grouping.
    pub key: u64,
    /// Label for label and state groupings; else empty, `sample` says it.
    pub label: String,
    /// How many.
    pub count: u64,
    /// Shortest and longest known wait, nanoseconds.
    pub wait_ns: Option<(u64, u64)>,
    /// One member, with the fields that all share.
    pub sample: Goroutine,
    /// The first few ids, ascending.
    pub ids: Vec<GoroutineId>,
}
