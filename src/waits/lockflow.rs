//! Which locks a function holds at a PC: a forward data-flow analysis over its machine code.
//!
//! Locks and unlocks are calls of `sync`'s methods, or their inlined fast paths: a locked compare-and-exchange inside the inlined
//! body of `(*Mutex).Lock`, which the inline tree names, also in stripped files. A lock counts as held at a PC if it is so on all paths
//! to it. Its address is kept as a symbol: loaded from where, passed in which register, in which stack slots since; what
//! the frame's memory holds then gives the value.

use super::lockstate::{LockEvent, State, Sym, number};
pub use super::lockstate::{Mode, Value};
use crate::base::{FileAddr, LoadAddr, LoadBias, Memory};
use crate::symbols::{Function, Symbols};
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpAccess, OpKind, Register};
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// Larger functions are not analysed, bytes.
const MAX_CODE: usize = 256 << 10;
/// Visits of one block; a loop settles long before.
const MAX_VISITS: u32 = 64;
/// Calls into which it is followed whether they unlock a caller's lock.
const CALL_DEPTH: u32 = 2;
/// Loads through loads that are followed when a symbol is evaluated.
const MAX_DEPTH: u32 = 6;

/// A function, analysed.
#[derive(Debug, Default)]
pub struct LockFlow {
    /// By return address of the call.
    at_calls: FxHashMap<u64, State>,
    /// Where loads get their words: base and displacement.
    loads: FxHashMap<u64, Value>,
    /// All unlocks of the function.
    unlocks: Vec<LockEvent>,
    /// Ways in which it locks something.
    locks: Vec<Mode>,
    /// What it may have let go of its callers' locks when it returns.
    freed: Freed,
}

/// Locks let go.
type Freed = Vec<(Mode, Option<Value>)>;
/// What functions let go, by their number.
type Memo = RefCell<FxHashMap<u32, Rc<Freed>>>;

/// What `sync`'s methods do, by their full name.
fn method(name: &str) -> Option<(bool, Mode)> {
    Some(match name {
        "sync.(*Mutex).Lock" | "sync.(*RWMutex).Lock" | "internal/sync.(*Mutex).Lock" => (true, Mode::Write),
        "sync.(*Mutex).Unlock" | "sync.(*RWMutex).Unlock" | "internal/sync.(*Mutex).Unlock" => (false, Mode::Write),
        "sync.(*RWMutex).RLock" => (true, Mode::Read),
        "sync.(*RWMutex).RUnlock" => (false, Mode::Read),
        _ => return None,
    })
}

/// What a slow path belongs to: locks or unlocks, how, and where in the lock the fast path's operand is.
fn slow(name: &str) -> Option<(bool, Mode, i64)> {
    Some(match name {
        "sync.(*Mutex).lockSlow" | "internal/sync.(*Mutex).lockSlow" => (true, Mode::Write, 0),
        "sync.(*Mutex).unlockSlow" | "internal/sync.(*Mutex).unlockSlow" => (false, Mode::Write, 0),
        "sync.(*RWMutex).rUnlockSlow" => (false, Mode::Read, 16),
        "sync.runtime_SemacquireRWMutexR" => (true, Mode::Read, 16),
        _ => return None,
    })
}

/// `sync.RWMutex.readerSem`: what the slow path of RLock is called with.
const READER_SEM: i64 = 12;

/// Is it one of the methods that lock?
pub fn locks(name: &str) -> bool {
    method(name).is_some_and(|m| m.0)
}

/// Where in a lock the inlined fast path's operand is.
fn field_of(name: &str) -> i64 {
    if name.contains("RWMutex") { 16 } else { 0 }
}

struct Analysis<'a> {
    s: &'a Symbols,
    f: Function,
    code: Vec<Instruction>,
    by_ip: FxHashMap<u64, usize>,
    flow: LockFlow,
    /// Calls into which it is followed whether they unlock.
    depth: u32,
    memo: &'a Memo,
}

impl LockFlow {
    /// Analyses a function; none if nothing in it has to do with locks, unless `all` asks for it (what it hands on to its callees
    /// tells where its callers' locks are).
    pub fn of(s: &Symbols, f: Function, all: bool) -> Option<LockFlow> {
        LockFlow::within(s, f, all, CALL_DEPTH, &Memo::default())
    }

