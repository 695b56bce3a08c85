//! From spans and amounts in any order to columns of a screen.

use crate::base::GoroutineId;
use crate::model::{Activity, Cell, Cells, Level, TimelineQuery};

/// Most columns that are made, whatever is asked for.
const MAX_COLUMNS: u16 = 4096;
/// Longest column, ns: almost a day. Whatever a file claims, times then fit.
const MAX_COLUMN_NS: u64 = 1 << 46;
/// First and last time that is believed, ns: nine years around zero, so that sums fit.
const FIRST: i64 = -(1 << 58);
const LAST: i64 = 1 << 58;

/// Which times the columns of a view are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Begin of the first column, ns; a multiple of `column_ns`.
    pub from_ns: i64,
    /// Length of a column, ns; at least 1.
    pub column_ns: u64,
    /// How many.
    pub columns: usize,
}

impl Grid {
    /// The grid of a query on a timeline that reaches over `extent`.
    pub fn of(q: &TimelineQuery, extent: (i64, i64)) -> Grid {
        let columns = q.columns.clamp(1, MAX_COLUMNS);
        let whole = extent.1.saturating_sub(extent.0).max(1).cast_unsigned();
        let span = if q.span_ns == 0 { whole } else { q.span_ns };
        let column_ns = span.div_ceil(u64::from(columns)).clamp(1, MAX_COLUMN_NS);
        let step = column_ns.cast_signed();
        let (first, last) = (extent.0.clamp(FIRST, LAST), extent.1.clamp(FIRST, LAST));
        // The newest is written in the last quarter; when that is full, everything moves on by a quarter.
        let page = step * i64::from((columns / 4).max(1));
        let newest = (last - last.rem_euclid(page) - 3 * page).max(first);
        let from = q.from_ns.unwrap_or(if q.span_ns == 0 { first } else { newest });
        let from = from.clamp(FIRST, LAST);
        Grid { from_ns: from.saturating_sub(from.rem_euclid(step)), column_ns, columns: usize::from(columns) }
    }

    /// A grid over a whole timeline whose columns are a power of two long: they stand still until there are twice as many.
    pub fn whole(extent: (i64, i64), columns: u16) -> Grid {
        let columns = columns.clamp(1, MAX_COLUMNS);
        let from_ns = extent.0.clamp(FIRST, LAST);
        let whole = extent.1.clamp(FIRST, LAST).saturating_sub(from_ns).max(1).cast_unsigned();
        let column_ns = whole.div_ceil(u64::from(columns)).clamp(1, MAX_COLUMN_NS).next_power_of_two();
        Grid { from_ns, column_ns, columns: usize::from(columns) }
    }

    /// Where the last column ends, ns.
    pub fn to_ns(&self) -> i64 {
        self.from_ns + (self.column_ns * self.columns as u64).cast_signed()
    }

    /// The column that a time is in.
    pub fn column(&self, at_ns: i64) -> Option<usize> {
        let d = u64::try_from(at_ns.checked_sub(self.from_ns)?).ok()?;
        usize::try_from(d / self.column_ns).ok().filter(|c| *c < self.columns)
    }

    /// The columns that `[from, to)` touches, with the time that it has in each, ns.
    pub fn parts(&self, from_ns: i64, to_ns: i64) -> impl Iterator<Item = (usize, u64)> + use<> {
        let grid = *self;
        let (from, to) = (from_ns.max(grid.from_ns), to_ns.min(grid.to_ns()));
        let first = grid.column(from).filter(|_| from < to);
        first.into_iter().flat_map(move |first| first..grid.columns).map_while(move |c| {
            let begin = grid.from_ns + (c as u64 * grid.column_ns).cast_signed();
            let end = begin.saturating_add(grid.column_ns.cast_signed());
            (begin < to).then(|| (c, (end.min(to) - begin.max(from)).cast_unsigned()))
        })
    }
}

/// Kinds of activity.
const ACTIVITIES: [Activity; 10] = Activity::ALL;

#[derive(Clone, Copy, Default)]
struct Column {
    ns: [u64; ACTIVITIES.len()],
    /// The goroutine that has most of the time, by weighted majority vote, and how far it is ahead.
    goroutine: (u64, u64),
    changes: u32,
}

/// Columns of a lane of states, while they are made.
#[derive(Clone)]
pub struct States {
    grid: Grid,
    columns: Vec<Column>,
    /// The function that most samples of a column were in, by majority vote, and how far it is ahead. Empty without samples.
    functions: Vec<(u16, u32)>,
}

