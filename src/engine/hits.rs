//! What a hit of a user's breakpoint comes to: its condition, its counts, what it records, whether it stops.

use super::breakpoints::{Logical, Prepared};
use super::go::GoContext;
use super::{Engine, Happened};
use crate::arch::Registers;
use crate::base::clock::monotonic_ns;
use crate::base::{BreakpointId, LoadAddr, Memory, Tid};
use crate::eval::{self, Template};
use crate::goruntime::StackStart;
use crate::goruntime::value::{FrameScope, Limits, Reader};
use crate::model::{BreakpointSpec, Hit, HitKind};
use std::time::{Duration, Instant};

/// Records kept until the next news; more are counted as lost.
const RECORDS: usize = 4_000;
/// How often news of hits are passed on.
const NEWS: Duration = Duration::from_millis(50);
/// Hits over which the guard looks at the rate.
const GUARD_WINDOW: Duration = Duration::from_millis(500);
/// Hits before the guard says anything.
const GUARD_AFTER: u64 = 100;
/// How much of a value goes into a record.
const VALUE: Limits = Limits { string: 128, elements: 16, fields: 16, depth: 1 };

/// What a breakpoint may cost before it is switched off (`SAFETY.md` 2, point 5). Both must be exceeded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guard {
    /// Times reached a second.
    pub per_second: f64,
    /// Share of one processor's time.
    pub share: f64,
}

impl Guard {
    /// 50 hits a second, 2 % of a core: what Google's Cloud Debugger throttled its log points at, roughly.
    pub const PRODUCTION: Guard = Guard { per_second: 50.0, share: 0.02 };
}

/// What hits cost, for the pane and for the guard.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    total: Duration,
    count: u64,
    window: Instant,
    in_window: (Duration, u64),
}

impl Default for Cost {
    fn default() -> Cost {
        Cost { total: Duration::ZERO, count: 0, window: Instant::now(), in_window: (Duration::ZERO, 0) }
    }
}

impl Cost {
    /// Mean, ns; 0 before the first.
    pub fn mean_ns(&self) -> u64 {
        (self.total.as_nanos() as u64).checked_div(self.count).unwrap_or(0)
    }
    /// Adds one; says when a window that was over the limit ends: hits a second, and share of a core.
    fn add(&mut self, took: Duration, guard: Option<Guard>) -> Option<(f64, f64)> {
        self.total += took;
        self.count += 1;
        self.in_window.0 += took;
        self.in_window.1 += 1;
        let length = self.window.elapsed();
        if length < GUARD_WINDOW {
            return None;
        }
        let rate = self.in_window.1 as f64 / length.as_secs_f64();
        let share = self.in_window.0.as_secs_f64() / length.as_secs_f64();
        self.window = Instant::now();
        self.in_window = (Duration::ZERO, 0);
        let g = guard?;
        (self.count >= GUARD_AFTER && rate > g.per_second && share > g.share).then_some((rate, share))
    }
}

/// A thread at a place: standing there, or, by a uprobe, coming by a moment ago.
pub(super) struct Moment<'a> {
    /// Which thread.
    pub tid: Tid,
    /// Where.
    pub at: LoadAddr,
    /// Its registers there.
    pub regs: Registers,
    /// In Go's terms, if somebody asked.
    pub cx: GoContext,
    /// When, ns of CLOCK_MONOTONIC.
    pub at_ns: i64,
    /// Memory as of then, as far as it was noted.
    pub mem: &'a dyn Memory,
    /// It stands there: more registers can be had.
    pub stands: bool,
}

