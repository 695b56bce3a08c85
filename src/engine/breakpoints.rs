//! The table of logical breakpoints and what their hits mean.

use super::hits::Cost;
use super::watch::Watch;
use crate::base::{BreakpointId, GoroutineId, LoadAddr};
use crate::eval::{Compiled, EvalError, Template};
use crate::goruntime::value::FrameScope;
use crate::model::{Breakpoint, BreakpointSpec};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::collections::BTreeMap;

/// Ids of the engine's own.
pub const UNRECOVERED_PANIC: BreakpointId = BreakpointId(-1);
/// `runtime.throw` and `runtime.fatal`.
pub const FATAL_ERROR: BreakpointId = BreakpointId(-2);

/// One logical breakpoint.
pub struct Logical {
    /// What the user sees.
    pub public: Breakpoint,
    /// Its addresses, ascending.
    pub addrs: Vec<LoadAddr>,
    /// Where a traced function returns, ascending.
    pub returns: Vec<LoadAddr>,
    /// What it evaluates, compiled for each address at its first hit (scopes differ).
    pub prepared: BTreeMap<LoadAddr, Prepared>,
    /// Hits of each goroutine.
    pub per_goroutine: FxHashMap<GoroutineId, u64>,
    /// Hits that counted.
    pub counted: u64,
    /// The breakpoint that it waits for was hit.
    pub released: bool,
    /// Calls of a traced function that are under way.
    pub calls: Calls,
    /// Can it be made of uprobes? None while nobody has tried.
    pub probe: Option<bool>,
    /// It watches data.
    pub watch: Option<Watch>,
    /// What it costs.
    pub cost: Cost,
    /// Reached and hits as told last.
    pub told: (u64, u64, u64),
}

/// What a breakpoint evaluates at one address.
pub struct Prepared {
    /// The scope, but for frame and registers.
    pub scope: FrameScope,
    /// The condition.
    pub condition: Option<Compiled>,
    /// The log line.
    pub log: Template,
    /// What is recorded.
    pub values: Vec<(String, Result<Compiled, EvalError>)>,
    /// The goroutine is asked for.
    pub goroutine: bool,
}

/// Calls of a traced function that are under way.
#[derive(Default)]
pub struct Calls {
    /// By `runtime.g`, innermost last.
    open: FxHashMap<LoadAddr, SmallVec<[OpenCall; 2]>>,
}

/// A call under way.
#[derive(Clone, Copy, Debug)]
struct OpenCall {
    /// Its frame: relative to the top of the stack, or, noted by a uprobe, its canonical frame address.
    frame: i64,
    begun: i64,
    /// It was recorded.
    counts: bool,
}

/// Goroutines with a traced call under way that are remembered.
const MAX_CALLERS: usize = 1 << 20;

impl Calls {
    fn of(&mut self, g: LoadAddr) -> Option<&mut SmallVec<[OpenCall; 2]>> {
        if self.open.len() >= MAX_CALLERS && !self.open.contains_key(&g) {
            return None;
        }
        Some(self.open.entry(g).or_default())
    }
    /// A call began, in the frame at `frame` (relative to the top of the stack), at `now`.
    pub fn entered(&mut self, g: LoadAddr, frame: i64, now: i64) {
        if let Some(list) = self.of(g) {
            // What is as deep or deeper was left by a panic.
            list.retain(|c| c.frame > frame);
            list.push(OpenCall { frame, begun: now, counts: true });
        }
    }
    /// The call in that frame is over: when it began.
    pub fn left(&mut self, g: LoadAddr, frame: i64) -> Option<i64> {
        let list = self.open.get_mut(&g)?;
        let at = list.iter().position(|c| c.frame == frame)?;
        self.cut(g, at)
    }
    /// A uprobe noted a call, whose frame is at `cfa`. Whether it counts is said by [`Calls::counts`].
    pub fn noted(&mut self, g: LoadAddr, cfa: i64, now: i64) {
        if let Some(list) = self.of(g) {
            list.push(OpenCall { frame: cfa, begun: now, counts: false });
        }
    }
    /// The call noted last counts.
    pub fn counts(&mut self, g: LoadAddr) {
        if let Some(c) = self.open.get_mut(&g).and_then(|l| l.last_mut()) {
            c.counts = true;
        }
    }
    /// A uprobe noted a return from the frame at `cfa`: when the call began, if it counted. A frame that is not known by its address is
    /// the innermost one, moved with its stack.
    pub fn noted_return(&mut self, g: LoadAddr, cfa: i64) -> Option<i64> {
        let list = self.open.get_mut(&g)?;
        let at = list.iter().rposition(|c| c.frame == cfa).or(list.len().checked_sub(1))?;
        self.cut(g, at)
    }
    fn cut(&mut self, g: LoadAddr, at: usize) -> Option<i64> {
        let list = self.open.get_mut(&g)?;
        let call = *list.get(at)?;
        list.truncate(at);
        if list.is_empty() {
            self.open.remove(&g);
        }
        call.counts.then_some(call.begun)
    }
}

