//! What the program says of itself: tasks, regions, logs.

use super::goroutines::Sums;
use super::names::Names;
use crate::base::GoroutineId;
use crate::model::{Durations, LogLine, RegionRow, Task, TaskRow};
use crate::trace::exec::Chunk;
use crate::trace::exec::event::{Event, NONE};
use rustc_hash::FxHashMap;

/// Tasks kept one by one.
const TASKS: usize = 20_000;
/// Names told apart.
const NAMES: usize = 1 << 14;
/// Logs kept, and bytes of each.
const LOGS: usize = 20_000;
const LOG_BYTES: usize = 1024;
/// Goroutines of one task that are told apart.
const WORKERS: usize = 64;

/// A region that is open.
#[derive(Clone, Debug)]
pub(super) struct Open {
    name: u32,
    from: i64,
    before: Sums,
}

impl Open {
    pub(super) fn new(name: u32, from: i64, before: Sums) -> Open {
        Open { name, from, before }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Spread {
    count: u64,
    total: u64,
    min: u64,
    max: u64,
    histogram: Vec<u64>,
}

impl Spread {
    pub(super) fn add(&mut self, ns: u64) {
        self.min = if self.count == 0 { ns } else { self.min.min(ns) };
        self.max = self.max.max(ns);
        self.count += 1;
        self.total = self.total.saturating_add(ns);
        let bucket = ns.max(1).ilog2() as usize;
        if self.histogram.len() <= bucket {
            self.histogram.resize(bucket + 1, 0);
        }
        self.histogram[bucket] += 1;
    }
    pub(super) fn row(&self) -> Durations {
        Durations {
            count: self.count,
            total_ns: self.total,
            min_ns: self.min,
            max_ns: self.max,
            histogram: self.histogram.clone(),
        }
    }
}

#[derive(Clone, Debug, Default)]
struct OneTask {
    parent: Option<u64>,
    name: u32,
    from: Option<i64>,
    to: Option<i64>,
    workers: Vec<i64>,
    more_workers: u64,
    regions: u64,
    logs: u64,
}

/// All of them.
#[derive(Default)]
pub(super) struct Annotations {
    tasks: FxHashMap<u64, OneTask>,
    /// Tasks seen.
    pub seen: u64,
    by_name: FxHashMap<u32, (Spread, u64)>,
    regions: FxHashMap<u32, (Spread, Sums)>,
    logs: Vec<LogLine>,
    logs_seen: u64,
}

impl Annotations {
    fn task(&mut self, id: u64) -> Option<&mut OneTask> {
        if !self.tasks.contains_key(&id) {
            if self.tasks.len() >= TASKS {
                return None;
            }
            self.seen += 1;
        }
        Some(self.tasks.entry(id).or_default())
    }

    fn work(&mut self, id: u64, g: i64) -> Option<&mut OneTask> {
        let t = self.task(id)?;
        if g != NONE && !t.workers.contains(&g) {
            if t.workers.len() < WORKERS {
                t.workers.push(g);
            } else {
                t.more_workers = 1;
            }
        }
        Some(t)
    }

    pub(super) fn task_begin(&mut self, e: &Event, c: &Chunk, names: &mut Names) {
        let name = names.of_string(&c.tables, e.args[2]);
        let parent = Some(e.args[1]).filter(|p| *p != u64::MAX);
        match self.work(e.args[0], e.g) {
            Some(t) => {
                (t.name, t.from, t.to) = (name, Some(e.time), None);
                t.parent = t.parent.or(parent);
            }
            // It is not told one by one, but there was one more.
            None => self.seen += 1,
        }
        if let Some(p) = parent {
            self.task(p);
        }
    }

    pub(super) fn task_end(&mut self, e: &Event, c: &Chunk, names: &mut Names) {
        let name = e.args[3].checked_sub(1).and_then(|i| c.names.get(i as usize));
        let name = name.map(|n| names.string(n));
        let mut done = None;
        if let Some(t) = self.work(e.args[0], e.g) {
            t.name = name.unwrap_or(t.name);
            let first = t.to.replace(e.time).is_none();
            done = t.from.filter(|_| first).map(|from| (t.name, e.time - from));
        }
        if let Some((name, ns)) = done {
            let key = if self.by_name.len() < NAMES { name } else { 1 };
            self.by_name.entry(key).or_default().0.add(ns.max(0).cast_unsigned());
        }
    }

    pub(super) fn region_begin(&mut self, e: &Event) {
        if let Some(t) = self.work(e.args[0], e.g) {
            t.regions += 1;
        }
    }

    /// A region ends; its goroutine's sums are now these.
    pub(super) fn region_end(&mut self, open: Option<Open>, name: u32, now: &Sums, at: i64) {
        let Some(o) = open else {
            // It began before the trace: nobody knows how long it took.
            self.regions.entry(if self.regions.len() < NAMES { name } else { 1 }).or_default();
            return;
        };
        let key = if self.regions.len() < NAMES { o.name } else { 1 };
        let (spread, sums) = self.regions.entry(key).or_default();
        spread.add((at - o.from).max(0).cast_unsigned());
        let all = |s: &Sums| s.blocked.iter().fold(0i64, |n, b| n.saturating_add(b.1));
        sums.total = sums.total.saturating_add(at - o.from);
        sums.running = sums.running.saturating_add(now.running.saturating_sub(o.before.running));
        sums.runnable = sums.runnable.saturating_add(now.runnable.saturating_sub(o.before.runnable));
        sums.syscall = sums.syscall.saturating_add(now.syscall.saturating_sub(o.before.syscall));
        sums.syscall_blocked =
            sums.syscall_blocked.saturating_add(now.syscall_blocked.saturating_sub(o.before.syscall_blocked));
        let blocked = all(now).saturating_sub(all(&o.before));
        match sums.blocked.first_mut() {
            Some(b) => b.1 = b.1.saturating_add(blocked),
            None => sums.blocked.push((0, blocked)),
        }
    }

    pub(super) fn log(&mut self, e: &Event, c: &Chunk) {
        self.logs_seen += 1;
        if let Some(t) = self.work(e.args[0], e.g) {
            t.logs += 1;
        }
        if self.logs.len() < LOGS {
            let text = |id: u64| c.tables.text(id).chars().take(LOG_BYTES).collect();
            self.logs.push(LogLine {
                at_ns: e.time,
                goroutine: GoroutineId(e.g.max(0).cast_unsigned()),
                task: e.args[0],
                category: text(e.args[1]),
                message: text(e.args[2]),
            });
        }
    }

    pub(super) fn tasks(&self, names: &Names, count: usize) -> (Vec<TaskRow>, Vec<Task>) {
        let mut by_name = self.by_name.clone();
        for t in self.tasks.values().filter(|t| t.from.is_none() || t.to.is_none()) {
            by_name.entry(t.name).or_default().1 += 1;
        }
        let row = |(name, (s, open)): (&u32, &(Spread, u64))| TaskRow {
            name: names.text(*name).to_string(),
            done: s.row(),
            open: *open,
        };
        let mut rows: Vec<TaskRow> = by_name.iter().map(row).collect();
        rows.sort_by(|a, b| b.done.total_ns.cmp(&a.done.total_ns).then_with(|| a.name.cmp(&b.name)));
        let one = |(id, t): (&u64, &OneTask)| Task {
            id: *id,
            parent: t.parent,
            name: names.text(t.name).to_string(),
            from_ns: t.from,
            to_ns: t.to,
            goroutines: t.workers.len() as u64 + t.more_workers,
            regions: t.regions,
            logs: t.logs,
        };
        let mut tasks: Vec<Task> = self.tasks.iter().map(one).collect();
        let length = |t: &Task| t.from_ns.zip(t.to_ns).map_or(i64::MIN, |(a, b)| b - a);
        tasks.sort_by(|a, b| length(b).cmp(&length(a)).then(a.id.cmp(&b.id)));
        tasks.truncate(count);
        (rows, tasks)
    }

    pub(super) fn region_rows(&self, names: &Names) -> Vec<RegionRow> {
        let row = |(name, (s, sums)): (&u32, &(Spread, Sums))| RegionRow {
            name: names.text(*name).to_string(),
            done: s.row(),
            times: sums.times(names),
        };
        let mut rows: Vec<RegionRow> = self.regions.iter().map(row).collect();
        rows.sort_by(|a, b| b.done.total_ns.cmp(&a.done.total_ns).then_with(|| a.name.cmp(&b.name)));
        rows
    }

    pub(super) fn logs(&self, count: usize) -> (Vec<LogLine>, u64) {
        (self.logs.iter().take(count).cloned().collect(), self.logs_seen)
    }
}
