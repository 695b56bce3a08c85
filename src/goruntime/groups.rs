//! Choosing and grouping goroutines without making their full rows.

use super::goroutines::{CHUNK, GoroutineList, Row};
use super::unwind::{Start, Unwinder};
use super::{G, GoRuntime};
use crate::base::{GoroutineId, LoadAddr, Memory, ReadOp};
use crate::model::{GoroutineFilter, GoroutineGroup, GroupBy, Location};
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHasher};
use std::hash::{Hash, Hasher};

/// Ids listed with a group.
const IDS: usize = 5;
/// Stack fetched of each goroutine at first.
const WINDOW: usize = 1024;
/// Frames that make up a stack's key.
const KEY_DEPTH: usize = 100;

fn hash(f: impl FnOnce(&mut FxHasher)) -> u64 {
    let mut h = FxHasher::default();
    f(&mut h);
    h.finish()
}

fn contains(haystack: &str, lower: &str) -> bool {
    if haystack.is_ascii() && lower.is_ascii() {
        let (h, n) = (haystack.as_bytes(), lower.as_bytes());
        return n.len() <= h.len() && h.windows(n.len()).any(|w| w.eq_ignore_ascii_case(n));
    }
    haystack.to_lowercase().contains(lower)
}

fn place_contains(l: &Location, lower: &str) -> bool {
    contains(&l.function, lower)
        || contains(&l.file, lower)
        || (lower.contains(':') && contains(&format!("{}:{}", l.file, l.line), lower))
}

impl GoroutineList {
    /// Rows that a filter keeps, ascending.
    pub fn filter(&self, f: &GoroutineFilter) -> Vec<u32> {
        let lower = f.text.to_lowercase();
        // Places are few; each is matched once.
        let places: Vec<bool> = match lower.is_empty() {
            true => Vec::new(),
            false => self.locations.par_iter().map(|l| place_contains(&l.at, &lower)).collect(),
        };
        let entries: FxHashMap<u64, bool> = match lower.is_empty() {
            true => FxHashMap::default(),
            false => self.entries.iter().map(|(k, e)| (*k, place_contains(&e.at, &lower))).collect(),
        };
        let keep = |r: &Row| {
            if r.system && !f.system {
                return false;
            }
            if lower.is_empty() {
                return true;
            }
            let place = |id: u32| places.get(id as usize).copied().unwrap_or(false);
            let hit = place(r.at)
                || place(r.user)
                || place(r.creator)
                || entries.get(&r.startpc).copied().unwrap_or(false)
                || contains(&r.goid.to_string(), &lower)
                || contains(super::g::state(u32::from(r.status)).name(), &lower)
                || self.reason(r).is_some_and(|s| contains(s, &lower))
                || self.label_text(r).iter().any(|(k, v)| contains(k, &lower) || contains(&format!("{k}={v}"), &lower));
            hit != f.inverse
        };
        (0..self.rows.len() as u32).filter(|&i| keep(&self.rows[i as usize])).collect()
    }

    fn label_text(&self, r: &Row) -> &[(String, String)] {
        self.labels.get(r.labels as usize).map_or(&[], |l| &**l)
    }

    /// The runtime's own goroutines among all.
    pub fn system_count(&self) -> usize {
        self.rows.iter().filter(|r| r.system).count()
    }

    fn key(&self, r: &Row, by: GroupBy, stack: u64) -> u64 {
        match by {
            GroupBy::User => hash(|h| (self.location(r.user).line_key, r.status, self.reason(r)).hash(h)),
            GroupBy::Stack => hash(|h| (stack, r.status, self.reason(r)).hash(h)),
            GroupBy::Wait => hash(|h| (self.reason(r), r.status).hash(h)),
            GroupBy::Creator => hash(|h| self.location(r.creator).line_key.hash(h)),
            GroupBy::Entry => hash(|h| self.entries.get(&r.startpc).map(|e| &e.at.function).hash(h)),
            GroupBy::State => hash(|h| r.status.hash(h)),
            GroupBy::Label => hash(|h| self.label_text(r).hash(h)),
        }
    }

    fn label(&self, r: &Row, by: GroupBy) -> String {
        match by {
            GroupBy::Wait => match self.reason(r) {
                Some(s) => s.to_string(),
                None => super::g::state(u32::from(r.status)).name().to_string(),
            },
            GroupBy::State => super::g::state(u32::from(r.status)).name().to_string(),
            GroupBy::Label => {
                let l = self.label_text(r);
                l.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ")
            }
            _ => String::new(),
        }
    }
}

