//! What a diagnosis says: findings with their evidence, and what could not be looked at.

use super::{Location, WaitObject};
use crate::base::GoroutineId;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident $name:literal)*) => {
        /// Kinds of finding, named as in JSON.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum FindingKind { $($(#[$doc])* $variant,)* }
        impl FindingKind {
            /// All of them.
            pub const ALL: &'static [FindingKind] = &[$(FindingKind::$variant,)*];
            /// The word in JSON and on screens.
            pub fn name(self) -> &'static str {
                match self { $(FindingKind::$variant => $name,)* }
            }
        }
    };
}

kinds! {
    /// A nil channel is sent to or received from.
    NilChannel "nil-channel"
    /// `select {}`.
    EmptySelect "empty-select"
    /// Nobody can serve the channel.
    ChannelLeak "channel-leak"
    /// The goroutine waits for a lock that it holds.
    DoubleLock "double-lock"
    /// Locks taken in opposite orders.
    LockCycle "lock-cycle"
    /// A reader waits behind a writer that waits for the same reader.
    RwrDeadlock "rwr-deadlock"
    /// Locked, and nobody is left to unlock.
    OrphanLock "orphan-lock"
    /// Many wait for a lock whose holder does something slow.
    LockConvoy "lock-convoy"
    /// A WaitGroup that never reaches zero.
    WaitgroupStuck "waitgroup-stuck"
    /// A Cond that nobody will signal.
    CondStuck "cond-stuck"
    /// Waits for a context that nobody cancels.
    ContextLeak "context-leak"
    /// HTTP bodies that were not closed.
    HttpBodyLeak "http-body-leak"
    /// All connections of a `database/sql` pool are in use.
    SqlPool "sql-pool"
    /// A semaphore or pool whose holders wait for it.
    PoolExhausted "pool-exhausted"
    /// A pipeline that stands because its consumer is blocked elsewhere.
    Stall "stall"
    /// Tickers and timers that were not stopped.
    TimerLeak "timer-leak"
    /// More and more goroutines.
    GoroutineGrowth "goroutine-growth"
    /// A thread that does not come back from a system call or from C.
    ThreadStuck "thread-stuck"
    /// Goroutines that are ready and do not run.
    Starvation "starvation"
    /// The garbage collector is in trouble.
    GcPressure "gc-pressure"
    /// A panic or Goexit is running deferred calls.
    PanicInFlight "panic-in-flight"
    /// `sync.Once` waits for itself.
    OnceDeadlock "once-deadlock"
    /// Nothing moves, and the runtime cannot see it.
    Quiescent "quiescent"
    /// Objects of one type become more and more.
    HeapGrowth "heap-growth"
    /// A cycle through a lock and something else.
    MixedDeadlock "mixed-deadlock"
}

/// How sure a finding is. Never mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingClass {
    /// Statistical.
    Likely,
    /// It would need an actor that cannot be seen.
    Strong,
    /// No schedule can undo it.
    Proof,
}

impl FindingClass {
    /// All, least sure first.
    pub const ALL: [FindingClass; 3] = [FindingClass::Likely, FindingClass::Strong, FindingClass::Proof];
    /// The word in JSON and on screens.
    pub fn name(self) -> &'static str {
        match self {
            FindingClass::Likely => "likely",
            FindingClass::Strong => "strong",
            FindingClass::Proof => "proof",
        }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Look at it soon.
    Medium,
    /// Look at it now.
    High,
}

impl Severity {
    /// The word in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Medium => "medium",
            Severity::High => "high",
        }
    }
}

/// A member of a cycle of waiting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CycleStep {
    /// A goroutine.
    Goroutine(GoroutineId),
    /// What it waits for, held by the next goroutine.
    Object(WaitObject),
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What.
    pub kind: FindingKind,
    /// How sure.
    pub class: FindingClass,
    /// How bad.
    pub severity: Severity,
    /// Goroutines that it is about, ascending; as many as were asked for.
    pub goroutines: Vec<GoroutineId>,
    /// How many there are.
    pub count: u64,
    /// Goroutines that wait because these do, ascending; as many as were asked for.
    pub victims: Vec<GoroutineId>,
    /// How many there are.
    pub victim_count: u64,
    /// The object that they wait for.
    pub object: Option<WaitObject>,
    /// Who waits for whom in a circle.
    pub cycle: Vec<CycleStep>,
    /// The place to look at first.
    pub at: Arc<Location>,
    /// The longest wait, nanoseconds, where the runtime recorded it.
    pub oldest_ns: Option<u64>,
    /// Change of `count` a second since the look before.
    pub per_second: Option<f64>,
    /// One line.
    pub summary: String,
    /// The evidence, a line each.
    pub why: Vec<String>,
    /// What to do next, a line each.
    pub next: Vec<String>,
    /// The same for the same trouble in every look.
    pub key: u64,
}

/// Whether a detector could look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetectorRun {
    /// What it looks for.
    pub kind: FindingKind,
    /// It looked.
    pub ran: bool,
    /// Why it could not, or what limited it.
    pub reason: String,
}

/// One diagnosis.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// Findings, worst first.
    pub findings: Vec<Finding>,
    /// All detectors.
    pub detectors: Vec<DetectorRun>,
    /// Findings that mute rules left out.
    pub muted: u64,
    /// Goroutines looked at, the runtime's own left out.
    pub goroutines: u64,
    /// Objects on the heap and their bytes, when the heap was walked.
    pub heap: Option<(u64, u64)>,
    /// How long it took, microseconds.
    pub took_us: u64,
}
