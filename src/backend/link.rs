//! A line to a host that may break: signs of life both ways, and taken up again with the state kept.
//!
//! The session above sees one conversation. When the line is lost, what was asked is answered with a failure, and the line is made anew
//! for as long as a host keeps a target for a client that it does not hear; then the target is as it was, or is told to be gone.

use super::client::{Client, HostEnd, pipe};
use super::protocol::*;
use super::wire;
use crate::base::text::printable_str;
use crate::base::{BreakpointId, StopEpoch};
use crate::model::Breakpoint;
use std::collections::BTreeSet;
use std::io::{self, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a host says first on a line that is not its own standard input and output.
pub const GREETING: &str = "adit-host";
/// A sign of life is given so often.
const BEAT: Duration = Duration::from_secs(2);
/// Without any for so long the line counts as broken.
const SILENT: Duration = Duration::from_secs(10);
/// It is tried again for so long; the host lets the target go after 30 s (profiles `prod` and `staging`).
const AGAIN: Duration = Duration::from_secs(35);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(500);
/// Ids of what the link asks for itself.
const OWN: u64 = u64::MAX - 16;
const BEAT_ID: u64 = OWN;
const HELLO_ID: u64 = OWN + 1;
const OPEN_ID: u64 = OWN + 2;
const LIST_ID: u64 = OWN + 3;
const LEAVE_ID: u64 = OWN + 4;
/// A host that was told that its client leaves has so long to let go before the line is broken.
const LEAVING: Duration = Duration::from_secs(2);

/// One connected line.
pub struct Line {
    /// From the host.
    pub reader: Box<dyn Read + Send>,
    /// To the host.
    pub writer: Box<dyn Write + Send>,
    /// Breaks it, from any thread.
    pub cut: Arc<dyn Fn() + Send + Sync>,
}

impl Line {
    /// Over a connected stream.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub fn over(s: UnixStream) -> io::Result<Line> {
        let (reader, writer) = (s.try_clone()?, s.try_clone()?);
        let cut = move || drop(s.shutdown(Shutdown::Both));
        Ok(Line { reader: Box::new(reader), writer: Box::new(writer), cut: Arc::new(cut) })
    }
}

/// Makes a line. The first one may talk to the user; later ones must not.
pub type Connect = Box<dyn FnMut(bool) -> Result<Line, Failure> + Send>;

/// Bytes that went over the lines of a link.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// From the host.
    pub received: Arc<AtomicU64>,
    /// To the host.
    pub sent: Arc<AtomicU64>,
}

struct Counted<T>(T, Arc<AtomicU64>);

impl<T: Read> Read for Counted<T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.0.read(buf)?;
        self.1.fetch_add(n as u64, Relaxed);
        Ok(n)
    }
}

impl<T: Write> Write for Counted<T> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.0.write(buf)?;
        self.1.fetch_add(n as u64, Relaxed);
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// What both directions know.
#[derive(Default)]
struct Shared {
    writer: Option<Box<dyn Write + Send>>,
    cut: Option<Arc<dyn Fn() + Send + Sync>>,
    /// Asked and not answered.
    open: BTreeSet<u64>,
    /// What was opened, to open it again.
    target: Option<TargetSpec>,
    heard: Option<Instant>,
    /// The session has heard of these.
    breakpoints: BTreeSet<BreakpointId>,
    over: bool,
}

impl Shared {
    /// What the session knows after this message, as far as it is asked for when a line is taken up again.
    fn note(&mut self, m: &FromHost) {
        match m {
            FromHost::Reply { result: Ok(Reply::Breakpoint(b)), .. } | FromHost::Notice(Notice::Breakpoint(b)) => {
                self.breakpoints.insert(b.id);
            }
            FromHost::Reply { result: Ok(Reply::Breakpoints(all)), .. } => {
                self.breakpoints.extend(all.iter().map(|b| b.id));
            }
            FromHost::Notice(Notice::BreakpointGone(id)) => drop(self.breakpoints.remove(id)),
            _ => {}
        }
    }
}

