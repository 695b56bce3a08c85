//! `adit timeline`.

use super::{Style, exit, json, text, trace, unexpected, write_failure};
use crate::backend::client::Client;
use crate::backend::protocol::{Failure, Reply, Request};
use crate::model::{
    Activity, Cells, Lane, LaneKind, TargetInfo, TargetKind, TimelineQuery, TimelineSummary, TimelineView, TraceFilter,
    TraceReport, TraceReportKind,
};
use crate::session::lanes;
use std::io::Write;
use std::time::{Duration, Instant};

/// What to show, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimelineOf {
    /// How long to look at a process, milliseconds.
    pub millis: u64,
    /// Columns.
    pub columns: u16,
    /// Lanes of threads, too.
    pub threads: bool,
    /// Which code ran, too (processes).
    pub code: bool,
    /// Characters of ASCII only.
    pub ascii: bool,
    /// A report, besides (traces).
    pub by: Option<TraceReportKind>,
    /// The part of the trace that the report is about.
    pub of: Option<TraceFilter>,
    /// Text or JSON.
    pub style: Style,
}

/// Between two questions whether a file is read.
const POLL: Duration = Duration::from_millis(50);

/// Looks for a while (a process) or reads all (a file), and prints it.
pub fn timeline(
    client: &mut Client,
    target: &TargetInfo,
    args: &TimelineOf,
    out: &mut dyn Write,
) -> Result<u8, Failure> {
    let (view, summary) = fetch(client, target, args)?;
    let by = args.by.or(args.of.as_ref().map(TraceFilter::own));
    let report = by.map(|kind| fetch_report(client, kind, args.of.clone())).transpose()?;
    let mut b = Vec::new();
    match &report {
        _ if args.style.json => view_json(&mut b, target, &view, &summary, by.zip(report.as_ref())),
        Some(r) => trace::report_text(&mut b, r),
        None => view_text(&mut b, &view, &summary, args),
    }
    out.write_all(&b).and_then(|()| out.flush()).map_err(write_failure)?;
    Ok(exit::DONE)
}

fn fetch(
    client: &mut Client,
    target: &TargetInfo,
    args: &TimelineOf,
) -> Result<(TimelineView, TimelineSummary), Failure> {
    let query = TimelineQuery { columns: args.columns, threads: args.threads, ..TimelineQuery::default() };
    let ask = |client: &mut Client| match client.call(Request::Timeline(query.clone()))? {
        Reply::Timeline(v) => Ok(*v),
        other => Err(unexpected(&other)),
    };
    let t0 = Instant::now();
    let mut view = ask(client)?;
    if args.code {
        match client.call(Request::TimelineCode { on: true })? {
            Reply::Done => {}
            other => return Err(unexpected(&other)),
        }
    }
    while view.growing && (target.kind != TargetKind::Process || t0.elapsed() < Duration::from_millis(args.millis)) {
        let left = Duration::from_millis(args.millis).saturating_sub(t0.elapsed());
        std::thread::sleep(if target.kind == TargetKind::Process { left } else { POLL });
        view = ask(client)?;
    }
    match client.call(Request::TimelineSummary)? {
        Reply::TimelineSummary(s) => Ok((view, *s)),
        other => Err(unexpected(&other)),
    }
}

fn fetch_report(client: &mut Client, kind: TraceReportKind, of: Option<TraceFilter>) -> Result<TraceReport, Failure> {
    let request = match of {
        Some(of) => Request::TraceReportOf { kind, of },
        None => Request::TraceReport(kind),
    };
    match client.call(request)? {
        Reply::TraceReport(r) => Ok(*r),
        other => Err(unexpected(&other)),
    }
}

fn kind_name(kind: LaneKind) -> (&'static str, Option<i64>) {
    match kind {
        LaneKind::Proc(p) => ("proc", Some(i64::from(p))),
        LaneKind::Thread(t) => ("thread", Some(t)),
        LaneKind::Cpu(t) => ("cpu", Some(t)),
        LaneKind::Goroutine(g) => ("goroutine", Some(g.0.cast_signed())),
        LaneKind::Collector => ("gc", None),
        LaneKind::StopTheWorld => ("stw", None),
        LaneKind::Heap => ("heap", None),
        LaneKind::HeapGoal => ("heap-goal", None),
        LaneKind::Goroutines => ("goroutines", None),
        LaneKind::RunQueue => ("runqueue", None),
        LaneKind::Syscalls => ("syscalls", None),
        LaneKind::Switches => ("switches", None),
        LaneKind::OurStops => ("our-stops", None),
    }
}

