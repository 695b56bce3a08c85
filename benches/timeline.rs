//! What a sampled timeline costs, and whom: the target's work with and without, adit's own processor time. See benches/README.md.
#![allow(clippy::expect_used, clippy::unwrap_used)]

#[path = "../tests/common/mod.rs"]
mod common;
mod target;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use target::{Target, adit, build, children_cpu};

fn main() {
    let seconds: u64 = std::env::var("ADIT_BENCH_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(20);
    let rounds = 5;
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("work");
    let life = (seconds * 2 + 5) * rounds + 10;
    let t = Target::start(&build("mill"), &[&life.to_string(), &path.display().to_string()]);
    let file = File::open(&path).expect("the counter");
    let count = || {
        let mut b = [0; 8];
        file.read_exact_at(&mut b, 0).expect("read");
        u64::from_le_bytes(b)
    };
    let rate = |during: &mut dyn FnMut()| {
        let (t0, from) = (Instant::now(), count());
        during();
        (count() - from) as f64 / t0.elapsed().as_secs_f64()
    };
    // Opening the program is no part of it.
    let pid = t.pid();
    let run = |secs: u64| {
        let before = children_cpu();
        let ok = Command::new(adit())
            .args(["timeline", &pid, "--seconds", &secs.to_string(), "--json"])
            .stdout(Stdio::null())
            .status()
            .expect("adit runs");
        assert!(ok.success());
        children_cpu() - before
    };
    let opening = run(0);
    let mut shares = Vec::new();
    for round in 0..rounds {
        let without = rate(&mut || std::thread::sleep(Duration::from_secs(seconds)));
        let mut cpu = Duration::ZERO;
        let with = rate(&mut || cpu = run(seconds).saturating_sub(opening));
        let share = 100.0 * (1.0 - with / without);
        let own = 100.0 * cpu.as_secs_f64() / seconds as f64;
        println!(
            "  round {round}: {without:.0} units a second alone, {with:.0} sampled: {share:.2}% less; adit {own:.2}% of a core"
        );
        shares.push((share, own));
    }
    let median = |f: &dyn Fn(&(f64, f64)) -> f64| {
        let mut v: Vec<f64> = shares.iter().map(f).collect();
        v.sort_by(f64::total_cmp);
        v[v.len() / 2]
    };
    println!(
        "sampled 100 times a second: the target does {:.2}% less, adit takes {:.2}% of a core",
        median(&|s| s.0),
        median(&|s| s.1)
    );
}
