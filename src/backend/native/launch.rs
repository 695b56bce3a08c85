//! Opening targets, building, restarting, and the program's terminal.

use super::budget::{Budget, Limits};
use super::inspect::Inspector;
use super::timeline::Lines;
use super::{Host, caps, from_engine, from_open};
use crate::backend::dump::DumpTarget;
use crate::backend::files::{FileKind, recognise};
use crate::backend::lines::LinesTarget;
use crate::backend::profile::{self, ProfileDesk};
use crate::backend::protocol::*;
use crate::backend::trace::TraceTarget;
use crate::engine::open::load_symbols;
use crate::engine::{Engine, Happened, Loaded};
use crate::model::Stop;
use crate::target::linux::{procfs, spawn, sys};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a launched program may take to reach `main.main` (its init functions run before).
const START_PATIENCE: Duration = Duration::from_secs(60);

impl Host {
    /// Opens a target; for a client whose line broke, the one that is open already.
    pub(super) fn open_or_again(&mut self, spec: TargetSpec) -> Result<Reply, Failure> {
        let spec = match (spec, &self.started_for) {
            (TargetSpec::Here, Some(s)) => s.clone(),
            (TargetSpec::Here, None) => {
                return Err(Failure::new(FailureKind::BadRequest, "this host was started for no process")
                    .fix("adit host --listen unix:PATH PID"));
            }
            (other, Some(s)) if other != *s => {
                return Err(Failure::new(
                    FailureKind::Permission,
                    "this host was started for one process, and serves no other",
                ));
            }
            (other, _) => other,
        };
        if let Some((opened, Reply::Opened { target, caps, .. })) = &self.opened
            && *opened == spec
        {
            let stands = self.kept || self.engine.as_ref().is_some_and(|e| !e.is_running() && !e.is_gone());
            let stop = self.last_stop.clone().filter(|_| stands);
            // Who comes back, or anew, has not heard how much time is left.
            self.told = None;
            return Ok(Reply::Opened { target: target.clone(), caps: *caps, stop });
        }
        let reply = self.open(spec.clone())?;
        self.opened = Some((spec, reply.clone()));
        Ok(reply)
    }

    fn open(&mut self, spec: TargetSpec) -> Result<Reply, Failure> {
        if self.loaded.is_some() || self.offline.is_some() {
            return Err(Failure::new(FailureKind::BadState, "a target is open already"));
        }
        self.hide_secrets(&spec);
        match spec {
            TargetSpec::Attach { pid, exe, control } => {
                if control {
                    crate::target::linux::procfs::check_attachable(pid)
                        .map_err(|e| from_open(&crate::engine::OpenError::Target(e)))?;
                }
                let loaded = Loaded::open(pid, exe.as_deref()).map_err(|e| from_open(&e))?;
                if control {
                    // Parse before attaching, so that nothing has to be parsed while the target stands.
                    index(&loaded.sym);
                    let mut engine = Engine::attach(&loaded).map_err(|e| from_open(&e))?;
                    engine.set_guard(self.guard());
                    if let Some(adit) = &self.adit
                        && let Err(e) = engine.be_guarded(adit)
                    {
                        let text = format!("{e}; if this host is killed, `adit rescue {pid}` puts the text back");
                        self.outbox.notice(Notice::Log { level: LogLevel::Warn, text });
                    }
                    self.engine = Some(engine);
                }
                Ok(self.opened(loaded, Vec::new(), None))
            }
            TargetSpec::Here => Err(Failure::new(FailureKind::Internal, "nothing is here")),
            TargetSpec::Profile { sources, base } => {
                Ok(self.offline.insert(Box::new(ProfileDesk::open(&sources, &base)?)).opened())
            }
            TargetSpec::Delve(_) => {
                let text = "this host's clients are limited or recorded, and a remote dlv knows neither";
                Err(Failure::new(FailureKind::Permission, text).fix("adit connect ADDR starts a host of its own"))
            }
            TargetSpec::File { path, exe } => self.open_file(&path, exe.as_deref()),
            TargetSpec::Launch(spec) => {
                if let Some(b) = &spec.build {
                    build(b)?;
                }
                self.launch(spec, None)
            }
        }
    }

