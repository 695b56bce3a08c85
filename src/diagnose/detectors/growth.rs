//! What becomes more from look to look: goroutines, timers, heap.

use super::super::case::{Case, Draft};
use crate::base::LoadAddr;
use crate::model::{Finding, FindingClass, FindingKind, Severity, WaitKind};
use rustc_hash::FxHashMap;
use std::time::Duration;

/// How far back growth is looked for.
const SPAN: Duration = Duration::from_secs(10);
/// Goroutines that must have been added at one place.
const ADDED: u64 = 50;
/// Tickers that are too many.
const TICKERS: usize = 100;
/// Goroutines asleep at one place that are too many.
const SLEEPERS: usize = 1_000;
/// Timers read.
const MAX_TIMERS: u64 = 1 << 20;
/// Bytes that the heap's spans must have grown by.
const HEAP: u64 = 64 << 20;

/// Goroutines at one place whose ages are spread evenly: a steady leak, seen in one look.
const STEADY: usize = 200;
/// Age of the oldest of them, nanoseconds.
const STEADY_AGE: u64 = 60_000_000_000;
/// Parts of that age of which most must have their share.
const PARTS: usize = 10;

/// Places whose goroutines have come at an even rate and never gone.
fn steady(c: &Case<'_>) -> Vec<Finding> {
    let mut places: FxHashMap<u64, Vec<u32>> = FxHashMap::default();
    for (i, s) in c.a.look.seen.iter().enumerate().filter(|(_, s)| !s.system && s.g.waits()) {
        let waits = s.found.on.first().is_some_and(|o| super::super::reach::depends(o.kind));
        if waits && let Some(key) = c.target.list.place_key(s.row) {
            places.entry(key).or_default().push(i as u32);
        }
    }
    let mut out = Vec::new();
    for members in places.into_values().filter(|m| m.len() >= STEADY) {
        let ages: Vec<u64> = members.iter().filter_map(|m| c.waited(*m)).collect();
        let oldest = ages.iter().copied().max().unwrap_or(0);
        if oldest < STEADY_AGE {
            continue;
        }
        let mut parts = [0usize; PARTS];
        for a in &ages {
            parts[((a * PARTS as u64 / (oldest + 1)) as usize).min(PARTS - 1)] += 1;
        }
        let share = ages.len() / PARTS / 3;
        if parts.iter().filter(|n| **n > share).count() < PARTS * 7 / 10 {
            continue;
        }
        let first = members[0];
        out.push(c.finding(Draft {
            kind: FindingKind::GoroutineGrowth,
            class: FindingClass::Likely,
            severity: Severity::Medium,
            summary: format!(
                "{} goroutines have come at an even rate and stayed, {}",
                members.len(),
                c.place_text(first)
            ),
            why: vec![format!(
                "their waits began evenly over the last {}: about {:.1} a second",
                crate::base::clock::human_ns(oldest),
                ages.len() as f64 / (oldest as f64 / 1e9)
            )],
            next: vec!["see who starts them, and what each waits for".into()],
            object: None,
            cycle: Vec::new(),
            members,
            victims: Vec::new(),
        }));
    }
    out
}

pub(super) fn goroutines(c: &Case<'_>) -> Result<Vec<Finding>, String> {
    let steady = steady(c);
    if c.target.offline || !steady.is_empty() {
        return Ok(steady);
    }
    let (Some(before), Some(now)) = (c.history.before(SPAN), c.history.looks().back()) else {
        return Ok(Vec::new()); // not long enough yet
    };
    let middle = c.history.before(SPAN / 2);
    let mut members: FxHashMap<u64, Vec<u32>> = FxHashMap::default();
    let grown = |key: &u64| {
        let n = now.places.get(key).copied().unwrap_or(0);
        let b = before.places.get(key).copied().unwrap_or(0);
        let m = middle.and_then(|p| p.places.get(key)).copied().unwrap_or(b);
        n >= b + ADDED && n > b + b / 2 && m >= b && n >= m
    };
    for (i, s) in c.a.look.seen.iter().enumerate().filter(|(_, s)| !s.system) {
        if let Some(key) = c.target.list.place_key(s.row).filter(grown) {
            members.entry(key).or_default().push(i as u32);
        }
    }
    let seconds = now.at.duration_since(before.at).as_secs_f64();
    Ok(members
        .into_iter()
        .map(|(key, members)| {
            let (n, b) = (members.len() as u64, before.places.get(&key).copied().unwrap_or(0));
            let first = members[0];
            c.finding(Draft {
                kind: FindingKind::GoroutineGrowth,
                class: FindingClass::Likely,
                severity: Severity::Medium,
                summary: format!("{b} to {n} goroutines in {seconds:.0} s, {}", c.place_text(first)),
                why: vec![format!("{:.1} more each second, in every look", (n - b) as f64 / seconds)],
                next: vec!["see who starts them, and what each waits for".into()],
                object: None,
                cycle: Vec::new(),
                members,
                victims: Vec::new(),
            })
        })
        .collect())
}

/// A periodic timer.
struct Ticker {
    period: u64,
    /// Its channel; for a function something else.
    arg: LoadAddr,
}

