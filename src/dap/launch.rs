//! Getting a target: launch, attach, restart.

use super::config::{self, Attach, Common, Launch, Mode};
use super::message::{Call, Incoming, Trouble, id, sentence};
use super::paths;
use super::redirect::Pipe;
use super::session::{Going, Phase, Session, Target, failed, unexpected};
use crate::backend::protocol::*;
use crate::model::TargetKind;
use crate::target::linux::procfs;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often processes are looked through for one to appear.
const LOOK: Duration = Duration::from_millis(20);

fn launch_failed(why: impl Into<String>) -> Trouble {
    Trouble::new(id::LAUNCH, "Failed to launch", why).shown()
}

fn attach_failed(why: impl Into<String>) -> Trouble {
    Trouble::new(id::ATTACH, "Failed to attach", why).shown()
}

/// The folder against which paths of a configuration are meant.
fn base(l: &Launch) -> Result<PathBuf, Trouble> {
    let here = std::env::current_dir().map_err(|e| launch_failed(format!("current folder: {e}")))?;
    let dir = here.join(&l.dlv_cwd);
    if dir.is_dir() {
        return Ok(dir);
    }
    Err(launch_failed(format!("failed to chdir to {:?} - no such folder", l.dlv_cwd)))
}

impl Session {
    pub async fn launch(&mut self, c: &Call) -> Result<(), Trouble> {
        if self.phase != Phase::New {
            return Err(launch_failed("debug session already in progress"));
        }
        let l = config::launch(&c.arguments)
            .map_err(|why| launch_failed(format!("invalid debug configuration - {why}")))?;
        if l.program.is_empty() {
            return Err(launch_failed("The program attribute is missing in debug configuration."));
        }
        if l.mode == Mode::Core && l.core_file.is_empty() {
            return Err(launch_failed("The 'coreFilePath' attribute is missing in debug configuration."));
        }
        self.config = l.common.clone();
        let cwd = base(&l)?;
        let (exe, dir, built) = match l.mode {
            Mode::Debug | Mode::Test => {
                let b = self.build(&l, &cwd).await?;
                (b.exe.clone(), b.dir, Some(b.exe))
            }
            Mode::Exec | Mode::Core => {
                let exe = cwd.join(&l.program);
                (std::fs::canonicalize(&exe).unwrap_or(exe), None, None)
            }
        };
        self.target.built = built;
        // A relative folder is meant from dlvCwd; tests run in their package's.
        let run_in = if l.cwd.is_empty() { dir.unwrap_or(cwd.clone()) } else { cwd.join(&l.cwd) };
        if l.no_debug {
            return self.run_plain(c, &l, &exe, &run_in);
        }
        let about = match l.mode {
            Mode::Core => format!(" core file {}", l.core_file),
            Mode::Test => format!(" tests of {}", l.program),
            Mode::Debug => format!(" {}", l.program),
            Mode::Exec => String::new(),
        };
        let summary = format!("Failed to launch{about}");
        let (spec, pipes) = match l.mode {
            Mode::Core => (TargetSpec::File { path: cwd.join(&l.core_file), exe: Some(exe.clone()) }, None),
            _ => {
                let (spec, pipes) = self.launch_spec(&l, &exe, &run_in)?;
                (TargetSpec::Launch(spec), Some(pipes))
            }
        };
        let opened = self.open(spec).await;
        drop(pipes); // the program has its own ends now
        opened.map_err(|f| Trouble::new(id::LAUNCH, &summary, sentence(&f)).shown())?;
        self.target.launch = Some(l);
        self.opened(c, "launch").await;
        Ok(())
    }

    /// Where the program's input comes from and its output goes to: files, our terminal, or pipes to us.
    fn redirects(&mut self, l: &Launch, cwd: &Path) -> Result<(Box<Redirects>, Vec<Pipe>), Trouble> {
        let mut pipes = Vec::new();
        let mut r = Redirects { stdin: l.stdin.clone(), stdout: l.stdout.clone(), stderr: l.stderr.clone() };
        for at in [&mut r.stdin, &mut r.stdout, &mut r.stderr].into_iter().flatten() {
            *at = cwd.join(&*at);
        }
        if let Some(t) = self.terminal.as_ref().filter(|_| !l.remote_output) {
            // It belongs to somebody else's session, so that it cannot be the program's controlling terminal.
            for at in [&mut r.stdin, &mut r.stdout, &mut r.stderr] {
                at.get_or_insert_with(|| t.clone());
            }
            return Ok((Box::new(r), pipes));
        }
        for (category, at) in [("stdout", &mut r.stdout), ("stderr", &mut r.stderr)] {
            if at.is_none() {
                let pipe = self.printer.pipe(category).map_err(|e| launch_failed(format!("a pipe: {e}")))?;
                *at = Some(pipe.path());
                pipes.push(pipe);
            }
        }
        r.stdin.get_or_insert_with(|| PathBuf::from("/dev/null"));
        Ok((Box::new(r), pipes))
    }

