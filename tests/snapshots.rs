//! Copies of living processes: what they cost, what they show, and that the process is never harmed by one.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod common;
mod goprog;

use adit::backend::protocol::*;
use adit::model::{ReadMode, TargetKind};
use adit::target::linux::procfs;
use common::heart::Heart;
use common::oneshot::{adit, arg, check_parked, error, json, of};
use common::{DEFAULT, Debuggee, PATIENCE};
use goprog::{DEBUG, build, live::start};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const STRIPPED_PIE: &[&str] = &["-buildmode=pie", "-ldflags=-s -w"];

fn pid_of(p: &goprog::live::Live) -> String {
    p.child.as_ref().unwrap().id().to_string()
}

#[test]
fn a_file_opens_without_process_and_program() {
    for (tool, flags) in [("", DEBUG), ("", STRIPPED_PIE), ("go1.21.13", DEFAULT), ("go1.27.3", STRIPPED_PIE)] {
        let what = format!("{tool} {flags:?}");
        let dir = tempfile::tempdir().unwrap();
        // A program that is gone afterwards.
        let exe = dir.path().join("program");
        fs::copy(build("parked", tool, flags), &exe).unwrap();
        let p = start(&exe, &[], &[("SPIN", "1")]);
        let file = dir.path().join("copy.adit");
        let s = json(&["snapshot", &pid_of(&p), "-o", arg(&file)]);
        assert!(s["pause_us"].as_u64().unwrap() > 0 && s["bytes"].as_u64().unwrap() > 1 << 18, "{s}");
        assert_eq!(fs::metadata(&file).unwrap().len(), s["file_bytes"].as_u64().unwrap());
        drop(p);
        fs::remove_file(&exe).unwrap();
        let v = json(&["goroutines", arg(&file), "--all", "--stack", "60"]);
        assert_eq!((&v["target"]["kind"], &v["read"]["mode"]), (&"snapshot".into(), &"offline".into()));
        assert_eq!(v["read"]["pause_us"], s["pause_us"]);
        assert!(v["read"]["taken_at"].as_u64().unwrap() > 1_700_000_000);
        check_parked(&what, &v, true);
        // Packed again it is the same.
        let again = dir.path().join("again.adit");
        json(&["snapshot", arg(&file), "-o", arg(&again)]);
        let w = json(&["goroutines", arg(&again), "--all", "--stack", "60"]);
        assert_eq!((&w["goroutines"], &w["read"]["taken_at"]), (&v["goroutines"], &v["read"]["taken_at"]), "{what}");
    }
}

#[test]
fn other_debuggers_open_the_file() {
    let dir = tempfile::tempdir().unwrap();
    for flags in [DEBUG, &["-buildmode=pie", "-gcflags=all=-N -l"]] {
        let exe = build("parked", "", flags);
        let p = start(&exe, &[], &[]);
        let file = dir.path().join(format!("copy{}", flags.len()));
        json(&["snapshot", &pid_of(&p), "-o", arg(&file)]);
        drop(p);
        match Command::new("gdb")
            .args(["-batch", "-nx", "-ex", "info threads", "-ex", "info files"])
            .args(["-ex", "thread apply all bt 1", arg(&exe), arg(&file)])
            .output()
        {
            Ok(o) => {
                let text = String::from_utf8_lossy(&o.stdout);
                assert!(text.contains("LWP") && text.contains("runtime."), "{text}");
            }
            Err(_) => eprintln!("skipped: no gdb here"),
        }
        let Some(dlv) = common::dlv::dlv() else {
            eprintln!("skipped: no dlv here");
            continue;
        };
        let commands = dir.path().join("commands");
        fs::write(&commands, "goroutines\nexit\n").unwrap();
        let o = Command::new(dlv)
            .args(["core", arg(&exe), arg(&file), "--allow-non-terminal-interactive=true", "--check-go-version=false"])
            .args(["--init", arg(&commands)])
            .env("XDG_CONFIG_HOME", dir.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&o.stdout);
        for f in ["main.receiver", "main.sender", "main.selecter", "main.deep"] {
            assert!(text.contains(f), "{f}: {text} {}", String::from_utf8_lossy(&o.stderr));
        }
    }
}

