//! Where each goroutine's time went, as Go's own summary counts it.

use super::names::Names;
use crate::base::GoroutineId;
use crate::model::{FunctionTimes, GoroutineTimes, Times};
use crate::trace::exec::event::{Event, GoState, NONE};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// Goroutines that ended and are kept one by one; those after them count for their functions only.
const KEPT: usize = 200_000;
/// Functions told apart.
const FUNCTIONS: usize = 1 << 16;

/// Sums of time, ns.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    pub running: i64,
    pub runnable: i64,
    pub syscall: i64,
    pub syscall_blocked: i64,
    pub total: i64,
    /// By reason.
    pub blocked: SmallVec<[(u32, i64); 2]>,
    /// By name.
    pub ranges: SmallVec<[(u32, i64); 1]>,
}

fn add<const N: usize>(to: &mut SmallVec<[(u32, i64); N]>, key: u32, ns: i64)
where
    [(u32, i64); N]: smallvec::Array<Item = (u32, i64)>,
{
    match to.iter_mut().find(|e| e.0 == key) {
        Some(e) => e.1 = e.1.saturating_add(ns),
        None => to.push((key, ns)),
    }
}

impl Sums {
    fn add(&mut self, o: &Sums) {
        self.running = self.running.saturating_add(o.running);
        self.runnable = self.runnable.saturating_add(o.runnable);
        self.syscall = self.syscall.saturating_add(o.syscall);
        self.syscall_blocked = self.syscall_blocked.saturating_add(o.syscall_blocked);
        self.total = self.total.saturating_add(o.total);
        o.blocked.iter().for_each(|(k, n)| add(&mut self.blocked, *k, *n));
        o.ranges.iter().for_each(|(k, n)| add(&mut self.ranges, *k, *n));
    }

    pub(super) fn times(&self, names: &Names) -> Times {
        let ns = |n: i64| n.max(0).cast_unsigned();
        let named = |v: &[(u32, i64)]| {
            let mut v: Vec<(String, u64)> = v.iter().map(|(k, n)| (names.text(*k).to_string(), ns(*n))).collect();
            v.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            v
        };
        Times {
            total: ns(self.total),
            running: ns(self.running),
            runnable: ns(self.runnable),
            syscall: ns(self.syscall),
            syscall_blocked: ns(self.syscall_blocked),
            blocked: named(&self.blocked),
            ranges: named(&self.ranges),
        }
    }
}

/// A goroutine that is there.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub id: i64,
    pub function: Option<u32>,
    pub created: i64,
    pub state: GoState,
    /// Since when it is in that state; 0 before it is known.
    pub since: i64,
    pub reason: u32,
    /// Its P went while it was in a system call.
    robbed: i64,
    /// The P with which it went there.
    call_p: i64,
    pub sums: Sums,
    open: SmallVec<[(u32, i64); 1]>,
    pub regions: Vec<super::annotations::Open>,
    /// Where it stands, as far as a stack was told.
    pub stack: u32,
    /// Who created it, and where.
    pub creator: (i64, u32),
    /// What a blocking profile counts from here: kind, since, stack.
    pub tracked: Option<(u8, i64, u32)>,
    /// Collector work, for the mutator's share.
    pub in_gc: bool,
    pub marks: bool,
    ended: bool,
}

impl Live {
    fn new(id: i64, created: i64) -> Live {
        Live {
            id,
            function: None,
            created,
            state: GoState::Undetermined,
            since: 0,
            reason: 0,
            robbed: 0,
            call_p: NONE,
            sums: Sums::default(),
            open: SmallVec::new(),
            regions: Vec::new(),
            stack: 0,
            creator: (NONE, 0),
            tracked: None,
            in_gc: false,
            marks: false,
            ended: false,
        }
    }

    /// What there would be if it ended now. Of a system call without its P Go counts all as such, and the rest as waiting for a P, too.
    pub(super) fn until(&self, at: i64) -> Sums {
        let mut s = self.sums.clone();
        if self.ended {
            return s;
        }
        s.total = at - self.created;
        let ns = at - self.since;
        match self.state {
            GoState::Running => s.running += ns,
            GoState::Runnable => s.runnable += ns,
            GoState::Waiting => add(&mut s.blocked, self.reason, ns),
            GoState::Syscall => {
                s.syscall += ns;
                if self.robbed != 0 {
                    s.runnable += at - self.robbed;
                }
            }
            _ => {}
        }
        for (name, since) in &self.open {
            add(&mut s.ranges, *name, at - since);
        }
        s
    }
}

struct Done {
    id: i64,
    function: u32,
    from: i64,
    to: i64,
    sums: Sums,
}

/// All goroutines.
#[derive(Default)]
pub(super) struct Goroutines {
    pub live: Vec<Option<Box<Live>>>,
    done: Vec<Done>,
    functions: FxHashMap<u32, (u64, Sums)>,
    /// Goroutines seen.
    pub seen: u64,
    /// Which goroutine went into a system call with a P.
    calls: FxHashMap<i64, u32>,
    /// Who sweeps on a P.
    sweeps: FxHashMap<(i64, u32), u32>,
    forever: u32,
}

