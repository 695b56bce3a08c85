//! The engine end to end: a real host process, real Go programs.

mod common;

use adit::backend::protocol::*;
use adit::model::*;
use adit::target::linux::procfs;
use common::*;

use ResumeKind::{Continue, Next, Step, StepOut};

#[test]
fn launches_and_stops_at_main() {
    let mut d = Debuggee::launch(&build("steps", DEBUG), &[]);
    let stop = d.stop.clone().expect("a stop");
    assert_eq!(stop.reason, StopReason::Launched);
    assert_eq!(d.at(), format!("main.main:{}", line_of("steps", "func main")));
    assert_eq!(stop.goroutine.map(|g| g.0), Some(1));
    assert_eq!(d.resume(Continue), None);
    assert_eq!(d.exited, Some((Some(0), None)));
    assert!(d.output.contains("3 {4 6} 50 24"), "{}", d.output);
}

#[test]
fn next_step_and_out() {
    let mut d = Debuggee::launch(&build("steps", DEBUG), &[]);
    let l = |t: &str| line_of("steps", t);
    let b = d.break_at("main.add");
    assert_eq!(b.at.len(), 1);
    d.resume(Continue);
    assert_eq!(d.at(), format!("main.add:{}", l("func add")));
    assert!(matches!(d.stop.as_ref().map(|s| &s.reason), Some(StopReason::Breakpoint(id)) if *id == b.id));
    let places = d.walk(&[Next, Next, Next]);
    assert_eq!(
        places,
        [
            format!("main.add:{}", l("sum := a")),
            format!("main.add:{}", l("return sum")),
            format!("main.main:{}", l("total = add"))
        ]
    );
    d.call(Request::ClearBreakpoint(b.id)).expect("cleared");
    let places = d.walk(&[Next, Next, Step, StepOut]);
    assert_eq!(places[0], format!("main.main:{}", l("for i := 0")));
    assert_eq!(places[1], format!("main.main:{}", l("total = add")));
    assert_eq!(places[2], format!("main.add:{}", l("func add")));
    assert_eq!(places[3], format!("main.main:{}", l("total = add")));
}

#[test]
fn steps_into_a_closure_called_indirectly() {
    let mut d = Debuggee::launch(&build("steps", DEBUG), &[]);
    let l = |t: &str| line_of("steps", t);
    d.break_at("main.apply");
    d.resume(Continue);
    let places = d.walk(&[Next, Step, Next, Next, Next]);
    assert_eq!(places[0], format!("main.apply:{}", l("return f(v)")));
    assert_eq!(places[1], format!("main.main.func1:{}", l("r := apply")));
    assert_eq!(places[2], format!("main.main.func1:{}", l("w := v")));
    assert_eq!(places[3], format!("main.main.func1:{}", l("return w")));
    assert_eq!(places[4], format!("main.apply:{}", l("return f(v)")));
}

#[test]
fn recursion_steps_stay_in_their_frame() {
    let mut d = Debuggee::launch(&build("steps", DEBUG), &[]);
    let l = |t: &str| line_of("steps", t);
    let b = d.break_at("main.fact");
    d.resume(Continue);
    d.call(Request::ClearBreakpoint(b.id)).expect("cleared");
    let places = d.walk(&[Next, Next, Next]);
    assert_eq!(places[1], format!("main.fact:{}", l("return n * fact")));
    assert_eq!(places[2], format!("main.main:{}", l("n := fact(4)")));
}

#[test]
fn breakpoints_behind_forks_do_no_harm() {
    let mut d = Debuggee::launch(&build("forks", DEBUG), &[]);
    let b = d.break_at("syscall.forkAndExecInChild1");
    let spec = BreakpointSpec { hits: HitCondition::parse("> 1000"), ..b.spec };
    d.call(Request::EditBreakpoint { id: b.id, spec }).expect("edited");
    d.break_at("syscall.RawSyscall6");
    let mut stops = 0;
    while d.resume(Continue).is_some() {
        stops += 1;
        if stops == 3 {
            let all = match d.call(Request::Breakpoints) {
                Ok(Reply::Breakpoints(b)) => b,
                other => panic!("{other:?}"),
            };
            for b in all.into_iter().filter(|b| b.spec.hits.is_none()) {
                let spec = BreakpointSpec { hits: HitCondition::parse("> 100000"), ..b.spec };
                d.call(Request::EditBreakpoint { id: b.id, spec }).expect("edited");
            }
        }
    }
    assert_eq!(d.exited, Some((Some(0), None)), "{}", d.output);
    assert!(d.output.contains("bad 0"), "{}", d.output);
}

