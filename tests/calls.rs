//! Calls of the program's own functions, by the runtime's protocol for debuggers, on every release of Go.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod common;

use adit::backend::protocol::*;
use adit::model::*;
use common::{DEBUG, DEFAULT, Debuggee, build, build_with};
use std::path::Path;

const MATRIX: &[&str] = &["go1.21.13", "go1.22.10", "go1.23.9", "go1.24.11", "go1.25.5", "", "go1.27.3"];

fn at_stop(exe: &Path, args: &[&str]) -> Debuggee {
    let mut d = Debuggee::launch(exe, args);
    d.break_at("main.stopHere");
    d.resume(ResumeKind::Continue).expect("a stop");
    d
}

fn call_in(d: &mut Debuggee, frame: u32, expression: &str) -> Result<(Vec<Variable>, Option<Box<Variable>>), Failure> {
    let frame = FrameRef { goroutine: None, frame };
    let r = || Request::Call { frame, expression: expression.into(), limits: LoadLimits::default() };
    let mut answer = d.call(r());
    // On a full machine the collector may be in the way for long.
    for _ in 0..10 {
        if !answer.as_ref().is_err_and(|f| f.message.ends_with("try again")) {
            break;
        }
        answer = d.call(r());
    }
    match answer? {
        Reply::Called { values, panicked, .. } => Ok((values, panicked)),
        other => panic!("{expression}: {other:?}"),
    }
}

fn call(d: &mut Debuggee, expression: &str) -> Vec<String> {
    let (values, panicked) = call_in(d, 1, expression).unwrap_or_else(|e| panic!("{expression}: {e}"));
    assert!(panicked.is_none(), "{expression}: {panicked:?}");
    values.into_iter().map(|v| v.value).collect()
}

fn print(d: &mut Debuggee, expression: &str) -> String {
    let frame = FrameRef { goroutine: None, frame: 1 };
    match d.call(Request::Eval { frame, expression: expression.into(), limits: LoadLimits::default() }) {
        Ok(Reply::Value { value, .. }) => value.value,
        other => panic!("{expression}: {other:?}"),
    }
}

fn every_kind(d: &mut Debuggee, what: &str) {
    let before = d.at();
    assert_eq!(call(d, "add(40, 2)"), ["42"], "{what}");
    assert_eq!(call(d, "add(i, -1)"), ["40"], "{what}");
    assert_eq!(call(d, "many(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)"), ["84"], "{what}");
    assert_eq!(call(d, "mixed(-3, f, \"text\", global, list, true)"), ["\"-3 text 1 3\"", "3", "error nil"], "{what}");
    let no = call(d, "mixed(1, 2.5, \"\", nil, nil, false)");
    assert!(no[2].contains("told not to"), "{what}: {no:?}");
    assert_eq!(call(d, "join(\"first\", name, \"third\")"), ["\"first-before-third\""], "{what}");
    assert_eq!(call(d, "kind(global)"), ["\"*main.point\""], "{what}");
    assert_eq!(call(d, "moved(*global, 10)"), ["main.point {X: 11, Y: -8, tag: \"here\"}"], "{what}");
    assert_eq!(call(d, "c.Area()"), ["12"], "{what}");
    assert_eq!(call(d, "sh.Area()"), ["12"], "{what}");
    assert_eq!(call(d, "c.Bump(4)"), ["9"], "{what}: a promoted method with a pointer receiver");
    assert_eq!(print(d, "c.base.n"), "9", "{what}");
    assert_eq!(call(d, "double(3)"), ["18"], "{what}: a closure");
    call(d, "number = add(20, 3)");
    assert_eq!(print(d, "number"), "23", "{what}");
    call(d, "name = \"a new and longer text\"");
    assert_eq!(print(d, "name"), "\"a new and longer text\"", "{what}");
    assert_eq!(call(d, "double(1)"), ["21"], "{what}");
    call(d, "number = add(0, 0)");
    let (_, panicked) = call_in(d, 1, "fails(\"broke\")").expect("called");
    assert!(panicked.expect("a panic").value.contains("it broke"), "{what}");
    assert_eq!(call(d, "large(quad, \"xy\")"), ["[4]int [3,4,5,6]"], "{what}: on the stack");
    assert_eq!(d.at(), before, "{what}: it stands where it stood");
}

fn whole(exe: &Path, what: &str) {
    let mut d = at_stop(exe, &["0"]);
    every_kind(&mut d, what);
    assert_eq!(d.stop.as_ref().expect("a stop").reason, StopReason::CallReturned);
    d.call(Request::ClearBreakpoint(adit::base::BreakpointId(1))).expect("cleared");
    assert!(d.resume(ResumeKind::Continue).is_none());
    assert_eq!(d.exited, Some((Some(0), None)), "{what}: {}", d.output);
    let first = d.output.lines().next().unwrap_or_default().trim();
    assert_eq!(first, "42 10 42 3 1.5 12 a new and longer text here 0", "{what}");
}

