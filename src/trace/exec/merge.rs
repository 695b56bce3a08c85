//! The events of one generation, thread by thread in the store, to one sequence. Of each thread one batch is in memory.

use super::event::{Event, NONE};
use super::fault::Trouble;
use super::format::{SPECS, ev};
use super::generation::{BatchRef, Generation};
use super::heap::Heap;
use super::order::{Ordering, Out, Raw};
use super::store::Store;
use super::tables::{Tables, uvarint};
use std::sync::Arc;

/// Where one thread is.
struct Cursor {
    m: i64,
    thread: Option<u32>,
    batches: std::vec::IntoIter<BatchRef>,
    data: Vec<u8>,
    off: usize,
    last: i64,
    ev: Raw,
}

impl Cursor {
    /// Goes to the next event; false at the end.
    fn next(&mut self, store: &dyn Store, tables: &Tables) -> Result<bool, Trouble> {
        while self.off == self.data.len() {
            let Some(b) = self.batches.next() else {
                self.data = Vec::new();
                self.off = 0;
                return Ok(false);
            };
            self.data.resize(b.len as usize, 0);
            self.off = 0;
            self.last = tables.ns(b.time);
            if !store.fill(b.at, &mut self.data)? {
                return Err(Trouble::Truncated);
            }
        }
        self.decode(tables)?;
        Ok(true)
    }

    #[inline]
    fn decode(&mut self, tables: &Tables) -> Result<(), Trouble> {
        let data = &self.data[..];
        let typ = data[self.off];
        let spec = &SPECS[usize::from(typ)];
        if !spec.timed {
            return Err(Trouble::form(format!("found event without a timestamp: type={typ}")));
        }
        let short = || Trouble::form("found invalid uvarint");
        let (dt, mut at) = uvarint(data, self.off + 1).ok_or_else(short)?;
        let mut args = [0; 4];
        for a in &mut args[..usize::from(spec.args)] {
            (*a, at) = uvarint(data, at).ok_or_else(short)?;
        }
        self.last = self.last.wrapping_add(tables.ns(dt));
        self.ev = Raw { time: self.last, args, typ };
        self.off = at;
        Ok(())
    }
}

/// A generation being merged.
pub struct Merge {
    /// Its strings and stacks.
    pub tables: Arc<Tables>,
    /// Its number.
    pub number: u64,
    /// Where it is in the file.
    pub at: u64,
    store: Arc<dyn Store>,
    cursors: Vec<Cursor>,
    heap: Heap,
    /// Parts are missing: what cannot come next comes nevertheless.
    torn: bool,
    /// What was got over.
    pub(super) trouble: Option<Trouble>,
    /// And said.
    pub(super) told: bool,
    samples: std::vec::IntoIter<super::tables::Sample>,
}

/// Why a merge ended before its time: events that came out before it stand.
pub(super) type End = Result<bool, Trouble>;

impl Merge {
    /// Begins. The first event of each thread is read.
    pub(super) fn begin(g: Generation, store: Arc<dyn Store>, order: &mut Ordering) -> (Merge, Result<(), Trouble>) {
        let mut m = Merge {
            torn: !g.complete,
            trouble: None,
            told: false,
            tables: g.tables,
            number: g.number,
            at: g.at,
            store,
            cursors: Vec::with_capacity(g.threads.len()),
            heap: Heap::default(),
            samples: g.samples.into_iter(),
        };
        let mut found = Ok(());
        for t in g.threads {
            let raw = Raw { time: 0, args: [0; 4], typ: 0 };
            let batches = t.batches.into_iter();
            let thread = order.thread(t.m);
            let mut c = Cursor { m: t.m, thread, batches, data: Vec::new(), off: 0, last: 0, ev: raw };
            match c.next(m.store.as_ref(), &m.tables) {
                Ok(true) => {
                    m.heap.insert((c.ev.time, m.cursors.len() as u32));
                    m.cursors.push(c);
                }
                Ok(false) => {}
                Err(e) if found.is_ok() => found = Err(e),
                Err(_) => {}
            }
        }
        (m, found)
    }

