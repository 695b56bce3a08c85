//! Locks: taken twice, in opposite orders, read again behind a writer, never unlocked, held across slow work; and cycles in which
//! something else than locks takes part.

use super::super::case::{Case, Draft};
use super::super::graph::is_lock;
use super::super::shown::object_name;
use super::super::stuck::Cause;
use super::channels::{by_place, everyone};
use crate::model::{Evidence, Finding, FindingClass, FindingKind, GoroutineState, Severity, WaitKind};
use std::collections::BTreeMap;

/// Waiters from which on a slow holder is a convoy.
const CONVOY: usize = 5;

/// What cycles have in common that are one finding: class, places, evidence.
type Alike = (FindingClass, Vec<u64>, Vec<Evidence>);

/// Cycles at the same places are one finding: the first is drawn.
fn cycles(c: &Case<'_>, kind: FindingKind, words: impl Fn(&Cause, &[String]) -> String, next: &str) -> Vec<Finding> {
    let mut groups: BTreeMap<Alike, Vec<&Cause>> = BTreeMap::new();
    for x in c.causes(kind).filter(|x| !x.cycle.is_empty()) {
        let place = |m: &u32| c.target.list.place_key(c.a.look.seen[*m as usize].row).unwrap_or(0);
        let mut places: Vec<u64> = x.members.iter().map(place).collect();
        places.sort_unstable();
        let mut evidence: Vec<Evidence> = x.cycle.iter().map(|s| s.2).collect();
        evidence.sort_unstable();
        groups.entry((x.class, places, evidence)).or_default().push(x);
    }
    groups
        .into_values()
        .map(|group| {
            let x = group[0];
            let (members, victims) = everyone(&group);
            let (steps, mut why) = c.cycle(x);
            let names = c.names(&x.objects);
            if x.class == FindingClass::Proof && x.cycle.iter().all(|s| s.2 != Evidence::Exclusion) {
                let how = if c.target.stopped {
                    "they stood like that at the stop"
                } else {
                    "none of them moved while it was looked at"
                };
                why.push(how.into());
            } else {
                why.push(c.unreachable(x.class));
            }
            if group.len() > 1 {
                why.push(format!("{} such cycles at the same places; this is the first", group.len()));
            }
            let times = if group.len() > 1 { format!(" ({} times)", group.len()) } else { String::new() };
            let summary = words(x, &names) + &times;
            c.finding(Draft {
                kind,
                class: x.class,
                severity: Severity::High,
                object: x.objects.first().map(|o| c.graph_object(*o)),
                cycle: steps,
                summary,
                why,
                next: vec![next.to_string()],
                members,
                victims,
            })
        })
        .collect()
}

fn ids(c: &Case<'_>, x: &Cause) -> String {
    let v: Vec<String> = x.cycle.iter().take(4).map(|s| format!("g{}", c.a.look.seen[s.0 as usize].g.goid)).collect();
    v.join(" <-> ")
}

pub(super) fn double_lock(c: &Case<'_>) -> Result<Vec<Finding>, String> {
    let words = |x: &Cause, n: &[String]| format!("{} is locked again by its holder, {}", n.join(", "), ids(c, x));
    Ok(cycles(c, FindingKind::DoubleLock, words, "split the function: one that locks, one that expects the lock held"))
}

pub(super) fn lock_cycle(c: &Case<'_>) -> Result<Vec<Finding>, String> {
    let words = |x: &Cause, n: &[String]| format!("{}  {}", n.join(" <-> "), ids(c, x));
    Ok(cycles(c, FindingKind::LockCycle, words, "take the locks in one order everywhere, or hold one at a time"))
}

pub(super) fn rwr(c: &Case<'_>) -> Result<Vec<Finding>, String> {
    let words = |x: &Cause, n: &[String]| {
        format!("{} is read-locked again behind a queued writer, {}", n.join(", "), ids(c, x))
    };
    Ok(cycles(
        c,
        FindingKind::RwrDeadlock,
        words,
        "do not call what read-locks while holding the read lock: a queued writer stops new readers",
    ))
}

