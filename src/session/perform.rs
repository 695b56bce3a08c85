//! What an action does to the session: checks, requests, changes of what is selected.

use super::{Action, BreakpointEdit, FrameMove, Needs, Purpose, RunState, Session, Tone};
use crate::backend::protocol::{FrameRef, LoadLimits, Request, ResumeKind};
use crate::base::GoroutineId;
use crate::goruntime::pcinfo::is_plumbing;
use crate::model::{BreakpointSpec, Defer, Frame, Location};
use std::sync::Arc;

impl Session {
    /// Does what was asked, or says why not.
    pub fn perform(&mut self, action: Action) {
        if self.stepping()
            && let (Action::Resume(kind), Some((_, typed))) = (&action, &mut self.step)
            && is_step(kind)
        {
            // Typed faster than the target steps. A stop for any other reason forgets them.
            if typed.len() < QUEUE {
                typed.push(kind.clone());
            }
            return;
        }
        if let Some(why) = self.why_not(needs(&action)) {
            self.say(Tone::Warn, &why);
            return;
        }
        let frame = self.frame_ref();
        match action {
            Action::Resume(kind) => {
                if self.asked(|p| *p == Purpose::Resume) {
                    return;
                }
                self.message = None;
                self.step = is_step(&kind).then(|| (self.now, Vec::new()));
                let goroutine = None;
                self.ask(Purpose::Resume, Request::Resume { kind, goroutine });
                self.running();
            }
            Action::Pause => {
                if self.state == RunState::Running {
                    self.ask(Purpose::Pause, Request::Pause);
                    self.say(Tone::Note, "pausing");
                }
            }
            Action::Hold(reason) => self.hold(true, reason),
            Action::Release => self.hold(false, String::new()),
            Action::CancelStep => self.ask(Purpose::Other("cancel step"), Request::CancelStep),
            Action::Refresh => self.refresh(),
            Action::TakeOver => self.ask(Purpose::TakeOver, Request::TakeOver),
            Action::Reveal(reason) => self.ask(Purpose::Reveal, Request::Reveal { reason }),
            Action::Break(spec) => {
                let spec = *spec;
                self.ask(Purpose::SetBreakpoint(spec.clone()), Request::SetBreakpoint { spec, frame });
            }
            Action::ToggleAt { file, line } => self.toggle_at(&file, line),
            Action::EditBreakpoint(name, edit) => self.edit_breakpoint(&name, edit),
            Action::Clear(name) => match self.breakpoint(&name).map(|b| b.id) {
                Some(id) => self.ask(Purpose::Clear(id), Request::ClearBreakpoint(id)),
                None => self.say(Tone::Warn, "no such breakpoint"),
            },
            Action::ClearAll(text) => {
                let ids: Vec<_> = self
                    .breakpoints
                    .iter()
                    .filter(|b| b.id.0 > 0)
                    .filter(|b| {
                        let at = b.spec.place.text();
                        text.is_empty() || at.contains(&text) || b.at.iter().any(|l| l.function.contains(&text))
                    })
                    .map(|b| b.id)
                    .collect();
                if ids.is_empty() {
                    self.say(Tone::Note, "no breakpoints to clear");
                }
                for id in ids {
                    self.ask(Purpose::Clear(id), Request::ClearBreakpoint(id));
                }
            }
            Action::ListBreakpoints => self.ask(Purpose::Breakpoints { show: true }, Request::Breakpoints),
            Action::Print { expression, frame: other } => {
                let frame = FrameRef { frame: other.unwrap_or(self.frame), ..frame };
                let limits = LoadLimits { string: 4_096, elements: 64, depth: 2, ..LoadLimits::default() };
                self.ask(Purpose::Print(expression.clone()), Request::Eval { frame, expression, limits });
            }
            Action::Whatis(expression) => {
                let limits = LoadLimits { string: 0, elements: 0, fields: 0, depth: 0 };
                self.ask(Purpose::Whatis(expression.clone()), Request::Eval { frame, expression, limits });
            }
            Action::Call(expression) => {
                self.say(Tone::Note, &format!("calling {expression}: all goroutines run meanwhile"));
                let limits = LoadLimits::default();
                self.ask(Purpose::Call(expression.clone()), Request::Call { frame, expression, limits });
            }
            Action::Jump(to) => {
                let goroutine = self.goroutine;
                self.say(Tone::Note, &format!("it goes on at {to}; what lies between is not run"));
                self.ask(Purpose::Other("jump"), Request::Jump { goroutine, to });
            }
            Action::Examine { at, count } => self.examine(at, count),
            Action::Set { target, value } if target.starts_with('$') => {
                let name = target[1..].to_string();
                self.ask(Purpose::Set(target), Request::SetRegister { frame, name, value });
            }
            Action::Set { target, value } => {
                if !self.caps.set {
                    return self.say(Tone::Warn, "this target's variables cannot be changed");
                }
                self.ask(Purpose::Set(target.clone()), Request::Set { frame, expression: target, value });
            }
            Action::Goroutine(Some(g)) => self.select_goroutine(g),
            Action::Goroutine(None) => {
                let text = match self.goroutine {
                    Some(g) => format!("goroutine {g} is selected, frame {}", self.frame),
                    None => "no goroutine is selected".to_string(),
                };
                self.say(Tone::Note, &text);
            }
            Action::Frame(m) => self.move_frame(m),
            Action::Deferred(n) => self.show_deferred(n),
            Action::StepDeferred => self.step_deferred(),
            Action::Freeze => self.freeze(),
            Action::Snapshot(file) => self.take_snapshot(file),
            Action::Mute(text) => self.mute(&text),
            Action::Unmute(text) => self.unmute(&text),
            Action::Mutes => self.show_mutes(),
            Action::Refs(object) => self.ask_refs(object),
            Action::Heap => self.walk_heap(),
            Action::TimelineCode => self.toggle_code(),
            Action::Record(seconds) => self.record(seconds),
            Action::TraceOver(file) => self.trace_over(&file),
            Action::Report(kind, of) => {
                let part = of.as_ref().map_or(String::new(), |of| format!(" of {of}"));
                let title = crate::base::text::printable_str(&format!("Trace: {}{part}", kind.name()), 200);
                let request = match of {
                    Some(of) => Request::TraceReportOf { kind, of },
                    None => Request::TraceReport(kind),
                };
                self.ask(Purpose::Report(title), request);
            }
            Action::ProfileFetch(url) => self.fetch_profile(url),
            Action::Thresholds(text) => self.set_thresholds(&text),
            Action::ProfileBase(base) => self.compare_profile(base),
            Action::ProfileFocus(text) => self.focus_profile(text),
            Action::When(line) => self.when(&line),
            Action::Restart { rebuild, args } => self.restart(rebuild, args),
            Action::Detach { kill } => self.ask(Purpose::Detach, Request::Detach { kill }),
            Action::Input(bytes) => {
                if !self.caps.output {
                    return self.say(Tone::Warn, "the program has a terminal of its own: type there");
                }
                self.ask(Purpose::Other("input"), Request::Input(bytes));
            }
            Action::Paths => {
                self.answer = Some(super::Answer { title: "sources".into(), lines: self.sources.describe() })
            }
            Action::Substitute { from, to } => {
                self.say(Tone::Note, &format!("sources: {from} is looked for at {to}"));
                self.sources.substitute(from, to);
            }
            Action::Symbols(kind, filter) => {
                let title = format!("{} {filter}", format!("{kind:?}").to_lowercase());
                self.ask(Purpose::Show(title), Request::Symbols { kind, filter, count: 500 });
            }
            Action::PackageVariables(filter) => {
                let request = Request::PackageVariables { filter: filter.clone(), limits: LoadLimits::default() };
                self.ask(Purpose::Show(format!("package variables {filter}")), request);
            }
            Action::Threads => self.ask(Purpose::Show("threads".into()), Request::Threads),
            Action::Registers => self.ask(Purpose::Show("registers".into()), Request::Registers(frame)),
        }
    }

