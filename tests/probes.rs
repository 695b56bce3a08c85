//! Breakpoints that think, trace points and watchpoints, on real programs: what they record, that none is lost, that nobody is harmed.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod common;

use adit::backend::protocol::*;
use adit::base::GoroutineId;
use adit::model::*;
use common::{DEBUG, DEFAULT, Debuggee, build, line_of};

fn set(d: &mut Debuggee, spec: BreakpointSpec) -> Breakpoint {
    match d.call(Request::SetBreakpoint { spec: spec.clone(), frame: FrameRef::default() }) {
        Ok(Reply::Breakpoint(b)) => *b,
        other => panic!("{spec:?}: {other:?}"),
    }
}

fn refused(d: &mut Debuggee, spec: BreakpointSpec) -> String {
    match d.call(Request::SetBreakpoint { spec: spec.clone(), frame: FrameRef::default() }) {
        Err(f) => f.message,
        other => panic!("{spec:?}: {other:?}"),
    }
}

fn log(place: &str, text: &str) -> BreakpointSpec {
    let mut s = BreakpointSpec::at(place);
    (s.actions.run_on, s.actions.log) = (true, text.into());
    s
}

fn trace(place: &str) -> BreakpointSpec {
    let mut s = BreakpointSpec::at(place);
    (s.actions.run_on, s.actions.trace) = (true, true);
    s
}

/// May we use the kernel's uprobes?
fn uprobes() -> bool {
    let paranoid = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap_or_default();
    let there = std::path::Path::new("/sys/bus/event_source/devices/uprobe/type").exists();
    there && (nix::unistd::geteuid().is_root() || paranoid.trim() == "-1")
}

fn run_to_end(d: &mut Debuggee) {
    let stop = d.resume(ResumeKind::Continue);
    assert!(stop.is_none(), "{stop:?}");
    assert_eq!(d.exited, Some((Some(0), None)), "{}", d.output);
}

#[test]
fn log_points_record_and_run_on() {
    for flags in [DEBUG, DEFAULT] {
        let mut d = Debuggee::launch(&build("probed", flags), &["sequence"]);
        let mut spec = log("main.price", "{{{id}}} {what} {len(what)} {nosuch}");
        spec.condition = "id > 3".into();
        spec.actions.values = vec!["id * 2".into(), "main.total".into()];
        spec.actions.stack = 2;
        let b = set(&mut d, spec);
        run_to_end(&mut d);
        let hits: Vec<&Hit> = d.hits.iter().filter(|h| h.breakpoint == b.id).collect();
        assert_eq!(hits.len(), 6, "{flags:?}");
        assert_eq!(hits[0].number, 1);
        assert!(hits[0].text.starts_with("{4} \"part 4\" 6 <"), "{}", hits[0].text);
        assert_eq!(hits[5].values, [("id * 2".into(), "18".into()), ("main.total".into(), "0".into())]);
        assert_eq!(hits[0].stack.len(), 2);
        assert_eq!(hits[0].stack[0].function, "main.price");
        assert!(matches!(hits[0].stack[1].function.as_str(), "main.sequence"), "{:?}", hits[0].stack[1]);
        assert!(hits.windows(2).all(|w| w[0].at_ns <= w[1].at_ns));
        let b = d.breakpoints.get(&b.id).expect("news of it");
        assert_eq!((b.hits, b.reached), (6, 10));
        assert!(b.cost_ns > 0);
    }
}

#[test]
fn trace_points_see_arguments_results_and_time() {
    for (flags, exact) in [(DEBUG, true), (DEBUG, false), (DEFAULT, true), (DEFAULT, false)] {
        let mut d = Debuggee::launch(&build("probed", flags), &["sequence"]);
        let set = |d: &mut Debuggee, mut spec: BreakpointSpec| {
            spec.actions.exact = exact;
            set(d, spec)
        };
        let price = set(&mut d, trace("main.price"));
        let half = set(&mut d, trace("main.half"));
        let deep = set(&mut d, trace("main.grow"));
        // Floats travel in registers that the kernel does not note.
        assert_eq!(half.mechanism, Mechanism::Int3);
        let (price, half, deep) = (price.id, half.id, deep.id);
        run_to_end(&mut d);
        let mechanism = if uprobes() && !exact { Mechanism::Uprobe } else { Mechanism::Int3 };
        assert_eq!(
            (d.breakpoints[&price].mechanism, d.breakpoints[&deep].mechanism),
            (mechanism, mechanism),
            "{flags:?}"
        );
        let of = |id| d.hits.iter().filter(|h| h.breakpoint == id).collect::<Vec<&Hit>>();
        let calls = of(price);
        assert_eq!(calls.len(), 20, "{flags:?}: {calls:?}");
        assert_eq!(calls[2].kind, HitKind::Entered);
        assert_eq!(calls[2].values[0], ("id".into(), "1".into()));
        assert_eq!(calls[2].values[1], ("what".into(), "\"part 1\"".into()));
        assert!(matches!(calls[3].kind, HitKind::Returned(Some(ns)) if ns > 0 && ns < 10_000_000_000));
        assert_eq!(calls[3].values[0], ("n".into(), "10".into()), "{flags:?}");
        assert_eq!(calls[3].values[1].1, "error nil");
        let (name, text) = &calls[9].values[1];
        assert!(name == "err" && text.contains("no price for part 4"), "{text}");
        let floats = of(half);
        assert_eq!(floats[0].values, [("f".into(), "5".into())], "{flags:?}");
        assert_eq!(floats[1].values[0].1, "2.5", "{flags:?}");
        // A recursion: every call returns once, the innermost first, its stack grown meanwhile.
        let deep = of(deep);
        let returned: Vec<u64> = deep
            .iter()
            .filter_map(|h| if let HitKind::Returned(Some(ns)) = h.kind { Some(ns) } else { None })
            .collect();
        assert_eq!((deep.len(), returned.len()), (802, 401));
        assert!(returned.windows(2).all(|w| w[0] <= w[1]));
    }
}

