//! Who is served: one editor, that connects to us, that we connect to, or at the other end of our standard input and output.

use super::message::{Incoming, parse};
use super::out::{Log, Out};
use super::redirect::Printer;
use super::session::{Connect, Going, Phase, Session, Target};
use super::wire;
use crate::backend::client::Client;
use crate::backend::protocol::{Failure, FailureKind};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, IsTerminal, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// How to be found, and by whom.
pub struct Options {
    /// `HOST:PORT` or `unix:PATH` to listen at.
    pub listen: String,
    /// Where an editor waits for us, instead.
    pub client_addr: Option<String>,
    /// Speak over standard input and output, instead.
    pub stdio: bool,
    /// Refuse connections of other users of this machine.
    pub only_same_user: bool,
    /// Write the conversation to the log.
    pub log: bool,
    /// A file, or the number of an open file descriptor, for the log and the line that says where we listen.
    pub log_dest: Option<String>,
    /// The go command.
    pub go: PathBuf,
}

/// Serves one session; returns when it is over. `connect` starts a host.
pub fn serve(options: &Options, connect: impl Fn() -> Result<Client, Failure> + 'static) -> Result<(), Failure> {
    let dest = options.log_dest.as_deref().map(open_log).transpose()?;
    let dest = Arc::new(Mutex::new(dest));
    let log: Log = if options.log {
        let dest = dest.clone();
        Arc::new(move |line: &str| write_line(&dest, line))
    } else {
        Arc::new(|_| {})
    };
    let connect: Connect = Box::new(connect);
    if options.stdio {
        return session(io::stdin(), io::stdout(), options, connect, log);
    }
    if let Some(addr) = &options.client_addr {
        let fail = |e: io::Error| {
            Failure::new(FailureKind::Unavailable, format!("cannot connect to the editor at {addr}: {e}"))
        };
        if let Some(path) = addr.strip_prefix("unix:") {
            let s = UnixStream::connect(path).map_err(fail)?;
            return session(s.try_clone().map_err(fail)?, s, options, connect, log);
        }
        let s = TcpStream::connect(resolve(addr)?.as_slice()).map_err(fail)?;
        return tcp_session(s, options, connect, log);
    }
    if let Some(path) = options.listen.strip_prefix("unix:") {
        let l = UnixListener::bind(path).map_err(|e| cannot_listen(&options.listen, &e))?;
        announce(&dest, path);
        let s = l.accept().map_err(|e| cannot_listen(&options.listen, &e));
        let _it_is_ours = std::fs::remove_file(path);
        let s = s?.0;
        let other = s.try_clone().map_err(|e| cannot_listen(&options.listen, &e))?;
        return session(other, s, options, connect, log);
    }
    let l = TcpListener::bind(resolve(&options.listen)?.as_slice()).map_err(|e| cannot_listen(&options.listen, &e))?;
    let at = l.local_addr().map_err(|e| cannot_listen(&options.listen, &e))?;
    announce(&dest, &at.to_string());
    if !at.ip().is_loopback() {
        eprintln!("adit: listening for remote connections (they are neither authenticated nor encrypted)");
    }
    let (s, peer) = l.accept().map_err(|e| cannot_listen(&options.listen, &e))?;
    drop(l); // one session, one editor
    if options.only_same_user && peer.ip().is_loopback() && !same_user(peer, s.local_addr().ok()) {
        return Err(Failure::new(
            FailureKind::Permission,
            "only connections of the user that started adit are allowed, and this one is another's",
        )
        .fix("--only-same-user=false takes them"));
    }
    tcp_session(s, options, connect, log)
}

fn cannot_listen(at: &str, e: &io::Error) -> Failure {
    Failure::new(FailureKind::Unavailable, format!("cannot listen at {at}: {e}"))
        .fix("another program may be there: choose another port, or :0 for any")
}

/// `:2345` is this machine.
fn resolve(addr: &str) -> Result<Vec<SocketAddr>, Failure> {
    let full = if addr.starts_with(':') { format!("127.0.0.1{addr}") } else { addr.to_string() };
    let found = full.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
    found.map_err(|e| Failure::new(FailureKind::BadRequest, format!("{addr} is no address: {e}")).fix("HOST:PORT"))
}

type Destination = Arc<Mutex<Option<File>>>;

/// A file, or a file descriptor that we were started with.
fn open_log(dest: &str) -> Result<File, Failure> {
    let path = match dest.parse::<u32>() {
        Ok(fd) => PathBuf::from(format!("/proc/self/fd/{fd}")),
        Err(_) => PathBuf::from(dest),
    };
    let open = |p: &Path| File::options().append(true).create(true).open(p);
    open(&path).map_err(|e| Failure::new(FailureKind::BadRequest, format!("--log-dest {dest}: {e}")))
}

fn write_line(dest: &Destination, line: &str) {
    let mut dest = dest.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // Nobody can be told that the log is full.
    let _nobody = match dest.as_mut() {
        Some(f) => writeln!(f, "{line}"),
        None => writeln!(io::stderr(), "{line}"),
    };
}

