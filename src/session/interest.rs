//! What panes show decides what is asked: nothing that cannot be seen crosses the pipe.

use super::{Purpose, RunState, STACK_DEPTH, Session};
use crate::backend::protocol::{FrameRef, LoadLimits, Request, WaitQuery};
use crate::base::GoroutineId;
use crate::model::ProfileQuery;

/// Something that a visible pane needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interest {
    /// The selected goroutine's stack.
    Stack,
    /// Another goroutine's stack (the one under a cursor).
    StackOf(GoroutineId),
    /// Variables of the selected frame.
    Scope,
    /// Variables of the first frame that is the user's of another goroutine.
    ScopeOf(GoroutineId),
    /// Findings.
    Findings,
    /// The wait graph.
    Waits(WaitQuery),
    /// Sums over the heap.
    Heap,
    /// A part of the profile.
    Profile(ProfileQuery),
    /// Which profiles the process has.
    ProfileSources,
    /// The timeline in this many columns.
    Timeline(u16),
    /// What happened around the timeline's cursor.
    Spans,
    /// Machine code at the selected frame.
    Code,
    /// This many rows of the goroutine list.
    Goroutines(u64),
    /// A file.
    Source(String),
}

impl Session {
    /// Asks for what is visible and not here.
    pub fn want(&mut self, interests: &[Interest]) {
        if self.target.is_none() || matches!(self.state, RunState::Detached(_)) {
            return;
        }
        if matches!(self.state, RunState::Exited(_)) {
            return self.want_kept(interests);
        }
        self.triage.shown = false;
        self.hide_timeline();
        for i in interests {
            match i {
                Interest::Stack => {
                    if self.goroutine.is_some() || self.state == RunState::Stopped {
                        self.want_stack(self.goroutine);
                    }
                }
                Interest::StackOf(g) => self.want_stack(Some(*g)),
                Interest::Scope => self.want_scope(None),
                Interest::ScopeOf(g) => self.want_scope(Some(*g)),
                Interest::Findings => self.want_findings(),
                Interest::Waits(q) => self.want_waits(q),
                Interest::Heap => self.want_heap(),
                Interest::Profile(part) => self.want_profile(part),
                Interest::ProfileSources => self.want_sources(),
                Interest::Timeline(columns) => self.want_timeline(*columns),
                Interest::Spans => self.want_spans(),
                Interest::Code => self.want_code(),
                Interest::Goroutines(rows) => self.want_rows(*rows),
                Interest::Source(file) => self.want_source(file),
            }
        }
        self.ask_profile();
    }

    /// Of a process that has ended there is still the profile that was fetched.
    fn want_kept(&mut self, interests: &[Interest]) {
        for i in interests {
            match i {
                Interest::Profile(part) => self.want_profile(part),
                Interest::Source(file) if self.has_profile() => self.want_source(file),
                _ => {}
            }
        }
        self.ask_profile();
    }

    /// May the target be read now, unasked? A running target in control mode is read only when the user asks.
    pub fn readable(&self) -> bool {
        self.state == RunState::Stopped || !self.control() || self.read_now == self.generation
    }

    fn want_stack(&mut self, goroutine: Option<GoroutineId>) {
        let fresh = match self.stack_of(goroutine) {
            Some((_, fresh)) => fresh || !self.readable(),
            None => !self.readable() && !self.caps.observe,
        };
        if fresh || self.asked(|p| *p == Purpose::Stack(goroutine)) {
            return;
        }
        let quiet = self.stack_of(goroutine).is_some() && self.ticking();
        let request = Request::Stack { goroutine, depth: STACK_DEPTH, defers: true };
        self.ask_quietly(Purpose::Stack(goroutine), request, quiet);
    }

    fn want_code(&mut self) {
        let fresh = self.code.as_ref().is_some_and(|c| c.generation == self.generation) || !self.readable();
        if fresh || self.goroutine.is_none() || self.asked(|p| *p == Purpose::Code) {
            return;
        }
        let Some((Ok(_), true)) = self.stack_of(self.goroutine) else { return };
        let frame = self.frame_ref();
        self.ask(Purpose::Code, Request::Disassemble { frame });
    }

