//! `adit stack`.

use super::{Style, exit, json, text, unexpected, write_failure};
use crate::backend::client::Client;
use crate::backend::protocol::{Failure, FailureKind, FrameRef, GoroutineQuery, LoadLimits, Reply, Request};
use crate::base::{GoroutineId, text::printable_str};
use crate::model::{Goroutine, GoroutineFilter, ReadInfo, Stack, TargetInfo, Variable};
use std::io::Write;

/// Which goroutine, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StackOf {
    /// Whose stack.
    pub goroutine: u64,
    /// Frames at most.
    pub depth: u32,
    /// Text or JSON.
    pub style: Style,
}

/// The goroutine's own row: the filter is text, so that others may match, too.
fn row(client: &mut Client, id: GoroutineId) -> Result<Option<(ReadInfo, Goroutine)>, Failure> {
    let filter = GoroutineFilter { system: true, text: id.0.to_string(), inverse: false };
    let mut start = 0;
    loop {
        let query =
            GoroutineQuery { filter: filter.clone(), start, count: super::PAGE, stack: 0, defers: false, names: false };
        let (read, total, rows) = match client.call(Request::Goroutines(query))? {
            Reply::Goroutines { read, total, rows, .. } => (read, total, rows),
            other => return Err(unexpected(&other)),
        };
        start += rows.len() as u64;
        let last = rows.is_empty() || start >= total;
        if let Some(g) = rows.into_iter().find(|g| g.id == id) {
            return Ok(Some((read, g)));
        }
        if last {
            return Ok(None);
        }
    }
}

/// Prints it; returns the exit code.
pub fn stack(client: &mut Client, target: &TargetInfo, args: &StackOf, out: &mut dyn Write) -> Result<u8, Failure> {
    let id = GoroutineId(args.goroutine);
    let depth = if args.depth == 0 { 1_000 } else { args.depth };
    let stack = match client.call(Request::Stack { goroutine: Some(id), depth, defers: true })? {
        Reply::Stack { stack, .. } => stack,
        other => return Err(unexpected(&other)),
    };
    let found = row(client, id)?;
    let Some((read, g)) = found else {
        return Err(Failure::new(FailureKind::BadRequest, format!("no goroutine {id}"))
            .fix("adit goroutines TARGET lists them; it may have ended"));
    };
    let variables = variables(client, id, &stack);
    let mut buf = Vec::new();
    if args.style.json {
        super::goroutines::head(&mut buf, "adit/stack/1", target, &read);
        buf.extend_from_slice(b",\"goroutine\":");
        let mut rows = json::Rows::default();
        rows.goroutine(&mut buf, &Goroutine { stack: None, defers: None, ..g });
        rows.frames(&mut buf, &stack.frames);
        rows.defers(&mut buf, stack.frames.iter().flat_map(|f| &f.defers));
        json::panics(&mut buf, &stack.panics);
        if !variables.is_empty() {
            variables_json(&mut buf, &variables);
        }
        if !stack.problems.is_empty() {
            buf.extend_from_slice(b",\"problems\":[");
            for (i, p) in stack.problems.iter().enumerate() {
                json::comma(&mut buf, i);
                json::string(&mut buf, p);
            }
            buf.push(b']');
        }
        buf.extend_from_slice(b"}\n");
    } else {
        as_text(&mut buf, &g, &stack, &variables, args.style.color);
    }
    out.write_all(&buf).and_then(|()| out.flush()).map_err(write_failure)?;
    Ok(exit::DONE)
}

/// Variables of the user's frames, as far as they can be had: a refusal is no failure of the stack.
fn variables(client: &mut Client, id: GoroutineId, stack: &Stack) -> Vec<(u32, Vec<Variable>)> {
    let mut out = Vec::new();
    for f in stack.frames.iter().filter(|f| !f.hidden && !f.system_stack).take(16) {
        let frame = FrameRef { goroutine: Some(id), frame: f.index };
        match client.call(Request::Scope { frame, limits: LoadLimits::default() }) {
            Ok(Reply::Variables { variables, .. }) if !variables.is_empty() => out.push((f.index, variables)),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    out
}

fn variables_json(buf: &mut Vec<u8>, all: &[(u32, Vec<Variable>)]) {
    buf.extend_from_slice(b",\"variables\":[");
    for (i, (frame, vars)) in all.iter().enumerate() {
        json::comma(buf, i);
        buf.extend_from_slice(b"{\"frame\":");
        json::number(buf, u64::from(*frame));
        buf.extend_from_slice(b",\"variables\":[");
        for (j, v) in vars.iter().enumerate() {
            json::comma(buf, j);
            json::variable(buf, v);
        }
        buf.extend_from_slice(b"]}");
    }
    buf.push(b']');
}

fn as_text(buf: &mut Vec<u8>, g: &Goroutine, stack: &Stack, variables: &[(u32, Vec<Variable>)], color: bool) {
    text::Table::default().goroutine(buf, &Goroutine { stack: None, defers: None, ..g.clone() }, color);
    buf.push(b'\n');
    for p in &stack.panics {
        let what = if p.goexit { "runtime.Goexit" } else { "panic" };
        let done = if p.recovered { " (recovered)" } else { "" };
        let _vec = writeln!(buf, "{what} {}{done}", printable_str(&p.value, 2_000));
    }
    for f in &stack.frames {
        text::stack(buf, std::slice::from_ref(f), 0, color);
        for (_, vars) in variables.iter().filter(|(i, _)| *i == f.index) {
            for v in vars {
                let line = format!("{} {} = {}", v.name, v.type_name, v.value);
                let _vec = writeln!(buf, "       {}", printable_str(&line, 400));
            }
        }
    }
    if stack.more {
        let _vec = writeln!(buf, "     …");
    }
    for p in &stack.problems {
        let _vec = writeln!(buf, "! {}", printable_str(p, 400));
    }
}
