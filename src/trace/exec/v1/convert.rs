//! Old events to new ones.

use super::super::event::{Event as New, NONE};
use super::super::fault::Trouble;
use super::super::format::{Format, SPECS, ev as new};
use super::super::reader::{Begin, Chunk};
use super::super::tables::{RawFrame, Tables};
use super::parse::{EVENTS, Event, Parser, ev};
use super::stream::Stream;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;
use std::sync::Arc;

/// Strings that the old format has numbers for.
const REASONS: [&str; 12] = [
    "forever",
    "preempted",
    "runtime.Gosched",
    "sleep",
    "chan send",
    "chan receive",
    "network",
    "sync",
    "sync.(*Cond).Wait",
    "select",
    "",
    "GC mark assist wait for work",
];
/// Kinds of stops of the world, by number in 1.21.
const STOPS: [&str; 17] = [
    "",
    "GC mark termination",
    "GC sweep termination",
    "write heap dump",
    "goroutine profile",
    "goroutine profile cleanup",
    "all goroutine stack trace",
    "read mem stats",
    "AllThreadsSyscall",
    "GOMAXPROCS",
    "start trace",
    "stop trace",
    "CountPagesInUse (test)",
    "ReadMetricsSlow (test)",
    "ReadMemStatsSlow (test)",
    "PageCachePagesLeaked (test)",
    "ResetDebugLog (test)",
];

const NO_TASK: u64 = u64::MAX;

/// Turns the events of a trace into new ones, one after the other.
pub struct Converter {
    events: Stream,
    /// The next one.
    front: Option<Event>,
    /// Length of the file.
    bytes: u64,
    tables: Arc<Tables>,
    extra: VecDeque<New>,
    stops: bool,
    /// Id of the first of [`REASONS`], of the first of [`STOPS`], and of the first text of a log.
    first: [u64; 3],
    before_begin: bool,
    created: FxHashSet<u64>,
    order_created: Vec<u64>,
    tasks: FxHashMap<u64, (Arc<str>, u64)>,
    seen: FxHashSet<i32>,
    threads: FxHashMap<i32, i64>,
    stop: u64,
    last: i64,
    marks: u64,
    /// System calls so far.
    calls: usize,
}

impl Converter {
    pub(super) fn new(mut events: Stream, bytes: u64, format: &Format) -> Result<Converter, Trouble> {
        let front = events.next()?;
        let p: &mut Parser = events.parser();
        let mut t = Tables::default();
        let mut max = 0;
        for (id, s) in &p.strings {
            t.add_string(*id, s)?;
            max = max.max(*id);
        }
        let mut id = max;
        let mut first = [0; 3];
        let mut add = |all: &mut dyn Iterator<Item = &str>| -> Result<u64, Trouble> {
            let from = id.checked_add(1).ok_or_else(|| Trouble::form("trace contains too many strings"))?;
            for s in all {
                id = id.checked_add(1).ok_or_else(|| Trouble::form("trace contains too many strings"))?;
                t.add_string(id, s)?;
            }
            Ok(from)
        };
        first[2] = add(&mut p.inline.iter().map(String::as_str))?;
        first[0] = add(&mut REASONS.into_iter())?;
        first[1] = add(&mut STOPS.into_iter())?;
        for (id, frames) in &p.stacks {
            let raw: Vec<RawFrame> =
                frames.iter().map(|&[pc, func, file, line]| RawFrame { pc, func, file, line }).collect();
            t.add_stack(u64::from(*id), &raw)?;
        }
        // The tables have them now.
        p.strings.clear();
        Ok(Converter {
            events,
            front,
            bytes,
            calls: 0,
            tables: Arc::new(t),
            extra: VecDeque::new(),
            stops: format.stops,
            first,
            before_begin: true,
            created: FxHashSet::default(),
            order_created: Vec::new(),
            tasks: FxHashMap::default(),
            seen: FxHashSet::default(),
            threads: FxHashMap::default(),
            stop: 0,
            last: -1,
            marks: 0,
        })
    }

