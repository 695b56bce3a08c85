//! Breakpoints: ours in Delve's words and Delve's in ours. Runs on the reader's thread, while the program stands.

use super::convert::location;
use super::quirks::Feature;
use super::reader::Reader;
use super::values;
use super::wire::{self, NewBreakpoint};
use crate::backend::protocol::*;
use crate::base::{BreakpointId, LoadAddr};
use crate::eval::template::{Part, split};
use crate::model::*;
use crate::symbols::source_map::substitute;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Functions that one regular expression may match.
const MAX_REGEX: usize = 1_000;
/// Bits of `api.WatchType`.
const WATCH_WRITE: u8 = 2;
const WATCH_READ_WRITE: u8 = 3;

/// What we know of breakpoints beside what Delve does.
#[derive(Default)]
pub struct Book {
    /// Those that we set, as they were asked for.
    pub asked: BTreeMap<i32, BreakpointSpec>,
    /// Breakpoints on returns of traced functions, and the traced function's.
    pub returns: BTreeMap<i32, i32>,
    /// Watched data: how it is read again, and its text when it was last read.
    pub watched: BTreeMap<i32, (String, String)>,
    /// Hits of those that are to stop or end after some.
    pub counted: BTreeMap<i32, u64>,
}

/// A book that two threads use.
pub type SharedBook = Arc<Mutex<Book>>;

/// Opens the book.
pub fn open(book: &SharedBook) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Book {
    /// Everything of ours that is in the program, return breakpoints first.
    pub fn ids(&self) -> Vec<i32> {
        let all: BTreeSet<i32> = self.asked.keys().copied().collect();
        self.returns.keys().copied().chain(all).collect()
    }

    /// Forgets one, and gives the return breakpoints that went with it.
    pub fn forget(&mut self, id: i32) -> Vec<i32> {
        self.asked.remove(&id);
        self.watched.remove(&id);
        self.counted.remove(&id);
        let own: Vec<i32> = self.returns.iter().filter(|(_, of)| **of == id).map(|(r, _)| *r).collect();
        self.returns.retain(|_, of| *of != id);
        own
    }

    /// As screens show it.
    pub fn public(&self, b: &wire::Breakpoint) -> Breakpoint {
        let spec = self.asked.get(&b.id).cloned().unwrap_or_else(|| foreign(b));
        let spec = BreakpointSpec { enabled: !b.disabled, ..spec };
        let at = |pc: &u64| {
            Arc::new(Location {
                function: b.function.clone(),
                file: b.file.clone(),
                line: u32::try_from(b.line).unwrap_or(0),
                pc: LoadAddr(*pc),
            })
        };
        let watch = !b.watch.is_empty() || matches!(spec.place, BreakpointPlace::Watch { .. });
        Breakpoint {
            id: BreakpointId(b.id),
            at: if watch { Vec::new() } else { b.addrs.iter().map(at).collect() },
            hits: b.hits,
            reached: b.hits,
            calls: CallTotals::default(),
            cost_ns: 0,
            mechanism: if watch { Mechanism::DebugRegister } else { Mechanism::Int3 },
            problem: String::new(),
            spec,
        }
    }
}

/// A breakpoint that another client set, or Delve itself.
fn foreign(b: &wire::Breakpoint) -> BreakpointSpec {
    let place = match (b.watch.as_str(), b.expression.as_str()) {
        ("", "") if b.file.is_empty() => b.function.clone(),
        ("", "") => format!("{}:{}", b.file, b.line),
        ("", e) => e.to_string(),
        (w, _) => {
            let access = if b.watch_type == WATCH_READ_WRITE { Access::ReadWrite } else { Access::Write };
            return BreakpointSpec { name: b.name.clone(), ..BreakpointSpec::watch(w, access) };
        }
    };
    BreakpointSpec {
        name: b.name.clone(),
        condition: b.condition.clone(),
        hits: HitCondition::parse(&b.hit_condition),
        per_goroutine: b.per_goroutine,
        actions: Actions {
            run_on: b.tracepoint,
            values: b.variables.clone(),
            stack: u32::try_from(b.stack).unwrap_or(0),
            ..Actions::default()
        },
        ..BreakpointSpec::at(&place)
    }
}

