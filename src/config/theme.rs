//! Themes as files: a style for each kind of thing on the screen.

use serde::Deserialize;
use std::collections::BTreeMap;

/// The themes that are shipped.
pub const SHIPPED: &[(&str, &str)] = &[
    ("dark", include_str!("../../themes/dark.toml")),
    ("light", include_str!("../../themes/light.toml")),
    ("high-contrast", include_str!("../../themes/high-contrast.toml")),
    ("mono", include_str!("../../themes/mono.toml")),
    ("solarized-16", include_str!("../../themes/solarized-16.toml")),
    ("colour-blind", include_str!("../../themes/colour-blind.toml")),
];

/// Colours and attributes; what is absent is the terminal's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StyleSpec {
    /// `#rrggbb`, one of the 16 names, or a number of the 256.
    pub fg: Option<String>,
    /// As `fg`.
    pub bg: Option<String>,
    /// Attribute.
    pub bold: bool,
    /// Attribute.
    pub dim: bool,
    /// Attribute.
    pub italic: bool,
    /// Attribute.
    pub underline: bool,
    /// Attribute.
    pub reverse: bool,
}

/// A theme file; `theme.toml` of the user's is laid over a shipped one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ThemeFile {
    /// Its name; in the user's file the theme that it changes.
    pub name: String,
    /// Styles by kind of thing.
    pub styles: BTreeMap<String, StyleSpec>,
}

/// A shipped theme.
pub fn shipped(name: &str) -> Option<ThemeFile> {
    let (_, text) = SHIPPED.iter().find(|(k, _)| *k == name)?;
    super::parse(name, text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn all_themes_have_the_same_styles() {
        let want: Vec<String> = shipped("dark").expect("dark").styles.into_keys().collect();
        for (name, _) in SHIPPED {
            let t = shipped(name).unwrap_or_else(|| panic!("{name} does not parse"));
            assert_eq!(t.name, *name);
            assert_eq!(t.styles.into_keys().collect::<Vec<_>>(), want, "{name}");
        }
    }
}