    fn want_scope(&mut self, of: Option<GoroutineId>) {
        self.scope_of = (self.goroutine, self.frame);
        if let Some(g) = of.filter(|g| self.goroutine != Some(*g)) {
            let Some((Ok(s), _)) = self.stack_of(of) else { return };
            self.scope_of = (Some(g), self.first_frame(of, &s.frames));
        }
        if !self.caps.variables || !self.readable() {
            return;
        }
        let at = self.scope_of;
        if self.scope.as_ref().is_some_and(|s| s.generation == self.generation && s.data == at) {
            return;
        }
        // The stack decides which frame it is about; without it a frame would be shown and then replaced.
        let function = match self.stack_of(at.0) {
            Some((Ok(s), true)) => s.frames.get(at.1 as usize).map(|f| f.at.function.clone()),
            Some((Err(_), true)) => None,
            // A stop in a program's own function is about its first frame: on a slow line that saves a round trip.
            _ => self.function_stopped_in(at),
        };
        let Some(function) = function else { return };
        let purpose = Purpose::Scope { function, frame: at };
        if self.asked(|p| *p == purpose) {
            return;
        }
        let quiet = self.scope.as_ref().is_some_and(|s| s.data == at) && self.ticking();
        self.ask_quietly(purpose, Request::Scope { frame: self.scope_ref(), limits: LoadLimits::default() }, quiet);
    }

    fn function_stopped_in(&self, at: (Option<GoroutineId>, u32)) -> Option<String> {
        let stop = self.stop.as_ref().filter(|s| self.new_stop && s.goroutine.is_some() && s.goroutine == at.0)?;
        let f = &stop.at.function;
        (at.1 == 0 && !f.is_empty() && !f.starts_with("runtime.")).then(|| f.clone())
    }

    /// The frame whose variables are looked at, as requests name it.
    pub(super) fn scope_ref(&self) -> FrameRef {
        FrameRef { goroutine: self.scope_of.0, frame: self.scope_of.1 }
    }

    /// The selected frame, as requests name it.
    pub(super) fn frame_ref(&self) -> FrameRef {
        FrameRef { goroutine: self.goroutine, frame: self.frame }
    }

    fn want_rows(&mut self, height: u64) {
        if !self.readable() && !self.caps.observe {
            return;
        }
        let fresh = self.readable();
        let Some(request) = self.list.request(height.max(1), self.generation, fresh) else { return };
        if self.outbox.iter().any(|o| o.request == request) || self.list_asked.as_ref() == Some(&request) {
            return;
        }
        let start = match &request {
            Request::Groups(q) => q.start,
            Request::Goroutines(q) => q.start,
            Request::GroupMembers { start, .. } => *start,
            _ => 0,
        };
        // Latest wins: an unsent older window is not sent at all.
        self.outbox.retain(|o| !matches!(o.purpose, Purpose::List { .. }));
        self.list_asked = Some(request.clone());
        self.list_serial += 1;
        let quiet = self.list.generation().is_some() && self.ticking();
        self.ask_quietly(Purpose::List { start, serial: self.list_serial }, request, quiet);
    }

    fn want_source(&mut self, file: &str) {
        if self.sources.want(file) {
            let file = file.to_string();
            self.ask(Purpose::Source(file.clone()), Request::Source { file });
        }
        // In observe mode there are no breakpoints to be set.
        if self.control() && self.sources.want_code(file) {
            self.ask(Purpose::CodeLines, Request::CodeLines { file: file.to_string() });
        }
    }

    /// Asks for a node's children.
    pub(super) fn ask_children(&mut self, path: super::vars::Path) {
        let Some(n) = self.vars.at_mut(&path) else { return };
        let (handle, start) = (n.var.handle, n.children.len() as u64);
        n.load = super::vars::Load::Asked;
        let request = Request::Children { handle, start, count: super::vars::PAGE, limits: LoadLimits::default() };
        self.ask(Purpose::Children { path, start }, request);
    }

    /// Opens or closes a variable.
    pub fn open_variable(&mut self, path: &[usize], open: bool) {
        if self.vars.set_open(path, open) {
            self.ask_children(path.to_vec());
        }
    }

    /// The next page of a variable's children.
    pub fn more_children(&mut self, path: &[usize]) {
        if self.vars.at(path).is_some_and(|n| n.load != super::vars::Load::Asked) {
            self.ask_children(path.to_vec());
        }
    }

    /// Asks for names that complete `text`; the answer shows up in `completions`.
    pub fn complete(&mut self, kind: crate::backend::protocol::SymbolKind, text: &str) {
        if self.target.is_none() || self.completions.0 == text || self.asked(|p| *p == Purpose::Complete(text.into())) {
            return;
        }
        self.outbox.retain(|o| !matches!(o.purpose, Purpose::Complete(_)));
        self.ask(Purpose::Complete(text.into()), Request::Symbols { kind, filter: text.into(), count: 64 });
    }
}
