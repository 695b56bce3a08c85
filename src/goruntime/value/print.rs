//! One line of text for a value, word for word as Delve's single-line printer.

use super::load::Loaded;
use super::unavailable_text;
use crate::base::text;
use crate::model::tree::cap_text;
use crate::symbols::dwarf::TypeKind;
use std::fmt::Write;

/// Longest line made; what is behind it is cut.
const MAX_LINE: usize = 64 << 10;
/// Text taken of a type or field name.
const MAX_NAME: usize = 512;

#[derive(Clone, Copy)]
struct How {
    top: bool,
    with_type: bool,
}

const ELEMENT: How = How { top: false, with_type: false };

/// The value in one line.
pub fn single_line(v: &Loaded) -> String {
    let mut out = String::new();
    write(&mut out, v, How { top: true, with_type: true });
    if out.len() > MAX_LINE {
        let cut = (0..=MAX_LINE).rev().find(|&i| out.is_char_boundary(i)).unwrap_or(0);
        out.truncate(cut);
        out.push('…');
    }
    out
}

fn name(s: &str) -> String {
    text::printable_str(s, MAX_NAME)
}

fn type_name(v: &Loaded) -> String {
    match v.ty.name.as_str() {
        "" => "void".into(),
        n => name(n),
    }
}

fn write(out: &mut String, v: &Loaded, how: How) {
    if out.len() > MAX_LINE {
        return;
    }
    if let Some(u) = &v.unreadable {
        out.push_str(&unavailable_text(u));
        return;
    }
    if let Some(t) = &v.redacted {
        out.push_str(t);
        return;
    }
    if !how.top && !v.exists && v.value.is_empty() {
        if how.with_type && v.ty.kind != TypeKind::Void {
            let _ = write!(out, "{} nil", type_name(v));
        } else {
            out.push_str("nil");
        }
        return;
    }
    match &v.ty.kind {
        TypeKind::Slice { .. } => {
            if how.with_type {
                let _ = write!(out, "{} len: {}, cap: {}, ", type_name(v), v.len, cap_text(v.cap));
            }
            match v.base.is_nil() && v.children.is_empty() {
                true => out.push_str("nil"),
                false => elements(out, v),
            }
        }
        TypeKind::Array { .. } => {
            if how.with_type {
                let _ = write!(out, "{} ", type_name(v));
            }
            elements(out, v);
        }
        TypeKind::Pointer { .. } => match v.children.first() {
            None => out.push_str("nil"),
            Some(c) if c.only_addr && c.exists => pointer(out, v, c),
            Some(c) => {
                out.push('*');
                write(out, c, How { top: false, ..how });
            }
        },
        TypeKind::UnsafePointer => match v.children.first() {
            Some(c) if c.exists => {
                let _ = write!(out, "unsafe.Pointer({:#x})", c.addr.0);
            }
            _ => out.push_str("unsafe.Pointer(0x0)"),
        },
        TypeKind::Chan { .. } => match v.base.is_nil() {
            true => {
                let _ = write!(out, "{} nil", type_name(v));
            }
            false => {
                let _ = write!(out, "{} {}/{}", type_name(v), v.len, v.cap);
            }
        },
        TypeKind::Struct { .. } => {
            let mut how = how;
            if !v.value.is_empty() {
                let _ = write!(out, "{}({})", type_name(v), String::from_utf8_lossy(&v.value));
                how.with_type = false;
            }
            structure(out, v, how);
        }
        TypeKind::Interface { .. } => interface(out, v, how),
        TypeKind::Map { .. } => map(out, v, how),
        TypeKind::Func => match v.value.is_empty() {
            true => out.push_str("nil"),
            false => out.push_str(&text::printable(&v.value, MAX_NAME)),
        },
        TypeKind::String => {
            let mut s = v.value.clone();
            if s.len() as i64 != v.len {
                s.extend(format!("...+{} more", v.len - s.len() as i64).bytes());
            }
            out.push_str(&text::quoted(&s, MAX_LINE));
        }
        _ if v.value.is_empty() => out.push_str("(unknown)"),
        _ => out.push_str(&text::printable(&v.value, MAX_NAME)),
    }
}

