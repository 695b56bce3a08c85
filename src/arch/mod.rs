//! Floor 2: registers, traps, prologues, calling convention, disassembly.
