//! Finding Delve at an address, and saying clearly what is there when it is not Delve, or not one that can be used.

use super::client::{CallError, Connection};
use super::quirks::{OLDEST, Quirks};
use super::wire::{Attached, Multiclient, Version};
use crate::backend::protocol::{Failure, FailureKind};
use serde_json::json;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for a connection, and for the first answers.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where Delve listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `host:port`.
    Tcp(String),
    /// `unix:PATH`.
    Unix(PathBuf),
}

impl Address {
    /// Reads `host:port`, `:port` (this machine's) or `unix:PATH`.
    pub fn parse(text: &str) -> Result<Address, Failure> {
        let wrong = |why: &str| {
            Failure::new(FailureKind::BadRequest, format!("{text} is no address of a dlv: {why}"))
                .fix("write host:port, or unix:PATH")
        };
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err(wrong("there is no path behind unix:")),
                p => Ok(Address::Unix(p.into())),
            };
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong("there is no port in it"))?;
        let port: u16 = port.parse().map_err(|_| wrong("the port is no number of 1 to 65535"))?;
        if port == 0 {
            return Err(wrong("the port is no number of 1 to 65535"));
        }
        let host = if host.is_empty() { "127.0.0.1" } else { host };
        if host.contains('/') || (host.contains(':') && !(host.starts_with('[') && host.ends_with(']'))) {
            return Err(wrong("the host is not understood (IPv6 addresses stand in [])"));
        }
        Ok(Address::Tcp(format!("{host}:{port}")))
    }

    /// As a user writes it.
    pub fn text(&self) -> String {
        match self {
            Address::Tcp(a) => a.clone(),
            Address::Unix(p) => format!("unix:{}", p.display()),
        }
    }

    fn resolve(&self) -> Result<Vec<SocketAddr>, Failure> {
        match self {
            Address::Unix(_) => Ok(Vec::new()),
            Address::Tcp(a) => a.to_socket_addrs().map(Iterator::collect).map_err(|e| {
                Failure::new(FailureKind::Host, format!("{a}: the host is not found: {e}")).fix("check its name")
            }),
        }
    }

    /// Connects. `on_loss` is told when the connection ends.
    pub fn dial(&self, on_loss: impl FnOnce(String) + Send + 'static) -> Result<Connection, Failure> {
        let made = match self {
            Address::Unix(p) => UnixStream::connect(p).and_then(|s| Connection::unix(s, on_loss)),
            Address::Tcp(_) => {
                let mut last = io::Error::other("no address");
                let mut stream = None;
                for a in self.resolve()? {
                    match TcpStream::connect_timeout(&a, PATIENCE) {
                        Ok(s) => {
                            stream = Some(s);
                            break;
                        }
                        Err(e) => last = e,
                    }
                }
                stream.ok_or(last).and_then(|s| Connection::tcp(s, on_loss))
            }
        };
        made.map_err(|e| self.unreachable(&e))
    }

    fn unreachable(&self, e: &io::Error) -> Failure {
        let at = self.text();
        match e.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Failure::new(
                FailureKind::Host,
                format!("nothing listens at {at}, or a dlv there has its only client already"),
            )
            .fix("start it with: dlv exec PROGRAM --headless --accept-multiclient --listen=HOST:PORT"),
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
                Failure::new(FailureKind::Host, format!("{at} does not answer within {} s", PATIENCE.as_secs()))
                    .fix("check the address, and what may be between (firewall, port forwarding)")
            }
            io::ErrorKind::PermissionDenied => {
                Failure::new(FailureKind::Permission, format!("{at}: {e}")).fix("run adit as a user who may")
            }
            _ => Failure::new(FailureKind::Host, format!("cannot connect to {at}: {e}")).fix("check the address"),
        }
    }
}

/// A Delve that was found.
pub struct Found {
    /// For commands that resume, for `halt`, and for asking what the state is.
    pub control: Arc<Connection>,
    /// For everything that Delve answers only while the program stands; the same one when it takes no second client.
    pub reads: Arc<Connection>,
    /// Its release.
    pub quirks: Quirks,
    /// Go release of the program, as its compiler wrote it; empty while the program runs.
    pub go: String,
    /// It stays when its clients leave.
    pub multiclient: bool,
    /// It attached to a process that was there; else it started the program.
    pub attached: bool,
    /// What it debugs is a core file.
    pub core: bool,
    /// Things worth telling the user.
    pub notes: Vec<String>,
    /// Its port can be reached from elsewhere than this machine.
    pub exposed: bool,
}

