//! Cores of real programs: the kernel's, gdb's, Delve's, whole and cut off, of every kind of build.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod common;
mod goprog;

use adit::backend::protocol::*;
use adit::base::LoadAddr;
use adit::engine::Loaded;
use adit::goruntime::{GoRuntime, ListOptions};
use adit::target::core::CoreFile;
use common::oneshot::{adit, arg, check_parked, error, functions, json, of};
use goprog::{DEBUG, build};
use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const STRIPPED_PIE: &[&str] = &["-buildmode=pie", "-ldflags=-s -w"];
const PIE: &[&str] = &["-buildmode=pie"];

/// A parked program of our own with one goroutine that spins; ended with its owner.
struct Parked(Child);

impl Parked {
    fn start(exe: &Path, dir: &Path, dumps: bool) -> Parked {
        // 300 s at most, whatever happens to the test.
        let limit = if dumps { "ulimit -c unlimited; " } else { "" };
        let mut c = Command::new("timeout");
        c.args(["--foreground", "--signal=KILL", "300", "sh", "-c", &format!("{limit}exec \"$0\""), arg(exe)]);
        c.current_dir(dir).env("SPIN", "1").env("GOTRACEBACK", "crash");
        let mut child = c.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("started");
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while line.trim() != "ready" {
            line.clear();
            assert!(out.read_line(&mut line).unwrap() > 0, "the program ended");
        }
        Parked(child)
    }
    /// The program: the one child of `timeout`.
    fn pid(&self) -> i32 {
        let children = format!("/proc/{0}/task/{0}/children", self.0.id());
        fs::read_to_string(children).unwrap().trim().parse().expect("one child")
    }
    fn signal(&self, name: &str) {
        let done = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(done.is_ok_and(|s| s.success()));
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        if self.0.try_wait().is_ok_and(|s| s.is_none()) {
            self.signal("KILL");
        }
        let _status = self.0.wait();
    }
}

/// A core by the kernel of a program that ends by itself; none where the kernel writes cores elsewhere.
fn core_of(exe: &Path, arg1: &str, dir: &Path) -> Option<PathBuf> {
    let mut c = Command::new("sh");
    c.args(["-c", "ulimit -c unlimited; exec \"$0\" \"$1\"", arg(exe), arg1])
        .current_dir(dir)
        .env("GOTRACEBACK", "crash");
    let status = c.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("started");
    assert!(!status.success());
    let core = fs::read_dir(dir).unwrap().flatten().find(|e| e.file_name().to_string_lossy().starts_with("core"));
    if core.is_none() {
        eprintln!("skipped: the kernel wrote no core");
    }
    core.map(|e| e.path())
}

/// A core by the kernel, of GOTRACEBACK=crash; none where the kernel writes cores elsewhere.
fn crash_core(exe: &Path, dir: &Path) -> Option<PathBuf> {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if pattern.starts_with(['|', '/']) {
        eprintln!("skipped: the kernel writes cores to {}", pattern.trim());
        return None;
    }
    let mut p = Parked::start(exe, dir, true);
    p.signal("QUIT");
    p.0.wait().unwrap();
    let core = fs::read_dir(dir).unwrap().flatten().find(|e| e.file_name().to_string_lossy().starts_with("core"));
    if core.is_none() {
        eprintln!("skipped: the kernel wrote no core");
    }
    core.map(|e| e.path())
}

fn list(core: &Path, more: &[&str]) -> serde_json::Value {
    json(&[&["goroutines", arg(core), "--all", "--stack", "60"], more].concat())
}

#[test]
fn crash_cores_of_the_kernel() {
    for (tool, flags) in
        [("", DEBUG), ("", STRIPPED_PIE), ("go1.21.13", PIE), ("go1.24.11", &[][..]), ("go1.27.3", STRIPPED_PIE)]
    {
        let what = format!("{tool} {flags:?}");
        let dir = tempfile::tempdir().unwrap();
        let exe = build("parked", tool, flags);
        let Some(core) = crash_core(&exe, dir.path()) else { return };
        let v = list(&core, &[]);
        assert_eq!((&v["target"]["kind"], &v["read"]["mode"]), (&"core".into(), &"offline".into()), "{what}");
        assert_eq!(v["target"]["exe"], arg(&exe), "{what}");
        check_parked(&what, &v, true);
        // Packed with its program it opens anywhere.
        let packed = dir.path().join("packed");
        let s = json(&["snapshot", arg(&core), "-o", arg(&packed)]);
        assert_eq!(s["pause_us"], 0);
        let again = list(&packed, &[]);
        assert_eq!(again["target"]["kind"], "snapshot");
        assert_eq!(again["goroutines"], v["goroutines"], "{what}");
        let id = of(&v, "main.receiver")["id"].to_string();
        let st = json(&["stack", arg(&packed), &id]);
        let has_variables = st.get("variables").is_some();
        // Without DWARF they are the arguments, as words.
        assert!(has_variables, "{what}: {st}");
    }
}

