//! The native backend: serves one client for one live process.
//!
//! The engine thread owns ptrace and answers control requests; everything that only reads goes to the inspector thread with the
//! state of the threads at that moment, so that a long list never delays a breakpoint.

pub mod budget;
mod failure;
mod inspect;
mod keep;
mod launch;
mod profiles;
mod sampling;
mod secrets;
mod snapshot;
mod timeline;
mod tracing;

pub use failure::{from_engine, from_open};
pub use profiles::endpoints;

use super::audit::Audit;
use super::client::HostEnd;
use super::delve;
use super::offline::Offline;
use super::outbox::Outbox;
use super::peer::Peer;
use super::protocol::*;
use super::scopes::Scopes;
use crate::base::redact::Redaction;
use crate::base::{LoadAddr, StopEpoch};
use crate::engine::control::Go;
use crate::engine::locspec::Here;
use crate::engine::{Engine, EngineError, Happened, Loaded, StopState};
use crate::model::*;
use crate::target::linux::wake::{Doorbell, Wake};
use budget::{Budget, Limits, News};
use inspect::{Inspector, Job};
use sampling::Sampling;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use timeline::Lines;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::error::TryRecvError;

/// Serves until the client or the target is gone, or SIGTERM. The calling thread becomes the engine thread.
///
/// Whoever sends requests does not know of the doorbell, so a thread in between rings it; see [`serve_rung`].
pub fn serve(end: HostEnd, wake: Wake, terms: Terms) {
    let HostEnd { mut requests, out } = end;
    let (tx, rx) = tokio::sync::mpsc::unbounded_channel();
    let bell = wake.doorbell();
    let pump = move || {
        while let Some(m) = requests.blocking_recv() {
            if tx.send(m).is_err() {
                return;
            }
            bell.ring();
        }
        drop(tx);
        bell.ring();
    };
    if std::thread::Builder::new().name("requests".into()).spawn(pump).is_ok() {
        serve_rung(HostEnd { requests: rx, out }, &wake, terms);
    }
}

/// On what terms a host serves.
pub struct Terms {
    /// For processes that we attach to.
    pub limits: Limits,
    /// The binary that a guardian is started from, where this is a process of its own.
    pub adit: Option<PathBuf>,
    /// What it was started for.
    pub target: Option<TargetSpec>,
    /// What clients may do.
    pub scopes: Scopes,
    /// Where it is recorded.
    pub audit: Option<Audit>,
    /// Hide secrets; none: in profile prod.
    pub redact: Option<bool>,
    /// What secrets are.
    pub redaction: Arc<Redaction>,
}

impl Terms {
    /// Everything is permitted, nothing recorded.
    pub fn of(limits: Limits, redaction: Arc<Redaction>) -> Terms {
        Terms { limits, adit: None, target: None, scopes: Scopes::FULL, audit: None, redact: None, redaction }
    }
}

/// As [`serve`], for a sender that rings the doorbell after each request and after its end.
pub fn serve_rung(end: HostEnd, wake: &Wake, terms: Terms) {
    let Terms { limits, adit, target, scopes, audit, redact, redaction } = terms;
    let HostEnd { requests, out } = end;
    crate::target::linux::polite::promptly();
    let mut host = Host {
        outbox: Outbox::new(out, redaction.clone()),
        engine: None,
        loaded: None,
        inspector: None,
        pty: None,
        output: None,
        launched: None,
        observe_epoch: StopEpoch(1),
        copy: None,
        offline: None,
        profiles: None,
        sampling: None,
        lines: None,
        trace: None,
        calling: None,
        budget: Budget::new(limits, Instant::now()),
        told: None,
        kept: false,
        adit,
        started_for: target,
        scopes,
        audit,
        by: None,
        redact,
        redaction,
        opened: None,
        last_stop: None,
        bell: wake.doorbell(),
        finished: false,
    };
    host.run(requests, wake);
    host.drain();
}

