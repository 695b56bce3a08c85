//! What of a value is hidden: where its name, its type, what is above it or its shape say that it is a secret.
//!
//! This is where values are made into what may be shown, for variables, log points, watchpoints and screens alike. What is computed
//! of them, conditions among it, reads the true bytes.

use super::{Limits, Loaded, Place, Reader, ValueRef};
use crate::base::LoadAddr;
use crate::base::redact::{Hide, Redaction, WINDOW};
use crate::base::text;
use crate::symbols::dwarf::types::Field;
use crate::symbols::dwarf::{GoType, TypeKind};

/// Is it the first half of a pair of name and value, as headers and variables of an environment are kept?
pub(super) fn is_key(field: &str) -> bool {
    ["name", "key", "k", "header"].iter().any(|n| field.eq_ignore_ascii_case(n))
}

/// And the second half?
fn is_half(field: &str) -> bool {
    ["value", "val", "v", "values"].iter().any(|n| field.eq_ignore_ascii_case(n))
}

/// How much a field's name and tag hide, in a struct whose key hides so much of its value.
pub(super) fn field(x: &Redaction, f: &Field, pair: Hide) -> Hide {
    x.name(&f.name).max(x.tag(&f.tag)).max(if is_half(&f.name) { pair } else { Hide::No })
}

/// Is it a flag of a command line whose value comes next?
fn is_flag(x: &Redaction, text: &[u8]) -> bool {
    text.starts_with(b"-") && !text.contains(&b'=') && x.name(&String::from_utf8_lossy(text)) > Hide::No
}

/// How much a key hides of what it stands for.
pub(super) fn key(x: Option<&Redaction>, key: &Loaded) -> Hide {
    match (x, &key.ty.kind) {
        (Some(x), TypeKind::String) => x.name(&String::from_utf8_lossy(&key.value)),
        _ => Hide::No,
    }
}

/// How much an element hides of the one behind it: `--password x`.
pub(super) fn next(x: Option<&Redaction>, element: &Loaded) -> Hide {
    match (x, &element.ty.kind) {
        (Some(x), TypeKind::String) if is_flag(x, &element.value) => Hide::Text,
        _ => Hide::No,
    }
}

fn is_number(t: &GoType) -> bool {
    matches!(t.kind, TypeKind::Int | TypeKind::Uint | TypeKind::Float | TypeKind::Complex)
}

/// Bytes, or code points: text in another form.
fn is_text(t: &GoType) -> bool {
    matches!((&t.kind, t.size), (TypeKind::Int | TypeKind::Uint, 1) | (TypeKind::Int, 4))
}

