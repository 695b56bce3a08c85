//! Calling the program's own functions, by the protocol that its runtime has for debuggers (`runtime.debugCallV2`,
//! src/runtime/asm_amd64.s and debugcall.go of the Go source). All goroutines run meanwhile.
//!
//! The runtime says where it is by an INT3 in a function named `debugCall…` and a number in R12.
//!
//! What keeps the collector from freeing what we hold: all strings that a call needs are allocated as one block, by a call of
//! `runtime.mallocgc` in the very frame, on the very goroutine, in which the function is then called: the pointer never leaves that goroutine's registers.
//! (Handing it from one goroutine's stack to another's loses it, when marking began in between and the other was scanned before.) What is stored into a variable
//! is stored past the write barrier, and so only while nothing is marked.

use super::go::Start;
use super::{Engine, EngineError, Happened};
use crate::arch::Registers;
use crate::arch::registers::dwarf_reg;
use crate::base::{FileAddr, GoroutineId, LoadAddr, Memory, StopEpoch, Tid, text};
use crate::eval::{Argument, CallPlan, Plan};
use crate::goruntime::abi::{Piece, Slot};
use crate::goruntime::value::{Limits, Place, Reader, ValueRef};
use crate::model::{StopReason, Variable};
use crate::symbols::dwarf::{GoType, TypeKind};
use std::time::{Duration, Instant};

/// `$R12` at the protocol's INT3s.
mod state {
    pub const READY: u64 = 0;
    pub const RETURNED: u64 = 1;
    pub const PANICKED: u64 = 2;
    pub const REFUSED: u64 = 8;
    pub const RESTORE: u64 = 16;
}

/// DWARF number of R12.
const R12: usize = 12;
/// Stack that must be left below the stack pointer (asm_amd64.s).
const NEEDED: u64 = 256;
/// Instructions from the last INT3 to the place where the goroutine was, generously.
const TAIL: usize = 64;
/// How long a call may go on when we must let go.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a call came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The moment at which it was over.
    pub epoch: StopEpoch,
    /// Results.
    pub results: Vec<Variable>,
    /// What the function panicked with.
    pub panicked: Option<Variable>,
    /// Why it could not be made.
    pub problem: Option<String>,
}

/// What runs in the opened frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    /// Nothing yet.
    Nothing,
    /// The allocation of the strings.
    Allocation,
    /// The function.
    Function,
}

/// How long an assignment waits, allocating, for a moment at which nothing is marked.
const MOMENT: Duration = Duration::from_secs(3);

/// Plans the call anew, from what its arguments are now.
pub type Again = Box<dyn Fn() -> Option<Plan>>;

/// A call under way.
pub struct Calling {
    plan: Plan,
    again: Again,
    limits: Limits,
    tid: Tid,
    saved: Registers,
    vectors: Vec<u8>,
    inside: Inside,
    begun: Instant,
    /// The block of strings.
    block: Option<u64>,
    /// Where control comes back to in the opened frame: behind the INT3 that said it is ready.
    ready: u64,
    outcome: Outcome,
}

impl Calling {
    fn call(&self) -> Option<&CallPlan> {
        match &self.plan {
            Plan::Call(c) => Some(c),
            Plan::Text { .. } => None,
        }
    }
    /// Bytes of stack for arguments, results and spilled registers.
    fn frame(&self) -> u64 {
        self.call().map_or(64, |c| c.signature.stack)
    }
    /// The strings that must be allocated, one after the other.
    fn texts(&self) -> Vec<&[u8]> {
        match &self.plan {
            Plan::Text { text, .. } => vec![text],
            Plan::Call(c) => c
                .arguments
                .iter()
                .filter_map(|a| match a {
                    Argument::Text(t) => Some(t.as_slice()),
                    Argument::Bytes(_) => None,
                })
                .collect(),
        }
    }
}

impl Engine {
    /// Is a call under way?
    pub fn is_calling(&self) -> bool {
        self.calling.is_some()
    }

