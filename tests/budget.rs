//! How long a process that we came to may be made to stand, and what happens when time is up. `ADIT_CLUMSY` says how many sessions the
//! clumsy user has (default 12; `make clumsy`: 1,000).

mod common;

use adit::backend::protocol::*;
use adit::base::StopEpoch;
use adit::model::*;
use common::dice::Dice;
use common::heart::Heart;
use common::*;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// Longest stop that nobody holds, and all of a minute (profile `prod`).
const HARD: Duration = Duration::from_millis(500);
const MINUTE: Duration = Duration::from_millis(250);

fn attach(pid: i32, profile: &str) -> Debuggee {
    Debuggee::open_in(TargetSpec::Attach { pid, exe: None, control: true }, profile).unwrap_or_else(|e| panic!("{e}"))
}

fn heart() -> Heart {
    Heart::start(&build("heartbeat", DEBUG))
}

fn refused(r: Result<Reply, Failure>) -> String {
    match r {
        Err(f) => format!("{}; {}", f.message, f.fix.unwrap_or_default()),
        Ok(r) => panic!("{r:?}"),
    }
}

fn value(d: &mut Debuggee, expression: &str) -> (StopEpoch, String) {
    let limits = LoadLimits::default();
    match d.call(Request::Eval { frame: FrameRef::default(), expression: expression.into(), limits }) {
        Ok(Reply::Value { epoch, value }) => (epoch, value.value),
        other => panic!("{expression}: {other:?}"),
    }
}

#[test]
fn a_stop_in_production_is_a_copy() {
    let heart = heart();
    let mut d = attach(heart.pid(), "prod");
    heart.reset();
    let b = d.break_at("main.hot");
    let stop = d.wait_stop().expect("a stop");
    assert!(stop.copied && stop.reason == StopReason::Breakpoint(b.id), "{stop:?}");
    assert!(heart.beats_on(20), "the program runs on");
    // What is seen is that moment, as often as one asks.
    let (epoch, first) = value(&mut d, "i");
    assert_eq!(epoch, stop.epoch);
    for _ in 0..5 {
        assert!(heart.beats_on(5));
        assert_eq!(value(&mut d, "i"), (epoch, first.clone()));
    }
    assert!(d.stop.as_ref() == Some(&stop), "its further hits stop nobody while somebody looks");
    match d.call(Request::Stack { goroutine: stop.goroutine, depth: 10, defers: false }) {
        Ok(Reply::Stack { stack, .. }) => assert_eq!(stack.frames[0].at.short_function(), "main.hot"),
        other => panic!("{other:?}"),
    }
    let why = refused(d.call(Request::Resume { kind: ResumeKind::Next, goroutine: None }));
    assert!(why.contains("runs on") && why.contains("hold"), "{why}");
    for r in [
        Request::Set { frame: FrameRef::default(), expression: "main.sink".into(), value: "1".into() },
        Request::Call { frame: FrameRef::default(), expression: "main.never(1)".into(), limits: LoadLimits::default() },
        Request::SetMemory { addr: adit::base::LoadAddr(0xc000000000), bytes: vec![0] },
        Request::SetRegister { frame: FrameRef::default(), name: "rax".into(), value: "1".into() },
        Request::Jump { goroutine: None, to: "+1".into() },
    ] {
        let why = refused(d.call(r));
        assert!(why.contains("nothing of the process may be changed"), "{why}");
    }
    assert!(refused(d.call(Request::Detach { kill: true })).contains("only what it launched"));
    // On, and the next.
    let again = d.resume(ResumeKind::Continue).expect("a stop");
    assert!(again.copied && again.epoch > stop.epoch);
    assert_ne!(value(&mut d, "i").1, first);
    while d.notice_within(Duration::from_millis(300)) {}
    let b = d.budget.clone().expect("an account");
    assert_eq!((b.profile.as_str(), b.stops), ("prod", 2), "{b:?}");
    assert!(b.longest_us < 250_000, "{b:?}");
    assert!(heart.longest_gap() < HARD, "{:?}", heart.longest_gap());
    drop(d);
    assert!(heart.released() && heart.beats_on(5) && heart.changed_bytes() == 0);
}

