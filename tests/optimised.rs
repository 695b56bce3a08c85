//! Values in code as it is released: in registers of goroutines that were preempted at any instruction, gone with a reason, taken by
//! programs without DWARF from what the runtime knows.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod common;

use adit::backend::protocol::*;
use adit::base::GoroutineId;
use adit::model::*;
use common::{DEFAULT, Debuggee, build, build_with};
use std::time::Duration;

const RELEASES: [&str; 7] = ["go1.21.13", "go1.22.10", "go1.23.9", "go1.24.11", "go1.25.5", "go1.26.8", "go1.27.3"];

fn stack(d: &mut Debuggee, goroutine: GoroutineId) -> Stack {
    match d.call(Request::Stack { goroutine: Some(goroutine), depth: 50, defers: false }) {
        Ok(Reply::Stack { stack, .. }) => stack,
        other => panic!("{other:?}"),
    }
}

fn scope(d: &mut Debuggee, goroutine: GoroutineId, frame: u32) -> Vec<Variable> {
    let frame = FrameRef { goroutine: Some(goroutine), frame };
    match d.call(Request::Scope { frame, limits: LoadLimits::default() }) {
        Ok(Reply::Variables { variables, .. }) => variables,
        other => panic!("{other:?}"),
    }
}

fn goroutines(d: &mut Debuggee) -> Vec<Goroutine> {
    let filter = GoroutineFilter { text: "spin".into(), ..GoroutineFilter::default() };
    let q = GoroutineQuery { filter, start: 0, count: 100, stack: 0, defers: false, names: true };
    match d.call(Request::Goroutines(q)) {
        Ok(Reply::Goroutines { rows, .. }) => rows,
        other => panic!("{other:?}"),
    }
}

/// One of the two loops runs, the other was preempted: both show the seed that they were given, which is in a register only.
fn preempted(release: &str) {
    let mut d = Debuggee::launch(&build_with("preempted", DEFAULT, release), &[]);
    d.call(Request::Resume { kind: ResumeKind::Continue, goroutine: None }).unwrap();
    std::thread::sleep(Duration::from_millis(150));
    d.stop = None;
    d.call(Request::Pause).unwrap();
    d.wait_stop();
    let mut seeds = Vec::new();
    let mut by_preemption = 0;
    for g in goroutines(&mut d) {
        let s = stack(&mut d, g.id);
        let at = s.frames.iter().position(|f| f.at.function == "main.spin").expect("the loop on its stack");
        let preempted = s.frames.iter().take(at).any(|f| f.at.function == "runtime.asyncPreempt");
        by_preemption += usize::from(preempted);
        let vars = scope(&mut d, g.id, at as u32);
        let value = |n: &str| vars.iter().find(|v| v.name == n).map_or("none", |v| &v.value).to_string();
        seeds.push(value("seed"));
        let x = value("x");
        assert!(x.parse::<u64>().is_ok() || x.contains("only up to line"), "{release}: x is {x}");
    }
    seeds.sort();
    assert_eq!(seeds, ["1111", "2222"], "{release}");
    assert!(by_preemption >= 1, "{release}: nobody was preempted");
}

#[test]
fn registers_of_preempted_goroutines() {
    for release in RELEASES {
        preempted(release);
    }
}

/// Every variable of every frame of optimised programs is there or says why it is not.
#[test]
fn what_is_gone_says_why() {
    let (mut there, mut gone) = (0, 0);
    for program in ["values", "scopes", "inlined", "generics", "results"] {
        let mut d = Debuggee::launch(&build(program, DEFAULT), &[]);
        for _ in 0..12 {
            if d.resume(ResumeKind::Next).is_none() {
                break;
            }
            let frames = match d.call(Request::Stack { goroutine: None, depth: 20, defers: false }) {
                Ok(Reply::Stack { stack, .. }) => stack.frames.len() as u32,
                other => panic!("{other:?}"),
            };
            for frame in 0..frames {
                let request =
                    Request::Scope { frame: FrameRef { goroutine: None, frame }, limits: LoadLimits::default() };
                let Ok(Reply::Variables { variables, .. }) = d.call(request) else { continue };
                for v in variables {
                    match &v.unavailable {
                        None => there += 1,
                        Some(Unavailable::OptimisedOut { why, .. }) => {
                            assert!(!why.is_empty(), "{program} {} {}", d.at(), v.name);
                            gone += 1;
                        }
                        Some(_) => gone += 1,
                    }
                }
            }
        }
    }
    println!("{there} values, {gone} gone with a reason");
    assert!(there > 50 && gone > 10, "{there} {gone}");
}

/// A slice of which only the capacity is nowhere has its elements.
#[test]
fn a_slice_without_its_capacity() {
    let line = common::line_of("gostatement", "out[id] = v");
    let mut seen = 0;
    for release in RELEASES {
        let mut d = Debuggee::launch(&build_with("gostatement", DEFAULT, release), &[]);
        d.break_at(&format!("main.go:{line}"));
        for now in ["[0,0,0]", "[0,0,0]", "[0,1,0]"] {
            d.resume(ResumeKind::Continue);
            let request = Request::Scope { frame: FrameRef::default(), limits: LoadLimits::default() };
            let Ok(Reply::Variables { variables, .. }) = d.call(request) else { panic!("no variables") };
            let out = variables.iter().find(|v| v.name == "out").expect("it is declared");
            assert!(out.value.starts_with("[]int len: 3, cap: ") && out.value.ends_with(now), "{release}: {out:?}");
            seen += usize::from(out.value.contains("cap: ?") && out.cap.is_none());
        }
    }
    assert!(seen > 0, "no release drops it");
}
