//! Leaks and deadlocks of real programs: the 63 GoKer kernels and the common patterns that come with the Go distribution (its own
//! tests of the runtime's leak profile). Measured on the same runs as the runtime's profile, for the runs in which a bug appeared:
//! leaked goroutines found, kind of the root cause, and, in a build whose mutexes record their owner, holders.
//!
//! `ADIT_GOKER_RUNS` sets the runs a kernel (1; `make goker` uses 20) and prints the table.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;

use adit::base::{LoadAddr, Memory};
use adit::engine::Loaded;
use regex::Regex;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The release whose tree the kernels are taken from; its leak profile needs no experiment.
const TOOLCHAIN: &str = "go1.27.3";
/// How long a kernel's goroutines get to come to rest.
const REST: Duration = Duration::from_millis(300);

/// Keeps the program alive after the kernel, says when it is done, and ends by itself.
const MAIN: &str = r#"package main

import (
	"fmt"
	"os"
	"runtime"
	"time"
)

const yieldCount = 10

var cmds = map[string]func(){}

func register(name string, f func()) { cmds[name] = f }

func registerInit(name string, f func()) {
	if len(os.Args) >= 2 && os.Args[1] == name {
		f()
	}
}

func main() {
	runtime.GOMAXPROCS(2)
	f := cmds[os.Args[1]]
	done := make(chan bool)
	go func() { f(); done <- true }()
	<-done
	fmt.Println("READY")
	time.Sleep(20 * time.Second)
}
"#;

struct Kernel {
    name: String,
    /// `frame(args) [wait reason]`, as the distribution's test expects them.
    leaks: Vec<Regex>,
    sub_type: String,
}

fn goroot(toolchain: &str) -> Option<PathBuf> {
    let mut c = common::go();
    if !toolchain.is_empty() {
        c.env("GOTOOLCHAIN", toolchain);
    }
    let out = c.args(["env", "GOROOT"]).output().ok().filter(|o| o.status.success())?;
    Some(PathBuf::from(String::from_utf8(out.stdout).ok()?.trim()))
}

fn kernels(root: &Path) -> Vec<Kernel> {
    let test = std::fs::read_to_string(root.join("src/runtime/goroutineleakprofile_test.go")).expect("the test");
    let readme = std::fs::read_to_string(root.join("src/runtime/testdata/testgoroutineleakprofile/goker/README.md"));
    let sub = Regex::new(r"(?m)^\|\[(\w+)#(\d+)\]\|.*\| *([^|]+?) *\|\s*$").unwrap();
    let types: HashMap<String, String> = sub
        .captures_iter(&readme.expect("the list of kernels"))
        .map(|c| (format!("{}{}", &c[1], &c[2]).to_lowercase(), c[3].to_string()))
        .collect();
    let case = Regex::new(r#"make(?:Flaky)?Test\("(\w+)",?\s*((?:\s*//[^\n]*\n|\s*`[^`]*`,?\s*)*)"#).unwrap();
    let leak = Regex::new("`([^`]*)`").unwrap();
    case.captures_iter(&test)
        .map(|c| Kernel {
            name: c[1].to_string(),
            leaks: leak.captures_iter(&c[2]).map(|l| Regex::new(&l[1]).unwrap()).collect(),
            sub_type: types.get(&c[1].to_lowercase()).cloned().unwrap_or_default(),
        })
        // Meant to stress, not to leak; and one that never returns.
        .filter(|k| !matches!(k.name.as_str(), "SpawnGC" | "DaisyChain" | "SelectNoCasesMain"))
        .collect()
}

/// The kinds that say what a sub-type of the benchmark says.
fn accepted(sub_type: &str) -> &'static [&'static str] {
    match sub_type.to_lowercase().as_str() {
        "ab-ba leak" | "ab-ba deadlock" => &["lock-cycle"],
        // The list files under it what is taken twice by one goroutine, for reading too, or never given back by it.
        "double locking" => &["double-lock", "rwr-deadlock", "lock-cycle"],
        "rwr deadlock" => &["rwr-deadlock"],
        "channel & lock" => &["mixed-deadlock"],
        "channel & context" => &["channel-leak", "context-leak"],
        "channel & waitgroup" => &["mixed-deadlock", "waitgroup-stuck"],
        "channel & condition variable" => &["mixed-deadlock", "cond-stuck"],
        "condition variable" => &["cond-stuck"],
        "missing unlock" => &["orphan-lock"],
        "misuse waitgroup" | "waitgroup" => &["waitgroup-stuck"],
        "channel" => &["channel-leak"],
        _ => &[],
    }
}

