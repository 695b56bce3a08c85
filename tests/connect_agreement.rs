//! The same session on the native backend and over a remote Delve, position by position and value by value, on three releases.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;

use adit::backend::protocol::*;
use adit::model::*;
use common::headless::{Release, launch, releases};
use common::*;

/// Programs of the agreement with Delve that have one order of events.
const PROGRAMS: &[&str] = &[
    "scalars",
    "slices",
    "maps",
    "structs",
    "pointers",
    "interfaces",
    "closures",
    "channels",
    "generics",
    "scopes",
    "consts",
    "strings",
    "times",
    "methods",
    "control",
    "results",
    "recursion",
    "packagevars",
    "callbacks",
    "deferloop",
    "anonymous",
    "steps",
    "defers",
];

#[derive(Default)]
struct Score {
    steps: (usize, usize),
    values: (usize, usize),
    differences: Vec<String>,
}

/// Lines marked `// BP`, else a few functions.
fn places(name: &str) -> Vec<String> {
    let src = std::fs::read_to_string(source_dir(name).join("main.go")).expect("a source file");
    let marked = src.lines().enumerate().filter(|(_, l)| l.contains("// BP"));
    let marked: Vec<String> = marked.map(|(i, _)| format!("main.go:{}", i + 1)).collect();
    if !marked.is_empty() {
        return marked;
    }
    let functions = src.lines().filter_map(|l| l.strip_prefix("func ")).filter(|l| !l.starts_with('('));
    functions.filter_map(|l| l.split('(').next()).filter(|n| !n.contains('[')).map(|n| format!("main.{n}")).collect()
}

/// Variables as rows: name, type, value, children; addresses are another program's.
fn rows(d: &mut Debuggee) -> Vec<(String, String, String, u64)> {
    let address = regex::Regex::new("0x[0-9a-f]{6,}").expect("a pattern");
    let decimal = regex::Regex::new("[0-9]{13,}").expect("a pattern");
    let plain = |s: &str| decimal.replace_all(&address.replace_all(s, "0x_"), "N").into_owned();
    match d.call(Request::Scope { frame: FrameRef::default(), limits: LoadLimits::default() }) {
        Ok(Reply::Variables { variables, .. }) => {
            let mut all: Vec<_> =
                variables.iter().map(|v| (v.name.clone(), v.type_name.clone(), plain(&v.value), v.children)).collect();
            all.sort();
            all
        }
        Ok(other) => panic!("{other:?}"),
        Err(f) => vec![(String::new(), String::new(), f.to_string(), 0)],
    }
}

/// What is not yet set, or in no place at this instruction, is whatever was there.
fn settled(v: &str) -> bool {
    !v.contains("optimised out") && !v.contains("unreadable") && !v.contains("...+")
}

fn compare(r: &Release, name: &str, score: &mut Score) {
    let exe = build_with(name, DEBUG, r.go);
    let (_server, mut theirs) = launch(r, name, &[]);
    let mut ours = Debuggee::launch(&exe, &[]);
    for p in places(name) {
        let ask = |d: &mut Debuggee| {
            d.call(Request::SetBreakpoint { spec: BreakpointSpec::at(&p), frame: FrameRef::default() })
        };
        let (t, o) = (ask(&mut theirs), ask(&mut ours));
        assert_eq!(t.is_ok(), o.is_ok(), "{} {name}: break {p}: {t:?} {o:?}", r.name);
    }
    let kinds = [
        ResumeKind::Next,
        ResumeKind::Next,
        ResumeKind::Step,
        ResumeKind::Step,
        ResumeKind::StepOut,
        ResumeKind::Continue,
    ];
    theirs.resume(ResumeKind::Continue);
    // Delve's program begins before main.main, where ours stands already.
    if theirs.at() != ours.at() {
        ours.resume(ResumeKind::Continue);
    }
    for (i, k) in kinds.iter().cycle().take(30).enumerate() {
        let from = ours.at();
        score.steps.1 += 1;
        if theirs.at() != from {
            score.differences.push(format!("{name} {i}: Delve {}, adit {from}", theirs.at()));
            return;
        }
        score.steps.0 += 1;
        if theirs.exited.is_some() || from.starts_with("runtime.") {
            return;
        }
        let (t, o) = (rows(&mut theirs), rows(&mut ours));
        let names = |v: &[(String, String, String, u64)]| v.iter().map(|r| r.0.clone()).collect::<Vec<_>>();
        score.values.1 += 1;
        if names(&t) == names(&o) {
            score.values.0 += 1;
        } else {
            score.differences.push(format!("{name} {from}: names {:?} {:?}", names(&t), names(&o)));
        }
        for (a, b) in
            t.iter().zip(&o).filter(|(a, b)| a.0 == b.0 && !a.0.starts_with('~') && settled(&a.2) && settled(&b.2))
        {
            score.values.1 += 1;
            if a == b {
                score.values.0 += 1;
            } else {
                score.differences.push(format!("{name} {from}:\n      Delve {a:?}\n      adit  {b:?}"));
            }
        }
        let go = |d: &mut Debuggee| {
            d.stop = None;
            match d.call(Request::Resume { kind: k.clone(), goroutine: None }) {
                Ok(_) => d.wait_stop().is_some(),
                Err(_) => false,
            }
        };
        let (t, o) = (go(&mut theirs), go(&mut ours));
        if !t && !o {
            return;
        }
    }
}

#[test]
fn the_same_session_on_both() {
    for r in releases() {
        let mut total = Score::default();
        let only = std::env::var("ADIT_PROGRAM").ok();
        for name in PROGRAMS.iter().filter(|p| only.as_deref().is_none_or(|o| o == **p)) {
            let mut s = Score::default();
            compare(&r, name, &mut s);
            println!(
                "Delve {} {name:12} steps {}/{} values {}/{}",
                r.name, s.steps.0, s.steps.1, s.values.0, s.values.1
            );
            for d in &s.differences {
                println!("    {d}");
            }
            total.steps = (total.steps.0 + s.steps.0, total.steps.1 + s.steps.1);
            total.values = (total.values.0 + s.values.0, total.values.1 + s.values.1);
        }
        println!("Delve {}: steps {:?}, values {:?}", r.name, total.steps, total.values);
        let share = |p: (usize, usize)| p.0 as f64 / p.1.max(1) as f64;
        assert!(share(total.steps) >= 0.95 && share(total.values) >= 0.95, "{}", r.name);
    }
}