struct Host {
    outbox: Outbox,
    engine: Option<Engine>,
    loaded: Option<Loaded>,
    inspector: Option<Inspector>,
    pty: Option<OwnedFd>,
    output: Option<std::thread::JoinHandle<()>>,
    launched: Option<LaunchSpec>,
    observe_epoch: StopEpoch,
    /// The state of a copy, while reads go to one: a core or snapshot for ever, a copy of a process until it is refreshed.
    copy: Option<Arc<StopState>>,
    /// The target, when it is a file without memory.
    offline: Option<Box<dyn Offline>>,
    /// Reads profiles of the process, once somebody asked.
    profiles: Option<profiles::Profiles>,
    /// Looks at scheduler and collector, once somebody asked.
    sampling: Option<Sampling>,
    /// What the program that we launched says of its collector and scheduler.
    lines: Option<Lines>,
    /// The execution trace taken last.
    trace: Option<tracing::Tracing>,
    /// The request whose call of a function is under way.
    calling: Option<u64>,
    /// How long the target may stand.
    budget: Budget,
    /// As the client was told.
    told: Option<News>,
    /// The client looks at a copy of a stop; the program runs.
    kept: bool,
    /// What the client may do.
    scopes: Scopes,
    audit: Option<Audit>,
    /// Whose request is being dealt with, where there are several clients.
    by: Option<Arc<Peer>>,
    /// As was said of secrets, and what they are.
    redact: Option<bool>,
    redaction: Arc<Redaction>,
    /// What we were started for.
    started_for: Option<TargetSpec>,
    /// What the client opened, and was told of it.
    opened: Option<(TargetSpec, Reply)>,
    /// Where guardians come from.
    adit: Option<PathBuf>,
    /// The last stop that the client was told of.
    last_stop: Option<Stop>,
    bell: Doorbell,
    finished: bool,
}

impl Host {
    fn run(&mut self, mut incoming: UnboundedReceiver<ToHost>, wake: &Wake) {
        while !self.finished {
            let waiting = self.outbox.waits();
            let news = self.engine.as_ref().and_then(Engine::news_due);
            let due = self.budget.next(Instant::now());
            let news = news.into_iter().chain(due).min().map(|d| d.as_millis().min(60_000) as i32 + 1);
            let woken = wake.wait(match (waiting, news) {
                (true, n) => n.unwrap_or(20).min(20),
                (false, n) => n.unwrap_or(-1),
            });
            self.outbox.flush();
            if woken.terminate {
                self.end("the host was asked to end (SIGTERM)");
                return;
            }
            if let Err(e) = self.pump() {
                self.trouble(&e);
            }
            self.triggered();
            while !self.finished {
                match incoming.try_recv() {
                    Ok(ToHost { id, request: Request::Open(TargetSpec::Delve(spec)), .. })
                        if self.may_drive_delve() =>
                    {
                        self.hide_secrets(&TargetSpec::Delve(spec.clone()));
                        // From here on all is its business; if there is none, the client may ask for something else.
                        if delve::serve(id, spec, &mut incoming, &mut self.outbox, wake) {
                            return;
                        }
                    }
                    Ok(ToHost { id, request, by }) => {
                        self.by = by;
                        self.heard(&request);
                        self.request(id, request);
                    }
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => {
                        self.end("the client went away");
                        return;
                    }
                }
            }
            self.account();
        }
    }

    /// Scopes and the record are about our own engine: who is limited gets no other.
    fn may_drive_delve(&self) -> bool {
        self.loaded.is_none() && self.started_for.is_none() && self.scopes == Scopes::FULL && self.audit.is_none()
    }

    /// The engine met something that it cannot handle: the target comes first.
    fn trouble(&mut self, e: &EngineError) {
        self.outbox.notice(Notice::Log { level: LogLevel::Error, text: format!("{e}; letting the target go") });
        self.end(&format!("{e}"));
    }

    fn end(&mut self, why: &str) {
        if let Some(mut e) = self.engine.take() {
            if let Err(err) = e.end() {
                self.outbox.notice(Notice::Log { level: LogLevel::Error, text: format!("while letting go: {err}") });
            }
            self.on_record(&e.take_pauses());
            self.outbox.notice(Notice::Detached { reason: why.to_string() });
        }
        self.finished = true;
    }

