//! Hosts elsewhere: over a socket, over (a stand-in for) ssh, with lines that break.
#![allow(clippy::unwrap_used)]

mod common;

use adit::backend::link::Traffic;
use adit::backend::protocol::*;
use adit::model::*;
use common::heart::Heart;
use common::listening::{Listening, client};
use common::oneshot::json;
use common::screen::Screen;
use common::*;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const ADIT: &str = env!("CARGO_BIN_EXE_adit");

/// Passes bytes on between a client and a host, until it is told not to: then it drops what comes (half open), or closes.
struct Wall {
    path: PathBuf,
    mute: Arc<Mutex<bool>>,
    delay: Arc<Mutex<Duration>>,
    shut: Arc<Mutex<bool>>,
    lines: Arc<Mutex<Vec<UnixStream>>>,
    _dir: tempfile::TempDir,
}

impl Wall {
    fn before(host: &Path) -> Wall {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("wall.sock");
        let listener = UnixListener::bind(&path).expect("bound");
        let (mute, lines) = (Arc::new(Mutex::new(false)), Arc::new(Mutex::new(Vec::new())));
        let delay = Arc::new(Mutex::new(Duration::ZERO));
        let shut = Arc::new(Mutex::new(false));
        let (m, l, late, host) = (mute.clone(), lines.clone(), delay.clone(), host.to_path_buf());
        let closed = shut.clone();
        std::thread::spawn(move || {
            for a in listener.incoming().flatten() {
                if *closed.lock().unwrap() {
                    continue;
                }
                let Ok(b) = common::socket(&host) else { continue };
                l.lock().unwrap().extend([a.try_clone().unwrap(), b.try_clone().unwrap()]);
                for (mut from, mut to) in [(a.try_clone().unwrap(), b.try_clone().unwrap()), (b, a)] {
                    let (m, late) = (m.clone(), late.clone());
                    let (tx, rx) = std::sync::mpsc::channel::<(Instant, Vec<u8>)>();
                    std::thread::spawn(move || {
                        let mut buf = [0; 65536];
                        while let Ok(n @ 1..) = from.read(&mut buf) {
                            let due = Instant::now() + *late.lock().unwrap();
                            if !*m.lock().unwrap() && tx.send((due, buf[..n].to_vec())).is_err() {
                                break;
                            }
                        }
                    });
                    std::thread::spawn(move || {
                        while let Ok((due, bytes)) = rx.recv() {
                            std::thread::sleep(due.saturating_duration_since(Instant::now()));
                            if to.write_all(&bytes).is_err() {
                                break;
                            }
                        }
                        let _closed = to.shutdown(std::net::Shutdown::Both);
                    });
                }
            }
        });
        Wall { path, mute, delay, shut, lines, _dir: dir }
    }
    fn cut(&self) {
        for s in self.lines.lock().unwrap().drain(..) {
            let _closed = s.shutdown(std::net::Shutdown::Both);
        }
    }
    fn delay(&self, one_way: Duration) {
        *self.delay.lock().unwrap() = one_way;
    }
    /// Nobody gets through anew.
    fn refuse(&self, yes: bool) {
        *self.shut.lock().unwrap() = yes;
    }
    fn mute(&self, yes: bool) {
        *self.mute.lock().unwrap() = yes;
    }
}

fn connect(path: &Path) -> Result<(Debuggee, Traffic), Failure> {
    let (client, traffic) = client(path)?;
    Ok((Debuggee::over(client, TargetSpec::Here)?, traffic))
}

fn heart() -> Heart {
    Heart::start(&build("heartbeat", DEBUG))
}

#[test]
fn debugging_over_a_socket() {
    let heart = heart();
    let host = Listening::start(heart.pid(), "dev", &[]);
    let (mut d, traffic) = connect(&host.path).expect("connected");
    let b = d.break_at("main.hot");
    let stop = d.wait_stop().expect("a stop");
    assert_eq!(stop.reason, StopReason::Breakpoint(b.id));
    d.call(Request::ClearBreakpoint(b.id)).expect("cleared");
    for _ in 0..5 {
        d.call(Request::Scope { frame: FrameRef::default(), limits: LoadLimits::default() }).expect("variables");
        d.resume(ResumeKind::Next).expect("a stop");
    }
    assert!(traffic.received.load(std::sync::atomic::Ordering::Relaxed) > 1000);
    // One drives.
    let (mut other, _) = connect(&host.path).expect("it may watch");
    let f = other.call(Request::Pause).expect_err("refused");
    assert!(f.message.contains("drives"), "{f}");
    drop(other);
    // Others may not even come near.
    let mode = std::fs::metadata(&host.path).expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    d.call(Request::Detach { kill: false }).expect("detached");
    assert!(heart.released() && heart.beats_on(5) && heart.changed_bytes() == 0);
}

