//! Where the command line meets processes: the functions that start hosts and look at the machine.

use super::args::{Common, HostArgs, Policy};
use super::{credentials, doctor, secrets};
use crate::backend::audit::{self, Audit};
use crate::backend::client::{Client, pipe};
use crate::backend::listen::{self, At};
use crate::backend::native::Terms;
use crate::backend::native::budget::Limits;
use crate::backend::native::from_open;
use crate::backend::protocol::{Failure, FailureKind, TargetSpec};
use crate::backend::scopes::{Scope, Scopes};
use crate::backend::{host, native};
use crate::batch::exit;
use crate::engine::rescue::{self, Rescued};
use crate::engine::{Loaded, OpenError};
use crate::target::linux::doctor as checks;
use crate::target::linux::wake::Wake;
use serde_json::json;

/// Starts a host process and connects to it. The target is opened by the caller's `Open`.
pub fn connect_host(common: &Common) -> Result<Client, Failure> {
    host::start(common.profile.word(), common.redact.said())
}

/// A host on a thread of this process, for one-shots: it reads, and stops a process only for a copy of it.
pub fn read_in_process(common: &Common) -> Result<Client, Failure> {
    let fail = |e: String| Failure::new(FailureKind::Internal, format!("cannot start the reader: {e}"));
    let mut terms = Terms::of(Limits::DEV, secrets::redaction()?);
    terms.redact = Some(common.redact.for_reading(common.profile));
    let (client, end) = pipe();
    let serve = move || match Wake::new() {
        Ok(wake) => native::serve(end, wake, terms),
        Err(e) => tracing::error!("the reader: {e}"), // the client sees its end of the pipe close
    };
    std::thread::Builder::new().name("observe".into()).spawn(serve).map_err(|e| fail(e.to_string()))?;
    Ok(client)
}

/// `adit doctor`: prints its report, returns the exit code.
pub fn doctor(pid: Option<i32>, json: bool) -> Result<u8, Failure> {
    let mut all = match pid {
        Some(pid) => checks::process(pid),
        None => checks::system(),
    };
    let possible = pid.map(|pid| doctor::possible(pid, &mut all));
    let fine = all.iter().all(|c| c.ok);
    if json {
        let mut v = json!({"schema": "adit/doctor/1"});
        if let Some(pid) = pid {
            v["pid"] = json!(pid);
        }
        v["ok"] = json!(fine);
        v["checks"] = json!(all);
        if let Some(p) = &possible {
            v["possible"] = json!(p);
        }
        print(&format!("{v}\n"))?;
    } else {
        print(&doctor::text(&all, possible.as_ref()))?;
    }
    Ok(if fine { exit::DONE } else { exit::OPEN })
}

/// `adit rescue`: puts text back, prints what it did, returns the exit code.
pub fn rescue(pid: Option<i32>, all: bool, json: bool) -> Result<u8, Failure> {
    let done: Vec<Result<Rescued, OpenError>> = match pid {
        Some(pid) if !all => vec![Ok(rescue::rescue(pid).map_err(|e| from_open(&e))?)],
        _ => rescue::rescue_all(),
    };
    let mut code = exit::DONE;
    let mut rows = Vec::new();
    let mut text = String::new();
    for d in &done {
        match d {
            Ok(d) => {
                text += &format!("{} {}: {}\n", d.pid, d.exe, d.message);
                rows.push(json!(d));
            }
            Err(e) => {
                let f = from_open(e);
                text += &format!("{f}\n");
                rows.push(json!({"error": {"kind": f.kind, "message": f.message, "fix": f.fix}}));
                code = exit::OPEN;
            }
        }
    }
    if done.is_empty() {
        text = "no process on record was left patched\n".into();
    }
    print(&if json { format!("{}\n", json!({"schema": "adit/rescue/1", "processes": rows})) } else { text })?;
    Ok(code)
}

