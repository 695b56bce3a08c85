//! Values in one line, word for word as Delve's adapter writes them: its single-line printer with shortened type names
//! (`service/api/prettyprint.go`, `shorten_type.go`).

use crate::base::text;
use crate::model::tree::cap_text;
use crate::model::{ValueTree, VarKind};
use std::fmt::Write;

/// Longest line made; what is behind it is cut.
const MAX_LINE: usize = 1 << 20;

/// How to write.
#[derive(Clone, Copy, Default)]
struct How {
    top: bool,
    with_type: bool,
    raw: bool,
}

/// The value in one line; strings as they are with `raw`.
pub(super) fn line(v: &ValueTree, raw: bool) -> String {
    let mut out = String::new();
    write(&mut out, v, How { top: true, with_type: true, raw });
    out
}

/// Type name without the directories of package paths; where that is not safe, as it is.
pub(super) fn shorten(name: &str) -> String {
    shortened(name).unwrap_or_else(|| name.to_string())
}

fn shortened(t: &str) -> Option<String> {
    if t.starts_with('[') {
        let end = t.find(']')?;
        return Some(format!("{}{}", &t[..=end], shortened(&t[end + 1..])?));
    }
    if let Some(rest) = t.strip_prefix('*') {
        return Some(format!("*{}", shortened(rest)?));
    }
    if let Some(rest) = t.strip_prefix("map[") {
        let mut depth = 1;
        for (i, c) in rest.char_indices() {
            depth += i32::from(c == '[') - i32::from(c == ']');
            if depth == 0 {
                return Some(format!("map[{}]{}", shortened(&rest[..i])?, shortened(&rest[i + 1..])?));
            }
        }
        return None;
    }
    if matches!(t, "interface {}" | "interface{}" | "struct {}" | "struct{}") {
        return Some(t.to_string());
    }
    const ANONYMOUS: [&str; 6] = ["interface {", "interface{", "struct {", "struct{", "func (", "func("];
    let inside = |s: &&str| t.find(*s).and_then(|i| t[i + s.len()..].chars().next());
    if ANONYMOUS.iter().filter_map(inside).any(|c| !matches!(c, '}' | ')')) {
        return None;
    }
    if let Some(open) = t.find('[') {
        let inner = t.strip_suffix(']')?.get(open + 1..)?;
        let args: Option<Vec<String>> = inner.split(',').map(|a| shortened(a.trim())).collect();
        return Some(format!("{}[{}]", shortened(&t[..open])?, args?.join(", ")));
    }
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '/' | '@' | '%' | '-');
    if !t.chars().all(plain) {
        return None;
    }
    // One directory is not worth shortening: `net/http.Request` stays.
    match t.rsplit_once('/') {
        Some((before, last)) if before.contains('/') => Some(last.to_string()),
        _ => Some(t.to_string()),
    }
}

fn type_name(v: &ValueTree) -> String {
    if v.type_name.is_empty() { "void".into() } else { text::printable_str(&shorten(&v.type_name), 512) }
}

fn number(value: &[u8]) -> String {
    text::printable(value, 1024)
}