#[test]
fn counts_chains_and_temporary_ones() {
    let mut d = Debuggee::launch(&build("probed", DEBUG), &["sequence"]);
    let mut first = BreakpointSpec::at("main.price");
    first.hits = HitCondition::parse("== 3");
    first.temporary = true;
    let first = set(&mut d, first);
    let mut then = BreakpointSpec::at(&format!("main.go:{}", line_of("probed", "return id * 10")));
    then.after = Some(first.id);
    let then = set(&mut d, then);
    let bad = BreakpointSpec { after: Some(adit::base::BreakpointId(99)), ..BreakpointSpec::at("main.half") };
    assert!(refused(&mut d, bad).contains("no breakpoint 99"));
    assert!(refused(&mut d, log("main.half", "{f")).contains("no }"));
    // The second is reached twice before, and is not hit then.
    let stop = d.resume(ResumeKind::Continue).expect("a stop");
    assert_eq!(stop.reason, StopReason::Breakpoint(first.id));
    d.call(Request::Threads).expect("news come before the reply");
    assert!(!d.breakpoints.contains_key(&first.id), "it is gone");
    let stop = d.resume(ResumeKind::Continue).expect("a stop");
    assert_eq!(stop.reason, StopReason::Breakpoint(then.id));
    let id = match d.call(Request::Eval {
        frame: FrameRef::default(),
        expression: "id".into(),
        limits: LoadLimits::default(),
    }) {
        Ok(Reply::Value { value, .. }) => value.value,
        other => panic!("{other:?}"),
    };
    assert_eq!(id, "2");
    // Of another goroutine: never.
    d.call(Request::ClearBreakpoint(then.id)).expect("cleared");
    set(&mut d, BreakpointSpec { goroutine: Some(GoroutineId(99_999)), ..BreakpointSpec::at("main.half") });
    let mut ends = log("main.price", "x");
    ends.actions.stop_after = 2;
    let ends = set(&mut d, ends);
    run_to_end(&mut d);
    assert_eq!(d.hits.iter().filter(|h| h.breakpoint == ends.id).count(), 2);
    assert!(!d.breakpoints[&ends.id].spec.enabled && d.breakpoints[&ends.id].problem.contains("done after 2"));
}

#[test]
fn hits_of_each_goroutine_by_itself() {
    let mut d = Debuggee::launch(&build("probed", DEFAULT), &["threads", "20"]);
    let mut spec = log("main.checked", "{who}");
    spec.hits = HitCondition::parse("== 7");
    spec.per_goroutine = true;
    set(&mut d, spec);
    run_to_end(&mut d);
    let mut who: Vec<&str> = d.hits.iter().map(|h| h.text.as_str()).collect();
    who.sort_unstable();
    assert_eq!(who, ["0", "1", "2", "3", "4", "5", "6", "7"]);
}

