//! Floor 3: the Go runtime's structures over memory and symbols.
//!
//! [`GoRuntime`] is one program's runtime: it reads through [`Memory`], whatever that is (a process, a core, a test's
//! bytes), and knows nothing of ptrace. What differs between releases is in [`layout`].

pub mod abi;
mod clock;
pub mod defer;
pub mod entry;
pub mod g;
pub mod globals;
pub mod goroutines;
pub mod groups;
pub mod labels;
pub mod layout;
pub mod many;
pub mod panic;
pub mod pcinfo;
pub mod rtype;
pub mod sample;
mod saved;
pub mod scan;
pub mod sched;
pub mod stack;
mod switching;
mod unchanged;
pub mod unwind;
pub mod value;
mod wrapper;

pub use g::{CurrentG, G};
pub use goroutines::{GoroutineList, ListOptions};
pub use layout::{Layout, LayoutError};
pub use pcinfo::{PcCache, PcInfo};
pub use stack::{StackStart, WalkedStack};
pub use unwind::{RawFrame, RawStack};

use crate::base::redact::Redaction;
use crate::base::{GoroutineId, LoadAddr, LoadBias, Memory, MemoryError};
use crate::symbols::Symbols;
use globals::Globals;
use std::sync::Arc;

/// Longest text taken for a wait reason.
const MAX_REASON: u64 = 64;

/// Why a program's runtime cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RuntimeError {
    /// The release is unknown.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The list of goroutines was not found.
    #[error("the runtime's list of goroutines was not found in the program")]
    NoGoroutineList,
    /// Memory could not be read.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// What was read makes no sense.
    #[error("the runtime's data make no sense: {0}")]
    Nonsense(String),
}

/// The runtime of one program in memory.
pub struct GoRuntime {
    symbols: Arc<Symbols>,
    bias: LoadBias,
    layout: Layout,
    globals: Globals,
    cache: PcCache,
    wait_reasons: Vec<Arc<str>>,
    entries: entry::EntryCache,
    /// Goroutines found otherwise, where the runtime's own list cannot be read.
    found: Option<Vec<u64>>,
    packages: std::sync::OnceLock<Vec<value::packages::PackageVariable>>,
    /// Where a thread's `runtime.g` is, from its thread pointer on.
    tls_g: i64,
    /// What of its values is hidden.
    redaction: std::sync::OnceLock<Arc<Redaction>>,
}

impl GoRuntime {
    /// Finds globals and layout; reads the table of wait reasons.
    pub fn open(symbols: Arc<Symbols>, bias: LoadBias, mem: &dyn Memory) -> Result<GoRuntime, RuntimeError> {
        let layout = Layout::of(&symbols)?;
        let globals = Globals::find(&symbols, bias, &layout).ok_or(RuntimeError::NoGoroutineList)?;
        let wait_reasons = read_wait_reasons(&layout, &globals, mem);
        let cache = PcCache::new(symbols.clone(), bias);
        let told = symbols.image().tls_offset_slot().and_then(|a| mem.read_u64(bias.to_load(a)).ok());
        let tls_g = told.map_or(g::TLS_G, |o| o as i64);
        Ok(GoRuntime {
            symbols,
            bias,
            layout,
            globals,
            cache,
            wait_reasons,
            entries: entry::EntryCache::default(),
            packages: std::sync::OnceLock::new(),
            found: None,
            tls_g,
            redaction: std::sync::OnceLock::new(),
        })
    }
    /// Hides what looks like secrets in all that is read of its values from now on. The first one stays.
    pub fn set_redaction(&self, r: &Arc<Redaction>) {
        let _there_is_one = self.redaction.set(r.clone());
    }
    /// What is hidden, while something is.
    pub fn redaction(&self) -> Option<&Redaction> {
        self.redaction.get().map(|r| &**r).filter(|r| r.is_on())
    }
    /// Symbols of the program.
    pub fn symbols(&self) -> &Arc<Symbols> {
        &self.symbols
    }
    /// Where it is loaded.
    pub fn bias(&self) -> LoadBias {
        self.bias
    }
    /// Field offsets and facts.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }
    /// Global variables.
    pub fn globals(&self) -> &Globals {
        &self.globals
    }
    /// Memory of PCs.
    pub fn pcs(&self) -> &PcCache {
        &self.cache
    }
    /// Texts of all wait reasons, by number.
    pub fn wait_reasons(&self) -> &[Arc<str>] {
        &self.wait_reasons
    }

    /// Text of a wait reason.
    pub fn wait_reason(&self, n: u8) -> Option<Arc<str>> {
        self.wait_reasons.get(n as usize).filter(|s| !s.is_empty()).cloned()
    }
    /// What the thread with this `fs_base` runs.
    pub fn current_g(&self, mem: &dyn Memory, fs_base: u64) -> Option<CurrentG> {
        g::current_g(&self.layout, mem, fs_base, self.tls_g)
    }
    /// One goroutine's `runtime.g`.
    pub fn read_g(&self, mem: &dyn Memory, addr: LoadAddr) -> Result<G, MemoryError> {
        G::read(&self.layout, mem, addr)
    }
    /// Address of a living goroutine's `runtime.g`.
    pub fn find_goroutine(&self, mem: &dyn Memory, id: GoroutineId) -> Option<LoadAddr> {
        let all = self.all_gs(mem).ok()?;
        all.into_iter().map(LoadAddr).find(|g| self.read_g(mem, *g).is_ok_and(|g| g.alive() && g.goid == id.0))
    }
    /// Addresses of all `runtime.g` ever made, dead ones included.
    pub fn all_gs(&self, mem: &dyn Memory) -> Result<Vec<u64>, RuntimeError> {
        if let Some(found) = &self.found {
            return Ok(found.clone());
        }
        let n = mem.read_u64(self.globals.allglen)?;
        let at = mem.read_ptr(self.globals.allgptr)?;
        if n > 1 << 26 {
            return Err(RuntimeError::Nonsense(format!("{n} goroutines")));
        }
        let bytes = mem.read_vec(at, n as usize * 8)?;
        Ok(bytes.chunks_exact(8).map(|c| c.try_into().map_or(0, u64::from_le_bytes)).collect())
    }
}

/// The target's own texts if they look right, else those of its release.
fn read_wait_reasons(l: &Layout, globals: &Globals, mem: &dyn Memory) -> Vec<Arc<str>> {
    let known = || l.wait_reasons.iter().map(|s| Arc::from(*s)).collect::<Vec<_>>();
    let Some(at) = globals.wait_reason_strings else { return known() };
    let count = l.wait_reasons.len().max(1);
    let mut own: Vec<Arc<str>> = Vec::new();
    for i in 0..count as u64 {
        let text = || -> Option<String> {
            let ptr = mem.read_ptr(at.add(i * 16)).ok()?;
            let len = mem.read_u64(at.add(i * 16 + 8)).ok().filter(|n| *n <= MAX_REASON)?;
            if len == 0 {
                return Some(String::new());
            }
            String::from_utf8(mem.read_vec(ptr, len as usize).ok()?).ok()
        };
        match text() {
            Some(t) => own.push(t.into()),
            None => return known(),
        }
    }
    match own.get(1) {
        Some(first) if first.starts_with("GC assist") => own,
        _ => known(),
    }
}
