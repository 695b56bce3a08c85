//! What goroutines wait for: each primitive, on every Go release from 1.21 on, live, in a core, and stripped. The program prints where
//! its objects are; the other side is found in the wait graph.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;
mod goprog;

use serde_json::Value;
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

struct Program(Child, HashMap<String, String>);

impl Drop for Program {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

fn start(exe: &Path) -> Program {
    let mut child = Command::new(exe).stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut said = HashMap::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.expect("a line");
        match line.split_once(' ') {
            Some((name, value)) => drop(said.insert(name.to_string(), value.to_string())),
            None => break,
        }
    }
    Program(child, said)
}

fn adit(args: &[&str]) -> Value {
    let out = Command::new(env!("CARGO_BIN_EXE_adit")).args(args).output().expect("adit runs");
    serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|e| panic!("{args:?}: {e}: {}", String::from_utf8_lossy(&out.stderr)))
}

/// (waiting function, name of the object as printed, kind, operation, function at the other side, evidence).
const EXPECTED: &[(&str, &str, &str, &str, &str, &str)] = &[
    ("main.waitMutex", "mutex", "mutex", "lock", "main.holdMutex", "defer"),
    ("main.waitGlobal", "global", "mutex", "lock", "main.holdGlobal", "frame"),
    ("main.waitRLock", "rlock", "rwmutex", "rlock", "main.holdWrite", "defer"),
    ("main.waitWLock", "wlock", "rwmutex", "lock", "main.holdRead", "frame"),
    ("main.waitGroup", "waitgroup", "waitgroup", "wait", "main.holdGroup", "defer"),
    ("main.waitOnce", "once", "once", "wait", "main.holdOnce", "defer"),
    ("main.waitCond", "cond", "cond", "wait", "", ""),
    ("main.waitSend", "send", "chan", "send", "main.otherEnd", "exclusion"),
    ("main.waitReceive", "receive", "chan", "receive", "main.otherEnd", "exclusion"),
];

fn has_frame(g: &Value, function: &str) -> bool {
    g["stack"].as_array().is_some_and(|s| s.iter().any(|f| f["function"] == function))
}

fn check(what: &str, said: &HashMap<String, String>, target: &[&str]) {
    let all = adit(&[&["goroutines"], target, &["--json", "--stack", "40"]].concat());
    let graph = adit(&[&["waits"], target, &["--json"]].concat());
    let goroutines = all["goroutines"].as_array().unwrap();
    let find = |f: &str| {
        goroutines.iter().find(|g| has_frame(g, f)).unwrap_or_else(|| panic!("{what}: nobody in {f}: {goroutines:#?}"))
    };
    for (waiter, name, kind, op, other, evidence) in EXPECTED {
        let g = find(waiter);
        let on = &g["waits_on"][0];
        let (addr, text) = (&said[*name], format!("{what} {waiter}: {on}"));
        assert_eq!(on["addr"].as_str(), Some(addr.as_str()), "{text}");
        assert_eq!((on["kind"].as_str(), on["op"].as_str()), (Some(*kind), Some(*op)), "{text}");
        if other.is_empty() {
            continue;
        }
        let node = graph["nodes"].as_array().unwrap().iter().find(|n| n["object"]["addr"] == addr.as_str());
        let node = node.unwrap_or_else(|| panic!("{text}: not in the graph"));
        let holder = format!("g{}", find(other)["id"]);
        let edge =
            graph["edges"].as_array().unwrap().iter().find(|e| e["from"] == node["id"] && e["to"] == holder.as_str());
        let edge =
            edge.unwrap_or_else(|| panic!("{text}: {} is not known to {other} ({holder}): {}", node, graph["edges"]));
        assert_eq!(edge["evidence"].as_str(), Some(*evidence), "{text}");
    }
    // A channel's buffer, and both channels of a select with their directions.
    let send = &find("main.waitSend")["waits_on"][0];
    assert_eq!((send["len"].as_u64(), send["cap"].as_u64()), (Some(2), Some(2)), "{what}: {send}");
    let select = find("main.waitSelect")["waits_on"].as_array().unwrap();
    let mut cases: Vec<(&str, &str)> =
        select.iter().map(|c| (c["addr"].as_str().unwrap(), c["op"].as_str().unwrap())).collect();
    let mut want = vec![(said["select32"].as_str(), "receive"), (said["select64"].as_str(), "send")];
    cases.sort_unstable();
    want.sort_unstable();
    assert_eq!(cases, want, "{what}");
    // What has no object of its own.
    let kind = |f: &str| find(f)["waits_on"][0]["kind"].as_str().map(String::from);
    let detail = |f: &str| find(f)["waits_on"][0]["detail"].as_str().unwrap_or("").to_string();
    assert_eq!(kind("main.waitNil").as_deref(), Some("chan"));
    assert!(find("main.waitNil")["waits_on"][0].get("addr").is_none(), "{what}");
    assert_eq!(kind("main.waitForever").as_deref(), Some("select"));
    assert_eq!(kind("main.waitSleep").as_deref(), Some("timer"));
    for f in ["main.waitSleep", "main.waitTimer"] {
        let text = detail(f);
        assert!(
            text.contains("due in 16m") || text.contains("due in 9") || text.contains("due in 15m"),
            "{what} {f}: {text}"
        );
    }
    let io = detail("main.waitRead");
    assert_eq!(kind("main.waitRead").as_deref(), Some("io"), "{what}");
    assert!(
        io.contains("fd ") && io.contains("tcp") && io.contains(&said["io"]),
        "{what}: {io}, the other end is {}",
        said["io"]
    );
    assert!(detail("main.waitPipe").contains("|0"), "{what}: {}", detail("main.waitPipe"));
}