impl Logical {
    /// New, with these addresses.
    pub fn new(public: Breakpoint, mut addrs: Vec<LoadAddr>, mut returns: Vec<LoadAddr>) -> Logical {
        addrs.sort_unstable();
        returns.sort_unstable();
        Logical {
            public,
            addrs,
            returns,
            prepared: BTreeMap::new(),
            per_goroutine: FxHashMap::default(),
            counted: 0,
            released: false,
            calls: Calls::default(),
            probe: None,
            watch: None,
            cost: Cost::default(),
            told: (0, 0, 0),
        }
    }
    /// Forgets what belongs to the program or the spec as it was.
    pub fn reset(&mut self) {
        self.prepared.clear();
        self.per_goroutine.clear();
        self.calls = Calls::default();
        self.counted = 0;
        self.cost = Cost::default();
        self.probe = None;
        self.public.problem.clear();
    }
    /// Does a traced function return here?
    pub fn is_return(&self, at: LoadAddr) -> bool {
        self.returns.binary_search(&at).is_ok()
    }
    /// Is it to be planted?
    pub fn active(&self) -> bool {
        self.public.spec.enabled && (self.public.spec.after.is_none() || self.released)
    }
}

/// All breakpoints that outlive a stop.
#[derive(Default)]
pub struct Breakpoints {
    list: BTreeMap<BreakpointId, Logical>,
    /// Who is at an address, enabled or not.
    index: FxHashMap<LoadAddr, SmallVec<[BreakpointId; 2]>>,
    last: i32,
}

/// Is it a name that Delve would accept: letters and digits, not a number?
pub fn valid_name(name: &str) -> bool {
    !name.is_empty() && name.parse::<i64>().is_err() && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

impl Breakpoints {
    /// Adds one; `addrs` may be empty (it waits for code).
    pub fn add(
        &mut self,
        spec: BreakpointSpec,
        at: Vec<std::sync::Arc<crate::model::Location>>,
        addrs: Vec<LoadAddr>,
        returns: Vec<LoadAddr>,
    ) -> BreakpointId {
        self.last += 1;
        let id = BreakpointId(self.last);
        let public = Breakpoint {
            id,
            spec,
            at,
            hits: 0,
            reached: 0,
            calls: crate::model::CallTotals::default(),
            cost_ns: 0,
            mechanism: crate::model::Mechanism::Int3,
            problem: String::new(),
        };
        self.insert(Logical::new(public, addrs, returns));
        id
    }
    /// One of them.
    pub fn get(&self, id: BreakpointId) -> Option<&Logical> {
        self.list.get(&id)
    }
    /// One of them, to change.
    pub fn get_mut(&mut self, id: BreakpointId) -> Option<&mut Logical> {
        self.list.get_mut(&id)
    }
    /// Removes one.
    pub fn remove(&mut self, id: BreakpointId) -> Option<Logical> {
        let gone = self.list.remove(&id);
        self.reindex();
        gone
    }
    fn insert(&mut self, l: Logical) {
        self.list.insert(l.public.id, l);
        self.reindex();
    }
    fn reindex(&mut self) {
        self.index.clear();
        for l in self.list.values() {
            for a in l.addrs.iter().chain(&l.returns) {
                self.index.entry(*a).or_default().push(l.public.id);
            }
        }
    }
    /// Where a traced function returns.
    pub fn set_returns(&mut self, id: BreakpointId, returns: Vec<LoadAddr>) {
        if let Some(l) = self.list.get_mut(&id) {
            l.returns = returns;
            self.reindex();
        }
    }
    /// All, to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Logical> {
        self.list.values_mut()
    }
    /// `id` was hit: those that waited for it are released. Were there any?
    pub fn release_followers(&mut self, id: BreakpointId) -> bool {
        let mut any = false;
        for l in self.list.values_mut().filter(|l| l.public.spec.after == Some(id) && !l.released) {
            l.released = true;
            any = true;
        }
        any
    }
    /// All, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Logical> {
        self.list.values()
    }
    /// Ids of the active ones at an address.
    pub fn at(&self, addr: LoadAddr) -> SmallVec<[BreakpointId; 2]> {
        let Some(ids) = self.index.get(&addr) else { return SmallVec::new() };
        ids.iter().copied().filter(|id| self.list.get(id).is_some_and(Logical::active)).collect()
    }
    /// Addresses of all active ones but these.
    pub fn addresses<'a>(&'a self, but: impl Fn(BreakpointId) -> bool + 'a) -> impl Iterator<Item = LoadAddr> + 'a {
        self.list
            .values()
            .filter(move |l| l.active() && !but(l.public.id))
            .flat_map(|l| l.addrs.iter().chain(&l.returns).copied())
    }
    /// An existing breakpoint with exactly these addresses (Delve refuses a second one).
    pub fn same_place(&self, addrs: &[LoadAddr]) -> Option<BreakpointId> {
        let mut sorted = addrs.to_vec();
        sorted.sort_unstable();
        self.list.values().find(|l| !sorted.is_empty() && l.addrs == sorted).map(|l| l.public.id)
    }
    /// The specs, to set again in a restarted program, with their ids.
    pub fn take(&mut self) -> Vec<Logical> {
        self.index.clear();
        std::mem::take(&mut self.list).into_values().collect()
    }
    /// Puts one back under its old id.
    pub fn restore(&mut self, l: Logical) {
        self.last = self.last.max(l.public.id.0);
        self.insert(l);
    }
}
