//! An execution trace as a source of a timeline. It is read once, by threads of its own, while it is looked at; what is asked finer than the
//! columns made then is read again, generation by generation. What is kept does not grow with the file.

use super::Source;
use super::analysis::Analysis;
use super::analysis::restricted::Restricted;
use super::columns::Grid;
use super::exec::reader::Begin;
use super::exec::{Chunk, Fault, Mode, Reader, Store};
use super::followed::Followed;
use super::pyramid::Pyramid;
use super::search::{Search, Wanted, nearer};
use super::track::{Amounts, Tracker};
use super::zoom::{Again, Columns, Spans, read};
use crate::base::GoroutineId;
use crate::model::{
    Found, Goroutine, Lane, LaneKind, Location, Mark, MarkQuery, Overview, Span, TimelineQuery, TimelineSource,
    TimelineSummary, TimelineView, TraceFilter, TraceReport, TraceReportKind,
};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// Faults remembered.
const FAULTS: usize = 32;
/// Generations in the index: 18 hours of one-second ones.
const MAX_INDEX: usize = 1 << 16;
/// Bytes that are read again for one view or list of spans.
const AGAIN: u64 = 128 << 20;
/// A generation with more bytes is not read to its end for a view of its begin.
const LARGE: u64 = 16 << 20;
/// Bytes that are searched before somebody is told how far it went.
const SEARCH: u64 = 64 << 20;
/// Spans of one generation that are looked through for the next change.
const CHANGES: usize = 1 << 20;
/// Chunks on their way.
const AHEAD: usize = 16;

/// A generation, where it is and what there was when it began.
#[derive(Clone, Copy)]
struct Indexed {
    begin: Begin,
    from: i64,
    amounts: Amounts,
}

/// How much was read again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    All,
    /// As much as may be.
    Part,
    /// Nothing: it would be too much.
    TooMuch,
}

/// What has been read.
#[derive(Default)]
struct Inner {
    analysis: Analysis,
    tracker: Tracker,
    pyramid: Pyramid,
    index: Vec<Indexed>,
    faults: VecDeque<Fault>,
    fault_count: u64,
    wall_ns: Option<i64>,
    done: bool,
}

#[derive(Default)]
struct Shared {
    inner: Mutex<Inner>,
    /// Somebody wants to look.
    waiting: AtomicU32,
    stop: AtomicBool,
}

impl Shared {
    fn look(&self) -> MutexGuard<'_, Inner> {
        self.waiting.fetch_add(1, Relaxed);
        let inner = self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.waiting.fetch_sub(1, Relaxed);
        inner
    }
}

/// A trace, open.
pub struct TraceFile {
    store: Arc<dyn Store>,
    shared: Arc<Shared>,
    /// Releases that write its format.
    pub releases: &'static str,
    generations: bool,
    /// What was read again last: a screen asks for the same more than once.
    memo: Option<(Key, Vec<Lane>)>,
    /// Bytes that are read again for one view.
    again: u64,
    /// Lanes of goroutines and threads over more than that.
    followed: Option<Followed>,
    /// They are still being read.
    following: bool,
}

/// How far a trace is read, for those who must not wait for a view of it.
#[derive(Clone)]
pub struct Progress(Arc<Shared>);

impl Progress {
    /// First and last time.
    pub fn extent(&self) -> (i64, i64) {
        self.0.look().analysis.extent()
    }
}

/// What lanes that are read again depend on: columns, goroutines, threads, generations known, and how far the last is read.
type Key = (Grid, Vec<GoroutineId>, bool, usize, i64);

impl TraceFile {
    /// Opens a trace and begins to read it. It is an error if it is none; damage further on is told with the views.
    pub fn open(store: Arc<dyn Store>) -> Result<TraceFile, Fault> {
        let reader = Reader::open(store.clone(), Mode::Tolerant)?;
        let shared = Arc::<Shared>::default();
        let (releases, generations) = (reader.format.releases, reader.format.generations);
        start(reader, shared.clone()).map_err(|e| super::exec::Trouble::from(e).at(0, None))?;
        Ok(TraceFile {
            store,
            shared,
            releases,
            generations,
            memo: None,
            again: AGAIN,
            followed: None,
            following: false,
        })
    }

