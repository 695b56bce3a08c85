//! What client and host say to each other: typed requests, replies and notices.
//!
//! A request gets exactly one reply, in any order; notices come by themselves. Data read of the target carries the
//! [`StopEpoch`] at which it was true. The same enums travel over an in-memory pipe or, framed, over a socket.

pub use super::adapter::{CodeLine, NamedGoroutine, ValuesOf};
pub use super::delve::DelveSpec;
pub use super::failure::{Failure, FailureKind};
use super::peer::Peer;
pub use super::queries::*;
pub use super::starting::{BuildSpec, LaunchSpec, Redirects};
use crate::base::{BreakpointId, GoroutineId, LoadAddr, StopEpoch};
use crate::model::*;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;

/// Raised with every incompatible change of the enums below; both sides compare it in `Hello`.
pub const PROTOCOL_VERSION: u32 = 7;

/// What to open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TargetSpec {
    /// A running process. With `control`, ptrace attaches (without stopping it); else it is only read.
    Attach {
        /// Process id.
        pid: i32,
        /// Executable to take symbols from, when `/proc/PID/exe` is not the one (stripped).
        exe: Option<PathBuf>,
        /// Take control, or only observe.
        control: bool,
    },
    /// A new process, stopped at `main.main`.
    Launch(LaunchSpec),
    /// A file: an ELF core, a snapshot of ours, a goroutine dump in text; told apart by content.
    File {
        /// The file.
        path: PathBuf,
        /// The executable of a core, when the core does not lead to it.
        exe: Option<PathBuf>,
    },
    /// What the host was started for.
    Here,
    /// Profiles: files or addresses, several added up, compared with others or not.
    Profile {
        /// What to look at.
        sources: Vec<String>,
        /// What to compare it with.
        base: Vec<String>,
    },
    /// A remote `dlv --headless`.
    Delve(DelveSpec),
}

