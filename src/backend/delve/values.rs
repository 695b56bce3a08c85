//! Delve's values as rows of a tree, in the same words as our own reader writes them.

use super::wire::{self, LoadConfig, Scope};
use crate::backend::protocol::LoadLimits;
use crate::base::LoadAddr;
use crate::base::redact::Hide;
use crate::goruntime::value::{Loaded, print, unavailable_text, var_kind};
use crate::model::{Unavailable, VarFlags, VarKind, Variable};
use crate::symbols::dwarf::{DieOff, GoType, TypeKind};
use base64::Engine as _;
use std::sync::Arc;

/// Bits of `api.VariableFlags`.
mod flag {
    pub const ESCAPED: u16 = 1;
    pub const SHADOWED: u16 = 1 << 1;
    pub const CONSTANT: u16 = 1 << 2;
    pub const ARGUMENT: u16 = 1 << 3;
    pub const RESULT: u16 = 1 << 4;
    pub const FAKE_ADDRESS: u16 = 1 << 5;
}

/// Most elements that are asked for at once, whatever the limits say.
const MAX_ELEMENTS: u32 = 10_000;
/// Longest string that is asked for, bytes.
const MAX_STRING: u32 = 16 << 20;
/// Deepest nesting that is asked for.
const MAX_DEPTH: u32 = 16;

/// How a value that was given out is read again.
#[derive(Clone, Debug)]
pub struct Given {
    /// Where names in `fetch` are looked up.
    pub scope: Scope,
    /// What a user would write; empty if there is nothing.
    pub expression: String,
    /// What Delve is asked: by address and type where it has an address.
    pub fetch: String,
    /// Its name in the tree.
    pub name: String,
    /// Its kind.
    pub kind: VarKind,
}

/// Our limits in Delve's words, `deeper` levels below what they say.
pub fn config(l: LoadLimits, deeper: u32) -> LoadConfig {
    LoadConfig {
        follow: true,
        depth: i64::from(l.depth.min(MAX_DEPTH) + deeper),
        string: i64::from(l.string.min(MAX_STRING)),
        elements: i64::from(l.elements.min(MAX_ELEMENTS)),
        fields: if l.fields == u32::MAX { -1 } else { i64::from(l.fields) },
    }
}

/// `reflect.Kind` as kind of type; what elements are made of does not matter here.
fn type_kind(v: &wire::Variable) -> TypeKind {
    let (none, unknown) = (None, DieOff::default());
    match v.kind {
        1 => TypeKind::Bool,
        2..=6 => TypeKind::Int,
        7..=12 => TypeKind::Uint,
        13 | 14 => TypeKind::Float,
        15 | 16 => TypeKind::Complex,
        17 => TypeKind::Array { elem: unknown, count: u64::try_from(v.len).unwrap_or(0) },
        18 => TypeKind::Chan { elem: unknown, inner: none },
        19 => TypeKind::Func,
        20 => TypeKind::Interface { methods: false },
        21 => TypeKind::Map { key: unknown, elem: unknown, inner: unknown },
        22 => TypeKind::Pointer { elem: none },
        23 => TypeKind::Slice { elem: unknown },
        24 => TypeKind::String,
        25 => TypeKind::Struct { fields: Vec::new() },
        26 => TypeKind::UnsafePointer,
        _ => TypeKind::Void,
    }
}

fn in_memory(v: &wire::Variable) -> bool {
    v.addr != 0 && v.flags & flag::FAKE_ADDRESS == 0
}

/// What Delve says of a value that is nowhere begins otherwise in every release.
fn unavailable(text: &str) -> Unavailable {
    let gone = ["could not find loclist entry", "empty OP stack", "location list"].iter().any(|w| text.contains(w));
    let pc = text.rsplit("address 0x").next().and_then(|h| u64::from_str_radix(h.trim(), 16).ok());
    match (gone, pc) {
        (true, Some(pc)) => Unavailable::OptimisedOut { pc: LoadAddr(pc), why: String::new() },
        (true, None) => Unavailable::Other("optimised out here".into()),
        (false, _) => Unavailable::Other(text.to_string()),
    }
}

