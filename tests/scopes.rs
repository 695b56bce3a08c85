//! What a client may not do, it cannot: every request against every scope, at a real host; and the record of what was done.
#![allow(clippy::unwrap_used)]

mod common;

use adit::backend::audit;
use adit::backend::client::Client;
use adit::backend::protocol::*;
use adit::backend::scopes::{Scope, Scopes, needs};
use adit::base::{BreakpointId, LoadAddr};
use adit::model::*;
use common::heart::Heart;
use common::listening::{Listening, client};
use common::*;
use std::io::BufReader;
use std::path::Path;
use std::process::Command;

fn connect(path: &Path) -> Client {
    client(path).expect("a line").0
}

/// One of each kind, and of each kind that needs something else.
fn every_request() -> Vec<Request> {
    let frame = FrameRef::default();
    let limits = LoadLimits::default();
    let filter = GoroutineFilter::default();
    let list = |defers| GoroutineQuery { filter: filter.clone(), start: 0, count: 5, stack: 0, defers, names: false };
    let groups = || GroupQuery { filter: filter.clone(), by: GroupBy::User, start: 0, count: 5 };
    let log = |log: &str| {
        let mut s = BreakpointSpec::at("main.never");
        (s.actions.run_on, s.actions.log) = (true, log.into());
        s
    };
    let watch = |run_on| {
        let mut s = BreakpointSpec::watch("main.sink", Access::Write);
        s.actions.run_on = run_on;
        s
    };
    let dump = std::env::temp_dir().join("adit-never-written.snap");
    let trigger = |action| TriggerSpec { condition: "goroutines > 1000000".into(), action };
    vec![
        Request::Goroutines(list(false)),
        Request::Groups(groups()),
        Request::GroupMembers { query: groups(), key: 1, start: 0, count: 1 },
        Request::GoroutinesById { ids: Vec::new() },
        Request::Refresh,
        Request::Stack { goroutine: Some(adit::base::GoroutineId(1)), depth: 5, defers: false },
        Request::Scope { frame, limits },
        Request::Children { handle: 1, start: 0, count: 1, limits },
        Request::Eval { frame, expression: "main.sink".into(), limits },
        Request::Set { frame, expression: "main.sink".into(), value: "1".into() },
        Request::Call { frame, expression: "main.never(1)".into(), limits },
        Request::Memory { addr: LoadAddr(0xc000000000), len: 16 },
        Request::SetMemory { addr: LoadAddr(1), bytes: vec![0] },
        Request::SetRegister { frame, name: "rax".into(), value: "1".into() },
        Request::Jump { goroutine: None, to: "+1".into() },
        Request::Values { of: ValuesOf::Expression { frame, expression: "main.sink".into() }, limits },
        Request::Code { addr: LoadAddr(0x401000), before: 0, count: 1 },
        Request::GoroutineNames(filter.clone()),
        Request::PackageVariables { filter: "^main\\.".into(), limits },
        Request::Source { file: "/nowhere.go".into() },
        Request::CodeLines { file: "/nowhere.go".into() },
        Request::Disassemble { frame },
        Request::Symbols { kind: SymbolKind::Functions, filter: "main.".into(), count: 3 },
        Request::SetBreakpoint { spec: BreakpointSpec::at("main.never"), frame },
        Request::SetBreakpoint { spec: log(""), frame },
        Request::SetBreakpoint { spec: log("i is {i}"), frame },
        Request::SetBreakpoint { spec: watch(true), frame },
        Request::SetBreakpoint { spec: watch(false), frame },
        Request::EditBreakpoint { id: BreakpointId(99), spec: BreakpointSpec::at("main.never") },
        Request::Diagnose(DiagnoseQuery { no_heap: true, ..DiagnoseQuery::default() }),
        Request::Waits(WaitQuery { no_heap: true, limit: 5, ..WaitQuery::default() }),
        Request::Refs { object: "main.sink".into(), frame, count: 1 },
        Request::Heap { by: HeapBy::Type, count: 1 },
        Request::Timeline(TimelineQuery::default()),
        Request::TimelineSummary,
        Request::TraceReport(TraceReportKind::ALL[0].1),
        Request::TraceReportOf { kind: TraceReportKind::ALL[0].1, of: TraceFilter::task("1") },
        Request::TraceOver { file: "/nowhere.trace".into() },
        Request::FindMark(MarkQuery::default()),
        Request::Spans { lane: LaneKind::Proc(0), from_ns: 0, to_ns: 1, count: 1, source: None },
        Request::Record { seconds: 100_000 },
        Request::TimelineCode { on: false },
        Request::Profile(ProfileQuery::default()),
        Request::ProfileBase { base: Vec::new() },
        Request::ProfileSources,
        Request::ProfileFetch { url: "nonsense://".into() },
        Request::SetTrigger(trigger(TriggerAction::Stop)),
        Request::SetTrigger(trigger(TriggerAction::Snapshot(dump.clone()))),
        Request::ClearTrigger { condition: String::new() },
        Request::Snapshot { file: None },
        Request::Snapshot { file: Some("/proc/never".into()) },
        Request::ClearBreakpoint(BreakpointId(99)),
        Request::Breakpoints,
        Request::Threads,
        Request::Registers(frame),
        Request::Resume { kind: ResumeKind::Continue, goroutine: None },
        Request::Resume { kind: ResumeKind::Next, goroutine: None },
        Request::Pause,
        Request::Hold { on: false, reason: String::new() },
        Request::CancelStep,
        Request::Restart { rebuild: false, args: None },
        Request::Redirect(Box::default()),
        Request::Input(b"x".to_vec()),
        Request::ResizePty { cols: 80, rows: 24 },
        Request::Reveal { reason: "a test".into() },
        Request::Detach { kill: true },
    ]
}

