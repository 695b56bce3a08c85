//! A trace from its first to its last event.

use super::event::Event;
use super::fault::{Fault, Trouble};
use super::format::{Format, SPECS};
use super::generation::{Generation, Source};
use super::merge::Merge;
use super::order::{Ordering, Out};
use super::scan::Scanner;
use super::store::Store;
use super::tables::Tables;
use super::v1;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

/// What is done about damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// What Go's reader refuses is refused, at the same event.
    Strict,
    /// What can be read is read: damage is named, and the next generation goes on.
    Tolerant,
}

/// Latest time that is told but in strict mode, ns: 36 years. Whatever a file claims, times can then be subtracted and added.
const LATEST: i64 = 1 << 60;

/// Events of a chunk: few enough that what one thread wrote is still near when the next one reads it.
const CHUNK: usize = 1024;

/// A run of events of one generation.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    /// Events in order. The first of a generation is its mark; the last of all is one, too.
    pub events: Vec<Event>,
    /// What they refer to.
    pub tables: Arc<Tables>,
    /// Names of tasks that end, which the tables need not have: the fourth argument counts them from 1.
    pub names: Vec<Arc<str>>,
    /// The generation that begins with the first event.
    pub begins: Option<Begin>,
    /// From here to the next generation nothing is known.
    pub broken: bool,
    /// What was wrong here.
    pub faults: Vec<Fault>,
}

/// A generation, as an index has it.
#[derive(Clone, Copy, Debug)]
pub struct Begin {
    /// Its number.
    pub number: u64,
    /// Where it is in the file.
    pub at: u64,
    /// Where it ends there.
    pub end: u64,
    /// Nothing of it is missing.
    pub complete: bool,
}

/// Generations read by another thread, one ahead.
struct Ahead(Receiver<Result<Option<Generation>, Fault>>);

impl Source for Ahead {
    fn next(&mut self) -> Result<Option<Generation>, Fault> {
        // The last message is an end or an error; without one the thread that reads is gone.
        let gone = || Err(Trouble::Io("reading ended before its time".into()).at(0, None));
        self.0.recv().unwrap_or_else(|_| gone())
    }
}

fn ahead(mut scanner: Scanner) -> std::io::Result<Ahead> {
    let (to, from) = sync_channel(1);
    thread::Builder::new().name("trace-scan".into()).spawn(move || {
        loop {
            let next = scanner.next();
            let last = !matches!(next, Ok(Some(_)));
            if to.send(next).is_err() || last {
                return;
            }
        }
    })?;
    Ok(Ahead(from))
}

/// Reads a trace of any version.
pub struct Reader {
    /// Its format.
    pub format: Format,
    mode: Mode,
    store: Arc<dyn Store>,
    source: Box<dyn Source>,
    order: Ordering,
    merge: Option<Merge>,
    v1: Option<v1::Converter>,
    last: i64,
    marks: u64,
    failed: Option<Fault>,
    done: bool,
}

impl Reader {
    /// Opens a trace. One of v1 is read to its end here, twice.
    pub fn open(store: Arc<dyn Store>, mode: Mode) -> Result<Reader, Fault> {
        let (format, scanner) = Scanner::open(store.clone(), mode == Mode::Strict)?;
        let v1 = match format.generations {
            false => Some(v1::read(store.clone(), &format)?),
            true => None,
        };
        let source = ahead(scanner).map_err(|e| Trouble::from(e).at(0, None))?;
        Ok(Reader::new(format, mode, store, Box::new(source), v1))
    }

    /// One generation of a trace of v2, by itself: what was there before is heard of when it is met.
    pub fn of_generation(store: Arc<dyn Store>, begin: &Begin) -> Result<Reader, Fault> {
        let (format, mut scanner) = Scanner::open(store.clone(), false)?;
        scanner.seek(begin.at);
        Ok(Reader::new(format, Mode::Tolerant, store, Box::new(Once(Some(scanner))), None))
    }

    fn new(
        format: Format,
        mode: Mode,
        store: Arc<dyn Store>,
        source: Box<dyn Source>,
        v1: Option<v1::Converter>,
    ) -> Reader {
        Reader {
            format,
            mode,
            store,
            source,
            order: Ordering::new(mode == Mode::Strict),
            merge: None,
            v1,
            last: 0,
            marks: 0,
            failed: None,
            done: false,
        }
    }

