//! Panes: one file each says what it needs, how it is drawn and what its keys do. [`PANES`] lists them.

mod assembly;
mod breakpoints;
mod defers;
mod detail;
mod entries;
mod findings;
mod flame;
mod goroutines;
mod heap;
mod list;
mod log;
mod output;
mod profile;
mod refs;
mod source;
mod spans;
mod stack;
mod timeline;
mod vars;
mod waits;

pub use list::Cursor;

use super::highlight::Highlighter;
use super::look::Look;
use crate::base::GoroutineId;
use crate::command::Ui;
use crate::model::Location;
use crate::session::{Interest, Session};
use ratatui::{buffer::Buffer, layout::Rect};
use std::sync::Arc;

/// Which pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum PaneId {
    Source,
    Stack,
    Vars,
    Goroutines,
    Breakpoints,
    Output,
    Log,
    Assembly,
    Findings,
    Detail,
    Waits,
    Heap,
    Refs,
    Defers,
    Timeline,
    Spans,
    Flame,
    Table,
    Lines,
}

/// What all panes may see beside the session.
pub struct Ctx<'a> {
    /// Theme and marks.
    pub look: &'a Look,
    /// Colours of source text, from a worker.
    pub highlight: &'a Highlighter,
    /// The goroutine that the Stack and Source panes show instead of the selected one: the one under the cursor.
    pub peek: Option<GoroutineId>,
    /// Where that one is.
    pub place: Option<&'a Location>,
    /// The workspace that is shown.
    pub workspace: u8,
    /// Is this pane the one with the keys?
    pub focused: bool,
    /// Text that is searched for.
    pub search: Option<&'a str>,
}

/// What a pane does with a verb.
pub enum Handled {
    /// It did it.
    Yes,
    /// Not its business.
    No,
    /// It asks for another verb of the app.
    Then(crate::command::Do),
}

/// A pane.
pub trait Pane {
    /// Called before title, interests and drawing: what follows the session goes where it is.
    fn before(&mut self, _s: &Session, _ctx: &Ctx) {}
    /// Title, and a note for the right side.
    fn title(&self, s: &Session, ctx: &Ctx) -> (String, String);
    /// What it needs to be drawn with so many rows.
    fn interests(&self, s: &Session, ctx: &Ctx, rows: u16) -> Vec<Interest>;
    /// Draws the inside.
    fn draw(&mut self, s: &Session, ctx: &Ctx, area: Rect, buf: &mut Buffer);
    /// A verb while it is focused.
    fn act(&mut self, s: &mut Session, ctx: &Ctx, ui: &Ui) -> Handled;
    /// The row of the last drawing that the cursor was on.
    fn cursor_row(&self) -> Option<u16> {
        None
    }
    /// The place under the cursor.
    fn place(&self, _s: &Session, _ctx: &Ctx) -> Option<(String, u32)> {
        None
    }
    /// The name under the cursor.
    fn word(&self, _s: &Session) -> Option<String> {
        None
    }
    /// The goroutine under the cursor, and where it is: what Stack, Source, Defers and Vars beside this pane are about.
    fn goroutine(&self, _s: &Session) -> Option<(GoroutineId, Arc<Location>)> {
        None
    }
    /// What is under the cursor, so that [`Pane::seek`] finds it again.
    fn key(&self, _s: &Session) -> Option<String> {
        None
    }
    /// Puts the cursor there, now or once it is there.
    fn seek(&mut self, _s: &mut Session, _key: &str) {}
    /// Shows a place.
    fn show(&mut self, _file: &str, _line: u32) {}
    /// Searches, from the cursor on; whether something was found. None: it cannot be searched.
    fn search(&mut self, _s: &Session, _text: &str, _forward: bool, _stay: bool) -> Option<bool> {
        None
    }
}

