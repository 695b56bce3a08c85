//! Lines over TLS 1.3: both ends show a key, and each knows the other's beforehand, as ssh does with known hosts and authorised keys.
//!
//! A key is an Ed25519 key with a certificate that it signed itself, for its time of validity; who signed it says nothing. What is compared
//! is the SHA-256 of the public key. There is no unencrypted TCP, and no way to do without the client's key.

use super::scopes::Scopes;
use crate::base::text::printable_str;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring as provider, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, Connection, DigitallySignedStruct,
    DistinguishedName, ServerConfig, ServerConnection, SignatureScheme,
};
use sha2::{Digest, Sha256};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// How long the two ends have to show their keys.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a certificate of ours is good.
pub const VALID_DAYS: i64 = 365;
/// Lines that are being made, at most: strangers can do that much.
const MAKING: usize = 32;
/// What waits to be taken on either side, bytes.
const WAITING: usize = 256 << 10;

/// What is wrong with a key or a line, one line of text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// A file with a key is none.
    #[error("{0}")]
    Key(String),
    /// The other end's key is another one than expected; which one it showed.
    #[error("its key is {0}")]
    Unknown(String),
    /// The other end does not take ours.
    #[error("it does not know our key")]
    NotKnownThere,
    /// A certificate's time is over: ours.
    #[error("our key's certificate has expired")]
    WeExpired,
    /// Theirs.
    #[error("its key's certificate has expired")]
    TheyExpired,
    /// It wants a key, and got none.
    #[error("it asks for a key, and none was shown")]
    NoKey,
    /// Anything else on the way.
    #[error("{0}")]
    Line(String),
}

fn line(e: impl std::fmt::Display) -> TlsError {
    TlsError::Line(printable_str(&e.to_string(), 200))
}

/// A key and its certificate.
pub struct Identity {
    cert: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    /// `SHA256:…` of the public key.
    pub fingerprint: String,
}

/// `SHA256:…` of a certificate's public key.
fn fingerprint(cert: &CertificateDer<'_>) -> Result<String, webpki::Error> {
    let spki = webpki::EndEntityCert::try_from(cert)?.subject_public_key_info();
    Ok(format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(&spki))))
}

impl Identity {
    /// A new one, as the text of its file. `days` is for how long; tests make some that are over.
    ///
    /// # Errors
    /// There are no random numbers.
    pub fn generate(days: i64) -> Result<String, TlsError> {
        let bad = |e: rcgen::Error| TlsError::Key(format!("cannot make a key: {e}"));
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).map_err(bad)?;
        let mut p = rcgen::CertificateParams::new(vec!["adit".to_string()]).map_err(bad)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        let day = Duration::from_secs(86_400);
        // A day back: clocks differ.
        p.not_before = epoch + now.saturating_sub(day * 2);
        p.not_after = match u32::try_from(days) {
            Ok(d) => epoch + now + day * d,
            Err(_) => epoch + now.saturating_sub(day),
        };
        p.distinguished_name.push(rcgen::DnType::CommonName, "adit");
        let cert = p.self_signed(&key).map_err(bad)?;
        Ok(cert.pem() + &key.serialize_pem())
    }

    /// Out of a file's text.
    ///
    /// # Errors
    /// No certificate or key is in it.
    pub fn read(text: &str) -> Result<Identity, TlsError> {
        let bad = |what: &str| TlsError::Key(format!("no {what} is in it"));
        let cert = CertificateDer::from_pem_slice(text.as_bytes()).map_err(|_| bad("certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| bad("private key"))?;
        let fingerprint = fingerprint(&cert).map_err(|_| bad("certificate that can be read"))?;
        Ok(Identity { cert, key, fingerprint })
    }

    fn parts(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (vec![self.cert.clone()], self.key.clone_key())
    }
}

/// What a fingerprint has to be like.
pub fn is_fingerprint(text: &str) -> bool {
    text.strip_prefix("SHA256:").is_some_and(|b| STANDARD_NO_PAD.decode(b).is_ok_and(|b| b.len() == 32))
}

/// A file that lists who may come: `SHA256:… SCOPES NAME` a line, `#` begins a comment.
pub fn listed(text: &str, fingerprint: &str) -> Result<Option<(String, Scopes)>, String> {
    for (n, l) in text.lines().enumerate() {
        let l = l.trim();
        if l.is_empty() || l.starts_with('#') {
            continue;
        }
        let mut words = l.split_whitespace();
        let (key, scopes) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        if !is_fingerprint(key) || scopes.is_empty() {
            return Err(format!("line {}: not `SHA256:… SCOPES NAME`", n + 1));
        }
        if key == fingerprint {
            let scopes = Scopes::parse(scopes).map_err(|e| format!("line {}: {e}", n + 1))?;
            let name: Vec<&str> = words.collect();
            let name = if name.is_empty() { fingerprint.to_string() } else { name.join(" ") };
            return Ok(Some((name, scopes)));
        }
    }
    Ok(None)
}

/// Who is believed: decides by fingerprint.
type Believes = dyn Fn(&str) -> bool + Send + Sync;

struct Pinned {
    provider: Arc<CryptoProvider>,
    believes: Box<Believes>,
    /// The key that the other end showed.
    shown: Arc<Mutex<Option<String>>>,
}

impl std::fmt::Debug for Pinned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pinned")
    }
}

