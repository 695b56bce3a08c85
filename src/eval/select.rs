//! Fields, elements, slices, type assertions, dereferences.

use super::constant::Const;
use super::error::{EvalError, other};
use super::ops;
use super::run::EvalValue;
use crate::base::LoadAddr;
use crate::goruntime::value::map::MapKey;
use crate::goruntime::value::{Place, Reader, ValueRef};
use crate::symbols::dwarf::{GoType, TypeKind};
use std::collections::VecDeque;
use std::sync::Arc;

/// Embedded structs looked through for a promoted field.
const MAX_EMBEDDED: usize = 256;

/// What a pointer points to.
pub(super) fn deref(r: &Reader<'_>, v: &ValueRef, text: &str) -> Result<ValueRef, EvalError> {
    let TypeKind::Pointer { elem: Some(e) } = v.ty.kind else {
        return other(format!("expression \"{text}\" ({}) can not be dereferenced", v.ty.name));
    };
    let to = LoadAddr(r.word(&v.place, 0)?);
    if to.is_nil() {
        return other("nil pointer dereference");
    }
    Ok(ValueRef { name: v.name.clone(), ty: r.dwarf.go_type(e), place: Place::at(to), ..ValueRef::default() })
}

fn part(r: &Reader<'_>, v: &ValueRef, f: &crate::symbols::dwarf::types::Field) -> ValueRef {
    let (ty, place) = (r.dwarf.go_type(f.ty), v.place.part(f.offset));
    ValueRef { name: f.name.clone(), ty, place, hide: v.hide.max(r.tag_hides(f)), ..ValueRef::default() }
}

/// `v.name`, through pointers, interfaces and embedded fields.
pub(super) fn field(r: &Reader<'_>, v: &ValueRef, name: &str, text: &str) -> Result<ValueRef, EvalError> {
    let mut v = v.clone();
    for _ in 0..2 {
        match &v.ty.kind {
            TypeKind::Pointer { .. } => {
                if r.word(&v.place, 0)? == 0 {
                    return Err(EvalError::IsNil(text.to_string()));
                }
                v = deref(r, &v, text)?;
            }
            TypeKind::Interface { methods } => {
                v = r.interface_data(&v.place, *methods)?.ok_or_else(|| EvalError::IsNil(text.to_string()))?;
            }
            _ => break,
        }
    }
    if v.ty.kind == TypeKind::Func {
        let captured = r.children(&v, 0, 1000)?;
        let hit = captured.into_iter().find(|c| c.name == name);
        return hit.ok_or_else(|| EvalError::NoMember(text.into(), name.into()));
    }
    if !matches!(v.ty.kind, TypeKind::Struct { .. }) {
        return Err(EvalError::NoMember(format!("{text} (type {})", v.ty.name), name.into()));
    }
    let mut queue = VecDeque::from([v]);
    let mut seen = 0;
    while let Some(s) = queue.pop_front() {
        if let Some(f) = s.ty.field(name) {
            return Ok(part(r, &s, f));
        }
        seen += 1;
        if seen > MAX_EMBEDDED {
            break;
        }
        for f in s.ty.fields().iter().filter(|f| f.embedded) {
            let inner = part(r, &s, f);
            match &inner.ty.kind {
                TypeKind::Struct { .. } => queue.push_back(inner),
                TypeKind::Pointer { .. } => queue.extend(deref(r, &inner, &f.name)),
                _ => {}
            }
        }
    }
    Err(EvalError::NoMember(text.into(), name.into()))
}

fn index_number(i: &EvalValue, r: &Reader<'_>, text: &str) -> Result<i128, EvalError> {
    match ops::constant(r, i)? {
        Some((Const::Int(n), _)) => Ok(n),
        Some((Const::Float(f), None)) if f.fract() == 0.0 => Ok(f as i128),
        _ => other(format!("can not convert \"{text}\" to int")),
    }
}