    fn refresh(&mut self) {
        if self.control() && self.state == RunState::Stopped {
            return self.say(Tone::Note, "the target stands: what is shown is of now");
        }
        if self.triage.frozen.as_ref().is_some_and(|f| *f != super::triage::Frozen::ByUser) {
            self.triage.frozen = None;
        }
        if !self.asked(|p| *p == Purpose::Refresh) {
            self.ask(Purpose::Refresh, Request::Refresh);
        }
    }

    /// Tells the program's terminal its size, when that changed.
    pub fn resize_output(&mut self, cols: u16, rows: u16) {
        if self.output.resize(cols, rows) && self.caps.output {
            self.ask(Purpose::Other("resize"), Request::ResizePty { cols, rows });
        }
    }

    fn toggle_at(&mut self, file: &str, line: u32) {
        let here: Vec<_> = self.breakpoints_at(file, line).map(|b| b.id).filter(|id| id.0 > 0).collect();
        if here.is_empty() {
            let spec = BreakpointSpec::at(&format!("{file}:{line}"));
            let frame = self.frame_ref();
            self.ask(Purpose::SetBreakpoint(spec.clone()), Request::SetBreakpoint { spec, frame });
        }
        for id in here {
            self.ask(Purpose::Clear(id), Request::ClearBreakpoint(id));
        }
    }

