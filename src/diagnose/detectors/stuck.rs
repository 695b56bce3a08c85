//! WaitGroups that never reach zero, Conds that nobody signals, programs in which nothing moves.

use super::super::case::{Case, Draft};
use super::super::reach::{depends, timed};
use super::super::shown::object_name;
use super::super::stuck::Cause;
use super::channels::{by_place, everyone, severity};
use crate::goruntime::g::status;
use crate::model::{Evidence, Finding, FindingClass, FindingKind, Severity, WaitKind};

fn of_kind(
    c: &Case<'_>,
    kind: FindingKind,
    words: impl Fn(&str, &[&Cause]) -> (String, String),
    next: &str,
) -> Vec<Finding> {
    by_place(c, c.causes(kind))
        .iter()
        .map(|g| {
            let (members, victims) = everyone(g);
            let first = members[0];
            let own = g[0].objects.iter().map(|n| c.graph_object(*n));
            let want = if kind == FindingKind::CondStuck { WaitKind::Cond } else { WaitKind::Waitgroup };
            let object = own.clone().find(|o| o.kind == want).or_else(|| own.into_iter().next());
            let name = object.as_ref().map(object_name).unwrap_or_default();
            let (summary, line) = words(&name, g);
            let (cycle, mut why) = c.cycle(g[0]);
            why.insert(0, line);
            if let Some(o) = object.as_ref().filter(|o| !o.state.is_empty()) {
                why.push(format!("{name}: {}", o.state));
            }
            why.push(c.unreachable(g[0].class));
            c.finding(Draft {
                kind,
                class: g[0].class,
                severity: severity(members.len() + victims.len()).max(if cycle.is_empty() {
                    Severity::Medium
                } else {
                    Severity::High
                }),
                summary: format!("{summary}, {}", c.place_text(first)),
                why,
                next: vec![next.to_string()],
                cycle,
                object,
                members,
                victims,
            })
        })
        .collect()
}

pub(super) fn waitgroup(c: &Case<'_>) -> Result<Vec<Finding>, String> {
    if c.a.reach.is_none() {
        return Err(c.a.heap.as_ref().err().cloned().unwrap_or_default());
    }
    let words = |name: &str, g: &[&Cause]| {
        let could: usize = g
            .iter()
            .flat_map(|x| &x.objects)
            .map(|n| {
                let o = &c.a.graph.objects[*n as usize];
                o.held.iter().filter(|h| h.evidence == Evidence::Defer).count()
            })
            .sum();
        let line = match could {
            0 => "no goroutine is left that would call Done".to_string(),
            n => format!("{n} goroutines would call Done, and all of them are stuck themselves"),
        };
        (format!("{name} never reaches zero"), line)
    };
    Ok(of_kind(
        c,
        FindingKind::WaitgroupStuck,
        words,
        "count Add against Done on every path; `wg.Go` or `defer wg.Done()` right after Add keeps them together",
    ))
}

pub(super) fn cond(c: &Case<'_>) -> Result<Vec<Finding>, String> {
    if c.a.reach.is_none() {
        return Err(c.a.heap.as_ref().err().cloned().unwrap_or_default());
    }
    let words =
        |name: &str, _: &[&Cause]| (format!("{name} is never signalled"), "no goroutine that runs has it".to_string());
    Ok(of_kind(
        c,
        FindingKind::CondStuck,
        words,
        "see who should Signal or Broadcast; a signal before the wait is lost unless a condition is checked under the lock",
    ))
}

/// All goroutines wait for each other, and the runtime's own detector is silent because a poller, a timer or a signal handler could
/// in theory wake somebody.
pub(super) fn quiescent(c: &Case<'_>) -> Result<Vec<Finding>, String> {
    let look = &c.a.look;
    if !look.still {
        return Ok(Vec::new()); // something ran
    }
    let mut members = Vec::new();
    let (mut signals, mut listens) = (false, false);
    for (i, s) in look.seen.iter().enumerate().filter(|(_, s)| !s.system) {
        // `os/signal.loop` waits for the outside, and can wake only who receives signals.
        if s.calls(|f| f == "os/signal.loop" || f == "os/signal.signal_recv") {
            signals = true;
            continue;
        }
        let waits = s.g.status == status::WAITING && !s.found.on.is_empty();
        if !waits {
            return Ok(Vec::new());
        }
        listens |= s.found.on.iter().any(|o| {
            let may = o.type_name.as_deref().is_none_or(|t| t.contains("os.Signal") || t.contains("syscall.Signal"));
            matches!(o.kind, WaitKind::Chan | WaitKind::Select) && o.addr.is_some() && may
        });
        if !s.found.on.iter().all(|o| depends(o.kind) && !timed(o)) {
            return Ok(Vec::new());
        }
        members.push(i as u32);
    }
    if signals && listens {
        return Ok(Vec::new()); // meant to stand until a signal comes
    }
    let main = look.seen.iter().position(|s| s.g.goid == 1);
    let Some(main) = main.filter(|m| !look.seen[*m].reason.contains("no cases")) else { return Ok(Vec::new()) };
    members.sort_by_key(|m| *m != main as u32);
    Ok(vec![c.finding(Draft {
        kind: FindingKind::Quiescent,
        class: FindingClass::Strong,
        severity: Severity::Medium,
        summary: format!(
            "all {} goroutines wait for each other; main waits at {}",
            members.len(),
            c.place_text(main as u32)
        ),
        why: vec![
            "no goroutine runs, sleeps, waits for the network or is in a system call".into(),
            "the runtime's deadlock detector does not fire: a signal handler, a cgo thread or a timer keeps it silent"
                .into(),
        ],
        next: vec!["start at the goroutine that main waits for".into()],
        object: look.seen[main].found.on.first().map(|o| c.object(o, Some(main as u32))),
        cycle: Vec::new(),
        members,
        victims: Vec::new(),
    })])
}
