//! The table of logical breakpoints and what their hits mean.

use crate::base::{BreakpointId, LoadAddr};
use crate::eval::Compiled;
use crate::goruntime::value::FrameScope;
use crate::model::{Breakpoint, BreakpointSpec};
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
    /// The condition, compiled for each address at its first hit (scopes differ).
    pub compiled: BTreeMap<LoadAddr, (Compiled, FrameScope)>,
}

/// All breakpoints that outlive a stop.
#[derive(Default)]
pub struct Breakpoints {
    list: BTreeMap<BreakpointId, Logical>,
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
        mut addrs: Vec<LoadAddr>,
    ) -> BreakpointId {
        self.last += 1;
        let id = BreakpointId(self.last);
        addrs.sort_unstable();
        let public = Breakpoint {
            id,
            spec,
            at,
            hits: 0,
            reached: 0,
            cost_ns: 0,
            mechanism: crate::model::Mechanism::Int3,
            problem: String::new(),
        };
        self.list.insert(id, Logical { public, addrs, compiled: BTreeMap::new() });
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
        self.list.remove(&id)
    }
    /// All, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Logical> {
        self.list.values()
    }
    /// Ids of the enabled ones at an address.
    pub fn at(&self, addr: LoadAddr) -> Vec<BreakpointId> {
        let hit = |l: &&Logical| l.public.spec.enabled && l.addrs.binary_search(&addr).is_ok();
        self.list.values().filter(hit).map(|l| l.public.id).collect()
    }
    /// Addresses of all enabled ones whose hit count can still be met.
    pub fn addresses(&self) -> impl Iterator<Item = LoadAddr> + '_ {
        self.list.values().filter(|l| l.public.spec.enabled).flat_map(|l| l.addrs.iter().copied())
    }
    /// An existing breakpoint with exactly these addresses (Delve refuses a second one).
    pub fn same_place(&self, addrs: &[LoadAddr]) -> Option<BreakpointId> {
        let mut sorted = addrs.to_vec();
        sorted.sort_unstable();
        self.list.values().find(|l| !sorted.is_empty() && l.addrs == sorted).map(|l| l.public.id)
    }
    /// The specs, to set again in a restarted program, with their ids.
    pub fn take(&mut self) -> Vec<Logical> {
        std::mem::take(&mut self.list).into_values().collect()
    }
    /// Puts one back under its old id.
    pub fn restore(&mut self, l: Logical) {
        self.last = self.last.max(l.public.id.0);
        self.list.insert(l.public.id, l);
    }
}
