//! Constants and what is computed from them: Go's untyped numbers, and typed ones that wrap.

use super::error::{EvalError, other};
use crate::symbols::dwarf::{GoType, TypeKind};
use std::sync::Arc;

/// A value outside the target's memory.
#[derive(Clone, Debug, PartialEq)]
pub enum Const {
    /// `true`, `false`.
    Bool(bool),
    /// Any integer.
    Int(i128),
    /// Any float.
    Float(f64),
    /// Real and imaginary part.
    Complex(f64, f64),
    /// Bytes of a string.
    Str(Arc<[u8]>),
    /// `nil`.
    Nil,
}

impl std::fmt::Display for Const {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Const::Bool(b) => write!(f, "{b}"),
            Const::Int(i) => write!(f, "{i}"),
            Const::Float(x) => write!(f, "{x}"),
            Const::Complex(re, im) => write!(f, "({re} + {im}i)"),
            Const::Str(s) => f.write_str(&crate::base::text::quoted(s, 64)),
            Const::Nil => f.write_str("nil"),
        }
    }
}

impl Const {
    /// Name of the type that an untyped constant would get.
    pub fn default_type(&self) -> &'static str {
        match self {
            Const::Bool(_) => "bool",
            Const::Int(_) => "int",
            Const::Float(_) => "float64",
            Const::Complex(..) => "complex128",
            Const::Str(_) => "string",
            Const::Nil => "nil",
        }
    }

    /// The value as one of a type; an error if the type has no such value.
    pub(super) fn to_type(&self, t: &GoType) -> Result<Const, EvalError> {
        let whole = |f: f64| (f.fract() == 0.0 && f.abs() < 1e38).then_some(f as i128);
        let c = match (&t.kind, self) {
            (TypeKind::Bool, Const::Bool(_))
            | (TypeKind::String, Const::Str(_))
            | (TypeKind::Int | TypeKind::Uint | TypeKind::Float, Const::Int(_))
            | (TypeKind::Float, Const::Float(_))
            | (TypeKind::Complex, Const::Complex(..)) => Some(self.clone()),
            (TypeKind::Int | TypeKind::Uint, Const::Float(f)) => whole(*f).map(Const::Int),
            (TypeKind::Complex, Const::Int(i)) => Some(Const::Complex(*i as f64, 0.0)),
            (TypeKind::Complex, Const::Float(f)) => Some(Const::Complex(*f, 0.0)),
            (TypeKind::Int | TypeKind::Uint | TypeKind::Float, Const::Complex(re, im)) if *im == 0.0 => {
                return Const::Float(*re).to_type(t);
            }
            (
                TypeKind::Pointer { .. }
                | TypeKind::UnsafePointer
                | TypeKind::Func
                | TypeKind::Map { .. }
                | TypeKind::Chan { .. }
                | TypeKind::Slice { .. }
                | TypeKind::Interface { .. },
                Const::Nil,
            ) => Some(Const::Nil),
            _ => None,
        };
        let c = c.ok_or_else(|| EvalError::Other(format!("can not convert {self} constant to {}", t.name)))?;
        Ok(match (&t.kind, c) {
            (TypeKind::Float, Const::Int(i)) => Const::Float(i as f64),
            (TypeKind::Int | TypeKind::Uint, Const::Int(i)) if wrap(i, t) != i => {
                return other(format!("constant {i} overflows {}", t.name));
            }
            (_, c) => c,
        })
    }
}

/// An integer as a type of so many bits keeps it.
pub(super) fn wrap(i: i128, t: &GoType) -> i128 {
    let bits = t.size.clamp(1, 8) as u32 * 8;
    let shift = 128 - bits;
    match t.kind {
        TypeKind::Int => (i << shift) >> shift,
        TypeKind::Uint => ((i as u128) << shift >> shift) as i128,
        _ => i,
    }
}
