//! The reader's thread: one job after the other, and pages of a long list in between.

use super::breakpoints::open;
use super::quirks::Feature;
use super::reader::{Reader, scope_of};
use super::stops::{Asked, Stood};
use super::values;
use super::wire::{self, Command};
use crate::backend::protocol::*;
use crate::base::{BreakpointId, GoroutineId, LoadAddr, StopEpoch};
use crate::model::{BreakpointSpec, Stop};
use crate::symbols::Symbols;
use serde_json::json;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};

/// What the thread is to do.
pub enum Job {
    /// Answer a request at a stop.
    Answer {
        /// Its number.
        id: u64,
        /// The stop.
        epoch: StopEpoch,
        /// What is asked.
        request: Request,
    },
    /// Everything before has been done; get ready to go on.
    Prepare {
        /// How to go on.
        go: Go,
        /// A step is under way that something interrupted.
        step_in_progress: bool,
    },
    /// Say why the program stands.
    Describe {
        /// What Delve says.
        stood: Box<Stood>,
        /// The number of the stop.
        epoch: StopEpoch,
    },
    /// Take breakpoints away that have done what they were for.
    Clear(Vec<i32>),
    /// Switch one off that has been met often enough.
    Disable(i32),
    /// Nothing comes after this: say that all before is done.
    Finish(Sender<()>),
    /// What is known of the program now that it stands.
    Know {
        /// Its Go release, as its compiler wrote it.
        go: String,
        /// Its file, where it is at hand.
        local: Option<Arc<Symbols>>,
        /// It runs on this machine.
        same_machine: bool,
    },
}

/// How to go on.
#[derive(Clone, Debug)]
pub enum Go {
    /// As a user asked.
    Resume(ResumeKind, Option<GoroutineId>),
    /// By calling a function.
    Call(FrameRef, String, LoadLimits),
    /// As if nothing had been.
    Again,
}

/// What the thread has to say.
pub enum Said {
    /// An answer.
    Reply(u64, Result<Reply, Failure>),
    /// So many rows of the list are here.
    Rows(usize),
    /// Ready to go on with these commands, one after the other; a breakpoint that is for this once.
    Ready(Result<(Vec<Command>, Option<i32>), Failure>),
    /// Why the program stands.
    Described(Box<Stop>),
    /// It stands elsewhere: a jump.
    Jumped(Box<wire::State>),
    /// A breakpoint is no more.
    Gone(BreakpointId),
}

/// Works until nobody sends jobs any more.
pub fn work(mut reader: Reader, jobs: &Receiver<Job>, say: &dyn Fn(Said)) {
    loop {
        let job = if reader.lists.pending() {
            match jobs.try_recv() {
                Ok(j) => Some(j),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => return,
            }
        } else {
            match jobs.recv() {
                Ok(j) => Some(j),
                Err(_) => return,
            }
        };
        match job {
            Some(j) => reader.job(j, say),
            None => {
                let (late, rows) = reader.read_page();
                if rows > 0 {
                    say(Said::Rows(rows));
                }
                late.into_iter().for_each(|(id, r)| say(Said::Reply(id, r)));
            }
        }
    }
}

fn command(name: &'static str) -> Command {
    Command { name, goroutine: 0, returned: Some(values::config(LoadLimits::default(), 0)), expression: String::new() }
}

impl Reader {
    fn job(&mut self, job: Job, say: &dyn Fn(Said)) {
        match job {
            Job::Answer { id, epoch, request } => {
                self.at(epoch).into_iter().for_each(|(id, r)| say(Said::Reply(id, r)));
                self.request(id, request, say);
            }
            Job::Prepare { go, step_in_progress } => {
                self.lists.give_up().into_iter().for_each(|(id, r)| say(Said::Reply(id, r)));
                say(Said::Ready(self.prepare(go, step_in_progress)));
            }
            Job::Describe { stood, epoch } => {
                self.at(epoch).into_iter().for_each(|(id, r)| say(Said::Reply(id, r)));
                let stop = self.describe(&stood, epoch);
                say(Said::Described(Box::new(stop)));
            }
            Job::Clear(ids) => {
                for id in ids {
                    // One that is gone already is as good.
                    let _gone_already = self.clear_breakpoint(BreakpointId(id));
                    say(Said::Gone(BreakpointId(id)));
                }
            }
            Job::Disable(id) => {
                let spec = open(self.book()).asked.get(&id).cloned();
                if let Some(s) = spec {
                    let off = BreakpointSpec { enabled: false, ..s };
                    // It then counts on, as it would have.
                    let _still_on = self.edit_breakpoint(BreakpointId(id), &off);
                }
            }
            Job::Finish(done) => drop(done.send(())),
            Job::Know { go, local, same_machine } => self.know(&go, local, same_machine),
        }
    }

