//! Which P's event comes next: by the states of goroutines and the numbers that some events carry; among those that can, the earliest.

use super::super::fault::Trouble;
use super::parse::{Event, ev, fake, time_order};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Status {
    #[default]
    Dead,
    Runnable,
    Running,
    Waiting,
}
use Status::{Dead, Runnable, Running, Waiting};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    seq: u64,
    status: Status,
}

/// Ends of system calls that are kept in memory to be put where they belong: 200 MB.
const MAX_MOVED: usize = 3 << 20;

/// No goroutine: the event may come at any time.
const UNORDERED: u64 = u64::MAX;
/// Stands for the collector.
const GARBAGE: u64 = u64::MAX - 1;
/// Any number will do; the number stays.
const ANY: u64 = u64::MAX;
/// The number is one more.
const NEXT: u64 = u64::MAX - 1;

/// Whose state an event needs and makes.
fn transition(e: &Event) -> (u64, State, State) {
    let t = |g, seq, status, to, next| (g, State { seq, status }, State { seq: to, status: next });
    let one = e.args[1].wrapping_add(1);
    match e.typ {
        ev::GO_CREATE => t(e.args[0], 0, Dead, 1, Runnable),
        ev::GO_WAITING | ev::GO_IN_SYSCALL => t(e.g, 1, Runnable, 2, Waiting),
        ev::GO_START | ev::GO_START_LABEL => t(e.g, e.args[1], Runnable, one, Running),
        ev::GO_START_LOCAL => t(e.g, ANY, Runnable, NEXT, Running),
        ev::GO_BLOCK | ev::GO_SLEEP | ev::GO_BLOCK_SEND..=ev::GO_BLOCK_NET | ev::GO_SYS_BLOCK | ev::GO_BLOCK_GC => {
            t(e.g, ANY, Running, ANY, Waiting)
        }
        ev::GO_SCHED | ev::GO_PREEMPT => t(e.g, ANY, Running, ANY, Runnable),
        ev::GO_UNBLOCK | ev::GO_SYS_EXIT => t(e.args[0], e.args[1], Waiting, one, Runnable),
        ev::GO_UNBLOCK_LOCAL | ev::GO_SYS_EXIT_LOCAL => t(e.args[0], ANY, Waiting, NEXT, Runnable),
        ev::GC_START => t(GARBAGE, e.args[0], Dead, e.args[0].wrapping_add(1), Dead),
        _ => t(UNORDERED, 0, Dead, 0, Dead),
    }
}

fn ready(g: u64, now: State, init: State) -> bool {
    g == UNORDERED || ((init.seq == ANY || init.seq == now.seq) && init.status == now.status)
}

struct Proc {
    id: i32,
    events: VecDeque<Event>,
    done: bool,
}

/// All events of all Ps, one after the other; only the batch that each P is in is in memory.
pub(super) struct Merge {
    procs: Vec<Proc>,
    gs: FxHashMap<u64, State>,
    heap: BinaryHeap<Reverse<(i64, usize)>>,
    taken: Vec<Event>,
    open: Vec<usize>,
}

impl Merge {
    pub(super) fn of(ids: impl Iterator<Item = i32>, samples: Vec<Event>) -> Merge {
        let mut procs: Vec<Proc> = ids.map(|id| Proc { id, events: VecDeque::new(), done: false }).collect();
        procs.push(Proc { id: fake::PROFILE, events: samples.into(), done: false });
        Merge {
            gs: FxHashMap::default(),
            heap: BinaryHeap::new(),
            taken: vec![Event::default(); procs.len()],
            open: (0..procs.len()).collect(),
            procs,
        }
    }

