//! The table in README.md: a line for each build, a column for each ability, releases that differ in brackets.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

pub const COLUMNS: [&str; 6] = ["goroutines", "stack", "arguments", "breakpoints", "stepping", "channel, map"];

/// How well something works. Greater is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    No,
    Partly,
    /// Without names, by the runtime's tables.
    Words,
    Yes,
}

impl Mark {
    pub fn word(self) -> &'static str {
        match self {
            Mark::No => "no",
            Mark::Partly => "partly",
            Mark::Words => "words",
            Mark::Yes => "yes",
        }
    }
    fn parse(s: &str) -> Option<Mark> {
        [Mark::No, Mark::Partly, Mark::Words, Mark::Yes].into_iter().find(|m| m.word() == s)
    }
}

/// Marks by kind of build and release.
#[derive(Default)]
pub struct Table {
    kinds: Vec<String>,
    marks: BTreeMap<(String, String), [Mark; COLUMNS.len()]>,
}

/// `1.21.13` to `1.21`.
fn minor(release: &str) -> &str {
    release.rsplit_once('.').map_or(release, |r| r.0)
}

impl Table {
    pub fn set(&mut self, kind: &str, release: &str, marks: [Mark; COLUMNS.len()]) {
        if !self.kinds.iter().any(|k| k == kind) {
            self.kinds.push(kind.to_string());
        }
        self.marks.insert((kind.to_string(), minor(release).to_string()), marks);
    }

    fn markdown(&self, releases: &[&str]) -> String {
        let mut out = format!("| built | {} |\n|---|{}\n", COLUMNS.join(" | "), "---|".repeat(COLUMNS.len()));
        for kind in &self.kinds {
            let cell = |column: usize| {
                let each: Vec<(&str, Mark)> = releases
                    .iter()
                    .filter_map(|r| Some((minor(r), self.marks.get(&(kind.clone(), minor(r).to_string()))?[column])))
                    .collect();
                let most = [Mark::Yes, Mark::Words, Mark::Partly, Mark::No]
                    .into_iter()
                    .max_by_key(|m| (each.iter().filter(|e| e.1 == *m).count(), *m))
                    .unwrap_or(Mark::No);
                let others: Vec<String> =
                    each.iter().filter(|e| e.1 != most).map(|(r, m)| format!("{r} {}", m.word())).collect();
                match others.is_empty() {
                    true => most.word().to_string(),
                    false => format!("{} ({})", most.word(), others.join(", ")),
                }
            };
            let cells: Vec<String> = (0..COLUMNS.len()).map(cell).collect();
            let _never_fails = writeln!(out, "| {kind} | {} |", cells.join(" | "));
        }
        out
    }

    fn parse(text: &str, releases: &[&str]) -> Table {
        let mut t = Table::default();
        for l in text.lines().filter(|l| l.starts_with("| ")).skip(1) {
            let cells: Vec<&str> = l.trim_matches('|').split('|').map(str::trim).collect();
            let [kind, cells @ ..] = &cells[..] else { continue };
            for r in releases {
                let mark = |c: &&str| {
                    let (most, others) = c.split_once(" (").unwrap_or((c, ""));
                    let own = others
                        .trim_end_matches(')')
                        .split(", ")
                        .find_map(|o| o.strip_prefix(minor(r))?.strip_prefix(' '));
                    Mark::parse(own.unwrap_or(most)).unwrap_or(Mark::No)
                };
                let marks: Vec<Mark> = cells.iter().map(mark).collect();
                t.set(kind, r, marks.try_into().expect("a cell for each column"));
            }
        }
        t
    }
}

/// Compares with what README.md says, or writes it there.
pub fn check(now: &Table, releases: &[&str]) {
    const BEGIN: &str = "<!-- builds: made and checked by tests/builds.rs -->";
    const END: &str = "<!-- /builds -->";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(&path).expect("README.md");
    let (head, rest) = text.split_once(BEGIN).expect("a table of builds in README.md");
    let (old, tail) = rest.split_once(END).expect("the end of the table of builds");
    let all = std::env::var("ADIT_BUILDS").is_ok_and(|v| v == "all");
    if all && std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        let new = format!("{head}{BEGIN}\n{}{END}{tail}", now.markdown(releases));
        std::fs::write(&path, new).expect("README.md written");
        return;
    }
    let recorded = Table::parse(old, releases);
    let mut worse = Vec::new();
    for ((kind, release), marks) in &now.marks {
        let Some(before) = recorded.marks.get(&(kind.clone(), release.clone())) else {
            worse.push(format!("{kind} is not in the table"));
            continue;
        };
        for (i, column) in COLUMNS.iter().enumerate().filter(|(i, _)| marks[*i] < before[*i]) {
            worse.push(format!("{kind}, {release}, {column}: {}, was {}", marks[i].word(), before[i].word()));
        }
    }
    assert!(worse.is_empty(), "worse than README.md says:\n  {}", worse.join("\n  "));
    if all {
        assert_eq!(
            old.trim(),
            now.markdown(releases).trim(),
            "README.md: ADIT_BUILDS=all UPDATE_DOCUMENTS=1 cargo test --test builds"
        );
    }
}
