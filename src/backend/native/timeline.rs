//! Requests about the timeline of a process, and what its conditions on the run bring about.

use super::sampling::Sampling;
use super::tracing::Tracing;
use super::{Host, from_engine, no_target};
use crate::backend::protocol::*;
use crate::base::clock::monotonic_ns;
use crate::engine::Happened;
use crate::model::{StopReason, TimelineSource, TimelineView, TriggerAction, TriggerSpec};
use crate::trace::Source;
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
                let mut others = vec![TimelineSource::Sampled];
                others.extend(trace.map(|_| TimelineSource::Trace));
                others.extend(lines.as_ref().map(|_| TimelineSource::Text));
                let finish = move |mut v: TimelineView, wall_ns: Option<i64>| {
                    v.others = others;
                    v.others.retain(|s| *s != v.source);
                    v.wall_ns = v.wall_ns.or(wall_ns);
                    Reply::Timeline(Box::new(v))
                };
                match (q.source, trace, &mut lines) {
                    (Some(TimelineSource::Trace), Some(t), _) => {
                        let wall = sampling.wall()?;
                        t.answer(id, out(), move |f| finish(f.view(&q), wall))?;
                        return Ok(None);
                    }
                    (Some(TimelineSource::Text), _, Some(l)) => finish(l.0.view(&q), sampling.wall()?),
                    _ => finish(sampling.view(&q)?, None),
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
            Request::TraceReport(kind) => {
                let t = trace.ok_or_else(|| {
                    Failure::new(FailureKind::BadState, "no execution trace was taken of this process")
                        .fix(":record takes one")
                })?;
                t.answer(id, out(), move |f| Reply::TraceReport(Box::new(f.report(kind))))?;
                return Ok(None);
            }
            Request::Record { seconds } => {
                let taken = Tracing::start(loaded, seconds, out())?;
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

/// Spans in one answer at most.
const MAX_SPANS: u32 = 10_000;
