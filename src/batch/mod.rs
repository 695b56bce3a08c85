//! Floor 9: one-shots: what scripts, tests and people without a terminal call. Text or the JSON of the contract, page by
//! page, so that a million goroutines need no more memory than a page.

mod diagnose;
pub mod fleet;
mod goroutines;
mod json;
mod prof;
mod refs;
mod snapshot;
mod stack;
mod text;
mod timeline;
mod trace;
mod waits;

pub use diagnose::{Diagnose, diagnose};
pub use goroutines::{Goroutines, goroutines};
pub use prof::{Prof, ROWS as PROFILE_ROWS, ReportOf, prof};
pub use refs::{RefsOf, refs};
pub use snapshot::{Snapshot, snapshot};
pub use stack::{StackOf, stack};
pub use timeline::{TimelineOf, timeline};
pub use waits::{WaitsOf, waits};

use crate::backend::client::Client;
use crate::backend::protocol::{Failure, FailureKind, PROTOCOL_VERSION, Reply, Request, TargetSpec};
use crate::model::{ReadInfo, ReadMode, TargetInfo, TargetKind, TimelineQuery};
use std::{io::Write, sync::Arc};

/// Rows of one request.
pub const PAGE: u64 = 4096;

/// Exit codes of the contract.
pub mod exit {
    /// Done.
    pub const DONE: u8 = 0;
    /// Findings, or an expectation that failed.
    pub const FINDINGS: u8 = 1;
    /// Wrong usage.
    pub const USAGE: u8 = 2;
    /// The target ended while needed.
    pub const GONE: u8 = 3;
    /// Could not attach or open.
    pub const OPEN: u8 = 5;
    /// A limit was exceeded.
    pub const LIMIT: u8 = 6;
    /// Interrupted.
    pub const INTERRUPTED: u8 = 130;
}

/// The exit code for a failure.
pub fn exit_code(f: &Failure) -> u8 {
    match f.kind {
        FailureKind::BadRequest => exit::USAGE,
        FailureKind::Gone => exit::GONE,
        FailureKind::Limit => exit::LIMIT,
        FailureKind::Cancelled => exit::INTERRUPTED,
        _ => exit::OPEN,
    }
}

/// How output is to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// JSON, or text.
    pub json: bool,
    /// Colours in text.
    pub color: bool,
}

/// Opens a target for a one-shot.
pub fn open(client: &mut Client, spec: TargetSpec) -> Result<Arc<TargetInfo>, Failure> {
    match client.call(Request::Hello { version: PROTOCOL_VERSION })? {
        Reply::Hello { version: PROTOCOL_VERSION, .. } => {}
        _ => return Err(Failure::new(FailureKind::Host, "the host is of another version: use the same on both sides")),
    }
    match client.call(Request::Open(spec))? {
        Reply::Opened { target, .. } => {
            if target.kind == TargetKind::Trace {
                read_whole(client)?;
            }
            Ok(target)
        }
        other => Err(unexpected(&other)),
    }
}

/// Waits until a file that is read behind is read: a one-shot is about all of it.
fn read_whole(client: &mut Client) -> Result<(), Failure> {
    let query = TimelineQuery { columns: 1, ..TimelineQuery::default() };
    loop {
        match client.call(Request::Timeline(query.clone()))? {
            Reply::Timeline(v) if v.growing => std::thread::sleep(std::time::Duration::from_millis(10)),
            Reply::Timeline(_) => return Ok(()),
            other => return Err(unexpected(&other)),
        }
    }
}

/// A reply that does not belong to its request.
fn unexpected(reply: &Reply) -> Failure {
    let name = format!("{reply:?}");
    let name = name.split([' ', '(', '{']).next().unwrap_or("").to_string();
    Failure::new(FailureKind::Host, format!("the host answered with {name}"))
}

/// Writing failed: the reader went away, most often.
fn write_failure(e: std::io::Error) -> Failure {
    let kind = if e.kind() == std::io::ErrorKind::BrokenPipe { FailureKind::Cancelled } else { FailureKind::Internal };
    Failure::new(kind, format!("cannot write: {e}"))
}

/// A failure as the contract says: JSON on `out`, or text on `err`.
pub fn report(f: &Failure, style: Style, out: &mut dyn Write, err: &mut dyn Write) {
    // There is nobody to tell when writing the error fails, too.
    if style.json {
        let mut b = Vec::new();
        json::failure(&mut b, f);
        let _nobody = out.write_all(&b);
        return;
    }
    let red = if style.color { ("\x1b[31m", "\x1b[0m") } else { ("", "") };
    let line = |s: &str| crate::base::text::printable_str(s, 2_000);
    let mut lines = f.message.lines();
    let _nobody = writeln!(err, "{}adit: {}{}", red.0, line(lines.next().unwrap_or("")), red.1);
    for l in lines {
        let _nobody = writeln!(err, "  {}", line(&l.replace('\t', "    ")));
    }
    if let Some(fix) = &f.fix {
        let _nobody = writeln!(err, "  {}", line(fix));
    }
}

/// Reads of several pages as one.
fn add_read(sum: &mut ReadInfo, page: ReadInfo, first: bool) {
    if first {
        *sum = page;
        return;
    }
    sum.pause_us += page.pause_us;
    sum.retries += page.retries;
    sum.took_us += page.took_us;
}

fn mode_name(m: ReadMode) -> &'static str {
    match m {
        ReadMode::Observed => "observed",
        ReadMode::Stopped => "stopped",
        ReadMode::Offline => "offline",
    }
}
