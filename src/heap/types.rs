//! Types of heap objects, by the pointers that lead to them: a pointer's type says what it points to, an interface carries it, and
//! objects over 512 bytes have it in front (from 1.22 on). Needs DWARF; without it only the last two are known, by the runtime's names.

use crate::base::LoadAddr;
use crate::goruntime::value::Reader;
use crate::symbols::dwarf::{DieOff, GoType, TypeKind};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Number of a type; 0 is unknown.
pub type TypeId = u32;
/// Nested structs and arrays followed.
const DEPTH: u32 = 12;
/// Elements of an array that are laid out one by one.
const MAX_ELEMS: u64 = 1024;

/// What a word of a value leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leads {
    /// To one or more values of a type.
    To(TypeId),
    /// The data word of an interface: its dynamic type stands in the word before; `methods`: through a table.
    Dynamic {
        /// With a method table in front.
        methods: bool,
    },
}

/// A type with its pointer words.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// Bytes of a value.
    pub size: u64,
    /// By offset.
    words: FxHashMap<u64, Leads>,
    ty: Option<Arc<GoType>>,
}

/// Types met so far.
pub struct Types<'a> {
    reader: Option<Reader<'a>>,
    all: Vec<Known>,
    by_die: FxHashMap<DieOff, TypeId>,
    by_runtime: FxHashMap<LoadAddr, TypeId>,
    by_name: FxHashMap<String, TypeId>,
}

impl<'a> Types<'a> {
    /// None yet.
    pub fn new(reader: Option<Reader<'a>>) -> Types<'a> {
        let unknown = Known { name: String::new(), size: 0, words: FxHashMap::default(), ty: None };
        Types {
            reader,
            all: vec![unknown],
            by_die: FxHashMap::default(),
            by_runtime: FxHashMap::default(),
            by_name: FxHashMap::default(),
        }
    }

    /// Facts about a type.
    pub fn get(&self, id: TypeId) -> &Known {
        &self.all[if (id as usize) < self.all.len() { id as usize } else { 0 }]
    }

    /// The type of a descriptor in the target.
    pub fn runtime(&mut self, at: LoadAddr, name: impl Fn() -> Option<String>) -> TypeId {
        if let Some(id) = self.by_runtime.get(&at) {
            return *id;
        }
        let dwarf = self.reader.and_then(|r| r.dwarf_type(at));
        let id = match dwarf {
            Some(t) => self.of(&t),
            None => name().map_or(0, |n| self.named(&n)),
        };
        self.by_runtime.insert(at, id);
        id
    }

    /// A type of which only the name is known.
    fn named(&mut self, name: &str) -> TypeId {
        if let Some(id) = self.by_name.get(name) {
            return *id;
        }
        let id = self.all.len() as TypeId;
        self.all.push(Known { name: name.to_string(), size: 0, words: FxHashMap::default(), ty: None });
        self.by_name.insert(name.to_string(), id);
        id
    }

    /// A DWARF type.
    pub fn of(&mut self, t: &Arc<GoType>) -> TypeId {
        if let Some(id) = self.by_die.get(&t.off) {
            return *id;
        }
        let id = self.all.len() as TypeId;
        self.all.push(Known { name: t.name.clone(), size: t.size, words: FxHashMap::default(), ty: Some(t.clone()) });
        self.by_die.insert(t.off, id);
        let mut words = FxHashMap::default();
        self.lay_out(t, 0, 0, &mut words);
        self.all[id as usize].words = words;
        id
    }

    fn die(&mut self, off: DieOff) -> TypeId {
        match self.reader {
            Some(r) => {
                let t = r.dwarf.go_type(off);
                self.of(&t)
            }
            None => 0,
        }
    }

    fn lay_out(&mut self, t: &Arc<GoType>, at: u64, depth: u32, out: &mut FxHashMap<u64, Leads>) {
        let Some(r) = self.reader.filter(|_| depth < DEPTH) else { return };
        match &t.kind {
            TypeKind::Pointer { elem: Some(e) } | TypeKind::Slice { elem: e } => {
                let id = self.die(*e);
                out.insert(at, Leads::To(id));
            }
            TypeKind::String => {
                let id = self.named("string data");
                out.insert(at, Leads::To(id));
            }
            TypeKind::Map { inner, .. } => {
                let id = self.die(*inner);
                out.insert(at, Leads::To(id));
            }
            TypeKind::Chan { inner: Some(i), .. } => {
                let id = self.die(*i);
                out.insert(at, Leads::To(id));
            }
            TypeKind::Interface { methods } => {
                out.insert(at + 8, Leads::Dynamic { methods: *methods });
            }
            TypeKind::Func => {
                let id = self.named("func value");
                out.insert(at, Leads::To(id));
            }
            TypeKind::Struct { fields } => {
                for f in fields {
                    let ft = r.dwarf.go_type(f.ty);
                    self.lay_out(&ft, at + f.offset, depth + 1, out);
                }
            }
            TypeKind::Array { elem, count } => {
                let et = r.dwarf.go_type(*elem);
                for i in 0..(*count).min(MAX_ELEMS) {
                    self.lay_out(&et, at + i * et.size, depth + 1, out);
                }
            }
            _ => {}
        }
    }

    /// What the word at an offset of an object leads to; objects may hold several values.
    pub fn leads(&self, id: TypeId, offset: u64) -> Option<&Leads> {
        let k = self.get(id);
        let off = if k.size > 0 { offset % k.size } else { offset };
        k.words.get(&off)
    }

    /// Path of fields at an offset: `.items[3].name`.
    pub fn field(&self, id: TypeId, offset: u64) -> Option<String> {
        let k = self.get(id);
        let (r, t) = (self.reader?, k.ty.clone()?);
        let mut text = String::new();
        let (mut off, mut t) = (offset, t);
        if k.size > 0 && off >= k.size {
            text += &format!("[{}]", off / k.size);
            off %= k.size;
        }
        for _ in 0..DEPTH {
            let next = match &t.kind {
                TypeKind::Struct { fields } => {
                    let f = fields.iter().rev().find(|f| f.offset <= off)?;
                    text += &format!(".{}", f.name);
                    off -= f.offset;
                    r.dwarf.go_type(f.ty)
                }
                TypeKind::Array { elem, .. } => {
                    let e = r.dwarf.go_type(*elem);
                    text += &format!("[{}]", off / e.size.max(1));
                    off %= e.size.max(1);
                    e
                }
                _ => break,
            };
            t = next;
        }
        Some(text)
    }
}
