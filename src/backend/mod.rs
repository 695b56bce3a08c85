//! Floor 6: the one door to a target.
//!
//! A client holds a [`client::Client`]; whether the other end is a thread of this process, a host process or a
//! recorded conversation is not its business.

pub mod adapter;
pub mod audit;
pub mod client;
pub mod delve;
pub mod dump;
pub mod failure;
pub mod fetch;
pub mod files;
pub mod host;
pub mod hub;
pub mod lines;
pub mod link;
pub mod listed;
pub mod listen;
pub mod native;
pub mod offline;
pub mod oncpu;
mod outbox;
pub mod peer;
pub mod piped;
pub mod profile;
pub mod protocol;
pub mod queries;
mod redact;
pub mod replay;
pub mod scopes;
pub mod starting;
pub mod tls;
pub mod token;
pub mod trace;
pub mod traced;
pub mod wire;
