//! Everything that one pass over a trace comes to, in bounded memory.

mod annotations;
mod collector;
mod goroutines;
pub mod names;
pub(super) mod restricted;

use super::exec::event::{Event, GoState, NONE, ProcState, Transition};
use super::exec::format::ev;
use super::exec::{Chunk, Kind};
use super::track::{Moved, Sink, Tracker};
use crate::base::GoroutineId;
use crate::model::{Goroutine, GoroutineState, Location, Profile, TimelineSummary, TraceReport, TraceReportKind};
use annotations::{Annotations, Open};
use collector::Collector;
use goroutines::{Goroutines, Live, Move};
use names::Names;
use std::collections::BTreeMap;

/// Rows in one report at most.
const ROWS: usize = 10_000;
/// Blocking profiles.
const NETWORK: u8 = 0;
const SYNC: u8 = 1;
const SYSCALL: u8 = 2;
const SCHED: u8 = 3;
const CPU: u8 = 4;

/// What a reason to wait counts as.
fn waits_for(reason: &str) -> Option<u8> {
    match reason {
        "network" => Some(NETWORK),
        r if ["chan", "sync", "select"].iter().any(|w| r.contains(w)) => Some(SYNC),
        _ => None,
    }
}

/// Names of stretches.
struct Known {
    assist: u32,
    sweep: u32,
}

/// The whole.
pub struct Analysis {
    /// Strings and stacks.
    pub names: Names,
    kinds: [u64; 16],
    events: u64,
    goroutines: Goroutines,
    annotations: Annotations,
    collector: Collector,
    /// Count and ns by stack, for each profile.
    profiles: [Vec<(u64, u64)>; 5],
    /// What each reason counts as, by its number; 255 for not known yet, 254 for nothing.
    reasons: Vec<u8>,
    known: Known,
    threads: usize,
    procs: usize,
    generations: u64,
    first: Option<i64>,
    last: i64,
}

impl Default for Analysis {
    fn default() -> Self {
        let mut names = Names::default();
        let known = Known { assist: names.string("GC mark assist"), sweep: names.string("GC incremental sweep") };
        Analysis {
            goroutines: Goroutines::new(&mut names),
            names,
            kinds: [0; 16],
            events: 0,
            annotations: Annotations::default(),
            collector: Collector::default(),
            profiles: Default::default(),
            reasons: Vec::new(),
            known,
            threads: 0,
            procs: 0,
            generations: 0,
            first: None,
            last: 0,
        }
    }
}

impl Analysis {
    /// First and last time, ns.
    pub fn extent(&self) -> (i64, i64) {
        (self.first.unwrap_or(0), self.last)
    }

    /// A run of events. `tracker` follows them, `out` gets what it sees.
    pub fn chunk<S: Sink>(&mut self, c: &Chunk, tracker: &mut Tracker, out: &mut S) {
        if c.begins.is_some() {
            self.names.next_generation();
            self.generations += 1;
        }
        for e in &c.events {
            self.event(e, c, tracker, out);
        }
        self.threads = self.threads.max(tracker.thread_count());
        self.procs = self.procs.max(tracker.proc_count());
        if c.broken {
            tracker.lose(out);
            self.goroutines.lose(self.last);
            self.collector.lose(self.last);
        }
    }

    fn event<S: Sink>(&mut self, e: &Event, c: &Chunk, tracker: &mut Tracker, out: &mut S) {
        let kind = e.kind();
        self.events += 1;
        self.kinds[kind as usize] += 1;
        self.first.get_or_insert(e.time);
        self.last = e.time;
        let moved = tracker.event(e, c, out);
        match kind {
            Kind::StateTransition => match moved {
                Some(m) => self.go(e, c, m, tracker.sync),
                None => self.proc(e),
            },
            Kind::RangeBegin | Kind::RangeActive | Kind::RangeEnd => self.range(e, c, kind, tracker),
            Kind::Metric if e.typ == ev::PROCS_CHANGE => self.collector.procs(e.args[0], e.time),
            Kind::StackSample => {
                let stack = self.names.of_stack(&c.tables, e.args[0]);
                self.profile(CPU, stack, 0);
            }
            Kind::Label => self.label(e, c, tracker),
            Kind::TaskBegin => self.annotations.task_begin(e, c, &mut self.names),
            Kind::TaskEnd => self.annotations.task_end(e, c, &mut self.names),
            Kind::RegionBegin | Kind::RegionEnd => self.region(e, c, kind, tracker),
            Kind::Log => self.annotations.log(e, c),
            _ => {}
        }
    }