    /// Waits until all is read, or this long. Is it?
    pub fn wait(&self, longest: Duration) -> bool {
        let begin = std::time::Instant::now();
        while !self.shared.look().done {
            if begin.elapsed() >= longest {
                return false;
            }
            thread::sleep(Duration::from_millis(2));
        }
        true
    }

    /// How many bytes may be read again for one view or list of spans, instead of 128 MiB.
    pub fn read_again_at_most(&mut self, bytes: u64) {
        self.again = bytes;
    }

    /// How far it is read, now and later.
    pub fn progress(&self) -> Progress {
        Progress(self.shared.clone())
    }

    /// Is all read?
    pub fn done(&self) -> bool {
        self.shared.look().done
    }

    /// One report, on what has been read.
    pub fn report(&self, kind: TraceReportKind) -> TraceReport {
        self.shared.look().analysis.report(kind)
    }

    /// One report on a part of the trace, which is read again for it. `Err` says why there is none.
    pub fn report_of(&self, kind: TraceReportKind, of: TraceFilter) -> Result<TraceReport, String> {
        let part = Restricted::new(kind, of)?;
        let reader = Reader::open(self.store.clone(), Mode::Tolerant).map_err(|f| f.to_string())?;
        part.run(reader).map_err(|f| f.to_string())
    }

    /// What is wrong with the file: the first faults, and how many there are.
    pub fn faults(&self) -> (Vec<Fault>, u64) {
        let inner = self.shared.look();
        (inner.faults.iter().cloned().collect(), inner.fault_count)
    }

    /// Goroutines that are there where reading is, with the last stack that was told of each.
    pub fn goroutines(&self) -> Vec<(Goroutine, Vec<Location>)> {
        self.shared.look().analysis.goroutines()
    }

    /// Reads the generations that touch `[from, to)` again.
    fn again<S: Again>(
        &self,
        index: &[Indexed],
        (from, to): (i64, i64),
        (follow, threads): (&[GoroutineId], bool),
        out: &mut S,
    ) -> Result<Read, Fault> {
        let first = index.partition_point(|i| i.from <= from).saturating_sub(1);
        let touched: Vec<&Indexed> = index[first.min(index.len())..].iter().take_while(|i| i.from < to).collect();
        let size = |i: &Indexed| i.begin.end.saturating_sub(i.begin.at);
        if !S::IN_PARTS && touched.iter().map(|i| size(i)).sum::<u64>() > self.again {
            return Ok(Read::TooMuch);
        }
        let mut bytes = 0;
        for (n, i) in touched.iter().enumerate() {
            bytes += size(i);
            if n > 0 && bytes > self.again {
                return Ok(Read::Part);
            }
            let reader = match self.generations {
                true => Reader::of_generation(self.store.clone(), &i.begin)?,
                false => Reader::open(self.store.clone(), Mode::Tolerant)?,
            };
            let tracker = Tracker::from(i.amounts, follow.iter().copied()).threads(threads);
            // The mark behind a generation is no event of it.
            let until = touched.get(n + 1).map_or(to, |next| next.from.min(to));
            read(reader, tracker, (until, i.begin.end.saturating_sub(i.begin.at) > LARGE), out)?;
            if out.enough() {
                break;
            }
        }
        Ok(Read::All)
    }

