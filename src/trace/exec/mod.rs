//! Execution traces of Go: bytes in, events in order out. `v2` is what releases from 1.22 on write, `v1` what those before did; both come
//! out as the same events, with the checks and in the order of Go's own reader.

pub mod event;
pub mod fault;
pub mod format;
pub mod generation;
mod heap;
pub mod merge;
pub mod order;
mod ranges;
pub mod reader;
mod scan;
pub mod store;
pub mod tables;
mod v1;

pub use event::{Event, GoState, Kind, ProcState};
pub use fault::{Fault, Trouble};
pub use reader::{Chunk, Mode, Reader};
pub use store::Store;
pub use tables::Tables;
