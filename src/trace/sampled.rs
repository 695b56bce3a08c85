//! What was seen in looks at a running process, kept as spans: the timeline of a program that nobody prepared for it.
//!
//! Between two looks nothing is known but counters; what they say (schedulings, collector cycles, pauses) is counted as unseen or drawn exactly.

use super::Source;
use super::columns::{Grid, Levels, States};
use crate::base::{GoroutineId, Tid};
use crate::goruntime::sample::{Pause, ProcState, Sample};
use crate::model::{
    Activity, Lane, LaneKind, Location, Span, TimelineQuery, TimelineSource, TimelineSummary, TimelineView,
};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Spans and amounts that are kept in all; the oldest go first. About 50 MB.
const KEPT: usize = 1 << 20;
/// Stacks that are kept, of all Ps.
const STACKS: usize = 1 << 16;
/// Ids remembered to count goroutines seen.
const IDS: usize = 1 << 20;

/// A stack, leaf first.
pub type Frames = Arc<[Location]>;

/// A stretch of one state, as kept.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    from: i64,
    to: i64,
    activity: Activity,
    goroutine: u64,
}

/// One lane of states.
#[derive(Default)]
struct Track {
    done: VecDeque<Stretch>,
    now: Option<Stretch>,
}

impl Track {
    /// The state seen at `at`; it is taken to have begun half way since the look before.
    fn see(&mut self, before: i64, at: i64, activity: Activity, goroutine: u64) -> usize {
        let half = at - (at - before) / 2;
        match &mut self.now {
            Some(s) if s.activity == activity && s.goroutine == goroutine && s.to == before => s.to = at,
            now => {
                let begin = if now.is_some_and(|s| s.to == before) { half } else { at };
                let old = now.replace(Stretch { from: begin, to: at, activity, goroutine });
                if let Some(mut s) = old {
                    s.to = if s.to == before { half } else { s.to };
                    self.done.push_back(s);
                    return 1;
                }
            }
        }
        0
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = &Stretch> {
        self.done.iter().chain(&self.now)
    }

    /// Those that touch `[from, to)`.
    fn within(&self, from: i64, to: i64) -> impl Iterator<Item = &Stretch> {
        let first = self.done.partition_point(|s| s.to <= from);
        self.done.range(first..).chain(&self.now).take_while(move |s| s.from < to).filter(move |s| s.to > from)
    }
}

/// Everything that was seen.
#[derive(Default)]
pub struct Sampled {
    procs: BTreeMap<u32, Track>,
    followed: BTreeMap<GoroutineId, Track>,
    collector: Track,
    world: Track,
    ours: Track,
    levels: BTreeMap<LaneKind, VecDeque<(i64, u64)>>,
    ticks: FxHashMap<u32, (u32, Option<GoroutineId>)>,
    seen: FxHashSet<u64>,
    kept: usize,
    first: Option<i64>,
    last: Option<i64>,
    looks: u64,
    lost: u64,
    unseen: u64,
    rate: u32,
    gc: Cycles,
    reasons: Vec<Arc<str>>,
    /// The P that each thread had at the last look.
    threads: FxHashMap<i32, u32>,
    code: BTreeMap<u32, VecDeque<(i64, Frames)>>,
    coded: usize,
    wall: Option<i64>,
    /// One line on what is wrong.
    pub problem: Option<String>,
    /// Nobody looks any more: the process is gone, or nobody asked.
    pub ended: bool,
}

/// Counters of the collector.
#[derive(Default)]
struct Cycles {
    first: Option<u32>,
    last: u32,
    stw_ns: u64,
    stw_max: u64,
    stops_at_first: u64,
}

impl Sampled {
    /// An empty history of looks made `rate` times a second. `reasons` are the runtime's wait reasons by number.
    pub fn new(rate: u32, reasons: Vec<Arc<str>>) -> Sampled {
        Sampled { rate, reasons, ..Sampled::default() }
    }