    fn pump(&mut self) -> Result<(), EngineError> {
        let Some(e) = &mut self.engine else { return Ok(()) };
        let result = e.pump();
        self.tell();
        result
    }

    /// Passes on what happened.
    fn tell(&mut self) {
        let Some(e) = &mut self.engine else { return };
        let happened = e.take_happened();
        if happened.iter().any(|h| matches!(h, Happened::Exited(..))) {
            self.await_output();
        }
        if happened.iter().any(|h| matches!(h, Happened::Stopped(_) | Happened::Resumed(_) | Happened::Exited(..))) {
            self.forget_copy();
            self.kept = false;
        }
        if happened.iter().any(|h| matches!(h, Happened::Stopped(_))) {
            self.find_modules();
        }
        self.note_stops(&happened);
        let mut called = Vec::new();
        let exited = happened.iter().any(|h| matches!(h, Happened::Exited(..) | Happened::Released(_)));
        for h in happened {
            let n = match h {
                Happened::Stopped(stop) if self.may_not_last() => {
                    self.keep(*stop);
                    continue;
                }
                Happened::Stopped(stop) => {
                    self.last_stop = Some((*stop).clone());
                    Notice::Stopped(stop)
                }
                Happened::Resumed(epoch) => Notice::Resumed { epoch },
                Happened::Exited(status, signal) => Notice::Exited { status, signal: signal.map(signal_name) },
                Happened::Released(reason) => Notice::Detached { reason },
                Happened::Breakpoint(b) => Notice::Breakpoint(b),
                Happened::Called(outcome) => {
                    called.push(*outcome);
                    continue;
                }
                Happened::BreakpointGone(id) => Notice::BreakpointGone(id),
                Happened::Hits(hits, lost) => Notice::Hits { hits, lost },
                Happened::Note(text) => Notice::Log { level: LogLevel::Warn, text },
            };
            self.outbox.notice(n);
        }
        for outcome in called {
            if let Some(id) = self.calling.take() {
                self.outbox.reply(id, call_reply(outcome));
            }
        }
        if exited && let Some(id) = self.calling.take() {
            self.outbox.reply(id, Err(Failure::new(FailureKind::Gone, "the process ended during the call")));
        }
    }

    /// Begins a call; its reply comes when it is over.
    fn call(&mut self, id: u64, frame: FrameRef, expression: &str, limits: LoadLimits) {
        let state = self.state();
        let planned = match &self.inspector {
            Some(i) => i.call_plan(&state, frame, expression).map(|plan| (plan, i.planner(&state, frame, expression))),
            None => Err(no_target()),
        };
        let limits = inspect::limits(limits);
        let begun = planned.and_then(|(plan, again)| {
            self.engine()?.call(frame.goroutine, plan, again, limits).map_err(|e| from_engine(&e))
        });
        match begun {
            Ok(()) => self.calling = Some(id),
            Err(f) => self.outbox.reply(id, Err(f)),
        }
        self.tell();
    }

    fn request(&mut self, id: u64, request: Request) {
        match self.permitted(request).and_then(|r| self.whole_only(r)) {
            Ok(r) => self.permitted_request(id, r),
            Err(f) => self.outbox.reply(id, Err(f)),
        }
    }

