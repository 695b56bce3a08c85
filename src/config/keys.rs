//! Key maps as files: context, key sequence, command line.

use serde::Deserialize;
use std::collections::BTreeMap;

/// The key maps that are shipped.
pub const PRESETS: &[(&str, &str)] =
    &[("default", include_str!("../../assets/keys/default.toml")), ("gdb", include_str!("../../assets/keys/gdb.toml"))];

/// Contexts that a key map may name.
pub const CONTEXTS: &[&str] = &[
    "global",
    "search",
    "target",
    "source",
    "stack",
    "goroutines",
    "vars",
    "breakpoints",
    "output",
    "log",
    "findings",
    "detail",
    "waits",
    "heap",
    "refs",
    "defers",
    "timeline",
    "profile",
];

/// Context to keys to command line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct KeyFile {
    /// As in the file.
    pub contexts: BTreeMap<String, BTreeMap<String, String>>,
}

impl KeyFile {
    /// Lays another file over this one: an empty command takes a key away.
    pub fn patch(&mut self, over: &KeyFile) {
        for (context, keys) in &over.contexts {
            let mine = self.contexts.entry(context.clone()).or_default();
            for (k, command) in keys {
                if command.is_empty() {
                    mine.remove(k);
                } else {
                    mine.insert(k.clone(), command.clone());
                }
            }
        }
    }
}

/// A shipped key map: the default, and the named one over it.
pub fn preset(name: &str) -> Option<KeyFile> {
    let get = |n: &str| {
        let (_, text) = PRESETS.iter().find(|(k, _)| *k == n)?;
        super::parse::<KeyFile>(n, text).ok()
    };
    let mut keys = get("default")?;
    if name != "default" {
        keys.patch(&get(name)?);
    }
    Some(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn presets_parse_and_name_known_contexts() {
        for (name, _) in PRESETS {
            let k = preset(name).unwrap_or_else(|| panic!("{name} does not parse"));
            for c in k.contexts.keys() {
                assert!(CONTEXTS.contains(&c.as_str()), "{name}: {c}");
            }
        }
        assert_eq!(preset("gdb").and_then(|k| k.contexts["target"].get("I").cloned()), None);
    }
}
