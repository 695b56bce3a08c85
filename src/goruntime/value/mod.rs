//! Values of the target by their DWARF types: found, taken apart lazily, written in one line as Delve writes them.
//!
//! A [`ValueRef`] says where a value is and of what type; nothing is read until somebody looks. Data from the target
//! are hostile: lengths, pointers and cycles are all bounded.

pub mod children;
mod hide;
pub mod load;
pub mod map;
pub mod packages;
pub mod print;
pub mod scope;
mod time;
mod words;

use super::GoRuntime;
use crate::base::redact::Hide;
use crate::base::{LoadAddr, Memory, MemoryError};
use crate::model::{Unavailable, VarFlags, VarKind, Variable};
use crate::symbols::dwarf::{Dwarf, GoType, TypeKind};
use std::ops::Range;
use std::sync::Arc;

pub use load::Loaded;
pub use scope::{FrameScope, ScopeVariable};

/// How much of a value goes into its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a string.
    pub string: u32,
    /// Elements of arrays, slices and maps.
    pub elements: u32,
    /// Fields of a struct.
    pub fields: u32,
    /// Levels below the value itself.
    pub depth: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { string: 64, elements: 64, fields: u32::MAX, depth: 1 }
    }
}

/// Where the bytes of a value are: memory, perhaps fetched already, or bytes put together from registers.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Place {
    /// Address; nil for what is not in memory.
    pub addr: LoadAddr,
    /// Bytes at hand, and where in them the value begins.
    bytes: Option<(Arc<[u8]>, usize)>,
    /// Parts of those bytes that are not there, and why.
    holes: Option<Holes>,
    /// Why there is no value.
    pub missing: Option<Unavailable>,
}

/// Ranges of a value that could not be had, ascending, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Holes(Arc<(Vec<Range<usize>>, Unavailable)>);

impl Holes {
    fn hit(&self, part: &Range<usize>) -> Option<Unavailable> {
        let (ranges, why) = &*self.0;
        ranges.iter().any(|r| r.start < part.end && part.start < r.end).then(|| why.clone())
    }
}

impl Place {
    /// In memory.
    pub fn at(addr: LoadAddr) -> Place {
        Place { addr, ..Place::default() }
    }
    /// Not in memory.
    pub fn bytes(bytes: Arc<[u8]>) -> Place {
        Place { bytes: Some((bytes, 0)), ..Place::default() }
    }
    /// Not in memory, and only in part anywhere.
    pub fn in_part(bytes: Arc<[u8]>, holes: Vec<Range<usize>>, why: Unavailable) -> Place {
        Place { bytes: Some((bytes, 0)), holes: Some(Holes(Arc::new((holes, why)))), ..Place::default() }
    }
    /// In memory, and fetched.
    pub fn fetched(addr: LoadAddr, bytes: Arc<[u8]>, at: usize) -> Place {
        Place { addr, bytes: Some((bytes, at)), ..Place::default() }
    }
    /// Nowhere.
    pub fn missing(why: Unavailable) -> Place {
        Place { missing: Some(why), ..Place::default() }
    }
    /// A part of it.
    pub fn part(&self, off: u64) -> Place {
        Place {
            addr: if self.addr.is_nil() { self.addr } else { self.addr.add(off) },
            bytes: self.bytes.as_ref().map(|(b, at)| (b.clone(), at.saturating_add(off as usize))),
            holes: self.holes.clone(),
            missing: self.missing.clone(),
        }
    }
    /// Is it in memory, so that it has an address and can be assigned to?
    pub fn in_memory(&self) -> bool {
        !self.addr.is_nil()
    }
    /// Exists at all: an address or bytes.
    pub fn exists(&self) -> bool {
        self.in_memory() || self.bytes.is_some()
    }
}

/// A value that nobody has looked at yet.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ValueRef {
    /// Variable, field, index or key as shown.
    pub name: String,
    /// Expression for it in the frame where it was found; empty if there is none.
    pub expression: String,
    /// Type.
    pub ty: Arc<GoType>,
    /// Where.
    pub place: Place,
    /// Facts.
    pub flags: VarFlags,
    /// What was above it hides so much of it, whatever its own name and shape are.
    pub hide: Hide,
}

/// Reads values of one program.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    /// The program's runtime.
    pub rt: &'a GoRuntime,
    /// Its memory.
    pub mem: &'a dyn Memory,
    /// Its types.
    pub dwarf: &'a Dwarf,
}

/// A value that could not be read.
pub type Problem = Unavailable;

pub(super) fn problem(e: &MemoryError) -> Problem {
    match e {
        MemoryError::Unreadable { addr, .. } => Unavailable::Unreadable { addr: *addr },
        e => Unavailable::Other(e.to_string()),
    }
}