/// Client to host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// First message. Reply: `Hello`.
    Hello {
        /// The client's [`PROTOCOL_VERSION`].
        version: u32,
    },
    /// Opens the target. Reply: `Opened`. Notices `Progress` may come before it.
    Open(TargetSpec),
    /// Reply: `Goroutines`.
    Goroutines(GoroutineQuery),
    /// Reply: `Groups`.
    Groups(GroupQuery),
    /// Goroutines of one group. Reply: `Goroutines`.
    GroupMembers {
        /// The grouping.
        query: GroupQuery,
        /// The group's key.
        key: u64,
        /// First member.
        start: u64,
        /// Members at most.
        count: u64,
    },
    /// These goroutines; those that are gone are left out. Reply: `Goroutines`.
    GoroutinesById {
        /// Which, in the order of the answer.
        ids: Vec<GoroutineId>,
    },
    /// In observe mode: forget what was read and read anew. Reply: `Done`; the epoch moves on.
    Refresh,
    /// Reply: `Stack`.
    Stack {
        /// Whose; none for the goroutine of the current stop.
        goroutine: Option<GoroutineId>,
        /// Frames at most.
        depth: u32,
        /// With defers of each frame.
        defers: bool,
    },
    /// Arguments and locals in scope. Reply: `Variables`.
    Scope {
        /// Where.
        frame: FrameRef,
        /// How much of each.
        limits: LoadLimits,
    },
    /// Children of a value. Reply: `Variables`.
    Children {
        /// [`Variable::handle`].
        handle: u64,
        /// First child.
        start: u64,
        /// Children at most.
        count: u64,
        /// How much of each.
        limits: LoadLimits,
    },
    /// An expression, as Delve's `print`. Reply: `Value`.
    Eval {
        /// Where names are looked up.
        frame: FrameRef,
        /// Go expression.
        expression: String,
        /// How much.
        limits: LoadLimits,
    },
    /// Assign. Reply: `Done`.
    Set {
        /// Where.
        frame: FrameRef,
        /// What to assign to.
        expression: String,
        /// The new value, an expression.
        value: String,
    },
    /// Calls a function of the program, in the frame's goroutine; all others run meanwhile. Reply: `Called`, when it is over; the
    /// program may have stopped for something else before.
    Call {
        /// Where.
        frame: FrameRef,
        /// A call expression, or an assignment of one.
        expression: String,
        /// How much of the results.
        limits: LoadLimits,
    },
    /// Raw memory. Reply: `Memory`, shorter where it cannot be read on.
    Memory {
        /// From.
        addr: LoadAddr,
        /// Bytes, 1 MiB at most.
        len: u32,
    },
    /// Writes raw memory (data only). Reply: `Done`.
    SetMemory {
        /// Where.
        addr: LoadAddr,
        /// What.
        bytes: Vec<u8>,
    },
    /// Writes a register of the frame's thread (innermost frame only). Reply: `Done`.
    SetRegister {
        /// Whose.
        frame: FrameRef,
        /// Name as in `Registers`.
        name: String,
        /// The new value, an expression.
        value: String,
    },
    /// Moves the goroutine to another line of its function, without running what lies between. Reply: `Done`; `Notice::Stopped` follows.
    Jump {
        /// Whose innermost frame.
        goroutine: Option<GoroutineId>,
        /// Delve location.
        to: String,
    },
    /// Values as trees. Reply: `Values`.
    Values {
        /// Which.
        of: ValuesOf,
        /// How much of each.
        limits: LoadLimits,
    },
    /// Instructions around an address, also across functions. Reply: `Code`.
    Code {
        /// Where.
        addr: LoadAddr,
        /// So many before it, where there are so many.
        before: u32,
        /// So many from it on.
        count: u32,
    },
    /// All goroutines with the function that each is in, and no more of them. Reply: `GoroutineNames`.
    GoroutineNames(GoroutineFilter),
    /// Package variables that match. Reply: `Variables`.
    PackageVariables {
        /// Regular expression on the full name.
        filter: String,
        /// How much of each.
        limits: LoadLimits,
    },
    /// Text of a source file as the host sees it. Reply: `Source`.
    Source {
        /// Path as in the symbol tables.
        file: String,
    },
    /// Lines of a file that have code (where a breakpoint can be). Reply: `CodeLines`.
    CodeLines {
        /// Path as in the symbol tables.
        file: String,
    },
    /// Machine code around an address. Reply: `Instructions`.
    Disassemble {
        /// Where: none for the current PC of the frame.
        frame: FrameRef,
    },
    /// Names for completion and lists. Reply: `Symbols`.
    Symbols {
        /// Of what.
        kind: SymbolKind,
        /// Case-insensitive substring.
        filter: String,
        /// At most.
        count: u32,
    },
    /// Reply: `Breakpoint`, or `Breakpoints` for a regular expression.
    SetBreakpoint {
        /// What.
        spec: BreakpointSpec,
        /// For relative locations.
        frame: FrameRef,
    },
    /// New condition, hit count, name or enabled state; the place stays. Reply: `Breakpoint`.
    EditBreakpoint {
        /// Which.
        id: BreakpointId,
        /// What it shall be.
        spec: BreakpointSpec,
    },
    /// Finds what is wrong; nothing is stopped for it. May take seconds on a large heap. Reply: `Diagnosis`.
    Diagnose(DiagnoseQuery),
    /// The wait-for graph. Reply: `Waits`.
    Waits(WaitQuery),
    /// Who keeps an object alive. Reply: `Refs`.
    Refs {
        /// `0xc000123400`, or an expression whose value is (or points to) the object.
        object: String,
        /// Where names are looked up.
        frame: FrameRef,
        /// Paths at most.
        count: u32,
    },
    /// Sums over the heap. Reply: `Heap`.
    Heap {
        /// By what.
        by: HeapBy,
        /// Rows at most.
        count: u32,
    },
    /// A part of the timeline. Reply: `Timeline`. A process is sampled from the first such request on, until nobody asks for a while.
    Timeline(TimelineQuery),
    /// What happened in one lane between two times. Reply: `Spans`.
    Spans {
        /// Which lane.
        lane: LaneKind,
        /// Begin, ns.
        from_ns: i64,
        /// End, ns.
        to_ns: i64,
        /// Spans at most.
        count: u32,
        /// From this source, where there are several.
        source: Option<TimelineSource>,
    },
    /// The nearest mark in the timeline. Reply: `Found`, which may say from where on to ask again.
    FindMark(MarkQuery),
    /// The timeline in figures. Reply: `TimelineSummary`.
    TimelineSummary,
    /// What an execution trace comes to, as far as it has been read. Reply: `TraceReport`.
    TraceReport(TraceReportKind),
    /// The same of a part of it, for which the trace is read again. Reply: `TraceReport`.
    TraceReportOf {
        /// Which report.
        kind: TraceReportKind,
        /// Of what.
        of: TraceFilter,
    },
    /// Takes an execution trace of the process through its own handler, which its timeline then shows. Reply: `Done`, before it is there.
    Record {
        /// How long, seconds; ten minutes at most.
        seconds: u32,
    },
    /// Lays an execution trace that the process wrote itself (a flight recorder's, say) over its timeline. Reply: `Done`.
    TraceOver {
        /// The file, as the host sees it.
        file: PathBuf,
    },
    /// Fills the timeline of a process with the code that its Ps execute, from the kernel's perf events, or no more. Reply: `Done`.
    TimelineCode {
        /// On, or off.
        on: bool,
    },
    /// What is to be seen of the profile that is open. Reply: `Profile`.
    Profile(ProfileQuery),
    /// Compare the profile with other files or addresses; none ends it. Reply: `Done`.
    ProfileBase {
        /// Files as the host sees them, or addresses.
        base: Vec<String>,
    },
    /// Profiles that can be had of a running process. Reply: `ProfileSources`.
    ProfileSources,
    /// Fetch a profile of a running process and open it beside the process. Reply: `Done`, once it is there.
    ProfileFetch {
        /// Where it is.
        url: String,
    },
    /// Sets a condition on the run, or sets it again. Reply: `Triggers`. When it holds: `Notice::Stopped`, or a copy in a file and `Notice::Log`.
    SetTrigger(TriggerSpec),
    /// Removes one. Reply: `Triggers`.
    ClearTrigger {
        /// Its text; empty for all.
        condition: String,
    },
    /// Stops the target, copies what it has in memory, lets it run on, and answers everything from the copy until `Refresh`.
    /// Reply: `Snapshot`; the epoch moves on.
    Snapshot {
        /// Write the copy to this file too.
        file: Option<PathBuf>,
    },
    /// Reply: `Done`.
    ClearBreakpoint(BreakpointId),
    /// Reply: `Breakpoints`.
    Breakpoints,
    /// Reply: `Threads`.
    Threads,
    /// Registers of a frame's thread (innermost frame only). Reply: `Registers`.
    Registers(FrameRef),
    /// Go on. Reply: `Done` at once; `Notice::Stopped` or `Exited` follows.
    Resume {
        /// How.
        kind: ResumeKind,
        /// Which goroutine a step is about; none for the one of the stop.
        goroutine: Option<GoroutineId>,
    },
    /// Stop the target. Reply: `Done`; `Notice::Stopped` follows (also if it stood already).
    Pause,
    /// Stop the target and let stops last, for as long as the profile allows, or longer, with a reason; or no more: the program runs.
    /// Reply: `Done`; `Notice::Budget` says how long.
    Hold {
        /// Hold, or let it run.
        on: bool,
        /// Why longer.
        reason: String,
    },
    /// A sign of life. A client that sent one is missed when it sends no more. Reply: `Done`.
    Alive {
        /// The user pressed a key.
        key: bool,
    },
    /// Shows a token, where the host asks for one: what may be asked for from now on is what it grants. Reply: `Done`.
    Token {
        /// As it was given.
        token: String,
    },
    /// Be the one client that may change something, where there are several. Reply: `Done`; all are told.
    TakeOver,
    /// Show what looks like a secret from now on, for a reason; an empty one hides it again. Reply: `Done`; what was read before is to be
    /// read anew.
    Reveal {
        /// Why; it is on record.
        reason: String,
    },
    /// The host says to itself that its client's line broke; another may come. No reply.
    ClientGone,
    /// Forget a step that another goroutine's breakpoint interrupted. Reply: `Done`.
    CancelStep,
    /// Start the program again; with `rebuild`, build it first. Reply: `Opened`.
    Restart {
        /// Build first.
        rebuild: bool,
        /// New arguments, or the old ones.
        args: Option<Vec<String>>,
    },
    /// Where the streams of a launched program go when it is started again. Reply: `Done`.
    Redirect(Box<Redirects>),
    /// Bytes typed for the program. Reply: `Done`.
    Input(Vec<u8>),
    /// New size of the program's pty. Reply: `Done`.
    ResizePty {
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
    /// Put everything back and let go. `kill` is refused for a process we did not launch. Reply: `Done`; the host then ends.
    Detach {
        /// End the program too.
        kill: bool,
    },
}

