//! Channels: nil ones, empty selects, those that nobody can serve, those of contexts that nobody cancels.

use super::super::case::{Case, Draft};
use super::super::stuck::Cause;
use super::PATIENCE;
use crate::model::{Finding, FindingClass, FindingKind, Severity, WaitKind, WaitOp};
use rustc_hash::FxHashMap;

/// Leaked goroutines at one place from which on it is urgent.
pub(super) const MANY: usize = 10;
/// Goroutines at one place that are worth a guess.
const SUSPICIOUS: usize = 20;

/// Causes at one place with one operation are one finding.
pub(super) fn by_place<'c>(c: &'c Case<'_>, causes: impl Iterator<Item = &'c Cause>) -> Vec<Vec<&'c Cause>> {
    let mut groups: Vec<Vec<&Cause>> = Vec::new();
    let mut index: FxHashMap<(String, u32, String, FindingClass), usize> = FxHashMap::default();
    for cause in causes {
        let Some(&first) = cause.members.first() else { continue };
        let at = c.place(first);
        let key = (at.function.clone(), at.line, c.a.look.seen[first as usize].reason.to_string(), cause.class);
        let n = *index.entry(key).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[n].push(cause);
    }
    groups
}

/// Members and victims of several causes.
pub(super) fn everyone(causes: &[&Cause]) -> (Vec<u32>, Vec<u32>) {
    let mut members: Vec<u32> = causes.iter().flat_map(|c| c.members.iter().copied()).collect();
    let mut victims: Vec<u32> = causes.iter().flat_map(|c| c.victims.iter().copied()).collect();
    members.sort_unstable();
    victims.sort_unstable();
    (members, victims)
}

/// How bad a leak of so many is.
pub(super) fn severity(n: usize) -> Severity {
    if n >= MANY { Severity::High } else { Severity::Medium }
}

fn op_text(op: WaitOp) -> &'static str {
    match op {
        WaitOp::Send => "send",
        WaitOp::Receive => "receive",
        _ => "wait",
    }
}

fn plain(c: &Case<'_>, kind: FindingKind, what: &str, why: &str, next: &str) -> Vec<Finding> {
    // By the reason alone: no heap is needed. Goroutine 1 in `select {}` is how servers end their main function.
    let want = match kind {
        FindingKind::NilChannel => "nil chan",
        _ => "no cases",
    };
    let all = c.a.look.seen.iter().enumerate().filter(|(_, s)| {
        !s.system && s.stable && s.reason.contains(want) && !(s.g.goid == 1 && kind == FindingKind::EmptySelect)
    });
    let causes: Vec<Cause> = all
        .map(|(i, _)| Cause {
            kind,
            class: FindingClass::Proof,
            members: vec![i as u32],
            victims: c.a.causes.iter().find(|x| x.members == [i as u32]).map(|x| x.victims.clone()).unwrap_or_default(),
            objects: Vec::new(),
            cycle: Vec::new(),
        })
        .collect();
    by_place(c, causes.iter())
        .into_iter()
        .map(|g| {
            let (members, victims) = everyone(&g);
            let first = members[0];
            c.finding(Draft {
                kind,
                class: FindingClass::Proof,
                severity: severity(members.len()),
                summary: format!("{what} {}", c.place_text(first)),
                object: c.a.look.seen[first as usize].found.on.first().map(|o| c.object(o, None)),
                why: vec![why.to_string()],
                next: vec![next.to_string()],
                cycle: Vec::new(),
                members,
                victims,
            })
        })
        .collect()
}

pub(super) fn nil_channel(c: &Case<'_>) -> Result<Vec<Finding>, String> {
    Ok(plain(
        c,
        FindingKind::NilChannel,
        "nil channel",
        "the runtime's wait reason says it: an operation on a nil channel never ends",
        "see where the channel variable should have been made; in a select a nil channel only switches its case off",
    ))
}

pub(super) fn empty_select(c: &Case<'_>) -> Result<Vec<Finding>, String> {
    Ok(plain(
        c,
        FindingKind::EmptySelect,
        "select {}",
        "a select without cases never ends",
        "if it is meant to keep the program alive, wait for a signal or a context instead",
    ))
}

/// What is told of leaked goroutines at one place.
fn leak(c: &Case<'_>, kind: FindingKind, group: &[&Cause]) -> Finding {
    let (members, victims) = everyone(group);
    let first = members[0];
    let seen = &c.a.look.seen[first as usize];
    let on = seen.found.on.first();
    let object = on.map(|o| c.object(o, Some(first)));
    let op = on.map_or("wait", |o| if o.kind == WaitKind::Select { "select" } else { op_text(o.op) });
    let mut why = vec![c.unreachable(group[0].class)];
    if kind == FindingKind::ContextLeak {
        why.push(
            "it waits for a context's Done; neither a timer nor a cancel function that can be reached ends it".into(),
        );
    }
    if let Some(o) = &object {
        let one = members.len() == 1 || c.a.graph.by_addr.len() == 1;
        why.push(format!(
            "{}{}: {}{}",
            if one { "" } else { "one of their channels, " },
            super::super::shown::object_name(o),
            if o.state.is_empty() { "no state" } else { &o.state },
            if on.is_some_and(|o| o.peers.is_empty()) { ", nobody at the other end" } else { "" }
        ));
    }
    if let Some(r) = c.target.list.row(seen.row).and_then(|r| r.created_by) {
        why.push(format!(
            "started by {} {}",
            r.at.short_function(),
            format_args!("{}:{}", r.at.base_file(), r.at.line)
        ));
    }
    let victim_text = match victims.len() {
        0 => String::new(),
        n => format!(", {n} more wait for them"),
    };
    let what = object.as_ref().map_or_else(|| "channel".to_string(), super::super::shown::object_name);
    let next = match (kind, op) {
        (FindingKind::ContextLeak, _) => {
            "call the context's cancel function (go vet's lostcancel finds many), or give it a deadline".into()
        }
        (_, "send") => format!(
            "see who should receive from {what}: it may have returned early; a buffer of one, or a select on a context, lets senders go"
        ),
        (_, "receive") => format!("see who should send to or close {what}: it may have returned early"),
        _ => "see which of the cases was meant to end it (a context, a done channel)".to_string(),
    };
    c.finding(Draft {
        kind,
        class: group[0].class,
        severity: severity(members.len() + victims.len()),
        summary: format!("chan {op} {}{victim_text}", c.place_text(first)),
        object,
        why,
        next: vec![next],
        cycle: Vec::new(),
        members,
        victims,
    })
}

