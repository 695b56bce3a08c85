//! The program runs: what is out, what it comes back with, and short stops in between for what Delve does only then.

use super::breakpoints::open;
use super::client::{Answer, CallError, decode};
use super::driver::{Driver, Event, Run};
use super::reader::scope_of;
use super::stops::{self, Asked};
use super::values;
use super::wire::{self, Command};
use super::worker::{Go, Job};
use crate::backend::protocol::*;
use crate::base::StopEpoch;
use crate::model::Variable;
use serde_json::json;
use std::collections::VecDeque;
use std::time::Instant;

/// One time of running.
#[derive(Default)]
pub(super) struct Going {
    /// What for.
    pub asked: Asked,
    /// The request that gets `Done` when it begins.
    begun_by: Option<u64>,
    /// The command is with Delve.
    sent: bool,
    /// Commands that follow it.
    more: VecDeque<Command>,
    /// Somebody asked for a stop.
    pub paused: bool,
    /// When.
    halted: Option<Instant>,
    /// It was stopped for changes that the reader has already.
    pub for_changes: bool,
    /// Requests that need a short stop.
    interlude: Vec<(u64, Request)>,
    /// The request that waits for a call's result.
    pub call: Option<u64>,
    /// Why the call was not made.
    pub no_call: Option<Failure>,
    /// A breakpoint for this once.
    pub temporary: Option<i32>,
    /// To be started again when it stands.
    pub restart: Option<(u64, Option<Vec<String>>)>,
    /// Another client let it run.
    foreign: bool,
}

impl Going {
    /// It ran when we came, or another client let it run.
    pub fn foreign() -> Going {
        Going { sent: true, foreign: true, ..Going::default() }
    }

    /// It runs, and nobody has asked for a stop, short or long.
    pub fn undisturbed(&self) -> bool {
        self.sent && self.halted.is_none() && !self.paused && self.interlude.is_empty() && !self.for_changes
    }
}

