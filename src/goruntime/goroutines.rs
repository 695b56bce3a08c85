//! The list of all goroutines, fast: batched reads, a window of stack each, everything said of a PC said once.
//!
//! Rows are small and become [`crate::model::Goroutine`] a page at a time.

use super::g::{G, status};
use super::pcinfo::{KnownLocation, PcInfo};
use super::unwind::{Start, Unwinder, from_registers};
use super::{GoRuntime, RuntimeError};
use crate::arch::Registers;
use crate::base::{GoroutineId, LoadAddr, Memory, MemoryError, ReadOp, Tid};
use crate::model::{CreatedBy, Goroutine};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::collections::HashMap;
use std::sync::Arc;

/// Goroutines worked on at once by one worker: bounds memory and keeps reads batched.
pub(super) const CHUNK: usize = 4096;
/// Stack fetched of each parked goroutine at first.
const WINDOW: usize = 512;
/// Frames looked through for the user's.
const USER_DEPTH: usize = 30;
/// Times a goroutine that moves is read again.
const RETRIES: u32 = 3;
/// How to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListOptions {
    /// The target stands still: nothing needs to be read twice.
    pub stopped: bool,
}

/// A goroutine in few bytes; places are numbers of the PC cache.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Row {
    pub goid: u64,
    pub g: u64,
    pub parent: u64,
    pub wait_since: u64,
    pub startpc: u64,
    pub at: u32,
    pub user: u32,
    pub creator: u32,
    pub labels: u32,
    pub tid: i32,
    pub status: u8,
    pub reason: u8,
    pub system: bool,
    pub torn: bool,
    /// See [`super::unchanged`]; 0 where it is not known.
    pub mark: u64,
}

/// All goroutines of one moment.
pub struct GoroutineList {
    pub(super) rows: Vec<Row>,
    pub(super) locations: Vec<KnownLocation>,
    pub(super) labels: Vec<Arc<[(String, String)]>>,
    pub(super) entries: FxHashMap<u64, Arc<super::entry::Entry>>,
    pub(super) reasons: Vec<Arc<str>>,
    pub(super) now_ns: u64,
    /// Row of each entry of `runtime.allgs`, whose order never changes; `u32::MAX` for none.
    pub(super) slots: Vec<u32>,
    /// Goroutines read again because they moved.
    pub retries: u64,
}

/// What one worker brings back.
#[derive(Default)]
struct Part {
    rows: Vec<Row>,
    /// Entry of `runtime.allgs` of each row.
    slots: Vec<u32>,
    label_ptrs: Vec<(usize, u64)>,
    retries: u64,
}

impl Part {
    fn push(&mut self, row: Row, slot: u32, g: &G) {
        if !g.labels.is_nil() {
            self.label_ptrs.push((self.rows.len(), g.labels.0));
        }
        self.rows.push(row);
        self.slots.push(slot);
    }
}

/// PC facts at hand of one worker.
struct Local<'a> {
    rt: &'a GoRuntime,
    seen: FxHashMap<u64, Option<Arc<PcInfo>>>,
}

impl Local<'_> {
    fn get(&mut self, pc: u64, exact: bool) -> Option<&PcInfo> {
        let rt = self.rt;
        self.seen.entry(pc << 1 | u64::from(exact)).or_insert_with(|| rt.pcs().get(LoadAddr(pc), exact)).as_deref()
    }
}

impl GoRuntime {
    /// Lists all goroutines. `threads` are registers by tid where the target stands still; without them a running
    /// goroutine's place is unknown.
    pub fn list(
        &self,
        mem: &dyn Memory,
        threads: &HashMap<i32, Registers>,
        now_ns: u64,
        opts: ListOptions,
    ) -> Result<GoroutineList, RuntimeError> {
        self.list_since(mem, threads, now_ns, opts, None)
    }