    /// The next events, in place of those in `chunk`; false at the end. A fault is the last thing said.
    pub fn next(&mut self, chunk: &mut Chunk) -> Result<bool, Fault> {
        chunk.events.clear();
        chunk.names.clear();
        chunk.faults.clear();
        (chunk.begins, chunk.broken) = (None, false);
        if let Some(f) = self.failed.take() {
            self.done = true;
            return Err(f);
        }
        if self.done {
            return Ok(false);
        }
        if let Some(v1) = &mut self.v1 {
            let strict = self.mode == Mode::Strict;
            self.done = !v1.next(chunk, CHUNK, strict);
            if !strict {
                chunk.events.iter_mut().for_each(|e| e.time = e.time.clamp(-1, LATEST));
            }
            if strict && let Some(f) = chunk.faults.pop() {
                self.failed = Some(f);
            }
            return Ok(true);
        }
        if self.merge.is_none() {
            return self.install(chunk);
        }
        self.run(chunk);
        Ok(true)
    }

    fn mark(&mut self, time: i64, chunk: &mut Chunk) {
        self.marks += 1;
        let mut e = Event::mark(time, self.marks);
        self.fix(&mut e);
        chunk.events.push(e);
    }

    /// Times rise, whatever the clocks say.
    #[inline]
    fn fix(&mut self, e: &mut Event) {
        if self.mode == Mode::Tolerant {
            e.time = e.time.min(LATEST);
        }
        e.time = e.time.max(self.last.saturating_add(1));
        self.last = e.time;
    }

    fn install(&mut self, chunk: &mut Chunk) -> Result<bool, Fault> {
        match self.source.next() {
            Ok(Some(mut g)) => {
                chunk.begins = Some(Begin { number: g.number, at: g.at, end: g.end, complete: g.complete });
                chunk.faults.append(&mut g.faults);
                chunk.tables = g.tables.clone();
                let (time, at) = (g.tables.ns(g.first), g.at);
                let (merge, first) = Merge::begin(g, self.store.clone(), &mut self.order);
                match first {
                    Err(t) if self.mode == Mode::Strict => {
                        self.done = true;
                        return Err(t.at(at, Some(merge.number)));
                    }
                    Err(t) => chunk.faults.push(t.at(at, Some(merge.number))),
                    Ok(()) => {}
                }
                self.merge = Some(merge);
                self.mark(time, chunk);
            }
            end => {
                chunk.tables = Arc::default();
                self.mark(self.last, chunk);
                match end {
                    Err(f) if self.mode == Mode::Strict => self.failed = Some(f),
                    Err(f) => {
                        chunk.faults.push(f);
                        self.done = true;
                    }
                    _ => self.done = true,
                }
            }
        }
        Ok(true)
    }

    fn run(&mut self, chunk: &mut Chunk) {
        let Some(mut merge) = self.merge.take() else { return };
        chunk.tables.clone_from(&merge.tables);
        let mut end = Ok(true);
        while chunk.events.len() < CHUNK {
            let before = chunk.events.len();
            end = merge.step(&mut self.order, &mut Out { events: &mut chunk.events, names: &mut chunk.names });
            if !matches!(end, Ok(true)) {
                break;
            }
            for i in before..chunk.events.len() {
                if let Err(t) = self.check(&mut chunk.events[i], &merge.tables) {
                    chunk.events.truncate(i);
                    end = Err(t);
                    break;
                }
            }
            if end.is_err() {
                break;
            }
        }
        if let Some(t) = merge.trouble.take()
            && !std::mem::replace(&mut merge.told, true)
        {
            chunk.faults.push(t.at(merge.at, Some(merge.number)));
        }
        match end {
            Ok(true) => self.merge = Some(merge),
            Ok(false) => {}
            Err(t) => {
                let f = t.at(merge.at, Some(merge.number));
                if self.mode == Mode::Strict {
                    self.failed = Some(f);
                } else {
                    chunk.faults.push(f);
                    chunk.broken = true;
                    self.order = Ordering::new(false);
                }
            }
        }
    }

    /// Are the strings and stacks there? Forgiving, missing ones are none.
    #[inline]
    fn check(&mut self, e: &mut Event, tables: &Tables) -> Result<(), Trouble> {
        let spec = &SPECS[usize::from(e.typ)];
        for i in spec.stacks.into_iter().filter(|i| *i != 0) {
            let id = &mut e.args[usize::from(i) - 1];
            if !tables.has_stack(*id) {
                if self.mode == Mode::Strict {
                    return Err(Trouble::form(format!("found invalid stack ID {id} for event {}", spec.name)));
                }
                *id = 0;
            }
        }
        for i in spec.strings.into_iter().filter(|i| *i != 0) {
            let id = &mut e.args[usize::from(i) - 1];
            if !tables.has_string(*id) {
                if self.mode == Mode::Strict {
                    return Err(Trouble::form(format!("found invalid string ID {id} for event {}", spec.name)));
                }
                *id = 0;
            }
        }
        self.fix(e);
        Ok(())
    }
}

/// One generation and no more.
struct Once(Option<Scanner>);

impl Source for Once {
    fn next(&mut self) -> Result<Option<Generation>, Fault> {
        self.0.take().map_or(Ok(None), |mut s| s.next())
    }
}