    /// Begins a call on the thread of a goroutine. When it is over, [`Happened::Called`] says what came of it.
    ///
    /// # Errors
    /// The program runs, the goroutine is on no thread, its stack is nearly full, or the runtime has no such protocol.
    pub fn call(
        &mut self,
        goroutine: Option<GoroutineId>,
        plan: Plan,
        again: Again,
        limits: Limits,
    ) -> Result<(), EngineError> {
        let refuse = |m: String| Err(EngineError::State(m));
        match (self.gone, self.running) {
            (true, _) => return refuse("the process is gone".into()),
            (_, true) => return refuse("the program is running; pause it before calling its functions".into()),
            _ => {}
        }
        if self.calling.is_some() || self.step.is_some() {
            return refuse("a step or another call is under way: finish it first (continue)".into());
        }
        let tid = match self.start_of(goroutine)?.0 {
            Start::Thread(tid, _) => tid,
            Start::Parked(id, _) => {
                return refuse(format!("goroutine {id} is parked: only one that is on a thread can be made to call"));
            }
        };
        let regs = self.tracer.registers(tid)?;
        let cx = self.go_context(&regs);
        if cx.goid.is_none() || cx.system_stack {
            return refuse("this thread runs no goroutine's code at the moment: nothing can be called on it".into());
        }
        let room = self.rt.read_g(&*self.mem, cx.g).map_or(0, |g| regs.sp().saturating_sub(g.stack_lo));
        if room < NEEDED {
            return refuse("the goroutine's stack is nearly full: step into the next function first".into());
        }
        let outcome = Outcome { epoch: self.epoch, results: Vec::new(), panicked: None, problem: None };
        let vectors = self.tracer.extended_state(tid)?;
        let calling = Calling {
            plan,
            again,
            limits,
            tid,
            saved: regs,
            vectors,
            inside: Inside::Nothing,
            begun: Instant::now(),
            block: None,
            ready: 0,
            outcome,
        };
        self.inject(&calling, &regs)?;
        self.calling = Some(calling);
        // It does not stand on its breakpoint any more; it comes back to it.
        self.dealt_with.remove(&tid);
        self.go()
    }

    /// Makes the thread enter the protocol.
    fn inject(&mut self, c: &Calling, regs: &Registers) -> Result<(), EngineError> {
        let Some(entry) = self.sym.find_function("runtime.debugCallV2") else {
            return Err(EngineError::State("this program's runtime has no debugCallV2: nothing can be called".into()));
        };
        let sp = LoadAddr(regs.sp()).offset(-8);
        self.mem.write(sp, &regs.pc().to_le_bytes())?;
        self.mem.write(sp.offset(-16), &c.frame().to_le_bytes())?;
        let mut new = *regs;
        new.set_sp(sp.0);
        new.set_pc(self.bias.to_load(entry.entry).0);
        Ok(self.tracer.set_registers(c.tid, &new)?)
    }

    /// Is this INT3 the protocol's? Then it is dealt with, and the thread runs on.
    pub(super) fn call_trap(&mut self, tid: Tid, regs: &Registers) -> Result<bool, EngineError> {
        let ours = self.calling.as_ref().is_some_and(|c| c.tid == tid)
            && self.function_name_at(LoadAddr(regs.pc().wrapping_sub(1))).contains("debugCall");
        let Some(mut c) = self.calling.take_if(|_| ours) else { return Ok(false) };
        match self.call_state(&mut c, regs) {
            Ok(true) => {}
            Ok(false) => self.calling = Some(c),
            Err(e) => {
                c.outcome.problem.get_or_insert(e.to_string());
                self.calling = Some(c);
                self.tracer.resume(tid)?;
            }
        }
        Ok(true)
    }

