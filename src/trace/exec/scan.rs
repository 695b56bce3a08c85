//! From bytes to generations: batch headers are read, tables are taken in, batches of events are noted.
//!
//! Strict, it takes and refuses what Go's reader does. Else what is damaged is named and left out: a batch that makes no sense is skipped, a
//! header that makes none is looked for further on (the padded length of a batch is hard to mistake), and the end of the file ends a generation.

use super::event::NONE;
use super::fault::{Fault, Trouble};
use super::format::{Format, HEADER, ev, header, limit};
use super::generation::{BatchRef, Generation, MAX_BATCHES, MAX_THREADS, Source, Thread};
use super::store::Store;
use super::tables::{Sample, Tables, to_ns, uvarint};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Bytes looked at for a header.
const WINDOW: usize = 4 << 10;
/// A generation remembers this many faults.
const MAX_FAULTS: usize = 16;

/// A batch header.
#[derive(Clone, Copy, Debug)]
struct Head {
    /// Number of its generation; 0 for a mark.
    generation: u64,
    m: i64,
    time: u64,
    experiment: u8,
    at: u64,
    data: u64,
    len: u32,
    /// First byte of the payload.
    first: Option<u8>,
}

impl Head {
    fn end(&self) -> u64 {
        self.data + u64::from(self.len)
    }
    /// First byte of the payload of a batch that is not experimental.
    fn class(&self) -> u8 {
        if self.experiment == 0 { self.first.unwrap_or(0) } else { 0 }
    }
}

/// What stands at a place.
enum Next {
    Batch(Head),
    End,
}

/// Reads batch headers out of a store.
struct Window {
    store: Arc<dyn Store>,
    buf: Vec<u8>,
    at: u64,
}

impl Window {
    /// Up to `want` bytes from `at` on: fewer only at the end.
    fn bytes(&mut self, at: u64, want: usize) -> Result<&[u8], Trouble> {
        let have = at.checked_sub(self.at).and_then(|d| usize::try_from(d).ok()).filter(|d| d + want <= self.buf.len());
        if have.is_none() {
            self.buf.resize(want.max(WINDOW), 0);
            let mut done = 0;
            // A stream is waited for only as long as what is wanted needs it.
            while done < want {
                match self.store.read_at(at + done as u64, &mut self.buf[done..])? {
                    0 => break,
                    n => done += n,
                }
            }
            self.buf.truncate(done);
            self.at = at;
        }
        let d = have.unwrap_or(0);
        Ok(&self.buf[d..(d + want).min(self.buf.len())])
    }

    /// Longest run of bytes from `at` on that can be had without waiting for more than one byte.
    fn some(&mut self, at: u64, longest: usize) -> Result<&[u8], Trouble> {
        // Headers of a stream must not be waited for beyond their end.
        let mut want = 1;
        while want < longest {
            let there = self.store.len().saturating_sub(at).min(longest as u64) as usize;
            if there >= longest {
                want = longest;
                break;
            }
            let have = self.bytes(at, want.max(there))?.to_vec();
            if have.len() < want || complete(&have) {
                want = have.len();
                break;
            }
            want = have.len() + 1;
        }
        self.bytes(at, want)
    }

