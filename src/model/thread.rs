//! Kernel threads of the target.

use super::Location;
use crate::base::{GoroutineId, Tid};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One thread at a stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Thread {
    /// Kernel id.
    pub tid: Tid,
    /// The goroutine on it, if any.
    pub goroutine: Option<GoroutineId>,
    /// Where it is.
    pub at: Arc<Location>,
}