/// Builds the kernels from the toolchain's own tree with our main function. `owners`: with mutexes that record who holds them.
fn build(root: &Path, toolchain: &str, owners: bool) -> PathBuf {
    let from = root.join("src/runtime/testdata/testgoroutineleakprofile");
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("goker-{}-{owners}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let copy = |p: PathBuf| {
        let to = dir.join(p.file_name().unwrap());
        std::fs::write(to, std::fs::read(&p).unwrap()).unwrap();
    };
    for e in std::fs::read_dir(from.join("goker")).unwrap().flatten() {
        if e.path().extension().is_some_and(|x| x == "go") {
            copy(e.path());
        }
    }
    for f in ["simple.go", "commonpatterns.go"] {
        copy(from.join(f));
    }
    std::fs::write(dir.join("main.go"), MAIN).unwrap();
    std::fs::write(dir.join("go.mod"), "module goker\n\ngo 1.26\n").unwrap();
    let mut c = common::go();
    c.current_dir(&dir).args(["build", "-o", "kernels"]);
    if toolchain.is_empty() {
        c.env("GOEXPERIMENT", "goroutineleakprofile");
    } else {
        c.env("GOTOOLCHAIN", toolchain);
    }
    if owners {
        c.arg("-overlay").arg(overlay(root, &dir));
    }
    let done = c.arg(".").output().unwrap();
    assert!(done.status.success(), "go build: {}", String::from_utf8_lossy(&done.stderr));
    dir.join("kernels")
}

/// `internal/sync.Mutex` with a table of owners beside it.
fn overlay(root: &Path, dir: &Path) -> PathBuf {
    let mutex = root.join("src/internal/sync/mutex.go");
    let sema = root.join("src/runtime/sema.go");
    let text = std::fs::read_to_string(&mutex).unwrap();
    let text =
        text.replace(
            "func (m *Mutex) Lock() {",
            "func (m *Mutex) Lock() {\n\tm.lock0()\n\town(m)\n}\n\nfunc (m *Mutex) lock0() {",
        )
        .replace(
            "func (m *Mutex) Unlock() {",
            "func (m *Mutex) Unlock() {\n\tdisown(m)\n\tm.unlock0()\n}\n\nfunc (m *Mutex) unlock0() {",
        ) + r#"
type owner struct {
	addr uintptr
	goid uint64
}

var Owners [1 << 17]owner

//go:linkname runtime_goid
func runtime_goid() uint64

func ownerOf(m *Mutex) *owner {
	a := uintptr(unsafe.Pointer(m))
	for h := a >> 2 * 0x9E3779B1 >> 7; ; h++ {
		o := &Owners[h%uintptr(len(Owners))]
		if x := atomic.LoadUintptr(&o.addr); x == a || x == 0 && atomic.CompareAndSwapUintptr(&o.addr, 0, a) {
			return o
		}
	}
}

func own(m *Mutex)    { atomic.StoreUint64(&ownerOf(m).goid, runtime_goid()) }
func disown(m *Mutex) { atomic.StoreUint64(&ownerOf(m).goid, 0) }
"#;
    let runtime = std::fs::read_to_string(&sema).unwrap()
        + "\n//go:linkname internal_sync_goid internal/sync.runtime_goid\nfunc internal_sync_goid() uint64 { return getg().goid }\n";
    let (m, s, o) = (dir.join("mutex.go.txt"), dir.join("sema.go.txt"), dir.join("overlay.json"));
    std::fs::write(&m, text).unwrap();
    std::fs::write(&s, runtime).unwrap();
    let json = serde_json::json!({"Replace": {mutex.to_str().unwrap(): m.to_str().unwrap(), sema.to_str().unwrap(): s.to_str().unwrap()}});
    std::fs::write(&o, json.to_string()).unwrap();
    o
}

