//! What has no object of its own: coroutines of `iter.Pull`, injected calls, the runtime's idle goroutines.

use super::{Found, Primitive};
use crate::model::{WaitKind, WaitOn, WaitOp};

fn plain(kind: WaitKind, detail: &str) -> Found {
    Found::one(WaitOn { kind, op: WaitOp::Wait, detail: Some(detail.to_string()), ..WaitOn::default() })
}

/// The other half of an `iter.Pull`.
pub(super) const COROUTINE: Primitive = Primitive {
    name: "coroutine",
    applies: |p| p.reason() == "coroutine",
    find: |_| plain(WaitKind::Other, "the other half of an iterator"),
};

/// Whatever else there is a reason for.
pub(super) const OTHER: Primitive = Primitive {
    name: "other",
    applies: |p| !p.reason().is_empty(),
    find: |p| match p.reason() {
        "debug call" => plain(WaitKind::DebugCall, "a call injected by a debugger"),
        r => plain(WaitKind::Other, r),
    },
};
