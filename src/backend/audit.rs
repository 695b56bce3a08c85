//! The record of what was done to a target: one line of JSON an action, each with a hash over itself and the one before, so that a line
//! that was changed, taken out or put in later shows. No values of the target are in it.

use super::protocol::{Failure, FailureKind, Request, TargetSpec};
use super::scopes::needs;
use crate::base::redact::{Hide, Patterns, Redaction};
use crate::base::text::{hex, printable_str, random_hex};
use crate::model::BreakpointPlace;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// What the first line's predecessor is taken to be.
const BEGIN: &str = "0";
/// Longest line that is read back, bytes.
const LONGEST: usize = 64 << 10;

/// A log that is being written.
pub struct Audit {
    file: File,
    session: String,
    actor: Value,
    last: String,
    number: u64,
    redaction: Redaction,
    /// Nothing is done that cannot be recorded.
    pub closed: bool,
}

fn hash(previous: &str, line: &str) -> String {
    let digest = Sha256::new().chain_update(previous).chain_update("\n").chain_update(line).finalize();
    hex(&digest)
}

impl Audit {
    /// Appends to a file, whose lines so far must be whole.
    ///
    /// # Errors
    /// It cannot be written, or its chain is broken already.
    pub fn open(path: &Path, closed: bool) -> Result<Audit, Failure> {
        let fail = |e: io::Error| {
            Failure::new(FailureKind::Permission, format!("cannot write the audit log {}: {e}", path.display()))
        };
        let mut file = File::options().create(true).append(true).read(true).open(path).map_err(fail)?;
        let so_far = verify(BufReader::new(&mut file)).map_err(|e| {
            Failure::new(FailureKind::BadRequest, format!("{}: {e}", path.display()))
                .fix("keep it as evidence, and begin another file")
        })?;
        file.seek(SeekFrom::End(0)).map_err(fail)?;
        let session = random_hex::<8>().map_err(|e| fail(io::Error::other(e.to_string())))?;
        let var = |k: &str| std::env::var(k).ok().map(|v| printable_str(&v, 100));
        let mut actor = Map::new();
        actor.insert("uid".into(), json!(nix::unistd::getuid().as_raw()));
        for (key, name) in
            [("sudo", "SUDO_USER"), ("ssh", "SSH_CONNECTION"), ("named", "ADIT_ACTOR"), ("ticket", "ADIT_TICKET")]
        {
            if let Some(v) = var(name) {
                actor.insert(key.into(), json!(v));
            }
        }
        let redaction = Redaction::new(Patterns::default()).map_err(|e| fail(io::Error::other(e.to_string())))?;
        redaction.set(true);
        Ok(Audit {
            redaction,
            file,
            session,
            actor: Value::Object(actor),
            last: so_far.last,
            number: so_far.lines,
            closed,
        })
    }

    /// Records an action: what it was, and what came of it.
    ///
    /// # Errors
    /// It could not be written.
    pub fn record(&mut self, action: &str, facts: Value) -> io::Result<()> {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        let mut line = json!({"n": self.number + 1, "time_ms": time, "session": self.session, "actor": self.actor, "action": action});
        if let (Value::Object(l), Value::Object(f)) = (&mut line, facts) {
            l.extend(f);
        }
        let text = line.to_string();
        let hash = hash(&self.last, &text);
        // One write, so that a line is whole or not there.
        self.file.write_all(format!("{hash} {text}\n").as_bytes())?;
        self.file.sync_data()?;
        (self.last, self.number) = (hash, self.number + 1);
        Ok(())
    }
}

/// What a chain comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Whole lines.
    pub lines: u64,
    /// Hash of the last.
    pub last: String,
}

/// Checks a log from its first line to its last.
///
/// # Errors
/// Where it is broken, and how.
pub fn verify(mut from: impl BufRead) -> Result<Chain, String> {
    let mut c = Chain { lines: 0, last: BEGIN.into() };
    loop {
        let at = c.lines + 1;
        let mut line = Vec::new();
        let mut limited = io::Read::take(&mut from, LONGEST as u64 + 1);
        let n = limited.read_until(b'\n', &mut line).map_err(|e| format!("line {at} cannot be read: {e}"))?;
        if n == 0 {
            return Ok(c);
        }
        if line.pop() != Some(b'\n') {
            return Err(format!("line {at} is cut off, or too long"));
        }
        let text = std::str::from_utf8(&line).map_err(|_| format!("line {at} is no text"))?;
        let (said, body) = text.split_once(' ').ok_or_else(|| format!("line {at} has no hash"))?;
        let v: Value = serde_json::from_str(body).map_err(|_| format!("line {at} is no JSON"))?;
        if said != hash(&c.last, body) {
            return Err(format!(
                "the chain is broken at line {at}: it, or the one before, was changed, taken out or put in"
            ));
        }
        if v["n"].as_u64() != Some(at) {
            return Err(format!("line {at} says that it is number {}", v["n"]));
        }
        (c.lines, c.last) = (at, said.to_string());
    }
}

impl Audit {
    /// A request as an action on record: its name and what it is about, no values; none for what only looks.
    pub fn action(&self, r: &Request) -> Option<(&'static str, Value)> {
        action(r, &|s| printable_str(&self.without_secrets(s), 200))
    }

