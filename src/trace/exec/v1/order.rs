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

/// Ps with what they have left.
pub(super) struct Frontier {
    procs: Vec<Proc>,
}

impl Frontier {
    pub(super) fn of(ids: impl Iterator<Item = i32>, samples: Vec<Event>) -> Frontier {
        let mut procs: Vec<Proc> = ids.map(|id| Proc { id, events: VecDeque::new(), done: false }).collect();
        procs.push(Proc { id: fake::PROFILE, events: samples.into(), done: false });
        Frontier { procs }
    }
}

/// All events in order.
pub(super) fn merge(
    frontier: &mut Frontier,
    mut batch: impl FnMut(i32) -> Result<Option<VecDeque<Event>>, Trouble>,
) -> Result<Vec<Event>, Trouble> {
    let mut gs: FxHashMap<u64, State> = FxHashMap::default();
    let mut out: Vec<Event> = Vec::new();
    let mut heap: BinaryHeap<Reverse<(i64, usize)>> = BinaryHeap::new();
    let mut taken: Vec<Event> = vec![Event::default(); frontier.procs.len()];
    let mut open: Vec<usize> = (0..frontier.procs.len()).collect();
    loop {
        let mut i = 0;
        'procs: while i < open.len() {
            let n = open[i];
            let p = &mut frontier.procs[n];
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
            if frontier.procs.iter().any(|p| !p.done) {
                return Err(Trouble::order("no consistent ordering of events possible"));
            }
            break;
        };
        let mut e = taken[n];
        let (g, init, mut next) = transition(&e);
        e.typ = match e.typ {
            ev::GO_START_LOCAL => ev::GO_START,
            ev::GO_UNBLOCK_LOCAL => ev::GO_UNBLOCK,
            ev::GO_SYS_EXIT_LOCAL => ev::GO_SYS_EXIT,
            t => t,
        };
        out.push(e);
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
    }
    settle(&mut out)?;
    Ok(out)
}

/// Ends of system calls happened when they say, not when they were written.
fn settle(events: &mut [Event]) -> Result<(), Trouble> {
    if !events.is_sorted_by_key(|e| e.ts) {
        return Err(time_order());
    }
    let mut blocked: FxHashMap<u64, i64> = FxHashMap::default();
    for e in events.iter_mut() {
        match e.typ {
            ev::GO_SYS_BLOCK | ev::GO_IN_SYSCALL => {
                blocked.insert(e.g, e.ts);
            }
            ev::GO_SYS_EXIT if e.args[2] != 0 => {
                let ts = e.args[2].cast_signed();
                match blocked.get(&e.g).copied().unwrap_or(0) {
                    0 => return Err(Trouble::order("stray syscall exit")),
                    b if ts < b => return Err(time_order()),
                    _ => e.ts = ts,
                }
            }
            _ => {}
        }
    }
    events.sort_by_key(|e| e.ts);
    Ok(())
}
