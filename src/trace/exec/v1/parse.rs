//! Bytes to events, each P's in turn.

use super::super::fault::Trouble;
use super::super::format::{Format, HEADER};
use super::super::store::Store;
use super::super::tables::uvarint;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;
use std::sync::Arc;

/// Event numbers.
#[allow(missing_docs)]
pub(super) mod ev {
    pub const BATCH: u8 = 1;
    pub const FREQUENCY: u8 = 2;
    pub const STACK: u8 = 3;
    pub const GOMAXPROCS: u8 = 4;
    pub const PROC_START: u8 = 5;
    pub const PROC_STOP: u8 = 6;
    pub const GC_START: u8 = 7;
    pub const GC_DONE: u8 = 8;
    pub const STW_START: u8 = 9;
    pub const STW_DONE: u8 = 10;
    pub const SWEEP_START: u8 = 11;
    pub const SWEEP_DONE: u8 = 12;
    pub const GO_CREATE: u8 = 13;
    pub const GO_START: u8 = 14;
    pub const GO_END: u8 = 15;
    pub const GO_STOP: u8 = 16;
    pub const GO_SCHED: u8 = 17;
    pub const GO_PREEMPT: u8 = 18;
    pub const GO_SLEEP: u8 = 19;
    pub const GO_BLOCK: u8 = 20;
    pub const GO_UNBLOCK: u8 = 21;
    pub const GO_BLOCK_SEND: u8 = 22;
    pub const GO_BLOCK_RECV: u8 = 23;
    pub const GO_BLOCK_SELECT: u8 = 24;
    pub const GO_BLOCK_SYNC: u8 = 25;
    pub const GO_BLOCK_COND: u8 = 26;
    pub const GO_BLOCK_NET: u8 = 27;
    pub const GO_SYSCALL: u8 = 28;
    pub const GO_SYS_EXIT: u8 = 29;
    pub const GO_SYS_BLOCK: u8 = 30;
    pub const GO_WAITING: u8 = 31;
    pub const GO_IN_SYSCALL: u8 = 32;
    pub const HEAP_ALLOC: u8 = 33;
    pub const HEAP_GOAL: u8 = 34;
    pub const TIMER_GOROUTINE: u8 = 35;
    pub const STRING: u8 = 37;
    pub const GO_START_LOCAL: u8 = 38;
    pub const GO_UNBLOCK_LOCAL: u8 = 39;
    pub const GO_SYS_EXIT_LOCAL: u8 = 40;
    pub const GO_START_LABEL: u8 = 41;
    pub const GO_BLOCK_GC: u8 = 42;
    pub const ASSIST_START: u8 = 43;
    pub const ASSIST_DONE: u8 = 44;
    pub const TASK_CREATE: u8 = 45;
    pub const TASK_END: u8 = 46;
    pub const REGION: u8 = 47;
    pub const LOG: u8 = 48;
    pub const CPU_SAMPLE: u8 = 49;
    pub const COUNT: u8 = 50;
}

/// Name, arguments behind the time (without the stack), and whether a stack follows; by number.
pub(super) const EVENTS: [(&str, u8, bool); ev::COUNT as usize] = [
    ("None", 0, false),
    ("Batch", 2, false),
    ("Frequency", 1, false),
    ("Stack", 2, false),
    ("Gomaxprocs", 1, true),
    ("ProcStart", 1, false),
    ("ProcStop", 0, false),
    ("GCStart", 1, true),
    ("GCDone", 0, false),
    ("GCSTWStart", 1, false),
    ("GCSTWDone", 0, false),
    ("GCSweepStart", 0, true),
    ("GCSweepDone", 2, false),
    ("GoCreate", 2, true),
    ("GoStart", 2, false),
    ("GoEnd", 0, false),
    ("GoStop", 0, true),
    ("GoSched", 0, true),
    ("GoPreempt", 0, true),
    ("GoSleep", 0, true),
    ("GoBlock", 0, true),
    ("GoUnblock", 2, true),
    ("GoBlockSend", 0, true),
    ("GoBlockRecv", 0, true),
    ("GoBlockSelect", 0, true),
    ("GoBlockSync", 0, true),
    ("GoBlockCond", 0, true),
    ("GoBlockNet", 0, true),
    ("GoSysCall", 0, true),
    ("GoSysExit", 3, false),
    ("GoSysBlock", 0, false),
    ("GoWaiting", 1, false),
    ("GoInSyscall", 1, false),
    ("HeapAlloc", 1, false),
    ("HeapGoal", 1, false),
    ("TimerGoroutine", 1, false),
    ("FutileWakeup", 0, false),
    ("String", 0, false),
    ("GoStartLocal", 1, false),
    ("GoUnblockLocal", 1, true),
    ("GoSysExitLocal", 2, false),
    ("GoStartLabel", 3, false),
    ("GoBlockGC", 0, true),
    ("GCMarkAssistStart", 0, true),
    ("GCMarkAssistDone", 0, false),
    ("UserTaskCreate", 3, true),
    ("UserTaskEnd", 1, true),
    ("UserRegion", 3, true),
    ("UserLog", 2, true),
    ("CPUSample", 3, true),
];

