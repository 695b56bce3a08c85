//! Calls of the program's own functions: which function, which bytes for its parameters. Making the call is the engine's.

use super::compile::{Node, compile_expr};
use super::constant::Const;
use super::error::{EvalError, other};
use super::parse::{Expr, parse};
use super::run::{Context, EvalValue, run};
use super::{ops, select, set};
use crate::base::{FileAddr, LoadAddr};
use crate::goruntime::abi::{self, Signature};
use crate::goruntime::value::{Place, Reader, ValueRef};
use crate::symbols::dwarf::{GoType, TypeKind};

/// Embedded fields looked through for a promoted method.
const MAX_EMBEDDED: usize = 64;
/// Longest string that is given to a function, bytes.
const MAX_TEXT: usize = 1 << 20;

/// Bytes of one argument.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// As they are.
    Bytes(Vec<u8>),
    /// A string, to be allocated in the program first.
    Text(Vec<u8>),
}

/// What is to be called, and with what.
#[derive(Clone, Debug, PartialEq)]
pub struct CallPlan {
    /// Its full name.
    pub function: String,
    /// Its entry.
    pub entry: FileAddr,
    /// The func value, for closures.
    pub closure: Option<LoadAddr>,
    /// Parameters and results.
    pub signature: Signature,
    /// One for each parameter.
    pub arguments: Vec<Argument>,
    /// Where the (only) result is to be stored.
    pub store: Option<LoadAddr>,
}

/// What an expression that may call needs.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// A call.
    Call(Box<CallPlan>),
    /// A string is allocated and assigned.
    Text {
        /// The string variable.
        to: LoadAddr,
        /// Its new contents.
        text: Vec<u8>,
    },
}

/// Plans a call, `f(x)`, `v.Method(x)`, `variable = f(x)`, or `variable = "text"`.
///
/// # Errors
/// Nothing in it needs a call, names or types do not fit, or an argument cannot be made without one more call.
pub fn plan_call(cx: &Context<'_>, text: &str) -> Result<Plan, EvalError> {
    let r = &cx.reader;
    let Some((left, right)) = assignment(text) else {
        return Ok(Plan::Call(Box::new(plan(cx, &parse(text)?)?)));
    };
    let target = compile_expr(r, &cx.scope, &parse(left)?)?;
    let EvalValue::Ref(to) = run(&target, cx)? else { return other(format!("can not assign to \"{left}\"")) };
    if !to.place.in_memory() {
        return other(format!("can not assign to \"{left}\": it is not in memory"));
    }
    let right_expr = parse(right)?;
    if let Expr::Str(s) = &right_expr
        && to.ty.kind == TypeKind::String
    {
        return Ok(Plan::Text { to: to.place.addr, text: s.clone() });
    }
    let mut call = plan(cx, &right_expr)?;
    match call.signature.results.as_slice() {
        [one] if one.ty.name == to.ty.name => call.store = Some(to.place.addr),
        [one] => return Err(EvalError::Mismatch(to.ty.name.clone(), one.ty.name.clone())),
        all => return other(format!("{} has {} results, not one to assign", call.function, all.len())),
    }
    Ok(Plan::Call(Box::new(call)))
}

/// `a = b`, with neither `==` nor `!=` and the like taken for it, nor one inside a string.
fn assignment(text: &str) -> Option<(&str, &str)> {
    let b = text.as_bytes();
    let mut quote = None;
    let mut i = 0;
    while i < b.len() {
        match (quote, b[i]) {
            (Some(_), b'\\') => i += 1,
            (Some(q), c) if c == q => quote = None,
            (None, c @ (b'"' | b'\'' | b'`')) => quote = Some(c),
            (None, b'=') if b.get(i + 1) == Some(&b'=') => i += 1,
            (None, b'=') if i > 0 && matches!(b[i - 1], b'!' | b'<' | b'>' | b':') => {}
            (None, b'=') => return Some((text[..i].trim(), text[i + 1..].trim())),
            _ => {}
        }
        i += 1;
    }
    None
}

/// Function, func value and receiver of what stands before the parentheses.
struct Callee {
    name: String,
    entry: FileAddr,
    closure: Option<LoadAddr>,
    receiver: Option<ValueRef>,
}

