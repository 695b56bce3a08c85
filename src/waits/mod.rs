//! Floor 4: what a parked goroutine waits for.
//!
//! One file a primitive, one row in [`PRIMITIVES`]. A primitive says whether a goroutine's wait is its own and then names the
//! objects; what it cannot find it leaves out. [`holders`] infers who holds a lock.

mod channel;
mod cond;
mod gc;
pub mod holders;
mod io;
pub mod lock;
pub mod lockflow;
mod lockstate;
mod other;
mod semtable;
mod syscall;
mod timer;
pub mod waitgroup;

use crate::base::{LoadAddr, Memory};
use crate::goruntime::unwind::{RawFrame, Start, Unwinder};
use crate::goruntime::{G, GoRuntime};
use crate::model::WaitOn;
use semtable::SemTable;
use std::cell::OnceCell;
use std::sync::{Arc, OnceLock};

/// Frames looked through for the function that waits.
const DEPTH: usize = 24;

/// A kind of thing that goroutines wait for.
pub struct Primitive {
    /// For lists and tests.
    pub name: &'static str,
    /// Is this wait the primitive's?
    pub applies: fn(&Parked<'_>) -> bool,
    /// The objects that the goroutine waits on.
    pub find: fn(&Parked<'_>) -> Found,
}

/// All of them; the first that applies is asked.
pub const PRIMITIVES: &[Primitive] = &[
    channel::CHAN,
    channel::SELECT,
    lock::ONCE,
    lock::RWMUTEX,
    lock::MUTEX,
    waitgroup::WAITGROUP,
    cond::COND,
    io::IO,
    lock::SEMAPHORE,
    timer::SLEEP,
    syscall::CGO,
    syscall::SYSCALL,
    gc::GC,
    other::COROUTINE,
    other::OTHER,
];

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The objects, with their operations.
    pub on: Vec<WaitOn>,
    /// The runtime's records of the wait.
    pub sudogs: Vec<LoadAddr>,
    /// It is off its queue already: somebody is about to make it ready, and need not know the object any more.
    pub woken: bool,
}

impl Found {
    fn one(on: WaitOn) -> Found {
        Found { on: vec![on], ..Found::default() }
    }
}

/// What is read once for many goroutines.
pub struct Waits<'a> {
    pub(crate) rt: &'a GoRuntime,
    pub(crate) mem: &'a dyn Memory,
    now_ns: u64,
    sems: Arc<OnceLock<SemTable>>,
    conds: Arc<cond::Lists>,
    timers: Arc<OnceLock<rustc_hash::FxHashMap<LoadAddr, u64>>>,
}

impl<'a> Waits<'a> {
    /// For one moment of `mem`; `now_ns` is its CLOCK_MONOTONIC.
    pub fn new(rt: &'a GoRuntime, mem: &'a dyn Memory, now_ns: u64) -> Waits<'a> {
        Waits { rt, mem, now_ns, sems: Arc::default(), conds: Arc::default(), timers: Arc::default() }
    }

    /// Reads now what is read once.
    pub fn prepare(&self) {
        if !self.rt.layout().facts.waiting_has_semaphores {
            self.sems();
        }
    }

    /// The same, reading through another view of the memory (a cache of one worker).
    pub fn through<'b>(&self, mem: &'b dyn Memory) -> Waits<'b>
    where
        'a: 'b,
    {
        let (sems, conds, timers) = (self.sems.clone(), self.conds.clone(), self.timers.clone());
        Waits { rt: self.rt, mem, now_ns: self.now_ns, sems, conds, timers }
    }

    /// What a goroutine waits for; nothing if it does not wait, or nobody knows on what.
    pub fn of(&self, g: &G) -> Found {
        let Some((pc, sp)) = g.parked_at() else { return Found::default() };
        let reason = if g.waits() { self.rt.wait_reason(g.wait_reason) } else { None };
        let parked = Parked {
            cx: self,
            g,
            reason: reason.unwrap_or_else(|| Arc::from("")),
            start: Start { pc, sp, exact: false, system_stack: false },
            frames: OnceCell::new(),
        };
        let found = PRIMITIVES.iter().find(|p| (p.applies)(&parked)).map(|p| (p.find)(&parked));
        found.unwrap_or_default()
    }

    /// When the timer of a channel is due, for channels that do not know their timer.
    fn due_of(&self, chan: LoadAddr) -> Option<u64> {
        self.timers.get_or_init(|| timer::by_channel(self.rt, self.mem)).get(&chan).copied()
    }

    fn sems(&self) -> &SemTable {
        self.sems.get_or_init(|| SemTable::read(self.rt, self.mem))
    }
}

/// A goroutine that is parked, and its stack when a primitive needs it.
pub struct Parked<'c> {
    pub(crate) cx: &'c Waits<'c>,
    pub(crate) g: &'c G,
    reason: Arc<str>,
    start: Start,
    frames: OnceCell<Vec<RawFrame>>,
}

impl Parked<'_> {
    fn reason(&self) -> &str {
        &self.reason
    }
    fn rt(&self) -> &GoRuntime {
        self.cx.rt
    }
    fn mem(&self) -> &dyn Memory {
        self.cx.mem
    }
    /// The innermost physical frames.
    fn frames(&self) -> &[RawFrame] {
        self.frames.get_or_init(|| {
            Unwinder::new(self.cx.mem, self.cx.rt.pcs(), self.cx.rt.layout(), Some(*self.g), self.start)
                .run(DEPTH)
                .frames
        })
    }
    /// The frame of a function (or into which it is inlined).
    fn frame_of(&self, is: impl Fn(&str) -> bool) -> Option<&RawFrame> {
        self.frames().iter().find(|f| f.info.frames.iter().any(|l| is(&l.at.function)))
    }
    /// The function whose lock or semaphore it is: the innermost one that is neither the runtime's nor a mutex's own.
    fn waiter(&self) -> &str {
        let inner = |f: &str| {
            let own = ["runtime.", "internal/sync.", "internal/runtime/", "sync.runtime_", "sync.(*Mutex)."];
            own.iter().any(|p| f.starts_with(p))
        };
        let mut all = self.frames().iter().flat_map(|f| f.info.frames.iter().map(|l| l.at.function.as_str()));
        all.find(|f| !inner(f)).unwrap_or("")
    }
    fn calls(&self, function: &str) -> bool {
        self.frame_of(|f| f == function).is_some()
    }
    /// The semaphore (or notify list) that it is queued at, and the record of it.
    fn semaphore(&self) -> Option<(LoadAddr, LoadAddr)> {
        if self.rt().layout().facts.waiting_has_semaphores && !self.g.waiting.is_nil() {
            let l = &self.rt().layout().sudog;
            let owner = self.mem().read_ptr(self.g.waiting.add(l.g)).ok()?;
            let elem = self.mem().read_ptr(self.g.waiting.add(l.elem)).ok()?;
            return (owner == self.g.addr && !elem.is_nil()).then_some((elem, self.g.waiting));
        }
        self.cx.sems().of(self.g.addr)
    }
    /// `in 3.2s`, `1m ago`.
    fn due(&self, when: u64) -> String {
        let text = |ns| crate::base::clock::human_ns(ns);
        match when.checked_sub(self.cx.now_ns) {
            Some(left) => format!("in {}", text(left)),
            None => format!("{} ago", text(self.cx.now_ns - when)),
        }
    }
}
