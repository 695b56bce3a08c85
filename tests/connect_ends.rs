//! Every end of adit over a remote Delve: the program lives, and Delve serves on or has ended as it does with its only client.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;

use common::headless::{Release, Server, releases};
use common::heart::Heart;
use common::screen::Screen;
use common::*;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use std::time::{Duration, Instant};

/// How adit ends.
const ENDS: [&str; 5] = ["quit", "SIGTERM", "SIGHUP", "SIGKILL", "window closed"];

/// How Delve was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Served {
    /// It stays, and the program ran when adit came.
    MultiRunning,
    /// It stays, and the program stood.
    MultiStanding,
    /// It has one client.
    Single,
}

/// What adit does when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Situation {
    /// Stopped at a breakpoint that is hit a thousand times a second.
    Held,
    /// The program runs, and a breakpoint is not reached.
    NotReached,
    /// The program runs, and a breakpoint is hit a thousand times a second without its condition being met.
    Hot,
}

const SITUATIONS: [Situation; 3] = [Situation::Held, Situation::NotReached, Situation::Hot];

/// Runs of each case; more with `ADIT_SAFETY_RUNS`.
fn runs() -> usize {
    std::env::var("ADIT_SAFETY_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(1)
}

fn attach(r: &Release, pid: i32, served: Served) -> Server {
    let pid = pid.to_string();
    let mut words = vec!["attach", pid.as_str()];
    if served != Served::Single {
        words.push("--accept-multiclient");
    }
    if served == Served::MultiRunning {
        words.push("--continue");
    }
    Server::start(&r.dlv, &words)
}

fn running(s: &Server) -> bool {
    // A question that comes just before another client's `continue` waits for that one to end, whatever `NonBlocking` says (Delve looks
    // whether the program runs before it takes its lock): then it is asked again.
    let ask = || s.ask_for(Duration::from_secs(2), "State", json!({"NonBlocking": true}));
    let state = (0..5).find_map(|_| ask()).expect("an answer");
    // Of version 1 the state is the result itself.
    let state = state["result"].get("State").unwrap_or(&state["result"]).clone();
    state["Running"] == json!(true)
}

fn end(s: &mut Screen, how: &str) {
    let me = Pid::from_raw(s.pid());
    match how {
        // Of `script`, which holds the terminal.
        "window closed" | "SIGKILL" => kill(me, Signal::SIGKILL).expect("sent"),
        "SIGTERM" => kill(me, Signal::SIGTERM).expect("sent"),
        "SIGHUP" => kill(me, Signal::SIGHUP).expect("sent"),
        "quit" => {
            s.send("q");
            s.wait_for("leave:");
            s.send("\r");
        }
        other => panic!("{other}"),
    }
}

fn until(what: &str, hit: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !hit() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn case(r: &Release, served: Served, situation: Situation, how: &str) {
    let what = format!("Delve {} {served:?} {situation:?} {how}", r.name);
    let held = situation == Situation::Held;
    let heart = Heart::start(&build_with("heartbeat", DEFAULT, r.go));
    let mut server = attach(r, heart.pid(), served);
    if served == Served::MultiRunning {
        until("it runs", || running(&server));
    }
    let words = ["connect", server.address.as_str()];
    let mut s = match how {
        "window closed" => Screen::start_in_window(80, 24, &words),
        _ => Screen::start(80, 24, &words),
    };
    s.wait_for("CONTROL");
    s.command(match situation {
        Situation::Held => "break main.hot",
        Situation::NotReached => "break main.never",
        Situation::Hot => "break main.hot if i == -7",
    });
    if served != Served::MultiRunning {
        s.wait_for("breakpoint 1 at");
        s.send("c");
    }
    if held {
        s.wait_for("stopped at breakpoint 1");
    } else {
        s.wait_for("running");
        assert!(heart.beats_on(5), "{what}: it runs");
    }
    end(&mut s, how);
    s.wait_end();
    match served {
        Served::Single => {
            let t0 = Instant::now();
            assert!(server.ends(), "{what}: Delve ends with its only client: {}", server.said());
            if t0.elapsed() > Duration::from_secs(2) {
                println!("{what}: Delve took {:?} to end: {}", t0.elapsed(), server.said());
            }
            assert!(heart.released(), "{what}: released");
            assert!(heart.beats_on(30), "{what}: the heart beats");
            assert_eq!(heart.changed_bytes(), 0, "{what}: text as in the file");
        }
        _ => {
            assert!(server.lives(), "{what}: Delve stays");
            // Left running if it ran when we came, or ran when we left; left standing if it stood both times.
            let runs = served == Served::MultiRunning || !held;
            until(&format!("{what}: running {runs}"), || running(&server) == runs);
            if !runs {
                // adit's host outlives a killed screen by some milliseconds.
                until(&format!("{what}: our breakpoint is gone"), || {
                    let left = server.ask("ListBreakpoints", json!({"All": false}));
                    let left = left["result"].get("Breakpoints").unwrap_or(&left["result"]).clone();
                    left.as_array().unwrap().iter().all(|b| b["id"].as_i64().unwrap() < 0)
                });
                server.ask("Command", json!({"name": "halt"}));
                std::thread::spawn({
                    let address = server.address.clone();
                    move || {
                        use std::io::Write;
                        let mut c = std::net::TcpStream::connect(address).unwrap();
                        c.write_all(
                            b"{\"method\":\"RPCServer.Command\",\"params\":[{\"name\":\"continue\"}],\"id\":1}\n",
                        )
                        .unwrap();
                        std::thread::sleep(Duration::from_secs(3));
                    }
                });
            }
            assert!(heart.beats_on(30), "{what}: the heart beats");
            // Nothing of ours stops it: the hot function runs on.
            std::thread::sleep(Duration::from_millis(100));
            assert!(heart.beats_on(30), "{what}: the heart beats on");
            // Delve still serves a new client.
            assert!(server.ask("GetVersion", json!({}))["result"]["DelveVersion"].is_string(), "{what}: it serves");
        }
    }
}

fn all(served: Served) {
    for r in releases() {
        for how in ENDS {
            for situation in SITUATIONS {
                for _ in 0..runs() {
                    case(&r, served, situation, how);
                }
            }
        }
        println!(
            "Delve {} {served:?}: {} ends, the program lives after all of them",
            r.name,
            ENDS.len() * SITUATIONS.len() * runs()
        );
    }
}

#[test]
fn a_server_that_stays_with_a_program_that_ran() {
    all(Served::MultiRunning);
}

#[test]
fn a_server_that_stays_with_a_program_that_stood() {
    all(Served::MultiStanding);
}

#[test]
fn a_server_with_one_client() {
    all(Served::Single);
}

/// A program that Delve started: with `--accept-multiclient` it outlives adit, however that ends.
#[test]
fn a_program_that_delve_started() {
    for r in releases() {
        for how in ENDS {
            let dir = tempfile::tempdir().unwrap();
            let beat = dir.path().join("beat");
            let exe = build_with("heartbeat", DEFAULT, r.go);
            let words = ["exec", exe.to_str().unwrap(), "--accept-multiclient", "--", beat.to_str().unwrap(), "60"];
            let mut server = Server::start(&r.dlv, &words);
            let words = ["connect", server.address.as_str()];
            let mut s = match how {
                "window closed" => Screen::start_in_window(80, 24, &words),
                _ => Screen::start(80, 24, &words),
            };
            s.wait_for("launched, stopped");
            s.send("c");
            until("it runs", || server.said().contains("ready"));
            end(&mut s, how);
            s.wait_end();
            let said = server.said();
            let pid: i32 = said.split("ready ").nth(1).unwrap().split_whitespace().next().unwrap().parse().unwrap();
            assert!(server.lives() && running(&server), "Delve {} {how}: it serves", r.name);
            assert!(adit::target::linux::procfs::alive(pid), "Delve {} {how}: the program lives", r.name);
        }
        // Without it, Delve ends what it started; the question says so before.
        let exe = build_with("shop", DEBUG, r.go);
        let mut server = Server::start(&r.dlv, &["exec", exe.to_str().unwrap()]);
        let mut s = Screen::start(80, 24, &["connect", &server.address]);
        s.wait_for("launched, stopped");
        s.send("q");
        s.wait_for("Delve ends, and with it the program that it started");
        s.send("\r");
        s.wait_end();
        assert!(server.ends(), "Delve {}: ended with its only client", r.name);
    }
}

/// adit's host killed, which nobody can prevent: what is left is Delve's, and lives.
#[test]
fn the_host_killed() {
    for r in releases() {
        let heart = Heart::start(&build_with("heartbeat", DEFAULT, r.go));
        let mut server = attach(&r, heart.pid(), Served::MultiStanding);
        let mut s = Screen::start(80, 24, &["connect", &server.address]);
        s.wait_for("CONTROL");
        s.command("break main.never");
        s.wait_for("breakpoint 1 at");
        s.send("c");
        assert!(heart.beats_on(5));
        let host = children(s.pid()).into_iter().next().expect("a host");
        kill(Pid::from_raw(host), Signal::SIGKILL).expect("sent");
        s.wait_for("the host process ended");
        assert!(server.lives() && running(&server), "Delve {}: it serves", r.name);
        assert!(heart.beats_on(30), "Delve {}: the heart beats", r.name);
        s.send("q");
        s.wait_end();
    }
}

/// Processes that a process has started.
fn children(of: i32) -> Vec<i32> {
    let all = std::fs::read_dir("/proc").expect("/proc").flatten();
    let pids = all.filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    let parent = |pid: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')').and_then(|(_, r)| r.split_whitespace().nth(1)?.parse::<i32>().ok())
    };
    pids.filter(|p| parent(p) == Some(of)).collect()
}

/// Delve killed, or its program: adit says it, and the terminal is left as it was.
#[test]
fn a_server_that_vanishes() {
    for r in releases() {
        let exe = build_with("shop", DEBUG, r.go);
        let mut server = Server::start(&r.dlv, &["exec", exe.to_str().unwrap(), "--accept-multiclient"]);
        let mut s = Screen::start(100, 30, &["connect", &server.address]);
        s.wait_for("launched, stopped");
        kill(Pid::from_raw(server.pid()), Signal::SIGKILL).expect("sent");
        s.wait_for("detached: Delve at 127.0.0.1");
        s.send("q");
        s.wait_end();
        assert!(!server.lives());
        assert!(!s.text().contains("detached"), "the terminal is as it was: {}", s.text());
    }
}
