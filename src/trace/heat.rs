//! How busy the Ps were over a whole run: what a bar over the timeline and a map of utilisation are made of, in bounded memory.

use super::columns::Grid;
use crate::model::{BANDS, Overview};
use std::collections::BTreeMap;

/// Columns kept of each P.
const COLUMNS: usize = 1024;
/// Width of a column at first: 2 to this power, ns (16 ms).
const SHIFT: u32 = 24;
/// Ps that are kept.
const PROCS: usize = 256;

/// Busy and known time, ns.
pub(super) type Share = (u64, u64);

/// What each P did, in columns whose width doubles when there are too many.
#[derive(Default)]
pub(super) struct Heat {
    from: Option<i64>,
    shift: u32,
    procs: BTreeMap<u32, Vec<Share>>,
}

impl Heat {
    /// A P was busy or not in `[from, to)`.
    pub(super) fn add(&mut self, proc: u32, from: i64, to: i64, busy: bool) {
        let begin = *self.from.get_or_insert(from);
        self.shift = self.shift.max(SHIFT);
        let place = |t: i64, shift: u32| (t.saturating_sub(begin).max(0).cast_unsigned() >> shift) as usize;
        while place(to, self.shift) >= COLUMNS && self.shift < 62 {
            self.double();
        }
        if !self.procs.contains_key(&proc) && self.procs.len() >= PROCS {
            return;
        }
        let (first, last) = (place(from, self.shift), place(to, self.shift));
        let columns = self.procs.entry(proc).or_default();
        if columns.len() <= last {
            columns.resize(last + 1, (0, 0));
        }
        for (i, c) in columns.iter_mut().enumerate().take(last + 1).skip(first) {
            let start = begin + ((i as i64) << self.shift);
            let ns = (to.min(start + (1 << self.shift)) - from.max(start)).max(0).cast_unsigned();
            c.0 += if busy { ns } else { 0 };
            c.1 += ns;
        }
    }

    fn double(&mut self) {
        self.shift += 1;
        let sum = |c: &[Share]| c.iter().fold((0, 0), |s, n| (s.0 + n.0, s.1 + n.1));
        for p in self.procs.values_mut() {
            *p = p.chunks(2).map(sum).collect();
        }
    }

    /// On a grid of the whole.
    pub(super) fn overview(&self, grid: Grid, bands: bool) -> Overview {
        let mut all = Shares::new(grid, bands);
        let from = self.from.unwrap_or(0);
        for p in self.procs.values() {
            all.begin();
            for (i, c) in p.iter().enumerate() {
                let at = from.saturating_add((i as i64) << self.shift);
                all.add(at, at.saturating_add(1 << self.shift), *c);
            }
        }
        all.overview()
    }
}

/// Columns of an overview, while they are made, P after P.
pub(super) struct Shares {
    grid: Grid,
    sums: Vec<Share>,
    bands: Vec<[u16; BANDS]>,
    proc: Vec<Share>,
}

impl Shares {
    pub(super) fn new(grid: Grid, bands: bool) -> Shares {
        let n = grid.columns;
        let bands = if bands { vec![[0; BANDS]; n] } else { Vec::new() };
        Shares { grid, sums: vec![(0, 0); n], bands, proc: vec![(0, 0); n] }
    }

    /// Another P.
    pub(super) fn begin(&mut self) {
        for ((sum, p), i) in self.sums.iter_mut().zip(&mut self.proc).zip(0..) {
            if p.1 > 0
                && let Some(b) = self.bands.get_mut(i)
            {
                let band = (u128::from(p.0) * BANDS as u128 / u128::from(p.1)) as usize;
                b[band.min(BANDS - 1)] += 1;
            }
            (sum.0, sum.1) = (sum.0.saturating_add(p.0), sum.1.saturating_add(p.1));
            *p = (0, 0);
        }
    }

    /// What is known of `[from, to)` of it, taken to be spread evenly.
    pub(super) fn add(&mut self, from: i64, to: i64, share: Share) {
        let whole = to.saturating_sub(from).max(1).cast_unsigned();
        let part = |n: u64, ns: u64| (u128::from(n) * u128::from(ns) / u128::from(whole)) as u64;
        for (c, ns) in self.grid.parts(from, to) {
            let p = &mut self.proc[c];
            (p.0, p.1) = (p.0.saturating_add(part(share.0, ns)), p.1.saturating_add(part(share.1, ns)));
        }
    }

    pub(super) fn overview(mut self) -> Overview {
        self.begin();
        let busy = |s: &Share| (s.1 > 0).then(|| (u128::from(s.0) * 255 / u128::from(s.1)).min(255) as u8);
        Overview {
            from_ns: self.grid.from_ns,
            column_ns: self.grid.column_ns,
            busy: self.sums.iter().map(busy).collect(),
            bands: self.bands,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_any_length_is_a_bar() {
        let mut h = Heat::default();
        let step = 10_000_000;
        for i in 0..1_000_000i64 {
            // The first half P0 alone, then both.
            h.add(0, i * step, (i + 1) * step, true);
            h.add(1, i * step, (i + 1) * step, i >= 500_000);
        }
        assert!(h.procs.values().all(|p| p.len() <= COLUMNS));
        let grid = Grid::whole((0, 1_000_000 * step), 80);
        assert!(grid.column_ns.is_power_of_two() && grid.to_ns() >= 1_000_000 * step);
        let o = h.overview(grid, true);
        let at = |share: i64| ((1_000_000 * step * share / 100) as u64 / grid.column_ns) as usize;
        assert!(o.busy[at(20)].is_some_and(|b| (125..=129).contains(&b)), "{o:?}");
        assert_eq!((o.busy[at(80)], o.bands[at(20)], o.bands[at(80)]), (Some(255), [1, 0, 0, 0, 1], [0, 0, 0, 0, 2]));
        assert_eq!(o.busy.last(), Some(&None));
    }
}
