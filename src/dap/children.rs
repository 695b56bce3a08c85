//! What is inside a value, with names and expressions as Delve gives them (`childrenToDAPVariables`).

use super::message::{Call, Trouble, id, sentence};
use super::present::{How, Shown, is_text};
use super::session::{FIRST_HANDLE, Session};
use super::text;
use super::types::Variables;
use crate::backend::protocol::*;
use crate::base::text::quoted;
use crate::model::{ValueTree, VarKind};
use serde_json::{Value, json};

/// Longest key of a map as a name.
const MAX_KEY: usize = 64;
/// Elements of one page, whatever is asked for.
const MAX_PAGE: u64 = 10_000;
/// Values that are kept for an editor at one stop.
const MAX_HELD: usize = 1_000_000;

/// What a number given to the editor stands for.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub tree: ValueTree,
    /// An expression for it in the frame; empty for none.
    pub expression: String,
    pub kind: HeldKind,
    /// Index of the first child, for pages.
    pub start: u64,
    pub frame: FrameRef,
}

/// Scopes have children only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HeldKind {
    Value,
    Scope,
    /// Of this package.
    Globals(String),
    Registers,
    /// Results of a call: they have no expressions.
    Results,
}

/// A child, before it is presented.
struct Child {
    name: String,
    expression: String,
    tree: ValueTree,
}

/// `x` and `.f`; nothing where `x` has no expression.
fn member(x: &str, suffix: &str) -> String {
    if x.is_empty() { String::new() } else { format!("{x}{suffix}") }
}

impl Held {
    /// Children of everything but maps.
    fn children(&self) -> Vec<Child> {
        let one = |(i, c): (usize, &ValueTree)| {
            let x = &self.expression;
            let no_name = c.name.is_empty() || c.name.starts_with(['~', '.']) || c.name == "_";
            let (name, expression) = match (&self.kind, self.tree.kind) {
                (HeldKind::Registers, _) => {
                    (format!("{:>6}", c.name.to_lowercase()), format!("_{}", c.name.to_uppercase()))
                }
                (HeldKind::Results, _) => (c.name.clone(), String::new()),
                (HeldKind::Scope, _) => (c.name.clone(), if no_name { String::new() } else { c.name.clone() }),
                (HeldKind::Globals(_), _) => (c.name.clone(), member(x, &format!(".{}", c.name))),
                (_, VarKind::Slice | VarKind::Array) => {
                    let i = self.start + i as u64;
                    (format!("[{i}]"), member(x, &format!("[{i}]")))
                }
                (_, VarKind::Pointer) if x.is_empty() => (String::new(), String::new()),
                (_, VarKind::Pointer) => (String::new(), format!("(*{x})")),
                (_, VarKind::Interface) => ("data".into(), member(x, ".(data)")),
                (_, VarKind::Complex | VarKind::Chan) => (c.name.clone(), String::new()),
                _ => (c.name.clone(), if no_name { String::new() } else { member(x, &format!(".{}", c.name)) }),
            };
            let name = if c.flags.shadowed { format!("({name})") } else { name };
            // A hidden variable's name would find the one that hides it.
            let expression = if c.flags.shadowed { String::new() } else { expression };
            Child { name, expression, tree: c.clone() }
        };
        self.tree.children.iter().enumerate().map(one).collect()
    }

    /// The expression for an entry of a map.
    fn entry_expression(&self, key: &ValueTree) -> String {
        let literal = match key.kind {
            VarKind::Bool | VarKind::Int | VarKind::Uint | VarKind::Float | VarKind::Complex => {
                let text = String::from_utf8_lossy(&key.value).into_owned();
                // `Name (3)` is the number 3.
                match text.strip_suffix(')').and_then(|t| t.rsplit_once(" (")) {
                    Some((_, n)) if key.kind != VarKind::Complex => n.to_string(),
                    _ => text,
                }
            }
            VarKind::String if key.len == key.value.len() as i64 => quoted(&key.value, usize::MAX),
            _ => key_expression(key),
        };
        if literal.is_empty() { String::new() } else { member(&self.expression, &format!("[{literal}]")) }
    }
}

/// An expression for a key, by its address.
fn key_expression(key: &ValueTree) -> String {
    if key.addr.is_nil() { String::new() } else { format!("(*(*\"{}\")({:#x}))", key.type_name, key.addr.0) }
}

