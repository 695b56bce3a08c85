//! `adit connect` to Delve 1.21, 1.24 and 1.27: what the native backend is held by, over a remote `dlv --headless`.
//!
//! Needs those releases (the Makefile installs them); those that are not there are left out, and the test says so.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;

use adit::base::{BreakpointId, GoroutineId, LoadAddr};
use adit::model::*;
use common::headless::{Server, launch, releases, spec};
use common::*;
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

use adit::backend::protocol::*;

fn frame(n: u32) -> FrameRef {
    FrameRef { goroutine: None, frame: n }
}

fn eval(d: &mut Debuggee, e: &str) -> Result<Variable, Failure> {
    match d.call(Request::Eval { frame: frame(0), expression: e.into(), limits: LoadLimits::default() })? {
        Reply::Value { value, .. } => Ok(*value),
        other => panic!("{e}: {other:?}"),
    }
}

fn text(d: &mut Debuggee, e: &str) -> String {
    eval(d, e).map_or_else(|f| format!("failed: {f}"), |v| v.value)
}

fn list(d: &mut Debuggee, text: &str, system: bool) -> Vec<Goroutine> {
    let filter = GoroutineFilter { system, text: text.into(), inverse: false };
    match d.call(Request::Goroutines(GoroutineQuery {
        filter,
        start: 0,
        count: 10_000,
        stack: 0,
        defers: false,
        names: false,
    })) {
        Ok(Reply::Goroutines { rows, .. }) => rows,
        other => panic!("{other:?}"),
    }
}

fn set(d: &mut Debuggee, place: &str, change: impl FnOnce(&mut BreakpointSpec)) -> Breakpoint {
    let mut spec = BreakpointSpec::at(place);
    change(&mut spec);
    match d.call(Request::SetBreakpoint { spec, frame: frame(0) }) {
        Ok(Reply::Breakpoint(b)) => *b,
        other => panic!("{place}: {other:?}"),
    }
}