    /// One look, made at `at` (CLOCK_MONOTONIC, ns); `wall_less_mono` is what has to be taken from a wall clock time to get a monotonic one.
    pub fn add(&mut self, at: i64, sample: &Sample, wall_less_mono: i64) {
        let before = self.last.unwrap_or(at);
        let pace = 1_000_000_000 / i64::from(self.rate.max(1));
        // Looks that were due and did not happen; what was there before is not stretched over such a hole.
        let missed = ((at - before) / pace.max(1) - 1).max(0);
        let before = if missed > 4 { at } else { before };
        self.lost += missed.cast_unsigned();
        self.first.get_or_insert(at);
        self.last = Some(at);
        self.looks += 1;
        self.wall = Some(wall_less_mono);
        for p in &sample.procs {
            self.kept +=
                self.procs.entry(p.id).or_default().see(before, at, activity(p.state), p.goroutine.map_or(0, |g| g.0));
            if let Some(t) = p.tid {
                self.threads.insert(t.0, p.id);
            }
            let old = self.ticks.insert(p.id, (p.schedtick, p.goroutine));
            if let Some((tick, g)) = old {
                let rounds = u64::from(p.schedtick.wrapping_sub(tick));
                self.unseen += rounds.saturating_sub(u64::from(g != p.goroutine));
            }
            if let Some(g) = p.goroutine
                && self.seen.len() < IDS
            {
                self.seen.insert(g.0);
            }
        }
        for f in &sample.followed {
            let activity = match f.status {
                None => Activity::Unknown,
                Some(1) => Activity::Runnable,
                Some(2) => Activity::Running,
                Some(3) => Activity::Syscall,
                Some(_) => Activity::Blocked,
            };
            // The reason rides where a P's lane has the goroutine.
            let reason = if activity == Activity::Blocked { u64::from(f.reason) } else { 0 };
            self.kept += self.followed.entry(f.goroutine).or_default().see(before, at, activity, reason);
        }
        self.collect(before, at, sample, wall_less_mono);
        let queued = sample.procs.iter().map(|p| u64::from(p.queued)).sum::<u64>() + u64::from(sample.queued);
        self.level(LaneKind::Heap, at, sample.heap);
        self.level(LaneKind::HeapGoal, at, sample.goal);
        if let Some(n) = sample.goroutines {
            self.level(LaneKind::Goroutines, at, u64::from(n));
        }
        self.level(LaneKind::RunQueue, at, queued);
        self.level(LaneKind::Syscalls, at, u64::from(sample.syscalls));
        if self.kept > KEPT {
            self.forget();
        }
    }

    fn collect(&mut self, before: i64, at: i64, s: &Sample, wall_less_mono: i64) {
        let first = self.gc.first.is_none();
        self.gc.first.get_or_insert(s.ended);
        if first {
            self.gc.stops_at_first = s.pause_total_ns;
        }
        let short = s.ended.wrapping_sub(self.gc.last);
        if !first && short > 0 && !s.marking && self.collector.now.is_none_or(|n| n.activity != Activity::Marking) {
            // A whole cycle between two looks: it is drawn as long as the gap, which is all that is known.
            self.kept += self.collector.see(before, at, Activity::Marking, u64::from(s.ended));
        } else {
            let (what, cycle) = if s.marking { (Activity::Marking, s.cycles) } else { (Activity::Idle, 0) };
            self.kept += self.collector.see(before, at, what, u64::from(cycle));
        }
        self.gc.last = s.ended;
        self.gc.stw_ns = s.pause_total_ns.saturating_sub(self.gc.stops_at_first);
        for Pause { ns, end, .. } in &s.pauses {
            self.gc.stw_max = self.gc.stw_max.max(*ns);
            let to = end.cast_signed() - wall_less_mono;
            self.world.done.push_back(Stretch {
                from: to - ns.cast_signed(),
                to,
                activity: Activity::Stopped,
                goroutine: 0,
            });
            self.kept += 1;
        }
    }

    /// A thread was on a processor here, leaf first: it fills the lane of the P that the thread had.
    pub fn add_code(&mut self, at: i64, tid: Tid, stack: Frames) {
        let Some(p) = self.threads.get(&tid.0) else { return };
        self.code.entry(*p).or_default().push_back((at, stack));
        self.coded += 1;
        if self.coded > STACKS {
            let cut = self.last.unwrap_or(at) - (self.last.unwrap_or(at) - self.first.unwrap_or(at)) / 2;
            for c in self.code.values_mut() {
                let n = c.partition_point(|s| s.0 < cut).max(1).min(c.len());
                c.drain(..n);
                self.coded -= n;
            }
        }
    }