impl Goroutines {
    pub(super) fn new(names: &mut Names) -> Goroutines {
        Goroutines { forever: names.string("forever"), ..Goroutines::default() }
    }

    pub(super) fn get(&mut self, slot: u32) -> Option<&mut Live> {
        self.live.get_mut(slot as usize)?.as_deref_mut()
    }

    fn place(&mut self, slot: u32, id: i64, created: i64) -> &mut Live {
        let i = slot as usize;
        if self.live.len() <= i {
            self.live.resize_with(i + 1, || None);
        }
        let place = &mut self.live[i];
        if place.as_ref().is_none_or(|l| l.id != id) {
            self.seen += 1;
            *place = None;
        }
        place.get_or_insert_with(|| Box::new(Live::new(id, created)))
    }

    /// A goroutine goes from one state to another.
    pub(super) fn moved(&mut self, slot: u32, e: &Event, m: &Move, sync: i64) {
        if m.old == m.new {
            return;
        }
        let (old, at) = (m.old, e.time);
        if matches!(old, GoState::Undetermined | GoState::NotExist) {
            let created = if old == GoState::Undetermined { sync } else { at };
            let g = self.place(slot, m.g, created);
            if old == GoState::Undetermined && g.state == GoState::Undetermined {
                let ns = at - sync;
                match m.new {
                    GoState::Running => g.sums.running += ns,
                    GoState::Waiting => add(&mut g.sums.blocked, m.reason, ns),
                    GoState::Runnable => g.sums.runnable += ns,
                    GoState::Syscall if e.p == NONE => g.sums.syscall_blocked += ns,
                    GoState::Syscall => g.sums.syscall += ns,
                    _ => {}
                }
            }
        }
        let Some(g) = self.get(slot) else { return };
        let ns = at - g.since;
        let mut returned = None;
        match old {
            GoState::Running => g.sums.running += ns,
            GoState::Waiting if g.since != 0 => add(&mut g.sums.blocked, g.reason, ns),
            GoState::Runnable if g.since != 0 => g.sums.runnable += ns,
            GoState::Syscall if g.since != 0 => {
                if g.robbed != 0 {
                    g.sums.syscall_blocked += at - g.robbed;
                    g.sums.syscall += g.robbed - g.since;
                } else {
                    g.sums.syscall += ns;
                }
                g.robbed = 0;
                returned = Some(g.call_p);
            }
            _ => {}
        }
        (g.state, g.since) = (m.new, at);
        g.function = g.function.or(m.root);
        if m.stack != 0 {
            g.stack = m.stack;
        }
        match m.new {
            GoState::Waiting if m.reason == self.forever => self.end(slot, at),
            GoState::Waiting => {
                if let Some(g) = self.get(slot) {
                    g.reason = m.reason;
                }
            }
            GoState::NotExist => {
                self.end(slot, at);
                self.gone(slot, at);
            }
            GoState::Syscall => {
                if let Some(g) = self.get(slot) {
                    g.call_p = e.p;
                }
            }
            _ => {}
        }
        if let Some(p) = returned {
            self.calls.remove(&p);
        }
        if m.new == GoState::Syscall {
            self.calls.insert(e.p, slot);
        }
    }

    /// A P stops: the goroutine that was in a system call with it goes on without.
    pub(super) fn idle(&mut self, p: i64, at: i64) {
        if let Some(g) = self.calls.remove(&p).and_then(|s| self.get(s)) {
            g.robbed = at;
        }
    }

    /// Its times are final. One that waits for ever is still there.
    fn end(&mut self, slot: u32, at: i64) {
        if let Some(g) = self.get(slot)
            && !g.ended
        {
            (g.state, g.since) = (GoState::NotExist, at);
            g.sums = g.until(at);
            g.ended = true;
            g.open.clear();
        }
    }

    fn gone(&mut self, slot: u32, at: i64) {
        let Some(g) = self.live.get_mut(slot as usize).and_then(Option::take) else { return };
        let function = g.function.unwrap_or(0);
        self.count(function, &g.sums);
        if self.done.len() < KEPT {
            self.done.push(Done { id: g.id, function, from: g.created, to: at, sums: g.sums });
        }
    }

    fn count(&mut self, function: u32, sums: &Sums) {
        let key = if self.functions.len() < FUNCTIONS || self.functions.contains_key(&function) { function } else { 1 };
        let f = self.functions.entry(key).or_default();
        f.0 += 1;
        f.1.add(sums);
    }