impl<'a> Moment<'a> {
    /// Of a thread that stands.
    pub fn now(tid: Tid, at: LoadAddr, regs: &Registers, cx: &GoContext, mem: &'a dyn Memory) -> Moment<'a> {
        Moment { tid, at, regs: *regs, cx: *cx, at_ns: monotonic_ns() as i64, mem, stands: true }
    }
}

/// Records and counts that were not passed on yet.
#[derive(Default)]
pub struct Pending {
    hits: Vec<Hit>,
    lost: u64,
    changed: bool,
    since: Option<Instant>,
}

impl Pending {
    fn mark(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }
    /// Is there no more room? Then what cannot be kept need not be made.
    fn full(&self) -> bool {
        self.hits.len() >= RECORDS
    }
    pub(super) fn lose(&mut self, n: u64) {
        self.mark();
        self.lost += n;
    }
    fn record(&mut self, h: Hit) {
        self.mark();
        self.hits.push(h);
    }
}

impl Engine {
    /// A user's breakpoint was reached by `tid`: does it stop the program? The error is the condition's.
    pub(super) fn user_hit(&mut self, id: BreakpointId, m: &Moment<'_>) -> Result<bool, String> {
        let Some(l) = self.table.get_mut(id) else { return Ok(false) };
        if l.is_return(m.at) {
            self.traced_return(id, m);
            return Ok(false);
        }
        let kind = if l.public.spec.actions.trace { HitKind::Entered } else { HitKind::Reached };
        if !m.stands
            && kind == HitKind::Entered
            && let Some(cfa) = self.innermost_cfa(&m.regs)
            && let Some(l) = self.table.get_mut(id)
        {
            l.calls.noted(m.cx.g, cfa.0 as i64, m.at_ns);
        }
        self.place_hit(id, m, kind)
    }

    /// Something of `kind` happened at `at`: is it to stop the program?
    pub(super) fn place_hit(&mut self, id: BreakpointId, m: &Moment<'_>, kind: HitKind) -> Result<bool, String> {
        let Some(l) = self.table.get_mut(id) else { return Ok(false) };
        l.public.reached += 1;
        self.pending.changed = true;
        self.pending.mark();
        if l.public.spec.goroutine.is_some_and(|g| m.cx.goid != Some(g)) || !self.condition_holds(id, m)? {
            return Ok(false);
        }
        let Some(l) = self.table.get_mut(id) else { return Ok(false) };
        l.public.hits += 1;
        let n = match (l.public.spec.per_goroutine, m.cx.goid) {
            (true, Some(g)) => {
                let n = l.per_goroutine.entry(g).or_default();
                *n += 1;
                *n
            }
            _ => l.public.hits,
        };
        if !l.public.spec.hits.is_none_or(|h| h.holds(n)) {
            return Ok(false);
        }
        l.counted += 1;
        let (counted, a) = (l.counted, &l.public.spec.actions);
        let (run_on, stop_after) = (a.run_on, a.stop_after);
        let records = a.trace || !a.log.is_empty() || !a.values.is_empty() || a.stack > 0;
        if counted == 1 && self.table.release_followers(id) {
            // The chained ones are planted now; should that fail, they stay out and say so.
            if let Err(e) = self.rearm() {
                self.happened.push(Happened::Note(format!("cannot plant what waited for breakpoint {id}: {e}")));
            }
        }
        if records || run_on && matches!(kind, HitKind::Accessed { .. }) {
            self.record_hit(id, m, kind);
        }
        let last = stop_after > 0 && counted >= stop_after;
        if last && run_on {
            self.switch_off(id, format!("done after {counted} hits"));
        }
        Ok(if stop_after > 0 { last && !run_on } else { !run_on })
    }

    /// After a stop: a temporary breakpoint has done its work.
    pub(super) fn retire(&mut self, id: BreakpointId) {
        if self.table.get(id).is_some_and(|l| l.public.spec.temporary) {
            self.table.remove(id);
            self.replan = true;
            self.happened.push(Happened::BreakpointGone(id));
        }
    }

    fn switch_off(&mut self, id: BreakpointId, why: String) {
        if let Some(l) = self.table.get_mut(id) {
            l.public.spec.enabled = false;
            l.public.problem = why;
            self.pending.changed = true;
            self.pending.mark();
        }
        if let Err(e) = self.rearm() {
            self.happened.push(Happened::Note(format!("cannot take breakpoint {id} out: {e}")));
        }
        self.replan = true;
    }

