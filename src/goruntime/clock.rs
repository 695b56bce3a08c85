//! What time it was: a copy of a program has no clock, but the runtime notes times in many places.

use super::GoRuntime;
use super::g::G;
use crate::base::{LoadAddr, Memory};

/// Structures read at once.
const CHUNK: usize = 4096;

impl GoRuntime {
    /// The newest time that the runtime noted, nanoseconds of CLOCK_MONOTONIC; 0 when there is none: the time of the copy is later.
    pub fn newest_time(&self, mem: &dyn Memory) -> u64 {
        let word = |at: Option<LoadAddr>, off: Option<u64>| mem.read_u64(at?.add(off?)).ok();
        let polled = word(self.globals().sched, self.layout().sched.map(|s| s.lastpoll));
        let collected = word(self.globals().memstats, self.layout().gc.map(|g| g.last_gc_nanotime));
        let mut newest = polled.max(collected).unwrap_or(0);
        for part in self.all_gs(mem).unwrap_or_default().chunks(CHUNK) {
            let Ok(gs) = G::read_all(self.layout(), mem, part) else { continue };
            let times = gs.flatten().filter(G::alive);
            newest = times.map(|g| g.wait_since).fold(newest, u64::max);
        }
        newest
    }
}
