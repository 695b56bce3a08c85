//! Pending deferred calls of each frame: the runtime's list, open-coded ones, and those of range-over-func bodies.

use super::stack::WalkedStack;
use super::unwind::RawFrame;
use super::{G, GoRuntime};
use crate::base::{Cursor, LoadAddr, Memory};
use crate::model::Defer;
use crate::symbols::Function;
use crate::symbols::pclntab::funcdata;
use iced_x86::{Decoder, DecoderOptions, FlowControl, InstructionInfoFactory, OpAccess, Register};

/// Records taken from one goroutine's list; more means a damaged list.
const MAX_RECORDS: usize = 10_000;
/// Bits of an open-coded function.
const MAX_OPEN: u64 = 8;
/// Name of a nil func.
const NIL: &str = "nil";
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

/// A pending deferred call with its func value.
#[derive(Clone, Debug)]
pub struct PendingDefer {
    /// As shown; `frame` is the index of the physical frame.
    pub defer: Defer,
    /// The func value: {code, captured words}.
    pub func: LoadAddr,
}

impl GoRuntime {
    /// Puts the pending defers of `g` to the frames that they belong to.
    pub(super) fn attach_defers(&self, mem: &dyn Memory, g: &G, out: &mut WalkedStack) {
        for p in self.pending_defers(mem, g, &out.raw) {
            let raw = p.defer.frame;
            let Some(shown) = out.origin.iter().rposition(|o| o.0 == raw) else { continue };
            let captures = if p.func.is_nil() { Vec::new() } else { self.capture_texts(mem, p.func) };
            out.stack.frames[shown].defers.push(Defer { frame: shown as u32, captures, ..p.defer });
        }
    }

