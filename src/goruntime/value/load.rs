//! Reading a value and as much below it as its one-line text needs. The depths are Delve's.

use super::{Limits, Place, Problem, Reader, ValueRef, hide};
use crate::base::LoadAddr;
use crate::base::redact::{Hide, WINDOW};
use crate::model::Unavailable;
use crate::model::tree::UNKNOWN_CAP;
use crate::symbols::dwarf::{DieOff, GoType, TypeKind};
use std::sync::Arc;

/// Values read for one text, whatever the limits say.
const MAX_NODES: usize = 20_000;
/// Arrays in arrays in arrays… are read so deep.
const MAX_NESTING: u32 = 24;
/// Unreadable elements after which an array is given up.
const MAX_ERRORS: usize = 3;
/// Longest string fetched, whatever the limits say.
const MAX_STRING: u64 = 64 << 20;

/// A value that was read.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Field name; empty for elements.
    pub name: String,
    /// Type.
    pub ty: Arc<GoType>,
    /// Where it is (nil if not in memory).
    pub addr: LoadAddr,
    /// It is somewhere, in memory or in registers.
    pub exists: bool,
    /// Where a slice's elements, a map's or channel's structure, or a func's code are.
    pub base: LoadAddr,
    /// Text of a scalar; name of a function; time of a `time.Time`.
    pub value: Vec<u8>,
    /// Length of strings, arrays, slices, maps; number of fields.
    pub len: i64,
    /// Capacity; [`UNKNOWN_CAP`] where only that is not there.
    pub cap: i64,
    /// Elements, fields, key and value by turns, or what a pointer or interface points to.
    pub children: Vec<Loaded>,
    /// Below the depth: only the address is given.
    pub only_addr: bool,
    /// Why there is no value.
    pub unreadable: Option<Problem>,
    /// The interface has no type.
    pub nil_interface: bool,
    /// What is shown in place of what looks like a secret; the value and what is below it are then not here.
    pub redacted: Option<String>,
    /// So much is hidden by what is above it.
    pub hide: Hide,
}

impl Loaded {
    pub(super) fn shown_len(&self) -> Option<u64> {
        match self.ty.kind {
            TypeKind::String
            | TypeKind::Slice { .. }
            | TypeKind::Array { .. }
            | TypeKind::Map { .. }
            | TypeKind::Chan { .. } => u64::try_from(self.len).ok(),
            _ => None,
        }
    }
    pub(super) fn shown_cap(&self) -> Option<u64> {
        match self.ty.kind {
            TypeKind::Slice { .. } | TypeKind::Chan { .. } => u64::try_from(self.cap).ok(),
            _ => None,
        }
    }
}

/// A load under way.
struct Loading<'r, 'a> {
    r: &'r Reader<'a>,
    limits: Limits,
    nodes: usize,
    /// So much the names on the way here hide.
    hide: Hide,
}

impl Reader<'_> {
    /// Reads a value for its text.
    pub fn load(&self, v: &ValueRef, limits: Limits) -> Loaded {
        let mut l = Loading { r: self, limits, nodes: 0, hide: self.hides(v) };
        l.value(&v.place, &v.ty, 0, 0)
    }

    /// Reads a value as if it were `level` levels below another.
    pub fn load_below(&self, v: &ValueRef, limits: Limits, level: u32) -> Loaded {
        let mut l = Loading { r: self, limits, nodes: 0, hide: self.hides(v) };
        l.value(&v.place, &v.ty, level, 0)
    }

    /// What an interface holds: its type and where the value is; `Ok(None)` for a nil interface.
    pub fn interface_data(&self, place: &Place, methods: bool) -> Result<Option<ValueRef>, Problem> {
        let first = LoadAddr(self.word(place, 0)?);
        if first.is_nil() {
            return Ok(None);
        }
        // An itab has its type at 8.
        let rtype = match methods {
            true => self.mem.read_ptr(first.add(8)).map_err(|e| super::problem(&e))?,
            false => first,
        };
        let t = self.rt.runtime_type(self.mem, rtype).ok_or(Unavailable::Unreadable { addr: rtype })?;
        let Some(ty) = self.dwarf_type(rtype) else {
            return Err(Unavailable::Other(format!("no type information for {}", t.name)));
        };
        let place = match t.direct {
            true => place.part(8),
            false => Place::at(LoadAddr(self.word(place, 8)?)),
        };
        Ok(Some(ValueRef { name: "data".into(), ty, place, ..ValueRef::default() }))
    }

    /// The type of a descriptor in the target.
    pub fn dwarf_type(&self, rtype: LoadAddr) -> Option<Arc<GoType>> {
        Some(self.dwarf.go_type(self.descriptor(rtype)?))
    }

    /// Number of the type whose descriptor is at an address.
    pub(super) fn descriptor(&self, rtype: LoadAddr) -> Option<DieOff> {
        self.dwarf.type_by_descriptor(self.rt.type_offset(rtype), self.rt.bias().to_file(rtype))
    }

    /// Name of the function behind a func value, and its code; none for nil.
    pub fn func(&self, place: &Place) -> Result<Option<(String, LoadAddr)>, Problem> {
        let closure = LoadAddr(self.word(place, 0)?);
        if closure.is_nil() {
            return Ok(None);
        }
        let code = self.mem.read_ptr(closure).map_err(|e| super::problem(&e))?;
        let s = self.rt.symbols();
        match s.function_at(self.rt.bias().to_file(code)) {
            Some(f) => Ok(Some((s.function_name(f).to_string(), code))),
            None => Err(Unavailable::Other(format!("could not find function for {code}"))),
        }
    }
}

