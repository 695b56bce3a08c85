//! What a user can ask of a session, as data: it can be logged, bound to a key and replayed.

use crate::backend::protocol::{ResumeKind, SymbolKind};
use crate::base::GoroutineId;
use crate::model::{BreakpointSpec, HitCondition};

/// What must be so for a command to make sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing at all.
    Nothing,
    /// An open target.
    Target,
    /// Control of the target (not observe mode).
    Control,
    /// Control, and the target stands.
    Stopped,
    /// Variables: type information, and a goroutine that stands or is parked.
    Variables,
    /// A target that we launched.
    Launched,
    /// A target that can be started again.
    Restartable,
}

/// How a breakpoint is named in a command: its number or its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BreakpointName {
    /// `3`.
    Id(i32),
    /// `total`.
    Name(String),
}

impl BreakpointName {
    /// Reads a number or a name.
    pub fn parse(text: &str) -> BreakpointName {
        text.parse().map(BreakpointName::Id).unwrap_or_else(|_| BreakpointName::Name(text.to_string()))
    }
}

/// A change of a breakpoint that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BreakpointEdit {
    /// New condition; empty takes it away.
    Condition(String),
    /// New hit condition, or none.
    Hits(Option<HitCondition>),
    /// Flip enabled.
    Toggle,
    /// Everything at once (the editor).
    Spec(Box<BreakpointSpec>),
    /// What is done at a hit.
    Actions(ActionEdit),
}

/// What is to be done at a hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionEdit {
    /// Record this expression too.
    Value(String),
    /// Record so many frames.
    Stack(u32),
    /// Log this line.
    Log(String),
    /// Record arguments, results and time of calls.
    Trace,
    /// Run on, or stop.
    RunOn(bool),
    /// Stop (or end) after so many hits.
    StopAfter(u64),
    /// Read everything while the thread stands: no uprobe.
    Exact,
    /// Just stop.
    Nothing,
}

/// Which frame to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameMove {
    /// This one.
    To(u32),
    /// Towards the callers.
    Up(u32),
    /// Towards the innermost.
    Down(u32),
}

/// Everything that a session does when asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Let the target go on.
    Resume(ResumeKind),
    /// Stop it.
    Pause,
    /// Stop it, and let stops last; longer, with a reason.
    Hold(String),
    /// Let it run, and stops last no more.
    Release,
    /// Forget an interrupted step.
    CancelStep,
    /// Read anew (observe mode), nothing is stopped.
    Refresh,
    /// A new breakpoint.
    Break(Box<BreakpointSpec>),
    /// Set one at this line, or clear the ones that are there.
    ToggleAt {
        /// Path as in the symbol tables.
        file: String,
        /// Line, from 1.
        line: u32,
    },
    /// Change one.
    EditBreakpoint(BreakpointName, BreakpointEdit),
    /// Clear one.
    Clear(BreakpointName),
    /// Clear all, or those whose place contains the text.
    ClearAll(String),
    /// Show breakpoints as text.
    ListBreakpoints,
    /// Evaluate and show, in a given frame or the selected one.
    Print {
        /// The expression.
        expression: String,
        /// Another frame than the selected one.
        frame: Option<u32>,
    },
    /// Show an expression's type.
    Whatis(String),
    /// Call a function, or assign what a call gives.
    Call(String),
    /// Go on elsewhere in the function.
    Jump(String),
    /// Show memory.
    Examine {
        /// An address, or an expression with one.
        at: String,
        /// Bytes.
        count: u32,
    },
    /// Assign.
    Set {
        /// What to assign to.
        target: String,
        /// The new value.
        value: String,
    },
    /// Look at this goroutine; none says which one is selected.
    Goroutine(Option<GoroutineId>),
    /// Look at this frame.
    Frame(FrameMove),
    /// Let the target run into the next deferred call of the stopped goroutine.
    StepDeferred,
    /// Let what is live stand still, or go on.
    Freeze,
    /// Take a consistent copy, with one short stop; written to a file, too, if one is named.
    Snapshot(Option<std::path::PathBuf>),
    /// Be the one client of several that may change something.
    TakeOver,
    /// Show secrets from now on, for a reason; without one, hide them again.
    Reveal(String),
    /// Leave findings at functions that contain a text out.
    Mute(String),
    /// Take that back (`all` for every one); empty lists them.
    Unmute(String),
    /// List what is muted.
    Mutes,
    /// Ask who keeps an object alive: an address or an expression.
    Refs(String),
    /// Walk the heap anew.
    Heap,
    /// Take an execution trace for so many seconds.
    Record(u32),
    /// Lay a trace in a file over the timeline.
    TraceOver(String),
    /// Show what an execution trace comes to.
    Report(crate::model::TraceReportKind, Option<crate::model::TraceFilter>),
    /// Fill the timeline with the code that runs (perf events), or no more.
    TimelineCode,
    /// Fetch a profile of the process from an address.
    ProfileFetch(String),
    /// Compare the profile with a file or an address; empty ends it.
    ProfileBase(String),
    /// From where on a profile's difference counts.
    Thresholds(String),
    /// Only stacks of the profile that match; empty for all.
    ProfileFocus(String),
    /// A condition on the run: set it, clear it, list all.
    When(String),
    /// Show a pending deferred call of the selected frame, from 1.
    Deferred(u32),
    /// Start again.
    Restart {
        /// Build first.
        rebuild: bool,
        /// New arguments.
        args: Option<Vec<String>>,
    },
    /// Let go, or kill (launched ones only).
    Detach {
        /// End the program too.
        kill: bool,
    },
    /// Bytes for the program's terminal.
    Input(Vec<u8>),
    /// Show where sources are looked for and found.
    Paths,
    /// A new rule for finding sources.
    Substitute {
        /// Prefix of the recorded path.
        from: String,
        /// What to put in its place.
        to: String,
    },
    /// Show names of the symbol tables.
    Symbols(SymbolKind, String),
    /// Show package variables that match.
    PackageVariables(String),
    /// Show threads.
    Threads,
    /// Show registers of the selected frame.
    Registers,
}
