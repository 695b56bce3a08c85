//! Makes [`super::table`] and [`super::waitreasons`] from the DWARF of programs built by each release (`make layouts`).
//!
//! The fields wanted are those that the table has; a new one is added as a row with any offset and filled in here.

use super::from_dwarf::Offsets;
use super::table;
use crate::base::GoVersion;
use crate::symbols::Symbols;
use crate::symbols::dwarf::Dwarf;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Longest text of a wait reason, bytes.
const MAX_REASON: u64 = 64;
const HEAD: &str = "\
//! Field offsets by release, for files without DWARF: made by `make layouts` from DWARF of the releases listed in the
//! Makefile (linux/amd64), checked by tests/layout.rs.
//!
//! Rows are `(since minor, since patch, offset)`; -1 means the field is not there. `@size` is the size of the struct.
//! Offsets inside one minor release may move (1.23, 1.24 did), hence the patch: the first one seen that has the new offset.

/// `(struct.field, ranges)`.
pub(super) type Row = (&'static str, &'static [(u16, u16, i32)]);

";

/// What one release says of its structures.
pub struct Release {
    version: GoVersion,
    offsets: BTreeMap<String, i64>,
    reasons: Vec<String>,
}

/// The names that the table has now.
pub fn names() -> Vec<String> {
    table::ROWS.iter().map(|r| r.0.to_string()).collect()
}

impl Release {
    /// Reads a program that was built by it: not stripped, not position independent.
    pub fn read(symbols: &Symbols, names: &[String]) -> Result<Release, String> {
        let version = symbols.go_version().clone();
        let d = symbols.load_dwarf().map_err(|e| format!("{version}: {e}"))?;
        let all = Offsets::read_named(d, names);
        let at = |n: &String| (n.clone(), all.get(n).and_then(|o| i64::try_from(o).ok()).unwrap_or(-1));
        let reasons =
            reasons(symbols, d).ok_or_else(|| format!("{version}: runtime.waitReasonStrings was not found"))?;
        Ok(Release { version, offsets: names.iter().map(at).collect(), reasons })
    }
    /// `go1.27.3`, with its experiments.
    pub fn version(&self) -> &GoVersion {
        &self.version
    }
    /// Names that no such release has: misspelt, or gone for good.
    pub fn unknown<'a>(releases: &[Release], names: &'a [String]) -> Vec<&'a str> {
        let nowhere = |n: &&String| releases.iter().all(|r| r.offsets.get(*n).is_none_or(|o| *o < 0));
        names.iter().filter(nowhere).map(String::as_str).collect()
    }
    fn key(&self) -> (u16, u16) {
        (self.version.minor, self.version.patch)
    }
    fn experiments(&self) -> Option<&str> {
        self.version.text.split_once("X:").map(|x| x.1.trim())
    }
}

/// `runtime.waitReasonStrings` as the file has it.
fn reasons(symbols: &Symbols, d: &Dwarf) -> Option<Vec<String>> {
    let var = d.variable_by_name("runtime.waitReasonStrings")?;
    let mut count = None;
    d.children(d.die(var)?.type_ref()?, |c| {
        count = c.u64(gimli::DW_AT_count).or_else(|| c.u64(gimli::DW_AT_upper_bound).map(|n| n + 1)).or(count);
    });
    let at = symbols.elf_symbols(&["runtime.waitReasonStrings"]).first().copied().flatten()?;
    let image = symbols.image();
    let text = |i: u64| {
        let len = image.u64_at(at.add(i * 16 + 8)).filter(|n| *n <= MAX_REASON)?;
        if len == 0 {
            return Some(String::new());
        }
        let bytes = image.bytes_at(crate::base::FileAddr(image.u64_at(at.add(i * 16))?), len as usize)?;
        String::from_utf8(bytes.to_vec()).ok()
    };
    (0..count.filter(|n| *n < 256)?).map(text).collect()
}

