//! The program's output: two pipes, one for each stream, read by threads of their own.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;

/// Something that the program wrote.
#[derive(Debug)]
pub(super) struct Printed {
    /// `stdout` or `stderr`.
    pub category: &'static str,
    pub text: String,
}

/// Reads the program's output.
pub(super) struct Printer {
    tx: UnboundedSender<Printed>,
    readers: Vec<JoinHandle<()>>,
}

/// The end of a pipe that a program is to write to. It is closed when this goes: then the program's own copies are the last.
pub(super) struct Pipe {
    fd: OwnedFd,
}

impl Pipe {
    /// A name under which another process of this user can open it while this lives.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.fd.as_raw_fd()))
    }
    /// For a child of our own.
    pub fn stdio(self) -> std::process::Stdio {
        self.fd.into()
    }
}

impl Printer {
    pub fn new(tx: UnboundedSender<Printed>) -> Printer {
        Printer { tx, readers: Vec::new() }
    }

    /// A pipe whose other end is read.
    pub fn pipe(&mut self, category: &'static str) -> io::Result<Pipe> {
        let (ours, theirs) = io::pipe()?;
        let mut from = File::from(OwnedFd::from(ours));
        let tx = self.tx.clone();
        let read = move || {
            let mut buf = vec![0; 16 << 10];
            let mut text = Text::default();
            while let Ok(n) = from.read(&mut buf) {
                let text = if n == 0 { text.rest() } else { text.feed(&buf[..n]) };
                let gone = !text.is_empty() && tx.send(Printed { category, text }).is_err();
                if n == 0 || gone {
                    return;
                }
            }
        };
        self.readers.push(std::thread::Builder::new().name(format!("dap-{category}")).spawn(read)?);
        Ok(Pipe { fd: theirs.into() })
    }

    /// The program has ended: waits until all it wrote is read. Not for ever: its children may hold the pipes.
    pub async fn finish(&mut self) {
        let patience = Instant::now() + Duration::from_millis(500);
        while self.readers.iter().any(|r| !r.is_finished()) && Instant::now() < patience {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.readers.clear();
    }
}

/// Pieces of UTF-8 that are cut anywhere, as text.
#[derive(Default)]
pub(super) struct Text {
    left: Vec<u8>,
}

impl Text {
    /// The text so far; a character that is cut waits for its rest.
    pub fn feed(&mut self, bytes: &[u8]) -> String {
        self.left.extend_from_slice(bytes);
        let cut = match std::str::from_utf8(&self.left) {
            Err(e) if e.error_len().is_none() => e.valid_up_to(),
            _ => self.left.len(),
        };
        let rest = self.left.split_off(cut);
        let text = String::from_utf8_lossy(&self.left).into_owned();
        self.left = rest;
        text
    }
    /// What is left at the end.
    pub fn rest(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.left)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn characters_stay_whole() {
        let mut t = Text::default();
        let bytes = "aé€".as_bytes();
        assert_eq!(t.feed(&bytes[..2]), "a");
        assert_eq!(t.feed(&bytes[2..4]), "é");
        assert_eq!(t.feed(&bytes[4..]), "€");
        assert_eq!(t.feed(&[0xff, b'x']), "\u{fffd}x");
        assert_eq!((t.feed(&[0xe2]), t.rest()), (String::new(), "\u{fffd}".to_string()));
    }
}
