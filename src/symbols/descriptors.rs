//! The runtime's own type descriptors, read from the file: what types a program without DWARF has, by place and by name.
//!
//! Go's compiler writes an `internal/abi.Type` for every type that may come into an interface, be allocated, or be an
//! element, key or field of one that does (go/src/internal/abi/type.go). They are in the range `types..etypes` of
//! moduledata and refer to each other; in position-independent files through relocations. Their layout has not changed
//! since 1.21 but for what follows a map's group type, of which only the first field is used.
//!
//! A type's number is a [`DieOff`] beyond every offset in `.debug_info`, so that readers of values need not know which of the two a
//! type came from. What has no descriptor (the structures behind a map) is made up, under the map's number plus one to six.

use super::dwarf::types::{Field, GoType, TypeKind};
use super::dwarf::{DESCRIPTORS, DieOff};
use super::image::Image;
use super::moduledata::ModuleData;
use super::modules::MAX_MODULES;
use crate::base::mmap::FileBytes;
use crate::base::{Cursor, FileAddr};
use rustc_hash::FxHashMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// Bytes of the common part of a descriptor.
const COMMON: u64 = 48;
/// Offsets in it (`abi.Type`).
mod at {
    pub const SIZE: u64 = 0;
    pub const TFLAG: u64 = 20;
    pub const ALIGN: u64 = 21;
    pub const FIELD_ALIGN: u64 = 22;
    pub const KIND: u64 = 23;
    pub const STR: u64 = 40;
    pub const PTR_TO_THIS: u64 = 44;
}
mod tflag {
    pub const UNCOMMON: u8 = 1;
    pub const EXTRA_STAR: u8 = 2;
    pub const NAMED: u8 = 4;
    /// All that exist.
    pub const ALL: u8 = 63;
}
/// `reflect.Kind` numbers.
pub mod kind {
    #![allow(missing_docs)]
    pub const BOOL: u8 = 1;
    pub const INT: u8 = 2;
    pub const INT64: u8 = 6;
    pub const UINT: u8 = 7;
    pub const UINTPTR: u8 = 12;
    pub const FLOAT32: u8 = 13;
    pub const FLOAT64: u8 = 14;
    pub const COMPLEX64: u8 = 15;
    pub const COMPLEX128: u8 = 16;
    pub const ARRAY: u8 = 17;
    pub const CHAN: u8 = 18;
    pub const FUNC: u8 = 19;
    pub const INTERFACE: u8 = 20;
    pub const MAP: u8 = 21;
    pub const POINTER: u8 = 22;
    pub const SLICE: u8 = 23;
    pub const STRING: u8 = 24;
    pub const STRUCT: u8 = 25;
    pub const UNSAFE_POINTER: u8 = 26;
}
/// Up to 1.25 a bit beside the kind says that interfaces hold the value itself.
pub const KIND_MASK: u8 = 31;

const MAX_NAME: usize = 4096;
const MAX_FIELDS: u64 = 1 << 16;
/// Types in types in types whose names are put together; a map doubles the work at each level.
const MAX_NESTING: u32 = 8;
/// Largest range of descriptors: their offsets share a number's 32 bits with the DWARF offsets.
const MAX_RANGE: u64 = 0x1000_0000;
/// Room for the types of one plugin, whose numbers follow the executable's.
const MODULE_RANGE: u64 = 0x0200_0000;

/// Numbers of basic types, which need no descriptor: this plus `reflect.Kind`.
const BASICS: u32 = u32::MAX - 0xff;
/// Not types but arguments without names: this plus their place in the list.
pub const ARGUMENTS: u32 = BASICS + 0x40;
/// Stands for the entry of a function that DWARF does not describe: its arguments are known as words.
pub const WORDS_ONLY: DieOff = DieOff(u32::MAX);
/// Stands for the entry of an inlined call that DWARF does not describe: nothing is known of its variables.
pub const NOTHING: DieOff = DieOff(u32::MAX - 1);
const BASIC_NAMES: [(&str, u64); 15] = [
    ("bool", 1),
    ("int", 8),
    ("int8", 1),
    ("int16", 2),
    ("int32", 4),
    ("int64", 8),
    ("uint", 8),
    ("uint8", 1),
    ("uint16", 2),
    ("uint32", 4),
    ("uint64", 8),
    ("uintptr", 8),
    ("float32", 4),
    ("float64", 8),
    ("complex64", 8),
];

