//! Names and types found once, so that running an expression at every hit of a breakpoint is cheap.

use super::constant::Const;
use super::error::{EvalError, other};
use super::parse::{Expr, parse};
use super::types::{lookup, packages};
use crate::arch::registers;
use crate::base::FileAddr;
use crate::goruntime::value::{FrameScope, Reader, ScopeVariable, ValueRef};
use crate::symbols::dwarf::{Die, GoType};
use crate::symbols::functions::{split_name, without_type_args};
use std::sync::Arc;

/// Things that only the debugger knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Special {
    Goid,
    ThreadId,
    FrameOffset,
    Curg,
}

/// An expression with its names resolved.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Const(Const, Option<Arc<GoType>>),
    Local(ScopeVariable),
    Value(ValueRef),
    Func(String, FileAddr),
    Register(u16),
    Special(Special),
    Type(Arc<GoType>),
    Select(Box<Node>, String),
    Index(Box<Node>, Box<Node>),
    Slice(Box<Node>, Option<Box<Node>>, Option<Box<Node>>),
    Assert(Box<Node>, Option<Arc<GoType>>),
    Convert(Arc<GoType>, Box<Node>),
    Builtin(&'static str, Vec<Node>),
    Unary(&'static str, Box<Node>),
    Binary(&'static str, Box<Node>, Box<Node>),
    /// With the text of the operand, for errors.
    Named(Box<Node>, Arc<str>),
}

/// A compiled expression; good for every stop at the same PC.
#[derive(Clone, Debug)]
pub struct Compiled {
    pub(super) node: Node,
    /// As written.
    pub text: String,
}

impl Compiled {
    /// Does it ask for the goroutine (`runtime.curg`, the frame's place on its stack)?
    pub fn uses_goroutine(&self) -> bool {
        uses_goroutine(&self.node)
    }
}

impl Compiled {
    /// Does it look at nothing but scalars and strings among the frame's own variables, and registers?
    pub fn is_of_frame(&self) -> bool {
        of_frame(&self.node)
    }
}

fn of_frame(n: &Node) -> bool {
    match n {
        Node::Local(v) => !v.flags.escaped && v.captured.is_none(),
        Node::Const(..) | Node::Register(_) | Node::Type(_) => true,
        Node::Special(s) => !matches!(s, Special::Curg),
        Node::Convert(_, x) | Node::Named(x, _) => of_frame(x),
        Node::Unary(op, x) => !matches!(*op, "*" | "&") && of_frame(x),
        Node::Binary(_, a, b) => of_frame(a) && of_frame(b),
        Node::Builtin("len" | "cap" | "min" | "max", args) => args.iter().all(of_frame),
        _ => false,
    }
}

fn uses_goroutine(n: &Node) -> bool {
    let any = |list: &[&Node]| list.iter().any(|n| uses_goroutine(n));
    match n {
        Node::Special(s) => !matches!(s, Special::ThreadId),
        Node::Const(..) | Node::Local(_) | Node::Value(_) | Node::Func(..) | Node::Register(_) | Node::Type(_) => false,
        Node::Select(x, _) | Node::Assert(x, _) | Node::Convert(_, x) | Node::Unary(_, x) | Node::Named(x, _) => {
            any(&[x])
        }
        Node::Index(a, b) | Node::Binary(_, a, b) => any(&[a, b]),
        Node::Slice(x, a, b) => any(&[x]) || [a, b].into_iter().flatten().any(|n| uses_goroutine(n)),
        Node::Builtin(_, args) => args.iter().any(uses_goroutine),
    }
}

/// Functions that are part of the language here.
const BUILTINS: [&str; 7] = ["len", "cap", "real", "imag", "complex", "min", "max"];

/// Compiles an expression for a scope.
pub fn compile(reader: &Reader<'_>, scope: &FrameScope, text: &str) -> Result<Compiled, EvalError> {
    Ok(Compiled { node: compile_expr(reader, scope, &parse(text)?)?, text: text.to_string() })
}

/// Compiles a tree for a scope.
pub(super) fn compile_expr(reader: &Reader<'_>, scope: &FrameScope, e: &Expr) -> Result<Node, EvalError> {
    let name = without_type_args(&scope.function).into_owned();
    let package = split_name(&name).0.to_string();
    let locals = reader.visible(scope);
    let c = Compiler { r: reader, locals, package };
    c.node(e)
}

struct Compiler<'r, 'a> {
    r: &'r Reader<'a>,
    locals: Vec<ScopeVariable>,
    package: String,
}

impl Compiler<'_, '_> {
    fn boxed(&self, e: &Expr) -> Result<Box<Node>, EvalError> {
        Ok(Box::new(self.node(e)?))
    }

    /// An operand that remembers its text.
    fn named(&self, e: &Expr) -> Result<Box<Node>, EvalError> {
        Ok(Box::new(Node::Named(self.boxed(e)?, e.to_string().into())))
    }

    fn node(&self, e: &Expr) -> Result<Node, EvalError> {
        Ok(match e {
            Expr::Int(i) => Node::Const(Const::Int(*i), None),
            Expr::Float(f) => Node::Const(Const::Float(*f), None),
            Expr::Imaginary(f) => Node::Const(Const::Complex(0.0, *f), None),
            Expr::Char(c) => Node::Const(Const::Int(i128::from(u32::from(*c))), None),
            Expr::Str(s) => Node::Const(Const::Str(s.clone().into()), None),
            Expr::Ident(n) => self.ident(n)?,
            Expr::Select(x, n) => self.select(x, n)?,
            Expr::Index(x, i) => match (self.as_type(e), &i[..]) {
                (Some(t), _) => Node::Type(t),
                (None, [i]) => Node::Index(self.named(x)?, self.named(i)?),
                _ => return other(format!("unexpected index list in {e}")),
            },
            Expr::Slice(x, a, b) => {
                let opt = |e: &Option<Box<Expr>>| e.as_ref().map(|e| self.boxed(e)).transpose();
                Node::Slice(self.named(x)?, opt(a)?, opt(b)?)
            }
            Expr::Assert(x, t) => {
                let t = match t {
                    Some(t) => Some(self.need_type(t)?),
                    None => None,
                };
                Node::Assert(self.named(x)?, t)
            }
            Expr::Call(f, args) => self.call(f, args)?,
            Expr::Unary("*", x) => match self.as_type(e) {
                Some(t) => Node::Type(t),
                None => Node::Unary("*", self.named(x)?),
            },
            Expr::Unary(o, x) => Node::Unary(o, self.named(x)?),
            Expr::Binary(o, a, b) => Node::Binary(o, self.named(a)?, self.named(b)?),
            Expr::Type(t) => Node::Type(lookup(self.r.dwarf, t, &self.package).ok_or_else(|| no_type(t))?),
        })
    }

    fn local(&self, name: &str) -> Option<&ScopeVariable> {
        self.locals.iter().rev().find(|v| v.name == name && !v.flags.shadowed)
    }

    fn ident(&self, n: &str) -> Result<Node, EvalError> {
        if let Some(v) = self.local(n) {
            return Ok(Node::Local(v.clone()));
        }
        if let Some(x) = self.package_level(&format!("{}.{n}", self.package)) {
            return Ok(x);
        }
        match n {
            "true" | "false" => return Ok(Node::Const(Const::Bool(n == "true"), None)),
            "nil" => return Ok(Node::Const(Const::Nil, None)),
            _ => {}
        }
        if let Some(t) = lookup(self.r.dwarf, n, &self.package) {
            return Ok(Node::Type(t));
        }
        let lower = n.to_ascii_lowercase();
        if let Some(i) = registers::NAMES.iter().position(|r| *r == lower) {
            return Ok(Node::Register(i as u16));
        }
        Err(EvalError::NoSymbol(n.to_string()))
    }

    /// A variable, constant or function by its full name.
    fn package_level(&self, full: &str) -> Option<Node> {
        if let Some(v) = self.r.package_variable(full) {
            return Some(Node::Value(v));
        }
        let d = self.r.dwarf;
        if let Some(die) = d.constant_by_name(full).and_then(|o| d.die(o)) {
            return self.constant(&die);
        }
        let s = self.r.rt.symbols();
        let f = s.functions_by_name(full).first().copied()?;
        Some(Node::Func(full.to_string(), f.entry))
    }

    fn constant(&self, die: &Die<'_>) -> Option<Node> {
        let v = die.i64(gimli::DW_AT_const_value)?;
        let ty = die.type_ref().map(|t| self.r.dwarf.go_type(t));
        Some(Node::Const(Const::Int(i128::from(v)), ty))
    }

    fn select(&self, x: &Expr, n: &str) -> Result<Node, EvalError> {
        let package = match x {
            Expr::Ident(p) if self.local(p).is_none() => Some(p.clone()),
            Expr::Str(p) => Some(String::from_utf8_lossy(p).into_owned()),
            _ => None,
        };
        if let Expr::Select(a, b) = x
            && matches!(&**a, Expr::Ident(p) if p == "runtime")
            && (b.as_str(), n) == ("curg", "goid")
        {
            return Ok(Node::Special(Special::Goid));
        }
        if let Some(p) = package {
            if p == "runtime" {
                match n {
                    "curg" => return Ok(Node::Special(Special::Curg)),
                    "threadid" => return Ok(Node::Special(Special::ThreadId)),
                    "frameoff" => return Ok(Node::Special(Special::FrameOffset)),
                    _ => {}
                }
            }
            for path in packages(self.r.dwarf, &p) {
                let full = format!("{path}.{n}");
                if let Some(x) = self.package_level(&full) {
                    return Ok(x);
                }
                if let Some(o) = self.r.dwarf.type_by_name(&full) {
                    return Ok(Node::Type(self.r.dwarf.go_type(o)));
                }
            }
            // A function or type of the package's name is not what is meant.
            let value = !matches!(x, Expr::Str(_)) && matches!(self.ident(&p), Ok(Node::Value(_)));
            if !value {
                return Err(EvalError::NoSymbol(format!("{p}.{n}")));
            }
        }
        Ok(Node::Select(self.named(x)?, n.to_string()))
    }

    fn call(&self, f: &Expr, args: &[Expr]) -> Result<Node, EvalError> {
        if let Expr::Ident(n) = f
            && let Some(b) = BUILTINS.iter().find(|b| *b == n)
            && self.local(n).is_none()
        {
            let args = args.iter().map(|a| Ok(*self.named(a)?)).collect::<Result<_, EvalError>>()?;
            return Ok(Node::Builtin(b, args));
        }
        if let Some(t) = self.as_type(f) {
            return match args {
                [x] => Ok(Node::Convert(t, self.named(x)?)),
                _ => other(format!("wrong number of arguments for conversion to {}", t.name)),
            };
        }
        self.node(f)?;
        other("function calls not allowed without using 'call'")
    }

    fn need_type(&self, e: &Expr) -> Result<Arc<GoType>, EvalError> {
        self.as_type(e).ok_or_else(|| no_type(&e.to_string()))
    }

    /// The type that an expression names; none if it is a value.
    fn as_type(&self, e: &Expr) -> Option<Arc<GoType>> {
        let text = self.type_text(e)?;
        lookup(self.r.dwarf, &text, &self.package)
    }

    fn type_text(&self, e: &Expr) -> Option<String> {
        Some(match e {
            Expr::Ident(n) if self.local(n).is_some() => return None,
            Expr::Ident(n) => n.clone(),
            Expr::Type(t) => t.clone(),
            Expr::Str(s) => String::from_utf8_lossy(s).into_owned(),
            Expr::Select(x, n) => match &**x {
                Expr::Ident(p) if self.local(p).is_none() => format!("{p}.{n}"),
                Expr::Str(p) => format!("{}.{n}", String::from_utf8_lossy(p)),
                _ => return None,
            },
            Expr::Unary("*", x) => format!("*{}", self.type_text(x)?),
            Expr::Index(x, args) => {
                let args: Option<Vec<String>> = args.iter().map(|a| self.type_text(a)).collect();
                format!("{}[{}]", self.type_text(x)?, args?.join(","))
            }
            _ => return None,
        })
    }
}

fn no_type(t: &str) -> EvalError {
    EvalError::Other(format!("could not find type {t}"))
}