    /// All pending deferred calls of a goroutine, in the order in which they will run: frame by frame from the innermost, in each
    /// the newest first.
    pub fn pending_defers(&self, mem: &dyn Memory, g: &G, frames: &[RawFrame]) -> Vec<PendingDefer> {
        let records = self.defer_records(mem, g.defers);
        let mut out = Vec::new();
        for (n, f) in frames.iter().enumerate().filter(|(_, f)| !f.system_stack) {
            let from = out.len();
            self.open_coded(mem, f, &mut out);
            for r in records.iter().filter(|r| r.sp == f.sp) {
                match r.head {
                    Some(head) => {
                        for inner in self.defer_records(mem, head) {
                            let made = self.deferred(mem, inner.func, Some(r.pc), false);
                            out.extend(
                                made.map(|p| PendingDefer { defer: Defer { range_func: true, ..p.defer }, ..p }),
                            );
                        }
                    }
                    None => out.extend(self.deferred(mem, r.func, Some(r.pc), false)),
                }
            }
            out[from..].iter_mut().for_each(|p| p.defer.frame = n as u32);
        }
        out
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
            // And what a panic has begun to run stays in its list until it is done.
            if !flag(l.open_defer) && !flag(l.started) {
                let head = l.head.filter(|_| flag(l.rangefunc)).and_then(|o| mem.read_ptr(LoadAddr(w(o))).ok());
                out.push(Record { sp: LoadAddr(w(l.sp)), pc: LoadAddr(w(l.pc)), func: LoadAddr(w(l.func)), head });
            }
            at = LoadAddr(w(l.link));
        }
        out
    }

    fn open_coded(&self, mem: &dyn Memory, f: &RawFrame, out: &mut Vec<PendingDefer>) {
        let read = || -> Option<Vec<PendingDefer>> {
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
        out.extend(read().unwrap_or_default());
    }

    /// Describes a deferred func value.
    fn deferred(
        &self,
        mem: &dyn Memory,
        func: LoadAddr,
        pc: Option<LoadAddr>,
        open_coded: bool,
    ) -> Option<PendingDefer> {
        let statement = pc.and_then(|pc| Some(self.pcs().get(pc, false)?.frames.first()?.at.clone()));
        if func.is_nil() {
            // `defer f()` of a nil f: it panics when its turn comes.
            let defer = Defer { function: NIL.into(), statement, open_coded, ..Defer::default() };
            return Some(PendingDefer { defer, func });
        }
        let code = mem.read_ptr(func).ok()?;
        let info = self.pcs().get(code, true)?;
        let outer = info.frames.last()?;
        let inner = self.unwrap(info.function);
        let captures = inner.is_some() || outer.at.function.ends_with("-fm");
        let mut receiver = if captures { mem.read_ptr(func.add(8)).ok() } else { None };
        let mut at = inner.unwrap_or_else(|| outer.at.clone());
        if !captures
            && self.is_wrapper(info.function)
            && let Some((target, first)) = super::wrapper::called(self, mem, info.function, func)
        {
            (at, receiver) = (self.entry_of(target)?, first);
        }
        let function = at.function.strip_suffix("-fm").unwrap_or(&at.function).to_string();
        // Behind a wrapper it is the function that it calls.
        let called = self.symbols().function_at(self.bias().to_file(at.pc)).unwrap_or(info.function);
        let recovers = self.calls_recover(info.function) || self.calls_recover(called);
        let defer = Defer { function, at, statement, receiver, open_coded, recovers, ..Defer::default() };
        Some(PendingDefer { defer, func })
    }

    /// Does a function call `recover` itself? Only then it can end a panic.
    pub fn calls_recover(&self, f: Function) -> bool {
        let s = self.symbols();
        let Some(code) = s.text(f.entry, f.end.since(f.entry) as usize) else { return false };
        let is_recover = |t| s.function_at(t).is_some_and(|g| s.function_name(g) == "runtime.gorecover");
        super::entry::first_call(code, f.entry, is_recover).is_some()
    }

    /// Captured variables of a func value as texts: by DWARF where the compiler says where they are, else the words that the function
    /// loads from its closure.
    fn capture_texts(&self, mem: &dyn Memory, func: LoadAddr) -> Vec<(String, String)> {
        if let Some(r) = super::value::Reader::new(self, mem) {
            let named = r.captures_at(func);
            if !named.is_empty() {
                let text = |c: &super::value::ValueRef| r.variable(c, super::value::Limits::default()).value;
                return named.iter().map(|c| (c.name.clone(), text(c))).collect();
            }
        }
        let words = self.closure_words(mem, func).unwrap_or_default();
        let text = |off: &u64| Some(format!("{:#x}", mem.read_u64(func.add(*off)).ok()?));
        words.iter().enumerate().filter_map(|(i, off)| Some((format!("arg{i}"), text(off)?))).collect()
    }

    /// Offsets that a closure's code loads from its context register (DX) before it is used for something else.
    fn closure_words(&self, mem: &dyn Memory, func: LoadAddr) -> Option<Vec<u64>> {
        const MAX_OFFSET: u64 = 256;
        let s = self.symbols();
        let f = s.function_at(self.bias().to_file(mem.read_ptr(func).ok()?))?;
        let code = s.text(f.entry, f.end.since(f.entry) as usize)?;
        let mut words = Vec::new();
        let mut info = InstructionInfoFactory::new();
        for i in Decoder::with_ip(64, code, f.entry.0, DecoderOptions::NONE).iter() {
            let off = i.memory_displacement64();
            if i.memory_base() == Register::RDX && (8..=MAX_OFFSET).contains(&off) && !words.contains(&off) {
                words.push(off);
            }
            let writes = |u: &iced_x86::UsedRegister| {
                let w = matches!(u.access(), OpAccess::Write | OpAccess::ReadWrite | OpAccess::CondWrite);
                w && u.register().full_register() == Register::RDX
            };
            if i.flow_control() == FlowControl::Call || info.info(&i).used_registers().iter().any(writes) {
                break;
            }
        }
        words.sort_unstable();
        Some(words)
    }
}