/// One disassembled instruction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instruction {
    /// Where.
    pub pc: LoadAddr,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Text.
    pub text: String,
    /// Line it belongs to.
    pub line: u32,
    /// The thread stands here.
    pub current: bool,
    /// A breakpoint is here.
    pub breakpoint: bool,
}

/// Host to client, answering.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // fields are named in the request they answer
pub enum Reply {
    Hello {
        version: u32,
        adit: String,
    },
    Opened {
        target: Arc<TargetInfo>,
        caps: Caps,
        stop: Option<Stop>,
    },
    Done,
    Goroutines {
        epoch: StopEpoch,
        read: ReadInfo,
        total: u64,
        rows: Vec<Goroutine>,
    },
    Groups {
        epoch: StopEpoch,
        read: ReadInfo,
        goroutines: u64,
        hidden_system: u64,
        total: u64,
        groups: Vec<GoroutineGroup>,
    },
    Stack {
        epoch: StopEpoch,
        stack: Stack,
    },
    Variables {
        epoch: StopEpoch,
        variables: Vec<Variable>,
        total: u64,
    },
    Value {
        epoch: StopEpoch,
        value: Box<Variable>,
    },
    Values {
        epoch: StopEpoch,
        values: Vec<ValueTree>,
    },
    Code(Vec<CodeLine>),
    GoroutineNames {
        epoch: StopEpoch,
        functions: Vec<String>,
        rows: Vec<NamedGoroutine>,
    },
    Source {
        file: String,
        text: String,
    },
    CodeLines {
        file: String,
        lines: Vec<u32>,
    },
    Instructions {
        function: String,
        instructions: Vec<Instruction>,
    },
    Symbols {
        names: Vec<String>,
        total: u64,
    },
    Breakpoint(Box<Breakpoint>),
    Breakpoints(Vec<Breakpoint>),
    Threads {
        epoch: StopEpoch,
        threads: Vec<Thread>,
    },
    Registers(Vec<(String, String)>),
    Memory {
        addr: LoadAddr,
        bytes: Vec<u8>,
    },
    /// Results, or the value that the callee panicked with.
    Called {
        epoch: StopEpoch,
        values: Vec<Variable>,
        panicked: Option<Box<Variable>>,
    },
    Diagnosis {
        epoch: StopEpoch,
        read: ReadInfo,
        diagnosis: Box<Diagnosis>,
    },
    Waits {
        epoch: StopEpoch,
        read: ReadInfo,
        graph: Box<WaitGraph>,
    },
    Refs {
        epoch: StopEpoch,
        references: Box<References>,
    },
    Heap {
        epoch: StopEpoch,
        read: ReadInfo,
        heap: Box<HeapSummary>,
    },
    Timeline(Box<TimelineView>),
    Spans(Vec<Span>),
    Found(Found),
    TimelineSummary(Box<TimelineSummary>),
    TraceReport(Box<TraceReport>),
    Profile(Box<ProfileView>),
    /// `why` none of them can be had, if so.
    ProfileSources {
        sources: Vec<ProfileSource>,
        why: String,
    },
    Triggers(Vec<TriggerState>),
    /// `bytes` were copied, `file_bytes` written.
    Snapshot {
        epoch: StopEpoch,
        pause_us: u64,
        bytes: u64,
        file_bytes: u64,
    },
}

