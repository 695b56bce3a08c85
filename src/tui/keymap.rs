//! Keys and sequences to command lines, by context.

use crate::config::keys::KeyFile;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::collections::BTreeMap;

/// A key with its modifiers, in one canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Hash)]
pub struct Key {
    code: KeyCode,
    mods: KeyModifiers,
}

impl Key {
    /// From what the terminal sent.
    pub fn of(e: KeyEvent) -> Key {
        let mut mods = e.modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT);
        let mut code = e.code;
        match code {
            KeyCode::Char(c) => {
                // The character says what Shift did.
                mods -= KeyModifiers::SHIFT;
                if mods.contains(KeyModifiers::CONTROL) {
                    code = KeyCode::Char(c.to_ascii_lowercase());
                }
            }
            KeyCode::BackTab => {
                code = KeyCode::Tab;
                mods |= KeyModifiers::SHIFT;
            }
            _ => {}
        }
        Key { code, mods }
    }
    fn parse(text: &str) -> Option<Key> {
        let mut mods = KeyModifiers::NONE;
        let mut rest = text;
        while rest.len() > 2 {
            let (m, r) = match rest {
                r if r.starts_with("Ctrl-") => (KeyModifiers::CONTROL, &r[5..]),
                r if r.starts_with("Alt-") => (KeyModifiers::ALT, &r[4..]),
                r if r.starts_with("S-") => (KeyModifiers::SHIFT, &r[2..]),
                _ => break,
            };
            mods |= m;
            rest = r;
        }
        let code = match rest {
            "Space" => KeyCode::Char(' '),
            "Tab" => KeyCode::Tab,
            "Esc" => KeyCode::Esc,
            "Enter" => KeyCode::Enter,
            "Backspace" => KeyCode::Backspace,
            "Del" => KeyCode::Delete,
            "Home" => KeyCode::Home,
            "End" => KeyCode::End,
            "PgUp" => KeyCode::PageUp,
            "PgDn" => KeyCode::PageDown,
            "Up" => KeyCode::Up,
            "Down" => KeyCode::Down,
            "Left" => KeyCode::Left,
            "Right" => KeyCode::Right,
            f if f.len() > 1 && f.starts_with('F') => KeyCode::F(f[1..].parse().ok()?),
            c => {
                let mut chars = c.chars();
                let one = chars.next()?;
                chars.next().is_none().then_some(KeyCode::Char(one))?
            }
        };
        Some(Key { code, mods })
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (m, s) in [(KeyModifiers::CONTROL, "Ctrl-"), (KeyModifiers::ALT, "Alt-"), (KeyModifiers::SHIFT, "S-")] {
            if self.mods.contains(m) {
                f.write_str(s)?;
            }
        }
        match self.code {
            KeyCode::Char(' ') => f.write_str("Space"),
            KeyCode::Char(c) => write!(f, "{c}"),
            KeyCode::F(n) => write!(f, "F{n}"),
            KeyCode::PageUp => f.write_str("PgUp"),
            KeyCode::PageDown => f.write_str("PgDn"),
            KeyCode::Delete => f.write_str("Del"),
            c => write!(f, "{c:?}"),
        }
    }
}

/// `Ctrl-x o`, `gd`, `F5` as keys.
pub fn parse_sequence(text: &str) -> Option<Vec<Key>> {
    let mut out = Vec::new();
    for token in text.split_whitespace() {
        match Key::parse(token) {
            Some(k) => out.push(k),
            None => {
                for c in token.chars() {
                    out.push(Key { code: KeyCode::Char(c), mods: KeyModifiers::NONE });
                }
                if token.contains('-') || token.chars().count() > 3 {
                    return None;
                }
            }
        }
    }
    (!out.is_empty()).then_some(out)
}

/// What a sequence typed so far means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// This command line.
    Command(String),
    /// More keys may follow: them and their commands.
    Pending(Vec<(String, String)>),
    /// Nothing.
    None,
}

/// The effective key map.
#[derive(Default)]
pub struct KeyMap {
    contexts: BTreeMap<String, Vec<(Vec<Key>, String)>>,
}

impl KeyMap {
    /// From files; problems in words.
    pub fn build(file: &KeyFile) -> (KeyMap, Vec<String>) {
        let mut problems = Vec::new();
        let mut map = KeyMap::default();
        for (context, keys) in &file.contexts {
            if !crate::config::keys::CONTEXTS.contains(&context.as_str()) {
                problems.push(format!("keys: no context {context}"));
                continue;
            }
            let mine = map.contexts.entry(context.clone()).or_default();
            for (k, line) in keys {
                match parse_sequence(k) {
                    None => problems.push(format!("keys: [{context}] {k} is not a key")),
                    Some(_) if crate::command::look_up(line).is_err() => {
                        problems.push(format!("keys: [{context}] {k}: no command {line}"));
                    }
                    Some(seq) => mine.push((seq, line.clone())),
                }
            }
        }
        (map, problems)
    }

