//! Compilation units: one a Go package, plus C ones in external links.

use super::{DwarfError, Sections, slice};
use gimli::{AttributeValue, DebugInfo};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// A unit's header and what its root entry says.
#[derive(Clone, Debug, Default)]
pub struct Unit {
    /// Position among the units.
    pub index: u32,
    /// Offset of its header in `.debug_info`.
    pub offset: u32,
    /// Offset behind it.
    pub end: u32,
    /// Offset of its root entry.
    pub root: u32,
    pub(crate) abbrev: usize,
    /// DWARF version.
    pub version: u16,
    /// Written by Go's compiler.
    pub go: bool,
    /// Import path.
    pub name: String,
    /// `Go cmd/compile go1.27.3; -N -l regabi`.
    pub producer: String,
    /// Package name (the word in the source), where recorded.
    pub package: String,
    /// Base of its part of `.debug_addr`.
    pub addr_base: usize,
    /// Base of its part of `.debug_str_offsets`.
    pub str_offsets_base: usize,
    /// Lowest address, the base of range and location lists.
    pub low_pc: u64,
    /// Its line program.
    pub stmt_list: Option<usize>,
}

impl Unit {
    /// Compiled with optimisation (no `-N`)?
    pub fn optimised(&self) -> bool {
        !self.flags().any(|f| f == "-N")
    }
    /// Compiled with inlining (no `-l`)?
    pub fn inlines(&self) -> bool {
        !self.flags().any(|f| f == "-l")
    }
    fn flags(&self) -> impl Iterator<Item = &str> {
        self.producer.split_once(';').map_or("", |p| p.1).split_whitespace()
    }
}

type Abbrevs = FxHashMap<usize, Arc<gimli::Abbreviations>>;

/// All units with their abbreviation tables (Go has a single one).
pub(super) fn read(s: &Sections) -> Result<(Vec<Unit>, Abbrevs), DwarfError> {
    let info = DebugInfo::from(slice(&s.info));
    let debug_abbrev = gimli::DebugAbbrev::from(slice(&s.abbrev));
    let debug_str = gimli::DebugStr::from(slice(&s.str_));
    let line_str = gimli::DebugLineStr::from(slice(&s.line_str));
    let debug_addr = gimli::DebugAddr::from(slice(&s.addr));
    let mut abbrevs: Abbrevs = FxHashMap::default();
    let mut out = Vec::new();
    let mut iter = info.units();
    while let Some(h) = iter.next()? {
        let Some(offset) = h.debug_info_offset() else { continue };
        let at = h.debug_abbrev_offset().0;
        let table = match abbrevs.get(&at) {
            Some(t) => t.clone(),
            None => {
                let t = Arc::new(h.abbreviations(&debug_abbrev)?);
                abbrevs.insert(at, t.clone());
                t
            }
        };
        let mut u = Unit {
            index: out.len() as u32,
            offset: offset.0 as u32,
            end: (offset.0 + h.length_including_self()) as u32,
            root: (offset.0 + h.root_offset().0) as u32,
            abbrev: at,
            version: h.version(),
            ..Unit::default()
        };
        let root = h.entry(&table, h.root_offset())?;
        let text = |v: Option<AttributeValue<super::Slice<'_>>>| -> String {
            let s = match v {
                Some(AttributeValue::String(s)) => Some(s),
                Some(AttributeValue::DebugStrRef(o)) => debug_str.get_str(o).ok(),
                Some(AttributeValue::DebugLineStrRef(o)) => line_str.get_str(o).ok(),
                _ => None,
            };
            s.map_or_else(String::new, |s| s.to_string_lossy().into_owned())
        };
        u.name = text(root.attr_value(gimli::DW_AT_name));
        u.producer = text(root.attr_value(gimli::DW_AT_producer));
        u.package = text(root.attr_value(super::go_attr::PACKAGE_NAME));
        u.go = matches!(root.attr_value(gimli::DW_AT_language), Some(AttributeValue::Language(gimli::DW_LANG_Go)));
        if let Some(AttributeValue::DebugAddrBase(b)) = root.attr_value(gimli::DW_AT_addr_base) {
            u.addr_base = b.0;
        }
        if let Some(AttributeValue::DebugStrOffsetsBase(b)) = root.attr_value(gimli::DW_AT_str_offsets_base) {
            u.str_offsets_base = b.0;
        }
        u.low_pc = match root.attr_value(gimli::DW_AT_low_pc) {
            Some(AttributeValue::Addr(a)) => a,
            Some(AttributeValue::DebugAddrIndex(i)) => {
                debug_addr.get_address(8, gimli::DebugAddrBase(u.addr_base), i).unwrap_or(0)
            }
            _ => 0,
        };
        u.stmt_list = match root.attr_value(gimli::DW_AT_stmt_list) {
            Some(AttributeValue::DebugLineRef(o)) => Some(o.0),
            Some(AttributeValue::SecOffset(o)) => Some(o),
            _ => None,
        };
        out.push(u);
    }
    Ok((out, abbrevs))
}
