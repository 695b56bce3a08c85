//! Stepping where many goroutines run the same code.
//!
//! Each of them meets the step's breakpoints and has to be taken past them, and the runtime preempts the one that is stepped as soon as
//! it goes on, since it has been on its processor all the time that it was stopped (`forcePreemptNS` of runtime/proc.go is 10 ms): it
//! queues up behind all others. So where such a crowd was met, two things are done until the user goes on otherwise than by steps.
//! The thread that is stepped goes on a little ahead of the others. And a debug register watches the status of the stepped goroutine
//! (`g.atomicstatus`): while it does not run, nobody meets the step's breakpoints, since they are taken out.
//!
//! Few goroutines are no crowd: what they do during a step may be what the user wants to see.

use super::{Engine, EngineError};
use crate::base::{BreakpointId, GoroutineId, LoadAddr, Memory, Tid};
use crate::goruntime::g::{self, status};
use crate::target::linux::debugreg::Watched;
use std::time::{Duration, Instant};

/// So many other goroutines at the points of one step are a crowd.
const CROWD: usize = 8;
/// How far ahead of the others the stepped thread goes.
const AHEAD: Duration = Duration::from_millis(2);
/// Whose the debug register is that watches the status.
pub(super) const STATUS: BreakpointId = BreakpointId(-3);

/// What is known of the others.
#[derive(Default)]
pub(super) struct Crowd {
    /// Others that came to the points of this step; not more than make a crowd.
    met: Vec<GoroutineId>,
    /// There is one, until the user goes on otherwise than by steps.
    there: bool,
    /// The thread that goes first when the program goes on.
    ahead: Option<Tid>,
    /// `g.atomicstatus` of the stepped goroutine.
    status: Option<LoadAddr>,
    /// A debug register watches it.
    watched: bool,
    /// It does not run.
    away: bool,
}

impl Crowd {
    /// A goroutine came to a point of somebody else's step: has it become a crowd by that?
    fn meet(&mut self, id: Option<GoroutineId>) -> bool {
        let Some(id) = id.filter(|id| !self.there && !self.met.contains(id)) else { return false };
        self.met.push(id);
        self.there = self.met.len() >= CROWD;
        self.there
    }

    /// A step begins, of the goroutine with this status word, which stands on this thread if it is on one.
    fn step(&mut self, tid: Option<Tid>, status: Option<LoadAddr>) {
        self.met.clear();
        self.ahead = tid.filter(|_| self.there);
        self.status = status;
    }

    /// What a debug register should watch.
    pub fn to_watch(&self) -> Option<Watched> {
        let addr = self.status.filter(|_| self.there)?;
        Some(Watched { addr, len: 4, reads: false })
    }

    /// A debug register was, or was not, to be had for it.
    pub fn is_watched(&mut self, yes: bool) {
        self.watched = yes;
        self.away &= yes;
    }

    /// Nobody can come to the step's points whom they are for.
    pub fn away(&self) -> bool {
        self.away
    }
}

impl Engine {
    /// Somebody else came to a point of the step. Should the program be stopped for a moment, for a debug register to be set?
    pub(super) fn meets_step(&mut self, id: Option<GoroutineId>) -> bool {
        let news = self.crowd.meet(id) && self.crowd.status.is_some();
        self.replan |= news;
        news
    }

    /// A step of the goroutine whose `runtime.g` is here begins, on this thread if it is on one.
    pub(super) fn crowd_steps(&mut self, tid: Option<Tid>, g: LoadAddr) -> Result<(), EngineError> {
        let status = (!g.is_nil()).then(|| g.add(self.rt.layout().g.status));
        self.crowd.step(tid, status);
        self.plan_watches()?;
        self.look_at_status();
        Ok(())
    }

    /// The step is over: nobody is followed.
    pub(super) fn crowd_waits(&mut self) {
        self.replan |= self.crowd.watched;
        self.crowd.status = None;
        self.crowd.is_watched(false);
    }

    /// The user goes on, not by a step.
    pub(super) fn crowd_scatters(&mut self) {
        if self.step.is_none() {
            self.replan |= self.crowd.watched;
            self.crowd = Crowd::default();
        }
    }

    /// The stepped goroutine began to run, or stopped running: its points go in, or out.
    pub(super) fn status_written(&mut self) {
        if self.look_at_status()
            && let Err(e) = self.rearm()
        {
            self.happened.push(super::Happened::Note(format!("cannot plant the step's breakpoints: {e}")));
        }
    }

    /// Is the stepped goroutine away? Says whether that is news.
    pub(super) fn look_at_status(&mut self) -> bool {
        let before = self.crowd.away;
        let now = self.crowd.status.filter(|_| self.crowd.watched).and_then(|a| self.mem.read_u32(a).ok());
        // One that cannot be read may be running.
        self.crowd.away = now.is_some_and(|s| s & !g::SCAN_BIT != status::RUNNING);
        self.crowd.away != before
    }

    /// Lets the stepped thread go ahead, where there is a crowd. Events of it are dealt with as always; it may be a stop.
    pub(super) fn go_ahead(&mut self) -> Result<(), EngineError> {
        let Some(tid) = self.crowd.ahead.take().filter(|_| self.step.is_some()) else { return Ok(()) };
        self.tracer.resume(tid)?;
        let begun = Instant::now();
        while self.running && !self.gone && !self.crowd.away && begun.elapsed() < AHEAD {
            self.unhandled.extend(self.tracer.poll());
            // What is left when one of them stops everything is for `stand`.
            while let Some(e) = self.unhandled.pop_front() {
                self.event(e)?;
                if self.gone || !self.running {
                    return Ok(());
                }
            }
            std::thread::yield_now();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_no_crowd() {
        let mut c = Crowd::default();
        let word = Some(LoadAddr(0x1000));
        for _ in 0..100 {
            assert!(!(1..CROWD as u64).any(|g| c.meet(Some(GoroutineId(g)))) && !c.meet(None));
        }
        c.step(Some(Tid(1)), word);
        assert_eq!((c.ahead, c.to_watch()), (None, None));
        // A new step counts anew.
        assert!(!(101..100 + CROWD as u64).any(|g| c.meet(Some(GoroutineId(g)))));
        assert!(c.meet(Some(GoroutineId(200))), "that makes it one");
        assert!(!c.meet(Some(GoroutineId(201))), "it is one already");
        assert!(c.to_watch().is_some());
        c.step(Some(Tid(1)), word);
        assert_eq!(c.ahead, Some(Tid(1)));
    }
}
