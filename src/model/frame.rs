//! Stack frames.

use super::{Defer, Location, PanicRecord};
use crate::base::{GoroutineId, LoadAddr};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One frame, physical or inlined; index 0 is innermost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Frame {
    /// Position in the stack, inlined frames counted.
    pub index: u32,
    /// Where it is: the call for outer frames, the exact PC for the innermost.
    pub at: Arc<Location>,
    /// An inlined call: it shares the physical frame of the next one outwards.
    pub inlined: bool,
    /// Canonical frame address of the physical frame.
    pub cfa: LoadAddr,
    /// Runs on a system stack (g0, gsignal).
    pub system_stack: bool,
    /// Function is internal to the runtime or a compiler-made wrapper: dimmed on screens.
    pub hidden: bool,
    /// Pending defers of this frame, the next to run first.
    pub defers: Vec<Defer>,
}

/// A goroutine's stack, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Stack {
    /// Whose.
    pub goroutine: GoroutineId,
    /// Innermost first.
    pub frames: Vec<Frame>,
    /// There are more frames than were asked for.
    pub more: bool,
    /// Panics under way, innermost first.
    pub panics: Vec<PanicRecord>,
    /// The `go` statement that made the goroutine.
    pub created_by: Option<super::CreatedBy>,
    /// What went wrong on the way, in words (unreadable page, unknown code).
    pub problems: Vec<String>,
}
