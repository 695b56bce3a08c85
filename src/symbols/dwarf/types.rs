//! Go types as DWARF describes them, each read once.

use super::{DESCRIPTORS, Die, DieOff, Dwarf, Walk, go_attr};
use rustc_hash::FxHashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

/// Typedefs followed before a chain is taken for a loop.
const MAX_CHAIN: usize = 16;

/// A struct field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name.
    pub name: String,
    /// Offset in the struct.
    pub offset: u64,
    /// Type.
    pub ty: DieOff,
    /// Embedded: its fields and methods are the struct's too.
    pub embedded: bool,
    /// Its tag (`json:"name"`): from the type's descriptor, which not every type has.
    pub tag: Box<str>,
}

/// What kind of type, with what is needed to take a value apart.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum TypeKind {
    Bool,
    Int,
    Uint,
    Float,
    Complex,
    String,
    Pointer {
        elem: Option<DieOff>,
    },
    UnsafePointer,
    Struct {
        fields: Vec<Field>,
    },
    Array {
        elem: DieOff,
        count: u64,
    },
    Slice {
        elem: DieOff,
    },
    /// `inner` is the runtime's map structure.
    Map {
        key: DieOff,
        elem: DieOff,
        inner: DieOff,
    },
    /// `inner` is the runtime's channel structure.
    Chan {
        elem: DieOff,
        inner: Option<DieOff>,
    },
    Func,
    /// With methods (a table in front) or without.
    Interface {
        methods: bool,
    },
    #[default]
    Void,
}

/// A type.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct GoType {
    /// Its entry.
    pub off: DieOff,
    /// As written: `map[string]*main.T`, with import paths.
    pub name: String,
    /// Size of a value.
    pub size: u64,
    /// Kind and parts.
    pub kind: TypeKind,
}

impl GoType {
    /// Fields of a struct.
    pub fn fields(&self) -> &[Field] {
        match &self.kind {
            TypeKind::Struct { fields } => fields,
            _ => &[],
        }
    }
    /// A field by name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields().iter().find(|f| f.name == name)
    }
}

/// Types and constants that were read already.
#[derive(Default)]
pub(super) struct TypeCache {
    known: RwLock<FxHashMap<DieOff, Arc<GoType>>>,
    constants: OnceLock<FxHashMap<DieOff, Vec<(i64, String)>>>,
}

/// `reflect.Kind` numbers, as `DW_AT_go_kind` has them.
mod kind {
    pub const ARRAY: u64 = 17;
    pub const CHAN: u64 = 18;
    pub const FUNC: u64 = 19;
    pub const INTERFACE: u64 = 20;
    pub const MAP: u64 = 21;
    pub const POINTER: u64 = 22;
    pub const SLICE: u64 = 23;
    pub const STRING: u64 = 24;
    pub const STRUCT: u64 = 25;
    pub const UNSAFE_POINTER: u64 = 26;
}

impl Dwarf {
    /// The type at an entry; typedefs without a kind of their own are followed.
    pub fn go_type(&self, off: DieOff) -> Arc<GoType> {
        if let Some(t) = self.types.known.read().unwrap_or_else(PoisonError::into_inner).get(&off) {
            return t.clone();
        }
        let t = match off.0 >= DESCRIPTORS {
            true => {
                Arc::new(self.all_descriptors().find(|d| d.has(off)).and_then(|d| d.go_type(off)).unwrap_or_default())
            }
            false => Arc::new(self.read_type(off)),
        };
        self.types.known.write().unwrap_or_else(PoisonError::into_inner).insert(off, t.clone());
        t
    }

    /// Size of a type, typedefs followed.
    fn type_size(&self, mut off: DieOff) -> u64 {
        for _ in 0..MAX_CHAIN {
            let Some(d) = self.die(off) else { return 0 };
            if let Some(n) = d.u64(gimli::DW_AT_byte_size) {
                return n;
            }
            match (d.tag(), d.type_ref()) {
                (gimli::DW_TAG_pointer_type | gimli::DW_TAG_subroutine_type, _) => return 8,
                (gimli::DW_TAG_array_type, _) => return self.go_type(off).size,
                (_, Some(next)) => off = next,
                _ => return 0,
            }
        }
        0
    }