    fn edit_breakpoint(&mut self, name: &super::BreakpointName, edit: BreakpointEdit) {
        let Some(b) = self.breakpoint(name) else {
            return self.say(Tone::Warn, "no such breakpoint");
        };
        let (id, mut spec) = (b.id, b.spec.clone());
        match edit {
            BreakpointEdit::Condition(c) => spec.condition = c,
            BreakpointEdit::Hits(h) => spec.hits = h,
            BreakpointEdit::Toggle => spec.enabled = !spec.enabled,
            BreakpointEdit::Spec(s) => spec = *s,
            BreakpointEdit::Actions(a) => super::hits::edit_actions(&mut spec.actions, a),
        }
        self.ask(Purpose::EditBreakpoint, Request::EditBreakpoint { id, spec });
    }

    /// Makes a goroutine the one that panes are about.
    pub fn select_goroutine(&mut self, g: GoroutineId) {
        if self.goroutine == Some(g) {
            return;
        }
        self.goroutine = Some(g);
        self.code = None;
        self.frame = 0;
        self.auto_frame = true;
        self.new_stop = true;
        self.vars_problem = None;
        self.frame_at = None;
        // Its stack may be here already, from looking at the list.
        if let Some((Ok(s), true)) = self.stack_of(Some(g)) {
            self.frame = self.first_frame(Some(g), &s.frames);
            self.auto_frame = false;
        }
        self.message = None;
    }

    /// The frame of a goroutine to look at first: where the stop is; of one that waits, the one that the user wrote.
    pub fn first_frame(&self, g: Option<GoroutineId>, frames: &[Frame]) -> u32 {
        let stopped = self.state == RunState::Stopped && self.stop.as_ref().is_some_and(|s| s.goroutine == g);
        let shown = |f: &&Frame| !f.hidden && !f.system_stack;
        let own = |f: &&Frame| shown(f) && (stopped || !is_plumbing(&f.at.function));
        frames.iter().find(own).or_else(|| frames.iter().find(shown)).map_or(0, |f| f.index)
    }

    /// As [`Session::select_goroutine`], and a frame of it.
    pub fn select_frame(&mut self, g: Option<GoroutineId>, frame: u32) {
        match g {
            Some(g) => self.select_goroutine(g),
            None => self.goroutine = None,
        }
        if self.frame != frame || self.auto_frame {
            self.frame = frame;
            self.code = None;
            self.auto_frame = false;
        }
    }

    /// As [`Session::select_goroutine`], and the frame that is at a place, once the stack is here.
    pub fn select_frame_at(&mut self, g: GoroutineId, at: &Arc<Location>) {
        self.select_goroutine(g);
        self.frame_at = Some((g, at.clone()));
        self.find_frame();
    }

    /// The frame that is to be selected, if its stack is here.
    pub(super) fn find_frame(&mut self) {
        let Some((g, at)) = self.frame_at.clone() else { return };
        let Some((Ok(s), true)) = self.stack_of(Some(g)) else { return };
        let exact = s.frames.iter().find(|f| f.at.pc == at.pc && f.at.function == at.function);
        let found = exact.or_else(|| s.frames.iter().find(|f| f.at.function == at.function)).map(|f| f.index);
        self.frame_at = None;
        if let Some(i) = found.filter(|_| self.goroutine == Some(g)) {
            self.frame = i;
            self.code = None;
            self.auto_frame = false;
        }
    }