    fn within(s: &Symbols, f: Function, all: bool, depth: u32, memo: &Memo) -> Option<LockFlow> {
        let bytes = s.text(f.entry, (f.end.since(f.entry) as usize).min(MAX_CODE + 1))?;
        if bytes.len() > MAX_CODE {
            return None;
        }
        let code: Vec<Instruction> = Decoder::with_ip(64, bytes, f.entry.0, DecoderOptions::NONE).iter().collect();
        let by_ip = code.iter().enumerate().map(|(i, x)| (x.ip(), i)).collect();
        let mut a = Analysis { s, f, code, by_ip, flow: LockFlow::default(), depth, memo };
        let own = a.code.iter().any(|i| a.what(i).is_some());
        if !all && !own && (depth == CALL_DEPTH || depth == 0) {
            return None;
        }
        a.run();
        Some(a.flow)
    }

    /// What is known of a caller's values from those of the function that it called: `known` are the callee's. In the frame that waits
    /// for a lock, `wanted` is where that is.
    pub fn knowledge(
        &self,
        ret: FileAddr,
        frame: &Frame<'_>,
        callee: &[Known],
        wanted: Option<LoadAddr>,
    ) -> Vec<Known> {
        let Some(state) = self.at_calls.get(&ret.0) else { return Vec::new() };
        let mut out = Vec::new();
        for k in callee {
            if let Sym::Entry(r) = k.value.sym
                && let Some(v) = state.regs.get(usize::from(r)).copied().flatten()
            {
                out.push(Known { value: v, at: k.at.offset(-k.value.off) });
            }
        }
        if let (Some(at), Some(value)) = (wanted, state.wants) {
            out.push(Known { value, at });
        }
        // Its own arguments, where they were kept in the frame.
        for r in (0..16).filter(|r| *r != 4) {
            let value = Value { sym: Sym::Entry(r), off: 0 };
            let with = Frame { known: &out, ..*frame };
            if let Some(at) = self.eval(value, state, &with, 0) {
                out.push(Known { value, at });
            }
        }
        out
    }

    /// Locks held when the call that returns to `ret` is under way: mode and address, where it can be told.
    pub fn held_at(&self, ret: FileAddr, frame: &Frame<'_>) -> Vec<(Mode, Option<LoadAddr>)> {
        let Some(state) = self.at_calls.get(&ret.0) else { return Vec::new() };
        let freed = self.freed_at(ret, frame, false);
        let held = state.held.iter().map(|(m, v)| (*m, v.and_then(|v| self.eval(v, state, frame, 0))));
        held.filter(|h| !lets_go(&freed, h.0, h.1)).collect()
    }

    /// Locks that were let go there on some path without having been locked here: a caller's, or one that has two names. `locking`: the
    /// frame stands in the slow path of a lock that is inlined.
    pub fn freed_at(&self, ret: FileAddr, frame: &Frame<'_>, locking: bool) -> Vec<(Mode, Option<LoadAddr>)> {
        let Some(state) = self.at_calls.get(&ret.0) else { return Vec::new() };
        let freed = state.freed.iter().chain(state.regained.iter().filter(|_| locking));
        freed.map(|(m, v)| (*m, v.and_then(|v| self.eval(v, state, frame, 0)))).collect()
    }

    /// May a lock be held there, on some path? Yes, too, when that cannot be told.
    pub fn may_hold(&self, ret: FileAddr, mode: Mode, lock: LoadAddr, frame: &Frame<'_>) -> bool {
        let Some(state) = self.at_calls.get(&ret.0).filter(|_| self.locks.contains(&mode)) else { return true };
        state
            .may
            .iter()
            .filter(|h| h.0 == mode)
            .any(|(_, v)| v.and_then(|v| self.eval(v, state, frame, 0)).is_none_or(|a| a == lock))
    }

