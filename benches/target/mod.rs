//! What the benches have in common: targets, the binary under measure, processor time.
#![allow(dead_code)] // no bench uses all of it

use super::common;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Builds `benches/targets/NAME`.
pub fn build(name: &str) -> PathBuf {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{name}"));
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/targets").join(name);
    let mut c = common::go();
    c.current_dir(dir).arg("build").arg("-o").arg(&out).arg(".");
    assert!(c.status().expect("go runs").success(), "go build {name}");
    out
}

/// A target that runs for the time of a measure, killed by pid at its end.
pub struct Target(pub Child);

impl Target {
    /// Starts it and waits for its first line.
    pub fn start(exe: &Path, args: &[&str]) -> Target {
        let mut child = Command::new(exe).args(args).stdout(Stdio::piped()).spawn().expect("started");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("output")).read_line(&mut line).expect("ready");
        Target(child)
    }
    pub fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _status = self.0.wait();
    }
}

/// The binary under measure.
pub fn adit() -> PathBuf {
    PathBuf::from(std::env::var_os("ADIT_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_adit").into()))
}

/// Processor time of all children that ended.
pub fn children_cpu() -> Duration {
    cpu(UsageWho::RUSAGE_CHILDREN)
}

/// Processor time of this process.
pub fn own_cpu() -> Duration {
    cpu(UsageWho::RUSAGE_SELF)
}

fn cpu(who: UsageWho) -> Duration {
    let u = getrusage(who).expect("usage");
    let of = |t: TimeVal| Duration::from_micros((t.tv_sec() as u64) * 1_000_000 + t.tv_usec() as u64);
    of(u.user_time()) + of(u.system_time())
}
