//! Requests about the timeline of a process, and what its conditions on the run bring about.

use super::sampling::Sampling;
use super::tracing::Tracing;
use super::{Host, from_engine, no_target};
use crate::backend::protocol::*;
use crate::base::clock::monotonic_ns;
use crate::engine::Happened;
use crate::model::{StopReason, TimelineSource, TriggerAction};
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
    /// Answers from looks at the running process; the first request begins them.
    pub(super) fn timeline(&mut self, r: Request) -> Result<Reply, Failure> {
        let loaded = self.loaded.as_ref().ok_or_else(no_target)?;
        if loaded.process.is_none() {
            return Err(Failure::new(FailureKind::Unavailable, "a core or snapshot is one moment: it has no timeline")
                .fix("`adit timeline PID` looks at a running process, `adit timeline FILE` at an execution trace"));
        }
        let standing = self.engine.as_ref().is_some_and(|e| e.state().stopped);
        let sampling = self.sampling.get_or_insert_with(|| {
            let s = Sampling::new(loaded.clone(), self.bell.clone());
            if standing {
                s.stopped();
            }
            s
        });
        match r {
            Request::Timeline(q) => {
                let mut sampled = sampling.view(&q)?;
                let mut trace = self.trace.as_ref().and_then(|t| t.view(&q));
                if let Some(t) = trace.as_mut().filter(|t| t.extent.1 > t.extent.0) {
                    if q.source == Some(TimelineSource::Trace) {
                        t.others.push(TimelineSource::Sampled);
                        t.others.extend(
                            self.lines.as_ref().filter(|l| !l.lock().0.is_empty()).map(|_| TimelineSource::Text),
                        );
                        t.wall_ns = t.wall_ns.or(sampled.wall_ns);
                        return Ok(Reply::Timeline(Box::new(t.clone())));
                    }
                    sampled.others.push(TimelineSource::Trace);
                }
                let mut lines = self.lines.as_ref().map(Lines::lock).filter(|l| !l.0.is_empty());
                if let Some(l) = lines.as_mut() {
                    if q.source == Some(TimelineSource::Text) {
                        let mut v = l.0.view(&q);
                        v.others.push(TimelineSource::Sampled);
                        v.others.extend(sampled.others.iter().copied());
                        v.wall_ns = sampled.wall_ns;
                        return Ok(Reply::Timeline(Box::new(v)));
                    }
                    sampled.others.push(TimelineSource::Text);
                }
                Ok(Reply::Timeline(Box::new(sampled)))
            }
            Request::Spans { lane, from_ns, to_ns, count, source: Some(TimelineSource::Text) }
                if self.lines.is_some() =>
            {
                let mut lines = self.lines.as_ref().map(Lines::lock);
                let spans = lines.as_mut().map(|l| l.0.spans(lane, from_ns, to_ns, count.min(MAX_SPANS) as usize));
                Ok(Reply::Spans(spans.unwrap_or_default()))
            }
            Request::Spans { lane, from_ns, to_ns, count, source: Some(TimelineSource::Trace) }
                if self.trace.is_some() =>
            {
                let spans =
                    self.trace.as_ref().and_then(|t| t.spans(lane, from_ns, to_ns, count.min(MAX_SPANS) as usize));
                Ok(Reply::Spans(spans.unwrap_or_default()))
            }
            Request::Record { seconds } => {
                self.trace = Some(Tracing::start(loaded, seconds, self.outbox.out.clone())?);
                Ok(Reply::Done)
            }
            Request::TraceReport(kind) => {
                let report = self.trace.as_ref().and_then(|t| t.report(kind)).ok_or_else(|| {
                    Failure::new(FailureKind::BadState, "no execution trace was taken of this process")
                        .fix(":record takes one")
                })?;
                Ok(Reply::TraceReport(Box::new(report)))
            }
            Request::Spans { lane, from_ns, to_ns, count, .. } => {
                sampling.spans(lane, from_ns, to_ns, count.min(MAX_SPANS)).map(Reply::Spans)
            }
            Request::TimelineSummary => sampling.summary().map(|s| Reply::TimelineSummary(Box::new(s))),
            Request::TimelineCode { on } => sampling.code(on).map(|()| Reply::Done),
            Request::SetTrigger(spec) => {
                if spec.action == TriggerAction::Stop {
                    self.engine()?;
                }
                self.sampling.as_ref().ok_or_else(no_target)?.set(spec).map(Reply::Triggers)
            }
            Request::ClearTrigger { condition } => Ok(Reply::Triggers(sampling.clear(&condition))),
            other => Err(Failure::new(FailureKind::Internal, format!("not about a timeline: {other:?}"))),
        }
    }

    /// Does what conditions that hold now ask for.
    pub(super) fn triggered(&mut self) {
        let fired = self.sampling.as_ref().map(Sampling::take_fired).unwrap_or_default();
        for (spec, said) in fired {
            let done = match spec.action {
                TriggerAction::Stop => {
                    let stop = self.engine.as_mut().map(|e| e.pause_because(StopReason::Condition(said.clone())));
                    self.tell();
                    stop.unwrap_or(Ok(())).map_err(|e| from_engine(&e))
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
