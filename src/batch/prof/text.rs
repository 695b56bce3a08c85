//! Profiles as text, in the columns that pprof's users know.

use super::{Looked, Prof, ReportOf};
use crate::backend::profile::regex;
use crate::backend::protocol::Failure;
use crate::base::clock::human_ns;
use crate::base::text::printable_str;
use crate::model::Pair;
use crate::profile::diff::{self, Verdict};
use crate::profile::report::{self, Lines, Row};
use crate::profile::tree::ROOT;
use crate::profile::units::{change, human, percent, signed};
use crate::profile::view::{By, Key, Selection, View};
use std::collections::BTreeMap;

const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const BLUE: &str = "\x1b[34m";
const END: &str = "\x1b[0m";
/// Rows of a table where nothing is said.
pub const ROWS: usize = 40;
/// Stacks shown of a difference.
const STACKS: usize = 5;
/// Paths of less than this part of all are left out of a tree.
const TREE_PART: f64 = 0.005;
/// Source lines around those with values.
const AROUND: u32 = 3;

struct Paint {
    color: bool,
}

impl Paint {
    fn dim(&self, t: &str) -> String {
        if self.color { format!("{DIM}{t}{END}") } else { t.to_string() }
    }
    fn change(&self, t: String, by: i64) -> String {
        match (self.color, by.signum()) {
            (true, 1) => format!("{RED}{t}{END}"),
            (true, -1) => format!("{BLUE}{t}{END}"),
            _ => t,
        }
    }
}

fn line(b: &mut Vec<u8>, text: &str) {
    b.extend_from_slice(text.trim_end().as_bytes());
    b.push(b'\n');
}

/// Name of a function or line, escaped.
pub fn label(k: &Key, by: By) -> String {
    match by {
        By::Function => printable_str(&k.name, 300),
        By::Line => printable_str(&format!("{} {}:{}", k.name, k.file.rsplit('/').next().unwrap_or(""), k.line), 400),
    }
}

/// Writes what was asked for.
pub fn write(b: &mut Vec<u8>, args: &Prof, l: &Looked, written: &[String]) -> Result<(), Failure> {
    let p = Paint { color: args.style.color };
    for w in written {
        line(b, &format!("written to {}", printable_str(w, 500)));
    }
    let compared = l.difference.is_some();
    let Some(report) = &args.report else {
        if compared {
            verdict(b, args, l, &p);
        }
        return Ok(());
    };
    head(b, l, &p);
    match report {
        ReportOf::Top if compared => difference(b, args, l, &p),
        ReportOf::Top => top(b, args, l, &p),
        ReportOf::Tree => tree(b, args, l, &p),
        ReportOf::Peek(re) => peek(b, l, &regex(re)?, &p),
        ReportOf::List(re) => list(b, args, l, &regex(re)?, &p),
    }
    if compared {
        verdict(b, args, l, &p);
    }
    Ok(())
}

fn head(b: &mut Vec<u8>, l: &Looked, p: &Paint) {
    let v = &l.view;
    let unit = &v.kind.unit;
    let f = &l.calls.facts;
    let mut text = format!("{} ({})", printable_str(&v.kind.name, 80), printable_str(unit, 80));
    let sum = |x: i64| human(x, unit);
    if l.difference.is_some() {
        text += &format!(", {} to {} ({})", sum(v.total.base), sum(v.total.new), change(v.total.base, v.total.new));
    } else {
        text += &format!(", {} in all", sum(v.total.new));
    }
    if f[0].duration_ns > 0 {
        text += &format!(", taken for {}", human_ns(f[0].duration_ns as u64));
        if l.difference.is_some() && f[1].duration_ns > 0 {
            text += &format!(" (base {})", human_ns(f[1].duration_ns as u64));
        }
    }
    let others: Vec<&str> = l.calls.kinds.iter().filter(|k| k.name != v.kind.name).map(|k| k.name.as_str()).collect();
    if !others.is_empty() {
        text += &format!("; --type also {}", printable_str(&others.join(", "), 300));
    }
    line(b, &p.dim(&text));
    if v.selected() != v.total {
        let part = v.selected();
        line(b, &p.dim(&format!("selected: {} of it ({})", sum(part.new), percent(part.new, v.total.new))));
    }
    for n in f.iter().flat_map(|f| &f.notes) {
        line(b, &p.dim(&format!("note: {n}")));
    }
    let (a, base) = (f[0].duration_ns as f64, f[1].duration_ns as f64);
    if l.difference.is_some() && a > 0.0 && base > 0.0 && (a / base > 1.2 || base / a > 1.2) && !l.selection.normalize {
        line(b, "note: the profiles were taken for different times: --normalize compares shares");
    }
}

fn shown<T>(all: &[T], top: usize) -> &[T] {
    if top == 0 { all } else { &all[..top.min(all.len())] }
}

