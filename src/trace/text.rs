//! `gctrace=1`, `schedtrace=N` and `scheddetail=1` lines, among whatever else a log holds, as a timeline.
//!
//! Grammar: runtime/mgc.go (`gcMarkTermination`), runtime/proc.go (`schedtrace`), the same from Go 1.21 to 1.27 but for what is optional here. The
//! runtime writes each line in many small writes, so others may come in between: what does not parse is counted and left out.

use super::Source;
use super::columns::{Grid, Levels, States};
use super::heat::Shares;
use super::search::{Wanted, nearer};
use crate::base::GoroutineId;
use crate::model::{
    Activity, Found, Lane, LaneKind, Mark, MarkQuery, Overview, Span, TimelineQuery, TimelineSource, TimelineSummary,
    TimelineView,
};
use std::collections::BTreeMap;

/// Longest line that is looked at, bytes: `scheddetail` has long ones on machines with many processors.
const MAX_LINE: usize = 64 << 10;
/// Records kept; a log with more is cut at its begin.
const MAX_RECORDS: usize = 1 << 20;
const MIB: f64 = 1_048_576.0;
const MS: f64 = 1e6;
/// Latest time and longest phase that are believed, ns: sums of them fit.
const MAX_NS: f64 = 1e18;
const MAX_PHASE: f64 = 1e15;

/// One collector cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cycle {
    /// Its number.
    pub number: u64,
    /// When it began, ns since the program's start.
    pub at: i64,
    /// Wall time of sweep termination (world stopped), concurrent mark, mark termination (world stopped), ns.
    pub phases: [u64; 3],
    /// Heap when it began, when marking ended, and what was marked, bytes.
    pub heap: [u64; 3],
    /// Goal, bytes.
    pub goal: u64,
    /// Ps.
    pub procs: u32,
    /// Somebody asked for it.
    pub forced: bool,
}

/// One `SCHED` line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moment {
    /// ns since the first such line, which is written at the program's start.
    pub at: i64,
    /// Ps, and those without work.
    pub procs: u32,
    /// Of them idle.
    pub idle: u32,
    /// Threads.
    pub threads: u32,
    /// Global queue.
    pub queued: u64,
    /// Local queues.
    pub local: Vec<u64>,
    /// What each P does (`scheddetail` only): status, and its M.
    pub status: Vec<(u32, Option<u32>)>,
    /// The goroutine of each M (`scheddetail` only).
    pub running: BTreeMap<u32, u64>,
    /// Goroutines that are not dead (`scheddetail` only).
    pub goroutines: u64,
}

/// A log.
#[derive(Default)]
pub struct TextLog {
    cycles: Vec<Cycle>,
    moments: Vec<Moment>,
    broken: u64,
    cut: u64,
    /// Added to all times, ns: when the program began.
    origin: i64,
    growing: bool,
}

/// Number and what follows it.
fn number(s: &str) -> Option<(f64, &str)> {
    let end = s.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(s.len());
    let n: f64 = s.get(..end)?.parse().ok()?;
    n.is_finite().then(|| (n, &s[end..]))
}

/// Three numbers with `sep` between them.
fn three<'a>(s: &'a str, sep: &str) -> Option<([f64; 3], &'a str)> {
    let (a, s) = number(s)?;
    let (b, s) = number(s.strip_prefix(sep)?)?;
    let (c, s) = number(s.strip_prefix(sep)?)?;
    Some(([a, b, c], s))
}

