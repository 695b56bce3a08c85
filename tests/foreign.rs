//! Programs that were not written for this: Go's own compiler and tools at work, and stripped builds of ours.

mod common;

use adit::backend::protocol::*;
use adit::model::*;
use common::heart::Heart;
use common::*;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A `go build` of a large part of the standard library, all of it compiled anew, into a cache of its own.
struct Build {
    child: Child,
    _cache: tempfile::TempDir,
}

impl Build {
    fn start() -> Build {
        let cache = tempfile::tempdir().expect("a folder");
        let mut c = go();
        c.args(["build", "-p", "2", "net/http"]).env("GOCACHE", cache.path()).current_dir(source_dir("steps"));
        let child = c.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("go runs");
        Build { child, _cache: cache }
    }
    fn finish(mut self) {
        let done = self.child.wait().expect("waited");
        assert!(done.success(), "the build that was looked at failed: {done}");
    }
}

fn children(pid: u32) -> Vec<i32> {
    let dir = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    dir.filter_map(|t| std::fs::read_to_string(t.path().join("children")).ok())
        .flat_map(|s| s.split_whitespace().filter_map(|p| p.parse().ok()).collect::<Vec<i32>>())
        .collect()
}

fn list(d: &mut Debuggee) -> Vec<Goroutine> {
    try_list(d).unwrap_or_else(|e| panic!("{e:?}"))
}

fn try_list(d: &mut Debuggee) -> Result<Vec<Goroutine>, Failure> {
    let q = GoroutineQuery {
        filter: GoroutineFilter { system: true, ..Default::default() },
        start: 0,
        count: 1000,
        stack: 0,
        defers: false,
        names: false,
    };
    match d.call(Request::Goroutines(q)) {
        Ok(Reply::Goroutines { rows, .. }) => Ok(rows),
        Ok(other) => panic!("{other:?}"),
        Err(e) => Err(e),
    }
}

/// Attach to the go command and to compilers while they work; pause, look, break, let go; the build must still succeed.
#[test]
fn a_build_under_way() {
    let build = Build::start();
    let mut d = Debuggee::attach(build.child.id() as i32);
    assert!(d.target.go.starts_with("go1."), "{:?}", d.target);
    // Its runtime may not have begun yet.
    let deadline = Instant::now() + Duration::from_secs(20);
    while list(&mut d).len() < 3 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
    d.call(Request::Pause).expect("paused");
    assert!(d.wait_stop().is_some());
    let rows = list(&mut d);
    assert!(rows.iter().any(|g| g.created_by.is_some()) && rows.iter().any(|g| !g.at.function.is_empty()), "{rows:#?}");
    d.call(Request::SetBreakpoint { spec: BreakpointSpec::at("os/exec.(*Cmd).Start"), frame: FrameRef::default() })
        .expect("set");
    let stop = d.resume(ResumeKind::Continue).expect("it starts compilers");
    assert_eq!(stop.at.function, "os/exec.(*Cmd).Start");
    d.call(Request::Detach { kill: false }).expect("let go");

    let mut seen = 0;
    let deadline = Instant::now() + Duration::from_secs(20);
    while seen < 3 && Instant::now() < deadline && !children(build.child.id()).is_empty() {
        for pid in children(build.child.id()) {
            // Compilers come and go: one that ended meanwhile gives a clear failure.
            match Debuggee::open(TargetSpec::Attach { pid, exe: None, control: true }) {
                Ok(mut d) => {
                    if d.call(Request::Pause).is_ok() {
                        match try_list(&mut d) {
                            Ok(rows) => seen += usize::from(!rows.is_empty()),
                            Err(e) => assert!(e.message.contains("gone"), "{e:?}"),
                        }
                    }
                    let _ended_meanwhile = d.call(Request::Detach { kill: false });
                }
                Err(e) => assert!(!e.message.is_empty() && !e.message.contains('\n'), "{e:?}"),
            }
        }
    }
    println!("{seen} compilers looked at");
    build.finish();
}

