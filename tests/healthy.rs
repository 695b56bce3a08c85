//! Healthy programs must be left in peace: no finding of high severity, none of class proof, nobody stuck, whatever they wait for, under load,
//! read while they run and in a copy. Ours (`tests/programs/healthy`, one a name) and some that were not written for this.
//!
//! `ADIT_HEALTHY_LOOKS` sets the looks a program (3); `ADIT_HEALTHY` names the programs, with commas.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;

use adit::backend::protocol::*;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A program of the test's own, killed (by pid) at its end.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

impl Program {
    /// Starts it and waits until it says READY.
    fn start(c: &mut Command) -> Program {
        let mut p = Program(c.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts"));
        let mut lines = BufReader::new(p.0.stdout.take().expect("its output"));
        let mut line = String::new();
        while !line.starts_with("READY") {
            line.clear();
            assert!(lines.read_line(&mut line).expect("a line") > 0, "it ended: {c:?}");
        }
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        p
    }
    fn pid(&self) -> u32 {
        self.0.id()
    }
}

/// `adit diagnose ARGS --json`; its exit code says whether there are findings.
fn diagnose(args: &[&str]) -> Value {
    let out = common::oneshot::adit(&[&["diagnose"], args, &["--json"]].concat());
    let v: Value = serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|e| panic!("{args:?}: {e}: {}", String::from_utf8_lossy(&out.stderr)));
    assert!(v.get("error").is_none(), "{args:?}: {v}");
    v
}

fn looks() -> u64 {
    std::env::var("ADIT_HEALTHY_LOOKS").ok().and_then(|n| n.parse().ok()).unwrap_or(3)
}

/// What a program may well be told: it is so, and nobody is said to be stuck for good.
const SLOW: &[&str] = &["gc-pressure", "lock-convoy", "stall", "sql-pool"];

/// Goroutines of programs not ours that are left behind indeed: the compiler's work queue, when all is compiled.
const LEFT_BEHIND: &[&str] = &["gc.compileFunctions.func3"];

/// What was met.
#[derive(Default)]
struct Tally {
    looks: u64,
    /// False findings: what must not be.
    wrong: Vec<String>,
    /// Slowness that was told.
    slow: Vec<String>,
}

impl Tally {
    fn judge(&mut self, what: &str, diagnosis: &Value) {
        self.looks += 1;
        for f in diagnosis["findings"].as_array().expect("findings") {
            let text = format!("{what}: {} {} {}: {} {}", f["kind"], f["class"], f["severity"], f["summary"], f["why"]);
            if LEFT_BEHIND.iter().any(|l| f["at"]["function"].as_str().is_some_and(|at| at.ends_with(l))) {
                continue;
            }
            let slow = SLOW.contains(&f["kind"].as_str().unwrap_or_default());
            if f["class"] == "proof" || f["severity"] == "high" || f["class"] == "strong" && !slow {
                self.wrong.push(text);
            } else if f["class"] == "strong" {
                self.slow.push(text);
            }
        }
    }

    /// Looks at a process that runs, at moments that do not follow its rhythm, and at copies of it.
    fn look_at(&mut self, what: &str, pid: u32, looks: u64) {
        let pid = pid.to_string();
        for n in 0..looks {
            std::thread::sleep(Duration::from_millis(1 + (n * 7919 + self.looks * 31) % 61));
            self.judge(&format!("{what} live"), &diagnose(&[&pid]));
        }
        for _ in 0..looks.div_ceil(4) {
            self.judge(&format!("{what} copy"), &diagnose(&[&pid, "--consistent"]));
        }
    }

    fn end(self, at_least: u64) {
        println!("{} looks; {} false findings; {} times slow", self.looks, self.wrong.len(), self.slow.len());
        self.slow.iter().for_each(|s| println!("slow: {s}"));
        assert!(self.wrong.is_empty(), "false findings:\n{}", self.wrong.join("\n"));
        assert!(self.looks >= at_least, "only {} looks", self.looks);
    }
}

#[test]
fn programs_of_every_kind() {
    let exe = common::build("healthy", common::DEFAULT);
    let names = String::from_utf8(Command::new(&exe).output().expect("it runs").stdout).unwrap();
    let only = std::env::var("ADIT_HEALTHY").unwrap_or_default();
    let names: Vec<&str> = names
        .lines()
        .filter(|n| !["child", "write"].contains(n) && (only.is_empty() || only.split(',').any(|o| o == *n)))
        .collect();
    assert!(names.len() >= 40 || !only.is_empty(), "{names:?}");
    let mut t = Tally::default();
    for (i, name) in names.iter().enumerate() {
        let (looks_before, wrong) = (t.looks, t.wrong.len());
        let t0 = Instant::now();
        let procs = (1 + i % 4).to_string();
        let p = Program::start(Command::new(&exe).arg(name).env("GOMAXPROCS", procs).env("GOGC", "50"));
        t.look_at(name, p.pid(), looks());
        println!("{name:14} {} looks, {} wrong, {:?}", t.looks - looks_before, t.wrong.len() - wrong, t0.elapsed());
    }
    t.end(names.len() as u64);
}