type Common = Arc<Mutex<Shared>>;

fn lock(c: &Common) -> std::sync::MutexGuard<'_, Shared> {
    c.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A client over a line that is made again when it breaks. The host may have others; it hears of this one's end by that of its line.
///
/// # Errors
/// The first line cannot be made, or what answers there is no host of this protocol.
pub fn client(connect: Connect) -> Result<(Client, Traffic), Failure> {
    linked(connect, None)
}

/// Of a host that was started for one client: that it is told of that client's leaving.
pub struct Farewell(Receiver<()>);

impl Farewell {
    /// Waits until the host has heard of it, which it does when the client has been dropped; not for ever.
    pub fn wait(self) {
        // The sender's end is what is waited for.
        let _it_does_not_answer = self.0.recv_timeout(LEAVING * 2);
    }
}

/// As [`client`], of a host that was started for this client alone: when the session is over the host is told so, and ends at once. It would
/// wait for one that has only lost its line.
///
/// # Errors
/// As [`client`].
pub fn sole_client(connect: Connect) -> Result<(Client, Farewell), Failure> {
    let (said, heard) = std::sync::mpsc::channel();
    Ok((linked(connect, Some(said))?.0, Farewell(heard)))
}

fn linked(mut connect: Connect, farewell: Option<Sender<()>>) -> Result<(Client, Traffic), Failure> {
    let traffic = Traffic::default();
    let first = greeted(connect(true)?, &traffic)?;
    let (client, HostEnd { mut requests, out }) = pipe();
    let common: Common = Arc::default();
    let (reader, _nothing_was_asked_yet) = take_up(&common, first);
    let fail = |e: io::Error| Failure::new(FailureKind::Internal, format!("no thread for the line: {e}"));
    let c = common.clone();
    let to_host = move || {
        while let Some(m) = requests.blocking_recv() {
            let mut s = lock(&c);
            if let Request::Open(spec) = &m.request {
                s.target = Some(spec.clone());
            }
            // Who leaves does not come back when the line ends.
            if matches!(m.request, Request::Detach { kill: false }) {
                s.target = None;
            }
            s.open.insert(m.id);
            // A line that is broken shows on the other side.
            let _broken = s.writer.as_mut().map(|w| wire::write_deflated(w, &m));
        }
        // The session is over: so is the line, which is how the host hears of it, if not in words.
        let said = farewell.is_some() && say_farewell(&c);
        lock(&c).over = true;
        let begun = Instant::now();
        while said && lock(&c).writer.is_some() && begun.elapsed() < LEAVING {
            std::thread::sleep(Duration::from_millis(2));
        }
        let mut s = lock(&c);
        s.writer = None;
        if let Some(cut) = s.cut.take() {
            cut();
        }
        drop(farewell);
    };
    std::thread::Builder::new().name("to-host".into()).spawn(to_host).map_err(fail)?;
    let c = Arc::downgrade(&common);
    let beat = move || {
        while let Some(c) = c.upgrade() {
            beat(&c);
            drop(c);
            std::thread::sleep(BEAT);
        }
    };
    std::thread::Builder::new().name("beat".into()).spawn(beat).map_err(fail)?;
    let t = traffic.clone();
    let from_host = move || {
        let mut reader = reader;
        loop {
            while let Ok(Some(m)) = wire::read::<FromHost>(&mut reader) {
                let mut s = lock(&common);
                s.heard = Some(Instant::now());
                s.note(&m);
                if let FromHost::Reply { id, .. } = &m {
                    s.open.remove(id);
                    if *id >= OWN {
                        continue;
                    }
                }
                drop(s);
                // When nobody is there any more, what is waited for is the line's end.
                let _nobody = out.blocking_send(m);
            }
            match again(&common, &mut connect, &t, &out) {
                Some(r) => reader = r,
                None => return,
            }
        }
    };
    std::thread::Builder::new().name("from-host".into()).spawn(from_host).map_err(fail)?;
    Ok((client, traffic))
}