/// One condition for what Delve has no words of its own for.
fn condition(s: &BreakpointSpec) -> String {
    let mut parts = Vec::new();
    if let Some(g) = s.goroutine {
        parts.push(format!("runtime.curg.goid == {g}"));
    }
    if let Some(id) = s.after {
        parts.push(format!("delve.bphitcount[{id}] > 0"));
    }
    match (parts.is_empty(), s.condition.is_empty()) {
        (true, _) => return s.condition.clone(),
        (false, true) => {}
        (false, false) => parts.push(format!("({})", s.condition)),
    }
    parts.join(" && ")
}

/// Expressions whose values Delve is to record.
pub fn recorded(a: &Actions) -> Vec<String> {
    let mut all = a.values.clone();
    for p in split(&a.log).unwrap_or_default() {
        if let Part::Expression(e) = p
            && !all.contains(&e)
        {
            all.push(e);
        }
    }
    all
}

fn words(s: &BreakpointSpec) -> NewBreakpoint {
    let a = &s.actions;
    NewBreakpoint {
        name: s.name.clone(),
        condition: condition(s),
        hit_condition: s.hits.map(|h| h.to_string()).unwrap_or_default(),
        per_goroutine: s.per_goroutine,
        tracepoint: a.run_on,
        stacktrace: a.stack,
        variables: recorded(a),
        arguments: a.trace.then(|| values::config(LoadLimits::default(), 0)),
        disabled: !s.enabled,
        ..NewBreakpoint::default()
    }
}

impl Reader {
    /// Sets one, or one for each match of a regular expression.
    pub fn set_breakpoint(&mut self, spec: &BreakpointSpec, frame: FrameRef) -> Result<Reply, Failure> {
        if let Err(e) = split(&spec.actions.log) {
            return Err(Failure::new(FailureKind::BadRequest, e.to_string()));
        }
        self.can_wait(spec)?;
        let place = match &spec.place {
            BreakpointPlace::Watch { expression, access } => {
                return self.set_watchpoint(spec, expression, *access, frame);
            }
            BreakpointPlace::Spec(s) => s.clone(),
        };
        let (found, text) = self.find_location(&place, frame)?;
        let regex = place.len() > 1 && place.starts_with('/') && place.ends_with('/');
        if found.len() > 1 && !regex {
            let names: Vec<String> = found.iter().take(5).map(|l| location(l).function.clone()).collect();
            return Err(Failure::new(
                FailureKind::BadRequest,
                format!("{place} is not one place: {} …", names.join(", ")),
            )
            .fix("write more of it, or /a regular expression/ for all"));
        }
        let mut made = Vec::new();
        for l in found.iter().take(MAX_REGEX) {
            match self.create(spec, l, if regex { "" } else { &text }) {
                Ok(b) => made.push(b),
                // Of many, those that cannot be had are left out.
                Err(f) if made.is_empty() && !regex => return Err(f),
                Err(_) => {}
            }
        }
        match made.len() {
            0 => Err(Failure::new(FailureKind::BadRequest, format!("nothing that matches {place} can be broken at"))),
            1 => Ok(Reply::Breakpoint(Box::new(made.remove(0)))),
            _ => Ok(Reply::Breakpoints(made)),
        }
    }

    fn can_wait(&self, spec: &BreakpointSpec) -> Result<(), Failure> {
        match spec.after.is_none() || self.quirks().has(Feature::HitCounts) {
            true => Ok(()),
            false => Err(Failure::new(FailureKind::Unavailable, self.quirks().lacks(Feature::HitCounts))),
        }
    }

    /// Places that a location stands for, and how it is to be named when the program is started again.
    pub fn find_location(&self, place: &str, frame: FrameRef) -> Result<(Vec<wire::Place>, String), Failure> {
        // Delve compares with paths as its client has them; ours are as the program has them.
        let here = self.rules().iter().find_map(|[from, to]| substitute(place, from, to));
        let place = here.as_deref().unwrap_or(place);
        let found: wire::Locations = self
            .call(
                "FindLocation",
                json!({"Scope": self.scope_of(frame), "Loc": place, "IncludeNonExecutableLines": false,
                       "SubstitutePathRules": self.rules()}),
            )
            .map_err(|f| self.no_scope_yet(f, place))?;
        if found.list.iter().all(|l| l.pc == 0 && l.pcs.is_empty()) {
            return Err(Failure::new(FailureKind::BadRequest, format!("no code at {place}")));
        }
        let text = if found.instead.is_empty() { place.to_string() } else { found.instead };
        Ok((found.list, text))
    }

