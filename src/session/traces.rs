//! What an execution trace comes to, as lines for people.

use super::lanes::length;
use crate::base::clock::human_ns;
use crate::base::text::printable_str;
use crate::model::{Durations, Profile, TaskTimeline, Times, TraceReport, WorldStop};

/// Rows that a report has in all.
const KEPT: usize = 10_000;
/// Tasks shown with what happened in them, and events of all of them together.
const TIMELINES: usize = 20;
const EVENTS: usize = 400;
/// Characters of the longest bar.
const BAR: usize = 40;
/// Characters of a distribution in a table.
const SPREAD: usize = 24;
/// Rows of a text.
const ROWS: usize = 40;

/// A report as lines, escaped.
pub fn report(r: &TraceReport) -> Vec<String> {
    let mut b = Vec::new();
    report_text(&mut b, r);
    b
}

fn line(b: &mut Vec<String>, text: &str) {
    b.push(printable_str(text, 2_000));
}

/// A stack of a profile with its values.
pub struct Row {
    /// Function, file and line, leaf first.
    pub stack: Vec<(String, String, u32)>,
    /// One of each kind.
    pub values: Vec<i64>,
}

/// Stacks by the value that is shown first, largest first.
pub fn rows(p: &Profile) -> Vec<Row> {
    let mut from = 0;
    let mut out: Vec<Row> = Vec::with_capacity(p.ends.len());
    let values = p.values.chunks(p.kinds.len().max(1));
    for (end, values) in p.ends.iter().zip(values) {
        let frames = p.stacks.get(from as usize..*end as usize).unwrap_or_default();
        from = *end;
        let frame = |i: &u32| {
            let f = p.frames.get(*i as usize)?;
            let function = p.functions.get(f.function as usize)?;
            Some((function.name.to_string(), function.file.to_string(), f.line))
        };
        out.push(Row { stack: frames.iter().filter_map(frame).collect(), values: values.to_vec() });
    }
    out.sort_by_key(|r| std::cmp::Reverse(r.values.get(p.shown).copied().unwrap_or(0)));
    out
}

