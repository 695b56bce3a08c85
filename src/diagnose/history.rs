//! Looks before this one: how many goroutines stood where, so that growth and long stays show.

use super::case::{Analysis, Target};
use crate::goruntime::g::status;
use crate::model::Finding;
use crate::target::linux::procfs;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Looks kept.
const LOOKS: usize = 60;
/// Places kept of one look.
const PLACES: usize = 10_000;

/// One look, in few numbers.
#[derive(Clone, Debug)]
pub struct Past {
    /// When.
    pub at: Instant,
    /// Goroutines by the key of their user place.
    pub places: FxHashMap<u64, u64>,
    /// Goroutines in all, the runtime's own left out.
    pub goroutines: u64,
    /// Bytes by slot size of the heap's spans.
    pub heap: FxHashMap<u64, u64>,
    /// Goroutines waiting for a processor.
    pub runnable: u64,
    counts: FxHashMap<u64, u64>,
}

/// What was seen before.
#[derive(Default)]
pub struct History {
    looks: VecDeque<Past>,
    /// Goroutines in system calls: with which stack pointer, how often their thread had run, since when.
    calls: FxHashMap<u64, (u64, Option<u64>, Instant)>,
}

impl History {
    /// Looks from the oldest on; the newest is the present one.
    pub fn looks(&self) -> &VecDeque<Past> {
        &self.looks
    }
    /// The oldest look that is at least this old.
    pub fn before(&self, age: Duration) -> Option<&Past> {
        let now = self.looks.back()?.at;
        self.looks.iter().rev().find(|p| now.duration_since(p.at) >= age)
    }
    /// How long a goroutine has been seen in one system call.
    pub fn in_call(&self, goid: u64) -> Option<Duration> {
        Some(self.looks.back()?.at.duration_since(self.calls.get(&goid)?.2))
    }

    pub(super) fn add(&mut self, target: &Target<'_>, a: &Analysis<'_>) {
        let at = Instant::now();
        let mut places: FxHashMap<u64, u64> = FxHashMap::default();
        let mut runnable = 0;
        let mut calls = FxHashMap::default();
        for s in a.look.seen.iter().filter(|s| !s.system) {
            if let Some(key) = target.list.place_key(s.row)
                && (places.len() < PLACES || places.contains_key(&key))
            {
                *places.entry(key).or_default() += 1;
            }
            runnable += u64::from(s.g.status == status::RUNNABLE);
            if s.g.status == status::SYSCALL {
                // The same place may be another call: a thread that has run since is not in the same one.
                let tid = target.list.row(s.row).and_then(|r| r.thread);
                let runs = target.pid.zip(tid).and_then(|(pid, tid)| procfs::switches(pid, tid));
                let same = |c: &&(u64, Option<u64>, Instant)| c.0 == s.g.syscall_sp && c.1 == runs;
                let was = self.calls.get(&s.g.goid).filter(same).map_or(at, |c| c.2);
                calls.insert(s.g.goid, (s.g.syscall_sp, runs, was));
            }
        }
        self.calls = calls;
        let mut heap: FxHashMap<u64, u64> = FxHashMap::default();
        if let Ok(h) = &a.heap {
            for s in h.spans() {
                *heap.entry(s.elemsize).or_default() += s.bytes;
            }
        }
        let goroutines = a.look.seen.iter().filter(|s| !s.system).count() as u64;
        self.looks.push_back(Past { at, places, goroutines, heap, runnable, counts: FxHashMap::default() });
        if self.looks.len() > LOOKS {
            self.looks.pop_front();
        }
    }

    /// Growth of each finding since the look before; remembers the present counts.
    pub(super) fn trends(&mut self, findings: &mut [Finding]) {
        let n = self.looks.len();
        let Some((now, earlier)) = self.looks.make_contiguous().split_last_mut() else { return };
        for f in findings.iter_mut() {
            *now.counts.entry(f.key).or_default() += f.count;
            if n < 2 {
                continue;
            }
            // Over up to ten looks, so that one more or less is no trend.
            let from = earlier.len().saturating_sub(10);
            if let Some((was, at)) = earlier[from..].iter().find_map(|p| Some((*p.counts.get(&f.key)?, p.at))) {
                let seconds = now.at.duration_since(at).as_secs_f64();
                if seconds > 0.5 {
                    f.per_second = Some((f.count as f64 - was as f64) / seconds);
                }
            }
        }
    }
}
