//! Finding what a watchpoint is to watch: its address, and on whose stack it is, if on one.

use super::Worker;
use super::data::bad_expression;
use crate::backend::protocol::*;
use crate::base::{GoroutineId, LoadAddr};
use crate::engine::StopState;
use crate::engine::watch::{Data, StackSpot};
use crate::eval;

impl Worker {
    /// The data that an expression stands for. While the program runs, package variables can be had.
    pub(super) fn watched(&self, state: &StopState, frame: FrameRef, expression: &str) -> Result<Data, Failure> {
        let cx = if state.stopped {
            self.context(state, frame)?
        } else {
            let scope = self.loaded.rt.package_scope().ok_or_else(|| self.no_dwarf())?;
            eval::Context { reader: self.reader()?, scope, goid: 0, g: LoadAddr(0), stack_hi: 0, tid: 0 }
        };
        let compiled = eval::compile(&cx.reader, &cx.scope, expression).map_err(|e| match state.stopped {
            true => bad_expression(&e),
            false => {
                bad_expression(&e).fix("while the program runs, package variables can be watched; pause it for others")
            }
        })?;
        let value = compiled.run(&cx).map_err(|e| bad_expression(&e))?;
        let value = value.value_ref().cloned().ok_or_else(|| {
            Failure::new(FailureKind::BadRequest, format!("`{expression}` is not in memory: there is nothing to watch"))
        })?;
        let stack = if state.stopped { self.stack_spot(state, frame, value.place.addr)? } else { None };
        Ok(Data { value, stack })
    }

    /// Is it on the stack of the frame's goroutine? Then in which frame, and where that returns to.
    fn stack_spot(&self, state: &StopState, frame: FrameRef, addr: LoadAddr) -> Result<Option<StackSpot>, Failure> {
        let walked = self.walk(state, frame.goroutine, None, frame.frame + 2, false)?;
        let Some(g) = walked.g.filter(|g| addr.0 >= g.stack_lo && addr.0 < g.stack_hi) else { return Ok(None) };
        let Some(at) = walked.origin.get(frame.frame as usize).map(|o| o.0 as usize) else { return Ok(None) };
        let Some(raw) = walked.raw.get(at) else { return Ok(None) };
        Ok(Some(StackSpot {
            goroutine: GoroutineId(g.goid),
            g: g.addr,
            stack_hi: g.stack_hi,
            frame: raw.cfa.0.wrapping_sub(g.stack_hi) as i64,
            returns_to: walked.raw.get(at + 1).map_or(LoadAddr(0), |r| r.pc),
        }))
    }
}
