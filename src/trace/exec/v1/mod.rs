//! Traces of Go 1.21 and before: batches by P, one piece, clocks and stacks at its end. They become the events of v2, as Go's reader turns them into
//! those, without being in memory as a whole.

mod convert;
mod order;
mod parse;
mod stream;
mod verify;

use super::fault::Fault;
use super::format::{Format, HEADER};
use super::store::Store;
pub use convert::Converter;
use std::sync::Arc;

/// Reads it up to the first event that it tells, which is to say twice. A stream is waited for: its clock comes last.
pub fn read(store: Arc<dyn Store>, format: &Format) -> Result<Converter, Fault> {
    let open = |store: Arc<dyn Store>| {
        let parser = parse::Parser::new(store.clone(), format)?;
        Converter::new(stream::Stream::new(parser)?, store.len(), format)
    };
    open(store).map_err(|t| t.at(HEADER as u64, None))
}
