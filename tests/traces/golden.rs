//! Traces in text, as Go's tests have them, to bytes.

use adit::trace::exec::format::SPECS;

/// Numbers of the events that are no timed ones.
const OTHERS: [(&str, u8, &[&str]); 12] = [
    ("EventBatch", 1, &["gen", "m", "time", "size"]),
    ("Stacks", 2, &[]),
    ("Stack", 3, &["id", "nframes"]),
    ("Strings", 4, &[]),
    ("String", 5, &["id"]),
    ("CPUSamples", 6, &[]),
    ("CPUSample", 7, &["time", "m", "p", "g", "stack"]),
    ("Frequency", 8, &["freq"]),
    ("ExperimentalBatch", 49, &["exp", "gen", "m", "time"]),
    ("Sync", 50, &[]),
    ("ClockSnapshot", 51, &["dt", "mono", "sec", "nsec"]),
    ("EndOfGeneration", 52, &[]),
];

/// Does Go's reader take it, and its bytes.
pub struct Golden {
    pub fails_with: Option<String>,
    pub bytes: Vec<u8>,
}

fn uvarint(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

/// A Go string literal.
pub fn unquote(s: &str) -> Vec<u8> {
    let s = s.trim().strip_prefix('"').and_then(|s| s.strip_suffix('"')).unwrap_or_else(|| panic!("quoted: {s}"));
    let mut out = Vec::new();
    let mut chars = s.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.extend(c.encode_utf8(&mut [0; 4]).bytes());
            continue;
        }
        let escape = chars.next().expect("an escape");
        let mut code = |n: usize| {
            let digits: String = chars.by_ref().take(n).collect();
            u32::from_str_radix(&digits, 16).expect("hex digits")
        };
        match escape {
            'a' => out.push(7),
            'b' => out.push(8),
            'f' => out.push(12),
            'n' => out.push(10),
            'r' => out.push(13),
            't' => out.push(9),
            'v' => out.push(11),
            'x' => out.push(code(2) as u8),
            'u' => out.extend(char::from_u32(code(4)).expect("a character").encode_utf8(&mut [0; 4]).bytes()),
            'U' => out.extend(char::from_u32(code(8)).expect("a character").encode_utf8(&mut [0; 4]).bytes()),
            c @ ('\\' | '"' | '\'') => out.push(c as u8),
            c => panic!("unknown escape {c} in {s}"),
        }
    }
    out
}

impl Golden {
    /// Parses a `.test` file.
    pub fn parse(text: &str) -> Golden {
        let (expect, trace) = text.split_once("-- trace --\n").expect("two files");
        let expect = expect.trim().strip_prefix("-- expect --").expect("what is expected").trim();
        let fails_with = match expect.split_once(' ') {
            None if expect == "SUCCESS" => None,
            Some(("FAILURE", pattern)) => Some(String::from_utf8(unquote(pattern)).expect("UTF-8")),
            other => panic!("{other:?}"),
        };
        let mut lines = trace.lines().map(|l| l.split('#').next().unwrap_or("").trim()).filter(|l| !l.is_empty());
        let version = lines.next().and_then(|l| l.strip_prefix("Trace Go1.")).expect("a header");
        let mut bytes = format!("go 1.{version} trace\0\0\0").into_bytes();
        while let Some(line) = lines.next() {
            let mut words = line.split_whitespace();
            let name = words.next().expect("a name");
            let args: Vec<u64> =
                words.map(|w| w.split_once('=').expect("name=value").1.parse().expect("a number")).collect();
            let other = OTHERS.iter().find(|o| o.0 == name);
            let typ = other.map(|o| o.1).or_else(|| (0..=255).find(|t| SPECS[usize::from(*t)].name == name));
            bytes.push(typ.unwrap_or_else(|| panic!("unknown event {name}")));
            args.iter().for_each(|a| uvarint(&mut bytes, *a));
            match name {
                "Stack" => {
                    for _ in 0..args[1] {
                        let frame = lines.next().expect("a frame");
                        for w in frame.split_whitespace() {
                            uvarint(&mut bytes, w.split_once('=').expect("name=value").1.parse().expect("a number"));
                        }
                    }
                }
                "String" | "ExperimentalBatch" => {
                    let data = unquote(lines.next().and_then(|l| l.trim().strip_prefix("data=")).expect("data"));
                    uvarint(&mut bytes, data.len() as u64);
                    bytes.extend(data);
                }
                _ => {}
            }
        }
        Golden { fails_with, bytes }
    }
}
