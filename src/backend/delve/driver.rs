//! The driver: takes requests, hands them on, and tells the client what becomes of the program.

use super::DelveSpec;
use super::breakpoints::{SharedBook, open};
use super::client::{Answer, Connection, Inbox, decode};
use super::connect::{self, Address, Found};
use super::going::Going;
use super::reader::{Reader, lacks};
use super::stops::{Asked, Stood};
use super::wire;
use super::worker::{Go, Job, Said, work};
use crate::backend::outbox::Outbox;
use crate::backend::protocol::*;
use crate::base::StopEpoch;
use crate::model::*;
use crate::target::linux::wake::Wake;
use serde_json::json;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::error::TryRecvError;

/// How often Delve is asked whether another client has let the program run, or stopped it elsewhere.
const BEAT: Duration = Duration::from_secs(1);
/// Delve is said to be silent after so long.
const SILENCE: Duration = Duration::from_secs(15);
/// Longest wait for what is asked at the opening.
const PATIENCE: Duration = Duration::from_secs(20);

/// What comes to the driver beside requests.
pub(super) enum Event {
    /// From the reader's thread.
    Said(Said),
    /// The command that lets the program run has come back.
    Back(Answer),
    /// The state after a command was refused: why, and the state.
    Refused(String, Answer),
    /// Somebody else's command has come back.
    Foreign(Answer),
    /// The state as it is now, asked by the clock.
    Beat(Answer),
    /// `halt` has come back.
    Halted(Answer),
    /// The server's version, asked at the first stop of a program that ran when it was opened.
    Version(Box<wire::State>, Asked, bool, Answer),
    /// The program was started again for request so-and-so.
    Restarted(u64, Answer),
    /// Its state then.
    Fresh(u64, Answer),
    /// A connection ended.
    Lost(String),
}

/// What the program does.
pub(super) enum Run {
    Stopped,
    Going(Box<Going>),
    Exited,
}

pub(super) struct Driver<'a> {
    pub outbox: &'a mut Outbox,
    pub control: Arc<Connection>,
    pub reads: Arc<Connection>,
    pub inbox: Inbox<Event>,
    pub jobs: Sender<Job>,
    pub book: SharedBook,
    pub multiclient: bool,
    pub attached: bool,
    pub found_running: bool,
    pub epoch: StopEpoch,
    pub run: Run,
    /// The newest stop.
    pub stop: Option<Stop>,
    /// Delve's state at it.
    pub state: wire::State,
    /// It ran when it was opened: what it is shows at its first stop.
    pub unknown: bool,
    /// A stop is being described.
    pub describing: bool,
    /// The request that waits for the first stop of a program: opened, or started again.
    pub opening: Option<u64>,
    pub target: TargetInfo,
    pub caps: Caps,
    /// Requests for changes that the reader has; they are answered only while the program stands.
    pub changing: std::collections::BTreeSet<u64>,
    /// Breakpoints as last told.
    listed: Vec<Breakpoint>,
    beat: (Instant, bool),
    silent: bool,
    pub spec: DelveSpec,
    pub address: Address,
    pub exposed: bool,
    pub lost: bool,
    pub finished: bool,
}

/// Serves the client of `requests` until it leaves or Delve is gone; returns whether there was anything to serve: an address at
/// which there is no usable Delve is said in the reply to the request `id` that was to open it.
pub(in crate::backend) fn serve(
    id: u64,
    spec: DelveSpec,
    requests: &mut UnboundedReceiver<ToHost>,
    outbox: &mut Outbox,
    wake: &Wake,
) -> bool {
    let (tx, events) = mpsc::channel();
    let inbox = Inbox::new(tx, wake.doorbell());
    outbox.second_hand();
    outbox.notice(Notice::Progress { what: format!("connecting to {}", spec.address), done: 0, total: 0 });
    match Driver::open(id, spec, outbox, inbox) {
        Ok(mut d) => {
            d.run(requests, &events, wake);
            true
        }
        Err((f, outbox)) => {
            outbox.reply(id, Err(f));
            false
        }
    }
}

