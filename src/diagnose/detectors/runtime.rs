//! The runtime itself: threads that do not come back, queues that are not worked off, a collector in trouble.

use super::super::case::{Case, Draft};
use crate::goruntime::g::status;
use crate::model::{Finding, FindingClass, FindingKind, Severity};
use std::time::Duration;

/// How long a system call may take before it is told.
const CALL: Duration = Duration::from_secs(60);
/// Goroutines ready for each processor.
const READY: u64 = 8;
/// Goroutines that assist the collector.
const ASSISTS: usize = 10;
/// How often, and how far apart, the world must be seen waiting to stop.
const STOP_LOOKS: usize = 10;
const STOP_PAUSE: Duration = Duration::from_millis(5);
/// Share of the memory limit that is used.
const NEAR_LIMIT: f64 = 0.95;
/// Share of the CPU that the collector takes.
const GC_CPU: f64 = 0.25;

fn draft(kind: FindingKind, class: FindingClass, severity: Severity) -> Draft {
    Draft {
        kind,
        class,
        severity,
        members: Vec::new(),
        victims: Vec::new(),
        object: None,
        cycle: Vec::new(),
        summary: String::new(),
        why: Vec::new(),
        next: Vec::new(),
    }
}

pub(super) fn thread_stuck(c: &Case<'_>) -> Result<Vec<Finding>, String> {
    if c.target.offline {
        return Err("a file does not tell how long a call has lasted".into());
    }
    let mut out = Vec::new();
    for (i, s) in c.a.look.seen.iter().enumerate().filter(|(_, s)| !s.system && s.g.status == status::SYSCALL) {
        let Some(t) = c.history.in_call(s.g.goid).filter(|t| *t >= CALL) else { continue };
        // Waiting for children and signals is what these are for.
        if s.calls(|f| f.contains("wait4") || f.contains("Wait4") || f.contains("waitid") || f.contains("signal_recv"))
        {
            continue;
        }
        let in_c = s.calls(|f| f == "runtime.cgocall");
        let i = i as u32;
        let what = if in_c { "C code" } else { "a system call" };
        out.push(c.finding(Draft {
            summary: format!("in {what} for {} s, {}", t.as_secs(), c.place_text(i)),
            why: vec![format!(
                "the same call has been seen for {} s; its thread is not available to others",
                t.as_secs()
            )],
            next: vec!["look at the thread's kernel stack and wchan in /proc, or at the C code with gdb".into()],
            members: vec![i],
            ..draft(FindingKind::ThreadStuck, FindingClass::Strong, Severity::Medium)
        }));
    }
    Ok(out)
}

pub(super) fn starvation(c: &Case<'_>) -> Result<Vec<Finding>, String> {
    let Some(s) = &c.a.scheduler else { return Err("the scheduler's state was not found".into()) };
    let queued: u64 = s.procs.iter().map(|p| u64::from(p.queued)).sum::<u64>() + u64::from(s.queued);
    let procs = s.procs.len().max(1) as u64;
    // Twice in a row: a burst is none.
    let before = c.history.looks().iter().rev().nth(1).map(|p| p.runnable);
    let enough = queued >= READY * procs && before.is_none_or(|b| b >= READY * procs);
    if !enough || before.is_none() && !c.target.stopped {
        return Ok(Vec::new());
    }
    Ok(vec![c.finding(Draft {
        summary: format!("{queued} goroutines are ready to run on {procs} processors"),
        why: vec![format!(
            "run queues: {queued} in all, {} in the global one; {} processors idle",
            s.queued, s.idle_procs
        )],
        next: vec!["compare GOMAXPROCS with the container's CPU limit; profile the CPU".into()],
        ..draft(FindingKind::Starvation, FindingClass::Likely, Severity::Info)
    })])
}

/// Every collection stops the world for a moment: only one that does not come about is worth a word.
fn stops_for_long(c: &Case<'_>) -> bool {
    let stopping = || c.target.rt.scheduler(c.target.mem).is_some_and(|s| s.stopping && s.stop_wait > 0);
    !c.target.stopped
        && (0..STOP_LOOKS).all(|_| {
            std::thread::sleep(STOP_PAUSE);
            stopping()
        })
}

pub(super) fn gc_pressure(c: &Case<'_>) -> Result<Vec<Finding>, String> {
    let Some(gc) = c.a.collector else { return Err("the collector's state was not found".into()) };
    let mut why = Vec::new();
    let mut members: Vec<u32> = Vec::new();
    let assists: Vec<u32> = (0..c.a.look.seen.len() as u32)
        .filter(|i| c.a.look.seen[*i as usize].reason.starts_with("GC assist"))
        .collect();
    if assists.len() >= ASSISTS {
        why.push(format!("{} goroutines help the collector instead of working", assists.len()));
        members = assists;
    }
    // What was allocated since the last collection counts as live for the runtime: near the limit by design where only the limit starts
    // collections. What can be reached is what a collection would leave.
    let live = c.a.reach.as_ref().map(|r| r.live.1).filter(|n| *n > 0).map_or(gc.live, |n| n.min(gc.live));
    if gc.limit < i64::MAX && gc.limit > 0 && live as f64 > gc.limit as f64 * NEAR_LIMIT {
        why.push(format!("{} MiB live of a memory limit of {} MiB", live >> 20, gc.limit >> 20));
    }
    if gc.cpu_fraction > GC_CPU && gc.cycles > 10 {
        why.push(format!("the collector has taken {:.0}% of the CPU so far", gc.cpu_fraction * 100.0));
    }
    if let Some(s) = c.a.scheduler.as_ref().filter(|s| s.stopping && s.stop_wait > 0 && stops_for_long(c)) {
        why.push(format!("someone waits for the world to stop: {} processors have not", s.stop_wait));
    }
    if why.is_empty() {
        return Ok(Vec::new());
    }
    why.push(format!("{} collections so far, {:.1}% of the CPU", gc.cycles, gc.cpu_fraction * 100.0));
    Ok(vec![c.finding(Draft {
        summary: why.remove(0),
        next: vec!["take a heap profile; raise GOMEMLIMIT or GOGC if memory allows, allocate less if not".into()],
        why,
        members,
        ..draft(FindingKind::GcPressure, FindingClass::Strong, Severity::Medium)
    })])
}