#[test]
fn consistent_lists_come_from_one_moment() {
    let p = start(&build("parked", "", DEBUG), &["2000"], &[("SPIN", "1")]);
    let v = json(&["goroutines", &pid_of(&p), "--consistent", "--all", "--stack", "60"]);
    assert_eq!((&v["read"]["mode"], &v["target"]["kind"]), (&"stopped".into(), &"process".into()));
    assert!(v["read"]["pause_us"].as_u64().unwrap() > 0);
    check_parked("consistent", &v, true);
    assert_eq!(procfs::tracer_of(p.child.as_ref().unwrap().id() as i32), 0);
}

#[test]
fn a_file_is_not_overwritten_unasked() {
    let p = start(&build("parked", "", DEBUG), &[], &[]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mine");
    fs::write(&file, "mine").unwrap();
    let (code, text) = error(&["snapshot", &pid_of(&p), "-o", arg(&file)]);
    assert!(code == 2 && text.contains("there already") && text.contains("--force"), "{code} {text}");
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    json(&["snapshot", &pid_of(&p), "-o", arg(&file), "--force"]);
    assert!(fs::metadata(&file).unwrap().len() > 1 << 20);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "memory holds secrets");
    let (code, text) = error(&["snapshot", &pid_of(&p), "-o", "/no/such/folder/x"]);
    assert!(code != 0 && text.contains("/no/such/folder/x"), "{text}");
    let (code, text) = error(&["snapshot", "999999999", "-o", arg(&dir.path().join("y"))]);
    assert!(code == 5 && text.contains("does not exist"), "{code} {text}");
}

#[test]
fn observed_then_copied_then_observed() {
    let p = start(&build("parked", "", DEBUG), &[], &[("SPIN", "1")]);
    let pid = p.child.as_ref().unwrap().id() as i32;
    let mut d = Debuggee::open(TargetSpec::Attach { pid, exe: None, control: false }).unwrap();
    let list = |d: &mut Debuggee| {
        let q =
            GoroutineQuery { filter: Default::default(), start: 0, count: 100, stack: 30, defers: false, names: false };
        match d.call(Request::Goroutines(q)) {
            Ok(Reply::Goroutines { epoch, read, rows, .. }) => (epoch, read, rows),
            other => panic!("{other:?}"),
        }
    };
    let (before, read, rows) = list(&mut d);
    assert_eq!(read.mode, ReadMode::Observed);
    let spin = rows.iter().find(|g| g.entry.as_ref().is_some_and(|e| e.function == "main.spin")).unwrap().id;
    let Ok(Reply::Snapshot { epoch, pause_us, bytes, file_bytes }) = d.call(Request::Snapshot { file: None }) else {
        panic!("no copy");
    };
    assert!(epoch > before && pause_us > 0 && bytes > 0 && file_bytes == 0);
    assert_eq!(procfs::tracer_of(pid), 0, "it was let go");
    let (at, read, _) = list(&mut d);
    assert_eq!((at, read.mode, read.pause_us), (epoch, ReadMode::Stopped, pause_us));
    assert!(read.taken_at > 0);
    // What ran has a stack and variables there; nothing can be changed.
    let Ok(Reply::Stack { stack, .. }) = d.call(Request::Stack { goroutine: Some(spin), depth: 20, defers: true })
    else {
        panic!("no stack");
    };
    assert!(stack.frames.iter().any(|f| f.at.function == "main.spin"), "{stack:?}");
    let eval = |e: &str| Request::Eval {
        frame: FrameRef { goroutine: Some(spin), frame: 0 },
        expression: e.into(),
        limits: LoadLimits::default(),
    };
    assert!(matches!(d.call(eval("main.never")), Ok(Reply::Value { value, .. }) if value.type_name == "chan int"));
    assert!(matches!(d.call(Request::Refresh), Ok(Reply::Done)));
    let (after, read, _) = list(&mut d);
    assert!(after > epoch && read.mode == ReadMode::Observed && read.taken_at == 0);
}

