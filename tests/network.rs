//! The first rule over a network that fails: real adits at both ends of a link between two network namespaces, over TLS; the link is set
//! down, one direction of it goes nowhere, an address is taken away, hosts are killed. `ADIT_NETWORK_RUNS` says how many programs of each
//! situation there are (default 1; `make network`: 100).

mod common;

use common::build;
use common::heart::Heart;
use common::keys::{AtPort, Home, word};
use common::network::{At, HOST, Network};
use common::screen::Screen;
use common::{DEBUG, DEFAULT, within};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// Programs that are debugged at once.
const AT_ONCE: usize = 4;
/// A held program runs again so long after its client was heard last: 5 s, and what the machine takes.
const RUNS_AGAIN: Duration = Duration::from_secs(9);
/// And is let go: 30 s.
const LET_GO: Duration = Duration::from_secs(40);

fn runs() -> usize {
    std::env::var("ADIT_NETWORK_RUNS").ok().and_then(|s| s.parse().ok()).unwrap_or(1)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Situation {
    /// A breakpoint that is never reached.
    Cold,
    /// A breakpoint that is hit a thousand times a second, and whose condition never holds.
    Hot,
    /// The program is held, as somebody steps through it.
    Held,
}

/// How the two ends lose each other.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cut {
    /// The client's device is down.
    Link,
    /// What the client sends goes nowhere.
    ToHost,
    /// What the host sends goes nowhere.
    ToClient,
    /// The client has no address any more.
    Address,
}

impl Cut {
    /// What the network is asked for, and what undoes it.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Cut::Link => ("link down", "link up"),
            Cut::ToHost => ("to-host lost", "to-host heard"),
            Cut::ToClient => ("to-client lost", "to-client heard"),
            Cut::Address => ("address gone", "address back"),
        }
    }
}

/// One program with a host, and its user at the other end of the network.
struct Session {
    situation: Situation,
    heart: Heart,
    _host: AtPort,
    _screen: Screen,
}

/// Where they all are.
struct World {
    net: Network,
    home: Home,
    clients: String,
}

impl World {
    fn new() -> Option<World> {
        let net = Network::wire()?;
        let home = Home::new();
        let clients = word(&home.clients());
        Some(World { net, home, clients })
    }

    /// A program and its host, and a screen that has opened it.
    fn open(&self, profile: &str, flags: &[&str]) -> (Heart, AtPort, Screen) {
        let there = self.net.inside(At::Host);
        let heart = Heart::start_in(&there, &build("heartbeat", flags), 900);
        let flags = ["--clients", &self.clients];
        let host = AtPort::start_in(&self.home, &there, HOST, heart.pid(), profile, &flags);
        let url = host.url();
        let args = [&url, "--pin", &host.key, "--no-state", "--profile", profile];
        let s = Screen::start_in(&self.net.inside(At::Client), &self.home.config(), 100, 30, &args);
        s.wait_for("CONTROL");
        (heart, host, s)
    }

    fn session(&self, situation: Situation) -> Session {
        // In production a hot breakpoint is switched off, and in staging a stop does not last.
        let profile = if situation == Situation::Held { "prod" } else { "staging" };
        let (heart, host, mut s) = self.open(profile, DEFAULT);
        match situation {
            Situation::Cold => s.command("break main.never"),
            Situation::Hot => s.command("break main.hot if i == -1"),
            Situation::Held => s.command("hold"),
        }
        match situation {
            Situation::Held => drop(s.until("a hold", |_| stands(&heart))),
            _ => drop(s.until("a breakpoint byte", |_| heart.changed_bytes() > 0)),
        }
        if situation == Situation::Hot {
            assert!(heart.beats_on(20), "it runs under a hot breakpoint\n{}", s.text());
        }
        Session { situation, heart, _host: host, _screen: s }
    }

    fn sessions(&self, situations: &[Situation], each: usize) -> Vec<Session> {
        situations.iter().flat_map(|s| std::iter::repeat_n(*s, each)).map(|s| self.session(s)).collect()
    }
}

fn stands(heart: &Heart) -> bool {
    let from = heart.beats();
    std::thread::sleep(Duration::from_millis(100));
    heart.beats() == from
}

/// What became of programs in one situation.
#[derive(Default)]
struct Tally {
    all: usize,
    alive: usize,
    /// Of those that live: their text is as in the file.
    whole: usize,
    longest: Duration,
}

impl Tally {
    fn count(&mut self, s: &Session) {
        self.all += 1;
        if s.heart.beats_on(30) {
            self.alive += 1;
            self.whole += usize::from(s.heart.is_put_back());
        }
    }
    fn text(&self) -> String {
        format!("{}/{} alive, {} as in the file", self.alive, self.all, self.whole)
    }
    /// As it has to be.
    fn all_well(&self) -> bool {
        (self.alive, self.whole) == (self.all, self.all) && self.all > 0
    }
}

