//! A recorded or written conversation as a backend: screens and sessions are tested with no process at all.

use super::client::{Client, HostEnd, pipe};
use super::protocol::{Failure, FailureKind};
use super::protocol::{FromHost, Notice, Reply, Request};

/// What a scripted host does with a request: the reply, and notices that follow it.
pub type Script = Box<dyn FnMut(&Request) -> (Result<Reply, Failure>, Vec<Notice>) + Send>;

/// A client whose host is `script`, on a thread of its own that ends with the client.
pub fn scripted(script: Script) -> Client {
    let (client, end) = pipe();
    std::thread::spawn(move || serve(end, script));
    client
}

fn serve(mut end: HostEnd, mut script: Script) {
    while let Some(msg) = end.requests.blocking_recv() {
        let (result, notices) = script(&msg.request);
        if end.out.blocking_send(FromHost::Reply { id: msg.id, result }).is_err() {
            return;
        }
        for n in notices {
            if end.out.blocking_send(FromHost::Notice(n)).is_err() {
                return;
            }
        }
    }
}

/// The reply to what a script does not know.
pub fn not_in_script(request: &Request) -> Result<Reply, Failure> {
    Err(Failure::new(FailureKind::Unavailable, format!("not in this recording: {request:?}")))
}
