//! Goroutine lists, stacks, defers and waits of a running program, for every release, debug, optimised and stripped.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod goprog;

use adit::base::clock::monotonic_ns;
use adit::goruntime::{GoRuntime, GoroutineList, ListOptions, StackStart};
use adit::model::{Goroutine, GoroutineFilter, GoroutineState, GroupBy, WaitKind, WaitOp};
use goprog::live::{Live, start};
use goprog::{DEBUG, MATRIX, build};
use std::collections::HashMap;
use std::time::Instant;

const STRIPPED: &[&str] = &["-ldflags=-s -w"];
const STRIPPED_PIE: &[&str] = &["-buildmode=pie", "-ldflags=-s -w"];

fn open(p: &Live) -> GoRuntime {
    GoRuntime::open(p.symbols.clone(), p.bias, &p.mem).unwrap()
}

fn list(rt: &GoRuntime, p: &Live) -> GoroutineList {
    rt.list(&p.mem, &HashMap::new(), monotonic_ns(), ListOptions::default()).unwrap()
}

fn by_entry<'a>(rows: &'a [Goroutine], name: &str) -> &'a Goroutine {
    rows.iter()
        .find(|g| g.entry.as_ref().is_some_and(|e| e.function == name))
        .unwrap_or_else(|| panic!("no goroutine of {name}: {:?}", rows.iter().map(|g| &g.entry).collect::<Vec<_>>()))
}

fn check(tool: &str, flags: &[&str]) {
    let what = format!("{tool} {flags:?}");
    let p = start(&build("parked", tool, flags), &["3"], &[]);
    let rt = open(&p);
    // It says `ready` just before it goes to sleep.
    let deadline = Instant::now() + std::time::Duration::from_secs(20);
    let (l, rows) = loop {
        let l = list(&rt, &p);
        let rows: Vec<Goroutine> = (0..l.len()).filter_map(|i| l.row(i)).collect();
        if by_entry(&rows, "runtime.main").wait_reason.as_deref() == Some("sleep") || Instant::now() > deadline {
            break (l, rows);
        }
    };
    let get = |n: &str| by_entry(&rows, n);

    let r = get("main.receiver");
    assert_eq!(r.wait_reason.as_deref(), Some("chan receive"), "{what}");
    assert_eq!(r.at.function, "runtime.gopark", "{what}");
    assert_eq!((r.user.function.as_str(), r.user.line), ("main.receiver", 32), "{what}");
    assert_eq!(r.created_by.as_ref().unwrap().at.function, "main.main");
    assert_eq!(r.created_by.as_ref().unwrap().goroutine.0, 1);
    assert_eq!(get("main.sender").user.line, 40, "{what}");
    assert!(get("main.locker").wait_reason.as_deref().unwrap().contains("Mutex"));
    assert_eq!(get("main.labelled").labels, vec![("tenant".to_string(), "acme".to_string())], "{what}");
    let main = get("runtime.main");
    assert_eq!((main.id.0, main.user.function.as_str()), (1, "main.main"), "{what}");
    assert!(main.created_by.is_none(), "no go statement made goroutine 1");
    assert!(!main.system && main.state == GoroutineState::Waiting);
    assert!(rows.iter().filter(|g| g.system).count() >= 3);
    assert!(rows.iter().all(|g| !g.torn));

    let waits = |g: &Goroutine| {
        let raw = rt.read_g(&p.mem, g.g).unwrap();
        adit::waits::Waits::new(&rt, &p.mem, 0).of(&raw).on
    };
    let w = waits(get("main.sender"));
    assert_eq!(w.len(), 1, "{what}");
    assert_eq!((w[0].kind, w[0].op, w[0].buffer), (WaitKind::Chan, WaitOp::Send, Some((2, 2))), "{what}");
    assert_eq!(w[0].type_name.as_deref(), Some("chan string"));
    let w = waits(get("main.selecter"));
    assert_eq!(w.iter().filter(|w| w.op == WaitOp::Send).count(), 1, "{what} {w:?}");
    assert_eq!(w.len(), 3);

    let stack = |g: &Goroutine| rt.stack(&p.mem, StackStart::Parked(g.g), 200, true).unwrap().stack;
    let s = stack(get("main.deep"));
    assert_eq!(s.frames.iter().filter(|f| f.at.function == "main.deep").count(), 51, "{what} {s:#?}");
    assert_eq!(s.frames.last().unwrap().at.function, "runtime.goexit", "{what}");
    assert!(s.problems.is_empty() && !s.more);

    for (name, count) in [("main.deferrer", 4), ("main.opencoded", 2)] {
        let s = stack(get(name));
        let f = s.frames.iter().find(|f| f.at.function == name).unwrap();
        assert_eq!(f.defers.len(), count, "{what} {name} {:#?}", f.defers);
        let last = f.defers.last().unwrap();
        assert_eq!(last.function, "main.(*server).close", "{what} {name}");
        assert!(last.receiver.is_some_and(|r| !r.is_nil()), "{what} {name}");
        assert_eq!(f.defers[count - 2].function, "fmt.Println", "{what} {name}");
    }
    let s = stack(get("main.stuckInDefer"));
    assert_eq!(s.panics.len(), 1, "{what}");
    assert_eq!(s.panics[0].value, "went wrong", "{what}");

    let user = l.filter(&GoroutineFilter::default());
    let groups = rt.group(&p.mem, &l, &user, GroupBy::User);
    assert_eq!((groups[0].count, groups[0].sample.user.function.as_str()), (4, "main.receiver"), "{what}");
    assert_eq!(rt.members(&p.mem, &l, &user, GroupBy::User, groups[0].key).len(), 4);
    for by in GroupBy::ALL {
        let n: u64 = rt.group(&p.mem, &l, &user, by).iter().map(|g| g.count).sum();
        assert_eq!(n, user.len() as u64, "{by:?}");
    }
    let f = |text: &str, inverse| l.filter(&GoroutineFilter { system: false, text: text.into(), inverse }).len();
    assert_eq!(f("tenant=acme", false), 1);
    assert_eq!(f("MAIN.GO:32", false), 4);
    assert_eq!(f("chan receive", false) + f("chan receive", true), user.len());
}

