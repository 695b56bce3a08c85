//! Who holds a lock. Go's locks record no owner; stacks tell it: a pending deferred call that will unlock it, or a frame that stands
//! between locking and unlocking.

use super::lockflow::{Frame, Known, LockFlow, Mode, lets_go, locks};
use crate::base::{LoadAddr, Memory};
use crate::goruntime::unwind::RawFrame;
use crate::goruntime::{G, GoRuntime};
use crate::model::Evidence;
use crate::symbols::Function;
use rustc_hash::FxHashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// A lock held by a goroutine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Address of the Mutex or RWMutex (a Once's is its own mutex); none: held, but which it is cannot be told.
    pub lock: Option<LoadAddr>,
    /// How.
    pub mode: Mode,
    /// How it is known.
    pub evidence: Evidence,
    /// Physical frame.
    pub frame: u32,
}

/// Something that a goroutine's pending deferred calls will do for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WillDo {
    /// `wg.Done()`: the WaitGroup; `cond.Signal()`: the Cond; `close(ch)`: not told.
    pub object: LoadAddr,
    /// Physical frame.
    pub frame: u32,
}

/// A lock that was let go.
type LetGo = (Mode, Option<LoadAddr>);
/// By function, and whether it was analysed although it has nothing to do with locks.
type Flows = FxHashMap<(u32, bool), Option<Arc<LockFlow>>>;

/// Analyses functions once.
pub struct Holders<'a> {
    rt: &'a GoRuntime,
    mem: &'a dyn Memory,
    flows: RwLock<Flows>,
}