    fn launch_spec(&mut self, l: &Launch, exe: &Path, cwd: &Path) -> Result<(LaunchSpec, Vec<Pipe>), Trouble> {
        let (redirects, pipes) = self.redirects(l, cwd)?;
        let spec = LaunchSpec {
            exe: exe.to_path_buf(),
            args: l.args.clone(),
            cwd: Some(cwd.to_path_buf()),
            env: l.env.clone(),
            unset: l.unset.clone(),
            redirects,
            early: true,
            ..LaunchSpec::default()
        };
        Ok((spec, pipes))
    }

    /// Starts a host and opens the target.
    async fn open(&mut self, spec: TargetSpec) -> Result<(), Failure> {
        self.host = Some((self.connect)()?);
        let opened = self.open_on_host(spec).await;
        if opened.is_err() {
            self.host = None;
        }
        opened
    }

    async fn open_on_host(&mut self, spec: TargetSpec) -> Result<(), Failure> {
        match self.ask(Request::Hello { version: PROTOCOL_VERSION }).await? {
            Reply::Hello { version: PROTOCOL_VERSION, .. } => {}
            _ => return Err(Failure::new(FailureKind::Host, "the host is of another version")),
        }
        match self.ask_long(Request::Open(spec), false).await? {
            Reply::Opened { target, stop, .. } => {
                self.running = stop.is_none() && target.kind == TargetKind::Process;
                self.stop = stop;
                let dead = target.kind != TargetKind::Process;
                self.target = Target { info: target, dead, ..std::mem::take(&mut self.target) };
                self.phase = Phase::Configuring;
                Ok(())
            }
            _ => Err(Failure::new(FailureKind::Host, "the host did not open the target")),
        }
    }

    /// Says that the target is there and that breakpoints may be set.
    async fn opened(&mut self, c: &Call, how: &str) {
        let info = self.target.info.clone();
        let name = std::iter::once(&info.exe).chain(&info.args).cloned().collect::<Vec<_>>().join(" ");
        let mut process = json!({"name": name, "isLocalProcess": true, "startMethod": how, "pointerSize": 64});
        if let Some(pid) = info.pid {
            process["systemProcessId"] = json!(pid);
        }
        self.out.event("process", process);
        if how == "attach" {
            // The user may choose to end the program with the session; the default is to leave it.
            self.out.event("capabilities", json!({"capabilities": {"supportTerminateDebuggee": true}}));
        }
        self.out.event("initialized", json!({}));
        self.out.respond(c, Value::Null);
        for note in &info.notes {
            self.out.event("output", json!({"category": "important", "output": format!("{note}\n")}));
        }
        if self.config.follow_exec {
            let text = "followExec: adit lets a process go that replaces its program, and leaves children alone\n";
            self.out.event("output", json!({"category": "important", "output": text}));
        }
        self.warn_about_trimpath().await;
    }

    /// A program built with -trimpath records no folders: breakpoints by the editor's paths need rules.
    async fn warn_about_trimpath(&mut self) {
        if !self.config.substitute_path.is_empty() || self.target.info.go.is_empty() {
            return;
        }
        let request = Request::Symbols { kind: SymbolKind::Sources, filter: "runtime/proc.go".into(), count: 4 };
        if let Ok(Reply::Symbols { names, .. }) = self.ask(request).await
            && names.iter().any(|n| n == "runtime/proc.go")
        {
            let output = "Warning: debugging executable built with trimpath\n";
            self.out.event("output", json!({"category": "important", "output": output}));
        }
    }

    pub async fn attach(&mut self, c: &Call) -> Result<(), Trouble> {
        if self.phase != Phase::New {
            return Err(attach_failed("debug session already in progress"));
        }
        let a = config::attach(&c.arguments)
            .map_err(|why| attach_failed(format!("invalid debug configuration - {why}")))?;
        if a.remote {
            return Err(attach_failed(
                "no debugger found: mode \"remote\" is for `dlv --headless`; name a process with mode \"local\"",
            ));
        }
        let pid = match (a.pid, a.wait_for.as_str()) {
            (0, "") => {
                return Err(attach_failed("The 'processId' or 'waitFor' attribute is missing in debug configuration"));
            }
            (0, prefix) => self.wait_for(prefix).await?,
            (pid, "") => pid,
            _ => {
                return Err(attach_failed(
                    "'processId' and 'waitFor' are mutually exclusive, and can't be specified at the same time",
                ));
            }
        };
        let Attach { exe, common, .. } = a;
        self.config = common;
        self.open(TargetSpec::Attach { pid, exe, control: true }).await.map_err(|f| attach_failed(sentence(&f)))?;
        self.opened(c, "attach").await;
        Ok(())
    }