#[test]
fn cores_of_gdb_and_delve() {
    let dir = tempfile::tempdir().unwrap();
    let exe = build("parked", "", DEBUG);
    let p = Parked::start(&exe, dir.path(), false);
    let pid = p.pid().to_string();
    match Command::new("gcore").args(["-o", arg(&dir.path().join("gdb")), &pid]).output() {
        Ok(o) if o.status.success() => {
            check_parked("gcore", &list(&dir.path().join(format!("gdb.{pid}")), &[]), true);
        }
        _ => eprintln!("skipped: no gcore here"),
    }
    let Some(dlv) = common::dlv::dlv() else {
        eprintln!("skipped: no dlv here");
        return;
    };
    let core = dir.path().join("dlv.core");
    let commands = dir.path().join("commands");
    fs::write(&commands, format!("dump {}\nexit -c\n", arg(&core))).unwrap();
    let o = Command::new(dlv)
        .args(["attach", &pid, "--allow-non-terminal-interactive=true", "--check-go-version=false", "--init"])
        .arg(&commands)
        .env("XDG_CONFIG_HOME", dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(core.is_file(), "{o:?}");
    check_parked("dlv dump", &list(&core, &["--exe", arg(&exe)]), true);
}

#[test]
fn cut_off_cores_are_usable_as_far_as_they_go() {
    let dir = tempfile::tempdir().unwrap();
    let exe = build("parked", "", DEBUG);
    let Some(core) = crash_core(&exe, dir.path()) else { return };
    let whole = list(&core, &[]);
    let count = whole["count"].as_u64().unwrap();
    let size = fs::metadata(&core).unwrap().len();
    let cut = dir.path().join("cut");
    let (mut some, mut refused) = (0, 0);
    // How far the heap lies in the file differs from run to run: the whole one but for its end has it always.
    for n in [0, 10, 63, 64, 200, 4096, 20_000, 60_000, 150_000, 400_000, 1_000_000, 4_000_000, size / 2, size - 100] {
        fs::copy(&core, &cut).unwrap();
        fs::File::options().write(true).open(&cut).unwrap().set_len(n).unwrap();
        let out = adit(&["goroutines", arg(&cut), "--all", "--stack", "60", "--json", "--exe", arg(&exe)]);
        let v: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{n}: {e}"));
        if let Some(message) = v["error"]["message"].as_str() {
            assert!(!message.contains('\n'), "{n}: {message}");
            refused += 1;
            continue;
        }
        let notes = v["target"]["notes"].to_string();
        assert!(notes.contains("cut off"), "{n}: what is missing is named: {notes}");
        assert!(v["count"].as_u64().unwrap() <= count, "{n}");
        some += u32::from(v["count"].as_u64().unwrap() > 0);
        if n == size - 100 {
            check_parked("nearly whole", &v, true);
        }
    }
    assert!(some >= 2 && refused >= 4, "of {size} bytes: {some} with goroutines, {refused} refused");
}

#[test]
fn goroutines_are_found_without_their_list() {
    let dir = tempfile::tempdir().unwrap();
    let Some(core) = crash_core(&build("parked", "", &[]), dir.path()) else { return };
    let (l, state) = Loaded::open_core(&core, None).unwrap();
    let mut rt = GoRuntime::open(l.sym.clone(), l.bias, &*l.mem).unwrap();
    let ids = |rt: &GoRuntime| {
        let list = rt.list(&*l.mem, &state.registers, 0, ListOptions { stopped: true }).unwrap();
        (0..list.len()).filter_map(|i| list.id(i)).collect::<Vec<_>>()
    };
    let want = ids(&rt);
    let file = CoreFile::parse(adit::target::core::open(&core).unwrap()).unwrap();
    let mem = file.memory(l.sym.image(), l.bias);
    let n = rt.find_goroutines_in(mem.pieces().filter_map(|(at, _, b)| Some((LoadAddr(at), b?))));
    assert_eq!((n, ids(&rt)), (want.len(), want));
}

#[test]
fn what_does_not_fit_is_said_in_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let exe = dir.path().join("program");
    fs::copy(build("parked", "", DEBUG), &exe).unwrap();
    let Some(core) = crash_core(&exe, dir.path()) else { return };
    let away = dir.path().join("elsewhere");
    fs::rename(&exe, &away).unwrap();
    let (code, text) = error(&["goroutines", arg(&core)]);
    assert!(code == 5 && text.contains(arg(&exe)) && text.contains("--exe"), "{code} {text}");
    check_parked("--exe", &list(&core, &["--exe", arg(&away)]), true);
    // Another program, and another build of the same.
    let (_, text) = error(&["goroutines", arg(&core), "--exe", "/bin/sh"]);
    assert!(text.contains("/bin/sh"), "{text}");
    let other = adit(&["goroutines", arg(&core), "--exe", arg(&build("parked", "go1.21.13", DEBUG)), "--json"]);
    assert!(String::from_utf8_lossy(&other.stdout).contains("not the program of this core"), "{other:?}");
    let (code, text) = error(&["goroutines", arg(&away)]);
    assert!(code == 2 && text.contains("a program, not a core"), "{code} {text}");
}

