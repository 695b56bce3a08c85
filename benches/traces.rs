//! How fast execution traces are read: `cargo bench --bench traces -- FILE`. Without a file there is nothing to measure.
//! Prints events, bytes and peak memory for: order alone, order and analysis, time to a first view, a view at full resolution.

use adit::base::GoroutineId;
use adit::model::{MarkQuery, TimelineQuery, TraceFilter, TraceReportKind};
use adit::trace::Source;
use adit::trace::exec::{Chunk, Mode, Reader};
use adit::trace::file::TraceFile;
use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or("");
    line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) >> 10
}

fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let f: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |i: usize| f.get(i).and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn main() {
    let Some(path) = std::env::args().skip(1).find(|a| !a.starts_with('-')) else {
        println!("traces: name a file");
        return;
    };
    let file = Arc::new(File::open(&path).expect("the trace"));
    let mb = file.metadata().expect("its length").len() as f64 / 1e6;
    let say = |what: &str, t: Duration, cpu: f64, more: &str| {
        let s = t.as_secs_f64();
        println!("{what:<24} {s:7.3} s  {cpu:6.2} s CPU  {:7.1} MB/s  peak {} MiB  {more}", mb / s, peak_mib());
    };

    let (t, c) = (Instant::now(), cpu());
    let mut reader = Reader::open(file.clone(), Mode::Strict).expect("a trace");
    let (mut chunk, mut events) = (Chunk::default(), 0);
    while reader.next(&mut chunk).expect("sound") {
        events += chunk.events.len();
    }
    say(
        "order",
        t.elapsed(),
        cpu() - c,
        &format!("{events} events, {:.1} M/s", events as f64 / 1e6 / t.elapsed().as_secs_f64()),
    );

    let (t, c) = (Instant::now(), cpu());
    let mut trace = TraceFile::open(file.clone()).expect("a trace");
    let query = TimelineQuery { columns: 100, ..TimelineQuery::default() };
    let mut first = None;
    while !trace.wait(Duration::from_millis(5)) {
        if first.is_none() && trace.view(&query).lanes.len() > 1 {
            first = Some(t.elapsed());
        }
    }
    say("order and analysis", t.elapsed(), cpu() - c, &format!("{} events", trace.summary().events));
    say("first view", first.unwrap_or(t.elapsed()), 0.0, "");
    let view = trace.view(&query);
    println!("{} lanes, {} wide, fault {:?}", view.lanes.len(), view.column_ns, view.problem);
    let (t, c) = (Instant::now(), cpu());
    let middle = view.extent.0 + (view.extent.1 - view.extent.0) / 2;
    let near = trace.view(&TimelineQuery { from_ns: Some(middle), span_ns: 10_000_000, ..query.clone() });
    say(
        "10 ms at full resolution",
        t.elapsed(),
        cpu() - c,
        &format!("column {} ns, {:?}", near.column_ns, near.problem),
    );
    let t = Instant::now();
    let spans = trace.spans(near.lanes[0].kind, middle, middle + 1_000_000, 1000);
    println!("{} spans of 1 ms in {:?}", spans.len(), t.elapsed());
    let (t, c) = (Instant::now(), cpu());
    let single = TimelineQuery { goroutines: vec![GoroutineId(1)], threads: true, ..query };
    while trace.view(&single).growing {
        std::thread::sleep(Duration::from_millis(20));
    }
    say("one goroutine over all", t.elapsed(), cpu() - c, "");
    for of in [TraceFilter::Region("ship".into()), TraceFilter::task("order")] {
        let (t, c) = (Instant::now(), cpu());
        let r = trace.report_of(of.own(), of.clone()).expect("a report");
        std::hint::black_box(&r);
        say(&of.to_string(), t.elapsed(), cpu() - c, "");
    }
    let (t, c) = (Instant::now(), cpu());
    let mut q = MarkQuery { text: "no such name".into(), from_ns: view.extent.0 - 1, ..MarkQuery::default() };
    while let Some(on) = trace.find(&q).go_on_ns {
        q.from_ns = on;
    }
    say("search for nothing", t.elapsed(), cpu() - c, "");
    let t = Instant::now();
    for (name, kind) in TraceReportKind::ALL {
        let r = trace.report(kind);
        std::hint::black_box(&r);
        println!("report {name}: {:?}", t.elapsed());
    }
}
