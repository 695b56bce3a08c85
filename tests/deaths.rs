//! Stops before death, with the message; conditions and hit counts; restart.

mod common;

use adit::backend::protocol::*;
use adit::model::*;
use common::*;

fn dies(with: &str) -> StopReason {
    let mut d = Debuggee::launch(&build("panics", DEBUG), &[with]);
    d.resume(ResumeKind::Continue).unwrap_or_else(|| panic!("{with}: no stop, {}", d.output)).reason
}

#[test]
fn unrecovered_panics_say_their_message() {
    for (with, message) in [("error", "it broke: 42"), ("string", "plain words"), ("nil", "nil pointer dereference")] {
        match dies(with) {
            StopReason::UnrecoveredPanic(m) => assert!(m.contains(message), "{with}: {m}"),
            other => panic!("{with}: {other:?}"),
        }
    }
}

#[test]
fn fatal_errors_say_their_message() {
    for (with, message) in [("fatal", "unlock of unlocked mutex"), ("deadlock", "all goroutines are asleep")] {
        match dies(with) {
            StopReason::FatalError(m) => assert!(m.contains(message), "{with}: {m}"),
            other => panic!("{with}: {other:?}"),
        }
    }
}

fn eval(d: &mut Debuggee, e: &str) -> String {
    match d.call(Request::Eval { frame: FrameRef::default(), expression: e.into(), limits: LoadLimits::default() }) {
        Ok(Reply::Value { value, .. }) => value.value,
        other => panic!("{e}: {other:?}"),
    }
}

#[test]
fn conditions_and_hit_counts() {
    let mut d = Debuggee::launch(&build("steps", DEBUG), &[]);
    let spec = BreakpointSpec { condition: "b == 2".into(), ..BreakpointSpec::at("main.add") };
    d.call(Request::SetBreakpoint { spec, frame: FrameRef::default() }).expect("set");
    d.resume(ResumeKind::Continue).expect("a stop");
    assert_eq!((eval(&mut d, "b"), eval(&mut d, "a+b")), ("2".into(), "3".into()));
    assert_eq!(d.resume(ResumeKind::Continue), None);

    let mut d = Debuggee::launch(&build("steps", DEBUG), &[]);
    let spec = BreakpointSpec { hits: HitCondition::parse("% 3"), ..BreakpointSpec::at("main.fact") };
    let bad = BreakpointSpec { condition: "b ==".into(), ..BreakpointSpec::at("main.apply") };
    assert!(d.call(Request::SetBreakpoint { spec: bad, frame: FrameRef::default() }).is_err());
    d.call(Request::SetBreakpoint { spec, frame: FrameRef::default() }).expect("set");
    d.resume(ResumeKind::Continue).expect("a stop");
    assert_eq!(eval(&mut d, "n"), "2");
    // A condition that does not evaluate stops, and says so.
    let spec = BreakpointSpec { condition: "nosuch > 1".into(), ..BreakpointSpec::at("main.fact:1") };
    d.call(Request::SetBreakpoint { spec, frame: FrameRef::default() }).expect("set");
    match d.resume(ResumeKind::Continue).map(|s| s.reason) {
        Some(StopReason::ConditionFailed(_, why)) => assert!(why.contains("nosuch"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn sets_variables_and_sees_the_effect() {
    let mut d = Debuggee::launch(&build("steps", DEBUG), &[]);
    let b = d.break_at(&format!("main.go:{}", line_of("steps", "total = add")));
    d.resume(ResumeKind::Continue);
    let set = |d: &mut Debuggee, e: &str, v: &str| {
        d.call(Request::Set { frame: FrameRef::default(), expression: e.into(), value: v.into() })
    };
    set(&mut d, "total", "50 * 2").expect("set");
    assert_eq!(eval(&mut d, "total"), "100");
    assert!(set(&mut d, "total", "\"x\"").is_err());
    d.call(Request::ClearBreakpoint(b.id)).expect("cleared");
    assert_eq!(d.resume(ResumeKind::Continue), None);
    assert!(d.output.contains("103 {4 6} 50 24"), "{}", d.output);
}

#[test]
fn restarts_with_its_breakpoints() {
    let mut d = Debuggee::launch(&build("steps", DEBUG), &[]);
    let first = d.target.pid;
    d.break_at("main.fact");
    d.resume(ResumeKind::Continue);
    match d.call(Request::Restart { rebuild: false, args: None }) {
        Ok(Reply::Opened { target, stop, .. }) => {
            assert_ne!(target.pid, first);
            assert_eq!(stop.map(|s| s.reason), Some(StopReason::Launched));
        }
        other => panic!("{other:?}"),
    }
    d.resume(ResumeKind::Continue);
    assert!(d.at().starts_with("main.fact:"), "{}", d.at());
}

#[test]
fn breaks_by_every_kind_of_location() {
    let mut d = Debuggee::launch(&build("steps", DEBUG), &[]);
    let line = line_of("steps", "sum := a + b");
    let pc = d.break_at("main.add").at[0].pc;
    let list = match d.call(Request::SetBreakpoint {
        spec: BreakpointSpec::at("/^main\\.(fact|apply)$/"),
        frame: FrameRef::default(),
    }) {
        Ok(Reply::Breakpoints(b)) => b,
        other => panic!("{other:?}"),
    };
    assert_eq!(list.len(), 2);
    for (spec, function) in [
        (format!("main.go:{line}"), "main.add"),
        (format!("{}", line + 1), "main.add"),
        ("main.(*point).move".into(), "main.(*point).move"),
        ("point.move:2".into(), "main.(*point).move"),
        (format!("*{:#x}", pc.0 + 4), "main.add"),
    ] {
        let b = d.call(Request::SetBreakpoint { spec: BreakpointSpec::at(&spec), frame: FrameRef::default() });
        match b {
            Ok(Reply::Breakpoint(b)) => assert_eq!(b.at[0].function, function, "{spec}"),
            other => panic!("{spec}: {other:?}"),
        }
    }
    for bad in ["nosuch", "main.go:2", "other.go:1", "*0x1", "/[/"] {
        let e = d
            .call(Request::SetBreakpoint { spec: BreakpointSpec::at(bad), frame: FrameRef::default() })
            .expect_err(bad);
        assert!(!e.message.is_empty() && !e.message.contains('\n'), "{bad}: {e:?}");
    }
}

/// Killed by somebody else just as the debugger lets go: its threads are reaped, whichever of them is reported last, and no host hangs.
#[test]
fn a_target_that_is_killed_while_it_is_let_go() {
    for _ in 0..10 {
        let heart = common::heart::Heart::start(&build("heartbeat", DEFAULT));
        let pid = heart.pid();
        let mut d = Debuggee::attach(pid);
        d.call(Request::Pause).expect("paused");
        d.wait_stop();
        drop(d); // the host now lets go, while
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL).expect("killed");
        let deadline = std::time::Instant::now() + PATIENCE;
        while adit::target::linux::procfs::tracer_of(pid) != 0 {
            assert!(std::time::Instant::now() < deadline, "the host still holds the threads of {pid}");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        drop(heart); // waits for its process
    }
}
