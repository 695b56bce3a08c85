//! Semaphores and limits whose holders wait for them; pipelines that stand because their consumer is blocked elsewhere.

use super::super::case::{Case, Draft};
use super::super::shown::object_name;
use super::super::stuck::Cause;
use super::PATIENCE;
use super::channels::{by_place, everyone, severity};
use crate::model::{Finding, FindingClass, FindingKind, Severity, WaitKind, WaitOp};

/// Senders from which on a blocked consumer is a stall.
const SENDERS: usize = 3;

/// What functions are called that take a place of a semaphore: `(*Group).Go` of errgroup and its kind, `Acquire`, `enter`.
fn acquires(f: &str) -> bool {
    let base = f.rsplit('.').next().unwrap_or(f).to_ascii_lowercase();
    let named = base.starts_with("acquire") || ["enter", "take", "borrow", "checkout"].contains(&base.as_str());
    named || f.ends_with("Group).Go") || f.contains("errgroup.(*Group).") || f.contains("semaphore.")
}

/// A channel used as a semaphore: full, of elements without size, and its waiters acquire (errgroup's limit, a semaphore's `Acquire`).
pub(super) fn is_pool(c: &Case<'_>, x: &Cause) -> bool {
    x.members.iter().all(|m| {
        let s = &c.a.look.seen[*m as usize];
        let full = s.found.on.iter().any(|o| {
            let t = o.type_name.as_deref().unwrap_or("");
            let empty = t == "chan struct {}" || t.starts_with("chan ") && t.ends_with(".token");
            o.op == WaitOp::Send && empty && o.buffer.is_some_and(|(n, cap)| cap > 1 && n == cap)
        });
        full && s.calls(acquires) || s.calls(|f| f.contains("semaphore.(*Weighted).Acquire"))
    })
}

pub(super) fn exhausted(c: &Case<'_>) -> Result<Vec<Finding>, String> {
    if c.a.reach.is_none() {
        return Err(c.a.heap.as_ref().err().cloned().unwrap_or_default());
    }
    let all = c.causes(FindingKind::ChannelLeak).filter(|x| is_pool(c, x));
    Ok(by_place(c, all)
        .iter()
        .map(|g| {
            let (members, victims) = everyone(g);
            let first = members[0];
            let object = c.a.look.seen[first as usize].found.on.first().map(|o| c.object(o, Some(first)));
            let name = object.as_ref().map(object_name).unwrap_or_default();
            c.finding(Draft {
                kind: FindingKind::PoolExhausted,
                class: g[0].class,
                severity: severity(members.len() + victims.len()),
                summary: format!("{name} is full and its holders wait for it, {}", c.place_text(first)),
                why: vec![object.as_ref().map(|o| o.state.clone()).unwrap_or_default(), c.unreachable(g[0].class)],
                next: vec![
                    "do not acquire while holding: take what is needed at once, or nest with another semaphore".into(),
                ],
                object,
                cycle: Vec::new(),
                members,
                victims,
            })
        })
        .collect())
}

pub(super) fn stall(c: &Case<'_>) -> Result<Vec<Finding>, String> {
    let Some(reach) = &c.a.reach else { return Err(c.a.heap.as_ref().err().cloned().unwrap_or_default()) };
    let mut out = Vec::new();
    for o in c.a.graph.objects.iter().filter(|o| matches!(o.on.kind, WaitKind::Chan | WaitKind::Select)) {
        let senders: Vec<u32> = o.waiters.iter().filter(|w| w.1 == WaitOp::Send).map(|w| w.0).collect();
        if senders.len() < SENDERS || senders.iter().any(|s| reach.leaked[*s as usize]) {
            continue;
        }
        let [only] = o.held.as_slice() else { continue };
        let consumer = &c.a.look.seen[only.who as usize];
        let Some(on) = consumer.found.on.first().filter(|_| consumer.stable) else { continue };
        let Some(away) = c.waited(only.who).filter(|ns| *ns >= PATIENCE) else { continue };
        let what = match on.kind {
            WaitKind::Io => "the network or a file",
            WaitKind::Mutex | WaitKind::Rwmutex => "a lock",
            WaitKind::Chan | WaitKind::Select => "another channel",
            WaitKind::Syscall => "a system call",
            _ => continue,
        };
        let object = c.object(&o.on, senders.first().copied());
        let name = object_name(&object);
        out.push(c.finding(Draft {
            kind: FindingKind::Stall,
            class: FindingClass::Strong,
            severity: Severity::Medium,
            members: vec![only.who],
            summary: format!(
                "{} senders wait for {name}; its consumer {} waits for {what}",
                senders.len(),
                c.goroutine(only.who)
            ),
            why: vec![
                format!("{name}: {}", object.state),
                format!("g{} is the only other goroutine that refers to it", consumer.g.goid),
                format!("it has waited for {what} for {}", crate::base::clock::human_ns(away)),
            ],
            next: vec![format!("follow what g{} waits for", consumer.g.goid)],
            victims: senders,
            object: Some(object),
            cycle: Vec::new(),
        }));
    }
    Ok(out)
}
