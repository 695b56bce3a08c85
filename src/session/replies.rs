//! What the host says: replies to what was asked, and notices.

use super::{Answer, Dated, Purpose, RunState, STACKS, Session, Tone, vars};
use super::{breakpoint_sentence, one_line, stop_sentence};
use crate::backend::protocol::{Failure, FailureKind, FromHost, LogLevel, Notice, PROTOCOL_VERSION, Reply, Request};
use crate::base::text::printable_str;
use crate::model::{Breakpoint, Stack, Stop, StopReason, Variable};

impl Session {
    /// A message from the host.
    pub fn handle(&mut self, message: FromHost) {
        match message {
            FromHost::Notice(n) => self.notice(n),
            FromHost::Reply { id, result } => {
                let Some(p) = self.pending.remove(&id) else { return };
                let now = p.generation == self.generation;
                match result {
                    Ok(reply) => self.reply(p.purpose, reply, now),
                    Err(f) => self.failed(p.purpose, f, now),
                }
            }
        }
    }

    /// The host is gone without a word.
    pub fn host_gone(&mut self) {
        if !matches!(self.state, RunState::Detached(_) | RunState::Exited(_)) {
            self.state = RunState::Detached("the host process ended".into());
            self.say(Tone::Error, "the host process ended; the target was let go");
        }
        self.pending.clear();
    }

    fn notice(&mut self, n: Notice) {
        match n {
            Notice::Stopped(stop) => self.stopped(*stop),
            Notice::Resumed { epoch } => {
                self.epoch = self.epoch.max(epoch);
                self.running();
            }
            Notice::Output(bytes) => self.output.feed(&bytes),
            Notice::Exited { status, signal } => {
                let how = match (status, signal) {
                    (_, Some(s)) => format!("killed by {s}"),
                    (Some(n), None) => format!("exited with status {n}"),
                    (None, None) => "exited".to_string(),
                };
                self.new_generation();
                self.state = RunState::Exited(how.clone());
                self.drop_waiting();
                let again = if self.caps.restart { " (:restart starts it again)" } else { "" };
                self.say(Tone::Warn, &format!("the process {how}{again}"));
            }
            Notice::Detached { reason } => {
                self.state = RunState::Detached(reason.clone());
                self.drop_waiting();
                self.say(Tone::Warn, &format!("detached: {reason}"));
            }
            Notice::Breakpoint(b) => self.put_breakpoint(*b),
            Notice::BreakpointGone(id) => self.breakpoints.retain(|b| b.id != id),
            Notice::Hits { hits, lost } => self.put_hits(hits, lost),
            Notice::Progress { what, done, total } => {
                let text = match (done, total) {
                    (0, 0) => what,
                    (d, 0) => format!("{what} {d}"),
                    (d, t) => format!("{what} {}%", d.saturating_mul(100) / t.max(1)),
                };
                if let RunState::Opening(now) = &mut self.state {
                    *now = printable_str(&text, 200);
                } else if total == 0 || done < total {
                    self.message = Some(super::Message { tone: Tone::Note, text: printable_str(&text, 200) });
                }
            }
            Notice::Budget(b) => self.put_budget(*b),
            Notice::Driver { you, who, clients } => self.driven_by(you, &who, clients),
            Notice::Target(t) => {
                self.locate_by(&t);
                self.target = Some(t);
            }
            Notice::Log { level, text } => {
                let time = (self.clock)();
                self.log.push(&time, level, &text);
                if level == LogLevel::Error {
                    self.message = Some(super::Message { tone: Tone::Error, text: printable_str(&text, 300) });
                }
            }
        }
    }

    fn drop_waiting(&mut self) {
        self.pending.retain(|_, p| matches!(p.purpose, Purpose::Restart | Purpose::Detach));
        self.triage.asked.drop_pending();
        self.waits.asked.drop_pending();
        self.heap.sums.drop_pending();
        self.heap.refs.drop_pending();
        self.timeline.view.drop_pending();
        self.timeline.spans.drop_pending();
        self.profile.view.drop_pending();
        self.profile.sources.drop_pending();
        self.profile.fetching = None;
        self.list_asked = None;
        self.old_since = None;
        self.step = None;
    }

    pub(super) fn running(&mut self) {
        if self.state != RunState::Running {
            self.new_generation();
            self.state = RunState::Running;
        }
    }

