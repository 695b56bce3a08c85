//! What a host has to say, kept in order until its client takes it.

use super::protocol::*;
use std::collections::VecDeque;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

/// What goes to the client. The engine never waits for a slow client: what does not fit waits here, in order; program output beyond
/// that is dropped and counted.
pub(super) struct Outbox {
    out: Sender<FromHost>,
    backlog: VecDeque<FromHost>,
    dropped: u64,
}

impl Outbox {
    pub fn new(out: Sender<FromHost>) -> Outbox {
        Outbox { out, backlog: VecDeque::new(), dropped: 0 }
    }
    /// For other threads, which may wait.
    pub fn sender(&self) -> Sender<FromHost> {
        self.out.clone()
    }
    /// Is there something that did not fit?
    pub fn waits(&self) -> bool {
        !self.backlog.is_empty()
    }
    pub fn push(&mut self, m: FromHost) {
        if self.backlog.len() > 1024 && matches!(m, FromHost::Notice(Notice::Output(_))) {
            self.dropped += 1;
            return;
        }
        self.backlog.push_back(m);
        self.flush();
    }
    pub fn flush(&mut self) {
        while let Some(m) = self.backlog.pop_front() {
            match self.out.try_send(m) {
                Ok(()) => {}
                Err(TrySendError::Full(m)) => {
                    self.backlog.push_front(m);
                    return;
                }
                Err(TrySendError::Closed(_)) => self.backlog.clear(),
            }
        }
        if self.dropped > 0 {
            let text = format!(
                "{} pieces of program output were dropped: the screen could not keep up",
                std::mem::take(&mut self.dropped)
            );
            self.backlog.push_back(FromHost::Notice(Notice::Log { level: LogLevel::Warn, text }));
        }
    }
    pub fn notice(&mut self, n: Notice) {
        self.push(FromHost::Notice(n));
    }
    pub fn reply(&mut self, id: u64, result: Result<Reply, Failure>) {
        self.push(FromHost::Reply { id, result });
    }
}
