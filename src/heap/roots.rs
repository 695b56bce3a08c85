//! Roots beside stacks: the words of data and bss that the collector takes for pointers, in every module, and finalizers.

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

/// What kind of root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RootKind {
    /// A word of data or bss.
    Global,
    /// A finalizer's or cleanup's function, or what an object with a finalizer refers to.
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

    /// An object with a finalizer keeps alive what it refers to, not itself; and the finalizer's function
    /// (go/src/runtime/mgcmark.go, markrootSpans).
    fn specials(&self, out: &mut Vec<Root>) {
        let Some(l) = self.rt.layout().heap else { return };
        let finalizer = self.rt.layout().facts.special_finalizer;
        for (n, s) in self.spans.iter().enumerate().filter(|(_, s)| s.specials != 0) {
            let mut at = LoadAddr(s.specials);
            for _ in 0..MAX_SPECIALS {
                if at.is_nil() {
                    break;
                }
                let Ok(kind) = self.mem.read_u8(at.add(l.special_kind)) else { break };
                let value = self.mem.read_u64(at.add(l.finalizer_fn)).unwrap_or(0);
                // Cleanups have their function at the same place; other records have words there that lead nowhere.
                if self.may_contain(value) {
                    out.push(Root { kind: RootKind::Special, at: at.add(l.finalizer_fn), value });
                }
                if kind == finalizer {
                    let off = self.mem.read_u32(at.add(l.special_offset)).unwrap_or(0) & 0xffff;
                    let slot = u64::from(off) / s.elemsize;
                    if slot < u64::from(s.nelems) {
                        let base = self.object(n as u32, slot as u32).0;
                        self.pointers(n as u32, slot as u32, &mut |o, value| {
                            out.push(Root { kind: RootKind::Special, at: base.add(o), value });
                        });
                    }
                }
                at = self.mem.read_ptr(at.add(l.special_next)).unwrap_or_default();
            }
        }
    }
}