#[test]
fn one_shots_ask_a_host_elsewhere() {
    let heart = heart();
    let host = Listening::start(heart.pid(), "prod", &[]);
    let at = format!("unix:{}", host.path.display());
    let g = json(&["goroutines", &at]);
    assert!(g["count"].as_u64().is_some_and(|n| n >= 5), "{g}");
    assert_eq!(g["target"]["pid"], heart.pid());
    drop(host);
    assert!(heart.released() && heart.beats_on(5));
    let (code, text) = common::oneshot::error(&["goroutines", &at]);
    assert!(code == 5 && text.contains("cannot connect"), "{code} {text}");
}

#[test]
fn a_line_that_breaks_is_taken_up_again() {
    let heart = heart();
    let host = Listening::start(heart.pid(), "dev", &[]);
    let wall = Wall::before(&host.path);
    let (mut d, _) = connect(&wall.path).expect("connected");
    let b = d.break_at("main.hot");
    let stop = d.wait_stop().expect("a stop");
    for _ in 0..3 {
        d.stop = None;
        d.logs.clear();
        wall.cut();
        // In dev it stands until somebody comes back.
        let again = d.wait_stop().expect("the same stop");
        assert_eq!((again.epoch, &again.reason), (stop.epoch, &stop.reason));
        assert!(d.logs.iter().any(|l| l.contains("was lost")), "{:?}", d.logs);
        assert!(d.logs.iter().any(|l| l.contains("there again")), "{:?}", d.logs);
    }
    match d.call(Request::Breakpoints) {
        Ok(Reply::Breakpoints(all)) => assert!(all.iter().any(|x| x.id == b.id)),
        other => panic!("{other:?}"),
    }
    d.resume(ResumeKind::Next).expect("a stop");
    drop(d);
    drop(wall);
    drop(host);
    assert!(heart.released() && heart.beats_on(5));
}

/// Who comes back hears how things are now: the program was let run, breakpoints are others.
#[test]
fn what_changed_meanwhile_is_told() {
    let heart = heart();
    let host = Listening::start(heart.pid(), "prod", &[]);
    let wall = Wall::before(&host.path);
    let (mut d, _) = connect(&wall.path).expect("connected");
    let stays = d.break_at("main.never");
    let goes = d.break_at("main.slow");
    d.call(Request::Hold { on: true, reason: String::new() }).expect("held");
    d.wait_stop().expect("a stop");
    while d.budget.as_ref().is_none_or(|b| b.hold_left_ms.is_none()) {
        assert!(d.notice_within(PATIENCE), "the hold is told of");
    }
    for b in [&stays, &goes] {
        d.breakpoints.insert(b.id, b.clone());
    }
    d.resumed = 0;
    wall.refuse(true);
    wall.cut();
    assert!(heart.beats_on(5), "nobody holds it");
    // Another one came by.
    let (mut other, _) = connect(&host.path).expect("connected");
    other.call(Request::ClearBreakpoint(goes.id)).expect("cleared");
    let came = other.break_at("main.main");
    drop(other);
    wall.refuse(false);
    while !(d.resumed > 0 && d.breakpoints.contains_key(&came.id) && !d.breakpoints.contains_key(&goes.id)) {
        assert!(d.notice_within(PATIENCE), "{} times, {:?}; {:?}", d.resumed, d.breakpoints.keys(), d.logs);
    }
    assert!(d.breakpoints.contains_key(&stays.id));
    while d.budget.as_ref().is_none_or(|b| b.hold_left_ms.is_some()) {
        assert!(d.notice_within(PATIENCE), "the hold is over: {:?}", d.budget);
    }
    assert!(d.logs.iter().any(|l| l.contains("there again")), "{:?}", d.logs);
    d.call(Request::Detach { kill: false }).expect("detached");
    assert!(heart.released() && heart.is_put_back() && heart.beats_on(5));
}

