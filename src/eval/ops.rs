//! Operators, with Go's rules for typed and untyped operands.

use super::constant::{Const, wrap};
use super::error::{EvalError, other};
use super::run::EvalValue;
use crate::base::LoadAddr;
use crate::goruntime::value::{Place, Reader, ValueRef};
use crate::symbols::dwarf::{GoType, TypeKind};
use std::cmp::Ordering;
use std::sync::Arc;

/// Longest string compared or joined.
const MAX_STRING: u64 = 16 << 20;
/// Nesting of structs and arrays compared.
const MAX_DEPTH: u32 = 32;
/// Elements of an array compared.
const MAX_ELEMENTS: u64 = 1 << 20;

type Typed = (Const, Option<Arc<GoType>>);

/// The value as a constant, if its type is a basic one.
pub(super) fn constant(r: &Reader<'_>, v: &EvalValue) -> Result<Option<Typed>, EvalError> {
    let v = match v {
        EvalValue::Const(c, t) => return Ok(Some((c.clone(), t.clone()))),
        EvalValue::Ref(v) => v,
        _ => return Ok(None),
    };
    let float = |bits: u64, size: u64| match size {
        4 => f64::from(f32::from_bits(bits as u32)),
        _ => f64::from_bits(bits),
    };
    let size = v.ty.size;
    let c = match v.ty.kind {
        TypeKind::Bool => Const::Bool(r.number(&v.place, 0, 1)? != 0),
        TypeKind::Int => Const::Int(i128::from(r.signed(&v.place, size)?)),
        TypeKind::Uint => Const::Int(i128::from(r.number(&v.place, 0, size)?)),
        TypeKind::Float => Const::Float(float(r.number(&v.place, 0, size)?, size)),
        TypeKind::Complex => {
            let half = size / 2;
            let (re, im) = (r.number(&v.place, 0, half)?, r.number(&v.place, half, half)?);
            Const::Complex(float(re, half), float(im, half))
        }
        TypeKind::String => Const::Str(string(r, &v.place)?),
        _ => return Ok(None),
    };
    Ok(Some((c, Some(v.ty.clone()))))
}

fn string(r: &Reader<'_>, p: &Place) -> Result<Arc<[u8]>, EvalError> {
    let (base, len) = (r.word(p, 0)?, r.word(p, 8)?);
    if len > MAX_STRING {
        return other(format!("string too long: {len} bytes"));
    }
    if len == 0 {
        return Ok(Arc::from([]));
    }
    Ok(r.read(&Place::at(LoadAddr(base)), 0, len as usize)?.into())
}

fn type_name(v: &EvalValue) -> String {
    match v {
        EvalValue::Ref(v) => v.ty.name.clone(),
        EvalValue::Const(_, Some(t)) | EvalValue::Type(t) => t.name.clone(),
        EvalValue::Const(c, None) => c.default_type().to_string(),
        EvalValue::Func(..) => "func".into(),
    }
}

/// Brings two operands to one type.
fn negotiate(a: Typed, b: Typed) -> Result<(Const, Const, Option<Arc<GoType>>), EvalError> {
    match (a.1, b.1) {
        (Some(t), Some(u)) if t.name == u.name => Ok((a.0, b.0, Some(t))),
        (Some(t), Some(u)) => Err(EvalError::Mismatch(t.name.clone(), u.name.clone())),
        (Some(t), None) => {
            let c = b.0.to_type(&t)?;
            Ok((a.0, c, Some(t)))
        }
        (None, Some(t)) => {
            let c = a.0.to_type(&t)?;
            Ok((c, b.0, Some(t)))
        }
        (None, None) => {
            let (x, y) = untyped(a.0, b.0)?;
            Ok((x, y, None))
        }
    }
}

