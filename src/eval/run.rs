//! Computing a compiled expression at a stop.

use super::compile::{Compiled, Node, Special};
use super::constant::Const;
use super::error::{EvalError, other};
use super::{convert, ops, select};
use crate::arch::registers;
use crate::base::{FileAddr, LoadAddr, text};
use crate::goruntime::value::{FrameScope, Limits, Place, Reader, ValueRef, var_kind};
use crate::model::{VarFlags, VarKind, Variable};
use crate::symbols::dwarf::{GoType, TypeKind};
use std::sync::Arc;

/// What an expression is computed against.
#[derive(Clone)]
pub struct Context<'a> {
    /// Reads the target.
    pub reader: Reader<'a>,
    /// The frame.
    pub scope: FrameScope,
    /// Goroutine of the frame; 0 for none.
    pub goid: u64,
    /// Its `runtime.g`.
    pub g: LoadAddr,
    /// End of its stack, to which frame offsets are relative; 0 on a system stack.
    pub stack_hi: u64,
    /// Thread it runs on; 0 for none.
    pub tid: i32,
}

/// What came out.
#[derive(Clone, Debug, PartialEq)]
pub enum EvalValue {
    /// A value of the target.
    Ref(ValueRef),
    /// A computed one; untyped without a type.
    Const(Const, Option<Arc<GoType>>),
    /// A type.
    Type(Arc<GoType>),
    /// A function of the program.
    Func(String, FileAddr),
}

impl EvalValue {
    pub(super) fn bool(b: bool) -> EvalValue {
        EvalValue::Const(Const::Bool(b), None)
    }

    /// The value in the target, if it is one: what children are asked of.
    pub fn value_ref(&self) -> Option<&ValueRef> {
        match self {
            EvalValue::Ref(v) => Some(v),
            _ => None,
        }
    }

    /// Its value, if it is an integer or a pointer.
    pub fn integer(&self, r: &Reader<'_>) -> Option<i128> {
        match ops::constant(r, self).ok()?? {
            (Const::Int(i), _) => Some(i),
            _ => match self {
                EvalValue::Ref(v) if matches!(v.ty.kind, TypeKind::Pointer { .. }) => {
                    r.word(&v.place, 0).ok().map(i128::from)
                }
                _ => None,
            },
        }
    }

    /// As a row to show.
    pub fn variable(&self, r: &Reader<'_>, expression: &str, limits: Limits) -> Variable {
        let mut v = match self {
            EvalValue::Ref(v) => {
                let v = ValueRef { expression: expression.to_string(), ..v.clone() };
                r.variable(&v, limits)
            }
            EvalValue::Const(c, t) => Variable {
                type_name: t.as_ref().map_or_else(|| c.default_type().to_string(), |t| t.name.clone()),
                kind: t.as_ref().map_or_else(|| const_kind(c), |t| var_kind(&t.kind)),
                value: const_text(r, c, t.as_deref(), limits),
                len: if let Const::Str(s) = c { Some(s.len() as u64) } else { None },
                flags: VarFlags { constant: true, ..VarFlags::default() },
                ..Variable::default()
            },
            EvalValue::Type(t) => {
                Variable { type_name: t.name.clone(), value: text::printable_str(&t.name, 512), ..Variable::default() }
            }
            EvalValue::Func(name, entry) => Variable {
                type_name: "func".into(),
                kind: VarKind::Func,
                value: text::printable_str(name, 512),
                addr: r.rt.bias().to_load(*entry),
                ..Variable::default()
            },
        };
        v.name = expression.to_string();
        v.expression = expression.to_string();
        v
    }
}

fn const_kind(c: &Const) -> VarKind {
    match c {
        Const::Bool(_) => VarKind::Bool,
        Const::Int(_) => VarKind::Int,
        Const::Float(_) => VarKind::Float,
        Const::Complex(..) => VarKind::Complex,
        Const::Str(_) => VarKind::String,
        Const::Nil => VarKind::Pointer,
    }
}

