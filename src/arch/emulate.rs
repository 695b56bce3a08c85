//! Executes one amd64 instruction on behalf of a thread that stands on a breakpoint, so that the breakpoint can stay in
//! place for all others. Covers what compilers put at line and function starts (moves, pushes, address arithmetic, integer
//! compare and add, all control flow); for the rest the caller steps a displaced copy.

use super::Registers;
use crate::base::{LoadAddr, Memory};
use iced_x86::{ConditionCode, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Registers hold the state behind the instruction; memory to write, if any.
    Done(Option<(LoadAddr, u64, u8)>),
    /// Not in this emulator's repertoire; nothing was changed.
    Unsupported,
}

const CF: u64 = 1;
const PF: u64 = 1 << 2;
const AF: u64 = 1 << 4;
const ZF: u64 = 1 << 6;
const SF: u64 = 1 << 7;
const OF: u64 = 1 << 11;
const TF: u64 = 1 << 8;

/// DWARF register number of a 64-bit register.
fn dwarf(r: Register) -> Option<usize> {
    Some(match r.full_register() {
        Register::RAX => 0,
        Register::RDX => 1,
        Register::RCX => 2,
        Register::RBX => 3,
        Register::RSI => 4,
        Register::RDI => 5,
        Register::RBP => 6,
        Register::RSP => 7,
        Register::R8 => 8,
        Register::R9 => 9,
        Register::R10 => 10,
        Register::R11 => 11,
        Register::R12 => 12,
        Register::R13 => 13,
        Register::R14 => 14,
        Register::R15 => 15,
        _ => return None,
    })
}

fn high_byte(r: Register) -> bool {
    matches!(r, Register::AH | Register::BH | Register::CH | Register::DH)
}

fn mask(size: usize) -> u64 {
    if size >= 8 { u64::MAX } else { (1 << (size * 8)) - 1 }
}

struct Machine<'a> {
    regs: Registers,
    mem: &'a dyn Memory,
    store: Option<(LoadAddr, u64, u8)>,
}