/// What is made up for a map, by what is added to its number.
mod made {
    /// `runtime.hmap` or `maps.Map`.
    pub const HEADER: u32 = 1;
    /// `**table`.
    pub const DIRECTORY: u32 = 2;
    /// `*table`.
    pub const TABLE_POINTER: u32 = 3;
    pub const TABLE: u32 = 4;
    pub const GROUPS: u32 = 5;
    /// `*bucket` or `*group`.
    pub const BUCKET_POINTER: u32 = 6;
    /// Of any type: the pointer to it, where the program has none.
    pub const POINTER: u32 = 7;
}

/// The descriptors of one file.
pub struct Descriptors {
    bytes: FileBytes,
    /// Where they are in the file.
    range: Range<usize>,
    /// Address of the first.
    start: FileAddr,
    /// Words that the loader fills in, by offset from `start`.
    relocated: Vec<(u64, u64)>,
    /// Number of the first.
    base: u32,
    /// What is to be taken from a word that leads somewhere, to get an address of the executable's file.
    bias: u64,
    /// Of a plugin: the executable's own descriptors, to which it refers for types and names that both have.
    executable: Option<Arc<Descriptors>>,
    names: OnceLock<FxHashMap<String, DieOff>>,
    packages: OnceLock<Vec<String>>,
}

/// The unsigned integer type of this many bytes, which every program has.
pub fn word_type(size: u64) -> DieOff {
    let kind = match size {
        1 => 8,
        2 => 9,
        4 => 10,
        _ => 11,
    };
    DieOff(BASICS + kind)
}

fn basic(n: DieOff) -> Option<GoType> {
    let k = n.0.checked_sub(BASICS)?;
    if k == u32::from(kind::STRING) {
        return Some(GoType { off: n, name: "string".into(), size: 16, kind: TypeKind::String });
    }
    let (name, size) = BASIC_NAMES.get(k.checked_sub(1)? as usize)?;
    Some(GoType { off: n, name: (*name).into(), size: *size, kind: scalar(k as u8)? })
}

/// `string`.
pub fn string_type() -> DieOff {
    DieOff(BASICS + u32::from(kind::STRING))
}

fn scalar(k: u8) -> Option<TypeKind> {
    Some(match k {
        kind::BOOL => TypeKind::Bool,
        kind::INT..=kind::INT64 => TypeKind::Int,
        kind::UINT..=kind::UINTPTR => TypeKind::Uint,
        kind::FLOAT32 | kind::FLOAT64 => TypeKind::Float,
        kind::COMPLEX64 | kind::COMPLEX128 => TypeKind::Complex,
        kind::STRING => TypeKind::String,
        kind::UNSAFE_POINTER => TypeKind::UnsafePointer,
        kind::FUNC => TypeKind::Func,
        _ => return None,
    })
}

impl Descriptors {
    /// Those of a file; none if it has no moduledata, or they are not in the file.
    pub fn new(image: &Image, m: &ModuleData) -> Option<Descriptors> {
        let len = m.types.end.checked_sub(m.types.start).filter(|n| *n > 0 && *n < MAX_RANGE)?;
        let (off, left) = image.file_offset(FileAddr(m.types.start))?;
        let len = (len as usize).min(left);
        let mut relocated: Vec<(u64, u64)> = match image.is_pie() {
            true => {
                let near = image.relocations().filter(|r| m.types.contains(&r.0.0));
                near.map(|r| (r.0.0 - m.types.start, r.1)).collect()
            }
            false => Vec::new(),
        };
        relocated.sort_unstable();
        let bytes = image.bytes().clone();
        Some(Descriptors {
            bytes,
            range: off..off + len,
            start: FileAddr(m.types.start),
            relocated,
            base: DESCRIPTORS,
            bias: 0,
            executable: None,
            names: OnceLock::new(),
            packages: OnceLock::new(),
        })
    }

