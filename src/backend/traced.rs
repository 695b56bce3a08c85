//! What an execution trace comes to as a profile, so that it is shown, drawn and compared as every other one: `FILE#sync` and the like.

use super::files::{FileKind, recognise};
use super::protocol::{Failure, FailureKind};
use crate::model::{FunctionTimes, Profile, ProfileFrame, ProfileFunction, TraceReport, TraceReportKind, ValueKind};
use crate::trace::file::TraceFile;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Longest that a trace is read.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// Profiles that a trace has, by the words of [`TraceReportKind`].
const WORDS: [&str; 6] = ["functions", "sync", "network", "syscall", "sched", "cpu"];

/// File and word of `FILE#sync`; of a trace without a word, where goroutines of each function spend their time.
pub fn parts(source: &str) -> Option<(&str, &str)> {
    let named = source
        .rsplit_once('#')
        .filter(|(f, w)| WORDS.contains(w) && !Path::new(source).exists() && Path::new(f).exists());
    let (file, word) = named.unwrap_or((source, WORDS[0]));
    (recognise(Path::new(file)).ok()? == FileKind::Trace).then_some((file, word))
}

/// Reads the trace and makes the profile.
pub fn fetch(file: &str, word: &str) -> Result<Profile, Failure> {
    let fail = |why: String| Failure::new(FailureKind::BadBinary, format!("{file}: {why}"));
    let opened = std::fs::File::open(file).map_err(|e| fail(e.to_string()))?;
    let trace = TraceFile::open(Arc::new(opened)).map_err(|f| fail(f.trouble.to_string()))?;
    if !trace.wait(PATIENCE) {
        return Err(fail("reading it takes more than an hour".into()));
    }
    let kind = TraceReportKind::ALL.iter().find(|k| k.0 == word).map_or(TraceReportKind::Functions, |k| k.1);
    let mut p = match trace.report(kind) {
        TraceReport::Profile(p) => p,
        TraceReport::Functions(rows) => of_functions(&rows),
        _ => return Err(fail(format!("no profile of {word} can be made"))),
    };
    let (faults, count) = trace.faults();
    p.notes.extend(faults.first().map(|f| format!("the trace is damaged ({count} faults): {}", f.trouble)));
    Ok(p)
}

/// Times of goroutines by the function that they were started with.
fn of_functions(rows: &[FunctionTimes]) -> Profile {
    let kind = |name: &str, unit: &str| ValueKind { name: name.into(), unit: unit.into() };
    let mut p = Profile {
        kinds: vec![
            kind("goroutines", "count"),
            kind("running", "nanoseconds"),
            kind("runnable", "nanoseconds"),
            kind("syscall", "nanoseconds"),
            kind("blocked", "nanoseconds"),
        ],
        shown: 1,
        ..Profile::default()
    };
    for r in rows {
        let n = p.functions.len() as u32;
        let name = if r.function.is_empty() { "(the trace does not say)" } else { &r.function };
        p.functions.push(ProfileFunction { name: name.into(), ..ProfileFunction::default() });
        p.frames.push(ProfileFrame { function: n, ..ProfileFrame::default() });
        p.stacks.push(n);
        p.ends.push(n + 1);
        let t = &r.times;
        let values = [r.count, t.running, t.runnable, t.syscall + t.syscall_blocked, t.all_blocked()];
        p.values.extend(values.map(|v| v.min(i64::MAX as u64).cast_signed()));
    }
    p
}
