//! The timeline of a process: what looks without stopping say, beside what the runtime says of itself; conditions on the run; logs.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod common;
mod goprog;

use adit::backend::oncpu;
use adit::backend::protocol::*;
use adit::model::{
    Activity, Cells, LaneKind, MarkQuery, StopReason, TimelineQuery, TimelineSource, TraceReport, TraceReportKind,
    TriggerAction, TriggerSpec,
};
use common::oneshot::{arg, error, json};
use common::{DEFAULT, Debuggee, PATIENCE, first_of};
use goprog::build;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const STRIPPED: &[&str] = &["-ldflags=-s -w"];

/// A child that ends with its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(exe: &Path, args: &[&str], out: Stdio) -> Running {
    Running(Command::new(exe).args(args).stdout(out).stderr(Stdio::null()).spawn().expect("the program"))
}

/// `tests/programs/paced`, its own words going to a file.
struct Paced {
    child: Running,
    said: tempfile::NamedTempFile,
}

/// What the runtime said at one time: clock before and after, cycles, pauses, goroutines. On a full machine the two are far apart.
type Said = [i64; 5];

impl Paced {
    fn start(exe: &Path) -> Paced {
        let said = tempfile::NamedTempFile::new().unwrap();
        let child = start(exe, &["60"], said.reopen().unwrap().into());
        let p = Paced { child, said };
        let deadline = Instant::now() + PATIENCE;
        while p.words().len() < 3 {
            assert!(Instant::now() < deadline, "it says nothing");
            std::thread::sleep(Duration::from_millis(20));
        }
        p
    }
    fn pid(&self) -> String {
        self.child.0.id().to_string()
    }
    fn words(&self) -> Vec<Said> {
        let text = fs::read_to_string(self.said.path()).unwrap();
        let line = |l: &str| l.split(' ').map(|n| n.parse().unwrap()).collect::<Vec<i64>>().try_into().unwrap();
        text.lines().filter(|l| l.split(' ').count() == 5 && text.ends_with('\n')).map(line).collect()
    }
    /// Waits until it has said more.
    fn goes_on(&self) {
        let (before, deadline) = (self.words().len(), Instant::now() + PATIENCE);
        while self.words().len() < before + 10 {
            assert!(Instant::now() < deadline, "it does not go on");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    /// The last words before, and the first after a time.
    fn around(&self, ns: i64) -> (Said, Said) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let all = self.words();
            let (before, after) = (all.iter().rfind(|s| s[1] <= ns), all.iter().find(|s| s[0] >= ns));
            if let (Some(before), Some(after)) = (before, after) {
                return (*before, *after);
            }
            assert!(Instant::now() < deadline, "nothing was said after {ns}: {:?}", all.last());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn lane<'a>(v: &'a Value, kind: &str, id: Option<u64>) -> &'a Value {
    let all = v["lanes"].as_array().unwrap();
    let found = all.iter().find(|l| l["kind"] == kind && (id.is_none() || l["id"] == id.unwrap()));
    found.unwrap_or_else(|| panic!("no lane {kind} {id:?}"))
}

#[test]
fn looks_say_what_the_runtime_says_of_itself() {
    let matrix: [(&str, &[&str]); 7] = [
        ("go1.21.13", DEFAULT),
        ("go1.22.10", STRIPPED),
        ("go1.23.9", STRIPPED),
        ("go1.24.11", STRIPPED),
        ("go1.25.5", STRIPPED),
        ("", DEFAULT),
        ("go1.27.3", STRIPPED),
    ];
    for (tool, flags) in matrix {
        let what = format!("{tool} {flags:?}");
        let p = Paced::start(&build("paced", tool, flags));
        let v = json(&["timeline", &p.pid(), "--seconds", "2"]);
        assert_eq!((&v["source"], &v["rate"]), (&"sampled".into(), &100.into()), "{what}");
        let (from, to) = (v["start_ns"].as_i64().unwrap(), v["end_ns"].as_i64().unwrap());
        let ((a0, a1), (b0, b1)) = (p.around(from), p.around(to));
        let between = |n: i64, i: usize| {
            let (least, most) = (b0[i] - a1[i], b1[i] - a0[i]);
            assert!((least..=most).contains(&n), "{what}: {n} is not in {least}..={most} ({i})");
            assert!(most > 0, "{what}: nothing happened");
        };
        between(v["summary"]["gc_cycles"].as_i64().unwrap(), 2);
        between(v["summary"]["stw_ns"].as_i64().unwrap(), 3);
        let goroutines = lane(&v, "goroutines", None)["cells"].as_array().unwrap().iter().rev().find(|c| !c.is_null());
        assert_eq!(goroutines.unwrap()["last"].as_i64(), Some(b0[4]), "{what}");
        assert_eq!(v["summary"]["procs"], 2, "{what}");
        // A third of the time one goroutine is busy, on one P or the other; the rest is little. A loaded machine makes it more.
        let busy: f64 = (0..2).map(|p| lane(&v, "proc", Some(p))["busy"].as_f64().unwrap()).sum();
        assert!((0.2..1.6).contains(&busy), "{what}: {busy}");
        let marked =
            lane(&v, "gc", None)["cells"].as_array().unwrap().iter().filter(|c| c["activity"] == "marking").count();
        assert!(marked > 2, "{what}: {marked}");
        let heap = lane(&v, "heap", None)["cells"].as_array().unwrap();
        assert!(heap.iter().flatten_levels().all(|n| (64 << 10..1 << 30).contains(&n)), "{what}: {heap:?}");
    }
}

/// Amounts of the columns that are known.
trait Levels {
    fn flatten_levels(self) -> impl Iterator<Item = u64>;
}

impl<'a, I: Iterator<Item = &'a Value>> Levels for I {
    fn flatten_levels(self) -> impl Iterator<Item = u64> {
        self.filter(|c| !c.is_null()).map(|c| c["last"].as_u64().unwrap())
    }
}

fn when(d: &mut Debuggee, condition: &str, action: TriggerAction) -> Result<Reply, Failure> {
    d.call(Request::SetTrigger(TriggerSpec { condition: condition.into(), action }))
}

#[test]
fn a_condition_stops_the_program_and_it_goes_on_unharmed() {
    let p = Paced::start(&build("paced", "", DEFAULT));
    let mut d = Debuggee::attach(p.child.0.id() as i32);
    let Ok(Reply::Triggers(set)) = when(&mut d, "gc.pause > 1ns", TriggerAction::Stop) else { panic!("not set") };
    assert_eq!(set.len(), 1);
    let stop = d.wait_stop().expect("it stops");
    let StopReason::Condition(said) = &stop.reason else { panic!("{:?}", stop.reason) };
    assert!(said.starts_with("gc.pause > 1ns (gc.pause was "), "{said}");
    // While it stands nothing is looked at; afterwards our own stop is in the picture.
    std::thread::sleep(Duration::from_millis(300));
    d.call(Request::Resume { kind: ResumeKind::Continue, goroutine: None }).unwrap();
    p.goes_on();
    let q = TimelineQuery { columns: 50, ..TimelineQuery::default() };
    let Ok(Reply::Timeline(v)) = d.call(Request::Timeline(q)) else { panic!("no timeline") };
    assert!(v.lanes.iter().any(|l| l.kind == LaneKind::OurStops));
    let (from_ns, to_ns) = v.extent;
    let Ok(Reply::Spans(ours)) =
        d.call(Request::Spans { lane: LaneKind::OurStops, from_ns, to_ns, count: 9, source: None })
    else {
        panic!("no spans")
    };
    assert_eq!(ours.len(), 1, "a condition fires once");
    let stood = ours[0].to_ns.unwrap() - ours[0].from_ns;
    assert!(stood >= 300_000_000, "{stood}");
    assert!(d.stop.is_some() && d.exited.is_none());
    d.call(Request::Detach { kill: false }).unwrap();
}

#[test]
fn a_condition_copies_a_program_that_is_only_looked_at() {
    let p = Paced::start(&build("paced", "", DEFAULT));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("copy");
    let spec = TargetSpec::Attach { pid: p.child.0.id() as i32, exe: None, control: false };
    let mut d = Debuggee::open(spec).unwrap();
    // Nothing is stopped here, whatever somebody asks for.
    assert!(when(&mut d, "goroutines > 5", TriggerAction::Stop).is_err_and(|f| f.message.contains("observe mode")));
    let e = when(&mut d, "threads > 5", TriggerAction::Snapshot(file.clone())).unwrap_err();
    assert!(e.kind == FailureKind::BadRequest && e.message.contains("gc.pause"), "{e}");
    when(&mut d, "goroutines > 1000", TriggerAction::Snapshot(dir.path().join("never"))).unwrap();
    when(&mut d, "goroutines > 5", TriggerAction::Snapshot(file.clone())).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let fired = loop {
        let Ok(Reply::Triggers(all)) = d.call(Request::ClearTrigger { condition: "nothing".into() }) else { panic!() };
        if let Some(t) = all.iter().find(|t| t.fired.is_some()) {
            break t.clone();
        }
        assert!(Instant::now() < deadline, "it does not fire");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(fired.spec.condition == "goroutines > 5" && fired.fired.unwrap().contains("goroutines was "));
    // The file is whole once it says so; it is renamed into place.
    while !file.exists() || json_count(&file).is_none() {
        d.notice_within(Duration::ZERO);
        assert!(Instant::now() < deadline, "no copy: {:?}", d.logs);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(json_count(&file).unwrap() > 20);
    assert!(!dir.path().join("never").exists());
    p.goes_on();
}

/// Goroutines in a snapshot that is complete.
fn json_count(file: &Path) -> Option<u64> {
    let out = common::oneshot::adit(&["goroutines", arg(file), "--json"]);
    serde_json::from_slice::<Value>(&out.stdout).ok()?["count"].as_u64()
}

#[test]
fn a_log_with_collector_and_scheduler_lines_is_a_timeline() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("stderr");
    for (tool, detail) in [("go1.21.13", 0), ("", 1), ("go1.27.3", 0)] {
        let exe = build("paced", tool, DEFAULT);
        let out = Command::new(exe)
            .arg("1")
            .env("GODEBUG", format!("gctrace=1,schedtrace=100,scheddetail={detail}"))
            .stdout(Stdio::null())
            .output()
            .unwrap();
        fs::write(&log, &out.stderr).unwrap();
        let text = String::from_utf8_lossy(&out.stderr);
        let lines = |p: &str| text.lines().filter(|l| l.starts_with(p)).count() as u64;
        let v = json(&["timeline", arg(&log)]);
        assert_eq!(v["source"], "text", "{tool}: {v}");
        assert!(lines("gc ") > 3 && v["lost"].as_u64().unwrap() <= 3, "{tool}: {v}");
        // The runtime writes a line in pieces, so one of the other kind may come in between: such a line is left out, others are not.
        let kinds = &v["summary"]["by_kind"];
        for (kind, written) in [("gc", lines("gc ")), ("sched", lines("SCHED "))] {
            let read = kinds[kind].as_u64().unwrap();
            assert!(read <= written + 3 && read + 3 >= written, "{tool} {kind}: {read} of {written}");
        }
        assert_eq!(v["summary"]["procs"], 2, "{tool}");
        assert_eq!(lane(&v, "gc", None)["cells"].as_array().unwrap().len(), 100);
        if detail == 1 {
            assert!(v["summary"]["goroutines"].as_u64().unwrap() > 20);
            lane(&v, "proc", Some(1));
        }
    }
}

#[test]
fn lines_of_a_program_launched_here_are_a_second_source() {
    let spec = LaunchSpec {
        exe: build("paced", "", DEFAULT),
        args: vec!["20".into()],
        env: vec![("GODEBUG".into(), "gctrace=1".into())],
        size: (200, 24),
        ..LaunchSpec::default()
    };
    let mut d = Debuggee::open(TargetSpec::Launch(spec)).unwrap();
    d.call(Request::Resume { kind: ResumeKind::Continue, goroutine: None }).unwrap();
    let q = TimelineQuery { columns: 50, source: Some(TimelineSource::Text), ..TimelineQuery::default() };
    let deadline = Instant::now() + PATIENCE;
    let (text, looks) = loop {
        let (Ok(Reply::Timeline(text)), Ok(Reply::Timeline(looks))) = (
            d.call(Request::Timeline(q.clone())),
            d.call(Request::Timeline(TimelineQuery { source: Some(TimelineSource::Sampled), ..q.clone() })),
        ) else {
            panic!("no timeline")
        };
        let cycles = |v: &adit::model::TimelineView| v.extent.1 - v.extent.0;
        if text.source == TimelineSource::Text && cycles(&text) > 1_000_000_000 && cycles(&looks) > 1_000_000_000 {
            break (text, looks);
        }
        assert!(Instant::now() < deadline, "no lines");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(
        (looks.source, &looks.others, &text.others),
        (TimelineSource::Sampled, &vec![TimelineSource::Text], &vec![TimelineSource::Sampled])
    );
    // Over each other: mark phases are the lines' word as far as they reach, Ps the looks'. Which clock the lines count from is tied by cycles that both saw.
    let both = TimelineQuery { source: None, span_ns: 1_000_000_000, ..q };
    let Ok(Reply::Timeline(v)) = d.call(Request::Timeline(both)) else { panic!("no timeline") };
    assert_eq!((v.source, &v.over, &v.others), (TimelineSource::Sampled, &vec![TimelineSource::Text], &vec![]));
    let of = |kind| v.lanes.iter().find(|l| l.kind == kind).unwrap();
    assert!(
        of(LaneKind::Collector).sources.iter().any(|s| s.1 == TimelineSource::Text),
        "{:?}",
        of(LaneKind::Collector)
    );
    assert!(
        of(LaneKind::Proc(0)).sources.iter().all(|s| s.1 == TimelineSource::Sampled),
        "{:?}",
        of(LaneKind::Proc(0))
    );
    // One clock: a cycle that the looks saw begin and end lies where the line says, give or take two looks.
    let (from_ns, to_ns) = (looks.extent.0 + 200_000_000, looks.extent.1 - 200_000_000);
    let spans = |d: &mut Debuggee, source| match d.call(Request::Spans {
        lane: LaneKind::Collector,
        from_ns,
        to_ns,
        count: 1_000,
        source,
    }) {
        Ok(Reply::Spans(s)) => s.into_iter().filter(|s| s.activity == Activity::Marking).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let (said, seen) = (spans(&mut d, Some(TimelineSource::Text)), spans(&mut d, None));
    assert!(said.len() > 2 && seen.len() > 2, "{} {}", said.len(), seen.len());
    let near = |s: &adit::model::Span| said.iter().any(|t| (t.from_ns - s.from_ns).abs() < 25_000_000);
    assert!(seen.iter().filter(|s| near(s)).count() * 10 >= seen.len() * 8, "{seen:?} {said:?}");
    d.call(Request::Detach { kill: true }).unwrap();
}

#[test]
fn what_has_no_timeline_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let dump = dir.path().join("dump");
    fs::write(&dump, "goroutine 1 [running]:\nmain.main()\n\t/src/main.go:3 +0x1d\n").unwrap();
    for target in [arg(&dump), "1", "99999999", arg(dir.path())] {
        let (code, message) = error(&["timeline", target]);
        assert!(code == 5 || code == 2, "{target}: {code} {message}");
    }
    let (_, message) = error(&["timeline", arg(&dump)]);
    assert!(message.contains("goroutine dump"), "{message}");
}

#[test]
fn perf_events_say_which_code_runs() {
    let p = Paced::start(&build("paced", "", STRIPPED));
    let mut d = Debuggee::open(TargetSpec::Attach { pid: p.child.0.id() as i32, exe: None, control: false }).unwrap();
    let profile = match oncpu::fetch(&format!("perf://{}?seconds=2&hz=200", p.pid())) {
        Ok(p) => p,
        Err(f) if f.message.contains("perf events are forbidden") => return eprintln!("skipped: {}", f.message),
        Err(f) => panic!("{f}"),
    };
    let total: i64 = profile.values.iter().step_by(2).sum();
    // A third of one processor for two seconds; less where others are at work.
    assert!((30..600).contains(&total), "{total}");
    let mut begin = 0;
    let (mut busy, mut own) = (0, 0);
    for (i, end) in profile.ends.iter().enumerate() {
        let stack = &profile.stacks[begin as usize..*end as usize];
        begin = *end;
        let names: Vec<&str> =
            stack.iter().map(|f| &*profile.functions[profile.frames[*f as usize].function as usize].name).collect();
        if names.contains(&"main.busy") {
            busy += profile.values[i * 2];
            assert!(names.contains(&"main.main.func2"), "{names:?}");
        }
        own += if names.last().is_some_and(|n| n.starts_with('[')) { profile.values[i * 2] } else { 0 };
    }
    assert!(busy * 3 > total, "{busy} of {total}");
    assert!(own > 0, "nothing of the runtime's own in {total} samples");
    // The same fills the lanes of Ps, while somebody wants it.
    d.call(Request::TimelineCode { on: true }).unwrap();
    std::thread::sleep(Duration::from_millis(1_500));
    let mut names = Vec::new();
    for p in 0..2 {
        let all = Request::Spans { lane: LaneKind::Proc(p), from_ns: 0, to_ns: i64::MAX, count: 10_000, source: None };
        let Ok(Reply::Spans(spans)) = d.call(all) else { panic!("no spans") };
        names.extend(spans.into_iter().flat_map(|s| s.stack).map(|l| l.function));
    }
    assert!(names.iter().any(|n| n == "main.busy"), "{names:?}");
    // Each column of a P says which function it was, and each thread when the kernel let it run.
    let q = TimelineQuery { columns: 60, threads: true, ..TimelineQuery::default() };
    let Ok(Reply::Timeline(v)) = d.call(Request::Timeline(q.clone())) else { panic!("no timeline") };
    let busy = v.functions.iter().position(|f| f == "main.busy").map(|n| n as u16);
    let cells = |kind: LaneKind| match &v.lanes.iter().find(|l| l.kind == kind).unwrap().cells {
        Cells::States(c) => c.clone(),
        Cells::Levels(_) => panic!("states"),
    };
    let filled: usize = (0..2).map(|p| cells(LaneKind::Proc(p)).iter().filter(|c| c.function == busy).count()).sum();
    assert!(busy.is_some() && filled > 5, "{filled} columns of {busy:?}: {:?}", v.functions);
    let cpus: Vec<_> = v.lanes.iter().filter(|l| matches!(l.kind, LaneKind::Cpu(_))).collect();
    assert!(!cpus.is_empty() && cpus.iter().all(|l| l.source(59) == Some(TimelineSource::Perf)), "{cpus:?}");
    let switches = v.lanes.iter().find(|l| l.kind == LaneKind::Switches).expect("switches a second");
    assert!(matches!(&switches.cells, Cells::Levels(l) if l.iter().flatten().any(|l| l.max > 10)), "{switches:?}");
    let mut ran = 0;
    for lane in cpus.iter().map(|l| l.kind) {
        let all = Request::Spans { lane, from_ns: 0, to_ns: i64::MAX, count: 10_000, source: None };
        let Ok(Reply::Spans(spans)) = d.call(all) else { panic!("no spans") };
        assert!(spans.windows(2).all(|w| w[0].to_ns == Some(w[1].from_ns)), "{lane:?}: {spans:?}");
        let on = spans.iter().filter(|s| s.activity == Activity::Running);
        ran += on.map(|s| s.to_ns.unwrap_or(s.from_ns) - s.from_ns).sum::<i64>();
    }
    // A third of a processor is asked for, and there are two.
    assert!((200_000_000..4_000_000_000).contains(&ran), "{ran}");
    d.call(Request::TimelineCode { on: false }).unwrap();
    // Without perf events the kernel's sums say it, coarser.
    std::thread::sleep(Duration::from_millis(500));
    let Ok(Reply::Timeline(v)) = d.call(Request::Timeline(q)) else { panic!("no timeline") };
    assert!(v.lanes.iter().any(|l| matches!(l.kind, LaneKind::Cpu(_)) && l.source(59) == Some(TimelineSource::Kernel)));
}

/// Opens a file and asks for its timeline between two times, once it is read.
fn of_file(file: &Path, from: i64, to: i64) -> (Debuggee, adit::model::TimelineView) {
    let mut d = Debuggee::open(TargetSpec::File { path: file.into(), exe: None }).unwrap();
    let span_ns = (to - from).cast_unsigned();
    let q = TimelineQuery { from_ns: Some(from), span_ns, columns: 200, ..TimelineQuery::default() };
    let deadline = Instant::now() + PATIENCE;
    loop {
        let Ok(Reply::Timeline(v)) = d.call(Request::Timeline(q.clone())) else { panic!("no timeline") };
        if !v.growing {
            return (d, *v);
        }
        assert!(Instant::now() < deadline, "it is never read to its end");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn looks_agree_with_a_trace_of_the_same_seconds() {
    for tool in ["", "go1.23.9"] {
        // Looks are taken when the machine lets us: where others want all of it, they miss what ran meanwhile.
        common::measured(3, || agreement_of_looks(&build("traffic", tool, DEFAULT)));
    }
}

/// Compares looks with the trace of a run; an error is a figure that is off.
fn agreement_of_looks(exe: &Path) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace");
    let mut p = start(exe, &["7", arg(&trace)], Stdio::null());
    let deadline = Instant::now() + PATIENCE;
    while !trace.exists() {
        assert!(Instant::now() < deadline, "no trace begins");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(300));
    let v = json(&["timeline", &p.0.id().to_string(), "--seconds", "4"]);
    assert!(p.0.wait().unwrap().success());
    let (from, to) = (v["start_ns"].as_i64().unwrap(), v["end_ns"].as_i64().unwrap());
    let (mut d, t) = of_file(&trace, from, to);
    assert!(t.extent.0 < from && t.extent.1 > to, "{:?} does not hold {from}..{to}", t.extent);
    let mut off = Vec::new();
    for proc in 0..2 {
        let sampled = lane(&v, "proc", Some(proc))["busy"].as_f64().unwrap();
        let traced = t.lanes.iter().find(|l| l.kind == LaneKind::Proc(proc as u32)).unwrap();
        let traced = adit::session::lanes::busy(traced).unwrap();
        if (sampled - traced).abs() >= 0.05 {
            off.push(format!("P{proc}: sampled {sampled:.3}, traced {traced:.3}"));
        }
        eprintln!("P{proc}: sampled {sampled:.3}, traced {traced:.3}");
    }
    let Ok(Reply::Spans(marks)) =
        d.call(Request::Spans { lane: LaneKind::Collector, from_ns: from, to_ns: to, count: 10_000, source: None })
    else {
        panic!("no spans")
    };
    let marking = marks.iter().filter(|s| s.activity == Activity::Marking);
    let ended = marking.filter(|s| s.to_ns.is_some_and(|t| (from..to).contains(&t))).count() as i64;
    let seen = v["summary"]["gc_cycles"].as_i64().unwrap();
    // One can end between the last event and the last look.
    assert!(ended > 3 && (seen - ended).abs() <= 1, "{seen} seen, {ended} traced");
    let goroutines = |l: &Value| l["cells"].as_array().unwrap().iter().flatten_levels().max().unwrap();
    assert!(goroutines(lane(&v, "goroutines", None)) > 5);
    if off.is_empty() { Ok(()) } else { Err(off.join("; ")) }
}

#[test]
fn differences_of_traces_name_what_became_worse() {
    let dir = tempfile::tempdir().unwrap();
    let exe = build("traffic", "", DEFAULT);
    let taken = |name: &str, hold: &str| {
        let file = dir.path().join(name);
        let mut c = Command::new(&exe);
        let ok = c.args(["4", arg(&file)]).env("HOLD", hold).stdout(Stdio::null()).status().unwrap();
        assert!(ok.success());
        file.to_str().unwrap().to_string()
    };
    let (before, after) = (taken("before", "0"), taken("after", "2000000"));
    // Clients wait for answers longer, too; of the locks it is the one in the handler.
    for (word, kind, focus) in [("#sync", "delay", "Mutex"), ("", "blocked", "net/http")] {
        let (new, old) = (format!("{after}{word}"), format!("{before}{word}"));
        let out = common::oneshot::adit(&[
            "prof",
            &new,
            "--diff",
            &old,
            "--type",
            kind,
            "--focus",
            focus,
            "--min-samples",
            "20",
            "--json",
        ]);
        let v: Value = serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {out:?}"));
        if word == "#sync" {
            assert_eq!(out.status.code(), Some(1), "{v}");
            assert_eq!(v["verdict"]["worse"][0]["function"], "main.handle", "{}", v["verdict"]);
        } else {
            assert!(
                v["functions"].as_array().unwrap().iter().any(|f| f["function"] == "net/http.(*conn).serve"),
                "{v}"
            );
        }
    }
    // The same against itself is the same.
    let new = format!("{before}#sync");
    let out = common::oneshot::adit(&["prof", &new, "--diff", &new, "--json"]);
    assert_eq!(out.status.code(), Some(0));
}

/// Records three seconds; what is shown of them in the end, if some of it was shown before.
fn recorded(d: &mut Debuggee, q: &TimelineQuery) -> Result<adit::model::TimelineView, String> {
    d.call(Request::Record { seconds: 3 }).unwrap();
    let (begun, mut views) = (Instant::now(), Vec::new());
    let v = loop {
        let Ok(Reply::Timeline(v)) = d.call(Request::Timeline(q.clone())) else { panic!("no timeline") };
        if v.source == TimelineSource::Trace {
            views.push((begun.elapsed(), v.growing, v.extent.1 - v.extent.0));
            if !v.growing && v.extent.1 - v.extent.0 > 2_000_000_000 {
                break v;
            }
        }
        assert!(begun.elapsed() < PATIENCE, "no trace: {v:?} {:?}", d.logs);
        std::thread::sleep(Duration::from_millis(50));
    };
    let early = views.iter().filter(|v| v.1).count();
    if early > 1 { Ok(*v) } else { Err(format!("it is not shown before its end: {views:?} {:?}", d.logs)) }
}

#[test]
fn a_trace_is_taken_through_the_programs_own_handler() {
    let p = start(&build("traffic", "", DEFAULT), &["60"], Stdio::null());
    let pid = p.0.id() as i32;
    std::thread::sleep(Duration::from_millis(500));
    let mut d = Debuggee::open(TargetSpec::Attach { pid, exe: None, control: false }).unwrap();
    let q = TimelineQuery { columns: 50, source: Some(TimelineSource::Trace), ..TimelineQuery::default() };
    let v = first_of(3, || recorded(&mut d, &q));
    assert!(v.others.contains(&TimelineSource::Sampled) && v.problem.is_none(), "{v:?}");
    // One clock with the looks made meanwhile.
    let only = TimelineQuery { source: Some(TimelineSource::Sampled), ..q.clone() };
    let Ok(Reply::Timeline(looks)) = d.call(Request::Timeline(only)) else { panic!() };
    assert!(looks.source == TimelineSource::Sampled && looks.others == [TimelineSource::Trace]);
    assert!(looks.extent.0 < v.extent.1 && looks.extent.1 > v.extent.0);
    // Over each other: the trace's word where it reaches, the looks' before and behind; the same columns as the trace alone has.
    // Behind it there must be some: several columns.
    std::thread::sleep(Duration::from_millis(500));
    let whole = TimelineQuery { source: None, threads: true, ..q.clone() };
    let Ok(Reply::Timeline(both)) = d.call(Request::Timeline(whole)) else { panic!() };
    assert_eq!(
        (both.source, &both.over, &both.others),
        (TimelineSource::Sampled, &vec![TimelineSource::Trace], &vec![])
    );
    let length = both.column_ns * 50;
    let same = TimelineQuery { from_ns: Some(both.from_ns), span_ns: length, threads: true, ..q.clone() };
    let Ok(Reply::Timeline(alone)) = d.call(Request::Timeline(same)) else { panic!() };
    for kind in [LaneKind::Proc(0), LaneKind::Proc(1), LaneKind::Collector] {
        let lane = |v: &adit::model::TimelineView| v.lanes.iter().find(|l| l.kind == kind).unwrap().clone();
        let (b, a) = (lane(&both), lane(&alone));
        let (Cells::States(cb), Cells::States(ca)) = (&b.cells, &a.cells) else { panic!("states") };
        let traced: Vec<usize> = (0..50).filter(|i| b.source(*i) == Some(TimelineSource::Trace)).collect();
        assert!(traced.len() > 10 && traced.len() < 50, "{kind:?}: {:?}", b.sources);
        assert!(traced.iter().all(|i| cb[*i] == ca[*i]), "{kind:?}");
        assert!(b.source(49) == Some(TimelineSource::Sampled) && cb[49].is_known() && !ca[49].is_known(), "{kind:?}");
    }
    // Threads of the trace are those of the process.
    let threads = |v: &adit::model::TimelineView| {
        v.lanes
            .iter()
            .filter_map(|l| match l.kind {
                LaneKind::Thread(t) => Some(t),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    let (of_both, of_trace) = (threads(&both), threads(&alone));
    assert!(of_trace.len() > 1 && of_trace.iter().all(|t| of_both.contains(t)), "{of_both:?} {of_trace:?}");
    let overview = both.overview.as_ref().expect("the whole");
    assert!(overview.busy.iter().flatten().any(|b| *b > 0), "{overview:?}");
    // What is searched for is found in one and the other.
    let find = |d: &mut Debuggee, text: &str, from_ns, forward| {
        let q = MarkQuery { text: text.into(), from_ns, forward, ..MarkQuery::default() };
        match d.call(Request::FindMark(q)) {
            Ok(Reply::Found(f)) => f.mark,
            other => panic!("{other:?}"),
        }
    };
    let m = find(&mut d, "main.handle", v.extent.0, true).expect("a handler waits, or makes another runnable");
    assert!(m.what.contains("main.handle") && m.at_ns < v.extent.1, "{m:?}");
    let before = find(&mut d, "main.handle", v.extent.1 - 1_000_000, false).expect("and once more");
    assert!(before.at_ns > m.at_ns, "{m:?} {before:?}");
    let gc = find(&mut d, "mark phase", v.extent.1, true).expect("a later cycle, from looks");
    assert!(gc.at_ns > v.extent.1 && gc.lane == LaneKind::Collector, "{gc:?}");
    let Ok(Reply::TraceReport(r)) = d.call(Request::TraceReport(TraceReportKind::Functions)) else {
        panic!("no report")
    };
    let TraceReport::Functions(rows) = *r else { panic!("functions") };
    assert!(rows.iter().any(|r| r.function.starts_with("net/http.(*conn).serve")), "{rows:?}");
    // A goroutine of the trace is one of the process, whichever P it ran on.
    let mut spans = Vec::new();
    for p in 0..4 {
        let lane = LaneKind::Proc(p);
        let (from_ns, to_ns, source) = (v.extent.0, v.extent.1, Some(TimelineSource::Trace));
        if let Ok(Reply::Spans(s)) = d.call(Request::Spans { lane, from_ns, to_ns, count: 2_000, source }) {
            spans.extend(s);
        }
    }
    let mut ids: Vec<_> = spans.iter().filter_map(|s| s.goroutine).collect();
    ids.sort();
    ids.dedup();
    let Ok(Reply::Goroutines { rows, .. }) = d.call(Request::GoroutinesById { ids: ids.clone() }) else { panic!() };
    // Its clients are there as long as it is.
    assert!(
        rows.iter().any(|r| ids.contains(&r.id) && r.entry.as_ref().is_some_and(|e| e.function == "main.main.func1")),
        "{rows:?}"
    );
    drop(p);
}

#[test]
fn a_trace_that_the_program_wrote_lies_over_what_is_seen_now() {
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace");
    let p = start(&build("traffic", "", DEFAULT), &["8", arg(&trace)], Stdio::null());
    let mut d = Debuggee::open(TargetSpec::Attach { pid: p.0.id() as i32, exe: None, control: false }).unwrap();
    let over = |d: &mut Debuggee, file: &Path| d.call(Request::TraceOver { file: file.into() });
    // Looks begin; the trace begins a second after the program.
    let q = TimelineQuery { columns: 80, ..TimelineQuery::default() };
    d.call(Request::Timeline(q.clone())).unwrap();
    std::thread::sleep(Duration::from_secs(4));
    // Not yet whole: what is there is taken, up to now.
    over(&mut d, &trace).unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let Ok(Reply::Timeline(v)) = d.call(Request::Timeline(q.clone())) else { panic!("no timeline") };
        let lane = v.lanes.iter().find(|l| l.kind == LaneKind::Proc(0)).unwrap();
        let from: Vec<TimelineSource> = (0..80).filter_map(|i| lane.source(i)).collect();
        let traced = from.iter().filter(|s| **s == TimelineSource::Trace).count();
        if traced > 20 && from[79] == TimelineSource::Sampled {
            break;
        }
        assert!(Instant::now() < deadline, "{from:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    // What is no trace.
    assert!(over(&mut d, &dir.path().join("none")).is_err_and(|f| f.message.contains("No such file")));
    fs::write(dir.path().join("none"), b"go 1.21 trac").unwrap();
    assert!(over(&mut d, &dir.path().join("none")).is_err_and(|f| f.fix.is_some_and(|f| f.contains("runtime/trace"))));
}

#[test]
fn a_program_without_a_handler_says_how_to_get_a_trace() {
    let p = Paced::start(&build("paced", "", DEFAULT));
    let mut d = Debuggee::open(TargetSpec::Attach { pid: p.child.0.id() as i32, exe: None, control: false }).unwrap();
    d.call(Request::Record { seconds: 1 }).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let said = loop {
        assert!(Instant::now() < deadline, "nothing is said");
        // It may come before the reply to the request.
        if let Some(text) = d.logs.iter().find(|t| t.starts_with("no trace: ")) {
            break text.clone();
        }
        d.call(Request::Threads).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(said.contains("net/http/pprof") && !said.contains('\n'), "{said}");
    assert!(
        d.call(Request::TraceReport(TraceReportKind::Sync)).is_err_and(|f| f.message.contains("no execution trace"))
    );
}