    /// A core, a snapshot or a dump, told by content.
    fn open_file(&mut self, path: &Path, exe: Option<&Path>) -> Result<Reply, Failure> {
        match recognise(path)? {
            FileKind::Core => {
                let (loaded, state) = Loaded::open_core(path, exe).map_err(|e| from_open(&e))?;
                let stop = loaded.stop_of(&state);
                self.copy = Some(Arc::new(state));
                Ok(self.opened(loaded, Vec::new(), stop))
            }
            FileKind::Lines => Ok(self.offline.insert(Box::new(LinesTarget::open(path)?)).opened()),
            FileKind::Trace => Ok(self.offline.insert(Box::new(TraceTarget::open(path)?)).opened()),
            FileKind::Dump => Ok(self.offline.insert(Box::new(DumpTarget::open(path)?)).opened()),
            FileKind::Profile => Ok(self.offline.insert(Box::new(profile::open_file(path)?)).opened()),
        }
    }

    fn opened(&mut self, loaded: Loaded, args: Vec<String>, stop: Option<Stop>) -> Reply {
        loaded.rt.set_redaction(&self.redaction);
        let control = self.engine.is_some();
        let target = Arc::new(loaded.info(self.launched.is_some(), args));
        let caps = caps(&loaded, control, self.launched.as_ref());
        if !control {
            // Types and variables are wanted soon; meanwhile goroutines need none of it.
            index(&loaded.sym);
        }
        self.inspector = Some(Inspector::start(loaded.clone()));
        // Those of an earlier process mean nothing for this one.
        self.profiles = None;
        self.sampling = None;
        self.trace = None;
        self.loaded = Some(loaded);
        Reply::Opened { target, caps, stop }
    }

    fn launch(&mut self, spec: LaunchSpec, previous: Option<Engine>) -> Result<Reply, Failure> {
        let shown = spec.exe.display().to_string();
        let sym = load_symbols(&spec.exe, &shown).map_err(|e| from_open(&e))?;
        index(&sym);
        let launch = spawn::Launch {
            exe: spec.exe.clone(),
            args: spec.args.clone(),
            cwd: spec.cwd.clone(),
            env: spec.env.clone(),
            tty: spec.tty.clone(),
            exit_kill: !spec.leave,
            size: if spec.size.0 == 0 || spec.size.1 == 0 { (80, 24) } else { spec.size },
            files: [&spec.redirects.stdin, &spec.redirects.stdout, &spec.redirects.stderr].map(Clone::clone),
            unset: spec.unset.clone(),
        };
        let (mut engine, loaded, pty) = Engine::launch(&launch, sym).map_err(|e| from_open(&e))?;
        if let Some(mut old) = previous {
            engine.adopt_breakpoints(&mut old);
        }
        let begun = match &pty {
            Some(fd) => self.read_output(fd),
            None => Ok(()),
        }
        .and_then(|()| match spec.early {
            true => engine.stay().map(Some).map_err(|e| from_engine(&e)),
            false => run_to_main(&mut engine),
        });
        let stop = begun.inspect_err(|_| {
            // Nobody else would ever end it: it would stand for as long as we live.
            if let Err(e) = engine.detach(true) {
                self.outbox.notice(Notice::Log { level: LogLevel::Error, text: format!("while ending it: {e}") });
            }
        })?;
        let args = spec.args.clone();
        self.pty = pty;
        self.launched = Some(spec);
        // It is there to be debugged.
        self.budget = Budget::new(Limits::DEV, Instant::now());
        self.engine = Some(engine);
        Ok(self.opened(loaded, args, stop))
    }

    /// What the program writes becomes notices.
    fn read_output(&mut self, fd: &OwnedFd) -> Result<(), Failure> {
        let fail =
            |e: std::io::Error| Failure::new(FailureKind::Internal, format!("cannot read the program's terminal: {e}"));
        let mut master = File::from(fd.try_clone().map_err(fail)?);
        // Weak: who waits for our last words does not wait for a program's.
        let out = self.outbox.sender().downgrade();
        let lines = Lines::new();
        self.lines = Some(lines.clone());
        let reader = move || {
            let mut buf = vec![0; 16 << 10];
            // EIO is how a pty says that the last writer is gone.
            while let Ok(n) = master.read(&mut buf) {
                lines.feed(&buf[..n]);
                if n == 0 {
                    break;
                }
                // A client that is gone is no reason to stop reading: the program would stand at its next line.
                let output = || FromHost::Notice(Notice::Output(buf[..n].to_vec()));
                let _nobody_reads_it = out.upgrade().is_some_and(|out| out.blocking_send(output()).is_ok());
            }
        };
        self.output = Some(std::thread::Builder::new().name("output".into()).spawn(reader).map_err(fail)?);
        Ok(())
    }