    /// What a P was seen to execute between two times: the first stack there is.
    fn code_in(&self, p: u32, from: i64, to: i64) -> Vec<Location> {
        let Some(c) = self.code.get(&p) else { return Vec::new() };
        let i = c.partition_point(|s| s.0 < from);
        c.get(i).filter(|s| s.0 <= to).map(|s| s.1.to_vec()).unwrap_or_default()
    }

    /// A stop that we made ourselves.
    pub fn our_stop(&mut self, from: i64, to: i64) {
        self.ours.done.push_back(Stretch { from, to, activity: Activity::Stopped, goroutine: 0 });
        self.kept += 1;
    }

    /// Amounts that do not change take no room.
    fn level(&mut self, kind: LaneKind, at: i64, amount: u64) {
        let l = self.levels.entry(kind).or_default();
        if l.back().is_none_or(|b| b.1 != amount) {
            l.push_back((at, amount));
            self.kept += 1;
        }
    }

    /// The older half goes.
    fn forget(&mut self) {
        let (Some(first), Some(last)) = (self.first, self.last) else { return };
        let cut = first + (last - first) / 2;
        let tracks = self.procs.values_mut().chain(self.followed.values_mut());
        for t in tracks.chain([&mut self.collector, &mut self.world, &mut self.ours]) {
            let n = t.done.partition_point(|s| s.to <= cut);
            t.done.drain(..n);
            self.kept -= n;
        }
        for l in self.levels.values_mut() {
            let n = l.partition_point(|s| s.0 <= cut).saturating_sub(1);
            l.drain(..n);
            self.kept -= n;
        }
        self.first = Some(cut);
    }

    fn track(&self, lane: LaneKind) -> Option<&Track> {
        match lane {
            LaneKind::Proc(p) => self.procs.get(&p),
            LaneKind::Goroutine(g) => self.followed.get(&g),
            LaneKind::Collector => Some(&self.collector),
            LaneKind::StopTheWorld => Some(&self.world),
            LaneKind::OurStops => Some(&self.ours),
            _ => None,
        }
    }

    fn states(&self, grid: Grid, kind: LaneKind, note: String) -> Lane {
        let mut states = States::new(grid);
        // The world runs and we stop nothing as long as somebody looks.
        if matches!(kind, LaneKind::StopTheWorld | LaneKind::OurStops)
            && let (Some(a), Some(b)) = (self.first, self.last)
        {
            states.add(a, b, Activity::Idle, None);
        }
        let who = |s: &Stretch| match kind {
            LaneKind::Proc(_) => Some(GoroutineId(s.goroutine)).filter(|g| g.0 != 0),
            LaneKind::Goroutine(g) => Some(g),
            _ => None,
        };
        for s in self.track(kind).into_iter().flat_map(|t| t.within(grid.from_ns, grid.to_ns())) {
            states.add(s.from, s.to, s.activity, who(s));
        }
        Lane { kind, cells: states.cells(), note }
    }

    /// How busy a P was in `[from, to)`: share of the time in which a goroutine ran on it; none without looks.
    pub fn busy(&self, proc: u32, from: i64, to: i64) -> Option<f64> {
        let mut ns = [0i64; 2];
        for s in self.procs.get(&proc)?.within(from, to) {
            let len = s.to.min(to) - s.from.max(from);
            let runs = matches!(s.activity, Activity::Running | Activity::Marking | Activity::Assist);
            ns[usize::from(runs)] += len;
        }
        (ns[0] + ns[1] > 0).then(|| ns[1] as f64 / (ns[0] + ns[1]) as f64)
    }

    /// Wall clock less the clock of all times, ns, at the last look.
    pub fn wall_ns(&self) -> Option<i64> {
        self.wall
    }

