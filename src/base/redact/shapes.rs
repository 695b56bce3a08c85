//! Texts that look like secrets. Beginnings decide where there are any, so that one whose end was cut off is known, too.

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use std::ops::Range;
use std::sync::LazyLock;

/// Patterns; what is hidden is the group `s`, or all that matched.
const SHAPES: &[&str] = &[
    // PEM: to its end, or the text's.
    r"(?s)-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]{0,40}-----|\z)",
    // JSON Web Tokens and what else begins with `{"` in base64, with a second part.
    r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,4}",
    // AWS, Google, GitHub, GitLab, Slack, Stripe, npm, SendGrid, OpenAI-like, Telegram-like.
    r"\b(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA)[0-9A-Z]{8,}",
    r"\bAIza[0-9A-Za-z_-]{20,}",
    r"\bya29\.[0-9A-Za-z_-]{10,}",
    r"\b(?:gh[pousr]_[0-9A-Za-z]{16,}|github_pat_[0-9A-Za-z_]{16,}|glpat-[0-9A-Za-z_-]{16,})",
    r"\bxox[abeoprs]-[0-9A-Za-z-]{8,}",
    r"\bhttps://hooks\.slack\.com/services/(?P<s>[0-9A-Za-z/]{8,})",
    r"\b(?:sk|rk|pk)_(?:live|test)_[0-9A-Za-z]{8,}",
    r"\bwhsec_[0-9A-Za-z+/=]{8,}",
    r"\bnpm_[0-9A-Za-z]{20,}",
    r"\bSG\.[0-9A-Za-z_-]{16,}(?:\.[0-9A-Za-z_-]*)?",
    r"\bsk-[0-9A-Za-z_-]{20,}",
    // Schemes of the Authorization header.
    r"(?i)\b(?:bearer|basic|token|digest)\s+(?P<s>[0-9A-Za-z._~+/=-]{8,})",
    // Passwords in URLs, and in what drivers of databases take.
    r"\b[A-Za-z][A-Za-z0-9+.-]*://[^\s:@/]*:(?P<s>[^\s@/]+)@",
    r"\b[A-Za-z0-9_.-]+:(?P<s>[^\s@:/]{2,})@(?:tcp|unix)\(",
    // `password=…`, `"api_key": "…"`, `--token …`, `X-Api-Key: …`.
    r#"(?i)\b[a-z0-9_.-]{0,40}(?:passw(?:or)?d|pwd|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|authorization|cookie|credentials?|session[_-]?id)[a-z0-9_-]{0,20}["']?\s{0,3}[=:]\s{0,3}["']?(?P<s>[^\s"'&;,<>{}\[\]()]{3,})"#,
    r"(?i)(?:^|\s)--?[a-z0-9-]{0,40}(?:password|passwd|secret|token|api-?key|access-?key)\s+(?P<s>[^\s-]\S{2,})",
    // Numbers of cards, checked below; mail addresses.
    r"\b[3-6](?:[0-9][ -]?){12,17}[0-9]\b",
    r"\b[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b",
    // Long ones of high entropy, checked below.
    r"\b[0-9a-fA-F]{32,}\b",
    r"[A-Za-z0-9+/_-]{40,}={0,2}",
];
/// Which of them is what, for the checks.
const CARD: usize = SHAPES.len() - 4;
const LONG: usize = SHAPES.len() - 1;

// Of bytes: what is a letter elsewhere in the world ends a word here, and the fast engines do not give up at it.
static SET: LazyLock<Option<RegexSet>> = LazyLock::new(|| RegexSetBuilder::new(SHAPES).unicode(false).build().ok());
static EACH: LazyLock<Vec<Option<Regex>>> =
    LazyLock::new(|| SHAPES.iter().map(|p| RegexBuilder::new(p).unicode(false).build().ok()).collect());

/// Where they are: ascending, apart from each other.
pub(super) fn find(text: &[u8], own: &[Regex]) -> Vec<Range<usize>> {
    let mut all: Vec<Range<usize>> = Vec::new();
    // That all of them compile is a test.
    if let Some(set) = &*SET
        && set.is_match(text)
    {
        for i in set.matches(text) {
            let Some(r) = EACH.get(i).and_then(Option::as_ref) else { continue };
            for c in r.captures_iter(text) {
                let Some(m) = c.name("s").or_else(|| c.get(0)) else { continue };
                let ok = match i {
                    CARD => is_card(m.as_bytes()),
                    LONG => is_random(m.as_bytes()),
                    _ => true,
                };
                if ok && !m.is_empty() {
                    all.push(m.range());
                }
            }
        }
    }
    all.extend(own.iter().flat_map(|r| r.find_iter(text).map(|m| m.range())).filter(|r| !r.is_empty()));
    all.sort_by_key(|r| (r.start, r.end));
    let mut out: Vec<Range<usize>> = Vec::new();
    for r in all {
        match out.last_mut() {
            Some(last) if r.start < last.end => last.end = last.end.max(r.end),
            _ => out.push(r),
        }
    }
    out
}

