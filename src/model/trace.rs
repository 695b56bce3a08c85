//! What an execution trace comes to: who did what for how long, what the program says of itself, what the collector took.

use super::{Location, Profile};
use crate::base::GoroutineId;
use serde::{Deserialize, Serialize};

/// Which report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TraceReportKind {
    /// Times of each goroutine, longest in the trace first.
    Goroutines,
    /// Times of all goroutines of a function, most running first.
    #[default]
    Functions,
    /// Where goroutines waited for the network.
    Network,
    /// Where they waited for channels, locks and the like.
    Sync,
    /// Where they were in system calls.
    Syscall,
    /// Where goroutines became runnable that then waited for a P.
    Sched,
    /// CPU samples, if a profile ran at the same time.
    Cpu,
    /// User tasks.
    Tasks,
    /// User regions.
    Regions,
    /// User logs.
    Logs,
    /// Minimum mutator utilisation by window.
    Mutator,
    /// Stops of the world.
    Stops,
}

impl TraceReportKind {
    /// All, with their words on the command line.
    pub const ALL: [(&'static str, TraceReportKind); 12] = [
        ("goroutines", TraceReportKind::Goroutines),
        ("functions", TraceReportKind::Functions),
        ("network", TraceReportKind::Network),
        ("sync", TraceReportKind::Sync),
        ("syscall", TraceReportKind::Syscall),
        ("sched", TraceReportKind::Sched),
        ("cpu", TraceReportKind::Cpu),
        ("tasks", TraceReportKind::Tasks),
        ("regions", TraceReportKind::Regions),
        ("logs", TraceReportKind::Logs),
        ("mmu", TraceReportKind::Mutator),
        ("stw", TraceReportKind::Stops),
    ];
    /// Its word.
    pub fn name(self) -> &'static str {
        TraceReportKind::ALL.iter().find(|k| k.1 == self).map_or("", |k| k.0)
    }
}

/// A part of a trace that a report is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TraceFilter {
    /// User regions of this name.
    Region(String),
    /// The regions of this task, and of those that are part of it.
    Task(u64),
    /// The same of all tasks of this name.
    TaskName(String),
}

impl TraceFilter {
    /// A task by its number, or all of a name.
    pub fn task(text: &str) -> TraceFilter {
        text.parse().map_or_else(|_| TraceFilter::TaskName(text.to_string()), TraceFilter::Task)
    }

    /// The report about it where none is named.
    pub fn own(&self) -> TraceReportKind {
        match self {
            TraceFilter::Region(_) => TraceReportKind::Regions,
            _ => TraceReportKind::Tasks,
        }
    }
}

impl std::fmt::Display for TraceFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TraceFilter::Region(n) => write!(f, "region {n}"),
            TraceFilter::Task(id) => write!(f, "task {id}"),
            TraceFilter::TaskName(n) => write!(f, "task {n}"),
        }
    }
}

/// Where time went, ns each. The first five and `blocked` do not overlap; `ranges` overlap with them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// From the first to the last moment in the trace.
    pub total: u64,
    /// Running.
    pub running: u64,
    /// Runnable, without a P.
    pub runnable: u64,
    /// In system calls, with its P.
    pub syscall: u64,
    /// In system calls after its P was taken.
    pub syscall_blocked: u64,
    /// Waiting, by reason, longest first; the reason is empty where the trace has none.
    pub blocked: Vec<(String, u64)>,
    /// Mark assists, sweeps, stops of the world that it caused.
    pub ranges: Vec<(String, u64)>,
}

impl Times {
    /// Waiting, whatever for.
    pub fn all_blocked(&self) -> u64 {
        self.blocked.iter().fold(0, |n, b| n.saturating_add(b.1))
    }
}

/// A goroutine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoroutineTimes {
    /// Which.
    pub id: GoroutineId,
    /// The function that it was started with; empty if the trace never says.
    pub function: String,
    /// Created, or first there, ns.
    pub from_ns: i64,
    /// Ended, ns; none if it was there at the end.
    pub to_ns: Option<i64>,
    /// Where its time went.
    pub times: Times,
}

