//! Profiles, measured against `go tool pprof` in the same run: a synthetic CPU profile of a large service, 200,000 samples, 30,000
//! locations, 10,000 functions, stacks of 24 locations in the mean. See benches/README.md.
#![allow(clippy::expect_used, clippy::unwrap_used)]

#[path = "../tests/common/mod.rs"]
mod common;
mod target;

use flate2::{Compression, write::GzEncoder};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use target::children_cpu;

const FUNCTIONS: u64 = 10_000;
const LOCATIONS: u64 = 30_000;
const NODES: usize = 120_000;
const DEEPEST: u32 = 60;

/// A generator of numbers that is the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn number(out: &mut Vec<u8>, field: u64, n: u64) {
    varint(out, field << 3);
    varint(out, n);
}

fn bytes(out: &mut Vec<u8>, field: u64, b: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, b.len() as u64);
    out.extend_from_slice(b);
}

#[derive(Default)]
struct Strings {
    all: Vec<String>,
}

impl Strings {
    fn add(&mut self, s: String) -> u64 {
        self.all.push(s);
        self.all.len() as u64 - 1
    }
}

fn message(fields: &[(u64, u64)]) -> Vec<u8> {
    let mut m = Vec::new();
    for (f, n) in fields {
        number(&mut m, *f, *n);
    }
    m
}

/// The profile, unpacked.
fn service(samples: usize) -> Vec<u8> {
    let mut d = Dice(0x9e37_79b9_7f4a_7c15);
    let mut s = Strings::default();
    s.add(String::new());
    let mut o = Vec::new();
    for (name, unit) in [("samples", "count"), ("cpu", "nanoseconds")] {
        let m = message(&[(1, s.add(name.into())), (2, s.add(unit.into()))]);
        bytes(&mut o, 1, &m);
    }
    number(&mut o, 10, 30_000_000_000);
    let app = s.add("/srv/app".into());
    bytes(&mut o, 3, &message(&[(1, 1), (2, 0x40_0000), (3, 0x400_0000), (5, app), (7, 1)]));
    let files = s.all.len() as u64;
    for i in 0..1_500 {
        s.add(format!("/src/example.com/team/pkg{}/file{i}.go", i % 200));
    }
    for i in 1..=FUNCTIONS {
        let name = s.add(format!("example.com/team/pkg{}/sub{}.(*Type{}).Method{i}", i % 200, i % 13, i % 500));
        bytes(&mut o, 5, &message(&[(1, i), (2, name), (3, name), (4, files + i % 1_500), (5, i % 900 + 1)]));
    }
    for i in 1..=LOCATIONS {
        let mut m = message(&[(1, i), (2, 1), (3, 0x40_0000 + i * 977)]);
        for _ in 0..1 + u64::from(d.below(10) >= 7) {
            bytes(&mut m, 4, &message(&[(1, 1 + d.below(FUNCTIONS)), (2, 1 + d.below(1_200))]));
        }
        bytes(&mut o, 4, &m);
    }
    // Stacks are paths of a random tree.
    let mut tree: Vec<(usize, u64, u32)> = vec![(0, 1, 1)];
    for i in 1..NODES {
        let near = i.saturating_sub(4_000);
        let mut p =
            if d.below(10) < 9 { near + d.below((i - near) as u64) as usize } else { d.below(i as u64) as usize };
        if tree[p].2 >= DEEPEST {
            p = d.below(i as u64) as usize;
        }
        tree.push((p, 1 + d.below(LOCATIONS), tree[p].2 + 1));
    }
    let (handler, tenant) = (s.add("handler".into()), s.add("tenant".into()));
    let values = s.all.len() as u64;
    for i in 0..50 {
        s.add(format!("/v1/thing/{i}"));
    }
    for i in 0..300 {
        s.add(format!("tenant-{i}"));
    }
    for k in 0..samples {
        let (mut n, mut ids) = (d.below(NODES as u64) as usize, Vec::new());
        loop {
            varint(&mut ids, tree[n].1);
            if n == 0 {
                break;
            }
            n = tree[n].0;
        }
        let c = [1, 1, 1, 2, 5][d.below(5) as usize];
        let (mut m, mut v) = (Vec::new(), Vec::new());
        bytes(&mut m, 1, &ids);
        varint(&mut v, c);
        varint(&mut v, c * 10_000_000);
        bytes(&mut m, 2, &v);
        if k % 3 == 0 {
            bytes(&mut m, 3, &message(&[(1, handler), (2, values + d.below(50))]));
            bytes(&mut m, 3, &message(&[(1, tenant), (2, values + 50 + d.below(300))]));
        }
        bytes(&mut o, 2, &m);
    }
    for text in &s.all {
        bytes(&mut o, 6, text.as_bytes());
    }
    o
}