fn plan(cx: &Context<'_>, e: &Expr) -> Result<CallPlan, EvalError> {
    let r = &cx.reader;
    let Expr::Call(f, args) = e else {
        return other(format!("`{e}` calls no function; print evaluates it"));
    };
    let callee = callee(cx, f)?;
    if callee.name.contains("[") {
        return other(format!("{} is generic: calling it is not possible", callee.name));
    }
    let signature = abi::signature(r.dwarf, callee.entry)
        .ok_or_else(|| EvalError::Other(format!("no debug information about the parameters of {}", callee.name)))?;
    let given = args.len() + usize::from(callee.receiver.is_some());
    if given != signature.arguments.len() {
        let want = signature.arguments.len() - usize::from(callee.receiver.is_some());
        return other(format!("{} takes {want} arguments, {} are given", callee.name, args.len()));
    }
    let mut arguments = Vec::new();
    let mut parameters = signature.arguments.iter();
    if let Some(v) = &callee.receiver
        && let Some(p) = parameters.next()
    {
        arguments.push(Argument::Bytes(receiver(r, v, &p.ty)?));
    }
    for (p, a) in parameters.zip(args) {
        arguments.push(argument(cx, &p.ty, a)?);
    }
    no_stack_pointers(cx, &callee.name, &arguments)?;
    Ok(CallPlan {
        function: callee.name,
        entry: callee.entry,
        closure: callee.closure,
        signature,
        arguments,
        store: None,
    })
}

/// The callee may keep what it is given; a pointer into a stack would then dangle, and the runtime's checks end the program.
fn no_stack_pointers(cx: &Context<'_>, name: &str, arguments: &[Argument]) -> Result<(), EvalError> {
    let Ok(g) = cx.reader.rt.read_g(cx.reader.mem, cx.g) else { return Ok(()) };
    let inside = |w: &[u8]| w.try_into().is_ok_and(|w| (g.stack_lo..g.stack_hi).contains(&u64::from_le_bytes(w)));
    let bad = arguments.iter().any(|a| matches!(a, Argument::Bytes(b) if b.chunks_exact(8).any(inside)));
    if bad {
        return other(format!(
            "an argument of {name} points into the goroutine's stack, which the function might keep"
        ));
    }
    Ok(())
}

fn argument(cx: &Context<'_>, t: &GoType, e: &Expr) -> Result<Argument, EvalError> {
    let r = &cx.reader;
    if let Expr::Call(..) = e
        && let Err(EvalError::Other(m)) = compile_expr(r, &cx.scope, e)
        && m.contains("without using 'call'")
    {
        return other(format!("`{e}` is a call in a call: make it first and pass its result by a variable"));
    }
    let v = run(&compile_expr(r, &cx.scope, e)?, cx)?;
    if let EvalValue::Const(Const::Str(s), _) = &v
        && t.kind == TypeKind::String
        && !s.is_empty()
    {
        if s.len() > MAX_TEXT {
            return other(format!("a string of {} bytes is too long to be passed", s.len()));
        }
        return Ok(Argument::Text(s.to_vec()));
    }
    if let (TypeKind::Interface { methods }, EvalValue::Ref(x)) = (&t.kind, &v)
        && x.ty.name != t.name
    {
        return boxed(r, *methods, t, x, &e.to_string()).map(Argument::Bytes);
    }
    set::bytes(r, t, &v, &e.to_string()).map(Argument::Bytes)
}

/// A pointer-like value, or an interface, as another interface without methods.
fn boxed(r: &Reader<'_>, methods: bool, t: &GoType, x: &ValueRef, text: &str) -> Result<Vec<u8>, EvalError> {
    let unable = |why: &str| {
        other(format!(
            "{text} ({}) cannot be passed as {}: {why}; assign it to a variable of that type first",
            x.ty.name, t.name
        ))
    };
    if methods {
        return unable("its method table is not known");
    }
    let (rtype, data) = match &x.ty.kind {
        TypeKind::Interface { methods } => {
            let first = LoadAddr(r.word(&x.place, 0)?);
            let rtype = match (first.is_nil(), methods) {
                (true, _) => first,
                (_, true) => LoadAddr(r.word(&Place::at(first.add(8)), 0)?),
                (_, false) => first,
            };
            (rtype, r.word(&x.place, 8)?)
        }
        TypeKind::Pointer { .. }
        | TypeKind::Map { .. }
        | TypeKind::Chan { .. }
        | TypeKind::Func
        | TypeKind::UnsafePointer => {
            let Some(rtype) = r.rt.descriptor(r.dwarf, x.ty.off) else {
                return unable("its type is not in the program");
            };
            (rtype, r.word(&x.place, 0)?)
        }
        // Its bytes stay where they are: what an interface holds is never changed through it.
        _ if x.place.in_memory() => {
            let Some(rtype) = r.rt.descriptor(r.dwarf, x.ty.off) else {
                return unable("its type is not in the program");
            };
            (rtype, x.place.addr.0)
        }
        _ => return unable("it is not in memory"),
    };
    Ok([rtype.0.to_le_bytes(), data.to_le_bytes()].concat())
}

