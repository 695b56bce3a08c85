//! Diagnosis, measured: a gigabyte of heap and 100,000 goroutines; what looking costs the target; a million goroutines; a core to
//! triage. `ADIT_BENCH=name` runs one measure. See benches/README.md.
#![allow(clippy::expect_used, clippy::unwrap_used)]

#[path = "../tests/common/mod.rs"]
mod common;
mod target;

use adit::diagnose::graph::Graph;
use adit::diagnose::look::Look;
use adit::diagnose::reach::Reach;
use adit::engine::Loaded;
use adit::goruntime::ListOptions;
use adit::heap::{Heap, HeapOptions};
use adit::target::linux::polite;
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use target::{Target, adit, build, own_cpu};

/// Wall time and largest resident size of a one-shot.
fn timed(args: &[&str]) -> (Duration, u64) {
    let t0 = Instant::now();
    let mut child = Command::new(adit()).args(args).stdout(Stdio::null()).spawn().expect("adit runs");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().expect("waited").is_none() {
        if let Ok(s) = std::fs::read_to_string(&status) {
            let kib = s.lines().find_map(|l| l.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<u64>().ok());
            peak = peak.max(kib.unwrap_or(0));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    (t0.elapsed(), peak >> 10)
}

fn median(mut v: Vec<Duration>) -> Duration {
    v.sort_unstable();
    v[v.len() / 2]
}

fn several(n: usize, args: &[&str]) -> (Duration, u64) {
    let all: Vec<(Duration, u64)> = (0..n).map(|_| timed(args)).collect();
    (median(all.iter().map(|a| a.0).collect()), all.iter().map(|a| a.1).max().unwrap_or(0))
}

/// 100,000 goroutines and a gigabyte: the whole, and its parts.
fn gigabyte() {
    let t = Target::start(&build("bigheap"), &["100000", "1000", "300"]);
    let (time, peak) = several(5, &["diagnose", &t.pid(), "--json"]);
    println!("diagnose, 100,000 goroutines, 1 GB: {time:?}, {peak} MB");
    let l = Loaded::open(t.0.id() as i32, None).expect("opened");
    let mem = &*l.mem;
    let t0 = Instant::now();
    let part = |what: &str, since: Instant| println!("  {what}: {:?}", since.elapsed());
    let list = l.rt.list(mem, &HashMap::new(), l.now_ns(), ListOptions::default()).expect("listed");
    part("list", t0);
    let t0 = Instant::now();
    let heap = Heap::read(&l.rt, mem, HeapOptions::default()).expect("read");
    part("read the heap", t0);
    let t0 = Instant::now();
    let look = Look::read(&l.rt, mem, &list, &HashMap::new(), false, Some(&heap)).expect("looked");
    part("look at goroutines", t0);
    let t0 = Instant::now();
    let reach = Reach::find(&look, &heap);
    part("mark", t0);
    println!("    {} objects, {} MB reached", reach.live.0, reach.live.1 >> 20);
    let t0 = Instant::now();
    let graph = Graph::build(&look, Some((&reach, &heap)));
    part("graph", t0);
    println!("    {} objects waited for", graph.objects.len());
}

/// Longest gaps and late ticks of a 100 µs heartbeat, with and without 10 looks a second, by turns: whatever else goes on meets both alike.
fn pause() {
    polite::readers();
    let exe = build("parked");
    let seconds: u64 = std::env::var("ADIT_BENCH_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(60);
    let counts = std::env::var("ADIT_BENCH_GOROUTINES").unwrap_or_else(|_| "10000 100000".into());
    for n in counts.split(' ') {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("beat");
        let t = Target::start(&exe, &[n, "1200", &path.display().to_string(), "100"]);
        let beat = Beat(File::options().read(true).write(true).open(&path).expect("the heartbeat"));
        let l = Loaded::open(t.0.id() as i32, None).expect("opened");
        // What a busy processor does to a program that nobody reads: the same looks at another one.
        let other = Target::start(&exe, &[n, "1200"]);
        let elsewhere = Loaded::open(other.0.id() as i32, None).expect("opened");
        let kinds = [("untouched", None), ("looked at", Some(&l)), ("another looked at", Some(&elsewhere))];
        let mut turns = kinds.map(|_| Vec::new());
        for _ in 0..seconds.div_ceil(TURN) {
            for ((_, at), all) in kinds.iter().zip(&mut turns) {
                // As the host does it: on a thread that gives way.
                all.push(std::thread::scope(|s| s.spawn(|| turn(&beat, *at)).join().expect("measured")));
            }
        }
        println!("  {n} goroutines, {} turns of {TURN} s each:", turns[0].len());
        for ((what, _), all) in kinds.iter().zip(&mut turns) {
            let sum = |of: fn(&Turn) -> u64| all.iter().map(of).sum::<u64>();
            let (late, ticks, looks) = (sum(|t| t.late), sum(|t| t.ticks), sum(|t| t.looks));
            all.sort_by_key(|t| t.longest);
            let at =
                |part: usize| all.get(all.len().saturating_sub(1) * part / 4).map_or(Duration::ZERO, |t| t.longest);
            println!(
                "    {what}: longest gap of a turn {:?} (quartiles {:?} to {:?}), of all {:?}; {late} late of {ticks} ticks",
                at(2),
                at(1),
                at(3),
                at(4),
            );
            if looks > 0 {
                let rate = looks as f64 / (all.len() as u64 * TURN) as f64;
                let cpu: Duration = all.iter().map(|t| t.cpu).sum();
                println!("      {rate:.1} looks a second, {:?} of processor time each", cpu / looks as u32);
            }
        }
        // How often a turn with looks has the longer gap than one without: a half if looks make no difference.
        for (what, than) in [(1, 0), (2, 0), (1, 2)] {
            let pairs = turns[what].iter().flat_map(|a| turns[than].iter().map(move |b| a.longest > b.longest));
            let longer = pairs.clone().filter(|l| *l).count();
            println!("    longer {} than {} in {longer} of {} pairs", kinds[what].0, kinds[than].0, pairs.count());
        }
    }
}

/// Seconds of a turn.
const TURN: u64 = 5;

/// What a turn showed.
struct Turn {
    longest: Duration,
    late: u64,
    ticks: u64,
    looks: u64,
    /// Processor time of this program.
    cpu: Duration,
}

/// The file of the heartbeat.
struct Beat(File);

impl Beat {
    fn word(&self, at: u64) -> u64 {
        let mut b = [0; 8];
        self.0.read_exact_at(&mut b, at).expect("read");
        u64::from_le_bytes(b)
    }
}

fn turn(beat: &Beat, look_at: Option<&Loaded>) -> Turn {
    polite::this_thread();
    let mut earlier = None;
    let mut looks = 0;
    let mut look = |l: &Loaded| {
        let (none, options, before) = (HashMap::new(), ListOptions::default(), earlier.take());
        let read = || l.rt.list_since(&*l.mem, &none, l.now_ns(), options, before.as_ref());
        let list = polite::aside(read).expect("listed");
        assert!(list.len() > 1000);
        earlier = Some(list);
    };
    // The first takes longer than those that follow: it is of another measurement.
    look_at.into_iter().for_each(&mut look);
    beat.0.write_all_at(&[1], 16).expect("written");
    std::thread::sleep(Duration::from_millis(50));
    let (from, late, cpu) = (beat.word(0), beat.word(24), own_cpu());
    let end = Instant::now() + Duration::from_secs(TURN);
    while Instant::now() < end {
        let next = Instant::now() + Duration::from_millis(100);
        if let Some(l) = look_at {
            look(l);
            looks += 1;
        }
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    let longest = Duration::from_nanos(beat.word(8));
    Turn { longest, late: beat.word(24).saturating_sub(late), ticks: beat.word(0) - from, looks, cpu: own_cpu() - cpu }
}

/// A file of 100,000 goroutines to triage: groups and findings.
fn core() {
    let t = Target::start(&build("parked"), &["100000", "600"]);
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("snapshot").display().to_string();
    assert!(Command::new(adit()).args(["snapshot", &t.pid(), "-o", &file]).status().expect("run").success());
    drop(t);
    let (list, _) = several(5, &["goroutines", &file, "--group", "user"]);
    let (diagnosis, peak) = several(5, &["diagnose", &file]);
    println!("file of 100,000 goroutines: groups {list:?}, diagnosis {diagnosis:?}, {peak} MB");
}

fn million() {
    let t = Target::start(&build("parked"), &["1000000", "600"]);
    let (time, peak) = several(3, &["goroutines", &t.pid(), "--group", "user"]);
    println!("1,000,000 goroutines listed and grouped: {time:?}, {peak} MB");
    let (time, peak) = several(1, &["diagnose", &t.pid()]);
    println!("1,000,000 goroutines diagnosed: {time:?}, {peak} MB");
}

fn main() {
    let only = std::env::var("ADIT_BENCH").unwrap_or_default();
    let all: [(&str, fn()); 4] = [("gigabyte", gigabyte), ("pause", pause), ("core", core), ("million", million)];
    for (name, run) in all {
        if name.contains(&only) {
            println!("\n== {name}");
            run();
        }
    }
}
