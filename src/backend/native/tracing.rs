//! An execution trace of the running process, through its own `/debug/pprof/trace`: what it sends is shown as it arrives, and counts in its timeline as the source
//! that says most. Or one that the program wrote to a file. While it is taken the program writes every event (some 0.15 µs each), and no other tool can take one.

use super::profiles;
use crate::backend::fetch;
use crate::backend::outbox::Out;
use crate::backend::protocol::*;
use crate::base::clock::monotonic_ns;
use crate::engine::Loaded;
use crate::model::TimelineQuery;
use crate::trace::Source;
use crate::trace::exec::store::Spool;
use crate::trace::file::{Progress, TraceFile};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Longest trace, seconds. What cannot be sent piles up in the program.
const LONGEST: u32 = 600;

/// So far apart two clocks of one machine may be, ns: between the two readings time of day may have been set.
const SAME_CLOCK: u64 = 60_000_000_000;
/// A trace may end so much later than now, ns: what is read meanwhile.
const LEEWAY: i64 = 1_000_000_000;

/// Between two looks whether the first events are here.
const POLL: Duration = Duration::from_millis(10);

/// The trace that was taken last, or is being taken.
pub(super) struct Tracing {
    file: Arc<OnceLock<(Progress, Mutex<TraceFile>)>>,
}

impl Tracing {
    /// Asks the program for it, on a thread of its own: the answer may take a second. Whatever goes wrong then is told in the log.
    pub(super) fn start(loaded: &Loaded, seconds: u32, out: Out) -> Result<Tracing, Failure> {
        let file: Arc<OnceLock<(Progress, Mutex<TraceFile>)>> = Arc::default();
        let seconds = seconds.clamp(1, LONGEST);
        let (pid, linked, to) = (loaded.pid, profiles::linked(loaded), file.clone());
        let work = move || match take(pid, linked, seconds) {
            Ok(f) => drop(to.set((f.progress(), Mutex::new(f)))),
            Err(f) => {
                let fix = f.fix.map_or(String::new(), |f| format!(" ({f})"));
                let text = format!("no trace: {}{fix}", f.message);
                let _client_is_gone = out.blocking_send(FromHost::Notice(Notice::Log { level: LogLevel::Error, text }));
            }
        };
        spawn(work)?;
        Ok(Tracing { file })
    }

    /// One that the program wrote itself. `wall_ns` is what this machine's clock says now: wall clock less the clock of all times, if it is known.
    pub(super) fn open(path: &Path, wall_ns: Option<i64>) -> Result<Tracing, Failure> {
        let fail = |kind, why: String| Failure::new(kind, format!("{}: {why}", path.display()));
        let file = std::fs::File::open(path).map_err(|e| fail(FailureKind::BadRequest, e.to_string()))?;
        let mut trace = TraceFile::open(Arc::new(file)).map_err(|f| {
            fail(FailureKind::BadBinary, f.trouble.to_string())
                .fix("it takes what runtime/trace or a flight recorder wrote")
        })?;
        while trace.summary().events == 0 && !trace.done() {
            std::thread::sleep(POLL);
        }
        let (first, last) = trace.extent();
        let now = monotonic_ns().cast_signed();
        let theirs = trace.view(&TimelineQuery { columns: 1, ..TimelineQuery::default() }).wall_ns;
        let apart = theirs.zip(wall_ns).map(|(a, b)| (a - b).unsigned_abs());
        // Clocks that are set by the net drift, and jump when somebody sets them.
        if apart.is_some_and(|ns| ns > SAME_CLOCK) || first < 0 || last > now.saturating_add(LEEWAY) {
            let why = "it was taken on another machine, or before this one was started: its clock is another";
            return Err(fail(FailureKind::BadRequest, why.into()).fix("adit FILE opens it by itself"));
        }
        let taken = Tracing { file: Arc::default() };
        let _it_is_new = taken.file.set((trace.progress(), Mutex::new(trace)));
        Ok(taken)
    }

    /// Is there something in it?
    pub(super) fn ready(&self) -> bool {
        self.file.get().is_some()
    }

    /// First and last time in it, as far as it is read.
    pub(super) fn extent(&self) -> (i64, i64) {
        self.file.get().map_or((0, 0), |f| f.0.extent())
    }

    /// Answers a question from it, on a thread of its own: a part of a trace may have to be read again, and the thread that asks has breakpoints to serve.
    pub(super) fn answer(
        &self,
        id: u64,
        out: Out,
        question: impl FnOnce(&mut TraceFile) -> Reply + Send + 'static,
    ) -> Result<(), Failure> {
        self.try_answer(id, out, move |f| Ok(question(f)))
    }

    /// The same where there may be no answer.
    pub(super) fn try_answer(
        &self,
        id: u64,
        out: Out,
        question: impl FnOnce(&mut TraceFile) -> Result<Reply, Failure> + Send + 'static,
    ) -> Result<(), Failure> {
        let file = self.file.clone();
        spawn(move || {
            let asked = file.get().map(|f| question(&mut f.1.lock().unwrap_or_else(PoisonError::into_inner)));
            let result =
                asked.unwrap_or_else(|| Err(Failure::new(FailureKind::BadState, "the trace is not there yet")));
            let _client_is_gone = out.blocking_send(FromHost::Reply { id, result });
        })
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let spawned = std::thread::Builder::new().name("trace".into()).spawn(work);
    spawned.map(drop).map_err(|e| Failure::new(FailureKind::Internal, format!("no thread for the trace: {e}")))
}

fn take(pid: i32, linked: bool, seconds: u32) -> Result<TraceFile, Failure> {
    let at = profiles::handlers(pid, linked).map_err(|why| Failure::new(FailureKind::Unavailable, why))?;
    let url = format!("{at}trace?seconds={seconds}");
    let body = fetch::get(&url)?;
    let spool = Spool::start(body).map_err(|e| {
        Failure::new(FailureKind::Internal, format!("no room for the trace: {e}"))
            .fix("set TMPDIR to a folder with room")
    })?;
    let file = TraceFile::open(Arc::new(spool))
        .map_err(|f| Failure::new(FailureKind::BadBinary, format!("{url}: {}", f.trouble)))?;
    while file.summary().events == 0 && !file.done() {
        std::thread::sleep(POLL);
    }
    Ok(file)
}