fn float_text(f: f64, t: Option<&GoType>) -> String {
    match f {
        f if f.is_nan() => "NaN".into(),
        f if f.is_infinite() => if f > 0.0 { "+Inf" } else { "-Inf" }.into(),
        f if t.is_some_and(|t| matches!((&t.kind, t.size), (TypeKind::Float, 4) | (TypeKind::Complex, 8))) => {
            (f as f32).to_string()
        }
        f => f.to_string(),
    }
}

fn const_text(r: &Reader<'_>, c: &Const, t: Option<&GoType>, limits: Limits) -> String {
    match c {
        Const::Bool(b) => b.to_string(),
        Const::Int(i) => {
            let named = t.filter(|t| t.name.contains('.')).zip(i64::try_from(*i).ok());
            match named.and_then(|(t, i)| r.dwarf.describe_constant(t, i)) {
                Some(name) => format!("{name} ({i})"),
                None => i.to_string(),
            }
        }
        Const::Float(f) => float_text(*f, t),
        Const::Complex(re, im) => format!("({} + {}i)", float_text(*re, t), float_text(*im, t)),
        Const::Str(s) => {
            let n = s.len().min(limits.string as usize);
            let mut shown = s[..n].to_vec();
            if n < s.len() {
                shown.extend(format!("...+{} more", s.len() - n).bytes());
            }
            text::quoted(&shown, shown.len() + 1)
        }
        Const::Nil => "nil".into(),
    }
}

impl Compiled {
    /// Computes it.
    pub fn run(&self, cx: &Context<'_>) -> Result<EvalValue, EvalError> {
        run(&self.node, cx)
    }

    /// Computes a condition.
    pub fn run_bool(&self, cx: &Context<'_>) -> Result<bool, EvalError> {
        match ops::constant(&cx.reader, &self.run(cx)?)? {
            Some((Const::Bool(b), _)) => Ok(b),
            _ => other("condition expression not boolean"),
        }
    }
}

/// Text of an operand, for errors.
fn text_of(n: &Node) -> Arc<str> {
    match n {
        Node::Named(_, t) => t.clone(),
        _ => Arc::from(""),
    }
}

fn target(v: EvalValue, text: &str) -> Result<ValueRef, EvalError> {
    match v {
        EvalValue::Ref(v) => match &v.place.missing {
            Some(m) => Err(m.clone().into()),
            None => Ok(v),
        },
        EvalValue::Type(t) => other(format!("{} is a type, not a value", t.name)),
        EvalValue::Func(..) => other(format!("{text} is a function")),
        EvalValue::Const(c, t) => {
            let t = t.map_or_else(|| c.default_type().to_string(), |t| t.name.clone());
            other(format!("{text} (type {t}) is not a variable"))
        }
    }
}