    fn permitted_request(&mut self, id: u64, request: Request) {
        match request {
            Request::Hello { version } => {
                let result = if version == PROTOCOL_VERSION {
                    Ok(Reply::Hello { version, adit: env!("CARGO_PKG_VERSION").into() })
                } else {
                    Err(Failure::new(
                        FailureKind::Host,
                        format!("this host speaks protocol {PROTOCOL_VERSION}, the client {version}"),
                    )
                    .fix("use the same adit on both sides"))
                };
                self.outbox.reply(id, result);
            }
            Request::Open(spec) => {
                let result = self.open_or_again(spec);
                self.tell();
                self.outbox.reply(id, result);
            }
            // Checked on the way here (`hub`); who is alone drives.
            Request::Token { .. } | Request::TakeOver => self.outbox.reply(id, Ok(Reply::Done)),
            Request::Reveal { reason } => {
                self.reveal(&reason);
                self.outbox.reply(id, Ok(Reply::Done));
            }
            Request::Snapshot { file } if self.offline.is_none() => self.snapshot(id, file),
            // Nothing may stand for somebody who is not there.
            Request::ClientGone => self.budget.client_gone(Instant::now()),
            Request::Alive { .. } => self.outbox.reply(id, Ok(Reply::Done)),
            Request::Set { .. } | Request::Call { .. } if !self.may_write() => {
                self.outbox.reply(id, Err(self.may_not_write()));
            }
            r if self.offline.is_some() && !matches!(r, Request::Detach { .. }) => {
                let result = self.offline.as_mut().map_or_else(|| Err(no_target()), |d| d.answer(r));
                self.outbox.reply(id, result);
            }
            r @ (Request::Timeline(_)
            | Request::Spans { .. }
            | Request::TimelineSummary
            | Request::TimelineCode { .. }
            | Request::FindMark(_)
            | Request::Record { .. }
            | Request::TraceOver { .. }
            | Request::TraceReport(_)
            | Request::TraceReportOf { .. }
            | Request::SetTrigger(_)
            | Request::ClearTrigger { .. }) => {
                if let Some(result) = self.timeline(id, r) {
                    self.outbox.reply(id, result);
                }
            }
            r @ (Request::Profile(_)
            | Request::ProfileBase { .. }
            | Request::ProfileSources
            | Request::ProfileFetch { .. }) => self.profiles(id, r),
            r @ (Request::Goroutines(_)
            | Request::Groups(_)
            | Request::GroupMembers { .. }
            | Request::GoroutinesById { .. }
            | Request::Stack { .. }
            | Request::Scope { .. }
            | Request::Children { .. }
            | Request::Eval { .. }
            | Request::Set { .. }
            | Request::PackageVariables { .. }
            | Request::Source { .. }
            | Request::CodeLines { .. }
            | Request::Disassemble { .. }
            | Request::Symbols { .. }
            | Request::Threads
            | Request::Diagnose(_)
            | Request::Waits(_)
            | Request::Refs { .. }
            | Request::Heap { .. }
            | Request::Memory { .. }
            | Request::Values { .. }
            | Request::Code { .. }
            | Request::GoroutineNames(_)
            | Request::Registers(_)) => self.inspect(id, r),
            Request::Call { frame, expression, limits } => self.call(id, frame, &expression, limits),
            r => {
                let result = self.control(r);
                if result.as_ref().is_err_and(|f| f.kind == FailureKind::Gone)
                    && let Err(e) = self.pump()
                {
                    self.trouble(&e);
                }
                self.tell();
                self.outbox.reply(id, result);
                if self.finished {
                    self.outbox.flush();
                }
            }
        }
    }

    /// Looks for plugins that were loaded since.
    fn find_modules(&self) {
        let found = self.loaded.as_ref().filter(|l| l.process.is_some()).map(crate::engine::Loaded::find_modules);
        for text in found.into_iter().flatten() {
            drop(self.outbox.sender().blocking_send(FromHost::Notice(Notice::Log { level: LogLevel::Warn, text })));
        }
    }

    fn state(&self) -> Arc<StopState> {
        match (&self.copy, &self.engine) {
            (Some(s), _) => s.clone(),
            (None, Some(e)) => e.state(),
            (None, None) => Arc::new(StopState { epoch: self.observe_epoch, ..StopState::default() }),
        }
    }

    fn inspect(&mut self, id: u64, request: Request) {
        let state = self.state();
        let breakpoints = self.engine.as_ref().map(Engine::breakpoints).unwrap_or_default();
        match &self.inspector {
            Some(i) => i.send(Job { id, request, state, breakpoints, out: self.outbox.sender() }),
            None => self.outbox.reply(id, Err(no_target())),
        }
    }

