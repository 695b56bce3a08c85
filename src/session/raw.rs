//! Memory as bytes, and what calls of the program's functions came to.

use super::{Answer, Purpose, Session, Tone};
use crate::backend::protocol::{FrameRef, LoadLimits, Request};
use crate::base::LoadAddr;
use crate::base::text::printable_str;
use crate::model::{VarKind, Variable};

/// Bytes of a line.
const LINE: usize = 16;

impl Session {
    /// Shows memory at an address or where an expression points.
    pub(super) fn examine(&mut self, at: String, count: u32) {
        let hex = at.strip_prefix("0x").and_then(|h| u64::from_str_radix(&h.replace('_', ""), 16).ok());
        match hex {
            Some(a) => self.ask(Purpose::Memory(at), Request::Memory { addr: LoadAddr(a), len: count }),
            None => {
                let frame = FrameRef { goroutine: self.goroutine, frame: self.frame };
                let limits = LoadLimits { string: 0, elements: 0, fields: 0, depth: 0 };
                self.ask(Purpose::Address(at.clone(), count), Request::Eval { frame, expression: at, limits });
            }
        }
    }

    /// A pointer's target, else where the value itself is.
    pub(super) fn examine_value(&mut self, expression: &str, v: &Variable, count: u32) {
        let pointer = matches!(v.kind, VarKind::Pointer | VarKind::UnsafePointer | VarKind::Uint | VarKind::Int);
        let to = v.value.rsplit(['(', ' ', '*']).find_map(|w| {
            let w = w.trim_end_matches(')');
            w.strip_prefix("0x").map_or_else(|| w.parse().ok(), |h| u64::from_str_radix(h, 16).ok())
        });
        let addr = match to.filter(|_| pointer) {
            Some(a) => LoadAddr(a),
            None => v.addr,
        };
        if addr.is_nil() {
            return self.say(Tone::Warn, &format!("{expression} has no address: it is not in memory"));
        }
        self.ask(Purpose::Memory(expression.to_string()), Request::Memory { addr, len: count });
    }

    pub(super) fn show_memory(&mut self, expression: &str, addr: LoadAddr, bytes: &[u8]) {
        let lines = dump(addr, bytes);
        let title = format!("memory of {}, {} bytes", printable_str(expression, 60), bytes.len());
        self.answer = Some(Answer { title, lines });
    }

    pub(super) fn show_called(&mut self, expression: &str, values: &[Variable], panicked: Option<&Variable>) {
        let text = match panicked {
            Some(p) => format!("{expression} panicked: {}", p.value),
            None => {
                let all: Vec<String> = values.iter().map(|v| v.value.clone()).collect();
                match all.as_slice() {
                    [] => format!("{expression} returned"),
                    all => format!("{expression} = {}", all.join(", ")),
                }
            }
        };
        let time = (self.clock)();
        self.log.push_here_only(&time, crate::backend::protocol::LogLevel::Info, &text);
        let tone = if panicked.is_some() { Tone::Warn } else { Tone::Note };
        self.message = Some(super::Message { tone, text: printable_str(&text, 500) });
    }
}

/// Address, bytes in words of eight, text.
fn dump(addr: LoadAddr, bytes: &[u8]) -> Vec<String> {
    let line = |(i, c): (usize, &[u8])| {
        let mut hex = String::new();
        for k in 0..LINE {
            hex.push_str(&c.get(k).map_or_else(|| "   ".to_string(), |b| format!("{b:02x} ")));
            if k % 8 == 7 {
                hex.push(' ');
            }
        }
        let text: String =
            c.iter().map(|b| if b.is_ascii_graphic() || *b == b' ' { char::from(*b) } else { '.' }).collect();
        format!("{:#014x}  {hex}{text}", addr.0 + (i * LINE) as u64)
    };
    bytes.chunks(LINE).enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_memory() {
        let d = dump(LoadAddr(0xc000), b"Hello, \x00\xffworld of Go");
        assert_eq!(d[0], "0x00000000c000  48 65 6c 6c 6f 2c 20 00  ff 77 6f 72 6c 64 20 6f  Hello, ..world o");
        assert!(d[1].ends_with("f Go") && d.len() == 2);
    }
}
