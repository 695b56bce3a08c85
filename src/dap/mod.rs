//! Floor 9: the debug adapter: editors that are set up for `dlv dap` work by naming another program.
//!
//! The Debug Adapter Protocol (<https://microsoft.github.io/debug-adapter-protocol/specification>) over TCP or standard
//! input and output, with Delve's launch attributes, names, values and habits (go-delve/delve `service/dap`, 1.27), so that
//! editors and people find what they know. What Delve does not have is added where the protocol has a place for it.
//!
//! One thread reads the editor's messages, one writes ours; everything else happens on the session's own thread, one request
//! after the other, as the client loop of the full screen does it.

mod breakpoints;
mod build;
mod children;
mod complete;
pub(crate) mod config;
mod configure;
mod disassemble;
mod end;
mod evaluate;
mod events;
mod launch;
mod memory;
mod message;
mod nodebug;
mod out;
mod paths;
mod present;
mod redirect;
mod repl;
mod run;
mod server;
mod session;
mod set;
mod sources;
mod stack;
mod text;
mod threads;
mod types;
mod wire;

pub use server::{Options, serve};
