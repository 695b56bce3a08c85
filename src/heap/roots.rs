//! Roots beside stacks: the words of data and bss that the collector takes for pointers, in every module, finalizers and cleanups;
//! and weak pointers, which are none but lead on from what is reached.

use super::spans::Heap;
use crate::base::{FileAddr, LoadAddr};

/// Modules of one program (plugins).
const MAX_MODULES: usize = 1000;
/// Special records of one span.
const MAX_SPECIALS: usize = 100_000;
/// Offsets in `moduledata` that have not changed since 1.21.
const DATA: u64 = 208;
const EDATA: u64 = 216;
const BSS: u64 = 224;
const EBSS: u64 = 232;

/// Blocks of one list.
const MAX_BLOCKS: usize = 100_000;
/// Words of a `runtime.finalizer`: function, argument, size of the results, two types.
const FINALIZER_WORDS: u64 = 5;

/// Offsets in a block of a list, the same since it exists.
#[derive(Clone, Copy)]
struct Block {
    next: u64,
    count: u64,
    first: u64,
    size: u64,
}

/// `runtime.finblock`.
const FINALIZERS: Block = Block { next: 0, count: 16, first: 24, size: 4096 };
/// `runtime.cleanupBlock`.
const CLEANUPS: Block = Block { next: 16, count: 24, first: 32, size: 512 };

/// What kind of root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RootKind {
    /// A word of data or bss.
    Global,
    /// A finalizer's or cleanup's function or argument, or what an object with a finalizer refers to.
    Special,
}

/// A word that keeps something alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root {
    /// Kind.
    pub kind: RootKind,
    /// Where the word is.
    pub at: LoadAddr,
    /// The word.
    pub value: u64,
}

impl Heap<'_> {
    /// All roots that are not on stacks and lead into the heap.
    pub fn roots(&self) -> Vec<Root> {
        let mut out = Vec::new();
        self.globals(&mut out);
        self.specials(&mut out);
        self.due(&mut out);
        out
    }

    fn globals(&self, out: &mut Vec<Root>) {
        let (Some(l), Some(first)) = (self.rt.layout().heap, self.rt.symbols().moduledata()) else { return };
        let mut module = self.rt.bias().to_load(FileAddr(first.addr.0));
        let word = |at: LoadAddr| self.mem.read_u64(at).unwrap_or(0);
        for _ in 0..MAX_MODULES {
            if module.is_nil() {
                return;
            }
            for (lo, hi, mask) in [(DATA, EDATA, l.gcdatamask), (BSS, EBSS, l.gcbssmask)] {
                let (from, to) = (word(module.add(lo)), word(module.add(hi)));
                let bits = word(module.add(mask)) as u32;
                let len = to.saturating_sub(from).min(u64::from(bits) * 8) as usize;
                let mask = self.mem.read_vec(LoadAddr(word(module.add(mask + 8))), (bits as usize).div_ceil(8));
                let (Ok(mask), Ok(data)) = (mask, self.mem.read_vec(LoadAddr(from), len)) else { continue };
                for (i, w) in data.chunks_exact(8).enumerate() {
                    if mask[i / 8] >> (i % 8) & 1 != 0
                        && let Ok(b) = w.try_into()
                    {
                        let value = u64::from_le_bytes(b);
                        if self.may_contain(value) {
                            out.push(Root { kind: RootKind::Global, at: LoadAddr(from + i as u64 * 8), value });
                        }
                    }
                }
            }
            module = LoadAddr(word(module.add(l.module_next)));
        }
    }

    /// Calls `f` with the span, the place and the kind of each special record.
    fn each_special(&self, mut f: impl FnMut(usize, LoadAddr, u8)) {
        let Some(l) = self.rt.layout().heap else { return };
        for (n, s) in self.spans.iter().enumerate().filter(|(_, s)| s.specials != 0) {
            let mut at = LoadAddr(s.specials);
            for _ in 0..MAX_SPECIALS {
                if at.is_nil() {
                    break;
                }
                let Ok(kind) = self.mem.read_u8(at.add(l.special_kind)) else { break };
                f(n, at, kind);
                at = self.mem.read_ptr(at.add(l.special_next)).unwrap_or_default();
            }
        }
    }

    /// The object of a special record of a span.
    fn special_object(&self, n: usize, at: LoadAddr) -> Option<(u32, u32)> {
        let (l, s) = (self.rt.layout().heap?, &self.spans[n]);
        let off = self.mem.read_u32(at.add(l.special_offset)).ok()? & 0xffff;
        let slot = u64::from(off) / s.elemsize;
        (slot < u64::from(s.nelems)).then_some((n as u32, slot as u32))
    }

    /// An object with a finalizer keeps alive what it refers to, not itself; and the function and the arguments of its finalizer and
    /// its cleanups (go/src/runtime/mgcmark.go, markrootSpans).
    fn specials(&self, out: &mut Vec<Root>) {
        let Some(l) = self.rt.layout().heap else { return };
        let facts = &self.rt.layout().facts;
        self.each_special(|n, at, kind| {
            let words = match kind {
                k if k == facts.specials.finalizer => 1,
                k if Some(k) == facts.specials.cleanup => facts.cleanup_words,
                _ => return,
            };
            self.words(at.add(l.finalizer_fn), words, out);
            if kind == facts.specials.finalizer
                && let Some((span, slot)) = self.special_object(n, at)
            {
                let base = self.object(span, slot).0;
                self.pointers(span, slot, &mut |o, value| {
                    out.push(Root { kind: RootKind::Special, at: base.add(o), value });
                });
            }
        });
    }

    fn words(&self, at: LoadAddr, words: u64, out: &mut Vec<Root>) {
        for at in (0..words).map(|i| at.add(i * 8)) {
            let value = self.mem.read_u64(at).unwrap_or(0);
            if self.may_contain(value) {
                out.push(Root { kind: RootKind::Special, at, value });
            }
        }
    }

    /// Finalizers and cleanups that are due, with their arguments (`allfin`, `gcCleanups`): blocks outside the heap.
    fn due(&self, out: &mut Vec<Root>) {
        let (g, facts) = (self.rt.globals(), &self.rt.layout().facts);
        let cleanups = || Some(g.cleanups?.add(self.rt.layout().heap?.cleanup_blocks?));
        let lists = [(g.allfin, FINALIZERS, FINALIZER_WORDS), (cleanups(), CLEANUPS, facts.cleanup_words)];
        for (head, block, each) in lists {
            let mut at = head.and_then(|h| self.mem.read_ptr(h).ok()).unwrap_or_default();
            for _ in 0..MAX_BLOCKS {
                if at.is_nil() {
                    break;
                }
                let n = u64::from(self.mem.read_u32(at.add(block.count)).unwrap_or(0));
                self.words(at.add(block.first), (n * each).min((block.size - block.first) / 8), out);
                at = self.mem.read_ptr(at.add(block.next)).unwrap_or_default();
            }
        }
    }

    /// Weak pointers: the handle (a heap object that `weak.Pointer` values lead to) and the object that can be had through it.
    pub(super) fn weak(&self) -> Vec<(u64, u64)> {
        let (Some(l), Some(weak)) = (self.rt.layout().heap, self.rt.layout().facts.specials.weak) else {
            return Vec::new();
        };
        let mut out = Vec::new();
        self.each_special(|n, at, kind| {
            if kind == weak
                && let Ok(handle) = self.mem.read_u64(at.add(l.finalizer_fn))
                && let Some((span, slot)) = self.special_object(n, at)
            {
                out.push((handle, self.object(span, slot).0.0));
            }
        });
        out
    }
}