#[test]
fn a_minutes_time_is_not_exceeded() {
    let heart = heart();
    let mut d = attach(heart.pid(), "prod");
    d.break_at("main.hot");
    let late = heart.late();
    let begun = Instant::now();
    let mut stops = 0;
    while begun.elapsed() < Duration::from_secs(20) && d.logs.is_empty() {
        d.stop = None;
        d.call(Request::Resume { kind: ResumeKind::Continue, goroutine: None }).ok();
        d.patience = Duration::from_secs(2);
        while d.stop.is_none() && d.logs.is_empty() {
            match d.notice_within(Duration::from_millis(500)) {
                true => {}
                false => break,
            }
        }
        stops += usize::from(d.stop.is_some());
    }
    let said = d.logs.join("; ");
    assert!(stops > 2 && said.contains("may not be stopped again this minute"), "{stops} stops; {said}");
    let why = refused(d.call(Request::Pause));
    assert!(why.contains("250 ms") && why.contains("there is time again"), "{why}");
    assert!(refused(d.call(Request::Snapshot { file: None })).contains("are spent"));
    // Nor for a condition on the run.
    let file = tempfile::tempdir().expect("a folder").path().join("copy");
    let action = TriggerAction::Snapshot(file.clone());
    d.logs.clear();
    d.call(Request::SetTrigger(TriggerSpec { condition: "goroutines > 0".into(), action })).expect("set");
    while !d.logs.iter().any(|l| l.starts_with("goroutines > 0")) {
        assert!(d.notice_within(PATIENCE), "it does not fire: {:?}", d.logs);
    }
    assert!(d.logs.iter().any(|l| l.contains("goroutines > 0") && l.contains("are spent")), "{:?}", d.logs);
    assert!(!file.exists());
    assert!(heart.beats_on(50), "it runs");
    let b = d.budget.clone().expect("an account");
    assert!(b.total_us < 250_000, "{b:?}");
    // As the program saw it; whoever else used the processors is in it.
    assert!(heart.late() - late < MINUTE * 3, "{:?}", heart.late() - late);
    // A hold is another matter.
    d.call(Request::Hold { on: true, reason: String::new() }).expect("held");
    assert!(d.wait_stop().is_some_and(|s| !s.copied));
}

#[test]
fn a_hold_is_for_stepping_and_ends() {
    let heart = heart();
    let mut d = attach(heart.pid(), "prod");
    d.call(Request::Hold { on: true, reason: String::new() }).expect("held");
    let stop = d.wait_stop().expect("a stop");
    assert!(!stop.copied && heart.stands(), "it stands");
    let b = d.break_at("main.hot");
    let stop = d.resume(ResumeKind::Continue).expect("a stop");
    assert!(!stop.copied && stop.reason == StopReason::Breakpoint(b.id));
    d.call(Request::ClearBreakpoint(b.id)).expect("cleared");
    for _ in 0..2 {
        let stop = d.resume(ResumeKind::Next).expect("a stop");
        assert!(!stop.copied, "{stop:?}");
    }
    d.break_at("main.hot");
    let left = d.budget.as_ref().and_then(|b| b.hold_left_ms).expect("held");
    assert!(left > 20_000 && left <= 30_000, "{left}");
    assert!(refused(d.call(Request::Hold { on: true, reason: String::new() })).contains("with a reason"));
    d.call(Request::Hold { on: true, reason: "ticket 17".into() }).expect("longer");
    // Nobody presses a key: it is let go, with a word.
    let begun = Instant::now();
    while !d.logs.iter().any(|l| l.contains("no key was pressed")) {
        assert!(begun.elapsed() < Duration::from_secs(14), "{:?}", d.logs);
        d.notice_within(Duration::from_millis(200));
    }
    assert!(begun.elapsed() > Duration::from_secs(8));
    // The breakpoint is there still, and makes copies again.
    d.stop = None;
    let stop = d.wait_stop().expect("a stop");
    assert!(stop.copied && heart.beats_on(20));
    d.call(Request::Hold { on: false, reason: String::new() }).expect("released");
    drop(d);
    assert!(heart.released() && heart.beats_on(5) && heart.changed_bytes() == 0);
}

#[test]
fn in_staging_a_stop_lasts_two_seconds_at_most() {
    let heart = heart();
    let mut d = attach(heart.pid(), "staging");
    heart.reset();
    d.break_at("main.hot");
    let stop = d.wait_stop().expect("a stop");
    assert!(!stop.copied);
    // There is time for a step.
    let stop = d.resume(ResumeKind::Next).expect("a stop");
    assert!(!stop.copied);
    d.stop = None;
    let stop = d.wait_stop().expect("the copy");
    assert!(stop.copied && heart.beats_on(20));
    assert!(heart.longest_gap() < Duration::from_secs(2), "{:?}", heart.longest_gap());
    assert!(value(&mut d, "i").1.parse::<u64>().is_ok());
}

