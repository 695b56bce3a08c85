//! One connection to Delve: calls go out, answers come back in any order (JSON-RPC 1.0, one JSON value a line).
//!
//! It knows nothing of what is asked. What the server sends is bounded in length and checked in type; a server that goes away, or that
//! sends what is no answer, ends the connection, and every call that waits is told why.

use super::wire::{Call, Envelope};
use crate::base::text::printable;
use crate::target::linux::wake::Doorbell;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Longest line that is taken, bytes: a page of 1,000 goroutines is below 1 MB, 5,500 package variables are 23 MB.
const MAX_LINE: u64 = 64 << 20;
/// A server that takes nothing for so long is gone.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Delve says why not.
    #[error("{0}")]
    Refused(String),
    /// The connection is no more: why.
    #[error("{0}")]
    Lost(String),
    /// No answer in time.
    #[error("Delve has not answered {method} within {seconds} s")]
    Late {
        /// What was asked.
        method: &'static str,
        /// How long.
        seconds: u64,
    },
    /// The answer is not of the form that it has to be.
    #[error("Delve's answer to {method} is not understood: {why}")]
    Malformed {
        /// What was asked.
        method: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

/// A result, its type not looked at yet.
pub type Answer = Result<Box<RawValue>, CallError>;

/// Reads a result as what it should be.
pub fn decode<T: DeserializeOwned>(method: &'static str, answer: Answer) -> Result<T, CallError> {
    let raw = answer?;
    serde_json::from_str(raw.get())
        .map_err(|e| CallError::Malformed { method, why: printable(e.to_string().as_bytes(), 200) })
}

/// Where an answer goes that nobody stands and waits for.
pub struct Inbox<E> {
    events: Sender<E>,
    bell: Doorbell,
}

impl<E> Clone for Inbox<E> {
    fn clone(&self) -> Inbox<E> {
        Inbox { events: self.events.clone(), bell: self.bell.clone() }
    }
}

impl<E> Inbox<E> {
    /// Events go to `events`, and `bell` is rung for each.
    pub fn new(events: Sender<E>, bell: Doorbell) -> Inbox<E> {
        Inbox { events, bell }
    }
    /// Delivers.
    pub fn put(&self, e: E) {
        let _nobody_listens_any_more = self.events.send(e);
        self.bell.ring();
    }
}

type Waiter = Box<dyn FnOnce(Answer) + Send>;

/// The two kinds of stream.
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn pair(&self) -> io::Result<(Box<dyn Read + Send>, Box<dyn Write + Send>)> {
        Ok(match self {
            Stream::Tcp(s) => (Box::new(s.try_clone()?), Box::new(s.try_clone()?)),
            Stream::Unix(s) => (Box::new(s.try_clone()?), Box::new(s.try_clone()?)),
        })
    }
    fn close(&self) {
        let _gone_already = match self {
            Stream::Tcp(s) => s.shutdown(Shutdown::Both),
            Stream::Unix(s) => s.shutdown(Shutdown::Both),
        };
    }
}

#[derive(Default)]
struct Table {
    next: u64,
    waiting: HashMap<u64, Waiter>,
    lost: Option<String>,
}

/// A connection. Closed when dropped.
pub struct Connection {
    stream: Stream,
    writer: Mutex<Box<dyn Write + Send>>,
    table: Arc<Mutex<Table>>,
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connection {
    /// Over TCP. `on_loss` is called once when the connection ends, by whatever cause.
    pub fn tcp(s: TcpStream, on_loss: impl FnOnce(String) + Send + 'static) -> io::Result<Connection> {
        s.set_nodelay(true)?;
        s.set_write_timeout(Some(WRITE_PATIENCE))?;
        Connection::over(Stream::Tcp(s), on_loss)
    }
    /// Over a unix socket.
    pub fn unix(s: UnixStream, on_loss: impl FnOnce(String) + Send + 'static) -> io::Result<Connection> {
        s.set_write_timeout(Some(WRITE_PATIENCE))?;
        Connection::over(Stream::Unix(s), on_loss)
    }

    fn over(stream: Stream, on_loss: impl FnOnce(String) + Send + 'static) -> io::Result<Connection> {
        let (reader, writer) = stream.pair()?;
        let table = Arc::new(Mutex::new(Table { next: 1, ..Table::default() }));
        let shared = table.clone();
        std::thread::Builder::new().name("from-delve".into()).spawn(move || {
            let why = read_answers(reader, &shared);
            // Told without the lock: whoever is told may ask at once.
            let waiting = {
                let mut t = lock(&shared);
                t.lost = Some(why.clone());
                std::mem::take(&mut t.waiting)
            };
            for (_, tell) in waiting {
                tell(Err(CallError::Lost(why.clone())));
            }
            on_loss(why);
        })?;
        Ok(Connection { stream, writer: Mutex::new(writer), table })
    }

    /// Calls a method of `RPCServer`; `tell` is called once with what came of it, from another thread or at once.
    pub fn send<P: Serialize>(&self, method: &'static str, params: P, tell: impl FnOnce(Answer) + Send + 'static) {
        let id = {
            let mut t = lock(&self.table);
            if let Some(why) = t.lost.clone() {
                drop(t);
                return tell(Err(CallError::Lost(why)));
            }
            let id = t.next;
            t.next += 1;
            t.waiting.insert(id, Box::new(tell));
            id
        };
        let full = format!("RPCServer.{method}");
        let sent = serde_json::to_vec(&Call { method: &full, params: [params], id })
            .map_err(io::Error::other)
            .and_then(|mut line| {
                line.push(b'\n');
                lock(&self.writer).write_all(&line)
            });
        if let Err(e) = sent {
            // The reader meets the end, and tells everybody.
            lock(&self.table).lost.get_or_insert_with(|| format!("the connection to Delve broke: {e}"));
            self.stream.close();
        }
    }

    /// Calls and waits, so long at most.
    pub fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: impl Serialize,
        patience: Duration,
    ) -> Result<T, CallError> {
        let (tx, rx) = mpsc::channel();
        self.send(method, params, move |a| {
            let _nobody_waits_any_more = tx.send(a);
        });
        match rx.recv_timeout(patience) {
            Ok(answer) => decode(method, answer),
            Err(RecvTimeoutError::Timeout) => Err(CallError::Late { method, seconds: patience.as_secs() }),
            Err(RecvTimeoutError::Disconnected) => Err(CallError::Lost("the connection to Delve ended".into())),
        }
    }

