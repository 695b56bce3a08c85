//! Arguments as the runtime's tracebacks know them: words at offsets, grouped as the parameters' types are, without names.
//!
//! The compiler writes for each function which words its arguments consist of (FUNCDATA 5) and, where they come in registers, when the
//! slots to which they are spilled hold them (FUNCDATA 6, PCDATA 3); see `printArgs` in go/src/runtime/traceback.go and
//! `EmitArgInfo` in cmd/compile/internal/ssagen. At most ten words are listed, five levels deep. Stripped files have these, too.

use super::Symbols;
use super::pclntab::{Function, funcdata, pcdata};
use crate::base::FileAddr;
use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

/// Longest list: `TraceArgsMaxLen`.
const MAX_BYTES: usize = 171;
/// Codes that are no offsets (`TraceArgs…`).
mod code {
    pub const END: u8 = 0xff;
    pub const BEGIN_GROUP: u8 = 0xfe;
    pub const END_GROUP: u8 = 0xfd;
    pub const AND_SO_ON: u8 = 0xfc;
    pub const TOO_FAR: u8 = 0xfb;
    pub const FIRST: u8 = 0xf0;
}

/// An argument, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArgumentPart {
    /// A number, a pointer, a part of a string…
    Word {
        /// Bytes from the end of the frame (its CFA).
        off: u8,
        /// Bytes.
        size: u8,
        /// It is passed in a register: number of its bit in the tables of what is live.
        slot: Option<u8>,
    },
    /// A string, slice, interface, struct or array: its parts.
    Group(Vec<ArgumentPart>),
    /// One whose place is too far off to be written down.
    TooFar,
    /// More follow that are not written down.
    AndSoOn,
}

/// Which argument slots hold their arguments at a place.
#[derive(Clone, Copy, Debug)]
pub struct LiveArguments<'a> {
    /// None: all of them, or nothing is known.
    bits: Option<&'a [u8]>,
}

impl LiveArguments<'_> {
    /// Is anything known of slots here at all?
    pub fn known(&self) -> bool {
        self.bits.is_some()
    }
    /// Does this slot?
    pub fn has(&self, slot: Option<u8>) -> bool {
        match (self.bits, slot) {
            (Some(bits), Some(n)) => bits.get(usize::from(n / 8)).is_some_and(|b| b >> (n % 8) & 1 != 0),
            _ => true,
        }
    }
}

impl Symbols {
    /// A function's arguments, receiver first; none if the file does not say.
    pub fn argument_words(&self, f: Function) -> Option<Vec<ArgumentPart>> {
        if let Some((m, own)) = self.module_of(f) {
            return m.symbols.argument_words(own);
        }
        let at = self.funcdata(f, funcdata::ARG_INFO)?;
        let list = (1..=MAX_BYTES).rev().find_map(|n| self.text(at, n))?;
        let in_registers = self.live_table(f).and_then(|t| t.first().copied()).unwrap_or(u8::MAX);
        let mut open: Vec<Vec<ArgumentPart>> = vec![Vec::new()];
        let mut slots = 0;
        let mut it = list.iter().copied();
        while let Some(c) = it.next() {
            let part = match c {
                code::END => return (open.len() == 1).then(|| open.pop()).flatten(),
                code::BEGIN_GROUP => {
                    open.push(Vec::new());
                    continue;
                }
                code::END_GROUP => ArgumentPart::Group(open.pop().filter(|_| !open.is_empty())?),
                code::AND_SO_ON => ArgumentPart::AndSoOn,
                code::TOO_FAR => ArgumentPart::TooFar,
                code::FIRST.. => return None,
                off => {
                    let size = it.next().filter(|s| (1..=8).contains(s))?;
                    let slot = (off >= in_registers).then_some(slots);
                    slots += u8::from(slot.is_some());
                    ArgumentPart::Word { off, size, slot }
                }
            };
            open.last_mut()?.push(part);
        }
        None
    }

