//! Which workspace and pane is shown, and which goroutine the panes beside a list are about.

use super::app::App;
use super::layout::{self, WORKSPACES};
use super::panes::PaneId;
use crate::base::GoroutineId;
use crate::model::{Location, TargetKind};
use crate::session::{RunState, Tone};
use ratatui::layout::Rect;
use std::sync::Arc;

/// In these workspaces the panes beside a list are about what is under its cursor; the first that has something leads.
const LEADERS: &[(u8, &[PaneId])] = &[
    (1, &[PaneId::Findings, PaneId::Detail, PaneId::Goroutines]),
    (2, &[PaneId::Goroutines]),
    (5, &[PaneId::Waits]),
    (6, &[PaneId::Spans]),
];

impl App {
    /// The workspace that a target opens on.
    pub(super) fn opening(&self) -> u8 {
        let kind = self.session.target.as_ref().map(|t| t.kind);
        match (self.session.control(), self.session.state == RunState::Stopped) {
            _ if kind == Some(TargetKind::Trace) => 6,
            _ if kind == Some(TargetKind::Profile) => 7,
            (true, true) => 3,
            // What runs under control is read only when it is asked for.
            (true, false) => 2,
            (false, _) => 1,
        }
    }

    /// Puts the focus on a pane, in this workspace or the one that has it.
    pub fn show_pane(&mut self, id: PaneId) {
        self.zoom = 0;
        if !self.try_focus(id) {
            let ws = match id {
                PaneId::Log => 9,
                PaneId::Breakpoints => 8,
                PaneId::Goroutines => 2,
                PaneId::Findings | PaneId::Detail => 1,
                PaneId::Waits => 5,
                PaneId::Heap | PaneId::Refs => 4,
                PaneId::Timeline | PaneId::Spans => 6,
                PaneId::Flame | PaneId::Table | PaneId::Lines => 7,
                _ => 3,
            };
            self.go_workspace(ws);
            self.try_focus(id);
        }
    }

    pub(super) fn try_focus(&mut self, id: PaneId) -> bool {
        let screen = self.last_screen;
        let body = Rect { y: screen.y + 2, height: screen.height.saturating_sub(4), ..screen };
        let base = layout::slots(self.workspace, body);
        let Some(i) = base.iter().position(|s| s.panes.contains(&id)) else { return false };
        let tab = base[i].panes.iter().position(|p| *p == id).unwrap_or(0);
        let index = self.slot_index(&base[i]);
        self.tabs[self.workspace as usize % 10][index] = tab as u8;
        self.slots = base;
        self.focus = i;
        true
    }

    /// Brings a pane to the front of its slot, if this workspace has it; the focus stays.
    pub(super) fn show_tab(&mut self, id: PaneId) {
        if let Some(slot) = self.slots.iter().find(|s| s.panes.contains(&id)) {
            let tab = slot.panes.iter().position(|p| *p == id).unwrap_or(0);
            let index = self.slot_index(slot);
            self.tabs[self.workspace as usize % 10][index] = tab as u8;
        }
    }

    pub(super) fn go_workspace(&mut self, n: u8) {
        if let Some((_, name, _, Some(why))) = WORKSPACES.iter().find(|w| w.0 == n) {
            let text = format!("{name}: {why}");
            self.session.say(Tone::Note, &text);
            return;
        }
        if let Some(why) = self.session.why_no_workspace(n) {
            return self.session.say(Tone::Warn, why);
        }
        if self.workspace == n {
            return;
        }
        if n == 5 && self.session.waits.around.is_none() {
            // The goroutine that was looked at.
            self.session.waits.around = self.peeked().map(|p| p.0).or(self.session.goroutine);
        }
        if matches!(n, 3 | 4)
            && self.session.goroutine.is_none()
            && !self.session.control()
            && let Some(g) = self.peeked().map(|p| p.0).or(self.session.waits.around)
        {
            // Nothing was chosen: what was under the cursor is better than nothing.
            self.session.select_goroutine(g);
        }
        self.workspace = n;
        self.zoom = 0;
        self.focus = 0;
        self.slots.clear();
        self.search = None;
        let screen = self.last_screen;
        self.lay_out(screen);
        // A program that is only looked at writes to its own terminal: who waits for whom says more.
        let strip = self.slots.iter().find(|s| s.panes.first() == Some(&PaneId::Output));
        let waits = self.session.why_no_workspace(5).is_none();
        if n == 3 && waits && !self.session.caps.output && strip.is_some_and(|s| self.tabs[3][self.slot_index(s)] == 0)
        {
            self.show_tab(PaneId::Waits);
        }
    }

    /// Shows a place in Source.
    pub(super) fn show_place(&mut self, file: &str, line: u32) {
        self.jumps += 1;
        self.show_pane(PaneId::Source);
        self.panes[PaneId::Source as usize].show(file, line);
    }

    /// The focused list leads from now on.
    pub(super) fn lead(&mut self) {
        let id = self.focused();
        if LEADERS.iter().any(|(ws, panes)| *ws == self.workspace && panes.contains(&id)) {
            self.leaders[self.workspace as usize % 10] = Some(id);
        }
    }

    /// The goroutine under the cursor of the list that leads in this workspace, and where it is.
    pub(super) fn peeked(&self) -> Option<(GoroutineId, Arc<Location>)> {
        let (_, panes) = LEADERS.iter().find(|(ws, _)| *ws == self.workspace)?;
        let first = self.leaders[self.workspace as usize % 10];
        first.iter().chain(panes.iter()).find_map(|id| self.panes[*id as usize].goroutine(&self.session))
    }
}
