//! Profiles as JSON, schema `adit/profile/1`. Values are raw, in the unit that is named; absent facts are left out.

use super::{Looked, Prof, ReportOf};
use crate::backend::profile::regex;
use crate::backend::protocol::{Failure, FailureKind};
use crate::model::{Pair, ValueKind};
use crate::profile::diff::{self, Verdict};
use crate::profile::report::{self, Row};
use crate::profile::tree::ROOT;
use crate::profile::view::{By, Selection, View};
use serde::Serialize;

/// Stacks of a difference.
const STACKS: usize = 20;

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    files: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    base: &'a [String],
    kinds: &'a [ValueKind],
    kind: &'a str,
    unit: &'a str,
    total: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_total: Option<i64>,
    selected: i64,
    #[serde(skip_serializing_if = "is_zero")]
    time_ns: i64,
    #[serde(skip_serializing_if = "is_zero")]
    duration_ns: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<Judgement<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    functions: Option<Vec<Function<'a>>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stacks: Vec<Stack<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tree: Option<Vec<Node<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peek: Option<Vec<Peeked<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    list: Option<Vec<Listed>>,
}

fn is_zero(n: &i64) -> bool {
    *n == 0
}

#[derive(Serialize)]
struct Judgement<'a> {
    kind: &'static str,
    text: String,
    min_samples: u64,
    min_change: f64,
    worse: Vec<Function<'a>>,
    better: Vec<Function<'a>>,
}

#[derive(Serialize)]
struct Function<'a> {
    function: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    file: &'a str,
    #[serde(skip_serializing_if = "no_line")]
    line: u32,
    flat: i64,
    cum: i64,
    /// With the library calls that it makes.
    own: i64,
    #[serde(flatten)]
    base: Option<Base>,
}

fn no_line(n: &u32) -> bool {
    *n == 0
}

#[derive(Serialize)]
struct Base {
    base_flat: i64,
    base_cum: i64,
    base_own: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<f64>,
    samples: i64,
    base_samples: i64,
}

#[derive(Serialize)]
struct Stack<'a> {
    value: i64,
    base: i64,
    frames: Vec<&'a str>,
}

#[derive(Serialize)]
struct Node<'a> {
    depth: usize,
    function: &'a str,
    #[serde(skip_serializing_if = "no_line")]
    line: u32,
    cum: i64,
    flat: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_cum: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_flat: Option<i64>,
}

#[derive(Serialize)]
struct Peeked<'a> {
    function: &'a str,
    flat: i64,
    cum: i64,
    callers: Vec<Edge<'a>>,
    callees: Vec<Edge<'a>>,
}

#[derive(Serialize)]
struct Edge<'a> {
    function: &'a str,
    value: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<i64>,
}

#[derive(Serialize)]
struct Listed {
    function: String,
    file: String,
    flat: i64,
    cum: i64,
    lines: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    line: u32,
    flat: i64,
    cum: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_flat: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_cum: Option<i64>,
}

fn function<'a>(v: &'a View, r: &Row) -> Function<'a> {
    let k = &v.keys[r.key as usize];
    let base = v.compared.then(|| Base {
        base_flat: r.flat.base,
        base_cum: r.cum.base,
        base_own: r.blame.base,
        // Of nothing there is no part.
        change: (r.blame.base != 0).then(|| r.blame.change() as f64 / (r.blame.base as f64).abs()),
        samples: r.count.new,
        base_samples: r.count.base,
    });
    Function {
        function: &k.name,
        file: &k.file,
        line: k.line,
        flat: r.flat.new,
        cum: r.cum.new,
        own: r.blame.new,
        base,
    }
}

fn base(v: &View, p: Pair) -> Option<i64> {
    v.compared.then_some(p.base)
}