    /// Addresses that the function unlocks, for a closure at `context`: what a deferred call will let go.
    pub fn unlocks_of(&self, context: LoadAddr, mem: &dyn Memory, bias: LoadBias) -> Vec<(Mode, LoadAddr)> {
        let frame = Frame { mem, bias, cfa: LoadAddr(0), context: Some(context), known: &[] };
        let state = State::default();
        let mut out: Vec<(Mode, LoadAddr)> =
            self.unlocks.iter().filter_map(|e| Some((e.mode, self.eval(e.value?, &state, &frame, 0)?))).collect();
        out.sort_unstable();
        out.dedup();
        out
    }

    fn eval(&self, v: Value, state: &State, frame: &Frame<'_>, depth: u32) -> Option<LoadAddr> {
        let word = |at: LoadAddr| frame.mem.read_ptr(at).ok();
        if let Some(k) = frame.known.iter().find(|k| k.value.sym == v.sym) {
            return Some(k.at.offset(v.off.wrapping_sub(k.value.off)));
        }
        let known = match v.sym {
            Sym::File => return Some(frame.bias.to_load(FileAddr(v.off as u64))),
            Sym::Cfa => Some(frame.cfa),
            // A slot that holds the symbol (plus something) now.
            _ => state
                .slots
                .iter()
                .find(|(_, x)| x.sym == v.sym && frame.cfa.0 != 0)
                .and_then(|(off, x)| Some(word(frame.cfa.offset(*off))?.offset(-x.off))),
        };
        let base = match (known, v.sym) {
            (Some(b), _) => b,
            (None, Sym::Slot(off)) if frame.cfa.0 != 0 && !state.slots.contains_key(&off) => {
                word(frame.cfa.offset(off))?
            }
            // The closure's context register.
            (None, Sym::Entry(2)) => frame.context?,
            (None, Sym::Load(ip)) if depth < MAX_DEPTH => {
                word(self.eval(*self.loads.get(&ip)?, state, frame, depth + 1)?)?
            }
            _ => return None,
        };
        (base.0 != 0).then(|| base.offset(v.off))
    }
}

/// May a lock be one of those that were let go? One that is not known may be any.
pub fn lets_go(freed: &[(Mode, Option<LoadAddr>)], mode: Mode, lock: Option<LoadAddr>) -> bool {
    freed.iter().any(|f| f.0 == mode && (f.1.is_none() || lock.is_none() || f.1 == lock))
}

/// Memory of a frame.
pub struct Frame<'m> {
    /// Memory.
    pub mem: &'m dyn Memory,
    /// Where the program is loaded.
    pub bias: LoadBias,
    /// The frame's CFA; nil for none.
    pub cfa: LoadAddr,
    /// The closure, where the function is one and has just been entered.
    pub context: Option<LoadAddr>,
    /// What is known from elsewhere.
    pub known: &'m [Known],
}

/// A value whose address is known.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    value: Value,
    at: LoadAddr,
}

