//! Floor 4: the Go heap from outside: spans, objects, pointers, reachability, who keeps what alive.
//!
//! The walk is precise: pointer words come from the runtime's own bitmaps (heap, data, bss, stack maps), as its collector
//! reads them; what has no map is read conservatively. It works on anything that is [`Memory`]: a process that runs, one
//! that stands, a core.

mod bits;
mod frames;
mod mark;
mod roots;
mod spans;
mod types;
mod walk;

pub use frames::{StackScanner, StackWords};
pub use mark::{Marker, ObjectId};
pub use roots::{Root, RootKind};
pub use spans::{Heap, HeapOptions, Span};
pub use walk::HeapWalk;

use crate::base::MemoryError;

/// Why the heap cannot be walked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeapError {
    /// The layout of the heap's structures is not known.
    #[error("the layout of the heap is not known for this Go release and the program has no DWARF that says it")]
    Layout,
    /// `runtime.mheap_` was not found.
    #[error("the heap was not found in the program")]
    NoHeap,
    /// More memory with pointers than may be copied.
    #[error("the heap has {0} MiB with pointers, more than the limit of {1} MiB")]
    TooLarge(u64, u64),
    /// What was read makes no sense.
    #[error("the heap's data make no sense: {0}")]
    Nonsense(String),
    /// Memory could not be read.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}
