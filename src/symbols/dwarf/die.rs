//! One debugging information entry and walking over a tree of them.

use super::{DieOff, Dwarf, Slice, Unit, slice};
use gimli::{AttributeValue, DebugInfoOffset, DwAt, DwTag, UnitOffset};

/// An entry with all its attributes.
pub struct Die<'a> {
    pub(crate) dwarf: &'a Dwarf,
    pub(crate) unit: &'a Unit,
    entry: gimli::DebuggingInformationEntry<Slice<'a>>,
    /// Depth below the entry at which the walk began.
    pub depth: usize,
}

/// What a walk shall do after an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Walk {
    /// Visit its children.
    Into,
    /// Skip its children.
    Over,
    /// End the walk.
    Stop,
}

impl<'a> Die<'a> {
    /// Where it is.
    pub fn off(&self) -> DieOff {
        DieOff(self.unit.offset + self.entry.offset().0 as u32)
    }
    /// Its unit.
    pub fn unit(&self) -> &'a Unit {
        self.unit
    }
    /// Its tag.
    pub fn tag(&self) -> DwTag {
        self.entry.tag()
    }
    /// Can it have children?
    pub fn has_children(&self) -> bool {
        self.entry.has_children()
    }
    /// A raw attribute.
    pub fn attr(&self, at: DwAt) -> Option<AttributeValue<Slice<'a>>> {
        self.entry.attr_value(at)
    }
    /// A string attribute.
    pub fn str(&self, at: DwAt) -> Option<&'a str> {
        self.dwarf.string(self.unit, self.attr(at)?)
    }
    /// `DW_AT_name`.
    pub fn name(&self) -> Option<&'a str> {
        self.str(gimli::DW_AT_name)
    }
    /// An unsigned number.
    pub fn u64(&self, at: DwAt) -> Option<u64> {
        let v = self.attr(at)?;
        match v {
            AttributeValue::FileIndex(i) => Some(i),
            AttributeValue::Addr(a) => Some(a),
            AttributeValue::SecOffset(o) => Some(o as u64),
            AttributeValue::Inline(i) => Some(u64::from(i.0)),
            AttributeValue::Encoding(e) => Some(u64::from(e.0)),
            _ => v.udata_value(),
        }
    }
    /// A signed number (constants).
    pub fn i64(&self, at: DwAt) -> Option<i64> {
        let v = self.attr(at)?;
        v.sdata_value().or_else(|| v.udata_value().map(|u| u as i64))
    }
    /// A flag.
    pub fn flag(&self, at: DwAt) -> bool {
        match self.attr(at) {
            Some(AttributeValue::Flag(b)) => b,
            Some(v) => v.udata_value().is_some_and(|v| v != 0),
            None => false,
        }
    }
    /// An address, looked up in `.debug_addr` if need be.
    pub fn addr(&self, at: DwAt) -> Option<u64> {
        self.dwarf.address(self.unit, self.attr(at)?)
    }
    /// A reference to another entry.
    pub fn reference(&self, at: DwAt) -> Option<DieOff> {
        match self.attr(at)? {
            AttributeValue::UnitRef(o) => Some(DieOff(self.unit.offset.checked_add(u32::try_from(o.0).ok()?)?)),
            AttributeValue::DebugInfoRef(DebugInfoOffset(o)) => Some(DieOff(u32::try_from(o).ok()?)),
            _ => None,
        }
    }
    /// `DW_AT_type`.
    pub fn type_ref(&self) -> Option<DieOff> {
        self.reference(gimli::DW_AT_type)
    }
    /// `DW_AT_low_pc` and the address behind the end.
    pub fn pc_range(&self) -> Option<(u64, u64)> {
        let low = self.addr(gimli::DW_AT_low_pc)?;
        let high = match self.attr(gimli::DW_AT_high_pc)? {
            AttributeValue::Addr(a) => a,
            AttributeValue::DebugAddrIndex(_) => self.addr(gimli::DW_AT_high_pc)?,
            v => low.checked_add(v.udata_value()?)?,
        };
        Some((low, high))
    }
    /// All address ranges, whichever way they are written.
    pub fn ranges(&self) -> Vec<(u64, u64)> {
        if let Some(r) = self.pc_range() {
            return vec![r];
        }
        self.dwarf.range_list(self.unit, self.attr(gimli::DW_AT_ranges)).unwrap_or_default()
    }
}