    pub(super) fn stopped(&mut self, stop: Stop) {
        self.epoch = self.epoch.max(stop.epoch);
        self.new_generation();
        self.list_asked = None;
        self.state = RunState::Stopped;
        self.stopped_at = (self.clock)();
        // A thread that runs no goroutine (the scheduler's idle loop) says nothing about the program: stay with the one
        // that was looked at, or take the main goroutine.
        self.goroutine = stop.goroutine.or(self.goroutine).or(Some(crate::base::GoroutineId(1)));
        self.frame = 0;
        self.auto_frame = true;
        self.new_stop = true;
        let tone = match stop.reason {
            StopReason::UnrecoveredPanic(_) | StopReason::FatalError(_) => Tone::Error,
            StopReason::ConditionFailed(..) => Tone::Warn,
            _ => Tone::Note,
        };
        let done = stop.reason == StopReason::StepDone;
        let values: Vec<String> = stop.returned.iter().map(one_line).collect();
        let text = stop_sentence(&stop);
        self.stop = Some(stop);
        self.say(tone, &text);
        if !values.is_empty() {
            let returned = format!("returned {}", values.join(", "));
            let time = (self.clock)();
            self.log.push_here_only(&time, LogLevel::Info, &returned);
            self.message = Some(super::Message { tone, text: printable_str(&format!("{text}  {returned}"), 500) });
        }
        if let Some((began, mut typed)) = self.step.take()
            && done
            && !typed.is_empty()
            && self.now.saturating_duration_since(began) < super::perform::STEP_PATIENCE
        {
            let next = typed.remove(0);
            self.perform(super::Action::Resume(next));
            if let Some((_, waiting)) = &mut self.step {
                *waiting = typed;
            }
        }
    }

