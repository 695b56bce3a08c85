//! Sleep: when it is due.

use super::{Found, Primitive};
use crate::base::{LoadAddr, Memory};
use crate::goruntime::GoRuntime;
use crate::model::{WaitKind, WaitOn, WaitOp};
use rustc_hash::FxHashMap;

/// Timers of one P.
const MAX_TIMERS: u64 = 1 << 20;

/// Channels of timers and when they are due, for those that do not lead to their timer (all up to 1.22; later, in modules of an older
/// language version): from the Ps' heaps of timers, each with its channel as argument.
pub(super) fn by_channel(rt: &GoRuntime, mem: &dyn Memory) -> FxHashMap<LoadAddr, u64> {
    let mut out = FxHashMap::default();
    let read = |out: &mut FxHashMap<LoadAddr, u64>| -> Option<()> {
        let (l, allp) = (rt.layout().timer?, rt.globals().allp?);
        let (first, n) = (mem.read_ptr(allp).ok()?, mem.read_u64(allp.add(8)).ok()?.min(4096));
        for i in 0..n {
            let heap = mem.read_ptr(first.add(i * 8)).ok()?.add(l.p_timers + l.heap.unwrap_or(0));
            let (at, len) = (mem.read_ptr(heap).ok()?, mem.read_u64(heap.add(8)).ok()?.min(MAX_TIMERS));
            // Pairs of pointer and time, or pointers.
            let stride = if rt.layout().facts.timers_are_pairs { 16 } else { 8 };
            for k in 0..len {
                let t = mem.read_ptr(at.add(k * stride)).ok()?;
                if let (Ok(chan), Ok(when)) = (mem.read_ptr(t.add(l.arg + 8)), mem.read_u64(t.add(l.when))) {
                    out.insert(chan, when);
                }
            }
        }
        Some(())
    };
    // What was read until something moved is good.
    let _in_part = read(&mut out);
    out
}

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