/// `v[i]`.
pub(super) fn index(
    r: &Reader<'_>,
    v: &EvalValue,
    i: &EvalValue,
    text: &str,
    index_text: &str,
) -> Result<EvalValue, EvalError> {
    let out_of_bounds = || other("index out of bounds");
    let byte = |b: u8| {
        let t = super::types::lookup(r.dwarf, "uint8", "");
        EvalValue::Const(Const::Int(i128::from(b)), t)
    };
    let v = match v {
        EvalValue::Ref(v) => v,
        EvalValue::Const(Const::Str(s), _) => {
            let n = usize::try_from(index_number(i, r, index_text)?).ok();
            return n.and_then(|n| s.get(n)).map_or_else(out_of_bounds, |b| Ok(byte(*b)));
        }
        _ => return other(format!("expression \"{text}\" does not support indexing")),
    };
    let mut v = v.clone();
    if let TypeKind::Pointer { elem: Some(e) } = v.ty.kind
        && matches!(r.dwarf.go_type(e).kind, TypeKind::Array { .. })
    {
        v = deref(r, &v, text)?;
    }
    let element = |base: Place, elem, len: u64| {
        let n = index_number(i, r, index_text)?;
        let t = r.dwarf.go_type(elem);
        match u64::try_from(n).ok().filter(|n| *n < len).and_then(|n| n.checked_mul(t.size)) {
            Some(off) => {
                let place = base.part(off);
                Ok(EvalValue::Ref(ValueRef { name: String::new(), ty: t, place, ..ValueRef::default() }))
            }
            None => out_of_bounds(),
        }
    };
    match &v.ty.kind {
        TypeKind::Array { elem, count } => element(v.place.clone(), *elem, *count),
        TypeKind::Slice { elem } => {
            let (base, len) = (r.word(&v.place, 0)?, r.word(&v.place, 8)?);
            element(Place::at(LoadAddr(base)), *elem, len)
        }
        TypeKind::String => {
            let (base, len) = (r.word(&v.place, 0)?, r.word(&v.place, 8)?);
            let n = index_number(i, r, index_text)?;
            match u64::try_from(n).ok().filter(|n| *n < len) {
                Some(n) => Ok(byte(r.number(&Place::at(LoadAddr(base).add(n)), 0, 1)? as u8)),
                None => out_of_bounds(),
            }
        }
        TypeKind::Map { .. } => map_index(r, &v, i, index_text),
        _ => other(format!("expression \"{text}\" ({}) does not support indexing", v.ty.name)),
    }
}

fn map_index(r: &Reader<'_>, v: &ValueRef, i: &EvalValue, text: &str) -> Result<EvalValue, EvalError> {
    let TypeKind::Map { key, elem, .. } = v.ty.kind else { return other("not a map") };
    let base = LoadAddr(r.word(&v.place, 0)?);
    let missing = || other("key not found");
    if base.is_nil() {
        return missing();
    }
    let kt = r.dwarf.go_type(key);
    let wanted = match ops::constant(r, i)? {
        Some((c, None)) => Some(c.to_type(&kt)?),
        Some((c, Some(t))) if t.name == kt.name => Some(c),
        Some((_, Some(t))) if !matches!(kt.kind, TypeKind::Interface { .. }) => {
            return Err(EvalError::Mismatch(kt.name.clone(), t.name.clone()));
        }
        _ => None,
    };
    let found = match (&kt.kind, &wanted) {
        (TypeKind::Int | TypeKind::Uint, Some(Const::Int(n))) => {
            r.map_find(&v.ty, base, MapKey::Bytes(&n.to_le_bytes()[..kt.size.clamp(1, 8) as usize]))?
        }
        (TypeKind::Bool, Some(Const::Bool(b))) => r.map_find(&v.ty, base, MapKey::Bytes(&[u8::from(*b)]))?,
        (TypeKind::String, Some(Const::Str(s))) => r.map_find(&v.ty, base, MapKey::Text(s))?,
        _ => {
            let mut hit = None;
            let mut failed = None;
            r.map_walk(&v.ty, base, &mut |k, e| {
                let k = EvalValue::Ref(ValueRef { ty: kt.clone(), place: k, ..ValueRef::default() });
                match ops::equal(r, &k, i, "", text) {
                    Ok(true) => hit = Some(e),
                    Ok(false) => {}
                    Err(x) => failed = Some(x),
                }
                hit.is_none() && failed.is_none()
            })?;
            if let Some(x) = failed {
                return Err(x);
            }
            hit
        }
    };
    match found {
        Some(place) => Ok(EvalValue::Ref(ValueRef { ty: r.dwarf.go_type(elem), place, ..ValueRef::default() })),
        None => missing(),
    }
}

