//! Lanes of single goroutines and threads over more of a trace than can be read again for one view: the whole is read once more, by a thread of its own,
//! into columns for these lanes only. They fill while somebody looks.

use super::columns::Grid;
use super::exec::{Chunk, Fault, Mode, Reader, Store};
use super::pyramid::Pyramid;
use super::track::Tracker;
use crate::base::GoroutineId;
use crate::model::Lane;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// What has been read.
#[derive(Default)]
struct State {
    pyramid: Pyramid,
    tracker: Tracker,
    /// How far, ns; none before the first event.
    until: Option<i64>,
    done: bool,
    fault: Option<Fault>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    stop: AtomicBool,
}

impl Shared {
    fn look(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Such a reading. Dropping it ends it.
pub(super) struct Followed {
    goroutines: Vec<GoroutineId>,
    threads: bool,
    shared: Arc<Shared>,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
    }
}

impl Followed {
    /// Begins to read.
    pub(super) fn start(store: Arc<dyn Store>, goroutines: &[GoroutineId], threads: bool) -> std::io::Result<Followed> {
        let state = State {
            pyramid: Pyramid::of_single_lanes(),
            tracker: Tracker::new(goroutines.iter().copied()).threads(threads),
            ..State::default()
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), stop: AtomicBool::new(false) });
        let to = shared.clone();
        thread::Builder::new().name("trace-follow".into()).spawn(move || {
            let end = read(store, &to);
            let mut s = to.look();
            (s.done, s.fault) = (true, end.err());
        })?;
        Ok(Followed { goroutines: goroutines.to_vec(), threads, shared })
    }

    /// Is it of these?
    pub(super) fn is_of(&self, goroutines: &[GoroutineId], threads: bool) -> bool {
        self.goroutines == goroutines && self.threads == threads
    }

    /// Its lanes as far as they are read; how far that is (none: to the end); what went wrong.
    pub(super) fn lanes(&self, grid: Grid) -> (Vec<Lane>, Option<i64>, Option<Fault>) {
        let mut s = self.shared.look();
        let State { pyramid, tracker, until, done, fault } = &mut *s;
        if let Some(at) = *until {
            tracker.flush(at, pyramid);
        }
        (pyramid.lanes(grid), if *done { None } else { Some(until.unwrap_or(i64::MIN)) }, fault.clone())
    }
}

fn read(store: Arc<dyn Store>, to: &Shared) -> Result<(), Fault> {
    let mut reader = Reader::open(store, Mode::Tolerant)?;
    let mut c = Chunk::default();
    while !to.stop.load(Relaxed) && reader.next(&mut c)? {
        let mut s = to.look();
        let State { pyramid, tracker, until, .. } = &mut *s;
        for e in &c.events {
            tracker.event(e, &c, pyramid);
        }
        *until = c.events.last().map(|e| e.time).or(*until);
        if c.broken {
            tracker.lose(pyramid);
        }
    }
    Ok(())
}
