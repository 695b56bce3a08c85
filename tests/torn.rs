//! Torn reads: a program whose goroutines begin, park and end as fast as they can, looked at thousands of times while it runs. No look
//! may crash, none may claim a proof (the program has neither leak nor deadlock), and the program must not notice.
//!
//! `ADIT_TORN_LOOKS` sets the number of looks (300).
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;

use adit::diagnose::picture::{PictureOptions, picture};
use adit::diagnose::{Analysis, Case, History, Options, Target, diagnose};
use adit::engine::Loaded;
use adit::goruntime::ListOptions;
use adit::model::{FindingClass, Severity};
use common::heart::Heart;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// A life of the program that is looked at; it lives two minutes.
const LIFE: Duration = Duration::from_secs(80);

#[derive(Default, Debug)]
struct Seen {
    looks: u64,
    goroutines: u64,
    edges: u64,
    without_heap: u64,
    /// Looks that were refused, by why.
    failed: BTreeMap<String, u64>,
    still: u64,
    /// Findings that must not be.
    wrong: Vec<String>,
    others: BTreeMap<String, u64>,
}

fn look(l: &Loaded, history: &mut History, n: u64, s: &mut Seen) {
    let none = HashMap::new();
    s.looks += 1;
    let list = match l.rt.list(&*l.mem, &none, l.now_ns(), ListOptions::default()) {
        Ok(list) => list,
        Err(e) => return *s.failed.entry(e.to_string()).or_default() += 1,
    };
    let t = Target {
        rt: &l.rt,
        mem: &*l.mem,
        list: &list,
        registers: &none,
        stopped: false,
        offline: false,
        pid: Some(l.pid),
    };
    let no_heap = n % 3 == 1;
    if n % 4 == 3 {
        match Analysis::make(&t, no_heap, 0) {
            Ok(a) => {
                s.still += u64::from(a.look.still);
                s.without_heap += u64::from(a.heap.is_err());
                s.goroutines += a.look.seen.len() as u64;
                let case = Case::new(&t, &a, history, 16);
                let options = PictureOptions { limit: 500, ..PictureOptions::default() };
                s.edges += picture(&case, options).edges.len() as u64;
                for c in a.causes.iter().filter(|c| c.class == FindingClass::Proof) {
                    s.wrong.push(format!("look {n}: cause {c:?}"));
                }
            }
            Err(e) => *s.failed.entry(e.to_string()).or_default() += 1,
        }
        return;
    }
    let options = Options { listed: 16, no_heap, ..Options::default() };
    match diagnose(&t, history, &options) {
        Ok(d) => {
            s.goroutines += d.goroutines;
            s.without_heap += u64::from(d.heap.is_none());
            for f in d.findings {
                let text = format!("{} {:?}", f.kind.name(), f.class);
                if f.class == FindingClass::Proof || f.severity == Severity::High {
                    s.wrong.push(format!("look {n}: {text}: {} {:?}", f.summary, f.why));
                }
                *s.others.entry(text).or_default() += 1;
            }
        }
        Err(e) => *s.failed.entry(e.to_string()).or_default() += 1,
    }
}

#[test]
fn a_program_in_constant_motion() {
    let all: u64 = std::env::var("ADIT_TORN_LOOKS").ok().and_then(|n| n.parse().ok()).unwrap_or(300);
    let exe = common::build("churn", common::DEFAULT);
    let mut s = Seen::default();
    let t0 = Instant::now();
    while s.looks < all {
        let heart = Heart::start(&exe);
        let l = Loaded::open(heart.pid(), None).expect("readable");
        let mut history = History::default();
        let begun = Instant::now();
        while s.looks < all && begun.elapsed() < LIFE {
            let n = s.looks;
            look(&l, &mut history, n, &mut s);
        }
        assert!(heart.beats_on(20), "it stands or is gone after {} looks: {s:?}", s.looks);
        assert_eq!((heart.tracer(), heart.changed_bytes()), (0, 0));
    }
    println!("{:?}: {s:#?}", t0.elapsed());
    assert!(s.wrong.is_empty(), "{}", s.wrong.join("\n"));
    assert!(s.looks >= all && s.goroutines > 20 * all && s.edges > 0, "{s:?}");
    let failed: u64 = s.failed.values().sum();
    assert!(failed * 50 <= s.looks, "refused too often: {s:?}");
}
