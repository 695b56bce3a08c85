//! Variables and expressions: values are handed out one level at a time, with handles for what is below.

use super::Worker;
use crate::backend::protocol::*;
use crate::base::{LoadAddr, StopEpoch};
use crate::engine::StopState;
use crate::eval;
use crate::goruntime::value::{FrameScope, Limits, Reader, ValueRef};
use crate::model::{Unavailable, VarKind, Variable};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Package variables in one answer.
pub(super) const MAX_PACKAGE_VARIABLES: usize = 1000;

/// Handles given out at the present moment.
#[derive(Default)]
pub(super) struct Values {
    epoch: StopEpoch,
    given: FxHashMap<u64, ValueRef>,
    last: u64,
}

impl Values {
    /// At a new moment the handles of the old one are void.
    pub fn at(&mut self, epoch: StopEpoch) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.given.clear();
        }
    }
    /// A handle for a value of which there is more.
    pub fn give(&mut self, r: ValueRef) -> u64 {
        self.last += 1;
        self.given.insert(self.last, r);
        self.last
    }
    /// The value behind a handle.
    pub fn given(&self, handle: u64) -> Result<ValueRef, Failure> {
        self.given.get(&handle).cloned().ok_or_else(|| {
            Failure::new(FailureKind::BadState, "this value is from an earlier stop").fix("look at the variable again")
        })
    }
    fn hand_out(&mut self, mut v: Variable, r: ValueRef) -> Variable {
        if v.children > 0 {
            self.last += 1;
            v.handle = self.last;
            self.given.insert(self.last, r);
        }
        v
    }
}

pub(crate) fn limits(l: LoadLimits) -> Limits {
    Limits { string: l.string, elements: l.elements, fields: l.fields, depth: l.depth }
}

pub(super) fn problem(p: &Unavailable) -> Failure {
    Failure::new(FailureKind::Unavailable, crate::goruntime::value::unavailable_text(p))
}

impl Worker {
    pub(super) fn no_dwarf(&self) -> Failure {
        let why = match self.loaded.sym.load_dwarf() {
            Err(e) => e.to_string(),
            Ok(_) => "this frame has no debug information".into(),
        };
        Failure::new(FailureKind::Unavailable, format!("no variables: {why}"))
            .fix("build without -ldflags=-s/-w, or give the unstripped build with --exe")
    }

    /// The scope of a frame.
    pub(super) fn frame_scope(&self, state: &StopState, frame: FrameRef) -> Result<FrameScope, Failure> {
        let walked = self.walk(state, frame.goroutine, None, frame.frame + 1, false)?;
        if walked.stack.frames.len() <= frame.frame as usize {
            return Err(Failure::new(FailureKind::BadRequest, format!("no frame {}", frame.frame)));
        }
        let regs = self.thread_registers(state, FrameRef { frame: 0, ..frame });
        self.loaded.rt.frame_scope(&walked, frame.frame as usize, regs.as_ref()).ok_or_else(|| self.no_dwarf())
    }

    pub(super) fn reader(&self) -> Result<Reader<'_>, Failure> {
        Reader::new(&self.loaded.rt, &*self.loaded.mem).ok_or_else(|| self.no_dwarf())
    }

    pub(super) fn scope(&mut self, state: &Arc<StopState>, frame: FrameRef, l: LoadLimits) -> Result<Reply, Failure> {
        let scope = self.frame_scope(state, frame)?;
        let found: Vec<(ValueRef, Variable)> = {
            let r = self.reader()?;
            r.scope(&scope).into_iter().map(|v| (v.clone(), r.variable(&v, limits(l)))).collect()
        };
        let total = found.len() as u64;
        let variables = found.into_iter().map(|(r, v)| self.values.hand_out(v, r)).collect();
        Ok(Reply::Variables { epoch: state.epoch, variables, total })
    }

    pub(super) fn children(
        &mut self,
        state: &Arc<StopState>,
        handle: u64,
        start: u64,
        count: u64,
        l: LoadLimits,
    ) -> Result<Reply, Failure> {
        let parent = self.values.given(handle)?;
        let (found, total) = {
            let r = self.reader()?;
            let found = r.child_variables(&parent, start, count, limits(l)).map_err(|p| problem(&p))?;
            (found, r.child_count(&parent))
        };
        let variables = found.into_iter().map(|(r, v)| self.values.hand_out(v, r)).collect();
        Ok(Reply::Variables { epoch: state.epoch, variables, total })
    }

    pub(super) fn eval(
        &mut self,
        state: &Arc<StopState>,
        frame: FrameRef,
        expression: &str,
        l: LoadLimits,
    ) -> Result<Reply, Failure> {
        let (r, mut v) = self.evaluate(state, frame, expression, limits(l))?;
        v.name = expression.to_string();
        let value = Box::new(self.values.hand_out(v, r));
        Ok(Reply::Value { epoch: state.epoch, value })
    }

    pub(super) fn package_variables(
        &mut self,
        state: &Arc<StopState>,
        filter: &str,
        l: LoadLimits,
    ) -> Result<Reply, Failure> {
        let re = regex::Regex::new(filter).map_err(|e| {
            Failure::new(FailureKind::BadRequest, format!("bad regular expression: {e}").replace('\n', " "))
        })?;
        let (found, total) = {
            let r = self.reader()?;
            let all = r.package_variables(&re);
            let total = all.len() as u64;
            let some = all.into_iter().take(MAX_PACKAGE_VARIABLES);
            (some.map(|v| (v.clone(), r.variable(&v, limits(l)))).collect::<Vec<_>>(), total)
        };
        let variables = found.into_iter().map(|(r, v)| self.values.hand_out(v, r)).collect();
        Ok(Reply::Variables { epoch: state.epoch, variables, total })
    }
}

