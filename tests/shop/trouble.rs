//! What is wrong in the shop: a leak, a lock cycle, an exhausted pool; the wait graph and the heap to it.

use super::{FILE, goroutine, loc};
use adit::backend::protocol::{DiagnoseQuery, WaitQuery};
use adit::base::*;
use adit::model::*;
use std::sync::Arc;

const AUDIT: &str = "/src/shop/audit.go";

fn object(kind: WaitKind, addr: u64, ty: &str, name: Option<&str>, state: &str) -> WaitObject {
    WaitObject {
        kind,
        addr: Some(LoadAddr(addr)),
        type_name: Some(ty.into()),
        name: name.map(Into::into),
        state: state.into(),
    }
}
fn events() -> WaitObject {
    object(WaitKind::Chan, 0xc0_001a_2060, "chan main.Event", Some("Audit.events"), "buffered 256 of 256")
}
fn cache() -> WaitObject {
    object(WaitKind::Mutex, 0xc0_0018_4000, "sync.Mutex", Some("Cache.mu"), "locked, 1 waiter")
}
fn store() -> WaitObject {
    object(WaitKind::Mutex, 0xc0_0018_4120, "sync.Mutex", Some("Store.mu"), "locked, 1 waiter")
}
fn ids(from: u64, step: u64, n: u64) -> Vec<GoroutineId> {
    (0..n).map(|i| GoroutineId(from + i * step)).collect()
}

fn finding(kind: FindingKind, class: FindingClass, severity: Severity, at: Arc<Location>, summary: &str) -> Finding {
    Finding {
        kind,
        class,
        severity,
        goroutines: Vec::new(),
        count: 0,
        victims: Vec::new(),
        victim_count: 0,
        object: None,
        cycle: Vec::new(),
        key: u64::from(at.line) * 1_000 + kind as u64,
        at,
        oldest_ns: None,
        per_second: None,
        summary: summary.into(),
        why: Vec::new(),
        next: Vec::new(),
    }
}

fn lines(v: &[&str]) -> Vec<String> {
    v.iter().map(|s| s.to_string()).collect()
}

/// The findings; without the heap the leak cannot be seen.
pub fn diagnosis(q: &DiagnoseQuery, looks: u64) -> Diagnosis {
    use {FindingClass::*, FindingKind::*, Severity::*};
    let leak = Finding {
        goroutines: ids(28, 9, 40),
        count: 1_842 + looks * 9,
        object: Some(events()),
        oldest_ns: Some(22_320_000_000_000),
        per_second: Some(9.0),
        why: lines(&[
            "channel 0xc0001a2060 (Audit.events, cap 256, len 256) has 1,842 senders and no receiver",
            "only the blocked senders' stacks reach it: no goroutine that can run, and no global, can ever receive",
            "created at audit.go:22 by NewAudit; its consumer (*Audit).drain is not among 1,977 goroutines",
        ]),
        next: lines(&[
            "look why (*Audit).drain ended: no frame of it is on any stack",
            "receive until the channel is closed, or give the send a way out with select and a context",
        ]),
        ..finding(
            ChannelLeak,
            Proof,
            High,
            loc("main.(*Audit).Record.func1", AUDIT, 41),
            "chan send (*Audit).Record.func1 audit.go:41",
        )
    };
    let cycle = Finding {
        goroutines: vec![GoroutineId(88), GoroutineId(4127)],
        count: 2,
        victims: ids(30, 9, 4),
        victim_count: 31,
        cycle: vec![
            CycleStep::Goroutine(GoroutineId(88)),
            CycleStep::Object(cache()),
            CycleStep::Goroutine(GoroutineId(4127)),
            CycleStep::Object(store()),
        ],
        oldest_ns: Some(182_000_000_000),
        per_second: Some(0.0),
        why: lines(&[
            "g88 holds Store.mu: a pending deferred call unlocks it (store.go:117)",
            "g4127 holds Cache.mu: a pending deferred call unlocks it (cache.go:65)",
        ]),
        next: lines(&["take Store.mu and Cache.mu in one order everywhere"]),
        ..finding(
            LockCycle,
            Proof,
            High,
            loc("main.(*Store).Get", "/src/shop/store.go", 118),
            "Cache.mu <-> Store.mu  g88 <-> g4127",
        )
    };
    let pool = Finding {
        goroutines: ids(32, 9, 20),
        count: 31,
        oldest_ns: Some(41_000_000_000),
        per_second: Some(2.0),
        why: lines(&["sql.DB 0xc000220000: 20 of 20 connections in use, 31 requests queued"]),
        next: lines(&["look which goroutines hold *sql.Rows that are not closed"]),
        ..finding(
            SqlPool,
            Strong,
            Medium,
            loc("database/sql.(*DB).conn", "/usr/local/go/src/database/sql/sql.go", 1369),
            "sql.DB: 20 of 20 in use, 31 queued",
        )
    };
    let growth = Finding {
        goroutines: ids(29, 9, 12),
        count: 12,
        per_second: Some(0.12),
        why: lines(&["12 pairs of readLoop and writeLoop, ages spread evenly over 2 hours"]),
        ..finding(
            HttpBodyLeak,
            Likely,
            Info,
            loc("net/http.(*persistConn).readLoop", "/usr/local/go/src/net/http/transport.go", 2325),
            "12 HTTP connections wait for their response's body to be read or closed",
        )
    };
    let all = if q.no_heap { vec![cycle, pool, growth] } else { vec![leak, cycle, pool, growth] };
    let n = all.len();
    let muted = |f: &Finding| q.mutes.iter().any(|m| f.at.function.contains(m.as_str()) || f.summary.contains(m));
    let findings: Vec<Finding> = all.into_iter().filter(|f| !muted(f)).collect();
    Diagnosis { muted: (n - findings.len()) as u64, findings, ..nothing(q) }
}

