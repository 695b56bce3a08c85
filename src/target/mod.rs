//! Floor 3: the debuggee as the operating system shows it: memory, registers, threads, run control.
//!
//! It knows no Go and no DWARF. `linux/` is the only place with ptrace; `core` opens and writes what is left of a process.

pub mod core;
pub mod linux;
pub mod pieces;

/// Why something with the target process failed.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// No such process, or it is gone.
    #[error("process {0} does not exist")]
    NoProcess(i32),
    /// Another debugger has it.
    #[error("{tracer_name} (pid {tracer}) is attached to process {pid}; only one tracer is possible")]
    Traced {
        /// The process.
        pid: i32,
        /// Who traces it.
        tracer: i32,
        /// Name of that process.
        tracer_name: String,
    },
    /// The kernel refused.
    #[error("may not {what} process {pid}: {why}")]
    Denied {
        /// The process.
        pid: i32,
        /// `attach to`, `read`.
        what: &'static str,
        /// The cause, from the doctor's checks.
        why: String,
    },
    /// The target exited while it was needed.
    #[error("the process exited")]
    Exited,
    /// A system call failed otherwise.
    #[error("{what}: {source}")]
    Os {
        /// What was tried.
        what: String,
        /// What the kernel said.
        source: std::io::Error,
    },
}

impl TargetError {
    /// Wraps the OS error of doing `what`.
    pub fn os(what: impl Into<String>, source: impl Into<std::io::Error>) -> TargetError {
        TargetError::Os { what: what.into(), source: source.into() }
    }
}