/// Eight goroutines hammer one function: its breakpoint is passed by threads that hit it at the same moment, stopped at, stepped from; no
/// instruction may be lost or done twice.
#[test]
fn many_threads_on_one_breakpoint() {
    for flags in [DEBUG, DEFAULT] {
        let mut d = Debuggee::launch(&build("hammer", flags), &["3000"]);
        d.break_at("main.mix");
        d.break_at(&format!("main.go:{}", line_of("hammer", "a.sum += x")));
        let last = d.break_at(&format!("main.go:{}", line_of("hammer", "f := float64")));
        for i in 0..300 {
            let kind = match i % 4 {
                0 | 1 => Continue,
                2 => Next,
                _ => StepOut,
            };
            d.stop = None;
            match d.call(Request::Resume { kind, goroutine: None }) {
                Ok(_) => assert!(d.wait_stop().is_some(), "{flags:?} step {i}: {:?} {}", d.exited, d.output),
                // A step that another goroutine's breakpoint interrupted is dropped.
                Err(e) => {
                    assert_eq!(e.kind, FailureKind::BadState, "{e:?}");
                    d.call(Request::CancelStep).expect("dropped");
                }
            }
        }
        d.call(Request::CancelStep).expect("dropped");
        let all = match d.call(Request::Breakpoints) {
            Ok(Reply::Breakpoints(b)) => b,
            other => panic!("{other:?}"),
        };
        for b in all {
            // Kept, and passed by everybody, to the end.
            let hits = HitCondition::parse("> 1000000000");
            d.call(Request::EditBreakpoint { id: b.id, spec: BreakpointSpec { hits, ..b.spec } }).expect("edited");
        }
        assert!(last.id.0 > 0);
        assert_eq!(d.resume(Continue), None, "{flags:?}");
        assert_eq!(d.exited, Some((Some(0), None)), "{flags:?} {}", d.output);
        assert!(d.output.contains("wrong sums: 0"), "{flags:?} {}", d.output);
    }
}

/// A program that was launched to be left goes on when the session ends: its terminal stays and is read. Its host goes with it.
#[test]
fn what_is_left_keeps_its_terminal() {
    let spec = LaunchSpec {
        exe: build("paced", DEFAULT),
        args: vec!["4".into()],
        size: (80, 24),
        leave: true,
        ..LaunchSpec::default()
    };
    let d = Debuggee::open(TargetSpec::Launch(spec)).expect("launched");
    let pid = d.target.pid.expect("a process");
    let host = procfs::status(pid).and_then(|s| s.get("PPid")?.parse().ok()).expect("its parent is the host");
    drop(d);
    let wait = |what: &str, hit: &dyn Fn() -> bool| assert!(within(PATIENCE, hit).is_some(), "{what}");
    wait("it is let go", &|| procfs::tracer_of(pid) == 0);
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert!(procfs::alive(pid) && procfs::alive(host), "it goes on, and so does what reads its terminal");
    wait("it ends when its time is over", &|| !procfs::alive(pid));
    wait("and then the host does", &|| !procfs::alive(host));
}

/// All of the stack at the present stop.
fn stack_here(d: &mut Debuggee) -> Stack {
    match d.call(Request::Stack { goroutine: None, depth: 2000, defers: false }) {
        Ok(Reply::Stack { stack, .. }) => stack,
        other => panic!("{other:?} {:?} {:?} {:?}", d.stop, d.exited, d.logs),
    }
}

