//! Lines as the program printed them, out of what log collectors make of them: line ends, colours, JSON, prefixes.

use regex::Regex;
use rustc_hash::FxHashMap;

/// Keys under which collectors put the line.
const JSON_KEYS: [&str; 7] = ["log", "message", "msg", "MESSAGE", "textPayload", "line", "text"];

/// Calls `f` with each line, without its end and colours, unwrapped from JSON.
pub(super) fn each(text: &str, mut f: impl FnMut(&str)) {
    for raw in text.split('\n') {
        let line = raw.strip_suffix('\r').unwrap_or(raw);
        if line.starts_with('{')
            && let Some(inner) = from_json(line)
        {
            inner.trim_end_matches('\n').split('\n').for_each(|l| f(l.trim_end_matches('\r')));
        } else if line.contains('\x1b') {
            f(&plain(line));
        } else {
            f(line);
        }
    }
}

fn from_json(line: &str) -> Option<String> {
    let v: serde_json::Value = serde_json::from_str(line).ok()?;
    JSON_KEYS.iter().find_map(|k| Some(v.get(k)?.as_str()?.to_string()))
}

/// Without terminal colours.
fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        out.push_str(before);
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        rest = rest.get(1..).unwrap_or("");
    }
    out.push_str(rest);
    out
}

/// Takes off what a collector puts before each line: a time, a name. Numbers in it may change from line to line.
#[derive(Default)]
pub(super) struct Prefix {
    known: FxHashMap<String, Option<Regex>>,
}

impl Prefix {
    /// The line behind a prefix like `like`; none if it has another.
    pub fn strip<'a>(&mut self, line: &'a str, like: &str) -> Option<&'a str> {
        if like.is_empty() {
            return Some(line);
        }
        if let Some(rest) = line.strip_prefix(like) {
            return Some(rest);
        }
        // A collector may trim what is behind the prefix of an empty line.
        if line == like.trim_end() {
            return Some("");
        }
        let re = self.known.entry(shape(like)).or_insert_with_key(|s| Regex::new(s).ok()).as_ref()?;
        let m = re.find(line)?;
        line.get(m.end()..)
    }
}

/// A regular expression for prefixes that differ only in numbers.
fn shape(prefix: &str) -> String {
    let mut out = String::from("^");
    let mut number = false;
    for c in prefix.trim_end().chars() {
        if c.is_ascii_digit() {
            if !number {
                out.push_str("[0-9]+");
            }
            number = true;
        } else {
            out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
            number = false;
        }
    }
    // Exactly the blanks of the prefix, or the end: a tab behind them is the program's.
    let blanks = prefix.len() - prefix.trim_end().len();
    out.push_str(&format!("(?: {{{blanks}}}|$)"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collectors() {
        let mut got = Vec::new();
        each("a\r\n\x1b[31mred\x1b[0m\n{\"log\":\"b\\n\",\"stream\":\"stderr\"}\n{no json\n", |l| {
            got.push(l.to_string())
        });
        assert_eq!(got, ["a", "red", "b", "{no json", ""]);
        let mut p = Prefix::default();
        let like = "2026-11-24T14:58:50.1Z stderr F ";
        assert_eq!(p.strip("2026-11-24T14:58:50.123Z stderr F \t/a.go:1", like), Some("\t/a.go:1"));
        assert_eq!(p.strip("2026-11-24T14:58:50.123Z stderr F", like), Some(""));
        assert_eq!(p.strip("something else", like), None);
        assert_eq!(p.strip("x", ""), Some("x"));
    }
}