    /// Dealing with a hit at `at` took so long.
    pub(super) fn count_cost(&mut self, at: LoadAddr, took: Duration) {
        for id in self.table.at(at) {
            let Some(l) = self.table.get_mut(id) else { continue };
            if let Some((rate, share)) = l.cost.add(took, self.guard) {
                let why = format!(
                    "switched off: {rate:.0} hits a second cost {:.0}% of a core; --profile dev lets it",
                    share * 100.0
                );
                self.happened.push(Happened::Note(format!("breakpoint {id} was {why}")));
                self.switch_off(id, why);
            }
        }
    }

    /// Compiles what a breakpoint evaluates, once for each of its addresses.
    fn prepare(&mut self, id: BreakpointId, at: LoadAddr, regs: &Registers) -> Result<(), String> {
        const MAX_PLACES: usize = 4_096;
        let Some(l) = self.table.get_mut(id) else { return Ok(()) };
        if l.prepared.len() > MAX_PLACES {
            l.prepared.clear(); // a watchpoint is hit anywhere
        }
        if l.prepared.contains_key(&at) {
            return Ok(());
        }
        let spec = &l.public.spec;
        let say = |e: &dyn std::fmt::Display| said_of(spec, e);
        let reader = Reader::new(&self.rt, &*self.mem).ok_or_else(|| say(&"the program has no debug information"))?;
        let walked = self.rt.stack(&*self.mem, StackStart::Registers(regs), 1, false).map_err(|e| say(&e))?;
        let scope =
            self.rt.frame_scope(&walked, 0, Some(regs)).ok_or_else(|| say(&"this place has no debug information"))?;
        let prepared = Prepared::compile(&reader, scope, spec)?;
        if let Some(l) = self.table.get_mut(id) {
            l.prepared.insert(at, prepared);
        }
        Ok(())
    }

    /// Evaluates a breakpoint's condition on the thread that hit.
    fn condition_holds(&mut self, id: BreakpointId, m: &Moment<'_>) -> Result<bool, String> {
        if self.table.get(id).is_none_or(|l| l.public.spec.condition.is_empty()) {
            return Ok(true);
        }
        self.prepare(id, m.at, &m.regs)?;
        let Some(l) = self.table.get(id) else { return Ok(false) };
        let Some(p) = l.prepared.get(&m.at) else { return Ok(false) };
        let (Some(c), Some(reader)) = (&p.condition, Reader::new(&self.rt, m.mem)) else { return Ok(true) };
        let cfa = self.innermost_cfa(&m.regs);
        c.run_bool(&context(reader, p, m.regs, cfa, m))
            // Perhaps for want of a vector register: they are fetched only then.
            .or_else(|_| c.run_bool(&context(reader, p, self.all_registers(m), cfa, m)))
            .map_err(|e| format!("condition `{}`: {e}", l.public.spec.condition))
    }

    /// Registers with vector registers, where they can be had.
    fn all_registers(&self, m: &Moment<'_>) -> Registers {
        match m.stands {
            true => self.with_vectors(m.tid, &m.regs),
            false => m.regs,
        }
    }

    /// These registers with the vector registers of a thread that stands.
    pub(super) fn with_vectors(&self, tid: Tid, regs: &Registers) -> Registers {
        self.tracer.registers_with_vectors(tid).map_or(*regs, |r| Registers { xmm: r.xmm, ..*regs })
    }