    fn reply(&mut self, purpose: Purpose, reply: Reply, now: bool) {
        match (purpose, reply) {
            (Purpose::Hello, Reply::Hello { version, .. }) => self.greeted(version),
            (Purpose::Open | Purpose::Restart, Reply::Opened { target, caps, stop }) => self.opened(target, caps, stop),
            (Purpose::Stack(g), Reply::Stack { epoch, stack }) if (now || epoch >= self.epoch) => {
                self.put_stack(g, Ok(stack));
            }
            (Purpose::Scope { function, frame }, Reply::Variables { variables, .. })
                if now && frame == self.scope_of =>
            {
                self.scope = Some(Dated { generation: self.generation, data: frame });
                self.vars_problem = None;
                let fresh_stop = std::mem::take(&mut self.new_stop);
                self.old_since = None;
                for path in self.vars.replace(&function, variables, fresh_stop) {
                    self.ask_children(path);
                }
            }
            (Purpose::Children { path, start }, Reply::Variables { variables, .. }) if now => {
                for p in self.vars.add_children(&path, start, variables) {
                    self.ask_children(p);
                }
            }
            (Purpose::Code, Reply::Instructions { function, instructions }) => {
                let data = Ok((function, instructions));
                self.code = Some(Dated { generation: self.generation, data });
            }
            (Purpose::List { start, serial }, reply) if serial == self.list_serial => self.put_list(start, reply, now),
            (Purpose::Source(_), Reply::Source { file, text }) => {
                self.sources.put(&file, &text, "from the host".into())
            }
            (Purpose::CodeLines, Reply::CodeLines { file, lines }) => self.sources.put_code(&file, lines),
            (Purpose::Breakpoints { show }, Reply::Breakpoints(v)) => {
                self.breakpoints = v;
                self.breakpoints.sort_by_key(|b| b.id);
                if show {
                    self.show_breakpoints();
                }
            }
            (Purpose::Call(e), Reply::Called { values, panicked, .. }) => {
                self.show_called(&e, &values, panicked.as_deref())
            }
            (Purpose::Address(e, count), Reply::Value { value, .. }) => self.examine_value(&e, &value, count),
            (Purpose::Memory(e), Reply::Memory { addr, bytes }) => self.show_memory(&e, addr, &bytes),
            (Purpose::SetBreakpoint(_), Reply::Breakpoint(b)) => {
                self.say(Tone::Note, &breakpoint_sentence(&b));
                self.put_breakpoint(*b);
            }
            (Purpose::SetBreakpoint(_), Reply::Breakpoints(v)) => {
                self.say(Tone::Note, &format!("{} breakpoints set", v.len()));
                for b in v {
                    self.put_breakpoint(b);
                }
            }
            (Purpose::Restore(_) | Purpose::EditBreakpoint, Reply::Breakpoint(b)) => self.put_breakpoint(*b),
            (Purpose::Restore(_), Reply::Breakpoints(v)) => v.into_iter().for_each(|b| self.put_breakpoint(b)),
            (Purpose::Clear(id), Reply::Done) => {
                self.breakpoints.retain(|b| b.id != id);
                self.say(Tone::Note, &format!("breakpoint {id} cleared"));
            }
            (Purpose::Print(e), Reply::Value { value, .. }) => self.show_value(&e, &value),
            (Purpose::Whatis(e), Reply::Value { value, .. }) => {
                self.say(Tone::Note, &format!("{e}: {}", value.type_name));
            }
            (Purpose::Show(title), reply) => self.show(title, reply),
            (Purpose::Complete(text), Reply::Symbols { names, .. }) => self.completions = (text, names),
            (Purpose::Refresh, Reply::Done) => {
                self.new_generation();
                self.read_now = self.generation;
                self.list_asked = None;
                self.profiles_refreshed();
                self.say(Tone::Note, "read anew; nothing was stopped");
            }
            (Purpose::Tick, Reply::Done) => self.quiet_generation(),
            (Purpose::Diagnose { serial }, Reply::Diagnosis { read, diagnosis, .. }) => {
                self.diagnosed(serial, Ok((read, *diagnosis)));
            }
            (Purpose::Waits { serial }, Reply::Waits { read, graph, .. }) => {
                self.waits_known(serial, Ok((read, *graph)))
            }
            (Purpose::Heap { serial }, Reply::Heap { read, heap, .. }) => self.heap_known(serial, Ok((read, *heap))),
            (Purpose::Profile { serial }, Reply::Profile(v)) => self.profile_known(serial, Ok(*v)),
            (Purpose::ProfileSources { serial }, Reply::ProfileSources { sources, why }) => {
                self.sources_known(serial, Ok((sources, why)));
            }
            (Purpose::ProfileFetch, Reply::Done) => self.profile_fetched(Ok(())),
            (Purpose::ProfileBase, Reply::Done) => self.profile_compared(),
            (Purpose::Timeline { serial }, Reply::Timeline(v)) => self.timeline_known(serial, Ok(*v)),
            (Purpose::Spans { serial }, Reply::Spans(v)) => self.spans_known(serial, Ok(v)),
            (Purpose::FindMark { serial }, Reply::Found(f)) => self.mark_found(serial, f),
            (Purpose::TraceOver, Reply::Done) => self.traced_over(),
            (Purpose::Record { seconds }, Reply::Done) => self.recording(seconds),
            (Purpose::Report(title), Reply::TraceReport(r)) => {
                self.answer = Some(Answer { title, lines: super::traces::report(&r) });
            }
            (Purpose::TimelineCode { on }, Reply::Done) => self.code_known(on, Ok(())),
            (Purpose::Triggers, Reply::Triggers(v)) => self.triggers_known(Ok(v)),
            (Purpose::Refs { serial }, Reply::Refs { references, .. }) => self.refs_known(serial, Ok(*references)),
            (Purpose::Snapshot { file }, Reply::Snapshot { pause_us, bytes, file_bytes, .. }) => {
                self.snapshot_taken(file, pause_us, bytes, file_bytes);
            }
            (Purpose::Set(what), Reply::Done) => {
                self.say(Tone::Note, &format!("{what} assigned"));
                self.generation += 1;
            }
            (Purpose::TakeOver, Reply::Done) => self.say(Tone::Note, "you drive now"),
            (Purpose::Reveal, Reply::Done) => self.generation += 1,
            (Purpose::Detach, Reply::Done) if !matches!(self.state, RunState::Exited(_)) => {
                self.state = RunState::Detached("as asked".into());
            }
            _ => {}
        }
    }

