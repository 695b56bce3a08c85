//! Path substitution: from the paths that the compiler recorded to where the sources are here, and back.

/// Ordered rules `from -> to`, each on a path boundary; the first that matches wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceMap {
    rules: Vec<(String, String)>,
}

impl SourceMap {
    /// Rules in order of preference.
    pub fn new(rules: Vec<(String, String)>) -> SourceMap {
        SourceMap { rules }
    }
    /// Compiler's path to local path.
    pub fn to_local(&self, path: &str) -> String {
        self.rules.iter().find_map(|(from, to)| substitute(path, from, to)).unwrap_or_else(|| path.to_string())
    }
    /// Local path to compiler's path.
    pub fn to_compiled(&self, path: &str) -> String {
        self.rules.iter().find_map(|(from, to)| substitute(path, to, from)).unwrap_or_else(|| path.to_string())
    }
}

/// A path under `from` as it is under `to`; none if it is not there. An empty `from` stands for relative paths.
pub fn substitute(path: &str, from: &str, to: &str) -> Option<String> {
    if from.is_empty() {
        // An empty side stands for relative paths, as `-trimpath` makes them.
        return (!path.starts_with('/')).then(|| join(to, path));
    }
    let from = from.trim_end_matches('/');
    let rest = path.strip_prefix(from)?;
    match rest.strip_prefix('/') {
        Some(rest) => Some(join(to, rest)),
        None if rest.is_empty() => Some(to.to_string()),
        None => None,
    }
}

fn join(dir: &str, rest: &str) -> String {
    match dir.trim_end_matches('/') {
        "" if dir.is_empty() => rest.to_string(),
        d => format!("{d}/{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn only_at_path_boundaries() {
        let m = SourceMap::new(vec![("/build/app".into(), "/home/me/app".into()), (String::new(), "/src".into())]);
        assert_eq!(m.to_local("/build/app/main.go"), "/home/me/app/main.go");
        assert_eq!(m.to_local("/build/apple/main.go"), "/build/apple/main.go");
        assert_eq!(m.to_local("runtime/proc.go"), "/src/runtime/proc.go");
        assert_eq!(m.to_compiled("/home/me/app/main.go"), "/build/app/main.go");
    }
}
