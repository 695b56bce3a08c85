//! What an execution trace comes to as a profile, so that it is shown, drawn and compared as every other one: `FILE#sync`,
//! `FILE#sync,region=NAME` and the like.

use super::files::{FileKind, recognise};
use super::protocol::{Failure, FailureKind};
use crate::model::{
    FunctionTimes, Profile, ProfileFrame, ProfileFunction, TraceFilter, TraceReport, TraceReportKind, ValueKind,
};
use crate::trace::exec::{Chunk, Fault, Mode, Reader};
use crate::trace::file::TraceFile;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Longest that a trace is read.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// Profiles that a trace has, by the words of [`TraceReportKind`].
const WORDS: [&str; 6] = ["functions", "sync", "network", "syscall", "sched", "cpu"];

/// A word, and the part of the trace that it is about: `sync`, `sync,region=NAME`, `sched,task=ID`.
fn word_of(text: &str) -> Option<(&str, Option<TraceFilter>)> {
    let (word, part) = text.split_once(',').map_or((text, None), |(w, p)| (w, Some(p)));
    let of = match part.map(|p| p.split_once('=')) {
        None => None,
        Some(Some(("region", name))) if !name.is_empty() => Some(TraceFilter::Region(name.into())),
        Some(Some(("task", name))) if !name.is_empty() => Some(TraceFilter::task(name)),
        Some(_) => return None,
    };
    WORDS.contains(&word).then_some((word, of))
}

/// File and word of `FILE#sync` or `FILE#sync,region=NAME`; of a trace without a word, where goroutines of each function spend their time.
pub fn parts(source: &str) -> Option<(&str, &str)> {
    let named = source
        .rsplit_once('#')
        .filter(|(f, w)| word_of(w).is_some() && !Path::new(source).exists() && Path::new(f).exists());
    let (file, word) = named.unwrap_or((source, WORDS[0]));
    (recognise(Path::new(file)).ok()? == FileKind::Trace).then_some((file, word))
}

/// Is this a trace that Go's own reader takes from its begin to its end? The failure names its first fault.
pub fn check(file: &str) -> Result<(), Failure> {
    let fail = |kind, why: String| Failure::new(kind, format!("{file}: {why}"));
    if recognise(Path::new(file)).ok() != Some(FileKind::Trace) {
        return Err(fail(FailureKind::BadRequest, "--strict is about execution traces, and this is none".into()));
    }
    let opened = std::fs::File::open(file).map_err(|e| fail(FailureKind::BadRequest, e.to_string()))?;
    let broken =
        |f: Fault| fail(FailureKind::BadBinary, f.to_string()).fix("without --strict what is left of it is shown");
    let mut reader = Reader::open(Arc::new(opened), Mode::Strict).map_err(broken)?;
    let mut chunk = Chunk::default();
    while reader.next(&mut chunk).map_err(broken)? {}
    Ok(())
}

/// Reads the trace and makes the profile.
pub fn fetch(file: &str, word: &str) -> Result<Profile, Failure> {
    let fail = |why: String| Failure::new(FailureKind::BadBinary, format!("{file}: {why}"));
    let opened = std::fs::File::open(file).map_err(|e| fail(e.to_string()))?;
    let trace = TraceFile::open(Arc::new(opened)).map_err(|f| fail(f.trouble.to_string()))?;
    if !trace.wait(PATIENCE) {
        return Err(fail("reading it takes more than an hour".into()));
    }
    let (word, of) = word_of(word).ok_or_else(|| fail(format!("{word} is no profile of a trace")))?;
    let kind = TraceReportKind::ALL.iter().find(|k| k.0 == word).map_or(TraceReportKind::Functions, |k| k.1);
    let report = match of {
        Some(of) => trace.report_of(kind, of).map_err(fail)?,
        None => trace.report(kind),
    };
    let mut p = match report {
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
