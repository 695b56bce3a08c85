//! Floor 4: what scheduler and collector did over time: execution traces, looks at a running process, lines of text. All become lanes of
//! `model::timeline`.
//!
//! It draws nothing and attaches to nothing: samples come in as plain data, files as bytes.

pub mod analysis;
mod code;
pub mod columns;
pub mod exec;
pub mod file;
mod followed;
mod heat;
pub mod kernel;
pub mod overlay;
pub mod pyramid;
pub mod sampled;
pub mod search;
mod stretches;
pub mod text;
pub mod track;
pub mod trigger;
mod zoom;

use crate::model::{Found, LaneKind, MarkQuery, Overview, Span, TimelineQuery, TimelineSummary, TimelineView};
use columns::Grid;

/// Something that a timeline is drawn from.
pub trait Source: Send {
    /// The part asked for, in columns.
    fn view(&mut self, q: &TimelineQuery) -> TimelineView;
    /// What happened in one lane between two times, in order, `count` at most: spans that begin, end or last there.
    fn spans(&mut self, lane: LaneKind, from_ns: i64, to_ns: i64, count: usize) -> Vec<Span>;
    /// The whole in figures.
    fn summary(&self) -> TimelineSummary;
    /// First and last time that is known of.
    fn extent(&self) -> (i64, i64);
    /// How busy the Ps were, on a grid of the whole; with `bands`, how many were how busy, too.
    fn overview(&self, grid: Grid, bands: bool) -> Overview;

    /// The nearest mark. It may stop before all is searched.
    fn find(&mut self, q: &MarkQuery) -> Found;

    /// The part asked for, with an overview of the whole.
    fn shown(&mut self, q: &TimelineQuery) -> TimelineView {
        let grid = Grid::whole(self.extent(), q.columns);
        let overview = Some(self.overview(grid, q.heat));
        TimelineView { overview, ..self.view(q) }
    }
}
