//! One session: what it knows, its loop, and who answers which request.

use super::breakpoints::Placed;
use super::children::Held;
use super::config::{Common, Launch};
use super::message::{Call, Incoming, Trouble, id, sentence};
use super::nodebug::Plain;
use super::out::Out;
use super::redirect::{Printed, Printer};
use super::types::Initialize;
use crate::backend::client::Client;
use crate::backend::protocol::*;
use crate::base::GoroutineId;
use crate::model::{Stop, TargetInfo};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedReceiver;

/// First number of frames and variables: others than goroutines have (as in Delve).
pub(super) const FIRST_HANDLE: i64 = 1000;

/// Starts a host.
pub(super) type Connect = Box<dyn Fn() -> Result<Client, Failure>>;

/// How far the session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing is open.
    New,
    /// A target is open; the editor sets its breakpoints.
    Configuring,
    /// `configurationDone` came.
    Live,
    /// The target has ended or was let go.
    Ended,
}

/// What the target is, once it is open.
#[derive(Clone, Debug, Default)]
pub(super) struct Target {
    pub info: Arc<TargetInfo>,
    /// How it was launched, to launch it again.
    pub launch: Option<Launch>,
    /// An executable that we built and remove at the end.
    pub built: Option<PathBuf>,
    /// Without control there is nothing to continue.
    pub dead: bool,
}

/// Why the target is about to run, where the next stop's name depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Going {
    /// Until something happens.
    On,
    /// A step.
    Step,
    /// To the first line of `main.main`, as asked for.
    ToEntry,
    /// It stands already: somebody moved the goroutine.
    Jump,
}

pub(super) struct Session {
    pub out: Out,
    pub inbox: UnboundedReceiver<Incoming>,
    /// Requests that came while something took long.
    pub backlog: VecDeque<Incoming>,
    pub connect: Connect,
    pub host: Option<Client>,
    /// News that came while an answer was waited for.
    pub news: VecDeque<Notice>,
    pub printed: UnboundedReceiver<Printed>,
    pub printer: Printer,
    pub plain: Option<Plain>,
    pub editor: Initialize,
    pub phase: Phase,
    pub config: Common,
    pub target: Target,
    pub running: bool,
    pub going: Going,
    /// The editor asked for a pause, and no stop has been told since.
    pub pausing: bool,
    pub stop: Option<Stop>,
    /// A stop that came before the editor was ready for it.
    pub untold: Option<Value>,
    /// What went wrong at this stop, for `exceptionInfo`: id and description.
    pub exception: Option<(String, String)>,
    pub panics: bool,
    pub throws: bool,
    pub breakpoints: Vec<Placed>,
    pub frames: Vec<FrameRef>,
    pub values: Vec<Held>,
    /// Targets of `goto`: file and line.
    pub targets: Vec<(String, u32)>,
    /// Sources without a file: an address in the function.
    pub sources: Vec<(String, u64)>,
    /// The end: nothing more is answered.
    pub over: bool,
    /// The session's terminal, when it has one that the program may use.
    pub terminal: Option<PathBuf>,
    /// The go command.
    pub go: PathBuf,
}

impl Session {
    /// Serves until the editor leaves.
    pub async fn run(&mut self) {
        while !self.over {
            while let Some(n) = self.news.pop_front() {
                self.hear(n).await;
            }
            if self.over {
                break;
            }
            if let Some(i) = self.backlog.pop_front() {
                self.arrived(i).await;
                continue;
            }
            tokio::select! {
                Some(p) = self.printed.recv() => self.show_printed(p),
                n = hear_host(&mut self.host) => match n {
                    Some(FromHost::Notice(n)) => self.news.push_back(n),
                    Some(FromHost::Reply { .. }) => {}
                    None => self.lost_host(),
                },
                status = super::nodebug::ended(&mut self.plain) => self.plain_ended(status).await,
                i = self.inbox.recv() => self.arrived(i.unwrap_or(Incoming::End(None))).await,
            }
        }
        self.leave().await;
    }