#[test]
fn every_request_against_every_scope() {
    let exe = build("heartbeat", DEFAULT);
    let heart = Heart::start(&exe);
    let mut table = String::new();
    let (mut refused, mut asked) = (0, 0);
    let mut sets: Vec<(&str, Scopes)> = vec![("", Scopes::NONE)];
    sets.extend(Scope::ALL.iter().map(|(n, s)| (*n, Scopes::NONE.and(*s))));
    sets.extend(["observer", "diagnose", "debug", "full"].map(|n| (n, Scopes::parse(n).expect("a preset"))));
    for (name, scopes) in sets {
        // Opening is looked at below; here it is permitted, so that there is something to be refused.
        let granted = scopes.and(Scope::ReadMeta);
        let host = Listening::start(heart.pid(), "dev", &["--scopes", &granted.text()]);
        let mut c = connect(&host.path);
        c.call(Request::Hello { version: PROTOCOL_VERSION }).expect("hello");
        c.call(Request::Open(TargetSpec::Here)).expect("opened");
        for r in every_request() {
            let may = needs(&r).iter().all(|s| granted.has(*s));
            let what = format!("{name}: {r:?}");
            let got = c.call(r);
            let denied = got.as_ref().is_err_and(|f| f.message.contains("needs the scope"));
            assert_eq!(denied, !may, "{what}: {got:?}");
            asked += 1;
            refused += usize::from(denied);
            table.push(if denied { '.' } else { 'x' });
        }
        table += &format!(" {name}\n");
        drop(c);
        drop(host);
        assert!(heart.released() && heart.beats_on(3), "{name}");
    }
    println!("{table}{asked} asked, {refused} refused");
    assert!(heart.is_put_back());
}

