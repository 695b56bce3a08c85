//! Parts of traces: regions and tasks against Go's own viewer, and searches.

use super::*;

/// Go's own viewer of a trace, until this is dropped.
struct Viewer(std::process::Child, String);

impl Drop for Viewer {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Viewer {
    fn of(path: &Path) -> Viewer {
        let tool = common::go().args(["tool", "-n", "trace"]).env("GOTOOLCHAIN", RELEASE).output().expect("go tool");
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let at = format!("127.0.0.1:{port}");
        let mut c = Command::new(String::from_utf8_lossy(&tool.stdout).trim());
        // It would start a browser.
        c.arg(format!("-http={at}")).arg(path).env("BROWSER", "true").env("PATH", "/nowhere");
        let child = c.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().expect("trace");
        Viewer(child, at)
    }

    /// A page, once it answers.
    fn get(&self, page: &str) -> Vec<u8> {
        let deadline = std::time::Instant::now() + common::PATIENCE;
        loop {
            if let Ok(mut s) = std::net::TcpStream::connect(&self.1) {
                use std::io::{Read, Write};
                write!(s, "GET {page} HTTP/1.0\r\n\r\n").unwrap();
                let mut all = Vec::new();
                s.read_to_end(&mut all).unwrap();
                let body = all.windows(4).position(|w| w == b"\r\n\r\n").expect("a head") + 4;
                assert!(all.starts_with(b"HTTP/1.0 200"), "{page}: {}", String::from_utf8_lossy(&all));
                return all[body..].to_vec();
            }
            assert!(std::time::Instant::now() < deadline, "the viewer does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// What there is in all, and own and whole value of each function.
fn functions(profile: &str) -> (i64, BTreeMap<String, (i64, i64)>) {
    let v = json(&["prof", profile, "--top", "100000"]);
    let row = |f: &serde_json::Value| {
        let name = f["function"].as_str().unwrap().to_string();
        (name, (f["flat"].as_i64().unwrap(), f["cum"].as_i64().unwrap()))
    };
    let rows = v["functions"].as_array().unwrap().iter().map(row);
    // An event without a stack is a row without a name here; there one of a frame without a name, or none. In all it is counted by both.
    (v["total"].as_i64().unwrap(), rows.filter(|r| !["", "<unknown>"].contains(&r.0.as_str())).collect())
}

#[test]
fn profiles_of_a_region_are_those_of_gos_viewer() {
    let pb = tmp("region.pb");
    for (release, path) in fresh().iter().filter(|f| ["1.22.10", "1.26.6", "1.27.3"].contains(&f.0.as_str())) {
        let viewer = Viewer::of(path);
        let mut some = 0;
        for region in ["ship", "pack", "pay"] {
            for (page, word) in [("block", "sync"), ("sched", "sched"), ("syscall", "syscall"), ("io", "network")] {
                fs::write(&pb, viewer.get(&format!("/region{page}?type={region}&raw=1"))).unwrap();
                let (theirs, ours) =
                    (functions(arg(&pb)), functions(&format!("{}#{word},region={region}", path.display())));
                assert_eq!(theirs, ours, "{release}: {word} of {region}");
                some += theirs.0;
            }
        }
        assert!(some > 10_000, "{release}: {some} ns");
    }
}

#[test]
fn regions_and_tasks_are_told_one_by_one() {
    for (release, path) in fresh() {
        let f = opened(fs::read(path).unwrap());
        let region = TraceFilter::Region("ship".into());
        let Ok(TraceReport::OneRegion { done, rows, before, open }) = f.report_of(TraceReportKind::Regions, region)
        else {
            panic!("{release}: regions")
        };
        let TraceReport::Regions(all) = f.report(TraceReportKind::Regions) else { panic!("regions") };
        let row = all.iter().find(|r| r.name == "ship").unwrap();
        assert_eq!((&done, before, open), (&row.done, 0, 0), "{release}");
        assert_eq!(rows.len(), 75, "{release}");
        let sum = |f: &dyn Fn(&Times) -> u64| rows.iter().map(|r| f(&r.times)).sum::<u64>();
        assert_eq!(sum(&|t| t.running), row.times.running, "{release}");
        assert_eq!(sum(&Times::all_blocked), row.times.all_blocked(), "{release}");
        assert!(rows.is_sorted_by_key(|r| std::cmp::Reverse(r.times.total)));
        // Left open: its goroutine ended before it did.
        let region = TraceFilter::Region("left open".into());
        let Ok(TraceReport::OneRegion { done, open, .. }) = f.report_of(TraceReportKind::Regions, region) else {
            panic!("{release}: regions")
        };
        assert_eq!((done.count, open), (0, 1), "{release}");
        let Ok(TraceReport::TaskTimelines { tasks, total, events_left }) =
            f.report_of(TraceReportKind::Tasks, TraceFilter::task("order"))
        else {
            panic!("{release}: tasks")
        };
        // Each order has a parcel.
        assert_eq!((total, tasks.len(), events_left), (150, 150, 0), "{release}");
        let t = &tasks[0];
        let said: Vec<&str> = t.events.iter().map(|e| e.what.as_str()).collect();
        for what in ["begins: order", "log id: 0", "region pay begins", "region ship begins", "ends"] {
            assert!(said.contains(&what), "{release}: no {what} in {said:?}");
        }
        assert_eq!((t.goroutines.len(), t.task.logs, t.task.regions), (2, 1, 2), "{release}");
        assert!(t.events.is_sorted_by_key(|e| e.at_ns));
        let Ok(TraceReport::TaskTimelines { tasks: one, .. }) =
            f.report_of(TraceReportKind::Tasks, TraceFilter::Task(t.task.id))
        else {
            panic!("{release}: tasks")
        };
        assert_eq!((one.len(), &one[0].events), (2, &t.events), "{release}");
        assert!(one.iter().any(|o| o.task.parent == Some(t.task.id) && o.task.name == "parcel"), "{release}");
        let Ok(TraceReport::Profile(p)) = f.report_of(TraceReportKind::Sched, TraceFilter::task("order")) else {
            panic!("{release}: a profile")
        };
        assert!(!p.values.is_empty(), "{release}");
        let e = f.report_of(TraceReportKind::Mutator, TraceFilter::Task(1)).unwrap_err();
        assert!(e.contains("mmu is not told for a task alone"), "{e}");
    }
    // What is no trace, or a damaged one.
    let (_, path) = fresh().last().unwrap();
    let broken = tmp("broken.trace");
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes.truncate(middle);
    fs::write(&broken, bytes).unwrap();
    assert!(common::oneshot::adit(&["timeline", arg(&broken)]).status.success());
    let (code, message) = common::oneshot::error(&["timeline", arg(&broken), "--strict"]);
    assert!(code == 5 && message.contains("byte "), "{code} {message}");
    assert!(common::oneshot::adit(&["timeline", arg(path), "--strict"]).status.success());
    let (code, message) = common::oneshot::error(&["timeline", "1", "--strict"]);
    assert!(code == 2 && message.contains("--strict is about execution traces"), "{code} {message}");
}

#[test]
fn marks_are_found_in_both_directions() {
    for (release, path) in fresh().iter().filter(|f| ["1.21.13", "1.27.3"].contains(&f.0.as_str())) {
        let mut f = opened(fs::read(path).unwrap());
        let (first, last) = f.extent();
        let mut walk = |text: &str, forward: bool, lane: LaneKind| {
            let mut q = MarkQuery { text: text.into(), lane, forward, ..MarkQuery::default() };
            q.from_ns = if forward { first - 1 } else { last + 1 };
            let mut all = Vec::new();
            loop {
                let found = f.find(&q);
                match (found.mark, found.go_on_ns) {
                    (Some(m), _) => {
                        assert!(if forward { m.at_ns > q.from_ns } else { m.at_ns < q.from_ns }, "{release}: {m:?}");
                        q.from_ns = m.at_ns;
                        all.push(m);
                    }
                    (None, Some(on)) => q.from_ns = on,
                    (None, None) => return all,
                }
                // Each one is looked for in its generation anew.
                if all.len() >= 100 {
                    return all;
                }
            }
        };
        let p = LaneKind::Proc(0);
        for (text, least, most) in [("pay", 75, 75), ("order", 75, 75), ("nothing", 0, 0)] {
            let (forward, mut back) = (walk(text, true, p), walk(text, false, p));
            back.reverse();
            assert!((least..=most).contains(&forward.len()), "{release}: {text}: {}", forward.len());
            assert_eq!(forward, back, "{release}: {text}");
        }
        assert_eq!(walk("main.locks.func1", true, p).len(), 100, "{release}");
        assert!(walk("g1", false, p).iter().all(|m| m.goroutine == Some(GoroutineId(1))), "{release}");
        // Without a text, from change to change of the lane.
        let gc = walk("", true, LaneKind::Collector);
        assert!(gc.len() > 3 && gc.iter().all(|m| m.lane == LaneKind::Collector), "{release}: {gc:?}");
    }
}
