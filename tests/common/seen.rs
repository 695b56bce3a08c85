//! What the user of a terminal sees of what comes out of it.

use std::io::Read;
use std::sync::{Arc, Mutex};

/// What a terminal does between the two is shown at the second only (synchronized output, DEC private mode 2026).
const BEGIN: &[u8] = b"\x1b[?2026h";
const END: &[u8] = b"\x1b[?2026l";

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

/// A terminal's screen as its user sees it: whole frames, however many pieces they arrive in.
pub struct Seen {
    pub parser: vt100::Parser,
    /// Of a frame whose end is not here yet.
    held: Vec<u8>,
    /// All that was received.
    pub raw: Vec<u8>,
    /// Nobody writes any more.
    pub ended: bool,
}

impl Seen {
    /// What comes out of a terminal of that size, read by a thread until nobody writes any more.
    pub fn by(mut out: impl Read + Send + 'static, cols: u16, rows: u16) -> Arc<Mutex<Seen>> {
        let parser = vt100::Parser::new(rows, cols, 0);
        let seen = Arc::new(Mutex::new(Seen { parser, held: Vec::new(), raw: Vec::new(), ended: false }));
        let sink = seen.clone();
        std::thread::spawn(move || {
            let mut buf = [0; 4096];
            while let Ok(n @ 1..) = out.read(&mut buf) {
                sink.lock().expect("not poisoned").take(&buf[..n]);
            }
            sink.lock().expect("not poisoned").ended = true;
        });
        seen
    }

    /// What is on it.
    pub fn text(&self) -> String {
        self.parser.screen().contents()
    }

    fn take(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
        self.held.extend_from_slice(bytes);
        while let Some(begin) = find(&self.held, BEGIN) {
            let Some(end) = find(&self.held[begin..], END) else {
                self.parser.process(&self.held[..begin]);
                self.held.drain(..begin);
                return;
            };
            let end = begin + end + END.len();
            self.parser.process(&self.held[..end]);
            self.held.drain(..end);
        }
        // A mark may be cut in two.
        let rest = (1..BEGIN.len()).rev().find(|n| self.held.ends_with(&BEGIN[..*n])).unwrap_or(0);
        let whole = self.held.len() - rest;
        self.parser.process(&self.held[..whole]);
        self.held.drain(..whole);
    }
}