/// All goroutines of a function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionTimes {
    /// The function.
    pub function: String,
    /// How many.
    pub count: u64,
    /// Where their time went.
    pub times: Times,
}

/// How long things of one name took.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Durations {
    /// How many that began and ended.
    pub count: u64,
    /// In all, ns.
    pub total_ns: u64,
    /// Shortest, ns.
    pub min_ns: u64,
    /// Longest, ns.
    pub max_ns: u64,
    /// How many took from 2^i to 2^(i+1) ns, from i = 0 on.
    pub histogram: Vec<u64>,
}

/// Tasks of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRow {
    /// Name.
    pub name: String,
    /// Those that began and ended in the trace.
    pub done: Durations,
    /// Those without begin or end.
    pub open: u64,
}

/// One task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its number.
    pub id: u64,
    /// The task that it is part of.
    pub parent: Option<u64>,
    /// Name.
    pub name: String,
    /// Begin, ns.
    pub from_ns: Option<i64>,
    /// End, ns.
    pub to_ns: Option<i64>,
    /// Goroutines that worked for it.
    pub goroutines: u64,
    /// Regions in it.
    pub regions: u64,
    /// Logs in it.
    pub logs: u64,
}

/// Regions of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionRow {
    /// Name.
    pub name: String,
    /// Those that ended.
    pub done: Durations,
    /// Where their goroutines' time went meanwhile; all waiting is one.
    pub times: Times,
}

/// One region.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneRegion {
    /// Whose.
    pub goroutine: GoroutineId,
    /// Its task; 0 for none.
    pub task: u64,
    /// Begin, ns.
    pub from_ns: i64,
    /// Where its goroutine's time went meanwhile.
    pub times: Times,
}

/// Something that happened in a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskEvent {
    /// When, ns.
    pub at_ns: i64,
    /// By whom.
    pub goroutine: GoroutineId,
    /// In words.
    pub what: String,
}

/// A task and what happened in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskTimeline {
    /// Which.
    pub task: Task,
    /// Goroutines that worked for it.
    pub goroutines: Vec<GoroutineId>,
    /// What happened, in order.
    pub events: Vec<TaskEvent>,
}

/// One log line of the program's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When, ns.
    pub at_ns: i64,
    /// Whose.
    pub goroutine: GoroutineId,
    /// Task; 0 for none.
    pub task: u64,
    /// Category.
    pub category: String,
    /// Text.
    pub message: String,
}

/// One stop of the world.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorldStop {
    /// Begin, ns.
    pub from_ns: i64,
    /// How long, ns.
    pub length_ns: u64,
    /// What for.
    pub kind: String,
    /// Who stopped it.
    pub goroutine: Option<GoroutineId>,
    /// Where, leaf first.
    pub stack: Vec<Location>,
}

/// How little of the processors' time the program had, at worst, in windows of a length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Utilisation {
    /// Length of the windows, ns.
    pub window_ns: u64,
    /// The worst window's share for the program, 0 to 1.
    pub least: f64,
}

/// A report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum TraceReport {
    Goroutines {
        rows: Vec<GoroutineTimes>,
        total: u64,
    },
    Functions(Vec<FunctionTimes>),
    /// Values are a count and ns.
    Profile(Profile),
    /// By name, and the longest ones.
    Tasks {
        rows: Vec<TaskRow>,
        tasks: Vec<Task>,
        total: u64,
    },
    Regions(Vec<RegionRow>),
    /// Regions of one name: the longest, those that began before the trace, those that had not ended with it.
    OneRegion {
        done: Durations,
        rows: Vec<OneRegion>,
        before: u64,
        open: u64,
    },
    /// Tasks one by one; events that there was no room for.
    TaskTimelines {
        tasks: Vec<TaskTimeline>,
        total: u64,
        events_left: u64,
    },
    Logs {
        lines: Vec<LogLine>,
        total: u64,
    },
    Mutator(Vec<Utilisation>),
    Stops {
        stops: Vec<WorldStop>,
        total: u64,
    },
}
