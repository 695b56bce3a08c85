//! A host that is reached over a socket: one client at a time, and when its line breaks the next one finds the target as it was.

use super::client::pipe;
use super::link::greet;
use super::native::{self, Terms};
use super::protocol::*;
use super::wire;
use crate::target::linux::detached;
use crate::target::linux::wake::Doorbell;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use std::fs;
use std::io::{self, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// How long a host that nobody has come to waits.
const LONELY: Duration = Duration::from_secs(60);

/// Who is connected now.
type Current = Arc<Mutex<Option<UnixStream>>>;

/// Serves at a socket until the target was let go.
///
/// # Errors
/// The socket cannot be made: its folder is missing, it is in use.
pub fn serve(path: &Path, terms: Terms) -> io::Result<()> {
    let wake = super::host::prepare()?;
    let listener = bind(path)?;
    let (client, end) = pipe();
    let (out, mut inbox) = client.into_parts();
    let current: Current = Arc::default();
    let (bell, at, at_once) = (wake.doorbell(), current.clone(), out.downgrade());
    let came = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = came.clone();
    // The channel's end is the host's; so long as clients may come, one sender stays.
    let accept = move || {
        for stream in listener.incoming().flatten() {
            let Some(out) = at_once.upgrade() else { return };
            seen.store(true, std::sync::atomic::Ordering::Relaxed);
            let (at, bell) = (at.clone(), bell.clone());
            let _one_less =
                std::thread::Builder::new().name("client".into()).spawn(move || one(stream, &at, &out, &bell));
        }
    };
    std::thread::Builder::new().name("accept".into()).spawn(accept)?;
    let lonely_bell = wake.doorbell();
    let lonely = move || {
        std::thread::sleep(LONELY);
        if !came.load(std::sync::atomic::Ordering::Relaxed) {
            drop(out);
            lonely_bell.ring();
        } else {
            // Kept for ever: the host ends when it has let the target go.
            std::mem::forget(out);
        }
    };
    std::thread::Builder::new().name("lonely".into()).spawn(lonely)?;
    let say = move || {
        while let Some(m) = inbox.blocking_recv() {
            let mut at = current.lock().unwrap_or_else(PoisonError::into_inner);
            // Nobody there: it will be asked for again.
            if let Some(s) = at.as_mut()
                && wire::write_deflated(s, &m).is_err()
            {
                *at = None;
            }
        }
    };
    let writer = std::thread::Builder::new().name("write".into()).spawn(say)?;
    native::serve_rung(end, &wake, terms);
    let _write_thread_ends_with_the_channel = writer.join();
    let _somebody_removed_it = fs::remove_file(path);
    Ok(())
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        // Left by a host that was killed: nobody answers there.
        Err(e) if e.kind() == io::ErrorKind::AddrInUse && UnixStream::connect(path).is_err() => {
            fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        other => other,
    }
    .and_then(|l| {
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(l)
    })
}

/// Is it our user, or root, at the other end?
fn is_permitted(s: &UnixStream) -> bool {
    let ours = nix::unistd::getuid().as_raw();
    getsockopt(s, PeerCredentials).is_ok_and(|c| c.uid() == ours || c.uid() == 0)
}

/// One client, until it goes away.
fn one(mut stream: UnixStream, current: &Current, out: &UnboundedSender<ToHost>, bell: &Doorbell) {
    let lock = || current.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_permitted(&stream) {
        return; // nothing is said to strangers
    }
    if greet(&mut stream).is_err() {
        return;
    }
    let Ok(ours) = stream.try_clone() else { return };
    {
        let mut at = lock();
        if at.is_some() {
            drop(at);
            let busy = Failure::new(FailureKind::BadState, "another client is at this host")
                .fix("leave there first; a client that is gone is forgotten within 10 s");
            // Everything is answered so until it leaves: a socket that is closed with something unread drops what was written to it.
            let _then_it_waits_longer = stream.set_read_timeout(Some(Duration::from_secs(2)));
            let mut reader = BufReader::new(&stream);
            while let Ok(Some(ToHost { id, .. })) = wire::read::<ToHost>(&mut reader) {
                let refused = FromHost::Reply { id, result: Err(busy.clone()) };
                if wire::write(&mut &stream, &refused).is_err() {
                    break;
                }
            }
            return;
        }
        *at = Some(ours);
    }
    // Half-open lines are noticed: a client that lives says so every two seconds.
    let _then_the_budget_notices = stream.set_read_timeout(Some(Duration::from_secs(10)));
    let mut reader = BufReader::new(&stream);
    let mut leaves = false;
    while let Ok(Some(m)) = wire::read::<ToHost>(&mut reader) {
        leaves |= matches!(m.request, Request::Detach { .. });
        if out.send(m).is_err() {
            break;
        }
        bell.ring();
    }
    *lock() = None;
    if !leaves {
        let gone = ToHost { id: u64::MAX, request: Request::ClientGone };
        let _host_ends = out.send(gone);
        bell.ring();
    }
}

/// Connects standard input and output to the host of this name, which is started if there is none.
///
/// # Errors
/// It cannot be started or reached.
pub fn relay(name: &str, profile: &str) -> io::Result<()> {
    relay_by(name, |path| detached::start(&mut command(path, profile)))
}

/// As [`relay`]; the host is started by somebody else.
///
/// # Errors
/// It cannot be started or reached.
pub fn relay_by(name: &str, start: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let path = socket(name)?;
    let stream = match UnixStream::connect(&path) {
        Ok(s) => s,
        Err(_) => {
            let _none_was_left = fs::remove_file(&path);
            start(&path)?;
            come_up(&path)?
        }
    };
    let mut from = stream.try_clone()?;
    let to_client = std::thread::Builder::new().name("to-client".into()).spawn(move || {
        let _either_end_is_gone = io::copy(&mut from, &mut Unbuffered);
        std::process::exit(0);
    })?;
    let mut to = stream.try_clone()?;
    let _either_end_is_gone = io::copy(&mut io::stdin().lock(), &mut to);
    stream.shutdown(std::net::Shutdown::Both)?;
    let _it_has_ended = to_client.join();
    Ok(())
}

/// Standard output, each piece at once.
struct Unbuffered;

impl io::Write for Unbuffered {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        nix::unistd::write(io::stdout(), buf).map_err(io::Error::from)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The socket of a name, in a folder of ours alone.
fn socket(name: &str) -> io::Result<PathBuf> {
    let plain = !name.is_empty() && name.len() <= 40 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !plain {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a name of letters, digits and `-`, 40 at most"));
    }
    Ok(crate::engine::journal::private_place()?.join(format!("{name}.sock")))
}

/// What starts a host at a socket.
pub fn command(path: &Path, profile: &str) -> std::process::Command {
    let mut command = std::process::Command::new("/proc/self/exe");
    command.args(["host", "--listen"]).arg(format!("unix:{}", path.display())).args(["--profile", profile]);
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    command
}

/// Connects to a host as soon as it is there.
fn come_up(path: &Path) -> io::Result<UnixStream> {
    for _ in 0..500 {
        if let Ok(s) = UnixStream::connect(path) {
            return Ok(s);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "the host did not come up"))
}
