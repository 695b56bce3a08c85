//! Offsets from the program's own DWARF: the `runtime` unit is scanned once for the structures needed.

use crate::symbols::dwarf::{DieOff, Dwarf};
use rustc_hash::FxHashMap;

/// Structures whose members are wanted.
const STRUCTS: [&str; 6] =
    ["runtime.g", "runtime.m", "runtime.sudog", "runtime.hchan", "runtime._defer", "runtime._panic"];
/// A member that is a struct of two words of which the second is the pointer, from 1.26 on.
const TRACEABLE: &str = "vu";

/// Offsets by `struct.member.member`.
pub(super) struct Offsets(FxHashMap<String, u64>);

impl Offsets {
    /// What the layouts need.
    pub(super) fn read(d: &Dwarf) -> Offsets {
        Offsets::of(d, &|name| STRUCTS.contains(&name) || super::groups::STRUCTS.contains(&name), &[])
    }

    /// What these names need: `runtime.g.goid`, or `var runtime.work.cycles` for a variable whose type has no name.
    pub(super) fn read_named(d: &Dwarf, names: &[String]) -> Offsets {
        let owner = |n: &str| n.match_indices('.').nth(1).map_or(n.len(), |i| i.0);
        let structs: Vec<&str> = names.iter().map(|n| &n[..owner(n)]).collect();
        let variables: Vec<&str> = structs.iter().filter_map(|n| n.strip_prefix("var ")).collect();
        Offsets::of(d, &|name| structs.contains(&name), &variables)
    }

    fn of(d: &Dwarf, wanted: &dyn Fn(&str) -> bool, variables: &[&str]) -> Offsets {
        let mut map = FxHashMap::default();
        for u in d.units().iter().filter(|u| u.go && u.name == "runtime") {
            let mut found = Vec::new();
            d.children(DieOff(u.root), |die| {
                if die.tag() == gimli::DW_TAG_structure_type
                    && let Some(name) = die.name()
                    && wanted(name)
                {
                    found.push((name.to_string(), die.off()));
                }
                if die.tag() == gimli::DW_TAG_variable
                    && let Some(name) = die.name()
                    && variables.contains(&name)
                    && let Some(ty) = die.type_ref()
                {
                    found.push((format!("var {name}"), ty));
                }
            });
            for (name, off) in found {
                if let Some(size) = d.die(off).and_then(|x| x.u64(gimli::DW_AT_byte_size)) {
                    map.insert(format!("{name}.@size"), size);
                }
                members(d, off, &name, 0, 0, &mut map);
            }
        }
        // Wrapped words: the name of the field is enough.
        let wrapped: Vec<(String, u64)> = map
            .iter()
            .filter_map(|(k, v)| Some((k.strip_suffix(".value").or(k.strip_suffix(".mu"))?.to_string(), *v)))
            .collect();
        for (k, v) in wrapped {
            map.entry(k).or_insert(v);
        }
        // What the pointer really is: the second word of the pair.
        for f in ["runtime.sudog.elem", "runtime.sudog.c"] {
            let pair = [format!("{f}.{TRACEABLE}"), format!("{f}.maybeTraceablePtr.{TRACEABLE}")];
            if let Some(&o) = pair.iter().find_map(|p| map.get(p)) {
                map.insert(f.to_string(), o);
            }
        }
        Offsets(map)
    }

    pub(super) fn get(&self, name: &str) -> Option<u64> {
        self.0.get(name).copied()
    }
}

fn members(d: &Dwarf, off: DieOff, prefix: &str, base: u64, depth: u32, map: &mut FxHashMap<String, u64>) {
    let mut nested = Vec::new();
    d.children(off, |m| {
        if m.tag() == gimli::DW_TAG_member
            && let (Some(name), Some(at)) = (m.name(), m.u64(gimli::DW_AT_data_member_location))
        {
            let full = format!("{prefix}.{name}");
            map.insert(full.clone(), base + at);
            nested.extend(m.type_ref().map(|t| (full, base + at, t)));
        }
    });
    if depth >= 2 {
        return;
    }
    for (full, at, mut t) in nested {
        for _ in 0..4 {
            let Some(die) = d.die(t) else { break };
            if die.tag() == gimli::DW_TAG_structure_type {
                members(d, t, &full, at, depth + 1, map);
            }
            match (die.tag(), die.type_ref()) {
                (gimli::DW_TAG_typedef, Some(next)) => t = next,
                _ => break,
            }
        }
    }
}
