//! Assignments: which bytes to write where. The writing is the engine's.

use super::constant::Const;
use super::error::{EvalError, other};
use super::run::{Context, EvalValue};
use super::{compile, ops};
use crate::base::LoadAddr;
use crate::goruntime::value::Reader;
use crate::symbols::dwarf::{GoType, TypeKind};

/// Largest value copied from another variable.
const MAX_COPY: u64 = 4096;

/// A write that would carry out an assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Where.
    pub addr: LoadAddr,
    /// What.
    pub bytes: Vec<u8>,
    /// It may hold pointers: while the collector marks it must not be written past its barrier.
    pub pointers: bool,
}

/// `target = value`: numbers, bools, pointers and nil; values of other types only from a variable of the same type.
pub fn assign(cx: &Context<'_>, target: &str, value: &str) -> Result<Assignment, EvalError> {
    let r = &cx.reader;
    let EvalValue::Ref(lhs) = compile(r, &cx.scope, target)?.run(cx)? else {
        return other(format!("can not assign to \"{target}\""));
    };
    if let Some(m) = &lhs.place.missing {
        return Err(m.clone().into());
    }
    if !lhs.place.in_memory() {
        return other(format!("can not assign to \"{target}\": it is not in memory"));
    }
    let rhs = super::run::whole(r, compile(r, &cx.scope, value)?.run(cx)?)?;
    let scalar =
        matches!(lhs.ty.kind, TypeKind::Bool | TypeKind::Int | TypeKind::Uint | TypeKind::Float | TypeKind::Complex);
    Ok(Assignment { addr: lhs.place.addr, bytes: bytes(r, &lhs.ty, &rhs, value)?, pointers: !scalar })
}

pub(super) fn bytes(r: &Reader<'_>, t: &GoType, v: &EvalValue, text: &str) -> Result<Vec<u8>, EvalError> {
    if let EvalValue::Ref(x) = v {
        if x.ty.name == t.name {
            if t.size > MAX_COPY {
                return other(format!("{text} is too large to be copied ({} bytes)", t.size));
            }
            return Ok(r.read(&x.place, 0, t.size as usize)?);
        }
        if !matches!(x.ty.kind, TypeKind::UnsafePointer) || !matches!(t.kind, TypeKind::Pointer { .. }) {
            return Err(EvalError::Mismatch(t.name.clone(), x.ty.name.clone()));
        }
        return Ok(r.read(&x.place, 0, 8)?);
    }
    let Some((c, from)) = ops::constant(r, v)? else {
        return other(format!("can not convert \"{text}\" to {}", t.name));
    };
    if let Some(from) = from.filter(|f| f.name != t.name) {
        return Err(EvalError::Mismatch(t.name.clone(), from.name.clone()));
    }
    let size = t.size.clamp(1, 16) as usize;
    let float = |f: f64, size: usize| match size {
        4 => (f as f32).to_le_bytes().to_vec(),
        _ => f.to_le_bytes().to_vec(),
    };
    Ok(match (&t.kind, c.to_type(t)?) {
        (TypeKind::Bool, Const::Bool(b)) => vec![u8::from(b)],
        (TypeKind::Int | TypeKind::Uint, Const::Int(i)) => i.to_le_bytes()[..size].to_vec(),
        (TypeKind::Float, Const::Float(f)) => float(f, size),
        (TypeKind::Complex, Const::Complex(re, im)) => [float(re, size / 2), float(im, size / 2)].concat(),
        (_, Const::Nil) => vec![0; size.max(t.size as usize)],
        (TypeKind::String, Const::Str(s)) if s.is_empty() => vec![0; 16],
        (TypeKind::String, _) => {
            return other(
                "literal string can not be allocated because function calls are not allowed without using 'call'",
            );
        }
        _ => return other(format!("can not convert \"{text}\" to {}", t.name)),
    })
}
