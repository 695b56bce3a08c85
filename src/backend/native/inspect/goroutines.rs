//! Goroutine lists, groups and stacks. A list is read once a moment; pages and groups of it cost no further reading.

use super::Worker;
use crate::backend::protocol::*;
use crate::base::pages::PagedMemory;
use crate::base::{GoroutineId, LoadAddr, MemoryError, StopEpoch};
use crate::diagnose::shown::Names;
use crate::engine::{Loaded, StopState};
use crate::goruntime::{GoroutineList, ListOptions, RuntimeError, StackStart, WalkedStack};
use crate::model::{Goroutine, GoroutineFilter, GoroutineState, GroupBy, ReadInfo, Stack};
use crate::target::linux::polite;
use crate::waits::Waits;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// While the target runs, a list this old is read anew.
const OBSERVED_FOR: Duration = Duration::from_secs(1);

/// How long names of objects are looked for in the frames of one page.
const NAMING: Duration = Duration::from_millis(50);
/// Rows of a list that waits for type information when names are asked for.
const NAMED: usize = 1_000;

/// What was read last.
#[derive(Default)]
pub(super) struct Lists {
    current: Option<Current>,
    /// The newest list, kept when it is old: what has not run since is not read again.
    earlier: Option<Arc<GoroutineList>>,
    filtered: Option<(GoroutineFilter, Arc<Vec<u32>>)>,
    grouped: Option<Grouped>,
}

/// Groups of the present list, for one filter and grouping.
struct Grouped {
    filter: GoroutineFilter,
    by: GroupBy,
    groups: Arc<Vec<crate::model::GoroutineGroup>>,
}

struct Current {
    epoch: StopEpoch,
    stopped: bool,
    at: Instant,
    read: ReadInfo,
    list: Arc<GoroutineList>,
}

impl Lists {
    /// What was read is old.
    pub fn forget(&mut self) {
        *self = Lists { earlier: self.earlier.take(), ..Lists::default() };
    }
}

pub(super) fn failed(e: &RuntimeError) -> Failure {
    if matches!(e, RuntimeError::Memory(MemoryError::Gone)) {
        return Failure::new(FailureKind::Gone, "the process is gone");
    }
    Failure::new(FailureKind::Unavailable, format!("cannot read the goroutines: {e}"))
}

impl Worker {
    /// The list of the present moment. A page other than the first never brings a new one.
    pub(super) fn list(
        &mut self,
        state: &StopState,
        first_page: bool,
    ) -> Result<(Arc<GoroutineList>, ReadInfo), Failure> {
        if let Some(c) = &self.lists.current
            && c.epoch == state.epoch
            && (c.stopped || !first_page || c.at.elapsed() < OBSERVED_FOR)
        {
            return Ok((c.list.clone(), c.read));
        }
        let t0 = Instant::now();
        let options = ListOptions { stopped: state.stopped };
        let Loaded { rt, mem, .. } = &self.loaded;
        // The first list is waited for; later ones of a target that runs must not be felt by it.
        let earlier = self.lists.earlier.take().filter(|_| !state.stopped);
        let read = || rt.list_since(&**mem, &state.registers, self.loaded.now_ns(), options, earlier.as_deref());
        let list = if earlier.is_some() { polite::aside(read) } else { read() }.map_err(|e| failed(&e))?;
        let read = ReadInfo {
            retries: list.retries,
            took_us: t0.elapsed().as_micros() as u64,
            ..self.loaded.read_info(state)
        };
        let list = Arc::new(list);
        self.lists = Lists {
            current: Some(Current {
                epoch: state.epoch,
                stopped: state.stopped,
                at: Instant::now(),
                read,
                list: list.clone(),
            }),
            earlier: Some(list.clone()),
            ..Lists::default()
        };
        Ok((list, read))
    }

    pub(super) fn rows(&mut self, list: &GoroutineList, filter: &GoroutineFilter) -> Arc<Vec<u32>> {
        if let Some((f, rows)) = &self.lists.filtered
            && f == filter
        {
            return rows.clone();
        }
        let rows = Arc::new(list.filter(filter));
        self.lists.filtered = Some((filter.clone(), rows.clone()));
        rows
    }

    pub(super) fn goroutines(&mut self, state: &Arc<StopState>, q: &GoroutineQuery) -> Result<Reply, Failure> {
        let (list, read) = self.list(state, q.start == 0)?;
        let rows = self.rows(&list, &q.filter);
        let page = page_of(&rows, q.start, q.count);
        // Many rows do not wait for it: looking for so many names would take longer than the list.
        if q.names && rows.len() <= NAMED {
            let _there_is_none = self.loaded.sym.load_dwarf();
        }
        let rows_out = self.full_rows(state, &list, page, q.stack, q.defers);
        Ok(Reply::Goroutines { epoch: state.epoch, read, total: rows.len() as u64, rows: rows_out })
    }