fn untyped(a: Const, b: Const) -> Result<(Const, Const), EvalError> {
    use Const::{Bool, Complex, Float, Int, Nil, Str};
    Ok(match (a, b) {
        (Int(x), Float(y)) => (Float(x as f64), Float(y)),
        (Float(x), Int(y)) => (Float(x), Float(y as f64)),
        (Complex(x, y), Int(z)) => (Complex(x, y), Complex(z as f64, 0.0)),
        (Int(z), Complex(x, y)) => (Complex(z as f64, 0.0), Complex(x, y)),
        (Complex(x, y), Float(z)) => (Complex(x, y), Complex(z, 0.0)),
        (Float(z), Complex(x, y)) => (Complex(z, 0.0), Complex(x, y)),
        (a @ Int(_), b @ Int(_))
        | (a @ Float(_), b @ Float(_))
        | (a @ Complex(..), b @ Complex(..))
        | (a @ Str(_), b @ Str(_))
        | (a @ Nil, b @ Nil)
        | (a @ Bool(_), b @ Bool(_)) => (a, b),
        (a, b) => return Err(EvalError::Mismatch(a.default_type().into(), b.default_type().into())),
    })
}

/// `a op b`, except `&&` and `||`.
pub(super) fn binary(
    r: &Reader<'_>,
    op: &str,
    a: &EvalValue,
    b: &EvalValue,
    texts: (&str, &str),
) -> Result<EvalValue, EvalError> {
    match op {
        "==" => return Ok(EvalValue::bool(equal(r, a, b, texts.0, texts.1)?)),
        "!=" => return Ok(EvalValue::bool(!equal(r, a, b, texts.0, texts.1)?)),
        _ => {}
    }
    let (Some(x), Some(y)) = (constant(r, a)?, constant(r, b)?) else {
        let (t, u) = (type_name(a), type_name(b));
        return match t == u {
            true => other(format!("operator {op} not defined on {} (type {t})", texts.0)),
            false => Err(EvalError::Mismatch(t, u)),
        };
    };
    if matches!(op, "<<" | ">>") {
        return shift(op, x, y);
    }
    let (x, y, t) = negotiate(x, y)?;
    if matches!(op, "<" | "<=" | ">" | ">=") {
        let o = compare(&x, &y)?;
        return Ok(EvalValue::bool(match (op, o) {
            (_, None) => false, // NaN
            ("<", Some(o)) => o == Ordering::Less,
            ("<=", Some(o)) => o != Ordering::Greater,
            (">", Some(o)) => o == Ordering::Greater,
            (_, Some(o)) => o != Ordering::Less,
        }));
    }
    let c = arithmetic(op, x, y, t.as_deref())?;
    Ok(EvalValue::Const(c, t))
}

fn compare(a: &Const, b: &Const) -> Result<Option<Ordering>, EvalError> {
    match (a, b) {
        (Const::Int(x), Const::Int(y)) => Ok(Some(x.cmp(y))),
        (Const::Float(x), Const::Float(y)) => Ok(x.partial_cmp(y)),
        (Const::Str(x), Const::Str(y)) => Ok(Some(x.cmp(y))),
        _ => other(format!("can not order {} values", a.default_type())),
    }
}

fn shift(op: &str, a: Typed, b: Typed) -> Result<EvalValue, EvalError> {
    let int = |c: &Const| match c {
        Const::Int(i) => Ok(*i),
        Const::Float(f) if f.fract() == 0.0 => Ok(*f as i128),
        c => other(format!("operator {op} can not be applied to \"{}\"", c.default_type())),
    };
    let (x, n) = (int(&a.0)?, int(&b.0)?);
    if n < 0 {
        return other("shift count must not be negative");
    }
    let n = u32::try_from(n).unwrap_or(u32::MAX);
    let v = match op {
        "<<" => x.checked_shl(n).filter(|_| n < 100).unwrap_or(0),
        _ => x >> n.min(127),
    };
    let v = a.1.as_ref().map_or(v, |t| wrap(v, t));
    Ok(EvalValue::Const(Const::Int(v), a.1))
}