    fn failed(&mut self, purpose: Purpose, f: Failure, now: bool) {
        let mut text = f.message.clone();
        if let Some(fix) = &f.fix {
            text.push_str(&format!(" ({fix})"));
        }
        let looked_at = !self.control() && self.state == RunState::Running;
        if f.kind == FailureKind::Gone && looked_at && !matches!(purpose, Purpose::Hello | Purpose::Open) {
            // Nobody tells us when a process ends that is only looked at. What was read last stays.
            self.state = RunState::Exited("process is gone".into());
            self.drop_waiting();
            return self.say(Tone::Warn, "the process is gone; what was read last stays");
        }
        match purpose {
            Purpose::Hello | Purpose::Open => {
                self.state = RunState::Detached(text.clone());
                self.open_failure = Some(f);
                self.say(Tone::Error, &text);
            }
            Purpose::Restart => {
                self.say(Tone::Error, &format!("not restarted: {text}"));
                if f.kind == FailureKind::Build {
                    self.answer = Some(Answer { title: "build failed".into(), lines: lines(&f.message) });
                }
            }
            Purpose::Tick => self.triage.schedule(self.now),
            Purpose::Diagnose { serial } => self.diagnosed(serial, Err(printable_str(&text, 300))),
            Purpose::Waits { serial } => self.waits_known(serial, Err(printable_str(&text, 300))),
            Purpose::Heap { serial } => self.heap_known(serial, Err(printable_str(&text, 300))),
            Purpose::Profile { serial } => self.profile_known(serial, Err(printable_str(&text, 300))),
            Purpose::ProfileSources { serial } => self.sources_known(serial, Err(printable_str(&text, 300))),
            Purpose::ProfileFetch => self.profile_fetched(Err(printable_str(&text, 300))),
            Purpose::Timeline { serial } => self.timeline_known(serial, Err(printable_str(&text, 300))),
            Purpose::Spans { serial } => self.spans_known(serial, Err(printable_str(&text, 300))),
            Purpose::TimelineCode { on } => self.code_known(on, Err(text)),
            Purpose::Triggers => self.triggers_known(Err(text)),
            Purpose::Refs { serial } => self.refs_known(serial, Err(printable_str(&text, 300))),
            Purpose::Snapshot { .. } => self.say(Tone::Error, &format!("no snapshot: {text}")),
            Purpose::Stack(g) if now => self.put_stack(g, Err(printable_str(&text, 300))),
            Purpose::Scope { frame, .. } if now => {
                self.scope = Some(Dated { generation: self.generation, data: frame });
                self.vars.roots.clear();
                self.old_since = None;
                self.vars_problem = Some(printable_str(&text, 300));
            }
            Purpose::Code => {
                self.code = Some(Dated { generation: self.generation, data: Err(printable_str(&text, 300)) });
            }
            Purpose::Children { path, .. } if now => {
                if let Some(n) = self.vars.at_mut(&path) {
                    n.load = vars::Load::Failed(printable_str(&text, 300));
                }
            }
            Purpose::List { .. } if now => {
                self.list_asked = None;
                self.list.failure = Some(printable_str(&text, 300));
            }
            Purpose::Stack(_) | Purpose::Scope { .. } | Purpose::Children { .. } | Purpose::List { .. } => {}
            Purpose::Source(file) => self.sources.fail(&file, &printable_str(&text, 300)),
            Purpose::CodeLines | Purpose::Complete(_) | Purpose::Other(_) => {}
            Purpose::Detach => {
                self.detach_refused = true;
                self.say(Tone::Error, &text);
            }
            Purpose::Restore(spec) => {
                let at = spec.place.text();
                self.say(Tone::Warn, &format!("breakpoint at {at} of the last session: {text}"));
            }
            Purpose::Resume => {
                self.step = None;
                if self.state == RunState::Running && self.stop.is_some() && f.kind != FailureKind::Gone {
                    self.state = RunState::Stopped;
                }
                self.say(Tone::Error, &text);
            }
            _ => self.say(Tone::Error, &text),
        }
    }

    fn greeted(&mut self, version: u32) {
        if version != PROTOCOL_VERSION {
            let why = format!("the host speaks protocol {version}, this adit {PROTOCOL_VERSION}: use the same version");
            self.open_failure = Some(Failure::new(FailureKind::Host, why.clone()));
            self.state = RunState::Detached(why);
            return;
        }
        self.state = RunState::Opening("opening the target".into());
        if let Some(spec) = self.start.target.clone() {
            self.ask(Purpose::Open, Request::Open(spec));
        }
    }

    fn opened(
        &mut self,
        target: std::sync::Arc<crate::model::TargetInfo>,
        caps: crate::model::Caps,
        stop: Option<Stop>,
    ) {
        let first = self.target.is_none();
        self.caps = caps;
        for note in &target.notes {
            let time = (self.clock)();
            self.log.push(&time, LogLevel::Warn, note);
        }
        self.locate_by(&target);
        self.target = Some(target);
        self.new_generation();
        self.stacks.clear();
        // Built anew, the files may be others.
        self.sources.forget();
        self.scope = None;
        self.code = None;
        self.triage.asked.clear();
        self.waits.asked.clear();
        self.heap.sums.clear();
        self.heap.refs.clear();
        self.forget_profiles();
        self.stop = None;
        self.goroutine = None;
        self.frame = 0;
        match stop {
            Some(s) => self.stopped(s),
            None => self.state = RunState::Running,
        }
        if self.caps.control {
            if first {
                for spec in std::mem::take(&mut self.start.breakpoints) {
                    let frame = self.frame_ref();
                    self.ask(Purpose::Restore(spec.clone()), Request::SetBreakpoint { spec, frame });
                }
            }
            self.ask(Purpose::Breakpoints { show: false }, Request::Breakpoints);
        }
    }