/// Ps that are none: where timers' unblocks, the net poller's, ends of system calls, the collector and samples are put.
pub(super) mod fake {
    pub const TIMER: i32 = 1_000_001;
    pub const NETPOLL: i32 = 1_000_002;
    pub const SYSCALL: i32 = 1_000_003;
    pub const GC: i32 = 1_000_004;
    pub const PROFILE: i32 = 1_000_005;
}

/// One event.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Event {
    pub ts: i64,
    pub g: u64,
    pub args: [u64; 4],
    pub stack: u32,
    pub p: i32,
    pub typ: u8,
}

/// A frame by string ids: address, function, file, line.
pub(super) type Frame = [u64; 4];

/// An event as it stands there.
#[derive(Default)]
struct Raw {
    typ: u8,
    args: Vec<u64>,
    text: Vec<u8>,
    batch: Option<i32>,
}

/// Where a batch is, and how many events are in it.
#[derive(Clone, Copy, Debug)]
struct Batch {
    at: u64,
    end: u64,
    count: usize,
}

/// A P and its batches.
#[derive(Default)]
struct Proc {
    id: i32,
    batches: Vec<Batch>,
    /// The next one to be read.
    next: usize,
}

/// Reads a trace of v1, batch by batch. It is read more than once: what is told of strings and stacks is taken the first time.
pub(super) struct Parser {
    store: Arc<dyn Store>,
    /// A part of it, where that begins, and the place in the part.
    data: Vec<u8>,
    base: u64,
    off: usize,
    /// It reaches to the end of the file.
    whole: bool,
    samples: bool,
    /// Ps in the order in which they come.
    procs: Vec<Proc>,
    by_p: FxHashMap<i32, usize>,
    pub strings: FxHashMap<u64, String>,
    pub inline: Vec<String>,
    inline_ids: FxHashMap<String, u64>,
    pub stacks: FxHashMap<u32, Vec<Frame>>,
    frames: FxHashMap<u64, Frame>,
    /// Strings and stacks are known.
    again: bool,
    ticks_per_second: i64,
    cpu: Vec<Event>,
    timers: FxHashSet<u64>,
    last: (i64, u64, i32),
    last_g: FxHashMap<i32, u64>,
}

const VARINT: &str = "malformatted base-128 varint";
/// Longest argument list and text.
const MAX_ARGS: u64 = 2048;
const MAX_TEXT: u64 = 1_000_000;
/// Bytes that are read at once while batches are looked for, and how many have to be there for one event: more than the longest has.
const WINDOW: usize = 8 << 20;
const EVENT: usize = 2 << 20;
/// Longest batch, bytes: the runtime's have 64 KiB, and what stands behind the last one is all stacks.
const MAX_BATCH: u64 = 64 << 20;

fn form<T>(what: impl Into<String>) -> Result<T, Trouble> {
    Err(Trouble::form(what))
}

/// Times contradict the order of things.
pub(super) fn time_order() -> Trouble {
    Trouble::order("time stamps out of order")
}

impl Parser {
    /// Finds the batches.
    pub(super) fn new(store: Arc<dyn Store>, format: &Format) -> Result<Parser, Trouble> {
        let mut p = Parser {
            store,
            data: Vec::new(),
            base: HEADER as u64,
            off: 0,
            whole: false,
            samples: format.samples,
            procs: Vec::new(),
            by_p: FxHashMap::default(),
            strings: FxHashMap::default(),
            inline: Vec::new(),
            inline_ids: FxHashMap::default(),
            stacks: FxHashMap::default(),
            frames: FxHashMap::default(),
            again: false,
            ticks_per_second: 0,
            cpu: Vec::new(),
            timers: FxHashSet::default(),
            last: (0, 0, 0),
            last_g: FxHashMap::default(),
        };
        p.collect()?;
        p.cpu.sort_by_key(|e| e.ts);
        Ok(p)
    }

