//! Why something was not done: one line with the cause, and the fix where there is one.

use serde::{Deserialize, Serialize};

/// Kinds of failure; they decide exit codes and JSON's `error.kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The request makes no sense now (continue while running, step without control).
    BadState,
    /// The request itself is wrong (syntax, no such location, name, goroutine).
    BadRequest,
    /// No such process.
    NoProcess,
    /// The operating system refused.
    Permission,
    /// Another debugger is on it.
    Traced,
    /// Not a program that we can read (not ELF, not Go, truncated, corrupt).
    BadBinary,
    /// The target is gone.
    Gone,
    /// The host went away or talks another protocol.
    Host,
    /// What was asked for cannot be had, and why.
    Unavailable,
    /// More than is taken in.
    Limit,
    /// The build failed.
    Build,
    /// The user cancelled it.
    Cancelled,
    /// An error of ours or of the system's.
    Internal,
}

/// A clear one-line error: the cause and the fix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Kind.
    pub kind: FailureKind,
    /// The cause, one line.
    pub message: String,
    /// What to do about it, where something can be done.
    pub fix: Option<String>,
}

impl Failure {
    /// A failure without advice.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into(), fix: None }
    }
    /// Adds advice.
    pub fn fix(mut self, fix: impl Into<String>) -> Failure {
        self.fix = Some(fix.into());
        self
    }
}