/// While the scheduler goes over to a goroutine, its stack is whole after each instruction: with the frames that it goes on with below,
/// once the thread has its SP.
#[test]
fn stacks_are_whole_while_a_thread_goes_over_to_a_goroutine() {
    for tool in ["", "go1.21.13", "go1.24.11", "go1.27.3"] {
        let mut d = Debuggee::launch(&build_with("waking", DEFAULT, tool), &["mutex"]);
        let b = d.break_at("gogo");
        d.resume(Continue);
        d.resume(Continue);
        d.call(Request::ClearBreakpoint(b.id)).expect("it is taken away");
        let (mut inside, mut below) = (0, 0);
        while d.at().starts_with("gogo:") && inside < 40 {
            inside += 1;
            let stack = stack_here(&mut d);
            let all: Vec<&str> = stack.frames.iter().map(|f| f.at.function.as_str()).collect();
            assert!(stack.problems.is_empty(), "{tool} {}: {all:?} {:?}", d.at(), stack.problems);
            let root = *all.last().expect("a frame");
            assert!(["runtime.goexit", "runtime.mstart"].contains(&root), "{tool} {}: {all:?}", d.at());
            below += usize::from(!matches!(all.get(1), Some(&"runtime.execute" | &"runtime.newstack")));
            d.resume(ResumeKind::StepInstruction);
        }
        assert!(below > 4 && inside > below + 2, "{tool}: {inside} instructions, {below} with the goroutine's SP");
        d.call(Request::Detach { kill: true }).expect("it ends");
    }
}

/// Wherever a thread stands, its stack leads to where its goroutine or the thread began. `ADIT_STACK_STEPS` steps through more instructions.
#[test]
fn stacks_are_whole_at_every_instruction() {
    let steps: usize = std::env::var("ADIT_STACK_STEPS").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    let mut bad = Vec::new();
    let mut seen = 0;
    for tool in ["", "go1.21.13", "go1.24.11", "go1.27.3"] {
        for (program, args, place) in [
            ("waking", &["mutex"][..], "runtime.gopark"),
            ("waking", &["select"], "runtime.selectgo"),
            ("waking", &["store"], "runtime.wbBufFlush"),
            ("busy", &[], "runtime.gopanic"),
            ("busy", &[], "runtime.newstack"),
            ("busy", &[], "runtime.mcall"),
            ("busy", &[], "runtime.systemstack"),
            ("busy", &[], "runtime.entersyscall"),
            ("busy", &[], "runtime.schedule"),
            ("busy", &[], "runtime.sigtramp"),
            ("busy", &[], "runtime.sigpanic"),
            ("busy", &[], "runtime.asyncPreempt"),
            ("busy", &[], "runtime.goexit0"),
            ("busy", &[], "runtime.newproc1"),
            ("busy", &[], "runtime.gcStart"),
            ("busy", &[], "runtime.exitsyscall"),
            ("busy", &[], "runtime.recovery"),
            ("busy", &[], "runtime.copystack"),
            ("busy", &[], "runtime.deferreturn"),
            ("busy", &[], "time.now"),
            ("busy", &[], "runtime.stopTheWorldWithSema"),
            ("cgo", &["bounce"], "runtime.asmcgocall"),
            ("cgo", &["bounce"], "runtime.cgocallback"),
            ("cgo", &["bounce"], "runtime.cgocallbackg1"),
        ] {
            let mut d = Debuggee::launch(&build_with(program, DEFAULT, tool), args);
            let b = d.break_at(place);
            for _ in 0..3 {
                d.resume(Continue);
            }
            d.call(Request::ClearBreakpoint(b.id)).expect("it is taken away");
            for _ in 0..steps {
                if d.exited.is_some() {
                    break;
                }
                let stack = stack_here(&mut d);
                seen += 1;
                let last = stack.frames.last().map_or("", |f| f.at.function.as_str());
                let root = ["runtime.goexit", "runtime.mstart", "runtime.rt0_go", "runtime.mcall", "runtime.morestack"]
                    .contains(&last);
                // `recovery` changes the saved SP and PC one after the other, and the stack is walked from those.
                let between = d.at().starts_with("runtime.recovery") || d.at().starts_with("recovery");
                // C has no table.
                let foreign = stack.frames.is_empty();
                if !foreign && !stack.problems.is_empty() || !root && !between && !foreign {
                    let all: Vec<&str> = stack.frames.iter().map(|f| f.at.function.as_str()).take(12).collect();
                    bad.push(format!("{tool} {program} {place}: {} {all:?} {:?}", d.at(), stack.problems));
                }
                d.resume(ResumeKind::StepInstruction);
            }
            d.call(Request::Detach { kill: true }).expect("it ends");
        }
    }
    assert!(bad.is_empty(), "{} of {seen}:\n{}", bad.len(), bad.join("\n"));
}
