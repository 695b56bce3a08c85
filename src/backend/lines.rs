//! A log with `gctrace` or `schedtrace` lines as a target: a timeline, and nothing else.

use super::offline::Offline;
use super::protocol::*;
use crate::model::*;
use crate::trace::Source;
use crate::trace::text::TextLog;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

/// Longest line that is read, bytes; the rest of it is left out.
const MAX_LINE: u64 = 64 << 10;
/// Spans in one answer at most.
const MAX_SPANS: u32 = 10_000;

/// An opened log.
pub struct LinesTarget {
    log: TextLog,
}

impl LinesTarget {
    /// Reads a file line by line; it may be longer than memory.
    pub fn open(path: &Path) -> Result<LinesTarget, Failure> {
        let fail =
            |e: std::io::Error| Failure::new(FailureKind::BadRequest, format!("cannot read {}: {e}", path.display()));
        let mut file = BufReader::new(std::fs::File::open(path).map_err(fail)?);
        let mut log = TextLog::default();
        let mut line = Vec::new();
        loop {
            line.clear();
            let n = std::io::Read::take(&mut file, MAX_LINE).read_until(b'\n', &mut line).map_err(fail)?;
            if n == 0 {
                return Ok(LinesTarget { log });
            }
            log.line(&line);
        }
    }
}

impl Offline for LinesTarget {
    fn opened(&self) -> Reply {
        let target = TargetInfo { kind: TargetKind::Trace, ..TargetInfo::default() };
        Reply::Opened { target: Arc::new(target), caps: Caps::default(), stop: None }
    }

    fn answer(&mut self, r: Request) -> Result<Reply, Failure> {
        match r {
            Request::Timeline(q) => Ok(Reply::Timeline(Box::new(self.log.shown(&q)))),
            Request::Spans { lane, from_ns, to_ns, count, .. } => {
                Ok(Reply::Spans(self.log.spans(lane, from_ns, to_ns, count.min(MAX_SPANS) as usize)))
            }
            Request::FindMark(q) => Ok(Reply::Found(self.log.find(&q))),
            Request::TimelineSummary => Ok(Reply::TimelineSummary(Box::new(self.log.summary()))),
            Request::Breakpoints => Ok(Reply::Breakpoints(Vec::new())),
            Request::Refresh | Request::ResizePty { .. } => Ok(Reply::Done),
            _ => Err(Failure::new(FailureKind::Unavailable, "a log has a timeline and nothing else")),
        }
    }
}