#[test]
fn watched_data_stops_with_its_values() {
    let mut d = Debuggee::launch(&build("probed", DEBUG), &["sequence"]);
    let name = set(&mut d, BreakpointSpec::watch("main.name", Access::Write));
    assert_eq!(name.mechanism, Mechanism::DebugRegister);
    let paid = set(&mut d, BreakpointSpec::watch("main.last.paid", Access::Write));
    let too_large = refused(&mut d, BreakpointSpec::watch("main.wide", Access::Write));
    assert!(too_large.contains("48 bytes"), "{too_large}");
    let full = refused(&mut d, BreakpointSpec::watch("main.list", Access::Write));
    assert!(full.contains("debug registers") && full.contains("in use"), "{full}");
    assert!(refused(&mut d, BreakpointSpec::watch("len(main.list)", Access::Write)).contains("not in memory"));
    let stop = d.resume(ResumeKind::Continue).expect("a stop");
    assert_eq!(stop.reason, StopReason::Watchpoint { id: paid.id, old: "false".into(), new: "false".into() });
    assert_eq!(stop.at.function, "main.sequence");
    d.call(Request::ClearBreakpoint(paid.id)).expect("cleared");
    // A string's header: pointer and length are written one after the other.
    let mut seen = Vec::new();
    while let Some(stop) = d.resume(ResumeKind::Continue) {
        let StopReason::Watchpoint { id, new, .. } = stop.reason else { panic!("{:?}", stop.reason) };
        assert_eq!(id, name.id);
        seen.push(new);
    }
    assert_eq!(seen.last().map(String::as_str), Some("\"second\""), "{seen:?}");
    assert!(d.output.contains("done"));
}

#[test]
fn a_variable_on_a_stack_is_followed_until_its_function_returns() {
    let mut d = Debuggee::launch(&build("probed", DEBUG), &["sequence"]);
    d.break_at(&format!("main.go:{}", line_of("probed", "x += 1")));
    d.resume(ResumeKind::Continue).expect("a stop");
    let x = set(&mut d, BreakpointSpec::watch("x", Access::Write));
    let mut seen = Vec::new();
    for _ in 0..2 {
        let stop = d.resume(ResumeKind::Continue).expect("a stop");
        let StopReason::Watchpoint { id, old, new } = stop.reason else { panic!("{:?}", stop.reason) };
        assert_eq!((id, stop.at.function.as_str()), (x.id, "main.local"));
        seen.push((old, new));
    }
    // Between the two its stack grew by some 130 kB.
    assert_eq!(seen, [("7".into(), "8".into()), ("8".into(), "10".into())]);
    let stop = d.resume(ResumeKind::Continue).expect("a stop");
    assert_eq!(stop.reason, StopReason::WatchEnded(x.id, "its function returned".into()));
    assert!(!d.breakpoints.contains_key(&x.id));
    run_to_end(&mut d);
    assert!(d.output.contains("10 second"), "{}", d.output);
}

/// Condition, trace point and watchpoint at once on 8 threads: the program counts its own calls. `ADIT_PROBE_ROUNDS` for more.
#[test]
fn none_is_lost_on_eight_threads() {
    let rounds: u64 = std::env::var("ADIT_PROBE_ROUNDS").ok().and_then(|s| s.parse().ok()).unwrap_or(300);
    let mut d = Debuggee::launch(&build("probed", DEFAULT), &["threads", &rounds.to_string()]);
    let condition = set(&mut d, BreakpointSpec { condition: "i == -1".into(), ..BreakpointSpec::at("main.checked") });
    let traced = set(&mut d, trace("main.traced"));
    let mut watch = BreakpointSpec::watch("main.total", Access::Write);
    watch.actions.run_on = true;
    let watch = set(&mut d, watch);
    let t0 = std::time::Instant::now();
    d.patience = std::time::Duration::from_secs(600);
    run_to_end(&mut d);
    let took = t0.elapsed();
    let n = 8 * rounds;
    assert!(d.output.contains(&format!("total {n} ")), "{}", d.output);
    d.call(Request::Breakpoints).expect("news come before the reply");
    let of = |id| &d.breakpoints[&id];
    assert_eq!((of(condition.id).reached, of(condition.id).hits), (n, 0));
    assert_eq!(of(traced.id).hits, n);
    assert_eq!(of(watch.id).reached, n);
    let count = |id| d.hits.iter().filter(|h| h.breakpoint == id).count() as u64;
    let recorded = count(traced.id) + count(watch.id) + d.lost;
    assert_eq!(recorded, 3 * n, "lost {}", d.lost);
    println!("{n} of each in {took:?}, {:.0} events a second", 4.0 * n as f64 / took.as_secs_f64());
}

/// Leaving a function shows what it returned.
#[test]
fn results_after_a_step_out() {
    for flags in [DEBUG, DEFAULT] {
        let mut d = Debuggee::launch(&build("probed", flags), &["sequence"]);
        d.break_at("main.price");
        d.resume(ResumeKind::Continue).expect("a stop");
        d.resume(ResumeKind::Continue).expect("the second call");
        let stop = d.resume(ResumeKind::StepOut).expect("a stop");
        let results: Vec<(&str, &str)> = stop.returned.iter().map(|v| (v.name.as_str(), v.value.as_str())).collect();
        assert_eq!(results, [("n", "10"), ("err", "error nil")], "{flags:?}");
        let stop = d.resume(ResumeKind::Next).expect("a stop");
        assert!(stop.returned.is_empty(), "they belong to one stop");
    }
}