impl Worker {
    /// What an expression is computed against.
    pub(super) fn context(&self, state: &StopState, frame: FrameRef) -> Result<eval::Context<'_>, Failure> {
        let scope = self.frame_scope(state, frame)?;
        let id = frame.goroutine.or(state.goroutine);
        let walked = self.walk(state, frame.goroutine, None, 1, false)?;
        let regs = self.thread_registers(state, FrameRef { frame: 0, ..frame });
        let tid = match regs {
            Some(_) if id == state.goroutine => state.thread.0,
            Some(r) => state.registers.iter().find(|(_, x)| **x == r).map_or(0, |(t, _)| *t),
            None => 0,
        };
        Ok(eval::Context {
            reader: self.reader()?,
            scope,
            goid: id.map_or(0, |g| g.0),
            g: walked.g.map_or(LoadAddr(0), |g| g.addr),
            stack_hi: walked.g.map_or(0, |g| g.stack_hi),
            tid,
        })
    }

    fn evaluate(
        &self,
        state: &StopState,
        frame: FrameRef,
        expression: &str,
        l: Limits,
    ) -> Result<(ValueRef, Variable), Failure> {
        let cx = self.context(state, frame)?;
        let (value, variable) = eval::evaluate(&cx, expression, l).map_err(|e| bad_expression(&e))?;
        Ok((value.value_ref().cloned().unwrap_or_default(), variable))
    }

    /// Where the object is that an expression points to (or, for what is no pointer, is).
    /// And the object's type.
    pub(super) fn address_of(
        &self,
        state: &StopState,
        frame: FrameRef,
        expression: &str,
    ) -> Result<(LoadAddr, Option<String>), Failure> {
        let (r, v) = self.evaluate(state, frame, expression, Limits::default())?;
        let word = || self.reader().ok()?.word(&r.place, 0).ok().map(LoadAddr);
        let at = match v.kind {
            // Their first word leads to what they stand for.
            VarKind::Pointer
            | VarKind::UnsafePointer
            | VarKind::Map
            | VarKind::Chan
            | VarKind::Slice
            | VarKind::String
            | VarKind::Func => word(),
            VarKind::Interface => self.reader().ok().and_then(|x| x.word(&r.place, 8).ok()).map(LoadAddr),
            _ => None,
        };
        let ty = match v.kind {
            VarKind::Pointer => v.type_name.strip_prefix('*').map(String::from),
            VarKind::Interface | VarKind::UnsafePointer | VarKind::Func => None,
            _ => Some(v.type_name.clone()),
        };
        match at.unwrap_or(v.addr) {
            LoadAddr(0) => Err(Failure::new(FailureKind::BadRequest, format!("{expression} is nil or not in memory"))),
            at => Ok((at, ty)),
        }
    }

    pub(super) fn set(
        &mut self,
        state: &Arc<StopState>,
        frame: FrameRef,
        expression: &str,
        value: &str,
    ) -> Result<Reply, Failure> {
        if !state.stopped {
            return Err(Failure::new(
                FailureKind::BadState,
                "the program is running; pause it before changing its memory",
            ));
        }
        let assignment =
            eval::assign(&self.context(state, frame)?, expression, value).map_err(|e| bad_expression(&e))?;
        let Some(process) = &self.loaded.process else {
            return Err(Failure::new(FailureKind::BadState, "a copy cannot be changed"));
        };
        if assignment.pointers && self.loaded.rt.collector_phase(&*self.loaded.mem).is_some_and(|p| p != 0) {
            return Err(Failure::new(
                FailureKind::BadState,
                "the collector is marking, and a pointer may not be assigned past its barrier",
            )
            .fix("let the program run a little and try again"));
        }
        process
            .write(assignment.addr, &assignment.bytes)
            .map_err(|e| Failure::new(FailureKind::Unavailable, format!("cannot write {expression}: {e}")))?;
        Ok(Reply::Done)
    }
}

impl Worker {
    /// The value of an integer expression.
    pub(super) fn number(&self, state: &StopState, frame: FrameRef, expression: &str) -> Result<u64, Failure> {
        let cx = self.context(state, frame)?;
        let (value, _) =
            eval::evaluate(&cx, expression, limits(LoadLimits::default())).map_err(|e| bad_expression(&e))?;
        value
            .integer(&cx.reader)
            .map(|i| i as u64)
            .ok_or_else(|| Failure::new(FailureKind::BadRequest, format!("`{expression}` is no integer")))
    }

    /// Bytes at an address, as many of them as can be read.
    pub(super) fn memory(&self, addr: LoadAddr, len: u32) -> Result<Reply, Failure> {
        let len = len.min(1 << 20) as usize;
        let mem = &*self.loaded.mem;
        if let Ok(bytes) = mem.read_vec(addr, len) {
            return Ok(Reply::Memory { addr, bytes });
        }
        let mut bytes = Vec::new();
        while bytes.len() < len {
            let at = addr.add(bytes.len() as u64);
            let page = (4096 - at.0 as usize % 4096).min(len - bytes.len());
            match mem.read_vec(at, page) {
                Ok(b) => bytes.extend(b),
                Err(e) if bytes.is_empty() => {
                    return Err(Failure::new(FailureKind::Unavailable, format!("cannot read {addr}: {e}")));
                }
                Err(_end_of_what_is_mapped) => break,
            }
        }
        Ok(Reply::Memory { addr, bytes })
    }
}

pub(super) fn bad_expression(e: &eval::EvalError) -> Failure {
    Failure::new(FailureKind::BadRequest, e.to_string())
}
