//! What a Go program's scheduler and collector did over time, as lanes of cells, one for each column of a screen.
//!
//! Times are nanoseconds of CLOCK_MONOTONIC of the machine the program runs on, whatever the source, so that several lie over each other;
//! only text sources count from the program's start.

use super::Location;
use crate::base::GoroutineId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a timeline comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimelineSource {
    /// An execution trace: every event.
    Trace,
    /// Memory of the running process, looked at again and again: what lies between two looks is not seen.
    #[default]
    Sampled,
    /// `gctrace` and `schedtrace` lines.
    Text,
    /// Samples and switches of the kernel's perf events.
    Perf,
    /// Sums of the kernel's scheduler (`/proc/PID/task/TID/schedstat`).
    Kernel,
    /// What we did ourselves.
    Ours,
}

impl TimelineSource {
    /// Its name in JSON and on screens.
    pub fn name(self) -> &'static str {
        match self {
            TimelineSource::Trace => "trace",
            TimelineSource::Sampled => "sampled",
            TimelineSource::Text => "text",
            TimelineSource::Perf => "perf",
            TimelineSource::Kernel => "kernel",
            TimelineSource::Ours => "ours",
        }
    }
}

/// What a lane is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LaneKind {
    /// A P.
    Proc(u32),
    /// An M, by its thread id.
    Thread(i64),
    /// The same thread as the kernel sees it: on a processor, waiting for one, or asleep.
    Cpu(i64),
    /// A goroutine that is followed.
    Goroutine(GoroutineId),
    /// Mark phases.
    Collector,
    /// Stops of the world.
    StopTheWorld,
    /// Live heap, bytes.
    Heap,
    /// The heap at which the next cycle is to end, bytes.
    HeapGoal,
    /// Goroutines that exist.
    Goroutines,
    /// Goroutines that wait for a P, in all queues.
    RunQueue,
    /// Threads in system calls.
    Syscalls,
    /// Context switches of all threads, a second.
    Switches,
    /// Stops that we caused.
    OurStops,
}

impl LaneKind {
    /// Where it stands in a picture: a thread's two lanes together, all else in the order above.
    pub fn place(self) -> (u8, i64, u8) {
        match self {
            LaneKind::Proc(p) => (0, i64::from(p), 0),
            LaneKind::Thread(t) => (1, t, 0),
            LaneKind::Cpu(t) => (1, t, 1),
            LaneKind::Goroutine(g) => (2, g.0.cast_signed(), 0),
            LaneKind::Collector => (3, 0, 0),
            LaneKind::StopTheWorld => (4, 0, 0),
            LaneKind::Heap => (5, 0, 0),
            LaneKind::HeapGoal => (6, 0, 0),
            LaneKind::Goroutines => (7, 0, 0),
            LaneKind::RunQueue => (8, 0, 0),
            LaneKind::Syscalls => (9, 0, 0),
            LaneKind::Switches => (10, 0, 0),
            LaneKind::OurStops => (11, 0, 0),
        }
    }
}

/// What was done for most of a cell's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Activity {
    /// Nothing is known: before, after, or lost.
    #[default]
    Unknown,
    /// A P without work; a collector that is off; a world that runs.
    Idle,
    /// Go code.
    Running,
    /// A goroutine that waits for a P.
    Runnable,
    /// A goroutine that waits for something else.
    Blocked,
    /// In a system call, or in C.
    Syscall,
    /// Collector work: a mark worker on a P, the mark phase.
    Marking,
    /// Mark assist: a goroutine that pays for its allocations.
    Assist,
    /// Sweeping on the way of an allocation.
    Sweeping,
    /// The world is stopped.
    Stopped,
}

impl Activity {
    /// All, in order.
    pub const ALL: [Activity; 10] = [
        Activity::Unknown,
        Activity::Idle,
        Activity::Running,
        Activity::Runnable,
        Activity::Blocked,
        Activity::Syscall,
        Activity::Marking,
        Activity::Assist,
        Activity::Sweeping,
        Activity::Stopped,
    ];
}

/// One column of a lane of states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// What took most of the time that was not idle; idle or unknown if there was no other.
    pub activity: Activity,
    /// Share of the column's time that was not idle, in 1/255.
    pub busy: u8,
    /// The goroutine with most of that time.
    pub goroutine: Option<GoroutineId>,
    /// States that begin in this column: more than one, and zooming in shows more.
    pub changes: u32,
    /// The function that most samples of it were in, as a place in the view's list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<u16>,
}

impl Cell {
    /// Is anything known?
    pub fn is_known(&self) -> bool {
        self.activity != Activity::Unknown
    }
}

/// One column of a lane of amounts; none where nothing was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// Least.
    pub min: u64,
    /// Most.
    pub max: u64,
    /// At the column's end.
    pub last: u64,
}

/// The columns of a lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cells {
    /// States.
    States(Vec<Cell>),
    /// Amounts.
    Levels(Vec<Option<Level>>),
}

/// One row of the picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// What about.
    pub kind: LaneKind,
    /// Its columns, as many as were asked for.
    pub cells: Cells,
    /// A few words beside it: longest stop, cycle rate, the function of a followed goroutine.
    pub note: String,
    /// Where it comes from: from this column on, that source. Empty: all from the view's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<(u16, TimelineSource)>,
}

impl Lane {
    /// A lane of the view's own source.
    pub fn new(kind: LaneKind, cells: Cells, note: String) -> Lane {
        Lane { kind, cells, note, sources: Vec::new() }
    }

    /// Where a column of it comes from; none for the view's source.
    pub fn source(&self, column: usize) -> Option<TimelineSource> {
        let before = |s: &&(u16, TimelineSource)| usize::from(s.0) <= column;
        self.sources.iter().rev().find(before).or(self.sources.first()).map(|s| s.1)
    }
}

