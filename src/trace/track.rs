//! From events to stretches of time: what each P, thread and followed goroutine did, when the world stood, how much there was of what.

use super::exec::event::{Event, GoState, NONE, ProcState, Transition};
use super::exec::format::ev;
use super::exec::{Chunk, Tables};
use crate::base::GoroutineId;
use crate::model::{Activity, LaneKind};
use rustc_hash::{FxHashMap, FxHashSet};

/// Ps with ids from here on have no lane.
const MAX_PROCS: usize = 1024;
/// Threads that are followed at most.
const MAX_THREADS: usize = 1024;

/// A stretch in which one thing was done.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// In which lane.
    pub lane: LaneKind,
    /// Begin, ns.
    pub from: i64,
    /// End, ns.
    pub to: i64,
    /// It goes on.
    pub open: bool,
    /// It went on before: what is said of it now is not a new one.
    pub more: bool,
    /// What.
    pub activity: Activity,
    /// By whom, or none.
    pub goroutine: i64,
    /// On which P, or none.
    pub proc: i64,
    /// On which thread, or none.
    pub thread: i64,
    /// In words, as the sink numbers them.
    pub what: u32,
    /// The stack at its begin, or where it ended by blocking, as the sink numbers them.
    pub stack: u32,
    /// Who ended the wait, or none.
    pub by: i64,
}

/// Where stretches and amounts go.
pub trait Sink {
    /// A stretch ended, or is cut here.
    fn span(&mut self, s: &Stretch);
    /// From `at` on it is `amount`; with `late`, it was so since the generation began and only became known now.
    fn level(&mut self, lane: LaneKind, at: i64, amount: u64, late: bool);
    /// Nothing is known from here on.
    fn gap(&mut self, at: i64);
    /// A number for a text.
    fn text(&mut self, _t: &Tables, _id: u64) -> u32 {
        0
    }
    /// A number for a stack.
    fn stack(&mut self, _t: &Tables, _id: u64) -> u32 {
        0
    }
}

/// What is open in a lane.
#[derive(Clone, Copy, Debug)]
struct Lane {
    since: i64,
    activity: Activity,
    g: i64,
    other: i64,
    what: u32,
    stack: u32,
    more: bool,
}

const UNKNOWN: Lane =
    Lane { since: 0, activity: Activity::Unknown, g: NONE, other: NONE, what: 0, stack: 0, more: false };

#[derive(Clone, Copy, Debug)]
struct Proc {
    lane: Lane,
    sweeps: bool,
}

/// A goroutine as far as lanes care.
#[derive(Clone, Copy, Debug)]
pub struct Go {
    /// Its id.
    pub id: i64,
    /// Its state.
    pub state: GoState,
    assists: bool,
    marks: bool,
    followed: bool,
    lane: Lane,
}

/// Amounts at a moment, for reading on from there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Amounts {
    /// Goroutines.
    pub goroutines: u64,
    /// Of them, those that can run.
    pub runnable: u64,
    /// Of them, those in system calls.
    pub syscalls: u64,
    /// Live heap and its goal, bytes.
    pub heap: (Option<u64>, Option<u64>),
    /// A mark phase is on.
    pub marking: bool,
}

/// What an event did to a goroutine.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    /// Its place.
    pub slot: u32,
    /// Its id.
    pub g: i64,
    /// Before.
    pub old: GoState,
    /// After.
    pub new: GoState,
}

/// The state of everything that has a lane.
#[derive(Default)]
pub struct Tracker {
    procs: Vec<Option<Proc>>,
    threads: FxHashMap<i64, Lane>,
    /// Threads have lanes.
    with_threads: bool,
    met: FxHashSet<i64>,
    by_g: FxHashMap<i64, u32>,
    gs: Vec<Go>,
    free: Vec<u32>,
    follow: FxHashSet<i64>,
    unmet: usize,
    collector: Option<Lane>,
    world: Option<Lane>,
    /// Amounts now.
    pub now: Amounts,
    /// Of what was met late: how much there was when the trace began.
    pub late: (u64, u64, u64),
    /// They are known: what is met for the first time was counted already.
    counted: bool,
    /// Begin of the generation, ns.
    pub sync: i64,
    /// Last event, ns.
    pub last: i64,
}

