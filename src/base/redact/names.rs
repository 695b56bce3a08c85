//! Names that tell of secrets: their words, however they are written (`apiKey`, `API_KEY`, `X-Api-Key`).

use super::Hide;

/// Words that say it alone, of text and numbers.
const ALL: &[&str] = &[
    "password",
    "passwords",
    "passwd",
    "pwd",
    "passphrase",
    "passcode",
    "otp",
    "cvv",
    "cvc",
    "ssn",
    "iban",
    "card",
    "cardnumber",
];
/// Words that say it of text: as numbers they are counts and kinds.
const TEXT: &[&str] = &[
    "secret",
    "secrets",
    "token",
    "tokens",
    "apikey",
    "apikeys",
    "authorization",
    "authorisation",
    "cookie",
    "cookies",
    "credential",
    "credentials",
    "creds",
    "session",
    "sessions",
    "sessionid",
    "private",
    "privatekey",
    "privkey",
    "bearer",
    "jwt",
    "dsn",
    "accesskey",
    "secretkey",
    "authtoken",
    "accesstoken",
    "refreshtoken",
    "idtoken",
    "cards",
];
/// Words that say it together.
const PAIRS: &[(&str, &str)] = &[
    ("api", "key"),
    ("api", "keys"),
    ("access", "key"),
    ("signing", "key"),
    ("encryption", "key"),
    ("master", "key"),
    ("auth", "key"),
    ("shared", "key"),
    ("account", "key"),
    ("auth", "header"),
    ("pass", "word"),
    ("pass", "phrase"),
];
/// Types all of whose data are secret, by their full names.
const TYPES: &[&str] = &[
    "crypto/rsa.PrivateKey",
    "crypto/dsa.PrivateKey",
    "crypto/ecdsa.PrivateKey",
    "crypto/ecdh.PrivateKey",
    "crypto/ed25519.PrivateKey",
    "net/url.Userinfo",
];
/// Where the runtime keeps registers of what it interrupted, whole: what was being copied or compared is in them.
const SAVED: &[&str] = &[
    "runtime.xReg",
    "runtime.fpstate",
    "runtime.xmmreg",
    "runtime.sigcontext",
    "runtime.mcontext",
    "runtime.ucontext",
];
/// Longest name looked at, bytes: what is longer is text, and has a shape at most.
const LONGEST: usize = 256;

/// What of a name tells: the variable without its package, the key without brackets.
pub(super) fn last(name: &str) -> &str {
    if let Some(key) = name.strip_prefix('[') {
        return key.strip_suffix(']').unwrap_or(key);
    }
    name.rsplit('.').next().unwrap_or(name)
}

/// Its words, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut word = String::new();
    let chars: Vec<char> = name.chars().collect();
    for (i, &c) in chars.iter().enumerate() {
        let before = i.checked_sub(1).map(|k| chars[k]);
        let after = chars.get(i + 1);
        // `apiKey`, and the last capital of `APIKey`.
        let begins = c.is_uppercase()
            && (before.is_some_and(char::is_lowercase)
                || before.is_some_and(char::is_uppercase) && after.is_some_and(|a| a.is_lowercase()));
        if (begins || !c.is_alphabetic()) && !word.is_empty() {
            out.push(std::mem::take(&mut word));
        }
        if c.is_alphabetic() {
            word.extend(c.to_lowercase());
        }
    }
    if !word.is_empty() {
        out.push(word);
    }
    out
}

/// How much a name hides.
pub(super) fn hides(name: &str) -> Hide {
    if name.len() > LONGEST {
        return Hide::No;
    }
    let words = words(name);
    let any = |list: &[&str]| words.iter().any(|w| list.contains(&w.as_str()));
    if any(ALL) {
        Hide::All
    } else if any(TEXT) || words.windows(2).any(|w| PAIRS.contains(&(w[0].as_str(), w[1].as_str()))) {
        Hide::Text
    } else {
        Hide::No
    }
}

/// The names that a struct field's tag gives the field: key and name. In a value the name comes first; where other things do, it is marked
/// (`protobuf`, `gorm`).
pub(super) fn in_tag(tag: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = tag;
    let pairs = std::iter::from_fn(move || {
        let (key, value) = rest.trim_start_matches(' ').split_once(":\"")?;
        // As reflect.StructTag.Lookup: a quote may be escaped.
        let mut escaped = false;
        let end = value.bytes().position(|b| {
            let ends = b == b'"' && !escaped;
            escaped = b == b'\\' && !escaped;
            ends
        })?;
        rest = value.get(end + 1..)?;
        Some((key, value.get(..end)?))
    });
    pairs.flat_map(|(key, value)| {
        value.split([',', ';']).enumerate().filter_map(move |(i, part)| {
            let marked = part.strip_prefix("name=").or_else(|| part.strip_prefix("column:"));
            let name = marked.or((i == 0).then_some(part))?;
            // Prose is no name.
            (!name.contains(char::is_whitespace)).then_some((key, name))
        })
    })
}

/// How much a type hides, if its full name decides it.
pub(super) fn type_hides(name: &str) -> Option<Hide> {
    let plain = name.trim_start_matches('*');
    if TYPES.contains(&plain) || SAVED.iter().any(|t| plain.starts_with(t)) {
        return Some(Hide::All);
    }
    let package = plain.rsplit_once('.').map_or("", |p| p.0);
    (package.rsplit('/').next() == Some("secret")).then_some(Hide::All)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telling_names_and_others() {
        for name in ["password", "DBPassword", "db_passwd", "PIN_OTP", "userSSN", "cardNumber"] {
            assert_eq!(hides(last(name)), Hide::All, "{name}");
        }
        for name in [
            "main.apiToken",
            "APIKey",
            "X-Api-Key",
            "[\"Authorization\"]",
            "[\"Set-Cookie\"]",
            "refresh_token",
            "privateKey",
            "sessionID",
            "dsn",
            "awsSecretAccessKey",
        ] {
            assert_eq!(hides(last(name)), Hide::Text, "{name}");
        }
        // Words in words, and packages.
        for name in ["className", "discard", "cardinality", "tokenizer", "github.com/x/token.count", "key", "passenger"]
        {
            assert_eq!(hides(last(name)), Hide::No, "{name}");
        }
        assert_eq!(type_hides("crypto/rsa.PrivateKey"), Some(Hide::All));
        assert_eq!((type_hides("example.com/secret.Text"), type_hides("main.T")), (Some(Hide::All), None));
    }
}
