//! Conversions `T(x)` and the built-in functions.

use super::constant::{Const, wrap};
use super::error::{EvalError, other};
use super::ops::{binary, constant};
use super::run::EvalValue;
use crate::base::LoadAddr;
use crate::goruntime::value::{Place, Reader, ValueRef};
use crate::symbols::dwarf::{GoType, TypeKind};
use std::sync::Arc;

/// Longest slice made into a string.
const MAX_BYTES: u64 = 16 << 20;

/// `T(x)`.
pub(super) fn convert(r: &Reader<'_>, t: &Arc<GoType>, v: &EvalValue, text: &str) -> Result<EvalValue, EvalError> {
    let no = || other(format!("can not convert \"{text}\" to {}", t.name));
    let typed = |c: Const| Ok(EvalValue::Const(c, Some(t.clone())));
    let word = |w: u64| {
        let place = Place::bytes(w.to_le_bytes().to_vec().into());
        Ok(EvalValue::Ref(ValueRef { ty: t.clone(), place, ..ValueRef::default() }))
    };
    if let EvalValue::Ref(x) = v
        && (x.ty.name == t.name || same_shape(&x.ty, t))
    {
        return Ok(EvalValue::Ref(ValueRef { ty: t.clone(), ..x.clone() }));
    }
    if let Some((c, _)) = constant(r, v)? {
        return match (&t.kind, c) {
            (TypeKind::Int | TypeKind::Uint, Const::Int(i)) => typed(Const::Int(wrap(i, t))),
            (TypeKind::Int | TypeKind::Uint, Const::Float(f)) => typed(Const::Int(wrap(f.trunc() as i128, t))),
            (TypeKind::Float, Const::Int(i)) => typed(Const::Float(i as f64)),
            (TypeKind::Float, Const::Float(f)) if t.size == 4 => typed(Const::Float(f64::from(f as f32))),
            (TypeKind::Float, c @ Const::Float(_))
            | (TypeKind::Complex, c @ Const::Complex(..))
            | (TypeKind::Bool, c @ Const::Bool(_))
            | (TypeKind::String, c @ Const::Str(_)) => typed(c),
            (TypeKind::String, Const::Int(i)) => {
                let c = u32::try_from(i).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
                typed(Const::Str(c.to_string().into_bytes().into()))
            }
            (TypeKind::Pointer { .. } | TypeKind::UnsafePointer, Const::Int(i)) => word(i as u64),
            (TypeKind::Pointer { .. } | TypeKind::UnsafePointer, Const::Nil) => word(0),
            // The bytes of a string in memory, seen as a slice.
            (TypeKind::Slice { elem }, Const::Str(_)) if r.dwarf.go_type(*elem).size == 1 => match v {
                EvalValue::Ref(s) => {
                    let (base, len) = (r.word(&s.place, 0)?, r.word(&s.place, 8)?);
                    let bytes: Vec<u8> = [base, len, len].iter().flat_map(|w| w.to_le_bytes()).collect();
                    let place = Place::bytes(bytes.into());
                    Ok(EvalValue::Ref(ValueRef { ty: t.clone(), place, ..ValueRef::default() }))
                }
                _ => no(),
            },
            _ => no(),
        };
    }
    let EvalValue::Ref(x) = v else { return no() };
    match (&t.kind, &x.ty.kind) {
        (TypeKind::Pointer { .. } | TypeKind::UnsafePointer, TypeKind::Pointer { .. } | TypeKind::UnsafePointer) => {
            word(r.word(&x.place, 0)?)
        }
        (TypeKind::Uint | TypeKind::Int, TypeKind::Pointer { .. } | TypeKind::UnsafePointer) if t.size == 8 => {
            typed(Const::Int(wrap(i128::from(r.word(&x.place, 0)?), t)))
        }
        (TypeKind::String, TypeKind::Slice { elem }) => {
            let (base, len) = (r.word(&x.place, 0)?, r.word(&x.place, 8)?);
            let size = r.dwarf.go_type(*elem).size;
            let Some(n) = len.checked_mul(size).filter(|n| *n <= MAX_BYTES && matches!(size, 1 | 4)) else {
                return no();
            };
            let bytes = if n == 0 { Vec::new() } else { r.read(&Place::at(LoadAddr(base)), 0, n as usize)? };
            if size == 1 {
                return typed(Const::Str(bytes.into()));
            }
            let runes = bytes.chunks_exact(4).map(|c| u32::from_le_bytes([c[0], c[1], c[2], c[3]]));
            let text: String = runes.map(|c| char::from_u32(c).unwrap_or('\u{fffd}')).collect();
            typed(Const::Str(text.into_bytes().into()))
        }
        _ => no(),
    }
}

