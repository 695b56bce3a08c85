//! Setting the target going, and letting it go for good.

use super::stepover::clean_code;
use super::{Engine, EngineError, Happened, StopState};
use crate::arch::emulate::{Outcome, emulate};
use crate::base::{LoadAddr, StopEpoch, Tid};
use crate::engine::int3::Mechanism;
use crate::model::{Stop, StopReason};
use std::sync::Arc;

impl Engine {
    /// Every address that must trap while it runs, ascending.
    fn wanted(&mut self) -> Vec<LoadAddr> {
        // What can be a uprobe is one, unless somebody else needs its place.
        if self.table.iter().any(|l| l.probe != Some(false)) {
            let table = &self.table;
            let mut others: Vec<LoadAddr> =
                table.addresses(|id| table.get(id).is_some_and(|l| l.probe != Some(false))).collect();
            others.extend(self.stopping());
            others.sort_unstable();
            self.plan_probes(&others);
        }
        let mut v: Vec<LoadAddr> = self.table.addresses(|id| self.probes.contains_key(&id)).collect();
        v.extend(self.stopping());
        v.sort_unstable();
        v.dedup();
        v
    }

    /// Addresses that must stop whoever comes there, beside the user's breakpoints.
    fn stopping(&self) -> Vec<LoadAddr> {
        let mut v: Vec<LoadAddr> = self.own.keys().copied().collect();
        v.extend(self.entry);
        v.extend(&self.to);
        if let Some(s) = self.step.as_ref().filter(|_| !self.crowd.away()) {
            v.extend(s.addresses());
        }
        v
    }

    /// Brings the traps in the text up to date while the target runs.
    pub(super) fn rearm(&mut self) -> Result<(), EngineError> {
        if self.running && !self.gone {
            let wanted = self.wanted();
            if !wanted.is_empty() {
                self.say_armed(true);
                self.traps.raise_shield(&wanted, &self.mem)?;
            }
            let text = super::EngineText { sym: &self.sym, bias: self.bias, mem: &self.mem };
            self.traps.arm(&wanted, &text)?;
        }
        Ok(())
    }

    /// From a stop: threads whose hit was dealt with pass their breakpoint, traps are planted, all run.
    pub(super) fn run_again(&mut self) -> Result<(), EngineError> {
        if self.gone {
            return Ok(());
        }
        if std::mem::take(&mut self.replan) {
            self.plan_watches()?;
        }
        let wanted = self.wanted();
        let something = !wanted.is_empty() || !self.plan.is_empty();
        self.say_armed(something);
        if something {
            self.traps.raise_shield(&wanted, &self.mem)?;
        }
        let mut hit = None;
        let mut events = Vec::new();
        let standing: Vec<Tid> = self.tracer.threads().filter(|t| t.1.state.stands()).map(|t| t.0).collect();
        for tid in standing {
            self.arm_watches(tid)?;
        }
        for tid in std::mem::take(&mut self.dealt_with) {
            let stands = self.tracer.thread(tid).is_some_and(|t| t.state.stands());
            if !stands {
                continue;
            }
            let pc = LoadAddr(self.tracer.registers(tid)?.pc());
            if wanted.binary_search(&pc).is_ok() {
                // A step waits, with all the others, until the thread gets a processor; nobody watches what an emulated one does.
                if self.plan.is_empty() && self.emulated(tid, pc)? {
                    continue;
                }
                self.tracer.step_alone(tid, &mut events)?;
                let watched = self.take_watch_hits(tid);
                if watched != 0 {
                    let regs = self.tracer.registers(tid)?;
                    if let Some(reason) = self.watch_hit(tid, watched, &regs) {
                        hit = Some((tid, reason));
                    }
                }
            }
        }
        self.running = true;
        for e in events {
            if let crate::target::linux::tracer::Event::Exited(s, sig) = e {
                self.exited(s, sig);
                return Ok(());
            }
        }
        if let Some((tid, reason)) = hit {
            // The step over a breakpoint accessed watched data: nothing else has moved.
            return self.stop_for(tid, reason);
        }
        self.rearm()?;
        self.go_ahead()?;
        if self.gone || !self.running {
            return Ok(());
        }
        let tids: Vec<Tid> = self.tracer.threads().filter(|t| t.1.state.stands()).map(|t| t.0).collect();
        for tid in tids {
            self.tracer.resume(tid)?;
        }
        self.pauses.end();
        Ok(())
    }