/// Whoever wakes a goroutine takes it off its queue first and makes it ready then. In between it waits, as far as its status says, for
/// what nobody needs to know any more. `tests/programs/waking` is looked at at such moments; and in the middle of a store of a pointer and
/// of a copy, where what the function needs is where no map says. `ADIT_WAKING_STEPS` looks after each of so many instructions, too.
#[test]
fn goroutines_about_to_be_woken() {
    let steps = std::env::var("ADIT_WAKING_STEPS").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    for tool in ["", "go1.21.13", "go1.23.9"] {
        let exe = common::build_with("waking", common::DEFAULT, tool);
        let names = String::from_utf8(Command::new(&exe).output().expect("it runs").stdout).unwrap();
        assert!(names.lines().count() >= 11, "{names}");
        for name in names.lines() {
            let place = match name {
                "store" => "runtime.wbBufFlush",
                "hand-over" => "runtime.sendDirect",
                _ => "runtime.ready",
            };
            println!("{tool:9} {name}");
            let p = Program::start(Command::new(&exe).arg(name));
            stops(name, &p, place, 10, ResumeKind::Continue);
            if steps > 0 {
                let wake = format!("main.go:{}", common::line_of("waking", "\t\twake()"));
                stops(name, &p, &wake, steps, ResumeKind::StepInstruction);
            }
        }
    }
}

/// Looks at stops of a program, the first of them at a place.
fn stops(name: &str, p: &Program, place: &str, looks: u64, go_on: ResumeKind) {
    let mut d = common::Debuggee::attach(p.pid() as i32);
    let b = d.break_at(place);
    let mut t = Tally::default();
    d.wait_stop();
    if go_on != ResumeKind::Continue {
        d.call(Request::ClearBreakpoint(b.id)).expect("it is taken away");
    }
    for _ in 0..looks {
        let query = DiagnoseQuery { listed: u32::MAX, mutes: Vec::new(), no_heap: false };
        let diagnosis = match d.call(Request::Diagnose(query)) {
            Ok(Reply::Diagnosis { diagnosis, .. }) => diagnosis,
            other => panic!("{other:?}"),
        };
        let all = diagnosis.findings.iter().map(|f| {
            let (kind, class, severity) = (f.kind.name(), f.class.name(), f.severity.name());
            json!({ "kind": kind, "class": class, "severity": severity, "summary": f.summary, "why": f.why })
        });
        t.judge(&format!("{name} at {}", d.at()), &json!({ "findings": all.collect::<Vec<_>>() }));
        d.resume(go_on.clone()).expect("goroutines are woken all the time");
    }
    t.end(looks);
    d.call(Request::Detach { kill: false }).expect("it is let go");
}

/// Builds a command of a public module with the Go at hand; none, said, if it cannot be had.
fn public(module: &str, name: &str) -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("public");
    let exe = dir.join(name);
    if !exe.exists() {
        let out = common::go()
            .args(["install", module])
            .env("GOBIN", &dir)
            .env("GOTOOLCHAIN", "local")
            .env("GOFLAGS", "-p=2")
            .output()
            .expect("go runs");
        if !out.status.success() {
            println!("left out: {module} cannot be had: {}", String::from_utf8_lossy(&out.stderr).trim());
            return None;
        }
    }
    Some(exe)
}

/// A port nobody has at the moment.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port()
}

/// Starts a server and waits until it answers at its port.
fn serve(c: &mut Command, port: u16) -> Program {
    let p = Program(c.stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null()).spawn().expect("it starts"));
    let deadline = Instant::now() + common::PATIENCE;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "{c:?} does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    p
}

