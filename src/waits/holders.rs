//! Who holds a lock. Go's locks record no owner; stacks tell it: a pending deferred call that will unlock it, or a frame that stands
//! between locking and unlocking.

use super::lockflow::{Frame, LockFlow, Mode, locks};
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

/// Analyses functions once.
pub struct Holders<'a> {
    rt: &'a GoRuntime,
    mem: &'a dyn Memory,
    flows: RwLock<FxHashMap<u32, Option<Arc<LockFlow>>>>,
}

impl<'a> Holders<'a> {
    /// For one program.
    pub fn new(rt: &'a GoRuntime, mem: &'a dyn Memory) -> Holders<'a> {
        Holders { rt, mem, flows: RwLock::default() }
    }

    fn flow(&self, f: Function) -> Option<Arc<LockFlow>> {
        if let Some(hit) = self.flows.read().unwrap_or_else(PoisonError::into_inner).get(&f.index) {
            return hit.clone();
        }
        let made = LockFlow::of(self.rt.symbols(), f).map(Arc::new);
        self.flows.write().unwrap_or_else(PoisonError::into_inner).insert(f.index, made.clone());
        made
    }

    /// Locks that a goroutine holds, and WaitGroups that it will finish, by its frames and pending deferred calls.
    pub fn of(&self, g: &G, frames: &[RawFrame]) -> (Vec<Hold>, Vec<WillDo>) {
        let mut holds: Vec<Hold> = Vec::new();
        let mut will = Vec::new();
        for p in self.rt.pending_defers(self.mem, g, frames) {
            let frame = p.defer.frame;
            let mut add = |lock: LoadAddr, mode| {
                holds.push(Hold { lock: Some(lock), mode, evidence: Evidence::Defer, frame });
            };
            match (p.defer.function.as_str(), p.defer.receiver) {
                ("sync.(*Mutex).Unlock" | "sync.(*RWMutex).Unlock" | "internal/sync.(*Mutex).Unlock", Some(m)) => {
                    add(m, Mode::Write);
                }
                ("sync.(*RWMutex).RUnlock", Some(m)) => add(m, Mode::Read),
                ("sync.(*WaitGroup).Done", Some(w)) => will.push(WillDo { object: w, frame }),
                _ => {
                    // A closure whose body unlocks.
                    let code = self.mem.read_ptr(p.func).ok();
                    let f = code.and_then(|c| self.rt.symbols().function_at(self.rt.bias().to_file(c)));
                    if let Some(flow) = f.and_then(|f| self.flow(f)) {
                        for (mode, lock) in flow.unlocks_of(p.func, self.mem, self.rt.bias()) {
                            add(lock, mode);
                        }
                    }
                }
            }
        }
        for (n, f) in frames.iter().enumerate().filter(|(_, f)| !f.system_stack && !f.exact) {
            let name = self.rt.symbols().function_name(f.info.function);
            if name.starts_with("runtime.") || name.starts_with("sync.") || name.starts_with("internal/") {
                continue;
            }
            let Some(flow) = self.flow(f.info.function) else { continue };
            let ret = self.rt.bias().to_file(f.pc);
            let frame = Frame { mem: self.mem, bias: self.rt.bias(), cfa: f.cfa, context: None };
            let mut held = flow.held_at(ret, &frame);
            // It waits inside an inlined Lock, whose fast path stands before this call: that one it does not hold yet.
            if let Some(last) = f.info.frames.iter().find(|l| locks(&l.at.function)) {
                let mode = if last.at.function.ends_with("RLock") { Mode::Read } else { Mode::Write };
                if let Some(i) = held.iter().rposition(|h| h.0 == mode) {
                    held.remove(i);
                }
            }
            for (mode, lock) in held {
                // One acquisition may be seen twice: by its defer and by its frame.
                let same = |h: &Hold| h.lock == lock && h.mode == mode && h.frame == n as u32;
                if lock.is_none() || !holds.iter().any(same) {
                    holds.push(Hold { lock, mode, evidence: Evidence::Frame, frame: n as u32 });
                }
            }
        }
        (holds, will)
    }
}