    /// Waits for a process whose command line begins so.
    async fn wait_for(&mut self, prefix: &str) -> Result<i32, Trouble> {
        loop {
            if let Some(pid) = process_named(prefix) {
                return Ok(pid);
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                i = self.inbox.recv() => {
                    if self.interrupts(i.unwrap_or(Incoming::End(None)), false) {
                        return Err(attach_failed("the editor ended the session"));
                    }
                }
            }
        }
    }

    /// The program anew: built again where we built it. The editor then sets its breakpoints again.
    pub async fn restart(&mut self, c: &Call) -> Result<(), Trouble> {
        let no = |why: &str| Err(Trouble::new(id::LAUNCH, "Cannot restart", why));
        if self.phase == Phase::New {
            return Err(Trouble::new(id::LAUNCH, "Cannot restart: debugger is not running", "Debugger is not running"));
        }
        let Some(mut l) = self.target.launch.clone().filter(|_| !self.target.dead) else {
            return no("cannot restart process adit did not create");
        };
        // Some editors send the configuration anew, as `arguments` of the arguments.
        let given = c.arguments.get("arguments").cloned().unwrap_or_default();
        let mut args = None;
        if given.get("request").and_then(Value::as_str) == Some("launch") {
            let new = config::launch(&given).map_err(|e| Trouble::new(id::LAUNCH, "Cannot restart", e))?;
            if given.get("args").is_some() {
                args = Some(new.args.clone());
            }
            l.rebuild = new.rebuild;
            self.config = Common { stop_on_entry: new.common.stop_on_entry, ..new.common };
        }
        self.out.respond(c, Value::Null);
        let cwd = base(&l)?;
        if l.rebuild && matches!(l.mode, Mode::Debug | Mode::Test) {
            if let Some(exe) = &self.target.built {
                l.output = exe.to_string_lossy().into_owned();
            }
            if let Err(t) = self.build(&l, &cwd).await {
                self.out.console(&format!("{}: {}", t.summary, t.details));
                return Ok(()); // what runs goes on
            }
        }
        self.forget_handles();
        let again = Request::Restart { rebuild: false, args: args.clone() };
        // The old program's pipes are of no use for the new one.
        let run_in = if l.cwd.is_empty() { cwd } else { cwd.join(&l.cwd) };
        let done = match self.redirects(&l, &run_in) {
            Ok((to, _pipes)) => match self.ask(Request::Redirect(to)).await {
                Ok(_) => self.ask_long(again, false).await.map_err(failed(id::LAUNCH, "Failed to restart")),
                Err(f) => Err(Trouble::of(id::LAUNCH, "Failed to restart", &f)),
            },
            Err(t) => Err(t),
        };
        let stop = match done {
            Ok(Reply::Opened { target, stop, .. }) => {
                self.target.info = target;
                stop
            }
            other => {
                let t = other.err().unwrap_or_else(|| unexpected("Failed to restart"));
                self.out.console(&format!("{}: {}", t.summary, t.details));
                self.ended();
                return Ok(());
            }
        };
        if let Some(args) = args {
            l.args = args;
        }
        self.target.launch = Some(l);
        // News of the program that was are no news.
        self.news.retain(|n| matches!(n, Notice::Breakpoint(_) | Notice::Log { .. }));
        self.stop = stop;
        self.running = false;
        self.pausing = false;
        self.going = Going::On;
        self.phase = Phase::Configuring;
        self.out.event("initialized", json!({}));
        Ok(())
    }

    /// The editor's path of one of the program's sources.
    pub fn editor_path(&self, path: &str) -> String {
        paths::to_editor(path, &self.config.substitute_path)
    }
    /// The program's path of one of the editor's files.
    pub fn program_path(&self, path: &str) -> String {
        paths::to_program(path, &self.config.substitute_path)
    }
}

/// The newest process whose command line begins with `prefix`, ours left out.
fn process_named(prefix: &str) -> Option<i32> {
    let own = std::process::id() as i32;
    let mut pids = procfs::processes().ok()?;
    pids.sort_unstable_by(|a, b| b.cmp(a));
    pids.into_iter().filter(|p| *p != own).find(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let base = line.split(' ').next().unwrap_or("").rsplit('/').next().unwrap_or("");
        !line.is_empty() && (line.starts_with(prefix) || base.starts_with(prefix))
    })
}