/// Writes one object.
pub fn write(b: &mut Vec<u8>, args: &Prof, l: &Looked) -> Result<(), Failure> {
    let v = &l.view;
    let top = |n: usize| if args.top == 0 { n } else { n.min(args.top) };
    let by_function;
    let judged = if l.selection.by == By::Function {
        v
    } else {
        by_function = View::new(&l.calls, &Selection { by: By::Function, ..l.selection.clone() });
        &by_function
    };
    let by_line;
    let mut d = Document {
        schema: "adit/profile/1",
        files: &args.files,
        base: &args.base,
        kinds: &l.calls.kinds,
        kind: &v.kind.name,
        unit: &v.kind.unit,
        total: v.total.new,
        base_total: base(v, v.total),
        selected: v.selected().new,
        time_ns: l.calls.facts[0].time_ns,
        duration_ns: l.calls.facts[0].duration_ns,
        notes: l.calls.facts.iter().flat_map(|f| f.notes.iter().map(String::as_str)).collect(),
        verdict: l.difference.as_ref().map(|d| verdict(judged, d, args)),
        count: None,
        functions: None,
        stacks: Vec::new(),
        tree: None,
        peek: None,
        list: None,
    };
    match &args.report {
        None => {}
        Some(ReportOf::Top) => {
            let rows = if v.compared { diff::compare(v, args.thresholds).rows } else { report::top(v) };
            d.count = Some(rows.len());
            d.functions = Some(rows.iter().take(top(rows.len())).map(|r| function(v, r)).collect());
            if v.compared {
                d.stacks = diff::stacks(v, STACKS).into_iter().map(|n| stack(v, n)).collect();
            }
        }
        Some(ReportOf::Tree) => d.tree = Some(nodes(v, args.top)),
        Some(ReportOf::Peek(re)) => d.peek = Some(peeked(v, &regex(re)?)),
        Some(ReportOf::List(re)) => {
            by_line = View::new(&l.calls, &Selection { by: By::Line, ..l.selection.clone() });
            d.list = Some(report::list(&by_line, &regex(re)?).into_iter().map(|x| listed(&by_line, x)).collect());
        }
    }
    serde_json::to_writer(&mut *b, &d)
        .map_err(|e| Failure::new(FailureKind::Internal, format!("cannot write JSON: {e}")))?;
    b.push(b'\n');
    Ok(())
}

fn verdict<'a>(v: &'a View, d: &diff::Difference, args: &Prof) -> Judgement<'a> {
    Judgement {
        kind: match d.verdict {
            Verdict::TooFew => "too-few-samples",
            other => other.name(),
        },
        text: diff::sentence(v, d, args.thresholds),
        min_samples: args.thresholds.min_samples,
        min_change: args.thresholds.min_change,
        worse: d.worse.iter().map(|r| function(v, r)).collect(),
        better: d.better.iter().map(|r| function(v, r)).collect(),
    }
}

fn stack(v: &View, n: u32) -> Stack<'_> {
    let own = v.own[n as usize];
    let frames = v.tree.path(n).into_iter().filter_map(|n| v.key(n)).map(|k| &*k.name).collect();
    Stack { value: own.new, base: own.base, frames }
}

fn nodes(v: &View, top: usize) -> Vec<Node<'_>> {
    let mut out = Vec::new();
    let mut todo = vec![(ROOT, 0)];
    while let Some((n, depth)) = todo.pop() {
        if let (Some(k), true) = (v.key(n), n != ROOT) {
            if top > 0 && out.len() >= top {
                break;
            }
            let (sum, own) = (v.sum[n as usize], v.own[n as usize]);
            out.push(Node {
                depth,
                function: &k.name,
                line: k.line,
                cum: sum.new,
                flat: own.new,
                base_cum: base(v, sum),
                base_flat: base(v, own),
            });
        }
        let mut children: Vec<u32> = v.tree.children(n).filter(|c| v.sum[*c as usize].weight() > 0).collect();
        children.sort_by_key(|c| v.sum[*c as usize].weight());
        todo.extend(children.into_iter().map(|c| (c, if n == ROOT { 0 } else { depth + 1 })));
    }
    out
}

fn peeked<'a>(v: &'a View, re: &regex::Regex) -> Vec<Peeked<'a>> {
    let edges = |l: Vec<(u32, Pair)>| {
        l.into_iter()
            .map(|(k, p)| Edge { function: &v.keys[k as usize].name, value: p.new, base: base(v, p) })
            .collect()
    };
    let all = report::peek(v, re).into_iter();
    all.map(|p| Peeked {
        function: &v.keys[p.row.key as usize].name,
        flat: p.row.flat.new,
        cum: p.row.cum.new,
        callers: edges(p.callers),
        callees: edges(p.callees),
    })
    .collect()
}

fn listed(v: &View, l: report::Lines) -> Listed {
    let lines = l.lines.into_iter().map(|(line, (flat, cum))| Line {
        line,
        flat: flat.new,
        cum: cum.new,
        base_flat: base(v, flat),
        base_cum: base(v, cum),
    });
    Listed {
        function: l.name.to_string(),
        file: l.file.to_string(),
        flat: l.total.0.new,
        cum: l.total.1.new,
        lines: lines.collect(),
    }
}
