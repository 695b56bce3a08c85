//! Why and where the program stands: Delve's state as a stop of ours, and what its breakpoints recorded on the way.

use super::breakpoints::{Book, open, recorded};
use super::convert::{goroutine_id, location, thread_location};
use super::reader::{Reader, scope_of};
use super::values;
use super::wire;
use crate::backend::protocol::*;
use crate::base::{BreakpointId, StopEpoch, Tid};
use crate::eval::template::{Part, split};
use crate::model::*;
use std::sync::Arc;

/// Delve's own breakpoints (`pkg/proc/breakpoints.go`).
const UNRECOVERED_PANIC: i32 = -1;
const FATAL_THROW: i32 = -2;
const HARDCODED: i32 = -3;
/// The function at which a program that was launched stands first.
const ENTRY: &str = "_rt0_";

/// What was asked for when the program went on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asked {
    /// To go on until something happens.
    #[default]
    Run,
    /// A step.
    Step,
    /// A call of a function.
    Call,
}

/// A stop to be described.
#[derive(Clone, Debug)]
pub struct Stood {
    /// What Delve says.
    pub state: wire::State,
    /// What was asked for.
    pub asked: Asked,
    /// Somebody asked for a pause.
    pub paused: bool,
    /// Delve gave up going on: why.
    pub trouble: Option<String>,
    /// How long it took from the request to stop to the stop, microseconds; 0 where nobody asked.
    pub stop_us: u64,
}

/// Does a thread stand at something that only records?
pub fn records_only(t: &wire::Thread) -> bool {
    t.breakpoint.as_ref().is_some_and(|b| b.tracepoint || b.trace_return)
}

/// A stop for nobody: breakpoints were met, and all of them only record (`continueDir` of Delve's own client goes on, too).
pub fn nobody_asked(s: &wire::State) -> bool {
    let mut met = s.threads.iter().filter(|t| t.breakpoint.is_some()).peekable();
    met.peek().is_some() && met.all(records_only) && s.watch_ended.is_empty()
}

/// What was recorded at this stop, and breakpoints with their counts as they are now.
pub fn hits(s: &wire::State, book: &mut Book) -> (Vec<Hit>, Vec<Breakpoint>) {
    let (mut hits, mut seen) = (Vec::new(), Vec::new());
    for t in &s.threads {
        let Some(b) = t.breakpoint.as_ref().filter(|b| b.id > 0) else { continue };
        let of = book.returns.get(&b.id).copied();
        if of.is_none() {
            seen.push(book.public(b));
        }
        let id = of.unwrap_or(b.id);
        let Some(spec) = book.asked.get(&id) else { continue };
        let a = &spec.actions;
        let something = a.run_on || a.trace || !a.log.is_empty() || !a.values.is_empty() || a.stack > 0;
        if something {
            hits.push(hit(t, b, id, of.is_some(), a));
        }
    }
    (hits, seen)
}

fn hit(t: &wire::Thread, b: &wire::Breakpoint, id: i32, returned: bool, a: &Actions) -> Hit {
    let info = t.info.clone().unwrap_or_default();
    let pair = |v: &wire::Variable| (v.name.clone(), values::text(v));
    // Delve gives values in the order of what it was asked for, under the expressions' own names or not.
    let asked = recorded(a);
    let known: Vec<(String, String)> =
        asked.iter().zip(&info.variables).map(|(e, v)| (e.clone(), values::text(v))).collect();
    let result = |v: &&wire::Variable| v.flags & (1 << 4) != 0;
    let (kind, mut list) = match (returned, a.trace) {
        (true, _) => {
            let all = if t.returned.is_empty() { &info.arguments } else { &t.returned };
            (HitKind::Returned(None), all.iter().filter(result).map(pair).collect::<Vec<_>>())
        }
        (false, true) => (HitKind::Entered, info.arguments.iter().filter(|v| !result(v)).map(pair).collect()),
        (false, false) => (HitKind::Reached, Vec::new()),
    };
    if !returned {
        list.extend(known.iter().filter(|k| a.values.contains(&k.0)).cloned());
    }
    let mut text = String::new();
    for p in split(&a.log).unwrap_or_default() {
        match p {
            Part::Text(t) => text.push_str(&t),
            Part::Expression(e) => {
                text.push_str(known.iter().find(|k| k.0 == e).map_or("(no value)", |k| &k.1));
            }
        }
    }
    Hit {
        breakpoint: BreakpointId(id),
        number: b.hits,
        at_ns: i64::try_from(crate::base::clock::monotonic_ns()).unwrap_or(0),
        goroutine: goroutine_id(t.goroutine),
        thread: Tid(t.id),
        at: thread_location(t),
        kind,
        text: if returned { String::new() } else { text },
        values: list,
        stack: super::convert::frames(&info.stack).into_iter().map(|f| f.at).collect(),
    }
}