/// One row of the table of panes.
pub struct PaneSpec {
    /// Which.
    pub id: PaneId,
    /// Its name in commands.
    pub name: &'static str,
    /// Its tab.
    pub title: &'static str,
    /// Key contexts, before `global`.
    pub contexts: &'static [&'static str],
    /// Commands that the status line shows, most wanted first.
    pub hints: &'static [&'static str],
    /// The same in observe mode.
    pub observe_hints: &'static [&'static str],
    /// Makes one.
    pub new: fn() -> Box<dyn Pane>,
}

const PROFILE_HINTS: &[&str] =
    &["enter", "zoom-out", "callers", "table", "sample-type", "focus", "diff", "search", "normalize"];

/// The same whether the program may be stopped or only looked at.
const TIMELINE_HINTS: &[&str] = &[
    "enter",
    "time-in",
    "time-out",
    "time-now",
    "follow",
    "lanes",
    "code",
    "thread-lanes",
    "utilisation",
    "mark-next",
    "prompt when",
    "freeze",
];

/// All panes, by id.
pub const PANES: &[PaneSpec] = &[
    PaneSpec {
        id: PaneId::Source,
        name: "source",
        title: "Source",
        contexts: &["source", "target"],
        hints: &[
            "continue",
            "next",
            "step",
            "stepout",
            "break",
            "print",
            "next-pane",
            "up",
            "down",
            "hover",
            "edit-breakpoint",
            "run-to-cursor",
            "definition",
        ],
        observe_hints: &["definition", "open-file", "refresh", "search", "edit"],
        new: || Box::new(source::SourcePane::default()),
    },
    PaneSpec {
        id: PaneId::Stack,
        name: "stack",
        title: "Stack",
        contexts: &["stack", "target"],
        hints: &["enter", "continue", "next", "step", "stepout", "up", "down", "next-pane", "print", "step-deferred"],
        observe_hints: &["enter", "waits", "up", "down", "refresh"],
        new: || Box::new(stack::StackPane::default()),
    },
    PaneSpec {
        id: PaneId::Vars,
        name: "vars",
        title: "Vars",
        contexts: &["vars"],
        hints: &["enter", "print", "set", "refs", "copy"],
        observe_hints: &["enter", "print", "refs", "copy"],
        new: || Box::new(vars::VarsPane::default()),
    },
    PaneSpec {
        id: PaneId::Goroutines,
        name: "goroutines",
        title: "Goroutines",
        contexts: &["goroutines"],
        hints: &["enter", "waits", "group", "search", "system", "mute", "refresh"],
        observe_hints: &["enter", "waits", "group", "search", "system", "mute", "freeze", "snapshot", "refresh"],
        new: || Box::new(goroutines::GoroutinesPane::default()),
    },
    PaneSpec {
        id: PaneId::Breakpoints,
        name: "breakpoints",
        title: "Breakpoints",
        contexts: &["breakpoints"],
        hints: &["enter", "toggle-selected", "edit-breakpoint", "clear-selected", "prompt break"],
        observe_hints: &[],
        new: || Box::new(breakpoints::BreakpointsPane::default()),
    },
    PaneSpec {
        id: PaneId::Output,
        name: "output",
        title: "Output",
        contexts: &["output"],
        hints: &["prompt input", "move-up", "bottom"],
        observe_hints: &[],
        new: || Box::new(output::OutputPane::default()),
    },
    PaneSpec {
        id: PaneId::Log,
        name: "log",
        title: "Log",
        contexts: &["log"],
        hints: &["search", "bottom", "copy"],
        observe_hints: &["search", "bottom", "copy"],
        new: || Box::new(log::LogPane::default()),
    },
    PaneSpec {
        id: PaneId::Assembly,
        name: "code",
        title: "Code",
        contexts: &["target"],
        hints: &[
            "step-instruction",
            "next-instruction",
            "continue",
            "next",
            "step",
            "stepout",
            "prev-tab",
            "next-pane",
        ],
        observe_hints: &["prev-tab"],
        new: || Box::new(assembly::AssemblyPane::default()),
    },
    PaneSpec {
        id: PaneId::Findings,
        name: "findings",
        title: "Findings",
        contexts: &["findings"],
        hints: &["enter", "waits", "mute", "evidence", "copy"],
        observe_hints: &["enter", "waits", "mute", "evidence", "freeze", "snapshot", "copy"],
        new: || Box::new(findings::FindingsPane::default()),
    },
    PaneSpec {
        id: PaneId::Detail,
        name: "detail",
        title: "Detail",
        contexts: &["detail"],
        hints: &["enter", "waits", "refs", "mute", "evidence", "copy"],
        observe_hints: &["enter", "waits", "refs", "mute", "evidence", "freeze", "copy"],
        new: || Box::new(detail::DetailPane::default()),
    },
    PaneSpec {
        id: PaneId::Waits,
        name: "waits",
        title: "Waits",
        contexts: &["waits"],
        hints: &["enter", "waits", "cycles", "leaks", "wait-view", "collapse", "refs", "copy"],
        observe_hints: &["enter", "waits", "cycles", "leaks", "wait-view", "collapse", "refs", "copy"],
        new: || Box::new(waits::WaitsPane::default()),
    },
    PaneSpec {
        id: PaneId::Heap,
        name: "heap",
        title: "Heap",
        contexts: &["heap"],
        hints: &["refs", "group", "search", "copy"],
        observe_hints: &["refs", "group", "search", "copy"],
        new: || Box::new(heap::HeapPane::default()),
    },
    PaneSpec {
        id: PaneId::Refs,
        name: "refs",
        title: "References",
        contexts: &["refs"],
        hints: &["enter", "refs", "jump-back", "copy"],
        observe_hints: &["enter", "refs", "jump-back", "copy"],
        new: || Box::new(refs::RefsPane::default()),
    },
    PaneSpec {
        id: PaneId::Defers,
        name: "defers",
        title: "Defers",
        contexts: &["defers"],
        hints: &["enter", "waits", "prev-tab", "copy"],
        observe_hints: &["enter", "waits", "prev-tab", "copy"],
        new: || Box::new(defers::DefersPane::default()),
    },
    PaneSpec {
        id: PaneId::Timeline,
        name: "timeline",
        title: "Timeline",
        contexts: &["timeline"],
        hints: TIMELINE_HINTS,
        observe_hints: TIMELINE_HINTS,
        new: || Box::new(timeline::TimelinePane::default()),
    },
    PaneSpec {
        id: PaneId::Spans,
        name: "moment",
        title: "Moment",
        contexts: &["timeline"],
        hints: &["enter", "follow", "blocked-by", "time-now", "copy"],
        observe_hints: &["enter", "follow", "blocked-by", "time-now", "copy"],
        new: || Box::new(spans::SpansPane::default()),
    },
    PaneSpec {
        id: PaneId::Flame,
        name: "flame",
        title: "Flame",
        contexts: &["profile"],
        hints: PROFILE_HINTS,
        observe_hints: PROFILE_HINTS,
        new: || Box::new(flame::FlamePane::default()),
    },
    PaneSpec {
        id: PaneId::Table,
        name: "table",
        title: "Functions",
        contexts: &["profile"],
        hints: PROFILE_HINTS,
        observe_hints: PROFILE_HINTS,
        new: || Box::new(profile::TablePane::default()),
    },
    PaneSpec {
        id: PaneId::Lines,
        name: "lines",
        title: "Lines",
        contexts: &["profile"],
        hints: &["edit", "sample-type", "table", "copy"],
        observe_hints: &["edit", "sample-type", "table", "copy"],
        new: || Box::new(profile::LinesPane::default()),
    },
];

/// The row of a pane.
pub fn spec(id: PaneId) -> &'static PaneSpec {
    &PANES[id as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn the_table_is_by_id_and_names_commands() {
        for (i, p) in PANES.iter().enumerate() {
            assert_eq!(p.id as usize, i);
            for h in p.hints.iter().chain(p.observe_hints) {
                assert!(crate::command::look_up(h).is_ok(), "{}: {h}", p.name);
            }
            for c in p.contexts {
                assert!(crate::config::keys::CONTEXTS.contains(c), "{}: {c}", p.name);
            }
        }
    }
}
