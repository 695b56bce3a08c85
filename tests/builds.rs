//! "Any build": every way to build a Go program, on every release, and what can be done with each. The table goes into README.md.
//!
//! A run covers every build with the toolchain at hand and the extremes of the others; `ADIT_BUILDS=all` covers all, and with
//! `UPDATE_DOCUMENTS=1` writes the table. A cell that falls below what is written there fails.
#![allow(clippy::expect_used, clippy::unwrap_used)]

#[path = "builds/kinds.rs"]
mod kinds;
#[path = "builds/table.rs"]
mod table;

mod common;

use adit::backend::protocol::*;
use adit::base::GoroutineId;
use adit::model::*;
use common::Debuggee;
use kinds::{KINDS, Kind, Target};
use std::collections::BTreeMap;
use table::{COLUMNS, Mark, Table};

/// Releases, oldest first.
const RELEASES: [&str; 7] = ["1.21.13", "1.22.10", "1.23.9", "1.24.11", "1.25.5", "1.26.8", "1.27.3"];

/// What one build on one release can do; and, for what it cannot, why.
struct Row {
    marks: [Mark; COLUMNS.len()],
    notes: Vec<String>,
}

/// A session on one build.
struct Session {
    d: Debuggee,
    notes: Vec<String>,
    _child: Option<kinds::Running>,
}

impl Session {
    fn open(t: Target) -> Result<Session, String> {
        match t {
            Target::Program(exe) => Ok(Session { d: Debuggee::launch(&exe, &[]), notes: Vec::new(), _child: None }),
            Target::Plugin { host, plugin } => {
                let mut d = Debuggee::launch(&host, &[&plugin.to_string_lossy()]);
                d.break_at("main.opened");
                let at = d.resume(ResumeKind::Continue).map(|s| s.at.function.clone());
                match at.as_deref() {
                    Some("main.opened") => Ok(Session { d, notes: Vec::new(), _child: None }),
                    _ => Err(format!("the plugin was not opened: {at:?} {}", d.output)),
                }
            }
            Target::Library(running) => {
                let spec = TargetSpec::Attach { pid: running.pid(), exe: None, control: true };
                let mut d = Debuggee::open(spec).map_err(|e| e.to_string())?;
                d.call(Request::Pause).map_err(|e| e.to_string())?;
                d.wait_stop();
                Ok(Session { d, notes: Vec::new(), _child: Some(running) })
            }
        }
    }

    fn note(&mut self, n: impl Into<String>) {
        self.notes.push(n.into());
    }

    /// Sets a breakpoint and waits for it; the place.
    fn run_to(&mut self, place: &str) -> Option<String> {
        let spec = BreakpointSpec::at(place);
        let id = match self.d.call(Request::SetBreakpoint { spec, frame: FrameRef::default() }) {
            Ok(Reply::Breakpoint(b)) if b.problem.is_empty() => b.id,
            Ok(other) => {
                self.note(format!("break {place}: {other:?}"));
                return None;
            }
            Err(e) => {
                self.note(format!("break {place}: {e}"));
                return None;
            }
        };
        let stop = self.d.resume(ResumeKind::Continue);
        let cleared = self.d.call(Request::ClearBreakpoint(id));
        if stop.is_none() || cleared.is_err() {
            self.note(format!("break {place}: never reached, {:?}", self.d.exited));
            return None;
        }
        Some(self.d.at())
    }

    /// At a function, behind its prologue, and at a line. Also: arguments and values right after the prologue, when all are needed.
    fn breakpoint(&mut self) -> (Mark, Mark, Mark) {
        let wanted = format!("Handle:{}", kinds::line("ENTRY"));
        let by_function = match self.run_to("depot.Handle") {
            Some(at) if ends(&at, &wanted) => true,
            Some(at) => {
                self.note(format!("break depot.Handle: at {at}, not {wanted}"));
                false
            }
            None => false,
        };
        let (args, values) = if by_function { (self.args(false), self.values()) } else { (Mark::No, Mark::No) };
        let line = kinds::line("BREAK");
        let by_line = match self.run_to(&format!("depot.go:{line}")) {
            Some(at) if ends(&at, &format!("Handle:{line}")) => true,
            Some(at) => {
                self.note(format!("break depot.go:{line}: at {at}"));
                false
            }
            None => false,
        };
        (both(by_function, by_line), args, values)
    }