    /// Records a hit: log line, values, stack, as its actions say.
    fn record_hit(&mut self, id: BreakpointId, m: &Moment<'_>, kind: HitKind) {
        let traced = self.table.get(id).is_some_and(|l| l.public.spec.actions.trace);
        if traced
            && let Some(frame) = self.frame_offset(&m.regs, &m.cx)
            && let Some(l) = self.table.get_mut(id)
        {
            match m.stands {
                true => l.calls.entered(m.cx.g, frame, m.at_ns),
                false => l.calls.counts(m.cx.g),
            }
        }
        if self.pending.full() {
            return self.pending.lose(1);
        }
        let regs = self.all_registers(m);
        let problem = self.prepare(id, m.at, &regs).err();
        let Some(l) = self.table.get(id) else { return };
        let actions = &l.public.spec.actions;
        let mut hit = Hit {
            breakpoint: id,
            number: l.public.hits,
            at_ns: m.at_ns,
            goroutine: m.cx.goid,
            thread: m.tid,
            // A debug register reports behind the instruction that did it.
            at: self.location(if matches!(kind, HitKind::Accessed { .. }) { m.at.offset(-1) } else { m.at }),
            kind,
            text: problem.map_or_else(String::new, |p| format!("<{p}>")),
            values: Vec::new(),
            stack: Vec::new(),
        };
        if let (Some(p), Some(reader)) = (l.prepared.get(&m.at), Reader::new(&self.rt, m.mem)) {
            let eval_cx = context(reader, p, regs, self.innermost_cfa(&regs), m);
            hit.text = p.log.run(&eval_cx, VALUE);
            for (text, compiled) in &p.values {
                let value = match compiled.as_ref().map_err(Clone::clone).and_then(|c| c.run(&eval_cx)) {
                    Ok(v) => v.variable(&reader, text, VALUE).value,
                    Err(e) => format!("<{e}>"),
                };
                hit.values.push((text.clone(), value));
            }
            if actions.trace {
                let all = reader.scope(&eval_cx.scope);
                let arguments = all.iter().filter(|v| v.flags.argument);
                hit.values.extend(arguments.map(|v| (v.name.clone(), reader.variable(v, VALUE).value)));
            }
        }
        if actions.stack > 0
            && let Ok(w) = self.rt.stack(m.mem, StackStart::Registers(&regs), actions.stack as usize, false)
        {
            hit.stack = w.stack.frames.iter().take(actions.stack as usize).map(|f| f.at.clone()).collect();
        }
        self.pending.record(hit);
    }

    /// A traced function is about to return.
    fn traced_return(&mut self, id: BreakpointId, m: &Moment<'_>) {
        let (frame, cfa) = (self.frame_offset(&m.regs, &m.cx), self.innermost_cfa(&m.regs));
        let (Some(l), Some(frame), Some(cfa)) = (self.table.get_mut(id), frame, cfa) else { return };
        // Only calls whose entry was recorded: its condition held, and it was not under way before.
        let begun = match m.stands {
            true => l.calls.left(m.cx.g, frame),
            false => l.calls.noted_return(m.cx.g, cfa.0 as i64),
        };
        let Some(begun) = begun else { return };
        let took = m.at_ns.saturating_sub(begun).max(0) as u64;
        l.public.calls.add(took);
        self.pending.changed = true;
        if self.pending.full() {
            return self.pending.lose(1);
        }
        let number = l.public.hits;
        let regs = self.all_registers(m);
        let values = match Reader::new(&self.rt, m.mem).zip(self.sym.function_at(self.bias.to_file(m.at))) {
            Some((reader, f)) => self.results_of(f.entry, &regs, LoadAddr(regs.sp()).add(8), &reader),
            None => Vec::new(),
        };
        let hit = Hit {
            breakpoint: id,
            number,
            at_ns: m.at_ns,
            goroutine: m.cx.goid,
            thread: m.tid,
            at: self.location(m.at),
            kind: HitKind::Returned(Some(took)),
            text: String::new(),
            values: values.into_iter().map(|v| (v.name, v.value)).collect(),
            stack: Vec::new(),
        };
        self.pending.record(hit);
    }

