//! Every detector has programs in which it must find what is there (tests/programs/sick), and twins of the same shape in which there is
//! nothing to find. The programs say where their objects are and which goroutine plays which role. All run at once, since many
//! detectors are patient; this takes a good minute.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;

use adit::backend::protocol::{DiagnoseQuery, Reply, Request, TargetSpec};
use adit::diagnose::DETECTORS;
use adit::model::{CycleStep, Diagnosis, Finding, FindingKind, WaitObject};
use common::Debuggee;
use std::collections::{BTreeSet, HashMap};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A program of its own, since C needs a C compiler.
const IN_C: &str = "in-c";

/// Something that must be found.
struct Want {
    kind: FindingKind,
    /// Scenario of the program.
    program: &'static str,
    class: &'static str,
    /// Roles of the goroutines that it is about: exactly these; none: the number is told by `count`.
    members: &'static [&'static str],
    /// The least number of goroutines.
    count: u64,
    /// Roles of those that wait for them.
    victims: &'static [&'static str],
    /// The object's name as the program prints it; empty: not looked at.
    object: &'static str,
    /// Goroutines in the circle.
    cycle: usize,
    /// What summary, evidence and advice must say.
    says: &'static [&'static str],
    /// What they must say where names are known: older compilers tell less about variables.
    named: &'static [&'static str],
    /// What they must not say.
    not: &'static [&'static str],
    /// Seconds after the start at which it must be found at the latest.
    within: u64,
}

const fn want(kind: FindingKind, program: &'static str, class: &'static str) -> Want {
    Want {
        kind,
        program,
        class,
        members: &[],
        count: 0,
        victims: &[],
        object: "",
        cycle: 0,
        says: &[],
        named: &[],
        not: &[],
        within: 0,
    }
}

use FindingKind::*;

/// Seconds for what needs thirty seconds, and for what needs a minute.
const HALF: u64 = 42;
const LONG: u64 = 68;
/// Looks that each gets before it counts as not found: a loaded machine takes long for one round. And seconds for all of them; the
/// programs live for 240.
const ROUNDS: usize = 8;
const MOST: u64 = 200;

