//! The function that a goroutine was started with, behind the wrapper that the compiler puts around `go f(x)`.

use super::GoRuntime;
use crate::base::{FileAddr, LoadAddr};
use crate::model::Location;
use crate::symbols::Function;
use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind};
use rustc_hash::FxHashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Facts about a start function.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The function itself, wrappers unwrapped.
    pub at: Arc<Location>,
    /// Belongs to the runtime.
    pub system: bool,
    /// Runs user code now and then, and counts as the user's while it does.
    pub sometimes_user: bool,
}

/// Memory of start functions.
#[derive(Default)]
pub struct EntryCache(RwLock<FxHashMap<u64, Option<Arc<Entry>>>>);

impl GoRuntime {
    /// Facts about the function that starts at `startpc`.
    pub fn entry(&self, startpc: LoadAddr) -> Option<Arc<Entry>> {
        if let Some(e) = self.entries.0.read().unwrap_or_else(PoisonError::into_inner).get(&startpc.0) {
            return e.clone();
        }
        let made = self.make_entry(startpc).map(Arc::new);
        self.entries.0.write().unwrap_or_else(PoisonError::into_inner).insert(startpc.0, made.clone());
        made
    }

    fn make_entry(&self, startpc: LoadAddr) -> Option<Entry> {
        let s = self.symbols();
        let f = s.function_at(self.bias().to_file(startpc))?;
        let name = s.function_name(f);
        let wrapped = self.unwrap(f);
        let at = match wrapped {
            Some(at) => at,
            None => self.pcs().get(startpc, true)?.frames.last()?.at.clone(),
        };
        let cleanup = matches!(name, "runtime.runCleanups" | "runtime.runFinalizers");
        let user = matches!(name, "runtime.main" | "runtime.handleAsyncEvent" | "runtime.corostart");
        Some(Entry { at, system: name.starts_with("runtime.") && !user, sometimes_user: cleanup })
    }

    /// Did the compiler make it around a `go` or `defer` statement's call?
    pub(super) fn is_wrapper(&self, f: Function) -> bool {
        let s = self.symbols();
        let name = s.function_name(f);
        name.contains(".gowrap")
            || name.contains(".deferwrap")
            || (s.function_flags(f).wrapper && name.rsplit('.').next().is_some_and(is_closure))
    }

    /// The function inside a `gowrap` or `deferwrap`: the one inlined into it, or the one it calls.
    pub fn unwrap(&self, f: Function) -> Option<Arc<Location>> {
        let s = self.symbols();
        if !self.is_wrapper(f) {
            return None;
        }
        if let Some(call) = s.inlined_calls_of_table(f).into_iter().next() {
            let pc = call.ranges.first()?.0;
            let inner = s.inline_frames_of(f, pc);
            let frame = inner.iter().rev().nth(1)?;
            return Some(Arc::new(Location {
                function: frame.function.to_string(),
                file: frame.file.to_string(),
                line: frame.start_line,
                pc: self.bias().to_load(pc),
            }));
        }
        let target = first_call(s.text(f.entry, f.end.since(f.entry) as usize)?, f.entry, |t| {
            s.function_at(t).is_some_and(|g| !s.function_name(g).starts_with("runtime.morestack"))
        })?;
        self.entry_of(s.function_at(target)?)
    }

    /// Where a function begins.
    pub(super) fn entry_of(&self, g: Function) -> Option<Arc<Location>> {
        let s = self.symbols();
        let rec = s.function_record(g)?;
        Some(Arc::new(Location {
            function: s.function_name(g).to_string(),
            file: s.function_file(g).to_string(),
            line: rec.start_line.max(0) as u32,
            pc: self.bias().to_load(g.entry),
        }))
    }
}

/// Is the last part of a name that of a closure: `func1`, or `1` inside another one?
fn is_closure(part: &str) -> bool {
    part.starts_with("func") || (!part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

/// Target of the first direct call (or tail jump out of the function) that `wanted` accepts.
pub(super) fn first_call(code: &[u8], entry: FileAddr, wanted: impl Fn(FileAddr) -> bool) -> Option<FileAddr> {
    let mut d = Decoder::with_ip(64, code, entry.0, DecoderOptions::NONE);
    let mut i = Instruction::default();
    let end = entry.add(code.len() as u64);
    while d.can_decode() {
        d.decode_out(&mut i);
        let near = matches!(i.op0_kind(), OpKind::NearBranch64);
        let target = FileAddr(i.near_branch_target());
        let leaves = target < entry || target >= end;
        if near && (i.mnemonic() == Mnemonic::Call || (i.mnemonic() == Mnemonic::Jmp && leaves)) && wanted(target) {
            return Some(target);
        }
    }
    None
}