    /// The results of the function at `entry`, when it has just returned or is about to: `cfa` is behind the return address.
    pub(super) fn results_of(
        &self,
        entry: crate::base::FileAddr,
        regs: &Registers,
        cfa: LoadAddr,
        reader: &Reader<'_>,
    ) -> Vec<crate::model::Variable> {
        let Some(signature) = crate::goruntime::abi::signature(reader.dwarf, entry) else { return Vec::new() };
        let register = |n: u16| regs.low(n);
        let show = |p: &crate::goruntime::abi::Parameter| {
            let value = p.value(reader, &register, cfa);
            reader.variable(&value, VALUE)
        };
        signature.results.iter().map(show).collect()
    }

    /// How long to wait at most until [`Engine::news_of_hits`] has something to say; none if nothing is pending.
    pub fn news_due(&self) -> Option<Duration> {
        let news = self.pending.since.map(|t| NEWS.saturating_sub(t.elapsed()));
        let rings = (self.running && !self.probes.is_empty()).then_some(super::uprobes::DRAIN);
        [news, rings].into_iter().flatten().min()
    }

    /// Passes on counts and records: all of them if `now`, else if they are old enough.
    pub(super) fn news_of_hits(&mut self, now: bool) {
        if self.pending.since.is_none_or(|t| !now && t.elapsed() < NEWS) {
            return;
        }
        self.pending.since = None;
        if std::mem::take(&mut self.pending.changed) {
            for l in self.table.iter_mut() {
                let now = (l.public.reached, l.public.hits, l.public.calls.calls);
                if l.told != now || !l.public.problem.is_empty() {
                    l.told = now;
                    l.public.cost_ns = l.cost.mean_ns();
                    self.happened.push(Happened::Breakpoint(Box::new(l.public.clone())));
                }
            }
        }
        if !self.pending.hits.is_empty() {
            let hits = std::mem::take(&mut self.pending.hits);
            self.happened.push(Happened::Hits(hits, self.pending.lost));
        }
    }
}

fn context<'a>(
    reader: Reader<'a>,
    p: &Prepared,
    regs: Registers,
    cfa: Option<LoadAddr>,
    m: &Moment<'_>,
) -> eval::Context<'a> {
    let cx = &m.cx;
    let scope = FrameScope { cfa: cfa.unwrap_or(p.scope.cfa), regs: Some(regs), ..p.scope.clone() };
    eval::Context { reader, scope, goid: cx.goid.map_or(0, |g| g.0), g: cx.g, stack_hi: cx.stack_hi, tid: m.tid.0 }
}

/// What went wrong, with the condition that it is about.
fn said_of(spec: &BreakpointSpec, e: &dyn std::fmt::Display) -> String {
    match spec.condition.as_str() {
        "" => e.to_string(),
        c => format!("condition `{c}`: {e}"),
    }
}

impl Prepared {
    /// Compiles all that a breakpoint evaluates, for a scope. The error is the condition's or the log line's.
    pub(super) fn compile(reader: &Reader<'_>, scope: FrameScope, spec: &BreakpointSpec) -> Result<Prepared, String> {
        let condition = match spec.condition.as_str() {
            "" => None,
            c => Some(eval::compile(reader, &scope, c).map_err(|e| said_of(spec, &e))?),
        };
        let log = Template::compile(reader, &scope, &spec.actions.log).map_err(|e| e.to_string())?;
        let values = spec.actions.values.iter().map(|e| (e.clone(), eval::compile(reader, &scope, e))).collect();
        let goroutine = condition.as_ref().is_some_and(eval::Compiled::uses_goroutine) || log.uses_goroutine();
        Ok(Prepared { scope, condition, log, values, goroutine })
    }
}

impl Logical {
    /// Does a hit at `at` need to know its goroutine? Finding out takes some reads.
    pub(super) fn needs_goroutine(&self, at: LoadAddr) -> bool {
        let s = &self.public.spec;
        let a = &s.actions;
        self.is_support()
            || s.goroutine.is_some()
            || s.per_goroutine
            || a.trace
            || !a.log.is_empty()
            || !a.values.is_empty()
            || a.stack > 0
            || (!s.condition.is_empty() && self.prepared.get(&at).is_none_or(|p| p.goroutine))
    }
}
