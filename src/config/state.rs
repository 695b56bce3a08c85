//! What is kept between sessions with the same program: breakpoints and layout, never values.

use crate::model::BreakpointSpec;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    hash::{Hash, Hasher},
    io,
    path::{Path, PathBuf},
};

/// Kept for one program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// The program, so that a file can be told from another.
    pub exe: String,
    /// Breakpoints.
    pub breakpoints: Vec<BreakpointSpec>,
    /// Tabs chosen, by class of screen size: workspace, slot, tab.
    pub layout: BTreeMap<String, Vec<[u8; 3]>>,
    /// Frames that findings are not to be about.
    pub mutes: Vec<String>,
    /// The newcomer's note was dismissed.
    pub welcomed: bool,
}

/// The file for a program.
pub fn file(dir: &Path, exe: &str) -> PathBuf {
    let mut h = rustc_hash::FxHasher::default();
    exe.hash(&mut h);
    let base: String = exe.rsplit('/').next().unwrap_or(exe).chars().filter(|c| c.is_alphanumeric()).take(32).collect();
    dir.join("sessions").join(format!("{base}-{:016x}.json", h.finish()))
}

/// What is kept for a program; the default when nothing is or it cannot be read.
pub fn load(dir: &Path, exe: &str) -> State {
    let Ok(text) = std::fs::read_to_string(file(dir, exe)) else { return State::default() };
    serde_json::from_str(&text).ok().filter(|s: &State| s.exe == exe).unwrap_or_default()
}

/// Keeps it: written beside and renamed, so that a crash leaves the old one.
pub fn save(dir: &Path, state: &State) -> io::Result<()> {
    let path = file(dir, &state.exe);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let new = path.with_extension(format!("{}.new", std::process::id()));
    std::fs::write(&new, serde_json::to_vec_pretty(state)?)?;
    std::fs::rename(&new, &path)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn comes_back() {
        let dir = tempfile::tempdir().expect("a folder");
        let s = State { exe: "/a/shop".into(), breakpoints: vec![BreakpointSpec::at("main.go:3")], ..State::default() };
        save(dir.path(), &s).expect("saved");
        assert_eq!(load(dir.path(), "/a/shop"), s);
        assert_eq!(load(dir.path(), "/b/shop"), State::default());
    }
}
