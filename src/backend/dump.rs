//! A goroutine dump as a target: lists, groups and stacks from text; there is nothing else in it.

use super::offline::Offline;
use super::protocol::*;
use crate::base::{GoroutineId, StopEpoch};
use crate::diagnose::{Options, text::diagnose_text};
use crate::dumps::{Dump, MAX_DUMP, Parsed};
use crate::model::*;
use rustc_hash::{FxHashMap, FxHashSet, FxHasher};
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Ids listed with a group.
const IDS: usize = 5;
/// Longest source file shown, bytes.
const MAX_SOURCE: u64 = 16 << 20;
/// Nothing ever changes.
const EPOCH: StopEpoch = StopEpoch(1);

/// An opened dump.
pub struct DumpTarget {
    dump: Dump,
    files: FxHashSet<String>,
    read: ReadInfo,
}

impl DumpTarget {
    /// Reads a file.
    pub fn open(path: &Path) -> Result<DumpTarget, Failure> {
        let shown = path.display();
        let fail = |e: std::io::Error| Failure::new(FailureKind::BadRequest, format!("cannot read {shown}: {e}"));
        let t0 = Instant::now();
        if fs::metadata(path).map_err(fail)?.len() > MAX_DUMP {
            return Err(Failure::new(
                FailureKind::BadRequest,
                format!("{shown} is longer than {} MiB", MAX_DUMP >> 20),
            ));
        }
        let dump = Dump::parse(&fs::read(path).map_err(fail)?)
            .ok_or_else(|| Failure::new(FailureKind::BadRequest, format!("{shown}: there are no goroutines in it")))?;
        let files = dump.goroutines.iter().flat_map(|p| p.frames.iter().map(|f| f.at.file.clone())).collect();
        let took_us = t0.elapsed().as_micros() as u64;
        Ok(DumpTarget { dump, files, read: ReadInfo { mode: ReadMode::Offline, took_us, ..ReadInfo::default() } })
    }

    /// Toolchains that the go command fetches have their version in their path.
    fn go_version(&self) -> String {
        let version = |f: &String| {
            let rest = f.split_once("/toolchain@v0.0.1-").map(|p| p.1)?;
            rest.split_once(".linux-").or(rest.split_once('/')).map(|v| v.0.to_string())
        };
        self.files.iter().find_map(version).unwrap_or_default()
    }

    fn rows(&self, f: &GoroutineFilter) -> Vec<&Parsed> {
        let lower = f.text.to_lowercase();
        let all = self.dump.goroutines.iter().filter(|p| f.system || !p.row.system);
        all.filter(|p| lower.is_empty() || matches(&p.row, &lower) != f.inverse).collect()
    }

    fn stack(&self, goroutine: Option<GoroutineId>, depth: u32) -> Result<Reply, Failure> {
        let Some(id) = goroutine else {
            return Err(Failure::new(FailureKind::BadState, "a dump has no current goroutine: name one"));
        };
        let p = self.dump.get(id).ok_or_else(|| {
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
        Ok(Reply::Stack { epoch: EPOCH, stack })
    }

    /// Only files that the dump names: the host is no file server.
    fn source(&self, file: String) -> Result<Reply, Failure> {
        let fail = |why: String| {
            Failure::new(FailureKind::Unavailable, format!("cannot read {file}: {why}"))
                .fix("map the path with --substitute-path FROM=TO or `:path FROM TO`")
        };
        if !self.files.contains(&file) {
            return Err(fail("the dump does not name it".into()));
        }
        let meta = fs::metadata(&file).map_err(|e| fail(e.to_string()))?;
        if !meta.is_file() || meta.len() > MAX_SOURCE {
            return Err(fail(format!("not a regular file of at most {} MiB", MAX_SOURCE >> 20)));
        }
        let bytes = fs::read(&file).map_err(|e| fail(e.to_string()))?;
        Ok(Reply::Source { text: String::from_utf8_lossy(&bytes).into_owned(), file })
    }
}

impl Offline for DumpTarget {
    fn opened(&self) -> Reply {
        let target = TargetInfo {
            kind: TargetKind::Dump,
            go: self.go_version(),
            notes: self.dump.notes.clone(),
            ..TargetInfo::default()
        };
        Reply::Opened { target: Arc::new(target), caps: Caps { observe: true, ..Caps::default() }, stop: None }
    }

    fn answer(&mut self, r: Request) -> Result<Reply, Failure> {
        let read = self.read;
        match r {
            Request::Goroutines(q) => {
                let all = self.rows(&q.filter);
                let rows = page(&all, q.start, q.count).iter().map(|p| row(p, q.stack)).collect();
                Ok(Reply::Goroutines { epoch: EPOCH, read, total: all.len() as u64, rows })
            }
            Request::Groups(q) => {
                let all = self.rows(&q.filter);
                let groups = groups(&all, q.by);
                let hidden = self.dump.goroutines.iter().filter(|p| p.row.system && !q.filter.system).count();
                Ok(Reply::Groups {
                    epoch: EPOCH,
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
                Ok(Reply::Goroutines { epoch: EPOCH, read, total: all.len() as u64, rows })
            }
            Request::GoroutinesById { ids } => {
                let rows: Vec<Goroutine> = ids.iter().filter_map(|id| self.dump.get(*id)).map(|p| row(&p, 0)).collect();
                Ok(Reply::Goroutines { epoch: EPOCH, read, total: rows.len() as u64, rows })
            }
            Request::Stack { goroutine, depth, .. } => self.stack(goroutine, depth),
            Request::Diagnose(q) => {
                let options = Options { listed: q.listed as usize, mutes: q.mutes, ..Options::default() };
                let diagnosis = Box::new(diagnose_text(&self.dump.goroutines(), &options));
                Ok(Reply::Diagnosis { epoch: EPOCH, read, diagnosis })
            }
            Request::Source { file } => self.source(file),
            Request::CodeLines { file } => Ok(Reply::CodeLines { file, lines: Vec::new() }),
            Request::Breakpoints => Ok(Reply::Breakpoints(Vec::new())),
            Request::Refresh | Request::ResizePty { .. } => Ok(Reply::Done),
            Request::Resume { .. } | Request::Pause | Request::Restart { .. } | Request::SetBreakpoint { .. } => {
                Err(Failure::new(FailureKind::BadState, "a goroutine dump cannot be run: it is text"))
            }
            _ => Err(Failure::new(FailureKind::Unavailable, "a goroutine dump has no memory")
                .fix("adit snapshot PID -o FILE keeps everything of a running program, a core does of a crashed one")),
        }
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
