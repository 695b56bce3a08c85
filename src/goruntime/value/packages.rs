//! Package variables by address: found once for a program, so that an address in data or bss, or a word that lies there, has a name.

use super::{Reader, ValueRef};
use crate::base::{LoadAddr, Memory};
use crate::goruntime::GoRuntime;
use crate::symbols::dwarf::GoType;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// A package variable.
#[derive(Clone, Debug)]
pub struct PackageVariable {
    /// Where it is.
    pub addr: LoadAddr,
    /// Full name.
    pub name: String,
    /// Type.
    pub ty: Arc<GoType>,
}

impl GoRuntime {
    /// All package variables by address; empty without DWARF.
    pub fn package_index(&self) -> &[PackageVariable] {
        self.packages.get_or_init(|| {
            // Addresses do not depend on what memory holds.
            let nothing = crate::base::memory::SparseMemory::default();
            let Some(r) = Reader::new(self, &nothing) else { return Vec::new() };
            let mut all: Vec<PackageVariable> = r
                .dwarf
                .variables()
                .filter_map(|(name, off)| {
                    let v: ValueRef = r.global(name, off)?;
                    v.place.in_memory().then(|| PackageVariable {
                        addr: v.place.addr,
                        name: name.to_string(),
                        ty: v.ty,
                    })
                })
                .collect();
            all.sort_unstable_by_key(|v| v.addr);
            all
        })
    }

    /// The package variable that an address is inside of, and how far.
    pub fn package_variable_at(&self, addr: LoadAddr) -> Option<(&PackageVariable, u64)> {
        let all = self.package_index();
        let v = all.partition_point(|v| v.addr <= addr).checked_sub(1).map(|i| &all[i])?;
        let off = addr.since(v.addr);
        (off < v.ty.size.max(1)).then_some((v, off))
    }

    /// Which package variable has a word: the words of data and bss that lead somewhere, by their value.
    pub fn package_words(&self, mem: &dyn Memory) -> FxHashMap<u64, LoadAddr> {
        let mut out = FxHashMap::default();
        let Some(m) = self.symbols().moduledata() else { return out };
        for range in [&m.data, &m.bss] {
            let at = self.bias().to_load(crate::base::FileAddr(range.start));
            let Ok(bytes) = mem.read_vec(at, (range.end - range.start) as usize) else { continue };
            for (i, w) in bytes.chunks_exact(8).enumerate() {
                let v = w.try_into().map_or(0, u64::from_le_bytes);
                if v > 4096 {
                    out.entry(v).or_insert(at.add(i as u64 * 8));
                }
            }
        }
        out
    }
}