#[rustfmt::skip]
const WANTED: &[Want] = &[
    Want { members: &["receiver"], says: &["main.nilReceive chans.go"], ..want(NilChannel, "nil-channel", "proof") },
    Want { members: &["sender"], says: &["main.nilSend chans.go"], ..want(NilChannel, "nil-channel", "proof") },
    Want { members: &["stuck"], says: &["main.forever"], ..want(EmptySelect, "empty-select", "proof") },
    Want { members: &["any", "!served"], object: "chan", says: &["chan send main.produce", "nobody at the other end", "started by main.channelLeak"], ..want(ChannelLeak, "channel-leak", "proof") },
    Want { members: &["publisher"], object: "chan", says: &["main.publish", "main.events", "first in, first out"], within: HALF, ..want(ChannelLeak, "channel-queue", "likely") },
    Want { members: &["answerer"], says: &["main.answer", "no other goroutine has one of them"], within: HALF, ..want(ChannelLeak, "channel-alone", "likely") },
    Want { members: &["deferred"], object: "a", cycle: 1, says: &["is locked again by its holder", "deferred call unlocks it, in main.(*store).addDeferred locks.go"], named: &["(*store).mu is locked"], not: &["main.store"], ..want(DoubleLock, "double-lock", "proof") },
    Want { members: &["plain"], object: "b", cycle: 1, says: &["between Lock and Unlock, in main.(*store).addPlain locks.go"], ..want(DoubleLock, "double-lock", "proof") },
    Want { members: &["forgotten"], object: "c", cycle: 1, says: &["no other goroutine refers to it"], ..want(DoubleLock, "double-lock", "proof") },
    Want { members: &["one", "two"], victims: &["behind"], cycle: 2, says: &["(*store).mu 0x", "deferred call unlocks", "between Lock and Unlock"], ..want(LockCycle, "lock-cycle", "proof") },
    Want { members: &["one"], cycle: 3, says: &["main.ring[0].mu", "main.ring[1].mu", "main.ring[2].mu"], ..want(LockCycle, "lock-cycle-three", "proof") },
    Want { members: &["reader", "writer"], object: "rw", cycle: 2, says: &["(*store).rw is read-locked again behind a queued writer"], ..want(RwrDeadlock, "rwr-deadlock", "proof") },
    Want { members: &["waiter"], object: "mu", says: &["is never unlocked, 3 wait"], named: &["(*store).mu is never unlocked"], ..want(OrphanLock, "orphan-lock", "proof") },
    Want { members: &["sleep-holder"], victims: &["sleep-waiter"], object: "sleep", says: &["held across a sleep, 6 wait", "in main.(*store).across locks.go"], ..want(LockConvoy, "lock-convoy", "strong") },
    Want { members: &["io-holder"], victims: &["io-waiter"], object: "io", says: &["held across the network or a file", "main.lockConvoy"], ..want(LockConvoy, "lock-convoy", "strong") },
    Want { members: &["syscall-holder"], victims: &["syscall-waiter"], object: "syscall", says: &["held across a system call"], ..want(LockConvoy, "lock-convoy", "strong") },
    Want { members: &["channel-holder"], victims: &["channel-waiter"], object: "channel", says: &["held across a channel"], ..want(LockConvoy, "lock-convoy", "strong") },
    Want { members: &["waiter"], object: "wg", says: &["wg never reaches zero", "counter 1", "no goroutine is left that would call Done"], ..want(WaitgroupStuck, "waitgroup-stuck", "proof") },
    Want { members: &["waiter"], object: "cond", says: &["(*queue).cond is never signalled"], ..want(CondStuck, "cond-stuck", "proof") },
    Want { members: &["watcher"], says: &["main.watch", "a context's Done", "call the context's cancel function"], ..want(ContextLeak, "context-leak", "proof") },
    Want { count: 14, says: &["14 HTTP connections", "resp.Body.Close()"], within: HALF, ..want(HttpBodyLeak, "http-body-leak", "likely") },
    Want { members: &["holder"], victims: &["waiter"], says: &["2 of 2 connections are in use, 3 wait", "an open *sql.Rows", "an open *sql.Tx", "main.keepRows", "main.keepTx"], ..want(SqlPool, "sql-pool", "likely") },
    Want { members: &["waiter"], says: &["who has a connection waits for another one", "main.nested"], ..want(SqlPool, "sql-nested", "strong") },
    Want { members: &["holder"], victims: &["waiter"], says: &["has one in a call", "main.slowQuery"], within: HALF, ..want(SqlPool, "sql-slow", "strong") },
    Want { members: &["holder"], object: "pool", says: &["s is full and its holders wait for it"], ..want(PoolExhausted, "pool-exhausted", "proof") },
    Want { members: &["holder"], object: "pool", says: &["(*Group).sem is full"], ..want(PoolExhausted, "pool-group", "proof") },
    Want { members: &["consumer"], victims: &["producer"], object: "chan", says: &["the network or a file"], within: HALF, ..want(Stall, "stall", "strong") },
    Want { members: &["consumer"], victims: &["producer"], object: "chan", says: &["waits for a lock"], within: HALF, ..want(Stall, "stall-lock", "strong") },
    Want { members: &["consumer"], victims: &["producer"], object: "chan", says: &["waits for another channel"], within: HALF, ..want(Stall, "stall-channel", "strong") },
    Want { members: &["ticking"], says: &["300 tickers run, most every 1m", "main.everyMinute"], ..want(TimerLeak, "timer-leak", "likely") },
    Want { count: 1100, says: &["1100 goroutines sleep at main.doze"], ..want(TimerLeak, "sleepers", "likely") },
    Want { count: 50, says: &["main.wait", "more each second"], within: HALF, ..want(GoroutineGrowth, "goroutine-growth", "likely") },
    Want { count: 200, says: &["have come at an even rate and stayed, main.wait"], within: LONG, ..want(GoroutineGrowth, "goroutine-ages", "likely") },
    Want { members: &["stuck"], says: &["in a system call for", "main.rawRead"], within: LONG, ..want(ThreadStuck, "thread-stuck", "strong") },
    Want { members: &["stuck"], says: &["in C code for", "main.intoC"], within: LONG, ..want(ThreadStuck, IN_C, "strong") },
    Want { says: &["ready to run on 1 processors"], within: HALF, ..want(Starvation, "starvation", "likely") },
    Want { says: &["MiB live of a memory limit of 64 MiB"], ..want(GcPressure, "gc-pressure", "strong") },
    Want { members: &["panicking"], object: "done", says: &["panic(disk full) waits in a deferred call, main.flush", "it still holds", "{a}"], ..want(PanicInFlight, "panic-in-flight", "likely") },
    Want { members: &["exiting"], object: "done", says: &["runtime.Goexit waits in a deferred call, main.flush", "it still holds", "{b}"], ..want(PanicInFlight, "panic-in-flight", "likely") },
    Want { members: &["self-user"], object: "self", cycle: 1, says: &["waits for itself", "is being run by"], named: &["(*lazy).once waits for itself"], ..want(OnceDeadlock, "once-deadlock", "proof") },
    Want { members: &["cross"], cycle: 2, says: &["{a}", "{b}"], ..want(OnceDeadlock, "once-deadlock", "proof") },
    Want { members: &["all"], says: &["all 3 goroutines wait for each other; main waits at main.quiescent"], ..want(Quiescent, "quiescent", "strong") },
    Want { members: &["all"], says: &["a signal handler"], ..want(Quiescent, "quiescent-signals", "strong") },
    Want { says: &["objects of 8192 bytes grew from"], within: HALF, ..want(HeapGrowth, "heap-growth", "likely") },
    Want { members: &["holder", "other"], cycle: 2, says: &["(*account).changes", "(*account).mu", "could be served by"], ..want(MixedDeadlock, "mixed-channel", "proof") },
    Want { members: &["holder", "other"], cycle: 2, says: &["(*account).wg", "(*account).mu", "would call Done"], ..want(MixedDeadlock, "mixed-waitgroup", "proof") },
];

