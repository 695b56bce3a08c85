//! Leaks by reachability, on every Go release from 1.21 on: leaked goroutines beside twins whose objects are kept alive by globals, maps,
//! interfaces, closures, large objects, finalizers. Exactly the leaked ones are found: observed, in a snapshot, stripped, before and after collections.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;
mod goprog;

use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

fn adit(args: &[&str]) -> Value {
    let out = Command::new(env!("CARGO_BIN_EXE_adit")).args(args).output().expect("adit runs");
    serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|e| panic!("{args:?}: {e}: {}", String::from_utf8_lossy(&out.stderr)))
}

/// Who is said to be leaked for certain, and in which words.
fn leaked(target: &[&str]) -> (BTreeSet<u64>, Value) {
    let diagnosis = adit(&[&["diagnose"], target, &["--json"]].concat());
    let mut leaked: BTreeSet<u64> = BTreeSet::new();
    for f in diagnosis["findings"].as_array().unwrap().iter().filter(|f| f["class"] != "likely") {
        for list in ["goroutines", "victims"] {
            leaked.extend(f[list].as_array().unwrap().iter().filter_map(Value::as_u64));
        }
    }
    (leaked, diagnosis["findings"].clone())
}

fn check(what: &str, target: &[&str], expected_twins: usize) {
    let all = adit(&[&["goroutines"], target, &["--json", "--stack", "40"]].concat());
    let mut want: BTreeSet<u64> = BTreeSet::new();
    let mut twins = 0;
    for g in all["goroutines"].as_array().unwrap() {
        let names: Vec<&str> = g["stack"].as_array().unwrap().iter().filter_map(|f| f["function"].as_str()).collect();
        if names.iter().any(|n| n.starts_with("main.leak")) {
            want.insert(g["id"].as_u64().unwrap());
        }
        twins += usize::from(names.iter().any(|n| n.starts_with("main.alive")));
    }
    assert_eq!((want.len(), twins), (9, expected_twins), "{what}");
    // In a program that runs, a thread that has just started one of them may still have its channel in a register or a dead slot: then the
    // next look finds it. One that is alive is never named, and a file says the same each time.
    let looks = if what.contains("observed") { 3 } else { 1 };
    for look in 1..=looks {
        let (leaked, findings) = leaked(target);
        assert!(leaked.is_subset(&want), "{what}: {leaked:?} of {want:?}: {findings:#}");
        if leaked == want {
            return;
        }
        assert!(look < looks, "{what}: {leaked:?} of {want:?}: {findings:#}");
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
}

#[test]
fn exactly_the_leaked_ones_on_every_release() {
    for tool in goprog::MATRIX {
        for (kind, flags) in
            [("optimised", common::DEFAULT), ("debug", common::DEBUG), ("stripped", &["-ldflags=-s -w"][..])]
        {
            let exe = common::build_with("leaks", flags, tool);
            for collected in [false, true] {
                let mut child = Command::new(&exe)
                    .args(collected.then_some("collect"))
                    .stdout(Stdio::piped())
                    .spawn()
                    .expect("the program starts");
                let mut line = String::new();
                BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).expect("ready");
                let pid = child.id().to_string();
                let result = std::panic::catch_unwind(|| {
                    let what = format!("{tool} {kind} {}", if collected { "collected" } else { "fresh" });
                    // The finalizer of the collected object lets its twin go.
                    let twins = if collected { 17 } else { 18 };
                    check(&format!("{what}, observed"), &[&pid], twins);
                    check(&format!("{what}, snapshot"), &[&pid, "--consistent"], twins);
                });
                let _gone = child.kill();
                let _status = child.wait();
                if let Err(e) = result {
                    std::panic::resume_unwind(e);
                }
            }
        }
    }
}