impl Machine<'_> {
    fn register(&self, r: Register) -> Option<u64> {
        if high_byte(r) {
            return None;
        }
        Some(self.regs.gp[dwarf(r)?] & mask(r.size()))
    }
    fn set_register(&mut self, r: Register, v: u64) -> Option<()> {
        let i = dwarf(r)?;
        if high_byte(r) {
            return None;
        }
        let old = self.regs.gp[i];
        self.regs.gp[i] = match r.size() {
            8 => v,
            4 => v & mask(4), // a 32-bit write clears the upper half
            n => old & !mask(n) | v & mask(n),
        };
        Some(())
    }
    fn address(&self, i: &Instruction, op: u32) -> Option<LoadAddr> {
        i.virtual_address(op, 0, |r, _, _| match r {
            Register::FS => Some(self.regs.fs_base),
            Register::GS => None,
            Register::CS | Register::DS | Register::ES | Register::SS => Some(0),
            r => self.register(r),
        })
        .map(LoadAddr)
    }
    fn load(&self, at: LoadAddr, size: usize) -> Option<u64> {
        let mut b = [0u8; 8];
        self.mem.read(at, b.get_mut(..size)?).ok()?;
        Some(u64::from_le_bytes(b))
    }
    /// Size in bytes of an operand.
    fn size(i: &Instruction, op: u32) -> usize {
        match i.op_kind(op) {
            OpKind::Register => i.op_register(op).size(),
            OpKind::Memory => i.memory_size().size(),
            _ if op == 0 => 8,
            _ => Self::size(i, 0),
        }
    }
    fn get(&self, i: &Instruction, op: u32) -> Option<u64> {
        Some(match i.op_kind(op) {
            OpKind::Register => self.register(i.op_register(op))?,
            OpKind::Memory => self.load(self.address(i, op)?, i.memory_size().size())?,
            _ => i.try_immediate(op).ok()? & mask(Self::size(i, 0)),
        })
    }
    fn put(&mut self, i: &Instruction, op: u32, v: u64) -> Option<()> {
        match i.op_kind(op) {
            OpKind::Register => self.set_register(i.op_register(op), v),
            OpKind::Memory => {
                let size = i.memory_size().size();
                self.store = Some((self.address(i, op)?, v & mask(size), size as u8));
                (size <= 8).then_some(())
            }
            _ => None,
        }
    }
    fn push(&mut self, v: u64) {
        let sp = self.regs.sp().wrapping_sub(8);
        self.regs.set_sp(sp);
        self.store = Some((LoadAddr(sp), v, 8));
    }
    fn set_flags(&mut self, result: u64, size: usize, carry: bool, overflow: bool, adjust: bool) {
        let r = result & mask(size);
        let mut f = self.regs.flags & !(CF | PF | AF | ZF | SF | OF);
        f |= if carry { CF } else { 0 } | if overflow { OF } else { 0 } | if adjust { AF } else { 0 };
        f |= if r == 0 { ZF } else { 0 } | if r >> (size * 8 - 1) & 1 == 1 { SF } else { 0 };
        f |= if (r as u8).count_ones().is_multiple_of(2) { PF } else { 0 };
        self.regs.flags = f;
    }
    fn add(&mut self, a: u64, b: u64, size: usize) -> u64 {
        let r = a.wrapping_add(b) & mask(size);
        let top = size * 8 - 1;
        self.set_flags(r, size, r < a, (a ^ r) & (b ^ r) & 1 << top != 0, (a ^ b ^ r) & 16 != 0);
        r
    }
    fn sub(&mut self, a: u64, b: u64, size: usize) -> u64 {
        let r = a.wrapping_sub(b) & mask(size);
        let top = size * 8 - 1;
        self.set_flags(r, size, a < b, (a ^ b) & (a ^ r) & 1 << top != 0, (a ^ b ^ r) & 16 != 0);
        r
    }
    fn condition(&self, c: ConditionCode) -> Option<bool> {
        let f = |bit: u64| self.regs.flags & bit != 0;
        Some(match c {
            ConditionCode::o => f(OF),
            ConditionCode::no => !f(OF),
            ConditionCode::b => f(CF),
            ConditionCode::ae => !f(CF),
            ConditionCode::e => f(ZF),
            ConditionCode::ne => !f(ZF),
            ConditionCode::be => f(CF) || f(ZF),
            ConditionCode::a => !f(CF) && !f(ZF),
            ConditionCode::s => f(SF),
            ConditionCode::ns => !f(SF),
            ConditionCode::p => f(PF),
            ConditionCode::np => !f(PF),
            ConditionCode::l => f(SF) != f(OF),
            ConditionCode::ge => f(SF) == f(OF),
            ConditionCode::le => f(ZF) || f(SF) != f(OF),
            ConditionCode::g => !f(ZF) && f(SF) == f(OF),
            ConditionCode::None => return None,
        })
    }

    fn run(&mut self, i: &Instruction) -> Option<()> {
        if i.has_lock_prefix() || i.has_rep_prefix() || i.has_repne_prefix() {
            return None;
        }
        let mut next = i.next_ip();
        let size = Self::size(i, 0);
        match i.mnemonic() {
            Mnemonic::Nop | Mnemonic::Endbr64 => {}
            Mnemonic::Mov => {
                let v = self.get(i, 1)?;
                self.put(i, 0, v)?;
            }
            Mnemonic::Movzx => {
                let v = self.get(i, 1)?;
                self.put(i, 0, v)?;
            }
            Mnemonic::Movsx | Mnemonic::Movsxd => {
                let from = Self::size(i, 1) * 8;
                let v = self.get(i, 1)?;
                self.put(i, 0, ((v << (64 - from)) as i64 >> (64 - from)) as u64)?;
            }
            Mnemonic::Lea => {
                let v = self.address(i, 1)?.0;
                self.put(i, 0, v)?;
            }
            Mnemonic::Push if i.op_kind(0) == OpKind::Register && size == 8 => {
                let v = self.get(i, 0)?;
                self.push(v);
            }
            Mnemonic::Pop if i.op_kind(0) == OpKind::Register && size == 8 => {
                let v = self.load(LoadAddr(self.regs.sp()), 8)?;
                self.regs.set_sp(self.regs.sp().wrapping_add(8));
                self.put(i, 0, v)?;
            }
            Mnemonic::Add | Mnemonic::Sub | Mnemonic::Cmp => {
                let (a, b) = (self.get(i, 0)?, self.get(i, 1)?);
                let r = if i.mnemonic() == Mnemonic::Add { self.add(a, b, size) } else { self.sub(a, b, size) };
                if i.mnemonic() != Mnemonic::Cmp {
                    self.put(i, 0, r)?;
                }
            }
            Mnemonic::Inc | Mnemonic::Dec => {
                let a = self.get(i, 0)?;
                let carry = self.regs.flags & CF;
                let r = if i.mnemonic() == Mnemonic::Inc { self.add(a, 1, size) } else { self.sub(a, 1, size) };
                self.regs.flags = self.regs.flags & !CF | carry; // INC and DEC leave CF alone
                self.put(i, 0, r)?;
            }
            Mnemonic::And | Mnemonic::Test | Mnemonic::Or | Mnemonic::Xor => {
                let (a, b) = (self.get(i, 0)?, self.get(i, 1)?);
                let r = match i.mnemonic() {
                    Mnemonic::Or => a | b,
                    Mnemonic::Xor => a ^ b,
                    _ => a & b,
                };
                self.set_flags(r, size, false, false, false);
                if i.mnemonic() != Mnemonic::Test {
                    self.put(i, 0, r)?;
                }
            }
            Mnemonic::Jmp => next = self.branch_target(i)?,
            Mnemonic::Call => {
                let to = self.branch_target(i)?;
                self.push(next);
                next = to;
            }
            Mnemonic::Ret if i.op_count() == 0 => {
                next = self.load(LoadAddr(self.regs.sp()), 8)?;
                self.regs.set_sp(self.regs.sp().wrapping_add(8));
            }
            _ if i.is_jcc_short_or_near() => {
                if self.condition(i.condition_code())? {
                    next = i.near_branch_target();
                }
            }
            _ => return None,
        }
        self.regs.set_pc(next);
        Some(())
    }

    fn branch_target(&self, i: &Instruction) -> Option<u64> {
        match i.op_kind(0) {
            OpKind::NearBranch64 => Some(i.near_branch_target()),
            OpKind::Register | OpKind::Memory if Self::size(i, 0) == 8 => self.get(i, 0),
            _ => None,
        }
    }
}

