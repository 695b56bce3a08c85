//! The list of goroutines: read by pages, so that nothing waits for a long one but who asked for it; once a stop.

use super::reader::Reader;
use super::wire;
use crate::backend::listed::Listed;
use crate::backend::protocol::*;
use crate::base::{GoroutineId, StopEpoch};
use crate::dumps::Parsed;
use crate::model::*;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Goroutines of one page: Delve needs some 0.1 ms for each.
const PAGE: u64 = 1_000;
/// Goroutines that are read at most.
const MOST: usize = 200_000;
/// Longest wait for a page.
const PAGE_PATIENCE: Duration = Duration::from_secs(60);
/// Goroutines whose whole stacks are asked for, a call each.
pub const STACKS: usize = 500;
/// Frames of each of those.
pub const DEPTH: u32 = 50;

/// The list of one stop, and who waits for it.
#[derive(Default)]
pub struct Lists {
    epoch: StopEpoch,
    whole: Option<Listed>,
    /// Rows so far, while it is read.
    rows: Vec<Parsed>,
    next: Option<u64>,
    began: Option<Instant>,
    pages: u64,
    waiting: Vec<(u64, Request)>,
    stacked: bool,
}

/// An answer that was waited for.
pub type Late = (u64, Result<Reply, Failure>);

impl Lists {
    /// At another stop what is known is old; who waited for it is told.
    pub fn at(&mut self, epoch: StopEpoch) -> Vec<Late> {
        if self.epoch == epoch {
            return Vec::new();
        }
        let late = self.give_up();
        *self = Lists { epoch, ..Lists::default() };
        late
    }

    /// The program goes on, or memory was written: nothing is read on.
    pub fn give_up(&mut self) -> Vec<Late> {
        self.next = None;
        self.rows.clear();
        self.began = None;
        let gone = || Failure::new(FailureKind::Cancelled, "the program went on before the list was read");
        self.waiting.drain(..).map(|(id, _)| (id, Err(gone()))).collect()
    }

    /// Is there a page to be read?
    pub fn pending(&self) -> bool {
        self.next.is_some()
    }

    /// What is known of a goroutine.
    pub fn row(&self, id: GoroutineId) -> Option<&Goroutine> {
        let all = self.whole.as_ref()?;
        all.goroutines.binary_search_by_key(&id, |p| p.row.id).ok().map(|i| &all.goroutines[i].row)
    }
}

impl Reader {
    /// A question about the list: answered at once when it is here.
    pub fn ask_list(&mut self, id: u64, r: Request) -> Option<Late> {
        if self.lists.whole.is_some() {
            return Some((id, self.listed(r)));
        }
        self.lists.waiting.push((id, r));
        if self.lists.next.is_none() {
            self.lists.next = Some(0);
            self.lists.began = Some(Instant::now());
        }
        None
    }

    /// Reads one page; gives the answers that are possible then, and how many rows there are so far.
    pub fn read_page(&mut self) -> (Vec<Late>, usize) {
        let Some(start) = self.lists.next else { return (Vec::new(), 0) };
        let page: Result<wire::Goroutines, Failure> =
            self.call_for("ListGoroutines", json!({"Start": start, "Count": PAGE}), PAGE_PATIENCE);
        let page = match page {
            Ok(p) => p,
            Err(f) => {
                self.lists.next = None;
                self.lists.rows.clear();
                return (self.lists.waiting.drain(..).map(|(id, _)| (id, Err(f.clone()))).collect(), 0);
            }
        };
        let rows = page.goroutines.iter().filter_map(|g| self.reading.goroutine(g));
        let rows: Vec<Parsed> = rows.map(|row| Parsed { row, ..Parsed::default() }).collect();
        self.lists.rows.extend(rows);
        self.lists.pages += 1;
        // A server that never comes to an end, or goes back, has no more to say.
        let next = u64::try_from(page.next).ok().filter(|n| *n > start && self.lists.rows.len() < MOST);
        self.lists.next = next;
        if next.is_some() {
            return (Vec::new(), self.lists.rows.len());
        }
        self.finish();
        let waiting = std::mem::take(&mut self.lists.waiting);
        (waiting.into_iter().map(|(id, r)| (id, self.listed(r))).collect(), 0)
    }

    fn finish(&mut self) {
        let l = &mut self.lists;
        let mut goroutines = std::mem::take(&mut l.rows);
        goroutines.sort_by_key(|p| p.row.id);
        goroutines.dedup_by_key(|p| p.row.id);
        let took_us = l.began.take().map_or(0, |t| t.elapsed().as_micros() as u64);
        let read = ReadInfo { mode: ReadMode::Stopped, took_us, ..ReadInfo::default() };
        l.whole = Some(Listed { goroutines, read, what: "Delve", epoch: l.epoch });
    }

