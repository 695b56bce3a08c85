//! One lane of states as it is seen look by look, kept as stretches.

use crate::model::Activity;
use std::collections::VecDeque;

/// A stretch of one state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) activity: Activity,
    /// The other side: a thread's P, a P's thread, 0 for none; a P is counted from 1.
    pub(super) other: u32,
    pub(super) goroutine: u64,
}

/// One lane of states.
#[derive(Default)]
pub(super) struct Track {
    pub(super) done: VecDeque<Stretch>,
    pub(super) now: Option<Stretch>,
}

impl Track {
    /// The state seen at `at`; it is taken to have begun half way since the look before. Stretches that this ended.
    pub(super) fn see(&mut self, before: i64, at: i64, activity: Activity, goroutine: u64) -> usize {
        self.see_with(before, at, (activity, goroutine, 0), false)
    }

    /// The same with the other side, by which stretches are told apart or not.
    pub(super) fn see_with(
        &mut self,
        before: i64,
        at: i64,
        (activity, goroutine, other): (Activity, u64, u32),
        apart: bool,
    ) -> usize {
        let half = at - (at - before) / 2;
        let same = |s: &Stretch| s.activity == activity && s.goroutine == goroutine && (!apart || s.other == other);
        match &mut self.now {
            Some(s) if same(s) && s.to == before => s.to = at,
            now => {
                let begin = if now.is_some_and(|s| s.to == before) { half } else { at };
                let old = now.replace(Stretch { from: begin, to: at, activity, other, goroutine });
                if let Some(mut s) = old {
                    s.to = if s.to == before { half } else { s.to };
                    self.done.push_back(s);
                    return 1;
                }
            }
        }
        0
    }

    /// From exactly `at` on it is so. Stretches that this ended.
    pub(super) fn change(&mut self, at: i64, activity: Activity) -> usize {
        let old = self.now.replace(Stretch { from: at, to: at, activity, other: 0, goroutine: 0 });
        let Some(s) = old.filter(|s| s.from < at) else { return 0 };
        self.done.push_back(Stretch { to: at, ..s });
        1
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Stretch> {
        self.done.iter().chain(&self.now)
    }

    /// Those that touch `[from, to)`.
    pub(super) fn within(&self, from: i64, to: i64) -> impl Iterator<Item = &Stretch> {
        let first = self.done.partition_point(|s| s.to <= from);
        self.done.range(first..).chain(&self.now).take_while(move |s| s.from < to).filter(move |s| s.to > from)
    }

    /// What it was at a time.
    pub(super) fn at(&self, at: i64) -> Option<&Stretch> {
        let i = self.done.partition_point(|s| s.to <= at);
        self.done.get(i).or(self.now.as_ref()).filter(|s| s.from <= at)
    }

    /// What ended before is forgotten; how many stretches that were.
    pub(super) fn forget(&mut self, cut: i64) -> usize {
        let n = self.done.partition_point(|s| s.to <= cut);
        self.done.drain(..n);
        n
    }
}
