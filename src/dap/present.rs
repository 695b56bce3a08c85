//! A value as the editor sees it: one line, and a number by which it asks for what is inside. The rules are Delve's
//! (`convertVariableWithOpts` in `service/dap/server.go`), so that values look as people know them.

use super::children::{Held, HeldKind};
use super::message::sentence;
use super::session::Session;
use super::text;
use crate::backend::protocol::*;
use crate::model::{ValueTree, VarKind};

/// Longest text of a value with something inside, bytes.
const MAX_VALUE: usize = 256;

/// A value, presented.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    pub value: String,
    /// Go type, where the editor shows types; empty where not.
    pub type_name: String,
    /// For asking for what is inside; 0 for nothing.
    pub reference: i64,
    pub indexed: u64,
    pub named: u64,
}

/// How much of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct How {
    /// No number for what is inside is wanted.
    pub alone: bool,
    /// Not cut.
    pub full: bool,
}

/// `[]byte`, `[4]rune`: shown as text, too.
pub(super) fn is_text(v: &ValueTree) -> bool {
    let element = |c: &ValueTree| matches!((c.kind, c.size), (VarKind::Uint, 1) | (VarKind::Int, 4));
    matches!(v.kind, VarKind::Array | VarKind::Slice) && v.children.first().is_some_and(element)
}

/// Elements, which can be asked for in pages.
pub(super) fn indexed(v: &ValueTree) -> u64 {
    match v.kind {
        VarKind::Array | VarKind::Slice | VarKind::Map => u64::try_from(v.len).unwrap_or(0),
        _ => 0,
    }
}

/// Facts that are shown beside elements: the length of a map, the text of bytes.
pub(super) fn named(v: &ValueTree) -> u64 {
    u64::from(v.kind == VarKind::Map && v.len > 0) + u64::from(is_text(v))
}

/// The digits of `Name (3)` or `3`.
fn digits(v: &ValueTree) -> String {
    let text = String::from_utf8_lossy(&v.value).into_owned();
    match text.strip_suffix(')').and_then(|t| t.rsplit_once('(')) {
        Some((_, n)) => n.to_string(),
        None => text,
    }
}

/// A part of a complex number.
fn half(name: &str, value: &str, size: u64) -> ValueTree {
    ValueTree {
        name: name.into(),
        type_name: format!("float{}", size * 4),
        kind: VarKind::Float,
        size: size / 2,
        value: value.into(),
        exists: true,
        ..ValueTree::default()
    }
}

/// `(1 + 2i)` as its two parts.
fn halves(v: &ValueTree) -> Vec<ValueTree> {
    let text = String::from_utf8_lossy(&v.value);
    match text.strip_prefix('(').and_then(|t| t.strip_suffix("i)")).and_then(|t| t.split_once(" + ")) {
        Some((re, im)) => vec![half("real", re, v.size), half("imaginary", im, v.size)],
        None => Vec::new(),
    }
}

impl Session {
    /// Type as shown: of an interface also what is in it.
    pub fn type_of(&self, v: &ValueTree) -> String {
        if !self.editor.supports_variable_type {
            return String::new();
        }
        match v.children.first() {
            Some(data) if v.kind == VarKind::Interface && !v.nil_interface && !data.type_name.is_empty() => {
                format!("{}({})", v.type_name, data.type_name)
            }
            _ => v.type_name.clone(),
        }
    }

    /// Reads again what was too deep to be read with what it is in.
    async fn reload(&mut self, v: &mut ValueTree) -> Result<(), String> {
        if v.handle == 0 {
            return Err("it is not in memory".into());
        }
        let ask = Request::Values { of: ValuesOf::Given(v.handle), limits: self.limits() };
        match self.ask(ask).await {
            Ok(Reply::Values { mut values, .. }) if !values.is_empty() => {
                let new = values.remove(0);
                v.children = new.children;
                v.value = new.value;
                v.unreadable = new.unreadable;
                v.redacted = new.redacted;
                v.len = new.len;
                Ok(())
            }
            Ok(_) => Err("it is gone".into()),
            Err(f) => Err(sentence(&f)),
        }
    }

    /// Presents a value that `expression` stands for in a frame.
    pub async fn present(&mut self, mut v: ValueTree, expression: &str, how: How, frame: FrameRef) -> Shown {
        let raw = self.config.show_raw_strings;
        let mut value = text::line(&v, raw);
        let mut shown = Shown { type_name: self.type_of(&v), ..Shown::default() };
        if v.unreadable.is_some() || v.redacted.is_some() {
            shown.value = value;
            return shown;
        }
        let elements = if v.kind == VarKind::Map { v.children.len() as i64 / 2 } else { v.children.len() as i64 };
        let (mut again, mut inside, mut part) = (false, false, false);
        match v.kind {
            VarKind::Uint => value = format!("{value} = {:#x}", digits(&v).parse::<u64>().unwrap_or(0)),
            VarKind::Pointer => {
                let child = v.children.first();
                inside = child.is_some_and(|c| c.exists && !c.type_name.is_empty());
                again = inside && child.is_some_and(|c| c.only_addr);
            }
            VarKind::Interface => {
                let child = v.children.first();
                inside = v.exists && !v.nil_interface && child.is_some_and(|c| c.exists && !c.type_name.is_empty());
                again = inside && child.is_some_and(|c| c.only_addr);
            }
            VarKind::Slice | VarKind::Array | VarKind::Map => {
                inside = v.len > 0 && (v.kind == VarKind::Array || !v.base.is_nil());
                again = inside && v.children.is_empty();
                part = !again && v.len > elements && !self.editor.supports_variable_paging;
            }
            VarKind::Struct | VarKind::Func => {
                inside = v.len > 0;
                again = inside && v.children.is_empty();
                part = !again && v.len > elements;
            }
            VarKind::Complex => {
                v.children = halves(&v);
                inside = !v.children.is_empty();
            }
            _ => inside = v.kind == VarKind::Chan && !v.children.is_empty(),
        }
        if again {
            match self.reload(&mut v).await {
                Ok(()) => {
                    value = text::line(&v, raw);
                    shown.type_name = self.type_of(&v);
                }
                Err(why) => value = format!("{value} - FAILED TO LOAD: {why}"),
            }
            // What is still not there has nothing to open.
            inside = v.children.first().is_some_and(|c| !c.only_addr);
        }
        if part {
            value = format!("(loaded {elements}/{}) {value}", v.len);
        }
        shown.indexed = indexed(&v);
        shown.named = named(&v);
        if inside && !how.full && value.len() > MAX_VALUE {
            let cut = (0..=MAX_VALUE).rev().find(|i| value.is_char_boundary(*i)).unwrap_or(0);
            value.truncate(cut);
            value.push_str("...");
        }
        shown.value = value;
        if inside && !how.alone {
            let held = Held { tree: v, expression: expression.to_string(), kind: HeldKind::Value, start: 0, frame };
            shown.reference = self.hold(held);
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn parts_of_values() {
        let v = |s: &str| ValueTree { value: s.into(), size: 16, exists: true, ..ValueTree::default() };
        assert_eq!(digits(&v("One|Two (3)")), "3");
        assert_eq!(digits(&v("7")), "7");
        let h = halves(&v("(1.5 + -2i)"));
        assert_eq!((h[0].value.as_slice(), h[1].value.as_slice()), (&b"1.5"[..], &b"-2"[..]));
    }
}
