//! Keys and tokens: where they are kept, the commands that make them, and how a client shows them.

use super::args::Common;
use crate::backend::hub::Rules;
use crate::backend::link::{Connect, GREETING, Line, first_line};
use crate::backend::protocol::{Failure, FailureKind, FromHost, Reply, Request, ToHost};
use crate::backend::scopes::Scopes;
use crate::backend::tls::{self, Identity, Listening, TlsError};
use crate::backend::token::{self, Checker, Grant, Signer, TokenError};
use crate::backend::wire as frames;
use crate::base::text::{printable_str, random_hex};
use crate::config;
use clap::{Args, Subcommand};
use std::fs;
use std::io::{self, Cursor, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Id of the request that shows a token, beyond those of sessions and links.
const TOKEN_ID: u64 = u64::MAX - 32;

/// Flags of a client about a host.
#[derive(Args, Clone, Debug, Default)]
pub struct RemoteArgs {
    /// The file with the token to show to a host; - for standard input. Without it, the variable ADIT_TOKEN
    #[arg(long, global = true, value_name = "FILE")]
    pub token: Option<PathBuf>,
    /// The key that the host at a tls:// address must show; remembered once it did
    #[arg(long, global = true, value_name = "SHA256:…")]
    pub pin: Option<String>,
}

/// Flags of a host about its clients.
#[derive(Args, Clone, Debug, Default)]
pub struct AdmitArgs {
    /// Ask clients for tokens that this key checks (`adit token key` makes FILE and FILE.pub; this is the latter)
    #[arg(long, value_name = "FILE", requires = "listen")]
    pub token_key: Option<PathBuf>,
    /// Who may come over TLS: lines `SHA256:… SCOPES NAME`; `clients` in the configuration folder by default
    #[arg(long, value_name = "FILE", requires = "listen")]
    pub clients: Option<PathBuf>,
}

/// `adit token …`.
#[derive(Subcommand, Clone, Debug)]
pub enum TokenSub {
    /// Make a key that signs tokens, or show where the one that checks them is
    Key {
        /// The key; `token.key` in the configuration folder by default
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Sign a token and print it
    New {
        /// What its bearer may do: observer, diagnose, debug, full, or names, separated by commas
        #[arg(long, value_name = "SCOPES")]
        scopes: String,
        /// For how long: 90s, 30m, 12h, 7d
        #[arg(long, value_name = "TIME")]
        expires: String,
        /// For this process only; `any` for every one that hosts with this key serve
        #[arg(long, value_name = "PID|any", default_value = "any")]
        target: String,
        /// For whom, in words; it goes on record
        #[arg(long, value_name = "NAME", default_value = "")]
        to: String,
        /// The key that signs; `token.key` in the configuration folder by default
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
}

fn bad(text: impl Into<String>) -> Failure {
    Failure::new(FailureKind::BadRequest, text.into())
}

fn folder() -> Result<PathBuf, Failure> {
    config::config_dir().ok_or_else(|| bad("there is no configuration folder").fix("set HOME or XDG_CONFIG_HOME"))
}

/// Writes a file of ours alone, which must not be there yet.
fn create(path: &Path, text: &str) -> Result<(), Failure> {
    let fail = |e: io::Error| bad(format!("cannot write {}: {e}", path.display()));
    if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
        fs::create_dir_all(dir).map_err(fail)?;
    }
    let mut file = fs::File::options().write(true).create_new(true).mode(0o600).open(path).map_err(fail)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(fail)
}

/// Reads a file that nobody else may read.
fn private(path: &Path) -> Result<String, Failure> {
    let fail = |e: io::Error| bad(format!("cannot read {}: {e}", path.display()));
    let mode = fs::metadata(path).map_err(fail)?.mode();
    if mode & 0o077 != 0 {
        let text = format!("others may read {}, which is private (mode {:o})", path.display(), mode & 0o777);
        return Err(bad(text).fix(format!("chmod 600 {}; better, make a new one", path.display())));
    }
    fs::read_to_string(path).map_err(fail)
}

fn of_key(path: &Path) -> impl Fn(TokenError) -> Failure {
    let shown = path.display().to_string();
    move |e| bad(format!("{shown}: {e}")).fix("`adit token key` makes keys")
}

/// `adit token …`: what to print.
pub fn token(what: &TokenSub) -> Result<String, Failure> {
    let of = |key: &Option<PathBuf>| key.clone().map_or_else(|| folder().map(|d| d.join("token.key")), Ok);
    match what {
        TokenSub::Key { key } => {
            let path = of(key)?;
            let public = PathBuf::from(format!("{}.pub", path.display()));
            if !path.exists() {
                let (signer, text) = Signer::generate().map_err(of_key(&path))?;
                create(&path, &text)?;
                create(&public, &signer.public_text())?;
            }
            let signer = Signer::read(&private(&path)?).map_err(of_key(&path))?;
            if !public.exists() {
                create(&public, &signer.public_text())?;
            }
            Ok(format!("signs:  {}\nchecks: {}  (adit host --token-key)\n", path.display(), public.display()))
        }
        TokenSub::New { scopes, expires, target, to, key } => {
            let path = of(key)?;
            if !path.exists() {
                return Err(bad(format!("there is no key at {}", path.display())).fix("`adit token key` makes one"));
            }
            let signer = Signer::read(&private(&path)?).map_err(of_key(&path))?;
            let scopes = Scopes::parse(scopes).map_err(bad)?;
            let expires = token::now() + token::lifetime(expires).map_err(bad)?.as_secs();
            let target = match target.as_str() {
                "any" => None,
                pid => Some(
                    pid.parse().map_err(|_| bad(format!("{}: no process id, nor `any`", printable_str(pid, 40))))?,
                ),
            };
            let id = random_hex::<8>().map_err(|e| bad(format!("no random numbers: {e}")))?;
            let g = Grant { id, to: printable_str(to, 80), scopes: scopes.text(), expires, target };
            signer.sign(&g).map(|t| t + "\n").map_err(of_key(&path))
        }
    }
}

/// What a host asks of its clients.
pub fn rules(a: &AdmitArgs, pid: Option<i32>) -> Result<Rules, Failure> {
    let read = |p: &PathBuf| {
        let text = fs::read_to_string(p).map_err(|e| bad(format!("cannot read {}: {e}", p.display())))?;
        Checker::read(&text).map_err(of_key(p))
    };
    Ok(Rules { tokens: a.token_key.as_ref().map(read).transpose()?, target: pid })
}

/// Where the user's own key is.
fn identity_file() -> Result<PathBuf, Failure> {
    Ok(folder()?.join("identity.pem"))
}

/// The user's own key, made when there is none.
pub fn identity() -> Result<Identity, Failure> {
    let path = identity_file()?;
    if !path.exists() {
        let text = Identity::generate(tls::VALID_DAYS).map_err(|e| bad(e.to_string()))?;
        create(&path, &text)?;
    }
    Identity::read(&private(&path)?).map_err(|e| {
        bad(format!("{}: {e}", path.display())).fix("move it away: a new one is made (its fingerprint is another one)")
    })
}

/// `adit key`: what to print. With `new`, a new one takes the old one's place.
pub fn key(new: bool) -> Result<String, Failure> {
    let path = identity_file()?;
    if new && path.exists() {
        let old = path.with_extension("old.pem");
        fs::rename(&path, &old).map_err(|e| bad(format!("cannot move {} away: {e}", path.display())))?;
    }
    Ok(format!("{}  {}\n", identity()?.fingerprint, path.display()))
}

/// Binds a port for TLS.
pub fn listening(at: &str, a: &AdmitArgs) -> Result<Listening, Failure> {
    let clients = a.clients.clone().map_or_else(|| folder().map(|d| d.join("clients")), Ok)?;
    let identity = identity()?;
    let print = identity.fingerprint.clone();
    let l = Listening::bind(at, identity, clients.clone())
        .map_err(|e| Failure::new(FailureKind::Host, format!("cannot listen at {e}")).fix("--listen tls:HOST:PORT"))?;
    let shown = l.address().map_or_else(|_| at.to_string(), |a| a.to_string());
    // For who starts it, and for scripts.
    println!("listening at tls:{shown}, key {print}, clients in {}", clients.display());
    Ok(l)
}

/// Makes lines over TLS to a host whose key is known.
pub fn over_tls(at: String, common: &Common) -> Result<Connect, Failure> {
    let identity = identity()?;
    let known = folder()?.join("known_hosts");
    let pin = common.remote.pin.clone();
    if let Some(p) = pin.as_ref().filter(|p| !tls::is_fingerprint(p)) {
        return Err(bad(format!("--pin {}: not `SHA256:` and 43 characters", printable_str(p, 80))));
    }
    let listed = match fs::read_to_string(&known) {
        Ok(t) => t.lines().find_map(|l| l.split_once(' ').filter(|l| l.0 == at).map(|l| l.1.trim().to_string())),
        Err(_) => None,
    };
    let expected = pin.clone().or(listed.clone());
    Ok(Box::new(move |_| {
        let want = expected.clone();
        let made = tls::connect(&at, &identity, Box::new(move |p| want.as_deref() == Some(p)));
        let (s, print) = made.map_err(|e| not_connected(&at, &e, expected.as_deref(), &identity.fingerprint))?;
        if listed.is_none() {
            remember(&known, &at, &print);
        }
        let fail = |e: io::Error| Failure::new(FailureKind::Host, format!("the line to {at}: {e}"));
        Line::over(s).map_err(fail)
    }))
}

fn remember(known: &Path, at: &str, print: &str) {
    let line = format!("{at} {print}\n");
    let written = fs::File::options()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(known)
        .and_then(|mut f| f.write_all(line.as_bytes()));
    if let Err(e) = written {
        tracing::warn!("{}: {e}", known.display());
    }
}

fn not_connected(at: &str, e: &TlsError, expected: Option<&str>, ours: &str) -> Failure {
    let host = |t: String| Failure::new(FailureKind::Host, t);
    let at = printable_str(at, 100);
    match (e, expected) {
        (TlsError::Unknown(p), None) => host(format!("{at} is not known here yet: its key is {p}"))
            .fix(format!("if `adit key` says the same there: --pin {p}")),
        (TlsError::Unknown(p), Some(want)) => host(format!(
            "{at} shows another key than it should: {p} instead of {want}"
        ))
        .fix("somebody may be in between; if it has a new key, take its line out of known_hosts and --pin the new one"),
        (TlsError::NotKnownThere, _) => {
            host(format!("{at}: {e}")).fix(format!("there, add to the file named by --clients: {ours} observer NAME"))
        }
        (TlsError::WeExpired, _) => {
            host(format!("{at}: {e}")).fix("`adit key --new` makes a new one; tell the host its fingerprint")
        }
        (TlsError::TheyExpired, _) => host(format!("{at}: {e}")).fix("`adit key --new` there makes a new one"),
        _ => host(format!("{at}: {e}")).fix("is `adit host --listen tls:HOST:PORT PID` running there?"),
    }
}

/// The token to show, if there is one: from a file, standard input, or the environment; never from the command line, which all can read.
fn token_to_show(common: &Common) -> Result<Option<String>, Failure> {
    let cut = |t: String| Some(t.trim().to_string()).filter(|t| !t.is_empty());
    match &common.remote.token {
        None => Ok(std::env::var("ADIT_TOKEN").ok().and_then(cut)),
        Some(p) if p.as_os_str() == "-" => {
            let mut text = String::new();
            let read = io::stdin().take(token::LONGEST as u64 + 2).read_to_string(&mut text);
            read.map_err(|e| bad(format!("no token on standard input: {e}")))?;
            Ok(cut(text))
        }
        Some(p) => private(p).map(cut),
    }
}

/// Shows a token on each line that is made, before anything else is said on it.
pub fn with_token(mut connect: Connect, common: &Common) -> Result<Connect, Failure> {
    let Some(token) = token_to_show(common)? else { return Ok(connect) };
    Ok(Box::new(move |asks| {
        let mut l = connect(asks)?;
        let lost =
            |e: io::Error| Failure::new(FailureKind::Host, format!("the line was lost while the token was shown: {e}"));
        let first = first_line(&mut l.reader);
        if first.starts_with(GREETING.as_bytes()) {
            frames::write(&mut l.writer, &ToHost::new(TOKEN_ID, Request::Token { token: token.clone() }))
                .map_err(lost)?;
            loop {
                match frames::read::<FromHost>(&mut l.reader).map_err(lost)? {
                    Some(FromHost::Reply { id: TOKEN_ID, result: Ok(Reply::Done) }) => break,
                    Some(FromHost::Reply { id: TOKEN_ID, result: Err(f) }) => return Err(f),
                    Some(_) => {}
                    None => return Err(lost(io::ErrorKind::UnexpectedEof.into())),
                }
            }
        }
        Ok(Line { reader: Box::new(Cursor::new(first).chain(l.reader)), ..l })
    }))
}