/// Healthy twins: program, the kind that it is the twin of. Nothing at all may be found in them.
const HEALTHY: &[(&str, FindingKind)] = &[
    ("nil-channel.fine", NilChannel),
    ("empty-select.fine", EmptySelect),
    ("channel-leak.fine", ChannelLeak),
    ("channel-queue.fine", ChannelLeak),
    ("channel-alone.fine", ChannelLeak),
    ("double-lock.fine", DoubleLock),
    ("lock-cycle.fine", LockCycle),
    ("rwr-deadlock.fine", RwrDeadlock),
    ("orphan-lock.fine", OrphanLock),
    ("lock-convoy.fine", LockConvoy),
    ("waitgroup-stuck.fine", WaitgroupStuck),
    ("cond-stuck.fine", CondStuck),
    ("context-leak.fine", ContextLeak),
    ("http-body-leak.fine", HttpBodyLeak),
    ("sql-pool.fine", SqlPool),
    ("pool-exhausted.fine", PoolExhausted),
    ("stall.fine", Stall),
    ("timer-leak.fine", TimerLeak),
    ("goroutine-growth.fine", GoroutineGrowth),
    ("goroutine-ages.fine", GoroutineGrowth),
    ("thread-stuck.fine", ThreadStuck),
    ("starvation.fine", Starvation),
    ("gc-pressure.fine", GcPressure),
    ("panic-in-flight.fine", PanicInFlight),
    ("once-deadlock.fine", OnceDeadlock),
    ("quiescent.fine", Quiescent),
    ("heap-growth.fine", HeapGrowth),
    ("mixed-deadlock.fine", MixedDeadlock),
];

/// A program that runs, with what it has said, and a session that looks at it.
struct Sick {
    child: Child,
    said: HashMap<String, Vec<String>>,
    session: Option<Debuggee>,
    /// Built by the machine's own Go.
    names: bool,
    started: Instant,
}