    /// An expression, without what a user says of a secret: texts beside a name that tells of one, and what has a shape.
    fn without_secrets(&self, expression: &str) -> String {
        let x = &self.redaction;
        let mut out = x.shown(expression).into_owned();
        let words = out.split(|c: char| !c.is_alphanumeric() && c != '_');
        if words.into_iter().any(|w| x.name(w) > Hide::No) {
            let mut parts: Vec<String> = out.split('"').map(String::from).collect();
            // Every second part is between quotes. A key that tells of a secret is none.
            for p in parts.iter_mut().skip(1).step_by(2).filter(|p| x.name(p) == Hide::No) {
                *p = x.mark_text(p);
            }
            out = parts.join("\"");
        }
        out
    }
}

fn action(r: &Request, shown: &dyn Fn(&str) -> String) -> Option<(&'static str, Value)> {
    let text = |s: &str| json!(shown(s));
    Some(match r {
        // Arguments and environment of what is launched are not for the record.
        Request::Open(TargetSpec::Launch(l)) => ("open", json!({"what": text(&format!("launch {}", l.exe.display()))})),
        Request::Open(t) => ("open", json!({"what": text(&format!("{t:?}"))})),
        Request::SetBreakpoint { spec, .. } => {
            let place = match &spec.place {
                BreakpointPlace::Watch { expression, .. } => format!("watch {expression}"),
                other => other.text().to_string(),
            };
            (
                "breakpoint",
                json!({"place": text(&place), "condition": text(&spec.condition), "stops": !spec.actions.run_on}),
            )
        }
        Request::EditBreakpoint { id, .. } => ("edit-breakpoint", json!({"id": id.0})),
        Request::ClearBreakpoint(id) => ("clear-breakpoint", json!({"id": id.0})),
        Request::Resume { kind, .. } => ("resume", json!({"how": printable_str(&format!("{kind:?}"), 100)})),
        Request::Pause => ("pause", json!({})),
        Request::Hold { on, reason } => ("hold", json!({"on": on, "reason": text(reason)})),
        Request::Snapshot { file } => ("snapshot", json!({"file": file.as_ref().map(|f| f.display().to_string())})),
        Request::Set { expression, .. } => ("set", json!({"expression": text(expression)})),
        Request::SetMemory { addr, bytes } => ("set-memory", json!({"addr": addr.to_string(), "bytes": bytes.len()})),
        Request::SetRegister { name, .. } => ("set-register", json!({"register": text(name)})),
        Request::Jump { to, .. } => ("jump", json!({"to": text(to)})),
        Request::Call { expression, .. } => ("call", json!({"expression": text(expression)})),
        Request::Eval { expression, .. } => ("eval", json!({"expression": text(expression)})),
        Request::Memory { addr, len } => ("memory", json!({"addr": addr.to_string(), "bytes": len})),
        Request::Record { seconds } => ("trace", json!({"seconds": seconds})),
        Request::ProfileFetch { url } => ("profile", json!({"from": text(url)})),
        Request::SetTrigger(t) => ("trigger", json!({"condition": text(&t.condition)})),
        Request::Restart { rebuild, .. } => ("restart", json!({"rebuild": rebuild})),
        // What it grants is said by who checked it.
        Request::Token { .. } => ("token", json!({})),
        Request::TakeOver => ("take-over", json!({})),
        // By the hub, when somebody comes who may see none.
        Request::Reveal { reason } if reason.is_empty() => return None,
        Request::Reveal { reason } => ("reveal", json!({"reason": text(reason)})),
        Request::Input(bytes) => ("input", json!({"bytes": bytes.len()})),
        Request::Detach { kill } => ("detach", json!({"kill": kill})),
        _ => return None,
    })
}

/// Names of the scopes that a request needs, for the record.
pub fn scopes_of(r: &Request) -> String {
    needs(r).iter().map(|s| s.name()).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(dir: &Path, n: u64) -> std::path::PathBuf {
        let path = dir.join("audit");
        let mut a = Audit::open(&path, true).expect("a log");
        (0..n).for_each(|i| a.record("pause", json!({"i": i})).expect("recorded"));
        path
    }

    #[test]
    fn every_change_shows() {
        let dir = tempfile::tempdir().expect("a folder");
        log(dir.path(), 3);
        let path = log(dir.path(), 2);
        let text = std::fs::read_to_string(&path).expect("text");
        let ok = |t: &str| verify(t.as_bytes()).map(|c| c.lines);
        assert_eq!(ok(&text), Ok(5));
        let lines: Vec<&str> = text.lines().collect();
        let without = |i: usize| {
            let l: Vec<&str> = lines.iter().enumerate().filter(|(k, _)| *k != i).map(|l| *l.1).collect();
            l.join("\n") + "\n"
        };
        for i in 0..4 {
            assert!(ok(&without(i)).is_err(), "line {i} taken out");
        }
        for i in 0..text.len() {
            let mut b = text.clone().into_bytes();
            b[i] ^= 1;
            assert!(verify(&b[..]).is_err(), "byte {i} changed");
            assert!(i == 0 || text.as_bytes()[i - 1] == b'\n' || verify(&text.as_bytes()[..i]).is_err(), "cut at {i}");
        }
        let mut swapped = lines.clone();
        swapped.swap(1, 2);
        assert!(ok(&(swapped.join("\n") + "\n")).is_err());
        // Nothing is added to what is broken.
        std::fs::write(&path, without(1)).expect("written");
        assert!(Audit::open(&path, true).is_err_and(|f| f.message.contains("chain is broken")));
    }
}
