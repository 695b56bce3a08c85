//! `adit waits`.

use super::diagnose::object_json;
use super::goroutines::head;
use super::{Style, exit, json, text, unexpected, write_failure};
use crate::backend::client::Client;
use crate::backend::protocol::{Failure, Reply, Request, WaitQuery};
use crate::base::GoroutineId;
use crate::model::{EdgeKind, TargetInfo, WaitGraph, WaitNode, WaitObject};
use std::io::Write;

/// What to draw, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WaitsOf {
    /// Around this goroutine.
    pub goroutine: Option<u64>,
    /// Text or JSON.
    pub style: Style,
}

/// Nodes of text output.
const SHOWN: u32 = 400;

/// Prints the graph.
pub fn waits(client: &mut Client, target: &TargetInfo, args: &WaitsOf, out: &mut dyn Write) -> Result<u8, Failure> {
    let json = args.style.json;
    let query = WaitQuery {
        around: args.goroutine.map(GoroutineId),
        fold: !json,
        limit: if json { 0 } else { SHOWN },
        ..WaitQuery::default()
    };
    let (read, graph) = match client.call(Request::Waits(query))? {
        Reply::Waits { read, graph, .. } => (read, graph),
        other => return Err(unexpected(&other)),
    };
    let mut b = Vec::new();
    if json {
        head(&mut b, "adit/waits/1", target, &read);
        graph_json(&mut b, &graph);
        b.extend_from_slice(b"}\n");
    } else {
        graph_text(&mut b, &graph);
    }
    out.write_all(&b).and_then(|()| out.flush()).map_err(write_failure)?;
    Ok(exit::DONE)
}

/// `g1`, `o1`: goroutines by their id, objects numbered.
fn names(g: &WaitGraph) -> Vec<String> {
    let mut objects = 0;
    let name = |n: &WaitNode| match n {
        WaitNode::Goroutines { ids, .. } => format!("g{}", ids.first().map_or(0, |i| i.0)),
        WaitNode::Object(_) => {
            objects += 1;
            format!("o{objects}")
        }
    };
    g.nodes.iter().map(name).collect()
}

fn graph_json(b: &mut Vec<u8>, g: &WaitGraph) {
    let names = names(g);
    b.extend_from_slice(b",\"nodes\":[");
    for (i, n) in g.nodes.iter().enumerate() {
        json::comma(b, i);
        b.extend_from_slice(b"{\"id\":");
        json::string(b, &names[i]);
        match n {
            WaitNode::Goroutines { ids, .. } => {
                b.extend_from_slice(b",\"goroutine\":");
                json::number(b, ids.first().map_or(0, |i| i.0));
            }
            WaitNode::Object(o) => {
                b.extend_from_slice(b",\"object\":");
                object_json(b, o);
            }
        }
        b.push(b'}');
    }
    b.extend_from_slice(b"],\"edges\":[");
    for (i, e) in g.edges.iter().enumerate() {
        json::comma(b, i);
        b.extend_from_slice(b"{\"from\":");
        json::string(b, &names[e.from as usize]);
        b.extend_from_slice(b",\"to\":");
        json::string(b, &names[e.to as usize]);
        match e.kind {
            EdgeKind::Waits(op) => {
                b.extend_from_slice(b",\"op\":");
                json::string(b, json::op_name(op));
            }
            EdgeKind::Held(ev) => {
                b.extend_from_slice(b",\"op\":\"held\",\"evidence\":");
                json::string(b, ev.name());
            }
        }
        b.push(b'}');
    }
    b.extend_from_slice(b"],\"cycles\":[");
    for (i, c) in g.cycles.iter().enumerate() {
        json::comma(b, i);
        b.push(b'[');
        for (j, n) in c.iter().enumerate() {
            json::comma(b, j);
            json::string(b, &names[*n as usize]);
        }
        b.push(b']');
    }
    b.push(b']');
}

fn object_text(o: &WaitObject) -> String {
    let name = o.name.clone().unwrap_or_else(|| o.type_name.clone().unwrap_or_else(|| json::kind_name(o.kind).into()));
    let addr = o.addr.map(|a| format!(" {a}")).unwrap_or_default();
    let state = if o.state.is_empty() { String::new() } else { format!(" {}", o.state) };
    format!("[{name}{addr}{state}]")
}

fn goroutine_text(n: &WaitNode) -> String {
    let WaitNode::Goroutines { count, ids, sample, .. } = n else { return String::new() };
    let first = ids.first().map_or(0, |i| i.0);
    let at = format!("{} {}:{}", sample.user.short_function(), sample.user.base_file(), sample.user.line);
    if *count > 1 { format!("{count} x g{first}… {at}") } else { format!("g{first} {at}") }
}

fn graph_text(b: &mut Vec<u8>, g: &WaitGraph) {
    for (n, node) in g.nodes.iter().enumerate() {
        let WaitNode::Object(o) = node else { continue };
        let n = n as u32;
        let cycle = g.cycles.iter().any(|c| c.contains(&n));
        let of = |e: &crate::model::WaitEdge| &g.nodes[e.from as usize];
        let leak =
            g.edges.iter().filter(|e| e.to == n).any(|e| matches!(of(e), WaitNode::Goroutines { leaked: true, .. }));
        let mark = if cycle {
            "  CYCLE"
        } else if leak {
            "  LEAK"
        } else {
            ""
        };
        text::line(b, &format!("{}{mark}", object_text(o)));
        for e in g.edges.iter().filter(|e| e.to == n) {
            let EdgeKind::Waits(op) = e.kind else { continue };
            text::line(b, &format!("    {:<8} {}", json::op_name(op), goroutine_text(of(e))));
        }
        for e in g.edges.iter().filter(|e| e.from == n) {
            let EdgeKind::Held(ev) = e.kind else { continue };
            let lock = crate::diagnose::graph::is_lock(o.kind);
            let word = if lock { "held by" } else { "known to" };
            text::line(b, &format!("    {word} {} ({})", goroutine_text(&g.nodes[e.to as usize]), ev.name()));
        }
    }
    if g.nodes.is_empty() {
        text::line(b, "no goroutine waits for another");
    }
    let more = if g.truncated { "; only a part is shown, --json has all" } else { "" };
    text::line(b, &format!("{} goroutines wait for others, {} cycles{more}", g.waiting, g.cycles.len()));
}