    /// The last look's amounts.
    pub fn now(&self, kind: LaneKind) -> Option<u64> {
        Some(self.levels.get(&kind)?.back()?.1)
    }
}

fn activity(s: ProcState) -> Activity {
    match s {
        ProcState::Idle => Activity::Idle,
        ProcState::Running => Activity::Running,
        ProcState::Marking => Activity::Marking,
        ProcState::Assist => Activity::Assist,
        ProcState::Syscall => Activity::Syscall,
        ProcState::Stopped => Activity::Stopped,
    }
}

/// Nanoseconds, short.
pub(super) fn time(ns: u64) -> String {
    match ns {
        ..=999 => format!("{ns} ns"),
        1_000..=999_999 => format!("{:.1} us", ns as f64 / 1e3),
        1_000_000..=999_999_999 => format!("{:.1} ms", ns as f64 / 1e6),
        _ => format!("{:.1} s", ns as f64 / 1e9),
    }
}

impl Source for Sampled {
    fn view(&mut self, q: &TimelineQuery) -> TimelineView {
        let extent = (self.first.unwrap_or(0), self.last.unwrap_or(0));
        let grid = Grid::of(q, extent);
        let mut lanes: Vec<Lane> =
            self.procs.keys().map(|p| self.states(grid, LaneKind::Proc(*p), String::new())).collect();
        lanes.extend(q.goroutines.iter().map(|g| self.states(grid, LaneKind::Goroutine(*g), String::new())));
        let cycles = self.gc.last.wrapping_sub(self.gc.first.unwrap_or(self.gc.last));
        let seconds = (extent.1 - extent.0) as f64 / 1e9;
        let note = match cycles {
            0 => "no cycle yet".to_string(),
            n => format!("every {}", time((seconds * 1e9 / f64::from(n)) as u64)),
        };
        lanes.push(self.states(grid, LaneKind::Collector, note));
        let note = if self.gc.stw_max > 0 { format!("max {}", time(self.gc.stw_max)) } else { String::new() };
        lanes.push(self.states(grid, LaneKind::StopTheWorld, note));
        for (kind, amounts) in &self.levels {
            let mut levels = Levels::new(grid);
            let first = amounts.partition_point(|a| a.0 < grid.from_ns).saturating_sub(1);
            for (at, amount) in amounts.range(first..).take_while(|a| a.0 < grid.to_ns()) {
                levels.add(*at, *amount);
            }
            levels.hold(extent.1.saturating_add(1));
            lanes.push(Lane { kind: *kind, cells: levels.cells(), note: String::new() });
        }
        if self.ours.iter().next().is_some() {
            lanes.push(self.states(grid, LaneKind::OurStops, String::new()));
        }
        lanes.sort_by_key(|l| l.kind);
        TimelineView {
            source: TimelineSource::Sampled,
            from_ns: grid.from_ns,
            column_ns: grid.column_ns,
            extent,
            lanes,
            growing: !self.ended,
            lost: self.lost,
            unseen: self.unseen,
            rate: self.rate,
            problem: self.problem.clone(),
            others: Vec::new(),
            wall_ns: self.wall,
        }
    }

    fn spans(&mut self, lane: LaneKind, from_ns: i64, to_ns: i64, count: usize) -> Vec<Span> {
        let span = |s: &Stretch| {
            let what = match (lane, s.activity) {
                (LaneKind::Goroutine(_), Activity::Blocked) => {
                    self.reasons.get(s.goroutine as usize).map(|r| r.to_string()).unwrap_or_default()
                }
                (LaneKind::Collector, Activity::Marking) => format!("cycle {}", s.goroutine),
                (LaneKind::StopTheWorld, _) => "both pauses of a collector cycle, drawn as one at their end".into(),
                _ => String::new(),
            };
            Span {
                lane,
                from_ns: s.from,
                to_ns: Some(s.to),
                activity: s.activity,
                goroutine: match lane {
                    LaneKind::Proc(_) => Some(GoroutineId(s.goroutine)).filter(|g| g.0 != 0),
                    LaneKind::Goroutine(g) => Some(g),
                    _ => None,
                },
                proc: if let LaneKind::Proc(p) = lane { Some(p) } else { None },
                thread: None,
                what,
                stack: match lane {
                    LaneKind::Proc(p) => self.code_in(p, s.from, s.to),
                    _ => Vec::new(),
                },
                by: None,
            }
        };
        self.track(lane).into_iter().flat_map(|t| t.within(from_ns, to_ns)).take(count).map(span).collect()
    }