impl Analysis<'_> {
    /// What an instruction does to locks: (locks, mode, is a call, offset of its operand in the lock).
    fn what(&self, i: &Instruction) -> Option<(bool, Mode, bool, i64)> {
        if i.mnemonic() == Mnemonic::Call && i.op0_kind() == OpKind::NearBranch64 {
            let g = self.s.function_at(FileAddr(i.near_branch_target()))?;
            let (locks, mode) = method(self.s.function_name(g))?;
            return Some((locks, mode, true, 0));
        }
        if !i.has_lock_prefix() || !matches!(i.mnemonic(), Mnemonic::Cmpxchg | Mnemonic::Xadd | Mnemonic::Add) {
            return None;
        }
        // The fast path's neighbour tells: the slow path that it falls back to. (The compiler may attribute the instruction
        // itself to the caller's line.)
        if let Some((locks, mode, field)) = self.slow_path(i) {
            let fits = (i.mnemonic() == Mnemonic::Cmpxchg) == (locks && mode == Mode::Write);
            return fits.then_some((locks, mode, false, field));
        }
        let frames = self.s.inline_frames_of(self.f, FileAddr(i.ip()));
        let outer = frames.len().checked_sub(1)?;
        let name = frames[..outer].iter().map(|f| f.function).find(|n| method(n).is_some())?;
        let (locks, mode) = method(name)?;
        let fits = match (locks, mode) {
            (true, Mode::Write) => i.mnemonic() == Mnemonic::Cmpxchg,
            _ => i.mnemonic() != Mnemonic::Cmpxchg,
        };
        fits.then_some((locks, mode, false, field_of(name)))
    }

    /// The slow path called within a few instructions of a locked one, on either side of its branch.
    fn slow_path(&self, i: &Instruction) -> Option<(bool, Mode, i64)> {
        const NEAR: usize = 14;
        let mut work = vec![(i.next_ip(), NEAR)];
        while let Some((ip, left)) = work.pop() {
            let Some(n) = self.by_ip.get(&ip).map(|n| &self.code[*n]).filter(|_| left > 0) else { continue };
            if n.has_lock_prefix() {
                continue;
            }
            match n.flow_control() {
                FlowControl::Call if n.op0_kind() == OpKind::NearBranch64 => {
                    if let Some(found) =
                        self.s.function_at(FileAddr(n.near_branch_target())).and_then(|g| slow(self.s.function_name(g)))
                    {
                        return Some(found);
                    }
                }
                FlowControl::ConditionalBranch => {
                    work.extend([(n.near_branch_target(), left - 1), (n.next_ip(), left - 1)]);
                }
                FlowControl::UnconditionalBranch => work.push((n.near_branch_target(), left - 1)),
                FlowControl::Next => work.push((n.next_ip(), left - 1)),
                _ => {}
            }
        }
        None
    }

    fn grows_stack(&self, i: &Instruction) -> bool {
        let target = (i.op0_kind() == OpKind::NearBranch64).then(|| FileAddr(i.near_branch_target()));
        target
            .and_then(|t| self.s.function_at(t))
            .is_some_and(|g| self.s.function_name(g).starts_with("runtime.morestack"))
    }

    fn cfa_of_sp(&self, ip: u64) -> Option<i64> {
        let d = self.s.sp_delta_in(self.f, FileAddr(ip))?;
        Some(i64::from(d) + 8)
    }

    /// The address that a memory operand stands for.
    fn address(&self, st: &State, i: &Instruction) -> Option<Value> {
        if i.is_ip_rel_memory_operand() {
            return Some(Value { sym: Sym::File, off: i.ip_rel_memory_address() as i64 });
        }
        if i.memory_index() != Register::None {
            return None;
        }
        let disp = i.memory_displacement64() as i64;
        match i.memory_base() {
            Register::RSP => Some(Value { sym: Sym::Cfa, off: disp - self.cfa_of_sp(i.ip())? }),
            Register::None => None,
            r => st.reg(r).map(|v| v.plus(disp)),
        }
    }

    fn run(&mut self) {
        let mut leaders: Vec<u64> = vec![self.f.entry.0];
        for i in &self.code {
            match i.flow_control() {
                FlowControl::ConditionalBranch => leaders.extend([i.near_branch_target(), i.next_ip()]),
                FlowControl::UnconditionalBranch => leaders.push(i.near_branch_target()),
                _ => {}
            }
        }
        leaders.sort_unstable();
        leaders.dedup();
        let mut before: FxHashMap<u64, State> = FxHashMap::default();
        let mut visits: FxHashMap<u64, u32> = FxHashMap::default();
        let mut entry = State::default();
        for (n, r) in entry.regs.iter_mut().enumerate() {
            *r = (n != 4).then_some(Value { sym: Sym::Entry(n as u8), off: 0 });
        }
        before.insert(self.f.entry.0, entry);
        let mut work = VecDeque::from([self.f.entry.0]);
        while let Some(start) = work.pop_front() {
            let v = visits.entry(start).or_default();
            *v += 1;
            if *v > MAX_VISITS {
                continue;
            }
            let Some(mut st) = before.get(&start).cloned() else { continue };
            let Some(&first) = self.by_ip.get(&start) else { continue };
            let mut next: Vec<u64> = Vec::new();
            for n in first..self.code.len() {
                let i = self.code[n];
                if i.ip() != start && leaders.binary_search(&i.ip()).is_ok() {
                    next.push(i.ip());
                    break;
                }
                self.step(&mut st, &i);
                match i.flow_control() {
                    // The function begins anew after growing the stack, with the registers as they were.
                    FlowControl::Call if self.grows_stack(&i) => break,
                    FlowControl::Next | FlowControl::Call | FlowControl::IndirectCall => {}
                    FlowControl::ConditionalBranch => {
                        next.extend([i.near_branch_target(), i.next_ip()]);
                        break;
                    }
                    FlowControl::UnconditionalBranch => {
                        next.push(i.near_branch_target());
                        break;
                    }
                    FlowControl::Return => {
                        for x in &st.freed {
                            if !self.flow.freed.contains(x) {
                                self.flow.freed.push(*x);
                            }
                        }
                        break;
                    }
                    _ => break,
                }
            }
            for t in next.into_iter().filter(|t| self.by_ip.contains_key(t)) {
                let new = match before.get(&t) {
                    Some(old) => old.meet(&st),
                    None => st.clone(),
                };
                if before.get(&t) != Some(&new) {
                    before.insert(t, new);
                    work.push_back(t);
                }
            }
        }
    }

    fn step(&mut self, st: &mut State, i: &Instruction) {
        let call = matches!(i.flow_control(), FlowControl::Call | FlowControl::IndirectCall);
        if let Some((locks, mode, by_call, field)) = self.what(i) {
            let value = if by_call { st.regs[0] } else { self.address(st, i).map(|v| v.plus(-field)) };
            let e = LockEvent { locks, mode, value };
            if call {
                // While the call is under way an unlock has not happened yet, and neither has a lock.
                self.at_calls(st, i, value.filter(|_| locks));
            }
            if locks && !self.flow.locks.contains(&mode) {
                self.flow.locks.push(mode);
            }
            if !locks && !self.flow.unlocks.contains(&e) {
                self.flow.unlocks.push(e);
            }
            st.event(e);
        } else if call {
            let direct = i.op0_kind() == OpKind::NearBranch64;
            let target = direct.then(|| self.s.function_at(FileAddr(i.near_branch_target()))).flatten();
            let wants = match target.and_then(|g| slow(self.s.function_name(g))) {
                Some((true, Mode::Write, _)) => st.regs[0],
                Some((true, Mode::Read, _)) => st.regs[0].map(|v| v.plus(-READER_SEM)),
                _ => None,
            };
            self.at_calls(st, i, wants);
            if let Some(g) = target {
                for (mode, value) in self.freed_by(g).iter() {
                    let value = value.and_then(|v| match v.sym {
                        Sym::Entry(r) => Some(st.regs.get(usize::from(r)).copied().flatten()?.plus(v.off)),
                        Sym::File => Some(v),
                        _ => None,
                    });
                    st.event(LockEvent { locks: false, mode: *mode, value });
                }
            }
        }
        if call {
            st.regained = None;
            // No register survives a call, but the frame pointer.
            for n in (0..16).filter(|n| *n != 4 && *n != 5) {
                st.regs[n] = Some(Value { sym: Sym::Made(i.ip(), n as u8), off: 0 });
            }
            return;
        }
        self.moves(st, i);
    }

    /// What a function of the same package lets go of its callers' locks.
    fn freed_by(&self, g: Function) -> Rc<Freed> {
        let package = |f: Function| {
            let name = self.s.function_name(f);
            let path = name.rfind('/').map_or(0, |i| i + 1);
            &name[..path + name[path..].find('.').unwrap_or(0)]
        };
        if self.depth == 0 || g.entry == self.f.entry || package(g) != package(self.f) {
            return Rc::default();
        }
        if let Some(known) = self.memo.borrow().get(&g.index) {
            return known.clone();
        }
        // Recursion meets this.
        self.memo.borrow_mut().insert(g.index, Rc::default());
        let flow = LockFlow::within(self.s, g, false, self.depth - 1, self.memo);
        let freed = Rc::new(flow.map(|f| f.freed).unwrap_or_default());
        self.memo.borrow_mut().insert(g.index, freed.clone());
        freed
    }

    /// The last visit is the one that holds: states only lose facts.
    fn at_calls(&mut self, st: &State, i: &Instruction, wants: Option<Value>) {
        self.flow.at_calls.insert(i.next_ip(), State { wants, ..st.clone() });
    }

    /// Registers and stack slots.
    fn moves(&mut self, st: &mut State, i: &Instruction) {
        let (k0, k1) = (i.op0_kind(), i.op1_kind());
        let wide = |r: Register| r.is_gpr64();
        match i.mnemonic() {
            Mnemonic::Mov if k0 == OpKind::Register && wide(i.op0_register()) => {
                let v = match k1 {
                    OpKind::Register => st.reg(i.op1_register()),
                    OpKind::Memory => Some(self.load(st, i)),
                    _ => None,
                };
                self.set(st, i, i.op0_register(), v);
                return;
            }
            Mnemonic::Mov if k0 == OpKind::Memory => {
                if let Some(Value { sym: Sym::Cfa, off }) = self.address(st, i) {
                    st.drop_slots(off, i.memory_size().size() as i64);
                    let v = match k1 {
                        OpKind::Register if wide(i.op1_register()) => st.reg(i.op1_register()),
                        _ => None,
                    };
                    // An unknown word is still not what was there before.
                    st.slots.insert(off, v.unwrap_or(Value { sym: Sym::Made(i.ip(), 0xff), off: 0 }));
                }
                return;
            }
            Mnemonic::Lea if wide(i.op0_register()) => {
                let v = self.address(st, i);
                self.set(st, i, i.op0_register(), v);
                return;
            }
            Mnemonic::Add | Mnemonic::Sub if k0 == OpKind::Register && wide(i.op0_register()) => {
                let n = i.try_immediate(1).ok().map(u64::cast_signed);
                if i.op0_register() != Register::RSP {
                    let n = n.map(|n| if i.mnemonic() == Mnemonic::Sub { n.wrapping_neg() } else { n });
                    let v = st.reg(i.op0_register()).zip(n).map(|(v, n)| v.plus(n));
                    self.set(st, i, i.op0_register(), v);
                }
                return;
            }
            Mnemonic::Push | Mnemonic::Pop => {}
            _ if i.op_count() > 0 && k0 == OpKind::Memory => {
                let writes = iced_x86::InstructionInfoFactory::new().info(i).op0_access();
                if matches!(
                    writes,
                    OpAccess::Write | OpAccess::ReadWrite | OpAccess::CondWrite | OpAccess::ReadCondWrite
                ) && let Some(Value { sym: Sym::Cfa, off }) = self.address(st, i)
                {
                    let size = (i.memory_size().size() as i64).max(1);
                    st.drop_slots(off, size);
                    for part in 0..(size + 7) / 8 {
                        st.slots.insert(off + part * 8, Value { sym: Sym::Made(i.ip(), 0xff), off: 0 });
                    }
                }
            }
            _ => {}
        }
        let mut info = iced_x86::InstructionInfoFactory::new();
        for u in info.info(i).used_registers() {
            let written = matches!(
                u.access(),
                OpAccess::Write | OpAccess::ReadWrite | OpAccess::CondWrite | OpAccess::ReadCondWrite
            );
            let full = u.register().full_register();
            if written && full.is_gpr64() && full != Register::RSP {
                self.set(st, i, full, None);
            }
        }
    }

    fn set(&self, st: &mut State, i: &Instruction, r: Register, v: Option<Value>) {
        if let Some(n) = number(r).filter(|n| *n != 4) {
            st.regs[n] = Some(v.unwrap_or(Value { sym: Sym::Made(i.ip(), n as u8), off: 0 }));
        }
    }

    fn load(&mut self, st: &State, i: &Instruction) -> Value {
        match self.address(st, i) {
            Some(Value { sym: Sym::Cfa, off }) => {
                st.slots.get(&off).copied().unwrap_or(Value { sym: Sym::Slot(off), off: 0 })
            }
            Some(base) => {
                self.flow.loads.insert(i.ip(), base);
                Value { sym: Sym::Load(i.ip()), off: 0 }
            }
            None => Value { sym: Sym::Load(i.ip()), off: 0 },
        }
    }
}
