//! Stepping in a function that hundreds of goroutines run at the same time.
#![allow(clippy::unwrap_used)]

mod common;

use adit::backend::protocol::*;
use adit::model::{Access, BreakpointSpec, StopReason};
use common::{Debuggee, line_of};

const PROGRAM: &str = "throng";

fn rounds(d: &mut Debuggee) -> i64 {
    let (frame, expression) = (FrameRef::default(), "main.rounds".to_string());
    match d.call(Request::Eval { frame, expression, limits: LoadLimits::default() }) {
        Ok(Reply::Value { value, .. }) => value.value.parse().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Round after round of one goroutine, line by line, wherever it waits and whoever else comes by.
fn walks(rounds_wanted: usize, watches: &[&str]) {
    let exe = common::build(PROGRAM, common::DEBUG);
    let mut d = Debuggee::launch(&exe, &[]);
    let b = d.break_at("main.each");
    let first = d.resume(ResumeKind::Continue).unwrap();
    let me = first.goroutine.unwrap();
    for w in watches {
        let spec = BreakpointSpec::watch(w, Access::Write);
        d.call(Request::SetBreakpoint { spec, frame: FrameRef::default() }).unwrap();
    }
    d.call(Request::ClearBreakpoint(b.id)).unwrap();
    let line = |text: &str| line_of(PROGRAM, text);
    let (enters, returns) = (line("func each"), line("// returns"));
    let before = rounds(&mut d);
    for round in 0..rounds_wanted {
        for at in enters..returns {
            assert_eq!(d.at(), format!("main.each:{at}"), "round {round}");
            let stop = d.resume(ResumeKind::Next).unwrap();
            assert_eq!((stop.reason, stop.goroutine), (StopReason::StepDone, Some(me)), "round {round}, line {at}");
        }
        // Out, and in again by `step`.
        assert_eq!(d.at(), format!("main.each:{returns}"));
        for kind in [ResumeKind::Next, ResumeKind::Step] {
            let stop = d.resume(kind.clone()).unwrap();
            assert_eq!((stop.reason, stop.goroutine), (StopReason::StepDone, Some(me)), "round {round}, {kind:?}");
        }
        while !d.at().starts_with("main.each:") {
            d.resume(ResumeKind::Step).unwrap();
        }
    }
    // The others were not kept out for it.
    let others = rounds(&mut d) - before - rounds_wanted as i64;
    assert!(others > 10 * rounds_wanted as i64, "{others} rounds of others meanwhile");
    // And are caught as ever when it is over.
    d.break_at("main.each");
    let stop = d.resume(ResumeKind::Continue).unwrap();
    assert!(matches!(stop.reason, StopReason::Breakpoint(_)), "{:?}", stop.reason);
}

#[test]
fn one_of_hundreds() {
    walks(12, &[]);
}

#[test]
fn with_all_registers_taken() {
    walks(3, &["main.still[0]", "main.still[1]", "main.still[2]", "main.still[3]"]);
}
