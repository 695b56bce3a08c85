//! What goes to the editor, in order, by a thread of its own: a slow editor never holds the session.

use super::message::{Call, Trouble};
use super::wire;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Messages that may wait for a slow editor before output of the program is dropped (and counted).
const BACKLOG: usize = 4096;

/// The way to the editor.
pub(super) struct Out {
    tx: Option<Sender<Vec<u8>>>,
    waiting: Arc<AtomicUsize>,
    writer: Option<JoinHandle<()>>,
    seq: i64,
    dropped: u64,
    log: Log,
}

/// Where the conversation is written down, if anywhere.
pub(super) type Log = Arc<dyn Fn(&str) + Send + Sync>;

impl Out {
    /// Begins to write to a stream.
    pub fn new(mut stream: impl Write + Send + 'static, log: Log) -> io::Result<Out> {
        let (tx, rx) = channel::<Vec<u8>>();
        let waiting = Arc::new(AtomicUsize::new(0));
        let left = waiting.clone();
        let write = move || {
            let mut broken = false;
            for body in rx {
                // An editor that is gone is noticed where it is read from.
                broken = broken || wire::write(&mut stream, &body).is_err();
                left.fetch_sub(1, Ordering::Relaxed);
            }
        };
        let writer = std::thread::Builder::new().name("dap-write".into()).spawn(write)?;
        Ok(Out { tx: Some(tx), waiting, writer: Some(writer), seq: 0, dropped: 0, log })
    }

    fn send(&mut self, mut message: Value) {
        self.seq += 1;
        message["seq"] = json!(self.seq);
        let body = message.to_string();
        (self.log)(&format!("[-> to client]{body}"));
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if let Some(tx) = &self.tx {
            let _writer_ends_with_us = tx.send(body.into_bytes());
        }
    }

    /// An event.
    pub fn event(&mut self, event: &str, body: Value) {
        self.send(json!({"type": "event", "event": event, "body": body}));
    }

    /// The answer to a request; a null body is left out.
    pub fn respond(&mut self, call: &Call, body: Value) {
        let mut m = json!({"type": "response", "request_seq": call.seq, "success": true, "command": call.command});
        if !body.is_null() {
            m["body"] = body;
        }
        self.send(m);
    }

    /// Why a request was not done.
    pub fn refuse(&mut self, call: &Call, t: &Trouble) {
        let mut format = t.summary.clone();
        if !t.details.is_empty() {
            format += ": ";
            format += &t.details;
        }
        let error = json!({"id": t.id, "format": format, "showUser": t.show});
        self.send(json!({
            "type": "response", "request_seq": call.seq, "success": false, "command": call.command,
            "message": t.summary, "body": {"error": error},
        }));
    }

    /// A line for the editor's console.
    pub fn console(&mut self, text: &str) {
        self.event("output", json!({"category": "console", "output": format!("{text}\n")}));
    }

    /// What the program wrote. Dropped, and counted, while the editor is far behind.
    pub fn printed(&mut self, category: &str, text: &str) {
        if self.waiting.load(Ordering::Relaxed) > BACKLOG {
            self.dropped += 1;
            return;
        }
        if self.dropped > 0 {
            let n = std::mem::take(&mut self.dropped);
            self.console(&format!("{n} pieces of the program's output were dropped: the editor could not keep up"));
        }
        self.event("output", json!({"category": category, "output": text}));
    }

    /// Writes what is left and ends; an editor that does not read is not waited for.
    pub fn finish(mut self) {
        drop(self.tx.take());
        let patience = Instant::now() + Duration::from_secs(2);
        while self.writer.as_ref().is_some_and(|w| !w.is_finished()) && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