/// Executes the instruction in `code` (clean bytes, at `regs.pc()`) on `regs`. A store is returned, not made, so that the caller can order
/// it before the registers.
pub fn emulate(code: &[u8], regs: &mut Registers, mem: &dyn Memory) -> Outcome {
    if regs.flags & TF != 0 {
        return Outcome::Unsupported;
    }
    let mut d = Decoder::with_ip(64, code, regs.pc(), DecoderOptions::NONE);
    let i = d.decode();
    if i.is_invalid() {
        return Outcome::Unsupported;
    }
    let mut m = Machine { regs: *regs, mem, store: None };
    match m.run(&i) {
        Some(()) => {
            *regs = m.regs;
            Outcome::Done(m.store)
        }
        None => Outcome::Unsupported,
    }
}

/// A copy of the instruction at `from` for execution at `to` (RIP-relative operands adjusted), and the length of the original. None for
/// control flow and what does not reach.
pub fn displaced(code: &[u8], from: u64, to: u64) -> Option<(Vec<u8>, usize)> {
    use iced_x86::{BlockEncoder, BlockEncoderOptions, FlowControl, InstructionBlock};
    let i = Decoder::with_ip(64, code, from, DecoderOptions::NONE).decode();
    if i.is_invalid() || i.flow_control() != FlowControl::Next {
        return None;
    }
    let list = [i];
    let block = InstructionBlock::new(&list, to);
    let out = BlockEncoder::encode(64, block, BlockEncoderOptions::DONT_FIX_BRANCHES).ok()?;
    Some((out.code_buffer, i.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::memory::SparseMemory;

    fn regs() -> Registers {
        let mut r = Registers { flags: 2, ..Registers::default() };
        r.set_pc(0x1000);
        r.set_sp(0x2010);
        r
    }
    fn stack() -> SparseMemory {
        let mut m = SparseMemory::default();
        m.insert(LoadAddr(0x2000), (0..64).collect());
        m
    }

    #[test]
    fn go_prologue() {
        let m = stack();
        let mut r = regs();
        r.gp[6] = 0xdead;
        // push rbp
        assert_eq!(emulate(&[0x55], &mut r, &m), Outcome::Done(Some((LoadAddr(0x2008), 0xdead, 8))));
        assert_eq!((r.pc(), r.sp()), (0x1001, 0x2008));
        // sub rsp, 0x18
        assert_eq!(emulate(&[0x48, 0x83, 0xec, 0x18], &mut r, &m), Outcome::Done(None));
        assert_eq!(r.sp(), 0x1ff0);
        // cmp rsp, [r14+0x10]; jbe +0x20
        r.gp[14] = 0x2000;
        assert_eq!(emulate(&[0x49, 0x3b, 0x66, 0x10], &mut r, &m), Outcome::Done(None));
        assert_eq!(r.flags & CF, CF);
        assert_eq!(emulate(&[0x76, 0x20], &mut r, &m), Outcome::Done(None));
        assert_eq!(r.pc(), 0x1000 + 1 + 4 + 4 + 2 + 0x20);
    }

    #[test]
    fn call_and_return() {
        let m = stack();
        let mut r = regs();
        assert_eq!(emulate(&[0xe8, 0xfb, 0x0f, 0, 0], &mut r, &m), Outcome::Done(Some((LoadAddr(0x2008), 0x1005, 8))));
        assert_eq!(r.pc(), 0x2000);
        r.set_sp(0x2000);
        assert_eq!(emulate(&[0xc3], &mut r, &m), Outcome::Done(None));
        assert_eq!(r.pc(), 0x0706_0504_0302_0100);
    }

    #[test]
    fn thirty_two_bit_writes_clear_the_top() {
        let m = stack();
        let mut r = regs();
        r.gp[0] = u64::MAX;
        assert_eq!(emulate(&[0x31, 0xc0], &mut r, &m), Outcome::Done(None)); // xor eax, eax
        assert_eq!((r.gp[0], r.flags & ZF), (0, ZF));
        // movups [rsp], xmm15 is for the displaced copy
        assert_eq!(emulate(&[0x44, 0x0f, 0x11, 0x3c, 0x24], &mut r, &m), Outcome::Unsupported);
        assert!(displaced(&[0x44, 0x0f, 0x11, 0x3c, 0x24], 0x1000, 0x9000).is_some_and(|d| d.1 == 5));
        assert!(displaced(&[0xe8, 0, 0, 0, 0], 0x1000, 0x9000).is_none());
    }

    /// Flags against the processor's own: every pair of interesting operands through ADD and SUB semantics by wider arithmetic.
    #[test]
    fn flags_follow_wide_arithmetic() {
        let m = stack();
        let interesting = [0u64, 1, 0x7f, 0x80, 0xff, 0x7fff_ffff_ffff_ffff, 0x8000_0000_0000_0000, u64::MAX];
        for a in interesting {
            for b in interesting {
                let mut r = regs();
                (r.gp[0], r.gp[3]) = (a, b);
                emulate(&[0x48, 0x29, 0xd8], &mut r, &m); // sub rax, rbx
                let wide = i128::from(a as i64) - i128::from(b as i64);
                assert_eq!(r.flags & CF != 0, a < b);
                assert_eq!(r.flags & OF != 0, i64::try_from(wide).is_err());
                assert_eq!(r.gp[0], a.wrapping_sub(b));
            }
        }
    }
}
