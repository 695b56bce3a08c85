//! Goroutines with their stacks out of a file: lists, groups and stacks are answered from memory.

use super::protocol::*;
use crate::base::{GoroutineId, StopEpoch};
use crate::dumps::Parsed;
use crate::model::*;
use rustc_hash::{FxHashMap, FxHasher};
use std::hash::{Hash, Hasher};

/// Ids listed with a group.
const IDS: usize = 5;
/// Of a file: nothing ever changes.
pub const EPOCH: StopEpoch = StopEpoch(1);

/// Goroutines by id.
#[derive(Clone, Default)]
pub struct Listed {
    /// All of them.
    pub goroutines: Vec<Parsed>,
    /// How they were read.
    pub read: ReadInfo,
    /// What they are out of, for messages: `a dump`.
    pub what: &'static str,
    /// When this was so; for a file [`EPOCH`].
    pub epoch: StopEpoch,
}

impl Listed {
    fn get(&self, id: GoroutineId) -> Option<&Parsed> {
        self.goroutines.binary_search_by_key(&id, |p| p.row.id).ok().and_then(|i| self.goroutines.get(i))
    }

    /// Those that a filter lets through, by id.
    pub fn rows(&self, f: &GoroutineFilter) -> Vec<&Parsed> {
        let lower = f.text.to_lowercase();
        let all = self.goroutines.iter().filter(|p| f.system || !p.row.system);
        all.filter(|p| lower.is_empty() || matches(&p.row, &lower) != f.inverse).collect()
    }

    fn stack(&self, goroutine: Option<GoroutineId>, depth: u32) -> Result<Reply, Failure> {
        let Some(id) = goroutine else {
            return Err(Failure::new(
                FailureKind::BadState,
                format!("{} has no current goroutine: name one", self.what),
            ));
        };
        let p = self.get(id).ok_or_else(|| {
            Failure::new(FailureKind::BadRequest, format!("no goroutine {id}")).fix("`goroutines` lists them")
        })?;
        let frames: Vec<Frame> = p.frames.iter().take(depth as usize).cloned().collect();
        let stack = Stack {
            goroutine: id,
            more: p.more || frames.len() < p.frames.len(),
            frames,
            created_by: p.row.created_by.clone(),
            problems: p.problem.iter().cloned().collect(),
            ..Stack::default()
        };
        Ok(Reply::Stack { epoch: self.epoch, stack })
    }

    /// Answers what is about goroutines; gives back what is not.
    pub fn answer(&self, r: Request) -> Result<Result<Reply, Failure>, Box<Request>> {
        let read = self.read;
        Ok(match r {
            Request::Goroutines(q) => {
                let all = self.rows(&q.filter);
                let rows = page(&all, q.start, q.count).iter().map(|p| row(p, q.stack)).collect();
                Ok(Reply::Goroutines { epoch: self.epoch, read, total: all.len() as u64, rows })
            }
            Request::Groups(q) => {
                let all = self.rows(&q.filter);
                let groups = groups(&all, q.by);
                let hidden = self.goroutines.iter().filter(|p| p.row.system && !q.filter.system).count();
                Ok(Reply::Groups {
                    epoch: self.epoch,
                    read,
                    goroutines: all.len() as u64,
                    hidden_system: hidden as u64,
                    total: groups.len() as u64,
                    groups: page(&groups, q.start, q.count).to_vec(),
                })
            }
            Request::GroupMembers { query, key, start, count } => {
                let mut all = self.rows(&query.filter);
                all.retain(|p| group_key(p, query.by) == key);
                let rows = page(&all, start, count).iter().map(|p| row(p, 0)).collect();
                Ok(Reply::Goroutines { epoch: self.epoch, read, total: all.len() as u64, rows })
            }
            Request::GoroutinesById { ids } => {
                let rows: Vec<Goroutine> = ids.iter().filter_map(|id| self.get(*id)).map(|p| row(&p, 0)).collect();
                Ok(Reply::Goroutines { epoch: self.epoch, read, total: rows.len() as u64, rows })
            }
            Request::Stack { goroutine, depth, .. } => self.stack(goroutine, depth),
            other => return Err(Box::new(other)),
        })
    }
}

fn page<T>(all: &[T], start: u64, count: u64) -> &[T] {
    let from = (start as usize).min(all.len());
    &all[from..from.saturating_add(count as usize).min(all.len())]
}

fn row(p: &&Parsed, stack: u32) -> Goroutine {
    let frames = (stack > 0).then(|| p.frames.iter().take(stack as usize).cloned().collect());
    Goroutine { stack: frames, ..p.row.clone() }
}

/// As the filter's documentation says: id, state, wait reason, any location, label.
fn matches(g: &Goroutine, lower: &str) -> bool {
    let has = |s: &str| s.to_lowercase().contains(lower);
    let place = |l: &Location| has(&l.function) || has(&format!("{}:{}", l.file, l.line));
    has(&g.id.0.to_string())
        || has(g.state.name())
        || g.wait_reason.as_deref().is_some_and(has)
        || place(&g.at)
        || place(&g.user)
        || g.created_by.as_ref().is_some_and(|c| place(&c.at))
        || g.entry.as_ref().is_some_and(|e| place(e))
        || g.labels.iter().any(|(k, v)| has(&format!("{k}={v}")))
}

fn group_key(p: &Parsed, by: GroupBy) -> u64 {
    let mut h = FxHasher::default();
    let line = |l: &Location, h: &mut FxHasher| (&l.function, &l.file, l.line).hash(h);
    let g = &p.row;
    match by {
        GroupBy::User => {
            line(&g.user, &mut h);
            (g.state.name(), &g.wait_reason).hash(&mut h);
        }
        GroupBy::Stack => {
            p.frames.iter().for_each(|f| line(&f.at, &mut h));
            (g.state.name(), &g.wait_reason).hash(&mut h);
        }
        GroupBy::Wait => (g.state.name(), &g.wait_reason).hash(&mut h),
        GroupBy::Creator => g.created_by.iter().for_each(|c| line(&c.at, &mut h)),
        GroupBy::Entry => g.entry.as_ref().map(|e| &e.function).hash(&mut h),
        GroupBy::State => g.state.name().hash(&mut h),
        GroupBy::Label => g.labels.hash(&mut h),
    }
    h.finish()
}

fn label(g: &Goroutine, by: GroupBy) -> String {
    match by {
        GroupBy::Wait => g.wait_reason.as_deref().unwrap_or(g.state.name()).to_string(),
        GroupBy::State => g.state.name().to_string(),
        GroupBy::Label => g.labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" "),
        _ => String::new(),
    }
}

/// Largest first.
fn groups(rows: &[&Parsed], by: GroupBy) -> Vec<GoroutineGroup> {
    let mut at: FxHashMap<u64, usize> = FxHashMap::default();
    let mut out: Vec<GoroutineGroup> = Vec::new();
    for p in rows {
        let key = group_key(p, by);
        let i = *at.entry(key).or_insert_with(|| {
            out.push(GoroutineGroup {
                key,
                label: label(&p.row, by),
                count: 0,
                wait_ns: None,
                sample: p.row.clone(),
                ids: Vec::new(),
            });
            out.len() - 1
        });
        let g = &mut out[i];
        g.count += 1;
        if let Some(w) = p.row.wait_ns {
            g.wait_ns = Some(g.wait_ns.map_or((w, w), |(lo, hi)| (lo.min(w), hi.max(w))));
        }
        if g.ids.len() < IDS {
            g.ids.push(p.row.id);
        }
    }
    out.sort_by_key(|g| std::cmp::Reverse(g.count));
    out
}
