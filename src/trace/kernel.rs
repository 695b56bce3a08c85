//! What the kernel's scheduler did with the threads of a process: each switch from perf events, or sums from `/proc/PID/task/TID/schedstat`.

use super::columns::{Grid, States};
use super::stretches::Track;
use crate::base::Tid;
use crate::model::{Activity, Lane, LaneKind, Span, TimelineSource};
use std::collections::{BTreeMap, VecDeque};

/// Stretches and sums that are kept; the older half goes. About 12 MB.
const KEPT: usize = 1 << 18;
/// Threads that are kept.
const THREADS: usize = 1024;
/// Changes of the source that are remembered.
const CHANGES: usize = 64;

/// What a thread was switched to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// It is on a processor.
    On,
    /// It was taken off and would run on.
    Preempted,
    /// It went to sleep.
    Asleep,
}

/// What `schedstat` says of the time since it was read last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Begin, ns of CLOCK_MONOTONIC.
    pub from: i64,
    /// End.
    pub to: i64,
    /// On a processor, ns.
    pub run: u64,
    /// Waiting for one, ns.
    pub wait: u64,
    /// Time slices.
    pub slices: u64,
}

#[derive(Default)]
struct Thread {
    track: Track,
    sums: VecDeque<Sums>,
}

/// All threads.
#[derive(Default)]
pub(super) struct Kernel {
    threads: BTreeMap<i32, Thread>,
    kept: usize,
    /// Each switch is known until then.
    until: i64,
    sources: Vec<(i64, TimelineSource)>,
}

impl Kernel {
    fn thread(&mut self, tid: Tid, at: i64, source: TimelineSource) -> Option<&mut Thread> {
        if self.sources.last().is_none_or(|s| s.1 != source) {
            self.sources.push((at, source));
            self.sources.drain(..self.sources.len().saturating_sub(CHANGES));
        }
        if !self.threads.contains_key(&tid.0) && self.threads.len() >= THREADS {
            return None;
        }
        Some(self.threads.entry(tid.0).or_default())
    }

    /// One switch, in the order of a thread's time.
    pub(super) fn switch(&mut self, tid: Tid, at: i64, to: Switch) {
        let Some(t) = self.thread(tid, at, TimelineSource::Perf) else { return };
        let activity = match to {
            Switch::On => Activity::Running,
            Switch::Preempted => Activity::Runnable,
            Switch::Asleep => Activity::Idle,
        };
        self.kept += t.track.change(at, activity);
        self.forget();
    }

    /// All switches until then were told.
    pub(super) fn known(&mut self, until: i64) {
        self.until = until;
    }

    /// Whoever recorded switches does no longer: nobody knows what comes now.
    pub(super) fn over(&mut self) {
        for t in self.threads.values_mut() {
            if let Some(s) = t.track.now.take() {
                t.track.done.push_back(super::stretches::Stretch { to: self.until.max(s.from), ..s });
                self.kept += 1;
            }
        }
    }

    /// Sums since the last ones.
    pub(super) fn sums(&mut self, tid: Tid, s: Sums) {
        let Some(t) = self.thread(tid, s.from, TimelineSource::Kernel) else { return };
        match t.sums.back_mut() {
            // A thread that sleeps takes no room.
            Some(b) if b.to == s.from && [b.run, b.wait, s.run, s.wait] == [0; 4] => b.to = s.to,
            _ => {
                t.sums.push_back(s);
                self.kept += 1;
            }
        }
        self.forget();
    }

    fn forget(&mut self) {
        if self.kept <= KEPT {
            return;
        }
        let times = self.threads.values().flat_map(|t| {
            let switched = t.track.done.front().into_iter().chain(t.track.done.back()).map(|s| s.to);
            switched.chain(t.sums.front().into_iter().chain(t.sums.back()).map(|s| s.to))
        });
        let (first, last) = times.fold((i64::MAX, i64::MIN), |(a, z), t| (a.min(t), z.max(t)));
        let cut = first.saturating_add(last.saturating_sub(first) / 2);
        for t in self.threads.values_mut() {
            self.kept -= t.track.forget(cut);
            let n = t.sums.partition_point(|s| s.to <= cut);
            t.sums.drain(..n);
            self.kept -= n;
        }
        self.threads.retain(|_, t| t.track.iter().next().is_some() || !t.sums.is_empty());
    }