/// `table.rs` of these releases.
pub fn table(releases: &[Release], names: &[String]) -> String {
    let mut base: Vec<&Release> = releases.iter().filter(|r| r.experiments().is_none()).collect();
    base.sort_by_key(|r| r.key());
    let mut out = format!("{HEAD}pub(super) const ROWS: &[Row] = &[\n");
    for n in names {
        row(&mut out, n, &ranges(base.iter().map(|r| (r.key(), r.offsets.get(n).copied().unwrap_or(-1)))));
    }
    out +=
        "];\n\n/// Where an experiment of the toolchain moves a field: by experiment, for the minor releases listed.\n";
    out += "pub(super) const EXPERIMENTS: &[(&str, &[Row])] = &[\n";
    let mut variants: BTreeMap<&str, Vec<&Release>> = BTreeMap::new();
    for r in releases {
        if let Some(x) = r.experiments() {
            variants.entry(x).or_default().push(r);
        }
    }
    for (experiment, mut list) in variants {
        list.sort_by_key(|r| r.key());
        let moved = |n: &&String| {
            list.iter().any(|r| {
                let plain = base.iter().rev().find(|b| b.key() <= r.key()).and_then(|b| b.offsets.get(*n));
                r.offsets.get(*n) != plain
            })
        };
        let _string = writeln!(out, "    ({experiment:?}, &[");
        for n in names.iter().filter(moved) {
            let each = list.iter().map(|r| ((r.version.minor, 0), r.offsets.get(n).copied().unwrap_or(-1)));
            row(&mut out, n, &each.collect::<Vec<_>>());
        }
        out += "    ]),\n";
    }
    out += "];\n";
    out
}

fn row(out: &mut String, name: &str, ranges: &[((u16, u16), i64)]) {
    let list: Vec<String> = ranges.iter().map(|((minor, patch), at)| format!("({minor}, {patch}, {at})")).collect();
    let _string = writeln!(out, "    ({name:?}, &[{}]),", list.join(", "));
}

/// From which release on which offset, for releases in ascending order.
fn ranges(all: impl Iterator<Item = ((u16, u16), i64)>) -> Vec<((u16, u16), i64)> {
    let mut out: Vec<((u16, u16), i64)> = Vec::new();
    let mut minor = None;
    for ((m, patch), at) in all {
        // The first of a minor release that was looked at stands for those before it.
        let since = if minor == Some(m) { patch } else { 0 };
        minor = Some(m);
        if out.last().is_none_or(|l| l.1 != at) {
            out.push(((m, since), at));
        }
    }
    out
}

/// `waitreasons.rs` of these releases.
pub fn wait_reasons(releases: &[Release]) -> String {
    let mut by_minor: BTreeMap<u16, &Vec<String>> = BTreeMap::new();
    for r in releases.iter().filter(|r| r.experiments().is_none()) {
        // Texts are added at the end within a minor release.
        let list = by_minor.entry(r.version.minor).or_insert(&r.reasons);
        if r.reasons.len() > list.len() {
            *list = &r.reasons;
        }
    }
    let mut out = String::from(
        "//! Wait reason texts by release, for targets whose own table (`runtime.waitReasonStrings`) cannot be read: made by\n\
         //! `make layouts`.\n\n/// `(since minor, texts by number)`.\npub(super) const TABLES: &[(u16, &[&str])] = &[\n",
    );
    let mut last: Option<&Vec<String>> = None;
    for (minor, list) in by_minor {
        if last == Some(list) {
            continue;
        }
        let _string = writeln!(out, "    ({minor}, &[");
        for text in list {
            let _string = writeln!(out, "        {text:?},");
        }
        out += "    ]),\n";
        last = Some(list);
    }
    out += "];\n";
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(version: &str, at: i64, reasons: &[&str]) -> Release {
        Release {
            version: GoVersion::parse(version),
            offsets: BTreeMap::from([("runtime.x.y".to_string(), at)]),
            reasons: reasons.iter().map(|s| (*s).to_string()).collect(),
        }
    }

    #[test]
    fn a_range_begins_where_an_offset_was_first_seen() {
        let all = [
            release("go1.25.5 X:greentea", 99, &["", "a"]),
            release("go1.23.4", 8, &["", "a", "b"]),
            release("go1.21.13", -1, &["", "a"]),
            release("go1.23.1", -1, &["", "a"]),
            release("go1.24.11", 8, &["", "a", "b"]),
            release("go1.25.5", 16, &["", "c"]),
        ];
        let names = vec!["runtime.x.y".to_string()];
        let t = table(&all, &names);
        assert!(t.contains(r#"("runtime.x.y", &[(21, 0, -1), (23, 4, 8), (25, 0, 16)])"#), "{t}");
        assert!(t.contains("(\"greentea\", &[\n    (\"runtime.x.y\", &[(25, 0, 99)])"), "{t}");
        let w = wait_reasons(&all);
        assert_eq!(w.matches("    (2").count(), 3, "1.24 is as 1.23: {w}");
        assert!(w.contains("(23, &[\n        \"\",\n        \"a\",\n        \"b\""), "{w}");
        let none = vec!["runtime.x.z".to_string()];
        assert_eq!(Release::unknown(&all, &none), ["runtime.x.z"]);
    }
}
