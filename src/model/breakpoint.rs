//! Breakpoints as the user sees them: one logical breakpoint may be many addresses.

use super::Location;
use crate::base::{BreakpointId, GoroutineId, Tid};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Where to break, not yet resolved. Written as Delve writes locations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BreakpointPlace {
    /// Delve's location syntax: `file:line`, `line`, `+n`, `-n`, `function`, `function:line`, `/regex/`, `*address`.
    Spec(String),
    /// Data: whoever accesses the value of an expression is stopped. Its address is computed once, in the frame given with it.
    Watch {
        /// A Go expression with an address.
        expression: String,
        /// Which accesses count.
        access: Access,
    },
}

impl BreakpointPlace {
    /// As the user wrote it.
    pub fn text(&self) -> &str {
        match self {
            BreakpointPlace::Spec(s) => s,
            BreakpointPlace::Watch { expression, .. } => expression,
        }
    }
}

/// Accesses that a watchpoint reports. amd64 has no debug register for reads alone (Intel SDM volume 3, 18.2.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Writes.
    #[default]
    Write,
    /// Reads and writes.
    ReadWrite,
}

/// What is done at a hit, beside counting it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Actions {
    /// The program goes on.
    pub run_on: bool,
    /// A line for the log; `{expression}` is replaced by its value. Empty for none.
    pub log: String,
    /// Expressions whose values are recorded.
    pub values: Vec<String>,
    /// Frames of the stack to record.
    pub stack: u32,
    /// A trace point: the place is a function; its arguments are recorded on entry, its results and time on every return.
    pub trace: bool,
    /// Everything recorded is read while the thread stands, and its goroutine's pointers are followed then: no uprobe.
    pub exact: bool,
    /// Stop (or, with `run_on`, switch off) after this many hits; 0 for never.
    pub stop_after: u64,
}

/// Comparison of a hit count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum HitOp {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
    /// Every n-th.
    Mod,
}

/// `>= 10`, `% 3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HitCondition {
    /// Comparison.
    pub op: HitOp,
    /// Right-hand side.
    pub count: u64,
}

impl HitCondition {
    /// Reads `> 5`, `==3`, `% 10`; a bare number means `==`.
    pub fn parse(s: &str) -> Option<HitCondition> {
        let s = s.trim();
        let (op, rest) = [
            ("==", HitOp::Eq),
            ("!=", HitOp::Ne),
            (">=", HitOp::Ge),
            ("<=", HitOp::Le),
            (">", HitOp::Gt),
            ("<", HitOp::Lt),
            ("%", HitOp::Mod),
        ]
        .iter()
        .find_map(|(t, op)| s.strip_prefix(t).map(|r| (*op, r)))
        .unwrap_or((HitOp::Eq, s));
        let count: u64 = rest.trim().parse().ok()?;
        (!(matches!(op, HitOp::Mod) && count == 0)).then_some(HitCondition { op, count })
    }
    /// Does hit number `n` (from 1) satisfy it?
    pub fn holds(self, n: u64) -> bool {
        match self.op {
            HitOp::Eq => n == self.count,
            HitOp::Ne => n != self.count,
            HitOp::Gt => n > self.count,
            HitOp::Ge => n >= self.count,
            HitOp::Lt => n < self.count,
            HitOp::Le => n <= self.count,
            HitOp::Mod => n.is_multiple_of(self.count),
        }
    }
}

impl std::fmt::Display for HitCondition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let op = match self.op {
            HitOp::Eq => "==",
            HitOp::Ne => "!=",
            HitOp::Gt => ">",
            HitOp::Ge => ">=",
            HitOp::Lt => "<",
            HitOp::Le => "<=",
            HitOp::Mod => "%",
        };
        write!(f, "{op} {}", self.count)
    }
}

/// What a breakpoint should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakpointSpec {
    /// Where.
    pub place: BreakpointPlace,
    /// A name (letters and digits, not a number), or empty.
    pub name: String,
    /// Expression that must be true; empty for none.
    pub condition: String,
    /// Which hits count; none for all.
    pub hits: Option<HitCondition>,
    /// Disabled ones stay listed and are not planted.
    pub enabled: bool,
    /// Only hits of this goroutine count.
    #[serde(default)]
    pub goroutine: Option<GoroutineId>,
    /// Hits are counted for each goroutine by itself.
    #[serde(default)]
    pub per_goroutine: bool,
    /// Not planted before that one has been hit.
    #[serde(default)]
    pub after: Option<BreakpointId>,
    /// Removed when it has stopped the program.
    #[serde(default)]
    pub temporary: bool,
    /// What is done at a hit.
    #[serde(default)]
    pub actions: Actions,
}

