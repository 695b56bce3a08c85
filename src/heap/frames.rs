//! Pointers on stacks, precisely: each frame's stack maps (FUNCDATA 0 to 2, PCDATA 1) as the collector reads them
//! (go/src/runtime/stkframe.go, mgcmark.go), so that a dead variable keeps nothing alive. Frames without maps, and those in which
//! execution was interrupted at any instruction, are read conservatively.

use crate::arch::Registers;
use crate::base::{FileAddr, LoadAddr, Memory};
use crate::goruntime::unwind::{RawFrame, Start, Unwinder, from_registers};
use crate::goruntime::{G, GoRuntime};
use crate::symbols::pclntab::{funcdata, pcdata};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Frames of one stack; deeper ones are read conservatively.
const MAX_FRAMES: usize = 100_000;
/// Words of one pointer map.
const MAX_BITS: u32 = 1 << 20;
/// Stack objects of one function.
const MAX_OBJECTS: u64 = 4096;
/// Largest stack (`maxstacksize`, 1 GB on 64 bit).
const MAX_STACK: u64 = 1 << 30;

/// Functions that are entered where their caller has no map. What interrupts; and what the compiler calls without one, since no collector
/// ever looks while they run (`hasStackMap`, go/src/cmd/compile/internal/liveness/plive.go, and the operations that it does not count
/// as calls): but we do. They leave the caller's registers alone, or keep them in a frame of theirs that has no map either.
const INTERRUPTED: &[&str] = &[
    "runtime.asyncPreempt",
    "runtime.debugCallV2",
    "runtime.sigpanic",
    "runtime.gcWriteBarrier",
    "gcWriteBarrier",
    "runtime.wbZero",
    "runtime.wbMove",
    "runtime.duffzero",
    "runtime.duffcopy",
];

/// A variable in a frame that is reached through pointers only.
#[derive(Clone, Debug)]
struct StackObject {
    /// From varp if negative, else from argp.
    off: i32,
    size: u64,
    ptr_bytes: u64,
    /// None: any word may be a pointer.
    mask: Option<Box<[u8]>>,
}

/// Pointer words of a frame at one PC.
#[derive(Clone, Debug, Default)]
struct FrameMap {
    locals: Option<(u32, Box<[u8]>)>,
    args: Option<(u32, Box<[u8]>)>,
    objects: Vec<StackObject>,
    /// The function has no maps.
    unknown: bool,
    /// Injected where execution happened to be: the frame below stands at any instruction.
    interrupted: bool,
}

/// A word of a stack that may be a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackWords {
    /// The word.
    pub value: u64,
    /// Where it is; 0 for a register.
    pub at: u64,
    /// Physical frame, from the innermost.
    pub frame: u32,
}

/// Reads stacks; remembers the maps of PCs.
pub struct StackScanner<'a> {
    rt: &'a GoRuntime,
    mem: &'a dyn Memory,
    maps: FxHashMap<u64, Arc<FrameMap>>,
}

