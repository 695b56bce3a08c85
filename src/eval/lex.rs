//! Text to tokens.

use super::EvalError;

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Ident(String),
    Int(i128),
    Float(f64),
    Imaginary(f64),
    Char(char),
    Str(Vec<u8>),
    Op(&'static str),
    End,
}

/// Longest first.
const OPS: [&str; 35] = [
    "...", "<<", ">>", "&^", "&&", "||", "==", "!=", "<=", ">=", ":=", "<-", "+", "-", "*", "/", "%", "&", "|", "^",
    "<", ">", "!", "(", ")", "[", "]", "{", "}", ",", ".", ":", ";", "=", "~",
];

/// Tokens with the byte at which each begins.
pub(super) fn tokens(s: &str) -> Result<Vec<(Token, usize)>, EvalError> {
    let mut out = Vec::new();
    let b = s.as_bytes();
    let mut i = 0;
    while i < b.len() {
        let rest = &s[i..];
        let c = rest.chars().next().unwrap_or(' ');
        if c.is_whitespace() {
            i += c.len_utf8();
            continue;
        }
        let at = i;
        let token = if c.is_alphabetic() || c == '_' {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            i += end;
            Token::Ident(rest[..end].to_string())
        } else if c.is_ascii_digit() || (c == '.' && b.get(i + 1).is_some_and(u8::is_ascii_digit)) {
            let (t, n) = number(rest, at)?;
            i += n;
            t
        } else if c == '"' || c == '`' || c == '\'' {
            let (bytes, n) = quoted(rest, c, at)?;
            i += n;
            match c {
                '\'' => {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    let mut chars = text.chars();
                    match (chars.next(), chars.next()) {
                        (Some(c), None) => Token::Char(c),
                        _ => return Err(syntax(at, "illegal rune literal")),
                    }
                }
                _ => Token::Str(bytes),
            }
        } else if let Some(op) = OPS.iter().find(|o| rest.starts_with(**o)) {
            i += op.len();
            Token::Op(op)
        } else {
            return Err(syntax(at, &format!("illegal character {c:?}")));
        };
        out.push((token, at));
    }
    out.push((Token::End, s.len()));
    Ok(out)
}

pub(super) fn syntax(at: usize, what: &str) -> EvalError {
    EvalError::Syntax { at: at + 1, what: what.to_string() }
}

fn number(s: &str, at: usize) -> Result<(Token, usize), EvalError> {
    let lower = s.to_ascii_lowercase();
    for (prefix, radix) in [("0x", 16), ("0b", 2), ("0o", 8)] {
        if let Some(rest) = lower.strip_prefix(prefix) {
            let n = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
            let digits = rest[..n].replace('_', "");
            let v = i128::from_str_radix(&digits, radix).map_err(|_| syntax(at, "illegal number"))?;
            return Ok((Token::Int(v), n + 2));
        }
    }
    let mut n = 0;
    let b = lower.as_bytes();
    let mut float = false;
    while let Some(&c) = b.get(n) {
        let sign = matches!(c, b'+' | b'-') && n > 0 && b[n - 1] == b'e';
        match c {
            b'0'..=b'9' | b'_' => {}
            b'.' | b'e' => float = true,
            _ if sign => {}
            _ => break,
        }
        n += 1;
    }
    let digits = lower[..n].replace('_', "");
    let bad = |_| syntax(at, "illegal number");
    if b.get(n) == Some(&b'i') {
        return Ok((Token::Imaginary(digits.parse().map_err(bad)?), n + 1));
    }
    if float {
        return Ok((Token::Float(digits.parse().map_err(bad)?), n));
    }
    let octal = digits.len() > 1 && digits.starts_with('0');
    let v = i128::from_str_radix(&digits, if octal { 8 } else { 10 }).map_err(|_| syntax(at, "illegal number"))?;
    Ok((Token::Int(v), n))
}

/// The bytes of a literal that begins with `q`, and its length in the text.
fn quoted(s: &str, q: char, at: usize) -> Result<(Vec<u8>, usize), EvalError> {
    let open = || syntax(at, "literal not terminated");
    let mut out = Vec::new();
    let mut it = s.char_indices().skip(1);
    while let Some((i, c)) = it.next() {
        if c == q {
            return Ok((out, i + 1));
        }
        if c != '\\' || q == '`' {
            out.extend(c.to_string().bytes());
            continue;
        }
        let (_, e) = it.next().ok_or_else(open)?;
        let mut hex = |n: usize| -> Result<u32, EvalError> {
            let digits: String = (0..n).filter_map(|_| it.next().map(|x| x.1)).collect();
            u32::from_str_radix(&digits, 16).map_err(|_| syntax(at, "illegal escape"))
        };
        match e {
            'n' => out.push(b'\n'),
            't' => out.push(b'\t'),
            'r' => out.push(b'\r'),
            'a' => out.push(7),
            'b' => out.push(8),
            'f' => out.push(12),
            'v' => out.push(11),
            '\\' | '"' | '\'' => out.push(e as u8),
            'x' => out.push(hex(2)? as u8),
            'u' | 'U' => {
                let c = char::from_u32(hex(if e == 'u' { 4 } else { 8 })?);
                out.extend(c.ok_or_else(|| syntax(at, "illegal escape"))?.to_string().bytes());
            }
            '0'..='7' => {
                let two: String = (0..2).filter_map(|_| it.next().map(|x| x.1)).collect();
                let v = u32::from_str_radix(&format!("{e}{two}"), 8).map_err(|_| syntax(at, "illegal escape"))?;
                out.push(v as u8);
            }
            _ => return Err(syntax(at + i, "unknown escape sequence")),
        }
    }
    Err(open())
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn literals() {
        let t = |s: &str| tokens(s).unwrap_or_default().into_iter().map(|t| t.0).collect::<Vec<_>>();
        assert_eq!(
            t("0x1f 1_000 017 1.5e3 'a'")[..5],
            [Token::Int(31), Token::Int(1000), Token::Int(15), Token::Float(1500.0), Token::Char('a')]
        );
        assert_eq!(t("\"a\\n\\x41\\u00e9\"")[0], Token::Str("a\nAé".as_bytes().to_vec()));
        assert_eq!(t("a&^b")[1], Token::Op("&^"));
        assert!(tokens("\"abc").is_err() && tokens("0xzz").is_err() && tokens("a # b").is_err());
    }
}
