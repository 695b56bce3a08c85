//! `adit timeline TRACE --by …`: what an execution trace comes to.

use super::{json, text};
use crate::model::{Location, Profile, TraceReport, TraceReportKind, WorldStop};
use crate::session::traces::{self, rows};
use serde::Serialize;
use std::io::Write;

/// Stacks in a JSON object.
const STACKS: usize = 1000;

fn field(b: &mut Vec<u8>, name: &str, v: &impl Serialize) {
    let text = serde_json::to_string(v).unwrap_or_else(|_| "null".into());
    let _vec = write!(b, ",\"{name}\":{text}");
}

fn frames<'a>(b: &mut Vec<u8>, stack: impl Iterator<Item = (&'a str, &'a str, u32)>) {
    b.push(b'[');
    for (i, (function, file, line)) in stack.enumerate() {
        json::comma(b, i);
        b.extend_from_slice(b"{\"function\":");
        json::string(b, function);
        b.extend_from_slice(b",\"file\":");
        json::string(b, file);
        let _vec = write!(b, ",\"line\":{line}}}");
    }
    b.push(b']');
}

/// `"by":"…"` and its rows, behind what stands there already.
pub fn report_json(b: &mut Vec<u8>, kind: TraceReportKind, r: &TraceReport) {
    let _vec = write!(b, ",\"by\":\"{}\"", kind.name());
    match r {
        TraceReport::Goroutines { rows, total } => {
            field(b, "total", total);
            field(b, "rows", rows);
        }
        TraceReport::Functions(rows) => field(b, "rows", rows),
        TraceReport::Regions(rows) => field(b, "rows", rows),
        TraceReport::Mutator(rows) => field(b, "rows", rows),
        TraceReport::OneRegion { done, rows, before, open } => {
            field(b, "total", &done.count);
            field(b, "done", done);
            field(b, "before", before);
            field(b, "open", open);
            field(b, "rows", rows);
        }
        TraceReport::TaskTimelines { tasks, total, events_left } => {
            field(b, "total", total);
            field(b, "events_left", events_left);
            field(b, "rows", tasks);
        }
        TraceReport::Tasks { rows, tasks, total } => {
            field(b, "total", total);
            field(b, "rows", rows);
            field(b, "tasks", tasks);
        }
        TraceReport::Logs { lines, total } => {
            field(b, "total", total);
            field(b, "rows", lines);
        }
        TraceReport::Profile(p) => profile_json(b, p),
        TraceReport::Stops { stops, total } => {
            field(b, "total", total);
            b.extend_from_slice(b",\"rows\":[");
            for (i, s) in stops.iter().enumerate() {
                json::comma(b, i);
                stop_json(b, s);
            }
            b.push(b']');
        }
    }
}

fn stop_json(b: &mut Vec<u8>, s: &WorldStop) {
    let _vec = write!(b, "{{\"from_ns\":{},\"length_ns\":{},\"kind\":", s.from_ns, s.length_ns);
    json::string(b, &s.kind);
    if let Some(g) = s.goroutine {
        let _vec = write!(b, ",\"goroutine\":{}", g.0);
    }
    b.extend_from_slice(b",\"stack\":");
    frames(b, s.stack.iter().map(|l: &Location| (l.function.as_str(), l.file.as_str(), l.line)));
    b.push(b'}');
}

fn profile_json(b: &mut Vec<u8>, p: &Profile) {
    let all = rows(p);
    field(b, "total", &all.len());
    field(b, "kinds", &p.kinds);
    b.extend_from_slice(b",\"rows\":[");
    for (i, r) in all.iter().take(STACKS).enumerate() {
        json::comma(b, i);
        b.extend_from_slice(b"{\"values\":");
        let values = serde_json::to_string(&r.values).unwrap_or_else(|_| "null".into());
        b.extend_from_slice(values.as_bytes());
        b.extend_from_slice(b",\"stack\":");
        frames(b, r.stack.iter().map(|f| (f.0.as_str(), f.1.as_str(), f.2)));
        b.push(b'}');
    }
    b.push(b']');
}

/// The same for people.
pub fn report_text(b: &mut Vec<u8>, r: &TraceReport) {
    for l in traces::report(r) {
        text::line(b, &l);
    }
}