impl<'a> StackScanner<'a> {
    /// A reader of stacks in `mem`.
    pub fn new(rt: &'a GoRuntime, mem: &'a dyn Memory) -> StackScanner<'a> {
        StackScanner { rt, mem, maps: FxHashMap::default() }
    }

    /// Calls `f` for every live pointer word of a goroutine's stack. `regs`: of the thread that runs it, where they are known.
    /// Returns the frames that it walked.
    pub fn scan(&mut self, g: &G, regs: Option<&Registers>, f: &mut impl FnMut(StackWords)) -> Vec<RawFrame> {
        self.scan_printed(g, regs, f).0
    }

    /// As [`StackScanner::scan`], with a hash of the stack that was read.
    pub fn scan_printed(
        &mut self,
        g: &G,
        regs: Option<&Registers>,
        f: &mut impl FnMut(StackWords),
    ) -> (Vec<RawFrame>, u64) {
        let len = g.stack_hi.saturating_sub(g.stack_lo);
        if len == 0 || len > MAX_STACK {
            return Default::default();
        }
        let registers = || regs.into_iter().flat_map(|r| &r.gp[..16]);
        let (start, from) = match (regs, g.parked_at()) {
            (Some(r), _) => {
                let on_own = g.on_stack(LoadAddr(r.sp()));
                (from_registers(r, !on_own), if on_own { r.sp() } else { g.stack_lo })
            }
            (None, Some((pc, sp))) => (Start { pc, sp, exact: false, system_stack: false }, sp.0),
            // Running, and nobody knows where: all of the stack.
            (None, None) => (Start::default(), g.stack_lo),
        };
        let Some(bytes) = self.stack_bytes(from, g.stack_hi) else { return Default::default() };
        let print = hash(&bytes);
        let stack = Bytes { base: from, bytes: &bytes };
        if start.pc.is_nil() || !g.panics.is_nil() {
            for &value in registers() {
                f(StackWords { value, at: 0, frame: 0 });
            }
            stack.all(from, g.stack_hi, 0, f);
            if start.pc.is_nil() {
                return (Vec::new(), print);
            }
        }
        let walk = Unwinder::new(self.mem, self.rt.pcs(), self.rt.layout(), Some(*g), start);
        let raw = walk.with_window(LoadAddr(from), &bytes).run(MAX_FRAMES);
        if !g.panics.is_nil() {
            return (raw.frames, print); // all was read above: frames that a panic has left behind have no reliable maps
        }
        let mut objects: Vec<(u64, StackObject, u32)> = Vec::new();
        let mut on_stack: Vec<(u64, u32)> = Vec::new();
        let mut conservative = regs.is_some();
        let mut end = from;
        let (lo, hi) = (g.stack_lo, g.stack_hi);
        let mut tell = |w: StackWords, on_stack: &mut Vec<(u64, u32)>| {
            if w.value >= lo && w.value < hi {
                on_stack.push((w.value, w.frame));
            } else if w.value != 0 {
                f(w);
            }
        };
        // What is being copied right now may be known to a register only.
        for &value in registers() {
            tell(StackWords { value, at: 0, frame: 0 }, &mut on_stack);
        }
        for (n, fr) in raw.frames.iter().enumerate() {
            if fr.system_stack {
                continue;
            }
            let n = n as u32;
            end = fr.cfa.0;
            let map = self.map(fr);
            let mut varp = fr.cfa.0.wrapping_sub(8);
            if varp > fr.sp.0 {
                varp = varp.wrapping_sub(8);
            }
            if conservative || map.unknown || map.interrupted {
                stack.all(fr.sp.0, fr.cfa.0, n, &mut |w| tell(w, &mut on_stack));
                if let Some((bits, _)) = &map.args {
                    stack.all(fr.cfa.0, fr.cfa.0 + u64::from(*bits) * 8, n, &mut |w| tell(w, &mut on_stack));
                }
                conservative = map.interrupted;
            } else {
                if let Some((bits, m)) = &map.locals {
                    stack.masked(varp - u64::from(*bits) * 8, *bits, m, n, &mut |w| tell(w, &mut on_stack));
                }
                if let Some((bits, m)) = &map.args {
                    stack.masked(fr.cfa.0, *bits, m, n, &mut |w| tell(w, &mut on_stack));
                }
            }
            for o in &map.objects {
                let base = if o.off < 0 { varp } else { fr.cfa.0 };
                objects.push((base.wrapping_add_signed(i64::from(o.off)), o.clone(), n));
            }
        }
        // The walk broke off: what is left may hold anything.
        if raw.more || !raw.problems.is_empty() || !raw.frames.iter().any(|f| !f.system_stack) {
            stack.all(end, hi, raw.frames.len() as u32, &mut |w| tell(w, &mut on_stack));
        }
        // The defer records' closures are reached through g._defer; objects on the stack through pointers to them.
        objects.sort_unstable_by_key(|o| o.0);
        let mut seen = vec![false; objects.len()];
        while let Some((p, _)) = on_stack.pop() {
            let i = objects.partition_point(|o| o.0 <= p);
            let Some((at, o, n)) = i.checked_sub(1).and_then(|i| objects.get(i)) else { continue };
            if p >= at + o.size || std::mem::replace(&mut seen[i - 1], true) {
                continue;
            }
            let words = (o.ptr_bytes / 8) as u32;
            match &o.mask {
                Some(m) => stack.masked(*at, words, m, *n, &mut |w| tell(w, &mut on_stack)),
                None => stack.all(*at, at + o.ptr_bytes, *n, &mut |w| tell(w, &mut on_stack)),
            }
        }
        (raw.frames, print)
    }

    fn stack_bytes(&self, from: u64, to: u64) -> Option<std::borrow::Cow<'a, [u8]>> {
        let len = usize::try_from(to.checked_sub(from)?).ok()?;
        let mem: &'a dyn Memory = self.mem;
        match mem.slice(LoadAddr(from), len) {
            Some(b) => Some(b.into()),
            None => mem.read_vec(LoadAddr(from), len).ok().map(Into::into),
        }
    }

    fn map(&mut self, f: &RawFrame) -> Arc<FrameMap> {
        let key = f.pc.0 << 1 | u64::from(f.exact);
        if let Some(m) = self.maps.get(&key) {
            return m.clone();
        }
        let m = Arc::new(self.read_map(f));
        self.maps.insert(key, m.clone());
        m
    }

    fn read_map(&self, f: &RawFrame) -> FrameMap {
        let s = self.rt.symbols();
        let func = f.info.function;
        let name = s.function_name(func);
        let file_pc = self.rt.bias().to_file(f.pc);
        let pc = if f.exact || f.info.at_entry { file_pc } else { FileAddr(file_pc.0.wrapping_sub(1)) };
        let index = s.pcdata(func, pcdata::STACK_MAP_INDEX, pc).max(0) as u32;
        let read = |i: u32| -> Option<(u32, Box<[u8]>)> {
            stack_map(s.text(s.funcdata(func, i)?, 8)?, index, |n| s.text(s.funcdata(func, i)?, n))
        };
        let locals = read(funcdata::LOCALS_POINTER_MAPS);
        let args = read(funcdata::ARGS_POINTER_MAPS);
        let frame_words = f.cfa.0.saturating_sub(f.sp.0);
        FrameMap {
            unknown: locals.is_none() && frame_words > 16 && s.funcdata(func, funcdata::LOCALS_POINTER_MAPS).is_none()
                || matches!(name, "reflect.makeFuncStub" | "reflect.methodValueCall")
                || f.exact,
            interrupted: INTERRUPTED.iter().any(|i| name.starts_with(i)),
            locals,
            args,
            objects: self.objects(func).unwrap_or_default(),
        }
    }

    /// FUNCDATA 2: a count and records of {off i32, size i32, ptrBytes i32, gcdata u32 from rodata}.
    fn objects(&self, func: crate::symbols::Function) -> Option<Vec<StackObject>> {
        let s = self.rt.symbols();
        let at = s.funcdata(func, funcdata::STACK_OBJECTS)?;
        let n = u64::from_le_bytes(s.text(at, 8)?.try_into().ok()?);
        if n > MAX_OBJECTS {
            return None;
        }
        let records = s.text(at.add(8), n as usize * 16)?;
        let rodata = self.rodata()?;
        Some(
            records
                .chunks_exact(16)
                .map(|r| {
                    let i = |o: usize| i32::from_le_bytes([r[o], r[o + 1], r[o + 2], r[o + 3]]);
                    // Negative: the mask is a program (up to 1.23); all words then.
                    let ptr_bytes = i(8);
                    let mask = (ptr_bytes > 0)
                        .then(|| s.text(rodata.add(u64::from(i(12) as u32)), (ptr_bytes as usize).div_ceil(64)))
                        .flatten();
                    StackObject {
                        off: i(0),
                        size: i(4).max(0) as u64,
                        ptr_bytes: u64::from(ptr_bytes.unsigned_abs()).min(i(4).max(0) as u64),
                        mask: mask.map(Into::into),
                    }
                })
                .collect(),
        )
    }

    fn rodata(&self) -> Option<FileAddr> {
        let l = self.rt.layout().heap?;
        let m = self.rt.symbols().moduledata()?;
        let at = self.rt.bias().to_load(m.addr).add(l.module_rodata);
        Some(self.rt.bias().to_file(self.mem.read_ptr(at).ok()?))
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut h = rustc_hash::FxHasher::default();
    std::hash::Hasher::write(&mut h, bytes);
    std::hash::Hasher::finish(&h)
}