struct Cost {
    cpu: Duration,
    wall: Duration,
    peak_kib: u64,
    output: Vec<u8>,
}

/// Runs a program; its peak is read as it runs, so that what this process takes is not in it.
fn cost(program: &Path, args: &[&str]) -> Cost {
    let (t0, before) = (Instant::now(), children_cpu());
    let out = tempfile::NamedTempFile::new().expect("a file");
    let mut c = Command::new(program);
    let mut child = c.args(args).stdout(out.reopen().expect("a file")).stderr(Stdio::null()).spawn().expect("started");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let ended = loop {
        if let Ok(s) = std::fs::read_to_string(&status) {
            let kib = s.lines().find_map(|l| l.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<u64>().ok());
            peak = peak.max(kib.unwrap_or(0));
        }
        if let Some(s) = child.try_wait().expect("waited") {
            break s;
        }
        std::thread::sleep(Duration::from_micros(500));
    };
    assert!(ended.success(), "{program:?} {args:?}: {ended}");
    let output = std::fs::read(out.path()).expect("output");
    Cost { cpu: children_cpu() - before, wall: t0.elapsed(), peak_kib: peak, output }
}

fn main() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("service.pb.gz");
    {
        let raw = service(200_000);
        let mut w = GzEncoder::new(std::fs::File::create(&file).expect("a file"), Compression::fast());
        w.write_all(&raw).expect("written");
        w.finish().expect("written");
        println!(
            "profile: 200,000 samples, {:.1} MB, packed {:.1} MB",
            raw.len() as f64 / 1e6,
            std::fs::metadata(&file).expect("there").len() as f64 / 1e6
        );
    }
    let adit = PathBuf::from(std::env::var_os("ADIT_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_adit").into()));
    let path = file.to_str().expect("a path");
    let found = common::go().args(["tool", "-n", "pprof"]).output().expect("the go command runs");
    // Built when it is first used, in newer releases: not part of the measure.
    let _built = common::go().args(["tool", "pprof", "-h"]).output().expect("pprof");
    let pprof = PathBuf::from(String::from_utf8_lossy(&found.stdout).trim());
    let mut ours: Vec<Cost> = (0..5).map(|_| cost(&adit, &["prof", path, "--top", "20"])).collect();
    ours.sort_by_key(|c| c.cpu);
    let ours = &ours[2];
    let mib = |c: &Cost| c.peak_kib as f64 / 1024.0;
    println!(
        "adit prof --top    {:7.2} s CPU {:7.2} s wall {:7.1} MiB (median of 5)",
        ours.cpu.as_secs_f64(),
        ours.wall.as_secs_f64(),
        mib(ours)
    );
    for what in [&["--tree"][..], &["--diff", path], &["--list", "Method77$"], &["--peek", "Method77$"]] {
        let c = cost(&adit, &[&["prof", path], what].concat());
        println!(
            "adit prof {:<8} {:7.2} s CPU {:7.2} s wall {:7.1} MiB",
            what[0],
            c.cpu.as_secs_f64(),
            c.wall.as_secs_f64(),
            mib(&c)
        );
    }
    if !pprof.is_file() {
        println!("no pprof to compare with: {}", pprof.display());
        return;
    }
    let theirs = cost(&pprof, &["-top", "-nodecount=20", "-nodefraction=0", "-edgefraction=0", path]);
    println!(
        "go tool pprof -top {:7.2} s CPU {:7.2} s wall {:7.1} MiB",
        theirs.cpu.as_secs_f64(),
        theirs.wall.as_secs_f64(),
        mib(&theirs)
    );
    println!(
        "ratio: CPU {:.0}, memory {:.0}",
        theirs.cpu.as_secs_f64() / ours.cpu.as_secs_f64(),
        mib(&theirs) / mib(ours)
    );
    // Both must name the same functions first, or the figures mean nothing.
    let names = |out: &[u8]| -> Vec<String> {
        let text = String::from_utf8_lossy(out).into_owned();
        let rows = text.lines().filter(|l| l.contains("%") && l.contains(".Method"));
        let mut v: Vec<String> = rows.filter_map(|l| Some(l.split_whitespace().nth(5)?.to_string())).take(10).collect();
        v.sort();
        v
    };
    assert_eq!(names(&ours.output), names(&theirs.output), "the same functions on top");
}
