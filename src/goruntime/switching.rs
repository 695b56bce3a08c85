//! `runtime.systemstack` and `runtime.asmcgocall`: at which of their instructions they are on another stack than their caller, by their
//! code. One way through each leads there from a goroutine's stack, another begins on a system stack already
//! (go/src/runtime/asm_amd64.s).

use super::pcinfo::Special;
use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

/// What is special before the instruction at `pc`, by all that is before: `switched` while SP is what was loaded for the system stack.
pub(super) fn special_at(code: &[u8], entry: u64, pc: u64, switched: Special) -> Special {
    let mut now = Special::CallersStack;
    for i in &mut Decoder::with_ip(64, code, entry, DecoderOptions::NONE) {
        let i: Instruction = i;
        if i.ip() >= pc {
            break;
        }
        let sp = i.op_count() > 0 && i.op0_kind() == OpKind::Register && i.op0_register() == Register::RSP;
        now = match i.mnemonic() {
            Mnemonic::Mov if sp && i.op1_kind() == OpKind::Memory => switched,
            Mnemonic::Sub if sp && now == Special::CallersStack => Special::AsmcgocallOnSystem,
            Mnemonic::Mov if sp => Special::CallersStack,
            Mnemonic::Ret => Special::CallersStack,
            _ => now,
        };
    }
    now
}