/// A kernel that has run and stands.
struct Run {
    child: Child,
    /// What the runtime's leak profile printed.
    profile: String,
}

impl Drop for Run {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

fn run(exe: &Path, name: &str) -> Run {
    let mut child =
        Command::new(exe).arg(name).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the kernel starts");
    let mut profile = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).unwrap_or(0) == 0 || line.starts_with("READY") {
            break;
        }
        profile += &line;
    }
    std::thread::sleep(REST);
    // Whatever it still prints goes nowhere.
    std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
    Run { child, profile }
}

fn adit(args: &[&str]) -> Value {
    let out = Command::new(env!("CARGO_BIN_EXE_adit")).args(args).output().expect("adit runs");
    serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|e| panic!("{args:?}: {e}: {}", String::from_utf8_lossy(&out.stderr)))
}

/// `frame(...) [reason]` of the outermost frame, as the distribution's test writes it.
fn signature(g: &Value) -> Option<String> {
    let frames = g["stack"].as_array()?;
    let f = frames
        .iter()
        .rev()
        .map(|f| f["function"].as_str().unwrap_or(""))
        .find(|f| *f != "runtime.goexit" && !f.contains(".gowrap"))?;
    Some(format!("{}(...) [{}]", f.strip_prefix("main.").unwrap_or(f), g["wait_reason"].as_str().unwrap_or("")))
}

/// Expected leaks in the runtime's profile, by pattern.
fn in_profile(k: &Kernel, text: &str) -> BTreeMap<usize, u64> {
    let mut out = BTreeMap::new();
    let header = Regex::new(r"^.*?\[").unwrap();
    for stack in format!("\n\n{text}").split("\n\ngoroutine") {
        let lines: Vec<&str> = stack.split('\n').collect();
        if !lines[0].contains("(leaked)") {
            continue;
        }
        let Some(by) = lines.iter().rposition(|l| l.contains("created by")).filter(|i| *i >= 2) else { continue };
        let reason = header.replace(lines[0], "[").replace(" (leaked)", "");
        let text = format!("{} {reason}", lines[by - 2].replacen("main.", "", 1));
        if let Some(i) = k.leaks.iter().position(|r| r.is_match(&text)) {
            *out.entry(i).or_default() += 1;
        }
    }
    out
}

#[derive(Default, Clone, Debug)]
struct Score {
    /// Runs in which the bug appeared.
    runs: u32,
    /// Sum over those runs of the share of leaked goroutines found; and by the runtime's profile.
    recall: f64,
    baseline: f64,
    /// Runs with the right kind.
    right: u32,
    kinds: BTreeMap<String, u64>,
}

/// Looks at one run in one way and adds it to the score.
fn score(k: &Kernel, profile: &str, goroutines: &Value, diagnosis: &Value, s: &mut Score) {
    let mut kind_of: HashMap<u64, &str> = HashMap::new();
    for f in diagnosis["findings"].as_array().unwrap() {
        if f["class"] == "likely" {
            continue;
        }
        for list in ["goroutines", "victims"] {
            for g in f[list].as_array().unwrap() {
                kind_of.entry(g.as_u64().unwrap()).or_insert(f["kind"].as_str().unwrap());
            }
        }
    }
    let mut present: BTreeMap<usize, u64> = BTreeMap::new();
    let mut found = 0;
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    for g in goroutines["goroutines"].as_array().unwrap() {
        let Some(i) = signature(g).and_then(|t| k.leaks.iter().position(|r| r.is_match(&t))) else { continue };
        *present.entry(i).or_default() += 1;
        if let Some(kind) = kind_of.get(&g["id"].as_u64().unwrap()) {
            found += 1;
            *kinds.entry(kind.to_string()).or_default() += 1;
        }
    }
    let total: u64 = present.values().sum();
    if total == 0 {
        return;
    }
    let by_runtime: u64 =
        in_profile(k, profile).iter().map(|(i, n)| (*n).min(present.get(i).copied().unwrap_or(0))).sum();
    s.runs += 1;
    s.recall += f64::from(found) / total as f64;
    s.baseline += by_runtime as f64 / total as f64;
    if let Some((kind, _)) = kinds.iter().max_by_key(|(_, n)| **n) {
        s.right += u32::from(accepted(&k.sub_type).contains(&kind.as_str()));
    }
    for (kind, n) in kinds {
        *s.kinds.entry(kind).or_default() += n;
    }
}