impl Pinned {
    fn new(believes: Box<Believes>) -> Arc<Pinned> {
        Arc::new(Pinned { provider: Arc::new(provider::default_provider()), believes, shown: Arc::default() })
    }

    fn check(&self, cert: &CertificateDer<'_>, now: UnixTime, usage: webpki::KeyUsage) -> Result<(), rustls::Error> {
        let bad = |_| rustls::Error::InvalidCertificate(CertificateError::BadEncoding);
        let print = fingerprint(cert).map_err(bad)?;
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(print.clone());
        if !(self.believes)(&print) {
            return Err(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure));
        }
        // It vouches for itself; what is left to be asked is its signature and its time.
        let anchor = webpki::anchor_from_trusted_cert(cert).map_err(bad)?;
        let ee = webpki::EndEntityCert::try_from(cert).map_err(bad)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        match ee.verify_for_usage(algorithms, &[anchor], &[], now, usage, None, None) {
            Ok(_) => Ok(()),
            Err(webpki::Error::CertExpired { .. }) => Err(rustls::Error::InvalidCertificate(CertificateError::Expired)),
            Err(webpki::Error::CertNotValidYet { .. }) => {
                Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYet))
            }
            Err(_) => Err(rustls::Error::InvalidCertificate(CertificateError::BadSignature)),
        }
    }

    fn signed(
        &self,
        m: &[u8],
        c: &CertificateDer<'_>,
        d: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(m, c, d, &self.provider.signature_verification_algorithms)
    }
}

fn old() -> rustls::Error {
    rustls::Error::General("TLS 1.3 only".into())
}

/// What both traits ask about signatures.
macro_rules! signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Err(old())
        }
        fn verify_tls13_signature(
            &self,
            m: &[u8],
            c: &CertificateDer<'_>,
            d: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            self.signed(m, c, d)
        }
        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.provider.signature_verification_algorithms.supported_schemes()
        }
    };
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        ee: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.check(ee, now, webpki::KeyUsage::server_auth()).map(|()| ServerCertVerified::assertion())
    }
    signatures!();
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }
    fn verify_client_cert(
        &self,
        ee: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.check(ee, now, webpki::KeyUsage::client_auth()).map(|()| ClientCertVerified::assertion())
    }
    signatures!();
}

/// A port that hosts listen at.
pub struct Listening {
    listener: TcpListener,
    identity: Identity,
    clients: PathBuf,
}

