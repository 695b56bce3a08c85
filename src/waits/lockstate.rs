//! What is known before an instruction: values by symbol, locks held, locks let go.

use iced_x86::Register;
use std::collections::{BTreeMap, BTreeSet};

/// How often one lock may be held by one function.
const MAX_TIMES: usize = 2;
/// Locks let go that are told apart.
const MAX_FREED: usize = 16;

/// How it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// `Lock`.
    Write,
    /// `RLock`.
    Read,
}

/// What a symbol stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Sym {
    /// Nothing: the offset is an address in the file.
    File,
    /// The frame's CFA.
    Cfa,
    /// What a register held at entry.
    Entry(u8),
    /// What the slot at this offset from the CFA held before it was written here.
    Slot(i64),
    /// The word that was loaded at this address of code.
    Load(u64),
    /// Some other result.
    Made(u64, u8),
}

/// A symbol and what was added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value {
    pub(super) sym: Sym,
    pub(super) off: i64,
}

impl Value {
    pub(super) fn plus(self, n: i64) -> Value {
        Value { off: self.off.wrapping_add(n), ..self }
    }
}

/// State before an instruction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) regs: [Option<Value>; 16],
    pub(super) slots: BTreeMap<i64, Value>,
    /// Held on all paths; sorted.
    pub(super) held: Vec<(Mode, Option<Value>)>,
    /// At a call: the lock that is being locked there.
    pub(super) wants: Option<Value>,
    /// Held on some path.
    pub(super) may: BTreeSet<(Mode, Option<Value>)>,
    /// Unlocked on some path without having been locked here under that name, and not locked again since.
    pub(super) freed: BTreeSet<(Mode, Option<Value>)>,
    /// One of those that was locked again just now; if the call that follows is the slow path of that, it is not yet.
    pub(super) regained: Option<(Mode, Option<Value>)>,
}

/// Something that happens to a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockEvent {
    /// Locks, or unlocks.
    pub locks: bool,
    /// How.
    pub mode: Mode,
    pub(super) value: Option<Value>,
}

pub(super) fn number(r: Register) -> Option<usize> {
    (r.is_gpr64() || r.is_gpr32()).then(|| r.number())
}

impl State {
    pub(super) fn reg(&self, r: Register) -> Option<Value> {
        self.regs[number(r)?]
    }
    pub(super) fn drop_slots(&mut self, off: i64, size: i64) {
        self.slots.retain(|k, _| *k + 8 <= off || *k >= off + size);
    }
    pub(super) fn event(&mut self, e: LockEvent) {
        let key = (e.mode, e.value);
        if e.locks {
            self.may.insert(key);
            self.regained = self.freed.take(&key);
            if self.held.iter().filter(|h| **h == key).count() < MAX_TIMES {
                let at = self.held.partition_point(|h| *h <= key);
                self.held.insert(at, key);
            }
        } else if let Some(i) = self.held.iter().position(|h| *h == key) {
            self.held.remove(i);
            if !self.held.contains(&key) {
                self.may.remove(&key);
            }
        } else {
            // Of two of which one is not known it may be the other's: not held for sure.
            let unknown = |h: &(Mode, Option<Value>)| h.0 == e.mode && (h.1.is_none() || e.value.is_none());
            if let Some(i) = self.held.iter().rposition(unknown) {
                self.held.remove(i);
            }
            // Under this name it was not locked here: under another one, or by a caller.
            self.freed.insert(if self.freed.len() < MAX_FREED { key } else { (e.mode, None) });
        }
    }
    /// What both say.
    pub(super) fn meet(&self, o: &State) -> State {
        let mut held = Vec::new();
        let mut rest = o.held.clone();
        for h in &self.held {
            if let Some(i) = rest.iter().position(|x| x == h) {
                rest.remove(i);
                held.push(*h);
            }
        }
        State {
            regs: std::array::from_fn(|i| self.regs[i].filter(|v| o.regs[i] == Some(*v))),
            slots: self.slots.iter().filter(|(k, v)| o.slots.get(k) == Some(v)).map(|(k, v)| (*k, *v)).collect(),
            held,
            wants: None,
            may: self.may.union(&o.may).copied().collect(),
            freed: self.freed.union(&o.freed).copied().collect(),
            regained: self.regained.or(o.regained),
        }
    }
}