impl Reader<'_> {
    /// So much of a value is hidden by names and types.
    pub fn hides(&self, v: &ValueRef) -> Hide {
        match self.rt.redaction() {
            Some(x) => v.hide.max(x.name(&v.name)).max(x.type_name(&v.ty.name)),
            None => Hide::No,
        }
    }

    /// How much a field's tag hides of it: `json:"password"`.
    pub fn tag_hides(&self, f: &Field) -> Hide {
        self.rt.redaction().map_or(Hide::No, |x| x.tag(&f.tag))
    }

    /// The element type of a list of numbers, where the list begins, and how many there are.
    fn numbers(&self, ty: &GoType, place: &Place) -> Option<(Place, std::sync::Arc<GoType>, u64)> {
        let (base, elem, n) = match ty.kind {
            TypeKind::Array { elem, count } => (place.clone(), elem, count),
            TypeKind::Slice { elem } => {
                (Place::at(LoadAddr(self.word(place, 0).ok()?)), elem, self.word(place, 8).ok()?)
            }
            _ => return None,
        };
        let elem = self.dwarf.go_type(elem);
        (is_number(&elem) && n > 0 && n <= i64::MAX as u64).then_some((base, elem, n))
    }

    /// The first bytes of a list, and the text that they are.
    fn as_text(&self, base: &Place, elem: &GoType, n: u64) -> (Vec<u8>, Vec<u8>) {
        let bytes = self.read(base, 0, n.saturating_mul(elem.size).min(WINDOW as u64) as usize).unwrap_or_default();
        let text = match (is_text(elem), elem.size) {
            (true, 1) => bytes.clone(),
            (true, _) => {
                let runes = bytes.chunks_exact(4).map(|c| u32::from_le_bytes([c[0], c[1], c[2], c[3]]));
                runes.filter_map(char::from_u32).collect::<String>().into_bytes()
            }
            (false, _) => Vec::new(),
        };
        (bytes, text)
    }

    /// Would its own text, not that of something below it, be hidden?
    pub fn is_hidden(&self, v: &ValueRef) -> bool {
        let Some(x) = self.rt.redaction() else { return false };
        let hide = self.hides(v);
        match v.ty.kind {
            TypeKind::Bool => false,
            TypeKind::String if hide == Hide::No => {
                let (Ok(base), Ok(len)) = (self.word(&v.place, 0), self.word(&v.place, 8)) else { return false };
                let read = self.read(&Place::at(LoadAddr(base)), 0, len.min(WINDOW as u64) as usize);
                read.is_ok_and(|b| !x.shapes(&b).is_empty())
            }
            TypeKind::String | TypeKind::Struct { .. } | TypeKind::Interface { .. } => hide > Hide::No,
            TypeKind::Array { .. } | TypeKind::Slice { .. } => match self.numbers(&v.ty, &v.place) {
                Some((base, elem, n)) => hide > Hide::No || !x.shapes(&self.as_text(&base, &elem, n).1).is_empty(),
                None => hide > Hide::No,
            },
            _ if is_number(&v.ty) => hide == Hide::All,
            _ => false,
        }
    }

    /// A value below another one, which takes over what is hidden.
    pub fn below(&self, above: &ValueRef, v: ValueRef) -> ValueRef {
        self.all_below(above, vec![v]).pop().unwrap_or_default()
    }

    /// As [`Reader::below`], for many.
    pub(super) fn all_below(&self, above: &ValueRef, mut all: Vec<ValueRef>) -> Vec<ValueRef> {
        if self.rt.redaction().is_none() {
            return all;
        }
        let hide = self.hides(above);
        let list = matches!(above.ty.kind, TypeKind::Array { .. } | TypeKind::Slice { .. });
        // A byte of a secret is a secret.
        let whole = list && self.is_hidden(above);
        let record = matches!(above.ty.kind, TypeKind::Struct { .. } | TypeKind::Pointer { .. });
        let pair = if record && all.iter().any(|v| is_half(&v.name)) { self.pair(above) } else { Hide::No };
        for v in &mut all {
            let own = if whole && is_number(&v.ty) { Hide::All } else { hide };
            v.hide = v.hide.max(own).max(if is_half(&v.name) { pair } else { Hide::No });
        }
        all
    }

    /// How much the element before element `i` of a list hides of it.
    pub fn before(&self, list: &ValueRef, i: u64) -> Hide {
        self.each_before(list, i, 1).pop().unwrap_or_default()
    }

    /// The same for elements `start..start + count`.
    pub(super) fn each_before(&self, list: &ValueRef, start: u64, count: u64) -> Vec<Hide> {
        let none = || vec![Hide::No; count as usize];
        let Some(x) = self.rt.redaction() else { return none() };
        let is_text = |e| self.dwarf.go_type(e).kind == TypeKind::String;
        match list.ty.kind {
            TypeKind::Array { elem, .. } | TypeKind::Slice { elem } if is_text(elem) => {}
            _ => return none(),
        }
        let first = start.saturating_sub(1);
        let found = self.children_of(list, first, count).unwrap_or_default();
        let mut out: Vec<Hide> = if start == 0 { vec![Hide::No] } else { Vec::new() };
        out.extend(found.iter().map(|e| next(Some(x), &self.load(e, Limits::default()))));
        out.resize(count as usize, Hide::No);
        out
    }

    /// How much the key of a struct of name and value hides.
    fn pair(&self, v: &ValueRef) -> Hide {
        let (ty, place) = match v.ty.kind {
            TypeKind::Pointer { elem: Some(e) } => {
                (self.dwarf.go_type(e), Place::at(LoadAddr(self.word(&v.place, 0).unwrap_or(0))))
            }
            _ => (v.ty.clone(), v.place.clone()),
        };
        let Some(key) = ty.fields().iter().find(|f| is_key(&f.name)) else { return Hide::No };
        let of = ValueRef { ty: self.dwarf.go_type(key.ty), place: place.part(key.offset), ..ValueRef::default() };
        self.key_hides(&of)
    }

    /// How much the key of a map hides of its element.
    pub fn key_hides(&self, key: &ValueRef) -> Hide {
        match self.rt.redaction() {
            Some(x) if key.ty.kind == TypeKind::String => self::key(Some(x), &self.load(key, Limits::default())),
            _ => Hide::No,
        }
    }

    /// Takes out of a value that was read what may not be shown; cuts what was read for looking through only.
    pub(super) fn redact(&self, x: &Redaction, place: &Place, out: &mut Loaded, limits: Limits) {
        let hide = out.hide;
        match out.ty.kind {
            TypeKind::String => {
                let shown = limits.string as usize;
                if out.len > 0 && hide > Hide::No {
                    out.redacted = Some(x.mark(&out.value, out.len as u64));
                } else if let found = x.shapes(&out.value)
                    && found.first().is_some_and(|r| r.start < shown)
                {
                    out.redacted = Some(self.partly(x, out, &found, shown));
                } else {
                    out.value.truncate(shown);
                }
                if out.redacted.is_some() {
                    out.value.clear();
                }
            }
            TypeKind::Array { .. } | TypeKind::Slice { .. } => {
                let Some((base, elem, n)) = self.numbers(&out.ty, place) else { return };
                let (bytes, text) = self.as_text(&base, &elem, n);
                if hide > Hide::No || !x.shapes(&text).is_empty() {
                    out.redacted = Some(x.mark(&bytes, n.saturating_mul(elem.size)));
                    out.children.clear();
                }
            }
            TypeKind::Struct { .. } if hide == Hide::All => out.value.clear(), // a time in words
            _ if is_number(&out.ty) && hide == Hide::All => {
                out.redacted = Some(x.mark(&out.value, out.ty.size));
                out.value.clear();
            }
            _ => {}
        }
    }

    /// A text with marks in it, cut like others.
    fn partly(&self, x: &Redaction, v: &Loaded, found: &[std::ops::Range<usize>], shown: usize) -> String {
        let (mut out, mut at) = (Vec::new(), 0);
        for r in found.iter().filter(|r| r.start < shown) {
            out.extend_from_slice(&v.value[at..r.start]);
            out.extend_from_slice(x.mark(&v.value[r.clone()], r.len() as u64).as_bytes());
            at = r.end;
        }
        if let Some(rest) = v.value.get(at..shown.min(v.value.len())) {
            out.extend_from_slice(rest);
            at += rest.len();
        }
        if (at as i64) < v.len {
            out.extend(format!("...+{} more", v.len - at as i64).bytes());
        }
        text::quoted(&out, out.len() + 1)
    }
}
