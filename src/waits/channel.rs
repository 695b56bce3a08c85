//! Channels: a sudog for each channel that a goroutine sends to, receives from or selects on.

use super::Primitive;
use crate::base::{LoadAddr, Memory};
use crate::goruntime::{G, GoRuntime};
use crate::model::{WaitKind, WaitOn, WaitOp};

/// Cases of one select.
const MAX_CASES: usize = 65_536;
/// Waiters of one queue looked through for the sudog in hand.
const MAX_QUEUE: usize = 100_000;

/// Send and receive.
pub const CHAN: Primitive = Primitive {
    name: "chan",
    applies: |r| r.starts_with("chan receive") || r.starts_with("chan send"),
    find: |rt, mem, g, reason| {
        let op = if reason.starts_with("chan send") { WaitOp::Send } else { WaitOp::Receive };
        if reason.contains("nil chan") {
            return vec![WaitOn { kind: WaitKind::Chan, op, ..WaitOn::default() }];
        }
        sudogs(rt, mem, g).into_iter().map(|(_, c)| describe(rt, mem, c, WaitKind::Chan, op)).collect()
    },
};

/// Select with more than one case.
pub const SELECT: Primitive = Primitive {
    name: "select",
    applies: |r| r.starts_with("select"),
    find: |rt, mem, g, _| {
        let all = sudogs(rt, mem, g).into_iter();
        all.map(|(sg, c)| {
            let op = if queued(rt, mem, c, sg) { WaitOp::Send } else { WaitOp::Receive };
            describe(rt, mem, c, WaitKind::Select, op)
        })
        .collect()
    },
};

/// (sudog, channel) pairs of a goroutine, in the order of the list.
fn sudogs(rt: &GoRuntime, mem: &dyn Memory, g: &G) -> Vec<(LoadAddr, LoadAddr)> {
    let l = &rt.layout().sudog;
    let mut out = Vec::new();
    let mut at = g.waiting;
    while !at.is_nil() && out.len() < MAX_CASES {
        let Ok(owner) = mem.read_ptr(at.add(l.g)) else { break };
        if owner != g.addr {
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

/// Is the sudog among the channel's senders?
fn queued(rt: &GoRuntime, mem: &dyn Memory, chan: LoadAddr, sudog: LoadAddr) -> bool {
    let l = rt.layout();
    let mut at = mem.read_ptr(chan.add(l.hchan.sendq_first)).unwrap_or_default();
    for _ in 0..MAX_QUEUE {
        if at.is_nil() {
            return false;
        }
        if at == sudog {
            return true;
        }
        at = mem.read_ptr(at.add(l.sudog.next)).unwrap_or_default();
    }
    false
}

fn describe(rt: &GoRuntime, mem: &dyn Memory, chan: LoadAddr, kind: WaitKind, op: WaitOp) -> WaitOn {
    let l = &rt.layout().hchan;
    let word = |o: u64| mem.read_u64(chan.add(o)).ok();
    let elem = word(l.elemtype).and_then(|t| rt.runtime_type(mem, LoadAddr(t)));
    WaitOn {
        kind,
        op,
        addr: Some(chan),
        type_name: elem.map(|t| format!("chan {}", t.name)),
        name: None,
        // A timer's channel has room for one inside, and none as far as the program can tell.
        buffer: match l.timer.and_then(word) {
            Some(t) if t != 0 => Some((0, 0)),
            _ => word(l.qcount).zip(word(l.dataqsiz)),
        },
        ..WaitOn::default()
    }
}