/// Types of one underlying structure, which convert without a change of bytes.
fn same_shape(a: &GoType, b: &GoType) -> bool {
    match (&a.kind, &b.kind) {
        (TypeKind::Struct { fields: f }, TypeKind::Struct { fields: g }) => f == g,
        (TypeKind::Slice { elem: e }, TypeKind::Slice { elem: f }) => e == f,
        _ => false,
    }
}

/// A built-in function.
pub(super) fn builtin(r: &Reader<'_>, name: &str, args: &[(EvalValue, Arc<str>)]) -> Result<EvalValue, EvalError> {
    let int = |n: u64| EvalValue::Const(Const::Int(i128::from(n)), super::types::lookup(r.dwarf, "int", ""));
    match (name, args) {
        ("len" | "cap", [(v, text)]) => {
            let invalid = |t: &str| other(format!("invalid argument {text} (type {t}) for {name}"));
            let mut v = match v {
                EvalValue::Const(Const::Str(s), _) if name == "len" => return Ok(int(s.len() as u64)),
                EvalValue::Ref(v) => v.clone(),
                _ => return invalid("constant"),
            };
            if let TypeKind::Pointer { elem: Some(e) } = v.ty.kind
                && matches!(r.dwarf.go_type(e).kind, TypeKind::Array { .. })
            {
                v = super::select::deref(r, &v, text)?;
            }
            Ok(int(match (&v.ty.kind, name) {
                (TypeKind::Array { count, .. }, _) => *count,
                (TypeKind::String | TypeKind::Slice { .. }, "len") => r.word(&v.place, 8)?,
                (TypeKind::Slice { .. }, _) => r.word(&v.place, 16)?,
                (TypeKind::Map { .. }, "len") => match LoadAddr(r.word(&v.place, 0)?) {
                    p if p.is_nil() => 0,
                    p => r.map_len(&v.ty, p)?,
                },
                (TypeKind::Chan { .. }, _) => match LoadAddr(r.word(&v.place, 0)?) {
                    p if p.is_nil() => 0,
                    p => {
                        let l = &r.rt.layout().hchan;
                        r.word(&Place::at(p), if name == "len" { l.qcount } else { l.dataqsiz })?
                    }
                },
                _ => return invalid(&v.ty.name),
            }))
        }
        ("real" | "imag", [(v, text)]) => match constant(r, v)? {
            Some((Const::Complex(re, im), t)) => {
                let part = t.as_ref().map(|t| if t.size == 8 { "float32" } else { "float64" });
                let t = part.and_then(|p| super::types::lookup(r.dwarf, p, ""));
                Ok(EvalValue::Const(Const::Float(if name == "real" { re } else { im }), t))
            }
            Some((Const::Int(i), None)) => Ok(EvalValue::Const(Const::Int(if name == "real" { i } else { 0 }), None)),
            Some((Const::Float(f), None)) => {
                Ok(EvalValue::Const(Const::Float(if name == "real" { f } else { 0.0 }), None))
            }
            _ => other(format!("invalid argument {text} for {name}")),
        },
        ("complex", [(a, _), (b, _)]) => {
            let part = |v: &EvalValue| match constant(r, v)? {
                Some((Const::Float(f), t)) => Ok((f, t)),
                Some((Const::Int(i), None)) => Ok((i as f64, None)),
                _ => other("invalid argument for complex"),
            };
            let ((re, t), (im, u)) = (part(a)?, part(b)?);
            let whole = t.or(u).map(|t| if t.size == 4 { "complex64" } else { "complex128" });
            let t = whole.and_then(|w| super::types::lookup(r.dwarf, w, ""));
            Ok(EvalValue::Const(Const::Complex(re, im), t))
        }
        ("min" | "max", [(first, text), rest @ ..]) => {
            let mut best = (first.clone(), text.clone());
            for (v, t) in rest {
                let op = if name == "min" { "<" } else { ">" };
                let better = binary(r, op, v, &best.0, (t, &best.1))?;
                if matches!(better, EvalValue::Const(Const::Bool(true), _)) {
                    best = (v.clone(), t.clone());
                }
            }
            Ok(best.0)
        }
        _ => other(format!("wrong number of arguments to {name}")),
    }
}
