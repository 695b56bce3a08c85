//! Which event can come next: the scheduler's rules, as Go's reader has them. Times are hints; what decides is what each thread did in
//! turn, the numbers that some events carry, and the states of goroutines, Ps and threads.

mod force;
mod go;
mod proc;
mod user;

use super::event::{Event, NONE};
use super::fault::Trouble;
use super::format::{SPECS, ev};
use super::ranges::{Ranges, Regions};
use super::tables::Tables;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Goroutines that may exist at one time.
const MAX_GOROUTINES: usize = 16 << 20;
/// Tasks whose name is kept until they end.
const MAX_TASKS: usize = 1 << 20;
/// Ps with small ids are looked up by number.
const DENSE_PROCS: i64 = 1 << 12;

/// Where an event stands in the sequence of its goroutine or P.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seq {
    generation: u64,
    n: u64,
}

impl Seq {
    fn follows(self, before: Seq) -> bool {
        self.generation == before.generation && self.n == before.n.wrapping_add(1)
    }
}

/// What few goroutines have.
#[derive(Clone, Debug, Default)]
struct Open {
    regions: Regions,
    ranges: Ranges,
}

#[derive(Clone, Debug)]
struct Go {
    id: i64,
    status: u8,
    seq: Seq,
    open: Option<Box<Open>>,
}

/// Statuses of goroutines and Ps, as in the file.
mod status {
    pub const RUNNABLE: u8 = 1;
    pub const RUNNING: u8 = 2;
    pub const SYSCALL: u8 = 3;
    pub const WAITING: u8 = 4;
    pub const P_RUNNING: u8 = 1;
    pub const P_IDLE: u8 = 2;
    pub const P_SYSCALL: u8 = 3;
    pub const P_ABANDONED: u8 = 4;
}
use status::*;

#[derive(Clone, Debug, Default)]
struct Proc {
    status: u8,
    seq: Seq,
    ranges: Ranges,
}

/// A thread: what it runs.
#[derive(Clone, Copy, Debug)]
struct Thread {
    g: i64,
    /// Place of that goroutine, to be checked.
    slot: u32,
    p: i64,
    /// Something of it was looked at.
    seen: bool,
}

/// Ps by id.
#[derive(Default)]
struct Procs {
    dense: Vec<Option<Proc>>,
    sparse: FxHashMap<i64, Proc>,
}