    /// Does the instruction at `pc` for a thread that stands there, in clean text, if it is one that can be done for it.
    fn emulated(&mut self, tid: Tid, pc: LoadAddr) -> Result<bool, EngineError> {
        let Some(code) = clean_code(&self.sym, self.bias, pc) else { return Ok(false) };
        let mut regs = self.tracer.registers(tid)?;
        let Outcome::Done(store) = emulate(code, &mut regs, &self.mem) else { return Ok(false) };
        if let Some((addr, value, size)) = store {
            self.mem.write(addr, &value.to_le_bytes()[..usize::from(size)])?;
        }
        self.tracer.set_registers(tid, &regs)?;
        Ok(true)
    }

    /// Sets a launched program going, to `main.main`.
    pub fn start(&mut self) -> Result<(), EngineError> {
        self.go()
    }

    /// Leaves a launched program before its first instruction, as a stop like any other.
    pub fn stay(&mut self) -> Result<Stop, EngineError> {
        self.entry = None;
        let tid = Tid(self.pid());
        self.tracer.park(tid)?;
        self.report_stop(tid, StopReason::Launched, std::time::Instant::now());
        match self.happened.pop() {
            Some(Happened::Stopped(stop)) => Ok(*stop),
            _ => Err(EngineError::State("the program is gone".into())),
        }
    }

    /// News that were taken but are for somebody else.
    pub fn put_back(&mut self, news: Vec<Happened>) {
        self.happened.splice(0..0, news);
    }

    /// As the user sees it: a new epoch, and the news of it.
    pub(super) fn go(&mut self) -> Result<(), EngineError> {
        self.epoch = StopEpoch(self.epoch.0 + 1);
        self.state = Arc::new(StopState { epoch: self.epoch, ..StopState::default() });
        self.happened.push(Happened::Resumed(self.epoch));
        self.run_again()
    }

    /// Puts everything back and lets the process run on (or, launched and so wanted, ends it). The engine is of no use afterwards.
    pub fn detach(&mut self, kill: bool) -> Result<(), EngineError> {
        if self.gone {
            self.traps.finish();
            return Ok(());
        }
        if kill && !self.launched {
            return Err(EngineError::State("adit kills only what it launched; this process was attached to".into()));
        }
        self.step = None;
        if !kill {
            self.finish_call()?;
        }
        if self.running {
            let stood = self.stand();
            // What is to end need not stand for it.
            if !kill {
                stood?;
            }
        }
        if self.gone {
            return Ok(());
        }
        self.probes.clear();
        // Where somebody could not be stopped it is still there.
        self.traps.lower_shield(&self.mem)?;
        // Children still between vfork and exec run on in clean text.
        for tid in std::mem::take(&mut self.vforked) {
            crate::target::linux::tracer::release_running(tid);
        }
        if kill {
            self.tracer.kill();
        } else {
            self.tracer.release_all();
            self.pauses.end();
        }
        self.traps.finish();
        self.gone = true;
        self.running = false;
        Ok(())
    }

    /// The end of a session that nobody said how to end: as `detach`, killing what was launched unless told to leave it.
    pub fn end(&mut self) -> Result<(), EngineError> {
        let kill = self.launched && self.kill_on_end;
        if !kill && self.finish_call().is_err() {
            self.abandon_call()?;
        }
        self.detach(kill)
    }
}