pub(super) fn run(n: &Node, cx: &Context<'_>) -> Result<EvalValue, EvalError> {
    let r = &cx.reader;
    Ok(match n {
        Node::Named(x, _) => run(x, cx)?,
        Node::Const(c, t) => EvalValue::Const(c.clone(), t.clone()),
        Node::Local(v) => EvalValue::Ref(r.variable_of(&cx.scope, v, r.dictionary(&cx.scope))),
        Node::Value(v) => EvalValue::Ref(v.clone()),
        Node::Func(name, entry) => EvalValue::Func(name.clone(), *entry),
        Node::Type(t) => EvalValue::Type(t.clone()),
        Node::Register(i) => match cx.scope.regs.as_ref().and_then(|r| r.by_dwarf(*i)) {
            Some(v) => EvalValue::Const(Const::Int(i128::from(v)), super::types::lookup(r.dwarf, "uint64", "")),
            None => {
                let name = registers::NAMES.get(*i as usize).unwrap_or(&"");
                return other(format!("register {name} is known in the innermost frame of a stopped thread only"));
            }
        },
        Node::Special(s) => special(*s, cx)?,
        Node::Select(x, name) => {
            let t = text_of(x);
            EvalValue::Ref(select::field(r, &target(run(x, cx)?, &t)?, name, &t)?)
        }
        Node::Index(x, i) => select::index(r, &run(x, cx)?, &run(i, cx)?, &text_of(x), &text_of(i))?,
        Node::Slice(x, a, b) => {
            let bound = |n: &Option<Box<Node>>| -> Result<Option<i128>, EvalError> {
                let Some(n) = n else { return Ok(None) };
                match ops::constant(r, &run(n, cx)?)? {
                    Some((Const::Int(i), _)) => Ok(Some(i)),
                    _ => other("slice bounds must be integers"),
                }
            };
            select::slice(r, &run(x, cx)?, bound(a)?, bound(b)?, &text_of(x))?
        }
        Node::Assert(x, t) => {
            let name = text_of(x);
            EvalValue::Ref(select::assert(r, &target(run(x, cx)?, &name)?, t.as_ref(), &name)?)
        }
        Node::Convert(t, x) => convert::convert(r, t, &run(x, cx)?, &text_of(x))?,
        Node::Builtin(name, args) => {
            let args = args.iter().map(|a| Ok((run(a, cx)?, text_of(a)))).collect::<Result<Vec<_>, EvalError>>()?;
            convert::builtin(r, name, &args)?
        }
        Node::Unary("*", x) => {
            let t = text_of(x);
            EvalValue::Ref(select::deref(r, &target(run(x, cx)?, &t)?, &t)?)
        }
        Node::Unary("&", x) => address_of(r, target(run(x, cx)?, &text_of(x))?, &text_of(x))?,
        Node::Unary(op, x) => ops::unary(r, op, &run(x, cx)?, &text_of(x))?,
        Node::Binary(op @ ("&&" | "||"), a, b) => {
            let bool_of = |n: &Node| match ops::constant(r, &run(n, cx)?)? {
                Some((Const::Bool(b), _)) => Ok(b),
                _ => other(format!("operator {op} not defined on {}", text_of(n))),
            };
            let first = bool_of(a)?;
            let decided = if *op == "&&" { !first } else { first };
            EvalValue::bool(if decided { first } else { bool_of(b)? })
        }
        Node::Binary(op, a, b) => ops::binary(r, op, &run(a, cx)?, &run(b, cx)?, (&text_of(a), &text_of(b)))?,
    })
}

fn address_of(r: &Reader<'_>, v: ValueRef, text: &str) -> Result<EvalValue, EvalError> {
    if !v.place.in_memory() {
        return other(format!("can not take address of \"{text}\""));
    }
    let name = format!("*{}", v.ty.name);
    let ty = r.dwarf.pointer_to(&v.ty).map(|o| r.dwarf.go_type(o)).unwrap_or_else(|| {
        Arc::new(GoType { name, size: 8, kind: TypeKind::Pointer { elem: Some(v.ty.off) }, ..GoType::default() })
    });
    let place = Place::bytes(v.place.addr.0.to_le_bytes().to_vec().into());
    Ok(EvalValue::Ref(ValueRef { ty, place, ..ValueRef::default() }))
}

fn special(s: Special, cx: &Context<'_>) -> Result<EvalValue, EvalError> {
    let int = |v: i128, t: &str| EvalValue::Const(Const::Int(v), super::types::lookup(cx.reader.dwarf, t, ""));
    Ok(match s {
        Special::Goid => int(i128::from(cx.goid), "uint64"),
        Special::ThreadId => int(i128::from(cx.tid), "int"),
        Special::FrameOffset => int(i128::from(cx.scope.cfa.0) - i128::from(cx.stack_hi), "int"),
        Special::Curg => {
            let Some(ty) = super::types::lookup(cx.reader.dwarf, "runtime.g", "") else {
                return Err(EvalError::NoSymbol("runtime.curg".into()));
            };
            if cx.g.is_nil() {
                return Err(EvalError::IsNil("runtime.curg".into()));
            }
            EvalValue::Ref(ValueRef { name: "curg".into(), ty, place: Place::at(cx.g), ..ValueRef::default() })
        }
    })
}
