//! What of a program's data looks like a secret, by its name and by its shape, and what is shown in its place.
//!
//! This knows names and bytes, nothing of where they come from. It is best effort: a secret without a telling name or shape is not
//! found. What is hidden is shown as `<redacted 32B #ab12>`: its length, and a few bits of a keyed hash, so that equal ones look
//! equal. The key is made anew for each session, and so few bits guess nothing.

mod names;
mod shapes;

use regex::{Regex, bytes};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// So much of a text is looked through for shapes, bytes: more is fetched than is shown, so that a secret that is cut off is known.
pub const WINDOW: usize = 4096;
/// What stands for a value that was computed from hidden ones.
pub const COMPUTED: &str = "<redacted: computed from a secret>";
/// A word for an empty name in errors.
const NO_KEY: [u8; 16] = [0; 16];

/// How much of a value its name hides, and of all that is below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hide {
    /// Nothing.
    #[default]
    No,
    /// Text: strings, bytes, lists of numbers.
    Text,
    /// Single numbers, too.
    All,
}

/// Patterns of the user's own.
#[derive(Clone, Debug, Default)]
pub struct Patterns {
    names: Vec<Regex>,
    shapes: Vec<bytes::Regex>,
    show: Vec<Regex>,
}

impl Patterns {
    /// Regular expressions: on names (without regard to case) that hide, on texts, and on names that do not hide.
    ///
    /// # Errors
    /// One that is none, and why, in one line.
    pub fn new(names: &[String], shapes: &[String], show: &[String]) -> Result<Patterns, String> {
        let bad = |p: &String, e: regex::Error| {
            format!("redact: `{}` is no regular expression: {}", super::text::printable_str(p, 100), one_line(&e))
        };
        let name = |p: &String| Regex::new(&format!("(?i:{p})")).map_err(|e| bad(p, e));
        Ok(Patterns {
            names: names.iter().map(name).collect::<Result<_, _>>()?,
            shapes: shapes.iter().map(|p| bytes::Regex::new(p).map_err(|e| bad(p, e))).collect::<Result<_, _>>()?,
            show: show.iter().map(name).collect::<Result<_, _>>()?,
        })
    }
}

fn one_line(e: &regex::Error) -> String {
    let text = e.to_string();
    text.lines().last().unwrap_or_default().trim().to_string()
}

/// What is hidden in a session.
pub struct Redaction {
    on: AtomicBool,
    patterns: Patterns,
    key: [u8; 16],
}

impl std::fmt::Debug for Redaction {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redaction").field("on", &self.is_on()).finish_non_exhaustive()
    }
}

impl Redaction {
    /// With patterns of the user's own; off until [`Redaction::set`].
    ///
    /// # Errors
    /// There are no random numbers for the key.
    pub fn new(patterns: Patterns) -> Result<Redaction, getrandom::Error> {
        let mut key = NO_KEY;
        getrandom::fill(&mut key)?;
        Ok(Redaction { on: AtomicBool::new(false), patterns, key })
    }

    /// Is anything hidden?
    pub fn is_on(&self) -> bool {
        self.on.load(Relaxed)
    }

    /// From now on.
    pub fn set(&self, on: bool) {
        self.on.store(on, Relaxed);
    }

    /// How much a name hides: of a variable (`main.apiToken`), a field, a map's key (`["Set-Cookie"]`).
    pub fn name(&self, name: &str) -> Hide {
        if !self.is_on() || name.is_empty() {
            return Hide::No;
        }
        let last = names::last(name);
        if self.patterns.show.iter().any(|r| r.is_match(last)) {
            return Hide::No;
        }
        if self.patterns.names.iter().any(|r| r.is_match(last)) {
            return Hide::All;
        }
        names::hides(last)
    }

    /// How much a struct field's tag hides: by the names that it gives the field elsewhere (`json:"password,omitempty"`), or in so many
    /// words: `adit:"secret"`.
    pub fn tag(&self, tag: &str) -> Hide {
        if !self.is_on() || tag.is_empty() {
            return Hide::No;
        }
        names::in_tag(tag)
            .map(|(key, value)| if (key, value) == ("adit", "secret") { Hide::All } else { self.name(value) })
            .max()
            .unwrap_or_default()
    }

    /// How much any name in an expression hides of what it comes to.
    pub fn expression(&self, text: &str) -> Hide {
        if self.is_on() { names::hides(text) } else { Hide::No }
    }

    /// How much a Go type hides.
    pub fn type_name(&self, name: &str) -> Hide {
        if !self.is_on() || !name.contains('.') {
            return Hide::No;
        }
        match names::type_hides(name) {
            Some(h) => h,
            None => self.name(name).min(Hide::Text),
        }
    }

