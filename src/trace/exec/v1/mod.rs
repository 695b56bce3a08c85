//! Traces of Go 1.21 and before: batches by P, one piece, clocks and stacks at its end. They are read whole and become the events of v2, as
//! Go's reader turns them into those.

mod convert;
mod order;
mod parse;
mod verify;

use super::fault::{Fault, Trouble};
use super::format::{Format, HEADER};
use super::store::Store;
pub use convert::Converter;

/// Longest trace of this kind that is taken, bytes: its events have to be in memory, about twenty times as large.
const MAX_FILE: u64 = 64 << 20;

/// Reads all of it.
pub fn read(store: &dyn Store, format: &Format) -> Result<Converter, Fault> {
    let mut data = Vec::new();
    let mut buf = vec![0; 256 << 10];
    let fail = |t: Trouble| t.at(HEADER as u64, None);
    loop {
        let n = store.read_at(HEADER as u64 + data.len() as u64, &mut buf).map_err(|e| fail(e.into()))?;
        if n == 0 {
            break;
        }
        data.extend_from_slice(&buf[..n]);
        if data.len() as u64 > MAX_FILE {
            return Err(fail(Trouble::Limit {
                what: "bytes of a trace of Go 1.21 or before",
                limit: MAX_FILE as usize,
            }));
        }
    }
    let mut parsed = parse::Parser::new(&data, format);
    let events = parsed.parse().and_then(|mut events| {
        verify::verify(&mut events, &parsed.stacks)?;
        Ok(events)
    });
    let events = events.map_err(fail)?;
    Converter::new(parsed.finish(), events, format).map_err(fail)
}