    fn goroutines(&mut self) -> Mark {
        let q = GoroutineQuery {
            filter: GoroutineFilter::default(),
            start: 0,
            count: 1000,
            stack: 0,
            defers: false,
            names: true,
        };
        let rows = match self.d.call(Request::Goroutines(q)) {
            Ok(Reply::Goroutines { rows, .. }) => rows,
            other => {
                self.note(format!("goroutines: {other:?}"));
                return Mark::No;
            }
        };
        let waiting = |g: &&Goroutine| {
            g.user.function.ends_with("depot.wait") && g.wait_reason.as_deref() == Some("chan receive")
        };
        let parked: Vec<_> = rows.iter().filter(waiting).collect();
        let on_channel = parked
            .iter()
            .filter(|g| g.waits_on.iter().any(|w| w.type_name.as_deref().is_some_and(|t| t.contains("struct {}"))))
            .count();
        let mine = rows.iter().any(|g| Some(g.id) == self.stopped() && g.user.function.ends_with("depot.Handle"));
        let whole = parked.len() >= 3 && on_channel == parked.len();
        if !whole || !mine {
            self.note(format!(
                "goroutines: {} parked, {on_channel} on a typed channel, the stopped one {mine}",
                parked.len()
            ));
        }
        both(whole, mine)
    }

    fn stopped(&self) -> Option<GoroutineId> {
        self.d.stop.as_ref().and_then(|s| s.goroutine)
    }

    fn frames(&mut self) -> Vec<(String, u32)> {
        let r = Request::Stack { goroutine: None, depth: 50, defers: false };
        match self.d.call(r) {
            Ok(Reply::Stack { stack, .. }) => {
                for p in stack.problems.clone() {
                    self.note(format!("stack: {p}"));
                }
                stack.frames.iter().map(|f| (f.at.function.clone(), f.at.line)).collect()
            }
            other => {
                self.note(format!("stack: {other:?}"));
                Vec::new()
            }
        }
    }

    fn stack(&mut self, kind: &Kind) -> Mark {
        let frames = self.frames();
        let called = [("depot.Handle", "BREAK"), ("depot.outer", "CALL"), ("depot.Run", "OUTER")];
        let inner = called.iter().zip(&frames).all(|((f, mark), got)| got.0.ends_with(f) && got.1 == kinds::line(mark));
        let outer = frames.iter().any(|f| f.0 == kind.root);
        if !inner || !outer {
            self.note(format!("stack: {frames:?}"));
        }
        both(inner, outer)
    }

    fn scope(&mut self) -> Vec<Variable> {
        match self.d.call(Request::Scope { frame: FrameRef::default(), limits: LoadLimits::default() }) {
            Ok(Reply::Variables { variables, .. }) => variables,
            other => {
                self.note(format!("variables: {other:?}"));
                Vec::new()
            }
        }
    }

    fn children(&mut self, v: &Variable) -> Vec<Variable> {
        let r = Request::Children {
            handle: v.handle,
            start: 0,
            count: 100,
            limits: LoadLimits { depth: 2, ..LoadLimits::default() },
        };
        match self.d.call(r) {
            Ok(Reply::Variables { variables, .. }) => variables,
            other => {
                self.note(format!("children of {}: {other:?}", v.name));
                Vec::new()
            }
        }
    }

    fn eval(&mut self, expression: &str) -> Option<Variable> {
        let r = Request::Eval {
            frame: FrameRef::default(),
            expression: expression.into(),
            limits: LoadLimits { depth: 2, ..LoadLimits::default() },
        };
        match self.d.call(r) {
            Ok(Reply::Value { value, .. }) if value.unavailable.is_none() => Some(*value),
            Ok(Reply::Value { value, .. }) => {
                self.note(format!("{expression}: {}", value.value));
                None
            }
            other => {
                self.note(format!("{expression}: {other:?}"));
                None
            }
        }
    }