/// By way: kernel, sub-type, score.
type Table = BTreeMap<&'static str, Vec<(String, String, Score)>>;

fn runs() -> u32 {
    std::env::var("ADIT_GOKER_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(1)
}

/// All runs of one kernel, looked at in each way.
fn kernel(exe: &Path, k: &Kernel, n: usize, many: bool, dir: &Path) -> BTreeMap<&'static str, Score> {
    let mut scores: BTreeMap<&str, Score> = BTreeMap::new();
    for r in 0..runs() {
        let run = run(exe, &k.name);
        let pid = run.child.id().to_string();
        let core = dir.join(&k.name);
        let core = core.to_str().unwrap();
        let ways: &[(&str, &[&str])] =
            &[("observe", &[&pid]), ("snapshot", &[&pid, "--consistent"]), ("core", &[core])];
        for (i, (way, target)) in ways.iter().enumerate() {
            // In the short form each kernel is looked at in one of the ways.
            if !many && i != (n + r as usize) % 3 {
                continue;
            }
            if *way == "core" {
                adit(&["snapshot", &pid, "-o", core, "--force", "--json"]);
            }
            let goroutines = adit(&[&["goroutines"], *target, &["--json", "--stack", "60"]].concat());
            let diagnosis = adit(&[&["diagnose"], *target, &["--json"]].concat());
            score(k, &run.profile, &goroutines, &diagnosis, scores.entry(way).or_default());
            // The parent of all waits asleep: nothing else may be said to be stuck.
            let findings = diagnosis["findings"].as_array().unwrap();
            let main = findings.iter().any(|f| f["goroutines"].as_array().unwrap().iter().any(|g| g == 1));
            assert!(!main, "{}: main is said to be stuck", k.name);
        }
        let _not_written = std::fs::remove_file(core);
    }
    scores
}

#[test]
fn recall_and_kinds() {
    let Some(root) = goroot(TOOLCHAIN) else {
        println!("left out: {TOOLCHAIN} cannot be had");
        return;
    };
    let exe = build(&root, TOOLCHAIN, false);
    let all = kernels(&root);
    assert!(all.len() > 75, "{} kernels", all.len());
    let dir = tempfile::tempdir().unwrap();
    let table: Mutex<Table> = Mutex::default();
    let next = AtomicUsize::new(0);
    let many = runs() > 1;
    // They mostly rest: several at a time.
    std::thread::scope(|t| {
        for _ in 0..4 {
            t.spawn(|| {
                while let Some((n, k)) = {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    all.get(n).map(|k| (n, k))
                } {
                    for (way, s) in kernel(&exe, k, n, many, dir.path()) {
                        table.lock().unwrap().entry(way).or_default().push((k.name.clone(), k.sub_type.clone(), s));
                    }
                }
            });
        }
    });
    let mut table = table.into_inner().unwrap();
    for rows in table.values_mut() {
        rows.sort_by(|a, b| a.0.cmp(&b.0));
    }
    for (way, rows) in &table {
        let shown: Vec<&(String, String, Score)> = rows.iter().filter(|r| r.2.runs > 0).collect();
        let mean = |f: &dyn Fn(&Score) -> f64| {
            shown.iter().map(|r| f(&r.2) / f64::from(r.2.runs)).sum::<f64>() / shown.len() as f64
        };
        let (recall, baseline) = (mean(&|s| s.recall), mean(&|s| s.baseline));
        let typed: Vec<_> = shown.iter().filter(|r| !accepted(&r.1).is_empty()).collect();
        let kinds = typed.iter().map(|r| f64::from(r.2.right) / f64::from(r.2.runs)).sum::<f64>() / typed.len() as f64;
        for (name, sub, s) in rows {
            let share = |v: f64| v / f64::from(s.runs.max(1));
            println!(
                "{way:9} {name:26} {sub:30} appeared {:3} recall {:.3} profile {:.3} kind {:2} {:?}",
                s.runs,
                share(s.recall),
                share(s.baseline),
                s.right,
                s.kinds
            );
        }
        println!(
            "{way}: {} programs; recall {recall:.4}, the runtime's profile {baseline:.4}; kind right {kinds:.3} of {}",
            shown.len(),
            typed.len()
        );
        assert!(recall >= 0.902 && recall >= baseline - 0.02, "{way}: recall {recall}, baseline {baseline}");
        assert!(kinds >= if many { 0.85 } else { 0.7 }, "{way}: kinds {kinds}");
    }
}

