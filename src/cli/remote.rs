//! Hosts elsewhere: at a socket of this machine, or started over ssh with the user's own ssh program.

use super::args::{Common, Profile};
use super::credentials;
use crate::backend::client::Client;
use crate::backend::host::OURSELVES;
use crate::backend::link::{self, Connect, Farewell, Line};
use crate::backend::piped::{self, MISSING, Program, Said, name_there};
use crate::backend::protocol::{Failure, FailureKind, PROTOCOL_VERSION, TargetSpec};
use crate::base::text::printable_str;
use std::fs::File;
use std::io;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Where a host is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A socket in the file system.
    Socket(String),
    /// Behind ssh.
    Ssh {
        /// `[user@]host`.
        to: String,
        /// Port, where it is not the usual one.
        port: Option<u16>,
    },
    /// At a port, over TLS: `host:port`.
    Tls(String),
}

/// What a word names, if it is something elsewhere: where, and the target there.
///
/// # Errors
/// It is one, but not well-formed.
pub fn parse(word: &str, control: bool) -> Result<Option<(Place, TargetSpec)>, Failure> {
    if let Some(at) = word.strip_prefix("tls://") {
        let port = at.rsplit_once(':').and_then(|(h, p)| p.parse::<u16>().ok().filter(|_| !h.is_empty()));
        if port.is_none() || at.contains(char::is_whitespace) {
            let text = format!("{}: no host and port", printable_str(word, 100));
            return Err(Failure::new(FailureKind::BadRequest, text).fix("tls://HOST:PORT"));
        }
        return Ok(Some((Place::Tls(at.to_string()), TargetSpec::Here)));
    }
    if let Some(path) = word.strip_prefix("unix:") {
        return Ok(Some((Place::Socket(path.to_string()), TargetSpec::Here)));
    }
    let Some(rest) = word.strip_prefix("ssh://") else { return Ok(None) };
    let bad = |why: &str| {
        Failure::new(FailureKind::BadRequest, format!("{}: {why}", printable_str(word, 100)))
            .fix("ssh://[USER@]HOST[:PORT]/PID")
    };
    let (at, pid) = rest.split_once('/').ok_or_else(|| bad("no process is named"))?;
    let pid: i32 =
        pid.parse().ok().filter(|p| *p > 0).ok_or_else(|| bad("what is behind the host is no process id"))?;
    let (to, port) = match at.rsplit_once(':') {
        Some((to, p)) => (to, Some(p.parse().map_err(|_| bad("the port is no number"))?)),
        None => (at, None),
    };
    // It goes to ssh as an argument: never as an option.
    let host = to.rsplit('@').next().unwrap_or(to);
    if host.is_empty() || to.starts_with('-') || host.starts_with('-') || to.contains(char::is_whitespace) {
        return Err(bad("this is no name of a host"));
    }
    Ok(Some((Place::Ssh { to: to.to_string(), port }, TargetSpec::Attach { pid, exe: None, control })))
}

/// Hosts that were started for this process, until they have heard that it is done.
static LEAVES: Mutex<Vec<Farewell>> = Mutex::new(Vec::new());

/// Connects to it.
pub fn connect(place: &Place, common: &Common) -> Result<Client, Failure> {
    let (line, ours) = match place {
        Place::Socket(path) => (socket(path.clone()), false),
        Place::Ssh { to, port } => (ssh(to.clone(), *port, common.profile)?, true),
        Place::Tls(at) => (credentials::over_tls(at.clone(), common)?, false),
    };
    let line = credentials::with_token(line, common)?;
    if !ours {
        return Ok(link::client(line)?.0);
    }
    let (client, farewell) = link::sole_client(line)?;
    LEAVES.lock().unwrap_or_else(PoisonError::into_inner).push(farewell);
    Ok(client)
}

/// Waits until the hosts that were started for this process have heard that their clients, which were dropped, are done.
pub fn leave_all() {
    let all = std::mem::take(&mut *LEAVES.lock().unwrap_or_else(PoisonError::into_inner));
    all.into_iter().for_each(Farewell::wait);
}

fn host(text: String) -> Failure {
    Failure::new(FailureKind::Host, text)
}

