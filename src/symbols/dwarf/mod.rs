//! DWARF as Go's compiler and linker write it (versions 4 and 5), read lazily and checked; C units are skipped over.
//!
//! Places in `.debug_info` are plain offsets ([`DieOff`]), so nothing here borrows for longer than a call.

pub mod die;
pub mod index;
pub mod inlined;
pub mod line;
pub mod location;
pub mod types;
pub mod units;

use super::descriptors::Descriptors;
use super::image::{Image, SectionData};
use super::moduledata::ModuleData;
use super::modules::MAX_MODULES;
use gimli::{EndianSlice, LittleEndian};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::sync::{Arc, OnceLock};

pub use die::{Die, Walk};
pub use types::{GoType, TypeKind};
pub use units::Unit;

/// Numbers of types from here on are not in `.debug_info` but in the program's own type descriptors
/// ([`crate::symbols::descriptors`]).
pub const DESCRIPTORS: u32 = 0xc000_0000;

/// Offset of an entry in `.debug_info`, or the number of a type that is described elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DieOff(pub u32);

/// What gimli reads from.
pub type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// Vendor attributes of Go's linker and compiler.
pub mod go_attr {
    use gimli::DwAt;
    /// `reflect.Kind` of a type.
    pub const KIND: DwAt = DwAt(0x2900);
    /// Key type of a map.
    pub const KEY: DwAt = DwAt(0x2901);
    /// Element type of a map, chan, slice.
    pub const ELEM: DwAt = DwAt(0x2902);
    /// The member is embedded.
    pub const EMBEDDED_FIELD: DwAt = DwAt(0x2903);
    /// Offset of the type descriptor from moduledata.types.
    pub const RUNTIME_TYPE: DwAt = DwAt(0x2904);
    /// Package name of a unit.
    pub const PACKAGE_NAME: DwAt = DwAt(0x2905);
    /// Index into the generic dictionary.
    pub const DICT_INDEX: DwAt = DwAt(0x2906);
    /// Offset of a captured variable in the closure object.
    pub const CLOSURE_OFFSET: DwAt = DwAt(0x2907);
}

/// Why DWARF is not usable; the function table still is.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DwarfError {
    /// Built with `-w` or `-s`, or stripped.
    #[error("the file has no DWARF (stripped, or built with -ldflags=-w)")]
    Missing,
    /// Could not be decompressed or parsed.
    #[error("the file's DWARF is damaged: {0}")]
    Damaged(String),
}

impl From<gimli::Error> for DwarfError {
    fn from(e: gimli::Error) -> Self {
        DwarfError::Damaged(e.to_string())
    }
}

/// The sections, decompressed.
#[derive(Default)]
pub struct Sections {
    pub(crate) abbrev: SectionData,
    pub(crate) info: SectionData,
    pub(crate) line: SectionData,
    pub(crate) line_str: SectionData,
    pub(crate) str_: SectionData,
    pub(crate) str_offsets: SectionData,
    pub(crate) addr: SectionData,
    pub(crate) ranges: SectionData,
    pub(crate) rnglists: SectionData,
    pub(crate) loc: SectionData,
    pub(crate) loclists: SectionData,
}

impl Sections {
    fn load(image: &Image) -> Result<Sections, DwarfError> {
        const NAMES: [&str; 11] = [
            ".debug_info",
            ".debug_line",
            ".debug_abbrev",
            ".debug_line_str",
            ".debug_str",
            ".debug_str_offsets",
            ".debug_addr",
            ".debug_ranges",
            ".debug_rnglists",
            ".debug_loc",
            ".debug_loclists",
        ];
        let mut loaded: Vec<SectionData> = NAMES
            .par_iter()
            .map(|n| image.section_data(n).map(Option::unwrap_or_default))
            .collect::<Result<_, _>>()
            .map_err(|e| DwarfError::Damaged(e.to_string()))?;
        let mut next = || if loaded.is_empty() { SectionData::default() } else { loaded.remove(0) };
        let s = Sections {
            info: next(),
            line: next(),
            abbrev: next(),
            line_str: next(),
            str_: next(),
            str_offsets: next(),
            addr: next(),
            ranges: next(),
            rnglists: next(),
            loc: next(),
            loclists: next(),
        };
        if s.info.is_empty() || s.abbrev.is_empty() {
            return Err(DwarfError::Missing);
        }
        if s.info.len() >= DESCRIPTORS as usize {
            return Err(DwarfError::Damaged("more than 3 GiB of .debug_info".into()));
        }
        Ok(s)
    }
}