    fn lanes(&mut self, q: &TimelineQuery, grid: Grid) -> (Vec<Lane>, Option<String>) {
        self.following = false;
        if q.goroutines.is_empty() && !q.threads {
            self.followed = None;
        }
        let shared = self.shared.clone();
        let mut inner = shared.look();
        let Inner { tracker, pyramid, analysis, index, done, .. } = &mut *inner;
        let coarse = grid.column_ns >= pyramid.column_ns();
        let mut lanes = Vec::new();
        if coarse {
            tracker.flush(analysis.extent().1, pyramid);
            lanes = pyramid.lanes(grid);
            if q.goroutines.is_empty() && !q.threads {
                return (lanes, None);
            }
        }
        let (index, end) = (index.clone(), analysis.extent().1);
        let key = (grid, q.goroutines.clone(), q.threads, index.len(), if *done { 0 } else { end });
        drop(inner);
        let fine = match &self.memo {
            Some((k, fine)) if *k == key => Ok(Some(fine.clone())),
            _ => {
                let mut columns = Columns::new(grid);
                let read = self.again(&index, (grid.from_ns, grid.to_ns()), (&q.goroutines, q.threads), &mut columns);
                read.map(|read| (read == Read::All).then(|| columns.lanes(grid.to_ns().min(end))))
            }
        };
        match fine {
            Ok(Some(fine)) => {
                self.memo = Some((key, fine.clone()));
                lanes.extend(fine.into_iter().filter(|l| !coarse || is_asked_for(l)));
                (lanes, None)
            }
            Ok(None) => {
                let mut note = None;
                if !coarse {
                    lanes = shared.look().pyramid.lanes(grid);
                    note = Some("too much to read again for this view: columns are coarser".to_string());
                }
                if !q.goroutines.is_empty() || q.threads {
                    let (singles, said) = self.singles(q, grid);
                    lanes.extend(singles);
                    note = said.or(note);
                }
                (lanes, note)
            }
            Err(f) => (if coarse { lanes } else { shared.look().pyramid.lanes(grid) }, Some(f.to_string())),
        }
    }
}

impl TraceFile {
    /// The nearest begin of a span in the lane, in one generation.
    fn change_in(&mut self, q: &MarkQuery, from: i64, to: i64) -> Option<Mark> {
        let (from, to) = if q.forward { (from.max(q.from_ns), to) } else { (from, to.min(q.from_ns)) };
        let spans = self.spans(q.lane, from, to, CHANGES);
        let mut begins = spans.iter().filter(|s| nearer(q, s.from_ns, None));
        let s = if q.forward { begins.next() } else { begins.next_back() }?;
        let what = if s.what.is_empty() { format!("{:?}", s.activity).to_lowercase() } else { s.what.clone() };
        Some(Mark { lane: q.lane, at_ns: s.from_ns, what, goroutine: s.goroutine })
    }
}

impl TraceFile {
    /// Lanes of goroutines and threads from a reading of the whole, which begins when they are wanted first; what there is to say of it.
    fn singles(&mut self, q: &TimelineQuery, grid: Grid) -> (Vec<Lane>, Option<String>) {
        if !self.followed.as_ref().is_some_and(|f| f.is_of(&q.goroutines, q.threads)) {
            match Followed::start(self.store.clone(), &q.goroutines, q.threads) {
                Ok(f) => self.followed = Some(f),
                Err(e) => return (Vec::new(), Some(format!("no thread reads single goroutines: {e}"))),
            }
        }
        let Some(f) = &self.followed else { return (Vec::new(), None) };
        let (lanes, until, fault) = f.lanes(grid);
        self.following = until.is_some();
        let (first, last) = self.shared.look().analysis.extent();
        let said = until.map(|at| {
            let share = (at.max(first) - first) as f64 / (last - first).max(1) as f64;
            format!("single goroutines and threads are read from the whole trace: {:.0}%", share * 100.0)
        });
        (lanes, said.or(fault.map(|f| f.to_string())))
    }
}

/// Lanes that are made when somebody wants them.
fn is_asked_for(l: &Lane) -> bool {
    matches!(l.kind, LaneKind::Goroutine(_) | LaneKind::Thread(_))
}

impl Drop for TraceFile {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
    }
}