    /// Where in a text there are secrets by their shape: ascending, apart from each other.
    pub fn shapes(&self, text: &[u8]) -> Vec<Range<usize>> {
        if !self.is_on() { Vec::new() } else { shapes::find(text, &self.patterns.shapes) }
    }

    /// What stands for a hidden value.
    pub fn mark(&self, value: &[u8], len: u64) -> String {
        let digest =
            Sha256::new().chain_update(self.key).chain_update(len.to_le_bytes()).chain_update(value).finalize();
        format!("<redacted {len}B #{:02x}{:02x}>", digest[0], digest[1])
    }

    /// What stands for a text that is hidden as a whole.
    pub fn mark_text(&self, text: &str) -> String {
        self.mark(text.as_bytes(), text.len() as u64)
    }

    /// Hides of a text with a name what is to be hidden: all, or what has a shape.
    pub fn clean_named(&self, name: &str, text: &mut String) {
        match self.name(name) {
            Hide::No => self.clean(text),
            _ => *text = self.mark_text(text),
        }
    }

    /// A text with what is hidden in it replaced; none if there is nothing.
    pub fn cleaned(&self, text: &[u8]) -> Option<Vec<u8>> {
        let found = self.shapes(text);
        if found.is_empty() {
            return None;
        }
        let mut out = Vec::with_capacity(text.len());
        let mut at = 0;
        for r in found {
            out.extend_from_slice(&text[at..r.start]);
            out.extend_from_slice(self.mark(&text[r.clone()], r.len() as u64).as_bytes());
            at = r.end;
        }
        out.extend_from_slice(&text[at..]);
        Some(out)
    }

    /// The same of text in place.
    pub fn clean(&self, text: &mut String) {
        if let Some(c) = self.cleaned(text.as_bytes()) {
            *text = String::from_utf8_lossy(&c).into_owned();
        }
    }

    /// The text to show.
    pub fn shown<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.cleaned(text.as_bytes()) {
            Some(c) => Cow::Owned(String::from_utf8_lossy(&c).into_owned()),
            None => Cow::Borrowed(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(names: &[&str], shapes: &[&str], show: &[&str]) -> Redaction {
        let s = |l: &[&str]| l.iter().map(ToString::to_string).collect::<Vec<_>>();
        let r = Redaction::new(Patterns::new(&s(names), &s(shapes), &s(show)).expect("patterns")).expect("a key");
        r.set(true);
        r
    }

    #[test]
    fn tags() {
        let r = on(&["^acct"], &[], &["^csrfToken$"]);
        for (tag, hides) in [
            (r#"json:"password,omitempty""#, Hide::All),
            (r#"xml:"x" yaml:"client_secret""#, Hide::Text),
            (r#"protobuf:"bytes,1,opt,name=api_key,proto3" json:"k""#, Hide::Text),
            (r#"gorm:"size:9;column:passwd""#, Hide::All),
            (r#"env:"ACCT_NO""#, Hide::All),
            (r#"adit:"secret""#, Hide::All),
            (r#"json:"csrfToken""#, Hide::No),
            (r#"json:"name" validate:"required,excluded_with=Password" help:"the user's token""#, Hide::No),
            (r#"json:"-""#, Hide::No),
            (r#"json:"a\"b" db:"otp""#, Hide::All),
            ("no tag of the usual form", Hide::No),
            (r#"json:"#, Hide::No),
            (r#"json:"password"#, Hide::No),
            ("", Hide::No),
        ] {
            assert_eq!(r.tag(tag), hides, "{tag}");
        }
        r.set(false);
        assert_eq!(r.tag(r#"adit:"secret""#), Hide::No);
    }

    #[test]
    fn own_patterns() {
        let r = on(&["^acct"], &[r"CUST-\d+"], &["^csrfToken$"]);
        assert_eq!((r.name("AcctNo"), r.name("csrfToken"), r.name("main.token")), (Hide::All, Hide::No, Hide::Text));
        assert!(r.shown("for CUST-991 now").starts_with("for <redacted 8B #"));
        assert!(Patterns::new(&["(".into()], &[], &[]).is_err_and(|e| !e.contains('\n')));
        r.set(false);
        assert_eq!((r.name("password"), r.shown("CUST-1").as_ref()), (Hide::No, "CUST-1"));
    }

    #[test]
    fn marks_show_equality_and_nothing_else() {
        let (a, b) = (on(&[], &[], &[]), on(&[], &[], &[]));
        assert_eq!(a.mark(b"hunter2", 7), a.mark(b"hunter2", 7));
        let differ = (0..8).any(|i| a.mark(&[i], 1) != b.mark(&[i], 1));
        assert!(differ, "the key is the session's");
        assert!(!a.mark(b"hunter2", 7).contains("hunter2"));
    }
}