    /// One step of the protocol; true: the call is over, and said so.
    fn call_state(&mut self, c: &mut Calling, regs: &Registers) -> Result<bool, EngineError> {
        match regs.gp[R12] {
            state::READY => {
                c.ready = regs.pc();
                self.open_frame(c, regs)?;
            }
            state::RETURNED => match c.inside {
                Inside::Allocation => self.allocated(c, regs)?,
                _ => {
                    self.take_results(c, regs)?;
                    self.tracer.resume(c.tid)?;
                }
            },
            state::PANICKED => {
                self.take_panic(c, regs);
                self.tracer.resume(c.tid)?;
            }
            state::REFUSED => {
                let at = LoadAddr(regs.sp());
                let reason = self.mem.read_ptr(at).and_then(|p| {
                    let len = self.mem.read_u64(at.add(8))?.min(200);
                    self.mem.read_vec(p, len as usize)
                });
                let reason = reason.map_or_else(|e| e.to_string(), |b| text::printable(&b, 200));
                c.outcome.problem = Some(format!("the runtime does not allow a call here: {reason}"));
                self.tracer.resume(c.tid)?;
            }
            state::RESTORE => return self.restore(c, regs),
            n => return Err(EngineError::State(format!("unknown state {n} of an injected call"))),
        }
        Ok(false)
    }

    /// The frame is open: allocate what is needed, then go.
    fn open_frame(&mut self, c: &mut Calling, regs: &Registers) -> Result<(), EngineError> {
        let len: usize = c.texts().iter().map(|t| t.len()).sum();
        match (len, &c.plan) {
            (0, Plan::Call(_)) => self.enter_function(c, regs),
            // Also for an empty one: what it replaces may be dropped at the right moment only.
            (n, _) => self.enter_allocation(c, regs, n.max(1) as u64),
        }
    }

    /// `runtime.mallocgc(len, nil, false)`: memory without pointers.
    fn enter_allocation(&mut self, c: &mut Calling, regs: &Registers, len: u64) -> Result<(), EngineError> {
        let f = self
            .sym
            .find_function("runtime.mallocgc")
            .ok_or_else(|| EngineError::NotFound("the runtime has no mallocgc".into()))?;
        c.inside = Inside::Allocation;
        let mut new = *regs;
        (new.gp[0], new.gp[3], new.gp[2]) = (len, 0, 0); // RAX, RBX, RCX
        self.jump_to(c, new, f.entry, None)
    }

    /// Does the collector mark? While the thread of a call is held by us its P runs, and so no cycle begins or ends.
    fn marking(&self) -> bool {
        self.rt.collector_phase(&*self.mem) != Some(0)
    }

    /// The block is there: it is filled, and used at once.
    fn allocated(&mut self, c: &mut Calling, regs: &Registers) -> Result<(), EngineError> {
        let block = regs.gp[0];
        self.mem.write(LoadAddr(block), &c.texts().concat())?;
        c.block = Some(block);
        let Plan::Text { to, text } = &c.plan else { return self.enter_function(c, regs) };
        if !self.marking() {
            let header = [if text.is_empty() { 0 } else { block }, text.len() as u64];
            self.mem.write(*to, &header.map(u64::to_le_bytes).concat())?;
            return Ok(self.tracer.resume(c.tid)?);
        }
        if c.begun.elapsed() > MOMENT {
            c.outcome.problem = Some("the collector was at work all the time; nothing was assigned: try again".into());
            return Ok(self.tracer.resume(c.tid)?);
        }
        let len = text.len().max(1) as u64;
        self.enter_allocation(c, regs, len)
    }

    /// Sets up arguments and enters the function.
    fn enter_function(&mut self, c: &mut Calling, regs: &Registers) -> Result<(), EngineError> {
        c.inside = Inside::Function;
        // Since they were read all others have run, and the collector perhaps: pointers are read again, as the goroutine itself would now.
        if let (Plan::Call(old), Some(Plan::Call(new))) = (&mut c.plan, (c.again)())
            && old.entry == new.entry
            && old.arguments.len() == new.arguments.len()
        {
            let texts_stay = |(a, b): (&Argument, &Argument)| match (a, b) {
                (Argument::Text(a), Argument::Text(b)) => a == b,
                (Argument::Bytes(_), Argument::Bytes(_)) => true,
                _ => false,
            };
            if old.arguments.iter().zip(&new.arguments).all(texts_stay) {
                *old = new;
            }
        } else {
            c.outcome.problem = Some("its arguments could not be read again when it was about to be called".into());
            return Ok(self.tracer.resume(c.tid)?); // the frame is closed unused
        }
        let Some(plan) = c.call() else { return Ok(()) };
        let mut new = *regs;
        let mut vectors = Vec::new();
        let mut text_at = c.block.unwrap_or(0);
        for (p, a) in plan.signature.arguments.iter().zip(&plan.arguments) {
            let bytes = match a {
                Argument::Bytes(b) => b.clone(),
                Argument::Text(t) => {
                    let at = text_at;
                    text_at += t.len() as u64;
                    [at.to_le_bytes(), (t.len() as u64).to_le_bytes()].concat()
                }
            };
            match &p.slot {
                Slot::Stack(off) => self.mem.write(LoadAddr(regs.sp()).add(*off), &bytes)?,
                Slot::Registers(pieces) => {
                    for piece in pieces {
                        set_piece(piece, &bytes, &mut new, &mut vectors);
                    }
                }
            }
        }
        if !vectors.is_empty() {
            self.tracer.set_vectors(c.tid, &vectors)?;
        }
        self.jump_to(c, new, plan.entry, plan.closure)
    }

