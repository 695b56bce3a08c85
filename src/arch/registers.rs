//! Registers of one thread, in DWARF's numbering so that location expressions index them directly.

use serde::{Deserialize, Serialize};

/// amd64 registers (System V ABI, figure 3.36: DWARF register numbers 0 to 16 are RAX, RDX, RCX, RBX, RSI, RDI, RBP, RSP, R8 to R15, RIP).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Registers {
    /// General registers and the return address column (RIP) by DWARF number.
    pub gp: [u64; 17],
    /// RFLAGS.
    pub flags: u64,
    /// Thread pointer; `runtime.g` of the thread is at `fs_base - 8`.
    pub fs_base: u64,
    /// XMM0 to XMM15 (DWARF 17 to 32), when they were fetched.
    pub xmm: Option<[u128; 16]>,
}

/// DWARF numbers.
#[allow(missing_docs)]
pub mod dwarf_reg {
    pub const RAX: u16 = 0;
    pub const RDX: u16 = 1;
    pub const RCX: u16 = 2;
    pub const RBX: u16 = 3;
    pub const RSI: u16 = 4;
    pub const RDI: u16 = 5;
    pub const RBP: u16 = 6;
    pub const RSP: u16 = 7;
    pub const R14: u16 = 14;
    pub const RIP: u16 = 16;
    pub const XMM0: u16 = 17;
}

/// Names in DWARF order.
pub const NAMES: [&str; 17] = [
    "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip",
];

impl Registers {
    /// Program counter.
    pub fn pc(&self) -> u64 {
        self.gp[16]
    }
    /// Stack pointer.
    pub fn sp(&self) -> u64 {
        self.gp[7]
    }
    /// Frame pointer (RBP).
    pub fn bp(&self) -> u64 {
        self.gp[6]
    }
    /// Sets the program counter.
    pub fn set_pc(&mut self, pc: u64) {
        self.gp[16] = pc;
    }
    /// Sets the stack pointer.
    pub fn set_sp(&mut self, sp: u64) {
        self.gp[7] = sp;
    }
    /// A general register by DWARF number.
    pub fn by_dwarf(&self, n: u16) -> Option<u64> {
        self.gp.get(n as usize).copied()
    }
    /// A general register, or the low 64 bits of a vector register, by DWARF number.
    pub fn low(&self, n: u16) -> Option<u64> {
        self.by_dwarf(n).or_else(|| self.xmm_low(n))
    }
    /// Low 64 bits of a vector register by DWARF number (17 is XMM0).
    pub fn xmm_low(&self, n: u16) -> Option<u64> {
        let i = n.checked_sub(17)? as usize;
        self.xmm.as_ref()?.get(i).map(|v| *v as u64)
    }
}
