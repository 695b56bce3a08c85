//! What a goroutine waits for.

use crate::base::{GoroutineId, LoadAddr};
use serde::{Deserialize, Serialize};

/// Kinds of thing waited for, as JSON names them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    #[default]
    Other,
}

/// What it wants to do there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum WaitOp {
    Send,
    Receive,
    Lock,
    Rlock,
    #[default]
    Wait,
    Read,
    Write,
    Sleep,
}

/// One object that a goroutine waits on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The state of the object, or what else is known: `locked, 3 waiters`, `counter 2`, `in 3.2s`, `fd 7 tcp 127.0.0.1:80`.
    pub detail: Option<String>,
    /// The other side: goroutines queued at the other end of a channel, or that hold the lock; the first few.
    pub peers: Vec<GoroutineId>,
}
