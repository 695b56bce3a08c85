//! Floor 5: the native debugger: attach and launch, stops, breakpoints, stepping, the journal. One thread, blocking.
//!
//! Three rules. All threads stand and the text is clean whenever the user sees a stop. What a hit means is decided on the
//! thread that hit, before anything else is stopped. Nothing is parsed while the target stands.

pub mod breakpoints;
pub mod calls;
pub mod control;
pub mod copies;
mod crowd;
pub mod go;
pub mod guardian;
pub mod hits;
pub mod hook;
pub mod inject;
pub mod int3;
pub mod journal;
pub mod locspec;
pub mod modules;
pub mod open;
mod pauses;
pub mod points;
pub mod report;
pub mod rescue;
pub mod resume;
pub mod running;
pub mod snapshot;
pub mod stepover;
pub mod stepping;
pub mod uprobes;
pub mod watch;
pub mod writes;

pub use copies::Origin;
pub use open::{Loaded, OpenError};

use crate::arch::Registers;
use crate::base::{BreakpointId, GoroutineId, LoadAddr, LoadBias, MemoryError, StopEpoch, Tid};
use crate::goruntime::GoRuntime;
use crate::model::{Breakpoint, Hit, Stop};
use crate::symbols::Symbols;
use crate::target::TargetError;
use crate::target::linux::copy::CopyError;
use crate::target::linux::memory::ProcessMemory;
use crate::target::linux::tracer::Tracer;
use breakpoints::Breakpoints;
use int3::{ArmError, Int3, Text};
use points::Step;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use stepover::Displaced;

/// Why something with the engine failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The operating system or the process.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The target's text could not be changed.
    #[error(transparent)]
    Arm(#[from] ArmError),
    /// The target's memory could not be read.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// A location.
    #[error(transparent)]
    Location(#[from] locspec::LocationError),
    /// A copy of the process.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// A condition or an expression does not compile.
    #[error("{0}")]
    Expression(String),
    /// It makes no sense now.
    #[error("{0}")]
    State(String),
    /// No such thing.
    #[error("{0}")]
    NotFound(String),
}

/// What the engine tells its owner.
#[derive(Clone, Debug, PartialEq)]
pub enum Happened {
    /// All stands.
    Stopped(Box<Stop>),
    /// It runs.
    Resumed(StopEpoch),
    /// The process ended: status or signal.
    Exited(Option<i32>, Option<i32>),
    /// It was let go, why.
    Released(String),
    /// A breakpoint's hits or state changed.
    Breakpoint(Box<Breakpoint>),
    /// A breakpoint is no more.
    BreakpointGone(BreakpointId),
    /// What breakpoints recorded, and how much more was lost so far.
    Hits(Vec<Hit>, u64),
    /// A call is over.
    Called(Box<inject::Outcome>),
    /// For the log.
    Note(String),
}

/// The state of all threads at a moment, for readers on other threads.
#[derive(Clone, Debug, Default)]
pub struct StopState {
    /// Which moment.
    pub epoch: StopEpoch,
    /// Does the target stand?
    pub stopped: bool,
    /// Thread and goroutine that the stop is about.
    pub thread: Tid,
    /// Goroutine that the stop is about.
    pub goroutine: Option<GoroutineId>,
    /// Registers by thread; empty while it runs.
    pub registers: HashMap<i32, Registers>,
    /// How long the target stood for it so far, when known, microseconds.
    pub pause_us: u64,
}

/// Control over one live process.
pub struct Engine {
    tracer: Tracer,
    mem: Arc<ProcessMemory>,
    sym: Arc<Symbols>,
    rt: Arc<GoRuntime>,
    bias: LoadBias,
    traps: Int3,
    displaced: Displaced,
    table: Breakpoints,
    /// Entry of the function, by the id of the engine's own breakpoints.
    own: BTreeMap<LoadAddr, crate::base::BreakpointId>,
    /// One-shot: the launch ends here.
    entry: Option<LoadAddr>,
    /// One-shot: continue to here.
    to: Vec<LoadAddr>,
    step: Option<Step>,
    running: bool,
    gone: bool,
    epoch: StopEpoch,
    state: Arc<StopState>,
    /// Threads whose hit was dealt with: on resume they pass the breakpoint they stand on.
    dealt_with: BTreeSet<Tid>,
    /// Children that share our memory between vfork and exec.
    vforked: BTreeSet<Tid>,
    /// Events taken from the kernel and not dealt with yet.
    unhandled: VecDeque<crate::target::linux::tracer::Event>,
    crowd: crowd::Crowd,
    pauses: pauses::Pauses,
    /// Until then the next hit is waited for asleep: others want the processors.
    asleep_until: std::time::Instant,
    asleep_for: std::time::Duration,
    /// Keeps the processor awake on which the next hit is near.
    awake: crate::target::linux::awake::Awake,
    launched: bool,
    kill_on_end: bool,
    happened: Vec<Happened>,
    /// Counts and records not passed on yet.
    pending: hits::Pending,
    /// A call of the program's own function under way.
    calling: Option<inject::Calling>,
    /// Breakpoints that are uprobes now.
    probes: BTreeMap<BreakpointId, uprobes::Probe>,
    /// Who watches data by which debug register.
    plan: watch::Plan,
    /// What the function just left returned, for the next report of a stop.
    returned: Vec<crate::model::Variable>,
    /// The plan must be made anew, as soon as no event is being dealt with.
    replan: bool,
    /// What a breakpoint may cost; none for no limit.
    guard: Option<hits::Guard>,
}

/// The target's text for the int3 mechanism.
struct EngineText<'a> {
    sym: &'a Symbols,
    bias: LoadBias,
    mem: &'a ProcessMemory,
}

impl Text for EngineText<'_> {
    fn clean(&self, at: LoadAddr) -> Option<u8> {
        self.sym.text(self.bias.to_file(at), 1)?.first().copied()
    }
    fn write(&self, at: LoadAddr, bytes: &[u8]) -> Result<(), MemoryError> {
        self.mem.write(at, bytes)
    }
}

impl Engine {
    /// The process.
    pub fn pid(&self) -> i32 {
        self.tracer.pid()
    }
    /// Memory, for readers.
    pub fn memory(&self) -> &Arc<ProcessMemory> {
        &self.mem
    }
    /// The Go runtime's view.
    pub fn runtime(&self) -> &Arc<GoRuntime> {
        &self.rt
    }
    /// Symbols.
    pub fn symbols(&self) -> &Arc<Symbols> {
        &self.sym
    }
    /// Where it was loaded.
    pub fn bias(&self) -> LoadBias {
        self.bias
    }
    /// Does it run?
    pub fn is_running(&self) -> bool {
        self.running
    }
    /// Has it exited or been let go?
    pub fn is_gone(&self) -> bool {
        self.gone
    }
    /// Did we start it?
    pub fn is_launched(&self) -> bool {
        self.launched
    }
    /// The present moment, for readers.
    pub fn state(&self) -> Arc<StopState> {
        self.state.clone()
    }
    /// Limits what a breakpoint may cost.
    pub fn set_guard(&mut self, guard: Option<hits::Guard>) {
        self.guard = guard;
    }
    /// What happened since the last call.
    pub fn take_happened(&mut self) -> Vec<Happened> {
        self.news_of_hits(false);
        std::mem::take(&mut self.happened)
    }
    /// Is a step waiting to be continued?
    pub fn step_pending(&self) -> bool {
        self.step.is_some()
    }
}
