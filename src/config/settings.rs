//! `config.toml`.

use serde::Deserialize;

/// Settings; what is absent has its default. Flags of the command line win.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// Theme: `dark`, `light`, `high-contrast`, `mono`, `solarized-16`, `colour-blind`.
    pub theme: Option<String>,
    /// Key map: `default`, `gdb`.
    pub keys: Option<String>,
    /// Colours: `auto`, `always`, `never`, `true`, `256`, `16`.
    pub color: Option<String>,
    /// Borders and marks in ASCII.
    pub ascii: bool,
    /// Use the mouse.
    pub mouse: bool,
    /// Send as little as possible.
    pub low_bandwidth: bool,
    /// Rules for finding sources.
    pub substitute_path: Vec<Rule>,
    /// Frames that findings are not to be about, in any program.
    pub mute: Vec<String>,
    /// From where on differences of profiles count.
    pub diff: DiffSettings,
    /// What secrets are, beside what adit knows.
    pub redact: RedactSettings,
    /// Keep breakpoints and layout between sessions.
    pub state: Option<bool>,
}

/// `[diff]`: from where on a difference of profiles counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct DiffSettings {
    /// Samples that a function must have, before or after.
    pub min_samples: Option<u64>,
    /// Percent that it must have changed by.
    pub min_change: Option<u32>,
}

/// `[redact]`: regular expressions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RedactSettings {
    /// Names of variables, fields and keys whose values are hidden; upper and lower case are the same.
    pub names: Vec<String>,
    /// Texts that are hidden wherever they are.
    pub shapes: Vec<String>,
    /// Names that are not hidden.
    pub show: Vec<String>,
}

/// One rule for finding sources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Prefix of the recorded path.
    pub from: String,
    /// What to put in its place.
    pub to: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn all_of_it() {
        let text = "theme = \"light\"\nkeys = \"gdb\"\nmouse = true\n[diff]\nmin-samples = 50\nmin-change = 20\n[[substitute-path]]\nfrom = \"/src\"\nto = \"/home\"\n";
        let s: Settings = super::super::parse("config.toml", text).expect("parses");
        assert_eq!(s.substitute_path.len(), 1);
        assert_eq!((s.diff.min_samples, s.diff.min_change), (Some(50), Some(20)));
        assert!(s.mouse && s.theme.as_deref() == Some("light"));
    }
}
