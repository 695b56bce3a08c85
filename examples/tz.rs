//! t
use adit::model::*;
use adit::trace::Source;
use std::sync::Arc;
fn main() {
    let f = Arc::new(std::fs::File::open(std::env::args().nth(1).unwrap()).unwrap());
    let mut t = adit::trace::file::TraceFile::open(f).unwrap();
    t.wait(std::time::Duration::from_secs(60));
    let v = t.view(&TimelineQuery { columns: 10, threads: true, ..Default::default() });
    for l in &v.lanes { println!("{:?} {} {:?}", l.kind, l.note, l.cells); }
    let mid = v.extent.0 + (v.extent.1 - v.extent.0) / 2;
    let v = t.view(&TimelineQuery { columns: 10, from_ns: Some(mid), span_ns: 1_000_000, goroutines: vec![adit::base::GoroutineId(1)], ..Default::default() });
    for l in &v.lanes { println!("{:?} {} {:?}", l.kind, l.note, l.cells); }
    for k in [LaneKind::Proc(0), LaneKind::Proc(1), LaneKind::Collector, LaneKind::Goroutine(adit::base::GoroutineId(1))] {
        let s = t.spans(k, mid, mid + 300_000, 5);
        println!("{k:?} {}", s.len());
        for s in &s { println!("   {:?} {:?} {:?} {:?} p{:?} m{:?} {} by {:?} {:?}", s.from_ns, s.to_ns, s.activity, s.goroutine, s.proc, s.thread, s.what, s.by, s.stack.first().map(|l| &l.function)); }
    }
}