#[test]
fn a_stripped_build_has_names_lines_and_a_word_on_the_rest() {
    let exe = build("heartbeat", &["-ldflags=-s -w"]);
    let heart = Heart::start(&exe);
    let mut d = Debuggee::attach(heart.pid());
    assert!(d.target.stripped);
    assert!(d.target.notes.iter().any(|n| n.contains("stripped")), "{:?}", d.target.notes);
    let b = d.break_at("main.hot");
    let stop = d.wait_stop().expect("a stop");
    d.call(Request::ClearBreakpoint(b.id)).expect("cleared");
    assert_eq!(stop.at.function, "main.hot");
    assert!(stop.at.line > 0 && stop.goroutine.is_some());
    let stack = match d.call(Request::Stack { goroutine: None, depth: 10, defers: true }) {
        Ok(Reply::Stack { stack, .. }) => stack,
        other => panic!("{other:?}"),
    };
    assert!(stack.frames.iter().any(|f| f.at.function.starts_with("main.main")), "{stack:#?}");
    // A small function does not check its stack: nothing tells where its argument arrives, and nothing is made up.
    match d.call(Request::Scope { frame: FrameRef::default(), limits: LoadLimits::default() }) {
        Ok(Reply::Variables { variables, .. }) => {
            let all: Vec<_> = variables.iter().map(|v| (v.name.as_str(), v.unavailable.is_some())).collect();
            assert_eq!(all, [("arg0", true)]);
        }
        other => panic!("{other:?}"),
    }
    d.resume(ResumeKind::StepOut).expect("stepped out");
    assert!(d.at().starts_with("main.main"), "{}", d.at());
    d.call(Request::Detach { kill: false }).expect("let go");
    assert!(heart.beats_on(20));
    assert_eq!(heart.changed_bytes(), 0);
}

#[test]
fn optimised_and_pie_builds() {
    for flags in [DEFAULT, &["-buildmode=pie"][..]] {
        let heart = Heart::start(&build("heartbeat", flags));
        let mut d = Debuggee::attach(heart.pid());
        d.break_at("main.hot");
        d.wait_stop().expect("a stop");
        assert!(d.at().starts_with("main.hot:"));
        match d.call(Request::Scope { frame: FrameRef::default(), limits: LoadLimits::default() }) {
            Ok(Reply::Variables { variables, .. }) => assert!(variables.iter().any(|v| v.name == "i"), "{variables:?}"),
            other => panic!("{other:?}"),
        }
        drop(d);
        assert!(heart.released() && heart.beats_on(20));
        assert_eq!(heart.changed_bytes(), 0);
    }
}

/// What is wrong with a target is said in one line, with a way out.
#[test]
fn bad_targets() {
    let dir = tempfile::tempdir().expect("a folder");
    let exe = build("steps", DEBUG);
    let bytes = std::fs::read(&exe).expect("a binary");
    let put = |name: &str, content: &[u8]| {
        use std::os::unix::fs::PermissionsExt;
        let p = dir.path().join(name);
        std::fs::write(&p, content).expect("written");
        std::fs::set_permissions(&p, std::fs::Permissions::from_mode(0o755)).expect("executable");
        p
    };
    let launch = |p: &std::path::Path| {
        let spec = LaunchSpec { exe: p.to_path_buf(), size: (80, 24), ..LaunchSpec::default() };
        Debuggee::open(TargetSpec::Launch(spec)).err().expect("refused")
    };
    let attach = |pid| Debuggee::open(TargetSpec::Attach { pid, exe: None, control: true }).err().expect("refused");
    let sleeper = Command::new("/bin/sleep").arg("30").spawn();
    let mut sleeper = sleeper.expect("sleep runs");
    let cases = [
        ("no such pid", attach(0x3fff_fff0), FailureKind::NoProcess),
        ("not a Go program", attach(sleeper.id() as i32), FailureKind::BadBinary),
        ("truncated", launch(&put("truncated", &bytes[..bytes.len() / 3])), FailureKind::BadBinary),
        ("not ELF", launch(&put("text", b"#!/bin/sh\nexit 0\n")), FailureKind::BadBinary),
        ("missing", launch(&dir.path().join("missing")), FailureKind::BadBinary),
    ];
    let _status = sleeper.kill().and_then(|()| sleeper.wait());
    for (what, e, kind) in cases {
        assert_eq!(e.kind, kind, "{what}: {e:?}");
        assert!(!e.message.contains('\n') && e.fix.is_some(), "{what}: {e:?}");
    }
    // Somebody else has it.
    let heart = Heart::start(&build("heartbeat", DEFAULT));
    let d = Debuggee::attach(heart.pid());
    let e = attach(heart.pid());
    assert_eq!(e.kind, FailureKind::Traced, "{e:?}");
    assert!(e.message.contains("adit"), "{e:?}");
    drop(d);
    assert!(heart.beats_on(10));
}

