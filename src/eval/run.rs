//! Computing a compiled expression at a stop.

use super::compile::{Compiled, Node, Special};
use super::constant::Const;
use super::error::{EvalError, other};
use super::{convert, ops, select};
use crate::arch::registers;
use crate::base::redact::{COMPUTED, Hide};
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
                value: match (c, r.rt.redaction()) {
                    // Without a hash: who may compute what is hashed could try all there is.
                    (Const::Str(s), Some(x)) if !x.shapes(s).is_empty() => COMPUTED.into(),
                    _ => const_text(r, c, t.as_deref(), limits),
                },
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
        match ops::constant(&cx.reader, &compute(&self.node, cx, Use::Decides)?)? {
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
    compute(n, cx, Use::Shown)
}

/// What becomes of a result. Of hidden values a condition may ask whether they are equal to something, and nothing may ask for less
/// than all of one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Shown,
    Decides,
}

/// Takes over what is hidden of an operand.
fn taken(r: &Reader<'_>, from: &EvalValue, v: EvalValue) -> EvalValue {
    match (from, v) {
        (EvalValue::Ref(above), EvalValue::Ref(v)) => EvalValue::Ref(r.below(above, v)),
        (_, v) => v,
    }
}

/// Is there less to be told of it than is there?
fn is_hidden(r: &Reader<'_>, v: &EvalValue) -> bool {
    match v {
        EvalValue::Ref(v) => r.is_hidden(v),
        // Read of the target, or written by the user, who knows it then.
        EvalValue::Const(Const::Str(s), Some(_)) => r.rt.redaction().is_some_and(|x| !x.shapes(s).is_empty()),
        _ => false,
    }
}

pub(super) fn whole(r: &Reader<'_>, v: EvalValue) -> Result<EvalValue, EvalError> {
    if is_hidden(r, &v) { Err(EvalError::Hidden) } else { Ok(v) }
}

/// Bytes of a hidden value, one at a time or some, are not given out; elements of a hidden list of other things are hidden themselves.
fn divided(r: &Reader<'_>, v: EvalValue) -> Result<EvalValue, EvalError> {
    let kept = matches!(&v, EvalValue::Ref(x) if matches!(x.ty.kind, TypeKind::Map { .. }) || is_list_of_more(r, x));
    if kept { Ok(v) } else { whole(r, v) }
}

fn is_list_of_more(r: &Reader<'_>, v: &ValueRef) -> bool {
    let (TypeKind::Array { elem, .. } | TypeKind::Slice { elem }) = v.ty.kind else { return false };
    !matches!(
        r.dwarf.go_type(elem).kind,
        TypeKind::Int | TypeKind::Uint | TypeKind::Float | TypeKind::Complex | TypeKind::Bool
    )
}