#[test]
fn nothing_is_opened_without_a_scope_and_no_other_process() {
    let exe = build("heartbeat", DEFAULT);
    let (heart, other) = (Heart::start(&exe), Heart::start(&exe));
    let host = Listening::start(heart.pid(), "dev", &["--scopes", "read:goroutines"]);
    let mut c = connect(&host.path);
    let f = c.call(Request::Open(TargetSpec::Here)).expect_err("refused");
    assert!(f.kind == FailureKind::Permission && f.message.contains("read:meta"), "{f}");
    drop(host);
    let host = Listening::start(heart.pid(), "dev", &["--scopes", "observer"]);
    let mut c = connect(&host.path);
    for spec in [
        TargetSpec::Attach { pid: other.pid(), exe: None, control: false },
        TargetSpec::File { path: "/etc/passwd".into(), exe: None },
        TargetSpec::Attach { pid: heart.pid(), exe: None, control: true },
    ] {
        let f = c.call(Request::Open(spec)).expect_err("refused");
        assert_eq!(f.kind, FailureKind::Permission, "{f}");
    }
    match c.call(Request::Open(TargetSpec::Here)) {
        Ok(Reply::Opened { caps, .. }) => assert!(!caps.control, "it is only looked at"),
        other => panic!("{other:?}"),
    }
    assert_eq!(heart.tracer(), 0);
    let out =
        Command::new(env!("CARGO_BIN_EXE_adit")).args(["host", "--stdio", "--scopes", "all"]).output().expect("adit");
    assert!(String::from_utf8_lossy(&out.stderr).contains("no such scope: all"), "{out:?}");
}

#[test]
fn what_was_done_is_on_record() {
    let exe = build("heartbeat", DEBUG);
    let heart = Heart::start(&exe);
    let dir = tempfile::tempdir().expect("a folder");
    let log = dir.path().join("audit.log");
    let file = log.display().to_string();
    {
        let host = Listening::start(heart.pid(), "dev", &["--audit", &file, "--scopes", "debug"]);
        let mut d = Debuggee::over(connect(&host.path), TargetSpec::Here).expect("opened");
        d.break_at("main.hot");
        d.wait_stop().expect("a stop");
        let frame = FrameRef::default();
        d.call(Request::Set { frame, expression: "main.sink".into(), value: "41424344".into() }).expect("set");
        d.call(Request::Detach { kill: true }).expect_err("refused");
        d.call(Request::Detach { kill: false }).expect("detached");
    }
    let text = std::fs::read_to_string(&log).expect("a log");
    for word in [
        "\"open\"",
        "\"breakpoint\"",
        "main.hot",
        "\"stood\"",
        "pause_us",
        "\"set\"",
        "\"granted\":false",
        "\"detach\"",
    ] {
        assert!(text.contains(word), "{word} in {text}");
    }
    assert!(!text.contains("41424344"), "no values: {text}");
    let lines = audit::verify(BufReader::new(text.as_bytes())).expect("unbroken").lines;
    let verify = |json: &[&str]| {
        let out = Command::new(env!("CARGO_BIN_EXE_adit"))
            .args(["audit", "verify", &file])
            .args(json)
            .output()
            .expect("adit");
        (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned())
    };
    let (code, said) = verify(&[]);
    assert!(code == Some(0) && said.contains(&format!("{lines} lines, unbroken")), "{said}");
    std::fs::write(&log, text.replace("main.hot", "main.not")).expect("written");
    let (code, said) = verify(&["--json"]);
    assert!(code == Some(1) && said.contains("\"ok\":false") && said.contains("chain is broken"), "{said}");
    // A record that cannot be written: nothing is done.
    let other = dir.path().join("never").display().to_string();
    let host =
        Listening::start_by("trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\"", heart.pid(), "dev", &["--audit", &other]);
    let f = connect(&host.path).call(Request::Open(TargetSpec::Here)).expect_err("refused");
    assert!(f.message.contains("nothing is done without it"), "{f}");
    drop(host);
    let flags = ["--audit", &other, "--audit-policy", "open", "--scopes", "observer"];
    let host = Listening::start_by("trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\"", heart.pid(), "dev", &flags);
    connect(&host.path).call(Request::Open(TargetSpec::Here)).expect("opened all the same");
    assert!(heart.beats_on(3));
}
