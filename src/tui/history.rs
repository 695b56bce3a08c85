//! Where the user was: one history over all panes and workspaces.

use super::app::App;
use super::panes::PaneId;
use crate::base::GoroutineId;
use crate::model::WaitScope;
use crate::session::Tone;
use crate::session::goroutines::Place as ListPlace;
use crate::session::heap::RefsQuery;

/// The workspace with references: they are asked for again only where they are seen.
const DATA: u8 = 4;
/// Places kept.
const KEPT: usize = 200;

/// A place: workspace, pane and what was selected.
#[derive(Clone, Debug)]
pub struct Spot {
    workspace: u8,
    pane: PaneId,
    goroutine: Option<GoroutineId>,
    frame: u32,
    list: ListPlace,
    around: Option<GoroutineId>,
    scope: WaitScope,
    refs: Option<RefsQuery>,
    /// What was under each pane's cursor.
    keys: Vec<Option<String>>,
    jumps: u32,
}

impl Spot {
    /// Is this somewhere else, and not only a cursor that moved?
    fn elsewhere(&self, to: &Spot) -> bool {
        let frame = self.frame != to.frame && self.jumps != to.jumps;
        let place = self.keys.first() != to.keys.first() && self.jumps != to.jumps;
        self.workspace != to.workspace
            || self.goroutine != to.goroutine
            || self.list.listing != to.list.listing
            || self.around != to.around
            || (self.refs != to.refs && to.workspace == DATA)
            || frame
            || place
    }
}

/// Places behind and, after going back, before the present one.
#[derive(Default)]
pub struct History {
    back: Vec<Spot>,
    forward: Vec<Spot>,
    /// The present key goes through the history: it is no jump of its own.
    going: bool,
}

impl App {
    /// Where the user is.
    pub(super) fn spot(&self) -> Spot {
        let s = &self.session;
        Spot {
            workspace: self.workspace,
            pane: self.focused(),
            goroutine: s.goroutine,
            frame: s.frame,
            list: s.list.place(),
            around: s.waits.around,
            scope: s.waits.scope,
            refs: s.heap.refs.newest().cloned(),
            keys: self.panes.iter().map(|p| p.key(s)).collect(),
            jumps: self.jumps,
        }
    }

    /// Keeps where the user was if a key led elsewhere.
    pub(super) fn remember(&mut self, before: Spot) {
        if std::mem::take(&mut self.places.going) || !before.elsewhere(&self.spot()) {
            return;
        }
        self.places.forward.clear();
        self.places.back.push(before);
        if self.places.back.len() > KEPT {
            self.places.back.remove(0);
        }
    }

    /// Goes to the place before the last jump, or undoes that.
    pub(super) fn back(&mut self, back: bool) {
        self.places.going = true;
        let to = if back { self.places.back.pop() } else { self.places.forward.pop() };
        let Some(to) = to else {
            let text = if back { "this is where you began" } else { "no jump back to undo" };
            return self.session.say(Tone::Note, text);
        };
        let here = self.spot();
        if back {
            self.places.forward.push(here);
        } else {
            self.places.back.push(here);
        }
        self.session.message = None;
        self.session.select_frame(to.goroutine, to.frame);
        self.session.list.go(to.list);
        (self.session.waits.around, self.session.waits.scope) = (to.around, to.scope);
        if let Some(q) = to.refs.filter(|_| to.workspace == DATA) {
            self.session.show_refs(q);
        }
        self.go_workspace(to.workspace);
        self.zoom = 0;
        self.try_focus(to.pane);
        for (pane, key) in self.panes.iter_mut().zip(&to.keys) {
            if let Some(k) = key {
                pane.seek(&mut self.session, k);
            }
        }
    }
}
