//! `adit refs`: who keeps an object alive; without an object, what the live heap is made of.

use super::goroutines::head;
use super::{Style, exit, json, text, unexpected, write_failure};
use crate::backend::client::Client;
use crate::backend::protocol::{Failure, FrameRef, Reply, Request};
use crate::base::GoroutineId;
use crate::model::{HeapBy, HeapObject, HeapSummary, ReadInfo, RefStep, References, TargetInfo};
use std::io::Write;

/// What to look for, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefsOf {
    /// `0xc000123400`, or an expression in a goroutine's frame.
    pub object: Option<String>,
    /// Whose frame; none for the first goroutine.
    pub goroutine: Option<u64>,
    /// Which frame.
    pub frame: u32,
    /// Sums by type or by root.
    pub by: HeapBy,
    /// Paths or rows at most.
    pub count: u32,
    /// Text or JSON.
    pub style: Style,
}

/// Prints it; returns the exit code.
pub fn refs(client: &mut Client, target: &TargetInfo, args: &RefsOf, out: &mut dyn Write) -> Result<u8, Failure> {
    let mut b = Vec::new();
    match &args.object {
        Some(object) => {
            let frame = FrameRef { goroutine: Some(GoroutineId(args.goroutine.unwrap_or(1))), frame: args.frame };
            let request = Request::Refs { object: object.clone(), frame, count: args.count };
            let found = match client.call(request)? {
                Reply::Refs { references, .. } => references,
                other => return Err(unexpected(&other)),
            };
            if args.style.json {
                head(&mut b, "adit/refs/1", target, &ReadInfo::default());
                references_json(&mut b, &found);
            } else {
                references_text(&mut b, &found);
            }
        }
        None => {
            let (read, heap) = match client.call(Request::Heap { by: args.by, count: args.count })? {
                Reply::Heap { read, heap, .. } => (read, heap),
                other => return Err(unexpected(&other)),
            };
            if args.style.json {
                head(&mut b, "adit/heap/1", target, &read);
                heap_json(&mut b, &heap);
            } else {
                heap_text(&mut b, &heap, args.by);
            }
        }
    }
    out.write_all(&b).and_then(|()| out.flush()).map_err(write_failure)?;
    Ok(exit::DONE)
}

fn key(b: &mut Vec<u8>, name: &str) {
    b.extend_from_slice(format!(",\"{name}\":").as_bytes());
}

fn object_json(b: &mut Vec<u8>, o: &HeapObject) {
    b.extend_from_slice(b"{\"addr\":");
    json::address(b, o.addr);
    key(b, "size");
    json::number(b, o.size);
    if let Some(t) = &o.type_name {
        key(b, "type");
        json::string(b, t);
    }
    b.push(b'}');
}

fn references_json(b: &mut Vec<u8>, r: &References) {
    key(b, "object");
    object_json(b, &r.object);
    key(b, "roots");
    json::number(b, r.roots);
    key(b, "paths");
    b.push(b'[');
    for (i, p) in r.paths.iter().enumerate() {
        json::comma(b, i);
        b.push(b'[');
        for (j, s) in p.iter().enumerate() {
            json::comma(b, j);
            step_json(b, s);
        }
        b.push(b']');
    }
    b.extend_from_slice(b"]}\n");
}

fn step_json(b: &mut Vec<u8>, s: &RefStep) {
    match s {
        RefStep::Global { name, addr } => {
            b.extend_from_slice(b"{\"global\":");
            json::string(b, name);
            key(b, "addr");
            json::address(b, *addr);
        }
        RefStep::Stack { goroutine, at, variable, addr } => {
            b.extend_from_slice(b"{\"goroutine\":");
            json::number(b, goroutine.0);
            b.push(b',');
            json::place(b, at);
            if let Some(v) = variable {
                key(b, "variable");
                json::string(b, v);
            }
            key(b, "addr");
            json::address(b, *addr);
        }
        RefStep::Special { what, addr } => {
            b.extend_from_slice(b"{\"special\":");
            json::string(b, what);
            key(b, "addr");
            json::address(b, *addr);
        }
        RefStep::Object { object, offset, field } => {
            b.extend_from_slice(b"{\"object\":");
            object_json(b, object);
            key(b, "offset");
            json::number(b, *offset);
            if let Some(f) = field {
                key(b, "field");
                json::string(b, f);
            }
        }
    }
    b.push(b'}');
}

fn object_text(o: &HeapObject) -> String {
    let t = o.type_name.clone().unwrap_or_else(|| format!("{} bytes", o.size));
    format!("{t} {}", o.addr)
}

fn references_text(b: &mut Vec<u8>, r: &References) {
    text::line(b, &format!("{}, {} bytes", object_text(&r.object), r.object.size));
    if r.paths.is_empty() {
        text::line(b, "nothing refers to it: it is garbage that was not collected yet");
    }
    for p in &r.paths {
        for (i, s) in p.iter().enumerate() {
            let words = match s {
                RefStep::Global { name, addr } => format!("{name} ({addr})"),
                RefStep::Stack { goroutine, at, variable, .. } => {
                    format!(
                        "g{} {}{}",
                        goroutine.0,
                        text::place(at),
                        variable.as_ref().map(|v| format!(" {v}")).unwrap_or_default()
                    )
                }
                RefStep::Special { what, addr } => format!("{what} ({addr})"),
                RefStep::Object { object, offset, field } => match (field, offset, i + 1 == p.len()) {
                    (Some(f), _, false) => format!("{}{f}", object_text(object)),
                    (None, o, false) => format!("{} at +{o}", object_text(object)),
                    _ => object_text(object),
                },
            };
            text::line(
                b,
                &format!("{:width$}{}{words}", "", if i == 0 { "" } else { "-> " }, width = 2 + 2 * i.min(30)),
            );
        }
    }
    if r.roots > r.paths.len() as u64 {
        text::line(b, &format!("{} paths in all", r.roots));
    }
}

fn heap_json(b: &mut Vec<u8>, h: &HeapSummary) {
    for (name, v) in [("live", h.live), ("garbage", h.garbage)] {
        key(b, name);
        b.extend_from_slice(format!("{{\"objects\":{},\"bytes\":{}}}", v.0, v.1).as_bytes());
    }
    key(b, "count");
    json::number(b, h.total_rows);
    key(b, "rows");
    b.push(b'[');
    for (i, r) in h.rows.iter().enumerate() {
        json::comma(b, i);
        b.extend_from_slice(b"{\"name\":");
        json::string(b, &r.name);
        key(b, "objects");
        json::number(b, r.count);
        key(b, "bytes");
        json::number(b, r.bytes);
        key(b, "sample");
        json::address(b, r.sample);
        b.push(b'}');
    }
    b.extend_from_slice(b"]}\n");
}

fn heap_text(b: &mut Vec<u8>, h: &HeapSummary, by: HeapBy) {
    text::line(
        b,
        &format!("{:>12} {:>14}  {}", "OBJECTS", "BYTES", if by == HeapBy::Type { "TYPE" } else { "KEPT BY" }),
    );
    for r in &h.rows {
        text::line(b, &format!("{:>12} {:>14}  {}", r.count, r.bytes, r.name));
    }
    let of = |v: (u64, u64)| format!("{} objects, {:.1} MiB", v.0, v.1 as f64 / 1048576.0);
    text::line(b, &format!("live {}; not collected yet {}; {} rows", of(h.live), of(h.garbage), h.total_rows));
}