/// Host to client, unasked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Notice {
    /// All threads stand; text is clean.
    Stopped(Box<Stop>),
    /// It runs again.
    Resumed { epoch: StopEpoch },
    /// The program wrote this to its pty.
    Output(Vec<u8>),
    /// The process ended by itself: exit status or signal name.
    Exited { status: Option<i32>, signal: Option<String> },
    /// We let go; why.
    Detached { reason: String },
    /// Hits, state or place of a breakpoint changed.
    Breakpoint(Box<Breakpoint>),
    /// A breakpoint is no more: a temporary one that has stopped the program, or a watchpoint whose data is gone.
    BreakpointGone(BreakpointId),
    /// What breakpoints recorded, oldest first; `lost` more were not kept.
    Hits { hits: Vec<Hit>, lost: u64 },
    /// Long work: `done` of `total` (0 = unknown).
    Progress { what: String, done: u64, total: u64 },
    /// Who may change something, of several clients: you, or another one, who is named; how many clients there are.
    Driver { you: bool, who: String, clients: u32 },
    /// How long the program stood, and may stand.
    Budget(Box<BudgetState>),
    /// More is known of what was opened.
    Target(Arc<TargetInfo>),
    /// For the Log workspace.
    Log { level: LogLevel, text: String },
}

/// How important a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
}

/// Client to host, with the number that its reply will carry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToHost {
    /// Chosen by the client, ascending.
    pub id: u64,
    /// What.
    pub request: Request,
    /// Whose, where there are several; the line says it, not the client.
    #[serde(skip)]
    pub by: Option<Arc<Peer>>,
}

impl ToHost {
    /// What the only client asks.
    pub fn new(id: u64, request: Request) -> ToHost {
        ToHost { id, request, by: None }
    }
}

/// Host to client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromHost {
    /// The answer to request `id`.
    Reply {
        /// The request's number.
        id: u64,
        /// What came of it.
        result: Result<Reply, Failure>,
    },
    /// News.
    Notice(Notice),
}