#[test]
fn copies_under_control() {
    let heart = Heart::start(&build("heartbeat", "", DEBUG));
    let mut d = Debuggee::attach(heart.pid());
    // While it runs, with a breakpoint set that is hit often: it is let run on.
    let copy = |d: &mut Debuggee| match d.call(Request::Snapshot { file: None }) {
        Ok(Reply::Snapshot { epoch, pause_us, .. }) => (epoch, pause_us),
        other => panic!("{other:?}"),
    };
    let mut spec = adit::model::BreakpointSpec::at("main.hot");
    spec.condition = "i == -5".into();
    let frame = FrameRef::default();
    d.call(Request::SetBreakpoint { spec, frame }).unwrap();
    let mut last = Default::default();
    for _ in 0..20 {
        let (epoch, pause) = copy(&mut d);
        assert!(epoch > last && pause > 0);
        last = epoch;
        assert!(heart.beats_on(3), "it runs on");
    }
    let threads = d.call(Request::Threads);
    assert!(matches!(threads, Ok(Reply::Threads { threads, .. }) if threads.iter().any(|t| !t.at.function.is_empty())));
    assert!(d.stop.is_none());
    // While it stands: no further stop, and it stands on.
    d.call(Request::Pause).unwrap();
    d.wait_stop().unwrap();
    let beats = heart.beats();
    assert_eq!(copy(&mut d).1, 0);
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(heart.beats(), beats);
    // Going on ends the copy.
    d.call(Request::Resume { kind: ResumeKind::Continue, goroutine: None }).unwrap();
    assert!(heart.beats_on(10));
    let q = GoroutineQuery { filter: Default::default(), start: 0, count: 1, stack: 0, defers: false, names: false };
    assert!(
        matches!(d.call(Request::Goroutines(q)), Ok(Reply::Goroutines { read, .. }) if read.mode == ReadMode::Observed)
    );
    drop(d);
    assert!(heart.released() && heart.beats_on(10));
    assert_eq!(heart.changed_bytes(), 0);
}

#[test]
fn whoever_dies_while_copying_leaves_the_process_alone() {
    let heart = Heart::start(&build("heartbeat", "", DEFAULT));
    let dir = tempfile::tempdir().unwrap();
    let rounds = std::env::var("ADIT_SAFETY_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(40);
    let pid = heart.pid().to_string();
    for n in 0..rounds {
        let file = dir.path().join(format!("f{n}"));
        let mut c = Command::new(env!("CARGO_BIN_EXE_adit"))
            .args(["snapshot", &pid, "-o", arg(&file)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(500 * (n % 60)));
        c.kill().unwrap();
        c.wait().unwrap();
        assert!(heart.released() && heart.beats_on(2), "round {n}");
        assert!(!file.exists() || fs::metadata(&file).unwrap().len() > 1 << 20, "a file is whole or not there");
    }
    assert_eq!(heart.changed_bytes(), 0);
}

#[test]
fn programs_that_fork_and_make_threads_are_not_disturbed() {
    let exe = build("spawner", "", DEFAULT);
    let mut c = Command::new(&exe).arg("4").stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(c.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let pid = c.id().to_string();
    let (mut copies, end) = (0, Instant::now() + Duration::from_secs(3));
    while Instant::now() < end {
        let o = adit(&["goroutines", &pid, "--consistent", "--json"]);
        assert!(o.status.success(), "{o:?}");
        copies += 1;
    }
    let deadline = Instant::now() + PATIENCE;
    while c.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            c.kill().unwrap();
            panic!("it hangs after {copies} copies");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("bad 0\n") && !rest.starts_with("made 0 "), "{rest} after {copies} copies");
    assert!(copies > 10);
}

#[test]
fn a_stopped_process_is_copied_and_stays_stopped() {
    let p = start(&build("parked", "", DEFAULT), &[], &[]);
    let pid = pid_of(&p);
    let signal = |s: &str| assert!(Command::new("kill").args([s, &pid]).status().unwrap().success());
    let state = || procfs::status(pid.parse().unwrap()).unwrap()["State"].chars().next().unwrap();
    let until = |want: char| {
        let deadline = Instant::now() + PATIENCE;
        while state() != want && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(state(), want);
    };
    signal("-STOP");
    until('T');
    let v = json(&["goroutines", &pid, "--consistent", "--stack", "60"]);
    assert_eq!(of(&v, "main.receiver")["wait_reason"], "chan receive");
    until('T');
    signal("-CONT");
    until('S');
}

#[test]
fn kinds_are_told() {
    let p = start(&build("parked", "", DEFAULT), &[], &[]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x");
    json(&["snapshot", &pid_of(&p), "-o", arg(&file)]);
    let d = Debuggee::open(TargetSpec::File { path: file, exe: None }).unwrap();
    assert_eq!(d.target.kind, TargetKind::Snapshot);
    assert_eq!(d.target.pid, Some(p.child.as_ref().unwrap().id() as i32));
}
