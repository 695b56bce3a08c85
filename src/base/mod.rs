//! Floor 0: words that every other floor uses: addresses, ids, memory, clock.
//!
//! It knows nothing of Go, of ELF or of ptrace.

pub mod addr;
pub mod bytes;
pub mod clock;
pub mod go_version;
pub mod ids;
pub mod memory;
pub mod mmap;
pub mod pages;
pub mod redact;
pub mod ring;
pub mod text;

pub use addr::{FileAddr, LoadAddr, LoadBias};
pub use bytes::{Cursor, CursorError};
pub use go_version::GoVersion;
pub use ids::{BreakpointId, GoroutineId, StopEpoch, Tid};
pub use memory::{Memory, MemoryError, ReadOp};
