//! Addresses of the runtime's global variables: from the symbol table, else from instructions that refer to them.

use crate::base::{FileAddr, LoadAddr, LoadBias};
use crate::symbols::Symbols;
use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind};

/// What is needed to begin.
#[derive(Clone, Copy, Debug, Default)]
pub struct Globals {
    /// Word that holds the number of goroutines ever made.
    pub allglen: LoadAddr,
    /// Word that points to the array of `*g`.
    pub allgptr: LoadAddr,
    /// Array of string headers.
    pub wait_reason_strings: Option<LoadAddr>,
    /// Wait queues of semaphores.
    pub semtable: Option<LoadAddr>,
}

/// How an instruction refers to a variable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ref {
    Load,
    Address,
}

impl Globals {
    /// Finds them; none if even the list of goroutines cannot be found.
    pub fn find(symbols: &Symbols, bias: LoadBias) -> Option<Globals> {
        let names = ["runtime.allglen", "runtime.allgptr", "runtime.waitReasonStrings", "runtime.semtable"];
        let found = symbols.elf_symbols(&names);
        let pick = |i: usize, function: &str, kind: Ref, n: usize| {
            let known = found.get(i).copied().flatten();
            known.or_else(|| references(symbols, function, kind).get(n).copied()).map(|a| bias.to_load(a))
        };
        Some(Globals {
            allglen: pick(0, "runtime.forEachGRace", Ref::Load, 0)?,
            allgptr: pick(1, "runtime.forEachGRace", Ref::Load, 1)?,
            wait_reason_strings: pick(2, "runtime.waitReason.String", Ref::Address, 0),
            semtable: pick(3, "runtime.semacquire1", Ref::Address, 0),
        })
    }
}

/// Package variables that a function refers to, in address order of the instructions.
fn references(symbols: &Symbols, function: &str, kind: Ref) -> Vec<FileAddr> {
    let Some(f) = symbols.find_function(function) else { return Vec::new() };
    let Some(code) = symbols.text(f.entry, f.end.since(f.entry) as usize) else { return Vec::new() };
    let Some(module) = symbols.moduledata() else { return Vec::new() };
    let mut out = Vec::new();
    let mut d = Decoder::with_ip(64, code, f.entry.0, DecoderOptions::NONE);
    let mut i = Instruction::default();
    while d.can_decode() {
        d.decode_out(&mut i);
        if !i.is_ip_rel_memory_operand() {
            continue;
        }
        let how = match i.mnemonic() {
            Mnemonic::Lea => Ref::Address,
            Mnemonic::Mov if i.op1_kind() == OpKind::Memory => Ref::Load,
            _ => continue,
        };
        let target = FileAddr(i.ip_rel_memory_address());
        if how == kind && module.is_data(target) {
            out.push(target);
        }
    }
    out
}