fn compute(n: &Node, cx: &Context<'_>, to: Use) -> Result<EvalValue, EvalError> {
    let r = &cx.reader;
    let run = |n: &Node, cx: &Context<'_>| compute(n, cx, Use::Shown);
    Ok(match n {
        Node::Named(x, _) => compute(x, cx, to)?,
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
            let v = run(x, cx)?;
            let field = EvalValue::Ref(select::field(r, &target(v.clone(), &t)?, name, &t)?);
            taken(r, &v, field)
        }
        Node::Index(x, i) => {
            let (v, key) = (divided(r, run(x, cx)?)?, run(i, cx)?);
            let mut found = taken(r, &v, select::index(r, &v, &key, &text_of(x), &text_of(i))?);
            if let (EvalValue::Ref(f), Some(redaction)) = (&mut found, r.rt.redaction()) {
                let named = match (ops::constant(r, &key)?, &v) {
                    (Some((Const::Str(s), _)), _) => redaction.name(&String::from_utf8_lossy(&s)),
                    (Some((Const::Int(i), _)), EvalValue::Ref(list)) => r.before(list, u64::try_from(i).unwrap_or(0)),
                    _ => Hide::No,
                };
                f.hide = f.hide.max(named);
            }
            found
        }
        Node::Slice(x, a, b) => {
            let bound = |n: &Option<Box<Node>>| -> Result<Option<i128>, EvalError> {
                let Some(n) = n else { return Ok(None) };
                match ops::constant(r, &run(n, cx)?)? {
                    Some((Const::Int(i), _)) => Ok(Some(i)),
                    _ => other("slice bounds must be integers"),
                }
            };
            let v = divided(r, run(x, cx)?)?;
            taken(r, &v, select::slice(r, &v, bound(a)?, bound(b)?, &text_of(x))?)
        }
        Node::Assert(x, t) => {
            let name = text_of(x);
            let v = run(x, cx)?;
            let data = EvalValue::Ref(select::assert(r, &target(v.clone(), &name)?, t.as_ref(), &name)?);
            taken(r, &v, data)
        }
        Node::Convert(t, x) => {
            let v = run(x, cx)?;
            let hidden = is_hidden(r, &v);
            match taken(r, &v, convert::convert(r, t, &v, &text_of(x))?) {
                // Its bytes, in another form: good for being compared as a whole.
                EvalValue::Const(..) if hidden && to == Use::Shown => return Err(EvalError::Hidden),
                // What a number points to may be anything.
                EvalValue::Ref(p) if matches!(v, EvalValue::Const(Const::Int(_), _)) && r.rt.redaction().is_some() => {
                    EvalValue::Ref(ValueRef { hide: Hide::All, ..p })
                }
                other => other,
            }
        }
        Node::Builtin(name, args) => {
            let length = matches!(*name, "len" | "cap");
            let arg = |a| Ok((if length { run(a, cx)? } else { whole(r, run(a, cx)?)? }, text_of(a)));
            let args = args.iter().map(arg).collect::<Result<Vec<_>, EvalError>>()?;
            convert::builtin(r, name, &args)?
        }
        Node::Unary("*", x) => {
            let t = text_of(x);
            let v = run(x, cx)?;
            let to = EvalValue::Ref(select::deref(r, &target(v.clone(), &t)?, &t)?);
            taken(r, &v, to)
        }
        Node::Unary("&", x) => {
            let v = run(x, cx)?;
            let p = address_of(r, target(v.clone(), &text_of(x))?, &text_of(x))?;
            taken(r, &v, p)
        }
        Node::Unary("!", x) => ops::unary(r, "!", &compute(x, cx, to)?, &text_of(x))?,
        Node::Unary(op, x) => ops::unary(r, op, &whole(r, run(x, cx)?)?, &text_of(x))?,
        Node::Binary(op @ ("&&" | "||"), a, b) => {
            let bool_of = |n: &Node| match ops::constant(r, &compute(n, cx, to)?)? {
                Some((Const::Bool(b), _)) => Ok(b),
                _ => other(format!("operator {op} not defined on {}", text_of(n))),
            };
            let first = bool_of(a)?;
            let decided = if *op == "&&" { !first } else { first };
            EvalValue::bool(if decided { first } else { bool_of(b)? })
        }
        Node::Binary(op @ ("==" | "!="), a, b) => {
            let (x, y) = (compute(a, cx, to)?, compute(b, cx, to)?);
            let nil = |v: &EvalValue| matches!(v, EvalValue::Const(Const::Nil, _));
            if to == Use::Shown && !nil(&x) && !nil(&y) && (is_hidden(r, &x) || is_hidden(r, &y)) {
                return Err(EvalError::Hidden);
            }
            ops::binary(r, op, &x, &y, (&text_of(a), &text_of(b)))?
        }
        Node::Binary(op, a, b) => {
            let (x, y) = (whole(r, run(a, cx)?)?, whole(r, run(b, cx)?)?);
            ops::binary(r, op, &x, &y, (&text_of(a), &text_of(b)))?
        }
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
