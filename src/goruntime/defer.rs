//! Pending deferred calls of each frame: the runtime's list, open-coded ones, and those of range-over-func bodies.

use super::stack::WalkedStack;
use super::unwind::RawFrame;
use super::{G, GoRuntime};
use crate::base::{Cursor, LoadAddr, Memory};
use crate::model::Defer;
use crate::symbols::pclntab::funcdata;

/// Records taken from one goroutine's list; more means a damaged list.
const MAX_RECORDS: usize = 10_000;
/// Bits of an open-coded function.
const MAX_OPEN: u64 = 8;
/// Value of a range-over-func list that takes no more.
const CLOSED: u64 = 1;

/// A record of the runtime's list.
struct Record {
    sp: LoadAddr,
    pc: LoadAddr,
    func: LoadAddr,
    /// List of a range-over-func body's defers.
    head: Option<LoadAddr>,
}

impl GoRuntime {
    /// Puts the pending defers of `g` to the frames that they belong to.
    pub(super) fn attach_defers(&self, mem: &dyn Memory, g: &G, out: &mut WalkedStack) {
        let records = self.defer_records(mem, g.defers);
        for p in 0..out.raw.len() {
            let Some(shown) = out.origin.iter().rposition(|o| o.0 as usize == p) else { continue };
            let f = &out.raw[p];
            if f.system_stack {
                continue;
            }
            let mut defers = self.open_coded(mem, f);
            for r in records.iter().filter(|r| r.sp == f.sp) {
                match r.head {
                    Some(head) => {
                        for inner in self.defer_records(mem, head) {
                            defers.extend(self.deferred(mem, inner.func, Some(r.pc), false));
                        }
                    }
                    None => defers.extend(self.deferred(mem, r.func, Some(r.pc), false)),
                }
            }
            for d in &mut defers {
                d.frame = shown as u32;
            }
            out.stack.frames[shown].defers = defers;
        }
    }

    fn defer_records(&self, mem: &dyn Memory, first: LoadAddr) -> Vec<Record> {
        let l = &self.layout().defer;
        let mut out = Vec::new();
        let mut at = first;
        while at.0 > CLOSED && out.len() < MAX_RECORDS {
            let Ok(b) = mem.read_vec(at, l.size as usize) else { break };
            let w = |o: u64| {
                b.get(o as usize..o as usize + 8).and_then(|s| s.try_into().ok()).map_or(0, u64::from_le_bytes)
            };
            let flag = |o: Option<u64>| o.and_then(|o| b.get(o as usize)).is_some_and(|v| *v != 0);
            // During a panic 1.21 makes records for open-coded frames; those are read from the frame.
            if !flag(l.open_defer) {
                let head = l.head.filter(|_| flag(l.rangefunc)).and_then(|o| mem.read_ptr(LoadAddr(w(o))).ok());
                out.push(Record { sp: LoadAddr(w(l.sp)), pc: LoadAddr(w(l.pc)), func: LoadAddr(w(l.func)), head });
            }
            at = LoadAddr(w(l.link));
        }
        out
    }

    fn open_coded(&self, mem: &dyn Memory, f: &RawFrame) -> Vec<Defer> {
        let read = || -> Option<Vec<Defer>> {
            let s = self.symbols();
            let info = s.funcdata(f.info.function, funcdata::OPEN_CODED_DEFER)?;
            let bytes = (1..=64).rev().find_map(|n| s.text(info, n))?;
            let mut c = Cursor::new(bytes);
            let bits_off = c.uvarint().ok()?;
            let mut varp = f.cfa.0.wrapping_sub(8);
            if varp > f.sp.0 {
                varp = varp.wrapping_sub(8); // the saved frame pointer
            }
            let bits = mem.read_u8(LoadAddr(varp.wrapping_sub(bits_off))).ok()?;
            let slots: Vec<u64> = if self.layout().facts.open_defer_lists_slots {
                let n = c.uvarint().ok()?.min(MAX_OPEN);
                let mut v = (0..n).map(|_| c.uvarint().ok()).collect::<Option<Vec<u64>>>()?;
                v.reverse();
                v.into_iter().map(|o| varp.wrapping_sub(o)).collect()
            } else {
                let first = varp.wrapping_sub(c.uvarint().ok()?);
                (0..MAX_OPEN).map(|i| first.wrapping_add(i * 8)).collect()
            };
            let pending = (0..slots.len()).rev().filter(|i| bits & (1 << i) != 0);
            Some(
                pending
                    .filter_map(|i| mem.read_ptr(LoadAddr(slots[i])).ok())
                    .filter_map(|func| self.deferred(mem, func, None, true))
                    .collect(),
            )
        };
        read().unwrap_or_default()
    }

    /// Describes a deferred func value.
    fn deferred(&self, mem: &dyn Memory, func: LoadAddr, pc: Option<LoadAddr>, open_coded: bool) -> Option<Defer> {
        if func.is_nil() {
            return None;
        }
        let code = mem.read_ptr(func).ok()?;
        let info = self.pcs().get(code, true)?;
        let outer = info.frames.last()?;
        let inner = self.unwrap(info.function);
        let captures = inner.is_some() || outer.at.function.ends_with("-fm");
        let receiver = if captures { mem.read_ptr(func.add(8)).ok() } else { None };
        let at = inner.unwrap_or_else(|| outer.at.clone());
        let statement = pc.and_then(|pc| Some(self.pcs().get(pc, false)?.frames.first()?.at.clone()));
        let function = at.function.strip_suffix("-fm").unwrap_or(&at.function).to_string();
        Some(Defer { function, at, statement, receiver, open_coded, ..Defer::default() })
    }
}