    /// As [`GoRuntime::list`]; what has not run since the `earlier` list is taken from there, without reading its stack.
    pub fn list_since(
        &self,
        mem: &dyn Memory,
        threads: &HashMap<i32, Registers>,
        now_ns: u64,
        opts: ListOptions,
        earlier: Option<&GoroutineList>,
    ) -> Result<GoroutineList, RuntimeError> {
        let ptrs = self.all_gs(mem)?;
        let parts: Vec<Part> = ptrs
            .par_chunks(CHUNK)
            .enumerate()
            .map(|(i, c)| self.list_part(mem, threads, (i * CHUNK, c), opts, earlier))
            .collect::<Result<_, MemoryError>>()?;
        let mut rows = Vec::with_capacity(parts.iter().map(|p| p.rows.len()).sum());
        let mut labels: Vec<Arc<[(String, String)]>> = vec![Arc::from([])];
        let mut label_ids: FxHashMap<u64, u32> = FxHashMap::default();
        let mut retries = 0;
        let mut slot_of: Vec<u32> = Vec::with_capacity(rows.capacity());
        for mut p in parts {
            retries += p.retries;
            for (i, ptr) in p.label_ptrs {
                let id = *label_ids.entry(ptr).or_insert_with(|| {
                    labels.push(self.labels(mem, LoadAddr(ptr)).into());
                    labels.len() as u32 - 1
                });
                p.rows[i].labels = id;
            }
            slot_of.append(&mut p.slots);
            rows.append(&mut p.rows);
        }
        let slots = super::unchanged::sort_with_slots(&mut rows, &slot_of, ptrs.len());
        let mut entries = FxHashMap::default();
        for r in &mut rows {
            if let Some(e) = self.entry(LoadAddr(r.startpc)) {
                entries.entry(r.startpc).or_insert(e);
            }
        }
        let locations = self.pcs().locations();
        Ok(GoroutineList {
            rows,
            locations,
            labels,
            entries,
            reasons: self.wait_reasons.clone(),
            now_ns,
            slots,
            retries,
        })
    }

    fn list_part(
        &self,
        mem: &dyn Memory,
        threads: &HashMap<i32, Registers>,
        (first, ptrs): (usize, &[u64]),
        opts: ListOptions,
        earlier: Option<&GoroutineList>,
    ) -> Result<Part, MemoryError> {
        let mut part = Part { rows: Vec::with_capacity(ptrs.len()), ..Part::default() };
        let (mut gs, mut slots) = (Vec::new(), Vec::new());
        for (i, g) in G::read_all(self.layout(), mem, ptrs)?.enumerate() {
            let Some(g) = g.filter(G::alive) else { continue };
            let slot = first + i;
            match earlier.and_then(|e| e.unchanged(slot, &g)) {
                Some(row) => part.push(row, slot as u32, &g),
                None => {
                    gs.push(g);
                    slots.push(slot as u32);
                }
            }
        }
        let mut stacks = vec![0u8; WINDOW * gs.len()];
        let mut ops: Vec<ReadOp<'_>> = stacks
            .chunks_exact_mut(WINDOW)
            .zip(&gs)
            .filter_map(|(b, g)| {
                let (_, sp) = g.parked_at()?;
                let len = (g.stack_hi - sp.0).min(WINDOW as u64) as usize;
                Some(ReadOp { addr: sp, buf: &mut b[..len], ok: false })
            })
            .collect();
        mem.read_scatter(&mut ops)?;
        drop(ops);
        let again = if opts.stopped { None } else { Some(self.read_again(mem, &gs)?) };
        let mut local = Local { rt: self, seen: FxHashMap::default() };
        for (i, g) in gs.iter().enumerate() {
            let mut g = *g;
            let mut stack = &stacks[i * WINDOW..(i + 1) * WINDOW];
            let mut torn = false;
            let own;
            if let Some(again) = &again
                && moved(&g, &again[i])
            {
                part.retries += 1;
                let (fresh, bytes, still) = self.settle(mem, again[i]);
                (g, torn, own) = (fresh, still, bytes);
                stack = &own;
                if !g.alive() {
                    continue;
                }
            }
            let mut row = self.row(mem, threads, &mut local, &g, stack, torn);
            row.mark = if torn || row.tid != 0 { 0 } else { super::unchanged::mark(&g) };
            part.push(row, slots[i], &g);
        }
        Ok(part)
    }

