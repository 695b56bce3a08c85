//! The second of two places where secrets are hidden: what leaves the host beside values.
//!
//! Values are redacted where they are read (`goruntime::value::hide`), since only there their names, types and what is cut off are
//! known. Everything else that is text of the target's passes here, on its way out: messages of panics and errors, logs in traces,
//! arguments of the command line. Without a wildcard: whoever adds a reply has to decide.

use super::protocol::*;
use crate::base::redact::{Hide, Redaction};
use crate::model::*;
use std::sync::Arc;

/// Hides in a message what looks like a secret. `second_hand`: values in it come from another debugger, which hides nothing.
pub(super) fn message(x: &Redaction, m: &mut FromHost, second_hand: bool) {
    if !x.is_on() {
        return;
    }
    match m {
        FromHost::Reply { result: Ok(r), .. } => reply(x, r, second_hand),
        FromHost::Reply { result: Err(f), .. } => {
            x.clean(&mut f.message);
            f.fix.iter_mut().for_each(|t| x.clean(t));
        }
        FromHost::Notice(n) => notice(x, n, second_hand),
    }
}

fn reply(x: &Redaction, r: &mut Reply, second_hand: bool) {
    let values = |all: &mut Vec<Variable>| {
        if second_hand {
            all.iter_mut().for_each(|v| variable(x, v));
        }
    };
    match r {
        Reply::Opened { target, stop: at, .. } => {
            info(x, target);
            at.iter_mut().for_each(|s| stop(x, s, second_hand));
        }
        Reply::Variables { variables, .. } => values(variables),
        Reply::Value { value, .. } if second_hand => variable(x, value),
        Reply::Called { values: all, panicked, .. } => {
            values(all);
            if let (true, Some(p)) = (second_hand, panicked) {
                variable(x, p);
            }
        }
        Reply::Goroutines { rows, .. } => rows.iter_mut().for_each(|g| goroutine(x, g)),
        Reply::Groups { groups, .. } => groups.iter_mut().for_each(|g| x.clean(&mut g.label)),
        Reply::GoroutineNames { rows, .. } => rows.iter_mut().for_each(|g| labels(x, &mut g.labels)),
        Reply::Stack { stack, .. } => {
            stack.frames.iter_mut().flat_map(|f| &mut f.defers).for_each(|d| defer(x, d));
            stack.panics.iter_mut().for_each(|p| x.clean(&mut p.value));
            stack.problems.iter_mut().for_each(|p| x.clean(p));
        }
        Reply::Diagnosis { diagnosis, .. } => {
            for f in &mut diagnosis.findings {
                x.clean(&mut f.summary);
                f.why.iter_mut().chain(&mut f.next).for_each(|t| x.clean(t));
                f.object.iter_mut().for_each(|o| x.clean(&mut o.state));
            }
        }
        Reply::Waits { graph, .. } => {
            for n in &mut graph.nodes {
                match n {
                    WaitNode::Goroutines { sample, .. } => goroutine(x, sample),
                    WaitNode::Object(o) => x.clean(&mut o.state),
                }
            }
        }
        Reply::Spans(all) => all.iter_mut().for_each(|s| x.clean(&mut s.what)),
        Reply::Found(f) => f.mark.iter_mut().for_each(|m| x.clean(&mut m.what)),
        Reply::Timeline(view) => {
            view.lanes.iter_mut().for_each(|l| x.clean(&mut l.note));
            view.problem.iter_mut().for_each(|p| x.clean(p));
        }
        Reply::TraceReport(r) => report(x, r),
        Reply::Profile(view) => {
            view.notes.iter_mut().for_each(|n| x.clean(n));
            x.clean(&mut view.source);
        }
        Reply::ProfileSources { sources, why } => {
            sources.iter_mut().for_each(|s| x.clean(&mut s.url));
            x.clean(why);
        }
        // Values that were redacted where they were read; names, numbers, code and the user's own words. Raw memory is not given out while
        // secrets are hidden (`scopes::permit`).
        Reply::Value { .. }
        | Reply::Values { .. }
        | Reply::Hello { .. }
        | Reply::Done
        | Reply::Code(_)
        | Reply::Source { .. }
        | Reply::CodeLines { .. }
        | Reply::Instructions { .. }
        | Reply::Symbols { .. }
        | Reply::Breakpoint(_)
        | Reply::Breakpoints(_)
        | Reply::Threads { .. }
        | Reply::Registers(_)
        | Reply::Memory { .. }
        | Reply::Refs { .. }
        | Reply::Heap { .. }
        | Reply::TimelineSummary(_)
        | Reply::Triggers(_)
        | Reply::Snapshot { .. } => {}
    }
}

fn notice(x: &Redaction, n: &mut Notice, second_hand: bool) {
    match n {
        Notice::Stopped(s) => stop(x, s, second_hand),
        Notice::Hits { hits, .. } => {
            for h in hits {
                x.clean(&mut h.text);
                if second_hand {
                    h.values.iter_mut().for_each(|v| named(x, v));
                }
            }
        }
        Notice::Target(t) => info(x, t),
        Notice::Log { text, .. } | Notice::Detached { reason: text } => x.clean(text),
        Notice::Breakpoint(b) => x.clean(&mut b.problem),
        // What the program itself writes to its terminal is its user's.
        Notice::Output(_)
        | Notice::Resumed { .. }
        | Notice::Exited { .. }
        | Notice::BreakpointGone(_)
        | Notice::Driver { .. }
        | Notice::Progress { .. }
        | Notice::Budget(_) => {}
    }
}