/// A `gctrace` line.
pub fn cycle(line: &str) -> Option<Cycle> {
    let (n, s) = number(line.strip_prefix("gc ")?)?;
    let (at, s) = number(s.strip_prefix(" @")?)?;
    let (_, s) = number(s.strip_prefix("s ")?)?;
    let s = s.strip_prefix('%')?;
    let s = s.strip_prefix(" (checking for goroutine leaks)").unwrap_or(s).strip_prefix(": ")?;
    let (clock, s) = three(s, "+")?;
    let (_, s) = s.strip_prefix(" ms clock, ")?.split_once(" ms cpu, ")?;
    let (heap, s) = three(s, "->")?;
    let (goal, s) = number(s.strip_prefix(" MB, ")?)?;
    let (_, s) = s.strip_prefix(" MB goal, ")?.rsplit_once(", ")?;
    let (procs, s) = number(s)?;
    let s = s.strip_prefix(" P")?;
    Some(Cycle {
        number: n as u64,
        at: (at * 1e9).min(MAX_NS) as i64,
        phases: clock.map(|ms| (ms * MS).min(MAX_PHASE) as u64),
        heap: heap.map(|mb| (mb * MIB).min(MAX_NS) as u64),
        goal: (goal * MIB) as u64,
        procs: procs as u32,
        forced: s.starts_with(" (forced)"),
    })
}

/// `key=N` anywhere in a line.
fn field(line: &str, key: &str) -> Option<u64> {
    let at = line.find(key)?;
    let rest = line.get(at + key.len()..)?.strip_prefix('=')?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok().map(|n: u64| n.min(1 << 40))
}

/// A `SCHED` line.
pub fn moment(line: &str) -> Option<Moment> {
    let (ms, s) = number(line.strip_prefix("SCHED ")?)?;
    let s = s.strip_prefix("ms: ")?;
    let local = s.split_once(" [").and_then(|(_, l)| l.split_once(']')).map_or("", |l| l.0);
    Some(Moment {
        at: (ms * MS).min(MAX_NS) as i64,
        procs: field(s, "gomaxprocs")? as u32,
        idle: field(s, "idleprocs")? as u32,
        threads: field(s, "threads")? as u32,
        queued: field(s, " runqueue")?,
        local: local.split_whitespace().map_while(|n| n.parse().ok()).map(|n: u64| n.min(1 << 40)).collect(),
        ..Moment::default()
    })
}

impl TextLog {
    /// The log of a program that began at this time (CLOCK_MONOTONIC, ns) and still writes.
    pub fn since(origin: i64) -> TextLog {
        TextLog { origin: origin.clamp(0, MAX_NS as i64), growing: true, ..TextLog::default() }
    }

    /// A cycle of this number ended at this time by a better clock: times in lines are whole milliseconds since the runtime began, and when that was we
    /// only guess. All that is known moves with it; whether something did.
    pub fn tie(&mut self, number: u64, ended: i64) -> bool {
        let Some(c) = self.cycles.iter().rev().find(|c| c.number == number) else { return false };
        let by = ended.saturating_sub(c.at.saturating_add(c.phases.iter().sum::<u64>().cast_signed()));
        // Times are cut off to milliseconds: the truth is up to one later. What is so near is not moved to and fro.
        if by.abs() <= 1_000_000 || by.abs() > 10_000_000_000 {
            return false;
        }
        self.origin = self.origin.saturating_add(by);
        self.cycles.iter_mut().for_each(|c| c.at = c.at.saturating_add(by));
        self.moments.iter_mut().for_each(|m| m.at = m.at.saturating_add(by));
        true
    }

    /// The number of the last cycle.
    pub fn last_cycle(&self) -> Option<u64> {
        self.cycles.last().map(|c| c.number)
    }

    /// Is there anything in it?
    pub fn is_empty(&self) -> bool {
        self.cycles.is_empty() && self.moments.is_empty()
    }

    /// Reads a whole text.
    pub fn parse(text: &[u8]) -> TextLog {
        let mut log = TextLog::default();
        for line in text.split(|b| *b == b'\n') {
            log.line(line);
        }
        log
    }

    /// Is there a line of these in it?
    pub fn is_one(text: &[u8]) -> bool {
        let of_ours = |l: &[u8]| {
            let l = tail(l);
            cycle(&l).is_some() || moment(&l).is_some()
        };
        text.split(|b| *b == b'\n').any(of_ours)
    }

