//! Execution traces: what Go's own reader makes of them is what we make of them.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod common;
#[path = "traces/damage.rs"]
mod damage;
#[path = "traces/golden.rs"]
mod golden;
#[path = "traces/reference.rs"]
mod reference;
#[path = "traces/regions.rs"]
mod regions;
#[path = "traces/words.rs"]
mod words;

use adit::base::GoroutineId;
use adit::model::*;
use adit::trace::Source;
use adit::trace::exec::store::Spool;
use adit::trace::exec::{Mode, Store};
use adit::trace::file::TraceFile;
use common::dice::Dice;
use common::oneshot::{arg, json};
use golden::{Golden, unquote};
use reference::{RELEASE, ask, goroot};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

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
                fs::read(p).is_ok_and(|b| b.starts_with(b"go 1.")) && p.extension().is_none_or(|e| e != "go")
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

/// All of a file, analysed.
fn opened(bytes: Vec<u8>) -> TraceFile {
    let f = TraceFile::open(Arc::new(bytes)).expect("a trace");
    assert!(f.wait(Duration::from_secs(120)), "it is read");
    f
}

fn named(v: &serde_json::Value) -> BTreeMap<String, u64> {
    let all = v.as_object().into_iter().flatten();
    all.map(|(k, n)| (k.clone(), n.as_u64().unwrap_or(0))).filter(|n| n.1 > 0).collect()
}

fn times(t: &[(String, u64)]) -> BTreeMap<String, u64> {
    t.iter().filter(|t| t.1 > 0).cloned().collect()
}

/// Every goroutine's times are those of Go's summary, to the nanosecond.
fn check_goroutines(what: &str, f: &TraceFile, go: &serde_json::Value) {
    let TraceReport::Goroutines { rows, total } = f.report(TraceReportKind::Goroutines) else { panic!("goroutines") };
    let want = go["Goroutines"].as_object().unwrap();
    assert_eq!((rows.len(), total), (want.len(), want.len() as u64), "{what}");
    for g in &rows {
        let w = &want[&g.id.to_string()];
        let what = format!("{what}: goroutine {} of {}", g.id, g.function);
        assert_eq!(w["Name"], g.function.as_str(), "{what}");
        let t = &g.times;
        let ours = [t.running, t.runnable, t.syscall, t.syscall_blocked, t.total];
        let theirs = ["Exec", "Sched", "Syscall", "SyscallB", "All"].map(|k| w[k].as_u64().unwrap_or(0));
        assert_eq!(ours, theirs, "{what}: running, runnable, syscall, syscall blocked, total");
        assert_eq!(times(&t.blocked), named(&w["Block"]), "{what}: blocked");
        assert_eq!(times(&t.ranges), named(&w["Range"]), "{what}: ranges");
    }
    let TraceReport::Functions(rows) = f.report(TraceReportKind::Functions) else { panic!("functions") };
    let sum = |f: &dyn Fn(&Times) -> u64| rows.iter().map(|r| f(&r.times)).sum::<u64>();
    let all = |k: &str| want.values().map(|w| w[k].as_u64().unwrap_or(0)).sum::<u64>();
    assert_eq!((sum(&|t| t.running), sum(&|t| t.total)), (all("Exec"), all("All")), "{what}: by function");
    assert_eq!(rows.iter().map(|r| r.count).sum::<u64>(), total, "{what}");
}

/// Stacks with count and time, as the reference writes them.
fn by_stack(p: &Profile) -> BTreeMap<String, (u64, u64)> {
    let mut out: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut from = 0;
    for (end, v) in p.ends.iter().zip(p.values.chunks(2)) {
        let frames = &p.stacks[from..*end as usize];
        from = *end as usize;
        let frame = |i: &u32| {
            let f = p.frames[*i as usize];
            format!("{}:{};", p.functions[f.function as usize].name, f.line)
        };
        let e = out.entry(frames.iter().map(frame).collect()).or_default();
        (e.0, e.1) = (e.0 + v[0] as u64, e.1 + v[1] as u64);
    }
    out
}

