//! Requests about the timeline of a process, and what its conditions on the run bring about.

use super::sampling::Sampling;
use super::{Host, from_engine, no_target};
use crate::backend::protocol::*;
use crate::engine::Happened;
use crate::model::{StopReason, TriggerAction};

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
            Request::Timeline(q) => sampling.view(&q).map(|v| Reply::Timeline(Box::new(v))),
            Request::Spans { lane, from_ns, to_ns, count } => {
                sampling.spans(lane, from_ns, to_ns, count.min(MAX_SPANS)).map(Reply::Spans)
            }
            Request::TimelineSummary => sampling.summary().map(|s| Reply::TimelineSummary(Box::new(s))),
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