/// Nobody holds a production process for a client that is not heard: cut, or half open.
#[test]
fn a_hold_ends_with_the_line() {
    for half_open in [false, true] {
        let heart = heart();
        let host = Listening::start(heart.pid(), "prod", &[]);
        let wall = Wall::before(&host.path);
        let (mut d, _) = connect(&wall.path).expect("connected");
        d.call(Request::Hold { on: true, reason: String::new() }).expect("held");
        d.wait_stop().expect("a stop");
        assert!(heart.stands());
        let stood_at = heart.beats();
        let begun = Instant::now();
        match half_open {
            true => wall.mute(true),
            false => wall.cut(),
        }
        while heart.beats() == stood_at {
            assert!(begun.elapsed() < Duration::from_secs(9), "half open {half_open}: it runs again");
            std::thread::sleep(Duration::from_millis(1));
        }
        println!("half open {half_open}: it ran again after {:?}", begun.elapsed());
        wall.mute(false);
        wall.cut();
        drop(d);
        assert!(heart.beats_on(5));
        drop(host);
        assert!(heart.released(), "half open {half_open}");
        assert!(heart.beats_on(5), "half open {half_open}");
        assert!(heart.is_put_back(), "half open {half_open}");
    }
}

/// What ssh would do, without a network: runs the script that it is given in a home of its own.
fn stand_in(dir: &Path) -> PathBuf {
    let path = dir.join("ssh");
    let home = dir.join("home");
    std::fs::create_dir_all(&home).expect("a home");
    let text = format!(
        "#!/bin/sh\necho \"$@\" >> {0}/calls\nfor last; do :; done\nexport HOME={1} PATH=/usr/bin:/bin\nexec sh -c \"$last\"\n",
        dir.display(),
        home.display()
    );
    std::fs::write(&path, text).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("executable");
    path
}