    /// Ps in the order in which they come, and CPU samples.
    pub(super) fn parts(&self) -> (impl Iterator<Item = i32> + '_, Vec<Event>) {
        (self.procs.iter().map(|p| p.id), self.cpu.clone())
    }

    /// All batches are read once more.
    pub(super) fn begin_again(&mut self) {
        self.again = true;
        self.procs.iter_mut().for_each(|p| p.next = 0);
        self.last = (0, 0, 0);
        self.last_g.clear();
    }

    /// Length of a clock unit, ns. All batches have to have been read.
    pub(super) fn tick(&self) -> Result<f64, Trouble> {
        if self.ticks_per_second == 0 {
            return form("no EvFrequency event");
        }
        Ok(1e9 / self.ticks_per_second as f64)
    }

    /// An event in its place: its time since `first`, ns, and on which of the Ps that are none it is.
    pub(super) fn place(&self, e: &mut Event, first: i64, tick: f64) {
        e.ts = (e.ts.wrapping_sub(first) as f64 * tick) as i64;
        if e.typ == ev::GO_UNBLOCK && self.timers.contains(&e.g) {
            e.p = fake::TIMER;
        }
        if e.typ == ev::GO_SYS_EXIT {
            e.p = fake::SYSCALL;
        }
    }

    /// Goes on so that a whole event is there, if there is one.
    fn fill(&mut self) -> Result<(), Trouble> {
        if self.whole || self.data.len() - self.off >= EVENT {
            return Ok(());
        }
        self.data.drain(..self.off);
        self.base += self.off as u64;
        self.off = 0;
        let mut have = self.data.len();
        self.data.resize(WINDOW, 0);
        while have < WINDOW {
            match self.store.read_at(self.base + have as u64, &mut self.data[have..])? {
                0 => {
                    self.whole = true;
                    break;
                }
                n => have += n,
            }
        }
        self.data.truncate(have);
        Ok(())
    }

    /// First pass: where batches are, and CPU samples.
    fn collect(&mut self) -> Result<(), Trouble> {
        let mut raw = Raw::default();
        let mut current = 0;
        let mut before: Option<usize> = None;
        loop {
            self.fill()?;
            let at = self.base + self.off as u64;
            if !self.raw(true, &mut raw)? {
                break;
            }
            if let Some(i) = before {
                self.ends(i, self.base + self.off as u64);
            }
            if raw.typ == 0 {
                continue;
            }
            if let Some(p) = raw.batch {
                if let Some(i) = before {
                    self.ends(i, at);
                }
                let (procs, new) = (&mut self.procs, self.by_p.len());
                let i = *self.by_p.entry(p).or_insert_with(|| {
                    procs.push(Proc { id: p, ..Proc::default() });
                    new
                });
                self.procs[i].batches.push(Batch { at, end: self.base + self.off as u64, count: 0 });
                (current, before) = (p, Some(i));
            }
            let batch = self.by_p.get(&current).and_then(|i| self.procs[*i].batches.last_mut());
            match batch {
                Some(b) => b.count += 1,
                None => {
                    return form(format!(
                        "read event {} with current P of {current}, but P has no batches yet",
                        raw.typ
                    ));
                }
            }
            if raw.typ == ev::CPU_SAMPLE {
                let &[_, ts, p, g, stack] = raw.args.as_slice() else {
                    return form(format!("CPU sample has wrong number of arguments: want 5, got {}", raw.args.len()));
                };
                let args = [0, p, g, 0];
                self.cpu.push(Event { ts: ts.cast_signed(), g, args, stack: stack as u32, p: p as i32, typ: raw.typ });
            }
        }
        Ok(())
    }

    /// The last batch of a P reaches to here.
    fn ends(&mut self, proc: usize, end: u64) {
        if let Some(b) = self.procs.get_mut(proc).and_then(|p| p.batches.last_mut()) {
            b.end = end;
        }
    }