fn report_text(b: &mut Vec<String>, r: &TraceReport) {
    let mut more = 0;
    match r {
        TraceReport::Goroutines { rows, total } => {
            line(b, &format!("{:>8} {} FUNCTION", "ID", heading()));
            for g in rows.iter().take(ROWS) {
                line(b, &format!("{:>8} {} {}", g.id.0, times(&g.times), shown(&g.function)));
            }
            more = *total as usize - rows.len().min(ROWS);
        }
        TraceReport::Functions(rows) => {
            line(b, &format!("{:>8} {} FUNCTION", "COUNT", heading()));
            for f in rows.iter().take(ROWS) {
                line(b, &format!("{:>8} {} {}", f.count, times(&f.times), shown(&f.function)));
            }
            more = rows.len().saturating_sub(ROWS);
        }
        TraceReport::Profile(p) => profile_text(b, p),
        TraceReport::Tasks { rows, tasks, total } => {
            line(b, &format!("{} {:>8} {:SPREAD$} TASK", durations_heading(), "OPEN", "SPREAD"));
            for t in rows.iter().take(ROWS) {
                line(b, &format!("{} {:>8} {:SPREAD$} {}", durations(&t.done), t.open, spread(&t.done), t.name));
            }
            cut(b, rows.len(), ROWS, "names of tasks");
            for t in tasks.iter().take(ROWS / 2) {
                let took =
                    t.from_ns.zip(t.to_ns).map_or("open".into(), |(a, z)| length((z - a).max(0).cast_unsigned()));
                let of = t.parent.map_or(String::new(), |p| format!(", of task {p}"));
                let text = format!(
                    "task {} {}{of}: {took}, {} goroutines, {} regions, {} logs",
                    t.id, t.name, t.goroutines, t.regions, t.logs
                );
                line(b, &text);
            }
            more = (*total as usize).saturating_sub(ROWS / 2);
        }
        TraceReport::Regions(rows) => {
            let heading = ["RUNNING", "RUNNABLE", "BLOCKED"].map(|w| format!("{w:>9}")).join(" ");
            line(b, &format!("{} {heading} {:SPREAD$} REGION", durations_heading(), "SPREAD"));
            for r in rows.iter().take(ROWS) {
                let t = &r.times;
                let parts = [t.running, t.runnable, t.all_blocked()].map(|n| format!("{:>9}", length(n))).join(" ");
                line(b, &format!("{} {parts} {:SPREAD$} {}", durations(&r.done), spread(&r.done), r.name));
            }
            more = rows.len().saturating_sub(ROWS);
        }
        TraceReport::OneRegion { done, rows, before, open } => {
            line(b, durations_heading().trim_start());
            line(b, durations(done).trim_start());
            if *before > 0 {
                line(b, &format!("{before} began before the trace: how long they took is not known"));
            }
            if *open > 0 {
                line(b, &format!("{open} had not ended with the trace or with their goroutine"));
            }
            histogram(b, done);
            line(b, &format!("{:>8} {:>8} {} BEGIN", "ID", "TASK", heading()));
            for r in rows.iter().take(ROWS) {
                let task = if r.task == 0 { "-".to_string() } else { r.task.to_string() };
                line(b, &format!("{:>8} {task:>8} {} {}", r.goroutine.0, times(&r.times), r.from_ns));
            }
            more = (done.count as usize).saturating_sub(ROWS);
        }
        TraceReport::TaskTimelines { tasks, total, events_left } => {
            let mut left = EVENTS;
            for t in tasks.iter().take(TIMELINES) {
                task_timeline(b, t, &mut left);
            }
            let cut_off = tasks.iter().map(|t| t.events.len()).sum::<usize>() as u64 + events_left;
            let shown = (EVENTS - left) as u64;
            if cut_off > shown {
                line(b, &format!("… and {} more events (--json has {})", cut_off - shown, cut_off - events_left));
            }
            more = (*total as usize).saturating_sub(TIMELINES);
        }
        TraceReport::Logs { lines, total } => {
            for l in lines.iter().take(ROWS) {
                let task = if l.task == 0 { String::new() } else { format!(" task {}", l.task) };
                line(b, &format!("{} goroutine {}{task} {}: {}", l.at_ns, l.goroutine, l.category, l.message));
            }
            more = (*total as usize).saturating_sub(ROWS);
        }
        TraceReport::Mutator(rows) => {
            line(b, "WINDOW     LEAST SHARE OF THE PROCESSORS' TIME FOR THE PROGRAM");
            for u in rows {
                line(b, &format!("{:<10} {:>6.2}%", length(u.window_ns), u.least * 100.0));
            }
        }
        TraceReport::Stops { stops, total } => {
            let mut longest: Vec<&WorldStop> = stops.iter().collect();
            longest.sort_by_key(|s| std::cmp::Reverse(s.length_ns));
            line(b, "LENGTH     AT                   GOROUTINE KIND");
            for s in longest.iter().take(ROWS) {
                let g = s.goroutine.map_or("-".into(), |g| g.0.to_string());
                line(b, &format!("{:<10} {:<20} {g:>9} {}", length(s.length_ns), s.from_ns, s.kind));
            }
            more = (*total as usize).saturating_sub(ROWS);
        }
    }
    if more > 0 {
        line(b, &format!("… and {more} more (--json has up to {KEPT})"));
    }
}

/// What was left out of a list that is not the report's last.
fn cut(b: &mut Vec<String>, all: usize, shown: usize, what: &str) {
    if all > shown {
        line(b, &format!("… and {} more {what} (--json has them)", all - shown));
    }
}

/// A task, and when what happened in it: since its begin, since the event before, who.
fn task_timeline(b: &mut Vec<String>, t: &TaskTimeline, left: &mut usize) {
    let took = match (t.task.from_ns, t.task.to_ns) {
        (Some(a), Some(z)) => length((z - a).max(0).cast_unsigned()),
        (None, _) => "began before the trace".into(),
        _ => "not over".into(),
    };
    let of = t.task.parent.map_or(String::new(), |p| format!(", of task {p}"));
    let on = t.goroutines.iter().take(8).map(|g| format!("g{}", g.0)).collect::<Vec<_>>().join(" ");
    let more = if t.goroutines.len() > 8 { format!(" … and {} more", t.goroutines.len() - 8) } else { String::new() };
    line(b, &format!("task {} {}{of}: {took}, on {on}{more}", t.task.id, t.task.name));
    let (begin, mut before) = match t.events.first() {
        Some(e) => (e.at_ns, e.at_ns),
        None => return,
    };
    let since = |at: i64, from: i64| length(at.saturating_sub(from).max(0).cast_unsigned());
    for e in t.events.iter().take(*left) {
        let who = format!("g{}", e.goroutine.0);
        line(
            b,
            &format!(
                "{:>12} {:>9} {who:>8}  {}",
                format!("+{}", since(e.at_ns, begin)),
                since(e.at_ns, before),
                e.what
            ),
        );
        before = e.at_ns;
    }
    *left -= t.events.len().min(*left);
}