impl Loading<'_, '_> {
    fn value(&mut self, place: &Place, ty: &Arc<GoType>, level: u32, nesting: u32) -> Loaded {
        let mut out = Loaded {
            ty: ty.clone(),
            addr: place.addr,
            exists: place.exists(),
            unreadable: place.missing.clone(),
            ..Loaded::default()
        };
        if let TypeKind::Struct { fields } = &ty.kind {
            out.len = fields.len() as i64;
        }
        self.nodes += 1;
        if out.unreadable.is_some() || !out.exists {
            return out;
        }
        if self.nodes > MAX_NODES || nesting > MAX_NESTING {
            out.only_addr = true;
            return out;
        }
        let above = self.hide;
        if let Some(x) = self.r.rt.redaction() {
            self.hide = above.max(x.type_name(&ty.name));
            out.hide = self.hide;
        }
        match self.fill(place, ty, level, nesting, &mut out) {
            Err(e) => out.unreadable = Some(e),
            Ok(()) => {
                if let Some(x) = self.r.rt.redaction() {
                    self.r.redact(x, place, &mut out, self.limits);
                }
            }
        }
        self.hide = above;
        out
    }

    fn fill(
        &mut self,
        place: &Place,
        ty: &Arc<GoType>,
        level: u32,
        nesting: u32,
        out: &mut Loaded,
    ) -> Result<(), Problem> {
        let r = self.r;
        match &ty.kind {
            TypeKind::Bool => out.value = (r.number(place, 0, 1)? != 0).to_string().into(),
            TypeKind::Int => out.value = self.described(ty, r.signed(place, ty.size)?).into(),
            TypeKind::Uint => {
                let u = r.number(place, 0, ty.size)?;
                out.value = match i64::try_from(u) {
                    Ok(i) => self.described(ty, i).into(),
                    Err(_) => u.to_string().into(),
                };
            }
            TypeKind::Float => out.value = float(r.number(place, 0, ty.size)?, ty.size).into(),
            TypeKind::Complex => {
                let half = ty.size / 2;
                let re = float(r.number(place, 0, half)?, half);
                let im = float(r.number(place, half, half)?, half);
                out.value = format!("({re} + {im}i)").into();
            }
            TypeKind::String => {
                out.base = LoadAddr(r.word(place, 0)?);
                out.len = r.word(place, 8)? as i64;
                if out.len < 0 {
                    return Err(Unavailable::Other(format!("invalid length: {}", out.len)));
                }
                // What is hidden is found in more than is shown.
                let least = if self.r.rt.redaction().is_some() { WINDOW as u64 } else { 0 };
                let want = (out.len as u64).min(u64::from(self.limits.string).max(least)).min(MAX_STRING);
                if want > 0 {
                    out.value = r.mem.read_vec(out.base, want as usize).map_err(|e| super::problem(&e))?;
                }
            }
            TypeKind::Pointer { elem } => {
                let to = LoadAddr(r.word(place, 0)?);
                let elem = elem.map_or_else(Arc::default, |e| r.dwarf.go_type(e));
                let is_pointer = matches!(elem.kind, TypeKind::Pointer { .. });
                let next = level + u32::from(is_pointer || matches!(elem.kind, TypeKind::Interface { .. }));
                let child = match is_pointer && level > self.limits.depth || elem.kind == TypeKind::Void {
                    true => Loaded { ty: elem, addr: to, exists: !to.is_nil(), only_addr: true, ..Loaded::default() },
                    false => self.value(&Place::at(to), &elem, next, nesting + 1),
                };
                out.children.push(child);
            }
            TypeKind::UnsafePointer => {
                let to = LoadAddr(r.word(place, 0)?);
                out.children.push(Loaded { addr: to, exists: !to.is_nil(), only_addr: true, ..Loaded::default() });
            }
            TypeKind::Struct { fields } => {
                if level <= self.limits.depth {
                    let place = r.prefetch(place, ty.size);
                    let (redaction, above, mut pair) = (r.rt.redaction(), self.hide, Hide::No);
                    for f in fields.iter().take(self.limits.fields as usize) {
                        let t = r.dwarf.go_type(f.ty);
                        self.hide = redaction.map_or(above, |x| above.max(hide::field(x, f, pair)));
                        let mut c = self.value(&place.part(f.offset), &t, level + 1, nesting + 1);
                        c.name = f.name.clone();
                        if redaction.is_some_and(|_| hide::is_key(&c.name)) {
                            pair = hide::key(redaction, &c);
                        }
                        out.children.push(c);
                    }
                    self.hide = above;
                }
                if ty.name == "time.Time" {
                    out.value = super::time::text(r, place, ty).unwrap_or_default().into();
                }
            }
            TypeKind::Array { elem, count } => {
                out.len = (*count).min(i64::MAX as u64) as i64;
                out.base = place.addr;
                self.elements(place.clone(), *elem, out, level, nesting)?;
            }
            TypeKind::Slice { elem } => {
                out.base = LoadAddr(r.word(place, 0)?);
                out.len = r.word(place, 8)? as i64;
                // Optimised code often keeps what it still needs, and that is seldom the capacity.
                out.cap = match r.word(place, 16) {
                    Err(Unavailable::OptimisedOut { .. }) => UNKNOWN_CAP,
                    cap => cap? as i64,
                };
                if out.len < 0 {
                    return Err(Unavailable::Other("Negative array length".into()));
                }
                if out.base.is_nil() && out.len > 0 {
                    return Err(Unavailable::Other("non-zero length array with nil base".into()));
                }
                if !out.base.is_nil() {
                    self.elements(Place::at(out.base), *elem, out, level, nesting)?;
                }
            }
            TypeKind::Map { key, elem, .. } => {
                out.base = LoadAddr(r.word(place, 0)?);
                if out.base.is_nil() {
                    return Ok(());
                }
                out.len = r.map_len(ty, out.base)?.min(i64::MAX as u64) as i64;
                if level > self.limits.depth {
                    return Ok(());
                }
                let (kt, vt) = (r.dwarf.go_type(*key), r.dwarf.go_type(*elem));
                for (k, v) in r.map_entries(ty, out.base, 0, u64::from(self.limits.elements))? {
                    let k = self.value(&k, &kt, level + 1, nesting + 1);
                    let above = self.hide;
                    self.hide = above.max(hide::key(r.rt.redaction(), &k));
                    let v = self.value(&v, &vt, level + 1, nesting + 1);
                    self.hide = above;
                    out.children.push(k);
                    out.children.push(v);
                }
            }
            TypeKind::Chan { .. } => {
                out.base = LoadAddr(r.word(place, 0)?);
                if !out.base.is_nil() {
                    let l = &r.rt.layout().hchan;
                    let word = |o: u64| r.mem.read_u64(out.base.add(o)).map_err(|e| super::problem(&e));
                    let (n, cap) = (word(l.qcount)?, word(l.dataqsiz)?);
                    (out.len, out.cap) = (n as i64, cap as i64);
                }
            }
            TypeKind::Func => {
                if let Some((name, code)) = r.func(place)? {
                    out.value = name.into();
                    out.base = code;
                }
            }
            TypeKind::Interface { methods } => match r.interface_data(place, *methods)? {
                None => out.nil_interface = true,
                Some(data) if level <= self.limits.depth => {
                    out.children.push(self.value(&data.place, &data.ty, level, nesting + 1));
                }
                Some(data) => out.children.push(Loaded {
                    ty: data.ty,
                    addr: data.place.addr,
                    exists: data.place.exists(),
                    only_addr: true,
                    ..Loaded::default()
                }),
            },
            TypeKind::Void => return Err(Unavailable::NoType),
        }
        Ok(())
    }