/// As our own reader would have read it.
fn loaded(v: &wire::Variable) -> Loaded {
    let kind = type_kind(v);
    let number =
        |name: &str| v.children.iter().find(|c| c.name == name).and_then(|c| c.value.parse::<i64>().ok()).unwrap_or(0);
    let value = match &kind {
        TypeKind::String if !v.bytes.is_empty() => {
            base64::engine::general_purpose::STANDARD.decode(&v.bytes).unwrap_or_else(|_| v.value.clone().into_bytes())
        }
        TypeKind::Complex => match v.children.as_slice() {
            [re, im] => format!("({} + {}i)", re.value, im.value).into_bytes(),
            _ => v.value.clone().into_bytes(),
        },
        _ => v.value.clone().into_bytes(),
    };
    let (len, cap) = match &kind {
        TypeKind::Chan { .. } => (number("qcount"), number("dataqsiz")),
        _ => (v.len, v.cap),
    };
    let nil_interface =
        matches!(kind, TypeKind::Interface { .. }) && v.children.first().is_none_or(|c| c.kind == 0 && c.addr == 0);
    // What a channel is made of and what a closure captured is for the tree, not for the line.
    let inside = matches!(kind, TypeKind::Chan { .. } | TypeKind::Func | TypeKind::Complex);
    Loaded {
        name: v.name.clone(),
        addr: LoadAddr(v.addr),
        exists: v.addr != 0,
        base: LoadAddr(match &kind {
            TypeKind::Chan { .. } if v.children.is_empty() => 0,
            TypeKind::Chan { .. } => v.base.max(1),
            _ => v.base,
        }),
        value,
        len,
        cap,
        children: if inside { Vec::new() } else { v.children.iter().map(loaded).collect() },
        only_addr: v.only_addr,
        unreadable: (!v.unreadable.is_empty()).then(|| unavailable(&v.unreadable)),
        nil_interface,
        redacted: None,
        hide: Hide::No,
        ty: Arc::new(GoType { name: v.ty.clone(), kind, ..GoType::default() }),
    }
}

/// The value in one line.
pub fn text(v: &wire::Variable) -> String {
    print::single_line(&loaded(v))
}

/// How many children it has.
fn child_count(v: &wire::Variable, l: &Loaded) -> u64 {
    let positive = |n: i64| u64::try_from(n).unwrap_or(0);
    match &l.ty.kind {
        _ if l.unreadable.is_some() => 0,
        TypeKind::Struct { .. } | TypeKind::Array { .. } | TypeKind::Func => positive(v.len),
        TypeKind::Slice { .. } | TypeKind::Map { .. } if v.base == 0 && v.children.is_empty() => 0,
        TypeKind::Slice { .. } | TypeKind::Map { .. } => positive(v.len),
        TypeKind::Chan { .. } => positive(l.len),
        TypeKind::Interface { .. } => u64::from(l.exists && !l.nil_interface),
        TypeKind::Pointer { .. } => match v.children.first() {
            None => 0,
            Some(to) if to.addr == 0 || to.kind == 0 => 0,
            Some(to) if to.kind == 25 => positive(to.len),
            Some(_) => 1,
        },
        _ => 0,
    }
}

fn flags(v: &wire::Variable) -> VarFlags {
    VarFlags {
        argument: v.flags & flag::ARGUMENT != 0,
        result: v.flags & flag::RESULT != 0,
        shadowed: v.flags & flag::SHADOWED != 0,
        escaped: v.flags & flag::ESCAPED != 0,
        constant: v.flags & flag::CONSTANT != 0,
        ..VarFlags::default()
    }
}

/// `*(*"main.T")(0xc000012345)`: what leads to a value wherever names are looked up; none for what has no address.
fn by_address(v: &wire::Variable) -> Option<String> {
    let plain = !v.ty.is_empty() && !v.ty.contains(['"', '`', '\\']);
    (in_memory(v) && plain).then(|| format!("*(*\"{}\")({:#x})", v.ty, v.addr))
}

/// A value as a row, and how more of it is had.
pub fn row(v: &wire::Variable, name: String, expression: String, scope: Scope) -> (Variable, Option<Given>) {
    let l = loaded(v);
    let kind = var_kind(&l.ty.kind);
    let children = child_count(v, &l);
    let has_len = matches!(kind, VarKind::String | VarKind::Slice | VarKind::Array | VarKind::Map | VarKind::Chan);
    let fetch = by_address(v).or_else(|| (!expression.is_empty()).then(|| expression.clone()));
    let given = fetch.filter(|_| children > 0).map(|fetch| Given {
        scope,
        expression: expression.clone(),
        fetch,
        name: name.clone(),
        kind,
    });
    let variable = Variable {
        name,
        expression,
        type_name: v.ty.clone(),
        kind,
        value: print::single_line(&l),
        addr: if in_memory(v) { LoadAddr(v.addr) } else { LoadAddr(0) },
        len: has_len.then(|| u64::try_from(l.len).ok()).flatten(),
        cap: matches!(kind, VarKind::Slice | VarKind::Chan).then(|| u64::try_from(l.cap).ok()).flatten(),
        children: if given.is_some() { children } else { 0 },
        handle: 0,
        flags: flags(v),
        unavailable: l.unreadable,
    };
    (variable, given)
}

