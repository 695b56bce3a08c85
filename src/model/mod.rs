//! Floor 1: plain data that crosses floors. Screens, JSON, snapshots and the wire are made from it.
//!
//! Public fields, serde, no behaviour beyond naming; it knows nothing of how the data was read.

pub mod breakpoint;
pub mod budget;
pub mod caps;
pub mod defer;
pub mod finding;
pub mod frame;
pub mod goroutine;
pub mod graph;
pub mod heap;
pub mod location;
pub mod profile;
pub mod stop;
pub mod target;
pub mod thread;
pub mod timeline;
pub mod trace;
pub mod tree;
pub mod variable;
pub mod wait;

pub use breakpoint::{
    Access, Actions, Breakpoint, BreakpointPlace, BreakpointSpec, CallTotals, Hit, HitCondition, HitKind, HitOp,
    Mechanism,
};
pub use budget::BudgetState;
pub use caps::Caps;
pub use defer::{Defer, PanicRecord};
pub use finding::{CycleStep, DetectorRun, Diagnosis, Finding, FindingClass, FindingKind, Severity};
pub use frame::{Frame, Stack};
pub use goroutine::{CreatedBy, Goroutine, GoroutineFilter, GoroutineGroup, GoroutineState, GroupBy};
pub use graph::{EdgeKind, Evidence, WaitEdge, WaitGraph, WaitNode, WaitObject, WaitScope};
pub use heap::{HeapBy, HeapObject, HeapRow, HeapSummary, RefStep, References};
pub use location::Location;
pub use profile::{
    DIFF_THRESHOLDS, FlameCell, Pair, Profile, ProfileFrame, ProfileFunction, ProfileLines, ProfileQuery, ProfileRow,
    ProfileSource, ProfileView, ValueKind,
};
pub use stop::{Stop, StopReason};
pub use target::{BuildFacts, ReadInfo, ReadMode, TargetInfo, TargetKind};
pub use thread::Thread;
pub use timeline::{
    Activity, BANDS, Cell, Cells, Found, Lane, LaneKind, Level, Mark, MarkQuery, Overview, Span, TimelineQuery,
    TimelineSource, TimelineSummary, TimelineView, TriggerAction, TriggerSpec, TriggerState,
};
pub use trace::{
    Durations, FunctionTimes, GoroutineTimes, LogLine, OneRegion, RegionRow, Task, TaskEvent, TaskRow, TaskTimeline,
    Times, TraceFilter, TraceReport, TraceReportKind, Utilisation, WorldStop,
};
pub use tree::ValueTree;
pub use variable::{Unavailable, VarFlags, VarKind, Variable};
pub use wait::{WaitKind, WaitOn, WaitOp};
