//! Floor 9: the full screen. ratatui and crossterm live only here.
//!
//! `app` is state and verbs without a terminal; `draw` makes a buffer of it; `event_loop` and `terminal` are the only
//! files that touch the real one.

pub mod app;
mod draw;
mod event_loop;
mod hangup;
mod help;
pub mod highlight;
mod history;
pub mod keymap;
pub mod layout;
pub mod look;
mod looking;
mod navigate;
pub mod panes;
mod popups;
mod run;
pub mod terminal;
pub mod theme;
mod verbs;

pub use run::{Options, Outcome, prepare, run};
