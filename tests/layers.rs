//! Holds the floors of ARCHITECTURE.md: a lower one never names a higher one, or a neighbour on its own floor.
//! Also: `unsafe` in two files only, ratatui in `tui` only, tokio not below `backend`, versions compared in `goruntime/layout` only.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn floors() -> BTreeMap<String, u32> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let list = text.split("<!-- floors").nth(1).and_then(|t| t.split("```").nth(1)).expect("the floor list");
    let mut map = BTreeMap::new();
    for line in list.lines().filter(|l| !l.trim().is_empty()) {
        let mut words = line.split_whitespace();
        let n: u32 = words.next().and_then(|w| w.parse().ok()).expect("a floor number");
        for w in words {
            map.insert(w.to_string(), n);
        }
    }
    map
}

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for e in fs::read_dir(dir).expect("src").flatten() {
        let p = e.path();
        if p.is_dir() {
            sources(&p, out);
        } else if p.extension().is_some_and(|x| x == "rs") {
            out.push(p);
        }
    }
}

fn all_sources() -> Vec<(String, String)> {
    let src = root().join("src");
    let mut v = Vec::new();
    sources(&src, &mut v);
    v.into_iter()
        .map(|p| {
            let rel = p.strip_prefix(&src).expect("under src").to_string_lossy().into_owned();
            let text = fs::read_to_string(&p).expect("a source file");
            (rel, text)
        })
        .collect()
}

/// The code of a line, without a trailing or whole-line comment (good enough: `//` inside strings only hides names).
fn code(line: &str) -> &str {
    line.find("//").map_or(line, |i| &line[..i])
}

#[test]
fn every_module_is_on_a_floor() {
    let floors = floors();
    for (file, _) in all_sources() {
        if file == "lib.rs" || file == "main.rs" {
            continue;
        }
        let top = file.split('/').next().unwrap_or("").trim_end_matches(".rs");
        assert!(floors.contains_key(top), "src/{file}: module `{top}` is on no floor in ARCHITECTURE.md");
    }
}

#[test]
fn nobody_looks_up() {
    let floors = floors();
    let mut bad = Vec::new();
    for (file, text) in all_sources() {
        let top = file.split('/').next().unwrap_or("").trim_end_matches(".rs").to_string();
        let Some(&mine) = floors.get(&top) else { continue };
        for (n, line) in text.lines().enumerate() {
            let line = code(line);
            for part in line.split("crate::").skip(1) {
                let names: Vec<String> = if let Some(rest) = part.strip_prefix('{') {
                    rest.split([',', '}']).map(|w| w.trim().split("::").next().unwrap_or("").to_string()).collect()
                } else {
                    vec![part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()]
                };
                for name in names {
                    if let Some(&theirs) = floors.get(&name)
                        && name != top
                        && theirs >= mine
                    {
                        bad.push(format!("src/{file}:{}: {top} (floor {mine}) names {name} (floor {theirs})", n + 1));
                    }
                }
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn rooms_keep_their_tools() {
    let mut bad = Vec::new();
    for (file, text) in all_sources() {
        for (n, line) in text.lines().enumerate() {
            let l = code(line);
            let mut say = |what: &str| bad.push(format!("src/{file}:{}: {what}: {}", n + 1, line.trim()));
            if (l.contains("unsafe {")
                || l.contains("unsafe fn")
                || l.contains("unsafe impl")
                || l.contains("allow(unsafe_code)"))
                && !matches!(file.as_str(), "target/linux/sys.rs" | "base/mmap.rs")
            {
                say("unsafe outside its two files");
            }
            if (l.contains("ratatui::") || l.contains("crossterm::")) && !file.starts_with("tui/") {
                say("terminal library outside tui");
            }
            if l.contains("tokio::")
                && !["backend", "k8s", "session", "tui", "batch", "dap", "cli"].iter().any(|d| file.starts_with(d))
            {
                say("tokio below backend");
            }
            if l.contains("cfg(target_os") && !file.starts_with("target/") {
                say("operating system cfg outside target");
            }
            if (l.contains(".minor") || l.contains("at_least("))
                && !file.starts_with("goruntime/layout")
                && !file.starts_with("base/go_version")
            {
                say("version compared outside goruntime/layout");
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn every_module_says_what_it_is() {
    for (file, text) in all_sources() {
        assert!(text.starts_with("//!"), "src/{file} has no //! saying what it is for");
    }
}
