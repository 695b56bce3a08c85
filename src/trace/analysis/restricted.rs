//! Reports on a part of what a program did: regions of one name, or the regions of a task and its children. The trace is read again for them, so
//! that the first reading need not keep what nobody may ask for.

use super::annotations::Spread;
use super::names::Names;
use super::{NETWORK, SCHED, SYNC, SYSCALL, waits_for};
use crate::base::GoroutineId;
use crate::model::{
    OneRegion, Profile, Task, TaskEvent, TaskTimeline, Times, TraceFilter, TraceReport, TraceReportKind,
};
use crate::trace::exec::event::{Event, GoState, Transition};
use crate::trace::exec::{Chunk, Fault, Kind, Reader};
use rustc_hash::{FxHashMap, FxHashSet};

/// Regions told one by one, the longest.
const REGIONS: usize = 10_000;
/// Tasks told one by one, and events of all of them together.
const TASKS: usize = 1_000;
const EVENTS: usize = 20_000;
/// Ids of tasks that are remembered.
const IDS: usize = 1 << 20;
/// Bytes of a log line.
const LOG_BYTES: usize = 1024;

/// Sums of a goroutine, ns: running, runnable, in system calls, waiting.
type Sums = [i64; 4];

/// A region that is open.
struct Open {
    name: u32,
    task: u64,
    from: i64,
    before: Sums,
    /// It is what was asked for.
    counts: bool,
}

#[derive(Default)]
struct Go {
    state: GoState,
    since: i64,
    /// The profile that its state counts for, and where.
    tracked: Option<(u8, u32)>,
    sums: Sums,
    regions: Vec<Open>,
    /// Open regions that are what was asked for.
    inside: u32,
}

/// Reads a trace and answers one question.
pub(in crate::trace) struct Restricted {
    of: TraceFilter,
    kind: TraceReportKind,
    names: Names,
    gs: FxHashMap<i64, Go>,
    /// Tasks that are what was asked for.
    tasks: FxHashSet<u64>,
    told: Vec<TaskTimeline>,
    places: FxHashMap<u64, usize>,
    tasks_seen: u64,
    events: usize,
    events_left: u64,
    profile: FxHashMap<u32, (u64, u64)>,
    regions: Vec<OneRegion>,
    spread: Spread,
    before: u64,
    open: u64,
    span: Option<(i64, i64)>,
}

/// What is made of a kind of report with a part of the trace; none where that has no meaning.
fn tracked_as(kind: TraceReportKind) -> Option<u8> {
    Some(match kind {
        TraceReportKind::Network => NETWORK,
        TraceReportKind::Sync => SYNC,
        TraceReportKind::Syscall => SYSCALL,
        TraceReportKind::Sched => SCHED,
        _ => return None,
    })
}

impl Restricted {
    /// `Err` says in which reports a part can be asked for.
    pub(in crate::trace) fn new(kind: TraceReportKind, of: TraceFilter) -> Result<Restricted, String> {
        let has = match (&of, kind) {
            (TraceFilter::Region(_), TraceReportKind::Regions) => true,
            (TraceFilter::Task(_) | TraceFilter::TaskName(_), TraceReportKind::Tasks) => true,
            _ => tracked_as(kind).is_some(),
        };
        if !has {
            let (what, own) = match of {
                TraceFilter::Region(_) => ("a region", "regions"),
                _ => ("a task", "tasks"),
            };
            return Err(format!(
                "{} is not told for {what} alone: {own}, network, sync, syscall and sched are",
                kind.name()
            ));
        }
        Ok(Restricted {
            of,
            kind,
            names: Names::default(),
            gs: FxHashMap::default(),
            tasks: FxHashSet::default(),
            told: Vec::new(),
            places: FxHashMap::default(),
            tasks_seen: 0,
            events: 0,
            events_left: 0,
            profile: FxHashMap::default(),
            regions: Vec::new(),
            spread: Spread::default(),
            before: 0,
            open: 0,
            span: None,
        })
    }

    /// Reads all that the reader has.
    pub(in crate::trace) fn run(mut self, mut reader: Reader) -> Result<TraceReport, Fault> {
        let mut c = Chunk::default();
        while reader.next(&mut c)? {
            if c.begins.is_some() {
                self.names.next_generation();
            }
            for e in &c.events {
                self.event(e, &c);
            }
            if c.broken {
                // Who does what after a gap is not known.
                self.gs.clear();
            }
        }
        Ok(self.report())
    }

