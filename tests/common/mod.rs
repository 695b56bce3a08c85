//! Real Go programs for tests: built once per (program, flags, toolchain) and kept; and a session with a real host process.
#![allow(dead_code)] // each test file uses its part

pub mod boxes;
pub mod dap;
pub mod dice;
pub mod dlv;
pub mod headless;
pub mod heart;
pub mod keys;
pub mod listening;
pub mod network;
pub mod oneshot;
pub mod screen;
pub mod seen;

use adit::backend::client::Client;
use adit::backend::host;
use adit::backend::protocol::*;
use adit::model::*;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Unoptimised, as for debugging.
pub const DEBUG: &[&str] = &["-gcflags=all=-N -l"];
/// As released.
pub const DEFAULT: &[&str] = &[];

static BUILDS: Mutex<()> = Mutex::new(());

/// The go command: `ADIT_GO` (set by the Makefile when it had to install one), else the one on PATH.
pub fn go() -> Command {
    Command::new(std::env::var("ADIT_GO").unwrap_or_else(|_| "go".into()))
}

/// Waits until something is so, for so long at most: how long it took.
pub fn within(most: Duration, what: impl Fn() -> bool) -> Option<Duration> {
    let begun = Instant::now();
    loop {
        match (what(), begun.elapsed()) {
            (true, t) => return Some(t),
            (false, t) if t > most => return None,
            _ => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// Path of a program under tests/programs.
pub fn source_dir(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(name)
}

/// Builds tests/programs/NAME.
pub fn build(name: &str, flags: &[&str]) -> PathBuf {
    build_with(name, flags, "")
}

/// As [`build`] with another toolchain (`go1.22.10`), empty for the one at hand.
pub fn build_with(name: &str, flags: &[&str], toolchain: &str) -> PathBuf {
    let _one_at_a_time = BUILDS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let dir = source_dir(name);
    let tag: String = flags.join("_").chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{tag}-{toolchain}"));
    let newest = std::fs::read_dir(&dir)
        .expect("a program's folder")
        .flatten()
        .filter_map(|e| e.metadata().ok()?.modified().ok())
        .max()
        .expect("sources");
    if std::fs::metadata(&out).and_then(|m| m.modified()).is_ok_and(|t| t > newest) {
        return out;
    }
    let tmp = out.with_extension(format!("new{}", std::process::id()));
    let mut c = go();
    c.current_dir(&dir).arg("build").args(flags).arg("-o").arg(&tmp).arg(".");
    if !toolchain.is_empty() {
        c.env("GOTOOLCHAIN", toolchain);
    }
    let done = c.output().expect("the go command runs");
    assert!(done.status.success(), "go build {name}: {}", String::from_utf8_lossy(&done.stderr));
    std::fs::rename(&tmp, &out).expect("the binary in its place");
    out
}

/// A session with a host process of its own.
pub struct Debuggee {
    pub client: Client,
    pub target: TargetInfo,
    pub stop: Option<Stop>,
    pub output: String,
    pub exited: Option<(Option<i32>, Option<String>)>,
    /// What breakpoints recorded.
    pub hits: Vec<Hit>,
    pub lost: u64,
    /// Breakpoints as last heard of.
    pub breakpoints: std::collections::BTreeMap<adit::base::BreakpointId, Breakpoint>,
    /// Lines for the log.
    pub logs: Vec<String>,
    /// So often it was said to run again.
    pub resumed: usize,
    /// Longest wait for anything.
    pub patience: Duration,
    /// How long the target stood, as last heard.
    pub budget: Option<BudgetState>,
}

/// Longest wait for anything in a test.
pub const PATIENCE: Duration = Duration::from_secs(30);

impl Debuggee {
    pub fn open(spec: TargetSpec) -> Result<Debuggee, Failure> {
        Debuggee::open_in(spec, "dev")
    }
    pub fn open_in(spec: TargetSpec, profile: &str) -> Result<Debuggee, Failure> {
        let client = host::start_from(Path::new(env!("CARGO_BIN_EXE_adit")), profile)?;
        Debuggee::over(client, spec)
    }
    pub fn over(mut client: Client, spec: TargetSpec) -> Result<Debuggee, Failure> {
        client.call(Request::Hello { version: PROTOCOL_VERSION })?;
        match client.call(Request::Open(spec))? {
            Reply::Opened { target, stop, .. } => Ok(Debuggee {
                client,
                target: (*target).clone(),
                stop,
                output: String::new(),
                exited: None,
                hits: Vec::new(),
                lost: 0,
                breakpoints: Default::default(),
                logs: Vec::new(),
                resumed: 0,
                patience: PATIENCE,
                budget: None,
            }),
            other => panic!("unexpected {other:?}"),
        }
    }
    pub fn launch(exe: &Path, args: &[&str]) -> Debuggee {
        let spec = LaunchSpec {
            exe: exe.to_path_buf(),
            args: args.iter().map(|s| s.to_string()).collect(),
            size: (80, 24),
            ..LaunchSpec::default()
        };
        Debuggee::open(TargetSpec::Launch(spec)).unwrap_or_else(|e| panic!("launch {}: {e}", exe.display()))
    }
    pub fn attach(pid: i32) -> Debuggee {
        let spec = TargetSpec::Attach { pid, exe: None, control: true };
        Debuggee::open(spec).unwrap_or_else(|e| panic!("attach {pid}: {e}"))
    }
    pub fn call(&mut self, r: Request) -> Result<Reply, Failure> {
        let mut notices = Vec::new();
        let result = self.client.call_with(r, |n| notices.push(n));
        for n in notices {
            self.note(n);
        }
        result
    }
    fn note(&mut self, n: Notice) -> bool {
        match n {
            Notice::Stopped(s) => {
                self.stop = Some(*s);
                return true;
            }
            Notice::Output(b) => self.output += &String::from_utf8_lossy(&b),
            Notice::Exited { status, signal } => {
                self.exited = Some((status, signal));
                return true;
            }
            Notice::Detached { .. } => return true,
            Notice::Log { text, .. } => self.logs.push(text),
            Notice::Resumed { .. } => self.resumed += 1,
            Notice::Target(t) => self.target = (*t).clone(),
            Notice::Breakpoint(b) => drop(self.breakpoints.insert(b.id, *b)),
            Notice::Budget(b) => self.budget = Some(*b),
            Notice::BreakpointGone(id) => drop(self.breakpoints.remove(&id)),
            Notice::Hits { hits, lost } => {
                self.hits.extend(hits);
                self.lost = lost;
            }
            _ => {}
        }
        false
    }
    /// Sets a breakpoint.
    pub fn break_at(&mut self, place: &str) -> Breakpoint {
        match self.call(Request::SetBreakpoint { spec: BreakpointSpec::at(place), frame: FrameRef::default() }) {
            Ok(Reply::Breakpoint(b)) => *b,
            other => panic!("break {place}: {other:?}"),
        }
    }
    /// Goes on and waits for the next stop or the end.
    pub fn resume(&mut self, kind: ResumeKind) -> Option<Stop> {
        self.stop = None;
        let what = format!("{kind:?}");
        self.call(Request::Resume { kind, goroutine: None }).unwrap_or_else(|e| panic!("{what}: {e}"));
        self.wait_stop()
    }
    /// Takes the next notice in, if one comes in time.
    pub fn notice_within(&mut self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        loop {
            match self.client.try_recv() {
                Some(adit::backend::protocol::FromHost::Notice(n)) => {
                    self.note(n);
                    return true;
                }
                Some(_) => {}
                None if Instant::now() > deadline => return false,
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }
    /// Waits for a stop (some) or the end (none).
    pub fn wait_stop(&mut self) -> Option<Stop> {
        let deadline = Instant::now() + self.patience;
        while self.stop.is_none() && self.exited.is_none() {
            assert!(Instant::now() < deadline, "nothing happened; output so far: {}", self.output);
            match self.client.blocking_notice() {
                Some(n) => drop(self.note(n)),
                None => break,
            }
        }
        self.stop.clone()
    }
    /// `function:line` of the present stop, without the package path.
    pub fn at(&self) -> String {
        self.stop
            .as_ref()
            .map_or_else(|| format!("{:?}", self.exited), |s| format!("{}:{}", s.at.short_function(), s.at.line))
    }
    /// Runs a list of steps, giving the place after each.
    pub fn walk(&mut self, kinds: &[ResumeKind]) -> Vec<String> {
        kinds
            .iter()
            .map(|k| {
                self.resume(k.clone());
                self.at()
            })
            .collect()
    }
}

/// A figure that is right once in so many times: what others do on the machine can only spoil it.
pub fn measured(times: usize, measure: impl Fn() -> Result<(), String>) {
    first_of(times, measure);
}

/// What came out right the first of so many times; what others do on the machine can only spoil it.
pub fn first_of<T>(times: usize, mut measure: impl FnMut() -> Result<T, String>) -> T {
    let mut tried = Vec::new();
    while tried.len() < times {
        match measure() {
            Ok(right) => return right,
            Err(why) => tried.push(why),
        }
    }
    panic!("{}", tried.join("\n"));
}

/// A line of a program that contains `text`, from 1.
pub fn line_of(name: &str, text: &str) -> u32 {
    let src = std::fs::read_to_string(source_dir(name).join("main.go")).expect("a source file");
    src.lines().position(|l| l.contains(text)).unwrap_or_else(|| panic!("{text} in {name}")) as u32 + 1
}

/// Connects to a socket that is just coming up.
pub fn socket(path: &Path) -> std::io::Result<std::os::unix::net::UnixStream> {
    let begun = Instant::now();
    loop {
        match std::os::unix::net::UnixStream::connect(path) {
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionRefused && begun.elapsed() < Duration::from_secs(2) => {
                std::thread::sleep(Duration::from_millis(2));
            }
            other => return other,
        }
    }
}