    fn request(&mut self, id: u64, request: Request, say: &dyn Fn(Said)) {
        let result = match request {
            r @ (Request::Goroutines(_)
            | Request::Groups(_)
            | Request::GroupMembers { .. }
            | Request::GoroutinesById { .. }
            | Request::GoroutineNames(_)
            | Request::Diagnose(_)) => {
                if let Some((id, r)) = self.ask_list(id, r) {
                    say(Said::Reply(id, r));
                }
                return;
            }
            Request::SetBreakpoint { spec, frame } => self.set_breakpoint(&spec, frame),
            Request::EditBreakpoint { id, spec } => self.edit_breakpoint(id, &spec),
            Request::ClearBreakpoint(id) => self.clear_breakpoint(id).map(|()| Reply::Done),
            Request::Breakpoints => self.breakpoints().map(Reply::Breakpoints),
            Request::CancelStep => self.call::<serde_json::Value>("CancelNext", json!({})).map(|_| Reply::Done),
            Request::Jump { goroutine, to } if self.quirks().has(Feature::Jump) => match self.jump(goroutine, &to) {
                Ok(state) => {
                    say(Said::Reply(id, Ok(Reply::Done)));
                    return say(Said::Jumped(Box::new(state)));
                }
                Err(f) => Err(f),
            },
            r => self.answer(r),
        };
        say(Said::Reply(id, result));
    }

    fn jump(&self, goroutine: Option<GoroutineId>, to: &str) -> Result<wire::State, Failure> {
        self.select(goroutine)?;
        let (found, _) = self.find_location(to, FrameRef { goroutine, frame: 0 })?;
        let addr = found.first().map_or(0, |l| l.pcs.first().copied().unwrap_or(l.pc));
        let out: wire::StateOut = self.call("SetExecutionPoint", json!({"Addr": addr}))?;
        out.state.ok_or_else(|| Failure::new(FailureKind::Host, "Delve says nothing of where it stands now"))
    }

    /// Steps are the selected goroutine's.
    fn select(&self, goroutine: Option<GoroutineId>) -> Result<(), Failure> {
        let Some(g) = goroutine else { return Ok(()) };
        let id = scope_of(FrameRef { goroutine: Some(g), frame: 0 }).goroutine;
        let ask = json!({"name": "switchGoroutine", "goroutineID": id});
        self.call::<wire::StateOut>("Command", ask).map(drop)
    }

    fn prepare(&mut self, go: Go, step_in_progress: bool) -> Result<(Vec<Command>, Option<i32>), Failure> {
        let (kind, goroutine) = match go {
            Go::Again => return Ok((vec![command("continue")], None)),
            Go::Call(frame, expression, limits) => {
                let goroutine = frame.goroutine.map_or(0, |_| scope_of(frame).goroutine);
                let returned = Some(values::config(limits, 0));
                return Ok((vec![Command { goroutine, expression, returned, ..command("call") }], None));
            }
            Go::Resume(kind, goroutine) => (kind, goroutine),
        };
        if step_in_progress {
            if kind == ResumeKind::Next {
                // Delve goes on with it.
                return Ok((vec![command("continue")], None));
            }
            if kind != ResumeKind::Continue {
                self.call::<serde_json::Value>("CancelNext", json!({}))?;
            }
        }
        self.select(goroutine)?;
        let mut temporary = None;
        let commands = match kind {
            ResumeKind::Continue => vec![command("continue")],
            ResumeKind::Next => vec![command("next")],
            ResumeKind::Step => vec![command("step")],
            ResumeKind::StepOut => vec![command("stepOut")],
            ResumeKind::StepInstruction => vec![command("stepInstruction")],
            ResumeKind::NextInstruction if self.quirks().has(Feature::NextInstruction) => {
                vec![command("nextInstruction")]
            }
            ResumeKind::NextInstruction => match self.at_call()? {
                true => vec![command("stepInstruction"), command("stepOut")],
                false => vec![command("stepInstruction")],
            },
            ResumeKind::To(place) => {
                let spec = BreakpointSpec { temporary: true, ..BreakpointSpec::at(&place) };
                match self.set_breakpoint(&spec, FrameRef { goroutine, frame: 0 }) {
                    Ok(Reply::Breakpoint(b)) => temporary = Some(b.id.0),
                    Ok(_) => {}
                    // A breakpoint that is there already stops it as well.
                    Err(f) if f.message.contains("Breakpoint exists") => {}
                    Err(f) => return Err(f),
                }
                vec![command("continue")]
            }
        };
        Ok((commands, temporary))
    }

    /// Is a call about to be executed?
    fn at_call(&self) -> Result<bool, Failure> {
        let (frames, _) = self.frames(None, 1, false)?;
        let pc = frames.first().map_or(LoadAddr(0), |f| f.at.pc);
        let code = self.code_at(pc)?;
        let here = code.iter().find(|i| i.at.pc == pc.0);
        Ok(here.is_some_and(|i| i.text.trim_start().to_lowercase().starts_with("call")))
    }
}

impl Go {
    /// What a stop behind it is about.
    pub fn asked(&self) -> Asked {
        match self {
            Go::Call(..) => Asked::Call,
            Go::Resume(ResumeKind::Continue | ResumeKind::To(_), _) | Go::Again => Asked::Run,
            Go::Resume(..) => Asked::Step,
        }
    }
}