    /// One more line.
    pub fn line(&mut self, line: &[u8]) {
        let line = tail(line);
        if line.starts_with("gc ") {
            match cycle(&line) {
                Some(c) => self.cycles.push(Cycle { at: c.at + self.origin, ..c }),
                // "gc " begins many a sentence; with a time after it, it was one of these.
                None => self.broken += u64::from(line.contains(" @")),
            }
        } else if line.starts_with("SCHED ") {
            match moment(&line) {
                Some(m) => self.moments.push(Moment { at: m.at + self.origin, ..m }),
                None => self.broken += 1,
            }
        } else if line.starts_with("  ") {
            self.detail(line.trim_start());
        }
        for n in [self.cycles.len(), self.moments.len()] {
            if n > MAX_RECORDS {
                self.cut += 1;
                let half = MAX_RECORDS / 2;
                self.cycles.drain(..half.min(self.cycles.len()));
                self.moments.drain(..half.min(self.moments.len()));
            }
        }
    }

    /// A line of `scheddetail`, which follows its `SCHED` line.
    fn detail(&mut self, line: &str) {
        let Some(m) = self.moments.last_mut() else { return };
        let Some((name, rest)) = line.split_once(": ") else { return };
        let (kind, id) = name.split_at(name.len().min(1));
        let Ok(id) = id.parse::<u64>() else { return };
        match kind {
            "P" if id == m.status.len() as u64 => {
                let Some(status) = field(rest, "status") else { return };
                m.status.push((status as u32, field(rest, " m").map(|n| n as u32)));
                m.local.extend(field(rest, "runqsize"));
            }
            "M" => {
                if let Some(g) = field(rest, "curg") {
                    m.running.insert(id as u32, g);
                }
            }
            "G" => m.goroutines += u64::from(!matches!(field(rest, "status"), Some(6 | 11))),
            _ => {}
        }
    }

    /// Stops of the world and mark phases.
    fn phases(&self) -> impl Iterator<Item = (LaneKind, i64, i64, &Cycle)> {
        self.cycles.iter().flat_map(|c| {
            let [a, b, z] = c.phases.map(u64::cast_signed);
            [
                (LaneKind::StopTheWorld, c.at, c.at + a, c),
                (LaneKind::Collector, c.at + a, c.at + a + b, c),
                (LaneKind::StopTheWorld, c.at + a + b, c.at + a + b + z, c),
            ]
        })
    }

    fn states(&self, grid: Grid, lane: LaneKind, on: Activity) -> Lane {
        let mut states = States::new(grid);
        let mut free = self.origin;
        for (_, from, to, _) in self.phases().filter(|p| p.0 == lane) {
            states.add(free, from, Activity::Idle, None);
            states.add(from, to, on, None);
            free = to;
        }
        states.add(free, self.extent().1, Activity::Idle, None);
        let longest = self.phases().filter(|p| p.0 == lane).map(|p| p.2 - p.1).max().unwrap_or(0);
        let note = match lane {
            LaneKind::Collector => format!("{} cycles", self.cycles.len()),
            _ => format!("max {:.2} ms", longest as f64 / MS),
        };
        Lane::new(lane, states.cells(), note)
    }

    /// What a P was seen to do, each moment for the time until the next.
    fn proc(&self, grid: Grid, p: usize) -> Lane {
        let mut states = States::new(grid);
        for (i, m) in self.moments.iter().enumerate() {
            let until = self.moments.get(i + 1).map_or(m.at, |n| n.at);
            let Some((status, machine)) = m.status.get(p) else { continue };
            let activity = match status {
                0 => Activity::Idle,
                1 => Activity::Running,
                2 => Activity::Syscall,
                _ => Activity::Stopped,
            };
            let g = machine.and_then(|k| m.running.get(&k)).map(|g| GoroutineId(*g));
            states.add(m.at, until, activity, g);
        }
        Lane::new(LaneKind::Proc(p as u32), states.cells(), String::new())
    }
}