/// Notices until one is as wanted.
fn until(d: &mut Debuggee, what: &str, hit: impl Fn(&Debuggee) -> bool) {
    let end = Instant::now() + PATIENCE;
    while !hit(d) {
        assert!(Instant::now() < end, "{what} never came: {:?} {:?}", d.logs, d.hits);
        d.call(Request::Breakpoints).expect("answered");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until Delve says that its program runs. Of API version 1 the state is the result itself.
fn runs(server: &Server, n: &str) {
    let end = Instant::now() + PATIENCE;
    let ran = |v: serde_json::Value| v["result"].get("State").unwrap_or(&v["result"])["Running"] == json!(true);
    while !ran(server.ask("State", json!({"NonBlocking": true}))) {
        assert!(Instant::now() < end, "{n}: it does not run");
    }
}

#[test]
fn the_first_flow() {
    for r in releases() {
        let (server, mut d) = launch(&r, "shop", &["seven", "--flag"]);
        let n = r.name;
        assert_eq!((d.target.kind, d.target.launched), (TargetKind::Delve, false), "{n}");
        assert!(d.target.go.starts_with(r.go), "{n}: {}", d.target.go);
        assert!(d.target.notes.iter().any(|t| t.contains("no authentication")), "{n}: {:?}", d.target.notes);
        assert_eq!(d.stop.as_ref().map(|s| &s.reason), Some(&StopReason::Launched), "{n}");
        // A breakpoint on a method, and over, into and out of calls.
        let b = d.break_at("main.(*Cart).Total");
        assert_eq!((b.id, b.at.len(), b.at[0].function.as_str()), (BreakpointId(1), 1, "main.(*Cart).Total"), "{n}");
        let stop = d.resume(ResumeKind::Continue).expect("a stop");
        assert_eq!(
            (stop.reason, stop.goroutine),
            (StopReason::Breakpoint(BreakpointId(1)), Some(GoroutineId(1))),
            "{n}"
        );
        let places =
            d.walk(&[ResumeKind::Next, ResumeKind::Next, ResumeKind::Next, ResumeKind::Step, ResumeKind::StepOut]);
        let line = |t: &str| line_of("shop", t);
        let total = |t: &str| format!("main.(*Cart).Total:{}", line(t));
        assert_eq!(
            places,
            [
                total("sum := 0"),
                total("for _, it"),
                total("sum += price"),
                format!("main.price:{}", line("func price")),
                total("sum += price")
            ],
            "{n}"
        );
        assert_eq!(
            d.stop.as_ref().unwrap().returned.iter().map(|v| v.value.as_str()).collect::<Vec<_>>(),
            ["800"],
            "{n}"
        );
        // A stack, another frame, values and their children.
        let Ok(Reply::Stack { stack, .. }) = d.call(Request::Stack { goroutine: None, depth: 20, defers: true }) else {
            panic!("{n}: no stack")
        };
        let names: Vec<&str> = stack.frames.iter().map(|f| f.at.function.as_str()).collect();
        assert_eq!(&names[..3], ["main.(*Cart).Total", "main.main", "runtime.main"], "{n}");
        assert_eq!(text(&mut d, "c.items[1].sku"), "\"B-2\"", "{n}");
        let Ok(Reply::Value { value, .. }) =
            d.call(Request::Eval { frame: frame(1), expression: "cart.owner".into(), limits: LoadLimits::default() })
        else {
            panic!("{n}: no frame 1")
        };
        assert_eq!(value.value, "\"ana\"", "{n}");
        // Another goroutine, filtered; its stack.
        let lurkers = list(&mut d, "lurk", false);
        assert_eq!(lurkers.len(), 3, "{n}");
        let g = &lurkers[0];
        assert_eq!((g.state, g.wait_reason.as_deref()), (GoroutineState::Waiting, Some("chan receive")), "{n}");
        assert_eq!(g.created_by.as_ref().map(|c| c.at.function.as_str()), Some("main.main"), "{n}");
        assert!(list(&mut d, "", true).iter().any(|g| g.system) && list(&mut d, "", false).len() == 4, "{n}");
        let Ok(Reply::Stack { stack, .. }) = d.call(Request::Stack { goroutine: Some(g.id), depth: 20, defers: false })
        else {
            panic!("{n}: no stack of {}", g.id)
        };
        assert!(stack.frames.iter().any(|f| f.at.function == "main.lurk"), "{n}");
        // A condition, obeyed.
        let mut spec = b.spec.clone();
        spec.condition = "c.owner == \"bob\"".into();
        d.call(Request::EditBreakpoint { id: b.id, spec }).expect("a condition");
        d.resume(ResumeKind::Continue).expect("a stop");
        assert_eq!(text(&mut d, "c.owner"), "\"bob\"", "{n}");
        assert_eq!(text(&mut d, "len(os.Args)"), "3", "{n}");
        // To the end, and from the beginning.
        d.call(Request::ClearBreakpoint(b.id)).expect("cleared");
        assert!(d.resume(ResumeKind::Continue).is_none(), "{n}");
        assert_eq!(d.exited, Some((Some(0), None)), "{n}");
        d.exited = None;
        match d.call(Request::Restart { rebuild: false, args: Some(vec!["one".into()]) }) {
            Ok(Reply::Opened { stop: Some(s), caps, .. }) => {
                assert_eq!((s.reason, caps.restart), (StopReason::Launched, true), "{n}");
            }
            other => panic!("{n}: restart: {other:?}"),
        }
        // To a place, once.
        d.resume(ResumeKind::To("main.price".into())).expect("a stop");
        assert_eq!(d.at().split(':').next(), Some("main.price"), "{n}");
        assert_eq!(text(&mut d, "len(os.Args)"), "2", "{n}");
        let Ok(Reply::Breakpoints(left)) = d.call(Request::Breakpoints) else { panic!("{n}: no list") };
        assert_eq!(left.len(), 0, "{n}: {left:?}");
        assert!(
            d.call(Request::Resume { kind: ResumeKind::To("main.nowhere".into()), goroutine: None }).is_err(),
            "{n}"
        );
        assert!(server.said().contains("3 3300"), "{n}: {}", server.said());
    }
}

#[test]
fn breakpoints_of_every_kind() {
    for r in releases() {
        let n = r.name;
        let (_server, mut d) = launch(&r, "probed", &["sequence"]);
        // Hit counts, log points, trace points with results: the program runs on for them.
        let hits = set(&mut d, "main.price", |s| s.hits = HitCondition::parse("== 3"));
        d.resume(ResumeKind::Continue).expect("a stop");
        assert_eq!(text(&mut d, "id"), "2", "{n}");
        d.call(Request::ClearBreakpoint(hits.id)).expect("cleared");
        let log = set(&mut d, "main.price", |s| {
            s.actions = Actions { run_on: true, log: "price of {id}: {{{what}}}".into(), ..Actions::default() };
        });
        let line = line_of("probed", "fmt.Println(half(5))");
        let half = set(&mut d, &format!("main.go:{line}"), |_| {});
        d.resume(ResumeKind::Continue).expect("a stop");
        assert_eq!(d.at(), format!("main.sequence:{line}"), "{n}");
        until(&mut d, "the log", |d| d.hits.len() >= 7);
        let lines: Vec<&str> = d.hits.iter().map(|h| h.text.as_str()).collect();
        assert_eq!(
            (lines.len(), lines[0], lines[6]),
            (7, "price of 3: {\"part 3\"}", "price of 9: {\"part 9\"}"),
            "{n}"
        );
        assert!(d.hits.iter().all(|h| h.breakpoint == log.id && h.kind == HitKind::Reached), "{n}");
        d.hits.clear();
        d.call(Request::ClearBreakpoint(half.id)).expect("cleared");
        // A trace: arguments in, results out.
        set(&mut d, "main.half", |s| (s.actions.run_on, s.actions.trace) = (true, true));
        // Written data, with the value before and after.
        let watch = BreakpointSpec::watch("main.name", Access::Write);
        let watch = match d.call(Request::SetBreakpoint { spec: watch, frame: frame(0) }) {
            // A string is too long for a debug register: Delve watches no more than a word.
            Err(f) => {
                assert!(f.message.contains("can not watch"), "{n}: {f}");
                let spec = BreakpointSpec::watch("main.wide[5]", Access::Write);
                match d.call(Request::SetBreakpoint { spec, frame: frame(0) }) {
                    Ok(Reply::Breakpoint(b)) => *b,
                    other => panic!("{n}: watch: {other:?}"),
                }
            }
            other => panic!("{n}: watch: {other:?}"),
        };
        let stop = d.resume(ResumeKind::Continue).expect("a stop");
        assert_eq!(stop.reason, StopReason::Watchpoint { id: watch.id, old: "0".into(), new: "1".into() }, "{n}");
        assert_eq!(d.breakpoints.get(&watch.id).map(|b| b.mechanism), Some(Mechanism::DebugRegister), "{n}");
        d.call(Request::ClearBreakpoint(watch.id)).expect("cleared");
        // A regular expression, one that is for once, and one that waits for another.
        let many = BreakpointSpec::at("/main\\.(local|grow)$/");
        match d.call(Request::SetBreakpoint { spec: many, frame: frame(0) }) {
            Ok(Reply::Breakpoints(v)) => {
                assert_eq!(v.len(), 2, "{n}");
                let grow = v.iter().find(|b| b.at[0].function == "main.grow").expect("grow");
                d.call(Request::ClearBreakpoint(grow.id)).expect("cleared");
                let local = v.iter().find(|b| b.at[0].function == "main.local").expect("local").id;
                // Delve 1.21 cannot let one wait for another.
                let after = (n != "1.21").then_some(local);
                set(&mut d, "main.grow", |s| (s.after, s.temporary) = (after, true));
            }
            other => panic!("{n}: {other:?}"),
        }
        d.resume(ResumeKind::Continue).expect("a stop");
        assert!(d.at().starts_with("main.local"), "{n}: {}", d.at());
        let g = d.stop.as_ref().and_then(|s| s.goroutine);
        assert!(g.is_some_and(|g| g.0 > 1), "{n}: another goroutine: {g:?}");
        d.resume(ResumeKind::Continue).expect("a stop");
        assert!(d.at().starts_with("main.grow"), "{n}: {}", d.at());
        assert!(d.resume(ResumeKind::Continue).is_none(), "{n}: {}", d.at());
        let traced: Vec<(&HitKind, &Vec<(String, String)>)> = d.hits.iter().map(|h| (&h.kind, &h.values)).collect();
        assert_eq!(traced.len(), 2, "{n}: {traced:?}");
        assert_eq!((traced[0].0, traced[0].1[0].1.as_str()), (&HitKind::Entered, "5"), "{n}");
        assert_eq!((traced[1].0, traced[1].1[0].1.as_str()), (&HitKind::Returned(None), "2.5"), "{n}");
    }
}

/// What Delve can only do while the program stands is done in a short stop; pausing and going on work all the time.
#[test]
fn while_it_runs() {
    for r in releases() {
        let n = r.name;
        let dir = tempfile::tempdir().unwrap();
        let beat = dir.path().join("beat");
        let (server, mut d) = launch(&r, "heartbeat", &[beat.to_str().unwrap(), "60"]);
        d.stop = None;
        d.call(Request::Resume { kind: ResumeKind::Continue, goroutine: None }).expect("resumed");
        // Nothing is read of a program that runs.
        let refused = d.call(Request::Stack { goroutine: Some(GoroutineId(1)), depth: 3, defers: false });
        assert!(refused.is_err_and(|f| f.kind == FailureKind::BadState && f.fix.is_some()), "{n}");
        let end = Instant::now() + PATIENCE;
        while !server.said().contains("ready") {
            assert!(Instant::now() < end, "{n}: it does not run");
            std::thread::sleep(Duration::from_millis(5));
        }
        // Set while it runs.
        let b = set(&mut d, "main.hot", |_| {});
        let stop = d.wait_stop().expect("a stop");
        assert_eq!(stop.reason, StopReason::Breakpoint(b.id), "{n}");
        d.call(Request::ClearBreakpoint(b.id)).expect("cleared");
        d.stop = None;
        d.call(Request::Resume { kind: ResumeKind::Continue, goroutine: None }).expect("resumed");
        for _ in 0..20 {
            let b = set(&mut d, "main.never", |s| s.condition = "i == 7".into());
            d.call(Request::ClearBreakpoint(b.id)).expect("cleared while it runs");
        }
        assert!(d.stop.is_none(), "{n}: nobody is told of short stops");
        for _ in 0..20 {
            d.call(Request::Pause).expect("paused");
            assert_eq!(d.wait_stop().map(|s| s.reason), Some(StopReason::Paused), "{n}");
            assert!(list(&mut d, "", false).len() >= 5, "{n}");
            d.stop = None;
            d.call(Request::Resume { kind: ResumeKind::Continue, goroutine: None }).expect("resumed");
        }
        // Another client stops it, and lets it go on: both are seen. A stop that comes before it runs would do nothing.
        runs(&server, n);
        server.ask("Command", json!({"name": "halt"}));
        assert!(d.wait_stop().is_some(), "{n}: a stop by another client");
        let address = server.address.clone();
        let other = std::thread::spawn(move || {
            use std::io::Write;
            let mut s = std::net::TcpStream::connect(address).unwrap();
            s.write_all(b"{\"method\":\"RPCServer.Command\",\"params\":[{\"name\":\"continue\"}],\"id\":1}\n").unwrap();
            std::thread::sleep(Duration::from_secs(4));
        });
        let end = Instant::now() + PATIENCE;
        loop {
            match d.client.blocking_notice() {
                Some(Notice::Resumed { .. }) => break,
                Some(_) => assert!(Instant::now() < end, "{n}: going on by another client"),
                None => panic!("{n}: the host is gone"),
            }
        }
        d.stop = None;
        d.call(Request::Pause).expect("paused");
        assert_eq!(d.wait_stop().map(|s| s.reason), Some(StopReason::Paused), "{n}");
        other.join().unwrap();
        // Started again while it runs.
        d.stop = None;
        d.call(Request::Resume { kind: ResumeKind::Continue, goroutine: None }).expect("resumed");
        match d.call(Request::Restart { rebuild: false, args: None }) {
            Ok(Reply::Opened { stop: Some(s), .. }) => assert_eq!(s.reason, StopReason::Launched, "{n}"),
            other => panic!("{n}: {other:?}"),
        }
    }
}

/// What ran when adit came is known at its first stop.
#[test]
fn a_program_that_ran_already() {
    for r in releases() {
        let n = r.name;
        let heart = common::heart::Heart::start(&build_with("heartbeat", DEFAULT, r.go));
        let pid = heart.pid().to_string();
        let server = Server::start(&r.dlv, &["attach", &pid, "--accept-multiclient", "--continue"]);
        runs(&server, n);
        heart.reset();
        let mut d = Debuggee::open(spec(&server)).unwrap_or_else(|e| panic!("{n}: {e}"));
        assert!(d.stop.is_none() && d.target.pid.is_none(), "{n}");
        assert!(heart.beats_on(50), "{n}: opening stops nothing");
        assert!(heart.longest_gap() < Duration::from_millis(200), "{n}: {:?}", heart.longest_gap());
        d.call(Request::Pause).expect("paused");
        assert_eq!(d.wait_stop().map(|s| s.reason), Some(StopReason::Paused), "{n}");
        assert_eq!(d.target.pid, Some(heart.pid()), "{n}");
        assert!(d.target.go.starts_with(r.go), "{n}: {}", d.target.go);
        let all = list(&mut d, "", true);
        assert!(all.iter().any(|g| g.wait_reason.as_deref() == Some("sleep")), "{n}: {all:?}");
        // Started again it cannot be: Delve attached to it.
        assert!(
            d.call(Request::Restart { rebuild: false, args: None }).is_err_and(|f| f.message.contains("attached")),
            "{n}"
        );
        drop(d);
        assert!(heart.beats_on(50), "{n}: it runs on");
    }
}

#[test]
fn data_code_and_what_delve_lacks() {
    for r in releases() {
        let n = r.name;
        let (server, mut d) = launch(&r, "probed", &["sequence"]);
        d.break_at("main.price");
        d.resume(ResumeKind::Continue).expect("a stop");
        d.resume(ResumeKind::Next).expect("a step");
        // Assigning, calling, panics in calls.
        d.call(Request::Set { frame: frame(0), expression: "id".into(), value: "4".into() }).expect("assigned");
        assert_eq!(text(&mut d, "id"), "4", "{n}");
        let call = |d: &mut Debuggee, e: &str| {
            d.call(Request::Call { frame: frame(0), expression: e.into(), limits: LoadLimits::default() })
        };
        match call(&mut d, "main.half(9)") {
            Ok(Reply::Called { values, panicked: None, .. }) => assert_eq!(values[0].value, "4.5", "{n}"),
            other => panic!("{n}: {other:?}"),
        }
        assert!(call(&mut d, "main.nothing(1)").is_err(), "{n}");
        assert!(d.resume(ResumeKind::Next).is_some(), "{n}: it goes on after calls");
        // Memory, registers, instructions, threads.
        let at = eval(&mut d, "main.wide").expect("a variable");
        assert_eq!((at.len, at.children), (Some(6), 6), "{n}");
        let memory = d.call(Request::Memory { addr: at.addr, len: 48 });
        assert!(
            matches!(memory, Ok(Reply::Memory { bytes, .. }) if bytes.len() == 48 && bytes.iter().all(|b| *b == 0)),
            "{n}"
        );
        assert!(d.call(Request::Memory { addr: LoadAddr(8), len: 8 }).is_err(), "{n}");
        let Ok(Reply::Registers(regs)) = d.call(Request::Registers(frame(0))) else { panic!("{n}: registers") };
        assert!(regs.iter().any(|(name, v)| name == "rip" && v.starts_with("0x")), "{n}: {regs:?}");
        let Ok(Reply::Instructions { function, instructions }) = d.call(Request::Disassemble { frame: frame(0) })
        else {
            panic!("{n}: code")
        };
        assert!(function == "main.price" && instructions.iter().filter(|i| i.current).count() == 1, "{n}");
        let pc = d.stop.as_ref().map(|s| s.at.pc);
        d.resume(ResumeKind::StepInstruction).expect("a step");
        assert_ne!(d.stop.as_ref().map(|s| s.at.pc), pc, "{n}");
        // Over a call as one instruction, also where Delve has no such command.
        for _ in 0..40 {
            let Ok(Reply::Instructions { instructions, .. }) = d.call(Request::Disassemble { frame: frame(0) }) else {
                panic!("{n}: code")
            };
            let call = instructions.iter().any(|i| i.current && i.text.to_lowercase().starts_with("call"));
            d.resume(ResumeKind::NextInstruction).expect("a step");
            assert!(d.at().starts_with("main.") && !d.at().starts_with("runtime."), "{n}: {}", d.at());
            if call {
                break;
            }
        }
        assert!(
            matches!(d.call(Request::Threads), Ok(Reply::Threads { threads, .. }) if threads.iter().any(|t| t.goroutine.is_some())),
            "{n}"
        );
        // Names and package variables.
        let names = |d: &mut Debuggee, kind, filter: &str| match d.call(Request::Symbols {
            kind,
            filter: filter.into(),
            count: 50,
        }) {
            Ok(Reply::Symbols { names, .. }) => names,
            other => panic!("{other:?}"),
        };
        assert!(names(&mut d, SymbolKind::Functions, "MAIN.gro").contains(&"main.grow".into()), "{n}");
        assert!(names(&mut d, SymbolKind::Sources, "probed/main.go").len() == 1, "{n}");
        assert!(names(&mut d, SymbolKind::Types, "main.order").contains(&"main.order".into()), "{n}");
        assert!(names(&mut d, SymbolKind::PackageVariables, "main.wide").contains(&"main.wide".into()), "{n}");
        let all = d.call(Request::PackageVariables { filter: "^main\\.".into(), limits: LoadLimits::default() });
        let Ok(Reply::Variables { variables, .. }) = all else { panic!("{n}: {all:?}") };
        let list = variables.iter().find(|v| v.name == "main.list").expect("main.list").clone();
        assert_eq!(list.value, "[]int len: 3, cap: 3, [1,2,3]", "{n}");
        let part = d.call(Request::Children { handle: list.handle, start: 1, count: 1, limits: LoadLimits::default() });
        match part {
            Ok(Reply::Variables { variables, total: 3, .. }) => {
                let v = &variables[0];
                assert_eq!(
                    (v.name.as_str(), v.expression.as_str(), v.value.as_str()),
                    ("[1]", "main.list[1]", "2"),
                    "{n}"
                );
            }
            other => panic!("{n}: {other:?}"),
        }
        // What is not to be had says so, and what is to be done instead.
        for (what, request) in [
            ("waits", Request::Waits(WaitQuery::default())),
            ("heap", Request::Heap { by: HeapBy::Type, count: 5 }),
            ("refs", Request::Refs { object: "main.list".into(), frame: frame(0), count: 1 }),
            ("timeline", Request::TimelineSummary),
            ("snapshot", Request::Snapshot { file: None }),
            ("profiles", Request::ProfileSources),
            ("registers", Request::SetRegister { frame: frame(0), name: "rax".into(), value: "1".into() }),
            ("memory", Request::SetMemory { addr: at.addr, bytes: vec![1] }),
            ("rebuild", Request::Restart { rebuild: true, args: None }),
            ("source", Request::Source { file: "/nowhere/main.go".into() }),
        ] {
            let f = d.call(request).expect_err(what);
            assert!(
                f.kind == FailureKind::Unavailable && f.fix.is_some() && !f.message.contains('\n'),
                "{n} {what}: {f:?}"
            );
        }
        let kill = d.call(Request::Detach { kill: true }).expect_err("never");
        assert!(kill.message.contains("never ends"), "{n}: {kill}");
        let jump =
            d.call(Request::Jump { goroutine: None, to: format!("main.go:{}", line_of("probed", "return id * 10")) });
        match (n, jump) {
            ("1.27", Ok(_)) => assert!(d.wait_stop().is_some()),
            ("1.27", other) => panic!("{n}: {other:?}"),
            (_, other) => assert!(other.is_err_and(|f| f.message.contains("since 1.27.2")), "{n}"),
        }
        // Deferred calls, and a panic with its message.
        drop((server, d));
        let (_server, mut d) = launch(&r, "panics", &["error"]);
        d.break_at(&format!("main.go:{}", line_of("panics", "m[\"x\"] = 1")));
        d.resume(ResumeKind::Continue).expect("a stop");
        let Ok(Reply::Stack { stack, .. }) = d.call(Request::Stack { goroutine: None, depth: 5, defers: true }) else {
            panic!("{n}: no stack")
        };
        let defers: Vec<&str> = stack.frames.iter().flat_map(|f| &f.defers).map(|d| d.function.as_str()).collect();
        assert_eq!(defers, ["main.safe.func1"], "{n}");
        let stop = d.resume(ResumeKind::Continue).expect("a stop");
        match stop.reason {
            StopReason::UnrecoveredPanic(m) => assert!(m.contains("it broke: 42"), "{n}: {m}"),
            other => panic!("{n}: {other:?}"),
        }
        let (_server, mut d) = launch(&r, "panics", &["fatal"]);
        match d.resume(ResumeKind::Continue).map(|s| s.reason) {
            Some(StopReason::FatalError(m)) => {
                assert!(m.contains("unlock of unlocked mutex") || m.contains("output"), "{n}: {m}")
            }
            other => panic!("{n}: {other:?}"),
        }
    }
}

#[test]
fn over_a_unix_socket_and_with_the_programs_file_elsewhere() {
    // Delve 1.21 takes no sockets.
    for r in releases().into_iter().filter(|r| r.name != "1.21") {
        let n = r.name;
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("dlv.sock");
        let exe = build_with("shop", DEBUG, r.go);
        let listen = format!("unix:{}", socket.display());
        let words = ["exec", exe.to_str().unwrap(), "--accept-multiclient"];
        let server = Server::start_at(&r.dlv, &words, &listen);
        let open = |rules: Vec<(String, String)>| {
            let spec = DelveSpec { address: listen.clone(), exe: Some(exe.clone()), rules };
            Debuggee::open(TargetSpec::Delve(spec)).unwrap_or_else(|e| panic!("{n}: {e}: {}", server.said()))
        };
        let source = source_dir("shop").join("main.go");
        let mut d = open(vec![(source_dir("shop").display().to_string(), "/elsewhere/shop".into())]);
        // A place as the user has it, and as the program has it.
        let line = line_of("shop", "sum := 0");
        let b = d.break_at(&format!("/elsewhere/shop/main.go:{line}"));
        assert_eq!(b.at[0].file, source.display().to_string(), "{n}");
        d.break_at(&format!("{}:{}", source.display(), line + 1));
        d.resume(ResumeKind::Continue).expect("a stop");
        let Ok(Reply::CodeLines { lines, .. }) = d.call(Request::CodeLines { file: source.display().to_string() })
        else {
            panic!("{n}: lines with code")
        };
        assert!(lines.contains(&line), "{n}: {lines:?}");
        assert!(Path::new(&d.target.exe).ends_with(exe.file_name().unwrap()), "{n}: {}", d.target.exe);
        assert!(d.target.notes.iter().any(|t| t.contains("file's permissions")), "{n}: {:?}", d.target.notes);
    }
}