impl Listening {
    /// Binds. `clients` is the file that lists who may come; it is read anew for each.
    ///
    /// # Errors
    /// The port is taken, or the address is none of this machine's.
    pub fn bind(at: &str, identity: Identity, clients: PathBuf) -> Result<Listening, TlsError> {
        let listener = TcpListener::bind(at).map_err(|e| TlsError::Line(format!("{}: {e}", printable_str(at, 100))))?;
        Ok(Listening { listener, identity, clients })
    }

    /// Where it is.
    ///
    /// # Errors
    /// The system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Takes clients for ever, each on a thread of its own; those that are not known are sent away, and a line says so.
    pub(super) fn accept(&self, serve: &(dyn Fn(UnixStream, &str, Scopes) + Sync)) {
        let making = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for tcp in self.listener.incoming().flatten() {
                if making.fetch_add(1, Relaxed) >= MAKING {
                    making.fetch_sub(1, Relaxed);
                    continue;
                }
                let making = &making;
                let one = move || {
                    let from = tcp.peer_addr().map_or_else(|_| "?".into(), |a| a.to_string());
                    let made = self.take(tcp);
                    making.fetch_sub(1, Relaxed);
                    match made {
                        Ok((stream, name, scopes)) => serve(stream, &name, scopes),
                        Err(e) => {
                            tracing::warn!("{from} was sent away: {e}");
                            let _nobody_reads_it = writeln!(io::stderr(), "adit host: {from} was sent away: {e}");
                        }
                    }
                };
                let _one_less = std::thread::Builder::new().name("client".into()).spawn_scoped(scope, one);
            }
        });
    }

    fn take(&self, tcp: TcpStream) -> Result<(UnixStream, String, Scopes), TlsError> {
        let bad = |e: &dyn std::fmt::Display| TlsError::Key(format!("{}: {e}", self.clients.display()));
        let list = match std::fs::read_to_string(&self.clients) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
            other => other.map_err(|e| bad(&e))?,
        };
        let known = list.clone();
        let pinned = Pinned::new(Box::new(move |print| matches!(listed(&known, print), Ok(Some(_)))));
        let (cert, key) = self.identity.parts();
        let config = ServerConfig::builder_with_provider(pinned.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(line)?
            .with_client_cert_verifier(pinned.clone())
            .with_single_cert(cert, key)
            .map_err(line)?;
        let mut conn = ServerConnection::new(Arc::new(config)).map_err(line)?;
        let done = Within::new(&tcp, HANDSHAKE).and_then(|mut t| conn.complete_io(&mut t));
        let print = pinned.shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let of = |list: &str, p: &str| listed(list, p).map_err(|e| bad(&e));
        if let Err(e) = done {
            return Err(match (reason(&e), print) {
                (Some(rustls::Error::NoCertificatesPresented), _) => TlsError::NoKey,
                (
                    Some(rustls::Error::InvalidCertificate(
                        CertificateError::ExpiredContext { .. } | CertificateError::Expired,
                    )),
                    _,
                ) => TlsError::TheyExpired,
                (
                    Some(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)),
                    Some(p),
                ) => {
                    of(&list, &p)?;
                    TlsError::Unknown(format!("{p}, which is not in {}", self.clients.display()))
                }
                _ if is_late(&e) => TlsError::Line("it did not show its key in time".into()),
                _ => line(e),
            });
        }
        let print = print.ok_or(TlsError::NoKey)?;
        let (name, scopes) = of(&list, &print)?.ok_or(TlsError::NotKnownThere)?;
        Ok((bridged(tcp, conn.into()).map_err(line)?, name, scopes))
    }
}

/// What of an error on a stream was TLS's.
fn reason(e: &io::Error) -> Option<&rustls::Error> {
    e.get_ref().and_then(|e| e.downcast_ref())
}

/// A line that has to have done something by a moment, however slowly the other end talks: a byte now and then is no reason to go on.
struct Within<'t> {
    tcp: &'t TcpStream,
    end: Instant,
}

