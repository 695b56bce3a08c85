//! Floor 5: the native debugger: breakpoints, stepping, the journal. One thread, blocking.

pub mod int3;
pub mod journal;
