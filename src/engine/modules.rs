//! Plugins that a process has loaded since: found in the runtime's own list of modules, their symbols added to the executable's.

use super::open::Loaded;
use crate::base::mmap::FileBytes;
use crate::base::{FileAddr, LoadAddr, Memory};
use crate::symbols::Symbols;
use crate::symbols::descriptors::Descriptors;
use crate::symbols::modules::MAX_MODULES;
use crate::target::core::notes::FileMapping;
use crate::target::linux::procfs;
use std::path::PathBuf;

/// `runtime.moduledata.text`, the same in every release since 1.20.
const TEXT: u64 = 176;

impl Loaded {
    /// Adds modules that are new; what could not be added, a line each. Costs one word read where there are none.
    pub fn find_modules(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let (Some(first), Some(l)) = (self.sym.moduledata(), self.rt.layout().heap) else { return problems };
        let mut at = self.bias.to_load(first.addr);
        let mut maps = None;
        for _ in 0..MAX_MODULES {
            let Some(next) = self.mem.read_ptr(at.add(l.module_next)).ok().filter(|n| !n.is_nil()) else { break };
            at = next;
            let Ok(text) = self.mem.read_ptr(at.add(TEXT)) else { break };
            if self.sym.function_at(self.bias.to_file(text)).is_some() {
                continue;
            }
            let maps = maps.get_or_insert_with(|| self.mappings());
            match self.add_module(text, maps) {
                Ok(()) => self.rt.pcs().forget_unknown(),
                Err(e) => problems.push(e),
            }
        }
        problems
    }

    /// A module's type descriptors as they are in memory; a core leaves out pages that nobody has written, which are as in the file.
    fn types_of(&self, symbols: &Symbols, start: u64, len: u64, at: LoadAddr) -> Vec<u8> {
        const PAGE: u64 = 4096;
        // The length is from a file: one that no plugin has is not believed.
        const MAX: u64 = 32 << 20;
        if len > MAX {
            return Vec::new();
        }
        if let Ok(whole) = self.mem.read_vec(at, len as usize) {
            return whole;
        }
        let mut out = Vec::new();
        while (out.len() as u64) < len {
            let done = out.len() as u64;
            let here = at.add(done);
            let n = (PAGE - here.0 % PAGE).min(len - done) as usize;
            let file = || symbols.text(FileAddr(start + done), n).map(<[u8]>::to_vec);
            out.extend(self.mem.read_vec(here, n).ok().or_else(file).unwrap_or_else(|| vec![0; n]));
        }
        out
    }

    /// Files in the process's memory, or in that of which this is a core.
    fn mappings(&self) -> Vec<procfs::Mapping> {
        let Some(core) = &self.origin.core else { return procfs::maps(self.pid).unwrap_or_default() };
        let files = core.mapped_files();
        let number = |path: &str| files.iter().position(|f| f.as_os_str() == path).map_or(0, |i| i as u64 + 1);
        let one = |f: &FileMapping| procfs::Mapping {
            start: f.start,
            end: f.end,
            perms: String::new(),
            offset: f.offset,
            inode: number(&f.path),
            path: f.path.clone(),
        };
        core.notes().files.iter().map(one).collect()
    }

    /// Adds the module whose code is at `text`.
    fn add_module(&self, text: LoadAddr, maps: &[procfs::Mapping]) -> Result<(), String> {
        let here = maps.iter().find(|m| m.start <= text.0 && text.0 < m.end && m.inode != 0);
        let m = here.ok_or_else(|| format!("the Go module at {text} is in no file: its code stays unknown"))?;
        let first = maps.iter().find(|x| x.inode == m.inode).unwrap_or(m);
        let fail = |e: &dyn std::fmt::Display| format!("{}: {e}; its code stays unknown", m.path);
        let path = match self.origin.core {
            Some(_) => Some(PathBuf::from(&m.path)).filter(|p| p.is_file()),
            None => procfs::mapped_file(self.pid, m),
        };
        let path = path.ok_or_else(|| fail(&"it was replaced or removed"))?;
        let symbols = FileBytes::open(&path).map_err(|e| fail(&e))?;
        let symbols = Symbols::load(symbols).map_err(|e| fail(&e))?;
        let bias = first.start.wrapping_sub(first.offset).wrapping_sub(symbols.image().lowest_addr().0);
        let types = symbols.moduledata().map(|m| m.types.clone()).unwrap_or_default();
        let at = LoadAddr(types.start.wrapping_add(bias));
        let bytes = self.types_of(&symbols, types.start, types.end.saturating_sub(types.start), at);
        let n = self.sym.add_module(symbols, bias.wrapping_sub(self.bias.0));
        let n = n.ok_or_else(|| fail(&format!("more than {MAX_MODULES} modules")))?;
        let Some(all) = self.sym.types() else { return Ok(()) };
        let found = Descriptors::of_module(n, bytes, self.bias.to_file(at), self.bias.0, all.descriptors().cloned());
        if let Some(d) = found {
            all.add_descriptors(n, d);
        }
        Ok(())
    }
}