    /// Hands a request about profiles to their thread, started by the first.
    fn profiles(&mut self, id: u64, request: Request) {
        let started = match (&self.profiles, &self.loaded) {
            (Some(_), _) => Ok(()),
            (None, Some(l)) if l.process.is_some() => profiles::Profiles::start(l).map(|p| self.profiles = Some(p)),
            (None, Some(_)) => Err(Failure::new(FailureKind::Unavailable, "a core or snapshot has no profile in it")
                .fix("adit prof FILE opens one")),
            (None, None) => Err(no_target()),
        };
        let out = self.outbox.sender();
        let sent = started.and_then(|()| match &self.profiles {
            Some(p) if p.send(id, request, out) => Ok(()),
            _ => Err(Failure::new(FailureKind::Internal, "the reader of profiles has ended")),
        });
        if let Err(f) = sent {
            self.outbox.reply(id, Err(f));
        }
    }

    fn engine(&mut self) -> Result<&mut Engine, Failure> {
        if self.loaded.as_ref().is_some_and(|l| l.process.is_none()) {
            return Err(not_alive());
        }
        if self.loaded.is_some() && self.engine.is_none() {
            return Err(Failure::new(FailureKind::BadState, "observe mode: nothing is stopped or changed here")
                .fix("take control with `adit attach PID` (or :attach)"));
        }
        match &mut self.engine {
            Some(e) if e.is_gone() => Err(Failure::new(FailureKind::Gone, "the process is gone")),
            Some(e) => Ok(e),
            None => Err(no_target()),
        }
    }

    fn control(&mut self, r: Request) -> Result<Reply, Failure> {
        match r {
            Request::Refresh if self.kept => {}
            Request::Refresh => self.refresh(),
            Request::Hold { on, reason } => self.hold(on, &reason)?,
            Request::Resume { kind: ResumeKind::Continue, .. } if self.kept => self.leave_copy(),
            Request::Resume { .. } if self.kept => return Err(runs_on()),
            Request::SetMemory { .. } | Request::SetRegister { .. } | Request::Jump { .. } if !self.may_write() => {
                return Err(self.may_not_write());
            }
            Request::SetBreakpoint { spec, frame } => {
                if let BreakpointPlace::Watch { expression, .. } = &spec.place {
                    let state = self.state();
                    let inspector = self.inspector.as_ref().ok_or_else(no_target)?;
                    let data = inspector.watched(&state, frame, expression)?;
                    let b = self.engine()?.set_watchpoint(&spec, data).map_err(|e| from_engine(&e))?;
                    return Ok(Reply::Breakpoint(Box::new(b)));
                }
                self.find_modules();
                let here = self.here(frame);
                let mut list = self.engine()?.set_breakpoint(&spec, &here).map_err(|e| from_engine(&e))?;
                return Ok(if list.len() == 1 {
                    Reply::Breakpoint(Box::new(list.remove(0)))
                } else {
                    Reply::Breakpoints(list)
                });
            }
            Request::EditBreakpoint { id, spec } => {
                return self
                    .engine()?
                    .edit_breakpoint(id, &spec)
                    .map(|b| Reply::Breakpoint(Box::new(b)))
                    .map_err(|e| from_engine(&e));
            }
            Request::ClearBreakpoint(id) => self.engine()?.clear_breakpoint(id).map_err(|e| from_engine(&e))?,
            Request::Breakpoints => {
                return Ok(Reply::Breakpoints(self.engine.as_ref().map(Engine::breakpoints).unwrap_or_default()));
            }
            Request::Resume { kind, goroutine } => {
                let go = match kind {
                    ResumeKind::Continue => Go::Continue,
                    ResumeKind::Next => Go::Next,
                    ResumeKind::Step => Go::Into,
                    ResumeKind::StepOut => Go::Out,
                    ResumeKind::StepInstruction => Go::Instruction,
                    ResumeKind::NextInstruction => Go::NextInstruction,
                    ResumeKind::To(spec) => Go::To(spec, self.here(FrameRef { goroutine, frame: 0 })),
                };
                self.engine()?.proceed(&go, goroutine).map_err(|e| from_engine(&e))?;
            }
            Request::Pause => {
                self.may_stop()?;
                self.engine()?.pause().map_err(|e| from_engine(&e))?;
            }
            Request::CancelStep => self.engine()?.cancel_step(),
            Request::SetMemory { addr, bytes } => {
                self.engine()?.write_memory(addr, &bytes).map_err(|e| from_engine(&e))?;
            }
            Request::SetRegister { frame, name, value } => {
                let value = self.number(frame, &value)?;
                self.engine()?.write_register(frame.goroutine, &name, value).map_err(|e| from_engine(&e))?;
            }
            Request::Jump { goroutine, to } => {
                let here = self.here(FrameRef { goroutine, frame: 0 });
                self.engine()?.jump(goroutine, &to, &here).map_err(|e| from_engine(&e))?;
            }
            Request::Restart { rebuild, args } => return self.restart(rebuild, args),
            Request::Redirect(to) => match &mut self.launched {
                Some(l) => l.redirects = to,
                None => return Err(no_target()),
            },
            Request::Input(bytes) => self.input(&bytes)?,
            Request::ResizePty { cols, rows } => self.resize(cols, rows)?,
            Request::Detach { kill } => {
                if let Some(e) = &mut self.engine {
                    e.detach(kill).map_err(|e| from_engine(&e))?;
                }
                self.account(); // the last pause, too
                self.engine = None;
                self.finished = true;
            }
            other => return Err(Failure::new(FailureKind::Internal, format!("no handler for {other:?}"))),
        }
        Ok(Reply::Done)
    }