/// The hosts that ssh was to start, by what it was called with, end soon.
fn no_host_is_left(calls: &str) {
    let names: Vec<&str> = calls.split("--relay ").skip(1).filter_map(|r| r.split(' ').next()).collect();
    assert!(!names.is_empty(), "{calls}");
    let place = adit::engine::journal::private_place().expect("a folder");
    let begun = Instant::now();
    for name in names {
        let socket = place.join(format!("{name}.sock"));
        while socket.exists() {
            assert!(begun.elapsed() < Duration::from_secs(8), "{name} is still there");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A full screen that only looked leaves no host behind, and one that vanished is waited for.
#[test]
fn over_ssh_who_leaves_is_told_from_who_vanishes() {
    let heart = heart();
    let dir = tempfile::tempdir().expect("a folder");
    let ssh = stand_in(dir.path()).display().to_string();
    let target = format!("ssh://far/{}", heart.pid());
    let calls = || std::fs::read_to_string(dir.path().join("calls")).expect("calls");
    let start = || {
        let s = Screen::start_with(100, 30, &[&target, "--no-state"], &[("ADIT_SSH", ssh.clone())]);
        s.wait_for("heartbeat");
        s
    };
    let mut s = start();
    s.wait_for("goroutines");
    s.send("q");
    s.wait_end();
    no_host_is_left(&calls());
    let had = calls().len();
    let s = start();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(s.pid()), nix::sys::signal::Signal::SIGKILL).expect("killed");
    std::thread::sleep(Duration::from_secs(2));
    let name = calls()[had..].split("--relay ").nth(1).and_then(|r| r.split(' ').next().map(String::from));
    let socket = adit::engine::journal::private_place().expect("a folder").join(name.expect("a name") + ".sock");
    assert!(socket.exists(), "it may come back");
    // Nobody of the test does.
    let mut c = client(&socket).expect("a line").0;
    c.call(Request::Hello { version: PROTOCOL_VERSION }).expect("hello");
    c.call(Request::Open(TargetSpec::Attach { pid: heart.pid(), exe: None, control: false })).expect("the same");
    c.call(Request::Detach { kill: false }).expect("left");
    assert!(heart.beats_on(3));
}

#[test]
fn over_ssh_it_brings_itself_along() {
    let heart = heart();
    let dir = tempfile::tempdir().expect("a folder");
    let ssh = stand_in(dir.path());
    let ask = || {
        let target = format!("ssh://me@far:2222/{}", heart.pid());
        let out =
            Command::new(ADIT).args(["goroutines", &target, "--json"]).env("ADIT_SSH", &ssh).output().expect("adit");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let v: serde_json::Value = serde_json::from_slice(&out.stdout).expect("JSON");
        assert!(v["count"].as_u64().is_some_and(|n| n >= 5), "{v}");
    };
    ask();
    let calls = || std::fs::read_to_string(dir.path().join("calls")).expect("calls");
    assert_eq!(calls().lines().count(), 3, "asked, pushed, run: {}", calls());
    assert!(calls().lines().all(|l| l.contains("-p 2222 -- me@far ")), "{}", calls());
    ask();
    assert_eq!(calls().lines().count(), 4, "it is there now");
    // They said goodbye: their hosts are not there for half a minute, in case they come back.
    no_host_is_left(&calls());
    let files: Vec<_> = std::fs::read_dir(dir.path().join("home/.cache/adit")).expect("a cache").flatten().collect();
    assert_eq!(files.len(), 1);
    assert!(heart.beats_on(5));
    // What is no host.
    for (script, says) in [
        ("#!/bin/sh\necho Permission denied\nexit 255\n", "no host answers"),
        ("#!/bin/sh\nexit 0\n", "nothing came"),
        ("#!/bin/sh\necho adit-missing Darwin arm64\n", "linux/amd64"),
        ("#!/bin/sh\necho adit-host 3\n", "protocol 3"),
    ] {
        std::fs::write(&ssh, script).expect("written");
        let target = format!("ssh://far/{}", heart.pid());
        let out = Command::new(ADIT).args(["goroutines", &target]).env("ADIT_SSH", &ssh).output().expect("adit");
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.code() == Some(5) && text.contains(says), "{script}: {:?} {text}", out.status);
    }
}

/// A step over a line with 200 ms each way: the screen is there after two round trips.
#[test]
fn a_step_takes_two_round_trips() {
    let heart = heart();
    let host = Listening::start(heart.pid(), "dev", &[]);
    let wall = Wall::before(&host.path);
    let at = format!("unix:{}", wall.path.display());
    let mut s = Screen::start(120, 40, &[&at, "--profile", "dev", "--no-state"]);
    s.wait_for("CONTROL");
    s.send("3");
    s.command("break main.hot");
    s.wait_for("stopped: bp 1");
    s.command("clear 1");
    wall.delay(Duration::from_millis(200));
    let mut took = Vec::new();
    for _ in 0..5 {
        let before = s.text();
        let begun = Instant::now();
        s.send("n");
        // When the last of it came: the line of the step, its source, its variables.
        let (mut last, mut shown) = (begun, before.clone());
        while begun.elapsed() < Duration::from_millis(2_500) {
            let now = s.text();
            if now != shown {
                (last, shown) = (Instant::now(), now);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(place(&shown).is_some() && place(&shown) != place(&before), "{shown}");
        took.push(last - begun);
    }
    took.sort();
    println!("a step over 200 ms each way: {took:?}");
    assert!(took[2] < Duration::from_millis(1_150), "{took:?}");
    wall.delay(Duration::ZERO);
    s.send("q");
}

/// `(file:line)` in the header.
fn place(screen: &str) -> Option<String> {
    let (_, rest) = screen.split_once("step (")?;
    rest.split_once(')').map(|p| p.0.to_string())
}

/// A program with so many parked goroutines, which ends by itself.
fn parked(exe: &Path, n: usize) -> (Child, i32) {
    use std::io::BufRead;
    let mut child = Command::new(exe).arg(n.to_string()).stdout(Stdio::piped()).spawn().expect("started");
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("ready");
    let pid = child.id() as i32;
    (child, pid)
}

/// Looking around among 100,000 goroutines costs little on the line.
#[test]
fn a_hundred_thousand_goroutines_over_a_line() {
    let exe = build("parked", DEFAULT);
    let (mut child, pid) = parked(&exe, 100_000);
    let host = Listening::start(pid, "prod", &[]);
    let (mut d, traffic) = connect(&host.path).expect("connected");
    let filter = GoroutineFilter::default();
    let bytes = || traffic.received.load(std::sync::atomic::Ordering::Relaxed);
    let mut seen = 0;
    for by in [GroupBy::User, GroupBy::Wait] {
        let q = GroupQuery { filter: filter.clone(), by, start: 0, count: 40 };
        match d.call(Request::Groups(q)) {
            Ok(Reply::Groups { goroutines, .. }) => seen = seen.max(goroutines),
            other => panic!("{other:?}"),
        }
    }
    // Twenty screens of forty rows, here and there.
    for page in 0..20u64 {
        let q = GoroutineQuery {
            filter: filter.clone(),
            start: page * 4_973,
            count: 40,
            stack: 0,
            defers: false,
            names: false,
        };
        match d.call(Request::Goroutines(q)) {
            Ok(Reply::Goroutines { rows, .. }) => assert_eq!(rows.len(), 40),
            other => panic!("{other:?}"),
        }
    }
    println!("{seen} goroutines, 20 screens and 2 groupings: {} bytes", bytes());
    assert!(seen >= 100_000 && bytes() < 200_000, "{seen} goroutines, {} bytes", bytes());
    drop(d);
    drop(host);
    let _ended = child.kill();
    let _status = child.wait();
}
