//! WaitGroup, and what is built on it: errgroup and singleflight, told by their frames.

use super::{Parked, Primitive};
use crate::base::{LoadAddr, Memory};
use crate::model::{WaitKind, WaitOn, WaitOp};

/// `sync.WaitGroup.sema`.
const SEMA: u64 = 8;
/// Bits of the waiters in the low half of the state; the highest says that it is of a synctest bubble (1.25).
const WAITERS: u64 = 0x7fff_ffff;

/// Counter and waiters.
pub fn state(mem: &dyn Memory, at: LoadAddr) -> Option<(i32, u64)> {
    let s = mem.read_u64(at).ok()?;
    Some((((s >> 32) as u32).cast_signed(), s & WAITERS))
}

fn built_on(p: &Parked<'_>) -> Option<&'static str> {
    let of = |part: &str| p.frame_of(|f| f.contains(part)).is_some();
    if of("errgroup.(*Group).Wait") {
        return Some("errgroup");
    }
    of("singleflight.(*Group).").then_some("singleflight")
}

/// `sync.WaitGroup`. Up to 1.23 its waits have the reason `semacquire`, and only the frame tells.
pub(super) const WAITGROUP: Primitive = Primitive {
    name: "waitgroup",
    applies: |p| {
        p.reason().starts_with("sync.WaitGroup.Wait") || p.reason() == "semacquire" && p.calls("sync.(*WaitGroup).Wait")
    },
    find: |p| {
        super::lock::found(p, |sema| {
            let at = sema.offset(-(SEMA as i64));
            let mut detail = state(p.mem(), at).map(|(n, _)| format!("counter {n}"));
            if let (Some(d), Some(what)) = (&mut detail, built_on(p)) {
                *d += &format!(", {what}");
            }
            WaitOn {
                kind: WaitKind::Waitgroup,
                op: WaitOp::Wait,
                addr: Some(at),
                type_name: Some("sync.WaitGroup".into()),
                detail,
                ..WaitOn::default()
            }
        })
    },
};
