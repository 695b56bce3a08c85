//! Hosts at sockets, and clients of them.

use adit::backend::client::Client;
use adit::backend::link::{self, Line, Traffic};
use adit::backend::protocol::{Failure, FailureKind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A host at a socket, ended (by pid) with the test.
pub struct Listening {
    /// Its process.
    pub child: Child,
    /// Its socket.
    pub path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Listening {
    /// For a process, under a profile, with these flags.
    pub fn start(pid: i32, profile: &str, flags: &[&str]) -> Listening {
        Listening::start_by("exec \"$0\" \"$@\"", pid, profile, flags)
    }

    /// Started by a shell that does something else first.
    pub fn start_by(script: &str, pid: i32, profile: &str, flags: &[&str]) -> Listening {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("host.sock");
        let at = format!("unix:{}", path.display());
        let mut c = Command::new("sh");
        c.args(["-c", script, env!("CARGO_BIN_EXE_adit"), "host", "--listen", &at, &pid.to_string()]);
        c.args(["--profile", profile]).args(flags);
        let child = c.stdin(Stdio::null()).spawn().expect("a host");
        let begun = Instant::now();
        while !path.exists() {
            assert!(begun.elapsed() < Duration::from_secs(10), "it listens");
            std::thread::sleep(Duration::from_millis(5));
        }
        Listening { child, path, _dir: dir }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A client over a line to a socket, which is made again when it breaks.
pub fn client(path: &Path) -> Result<(Client, Traffic), Failure> {
    let path = path.to_path_buf();
    link::client(Box::new(move |_| {
        let s = super::socket(&path).map_err(|e| Failure::new(FailureKind::Host, e.to_string()))?;
        let (reader, writer) =
            (Box::new(s.try_clone().expect("its other end")), Box::new(s.try_clone().expect("its other end")));
        Ok(Line { reader, writer, cut: Arc::new(move || drop(s.shutdown(std::net::Shutdown::Both))) })
    }))
}
