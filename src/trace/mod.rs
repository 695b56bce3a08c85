//! Floor 4: what scheduler and collector did over time: execution traces, looks at a running process, lines of text. All become lanes of
//! `model::timeline`.
//!
//! It draws nothing and attaches to nothing: samples come in as plain data, files as bytes.

pub mod analysis;
pub mod columns;
pub mod exec;
pub mod file;
pub mod pyramid;
pub mod sampled;
pub mod text;
pub mod track;
pub mod trigger;
mod zoom;

use crate::model::{LaneKind, Span, TimelineQuery, TimelineSummary, TimelineView};

/// Something that a timeline is drawn from.
pub trait Source: Send {
    /// The part asked for, in columns.
    fn view(&mut self, q: &TimelineQuery) -> TimelineView;
    /// What happened in one lane between two times, in order, `count` at most: spans that begin, end or last there.
    fn spans(&mut self, lane: LaneKind, from_ns: i64, to_ns: i64, count: usize) -> Vec<Span>;
    /// The whole in figures.
    fn summary(&self) -> TimelineSummary;
}