impl<'a> Holders<'a> {
    /// For one program.
    pub fn new(rt: &'a GoRuntime, mem: &'a dyn Memory) -> Holders<'a> {
        Holders { rt, mem, flows: RwLock::default() }
    }

    fn flow(&self, f: Function, all: bool) -> Option<Arc<LockFlow>> {
        let key = (f.index, all);
        if let Some(hit) = self.flows.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return hit.clone();
        }
        let made = LockFlow::of(self.rt.symbols(), f, all).map(Arc::new);
        self.flows.write().unwrap_or_else(PoisonError::into_inner).insert(key, made.clone());
        made
    }

    /// Locks that a goroutine holds, and WaitGroups that it will finish, by its frames and pending deferred calls. `wanted` is the lock
    /// that it waits for.
    pub fn of(&self, g: &G, frames: &[RawFrame], wanted: Option<LoadAddr>) -> (Vec<Hold>, Vec<WillDo>) {
        let (mut holds, freed) = self.by_frames(frames, wanted);
        let mut will = Vec::new();
        // The frame that waits in Lock.
        let waiting = frames.iter().position(|f| !self.is_plumbing(f)).unwrap_or(0) as u32;
        for p in self.rt.pending_defers(self.mem, g, frames) {
            let frame = p.defer.frame;
            let mut add = |lock: LoadAddr, mode| {
                let let_go = |l| freed.iter().any(|f| f.0 < frame && lets_go(&[f.1], mode, Some(l)));
                if let Some(same) =
                    holds.iter_mut().find(|h| h.lock == Some(lock) && h.mode == mode && h.frame == frame)
                {
                    same.evidence = Evidence::Defer;
                } else if !(let_go(lock) || Some(lock) == wanted && frame == waiting)
                    && self.may_hold(frames, frame, mode, lock)
                {
                    // Not when it may have been deferred before locking.
                    holds.push(Hold { lock: Some(lock), mode, evidence: Evidence::Defer, frame });
                }
            };
            match (p.defer.function.as_str(), p.defer.receiver) {
                ("sync.(*Mutex).Unlock" | "sync.(*RWMutex).Unlock" | "internal/sync.(*Mutex).Unlock", Some(m)) => {
                    add(m, Mode::Write);
                }
                ("sync.(*RWMutex).RUnlock" | "sync.(*rlocker).Unlock", Some(m)) => add(m, Mode::Read),
                ("sync.(*WaitGroup).Done", Some(w)) => will.push(WillDo { object: w, frame }),
                (name, _) if name.contains(".deferwrap") => {
                    if let Some((lock, mode)) = self.through_interface(p.func) {
                        add(lock, mode);
                    }
                }
                _ => {
                    // A closure whose body unlocks.
                    let code = self.mem.read_ptr(p.func).ok();
                    let f = code.and_then(|c| self.rt.symbols().function_at(self.rt.bias().to_file(c)));
                    if let Some(flow) = f.and_then(|f| self.flow(f, false)) {
                        for (mode, lock) in flow.unlocks_of(p.func, self.mem, self.rt.bias()) {
                            add(lock, mode);
                        }
                    }
                }
            }
        }
        (holds, will)
    }

    fn is_plumbing(&self, f: &RawFrame) -> bool {
        let name = self.rt.symbols().function_name(f.info.function);
        // The function that `sync.Once` runs is the user's; doSlow itself is what holds.
        name.starts_with("runtime.") || name.starts_with("sync.") || name.starts_with("internal/")
    }

    fn may_hold(&self, frames: &[RawFrame], n: u32, mode: Mode, lock: LoadAddr) -> bool {
        let Some(f) = frames.get(n as usize) else { return true };
        let Some(flow) = self.flow(f.info.function, false) else { return true };
        let frame = Frame { mem: self.mem, bias: self.rt.bias(), cfa: f.cfa, context: None, known: &[] };
        flow.may_hold(self.rt.bias().to_file(f.pc), mode, lock, &frame)
    }

    /// Locks held by frames; and what each frame has let go of its callers' locks: frame, how, which.
    fn by_frames(&self, frames: &[RawFrame], wanted: Option<LoadAddr>) -> (Vec<Hold>, Vec<(u32, LetGo)>) {
        let mut holds = Vec::new();
        let mut freed: Vec<(u32, LetGo)> = Vec::new();
        let mut known: Vec<Known> = Vec::new();
        let mut innermost = true;
        for (n, f) in frames.iter().enumerate().filter(|(_, f)| !f.system_stack && !f.exact && !self.is_plumbing(f)) {
            let Some(flow) = self.flow(f.info.function, wanted.is_some()) else {
                known.clear();
                innermost = false;
                continue;
            };
            let ret = self.rt.bias().to_file(f.pc);
            let frame = Frame { mem: self.mem, bias: self.rt.bias(), cfa: f.cfa, context: None, known: &[] };
            known = flow.knowledge(ret, &frame, &known, wanted.filter(|_| innermost));
            innermost = false;
            let mut held = flow.held_at(ret, &Frame { known: &known, ..frame });
            held.retain(|h| !freed.iter().any(|f| lets_go(&[f.1], h.0, h.1)));
            let locking = f.info.frames.iter().find(|l| locks(&l.at.function));
            let let_go = flow.freed_at(ret, &Frame { known: &known, ..frame }, locking.is_some());
            freed.extend(let_go.into_iter().map(|x| (n as u32, x)));
            // It waits inside an inlined Lock, whose fast path stands before this call: that one it does not hold yet.
            if let Some(last) = locking {
                let mode = if last.at.function.ends_with("RLock") { Mode::Read } else { Mode::Write };
                let its = held.iter().position(|h| h.0 == mode && h.1.is_some() && h.1 == wanted);
                if let Some(i) = its.or_else(|| held.iter().rposition(|h| h.0 == mode && h.1.is_none())) {
                    held.remove(i);
                }
            }
            let hold = |(mode, lock)| Hold { lock, mode, evidence: Evidence::Frame, frame: n as u32 };
            holds.extend(held.into_iter().map(hold));
        }
        (holds, freed)
    }

    /// The lock behind a deferred call through an interface (`defer c.L.Unlock()`): the wrapper holds the interface's two words.
    fn through_interface(&self, func: LoadAddr) -> Option<(LoadAddr, Mode)> {
        let itab = self.mem.read_ptr(func.add(8)).ok()?;
        let data = self.mem.read_ptr(func.add(16)).ok()?;
        let t = self.rt.runtime_type(self.mem, self.mem.read_ptr(itab.add(8)).ok()?)?;
        match t.name.as_str() {
            "*sync.Mutex" | "*sync.RWMutex" => Some((data, Mode::Write)),
            "*sync.rlocker" => Some((data, Mode::Read)),
            _ => None,
        }
    }
}
