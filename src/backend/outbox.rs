//! What a host has to say, kept in order until its client takes it.

use super::protocol::*;
use crate::base::redact::Redaction;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tokio::sync::mpsc::error::{SendError, TrySendError};
use tokio::sync::mpsc::{Sender, WeakSender};

/// The way out of a host. All that is said goes through one of these, so that none of it goes out without being looked at.
#[derive(Clone)]
pub(super) struct Out {
    out: Sender<FromHost>,
    redaction: Arc<Redaction>,
    second_hand: Arc<AtomicBool>,
}

impl Out {
    fn looked_at(&self, mut m: FromHost) -> FromHost {
        super::redact::message(&self.redaction, &mut m, self.second_hand.load(Relaxed));
        m
    }
    /// Waits until there is room.
    pub fn blocking_send(&self, m: FromHost) -> Result<(), Box<SendError<FromHost>>> {
        self.out.blocking_send(self.looked_at(m)).map_err(Box::new)
    }
    /// If there is room.
    pub fn try_send(&self, m: FromHost) -> Result<(), Box<TrySendError<FromHost>>> {
        self.out.try_send(self.looked_at(m)).map_err(Box::new)
    }
    /// For who has something to say only as long as others have.
    pub fn downgrade(&self) -> WeakOut {
        let Out { out, redaction, second_hand } = self.clone();
        WeakOut { out: out.downgrade(), redaction, second_hand }
    }
}

/// The way out for as long as somebody else has it.
pub(super) struct WeakOut {
    out: WeakSender<FromHost>,
    redaction: Arc<Redaction>,
    second_hand: Arc<AtomicBool>,
}

impl WeakOut {
    /// It, if it is still there.
    pub fn upgrade(&self) -> Option<Out> {
        let (redaction, second_hand) = (self.redaction.clone(), self.second_hand.clone());
        self.out.upgrade().map(|out| Out { out, redaction, second_hand })
    }
}

/// What goes to the client. The engine never waits for a slow client: what does not fit waits here, in order; program output beyond
/// that is dropped and counted.
pub(super) struct Outbox {
    out: Out,
    backlog: VecDeque<FromHost>,
    dropped: u64,
}

impl Outbox {
    pub fn new(out: Sender<FromHost>, redaction: Arc<Redaction>) -> Outbox {
        let out = Out { out, redaction, second_hand: Arc::default() };
        Outbox { out, backlog: VecDeque::new(), dropped: 0 }
    }
    /// For other threads, which may wait.
    pub fn sender(&self) -> Out {
        self.out.clone()
    }
    /// From now on values come from another debugger.
    pub fn second_hand(&self) {
        self.out.second_hand.store(true, Relaxed);
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
        self.backlog.push_back(self.out.looked_at(m));
        self.flush();
    }
    pub fn flush(&mut self) {
        while let Some(m) = self.backlog.pop_front() {
            match self.out.out.try_send(m) {
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