/// Connections that send `text` again and again, and read what comes, while `f` runs.
fn under_load(port: u16, first: &str, text: &str, anew: bool, f: impl FnOnce()) {
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|s| {
        for _ in 0..8 {
            s.spawn(|| {
                let mut buf = [0; 16384];
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let Ok(mut c) = TcpStream::connect(("127.0.0.1", port)) else { break };
                    let _unset = c.set_read_timeout(Some(Duration::from_millis(20)));
                    let mut ok = c.write_all(first.as_bytes()).is_ok();
                    while ok && !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        ok = c.write_all(text.as_bytes()).is_ok() && !anew;
                        let _nothing_yet = c.read(&mut buf);
                    }
                }
            });
        }
        f();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn public_servers() {
    let mut t = Tally::default();
    let dir = tempfile::tempdir().unwrap();
    if let Some(exe) = public("github.com/nats-io/nats-server/v2@v2.11.4", "nats-server") {
        let port = free_port();
        let p = serve(
            Command::new(exe).args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"]).arg(dir.path()),
            port,
        );
        let hello = "CONNECT {\"verbose\":false}\r\nSUB a.* 1\r\nSUB b 2\r\n";
        under_load(port, hello, &"PUB a.b 5\r\nhello\r\nPUB b 2\r\nhi\r\nPING\r\n".repeat(50), false, || {
            t.look_at("nats-server", p.pid(), 4 * looks());
        });
        t.look_at("nats-server idle", p.pid(), looks());
    }
    if let Some(exe) = public("github.com/hashicorp/serf/cmd/serf@v0.10.1", "serf") {
        // Two that gossip.
        let at = |p: u16| format!("127.0.0.1:{p}");
        let agent = |node: &str, bind: u16, rpc: u16| {
            let mut c = Command::new(&exe);
            c.args(["agent", "-profile=local", "-node", node, "-bind", &at(bind), "-rpc-addr", &at(rpc)]);
            c
        };
        let (a, b, ar, br) = (free_port(), free_port(), free_port(), free_port());
        let p = serve(&mut agent("a", a, ar), ar);
        let _other = serve(agent("b", b, br).args(["-join", &at(a)]), br);
        under_load(ar, "", "\u{82}", true, || t.look_at("serf", p.pid(), 4 * looks()));
        t.look_at("serf idle", p.pid(), looks());
    }
    t.end(0);
}

#[test]
fn tools_that_serve() {
    let dir = tempfile::tempdir().unwrap();
    let exe = common::build("healthy", common::DEFAULT);
    assert!(Command::new(exe).arg("write").env("WRITE_TO", dir.path()).status().expect("it runs").success());
    let mut t = Tally::default();
    for (tool, args, file) in [("pprof", &["-no_browser"][..], "cpu"), ("trace", &[], "trace")] {
        let out = common::go().args(["tool", "-n", tool]).output().expect("go runs");
        let path = String::from_utf8(out.stdout).unwrap();
        if !out.status.success() || !Path::new(path.trim()).exists() {
            println!("left out: go tool {tool} is not there");
            continue;
        }
        let port = free_port();
        let mut c = Command::new(path.trim());
        c.args(args).arg(format!("-http=127.0.0.1:{port}")).arg(dir.path().join(file)).env("BROWSER", "true");
        let p = serve(&mut c, port);
        let get = ["/", "/ui/top", "/ui/", "/goroutines", "/jsontrace"]
            .map(|u| format!("GET {u} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n"))
            .concat();
        under_load(port, "", &get, true, || t.look_at(tool, p.pid(), 2 * looks()));
    }
    t.end(0);
}

/// The go command and its compilers at work.
#[test]
fn a_build_under_way() {
    let cache = tempfile::tempdir().unwrap();
    let mut c = common::go();
    c.args(["build", "-p", "4", "net/http"]).env("GOCACHE", cache.path()).current_dir(common::source_dir("steps"));
    let mut build = Program(c.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("go runs"));
    let mut t = Tally::default();
    let mut compilers = 0;
    while build.0.try_wait().expect("waited").is_none() && t.looks < 40 * looks() {
        let children = std::fs::read_dir(format!("/proc/{}/task", build.pid())).into_iter().flatten().flatten();
        let children = children.filter_map(|t| std::fs::read_to_string(t.path().join("children")).ok());
        let pids: Vec<u32> = children
            .flat_map(|s| s.split_whitespace().filter_map(|p| p.parse().ok()).collect::<Vec<u32>>())
            .chain([build.pid()])
            .collect();
        for pid in pids {
            let way = if t.looks % 5 == 4 { &["--consistent"][..] } else { &[] };
            let pid_text = pid.to_string();
            let out = common::oneshot::adit(&[&["diagnose", &pid_text], way, &["--json"]].concat());
            // A compiler that ended meanwhile gives an error.
            let v: Value = serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{pid}: {e}"));
            if v.get("error").is_none() {
                compilers += u32::from(pid != build.pid());
                t.judge(if pid == build.pid() { "go build" } else { "compile" }, &v);
            }
        }
    }
    assert!(build.0.wait().expect("waited").success(), "the build that was looked at failed");
    println!("{compilers} of them at compilers");
    t.end(10);
}