impl Within<'_> {
    fn new(tcp: &TcpStream, longest: Duration) -> io::Result<Within<'_>> {
        tcp.set_nodelay(true)?;
        Ok(Within { tcp, end: Instant::now() + longest })
    }
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Within<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.tcp.set_read_timeout(self.left()?)?;
        self.tcp.read(buf)
    }
}

impl Write for Within<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.tcp.set_write_timeout(self.left()?)?;
        self.tcp.write(buf)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

/// Nothing came in time.
fn is_late(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Connects to a host whose key is believed, and waits for its first word: it decides about ours only then.
///
/// # Errors
/// It cannot be reached, shows another key (which is said), or does not take ours.
pub fn connect(at: &str, identity: &Identity, believes: Box<Believes>) -> Result<(UnixStream, String), TlsError> {
    let unreachable = |e: io::Error| TlsError::Line(format!("cannot connect to {}: {e}", printable_str(at, 100)));
    let to = at.to_socket_addrs().map_err(unreachable)?;
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let mut tcp = None;
    for a in to {
        match TcpStream::connect_timeout(&a, HANDSHAKE) {
            Ok(t) => {
                tcp = Some(t);
                break;
            }
            Err(e) => last = e,
        }
    }
    let Some(tcp) = tcp else { return Err(unreachable(last)) };
    let pinned = Pinned::new(believes);
    let (cert, key) = identity.parts();
    let config = ClientConfig::builder_with_provider(pinned.provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(line)?
        .dangerous()
        .with_custom_certificate_verifier(pinned.clone())
        .with_client_auth_cert(cert, key)
        .map_err(line)?;
    let name = ServerName::try_from("adit").map_err(line)?;
    let mut conn = ClientConnection::new(Arc::new(config), name).map_err(line)?;
    let mut within = Within::new(&tcp, HANDSHAKE).map_err(line)?;
    let shown = || pinned.shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let failed = |e: io::Error| {
        use rustls::Error::{AlertReceived, InvalidCertificate};
        match (reason(&e), shown()) {
            (Some(InvalidCertificate(CertificateError::ApplicationVerificationFailure)), Some(p)) => {
                TlsError::Unknown(p)
            }
            (Some(InvalidCertificate(CertificateError::Expired)), _) => TlsError::TheyExpired,
            (Some(AlertReceived(AlertDescription::CertificateExpired)), _) => TlsError::WeExpired,
            (Some(AlertReceived(AlertDescription::CertificateRequired)), _) => TlsError::NoKey,
            (Some(AlertReceived(AlertDescription::AccessDenied)), _) => TlsError::NotKnownThere,
            (None, _) if is_late(&e) => TlsError::Line(format!("{} does not answer", printable_str(at, 100))),
            _ => line(e),
        }
    };
    conn.complete_io(&mut within).map_err(failed)?;
    loop {
        let state = conn.process_new_packets().map_err(|e| failed(io::Error::new(io::ErrorKind::InvalidData, e)))?;
        if state.plaintext_bytes_to_read() > 0 {
            break;
        }
        if conn.read_tls(&mut within).map_err(failed)? == 0 {
            return Err(TlsError::Line("the other side closed the line without a word".into()));
        }
    }
    let print = shown().unwrap_or_default();
    Ok((bridged(tcp, conn.into()).map_err(line)?, print))
}

/// A plain stream whose other end is carried over the line by a thread.
fn bridged(tcp: TcpStream, conn: Connection) -> io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    tcp.set_read_timeout(None)?;
    tcp.set_write_timeout(None)?;
    tcp.set_nonblocking(true)?;
    theirs.set_nonblocking(true)?;
    let carry = move || {
        let mut b = Bridge { tcp, conn, plain: theirs, out: Vec::new(), back: Vec::new(), ends: false };
        if let Err(e) = b.run() {
            tracing::info!("a line over TLS ended: {e}");
        }
        let _gone_already = (b.tcp.shutdown(Shutdown::Both), b.plain.shutdown(Shutdown::Both));
    };
    std::thread::Builder::new().name("tls".into()).spawn(carry)?;
    Ok(ours)
}

struct Bridge {
    tcp: TcpStream,
    conn: Connection,
    plain: UnixStream,
    /// To be sent, plain.
    out: Vec<u8>,
    /// To be taken here, plain.
    back: Vec<u8>,
    /// Nothing more comes from here.
    ends: bool,
}

/// None: it would have to wait.
fn now(r: io::Result<usize>) -> io::Result<Option<usize>> {
    match r {
        Ok(n) => Ok(Some(n)),
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
        Err(e) => Err(e),
    }
}

impl Bridge {
    fn run(&mut self) -> io::Result<()> {
        let mut buf = vec![0; 64 << 10];
        let mut hangs_up = false;
        loop {
            // Plain bytes into the connection, and out of it.
            if !self.out.is_empty() {
                let n = self.conn.writer().write(&self.out)?;
                self.out.drain(..n);
            }
            while self.back.len() < WAITING {
                match now(self.conn.reader().read(&mut buf))? {
                    Some(0) => {
                        hangs_up = true;
                        break;
                    }
                    Some(n) => self.back.extend_from_slice(&buf[..n]),
                    None => break,
                }
            }
            if self.ends && self.out.is_empty() && !self.conn.wants_write() {
                return Ok(());
            }
            if hangs_up && self.back.is_empty() {
                return Ok(());
            }
            let flag = |on: bool, f: PollFlags| if on { f } else { PollFlags::empty() };
            let net = flag(!hangs_up && self.back.len() < WAITING, PollFlags::POLLIN)
                | flag(self.conn.wants_write(), PollFlags::POLLOUT);
            let here = flag(!self.ends && self.out.len() < WAITING && !self.conn.wants_write(), PollFlags::POLLIN)
                | flag(!self.back.is_empty(), PollFlags::POLLOUT);
            let mut fds = [PollFd::new(self.tcp.as_fd(), net), PollFd::new(self.plain.as_fd(), here)];
            match poll(&mut fds, PollTimeout::NONE) {
                Err(nix::errno::Errno::EINTR) => continue,
                other => other.map_err(io::Error::from)?,
            };
            let [net, here] = fds.map(|f| f.revents().unwrap_or(PollFlags::empty()));
            let over = PollFlags::POLLERR | PollFlags::POLLHUP;
            if net.intersects(PollFlags::POLLIN | over) && !hangs_up && self.back.len() < WAITING {
                match now(self.conn.read_tls(&mut self.tcp))? {
                    Some(0) => hangs_up = true,
                    Some(_) => {
                        self.conn.process_new_packets().map_err(io::Error::other)?;
                    }
                    None => {}
                }
            }
            if self.conn.wants_write() {
                now(self.conn.write_tls(&mut self.tcp))?;
            }
            if !self.back.is_empty()
                && let Some(n) = now(self.plain.write(&self.back))?
            {
                self.back.drain(..n);
            }
            if here.intersects(PollFlags::POLLIN | over) && !self.ends {
                match now(self.plain.read(&mut buf))? {
                    Some(0) => {
                        self.ends = true;
                        self.conn.send_close_notify();
                    }
                    Some(n) => self.out.extend_from_slice(&buf[..n]),
                    None => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who sends a byte now and then keeps nobody waiting.
    #[test]
    fn slow_talkers_are_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut talker = TcpStream::connect(listener.local_addr().expect("its address")).expect("connected");
        let (tcp, _) = listener.accept().expect("accepted");
        let talks = std::thread::spawn(move || {
            while talker.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let mut got = Vec::new();
        let begun = Instant::now();
        let e = Within::new(&tcp, Duration::from_millis(200)).and_then(|mut t| t.read_to_end(&mut got));
        assert!(e.is_err_and(|e| is_late(&e)) && !got.is_empty());
        assert!(begun.elapsed() >= Duration::from_millis(200));
        drop(tcp);
        talks.join().expect("it saw the end");
    }
}
