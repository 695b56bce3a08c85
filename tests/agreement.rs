//! The same session under Delve and under adit on every program in tests/programs: stop positions and values compared.
//!
//! Needs `dlv` (ADIT_DLV or PATH); without it this says so and checks nothing.

mod common;

use adit::backend::protocol::*;
use common::dlv::{Dlv, dlv};
use common::*;
use std::path::Path;

/// Programs and arguments. Those with goroutines that race for a breakpoint are compared for values only where they stop alike.
const PROGRAMS: &[(&str, &[&str])] = &[
    ("scalars", &[]),
    ("slices", &[]),
    ("maps", &[]),
    ("structs", &[]),
    ("pointers", &[]),
    ("interfaces", &[]),
    ("closures", &[]),
    ("channels", &[]),
    ("generics", &[]),
    ("scopes", &[]),
    ("consts", &[]),
    ("strings", &[]),
    ("times", &[]),
    ("methods", &[]),
    ("control", &[]),
    ("results", &[]),
    ("recursion", &[]),
    ("packagevars", &[]),
    ("callbacks", &[]),
    ("gostatement", &[]),
    ("syncs", &[]),
    ("deferloop", &[]),
    ("anonymous", &[]),
    ("steps", &[]),
    ("defers", &[]),
    ("rangefunc", &[]),
    ("panics", &["error"]),
    ("goroutines", &[]),
    ("inlined", &[]),
];

const STOPS: usize = 5;

#[derive(Default)]
struct Score {
    steps: (usize, usize),
    values: (usize, usize),
    differences: Vec<String>,
    optimised: bool,
}

impl Score {
    fn step(&mut self, what: &str, theirs: &str, ours: &str) -> bool {
        self.steps.1 += 1;
        // Delve's terminal names the function that the code was compiled into, adit the one it was inlined from.
        let line = |p: &str| p.rsplit_once(':').map(|p| p.1.to_string());
        if theirs == ours || (self.optimised && line(theirs).is_some() && line(theirs) == line(ours)) {
            self.steps.0 += 1;
            return true;
        }
        self.differences.push(format!("{what}: dlv {theirs}, adit {ours}"));
        false
    }
    fn value(&mut self, what: &str, theirs: &str, ours: &str) {
        // Delve takes parts that are nowhere for zeros.
        if self.optimised && ours.contains("this part is kept nowhere here") {
            return;
        }
        self.values.1 += 1;
        if normal(theirs) == normal(ours) {
            self.values.0 += 1;
        } else {
            self.differences.push(format!("{what}:\n      dlv  {theirs}\n      adit {ours}"));
        }
    }
}

/// Addresses differ between two runs; that a value is nowhere is said in words of one's own.
fn normal(s: &str) -> String {
    let gone = [
        "could not find loclist entry",
        "<optimised out at ",
        "(unreadable empty OP stack)",
        "(unreadable read out of bounds)",
    ];
    if gone.iter().any(|g| s.contains(g)) {
        return "gone".into();
    }
    let re = regex::Regex::new("0x[0-9a-f]{6,}").expect("a pattern");
    let s = re.replace_all(s.trim(), "0x_");
    // In its multi-line form Delve puts a pointer's address on a line of its own first.
    let s = match s.split_once('\n') {
        Some((first, rest)) if first.starts_with("(*") && first.ends_with("(0x_)") => rest,
        _ => &s,
    };
    // Delve breaks long values into lines, with a comma behind the last element; addresses are also printed in decimal.
    let flat: String = s.chars().filter(|c| !c.is_whitespace()).collect();
    // A map of more entries than are shown begins wherever its random seed says: only how many there are is compared.
    if flat.starts_with("map[") && flat.contains("...+") {
        let more = flat.split("...+").nth(1).unwrap_or_default();
        return format!("{}...+{more}", flat.split(']').next().unwrap_or_default());
    }
    let decimal = regex::Regex::new("[0-9]{13,}").expect("a pattern");
    decimal.replace_all(&flat.replace(",}", "}").replace(",]", "]"), "N").into_owned()
}