    fn go(&mut self, e: &Event, c: &Chunk, m: Moved, sync: i64) {
        let own = e.transition_stack();
        let stack = if own == 0 { 0 } else { self.names.of_stack(&c.tables, own) };
        let reason = self.names.of_string(&c.tables, e.reason());
        let (old, new) = (m.old, m.new);
        let needs_name = self.goroutines.get(m.slot).is_none_or(|g| g.id != m.g || g.function.is_none());
        let root = if needs_name && stack != 0 { self.names.root(stack) } else { None };
        let before = self.goroutines.get(m.slot).filter(|g| g.id == m.g).map(|g| (g.tracked, g.in_gc || g.marks));
        let (tracked, gc) = before.unwrap_or_default();
        // Collector work goes with its goroutine from P to P. A mark worker is labelled each time it starts, with what it is this time.
        let executes = |s| matches!(s, GoState::Running | GoState::Syscall);
        if gc && executes(old) != executes(new) {
            self.collector.work(e.p, if executes(new) { 1 } else { -1 }, e.time);
            if let Some(g) = self.goroutines.get(m.slot) {
                g.marks = false;
            }
        }
        let next = self.track(e, c, tracked, new, reason);
        let mv = Move { g: m.g, old, new, reason, stack, root };
        let unknown = self.goroutines.get(m.slot).is_none_or(|g| g.id != m.g);
        // A status of one that is known says nothing new, but begins what it begins.
        if unknown && old == new {
            return;
        }
        self.goroutines.moved(m.slot, e, &mv, sync);
        let Some(g) = self.goroutines.get(m.slot) else { return };
        g.tracked = next;
        if old == GoState::NotExist {
            g.creator = (e.g, self.names.of_stack(&c.tables, e.stack()));
        }
    }

    /// Ends what a blocking profile counts, and begins the next.
    fn track(
        &mut self,
        e: &Event,
        c: &Chunk,
        tracked: Option<(u8, i64, u32)>,
        new: GoState,
        reason: u32,
    ) -> Option<(u8, i64, u32)> {
        let state_of = |kind| match kind {
            SYSCALL => GoState::Syscall,
            SCHED => GoState::Runnable,
            _ => GoState::Waiting,
        };
        if let Some((kind, since, stack)) = tracked {
            if state_of(kind) == new {
                return tracked;
            }
            self.profile(kind, stack, e.time - since);
        }
        let kind = match new {
            GoState::Waiting => self.reason(reason)?,
            GoState::Syscall => SYSCALL,
            GoState::Runnable => SCHED,
            _ => return None,
        };
        Some((kind, e.time, self.names.of_stack(&c.tables, e.stack())))
    }

    fn reason(&mut self, n: u32) -> Option<u8> {
        let i = n as usize;
        if self.reasons.len() <= i {
            self.reasons.resize(i + 1, 255);
        }
        if self.reasons[i] == 255 {
            self.reasons[i] = waits_for(self.names.text(n)).unwrap_or(254);
        }
        Some(self.reasons[i]).filter(|k| *k != 254)
    }

    fn profile(&mut self, kind: u8, stack: u32, ns: i64) {
        let rows = &mut self.profiles[usize::from(kind)];
        let i = stack as usize;
        if rows.len() <= i {
            rows.resize(i + 1, (0, 0));
        }
        rows[i].0 += 1;
        rows[i].1 = rows[i].1.saturating_add(ns.max(0).cast_unsigned());
    }

    fn proc(&mut self, e: &Event) {
        if let Some(Transition::Proc { p, old, new }) = e.transition()
            && old != new
            && new == ProcState::Idle
        {
            self.goroutines.idle(p, e.time);
        }
    }