    /// A stretch begins (or is said to go on since `sync`) for a goroutine, or for the one on a P.
    pub(super) fn range_begin(&mut self, slot: Option<u32>, p: Option<i64>, name: u32, from: i64, active: bool) {
        let Some(slot) = slot else { return };
        if let Some(p) = p
            && self.get(slot).is_some()
        {
            self.sweeps.insert((p, name), slot);
        }
        let Some(g) = self.get(slot) else { return };
        match g.open.iter_mut().find(|o| o.0 == name) {
            Some(o) => {
                let before = std::mem::replace(&mut o.1, from);
                if active {
                    add(&mut g.sums.ranges, name, from - before);
                }
            }
            None => g.open.push((name, from)),
        }
    }

    pub(super) fn range_end(&mut self, slot: Option<u32>, p: Option<i64>, name: u32, at: i64) {
        let slot = match p {
            // Only if it ends where it began.
            Some(p) => self.sweeps.remove(&(p, name)).filter(|s| slot == Some(*s)),
            None => slot,
        };
        let Some(g) = slot.and_then(|s| self.get(s)) else { return };
        if let Some(i) = g.open.iter().position(|o| o.0 == name) {
            let (_, from) = g.open.swap_remove(i);
            add(&mut g.sums.ranges, name, at - from);
        }
    }

    /// Nothing is known of anybody from here on.
    pub(super) fn lose(&mut self, at: i64) {
        for g in self.live.iter_mut().flatten() {
            g.sums = g.until(at);
            (g.state, g.since, g.robbed) = (GoState::Undetermined, 0, 0);
            g.open.clear();
            g.tracked = None;
        }
        // They come back at other places.
        let lost: Vec<u32> = (0..self.live.len() as u32).filter(|s| self.live[*s as usize].is_some()).collect();
        for s in lost {
            self.gone(s, at);
        }
        self.calls.clear();
        self.sweeps.clear();
    }

    fn here(&self) -> impl Iterator<Item = &Live> {
        self.live.iter().flatten().map(|l| &**l)
    }

    /// Each one, longest first.
    pub(super) fn rows(&self, names: &Names, last: i64, count: usize) -> (Vec<GoroutineTimes>, u64) {
        let mut all: Vec<(i64, GoroutineTimes)> = Vec::new();
        let row = |id: i64, function: u32, from: i64, to: Option<i64>, s: &Sums| GoroutineTimes {
            id: GoroutineId(id.cast_unsigned()),
            function: names.text(function).to_string(),
            from_ns: from,
            to_ns: to,
            times: s.times(names),
        };
        let mut order: Vec<(i64, bool, usize)> =
            self.done.iter().enumerate().map(|(i, d)| (d.sums.total, true, i)).collect();
        let here: Vec<&Live> = self.here().collect();
        order.extend(here.iter().enumerate().map(|(i, g)| (g.until(last).total, false, i)));
        order.sort_by_key(|o| std::cmp::Reverse(o.0));
        for &(total, done, i) in order.iter().take(count) {
            let r = match done {
                true => {
                    let d = &self.done[i];
                    row(d.id, d.function, d.from, Some(d.to), &d.sums)
                }
                false => {
                    let g = here[i];
                    let end = g.ended.then_some(g.since);
                    row(g.id, g.function.unwrap_or(0), g.created, end, &g.until(last))
                }
            };
            all.push((total, r));
        }
        (all.into_iter().map(|r| r.1).collect(), self.seen)
    }

    /// By function, most running first.
    pub(super) fn by_function(&self, names: &Names, last: i64) -> Vec<FunctionTimes> {
        let mut all: FxHashMap<u32, (u64, Sums)> = self.functions.clone();
        for g in self.here() {
            let f = all.entry(g.function.unwrap_or(0)).or_default();
            f.0 += 1;
            f.1.add(&g.until(last));
        }
        let row = |(f, (count, s)): (u32, (u64, Sums))| FunctionTimes {
            function: names.text(f).to_string(),
            count,
            times: s.times(names),
        };
        let mut rows: Vec<FunctionTimes> = all.into_iter().map(row).collect();
        rows.sort_by(|a, b| b.times.running.cmp(&a.times.running).then_with(|| a.function.cmp(&b.function)));
        rows
    }

    /// All that are remembered, with the function that they were started with.
    pub(super) fn functions(&self) -> impl Iterator<Item = (i64, u32)> {
        let here = self.here().filter_map(|g| Some((g.id, g.function?)));
        here.chain(self.done.iter().map(|d| (d.id, d.function)))
    }

    /// The function that a goroutine was started with.
    pub(super) fn function_of(&self, id: i64) -> Option<u32> {
        let here = self.here().find(|g| g.id == id).and_then(|g| g.function);
        here.or_else(|| self.done.iter().find(|d| d.id == id).map(|d| d.function))
    }
}

/// What an event says of a goroutine, names resolved.
pub(super) struct Move {
    pub g: i64,
    pub old: GoState,
    pub new: GoState,
    pub reason: u32,
    /// Its own stack, if told.
    pub stack: u32,
    /// Outermost function of that.
    pub root: Option<u32>,
}
