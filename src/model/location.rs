//! A place in the program.

use crate::base::LoadAddr;
use serde::{Deserialize, Serialize};

/// A code address with what the symbol tables say of it. Shared (`Arc`) between rows, since few differ.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Location {
    /// Full function name, `main.(*Cart).Total`; empty when unknown.
    pub function: String,
    /// Source path as the compiler recorded it; empty when unknown.
    pub file: String,
    /// Line, from 1; 0 when unknown.
    pub line: u32,
    /// The address in memory.
    pub pc: LoadAddr,
}

impl Location {
    /// Function without its package path's directories: `http.(*conn).serve`, `main.work`.
    pub fn short_function(&self) -> &str {
        short_function(&self.function)
    }
    /// Last element of the file path.
    pub fn base_file(&self) -> &str {
        self.file.rsplit('/').next().unwrap_or(&self.file)
    }
}

/// `net/http.(*conn).serve` to `http.(*conn).serve`; slashes inside type arguments are left alone.
pub fn short_function(f: &str) -> &str {
    let end = f.find('[').unwrap_or(f.len());
    match f[..end].rfind('/') {
        Some(i) => &f[i + 1..],
        None => f,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn shortens_the_package_only() {
        assert_eq!(short_function("net/http.(*conn).serve"), "http.(*conn).serve");
        assert_eq!(short_function("main.gen[a/b.T]"), "main.gen[a/b.T]");
    }
}