    fn read_type(&self, off: DieOff) -> GoType {
        let mut t = GoType { off, ..GoType::default() };
        let Some(d) = self.die(off) else { return t };
        t.name = d.name().unwrap_or("").to_string();
        t.size = self.type_size_shallow(off);
        let go_kind = d.u64(go_attr::KIND).unwrap_or(0);
        let elem_attr = d.reference(go_attr::ELEM);
        let under = d.type_ref();
        t.kind = match (d.tag(), go_kind) {
            (gimli::DW_TAG_typedef, kind::MAP) => match (d.reference(go_attr::KEY), elem_attr, under) {
                (Some(key), Some(elem), Some(inner)) => TypeKind::Map { key, elem, inner: self.pointee(inner) },
                _ => TypeKind::Void,
            },
            (gimli::DW_TAG_typedef, kind::CHAN) => match elem_attr {
                Some(elem) => TypeKind::Chan { elem, inner: under.map(|u| self.pointee(u)) },
                None => TypeKind::Void,
            },
            (gimli::DW_TAG_typedef, kind::INTERFACE) => {
                let inner = under.map(|u| self.resolve(u)).and_then(|u| self.die(u));
                TypeKind::Interface { methods: inner.and_then(|i| i.name()) != Some("runtime.eface") }
            }
            (gimli::DW_TAG_subroutine_type, _) | (_, kind::FUNC) => TypeKind::Func,
            (gimli::DW_TAG_structure_type, kind::STRING) => TypeKind::String,
            (gimli::DW_TAG_structure_type, kind::SLICE) => match elem_attr.or_else(|| self.slice_elem(off)) {
                Some(elem) => TypeKind::Slice { elem },
                None => TypeKind::Void,
            },
            (gimli::DW_TAG_structure_type, kind::STRUCT | 0) => TypeKind::Struct { fields: self.tagged(off, &d) },
            (gimli::DW_TAG_pointer_type, kind::UNSAFE_POINTER) => TypeKind::UnsafePointer,
            (gimli::DW_TAG_pointer_type, _) if t.name == "unsafe.Pointer" => TypeKind::UnsafePointer,
            (gimli::DW_TAG_pointer_type, _) | (_, kind::POINTER) => TypeKind::Pointer { elem: under },
            (gimli::DW_TAG_array_type, _) | (_, kind::ARRAY) => match under {
                Some(elem) => {
                    let mut count = 0;
                    self.children(off, |c| {
                        if c.tag() == gimli::DW_TAG_subrange_type {
                            let upper = c.u64(gimli::DW_AT_upper_bound).map(|u| u.wrapping_add(1));
                            count = c.u64(gimli::DW_AT_count).or(upper).unwrap_or(0);
                        }
                    });
                    if t.size == 0 {
                        t.size = self.type_size(elem).saturating_mul(count);
                    }
                    TypeKind::Array { elem, count }
                }
                None => TypeKind::Void,
            },
            (gimli::DW_TAG_base_type, _) => match d.u64(gimli::DW_AT_encoding).map(|e| gimli::DwAte(e as u8)) {
                Some(gimli::DW_ATE_boolean) => TypeKind::Bool,
                Some(gimli::DW_ATE_signed | gimli::DW_ATE_signed_char) => TypeKind::Int,
                Some(gimli::DW_ATE_unsigned | gimli::DW_ATE_unsigned_char | gimli::DW_ATE_address) => TypeKind::Uint,
                Some(gimli::DW_ATE_float) => TypeKind::Float,
                Some(gimli::DW_ATE_complex_float) => TypeKind::Complex,
                _ => TypeKind::Void,
            },
            (gimli::DW_TAG_typedef | gimli::DW_TAG_const_type | gimli::DW_TAG_volatile_type, _) => {
                match under.filter(|u| *u != off) {
                    Some(u) => {
                        let inner = self.go_type(self.resolve(u));
                        t.size = inner.size;
                        if t.name.is_empty() {
                            t.name = inner.name.clone();
                        }
                        inner.kind.clone()
                    }
                    None => TypeKind::Void,
                }
            }
            _ => TypeKind::Void,
        };
        t
    }

    fn type_size_shallow(&self, off: DieOff) -> u64 {
        match self.die(off) {
            Some(d) if d.tag() == gimli::DW_TAG_array_type => d.u64(gimli::DW_AT_byte_size).unwrap_or(0),
            Some(_) => self.type_size(off),
            None => 0,
        }
    }

