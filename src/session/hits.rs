//! What breakpoints recorded while the program ran: the last records, and sums for each traced function.

use super::Session;
use super::sentences::hit_sentence;
use crate::backend::protocol::LogLevel;
use crate::base::BreakpointId;
use crate::base::ring::Ring;
use crate::model::{Hit, HitKind};
use std::collections::BTreeMap;

/// Records kept.
pub const HITS: usize = 10_000;

/// Calls of one function, summed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallSum {
    /// Returns seen.
    pub calls: u64,
    /// Their time together, ns, callees and waiting included.
    pub total_ns: u64,
    /// The shortest, ns.
    pub min_ns: u64,
    /// The longest, ns.
    pub max_ns: u64,
}

/// The records and what they come to.
pub struct Hits {
    ring: Ring<Hit>,
    /// Records that the host did not keep.
    pub lost: u64,
    sums: BTreeMap<(BreakpointId, String), CallSum>,
}

impl Default for Hits {
    fn default() -> Hits {
        Hits { ring: Ring::new(HITS), lost: 0, sums: BTreeMap::new() }
    }
}

impl Hits {
    /// Adds one.
    pub fn add(&mut self, h: Hit) {
        if let HitKind::Returned(Some(ns)) = h.kind {
            let s = self.sums.entry((h.breakpoint, h.at.function.clone())).or_default();
            s.min_ns = if s.calls == 0 { ns } else { s.min_ns.min(ns) };
            s.max_ns = s.max_ns.max(ns);
            s.calls += 1;
            s.total_ns = s.total_ns.saturating_add(ns);
        }
        self.ring.push(h);
    }
    /// Oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Hit> + ExactSizeIterator {
        self.ring.iter()
    }
    /// Traced functions, the one with most time first.
    pub fn sums(&self) -> Vec<(BreakpointId, &str, &CallSum)> {
        let mut v: Vec<_> = self.sums.iter().map(|((id, f), s)| (*id, f.as_str(), s)).collect();
        v.sort_by_key(|(_, _, s)| std::cmp::Reverse(s.total_ns));
        v
    }
}

impl Session {
    pub(super) fn put_hits(&mut self, hits: Vec<Hit>, lost: u64) {
        let time = (self.clock)();
        for h in hits {
            self.log.push_here_only(&time, LogLevel::Info, &hit_sentence(&h));
            self.hits.add(h);
        }
        if lost > self.hits.lost {
            self.log.push(
                &time,
                LogLevel::Warn,
                &format!("{} records of breakpoints were not kept", lost - self.hits.lost),
            );
            self.hits.lost = lost;
        }
    }
}
