//! Deferred calls: the list that is shown while a goroutine is parked, against what then really runs, in order; and against Delve where
//! it shows them. Loops, conditions, panics in panics, recovers, Goexit, range-over-func, generics, methods; open-coded, on the stack
//! and on the heap; optimised and not; releases from 1.21 on.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;
mod goprog;

use adit::engine::Loaded;
use adit::goruntime::{ListOptions, StackStart};
use adit::model::Stack;
use common::dlv::{Dlv, dlv};
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Deferred functions of the program that call `recover` themselves.
const RECOVER: &[&str] = &["main.saves", "main.sRepanic.func1", "main.scenario.func1.1"];

const TOOLCHAINS: &[&str] = &["go1.21.13", "go1.22.10", "go1.24.11", "go1.26.8", "go1.27.3"];

struct Program {
    child: Child,
    stdin: ChildStdin,
    lines: BufReader<ChildStdout>,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

impl Program {
    fn start(tool: &str, flags: &[&str]) -> Program {
        let mut child = Command::new(goprog::build("deferchains", tool, flags))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Program { child, stdin, lines: BufReader::new(stdout) }
    }
    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.lines.read_line(&mut line).expect("a line") > 0, "the program ended");
        line.trim().to_string()
    }
    /// Names of the scenarios, when all of them are parked.
    fn parked(&mut self, n: usize) -> Vec<String> {
        let mut out = Vec::new();
        while out.len() < n {
            if let Some(s) = self.line().strip_prefix("PARK ") {
                out.push(s.to_string());
            }
        }
        out
    }
    /// Lets a scenario go and says what ran.
    fn run(&mut self, s: &str) -> Vec<String> {
        writeln!(self.stdin, "{s}").expect("written");
        let mut out = Vec::new();
        loop {
            let line = self.line();
            if line == format!("DONE {s}") {
                return out;
            }
            if let Some(f) = line.strip_prefix(&format!("RAN {s} ")) {
                out.push(f.to_string());
            }
        }
    }
}

/// The stacks of the parked scenarios, by the name of the scenario's function, in lower case.
fn stacks(l: &Loaded, n: usize) -> BTreeMap<String, Stack> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let list = l.rt.list(&*l.mem, &HashMap::new(), l.now_ns(), ListOptions::default()).unwrap();
        let mut out = BTreeMap::new();
        for g in (0..list.len()).filter_map(|i| list.g(i)) {
            let stack = l.rt.stack(&*l.mem, StackStart::Parked(g), 200, true).unwrap().stack;
            let at = |name: &str| stack.frames.iter().any(|f| f.at.function == name);
            // `main.sOpen`, and what it is inlined into or generic: the outermost of them.
            let own = stack.frames.iter().rev().find_map(|f| {
                f.at.function.strip_prefix("main.s").filter(|o| o.starts_with(char::is_uppercase)).map(str::to_string)
            });
            if at("main.park")
                && let Some(own) = own
            {
                let own = own.split(['.', '-', '[']).next().unwrap_or_default().to_lowercase();
                out.insert(own, stack);
            }
        }
        if out.len() == n {
            return out;
        }
        assert!(Instant::now() < deadline, "{} of {n} are parked: {:?}", out.len(), out.keys());
    }
}

/// Without what no deferred function of the user's: the scenario's own frame around it, and built-in functions.
fn pending(stack: &Stack) -> Vec<String> {
    let ours = |f: &str| f.starts_with("main.") && !f.starts_with("main.scenario");
    // The runtime's own names leave out what a generic function was made for.
    let shape = regex::Regex::new(r"\[go\.shape[^\]]*\]").expect("a pattern");
    let all = stack.frames.iter().flat_map(|f| &f.defers).map(|d| shape.replace(&d.function, "[...]").into_owned());
    all.filter(|f| ours(f)).collect()
}

fn scenarios(tool: &str) -> usize {
    if tool.starts_with("go1.21") || tool.starts_with("go1.22") { 25 } else { 29 }
}