/// Says that the session is over, if there is a line and something open at its other end.
fn say_farewell(c: &Common) -> bool {
    let mut s = lock(c);
    if s.target.take().is_none() {
        return false;
    }
    let leave = ToHost::new(LEAVE_ID, Request::Detach { kill: false });
    s.writer.as_mut().is_some_and(|w| wire::write(w, &leave).is_ok())
}

/// Gives a sign of life; breaks a line on which none came.
fn beat(c: &Common) {
    let mut s = lock(c);
    let alive = ToHost::new(BEAT_ID, Request::Alive { key: false });
    let broken = match &mut s.writer {
        Some(w) => wire::write(w, &alive).is_err(),
        None => return,
    };
    let silent = s.heard.is_some_and(|t| t.elapsed() > SILENT);
    if (broken || silent)
        && let Some(cut) = s.cut.clone()
    {
        s.writer = None;
        drop(s);
        cut();
    }
}

/// What was asked while there was no line comes back: it went nowhere.
fn take_up(c: &Common, line: Line) -> (BufReader<Box<dyn Read + Send>>, BTreeSet<u64>) {
    let mut s = lock(c);
    let unsent = std::mem::take(&mut s.open);
    s.writer = Some(line.writer);
    s.cut = Some(line.cut);
    s.heard = Some(Instant::now());
    (BufReader::new(line.reader), unsent)
}

/// What came up to the first line's end, with it; less if the line breaks, or is so long that no host wrote it.
///
/// Byte by byte: what follows is for somebody else.
pub fn first_line(r: &mut impl Read) -> Vec<u8> {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() < 400 && line.last() != Some(&b'\n') && r.read(&mut byte).is_ok_and(|n| n == 1) {
        line.push(byte[0]);
    }
    line
}

/// Reads the greeting of a line that was just made.
fn greeted(line: Line, t: &Traffic) -> Result<Line, Failure> {
    let mut reader = Counted(line.reader, t.received.clone());
    let text = String::from_utf8_lossy(&first_line(&mut reader)).into_owned();
    let version = text.strip_prefix(GREETING).map(str::trim);
    if text.ends_with('\n') && version == Some(&PROTOCOL_VERSION.to_string()) {
        let (reader, writer) = (Box::new(reader), Box::new(Counted(line.writer, t.sent.clone())));
        return Ok(Line { reader, writer, cut: line.cut });
    }
    (line.cut)();
    let said = printable_str(text.trim_end_matches('\n'), 200);
    Err(match version {
        Some(v) => Failure::new(
            FailureKind::Host,
            format!("the host there speaks protocol {}, this adit {PROTOCOL_VERSION}", printable_str(v, 20)),
        )
        .fix("use the same adit on both sides"),
        None if said.is_empty() => Failure::new(FailureKind::Host, "the other side closed the line without a word")
            .fix("is adit installed and permitted to run there?"),
        None => Failure::new(FailureKind::Host, format!("the other side says: {said}")),
    })
}

/// The line is lost: answers what was asked, makes a new one, opens the target again.
fn again(
    c: &Common,
    connect: &mut Connect,
    t: &Traffic,
    out: &tokio::sync::mpsc::Sender<FromHost>,
) -> Option<BufReader<Box<dyn Read + Send>>> {
    let (open, target) = {
        let mut s = lock(c);
        s.writer = None;
        if s.over {
            return None;
        }
        (std::mem::take(&mut s.open), s.target.clone()?)
    };
    let log = |level, text: String| FromHost::Notice(Notice::Log { level, text });
    let answer = |open: BTreeSet<u64>| {
        for id in open.into_iter().filter(|id| *id < OWN) {
            let lost =
                Failure::new(FailureKind::Host, "the line to the host was lost before it answered").fix("ask again");
            out.blocking_send(FromHost::Reply { id, result: Err(lost) }).ok()?;
        }
        Some(())
    };
    answer(open)?;
    out.blocking_send(log(LogLevel::Error, "the line to the host was lost; trying again".into())).ok()?;
    let begun = Instant::now();
    let mut why = String::new();
    while begun.elapsed() < AGAIN && !lock(c).over {
        let line = connect(false).and_then(|l| greeted(l, t)).and_then(|mut l| {
            let news = reopen(&mut l, &target)?;
            Ok((l, news))
        });
        match line {
            Ok((line, found)) => {
                let (reader, unsent) = take_up(c, line);
                answer(unsent)?;
                let s = begun.elapsed().as_millis();
                out.blocking_send(log(LogLevel::Warn, format!("the line is there again, after {s} ms"))).ok()?;
                let known = lock(c).breakpoints.clone();
                for n in found.news(known) {
                    let m = FromHost::Notice(n);
                    lock(c).note(&m);
                    out.blocking_send(m).ok()?;
                }
                return Some(reader);
            }
            Err(f) => {
                why = f.to_string();
                // Where it was is no more: nothing comes back.
                if f.kind == FailureKind::Gone {
                    break;
                }
            }
        }
        std::thread::sleep(PAUSE);
    }
    let reason = format!("the line to the host was lost and could not be made again: {why}");
    out.blocking_send(FromHost::Notice(Notice::Detached { reason })).ok()?;
    None
}

