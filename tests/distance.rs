//! A host far away: packets between two network namespaces are carried by a program that delivers each 100 ms later and, in some tests, loses
//! one in a hundred. TCP and TLS are the real ones. `ADIT_DISTANCE_STEPS` says how many steps are measured (default 5; `make network`: 100).

mod common;

use common::heart::Heart;
use common::keys::{AtPort, Home, word};
use common::network::{At, HOST, Network};
use common::screen::Screen;
use common::{DEBUG, DEFAULT, build};
use std::io::BufRead;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// One way.
const DELAY: u32 = 100;
/// There and back.
const ROUND_TRIP: Duration = Duration::from_millis(2 * DELAY as u64);
/// A screen that did not change for so long has all of a step.
const QUIET: Duration = Duration::from_millis(1_200);

/// A program, its host, and the network to it.
struct Far {
    net: Network,
    home: Home,
}

impl Far {
    fn new(loss: u32) -> Option<Far> {
        let seed = std::env::var("ADIT_DISTANCE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(11);
        Some(Far { net: Network::far(DELAY, loss, seed)?, home: Home::new() })
    }

    fn host(&self, pid: i32, profile: &str) -> AtPort {
        let clients = word(&self.home.clients());
        AtPort::start_in(&self.home, &self.net.inside(At::Host), HOST, pid, profile, &["--clients", &clients])
    }

    fn screen(&self, host: &AtPort, profile: &str) -> Screen {
        let args = [&host.url(), "--pin", &host.key, "--no-state", "--profile", profile];
        Screen::start_in(&self.net.inside(At::Client), &self.home.config(), 120, 40, &args)
    }
}

/// `(file:line)` in the header.
fn place(screen: &str) -> Option<String> {
    let (_, rest) = screen.split_once("step (")?;
    rest.split_once(')').map(|p| p.0.to_string())
}

/// Presses a key and waits until the screen has changed and changes no more: when it did last.
fn last_change(s: &mut Screen, key: &str, done: impl Fn(&str, &str) -> bool) -> Duration {
    let before = s.text();
    let begun = Instant::now();
    s.send(key);
    let (mut last, mut shown) = (begun, before.clone());
    while !done(&before, &shown) || last.elapsed() < QUIET {
        assert!(begun.elapsed() < Duration::from_secs(20), "nothing comes after {key}:\n{shown}");
        let now = s.text();
        if now != shown {
            (last, shown) = (Instant::now(), now);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    last - begun
}

fn steps() -> usize {
    std::env::var("ADIT_DISTANCE_STEPS").ok().and_then(|s| s.parse().ok()).unwrap_or(5)
}

fn steps_over_a_long_line(loss: u32) {
    let steps = steps();
    let Some(mut far) = Far::new(loss) else { return };
    let heart = Heart::start_in(&far.net.inside(At::Host), &build("heartbeat", DEBUG), 900);
    let host = far.host(heart.pid(), "dev");
    let mut s = far.screen(&host, "dev");
    s.wait_for("CONTROL");
    s.send("3");
    s.command("break main.hot");
    s.wait_for("stopped: bp 1");
    s.command("clear 1");
    last_change(&mut s, "n", |_, now| place(now).is_some());
    let again = |n: &Network| n.sent_again(At::Host) + n.sent_again(At::Client);
    let (sent_again, carried) = (again(&far.net), far.net.carried());
    let stepped = |before: &str, now: &str| place(now).is_some() && place(now) != place(before);
    let mut took: Vec<Duration> = (0..steps).map(|_| last_change(&mut s, "n", stepped)).collect();
    took.sort();
    let (median, late) = (took[steps / 2], took[(steps * 95 / 100).min(steps - 1)]);
    let now = far.net.carried();
    let (packets, lost) = (
        now.0.packets + now.1.packets - carried.0.packets - carried.1.packets,
        now.0.lost + now.1.lost - carried.0.lost - carried.1.lost,
    );
    let bytes = now.0.bytes + now.1.bytes - carried.0.bytes - carried.1.bytes;
    println!(
        "{steps} steps over {ROUND_TRIP:?} there and back, {loss} % lost: median {median:?}, 95th percentile {late:?}, longest {:?}; \
         {packets} packets, {bytes} bytes, {lost} lost, {} segments sent again",
        took[steps - 1],
        again(&far.net) - sent_again
    );
    // Two round trips, and what the machine takes; what is lost is sent again half a second later.
    assert!(packets > steps as u64 * 4 && took[0] > ROUND_TRIP, "it is not far: {packets} packets, {took:?}");
    // Less than three.
    assert!(median < ROUND_TRIP * 3, "{took:?}");
    s.send("q");
}

#[test]
fn a_step_takes_two_round_trips() {
    steps_over_a_long_line(0);
}

#[test]
fn a_step_takes_two_round_trips_where_packets_are_lost() {
    steps_over_a_long_line(1);
}

/// A program with so many parked goroutines where the host is, ended with this.
struct Parked(Child);

impl Parked {
    fn start(net: &Network, goroutines: u32) -> Parked {
        let words = net.inside(At::Host);
        let mut c = Command::new(&words[0]);
        c.args(&words[1..]).arg(build("parked", DEFAULT)).arg(goroutines.to_string()).stdout(Stdio::piped());
        let mut child = c.spawn().expect("started");
        let mut line = String::new();
        std::io::BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("ready");
        Parked(child)
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

/// What somebody does who looks around among 100,000 goroutines costs less than 200 KB of IP packets, both ways, the handshake and all
/// acknowledgements among them.
#[test]
fn a_hundred_thousand_goroutines_are_browsed() {
    let Some(mut far) = Far::new(1) else { return };
    let parked = Parked::start(&far.net, 100_000);
    let host = far.host(parked.0.id() as i32, "prod");
    let mut s = far.screen(&host, "prod");
    let begun = Instant::now();
    s.until("goroutines are counted", |t| t.contains("100,00"));
    let mut marks = vec![("opened, first screen", far.net.carried())];
    let settle = |s: &mut Screen, keys: &str| {
        last_change(s, keys, |_, _| true);
    };
    // The list, by groups; the largest group opened; twenty half screens down, to the end and back.
    settle(&mut s, "2");
    settle(&mut s, "t");
    settle(&mut s, "t");
    marks.push(("groups, two other groupings", far.net.carried()));
    settle(&mut s, "t");
    settle(&mut s, "t");
    // Its members, one a row.
    settle(&mut s, "\r");
    assert!(s.text().contains("100,001 goroutines]"), "{}", s.text());
    let screens = if steps() < 20 { 4 } else { 20 };
    for _ in 0..screens {
        settle(&mut s, "\x04");
    }
    settle(&mut s, "G");
    let last = s.text();
    settle(&mut s, "gg");
    assert!(s.text() != last, "{last}");
    marks.push(("half screens of rows, the end, the beginning", far.net.carried()));
    for _ in 0..screens / 4 {
        settle(&mut s, "j");
    }
    marks.push(("goroutines looked into, their stack and source", far.net.carried()));
    let mut before = 0;
    for (what, (up, down)) in &marks {
        let all = up.bytes + down.bytes;
        println!("{what}: {} bytes ({} up, {} down so far)", all - before, up.bytes, down.bytes);
        before = all;
    }
    println!("{screens} half screens, {} goroutines looked into, {before} bytes, {:?}", screens / 4, begun.elapsed());
    assert!(before > 5_000 && before < 200_000, "{before} bytes");
    s.send("q");
    drop(parked);
}
