//! Breakpoints as the user sees them: one logical breakpoint may be many addresses.

use super::Location;
use crate::base::BreakpointId;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Where to break, not yet resolved. Written as Delve writes locations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BreakpointPlace {
    /// Delve's location syntax: `file:line`, `line`, `+n`, `-n`, `function`, `function:line`, `/regex/`, `*address`.
    Spec(String),
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
}

impl BreakpointSpec {
    /// An enabled, unconditional breakpoint at a Delve location.
    pub fn at(spec: &str) -> BreakpointSpec {
        BreakpointSpec {
            place: BreakpointPlace::Spec(spec.to_string()),
            name: String::new(),
            condition: String::new(),
            hits: None,
            enabled: true,
        }
    }
}

/// A breakpoint that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breakpoint {
    /// Its number.
    pub id: BreakpointId,
    /// What was asked for.
    pub spec: BreakpointSpec,
    /// Where it is: one per instance (inlined copies, generic instances, regex matches). Empty while it waits for code to appear.
    pub at: Vec<Arc<Location>>,
    /// Times its condition held.
    pub hits: u64,
    /// Why it is not active although enabled (location gone after a rebuild, condition does not evaluate); empty if it is.
    pub problem: String,
}
