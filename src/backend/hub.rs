//! Several clients of one host: one drives, the others watch.
//!
//! The hub stands between lines and the engine. It gives every request a number of its own, brings each answer to whom it belongs, and news
//! to all that may see them. What a client may do is decided by the engine thread (`permitted`), where it is recorded; who of several may
//! change anything is decided here. Each client has a queue and a thread that empties it, so that one that is slow or gone holds up nobody: when
//! its queue is full its line is cut.

use super::peer::{Peer, drives, filtered};
use super::protocol::*;
use super::scopes::{Scope, Scopes};
use super::token::{self, Checker};
use super::wire;
use crate::base::text::printable_str;
use crate::target::linux::wake::Doorbell;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::io::{self, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedSender, WeakUnboundedSender};

/// Clients at most.
const MOST: usize = 16;
/// What may wait for one client, bytes, before its line is cut.
const QUEUE: usize = 16 << 20;
/// Messages of a client that has not shown who it is, bytes.
const STRANGER: usize = 64 << 10;
/// Answers that one client may wait for.
const ASKED: usize = 4096;
/// A client that lives says so every two seconds.
const SILENT: Duration = Duration::from_secs(10);
/// One that did not for so long has lost its line, probably.
const STALE: Duration = Duration::from_secs(5);

/// Who is let in.
pub struct Rules {
    /// Tokens are asked for, and checked with this.
    pub tokens: Option<Checker>,
    /// The process that tokens must be for.
    pub target: Option<i32>,
}

struct Conn {
    peer: Arc<Peer>,
    /// To its queue, and how much waits there.
    queue: Sender<Arc<Vec<u8>>>,
    waits: Arc<AtomicUsize>,
    cut: UnixStream,
    /// It has opened the target: news are for it.
    opened: bool,
    /// When it said something last.
    heard: Instant,
}

#[derive(Default)]
struct State {
    conns: BTreeMap<u32, Conn>,
    driver: Option<u32>,
    /// Whose an answer is, and its number there.
    asked: FxHashMap<u64, (u32, u64)>,
    last_conn: u32,
    /// Somebody left on purpose: nobody is waited for when all are gone.
    left: bool,
    /// The engine was asked to let the target go.
    let_go: bool,
    last_id: u64,
}

/// See the module.
pub struct Hub {
    state: Mutex<State>,
    rules: Rules,
    out: WeakUnboundedSender<ToHost>,
    bell: Doorbell,
}

fn encoded(m: &FromHost) -> io::Result<Arc<Vec<u8>>> {
    let mut bytes = Vec::new();
    wire::write_deflated(&mut bytes, m)?;
    Ok(Arc::new(bytes))
}

fn refused(text: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Permission, text.into())
}