fn arithmetic(op: &str, a: Const, b: Const, t: Option<&GoType>) -> Result<Const, EvalError> {
    use Const::{Complex, Float, Int, Str};
    let undefined = |c: &Const| {
        let name = t.map_or_else(|| c.default_type().to_string(), |t| t.name.clone());
        other(format!("operator {op} not defined on type {name}"))
    };
    Ok(match (a, b) {
        (Int(x), Int(y)) => {
            let zero = || other("runtime error: integer divide by zero");
            let v = match op {
                "+" => x.checked_add(y),
                "-" => x.checked_sub(y),
                "*" => x.checked_mul(y),
                "/" if y == 0 => return zero(),
                "%" if y == 0 => return zero(),
                "/" => x.checked_div(y),
                "%" => x.checked_rem(y),
                "&" => Some(x & y),
                "|" => Some(x | y),
                "^" => Some(x ^ y),
                "&^" => Some(x & !y),
                _ => return undefined(&Int(x)),
            };
            match v {
                Some(v) => Int(t.map_or(v, |t| wrap(v, t))),
                None => return other("constant overflow"),
            }
        }
        (Float(x), Float(y)) => {
            let v = match op {
                "+" => x + y,
                "-" => x - y,
                "*" => x * y,
                "/" if y == 0.0 && t.is_none() => return other("division by zero"),
                "/" => x / y,
                _ => return undefined(&Float(x)),
            };
            Float(if t.is_some_and(|t| t.size == 4) { f64::from(v as f32) } else { v })
        }
        (Complex(a, b), Complex(c, d)) => match op {
            "+" => Complex(a + c, b + d),
            "-" => Complex(a - c, b - d),
            "*" => Complex(a * c - b * d, a * d + b * c),
            "/" => {
                let n = c * c + d * d;
                Complex((a * c + b * d) / n, (b * c - a * d) / n)
            }
            _ => return undefined(&Complex(a, b)),
        },
        (Str(x), Str(y)) if op == "+" => Str(x.iter().chain(y.iter()).copied().collect()),
        (x, _) => return undefined(&x),
    })
}

/// `op x`, except `*` and `&`.
pub(super) fn unary(r: &Reader<'_>, op: &str, v: &EvalValue, text: &str) -> Result<EvalValue, EvalError> {
    let undefined = || other(format!("operator {op} can not be applied to \"{text}\""));
    let Some((c, t)) = constant(r, v)? else { return undefined() };
    let int = |i: i128| Const::Int(t.as_ref().map_or(i, |t| wrap(i, t)));
    let c = match (op, c) {
        ("!", Const::Bool(b)) => Const::Bool(!b),
        ("+", c @ (Const::Int(_) | Const::Float(_) | Const::Complex(..))) => c,
        ("-", Const::Int(i)) => int(-i),
        ("-", Const::Float(f)) => Const::Float(-f),
        ("-", Const::Complex(a, b)) => Const::Complex(-a, -b),
        ("^", Const::Int(i)) => int(!i),
        _ => return undefined(),
    };
    Ok(EvalValue::Const(c, t))
}

/// `a == b`.
pub(super) fn equal(r: &Reader<'_>, a: &EvalValue, b: &EvalValue, ta: &str, tb: &str) -> Result<bool, EvalError> {
    let nil = |v: &EvalValue| matches!(v, EvalValue::Const(Const::Nil, None));
    match (a, b) {
        (a, b) if nil(a) && nil(b) => other("operator == not defined on nil"),
        (EvalValue::Ref(v), n) if nil(n) => is_nil(r, v, ta),
        (n, EvalValue::Ref(v)) if nil(n) => is_nil(r, v, tb),
        (EvalValue::Ref(x), EvalValue::Ref(y)) => same(r, x, y, 0),
        // An interface against a plain value: what it holds is compared.
        (EvalValue::Ref(v), c) | (c, EvalValue::Ref(v)) if matches!(v.ty.kind, TypeKind::Interface { .. }) => {
            let TypeKind::Interface { methods } = v.ty.kind else { return Ok(false) };
            match r.interface_data(&v.place, methods)? {
                Some(d) => equal(r, &EvalValue::Ref(d), c, ta, tb),
                None => Ok(false),
            }
        }
        _ => {
            let (Some(x), Some(y)) = (constant(r, a)?, constant(r, b)?) else {
                return Err(EvalError::Mismatch(type_name(a), type_name(b)));
            };
            let (x, y, _) = negotiate(x, y)?;
            Ok(x == y)
        }
    }
}

