//! Speed against Delve, measured in the same run: prints a table of medians and ratios. A program, not a test: see benches/README.md.
//!
//! `ADIT_BIN` is the release binary, `ADIT_GO` and `ADIT_DLV` the tools to build and compare with; `ADIT_BENCH` limits it to measures
//! whose name contains it; `ADIT_BENCH_MILLION=1` adds the million goroutines (8 GB in Delve).

#[path = "../tests/common/mod.rs"]
mod common;

use adit::backend::host;
use adit::backend::protocol::*;
use adit::model::*;
use common::dlv::{Dlv, dlv};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;

fn main() {
    let bin = PathBuf::from(std::env::var_os("ADIT_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_adit").into()));
    let only = std::env::var("ADIT_BENCH").unwrap_or_default();
    let b = Bench { bin, dlv: dlv() };
    println!("adit: {}", b.bin.display());
    println!("dlv:  {}", b.dlv.as_ref().map_or("none: its columns stay empty".into(), |d| d.display().to_string()));
    type Measure = (&'static str, fn(&Bench));
    let all: [Measure; 7] = [
        ("attach", Bench::attach),
        ("first-list", Bench::first_list),
        ("goroutines", Bench::goroutines),
        ("stacks", Bench::stacks),
        ("next", Bench::next),
        ("values", Bench::values),
        ("snapshot", Bench::snapshot),
    ];
    for (name, run) in all {
        if name.contains(&only) {
            println!("\n== {name}");
            run(&b);
        }
    }
}

struct Bench {
    bin: PathBuf,
    dlv: Option<PathBuf>,
}

/// A target that runs for the time of a measure, killed by pid at its end.
struct Target {
    child: Child,
    beat: File,
    _dir: tempfile::TempDir,
}