impl BreakpointSpec {
    /// An enabled, unconditional breakpoint at a Delve location.
    pub fn at(spec: &str) -> BreakpointSpec {
        BreakpointSpec::new(BreakpointPlace::Spec(spec.to_string()))
    }
    /// A watchpoint.
    pub fn watch(expression: &str, access: Access) -> BreakpointSpec {
        BreakpointSpec::new(BreakpointPlace::Watch { expression: expression.to_string(), access })
    }
    fn new(place: BreakpointPlace) -> BreakpointSpec {
        BreakpointSpec {
            place,
            name: String::new(),
            condition: String::new(),
            hits: None,
            enabled: true,
            goroutine: None,
            per_goroutine: false,
            after: None,
            temporary: false,
            actions: Actions::default(),
        }
    }
}

/// Calls of a traced function, summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallTotals {
    /// Returns seen.
    pub calls: u64,
    /// Their time together, ns, callees and waiting included.
    pub total_ns: u64,
    /// The shortest, ns.
    pub min_ns: u64,
    /// The longest, ns.
    pub max_ns: u64,
}

impl CallTotals {
    /// Adds a call.
    pub fn add(&mut self, ns: u64) {
        self.min_ns = if self.calls == 0 { ns } else { self.min_ns.min(ns) };
        self.max_ns = self.max_ns.max(ns);
        self.calls += 1;
        self.total_ns = self.total_ns.saturating_add(ns);
    }
}

/// How a hit is noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mechanism {
    /// An int3 instruction in the text: the thread that hits is stopped for a moment.
    #[default]
    Int3,
    /// A debug register of the processor: the thread that accesses the data is stopped for a moment.
    DebugRegister,
    /// A uprobe of the kernel: nobody is stopped, and the kernel takes it away should we die.
    Uprobe,
}

/// A breakpoint that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breakpoint {
    /// Its number.
    pub id: BreakpointId,
    /// What was asked for.
    pub spec: BreakpointSpec,
    /// Where it is: one per instance (inlined copies, generic instances, regex matches). Empty while it waits for code to appear,
    /// and for data.
    pub at: Vec<Arc<Location>>,
    /// Times its condition held.
    pub hits: u64,
    /// Times it was reached, whatever came of it.
    pub reached: u64,
    /// Traced calls that have returned, summed.
    pub calls: CallTotals,
    /// What a hit costs the thread that hits, on average, nanoseconds as the debugger sees them; 0 while unknown.
    pub cost_ns: u64,
    /// How hits are noticed.
    pub mechanism: Mechanism,
    /// Why it is not active although enabled (location gone after a rebuild, condition does not evaluate, too hot); empty if it is.
    pub problem: String,
}

/// What kind of event a record is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HitKind {
    /// A place was reached.
    Reached,
    /// A traced function was entered.
    Entered,
    /// A traced function returned; how long it took, ns, if its entry was seen.
    Returned(Option<u64>),
    /// Watched data was accessed: its value before and after.
    Accessed {
        /// Before.
        old: String,
        /// After.
        new: String,
    },
}

/// One hit, as recorded by a breakpoint's actions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// Whose.
    pub breakpoint: BreakpointId,
    /// The how-manieth, from 1.
    pub number: u64,
    /// When, CLOCK_MONOTONIC, ns.
    pub at_ns: i64,
    /// The goroutine.
    pub goroutine: Option<GoroutineId>,
    /// The thread.
    pub thread: Tid,
    /// Where.
    pub at: Arc<Location>,
    /// What.
    pub kind: HitKind,
    /// The log line, its expressions replaced; empty for none.
    pub text: String,
    /// Recorded values: arguments or results of a traced call, or what was asked for. Expression and value.
    pub values: Vec<(String, String)>,
    /// Recorded frames, innermost first.
    pub stack: Vec<Arc<Location>>,
}