impl Procs {
    #[inline]
    fn get(&mut self, id: i64) -> Option<&mut Proc> {
        match usize::try_from(id) {
            Ok(i) if id < DENSE_PROCS => self.dense.get_mut(i)?.as_mut(),
            _ => self.sparse.get_mut(&id),
        }
    }
    fn put(&mut self, id: i64, p: Proc) {
        match usize::try_from(id) {
            Ok(i) if id < DENSE_PROCS => {
                if self.dense.len() <= i {
                    self.dense.resize(i + 1, None);
                }
                self.dense[i] = Some(p);
            }
            _ => {
                self.sparse.insert(id, p);
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gc {
    Unknown,
    Off,
    On,
}

/// An event as it stands in a thread's batches.
#[derive(Clone, Copy, Debug)]
pub struct Raw {
    /// When, ns.
    pub time: i64,
    /// Arguments behind the time delta.
    pub args: [u64; 4],
    /// Number.
    pub typ: u8,
}

/// Where the events go that came next.
pub struct Out<'a> {
    /// Events in order.
    pub events: &'a mut Vec<Event>,
    /// Names that are not in the generation's tables; an event counts them from 1.
    pub names: &'a mut Vec<Arc<str>>,
}

/// All states.
pub struct Ordering {
    gs: Vec<Go>,
    free: Vec<u32>,
    by_g: FxHashMap<i64, u32>,
    ps: Procs,
    ms: Vec<Thread>,
    by_m: FxHashMap<i64, u32>,
    tasks: FxHashMap<u64, (Arc<str>, u64)>,
    gc: (Gc, u64),
    /// The generation read first: in it one hears of things that were there before.
    initial: Option<u64>,
    /// Names may be missing, and annotations need not fit: what the program did to them does not make its trace unreadable.
    lenient: bool,
}

impl Default for Ordering {
    fn default() -> Self {
        Ordering {
            gs: Vec::new(),
            free: Vec::new(),
            by_g: FxHashMap::default(),
            ps: Procs::default(),
            ms: Vec::new(),
            by_m: FxHashMap::default(),
            tasks: FxHashMap::default(),
            gc: (Gc::Unknown, 0),
            initial: None,
            lenient: false,
        }
    }
}

/// Context of the event that is looked at.
struct Now<'a, 'o> {
    thread: Option<u32>,
    m: i64,
    p: i64,
    g: i64,
    slot: u32,
    generation: u64,
    first: bool,
    tables: &'a Tables,
    out: &'a mut Out<'o>,
}

/// What a context must have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    No,
    May,
    Must,
}
use Need::*;

impl Now<'_, '_> {
    fn require(&self, p: Need, g: Need) -> Result<(), Trouble> {
        let order = |what: &str| Err(Trouble::order(what));
        if self.m == NONE {
            return order("expected a thread but didn't have one");
        }
        match p {
            Must if self.p == NONE => return order("expected a proc but didn't have one"),
            No if self.p != NONE => return order("expected no proc but had one"),
            _ => {}
        }
        match g {
            Must if self.g == NONE => order("expected a goroutine but didn't have one"),
            No if self.g != NONE => order("expected no goroutine but had one"),
            _ => Ok(()),
        }
    }
    #[inline]
    fn emit(&mut self, raw: &Raw, args: [u64; 4]) {
        let event = Event { time: raw.time, m: self.m, p: self.p, g: self.g, args, typ: raw.typ };
        self.out.events.push(event);
    }
    fn seq(&self, n: u64) -> Seq {
        Seq { generation: self.generation, n }
    }
}

/// The event came next, and what thread runs now; or it has to wait.
type Step = Result<bool, Trouble>;

fn name(typ: u8) -> &'static str {
    SPECS[usize::from(typ)].name
}

impl Ordering {
    /// Nothing known yet. Strict, annotations that do not fit are errors, as in Go's reader.
    pub fn new(strict: bool) -> Ordering {
        Ordering { lenient: !strict, ..Ordering::default() }
    }

    /// A thread's place, for [`Ordering::advance`]; none for events of no thread.
    pub fn thread(&mut self, m: i64) -> Option<u32> {
        (m != NONE).then(|| {
            let (ms, new) = (&mut self.ms, self.by_m.len() as u32);
            *self.by_m.entry(m).or_insert_with(|| {
                ms.push(Thread { g: NONE, slot: 0, p: NONE, seen: false });
                new
            })
        })
    }