/// All periodic timers that run.
fn tickers(c: &Case<'_>) -> Option<Vec<Ticker>> {
    let (rt, mem) = (c.target.rt, c.target.mem);
    let (l, allp) = (rt.layout().timer?, rt.globals().allp?);
    let pairs = rt.layout().facts.timers_are_pairs;
    let (first, n) = (mem.read_ptr(allp).ok()?, mem.read_u64(allp.add(8)).ok()?.min(4096));
    let mut out = Vec::new();
    for i in 0..n {
        let p = mem.read_ptr(first.add(i * 8)).ok()?;
        let heap = p.add(l.p_timers + l.heap.unwrap_or(0));
        let (at, len) = (mem.read_ptr(heap).ok()?, mem.read_u64(heap.add(8)).ok()?.min(MAX_TIMERS));
        let stride = if pairs { 16 } else { 8 };
        let Ok(bytes) = mem.read_vec(at, (len * stride) as usize) else { continue };
        for e in bytes.chunks_exact(stride as usize) {
            let t = LoadAddr(u64::from_le_bytes(e[..8].try_into().ok()?));
            let (Ok(arg), Ok(period)) = (mem.read_ptr(t.add(l.arg + 8)), mem.read_u64(t.add(l.period))) else {
                continue;
            };
            if period > 0 {
                out.push(Ticker { period, arg });
            }
        }
    }
    Some(out)
}

/// Tickers that nobody waits for, and those whose goroutine waits for nothing else, so that it cannot be told to end. One of many cases of
/// a select is how connections keep themselves alive: as many as there are of them.
pub(super) fn timers(c: &Case<'_>) -> Result<Vec<Finding>, String> {
    let mut out = Vec::new();
    let Some(tickers) = tickers(c) else { return Err("the timers were not found".into()) };
    let mut waiters: FxHashMap<LoadAddr, (u32, bool)> = FxHashMap::default();
    for (i, s) in c.a.look.seen.iter().enumerate().filter(|(_, s)| !s.system) {
        for a in s.found.on.iter().filter_map(|o| o.addr) {
            // One that moved while it was looked at may be half way into a select: what else it will wait for is not known.
            waiters.insert(a, (i as u32, s.found.on.len() == 1 && s.stable));
        }
    }
    let (mut idle, mut periods, mut members) = (0usize, FxHashMap::<u64, usize>::default(), Vec::new());
    for t in &tickers {
        match waiters.get(&t.arg) {
            None => idle += 1,
            Some((who, true)) => members.push(*who),
            Some((_, false)) => continue,
        }
        *periods.entry(t.period).or_default() += 1;
    }
    // When many tick at once, those that were woken are on their way back.
    let under_way = c.a.look.seen.iter().filter(|s| !(s.system || s.stable && s.g.waits())).count();
    idle = idle.saturating_sub(under_way);
    let many = idle + members.len();
    if many >= TICKERS {
        let period = periods.iter().max_by_key(|p| p.1).map_or(0, |p| *p.0);
        let mut why = Vec::new();
        if idle > 0 {
            why.push(format!("{idle} of them tick while no goroutine waits for them"));
        }
        members.sort_unstable();
        if let Some(first) = members.first() {
            why.push(format!(
                "{} goroutines wait for a ticker and nothing else, first {}: nothing tells them to end",
                members.len(),
                c.goroutine(*first)
            ));
        }
        out.push(c.finding(Draft {
            kind: FindingKind::TimerLeak,
            class: FindingClass::Likely,
            severity: Severity::Medium,
            summary: format!("{many} tickers run, most every {}", crate::base::clock::human_ns(period)),
            why,
            next: vec!["Stop each Ticker when its user ends; wait for a context beside it".into()],
            members,
            victims: Vec::new(),
            object: None,
            cycle: Vec::new(),
        }));
    }
    let mut asleep: FxHashMap<u64, Vec<u32>> = FxHashMap::default();
    for (i, s) in c.a.look.seen.iter().enumerate().filter(|(_, s)| !s.system) {
        if s.found.on.first().is_some_and(|o| o.kind == WaitKind::Timer)
            && let Some(k) = c.target.list.place_key(s.row)
        {
            asleep.entry(k).or_default().push(i as u32);
        }
    }
    for members in asleep.into_values().filter(|m| m.len() >= SLEEPERS) {
        let first = members[0];
        out.push(c.finding(Draft {
            kind: FindingKind::TimerLeak,
            class: FindingClass::Likely,
            severity: Severity::Info,
            summary: format!("{} goroutines sleep at {}", members.len(), c.place_text(first)),
            why: vec!["each keeps a stack and a timer".into()],
            next: vec!["one goroutine with a queue of due times does the same".into()],
            members,
            victims: Vec::new(),
            object: None,
            cycle: Vec::new(),
        }));
    }
    Ok(out)
}

pub(super) fn heap(c: &Case<'_>) -> Result<Vec<Finding>, String> {
    if c.target.offline {
        return Err("growth needs two looks at a running process".into());
    }
    if let Err(e) = &c.a.heap {
        return Err(e.clone());
    }
    let (Some(before), Some(now)) = (c.history.before(SPAN), c.history.looks().back()) else { return Ok(Vec::new()) };
    let middle = c.history.before(SPAN / 2);
    let mut out = Vec::new();
    for (size, &n) in &now.heap {
        let b = before.heap.get(size).copied().unwrap_or(0);
        let m = middle.and_then(|p| p.heap.get(size)).copied().unwrap_or(b);
        // Growth that goes on after a collection is what counts; spans stay while they are in use.
        if n >= b + HEAP && n > b + b / 2 && m > b && n > m {
            let seconds = now.at.duration_since(before.at).as_secs_f64();
            out.push(c.finding(Draft {
                kind: FindingKind::HeapGrowth,
                class: FindingClass::Likely,
                severity: Severity::Info,
                summary: format!("objects of {size} bytes grew from {} to {} MiB in {seconds:.0} s", b >> 20, n >> 20),
                why: vec!["the spans of this size grew in every look".into()],
                next: vec!["the Data workspace's heap, by type and by who keeps them".into()],
                members: Vec::new(),
                victims: Vec::new(),
                object: None,
                cycle: Vec::new(),
            }));
        }
    }
    Ok(out)
}