    fn read_again(&self, mem: &dyn Memory, gs: &[G]) -> Result<Vec<G>, MemoryError> {
        let at: Vec<u64> = gs.iter().map(|g| g.addr.0).collect();
        // One that cannot be read any more is no goroutine.
        let gone = |g: &G| G { addr: g.addr, ..G::default() };
        Ok(G::read_all(self.layout(), mem, &at)?.zip(gs).map(|(now, g)| now.unwrap_or_else(|| gone(g))).collect())
    }

    /// Reads a goroutine that moves until two reads agree.
    fn settle(&self, mem: &dyn Memory, mut g: G) -> (G, Vec<u8>, bool) {
        for _ in 0..RETRIES {
            let mut bytes = Vec::new();
            if let Some((_, sp)) = g.parked_at() {
                let len = (g.stack_hi - sp.0).min(WINDOW as u64) as usize;
                bytes = mem.read_vec(sp, len).unwrap_or_default();
            }
            let Ok(now) = G::read(self.layout(), mem, g.addr) else { break };
            if !moved(&g, &now) {
                return (now, bytes, false);
            }
            g = now;
        }
        (g, Vec::new(), true)
    }

    fn row(
        &self,
        mem: &dyn Memory,
        threads: &HashMap<i32, Registers>,
        local: &mut Local<'_>,
        g: &G,
        stack: &[u8],
        torn: bool,
    ) -> Row {
        let mut row = Row {
            goid: g.goid,
            g: g.addr.0,
            parent: g.parent,
            wait_since: g.wait_since,
            startpc: g.startpc,
            status: g.status as u8,
            reason: g.wait_reason,
            torn,
            ..Row::default()
        };
        if matches!(g.status, status::RUNNING | status::SYSCALL) && !g.m.is_nil() {
            row.tid = mem.read_u64(g.m.add(self.layout().m.procid)).map_or(0, |v| v as i32);
        }
        if let Some(regs) = threads.get(&row.tid).filter(|_| row.tid != 0) {
            let start = from_registers(regs, !g.on_stack(LoadAddr(regs.sp())));
            self.places_by_walk(mem, local, g, start, &mut row);
        } else if let Some((pc, sp)) = g.parked_at()
            && !torn
        {
            self.places_in_window(mem, local, g, pc, sp, stack, &mut row);
        }
        if g.gopc != 0 {
            row.creator = local.get(g.gopc, false).and_then(|i| i.frames.first()).map_or(0, |f| f.id);
        }
        if let Some(e) = self.entry(LoadAddr(g.startpc)) {
            row.system = e.system && !(e.sometimes_user && g.cleaning);
        }
        row
    }

    /// Innermost and user frame from the window of stack, which nearly always has them.
    #[allow(clippy::too_many_arguments)]
    fn places_in_window(
        &self,
        mem: &dyn Memory,
        local: &mut Local<'_>,
        g: &G,
        pc: LoadAddr,
        sp: LoadAddr,
        stack: &[u8],
        row: &mut Row,
    ) {
        let (mut pc, mut off) = (pc.0, 0usize);
        for n in 0..USER_DEPTH {
            // Below an injected call execution stood exactly at the PC; leave that to the careful walk.
            let Some(info) = local.get(pc, false) else { break };
            if info.special != super::pcinfo::Special::None && n > 0 {
                break;
            }
            if n == 0 {
                row.at = info.frames.first().map_or(0, |f| f.id);
            }
            if user_place(&info.frames, row) {
                return;
            }
            let Some(delta) = info.delta.filter(|_| !info.top) else {
                row.user = if row.user == 0 { row.at } else { row.user };
                return;
            };
            off += delta as usize;
            let Some(ret) = stack.get(off..off + 8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes) else {
                break;
            };
            off += 8;
            pc = ret;
        }
        let start = Start { pc: g.parked_at().map_or(LoadAddr(0), |p| p.0), sp, exact: false, system_stack: false };
        self.places_by_walk(mem, local, g, start, row);
    }

    fn places_by_walk(&self, mem: &dyn Memory, local: &mut Local<'_>, g: &G, start: Start, row: &mut Row) {
        let mut w = Unwinder::new(mem, self.pcs(), self.layout(), Some(*g), start);
        (row.at, row.user) = (0, 0);
        let mut first = true;
        for _ in 0..USER_DEPTH {
            let Some(f) = w.step() else { break };
            if first {
                row.at = f.info.frames.first().map_or(0, |f| f.id);
                first = false;
            }
            if user_place(&f.info.frames, row) {
                return;
            }
        }
        let _ = local;
        row.user = if row.user == 0 { row.at } else { row.user };
    }
}

