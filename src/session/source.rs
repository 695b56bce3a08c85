//! Source text: the local file first, through the substitution rules; else as the host sees it.

use super::locate::{How, Locator};
use crate::base::text;
use crate::symbols::source_map::substitute;
use rustc_hash::FxHashMap;
use std::{path::Path, sync::Arc};

/// Columns of a tab.
pub const TAB: usize = 4;
/// Larger files are refused: they are not Go source.
const MAX_BYTES: u64 = 16 << 20;

/// A file's text, ready to be shown.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceText {
    /// Lines with tabs expanded and hostile characters escaped.
    pub lines: Vec<String>,
    /// Where it came from, for the title: empty when it is the recorded path itself.
    pub origin: String,
}

/// What is known of a file.
#[derive(Clone, Debug)]
pub enum Source {
    /// The host was asked.
    Asked,
    /// Here it is.
    Text(Arc<SourceText>),
    /// It cannot be had; what was tried.
    Missing(String),
}

/// All files looked at so far.
#[derive(Default)]
pub struct SourceStore {
    files: FxHashMap<String, Source>,
    rules: Vec<(String, String)>,
    /// Finds what no rule leads to, once a program is open.
    locator: Locator,
    /// Lines with code, ascending; empty while they are on the way and where nothing is known.
    code: FxHashMap<String, Vec<u32>>,
}

impl SourceStore {
    /// A store with substitution rules.
    pub fn new(rules: Vec<(String, String)>) -> SourceStore {
        SourceStore { rules, ..SourceStore::default() }
    }
    /// Adds a rule and forgets files that were not found, so that they are tried again.
    pub fn substitute(&mut self, from: String, to: String) {
        self.rules.push((from, to));
        self.files.clear();
    }
    /// Forgets all texts.
    pub fn forget(&mut self) {
        self.files.clear();
        self.code.clear();
    }
    /// The rules.
    pub fn rules(&self) -> &[(String, String)] {
        &self.rules
    }
    /// What is known of a file.
    pub fn get(&self, file: &str) -> Option<&Source> {
        self.files.get(file)
    }
    /// The text, when it is there.
    pub fn text(&self, file: &str) -> Option<&Arc<SourceText>> {
        match self.files.get(file) {
            Some(Source::Text(t)) => Some(t),
            _ => None,
        }
    }
    /// A program was opened: what its build info says helps to find its sources.
    pub fn located_by(&mut self, locator: Locator) {
        self.locator = locator;
        self.files.retain(|_, s| matches!(s, Source::Text(_)));
    }
    /// The path where a recorded file would be here.
    pub fn local_path(&self, file: &str) -> String {
        self.by_rule(file).or_else(|| self.found(file).map(|f| f.0)).unwrap_or_else(|| file.to_string())
    }
    fn by_rule(&self, file: &str) -> Option<String> {
        // The last rule that was given comes first.
        let rule = |(from, to): &(String, String)| substitute(file, from, to);
        self.rules.iter().rev().find_map(rule)
    }
    /// The file here, and how it was found.
    fn found(&self, file: &str) -> Option<(String, How)> {
        if let Some(p) = self.by_rule(file) {
            return Some((p, How::Rule));
        }
        self.locator.find(file).map(|(p, how)| (p.display().to_string(), how))
    }
    /// Where sources are looked for, and what came of each file that was looked at: a line each.
    pub fn describe(&self) -> Vec<String> {
        let mut out: Vec<String> =
            self.rules.iter().map(|(from, to)| format!("rule         {from} is at {to}")).collect();
        out.extend(self.locator.describe());
        let mut files: Vec<(&String, &Source)> = self.files.iter().collect();
        files.sort_by_key(|f| f.0);
        if !files.is_empty() {
            out.push(String::new());
        }
        for (file, source) in files {
            let state = match source {
                Source::Asked => "asked for".to_string(),
                Source::Missing(why) => format!("not found: {why}"),
                Source::Text(t) => {
                    let how = match self.found(file) {
                        Some((p, how)) if p == *file => how.words().to_string(),
                        Some((p, how)) => format!("{p} ({})", how.words()),
                        None => "from the host".into(),
                    };
                    format!("{how}, {}", self.fit(file, t))
                }
            };
            out.push(text::printable_str(&format!("{file}: {state}"), 600));
        }
        out
    }
    /// Does a text have the lines that the program has code of?
    fn fit(&self, file: &str, t: &SourceText) -> String {
        let n = t.lines.len();
        match self.code.get(file).and_then(|c| c.last()) {
            Some(&last) if last as usize > n => format!("does not fit: code up to line {last}, {n} lines"),
            Some(_) => format!("{n} lines, fits"),
            None => format!("{n} lines"),
        }
    }
    /// Makes sure that a file is here or asked for. True when the host must be asked.
    pub fn want(&mut self, file: &str) -> bool {
        if file.is_empty() || self.files.contains_key(file) {
            return false;
        }
        let path = self.local_path(file);
        // A file of another machine that happens to be there under a relative name is not what is meant.
        if path == file && !file.starts_with('/') {
            self.files.insert(file.to_string(), Source::Asked);
            return true;
        }
        if let Some(t) = read_local(Path::new(&path)) {
            let origin = if path == file { String::new() } else { path };
            self.put(file, &t, origin);
            return false;
        }
        self.files.insert(file.to_string(), Source::Asked);
        true
    }
    /// True once for each file: its lines with code must be asked for.
    pub fn want_code(&mut self, file: &str) -> bool {
        if file.is_empty() || self.code.contains_key(file) {
            return false;
        }
        self.code.insert(file.to_string(), Vec::new());
        true
    }
    /// Lines with code that arrived.
    pub fn put_code(&mut self, file: &str, mut lines: Vec<u32>) {
        lines.sort_unstable();
        self.code.insert(file.to_string(), lines);
    }
    /// Can a breakpoint be set on this line?
    pub fn has_code(&self, file: &str, line: u32) -> bool {
        self.code.get(file).is_some_and(|l| l.binary_search(&line).is_ok())
    }
    /// Text that arrived.
    pub fn put(&mut self, file: &str, raw: &str, origin: String) {
        let lines = raw.lines().map(clean_line).collect();
        self.files.insert(file.to_string(), Source::Text(Arc::new(SourceText { lines, origin })));
    }
    /// The host does not have it either.
    pub fn fail(&mut self, file: &str, why: &str) {
        let tried = self.local_path(file);
        let note = format!("{why} (tried {tried} here)");
        self.files.insert(file.to_string(), Source::Missing(note));
    }
}