    fn listed(&mut self, r: Request) -> Result<Reply, Failure> {
        match &r {
            Request::Groups(q) | Request::GroupMembers { query: q, .. } if q.by == GroupBy::Stack => {
                self.read_stacks()?
            }
            Request::Diagnose(_) => self.read_stacks()?,
            _ => {}
        }
        let Some(listed) = self.lists.whole.take() else {
            return Err(Failure::new(FailureKind::Internal, "the list is not here"));
        };
        let answer = self.answer_from(&listed, r);
        self.lists.whole = Some(listed);
        answer
    }

    fn answer_from(&self, listed: &Listed, r: Request) -> Result<Reply, Failure> {
        match r {
            Request::GoroutineNames(filter) => Ok(names(listed, &filter)),
            Request::Diagnose(q) => {
                let options =
                    crate::diagnose::Options { listed: q.listed as usize, mutes: q.mutes, ..Default::default() };
                let all = listed.goroutines.iter();
                let all: Vec<Goroutine> =
                    all.map(|p| Goroutine { stack: Some(p.frames.to_vec()), ..p.row.clone() }).collect();
                let mut diagnosis = Box::new(crate::diagnose::text::diagnose_text(&all, &options));
                for d in diagnosis.detectors.iter_mut().filter(|d| !d.ran) {
                    d.reason = "needs the program's memory, which Delve gives in pieces only".into();
                }
                Ok(Reply::Diagnosis { epoch: listed.epoch, read: listed.read, diagnosis })
            }
            r => {
                let (stack, defers) = match &r {
                    Request::Goroutines(q) => (q.stack, q.defers),
                    _ => (0, false),
                };
                let mut reply = listed
                    .answer(r)
                    .unwrap_or_else(|_| Err(Failure::new(FailureKind::Internal, "this is not about goroutines")))?;
                if let Reply::Goroutines { rows, .. } = &mut reply
                    && (stack > 0 || defers)
                {
                    for g in rows {
                        self.put_stack(g, stack, defers)?;
                    }
                }
                Ok(reply)
            }
        }
    }

    fn put_stack(&self, g: &mut Goroutine, stack: u32, defers: bool) -> Result<(), Failure> {
        let frames = self.frames(Some(g.id), if defers { stack.max(64) } else { stack }, defers)?.0;
        if defers {
            g.defers = Some(frames.iter().flat_map(|f| f.defers.clone()).collect());
        }
        g.stack = (stack > 0).then(|| frames.into_iter().take(stack as usize).collect());
        Ok(())
    }

    /// Whole stacks, where there are not too many for a call each.
    fn read_stacks(&mut self) -> Result<(), Failure> {
        let Some(mut listed) = self.lists.whole.take() else { return Ok(()) };
        let result = if self.lists.stacked { Ok(()) } else { self.fill_stacks(&mut listed) };
        self.lists.stacked |= result.is_ok();
        self.lists.whole = Some(listed);
        result
    }

    fn fill_stacks(&self, listed: &mut Listed) -> Result<(), Failure> {
        let users = listed.goroutines.iter_mut().filter(|p| !p.row.system);
        let users: Vec<&mut Parsed> = users.collect();
        if users.len() > STACKS {
            return Err(Failure::new(
                FailureKind::Unavailable,
                format!(
                    "whole stacks of {} goroutines: Delve needs a call for each, and adit makes {STACKS}",
                    users.len()
                ),
            )
            .fix("group by user frame, wait reason or creator instead"));
        }
        for p in users {
            let (frames, more) = self.frames(Some(p.row.id), DEPTH, false)?;
            (p.frames, p.more) = (Arc::from(frames), more);
        }
        Ok(())
    }

    /// A goroutine's frames, and whether there are more.
    pub fn frames(&self, g: Option<GoroutineId>, depth: u32, defers: bool) -> Result<(Vec<Frame>, bool), Failure> {
        let depth = depth.clamp(1, 10_000);
        let scope = self.scope_of(FrameRef { goroutine: g, frame: 0 });
        // Delve gives one frame more than the depth that it is asked for.
        let options = u8::from(defers);
        let got: wire::Stack =
            self.call("Stacktrace", json!({"Id": scope.goroutine, "Depth": depth, "Opts": options}))?;
        let more = got.frames.len() > depth as usize && !got.frames.last().is_some_and(|f| f.bottom);
        let mut frames = super::convert::frames(&got.frames);
        frames.truncate(depth as usize);
        Ok((frames, more))
    }
}

/// All goroutines in short.
fn names(listed: &Listed, filter: &GoroutineFilter) -> Reply {
    let mut functions: Vec<String> = Vec::new();
    let mut known: std::collections::HashMap<String, u32> = std::collections::HashMap::new();
    let mut rows = Vec::new();
    for p in listed.rows(filter) {
        let name = &p.row.user.function;
        let function = *known.entry(name.clone()).or_insert_with(|| {
            functions.push(name.clone());
            functions.len() as u32 - 1
        });
        rows.push(NamedGoroutine { id: p.row.id, function, thread: p.row.thread, labels: p.row.labels.clone() });
    }
    Reply::GoroutineNames { epoch: listed.epoch, functions, rows }
}
