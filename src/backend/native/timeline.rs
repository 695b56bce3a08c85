//! Requests about the timeline of a process, and what its conditions on the run bring about.

use super::sampling::Sampling;
use super::tracing::Tracing;
use super::{Host, from_engine, no_target};
use crate::backend::protocol::*;
use crate::base::clock::monotonic_ns;
use crate::engine::Happened;
use crate::model::{Found, StopReason, TimelineQuery, TimelineSource, TimelineView, TriggerAction, TriggerSpec};
use crate::trace::Source;
use crate::trace::columns::Grid;
use crate::trace::file::TraceFile;
use crate::trace::overlay::overlay;
use crate::trace::search::nearest;
use crate::trace::text::TextLog;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Longest line of a program's output that is looked at, bytes.
const MAX_LINE: usize = 64 << 10;

/// `gctrace` and `schedtrace` lines in the output of a program that we launched.
#[derive(Clone)]
pub(super) struct Lines(Arc<Mutex<(TextLog, Vec<u8>)>>);

impl Lines {
    /// For a program that begins now.
    pub(super) fn new() -> Lines {
        Lines(Arc::new(Mutex::new((TextLog::since(monotonic_ns().cast_signed()), Vec::new()))))
    }

    fn lock(&self) -> MutexGuard<'_, (TextLog, Vec<u8>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// More output.
    pub(super) fn feed(&self, bytes: &[u8]) {
        let mut l = self.lock();
        let (log, rest) = &mut *l;
        for b in bytes {
            match b {
                b'\n' => {
                    log.line(rest);
                    rest.clear();
                }
                b'\r' => {}
                b if rest.len() < MAX_LINE => rest.push(*b),
                _ => {}
            }
        }
    }
}

impl Host {
    /// Answers from looks at the running process (the first request begins them) or from another source; none if the answer comes later.
    pub(super) fn timeline(&mut self, id: u64, r: Request) -> Option<Result<Reply, Failure>> {
        self.timeline_of(id, r).transpose()
    }

