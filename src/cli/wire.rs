//! Where the command line meets processes: the functions that start hosts and look at the machine.

use super::args::{Common, Profile};
use crate::backend::client::Client;
use crate::backend::protocol::{Failure, FailureKind, TargetSpec};

fn not_here(what: &str) -> Failure {
    Failure::new(FailureKind::Unavailable, format!("{what} is not wired in this build"))
}

/// Starts a host process and connects to it. The target is opened by the caller's `Open`; `spec` is for checks beforehand.
pub fn connect_host(_spec: &TargetSpec, _common: &Common, _profile: Profile) -> Result<Client, Failure> {
    Err(not_here("the debugger host"))
}

/// A host on a thread of this process that only reads; nothing is stopped.
pub fn observe_in_process(_pid: i32) -> Result<Client, Failure> {
    Err(not_here("observing a process"))
}

/// `adit doctor`: prints its report, returns the exit code.
pub fn doctor(_pid: Option<i32>, _json: bool) -> Result<u8, Failure> {
    Err(not_here("the doctor"))
}

/// `adit rescue`: puts text back, prints what it did, returns the exit code.
pub fn rescue(_pid: Option<i32>, _all: bool, _json: bool) -> Result<u8, Failure> {
    Err(not_here("rescue"))
}

/// `adit host`: serves a client until it goes away, returns the exit code.
pub fn host_main(_stdio: bool, _fd: Option<i32>) -> Result<u8, Failure> {
    Err(not_here("the debugger host"))
}