fn write(out: &mut String, v: &ValueTree, how: How) {
    if out.len() > MAX_LINE {
        return;
    }
    if let Some(why) = &v.unreadable {
        let _ = write!(out, "(unreadable {why})");
        return;
    }
    if let Some(t) = &v.redacted {
        out.push_str(t);
        return;
    }
    if !how.top && !v.exists && v.value.is_empty() {
        if how.with_type && !v.type_name.is_empty() {
            let _ = write!(out, "{} nil", type_name(v));
        } else {
            out.push_str("nil");
        }
        return;
    }
    match v.kind {
        VarKind::Slice => {
            if how.with_type {
                let _ = write!(out, "{} len: {}, cap: {}, ", type_name(v), v.len, cap_text(v.cap));
            }
            match v.base.is_nil() && v.children.is_empty() {
                true => out.push_str("nil"),
                false => elements(out, v),
            }
        }
        VarKind::Array => {
            if how.with_type {
                let _ = write!(out, "{} ", type_name(v));
            }
            elements(out, v);
        }
        VarKind::Pointer => match v.children.first() {
            None => out.push_str("nil"),
            Some(c) if c.only_addr && c.exists => by_address(out, v, "", c.addr.0, ""),
            Some(c) => {
                out.push('*');
                write(out, c, How { top: false, ..how });
            }
        },
        VarKind::UnsafePointer => match v.children.first() {
            Some(c) if c.exists => {
                let _ = write!(out, "unsafe.Pointer({:#x})", c.addr.0);
            }
            Some(_) => out.push_str("unsafe.Pointer(0x0)"),
            None => out.push_str("unsafe.Pointer(nil)"),
        },
        VarKind::Chan if v.base.is_nil() => {
            let _ = write!(out, "{} nil", type_name(v));
        }
        VarKind::Chan => {
            let _ = write!(out, "{} {}/{}", type_name(v), v.len, v.cap);
        }
        VarKind::Struct => {
            let mut how = how;
            if !v.value.is_empty() {
                let _ = write!(out, "{}({})", type_name(v), number(&v.value));
                how.with_type = false;
            }
            structure(out, v, how);
        }
        VarKind::Interface => interface(out, v, how),
        VarKind::Map => map(out, v, how),
        VarKind::Func if v.value.is_empty() => out.push_str("nil"),
        VarKind::String => {
            let mut s = v.value.clone();
            if s.len() as i64 != v.len {
                s.extend(format!("...+{} more", v.len - s.len() as i64).bytes());
            }
            match how.raw {
                true => out.push_str(&String::from_utf8_lossy(&s)),
                false => out.push_str(&text::quoted(&s, MAX_LINE)),
            }
        }
        _ if v.value.is_empty() => out.push_str("(unknown)"),
        _ => out.push_str(&number(&v.value)),
    }
}

/// `(*T)(0x…)`, the type in quotes where it has a path.
fn by_address(out: &mut String, v: &ValueTree, before: &str, addr: u64, star: &str) {
    let t = type_name(v);
    let quote = if v.type_name.contains('/') { "\"" } else { "" };
    let _ = write!(out, "{before}({star}{quote}{t}{quote})({addr:#x})");
}

fn structure(out: &mut String, v: &ValueTree, how: How) {
    if v.len as usize != v.children.len() && v.children.is_empty() {
        by_address(out, v, "", v.addr.0, "*");
        return;
    }
    if how.with_type {
        let _ = write!(out, "{} ", type_name(v));
    }
    out.push('{');
    for (i, c) in v.children.iter().enumerate() {
        let _ = write!(out, "{}: ", text::printable_str(&c.name, 512));
        // Delve's printer does not hand the flag for raw strings down.
        write(out, c, How { top: false, with_type: true, raw: false });
        if i + 1 != v.children.len() {
            out.push_str(", ");
        }
    }
    if v.children.len() as i64 != v.len {
        let _ = write!(out, ",...+{} more", v.len - v.children.len() as i64);
    }
    out.push('}');
}

fn interface(out: &mut String, v: &ValueTree, how: How) {
    if !v.exists {
        out.push_str("nil");
        return;
    }
    let Some(data) = v.children.first().filter(|_| !v.nil_interface) else {
        if how.with_type {
            let _ = write!(out, "{} ", type_name(v));
        }
        out.push_str("nil");
        return;
    };
    if how.with_type {
        let _ = write!(out, "{}({}) ", type_name(v), type_name(data));
    }
    let inner = How { top: false, with_type: !how.with_type, ..how };
    if data.kind == VarKind::Pointer && data.unreadable.is_none() {
        match data.children.first() {
            None => out.push_str("..."),
            Some(to) if !to.exists => out.push_str("nil"),
            Some(to) if to.only_addr => {
                let _ = write!(out, "{:#x}", data.addr.0);
            }
            Some(_) => write(out, data, inner),
        }
    } else if data.only_addr {
        by_address(out, v, "*", v.addr.0, "*");
    } else {
        write(out, data, inner);
    }
}