impl Tracker {
    /// Nothing known yet. These goroutines have lanes.
    pub fn new(follow: impl IntoIterator<Item = GoroutineId>) -> Tracker {
        let follow: FxHashSet<i64> = follow.into_iter().map(|g| g.0.cast_signed()).collect();
        Tracker { unmet: follow.len(), follow, ..Tracker::default() }
    }

    /// Begins in the middle, where these were the amounts.
    pub fn from(amounts: Amounts, follow: impl IntoIterator<Item = GoroutineId>) -> Tracker {
        Tracker { now: amounts, counted: true, ..Tracker::new(follow) }
    }

    /// A goroutine's place.
    pub fn slot(&self, g: i64) -> Option<u32> {
        self.by_g.get(&g).copied()
    }

    /// All goroutines that exist.
    pub fn goroutines(&self) -> impl Iterator<Item = (u32, &Go)> {
        self.by_g.values().filter_map(|s| Some((*s, self.gs.get(*s as usize)?)))
    }

    /// With lanes of threads: as much work again as those of Ps.
    pub fn threads(mut self, wanted: bool) -> Tracker {
        self.with_threads = wanted;
        self
    }

    /// Threads seen that had a P or a goroutine's status.
    pub fn thread_count(&self) -> usize {
        self.met.len()
    }

    fn meet(&mut self, m: i64) {
        if m != NONE && self.met.len() < MAX_THREADS {
            self.met.insert(m);
        }
    }
    /// Ps seen.
    pub fn proc_count(&self) -> usize {
        self.procs.iter().flatten().count()
    }

    /// Is there a followed goroutine that was not heard of yet?
    pub fn waits(&self) -> bool {
        self.unmet > 0
    }

    fn new_go(&mut self, id: i64) -> u32 {
        let go = Go {
            id,
            state: GoState::Undetermined,
            assists: false,
            marks: false,
            followed: !self.follow.is_empty() && self.follow.contains(&id),
            lane: UNKNOWN,
        };
        self.unmet = self.unmet.saturating_sub(usize::from(go.followed));
        let slot = self.free.pop().unwrap_or(self.gs.len() as u32);
        match self.gs.get_mut(slot as usize) {
            Some(g) => *g = go,
            None => self.gs.push(go),
        }
        self.by_g.insert(id, slot);
        slot
    }

    /// One event. What happened to a goroutine, if something did.
    pub fn event<S: Sink>(&mut self, e: &Event, c: &Chunk, out: &mut S) -> Option<Moved> {
        self.last = e.time;
        match e.transition() {
            Some(Transition::Go { g, old, new }) => return Some(self.go(e, c, (g, old, new), out)),
            Some(Transition::Proc { p, old, new }) => self.proc(e, p, old, new, out),
            None => self.other(e, c, out),
        }
        None
    }

    fn other<S: Sink>(&mut self, e: &Event, c: &Chunk, out: &mut S) {
        match e.typ {
            ev::MARK => {
                self.sync = e.time;
                if self.counted {
                    self.levels(e.time, out);
                }
            }
            ev::HEAP_ALLOC => {
                self.now.heap.0 = Some(e.args[0]);
                out.level(LaneKind::Heap, e.time, e.args[0], false);
            }
            ev::HEAP_GOAL => {
                self.now.heap.1 = Some(e.args[0]);
                out.level(LaneKind::HeapGoal, e.time, e.args[0], false);
            }
            ev::GC_BEGIN | ev::GC_ACTIVE => self.marking(e, true, c, out),
            ev::GC_END => self.marking(e, false, c, out),
            ev::STW_BEGIN => {
                let (what, stack) = (out.text(&c.tables, e.args[0]), out.stack(&c.tables, e.stack()));
                let lane = Lane { what, stack, other: e.p, g: e.g, ..lane(e.time, Activity::Stopped) };
                change(&mut self.world, LaneKind::StopTheWorld, lane, e.time, self.sync, out);
            }
            ev::STW_END => {
                change(&mut self.world, LaneKind::StopTheWorld, lane(e.time, Activity::Idle), e.time, self.sync, out);
            }
            ev::SWEEP_BEGIN | ev::SWEEP_ACTIVE | ev::SWEEP_END => {
                let p = if e.typ == ev::SWEEP_ACTIVE { e.args[0].cast_signed() } else { e.p };
                if let Some(proc) = self.procs.get_mut(p as usize).and_then(Option::as_mut) {
                    proc.sweeps = e.typ != ev::SWEEP_END;
                }
                self.redraw(p, e, out);
            }
            ev::ASSIST_BEGIN | ev::ASSIST_ACTIVE | ev::ASSIST_END => {
                let g = if e.typ == ev::ASSIST_ACTIVE { e.args[0].cast_signed() } else { e.g };
                if let Some(s) = self.slot(g) {
                    self.gs[s as usize].assists = e.typ != ev::ASSIST_END;
                }
                self.redraw(e.p, e, out);
            }
            ev::GO_LABEL => {
                if let Some(s) = self.slot(e.g) {
                    self.gs[s as usize].marks = c.tables.text(e.args[0]).starts_with("GC ");
                }
                self.redraw(e.p, e, out);
            }
            _ => {}
        }
    }