    /// The value of an integer expression in a frame.
    fn number(&self, frame: FrameRef, expression: &str) -> Result<u64, Failure> {
        match &self.inspector {
            Some(i) => i.number(&self.state(), frame, expression),
            None => Err(no_target()),
        }
    }

    /// File and line of a frame, for relative locations.
    fn here(&self, frame: FrameRef) -> Here {
        let state = self.state();
        match (&self.inspector, &self.engine) {
            (Some(i), Some(e)) if state.stopped => {
                let at = i.location_of(&state, frame).unwrap_or_else(|| {
                    let pc = state.registers.get(&state.thread.0).map_or(0, crate::arch::Registers::pc);
                    e.location(LoadAddr(pc))
                });
                Here { file: at.file.clone(), line: at.line }
            }
            _ => Here::default(),
        }
    }
}

fn call_reply(outcome: crate::engine::inject::Outcome) -> Result<Reply, Failure> {
    match outcome.problem {
        Some(why) => Err(Failure::new(FailureKind::Unavailable, why)
            .fix("step to another line and call again; calls are possible at safe points of Go code only")),
        None => Ok(Reply::Called {
            epoch: outcome.epoch,
            values: outcome.results,
            panicked: outcome.panicked.map(Box::new),
        }),
    }
}

fn runs_on() -> Failure {
    Failure::new(
        FailureKind::BadState,
        "the program runs on; this is a copy of where it stopped (its profile is not dev)",
    )
    .fix("`hold` (H) stops it for steps; `continue` leaves the copy")
}

/// A copy can only be looked at.
fn not_alive() -> Failure {
    Failure::new(FailureKind::BadState, "a core or snapshot cannot be run or changed: it is what is left of a program")
        .fix("adit exec BIN runs the program anew")
}

fn no_target() -> Failure {
    Failure::new(FailureKind::BadState, "no target is open")
}

fn signal_name(sig: i32) -> String {
    nix::sys::signal::Signal::try_from(sig).map_or_else(|_| format!("signal {sig}"), |s| s.as_str().to_string())
}

/// What a backend with or without control can do on this target.
fn caps(loaded: &Loaded, control: bool, launched: Option<&LaunchSpec>) -> Caps {
    Caps {
        observe: true,
        control,
        variables: loaded.sym.has_dwarf_section() || loaded.sym.moduledata().is_some(),
        set: control && loaded.process.is_some(),
        restart: launched.is_some(),
        rebuild: launched.is_some_and(|l| l.build.is_some()),
        memory: true,
        snapshot: true,
        output: launched.is_some_and(|l| l.tty.is_none()),
        profiles: loaded.process.is_some(),
    }
}
