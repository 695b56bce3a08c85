//! One generation: which batches each thread wrote, and the tables for them. The events themselves stay in the store until they are merged.

use super::fault::Fault;
use super::tables::{Sample, Tables};
use std::sync::Arc;

/// Most batches in a generation: 256 GiB of full ones.
pub(super) const MAX_BATCHES: usize = 4 << 20;
/// Most threads that write in one generation.
pub(super) const MAX_THREADS: usize = 1 << 16;

/// Where a batch's payload is.
#[derive(Clone, Copy, Debug)]
pub struct BatchRef {
    /// Base of its times, clock units.
    pub time: u64,
    /// Offset of the payload.
    pub at: u64,
    /// Length of the payload.
    pub len: u32,
}

/// What one thread wrote, in its order.
#[derive(Clone, Debug)]
pub struct Thread {
    /// Its id, or none.
    pub m: i64,
    /// Its batches.
    pub batches: Vec<BatchRef>,
}

/// A generation.
#[derive(Clone, Debug)]
pub struct Generation {
    /// Its number.
    pub number: u64,
    /// Where its first batch is.
    pub at: u64,
    /// Where it ends.
    pub end: u64,
    /// Least base time, clock units.
    pub first: u64,
    /// Threads in the order in which they come in the file.
    pub threads: Vec<Thread>,
    /// CPU samples in order of time, ns.
    pub samples: Vec<Sample>,
    /// Strings, stacks, clocks.
    pub tables: Arc<Tables>,
    /// Nothing is missing.
    pub complete: bool,
    /// What was wrong with it, and got over.
    pub faults: Vec<Fault>,
}

/// Where generations come from: the file as it is read, or another thread that reads it.
pub trait Source: Send {
    /// The next one; none at the end. After an error there is nothing more, but with damage forgiven there are no errors but those of reading.
    fn next(&mut self) -> Result<Option<Generation>, Fault>;
}