    fn marking<S: Sink>(&mut self, e: &Event, on: bool, c: &Chunk, out: &mut S) {
        self.now.marking = on;
        let mut l = lane(e.time, if on { Activity::Marking } else { Activity::Idle });
        l.stack = out.stack(&c.tables, e.stack());
        // One that was on when the trace began was on all the time before.
        if e.typ == ev::GC_ACTIVE && self.collector.is_none() {
            l.since = self.sync;
        }
        change(&mut self.collector, LaneKind::Collector, l, e.time, self.sync, out);
    }

    /// What the P's goroutine does may have another name now.
    fn redraw<S: Sink>(&mut self, p: i64, e: &Event, out: &mut S) {
        let Some(l) = self.procs.get(p as usize).and_then(|p| p.as_ref()).map(|p| p.lane) else { return };
        if l.g != NONE && l.activity != Activity::Syscall {
            self.runs(p, e.m, l.g, e.time, e.time, out);
        }
    }

    fn activity(&self, p: i64, g: i64) -> Activity {
        if self.procs.get(p as usize).and_then(|p| p.as_ref()).is_some_and(|p| p.sweeps) {
            return Activity::Sweeping;
        }
        match self.slot(g).map(|s| self.gs[s as usize]) {
            Some(g) if g.assists => Activity::Assist,
            Some(g) if g.marks => Activity::Marking,
            _ => Activity::Running,
        }
    }

    fn runs<S: Sink>(&mut self, p: i64, m: i64, g: i64, since: i64, at: i64, out: &mut S) {
        let activity = self.activity(p, g);
        self.set_proc(p, Lane { g, other: m, ..lane(since, activity) }, at, out);
        self.set_thread(m, Lane { g, other: p, ..lane(since, activity) }, at, out);
    }

    fn set_proc<S: Sink>(&mut self, p: i64, l: Lane, at: i64, out: &mut S) {
        let Some(i) = usize::try_from(p).ok().filter(|i| *i < MAX_PROCS) else { return };
        if self.procs.len() <= i {
            self.procs.resize(i + 1, None);
        }
        let kind = LaneKind::Proc(i as u32);
        let old = &mut self.procs[i];
        let mut lane = old.map(|p| p.lane);
        change(&mut lane, kind, l, at, self.sync, out);
        let sweeps = old.is_some_and(|p| p.sweeps);
        *old = lane.map(|lane| Proc { lane, sweeps });
    }

    fn set_thread<S: Sink>(&mut self, m: i64, l: Lane, at: i64, out: &mut S) {
        if !self.with_threads || m == NONE || (self.threads.len() >= MAX_THREADS && !self.threads.contains_key(&m)) {
            return;
        }
        let place = self.threads.entry(m).or_insert(Lane { since: self.sync, activity: Activity::Idle, ..UNKNOWN });
        let mut lane = Some(*place);
        change(&mut lane, LaneKind::Thread(m), l, at, self.sync, out);
        *place = lane.unwrap_or(*place);
    }

