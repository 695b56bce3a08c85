//! Arguments as Delve writes them.

use super::{Action, BreakpointEdit, BreakpointName, Do};
use crate::model::{BreakpointPlace, BreakpointSpec, HitCondition};

/// Splits at white space; `"…"` and `'…'` keep what is in them together.
pub fn split_words(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut open = false;
    for c in text.chars() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '"' | '\'') => (quote, open) = (Some(c), true),
            (None, c) if c.is_whitespace() => {
                if open {
                    out.push(std::mem::take(&mut word));
                    open = false;
                }
            }
            (_, c) => {
                word.push(c);
                open = true;
            }
        }
    }
    if open {
        out.push(word);
    }
    out
}

/// `[name] [place] [if condition]`.
pub fn breakpoint_args(text: &str) -> Result<BreakpointSpec, String> {
    let (head, condition) = match text.strip_prefix("if ") {
        Some(c) => ("", c.trim()),
        None => match text.split_once(" if ") {
            Some((h, c)) => (h.trim(), c.trim()),
            None => (text.trim(), ""),
        },
    };
    // A regular expression may have spaces in it.
    let (name, place) = match head.split_once(char::is_whitespace) {
        Some((n, p)) if !head.starts_with('/') => (n, p.trim()),
        _ => ("", head),
    };
    if !name.is_empty() && (name.parse::<i64>().is_ok() || !name.chars().all(|c| c.is_alphanumeric() || c == '_')) {
        return Err(format!("{name} is not a name for a breakpoint: letters and digits, not a number"));
    }
    let mut spec = BreakpointSpec::at(if place.is_empty() { "+0" } else { place });
    spec.name = name.to_string();
    spec.condition = condition.to_string();
    debug_assert!(matches!(spec.place, BreakpointPlace::Spec(_)));
    Ok(spec)
}

/// `ID EXPR`, `-hitcount ID OP N`, `-clear ID`.
pub fn condition(text: &str) -> Result<Do, String> {
    let edit = |name: &str, e| Ok(Do::Session(Action::EditBreakpoint(BreakpointName::parse(name), e)));
    let (first, rest) = word(text);
    match first {
        "" => Err(String::new()),
        "-clear" if !rest.is_empty() => edit(rest, BreakpointEdit::Condition(String::new())),
        "-hitcount" => {
            let (name, hits) = word(rest);
            match HitCondition::parse(hits) {
                Some(h) => edit(name, BreakpointEdit::Hits(Some(h))),
                None if hits.is_empty() && !name.is_empty() => edit(name, BreakpointEdit::Hits(None)),
                None => Err("usage: condition -hitcount ID > 5   (== != > >= < <= %)".into()),
            }
        }
        f if f.starts_with('-') => Err(format!("condition knows -hitcount and -clear, not {f}")),
        name if rest.is_empty() => edit(name, BreakpointEdit::Condition(String::new())),
        name => edit(name, BreakpointEdit::Condition(rest.to_string())),
    }
}

/// `FROM TO`, quoted where there are spaces.
pub fn substitute(text: &str) -> Result<Do, String> {
    match split_words(text).as_slice() {
        [from, to] => Ok(Do::Session(Action::Substitute { from: from.clone(), to: to.clone() })),
        _ => Err(String::new()),
    }
}

/// The first word and the rest.
pub fn word(text: &str) -> (&str, &str) {
    match text.trim().split_once(char::is_whitespace) {
        Some((a, b)) => (a, b.trim()),
        None => (text.trim(), ""),
    }
}

/// A number, or a default when there is no text.
pub fn number(text: &str, default: u32) -> Result<u32, String> {
    if text.is_empty() {
        return Ok(default);
    }
    text.parse().map_err(|_| format!("{text} is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delves_forms() {
        let b = breakpoint_args("total main.go:10 if i == 3").expect("parses");
        assert_eq!((b.name.as_str(), b.condition.as_str()), ("total", "i == 3"));
        assert_eq!(b.place, BreakpointPlace::Spec("main.go:10".into()));
        assert_eq!(breakpoint_args("").expect("here").place, BreakpointPlace::Spec("+0".into()));
        assert!(breakpoint_args("5 main.go:1").is_err());
        let Ok(Do::Session(Action::EditBreakpoint(_, e))) = condition("-hitcount 1 > 5") else { panic!("parses") };
        assert_eq!(e, BreakpointEdit::Hits(HitCondition::parse("> 5")));
        let Ok(Do::Session(Action::EditBreakpoint(n, e))) = condition("1 i == 3") else { panic!("parses") };
        assert_eq!((n, e), (BreakpointName::Id(1), BreakpointEdit::Condition("i == 3".into())));
    }
    #[test]
    fn quotes_keep_words_together() {
        assert_eq!(split_words("a \"b c\" 'd'e ''"), ["a", "b c", "de", ""]);
    }
}