    /// All seven arguments of `Handle`: by name and type, or as words with the types that the program knows of them. Behind the first
    /// line (`later`) some are no longer needed by optimised code: they must be right or say why they are gone.
    fn args(&mut self, later: bool) -> Mark {
        let scope = self.scope();
        let by_name: BTreeMap<&str, &Variable> = scope.iter().map(|v| (v.name.as_str(), v)).collect();
        let named = [
            ("n", "5"),
            ("who", "\"bolt\""),
            ("first", "*example.com/depot.Order {ID: 7, Name: \"seven\""),
            ("stock", "interface {}(example.com/depot.Stock) ["),
            ("err", "error(*errors.errorString) *{s: \"late\"}"),
            ("queue", "chan example.com/depot.Order 2/4"),
            ("counts", "map[string]int ["),
        ];
        let words = [
            ("arg0", "5"),
            ("arg1", "\"bolt\""),
            ("arg2", "unsafe.Pointer(0x"),
            ("arg3", "interface {}(example.com/depot.Stock) ["),
            ("arg4", "error(*errors.errorString) *{s: \"late\"}"),
            ("arg5", "chan example.com/depot.Order 2/4"),
            ("arg6", "unsafe.Pointer(0x"),
        ];
        let right = |list: &[(&str, &str)]| -> Vec<String> {
            let fits = |v: &Variable, want| v.value.starts_with(want) || later && says_why(v);
            let wrong = list.iter().filter(|(n, want)| !by_name.get(n).is_some_and(|v| fits(v, want)));
            wrong.map(|(n, want)| format!("{n}: want {want}, got {:?}", by_name.get(n).map(|v| &v.value))).collect()
        };
        let (bad_names, bad_words) = (right(&named), right(&words));
        match (bad_names.len(), bad_words.len()) {
            (0, _) => Mark::Yes,
            (_, 0) => Mark::Words,
            (a, b) => {
                let less = if a <= b { &bad_names } else { &bad_words };
                for n in less {
                    self.note(format!("args: {n}"));
                }
                if a.min(b) < named.len() { Mark::Partly } else { Mark::No }
            }
        }
    }

