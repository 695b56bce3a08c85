//! Floor 2: bytes in, facts out; opens no files itself.
//!
//! [`Symbols`] answers questions about one executable. Functions, files, lines and frame sizes come from Go's own
//! function table, which is always there and is read in place; DWARF is loaded when asked for and adds variables,
//! types and statement marks. It knows nothing of processes: all addresses are [`FileAddr`].

pub mod arguments;
pub mod build_id;
pub mod buildinfo;
pub mod descriptors;
pub mod dwarf;
mod error;
pub mod functions;
pub mod image;
pub mod inline;
pub mod lines;
pub mod moduledata;
pub mod modules;
pub mod pclntab;
pub mod prologue;
pub mod source_map;

pub use buildinfo::BuildInfo;
pub use error::SymbolsError;
pub use functions::{FunctionFlags, FunctionMatch};
pub use image::Image;
pub use inline::InlineFrame;
pub use lines::{InlinedCall, LineMatch, LineRow, PcLocation};
pub use moduledata::ModuleData;
pub use pclntab::{Function, Pclntab};
pub use source_map::SourceMap;

use crate::base::{FileAddr, GoVersion, mmap::FileBytes};
use dwarf::{Dwarf, DwarfError};
use std::sync::OnceLock;

/// Symbols of one Go executable.
pub struct Symbols {
    image: Image,
    build: BuildInfo,
    pclntab: Pclntab,
    moduledata: Option<ModuleData>,
    dwarf: OnceLock<Result<Dwarf, DwarfError>>,
    bare: OnceLock<Option<Dwarf>>,
    names: OnceLock<Vec<u32>>,
    wrapper_id: OnceLock<u8>,
    notes: Vec<String>,
    modules: modules::Modules,
}

impl Symbols {
    /// Reads headers, build info, function table and moduledata. Cheap at any size: nothing is copied or indexed.
    pub fn load(bytes: FileBytes) -> Result<Symbols, SymbolsError> {
        let image = Image::parse(bytes)?;
        let build = BuildInfo::read(&image);
        let mut pclntab = Pclntab::find(&image).ok_or(SymbolsError::NotGo)?;
        let moduledata = ModuleData::find(&image, &pclntab);
        let mut notes = Vec::new();
        match &moduledata {
            Some(m) => pclntab.set_text(FileAddr(m.text.start)),
            None => {
                notes.push("runtime.firstmoduledata was not found: no inlined frames, no types".to_string());
                if pclntab.header_text() == 0
                    && let Some(text) = image.section(".text")
                {
                    pclntab.set_text(text.addr);
                }
            }
        }
        if build.is_none() {
            notes.push("no Go build info: the Go version is unknown".to_string());
        }
        let has_debug = image.sections().iter().any(|s| s.name == ".debug_info" || s.name == ".zdebug_info");
        if !has_debug {
            notes.push("no DWARF (stripped): functions, lines, argument words and the types that the program knows at run time; no variables by name".to_string());
        }
        Ok(Symbols {
            image,
            build: build.unwrap_or_default(),
            pclntab,
            moduledata,
            dwarf: OnceLock::new(),
            bare: OnceLock::new(),
            names: OnceLock::new(),
            wrapper_id: OnceLock::new(),
            notes,
            modules: Default::default(),
        })
    }

    /// The ELF file.
    pub fn image(&self) -> &Image {
        &self.image
    }
    /// Build info (empty when the file has none).
    pub fn build_info(&self) -> &BuildInfo {
        &self.build
    }
    /// Toolchain that made it.
    pub fn go_version(&self) -> &GoVersion {
        &self.build.version
    }
    /// The function table.
    pub fn pclntab(&self) -> &Pclntab {
        &self.pclntab
    }
    /// Ranges of text, data and types.
    pub fn moduledata(&self) -> Option<&ModuleData> {
        self.moduledata.as_ref()
    }

    /// Loads DWARF now (otherwise the first question that needs it does): sections and unit headers.
    pub fn load_dwarf(&self) -> Result<&Dwarf, &DwarfError> {
        self.dwarf.get_or_init(|| Dwarf::load(&self.image, self.moduledata.as_ref())).as_ref()
    }
    /// DWARF, loaded if need be.
    pub fn dwarf(&self) -> Option<&Dwarf> {
        self.load_dwarf().ok()
    }
    /// Types and, with DWARF, variables: DWARF, else what the program's own type descriptors say.
    pub fn types(&self) -> Option<&Dwarf> {
        let bare = || self.bare.get_or_init(|| Dwarf::bare(&self.image, self.moduledata.as_ref()?)).as_ref();
        self.dwarf().or_else(bare)
    }
    /// DWARF if it was loaded before; never waits.
    pub fn dwarf_if_loaded(&self) -> Option<&Dwarf> {
        self.dwarf.get()?.as_ref().ok()
    }
    /// Is there usable DWARF?
    pub fn has_dwarf(&self) -> bool {
        self.load_dwarf().is_ok()
    }
    /// Is there a DWARF section at all? Costs nothing.
    pub fn has_dwarf_section(&self) -> bool {
        self.image.sections().iter().any(|s| s.name == ".debug_info" || s.name == ".zdebug_info")
    }
    /// Was the main package compiled with optimisation? Build info says it; DWARF is asked only if it is loaded already.
    pub fn is_optimised(&self) -> bool {
        if let Some(Ok(d)) = self.dwarf.get()
            && let Some(u) = d.units().iter().find(|u| u.go && u.name == "main" || u.name == self.build.path)
        {
            return u.optimised();
        }
        let flags = self.build.setting("-gcflags").unwrap_or("");
        !flags.split(['=', ' ', '\'', '"']).any(|f| f == "-N")
    }
    /// What is missing and what follows from it, for the user.
    pub fn notes(&self) -> Vec<String> {
        let mut n = self.notes.clone();
        if let Some(Err(e @ DwarfError::Damaged(_))) = self.dwarf.get() {
            n.push(format!("{e}; functions and lines still work"));
        }
        n
    }

    /// Code as it is in the file, clean of breakpoints.
    pub fn text(&self, addr: FileAddr, len: usize) -> Option<&[u8]> {
        let own = self.image.bytes_at(addr, len);
        own.or_else(|| self.modules().find_map(|m| m.symbols.text(m.down(addr), len)))
    }
    /// Addresses of ELF symbols, in one pass; all none in a stripped file.
    pub fn elf_symbols(&self, names: &[&str]) -> Vec<Option<FileAddr>> {
        self.image.symbols(names)
    }
}
