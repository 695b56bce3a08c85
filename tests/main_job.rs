//! The main job in a terminal of 80x24: launch with arguments, break, step, look, filter, condition, quit; asserted on the screen.

mod common;

use common::heart::Heart;
use common::screen::Screen;
use common::*;

#[test]
fn debugs_a_program_from_start_to_end() {
    let exe = build("shop", DEBUG);
    let exe = exe.to_str().expect("a path");
    let mut s = Screen::start(80, 24, &["exec", exe, "--", "seven", "--flag"]);
    s.wait_for("stopped: launched");
    // A breakpoint on a function, and on to it.
    s.command("break main.(*Cart).Total");
    s.wait_for("(*Cart).Total");
    s.send("c");
    s.wait_for("stopped at breakpoint 1");
    let text = s.wait_for("sum := 0");
    assert!(text.contains("[Source main.go"), "{text}");
    // Over a line, into a call, out of it.
    s.send("n");
    s.wait_for("stepped to");
    s.until("the loop line", |t| t.lines().any(|l| l.contains("=>") && l.contains("sum := 0")));
    s.send("n");
    s.until("the for line", |t| t.lines().any(|l| l.contains("=>") && l.contains("for _, it")));
    s.send("n");
    s.until("the call line", |t| t.lines().any(|l| l.contains("=>") && l.contains("price(it")));
    s.send("s");
    s.until("inside price", |t| t.lines().any(|l| l.contains("=>") && l.contains("func price")));
    s.send("o");
    s.until("back in Total", |t| t.lines().any(|l| l.contains("=>") && l.contains("price(it")));
    // A struct's field in the tree: Vars pane, open `c`.
    s.send("\t\t");
    s.wait_for("[Vars");
    s.send("\r");
    s.until("the cart's fields", |t| t.contains("owner") && t.contains("\"ana\""));
    // Another frame.
    s.command("frame 1");
    s.until("the caller", |t| t.lines().any(|l| l.contains("cart.Total()")));
    // Goroutines: filter, another one.
    s.send("2");
    s.wait_for("Goroutines");
    s.send("/");
    s.send("lurk\r");
    s.until("the lurker only", |t| t.contains("Goroutines 3 in 1 group") && t.contains("main.lurk"));
    s.send("\x1b");
    s.send("3");
    s.command("goroutine 1");
    s.wait_for("g1");
    // Help.
    s.send("?");
    s.until("the keys", |t| t.contains("step over") || t.contains("next line"));
    s.send("\x1b");
    // A condition, and seen obeyed.
    s.command("condition 1 c.owner == \"bob\"");
    s.command("continue");
    s.until("bob's cart", |t| t.contains("stopped at breakpoint 1"));
    s.command("print c.owner");
    s.wait_for("\"bob\"");
    s.command("print len(os.Args)");
    s.until("the arguments", |t| t.contains("= 3") || t.contains("3"));
    s.command("kill");
    s.wait_end();
}

#[test]
fn quitting_leaves_an_attached_target_alive() {
    let heart = Heart::start(&build("heartbeat", DEFAULT));
    let mut s = Screen::start(80, 24, &["attach", &heart.pid().to_string()]);
    s.wait_for("CONTROL");
    assert!(heart.beats_on(5), "attaching stops nothing");
    s.command("break main.hot");
    s.wait_for("stopped at breakpoint 1");
    s.send("q");
    s.wait_for("detach");
    s.send("\r");
    s.wait_end();
    assert!(heart.released() && heart.beats_on(20));
    assert_eq!(heart.changed_bytes(), 0);
}

#[test]
fn observing_stops_nothing_and_says_so() {
    let heart = Heart::start(&build("heartbeat", DEFAULT));
    let mut s = Screen::start(80, 24, &[&heart.pid().to_string()]);
    s.wait_for("OBSERVE");
    s.wait_for("Goroutines");
    assert_eq!(heart.tracer(), 0, "nobody is attached");
    s.send("3c");
    s.until("a word that nothing happens", |t| t.to_lowercase().contains("observe"));
    assert!(heart.beats_on(10));
    // Nothing is held, so nothing is asked.
    s.send("q");
    s.wait_end();
    assert!(heart.beats_on(10));
}

#[test]
fn an_idle_screen_sends_nothing() {
    let heart = Heart::start(&build("heartbeat", DEFAULT));
    let mut s = Screen::start(80, 24, &["attach", &heart.pid().to_string()]);
    s.wait_for("CONTROL");
    s.command("break main.hot");
    s.wait_for("stopped at breakpoint 1");
    let mut last = s.bytes();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    // Settled: nothing for half a second. Then nothing for ten more.
    loop {
        std::thread::park_timeout(std::time::Duration::from_millis(500));
        let now = s.bytes();
        if now == last {
            break;
        }
        last = now;
        assert!(std::time::Instant::now() < deadline, "it never settles");
    }
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while std::time::Instant::now() < until {
        std::thread::park_timeout(std::time::Duration::from_millis(100));
    }
    assert_eq!(s.bytes(), last, "bytes sent while idle");
}
