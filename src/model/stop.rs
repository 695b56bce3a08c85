//! Why and where the target stopped.

use super::Location;
use crate::base::{BreakpointId, GoroutineId, StopEpoch, Tid};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    /// Launched, before its first Go instruction or at the entry breakpoint.
    Launched,
    /// Somebody asked.
    Paused,
    /// A breakpoint's condition held.
    Breakpoint(BreakpointId),
    /// A step came to its end.
    StepDone,
    /// A step was under way and another goroutine hit this breakpoint; the step can be continued.
    StepInterrupted(BreakpointId),
    /// A panic that nobody recovers, with its message.
    UnrecoveredPanic(String),
    /// `runtime.throw` or `runtime.fatal`, with the message.
    FatalError(String),
    /// `runtime.Breakpoint()` or an INT3 of the program's own.
    HardcodedBreakpoint,
    /// A breakpoint's condition could not be evaluated there: why.
    ConditionFailed(BreakpointId, String),
    /// Watched data was accessed: its value before and after.
    Watchpoint {
        /// Which.
        id: BreakpointId,
        /// Before.
        old: String,
        /// After.
        new: String,
    },
    /// Watched data is no more (the function that it was in returned); the watchpoint was removed.
    WatchEnded(BreakpointId, String),
    /// A call asked for by the user is over.
    CallReturned,
    /// A condition on the run held: which, and what the amount was.
    Condition(String),
    /// The process replaced its program by `execve`; it was let go.
    Exec(String),
}

/// A stop: all threads stand, text is clean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Its number; data asked for at this stop carries it.
    pub epoch: StopEpoch,
    /// Why.
    pub reason: StopReason,
    /// The goroutine it is about; absent when the thread runs none.
    pub goroutine: Option<GoroutineId>,
    /// The thread it is about.
    pub thread: Tid,
    /// Where.
    pub at: Arc<Location>,
    /// Values that the function just left returned, after a step out.
    pub returned: Vec<super::Variable>,
    /// From the first thread asked to stop to the last one standing, microseconds.
    pub stop_us: u64,
    /// The program runs on: what is seen is a copy of that moment.
    #[serde(default)]
    pub copied: bool,
}
