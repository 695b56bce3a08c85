//! Texts made from the command table and the key map: help, keys, palette, the newcomer's note; and small look-ups.

use super::keymap::KeyMap;
use super::panes::{PaneId, spec};
use super::popups::palette::Item;
use super::popups::text::{Line, TextView};
use crate::base::text::printable_str;
use crate::command::{COMMANDS, Command, Group, look_up};
use crate::session::Session;

fn with_usage(c: &Command) -> String {
    let mut s = c.name.to_string();
    for a in c.aliases {
        s.push_str(&format!(", {a}"));
    }
    if !c.usage.is_empty() {
        s.push_str(&format!("  {}", c.usage));
    }
    s
}

/// Help: keys of the focused pane, then all keys that work everywhere, then every command.
pub fn help(s: &Session, keys: &KeyMap, pane: PaneId, contexts: &[&str]) -> TextView {
    let mut lines = vec![Line::heading(format!("Keys in {}", spec(pane).title))];
    let mut row = |left: String, c: &Command| {
        let off = s.why_off(c.name, c.needs).map(|_| " (not now)").unwrap_or("");
        lines.push(Line::pair(left, format!("{}{off}", c.doc)));
    };
    let (local, global): (Vec<&str>, Vec<&str>) = contexts.iter().partition(|c| **c != "global");
    for group in Group::ALL {
        for c in COMMANDS.iter().filter(|c| c.group == group) {
            let mine = keys.keys_for(&local, c.name);
            if !mine.is_empty() {
                row(mine.join(" "), c);
            }
        }
    }
    let mut lines2 = vec![Line::text(""), Line::heading("Keys everywhere")];
    for group in Group::ALL {
        for c in COMMANDS.iter().filter(|c| c.group == group) {
            let mine = keys.keys_for(&global, c.name);
            if !mine.is_empty() {
                lines2.push(Line::pair(mine.join(" "), c.doc));
            }
        }
    }
    lines2.push(Line::pair(
        "1..9",
        "Workspaces: 1 Triage, 2 Goroutines, 3 Debug, 4 Data, 5 Waits, 8 Breakpoints, 9 Log.",
    ));
    lines.extend(lines2);
    for group in Group::ALL {
        lines.push(Line::text(""));
        lines.push(Line::heading(format!("Commands after :   {}", group.title())));
        for c in COMMANDS.iter().filter(|c| c.group == group) {
            lines.push(Line::pair(with_usage(c), c.doc));
        }
    }
    TextView::new("Help", lines)
}

/// The effective key map.
pub fn keys(keys: &KeyMap) -> TextView {
    let mut lines = Vec::new();
    for context in crate::config::keys::CONTEXTS {
        let mut mine: Vec<(String, String)> =
            keys.all().filter(|(c, _, _)| c == context).map(|(_, k, l)| (k, l.to_string())).collect();
        if mine.is_empty() {
            continue;
        }
        mine.sort_by(|a, b| a.1.cmp(&b.1));
        lines.push(Line::heading(format!("[{context}]")));
        for (k, line) in mine {
            let doc = look_up(&line).map_or("", |(c, _)| c.doc);
            lines.push(Line::pair(k, format!("{line:<20} {doc}")));
        }
    }
    TextView::new("Keys", lines)
}

/// Every command with its key, and why it is off.
pub fn palette(s: &Session, keys: &KeyMap, contexts: &[&str]) -> Vec<Item> {
    COMMANDS
        .iter()
        .map(|c| Item {
            name: c.name.to_string(),
            key: keys.key_for(contexts, c.name).unwrap_or_default(),
            doc: c.doc.to_string(),
            off: s.why_off(c.name, c.needs),
            line: c.name.to_string(),
            ask: (c.make)("").is_err(),
        })
        .collect()
}