/// The part of a log line that the runtime wrote: prefixes that loggers and collectors put before it are left out.
fn tail(line: &[u8]) -> String {
    let line = &line[..line.len().min(MAX_LINE)];
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end();
    for mark in ["gc ", "SCHED "] {
        let marked = text.match_indices(mark).map(|m| m.0);
        let digit = |i: usize| text[i + mark.len()..].starts_with(|c: char| c.is_ascii_digit());
        let word = |i: usize| text[..i].ends_with(|c: char| !c.is_alphanumeric());
        if let Some(i) = marked.into_iter().find(|i| digit(*i) && (*i == 0 || word(*i))) {
            return text[i..].to_string();
        }
    }
    text.to_string()
}

impl Source for TextLog {
    fn view(&mut self, q: &TimelineQuery) -> TimelineView {
        let extent = self.extent();
        let grid = Grid::of(q, extent);
        let procs = self.moments.iter().map(|m| m.status.len()).max().unwrap_or(0);
        let mut lanes: Vec<Lane> = (0..procs).map(|p| self.proc(grid, p)).collect();
        if !self.cycles.is_empty() {
            lanes.push(self.states(grid, LaneKind::Collector, Activity::Marking));
            lanes.push(self.states(grid, LaneKind::StopTheWorld, Activity::Stopped));
            let (mut heap, mut goal) = (Levels::new(grid), Levels::new(grid));
            for c in &self.cycles {
                let [a, b, z] = c.phases.map(u64::cast_signed);
                heap.add(c.at, c.heap[0]);
                heap.add(c.at + a + b, c.heap[1]);
                heap.add(c.at + a + b + z, c.heap[2]);
                goal.add(c.at, c.goal);
            }
            heap.hold(extent.1);
            goal.hold(extent.1);
            lanes.push(Lane::new(LaneKind::Heap, heap.cells(), String::new()));
            lanes.push(Lane::new(LaneKind::HeapGoal, goal.cells(), String::new()));
        }
        if !self.moments.is_empty() {
            let (mut queue, mut goroutines) = (Levels::new(grid), Levels::new(grid));
            for m in &self.moments {
                queue.add(m.at, m.queued + m.local.iter().sum::<u64>());
                if m.goroutines > 0 {
                    goroutines.add(m.at, m.goroutines);
                }
            }
            queue.hold(extent.1);
            goroutines.hold(extent.1);
            if self.moments.iter().any(|m| m.goroutines > 0) {
                lanes.push(Lane::new(LaneKind::Goroutines, goroutines.cells(), String::new()));
            }
            lanes.push(Lane::new(LaneKind::RunQueue, queue.cells(), String::new()));
        }
        TimelineView {
            source: TimelineSource::Text,
            from_ns: grid.from_ns,
            column_ns: grid.column_ns,
            extent,
            lanes,
            growing: self.growing,
            lost: self.broken,
            problem: (self.cut > 0).then(|| "the log is longer than what is kept: its begin was left out".into()),
            ..TimelineView::default()
        }
    }

    fn spans(&mut self, lane: LaneKind, from_ns: i64, to_ns: i64, count: usize) -> Vec<Span> {
        let span = |(lane, from, to, c): (LaneKind, i64, i64, &Cycle)| Span {
            lane,
            from_ns: from,
            to_ns: Some(to),
            activity: if lane == LaneKind::Collector { Activity::Marking } else { Activity::Stopped },
            goroutine: None,
            proc: None,
            thread: None,
            what: {
                let of = if from == c.at { "sweep termination" } else { "mark termination" };
                let forced = if c.forced { ", forced" } else { "" };
                match lane {
                    LaneKind::Collector => format!(
                        "cycle {}{forced}, heap {} to {} MB, {} MB marked",
                        c.number,
                        c.heap[0] >> 20,
                        c.heap[1] >> 20,
                        c.heap[2] >> 20
                    ),
                    _ => format!("{of} of cycle {}{forced}", c.number),
                }
            },
            stack: Vec::new(),
            by: None,
        };
        let near = |p: &(LaneKind, i64, i64, &Cycle)| p.0 == lane && p.2 >= from_ns && p.1 < to_ns;
        self.phases().filter(near).take(count).map(span).collect()
    }