pub(super) fn channel_leak(c: &Case<'_>) -> Result<Vec<Finding>, String> {
    let not_pool = |x: &&Cause| !super::pools::is_pool(c, x) && !super::sql::about(c, x);
    let mut out: Vec<Finding> = by_place(c, c.causes(FindingKind::ChannelLeak).filter(not_pool))
        .iter()
        .map(|g| leak(c, FindingKind::ChannelLeak, g))
        .collect();
    if c.a.reach.is_none() {
        return Err(c.a.heap.as_ref().err().cloned().unwrap_or_default());
    }
    out.extend(suspicious(c));
    Ok(out)
}

pub(super) fn context_leak(c: &Case<'_>) -> Result<Vec<Finding>, String> {
    if c.a.reach.is_none() {
        return Err(c.a.heap.as_ref().err().cloned().unwrap_or_default());
    }
    Ok(by_place(c, c.causes(FindingKind::ContextLeak).filter(|x| !super::sql::about(c, x)))
        .iter()
        .map(|g| leak(c, FindingKind::ContextLeak, g))
        .collect())
}

/// Senders on channels that are reachable, yet not served: either no other goroutine has the channel in a frame, or many wait in one
/// channel's queue and the first of them has waited for long (queues are first in, first out: nobody has served it since). What the
/// runtime's own leak profile cannot say. Receivers may wait for long with nothing wrong: idle clients, idle workers.
fn suspicious(c: &Case<'_>) -> Vec<Finding> {
    let Some((reach, heap)) = c.a.reach.as_ref().zip(c.a.heap.as_ref().ok()) else { return Vec::new() };
    // (place, why): members.
    let mut places: FxHashMap<(u64, bool), Vec<u32>> = FxHashMap::default();
    for o in c.a.graph.objects.iter().filter(|o| o.on.kind == WaitKind::Chan && o.on.detail.is_none()) {
        let Some(addr) = o.on.addr else { continue };
        let waits = |w: &&(u32, WaitOp)| {
            let s = &c.a.look.seen[w.0 as usize];
            s.stable && s.found.on.len() == 1 && !reach.leaked[w.0 as usize]
        };
        let waiters: Vec<u32> = o.waiters.iter().filter(waits).map(|w| w.0).collect();
        let oldest = waiters.iter().filter_map(|w| c.waited(*w)).max().unwrap_or(0);
        if oldest < PATIENCE {
            continue;
        }
        let on_heap = heap.find(addr.0).is_some();
        let alone =
            on_heap && reach.referrers_of(heap, addr).iter().all(|(who, _)| o.waiters.iter().any(|w| w.0 == *who));
        let queue = waiters.len() >= SUSPICIOUS;
        if o.on.op != WaitOp::Send || !alone && !queue {
            continue;
        }
        for w in waiters {
            if let Some(key) = c.target.list.place_key(c.a.look.seen[w as usize].row) {
                places.entry((key, queue)).or_default().push(w);
            }
        }
    }
    let mut out = Vec::new();
    for ((_, queue), mut members) in places.into_iter().filter(|(_, m)| m.len() >= SUSPICIOUS) {
        members.sort_unstable();
        let first = members[0];
        let on = &c.a.look.seen[first as usize].found.on[0];
        let reason = match queue {
            true => {
                "a channel's queue is first in, first out: the first of them has waited for more than 30 s, so nobody has served it since"
            }
            false => "the channels can be reached from live data, but no other goroutine has one of them in a frame",
        };
        let object = c.object(on, Some(first));
        let (name, state) = (super::super::shown::object_name(&object), object.state.as_str());
        let many = if queue { "" } else { "one of the channels, " };
        let what = format!("{many}{name}: {}", if state.is_empty() { "no state" } else { state });
        out.push(c.finding(Draft {
            kind: FindingKind::ChannelLeak,
            class: FindingClass::Likely,
            severity: Severity::Medium,
            summary: format!("chan {} {}: reachable, but nobody serves it", op_text(on.op), c.place_text(first)),
            why: vec![what, reason.into()],
            next: vec!["see what keeps the channel (refs), and who should be at its other end".into()],
            object: Some(object),
            cycle: Vec::new(),
            members,
            victims: Vec::new(),
        }));
    }
    out.sort_by_key(|f| f.key);
    out
}