    /// Ends it.
    pub fn close(&self) {
        self.stream.close();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.stream.close();
    }
}

/// Reads until the end; says why it is the end.
fn read_answers(reader: impl Read, table: &Mutex<Table>) -> String {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    let mut first = true;
    loop {
        line.clear();
        match (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) if first => return "it closed the connection without an answer".into(),
            Ok(0) => return "Delve closed the connection".into(),
            Ok(n) if n as u64 == MAX_LINE && line.last() != Some(&b'\n') => {
                return format!("one answer is longer than {} MiB", MAX_LINE >> 20);
            }
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return format!("the connection to Delve broke: {e}"),
        }
        // A list would be taken for an answer's fields in their order.
        let object = line.trim_ascii_start().first() == Some(&b'{');
        let envelope: Envelope = match serde_json::from_slice(&line) {
            Ok(e) if object => e,
            Err(_) if line.iter().all(u8::is_ascii_whitespace) => continue,
            _ => {
                let said = printable(line.trim_ascii(), 60);
                return format!("what came is no answer of Delve's: `{said}`");
            }
        };
        first = false;
        let Some(tell) = envelope.id.and_then(|id| lock(table).waiting.remove(&id)) else { continue };
        tell(match (envelope.error, envelope.result) {
            (serde_json::Value::Null, Some(r)) => Ok(r),
            // `null` is a result, too: of methods that say nothing.
            (serde_json::Value::Null, None) => Ok(RawValue::NULL.to_owned()),
            (serde_json::Value::String(s), _) => Err(CallError::Refused(one_line(&s))),
            (other, _) => Err(CallError::Refused(one_line(&other.to_string()))),
        });
    }
}

/// Errors of Delve's may have many lines (a stack of its own, a list of candidates).
fn one_line(s: &str) -> String {
    let lines: Vec<&str> = s.lines().map(str::trim).filter(|l| !l.is_empty()).take(8).collect();
    printable(lines.join("; ").as_bytes(), 600)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end_of(said: &[u8]) -> String {
        read_answers(said, &Mutex::new(Table::default()))
    }

    #[test]
    fn every_kind_of_end_has_its_words() {
        assert!(end_of(b"").contains("without an answer"));
        assert!(end_of(b"{\"id\":1,\"result\":null,\"error\":null}\n").contains("Delve closed"));
        assert!(end_of(b"HTTP/1.1 400 Bad Request\r\n").contains("HTTP/1.1 400"));
        assert!(end_of(b"\x1b[2J\xff\n").contains("\\x1b"));
        assert!(end_of(b"[1,2]\n").contains("no answer of Delve's"));
        assert!(end_of(b"{\"id\":\"x\"}\n").contains("no answer"));
    }

    #[test]
    fn errors_become_one_line() {
        let table = Mutex::new(Table::default());
        let (tx, rx) = mpsc::channel();
        lock(&table).waiting.insert(3, Box::new(move |a| drop(tx.send(a))));
        read_answers(&b"{\"id\":3,\"result\":null,\"error\":\"a\\nb\\u001b[1m\"}\n"[..], &table);
        let said = rx.try_recv().expect("told").expect_err("an error");
        assert_eq!(said, CallError::Refused("a; b\\x1b[1m".into()));
    }
}