    async fn arrived(&mut self, i: Incoming) {
        match i {
            Incoming::Call(c) => self.answer(c).await,
            Incoming::Bad(seq, why) => {
                let call = Call { seq, command: String::new(), arguments: Value::Null };
                self.out.refuse(&call, &Trouble::new(id::INTERNAL, "Internal Error", why));
            }
            Incoming::End(why) => {
                if let Some(why) = why {
                    tracing::warn!("the editor's connection: {why}");
                    let call = Call { seq: 0, command: String::new(), arguments: Value::Null };
                    self.out.refuse(&call, &Trouble::new(id::INTERNAL, "Internal Error", why));
                }
                self.over = true;
            }
        }
    }

    async fn answer(&mut self, call: Call) {
        let result = self.dispatch(&call).await;
        match result {
            Ok(Some(body)) => self.out.respond(&call, body),
            Ok(None) => {} // answered already
            Err(t) => self.out.refuse(&call, &t),
        }
    }

    /// Who answers what. `None` as an answer: it was given on the way.
    async fn dispatch(&mut self, c: &Call) -> Result<Option<Value>, Trouble> {
        let command = c.command.as_str();
        if self.plain.is_some() {
            return self.in_plain_run(c).await;
        }
        // These are answered whether it runs or not.
        match command {
            "initialize" => return self.initialize(c).map(Some),
            "launch" => return self.launch(c).await.map(|()| None),
            "attach" => return self.attach(c).await.map(|()| None),
            "disconnect" => return self.disconnect(c).await.map(|()| None),
            "terminate" => return self.terminate(c).await.map(|()| None),
            "restart" => return self.restart(c).await.map(|()| None),
            "pause" if self.phase != Phase::New => return self.pause(c).await.map(|()| None),
            _ => {}
        }
        if self.phase == Phase::New {
            return Err(Trouble::new(
                id::NOT_STARTED,
                "No debug session started",
                "Use launch or attach request first.",
            )
            .shown());
        }
        // Neither of these needs the target to stand.
        match command {
            "setBreakpoints" => return self.set_source_breakpoints(c).await.map(Some),
            "setFunctionBreakpoints" => return self.set_function_breakpoints(c).await.map(Some),
            "setInstructionBreakpoints" => return self.set_instruction_breakpoints(c).await.map(Some),
            "setExceptionBreakpoints" => return self.set_exception_breakpoints(c).map(Some),
            "breakpointLocations" => return self.breakpoint_locations(c).await.map(Some),
            "configurationDone" => return self.configuration_done(c).await.map(|()| None),
            "threads" => return self.threads().await.map(Some),
            "source" => return self.source(c).await.map(Some),
            "loadedSources" => return self.loaded_sources().await.map(Some),
            "modules" => return Ok(Some(self.modules())),
            _ => {}
        }
        if self.running {
            return Err(Trouble::new(
                id::RUNNING,
                &format!("Unable to process `{command}`"),
                match command {
                    "dataBreakpointInfo" | "setDataBreakpoints" => {
                        "Can not set data breakpoints while the process is running"
                    }
                    _ => "debuggee is running",
                },
            ));
        }
        match command {
            "continue" => self.resume(c).await.map(|()| None),
            "next" | "stepIn" | "stepOut" => self.step(c).await.map(|()| None),
            "setDataBreakpoints" => self.set_data_breakpoints(c).await.map(Some),
            "dataBreakpointInfo" => self.data_breakpoint_info(c).await.map(Some),
            "stackTrace" => self.stack_trace(c).await.map(Some),
            "scopes" => self.scopes(c).await.map(Some),
            "variables" => self.variables(c).await.map(Some),
            "evaluate" => self.evaluate(c).await.map(Some),
            "setVariable" => self.set_variable(c).await.map(Some),
            "setExpression" => self.set_expression(c).await.map(Some),
            "completions" => self.completions(c).await.map(Some),
            "exceptionInfo" => self.exception_info(c).await.map(Some),
            "disassemble" => self.disassemble(c).await.map(Some),
            "readMemory" => self.read_memory(c).await.map(Some),
            "writeMemory" => self.write_memory(c).await.map(|()| None),
            "gotoTargets" => self.goto_targets(c).await.map(Some),
            "goto" => self.goto(c).await.map(|()| None),
            _ => Err(unsupported(c)),
        }
    }