    fn go<S: Sink>(&mut self, e: &Event, c: &Chunk, (g, old, new): (i64, GoState, GoState), out: &mut S) -> Moved {
        let known = self.slot(g);
        let slot = known.unwrap_or_else(|| self.new_go(g));
        let before = self.gs[slot as usize].state;
        let late = old == GoState::Undetermined;
        let go = &mut self.gs[slot as usize];
        go.state = new;
        // A mark worker is labelled anew each time it starts.
        go.marks &= matches!(new, GoState::Running | GoState::Syscall);
        self.count(e.time, if known.is_some() && late { before } else { old }, new, late && known.is_none(), out);
        let since = if late { self.sync } else { e.time };
        if late {
            self.meet(e.m);
        }
        match new {
            GoState::Running => self.runs(e.p, e.m, g, since, e.time, out),
            GoState::Syscall => {
                let l = Lane { g, ..lane(since, Activity::Syscall) };
                if e.p != NONE {
                    self.set_proc(e.p, Lane { other: e.m, ..l }, e.time, out);
                }
                self.set_thread(e.m, Lane { other: e.p, ..l }, e.time, out);
            }
            _ if matches!(old, GoState::Running | GoState::Syscall) => {
                let stack = out.stack(&c.tables, e.transition_stack());
                let idle = lane(e.time, Activity::Idle);
                // Out of a system call it may be on a P that it got meanwhile, or on none.
                if e.p != NONE {
                    self.stack_of_end(e.p, stack);
                    self.set_proc(e.p, idle, e.time, out);
                }
                self.set_thread(e.m, idle, e.time, out);
            }
            _ => {}
        }
        if self.gs[slot as usize].followed {
            self.follow(slot, e, c, since, out);
        }
        if new == GoState::NotExist {
            self.by_g.remove(&g);
            self.free.push(slot);
        }
        Moved { slot, g, old, new }
    }

    fn stack_of_end(&mut self, p: i64, stack: u32) {
        if let (true, Some(p)) = (stack != 0, self.procs.get_mut(p as usize).and_then(Option::as_mut)) {
            p.lane.stack = stack;
        }
    }

    fn follow<S: Sink>(&mut self, slot: u32, e: &Event, c: &Chunk, since: i64, out: &mut S) {
        let go = self.gs[slot as usize];
        let activity = match go.state {
            GoState::Running => self.activity(e.p, go.id),
            GoState::Runnable => Activity::Runnable,
            GoState::Waiting => Activity::Blocked,
            GoState::Syscall => Activity::Syscall,
            GoState::Undetermined | GoState::NotExist => Activity::Unknown,
        };
        let stack = match e.transition_stack() {
            0 => 0,
            id => out.stack(&c.tables, id),
        };
        let l = Lane { g: e.m, other: e.p, what: out.text(&c.tables, e.reason()), stack, ..lane(since, activity) };
        let old = self.gs[slot as usize].lane;
        if old.activity != Activity::Unknown {
            out.span(&Stretch {
                goroutine: go.id,
                proc: old.other,
                thread: old.g,
                by: if old.activity == Activity::Blocked { e.g } else { NONE },
                ..stretch(LaneKind::Goroutine(GoroutineId(go.id.cast_unsigned())), &old, e.time, false)
            });
        }
        self.gs[slot as usize].lane = l;
    }

    /// Amounts change.
    fn count<S: Sink>(&mut self, at: i64, old: GoState, new: GoState, late: bool, out: &mut S) {
        if late && self.counted {
            return;
        }
        if late {
            self.late.0 += 1;
            self.late.1 += u64::from(new == GoState::Runnable);
            self.late.2 += u64::from(new == GoState::Syscall);
        }
        let exists = |s| !matches!(s, GoState::NotExist | GoState::Undetermined);
        let n = &mut self.now;
        let mut step = |amount: &mut u64, lane, is: &dyn Fn(GoState) -> bool| {
            if is(old) != is(new) {
                *amount = if is(new) { *amount + 1 } else { amount.saturating_sub(1) };
                out.level(lane, at, *amount, late);
            }
        };
        step(&mut n.goroutines, LaneKind::Goroutines, &exists);
        step(&mut n.runnable, LaneKind::RunQueue, &|s| s == GoState::Runnable);
        step(&mut n.syscalls, LaneKind::Syscalls, &|s| s == GoState::Syscall);
    }