/// Buckets of a distribution that have something, from the first to the last.
fn buckets(d: &Durations) -> Option<(usize, &[u64])> {
    let first = d.histogram.iter().position(|n| *n > 0)?;
    let last = d.histogram.iter().rposition(|n| *n > 0)?;
    Some((first, &d.histogram[first..=last]))
}

/// A distribution in a few characters: its least power of two, a mark for each up to the greatest, that.
fn spread(d: &Durations) -> String {
    let Some((first, buckets)) = buckets(d) else { return String::new() };
    let marks = [' ', '.', ':', '-', '=', '+', '*', '#'];
    let most = buckets.iter().max().copied().unwrap_or(1).max(1);
    let mark = |n: &u64| marks[(u128::from(*n) * 7).div_ceil(u128::from(most)) as usize % 8];
    let drawn: String = buckets.iter().map(mark).collect();
    let end = 1u64.checked_shl((first + buckets.len()) as u32).unwrap_or(u64::MAX);
    format!("{}|{drawn}|{}", length(1 << first), length(end))
}

/// The same with a line for each power of two.
fn histogram(b: &mut Vec<String>, d: &Durations) {
    let Some((first, buckets)) = buckets(d) else { return };
    let most = buckets.iter().max().copied().unwrap_or(1).max(1);
    for (i, n) in buckets.iter().enumerate() {
        let bar = "#".repeat((u128::from(*n) * BAR as u128).div_ceil(u128::from(most)) as usize);
        let end = 1u64.checked_shl((first + i + 1) as u32).unwrap_or(u64::MAX);
        line(b, format!("{:>9} .. {:>9} {n:>8} {bar}", length(1 << (first + i)), length(end)).trim_end());
    }
}

fn shown(function: &str) -> &str {
    if function.is_empty() { "(the trace does not say)" } else { function }
}

fn heading() -> String {
    ["TOTAL", "RUNNING", "RUNNABLE", "SYSCALL", "BLOCKED"].map(|w| format!("{w:>9}")).join(" ")
}

fn times(t: &Times) -> String {
    let parts = [t.total, t.running, t.runnable, t.syscall + t.syscall_blocked, t.all_blocked()];
    parts.map(|n| format!("{:>9}", length(n))).join(" ")
}

fn durations_heading() -> String {
    format!("{:>8} {}", "COUNT", ["TOTAL", "MIN", "MAX"].map(|w| format!("{w:>9}")).join(" "))
}

fn durations(d: &Durations) -> String {
    format!("{:>8} {}", d.count, [d.total_ns, d.min_ns, d.max_ns].map(|n| format!("{:>9}", length(n))).join(" "))
}

fn profile_text(b: &mut Vec<String>, p: &Profile) {
    let all = rows(p);
    let sum: i64 = all.iter().filter_map(|r| r.values.get(p.shown)).sum();
    let is_time = p.kinds.get(p.shown).is_some_and(|k| k.unit == "nanoseconds");
    let value = |n: i64| if is_time { human_ns(n.max(0).cast_unsigned()) } else { n.to_string() };
    line(b, &format!("{} in {} stacks", value(sum), all.len()));
    for r in all.iter().take(ROWS) {
        let n = r.values.get(p.shown).copied().unwrap_or(0);
        let share = n as f64 * 100.0 / (sum.max(1)) as f64;
        let count = r.values.first().copied().unwrap_or(0);
        let place = |f: &(String, String, u32)| format!("{}:{}", crate::model::location::short_function(&f.0), f.2);
        let stack: Vec<String> = r.stack.iter().take(4).map(place).collect();
        let stack = if stack.is_empty() { "(no stack)".to_string() } else { stack.join(" < ") };
        line(b, &format!("{:>9} {share:5.1}% {count:>9}x  {stack}", value(n)));
    }
    cut(b, all.len(), ROWS, "stacks");
    p.notes.iter().for_each(|n| line(b, n));
}