#[test]
fn a_core_is_looked_at_and_not_run() {
    let dir = tempfile::tempdir().unwrap();
    let exe = build("parked", "", DEBUG);
    let Some(core) = crash_core(&exe, dir.path()) else { return };
    let spec = TargetSpec::File { path: core.clone(), exe: None };
    let mut d = common::Debuggee::open(spec).unwrap();
    assert_eq!(d.target.kind, adit::model::TargetKind::Core);
    assert!(d.stop.is_some());
    for r in [
        Request::Resume { kind: ResumeKind::Continue, goroutine: None },
        Request::Pause,
        Request::SetBreakpoint { spec: adit::model::BreakpointSpec::at("main.main"), frame: FrameRef::default() },
    ] {
        let f = d.call(r).expect_err("refused");
        assert!(f.kind == FailureKind::BadState && f.message.contains("cannot be run"), "{f:?}");
    }
    // Values, expressions, threads and source are there as at a stop.
    let receiver = of(&list(&core, &[]), "main.receiver")["id"].as_u64().unwrap();
    let frame = |n| FrameRef { goroutine: Some(adit::base::GoroutineId(receiver)), frame: n };
    let at = functions(of(&list(&core, &[]), "main.receiver")).iter().position(|f| *f == "main.receiver").unwrap();
    let eval = Request::Eval { frame: frame(at as u32), expression: "cap(c)+1".into(), limits: LoadLimits::default() };
    let Ok(Reply::Value { value, .. }) = d.call(eval) else { panic!("no value") };
    assert_eq!(value.value, "1");
    let set = Request::Set { frame: frame(at as u32), expression: "c".into(), value: "nil".into() };
    assert!(d.call(set).is_err_and(|f| f.message.contains("cannot be changed")));
    let Ok(Reply::Threads { threads, .. }) = d.call(Request::Threads) else { panic!("no threads") };
    // Whether one ran a goroutine just then is chance.
    assert!(threads.len() >= 3 && threads.iter().all(|t| t.tid.0 > 0 && t.at.pc.0 != 0));
    assert!(matches!(d.call(Request::Refresh), Ok(Reply::Done)));
}

#[test]
fn a_panic_is_told_with_its_message() {
    for (tool, flags) in [("", DEBUG), ("go1.21.13", STRIPPED_PIE), ("go1.27.3", &[][..])] {
        let dir = tempfile::tempdir().unwrap();
        let Some(core) = core_of(&build("dumps", tool, flags), "panic", dir.path()) else { return };
        let (l, state) = Loaded::open_core(&core, None).unwrap();
        let stop = l.stop_of(&state).unwrap();
        assert_eq!(stop.goroutine.map(|g| g.0), Some(1), "{tool}");
        assert_eq!(stop.at.function, "main.main", "{tool}");
        let adit::model::StopReason::UnrecoveredPanic(text) = stop.reason else { panic!("{tool}: {stop:?}") };
        assert!(text.contains("order 7 is lost"), "{tool}: {text}");
    }
}

#[test]
fn the_screen_opens_a_core() {
    let dir = tempfile::tempdir().unwrap();
    let exe = build("parked", "", DEBUG);
    let Some(core) = crash_core(&exe, dir.path()) else { return };
    for args in [vec!["core", arg(&exe), arg(&core)], vec![arg(&core)], vec!["open", arg(&core)]] {
        let mut s = common::screen::Screen::start(120, 40, &args);
        s.until("the list of goroutines", |t| t.contains("main.receiver") && t.contains("chan recv"));
        s.command("next");
        s.wait_for("nothing to stop or resume");
        s.command("quit");
        s.wait_end();
    }
}

#[test]
fn damaged_cores_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let exe = build("parked", "", &[]);
    let Some(core) = crash_core(&exe, dir.path()) else { return };
    let good = fs::read(&core).unwrap();
    let sym = Loaded::open_core(&core, None).unwrap().0.sym;
    let mut x = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x
    };
    let bad = dir.path().join("bad");
    for round in 0..12 {
        let mut v = good.clone();
        // Headers and notes in the first rounds, then everywhere.
        let reach = if round < 6 { 20_000 } else { v.len() as u64 };
        for _ in 0..200 {
            let at = (random() % reach) as usize;
            if at >= 20 {
                v[at] = random() as u8;
            }
        }
        fs::write(&bad, &v).unwrap();
        if let Ok((l, state)) = Loaded::open_core(&bad, Some(&exe)) {
            let _any = l.rt.list(&*l.mem, &state.registers, 0, ListOptions { stopped: true });
            let _any = l.rt.list(&*l.mem, &HashMap::new(), 0, ListOptions { stopped: true });
            let _any = l.stop_of(&state);
            assert_eq!(l.sym.go_version().text, sym.go_version().text);
        }
    }
}
