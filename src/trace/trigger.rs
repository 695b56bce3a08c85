//! Conditions on the run: `gc.pause > 1ms`, `goroutines > 10000`, `sched.runqueue > 100`, `heap.live > 1GiB`. Tested on every look at a
//! running process, so that it is stopped or copied where it matters.

use crate::goruntime::sample::Sample;
use std::fmt;

/// What can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantity {
    /// Longest time that the collector stopped the world for in one cycle, ns.
    GcPause,
    /// Collector cycles since the program began.
    GcCycles,
    Goroutines,
    /// Goroutines in all run queues.
    RunQueue,
    /// Threads in system calls.
    Syscalls,
    /// Bytes.
    HeapLive,
    /// Bytes.
    HeapGoal,
}

/// Names, what they are, and whether a value has a unit of time or of memory.
const QUANTITIES: [(&str, Quantity, Units); 7] = [
    ("gc.pause", Quantity::GcPause, Units::Time),
    ("gc.cycles", Quantity::GcCycles, Units::None),
    ("goroutines", Quantity::Goroutines, Units::None),
    ("sched.runqueue", Quantity::RunQueue, Units::None),
    ("sched.syscalls", Quantity::Syscalls, Units::None),
    ("heap.live", Quantity::HeapLive, Units::Memory),
    ("heap.goal", Quantity::HeapGoal, Units::Memory),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Units {
    None,
    Time,
    Memory,
}

impl Units {
    fn all(self) -> &'static [(&'static str, f64)] {
        match self {
            Units::None => &[("", 1.0), ("k", 1e3), ("M", 1e6)],
            Units::Time => &[("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)],
            Units::Memory => &[
                ("", 1.0),
                ("B", 1.0),
                ("KB", 1e3),
                ("MB", 1e6),
                ("GB", 1e9),
                ("KiB", 1024.0),
                ("MiB", 1_048_576.0),
                ("GiB", 1_073_741_824.0),
            ],
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// Two characters before one.
const OPS: [(&str, Op); 4] = [(">=", Op::AtLeast), ("<=", Op::AtMost), (">", Op::Above), ("<", Op::Below)];

/// Why a text is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TriggerError(String);

/// A condition on a look.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    name: &'static str,
    quantity: Quantity,
    op: Op,
    value: f64,
    text: String,
}

impl Trigger {
    /// From its text. The error says what is possible.
    pub fn parse(text: &str) -> Result<Trigger, TriggerError> {
        let fail = |why: String| Err(TriggerError(why));
        let found = OPS.iter().find_map(|(s, op)| text.split_once(s).map(|(a, b)| (*op, a.trim(), b.trim())));
        let Some((op, name, value)) = found else {
            return fail(format!("no comparison (> >= < <=) in {text:?}"));
        };
        let Some((name, quantity, units)) = QUANTITIES.iter().find(|q| q.0 == name).copied() else {
            let names: Vec<&str> = QUANTITIES.iter().map(|q| q.0).collect();
            return fail(format!("{name:?} is not one of {}", names.join(" ")));
        };
        let digits = value.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(value.len());
        let (number, unit) = value.split_at(digits);
        let known = units.all();
        let Ok(number) = number.replace('_', "").parse::<f64>() else {
            return fail(format!("{value:?} is not a number with a unit"));
        };
        let Some((_, factor)) = known.iter().find(|u| u.0 == unit.trim()) else {
            let names: Vec<&str> = known.iter().map(|u| u.0).filter(|u| !u.is_empty()).collect();
            return fail(format!("{name} takes a number with one of {}", names.join(" ")));
        };
        Ok(Trigger { name, quantity, op, value: number * factor, text: text.trim().to_string() })
    }

    /// What it was, if the condition holds now.
    pub fn met(&self, s: &Sample) -> Option<u64> {
        let value = match self.quantity {
            Quantity::GcPause => s.pauses.iter().map(|p| p.ns).max()?,
            Quantity::GcCycles => u64::from(s.ended),
            Quantity::Goroutines => u64::from(s.goroutines?),
            Quantity::RunQueue => s.procs.iter().map(|p| u64::from(p.queued)).sum::<u64>() + u64::from(s.queued),
            Quantity::Syscalls => u64::from(s.syscalls),
            Quantity::HeapLive => s.heap,
            Quantity::HeapGoal => s.goal,
        };
        let v = value as f64;
        let holds = match self.op {
            Op::Above => v > self.value,
            Op::AtLeast => v >= self.value,
            Op::Below => v < self.value,
            Op::AtMost => v <= self.value,
        };
        holds.then_some(value)
    }

    /// The condition, and what it was: `gc.pause > 1ms (2_300_000 ns)`.
    pub fn said(&self, value: u64) -> String {
        let unit = match self.quantity {
            Quantity::GcPause => " ns",
            Quantity::HeapLive | Quantity::HeapGoal => " bytes",
            _ => "",
        };
        format!("{} ({} was {value}{unit})", self.text, self.name)
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goruntime::sample::Pause;

    #[test]
    fn conditions_hold_or_not() {
        let s = Sample {
            heap: 3 << 30,
            goroutines: Some(10_000),
            queued: 101,
            pauses: vec![Pause { cycle: 1, ns: 1_000_001, end: 0 }],
            ..Sample::default()
        };
        let met = |t: &str| Trigger::parse(t).expect(t).met(&s).is_some();
        for t in ["gc.pause > 1ms", "goroutines >= 10000", "sched.runqueue>100", "heap.live > 1GiB", "goroutines<=10k"]
        {
            assert!(met(t), "{t}");
        }
        for t in ["gc.pause > 1.1ms", "goroutines > 10_000", "sched.runqueue < 100", "heap.live > 3GiB"] {
            assert!(!met(t), "{t}");
        }
        let t = Trigger::parse("gc.pause > 1ms").expect("it is one");
        assert_eq!(t.said(2), "gc.pause > 1ms (gc.pause was 2 ns)");
        // Without a pause in this look there is nothing to compare.
        assert!(Trigger::parse("gc.pause < 1s").expect("one").met(&Sample::default()).is_none());
    }

    #[test]
    fn nonsense_is_told_what_is_possible() {
        for (text, says) in [
            ("goroutines", "no comparison"),
            ("threads > 3", "is not one of gc.pause"),
            ("gc.pause > 5", "ns us"),
            ("gc.pause > 5GiB", "ns us"),
            ("heap.live > big", "not a number"),
            ("", "no comparison"),
        ] {
            let e = Trigger::parse(text).expect_err(text).to_string();
            assert!(e.contains(says), "{text}: {e}");
        }
    }
}