fn top(b: &mut Vec<u8>, args: &Prof, l: &Looked, p: &Paint) {
    let v = &l.view;
    let unit = &v.kind.unit;
    let all = report::top(v);
    line(b, &p.dim(&format!("{:>10} {:>7} {:>7} {:>10} {:>7}", "flat", "flat%", "sum%", "cum", "cum%")));
    let mut sum = 0i64;
    for r in shown(&all, args.top) {
        sum = sum.saturating_add(r.flat.new);
        let name = label(&v.keys[r.key as usize], l.selection.by);
        let of = |n: i64| percent(n, v.total.new);
        line(
            b,
            &format!(
                "{:>10} {:>7} {:>7} {:>10} {:>7}  {name}",
                human(r.flat.new, unit),
                of(r.flat.new),
                of(sum),
                human(r.cum.new, unit),
                of(r.cum.new)
            ),
        );
    }
    more(b, all.len(), args.top, p);
}

fn more(b: &mut Vec<u8>, all: usize, top: usize, p: &Paint) {
    if top > 0 && all > top {
        line(b, &p.dim(&format!("{} more (--top N, 0 for all)", all - top)));
    }
}

fn difference(b: &mut Vec<u8>, args: &Prof, l: &Looked, p: &Paint) {
    let Some(d) = &l.difference else { return };
    let v = &l.view;
    let unit = &v.kind.unit;
    // By line the rows are those of the view; verdicts are about functions all the same.
    let lines = (l.selection.by == By::Line).then(|| diff::compare(v, args.thresholds).rows);
    let all: &[Row] = lines.as_deref().unwrap_or(&d.rows);
    let changed: Vec<&Row> = all.iter().filter(|r| [r.blame, r.flat, r.cum].iter().any(|p| p.change() != 0)).collect();
    line(
        b,
        &p.dim(&format!(
            "{:>10} {:>10} {:>11} {:>7} {:>11} {:>11}  (own: with the library calls it makes)",
            "own base", "own", "change", "", "flat change", "cum change"
        )),
    );
    for r in shown(&changed, args.top) {
        let name = label(&v.keys[r.key as usize], l.selection.by);
        let row = format!(
            "{:>10} {:>10} {:>11} {:>7} {:>11} {:>11}  {name}",
            human(r.blame.base, unit),
            human(r.blame.new, unit),
            signed(r.blame.change(), unit),
            change(r.blame.base, r.blame.new),
            signed(r.flat.change(), unit),
            signed(r.cum.change(), unit)
        );
        line(b, &p.change(row, r.blame.change()));
    }
    more(b, changed.len(), args.top, p);
    let stacks = diff::stacks(v, STACKS);
    if !stacks.is_empty() {
        line(b, "");
        line(b, &p.dim("stacks that changed most, innermost last:"));
    }
    for n in stacks {
        let own = v.own[n as usize];
        let names: Vec<String> =
            v.tree.path(n).iter().filter_map(|n| v.key(*n)).map(|k| label(k, l.selection.by)).collect();
        let row = format!("{:>11} {:>7}  {}", signed(own.change(), unit), change(own.base, own.new), fold_path(&names));
        line(b, &p.change(row, own.change()));
    }
}

/// A path in one line: the first frames and the last.
fn fold_path(names: &[String]) -> String {
    const KEPT: usize = 6;
    if names.len() <= KEPT + 2 {
        return names.join(" > ");
    }
    let last = names[names.len() - KEPT..].join(" > ");
    format!("{} > … {} > {last}", names[0], names.len() - KEPT - 1)
}

fn verdict(b: &mut Vec<u8>, args: &Prof, l: &Looked, p: &Paint) {
    let Some(d) = &l.difference else { return };
    let by_function;
    let v = if l.selection.by == By::Function {
        &l.view
    } else {
        by_function = View::new(&l.calls, &Selection { by: By::Function, ..l.selection.clone() });
        &by_function
    };
    let text = format!("verdict: {}", diff::sentence(v, d, args.thresholds));
    let by = match d.verdict {
        Verdict::Regression => 1,
        Verdict::Improvement => -1,
        _ => 0,
    };
    line(b, &p.change(text, by));
}

fn tree(b: &mut Vec<u8>, args: &Prof, l: &Looked, p: &Paint) {
    let v = &l.view;
    let unit = &v.kind.unit;
    let whole = v.selected().weight();
    let least = (whole as f64 * TREE_PART) as u64;
    line(b, &p.dim(&format!("{:>10} {:>7} {:>10}", "cum", "cum%", if v.compared { "change" } else { "flat" })));
    let mut todo = vec![(ROOT, 0usize)];
    let (mut rows, mut cut) = (0usize, 0usize);
    while let Some((n, indent)) = todo.pop() {
        if n != ROOT {
            if args.top > 0 && rows >= args.top {
                cut += 1;
                continue;
            }
            rows += 1;
            let (sum, own) = (v.sum[n as usize], v.own[n as usize]);
            let name = v.key(n).map_or(String::new(), |k| label(k, l.selection.by));
            let third = if v.compared { signed(sum.change(), unit) } else { human(own.new, unit) };
            let row = format!(
                "{:>10} {:>7} {third:>10}  {:indent$}{name}",
                human(sum.new, unit),
                percent(sum.new, v.selected().new),
                ""
            );
            line(b, &if v.compared { p.change(row, sum.change()) } else { row });
        }
        let mut children: Vec<u32> =
            v.tree.children(n).filter(|c| v.sum[*c as usize].weight() > least.max(1) - 1).collect();
        cut += v.tree.children(n).count() - children.len();
        children.sort_by_key(|c| v.sum[*c as usize].weight());
        // A chain of single calls stays in its column.
        let indent = if children.len() > 1 && n != ROOT { indent + 2 } else { indent };
        todo.extend(children.into_iter().map(|c| (c, indent.min(120))));
    }
    if cut > 0 {
        line(b, &p.dim(&format!("{cut} paths of less than {:.1}% or beyond --top left out", TREE_PART * 100.0)));
    }
}