/// `adit host`: serves clients, returns the exit code.
pub fn host_main(h: &HostArgs, common: &Common) -> Result<u8, Failure> {
    let profile = common.profile;
    let fail = |e: std::io::Error| Failure::new(FailureKind::Host, format!("the host: {e}"));
    if let Some(name) = &h.relay {
        listen::relay(name, profile.word()).map_err(fail)?;
        return Ok(exit::DONE);
    }
    let bad = |m: String| Failure::new(FailureKind::BadRequest, m);
    let limits = Limits::named(profile.word()).unwrap_or(Limits::PROD);
    let mut terms = Terms::of(limits.watched(h.at_most.unwrap_or_default()), secrets::redaction()?);
    terms.redact = common.redact.said();
    terms.adit = Some(host::OURSELVES.into());
    terms.scopes = Scopes::parse(&h.scopes).map_err(bad)?;
    terms.audit = h.audit.as_deref().map(|p| Audit::open(p, h.audit_policy == Policy::Closed)).transpose()?;
    terms.target =
        h.pid.map(|pid| TargetSpec::Attach { pid, exe: None, control: terms.scopes.has(Scope::ControlStop) });
    if let Some(at) = &h.listen {
        let rules = credentials::rules(&h.admit, h.pid)?;
        let cannot = |e: std::io::Error| {
            Failure::new(FailureKind::Host, format!("cannot listen at {at}: {e}"))
                .fix("name a socket in a folder that is there; one that answers is in use")
        };
        let place = match at.split_once(':') {
            Some(("unix", path)) if !path.is_empty() => At::Unix(std::path::Path::new(path)),
            Some(("tls", to)) if to.contains(':') => At::Tls(Box::new(credentials::listening(to, &h.admit)?)),
            _ => {
                return Err(
                    bad(format!("{at}: not an address to listen at")).fix("--listen unix:PATH, --listen tls:HOST:PORT")
                );
            }
        };
        listen::serve(place, terms, rules).map_err(cannot)?;
        return Ok(exit::DONE);
    }
    if !h.stdio {
        return Err(bad("say how to reach the client".into()).fix("adit host --stdio, or --listen unix:PATH PID"));
    }
    host::main(terms).map_err(|e| Failure::new(FailureKind::Internal, e.to_string()))?;
    Ok(exit::DONE)
}

/// `adit audit verify`: checks a log, returns the exit code.
pub fn audit_verify(path: &std::path::Path, json: bool) -> Result<u8, Failure> {
    let file = std::fs::File::open(path)
        .map_err(|e| Failure::new(FailureKind::BadRequest, format!("cannot read {}: {e}", path.display())))?;
    let found = audit::verify(std::io::BufReader::new(file));
    let text = match (&found, json) {
        (Ok(c), true) => json!({"schema": "adit/audit/1", "ok": true, "lines": c.lines, "last": c.last}).to_string(),
        (Err(why), true) => json!({"schema": "adit/audit/1", "ok": false, "why": why}).to_string(),
        (Ok(c), false) => format!("{} lines, unbroken; the last has {}", c.lines, c.last),
        (Err(why), false) => why.clone(),
    };
    print(&format!("{text}\n"))?;
    Ok(if found.is_ok() { exit::DONE } else { exit::FINDINGS })
}

/// `adit guard`: waits beside a host for its death, returns the exit code.
pub fn guard_main(journal: &std::path::Path, hook: &str) -> Result<u8, Failure> {
    crate::engine::guardian::main(journal, hook).map_err(|e| Failure::new(FailureKind::Internal, e.to_string()))?;
    Ok(exit::DONE)
}

fn print(text: &str) -> Result<(), Failure> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|e| Failure::new(FailureKind::Cancelled, format!("the output was closed: {e}")))
}

/// What can be read of a process, for the doctor.
pub(super) fn load(pid: i32) -> Result<Loaded, Failure> {
    Loaded::open(pid, None).map_err(|e| from_open(&e))
}
