//! How many hits a second a running program keeps: conditions that do not hold, log points, watchpoints, trace points, and a server
//! under load, each against Delve in the same run. See benches/README.md.
#![allow(clippy::expect_used, clippy::unwrap_used)]

#[path = "../tests/common/mod.rs"]
mod common;
mod target;

use adit::backend::client::Client;
use adit::backend::host;
use adit::backend::protocol::*;
use adit::model::{Access, BreakpointSpec};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use target::{Target, adit, build};

const ROUNDS: usize = 5;
const SECONDS: f64 = 2.0;

/// A target with its counters.
struct Hot {
    target: Target,
    file: File,
    _dir: tempfile::TempDir,
}

impl Hot {
    fn start(args: &[&str]) -> Hot {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("count");
        let mut all = vec!["120".to_string(), path.display().to_string()];
        all.extend(args.iter().map(|s| s.to_string()));
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let target = Target::start(&build("hot"), &all);
        Hot { target, file: File::open(&path).expect("the counters"), _dir: dir }
    }
    fn count(&self) -> u64 {
        let mut b = [0; 4096];
        self.file.read_exact_at(&mut b, 0).expect("read");
        b.chunks_exact(8).map(|w| u64::from_le_bytes(w.try_into().expect("a word"))).sum()
    }
    /// Calls a second.
    fn rate(&self) -> f64 {
        std::thread::sleep(Duration::from_millis(300));
        let (t0, from) = (Instant::now(), self.count());
        std::thread::sleep(Duration::from_secs_f64(SECONDS));
        (self.count() - from) as f64 / t0.elapsed().as_secs_f64()
    }
}

fn call(c: &mut Client, r: Request) -> Reply {
    c.call_with(r, |_| {}).unwrap_or_else(|e| panic!("{e}"))
}

fn ours(hot: &Hot, spec: &BreakpointSpec) -> f64 {
    let mut c = host::start_from(&adit()).expect("a host");
    call(&mut c, Request::Hello { version: PROTOCOL_VERSION });
    let pid = hot.target.0.id() as i32;
    call(&mut c, Request::Open(TargetSpec::Attach { pid, exe: None, control: true }));
    call(&mut c, Request::SetBreakpoint { spec: spec.clone(), frame: FrameRef::default() });
    // The client reads what comes, as a screen would.
    let rate = std::thread::scope(|s| {
        let reader = s.spawn(|| hot.rate());
        while !reader.is_finished() {
            let _news = c.try_recv();
            std::thread::sleep(Duration::from_millis(5));
        }
        reader.join().expect("measured")
    });
    call(&mut c, Request::Detach { kill: false });
    rate
}

/// The same with `dlv attach`, its commands up to a `continue` that does not come back.
fn theirs(hot: &Hot, dlv: &PathBuf, commands: &[&str]) -> f64 {
    let mut c = Command::new(dlv);
    c.args(["attach", &hot.target.pid(), "--allow-non-terminal-interactive=true", "--check-go-version=false"]);
    let mut child = c.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("dlv starts");
    let mut stdin = child.stdin.take().expect("stdin");
    let out = child.stdout.take().expect("stdout");
    let reads = std::thread::spawn(move || BufReader::new(out).lines().map_while(Result::ok).count());
    for line in commands {
        writeln!(stdin, "{line}").expect("written");
    }
    std::thread::sleep(Duration::from_millis(1500));
    let rate = hot.rate();
    let _gone = child.kill();
    let _status = child.wait();
    let _lines = reads.join();
    rate
}

fn median(mut v: Vec<f64>) -> f64 {
    v.sort_by(f64::total_cmp);
    v[v.len() / 2]
}

fn condition() -> BreakpointSpec {
    BreakpointSpec { condition: "i == -1".into(), ..BreakpointSpec::at("main.hit") }
}

fn main() {
    let only = std::env::var("ADIT_BENCH").unwrap_or_default();
    let dlv = common::dlv::dlv();
    let quick = std::env::var_os("ADIT_BENCH_QUICK").is_some();
    let rounds = if quick { 1 } else { ROUNDS };
    let mut log = BreakpointSpec::at("main.hit");
    log.actions.run_on = true;
    log.actions.log = "i is {i}".into();
    let mut trace = BreakpointSpec::at("main.hit");
    trace.actions.run_on = true;
    trace.actions.trace = true;
    let watch =
        BreakpointSpec { condition: "main.cell == -1".into(), ..BreakpointSpec::watch("main.cell", Access::Write) };
    let condition_of_dlv = ["break main.hit", "condition 1 i == -1", "continue"];
    let all: [(&str, &[&str], BreakpointSpec, &[&str]); 7] = [
        ("condition, 1 thread", &["1", "0"], condition(), &condition_of_dlv),
        ("condition, 1 hot and 7 spinning", &["1", "7"], condition(), &condition_of_dlv),
        ("condition, 8 hot", &["8", "0"], condition(), &condition_of_dlv),
        ("condition, served", &["served"], condition(), &condition_of_dlv),
        ("log point", &["1", "0"], log, &["trace main.hit", "on 1 print i", "continue"]),
        (
            "watchpoint, value not met",
            &["1", "0"],
            watch,
            &["watch -w main.cell", "condition 1 main.cell == -1", "continue"],
        ),
        ("trace point", &["1", "0"], trace, &["trace main.hit", "continue"]),
    ];
    for (name, args, spec, commands) in all {
        if !name.contains(&only) {
            continue;
        }
        let (mut a, mut d) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            a.push(ours(&Hot::start(args), &spec));
            if let (Some(dlv), false) = (&dlv, quick) {
                d.push(theirs(&Hot::start(args), dlv, commands));
            }
        }
        let (low, high) = (a.iter().copied().fold(f64::MAX, f64::min), a.iter().copied().fold(0.0, f64::max));
        let a = median(a);
        match d.is_empty() {
            true => println!("{name:34} adit {a:>9.0} ({low:.0} to {high:.0})"),
            false => {
                let d = median(d);
                println!("{name:34} adit {a:>9.0} ({low:.0} to {high:.0})   dlv {d:>7.0}   {:.1}x", a / d);
            }
        }
    }
}