    /// Those of plugin number `n` as they are in memory, from `start` (an address of the executable's file) on: what they refer to is decided
    /// when it is loaded. `bias` is where the executable was loaded.
    pub fn of_module(
        n: usize,
        bytes: Vec<u8>,
        start: FileAddr,
        bias: u64,
        executable: Option<Arc<Descriptors>>,
    ) -> Option<Descriptors> {
        if bytes.len() as u64 >= MODULE_RANGE || n >= MAX_MODULES {
            return None;
        }
        Some(Descriptors {
            range: 0..bytes.len(),
            bytes: FileBytes::from_vec(bytes),
            start,
            relocated: Vec::new(),
            base: DESCRIPTORS + (MAX_RANGE + n as u64 * MODULE_RANGE) as u32,
            bias,
            executable,
            names: OnceLock::new(),
            packages: OnceLock::new(),
        })
    }

    /// Is this the number of one of these types, or of a basic one?
    pub fn has(&self, n: DieOff) -> bool {
        n.0 >= BASICS || self.off_of(n).is_some()
    }

    /// Number of the type whose descriptor is at an address.
    pub fn at_address(&self, a: FileAddr) -> Option<DieOff> {
        self.at_offset(a.0.checked_sub(self.start.0)?)
    }

    fn off_of(&self, n: DieOff) -> Option<(u64, u32)> {
        let n = n.0.checked_sub(self.base).filter(|o| (*o as usize) < self.range.len())?;
        Some((u64::from(n & !7), n & 7))
    }

    /// Number of the type whose descriptor is so many bytes behind the first.
    pub fn at_offset(&self, off: u64) -> Option<DieOff> {
        let ok = off.is_multiple_of(8) && off + COMMON <= self.range.len() as u64;
        (ok && self.looks_like_one(off)).then(|| DieOff(self.base + off as u32))
    }

    /// The pointer type to a type of ours.
    pub fn pointer_to(&self, n: DieOff) -> Option<DieOff> {
        let (off, 0) = self.off_of(n)? else { return None };
        let this = self.i32(off + at::PTR_TO_THIS)?;
        match u64::try_from(this).ok().filter(|o| *o != 0).and_then(|o| self.at_offset(o)) {
            Some(p) => Some(p),
            None => Some(DieOff(n.0 + made::POINTER)),
        }
    }

    /// A type by its full name: `example.com/pkg.T`, `map[string]int`.
    pub fn by_name(&self, name: &str) -> Option<DieOff> {
        self.by_names().get(name).copied()
    }
    /// All names.
    pub fn names(&self) -> impl Iterator<Item = (&str, DieOff)> {
        self.by_names().iter().map(|(n, o)| (n.as_str(), *o))
    }

    /// Import paths of the packages that have types here, sorted.
    pub fn packages(&self) -> &[String] {
        self.packages.get_or_init(|| {
            let path = |name: &str| {
                let bare = name.find('[').map_or(name, |i| &name[..i]);
                let named = bare.starts_with(|c: char| c.is_alphanumeric()) && !bare.contains([' ', '(', '{']);
                Some(bare[..bare.rfind('.').filter(|_| named)?].to_string())
            };
            let mut all: Vec<String> = self.names().filter_map(|(n, _)| path(n)).collect();
            all.sort_unstable();
            all.dedup();
            all
        })
    }

    fn by_names(&self) -> &FxHashMap<String, DieOff> {
        self.names.get_or_init(|| {
            let mut map = FxHashMap::default();
            for off in (0..(self.range.len() as u64).saturating_sub(COMMON)).step_by(8) {
                if self.looks_like_one(off) {
                    map.entry(self.name(off, 0)).or_insert(DieOff(self.base + off as u32));
                }
            }
            for k in 1..=BASIC_NAMES.len() as u32 {
                map.entry(BASIC_NAMES[k as usize - 1].0.into()).or_insert(DieOff(BASICS + k));
            }
            map.entry("string".into()).or_insert_with(string_type);
            map
        })
    }