    /// The next one; none at the end. `batch` gives the next batch of a P.
    pub(super) fn next(
        &mut self,
        mut batch: impl FnMut(i32) -> Result<Option<VecDeque<Event>>, Trouble>,
    ) -> Result<Option<Event>, Trouble> {
        let Merge { procs, gs, heap, taken, open } = self;
        let mut i = 0;
        'procs: while i < open.len() {
            let n = open[i];
            let p = &mut procs[n];
            while p.events.is_empty() {
                match batch(p.id)? {
                    Some(events) => p.events = events,
                    None => {
                        p.done = true;
                        open.swap_remove(i);
                        continue 'procs;
                    }
                }
            }
            let (g, init, _) = transition(&p.events[0]);
            if ready(g, gs.get(&g).copied().unwrap_or_default(), init)
                && let Some(e) = p.events.pop_front()
            {
                heap.push(Reverse((e.ts, n)));
                taken[n] = e;
                open.swap_remove(i);
            } else {
                i += 1;
            }
        }
        let Some(Reverse((_, n))) = heap.pop() else {
            if procs.iter().any(|p| !p.done) {
                return Err(Trouble::order("no consistent ordering of events possible"));
            }
            return Ok(None);
        };
        let mut e = taken[n];
        let (g, init, mut next) = transition(&e);
        e.typ = match e.typ {
            ev::GO_START_LOCAL => ev::GO_START,
            ev::GO_UNBLOCK_LOCAL => ev::GO_UNBLOCK,
            ev::GO_SYS_EXIT_LOCAL => ev::GO_SYS_EXIT,
            t => t,
        };
        if g != UNORDERED {
            let now = gs.get(&g).copied().unwrap_or_default();
            if !ready(g, now, init) {
                return Err(Trouble::order("encountered impossible goroutine state transition"));
            }
            next.seq = match next.seq {
                ANY => now.seq,
                NEXT => now.seq.wrapping_add(1),
                s => s,
            };
            gs.insert(g, next);
        }
        open.push(n);
        Ok(Some(e))
    }
}

/// Ends of system calls happened when they say, not when they were written: these are taken out and put where they belong.
pub(super) fn is_moved(e: &Event) -> bool {
    e.typ == ev::GO_SYS_EXIT && e.args[2] != 0
}

/// An end of a system call, and its number among all events: of one time, the one written first comes first.
pub(super) type Moved = (u64, Event);

/// Finds what has to be moved.
#[derive(Default)]
pub(super) struct Settling {
    blocked: FxHashMap<u64, i64>,
    last: Option<i64>,
    unsorted: bool,
    wrong: Option<Trouble>,
    seq: u64,
    /// When the first event is, clock units.
    pub first: Option<i64>,
    moved: Vec<Moved>,
}

impl Settling {
    /// The next event.
    pub(super) fn see(&mut self, e: &Event) -> Result<(), Trouble> {
        self.unsorted |= self.last.is_some_and(|t| t > e.ts);
        self.last = Some(e.ts);
        let mut at = e.ts;
        match e.typ {
            ev::GO_SYS_BLOCK | ev::GO_IN_SYSCALL => {
                self.blocked.insert(e.g, e.ts);
            }
            ev::GO_SYS_EXIT if is_moved(e) => {
                at = e.args[2].cast_signed();
                let trouble = match self.blocked.get(&e.g).copied().unwrap_or(0) {
                    0 => Some(Trouble::order("stray syscall exit")),
                    b if at < b => Some(time_order()),
                    _ => None,
                };
                self.wrong = self.wrong.take().or(trouble);
                if self.moved.len() >= MAX_MOVED {
                    let what = "system calls that blocked, in a trace of Go 1.21 or before";
                    return Err(Trouble::Limit { what, limit: MAX_MOVED });
                }
                self.moved.push((self.seq, Event { ts: at, ..*e }));
            }
            _ => {}
        }
        self.first = Some(self.first.map_or(at, |f| f.min(at)));
        self.seq += 1;
        Ok(())
    }

    /// What has to be moved, in order.
    pub(super) fn finish(mut self) -> Result<(Vec<Moved>, i64), Trouble> {
        if self.unsorted {
            return Err(time_order());
        }
        if let Some(t) = self.wrong {
            return Err(t);
        }
        self.moved.sort_by_key(|m| (m.1.ts, m.0));
        Ok((self.moved, self.first.unwrap_or(0)))
    }
}