#[test]
fn every_primitive_on_every_release() {
    let dir = tempfile::tempdir().unwrap();
    for tool in goprog::MATRIX {
        for (kind, flags) in
            [("optimised", common::DEFAULT), ("debug", common::DEBUG), ("stripped", &["-ldflags=-s -w"][..])]
        {
            let exe = common::build_with("waits", flags, tool);
            let p = start(&exe);
            let pid = p.0.id().to_string();
            check(&format!("{tool} {kind} live"), &p.1, &[&pid]);
            let core = dir.path().join(format!("{tool}-{kind}"));
            let core = core.to_str().unwrap();
            adit(&["snapshot", &pid, "-o", core, "--json"]);
            check(&format!("{tool} {kind} core"), &p.1, &[core]);
            std::fs::remove_file(core).unwrap();
        }
    }
}

/// Libraries that are built on primitives are told by their frames; system calls and coroutines have no object.
#[test]
fn libraries_and_system_calls() {
    for tool in ["", "go1.23.9", "go1.27.3"] {
        let p = start(&common::build_with("libs", common::DEFAULT, tool));
        let all = adit(&["goroutines", &p.0.id().to_string(), "--json", "--stack", "40"]);
        let list = all["goroutines"].as_array().unwrap();
        let waits = |f: &str, kind: &str| {
            let mut all = list.iter().filter(|g| has_frame(g, f)).map(|g| g["waits_on"][0].clone());
            let found = all.find(|w| w["kind"] == kind);
            found.unwrap_or_else(|| panic!("{tool} {f}: no {kind} among {list:#?}"))
        };
        let detail = |w: &Value| w["detail"].as_str().unwrap_or("").to_string();
        assert!(detail(&waits("main.waitGroup", "waitgroup")).contains("counter 1, errgroup"), "{tool}");
        assert!(detail(&waits("main.waitFlight", "waitgroup")).contains("counter 1, singleflight"), "{tool}");
        let limit = waits("main.waitLimit", "chan");
        assert_eq!(
            (limit["op"].as_str(), limit["len"].as_u64(), limit["cap"].as_u64()),
            (Some("send"), Some(1), Some(1)),
            "{tool}"
        );
        let weighted = list.iter().find(|g| has_frame(g, "main.waitWeighted")).unwrap();
        assert!(
            weighted["waits_on"].as_array().unwrap().iter().all(|w| w["kind"] == "chan" || w["kind"] == "select"),
            "{tool}"
        );
        let call = waits("main.waitSyscall", "syscall");
        assert!(call["name"].as_str().unwrap_or("").contains("read"), "{tool}: {call}");
        assert!(detail(&waits("main.waitPull", "other")).contains("iterator"), "{tool}");
    }
}
