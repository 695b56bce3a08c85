//! A host that is reached over a socket or a port: several clients ([`super::hub`]), and when a line breaks the next one finds the target as it
//! was.

use super::client::pipe;
use super::hub::{Hub, Rules};
use super::link::greet;
use super::native::{self, Terms};
use super::scopes::Scopes;
use super::tls;
use crate::target::linux::detached;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// How long a host that nobody has come to waits.
const LONELY: Duration = Duration::from_secs(60);
/// What goes out when the host ends has so long.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// Where a host listens.
pub enum At<'p> {
    /// A socket, for this user.
    Unix(&'p Path),
    /// A TCP port, for who has a key that is known here.
    Tls(Box<tls::Listening>),
}

/// Serves until the target was let go.
///
/// # Errors
/// The socket cannot be made: its folder is missing, it is in use.
pub fn serve(at: At<'_>, terms: Terms, rules: Rules) -> io::Result<()> {
    let wake = super::host::prepare()?;
    let (client, end) = pipe();
    let (out, mut inbox) = client.into_parts();
    let hub = Hub::new(rules, &out, wake.doorbell());
    let came = Arc::new(AtomicBool::new(false));
    let made = match at {
        At::Unix(path) => {
            let (listener, hub, came) = (bind(path)?, hub.clone(), came.clone());
            let accept = move || {
                for stream in listener.incoming().flatten() {
                    came.store(true, Relaxed);
                    let hub = hub.clone();
                    let _one_less =
                        std::thread::Builder::new().name("client".into()).spawn(move || of_user(stream, &hub));
                }
            };
            std::thread::Builder::new().name("accept".into()).spawn(accept)?;
            Some(path.to_path_buf())
        }
        At::Tls(l) => {
            let (hub, came) = (hub.clone(), came.clone());
            let accept = move || {
                l.accept(&|stream, who, scopes| {
                    came.store(true, Relaxed);
                    greeted(stream, &hub, who, scopes);
                });
            };
            std::thread::Builder::new().name("accept".into()).spawn(accept)?;
            None
        }
    };
    let lonely_bell = wake.doorbell();
    let lonely = move || {
        std::thread::sleep(LONELY);
        if !came.load(Relaxed) {
            drop(out);
            lonely_bell.ring();
        } else {
            // Kept for ever: the host ends when it has let the target go.
            std::mem::forget(out);
        }
    };
    std::thread::Builder::new().name("lonely".into()).spawn(lonely)?;
    let says = hub.clone();
    let say = move || {
        while let Some(m) = inbox.blocking_recv() {
            says.said(m);
        }
        // What was said last goes out first.
        says.end();
        std::thread::sleep(LAST_WORDS);
    };
    let writer = std::thread::Builder::new().name("write".into()).spawn(say)?;
    native::serve_rung(end, &wake, terms);
    let _write_thread_ends_with_the_channel = writer.join();
    if let Some(path) = made {
        let _somebody_removed_it = fs::remove_file(path);
    }
    Ok(())
}

/// One client at a socket, until it goes away.
fn of_user(stream: UnixStream, hub: &Hub) {
    // Nothing is said to strangers.
    if let Some(uid) = permitted_user(&stream) {
        let name =
            nix::unistd::User::from_uid(uid.into()).ok().flatten().map_or_else(|| format!("user {uid}"), |u| u.name);
        greeted(stream, hub, &name, Scopes::FULL);
    }
}

fn greeted(mut stream: UnixStream, hub: &Hub, who: &str, scopes: Scopes) {
    if greet(&mut stream).is_ok() {
        hub.serve(stream, who, scopes);
    }
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

/// Who is at the other end, if it is our user or root.
fn permitted_user(s: &UnixStream) -> Option<u32> {
    let ours = nix::unistd::getuid().as_raw();
    getsockopt(s, PeerCredentials).ok().map(|c| c.uid()).filter(|uid| *uid == ours || *uid == 0)
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
    let mut command = std::process::Command::new(super::host::OURSELVES);
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