fn receiver(r: &Reader<'_>, v: &ValueRef, t: &GoType) -> Result<Vec<u8>, EvalError> {
    if v.ty.name == t.name {
        return Ok(r.read(&v.place, 0, t.size as usize)?);
    }
    if t.name.strip_prefix('*') == Some(&v.ty.name) {
        if !v.place.in_memory() {
            return other(format!("the method has a pointer receiver, and {} is not in memory", v.name));
        }
        return Ok(v.place.addr.0.to_le_bytes().to_vec());
    }
    if v.ty.name.strip_prefix('*') == Some(&t.name) {
        let to = select::deref(r, v, &v.name)?;
        return Ok(r.read(&to.place, 0, t.size as usize)?);
    }
    Err(EvalError::Mismatch(t.name.clone(), v.ty.name.clone()))
}

fn callee(cx: &Context<'_>, f: &Expr) -> Result<Callee, EvalError> {
    let r = &cx.reader;
    let plain = compile_expr(r, &cx.scope, f).and_then(|n| match n {
        Node::Type(t) => other(format!("{} is a type; print converts", t.name)),
        n => run(&n, cx),
    });
    match plain {
        Ok(EvalValue::Func(name, entry)) => Ok(Callee { name, entry, closure: None, receiver: None }),
        Ok(EvalValue::Ref(v)) if v.ty.kind == TypeKind::Func => {
            let Some((name, code)) = r.func(&v.place)? else { return other(format!("{f} is nil")) };
            let closure = Some(LoadAddr(r.word(&v.place, 0)?));
            let entry = r.rt.bias().to_file(code);
            // A method value's wrapper takes its receiver from the closure, as every closure does.
            Ok(Callee { name, entry, closure, receiver: None })
        }
        Ok(_) => other(format!("{f} is not a function")),
        Err(e) => match f {
            Expr::Select(x, method) => {
                let v = match run(&compile_expr(r, &cx.scope, x)?, cx)? {
                    EvalValue::Ref(v) => v,
                    v => match ops::constant(r, &v)? {
                        Some(_) | None => return Err(e),
                    },
                };
                method_of(r, &v, method).unwrap_or(Err(e))
            }
            _ => Err(e),
        },
    }
}

/// The method of a value's type, of what an interface holds, or of an embedded field.
fn method_of(r: &Reader<'_>, v: &ValueRef, method: &str) -> Option<Result<Callee, EvalError>> {
    let mut queue = std::collections::VecDeque::from([v.clone()]);
    let mut seen = 0;
    while let Some(v) = queue.pop_front() {
        seen += 1;
        if seen > MAX_EMBEDDED {
            return None;
        }
        let v = match &v.ty.kind {
            TypeKind::Interface { methods } => match r.interface_data(&v.place, *methods) {
                Ok(Some(inner)) => inner,
                Ok(None) => return Some(Err(EvalError::IsNil(v.name.clone()))),
                Err(e) => return Some(Err(e.into())),
            },
            _ => v,
        };
        let base = v.ty.name.trim_start_matches('*');
        let split = base.rfind('/').map_or(0, |i| i + 1);
        if let Some(dot) = base[split..].find('.') {
            let (package, name) = (&base[..split + dot], &base[split + dot + 1..]);
            for full in [format!("{package}.(*{name}).{method}"), format!("{package}.{name}.{method}")] {
                if let Some(f) = r.rt.symbols().find_function(&full) {
                    return Some(Ok(Callee { name: full, entry: f.entry, closure: None, receiver: Some(v) }));
                }
            }
        }
        let holder = match &v.ty.kind {
            TypeKind::Pointer { .. } => select::deref(r, &v, &v.name).ok(),
            _ => Some(v),
        };
        for (holder, f) in
            holder.iter().flat_map(|h| h.ty.fields().iter().map(move |f| (h, f))).filter(|(_, f)| f.embedded)
        {
            let (ty, place) = (r.dwarf.go_type(f.ty), holder.place.part(f.offset));
            queue.push_back(ValueRef { name: f.name.clone(), ty, place, ..ValueRef::default() });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::assignment;

    #[test]
    fn assignments_are_told_from_comparisons() {
        assert_eq!(assignment("a.b = f(x)"), Some(("a.b", "f(x)")));
        assert_eq!(assignment("f(a == b, \"x = y\")"), None);
        assert_eq!(assignment("f(a >= b)"), None);
        assert_eq!(assignment("s = \"a=b\""), Some(("s", "\"a=b\"")));
    }
}