    /// A lane for each thread.
    pub(super) fn lanes(&self, grid: Grid) -> Vec<Lane> {
        let column = |at: i64| grid.column(at).unwrap_or(if at < grid.from_ns { 0 } else { grid.columns });
        let mut sources: Vec<(u16, TimelineSource)> = Vec::new();
        for (at, source) in self.sources.iter().map(|s| (column(s.0), s.1)).filter(|s| s.0 < grid.columns) {
            // What began before the picture is what it begins with.
            sources.retain(|s| usize::from(s.0) != at);
            sources.push((at as u16, source));
        }
        let lane = |(tid, t): (&i32, &Thread)| {
            let mut states = States::new(grid);
            for s in t.track.within(grid.from_ns, grid.to_ns()).filter(|s| s.to > s.from) {
                states.add(s.from, s.to, s.activity, None);
            }
            // What goes on goes on until now.
            if let Some(s) = t.track.now.filter(|s| s.to < self.until) {
                states.add(s.to, self.until, s.activity, None);
            }
            let first = t.sums.partition_point(|s| s.to <= grid.from_ns);
            for s in t.sums.range(first..).take_while(|s| s.from < grid.to_ns()) {
                let whole = (s.to - s.from).max(0).cast_unsigned();
                let mut ns = [0; 10];
                ns[Activity::Running as usize] = s.run.min(whole);
                ns[Activity::Runnable as usize] = s.wait.min(whole.saturating_sub(s.run));
                ns[Activity::Idle as usize] = whole.saturating_sub(s.run).saturating_sub(s.wait);
                states.add_sums((s.from, s.to), &ns, (0, 0), s.slices.min(1 << 20) as u32);
            }
            let kind = LaneKind::Cpu(i64::from(*tid));
            Lane { sources: sources.clone(), ..Lane::new(kind, states.cells(), String::new()) }
        };
        self.threads.iter().map(lane).collect()
    }

    /// What happened to a thread.
    pub(super) fn spans(&self, tid: i64, from: i64, to: i64, count: usize) -> Vec<Span> {
        let Some(t) = i32::try_from(tid).ok().and_then(|t| self.threads.get(&t)) else { return Vec::new() };
        let span = |from_ns: i64, to_ns: Option<i64>, activity: Activity, what: String| Span {
            lane: LaneKind::Cpu(tid),
            from_ns,
            to_ns,
            activity,
            goroutine: None,
            proc: None,
            thread: Some(tid),
            what,
            stack: Vec::new(),
            by: None,
        };
        let open = |s: &super::stretches::Stretch| t.track.now.is_some_and(|n| n.from == s.from && n.to == s.to);
        let switched = t.track.done.iter().chain(&t.track.now).filter(|s| s.from < to && (s.to > from || open(s)));
        let mut all: Vec<Span> = switched
            .map(|s| {
                let what = match s.activity {
                    Activity::Running => "on a processor",
                    Activity::Runnable => "taken off the processor, ready",
                    _ => "asleep",
                };
                span(s.from, (!open(s)).then_some(s.to), s.activity, what.into())
            })
            .take(count)
            .collect();
        let sums = t.sums.iter().filter(|s| s.to > from && s.from < to);
        all.extend(sums.take(count).map(|s| {
            let activity = if s.run > 0 { Activity::Running } else { Activity::Idle };
            let ms = |ns: u64| ns as f64 / 1e6;
            let what = format!("{:.1} ms on a processor, {:.1} ms ready, {} slices", ms(s.run), ms(s.wait), s.slices);
            span(s.from, Some(s.to), activity, what)
        }));
        all.sort_by_key(|s| s.from_ns);
        all.truncate(count);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cells, TimelineQuery};

    fn grid(to: i64) -> Grid {
        Grid::of(&TimelineQuery { columns: 4, ..TimelineQuery::default() }, (0, to))
    }

    #[test]
    fn switches_are_exact_and_sums_are_shares() {
        let mut k = Kernel::default();
        k.switch(Tid(7), 0, Switch::On);
        k.switch(Tid(7), 100, Switch::Preempted);
        k.switch(Tid(7), 160, Switch::On);
        k.switch(Tid(7), 200, Switch::Asleep);
        k.known(300);
        k.over();
        k.sums(Tid(7), Sums { from: 300, to: 400, run: 50, wait: 25, slices: 3 });
        let lanes = k.lanes(grid(400));
        let Cells::States(c) = &lanes[0].cells else { panic!("states") };
        let cells: Vec<_> = c.iter().map(|c| (c.activity, c.busy)).collect();
        assert_eq!(
            cells,
            [(Activity::Running, 255), (Activity::Runnable, 255), (Activity::Idle, 0), (Activity::Running, 191),]
        );
        assert_eq!(lanes[0].sources, [(0, TimelineSource::Perf), (3, TimelineSource::Kernel)]);
        let spans = k.spans(7, 0, 400, 9);
        assert_eq!(spans.iter().map(|s| s.to_ns).collect::<Vec<_>>(), [100, 160, 200, 300, 400].map(Some));
    }

    #[test]
    fn memory_is_bounded() {
        let mut k = Kernel::default();
        for i in 0..(KEPT as i64 * 3) {
            k.switch(Tid((i % 7) as i32), i * 10, if i % 2 == 0 { Switch::On } else { Switch::Asleep });
        }
        assert!(k.kept <= KEPT && k.kept > KEPT / 4);
    }
}
