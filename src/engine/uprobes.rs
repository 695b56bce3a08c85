//! Trace and log points without stops, where the kernel and what they ask for allow it.
//!
//! A uprobe notes registers and the top of the stack of whoever comes by; what is evaluated afterwards may therefore only look there
//! (text of strings is read a little later, and strings do not change). A place that must stop somebody cannot be a uprobe at the same time, since the kernel deals with
//! a uprobe's INT3 by itself: such a breakpoint is an ordinary one until nobody else needs the place.

use super::breakpoints::{Logical, Prepared};
use super::go::GoContext;
use super::hits::Moment;
use super::{Engine, Happened};
use crate::arch::registers::dwarf_reg;
use crate::base::{BreakpointId, GoroutineId, LoadAddr, Memory, MemoryError, ReadOp, Tid};
use crate::eval;
use crate::goruntime::abi::{Parameter, Slot, signature};
use crate::goruntime::value::scope::{scope_root, visible};
use crate::goruntime::value::{FrameScope, Reader};
use crate::model::Mechanism;
use crate::target::linux::procfs;
use crate::target::linux::uprobe::{MAX_STACK, Passage, Site, Uprobes};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::time::Duration;

/// How often the rings are emptied.
pub(super) const DRAIN: Duration = Duration::from_millis(5);
/// Stack noted at least, and beyond what is known to be needed.
const MARGIN: u64 = 64;

/// A breakpoint's uprobes.
pub(super) struct Probe {
    kernel: Uprobes,
    /// Address of each site.
    at: Vec<LoadAddr>,
    /// Passages lost, as told.
    lost: u64,
}

/// Memory of the program, but the top of a stack as it was.
struct AsNoted<'a> {
    base: &'a dyn Memory,
    sp: LoadAddr,
    stack: &'a [u8],
}

impl Memory for AsNoted<'_> {
    fn read(&self, addr: LoadAddr, buf: &mut [u8]) -> Result<(), MemoryError> {
        let from = addr.0.wrapping_sub(self.sp.0) as usize;
        match from.checked_add(buf.len()).and_then(|end| self.stack.get(from..end)) {
            Some(b) => {
                buf.copy_from_slice(b);
                Ok(())
            }
            None => self.base.read(addr, buf),
        }
    }
    fn read_scatter(&self, ops: &mut [ReadOp<'_>]) -> Result<(), MemoryError> {
        for op in ops {
            op.ok = self.read(op.addr, op.buf).is_ok();
        }
        Ok(())
    }
}

impl Engine {
    /// Opens and closes uprobes so that they fit the table and what else must be caught. `others` are the addresses that must stop
    /// somebody, ascending.
    pub(super) fn plan_probes(&mut self, others: &[LoadAddr]) {
        let candidates: Vec<BreakpointId> =
            self.table.iter().filter(|l| l.probe != Some(false)).map(|l| l.public.id).collect();
        let known: BTreeSet<BreakpointId> = candidates.iter().copied().collect();
        self.probes.retain(|id, _| known.contains(id));
        for id in candidates {
            let Some(l) = self.table.get(id) else { continue };
            let free = l.active() && l.addrs.iter().chain(&l.returns).all(|a| others.binary_search(a).is_err());
            match (free, self.probes.contains_key(&id)) {
                (true, false) => {
                    let opened = self.open_probe(id);
                    let kept = opened.is_some();
                    if let Some(p) = opened {
                        self.probes.insert(id, p);
                    }
                    if let Some(l) = self.table.get_mut(id) {
                        l.probe = Some(kept);
                    }
                    self.set_mechanism(id, if kept { Mechanism::Uprobe } else { Mechanism::Int3 });
                }
                (false, true) => {
                    self.drain_probes(false);
                    self.probes.remove(&id);
                    self.set_mechanism(id, Mechanism::Int3);
                }
                _ => {}
            }
        }
    }

    fn set_mechanism(&mut self, id: BreakpointId, m: Mechanism) {
        if let Some(l) = self.table.get_mut(id)
            && l.public.mechanism != m
            && l.watch.is_none()
        {
            l.public.mechanism = m;
            self.happened.push(Happened::Breakpoint(Box::new(l.public.clone())));
        }
    }

    fn open_probe(&mut self, id: BreakpointId) -> Option<Probe> {
        let (at, sites, exe) = self.sites(id)?;
        let threads: Vec<Tid> = self.tracer.threads().map(|t| t.0).collect();
        match Uprobes::open(&exe, &sites, &threads) {
            Ok(kernel) => Some(Probe { kernel, at, lost: 0 }),
            Err(e) => {
                // Not permitted, or not possible at this instruction: an ordinary one does it, too.
                tracing::info!("breakpoint {id} is no uprobe: {e}");
                None
            }
        }
    }