    fn summary(&self) -> TimelineSummary {
        let stops = || self.phases().filter(|p| p.0 == LaneKind::StopTheWorld).map(|p| (p.2 - p.1).cast_unsigned());
        TimelineSummary {
            events: (self.cycles.len() + self.moments.len()) as u64,
            by_kind: BTreeMap::from([
                ("gc".into(), self.cycles.len() as u64),
                ("sched".into(), self.moments.len() as u64),
            ]),
            goroutines: self.moments.iter().map(|m| m.goroutines).max().unwrap_or(0),
            procs: self
                .moments
                .iter()
                .map(|m| m.procs)
                .chain(self.cycles.iter().map(|c| c.procs))
                .max()
                .unwrap_or(0)
                .into(),
            threads: self.moments.iter().map(|m| m.threads).max().unwrap_or(0).into(),
            gc_cycles: self.cycles.len() as u64,
            stw_ns: stops().sum(),
            stw_max_ns: stops().max().unwrap_or(0),
        }
    }

    fn extent(&self) -> (i64, i64) {
        let ends = self.cycles.iter().map(|c| c.at.saturating_add(c.phases.iter().sum::<u64>().cast_signed()));
        let last = ends.chain(self.moments.iter().map(|m| m.at)).max().unwrap_or(0);
        (self.origin, last.max(self.origin))
    }

    fn find(&mut self, q: &MarkQuery) -> Found {
        let wanted = Wanted::of(&q.text);
        let mut found: Option<Mark> = None;
        for (lane, from, _, c) in self.phases() {
            let what = match lane {
                LaneKind::Collector => format!("GC cycle {}", c.number),
                _ => format!("stop-the-world of GC cycle {}", c.number),
            };
            let hit = if q.text.trim().is_empty() { lane == q.lane } else { wanted.in_name(&what) };
            if hit && nearer(q, from, found.as_ref().map(|m| m.at_ns)) {
                found = Some(Mark { lane, at_ns: from, what, goroutine: None });
            }
        }
        Found { mark: found, go_on_ns: None }
    }