impl Drop for Sick {
    fn drop(&mut self) {
        self.session = None;
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

impl Sick {
    fn start(exe: &Path, name: &str) -> Sick {
        let mut c = Command::new(exe);
        let child = c.arg(name).env("GOTRACEBACK", "none").stdout(Stdio::piped()).spawn().expect("the program starts");
        Sick { child, said: HashMap::new(), session: None, names: true, started: Instant::now() }
    }
    /// Reads what it says until it is ready.
    fn ready(&mut self, name: &str) {
        let mut lines = BufReader::new(self.child.stdout.take().unwrap()).lines();
        loop {
            let line = lines.next().unwrap_or_else(|| panic!("{name} ended")).expect("a line");
            match line.split_once(' ') {
                Some((key, value)) => self.said.entry(key.to_string()).or_default().push(value.to_string()),
                None => break,
            }
        }
        // Whatever it still says goes nowhere, but must go.
        std::thread::spawn(move || lines.for_each(drop));
    }
    fn look(&mut self) -> Diagnosis {
        let pid = self.child.id() as i32;
        let session = self.session.get_or_insert_with(|| {
            let spec = TargetSpec::Attach { pid, exe: None, control: false };
            Debuggee::open(spec).unwrap_or_else(|e| panic!("open {pid}: {e}"))
        });
        let query = DiagnoseQuery { listed: u32::MAX, mutes: Vec::new(), no_heap: false };
        match session.call(Request::Diagnose(query)) {
            Ok(Reply::Diagnosis { diagnosis, .. }) => *diagnosis,
            other => panic!("{other:?}"),
        }
    }
    /// Goroutines of roles; `!role` takes them out.
    fn roles(&self, roles: &[&str]) -> BTreeSet<u64> {
        let ids = |r: &str| -> BTreeSet<u64> {
            self.said.get(r).into_iter().flatten().map(|s| s.parse().expect("a goroutine's number")).collect()
        };
        let mut out = BTreeSet::new();
        for r in roles {
            match r.strip_prefix('!') {
                Some(r) => out.retain(|i| !ids(r).contains(i)),
                None => out.extend(ids(r)),
            }
        }
        out
    }
    fn address(&self, name: &str) -> &str {
        &self.said.get(name).unwrap_or_else(|| panic!("{name} was not said: {:?}", self.said))[0]
    }
}

fn whole(f: &Finding) -> String {
    format!("{}\n  {}\n  > {}", f.summary, f.why.join("\n  "), f.next.join("\n  > "))
}

fn addr_of(o: &WaitObject) -> String {
    o.addr.map(|a| a.to_string()).unwrap_or_default()
}

/// What a finding lacks; empty when it is the one.
fn lacks(w: &Want, p: &Sick, f: &Finding) -> Vec<String> {
    let mut out = Vec::new();
    let ids = |v: &[adit::base::GoroutineId]| v.iter().map(|g| g.0).collect::<BTreeSet<u64>>();
    if f.class.name() != w.class {
        out.push(format!("class {} instead of {}", f.class.name(), w.class));
    }
    let (members, victims) = (p.roles(w.members), p.roles(w.victims));
    if !w.members.is_empty() && (ids(&f.goroutines) != members || members.is_empty()) {
        out.push(format!("goroutines {:?} instead of {members:?}", ids(&f.goroutines)));
    }
    if f.count < w.count || f.count != f.goroutines.len() as u64 {
        out.push(format!("{} goroutines, {} of them listed", f.count, f.goroutines.len()));
    }
    if ids(&f.victims) != victims || f.victim_count != victims.len() as u64 {
        out.push(format!("victims {:?} instead of {victims:?}", ids(&f.victims)));
    }
    if !w.object.is_empty() {
        let at = f.object.as_ref().map(addr_of).unwrap_or_default();
        if at != p.address(w.object) {
            out.push(format!("object {:?} instead of {}", f.object, p.address(w.object)));
        }
    }
    let circle: BTreeSet<u64> =
        f.cycle.iter().filter_map(|s| if let CycleStep::Goroutine(g) = s { Some(g.0) } else { None }).collect();
    if circle.len() != w.cycle || w.cycle > 0 && circle != members {
        out.push(format!("circle {:?}", f.cycle));
    }
    let text = whole(f);
    for s in w.says.iter().chain(if p.names { w.named } else { &[] }) {
        let s = match s.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
            Some(name) => p.address(name),
            None => s,
        };
        if !text.contains(s) {
            out.push(format!("does not say {s:?}"));
        }
    }
    out.extend(w.not.iter().filter(|s| text.contains(**s)).map(|s| format!("says {s:?}")));
    out
}

/// Looks for what is wanted in one diagnosis; what is wrong, if it is not there.
fn check(w: &Want, p: &Sick, d: &Diagnosis) -> Option<String> {
    let of_kind: Vec<&Finding> = d.findings.iter().filter(|f| f.kind == w.kind).collect();
    let best = of_kind.iter().map(|f| (lacks(w, p, f), f)).min_by_key(|(l, _)| l.len());
    let name = format!("{} ({})", w.kind.name(), w.program);
    match best {
        Some((l, _)) if l.is_empty() => None,
        Some((l, f)) => Some(format!("{name}: {}\n  {}", l.join("; "), whole(f))),
        None => {
            let others: Vec<String> = d.findings.iter().map(|f| format!("{}: {}", f.kind.name(), f.summary)).collect();
            Some(format!("{name}: not found; {others:?}"))
        }
    }
}

/// The program that is stuck in C, where there is a C compiler.
fn in_c() -> Option<PathBuf> {
    let cgo = common::go().args(["env", "CGO_ENABLED", "CC"]).output().expect("the go command");
    let text = String::from_utf8_lossy(&cgo.stdout).into_owned();
    let mut lines = text.lines();
    let compiles = lines.next() == Some("1")
        && lines.next().is_some_and(|cc| Command::new(cc).arg("--version").output().is_ok_and(|o| o.status.success()));
    if !compiles {
        println!("left out: {IN_C}, there is no C compiler");
        return None;
    }
    std::fs::create_dir_all(Path::new(env!("CARGO_TARGET_TMPDIR")).join("sick")).expect("a folder");
    Some(common::build("sick/inc", common::DEFAULT))
}

#[test]
fn what_shows_at_once_shows_on_other_releases() {
    let mut wrong = Vec::new();
    for tool in ["go1.21.13", "go1.27.3"] {
        let exe = common::build_with("sick", common::DEFAULT, tool);
        let quick: Vec<&Want> = WANTED.iter().filter(|w| w.within == 0).collect();
        let names: BTreeSet<&str> = quick.iter().map(|w| w.program).chain(HEALTHY.iter().map(|h| h.0)).collect();
        let mut all: HashMap<&str, Sick> = names.iter().map(|n| (*n, Sick::start(&exe, n))).collect();
        for (name, p) in &mut all {
            p.names = false;
            p.ready(name);
        }
        for (name, p) in &mut all {
            let mut d = p.look();
            let wanted = || quick.iter().filter(|w| w.program == *name);
            let mut bad: Vec<String> = wanted().filter_map(|w| check(w, p, &d)).collect();
            // On a busy machine a program may not have come to where it gets stuck.
            for _ in 0..10 {
                if bad.is_empty() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(200));
                d = p.look();
                bad = wanted().filter_map(|w| check(w, p, &d)).collect();
            }
            if HEALTHY.iter().any(|h| h.0 == *name) {
                bad.extend(d.findings.iter().map(|f| format!("{name}: {}: {}", f.kind.name(), whole(f))));
            }
            wrong.extend(bad.into_iter().map(|b| format!("{tool} {b}")));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_detector_has_its_programs() {
    let mut wrong = Vec::new();
    for d in DETECTORS {
        if !WANTED.iter().any(|w| w.kind == d.kind) {
            wrong.push(format!("{}: no program in which it is found", d.kind.name()));
        }
        if !HEALTHY.iter().any(|(_, kind)| *kind == d.kind) {
            wrong.push(format!("{}: no healthy twin", d.kind.name()));
        }
    }
    let exe = common::build("sick", common::DEFAULT);
    let in_c = in_c();
    let mut open: Vec<&Want> = WANTED.iter().filter(|w| w.program != IN_C || in_c.is_some()).collect();
    let names: BTreeSet<&str> = open.iter().map(|w| w.program).chain(HEALTHY.iter().map(|h| h.0)).collect();
    let exe_of = |n: &str| in_c.as_deref().filter(|_| n == IN_C).unwrap_or(&exe);
    let mut all: HashMap<&str, Sick> = names.iter().map(|n| (*n, Sick::start(exe_of(n), n))).collect();
    let mut last: HashMap<(&str, usize), String> = HashMap::new();
    for (name, p) in &mut all {
        p.ready(name);
    }
    // Those that need more looks than one are looked at again and again; all others once it is time.
    let begun = Instant::now();
    let mut round = 0;
    let time = |round: usize| Duration::from_secs(if round < ROUNDS { MOST } else { LONG + 15 });
    while !open.is_empty() && begun.elapsed() < time(round) {
        let mut looked: HashMap<&str, Diagnosis> = HashMap::new();
        for w in &open {
            let p = all.get_mut(w.program).unwrap();
            if !looked.contains_key(w.program) {
                looked.insert(w.program, p.look());
            }
        }
        // The healthy ones are watched all along, so that there is a history, too.
        for (name, kind) in HEALTHY {
            let d = all.get_mut(name).unwrap().look();
            for f in &d.findings {
                wrong.push(format!("{name} (twin of {}): {}: {}", kind.name(), f.kind.name(), whole(f)));
            }
        }
        open.retain(|w| {
            let p = &all[w.program];
            let Some(why) = check(w, p, &looked[w.program]) else { return false };
            let key = (w.program, std::ptr::from_ref::<Want>(w) as usize);
            last.insert(key, why.clone());
            let over = p.started.elapsed() > Duration::from_secs(w.within + 8) && round + 1 >= ROUNDS;
            if over {
                wrong.push(why);
            }
            !over
        });
        round += 1;
        std::thread::sleep(Duration::from_secs(2));
    }
    for w in open {
        let key = (w.program, std::ptr::from_ref::<Want>(w) as usize);
        wrong.push(last.remove(&key).unwrap_or_default());
    }
    wrong.sort();
    wrong.dedup();
    println!("{round} rounds of looks in {:.0} s at {} programs", begun.elapsed().as_secs_f64(), names.len());
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
