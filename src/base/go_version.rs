//! Go release names. Only `goruntime/layout` may compare them.

use std::fmt;

/// A Go release: `go1.27.3`, `go1.26rc1`, `devel …` with what could be understood of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct GoVersion {
    /// As the toolchain wrote it, experiments included.
    pub text: String,
    /// 1 for every release so far; 0 when not understood.
    pub major: u16,
    /// 27 in `go1.27.3`.
    pub minor: u16,
    /// 3 in `go1.27.3`; 0 for betas and release candidates.
    pub patch: u16,
}

impl GoVersion {
    /// Reads `go1.25.5 X:greenteagc`, `go1.26.6-X:nogreenteagc`, `devel go1.28-abcdef`.
    pub fn parse(text: &str) -> GoVersion {
        let mut v = GoVersion { text: text.to_string(), ..GoVersion::default() };
        let Some(at) = text.find("go1") else { return v };
        let rest = &text[at + 2..];
        let num: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        let mut parts = num.split('.').map(|p| p.parse::<u16>().unwrap_or(0));
        v.major = parts.next().unwrap_or(0);
        v.minor = parts.next().unwrap_or(0);
        v.patch = parts.next().unwrap_or(0);
        v
    }
    /// `go1.27.3` without experiments or commit.
    pub fn short(&self) -> &str {
        let end = self.text.find([' ', '-']).unwrap_or(self.text.len());
        &self.text[..end]
    }
}

impl fmt::Display for GoVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn both_experiment_spellings() {
        let a = GoVersion::parse("go1.25.5 X:greenteagc");
        assert_eq!((a.major, a.minor, a.patch, a.short()), (1, 25, 5, "go1.25.5"));
        let b = GoVersion::parse("go1.26.6-X:nogreenteagc");
        assert_eq!((b.minor, b.patch, b.short()), (26, 6, "go1.26.6"));
        assert_eq!(GoVersion::parse("go1.27rc1").minor, 27);
        assert_eq!(GoVersion::parse("nonsense").major, 0);
    }
}