    fn create(&mut self, spec: &BreakpointSpec, at: &wire::Place, text: &str) -> Result<Breakpoint, Failure> {
        let addrs = if at.pcs.is_empty() { vec![at.pc] } else { at.pcs.clone() };
        let new = NewBreakpoint { addr: addrs.first().copied().unwrap_or(0), addrs, ..words(spec) };
        let mut b = self.create_raw(&new, text)?;
        open(self.book()).asked.insert(b.id, spec.clone());
        if !spec.enabled && !b.disabled {
            self.amend(b.id, spec)?;
            b.disabled = true;
        }
        if spec.actions.trace {
            self.trace_returns(&b)?;
        }
        Ok(open(self.book()).public(&b))
    }

    fn create_raw(&self, new: &NewBreakpoint, text: &str) -> Result<wire::Breakpoint, Failure> {
        let made: wire::Created = self.call(
            "CreateBreakpoint",
            json!({"Breakpoint": new, "LocExpr": text, "SubstitutePathRules": self.rules(), "Suspended": false}),
        )?;
        made.breakpoint.ok_or_else(|| Failure::new(FailureKind::Host, "Delve made a breakpoint and says nothing of it"))
    }

    /// Results are read at each return instruction of the function.
    fn trace_returns(&self, b: &wire::Breakpoint) -> Result<(), Failure> {
        let found: wire::Returns = self.call("FunctionReturnLocations", json!({"FnName": b.function}))?;
        for addr in found.addrs {
            let new = NewBreakpoint {
                addr,
                addrs: vec![addr],
                tracepoint: true,
                trace_return: true,
                arguments: Some(values::config(LoadLimits::default(), 0)),
                ..NewBreakpoint::default()
            };
            let r = self.create_raw(&new, "")?;
            open(self.book()).returns.insert(r.id, b.id);
        }
        Ok(())
    }

    fn set_watchpoint(
        &mut self,
        spec: &BreakpointSpec,
        expression: &str,
        access: Access,
        frame: FrameRef,
    ) -> Result<Reply, Failure> {
        let kind = match access {
            Access::Write => WATCH_WRITE,
            Access::ReadWrite => WATCH_READ_WRITE,
        };
        let scope = self.scope_of(frame);
        let now: wire::Evaluated = self.call(
            "Eval",
            json!({"Scope": scope, "Expr": expression, "Cfg": values::config(LoadLimits::default(), 0)}),
        )?;
        let b: wire::Breakpoint =
            self.call("CreateWatchpoint", json!({"Scope": scope, "Expr": expression, "Type": kind}))?;
        {
            let mut book = open(self.book());
            book.asked.insert(b.id, spec.clone());
            if let Some(v) = &now.variable {
                let again = values::row(v, String::new(), expression.to_string(), scope).0;
                let fetch = match again.addr.is_nil() {
                    true => expression.to_string(),
                    false => format!("*(*\"{}\")({})", v.ty, again.addr),
                };
                book.watched.insert(b.id, (fetch, again.value));
            }
        }
        // Delve takes conditions of watchpoints only afterwards.
        let plain = BreakpointSpec::watch(expression, access);
        if *spec != plain {
            self.amend(b.id, spec)?;
        }
        Ok(Reply::Breakpoint(Box::new(open(self.book()).public(&b))))
    }

    fn amend(&self, id: i32, spec: &BreakpointSpec) -> Result<(), Failure> {
        let b = self.breakpoint(id)?;
        let new = NewBreakpoint {
            id,
            addr: b.addr,
            addrs: b.addrs,
            file: b.file,
            line: b.line,
            function: b.function,
            expression: b.expression,
            ..words(spec)
        };
        self.call::<serde_json::Value>("AmendBreakpoint", json!({"Breakpoint": new})).map(drop)
    }

    fn breakpoint(&self, id: i32) -> Result<wire::Breakpoint, Failure> {
        let got: wire::Created = self.call("GetBreakpoint", json!({"Id": id, "Name": ""}))?;
        got.breakpoint.ok_or_else(|| Failure::new(FailureKind::BadRequest, format!("no breakpoint {id}")))
    }

