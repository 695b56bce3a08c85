//! The heap: sums by type or site, and who keeps an object alive. A walk may take seconds: it is repeated by itself only
//! where it was quick.

use super::asked::Asked;
use super::{Purpose, Session, Tone};
use crate::backend::protocol::{FrameRef, Request};
use crate::model::{HeapBy, HeapSummary, ReadInfo, References};
use std::time::Duration;

/// Rows asked for.
pub const ROWS: u32 = 200;
/// Paths asked for.
pub const PATHS: u32 = 8;
/// A walk that takes longer than this is repeated only when the user asks.
const QUICK: Duration = Duration::from_millis(300);

/// What references are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefsQuery {
    /// An address or an expression.
    pub object: String,
    /// Where names are looked up.
    pub frame: FrameRef,
}

/// The heap, and how it is looked at.
#[derive(Default)]
pub struct HeapView {
    /// How rows are made.
    pub by: HeapBy,
    /// Sums.
    pub sums: Asked<HeapBy, HeapSummary>,
    /// How they were read.
    pub read: ReadInfo,
    /// Who keeps an object alive.
    pub refs: Asked<RefsQuery, References>,
}

impl HeapView {
    /// By type, or by site.
    pub fn toggle(&mut self) {
        self.by = match self.by {
            HeapBy::Type => HeapBy::Site,
            HeapBy::Site => HeapBy::Type,
        };
    }
}

impl Session {
    /// Why there is no heap to look at.
    pub fn why_no_heap(&self) -> Option<&'static str> {
        match &self.target {
            None => Some(""),
            Some(_) if self.delve_has_no_heap().is_some() => self.delve_has_no_heap(),
            Some(_) if !self.caps.memory => Some("a goroutine dump has no memory: there is no heap to look at"),
            Some(_) if !self.readable() => Some("the target runs: Ctrl-C pauses"),
            _ => None,
        }
    }

    pub(super) fn want_heap(&mut self) {
        if self.why_no_heap().is_some() {
            return;
        }
        let by = self.heap.by;
        let here = self.heap.sums.question() == Some(&by);
        if here && self.heap.sums.took() > QUICK {
            return;
        }
        if let Some(serial) = self.heap.sums.want(&by, self.generation, self.now) {
            self.ask_quietly(Purpose::Heap { serial }, Request::Heap { by, count: ROWS }, here);
        }
    }

    /// Are the sums of now?
    pub fn heap_fresh(&self) -> bool {
        self.heap.sums.fresh(&self.heap.by, self.generation)
    }

    /// Walks the heap, whatever is known of it.
    pub(super) fn walk_heap(&mut self) {
        if let Some(why) = self.why_no_heap() {
            return self.say(Tone::Warn, why);
        }
        let by = self.heap.by;
        if !self.heap_fresh() && self.heap.sums.pending().is_none() {
            let serial = self.heap.sums.send(&by, self.generation, self.now);
            self.ask(Purpose::Heap { serial }, Request::Heap { by, count: ROWS });
        }
    }

    pub(super) fn heap_known(&mut self, serial: u64, result: Result<(ReadInfo, HeapSummary), String>) {
        let (read, result) = match result {
            Ok((r, h)) => (Some(r), Ok(h)),
            Err(e) => (None, Err(e)),
        };
        if self.heap.sums.put(serial, result, self.now) {
            self.heap.read = read.unwrap_or(self.heap.read);
        }
    }

    /// Asks who keeps an object alive; the answer shows up in the References pane.
    pub(super) fn ask_refs(&mut self, object: String) {
        if let Some(why) = self.why_no_heap() {
            return self.say(Tone::Warn, why);
        }
        let q = RefsQuery { object, frame: self.scope_ref() };
        self.show_refs(q);
    }

    /// The same with a question that was asked before.
    pub fn show_refs(&mut self, q: RefsQuery) {
        if self.heap.refs.fresh(&q, self.generation) || self.why_no_heap().is_some() {
            return;
        }
        let serial = self.heap.refs.send(&q, self.generation, self.now);
        let RefsQuery { object, frame } = q;
        self.ask(Purpose::Refs { serial }, Request::Refs { object, frame, count: PATHS });
    }

    pub(super) fn refs_known(&mut self, serial: u64, result: Result<References, String>) {
        self.heap.refs.put(serial, result, self.now);
    }
}