/// How things stand at the other end of a line that was made again.
struct Found {
    /// Where the program stands or that it runs, and what it is.
    state: Vec<Notice>,
    /// What came in meanwhile.
    meanwhile: Vec<Notice>,
    /// All breakpoints, where they may be listed.
    breakpoints: Option<Vec<Breakpoint>>,
}

impl Found {
    /// What a session has to be told, oldest first: it heard nothing of what happened while there was no line.
    fn news(self, mut known: BTreeSet<BreakpointId>) -> Vec<Notice> {
        let mut all = self.state;
        all.extend(self.meanwhile);
        if let Some(list) = self.breakpoints {
            known.retain(|id| list.iter().all(|b| b.id != *id));
            all.extend(known.into_iter().map(Notice::BreakpointGone));
            all.extend(list.into_iter().map(|b| Notice::Breakpoint(Box::new(b))));
        }
        all
    }
}

/// Says what was open, and asks how it is.
fn reopen(line: &mut Line, target: &TargetSpec) -> Result<Found, Failure> {
    let lost = |e: io::Error| Failure::new(FailureKind::Host, format!("the line was lost again: {e}"));
    for (id, request) in [
        (HELLO_ID, Request::Hello { version: PROTOCOL_VERSION }),
        (OPEN_ID, Request::Open(target.clone())),
        (LIST_ID, Request::Breakpoints),
    ] {
        wire::write(&mut line.writer, &ToHost::new(id, request)).map_err(lost)?;
    }
    let mut found = Found { state: Vec::new(), meanwhile: Vec::new(), breakpoints: None };
    let mut opened = false;
    loop {
        match wire::read::<FromHost>(&mut line.reader).map_err(lost)? {
            Some(FromHost::Reply { id: OPEN_ID, result: Ok(Reply::Opened { target, caps, stop }) }) => {
                opened = true;
                found.state.push(Notice::Target(target));
                match stop {
                    Some(stop) => found.state.push(Notice::Stopped(Box::new(stop))),
                    // The session may still take it to stand. What it knows was of an earlier moment, whichever.
                    None if caps.control => found.state.push(Notice::Resumed { epoch: StopEpoch::default() }),
                    None => {}
                }
            }
            Some(FromHost::Reply { id: LIST_ID, result }) => {
                if let Ok(Reply::Breakpoints(all)) = result {
                    found.breakpoints = Some(all);
                }
                return Ok(found);
            }
            Some(FromHost::Reply { result: Err(f), .. }) => return Err(f),
            Some(FromHost::Notice(n)) if opened => found.meanwhile.push(n),
            Some(_) => {}
            None => return Err(lost(io::ErrorKind::UnexpectedEof.into())),
        }
    }
}

/// The greeting that a host writes.
pub fn greet(w: &mut impl Write) -> io::Result<()> {
    writeln!(w, "{GREETING} {PROTOCOL_VERSION}")?;
    w.flush()
}