    fn summary(&self) -> TimelineSummary {
        TimelineSummary {
            events: self.looks,
            by_kind: BTreeMap::new(),
            goroutines: self.seen.len() as u64,
            procs: self.procs.len() as u64,
            threads: 0,
            gc_cycles: u64::from(self.gc.last.wrapping_sub(self.gc.first.unwrap_or(self.gc.last))),
            stw_ns: self.gc.stw_ns,
            stw_max_ns: self.gc.stw_max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goruntime::sample::ProcSample;
    use crate::model::Cells;

    fn look(g: u64, heap: u64) -> Sample {
        let state = if g == 0 { ProcState::Idle } else { ProcState::Running };
        let goroutine = Some(GoroutineId(g)).filter(|g| g.0 != 0);
        Sample { procs: vec![ProcSample { state, goroutine, ..ProcSample::default() }], heap, ..Sample::default() }
    }

    #[test]
    fn looks_become_spans_that_meet_half_way() {
        let mut s = Sampled::new(100, Vec::new());
        for (i, g) in [7, 7, 0, 0, 9].into_iter().enumerate() {
            s.add(i as i64 * 10_000_000, &look(g, 5), 0);
        }
        let spans = s.spans(LaneKind::Proc(0), 0, 100_000_000, 10);
        let all: Vec<_> = spans
            .iter()
            .map(|s| (s.goroutine.map_or(0, |g| g.0), s.from_ns / 1_000_000, s.to_ns.map(|t| t / 1_000_000)))
            .collect();
        assert_eq!(all, [(7, 0, Some(15)), (0, 15, Some(35)), (9, 35, Some(40))]);
        assert_eq!(s.busy(0, 0, 40_000_000), Some(0.5));
        assert_eq!((s.lost, s.summary().goroutines, s.now(LaneKind::Heap)), (0, 2, Some(5)));
    }

    #[test]
    fn holes_are_counted_and_not_filled() {
        let mut s = Sampled::new(100, Vec::new());
        s.add(0, &look(7, 1), 0);
        s.add(10_000_000, &look(7, 1), 0);
        s.add(110_000_000, &look(7, 1), 0);
        s.add(120_000_000, &look(7, 1), 0);
        assert_eq!(s.lost, 9);
        let spans = s.spans(LaneKind::Proc(0), 0, 200_000_000, 10);
        assert_eq!(
            spans.iter().map(|s| (s.from_ns, s.to_ns)).collect::<Vec<_>>(),
            [(0, Some(10_000_000)), (110_000_000, Some(120_000_000))]
        );
    }

    #[test]
    fn cycles_between_looks_are_drawn_and_pauses_are_exact() {
        let mut s = Sampled::new(100, Vec::new());
        let mut at = |t: i64, ended: u32, pauses: Vec<Pause>| {
            let pause_total_ns = u64::from(ended) * 1_000;
            s.add(t, &Sample { ended, cycles: ended, pauses, pause_total_ns, ..look(0, 1) }, 1_000_000_000);
        };
        at(0, 3, Vec::new());
        at(10_000_000, 3, Vec::new());
        at(20_000_000, 5, vec![Pause { cycle: 5, ns: 2_000, end: 1_015_000_000 }]);
        at(30_000_000, 5, Vec::new());
        let spans = s.spans(LaneKind::StopTheWorld, 0, 100_000_000, 9);
        assert_eq!((spans[0].from_ns, spans[0].to_ns), (14_998_000, Some(15_000_000)));
        let marks = s.spans(LaneKind::Collector, 0, 100_000_000, 9);
        assert_eq!(marks.iter().filter(|m| m.activity == Activity::Marking).count(), 1);
        let sum = s.summary();
        assert_eq!((sum.gc_cycles, sum.stw_ns, sum.stw_max_ns), (2, 2_000, 2_000));
    }

    #[test]
    fn memory_is_bounded() {
        let mut s = Sampled::new(1_000, Vec::new());
        for i in 0..(KEPT as i64 * 2) {
            s.add(i * 1_000_000, &look(i as u64 % 5, i as u64), 0);
        }
        assert!(s.kept <= KEPT);
        let view = s.view(&TimelineQuery { columns: 80, ..TimelineQuery::default() });
        assert!(view.extent.0 > 0);
        let Cells::States(c) = &view.lanes[0].cells else { panic!("states") };
        // One look of five is idle.
        assert!(c[1..].iter().all(|c| (190..220).contains(&c.busy)), "{c:?}");
    }
}
