//! Execution traces: what Go's own reader makes of them is what we make of them.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod common;
#[path = "traces/golden.rs"]
mod golden;
#[path = "traces/reference.rs"]
mod reference;
#[path = "traces/words.rs"]
mod words;

use adit::trace::exec::{Mode, Store};
use golden::{Golden, unquote};
use reference::{RELEASE, ask, goroot};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

const RELEASES: [&str; 7] = ["1.21.13", "1.22.10", "1.23.9", "1.24.11", "1.25.5", "1.26.6", "1.27.3"];

fn tmp(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("traces");
    fs::create_dir_all(&dir).unwrap();
    dir.join(name)
}

fn store(bytes: &[u8]) -> Arc<dyn Store> {
    Arc::new(bytes.to_vec())
}

fn read(bytes: &[u8], mode: Mode) -> words::Report {
    words::read(store(bytes), mode, |_| ())
}

/// A trace of `tests/programs/tracegen` by each release, made once.
fn fresh() -> &'static [(String, PathBuf)] {
    static MADE: OnceLock<Vec<(String, PathBuf)>> = OnceLock::new();
    MADE.get_or_init(|| {
        let make = |release: &&str| {
            let exe = common::build_with("tracegen", common::DEFAULT, &format!("go{release}"));
            let path = tmp(&format!("{release}.trace"));
            let out = Command::new(exe).arg(&path).arg("300").output().expect("tracegen runs");
            assert!(out.status.success(), "{release}: {}", String::from_utf8_lossy(&out.stderr));
            (release.to_string(), path)
        };
        RELEASES.iter().map(make).collect()
    })
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir(dir).map(|d| d.flatten().map(|e| e.path()).collect()).unwrap_or_default();
    all.retain(|p| p.is_file());
    all.sort();
    all
}

/// Our reader and Go's agree on a file. Where events have the same time, those of v1 come in an order that Go draws by lot.
fn agree(what: &str, bytes: &[u8], go: &serde_json::Value) {
    let ours = read(bytes, Mode::Strict);
    let refused = go["Error"].as_str().filter(|e| !e.is_empty());
    assert_eq!(ours.error.is_some(), refused.is_some(), "{what}: ours {:?}, Go's {refused:?}", ours.error);
    assert_eq!(Some(ours.events), go["Events"].as_u64(), "{what}: events; {:?} {refused:?}", ours.error);
    let kinds: BTreeMap<&str, u64> =
        go["Kinds"].as_object().unwrap().iter().map(|(k, n)| (k.as_str(), n.as_u64().unwrap())).collect();
    assert_eq!(ours.kinds, kinds, "{what}");
    let v1 = ["go 1.11", "go 1.19", "go 1.21"].iter().any(|h| bytes.starts_with(h.as_bytes()));
    if !v1 {
        assert_eq!(go["Order"].as_str(), Some(format!("{:016x}", ours.order).as_str()), "{what}: the order of events");
    }
}

#[test]
fn golden_traces_of_the_distribution() {
    let mut seen = BTreeSet::new();
    let mut asked = Vec::new();
    for release in RELEASES {
        let root = goroot(&format!("go{release}")).join("src/internal/trace");
        for dir in ["testdata/tests", "v2/testdata/tests"] {
            for path in files(&root.join(dir)) {
                let text = fs::read_to_string(&path).unwrap();
                if !seen.insert(text.clone()) {
                    continue;
                }
                let g = Golden::parse(&text);
                let what = path.display().to_string();
                let ours = read(&g.bytes, Mode::Strict);
                match (&g.fails_with, &ours.error) {
                    (None, None) => {}
                    (Some(why), Some(e)) => assert!(e.contains(why.trim_matches(['.', '*'])), "{what}: {e}"),
                    (want, got) => panic!("{what}: wants {want:?}, got {got:?}"),
                }
                let file = tmp(&format!("golden-{}", asked.len()));
                fs::write(&file, &g.bytes).unwrap();
                asked.push((what, file, g.bytes));
            }
        }
    }
    assert!(asked.len() >= 22, "{}", asked.len());
    let go = ask(&asked.iter().map(|a| a.1.clone()).collect::<Vec<_>>());
    for (what, file, bytes) in &asked {
        agree(what, bytes, &go[file]);
    }
}

#[test]
fn old_traces_of_the_distribution() {
    let mut all = Vec::new();
    for release in RELEASES {
        let root = goroot(&format!("go{release}")).join("src/internal/trace");
        for dir in ["testdata", "internal/oldtrace/testdata", "internal/tracev1/testdata"] {
            all.extend(files(&root.join(dir)).into_iter().filter(|p| {
                fs::read(p).is_ok_and(|b| b.starts_with(b"go 1.")) && !p.extension().is_some_and(|e| e == "go")
            }));
        }
    }
    assert!(all.len() > 50, "{}", all.len());
    let go = ask(&all);
    for path in &all {
        agree(&path.display().to_string(), &fs::read(path).unwrap(), &go[path]);
    }
}

#[test]
fn fuzz_corpora_of_the_distribution() {
    let mut asked = BTreeMap::new();
    for release in RELEASES {
        let root = goroot(&format!("go{release}")).join("src/internal/trace");
        for dir in ["testdata/fuzz/FuzzReader", "v2/testdata/fuzz/FuzzReader"] {
            for path in files(&root.join(dir)) {
                let text = fs::read_to_string(&path).unwrap();
                let literal = text.lines().nth(1).and_then(|l| l.strip_prefix("[]byte(")?.strip_suffix(')')).unwrap();
                let name = format!("fuzz-{release}-{}", path.file_name().unwrap().to_string_lossy());
                asked.insert(tmp(&name), unquote(literal));
            }
        }
    }
    assert!(asked.len() > 50, "{}", asked.len());
    asked.iter().for_each(|(p, b)| fs::write(p, b).unwrap());
    let go = ask(&asked.keys().cloned().collect::<Vec<_>>());
    for (path, bytes) in &asked {
        let what = path.display().to_string();
        // Go's getters give up on some; its reader is what we are measured by.
        if go[path]["Error"].as_str().is_some_and(|e| e.starts_with("panic")) {
            continue;
        }
        agree(&what, bytes, &go[path]);
    }
}

#[test]
fn fresh_traces_of_every_release() {
    let paths: Vec<PathBuf> = fresh().iter().map(|f| f.1.clone()).collect();
    let go = ask(&paths);
    for (release, path) in fresh() {
        let g = &go[path];
        assert_eq!(g["Error"], "", "{release}");
        assert!(g["Events"].as_u64() > Some(20_000), "{release}");
        agree(release, &fs::read(path).unwrap(), g);
        // And what `go tool trace` prints.
        let out = common::go()
            .args(["tool", "trace", "-d=parsed"])
            .arg(path)
            .env("GOTOOLCHAIN", RELEASE)
            .output()
            .expect("go tool trace");
        let text = String::from_utf8_lossy(&out.stdout);
        let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
        for line in text.lines().filter(|l| l.starts_with("M=")) {
            *kinds.entry(line.split_whitespace().nth(3).unwrap_or("")).or_default() += 1;
        }
        assert_eq!(kinds, read(&fs::read(path).unwrap(), Mode::Tolerant).kinds, "{release}");
    }
}
