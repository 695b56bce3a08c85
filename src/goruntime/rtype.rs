//! Type descriptors in the target (`internal/abi.Type`): name, kind, size, element; the layout has not changed since 1.21.

use super::GoRuntime;
use crate::base::{Cursor, FileAddr, LoadAddr, Memory};
use crate::symbols::dwarf::{DieOff, Dwarf, go_attr};

/// Bytes of the common part.
const SIZE: usize = 48;
const MAX_NAME: usize = 4096;
/// The name has a `*` in front that does not belong to it.
const TFLAG_EXTRA_STAR: u8 = 2;
const TFLAG_DIRECT: u8 = 32;
const KIND_DIRECT: u8 = 32;

pub use crate::symbols::descriptors::{KIND_MASK, kind};

/// The common part of a descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeType {
    /// Where it is.
    pub addr: LoadAddr,
    /// Size of a value.
    pub size: u64,
    /// `reflect.Kind`.
    pub kind: u8,
    /// An interface holds the value itself, not a pointer to it.
    pub direct: bool,
    /// `*main.T`; package name only, not the path.
    pub name: String,
}

impl GoRuntime {
    /// Reads a descriptor.
    pub fn runtime_type(&self, mem: &dyn Memory, addr: LoadAddr) -> Option<RuntimeType> {
        let b = mem.read_vec(addr, SIZE).ok()?;
        let w = |o: usize| b[o..o + 8].try_into().map_or(0, u64::from_le_bytes);
        let (tflag, raw_kind) = (b[20], b[23]);
        let direct = match self.layout().facts.direct_iface_in_tflag {
            true => tflag & TFLAG_DIRECT != 0,
            false => raw_kind & KIND_DIRECT != 0,
        };
        let off = i32::from_le_bytes([b[40], b[41], b[42], b[43]]);
        let mut name = self.type_text(mem, off).unwrap_or_default();
        if tflag & TFLAG_EXTRA_STAR != 0 && name.starts_with('*') {
            name.remove(0);
        }
        Some(RuntimeType { addr, size: w(0), kind: raw_kind & KIND_MASK, direct, name })
    }

    /// Element of a pointer, slice, array, chan or map descriptor.
    pub fn runtime_elem(&self, mem: &dyn Memory, t: &RuntimeType) -> Option<LoadAddr> {
        let at = if t.kind == kind::MAP { SIZE + 8 } else { SIZE };
        mem.read_ptr(t.addr.add(at as u64)).ok()
    }

    /// Start of the type descriptors in memory.
    pub fn types_base(&self) -> Option<LoadAddr> {
        let m = self.symbols().moduledata()?;
        Some(self.bias().to_load(crate::base::FileAddr(m.types.start)))
    }

    /// A descriptor's place among the program's own, as DWARF records it; none for types made at run time.
    pub fn type_offset(&self, addr: LoadAddr) -> Option<u64> {
        let m = self.symbols().moduledata()?;
        let file = self.bias().to_file(addr).0;
        m.types.contains(&file).then(|| file - m.types.start)
    }

    /// The descriptor of a type of DWARF's; none for types that the program never needs at run time.
    pub fn descriptor(&self, d: &Dwarf, off: DieOff) -> Option<LoadAddr> {
        let at = d.die(off)?.u64(go_attr::RUNTIME_TYPE)?;
        let m = self.symbols().moduledata()?;
        Some(self.bias().to_load(FileAddr(m.types.start.checked_add(at)?)))
    }

    fn type_text(&self, mem: &dyn Memory, off: i32) -> Option<String> {
        let at = self.types_base()?.offset(i64::from(off));
        let head = mem.read_vec(at, 4).ok()?;
        let mut c = Cursor::at(&head, 1);
        let len = (c.uvarint().ok()? as usize).min(MAX_NAME);
        let text = mem.read_vec(at.add(c.pos() as u64), len).ok()?;
        Some(String::from_utf8_lossy(&text).into_owned())
    }
}