    fn value(&mut self) -> Result<u64, Trouble> {
        let (v, at) = uvarint(&self.data, self.off).ok_or_else(|| Trouble::form(VARINT))?;
        self.off = at;
        Ok(v)
    }

    fn take(&mut self, n: u64) -> Result<std::ops::Range<usize>, Trouble> {
        let end = usize::try_from(n).ok().and_then(|n| self.off.checked_add(n));
        let Some(end) = end.filter(|e| *e <= self.data.len()) else {
            return form("failed to read trace: unexpected end");
        };
        let bytes = self.off..end;
        self.off = end;
        Ok(bytes)
    }

    /// The next raw event; false at the end. On the first pass (`skim`) arguments are skipped where they can be.
    fn raw(&mut self, skim: bool, raw: &mut Raw) -> Result<bool, Trouble> {
        let Some(&b) = self.data.get(self.off) else { return Ok(false) };
        self.off += 1;
        let (typ, narg) = (b & 0x3f, (b >> 6) + 1);
        raw.args.clear();
        raw.text.clear();
        (raw.typ, raw.batch) = (typ, None);
        if typ == 0 || typ >= ev::COUNT || (typ == ev::CPU_SAMPLE && !self.samples) {
            return form(format!("unknown event type {typ}"));
        }
        match typ {
            ev::STRING => {
                raw.typ = 0;
                self.string(skim || self.again)?;
            }
            ev::BATCH => {
                if narg != 2 {
                    return form(format!("EvBatch has wrong number of arguments: got {narg}, want 2"));
                }
                let (pid, ticks) = (self.value()?, self.value()?);
                if pid != u64::MAX && pid > i32::MAX as u64 {
                    return form(format!("processor ID {pid} is larger than maximum"));
                }
                raw.args.extend([pid, ticks]);
                raw.batch = Some(pid.cast_signed() as i32);
            }
            _ if narg <= 3 => {
                for _ in 0..narg {
                    let v = self.value()?;
                    raw.args.push(v);
                }
            }
            _ => self.long(skim, typ, raw)?,
        }
        Ok(true)
    }

    fn string(&mut self, skim: bool) -> Result<(), Trouble> {
        let (id, len) = (self.value()?, self.value()?);
        if skim {
            return self.take(len).map(|_| ());
        }
        if id == 0 {
            return form("string has invalid id 0");
        }
        if self.strings.get(&id).is_some_and(|s| !s.is_empty()) {
            return form(format!("string has duplicate id {id}"));
        }
        if len == 0 {
            return form("string has invalid length 0");
        }
        if len > MAX_TEXT {
            return form(format!("string has too large length {len}"));
        }
        let bytes = self.take(len)?;
        let text = String::from_utf8_lossy(&self.data[bytes]).into_owned();
        self.strings.insert(id, text);
        Ok(())
    }

    fn long(&mut self, skim: bool, typ: u8, raw: &mut Raw) -> Result<(), Trouble> {
        let len = self.value()?;
        if len > MAX_ARGS {
            return form(format!("failed to read event {typ} argument: length-prefixed argument too big: {len} bytes"));
        }
        let bytes = self.take(len)?;
        if !skim || typ == ev::CPU_SAMPLE {
            let (bytes, mut at) = (&self.data[bytes], 0);
            while at < bytes.len() {
                let (v, next) = uvarint(bytes, at).ok_or_else(|| Trouble::form(VARINT))?;
                raw.args.push(v);
                at = next;
            }
        }
        if typ == ev::LOG {
            let len = self.value()?;
            if !skim && len > MAX_TEXT {
                return form(format!("string is too large (len={len})"));
            }
            let bytes = self.take(len)?;
            if !skim {
                raw.text.extend_from_slice(&self.data[bytes]);
            }
        }
        Ok(())
    }

    /// The next batch of a P; none if there is no more.
    pub(super) fn batch(&mut self, p: i32) -> Result<Option<VecDeque<Event>>, Trouble> {
        let Some(proc) = self.by_p.get(&p).and_then(|i| self.procs.get_mut(*i)) else { return Ok(None) };
        let Some(Batch { at, end, count }) = proc.batches.get(proc.next).copied() else { return Ok(None) };
        proc.next += 1;
        let len = end - at;
        if len > MAX_BATCH {
            let what = "bytes of a batch in a trace of Go 1.21 or before";
            return Err(Trouble::Limit { what, limit: MAX_BATCH as usize });
        }
        self.data.resize(len as usize, 0);
        (self.base, self.off) = (at, 0);
        if !self.store.fill(at, &mut self.data)? {
            return form("failed to read trace: unexpected end");
        }
        let mut out = VecDeque::with_capacity(count);
        let mut raw = Raw::default();
        let mut header = false;
        while self.raw(false, &mut raw)? {
            if raw.typ == 0 || raw.typ == ev::CPU_SAMPLE {
                continue;
            }
            if raw.typ == ev::BATCH {
                if header {
                    break;
                }
                header = true;
            }
            if let Some(e) = self.event(&raw)? {
                out.push_back(e);
            }
        }
        Ok(Some(out))
    }

