//! What time it was: a copy of a program has no clock, but the runtime notes times in many places.

use super::GoRuntime;
use super::g::G;
use super::many::Many;
use crate::base::{LoadAddr, Memory};

/// Structures read at once.
const CHUNK: usize = 4096;

impl GoRuntime {
    /// The newest time that the runtime noted, nanoseconds of CLOCK_MONOTONIC; 0 when there is none: the time of the copy is later.
    pub fn newest_time(&self, mem: &dyn Memory) -> u64 {
        let word = |at: Option<LoadAddr>, off: Option<u64>| mem.read_u64(at?.add(off?)).ok();
        let polled = word(self.globals().sched, self.layout().sched.map(|s| s.lastpoll));
        let collected = word(self.globals().memstats, self.layout().gc.map(|g| g.last_gc_nanotime));
        let size = super::g::window(self.layout());
        let mut newest = polled.max(collected).unwrap_or(0);
        for part in self.all_gs(mem).unwrap_or_default().chunks(CHUNK) {
            let Ok(many) = Many::read(mem, part, size) else { continue };
            let gs = part.iter().zip(many.iter()).filter_map(|(&p, b)| Some(G::parse(self.layout(), LoadAddr(p), b?)));
            let times = gs.filter(G::alive);
            newest = times.map(|g| g.wait_since).fold(newest, u64::max);
        }
        newest
    }
}
