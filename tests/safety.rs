//! The first rule: the target is never harmed. Each way in which a debugger can end, in each situation, on a process with a
//! heartbeat; its text is compared with the file afterwards. `ADIT_SAFETY_RUNS` says how often (default 2; `make safety`: 100).

mod common;

use adit::backend::protocol::*;
use adit::model::*;
use common::heart::Heart;
use common::screen::Screen;
use common::*;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn runs() -> usize {
    std::env::var("ADIT_SAFETY_RUNS").ok().and_then(|s| s.parse().ok()).unwrap_or(2)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Situation {
    /// A breakpoint is hit a thousand times a second and never counts.
    Hot,
    /// The target stands at a breakpoint.
    Held,
    /// A breakpoint that is never reached.
    NotReached,
    /// Data that is written a thousand times a second is watched, and no write counts.
    Watched,
    /// The target stands because watched data was written.
    WatchHeld,
    /// Entries and returns of a function are traced.
    Traced,
    /// A function called by us has not returned.
    Calling,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// The client is gone: end-of-file.
    ClientGone,
    /// SIGTERM to the host.
    HostTerm,
    /// An orderly detach.
    Quit,
    /// SIGKILL to the host.
    HostKill,
}

fn arrange(heart: &Heart, s: Situation) -> Debuggee {
    let mut d = Debuggee::attach(heart.pid());
    match s {
        Situation::NotReached => drop(d.break_at("main.never")),
        Situation::Hot => {
            let spec = BreakpointSpec { hits: HitCondition::parse("> 1000000000"), ..BreakpointSpec::at("main.hot") };
            d.call(Request::SetBreakpoint { spec, frame: FrameRef::default() }).expect("a breakpoint");
            std::thread::sleep(std::time::Duration::from_millis(30));
        }
        Situation::Held => {
            d.break_at("main.hot");
            d.wait_stop().expect("a stop");
        }
        Situation::Watched => {
            let hits = HitCondition::parse("> 1000000000");
            let spec = BreakpointSpec { hits, ..BreakpointSpec::watch("main.beat", Access::Write) };
            d.call(Request::SetBreakpoint { spec, frame: FrameRef::default() }).expect("a watchpoint");
            std::thread::sleep(std::time::Duration::from_millis(30));
        }
        Situation::WatchHeld => {
            let spec = BreakpointSpec::watch("main.beat", Access::ReadWrite);
            d.call(Request::SetBreakpoint { spec, frame: FrameRef::default() }).expect("a watchpoint");
            d.wait_stop().expect("a stop");
        }
        Situation::Traced => {
            let mut spec = BreakpointSpec::at("main.hot");
            (spec.actions.run_on, spec.actions.trace) = (true, true);
            d.call(Request::SetBreakpoint { spec, frame: FrameRef::default() }).expect("a trace point");
            std::thread::sleep(std::time::Duration::from_millis(30));
        }
        Situation::Calling => {
            d.break_at("main.hot");
            d.wait_stop().expect("a stop");
            let frame = FrameRef::default();
            let call = Request::Call { frame, expression: "main.slow(200)".into(), limits: LoadLimits::default() };
            d.call(Request::ClearBreakpoint(adit::base::BreakpointId(1))).expect("cleared");
            d.client.send(call);
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
    d
}

fn end(heart: &Heart, d: Debuggee, e: End) {
    let host = Pid::from_raw(heart.tracer());
    assert_ne!(host.as_raw(), 0, "attached");
    match e {
        End::ClientGone => drop(d),
        End::HostTerm => {
            kill(host, Signal::SIGTERM).expect("sent");
            assert!(heart.released(), "released after SIGTERM");
        }
        End::HostKill => {
            kill(host, Signal::SIGKILL).expect("sent");
            assert!(heart.released(), "released by the kernel");
        }
        End::Quit => {
            let mut d = d;
            d.call(Request::Detach { kill: false }).expect("detached");
        }
    }
}

fn check(situation: Situation, how: End) {
    let exe = build("heartbeat", DEFAULT);
    let heart = Heart::start(&exe);
    for run in 0..runs() {
        let d = arrange(&heart, situation);
        end(&heart, d, how);
        assert!(heart.released(), "{situation:?} {how:?} run {run}: released");
        assert!(heart.beats_on(30), "{situation:?} {how:?} run {run}: the heart beats");
        assert_eq!(heart.changed_bytes(), 0, "{situation:?} {how:?} run {run}: text as in the file");
    }
    println!("{situation:?} / {how:?}: {0}/{0} alive, 0 bytes changed", runs());
}

/// The client is adit itself in a terminal.
fn check_client(situation: Situation, how: &str) {
    let heart = Heart::start(&build("heartbeat", DEFAULT));
    for run in 0..runs() {
        let pid = heart.pid().to_string();
        let args = ["attach", &pid, "--no-state"];
        let mut s =
            if how == "pty closed" { Screen::start_in_window(80, 24, &args) } else { Screen::start(80, 24, &args) };
        s.wait_for("CONTROL");
        match situation {
            Situation::NotReached => {
                s.command("break main.never");
                s.until("a breakpoint byte", |_| heart.changed_bytes() > 0);
            }
            Situation::Hot => {
                s.command("break main.hot");
                s.wait_for("stopped at breakpoint 1");
                s.command("condition 1 i == -1");
                s.command("continue");
                s.until("a breakpoint byte", |_| heart.changed_bytes() > 0);
                assert!(heart.beats_on(5), "{situation:?} {how} run {run}: beats under a hot breakpoint\n{}", s.text());
            }
            Situation::Held => {
                s.command("break main.hot");
                s.wait_for("stopped at breakpoint 1");
            }
            other => panic!("{other:?} is for the host's ends"),
        }
        let me = Pid::from_raw(s.pid());
        match how {
            // Of `script`, which holds the terminal.
            "pty closed" => kill(me, Signal::SIGKILL).expect("sent"),
            "SIGKILL" => kill(me, Signal::SIGKILL).expect("sent"),
            "SIGHUP" => kill(me, Signal::SIGHUP).expect("sent"),
            "SIGTERM" => kill(me, Signal::SIGTERM).expect("sent"),
            "quit" => {
                s.send("q");
                s.wait_for("detach");
                s.send("\r");
            }
            other => panic!("{other}"),
        }
        assert!(heart.released(), "{situation:?} {how} run {run}: released");
        assert!(heart.beats_on(30), "{situation:?} {how} run {run}: the heart beats");
        assert_eq!(heart.changed_bytes(), 0, "{situation:?} {how} run {run}: text as in the file");
        s.wait_end();
    }
    println!("{situation:?} / client {how}: {0}/{0} alive, 0 bytes changed", runs());
}

macro_rules! client_cases {
    ($($name:ident: $s:ident $how:literal;)*) => { $(
        #[test]
        fn $name() {
            check_client(Situation::$s, $how);
        }
    )* };
}

client_cases! {
    hot_client_killed: Hot "SIGKILL";
    hot_client_hup: Hot "SIGHUP";
    hot_client_pty_closed: Hot "pty closed";
    hot_client_quit: Hot "quit";
    held_client_killed: Held "SIGKILL";
    held_client_hup: Held "SIGHUP";
    held_client_term: Held "SIGTERM";
    held_client_pty_closed: Held "pty closed";
    held_client_quit: Held "quit";
    not_reached_client_killed: NotReached "SIGKILL";
    not_reached_client_hup: NotReached "SIGHUP";
    not_reached_client_pty_closed: NotReached "pty closed";
    not_reached_client_quit: NotReached "quit";
}

macro_rules! cases {
    ($($name:ident: $s:ident $e:ident;)*) => { $(
        #[test]
        fn $name() {
            check(Situation::$s, End::$e);
        }
    )* };
}

cases! {
    hot_client_gone: Hot ClientGone;
    hot_host_term: Hot HostTerm;
    hot_quit: Hot Quit;
    held_client_gone: Held ClientGone;
    held_host_term: Held HostTerm;
    held_quit: Held Quit;
    held_host_kill: Held HostKill;
    not_reached_client_gone: NotReached ClientGone;
    not_reached_host_term: NotReached HostTerm;
    not_reached_quit: NotReached Quit;
    watched_client_gone: Watched ClientGone;
    watched_host_term: Watched HostTerm;
    watched_quit: Watched Quit;
    watch_held_client_gone: WatchHeld ClientGone;
    watch_held_host_term: WatchHeld HostTerm;
    watch_held_quit: WatchHeld Quit;
    watch_held_host_kill: WatchHeld HostKill;
    traced_client_gone: Traced ClientGone;
    traced_host_term: Traced HostTerm;
    traced_quit: Traced Quit;
    calling_client_gone: Calling ClientGone;
    calling_host_term: Calling HostTerm;
    calling_quit: Calling Quit;
}

/// A function that we called and that does not return outlives us, and so does the program when it returns.
#[test]
fn a_call_that_does_not_return_in_time() {
    let heart = Heart::start(&build("heartbeat", DEFAULT));
    let mut d = Debuggee::attach(heart.pid());
    d.break_at("main.hot");
    d.wait_stop().expect("a stop");
    d.call(Request::ClearBreakpoint(adit::base::BreakpointId(1))).expect("cleared");
    let frame = FrameRef::default();
    d.client.send(Request::Call { frame, expression: "main.slow(4000)".into(), limits: LoadLimits::default() });
    std::thread::sleep(std::time::Duration::from_millis(50));
    let refused = d.call(Request::Detach { kill: false });
    assert!(refused.expect_err("not now").message.contains("has not returned"));
    drop(d);
    assert!(heart.released());
    std::thread::sleep(std::time::Duration::from_millis(4500));
    assert!(heart.beats_on(30), "it returned without us");
}

/// SIGKILL of the host with an unreached breakpoint: the guardian takes it out.
#[test]
fn the_guardian_after_host_kill() {
    let exe = build("heartbeat", DEFAULT);
    let heart = Heart::start(&exe);
    for run in 0..runs() {
        let d = arrange(&heart, Situation::NotReached);
        std::thread::sleep(std::time::Duration::from_millis(30));
        end(&heart, d, End::HostKill);
        assert!(heart.is_put_back(), "run {run}");
        assert!(heart.beats_on(10), "run {run}");
    }
    println!("NotReached / HostKill: {0}/{0} alive, 0 bytes changed", runs());
}

/// As before, but the guardian was killed first: `rescue` does it.
#[test]
fn rescue_after_host_kill() {
    let exe = build("heartbeat", DEFAULT);
    for _ in 0..runs() {
        let heart = Heart::start(&exe);
        let d = arrange(&heart, Situation::NotReached);
        std::thread::sleep(std::time::Duration::from_millis(30));
        for g in children(heart.tracer()) {
            kill(Pid::from_raw(g), Signal::SIGKILL).expect("a guardian");
        }
        end(&heart, d, End::HostKill);
        assert!(heart.beats_on(10));
        assert!(heart.changed_bytes() > 0);
        let done = adit::engine::rescue::rescue(heart.pid()).expect("rescued");
        assert!(done.repaired > 0, "{done:?}");
        assert_eq!(heart.changed_bytes(), 0);
        assert!(heart.beats_on(10));
    }
}

/// Children of a process.
fn children(pid: i32) -> Vec<i32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a process");
    let lists = tasks.flatten().filter_map(|t| std::fs::read_to_string(t.path().join("children")).ok());
    lists.flat_map(|l| l.split_whitespace().filter_map(|p| p.parse().ok()).collect::<Vec<i32>>()).collect()
}

/// SIGKILL of the host while a breakpoint is hit a thousand times a second, or data is written as often that is watched. A thread that is just
/// reporting a hit gets its SIGTRAP, and the hook sees to it.
#[test]
fn hot_host_kill() {
    for situation in [Situation::Hot, Situation::Watched] {
        let exe = build("heartbeat", DEFAULT);
        let (mut heart, mut alive) = (Heart::start(&exe), 0);
        for run in 0..runs() {
            let d = arrange(&heart, situation);
            // Not always at the same place between two hits.
            std::thread::sleep(std::time::Duration::from_micros(30_000 + 377 * run as u64 % 2_000));
            end(&heart, d, End::HostKill);
            if heart.beats_on(30) {
                alive += 1;
                assert!(heart.is_put_back(), "{situation:?} run {run}");
            } else {
                heart = Heart::start(&exe);
            }
        }
        println!("{situation:?} / HostKill: {alive}/{} alive", runs());
        assert_eq!(alive, runs(), "{situation:?}");
    }
}

/// SIGKILL of the host while a function is traced by uprobes: the kernel takes them out, however hot they are.
#[test]
fn uprobes_outlive_nobody() {
    let paranoid = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap_or_default();
    if !nix::unistd::geteuid().is_root() && paranoid.trim() != "-1" {
        println!("not permitted here: trace points are int3s");
        return;
    }
    let exe = build("heartbeat", DEFAULT);
    for _ in 0..runs() {
        let heart = Heart::start(&exe);
        let mut d = arrange(&heart, Situation::Traced);
        let hot = |d: &Debuggee| d.breakpoints.values().any(|b| b.mechanism == Mechanism::Uprobe && b.hits > 10);
        let deadline = std::time::Instant::now() + PATIENCE;
        while !hot(&d) && std::time::Instant::now() < deadline {
            d.call(Request::Threads).expect("answered");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert!(hot(&d), "{:?}", d.breakpoints);
        kill(Pid::from_raw(heart.tracer()), Signal::SIGKILL).expect("sent");
        assert!(heart.released(), "released by the kernel");
        drop(d);
        assert!(heart.beats_on(100), "it goes on where it was traced a thousand times a second");
        // The thread that traced may be gone before the host's last one is, with which the kernel closes the probes.
        assert!(heart.is_put_back(), "{} bytes differ", heart.changed_bytes());
        adit::engine::rescue::rescue(heart.pid()).expect("rescued");
        assert_eq!(heart.changed_bytes(), 0);
        assert!(heart.beats_on(10));
    }
}

/// What saves threads that were reporting a hit is found in stripped programs, too, of every release.
#[test]
fn the_hook_is_found_in_stripped_programs() {
    for release in ["", "go1.21.13", "go1.22.10", "go1.23.9", "go1.24.11", "go1.25.5", "go1.26.6", "go1.27.3"] {
        let heart = Heart::start(&build_with("heartbeat", DEFAULT, release));
        let l = adit::engine::Loaded::open(heart.pid(), None).expect("readable");
        let by_symbol = l.rt.globals().test_sigtrap;
        let by_code = adit::goruntime::globals::test_sigtrap(&l.sym).map(|a| l.bias.to_load(a));
        assert!(by_symbol.is_some() && by_symbol == by_code, "{release}: {by_symbol:?}, by code {by_code:?}");
    }
}

/// A window that closes without a word: the target is let go all the same.
#[test]
fn a_terminal_that_vanishes_without_a_signal() {
    let heart = Heart::start(&build("heartbeat", DEFAULT));
    let pid = heart.pid().to_string();
    let mut s = Screen::start_without_signals(80, 24, &["attach", &pid, "--no-state", "--profile", "dev"]);
    s.wait_for("CONTROL");
    s.command("break main.hot");
    s.wait_for("stopped: bp 1");
    kill(Pid::from_raw(s.pid()), Signal::SIGKILL).expect("the window");
    assert!(heart.released(), "let go");
    assert!(heart.beats_on(5) && heart.is_put_back());
}
