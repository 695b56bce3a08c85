//! What an execution trace comes to, as lines for people.

use super::lanes::length;
use crate::base::clock::human_ns;
use crate::base::text::printable_str;
use crate::model::{Durations, Profile, Times, TraceReport, WorldStop};

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
            line(b, &format!("{} {:>8} TASK", durations_heading(), "OPEN"));
            for t in rows.iter().take(ROWS) {
                line(b, &format!("{} {:>8} {}", durations(&t.done), t.open, t.name));
            }
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
            line(b, &format!("{} {:>9} {:>9} {:>9} REGION", durations_heading(), "RUNNING", "RUNNABLE", "BLOCKED"));
            for r in rows.iter().take(ROWS) {
                let t = &r.times;
                let parts = [t.running, t.runnable, t.all_blocked()].map(|n| format!("{:>9}", length(n))).join(" ");
                line(b, &format!("{} {parts} {}", durations(&r.done), r.name));
            }
            more = rows.len().saturating_sub(ROWS);
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
        line(b, &format!("and {more} more (--json has them)"));
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
}