    /// Rows with what only a visible row needs: what it waits on, and, if asked for, stack and defers.
    fn full_rows(
        &self,
        state: &StopState,
        list: &GoroutineList,
        page: &[u32],
        stack: u32,
        defers: bool,
    ) -> Vec<Goroutine> {
        let near = PagedMemory::new(&*self.loaded.mem);
        let waits = Waits::new(&self.loaded.rt, &near, list.now_ns());
        // Only if types are at hand: nobody waits for DWARF to see a list.
        let types = self.loaded.sym.dwarf_if_loaded().is_some();
        let names = types.then(|| Names::new(&self.loaded.rt, &*self.loaded.mem)).flatten();
        let mut known: FxHashMap<LoadAddr, Option<String>> = FxHashMap::default();
        let began = Instant::now();
        let row = |i: &u32| {
            let mut g = list.row(*i as usize)?;
            if (g.wait_reason.is_some() || g.state == GoroutineState::Syscall)
                && let Ok(raw) = self.loaded.rt.read_g(&near, g.g)
            {
                g.waits_on = waits.of(&raw).on;
                for on in &mut g.waits_on {
                    if on.name.is_none()
                        && let Some(addr) = on.addr
                        && let Some(names) = &names
                    {
                        // Looking through frames takes time: not for long on a long page.
                        let frames = began.elapsed() < NAMING;
                        let name = known.entry(addr).or_insert_with(|| names.of(addr, frames.then_some(g.g)));
                        on.name = name.clone();
                    }
                }
            }
            if stack > 0 || defers {
                let depth = if defers { stack.max(64) } else { stack };
                if let Ok(w) = self.walk(state, Some(g.id), Some(g.g), depth, defers) {
                    if defers {
                        g.defers = Some(w.stack.frames.iter().flat_map(|f| f.defers.clone()).collect());
                    }
                    if stack > 0 {
                        g.stack = Some(w.stack.frames.into_iter().take(stack as usize).collect());
                    }
                }
            }
            Some(g)
        };
        page.iter().filter_map(row).collect()
    }

    pub(super) fn groups(&mut self, state: &Arc<StopState>, q: &GroupQuery) -> Result<Reply, Failure> {
        let (list, read) = self.list(state, q.start == 0)?;
        let rows = self.rows(&list, &q.filter);
        let hit =
            self.lists.grouped.as_ref().filter(|g| g.filter == q.filter && g.by == q.by).map(|g| g.groups.clone());
        let groups = hit.unwrap_or_else(|| {
            let groups = Arc::new(self.loaded.rt.group(&*self.loaded.mem, &list, &rows, q.by));
            self.lists.grouped = Some(Grouped { filter: q.filter.clone(), by: q.by, groups: groups.clone() });
            groups
        });
        Ok(Reply::Groups {
            epoch: state.epoch,
            read,
            goroutines: rows.len() as u64,
            hidden_system: if q.filter.system { 0 } else { list.system_count() as u64 },
            total: groups.len() as u64,
            groups: page_of(&groups, q.start, q.count).to_vec(),
        })
    }

    pub(super) fn group_members(
        &mut self,
        state: &Arc<StopState>,
        q: &GroupQuery,
        key: u64,
        start: u64,
        count: u64,
    ) -> Result<Reply, Failure> {
        let (list, read) = self.list(state, false)?;
        let rows = self.rows(&list, &q.filter);
        let members = self.loaded.rt.members(&*self.loaded.mem, &list, &rows, q.by, key);
        let page = page_of(&members, start, count);
        let rows = self.full_rows(state, &list, page, 0, false);
        Ok(Reply::Goroutines { epoch: state.epoch, read, total: members.len() as u64, rows })
    }

    pub(super) fn goroutines_by_id(&mut self, state: &Arc<StopState>, ids: &[GoroutineId]) -> Result<Reply, Failure> {
        let (list, read) = self.list(state, false)?;
        let page: Vec<u32> = ids.iter().filter_map(|id| u32::try_from(list.index_of(*id)?).ok()).collect();
        let rows = self.full_rows(state, &list, &page, 0, false);
        Ok(Reply::Goroutines { epoch: state.epoch, read, total: page.len() as u64, rows })
    }

    pub(super) fn stack_of(
        &self,
        state: &StopState,
        goroutine: Option<GoroutineId>,
        depth: u32,
        defers: bool,
    ) -> Result<Stack, Failure> {
        self.walk(state, goroutine, None, depth, defers).map(|w| w.stack)
    }

    /// Walks a goroutine's stack: from its thread if it is on one, else from where it is parked.
    pub(super) fn walk(
        &self,
        state: &StopState,
        goroutine: Option<GoroutineId>,
        known: Option<LoadAddr>,
        depth: u32,
        defers: bool,
    ) -> Result<WalkedStack, Failure> {
        let (rt, mem) = (&self.loaded.rt, &*self.loaded.mem);
        let on_thread = |id: GoroutineId| {
            state
                .registers
                .values()
                .find(|r| rt.current_g(mem, r.fs_base).is_some_and(|g| g.goid == id.0 && g.goid != 0))
        };
        let regs = match goroutine.or(state.goroutine) {
            None => state.registers.get(&state.thread.0),
            Some(id) if Some(id) == state.goroutine => state.registers.get(&state.thread.0),
            Some(id) => on_thread(id),
        };
        let start = match (regs, goroutine.or(state.goroutine)) {
            (Some(r), _) => StackStart::Registers(r),
            (None, Some(id)) => {
                let at = known.or_else(|| self.find(id)).ok_or_else(|| no_goroutine(id))?;
                StackStart::Parked(at)
            }
            (None, None) => {
                return Err(Failure::new(FailureKind::BadState, "the program is running: name a goroutine"));
            }
        };
        rt.stack(mem, start, depth as usize, defers).map_err(|e| failed(&e))
    }

    fn find(&self, id: GoroutineId) -> Option<LoadAddr> {
        if let Some(c) = &self.lists.current
            && let Some(i) = c.list.index_of(id)
        {
            return c.list.g(i);
        }
        self.loaded.rt.find_goroutine(&*self.loaded.mem, id)
    }
}

fn no_goroutine(id: GoroutineId) -> Failure {
    Failure::new(FailureKind::BadRequest, format!("no goroutine {id}")).fix("`goroutines` lists them")
}

fn page_of<T>(all: &[T], start: u64, count: u64) -> &[T] {
    let from = (start as usize).min(all.len());
    let to = from.saturating_add(count as usize).min(all.len());
    &all[from..to]
}