impl Driver<'_> {
    /// Lets the program go on.
    pub(super) fn go(&mut self, id: u64, go: Go) {
        let refused = match &self.run {
            _ if self.describing => Some("the program is stopping"),
            Run::Going(_) => Some("the program runs already"),
            Run::Exited => Some("the process is gone"),
            Run::Stopped => None,
        };
        if let Some(why) = refused {
            return self.outbox.reply(id, Err(Failure::new(FailureKind::BadState, why)));
        }
        let call = matches!(go, Go::Call(..));
        self.run = Run::Going(Box::new(Going {
            asked: go.asked(),
            begun_by: (!call).then_some(id),
            call: call.then_some(id),
            ..Going::default()
        }));
        let step_in_progress = self.state.step_in_progress;
        self.job(Job::Prepare { go, step_in_progress });
    }

    /// Everything before is done: off it goes.
    pub(super) fn ready(&mut self, r: Result<(Vec<Command>, Option<i32>), Failure>) {
        let Run::Going(g) = &mut self.run else { return };
        let (commands, temporary) = match r {
            Ok(r) => r,
            Err(f) => {
                let told = g.begun_by.or(g.call);
                self.run = Run::Stopped;
                return match told {
                    Some(id) => self.outbox.reply(id, Err(f)),
                    None => self.outbox.notice(Notice::Log { level: LogLevel::Error, text: f.message }),
                };
            }
        };
        g.more = commands.into();
        g.temporary = temporary.or(g.temporary);
        // A short stop's end is nobody's news.
        let news = g.begun_by.is_some() || g.call.is_some();
        if let Some(id) = g.begun_by.take() {
            self.outbox.reply(id, Ok(Reply::Done));
        }
        if news {
            self.epoch = StopEpoch(self.epoch.0 + 1);
            self.outbox.notice(Notice::Resumed { epoch: self.epoch });
        }
        self.next_command();
    }

    fn next_command(&mut self) {
        let Run::Going(g) = &mut self.run else { return };
        let Some(command) = g.more.pop_front() else { return };
        g.sent = true;
        let wanted = g.paused || !g.interlude.is_empty();
        let inbox = self.inbox.clone();
        self.control.send("Command", command, move |a| inbox.put(Event::Back(a)));
        if wanted {
            self.halt();
        }
    }

    /// Asks Delve to stop the program; the command that is out then comes back.
    pub(super) fn halt(&mut self) {
        let Run::Going(g) = &mut self.run else { return };
        if !g.sent {
            return;
        }
        g.halted = Some(Instant::now());
        let inbox = self.inbox.clone();
        self.control.send("Command", json!({"name": "halt"}), move |a| inbox.put(Event::Halted(a)));
    }

    pub(super) fn pause(&mut self, id: u64) {
        match &mut self.run {
            Run::Going(g) => {
                g.paused = true;
                self.halt();
                self.outbox.reply(id, Ok(Reply::Done));
            }
            Run::Stopped => {
                self.outbox.reply(id, Ok(Reply::Done));
                if let Some(s) = self.stop.clone().filter(|_| !self.describing) {
                    self.outbox.notice(Notice::Stopped(Box::new(s)));
                }
            }
            Run::Exited => self.outbox.reply(id, Err(Failure::new(FailureKind::Gone, "the process is gone"))),
        }
    }

    /// A change that Delve makes only while the program stands: it is stopped for it, and goes on.
    pub(super) fn interlude(&mut self, id: u64, r: Request) {
        let Run::Going(g) = &mut self.run else { return };
        let first = g.interlude.is_empty();
        g.interlude.push((id, r));
        if first {
            self.halt();
        }
    }

    /// The command has come back: the program stands, or is no more.
    pub(super) fn back(&mut self, a: Answer) {
        match decode::<wire::StateOut>("Command", a) {
            Ok(out) => self.came_back(out.state.unwrap_or_default()),
            // The connection's end is told by itself.
            Err(CallError::Lost(_)) => {}
            Err(CallError::Refused(why)) => {
                if let Some(status) = exit_status(&why) {
                    return self.exited(status);
                }
                let inbox = self.inbox.clone();
                let tell = move |a| inbox.put(Event::Refused(why, a));
                self.control.send("State", json!({"NonBlocking": false}), tell);
            }
            Err(e) => {
                self.outbox.notice(Notice::Log { level: LogLevel::Error, text: e.to_string() });
                let inbox = self.inbox.clone();
                let tell = move |a| inbox.put(Event::Refused(String::new(), a));
                self.control.send("State", json!({"NonBlocking": false}), tell);
            }
        }
    }

    /// Delve did not go on, or gave up: the program stands.
    pub(super) fn refused(&mut self, why: String, a: Answer) {
        match decode::<wire::StateOut>("State", a) {
            Ok(out) => {
                let state = out.state.unwrap_or_default();
                let met = state.thread.as_ref().is_some_and(|t| t.breakpoint.is_some());
                let (mut asked, mut call) = (Asked::Run, None);
                if let Run::Going(g) = &mut self.run {
                    (asked, call) = (g.asked, g.call);
                    g.no_call = call.map(|_| Failure::new(FailureKind::Unavailable, why.clone()));
                }
                if call.is_none() && !met && !why.is_empty() {
                    self.outbox.notice(Notice::Log { level: LogLevel::Error, text: why.clone() });
                }
                let trouble = (met && call.is_none() && asked == Asked::Run && !why.is_empty()).then_some(why);
                self.answer_interlude();
                self.stood(state, Asked::Run, true, trouble, 0);
            }
            Err(CallError::Refused(why)) => match exit_status(&why) {
                Some(status) => self.exited(status),
                None => self.outbox.notice(Notice::Log { level: LogLevel::Error, text: why }),
            },
            Err(_) => {}
        }
    }

    fn came_back(&mut self, state: wire::State) {
        if state.exited {
            return self.exited(state.exit_status);
        }
        let Run::Going(g) = &mut self.run else { return };
        g.sent = false;
        let (hits, seen) = stops::hits(&state, &mut open(&self.book));
        let ended = self.tell_hits(&state, hits, seen);
        let Run::Going(g) = &mut self.run else { return };
        let nobody = stops::nobody_asked(&state) && !ended;
        let stepping = g.asked == Asked::Step && !state.step_in_progress;
        let met = state.threads.iter().any(|t| t.breakpoint.is_some());
        let wanted = g.paused || g.restart.is_some();
        if !g.more.is_empty() && !met && !wanted {
            return self.next_command();
        }
        // Our own short stop and nothing else.
        let only_us =
            (g.for_changes || !g.interlude.is_empty()) && !met && g.asked == Asked::Run && state.watch_ended.is_empty();
        if (only_us || (nobody && !stepping)) && !wanted {
            self.answer_interlude();
            return self.job(Job::Prepare { go: Go::Again, step_in_progress: false });
        }
        let stop_us = g.halted.map_or(0, |t| t.elapsed().as_micros() as u64);
        let (asked, paused) = (g.asked, g.paused);
        self.answer_interlude();
        self.stood(state, asked, paused, None, stop_us);
    }

    fn answer_interlude(&mut self) {
        let Run::Going(g) = &mut self.run else { return };
        g.halted = None;
        g.for_changes = false;
        let epoch = self.epoch;
        for (id, request) in std::mem::take(&mut g.interlude) {
            self.job(Job::Answer { id, epoch, request });
        }
    }

    /// Passes records on; true when one of them is to stop the program.
    fn tell_hits(
        &mut self,
        state: &wire::State,
        hits: Vec<crate::model::Hit>,
        seen: Vec<crate::model::Breakpoint>,
    ) -> bool {
        let mut stop = false;
        let mut over = Vec::new();
        {
            let mut book = open(&self.book);
            for b in &seen {
                let most = b.spec.actions.stop_after;
                if most == 0 || !state.threads.iter().any(|t| t.breakpoint.as_ref().is_some_and(|x| x.id == b.id.0)) {
                    continue;
                }
                let n = book.counted.entry(b.id.0).or_default();
                *n += 1;
                if *n >= most {
                    match b.spec.actions.run_on {
                        true => over.push(b.id.0),
                        false => stop = true,
                    }
                }
            }
        }
        for b in seen {
            self.outbox.notice(Notice::Breakpoint(Box::new(b)));
        }
        if !hits.is_empty() {
            self.outbox.notice(Notice::Hits { hits, lost: 0 });
        }
        over.into_iter().for_each(|id| self.job(Job::Disable(id)));
        stop
    }

    /// Waits for what another client began: `State` without `NonBlocking` comes back when the program stands.
    pub(super) fn watch_foreign(&mut self) {
        let inbox = self.inbox.clone();
        self.control.send("State", json!({"NonBlocking": false}), move |a| inbox.put(Event::Foreign(a)));
    }

    pub(super) fn foreign_back(&mut self, a: Answer) {
        if !matches!(&self.run, Run::Going(g) if g.foreign) {
            return;
        }
        match decode::<wire::StateOut>("State", a) {
            Ok(out) if out.state.as_ref().is_some_and(|s| s.running) => self.watch_foreign(),
            Ok(out) => {
                let state = out.state.unwrap_or_default();
                match &mut self.run {
                    // It is ours from here on: a short stop of ours ends with our own command.
                    Run::Going(g) => g.foreign = false,
                    _ => return,
                }
                self.came_back(state);
            }
            Err(CallError::Refused(why)) => match exit_status(&why) {
                Some(status) => self.exited(status),
                None => self.outbox.notice(Notice::Log { level: LogLevel::Error, text: why }),
            },
            Err(_) => {}
        }
    }
}

