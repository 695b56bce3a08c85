//! Calling the program's own functions, by the protocol that its runtime has for debuggers (`runtime.debugCallV2`,
//! src/runtime/asm_amd64.s and debugcall.go of the Go source). All goroutines run meanwhile.
//!
//! The runtime says where it is by an INT3 in a function named `debugCall…` and a number in R12. Strings that the call needs are
//! allocated by calls inside the opened call: what they return is written into the opened frame, which the collector then scans
//! conservatively, so that nothing is freed under our hands.

use super::go::Start;
use super::{Engine, EngineError, Happened};
use crate::arch::Registers;
use crate::arch::registers::dwarf_reg;
use crate::base::{FileAddr, GoroutineId, LoadAddr, Memory, StopEpoch, Tid, text};
use crate::eval::{Argument, CallPlan, Plan};
use crate::goruntime::abi::{Piece, Slot};
use crate::goruntime::value::{Limits, Place, Reader, ValueRef};
use crate::model::{StopReason, Variable};
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

/// One use of the protocol: the call itself, or the allocation of one of its strings.
struct Injection {
    saved: Registers,
    vectors: Vec<u8>,
    /// Index of the argument whose string is allocated; none for the call.
    allocates: Option<usize>,
}

/// A call under way.
pub struct Calling {
    plan: Plan,
    limits: Limits,
    tid: Tid,
    stack: Vec<Injection>,
    /// Addresses of the strings allocated so far, by argument.
    texts: Vec<Option<u64>>,
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
    pub fn call(&mut self, goroutine: Option<GoroutineId>, plan: Plan, limits: Limits) -> Result<(), EngineError> {
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
        let texts = match &plan {
            Plan::Call(c) => vec![None; c.arguments.len()],
            Plan::Text { .. } => Vec::new(),
        };
        let outcome = Outcome { epoch: self.epoch, results: Vec::new(), panicked: None, problem: None };
        let mut calling = Calling { plan, limits, tid, stack: Vec::new(), texts, outcome };
        let strings = 8 * calling.texts.len() as u64;
        self.inject(&mut calling, &regs, None, strings)?;
        self.calling = Some(calling);
        // It does not stand on its breakpoint any more; it comes back to it.
        self.dealt_with.remove(&tid);
        self.go()
    }

    /// Makes the thread enter the protocol.
    fn inject(
        &mut self,
        c: &mut Calling,
        regs: &Registers,
        allocates: Option<usize>,
        extra: u64,
    ) -> Result<(), EngineError> {
        let Some(entry) = self.sym.find_function("runtime.debugCallV2") else {
            return Err(EngineError::State("this program's runtime has no debugCallV2: nothing can be called".into()));
        };
        let frame = if allocates.is_some() { 64 } else { c.frame() };
        let vectors = self.tracer.extended_state(c.tid)?;
        let sp = LoadAddr(regs.sp()).offset(-8);
        self.mem.write(sp, &regs.pc().to_le_bytes())?;
        self.mem.write(sp.offset(-16), &(frame + extra).to_le_bytes())?;
        let mut new = *regs;
        new.set_sp(sp.0);
        new.set_pc(self.bias.to_load(entry.entry).0);
        self.tracer.set_registers(c.tid, &new)?;
        c.stack.push(Injection { saved: *regs, vectors, allocates });
        Ok(())
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
        let allocates = c.stack.last().and_then(|i| i.allocates);
        match regs.gp[R12] {
            state::READY => self.open_frame(c, regs, allocates)?,
            state::RETURNED => {
                match allocates {
                    Some(i) => self.place_text(c, i, regs.gp[0])?,
                    None => self.take_results(c, regs)?,
                }
                self.tracer.resume(c.tid)?;
            }
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

    /// The frame is open: allocate what is still missing, then go.
    fn open_frame(&mut self, c: &mut Calling, regs: &Registers, allocates: Option<usize>) -> Result<(), EngineError> {
        if let Some(i) = allocates {
            let len = self.text_of(c, i).len() as u64;
            return self.enter_allocation(c, regs, len);
        }
        if c.outcome.problem.is_some() {
            return Ok(self.tracer.resume(c.tid)?); // the frame is closed unused
        }
        if let Plan::Text { text, .. } = &c.plan {
            let len = text.len() as u64;
            return self.enter_allocation(c, regs, len);
        }
        let missing = c.call().and_then(|p| {
            let texts = p.arguments.iter().zip(&c.texts).enumerate();
            texts.into_iter().find(|(_, (a, t))| matches!(a, Argument::Text(_)) && t.is_none()).map(|(i, _)| i)
        });
        if let Some(i) = missing {
            self.inject(c, regs, Some(i), 0)?;
            return Ok(self.tracer.resume(c.tid)?);
        }
        self.enter_function(c, regs)
    }

    fn text_of<'a>(&self, c: &'a Calling, i: usize) -> &'a [u8] {
        match c.call().and_then(|p| p.arguments.get(i)) {
            Some(Argument::Text(t)) => t,
            _ => &[],
        }
    }

    /// `runtime.mallocgc(len, nil, false)`: memory without pointers.
    fn enter_allocation(&mut self, c: &Calling, regs: &Registers, len: u64) -> Result<(), EngineError> {
        let f = self
            .sym
            .find_function("runtime.mallocgc")
            .ok_or_else(|| EngineError::NotFound("the runtime has no mallocgc".into()))?;
        let mut new = *regs;
        (new.gp[0], new.gp[3], new.gp[2]) = (len, 0, 0); // RAX, RBX, RCX
        self.jump_to(c, new, f.entry, None)
    }

