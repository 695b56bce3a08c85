//! Prose is checked: commands, keys, themes and the README say the same.

use adit::command::{COMMANDS, Do, markdown};
use adit::config::keys::{CONTEXTS, PRESETS, preset};
use std::{fs, path::PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_readme_lists_the_commands() {
    const BEGIN: &str = "<!-- commands: made from src/command/table.rs, checked by tests/documented.rs -->";
    const END: &str = "<!-- /commands -->";
    let path = root().join("README.md");
    let Ok(text) = fs::read_to_string(&path) else { return };
    let Some((head, rest)) = text.split_once(BEGIN) else { return };
    let (old, tail) = rest.split_once(END).expect("the list in README.md has an end");
    let want = format!("\n{}\n", markdown());
    if old != want && std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        fs::write(&path, format!("{head}{BEGIN}{want}{END}{tail}")).expect("README.md written");
        return;
    }
    assert_eq!(old, want, "README.md: run UPDATE_DOCUMENTS=1 cargo test --test documented");
}

#[test]
fn every_key_runs_a_command_that_exists() {
    for (name, _) in PRESETS {
        for (context, keys) in preset(name).expect("parses").contexts {
            assert!(CONTEXTS.contains(&context.as_str()), "{name}: {context}");
            for (key, line) in keys {
                let what = adit::command::parse(&line);
                assert!(what.is_ok(), "{name}: [{context}] {key} = {line}: {what:?}");
            }
        }
    }
}

#[test]
fn every_command_of_the_screen_has_a_way_in() {
    // What takes no argument is reached by a key of the default map, or is one of those that are typed on purpose.
    let typed = [
        "pause",
        "cancel-step",
        "restart",
        "rebuild",
        "breakpoints",
        "args",
        "locals",
        "stack",
        "goroutines",
        "threads",
        "regs",
        "disassemble",
        "keys",
        "detach",
        "kill",
        "triage",
        "defers",
        "heap",
        "timeline",
        "profiles",
        "mutes",
        "take-over",
        "profiles",
    ];
    let keys = preset("default").expect("parses");
    let bound: Vec<&String> = keys.contexts.values().flat_map(|m| m.values()).collect();
    for c in COMMANDS.iter().filter(|c| c.usage.is_empty()) {
        let by_key = bound.iter().any(|l| l.split(' ').next() == Some(c.name));
        assert!(by_key || typed.contains(&c.name), "{} has neither a key nor a reason", c.name);
        assert!((c.make)("").is_ok(), "{} takes no argument", c.name);
    }
}

#[test]
fn delves_words_are_known() {
    for word in [
        "c",
        "continue",
        "n",
        "next",
        "s",
        "step",
        "so",
        "stepout",
        "si",
        "ni",
        "b",
        "break",
        "bp",
        "breakpoints",
        "cond",
        "condition",
        "clear",
        "clearall",
        "toggle",
        "p",
        "print",
        "set",
        "bt",
        "stack",
        "grs",
        "goroutines",
        "gr",
        "goroutine",
        "frame",
        "up",
        "down",
        "deferred",
        "l",
        "list",
        "args",
        "locals",
        "vars",
        "funcs",
        "types",
        "sources",
        "threads",
        "regs",
        "disass",
        "restart",
        "r",
        "rebuild",
        "exit",
        "q",
        "edit",
        "help",
        "config",
        "source",
        "whatis",
    ] {
        assert!(adit::command::find(word).is_some(), "{word}");
    }
    for line in [
        "break main.go:10",
        "cond 1 i == 3",
        "condition -hitcount 1 > 5",
        "print x",
        "goroutine 5",
        "frame 2",
        "frame 2 print x",
    ] {
        assert!(matches!(adit::command::parse(line), Ok(Do::Session(_))), "{line}");
    }
}

#[test]
fn themes_are_files_that_are_shipped() {
    let mut files: Vec<String> = fs::read_dir(root().join("themes"))
        .expect("themes")
        .flatten()
        .filter_map(|e| e.file_name().to_str().and_then(|n| n.strip_suffix(".toml")).map(String::from))
        .collect();
    files.sort();
    let mut shipped: Vec<String> = adit::config::theme::SHIPPED.iter().map(|(n, _)| n.to_string()).collect();
    shipped.sort();
    assert_eq!(files, shipped);
}

#[test]
fn the_sample_configuration_is_what_is_read() {
    let text = fs::read_to_string(root().join("assets/config.toml")).expect("the sample");
    // Uncommented, every line must be understood.
    let bare: Vec<String> = text
        .lines()
        .filter_map(|l| l.strip_prefix("# "))
        .filter(|l| l.starts_with('[') || l.split_once(" = ").is_some_and(|(k, _)| !k.contains(' ')))
        .map(String::from)
        .collect();
    let settings: adit::config::settings::Settings =
        adit::config::parse("config.toml", &bare.join("\n")).unwrap_or_else(|p| panic!("{}", p.text));
    assert_eq!(settings.substitute_path.len(), 1);
    assert_eq!(settings.theme.as_deref(), Some("dark"));
    assert_eq!(settings.redact, adit::config::settings::RedactSettings::default());
    let (samples, percent) = adit::model::DIFF_THRESHOLDS;
    assert_eq!((settings.diff.min_samples, settings.diff.min_change), (Some(samples), Some(percent)));
}