/// Address and goroutine of every lock that is held, from the build that records it.
fn owners(pid: i32) -> HashMap<u64, u64> {
    let l = Loaded::open(pid, None).expect("opened");
    let at = l.sym.elf_symbols(&["internal/sync.Owners"])[0].expect("the table");
    let bytes = l.mem.read_vec(l.bias.to_load(at), 16 << 17).unwrap();
    let word = |b: &[u8]| u64::from_le_bytes(b.try_into().unwrap());
    bytes.chunks_exact(16).map(|e| (word(&e[..8]), word(&e[8..]))).filter(|e| e.1 != 0).collect()
}

#[test]
fn holders() {
    let root = goroot("").expect("a Go toolchain");
    let version = std::fs::read_to_string(root.join("VERSION")).unwrap_or_default();
    let new = ["go1.26", "go1.27"].iter().any(|v| version.starts_with(v));
    if !new || root.to_string_lossy().contains("/pkg/mod/") {
        println!(
            "left out: needs an installed Go 1.26 or newer (this is {})",
            version.lines().next().unwrap_or("unknown")
        );
        return;
    }
    let exe = build(&root, "", true);
    let (mut right, mut wrong) = (0u32, Vec::new());
    for k in kernels(&root).iter().filter(|k| k.leaks.iter().any(|l| l.as_str().contains("utex"))) {
        for _ in 0..runs().min(5) {
            let run = run(&exe, &k.name);
            let pid = run.child.id() as i32;
            let waits = adit(&["waits", &pid.to_string(), "--json"]);
            let truth = owners(pid);
            let objects: HashMap<&str, &Value> = waits["nodes"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|n| Some((n["id"].as_str()?, n.get("object")?)))
                .collect();
            for e in waits["edges"].as_array().unwrap() {
                let known = matches!(e["evidence"].as_str(), Some("defer" | "frame"));
                let Some(o) = e["from"].as_str().and_then(|f| objects.get(f)).filter(|_| known) else { continue };
                let kind = o["kind"].as_str().unwrap_or("");
                if kind != "mutex" && kind != "once" {
                    continue; // readers leave no trace in the table
                }
                let addr = u64::from_str_radix(o["addr"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
                let addr = LoadAddr(addr).add(if kind == "once" { 4 } else { 0 });
                let holder: u64 = e["to"].as_str().unwrap().trim_start_matches('g').parse().unwrap();
                match truth.get(&addr.0) {
                    Some(g) if *g == holder => right += 1,
                    other => wrong.push(format!(
                        "{}: {addr:?} is held by {other:?}, not by g{holder} ({})",
                        k.name, e["evidence"]
                    )),
                }
            }
        }
    }
    let all = right + wrong.len() as u32;
    println!("holders by defer or frame: {right} of {all} right");
    for w in wrong.iter().take(20) {
        println!("  {w}");
    }
    assert!(all > 100, "only {all} holders were told");
    assert!(f64::from(right) >= 0.95 * f64::from(all), "{right} of {all}: {wrong:?}");
}
