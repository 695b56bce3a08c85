//! Where a variable is at a PC: DWARF expressions and location lists, evaluated over what the caller knows.

use super::{Die, Dwarf, Unit, slice};
use crate::base::{FileAddr, LoadAddr, LoadBias, Memory};
use gimli::{AttributeValue, EvaluationResult, Value};

/// What an expression may ask for.
pub struct FrameContext<'a> {
    /// Canonical frame address; nil outside a frame (package variables).
    pub cfa: LoadAddr,
    /// A register by DWARF number; only the innermost frame has any but SP.
    pub register: &'a dyn Fn(u16) -> Option<u64>,
    /// Memory, for expressions that read it.
    pub mem: &'a dyn Memory,
    /// Load bias.
    pub bias: LoadBias,
}

/// Part of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// In memory.
    Memory(LoadAddr),
    /// In a register.
    Register(u16),
    /// Known without looking.
    Value(u64),
    /// Nowhere.
    Gone,
}

/// Where a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// All in one place.
    Whole(Part),
    /// In pieces of so many bytes.
    Pieces(Vec<(Part, u64)>),
}

impl Dwarf {
    /// Location of a variable at `pc`; none if it has none there (optimised out).
    pub fn variable_location(&self, d: &Die<'_>, pc: FileAddr, cx: &FrameContext<'_>) -> Option<Location> {
        match d.attr(gimli::DW_AT_location)? {
            AttributeValue::Exprloc(e) => self.evaluate(d.unit(), e, cx),
            AttributeValue::LocationListsRef(o) => self.in_list(d.unit(), o.0, pc, cx),
            AttributeValue::SecOffset(o) => self.in_list(d.unit(), o, pc, cx),
            _ => None,
        }
    }

    /// Where a variable has a place at all, if that changes over its function: file addresses `start..end`.
    pub fn location_ranges(&self, d: &Die<'_>) -> Vec<(u64, u64)> {
        let off = match d.attr(gimli::DW_AT_location) {
            Some(AttributeValue::LocationListsRef(o)) => o.0,
            Some(AttributeValue::SecOffset(o)) => o,
            _ => return Vec::new(),
        };
        let mut out = Vec::new();
        let _whole_list: Option<()> = self.list(d.unit(), off, |e| {
            if !e.data.0.is_empty() {
                out.push((e.range.begin, e.range.end));
            }
            None
        });
        out
    }

    fn in_list(&self, u: &Unit, off: usize, pc: FileAddr, cx: &FrameContext<'_>) -> Option<Location> {
        self.list(u, off, |e| {
            let here = e.range.begin <= pc.0 && pc.0 < e.range.end;
            here.then(|| self.evaluate(u, e.data, cx))
        })?
    }

    /// Walks a location list until `f` has found something.
    fn list<T>(
        &self,
        u: &Unit,
        off: usize,
        mut f: impl FnMut(gimli::LocationListEntry<super::Slice<'_>>) -> Option<T>,
    ) -> Option<T> {
        let s = self.sections();
        let lists = gimli::LocationLists::new(
            gimli::DebugLoc::from(slice(&s.loc)),
            gimli::DebugLocLists::from(slice(&s.loclists)),
        );
        let enc = self.header(u)?.encoding();
        let addr = gimli::DebugAddr::from(slice(&s.addr));
        let base = gimli::DebugAddrBase(u.addr_base);
        let mut it = lists.locations(gimli::LocationListsOffset(off), enc, u.low_pc, &addr, base).ok()?;
        while let Some(e) = it.next().ok()? {
            if let Some(found) = f(e) {
                return Some(found);
            }
        }
        None
    }

    fn evaluate(&self, u: &Unit, e: gimli::Expression<super::Slice<'_>>, cx: &FrameContext<'_>) -> Option<Location> {
        if e.0.is_empty() {
            return None;
        }
        let enc = self.header(u)?.encoding();
        let mut ev = e.evaluation(enc);
        let mut r = ev.evaluate().ok()?;
        loop {
            r = match r {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresFrameBase => ev.resume_with_frame_base(cx.cfa.0).ok()?,
                EvaluationResult::RequiresCallFrameCfa => ev.resume_with_call_frame_cfa(cx.cfa.0).ok()?,
                EvaluationResult::RequiresRegister { register, .. } => {
                    ev.resume_with_register(Value::Generic((cx.register)(register.0)?)).ok()?
                }
                EvaluationResult::RequiresMemory { address, size, .. } => {
                    let v = cx.mem.read_vec(LoadAddr(address), usize::from(size.min(8))).ok()?;
                    let mut b = [0u8; 8];
                    b[..v.len()].copy_from_slice(&v);
                    ev.resume_with_memory(Value::Generic(u64::from_le_bytes(b))).ok()?
                }
                EvaluationResult::RequiresRelocatedAddress(a) => {
                    ev.resume_with_relocated_address(cx.bias.to_load(FileAddr(a)).0).ok()?
                }
                EvaluationResult::RequiresIndexedAddress { index, relocate } => {
                    let a = self.indexed_address(u, index)?;
                    let a = if relocate { cx.bias.to_load(FileAddr(a)).0 } else { a };
                    ev.resume_with_indexed_address(a).ok()?
                }
                _ => return None,
            };
        }
        let mut parts = Vec::new();
        for p in ev.result() {
            let part = match p.location {
                gimli::Location::Address { address } => Part::Memory(LoadAddr(address)),
                gimli::Location::Register { register } => Part::Register(register.0),
                gimli::Location::Value { value } => Part::Value(value.to_u64(u64::MAX).ok()?),
                _ => Part::Gone,
            };
            match p.size_in_bits {
                Some(bits) => parts.push((part, bits / 8)),
                None => return if part == Part::Gone { None } else { Some(Location::Whole(part)) },
            }
        }
        (!parts.is_empty()).then_some(Location::Pieces(parts))
    }
}