    /// Finds sources by what the program was built from.
    fn locate_by(&mut self, target: &crate::model::TargetInfo) {
        if !target.build.go.is_empty() {
            let cwd = std::env::current_dir().unwrap_or_default();
            let places = super::locate::Places::look(&target.build, &cwd, &|name| std::env::var(name).ok());
            self.sources.located_by(super::locate::Locator { build: target.build.clone(), places });
        }
    }

    fn put_stack(&mut self, g: Option<crate::base::GoroutineId>, data: Result<Stack, String>) {
        if g == self.goroutine && self.auto_frame {
            if let Ok(s) = &data {
                self.frame = self.first_frame(g, &s.frames);
            }
            self.auto_frame = false;
        }
        if !self.caps.variables {
            self.old_since = None;
        }
        self.stacks.retain(|(k, _)| *k != g);
        if self.stacks.len() >= STACKS {
            self.stacks.remove(0);
        }
        self.stacks.push((g, Dated { generation: self.generation, data }));
        self.find_frame();
    }

    fn put_list(&mut self, start: u64, reply: Reply, now: bool) {
        let generation = if now { self.generation } else { self.generation.saturating_sub(1) };
        let still_grouped = matches!(self.list.listing, super::goroutines::Listing::Groups(_));
        self.list_asked = None;
        match reply {
            Reply::Groups { read, goroutines, hidden_system, total, groups, .. } if still_grouped => {
                self.list.read = read;
                self.list.goroutines = goroutines;
                self.list.hidden_system = hidden_system;
                self.list.put_groups(generation, start, groups, total);
            }
            Reply::Goroutines { read, total, rows, .. } if !still_grouped => {
                self.list.read = read;
                self.list.put_goroutines(generation, start, rows, total);
            }
            _ => {}
        }
        if !self.control() {
            self.old_since = None;
        }
    }

    fn put_breakpoint(&mut self, b: Breakpoint) {
        self.hits.totals(&b);
        match self.breakpoints.iter_mut().find(|x| x.id == b.id) {
            Some(x) => *x = b,
            None => {
                self.breakpoints.push(b);
                self.breakpoints.sort_by_key(|b| b.id);
            }
        }
    }

    fn show_value(&mut self, expression: &str, v: &Variable) {
        let text = format!("{expression} = {}", v.value);
        let time = (self.clock)();
        self.log.push_here_only(&time, LogLevel::Info, &text);
        self.message = Some(super::Message { tone: Tone::Note, text: printable_str(&text, 500) });
        if text.chars().count() > 100 || text.contains('\n') {
            let mut all = lines(&v.value);
            all.push(String::new());
            all.push(format!("type {}", v.type_name));
            self.answer = Some(Answer { title: printable_str(expression, 80), lines: all });
        }
    }

    fn show(&mut self, title: String, reply: Reply) {
        let text = match reply {
            Reply::Symbols { names, total } => {
                let mut v: Vec<String> = names.iter().map(|n| printable_str(n, 300)).collect();
                let left = total.saturating_sub(v.len() as u64);
                if left > 0 {
                    v.push(format!("… {left} more: narrow it with a filter"));
                }
                v
            }
            Reply::Variables { variables, .. } => variables.iter().map(one_line).collect(),
            Reply::Threads { threads, .. } => threads
                .iter()
                .map(|t| {
                    let g = t.goroutine.map_or("-".to_string(), |g| format!("g{g}"));
                    let at = &t.at;
                    format!("{:>8}  {g:<8} {}  {}:{}", t.tid, at.short_function(), at.base_file(), at.line)
                })
                .collect(),
            Reply::Registers(regs) => regs.iter().map(|(n, v)| format!("{n:>8}  {v}")).collect(),
            _ => return,
        };
        let text: Vec<String> = if text.is_empty() { vec!["nothing".into()] } else { text };
        let time = (self.clock)();
        self.log.push(&time, LogLevel::Info, &format!("{title}: {} lines", text.len()));
        self.answer = Some(Answer { title, lines: text.iter().map(|l| printable_str(l, 1_000)).collect() });
    }

    pub(super) fn show_breakpoints(&mut self) {
        let lines = if self.breakpoints.is_empty() {
            vec!["no breakpoints: the target's text is untouched".to_string()]
        } else {
            self.breakpoints.iter().map(breakpoint_sentence).collect()
        };
        self.answer = Some(Answer { title: "breakpoints".into(), lines });
    }
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(|l| printable_str(&l.replace('\t', "    "), 1_000)).collect()
}