fn peek(b: &mut Vec<u8>, l: &Looked, re: &regex::Regex, p: &Paint) {
    let v = &l.view;
    let unit = &v.kind.unit;
    let all = report::peek(v, re);
    if all.is_empty() {
        line(b, "no function matches");
    }
    let value = |x: Pair| if v.compared { signed(x.change(), unit) } else { human(x.new, unit) };
    for x in all {
        let row = |b: &mut Vec<u8>, indent: usize, sum: Pair, key: u32| {
            let name = label(&v.keys[key as usize], l.selection.by);
            let part = percent(sum.new, x.row.cum.new);
            line(b, &format!("{:>21} {:>7} {:indent$}{name}", value(sum), part, ""));
        };
        for (k, sum) in &x.callers {
            row(b, 3, *sum, *k);
        }
        let name = label(&v.keys[x.row.key as usize], l.selection.by);
        line(
            b,
            &format!(
                "{:>10} {:>10} {:>7} {name}",
                value(x.row.flat),
                value(x.row.cum),
                percent(x.row.cum.new, v.total.new)
            ),
        );
        for (k, sum) in &x.callees {
            row(b, 3, *sum, *k);
        }
        line(b, &p.dim(&"-".repeat(60)));
    }
}

fn list(b: &mut Vec<u8>, args: &Prof, l: &Looked, re: &regex::Regex, p: &Paint) {
    let by_line;
    let v = if l.selection.by == By::Line {
        &l.view
    } else {
        by_line = View::new(&l.calls, &Selection { by: By::Line, ..l.selection.clone() });
        &by_line
    };
    let all = report::list(v, re);
    if all.is_empty() {
        line(b, "no function matches");
    }
    let mut sources: BTreeMap<String, Option<Vec<String>>> = BTreeMap::new();
    for f in &all {
        let source = sources.entry(f.file.to_string()).or_insert_with(|| source(&f.file, &args.substitute));
        one(b, l, v, f, source.as_deref(), p);
    }
}

fn one(b: &mut Vec<u8>, l: &Looked, v: &View, f: &Lines, source: Option<&[String]>, p: &Paint) {
    let unit = &v.kind.unit;
    let (flat, cum) = f.total;
    let value = |x: Pair| match (v.compared, x.is_zero()) {
        (_, true) => ".".to_string(),
        (true, _) => signed(x.change(), unit),
        _ => human(x.new, unit),
    };
    let at = printable_str(&format!("{} in {}", f.name, f.file), 500);
    line(b, &at);
    let sums = format!("{:>10} {:>10} flat and cum, {} of all", value(flat), value(cum), percent(cum.new, v.total.new));
    line(b, &p.dim(&sums));
    let start = l.calls.functions.iter().find(|x| x.name == f.name && x.file == f.file).map_or(0, |x| x.start_line);
    let (Some(first), Some(last)) = (f.lines.keys().next(), f.lines.keys().next_back()) else { return };
    let Some(source) = source else {
        for (n, (flat, cum)) in &f.lines {
            line(b, &format!("{:>10} {:>10} {n:>6}", value(*flat), value(*cum)));
        }
        line(b, &p.dim("no source: --substitute-path FROM=TO says where it is"));
        return;
    };
    let from = if start > 0 && start < *first { start } else { first.saturating_sub(AROUND) }.max(1);
    for n in from..=last.saturating_add(AROUND).min(source.len() as u32) {
        let (flat, cum) = f.lines.get(&n).copied().unwrap_or_default();
        let text = source.get(n as usize - 1).map_or("", |s| s);
        let row = format!("{:>10} {:>10} {n:>6}  {text}", value(flat), value(cum));
        let quiet = cum.is_zero() && flat.is_zero();
        line(
            b,
            &if quiet {
                p.dim(&row)
            } else if v.compared {
                p.change(row, flat.change())
            } else {
                row
            },
        );
    }
}

/// A source file's lines, escaped.
fn source(file: &str, rules: &[(String, String)]) -> Option<Vec<String>> {
    let mapped = rules.iter().find_map(|(from, to)| file.strip_prefix(from.as_str()).map(|r| format!("{to}{r}")));
    let path = mapped.unwrap_or_else(|| file.to_string());
    let meta = std::fs::metadata(&path).ok()?;
    if !meta.is_file() || meta.len() > 16 << 20 {
        return None;
    }
    let bytes = std::fs::read(&path).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    Some(text.lines().map(|l| printable_str(&l.replace('\t', "    "), 500)).collect())
}
