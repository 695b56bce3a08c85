//! One parallel pass over `.debug_info` that finds functions, inlined calls, types, variables and constants.
//!
//! Only offsets and hashes are kept (names are read again from the section when a hash matches), so that a binary with
//! a million entries costs a few tens of megabytes.

use super::{DieOff, Dwarf, Slice, Unit, go_attr};
use crate::base::FileAddr;
use gimli::{AttributeValue, DebugInfoOffset};
use rayon::prelude::*;
use rustc_hash::FxHasher;
use std::hash::Hasher;

/// A function with code.
#[derive(Clone, Copy, Debug)]
pub struct FunctionDie {
    /// Entry.
    pub low: u64,
    /// Its entry in `.debug_info`.
    pub off: DieOff,
}

/// An inlined call.
#[derive(Clone, Copy, Debug)]
pub struct InlinedCallDie {
    /// The abstract function.
    pub origin: DieOff,
    /// The call.
    pub off: DieOff,
}

/// What the pass found, sorted for binary search.
#[derive(Default)]
pub struct Index {
    functions: Vec<FunctionDie>,
    inlined: Vec<InlinedCallDie>,
    abstracts: Vec<(u64, DieOff)>,
    types: Vec<(u64, DieOff)>,
    runtime_types: Vec<(u64, DieOff)>,
    variables: Vec<(u64, DieOff)>,
    constants: Vec<(u64, DieOff)>,
}

fn hash(s: &[u8]) -> u64 {
    let mut h = FxHasher::default();
    h.write(s);
    h.finish()
}

fn lookup(list: &[(u64, DieOff)], key: u64) -> impl Iterator<Item = DieOff> + '_ {
    let a = list.partition_point(|e| e.0 < key);
    list[a..].iter().take_while(move |e| e.0 == key).map(|e| e.1)
}

impl Index {
    pub(super) fn build(d: &Dwarf) -> Index {
        let mut all = d
            .units()
            .par_iter()
            .map(|u| {
                let mut x = Index::default();
                if u.go {
                    let _ = x.unit(d, u);
                }
                x
            })
            .reduce(Index::default, Index::merge);
        all.functions.par_sort_unstable_by_key(|f| f.low);
        all.inlined.par_sort_unstable_by_key(|c| (c.origin, c.off));
        for list in [&mut all.abstracts, &mut all.types, &mut all.runtime_types, &mut all.variables, &mut all.constants]
        {
            list.par_sort_unstable();
        }
        all
    }

    fn merge(mut self, mut o: Index) -> Index {
        if self.types.len() + self.inlined.len() < o.types.len() + o.inlined.len() {
            std::mem::swap(&mut self, &mut o);
        }
        self.functions.append(&mut o.functions);
        self.inlined.append(&mut o.inlined);
        self.abstracts.append(&mut o.abstracts);
        self.types.append(&mut o.types);
        self.runtime_types.append(&mut o.runtime_types);
        self.variables.append(&mut o.variables);
        self.constants.append(&mut o.constants);
        self
    }

    fn unit(&mut self, d: &Dwarf, u: &Unit) -> Option<()> {
        let header = d.header(u)?;
        let abbrevs = d.abbrevs_of(u)?;
        let mut raw = header.entries_raw(abbrevs, None).ok()?;
        while !raw.is_empty() {
            let off = DieOff(u.offset + raw.next_offset().0 as u32);
            let depth = raw.next_depth();
            let Some(ab) = raw.read_abbreviation().ok()? else { continue };
            let top = depth == 1;
            let wanted = match ab.tag() {
                gimli::DW_TAG_inlined_subroutine => true,
                gimli::DW_TAG_subprogram
                | gimli::DW_TAG_variable
                | gimli::DW_TAG_constant
                | gimli::DW_TAG_base_type
                | gimli::DW_TAG_structure_type
                | gimli::DW_TAG_pointer_type
                | gimli::DW_TAG_array_type
                | gimli::DW_TAG_subroutine_type
                | gimli::DW_TAG_unspecified_type
                | gimli::DW_TAG_typedef => top,
                _ => false,
            };
            if !wanted {
                raw.skip_attributes(ab.attributes()).ok()?;
                continue;
            }
            let (mut name, mut low, mut origin, mut inline, mut rt, mut decl) = (None, None, None, false, None, false);
            for spec in ab.attributes() {
                let a = raw.read_attribute(*spec).ok()?;
                match a.name() {
                    gimli::DW_AT_name => name = name_hash(d, u, a.value()),
                    gimli::DW_AT_low_pc => low = d.address(u, a.value()),
                    gimli::DW_AT_inline => inline = true,
                    gimli::DW_AT_declaration => decl = true,
                    go_attr::RUNTIME_TYPE => {
                        rt = match a.value() {
                            AttributeValue::Addr(v) => Some(v),
                            v => v.udata_value(),
                        }
                    }
                    gimli::DW_AT_abstract_origin => {
                        origin = match a.value() {
                            AttributeValue::UnitRef(o) => Some(DieOff(u.offset.wrapping_add(o.0 as u32))),
                            AttributeValue::DebugInfoRef(DebugInfoOffset(o)) => Some(DieOff(o as u32)),
                            _ => None,
                        }
                    }
                    _ => {}
                }
            }
            match ab.tag() {
                gimli::DW_TAG_inlined_subroutine => {
                    self.inlined.extend(origin.map(|origin| InlinedCallDie { origin, off }));
                }
                gimli::DW_TAG_subprogram => {
                    if let Some(low) = low {
                        self.functions.push(FunctionDie { low, off });
                    } else if inline {
                        self.abstracts.extend(name.map(|n| (n, off)));
                    }
                }
                gimli::DW_TAG_variable => self.variables.extend(name.map(|n| (n, off))),
                gimli::DW_TAG_constant => self.constants.extend(name.map(|n| (n, off))),
                _ if !decl => {
                    self.types.extend(name.map(|n| (n, off)));
                    self.runtime_types.extend(rt.filter(|&r| r != 0).map(|r| (r, off)));
                }
                _ => {}
            }
        }
        Some(())
    }