#[test]
fn figures_are_those_of_the_distribution() {
    let paths: Vec<PathBuf> = fresh().iter().map(|f| f.1.clone()).collect();
    let go = ask(&paths);
    for (release, path) in fresh() {
        let g = &go[path];
        let f = opened(fs::read(path).unwrap());
        assert_eq!(f.faults().1, 0, "{release}: {:?}", f.faults());
        let v1 = *release == "1.21.13";
        let s = f.summary();
        let kinds: BTreeMap<String, u64> =
            g["Kinds"].as_object().unwrap().iter().map(|(k, n)| (k.clone(), n.as_u64().unwrap())).collect();
        assert_eq!(s.by_kind, kinds, "{release}");
        assert_eq!(Some(s.events), g["Events"].as_u64(), "{release}");
        if v1 {
            // Events of one time come in an order that Go draws by lot, and times of one nanosecond with it.
            assert_eq!(s.goroutines as usize, g["Goroutines"].as_object().unwrap().len());
        } else {
            check_goroutines(release, &f, g);
            for (name, kind) in [
                ("network", TraceReportKind::Network),
                ("sync", TraceReportKind::Sync),
                ("syscall", TraceReportKind::Syscall),
                ("sched", TraceReportKind::Sched),
            ] {
                let TraceReport::Profile(p) = f.report(kind) else { panic!("{name}") };
                let want: BTreeMap<String, (u64, u64)> = g["Profiles"][name]
                    .as_object()
                    .unwrap()
                    .iter()
                    .map(|(k, v)| (k.clone(), (v["Count"].as_u64().unwrap(), v["Time"].as_u64().unwrap())))
                    .collect();
                assert!(!want.is_empty(), "{release}: {name}");
                assert_eq!(by_stack(&p), want, "{release}: {name}");
            }
            let TraceReport::Mutator(rows) = f.report(TraceReportKind::Mutator) else { panic!("mmu") };
            for (window, least) in g["MMU"].as_object().unwrap() {
                let ours = rows.iter().find(|r| r.window_ns.to_string() == *window).expect("the same windows").least;
                let theirs = least.as_f64().unwrap();
                assert!((ours - theirs).abs() < 1e-6, "{release}: {window} ns: {ours}, the reference says {theirs}");
            }
        }
        let TraceReport::Tasks { rows, tasks, total } = f.report(TraceReportKind::Tasks) else { panic!("tasks") };
        assert_eq!(Some(total), g["Tasks"].as_u64(), "{release}");
        let orders = rows.iter().find(|r| r.name == "order").expect("tasks of that name");
        assert_eq!((orders.done.count, orders.open), (75, 0), "{release}");
        let parcel = tasks.iter().find(|t| t.name == "parcel").expect("a task in a task");
        assert!(
            tasks.iter().any(|t| Some(t.id) == parcel.parent && t.name == "order" && t.goroutines == 2 && t.logs == 1)
        );
        let TraceReport::Regions(rows) = f.report(TraceReportKind::Regions) else { panic!("regions") };
        for name in ["pay", "ship", "pack"] {
            let r = rows.iter().find(|r| r.name == name).expect("regions of that name");
            assert_eq!(r.done.count, 75, "{release}: {name}");
            assert_eq!(r.done.histogram.iter().sum::<u64>(), 75, "{release}: {name}");
        }
        let TraceReport::Logs { lines, total } = f.report(TraceReportKind::Logs) else { panic!("logs") };
        assert_eq!((total, lines[0].category.as_str(), lines[0].message.as_str()), (75, "id", "0"), "{release}");
        let TraceReport::Stops { stops, total } = f.report(TraceReportKind::Stops) else { panic!("stops") };
        assert_eq!(stops.len() as u64, total);
        assert!(stops.iter().any(|s| s.kind == "GC mark termination"), "{release}");
        assert!(stops.iter().any(|s| s.kind == "read mem stats" && !s.stack.is_empty()) || v1, "{release}");
        assert_eq!(stops.iter().map(|s| s.length_ns).sum::<u64>(), s.stw_ns, "{release}");
    }
}

fn ask_view(f: &mut TraceFile, from: Option<i64>, span: u64, columns: u16, goroutines: &[u64]) -> TimelineView {
    let goroutines = goroutines.iter().map(|g| GoroutineId(*g)).collect();
    f.view(&TimelineQuery {
        from_ns: from,
        span_ns: span,
        columns,
        goroutines,
        threads: true,
        ..TimelineQuery::default()
    })
}

/// Busy time of a lane, in columns.
fn busy(l: &Lane) -> f64 {
    let Cells::States(c) = &l.cells else { panic!("states") };
    c.iter().map(|c| f64::from(c.busy) / 255.0).sum()
}

