//! A part of a trace at full resolution: the generations in it are read again.

use super::analysis::names::Names;
use super::columns::{Grid, Levels, States};
use super::exec::event::NONE;
use super::exec::{Chunk, Fault, Reader, Tables};
use super::track::{Sink, Stretch, Tracker};
use crate::base::GoroutineId;
use crate::model::{Lane, LaneKind, Span};
use std::collections::BTreeMap;

/// Lanes of columns for a grid.
pub(super) struct Columns {
    grid: Grid,
    states: BTreeMap<LaneKind, States>,
    levels: BTreeMap<LaneKind, Levels>,
}

impl Columns {
    pub(super) fn new(grid: Grid) -> Columns {
        Columns { grid, states: BTreeMap::new(), levels: BTreeMap::new() }
    }

    /// Lanes, in the order of their kinds.
    pub(super) fn lanes(mut self, until: i64) -> Vec<Lane> {
        let lane = |(kind, cells)| Lane::new(kind, cells, String::new());
        let states = self.states.iter().map(|(k, s)| (*k, s.cells()));
        for l in self.levels.values_mut() {
            l.hold(until);
        }
        let mut lanes: Vec<Lane> = states.map(lane).collect();
        lanes.extend(self.levels.into_iter().map(|(k, l)| lane((k, l.cells()))));
        lanes.sort_by_key(|l| l.kind.place());
        lanes
    }
}

impl Sink for Columns {
    fn span(&mut self, s: &Stretch) {
        let lane = self.states.entry(s.lane).or_insert_with(|| States::new(self.grid));
        let g = (s.goroutine > 0).then(|| GoroutineId(s.goroutine.cast_unsigned()));
        lane.add(s.from, s.to, s.activity, g);
    }
    fn level(&mut self, kind: LaneKind, at: i64, amount: u64, _late: bool) {
        self.levels.entry(kind).or_insert_with(|| Levels::new(self.grid)).add(at, amount);
    }
    fn gap(&mut self, at: i64) {
        for l in self.levels.values_mut() {
            l.hold(at);
            l.gap();
        }
    }
}

/// Spans of one lane.
pub(super) struct Spans {
    lane: LaneKind,
    from: i64,
    to: i64,
    count: usize,
    found: Vec<Stretch>,
    names: Names,
}

impl Spans {
    pub(super) fn new(lane: LaneKind, from: i64, to: i64, count: usize) -> Spans {
        Spans { lane, from, to, count, found: Vec::new(), names: Names::default() }
    }
    /// Nothing further is wanted.
    fn full(&self) -> bool {
        self.found.len() >= self.count
    }
    pub(super) fn spans(self) -> Vec<Span> {
        let id = |n: i64| (n > 0).then(|| GoroutineId(n.cast_unsigned()));
        let span = |s: &Stretch| Span {
            lane: s.lane,
            from_ns: s.from,
            to_ns: (!s.open).then_some(s.to),
            activity: s.activity,
            goroutine: id(s.goroutine),
            proc: u32::try_from(s.proc).ok(),
            thread: (s.thread != NONE).then_some(s.thread),
            what: self.names.text(s.what).to_string(),
            stack: self.names.stack(s.stack),
            by: id(s.by),
        };
        self.found.iter().map(span).collect()
    }
}

impl Sink for Spans {
    fn span(&mut self, s: &Stretch) {
        if s.lane != self.lane || s.from >= self.to || s.to <= self.from {
            return;
        }
        // The end of one generation and the begin of the next are one.
        if let Some(l) = self.found.last_mut()
            && l.open
            && l.activity == s.activity
            && l.goroutine == s.goroutine
        {
            (l.to, l.open, l.by) = (s.to, s.open, s.by);
            l.stack = if s.stack != 0 { s.stack } else { l.stack };
            return;
        }
        if !self.full() {
            self.found.push(*s);
        }
    }
    fn level(&mut self, _: LaneKind, _: i64, _: u64, _: bool) {}
    fn gap(&mut self, _: i64) {}
    fn text(&mut self, t: &Tables, id: u64) -> u32 {
        self.names.of_string(t, id)
    }
    fn stack(&mut self, t: &Tables, id: u64) -> u32 {
        if id == 0 { 0 } else { self.names.of_stack(t, id) }
    }
}

/// What has to be done between two generations.
pub(super) trait Again: Sink {
    /// What could be read is worth something even if it is not all.
    const IN_PARTS: bool = false;
    /// Ids mean something else from here on.
    fn next_generation(&mut self) {}
    /// Enough.
    fn enough(&self) -> bool {
        false
    }
}
impl Again for Columns {}
impl Again for Spans {
    const IN_PARTS: bool = true;
    fn next_generation(&mut self) {
        self.names.next_generation();
    }
    fn enough(&self) -> bool {
        self.full()
    }
}

/// Reads a generation (or what the reader has) into a sink, up to a time. The reader sees only one generation: what it meets is as it was
/// at the begin.
pub(super) fn read<S: Again>(
    mut reader: Reader,
    mut tracker: Tracker,
    (until, large): (i64, bool),
    out: &mut S,
) -> Result<(), Fault> {
    let mut c = Chunk::default();
    out.next_generation();
    while reader.next(&mut c)? {
        for e in &c.events {
            // Who did nothing is told of at the end only; a small generation is read to there.
            if e.time > until && large && !tracker.waits() {
                tracker.flush(until.max(tracker.last), out);
                return Ok(());
            }
            tracker.event(e, &c, out);
        }
        if c.broken {
            tracker.lose(out);
        }
        if out.enough() {
            return Ok(());
        }
    }
    tracker.flush(tracker.last, out);
    Ok(())
}
