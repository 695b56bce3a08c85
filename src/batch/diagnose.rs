//! `adit diagnose`.

use super::goroutines::head;
use super::{Style, exit, json, text, unexpected, write_failure};
use crate::backend::client::Client;
use crate::backend::protocol::{DiagnoseQuery, Failure, Reply, Request};
use crate::model::{CycleStep, DetectorRun, Finding, FindingClass, ReadMode, Severity, TargetInfo, WaitObject};
use std::io::Write;

/// What to say, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnose {
    /// Findings below this class do not change the exit code.
    pub min: FindingClass,
    /// Without the heap.
    pub no_heap: bool,
    /// Findings to leave out.
    pub mutes: Vec<String>,
    /// Text or JSON.
    pub style: Style,
}

/// Diagnoses; the exit code says whether something at or above `min` was found.
pub fn diagnose(client: &mut Client, target: &TargetInfo, args: &Diagnose, out: &mut dyn Write) -> Result<u8, Failure> {
    let listed = if args.style.json { u32::MAX } else { 12 };
    let query = DiagnoseQuery { listed, mutes: args.mutes.clone(), no_heap: args.no_heap };
    let (read, d) = match client.call(Request::Diagnose(query))? {
        Reply::Diagnosis { read, diagnosis, .. } => (read, diagnosis),
        other => return Err(unexpected(&other)),
    };
    let mut b = Vec::new();
    if args.style.json {
        head(&mut b, "adit/diagnosis/1", target, &read);
        b.extend_from_slice(b",\"findings\":[");
        for (i, f) in d.findings.iter().enumerate() {
            json::comma(&mut b, i);
            finding_json(&mut b, f);
        }
        b.extend_from_slice(b"],\"detectors\":[");
        for (i, r) in d.detectors.iter().enumerate() {
            json::comma(&mut b, i);
            b.extend_from_slice(b"{\"kind\":");
            json::string(&mut b, r.kind.name());
            b.extend_from_slice(if r.ran { b",\"ran\":true" } else { b",\"ran\":false" });
            b.extend_from_slice(b",\"reason\":");
            json::string(&mut b, &r.reason);
            b.push(b'}');
        }
        b.extend_from_slice(b"],\"muted\":");
        json::number(&mut b, d.muted);
        b.extend_from_slice(b"}\n");
    } else {
        for f in &d.findings {
            finding_text(&mut b, f, args.style.color);
        }
        if d.findings.is_empty() {
            b.extend_from_slice(b"no known pattern\n");
        }
        text::line(
            &mut b,
            &format!(
                "{} goroutines, {} findings{}, {:.1} s{}",
                d.goroutines,
                d.findings.len(),
                if d.muted > 0 { format!(" ({} muted)", d.muted) } else { String::new() },
                read.took_us as f64 / 1e6,
                match read.mode {
                    ReadMode::Offline if read.pause_us == 0 => ", from a file".into(),
                    ReadMode::Observed => ", nothing stopped".into(),
                    _ => format!(", the process stood for {:.1} ms", read.pause_us as f64 / 1e3),
                },
            ),
        );
        silent_text(&mut b, &d.detectors);
    }
    out.write_all(&b).and_then(|()| out.flush()).map_err(write_failure)?;
    let found = d.findings.iter().any(|f| f.class >= args.min);
    Ok(if found { exit::FINDINGS } else { exit::DONE })
}

/// Detectors that could not look, or saw less: those with one reason together.
fn silent_text(b: &mut Vec<u8>, detectors: &[DetectorRun]) {
    let mut reasons: Vec<(bool, &str, Vec<&str>)> = Vec::new();
    for r in detectors.iter().filter(|r| !r.ran || !r.reason.is_empty()) {
        match reasons.iter_mut().find(|x| (x.0, x.1) == (r.ran, r.reason.as_str())) {
            Some(x) => x.2.push(r.kind.name()),
            None => reasons.push((r.ran, &r.reason, vec![r.kind.name()])),
        }
    }
    for (ran, reason, kinds) in reasons {
        let how = if ran { "limited" } else { "could not look" };
        text::line(b, &format!("{how} ({reason}): {}", kinds.join(" ")));
    }
}