/// Key order is part of the contract.
fn view_json(
    b: &mut Vec<u8>,
    target: &TargetInfo,
    v: &TimelineView,
    s: &TimelineSummary,
    report: Option<(TraceReportKind, &TraceReport)>,
) {
    b.extend_from_slice(b"{\"schema\":\"adit/timeline/1\",");
    json::target(b, target);
    let _vec = write!(
        b,
        ",\"source\":\"{}\",\"start_ns\":{},\"end_ns\":{},\"column_ns\":{},\"rate\":{},\"lost\":{},\"unseen\":{}",
        v.source.name(),
        v.extent.0,
        v.extent.1,
        v.column_ns,
        v.rate,
        v.lost,
        v.unseen
    );
    if let Some(p) = &v.problem {
        b.extend_from_slice(b",\"problem\":");
        json::string(b, p);
    }
    b.extend_from_slice(b",\"lanes\":[");
    for (i, l) in v.lanes.iter().enumerate() {
        json::comma(b, i);
        lane_json(b, l, v);
    }
    let _vec = write!(b, "],\"summary\":{{\"events\":{},\"by_kind\":{{", s.events);
    for (i, (k, n)) in s.by_kind.iter().enumerate() {
        json::comma(b, i);
        json::string(b, k);
        let _vec = write!(b, ":{n}");
    }
    let _vec = write!(
        b,
        "}},\"goroutines\":{},\"procs\":{},\"threads\":{},\"gc_cycles\":{},\"stw_ns\":{},\"stw_max_ns\":{}}}",
        s.goroutines, s.procs, s.threads, s.gc_cycles, s.stw_ns, s.stw_max_ns
    );
    if let Some((kind, r)) = report {
        trace::report_json(b, kind, r);
    }
    b.extend_from_slice(b"}\n");
}

fn lane_json(b: &mut Vec<u8>, l: &Lane, v: &TimelineView) {
    let (kind, id) = kind_name(l.kind);
    let _vec = write!(b, "{{\"kind\":\"{kind}\"");
    if let Some(id) = id {
        let _vec = write!(b, ",\"id\":{id}");
    }
    if let Some(share) = lanes::busy(l) {
        let _vec = write!(b, ",\"busy\":{share:.4}");
    }
    if !l.note.is_empty() {
        b.extend_from_slice(b",\"note\":");
        json::string(b, &l.note);
    }
    b.extend_from_slice(b",\"source\":");
    json::string(b, &lanes::sources(l, v.source));
    b.extend_from_slice(b",\"cells\":[");
    match &l.cells {
        Cells::States(cells) => {
            for (i, c) in cells.iter().enumerate() {
                json::comma(b, i);
                if c.activity == Activity::Unknown {
                    b.extend_from_slice(b"null");
                    continue;
                }
                let _vec = write!(
                    b,
                    "{{\"activity\":\"{}\",\"busy\":{:.3}",
                    lanes::activity(c.activity),
                    f64::from(c.busy) / 255.0
                );
                if let Some(g) = c.goroutine {
                    let _vec = write!(b, ",\"goroutine\":{}", g.0);
                }
                if let Some(f) = c.function.and_then(|f| v.functions.get(usize::from(f))) {
                    b.extend_from_slice(b",\"function\":");
                    json::string(b, f);
                }
                let _vec = write!(b, ",\"changes\":{}}}", c.changes);
            }
        }
        Cells::Levels(levels) => {
            for (i, l) in levels.iter().enumerate() {
                json::comma(b, i);
                match l {
                    Some(l) => drop(write!(b, "{{\"min\":{},\"max\":{},\"last\":{}}}", l.min, l.max, l.last)),
                    None => b.extend_from_slice(b"null"),
                }
            }
        }
    }
    b.extend_from_slice(b"]}");
}

fn view_text(b: &mut Vec<u8>, v: &TimelineView, s: &TimelineSummary, args: &TimelineOf) {
    let length = lanes::length((v.extent.1 - v.extent.0).max(0).cast_unsigned());
    let how = match v.source {
        crate::model::TimelineSource::Sampled => {
            format!("sampled {} times a second, {} looks lost, {} scheduling rounds unseen", v.rate, v.lost, v.unseen)
        }
        other => format!("{}, {} events", other.name(), s.events),
    };
    text::line(b, &format!("{length}, a column is {}: {how}", lanes::length(v.column_ns)));
    if let Some(p) = &v.problem {
        text::line(b, p);
    }
    for l in &v.lanes {
        let drawn: String = match &l.cells {
            Cells::States(c) => c.iter().map(|c| lanes::state(l.kind, c, args.ascii)).collect(),
            Cells::Levels(c) => c.iter().map(|c| lanes::level(c.as_ref(), lanes::top(l), args.ascii)).collect(),
        };
        text::line(b, format!("{:<10} {drawn}  {}", lanes::name(l.kind), lanes::note(l, false)).trim_end());
        if let Cells::States(c) = &l.cells
            && c.iter().any(|c| c.function.is_some())
        {
            let named: String = lanes::functions(c, &v.functions, args.ascii).into_iter().map(|c| c.0).collect();
            text::line(b, format!("{:<10} {named}", "").trim_end());
        }
    }
    let marks = if args.ascii { "# runs" } else { "▁..█ runs" };
    text::line(b, &format!("{marks}  M marks  A assists  s system call  w sweeps  | world stopped  S our stop"));
    text::line(
        b,
        &format!(
            "{} goroutines seen on {} Ps; {} collector cycles, world stopped {} in all, {} at most",
            s.goroutines,
            s.procs,
            s.gc_cycles,
            lanes::length(s.stw_ns),
            lanes::length(s.stw_max_ns)
        ),
    );
}
