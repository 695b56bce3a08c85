//! Text of `debug=1`: heap, allocs, block and mutex profiles as Go's handlers write them for people
//! (`runtime/pprof/pprof.go`, writeHeapInternal and printCountCycleProfile). Goroutine profiles in text are dumps and open as such.

use super::calls::{Builder, CallsError, Facts};
use super::tree::ROOT;
use crate::model::{ProfileFrame, ProfileFunction, ValueKind};
use regex::Regex;
use std::io::{self, BufRead, Read};
use std::sync::LazyLock;

/// Longest line.
const MAX_LINE: u64 = 1 << 20;

/// Why such a text could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LegacyError {
    /// The file.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A record that cannot be read.
    #[error("line {0} is no record of a profile in text")]
    Line(u64),
    /// Too large, or of another kind than the files before.
    #[error(transparent)]
    Calls(#[from] CallsError),
}

/// `# 0x4e2c4b main.f+0x2b /src/main.go:19`, tabs between
static PLACE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^#\s+0x[0-9a-f]+\s+(\S.*?)\+0x[0-9a-f]+\s+(\S.*):(\d+)\s*$").ok());

#[derive(Clone, Copy)]
enum Form {
    /// Sampled every so many bytes.
    Heap(f64),
    /// Cycles in a second; events of which one is on record.
    Contention { per_second: f64, period: f64 },
}

/// Whether text begins like one.
pub fn is_legacy(head: &[u8]) -> bool {
    ["heap profile: ", "--- contention:", "--- mutex:"].iter().any(|w| head.starts_with(w.as_bytes()))
}

fn kinds(names: &[(&str, &str)]) -> Vec<ValueKind> {
    names.iter().map(|(n, u)| ValueKind { name: n.to_string(), unit: u.to_string() }).collect()
}

/// Reads such a text into a builder.
pub fn read(from: impl BufRead, into: &mut Builder) -> Result<(), LegacyError> {
    let mut from = from;
    let mut line = Vec::new();
    let mut form: Option<Form> = None;
    let mut begun = false;
    let mut record: Option<Vec<i64>> = None;
    let mut stack: Vec<u32> = Vec::new();
    for n in 1.. {
        line.clear();
        if from.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        if form.is_none() {
            form = Some(header(text).ok_or(LegacyError::Line(n))?);
            continue;
        }
        if let (Some(Form::Contention { per_second, period }), Some((key, v))) = (form.as_mut(), text.split_once('=')) {
            match key.trim() {
                "cycles/second" => *per_second = v.trim().parse().unwrap_or(*per_second),
                "sampling period" => *period = v.trim().parse().unwrap_or(*period),
                _ => {}
            }
            continue;
        }
        if text.starts_with("# runtime.MemStats") {
            break;
        }
        if text.starts_with('#') {
            if let Some(frame) = place(text, into)? {
                stack.push(frame);
            }
            continue;
        }
        if let Some(f) = form.filter(|_| !begun) {
            begun = true;
            into.begin(&kinds_of(f), kinds_of(f).len() - 1, Facts::default())?;
        }
        flush(&mut record, &mut stack, into)?;
        if !text.is_empty() {
            record = form.and_then(|f| values(text, f));
            if record.is_none() {
                return Err(LegacyError::Line(n));
            }
        }
    }
    if let Some(f) = form.filter(|_| !begun) {
        into.begin(&kinds_of(f), kinds_of(f).len() - 1, Facts::default())?;
    }
    flush(&mut record, &mut stack, into)
}

fn kinds_of(f: Form) -> Vec<ValueKind> {
    match f {
        Form::Heap(_) => kinds(&[
            ("alloc_objects", "count"),
            ("alloc_space", "bytes"),
            ("inuse_objects", "count"),
            ("inuse_space", "bytes"),
        ]),
        Form::Contention { .. } => kinds(&[("contentions", "count"), ("delay", "nanoseconds")]),
    }
}

fn header(line: &str) -> Option<Form> {
    if line.starts_with("heap profile: ") {
        // Go writes twice its rate, as the format's first users did.
        let rate: f64 = line.rsplit_once("heap/")?.1.trim().parse().ok()?;
        return Some(Form::Heap(rate / 2.0));
    }
    (line.starts_with("--- contention:") || line.starts_with("--- mutex:"))
        .then_some(Form::Contention { per_second: 1e9, period: 1.0 })
}

/// `1: 288 [2: 576] @ 0x…` or `19064 1 @ 0x…`
fn values(line: &str, form: Form) -> Option<Vec<i64>> {
    let (head, _) = line.split_once('@')?;
    let n: Vec<i64> =
        head.split([' ', ':', '[', ']']).filter(|w| !w.is_empty()).map(str::parse).collect::<Result<_, _>>().ok()?;
    match (form, n.as_slice()) {
        (Form::Heap(rate), [in_n, in_bytes, all_n, all_bytes]) => {
            let (a, b) = unsampled(*all_n, *all_bytes, rate);
            let (c, d) = unsampled(*in_n, *in_bytes, rate);
            Some(vec![a, b, c, d])
        }
        (Form::Contention { per_second, period }, [cycles, count]) => {
            let ns = *cycles as f64 * 1e9 / per_second.max(1.0);
            Some(vec![(*count as f64 * period) as i64, (ns * period) as i64])
        }
        _ => None,
    }
}

/// What the sampled objects stand for, as Go's own writer estimates it.
fn unsampled(count: i64, bytes: i64, rate: f64) -> (i64, i64) {
    if count == 0 || bytes == 0 {
        return (0, 0);
    }
    if rate <= 1.0 {
        return (count, bytes);
    }
    let mean = bytes as f64 / count as f64;
    let scale = 1.0 / (1.0 - (-mean / rate).exp());
    ((count as f64 * scale) as i64, (bytes as f64 * scale) as i64)
}

fn place(line: &str, into: &mut Builder) -> Result<Option<u32>, LegacyError> {
    let Some(c) = PLACE.as_ref().and_then(|re| re.captures(line)) else { return Ok(None) };
    let (name, file) = (into.string(&c[1]), into.string(&c[2]));
    let function = into.function(ProfileFunction { name, file, start_line: 0 })?;
    Ok(Some(into.frame(ProfileFrame { function, line: c[3].parse().unwrap_or(0), inlined: false })?))
}

fn flush(record: &mut Option<Vec<i64>>, stack: &mut Vec<u32>, into: &mut Builder) -> Result<(), LegacyError> {
    if let Some(values) = record.take() {
        let mut node = ROOT;
        for f in stack.iter().rev() {
            node = into.child(node, *f)?;
        }
        into.sample(node, 0, &values)?;
    }
    stack.clear();
    Ok(())
}