#[test]
fn own_release() {
    check("", DEBUG);
    check("", &[]);
    check("", &["-buildmode=pie"]);
}

#[test]
fn stripped() {
    check("", STRIPPED);
    check("", STRIPPED_PIE);
}

#[test]
fn every_release() {
    for tool in MATRIX {
        check(tool, &[]);
        check(tool, STRIPPED_PIE);
    }
}

/// `cargo test --release --test goroutines -- --ignored --nocapture`, with `ADIT_MEASURE` goroutines (100,000).
#[test]
#[ignore = "a measurement, not a check"]
fn measure() {
    let n = std::env::var("ADIT_MEASURE").unwrap_or_else(|_| "100000".into());
    let exe = build("parked", "", &[]);
    let p = start(&exe, &[&n], &[]);
    for _ in 0..3 {
        let t = Instant::now();
        let rt = open(&p);
        let opened = t.elapsed();
        let l = list(&rt, &p);
        println!("open {opened:?}, first list {:?}: {} goroutines, {} retries", t.elapsed(), l.len(), l.retries);
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        println!("{}", status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or(""));
        let t = Instant::now();
        let l = rt.list(&p.mem, &HashMap::new(), monotonic_ns(), ListOptions { stopped: true }).unwrap();
        println!("again, stopped {:?}", t.elapsed());
        let t = Instant::now();
        let all = l.filter(&GoroutineFilter { text: "receiver".into(), ..GoroutineFilter::default() });
        println!("filter {:?} {}", t.elapsed(), all.len());
        for by in [GroupBy::User, GroupBy::Stack] {
            let t = Instant::now();
            println!("group {by:?} {} {:?}", rt.group(&p.mem, &l, &all, by).len(), t.elapsed());
        }
    }
}

/// A process of somebody else: `ADIT_PID=1234 cargo test --release --test goroutines measure_pid -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement, not a check"]
fn measure_pid() {
    let Some(pid) = std::env::var("ADIT_PID").ok().and_then(|p| p.parse::<u32>().ok()) else { return };
    let exe = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    let t = Instant::now();
    let p = goprog::live::attach(pid, &exe);
    println!("symbols {:?}, {} functions", t.elapsed(), p.symbols.pclntab().len());
    let rt = open(&p);
    println!("runtime {:?}", t.elapsed());
    let l = list(&rt, &p);
    println!("list {:?}: {} goroutines", t.elapsed(), l.len());
    let user = l.filter(&GoroutineFilter { system: true, ..GoroutineFilter::default() });
    for g in rt.group(&p.mem, &l, &user, GroupBy::User) {
        println!("{:5} {} {:?} {}", g.count, g.sample.state.name(), g.sample.wait_reason, g.sample.user.function);
    }
}

/// A list that takes over what has not run says the same as one that reads everything, however much the rest moves.
#[test]
fn what_has_not_run_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let heart = dir.path().join("heart").display().to_string();
    let p = start(&build("churn", "local", &[]), &[&heart, "60"], &[]);
    let rt = open(&p);
    let none = HashMap::new();
    let options = ListOptions::default();
    let since = |l: &GoroutineList| rt.list_since(&p.mem, &none, monotonic_ns(), options, Some(l)).unwrap();
    let pid = nix::unistd::Pid::from_raw(p.child.as_ref().unwrap().id() as i32);
    let mut l = list(&rt, &p);
    let mut compared = 0;
    for _ in 0..30 {
        for _ in 0..5 {
            l = since(&l);
        }
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        let (again, anew) = (since(&l), list(&rt, &p));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT).unwrap();
        assert_eq!(again.len(), anew.len());
        for i in 0..anew.len() {
            let (a, b) = (again.row(i).unwrap(), anew.row(i).unwrap());
            let facts = |g: &Goroutine| (g.id, g.state, g.wait_reason.clone(), g.thread, g.labels.clone());
            assert_eq!(facts(&a), facts(&b));
            assert_eq!((&a.at, &a.user, &a.created_by, &a.entry), (&b.at, &b.user, &b.created_by, &b.entry), "{b:?}");
            compared += 1;
        }
        l = again;
    }
    assert!(compared > 300, "{compared} rows");
}