    fn timeline_of(&mut self, id: u64, r: Request) -> Result<Option<Reply>, Failure> {
        let loaded = self.loaded.as_ref().ok_or_else(no_target)?;
        if loaded.process.is_none() {
            return Err(Failure::new(FailureKind::Unavailable, "a core or snapshot is one moment: it has no timeline")
                .fix("`adit timeline PID` looks at a running process, `adit timeline FILE` at an execution trace"));
        }
        if let Request::SetTrigger(TriggerSpec { action: TriggerAction::Stop, .. }) = &r {
            self.engine()?;
        }
        let loaded = self.loaded.as_ref().ok_or_else(no_target)?;
        let standing = self.engine.as_ref().is_some_and(|e| e.state().stopped);
        let sampling = self.sampling.get_or_insert_with(|| {
            let s = Sampling::new(loaded.clone(), self.bell.clone());
            if standing {
                s.stopped();
            }
            s
        });
        let out = || self.outbox.sender();
        let trace = self.trace.as_ref().filter(|t| t.ready());
        let mut lines = self.lines.as_ref().map(Lines::lock).filter(|l| !l.0.is_empty());
        Ok(Some(match r {
            Request::Timeline(q) => {
                let has = |s| q.source.is_none_or(|only| only == s);
                let all = [
                    Some(TimelineSource::Sampled),
                    trace.map(|_| TimelineSource::Trace),
                    lines.as_ref().map(|_| TimelineSource::Text),
                ];
                let others: Vec<TimelineSource> = all.into_iter().flatten().collect();
                let finish = move |mut v: TimelineView, wall_ns: Option<i64>| {
                    v.others = others;
                    v.others.retain(|s| *s != v.source && !v.over.contains(s));
                    v.wall_ns = v.wall_ns.or(wall_ns);
                    Reply::Timeline(Box::new(v))
                };
                let trace = trace.filter(|_| has(TimelineSource::Trace));
                let text = lines.as_mut().filter(|_| has(TimelineSource::Text));
                match (q.source, trace, text) {
                    (Some(TimelineSource::Trace), Some(t), _) => {
                        let wall = sampling.wall()?;
                        t.answer(id, out(), move |f| finish(f.shown(&q), wall))?;
                        return Ok(None);
                    }
                    (Some(TimelineSource::Text), _, Some(l)) => finish(l.0.shown(&q), sampling.wall()?),
                    (None, trace, text) if trace.is_some() || text.is_some() => {
                        // All of the same columns, over all that anybody knows.
                        let looks = sampling.extent()?;
                        let extents = [trace.map(Tracing::extent), text.as_ref().map(|l| l.0.extent())];
                        let join = |a: (i64, i64), b: (i64, i64)| (a.0.min(b.0), a.1.max(b.1));
                        let extent = extents.into_iter().flatten().fold(looks, join);
                        let (grid, whole) = (Grid::of(&q, extent), Grid::whole(extent, q.columns));
                        let span_ns = grid.column_ns * grid.columns as u64;
                        let q = TimelineQuery { from_ns: Some(grid.from_ns), span_ns, ..q };
                        let (mut v, overview) = sampling.view_with(&q, whole)?;
                        v.overview = Some(overview);
                        if let Some(l) = text {
                            if let Some((n, at)) = l.0.last_cycle().and_then(|n| Some((n, sampling.cycle_end(n)?))) {
                                l.0.tie(n, at);
                            }
                            v = overlay(v, l.0.view(&q));
                        }
                        if let Some(t) = trace {
                            let over = move |f: &mut TraceFile| {
                                let overview = Some(f.overview(whole, q.heat));
                                finish(overlay(v, TimelineView { overview, ..f.view(&q) }), None)
                            };
                            t.answer(id, out(), over)?;
                            return Ok(None);
                        }
                        finish(v, None)
                    }
                    _ => finish(sampling.shown(&q)?, None),
                }
            }
            Request::Spans { lane, from_ns, to_ns, count, source } => {
                let count = count.min(MAX_SPANS) as usize;
                Reply::Spans(match (source, trace, &mut lines) {
                    (Some(TimelineSource::Trace), Some(t), _) => {
                        t.answer(id, out(), move |f| Reply::Spans(f.spans(lane, from_ns, to_ns, count)))?;
                        return Ok(None);
                    }
                    (Some(TimelineSource::Text), _, Some(l)) => l.0.spans(lane, from_ns, to_ns, count),
                    _ => sampling.spans(lane, from_ns, to_ns, count)?,
                })
            }
            Request::FindMark(q) => {
                let looked = match q.source {
                    Some(TimelineSource::Trace) => None,
                    Some(TimelineSource::Text) => lines.as_mut().and_then(|l| l.0.find(&q).mark),
                    _ => sampling.find(&q)?,
                };
                match trace.filter(|_| matches!(q.source, None | Some(TimelineSource::Trace))) {
                    Some(t) => {
                        let both = move |f: &mut TraceFile| {
                            let found = f.find(&q);
                            // What is not searched yet may have a nearer one.
                            let mark = if found.go_on_ns.is_some() { None } else { nearest(&q, found.mark, looked) };
                            Reply::Found(Found { mark, ..found })
                        };
                        t.answer(id, out(), both)?;
                        return Ok(None);
                    }
                    None => Reply::Found(Found { mark: looked, go_on_ns: None }),
                }
            }
            Request::TraceReport(kind) => {
                trace.ok_or_else(no_trace)?.answer(id, out(), move |f| Reply::TraceReport(Box::new(f.report(kind))))?;
                return Ok(None);
            }
            Request::TraceReportOf { kind, of } => {
                trace.ok_or_else(no_trace)?.try_answer(id, out(), move |f| {
                    let report = f.report_of(kind, of).map_err(|why| Failure::new(FailureKind::BadRequest, why))?;
                    Ok(Reply::TraceReport(Box::new(report)))
                })?;
                return Ok(None);
            }
            Request::Record { seconds } => {
                let taken = Tracing::start(loaded, seconds, out())?;
                drop(lines);
                self.trace = Some(taken);
                Reply::Done
            }
            Request::TraceOver { file } => {
                let taken = Tracing::open(&file, sampling.wall()?)?;
                drop(lines);
                self.trace = Some(taken);
                Reply::Done
            }
            Request::TimelineSummary => Reply::TimelineSummary(Box::new(sampling.summary()?)),
            Request::TimelineCode { on } => sampling.code(on).map(|()| Reply::Done)?,
            Request::SetTrigger(spec) => Reply::Triggers(sampling.set(spec)?),
            Request::ClearTrigger { condition } => Reply::Triggers(sampling.clear(&condition)),
            other => return Err(Failure::new(FailureKind::Internal, format!("not about a timeline: {other:?}"))),
        }))
    }

    /// Does what conditions that hold now ask for.
    pub(super) fn triggered(&mut self) {
        let fired = self.sampling.as_ref().map(Sampling::take_fired).unwrap_or_default();
        for (spec, said) in fired {
            let done = match spec.action {
                TriggerAction::Stop => {
                    let stop = self.may_stop().and_then(|()| match &mut self.engine {
                        Some(e) => e.pause_because(StopReason::Condition(said.clone())).map_err(|e| from_engine(&e)),
                        None => Ok(()),
                    });
                    self.tell();
                    stop
                }
                TriggerAction::Snapshot(path) => self.copy_because(&said, path),
            };
            if let Err(f) = done {
                self.outbox.notice(Notice::Log { level: LogLevel::Error, text: format!("{said}: {f}") });
            }
        }
    }

    /// Our own stops are part of the picture.
    pub(super) fn note_stops(&self, happened: &[Happened]) {
        let Some(s) = &self.sampling else { return };
        for h in happened {
            match h {
                Happened::Stopped(_) => s.stopped(),
                Happened::Resumed(_) | Happened::Released(_) => s.resumed(),
                _ => {}
            }
        }
    }
}

fn no_trace() -> Failure {
    Failure::new(FailureKind::BadState, "no execution trace was taken of this process").fix(":record takes one")
}

/// Spans in one answer at most.
const MAX_SPANS: u32 = 10_000;