fn is_nil(r: &Reader<'_>, v: &ValueRef, text: &str) -> Result<bool, EvalError> {
    match v.ty.kind {
        TypeKind::Pointer { .. }
        | TypeKind::UnsafePointer
        | TypeKind::Func
        | TypeKind::Map { .. }
        | TypeKind::Chan { .. }
        | TypeKind::Slice { .. }
        | TypeKind::Interface { .. } => Ok(r.word(&v.place, 0)? == 0),
        _ => other(format!("can not compare {text} (type {}) to nil", v.ty.name)),
    }
}

fn same(r: &Reader<'_>, a: &ValueRef, b: &ValueRef, depth: u32) -> Result<bool, EvalError> {
    if let (TypeKind::Interface { methods: m }, TypeKind::Interface { methods: n }) = (&a.ty.kind, &b.ty.kind) {
        return match (r.interface_data(&a.place, *m)?, r.interface_data(&b.place, *n)?) {
            (None, None) => Ok(true),
            (Some(x), Some(y)) => Ok(x.ty.name == y.ty.name && same(r, &x, &y, depth + 1)?),
            _ => Ok(false),
        };
    }
    for (x, y) in [(a, b), (b, a)] {
        if let TypeKind::Interface { methods } = x.ty.kind {
            let data = r.interface_data(&x.place, methods)?;
            return match data.filter(|d| d.ty.name == y.ty.name) {
                Some(d) => same(r, &d, y, depth + 1),
                None => Ok(false),
            };
        }
    }
    if a.ty.name != b.ty.name {
        return Err(EvalError::Mismatch(a.ty.name.clone(), b.ty.name.clone()));
    }
    if depth > MAX_DEPTH {
        return other("values are nested too deeply to be compared");
    }
    match &a.ty.kind {
        TypeKind::Pointer { .. } | TypeKind::UnsafePointer | TypeKind::Chan { .. } => {
            Ok(r.word(&a.place, 0)? == r.word(&b.place, 0)?)
        }
        TypeKind::Struct { fields } => {
            for f in fields.iter().filter(|f| f.name != "_") {
                let t = r.dwarf.go_type(f.ty);
                let of =
                    |v: &ValueRef| ValueRef { ty: t.clone(), place: v.place.part(f.offset), ..ValueRef::default() };
                if !same(r, &of(a), &of(b), depth + 1)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        TypeKind::Array { elem, count } => {
            let t = r.dwarf.go_type(*elem);
            for i in 0..(*count).min(MAX_ELEMENTS) {
                let of =
                    |v: &ValueRef| ValueRef { ty: t.clone(), place: v.place.part(i * t.size), ..ValueRef::default() };
                if !same(r, &of(a), &of(b), depth + 1)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        TypeKind::Slice { .. } | TypeKind::Map { .. } | TypeKind::Func => {
            let kind = match a.ty.kind {
                TypeKind::Slice { .. } => "slice",
                TypeKind::Map { .. } => "map",
                _ => "func",
            };
            other(format!("can not compare {kind} variables"))
        }
        _ => {
            let (x, y) = (constant(r, &EvalValue::Ref(a.clone()))?, constant(r, &EvalValue::Ref(b.clone()))?);
            Ok(x.map(|x| x.0) == y.map(|y| y.0))
        }
    }
}