/// How busy the Ps were over the whole run, in columns of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    /// Begin of the first column, ns.
    pub from_ns: i64,
    /// Length of a column, ns: a power of two, so that columns stand still while time goes on.
    pub column_ns: u64,
    /// Share of all Ps' time that was not idle, in 1/255; none where nothing is known.
    pub busy: Vec<Option<u8>>,
    /// How many Ps were so busy: up to a fifth of the column's time, two fifths… Empty unless asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bands: Vec<[u16; BANDS]>,
}

/// Bands of the overview.
pub const BANDS: usize = 5;

/// Which part of a timeline, and how fine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineQuery {
    /// Begin, ns, rounded down to a whole column. None for the newest: it then moves on by a quarter of the columns at a time, so that a
    /// screen is not drawn anew with every look.
    pub from_ns: Option<i64>,
    /// Length, ns; 0 for all there is.
    pub span_ns: u64,
    /// Columns.
    pub columns: u16,
    /// A lane for each of these.
    pub goroutines: Vec<GoroutineId>,
    /// Lanes of threads, too.
    pub threads: bool,
    /// From this source alone, where there are several; none for all of them over each other.
    pub source: Option<TimelineSource>,
    /// The overview tells how many Ps were how busy, too.
    #[serde(default)]
    pub heat: bool,
}

/// One answer: what of the timeline a screen shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineView {
    /// Where it comes from; with several sources the one that is under the others.
    pub source: TimelineSource,
    /// Begin of the first column.
    pub from_ns: i64,
    /// Length of a column, ns.
    pub column_ns: u64,
    /// First and last time that is known of.
    pub extent: (i64, i64),
    /// Lanes, in the order of their kinds.
    pub lanes: Vec<Lane>,
    /// More is to come: a process, or a file still being read.
    pub growing: bool,
    /// Looks that came too late to be told apart (sampled), or parts that could not be read (trace).
    pub lost: u64,
    /// Scheduling rounds that no look saw (sampled).
    pub unseen: u64,
    /// Looks a second (sampled); 0 otherwise.
    pub rate: u32,
    /// What is wrong with the source, one line.
    pub problem: Option<String>,
    /// Sources that lie over it in this picture.
    pub over: Vec<TimelineSource>,
    /// Sources that there are beside those shown.
    pub others: Vec<TimelineSource>,
    /// Functions that cells are about.
    pub functions: Vec<String>,
    /// The whole run.
    pub overview: Option<Overview>,
    /// Wall clock (since 1970) less the clock of these times, ns, where it is known.
    pub wall_ns: Option<i64>,
}

/// A stretch of time in which one thing was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The lane asked for.
    pub lane: LaneKind,
    /// Begin, ns.
    pub from_ns: i64,
    /// End, ns; not known while it goes on, or when the source ends before.
    pub to_ns: Option<i64>,
    /// What.
    pub activity: Activity,
    /// By whom.
    pub goroutine: Option<GoroutineId>,
    /// On which P.
    pub proc: Option<u32>,
    /// On which thread.
    pub thread: Option<i64>,
    /// In words: wait reason, kind of stop, function of the goroutine.
    pub what: String,
    /// Stack at the begin (for a span that ended by blocking: where it blocked), leaf first.
    pub stack: Vec<Location>,
    /// Who ended the wait.
    pub by: Option<GoroutineId>,
}

/// Where to look for the next mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkQuery {
    /// A goroutine (`g17`), or part of the name of a function, reason, task, region, log, or of `gc` and `stop-the-world`. Empty: the next change
    /// in the lane.
    pub text: String,
    /// The lane that the user is in.
    pub lane: LaneKind,
    /// From here, ns; what lies there itself is not meant.
    pub from_ns: i64,
    /// Later, or earlier.
    pub forward: bool,
    /// In this source alone; none for all.
    pub source: Option<TimelineSource>,
}

impl Default for MarkQuery {
    fn default() -> Self {
        MarkQuery { text: String::new(), lane: LaneKind::Proc(0), from_ns: 0, forward: true, source: None }
    }
}

/// Something that was searched for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// In which lane.
    pub lane: LaneKind,
    /// When, ns.
    pub at_ns: i64,
    /// In words.
    pub what: String,
    /// Whose.
    pub goroutine: Option<GoroutineId>,
}

/// What came of a search.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The nearest mark; none if there is none as far as was searched.
    pub mark: Option<Mark>,
    /// There is more to search, from here on, ns.
    pub go_on_ns: Option<i64>,
}

/// What to do when a condition on the run holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TriggerAction {
    /// Stop the target (control mode).
    Stop,
    /// Copy it to this file and let it run on.
    Snapshot(std::path::PathBuf),
}

/// A condition on the run, and what to do when it first holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerSpec {
    /// `gc.pause > 1ms`.
    pub condition: String,
    /// What then.
    pub action: TriggerAction,
}

/// A condition that is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerState {
    /// Which.
    pub spec: TriggerSpec,
    /// It has held, and what the amount was then. It is not looked at again until it is set again.
    pub fired: Option<String>,
}

/// What there is in all, of the whole timeline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineSummary {
    /// Events (traces), looks (sampled), lines (text).
    pub events: u64,
    /// By kind, as Go's trace reader names them (traces).
    pub by_kind: BTreeMap<String, u64>,
    /// Goroutines seen.
    pub goroutines: u64,
    /// Ps seen.
    pub procs: u64,
    /// Threads seen.
    pub threads: u64,
    /// Collector cycles that ended.
    pub gc_cycles: u64,
    /// Time in which the world was stopped, ns.
    pub stw_ns: u64,
    /// Longest stop of the world, ns.
    pub stw_max_ns: u64,
}
