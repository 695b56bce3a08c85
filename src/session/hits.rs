//! What breakpoints recorded while the program ran: the last records, and sums for each traced function.

use super::Session;
use super::action::ActionEdit;
use super::sentences::hit_sentence;
use crate::backend::protocol::LogLevel;
use crate::base::BreakpointId;
use crate::base::ring::Ring;
use crate::base::text::printable_str;
use crate::model::{Actions, Breakpoint, CallTotals, Hit, HitKind};
use std::collections::BTreeMap;

/// Records kept.
pub const HITS: usize = 10_000;

/// The records and what they come to.
pub struct Hits {
    ring: Ring<Hit>,
    /// Records that the host did not keep.
    pub lost: u64,
    /// By trace point: its function and what its calls come to; kept when it is cleared.
    sums: BTreeMap<BreakpointId, (String, CallTotals)>,
}

impl Default for Hits {
    fn default() -> Hits {
        Hits { ring: Ring::new(HITS), lost: 0, sums: BTreeMap::new() }
    }
}

impl Hits {
    /// Adds one.
    pub fn add(&mut self, h: Hit) {
        self.ring.push(h);
    }
    /// News of a breakpoint.
    pub(super) fn totals(&mut self, b: &Breakpoint) {
        if b.calls.calls > 0 {
            let function = b.at.first().map_or_else(|| b.spec.place.text().to_string(), |l| l.function.clone());
            self.sums.insert(b.id, (function, b.calls));
        }
    }
    /// Oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Hit> + ExactSizeIterator {
        self.ring.iter()
    }
    /// Traced functions, the one with most time first.
    pub fn sums(&self) -> Vec<(BreakpointId, &str, &CallTotals)> {
        let mut v: Vec<_> = self.sums.iter().map(|(id, (f, s))| (*id, f.as_str(), s)).collect();
        v.sort_by_key(|(_, _, s)| std::cmp::Reverse(s.total_ns));
        v
    }
}

/// Changes what is done at a hit.
pub(super) fn edit_actions(a: &mut Actions, edit: ActionEdit) {
    match edit {
        ActionEdit::Value(e) => a.values.push(e),
        ActionEdit::Stack(n) => a.stack = n,
        ActionEdit::Log(t) => (a.log, a.run_on) = (t, true),
        ActionEdit::Trace => (a.trace, a.run_on) = (true, true),
        ActionEdit::RunOn(on) => a.run_on = on,
        ActionEdit::StopAfter(n) => a.stop_after = n,
        ActionEdit::Exact => a.exact = true,
        ActionEdit::Nothing => *a = Actions::default(),
    }
}

fn field(s: &str) -> String {
    if s.contains([',', '"', '\n']) { format!("\"{}\"", s.replace('"', "\"\"")) } else { s.to_string() }
}

impl Hits {
    /// Traced functions as a table for people.
    pub fn table(&self) -> Vec<String> {
        let mut lines =
            vec![format!("{:>9} {:>10} {:>9} {:>9} {:>9}  function", "calls", "total", "mean", "min", "max")];
        for (_, f, s) in self.sums() {
            let t = super::lanes::length;
            let mean = s.total_ns / s.calls.max(1);
            let name = printable_str(crate::model::location::short_function(f), 120);
            lines.push(format!(
                "{:>9} {:>10} {:>9} {:>9} {:>9}  {name}",
                s.calls,
                t(s.total_ns),
                t(mean),
                t(s.min_ns),
                t(s.max_ns)
            ));
        }
        lines
    }
    /// The same as CSV (RFC 4180), times in ns.
    pub fn csv(&self) -> String {
        let mut out = "breakpoint,function,calls,total_ns,min_ns,max_ns\r\n".to_string();
        for (id, f, s) in self.sums() {
            out.push_str(&format!("{id},{},{},{},{},{}\r\n", field(f), s.calls, s.total_ns, s.min_ns, s.max_ns));
        }
        out
    }
    /// Recorded calls as folded stacks, one line a stack with its time in microseconds: what flame graphs are drawn of. Frames above
    /// the function are known where the trace point records them (`on ID stack N`).
    pub fn folded(&self) -> String {
        let mut entered: BTreeMap<(BreakpointId, Option<crate::base::GoroutineId>), Vec<String>> = BTreeMap::new();
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        for h in self.iter() {
            let key = (h.breakpoint, h.goroutine);
            match h.kind {
                HitKind::Entered => {
                    let mut frames: Vec<&str> = h.stack.iter().rev().map(|l| l.function.as_str()).collect();
                    if frames.is_empty() {
                        frames.push(&h.at.function);
                    }
                    entered.entry(key).or_default().push(frames.join(";"));
                }
                HitKind::Returned(took) => {
                    let stack = entered.get_mut(&key).and_then(Vec::pop).unwrap_or_else(|| h.at.function.clone());
                    *sums.entry(stack).or_default() += took.unwrap_or(0) / 1_000;
                }
                _ => {}
            }
        }
        sums.into_iter().map(|(s, us)| format!("{s} {us}\n")).collect()
    }
}

impl Session {
    pub(super) fn put_hits(&mut self, hits: Vec<Hit>, lost: u64) {
        let time = (self.clock)();
        for h in hits {
            self.log.push_here_only(&time, LogLevel::Info, &hit_sentence(&h));
            self.hits.add(h);
        }
        if lost > self.hits.lost {
            self.log.push(
                &time,
                LogLevel::Warn,
                &format!("{} records of breakpoints were not kept", lost - self.hits.lost),
            );
            self.hits.lost = lost;
        }
    }
}
