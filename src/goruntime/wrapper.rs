//! What the wrapper around a deferred call calls, where that is not in its code: a func value or a method of an interface, kept among
//! the words that the wrapper captured. Its few instructions are followed with the words as they are.

use super::GoRuntime;
use crate::base::{LoadAddr, Memory};
use crate::symbols::Function;
use iced_x86::{Decoder, DecoderOptions, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register};
use rustc_hash::FxHashMap;

/// Larger ones are no wrappers, bytes.
const MAX_CODE: usize = 4096;
/// Register of the closure, and of the first argument.
const CONTEXT: usize = 2;
const FIRST: usize = 0;

#[derive(Default)]
struct Words {
    regs: [Option<u64>; 16],
    /// By offset from SP in the body.
    slots: FxHashMap<u64, u64>,
}

fn number(r: Register) -> Option<usize> {
    r.is_gpr64().then(|| r.number())
}

impl Words {
    fn load(&self, mem: &dyn Memory, i: &Instruction) -> Option<u64> {
        if i.memory_index() != Register::None || i.is_ip_rel_memory_operand() {
            return None;
        }
        let off = i.memory_displacement64();
        match i.memory_base() {
            Register::RSP => self.slots.get(&off).copied(),
            base => mem.read_u64(LoadAddr(self.regs[number(base)?]?.wrapping_add(off))).ok(),
        }
    }
}

/// The function that the wrapper `f` calls as the func value at `func`, and the call's first argument.
pub(super) fn called(
    rt: &GoRuntime,
    mem: &dyn Memory,
    f: Function,
    func: LoadAddr,
) -> Option<(Function, Option<LoadAddr>)> {
    let s = rt.symbols();
    let code = s.text(f.entry, (f.end.since(f.entry) as usize).min(MAX_CODE))?;
    let mut w = Words::default();
    w.regs[CONTEXT] = Some(func.0);
    let mut info = InstructionInfoFactory::new();
    for i in Decoder::with_ip(64, code, f.entry.0, DecoderOptions::NONE).iter() {
        if i.mnemonic() == Mnemonic::Call {
            let target = match i.op0_kind() {
                OpKind::Register => number(i.op0_register()).and_then(|n| w.regs[n]),
                OpKind::Memory => w.load(mem, &i),
                _ => {
                    w.regs = Default::default();
                    continue;
                }
            };
            let g = s.function_at(rt.bias().to_file(LoadAddr(target?)))?;
            let first = w.regs[FIRST].map(LoadAddr);
            return (rt.bias().to_load(g.entry).0 == target?).then_some((g, first));
        }
        let value = match (i.mnemonic(), i.op0_kind(), i.op1_kind()) {
            (Mnemonic::Mov, OpKind::Register, OpKind::Register) => number(i.op1_register()).and_then(|n| w.regs[n]),
            (Mnemonic::Mov, OpKind::Register, OpKind::Memory) => w.load(mem, &i),
            (Mnemonic::Mov, OpKind::Memory, OpKind::Register) => {
                if i.memory_base() == Register::RSP {
                    let off = i.memory_displacement64();
                    match number(i.op1_register()).and_then(|n| w.regs[n]) {
                        Some(v) => drop(w.slots.insert(off, v)),
                        None => drop(w.slots.remove(&off)),
                    }
                }
                continue;
            }
            _ => None,
        };
        for u in info.info(&i).used_registers() {
            let written = !matches!(u.access(), OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess);
            if let Some(n) = number(u.register().full_register()).filter(|_| written) {
                w.regs[n] = value;
            }
        }
    }
    None
}
