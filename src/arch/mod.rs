//! Floor 2: registers, traps, prologues, calling convention, disassembly.
//!
//! It knows CPUs, not Go's runtime and not the operating system.

pub mod emulate;
pub mod registers;

pub use registers::Registers;