impl Source for TraceFile {
    fn view(&mut self, q: &TimelineQuery) -> TimelineView {
        let extent = self.shared.look().analysis.extent();
        let grid = Grid::of(q, extent);
        let (mut lanes, note) = self.lanes(q, grid);
        lanes.sort_by_key(|l| l.kind.place());
        let inner = self.shared.look();
        let summary = inner.analysis.summary();
        for l in &mut lanes {
            l.note = match l.kind {
                LaneKind::Collector if summary.gc_cycles > 0 => format!("{} cycles", summary.gc_cycles),
                LaneKind::StopTheWorld if summary.stw_max_ns > 0 => {
                    format!("max {}", super::sampled::time(summary.stw_max_ns))
                }
                LaneKind::Goroutine(g) => inner.analysis.function_of(g).to_string(),
                _ => String::new(),
            };
        }
        let more = inner.fault_count.saturating_sub(1);
        let fault = inner.faults.front().map(|f| match more {
            0 => f.to_string(),
            n => format!("{f} (and {n} more)"),
        });
        TimelineView {
            source: TimelineSource::Trace,
            from_ns: grid.from_ns,
            column_ns: grid.column_ns,
            extent: inner.analysis.extent(),
            lanes,
            growing: !inner.done || self.following,
            lost: inner.fault_count,
            wall_ns: inner.wall_ns,
            problem: fault.or(note).map(|p| crate::base::text::printable_str(&p, 300)),
            ..TimelineView::default()
        }
    }

    fn spans(&mut self, lane: LaneKind, from_ns: i64, to_ns: i64, count: usize) -> Vec<Span> {
        let index = self.shared.look().index.clone();
        let follow = match lane {
            LaneKind::Goroutine(g) => vec![g],
            _ => Vec::new(),
        };
        let mut spans = Spans::new(lane, from_ns, to_ns, count);
        // What a second reading finds damaged the first one has told.
        if let Err(f) = self.again(&index, (from_ns, to_ns), (&follow, matches!(lane, LaneKind::Thread(_))), &mut spans)
        {
            tracing::warn!("spans of a trace: {f}");
        }
        let mut found = spans.spans();
        let inner = self.shared.look();
        for s in found.iter_mut().filter(|s| s.what.is_empty() && !matches!(lane, LaneKind::Goroutine(_))) {
            if let Some(g) = s.goroutine {
                s.what = inner.analysis.function_of(g).to_string();
            }
        }
        found
    }

    fn summary(&self) -> TimelineSummary {
        self.shared.look().analysis.summary()
    }

    fn find(&mut self, q: &MarkQuery) -> Found {
        let index = self.shared.look().index.clone();
        let here = index.partition_point(|i| i.from <= q.from_ns).saturating_sub(1);
        let order: Vec<usize> = if q.forward { (here..index.len()).collect() } else { (0..=here).rev().collect() };
        let wanted = Wanted::of(&q.text);
        let goroutines = self.shared.look().analysis.goroutines_of(|name| wanted.in_name(name));
        let mut bytes = 0u64;
        for n in order {
            let Some(i) = index.get(n) else { break };
            if bytes > SEARCH {
                let at =
                    if q.forward { i.from.saturating_sub(1) } else { index.get(n + 1).map_or(q.from_ns, |i| i.from) };
                return Found { mark: None, go_on_ns: Some(at) };
            }
            bytes += i.begin.end.saturating_sub(i.begin.at);
            let next = index.get(n + 1).map_or(i64::MAX, |i| i.from);
            let mark = if q.text.trim().is_empty() {
                self.change_in(q, i.from, next)
            } else {
                let reader = match self.generations {
                    true => Reader::of_generation(self.store.clone(), &i.begin),
                    false => Reader::open(self.store.clone(), Mode::Tolerant),
                };
                match reader.and_then(|r| Search::new(q, &wanted, &goroutines).run(r)) {
                    Ok(mark) => mark,
                    // What is damaged was told when it was read first; the rest is searched.
                    Err(f) => {
                        tracing::warn!("search in a trace: {f}");
                        None
                    }
                }
            };
            if mark.is_some() {
                return Found { mark, go_on_ns: None };
            }
        }
        Found::default()
    }

