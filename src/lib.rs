//! adit: a full-screen terminal workstation for debugging Go programs.
//!
//! ARCHITECTURE.md tells the floors; `tests/layers.rs` holds them.

pub mod arch;
pub mod backend;
pub mod base;
pub mod batch;
pub mod cli;
pub mod command;
pub mod config;
pub mod dap;
pub mod diagnose;
pub mod dumps;
pub mod engine;
pub mod eval;
pub mod goruntime;
pub mod heap;
pub mod k8s;
pub mod model;
pub mod profile;
pub mod session;
pub mod symbols;
pub mod target;
pub mod trace;
pub mod tui;
pub mod waits;
