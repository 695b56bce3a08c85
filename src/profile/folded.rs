//! Folded stacks: one line each, frames from the root on with `;` between, and a number. Flame graph tools read and write it.

use super::calls::{Builder, CallsError, Facts};
use super::tree::{ROOT, Step};
use super::view::View;
use crate::base::text::printable_str;
use crate::model::{ProfileFrame, ProfileFunction, ValueKind};
use std::io::{self, BufRead, Read, Write};

/// Longest line; Go's deepest stacks have 1,024 frames.
const MAX_LINE: u64 = 4 << 20;

/// Why folded stacks could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FoldedError {
    /// The file.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A line that is not of this form.
    #[error("line {0} is no folded stack (frames with ; between, a space, a number)")]
    Line(u64),
    /// Too large, or of another kind than the files before.
    #[error(transparent)]
    Calls(#[from] CallsError),
}

/// Lines that are looked at to tell folded stacks from other text.
const LOOKED_AT: usize = 5;

/// Whether text begins like folded stacks: every line is one, with several frames, or with a name that is one word.
pub fn is_folded(head: &[u8]) -> bool {
    let mut lines: Vec<&[u8]> = head.split_inclusive(|b| *b == b'\n').collect();
    // The last one may be cut off.
    lines.pop_if(|l| !l.ends_with(b"\n"));
    let mut lines =
        lines.into_iter().filter(|l| !l.trim_ascii().is_empty() && !l.starts_with(b"#")).take(LOOKED_AT).peekable();
    let is_one = |l: &[u8]| {
        let line = std::str::from_utf8(l).unwrap_or("");
        split(line).is_some_and(|(stack, _)| stack.contains(';') || !stack.contains(char::is_whitespace))
    };
    lines.peek().is_some() && lines.all(is_one)
}

fn split(line: &str) -> Option<(&str, i64)> {
    let (stack, n) = line.trim_end().rsplit_once(' ')?;
    // Some tools write fractions.
    let n =
        n.parse::<i64>().ok().or_else(|| n.parse::<f64>().ok().filter(|f| f.is_finite()).map(|f| f.round() as i64))?;
    (!stack.trim().is_empty()).then_some((stack.trim(), n))
}

/// Reads folded stacks into a builder.
pub fn read(from: impl BufRead, into: &mut Builder) -> Result<(), FoldedError> {
    let kind = ValueKind { name: "samples".into(), unit: "count".into() };
    into.begin(&[kind], 0, Facts::default())?;
    let mut from = from;
    let mut line = Vec::new();
    for n in 1.. {
        line.clear();
        if from.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.len() as u64 >= MAX_LINE {
            return Err(FoldedError::Line(n));
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let (stack, value) = split(text).ok_or(FoldedError::Line(n))?;
        let mut node = ROOT;
        for name in stack.split(';') {
            // `_[i]` marks inlined functions.
            let (name, inlined) = name.strip_suffix("_[i]").map_or((name, false), |n| (n, true));
            let function = ProfileFunction { name: into.string(name.trim()), ..ProfileFunction::default() };
            let function = into.function(function)?;
            let frame = into.frame(ProfileFrame { function, line: 0, inlined })?;
            node = into.child(node, frame)?;
        }
        into.sample(node, 0, &[value])?;
    }
    Ok(())
}

/// Writes the paths of a view with their values; of a compared one, base and new value, as differential flame graphs take them.
pub fn write(v: &View, out: &mut dyn Write) -> io::Result<()> {
    let mut path = String::new();
    let mut lengths = Vec::new();
    let mut result = Ok(());
    v.tree.walk(|step| match step {
        Step::Enter(n) => {
            lengths.push(path.len());
            if !path.is_empty() {
                path.push(';');
            }
            let name = v.key(n).map_or("", |k| &k.name);
            path.push_str(&printable_str(name, 1_000).replace(';', ":"));
            let own = v.own[n as usize];
            if !own.is_zero() && result.is_ok() {
                result = if v.compared {
                    writeln!(out, "{path} {} {}", own.base, own.new)
                } else {
                    writeln!(out, "{path} {}", own.new)
                };
            }
        }
        Step::Leave(_) => path.truncate(lengths.pop().unwrap_or(0)),
    });
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::view::Selection;

    #[test]
    fn what_is_written_is_read() {
        let text = "main.main;main.f 3\nmain.main;main.g;main.f 2\nother 1\n";
        let mut b = Builder::new();
        read(text.as_bytes(), &mut b).expect("read");
        let v = View::new(&b.finish(), &Selection::default());
        let mut out = Vec::new();
        write(&v, &mut out).expect("written");
        assert_eq!(String::from_utf8_lossy(&out), text);
        assert!(matches!(read(&b"main.f x\n"[..], &mut Builder::new()), Err(FoldedError::Line(1))));
    }
    #[test]
    fn other_text_is_not_taken_for_it() {
        for (text, is) in [
            ("main;f 3\n", true),
            ("# a comment\nf 3\n", true),
            ("listening on port 80\n", false),
            ("ERROR 5\nnot found\n", false),
            ("<html>", false),
        ] {
            assert_eq!(is_folded(text.as_bytes()), is, "{text}");
        }
    }
}