    /// Where a breakpoint's uprobes go, if it can be made of uprobes at all; what it evaluates is compiled on the way.
    fn sites(&mut self, id: BreakpointId) -> Option<(Vec<LoadAddr>, Vec<Site>, String)> {
        let l = self.table.get(id)?;
        let a = &l.public.spec.actions;
        // Which goroutine it is must be asked at once: a little later it may have ended.
        if l.public.spec.goroutine.is_some() || l.public.spec.per_goroutine {
            return None;
        }
        if !a.run_on || a.exact || a.stack > 0 || l.watch.is_some() || l.addrs.is_empty() {
            return None;
        }
        let exe = procfs::exe(self.tracer.pid()).ok()?.0;
        let maps = procfs::maps(self.tracer.pid()).ok()?;
        let reader = Reader::new(&self.rt, &*self.mem)?;
        let (mut at, mut sites, mut prepared) = (Vec::new(), Vec::new(), Vec::new());
        for addr in l.addrs.iter().chain(&l.returns) {
            let file = self.bias.to_file(*addr);
            let f = self.sym.function_at(file)?;
            let sig = signature(reader.dwarf, f.entry)?;
            if !l.is_return(*addr) {
                prepared.push((*addr, self.prepared_here(l, *addr, &reader)?));
            }
            if a.trace && sig.arguments.iter().chain(&sig.results).any(in_vector) {
                return None; // the kernel notes general registers only
            }
            let delta = u64::try_from(self.sym.sp_delta(file)?).ok()?;
            let stack = (delta + 8 + sig.stack + MARGIN).next_multiple_of(8);
            let m = maps.iter().find(|m| m.start <= addr.0 && addr.0 < m.end && m.path == exe)?;
            let offset = m.offset + (addr.0 - m.start);
            if stack > u64::from(MAX_STACK) {
                return None;
            }
            at.push(*addr);
            sites.push(Site { offset, stack: stack as u32 });
        }
        let pid = self.tracer.pid();
        let l = self.table.get_mut(id)?;
        l.prepared.extend(prepared);
        Some((at, sites, format!("/proc/{pid}/exe")))
    }

    /// What a breakpoint evaluates at an address, if it looks at the frame's own scalars and strings only.
    fn prepared_here(&self, l: &Logical, at: LoadAddr, reader: &Reader<'_>) -> Option<Prepared> {
        let file = self.bias.to_file(at);
        let f = self.sym.function_at(file)?;
        let place = self.sym.place(self.bias, at);
        if place.function != self.sym.function_name(f) {
            return None; // inlined
        }
        let scope = FrameScope {
            root: scope_root(reader.dwarf, f.entry, file, 0)?,
            pc: at,
            lookup: file,
            line: place.line,
            cfa: LoadAddr(0),
            regs: None,
            function: place.function.clone(),
        };
        let (spec, a) = (&l.public.spec, &l.public.spec.actions);
        if a.trace
            && visible(reader.dwarf, scope.root, file, place.line).iter().any(|v| v.flags.argument && v.flags.escaped)
        {
            return None;
        }
        let prepared = Prepared::compile(reader, scope, spec).ok()?;
        let local = prepared.condition.iter().all(eval::Compiled::is_of_frame)
            && prepared.log.is_of_frame()
            && prepared.values.iter().all(|v| v.1.as_ref().is_ok_and(eval::Compiled::is_of_frame));
        local.then_some(prepared)
    }

    /// A new thread, before it runs.
    pub(super) fn probe_thread(&mut self, tid: Tid) {
        let mut failed = Vec::new();
        for (id, p) in &mut self.probes {
            if let Err(e) = p.kernel.add_thread(tid) {
                failed.push((*id, e));
            }
        }
        for (id, e) in failed {
            self.happened.push(Happened::Note(format!("breakpoint {id} stops threads from here on: {e}")));
            self.probes.remove(&id);
            if let Some(l) = self.table.get_mut(id) {
                l.probe = Some(false);
            }
            self.set_mechanism(id, Mechanism::Int3);
            if let Err(e) = self.rearm() {
                self.happened.push(Happened::Note(format!("cannot plant breakpoint {id}: {e}")));
            }
        }
    }

    /// A thread is gone: what it left counts.
    pub(super) fn probe_thread_gone(&mut self, tid: Tid) {
        self.probes.values_mut().for_each(|p| p.kernel.forget(tid));
    }

    /// Deals with everything that uprobes noted.
    pub(super) fn drain_probes(&mut self, all: bool) {
        let all: Vec<_> = self.probes.iter_mut().map(|(id, p)| (*id, p.kernel.drain(all))).collect();
        for (id, passages) in all {
            self.passed(id, passages);
            if let Some(p) = self.probes.get_mut(&id) {
                let lost = p.kernel.lost - p.lost;
                p.lost = p.kernel.lost;
                if lost > 0 {
                    self.pending.lose(lost);
                }
            }
        }
    }

    fn passed(&mut self, id: BreakpointId, passages: Vec<Passage>) {
        if passages.is_empty() {
            return;
        }
        let Some(at) = self.probes.get(&id).map(|p| p.at.clone()) else { return };
        let mem = self.mem.clone();
        let mut goroutines: FxHashMap<u64, (u64, u64)> = FxHashMap::default();
        for p in passages {
            let Some(&addr) = at.get(p.site) else { continue };
            if !self.table.get(id).is_some_and(Logical::active) {
                return; // it was switched off by one of these
            }
            let g = p.regs.gp[usize::from(dwarf_reg::R14)];
            let (goid, stack_hi) = *goroutines
                .entry(g)
                .or_insert_with(|| self.rt.read_g(&*mem, LoadAddr(g)).map_or((0, 0), |g| (g.goid, g.stack_hi)));
            let cx = GoContext {
                goid: (goid != 0).then_some(GoroutineId(goid)),
                g: LoadAddr(g),
                stack_hi,
                system_stack: false,
                signal_stack: false,
            };
            let noted = AsNoted { base: &*mem, sp: LoadAddr(p.regs.sp()), stack: &p.stack };
            // At the INT3 that the kernel has put there, or behind it: the place is the site's.
            let mut regs = p.regs;
            regs.set_pc(addr.0);
            let m = Moment { tid: p.tid, at: addr, regs, cx, at_ns: p.at_ns, mem: &noted, stands: false };
            if let Err(why) = self.user_hit(id, &m) {
                self.happened.push(Happened::Note(format!("breakpoint {id}: {why}")));
                return;
            }
        }
    }
}

fn in_vector(p: &Parameter) -> bool {
    matches!(&p.slot, Slot::Registers(all) if all.iter().any(|r| r.register >= dwarf_reg::XMM0))
}