#[test]
fn views_near_and_far_say_the_same() {
    for (release, path) in fresh() {
        let mut f = opened(fs::read(path).unwrap());
        let whole = ask_view(&mut f, None, 0, 100, &[]);
        assert!(!whole.growing && whole.problem.is_none(), "{release}: {:?}", whole.problem);
        let kinds: Vec<LaneKind> = whole.lanes.iter().map(|l| l.kind).collect();
        assert!(kinds.is_sorted_by_key(|k| k.place()), "{kinds:?}");
        for k in [LaneKind::Proc(0), LaneKind::Collector, LaneKind::StopTheWorld, LaneKind::Heap, LaneKind::Goroutines]
        {
            assert!(kinds.contains(&k), "{release}: {k:?}");
        }
        // One column of the whole, read again at full resolution.
        let at = whole.from_ns + 50 * whole.column_ns as i64;
        let near = ask_view(&mut f, Some(at), whole.column_ns, 100, &[1]);
        assert!(near.column_ns < whole.column_ns / 50, "{release}");
        for l in near.lanes.iter().filter(|l| matches!(l.kind, LaneKind::Proc(_) | LaneKind::Collector)) {
            let far = whole.lanes.iter().find(|w| w.kind == l.kind).expect("the same lanes");
            let Cells::States(c) = &far.cells else { panic!("states") };
            let (n, w) = (busy(l) * near.column_ns as f64, f64::from(c[50].busy) / 255.0 * whole.column_ns as f64);
            let off = (n - w).abs() / whole.column_ns as f64;
            assert!(off < 0.06, "{release}: {:?}: {n} ns near, {w} ns far", l.kind);
        }
        let main = near.lanes.iter().find(|l| l.kind == LaneKind::Goroutine(GoroutineId(1))).expect("a followed one");
        assert_eq!(main.note, "main.main", "{release}");
        let Cells::States(c) = &main.cells else { panic!("states") };
        assert!(c.iter().all(|c| c.activity != Activity::Unknown), "{release}: it was somewhere all the time");
    }
}

