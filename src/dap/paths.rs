//! Paths as the editor names them and as the program's symbols do (Delve's `locspec.SubstitutePath`).

use super::config::Rule;

/// The editor's path to the program's.
pub(super) fn to_program(path: &str, rules: &[Rule]) -> String {
    substitute(path, rules.iter().map(|(client, server)| (client.as_str(), server.as_str())))
}

/// The program's path to the editor's.
pub(super) fn to_editor(path: &str, rules: &[Rule]) -> String {
    substitute(path, rules.iter().map(|(client, server)| (server.as_str(), client.as_str())))
}

fn separator(c: Option<char>) -> bool {
    matches!(c, Some('/' | '\\'))
}

fn windows(path: &str) -> bool {
    let mut c = path.chars();
    c.next().is_some_and(|l| l.is_ascii_alphabetic()) && c.next() == Some(':') && separator(c.next())
}

fn absolute(path: &str) -> bool {
    separator(path.chars().next()) || windows(path)
}

fn substitute<'a>(path: &str, rules: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> String {
    // On Windows the same path can be written in several ways.
    let fold = windows(path) || rules.clone().any(|(a, b)| windows(a) || windows(b));
    for (from, to) in rules {
        if path == from {
            return to.to_string();
        }
        let rest = if from.is_empty() {
            (!absolute(path)).then_some(path)
        } else {
            let head = path.get(..from.len());
            let same = head.is_some_and(|h| if fold { h.eq_ignore_ascii_case(from) } else { h == from });
            let rest = path.get(from.len()..).unwrap_or("");
            // Only whole parts of a path match.
            (same && (separator(from.chars().last()) || separator(rest.chars().next()))).then_some(rest)
        };
        let Some(rest) = rest else { continue };
        if to.is_empty() {
            return rest.strip_prefix(['/', '\\']).unwrap_or(rest).to_string();
        }
        return join(to, rest);
    }
    path.to_string()
}

fn join(to: &str, rest: &str) -> String {
    let sep = if to.contains('\\') && !to.contains('/') { '\\' } else { '/' };
    let rest: String = match sep {
        '/' if rest.contains('\\') => rest.replace('\\', "/"),
        '\\' => rest.replace('/', "\\"),
        _ => rest.to_string(),
    };
    match (separator(to.chars().last()), separator(rest.chars().next())) {
        (true, true) => format!("{to}{}", &rest[1..]),
        (false, false) => format!("{to}{sep}{rest}"),
        _ => format!("{to}{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        let rules = |s: &[(&str, &str)]| s.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect::<Vec<_>>();
        let one = rules(&[("/home/me/shop", "/src")]);
        assert_eq!(to_program("/home/me/shop/a.go", &one), "/src/a.go");
        assert_eq!(to_program("/home/me/shopping/a.go", &one), "/home/me/shopping/a.go");
        assert_eq!(to_editor("/src/x/a.go", &one), "/home/me/shop/x/a.go");
        // -trimpath: what is recorded begins with the module's path.
        let trimmed = rules(&[("/home/me/shop/", "example.com/shop/")]);
        assert_eq!(to_program("/home/me/shop/a.go", &trimmed), "example.com/shop/a.go");
        assert_eq!(to_editor("example.com/shop/a.go", &trimmed), "/home/me/shop/a.go");
        let empty = rules(&[("/home/me", "")]);
        assert_eq!(to_program("/home/me/a.go", &empty), "a.go");
        assert_eq!(to_editor("a.go", &empty), "/home/me/a.go");
        assert_eq!(to_editor("/usr/a.go", &empty), "/usr/a.go");
        let windows = rules(&[("C:\\work", "/src")]);
        assert_eq!(to_program("c:\\Work\\a.go", &windows), "/src/a.go");
        assert_eq!(to_editor("/src/x/a.go", &windows), "C:\\work\\x\\a.go");
    }
}
