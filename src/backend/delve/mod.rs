//! A remote `dlv --headless` as a backend: a translator from our requests to Delve's JSON-RPC and back.
//!
//! The driver (this thread) hears the client, Delve and signals at once and never waits for an answer while the program runs; the
//! reader (`worker`) asks what Delve answers only while the program stands. With `--accept-multiclient` they have a connection
//! each, so that `halt` gets through whatever another client does; else they share one, and nothing is asked while the program runs.
//!
//! It must not know of ptrace, of memory layouts beyond wait reasons, or of screens. What Delve lacks is `Unavailable` and says why.

mod breakpoints;
mod client;
pub mod connect;
mod convert;
mod driver;
mod going;
mod leave;
mod lists;
mod opening;
mod quirks;
mod reader;
mod stops;
mod values;
mod wire;
mod worker;

pub(super) use driver::serve;

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where a Delve is, and what the user says of its program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DelveSpec {
    /// `host:port` or `unix:PATH`.
    pub address: String,
    /// The program's file here, for lines with code and for finding sources; found by itself when the program runs here.
    pub exe: Option<PathBuf>,
    /// Rules for paths in locations: as the program has them, as the user writes them.
    pub rules: Vec<(String, String)>,
}