    /// The function that begins at an address.
    pub fn function_at(&self, low: u64) -> Option<DieOff> {
        let i = self.functions.binary_search_by_key(&low, |f| f.low).ok()?;
        Some(self.functions[i].off)
    }
    /// Every inlined call of an abstract function.
    pub fn inlined_calls_of(&self, origin: DieOff) -> &[InlinedCallDie] {
        let a = self.inlined.partition_point(|c| c.origin < origin);
        let b = self.inlined.partition_point(|c| c.origin <= origin);
        self.inlined.get(a..b).unwrap_or_default()
    }
    /// Number of functions, inlined calls and types (for progress and tests).
    pub fn counts(&self) -> (usize, usize, usize) {
        (self.functions.len(), self.inlined.len(), self.types.len())
    }
    /// Types whose descriptor is at this offset from moduledata.types.
    pub fn type_by_runtime(&self, off: u64) -> Option<DieOff> {
        lookup(&self.runtime_types, off).next()
    }
}

fn name_hash(d: &Dwarf, u: &Unit, v: AttributeValue<Slice<'_>>) -> Option<u64> {
    match v {
        AttributeValue::String(s) => Some(hash(s.slice())),
        v => d.string(u, v).map(|s| hash(s.as_bytes())),
    }
}

impl Dwarf {
    fn named<'a>(&'a self, list: &'a [(u64, DieOff)], name: &'a str) -> impl Iterator<Item = DieOff> + 'a {
        lookup(list, hash(name.as_bytes())).filter(move |&o| self.die(o).and_then(|d| d.name()) == Some(name))
    }
    /// A type by its full name; where DWARF does not have it, the program's own descriptors may.
    pub fn type_by_name(&self, name: &str) -> Option<DieOff> {
        self.named(&self.index().types, name).next().or_else(|| self.all_descriptors().find_map(|d| d.by_name(name)))
    }
    /// The type whose descriptor is at this offset from moduledata.types, which is the address `at`; of a plugin only the address tells.
    pub fn type_by_descriptor(&self, off: Option<u64>, at: FileAddr) -> Option<DieOff> {
        let own = |off| self.index().type_by_runtime(off).or_else(|| self.descriptors()?.at_offset(off));
        off.and_then(own).or_else(|| self.all_descriptors().skip(1).find_map(|d| d.at_address(at)))
    }
    /// A package variable by its full name.
    pub fn variable_by_name(&self, name: &str) -> Option<DieOff> {
        self.named(&self.index().variables, name).next()
    }
    /// A constant by its full name.
    pub fn constant_by_name(&self, name: &str) -> Option<DieOff> {
        self.named(&self.index().constants, name).next()
    }
    /// Abstract (inlinable) functions of this name.
    pub fn abstract_functions(&self, name: &str) -> Vec<DieOff> {
        self.named(&self.index().abstracts, name).collect()
    }
    fn names<'a>(&'a self, list: &'a [(u64, DieOff)]) -> impl Iterator<Item = (&'a str, DieOff)> + 'a {
        list.iter().filter_map(|e| Some((self.die(e.1)?.name()?, e.1)))
    }
    /// All package variables.
    pub fn variables(&self) -> impl Iterator<Item = (&str, DieOff)> {
        self.names(&self.index().variables)
    }
    /// All types.
    pub fn types(&self) -> impl Iterator<Item = (&str, DieOff)> {
        let bare = self.descriptors().filter(|_| self.units().is_empty());
        self.names(&self.index().types).chain(bare.into_iter().flat_map(|d| d.names()))
    }
    /// Names of all functions that were inlined somewhere.
    pub fn abstract_names(&self) -> impl Iterator<Item = (&str, DieOff)> {
        self.names(&self.index().abstracts)
    }
}