    /// Sets up arguments and enters the function.
    fn enter_function(&mut self, c: &Calling, regs: &Registers) -> Result<(), EngineError> {
        let Some(plan) = c.call() else { return Ok(()) };
        let mut new = *regs;
        let mut vectors = Vec::new();
        for ((p, a), text) in plan.signature.arguments.iter().zip(&plan.arguments).zip(&c.texts) {
            let bytes = match (a, text) {
                (Argument::Bytes(b), _) => b.clone(),
                (Argument::Text(t), Some(at)) => [at.to_le_bytes(), (t.len() as u64).to_le_bytes()].concat(),
                (Argument::Text(_), None) => return Err(EngineError::State("a string was not allocated".into())),
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
        self.mem.write(sp, &regs.pc().to_le_bytes())?;
        regs.set_sp(sp.0);
        regs.set_pc(self.bias.to_load(entry).0);
        if let Some(at) = closure {
            regs.gp[usize::from(dwarf_reg::RDX)] = at.0;
        }
        self.tracer.set_registers(c.tid, &regs)?;
        Ok(self.tracer.resume(c.tid)?)
    }

    /// A string was allocated: it is filled, and noted in the frame of the call, where the collector sees it.
    fn place_text(&mut self, c: &mut Calling, i: usize, at: u64) -> Result<(), EngineError> {
        self.mem.write(LoadAddr(at), self.text_of(c, i))?;
        let outer = c.stack.first().filter(|_| c.stack.len() > 1);
        // The allocation was injected where the call's frame was open: the frame begins at the stack pointer of then.
        if let Some(inner) = c.stack.last().filter(|_| outer.is_some()) {
            let slot = LoadAddr(inner.saved.sp()).add(c.frame() + 8 * i as u64);
            self.mem.write(slot, &at.to_le_bytes())?;
        }
        if let Some(t) = c.texts.get_mut(i) {
            *t = Some(at);
        }
        Ok(())
    }

    fn take_results(&mut self, c: &mut Calling, regs: &Registers) -> Result<(), EngineError> {
        match &c.plan {
            Plan::Text { to, text } => {
                self.mem.write(LoadAddr(regs.gp[0]), text)?;
                // While the collector marks, new objects are marked already: no write barrier is missed.
                let header = [regs.gp[0].to_le_bytes(), (text.len() as u64).to_le_bytes()].concat();
                self.mem.write(*to, &header)?;
            }
            Plan::Call(plan) => {
                let all = self.tracer.registers_with_vectors(c.tid)?;
                let register = |n: u16| all.by_dwarf(n).or_else(|| all.xmm_low(n));
                let Some(reader) = Reader::new(&self.rt, &*self.mem) else { return Ok(()) };
                let frame = LoadAddr(regs.sp());
                for p in &plan.signature.results {
                    c.outcome.results.push(reader.variable(&p.value(&reader, &register, frame), c.limits));
                }
                if let (Some(to), Some(p)) = (plan.store, plan.signature.results.first()) {
                    let bytes = p.bytes(&reader, &register, frame).ok_or_else(|| {
                        EngineError::State("the result could not be read, and was not assigned".into())
                    })?;
                    self.mem.write(to, &bytes)?;
                }
            }
        }
        Ok(())
    }

    fn take_panic(&self, c: &mut Calling, regs: &Registers) {
        let value = Reader::new(&self.rt, &*self.mem).and_then(|r| {
            let ty = r.dwarf.type_by_name("interface {}").map(|o| r.dwarf.go_type(o))?;
            let v = ValueRef { name: "panic".into(), ty, place: Place::at(LoadAddr(regs.sp())), ..ValueRef::default() };
            Some(r.variable(&v, c.limits))
        });
        match c.stack.last().and_then(|i| i.allocates) {
            None => c.outcome.panicked = Some(value.unwrap_or_default()),
            Some(_) => c.outcome.problem = Some("the runtime panicked while a string was allocated".into()),
        }
    }

    /// The end of one use of the protocol: the thread gets its registers back and goes to where it was.
    fn restore(&mut self, c: &mut Calling, regs: &Registers) -> Result<bool, EngineError> {
        let Some(mut i) = c.stack.pop() else { return Ok(true) };
        let last = c.stack.is_empty();
        let begun = Instant::now();
        if last {
            self.stand()?; // so that nothing is in the text on the way, and the user sees the moment of the return
            if self.gone {
                return Ok(true);
            }
        }
        self.tracer.set_extended_state(c.tid, &mut i.vectors)?;
        let mut new = i.saved;
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
            if now.pc() == i.saved.pc() {
                // The tail's instructions leave flags alone, but for what single steps do to them.
                self.tracer.set_registers(c.tid, &Registers { flags: i.saved.flags, ..now })?;
                there = true;
                break;
            }
        }
        if !there {
            self.happened.push(Happened::Note("a thread did not come back from a call as expected".into()));
        }
        if !last {
            // Back in the opened frame of the call.
            let now = self.tracer.registers(c.tid)?;
            self.open_frame(c, &now, None)?;
            return Ok(false);
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
