//! An execution trace of the running process, through its own `/debug/pprof/trace`: what it sends is shown as it arrives, and counts in its timeline as the source
//! that says most. While it is taken the program writes every event (some 0.15 µs each), and no other tool can take one.

use super::profiles;
use crate::backend::fetch;
use crate::backend::protocol::*;
use crate::engine::Loaded;
use crate::model::{Span, TimelineQuery, TimelineView, TraceReport, TraceReportKind};
use crate::trace::Source;
use crate::trace::exec::store::Spool;
use crate::trace::file::TraceFile;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::Sender;

/// Longest trace, seconds. What cannot be sent piles up in the program.
const LONGEST: u32 = 600;

/// The trace that was taken last, or is being taken.
pub(super) struct Tracing {
    file: Arc<Mutex<Option<TraceFile>>>,
}

impl Tracing {
    /// Asks the program for it, on a thread of its own: the answer may take a second. Whatever goes wrong then is told in the log.
    pub(super) fn start(loaded: &Loaded, seconds: u32, out: Sender<FromHost>) -> Result<Tracing, Failure> {
        let file: Arc<Mutex<Option<TraceFile>>> = Arc::default();
        let seconds = seconds.clamp(1, LONGEST);
        let (pid, linked, to) = (loaded.pid, profiles::linked(loaded), file.clone());
        let work = move || match take(pid, linked, seconds) {
            Ok(f) => *to.lock().unwrap_or_else(PoisonError::into_inner) = Some(f),
            Err(f) => {
                let fix = f.fix.map_or(String::new(), |f| format!(" ({f})"));
                let text = format!("no trace: {}{fix}", f.message);
                let _client_is_gone = out.blocking_send(FromHost::Notice(Notice::Log { level: LogLevel::Error, text }));
            }
        };
        std::thread::Builder::new()
            .name("trace".into())
            .spawn(work)
            .map_err(|e| Failure::new(FailureKind::Internal, format!("no thread for the trace: {e}")))?;
        Ok(Tracing { file })
    }

    fn with<T>(&self, f: impl FnOnce(&mut TraceFile) -> T) -> Option<T> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(f)
    }

    /// The part asked for; none before the first bytes are here.
    pub(super) fn view(&self, q: &TimelineQuery) -> Option<TimelineView> {
        self.with(|f| f.view(q))
    }

    pub(super) fn spans(
        &self,
        lane: crate::model::LaneKind,
        from_ns: i64,
        to_ns: i64,
        count: usize,
    ) -> Option<Vec<Span>> {
        self.with(|f| f.spans(lane, from_ns, to_ns, count))
    }

    /// What it has come to as yet.
    pub(super) fn report(&self, kind: TraceReportKind) -> Option<TraceReport> {
        self.with(|f| f.report(kind))
    }
}

fn take(pid: i32, linked: bool, seconds: u32) -> Result<TraceFile, Failure> {
    let at = profiles::handlers(pid, linked).map_err(|why| Failure::new(FailureKind::Unavailable, why))?;
    let url = format!("{at}trace?seconds={seconds}");
    let body = fetch::get(&url)?;
    let spool = Spool::start(body).map_err(|e| {
        Failure::new(FailureKind::Internal, format!("no room for the trace: {e}"))
            .fix("set TMPDIR to a folder with room")
    })?;
    TraceFile::open(Arc::new(spool)).map_err(|f| Failure::new(FailureKind::BadBinary, format!("{url}: {}", f.trouble)))
}