    fn step_deferred(&mut self) {
        let g = self.stop.as_ref().and_then(|s| s.goroutine);
        let Some((Ok(stack), true)) = self.stack_of(g) else {
            return self.say(Tone::Warn, "the stack of the stopped goroutine is not here yet");
        };
        // A nil func has no place to run to: it panics, and the next one runs.
        let runs = |d: &&Defer| !(d.at.pc.is_nil() && d.function == "nil");
        let Some(d) = stack.frames.iter().flat_map(|f| &f.defers).find(runs) else {
            return self.say(Tone::Note, "no deferred call is pending on this goroutine");
        };
        let to = if d.function.is_empty() { format!("*{}", d.at.pc) } else { d.function.clone() };
        self.perform(Action::Resume(ResumeKind::To(to)));
    }

    fn move_frame(&mut self, m: FrameMove) {
        let Some(s) = self.stack() else {
            return self.say(Tone::Warn, "no stack is shown yet");
        };
        let last = (s.frames.len() as u32).saturating_sub(1);
        let to = match m {
            FrameMove::To(n) if n > last => {
                return self.say(Tone::Warn, &format!("there are frames 0 to {last}"));
            }
            FrameMove::To(n) => n,
            FrameMove::Up(n) => self.frame.saturating_add(n).min(last),
            FrameMove::Down(n) => self.frame.saturating_sub(n),
        };
        if to == self.frame && !matches!(m, FrameMove::To(_)) {
            let end = if to == 0 { "the innermost frame" } else { "the outermost frame" };
            return self.say(Tone::Note, &format!("this is {end}"));
        }
        self.frame = to;
        self.code = None;
        self.auto_frame = false;
    }

    fn show_deferred(&mut self, n: u32) {
        let Some(f) = self.selected_frame() else {
            return self.say(Tone::Warn, "no stack is shown yet");
        };
        match (n as usize).checked_sub(1).and_then(|i| f.defers.get(i)) {
            Some(d) => {
                let text = format!("deferred {n}: {} {}:{}", d.function, d.at.base_file(), d.at.line);
                self.goto = Some((d.at.file.clone(), d.at.line));
                self.say(Tone::Note, &text);
            }
            None => {
                let text = format!("frame {} has {} pending deferred calls", f.index, f.defers.len());
                self.say(Tone::Warn, &text);
            }
        }
    }

    fn restart(&mut self, rebuild: bool, args: Option<Vec<String>>) {
        if rebuild && !self.caps.rebuild || !self.caps.restart {
            let what = if rebuild { "built" } else { "launched" };
            return self.say(Tone::Warn, &format!("we have not {what} this program"));
        }
        self.message = None;
        let what = if rebuild { "building" } else { "restarting" };
        self.say(Tone::Note, what);
        self.ask(Purpose::Restart, Request::Restart { rebuild, args });
    }
}

/// Steps that may wait behind the one under way.
const QUEUE: usize = 32;
/// A step that takes longer than this forgets what was typed behind it.
pub(super) const STEP_PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);

/// Does it end by itself, soon?
pub fn is_step(kind: &ResumeKind) -> bool {
    !matches!(kind, ResumeKind::Continue | ResumeKind::To(_))
}

/// What an action needs; the command table says the same of its commands.
pub fn needs(a: &Action) -> Needs {
    match a {
        Action::Resume(_) | Action::CancelStep | Action::Registers | Action::StepDeferred => Needs::Stopped,
        Action::Pause
        | Action::Hold(_)
        | Action::Release
        | Action::Break(_)
        | Action::ToggleAt { .. }
        | Action::EditBreakpoint(..)
        | Action::Clear(_)
        | Action::ClearAll(_) => Needs::Control,
        Action::Print { .. } | Action::Whatis(_) | Action::PackageVariables(_) => Needs::Variables,
        Action::Set { .. } | Action::Call(_) | Action::Jump(_) => Needs::Stopped,
        Action::Restart { .. } => Needs::Restartable,
        Action::Detach { kill: true } => Needs::Launched,
        Action::Detach { kill: false }
        | Action::Substitute { .. }
        | Action::ProfileBase(_)
        | Action::ProfileFocus(_)
        | Action::Mute(_)
        | Action::Unmute(_)
        | Action::Paths
        | Action::Mutes => Needs::Nothing,
        _ => Needs::Target,
    }
}