    /// Which slots hold their arguments when execution stands at `pc`, or has made a call just before it.
    pub fn live_arguments(&self, f: Function, pc: FileAddr) -> LiveArguments<'_> {
        if let Some((m, own)) = self.module_of(f) {
            return m.symbols.live_arguments(own, m.down(pc));
        }
        let at = usize::try_from(self.pclntab().pcdata(f, pcdata::ARG_LIVE_INDEX, pc)).ok().filter(|i| *i > 0);
        LiveArguments { bits: at.and_then(|i| self.live_table(f)?.get(i..)) }
    }

    /// First byte: the lowest offset of an argument in a register. Then bit maps.
    fn live_table(&self, f: Function) -> Option<&[u8]> {
        const LONGEST: usize = 4096;
        let at = self.funcdata(f, funcdata::ARG_LIVE_INFO)?;
        let (_, left) = self.image().file_offset(at)?;
        self.text(at, left.min(LONGEST))
    }

    /// In which register (DWARF number) each argument word arrives, by its offset from the CFA: told by the instructions that save them
    /// where the stack has to grow first. Empty for functions that do not check their stack.
    pub fn argument_registers(&self, f: Function) -> Vec<(u8, u16)> {
        if let Some((m, own)) = self.module_of(f) {
            return m.symbols.argument_registers(own);
        }
        let len = f.end.since(f.entry) as usize;
        let Some(code) = self.text(f.entry, len) else { return Vec::new() };
        let mut out = Vec::new();
        let mut d = Decoder::with_ip(64, code, f.entry.0, DecoderOptions::NONE);
        let mut i = Instruction::default();
        while d.can_decode() {
            d.decode_out(&mut i);
            if i.mnemonic() == Mnemonic::Call && i.op0_kind() == OpKind::NearBranch64 {
                let callee = self.function_at(FileAddr(i.near_branch64())).map(|c| self.function_name(c));
                // In a plugin the call leads out of the file; that what was saved is loaded again behind it tells it, too.
                let back = || {
                    let code = self.text(FileAddr(i.next_ip()), f.end.0.saturating_sub(i.next_ip()) as usize)?;
                    let next = Decoder::with_ip(64, code, i.next_ip(), DecoderOptions::NONE).decode();
                    let loads = next.mnemonic() == Mnemonic::Mov && next.memory_base() == Register::RSP;
                    let first = out.first().map(|o: &(u8, u16)| (u64::from(o.0) + 8, o.1))?;
                    (loads
                        && next.memory_displacement64() == first.0
                        && dwarf_number(next.op0_register()) == Some(first.1))
                    .then_some(())
                };
                if callee.map_or_else(|| back().is_some(), |c| c.starts_with("runtime.morestack")) {
                    return out;
                }
            }
            if i.mnemonic() == Mnemonic::Nop {
                continue;
            }
            // At this point SP is what it was at the entry: the return address lies at 0, the first slot at 8.
            let spill = i.op0_kind() == OpKind::Memory
                && i.op1_kind() == OpKind::Register
                && i.memory_base() == Register::RSP
                && i.memory_index() == Register::None;
            let off = i.memory_displacement64().checked_sub(8).and_then(|o| u8::try_from(o).ok());
            match (spill, off, dwarf_number(i.op1_register())) {
                (true, Some(off), Some(reg)) => out.push((off, reg)),
                _ => out.clear(),
            }
        }
        Vec::new()
    }
}

/// DWARF number of a register or of the one that it is a part of.
pub fn dwarf_number(r: Register) -> Option<u16> {
    if r.is_xmm() {
        return Some(17 + r.number() as u16);
    }
    if !r.is_gpr() {
        return None;
    }
    // The machine counts AX CX DX BX SP BP SI DI.
    const LEGACY: [u16; 8] = [0, 2, 1, 3, 7, 6, 4, 5];
    let n = r.full_register().number();
    Some(LEGACY.get(n).copied().unwrap_or(n as u16))
}