fn map(out: &mut String, v: &ValueTree, how: How) {
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
            write(out, k, How::default());
            out.push_str(": ");
            write(out, e, How::default());
            out.push_str(", ");
        }
    }
    more(out, v, v.children.len() as i64 / 2);
    out.push(']');
}

fn elements(out: &mut String, v: &ValueTree) {
    out.push('[');
    for (i, c) in v.children.iter().enumerate() {
        write(out, c, How::default());
        if i + 1 != v.children.len() {
            out.push(',');
        }
    }
    more(out, v, v.children.len() as i64);
    out.push(']');
}

fn more(out: &mut String, v: &ValueTree, shown: i64) {
    match shown {
        n if n == v.len => {}
        0 => out.push_str("..."),
        n => {
            let _ = write!(out, ",...+{} more", v.len - n);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::LoadAddr;

    #[test]
    fn types_lose_their_directories() {
        for (long, short) in [
            ("github.com/a/b.T", "b.T"),
            ("*github.com/a/b.T", "*b.T"),
            ("net/http.Request", "net/http.Request"),
            ("[]map[string]*x/a/b.T", "[]map[string]*b.T"),
            ("map[x/a/b.K]x/c/d.V", "map[b.K]d.V"),
            ("x/a/b.G[x/c/d.T,int]", "b.G[d.T, int]"),
            ("interface {}", "interface {}"),
            ("func(a/b.T)", "func(a/b.T)"),
            ("func()", "func()"),
            ("int", "int"),
        ] {
            assert_eq!(shorten(long), short, "{long}");
        }
    }

    #[test]
    fn shapes() {
        let int = |n: &str| ValueTree {
            type_name: "int".into(),
            kind: VarKind::Int,
            value: n.into(),
            exists: true,
            ..ValueTree::default()
        };
        let slice = ValueTree {
            type_name: "[]int".into(),
            kind: VarKind::Slice,
            base: LoadAddr(1),
            len: 3,
            cap: 4,
            children: vec![int("1"), int("2")],
            exists: true,
            ..ValueTree::default()
        };
        assert_eq!(line(&slice, false), "[]int len: 3, cap: 4, [1,2,...+1 more]");
        let field = ValueTree { name: "a".into(), ..int("7") };
        let s = ValueTree {
            type_name: "w/x/y.S".into(),
            kind: VarKind::Struct,
            addr: LoadAddr(0xc0),
            len: 1,
            children: vec![field],
            exists: true,
            ..ValueTree::default()
        };
        assert_eq!(line(&s, false), "y.S {a: 7}");
        assert_eq!(line(&ValueTree { children: Vec::new(), ..s.clone() }, false), "(*\"y.S\")(0xc0)");
        let p = ValueTree {
            type_name: "*w/x/y.S".into(),
            kind: VarKind::Pointer,
            children: vec![s],
            exists: true,
            ..ValueTree::default()
        };
        assert_eq!(line(&p, false), "*y.S {a: 7}");
        let text =
            ValueTree { kind: VarKind::String, value: b"a\nb".to_vec(), len: 5, exists: true, ..ValueTree::default() };
        assert_eq!(line(&text, false), "\"a\\nb...+2 more\"");
        assert_eq!(line(&text, true), "a\nb...+2 more");
        let m = ValueTree {
            type_name: "map[int]int".into(),
            kind: VarKind::Map,
            base: LoadAddr(1),
            len: 1,
            children: vec![int("1"), int("2")],
            exists: true,
            ..ValueTree::default()
        };
        assert_eq!(line(&m, false), "map[int]int [1: 2, ]");
    }
}