/// One bitmap of a `stackmap` {n i32, nbit i32, bits}.
fn stack_map<'s>(head: &[u8], index: u32, all: impl Fn(usize) -> Option<&'s [u8]>) -> Option<(u32, Box<[u8]>)> {
    let n = u32::from_le_bytes(head.get(0..4)?.try_into().ok()?);
    let bits = u32::from_le_bytes(head.get(4..8)?.try_into().ok()?);
    if bits > MAX_BITS || index >= n {
        return None;
    }
    let len = bits.div_ceil(8) as usize;
    let at = 8 + index as usize * len;
    Some((bits, all(at + len)?.get(at..)?.into()))
}

/// Bytes of a stack from an address on.
struct Bytes<'b> {
    base: u64,
    bytes: &'b [u8],
}

impl Bytes<'_> {
    fn word(&self, at: u64) -> Option<u64> {
        let o = usize::try_from(at.checked_sub(self.base)?).ok()?;
        self.bytes.get(o..o + 8)?.try_into().ok().map(u64::from_le_bytes)
    }
    fn all(&self, from: u64, to: u64, frame: u32, f: &mut impl FnMut(StackWords)) {
        let to = to.min(self.base + self.bytes.len() as u64);
        for at in (from.max(self.base).next_multiple_of(8)..to).step_by(8) {
            if let Some(value) = self.word(at) {
                f(StackWords { value, at, frame });
            }
        }
    }
    fn masked(&self, from: u64, bits: u32, mask: &[u8], frame: u32, f: &mut impl FnMut(StackWords)) {
        for i in 0..bits {
            if mask.get((i / 8) as usize).is_some_and(|b| b >> (i % 8) & 1 != 0) {
                let at = from + u64::from(i) * 8;
                if let Some(value) = self.word(at) {
                    f(StackWords { value, at, frame });
                }
            }
        }
    }
}