/// Damaged DWARF: functions and lines still work, and it is said what does not.
#[test]
fn corrupt_dwarf() {
    let exe = build("steps", &["-gcflags=all=-N -l", "-ldflags=-compressdwarf=false"]);
    let mut bytes = std::fs::read(&exe).expect("a binary");
    let sym = adit::symbols::Symbols::load(adit::base::mmap::FileBytes::from_vec(bytes.clone())).expect("readable");
    for name in [".debug_info", ".debug_abbrev"] {
        let r = sym.image().section(name).expect("there").file.clone();
        let len = r.len();
        for (i, b) in bytes[r].iter_mut().enumerate() {
            if i > 16 && i % 7 == 0 && i < len {
                *b ^= 0xa5;
            }
        }
    }
    let dir = tempfile::tempdir().expect("a folder");
    let p = dir.path().join("damaged");
    std::fs::write(&p, &bytes).expect("written");
    std::fs::set_permissions(&p, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("executable");
    let mut d = Debuggee::launch(&p, &[]);
    d.break_at("main.add");
    d.resume(ResumeKind::Continue);
    assert!(d.at().starts_with("main.add:"), "{}", d.at());
    let scope = d.call(Request::Scope { frame: FrameRef::default(), limits: LoadLimits::default() });
    if let Err(e) = scope {
        assert!(!e.message.contains('\n') && !e.message.is_empty(), "{e:?}");
    }
    assert!(d.resume(ResumeKind::Continue).is_some(), "it goes on to the next call");
}

/// A target that exits, or execs, while it is held or watched.
#[test]
fn a_target_that_goes_away() {
    let mut d = Debuggee::launch(&build("steps", DEBUG), &[]);
    let pid = d.target.pid.expect("a pid");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).expect("killed");
    // It is said although nobody asked.
    d.stop = None;
    assert_eq!(d.wait_stop(), None);
    assert_eq!(d.exited, Some((None, Some("SIGKILL".into()))));
    let e = d.call(Request::Resume { kind: ResumeKind::Next, goroutine: None }).expect_err("gone");
    assert_eq!(e.kind, FailureKind::Gone);
}

#[test]
fn a_target_that_execs() {
    let mut d = Debuggee::launch(&build("execs", DEBUG), &[]);
    d.break_at("main.replace");
    d.resume(ResumeKind::Continue).expect("a stop");
    d.call(Request::Resume { kind: ResumeKind::Continue, goroutine: None }).expect("resumed");
    loop {
        match d.client.blocking_notice().expect("the host says what happened") {
            Notice::Detached { reason } => {
                assert!(reason.contains("echo"), "{reason}");
                break;
            }
            Notice::Output(b) => d.output += &String::from_utf8_lossy(&b),
            _ => {}
        }
    }
    while !d.output.contains("replaced") {
        match d.client.blocking_notice() {
            Some(Notice::Output(b)) => d.output += &String::from_utf8_lossy(&b),
            Some(_) => {}
            None => panic!("the new program lives on; its output: {}", d.output),
        }
    }
}

#[test]
fn hostile_data() {
    let mut d = Debuggee::launch(&build("hostile", DEBUG), &[]);
    let line = line_of("hostile", "// BP");
    d.break_at(&format!("main.go:{line}"));
    d.resume(ResumeKind::Continue).expect("a stop");
    let t0 = Instant::now();
    let vars = match d.call(Request::Scope { frame: FrameRef::default(), limits: LoadLimits::default() }) {
        Ok(Reply::Variables { variables, .. }) => variables,
        other => panic!("{other:?}"),
    };
    assert!(t0.elapsed() < Duration::from_secs(2), "{:?}", t0.elapsed());
    for v in &vars {
        let clean = |s: &str| {
            s.chars().all(|c| {
                !c.is_control() && !('\u{202a}'..='\u{202e}').contains(&c) && !('\u{2060}'..='\u{206f}').contains(&c)
            })
        };
        assert!(clean(&v.value) && clean(&v.name) && clean(&v.type_name), "{v:?}");
        assert!(v.value.len() < 10_000, "{}: {} bytes", v.name, v.value.len());
    }
    let get = |n: &str| vars.iter().find(|v| v.name == n).unwrap_or_else(|| panic!("{n}"));
    assert_eq!(get("huge").len, Some(10_000_000));
    assert!(get("control").value.starts_with("\"\\x1b[2J"), "{}", get("control").value);
    assert!(get("lie").value.contains("len: 1099511627776"), "{}", get("lie").value);
    let page = Request::Children { handle: get("lie").handle, start: 0, count: 64, limits: LoadLimits::default() };
    match d.call(page) {
        Ok(Reply::Variables { variables, .. }) => {
            assert!(variables.iter().all(|v| v.unavailable.is_some()), "{variables:?}")
        }
        Err(e) => assert!(!e.message.contains('\n')),
        Ok(other) => panic!("{other:?}"),
    }
}