/// Luhn's check digit, and as many digits as cards have.
fn is_card(text: &[u8]) -> bool {
    let digits: Vec<u32> = text.iter().filter(|b| b.is_ascii_digit()).map(|b| u32::from(b - b'0')).collect();
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, d)| {
            if i % 2 == 0 {
                *d
            } else if *d > 4 {
                2 * d - 9
            } else {
                2 * d
            }
        })
        .sum();
    (14..=16).contains(&digits.len()) && sum.is_multiple_of(10)
}

/// Random base64, not a path or a long name: all kinds of characters, long pieces, many different ones.
fn is_random(text: &[u8]) -> bool {
    let count = |f: fn(&u8) -> bool| text.iter().filter(|b| f(b)).count();
    let (upper, lower, digits) =
        (count(u8::is_ascii_uppercase), count(u8::is_ascii_lowercase), count(u8::is_ascii_digit));
    let pieces = 1 + count(|b| matches!(b, b'/' | b'-' | b'_'));
    let mut seen = [0u32; 256];
    text.iter().for_each(|b| seen[usize::from(*b)] += 1);
    let n = text.len() as f64;
    let entropy: f64 = seen.iter().filter(|c| **c > 0).map(|c| f64::from(*c) / n).map(|p| -p * p.log2()).sum();
    upper >= 3 && lower >= 3 && digits >= 3 && text.len() / pieces >= 14 && entropy >= 4.2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_compile() {
        assert!(SET.is_some() && EACH.iter().all(Option::is_some));
        assert!(SHAPES[CARD].contains("[3-6]") && SHAPES[LONG].contains("40,"));
    }

    #[test]
    fn shapes_and_what_is_none() {
        let hidden = |t: &str| -> Vec<String> {
            find(t.as_bytes(), &[])
                .into_iter()
                .map(|r| String::from_utf8_lossy(&t.as_bytes()[r]).into_owned())
                .collect()
        };
        for (text, secret) in [
            ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "MIIE"),
            ("-----BEGIN PRIVATE KEY-----\nMIIEcut", "MIIEcut"),
            ("t=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmN", "dozjgNryP4J3jVmN"),
            ("key AKIAIOSFODNN7EXAMPLE here", "AKIAIOSFODNN7EXAMPLE"),
            ("ghp_abcdefghijklmnop0123456789ABCDEFGHIJ", "abcdefghijklmnop0123456789"),
            ("xoxb-12345-abcdef-GHI", "12345-abcdef"),
            ("sk_live_abcdefgh12345678", "abcdefgh12345678"),
            ("Authorization: Bearer abc.def.ghi12", "abc.def.ghi12"),
            ("postgres://bob:hunter2@db:5432/x", "hunter2"),
            ("bob:hunter2@tcp(db:3306)/x", "hunter2"),
            ("DB_PASSWORD=hunter2", "hunter2"),
            ("{\"api_key\": \"hunter2\"}", "hunter2"),
            ("app --token hunter2 -v", "hunter2"),
            ("pay with 4111 1111 1111 1111", "4111 1111 1111 1111"),
            ("write to bob@example.com", "bob@example.com"),
            ("9f86d081884c7d659a2feaa0c55ad015", "9f86d081884c7d659a2feaa0c55ad015"),
            ("k: Zm9vQmFy4wX1pQz8Lr0Tt5Yv2Kj7Nn3Mm6Bb9Vv1Cc4A", "Zm9vQmFy4wX1pQz8Lr0Tt5Yv2Kj7Nn3Mm6Bb9Vv1Cc4A"),
        ] {
            assert!(hidden(text).iter().any(|h| h.contains(secret)), "{text}: {:?}", hidden(text));
        }
        assert_eq!(hidden("schlüssel=é password=hünter2"), ["hünter2"]);
        for text in [
            "",
            "hello, world",
            "1234 5678 9012 3456",
            "/home/user/go/pkg/mod/github.com/grafana/loki/v3@v3.1.0/pkg/x.go",
            "a-rather-long-name-of-a-service-in-some-namespace-of-a-cluster",
            "http://127.0.0.1:6060/debug/pprof",
            "the token was refused",
            "1700000000000000000",
        ] {
            assert_eq!(hidden(text), Vec::<String>::new(), "{text}");
        }
    }
}