/// A variable as the editor is told of it.
fn variable(name: &str, expression: &str, s: &Shown, tree: Option<&ValueTree>) -> Value {
    let mut v = json!({"name": name, "value": s.value, "variablesReference": s.reference});
    if !s.type_name.is_empty() {
        v["type"] = json!(s.type_name);
    }
    if !expression.is_empty() {
        v["evaluateName"] = json!(expression);
    }
    if s.indexed > 0 {
        v["indexedVariables"] = json!(s.indexed);
    }
    if s.named > 0 {
        v["namedVariables"] = json!(s.named);
    }
    if let Some(t) = tree.filter(|t| t.unreadable.is_none() && matches!(t.kind, VarKind::Slice | VarKind::String)) {
        let at = if t.base.is_nil() { t.addr } else { t.base };
        if !at.is_nil() {
            v["memoryReference"] = json!(format!("{:#x}", at.0));
        }
    }
    v
}

impl Session {
    /// Keeps a value for the editor; its number.
    pub fn hold(&mut self, h: Held) -> i64 {
        if self.values.len() >= MAX_HELD {
            return 0;
        }
        self.values.push(h);
        FIRST_HANDLE + self.values.len() as i64 - 1
    }

    /// What a number stands for.
    pub fn held(&self, reference: i64) -> Option<&Held> {
        self.values.get(usize::try_from(reference - FIRST_HANDLE).ok()?)
    }

    pub async fn variables(&mut self, c: &Call) -> Result<Value, Trouble> {
        const SUMMARY: &str = "Unable to lookup variable";
        let a: Variables = c.args()?;
        let r = a.variables_reference;
        let Some(mut h) = self.held(r).cloned() else {
            return Err(Trouble::new(id::VARIABLE, SUMMARY, format!("unknown reference {r}")));
        };
        let filter = a.filter.as_deref().unwrap_or("");
        if filter == "indexed" {
            let start = a.start.unwrap_or(0).max(0) as u64;
            let count = a.count.unwrap_or(0).max(0) as u64;
            h = self.page(h, start, count).await.map_err(|why| Trouble::new(id::VARIABLE, SUMMARY, why))?;
        }
        let mut out = Vec::new();
        if filter != "indexed" {
            out.extend(self.facts(&h).await);
        }
        // What can be had in pages is no named child.
        let pages = matches!(h.tree.kind, VarKind::Slice | VarKind::Array | VarKind::Map);
        if filter != "named" || !pages {
            out.extend(self.children(&h).await);
        }
        Ok(json!({ "variables": out }))
    }

    /// Elements from `start` on, `count` of them; what was read already is taken.
    async fn page(&mut self, h: Held, start: u64, count: u64) -> Result<Held, String> {
        let each = if h.tree.kind == VarKind::Map { 2 } else { 1 };
        if !matches!(h.tree.kind, VarKind::Slice | VarKind::Array | VarKind::Map) {
            return Ok(h);
        }
        let total = u64::try_from(h.tree.len).unwrap_or(0);
        let count = if count == 0 { total.saturating_sub(start) } else { count }.min(MAX_PAGE);
        if start == 0 && (count * each == h.tree.children.len() as u64 || h.tree.handle == 0) {
            return Ok(h);
        }
        let part = ValuesOf::Part { handle: h.tree.handle, start, count };
        match self.ask(Request::Values { of: part, limits: self.limits() }).await {
            Ok(Reply::Values { mut values, .. }) if !values.is_empty() => {
                let children = values.remove(0).children;
                Ok(Held { tree: ValueTree { children, ..h.tree }, start, ..h })
            }
            Ok(_) => Err("the value is gone".into()),
            Err(f) => Err(sentence(&f)),
        }
    }

    /// What is said beside the elements.
    async fn facts(&mut self, h: &Held) -> Vec<Value> {
        let mut out = Vec::new();
        if h.tree.kind == VarKind::Map && h.tree.len > 0 {
            let s = Shown { value: h.tree.len.to_string(), type_name: "int".into(), ..Shown::default() };
            let e = if h.expression.is_empty() { String::new() } else { format!("len({})", h.expression) };
            out.push(variable("len()", &e, &s, None));
        }
        if is_text(&h.tree) && h.kind == HeldKind::Value {
            let limit = u64::from(self.limits().string);
            let wanted = u64::try_from(h.tree.len).unwrap_or(0).min(limit);
            let page = self.page(Held { start: 0, ..h.clone() }, 0, wanted).await;
            let children = page.map_or_else(|_| h.tree.children.clone(), |p| p.tree.children);
            let bytes = as_text(&children);
            let s = Shown { value: quoted(&bytes, usize::MAX), type_name: "string".into(), ..Shown::default() };
            out.push(variable("string()", "", &s, None));
        }
        out
    }

