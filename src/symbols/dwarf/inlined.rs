//! Inlined calls inside a function, and places into which a function was inlined.

use super::{DieOff, Dwarf, Walk};

/// One inlined call inside a physical function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InlinedDie {
    /// Its entry.
    pub off: DieOff,
    /// Function that was inlined.
    pub name: String,
    /// Where its code is.
    pub ranges: Vec<(u64, u64)>,
    /// 1 for a call in the function itself, 2 for one inside that, …
    pub depth: u32,
    /// Path of the call.
    pub call_file: String,
    /// Line of the call.
    pub call_line: u32,
}

impl Dwarf {
    /// Inlined calls of a function, outer before inner.
    pub fn inlined_in(&self, function: DieOff) -> Vec<InlinedDie> {
        let mut out = Vec::new();
        let mut open: Vec<usize> = Vec::new();
        self.walk(function, |d| {
            if d.tag() != gimli::DW_TAG_inlined_subroutine {
                return Walk::Into;
            }
            open.retain(|&depth| depth < d.depth);
            open.push(d.depth);
            let files = &self.unit_lines(d.unit()).files;
            let origin = d.reference(gimli::DW_AT_abstract_origin).and_then(|o| self.die(o));
            out.push(InlinedDie {
                off: d.off(),
                name: origin.and_then(|o| o.name()).unwrap_or("").to_string(),
                ranges: d.ranges(),
                depth: open.len() as u32,
                call_file: d
                    .u64(gimli::DW_AT_call_file)
                    .and_then(|i| files.get(i as usize))
                    .cloned()
                    .unwrap_or_default(),
                call_line: d.u64(gimli::DW_AT_call_line).unwrap_or(0) as u32,
            });
            Walk::Into
        });
        out
    }
}
