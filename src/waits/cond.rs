//! Cond: its waiters are in its own list. From 1.26 on a goroutine leads to its record; before, the frame that waits has the
//! list's address as its first argument.

use super::{Found, Parked, Primitive};
use crate::base::LoadAddr;
use crate::model::{WaitKind, WaitOn, WaitOp};

/// `sync.Cond.notify`.
const NOTIFY: u64 = 16;
/// `notifyList.wait` and `notify`: tickets given out and served.
const SERVED: u64 = 4;
/// `notifyList.head`.
const HEAD: u64 = 16;

fn list(p: &Parked<'_>) -> Option<(LoadAddr, Option<LoadAddr>)> {
    if p.rt().layout().facts.waiting_has_semaphores
        && let Some((elem, sudog)) = p.semaphore()
    {
        return Some((elem, Some(sudog)));
    }
    let f = p.frame_of(|f| f == "sync.runtime_notifyListWait")?;
    let at = p.mem().read_ptr(f.cfa).ok().filter(|a| !a.is_nil())?;
    // The record, among those of the list.
    let l = &p.rt().layout().sudog;
    let mut sudog = p.mem().read_ptr(at.add(HEAD)).ok()?;
    for _ in 0..100_000 {
        if sudog.is_nil() {
            break;
        }
        if p.mem().read_ptr(sudog.add(l.g)).ok()? == p.g.addr {
            return Some((at, Some(sudog)));
        }
        sudog = p.mem().read_ptr(sudog.add(l.next)).ok()?;
    }
    Some((at, None))
}

/// `sync.Cond`.
pub(super) const COND: Primitive = Primitive {
    name: "cond",
    applies: |p| p.reason().starts_with("sync.Cond.Wait"),
    find: |p| {
        let Some((at, sudog)) = list(p) else { return Found::default() };
        let tickets = |o: u64| p.mem().read_u32(at.add(o)).ok();
        let waiting = tickets(0).zip(tickets(SERVED)).map(|(a, b)| a.wrapping_sub(b));
        let on = WaitOn {
            kind: WaitKind::Cond,
            op: WaitOp::Wait,
            addr: Some(at.offset(-(NOTIFY as i64))),
            type_name: Some("sync.Cond".into()),
            detail: waiting.map(|n| format!("{n} waiting")),
            ..WaitOn::default()
        };
        Found { on: vec![on], sudogs: sudog.into_iter().collect() }
    },
};
