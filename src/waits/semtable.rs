//! Wait queues of semaphores: `runtime.semtable`, 251 treaps of sudogs by address (go/src/runtime/sema.go).

use crate::base::pages::PagedMemory;
use crate::base::{LoadAddr, Memory};
use crate::goruntime::GoRuntime;
use rustc_hash::FxHashMap;

const BUCKETS: u64 = 251;
/// Bytes of a bucket (padded to a cache line of amd64).
const STRIDE: u64 = 64;
/// Where a bucket's treap is.
const TREAP: u64 = 8;
/// Nodes and waiters of one bucket; more means a damaged tree.
const MAX: usize = 4_000_000;

/// Which goroutine waits at which semaphore.
#[derive(Default)]
pub(super) struct SemTable {
    by_g: FxHashMap<LoadAddr, (LoadAddr, LoadAddr)>,
}

impl SemTable {
    pub(super) fn read(rt: &GoRuntime, mem: &dyn Memory) -> SemTable {
        let mut out = SemTable::default();
        let Some(table) = rt.globals().semtable else { return out };
        let near = PagedMemory::new(mem);
        let l = &rt.layout().sudog;
        let word = |at: LoadAddr| near.read_ptr(at).unwrap_or_default();
        for i in 0..BUCKETS {
            let mut nodes = vec![word(table.add(i * STRIDE + TREAP))];
            let mut seen = 0;
            while let Some(node) = nodes.pop() {
                if node.is_nil() || seen > MAX {
                    continue;
                }
                // Children are kept in prev and next; waiters at the same address are chained by waitlink.
                nodes.push(word(node.add(l.prev)));
                nodes.push(word(node.add(l.next)));
                let mut waiter = node;
                while !waiter.is_nil() && seen <= MAX {
                    seen += 1;
                    let (g, elem) = (word(waiter.add(l.g)), word(waiter.add(l.elem)));
                    if !g.is_nil() {
                        out.by_g.insert(g, (elem, waiter));
                    }
                    waiter = word(waiter.add(l.waitlink));
                }
            }
        }
        out
    }

    /// Semaphore and record of a goroutine.
    pub(super) fn of(&self, g: LoadAddr) -> Option<(LoadAddr, LoadAddr)> {
        self.by_g.get(&g).copied()
    }
}
