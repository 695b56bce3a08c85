//! What the collector takes: stops of the world, and the least share of the processors that the program had.

use super::names::Names;
use crate::base::GoroutineId;
use crate::model::{Utilisation, WorldStop};

/// Stops kept one by one.
const STOPS: usize = 50_000;
/// Changes of the program's share that are kept: 32 MB.
const CHANGES: usize = 2 << 20;
/// Ps that are told apart.
const MAX_PROCS: usize = 4096;

struct Stop {
    from: i64,
    to: i64,
    kind: u32,
    g: i64,
    stack: u32,
}

/// Stops, and the program's share over time.
#[derive(Default)]
pub(super) struct Collector {
    stops: Vec<Stop>,
    pub stop_count: u64,
    pub stopped_ns: u64,
    pub longest_ns: u64,
    pub cycles: u64,
    open: Option<Stop>,
    /// How many things of the collector's go on on each P.
    procs: Vec<i32>,
    busy: usize,
    stopped: bool,
    series: Vec<(i64, f64)>,
    /// Number of Ps, and since when.
    counts: Vec<(i64, usize)>,
    /// More changes than are kept.
    pub cut: bool,
}

impl Collector {
    /// The number of Ps.
    pub(super) fn procs(&mut self, n: u64, at: i64) {
        let n = usize::try_from(n).unwrap_or(MAX_PROCS).min(MAX_PROCS);
        if self.procs.is_empty() && n > 0 {
            self.series.push((at, 1.0));
        }
        self.procs.resize(n, 0);
        self.busy = self.procs.iter().filter(|p| **p > 0).count();
        if self.counts.last().is_none_or(|c| c.1 != n) {
            self.counts.push((at, n));
        }
        self.note(at);
    }

    /// Collector work begins (1) or ends (-1) on a P.
    pub(super) fn work(&mut self, p: i64, change: i32, at: i64) {
        let Some(n) = usize::try_from(p).ok().and_then(|p| self.procs.get_mut(p)) else { return };
        let was = *n > 0;
        *n += change;
        match (was, *n > 0) {
            (false, true) => self.busy += 1,
            (true, false) => self.busy -= 1,
            _ => return,
        }
        self.note(at);
    }

    /// One that goes on since the trace began is heard of now: its P was busy all the time before.
    pub(super) fn before(&mut self) {
        let mut c = 0;
        for s in &mut self.series {
            while self.counts.get(c + 1).is_some_and(|n| n.0 < s.0) {
                c += 1;
            }
            let n = self.counts.get(c).map_or(1, |n| n.1.max(1));
            s.1 = (s.1 - 1.0 / n as f64).max(0.0);
        }
    }

    /// The world stops. Only what the collector stops it for counts against the program's share.
    pub(super) fn stop_begin(&mut self, at: i64, (kind, gc): (u32, bool), g: i64, stack: u32) {
        self.stopped = gc && !self.procs.is_empty();
        self.open = Some(Stop { from: at, to: at, kind, g, stack });
        self.note(at);
    }

    pub(super) fn stop_end(&mut self, at: i64) {
        self.stopped = false;
        if let Some(s) = self.open.take() {
            let ns = (at - s.from).max(0).cast_unsigned();
            self.stop_count += 1;
            self.stopped_ns = self.stopped_ns.saturating_add(ns);
            self.longest_ns = self.longest_ns.max(ns);
            if self.stops.len() < STOPS {
                self.stops.push(Stop { to: at, ..s });
            }
        }
        self.note(at);
    }

    /// The program's share is what it is from here on.
    fn note(&mut self, at: i64) {
        if self.procs.is_empty() {
            return;
        }
        let gc = if self.stopped { self.procs.len() } else { self.busy };
        let share = 1.0 - gc as f64 / self.procs.len() as f64;
        match self.series.last() {
            Some(l) if l.1 == share => {}
            _ if self.series.len() >= CHANGES => self.cut = true,
            _ => self.series.push((at, share)),
        }
    }

    pub(super) fn lose(&mut self, at: i64) {
        (self.stopped, self.busy, self.open) = (false, 0, None);
        self.procs.iter_mut().for_each(|p| *p = 0);
        self.note(at);
    }

    pub(super) fn stops(&self, names: &Names, count: usize) -> (Vec<WorldStop>, u64) {
        let row = |s: &Stop| WorldStop {
            from_ns: s.from,
            length_ns: (s.to - s.from).max(0).cast_unsigned(),
            kind: names.text(s.kind).to_string(),
            goroutine: (s.g > 0).then(|| GoroutineId(s.g.cast_unsigned())),
            stack: names.stack(s.stack),
        };
        (self.stops.iter().take(count).map(row).collect(), self.stop_count)
    }

    /// The worst window of each length, from 10 µs to 10 s in steps of 1, 2, 5.
    pub(super) fn utilisation(&self, last: i64) -> Vec<Utilisation> {
        let mut series = self.series.clone();
        // A trace ends with the stop of the world that ends it: as in Go, that is not the program's.
        if series.last().is_some_and(|s| s.0 < last && s.1 > 0.0) {
            series.push((last, 0.0));
        }
        let decades = (4..10).flat_map(|d| [1, 2, 5].map(|n| n * 10u64.pow(d))).chain([10_000_000_000]);
        decades.map(|window_ns| Utilisation { window_ns, least: least(&series, window_ns) }).collect()
    }
}

/// The least mean of a step function in windows of a length: a worst one begins or ends at a step.
fn least(series: &[(i64, f64)], window: u64) -> f64 {
    let (Some(first), Some(end)) = (series.first(), series.last()) else { return 1.0 };
    let whole = end.0 - first.0;
    let window = i64::try_from(window).unwrap_or(i64::MAX).min(whole);
    if window <= 0 {
        return 1.0;
    }
    let mut sums = Vec::with_capacity(series.len());
    let mut sum = 0.0;
    for (i, s) in series.iter().enumerate() {
        if let Some(before) = i.checked_sub(1).map(|b| series[b]) {
            sum += before.1 * (s.0 - before.0) as f64;
        }
        sums.push(sum);
    }
    let mut least = f64::INFINITY;
    // The integral up to a time, for times that rise.
    let integral = |at: i64, i: &mut usize| {
        while series.get(*i + 1).is_some_and(|s| s.0 <= at) {
            *i += 1;
        }
        sums[*i] + series[*i].1 * (at - series[*i].0) as f64
    };
    let (mut a, mut b, mut c, mut d) = (0, 0, 0, 0);
    for s in series {
        if s.0 + window <= end.0 {
            least = f64::min(least, integral(s.0 + window, &mut b) - integral(s.0, &mut a));
        }
        if s.0 - window >= first.0 {
            least = f64::min(least, integral(s.0, &mut d) - integral(s.0 - window, &mut c));
        }
    }
    least / window as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_window() {
        let s = [(0, 1.0), (100, 0.0), (200, 1.0), (1000, 0.5), (1100, 0.0)];
        assert_eq!(least(&s, 50), 0.0);
        assert_eq!(least(&s, 100), 0.0);
        assert_eq!(least(&s, 200), 0.5);
        let all = least(&s, 5_000);
        assert!((all - 950.0 / 1100.0).abs() < 1e-9, "{all}");
        assert_eq!(least(&[], 10), 1.0);
    }
}