impl Reader {
    /// Describes a stop; may ask Delve for what the state does not say.
    pub fn describe(&mut self, s: &Stood, epoch: StopEpoch) -> Stop {
        let state = &s.state;
        let thread = state.thread.clone().unwrap_or_default();
        let selected = state.goroutine.as_ref();
        self.threadless = selected.is_none();
        let at = match selected {
            // The selected goroutine may be a parked one.
            Some(g) if g.thread == 0 => location(&g.current),
            _ => thread_location(&thread),
        };
        let reason = self.reason(s, &thread, &at);
        let one = |v: &wire::Variable| {
            let v = values::row(v, v.name.clone(), String::new(), scope_of(FrameRef::default())).0;
            Variable { children: 0, ..v }
        };
        let stepped = reason == StopReason::StepDone;
        let returned: Vec<Variable> = thread.returned.iter().filter(|_| stepped).map(one).collect();
        Stop {
            epoch,
            reason,
            goroutine: selected.and_then(|g| goroutine_id(g.id)).or_else(|| goroutine_id(thread.goroutine)),
            thread: Tid(thread.id),
            at,
            returned,
            stop_us: s.stop_us,
            copied: false,
        }
    }

    fn reason(&self, s: &Stood, thread: &wire::Thread, at: &Arc<Location>) -> StopReason {
        if let Some(w) = s.state.watch_ended.first() {
            return StopReason::WatchEnded(BreakpointId(w.id), "its variable went out of scope".into());
        }
        let met = thread.breakpoint.as_ref().filter(|_| !records_only(thread));
        if let Some(why) = &s.trouble {
            let id = met.map_or(0, |b| b.id);
            return StopReason::ConditionFailed(BreakpointId(id), why.clone());
        }
        match met {
            Some(b) if b.id == UNRECOVERED_PANIC => {
                let said = thread.info.as_ref().and_then(|i| i.variables.first()).map(values::text);
                StopReason::UnrecoveredPanic(plain(&said.unwrap_or_else(|| "<message unreadable>".into())))
            }
            Some(b) if b.id == FATAL_THROW => StopReason::FatalError(self.thrown()),
            Some(b) if b.id == HARDCODED => StopReason::HardcodedBreakpoint,
            Some(b) if !b.watch.is_empty() => self.watched(b),
            Some(b) if s.state.step_in_progress => StopReason::StepInterrupted(BreakpointId(b.id)),
            Some(b) if b.id > 0 => StopReason::Breakpoint(BreakpointId(b.id)),
            _ if s.asked == Asked::Call => StopReason::CallReturned,
            _ if s.state.reason == "hardcoded breakpoint" => StopReason::HardcodedBreakpoint,
            _ if s.paused => StopReason::Paused,
            _ if s.asked == Asked::Step => StopReason::StepDone,
            _ if at.function.starts_with(ENTRY) => StopReason::Launched,
            _ => StopReason::Paused,
        }
    }

    /// The message of `runtime.throw` and `runtime.fatal` is their argument.
    fn thrown(&self) -> String {
        let scope = scope_of(FrameRef::default());
        let config = values::config(LoadLimits { string: 500, ..LoadLimits::default() }, 0);
        match self.eval(scope, "s", config) {
            Ok(v) => v.value,
            Err(_no_such_argument) => "its message is in the program's output".into(),
        }
    }

    fn watched(&self, b: &wire::Breakpoint) -> StopReason {
        let known = open(self.book()).watched.get(&b.id).cloned();
        let (fetch, old) = known.unwrap_or_else(|| (b.watch.clone(), "?".into()));
        let scope = scope_of(FrameRef::default());
        let new = match self.eval(scope, &fetch, values::config(LoadLimits::default(), 0)) {
            Ok(v) => values::text(&v),
            Err(f) => format!("({})", f.message),
        };
        if let Some(w) = open(self.book()).watched.get_mut(&b.id) {
            w.1.clone_from(&new);
        }
        StopReason::Watchpoint { id: BreakpointId(b.id), old, new }
    }
}

/// `interface {}(string) "boom"` is the interface around what was panicked with.
fn plain(text: &str) -> String {
    let inner = text.strip_prefix("interface {}(").and_then(|r| r.split_once(") ")).map(|p| p.1);
    inner.unwrap_or(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(json: &str) -> wire::State {
        serde_json::from_str(json).expect("a state")
    }

    #[test]
    fn trace_points_stop_for_nobody_unless_another_breakpoint_was_met() {
        let trace = r#"{"id":1,"breakPoint":{"id":1,"continue":true}}"#;
        let real = r#"{"id":2,"breakPoint":{"id":2}}"#;
        assert!(nobody_asked(&state(&format!(r#"{{"Threads":[{trace},{{"id":3}}]}}"#))));
        assert!(!nobody_asked(&state(&format!(r#"{{"Threads":[{trace},{real}]}}"#))));
        assert!(!nobody_asked(&state(r#"{"Threads":[{"id":3}]}"#)));
    }

    #[test]
    fn log_lines_have_their_values() {
        let mut book = Book::default();
        let mut spec = BreakpointSpec::at("main.f");
        spec.actions = Actions { run_on: true, log: "n={n}!".into(), ..Actions::default() };
        book.asked.insert(1, spec);
        let s = state(
            r#"{"Threads":[{"id":7,"goroutineID":4,"breakPoint":{"id":1,"continue":true,"totalHitCount":3},
                "breakPointInfo":{"variables":[{"name":"n","type":"int","kind":2,"addr":8,"value":"5"}]}}]}"#,
        );
        let (h, seen) = hits(&s, &mut book);
        assert_eq!((h[0].text.as_str(), h[0].number, seen.len()), ("n=5!", 3, 1));
    }

    #[test]
    fn panics_say_their_value() {
        assert_eq!(plain("interface {}(string) \"boom\""), "\"boom\"");
        assert_eq!(plain("\"x\""), "\"x\"");
    }
}