/// A variable of a scope, under its own name.
pub fn named(v: &wire::Variable, scope: Scope) -> (Variable, Option<Given>) {
    // A hidden variable's name means another one, and unnamed results have none.
    let expression = match v.flags & flag::SHADOWED != 0 || v.name.starts_with('~') || v.name == "_" {
        true => String::new(),
        false => v.name.clone(),
    };
    row(v, v.name.clone(), expression, scope)
}

/// What Delve is asked for children `start..` of a value, and how many levels deeper than one of them is loaded.
pub fn question(g: &Given, start: u64) -> (String, u32) {
    let from = |e: &str| if start == 0 { e.to_string() } else { format!("({e})[{start}:]") };
    match g.kind {
        VarKind::Array | VarKind::Slice | VarKind::Map => (from(&g.fetch), 1),
        VarKind::Interface => (g.fetch.clone(), 0),
        _ => (g.fetch.clone(), 1),
    }
}

/// Children of a value that was read as [`question`] says, the first of them being number `start`.
pub fn children(v: &wire::Variable, g: &Given, start: u64, count: u64) -> Vec<(Variable, Option<Given>)> {
    let window =
        |skip: u64| (usize::try_from(skip).unwrap_or(usize::MAX), usize::try_from(count).unwrap_or(usize::MAX));
    let fields = |of: &wire::Variable| {
        let (skip, take) = window(start);
        let one = |f: &wire::Variable| {
            let expression =
                if f.name == "_" { String::new() } else { suffixed(&g.expression, &format!(".{}", f.name)) };
            row(f, f.name.clone(), expression, g.scope)
        };
        of.children.iter().skip(skip).take(take).map(one).collect::<Vec<_>>()
    };
    match g.kind {
        VarKind::Struct => fields(v),
        VarKind::Array | VarKind::Slice => {
            let numbered = (start..).zip(v.children.iter().take(window(0).1));
            let one = |(i, e): (u64, &wire::Variable)| {
                row(e, format!("[{i}]"), suffixed(&g.expression, &format!("[{i}]")), g.scope)
            };
            numbered.map(one).collect()
        }
        VarKind::Map => {
            let pairs = v.children.chunks_exact(2).take(window(0).1);
            pairs.map(|p| entry(&p[0], &p[1], g)).collect()
        }
        VarKind::Pointer => match v.children.first() {
            Some(to) if to.kind == 25 => fields(to),
            Some(to) if start == 0 => {
                let expression = if g.expression.is_empty() { String::new() } else { format!("*{}", g.expression) };
                vec![row(to, format!("*{}", g.name), expression, g.scope)]
            }
            _ => Vec::new(),
        },
        VarKind::Interface => match v.children.first() {
            Some(data) if start == 0 => vec![row(data, "data".into(), suffixed(&g.expression, ".(data)"), g.scope)],
            _ => Vec::new(),
        },
        VarKind::Chan => buffered(v, g, start, count),
        VarKind::Func => {
            let (skip, take) = window(start);
            v.children.iter().skip(skip).take(take).map(|c| row(c, c.name.clone(), String::new(), g.scope)).collect()
        }
        _ => Vec::new(),
    }
}

fn entry(key: &wire::Variable, value: &wire::Variable, g: &Given) -> (Variable, Option<Given>) {
    let k = loaded(key);
    let shown = print::single_line(&k);
    let literal = matches!(k.ty.kind, TypeKind::Bool | TypeKind::Int | TypeKind::Uint | TypeKind::String);
    let whole = k.unreadable.is_none() && (k.ty.kind != TypeKind::String || k.value.len() as i64 == k.len);
    // `main.Red (1)`: the number is what can be written.
    let plain = match shown.rsplit_once(" (") {
        Some((_, n)) if k.ty.kind != TypeKind::String => n.trim_end_matches(')').to_string(),
        _ => shown.clone(),
    };
    let expression = if literal && whole { suffixed(&g.expression, &format!("[{plain}]")) } else { String::new() };
    row(value, format!("[{shown}]"), expression, g.scope)
}

