//! Goroutines without the runtime's list of them, for cores that were cut off: looked for in all memory that is there.

use super::g::G;
use super::{GoRuntime, g};
use crate::base::LoadAddr;
use rayon::prelude::*;

/// `runtime.gobuf.g`, behind `sp` and `pc` in all releases: in a goroutine's saved context it points to the goroutine itself.
const GOBUF_G: u64 = 16;

impl GoRuntime {
    /// Finds goroutines in these ranges and takes them for the list from now on; how many living ones.
    pub fn find_goroutines_in<'a>(&mut self, memory: impl Iterator<Item = (LoadAddr, &'a [u8])>) -> usize {
        let ranges: Vec<(LoadAddr, &[u8])> = memory.collect();
        let mut found: Vec<u64> = ranges.par_iter().flat_map_iter(|(at, bytes)| self.found_in(*at, bytes)).collect();
        found.sort_unstable();
        found.dedup();
        let n = found.len();
        self.found = Some(found);
        n
    }

    fn found_in(&self, at: LoadAddr, bytes: &[u8]) -> Vec<u64> {
        let l = self.layout();
        let back = l.g.sched_sp + GOBUF_G;
        let size = g::window(l);
        let skip = (8 - at.0 % 8) as usize % 8;
        let mut out = Vec::new();
        for (i, w) in bytes.get(skip..).unwrap_or_default().chunks_exact(8).enumerate() {
            let word = w.try_into().map_or(0, u64::from_le_bytes);
            let off = skip as u64 + i as u64 * 8;
            if word == 0 || word != (at.0 + off).wrapping_sub(back) || off < back {
                continue;
            }
            let Some(b) = bytes.get((off - back) as usize..).and_then(|b| b.get(..size)) else { continue };
            if plausible(&G::parse(l, LoadAddr(word), b)) {
                out.push(word);
            }
        }
        out
    }
}

/// A living goroutine, not the system goroutine of a thread nor what only looks like one.
fn plausible(g: &G) -> bool {
    let has_stack = g.stack_lo != 0 && g.stack_lo < g.stack_hi && g.stack_hi - g.stack_lo <= 1 << 30;
    g.alive() && g.goid != 0 && g.goid < 1 << 40 && g.status <= g::status::LEAKED && has_stack && g.startpc != 0
}
