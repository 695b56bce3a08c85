//! How long the target stood for us, every time, whatever for; and whether it may be made to stand at all.

use super::{Engine, Happened};
use std::time::{Duration, Instant};

/// Pauses that are kept for whoever asks for them.
const KEPT: usize = 4096;

/// The record, and the rule.
#[derive(Default)]
pub(super) struct Pauses {
    since: Option<Instant>,
    over: Vec<(Instant, Duration)>,
    /// Breakpoints and watched data must not stop it now.
    forbidden: bool,
    /// Hits that would have stopped it.
    passed: u64,
}

impl Pauses {
    /// The first thread is about to be stopped.
    pub fn begin(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    /// The last thread runs again.
    pub fn end(&mut self) {
        if let Some(t) = self.since.take().filter(|_| self.over.len() < KEPT) {
            self.over.push((t, t.elapsed()));
        }
    }
}

impl Engine {
    /// Pauses that are over: when each began, and how long it was (from the first thread that was stopped to the last let go).
    pub fn take_pauses(&mut self) -> Vec<(Instant, Duration)> {
        std::mem::take(&mut self.pauses.over)
    }

    /// Since when it stands, if it does.
    pub fn standing_since(&self) -> Option<Instant> {
        self.pauses.since
    }

    /// May breakpoints, watchpoints and deaths stop the target? Where they may not, their hits are counted, and the threads go on.
    pub fn permit_stops(&mut self, yes: bool) {
        self.pauses.forbidden = !yes;
    }

    /// Hits that did not stop it for that reason, since the last call.
    pub fn take_passed(&mut self) -> u64 {
        std::mem::take(&mut self.pauses.passed)
    }

    /// A hit asks for a stop: may it?
    pub(super) fn stops_are_permitted(&mut self) -> bool {
        self.pauses.passed += u64::from(self.pauses.forbidden);
        !self.pauses.forbidden
    }

    /// As [`Engine::stops_are_permitted`], for what will not come again: it is told.
    pub(super) fn stops_for(&mut self, what: &str) -> bool {
        let yes = self.stops_are_permitted();
        if !yes {
            self.happened.push(Happened::Note(format!("{what}; the program was not stopped for it")));
        }
        yes
    }
}
