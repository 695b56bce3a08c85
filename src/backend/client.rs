//! The client's end of a conversation with a host: send requests, receive replies and notices as they come.

use super::protocol::{Failure, FailureKind, FromHost, Notice, Reply, Request, ToHost};
use tokio::sync::mpsc;

/// Messages from the host that may wait for a slow client before the host has to.
pub const INBOX: usize = 4096;

/// One conversation. Dropping it is an end-of-file for the host, which then lets the target go.
pub struct Client {
    out: mpsc::UnboundedSender<ToHost>,
    inbox: mpsc::Receiver<FromHost>,
    next_id: u64,
}

/// The host's end of an in-memory conversation.
pub struct HostEnd {
    /// Requests; `None` from `blocking_recv` is the client's end-of-file.
    pub requests: mpsc::UnboundedReceiver<ToHost>,
    /// Replies and notices.
    pub out: mpsc::Sender<FromHost>,
}

/// An in-memory pipe.
pub fn pipe() -> (Client, HostEnd) {
    let (out, requests) = mpsc::unbounded_channel();
    let (tx, inbox) = mpsc::channel(INBOX);
    (Client { out, inbox, next_id: 1 }, HostEnd { requests, out: tx })
}

impl Client {
    /// Its two channel ends, for a process that carries them over a stream.
    pub(super) fn into_parts(self) -> (mpsc::UnboundedSender<ToHost>, mpsc::Receiver<FromHost>) {
        (self.out, self.inbox)
    }

    /// Sends a request and returns its number at once; the reply comes through [`Client::recv`]. If the host is
    /// gone nothing is sent and the next `recv` says so.
    pub fn send(&mut self, request: Request) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let _gone_shows_in_recv = self.out.send(ToHost::new(id, request));
        id
    }

    /// The next message; `None` when the host is gone. Safe to cancel.
    pub async fn recv(&mut self) -> Option<FromHost> {
        self.inbox.recv().await
    }

    /// A message that is here already.
    pub fn try_recv(&mut self) -> Option<FromHost> {
        self.inbox.try_recv().ok()
    }

    /// Waits for the next message; `None` when the host is gone. Must not be called from an async task.
    pub fn blocking_recv(&mut self) -> Option<FromHost> {
        self.inbox.blocking_recv()
    }

    /// Sends and waits for the reply, for one-shots and tests: notices that come meanwhile go to `on_notice`. Must not
    /// be called from an async task.
    pub fn call_with(&mut self, request: Request, mut on_notice: impl FnMut(Notice)) -> Result<Reply, Failure> {
        let want = self.send(request);
        loop {
            match self.inbox.blocking_recv() {
                None => return Err(Failure::new(FailureKind::Host, "the host process went away")),
                Some(FromHost::Reply { id, result }) if id == want => return result,
                Some(FromHost::Reply { .. }) => {}
                Some(FromHost::Notice(n)) => on_notice(n),
            }
        }
    }

    /// [`Client::call_with`] without interest in notices.
    pub fn call(&mut self, request: Request) -> Result<Reply, Failure> {
        self.call_with(request, |_| {})
    }

    /// Waits for the next notice, dropping stray replies; `None` when the host is gone.
    pub fn blocking_notice(&mut self) -> Option<Notice> {
        loop {
            match self.inbox.blocking_recv()? {
                FromHost::Notice(n) => return Some(n),
                FromHost::Reply { .. } => {}
            }
        }
    }
}