#[test]
fn what_is_shown_is_what_runs() {
    let (mut all, mut wrong) = (0, Vec::new());
    for tool in TOOLCHAINS {
        for (kind, flags) in [("optimised", &[][..]), ("debug", goprog::DEBUG), ("stripped", &["-ldflags=-s -w"])] {
            let mut p = Program::start(tool, flags);
            let names = p.parked(scenarios(tool));
            let l = Loaded::open(p.child.id() as i32, None).expect("readable");
            let stacks = stacks(&l, names.len());
            for s in &names {
                let stack = &stacks[&own_name(s)];
                let (shown, ran) = (pending(stack), p.run(s));
                all += 1;
                // A nil func is shown where it stands; running it is a panic, which says no name.
                let nil = stack.frames.iter().flat_map(|f| &f.defers).filter(|d| d.function == "nil").count();
                if nil != usize::from(s == "nilFunc") {
                    wrong.push(format!("{tool} {kind} {s}: {nil} nil functions"));
                }
                for d in stack.frames.iter().flat_map(|f| &f.defers) {
                    if d.recovers != RECOVER.contains(&d.function.as_str()) {
                        wrong.push(format!("{tool} {kind} {s}: {} recovers: {}", d.function, d.recovers));
                    }
                }
                if shown != ran {
                    wrong.push(format!("{tool} {kind} {s}:\n   shown {shown:?}\n   ran   {ran:?}"));
                }
            }
        }
    }
    println!("{} of {all} lists are right", all - wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(all > 350);
}

fn own_name(s: &str) -> String {
    match s {
        "returning" => "returningof".into(),
        s => s.to_lowercase(),
    }
}

/// (goroutine, deferred functions with the lines of their `defer` statements) from Delve's listing of stacks.
fn theirs(text: &str) -> BTreeMap<u64, Vec<(String, Option<u32>)>> {
    let mut out: BTreeMap<u64, Vec<(String, Option<u32>)>> = BTreeMap::new();
    let mut goroutine = 0;
    for line in text.lines().map(|l| l.trim().trim_start_matches("* ")) {
        if let Some(rest) = line.strip_prefix("Goroutine ") {
            goroutine = rest.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        } else if line.starts_with("defer ")
            && let Some((_, name)) = line.split_once(" in ")
        {
            out.entry(goroutine).or_default().push((name.to_string(), None));
        } else if let Some(by) = line.strip_prefix("deferred by ").filter(|by| !by.starts_with("???"))
            && let Some(last) = out.get_mut(&goroutine).and_then(|v| v.last_mut())
        {
            last.1 = by.rsplit(':').next().and_then(|n| n.parse().ok());
        }
    }
    out
}

/// Delve shows no open-coded calls: those are in optimised code. It does not see through wrappers around func values and interfaces.
#[test]
fn delve_shows_the_same() {
    let Some(path) = dlv() else {
        println!("left out: no dlv");
        return;
    };
    let mut p = Program::start("", goprog::DEBUG);
    let names = p.parked(scenarios(""));
    let pid = p.child.id() as i32;
    let l = Loaded::open(pid, None).expect("readable");
    let ours = stacks(&l, names.len());
    let text = Dlv::attach(&path, pid).run("goroutines -with user -exec stack 60 -defer");
    let theirs = theirs(&text);
    let shape = regex::Regex::new(r"\[go\.shape[^\]]*\]").expect("a pattern");
    let (mut same, mut lines, mut wrong) = (0, 0, Vec::new());
    for (name, stack) in &ours {
        let all: Vec<_> = stack.frames.iter().flat_map(|f| &f.defers).collect();
        let want = theirs.get(&stack.goroutine.0).cloned().unwrap_or_default();
        let text = format!("{name}: dlv {want:#?}, adit {all:#?}");
        if want.len() != all.len() {
            wrong.push(text);
            continue;
        }
        for (d, (function, line)) in all.iter().zip(&want) {
            let (a, b) = (shape.replace(&d.function, "[...]"), shape.replace(function, "[...]"));
            same += 1;
            if a != b && !b.contains(".deferwrap") && (&*a, &*b) != ("nil", "???") {
                wrong.push(format!("{name}: {b}, not {a}"));
            }
            if let (Some(at), Some(line)) = (&d.statement, line) {
                lines += 1;
                if at.line != *line {
                    wrong.push(format!("{name}: {a} by line {line}, not {}", at.line));
                }
            }
        }
    }
    println!("{same} deferred calls and {lines} lines of their statements are Delve's");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(same > 100 && lines > 80, "{same} {lines}");
    assert!(!p.run(&names[0]).is_empty(), "it goes on");
}