    fn jump_to(
        &mut self,
        c: &Calling,
        mut regs: Registers,
        entry: FileAddr,
        closure: Option<LoadAddr>,
    ) -> Result<(), EngineError> {
        let sp = LoadAddr(regs.sp()).offset(-8);
        // Always behind the first INT3: what comes there from a call meets the second, which says that it has returned.
        self.mem.write(sp, &c.ready.to_le_bytes())?;
        regs.set_sp(sp.0);
        regs.set_pc(self.bias.to_load(entry).0);
        if let Some(at) = closure {
            regs.gp[usize::from(dwarf_reg::RDX)] = at.0;
        }
        self.tracer.set_registers(c.tid, &regs)?;
        Ok(self.tracer.resume(c.tid)?)
    }

    fn take_results(&mut self, c: &mut Calling, regs: &Registers) -> Result<(), EngineError> {
        let Plan::Call(plan) = &c.plan else { return Ok(()) };
        let all = self.tracer.registers_with_vectors(c.tid)?;
        let register = |n: u16| all.low(n);
        let Some(reader) = Reader::new(&self.rt, &*self.mem) else { return Ok(()) };
        let frame = LoadAddr(regs.sp());
        for p in &plan.signature.results {
            c.outcome.results.push(reader.variable(&p.value(&reader, &register, frame), c.limits));
        }
        let (Some(to), Some(p)) = (plan.store, plan.signature.results.first()) else { return Ok(()) };
        if has_pointers(&reader, &p.ty, 0) && self.marking() {
            let result = c.outcome.results.first().map_or("", |v| v.value.as_str());
            c.outcome.problem = Some(format!(
                "the collector is marking, and a pointer may not be assigned past its barrier: the result, {result}, was not assigned"
            ));
            return Ok(());
        }
        let bytes = p
            .bytes(&reader, &register, frame)
            .ok_or_else(|| EngineError::State("the result could not be read, and was not assigned".into()))?;
        Ok(self.mem.write(to, &bytes)?)
    }

    fn take_panic(&self, c: &mut Calling, regs: &Registers) {
        let value = Reader::new(&self.rt, &*self.mem).and_then(|r| {
            let ty = r.dwarf.type_by_name("interface {}").map(|o| r.dwarf.go_type(o))?;
            let v = ValueRef { name: "panic".into(), ty, place: Place::at(LoadAddr(regs.sp())), ..ValueRef::default() };
            Some(r.variable(&v, c.limits))
        });
        match c.inside {
            Inside::Function => c.outcome.panicked = Some(value.unwrap_or_default()),
            _ => c.outcome.problem = Some("the runtime panicked while a string was allocated".into()),
        }
    }