pub(crate) fn slice(s: &SectionData) -> Slice<'_> {
    EndianSlice::new(s, LittleEndian)
}

/// Everything DWARF says, found on demand.
pub struct Dwarf {
    sections: Sections,
    abbrevs: FxHashMap<usize, Arc<gimli::Abbreviations>>,
    units: Vec<Unit>,
    lines: Vec<OnceLock<line::UnitLines>>,
    files: OnceLock<line::FileIndex>,
    index: OnceLock<index::Index>,
    types: types::TypeCache,
    descriptors: Option<Arc<Descriptors>>,
    modules: [OnceLock<Descriptors>; MAX_MODULES],
}

impl Dwarf {
    /// Decompresses the sections and reads the units' root entries.
    pub fn load(image: &Image, m: Option<&ModuleData>) -> Result<Dwarf, DwarfError> {
        let sections = Sections::load(image)?;
        let (units, abbrevs) = units::read(&sections)?;
        Ok(Dwarf::made_of(sections, units, abbrevs, m.and_then(|m| Descriptors::new(image, m)).map(Arc::new)))
    }
    /// Nothing but the types that the program itself has descriptors of.
    pub fn bare(image: &Image, m: &ModuleData) -> Option<Dwarf> {
        let d = Descriptors::new(image, m)?;
        Some(Dwarf::made_of(Sections::default(), Vec::new(), FxHashMap::default(), Some(Arc::new(d))))
    }
    fn made_of(
        sections: Sections,
        units: Vec<Unit>,
        abbrevs: FxHashMap<usize, Arc<gimli::Abbreviations>>,
        descriptors: Option<Arc<Descriptors>>,
    ) -> Dwarf {
        let lines = units.iter().map(|_| OnceLock::new()).collect();
        Dwarf {
            sections,
            abbrevs,
            units,
            lines,
            files: OnceLock::new(),
            index: OnceLock::new(),
            types: types::TypeCache::default(),
            descriptors,
            modules: Default::default(),
        }
    }
    /// The program's own type descriptors.
    pub fn descriptors(&self) -> Option<&Arc<Descriptors>> {
        self.descriptors.as_ref()
    }
    /// All type descriptors: the program's own, then those of plugins.
    pub fn all_descriptors(&self) -> impl Iterator<Item = &Descriptors> {
        self.descriptors.iter().map(|d| &**d).chain(self.modules.iter().map_while(OnceLock::get))
    }
    /// Adds those of plugin number `n`.
    pub fn add_descriptors(&self, n: usize, d: Descriptors) {
        if let Some(place) = self.modules.get(n) {
            place.get_or_init(|| d);
        }
    }
    /// Compilation units in file order.
    pub fn units(&self) -> &[Unit] {
        &self.units
    }
    pub(crate) fn sections(&self) -> &Sections {
        &self.sections
    }
    pub(crate) fn abbrevs_of(&self, u: &Unit) -> Option<&gimli::Abbreviations> {
        self.abbrevs.get(&u.abbrev).map(|a| &**a)
    }
    /// The unit that holds an entry.
    pub fn unit_of(&self, off: DieOff) -> Option<&Unit> {
        let i = self.units.partition_point(|u| u.offset <= off.0);
        self.units.get(i.checked_sub(1)?).filter(|u| off.0 < u.end)
    }
    /// Functions, types, variables by name and address; built at the first call.
    pub fn index(&self) -> &index::Index {
        self.index.get_or_init(|| index::Index::build(self))
    }
}