    /// The batch at `at`.
    fn head(&mut self, at: u64) -> Result<Next, Trouble> {
        let bytes = self.some(at, 64)?;
        let Some(&typ) = bytes.first() else { return Ok(Next::End) };
        if typ == ev::END_OF_GENERATION {
            let first = Some(typ);
            return Ok(Next::Batch(Head {
                generation: 0,
                m: NONE,
                time: 0,
                experiment: 0,
                at,
                data: at + 1,
                len: 0,
                first,
            }));
        }
        if typ != ev::BATCH && typ != ev::EXPERIMENTAL_BATCH {
            return Err(Trouble::form(format!("expected batch event, got event {typ}")));
        }
        let mut pos = 1;
        let mut experiment = 0;
        if typ == ev::EXPERIMENTAL_BATCH {
            // As in Go: the file may end here, and that is the end.
            let Some(&e) = bytes.get(1) else { return Ok(Next::End) };
            (experiment, pos) = (e, 2);
        }
        let mut field = |what: &str| {
            let (v, next) = uvarint(bytes, pos).ok_or_else(|| Trouble::form(format!("error reading batch {what}")))?;
            pos = next;
            Ok::<u64, Trouble>(v)
        };
        let (generation, m, time, len) = (field("gen")?, field("M ID")?, field("timestamp")?, field("size")?);
        if len > limit::BATCH {
            return Err(Trouble::form(format!("invalid batch size {len}, maximum is {}", limit::BATCH)));
        }
        let data = at + pos as u64;
        let mut h = Head { generation, m: m.cast_signed(), time, experiment, at, data, len: len as u32, first: None };
        if len > 0 {
            let mut last = [0];
            if !self.store.fill(h.end() - 1, &mut last)? {
                return Err(Trouble::form(format!("failed to read full batch: wanted {len}")));
            }
            h.first = self.bytes(data, 1)?.first().copied();
        }
        Ok(Next::Batch(h))
    }

    fn payload(&self, h: &Head) -> Result<Vec<u8>, Trouble> {
        let mut data = vec![0; h.len as usize];
        match self.store.fill(h.data, &mut data)? {
            true => Ok(data),
            false => Err(Trouble::form(format!("failed to read full batch: wanted {}", h.len))),
        }
    }
}

/// Is there a whole header, or something that is none?
fn complete(bytes: &[u8]) -> bool {
    let from = match bytes.first() {
        Some(&ev::BATCH) => 1,
        Some(&ev::EXPERIMENTAL_BATCH) => 2,
        _ => return true,
    };
    let end = (0..4).try_fold(from, |at, _| {
        let len = bytes.get(at..)?.iter().take(10).position(|b| *b < 0x80)?;
        Some(at + len + 1)
    });
    end.is_some() || bytes.len() >= from + 40
}

/// A generation while it is read.
#[derive(Default)]
struct Building {
    number: u64,
    at: u64,
    first: u64,
    threads: Vec<Thread>,
    by_m: FxHashMap<i64, usize>,
    batches: usize,
    samples: Vec<Sample>,
    tables: Tables,
    faults: Vec<Fault>,
    begun: bool,
}

impl Building {
    fn begin(&mut self, h: &Head) {
        if !self.begun {
            (self.number, self.at, self.begun) = (h.generation, h.at, true);
        }
    }

    fn add(&mut self, h: &Head, window: &Window, format: &Format) -> Result<(), Trouble> {
        if self.first == 0 || h.time < self.first {
            self.first = h.time;
        }
        let clocks = if format.clocks { ev::SYNC } else { ev::FREQUENCY };
        match h.class() {
            ev::STRINGS => self.tables.read_strings(&window.payload(h)?),
            ev::STACKS => self.tables.read_stacks(&window.payload(h)?),
            ev::CPU_SAMPLES => self.tables.read_samples(&window.payload(h)?, &mut self.samples),
            c if c == clocks => self.tables.read_clocks(&window.payload(h)?, h.time, format),
            // What experiments add has its own form, and nothing that we show.
            _ if h.experiment != 0 => Ok(()),
            ev::END_OF_GENERATION => Err(Trouble::form("unexpected end of generation")),
            _ => self.note(h),
        }
    }

    fn note(&mut self, h: &Head) -> Result<(), Trouble> {
        self.batches += 1;
        if self.batches > MAX_BATCHES {
            return Err(Trouble::Limit { what: "batches in a generation", limit: MAX_BATCHES });
        }
        let new = self.threads.len();
        let i = *self.by_m.entry(h.m).or_insert(new);
        if i == new {
            if new >= MAX_THREADS {
                return Err(Trouble::Limit { what: "threads in a generation", limit: MAX_THREADS });
            }
            self.threads.push(Thread { m: h.m, batches: Vec::new() });
        }
        self.threads[i].batches.push(BatchRef { time: h.time, at: h.data, len: h.len });
        Ok(())
    }

