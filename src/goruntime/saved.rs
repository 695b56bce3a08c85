//! Registers of a frame that was interrupted at any instruction: where the runtime, or the kernel, saved them.
//!
//! Go's calling convention has no registers that a function must preserve, so that a frame below a call has none but SP.
//! A frame that was not left by a call has all: those of `runtime.asyncPreempt` lie in its frame, those of a signal in the context that the
//! kernel pushed.

use super::GoRuntime;
use super::pcinfo::Special;
use super::unwind::{RawFrame, UC_GREGS, interrupted};
use crate::arch::Registers;
use crate::arch::registers::dwarf_reg;
use crate::base::{LoadAddr, Memory};
use crate::symbols::Function;
use crate::symbols::arguments::dwarf_number;
use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

/// Longest code looked through, bytes.
const MAX_CODE: usize = 1024;
/// DWARF numbers in the order of the kernel's `sigcontext`: R8 to R15, DI, SI, BP, BX, DX, AX, CX, SP.
const CONTEXT: [u16; 16] = [8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2, 7];

impl GoRuntime {
    /// Registers of the frame that `above` interrupted, if it did.
    pub(super) fn saved_registers(&self, mem: &dyn Memory, above: &RawFrame) -> Option<Registers> {
        match above.info.special {
            Special::Sigtramp | Special::Sigreturn => self.in_context(mem, above),
            Special::ExactBelow if self.symbols().function_name(above.info.function) == "runtime.asyncPreempt" => {
                self.preempted(mem, above)
            }
            _ => None,
        }
    }

    fn in_context(&self, mem: &dyn Memory, above: &RawFrame) -> Option<Registers> {
        let mut r = Registers::default();
        for (i, n) in CONTEXT.iter().enumerate() {
            r.gp[*n as usize] = mem.read_u64(above.cfa.add(UC_GREGS + 8 * i as u64)).ok()?;
        }
        let (pc, sp) = interrupted(above.cfa, |at| mem.read_u64(at).ok())?;
        r.set_pc(pc.0);
        r.set_sp(sp.0);
        Some(r)
    }

    /// By the code of `asyncPreempt` itself: it pushes BP and flags, makes room and stores the registers there. Vector registers are
    /// there up to 1.25; later they are kept elsewhere and are not known.
    fn preempted(&self, mem: &dyn Memory, above: &RawFrame) -> Option<Registers> {
        let mut r = Registers::default();
        let mut xmm = [0u128; 16];
        let mut vectors = 0;
        for (off, reg) in self.stores(above.info.function) {
            let at = above.sp.add(off);
            match reg {
                n if n >= dwarf_reg::XMM0 => {
                    let b = mem.read_vec(at, 16).ok()?;
                    *xmm.get_mut(usize::from(n - dwarf_reg::XMM0))? = u128::from_le_bytes(b.try_into().ok()?);
                    vectors += 1;
                }
                n => *r.gp.get_mut(usize::from(n))? = mem.read_u64(at).ok()?,
            }
        }
        r.xmm = (vectors == xmm.len()).then_some(xmm);
        r.gp[usize::from(dwarf_reg::RBP)] = mem.read_u64(LoadAddr(above.cfa.0.wrapping_sub(16))).ok()?;
        r.set_pc(mem.read_u64(LoadAddr(above.cfa.0.wrapping_sub(8))).ok()?);
        r.set_sp(above.cfa.0);
        Some(r)
    }

    /// Stores of whole registers relative to SP before the first call: (offset, DWARF number).
    fn stores(&self, f: Function) -> Vec<(u64, u16)> {
        let s = self.symbols();
        let mut out = Vec::new();
        let Some(code) = s.text(f.entry, (f.end.since(f.entry) as usize).min(MAX_CODE)) else { return out };
        for i in &mut Decoder::with_ip(64, code, f.entry.0, DecoderOptions::NONE) {
            let i: Instruction = i;
            if i.mnemonic() == Mnemonic::Call {
                break;
            }
            let store = matches!(i.mnemonic(), Mnemonic::Mov | Mnemonic::Movups | Mnemonic::Movupd)
                && i.op0_kind() == OpKind::Memory
                && i.op1_kind() == OpKind::Register
                && i.memory_base() == Register::RSP;
            if let Some(n) = dwarf_number(i.op1_register()).filter(|_| store) {
                out.push((i.memory_displacement64(), n));
            }
        }
        out
    }
}