    fn event(&mut self, e: &Event, c: &Chunk) {
        self.span = Some((self.span.map_or(e.time, |s| s.0), e.time));
        match e.kind() {
            Kind::StateTransition => {
                if let Some(Transition::Go { g, old, new }) = e.transition() {
                    self.moved(e, c, g, old, new);
                }
            }
            Kind::TaskBegin => self.task_begin(e, c),
            Kind::TaskEnd => self.task_end(e),
            Kind::RegionBegin | Kind::RegionEnd => self.region(e, c),
            Kind::Log if self.tasks.contains(&e.args[0]) => {
                let text = |id: u64| c.tables.text(id).chars().take(LOG_BYTES).collect::<String>();
                let said = format!("log {}: {}", text(e.args[1]), text(e.args[2]));
                self.tell(e.args[0], e, said, |t| t.logs += 1);
            }
            _ => {}
        }
    }

    fn moved(&mut self, e: &Event, c: &Chunk, id: i64, old: GoState, new: GoState) {
        let g = self.gs.entry(id).or_default();
        if old == new && g.state == new {
            return;
        }
        let spent = if g.state == GoState::Undetermined { 0 } else { e.time.saturating_sub(g.since) };
        let place = match g.state {
            GoState::Running => Some(0),
            GoState::Runnable => Some(1),
            GoState::Syscall => Some(2),
            GoState::Waiting => Some(3),
            GoState::Undetermined | GoState::NotExist => None,
        };
        if let Some(p) = place {
            g.sums[p] = g.sums[p].saturating_add(spent);
        }
        // Regions begin and end while their goroutine runs: what it did else is wholly in one or wholly outside.
        if let Some((kind, stack)) = g.tracked.take().filter(|_| g.inside > 0)
            && tracked_as(self.kind) == Some(kind)
        {
            let row = self.profile.entry(stack).or_default();
            *row = (row.0 + 1, row.1.saturating_add(spent.max(0).cast_unsigned()));
        }
        if new == GoState::NotExist {
            self.open += g.regions.iter().filter(|r| r.counts).count() as u64;
            self.gs.remove(&id);
            return;
        }
        (g.state, g.since) = (new, e.time);
        let kind = match new {
            GoState::Waiting => waits_for(c.tables.text(e.reason())),
            GoState::Syscall => Some(SYSCALL),
            GoState::Runnable => Some(SCHED),
            _ => None,
        };
        if g.inside > 0 && kind.is_some() && kind == tracked_as(self.kind) {
            g.tracked = kind.map(|k| (k, self.names.of_stack(&c.tables, e.stack())));
        }
    }

    fn task_begin(&mut self, e: &Event, c: &Chunk) {
        let (id, parent) = (e.args[0], Some(e.args[1]).filter(|p| *p != u64::MAX && *p != 0));
        let named = matches!(&self.of, TraceFilter::TaskName(n) if n == c.tables.text(e.args[2]));
        let counts = named
            || matches!(&self.of, TraceFilter::Task(t) if *t == id)
            || parent.is_some_and(|p| self.tasks.contains(&p));
        if !counts || self.tasks.len() >= IDS {
            return;
        }
        self.tasks.insert(id);
        self.tasks_seen += 1;
        if self.kind != TraceReportKind::Tasks {
            return;
        }
        let name = c.tables.text(e.args[2]).to_string();
        if self.told.len() < TASKS {
            self.places.insert(id, self.told.len());
            let task = Task { id, parent, name: name.clone(), from_ns: Some(e.time), ..Task::default() };
            self.told.push(TaskTimeline { task, ..TaskTimeline::default() });
        }
        self.tell(id, e, format!("begins: {name}"), |_| {});
        if let Some(p) = parent.filter(|p| self.tasks.contains(p)) {
            self.tell(p, e, format!("task {id} begins: {name}"), |_| {});
        }
    }

    fn task_end(&mut self, e: &Event) {
        let id = e.args[0];
        if let TraceFilter::Task(t) = self.of
            && t == id
            && self.tasks.insert(id)
            && self.kind == TraceReportKind::Tasks
        {
            // It began before the trace: its end is all there is.
            self.tasks_seen += 1;
            self.places.insert(id, self.told.len());
            self.told.push(TaskTimeline { task: Task { id, ..Task::default() }, ..TaskTimeline::default() });
        }
        if self.tasks.contains(&id) {
            let at = e.time;
            self.tell(id, e, "ends".into(), |t| t.to_ns = Some(at));
        }
    }