impl<'a> Driver<'a> {
    fn open(
        id: u64,
        spec: DelveSpec,
        outbox: &'a mut Outbox,
        inbox: Inbox<Event>,
    ) -> Result<Driver<'a>, (Failure, &'a mut Outbox)> {
        let found = Address::parse(&spec.address).and_then(|a| {
            let told = inbox.clone();
            let found = connect::find(&a, move |why| told.put(Event::Lost(why)))?;
            Ok((a, found))
        });
        let (address, found) = match found {
            Ok(f) => f,
            Err(f) => return Err((f, outbox)),
        };
        let book = SharedBook::default();
        // The one given last comes first, as in our own look-ups.
        let rules = spec.rules.iter().rev().map(|(from, to)| [from.clone(), to.clone()]).collect();
        let reader = Reader::new(&found, rules, book.clone());
        let (jobs, queue) = mpsc::channel();
        let said = inbox.clone();
        let worker = move || work(reader, &queue, &|s| said.put(Event::Said(s)));
        if let Err(e) = std::thread::Builder::new().name("delve-reader".into()).spawn(worker) {
            return Err((Failure::new(FailureKind::Internal, format!("cannot start a thread: {e}")), outbox));
        }
        let Found { control, reads, go, multiclient, attached, core, notes, exposed, .. } = found;
        let caps = Caps { control: !core, variables: true, set: !core, restart: !attached && !core, ..Caps::default() };
        let mut d = Driver {
            outbox,
            control,
            reads,
            inbox,
            jobs,
            book,
            multiclient,
            attached,
            found_running: false,
            epoch: StopEpoch(1),
            run: Run::Stopped,
            stop: None,
            state: wire::State::default(),
            unknown: false,
            describing: false,
            opening: Some(id),
            target: TargetInfo { kind: TargetKind::Delve, launched: false, notes, ..TargetInfo::default() },
            caps,
            changing: Default::default(),
            listed: Vec::new(),
            beat: (Instant::now(), false),
            silent: false,
            spec,
            address,
            exposed,
            lost: false,
            finished: false,
        };
        let state: Result<wire::StateOut, _> = d.control.call("State", json!({"NonBlocking": true}), PATIENCE);
        let state = match state {
            Ok(s) => s.state.unwrap_or_default(),
            Err(e) => return Err((super::reader::failure(e), d.outbox)),
        };
        if state.recording || state.dumping {
            let what = if state.recording { "recording" } else { "writing a core" };
            let f = Failure::new(FailureKind::BadState, format!("Delve at {} is {what}", d.address.text()));
            return Err((f.fix("connect again when it has done that"), d.outbox));
        }
        d.found_running = state.running;
        d.target.leaving = Some(d.leaving());
        if state.running {
            d.learn(&state, &go);
            d.unknown = true;
            d.run = Run::Going(Box::new(Going::foreign()));
            d.opened(None);
            d.watch_foreign();
        } else {
            d.learn(&state, &go);
            d.stood(state, Asked::Run, false, None, 0);
        }
        Ok(d)
    }

    pub(super) fn job(&mut self, job: Job) {
        // The thread ends with us only.
        let _thread_is_gone = self.jobs.send(job);
    }

    fn run(&mut self, requests: &mut UnboundedReceiver<ToHost>, events: &Receiver<Event>, wake: &Wake) {
        while !self.finished {
            let pause = if self.outbox.waits() { 20 } else { BEAT.as_millis() as i32 };
            let woken = wake.wait(pause);
            self.outbox.flush();
            if woken.terminate {
                return self.leave("the host was asked to end (SIGTERM)");
            }
            while let Ok(e) = events.try_recv() {
                self.event(e);
            }
            while !self.finished {
                match requests.try_recv() {
                    Ok(ToHost { id, request, .. }) => self.request(id, request),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return self.leave("the client went away"),
                }
            }
            self.pulse();
        }
        self.outbox.flush();
    }

    /// Asks from time to time how things are.
    fn pulse(&mut self) {
        let (since, asked) = self.beat;
        if asked {
            if since.elapsed() > SILENCE && !std::mem::replace(&mut self.silent, true) {
                let text = format!("Delve has not answered for {} s", SILENCE.as_secs());
                self.outbox.notice(Notice::Log { level: LogLevel::Error, text });
            }
            return;
        }
        // One connection may be busy with a long answer; and nobody else can change anything there.
        if !self.multiclient || since.elapsed() < BEAT || self.describing || !matches!(self.run, Run::Stopped) {
            return;
        }
        self.beat = (Instant::now(), true);
        let inbox = self.inbox.clone();
        self.control.send("State", json!({"NonBlocking": true}), move |a| inbox.put(Event::Beat(a)));
    }

    fn event(&mut self, e: Event) {
        match e {
            Event::Said(s) => self.said(s),
            Event::Back(a) => self.back(a),
            Event::Refused(why, a) => self.refused(why, a),
            Event::Foreign(a) => self.foreign_back(a),
            Event::Halted(Err(e)) if !self.lost => {
                self.outbox.notice(Notice::Log { level: LogLevel::Warn, text: format!("halt: {e}") });
            }
            Event::Halted(_) => {}
            Event::Beat(a) => {
                self.beat.1 = false;
                self.silent = false;
                self.felt(a);
            }
            Event::Version(state, asked, paused, a) => {
                // Without it, wait reasons have no words; all else is as good.
                let go = decode::<wire::Version>("GetVersion", a).map(|v| v.go).unwrap_or_default();
                self.learn(&state, &go);
                self.outbox.notice(Notice::Target(Arc::new(self.target.clone())));
                self.stood(*state, asked, paused, None, 0);
            }
            Event::Restarted(id, a) => self.restarted(id, a),
            Event::Fresh(id, a) => match decode::<wire::StateOut>("State", a) {
                Ok(out) => {
                    let state = out.state.unwrap_or_default();
                    self.opening = Some(id);
                    let go = self.target.go.clone();
                    self.learn(&state, &go);
                    self.stood(state, Asked::Run, false, None, 0);
                }
                Err(e) => self.outbox.reply(id, Err(super::reader::failure(e))),
            },
            Event::Lost(why) => self.vanished(&why),
        }
    }

    fn said(&mut self, s: Said) {
        match s {
            Said::Reply(id, result) => {
                self.changing.remove(&id);
                match &result {
                    Ok(Reply::Breakpoints(v)) => self.listed.clone_from(v),
                    Ok(Reply::Breakpoint(b)) => {
                        self.listed.retain(|x| x.id != b.id);
                        self.listed.push((**b).clone());
                    }
                    _ => {}
                }
                self.outbox.reply(id, result);
            }
            Said::Rows(n) => {
                self.outbox.notice(Notice::Progress { what: "goroutines".into(), done: n as u64, total: 0 });
            }
            Said::Ready(r) => self.ready(r),
            Said::Described(stop) => self.described(*stop),
            Said::Jumped(state) => self.stood(*state, Asked::Step, false, None, 0),
            Said::Gone(id) => {
                self.listed.retain(|b| b.id != id);
                self.outbox.notice(Notice::BreakpointGone(id));
            }
        }
    }

    /// Another client may have changed something.
    fn felt(&mut self, a: Answer) {
        let Ok(out) = decode::<wire::StateOut>("State", a) else { return };
        let state = out.state.unwrap_or_default();
        if !matches!(self.run, Run::Stopped) || self.describing {
            return;
        }
        let place = |s: &wire::State| s.thread.as_ref().map(|t| (t.id, t.pc));
        if state.running {
            self.run = Run::Going(Box::new(Going::foreign()));
            self.epoch = StopEpoch(self.epoch.0 + 1);
            self.outbox.notice(Notice::Resumed { epoch: self.epoch });
            self.outbox.notice(Notice::Log {
                level: LogLevel::Warn,
                text: "another client of Delve let the program run".into(),
            });
            self.watch_foreign();
            if !self.changing.is_empty()
                && let Run::Going(g) = &mut self.run
            {
                g.for_changes = true;
                self.halt();
            }
        } else if state.exited {
            self.exited(state.exit_status);
        } else if place(&state) != place(&self.state) {
            self.stood(state, Asked::Run, false, None, 0);
        }
    }

    fn request(&mut self, id: u64, request: Request) {
        match request {
            Request::Hello { version } => {
                let adit = env!("CARGO_PKG_VERSION").into();
                self.outbox.reply(id, Ok(Reply::Hello { version: version.min(PROTOCOL_VERSION), adit }));
            }
            Request::Open(_) => {
                let f = Failure::new(FailureKind::BadState, "a target is open already");
                self.outbox.reply(id, Err(f));
            }
            Request::Resume { kind, goroutine } => self.go(id, Go::Resume(kind, goroutine)),
            Request::Call { frame, expression, limits } => self.go(id, Go::Call(frame, expression, limits)),
            Request::Pause => self.pause(id),
            Request::Restart { rebuild, args } => self.restart(id, rebuild, args),
            Request::Detach { kill: true } => {
                let f = Failure::new(FailureKind::Permission, "adit never ends a program that is Delve's")
                    .fix("dlv connect ADDRESS, then exit, asks whether to");
                self.outbox.reply(id, Err(f));
            }
            Request::Detach { kill: false } => {
                self.leave("as asked");
                self.outbox.reply(id, Ok(Reply::Done));
            }
            // There is no budget here: Delve's stops last until somebody ends them.
            Request::Hold { on: true, .. } => self.pause(id),
            Request::Hold { on: false, .. } if matches!(self.run, Run::Stopped) => {
                self.go(id, Go::Resume(ResumeKind::Continue, None));
            }
            Request::Hold { .. } | Request::Alive { .. } | Request::ResizePty { .. } => {
                self.outbox.reply(id, Ok(Reply::Done))
            }
            // What is not to be had is said whether the program runs or not.
            r if unavailable(&r) => self.outbox.reply(id, Err(lacks(&r))),
            r => self.hand_on(id, r),
        }
    }

    fn hand_on(&mut self, id: u64, request: Request) {
        match (&mut self.run, request) {
            (Run::Exited, Request::Breakpoints) => self.outbox.reply(id, Ok(Reply::Breakpoints(self.listed.clone()))),
            (Run::Exited, _) => self.outbox.reply(id, Err(Failure::new(FailureKind::Gone, "the process is gone"))),
            (Run::Stopped, request) => {
                let epoch = self.epoch;
                if is_change(&request) {
                    self.changing.insert(id);
                }
                self.job(Job::Answer { id, epoch, request });
            }
            (Run::Going(_), Request::Breakpoints) => {
                self.outbox.reply(id, Ok(Reply::Breakpoints(self.listed.clone())));
            }
            (Run::Going(_), r) if is_change(&r) => self.interlude(id, r),
            (Run::Going(_), _) => {
                let f =
                    Failure::new(FailureKind::BadState, "the program runs, and Delve reads it only while it stands");
                self.outbox.reply(id, Err(f.fix("Ctrl-C pauses it")));
            }
        }
    }

    /// The program stands: has it described.
    pub(super) fn stood(
        &mut self,
        state: wire::State,
        asked: Asked,
        paused: bool,
        trouble: Option<String>,
        stop_us: u64,
    ) {
        if std::mem::replace(&mut self.unknown, false) {
            self.describing = true;
            let inbox = self.inbox.clone();
            let tell = move |a| inbox.put(Event::Version(Box::new(state), asked, paused, a));
            return self.control.send("GetVersion", json!({}), tell);
        }
        self.epoch = StopEpoch(self.epoch.0 + 1);
        self.describing = true;
        self.state = state.clone();
        let stood = Box::new(Stood { state, asked, paused, trouble, stop_us });
        let epoch = self.epoch;
        self.job(Job::Describe { stood, epoch });
    }

    fn described(&mut self, stop: Stop) {
        self.describing = false;
        let going = match std::mem::replace(&mut self.run, Run::Stopped) {
            Run::Going(g) => Some(g),
            _ => None,
        };
        self.stop = Some(stop.clone());
        self.clear_temporary(going.as_deref(), &stop);
        self.beat.0 = Instant::now();
        if self.opening.is_some() {
            return self.opened(Some(stop));
        }
        let (epoch, call) = (stop.epoch, going.as_ref().and_then(|g| g.call));
        self.outbox.notice(Notice::Stopped(Box::new(stop)));
        if let Some(id) = call {
            let refused = going.as_ref().and_then(|g| g.no_call.clone());
            let reply = refused.map_or_else(|| super::going::called(&self.state, epoch), Err);
            self.outbox.reply(id, reply);
        }
        if let Some((id, args)) = going.and_then(|g| g.restart) {
            self.restart(id, false, args);
        }
    }

    /// Breakpoints that were for this stop only.
    fn clear_temporary(&mut self, going: Option<&Going>, stop: &Stop) {
        let mut done: Vec<i32> = going.and_then(|g| g.temporary).into_iter().collect();
        if let StopReason::Breakpoint(id) = stop.reason
            && open(&self.book).asked.get(&id.0).is_some_and(|s| s.temporary)
            && !done.contains(&id.0)
        {
            done.push(id.0);
        }
        if !done.is_empty() {
            self.job(Job::Clear(done));
        }
    }

    pub(super) fn exited(&mut self, status: i32) {
        let signal = (status < 0).then(|| {
            nix::sys::signal::Signal::try_from(-status)
                .map_or_else(|_| format!("signal {}", -status), |s| s.as_str().into())
        });
        let status = (status >= 0).then_some(status);
        let call = match std::mem::replace(&mut self.run, Run::Exited) {
            Run::Going(g) => g.call,
            _ => None,
        };
        if let Some(id) = self.opening.take() {
            let f = Failure::new(FailureKind::Gone, "the program under Delve has ended");
            self.outbox.reply(id, Err(f.fix("dlv connect, then restart, starts it again")));
        }
        self.outbox.notice(Notice::Exited { status, signal });
        if let Some(id) = call {
            self.outbox.reply(id, Err(Failure::new(FailureKind::Gone, "the process ended during the call")));
        }
    }

    fn vanished(&mut self, why: &str) {
        if std::mem::replace(&mut self.lost, true) || self.finished {
            return;
        }
        let reason = format!("Delve at {} is gone: {why}", self.address.text());
        if let Some(id) = self.opening.take() {
            self.outbox.reply(id, Err(Failure::new(FailureKind::Host, reason.clone())));
        }
        self.outbox.notice(Notice::Detached { reason });
        self.finished = true;
    }
}

/// Is it worth a short stop of a program that runs?
fn is_change(r: &Request) -> bool {
    matches!(r, Request::SetBreakpoint { .. } | Request::EditBreakpoint { .. } | Request::ClearBreakpoint(_))
}

/// Nothing that Delve does would answer it.
fn unavailable(r: &Request) -> bool {
    matches!(
        r,
        Request::Waits(_)
            | Request::Refs { .. }
            | Request::Heap { .. }
            | Request::Snapshot { .. }
            | Request::Timeline(_)
            | Request::Spans { .. }
            | Request::TimelineSummary
            | Request::TraceReport(_)
            | Request::Record { .. }
            | Request::TimelineCode { .. }
            | Request::SetTrigger(_)
            | Request::ClearTrigger { .. }
            | Request::Profile(_)
            | Request::ProfileBase { .. }
            | Request::ProfileSources
            | Request::ProfileFetch { .. }
            | Request::SetRegister { .. }
            | Request::SetMemory { .. }
            | Request::Input(_)
            | Request::Redirect(_)
            | Request::Values { .. }
            | Request::Code { .. }
    )
}
