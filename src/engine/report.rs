//! Saying what a stop is about.

use super::breakpoints::UNRECOVERED_PANIC;
use super::go::GoContext;
use super::{Engine, Happened, StopState};
use crate::arch::Registers;
use crate::base::{BreakpointId, LoadAddr, Memory, StopEpoch, Tid, text};
use crate::model::{Stop, StopReason};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// Longest message shown, characters.
const MESSAGE: usize = 2000;

impl Engine {
    /// All stands: takes the registers, opens a new epoch and tells.
    pub(super) fn report_stop(&mut self, tid: Tid, reason: StopReason, since: Instant) {
        let mut registers = HashMap::new();
        for (t, th) in self.tracer.threads() {
            if th.state.stands()
                && let Ok(r) = if t == tid { self.tracer.registers_with_vectors(t) } else { self.tracer.registers(t) }
            {
                registers.insert(t.0, r);
            }
        }
        let regs = registers.get(&tid.0).copied().unwrap_or_default();
        let cx = self.go_context(&regs);
        let stop_us = since.elapsed().as_micros() as u64;
        self.news_of_hits(true);
        self.epoch = StopEpoch(self.epoch.0 + 1);
        self.state = Arc::new(StopState {
            epoch: self.epoch,
            stopped: true,
            thread: tid,
            goroutine: cx.goid,
            registers,
            pause_us: stop_us,
        });
        self.happened.push(Happened::Stopped(Box::new(Stop {
            epoch: self.epoch,
            reason,
            goroutine: cx.goid,
            thread: tid,
            at: self.location(LoadAddr(regs.pc())),
            returned: std::mem::take(&mut self.returned),
            stop_us,
            copied: false,
        })));
    }

    /// At the entry of `runtime.fatalpanic`, `throw` or `fatal`: with the message.
    pub(super) fn death_reason(&self, id: BreakpointId, regs: &Registers, cx: &GoContext) -> StopReason {
        if id == UNRECOVERED_PANIC {
            let g = self.rt.read_g(&*self.mem, cx.g).ok();
            let value = g.and_then(|g| self.rt.panics(&*self.mem, &g).into_iter().next()).map(|p| p.value);
            return StopReason::UnrecoveredPanic(value.unwrap_or_else(|| "<message unreadable>".into()));
        }
        // throw(s string) and fatal(s string): the string is in RAX, RBX (ABIInternal).
        let (ptr, len) = (LoadAddr(regs.gp[0]), regs.gp[3].min(4 * MESSAGE as u64) as usize);
        let message = self
            .mem
            .read_vec(ptr, len)
            .map_or_else(|_| "<message unreadable>".into(), |b| text::printable(&b, MESSAGE));
        StopReason::FatalError(message)
    }
}
