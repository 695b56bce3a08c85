//! What adit does in the pod itself: keeps a debug container alive between sessions, says which processes there are, sends a copy of one.
//!
//! Processes of ours never become children of the program: in a shared pid namespace the program is process 1, to which the kernel
//! gives every orphan, and it would never collect them (pid_namespaces(7)). So whatever starts a host here is a child subreaper
//! (PR_SET_CHILD_SUBREAPER) and stays until all of them have ended.

use crate::backend::host::OURSELVES;
use crate::backend::link::greet;
use crate::backend::listen;
use crate::backend::native::budget::Watched;
use crate::backend::piped::name_there;
use crate::base::mmap::FileBytes;
use crate::engine::Loaded;
use crate::symbols::buildinfo::BuildInfo;
use crate::symbols::image::Image;
use crate::target::linux::{doctor, procfs};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A parked container looks so often whether it is needed.
const TICK: Duration = Duration::from_secs(5);
/// How long hosts may take to let go when the container is to end.
const LETTING_GO: Duration = Duration::from_secs(3);

/// What a parked process says that is needed.
pub(super) const BUSY: &str = "sessions are going on";

/// A process as it is seen from where adit runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its id, as seen there.
    pub pid: i32,
    /// Its executable, or its name where that is not to be seen.
    pub exe: String,
    /// Its user.
    pub uid: u32,
    /// Of a Go program: its version.
    pub go: Option<String>,
    /// Why it cannot be read; none if it can.
    pub denied: Option<String>,
}

/// What there is where adit runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// Which adit this is: version, protocol, bytes.
    pub adit: String,
    /// Its user.
    pub uid: u32,
    /// Processes, ours left out, ascending.
    pub processes: Vec<Process>,
}

/// Looks around; with `of`, at the processes of the container with that id alone.
///
/// # Errors
/// `/proc` cannot be read.
pub fn look(of: Option<&str>) -> io::Result<Look> {
    let own = fs::metadata(OURSELVES)?;
    let mut processes = Vec::new();
    for pid in procfs::processes()? {
        let Some(status) = procfs::status(pid).filter(|_| procfs::alive(pid)) else { continue };
        // Every runtime names a container's cgroups after its id, with either version of cgroups.
        if of.is_some_and(|id| !fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|c| c.contains(id))) {
            continue;
        }
        let uid = status.get("Uid").and_then(|u| u.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0);
        let exe = fs::read_link(format!("/proc/{pid}/exe"));
        // Threads of the kernel have none.
        if exe.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
            continue;
        }
        let file = File::open(format!("/proc/{pid}/exe")).ok();
        if file.as_ref().and_then(|f| f.metadata().ok()).is_some_and(|m| is_same(&m, &own)) {
            continue;
        }
        let exe = exe.map_or_else(|_| procfs::name(pid), |p| p.to_string_lossy().into_owned());
        // The same right that reading its memory needs.
        let denied = File::open(format!("/proc/{pid}/mem")).err().map(|_| doctor::why_denied(pid));
        processes.push(Process { pid, exe, uid, go: file.and_then(go_version), denied });
    }
    processes.sort_by_key(|p| p.pid);
    Ok(Look { adit: name_there(Path::new(OURSELVES))?, uid: nix::unistd::geteuid().as_raw(), processes })
}

/// The same file?
fn is_same(a: &fs::Metadata, b: &fs::Metadata) -> bool {
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

fn go_version(file: File) -> Option<String> {
    let image = Image::parse(FileBytes::from_file(file).ok()?).ok()?;
    Some(BuildInfo::read(&image)?.version.short().to_string())
}

/// Which of these processes is meant.
///
/// # Errors
/// None can be read (`Err(None)`-like: says why), or it has to be said which: one line with all.
pub fn choose(look: &Look, wish: Option<i32>) -> Result<&Process, Choice> {
    let of = |pid: i32| look.processes.iter().find(|p| p.pid == pid);
    let readable = |p: &'_ Process| p.denied.is_none();
    let list = |which: &dyn Fn(&&Process) -> bool| {
        let all = look.processes.iter().filter(which);
        all.map(|p| format!("{} {}", p.pid, p.exe)).collect::<Vec<_>>().join(", ")
    };
    if let Some(pid) = wish {
        let p =
            of(pid).ok_or_else(|| Choice::Wrong(format!("no process {pid} there; there are {}", list(&|_| true))))?;
        return match &p.denied {
            None => Ok(p),
            Some(why) => Err(Choice::Denied(why.clone())),
        };
    }
    let mut go = look.processes.iter().filter(|p| p.go.is_some() && readable(p));
    if let Some(first) = of(1).filter(|p| p.go.is_some() && readable(p)) {
        return Ok(first);
    }
    match (go.next(), go.next()) {
        (Some(p), None) => Ok(p),
        (Some(_), Some(_)) => Err(Choice::Which(list(&|p| p.go.is_some() && readable(p)))),
        _ => match look.processes.iter().find(|p| p.denied.is_some()) {
            Some(p) => {
                Err(Choice::Denied(format!("process {} cannot be read: {}", p.pid, p.denied.as_deref().unwrap_or(""))))
            }
            None if look.processes.is_empty() => Err(Choice::Wrong("no processes are to be seen there".into())),
            None => Err(Choice::Wrong(format!("no Go program there; there are {}", list(&|_| true)))),
        },
    }
}

/// Why no process was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Several fit: these.
    Which(String),
    /// It may not be read from there.
    Denied(String),
    /// There is none.
    Wrong(String),
}