    /// What `typed` means in these contexts, the first wins.
    pub fn look_up(&self, contexts: &[&str], typed: &[Key]) -> Found {
        let mut pending = Vec::new();
        for c in contexts {
            for (seq, line) in self.contexts.get(*c).into_iter().flatten() {
                if seq == typed && pending.is_empty() {
                    return Found::Command(line.clone());
                }
                if seq.len() > typed.len() && seq.starts_with(typed) {
                    pending.push((keys_text(&seq[typed.len()..]), line.clone()));
                }
            }
        }
        if pending.is_empty() { Found::None } else { Found::Pending(pending) }
    }

    /// The first key for a command line in these contexts, plain keys before function keys and chords.
    pub fn key_for(&self, contexts: &[&str], line: &str) -> Option<String> {
        self.keys_for(contexts, line).into_iter().next()
    }

    /// All keys for a command line that work in these contexts.
    pub fn keys_for(&self, contexts: &[&str], line: &str) -> Vec<String> {
        let mut out: Vec<&Vec<Key>> = Vec::new();
        for c in contexts {
            for (seq, l) in self.contexts.get(*c).into_iter().flatten() {
                if l == line && self.look_up(contexts, seq) == Found::Command(l.clone()) {
                    out.push(seq);
                }
            }
        }
        out.sort_by_key(|s| (s.iter().map(|k| weight(*k)).sum::<u32>(), s.len()));
        out.into_iter().map(|s| keys_text(s)).collect()
    }

    /// Everything: context, keys, command line.
    pub fn all(&self) -> impl Iterator<Item = (&str, String, &str)> {
        self.contexts
            .iter()
            .flat_map(|(c, v)| v.iter().map(move |(seq, line)| (c.as_str(), keys_text(seq), line.as_str())))
    }
}

fn weight(k: Key) -> u32 {
    match (k.code, k.mods.is_empty()) {
        (_, false) => 3,
        (KeyCode::Char(' '), _) => 1,
        (KeyCode::Char(c), _) if c.is_uppercase() => 1,
        (KeyCode::Char(_), _) => 0,
        (KeyCode::F(_), _) => 4,
        _ => 1,
    }
}

/// Keys as they are shown.
pub fn keys_text(keys: &[Key]) -> String {
    let plain = keys.iter().all(|k| k.mods.is_empty() && matches!(k.code, KeyCode::Char(c) if c != ' '));
    let words: Vec<String> = keys.iter().map(Key::to_string).collect();
    words.join(if plain { "" } else { " " })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(name: &str) -> KeyMap {
        let (m, problems) = KeyMap::build(&crate::config::keys::preset(name).expect("a preset"));
        assert!(problems.is_empty(), "{problems:?}");
        m
    }
    #[test]
    fn presets_name_keys_and_commands_that_exist() {
        for (name, _) in crate::config::keys::PRESETS {
            map(name);
        }
    }
    #[test]
    fn sequences_and_priority() {
        let m = map("default");
        let seq = |s| parse_sequence(s).expect("keys");
        let source = ["source", "target", "global"];
        assert!(matches!(m.look_up(&source, &seq("g")), Found::Pending(_)));
        assert_eq!(m.look_up(&source, &seq("gd")), Found::Command("definition".into()));
        assert_eq!(m.look_up(&source, &seq("n")), Found::Command("next".into()));
        assert_eq!(m.look_up(&["search", "source", "target"], &seq("n")), Found::Command("search-next".into()));
        assert_eq!(m.look_up(&["goroutines", "global"], &seq("n")), Found::None);
        assert_eq!(m.key_for(&source, "continue").as_deref(), Some("c"));
    }
    #[test]
    fn letters_that_run_the_target_are_in_target_panes_only() {
        for (name, _) in crate::config::keys::PRESETS {
            for (context, keys, line) in map(name).all() {
                let Ok((c, _)) = crate::command::look_up(line) else { continue };
                let letter = keys.chars().count() == 1;
                if c.group == crate::command::Group::Running && letter && c.name != "interrupt" {
                    assert!(["target", "source", "stack"].contains(&context), "{name}: [{context}] {keys} = {line}");
                }
                assert_ne!(c.name, "kill", "{name}: {keys} must not kill");
            }
        }
    }
}