fn info(x: &Redaction, t: &mut Arc<TargetInfo>) {
    let t = Arc::make_mut(t);
    // `--password x`, `--password=x`, and what has a shape.
    let mut secret = false;
    for a in &mut t.args {
        let plain = a.trim_start_matches('-');
        if std::mem::take(&mut secret) && !a.starts_with('-') {
            *a = x.mark_text(a);
            continue;
        }
        match plain.split_once('=') {
            Some((name, value)) if x.name(name) > Hide::No => {
                let head = a.len() - value.len();
                *a = a[..head].to_string() + &x.mark_text(value);
            }
            Some(_) => x.clean(a),
            None => {
                secret = a.starts_with('-') && x.name(plain) > Hide::No;
                x.clean(a);
            }
        }
    }
    t.notes.iter_mut().for_each(|n| x.clean(n));
}

fn stop(x: &Redaction, s: &mut Stop, second_hand: bool) {
    match &mut s.reason {
        StopReason::UnrecoveredPanic(t) | StopReason::FatalError(t) | StopReason::ConditionFailed(_, t) => x.clean(t),
        StopReason::Watchpoint { old, new, .. } => [old, new].into_iter().for_each(|t| x.clean(t)),
        StopReason::WatchEnded(_, t) | StopReason::Condition(t) | StopReason::Exec(t) => x.clean(t),
        StopReason::Launched
        | StopReason::Paused
        | StopReason::Breakpoint(_)
        | StopReason::StepDone
        | StopReason::StepInterrupted(_)
        | StopReason::HardcodedBreakpoint
        | StopReason::CallReturned => {}
    }
    if second_hand {
        s.returned.iter_mut().for_each(|v| variable(x, v));
    }
}

fn labels(x: &Redaction, all: &mut [(String, String)]) {
    all.iter_mut().for_each(|l| named(x, l));
}

/// A name and a text that may be marked already.
fn named(x: &Redaction, (name, text): &mut (String, String)) {
    if text.starts_with("<redacted ") {
        x.clean(text);
    } else {
        x.clean_named(name, text);
    }
}

fn goroutine(x: &Redaction, g: &mut Goroutine) {
    labels(x, &mut g.labels);
    g.defers.iter_mut().flatten().for_each(|d| defer(x, d));
    g.stack.iter_mut().flatten().flat_map(|f| &mut f.defers).for_each(|d| defer(x, d));
    g.waits_on.iter_mut().filter_map(|w| w.detail.as_mut()).for_each(|d| x.clean(d));
}

fn defer(x: &Redaction, d: &mut Defer) {
    d.captures.iter_mut().for_each(|(_, text)| x.clean(text));
}

fn report(x: &Redaction, r: &mut TraceReport) {
    match r {
        TraceReport::Logs { lines, .. } => {
            for l in lines {
                let mut pair = (l.category.clone(), std::mem::take(&mut l.message));
                named(x, &mut pair);
                l.message = pair.1;
            }
        }
        TraceReport::Tasks { rows, tasks, .. } => {
            rows.iter_mut().for_each(|t| x.clean(&mut t.name));
            tasks.iter_mut().for_each(|t| x.clean(&mut t.name));
        }
        TraceReport::Regions(all) => all.iter_mut().for_each(|t| x.clean(&mut t.name)),
        TraceReport::TaskTimelines { tasks, .. } => {
            for t in tasks {
                x.clean(&mut t.task.name);
                t.events.iter_mut().for_each(|e| x.clean(&mut e.what));
            }
        }
        TraceReport::Goroutines { .. }
        | TraceReport::Functions(_)
        | TraceReport::Profile(_)
        | TraceReport::OneRegion { .. }
        | TraceReport::Mutator(_)
        | TraceReport::Stops { .. } => {}
    }
}

/// A row that another debugger read.
fn variable(x: &Redaction, v: &mut Variable) {
    // Where it was found is all that is known of what is above it.
    let hide = x.name(&v.name).max(x.expression(&v.expression)).max(x.type_name(&v.type_name));
    let part = hide > Hide::No && (v.name.contains('[') || v.expression.contains('['));
    let hidden = match v.kind {
        VarKind::String => hide > Hide::No,
        VarKind::Slice | VarKind::Array => {
            let element = v.type_name.rsplit(']').next().unwrap_or("");
            let number = ["int", "uint", "byte", "rune", "float"].iter().any(|n| element.starts_with(n));
            hide > Hide::No && number
        }
        VarKind::Int | VarKind::Uint | VarKind::Float => hide == Hide::All || part,
        _ => false,
    };
    if hidden {
        v.value = x.mark(v.value.as_bytes(), v.len.unwrap_or(v.value.len() as u64));
        (v.children, v.handle, v.flags.redacted) = (0, 0, true);
    } else {
        x.clean(&mut v.value);
        if let Some(c) = x.cleaned(v.name.as_bytes()) {
            // A map's key: it is in the expression, too.
            v.name = String::from_utf8_lossy(&c).into_owned();
            v.expression.clear();
        }
    }
}
