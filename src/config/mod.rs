//! Floor 6: files of the user: settings, keys, themes, and what is kept between sessions.
//!
//! Nothing here is fatal: a wrong file gives problems with file and line, and the defaults. All folders are optional.

pub mod keys;
pub mod settings;
pub mod state;
pub mod theme;

use std::path::{Path, PathBuf};

/// Something wrong in a file of the user's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `file:line: what`.
    pub text: String,
}

/// The configuration folder: `$XDG_CONFIG_HOME/adit`.
pub fn config_dir() -> Option<PathBuf> {
    dirs::config_dir().map(|d| d.join("adit"))
}

/// The state folder: `$XDG_STATE_HOME/adit`.
pub fn state_dir() -> Option<PathBuf> {
    dirs::state_dir().map(|d| d.join("adit"))
}

/// The cache folder: `$XDG_CACHE_HOME/adit`.
pub fn cache_dir() -> Option<PathBuf> {
    dirs::cache_dir().map(|d| d.join("adit"))
}

/// Reads TOML into a type; a failure says where.
pub fn parse<T: serde::de::DeserializeOwned>(name: &str, text: &str) -> Result<T, Problem> {
    toml::from_str(text).map_err(|e| {
        let line = e.span().map(|s| text[..s.start.min(text.len())].matches('\n').count() + 1);
        let at = line.map_or(name.to_string(), |l| format!("{name}:{l}"));
        Problem { text: format!("{at}: {}", e.message().lines().next().unwrap_or("not understood")) }
    })
}

/// Reads a file of the user's: nothing when it is not there.
pub fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, Problem> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&path.display().to_string(), &text).map(Some),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Problem { text: format!("{}: {e}", path.display()) }),
    }
}

/// Everything of the user's that a session begins with.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// `config.toml`.
    pub settings: settings::Settings,
    /// `keys.toml`.
    pub keys: Option<keys::KeyFile>,
    /// `theme.toml`.
    pub theme: Option<theme::ThemeFile>,
    /// What was wrong.
    pub problems: Vec<Problem>,
}

/// Reads all files of a folder.
pub fn load(dir: Option<&Path>) -> Config {
    let mut c = Config::default();
    let Some(dir) = dir else { return c };
    match read(&dir.join("config.toml")) {
        Ok(v) => c.settings = v.unwrap_or_default(),
        Err(p) => c.problems.push(p),
    }
    match read(&dir.join("keys.toml")) {
        Ok(v) => c.keys = v,
        Err(p) => c.problems.push(p),
    }
    match read(&dir.join("theme.toml")) {
        Ok(v) => c.theme = v,
        Err(p) => c.problems.push(p),
    }
    c
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_name_the_line_and_nothing_is_fatal() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("config.toml"), "theme = \"dark\"\n\ncolour = 3\n").expect("written");
        let c = load(Some(dir.path()));
        assert_eq!(c.problems.len(), 1);
        assert!(c.problems[0].text.contains("config.toml:3: unknown field `colour`"), "{:?}", c.problems);
        assert_eq!(c.settings, settings::Settings::default());
        assert!(load(Some(Path::new("/nonexistent"))).problems.is_empty());
    }
}