/// Elements in a channel's buffer, the next to be received first.
fn buffered(v: &wire::Variable, g: &Given, start: u64, count: u64) -> Vec<(Variable, Option<Given>)> {
    let field = |name: &str| v.children.iter().find(|c| c.name == name);
    let number = |name: &str| field(name).and_then(|c| c.value.parse::<u64>().ok()).unwrap_or(0);
    let Some(buf) = field("buf") else { return Vec::new() };
    let (held, size, first) = (number("qcount"), number("dataqsiz"), number("recvx"));
    if size == 0 {
        return Vec::new();
    }
    let end = held.min(size).min(start.saturating_add(count));
    let at = |i: u64| buf.children.get(usize::try_from(first.wrapping_add(i) % size).ok()?).map(|e| (i, e));
    (start..end).map_while(at).map(|(i, e)| row(e, format!("[{i}]"), String::new(), g.scope)).collect()
}

/// `x` and `.f` to `x.f`; with parentheses where `x` is more than a name.
fn suffixed(x: &str, suffix: &str) -> String {
    match x {
        "" => String::new(),
        x if x.starts_with(['*', '&', '-', '!', '^']) => format!("({x}){suffix}"),
        x => format!("{x}{suffix}"),
    }
}

/// Why a value is not there, in words.
pub fn why(v: &wire::Variable) -> Option<String> {
    (!v.unreadable.is_empty()).then(|| unavailable_text(&unavailable(&v.unreadable)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPE: Scope = Scope { goroutine: -1, frame: 0 };

    fn var(json: &str) -> wire::Variable {
        serde_json::from_str(json).expect("a variable")
    }

    #[test]
    fn lines_are_as_our_reader_writes_them() {
        for (json, want) in [
            (r#"{"type":"int","kind":2,"addr":8,"value":"7"}"#, "7"),
            (r#"{"type":"string","kind":24,"addr":8,"value":"ab","len":9}"#, "\"ab...+7 more\""),
            (r#"{"type":"string","kind":24,"addr":8,"value":"�","StringValueBytes":"/w==","len":1}"#, "\"\\xff\""),
            (
                r#"{"type":"*main.T","kind":22,"addr":8,"children":[{"type":"main.T","kind":25,"addr":0}]}"#,
                "*main.T nil",
            ),
            (r#"{"type":"error","kind":20,"addr":8,"children":[{"kind":0}]}"#, "error nil"),
            (
                r#"{"type":"chan int","kind":18,"addr":8,"base":64,"children":[{"name":"qcount","value":"1"},{"name":"dataqsiz","value":"4"}]}"#,
                "chan int 1/4",
            ),
            (r#"{"type":"chan int","kind":18,"addr":8}"#, "chan int nil"),
            (
                r#"{"type":"[]int","kind":23,"addr":8,"base":64,"len":2,"cap":2,"children":[{"kind":2,"addr":64,"value":"1"},{"kind":2,"addr":72,"value":"2"}]}"#,
                "[]int len: 2, cap: 2, [1,2]",
            ),
            (
                r#"{"type":"complex128","kind":16,"addr":8,"value":"(1 + 2i)","len":2,"children":[{"value":"1"},{"value":"2"}]}"#,
                "(1 + 2i)",
            ),
            (
                r#"{"type":"int","kind":2,"unreadable":"could not find loclist entry at 0x3 for address 0x4a1f36"}"#,
                "<optimised out at 0x4a1f36>",
            ),
        ] {
            assert_eq!(text(&var(json)), want, "{json}");
        }
    }

    #[test]
    fn more_is_asked_for_by_address() {
        let v = var(r#"{"name":"s","type":"[]main.item","kind":23,"addr":80,"base":64,"len":200,"cap":200}"#);
        let (shown, given) = named(&v, SCOPE);
        let g = given.expect("there is more");
        assert_eq!((shown.children, question(&g, 64)), (200, ("(*(*\"[]main.item\")(0x50))[64:]".into(), 1)));
        // In a register: by its name.
        let r = var(r#"{"name":"s","type":"[]main.item","kind":23,"addr":80,"flags":32,"base":64,"len":200}"#);
        assert_eq!(named(&r, SCOPE).1.expect("more").fetch, "s");
    }

    #[test]
    fn entries_of_maps_are_named_by_their_keys() {
        let m = var(
            r#"{"type":"map[string]int","kind":21,"addr":8,"base":9,"len":1,"children":[{"type":"string","kind":24,"addr":1,"value":"a","len":1},{"type":"int","kind":2,"addr":2,"value":"5"}]}"#,
        );
        let g = named(&wire::Variable { name: "m".into(), ..m.clone() }, SCOPE).1.expect("entries");
        let rows = children(&m, &g, 0, 10);
        assert_eq!((rows[0].0.name.as_str(), rows[0].0.expression.as_str()), ("[\"a\"]", "m[\"a\"]"));
    }
}