    /// The next events; false if they are the last. What cannot be one of the new ones is skipped, and named; strict, it is the last thing.
    pub(in super::super) fn next(&mut self, chunk: &mut Chunk, count: usize, strict: bool) -> bool {
        chunk.tables.clone_from(&self.tables);
        if self.marks == 0 {
            chunk.begins = Some(Begin { number: 1, at: 0, end: self.bytes, complete: true });
            if let Some(e) = &self.front {
                self.marks += 1;
                chunk.events.push(New::mark(e.ts.saturating_sub(1), 1));
            }
        }
        while chunk.events.len() < count {
            let next = match self.extra.pop_front() {
                Some(e) => Ok(Some(e)),
                None => match self.take() {
                    Ok(Some(e)) => self.convert(&e, &mut chunk.names),
                    // It was sound when it was read before: the file changed, or cannot be read any more.
                    Err(t) => {
                        chunk.faults.push(t.at(0, None));
                        chunk.broken = true;
                        self.marks += 1;
                        chunk.events.push(New::mark(self.last.saturating_add(1), self.marks));
                        return false;
                    }
                    Ok(None) => {
                        self.marks += 1;
                        chunk.events.push(New::mark(self.last.saturating_add(1), self.marks));
                        return false;
                    }
                },
            };
            match next {
                Ok(Some(mut e)) => {
                    e.time = e.time.max(self.last.saturating_add(1));
                    self.last = e.time;
                    chunk.events.push(e);
                }
                Ok(None) => {}
                Err(t) if strict || chunk.faults.is_empty() => {
                    chunk.faults.push(t.at(0, None));
                    if strict {
                        return false;
                    }
                }
                Err(_) => {}
            }
        }
        true
    }

    fn take(&mut self) -> Result<Option<Event>, Trouble> {
        let Some(e) = self.front.take() else { return Ok(None) };
        self.front = self.events.next()?;
        Ok(Some(e))
    }

    fn reason(&self, text: &str) -> u64 {
        self.first[0] + REASONS.iter().position(|r| *r == text).unwrap_or(10) as u64
    }

    fn stop_kind(&self, n: u64) -> u64 {
        let known = if self.stops { n < STOPS.len() as u64 } else { n < 2 };
        let at = match (known, self.stops) {
            (true, true) => n,
            (true, false) => n + 1,
            _ => 0,
        };
        self.first[1] + at
    }

    fn thread(&self, p: i32) -> i64 {
        self.threads.get(&p).copied().unwrap_or(0)
    }