    /// New condition, count, name, actions or state; the place stays.
    pub fn edit_breakpoint(&mut self, id: BreakpointId, spec: &BreakpointSpec) -> Result<Reply, Failure> {
        if let Err(e) = split(&spec.actions.log) {
            return Err(Failure::new(FailureKind::BadRequest, e.to_string()));
        }
        self.can_wait(spec)?;
        self.amend(id.0, spec)?;
        let traced = {
            let mut book = open(self.book());
            book.counted.remove(&id.0);
            let before = book.asked.insert(id.0, spec.clone());
            before.is_some_and(|s| s.actions.trace)
        };
        let b = self.breakpoint(id.0)?;
        match (traced, spec.actions.trace) {
            (false, true) => self.trace_returns(&b)?,
            (true, false) => self.clear_returns(id.0)?,
            _ => {}
        }
        Ok(Reply::Breakpoint(Box::new(open(self.book()).public(&b))))
    }

    fn clear_returns(&self, of: i32) -> Result<(), Failure> {
        let own: Vec<i32> = {
            let mut book = open(self.book());
            let own = book.returns.iter().filter(|(_, o)| **o == of).map(|(r, _)| *r).collect();
            book.returns.retain(|_, o| *o != of);
            own
        };
        own.into_iter().try_for_each(|id| self.clear_raw(id))
    }

    fn clear_raw(&self, id: i32) -> Result<(), Failure> {
        self.call::<serde_json::Value>("ClearBreakpoint", json!({"Id": id, "Name": ""})).map(drop)
    }

    /// Takes one away.
    pub fn clear_breakpoint(&mut self, id: BreakpointId) -> Result<(), Failure> {
        self.clear_raw(id.0)?;
        let returns = open(self.book()).forget(id.0);
        returns.into_iter().try_for_each(|r| self.clear_raw(r))
    }

    /// All that are the users', ours and those of other clients.
    pub fn breakpoints(&self) -> Result<Vec<Breakpoint>, Failure> {
        let all: wire::Breakpoints = self.call("ListBreakpoints", json!({"All": false}))?;
        let book = open(self.book());
        let shown = all.list.iter().filter(|b| b.id > 0 && !book.returns.contains_key(&b.id));
        Ok(shown.map(|b| book.public(b)).collect())
    }

    /// Before the program's own code runs there is no goroutine, and Delve refuses what is relative to one.
    fn no_scope_yet(&self, f: Failure, place: &str) -> Failure {
        match f.message.contains("no selected goroutine") || f.message.contains("no goroutine") {
            true => Failure::new(FailureKind::BadState, format!("{place}: {}", f.message))
                .fix("continue to main.main first (:continue main.main)"),
            false => f,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_put_together() {
        let mut s = BreakpointSpec::at("main.f");
        s.condition = "a || b".into();
        assert_eq!(condition(&s), "a || b");
        s.goroutine = Some(crate::base::GoroutineId(7));
        s.after = Some(BreakpointId(2));
        assert_eq!(condition(&s), "runtime.curg.goid == 7 && delve.bphitcount[2] > 0 && (a || b)");
        s.condition.clear();
        assert_eq!(condition(&s), "runtime.curg.goid == 7 && delve.bphitcount[2] > 0");
    }

    #[test]
    fn other_clients_breakpoints_are_shown_as_such() {
        let b: wire::Breakpoint = serde_json::from_str(
            r#"{"id":4,"addrs":[16,32],"file":"/m.go","line":9,"functionName":"main.f","Cond":"x > 1","HitCond":"> 3","disabled":true,"totalHitCount":5}"#,
        )
        .expect("a breakpoint");
        let p = Book::default().public(&b);
        assert_eq!((p.spec.place.text(), p.at.len(), p.hits, p.spec.enabled), ("/m.go:9", 2, 5, false));
        assert!(p.spec.hits.is_some() && p.spec.condition == "x > 1");
    }

    #[test]
    fn logged_expressions_are_recorded_once() {
        let a = Actions { log: "x {x} {{y}} {z.f}".into(), values: vec!["x".into()], ..Actions::default() };
        assert_eq!(recorded(&a), ["x", "z.f"]);
    }
}