/// Of a copy that is sent: what comes before it, one line of JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// How long the process stood, microseconds.
    pub pause_us: u64,
    /// Bytes that were copied.
    pub bytes: u64,
}

/// Puts a copy of ourselves into a folder, as `adit`, for whoever runs there.
///
/// # Errors
/// It cannot be written.
pub fn install(folder: &Path) -> io::Result<()> {
    let to = folder.join("adit");
    fs::copy(OURSELVES, &to)?;
    fs::set_permissions(&to, fs::Permissions::from_mode(0o755))
}

/// Copies a process and writes a snapshot of it to `to`, deflated, behind a line that tells of it. Nothing is written to disk here.
///
/// # Errors
/// It cannot be opened or copied; the line breaks.
pub fn send_snapshot(pid: i32, mut to: impl Write) -> Result<(), String> {
    let loaded = Loaded::open(pid, None).map_err(|e| e.to_string())?;
    let copied = loaded.copy().map_err(|e| e.to_string())?;
    let copy = loaded.of_copy(copied, crate::base::StopEpoch(1), None);
    let head = Sent { pause_us: copy.state.pause_us, bytes: copy.bytes };
    let line = serde_json::to_string(&head).map_err(|e| e.to_string())?;
    let send = || -> io::Result<()> {
        writeln!(to, "{line}")?;
        let mut z = ZlibEncoder::new(to, Compression::fast());
        copy.stream(&mut z)?;
        z.finish()?.flush()
    };
    send().map_err(|e| e.to_string())
}

/// The socket of a parked container.
fn socket(container: &str) -> io::Result<PathBuf> {
    if !super::is_name(container) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a container's name"));
    }
    Ok(crate::engine::journal::private_place()?.join(format!("{container}.park")))
}

/// Keeps a debug container alive: starts hosts for those who ask, collects what ends, and ends when nobody was there for `idle`, or
/// when it is told to. On SIGTERM (the pod ends) hosts let go first.
///
/// # Errors
/// The socket cannot be made.
pub fn park(container: &str, idle: Duration) -> io::Result<()> {
    nix::sys::prctl::set_child_subreaper(true)?;
    let path = socket(container)?;
    let _left_by_one_that_was_killed = fs::remove_file(&path);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(parked(&path, idle));
    let _somebody_removed_it = fs::remove_file(&path);
    done
}

async fn parked(path: &Path, idle: Duration) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let listener = tokio::net::UnixListener::bind(path)?;
    let (mut term, mut child) = (signal(SignalKind::terminate())?, signal(SignalKind::child())?);
    let mut tick = tokio::time::interval(TICK.min(idle));
    let mut hosts: Vec<i32> = Vec::new();
    let mut needed = Instant::now();
    loop {
        tokio::select! {
            _ = term.recv() => {
                for h in &hosts {
                    // It may have ended by itself.
                    let _gone = kill(Pid::from_raw(*h), Signal::SIGTERM);
                }
                let begun = Instant::now();
                while collect(&mut hosts) && begun.elapsed() < LETTING_GO {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                return Ok(());
            }
            _ = child.recv() => {}
            _ = tick.tick() => {}
            Ok((stream, _)) = listener.accept() => {
                if serve(stream.into_std()?, &mut hosts)? {
                    return Ok(());
                }
                needed = Instant::now();
            }
        }
        collect(&mut hosts);
        if sessions() > 0 {
            needed = Instant::now();
        } else if needed.elapsed() >= idle {
            return Ok(());
        }
    }
}

/// Collects what has ended; is a host of ours still there?
fn collect(hosts: &mut Vec<i32>) -> bool {
    while let Ok(WaitStatus::Exited(p, _) | WaitStatus::Signaled(p, ..)) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        hosts.retain(|h| *h != p.as_raw());
    }
    !hosts.is_empty()
}

/// Processes of this adit that are there for somebody.
fn sessions() -> usize {
    let (Ok(own), Ok(all)) = (fs::metadata(OURSELVES), procfs::processes()) else { return 0 };
    let ours = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = line.split(|b| *b == 0).skip(1);
        let serves = match (words.next(), words.next()) {
            (Some(b"host"), _) => true,
            (Some(b"inside"), Some(what)) => [&b"relay"[..], b"supervise", b"snapshot"].contains(&what),
            _ => false,
        };
        serves && fs::metadata(format!("/proc/{pid}/exe")).is_ok_and(|m| is_same(&m, &own))
    };
    all.iter().filter(|pid| ours(pid)).count()
}