/// A healthy shop.
pub fn nothing(q: &DiagnoseQuery) -> Diagnosis {
    let needs_heap = [FindingKind::ChannelLeak, FindingKind::CondStuck, FindingKind::OrphanLock];
    let detectors = FindingKind::ALL
        .iter()
        .map(|k| match k {
            FindingKind::HeapGrowth => DetectorRun { kind: *k, ran: false, reason: "needs two snapshots".into() },
            k if q.no_heap && needs_heap.contains(k) => {
                DetectorRun { kind: *k, ran: false, reason: "the heap was left alone".into() }
            }
            k => DetectorRun { kind: *k, ran: true, reason: String::new() },
        })
        .collect();
    let heap = (!q.no_heap).then_some((812_000, 391 << 20));
    Diagnosis { detectors, goroutines: 1_977, heap, took_us: 38_000, ..Diagnosis::default() }
}

fn node(count: u64, ids: Vec<GoroutineId>, at: (&str, &str, u32), secs: u64, leaked: bool) -> WaitNode {
    let user = loc(at.0, at.1, at.2);
    let id = ids[0];
    let sample = Goroutine {
        user: user.clone(),
        at: user,
        wait_ns: (secs > 0).then_some(secs * 1_000_000_000),
        ..goroutine(id.0)
    };
    WaitNode::Goroutines { count, ids, sample: Box::new(Goroutine { id, ..sample }), leaked }
}