/// Files to choose from.
pub fn files(names: &[String]) -> Vec<Item> {
    names
        .iter()
        .map(|n| Item {
            name: printable_str(n.rsplit('/').next().unwrap_or(n), 80),
            key: String::new(),
            doc: printable_str(n, 200),
            off: None,
            line: format!("list {n}:1"),
            ask: false,
        })
        .collect()
}

/// The newcomer's note.
pub fn welcome(s: &Session) -> TextView {
    let line = |left: &str, right: &str| Line::pair(left, right);
    let mut lines = vec![
        Line::text("A Go program with a leak, a lock cycle, timers and garbage."),
        Line::text("Let it run for forty seconds, stop it, and 1 says what is wrong."),
        Line::text(""),
        Line::heading("Try this"),
    ];
    if s.control() {
        lines.extend([
            line("c", "let it run; Ctrl-C stops it again"),
            line("n s o", "next line, into a call, out of it (in the Source pane)"),
            line("b", "breakpoint on the line under the cursor"),
            line("1", "findings, worst first, with the evidence; w shows who waits for whom"),
            line("2", "goroutines, grouped by where they wait; Enter opens a group"),
            line("6", "scheduler, collector and heap over time, while it runs"),
        ]);
    } else {
        lines.push(line("1", "findings, worst first, with the evidence; w shows who waits for whom"));
        lines.push(line("2", "goroutines, grouped by where they wait; Enter opens a group"));
        lines.push(line("6", "scheduler, collector and heap over time; nothing is stopped for it"));
    }
    lines.extend([
        line("Tab", "next pane;  Enter opens what is under the cursor"),
        line("? :", "all keys here; commands as in Delve, with completion"),
        line("q", "leave: asks first; the program runs on"),
    ]);
    let mut v = TextView::new("Welcome to adit", lines);
    v.note = true;
    v
}

/// Where a name is declared: the file shown first, then its neighbours in the same folder.
pub fn declaration(s: &Session, file: &str, word: &str) -> Option<(String, u32)> {
    let find = |lines: &mut dyn Iterator<Item = &str>| {
        lines.enumerate().find(|(_, l)| declares(l, word)).map(|(i, _)| i as u32 + 1)
    };
    if let Some(text) = s.sources.text(file)
        && let Some(line) = find(&mut text.lines.iter().map(String::as_str))
    {
        return Some((file.to_string(), line));
    }
    let (folder, _) = file.rsplit_once('/')?;
    let local = s.sources.local_path(folder);
    let mut names: Vec<_> = std::fs::read_dir(local).ok()?.flatten().map(|e| e.path()).collect();
    names.sort();
    for path in names.iter().filter(|p| p.extension().is_some_and(|e| e == "go")) {
        let Ok(text) = std::fs::read_to_string(path) else { continue };
        if let Some(line) = find(&mut text.lines()) {
            let name = path.file_name()?.to_string_lossy();
            return Some((format!("{folder}/{name}"), line));
        }
    }
    None
}

fn declares(line: &str, word: &str) -> bool {
    let code = line.trim_start();
    let after =
        |rest: &str| rest.strip_prefix(word).is_some_and(|r| !r.starts_with(|c: char| c.is_alphanumeric() || c == '_'));
    if let Some(rest) = code.strip_prefix("func ") {
        let name = if rest.starts_with('(') { rest.split_once(") ").map_or("", |(_, n)| n) } else { rest };
        return after(name);
    }
    ["type ", "var ", "const "].iter().any(|k| code.strip_prefix(k).is_some_and(after))
        || (after(code) && code[word.len()..].trim_start().starts_with(":="))
}

#[cfg(test)]
mod tests {
    use super::declares;
    #[test]
    fn knows_declarations() {
        assert!(declares("func (c *Cart) Total(ctx context.Context) int {", "Total"));
        assert!(declares("\tsum := 0", "sum"));
        assert!(declares("type Cart struct {", "Cart"));
        assert!(!declares("\tsum += Total()", "Total"));
        assert!(!declares("func Totals() {", "Total"));
    }
}
