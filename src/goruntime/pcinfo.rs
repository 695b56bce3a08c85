//! What is known of a PC, remembered: a hundred thousand goroutines stand at a few hundred PCs.

use super::switching;
use crate::base::{FileAddr, LoadAddr, LoadBias};
use crate::model::Location;
use crate::symbols::{Function, Symbols};
use rustc_hash::{FxHashMap, FxHasher};
use smallvec::SmallVec;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock};

/// Functions at which the unwinder has to do something special.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Special {
    /// Nothing special.
    #[default]
    None,
    /// Switches to the system stack; the goroutine's context is in curg.sched.
    Systemstack,
    /// As `Systemstack`, the saved context is the caller's already.
    Mcall,
    /// Goes on with a goroutine: has its SP already when it still stands at its own instructions, and curg.sched has its PC.
    Gogo,
    /// Stack growth.
    Morestack,
    /// Calls C on the system stack, and is there from a goroutine's.
    Asmcgocall,
    /// Calls C on the system stack on which it was called itself.
    AsmcgocallOnSystem,
    /// A function that changes stacks, before and after: SP is as it was at its entry.
    CallersStack,
    /// Go called from C: writes SP, but arranges a valid frame on both stacks.
    Cgocallback,
    /// Injected at a fault: the frame below stands exactly at its PC.
    ExactBelow,
    /// Entered by the kernel; its frame address is the signal context's.
    Sigtramp,
    /// Where a signal handler returns to: the signal context is at SP.
    Sigreturn,
    /// Bottom of a system stack.
    SystemBottom,
}

/// One logical function at a PC.
#[derive(Clone, Debug)]
pub struct LogicalFrame {
    /// Location, shared by all who stand here.
    pub at: Arc<Location>,
    /// Number of the location within its cache.
    pub id: u32,
    /// Line of the `func` keyword.
    pub start_line: u32,
    /// Inside the runtime, not to be shown as the user's place.
    pub internal: bool,
    /// Inside what the user's code waits through (`sync`, `internal/poll`, `syscall`, `time.Sleep`): its caller says more.
    pub plumbing: bool,
}

/// Facts about a PC.
#[derive(Clone, Debug)]
pub struct PcInfo {
    /// Physical function.
    pub function: Function,
    /// Bytes between SP and the return address; none where there is no table.
    pub delta: Option<u32>,
    /// Outermost frame.
    pub top: bool,
    /// SP may have been written.
    pub sp_write: bool,
    /// Compiler-made.
    pub wrapper: bool,
    /// The PC is the first of its function.
    pub at_entry: bool,
    /// See [`Special`].
    pub special: Special,
    /// Innermost first; the physical function is last.
    pub frames: SmallVec<[LogicalFrame; 2]>,
}

/// Numbered locations with the hashes that grouping uses.
#[derive(Clone, Debug)]
pub struct KnownLocation {
    /// The location.
    pub at: Arc<Location>,
    /// Hash of function, file and line, but not of the PC.
    pub line_key: u64,
    /// Hash of the function.
    pub function_key: u64,
}

/// The memory of PCs; shared between threads.
pub struct PcCache {
    symbols: Arc<Symbols>,
    bias: LoadBias,
    known: RwLock<FxHashMap<u64, Option<Arc<PcInfo>>>>,
    locations: RwLock<Vec<KnownLocation>>,
}

fn key(pc: LoadAddr, exact: bool) -> u64 {
    pc.0 << 1 | u64::from(exact)
}

impl PcCache {
    /// An empty cache. Location 0 is the unknown one.
    pub fn new(symbols: Arc<Symbols>, bias: LoadBias) -> PcCache {
        let unknown = KnownLocation { at: Arc::new(Location::default()), line_key: 0, function_key: 0 };
        PcCache { symbols, bias, known: RwLock::default(), locations: RwLock::new(vec![unknown]) }
    }
    /// Symbols behind it.
    pub fn symbols(&self) -> &Arc<Symbols> {
        &self.symbols
    }
    /// Load bias of the executable.
    pub fn bias(&self) -> LoadBias {
        self.bias
    }

