//! System calls and calls into C.

use super::{Found, Primitive};
use crate::goruntime::g::status;
use crate::model::{WaitKind, WaitOn, WaitOp};

/// A call into C.
pub(super) const CGO: Primitive = Primitive {
    name: "cgo",
    applies: |p| p.g.status == status::SYSCALL && p.calls("runtime.cgocall"),
    find: |p| {
        let called = p.frame_of(|f| f.contains("._Cfunc_"));
        let name = called.and_then(|f| f.info.frames.first()).map(|l| l.at.function.clone());
        Found::one(WaitOn {
            kind: WaitKind::Syscall,
            op: WaitOp::Wait,
            name: name.map(|n| n.replace("._Cfunc_", ".C.")),
            detail: Some("in C code".into()),
            ..WaitOn::default()
        })
    },
};

/// A system call.
pub(super) const SYSCALL: Primitive = Primitive {
    name: "syscall",
    applies: |p| p.g.status == status::SYSCALL,
    find: |p| {
        let plain = |f: &str| f.starts_with("syscall.") || f.starts_with("golang.org/x/sys/unix.");
        let raw = |f: &str| f.ends_with("Syscall") || f.ends_with("Syscall6") || f.contains("RawSyscall");
        let named = p.frame_of(|f| plain(f) && !raw(f) && !f.contains("runtime_"));
        let name = named.and_then(|f| f.info.frames.iter().find(|l| plain(&l.at.function) && !raw(&l.at.function)));
        Found::one(WaitOn {
            kind: WaitKind::Syscall,
            op: WaitOp::Wait,
            name: name.map(|l| l.at.function.clone()),
            ..WaitOn::default()
        })
    },
};