#[test]
fn what_adit_launched_has_no_budget() {
    let dir = tempfile::tempdir().expect("a folder");
    let exe = build("heartbeat", DEBUG);
    let args = vec![dir.path().join("beat").display().to_string(), "20".into()];
    let spec = LaunchSpec { exe, args, size: (80, 24), ..LaunchSpec::default() };
    let mut d = Debuggee::open_in(TargetSpec::Launch(spec), "prod").expect("launched");
    d.break_at("main.hot");
    let stop = d.resume(ResumeKind::Continue).expect("a stop");
    std::thread::sleep(Duration::from_millis(700));
    assert!(!stop.copied && d.resume(ResumeKind::Next).is_some_and(|s| !s.copied));
}

/// Does whatever comes to mind.
fn blunder(d: &mut Debuggee, dice: &mut Dice, ids: &mut Vec<adit::base::BreakpointId>) {
    let frame = FrameRef::default();
    let limits = LoadLimits::default();
    let places = ["main.hot", "main.never", "main.main", "time.Sleep", "runtime.mallocgc", "nowhere", "main.go:1"];
    let request = match dice.below(19) {
        0..3 => Request::SetBreakpoint {
            spec: BreakpointSpec {
                condition: ["", "i > 3", "i == -1", "nonsense("][dice.below(4)].into(),
                ..BreakpointSpec::at(places[dice.below(7)])
            },
            frame,
        },
        3 => Request::SetBreakpoint { spec: BreakpointSpec::watch("main.beat", Access::Write), frame },
        4 => match ids.pop() {
            Some(id) => Request::ClearBreakpoint(id),
            None => Request::Breakpoints,
        },
        5..8 => Request::Pause,
        8..11 => Request::Resume { kind: ResumeKind::Continue, goroutine: None },
        11 => Request::Resume { kind: ResumeKind::Next, goroutine: None },
        12 => Request::Resume { kind: ResumeKind::StepOut, goroutine: None },
        13 => Request::Snapshot { file: None },
        14 => Request::Eval { frame, expression: "main.sink".into(), limits },
        15 => Request::Set { frame, expression: "main.sink".into(), value: "7".into() },
        16 => Request::Restart { rebuild: false, args: None },
        17 => Request::Detach { kill: true },
        _ => Request::Call { frame, expression: "main.slow(300)".into(), limits },
    };
    if let Ok(Reply::Breakpoint(b)) = d.call(request) {
        ids.push(b.id);
    }
}

#[test]
fn a_clumsy_user() {
    let sessions: u64 = std::env::var("ADIT_CLUMSY").ok().and_then(|s| s.parse().ok()).unwrap_or(12);
    let seed = std::env::var("ADIT_CLUMSY_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0x00c0_ffee);
    let mut dice = Dice(seed);
    let (mut worst, mut most, mut worst_seen) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let mut stops = 0;
    let mut heart = heart();
    for session in 0..sessions {
        if session % 20 == 19 {
            heart = self::heart(); // it ends by itself after two minutes
        }
        heart.reset();
        let mut d = attach(heart.pid(), "prod");
        let host = Pid::from_raw(heart.tracer());
        let mut ids = Vec::new();
        for _ in 0..5 + dice.below(30) {
            blunder(&mut d, &mut dice, &mut ids);
            if dice.below(3) == 0 {
                std::thread::sleep(Duration::from_millis(dice.below(120) as u64));
            }
        }
        while d.notice_within(Duration::from_millis(1)) {}
        let b = d.budget.clone().unwrap_or_default();
        let seen = heart.longest_gap();
        (worst, most) = (worst.max(Duration::from_micros(b.longest_us)), most.max(Duration::from_micros(b.total_us)));
        worst_seen = worst_seen.max(seen);
        stops += b.stops;
        let what = format!("session {session} of seed {seed}: {b:?}, seen {seen:?}");
        assert!(Duration::from_micros(b.longest_us) <= MINUTE, "{what}");
        assert!(Duration::from_micros(b.total_us) <= MINUTE, "{what}");
        assert!(seen <= HARD, "{what}");
        match dice.below(3) {
            0 => drop(d.call(Request::Detach { kill: false })),
            1 => kill(host, Signal::SIGTERM).expect("a host"),
            _ => {}
        }
        drop(d);
        assert!(heart.released() && heart.beats_on(3), "{what}: the target lives");
        assert_eq!(heart.changed_bytes(), 0, "{what}");
    }
    println!("{sessions} sessions, {stops} stops: longest {worst:?} (seen {worst_seen:?}), most in a session {most:?}");
    assert!(stops > sessions, "it was stopped {stops} times");
}
