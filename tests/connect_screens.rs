//! The same session on the native backend and over a remote Delve: the screens are the same, but for a list of differences.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;

use common::headless::{Server, releases};
use common::screen::Screen;
use common::*;
use std::time::{Duration, Instant};

/// What is done, and the text that is there when it is done.
const STEPS: &[(&str, &str, &str)] = &[
    ("at a breakpoint", ":break main.(*Cart).Total\r", "breakpoint 1 at"),
    ("stopped", ":continue\r", "stopped at breakpoint 1"),
    ("next", "n", "stepped to: main.(*Cart).Total main.go:28"),
    ("next", "n", "main.go:29"),
    ("next", "n", "stepped to: main.(*Cart).Total main.go:30"),
    ("step", "s", "stepped to: main.price"),
    ("inside", "n", "main.price main.go:22"),
    ("out", "o", "returned"),
    ("print", ":print c.items\r", "c.items ="),
    ("variables", "4++", "[Vars"),
    ("opened", "\r", "owner"),
    ("back", "3", "[Source"),
    ("frame", ":frame 1\r", "cart.Total()"),
    ("goroutines", "2", "[Goroutines"),
    ("filtered", "/lurk\r", "Goroutines 3"),
    ("all", "\x1b", "Goroutines 4"),
    ("breakpoints", "8", "[Breakpoints"),
    ("condition", ":condition 1 c.owner == \"bob\"\r", "bob"),
    ("debug", "3", "[Source"),
    ("frame", ":frame 0\r", "[Source main.go  main.(*Cart).Total]"),
    ("bob", ":continue\r", "stopped at breakpoint 1"),
    ("whatis", ":whatis c\r", "*main.Cart"),
    ("tabs", "\t", ""),
];

/// The screen once it has stood still.
fn settled(s: &Screen, text: &str) -> String {
    if !text.is_empty() {
        s.wait_for(text);
    }
    let end = Instant::now() + Duration::from_secs(10);
    let (mut last, mut since) = (s.text(), Instant::now());
    while since.elapsed() < Duration::from_millis(250) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
        let now = s.text();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    last
}

/// What is in the boxes of a screen, without what differs from run to run.
fn cells(text: &str) -> Vec<String> {
    let rules = [
        ("[0-9]{2}:[0-9]{2}:[0-9]{2}Z", "TIME"),
        ("pid [0-9]+", "pid N"),
        ("thread [0-9]+", "thread N"),
        (r"\bg[0-9]+\b", "gN"),
        ("0x[0-9a-f]+", "0xA"),
        // How long a line between two boxes is depends on the words before and behind it.
        ("[─━]+", "-"),
        (" +", " "),
    ];
    let rules: Vec<(regex::Regex, &str)> = rules.iter().map(|r| (regex::Regex::new(r.0).unwrap(), r.1)).collect();
    let one =
        |l: &str| rules.iter().fold(l.to_string(), |l, r| r.0.replace_all(&l, r.1).into_owned()).trim().to_string();
    let all = text.lines().flat_map(|l| l.split(['│', '┃', '┐', '┌', '┓', '┏', '┘', '└', '┛', '┗']));
    all.map(one).filter(|c| !c.is_empty() && c != "-").collect()
}

/// What is on one screen and not on the other.
fn only<'a>(a: &'a [String], b: &[String]) -> Vec<&'a String> {
    let mut left = b.to_vec();
    let missing = |c: &&String| match left.iter().position(|x| x == *c) {
        Some(i) => {
            left.swap_remove(i);
            false
        }
        None => true,
    };
    a.iter().filter(missing).collect()
}

#[test]
fn what_is_greyed_is_a_command() {
    for (name, why) in adit::session::lacks::DELVE {
        let found = adit::command::look_up(name).map(|c| c.0.name);
        assert_eq!(found, Ok(*name), "{why}");
    }
}

/// What Delve lacks is said, and the screen stays where it was.
#[test]
fn what_is_lacking_says_why() {
    for r in releases() {
        let exe = build_with("shop", DEBUG, r.go);
        let server = Server::start(&r.dlv, &["exec", exe.to_str().unwrap(), "--accept-multiclient"]);
        let mut s = Screen::start(120, 40, &["connect", &server.address]);
        s.wait_for("launched, stopped");
        for (keys, says) in [
            ("5", "Delve does not decode"),
            ("6", "a remote dlv has no timeline"),
            ("7", "a remote dlv has no profiles"),
            (":kill\r", "never ended from here"),
            (":rebuild\r", "Delve does not say whether it can build"),
            (":snapshot\r", "no snapshot is taken through Delve"),
        ] {
            s.send(keys);
            s.wait_for(says);
            s.wait_for("[Source");
        }
        s.send("4");
        s.wait_for("Delve has no walk of the heap");
        // Findings are what wait reasons, places and numbers tell.
        s.send("1");
        s.wait_for("Findings 0");
    }
}

/// All that may differ: what it looks like (in either), and why.
const DIFFERENCES: &[(&str, &str)] = &[
    ("^defer ", "Delve does not list open-coded defers, as runtime.main has one"),
    ("optimised out", "Delve does not say where a value was last, and by which register"),
    ("~r0|base := len", "a result that is not set yet is whatever was there"),
    ("^Enter open .*(: command|r refresh|Tab pane)", "keys of what Delve lacks are not among the hints"),
    ("^(pr|he)[a-z]*( .*)?…$", "the header has no account of how long Delve held the program"),
    ("main.go:27 hits 2", "Delve counts the hits whose condition held, and no others"),
    ("^created by .*", "Delve does not know which goroutine a `go` statement ran on"),
    ("^runtime\\.gopark|^[0-9]+ runtime\\.", "for parked goroutines Delve gives the line of the next instruction"),
    (
        "^the program writes to its own terminal$|^3 3300$|^nothing written yet$",
        "the program's output is at Delve's terminal",
    ),
];

#[test]
fn the_screens_are_the_same() {
    let known: Vec<regex::Regex> = DIFFERENCES.iter().map(|d| regex::Regex::new(d.0).unwrap()).collect();
    let mut wrong = Vec::new();
    for r in releases() {
        let exe = build_with("shop", DEBUG, r.go);
        let exe = exe.to_str().unwrap();
        for (w, h) in [(80, 24), (120, 40)] {
            let server = Server::start(&r.dlv, &["exec", exe, "--accept-multiclient", "--", "seven", "--flag"]);
            let mut theirs = Screen::start(w, h, &["connect", &server.address]);
            let mut ours = Screen::start(w, h, &["exec", exe, "--", "seven", "--flag"]);
            theirs.wait_for("launched, stopped");
            ours.wait_for("launched, stopped");
            let (mut differ, mut all) = (0, 0);
            for (what, keys, text) in STEPS {
                theirs.send(keys);
                ours.send(keys);
                let (t, o) = (cells(&settled(&theirs, text)), cells(&settled(&ours, text)));
                if text.starts_with("breakpoint 1 at") {
                    // Delve's program stands before the runtime begins, ours at main.main.
                    continue;
                }
                all += o.len();
                let (a, b) = (only(&t, &o), only(&o, &t));
                differ += a.len().max(b.len());
                for (who, c) in a.iter().map(|c| ("delve", c)).chain(b.iter().map(|c| ("adit", c))) {
                    if !known.iter().any(|k| k.is_match(c)) {
                        wrong.push(format!("{} {w}x{h} {what}: only {who}: {c}", r.name));
                    }
                }
            }
            println!("Delve {} {w}x{h}: {} of {all} pieces of text are the same", r.name, all - differ);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
