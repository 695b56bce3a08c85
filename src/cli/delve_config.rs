//! Delve's own configuration, as far as it is about where sources are: `substitute-path` of its `config.yml`.

use serde::Deserialize;
use std::path::PathBuf;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    #[serde(rename = "substitute-path")]
    substitute_path: Option<Vec<Rule>>,
}

#[derive(Deserialize)]
struct Rule {
    from: String,
    to: String,
}

/// Where Delve keeps it (`pkg/config/config.go`).
fn path() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CONFIG_HOME").filter(|d| !d.is_empty()).map(PathBuf::from);
    let base = base.or_else(|| Some(dirs::home_dir()?.join(".config")))?;
    Some(base.join("dlv/config.yml"))
}

/// Its rules; none where there is no file. A file that is not understood is worth a word, and no more.
pub fn rules() -> Vec<(String, String)> {
    let Some((path, text)) = path().and_then(|p| Some((p.clone(), std::fs::read_to_string(p).ok()?))) else {
        return Vec::new();
    };
    read(&text).unwrap_or_else(|why| {
        tracing::warn!("{}: {why}", path.display());
        Vec::new()
    })
}

fn read(text: &str) -> Result<Vec<(String, String)>, String> {
    // A file of comments only is no mapping.
    let config: Option<Config> = serde_yaml_ng::from_str(text).map_err(|e| e.to_string())?;
    let rules = config.unwrap_or_default().substitute_path.unwrap_or_default();
    Ok(rules.into_iter().map(|r| (r.from, r.to)).collect())
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn rules_as_delve_writes_them() {
        let text = "# comment\naliases:\n  # command: [\"alias1\"]\nsubstitute-path:\n  - {from: /build, to: /home/me}\n  - from: a\n    to: b\n";
        let want = [("/build".to_string(), "/home/me".to_string()), ("a".into(), "b".into())];
        assert_eq!(read(text), Ok(want.to_vec()));
        assert_eq!(read("# nothing\nsubstitute-path:\n  # - {from: path, to: path}\n"), Ok(Vec::new()));
        assert_eq!(read(""), Ok(Vec::new()));
        assert!(read("substitute-path: [1]").is_err());
    }
}