    /// What a channel has in it, and a map: with the names of fields and the keys.
    fn values(&mut self) -> Mark {
        let scope = self.scope();
        let find = |names: [&str; 2]| scope.iter().find(|v| names.contains(&v.name.as_str())).cloned();
        let (queue, stock) = (find(["queue", "arg5"]), find(["stock", "arg3"]));
        let elements = queue.map(|q| self.children(&q)).unwrap_or_default();
        let texts: Vec<&str> = elements.iter().map(|v| v.value.as_str()).collect();
        let channel = matches!(texts[..], [a, b] if a.contains("{ID: 1, Name: \"one\", Items: []string len: 1") && b.contains("Name: \"two\""));
        let inside = stock.map(|s| self.children(&s)).unwrap_or_default();
        let entries = inside.first().cloned().map(|m| self.children(&m)).unwrap_or_default();
        let mut entries: Vec<_> = entries.iter().map(|v| format!("{}{}", v.name, v.value)).collect();
        entries.sort();
        let map = entries == ["[\"bolt\"]7", "[\"nut\"]11"];
        // By an address alone and the name of a type.
        let typed = match scope.iter().find(|v| ["first", "arg2"].contains(&v.name.as_str())).map(|v| v.name.clone()) {
            Some(name) => {
                let at = self.eval(&format!("uintptr({name})")).map(|v| v.value);
                let mut by = |at: &String, ty: &str| {
                    self.eval(&format!("(*{ty})({at}).next.ID")).is_some_and(|v| v.value == "8")
                };
                at.is_some_and(|a| [r#""example.com/depot".Order"#, "depot.Order"].map(|ty| by(&a, ty)) == [true; 2])
            }
            None => false,
        };
        if !(channel && map && typed) {
            self.note(format!("values: channel {channel} {texts:?}, map {map} {entries:?}, by address {typed}"));
        }
        match (channel && map, typed) {
            (true, true) => Mark::Yes,
            (false, false) => Mark::No,
            _ => Mark::Partly,
        }
    }

    /// `next` twice, `step` into a call that may be inlined, out of it, and out of `Handle`. Without optimisation the lines are known;
    /// with it (`tests/agreement.rs` compares each place with Delve's) a step goes on inside the function until it leaves it.
    fn step(&mut self, exact: bool) -> Mark {
        let line = kinds::line("BREAK");
        let small = format!("small:{}", kinds::line("SMALL") - 1);
        let strict = [
            (ResumeKind::Next, format!("Handle:{}", line + 1)),
            (ResumeKind::Next, format!("Handle:{}", line + 2)),
            (ResumeKind::Step, small),
            (ResumeKind::StepOut, format!("Handle:{}", line + 2)),
            (ResumeKind::StepOut, format!("outer:{}", kinds::line("CALL"))),
        ];
        let loose = [
            (ResumeKind::Next, "Handle:".to_string()),
            (ResumeKind::Step, "Handle: or small:".to_string()),
            (ResumeKind::StepInstruction, "Handle: or small:".to_string()),
            (ResumeKind::StepOut, "outer: or Handle:".to_string()),
            (ResumeKind::StepOut, "Run: or outer:".to_string()),
        ];
        let steps = if exact { strict } else { loose };
        let mut right = 0;
        for (kind, want) in &steps {
            if self.d.exited.is_some() {
                break;
            }
            let before = self.d.at();
            self.d.resume(kind.clone());
            let at = self.d.at();
            let moved = *kind == ResumeKind::StepInstruction || at != before;
            if moved && want.split(" or ").any(|w| at.contains(w)) {
                right += 1;
            } else {
                self.note(format!("{kind:?}: from {before} to {at}, not {want}"));
            }
        }
        match right {
            n if n == steps.len() => Mark::Yes,
            0 => Mark::No,
            _ => Mark::Partly,
        }
    }
}

/// Is it gone, with a reason in words?
fn says_why(v: &Variable) -> bool {
    matches!(&v.unavailable, Some(Unavailable::Other(why)) if !why.is_empty())
        || matches!(&v.unavailable, Some(Unavailable::OptimisedOut { why, .. }) if !why.is_empty())
        || v.value.contains("<optimised out at ")
}

fn ends(at: &str, wanted: &str) -> bool {
    at.ends_with(wanted)
}

fn both(a: bool, b: bool) -> Mark {
    match (a, b) {
        (true, true) => Mark::Yes,
        (false, false) => Mark::No,
        _ => Mark::Partly,
    }
}

fn look_at(kind: &Kind, release: &str) -> Row {
    let nothing = |why: String| Row { marks: [Mark::No; COLUMNS.len()], notes: vec![why] };
    let mut s = match kind.build(release).and_then(Session::open) {
        Ok(s) => s,
        Err(e) => return nothing(e),
    };
    let (at_line, early, values) = s.breakpoint();
    if at_line == Mark::No {
        return Row { marks: [Mark::No, Mark::No, Mark::No, at_line, Mark::No, Mark::No], notes: s.notes };
    }
    let (goroutines, stack, args) = (s.goroutines(), s.stack(kind), s.args(true).min(early));
    let step = s.step(kind.flags.iter().any(|f| f.contains("-N")));
    Row { marks: [goroutines, stack, args, at_line, step, values], notes: s.notes }
}

/// Kinds looked at on a release: all, or what a short run has.
fn wanted(kind: &Kind, release: &str, own: &str) -> bool {
    if let Ok(only) = std::env::var("ADIT_BUILDS") {
        return only == "all" || only.split(',').any(|o| o == kind.name || o == release);
    }
    release == own || (kind.everywhere && (release == RELEASES[0] || release == RELEASES[RELEASES.len() - 1]))
}

#[test]
fn the_table_of_builds() {
    kinds::vendored_copy_is_the_same();
    let own = kinds::own_release(&RELEASES);
    let mut now = Table::default();
    for kind in KINDS {
        for release in RELEASES.into_iter().filter(|r| wanted(kind, r, &own)) {
            let row = look_at(kind, release);
            let marks: Vec<&str> = row.marks.iter().map(|m| m.word()).collect();
            println!("{:<28} {release:<8} {}", kind.name, marks.join("\t"));
            for n in row.notes.iter() {
                println!("      {}", n.chars().take(300).collect::<String>());
            }
            now.set(kind.name, release, row.marks);
        }
    }
    table::check(&now, &RELEASES);
}