    fn fault(&mut self, f: Fault) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(f);
        }
    }
}

/// Reads one generation after the other.
pub struct Scanner {
    window: Window,
    format: Format,
    strict: bool,
    pos: u64,
    /// Clock of the generation before, for one that is cut off before its own.
    unit_ns: Option<f64>,
    /// An error that comes once what was read before it is used up.
    failed: Option<Fault>,
}

impl Scanner {
    /// The format of a trace, and its generations.
    pub fn open(store: Arc<dyn Store>, strict: bool) -> Result<(Format, Scanner), Fault> {
        let mut head = [0; HEADER];
        let whole = store.fill(0, &mut head).map_err(|e| Trouble::from(e).at(0, None))?;
        let found = if whole { header(&head) } else { Err(None) };
        let format = found.map_err(|n| n.map_or(Trouble::NotATrace, Trouble::Version).at(0, None))?;
        let window = Window { store, buf: Vec::new(), at: 0 };
        Ok((format, Scanner { window, format, strict, pos: HEADER as u64, unit_ns: None, failed: None }))
    }

    /// Go on at another place, where a generation begins.
    pub fn seek(&mut self, at: u64) {
        (self.pos, self.failed) = (at, None);
    }

    /// A header that cannot be: where the next one is.
    fn resync(&mut self, from: u64, generation: u64) -> Result<Option<u64>, Trouble> {
        let mut at = from + 1;
        loop {
            let bytes = self.window.bytes(at, 64 << 10)?.to_vec();
            if bytes.is_empty() {
                return Ok(None);
            }
            for (i, _) in bytes.iter().enumerate().filter(|(_, b)| **b == ev::BATCH) {
                let here = at + i as u64;
                if !plausible(&bytes[i..], generation) {
                    continue;
                }
                if let Ok(Next::Batch(_)) = self.window.head(here) {
                    return Ok(Some(here));
                }
            }
            at += bytes.len().saturating_sub(64).max(1) as u64;
        }
    }

    fn strict(&mut self) -> Result<Option<Generation>, Fault> {
        let mut b = Building::default();
        let mut spilled = false;
        loop {
            let here = self.pos;
            let next = self.window.head(here);
            let h = match next {
                Ok(Next::Batch(h)) => h,
                Ok(Next::End) if !self.format.marks => break,
                Ok(Next::End) if b.threads.is_empty() => return Ok(None),
                Ok(Next::End) => return Err(Trouble::Truncated.at(here, Some(b.number))),
                // It may be the next generation's: what there is of this one is whole as far as anybody can tell.
                Err(t) if !self.format.marks && b.begun => {
                    self.failed = Some(t.at(here, Some(b.number)));
                    break;
                }
                Err(t) => return Err(t.at(here, b.begun.then_some(b.number))),
            };
            let fail = |t: Trouble| Err(t.at(here, Some(h.generation)));
            if self.format.marks {
                if b.number == 0 {
                    b.begin(&h);
                    b.number = h.generation;
                }
                if h.class() == ev::END_OF_GENERATION {
                    self.pos = h.end();
                    break;
                }
                if h.generation == 0 {
                    return fail(Trouble::form("invalid generation number 0"));
                }
                if h.generation != b.number {
                    return fail(Trouble::form(
                        "broken trace: missing end-of-generation event, or generations are interleaved",
                    ));
                }
            } else {
                if h.generation == 0 {
                    return fail(Trouble::form("invalid generation number 0"));
                }
                b.begin(&h);
                if h.generation == b.number.wrapping_add(1) {
                    spilled = true;
                    break;
                }
                if h.generation != b.number {
                    return fail(Trouble::form("generations out of order"));
                }
            }
            b.add(&h, &self.window, &self.format).map_err(|t| t.at(here, Some(h.generation)))?;
            self.pos = h.end();
        }
        // At the end of the file there is nothing more, unless it was the last generation that ended there.
        if !self.format.marks && !spilled && self.failed.is_none() {
            self.failed = Some(Trouble::Truncated.at(u64::MAX, None));
        }
        self.finish(b, true).map(Some)
    }

