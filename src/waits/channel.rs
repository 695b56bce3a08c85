//! Channels: a sudog for each channel that a goroutine sends to, receives from or selects on.

use super::{Found, Parked, Primitive};
use crate::base::LoadAddr;
use crate::model::{WaitKind, WaitOn, WaitOp};

/// Cases of one select.
const MAX_CASES: usize = 65_536;
/// Waiters of one queue looked through.
const MAX_QUEUE: usize = 100_000;
/// Goroutines named at the other end.
const MAX_PEERS: usize = 8;

/// Send and receive.
pub(super) const CHAN: Primitive = Primitive {
    name: "chan",
    applies: |p| p.reason().starts_with("chan receive") || p.reason().starts_with("chan send"),
    find: |p| {
        let op = if p.reason().starts_with("chan send") { WaitOp::Send } else { WaitOp::Receive };
        if p.reason().contains("nil chan") {
            let detail = Some("nil channel".into());
            return Found::one(WaitOn { kind: WaitKind::Chan, op, detail, ..WaitOn::default() });
        }
        let all = sudogs(p);
        Found {
            on: all.iter().map(|(_, c)| describe(p, *c, WaitKind::Chan, op)).collect(),
            woken: woken(p, &all),
            sudogs: all.into_iter().map(|s| s.0).collect(),
        }
    },
};

/// Select.
pub(super) const SELECT: Primitive = Primitive {
    name: "select",
    applies: |p| p.reason().starts_with("select"),
    find: |p| {
        if p.reason().contains("no cases") {
            let detail = Some("no cases".into());
            return Found::one(WaitOn { kind: WaitKind::Select, detail, ..WaitOn::default() });
        }
        let all = sudogs(p);
        let on = all.iter().map(|&(sg, c)| {
            let op = if queued(p, c, sg) { WaitOp::Send } else { WaitOp::Receive };
            describe(p, c, WaitKind::Select, op)
        });
        Found { on: on.collect(), sudogs: all.iter().map(|s| s.0).collect(), woken: woken(p, &all) }
    },
};

/// (sudog, channel) pairs of a goroutine, in the order of the list.
fn sudogs(p: &Parked<'_>) -> Vec<(LoadAddr, LoadAddr)> {
    let (l, mem) = (&p.rt().layout().sudog, p.mem());
    let mut out = Vec::new();
    let mut at = p.g.waiting;
    while !at.is_nil() && out.len() < MAX_CASES {
        let Ok(owner) = mem.read_ptr(at.add(l.g)) else { break };
        if owner != p.g.addr {
            break; // the list changed under us
        }
        if let Ok(c) = mem.read_ptr(at.add(l.c))
            && !c.is_nil()
        {
            out.push((at, c));
        }
        let Ok(next) = mem.read_ptr(at.add(l.waitlink)) else { break };
        at = next;
    }
    out
}

/// The sudogs of a queue, from its first.
fn queue(p: &Parked<'_>, first: LoadAddr) -> impl Iterator<Item = LoadAddr> {
    let mut at = p.mem().read_ptr(first).unwrap_or_default();
    std::iter::from_fn(move || {
        let now = at;
        at = p.mem().read_ptr(at.add(p.rt().layout().sudog.next)).unwrap_or_default();
        (!now.is_nil()).then_some(now)
    })
    .take(MAX_QUEUE)
}

/// Is one of them off its channel's queue? It is taken off before its goroutine is made ready; without neighbours and not the first it is
/// in neither queue (`waitq.dequeue`, go/src/runtime/chan.go).
fn woken(p: &Parked<'_>, all: &[(LoadAddr, LoadAddr)]) -> bool {
    let (s, c) = (&p.rt().layout().sudog, &p.rt().layout().hchan);
    let is = |at: LoadAddr, what: LoadAddr| p.mem().read_ptr(at).is_ok_and(|v| v == what);
    all.iter().any(|&(sudog, chan)| {
        let alone = is(sudog.add(s.next), LoadAddr(0)) && is(sudog.add(s.prev), LoadAddr(0));
        alone && [c.recvq_first, c.sendq_first].iter().all(|first| !is(chan.add(*first), sudog))
    })
}

/// Is the sudog among the channel's senders? Many may wait at one end; at both ends at once only a goroutine that selects on both of them,
/// for another one would have been served.
fn queued(p: &Parked<'_>, chan: LoadAddr, sudog: LoadAddr) -> bool {
    let l = &p.rt().layout().hchan;
    let nobody = |first: u64| p.mem().read_ptr(chan.add(first)).unwrap_or_default().is_nil();
    !nobody(l.sendq_first) && (nobody(l.recvq_first) || queue(p, chan.add(l.sendq_first)).any(|s| s == sudog))
}

/// Goroutines that wait at the other end: only those in a select can, for a plain one would have been served.
fn peers(p: &Parked<'_>, chan: LoadAddr, op: WaitOp) -> Vec<crate::base::GoroutineId> {
    let l = p.rt().layout();
    let other = if op == WaitOp::Send { l.hchan.recvq_first } else { l.hchan.sendq_first };
    let goid = |s: LoadAddr| {
        let g = p.mem().read_ptr(s.add(l.sudog.g)).ok()?;
        p.mem().read_u64(g.add(l.g.goid)).ok().map(crate::base::GoroutineId)
    };
    queue(p, chan.add(other)).take(MAX_PEERS).filter_map(goid).collect()
}

fn describe(p: &Parked<'_>, chan: LoadAddr, kind: WaitKind, op: WaitOp) -> WaitOn {
    let (l, mem) = (&p.rt().layout().hchan, p.mem());
    let word = |o: u64| mem.read_u64(chan.add(o)).ok();
    let elem = word(l.elemtype).and_then(|t| p.rt().runtime_type(mem, LoadAddr(t)));
    let timer = l.timer.and_then(word).filter(|t| *t != 0);
    let of_time = elem.as_ref().is_some_and(|t| t.name == "time.Time");
    let due = || {
        let when = match timer {
            Some(t) => mem.read_u64(LoadAddr(t).add(p.rt().layout().timer?.when)).ok(),
            None if of_time => p.cx.due_of(chan),
            None => None,
        };
        Some(format!("timer due {}", p.due(when.filter(|w| *w != 0)?)))
    };
    let closed = mem.read_u32(chan.add(l.closed)).is_ok_and(|c| c != 0);
    WaitOn {
        kind,
        op,
        addr: Some(chan),
        type_name: elem.map(|t| format!("chan {}", t.name)),
        // A timer's channel has room for one inside, and none as far as the program can tell.
        buffer: if timer.is_some() { Some((0, 0)) } else { word(l.qcount).zip(word(l.dataqsiz)) },
        detail: due().or_else(|| closed.then(|| "closed".into())),
        peers: peers(p, chan, op),
        ..WaitOn::default()
    }
}