    /// The program has ended: its last words come before the news of it. (Not for ever: its children may hold the terminal.)
    pub(super) fn await_output(&mut self) {
        let deadline = Instant::now() + Duration::from_millis(300);
        while self.output.as_ref().is_some_and(|o| !o.is_finished()) && Instant::now() < deadline {
            self.outbox.flush();
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The end of a session whose program was left running in a terminal of ours: it is there, and read, for as long as the program uses it.
    pub(super) fn drain(self) {
        let runs = |l: &Loaded| procfs::alive(l.pid) && procfs::tracer_of(l.pid) == 0;
        let left = self.launched.is_some() && self.loaded.as_ref().is_some_and(runs);
        let Some(output) = self.output.filter(|_| left) else { return };
        drop(self.outbox);
        let _it_has_ended = output.join();
    }

    pub(super) fn restart(&mut self, rebuild: bool, args: Option<Vec<String>>) -> Result<Reply, Failure> {
        let Some(mut spec) = self.launched.clone() else {
            return Err(Failure::new(
                FailureKind::BadState,
                "adit did not launch this process and will not restart it",
            ));
        };
        if rebuild {
            let Some(b) = &spec.build else {
                return Err(Failure::new(FailureKind::BadState, "adit did not build this program")
                    .fix("rebuild it yourself, then restart"));
            };
            build(b)?; // a failed build leaves the present program alone
        }
        if let Some(a) = args {
            spec.args = a;
        }
        let mut old = self.engine.take();
        if let Some(e) = &mut old {
            e.detach(true).map_err(|e| from_engine(&e))?;
        }
        self.loaded = None;
        self.inspector = None;
        self.launch(spec, old)
    }

    pub(super) fn input(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let fd =
            self.pty.as_ref().ok_or_else(|| Failure::new(FailureKind::BadState, "the program's input is not ours"))?;
        let io = |e: std::io::Error| Failure::new(FailureKind::Gone, format!("the program's terminal: {e}"));
        File::from(fd.try_clone().map_err(io)?).write_all(bytes).map_err(io)
    }

    pub(super) fn resize(&mut self, cols: u16, rows: u16) -> Result<(), Failure> {
        if let Some(fd) = &self.pty {
            sys::set_window_size(fd.as_raw_fd(), cols, rows).map_err(|e| {
                Failure::new(FailureKind::Internal, format!("cannot resize the program's terminal: {e}"))
            })?;
        }
        if let Some(s) = &mut self.launched {
            s.size = (cols, rows);
        }
        Ok(())
    }
}

/// Starts reading DWARF on a thread of its own.
fn index(sym: &Arc<crate::symbols::Symbols>) {
    let sym = sym.clone();
    let warm = move || {
        if let Ok(d) = sym.load_dwarf() {
            d.index();
        }
    };
    let _first_question_loads_it = std::thread::Builder::new().name("index".into()).spawn(warm);
}

/// From the exec to `main.main`. None: the program ended before.
fn run_to_main(engine: &mut Engine) -> Result<Option<Stop>, Failure> {
    engine.start().map_err(|e| from_engine(&e))?;
    let deadline = Instant::now() + START_PATIENCE;
    let mut rest = Vec::new();
    loop {
        engine.pump().map_err(|e| from_engine(&e))?;
        for h in engine.take_happened() {
            match h {
                Happened::Stopped(s) => {
                    engine.put_back(rest);
                    return Ok(Some(*s));
                }
                Happened::Exited(status, signal) => {
                    let how = match (status, signal) {
                        (Some(s), _) => format!("exit status {s}"),
                        (_, Some(s)) => super::signal_name(s),
                        _ => "unknown status".into(),
                    };
                    return Err(Failure::new(FailureKind::Gone, format!("the program ended before main.main: {how}")));
                }
                Happened::Resumed(_) => {}
                other => rest.push(other),
            }
        }
        if Instant::now() > deadline {
            engine.pause().map_err(|e| from_engine(&e))?;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Runs the go command. Its complaint is the error.
fn build(b: &BuildSpec) -> Result<(), Failure> {
    let out = Command::new(&b.go).args(&b.args).current_dir(&b.cwd).output().map_err(|e| {
        Failure::new(FailureKind::Build, format!("cannot run {}: {e}", b.go.display()))
            .fix("install Go, or name it with --go")
    })?;
    if out.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&out.stderr);
    let lines: Vec<&str> = text.lines().filter(|l| !l.starts_with('#')).take(20).collect();
    Err(Failure::new(FailureKind::Build, format!("build failed: {}", lines.join(" | "))))
}