impl Hub {
    /// Between lines and the channel to the engine.
    pub fn new(rules: Rules, out: &UnboundedSender<ToHost>, bell: Doorbell) -> Arc<Hub> {
        Arc::new(Hub { state: Mutex::default(), rules, out: out.downgrade(), bell })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings what the engine says to whom it is for.
    pub fn said(&self, m: FromHost) {
        match m {
            FromHost::Reply { id, result } => {
                let Some((conn, id)) = self.lock().asked.remove(&id) else { return };
                let opened = matches!(result, Ok(Reply::Opened { .. }));
                // A long one takes its time, and nobody waits for it.
                let too_long = |e: io::Error| {
                    let result = Err(Failure::new(FailureKind::Limit, e.to_string()));
                    encoded(&FromHost::Reply { id, result })
                };
                let Ok(bytes) = encoded(&FromHost::Reply { id, result }).or_else(too_long) else { return };
                let mut s = self.lock();
                s.queue(conn, bytes);
                if let Some(c) = s.conns.get_mut(&conn).filter(|_| opened) {
                    c.opened = true;
                    s.tell_driver(Some(conn));
                }
            }
            FromHost::Notice(n) => self.lock().broadcast(&n),
        }
    }

    /// Serves one line until its end. `who` is for the record; `scopes` what such a line may have at most.
    pub fn serve(&self, stream: UnixStream, who: &str, scopes: Scopes) {
        let Some(number) = self.admit(&stream, who, scopes) else { return };
        let _then_it_counts_as_gone = stream.set_read_timeout(Some(SILENT));
        let mut reader = BufReader::new(stream);
        let mut leaves = false;
        loop {
            let known = self.lock().conns.get(&number).map(|c| c.peer.scopes != Scopes::NONE);
            let most = match known {
                Some(true) => wire::MAX_FRAME,
                Some(false) => STRANGER,
                None => break,
            };
            let Ok(Some(m)) = wire::read_limited::<ToHost>(&mut reader, most) else { break };
            leaves |= matches!(m.request, Request::Detach { .. });
            if !self.heard(number, m) {
                break;
            }
        }
        self.gone(number, leaves);
    }

    fn admit(&self, stream: &UnixStream, who: &str, scopes: Scopes) -> Option<u32> {
        let (mut writer, cut) = (stream.try_clone().ok()?, stream.try_clone().ok()?);
        let (queue, rx) = channel::<Arc<Vec<u8>>>();
        let waits = Arc::new(AtomicUsize::new(0));
        let w = waits.clone();
        let write = move || {
            for bytes in rx {
                if writer.write_all(&bytes).is_err() {
                    break;
                }
                w.fetch_sub(bytes.len(), Relaxed);
            }
            let _gone_already = writer.shutdown(Shutdown::Both);
        };
        std::thread::Builder::new().name("to-client".into()).spawn(write).ok()?;
        let mut s = self.lock();
        s.last_conn += 1;
        let number = s.last_conn;
        let scopes = if self.rules.tokens.is_some() { Scopes::NONE } else { scopes };
        let peer = Arc::new(Peer { number, who: printable_str(who, 100), scopes, until: None, problem: None });
        let full = s.conns.len() >= MOST;
        s.conns.insert(number, Conn { peer, queue, waits, cut, opened: false, heard: Instant::now() });
        if full {
            // Said once to whatever it asks first; then its line ends.
            let text = format!("{MOST} clients are at this host already");
            let busy = Failure::new(FailureKind::BadState, text);
            s.send(number, &FromHost::Reply { id: 1, result: Err(busy) });
            s.conns.remove(&number);
            return None;
        }
        self.hide_from(&s, number);
        Some(number)
    }

    /// What is shown to those who may see secrets is hidden again when one comes who may not.
    fn hide_from(&self, s: &State, number: u32) {
        let sees = s.conns.get(&number).is_none_or(|c| c.peer.scopes.has(Scope::ReadSecrets));
        if !sees {
            self.pass(ToHost::new(u64::MAX - 1, Request::Reveal { reason: String::new() }));
        }
    }

    fn pass(&self, m: ToHost) -> bool {
        let sent = self.out.upgrade().is_some_and(|out| out.send(m).is_ok());
        self.bell.ring();
        sent
    }

    /// Deals with a request; false if the line is to end.
    fn heard(&self, number: u32, m: ToHost) -> bool {
        let mut s = self.lock();
        let Some(conn) = s.conns.get_mut(&number) else { return false };
        conn.heard = Instant::now();
        let peer = conn.peer.clone();
        let drives_now = s.driver == Some(number);
        let id = m.id;
        let answer = |s: &mut State, result| {
            s.send(number, &FromHost::Reply { id, result });
            true
        };
        let mut by = peer.clone();
        match &m.request {
            // Of others it says nothing about whether somebody holds the program.
            Request::Alive { .. } if !drives_now && s.driver.is_some() => return answer(&mut s, Ok(Reply::Done)),
            Request::ClientGone => return answer(&mut s, Err(refused("only a host says that"))),
            Request::Token { token } => by = self.token(&mut s, number, token),
            Request::TakeOver => {
                if !peer.scopes.has(Scope::ControlStop) && !peer.scopes.has(Scope::ControlStep) {
                    return answer(&mut s, Err(refused("who drives needs the scope control:stop or control:step")));
                }
                s.drive(number);
            }
            Request::Detach { kill: false } if s.conns.iter().any(|(n, c)| *n != number && c.opened) => {
                // The others stay.
                answer(&mut s, Ok(Reply::Done));
                return false;
            }
            r if drives(r) && !drives_now => match s.driver.and_then(|d| s.conns.get(&d)) {
                // The same one again, whose old line has not ended yet.
                Some(d) if d.peer.who == peer.who && d.heard.elapsed() > STALE => s.drive(number),
                Some(d) => {
                    let f = Failure::new(FailureKind::BadState, format!("{} drives, you watch", d.peer.who))
                        .fix("`take-over` makes you the one who drives");
                    return answer(&mut s, Err(f));
                }
                None if permits(&peer, r) => s.drive(number),
                // The engine says what is missing, and records it.
                None => {}
            },
            _ => {}
        }
        if matches!(&m.request, Request::Reveal { reason } if !reason.trim().is_empty())
            && let Some(c) = s.conns.values().find(|c| !c.peer.scopes.has(Scope::ReadSecrets))
        {
            let f = refused(format!("{} is here, too, and may not see secrets", c.peer.who));
            return answer(&mut s, Err(f));
        }
        if s.asked.values().filter(|a| a.0 == number).count() >= ASKED {
            let f = Failure::new(FailureKind::Limit, "too many questions without an answer yet");
            return answer(&mut s, Err(f));
        }
        s.let_go |= matches!(m.request, Request::Detach { kill: false });
        s.last_id += 1;
        let ours = s.last_id;
        s.asked.insert(ours, (number, id));
        drop(s);
        self.pass(ToHost { id: ours, request: m.request, by: Some(by) })
    }

    /// Checks a token; what the client is from now on, or, if it is none, what is to be said and recorded.
    fn token(&self, s: &mut State, number: u32, text: &str) -> Arc<Peer> {
        let Some(c) = s.conns.get_mut(&number) else { return Arc::new(nobody(number)) };
        // One that asks for none has no use for it.
        let Some(key) = &self.rules.tokens else { return c.peer.clone() };
        match key.check(text, token::now(), self.rules.target) {
            Ok((g, scopes)) => {
                let who = format!("{} (token {})", printable_str(&g.to, 40), printable_str(&g.id, 20));
                c.peer = Arc::new(Peer { number, who, scopes, until: Some(g.expires), problem: None });
                let peer = c.peer.clone();
                self.hide_from(s, number);
                peer
            }
            Err(e) => Arc::new(Peer { problem: Some(e.to_string()), ..(*c.peer).clone() }),
        }
    }

    /// A line ended.
    fn gone(&self, number: u32, leaves: bool) {
        let mut s = self.lock();
        // The queue ends with its sender: what was said last still goes out.
        let opened = s.conns.remove(&number).is_some_and(|c| c.opened);
        s.asked.retain(|_, a| a.0 != number);
        let drove = s.driver == Some(number);
        if drove {
            s.driver = None;
            s.tell_driver(None);
        }
        if !opened && !drove {
            // It never got in: its coming and going says nothing about the target.
            return;
        }
        s.left |= leaves;
        // A line of somebody who has not shown who it is, or has opened nothing, keeps no program waiting.
        let (last, let_go) = (!s.conns.values().any(|c| c.opened), s.let_go);
        // Who left while others were there told only us; those may be gone before its line is.
        let all_left = last && s.left && !let_go;
        s.let_go |= all_left;
        drop(s);
        if all_left {
            self.pass(ToHost::new(u64::MAX, Request::Detach { kill: false }));
        } else if (drove || last) && !let_go {
            self.pass(ToHost::new(u64::MAX, Request::ClientGone));
        }
    }

    /// Ends all lines.
    pub fn end(&self) {
        self.lock().conns.clear();
    }
}

fn nobody(number: u32) -> Peer {
    let problem = Some("the line has ended".into());
    Peer { number, who: String::new(), scopes: Scopes::NONE, until: None, problem }
}

fn permits(p: &Peer, r: &Request) -> bool {
    super::scopes::needs(r).iter().all(|n| p.scopes.has(*n))
}

impl State {
    fn send(&mut self, conn: u32, m: &FromHost) {
        if let Ok(bytes) = encoded(m) {
            self.queue(conn, bytes);
        }
    }