    fn range(&mut self, e: &Event, c: &Chunk, kind: Kind, tracker: &Tracker) {
        let active = kind == Kind::RangeActive;
        let from = if active { tracker.sync } else { e.time };
        let begins = kind != Kind::RangeEnd;
        match e.typ {
            ev::STW_BEGIN | ev::STW_END => {
                let text = format!("stop-the-world ({})", c.tables.text(e.args[0]));
                let (name, kind) = (self.names.string(&text), self.names.of_string(&c.tables, e.args[0]));
                let slot = tracker.slot(e.g);
                if begins {
                    let stack = self.names.of_stack(&c.tables, e.stack());
                    self.collector.stop_begin(e.time, (kind, text.contains("GC")), e.g, stack);
                    self.goroutines.range_begin(slot, None, name, from, active);
                } else {
                    self.collector.stop_end(e.time);
                    self.goroutines.range_end(slot, None, name, e.time);
                }
            }
            ev::SWEEP_ACTIVE | ev::SWEEP_BEGIN | ev::SWEEP_END => {
                let p = if active { e.args[0].cast_signed() } else { e.p };
                let (slot, name) = (tracker.slot(e.g), self.known.sweep);
                if begins {
                    self.goroutines.range_begin(slot, Some(p), name, from, active);
                } else {
                    self.goroutines.range_end(slot, Some(p), name, e.time);
                }
                self.share(e, active, begins);
            }
            ev::ASSIST_ACTIVE | ev::ASSIST_BEGIN | ev::ASSIST_END => {
                let g = if active { e.args[0].cast_signed() } else { e.g };
                let (slot, name) = (tracker.slot(g), self.known.assist);
                if begins {
                    self.goroutines.range_begin(slot, None, name, from, active);
                } else {
                    self.goroutines.range_end(slot, None, name, e.time);
                }
                // One that waits in the midst of it has no P until it runs again.
                if g == e.g {
                    self.share(e, active, begins);
                }
                if let Some(g) = slot.and_then(|s| self.goroutines.get(s))
                    && !(active && self.generations > 1)
                {
                    g.in_gc = begins;
                }
            }
            ev::GC_END => self.collector.cycles += 1,
            _ => {}
        }
    }

    /// A stretch on a P takes it from the program. What goes on since before the trace is told in its first generation.
    fn share(&mut self, e: &Event, active: bool, begins: bool) {
        if active {
            if self.generations > 1 {
                return;
            }
            self.collector.before();
        }
        self.collector.work(e.p, if begins { 1 } else { -1 }, e.time);
    }

    fn label(&mut self, e: &Event, c: &Chunk, tracker: &Tracker) {
        let label = c.tables.text(e.args[0]);
        if label.starts_with("GC ")
            && label != "GC (idle)"
            && let Some(g) = tracker.slot(e.g).and_then(|s| self.goroutines.get(s))
            && !std::mem::replace(&mut g.marks, true)
        {
            self.collector.work(e.p, 1, e.time);
        }
    }

    fn region(&mut self, e: &Event, c: &Chunk, kind: Kind, tracker: &Tracker) {
        let name = self.names.of_string(&c.tables, e.args[1]);
        if kind == Kind::RegionBegin {
            self.annotations.region_begin(e);
        }
        let Some(g) = tracker.slot(e.g).and_then(|s| self.goroutines.get(s)) else { return };
        let now = g.until(e.time);
        if kind == Kind::RegionBegin {
            g.regions.push(Open::new(name, e.time, now));
        } else {
            let open = g.regions.pop();
            self.annotations.region_end(open, name, &now, e.time);
        }
    }

    /// The whole in figures.
    pub fn summary(&self) -> TimelineSummary {
        const KINDS: [Kind; 15] = [
            Kind::Bad,
            Kind::Sync,
            Kind::Metric,
            Kind::Label,
            Kind::StackSample,
            Kind::RangeBegin,
            Kind::RangeActive,
            Kind::RangeEnd,
            Kind::TaskBegin,
            Kind::TaskEnd,
            Kind::RegionBegin,
            Kind::RegionEnd,
            Kind::Log,
            Kind::StateTransition,
            Kind::Experimental,
        ];
        let by_kind: BTreeMap<String, u64> =
            KINDS.iter().map(|k| (k.name().to_string(), self.kinds[*k as usize])).filter(|k| k.1 > 0).collect();
        TimelineSummary {
            events: self.events,
            by_kind,
            goroutines: self.goroutines.seen,
            procs: self.procs as u64,
            threads: self.threads as u64,
            gc_cycles: self.collector.cycles,
            stw_ns: self.collector.stopped_ns,
            stw_max_ns: self.collector.longest_ns,
        }
    }