/// `print` breaks channels (with the goroutines that wait) and closures (with what they captured) into lines; adit shows those in the
/// tree, and in one line what is compared here: type, elements and capacity; the function.
fn one_line(t: &str) -> String {
    let first =
        t.lines().next().unwrap_or_default().trim_end_matches(" {").trim_end_matches("}").trim_end_matches(" {");
    let first = if first.ends_with("struct") { format!("{first} {{}}") } else { first.to_string() };
    if t.contains("Goroutines waiting on this channel") {
        let field = |name: &str| {
            let rest = t.split(&format!("{name}: ")).nth(1)?;
            Some(rest.chars().take_while(char::is_ascii_digit).collect::<String>())
        };
        return match (field("qcount"), field("dataqsiz")) {
            (Some(n), Some(cap)) => format!("{first} {n}/{cap}"),
            _ => format!("{first} nil"),
        };
    }
    let last = first.rsplit('.').next().unwrap_or_default();
    if t.contains(" {\n") && (last.starts_with("func") || last.ends_with("-fm")) && !first.contains(' ') {
        return first;
    }
    t.to_string()
}

/// Where the session breaks: lines marked `// BP`, else a few functions.
fn places(name: &str) -> Vec<String> {
    let src = std::fs::read_to_string(source_dir(name).join("main.go")).expect("a source file");
    let marked: Vec<String> = src
        .lines()
        .enumerate()
        .filter(|(_, l)| l.contains("// BP"))
        .map(|(i, _)| format!("main.go:{}", i + 1))
        .collect();
    if !marked.is_empty() {
        return marked;
    }
    src.lines()
        .filter_map(|l| l.strip_prefix("func "))
        .filter(|l| !l.starts_with('('))
        .filter_map(|l| l.split('(').next())
        .filter(|n| !n.contains('['))
        .map(|n| format!("main.{n}"))
        .collect()
}

fn compare(dlv: &Path, name: &str, args: &[&str], flags: &[&str], score: &mut Score) {
    let exe = build(name, flags);
    let mut theirs = Dlv::exec(dlv, &exe, args);
    let mut ours = Debuggee::launch(&exe, args);
    for p in places(name) {
        let t = theirs.run(&format!("break {p}"));
        let o =
            ours.call(Request::SetBreakpoint { spec: adit::model::BreakpointSpec::at(&p), frame: FrameRef::default() });
        let both = (t.contains("set at"), o.is_ok());
        assert_eq!(both.0, both.1, "{name}: break {p}: dlv {t:?}, adit {o:?}");
    }
    // dlv starts before the runtime, adit at main.main: a breakpoint on main.main's own place is met by dlv only.
    let mut first = theirs.run("continue");
    if Dlv::place(&first).as_deref() == Some(&ours.at()) {
        values(name, &mut theirs, &mut ours, score);
        first = theirs.run("continue");
    }
    ours.resume(ResumeKind::Continue);
    let mut place = Dlv::place(&first);
    for stop in 0..STOPS {
        if !score.step(&format!("{name} continue {stop}"), &shown(&place), &our_place(&ours)) || place.is_none() {
            return;
        }
        values(name, &mut theirs, &mut ours, score);
        for (command, kind) in [
            ("next", ResumeKind::Next),
            ("next", ResumeKind::Next),
            ("step", ResumeKind::Step),
            ("step", ResumeKind::Step),
            ("stepout", ResumeKind::StepOut),
        ] {
            let from = shown(&place);
            let out = theirs.run(command);
            place = Dlv::place(&out);
            ours.stop = None;
            match ours.call(Request::Resume { kind, goroutine: None }) {
                Ok(_) => drop(ours.wait_stop()),
                Err(e) => {
                    if place.is_none() || out.contains("Command failed") {
                        return; // both refuse
                    }
                    score.differences.push(format!("{name} {command} from {from}: adit: {e}"));
                    score.steps.1 += 1;
                    return;
                }
            }
            if !score.step(&format!("{name} {command} from {from}"), &shown(&place), &our_place(&ours))
                || place.is_none()
            {
                return;
            }
            // Behind main.main the runtime's own threads race; Delve's own runs differ there.
            if shown(&place).starts_with("runtime.") {
                return;
            }
        }
        values(name, &mut theirs, &mut ours, score);
        place = Dlv::place(&theirs.run("continue"));
        ours.resume(ResumeKind::Continue);
    }
}