/// The wait graph.
pub fn graph(q: &WaitQuery) -> WaitGraph {
    let g = |n| vec![GoroutineId(n)];
    let pool = object(WaitKind::Chan, 0xc0_0022_00a0, "chan sql.connRequest", None, "unbuffered");
    let nodes = vec![
        node(1_842, ids(28, 9, 40), ("main.(*Audit).Record.func1", AUDIT, 41), 22_320, true),
        WaitNode::Object(events()),
        node(1, g(88), ("main.(*Store).Get", "/src/shop/store.go", 118), 182, false),
        WaitNode::Object(cache()),
        node(1, g(4127), ("main.(*Cache).Evict", "/src/shop/cache.go", 66), 182, false),
        WaitNode::Object(store()),
        node(31, ids(32, 9, 20), ("database/sql.(*DB).conn", "/usr/local/go/src/database/sql/sql.go", 1369), 41, false),
        WaitNode::Object(pool),
        node(4, ids(30, 9, 4), ("main.(*API).handle", "/src/shop/api.go", 71), 170, false),
        node(1, g(201), ("main.(*Repo).Load", FILE, 71), 38, false),
    ];
    let w = |from, to, op| WaitEdge { from, to, kind: EdgeKind::Waits(op) };
    let h = |from, to, e| WaitEdge { from, to, kind: EdgeKind::Held(e) };
    let mut edges = vec![
        w(2, 3, WaitOp::Lock),
        h(3, 4, Evidence::Defer),
        w(4, 5, WaitOp::Lock),
        h(5, 2, Evidence::Defer),
        w(8, 5, WaitOp::Lock),
    ];
    if q.scope != WaitScope::Cycles {
        edges.push(w(0, 1, WaitOp::Send));
        edges.extend([w(6, 7, WaitOp::Receive), h(7, 9, Evidence::Exclusion)]);
    }
    if q.scope == WaitScope::Leaks {
        edges = vec![w(0, 1, WaitOp::Send)];
    }
    let cycles = if q.scope == WaitScope::Leaks { Vec::new() } else { vec![vec![2, 3, 4, 5]] };
    WaitGraph { nodes, edges, cycles, waiting: 1_880, truncated: false, heap_walked: !q.no_heap }
}

/// Sums over the heap.
pub fn heap(by: HeapBy) -> HeapSummary {
    let rows: &[(&str, u64, u64)] = match by {
        HeapBy::Type => &[
            ("[]uint8", 96_120, 212 << 20),
            ("main.Event", 471_296, 57 << 20),
            ("map.group[string]int64", 12_004, 31 << 20),
            ("main.Item", 180_400, 8 << 20),
            ("*net/http.persistConn", 24, 19 << 10),
        ],
        HeapBy::Site => &[
            ("main.audit", 567_420, 268 << 20),
            ("main.(*Cache).Evict cache", 12_004, 31 << 20),
            ("net/http.DefaultTransport", 2_310, 4 << 20),
        ],
    };
    let rows: Vec<HeapRow> = rows
        .iter()
        .enumerate()
        .map(|(i, (name, count, bytes))| HeapRow {
            name: name.to_string(),
            count: *count,
            bytes: *bytes,
            sample: LoadAddr(0xc0_0030_0000 + i as u64 * 0x100),
        })
        .collect();
    HeapSummary { total_rows: rows.len() as u64 + 212, rows, live: (812_000, 391 << 20), garbage: (90_211, 61 << 20) }
}

/// Who keeps an object alive.
pub fn references(asked: &str) -> References {
    let object = HeapObject {
        addr: LoadAddr(0xc0_001a_2060),
        size: 96,
        type_name: Some("chan main.Event".into()),
        noscan: false,
    };
    let audit =
        HeapObject { addr: LoadAddr(0xc0_0001_0400), size: 480, type_name: Some("main.Audit".into()), noscan: false };
    let last = RefStep::Object { object: object.clone(), offset: 0, field: None };
    let paths = if asked == "sum" {
        Vec::new()
    } else {
        vec![
            vec![
                RefStep::Global { name: "main.audit".into(), addr: LoadAddr(0x5a_1040) },
                RefStep::Object { object: audit, offset: 0x18, field: Some("events".into()) },
                last.clone(),
            ],
            vec![
                RefStep::Stack {
                    goroutine: GoroutineId(19),
                    at: loc("main.(*API).checkout", "/src/shop/api.go", 102),
                    variable: Some("audit.events".into()),
                    addr: LoadAddr(0xc0_0009_8f10),
                },
                last,
            ],
        ]
    };
    References { object, roots: if paths.is_empty() { 0 } else { 1_843 }, paths, retained: Some(2 << 20) }
}
