//! Two profiles compared: which functions and stacks have more or less than before, and whether that is worth a word.

use super::report::{Row, rows};
use super::units::{change, human};
use super::view::View;
use crate::base::text::printable_str;
use crate::model::{DIFF_THRESHOLDS, Pair};
use std::cmp::Reverse;

/// From where on a change counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Samples (or events: objects, contentions) that a function must have, before or after. With fewer, chance moves much.
    pub min_samples: u64,
    /// Part of the smaller value by which both must differ: 0.5 is 50 % more than before, or before 50 % more than now.
    pub min_change: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        DIFF_THRESHOLDS.into()
    }
}

impl From<(u64, u32)> for Thresholds {
    fn from((min_samples, percent): (u64, u32)) -> Self {
        Thresholds { min_samples, min_change: f64::from(percent) / 100.0 }
    }
}

/// What a comparison comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A function has more than before.
    Regression,
    /// None has more, one has less.
    Improvement,
    /// Nothing beyond the thresholds.
    Same,
    /// There are fewer samples in all than one function would need.
    TooFew,
}

impl Verdict {
    /// Its name in JSON and in the verdict line.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Regression => "regression",
            Verdict::Improvement => "improvement",
            Verdict::Same => "same",
            Verdict::TooFew => "too few samples",
        }
    }
}

/// A comparison.
#[derive(Clone, Debug)]
pub struct Difference {
    /// What it comes to.
    pub verdict: Verdict,
    /// All functions, those first whose blame changed most.
    pub rows: Vec<Row>,
    /// How many of these have more, beyond the thresholds.
    pub worse: Vec<Row>,
    /// And how many less.
    pub better: Vec<Row>,
    /// Samples in all.
    pub samples: Pair,
}

/// Compares by function: each value belongs to the innermost function of the program itself on its stack (see [`Row::blame`]),
/// so that a slow function is named, not the library function that it calls.
pub fn compare(v: &View, t: Thresholds) -> Difference {
    let mut all = rows(v);
    all.retain(|r| !r.cum.is_zero() || !r.flat.is_zero());
    let name = |r: &Row| v.keys[r.key as usize].name.clone();
    all.sort_by_cached_key(|r| {
        let by = |p: Pair| Reverse(p.change().unsigned_abs());
        (by(r.blame), by(r.flat), by(r.cum), name(r))
    });
    let counted = |r: &&Row| r.count.weight() >= t.min_samples;
    // By how much one has more than the other: what doubles is worse by 100 %, what halves is better by as much.
    let more = |a: i64, b: i64| a > b && (a as f64 - b as f64) >= t.min_change * b.abs() as f64;
    let worse: Vec<Row> = all.iter().filter(counted).filter(|r| more(r.blame.new, r.blame.base)).copied().collect();
    let better: Vec<Row> = all.iter().filter(counted).filter(|r| more(r.blame.base, r.blame.new)).copied().collect();
    let samples = v.counts.iter().fold(Pair::default(), |mut a, b| {
        a += *b;
        a
    });
    let verdict = match () {
        _ if !worse.is_empty() => Verdict::Regression,
        _ if !better.is_empty() => Verdict::Improvement,
        _ if samples.weight() < t.min_samples => Verdict::TooFew,
        _ => Verdict::Same,
    };
    Difference { verdict, rows: all, worse, better, samples }
}

/// The verdict as a line for people and scripts.
pub fn sentence(v: &View, d: &Difference, t: Thresholds) -> String {
    let unit = &v.kind.unit;
    let named = |list: &[Row]| {
        let Some(r) = list.first() else { return String::new() };
        let name = printable_str(&v.keys[r.key as usize].name, 300);
        let more = match list.len() - 1 {
            0 => String::new(),
            n => format!(", and {n} more"),
        };
        format!(
            "{name} {} ({} to {}, {} samples{more})",
            change(r.blame.base, r.blame.new),
            human(r.blame.base, unit),
            human(r.blame.new, unit),
            human(r.count.weight().min(i64::MAX as u64) as i64, "count"),
        )
    };
    let percent = t.min_change * 100.0;
    match d.verdict {
        Verdict::Regression => format!("regression {}", named(&d.worse)),
        Verdict::Improvement => format!("improvement {}", named(&d.better)),
        Verdict::Same => {
            format!("no function with at least {} samples changed by {percent:.0}% or more", t.min_samples)
        }
        Verdict::TooFew => {
            format!("too few samples to tell: {} and {}, {} are needed", d.samples.base, d.samples.new, t.min_samples)
        }
    }
}

/// The nodes whose own values changed most, at most `count`.
pub fn stacks(v: &View, count: usize) -> Vec<u32> {
    let mut all: Vec<u32> = (0..v.tree.len() as u32).filter(|n| v.own[*n as usize].change() != 0).collect();
    let size = |n: &u32| (Reverse(v.own[*n as usize].change().unsigned_abs()), *n);
    if all.len() > count && count > 0 {
        all.select_nth_unstable_by_key(count - 1, size);
    }
    all.truncate(count);
    all.sort_by_key(size);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::calls::Builder;
    use crate::profile::folded;
    use crate::profile::view::Selection;

    fn compared(new: &str, base: &str, t: Thresholds) -> (String, Verdict) {
        let mut b = Builder::new();
        folded::read(new.as_bytes(), &mut b).expect("read");
        b.begin_base();
        folded::read(base.as_bytes(), &mut b).expect("read");
        let v = View::new(&b.finish(), &Selection::default());
        let d = compare(&v, t);
        (sentence(&v, &d, t), d.verdict)
    }

    #[test]
    fn thresholds_hold() {
        let t = Thresholds::default();
        let (text, verdict) = compared("main.a 300\nmain.b 100\n", "main.a 150\nmain.b 100\n", t);
        assert_eq!(
            (text.as_str(), verdict),
            ("regression main.a +100% (150 to 300, 300 samples)", Verdict::Regression)
        );
        // Fewer samples than asked for, and a change that is not large enough.
        assert_eq!(compared("main.a 199\nmain.b 300\n", "main.a 1\nmain.b 300\n", t).1, Verdict::Same);
        assert_eq!(compared("main.a 299\n", "main.a 200\n", t).1, Verdict::Same);
        assert_eq!(compared("main.a 300\n", "main.a 200\n", t).1, Verdict::Regression);
        assert_eq!(compared("main.a 140\n", "main.a 210\n", t).1, Verdict::Improvement);
        assert_eq!(compared("main.a 10\n", "main.a 20\n", t).1, Verdict::TooFew);
        let loose = Thresholds { min_samples: 5, min_change: 0.1 };
        assert_eq!(compared("main.a 12\n", "main.a 10\n", loose).1, Verdict::Regression);
    }
    #[test]
    fn who_calls_the_library_is_named() {
        let (text, _) =
            compared("main.slow;runtime.mallocgc 500\n", "main.slow;runtime.mallocgc 100\n", Thresholds::default());
        assert!(text.starts_with("regression main.slow +400%"), "{text}");
    }
}
