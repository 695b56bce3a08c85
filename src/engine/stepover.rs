//! Getting one thread past a breakpoint while it stays in place for all others: the instruction is emulated, or a displaced copy of
//! it is stepped in code that the program has finished with (`runtime.rt0_go`, which runs once, before any Go code).

use crate::arch::Registers;
use crate::arch::emulate::{Outcome, displaced, emulate};
use crate::base::{LoadAddr, LoadBias, Tid};
use crate::symbols::Symbols;
use crate::target::linux::memory::ProcessMemory;
use std::collections::BTreeMap;

/// Room for one copied instruction: the longest (15 bytes), and some for an operand that had to be widened.
const SLOT: u64 = 32;
/// The longest amd64 instruction.
pub const MAX_INSTRUCTION: usize = 15;

/// A displaced step under way.
#[derive(Clone, Copy, Debug)]
pub struct Flight {
    /// Address of the original instruction.
    pub from: LoadAddr,
    /// Its length.
    pub len: u64,
    /// Where the copy is.
    pub slot: LoadAddr,
    /// Length of the copy.
    pub copy_len: u64,
}

impl Flight {
    /// Where the thread belongs, given where it is: behind the original if the copy ran, at the original if it did not.
    pub fn landing(&self, pc: LoadAddr) -> LoadAddr {
        if pc == self.slot {
            self.from
        } else {
            self.from.add(self.len).offset(pc.0 as i64 - self.slot.add(self.copy_len).0 as i64)
        }
    }
}

/// The area for displaced copies and who uses it.
pub struct Displaced {
    area: Option<(LoadAddr, Vec<u8>)>,
    flights: BTreeMap<Tid, Flight>,
    used: bool,
}

/// How a thread got (or gets) past.
pub enum Passed {
    /// Emulated: registers and memory are to be written by the caller, then the thread continues.
    Emulated(Option<(LoadAddr, u64, u8)>),
    /// The copy is in place and `regs` points to it: the caller steps the thread and calls `land`.
    InFlight,
    /// No way round: stop the others, take the byte out, step.
    Alone,
}

impl Displaced {
    /// Finds the area.
    pub fn new(sym: &Symbols, bias: LoadBias) -> Displaced {
        let area = sym.find_function("runtime.rt0_go").and_then(|f| {
            let len = f.end.since(f.entry) as usize;
            Some((bias.to_load(f.entry), sym.text(f.entry, len)?.to_vec()))
        });
        Displaced { area, flights: BTreeMap::new(), used: false }
    }

    /// Area and its bytes, to be journalled before the first use.
    pub fn area(&self) -> Option<(LoadAddr, &[u8])> {
        self.area.as_ref().map(|(a, b)| (*a, &b[..]))
    }

    /// Takes the thread whose registers (PC at the breakpoint) are `regs` past the instruction `code`.
    ///
    /// What the emulator reads is not seen by the processor's debug registers: without `may_emulate` a copy is stepped.
    pub fn pass(
        &mut self,
        tid: Tid,
        code: &[u8],
        regs: &mut Registers,
        mem: &ProcessMemory,
        may_emulate: bool,
    ) -> Passed {
        if may_emulate && let Outcome::Done(store) = emulate(code, regs, mem) {
            return Passed::Emulated(store);
        }
        self.displace(tid, code, regs, mem).unwrap_or(Passed::Alone)
    }

    fn displace(&mut self, tid: Tid, code: &[u8], regs: &mut Registers, mem: &ProcessMemory) -> Option<Passed> {
        let (base, bytes) = self.area.as_ref()?;
        let slots = bytes.len() as u64 / SLOT;
        let taken = |s: LoadAddr| self.flights.values().any(|f| f.slot == s);
        let slot = (0..slots).map(|i| base.add(i * SLOT)).find(|s| !taken(*s))?;
        let from = LoadAddr(regs.pc());
        let (copy, len) = displaced(code, from.0, slot.0)?;
        if copy.len() as u64 > SLOT - 1 {
            return None;
        }
        mem.write(slot, &copy).ok()?;
        self.used = true;
        self.flights.insert(tid, Flight { from, len: len as u64, slot, copy_len: copy.len() as u64 });
        regs.set_pc(slot.0);
        Some(Passed::InFlight)
    }

    /// The flight of a thread.
    pub fn flight(&self, tid: Tid) -> Option<Flight> {
        self.flights.get(&tid).copied()
    }
    /// The thread landed (or is gone).
    pub fn land(&mut self, tid: Tid) -> Option<Flight> {
        self.flights.remove(&tid)
    }

    /// The target has a new program or none.
    pub fn abandon(&mut self) {
        self.area = None;
        self.flights.clear();
        self.used = false;
    }

    /// Puts the area back as linked; no flight may be under way.
    pub fn restore(&mut self, mem: &ProcessMemory) {
        if let (true, Some((base, bytes))) = (self.used && self.flights.is_empty(), &self.area) {
            self.used = mem.write(*base, bytes).is_err();
        }
    }

    /// Writes the area as linked into another process's memory (a fork of the target).
    pub fn clean_fork(&self, mem: &ProcessMemory) -> Result<(), crate::base::MemoryError> {
        match (&self.area, self.used) {
            (Some((base, bytes)), true) => mem.write(*base, bytes),
            _ => Ok(()),
        }
    }
}

/// The code bytes at `at` as linked; fewer at the end of the text.
pub fn clean_code(sym: &Symbols, bias: LoadBias, at: LoadAddr) -> Option<&[u8]> {
    let f = bias.to_file(at);
    (1..=MAX_INSTRUCTION).rev().find_map(|n| sym.text(f, n))
}