    async fn children(&mut self, h: &Held) -> Vec<Value> {
        if h.tree.kind == VarKind::Map {
            return self.entries(h).await;
        }
        let mut out = Vec::new();
        for c in h.children() {
            if h.kind == HeldKind::Registers {
                let s = Shown { value: text::line(&c.tree, false), ..Shown::default() };
                out.push(variable(&c.name, &c.expression, &s, None));
                continue;
            }
            let s = self.present(c.tree.clone(), &c.expression, How::default(), h.frame).await;
            out.push(variable(&c.name, &c.expression, &s, Some(&c.tree)));
        }
        out
    }

    /// Entries of a map: key and value in one row where one of them has nothing inside, else in two.
    async fn entries(&mut self, h: &Held) -> Vec<Value> {
        let mut out = Vec::new();
        for (i, pair) in h.tree.children.chunks(2).enumerate() {
            let [key, value] = pair else { continue };
            let i = h.start + i as u64;
            let (key_at, value_at) = (key_expression(key), h.entry_expression(key));
            let k = self.present(key.clone(), &key_at, How::default(), h.frame).await;
            let v = self.present(value.clone(), &value_at, How::default(), h.frame).await;
            if k.reference != 0 && v.reference != 0 {
                out.push(variable(&format!("[key {i}]"), &key_at, &k, None));
                out.push(variable(&format!("[val {i}]"), &value_at, &v, None));
                continue;
            }
            let mut name = k.value.clone();
            if k.reference != 0 && name.len() > MAX_KEY {
                let cut = (0..=MAX_KEY).rev().find(|i| name.is_char_boundary(*i)).unwrap_or(0);
                name = format!("{}... @ {:#x}", &name[..cut], key.addr.0);
            }
            let type_name = match (k.type_name.is_empty(), v.type_name.is_empty()) {
                (false, false) => format!("{}: {}", k.type_name, v.type_name),
                _ => v.type_name.clone(),
            };
            let opened = if k.reference != 0 { &k } else { &v };
            let closed = opened.reference == 0;
            let s = Shown {
                value: v.value.clone(),
                type_name,
                reference: opened.reference,
                indexed: if closed { 0 } else { opened.indexed },
                named: if closed { 0 } else { opened.named },
            };
            out.push(variable(&name, &value_at, &s, None));
        }
        out
    }

    /// The expression of a child by the name under which the editor knows it, and the frame in which it is meant.
    pub async fn evaluate_name(&mut self, reference: i64, name: &str) -> Result<(FrameRef, String), String> {
        let Some(h) = self.held(reference).cloned() else { return Err(format!("unknown reference {reference}")) };
        let mut found = None;
        if h.tree.kind == VarKind::Map {
            let pairs = h.tree.children.chunks(2).enumerate();
            for (i, pair) in pairs {
                let [key, _] = pair else { continue };
                let i = h.start + i as u64;
                let how = How { alone: true, full: false };
                let shown = self.present(key.clone(), "", how, h.frame).await.value;
                if name == format!("[val {i}]") || name == shown {
                    found = Some(h.entry_expression(key));
                    break;
                }
            }
        } else if let Some(index) = index_of(&h, name) {
            // Also of a page that is not at hand.
            found = Some(member(&h.expression, &format!("[{index}]")));
        } else {
            found = h.children().into_iter().find(|c| c.name == name).map(|c| c.expression);
        }
        match found {
            Some(e) if !e.is_empty() => Ok((h.frame, e)),
            Some(_) => Err("cannot set the variable without evaluate name".into()),
            None => Err("failed to find the named variable".into()),
        }
    }
}

/// `[3]` of an array or slice that has so many.
fn index_of(h: &Held, name: &str) -> Option<i64> {
    if !matches!(h.tree.kind, VarKind::Slice | VarKind::Array) || h.kind != HeldKind::Value {
        return None;
    }
    let i = name.strip_prefix('[')?.strip_suffix(']')?.parse::<i64>().ok()?;
    (0..h.tree.len).contains(&i).then_some(i)
}

/// Bytes or runes as text.
fn as_text(children: &[ValueTree]) -> Vec<u8> {
    let number = |c: &ValueTree| {
        let t = String::from_utf8_lossy(&c.value);
        let t = t.strip_suffix(')').and_then(|t| t.rsplit_once('(')).map_or_else(|| t.to_string(), |x| x.1.to_string());
        t.parse::<i64>().unwrap_or(0)
    };
    let mut out = Vec::new();
    for c in children {
        match c.size {
            1 => out.push(number(c) as u8),
            _ => {
                let c = u32::try_from(number(c)).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
                out.extend(c.encode_utf8(&mut [0; 4]).bytes());
            }
        }
    }
    out
}
