//! The collector: assists, cycles waited for, its own workers.

use super::{Found, Primitive};
use crate::model::{WaitKind, WaitOn, WaitOp};

/// All of the collector's reasons.
pub(super) const GC: Primitive = Primitive {
    name: "gc",
    applies: |p| {
        let r = p.reason();
        r.starts_with("GC ")
            || r.starts_with("garbage collection")
            || r == "wait for GC cycle"
            || r == "stopping the world"
    },
    find: |p| {
        Found::one(WaitOn {
            kind: WaitKind::Gc,
            op: WaitOp::Wait,
            detail: Some(p.reason().to_string()),
            ..WaitOn::default()
        })
    },
};