#[test]
fn functions_of_every_kind_on_every_release() {
    for tool in MATRIX {
        whole(&build_with("callee", DEBUG, tool), &format!("debug {tool}"));
    }
    // Optimised: the convention is the same.
    let mut d = at_stop(&build("callee", DEFAULT), &["0"]);
    assert_eq!(call(&mut d, "main.add(40, 2)"), ["42"]);
    assert_eq!(call(&mut d, "main.join(\"a\", \"b\", main.name)"), ["\"a-b-before\""]);
    assert_eq!(call(&mut d, "main.name = \"other\""), [""; 0]);
    assert_eq!(print(&mut d, "main.name"), "\"other\"");
}

#[test]
fn what_cannot_be_called_says_why() {
    let mut d = at_stop(&build("callee", DEBUG), &["0"]);
    let mut why = |e: &str| call_in(&mut d, 1, e).expect_err(e).message;
    assert!(why("add(1)").contains("takes 2 arguments"));
    assert!(why("add(1, \"x\")").contains("can not convert"));
    assert!(why("nosuch(1)").contains("nosuch"));
    assert!(why("i + 1").contains("calls no function"));
    assert!(why("add(add(1, 2), 3)").contains("call in a call"));
    assert!(why("name = add(1, 2)").contains("mismatched") || why("name = add(1, 2)").contains("int"));
    assert!(why("kind(&i)").contains("stack") || why("kind(&i)").contains("address"));
    let g = Some(adit::base::GoroutineId(2));
    let r = Request::Call {
        frame: FrameRef { goroutine: g, frame: 0 },
        expression: "main.add(1, 2)".into(),
        limits: LoadLimits::default(),
    };
    // The runtime's own goroutines may still be on their way to where they wait.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    let said = loop {
        let said = d.call(r.clone()).expect_err("parked").message;
        if said.contains("parked") || std::time::Instant::now() > deadline {
            break said;
        }
    };
    assert!(said.contains("parked"), "{said}");
}

/// Strings are allocated, garbage is made, the collector runs, other goroutines allocate: nothing is lost, nobody is harmed.
#[test]
fn calls_while_the_collector_works() {
    let mut d = at_stop(&build("callee", DEFAULT), &["600"]);
    let rounds = std::env::var("ADIT_CALL_ROUNDS").ok().and_then(|s| s.parse().ok()).unwrap_or(30);
    for n in 0..rounds {
        let text = "x".repeat(1 + n % 40 * 37);
        let all = call(&mut d, &format!("main.join(\"{text}\", \"{n}\", \"{text}\")"));
        let want = format!("\"{text}-{n}-{text}\"");
        assert_eq!(all[0].get(..40.min(want.len())), want.get(..40.min(want.len())), "{n}");
        assert_eq!(call(&mut d, &format!("main.name = \"name {n}\"")).len(), 0);
        assert_eq!(call(&mut d, "main.garbage(50)"), [(50 * 65536).to_string()]);
        assert_eq!(print(&mut d, "main.name"), format!("\"name {n}\""));
        let stop = d.resume(ResumeKind::Continue).expect("a stop");
        assert!(matches!(stop.reason, StopReason::Breakpoint(_)), "{:?}", stop.reason);
    }
    call(&mut d, "main.number = main.add(1, 2)");
    d.call(Request::ClearBreakpoint(adit::base::BreakpointId(1))).expect("cleared");
    assert!(d.resume(ResumeKind::Continue).is_none());
    assert!(d.output.contains(&format!("done name {} 3", rounds - 1)), "{}", d.output);
}

#[test]
fn a_breakpoint_in_the_callee_stops_and_the_call_goes_on() {
    let mut d = at_stop(&build("callee", DEBUG), &["0"]);
    let before = d.at();
    d.break_at("main.add");
    let frame = FrameRef { goroutine: None, frame: 1 };
    let id = d.client.send(Request::Call { frame, expression: "add(1, 2)".into(), limits: LoadLimits::default() });
    d.stop = None;
    let stop = d.wait_stop().expect("a stop");
    assert_eq!(stop.at.function, "main.add");
    let frame = FrameRef { goroutine: None, frame: 0 };
    let again = d.call(Request::Call { frame, expression: "add(1, 2)".into(), limits: LoadLimits::default() });
    assert!(again.expect_err("one at a time").message.contains("under way"));
    d.client.send(Request::Resume { kind: ResumeKind::Continue, goroutine: None });
    let mut back = None;
    let values = loop {
        match d.client.blocking_recv().expect("a message") {
            FromHost::Reply { id: n, result } if n == id => match result {
                Ok(Reply::Called { values, .. }) => break values,
                other => panic!("{other:?}"),
            },
            FromHost::Notice(Notice::Stopped(s)) => back = Some(*s),
            _ => {}
        }
    };
    assert_eq!(values[0].value, "3");
    let back = back.expect("stopped before the reply");
    assert_eq!(
        (back.reason, format!("{}:{}", back.at.short_function(), back.at.line)),
        (StopReason::CallReturned, before)
    );
}