    fn overview(&self, grid: Grid, bands: bool) -> Overview {
        let mut all = Shares::new(grid, bands);
        for p in 0..self.moments.iter().map(|m| m.status.len()).max().unwrap_or(0) {
            all.begin();
            for pair in self.moments.windows(2) {
                let Some((status, _)) = pair[0].status.get(p) else { continue };
                let ns = (pair[1].at - pair[0].at).max(0).cast_unsigned();
                all.add(pair[0].at, pair[1].at, (if matches!(status, 1 | 2) { ns } else { 0 }, ns));
            }
        }
        all.overview()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Cells;

    /// Lines of real programs, of all releases.
    const REAL: &str = "\
gc 8 @0.019s 19%: 0.077+2.2+0.003 ms clock, 0.15+0/0.082/0.066+0.006 ms cpu, 3->7->4 MB, 4 MB goal, 0 MB stacks, 0 MB globals, 2 P
gc 32 @0.191s 4%: 0.078+1.2+0.003 ms clock, 0.15+0/0.20/0+0.006 ms cpu, 0->0->0 MB, 4 MB goal, 0 MB stacks, 0 MB globals, 2 P (forced)
gc 3 @65.130s 0% (checking for goroutine leaks): 2.8+0.41+0.003 ms clock, 5.7+0/0.69/0+0.007 ms cpu, 0->0->0 MB, 4 MB goal, 0 MB stacks, 0 MB globals, 2 P (forced)
SCHED 155ms: gomaxprocs=2 idleprocs=0 threads=6 spinningthreads=0 needspinning=1 idlethreads=0 runqueue=8 [6 4]
SCHED 158ms: gomaxprocs=2 idleprocs=0 threads=6 spinningthreads=0 needspinning=1 idlethreads=0 runqueue=14 [ 2 2 ] schedticks=[ 46 65 ]
SCHED 200ms: gomaxprocs=2 idleprocs=1 threads=7 spinningthreads=0 needspinning=1 idlethreads=1 runqueue=3 gcwaiting=false nmidlelocked=0 stopwait=0 sysmonwait=false
  P0: status=1 schedtick=17 syscalltick=1 m=4 runqsize=7 gfreecnt=0 timerslen=2
  P1: status=0 schedtick=17 syscalltick=1 m=nil runqsize=0 gfreecnt=0 timerslen=2
  M4: p=0 curg=19 mallocing=0 throwing=0 preemptoff= locks=0 dying=0 spinning=true blocked=false lockedg=nil
  G19: status=2() m=4 lockedm=nil
  G20: status=4(cleanup wait) m=nil lockedm=nil
  G21: status=6() m=nil lockedm=nil
";

    #[test]
    fn lines_of_all_releases() {
        let lines: Vec<&str> = REAL.lines().collect();
        let c = cycle(lines[0]).expect("a cycle");
        assert_eq!((c.number, c.at, c.phases), (8, 19_000_000, [77_000, 2_200_000, 3_000]));
        assert_eq!((c.heap.map(|h| h >> 20), c.goal >> 20, c.procs, c.forced), ([3, 7, 4], 4, 2, false));
        assert!(lines[1..3].iter().all(|l| cycle(l).is_some_and(|c| c.forced)));
        let m = moment(lines[3]).expect("a moment");
        assert_eq!((m.at, m.procs, m.threads, m.queued, m.local), (155_000_000, 2, 6, 8, vec![6, 4]));
        assert_eq!(moment(lines[4]).map(|m| (m.queued, m.local)), Some((14, vec![2, 2])));
    }

    #[test]
    fn a_log_becomes_lanes() {
        // Collectors of logs put their own words before a line, and other lines come in between.
        let text = REAL.replace("gc 8", "2026-11-24T12:00:00Z app[7]: gc 8") + "gc 9 @1.0s 3%: 0.1+1.";
        let mut log = TextLog::parse(text.as_bytes());
        assert!(TextLog::is_one(text.as_bytes()) && !TextLog::is_one(b"the gc 8 is done\nSCHED late"));
        let sum = log.summary();
        assert_eq!((sum.gc_cycles, sum.procs, sum.threads, sum.goroutines, sum.stw_max_ns), (3, 2, 7, 2, 2_800_000));
        let view = log.view(&TimelineQuery { columns: 100, ..TimelineQuery::default() });
        assert_eq!((view.lost, view.source), (1, TimelineSource::Text));
        let kinds: Vec<LaneKind> = view.lanes.iter().map(|l| l.kind).collect();
        assert_eq!(kinds[..3], [LaneKind::Proc(0), LaneKind::Proc(1), LaneKind::Collector]);
        let spans = log.spans(LaneKind::StopTheWorld, 0, 100_000_000, 10);
        assert_eq!(
            spans.iter().map(|s| s.what.as_str()).collect::<Vec<_>>(),
            ["sweep termination of cycle 8", "mark termination of cycle 8"]
        );
        let Some(Cells::Levels(queue)) = view.lanes.last().map(|l| &l.cells) else { panic!("levels") };
        assert_eq!(queue.iter().flatten().map(|l| l.max).max(), Some(18));
    }

    #[test]
    fn any_text_is_survived() {
        for line in REAL.lines() {
            for cut in 0..line.len() {
                let mut log = TextLog::default();
                log.line(&line.as_bytes()[..cut]);
                log.line(&line.as_bytes()[cut..]);
                log.view(&TimelineQuery { columns: 7, ..TimelineQuery::default() });
            }
        }
        let mut log = TextLog::parse(b"gc 99999999999999999999 @9e9s 1%: 1+1+1 ms clock, 1 ms cpu, 1->1->99999999999999999999999 MB, 1 MB goal, 9 P\xff\xfe\nSCHED 99999999999999999999ms: gomaxprocs=2 idleprocs=1 threads=1 runqueue=18446744073709551615 [18446744073709551615 18446744073709551615]");
        log.view(&TimelineQuery { columns: 7, ..TimelineQuery::default() });
    }
}