/// `Process 12 has exited with status 3`.
fn exit_status(text: &str) -> Option<i32> {
    text.rsplit_once("has exited with status ")?.1.trim().parse().ok()
}

/// Results of a call, from the state after it.
pub(super) fn called(state: &wire::State, epoch: StopEpoch) -> Result<Reply, Failure> {
    let thread =
        state.thread.as_ref().filter(|t| t.call_return).or_else(|| state.threads.iter().find(|t| t.call_return));
    let Some(t) = thread else {
        return Err(Failure::new(FailureKind::Unavailable, "the call was interrupted and has not returned yet")
            .fix("continue: it goes on with the call"));
    };
    let scope = scope_of(FrameRef::default());
    let one = |v: &wire::Variable| {
        let v = values::row(v, v.name.clone(), String::new(), scope).0;
        Variable { children: 0, ..v }
    };
    // Delve names the value of a panic so.
    let panicked = t.returned.iter().find(|v| v.name == "~panic").map(|v| Box::new(one(v)));
    let values = if panicked.is_some() { Vec::new() } else { t.returned.iter().map(one).collect() };
    Ok(Reply::Called { epoch, values, panicked })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_are_recognised() {
        assert_eq!(exit_status("Process 12 has exited with status 3"), Some(3));
        assert_eq!(exit_status("no such thing"), None);
    }
}