/// The words that stand for a value that is not there.
pub fn unavailable_text(u: &Unavailable) -> String {
    match u {
        Unavailable::OptimisedOut { pc, why } if why.is_empty() => format!("<optimised out at {pc}>"),
        Unavailable::OptimisedOut { pc, why } => format!("<optimised out at {pc}: {why}>"),
        Unavailable::Unreadable { addr } => format!("(unreadable could not read memory at {addr})"),
        Unavailable::NoType => "(unreadable no type information)".into(),
        Unavailable::Other(s) => format!("(unreadable {})", crate::base::text::printable_str(s, 200)),
    }
}

impl<'a> Reader<'a> {
    /// A reader; none for a program of which neither DWARF nor its own type descriptors can be read.
    pub fn new(rt: &'a GoRuntime, mem: &'a dyn Memory) -> Option<Reader<'a>> {
        Some(Reader { rt, mem, dwarf: rt.symbols().types()? })
    }

    /// Bytes of a value.
    pub fn read(&self, p: &Place, off: u64, len: usize) -> Result<Vec<u8>, Problem> {
        if let Some(m) = &p.missing {
            return Err(m.clone());
        }
        if let Some((bytes, at)) = &p.bytes
            && let Some(start) = at.checked_add(off as usize)
            && let Some(s) = start.checked_add(len).and_then(|e| bytes.get(start..e))
        {
            if let Some(why) = p.holes.as_ref().and_then(|h| h.hit(&(start..start + len))) {
                return Err(why);
            }
            return Ok(s.to_vec());
        }
        if !p.in_memory() {
            return Err(Unavailable::Other("the value is incomplete".into()));
        }
        self.mem.read_vec(p.addr.add(off), len).map_err(|e| problem(&e))
    }
    /// A word of a value.
    pub fn word(&self, p: &Place, off: u64) -> Result<u64, Problem> {
        self.number(p, off, 8)
    }
    /// An unsigned number of up to eight bytes.
    pub fn number(&self, p: &Place, off: u64, size: u64) -> Result<u64, Problem> {
        let v = self.read(p, off, size.clamp(1, 8) as usize)?;
        let mut b = [0u8; 8];
        b[..v.len()].copy_from_slice(&v);
        Ok(u64::from_le_bytes(b))
    }
    /// A signed number of up to eight bytes.
    pub fn signed(&self, p: &Place, size: u64) -> Result<i64, Problem> {
        let u = self.number(p, 0, size)?;
        let shift = 64 - 8 * size.clamp(1, 8) as u32;
        Ok(((u << shift) as i64) >> shift)
    }
    /// Fetches a value's bytes at once if it is of moderate size.
    pub(super) fn prefetch(&self, p: &Place, len: u64) -> Place {
        const MODERATE: u64 = 64 << 10;
        if p.bytes.is_some() || !p.in_memory() || len == 0 || len > MODERATE {
            return p.clone();
        }
        match self.mem.read_vec(p.addr, len as usize) {
            Ok(b) => Place::fetched(p.addr, b.into(), 0),
            Err(_) => p.clone(),
        }
    }

    /// The value as a row of a tree: everything but a handle.
    pub fn variable(&self, v: &ValueRef, limits: Limits) -> Variable {
        let loaded = self.load(v, limits);
        Variable {
            name: v.name.clone(),
            expression: v.expression.clone(),
            type_name: v.ty.name.clone(),
            kind: var_kind(&v.ty.kind),
            value: print::single_line(&loaded),
            addr: v.place.addr,
            len: loaded.shown_len(),
            cap: loaded.shown_cap(),
            children: match loaded.unreadable.is_some() || loaded.redacted.is_some() {
                true => 0,
                false => self.child_count(v),
            },
            handle: 0,
            flags: VarFlags { redacted: loaded.redacted.is_some(), ..v.flags },
            unavailable: loaded.unreadable,
        }
    }
}

/// Kind as screens group it.
pub fn var_kind(k: &TypeKind) -> VarKind {
    match k {
        TypeKind::Bool => VarKind::Bool,
        TypeKind::Int => VarKind::Int,
        TypeKind::Uint => VarKind::Uint,
        TypeKind::Float => VarKind::Float,
        TypeKind::Complex => VarKind::Complex,
        TypeKind::String => VarKind::String,
        TypeKind::Pointer { .. } => VarKind::Pointer,
        TypeKind::UnsafePointer => VarKind::UnsafePointer,
        TypeKind::Struct { .. } => VarKind::Struct,
        TypeKind::Array { .. } => VarKind::Array,
        TypeKind::Slice { .. } => VarKind::Slice,
        TypeKind::Map { .. } => VarKind::Map,
        TypeKind::Chan { .. } => VarKind::Chan,
        TypeKind::Func => VarKind::Func,
        TypeKind::Interface { .. } => VarKind::Interface,
        TypeKind::Void => VarKind::Other,
    }
}
