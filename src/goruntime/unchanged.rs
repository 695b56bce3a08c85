//! What has not run since an earlier list need not be read again: its stack cannot have changed.
//!
//! A parked goroutine is the same as before if it has its id, parked at the same place with the same stack for the same reason, and its
//! count of stints (`trackingSeq`, modulo 256) is the same. One that ran exactly 256 times between two looks and parked in the very
//! same place would be taken for unmoved; should its callers differ, then until it runs again.

use super::g::G;
use super::goroutines::{GoroutineList, Row};
use rustc_hash::FxHasher;
use std::hash::{Hash, Hasher};

/// A number that tells one wait of one goroutine from another; 0 for a goroutine that is not parked or whose stints are not counted.
pub(super) fn mark(g: &G) -> u64 {
    let (true, Some(stints)) = (g.waits(), g.stints) else { return 0 };
    let mut h = FxHasher::default();
    (g.addr.0, g.goid, g.status, g.wait_reason, stints).hash(&mut h);
    (g.sched_pc, g.sched_sp, g.stack_hi, g.waiting.0, g.labels.0, g.cleaning).hash(&mut h);
    h.finish().max(1)
}

impl GoroutineList {
    /// The row of entry `slot` of `runtime.allgs`, if its goroutine, now `g`, has not run since.
    pub(super) fn unchanged(&self, slot: usize, g: &G) -> Option<Row> {
        let row = self.rows.get(*self.slots.get(slot)? as usize)?;
        let same = row.mark != 0 && row.goid == g.goid && row.mark == mark(g);
        // The collector notes since when it waits while it does.
        same.then_some(Row { wait_since: g.wait_since, labels: 0, ..*row })
    }
}

/// Sorts rows by id; the answer says where the row of each of `count` entries of `runtime.allgs` went.
pub(super) fn sort_with_slots(rows: &mut Vec<Row>, slot_of: &[u32], count: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..rows.len() as u32).collect();
    order.sort_unstable_by_key(|i| rows[*i as usize].goid);
    let mut slots = vec![u32::MAX; count];
    for (to, from) in order.iter().enumerate() {
        slots[slot_of[*from as usize] as usize] = to as u32;
    }
    *rows = order.iter().map(|i| rows[*i as usize]).collect();
    slots
}