pub(super) fn once(c: &Case<'_>) -> Result<Vec<Finding>, String> {
    let words = |x: &Cause, n: &[String]| match n.len() {
        1 => format!("{} waits for itself, {}", n[0], ids(c, x)),
        _ => format!("{} wait for each other, {}", n.join(" and "), ids(c, x)),
    };
    let mut out = cycles(
        c,
        FindingKind::OnceDeadlock,
        words,
        "the function of a Once must not reach the same Once, nor wait for who does",
    );
    out.extend(
        c.causes(FindingKind::OnceDeadlock)
            .filter(|x| x.cycle.is_empty())
            .map(|x| orphaned(c, FindingKind::OnceDeadlock, &[x])),
    );
    Ok(out)
}

pub(super) fn mixed(c: &Case<'_>) -> Result<Vec<Finding>, String> {
    let words = |x: &Cause, n: &[String]| format!("{}  {}", n.join(" <-> "), ids(c, x));
    let next =
        "do not hold the lock while waiting for the other: unlock first, or let the other side work without the lock";
    Ok(cycles(c, FindingKind::MixedDeadlock, words, next))
}

fn orphaned(c: &Case<'_>, kind: FindingKind, group: &[&Cause]) -> Finding {
    let (members, victims) = everyone(group);
    let first = members[0];
    let object = c.a.look.seen[first as usize].found.on.first().map(|o| c.object(o, Some(first)));
    let name = object.as_ref().map(object_name).unwrap_or_default();
    let state = object.as_ref().map(|o| o.state.clone()).unwrap_or_default();
    c.finding(Draft {
        kind,
        class: group[0].class,
        severity: Severity::High,
        summary: format!("{name} is never unlocked, {} wait for it, first {}", members.len(), c.place_text(first)),
        why: vec![
            format!("{name}: {state}; no frame and no pending deferred call of any goroutine will unlock it"),
            c.unreachable(group[0].class),
        ],
        next: vec!["look for a return or a panic between Lock and Unlock; `defer mu.Unlock()` closes the gap".into()],
        cycle: Vec::new(),
        object,
        members,
        victims,
    })
}

pub(super) fn orphan(c: &Case<'_>) -> Result<Vec<Finding>, String> {
    if c.a.reach.is_none() {
        return Err(c.a.heap.as_ref().err().cloned().unwrap_or_default());
    }
    Ok(by_place(c, c.causes(FindingKind::OrphanLock)).iter().map(|g| orphaned(c, FindingKind::OrphanLock, g)).collect())
}

/// A lock with many waiters whose holder waits for something slow.
pub(super) fn convoy(c: &Case<'_>) -> Result<Vec<Finding>, String> {
    let in_cause = |who: u32| c.a.causes.iter().any(|x| x.members.contains(&who) || x.victims.contains(&who));
    let mut out = Vec::new();
    for o in c.a.graph.objects.iter().filter(|o| is_lock(o.on.kind) && o.waiters.len() >= CONVOY) {
        let Some(h) = o.held.iter().find(|h| h.mode.is_some() && h.evidence != Evidence::Exclusion) else { continue };
        let holder = &c.a.look.seen[h.who as usize];
        let state = c.target.list.row(holder.row).map(|r| r.state);
        let slow = match holder.found.on.first().map(|o| o.kind) {
            Some(WaitKind::Io) => "the network or a file",
            Some(WaitKind::Timer) => "a sleep",
            Some(WaitKind::Chan | WaitKind::Select) => "a channel",
            Some(WaitKind::Syscall) => "a system call",
            _ if state == Some(GoroutineState::Syscall) => "a system call",
            _ => continue,
        };
        if in_cause(h.who) {
            continue;
        }
        let first = o.waiters[0].0;
        let object = c.object(&o.on, Some(first));
        let name = object_name(&object);
        out.push(c.finding(Draft {
            kind: FindingKind::LockConvoy,
            class: FindingClass::Strong,
            severity: Severity::Medium,
            members: vec![h.who],
            victims: o.waiters.iter().map(|w| w.0).collect(),
            summary: format!("{name} is held across {slow}, {} wait: {}", o.waiters.len(), c.goroutine(h.who)),
            why: vec![
                match o.on.addr.and_then(|a| c.held_in(h.who, a)) {
                    Some(place) => {
                        format!("g{} holds {name} in {place} (known by: {})", holder.g.goid, h.evidence.name())
                    }
                    None => format!("g{} holds {name} (known by: {})", holder.g.goid, h.evidence.name()),
                },
                format!("it waits for {slow}"),
            ],
            next: vec!["do the slow part outside the lock, or give it a deadline".into()],
            cycle: Vec::new(),
            object: Some(object),
        }));
    }
    Ok(out)
}