pub(super) fn object_json(b: &mut Vec<u8>, o: &WaitObject) {
    b.extend_from_slice(b"{\"kind\":");
    json::string(b, json::kind_name(o.kind));
    if let Some(a) = o.addr {
        b.extend_from_slice(b",\"addr\":");
        json::address(b, a);
    }
    for (key, v) in [("type", &o.type_name), ("name", &o.name)] {
        if let Some(v) = v {
            b.push(b',');
            json::string(b, key);
            b.push(b':');
            json::string(b, v);
        }
    }
    if !o.state.is_empty() {
        b.extend_from_slice(b",\"state\":");
        json::string(b, &o.state);
    }
    b.push(b'}');
}

fn strings(b: &mut Vec<u8>, key: &str, v: &[String]) {
    b.extend_from_slice(format!(",\"{key}\":[").as_bytes());
    for (i, s) in v.iter().enumerate() {
        json::comma(b, i);
        json::string(b, s);
    }
    b.push(b']');
}

fn numbers(b: &mut Vec<u8>, key: &str, v: &[crate::base::GoroutineId]) {
    b.extend_from_slice(format!(",\"{key}\":[").as_bytes());
    for (i, g) in v.iter().enumerate() {
        json::comma(b, i);
        json::number(b, g.0);
    }
    b.push(b']');
}

pub(super) fn finding_json(b: &mut Vec<u8>, f: &Finding) {
    for (key, v) in [("{\"kind", f.kind.name()), (",\"class", f.class.name()), (",\"severity", f.severity.name())] {
        b.extend_from_slice(key.as_bytes());
        b.extend_from_slice(b"\":");
        json::string(b, v);
    }
    numbers(b, "goroutines", &f.goroutines);
    b.extend_from_slice(b",\"count\":");
    json::number(b, f.count);
    if let Some(o) = &f.object {
        b.extend_from_slice(b",\"object\":");
        object_json(b, o);
    }
    if !f.cycle.is_empty() {
        b.extend_from_slice(b",\"cycle\":[");
        for (i, s) in f.cycle.iter().enumerate() {
            json::comma(b, i);
            match s {
                CycleStep::Goroutine(g) => json::string(b, &format!("g{}", g.0)),
                CycleStep::Object(o) => object_json(b, o),
            }
        }
        b.push(b']');
    }
    b.extend_from_slice(b",\"summary\":");
    json::string(b, &f.summary);
    strings(b, "why", &f.why);
    strings(b, "next", &f.next);
    numbers(b, "victims", &f.victims);
    b.extend_from_slice(b",\"victim_count\":");
    json::number(b, f.victim_count);
    if let Some(ns) = f.oldest_ns {
        b.extend_from_slice(b",\"oldest_ns\":");
        json::number(b, ns);
    }
    b.extend_from_slice(b",\"at\":{");
    json::place(b, &f.at);
    b.extend_from_slice(b"}}");
}

pub(super) fn finding_text(b: &mut Vec<u8>, f: &Finding, color: bool) {
    let word = match f.severity {
        Severity::High => "HIGH",
        Severity::Medium => "MED ",
        Severity::Info => "INFO",
    };
    let (on, off) = match (color, f.severity) {
        (true, Severity::High) => ("\x1b[31m", "\x1b[0m"),
        (true, Severity::Medium) => ("\x1b[33m", "\x1b[0m"),
        _ => ("", ""),
    };
    let p = |s: &str| crate::base::text::printable_str(s, 1_000);
    let head =
        format!("{on}{word} {:<16}{off} {:>6}  {} ({})\n", f.kind.name(), f.count, p(&f.summary), f.class.name());
    b.extend_from_slice(head.as_bytes());
    for w in &f.why {
        text::line(b, &format!("       {w}"));
    }
    let ids: Vec<String> = f.goroutines.iter().take(12).map(|g| g.0.to_string()).collect();
    let more = if f.count > ids.len() as u64 { " …" } else { "" };
    if !ids.is_empty() {
        text::line(b, &format!("       goroutines {}{more}", ids.join(" ")));
    }
    if f.victim_count > 0 {
        let ids: Vec<String> = f.victims.iter().take(12).map(|g| g.0.to_string()).collect();
        text::line(b, &format!("       {} wait because of them: {}", f.victim_count, ids.join(" ")));
    }
    for n in &f.next {
        text::line(b, &format!("       > {n}"));
    }
}