    fn event(&mut self, raw: &Raw) -> Result<Option<Event>, Trouble> {
        let (name, args, stack) = EVENTS[usize::from(raw.typ)];
        let plain = matches!(raw.typ, ev::BATCH | ev::FREQUENCY | ev::TIMER_GOROUTINE);
        let want = usize::from(args) + usize::from(stack) + usize::from(!plain);
        if raw.typ != ev::STACK && raw.args.len() != want {
            return form(format!("{name} has wrong number of arguments: want {want}, got {}", raw.args.len()));
        }
        match raw.typ {
            ev::BATCH => {
                self.last_g.insert(self.last.2, self.last.1);
                let p = raw.args[0].cast_signed() as i32;
                let g = self.last_g.get(&p).copied().unwrap_or(0);
                self.last = (raw.args[1].cast_signed(), g, p);
            }
            ev::FREQUENCY => {
                self.ticks_per_second = raw.args[0].cast_signed();
                if self.ticks_per_second <= 0 {
                    return Err(time_order());
                }
            }
            ev::TIMER_GOROUTINE => {
                self.timers.insert(raw.args[0]);
            }
            ev::STACK if self.again => {}
            ev::STACK => self.stack(&raw.args)?,
            _ => return Ok(Some(self.timed(raw, stack))),
        }
        Ok(None)
    }

    fn stack(&mut self, args: &[u64]) -> Result<(), Trouble> {
        let &[id, size, ref rest @ ..] = args else {
            return form(format!("EvStack has wrong number of arguments: want at least 2, got {}", args.len()));
        };
        if size > 1000 {
            return form(format!("EvStack has bad number of frames: {size}"));
        }
        if rest.len() as u64 != 4 * size {
            return form(format!("EvStack has wrong number of arguments: want {}, got {}", 2 + 4 * size, args.len()));
        }
        let id = id as u32;
        if id != 0 && size > 0 {
            // As in Go: the first frame seen with an address stands for all.
            let frames = rest.chunks_exact(4).map(|f| *self.frames.entry(f[0]).or_insert([f[0], f[1], f[2], f[3]]));
            self.stacks.insert(id, frames.collect());
        }
        Ok(())
    }

    fn timed(&mut self, raw: &Raw, stack: bool) -> Event {
        self.last.0 = self.last.0.wrapping_add(raw.args[0].cast_signed());
        let mut e = Event { ts: self.last.0, g: self.last.1, p: self.last.2, typ: raw.typ, ..Event::default() };
        let mut args = &raw.args[1..];
        if let (true, Some((last, rest))) = (stack, args.split_last()) {
            (e.stack, args) = (*last as u32, rest);
        }
        for (to, from) in e.args.iter_mut().zip(args) {
            *to = *from;
        }
        match raw.typ {
            ev::GO_START | ev::GO_START_LOCAL | ev::GO_START_LABEL => {
                e.g = e.args[0];
                self.last.1 = e.g;
            }
            ev::GO_END..=ev::GO_BLOCK | ev::GO_BLOCK_SEND..=ev::GO_BLOCK_NET | ev::GO_SYS_BLOCK | ev::GO_BLOCK_GC => {
                self.last.1 = 0;
            }
            ev::GO_SYS_EXIT | ev::GO_WAITING | ev::GO_IN_SYSCALL => e.g = e.args[0],
            ev::LOG => {
                let text = String::from_utf8_lossy(&raw.text).into_owned();
                let new = self.inline.len() as u64;
                let inline = &mut self.inline;
                e.args[3] = *self.inline_ids.entry(text).or_insert_with_key(|t| {
                    inline.push(t.clone());
                    new
                });
            }
            _ => {}
        }
        e
    }
}