    /// Can `raw` of this thread come next? If so it is put out (as one event or several). An error means that no order is possible.
    pub fn advance(
        &mut self,
        raw: &Raw,
        thread: Option<u32>,
        m: i64,
        generation: u64,
        tables: &Tables,
        out: &mut Out<'_>,
    ) -> Step {
        let first = *self.initial.get_or_insert(generation) == generation;
        let (mut p, mut g, mut slot) = (NONE, NONE, 0);
        if let Some(t) = thread {
            let t = &mut self.ms[t as usize];
            t.seen = true;
            (p, g, slot) = (t.p, t.g, t.slot);
        }
        let mut now = Now { thread, m, p, g, slot, generation, first, tables, out };
        match raw.typ {
            ev::GO_START => self.go_start(raw, &mut now),
            ev::GO_BLOCK | ev::GO_STOP | ev::GO_DESTROY => self.go_stop(raw, &mut now),
            ev::GO_UNBLOCK => self.go_unblock(raw, &mut now),
            ev::GO_CREATE | ev::GO_CREATE_BLOCKED => self.go_create(raw, &mut now),
            ev::GO_SYSCALL_BEGIN => self.syscall_begin(raw, &mut now),
            ev::GO_SYSCALL_END => self.syscall_end(raw, &mut now),
            ev::GO_SYSCALL_END_BLOCKED => self.syscall_end_blocked(raw, &mut now),
            ev::GO_STATUS | ev::GO_STATUS_STACK => self.go_status(raw, &mut now),
            ev::GO_SWITCH | ev::GO_SWITCH_DESTROY => self.go_switch(raw, &mut now),
            ev::GO_CREATE_SYSCALL => self.create_syscall(raw, &mut now),
            ev::GO_DESTROY_SYSCALL => self.destroy_syscall(raw, &mut now),
            ev::PROC_START => self.proc_start(raw, &mut now),
            ev::PROC_STOP => self.proc_stop(raw, &mut now),
            ev::PROC_STEAL => self.proc_steal(raw, &mut now),
            ev::PROC_STATUS => self.proc_status(raw, &mut now),
            ev::HEAP_ALLOC | ev::HEAP_GOAL => now.require(Must, May).map(|()| self.plain(raw, &mut now)),
            ev::PROCS_CHANGE | ev::GO_LABEL | ev::LOG => now.require(Must, Must).map(|()| self.plain(raw, &mut now)),
            ev::GC_ACTIVE | ev::GC_BEGIN | ev::GC_END => self.gc(raw, &mut now),
            ev::SWEEP_BEGIN | ev::SWEEP_ACTIVE | ev::SWEEP_END => self.sweep(raw, &mut now),
            ev::STW_BEGIN | ev::STW_END | ev::ASSIST_BEGIN | ev::ASSIST_END | ev::ASSIST_ACTIVE => {
                self.go_range(raw, &mut now)
            }
            ev::TASK_BEGIN | ev::TASK_END => self.task(raw, &mut now),
            ev::REGION_BEGIN | ev::REGION_END => self.region(raw, &mut now),
            ev::SPAN..=ev::STACK_FREE => now.require(May, May).map(|()| self.plain(raw, &mut now)),
            t => Err(Trouble::order(format!("bad event type found while ordering: {t}"))),
        }
    }

    fn plain(&mut self, raw: &Raw, now: &mut Now) -> bool {
        now.emit(raw, raw.args);
        true
    }

    fn bind_g(&mut self, now: &Now, g: i64, slot: u32) {
        if let Some(t) = now.thread {
            let t = &mut self.ms[t as usize];
            (t.g, t.slot) = (g, slot);
        }
    }

    fn bind_p(&mut self, now: &Now, p: i64) {
        if let Some(t) = now.thread {
            self.ms[t as usize].p = p;
        }
    }

    #[inline]
    fn find(&self, id: i64) -> Option<u32> {
        self.by_g.get(&id).copied()
    }

    /// The goroutine of the context, if it exists.
    #[inline]
    fn own(&self, now: &Now) -> Option<u32> {
        match self.gs.get(now.slot as usize) {
            Some(g) if g.id == now.g && g.status != DEAD => Some(now.slot),
            _ => self.find(now.g),
        }
    }

    fn must_own(&self, now: &Now, typ: u8) -> Result<usize, Trouble> {
        let missing = || Trouble::order(format!("event {} for goroutine ({}) that doesn't exist", name(typ), now.g));
        self.own(now).map(|s| s as usize).ok_or_else(missing)
    }

    fn running(&self, now: &Now, typ: u8) -> Result<usize, Trouble> {
        let slot = self.must_own(now, typ)?;
        if self.gs[slot].status != RUNNING {
            return Err(Trouble::order(format!("{} event for goroutine that's not Running", name(typ))));
        }
        Ok(slot)
    }

    fn new_go(&mut self, id: i64, status: u8, seq: Seq) -> Result<u32, Trouble> {
        if self.by_g.len() >= MAX_GOROUTINES {
            return Err(Trouble::Limit { what: "goroutines at a time", limit: MAX_GOROUTINES });
        }
        let go = Go { id, status, seq, open: None };
        let slot = match self.free.pop() {
            Some(s) => {
                self.gs[s as usize] = go;
                s
            }
            None => {
                self.gs.push(go);
                self.gs.len() as u32 - 1
            }
        };
        self.by_g.insert(id, slot);
        Ok(slot)
    }

    fn delete(&mut self, slot: u32) {
        let g = &mut self.gs[slot as usize];
        (g.status, g.open) = (DEAD, None);
        self.by_g.remove(&g.id);
        self.free.push(slot);
    }
}

/// Not in the file: the place is free.
const DEAD: u8 = u8::MAX;