/// `v[a:b]`.
pub(super) fn slice(
    r: &Reader<'_>,
    v: &EvalValue,
    a: Option<i128>,
    b: Option<i128>,
    text: &str,
) -> Result<EvalValue, EvalError> {
    let bounds = |len: u64, cap: u64| {
        let low = a.unwrap_or(0);
        let high = b.unwrap_or(i128::from(len));
        match (u64::try_from(low), u64::try_from(high)) {
            (Ok(l), Ok(h)) if l <= h && h <= cap => Ok((l, h)),
            _ => other("index out of bounds"),
        }
    };
    let v = match v {
        EvalValue::Ref(v) => v.clone(),
        EvalValue::Const(Const::Str(s), t) => {
            let (l, h) = bounds(s.len() as u64, s.len() as u64)?;
            return Ok(EvalValue::Const(Const::Str(s[l as usize..h as usize].into()), t.clone()));
        }
        _ => return other(format!("can not slice \"{text}\"")),
    };
    let v = match v.ty.kind {
        TypeKind::Pointer { .. } => deref(r, &v, text)?,
        _ => v,
    };
    let header = |words: &[u64], ty: Arc<GoType>| {
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        EvalValue::Ref(ValueRef { ty, place: Place::bytes(bytes.into()), ..ValueRef::default() })
    };
    match &v.ty.kind {
        TypeKind::String => {
            let (base, len) = (r.word(&v.place, 0)?, r.word(&v.place, 8)?);
            let (l, h) = bounds(len, len)?;
            Ok(header(&[base.wrapping_add(l), h - l], v.ty.clone()))
        }
        TypeKind::Slice { elem } => {
            let (base, len, cap) = (r.word(&v.place, 0)?, r.word(&v.place, 8)?, r.word(&v.place, 16)?);
            let (l, h) = bounds(len, cap)?;
            let size = r.dwarf.go_type(*elem).size;
            Ok(header(&[base.wrapping_add(l.wrapping_mul(size)), h - l, cap - l], v.ty.clone()))
        }
        TypeKind::Array { elem, count } => {
            if !v.place.in_memory() {
                return other(format!("can not slice \"{text}\": it is not in memory"));
            }
            let (l, h) = bounds(*count, *count)?;
            let t = r.dwarf.go_type(*elem);
            let ty = super::types::lookup(r.dwarf, &format!("[]{}", t.name), "");
            let ty = ty.ok_or_else(|| EvalError::Other(format!("could not find type []{}", t.name)))?;
            Ok(header(&[v.place.addr.0.wrapping_add(l.wrapping_mul(t.size)), h - l, count - l], ty))
        }
        _ => other(format!("can not slice \"{text}\" (type {})", v.ty.name)),
    }
}

/// `v.(T)`, and `v.(data)` for whatever it holds.
pub(super) fn assert(
    r: &Reader<'_>,
    v: &ValueRef,
    want: Option<&Arc<GoType>>,
    text: &str,
) -> Result<ValueRef, EvalError> {
    let TypeKind::Interface { methods } = v.ty.kind else {
        return other(format!("expression \"{text}\" not an interface"));
    };
    let Some(data) = r.interface_data(&v.place, methods)? else {
        return match want {
            None => Err(EvalError::IsNil(text.to_string())),
            Some(t) => other(format!("interface conversion: {} is nil, not {}", v.ty.name, t.name)),
        };
    };
    match want {
        Some(t) if t.name != data.ty.name => {
            other(format!("interface conversion: {} is {}, not {}", v.ty.name, data.ty.name, t.name))
        }
        _ => Ok(data),
    }
}
