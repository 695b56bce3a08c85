//! Sleep: when it is due.

use super::{Found, Primitive};
use crate::model::{WaitKind, WaitOn, WaitOp};

/// `time.Sleep`.
pub(super) const SLEEP: Primitive = Primitive {
    name: "timer",
    applies: |p| p.reason() == "sleep",
    find: |p| {
        let l = p.rt().layout();
        let timer = l.timer.and_then(|t| Some((t, p.mem().read_ptr(p.g.addr.add(t.g_timer)).ok()?)));
        let by_timer = || {
            let (t, at) = timer.filter(|t| !t.1.is_nil())?;
            p.mem().read_u64(at.add(t.when)).ok()
        };
        let by_g = || p.mem().read_u64(p.g.addr.add(l.g.sleep_when?)).ok();
        let when = by_g().filter(|w| *w != 0).or_else(by_timer).filter(|w| *w != 0);
        Found::one(WaitOn {
            kind: WaitKind::Timer,
            op: WaitOp::Sleep,
            addr: timer.map(|t| t.1).filter(|a| !a.is_nil()),
            detail: when.map(|w| format!("due {}", p.due(w))),
            ..WaitOn::default()
        })
    },
};
