//! One event, in its place among all others.

use super::format::{SPECS, ev};

/// No thread, no P, no goroutine.
pub const NONE: i64 = -1;

/// What Go's reader calls an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Kind {
    Bad,
    Sync,
    Metric,
    Label,
    StackSample,
    RangeBegin,
    RangeActive,
    RangeEnd,
    TaskBegin,
    TaskEnd,
    RegionBegin,
    RegionEnd,
    Log,
    StateTransition,
    Experimental,
}

impl Kind {
    /// Its name in Go.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Bad => "Bad",
            Kind::Sync => "Sync",
            Kind::Metric => "Metric",
            Kind::Label => "Label",
            Kind::StackSample => "StackSample",
            Kind::RangeBegin => "RangeBegin",
            Kind::RangeActive => "RangeActive",
            Kind::RangeEnd => "RangeEnd",
            Kind::TaskBegin => "TaskBegin",
            Kind::TaskEnd => "TaskEnd",
            Kind::RegionBegin => "RegionBegin",
            Kind::RegionEnd => "RegionEnd",
            Kind::Log => "Log",
            Kind::StateTransition => "StateTransition",
            Kind::Experimental => "Experimental",
        }
    }
}

/// State of a goroutine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum GoState {
    #[default]
    Undetermined,
    NotExist,
    Runnable,
    Running,
    Waiting,
    Syscall,
}

impl GoState {
    /// The state that a number in a `GoStatus` stands for.
    pub fn of_status(n: u64) -> Option<GoState> {
        Some(match n {
            0 => GoState::Undetermined,
            1 => GoState::Runnable,
            2 => GoState::Running,
            3 => GoState::Syscall,
            4 => GoState::Waiting,
            _ => return None,
        })
    }
}

/// State of a P.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum ProcState {
    #[default]
    Undetermined,
    NotExist,
    Running,
    Idle,
}

/// A change of a goroutine or P.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// A goroutine's.
    Go {
        /// Whose.
        g: i64,
        /// Before.
        old: GoState,
        /// After.
        new: GoState,
    },
    /// A P's.
    Proc {
        /// Whose.
        p: i64,
        /// Before.
        old: ProcState,
        /// After.
        new: ProcState,
    },
}

/// An event: who did it (before it), when, and what. What strings and stacks it names is in the tables of its generation.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// When, ns; strictly rising.
    pub time: i64,
    /// Thread, or [`NONE`].
    pub m: i64,
    /// P, or [`NONE`].
    pub p: i64,
    /// Goroutine, or [`NONE`].
    pub g: i64,
    /// As in the file, with what the order adds: the old state of a status, the kind of a stop that ends, parent and name of a task that ends.
    pub args: [u64; 4],
    /// Its number.
    pub typ: u8,
}

impl Event {
    /// A mark between generations.
    pub fn mark(time: i64, n: u64) -> Event {
        Event { time, m: NONE, p: NONE, g: NONE, args: [n, 0, 0, 0], typ: ev::MARK }
    }

    /// What Go's reader calls it.
    pub fn kind(&self) -> Kind {
        SPECS[usize::from(self.typ)].kind
    }

    /// Id of the stack of who did it; 0 for none.
    pub fn stack(&self) -> u64 {
        match SPECS[usize::from(self.typ)].stacks[0] {
            0 => 0,
            i => self.args[usize::from(i) - 1],
        }
    }

    /// Id of the stack of the goroutine that changes; 0 for none.
    pub fn transition_stack(&self) -> u64 {
        match self.typ {
            ev::GO_CREATE | ev::GO_CREATE_BLOCKED => self.args[1],
            ev::GO_STOP | ev::GO_BLOCK | ev::GO_SYSCALL_BEGIN => self.args[1],
            ev::GO_STATUS_STACK => self.args[3],
            _ => 0,
        }
    }

    /// Id of the string that says why a goroutine stopped or blocked; 0 for none.
    pub fn reason(&self) -> u64 {
        if matches!(self.typ, ev::GO_STOP | ev::GO_BLOCK) { self.args[0] } else { 0 }
    }

    /// What changes, if this is a change of state.
    pub fn transition(&self) -> Option<Transition> {
        use GoState::{NotExist, Runnable, Running, Syscall, Waiting};
        let go = |g, old, new| Some(Transition::Go { g, old, new });
        let proc = |p, old, new| Some(Transition::Proc { p, old, new });
        let arg = self.args[0].cast_signed();
        match self.typ {
            ev::GO_START => go(arg, Runnable, Running),
            ev::GO_BLOCK => go(self.g, Running, Waiting),
            ev::GO_UNBLOCK | ev::GO_SWITCH | ev::GO_SWITCH_DESTROY => go(arg, Waiting, Runnable),
            ev::GO_STOP => go(self.g, Running, Runnable),
            ev::GO_CREATE => go(arg, NotExist, Runnable),
            ev::GO_CREATE_BLOCKED => go(arg, NotExist, Waiting),
            ev::GO_CREATE_SYSCALL => go(arg, NotExist, Syscall),
            ev::GO_DESTROY => go(self.g, Running, NotExist),
            ev::GO_DESTROY_SYSCALL => go(self.g, Syscall, NotExist),
            ev::GO_SYSCALL_BEGIN => go(self.g, Running, Syscall),
            ev::GO_SYSCALL_END => go(self.g, Syscall, Running),
            ev::GO_SYSCALL_END_BLOCKED => go(self.g, Syscall, Runnable),
            ev::GO_STATUS | ev::GO_STATUS_STACK => {
                let new = GoState::of_status(self.args[2] & 0xffff_ffff).unwrap_or_default();
                // The order puts 0 there for a goroutine met first, else what it already was.
                go(arg, if self.args[2] >> 32 == 0 { GoState::Undetermined } else { new }, new)
            }
            ev::PROC_START => proc(arg, ProcState::Idle, ProcState::Running),
            ev::PROC_STOP => proc(self.p, ProcState::Running, ProcState::Idle),
            ev::PROC_STEAL => {
                let lost = self.args[3] == ABANDONED;
                proc(arg, if lost { ProcState::Idle } else { ProcState::Running }, ProcState::Idle)
            }
            ev::PROC_STATUS => {
                let old = match self.args[2] {
                    1 => ProcState::NotExist,
                    2 => ProcState::Running,
                    3 => ProcState::Idle,
                    _ => ProcState::Undetermined,
                };
                let new = match self.args[1] {
                    1 | 3 => ProcState::Running,
                    2 | 4 => ProcState::Idle,
                    _ => ProcState::Undetermined,
                };
                proc(arg, old, new)
            }
            _ => None,
        }
    }
}

/// Status of a P whose thread is not known any more.
pub(super) const ABANDONED: u64 = 4;
