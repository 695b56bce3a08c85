//! The engine's errors as one-line failures: the cause, and the fix where there is one.

use crate::backend::protocol::{Failure, FailureKind};
use crate::engine::{EngineError, OpenError};
use crate::symbols::SymbolsError;
use crate::target::TargetError;
use crate::target::linux::copy::CopyError;

/// An error of the running engine.
pub fn from_engine(e: &EngineError) -> Failure {
    match e {
        EngineError::Target(t) | EngineError::Copy(CopyError::Target(t)) => from_target(t),
        EngineError::Copy(c) => Failure::new(FailureKind::Unavailable, c.to_string()),
        EngineError::Location(l) => {
            let f = Failure::new(FailureKind::BadRequest, l.message.clone());
            match &l.fix {
                Some(fix) => f.fix(fix.clone()),
                None => f,
            }
        }
        EngineError::Expression(_) | EngineError::NotFound(_) => Failure::new(FailureKind::BadRequest, e.to_string()),
        EngineError::State(_) => Failure::new(FailureKind::BadState, e.to_string()),
        EngineError::Arm(_) | EngineError::Memory(_) => Failure::new(FailureKind::Internal, e.to_string()),
    }
}

/// An error while opening a target.
pub fn from_open(e: &OpenError) -> Failure {
    match e {
        OpenError::Target(t) => from_target(t),
        OpenError::Engine(e) => from_engine(e),
        OpenError::Binary { source: SymbolsError::NotGo, .. } => Failure::new(FailureKind::BadBinary, e.to_string())
            .fix("adit debugs programs built by the Go toolchain; use gdb or lldb for others"),
        OpenError::Binary { .. } => {
            Failure::new(FailureKind::BadBinary, e.to_string()).fix("rebuild it, or give the program's file with --exe")
        }
        OpenError::File { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            Failure::new(FailureKind::Permission, e.to_string()).fix("run adit as a user who may read it")
        }
        OpenError::File { .. } => {
            Failure::new(FailureKind::BadBinary, e.to_string()).fix("check the path, or give it with --exe")
        }
        OpenError::Core { .. } => {
            Failure::new(FailureKind::BadBinary, e.to_string()).fix("the file may be damaged or still being written")
        }
        OpenError::NoExecutable { .. } => {
            Failure::new(FailureKind::BadBinary, e.to_string()).fix("name the program's file with --exe BIN")
        }
        OpenError::Runtime { .. } => Failure::new(FailureKind::BadBinary, e.to_string())
            .fix("if the binary was stripped, give the unstripped build with --exe"),
    }
}

fn from_target(t: &TargetError) -> Failure {
    let text = t.to_string();
    match t {
        TargetError::NoProcess(_) => Failure::new(FailureKind::NoProcess, text).fix("check the pid (ps, pgrep)"),
        TargetError::Traced { pid, .. } => Failure::new(FailureKind::Traced, text)
            .fix(format!("end that debugger, or read without control: adit {pid}")),
        TargetError::Denied { pid, .. } => {
            Failure::new(FailureKind::Permission, text).fix(format!("adit doctor {pid}"))
        }
        TargetError::Exited => Failure::new(FailureKind::Gone, text),
        TargetError::Os { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            Failure::new(FailureKind::Permission, text).fix("check the file's permissions (is it executable?)")
        }
        TargetError::Os { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            Failure::new(FailureKind::BadRequest, text).fix("check the path")
        }
        TargetError::Os { .. } => Failure::new(FailureKind::Internal, text),
    }
}
