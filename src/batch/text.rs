//! Human output: aligned text.

use crate::base::clock::human_ns;
use crate::base::text::printable_str;
use crate::model::{Defer, Frame, Goroutine, GoroutineGroup, GroupBy, Location, ReadInfo, ReadMode};
use std::io::Write;

const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";
const END: &str = "\x1b[0m";

/// `main.(*Cart).Total cart.go:46`, escaped.
pub fn place(at: &Location) -> String {
    let f = if at.function.is_empty() { format!("{}", at.pc) } else { at.short_function().to_string() };
    let line = if at.file.is_empty() { String::new() } else { format!(" {}:{}", at.base_file(), at.line) };
    printable_str(&format!("{f}{line}"), 300)
}

/// A line, escaped.
pub fn line(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(printable_str(text, 2_000).as_bytes());
    out.push(b'\n');
}

pub(super) fn state(g: &Goroutine) -> String {
    printable_str(g.wait_reason.as_deref().unwrap_or(g.state.name()), 60)
}

/// Rows of goroutines; the heading comes before the first.
#[derive(Default)]
pub struct Table {
    begun: bool,
}

impl Table {
    /// One goroutine.
    pub fn goroutine(&mut self, out: &mut Vec<u8>, g: &Goroutine, color: bool) {
        let (dim, bold, end) = if color { (DIM, BOLD, END) } else { ("", "", "") };
        if !std::mem::replace(&mut self.begun, true) {
            let _vec =
                writeln!(out, "{dim}{:>8}  {:<18} {:<8} {:<44} CREATED BY{end}", "ID", "STATE", "WAIT", "USER FRAME");
        }
        let wait = g.wait_ns.map_or("-".into(), human_ns);
        let by = g.created_by.as_ref().map_or(String::new(), |c| place(&c.at));
        let mark = if g.torn { "~" } else { " " };
        let row =
            format!("{:>8}{mark} {bold}{:<18}{end} {wait:<8} {:<44} {dim}{by}{end}", g.id.0, state(g), place(&g.user));
        let _vec = writeln!(out, "{}", row.trim_end());
        for (k, v) in &g.labels {
            let _vec = writeln!(out, "{:>12}label {}={}", "", printable_str(k, 80), printable_str(v, 80));
        }
        if let Some(frames) = &g.stack {
            stack(out, frames, 12, color);
        }
        if let Some(d) = &g.defers {
            defers(out, d.iter(), 12);
        }
    }
}

/// Frames, and the defers that each has.
pub fn stack(out: &mut Vec<u8>, frames: &[Frame], indent: usize, color: bool) {
    let (dim, end) = if color { (DIM, END) } else { ("", "") };
    for f in frames {
        let inlined = if f.inlined { " (inlined)" } else { "" };
        let (a, b) = if f.hidden { (dim, end) } else { ("", "") };
        let file = if f.at.file.is_empty() { String::new() } else { format!("{}:{}", f.at.file, f.at.line) };
        let name = if f.at.function.is_empty() { format!("{}", f.at.pc) } else { printable_str(&f.at.function, 300) };
        let row =
            format!("{:indent$}{:>3}  {a}{name}{inlined}{b}  {dim}{}{end}", "", f.index, printable_str(&file, 300));
        let _vec = writeln!(out, "{}", row.trim_end());
        defers(out, f.defers.iter(), indent + 5);
    }
}

/// Pending defers.
pub fn defers<'a>(out: &mut Vec<u8>, defers: impl Iterator<Item = &'a Defer>, indent: usize) {
    for d in defers {
        let at = d.statement.as_ref().unwrap_or(&d.at);
        let on = d.receiver.map_or(String::new(), |r| format!(" on {r}"));
        let name = printable_str(&d.function, 300);
        let with: Vec<String> = d.captures.iter().map(|(n, v)| format!("{n} = {v}")).collect();
        let with =
            if d.receiver.is_some() || with.is_empty() { String::new() } else { format!(" ({})", with.join(", ")) };
        let on = printable_str(&(on + &with), 200);
        let _vec = writeln!(out, "{:indent$}defer {name}{on}  {}:{}", "", printable_str(at.base_file(), 200), at.line);
    }
}

fn how(read: &ReadInfo) -> String {
    match read.mode {
        ReadMode::Observed => format!("read in {} without stopping", human_ns(read.took_us * 1_000)),
        ReadMode::Stopped => {
            format!("read in {}, stopped for {}", human_ns(read.took_us * 1_000), human_ns(read.pause_us * 1_000))
        }
        ReadMode::Offline => "read from a file".into(),
    }
}

/// The last line of a list.
pub fn summary(out: &mut Vec<u8>, n: u64, read: &ReadInfo, color: bool) {
    let (dim, end) = if color { (DIM, END) } else { ("", "") };
    let s = if n == 1 { "" } else { "s" };
    let _vec = writeln!(out, "{dim}{n} goroutine{s}, {}{end}", how(read));
}

/// One group.
pub fn group(out: &mut Vec<u8>, g: &GoroutineGroup, by: GroupBy, color: bool) {
    let (dim, bold, end) = if color { (DIM, BOLD, END) } else { ("", "", "") };
    let s = &g.sample;
    let wait = match g.wait_ns {
        None => "-".to_string(),
        Some((a, b)) if human_ns(a) == human_ns(b) => human_ns(a),
        Some((a, b)) => format!("{}-{}", human_ns(a), human_ns(b)),
    };
    let by_creator = s.created_by.as_ref().map(|c| place(&c.at));
    let (name, rest) = match by {
        GroupBy::Label if g.label.is_empty() => ("no labels".into(), place(&s.user)),
        GroupBy::Label => (printable_str(&g.label, 200), place(&s.user)),
        GroupBy::Creator => (by_creator.unwrap_or_else(|| "no creator".into()), place(&s.user)),
        GroupBy::Entry => (s.entry.as_ref().map_or("unknown entry".into(), |e| place(e)), place(&s.user)),
        _ => (place(&s.user), by_creator.unwrap_or_default()),
    };
    let row = format!("{bold}{:>8}{end}  {:<18} {wait:<14} {name:<44} {dim}{rest}{end}", g.count, state(s));
    let _vec = writeln!(out, "{}", row.trim_end());
}

/// The last line of groups.
pub fn group_summary(out: &mut Vec<u8>, n: u64, groups: u64, hidden: u64, read: &ReadInfo, color: bool) {
    let (dim, end) = if color { (DIM, END) } else { ("", "") };
    let hidden = if hidden > 0 { format!(", {hidden} of the runtime's own left out (--all)") } else { String::new() };
    let _vec = writeln!(out, "{dim}{n} goroutines in {groups} groups{hidden}, {}{end}", how(read));
}
