//! A timeline that never changes: two Ps, a collector cycle every second, a heap like a saw.

use adit::base::GoroutineId;
use adit::model::*;

const SECOND: i64 = 1_000_000_000;

/// What a look at this shop's scheduler shows.
pub fn view(q: &TimelineQuery) -> TimelineView {
    let columns = usize::from(q.columns);
    let column_ns = (if q.span_ns == 0 { 10 * SECOND as u64 } else { q.span_ns }) / u64::from(q.columns.max(1));
    let from_ns = q.from_ns.unwrap_or(40 * SECOND);
    let at = |i: usize| from_ns + i as i64 * column_ns as i64;
    let proc = |p: u32| {
        let cell = |i: usize| {
            let marking = at(i) % SECOND < SECOND / 8;
            let busy = if marking { 255 } else { ((i as u32 * 37 + p * 91) % 300).min(255) as u8 };
            let activity = match busy {
                _ if marking && p == 0 => Activity::Marking,
                0..60 => Activity::Idle,
                _ if i % 23 == 7 => Activity::Syscall,
                _ => Activity::Running,
            };
            let goroutine = (activity != Activity::Idle).then_some(GoroutineId(19 + u64::from(p)));
            Cell {
                activity,
                busy: if activity == Activity::Idle { 0 } else { busy },
                goroutine,
                changes: 1 + i as u32 % 3,
                function: (q.threads && busy > 80).then_some(u16::from(i % 17 > 8)),
            }
        };
        let whole = Lane::new(LaneKind::Proc(p), Cells::States((0..columns).map(cell).collect()), String::new());
        // With threads somebody takes a trace, which is read to the middle.
        let sources = vec![(0, TimelineSource::Trace), (q.columns / 2, TimelineSource::Sampled)];
        Lane { sources: if q.threads { sources } else { Vec::new() }, ..whole }
    };
    let states = |kind, note: &str, on: Activity, long: i64| {
        let cell = |i: usize| {
            let activity = if at(i) % SECOND < long { on } else { Activity::Idle };
            Cell { activity, busy: if activity == on { 255 } else { 0 }, changes: 1, ..Cell::default() }
        };
        Lane::new(kind, Cells::States((0..columns).map(cell).collect()), note.into())
    };
    let levels = |kind, f: &dyn Fn(i64) -> u64| {
        let level = |i: usize| {
            let n = f(at(i));
            Some(Level { min: n, max: n, last: n })
        };
        Lane::new(kind, Cells::Levels((0..columns).map(level).collect()), String::new())
    };
    let mut lanes = vec![proc(0), proc(1)];
    if q.threads {
        for tid in [77, 79] {
            lanes.push(states(LaneKind::Thread(tid), "", Activity::Running, SECOND / 2));
            let cpu = states(LaneKind::Cpu(tid), "", Activity::Runnable, SECOND / 3);
            lanes.push(Lane { sources: vec![(0, TimelineSource::Kernel)], ..cpu });
        }
    }
    for g in &q.goroutines {
        lanes.push(states(LaneKind::Goroutine(*g), "", Activity::Runnable, SECOND / 3));
    }
    lanes.push(states(LaneKind::Collector, "every 1.0 s", Activity::Marking, SECOND / 8));
    lanes.push(states(LaneKind::StopTheWorld, "max 0.4 ms", Activity::Stopped, SECOND / 50));
    lanes.push(levels(LaneKind::Heap, &|t| (391 << 20) + (t % SECOND) as u64 / 3));
    lanes.push(levels(LaneKind::HeapGoal, &|_| 824 << 20));
    lanes.push(levels(LaneKind::Goroutines, &|t| 1_890 + (t / SECOND) as u64));
    lanes.push(levels(LaneKind::RunQueue, &|t| (t / 100_000_000 % 12) as u64));
    TimelineView {
        source: TimelineSource::Sampled,
        from_ns,
        column_ns,
        extent: (30 * SECOND, from_ns + 9 * SECOND),
        lanes,
        growing: true,
        lost: 2,
        unseen: 91,
        rate: 100,
        problem: None,
        over: if q.threads { vec![TimelineSource::Trace] } else { Vec::new() },
        others: Vec::new(),
        functions: if q.threads { vec!["main.handle".into(), "encoding/json.Marshal".into()] } else { Vec::new() },
        overview: Some(overview(q)),
        wall_ns: Some(43_470 * SECOND),
    }
}

/// The whole run: a quarter is still to come.
fn overview(q: &TimelineQuery) -> Overview {
    let column = |i: u16| (i < q.columns / 4 * 3).then_some((i * 13 % 256) as u8);
    let band = |i: u16| if i < q.columns / 4 * 3 { [i % 3, i % 2, 0, 1, i % 4] } else { [0; BANDS] };
    Overview {
        from_ns: 30 * SECOND,
        column_ns: 1 << 28,
        busy: (0..q.columns).map(column).collect(),
        bands: if q.heat { (0..q.columns).map(band).collect() } else { Vec::new() },
    }
}

/// What happened in a lane around a moment.
pub fn spans(lane: LaneKind, from_ns: i64) -> Vec<Span> {
    let span = |i: i64| Span {
        lane,
        from_ns: from_ns + i * 40_000_000,
        to_ns: (i < 4).then_some(from_ns + (i + 1) * 40_000_000),
        activity: if i % 2 == 0 { Activity::Running } else { Activity::Idle },
        goroutine: (i % 2 == 0).then_some(GoroutineId(19)),
        proc: None,
        thread: None,
        what: String::new(),
        stack: Vec::new(),
        by: None,
    };
    (0..5).map(span).collect()
}

/// Two marks, 45 s in and a second later; the search goes on once on its way to the first.
pub fn find(q: &MarkQuery) -> Found {
    let mark = |at_ns, what: &str| Mark { lane: LaneKind::Proc(1), at_ns, what: what.into(), goroutine: None };
    match (q.text.as_str(), q.forward) {
        ("parse", false) if q.from_ns > 48 * SECOND => Found { mark: None, go_on_ns: Some(48 * SECOND) },
        ("parse", false) => Found { mark: Some(mark(45 * SECOND + 5, "region parse")), go_on_ns: None },
        ("parse", true) if q.from_ns == 45 * SECOND + 5 => {
            Found { mark: Some(mark(46 * SECOND, "task parse of 2")), go_on_ns: None }
        }
        _ => Found::default(),
    }
}