    fn levels<S: Sink>(&self, at: i64, out: &mut S) {
        let n = &self.now;
        out.level(LaneKind::Goroutines, at, n.goroutines, false);
        out.level(LaneKind::RunQueue, at, n.runnable, false);
        out.level(LaneKind::Syscalls, at, n.syscalls, false);
        for (lane, amount) in [(LaneKind::Heap, n.heap.0), (LaneKind::HeapGoal, n.heap.1)] {
            if let Some(amount) = amount {
                out.level(lane, at, amount, false);
            }
        }
    }

    fn proc<S: Sink>(&mut self, e: &Event, p: i64, old: ProcState, new: ProcState, out: &mut S) {
        self.meet(e.m);
        if old == new && new == ProcState::Running {
            return;
        }
        let since = if old == ProcState::Undetermined { self.sync } else { e.time };
        self.set_proc(p, Lane { other: e.m, ..lane(since, Activity::Idle) }, e.time, out);
    }

    /// Everything that is open is told as far as it went.
    pub fn flush<S: Sink>(&mut self, at: i64, out: &mut S) {
        for (i, p) in self.procs.iter_mut().enumerate() {
            if let Some(p) = p {
                cut(LaneKind::Proc(i as u32), &mut p.lane, at, out);
            }
        }
        for (m, l) in &mut self.threads {
            cut(LaneKind::Thread(*m), l, at, out);
        }
        if let Some(l) = &mut self.collector {
            cut(LaneKind::Collector, l, at, out);
        }
        if let Some(l) = &mut self.world {
            cut(LaneKind::StopTheWorld, l, at, out);
        }
        for g in self.gs.iter_mut().filter(|g| g.followed && g.state != GoState::NotExist) {
            if g.lane.activity != Activity::Unknown && g.lane.since < at {
                let kind = LaneKind::Goroutine(GoroutineId(g.id.cast_unsigned()));
                let s = stretch(kind, &g.lane, at, true);
                out.span(&Stretch { goroutine: g.id, proc: g.lane.other, thread: g.lane.g, ..s });
                (g.lane.since, g.lane.more) = (at, true);
            }
        }
    }

    /// From here on nothing is known.
    pub fn lose<S: Sink>(&mut self, out: &mut S) {
        let at = self.last;
        self.flush(at, out);
        out.gap(at);
        self.procs.iter_mut().for_each(|p| *p = None);
        self.threads.clear();
        (self.collector, self.world) = (None, None);
        self.by_g.clear();
        self.gs.clear();
        self.free.clear();
        (self.now, self.counted) = (Amounts::default(), false);
    }
}

fn lane(since: i64, activity: Activity) -> Lane {
    Lane { since, activity, ..UNKNOWN }
}

fn stretch(kind: LaneKind, l: &Lane, to: i64, open: bool) -> Stretch {
    let (proc, thread) = match kind {
        LaneKind::Proc(p) => (i64::from(p), l.other),
        LaneKind::Thread(m) => (l.other, m),
        _ => (l.other, NONE),
    };
    Stretch {
        lane: kind,
        from: l.since,
        to,
        open,
        more: l.more,
        activity: l.activity,
        goroutine: l.g,
        proc,
        thread,
        what: l.what,
        stack: l.stack,
        by: NONE,
    }
}

/// A lane goes on with another state; what it did before is told. What it is in when it is first heard of it was in since `sync`, idle.
fn change<S: Sink>(now: &mut Option<Lane>, kind: LaneKind, l: Lane, at: i64, sync: i64, out: &mut S) {
    match now {
        Some(n) if n.activity == l.activity && n.g == l.g && n.what == l.what => {}
        Some(n) => {
            let from = n.since;
            if l.since > from || at > from {
                // A state that reaches back takes the place of what was there.
                out.span(&stretch(kind, n, l.since.max(from), false));
            }
            *n = Lane { since: l.since.max(from), ..l };
        }
        None => {
            if l.since > sync && matches!(kind, LaneKind::Collector | LaneKind::StopTheWorld) {
                out.span(&stretch(kind, &lane(sync, Activity::Idle), l.since, false));
            }
            *now = Some(l);
        }
    }
}

fn cut<S: Sink>(kind: LaneKind, l: &mut Lane, at: i64, out: &mut S) {
    if l.activity != Activity::Unknown && l.since < at {
        out.span(&stretch(kind, l, at, true));
        (l.since, l.more) = (at, true);
    }
}