    /// None: it becomes nothing, or something later.
    fn convert(&mut self, e: &Event, names: &mut Vec<Arc<str>>) -> Result<Option<New>, Trouble> {
        let mut args = e.args;
        let stack = u64::from(e.stack);
        let block = |c: &Self, why: &str| (new::GO_BLOCK, [c.reason(why), stack, 0, 0]);
        let p = i64::from(e.p).cast_unsigned();
        let typ = match e.typ {
            ev::GOMAXPROCS if self.before_begin => {
                self.begin(e);
                return Ok(None);
            }
            ev::GOMAXPROCS => new::PROCS_CHANGE,
            ev::PROC_START | ev::PROC_STOP => {
                let starts = e.typ == ev::PROC_START;
                if starts {
                    self.threads.insert(e.p, e.args[0].cast_signed());
                }
                args = [p, 0, 0, 0];
                match (self.seen.insert(e.p), starts) {
                    (true, _) => {
                        args[1] = if starts { 1 } else { 2 };
                        new::PROC_STATUS
                    }
                    (false, true) => new::PROC_START,
                    (false, false) => new::PROC_STOP,
                }
            }
            ev::GC_START => new::GC_BEGIN,
            ev::GC_DONE => new::GC_END,
            ev::STW_START => {
                self.stop = self.stop_kind(e.args[0]);
                args = [self.stop, 0, 0, 0];
                new::STW_BEGIN
            }
            ev::STW_DONE => {
                args = [self.stop, 0, 0, 0];
                new::STW_END
            }
            ev::SWEEP_START => new::SWEEP_BEGIN,
            ev::SWEEP_DONE => new::SWEEP_END,
            ev::GO_CREATE if self.before_begin => {
                if self.created.insert(e.args[0]) {
                    self.order_created.push(e.args[0]);
                }
                return Ok(None);
            }
            ev::GO_CREATE => new::GO_CREATE,
            ev::GO_START if self.before_begin => self.status(e, 2, &mut args),
            ev::GO_START => new::GO_START,
            ev::GO_START_LABEL => {
                let (g, m) = (e.g.cast_signed(), self.thread(e.p));
                let label = [e.args[2], 0, 0, 0];
                let own = New { time: e.ts, m, p: i64::from(e.p), g, args, typ: new::GO_START };
                self.extra.push_back(New { args: label, typ: new::GO_LABEL, ..own });
                return Ok(Some(own));
            }
            ev::GO_END => new::GO_DESTROY,
            ev::GO_STOP => self.set(&mut args, block(self, "forever")),
            ev::GO_SCHED => self.set(&mut args, (new::GO_STOP, [self.reason("runtime.Gosched"), stack, 0, 0])),
            ev::GO_PREEMPT => self.set(&mut args, (new::GO_STOP, [self.reason("preempted"), stack, 0, 0])),
            ev::GO_SLEEP => self.set(&mut args, block(self, "sleep")),
            ev::GO_BLOCK => self.set(&mut args, block(self, "")),
            ev::GO_BLOCK_SEND => self.set(&mut args, block(self, "chan send")),
            ev::GO_BLOCK_RECV => self.set(&mut args, block(self, "chan receive")),
            ev::GO_BLOCK_SELECT => self.set(&mut args, block(self, "select")),
            ev::GO_BLOCK_SYNC => self.set(&mut args, block(self, "sync")),
            ev::GO_BLOCK_COND => self.set(&mut args, block(self, "sync.(*Cond).Wait")),
            ev::GO_BLOCK_NET => self.set(&mut args, block(self, "network")),
            ev::GO_BLOCK_GC => self.set(&mut args, block(self, "GC mark assist wait for work")),
            ev::GO_UNBLOCK => new::GO_UNBLOCK,
            ev::GO_SYSCALL => {
                args = [0, stack, 0, 0];
                self.calls += 1;
                if !self.events.blocks(self.calls - 1) {
                    // It did not block: the shortest there is.
                    let own = New {
                        time: e.ts,
                        m: self.thread(e.p),
                        p: i64::from(e.p),
                        g: e.g.cast_signed(),
                        args,
                        typ: new::GO_SYSCALL_BEGIN,
                    };
                    self.extra.push_back(New {
                        time: e.ts.saturating_add(1),
                        args: [0; 4],
                        typ: new::GO_SYSCALL_END,
                        ..own
                    });
                    return Ok(Some(own));
                }
                new::GO_SYSCALL_BEGIN
            }
            ev::GO_SYS_EXIT => new::GO_SYSCALL_END_BLOCKED,
            ev::GO_SYS_BLOCK => return Ok(None),
            ev::GO_WAITING => self.status(e, 4, &mut args),
            ev::GO_IN_SYSCALL => self.status(e, 3, &mut args),
            ev::HEAP_ALLOC => new::HEAP_ALLOC,
            ev::HEAP_GOAL => new::HEAP_GOAL,
            ev::ASSIST_START => new::ASSIST_BEGIN,
            ev::ASSIST_DONE => new::ASSIST_END,
            ev::TASK_CREATE => {
                let parent = if e.args[1] == 0 { NO_TASK } else { e.args[1] };
                args = [e.args[0], parent, e.args[2], stack];
                self.tasks.insert(e.args[0], (self.tables.text(e.args[2]).into(), e.args[1]));
                new::TASK_BEGIN
            }
            ev::TASK_END => {
                args = [e.args[0], stack, NO_TASK, 0];
                if let Some((name, parent)) = self.tasks.remove(&e.args[0]) {
                    names.push(name);
                    (args[2], args[3]) = (parent, names.len() as u64);
                }
                new::TASK_END
            }
            ev::REGION => {
                args = [e.args[0], e.args[2], stack, 0];
                if e.args[1] == 0 { new::REGION_BEGIN } else { new::REGION_END }
            }
            ev::LOG => {
                args = [e.args[0], e.args[1], self.first[2] + e.args[3], stack];
                new::LOG
            }
            ev::CPU_SAMPLE => {
                args = [stack, 0, 0, 0];
                new::CPU_SAMPLE
            }
            t => return Err(Trouble::order(format!("unexpected event type {t}"))),
        };
        Ok(Some(self.finish(e, typ, args)))
    }

    fn set(&self, args: &mut [u64; 4], (typ, with): (u8, [u64; 4])) -> u8 {
        *args = with;
        typ
    }

    fn status(&mut self, e: &Event, status: u64, args: &mut [u64; 4]) -> u8 {
        *args = [e.args[0], u64::MAX, status, 0];
        self.created.remove(&e.args[0]);
        new::GO_STATUS
    }

    /// The trace begins here: goroutines that were heard of and nothing else can run.
    fn begin(&mut self, e: &Event) {
        self.before_begin = false;
        for g in std::mem::take(&mut self.order_created) {
            if self.created.remove(&g) {
                let args = [g, u64::MAX, 1, 0];
                self.extra.push_back(New { time: e.ts, m: NONE, p: NONE, g: NONE, args, typ: new::GO_STATUS });
            }
        }
    }

    fn finish(&mut self, e: &Event, typ: u8, mut args: [u64; 4]) -> New {
        let (has_stack, at) = (EVENTS[usize::from(e.typ)].2, SPECS[usize::from(typ)].stacks[0]);
        if has_stack && at != 0 {
            args[usize::from(at) - 1] = u64::from(e.stack);
        }
        let mut m = NONE;
        if e.p != -1 && e.typ != ev::CPU_SAMPLE {
            m = self.threads.get(&e.p).copied().unwrap_or(NONE);
        }
        if e.typ == ev::PROC_STOP {
            self.threads.remove(&e.p);
        }
        let g = if e.g == 0 { NONE } else { e.g.cast_signed() };
        New { time: e.ts, m, p: i64::from(e.p), g, args, typ }
    }
}