impl Target {
    fn start(exe: &Path, goroutines: usize) -> Target {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("beat");
        let mut child = Command::new(exe)
            .args([goroutines.to_string(), "600".into(), path.display().to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("output")).read_line(&mut line).expect("ready");
        let beat = File::options().read(true).write(true).open(path).expect("the heartbeat file");
        Target { child, beat, _dir: dir }
    }
    fn pid(&self) -> i32 {
        self.child.id() as i32
    }
    fn reset(&self) {
        self.beat.write_all_at(&[1], 16).expect("written");
        std::thread::sleep(Duration::from_millis(100));
    }
    fn gap(&self) -> Duration {
        std::thread::sleep(Duration::from_millis(100));
        let mut b = [0; 8];
        self.beat.read_exact_at(&mut b, 8).expect("read");
        Duration::from_nanos(u64::from_le_bytes(b))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

fn target_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/targets")
}

fn build(name: &str, flags: &[&str]) -> PathBuf {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{name}"));
    let mut c = common::go();
    c.current_dir(target_dir().join(name)).arg("build").args(flags).arg("-o").arg(&out).arg(".");
    assert!(c.status().expect("go runs").success(), "go build {name}");
    out
}

/// A program of a quarter of a million functions: 500 packages of 500, each with a body that the linker keeps; its main is `parked`.
fn build_large() -> PathBuf {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-large");
    if out.exists() {
        return out;
    }
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("large-src");
    let (packages, functions) = (500, 500);
    let mut imports = String::new();
    let mut uses = String::new();
    for p in 0..packages {
        let pkg = dir.join(format!("p{p}"));
        std::fs::create_dir_all(&pkg).expect("a folder");
        let mut text = format!("package p{p}\n\nvar F = []func(int, string) int{{\n");
        for f in 0..functions {
            text += &format!("\tf{f},\n");
        }
        text += "}\n";
        for f in 0..functions {
            text += &format!(
                "\n//go:noinline\nfunc f{f}(a int, s string) int {{\n\tt := a * {f}\n\tfor i := range s {{\n\t\tt += int(s[i]) + i\n\t}}\n\treturn t\n}}\n"
            );
        }
        std::fs::write(pkg.join("p.go"), text).expect("written");
        imports += &format!("\t\"example.com/large/p{p}\"\n");
        uses += &format!("\tall = append(all, p{p}.F...)\n");
    }
    std::fs::write(dir.join("go.mod"), "module example.com/large\n\ngo 1.21\n").expect("written");
    let tables = format!(
        "package main\n\nimport (\n{imports})\n\nvar all []func(int, string) int\n\nfunc init() {{\n{uses}}}\n"
    );
    std::fs::write(dir.join("tables.go"), tables).expect("written");
    std::fs::copy(target_dir().join("parked/main.go"), dir.join("main.go")).expect("copied");
    println!("building the large program (once)…");
    let ok =
        common::go().current_dir(&dir).args(["build", "-o"]).arg(&out).arg(".").status().expect("go runs").success();
    assert!(ok, "go build large");
    out
}

fn median(mut v: Vec<Duration>) -> Duration {
    v.sort();
    v.get(v.len() / 2).copied().unwrap_or_default()
}

fn at(v: &[Duration], share: f64) -> Duration {
    let mut v = v.to_vec();
    v.sort();
    v.get(((v.len() as f64 * share) as usize).min(v.len().saturating_sub(1))).copied().unwrap_or_default()
}

fn ms(d: Duration) -> String {
    format!("{:.2} ms", d.as_secs_f64() * 1e3)
}

fn row(what: &str, ours: Duration, theirs: Option<Duration>) {
    match theirs {
        Some(t) => println!(
            "{what:52} adit {:>11}   dlv {:>11}   ratio {:.0}x",
            ms(ours),
            ms(t),
            t.as_secs_f64() / ours.as_secs_f64().max(1e-9)
        ),
        None => println!("{what:52} adit {:>11}", ms(ours)),
    }
}

/// Peak memory of a child, sampled from outside while it runs.
fn watch(mut c: Command) -> (Duration, u64) {
    let t0 = Instant::now();
    let mut child = c.spawn().expect("started");
    let mut peak = 0;
    let path = format!("/proc/{}/status", child.id());
    loop {
        let hwm = std::fs::read_to_string(&path).ok().and_then(|s| {
            s.lines().find_map(|l| l.strip_prefix("VmHWM:")?.trim().trim_end_matches(" kB").trim().parse::<u64>().ok())
        });
        peak = peak.max(hwm.unwrap_or(0));
        if let Ok(Some(status)) = child.try_wait() {
            assert!(status.success(), "{status}");
            return (t0.elapsed(), peak);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

impl Bench {
    fn adit(&self, args: &[&str]) -> Command {
        let mut c = Command::new(&self.bin);
        c.args(args).stdout(Stdio::null()).stderr(Stdio::inherit());
        c
    }

    /// `dlv attach`, a list of commands, detach: time, memory of none.
    fn dlv_attach(&self, pid: i32, commands: &[&str]) -> Option<Duration> {
        use std::io::Write;
        let t0 = Instant::now();
        let mut c = Command::new(self.dlv.as_ref()?);
        c.args(["attach", &pid.to_string(), "--allow-non-terminal-interactive=true", "--check-go-version=false"]);
        let mut child = c.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        let mut stdin = child.stdin.take()?;
        for line in commands {
            writeln!(stdin, "{line}").ok()?;
        }
        writeln!(stdin, "exit\nn").ok()?;
        drop(stdin);
        child.wait().ok()?;
        Some(t0.elapsed())
    }

    /// The first screen as the client asks for it: attach, groups, detach.
    fn adit_first_screen(&self, pid: i32) {
        let mut c = host::start_from(&self.bin, "dev").expect("a host");
        let mut call = |r| c.call(r).unwrap_or_else(|e| panic!("{e}"));
        call(Request::Hello { version: PROTOCOL_VERSION });
        call(Request::Open(TargetSpec::Attach { pid, exe: None, control: true }));
        let filter = GoroutineFilter::default();
        call(Request::Groups(GroupQuery { filter: filter.clone(), by: GroupBy::User, start: 0, count: 40 }));
        call(Request::Goroutines(GoroutineQuery {
            filter,
            start: 0,
            count: 40,
            stack: 0,
            defers: false,
            names: false,
        }));
        call(Request::Detach { kill: false });
    }

    fn attach(&self) {
        for (name, exe) in [("small binary", build("parked", &[])), ("250,000 functions", build_large())] {
            let t = Target::start(&exe, 100);
            let gap_of = |act: &dyn Fn()| {
                let gaps = (0..ROUNDS).map(|_| {
                    t.reset();
                    act();
                    t.gap()
                });
                median(gaps.collect())
            };
            let idle = gap_of(&|| std::thread::sleep(Duration::from_secs(1)));
            let ours = gap_of(&|| self.adit_first_screen(t.pid()));
            let theirs = self.dlv.as_ref().map(|_| gap_of(&|| assert!(self.dlv_attach(t.pid(), &[]).is_some())));
            println!("longest gap of a 1 ms heartbeat, {name}: idle {}", ms(idle));
            row(&format!("  attach, first screen, detach; {name}"), ours, theirs);
        }
    }

    fn first_list(&self) {
        let t = Target::start(&build_large(), 100);
        let pid = t.pid().to_string();
        let ours = (0..ROUNDS).map(|_| watch(self.adit(&["goroutines", &pid])).0).collect();
        let theirs: Vec<_> = (0..3).filter_map(|_| self.dlv_attach(t.pid(), &["goroutines"])).collect();
        row("start to first list, 250,000 functions", median(ours), (!theirs.is_empty()).then(|| median(theirs)));
    }

    fn goroutines(&self) {
        let exe = build("parked", &[]);
        let mut sizes = vec![10_000, 100_000];
        if std::env::var_os("ADIT_BENCH_MILLION").is_some() {
            sizes.push(1_000_000);
        }
        for n in sizes {
            let t = Target::start(&exe, n);
            let pid = t.pid().to_string();
            let runs: Vec<(Duration, u64)> =
                (0..ROUNDS).map(|_| watch(self.adit(&["goroutines", &pid, "--json"]))).collect();
            let peak = runs.iter().map(|r| r.1).max().unwrap_or(0);
            let rounds = if n > 200_000 { 0 } else { 2 };
            let theirs: Vec<_> = (0..rounds).filter_map(|_| self.dlv_attach(t.pid(), &["goroutines"])).collect();
            let theirs = (!theirs.is_empty()).then(|| median(theirs));
            row(
                &format!("goroutines --json, {n}; adit peak {} MB", peak / 1024),
                median(runs.iter().map(|r| r.0).collect()),
                theirs,
            );
        }
    }

    fn stacks(&self) {
        let t = Target::start(&build("parked", &[]), 100_000);
        let pid = t.pid().to_string();
        let ours = (0..3).map(|_| watch(self.adit(&["goroutines", &pid, "--json", "--stack", "50"])).0).collect();
        let theirs = self.dlv_attach(t.pid(), &["goroutines -t"]);
        row("all stacks of 100,000", median(ours), theirs);
    }

    /// How long a process stands for a copy of all its memory, by our own word and by its heartbeat; and the list from the file.
    fn snapshot(&self) {
        let exe = build("parked", &[]);
        let dir = tempfile::tempdir().expect("a folder");
        for n in [10_000, 100_000] {
            let t = Target::start(&exe, n);
            let pid = t.pid().to_string();
            let file = dir.path().join("copy");
            let path = file.to_str().expect("a path");
            let (mut said, mut gaps) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                t.reset();
                let mut c = self.adit(&["snapshot", &pid, "-o", path, "--force", "--json"]);
                let out = c.stdout(Stdio::piped()).output().expect("adit runs");
                let v: serde_json::Value = serde_json::from_slice(&out.stdout).expect("JSON");
                said.push(Duration::from_micros(v["pause_us"].as_u64().expect("a pause")));
                gaps.push(t.gap());
            }
            let size = std::fs::metadata(&file).expect("a file").len() >> 20;
            let list = (0..ROUNDS).map(|_| watch(self.adit(&["goroutines", path, "--json"])).0).collect();
            let dump = dir.path().join("dlv");
            t.reset();
            let whole = self.dlv_attach(t.pid(), &[&format!("dump {}", dump.display())]);
            let theirs = whole.map(|_| t.gap());
            row(&format!("copy of {n} goroutines, {size} MiB: it stands for"), median(said), None);
            row("  longest gap of its heartbeat", median(gaps), theirs);
            row("  goroutines --json from the file", median(list), None);
        }
    }

    fn next(&self) {
        let exe = build("parked", &["-gcflags=all=-N -l"]);
        let t = Target::start(&exe, 100_000);
        let mut c = host::start_from(&self.bin, "dev").expect("a host");
        let mut call = |r: Request| {
            let mut stopped = None;
            let reply =
                c.call_with(r.clone(), |n| stopped = if let Notice::Stopped(s) = n { Some(s) } else { stopped.take() });
            reply.unwrap_or_else(|e| panic!("{r:?}: {e}"));
            if matches!(r, Request::Resume { .. }) {
                while stopped.is_none() {
                    match c.blocking_notice() {
                        Some(Notice::Stopped(s)) => stopped = Some(s),
                        Some(_) => {}
                        None => panic!("host gone"),
                    }
                }
            }
        };
        call(Request::Hello { version: PROTOCOL_VERSION });
        call(Request::Open(TargetSpec::Attach { pid: t.pid(), exe: None, control: true }));
        call(Request::Pause);
        call(Request::Resume { kind: ResumeKind::To("main.work".into()), goroutine: None });
        let resume = |kind| Request::Resume { kind, goroutine: None };
        let mut times = Vec::new();
        for _ in 0..60 {
            for _ in 0..4 {
                let t0 = Instant::now();
                call(resume(ResumeKind::Next));
                times.push(t0.elapsed());
            }
            call(resume(ResumeKind::To("main.work".into())));
        }
        call(Request::Detach { kill: false });
        let mut theirs = Vec::new();
        if let Some(dlv) = &self.dlv {
            let mut d = Dlv::attach(dlv, t.pid());
            d.run("break main.work");
            for _ in 0..20 {
                d.run("continue");
                for _ in 0..4 {
                    let t0 = Instant::now();
                    d.run("next");
                    theirs.push(t0.elapsed());
                }
            }
            d.run("clearall");
        }
        let theirs = |share| (!theirs.is_empty()).then(|| at(&theirs, share));
        row(&format!("next, 100,000 goroutines, median of {}", times.len()), at(&times, 0.5), theirs(0.5));
        row("next, 100,000 goroutines, 99th percentile", at(&times, 0.99), theirs(0.99));
    }

    fn values(&self) {
        let exe = build("bigdata", &["-gcflags=all=-N -l"]);
        let mut c = host::start_from(&self.bin, "dev").expect("a host");
        let spec = LaunchSpec { exe: exe.clone(), size: (80, 24), ..LaunchSpec::default() };
        c.call(Request::Hello { version: PROTOCOL_VERSION }).expect("hello");
        c.call(Request::Open(TargetSpec::Launch(spec))).expect("launched");
        let src = std::fs::read_to_string(target_dir().join("bigdata/main.go")).expect("source");
        let line = src.lines().position(|l| l.contains("// BP")).expect("a mark") + 1;
        let place = format!("main.go:{line}");
        c.call(Request::SetBreakpoint { spec: BreakpointSpec::at(&place), frame: FrameRef::default() }).expect("set");
        c.call(Request::Resume { kind: ResumeKind::Continue, goroutine: None }).expect("resumed");
        while !matches!(c.blocking_notice(), Some(Notice::Stopped(_)) | None) {}
        let mut d = self.dlv.as_ref().map(|p| {
            let mut d = Dlv::exec(p, &exe, &[]);
            d.run(&format!("break {place}"));
            d.run("continue");
            d
        });
        for e in ["m[999999]", "s[\"rec-999999\"]", "m", "xs"] {
            let mut ours = Vec::new();
            for _ in 0..ROUNDS {
                let t0 = Instant::now();
                let r = c.call(Request::Eval {
                    frame: FrameRef::default(),
                    expression: e.into(),
                    limits: LoadLimits::default(),
                });
                ours.push(t0.elapsed());
                assert!(r.is_ok(), "{e}: {r:?}");
            }
            let theirs = d.as_mut().map(|d| {
                let t0 = Instant::now();
                d.run(&format!("print {e}"));
                t0.elapsed()
            });
            row(&format!("print {e} of 1,000,000"), median(ours), theirs);
        }
        c.call(Request::Detach { kill: true }).expect("ended");
    }
}