    /// Nothing lists all descriptors in every release, so each aligned place is tried: flags, alignment, kind and the
    /// beginning of the name must fit together.
    fn looks_like_one(&self, off: u64) -> bool {
        let byte = |o| self.slice(off + o, 1).map_or(0, |b| b[0]);
        let flags = byte(at::TFLAG);
        let align = byte(at::ALIGN);
        let k = byte(at::KIND) & KIND_MASK;
        if flags & !tflag::ALL != 0
            || align != byte(at::FIELD_ALIGN)
            || !align.is_power_of_two()
            || align > 64
            || !(kind::BOOL..=kind::UNSAFE_POINTER).contains(&k)
        {
            return false;
        }
        let Some(text) = self.text(off, flags) else { return false };
        if flags & tflag::NAMED != 0 {
            return text.chars().all(|c| !c.is_control()) && !text.is_empty();
        }
        // Types of the compiler's own: buckets and groups of maps, and what is in them.
        if text.starts_with("noalg.") || text.starts_with("map.") {
            return matches!(k, kind::ARRAY | kind::STRUCT);
        }
        let begins = match k {
            kind::POINTER => "*",
            kind::SLICE | kind::ARRAY => "[",
            kind::MAP => "map[",
            kind::FUNC => "func(",
            kind::STRUCT => "struct {",
            kind::INTERFACE => "interface {",
            kind::CHAN => return text.starts_with("chan") || text.starts_with("<-chan "),
            _ => return false,
        };
        text.starts_with(begins)
    }

    fn slice(&self, off: u64, len: usize) -> Option<&[u8]> {
        let from = self.range.start.checked_add(usize::try_from(off).ok()?)?;
        let to = from.checked_add(len).filter(|e| *e <= self.range.end)?;
        self.bytes.get(from..to)
    }
    fn i32(&self, off: u64) -> Option<i32> {
        Some(i32::from_le_bytes(self.slice(off, 4)?.try_into().ok()?))
    }
    fn word(&self, off: u64) -> Option<u64> {
        if let Ok(i) = self.relocated.binary_search_by_key(&off, |r| r.0) {
            return Some(self.relocated[i].1);
        }
        Some(u64::from_le_bytes(self.slice(off, 8)?.try_into().ok()?))
    }
    /// Where in the range the word at `off` leads to.
    fn pointer(&self, off: u64) -> Option<u64> {
        let to = self.word(off)?.wrapping_sub(self.bias).checked_sub(self.start.0)?;
        (to < self.range.len() as u64).then_some(to)
    }
    /// Number of the type that the word at `off` leads to; of nothing if it leads out of the range.
    fn leads(&self, off: u64) -> DieOff {
        let elsewhere = || {
            let (other, at) = self.outside(off)?;
            other.at_offset(at)
        };
        self.pointer(off).and_then(|o| self.at_offset(o)).or_else(elsewhere).unwrap_or_default()
    }
    /// Where in the executable's descriptors the word at `off` leads to.
    fn outside(&self, off: u64) -> Option<(&Descriptors, u64)> {
        let other = self.executable.as_deref()?;
        let to = self.word(off)?.wrapping_sub(self.bias).checked_sub(other.start.0)?;
        (to < other.range.len() as u64).then_some((other, to))
    }
    /// Whose descriptors, and where in them, the word at `off` leads to.
    fn anywhere(&self, off: u64) -> Option<(&Descriptors, u64)> {
        self.pointer(off).map(|o| (self, o)).or_else(|| self.outside(off))
    }
    fn kind(&self, off: u64) -> u8 {
        self.slice(off + at::KIND, 1).map_or(0, |b| b[0] & KIND_MASK)
    }

    /// An `abi.Name`: flags, length, text; the text, and its flags.
    fn name_at(&self, off: u64) -> Option<(&str, u8)> {
        let head = self.slice(off, 1)?[0];
        let len_bytes = (1..=3).rev().find_map(|n| self.slice(off + 1, n))?;
        let mut c = Cursor::at(len_bytes, 0);
        let len = usize::try_from(c.uvarint().ok()?).ok().filter(|n| *n <= MAX_NAME)?;
        let text = self.slice(off + 1 + c.pos() as u64, len)?;
        Some((std::str::from_utf8(text).ok()?, head))
    }

