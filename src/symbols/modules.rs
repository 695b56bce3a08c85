//! Go modules that a process loads beside its executable: plugins. Their code is known under addresses of the executable's file: what lies
//! so far behind its first address in memory. So nobody who asks about an address or a function needs to know in which file it is.
//!
//! What the executable's DWARF says (variables, types) is not said of them.

use super::Symbols;
use super::pclntab::{FuncRecord, Function};
use crate::base::FileAddr;
use std::sync::OnceLock;

/// Modules that one process may load.
pub const MAX_MODULES: usize = 16;
/// Bits of a function's number that say where it is in its module's table; those above tell the module.
const INDEX_BITS: u32 = 24;

/// The places for modules, filled in order and never emptied.
pub(super) type Modules = [OnceLock<Module>; MAX_MODULES];

/// One that was loaded.
pub(super) struct Module {
    pub symbols: Box<Symbols>,
    /// From its own file addresses to the executable's, wrapping.
    delta: u64,
    number: u32,
}

impl Module {
    /// Its function under the executable's addresses.
    pub fn outside(&self, f: Function) -> Function {
        Function { entry: self.up(f.entry), end: self.up(f.end), index: f.index | self.number << INDEX_BITS }
    }
    /// Its own name for a function of [`Module::outside`].
    pub fn inside(&self, f: Function) -> Function {
        Function { entry: self.down(f.entry), end: self.down(f.end), index: f.index & ((1 << INDEX_BITS) - 1) }
    }
    pub fn up(&self, a: FileAddr) -> FileAddr {
        FileAddr(a.0.wrapping_add(self.delta))
    }
    pub fn down(&self, a: FileAddr) -> FileAddr {
        FileAddr(a.0.wrapping_sub(self.delta))
    }
}

impl Symbols {
    /// Adds a module whose file addresses are `delta` (wrapping) below the executable's. Its number; none if there are too many.
    pub fn add_module(&self, symbols: Symbols, delta: u64) -> Option<usize> {
        let mut new = Some(symbols);
        for (i, place) in self.modules.iter().enumerate() {
            place.get_or_init(|| {
                // Only the place that is empty takes it.
                let symbols = new.take().unwrap_or_else(|| unreachable!("a module is placed once"));
                Module { symbols: Box::new(symbols), delta, number: i as u32 + 1 }
            });
            if new.is_none() {
                return Some(i);
            }
        }
        None
    }

    /// Modules loaded so far.
    pub(super) fn modules(&self) -> impl Iterator<Item = &Module> {
        self.modules.iter().map_while(OnceLock::get)
    }

    /// Files of the modules, and what is to be added (wrapping) to their addresses to get the executable's.
    pub fn module_images(&self) -> impl Iterator<Item = (&super::Image, u64)> {
        self.modules().map(|m| (m.symbols.image(), m.delta))
    }

    /// The module of a function and what it is called there; none for those of the executable.
    pub(super) fn module_of(&self, f: Function) -> Option<(&Module, Function)> {
        let number = (f.index >> INDEX_BITS) as usize;
        let m = self.modules.get(number.checked_sub(1)?)?.get()?;
        Some((m, m.inside(f)))
    }

    /// Is it in a module, of which DWARF says nothing here?
    pub fn is_in_module(&self, f: Function) -> bool {
        f.index >> INDEX_BITS != 0
    }

    /// What the function table says of a function.
    pub fn function_record(&self, f: Function) -> Option<FuncRecord> {
        match self.module_of(f) {
            Some((m, own)) => m.symbols.function_record(own),
            None => self.pclntab().record(f),
        }
    }
    /// The file in which a function begins.
    pub fn function_file(&self, f: Function) -> &str {
        match self.module_of(f) {
            Some((m, own)) => m.symbols.function_file(own),
            None => self.pclntab().entry_file(f),
        }
    }
    /// Bytes between SP and the return address at a place of a function.
    pub fn sp_delta_in(&self, f: Function, pc: FileAddr) -> Option<i32> {
        match self.module_of(f) {
            Some((m, own)) => m.symbols.sp_delta_in(own, m.down(pc)),
            None => self.pclntab().sp_delta(f, pc),
        }
    }
}