/// The two ends lose each other for good. A held program runs again within seconds; all are let go, by the host alone or, where there is no
/// time to wait for that, because it is asked to end.
fn check_cut(cut: Cut) {
    let Some(mut w) = World::new() else { return };
    let all = [Situation::Cold, Situation::Hot, Situation::Held];
    let mut tallies = all.map(|s| (s, Tally::default()));
    let (mut left, alone) = (runs(), runs() > 1);
    let mut let_go = Duration::ZERO;
    while left > 0 {
        let each = left.min(AT_ONCE);
        left -= each;
        let sessions = w.sessions(&all, each);
        let stood: Vec<u64> = sessions.iter().map(|s| s.heart.beats()).collect();
        w.net.ask(cut.words().0);
        let begun = Instant::now();
        for (s, at) in sessions.iter().zip(stood).filter(|(s, _)| s.situation == Situation::Held) {
            let again = within(RUNS_AGAIN, || s.heart.beats() != at).map(|_| begun.elapsed());
            let again = again.unwrap_or_else(|| panic!("{cut:?}: it is held for nobody"));
            tallies[2].1.longest = tallies[2].1.longest.max(again);
        }
        for s in &sessions {
            if !alone {
                kill(Pid::from_raw(s.heart.tracer()), Signal::SIGTERM).expect("its host");
            }
            let released = within(LET_GO.saturating_sub(begun.elapsed()), || s.heart.tracer() == 0);
            assert!(released.is_some(), "{cut:?}: {:?} is not let go", s.situation);
            let_go = let_go.max(begun.elapsed());
        }
        for s in &sessions {
            let t = tallies.iter_mut().find(|t| t.0 == s.situation).expect("a tally");
            t.1.count(s);
        }
        drop(sessions);
        w.net.ask(cut.words().1);
    }
    for (s, t) in &tallies {
        println!("{s:?} / {cut:?}: {}", t.text());
        assert!(t.all_well(), "{s:?} / {cut:?}: {}", t.text());
    }
    let by = if alone { "by itself" } else { "when asked" };
    println!(
        "{cut:?}: held programs ran after {:?} at the latest, all were let go {by} after {let_go:?}",
        tallies[2].1.longest
    );
}

#[test]
fn the_link_goes_down() {
    check_cut(Cut::Link);
}

#[test]
fn nothing_reaches_the_host() {
    check_cut(Cut::ToHost);
}

#[test]
fn nothing_reaches_the_client() {
    check_cut(Cut::ToClient);
}

#[test]
fn the_clients_address_is_gone() {
    check_cut(Cut::Address);
}

/// SIGKILL of hosts whose clients are elsewhere, while they are heard and while they are not.
fn check_kill(cut: Option<Cut>) {
    let Some(mut w) = World::new() else { return };
    let all = [Situation::Cold, Situation::Hot, Situation::Held];
    let mut tallies = all.map(|s| (s, Tally::default()));
    for run in 0..runs() as u64 {
        for (situation, tally) in &mut tallies {
            let s = w.session(*situation);
            if let Some(cut) = cut {
                w.net.ask(cut.words().0);
            }
            // Not always at the same place between two hits.
            std::thread::sleep(Duration::from_micros(30_000 + 377 * run % 2_000));
            kill(Pid::from_raw(s.heart.tracer()), Signal::SIGKILL).expect("its host");
            tally.count(&s);
            drop(s);
            if let Some(cut) = cut {
                w.net.ask(cut.words().1);
            }
        }
    }
    for (s, t) in &tallies {
        println!("{s:?} / host killed, line {cut:?}: {}", t.text());
        assert!(t.all_well(), "{s:?} / host killed, line {cut:?}: {}", t.text());
    }
}

#[test]
fn hosts_are_killed_while_clients_are_there() {
    check_kill(None);
}

#[test]
fn hosts_are_killed_while_nobody_hears_them() {
    check_kill(Some(Cut::Link));
}

/// A link that is down for longer than anybody waits for a sign of life, and then up: the user finds the stop as it was.
#[test]
fn a_link_that_comes_back_leads_to_the_same_stop() {
    let Some(mut w) = World::new() else { return };
    let (heart, host, mut s) = w.open("dev", DEBUG);
    s.command("break main.hot");
    s.wait_for("stopped: bp 1");
    s.command("clear 1");
    s.wait_for("breakpoint 1 cleared");
    w.net.ask("link down");
    s.wait_for("was lost");
    w.net.ask("link up");
    s.until("the line again", |t| t.contains("stopped") && !t.contains("was lost"));
    assert!(stands(&heart), "in dev it is kept for who comes back");
    s.command("next");
    s.until("a step", |t| t.contains("step (") || t.contains("stopped: step"));
    s.send("q");
    s.wait_for("detach");
    s.send("\r");
    s.wait_end();
    assert!(heart.released() && heart.is_put_back() && heart.beats_on(5));
    drop(host);
}