fn pointer(out: &mut String, v: &Loaded, to: &Loaded) {
    let t = type_name(v);
    let _ = match t.contains('/') {
        true => write!(out, "(\"{t}\")({:#x})", to.addr.0),
        false => write!(out, "({t})({:#x})", to.addr.0),
    };
}

fn by_address(out: &mut String, v: &Loaded, star: &str) {
    let t = type_name(v);
    let _ = match t.contains('/') {
        true => write!(out, "{star}(*\"{t}\")({:#x})", v.addr.0),
        false => write!(out, "{star}(*{t})({:#x})", v.addr.0),
    };
}

fn structure(out: &mut String, v: &Loaded, how: How) {
    if v.len as usize != v.children.len() && v.children.is_empty() {
        by_address(out, v, "");
        return;
    }
    if how.with_type {
        let _ = write!(out, "{} ", type_name(v));
    }
    out.push('{');
    for (i, c) in v.children.iter().enumerate() {
        let _ = write!(out, "{}: ", name(&c.name));
        write(out, c, How { top: false, with_type: true });
        if i + 1 != v.children.len() {
            out.push_str(", ");
        }
    }
    if v.children.len() as i64 != v.len {
        let _ = write!(out, ",...+{} more", v.len - v.children.len() as i64);
    }
    out.push('}');
}

fn interface(out: &mut String, v: &Loaded, how: How) {
    if !v.exists {
        out.push_str("nil");
        return;
    }
    if v.nil_interface {
        if how.with_type {
            let _ = write!(out, "{} ", type_name(v));
        }
        out.push_str("nil");
        return;
    }
    let Some(data) = v.children.first() else { return };
    if how.with_type {
        let _ = write!(out, "{}({}) ", type_name(v), type_name(data));
    }
    let inner = How { top: false, with_type: !how.with_type };
    if matches!(data.ty.kind, TypeKind::Pointer { .. }) {
        match data.children.first() {
            None if data.unreadable.is_some() => write(out, data, inner),
            None => out.push_str("..."),
            Some(to) if !to.exists => out.push_str("nil"),
            Some(to) if to.only_addr => {
                let _ = write!(out, "{:#x}", data.addr.0);
            }
            Some(_) => write(out, data, inner),
        }
    } else if data.only_addr {
        by_address(out, v, "*");
    } else {
        write(out, data, inner);
    }
}

fn map(out: &mut String, v: &Loaded, how: How) {
    if how.with_type {
        let _ = write!(out, "{} ", type_name(v));
    }
    if v.base.is_nil() && v.children.is_empty() {
        out.push_str("nil");
        return;
    }
    out.push('[');
    for pair in v.children.chunks(2) {
        if let [k, e] = pair {
            write(out, k, ELEMENT);
            out.push_str(": ");
            write(out, e, ELEMENT);
            out.push_str(", ");
        }
    }
    let shown = v.children.len() as i64 / 2;
    if shown != v.len {
        match shown {
            0 => out.push_str("..."),
            n => {
                let _ = write!(out, ",...+{} more", v.len - n);
            }
        }
    }
    out.push(']');
}

fn elements(out: &mut String, v: &Loaded) {
    out.push('[');
    for (i, c) in v.children.iter().enumerate() {
        write(out, c, ELEMENT);
        if i + 1 != v.children.len() {
            out.push(',');
        }
    }
    let shown = v.children.len() as i64;
    if shown != v.len {
        match shown {
            0 => out.push_str("..."),
            n => {
                let _ = write!(out, ",...+{} more", v.len - n);
            }
        }
    }
    out.push(']');
}