/// Delve's line, where Delve writes it: editors wait for it.
fn announce(dest: &Destination, at: &str) {
    let line = format!("DAP server listening at: {at}");
    let logged = dest.lock().unwrap_or_else(std::sync::PoisonError::into_inner).is_some();
    if logged {
        write_line(dest, &line);
        return;
    }
    let mut out = io::stdout().lock();
    let _an_editor_that_knows_the_port_needs_no_line = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Do both ends of a connection inside this machine belong to the same user? The kernel's table of sockets says whose they are
/// (`/proc/net/tcp`, documented in the kernel's proc_net_tcp.txt).
fn same_user(peer: SocketAddr, local: Option<SocketAddr>) -> bool {
    let me = nix::unistd::geteuid().as_raw();
    let Some(local) = local else { return false };
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|t| std::fs::read_to_string(t).unwrap_or_default());
    let wanted = (peer.port(), local.port());
    tables.iter().flat_map(|t| t.lines().skip(1)).any(|l| owner(l, wanted) == Some(me))
}

/// Owner of the socket in a line of the table, if it is the one with these ports on an address of this machine.
fn owner(line: &str, (port, other): (u16, u16)) -> Option<u32> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let ends = |w: &str| {
        let (ip, port) = w.split_once(':')?;
        Some((ip.to_string(), u16::from_str_radix(port, 16).ok()?))
    };
    let (ip, a) = ends(words.get(1)?)?;
    let (_, b) = ends(words.get(2)?)?;
    // 127.x.x.x is written backwards; ::1 and mapped ones end so, too.
    let loopback = ip.ends_with("7F") || ip.ends_with("01000000");
    if (a, b) != (port, other) || !loopback {
        return None;
    }
    words.get(7)?.parse().ok()
}

fn tcp_session(s: TcpStream, options: &Options, connect: Connect, log: Log) -> Result<(), Failure> {
    let fail = |e: io::Error| Failure::new(FailureKind::Internal, format!("the editor's connection: {e}"));
    // Answers are small and wait for nobody.
    let _slower_without = s.set_nodelay(true);
    let other = s.try_clone().map_err(fail)?;
    session(other, s, options, connect, log)
}

/// Serves an editor over two streams.
fn session(
    from: impl Read + Send + 'static,
    to: impl Write + Send + 'static,
    options: &Options,
    connect: Connect,
    log: Log,
) -> Result<(), Failure> {
    let fail = |what: &str, e: io::Error| Failure::new(FailureKind::Internal, format!("{what}: {e}"));
    let (tx, inbox) = unbounded_channel();
    let reads = log.clone();
    std::thread::Builder::new()
        .name("dap-read".into())
        .spawn(move || read(from, &tx, &reads))
        .map_err(|e| fail("cannot start a thread", e))?;
    let out = Out::new(to, log).map_err(|e| fail("cannot start a thread", e))?;
    let (printed_tx, printed) = unbounded_channel();
    let mut session = Session {
        out,
        inbox,
        backlog: VecDeque::new(),
        connect,
        host: None,
        news: VecDeque::new(),
        printed,
        printer: Printer::new(printed_tx),
        plain: None,
        editor: Default::default(),
        phase: Phase::New,
        config: Default::default(),
        target: Target::default(),
        running: false,
        going: Going::On,
        pausing: false,
        stop: None,
        untold: None,
        exception: None,
        panics: true,
        throws: true,
        breakpoints: Vec::new(),
        frames: Vec::new(),
        values: Vec::new(),
        targets: Vec::new(),
        sources: Vec::new(),
        over: false,
        terminal: terminal(options.stdio),
        go: options.go.clone(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| fail("cannot start the session", e))?;
    runtime.block_on(session.run());
    session.out.finish();
    Ok(())
}

/// Reads until the end; what is no message is said once, since nobody knows where the next one begins.
fn read(from: impl Read, tx: &UnboundedSender<Incoming>, log: &Log) {
    let mut from = BufReader::new(from);
    loop {
        let next = match wire::read(&mut from) {
            Ok(Some(body)) => {
                log(&format!("[<- from client]{}", String::from_utf8_lossy(&body)));
                parse(&body)
            }
            Ok(None) => Incoming::End(None),
            // A reset is an end like any other.
            Err(wire::WireError::Io(_)) => Incoming::End(None),
            Err(e) => Incoming::End(Some(e.to_string())),
        };
        let end = matches!(next, Incoming::End(_));
        if tx.send(next).is_err() || end {
            return;
        }
    }
}

/// The terminal that we were started in, as an editor does that gives the program one ("integratedTerminal").
fn terminal(stdio: bool) -> Option<PathBuf> {
    if stdio || !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return None;
    }
    std::fs::read_link("/proc/self/fd/0").ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(resolve(":0").expect("an address"), ["127.0.0.1:0".parse().expect("one")]);
        assert!(resolve("nonsense").is_err_and(|f| f.message.contains("no address")));
    }

    #[test]
    fn owners_of_sockets() {
        let line = "   3: 0100007F:A1B2 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 12345 1";
        assert_eq!(owner(line, (0xa1b2, 0x1f90)), Some(1000));
        assert_eq!(owner(line, (0xa1b2, 0x1f91)), None);
        assert_eq!(owner("nonsense", (1, 2)), None);
    }

    #[test]
    fn a_connection_of_our_own_is_the_same_users() {
        let l = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let c = TcpStream::connect(l.local_addr().expect("its address")).expect("a connection");
        let (s, peer) = l.accept().expect("accepted");
        assert!(same_user(peer, s.local_addr().ok()));
        drop(c);
    }
}