/// Looks for the user's place in one physical frame. The first function outside the runtime is kept in case that all of the stack is
/// plumbing; true when a better one was found.
fn user_place(frames: &[super::pcinfo::LogicalFrame], row: &mut Row) -> bool {
    if let Some(f) = frames.iter().find(|f| !f.plumbing) {
        row.user = f.id;
        return true;
    }
    if row.user == 0
        && let Some(f) = frames.iter().find(|f| !f.internal)
    {
        row.user = f.id;
    }
    false
}

/// Did it run between two reads?
fn moved(a: &G, b: &G) -> bool {
    (a.status, a.sched_sp, a.sched_pc, a.wait_since, a.goid, a.stack_hi)
        != (b.status, b.sched_sp, b.sched_pc, b.wait_since, b.goid, b.stack_hi)
        || (a.status == status::SYSCALL && a.syscall_sp != b.syscall_sp)
}

impl GoroutineList {
    /// How many.
    pub fn len(&self) -> usize {
        self.rows.len()
    }
    /// None at all?
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
    /// CLOCK_MONOTONIC of the moment, nanoseconds.
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }
    /// Position of a goroutine.
    pub fn index_of(&self, id: GoroutineId) -> Option<usize> {
        self.rows.binary_search_by_key(&id.0, |r| r.goid).ok()
    }
    /// A number that goroutines at the same user place (function and line) share.
    pub fn place_key(&self, i: usize) -> Option<u64> {
        self.rows.get(i).map(|r| self.location(r.user).line_key)
    }
    /// Id of row `i`.
    pub fn id(&self, i: usize) -> Option<GoroutineId> {
        self.rows.get(i).map(|r| GoroutineId(r.goid))
    }
    /// Address of the `runtime.g` of row `i`.
    pub fn g(&self, i: usize) -> Option<LoadAddr> {
        self.rows.get(i).map(|r| LoadAddr(r.g))
    }
    /// One of the runtime's own?
    pub fn is_system(&self, i: usize) -> bool {
        self.rows.get(i).is_some_and(|r| r.system)
    }
    pub(super) fn location(&self, id: u32) -> &KnownLocation {
        &self.locations[if (id as usize) < self.locations.len() { id as usize } else { 0 }]
    }
    pub(super) fn waits(&self, r: &Row) -> bool {
        matches!(u32::from(r.status), status::WAITING | status::LEAKED)
    }
    pub(super) fn reason(&self, r: &Row) -> Option<&Arc<str>> {
        self.reasons.get(r.reason as usize).filter(|s| self.waits(r) && !s.is_empty())
    }
    pub(super) fn wait_ns(&self, r: &Row) -> Option<u64> {
        (self.waits(r) && r.wait_since != 0).then(|| self.now_ns.saturating_sub(r.wait_since))
    }

    /// Row `i` in full; `waits_on`, stack and defers are left to those who are asked for them.
    pub fn row(&self, i: usize) -> Option<Goroutine> {
        let r = self.rows.get(i)?;
        // Goroutine 1 was made by the runtime's start-up code, by no `go` statement.
        let creator = (r.creator != 0 && r.parent != 0)
            .then(|| CreatedBy { at: self.location(r.creator).at.clone(), goroutine: GoroutineId(r.parent) });
        Some(Goroutine {
            id: GoroutineId(r.goid),
            g: LoadAddr(r.g),
            state: super::g::state(u32::from(r.status)),
            wait_reason: self.reason(r).cloned(),
            wait_ns: self.wait_ns(r),
            system: r.system,
            thread: (r.tid != 0).then_some(Tid(r.tid)),
            labels: self.labels.get(r.labels as usize).map_or_else(Vec::new, |l| l.to_vec()),
            at: self.location(r.at).at.clone(),
            user: self.location(r.user).at.clone(),
            created_by: creator,
            entry: self.entries.get(&r.startpc).map(|e| e.at.clone()),
            waits_on: Vec::new(),
            stack: None,
            defers: None,
            torn: r.torn,
        })
    }
}