    /// Follows typedefs that have no kind of their own.
    pub fn resolve(&self, mut off: DieOff) -> DieOff {
        for _ in 0..MAX_CHAIN {
            let Some(d) = self.die(off) else { break };
            match (d.tag(), d.attr(go_attr::KIND), d.type_ref()) {
                (gimli::DW_TAG_typedef, None, Some(next)) => off = next,
                _ => break,
            }
        }
        off
    }

    fn pointee(&self, off: DieOff) -> DieOff {
        let off = self.resolve(off);
        match self.die(off) {
            Some(d) if d.tag() == gimli::DW_TAG_pointer_type => d.type_ref().map_or(off, |t| self.resolve(t)),
            _ => off,
        }
    }

    fn slice_elem(&self, off: DieOff) -> Option<DieOff> {
        let fields = self.fields(off);
        let array = fields.iter().find(|f| f.name == "array")?;
        self.die(self.resolve(array.ty))?.type_ref()
    }

    /// A struct's fields with their tags, which DWARF does not have.
    fn tagged(&self, off: DieOff, d: &Die<'_>) -> Vec<Field> {
        let mut fields = self.fields(off);
        let descriptor = || {
            // The executable's: DWARF is of it alone.
            let all = self.all_descriptors().next()?;
            all.go_type(all.at_offset(d.u64(go_attr::RUNTIME_TYPE).filter(|o| *o != 0)?)?)
        };
        if let Some(t) = descriptor().filter(|t| t.fields().len() == fields.len()) {
            fields.iter_mut().zip(t.fields()).for_each(|(f, known)| f.tag.clone_from(&known.tag));
        }
        fields
    }

    fn fields(&self, off: DieOff) -> Vec<Field> {
        let mut out = Vec::new();
        self.children(off, |m| {
            if m.tag() == gimli::DW_TAG_member
                && let Some(ty) = m.type_ref()
            {
                out.push(Field {
                    name: m.name().unwrap_or("").to_string(),
                    offset: m.u64(gimli::DW_AT_data_member_location).unwrap_or(0),
                    ty,
                    embedded: m.flag(go_attr::EMBEDDED_FIELD),
                    tag: Box::default(),
                });
            }
        });
        out
    }

    /// A pointer type to `elem`, if the program has one.
    pub fn pointer_to(&self, elem: &GoType) -> Option<DieOff> {
        if elem.off.0 >= DESCRIPTORS {
            return self.all_descriptors().find(|d| d.has(elem.off))?.pointer_to(elem.off);
        }
        self.type_by_name(&format!("*{}", elem.name))
    }

    /// Names of the constants of a named integer type that make up `value`, without the type's package.
    pub fn describe_constant(&self, ty: &GoType, value: i64) -> Option<String> {
        let dot = ty.name.rfind('.')?;
        if ty.name.starts_with("C.") {
            return None;
        }
        let package = &ty.name[..=dot];
        let all = self.types.constants.get_or_init(|| self.constants_by_type());
        let list = all.get(&ty.off)?;
        let short = |n: &str| n.strip_prefix(package).unwrap_or(n).to_string();
        if let Some(c) = list.iter().find(|c| c.0 == value) {
            return Some(short(&c.1));
        }
        let (mut rest, mut names) = (value, Vec::new());
        for (bit, name) in list.iter().filter(|c| (c.0 as u64).is_power_of_two()) {
            if rest & bit != 0 {
                names.push(short(name));
                rest &= !bit;
            }
        }
        (value != 0 && rest == 0).then(|| names.join("|"))
    }

    fn constants_by_type(&self) -> FxHashMap<DieOff, Vec<(i64, String)>> {
        let mut map: FxHashMap<DieOff, Vec<(i64, String)>> = FxHashMap::default();
        for u in self.units().iter().filter(|u| u.go) {
            self.walk(DieOff(u.root), |d| {
                if d.tag() == gimli::DW_TAG_constant
                    && let (Some(ty), Some(v), Some(name)) = (d.type_ref(), d.i64(gimli::DW_AT_const_value), d.name())
                {
                    map.entry(ty).or_default().push((v, name.to_string()));
                }
                if d.depth == 0 { Walk::Into } else { Walk::Over }
            });
        }
        for list in map.values_mut() {
            list.sort_by_key(|c| c.0); // stable: of equal ones the first declared wins
        }
        map
    }
}