/// Connects and finds out what is there.
pub fn find(address: &Address, on_loss: impl Fn(String) + Clone + Send + 'static) -> Result<Found, Failure> {
    let told = on_loss.clone();
    let control = Arc::new(address.dial(told)?);
    let fail = |e: CallError| not_delve(address, e);
    let ask = || control.call::<Version>("GetVersion", json!({}), PATIENCE);
    let mut version = ask().map_err(fail)?;
    let mut notes = Vec::new();
    if version.api == 1 {
        // Up to 1.23 the default is version 1, and `dlv connect` switches the server, too.
        let switched = control.call::<serde_json::Value>("SetApiVersion", json!({"APIVersion": 2}), PATIENCE);
        version = match switched {
            Ok(_) => ask().map_err(fail)?,
            Err(CallError::Refused(_)) => version,
            Err(e) => return Err(fail(e)),
        };
        if version.api == 2 {
            notes.push("the server spoke API version 1 and was switched to 2, as dlv connect does".into());
        }
    }
    if version.api != 2 {
        return Err(Failure::new(
            FailureKind::Host,
            format!("the dlv at {} speaks API version {} and not version 2", address.text(), version.api),
        )
        .fix("start it with --api-version=2"));
    }
    let quirks = Quirks::of(&version.delve);
    if quirks.too_old() {
        notes.push(format!(
            "Delve {} is older than {}.{}, the oldest that adit is tested with",
            quirks.text(),
            OLDEST.0,
            OLDEST.1
        ));
    }
    let multiclient = control.call::<Multiclient>("IsMulticlient", json!({}), PATIENCE).map_err(fail)?.yes;
    let attached = control.call::<Attached>("AttachedToExistingProcess", json!({}), PATIENCE).map_err(fail)?.yes;
    let reads = match multiclient {
        true => Arc::new(address.dial(on_loss)?),
        false => control.clone(),
    };
    let exposed = is_exposed(address);
    notes.push(match (address, exposed) {
        (Address::Unix(_), _) => "Delve's socket has no authentication but the file's permissions".into(),
        (_, false) => "Delve's port has no authentication: any process of this machine that reaches it commands \
                       Delve and the program"
            .to_string(),
        (_, true) => warning(address),
    });
    if !multiclient {
        notes.push(match attached {
            true => {
                "Delve was started without --accept-multiclient: it takes no other client, and detaches and ends when \
                     adit leaves"
                    .into()
            }
            false => {
                "Delve was started without --accept-multiclient: it takes no other client, and ends with the program \
                      that it started when adit leaves"
                    .into()
            }
        });
    }
    let core = version.backend == "core" || version.backend == "rr";
    Ok(Found { control, reads, quirks, go: version.go, multiclient, attached, core, notes, exposed })
}

/// What is to be said aloud when the port is no loopback one.
pub fn warning(address: &Address) -> String {
    format!(
        "{} is not on this machine's loopback: Delve's port is unauthenticated and unencrypted, and whoever reaches it can run \
         anything as the program's user; tunnel it (ssh -L) instead",
        address.text()
    )
}

/// Can others than this machine's processes reach it?
fn is_exposed(address: &Address) -> bool {
    let loopback = |ip: &IpAddr| match ip {
        IpAddr::V6(v6) => v6.is_loopback() || v6.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback()),
        v4 => v4.is_loopback(),
    };
    address.resolve().is_ok_and(|all| all.iter().any(|a| !loopback(&a.ip())))
}

fn not_delve(address: &Address, e: CallError) -> Failure {
    let at = address.text();
    let fail = |what: String| Failure::new(FailureKind::Host, format!("{at} is no dlv --headless: {what}"));
    match e {
        CallError::Lost(why) if why.contains("without an answer") || why.contains("broke") => fail(why).fix(
            "`dlv dap` serves editors only: start dlv with --headless; a dlv of another user lets you in with \
             --only-same-user=false",
        ),
        CallError::Lost(why) => fail(why).fix("check the address: what listens there is something else"),
        CallError::Late { .. } => fail(format!("it says nothing for {} s", PATIENCE.as_secs())).fix(
            "check the address; `dlv dap` serves editors only: start dlv with --headless; Delve may still be starting, \
                 or recording",
        ),
        CallError::Refused(why) => fail(why).fix("check the address: what listens there is something else"),
        e @ CallError::Malformed { .. } => {
            fail(e.to_string()).fix("check the address: what listens there is something else")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(Address::parse(":4040").ok(), Some(Address::Tcp("127.0.0.1:4040".into())));
        assert_eq!(Address::parse("[::1]:4040").ok(), Some(Address::Tcp("[::1]:4040".into())));
        assert_eq!(Address::parse("unix:/x").ok(), Some(Address::Unix("/x".into())));
        for wrong in ["", "4040", "host:", "host:70000", "host:0", "a:b:c", "::1:4040", "unix:", "a/b:1"] {
            let f = Address::parse(wrong).expect_err(wrong);
            assert!(f.fix.is_some() && !f.message.contains('\n'), "{wrong}");
        }
    }

    #[test]
    fn loopback_is_not_exposed() {
        for (a, exposed) in
            [("127.0.0.1:1", false), ("[::1]:1", false), ("[::ffff:127.0.0.1]:1", false), ("192.0.2.1:1", true)]
        {
            assert_eq!(is_exposed(&Address::parse(a).expect(a)), exposed, "{a}");
        }
    }
}