    /// One report.
    pub fn report(&self, kind: TraceReportKind) -> TraceReport {
        let names = &self.names;
        match kind {
            TraceReportKind::Goroutines => {
                let (rows, total) = self.goroutines.rows(names, self.last, ROWS);
                TraceReport::Goroutines { rows, total }
            }
            TraceReportKind::Functions => TraceReport::Functions(self.goroutines.by_function(names, self.last)),
            TraceReportKind::Network => TraceReport::Profile(self.times(NETWORK)),
            TraceReportKind::Sync => TraceReport::Profile(self.times(SYNC)),
            TraceReportKind::Syscall => TraceReport::Profile(self.times(SYSCALL)),
            TraceReportKind::Sched => TraceReport::Profile(self.times(SCHED)),
            TraceReportKind::Cpu => {
                let rows = self.rows(CPU).map(|(s, v)| (s, vec![v.0.cast_signed()]));
                TraceReport::Profile(names.profile(&[("samples", "count")], 0, &rows.collect::<Vec<_>>()))
            }
            TraceReportKind::Tasks => {
                let (rows, tasks) = self.annotations.tasks(names, ROWS);
                TraceReport::Tasks { rows, tasks, total: self.annotations.seen }
            }
            TraceReportKind::Regions => TraceReport::Regions(self.annotations.region_rows(names)),
            TraceReportKind::Logs => {
                let (lines, total) = self.annotations.logs(ROWS);
                TraceReport::Logs { lines, total }
            }
            TraceReportKind::Mutator => TraceReport::Mutator(self.collector.utilisation(self.last)),
            TraceReportKind::Stops => {
                let (stops, total) = self.collector.stops(names, ROWS);
                TraceReport::Stops { stops, total }
            }
        }
    }

    fn rows(&self, kind: u8) -> impl Iterator<Item = (u32, (u64, u64))> {
        self.profiles[usize::from(kind)].iter().enumerate().filter(|r| r.1.0 > 0).map(|(i, v)| (i as u32, *v))
    }

    fn times(&self, kind: u8) -> Profile {
        let rows = self.rows(kind).map(|(s, v)| (s, vec![v.0.cast_signed(), v.1.cast_signed()]));
        let kinds = [("contentions", "count"), ("delay", "nanoseconds")];
        let mut p = self.names.profile(&kinds, 1, &rows.collect::<Vec<_>>());
        p.duration_ns = self.last.saturating_sub(self.first.unwrap_or(0));
        p
    }

    /// What is wrong with the figures, if something is.
    pub fn cut(&self) -> bool {
        self.collector.cut
    }

    /// The function that a goroutine was started with.
    pub fn function_of(&self, g: GoroutineId) -> &str {
        self.goroutines.function_of(g.0.cast_signed()).map_or("", |f| self.names.text(f))
    }

    /// Goroutines that were started with a function of such a name.
    pub fn goroutines_of(&self, mut is: impl FnMut(&str) -> bool) -> rustc_hash::FxHashSet<i64> {
        let mut names: rustc_hash::FxHashMap<u32, bool> = rustc_hash::FxHashMap::default();
        let all = self.goroutines.functions();
        all.filter(|(_, f)| *names.entry(*f).or_insert_with(|| is(self.names.text(*f)))).map(|g| g.0).collect()
    }

    /// Goroutines that are there at the end, as far as the trace tells, by id.
    pub fn goroutines(&self) -> Vec<(Goroutine, Vec<Location>)> {
        let mut all: Vec<&Live> = self.goroutines.live.iter().flatten().map(|g| &**g).collect();
        all.sort_by_key(|g| g.id);
        all.into_iter().map(|g| self.goroutine(g)).collect()
    }

    fn goroutine(&self, g: &Live) -> (Goroutine, Vec<Location>) {
        let stack = self.names.stack(g.stack);
        let state = match g.state {
            GoState::Running => GoroutineState::Running,
            GoState::Runnable => GoroutineState::Runnable,
            GoState::Syscall => GoroutineState::Syscall,
            _ => GoroutineState::Waiting,
        };
        let waits = state == GoroutineState::Waiting;
        let reason = if g.state == GoState::NotExist { "forever" } else { self.names.text(g.reason) };
        let function = g.function.map_or("", |f| self.names.text(f)).to_string();
        let created = self.names.stack(g.creator.1).into_iter().next();
        let row = Goroutine {
            id: GoroutineId(g.id.cast_unsigned()),
            state,
            wait_reason: (waits && !reason.is_empty()).then(|| reason.into()),
            wait_ns: waits.then(|| (self.last - g.since).max(0).cast_unsigned()),
            system: function.is_empty() || (function.starts_with("runtime.") && function != "runtime.main"),
            entry: (!function.is_empty()).then(|| Location { function, ..Location::default() }.into()),
            created_by: created.map(|at| crate::model::CreatedBy {
                at: at.into(),
                goroutine: GoroutineId(if g.creator.0 == NONE { 0 } else { g.creator.0.cast_unsigned() }),
            }),
            ..Goroutine::default()
        };
        (row, stack)
    }
}
