//! What happened, as one line for people.

use crate::base::text::printable_str;
use crate::model::{Breakpoint, BreakpointPlace, Hit, HitKind, Mechanism, Stop, StopReason, Variable};

/// `name type = value`.
pub fn one_line(v: &Variable) -> String {
    let name = if v.name.is_empty() { "_" } else { &v.name };
    printable_str(&format!("{name} {} = {}", v.type_name, v.value), 400)
}

/// Why it stopped, as a sentence.
pub fn stop_sentence(s: &Stop) -> String {
    let at = format!("{} {}:{}", s.at.short_function(), s.at.base_file(), s.at.line);
    let why = match &s.reason {
        StopReason::Launched => "launched, stopped".to_string(),
        StopReason::Paused => "paused".to_string(),
        StopReason::Breakpoint(id) => format!("stopped at breakpoint {id}"),
        StopReason::StepDone => "stepped to".to_string(),
        StopReason::StepInterrupted(id) => format!("step interrupted by breakpoint {id} (next goes on with it)"),
        StopReason::UnrecoveredPanic(m) => format!("unrecovered panic: {m}"),
        StopReason::FatalError(m) => format!("fatal error: {m}"),
        StopReason::HardcodedBreakpoint => "stopped at a breakpoint of the program's own".to_string(),
        StopReason::ConditionFailed(id, why) => format!("condition of breakpoint {id} failed: {why}"),
        StopReason::Watchpoint { id, old, new } => {
            format!("watchpoint {id}: {} -> {}", printable_str(old, 60), printable_str(new, 60))
        }
        StopReason::WatchEnded(id, why) => format!("watchpoint {id} is over ({why})"),
        StopReason::CallReturned => "the call returned".to_string(),
        StopReason::Condition(what) => format!("stopped: {what}"),
        StopReason::Exec(what) => format!("the process became another program: {what}"),
    };
    let who = match s.goroutine {
        Some(g) => format!("g{g}, thread {}", s.thread),
        None => format!("thread {}", s.thread),
    };
    let on = if s.copied { "; the program runs on, this is a copy" } else { "" };
    match s.reason {
        // It stops inside the runtime: the place would say nothing.
        StopReason::UnrecoveredPanic(_) | StopReason::FatalError(_) => format!("{why} ({who}{on})"),
        _ => format!("{why}: {at} ({who}{on})"),
    }
}

/// A breakpoint as one line.
pub fn breakpoint_sentence(b: &Breakpoint) -> String {
    let asked = b.spec.place.text();
    let mut s = format!("breakpoint {}", b.id);
    if !b.spec.name.is_empty() {
        s.push_str(&format!(" ({})", b.spec.name));
    }
    match b.at.as_slice() {
        [] if matches!(b.spec.place, BreakpointPlace::Watch { .. }) => s.push_str(&format!(" watches {asked}")),
        [] => s.push_str(&format!(" at {asked}, waiting for code")),
        [l] => s.push_str(&format!(" at {} {}:{}", l.short_function(), l.base_file(), l.line)),
        [l, rest @ ..] => s.push_str(&format!(
            " at {} {}:{} and {} more places",
            l.short_function(),
            l.base_file(),
            l.line,
            rest.len()
        )),
    }
    if !b.spec.condition.is_empty() {
        s.push_str(&format!(" if {}", b.spec.condition));
    }
    if let Some(h) = b.spec.hits {
        s.push_str(&format!(" hits {h}"));
    }
    s.push_str(&traits(b));
    if !b.spec.enabled {
        s.push_str(", disabled");
    }
    if !b.problem.is_empty() {
        s.push_str(&format!(", {}", b.problem));
    }
    s
}

/// What is special about a breakpoint beside place, condition and hit count, as words that begin with a space each.
pub fn traits(b: &Breakpoint) -> String {
    let (s, a) = (&b.spec, &b.spec.actions);
    let mut out = String::new();
    if let Some(g) = s.goroutine {
        out.push_str(&format!(" of g{g}"));
    }
    if s.per_goroutine {
        out.push_str(" counted per goroutine");
    }
    if let Some(id) = s.after {
        out.push_str(&format!(" after {id}"));
    }
    if s.temporary {
        out.push_str(" once");
    }
    if a.trace {
        out.push_str(" traces");
    }
    if !a.log.is_empty() {
        out.push_str(&format!(" logs \"{}\"", printable_str(&a.log, 60)));
    }
    if !a.values.is_empty() {
        out.push_str(&format!(" records {}", printable_str(&a.values.join(", "), 60)));
    }
    if a.stack > 0 {
        out.push_str(&format!(" with {} frames", a.stack));
    }
    if a.exact {
        out.push_str(" exactly");
    }
    if a.stop_after > 0 {
        out.push_str(&format!(" {} after {}", if a.run_on { "ends" } else { "stops" }, a.stop_after));
    } else if a.run_on && matches!(s.place, BreakpointPlace::Watch { .. }) {
        out.push_str(" records writers");
    } else if a.run_on && a.log.is_empty() && !a.trace && a.values.is_empty() {
        out.push_str(" counts");
    }
    match b.mechanism {
        Mechanism::Int3 => {}
        Mechanism::DebugRegister => {}
        Mechanism::Uprobe => out.push_str(" (uprobe)"),
    }
    out
}

/// A hit as one line.
pub fn hit_sentence(h: &Hit) -> String {
    let who = h.goroutine.map_or_else(|| format!("thread {}", h.thread), |g| format!("g{g}"));
    let at = format!("{}:{}", h.at.base_file(), h.at.line);
    let values = |sep: &str| {
        let list: Vec<String> = h.values.iter().map(|(n, v)| format!("{n}{sep}{v}")).collect();
        list.join(", ")
    };
    let what = match &h.kind {
        HitKind::Reached if !h.text.is_empty() => h.text.clone(),
        HitKind::Reached => format!("hit {} at {} {at} {}", h.number, h.at.short_function(), values(" = ")),
        HitKind::Entered => format!("> {}({})", h.at.short_function(), values(" = ")),
        HitKind::Returned(took) => {
            let took = took.map_or_else(String::new, |ns| format!(" in {}", super::lanes::length(ns)));
            format!("< {}{took} => ({})", h.at.short_function(), values(" = "))
        }
        HitKind::Accessed { old, new } => format!("{old} -> {new} by {} {at}", h.at.short_function()),
    };
    printable_str(&format!("[{}] {who} {what}", h.breakpoint), 400)
}
