//! What a goroutine waits for.

use crate::base::LoadAddr;
use serde::{Deserialize, Serialize};

/// Kinds of thing waited for, as JSON names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // the words of the contract say it
pub enum WaitKind {
    Chan,
    Select,
    Mutex,
    Rwmutex,
    Waitgroup,
    Cond,
    Semaphore,
    Once,
    Timer,
    Io,
    Gc,
    Syscall,
    DebugCall,
    Other,
}

/// What it wants to do there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum WaitOp {
    Send,
    Receive,
    Lock,
    Rlock,
    Wait,
    Read,
    Write,
    Sleep,
}

/// One object that a goroutine waits on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitOn {
    /// Kind of object.
    pub kind: WaitKind,
    /// Operation.
    pub op: WaitOp,
    /// Its address; nil channels have none.
    pub addr: Option<LoadAddr>,
    /// `chan int`, when known.
    pub type_name: Option<String>,
    /// A name by which the program knows it, when one was found.
    pub name: Option<String>,
    /// For channels: elements buffered and capacity.
    pub buffer: Option<(u64, u64)>,
}