    /// The tag behind a field's name.
    fn tag_at(&self, off: u64) -> Option<&str> {
        const TAGGED: u8 = 2;
        if self.slice(off, 1)?[0] & TAGGED == 0 {
            return None;
        }
        let text = |off: u64| {
            let len_bytes = (1..=3).rev().find_map(|n| self.slice(off, n))?;
            let mut c = Cursor::at(len_bytes, 0);
            let len = usize::try_from(c.uvarint().ok()?).ok().filter(|n| *n <= MAX_NAME)?;
            Some((off + c.pos() as u64, len))
        };
        let (name, len) = text(off + 1)?;
        let (tag, len) = text(name + len as u64)?;
        std::str::from_utf8(self.slice(tag, len)?).ok()
    }

    /// A descriptor's own words for its type: with package names where DWARF has paths.
    fn text(&self, off: u64, flags: u8) -> Option<&str> {
        let at = u64::try_from(self.i32(off + at::STR)?).ok().filter(|o| *o != 0)?;
        let (text, _) = self.name_at(at)?;
        Some(if flags & tflag::EXTRA_STAR != 0 { text.strip_prefix('*')? } else { text })
    }

    /// Import path of a named type's package; none for basic types.
    fn package(&self, off: u64) -> Option<&str> {
        let at = off
            + match self.kind(off) {
                kind::STRUCT | kind::INTERFACE => 80,
                kind::POINTER | kind::FUNC | kind::SLICE => 56,
                kind::ARRAY => 72,
                kind::CHAN => 64,
                kind::MAP => self.map_size(off)?,
                _ => COMMON,
            };
        let name = u64::try_from(self.i32(at)?).ok().filter(|o| *o != 0)?;
        self.name_at(name).map(|n| n.0)
    }

    /// Size of a map's descriptor, by what it holds: buckets; groups with the place of the element in a slot; groups with four strides.
    fn map_size(&self, off: u64) -> Option<u64> {
        if !self.has_groups(off) {
            return Some(88);
        }
        let w = |o: u64| self.word(off + o);
        let (group, keys, elems, stride) = (w(80)?, w(88)?, w(104)?, w(112)?);
        // Keys begin behind the eight control bytes, elements behind them, all inside the group.
        Some(if keys == 8 && (8..=group).contains(&elems) && stride < group { 136 } else { 112 })
    }

    fn has_groups(&self, off: u64) -> bool {
        self.anywhere(off + 64).is_some_and(|(d, g)| d.fields(g).first().is_some_and(|f| f.name == "ctrl"))
    }

    /// The name as DWARF has it: with the package's path.
    fn name(&self, off: u64, nesting: u32) -> String {
        let flags = self.slice(off + at::TFLAG, 1).map_or(0, |b| b[0]);
        let text = self.text(off, flags).unwrap_or_default();
        if nesting > MAX_NESTING {
            return text.to_string();
        }
        if flags & tflag::NAMED != 0 {
            let bare = text.find('[').map_or(text, |i| &text[..i]);
            return match (flags & tflag::UNCOMMON != 0).then(|| self.package(off)).flatten().zip(bare.find('.')) {
                Some((path, dot)) => format!("{path}{}", &text[dot..]),
                None => text.to_string(),
            };
        }
        let part = |at: u64| self.anywhere(off + at).map_or_else(|| "?".into(), |(d, o)| d.name(o, nesting + 1));
        match self.kind(off) {
            kind::POINTER => format!("*{}", part(COMMON)),
            kind::SLICE => format!("[]{}", part(COMMON)),
            kind::ARRAY => format!("[{}]{}", self.word(off + 64).unwrap_or(0), part(COMMON)),
            kind::MAP => format!("map[{}]{}", part(COMMON), part(56)),
            kind::CHAN => {
                let (dir, elem) = (self.word(off + 56).unwrap_or(3), part(COMMON));
                match (dir, elem.starts_with("<-")) {
                    (1, _) => format!("<-chan {elem}"),
                    (2, _) => format!("chan<- {elem}"),
                    (_, true) => format!("chan ({elem})"),
                    _ => format!("chan {elem}"),
                }
            }
            _ => text.to_string(),
        }
    }