/// One line in, one line out. True when it is to end.
fn serve(stream: UnixStream, hosts: &mut Vec<i32>) -> io::Result<bool> {
    stream.set_nonblocking(false)?;
    // Our own relays, which write at once.
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut line = String::new();
    if BufReader::new(&stream).take(4096).read_line(&mut line).is_err() {
        return Ok(false);
    }
    let mut words = line.split_whitespace();
    let (answer, ends) = match (words.next(), words.next(), words.next()) {
        (Some("end"), None, None) => match sessions() {
            0 => ("ok".to_string(), true),
            _ => (BUSY.to_string(), false),
        },
        (Some("start"), Some(profile), Some(path)) => match host(path, profile, words.next()).spawn() {
            Ok(c) => {
                hosts.push(c.id() as i32);
                ("ok".to_string(), false)
            }
            Err(e) => (format!("no host can be started: {e}"), false),
        },
        _ => ("not understood".to_string(), false),
    };
    let _it_went_away = writeln!(&stream, "{answer}");
    Ok(ends)
}

/// What starts a host at a socket, with who else watches the program, if somebody does.
fn host(path: &str, profile: &str, watched: Option<&str>) -> Command {
    let mut c = listen::command(Path::new(path), profile);
    if let Some(w) = watched {
        c.args(["--at-most", w]);
    }
    c
}

/// Says a line to the parked process; what it answers other than `ok` is an error.
fn ask(container: &str, line: &str) -> io::Result<()> {
    let mut s = UnixStream::connect(socket(container)?)?;
    writeln!(s, "{line}")?;
    let mut answer = String::new();
    BufReader::new(s).take(4096).read_line(&mut answer)?;
    match answer.trim() {
        "ok" => Ok(()),
        "" => Err(io::ErrorKind::UnexpectedEof.into()),
        other => Err(io::Error::other(other.to_string())),
    }
}

/// Ends a parked container's process, unless a session is going on. One that is just ending is waited for.
///
/// # Errors
/// A session is going on; nobody is parked there.
pub fn unpark(container: &str) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        match ask(container, "end") {
            Err(e) if e.to_string() == BUSY && begun.elapsed() < LETTING_GO => {
                std::thread::sleep(Duration::from_millis(50))
            }
            done => return done,
        }
    }
}

/// Ties standard input and output to the host of a session, which the parked process starts if there is none.
///
/// # Errors
/// It cannot be started or reached.
pub fn relay(container: &str, session: &str, profile: &str, watched: Watched) -> io::Result<()> {
    listen::relay_by(session, |path| ask(container, &format!("start {profile} {} {watched}", path.display())))
}

/// A host on our standard input and output, with somebody above it who collects what it leaves.
///
/// # Errors
/// It cannot be started.
pub fn supervise(profile: &str, watched: Watched) -> io::Result<()> {
    nix::sys::prctl::set_child_subreaper(true)?;
    greet(&mut io::stdout().lock())?;
    let mut c = Command::new(OURSELVES);
    c.args(["host", "--stdio", "--profile", profile, "--at-most", &watched.to_string()]).stderr(Stdio::null());
    let host = c.spawn()?.id() as i32;
    loop {
        match waitpid(None, None) {
            // What is left after it is the guardian at most, which sees to it that nothing is left in the program.
            Ok(WaitStatus::Exited(p, code)) if p.as_raw() == host && code != 0 => {
                tracing::warn!("the host ended: {code}")
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, go: bool, denied: bool) -> Process {
        let go = go.then(|| "go1.27".to_string());
        Process { pid, exe: format!("/p{pid}"), uid: 0, go, denied: denied.then(|| "no".to_string()) }
    }

    fn chosen(processes: Vec<Process>, wish: Option<i32>) -> Result<i32, Choice> {
        choose(&Look { adit: String::new(), uid: 0, processes }, wish).map(|p| p.pid)
    }

    #[test]
    fn which_process() {
        let p = process;
        assert_eq!(chosen(vec![p(1, true, false), p(7, true, false)], None), Ok(1));
        assert_eq!(chosen(vec![p(1, false, false), p(7, true, false)], None), Ok(7));
        assert_eq!(chosen(vec![p(1, true, false), p(7, true, false)], Some(7)), Ok(7));
        let both = "7 /p7, 9 /p9".to_string();
        let two = || vec![p(1, false, false), p(7, true, false), p(9, true, false)];
        assert_eq!(chosen(two(), None), Err(Choice::Which(both)));
        assert!(matches!(chosen(two(), Some(3)), Err(Choice::Wrong(t)) if t.contains("1 /p1, 7 /p7")));
        assert!(matches!(chosen(vec![p(1, false, true)], None), Err(Choice::Denied(_))));
        assert!(matches!(chosen(vec![p(1, true, true)], Some(1)), Err(Choice::Denied(_))));
        assert!(matches!(chosen(vec![p(1, false, false)], None), Err(Choice::Wrong(_))));
        assert!(matches!(chosen(vec![], None), Err(Choice::Wrong(_))));
    }

    #[test]
    fn it_sees_processes() {
        let own = std::process::id() as i32;
        let look = look(None).expect("looked");
        assert!(!look.processes.is_empty() && look.processes.iter().all(|p| p.pid != own));
        assert!(look.adit.starts_with("adit-"));
    }
}