    fn extent(&self) -> (i64, i64) {
        self.shared.look().analysis.extent()
    }

    fn overview(&self, grid: Grid, bands: bool) -> Overview {
        self.shared.look().pyramid.overview(grid, bands)
    }
}

/// The threads that read: one brings events into order, one makes of them what is shown.
fn start(reader: Reader, shared: Arc<Shared>) -> std::io::Result<()> {
    let (full, chunks) = sync_channel::<Result<Chunk, Fault>>(AHEAD);
    let (back, empty) = sync_channel::<Chunk>(AHEAD + 2);
    let stop = shared.clone();
    let order =
        thread::Builder::new().name("trace-order".into()).spawn(move || order(reader, &stop.stop, &full, &empty))?;
    thread::Builder::new().name("trace-analyse".into()).spawn(move || {
        let end = Ending(&shared);
        analyse(&shared, &chunks, &back);
        if order.join().is_err() {
            end.failed();
        }
    })?;
    Ok(())
}

fn order(mut reader: Reader, stop: &AtomicBool, full: &SyncSender<Result<Chunk, Fault>>, empty: &Receiver<Chunk>) {
    while !stop.load(Relaxed) {
        let mut c = empty.try_recv().unwrap_or_default();
        let next = match reader.next(&mut c) {
            Ok(true) => Ok(c),
            Ok(false) => return,
            Err(f) => Err(f),
        };
        let last = next.is_err();
        if full.send(next).is_err() || last {
            return;
        }
    }
}

/// However the thread that reads ends, everybody hears that it did.
struct Ending<'a>(&'a Shared);

impl Ending<'_> {
    fn failed(&self) {
        let what = "an error of ours: what follows is not read".to_string();
        let mut inner = self.0.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        inner.fault(super::exec::Trouble::Form(what).at(0, None));
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.failed();
        }
        self.0.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner).done = true;
    }
}

fn analyse(shared: &Shared, chunks: &Receiver<Result<Chunk, Fault>>, back: &SyncSender<Chunk>) {
    while let Ok(next) = chunks.recv() {
        if shared.stop.load(Relaxed) {
            return;
        }
        // Who wants to look goes first.
        while shared.waiting.load(Relaxed) > 0 {
            thread::yield_now();
        }
        let mut inner = shared.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match next {
            Ok(c) => {
                inner.chunk(&c);
                drop(inner);
                // A chunk that nobody takes back is freed.
                let _full = back.try_send(c);
            }
            Err(f) => inner.fault(f),
        }
    }
    let mut inner = shared.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let Inner { tracker, pyramid, analysis, .. } = &mut *inner;
    tracker.flush(analysis.extent().1, pyramid);
}

impl Inner {
    fn fault(&mut self, f: Fault) {
        self.fault_count += 1;
        if self.faults.len() < FAULTS {
            self.faults.push_back(f);
        }
    }

    fn chunk(&mut self, c: &Chunk) {
        for f in &c.faults {
            self.fault(f.clone());
        }
        if let (Some(begin), Some(first)) = (c.begins, c.events.first()) {
            self.wall_ns = self.wall_ns.or_else(|| c.tables.wall_ns());
            self.settle();
            if self.index.len() < MAX_INDEX {
                self.index.push(Indexed { begin, from: first.time, amounts: self.tracker.now });
            }
        }
        self.analysis.chunk(c, &mut self.tracker, &mut self.pyramid);
        self.settle();
    }

    /// In the first generation goroutines that were there from its begin turn up one by one: there were so many all the time.
    fn settle(&mut self) {
        let late = self.tracker.late;
        if let [only] = self.index.as_mut_slice() {
            (only.amounts.goroutines, only.amounts.runnable, only.amounts.syscalls) = late;
        }
    }
}