#[test]
fn single_goroutines_are_shown_over_any_length() {
    for release in ["1.22.10", "1.25.5", "1.27.3"] {
        let mut f = opened(generations(release));
        let TraceReport::Goroutines { rows, .. } = f.report(TraceReportKind::Goroutines) else { panic!("goroutines") };
        let ids: Vec<u64> = rows.iter().take(2).map(|r| r.id.0).collect();
        let near = ask_view(&mut f, None, 0, 60, &ids);
        // A trace of which nothing more than a byte may be read again for one view.
        f.read_again_at_most(1);
        let deadline = std::time::Instant::now() + common::PATIENCE;
        let far = loop {
            let v = ask_view(&mut f, None, 0, 60, &ids);
            if !v.growing {
                break v;
            }
            assert!(v.problem.as_ref().is_some_and(|p| p.contains("read from the whole trace")), "{:?}", v.problem);
            assert!(std::time::Instant::now() < deadline, "{release}: it is never read");
            std::thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(far.problem, None, "{release}");
        let of = |v: &TimelineView, k: LaneKind| v.lanes.iter().find(|l| l.kind == k).map(busy);
        let threads = near.lanes.iter().map(|l| l.kind).filter(|k| matches!(k, LaneKind::Thread(_)));
        let singles: Vec<LaneKind> = threads.chain(ids.iter().map(|g| LaneKind::Goroutine(GoroutineId(*g)))).collect();
        assert!(singles.len() > 4, "{release}");
        for k in singles {
            let (a, b) = (of(&near, k).expect("near"), of(&far, k).expect("far"));
            assert!((a - b).abs() < 1.0, "{release}: {k:?} is busy for {a} columns near and {b} far");
        }
        // Spans are told as far as may be read.
        let (first, last) = f.extent();
        let spans = f.spans(LaneKind::Goroutine(GoroutineId(ids[0])), first, last, 1_000_000);
        assert!(!spans.is_empty() && spans.iter().all(|s| s.from_ns < last), "{release}");
        // Somebody else is followed: the reading begins anew.
        let v = ask_view(&mut f, None, 0, 60, &[8]);
        assert!(v.growing || v.lanes.iter().any(|l| l.kind == LaneKind::Goroutine(GoroutineId(8))), "{release}");
    }
}

#[test]
fn spans_tell_who_and_where() {
    for (release, path) in fresh().iter().skip(1) {
        let mut f = opened(fs::read(path).unwrap());
        let (a, z) = ask_view(&mut f, None, 0, 10, &[]).extent;
        let TraceReport::Goroutines { rows, .. } = f.report(TraceReportKind::Goroutines) else { panic!("goroutines") };
        // All spans of a goroutine add up to its times.
        for g in rows.iter().filter(|g| ["main.main", "main.echo.func2", "main.files"].contains(&g.function.as_str())) {
            let spans = f.spans(LaneKind::Goroutine(g.id), a, z + 1, 1 << 20);
            let sum = |a: Activity| {
                let of = spans.iter().filter(|s| s.activity == a);
                of.map(|s| (s.to_ns.unwrap_or(z) - s.from_ns).max(0) as u64).sum::<u64>()
            };
            let what = format!("{release}: {} {}", g.id, g.function);
            let runs: u64 = [Activity::Running, Activity::Assist, Activity::Sweeping].into_iter().map(sum).sum();
            assert_eq!(runs, g.times.running, "{what}");
            assert_eq!(sum(Activity::Blocked), g.times.all_blocked(), "{what}");
            assert_eq!(sum(Activity::Syscall), g.times.syscall + g.times.syscall_blocked, "{what}");
            assert!(spans.windows(2).all(|w| w[0].to_ns.unwrap_or(z) <= w[1].from_ns), "{what}: in order");
        }
        let main = rows.iter().find(|g| g.function == "main.main").expect("main");
        let waits: Vec<_> = f
            .spans(LaneKind::Goroutine(main.id), a, z + 1, 1 << 20)
            .into_iter()
            .filter(|s| s.activity == Activity::Blocked && s.what.starts_with("sync"))
            .collect();
        let wait = waits.last().expect("main waits for all others");
        assert!(wait.stack.iter().any(|l| l.function == "main.main"), "{release}: {wait:?}");
        assert!(wait.by.is_some(), "{release}: somebody ended it: {wait:?}");
        // Spans of a P do not overlap, and say whose they are.
        let spans = f.spans(LaneKind::Proc(0), a, z + 1, 1 << 20);
        assert!(spans.len() > 100 && spans.windows(2).all(|w| w[0].to_ns.unwrap_or(z) <= w[1].from_ns), "{release}");
        assert!(spans.iter().any(|s| s.activity == Activity::Running && s.what.starts_with("main.")), "{release}");
        assert!(spans.iter().any(|s| s.activity == Activity::Running && !s.stack.is_empty()), "{release}");
    }
}

#[test]
fn goroutines_as_last_seen() {
    let (_, path) = fresh().last().unwrap();
    let v = json(&["goroutines", arg(path), "--all", "--stack", "5"]);
    let of = |f: &str| common::oneshot::of(&v, f).clone();
    let main = of("main.main");
    assert_eq!((main["state"].as_str(), v["read"]["mode"].as_str()), (Some("running"), Some("offline")));
    let list = v["goroutines"].as_array().unwrap();
    let forever = list.iter().filter(|g| g["entry"]["function"] == "main.main.func1").count();
    assert_eq!(forever, 5, "{v}");
    let stack = json(&["stack", arg(path), "1"]);
    assert!(stack.to_string().contains("main.main"), "{stack}");
    let t = json(&["timeline", arg(path), "--by", "functions"]);
    assert_eq!((t["source"].as_str(), t["by"].as_str()), (Some("trace"), Some("functions")));
    assert!(t["rows"].as_array().unwrap().iter().any(|r| r["function"] == "main.tasks" && r["count"] == 1));
    assert!(t["summary"]["by_kind"]["StateTransition"].as_u64() > Some(1000));
    for (by, _) in TraceReportKind::ALL {
        let t = json(&["timeline", arg(path), "--by", by]);
        assert!(t["rows"].as_array().is_some_and(|r| !r.is_empty() || by == "cpu"), "{by}");
        let out = common::oneshot::adit(&["timeline", arg(path), "--by", by]);
        assert!(out.status.success() && out.stdout.iter().all(|b| *b >= b' ' || *b == b'\n'), "{by}");
    }
}

/// A trace made anew, with the runtime told what its generations are like.
fn make(release: &str, rounds: &str, debug: &str) -> Vec<u8> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let exe = common::build_with("tracegen", common::DEFAULT, &format!("go{release}"));
    let path = tmp(&format!("{release}-{}.trace", COUNT.fetch_add(1, Relaxed)));
    let out = Command::new(exe).arg(&path).arg(rounds).env("GODEBUG", debug).output().expect("it runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(path).unwrap();
    bytes
}

/// A trace of several generations: the runtime makes one every 20 ms, if it comes to run.
fn generations(release: &str) -> Vec<u8> {
    let made = ["300", "600", "1200", "2400"].iter().map(|rounds| make(release, rounds, "traceadvanceperiod=20000000"));
    let mut last = Vec::new();
    for bytes in made {
        last = bytes;
        if damage::sizes(&last).len() >= 4 {
            break;
        }
    }
    last
}
