//! Completions in the editor's console: variables, fields, functions, packages' variables, and `dlv` commands.

use super::message::{Call, Trouble};
use super::repl::COMMANDS;
use super::session::Session;
use super::types::Completions;
use crate::backend::protocol::*;
use crate::model::location::short_function;
use crate::model::{ValueTree, VarKind};
use serde_json::{Value, json};

/// Names given at most.
const MOST: usize = 100;

/// What is being typed: what it is a member of, and its beginning.
#[derive(Debug, PartialEq, Eq)]
struct Typed<'a> {
    owner: &'a str,
    start: &'a str,
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Looks backwards from the end of the text.
fn typed(text: &str) -> Typed<'_> {
    let at = text.rfind(|c| !is_word(c)).map_or(0, |i| i + text[i..].chars().next().map_or(1, char::len_utf8));
    let (before, start) = text.split_at(at);
    let Some(before) = before.strip_suffix('.') else { return Typed { owner: "", start } };
    // The owner: names, members, and what is in brackets.
    let mut depth = 0;
    let mut from = before.len();
    for (i, c) in before.char_indices().rev() {
        match c {
            ')' | ']' => depth += 1,
            '(' | '[' if depth == 0 => break,
            '(' | '[' => depth -= 1,
            c if depth == 0 && !is_word(c) && c != '.' => break,
            _ => {}
        }
        from = i;
    }
    Typed { owner: &before[from..], start }
}

/// Names inside a value.
fn members(v: &ValueTree) -> Vec<String> {
    let inside = match v.kind {
        VarKind::Pointer | VarKind::Interface => v.children.first(),
        _ => Some(v),
    };
    let inside = match inside {
        Some(p) if p.kind == VarKind::Pointer => p.children.first(),
        x => x,
    };
    let fields = inside.filter(|s| s.kind == VarKind::Struct).map_or(&[][..], |s| &s.children);
    fields.iter().map(|f| f.name.clone()).filter(|n| n != "_" && !n.is_empty()).collect()
}

impl Session {
    pub async fn completions(&mut self, c: &Call) -> Result<Value, Trouble> {
        let a: Completions = c.args()?;
        // Columns are counted from 1, in UTF-16 units.
        let mut units = usize::try_from(a.column - 1).unwrap_or(0);
        let end = a.text.char_indices().find(|(_, c)| {
            let done = units == 0;
            units = units.saturating_sub(c.len_utf16());
            done
        });
        let text = end.map_or(a.text.as_str(), |(i, _)| &a.text[..i]);
        let frame = self.frame(a.frame_id).unwrap_or_default();
        let mut names: Vec<(String, &str)> = Vec::new();
        let t = typed(text);
        if let Some(rest) = text.trim_start().strip_prefix("dlv ") {
            if !rest.contains(' ') {
                names.extend(COMMANDS.iter().map(|c| (c.names[0].to_string(), "keyword")));
            }
        } else if t.owner.is_empty() {
            let of = ValuesOf::Scope(frame);
            if let Ok(Reply::Values { values, .. }) = self.ask(Request::Values { of, limits: self.limits() }).await {
                names.extend(values.into_iter().map(|v| (v.name, "variable")));
            }
            let words = ["len", "cap", "call", "dlv", "nil", "true", "false"];
            names.extend(words.iter().map(|w| (w.to_string(), "keyword")));
        } else {
            let limits = LoadLimits { depth: 1, ..self.limits() };
            match self.tree(frame, t.owner, limits).await {
                Ok(v) if v.kind != VarKind::Func => names.extend(members(&v).into_iter().map(|n| (n, "field"))),
                // No value: a package, perhaps.
                _ => names.extend(self.package_members(t.owner).await),
            }
        }
        names.retain(|n| n.0.starts_with(t.start));
        names.sort();
        names.dedup();
        names.truncate(MOST);
        let start = text[..text.len() - t.start.len()].encode_utf16().count() + 1;
        let length = t.start.encode_utf16().count();
        let one = |(n, kind): &(String, &str)| json!({"label": n, "type": kind, "start": start, "length": length});
        Ok(json!({"targets": names.iter().map(one).collect::<Vec<_>>()}))
    }

    async fn package_members(&mut self, package: &str) -> Vec<(String, &'static str)> {
        let mut out = Vec::new();
        for (kind, shown) in [(SymbolKind::Functions, "function"), (SymbolKind::PackageVariables, "variable")] {
            let ask = Request::Symbols { kind, filter: format!("{package}."), count: 2_000 };
            let Ok(Reply::Symbols { names, .. }) = self.ask(ask).await else { continue };
            for n in names {
                if let Some(rest) = short_function(&n).strip_prefix(package).and_then(|r| r.strip_prefix('.'))
                    && rest.chars().all(is_word)
                {
                    out.push((rest.to_string(), shown));
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn what_is_typed() {
        for (text, owner, start) in [
            ("", "", ""),
            ("fo", "", "fo"),
            ("a + fo", "", "fo"),
            ("a.b", "a", "b"),
            ("x + a.b.", "a.b", ""),
            ("m[\"k\"].f", "m[\"k\"]", "f"),
            ("f(a.b", "a", "b"),
            ("(*p).x", "(*p)", "x"),
            ("é.b", "é", "b"),
        ] {
            assert_eq!(typed(text), Typed { owner, start }, "{text}");
        }
    }
}