fn socket(path: String) -> Connect {
    Box::new(move |_| {
        let fail = |e: io::Error| {
            let fix = match e.kind() {
                io::ErrorKind::PermissionDenied => "it belongs to another user: log in as that one",
                _ => "is `adit host --listen unix:PATH PID` running there?",
            };
            host(format!("cannot connect to {}: {e}", printable_str(&path, 200))).fix(fix)
        };
        UnixStream::connect(&path).and_then(Line::over).map_err(fail)
    })
}

fn ssh(to: String, port: Option<u16>, profile: Profile) -> Result<Connect, Failure> {
    let ours = name_there(std::path::Path::new(OURSELVES)).map_err(|e| host(format!("cannot read this adit: {e}")))?;
    let name = piped::session_name()?;
    let version = env!("CARGO_PKG_VERSION");
    let profile = profile.word();
    // For any POSIX shell; nothing of it comes from the user.
    let run = format!("host --relay {name} --profile {profile}");
    let go = format!(
        "a=\"$HOME/.cache/adit/{ours}\"; [ -x \"$a\" ] && exec \"$a\" {run}; \
         [ \"$(adit host --protocol 2>/dev/null)\" = \"{version} {PROTOCOL_VERSION}\" ] && exec adit {run}; \
         echo {MISSING} $(uname -sm)"
    );
    let push = format!(
        "umask 077; d=\"$HOME/.cache/adit\"; mkdir -p \"$d\" && cat > \"$d/{ours}.$$\" && chmod 700 \"$d/{ours}.$$\" && \
         mv \"$d/{ours}.$$\" \"$d/{ours}\""
    );
    let command = move |asks: bool, script: &str| {
        let mut c = Command::new(std::env::var_os("ADIT_SSH").unwrap_or_else(|| "ssh".into()));
        if !asks {
            c.args(["-o", "BatchMode=yes"]);
        }
        c.args(["-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3"]);
        if let Some(p) = port {
            c.args(["-p", &p.to_string()]);
        }
        c.arg("--").arg(&to).arg(script);
        c
    };
    Ok(Box::new(move |asks| {
        for pushed in [false, true] {
            let said = if asks { Said::ToUser } else { Said::Dropped };
            let (first, line) = piped::start(&mut command(asks, &go), said, SSH)?;
            let Some(what) = first.strip_prefix(MISSING) else { return Ok(line) };
            (line.cut)();
            if pushed {
                return Err(host("adit was copied there, but does not run there".into())
                    .fix("copy a static build of adit to the machine and put it on PATH"));
            }
            if what.trim() != "Linux x86_64" {
                return Err(host(format!(
                    "there is no adit on that machine, and it is {}",
                    printable_str(what.trim(), 40)
                ))
                .fix("adit runs on linux/amd64"));
            }
            send(&mut command(asks, &push))?;
        }
        Err(host("adit cannot be started there".into()))
    }))
}

const SSH: Program = Program {
    missing: "install ssh, or name it in ADIT_SSH",
    silent: "can you log in there with it, and does the shell there print nothing of its own?",
};

fn send(c: &mut Command) -> Result<(), Failure> {
    let exe = File::open(OURSELVES).map_err(|e| host(format!("cannot read this adit: {e}")))?;
    let status = c.stdin(Stdio::from(exe)).stdout(Stdio::null()).status();
    match status {
        Ok(s) if s.success() => Ok(()),
        Ok(s) => {
            Err(host(format!("adit could not be copied there ({s})")).fix("is there room in ~/.cache of that machine?"))
        }
        Err(e) => Err(host(format!("cannot run ssh: {e}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let attach = |pid| TargetSpec::Attach { pid, exe: None, control: true };
        let ssh = |to: &str, port| Place::Ssh { to: to.into(), port };
        for (word, is) in [
            ("ssh://box/12", Some((ssh("box", None), attach(12)))),
            ("ssh://me@box:2222/1", Some((ssh("me@box", Some(2222)), attach(1)))),
            ("unix:/tmp/s", Some((Place::Socket("/tmp/s".into()), TargetSpec::Here))),
            ("12", None),
            ("host:4040", None),
        ] {
            assert_eq!(parse(word, true).ok(), Some(is), "{word}");
        }
        for word in [
            "ssh://box",
            "ssh://box/x",
            "ssh://box/-1",
            "ssh://-oProxyCommand=x/1",
            "ssh://a b/1",
            "ssh:///1",
            "ssh://b:x/1",
            "ssh://u@-o/1",
        ] {
            assert!(parse(word, true).is_err_and(|f| !f.message.contains('\n')), "{word}");
        }
    }
}