    fn fields(&self, off: u64) -> Vec<Field> {
        const EMBEDDED: u8 = 8;
        let read = || -> Option<Vec<Field>> {
            let n = self.word(off + 64)?.min(MAX_FIELDS);
            let first = match n {
                0 => 0,
                _ => self.pointer(off + 56)?,
            };
            let field = |i| {
                let f = first + i * 24;
                let (names, at) = self.anywhere(f)?;
                let (name, flags) = names.name_at(at)?;
                let (offset, ty) = (self.word(f + 16)?, self.leads(f + 8));
                let tag = names.tag_at(at).unwrap_or_default().into();
                Some(Field { name: name.to_string(), offset, ty, embedded: flags & EMBEDDED != 0, tag })
            };
            (0..n).map(field).collect()
        };
        read().unwrap_or_default()
    }

    /// The type of a number.
    pub fn go_type(&self, n: DieOff) -> Option<GoType> {
        if let Some(t) = basic(n) {
            return Some(t);
        }
        let (off, part) = self.off_of(n)?;
        if part != 0 {
            return self.made_up(n, off, part);
        }
        let k = self.kind(off);
        let kind = match k {
            kind::ARRAY => TypeKind::Array { elem: self.leads(off + COMMON), count: self.word(off + 64)? },
            kind::SLICE => TypeKind::Slice { elem: self.leads(off + COMMON) },
            kind::POINTER => TypeKind::Pointer { elem: Some(self.leads(off + COMMON)) },
            kind::CHAN => TypeKind::Chan { elem: self.leads(off + COMMON), inner: None },
            kind::INTERFACE => TypeKind::Interface { methods: self.word(off + 64)? != 0 },
            kind::STRUCT => TypeKind::Struct { fields: self.fields(off) },
            kind::MAP => TypeKind::Map {
                key: self.leads(off + COMMON),
                elem: self.leads(off + 56),
                inner: DieOff(n.0 + made::HEADER),
            },
            k => scalar(k)?,
        };
        Some(GoType { off: n, name: self.name(off, 0), size: self.word(off + at::SIZE)?, kind })
    }

    /// The structures behind a map (go/src/runtime/map.go up to 1.23, internal/runtime/maps since), which programs need not have
    /// descriptors of. Only the fields that are read.
    fn made_up(&self, n: DieOff, off: u64, part: u32) -> Option<GoType> {
        let own = |p: u32| DieOff(n.0 - part + p);
        let field =
            |name: &str, offset, ty| Field { name: name.into(), offset, ty, embedded: false, tag: Box::default() };
        let word = word_type(8);
        let pointer = |name: &str, elem| (name.to_string(), 8, TypeKind::Pointer { elem: Some(elem) });
        let groups = self.has_groups(off);
        let (name, size, kind) = match part {
            made::HEADER if groups => {
                let fields =
                    vec![field("used", 0, word), field("dirPtr", 16, own(made::DIRECTORY)), field("dirLen", 24, word)];
                ("internal/runtime/maps.Map".into(), 48, TypeKind::Struct { fields })
            }
            made::HEADER => {
                let fields = vec![
                    field("count", 0, word),
                    field("flags", 8, word_type(1)),
                    field("B", 9, word_type(1)),
                    field("buckets", 16, own(made::BUCKET_POINTER)),
                    field("oldbuckets", 24, own(made::BUCKET_POINTER)),
                ];
                ("runtime.hmap".into(), 48, TypeKind::Struct { fields })
            }
            made::DIRECTORY => pointer("**internal/runtime/maps.table", own(made::TABLE_POINTER)),
            made::TABLE_POINTER => pointer("*internal/runtime/maps.table", own(made::TABLE)),
            made::TABLE => {
                let fields = vec![field("groups", 16, own(made::GROUPS))];
                ("internal/runtime/maps.table".into(), 32, TypeKind::Struct { fields })
            }
            made::GROUPS => {
                let fields = vec![field("data", 0, own(made::BUCKET_POINTER)), field("lengthMask", 8, word)];
                ("internal/runtime/maps.groupsReference".into(), 16, TypeKind::Struct { fields })
            }
            made::BUCKET_POINTER => pointer("*group", self.leads(off + 64)),
            _ => pointer(&format!("*{}", self.name(off, 0)), own(0)),
        };
        Some(GoType { off: n, name, size, kind })
    }
}