    fn elements(
        &mut self,
        place: Place,
        elem: crate::symbols::dwarf::DieOff,
        out: &mut Loaded,
        level: u32,
        nesting: u32,
    ) -> Result<(), Problem> {
        let t = self.r.dwarf.go_type(elem);
        let count = (out.len as u64).min(u64::from(self.limits.elements));
        let Some(bytes) = t.size.checked_mul(count) else {
            return Err(Unavailable::Other(format!("bad array base address {}", out.base)));
        };
        let place = self.r.prefetch(&place, bytes);
        let mut errors = 0;
        let above = self.hide;
        for i in 0..count {
            if let Some(before) = out.children.last() {
                self.hide = above.max(hide::next(self.r.rt.redaction(), before));
            }
            let c = self.value(&place.part(i * t.size), &t, level + 1, nesting + 1);
            errors += usize::from(c.unreadable.is_some());
            out.children.push(c);
            if errors > MAX_ERRORS || self.nodes > MAX_NODES {
                break;
            }
        }
        self.hide = above;
        Ok(())
    }

    fn described(&self, ty: &GoType, v: i64) -> String {
        if !ty.name.contains('.') {
            return v.to_string();
        }
        match self.r.dwarf.describe_constant(ty, v) {
            Some(name) => format!("{name} ({v})"),
            None => v.to_string(),
        }
    }
}

/// A float as Go's `FormatFloat(f, 'f', -1, …)` writes it.
pub(super) fn float(bits: u64, size: u64) -> String {
    let special = |f: f64| match f {
        f if f.is_nan() => Some("NaN"),
        f if f == f64::INFINITY => Some("+Inf"),
        f if f == f64::NEG_INFINITY => Some("-Inf"),
        _ => None,
    };
    if size == 4 {
        let f = f32::from_bits(bits as u32);
        return special(f64::from(f)).map_or_else(|| f.to_string(), str::to_string);
    }
    let f = f64::from_bits(bits);
    special(f).map_or_else(|| f.to_string(), str::to_string)
}