    /// The next event or events, put behind those in `out`; false when there is nothing more.
    #[inline]
    pub(super) fn step(&mut self, order: &mut Ordering, out: &mut Out<'_>) -> End {
        let Some(&(time, head)) = self.heap.0.first() else {
            return Ok(self.sample(out));
        };
        if self.samples.as_slice().first().is_some_and(|s| s.time < time) {
            return Ok(self.sample(out));
        }
        if self.torn {
            return self.tear(order, out);
        }
        if self.advance(0, head, order, out)? {
            return Ok(true);
        }
        self.others(order, out)
    }

    /// Rare: somebody else's event has to come first.
    fn others(&mut self, order: &mut Ordering, out: &mut Out<'_>) -> End {
        self.heap.sort();
        for i in 1..self.heap.0.len() {
            if self.advance(i, self.heap.0[i].1, order, out)? {
                return Ok(true);
            }
        }
        Err(Trouble::Stuck(self.frontier()))
    }

    /// As a step, with parts missing: the first in time comes if nobody else can, and what makes no sense is left out.
    fn tear(&mut self, order: &mut Ordering, out: &mut Out<'_>) -> End {
        let before = out.events.len();
        let mut next = self.advance(0, self.heap.0[0].1, order, out);
        if let Ok(false) = next {
            next = self.others(order, out);
        }
        let Err(t) = next else { return next };
        out.events.truncate(before);
        let stuck = matches!(t, Trouble::Stuck(_));
        self.trouble.get_or_insert(t);
        let Some(&(_, c)) = self.heap.0.first() else { return Ok(true) };
        if stuck {
            let cursor = &self.cursors[c as usize];
            order.force(&cursor.ev, cursor.thread, self.number, out)?;
            if let Ok(true) = self.advance(0, c, order, out) {
                return Ok(true);
            }
            out.events.truncate(before);
        }
        let Some(&(_, c)) = self.heap.0.first() else { return Ok(true) };
        let cursor = &mut self.cursors[c as usize];
        match cursor.next(self.store.as_ref(), &self.tables) {
            Ok(true) => {
                let time = cursor.ev.time;
                self.heap.update(0, time);
            }
            Ok(false) | Err(_) => self.heap.remove(0),
        }
        Ok(true)
    }

    #[inline]
    fn advance(&mut self, i: usize, c: u32, order: &mut Ordering, out: &mut Out<'_>) -> End {
        let cursor = &mut self.cursors[c as usize];
        let before = out.events.len();
        if !order.advance(&cursor.ev, cursor.thread, cursor.m, self.number, &self.tables, out)? {
            return Ok(false);
        }
        match cursor.next(self.store.as_ref(), &self.tables) {
            Ok(true) => {
                let time = cursor.ev.time;
                self.heap.update(i, time);
            }
            Ok(false) => self.heap.remove(i),
            Err(e) => {
                out.events.truncate(before);
                return Err(e);
            }
        }
        Ok(true)
    }

    fn sample(&mut self, out: &mut Out<'_>) -> bool {
        let Some(s) = self.samples.next() else { return false };
        let args = [s.stack, 0, 0, 0];
        out.events.push(Event { time: s.time, m: s.m, p: s.p, g: s.g, args, typ: ev::CPU_SAMPLE });
        true
    }

    /// What each thread would do next, for the message.
    fn frontier(&self) -> String {
        let mut text = String::new();
        for &(_, c) in self.heap.0.iter().take(4) {
            let c = &self.cursors[c as usize];
            let m = if c.m == NONE { "no thread".to_string() } else { format!("thread {}", c.m) };
            let args = usize::from(SPECS[usize::from(c.ev.typ)].args);
            let name = SPECS[usize::from(c.ev.typ)].name;
            text += &format!("{m}: {name} at {} {:?}; ", c.ev.time, &c.ev.args[..args]);
        }
        match self.heap.0.len() {
            n if n > 4 => text + &format!("and {} more", n - 4),
            _ => text.trim_end_matches("; ").to_string(),
        }
    }
}
