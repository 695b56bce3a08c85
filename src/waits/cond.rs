//! Cond: its waiters are in its own list. From 1.26 on a goroutine leads to its record; before, the frame that waits has the
//! list's address as its first argument.

use super::{Found, Parked, Primitive};
use crate::base::{LoadAddr, Memory};
use crate::goruntime::GoRuntime;
use crate::model::{WaitKind, WaitOn, WaitOp};
use rustc_hash::FxHashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// `sync.Cond.notify`.
const NOTIFY: u64 = 16;
/// `notifyList.wait` and `notify`: tickets given out and served.
const SERVED: u64 = 4;
/// `notifyList.head`.
const HEAD: u64 = 16;
/// Waiters of one list.
const MAX_WAITERS: usize = 4_000_000;

/// Records of the goroutines in one list, by goroutine.
type List = FxHashMap<LoadAddr, LoadAddr>;

/// Lists, each read once however many wait in it.
#[derive(Default)]
pub(super) struct Lists(Mutex<FxHashMap<LoadAddr, Arc<OnceLock<List>>>>);

impl Lists {
    /// The record of a goroutine in a list.
    fn record(&self, rt: &GoRuntime, mem: &dyn Memory, list: LoadAddr, g: LoadAddr) -> Option<LoadAddr> {
        let one = self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(list).or_default().clone();
        one.get_or_init(|| {
            let l = &rt.layout().sudog;
            let word = |at: LoadAddr| mem.read_ptr(at).unwrap_or_default();
            let first = word(list.add(HEAD));
            let all = std::iter::successors(Some(first), |s| Some(word(s.add(l.next))));
            all.take_while(|s| !s.is_nil()).take(MAX_WAITERS).map(|s| (word(s.add(l.g)), s)).collect()
        })
        .get(&g)
        .copied()
    }
}

/// The list that a goroutine waits in.
fn list(p: &Parked<'_>) -> Option<LoadAddr> {
    if p.rt().layout().facts.waiting_has_semaphores
        && let Some((elem, _)) = p.semaphore()
    {
        return Some(elem);
    }
    let f = p.frame_of(|f| f == "sync.runtime_notifyListWait")?;
    p.mem().read_ptr(f.cfa).ok().filter(|a| !a.is_nil())
}

/// `sync.Cond`.
pub(super) const COND: Primitive = Primitive {
    name: "cond",
    applies: |p| p.reason().starts_with("sync.Cond.Wait"),
    find: |p| {
        let Some(at) = list(p) else { return Found::default() };
        let sudog = p.cx.conds.record(p.rt(), p.mem(), at, p.g.addr);
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
        // Who notifies takes the records out of the list and makes their goroutines ready then (`notifyListNotifyAll`, go/src/runtime/sema.go).
        Found { on: vec![on], sudogs: sudog.into_iter().collect(), woken: sudog.is_none() }
    },
};