impl Dwarf {
    pub(crate) fn header(&self, u: &Unit) -> Option<gimli::UnitHeader<Slice<'_>>> {
        let info = gimli::DebugInfo::from(slice(&self.sections().info));
        info.header_from_offset(DebugInfoOffset(u.offset as usize)).ok()
    }

    pub(crate) fn string<'a>(&'a self, u: &Unit, v: AttributeValue<Slice<'a>>) -> Option<&'a str> {
        let s = match v {
            AttributeValue::String(s) => s,
            AttributeValue::DebugStrRef(o) => gimli::DebugStr::from(slice(&self.sections().str_)).get_str(o).ok()?,
            AttributeValue::DebugLineStrRef(o) => {
                gimli::DebugLineStr::from(slice(&self.sections().line_str)).get_str(o).ok()?
            }
            AttributeValue::DebugStrOffsetsIndex(i) => {
                let offs = gimli::DebugStrOffsets::from(slice(&self.sections().str_offsets));
                let base = gimli::DebugStrOffsetsBase(u.str_offsets_base);
                let o = offs.get_str_offset(gimli::Format::Dwarf32, base, i).ok()?;
                gimli::DebugStr::from(slice(&self.sections().str_)).get_str(o).ok()?
            }
            _ => return None,
        };
        std::str::from_utf8(s.slice()).ok()
    }

    pub(crate) fn address(&self, u: &Unit, v: AttributeValue<Slice<'_>>) -> Option<u64> {
        match v {
            AttributeValue::Addr(a) => Some(a),
            AttributeValue::DebugAddrIndex(i) => self.indexed_address(u, i),
            _ => None,
        }
    }

    pub(crate) fn indexed_address(&self, u: &Unit, i: gimli::DebugAddrIndex<usize>) -> Option<u64> {
        gimli::DebugAddr::from(slice(&self.sections().addr)).get_address(8, gimli::DebugAddrBase(u.addr_base), i).ok()
    }

    pub(crate) fn range_list(&self, u: &Unit, v: Option<AttributeValue<Slice<'_>>>) -> Option<Vec<(u64, u64)>> {
        let off = match v? {
            AttributeValue::RangeListsRef(o) => o.0,
            AttributeValue::SecOffset(o) => o,
            _ => return None,
        };
        let s = self.sections();
        let lists = gimli::RangeLists::new(
            gimli::DebugRanges::from(slice(&s.ranges)),
            gimli::DebugRngLists::from(slice(&s.rnglists)),
        );
        let enc = self.header(u)?.encoding();
        let addr = gimli::DebugAddr::from(slice(&s.addr));
        let mut it =
            lists.ranges(gimli::RangeListsOffset(off), enc, u.low_pc, &addr, gimli::DebugAddrBase(u.addr_base)).ok()?;
        let mut out = Vec::new();
        while let Ok(Some(r)) = it.next() {
            if r.begin < r.end {
                out.push((r.begin, r.end));
            }
        }
        Some(out)
    }

    /// One entry.
    pub fn die(&self, off: DieOff) -> Option<Die<'_>> {
        let mut out = None;
        self.walk(off, |d| {
            out = Some(d);
            Walk::Stop
        });
        out
    }

    /// Visits an entry and its descendants in order, as `f` directs.
    pub fn walk<'a>(&'a self, off: DieOff, mut f: impl FnMut(Die<'a>) -> Walk) {
        let mut go = || -> Option<()> {
            let unit = self.unit_of(off)?;
            let header = self.header(unit)?;
            let abbrevs = self.abbrevs_of(unit)?;
            let mut raw = header.entries_raw(abbrevs, Some(UnitOffset((off.0 - unit.offset) as usize))).ok()?;
            let mut skip_below: Option<isize> = None;
            let mut first = true;
            while !raw.is_empty() {
                let depth = raw.next_depth();
                if depth < 0 || (depth == 0 && !first) {
                    break;
                }
                let mut entry = gimli::DebuggingInformationEntry::null();
                if !raw.read_entry(&mut entry).ok()? {
                    continue;
                }
                let leaf = first && !entry.has_children();
                first = false;
                if skip_below.is_none_or(|d| depth <= d) {
                    skip_below = None;
                    match f(Die { dwarf: self, unit, entry, depth: depth as usize }) {
                        Walk::Into => {}
                        Walk::Over => skip_below = Some(depth),
                        Walk::Stop => break,
                    }
                }
                if leaf || skip_below == Some(0) {
                    break;
                }
            }
            None
        };
        let _ = go();
    }

    /// Direct children.
    pub fn children<'a>(&'a self, off: DieOff, mut f: impl FnMut(Die<'a>)) {
        self.walk(off, |d| {
            if d.depth == 0 {
                return Walk::Into;
            }
            f(d);
            Walk::Over
        });
    }
}
