//! What was seen in looks at a running process, kept as spans: the timeline of a program that nobody prepared for it.
//!
//! Between two looks nothing is known but counters; what they say (schedulings, collector cycles, pauses) is counted as unseen or drawn exactly.

use super::Source;
pub use super::code::Frames;
use super::code::{Code, Functions};
use super::columns::{Grid, Levels, States};
use super::heat::Heat;
use super::kernel::{Kernel, Sums, Switch};
use super::search::{Wanted, nearer};
use super::stretches::{Stretch, Track};
use crate::base::{GoroutineId, Tid};
use crate::goruntime::sample::{Pause, ProcState, Sample};
use crate::model::{
    Activity, Found, Lane, LaneKind, Mark, MarkQuery, Overview, Span, TimelineQuery, TimelineSource, TimelineSummary,
    TimelineView,
};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Spans and amounts that are kept in all; the oldest go first. About 50 MB.
const KEPT: usize = 1 << 20;
/// Ends of cycles that are remembered.
const ENDS: usize = 64;
/// So long after a look a thread is taken to have the P that it had, ns, and stretches that are looked back over for it.
const SAME_PROC: i64 = 200_000_000;
const LOOKED_BACK: usize = 8;
/// Threads with a lane.
const THREADS: usize = 1024;
/// Ids remembered to count goroutines seen.
const IDS: usize = 1 << 20;

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
    /// When the last cycles ended.
    ends: VecDeque<(u32, i64)>,
    reasons: Vec<Arc<str>>,
    threads: BTreeMap<i32, Track>,
    /// What was executed: by Ps, and by threads.
    code: Code,
    kernel: Kernel,
    heat: Heat,
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
            let (what, g) = (activity(p.state), p.goroutine.map_or(0, |g| g.0));
            let tid = p.tid.map_or(0, |t| t.0.cast_unsigned());
            self.kept += self.procs.entry(p.id).or_default().see_with(before, at, (what, g, tid), false);
            if before < at {
                self.heat.add(p.id, before, at, what > Activity::Idle && what != Activity::Stopped);
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
        for t in sample.threads.iter().filter(|t| t.tid.0 > 0) {
            if self.threads.len() >= THREADS && !self.threads.contains_key(&t.tid.0) {
                continue;
            }
            let with = (activity(t.state), t.goroutine.map_or(0, |g| g.0), t.proc.map_or(0, |p| p + 1));
            self.kept += self.threads.entry(t.tid.0).or_default().see_with(before, at, with, true);
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
        for Pause { cycle, ns, end } in &s.pauses {
            self.gc.stw_max = self.gc.stw_max.max(*ns);
            let to = end.cast_signed() - wall_less_mono;
            self.ends.push_back((*cycle, to));
            self.ends.drain(..self.ends.len().saturating_sub(ENDS));
            self.world.done.push_back(Stretch {
                from: to - ns.cast_signed(),
                to,
                activity: Activity::Stopped,
                other: 0,
                goroutine: 0,
            });
            self.kept += 1;
        }
    }

    /// A thread was on a processor here, leaf first: it fills its lane, and that of the P that it had.
    pub fn add_code(&mut self, at: i64, tid: Tid, stack: Frames) {
        let Some(t) = self.threads.get(&tid.0) else { return };
        // A run between two looks is on the P that the thread had last: most likely, where that is not long ago.
        let near = |s: &&Stretch| s.other != 0 && s.from <= at && at - s.to < SAME_PROC;
        let had = t.at(at).filter(|s| s.other != 0).or_else(|| t.iter().rev().take(LOOKED_BACK).find(near));
        let had = had.and_then(|s| s.other.checked_sub(1));
        let (first, last) = self.extent();
        for lane in had.map(LaneKind::Proc).into_iter().chain([LaneKind::Thread(i64::from(tid.0))]) {
            self.code.add(lane, at, stack.clone(), last - (last - first) / 2);
        }
    }

    /// A thread was switched by the kernel, in the order of its time.
    pub fn switch(&mut self, tid: Tid, at: i64, to: Switch) {
        self.kernel.switch(tid, at, to);
    }

    /// All switches until `until` were told, `count` of them since the last time, which was `ns` before.
    pub fn switches_known(&mut self, until: i64, count: u64, ns: u64) {
        self.kernel.known(until);
        self.switch_rate(until, count, ns);
    }

    /// Switches are no longer told one by one.
    pub fn switches_over(&mut self) {
        self.kernel.over();
    }

    /// What the kernel sums up for threads, since the last time.
    pub fn add_sums(&mut self, sums: &[(Tid, Sums)]) {
        sums.iter().for_each(|(t, s)| self.kernel.sums(*t, *s));
        if let Some((_, s)) = sums.first() {
            let slices = sums.iter().map(|s| s.1.slices).sum();
            self.switch_rate(s.to, slices, (s.to - s.from).max(0).cast_unsigned());
        }
    }

    fn switch_rate(&mut self, at: i64, count: u64, ns: u64) {
        if ns > 0 {
            let rate = u128::from(count) * 1_000_000_000 / u128::from(ns);
            self.level(LaneKind::Switches, at, rate.min(1 << 40) as u64);
        }
    }

    /// A stop that we made ourselves.
    pub fn our_stop(&mut self, from: i64, to: i64) {
        self.ours.done.push_back(Stretch { from, to, activity: Activity::Stopped, other: 0, goroutine: 0 });
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
        let tracks = self.procs.values_mut().chain(self.followed.values_mut()).chain(self.threads.values_mut());
        for t in tracks.chain([&mut self.collector, &mut self.world, &mut self.ours]) {
            self.kept -= t.forget(cut);
        }
        // Threads that are gone.
        self.threads.retain(|_, t| !t.done.is_empty() || t.now.is_some_and(|s| s.to > cut));
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
            LaneKind::Thread(t) => self.threads.get(&i32::try_from(t).ok()?),
            LaneKind::Goroutine(g) => self.followed.get(&g),
            LaneKind::Collector => Some(&self.collector),
            LaneKind::StopTheWorld => Some(&self.world),
            LaneKind::OurStops => Some(&self.ours),
            _ => None,
        }
    }

    fn states(&self, grid: Grid, kind: LaneKind, note: String, functions: &mut Functions) -> Lane {
        let mut states = States::new(grid);
        // The world runs and we stop nothing as long as somebody looks.
        if matches!(kind, LaneKind::StopTheWorld | LaneKind::OurStops)
            && let (Some(a), Some(b)) = (self.first, self.last)
        {
            states.add(a, b, Activity::Idle, None);
        }
        let who = |s: &Stretch| match kind {
            LaneKind::Proc(_) | LaneKind::Thread(_) => Some(GoroutineId(s.goroutine)).filter(|g| g.0 != 0),
            LaneKind::Goroutine(g) => Some(g),
            _ => None,
        };
        for s in self.track(kind).into_iter().flat_map(|t| t.within(grid.from_ns, grid.to_ns())) {
            states.add(s.from, s.to, s.activity, who(s));
        }
        self.code.fill(kind, grid, &mut states, functions);
        Lane::new(kind, states.cells(), note)
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

    /// When a cycle ended, by its number, if that is one of the last.
    pub fn cycle_end(&self, number: u64) -> Option<i64> {
        self.ends.iter().rev().find(|e| u64::from(e.0) == number).map(|e| e.1)
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
        let extent = self.extent();
        let grid = Grid::of(q, extent);
        let mut functions = Functions::default();
        let mut kinds: Vec<LaneKind> = self.procs.keys().map(|p| LaneKind::Proc(*p)).collect();
        if q.threads {
            kinds.extend(self.threads.keys().map(|t| LaneKind::Thread(i64::from(*t))));
        }
        kinds.extend(q.goroutines.iter().map(|g| LaneKind::Goroutine(*g)));
        let mut lanes: Vec<Lane> =
            kinds.into_iter().map(|k| self.states(grid, k, String::new(), &mut functions)).collect();
        if q.threads {
            lanes.extend(self.kernel.lanes(grid));
        }
        let cycles = self.gc.last.wrapping_sub(self.gc.first.unwrap_or(self.gc.last));
        let seconds = (extent.1 - extent.0) as f64 / 1e9;
        let note = match cycles {
            0 => "no cycle yet".to_string(),
            n => format!("every {}", time((seconds * 1e9 / f64::from(n)) as u64)),
        };
        lanes.push(self.states(grid, LaneKind::Collector, note, &mut functions));
        let note = if self.gc.stw_max > 0 { format!("max {}", time(self.gc.stw_max)) } else { String::new() };
        lanes.push(self.states(grid, LaneKind::StopTheWorld, note, &mut functions));
        for (kind, amounts) in &self.levels {
            let mut levels = Levels::new(grid);
            let first = amounts.partition_point(|a| a.0 < grid.from_ns).saturating_sub(1);
            for (at, amount) in amounts.range(first..).take_while(|a| a.0 < grid.to_ns()) {
                levels.add(*at, *amount);
            }
            levels.hold(extent.1.saturating_add(1));
            lanes.push(Lane::new(*kind, levels.cells(), String::new()));
        }
        if self.ours.iter().next().is_some() {
            let ours = self.states(grid, LaneKind::OurStops, String::new(), &mut functions);
            lanes.push(Lane { sources: vec![(0, TimelineSource::Ours)], ..ours });
        }
        lanes.sort_by_key(|l| l.kind.place());
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
            functions: functions.names,
            wall_ns: self.wall,
            ..TimelineView::default()
        }
    }

    fn spans(&mut self, lane: LaneKind, from_ns: i64, to_ns: i64, count: usize) -> Vec<Span> {
        if let LaneKind::Cpu(t) = lane {
            return self.kernel.spans(t, from_ns, to_ns, count);
        }
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
                    LaneKind::Proc(_) | LaneKind::Thread(_) => Some(GoroutineId(s.goroutine)).filter(|g| g.0 != 0),
                    LaneKind::Goroutine(g) => Some(g),
                    _ => None,
                },
                proc: match lane {
                    LaneKind::Proc(p) => Some(p),
                    LaneKind::Thread(_) => s.other.checked_sub(1),
                    _ => None,
                },
                thread: match lane {
                    LaneKind::Thread(t) => Some(t),
                    LaneKind::Proc(_) => Some(i64::from(s.other)).filter(|t| *t != 0),
                    _ => None,
                },
                what,
                stack: self.code.first_in(lane, s.from, s.to),
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
            threads: self.threads.len() as u64,
            gc_cycles: u64::from(self.gc.last.wrapping_sub(self.gc.first.unwrap_or(self.gc.last))),
            stw_ns: self.gc.stw_ns,
            stw_max_ns: self.gc.stw_max,
        }
    }

    fn find(&mut self, q: &MarkQuery) -> Found {
        let wanted = Wanted::of(&q.text);
        let mut found: Option<Mark> = None;
        let mut note = |at_ns: i64, mark: &dyn Fn() -> Mark| {
            if nearer(q, at_ns, found.as_ref().map(|m| m.at_ns)) {
                found = Some(mark());
            }
        };
        let id = |g: u64| Some(GoroutineId(g)).filter(|g| g.0 != 0);
        if q.text.trim().is_empty() {
            for s in self.track(q.lane).into_iter().flat_map(Track::iter) {
                let what = format!("{:?}", s.activity).to_lowercase();
                note(s.from, &|| Mark { lane: q.lane, at_ns: s.from, what: what.clone(), goroutine: None });
            }
            return Found { mark: found, go_on_ns: None };
        }
        for (p, t) in &self.procs {
            let (lane, mut last) = (LaneKind::Proc(*p), 0);
            for s in t.iter() {
                if wanted.is_goroutine(s.goroutine) && last != s.goroutine {
                    let mark = || Mark {
                        lane,
                        at_ns: s.from,
                        what: format!("g{} runs", s.goroutine),
                        goroutine: id(s.goroutine),
                    };
                    note(s.from, &mark);
                }
                last = s.goroutine;
            }
        }
        for (g, t) in &self.followed {
            for s in t.iter().filter(|s| s.activity == Activity::Blocked) {
                let Some(reason) = self.reasons.get(s.goroutine as usize).filter(|r| wanted.in_name(r)) else {
                    continue;
                };
                let lane = LaneKind::Goroutine(*g);
                note(s.from, &|| Mark {
                    lane,
                    at_ns: s.from,
                    what: format!("g{} waits: {reason}", g.0),
                    goroutine: Some(*g),
                });
            }
        }
        for (lane, (at, stack)) in self.code.of_procs() {
            let Some(f) = stack.iter().find(|l| wanted.in_name(&l.function)) else { continue };
            let g = || self.track(lane).and_then(|t| t.at(*at)).and_then(|s| id(s.goroutine));
            note(*at, &|| Mark { lane, at_ns: *at, what: format!("sample in {}", f.function), goroutine: g() });
        }
        let cycles = self.collector.iter().filter(|s| s.activity == Activity::Marking);
        for (lane, name, s) in cycles
            .map(|s| (LaneKind::Collector, "GC mark phase", s))
            .chain(self.world.iter().map(|s| (LaneKind::StopTheWorld, "stop-the-world (stw)", s)))
            .filter(|m| wanted.in_name(m.1))
        {
            note(s.from, &|| Mark { lane, at_ns: s.from, what: name.into(), goroutine: None });
        }
        Found { mark: found, go_on_ns: None }
    }

    fn extent(&self) -> (i64, i64) {
        (self.first.unwrap_or(0), self.last.unwrap_or(0))
    }

    fn overview(&self, grid: Grid, bands: bool) -> Overview {
        self.heat.overview(grid, bands)
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
