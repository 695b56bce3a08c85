//! Pending deferred calls and panics.

use super::Location;
use crate::base::LoadAddr;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One deferred call that has not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Defer {
    /// The deferred function, wrappers (`deferwrap`) unwrapped.
    pub function: String,
    /// Where the deferred function is.
    pub at: Arc<Location>,
    /// The `defer` statement, where it is known.
    pub statement: Option<Arc<Location>>,
    /// Index of the frame that it belongs to.
    pub frame: u32,
    /// First captured word: the receiver of `defer mu.Unlock()`.
    pub receiver: Option<LoadAddr>,
    /// Open-coded: kept in the frame, not in the runtime's list.
    pub open_coded: bool,
    /// Made by the body of a range-over-func loop, for the function around it.
    pub range_func: bool,
    /// Arguments and captured variables as far as the closure's words tell: name (or `arg0`) and text.
    pub captures: Vec<(String, String)>,
    /// It calls `recover`: a panic that reaches it may end there.
    pub recovers: bool,
}

/// A panic (or Goexit) under way on a goroutine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct PanicRecord {
    /// The argument as text.
    pub value: String,
    /// Has `recover` been called?
    pub recovered: bool,
    /// `runtime.Goexit`, no panic.
    pub goexit: bool,
    /// The pending deferred function that will be asked first whether it recovers: the first that calls `recover`.
    pub recovered_by: Option<Arc<Location>>,
}
