//! Where a function's body begins: behind the check that the stack is large enough, which runs again after growth.

use super::Symbols;
use super::pclntab::Function;
use crate::base::FileAddr;
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, Register};

/// Instructions looked at for the stack check.
const WINDOW: usize = 8;
/// `g.stackguard0` and `g.stackguard1`, by way of the register that holds g.
const GUARDS: [u64; 2] = [16, 24];

impl Symbols {
    /// First address of the body: the compiler's mark if there is one, else behind the stack check.
    pub fn pc_after_prologue(&self, f: Function) -> FileAddr {
        if let Some(r) = self.line_rows(f).iter().find(|r| r.prologue_end) {
            return r.pc;
        }
        self.after_stack_check(f)
    }

    /// As [`Symbols::pc_after_prologue`], but only if that is still on the line of the entry.
    pub(super) fn prologue_end_on_line(&self, f: Function) -> FileAddr {
        let pc = self.pc_after_prologue(f);
        match (self.location(f.entry), self.location(pc)) {
            (Some(a), Some(b)) if a.line == b.line => pc,
            _ => f.entry,
        }
    }

    fn after_stack_check(&self, f: Function) -> FileAddr {
        let len = f.end.since(f.entry).min(128) as usize;
        let Some(code) = self.text(f.entry, len) else { return f.entry };
        let mut d = Decoder::with_ip(64, code, f.entry.0, DecoderOptions::NONE);
        let mut i = Instruction::default();
        let mut compared = false;
        for _ in 0..WINDOW {
            if !d.can_decode() {
                break;
            }
            d.decode_out(&mut i);
            match i.mnemonic() {
                Mnemonic::Cmp => {
                    compared |= i.memory_base() == Register::R14 && GUARDS.contains(&i.memory_displacement64());
                }
                Mnemonic::Jbe | Mnemonic::Jb if compared => return FileAddr(i.next_ip()),
                Mnemonic::Mov | Mnemonic::Lea | Mnemonic::Sub | Mnemonic::Jb | Mnemonic::Nop => {}
                _ if i.flow_control() != FlowControl::Next => break,
                _ => {}
            }
        }
        f.entry
    }
}