    fn initialize(&mut self, c: &Call) -> Result<Value, Trouble> {
        let a: Initialize = c.args()?;
        let no = |why: String| Err(Trouble::new(id::INITIALIZE, "Failed to initialize", why));
        if a.path_format != "path" {
            return no(format!("Unsupported 'pathFormat' value '{}'.", a.path_format));
        }
        if !a.lines_start_at1 {
            return no("Only 1-based line numbers are supported.".into());
        }
        if !a.columns_start_at1 {
            return no("Only 1-based column numbers are supported.".into());
        }
        self.editor = a;
        Ok(json!({
            "supportsConfigurationDoneRequest": true,
            "supportsFunctionBreakpoints": true,
            "supportsConditionalBreakpoints": true,
            "supportsHitConditionalBreakpoints": true,
            "supportsLogPoints": true,
            "supportsInstructionBreakpoints": true,
            "supportsDataBreakpoints": true,
            "supportsBreakpointLocationsRequest": true,
            "supportsExceptionInfoRequest": true,
            "supportsDelayedStackTraceLoading": true,
            "supportsEvaluateForHovers": true,
            "supportsClipboardContext": true,
            "supportsSetVariable": true,
            "supportsSetExpression": true,
            "supportsCompletionsRequest": true,
            "completionTriggerCharacters": ["."],
            "supportsSteppingGranularity": true,
            "supportsGotoTargetsRequest": true,
            "supportsDisassembleRequest": true,
            "supportsReadMemoryRequest": true,
            "supportsWriteMemoryRequest": true,
            "supportsLoadedSourcesRequest": true,
            "supportsModulesRequest": true,
            "supportsRestartRequest": true,
            "supportsTerminateRequest": true,
            "supportTerminateDebuggee": false,
            "supportsStepBack": false,
            "exceptionBreakpointFilters": [
                {"filter": "unrecovered-panic", "label": "Unrecovered Panics", "default": true},
                {"filter": "runtime-fatal-throw", "label": "Fatal Throws", "default": true},
            ],
        }))
    }

    /// Asks the host and waits; for what is answered at once.
    pub async fn ask(&mut self, request: Request) -> Result<Reply, Failure> {
        let Some(host) = &mut self.host else { return Err(no_session()) };
        let want = host.send(request);
        loop {
            let heard = hear_host(&mut self.host).await;
            if let Some(result) = self.answer_in(heard, want) {
                return result;
            }
        }
    }

    /// The answer to request `want`, if that is what was heard from the host; news are kept for later.
    fn answer_in(&mut self, heard: Option<FromHost>, want: u64) -> Option<Result<Reply, Failure>> {
        match heard {
            None => {
                self.lost_host();
                return Some(Err(Failure::new(FailureKind::Host, "the host process went away")));
            }
            Some(FromHost::Reply { id, result }) if id == want => return Some(result),
            Some(FromHost::Reply { .. }) => {}
            Some(FromHost::Notice(n)) => self.news.push_back(n),
        }
        None
    }

    /// Asks for what may take long: an editor that leaves meanwhile is heard. With `pausable`, so is its wish to stop.
    pub async fn ask_long(&mut self, request: Request, pausable: bool) -> Result<Reply, Failure> {
        let Some(host) = &mut self.host else { return Err(no_session()) };
        let want = host.send(request);
        loop {
            tokio::select! {
                heard = hear_host(&mut self.host) => {
                    if let Some(result) = self.answer_in(heard, want) {
                        return result;
                    }
                }
                i = self.inbox.recv() => {
                    if self.interrupts(i.unwrap_or(Incoming::End(None)), pausable) {
                        return Err(Failure::new(FailureKind::Cancelled, "the editor ended the session"));
                    }
                }
            }
        }
    }