fn read_local(path: &Path) -> Option<String> {
    let meta = std::fs::metadata(path).ok()?;
    if !meta.is_file() || meta.len() > MAX_BYTES {
        return None;
    }
    Some(String::from_utf8_lossy(&std::fs::read(path).ok()?).into_owned())
}

/// Tabs expanded to columns, everything hostile escaped.
pub fn clean_line(line: &str) -> String {
    let mut out = String::with_capacity(line.len() + 8);
    let mut column = 0;
    for c in line.chars().take(4_000) {
        if c == '\t' {
            let n = TAB - column % TAB;
            out.extend(std::iter::repeat_n(' ', n));
            column += n;
        } else {
            out.push(c);
            column += 1;
        }
    }
    if out.is_ascii() && !out.bytes().any(|b| b < 0x20 || b == 0x7f) {
        return out;
    }
    text::printable_str(&out, 8_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn tabs_and_escapes() {
        assert_eq!(clean_line("\ta\tb"), "    a   b");
        assert_eq!(clean_line("x\x1b[2J"), "x\\x1b[2J");
    }
    #[test]
    fn rules_rewrite_prefixes() {
        let mut s = SourceStore::new(vec![("/build".into(), "/home/me".into())]);
        assert_eq!(s.local_path("/build/a.go"), "/home/me/a.go");
        assert!(s.want("/build/none.go"));
        assert!(!s.want("/build/none.go"));
        s.put("/build/none.go", "package a\n", String::new());
        assert_eq!(s.text("/build/none.go").map(|t| t.lines.len()), Some(1));
    }
    #[test]
    fn lines_with_code_are_asked_for_once() {
        let mut s = SourceStore::default();
        assert!(s.want_code("/a.go") && !s.want_code("/a.go"));
        assert!(!s.has_code("/a.go", 3));
        s.put_code("/a.go", vec![7, 3]);
        assert!(s.has_code("/a.go", 3) && s.has_code("/a.go", 7) && !s.has_code("/a.go", 4));
        s.forget();
        assert!(s.want_code("/a.go"));
    }
}
