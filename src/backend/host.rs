//! The host process: the same binary, started with `host --stdio` in a session of its own, deaf to what terminals send.
//!
//! It serves one client over its standard input and output. The client's end-of-file, SIGTERM and an explicit detach all end
//! the same way: text put back, target running, detached.

use super::client::{Client, HostEnd, pipe};
use super::native::Terms;
use super::protocol::{Failure, FailureKind, FromHost, ToHost};
use super::{native, wire};
use crate::target::linux::{detached, wake::Wake};
use std::io::{self, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

/// Our own file.
pub const OURSELVES: &str = "/proc/self/exe";

/// Starts a host process and connects to it.
pub fn start(profile: &str, redact: Option<bool>) -> Result<Client, Failure> {
    start_with(Path::new(OURSELVES), profile, redact)
}

/// As [`start`], from this adit binary (tests run in another one).
pub fn start_from(adit: &Path, profile: &str) -> Result<Client, Failure> {
    start_with(adit, profile, None)
}

/// As [`start_from`], with something to say about secrets.
pub fn start_with(adit: &Path, profile: &str, redact: Option<bool>) -> Result<Client, Failure> {
    let fail = |what: &str, e: io::Error| {
        Failure::new(FailureKind::Host, format!("cannot start the host process: {what}: {e}"))
    };
    let (ours, theirs) = UnixStream::pair().map_err(|e| fail("socketpair", e))?;
    let fd = |s: &UnixStream| s.try_clone().map(OwnedFd::from).map_err(|e| fail("dup", e));
    let mut command = Command::new(adit);
    command
        .args(["host", "--stdio", "--profile", profile])
        .args(redact.map(|on| if on { "--redact=on" } else { "--redact=off" }))
        .stdin(Stdio::from(fd(&theirs)?))
        .stdout(Stdio::from(fd(&theirs)?))
        .stderr(Stdio::null());
    detached::start(&mut command).map_err(|e| fail("exec", e))?;
    drop(theirs);
    connect(ours).map_err(|e| fail("threads", e))
}

/// A client over a connected stream: one thread reads, one writes.
fn connect(stream: UnixStream) -> io::Result<Client> {
    let (client, HostEnd { mut requests, out }) = pipe();
    let mut writer = stream.try_clone()?;
    std::thread::Builder::new().name("to-host".into()).spawn(move || {
        while let Some(msg) = requests.blocking_recv() {
            if wire::write(&mut writer, &msg).is_err() {
                break;
            }
        }
        let _host_may_be_gone = writer.shutdown(std::net::Shutdown::Write);
    })?;
    std::thread::Builder::new().name("from-host".into()).spawn(move || {
        let mut reader = BufReader::new(stream);
        while let Ok(Some(msg)) = wire::read::<FromHost>(&mut reader) {
            if out.blocking_send(msg).is_err() {
                break;
            }
        }
    })?;
    Ok(client)
}

/// Makes this process a host. Before any thread exists, so that all inherit the signal mask.
///
/// # Errors
/// What wakes the engine cannot be made.
pub fn prepare() -> io::Result<Wake> {
    detached::be_deaf();
    // Less likely to be chosen when memory runs out: our death costs more than our pages. Needs a privilege; best effort.
    let _not_permitted_is_fine = std::fs::write("/proc/self/oom_score_adj", "-500");
    Wake::new().map_err(io::Error::other)
}

/// The main function of the host process. Returns when the target has been let go.
pub fn main(terms: Terms) -> io::Result<()> {
    let wake = prepare()?;
    let (client, end) = pipe();
    let (out, inbox) = client.into_parts();
    let bell = wake.doorbell();
    std::thread::Builder::new().name("read".into()).spawn(move || {
        let mut stdin = BufReader::new(io::stdin().lock());
        while let Ok(Some(msg)) = wire::read::<ToHost>(&mut stdin) {
            if out.send(msg).is_err() {
                break;
            }
            bell.ring();
        }
        // Dropping `out` is the end-of-file that the engine sees.
        drop(out);
        bell.ring();
    })?;
    let writer = std::thread::Builder::new().name("write".into()).spawn(move || write_all(inbox))?;
    native::serve_rung(end, &wake, terms);
    let _write_thread_ends_with_the_channel = writer.join();
    Ok(())
}

fn write_all(mut inbox: tokio::sync::mpsc::Receiver<FromHost>) {
    let mut stdout = io::stdout().lock();
    let mut broken = false;
    while let Some(msg) = inbox.blocking_recv() {
        // A client that is gone must not block the engine: keep draining.
        broken = broken || wire::write(&mut stdout, &msg).is_err();
    }
}
