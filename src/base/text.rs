//! Text from a target is hostile: it is escaped and capped before it reaches a terminal, a log or a file.

/// Characters that may change what a terminal shows of the text around them.
fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{200b}'..='\u{200f}'   // zero width, direction marks
            | '\u{2028}'..='\u{202e}' // separators, bidi embeddings and overrides
            | '\u{2060}'..='\u{206f}' // word joiner, isolates, invisible operators
            | '\u{061c}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// `bytes` as one printable line of at most `max` characters; control, bidi and zero-width characters and
/// bytes that are not UTF-8 become Go escapes (`\n`, `\x1b`, `\u202e`). An ellipsis marks what was cut.
pub fn printable(bytes: &[u8], max: usize) -> String {
    let mut out = String::with_capacity(bytes.len().min(max) + 4);
    let mut n = 0;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if n >= max {
                out.push('…');
                return out;
            }
            push_escaped(&mut out, c);
            n += 1;
        }
        for b in chunk.invalid() {
            if n >= max {
                out.push('…');
                return out;
            }
            out.push_str(&format!("\\x{b:02x}"));
            n += 1;
        }
    }
    out
}

/// [`printable`] for text that is UTF-8 already.
pub fn printable_str(s: &str, max: usize) -> String {
    printable(s.as_bytes(), max)
}

fn push_escaped(out: &mut String, c: char) {
    match c {
        // Go's own escapes (strconv.Quote).
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{b}' => out.push_str("\\v"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if !is_hostile(c) => out.push(c),
        c if (c as u32) < 0x80 => out.push_str(&format!("\\x{:02x}", c as u32)),
        c if (c as u32) <= 0xffff => out.push_str(&format!("\\u{:04x}", c as u32)),
        c => out.push_str(&format!("\\U{:08x}", c as u32)),
    }
}

/// As [`printable`], and `"` and `\` escaped, in quotes: a Go string literal of at most `max` characters.
pub fn quoted(bytes: &[u8], max: usize) -> String {
    let mut out = String::from("\"");
    let mut left = max;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars().take(left) {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                c => push_escaped(&mut out, c),
            }
            left -= 1;
        }
        for b in chunk.invalid().iter().take(left) {
            out.push_str(&format!("\\x{b:02x}"));
            left -= 1;
        }
    }
    out.push('"');
    out
}

/// Two lower-case hexadecimal digits a byte.
pub fn hex<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> String {
    bytes.into_iter().map(|b| format!("{b:02x}")).collect()
}

/// `1,842`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// The last line with something on it, trimmed; empty if there is none.
pub fn last_line(text: &str) -> &str {
    text.lines().map(str::trim).rfind(|l| !l.is_empty()).unwrap_or("")
}

/// `N` random bytes in hexadecimal digits: a name that nobody guesses.
///
/// # Errors
/// The system has no random numbers.
pub fn random_hex<const N: usize>() -> Result<String, getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(hex(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn numbers_lines_and_names() {
        assert_eq!(thousands(1234567), "1,234,567");
        assert_eq!((thousands(0), thousands(999)), ("0".into(), "999".into()));
        assert_eq!((last_line("a\n b \n \n"), last_line("\n"), last_line("")), ("b", "", ""));
        let (a, b) = (random_hex::<8>().expect("numbers"), random_hex::<8>().expect("numbers"));
        assert!(a.len() == 16 && a != b);
    }

    #[test]
    fn nothing_reaches_the_terminal_raw() {
        let s = printable("a\x1b[2J\u{202e}\u{200b}\u{7f}é".as_bytes(), 100);
        assert_eq!(s, "a\\x1b[2J\\u202e\\u200b\\x7fé");
        assert_eq!(printable(&[0xff, b'k'], 9), "\\xffk");
        assert_eq!(printable(b"abcdef", 3), "abc…");
        assert_eq!(quoted(b"a\"\\\n", 9), "\"a\\\"\\\\\\n\"");
    }
}
