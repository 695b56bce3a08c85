//! The inspector: a thread that answers everything that only reads the target, from the state of its threads at the moment
//! of the question.

mod code;
mod data;
mod deep;
mod goroutines;
mod instructions;
mod names;
mod trees;
mod watched;

use super::no_target;
use crate::backend::outbox::Out;
use crate::backend::protocol::*;
use crate::engine::inject::Again;
use crate::engine::watch::Data;
use crate::engine::{Loaded, StopState};
use crate::eval::Plan;
use crate::model::{Breakpoint, Location};
use crate::target::linux::polite;
pub(super) use data::limits;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// One question.
pub(super) struct Job {
    pub id: u64,
    pub request: Request,
    pub state: Arc<StopState>,
    pub breakpoints: Vec<Breakpoint>,
    pub out: Out,
}

enum Message {
    Job(Box<Job>),
    /// What was read is old.
    Forget,
}

/// The inspector's handle on the engine thread. Dropping it ends the thread.
pub(super) struct Inspector {
    jobs: Sender<Message>,
    deep: Sender<Message>,
    loaded: Loaded,
}

impl Inspector {
    pub fn start(loaded: Loaded) -> Inspector {
        let (jobs, rx) = channel();
        let worker = Worker::new(loaded.clone());
        polite::readers();
        let looks = move || {
            polite::this_thread();
            worker.run(&rx);
        };
        let spawned = std::thread::Builder::new().name("inspect".into()).spawn(looks);
        if let Err(e) = spawned {
            tracing::error!("no inspector thread: {e}"); // requests then fail one by one in `send`
        }
        let (deep, rx) = channel();
        let worker = deep::Deep::new(Worker::new(loaded.clone()));
        let diagnoses = move || {
            polite::this_thread();
            worker.run(&rx);
        };
        if let Err(e) = std::thread::Builder::new().name("diagnose".into()).spawn(diagnoses) {
            tracing::error!("no diagnosis thread: {e}");
        }
        Inspector { jobs, deep, loaded }
    }

    pub fn send(&self, job: Job) {
        let (id, out) = (job.id, job.out.clone());
        let to = if deep::is_deep(&job.request) { &self.deep } else { &self.jobs };
        if to.send(Message::Job(Box::new(job))).is_err() {
            let _client_is_slow_or_gone = out.try_send(FromHost::Reply { id, result: Err(no_target()) });
        }
    }

    pub fn forget(&self) {
        let _thread_is_gone = self.jobs.send(Message::Forget);
    }

    /// The value of an integer expression in a frame; two's complement where it is negative.
    pub fn number(&self, state: &Arc<StopState>, frame: FrameRef, expression: &str) -> Result<u64, Failure> {
        let text = expression.trim();
        let plain = match text.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => text.parse().ok(),
        };
        match plain {
            Some(n) => Ok(n),
            None => Worker::new(self.loaded.clone()).number(state, frame, text),
        }
    }

    /// The data that an expression stands for, to be watched.
    pub fn watched(&self, state: &Arc<StopState>, frame: FrameRef, expression: &str) -> Result<Data, Failure> {
        Worker::new(self.loaded.clone()).watched(state, frame, expression)
    }

    /// What a call expression asks for, in a frame.
    pub fn call_plan(&self, state: &Arc<StopState>, frame: FrameRef, expression: &str) -> Result<Plan, Failure> {
        let w = Worker::new(self.loaded.clone());
        let cx = w.context(state, frame)?;
        crate::eval::plan_call(&cx, expression).map_err(|e| data::bad_expression(&e))
    }

    /// Does the same again, later: from the frame as it was, and memory as it is then.
    pub fn planner(&self, state: &Arc<StopState>, frame: FrameRef, expression: &str) -> Again {
        let (w, state, expression) = (Worker::new(self.loaded.clone()), state.clone(), expression.to_string());
        Box::new(move || crate::eval::plan_call(&w.context(&state, frame).ok()?, &expression).ok())
    }

    /// Where a frame is, for relative breakpoint locations.
    pub fn location_of(&self, state: &StopState, frame: FrameRef) -> Option<Arc<Location>> {
        let w = Worker::new(self.loaded.clone());
        w.stack_of(state, frame.goroutine, frame.frame + 1, false)
            .ok()?
            .frames
            .get(frame.frame as usize)
            .map(|f| f.at.clone())
    }
}

/// The inspector's own state.
struct Worker {
    loaded: Loaded,
    lists: goroutines::Lists,
    values: data::Values,
}

impl Worker {
    fn new(loaded: Loaded) -> Worker {
        Worker { loaded, lists: goroutines::Lists::default(), values: data::Values::default() }
    }

    fn run(mut self, rx: &Receiver<Message>) {
        while let Ok(m) = rx.recv() {
            match m {
                Message::Forget => self.lists.forget(),
                Message::Job(job) => {
                    let Job { id, request, state, breakpoints, out } = *job;
                    let result = self.answer(request, &state, &breakpoints);
                    if out.blocking_send(FromHost::Reply { id, result }).is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn answer(
        &mut self,
        request: Request,
        state: &Arc<StopState>,
        breakpoints: &[Breakpoint],
    ) -> Result<Reply, Failure> {
        self.values.at(state.epoch);
        match request {
            Request::Goroutines(q) => self.goroutines(state, &q),
            Request::Groups(q) => self.groups(state, &q),
            Request::GroupMembers { query, key, start, count } => self.group_members(state, &query, key, start, count),
            Request::GoroutinesById { ids } => self.goroutines_by_id(state, &ids),
            Request::Stack { goroutine, depth, defers } => {
                self.stack_of(state, goroutine, depth, defers).map(|stack| Reply::Stack { epoch: state.epoch, stack })
            }
            Request::Scope { frame, limits } => self.scope(state, frame, limits),
            Request::Children { handle, start, count, limits } => self.children(state, handle, start, count, limits),
            Request::Eval { frame, expression, limits } => self.eval(state, frame, &expression, limits),
            Request::Set { frame, expression, value } => self.set(state, frame, &expression, &value),
            Request::PackageVariables { filter, limits } => self.package_variables(state, &filter, limits),
            Request::Source { file } => self.source(&file),
            Request::CodeLines { file } => Ok(self.code_lines(file)),
            Request::Disassemble { frame } => self.disassemble(state, frame, breakpoints),
            Request::Symbols { kind, filter, count } => Ok(self.symbols(kind, &filter, count)),
            Request::Threads => Ok(self.threads(state)),
            Request::Memory { addr, len } => self.memory(addr, len),
            Request::Values { of, limits } => self.trees(state, of, limits),
            Request::Code { addr, before, count } => self.code(addr, before, count, breakpoints),
            Request::GoroutineNames(filter) => self.goroutine_names(state, &filter),
            Request::Registers(frame) => self.registers(state, frame),
            other => Err(Failure::new(FailureKind::Internal, format!("not a question for the inspector: {other:?}"))),
        }
    }
}
