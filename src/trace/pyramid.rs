//! A whole trace in columns of one width, which doubles when it grows too long: what coarse views are made of, in bounded memory.

use super::columns::{Grid, Levels, States};
use super::heat::Shares;
use super::track::{Sink, Stretch};
use crate::model::{Activity, Lane, LaneKind, Level, Overview};
use rustc_hash::FxHashMap;

/// Columns at most.
const COLUMNS: usize = 8192;
/// Columns of all lanes of states together at most: 100 MB. Those that come later have no lane.
const CELLS: usize = 1 << 20;
/// Width of a column at first: 2 to this power, ns.
const SHIFT: u32 = 14;

/// Lanes of amounts.
const LEVELS: [LaneKind; 5] =
    [LaneKind::Heap, LaneKind::HeapGoal, LaneKind::Goroutines, LaneKind::RunQueue, LaneKind::Syscalls];

#[derive(Clone, Copy, Default)]
struct Bin {
    ns: [u64; 10],
    leader: (u64, u64),
    changes: u32,
}

impl Bin {
    fn add(&mut self, activity: Activity, g: u64, ns: u64) {
        let sum = &mut self.ns[activity as usize];
        *sum = sum.saturating_add(ns);
        if activity > Activity::Idle {
            self.lead(g, ns);
        }
    }
    fn lead(&mut self, g: u64, ns: u64) {
        let (leader, ahead) = self.leader;
        self.leader = match () {
            () if leader == g => (g, ahead.saturating_add(ns)),
            () if ahead >= ns => (leader, ahead - ns),
            () => (g, ns - ahead),
        };
    }
    fn merge(a: Bin, b: Bin) -> Bin {
        let mut m = a;
        for (to, n) in m.ns.iter_mut().zip(b.ns) {
            *to = to.saturating_add(n);
        }
        m.lead(b.leader.0, b.leader.1);
        m.changes = a.changes.saturating_add(b.changes);
        m
    }
}

#[derive(Default)]
struct LevelLane {
    bins: Vec<Option<Level>>,
    /// How many turned up late in each column: all columns before have so many more.
    late: Vec<u64>,
    last: Option<u64>,
}

/// All lanes of a trace, coarse.
#[derive(Default)]
pub struct Pyramid {
    from: Option<i64>,
    /// Width of a column: 2 to this power, ns; 0 before the first.
    shift: u32,
    states: Vec<(LaneKind, Vec<Bin>)>,
    /// Where a P's lane is, and the others'.
    procs: Vec<Option<u32>>,
    collector: Option<u32>,
    world: Option<u32>,
    /// Where lanes of goroutines and threads are.
    singles: FxHashMap<LaneKind, u32>,
    /// Those are kept, and nothing else.
    only_singles: bool,
    levels: [LevelLane; LEVELS.len()],
    /// Lanes for which there was no room.
    pub left_out: bool,
    /// What is met late after a gap was not there before it.
    gap: bool,
}

impl Pyramid {
    /// One for lanes of single goroutines and threads alone.
    pub fn of_single_lanes() -> Pyramid {
        Pyramid { only_singles: true, ..Pyramid::default() }
    }

    /// Width of a column, ns.
    pub fn column_ns(&self) -> u64 {
        1 << self.shift.max(SHIFT)
    }

    #[inline]
    fn place(&mut self, at: i64) -> usize {
        if let Some(from) = self.from
            && let Ok(d) = u64::try_from(at.saturating_sub(from))
            && d >> self.shift < COLUMNS as u64
        {
            return (d >> self.shift) as usize;
        }
        self.grow(at)
    }

    #[cold]
    fn grow(&mut self, at: i64) -> usize {
        let from = *self.from.get_or_insert(at);
        self.shift = self.shift.max(SHIFT);
        let d = at.saturating_sub(from).max(0).cast_unsigned();
        while (d >> self.shift) as usize >= COLUMNS && self.shift < 62 {
            self.double();
        }
        (d >> self.shift) as usize
    }

    fn double(&mut self) {
        self.shift += 1;
        let halve = |v: &mut Vec<Bin>| {
            *v = v.chunks(2).map(|c| c.get(1).map_or(c[0], |b| Bin::merge(c[0], *b))).collect();
        };
        self.states.iter_mut().map(|s| &mut s.1).for_each(halve);
        for l in &mut self.levels {
            l.bins = l.bins.chunks(2).map(|c| c.iter().flatten().copied().reduce(join)).collect();
            l.late = l.late.chunks(2).map(|c| c.iter().sum()).collect();
        }
    }

