//! A host behind a program of the user's (ssh, kubectl) whose standard input and output lead to it.

use super::link::{self, GREETING, Line};
use super::protocol::{Failure, FailureKind, PROTOCOL_VERSION};
use crate::base::text::{last_line, printable_str, random_hex};
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What a shell there says when it finds no adit like this one.
pub const MISSING: &str = "adit-missing";
/// Of what the program says on its error stream, bytes kept.
const KEPT: usize = 4096;
/// How long the error stream of a program that has ended may take to close.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// What to do about a program that does not do its part.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// It is not there.
    pub missing: &'static str,
    /// It runs, and no host answers.
    pub silent: &'static str,
}

/// Where what the program says beside the conversation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// To the user's terminal: it may ask for something.
    ToUser,
    /// Nowhere.
    Dropped,
    /// Into the failure, if there is one.
    Kept,
}

fn host(text: String) -> Failure {
    Failure::new(FailureKind::Host, text)
}

/// An adit's name where it is copied to: of this version, this protocol and these bytes (CRC-32 of the file).
///
/// # Errors
/// The file cannot be read.
pub fn name_there(adit: &Path) -> io::Result<String> {
    let mut crc = flate2::Crc::new();
    let mut file = File::open(adit)?;
    let mut buf = vec![0; 1 << 20];
    loop {
        match file.read(&mut buf)? {
            0 => break,
            n => crc.update(&buf[..n]),
        }
    }
    Ok(format!("adit-{}-{PROTOCOL_VERSION}-{:08x}", env!("CARGO_PKG_VERSION"), crc.sum()))
}

/// A new name for a host that outlives its line: nobody guesses it.
///
/// # Errors
/// The system has no random numbers.
pub fn session_name() -> Result<String, Failure> {
    let name = random_hex::<12>().map_err(|e| host(format!("no random numbers: {e}")))?;
    Ok("s".to_string() + &name)
}

/// Starts the program and reads the first line: a host's greeting, or that there is no adit.
///
/// # Errors
/// It cannot be started, or what came is neither.
pub fn start(c: &mut Command, said: Said, p: Program) -> Result<(String, Line), Failure> {
    let program = c.get_program().to_string_lossy().into_owned();
    let fail = |e: io::Error| host(format!("cannot run {program}: {e}")).fix(p.missing);
    let err = match said {
        Said::ToUser => Stdio::inherit(),
        Said::Dropped => Stdio::null(),
        Said::Kept => Stdio::piped(),
    };
    c.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(err);
    let mut child = c.spawn().map_err(fail)?;
    let (Some(writer), Some(mut reader)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(host(format!("{program} has no pipes")));
    };
    let words = child.stderr.take().map(listen).transpose().map_err(fail)?;
    let child = Arc::new(Mutex::new(child));
    let cut = Arc::new(move || end(&child));
    let first = link::first_line(&mut reader);
    let text = String::from_utf8_lossy(&first).into_owned();
    if !text.starts_with(GREETING) && !text.starts_with(MISSING) {
        cut();
        let said = printable_str(text.trim(), 100);
        let last = words.map(|w| w.last()).unwrap_or_default();
        let said = match (said.is_empty(), last.is_empty()) {
            (false, _) => format!("`{said}` came"),
            (true, false) => last,
            (true, true) => "nothing came".to_string(),
        };
        return Err(host(format!("no host answers over {program}: {said}")).fix(p.silent));
    }
    let reader = Box::new(Cursor::new(first).chain(reader));
    Ok((text, Line { reader, writer: Box::new(writer), cut }))
}

/// Our own child; its end is waited for.
fn end(child: &Mutex<Child>) {
    let mut c = child.lock().unwrap_or_else(PoisonError::into_inner);
    let _it_has_ended = c.kill();
    let _status = c.wait();
}

/// What a program says on its error stream: the beginning is kept, all is read, so that it never has to wait.
pub struct Words(std::sync::mpsc::Receiver<()>, Arc<Mutex<Vec<u8>>>);

/// Listens to an error stream.
///
/// # Errors
/// There is no thread for it.
pub fn listen(mut from: impl Read + Send + 'static) -> io::Result<Words> {
    let kept: Arc<Mutex<Vec<u8>>> = Arc::default();
    let (tx, rx) = std::sync::mpsc::channel();
    let to = kept.clone();
    let read = move || {
        let mut buf = [0; 1024];
        while let Ok(n @ 1..) = from.read(&mut buf) {
            let mut k = to.lock().unwrap_or_else(PoisonError::into_inner);
            let room = KEPT.saturating_sub(k.len()).min(n);
            k.extend_from_slice(&buf[..room]);
        }
        drop(tx);
    };
    std::thread::Builder::new().name("words".into()).spawn(read)?;
    Ok(Words(rx, kept))
}

impl Words {
    /// Is this in it? Asked of a program that is ending.
    pub fn any(&self, what: &str) -> bool {
        let _closed_or_not = self.0.recv_timeout(LAST_WORDS);
        let k = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&k).contains(what)
    }

    /// The last line of it, printable.
    pub fn last(&self) -> String {
        let _closed_or_not = self.0.recv_timeout(LAST_WORDS);
        let k = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        printable_str(last_line(&String::from_utf8_lossy(&k)), 300)
    }
}