impl States {
    /// Empty columns.
    pub fn new(grid: Grid) -> States {
        States { grid, columns: vec![Column::default(); grid.columns], functions: Vec::new() }
    }

    /// One span, `[from, to)`. What lies outside is cut off. Zero length counts as a change only.
    pub fn add(&mut self, from_ns: i64, to_ns: i64, activity: Activity, goroutine: Option<GoroutineId>) {
        if let Some(c) = self.grid.column(from_ns) {
            self.columns[c].changes = self.columns[c].changes.saturating_add(1);
        }
        for (c, ns) in self.grid.parts(from_ns, to_ns) {
            let column = &mut self.columns[c];
            column.ns[activity as usize] += ns;
            if activity > Activity::Idle {
                let g = goroutine.map_or(0, |g| g.0);
                let (leader, ahead) = column.goroutine;
                column.goroutine = match () {
                    () if leader == g => (g, ahead + ns),
                    () if ahead >= ns => (leader, ahead - ns),
                    () => (g, ns - ahead),
                };
            }
        }
    }

    /// What is known of `[from, to)` in sum only: time by activity, the goroutine with most of it and how far it is ahead, changes.
    /// It is taken to be spread evenly.
    pub fn add_sums(&mut self, (from_ns, to_ns): (i64, i64), sums: &[u64; 10], leader: (u64, u64), changes: u32) {
        let whole = to_ns.saturating_sub(from_ns).max(1).cast_unsigned();
        for (i, (c, ns)) in self.grid.parts(from_ns, to_ns).enumerate() {
            let column = &mut self.columns[c];
            let part = |n: u64| (u128::from(n) * u128::from(ns) / u128::from(whole)) as u64;
            for (to, n) in column.ns.iter_mut().zip(sums) {
                *to += part(*n);
            }
            if i == 0 {
                column.changes = column.changes.saturating_add(changes);
            }
            let (g, ahead) = (leader.0, part(leader.1));
            column.goroutine = match column.goroutine {
                (l, a) if l == g => (g, a + ahead),
                (l, a) if a >= ahead => (l, a - ahead),
                (_, a) => (g, ahead - a),
            };
        }
    }

    /// A sample of a function, by its place in the view's list.
    pub fn function(&mut self, at_ns: i64, function: u16) {
        let Some(c) = self.grid.column(at_ns) else { return };
        self.functions.resize(self.grid.columns, (0, 0));
        let (leader, ahead) = &mut self.functions[c];
        match () {
            () if *ahead == 0 => (*leader, *ahead) = (function, 1),
            () if *leader == function => *ahead += 1,
            () => *ahead -= 1,
        }
    }

    /// The lane.
    pub fn cells(&self) -> Cells {
        let cell = |(i, c): (usize, &Column)| {
            let busy: u64 = c.ns[2..].iter().sum();
            let busiest = (2..ACTIVITIES.len()).max_by_key(|i| (c.ns[*i], usize::MAX - i)).filter(|i| c.ns[*i] > 0);
            Cell {
                activity: busiest
                    .map_or(if c.ns[1] > 0 { Activity::Idle } else { Activity::Unknown }, |i| ACTIVITIES[i]),
                // What is not nothing is at least seen.
                busy: match busy {
                    0 => 0,
                    _ => (busy as u128 * 255 / u128::from(self.grid.column_ns)).clamp(1, 255) as u8,
                },
                goroutine: Some(GoroutineId(c.goroutine.0)).filter(|g| g.0 != 0 && busy > 0),
                changes: c.changes,
                function: self.functions.get(i).filter(|f| f.1 > 0).map(|f| f.0),
            }
        };
        Cells::States(self.columns.iter().enumerate().map(cell).collect())
    }
}

/// Columns of a lane of amounts, while they are made. Amounts have to come in order of time.
#[derive(Clone)]
pub struct Levels {
    grid: Grid,
    columns: Vec<Option<Level>>,
    /// The amount at the last time, which holds until the next.
    last: Option<(i64, u64)>,
}

impl Levels {
    /// Empty columns.
    pub fn new(grid: Grid) -> Levels {
        Levels { grid, columns: vec![None; grid.columns], last: None }
    }

    /// From `at` on it is `amount`.
    pub fn add(&mut self, at_ns: i64, amount: u64) {
        self.hold(at_ns);
        self.last = Some((at_ns, amount));
        if let Some(c) = self.grid.column(at_ns) {
            self.note(c, amount);
        }
    }

