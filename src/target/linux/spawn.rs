//! Launching a program under control: in a session and pty of its own, seized before its `execve`.

use super::{sys, tracer::Tracer};
use crate::base::Tid;
use crate::target::TargetError;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;

/// What to launch.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    /// The executable.
    pub exe: PathBuf,
    /// Arguments behind argv[0].
    pub args: Vec<String>,
    /// Working directory.
    pub cwd: Option<PathBuf>,
    /// Added to the environment.
    pub env: Vec<(String, String)>,
    /// Terminal to use instead of a new pty.
    pub tty: Option<PathBuf>,
    /// Kill it when the tracer dies (PTRACE_O_EXITKILL).
    pub exit_kill: bool,
    /// Columns and rows of the pty.
    pub size: (u16, u16),
    /// Files for standard input, output and error instead of the terminal.
    pub files: [Option<PathBuf>; 3],
    /// Taken out of the environment.
    pub unset: Vec<String>,
}

/// A launched program, stopped behind its `execve`, before its first instruction.
pub struct Launched {
    /// Control over it.
    pub tracer: Tracer,
    /// Our end of its terminal; none when it was given one.
    pub pty: Option<OwnedFd>,
    /// Collects the exit status when it ends.
    pub reaper: std::thread::JoinHandle<()>,
}

/// Launches. The calling thread becomes the tracer.
pub fn launch(spec: &Launch) -> Result<Launched, TargetError> {
    let what = || format!("start {}", spec.exe.display());
    let (pty, stdio) = match &spec.tty {
        Some(path) => {
            let f = std::fs::File::options().read(true).write(true).open(path);
            let f = f.map_err(|e| TargetError::os(format!("open terminal {}", path.display()), e))?;
            (None, Some(OwnedFd::from(f)))
        }
        None if spec.files.iter().all(Option::is_some) => (None, None),
        None => {
            let (master, slave) = sys::open_pty().map_err(|e| TargetError::os("open a pty", e))?;
            if let Err(e) = sys::set_window_size(master.as_raw_fd(), spec.size.0, spec.size.1) {
                return Err(TargetError::os("set the pty's size", e));
            }
            (Some(master), Some(slave))
        }
    };
    let [stdin, stdout, stderr] = [0, 1, 2].map(|n| end_of(spec, n, stdio.as_ref()));
    let (go_read, go_write) = nix::unistd::pipe().map_err(|e| TargetError::os("pipe", e))?;
    let (pid_read, pid_write) = nix::unistd::pipe().map_err(|e| TargetError::os("pipe", e))?;
    for fd in [&go_read, &go_write, &pid_read, &pid_write] {
        nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))
            .map_err(|e| TargetError::os("fcntl", e))?;
    }
    let mut command = Command::new(&spec.exe);
    command.args(&spec.args).envs(spec.env.iter().map(|(k, v)| (k, v)));
    for name in &spec.unset {
        command.env_remove(name);
    }
    command.stdin(stdin?).stdout(stdout?).stderr(stderr?);
    drop(stdio);
    if let Some(cwd) = &spec.cwd {
        command.current_dir(cwd);
    }
    // Only what reads from a terminal can have it as its controlling one.
    sys::child_setup(&mut command, spec.files[0].is_none(), go_read.as_raw_fd(), pid_write.as_raw_fd());
    // `spawn` returns only behind the exec, and the exec waits for us to seize the child: so it runs on a thread.
    let (tx, rx) = mpsc::channel();
    let reaper = std::thread::Builder::new()
        .name("launch".into())
        .spawn(move || {
            let spawned = command.spawn();
            drop((go_read, pid_write));
            let _receiver_waits = tx.send(spawned.map(drop));
        })
        .map_err(|e| TargetError::os("start a thread", e))?;
    let mut raw = [0u8; 4];
    let mut got = 0;
    while got < 4 {
        match nix::unistd::read(&pid_read, &mut raw[got..]) {
            Ok(0) | Err(_) => break,
            Ok(n) => got += n,
        }
    }
    if got < 4 {
        // The child failed before it could say its pid (no such directory…), or fork failed.
        return Err(match rx.recv() {
            Ok(Err(e)) => TargetError::os(what(), e),
            _ => TargetError::Exited,
        });
    }
    let pid = i32::from_ne_bytes(raw);
    let mut tracer = Tracer::seize_one(pid, spec.exit_kill)?;
    let exec = nix::unistd::write(&go_write, &[1]).map_err(|e| TargetError::os(what(), e));
    drop(go_write);
    match exec.and_then(|_| tracer.wait_for_exec(Tid(pid))) {
        Ok(()) => Ok(Launched { tracer, pty, reaper }),
        Err(e) => {
            // Nobody else would ever end it.
            tracer.kill();
            Err(match rx.recv() {
                Ok(Err(os)) => TargetError::os(what(), os),
                _ => e,
            })
        }
    }
}

/// Standard input (0), output or error of the program.
fn end_of(spec: &Launch, n: usize, terminal: Option<&OwnedFd>) -> Result<Stdio, TargetError> {
    let Some(path) = &spec.files[n] else {
        let fd = terminal.map(OwnedFd::try_clone).transpose().map_err(|e| TargetError::os("duplicate the pty", e))?;
        return Ok(fd.map_or_else(Stdio::null, Stdio::from));
    };
    let mut options = std::fs::File::options();
    match n {
        0 => options.read(true),
        _ => options.write(true).create(true).truncate(true),
    };
    options.open(path).map(Stdio::from).map_err(|e| TargetError::os(format!("open {}", path.display()), e))
}
