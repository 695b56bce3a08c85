//! An execution trace as a target: a timeline, reports, and goroutines as they were last seen.

use super::listed::Listed;
use super::offline::Offline;
use super::protocol::*;
use crate::dumps::Parsed;
use crate::goruntime::pcinfo::{is_internal, is_plumbing};
use crate::model::*;
use crate::trace::Source;
use crate::trace::exec::{Fault, Store};
use crate::trace::file::TraceFile;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Spans in one answer at most.
const MAX_SPANS: u32 = 10_000;

/// How long an answer may have to wait for the end of the file.
const PATIENCE: Duration = Duration::from_millis(500);

/// An opened trace.
pub struct TraceTarget {
    file: TraceFile,
    listed: Listed,
    /// The list is of the whole trace.
    listed_whole: bool,
    opened: Instant,
}

impl TraceTarget {
    /// Opens a file; reading it goes on behind.
    pub fn open(path: &Path) -> Result<TraceTarget, Failure> {
        let fail = |why: String| Failure::new(FailureKind::BadRequest, format!("{}: {why}", path.display()));
        let file = std::fs::File::open(path).map_err(|e| fail(e.to_string()))?;
        TraceTarget::of(Arc::new(file)).map_err(|f| {
            fail(f.trouble.to_string())
                .fix("traces of Go 1.11 to 1.27 can be read; runtime/trace and /debug/pprof/trace write them")
        })
    }

    /// A trace wherever it is, a stream too.
    pub fn of(store: Arc<dyn Store>) -> Result<TraceTarget, Fault> {
        Ok(TraceTarget {
            file: TraceFile::open(store)?,
            listed: Listed { what: "a trace", epoch: super::listed::EPOCH, ..Listed::default() },
            listed_whole: false,
            opened: Instant::now(),
        })
    }

    /// Goroutines as they were at the end: there is no answer before that is read.
    fn list(&mut self) -> Result<&Listed, Failure> {
        if !self.listed_whole {
            if !self.file.wait(PATIENCE) {
                let message = "the trace is still being read: its goroutines are those at its end";
                return Err(Failure::new(FailureKind::Unavailable, message).fix("ask again in a moment"));
            }
            self.listed_whole = true;
            self.listed.goroutines =
                self.file.goroutines().into_iter().map(|(row, stack)| parsed(row, stack)).collect();
            let took_us = self.opened.elapsed().as_micros() as u64;
            self.listed.read = ReadInfo { mode: ReadMode::Offline, took_us, ..ReadInfo::default() };
        }
        Ok(&self.listed)
    }
}

fn parsed(mut row: Goroutine, stack: Vec<Location>) -> Parsed {
    let frame = |(i, at): (usize, Location)| Frame {
        index: i as u32,
        hidden: is_internal(&at.function),
        at: at.into(),
        ..Frame::default()
    };
    let frames: Arc<[Frame]> = stack.into_iter().enumerate().map(frame).collect();
    let problem = frames.is_empty().then(|| "the trace has no stack of it".to_string());
    let user = frames.iter().find(|f| !is_plumbing(&f.at.function)).or_else(|| frames.iter().find(|f| !f.hidden));
    row.at = frames.first().map_or_else(Arc::default, |f| f.at.clone());
    row.user = user.or(frames.first()).map_or_else(Arc::default, |f| f.at.clone());
    if let Some(f) = frames.last().filter(|f| row.entry.as_ref().is_some_and(|e| e.function == f.at.function)) {
        row.entry = Some(f.at.clone());
    }
    Parsed { row, frames, problem, ..Parsed::default() }
}

fn no_memory() -> Failure {
    Failure::new(FailureKind::Unavailable, "a trace has no memory")
        .fix("adit snapshot PID -o FILE keeps everything of a running program")
}

impl Offline for TraceTarget {
    fn opened(&self) -> Reply {
        let target = TargetInfo { kind: TargetKind::Trace, ..TargetInfo::default() };
        Reply::Opened { target: Arc::new(target), caps: Caps { observe: true, ..Caps::default() }, stop: None }
    }

    fn answer(&mut self, r: Request) -> Result<Reply, Failure> {
        match r {
            Request::Timeline(q) => Ok(Reply::Timeline(Box::new(self.file.shown(&q)))),
            Request::Spans { lane, from_ns, to_ns, count, .. } => {
                Ok(Reply::Spans(self.file.spans(lane, from_ns, to_ns, count.min(MAX_SPANS) as usize)))
            }
            Request::FindMark(q) => Ok(Reply::Found(self.file.find(&q))),
            Request::TimelineSummary => Ok(Reply::TimelineSummary(Box::new(self.file.summary()))),
            Request::TraceReport(kind) => Ok(Reply::TraceReport(Box::new(self.file.report(kind)))),
            Request::TraceReportOf { kind, of } => {
                let report = self.file.report_of(kind, of);
                let refused = |why: String| Failure::new(FailureKind::BadRequest, why);
                report.map(|r| Reply::TraceReport(Box::new(r))).map_err(refused)
            }
            Request::Breakpoints => Ok(Reply::Breakpoints(Vec::new())),
            Request::CodeLines { file } => Ok(Reply::CodeLines { file, lines: Vec::new() }),
            Request::Refresh | Request::ResizePty { .. } => Ok(Reply::Done),
            Request::Resume { .. } | Request::Pause | Request::Restart { .. } | Request::SetBreakpoint { .. } => {
                Err(Failure::new(FailureKind::BadState, "a trace cannot be run: it is what was"))
            }
            // What cannot be had anyway need not wait.
            r @ (Request::Scope { .. } | Request::Eval { .. } | Request::Children { .. } | Request::Source { .. }) => {
                Listed::default().answer(r).unwrap_or_else(|_| Err(no_memory()))
            }
            other => match self.list()?.answer(other) {
                Ok(answer) => answer,
                Err(_) => Err(no_memory()),
            },
        }
    }
}