    fn region(&mut self, e: &Event, c: &Chunk) {
        let (task, begins) = (e.args[0], e.kind() == Kind::RegionBegin);
        let name = self.names.of_string(&c.tables, e.args[1]);
        let counts = match &self.of {
            TraceFilter::Region(n) => *n == c.tables.text(e.args[1]),
            _ => self.tasks.contains(&task),
        };
        let g = self.gs.entry(e.g).or_default();
        let mut now = g.sums;
        if g.state == GoState::Running {
            now[0] = now[0].saturating_add(e.time.saturating_sub(g.since));
        }
        if begins {
            g.inside += u32::from(counts);
            g.regions.push(Open { name, task, from: e.time, before: now, counts });
            if counts && self.kind == TraceReportKind::Tasks {
                let text = format!("region {} begins", self.names.text(name));
                self.tell(task, e, text, |t| t.regions += 1);
            }
            return;
        }
        let Some(open) = g.regions.pop() else {
            self.before += u64::from(counts);
            return;
        };
        if !open.counts {
            return;
        }
        g.inside = g.inside.saturating_sub(1);
        let took = e.time.saturating_sub(open.from).max(0).cast_unsigned();
        if self.kind == TraceReportKind::Tasks {
            let text =
                format!("region {} ends after {}", self.names.text(open.name), crate::trace::sampled::time(took));
            self.tell(open.task, e, text, |_| {});
        }
        if self.kind == TraceReportKind::Regions {
            self.spread.add(took);
            let part = |i: usize| now[i].saturating_sub(open.before[i]).max(0).cast_unsigned();
            let times = Times {
                total: took,
                running: part(0),
                runnable: part(1),
                syscall: part(2),
                blocked: if part(3) > 0 { vec![(String::new(), part(3))] } else { Vec::new() },
                ..Times::default()
            };
            let goroutine = GoroutineId(e.g.max(0).cast_unsigned());
            self.regions.push(OneRegion { goroutine, task: open.task, from_ns: open.from, times });
            if self.regions.len() >= REGIONS * 2 {
                self.longest();
            }
        }
    }

    /// The longest regions stay.
    fn longest(&mut self) {
        self.regions.sort_by(|a, b| b.times.total.cmp(&a.times.total).then(a.from_ns.cmp(&b.from_ns)));
        self.regions.truncate(REGIONS);
    }

    fn tell(&mut self, task: u64, e: &Event, what: String, note: impl FnOnce(&mut Task)) {
        let Some(t) = self.places.get(&task).and_then(|i| self.told.get_mut(*i)) else { return };
        note(&mut t.task);
        let goroutine = GoroutineId(e.g.max(0).cast_unsigned());
        if !t.goroutines.contains(&goroutine) && goroutine.0 != 0 {
            t.goroutines.push(goroutine);
            t.task.goroutines += 1;
        }
        if self.events < EVENTS {
            self.events += 1;
            t.events.push(TaskEvent { at_ns: e.time, goroutine, what });
        } else {
            self.events_left += 1;
        }
    }

    fn report(mut self) -> TraceReport {
        self.open += self.gs.values().flat_map(|g| &g.regions).filter(|r| r.counts).count() as u64;
        match self.kind {
            TraceReportKind::Regions => {
                self.longest();
                TraceReport::OneRegion {
                    done: self.spread.row(),
                    rows: self.regions,
                    before: self.before,
                    open: self.open,
                }
            }
            TraceReportKind::Tasks => {
                TraceReport::TaskTimelines { tasks: self.told, total: self.tasks_seen, events_left: self.events_left }
            }
            _ => TraceReport::Profile(self.profile()),
        }
    }

    fn profile(&self) -> Profile {
        let mut rows: Vec<(u32, Vec<i64>)> =
            self.profile.iter().map(|(s, v)| (*s, vec![v.0.cast_signed(), v.1.cast_signed()])).collect();
        rows.sort_by_key(|r| r.0);
        let mut p = self.names.profile(&[("contentions", "count"), ("delay", "nanoseconds")], 1, &rows);
        p.duration_ns = self.span.map_or(0, |s| s.1.saturating_sub(s.0));
        if self.before > 0 {
            p.notes.push(format!("{} regions began before the trace and are not in it", self.before));
        }
        p
    }
}