    /// Facts about a PC; `exact` if execution stands at it, else it is a return address and the call before it counts.
    pub fn get(&self, pc: LoadAddr, exact: bool) -> Option<Arc<PcInfo>> {
        if let Some(hit) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&key(pc, exact)) {
            return hit.clone();
        }
        let made = self.make(pc, exact).map(Arc::new);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.entry(key(pc, exact)).or_insert(made).clone()
    }

    /// Forgets what was unknown: code has been loaded.
    pub fn forget_unknown(&self) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).retain(|_, i| i.is_some());
    }

    /// A numbered location.
    pub fn location(&self, id: u32) -> KnownLocation {
        let l = self.locations.read().unwrap_or_else(PoisonError::into_inner);
        l.get(id as usize).or_else(|| l.first()).cloned().unwrap_or_else(|| KnownLocation {
            at: Arc::default(),
            line_key: 0,
            function_key: 0,
        })
    }
    /// All numbered locations, for working through a list without taking the lock each time.
    pub fn locations(&self) -> Vec<KnownLocation> {
        self.locations.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn make(&self, pc: LoadAddr, exact: bool) -> Option<PcInfo> {
        let s = &self.symbols;
        let file_pc = self.bias.to_file(pc);
        let mut function = s.function_at(file_pc);
        let at_entry = function.is_some_and(|f| f.entry == file_pc);
        // A goroutine that never ran stands at an entry; a return address never is one.
        let mut lookup = if exact || at_entry { file_pc } else { FileAddr(file_pc.0.wrapping_sub(1)) };
        if function.is_none() {
            function = s.function_at(lookup);
        }
        let function = function?;
        let flags = s.function_flags(function);
        // Where a panic was recovered the goroutine is about to jump to the call of deferreturn (`recovery` of runtime/panic.go). What
        // is before that need not be a call: mostly it is the RET of the other way out, where there is no frame any more.
        if flags.deferreturn == Some(file_pc) && s.sp_delta_in(function, lookup) != s.sp_delta_in(function, file_pc) {
            lookup = file_pc;
        }
        let delta = s.sp_delta_in(function, lookup).and_then(|d| u32::try_from(d).ok());
        let frames = s.inline_frames_of(function, lookup).into_iter().map(|f| {
            let at =
                Arc::new(Location { function: f.function.to_string(), file: f.file.to_string(), line: f.line, pc });
            LogicalFrame {
                id: self.number(&at),
                at,
                start_line: f.start_line,
                internal: is_internal(f.function),
                plumbing: is_plumbing(f.function),
            }
        });
        Some(PcInfo {
            function,
            delta,
            top: flags.top_frame,
            sp_write: flags.sp_write,
            wrapper: flags.wrapper,
            at_entry,
            special: match special(s.function_name(function)) {
                switched @ (Special::Systemstack | Special::Asmcgocall) => s
                    .text(function.entry, function.end.since(function.entry) as usize)
                    .map_or(switched, |code| switching::special_at(code, function.entry.0, file_pc.0, switched)),
                other => other,
            },
            frames: frames.collect(),
        })
    }

    fn number(&self, at: &Arc<Location>) -> u32 {
        let hash = |f: &dyn Fn(&mut FxHasher)| {
            let mut h = FxHasher::default();
            f(&mut h);
            h.finish()
        };
        let known = KnownLocation {
            at: at.clone(),
            line_key: hash(&|h| (&at.function, &at.file, at.line).hash(h)),
            function_key: hash(&|h| at.function.hash(h)),
        };
        let mut l = self.locations.write().unwrap_or_else(PoisonError::into_inner);
        l.push(known);
        (l.len() - 1) as u32
    }
}

fn special(name: &str) -> Special {
    match name {
        "runtime.systemstack" => Special::Systemstack,
        "runtime.mcall" => Special::Mcall,
        "runtime.gogo" | "gogo" => Special::Gogo,
        "runtime.morestack" => Special::Morestack,
        "runtime.asmcgocall" => Special::Asmcgocall,
        "runtime.cgocallback" => Special::Cgocallback,
        "runtime.sigpanic" | "runtime.asyncPreempt" | "runtime.debugCallV2" => Special::ExactBelow,
        "runtime.sigtramp" | "runtime.cgoSigtramp" => Special::Sigtramp,
        "runtime.sigreturn__sigaction" => Special::Sigreturn,
        "runtime.mstart" | "runtime.rt0_go" => Special::SystemBottom,
        _ => Special::None,
    }
}

/// Functions of the runtime that are not part of its public face.
pub fn is_internal(function: &str) -> bool {
    if let Some(rest) = function.strip_prefix("runtime.") {
        return !rest.starts_with(|c: char| c.is_ascii_uppercase());
    }
    function.starts_with("internal/runtime/")
}

/// The runtime's internals and the packages through which programs wait.
pub fn is_plumbing(function: &str) -> bool {
    const PACKAGES: [&str; 3] = ["internal/", "sync.", "syscall."];
    is_internal(function) || function == "time.Sleep" || PACKAGES.iter().any(|p| function.starts_with(p))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn internals() {
        assert!(is_internal("runtime.gopark"));
        assert!(is_internal("runtime.(*mheap).alloc"));
        assert!(is_internal("internal/runtime/syscall.Syscall6"));
        assert!(!is_internal("runtime.GC"));
        assert!(!is_internal("sync.runtime_Semacquire"));
        assert!(
            is_plumbing("sync.(*Mutex).Lock") && is_plumbing("internal/poll.(*FD).Read") && is_plumbing("time.Sleep")
        );
        assert!(!is_plumbing("net.(*conn).Read") && !is_plumbing("time.AfterFunc"));
    }
}