    fn tolerant(&mut self) -> Result<Option<Generation>, Fault> {
        let mut b = Building::default();
        let mut whole = true;
        loop {
            let here = self.pos;
            let h = match self.window.head(here) {
                Ok(Next::Batch(h)) => h,
                Ok(Next::End) => {
                    if !b.begun {
                        return Ok(None);
                    }
                    if self.format.marks {
                        whole = false;
                        b.fault(Trouble::Truncated.at(here, Some(b.number)));
                    }
                    break;
                }
                Err(t @ Trouble::Io(_)) => {
                    if !b.begun {
                        return Err(t.at(here, None));
                    }
                    whole = false;
                    b.fault(t.at(here, Some(b.number)));
                    self.pos = u64::MAX / 2;
                    break;
                }
                Err(t) => {
                    whole = false;
                    let last = if b.begun { b.number } else { 0 };
                    b.fault(t.at(here, b.begun.then_some(b.number)));
                    match self.resync(here, last).map_err(|t| t.at(here, None))? {
                        Some(at) => self.pos = at,
                        None => {
                            self.pos = u64::MAX / 2;
                            break;
                        }
                    }
                    continue;
                }
            };
            if h.class() == ev::END_OF_GENERATION {
                self.pos = h.end();
                if b.begun {
                    break;
                }
                continue;
            }
            b.begin(&h);
            if h.generation != b.number {
                if self.format.marks {
                    whole = false;
                    b.fault(Trouble::form("missing end-of-generation event").at(here, Some(b.number)));
                }
                break;
            }
            if let Err(t) = b.add(&h, &self.window, &self.format) {
                whole = false;
                b.fault(t.at(here, Some(b.number)));
            }
            self.pos = h.end();
        }
        if !b.begun && b.faults.is_empty() {
            return Ok(None);
        }
        self.finish(b, whole).map(Some)
    }

    /// What is asked of a whole generation; strict, or it is only noted.
    fn finish(&mut self, mut b: Building, mut whole: bool) -> Result<Generation, Fault> {
        let checks = [
            b.tables.unit_ns.is_none().then(|| Trouble::form("no frequency event found")),
            (self.format.clocks && b.tables.snapshot.is_none()).then(|| Trouble::form("no clock snapshot event found")),
            b.tables.check().err(),
        ];
        for t in checks.into_iter().flatten() {
            let f = t.at(b.at, Some(b.number));
            if self.strict {
                self.failed = Some(f.clone());
                return Err(f);
            }
            whole = false;
            b.fault(f);
        }
        let unit = *b.tables.unit_ns.get_or_insert(self.unit_ns.unwrap_or(64.0));
        self.unit_ns = Some(unit);
        for s in &mut b.samples {
            s.time = to_ns(s.time.cast_unsigned(), unit);
        }
        b.samples.sort_by_key(|s| s.time);
        let (tables, end) = (Arc::new(b.tables), self.pos);
        Ok(Generation {
            number: b.number,
            at: b.at,
            end,
            first: b.first,
            threads: b.threads,
            samples: b.samples,
            tables,
            complete: whole,
            faults: b.faults,
        })
    }
}

/// Do these bytes begin like a batch of this generation or one soon after it? The length is padded by every writer.
fn plausible(bytes: &[u8], generation: u64) -> bool {
    let header = || {
        let (g, at) = uvarint(bytes, 1)?;
        let (_, at) = uvarint(bytes, at)?;
        let (time, at) = uvarint(bytes, at)?;
        let (len, end) = uvarint(bytes, at)?;
        let near = generation == 0 || (g >= generation && g - generation < 1024);
        Some(g != 0 && near && time != 0 && end - at == 10 && len <= limit::BATCH)
    };
    header().unwrap_or(false)
}

impl Source for Scanner {
    fn next(&mut self) -> Result<Option<Generation>, Fault> {
        if !self.strict {
            return self.tolerant();
        }
        match self.failed.take() {
            Some(f) if f.at == u64::MAX => Ok(None),
            Some(f) => Err(f),
            None => self.strict(),
        }
    }
}