impl GoRuntime {
    /// Keys of rows under a grouping, in the order of `rows`.
    fn keys(&self, mem: &dyn Memory, list: &GoroutineList, rows: &[u32], by: GroupBy) -> Vec<u64> {
        let key = |(&i, stack): (&u32, u64)| list.rows.get(i as usize).map_or(0, |r| list.key(r, by, stack));
        if by != GroupBy::Stack {
            return rows.iter().map(|i| key((i, 0))).collect();
        }
        let stacks: Vec<u64> = rows
            .par_chunks(CHUNK)
            .flat_map_iter(|c| {
                let gs: Vec<u64> = c.iter().map(|&i| list.rows.get(i as usize).map_or(0, |r| r.g)).collect();
                self.stack_keys(mem, &gs)
            })
            .collect();
        rows.iter().zip(stacks).map(key).collect()
    }

    /// Hashes of all return addresses of parked goroutines; 0 for those that run.
    fn stack_keys(&self, mem: &dyn Memory, at: &[u64]) -> Vec<u64> {
        let Ok(gs) = G::read_all(self.layout(), mem, at) else { return vec![0; at.len()] };
        let parked = |g: G| g.parked_at().map(|(pc, sp)| (g, pc, sp));
        let gs: Vec<Option<(G, LoadAddr, LoadAddr)>> = gs.map(|g| g.and_then(parked)).collect();
        let mut stacks = vec![0u8; WINDOW * at.len()];
        let mut ops: Vec<ReadOp<'_>> = stacks
            .chunks_exact_mut(WINDOW)
            .zip(&gs)
            .filter_map(|(b, g)| {
                let (g, _, sp) = g.as_ref()?;
                let len = (g.stack_hi - sp.0).min(WINDOW as u64) as usize;
                Some(ReadOp { addr: *sp, buf: &mut b[..len], ok: false })
            })
            .collect();
        let read = mem.read_scatter(&mut ops).is_ok() && ops.iter().all(|o| o.ok);
        drop(ops);
        gs.iter()
            .zip(stacks.chunks_exact(WINDOW))
            .map(|(g, window)| {
                let Some((g, pc, sp)) = g else { return 0 };
                let start = Start { pc: *pc, sp: *sp, exact: false, system_stack: false };
                let mut w = Unwinder::new(mem, self.pcs(), self.layout(), Some(*g), start);
                if read {
                    let len = (g.stack_hi - sp.0).min(WINDOW as u64) as usize;
                    w = w.with_window(*sp, &window[..len]);
                }
                hash(|h| (0..KEY_DEPTH).map_while(|_| w.step()).for_each(|f| f.pc.hash(h)))
            })
            .collect()
    }

    /// Groups of the chosen rows, largest first.
    pub fn group(&self, mem: &dyn Memory, list: &GoroutineList, rows: &[u32], by: GroupBy) -> Vec<GoroutineGroup> {
        struct Acc {
            first: u32,
            count: u64,
            wait: Option<(u64, u64)>,
            ids: Vec<GoroutineId>,
        }
        let keys = self.keys(mem, list, rows, by);
        let mut map: FxHashMap<u64, Acc> = FxHashMap::default();
        for (&i, key) in rows.iter().zip(keys) {
            let Some(r) = list.rows.get(i as usize) else { continue };
            let a = map.entry(key).or_insert(Acc { first: i, count: 0, wait: None, ids: Vec::new() });
            a.count += 1;
            if let Some(w) = list.wait_ns(r) {
                a.wait = Some(a.wait.map_or((w, w), |(lo, hi)| (lo.min(w), hi.max(w))));
            }
            if a.ids.len() < IDS {
                a.ids.push(GoroutineId(r.goid));
            }
        }
        let mut groups: Vec<(u64, Acc)> = map.into_iter().collect();
        groups.sort_unstable_by(|a, b| b.1.count.cmp(&a.1.count).then(a.1.first.cmp(&b.1.first)));
        groups
            .into_iter()
            .filter_map(|(key, a)| {
                let r = list.rows.get(a.first as usize)?;
                Some(GoroutineGroup {
                    key,
                    label: list.label(r, by),
                    count: a.count,
                    wait_ns: a.wait,
                    sample: list.row(a.first as usize)?,
                    ids: a.ids,
                })
            })
            .collect()
    }

    /// Rows of one group.
    pub fn members(&self, mem: &dyn Memory, list: &GoroutineList, rows: &[u32], by: GroupBy, key: u64) -> Vec<u32> {
        let keys = self.keys(mem, list, rows, by);
        rows.iter().zip(keys).filter(|(_, k)| *k == key).map(|(i, _)| *i).collect()
    }
}