    /// The last amount holds until `at`.
    pub fn hold(&mut self, at_ns: i64) {
        if let Some((since, amount)) = self.last {
            for (c, _) in self.grid.parts(since, at_ns) {
                self.note(c, amount);
            }
        }
    }

    /// What is known of `[from, to)`: least, most, and the amount at its end.
    pub fn add_range(&mut self, (from_ns, to_ns): (i64, i64), l: Level) {
        for (c, _) in self.grid.parts(from_ns, to_ns) {
            self.note(c, l.min);
            self.note(c, l.max);
            self.note(c, l.last);
        }
        self.last = None;
    }

    /// Nothing is known from here until the next amount.
    pub fn gap(&mut self) {
        self.last = None;
    }

    fn note(&mut self, c: usize, amount: u64) {
        let l = self.columns[c].get_or_insert(Level { min: amount, max: amount, last: amount });
        *l = Level { min: l.min.min(amount), max: l.max.max(amount), last: amount };
    }

    /// The lane.
    pub fn cells(self) -> Cells {
        Cells::Levels(self.columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRID: Grid = Grid { from_ns: 1_000, column_ns: 100, columns: 4 };

    #[test]
    fn a_grid_keeps_its_columns_while_time_goes_on() {
        let q = TimelineQuery { span_ns: 400, columns: 4, ..TimelineQuery::default() };
        for now in [1_300, 1_350, 1_399] {
            assert_eq!(Grid::of(&q, (0, now)), GRID);
        }
        assert_eq!(Grid::of(&q, (0, 1_400)).from_ns, 1_100);
        // Before the columns are full they begin at the begin.
        assert_eq!(Grid::of(&q, (1_250, 1_400)).from_ns, 1_200);
        // A quarter at a time.
        let q = TimelineQuery { span_ns: 4_000, columns: 40, ..TimelineQuery::default() };
        let froms: Vec<i64> = [9_000, 9_999, 10_000].iter().map(|n| Grid::of(&q, (0, *n)).from_ns).collect();
        assert_eq!(froms, [6_000, 6_000, 7_000]);
        let all = Grid::of(&TimelineQuery { columns: 3, ..TimelineQuery::default() }, (10, 40));
        assert_eq!((all.from_ns, all.column_ns), (10, 10));
        // Nonsense is answered too.
        Grid::of(&TimelineQuery { from_ns: Some(i64::MIN), span_ns: u64::MAX, ..TimelineQuery::default() }, (5, 1));
    }

    #[test]
    fn time_goes_to_the_columns_it_is_in() {
        let parts = |a, b| GRID.parts(a, b).collect::<Vec<_>>();
        assert_eq!(parts(1_050, 1_210), [(0, 50), (1, 100), (2, 10)]);
        assert_eq!(parts(0, 1_001), [(0, 1)]);
        assert_eq!(parts(1_399, i64::MAX), [(3, 1)]);
        assert!(parts(1_400, 2_000).is_empty() && parts(0, 1_000).is_empty() && parts(1_200, 1_200).is_empty());
    }

    #[test]
    fn a_cell_is_what_took_most_of_the_busy_time() {
        let mut s = States::new(GRID);
        s.add(900, 1_060, Activity::Idle, None);
        s.add(1_060, 1_090, Activity::Running, Some(GoroutineId(7)));
        s.add(1_090, 1_100, Activity::Marking, Some(GoroutineId(3)));
        s.add(1_100, 1_300, Activity::Idle, None);
        let Cells::States(c) = s.cells() else { panic!("states") };
        assert_eq!(
            (c[0].activity, c[0].goroutine, c[0].busy, c[0].changes),
            (Activity::Running, Some(GoroutineId(7)), 102, 2)
        );
        assert_eq!(
            (c[1].activity, c[1].busy, c[2].activity, c[3].activity),
            (Activity::Idle, 0, Activity::Idle, Activity::Unknown)
        );
    }

    #[test]
    fn an_amount_holds_until_the_next() {
        let mut l = Levels::new(GRID);
        l.add(500, 5);
        l.add(1_150, 9);
        l.add(1_160, 2);
        l.hold(1_250);
        let Cells::Levels(c) = l.cells() else { panic!("levels") };
        let at = |min, max, last| Some(Level { min, max, last });
        assert_eq!(c, [at(5, 5, 5), at(2, 9, 2), at(2, 2, 2), None]);
    }
}