fn shown(p: &Option<String>) -> String {
    p.clone().unwrap_or_else(|| "end".into())
}

fn our_place(d: &Debuggee) -> String {
    if d.stop.is_some() { d.at() } else { "end".into() }
}

fn values(name: &str, theirs: &mut Dlv, ours: &mut Debuggee, score: &mut Score) {
    let mut names = Dlv::names(&theirs.run("args"));
    names.extend(Dlv::names(&theirs.run("locals")));
    let scope = match ours.call(Request::Scope { frame: FrameRef::default(), limits: LoadLimits::default() }) {
        Ok(Reply::Variables { variables, .. }) => variables,
        Ok(other) => panic!("{name}: scope: {other:?}"),
        Err(e) => {
            score.value(&format!("{name} scope"), "", &e.to_string());
            return;
        }
    };
    let mut mine: Vec<String> =
        scope.iter().map(|v| if v.flags.shadowed { format!("({})", v.name) } else { v.name.clone() }).collect();
    let at = ours.at();
    let mut listed: Vec<String> = names.iter().map(|n| n.0.clone()).collect();
    listed.sort();
    mine.sort();
    score.value(&format!("{name} {at} names"), &listed.join(" "), &mine.join(" "));
    // Shadowed variables and unnamed results cannot be written as an expression.
    for (n, _) in names.iter().filter(|n| !n.0.starts_with(['(', '~'])) {
        let t = theirs.run(&format!("print {n}"));
        let o = match ours.call(Request::Eval {
            frame: FrameRef::default(),
            expression: n.clone(),
            limits: LoadLimits::default(),
        }) {
            // Delve does not look into the slots of arguments.
            Ok(Reply::Value { value, .. }) if value.flags.from_slot => continue,
            Ok(Reply::Value { value, .. }) => value.value,
            Ok(other) => panic!("{other:?}"),
            Err(e) => format!("Command failed: {e}"),
        };
        score.value(&format!("{name} {at} print {n}"), &one_line(t.trim_end()), &o);
    }
}

/// The whole list of programs, built with `flags`: share of steps and of values that agree.
fn agreement(flags: &[&str]) -> Option<(f64, f64)> {
    let Some(dlv) = dlv() else {
        println!("dlv is not installed: nothing compared (make agreement installs it)");
        return None;
    };
    let only = std::env::var("ADIT_PROGRAM").ok();
    let mut total = Score::default();
    for (name, args) in PROGRAMS.iter().filter(|p| only.as_deref().is_none_or(|o| o == p.0)) {
        let mut s = Score { optimised: flags == DEFAULT, ..Score::default() };
        compare(&dlv, name, args, flags, &mut s);
        println!("{name:14} steps {:3}/{:<3} values {:3}/{:<3}", s.steps.0, s.steps.1, s.values.0, s.values.1);
        for d in &s.differences {
            println!("    {d}");
        }
        total.steps = (total.steps.0 + s.steps.0, total.steps.1 + s.steps.1);
        total.values = (total.values.0 + s.values.0, total.values.1 + s.values.1);
    }
    println!("agreement: steps {}/{}, values {}/{}", total.steps.0, total.steps.1, total.values.0, total.values.1);
    let share = |p: (usize, usize)| p.0 as f64 / p.1.max(1) as f64;
    Some((share(total.steps), share(total.values)))
}

#[test]
fn agrees_with_delve() {
    if let Some((steps, values)) = agreement(DEBUG) {
        assert!(steps >= 0.9 && values >= 0.9, "steps {steps}, values {values}");
    }
}

#[test]
fn agrees_with_delve_on_optimised_builds() {
    if let Some((steps, values)) = agreement(DEFAULT) {
        assert!(steps >= 0.9 && values >= 0.9, "steps {steps}, values {values}");
    }
}