    /// The end of the protocol: the thread gets its registers back and goes to where it was.
    fn restore(&mut self, c: &mut Calling, regs: &Registers) -> Result<bool, EngineError> {
        let begun = Instant::now();
        self.stand()?; // so that nothing is in the text on the way, and the user sees the moment of the return
        if self.gone {
            return Ok(true);
        }
        self.tracer.set_extended_state(c.tid, &mut c.vectors)?;
        let mut new = c.saved;
        new.set_pc(regs.pc());
        new.set_sp(regs.sp());
        self.tracer.set_registers(c.tid, &new)?;
        let mut there = false;
        for _ in 0..TAIL {
            let mut events = Vec::new();
            let alive = self.tracer.step_alone(c.tid, &mut events)?;
            self.unhandled.extend(events);
            if !alive {
                break;
            }
            let now = self.tracer.registers(c.tid)?;
            if now.pc() == c.saved.pc() {
                // The tail's instructions leave flags alone, but for what single steps do to them.
                self.tracer.set_registers(c.tid, &Registers { flags: c.saved.flags, ..now })?;
                there = true;
                break;
            }
        }
        if !there {
            self.happened.push(Happened::Note("a thread did not come back from a call as expected".into()));
        }
        if self.tracer.thread(c.tid).is_some_and(|t| t.state.stands()) {
            self.tracer.park(c.tid)?;
        }
        self.dealt_with.insert(c.tid);
        self.report_stop(c.tid, StopReason::CallReturned, begun);
        c.outcome.epoch = self.epoch;
        self.happened.push(Happened::Called(Box::new(c.outcome.clone())));
        Ok(true)
    }

    /// Lets a call under way come to its end before the program is let go: its INT3s would kill the program otherwise.
    ///
    /// # Errors
    /// It does not end in time.
    pub(super) fn finish_call(&mut self) -> Result<(), EngineError> {
        let deadline = Instant::now() + PATIENCE;
        while self.calling.is_some() && !self.gone {
            if !self.running {
                self.step = None;
                self.go()?;
            }
            self.pump()?;
            if Instant::now() > deadline {
                return Err(EngineError::State(
                    "a function called by the debugger has not returned: let it return first (continue)".into(),
                ));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// When it does not end and we must go: the protocol's INT3s become NOPs, so that it ends by itself, with the vector registers and
    /// flags of the goroutine as the call left them.
    pub(super) fn abandon_call(&mut self) -> Result<(), EngineError> {
        if self.calling.take().is_none() {
            return Ok(());
        }
        for f in self.sym.functions() {
            if !self.sym.function_name(f).contains("debugCall") {
                continue;
            }
            let Some(code) = self.sym.text(f.entry, f.end.since(f.entry) as usize) else { continue };
            use iced_x86::{Decoder, DecoderOptions, Mnemonic};
            for i in Decoder::with_ip(64, code, self.bias.to_load(f.entry).0, DecoderOptions::NONE).into_iter() {
                if i.mnemonic() == Mnemonic::Int3 && i.len() == 1 {
                    self.mem.write(LoadAddr(i.ip()), &[0x90])?;
                }
            }
        }
        self.happened.push(Happened::Note("a call was still under way: it will end without us".into()));
        Ok(())
    }
}

/// May a value of this type hold a pointer?
fn has_pointers(r: &Reader<'_>, t: &GoType, depth: u32) -> bool {
    match &t.kind {
        TypeKind::Bool | TypeKind::Int | TypeKind::Uint | TypeKind::Float | TypeKind::Complex => false,
        TypeKind::Struct { fields } if depth < 32 => {
            fields.iter().any(|f| has_pointers(r, &r.dwarf.go_type(f.ty), depth + 1))
        }
        TypeKind::Array { elem, .. } if depth < 32 => has_pointers(r, &r.dwarf.go_type(*elem), depth + 1),
        _ => true,
    }
}

/// Puts a piece of a value into its register.
fn set_piece(p: &Piece, bytes: &[u8], regs: &mut Registers, vectors: &mut Vec<(usize, u64)>) {
    let mut word = [0u8; 8];
    let (from, size) = (p.offset as usize, p.size.min(8) as usize);
    if let Some(b) = bytes.get(from..from + size) {
        word[..size].copy_from_slice(b);
    }
    let value = u64::from_le_bytes(word);
    match p.register.checked_sub(dwarf_reg::XMM0) {
        Some(n) => vectors.push((usize::from(n), value)),
        None => {
            if let Some(r) = regs.gp.get_mut(usize::from(p.register)) {
                *r = value;
            }
        }
    }
}
