//! TARGET: what a word on the command line names, by its form and, for a file, its content; and opening it for a one-shot.

use super::args::{Common, Profile};
use super::{k8s, remote, wire};
use crate::backend::client::Client;
use crate::backend::delve::connect::Address;
use crate::backend::fetch;
use crate::backend::files::recognise;
use crate::backend::protocol::{DelveSpec, Failure, FailureKind, Reply, Request, TargetSpec};
use crate::base::text::printable_str;
use crate::batch;
use crate::model::{TargetInfo, TargetKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What TARGET names. `exe` is the executable to take symbols from.
pub fn spec_of(target: &str, exe: Option<PathBuf>) -> Result<TargetSpec, Failure> {
    if let Ok(pid) = target.parse::<i32>()
        && pid > 0
    {
        return Ok(TargetSpec::Attach { pid, exe, control: false });
    }
    if fetch::is_url(target) {
        return Ok(TargetSpec::Profile { sources: vec![target.to_string()], base: Vec::new() });
    }
    if is_address(target) {
        return Ok(TargetSpec::Delve(remote(target, exe)?));
    }
    if let Some(what) = elsewhere(target) {
        let f = Failure::new(FailureKind::Unavailable, format!("{target}: {what}: not in this version"));
        return Err(f.fix("run adit where the program runs, or bring a core, a snapshot or a goroutine dump here"));
    }
    if Path::new(target).exists() {
        return file(Path::new(target), exe);
    }
    Err(Failure::new(
        FailureKind::BadRequest,
        format!("{target} is neither a process id nor a command, and there is no such file"),
    )
    .fix(
        "adit PID looks at a process, adit FILE at a core, snapshot, goroutine dump or profile; adit --help lists the commands",
    ))
}

/// A file as a target, made sure that it can be opened.
pub fn file(path: &Path, exe: Option<PathBuf>) -> Result<TargetSpec, Failure> {
    recognise(path)?;
    // The host may have another working directory one day.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    Ok(TargetSpec::File { path, exe })
}

/// Targets on other machines, by their form.
fn elsewhere(target: &str) -> Option<&'static str> {
    if Path::new(target).exists() {
        return None;
    }
    match target.split_once("://") {
        Some(("ssh", _)) => return Some("a process on another machine"),
        Some(("k8s", _)) => return Some("a process in a pod"),
        _ => {}
    }
    None
}

/// The form of a server's address, and no such file.
fn is_address(target: &str) -> bool {
    let of_port = |t: &str| t.rsplit_once(':').is_some_and(|(h, p)| !h.contains('/') && p.parse::<u16>().is_ok());
    !Path::new(target).exists() && (target.starts_with("unix:") || of_port(target))
}

/// A remote Delve; its address is made sure to be one.
pub fn remote(address: &str, exe: Option<PathBuf>) -> Result<DelveSpec, Failure> {
    Address::parse(address)?;
    // The host may have another working directory one day.
    let exe = exe.map(|e| std::path::absolute(&e).unwrap_or(e));
    Ok(DelveSpec { address: address.to_string(), exe, rules: Vec::new() })
}

/// Opens TARGET for a one-shot. With `consistent`, a process is copied in a short stop and everything is answered from the copy.
///
/// A `dlv` is connected to only if `--multiclient` was said: without its --accept-multiclient it ends a program that it launched as soon as its one
/// client leaves, which cannot be known before.
pub fn open(
    common: &Common,
    target: &str,
    exe: Option<PathBuf>,
    consistent: bool,
) -> Result<(Client, Arc<TargetInfo>), Failure> {
    let place = remote::parse(target, false)?;
    if place.is_some() || k8s::is_address(target) {
        super::not_ours_to_hide(common)?;
    }
    let there = match place {
        Some((place, spec)) => Some((remote::connect(&place, common)?, spec)),
        None => k8s::one_shot(common, target, Profile::Prod.word()).transpose()?,
    };
    let (mut client, spec) = match there {
        Some(there) => there,
        None => {
            let spec = spec_of(target, exe)?;
            if matches!(spec, TargetSpec::Delve(_)) && !common.multiclient {
                let text =
                    "a dlv that was not started with --accept-multiclient ends its program when a one-shot leaves it";
                return Err(Failure::new(FailureKind::BadRequest, text)
                    .fix("say --multiclient if it was; adit connect ADDR asks before it leaves"));
            }
            (wire::read_in_process(common)?, spec)
        }
    };
    let info = batch::open(&mut client, spec)?;
    // What a file lacks is worth a word beside every answer from it.
    if info.kind != TargetKind::Process {
        for n in &info.notes {
            eprintln!("adit: {}", printable_str(n, 500));
        }
    }
    if consistent && info.kind == TargetKind::Process {
        match client.call(Request::Snapshot { file: None })? {
            Reply::Snapshot { .. } => {}
            _ => return Err(Failure::new(FailureKind::Host, "the host did not answer with a copy")),
        }
    }
    Ok((client, info))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for a in ["localhost:4040", "unix:/tmp/x", ":4040"] {
            assert!(matches!(spec_of(a, None), Ok(TargetSpec::Delve(d)) if d.address == a), "{a}");
        }
        assert_eq!(spec_of("12", None).ok(), Some(TargetSpec::Attach { pid: 12, exe: None, control: false }));
        for (word, says) in [
            ("0", "no such file"),
            ("-3", "no such file"),
            ("nothing-here", "neither a process id"),
            ("ssh://host/12", "not in this version"),
            ("k8s://pod", "in a pod"),
            ("localhost:99999", "neither a process id"),
            ("unix:", "no path behind"),
            ("/", "not a regular file"),
            ("Cargo.toml", "not recognised"),
        ] {
            let f = spec_of(word, None).expect_err(word);
            assert!(f.message.contains(says) && !f.message.contains('\n'), "{word}: {}", f.message);
        }
        assert!(spec_of("/proc/self/exe", None).is_err_and(|f| f.message.contains("a program, not a core")));
    }
}