    fn queue(&mut self, conn: u32, bytes: Arc<Vec<u8>>) {
        let Some(c) = self.conns.get(&conn) else { return };
        let n = bytes.len();
        if c.waits.load(Relaxed) > QUEUE {
            // It does not take what it asked for. Its thread notices.
            let _gone_already = c.cut.shutdown(Shutdown::Both);
            return;
        }
        c.waits.fetch_add(n, Relaxed);
        let _its_line_has_ended = c.queue.send(bytes);
    }

    fn broadcast(&mut self, n: &Notice) {
        // Most have the same scopes: the same bytes.
        let mut made: Vec<(Scopes, Option<Arc<Vec<u8>>>)> = Vec::new();
        let to: Vec<(u32, Scopes)> = self
            .conns
            .iter()
            .filter(|c| c.1.opened)
            .map(|c| (*c.0, c.1.peer.scopes_now().unwrap_or(Scopes::NONE)))
            .collect();
        for (conn, scopes) in to {
            let bytes = match made.iter().find(|m| m.0 == scopes) {
                Some(m) => m.1.clone(),
                None => {
                    let b = filtered(scopes, n).and_then(|n| encoded(&FromHost::Notice(n)).ok());
                    made.push((scopes, b.clone()));
                    b
                }
            };
            if let Some(b) = bytes {
                self.queue(conn, b);
            }
        }
    }

    fn drive(&mut self, number: u32) {
        if self.driver != Some(number) {
            self.driver = Some(number);
            self.tell_driver(None);
        }
    }

    /// Says to one, or to all, who drives; a client that is alone need not know.
    fn tell_driver(&mut self, one: Option<u32>) {
        if self.conns.len() < 2 && one.is_some() {
            return;
        }
        let who = self.driver.and_then(|d| self.conns.get(&d)).map_or_else(String::new, |c| c.peer.who.clone());
        let clients = self.conns.len() as u32;
        let to: Vec<u32> = match one {
            Some(c) => vec![c],
            None => self.conns.iter().filter(|c| c.1.opened).map(|c| *c.0).collect(),
        };
        for conn in to {
            let n = Notice::Driver { you: self.driver == Some(conn), who: who.clone(), clients };
            self.send(conn, &FromHost::Notice(n));
        }
    }
}