    /// Something came in while the session is busy: is that the end of what it does? Everything else waits.
    pub fn interrupts(&mut self, i: Incoming, pausable: bool) -> bool {
        match i {
            Incoming::End(_) => {
                self.over = true;
                true
            }
            Incoming::Call(c) if matches!(c.command.as_str(), "disconnect" | "terminate") => {
                self.backlog.push_front(Incoming::Call(c));
                true
            }
            Incoming::Call(c) if pausable && c.command == "pause" => {
                if let Some(host) = &mut self.host {
                    host.send(Request::Pause);
                }
                self.out.respond(&c, Value::Null);
                false
            }
            other => {
                self.backlog.push_back(other);
                false
            }
        }
    }

    fn lost_host(&mut self) {
        self.host = None;
        if self.phase != Phase::Ended && self.phase != Phase::New {
            self.out.console("the host process went away; the program was let go");
            self.ended();
        }
    }

    /// The session's target is no more.
    pub fn ended(&mut self) {
        self.running = false;
        if self.phase != Phase::Ended {
            self.phase = Phase::Ended;
            self.out.event("terminated", json!({}));
        }
    }

    /// Numbers of frames and values are good for one stop.
    pub fn forget_handles(&mut self) {
        self.frames.clear();
        self.values.clear();
        self.targets.clear();
        self.exception = None;
    }

    /// How much of a value is read at once.
    pub fn limits(&self) -> LoadLimits {
        let or = |n: u32, default| if n == 0 { default } else { n };
        LoadLimits {
            string: or(self.config.max_string_len, 512),
            elements: or(self.config.max_array_values, 64),
            fields: u32::MAX,
            depth: 1,
        }
    }

    /// The frame that a number stands for; the current goroutine's innermost one for none.
    pub fn frame(&self, frame_id: Option<i64>) -> Option<FrameRef> {
        self.frames.get(usize::try_from(frame_id? - FIRST_HANDLE).ok()?).copied()
    }

    /// The goroutine that a thread's number stands for.
    pub fn goroutine(thread_id: i64) -> Option<GoroutineId> {
        u64::try_from(thread_id).ok().filter(|n| *n > 0).map(GoroutineId)
    }

    /// The number by which the editor knows the goroutine of the stop.
    pub fn thread_of_stop(&self) -> i64 {
        self.stop.as_ref().and_then(|s| s.goroutine).map_or(0, |g| g.0 as i64)
    }

    fn show_printed(&mut self, p: Printed) {
        self.out.printed(p.category, &p.text);
    }

    /// What has been read of the program's output so far.
    pub fn drain_printed(&mut self) {
        while let Ok(p) = self.printed.try_recv() {
            self.show_printed(p);
        }
    }
}

/// The next message of the host; never, without one.
async fn hear_host(host: &mut Option<Client>) -> Option<FromHost> {
    match host {
        Some(h) => h.recv().await,
        None => std::future::pending().await,
    }
}

pub(super) fn no_session() -> Failure {
    Failure::new(FailureKind::BadState, "no debug session started")
}

pub(super) fn unsupported(c: &Call) -> Trouble {
    Trouble::new(id::UNSUPPORTED, "Unsupported command", format!("cannot process {:?} request", c.command))
}

/// A reply that does not belong to its request.
pub(super) fn unexpected(summary: &str) -> Trouble {
    Trouble::new(id::INTERNAL, summary, "the host answered something else than it was asked")
}

/// What went wrong with something asked of the host.
pub(super) fn failed(id: i64, summary: &str) -> impl Fn(Failure) -> Trouble + '_ {
    move |f| Trouble::new(id, summary, sentence(&f))
}