    fn lane(&mut self, kind: LaneKind) -> Option<&mut Vec<Bin>> {
        let room = (self.states.len() + 1) * COLUMNS <= CELLS;
        let states = &mut self.states;
        let place = match kind {
            LaneKind::Proc(p) => {
                let p = p as usize;
                if self.procs.len() <= p {
                    self.procs.resize(p + 1, None);
                }
                &mut self.procs[p]
            }
            LaneKind::Collector => &mut self.collector,
            LaneKind::Goroutine(_) | LaneKind::Thread(_) => &mut self.singles.get(&kind).copied(),
            _ => &mut self.world,
        };
        if place.is_none() {
            if !room {
                self.left_out = true;
                return None;
            }
            let new = states.len() as u32;
            *place = Some(new);
            if matches!(kind, LaneKind::Goroutine(_) | LaneKind::Thread(_)) {
                self.singles.insert(kind, new);
            }
            states.push((kind, Vec::new()));
        }
        place.and_then(|i| states.get_mut(i as usize)).map(|s| &mut s.1)
    }

    /// How busy the Ps were.
    pub fn overview(&self, grid: Grid, bands: bool) -> Overview {
        let mut all = Shares::new(grid, bands);
        let from = self.from.unwrap_or(0);
        for (_, bins) in self.states.iter().filter(|s| matches!(s.0, LaneKind::Proc(_))) {
            all.begin();
            for (i, b) in bins.iter().enumerate() {
                let at = from.saturating_add((i as i64) << self.shift);
                let known: u64 = b.ns[1..].iter().fold(0, |n, b| n.saturating_add(*b));
                let busy = known.saturating_sub(b.ns[Activity::Idle as usize]);
                all.add(at, at.saturating_add(1 << self.shift), (busy, known));
            }
        }
        all.overview()
    }

    /// Lanes on a grid whose columns are not narrower than ours.
    pub fn lanes(&self, grid: Grid) -> Vec<Lane> {
        let mut lanes = Vec::new();
        let from = self.from.unwrap_or(0);
        let span = |i: usize| {
            let at = from.saturating_add((i as i64) << self.shift);
            (at, at.saturating_add(1 << self.shift))
        };
        for (kind, bins) in &self.states {
            let mut s = States::new(grid);
            for (i, b) in bins.iter().enumerate() {
                s.add_sums(span(i), &b.ns, b.leader, b.changes);
            }
            lanes.push(Lane::new(*kind, s.cells(), String::new()));
        }
        for (kind, l) in LEVELS.iter().zip(&self.levels).filter(|l| !l.1.bins.is_empty()) {
            let mut out = Levels::new(grid);
            let mut more: u64 = l.late.iter().sum();
            for (i, b) in l.bins.iter().enumerate() {
                more -= l.late.get(i).copied().unwrap_or(0);
                if let Some(b) = b {
                    let b = Level { min: b.min + more, max: b.max + more, last: b.last + more };
                    out.add_range(span(i), b);
                }
            }
            lanes.push(Lane::new(*kind, out.cells(), String::new()));
        }
        lanes
    }
}

fn join(a: Level, b: Level) -> Level {
    Level { min: a.min.min(b.min), max: a.max.max(b.max), last: b.last }
}

impl Sink for Pyramid {
    fn span(&mut self, s: &Stretch) {
        if matches!(s.lane, LaneKind::Goroutine(_) | LaneKind::Thread(_)) != self.only_singles {
            return;
        }
        self.place(s.from);
        let last = self.place(s.to.max(s.from));
        // The columns may have been halved for the end.
        let first = self.place(s.from);
        let (shift, from) = (self.shift, self.from.unwrap_or(0));
        let Some(bins) = self.lane(s.lane) else { return };
        if bins.len() <= last {
            bins.resize(last + 1, Bin::default());
        }
        if !s.more {
            bins[first].changes = bins[first].changes.saturating_add(1);
        }
        let g = s.goroutine.max(0).cast_unsigned();
        if first == last {
            bins[first].add(s.activity, g, (s.to - s.from).max(0).cast_unsigned());
            return;
        }
        for (i, b) in bins.iter_mut().enumerate().take(last + 1).skip(first) {
            let begin = from + ((i as i64) << shift);
            let ns = s.to.min(begin + (1 << shift)) - s.from.max(begin);
            b.add(s.activity, g, ns.max(0).cast_unsigned());
        }
    }

    fn level(&mut self, kind: LaneKind, at: i64, amount: u64, late: bool) {
        if self.only_singles {
            return;
        }
        let (i, gap) = (self.place(at), self.gap);
        let Some(l) = LEVELS.iter().position(|k| *k == kind).and_then(|n| self.levels.get_mut(n)) else { return };
        let begun = l.bins.len();
        if begun <= i {
            // The last amount held until now.
            let held = l.last.map(|n| Level { min: n, max: n, last: n });
            l.bins.resize(i + 1, held);
            l.late.resize(i + 1, 0);
        }
        l.last = Some(amount);
        l.late[i] += u64::from(late && !gap);
        let b = l.bins[i].get_or_insert(Level { min: amount, max: amount, last: amount });
        *b = Level { min: b.min.min(amount), max: b.max.max(amount), last: amount };
    }

    fn gap(&mut self, _at: i64) {
        self.gap = true;
        for l in &mut self.levels {
            l.last = None;
        }
    }
}
