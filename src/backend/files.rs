//! Which kind of file a target is, by its content: what can be opened, and a clear word on what cannot.

use super::protocol::{Failure, FailureKind};
use crate::dumps::{MAX_DUMP, is_dump};
use crate::profile::load::is_profile;
use crate::target::core::is_core;
use crate::trace::text::TextLog;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes looked at.
const HEAD: u64 = 64 << 10;
const NOTHING: &str = "not recognised";

/// Files that can be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// An ELF core; our snapshots are some, too.
    Core,
    /// An execution trace.
    Trace,
    /// A goroutine dump in text, log lines around it or not.
    Dump,
    /// A profile: pprof's format, its text, folded stacks.
    Profile,
    /// Text with `gctrace` or `schedtrace` lines.
    Lines,
}

/// What a file is. One line when it is nothing that can be opened here.
pub fn recognise(path: &Path) -> Result<FileKind, Failure> {
    let shown = path.display();
    let fail = |e: std::io::Error| {
        let kind = match e.kind() {
            std::io::ErrorKind::PermissionDenied => FailureKind::Permission,
            _ => FailureKind::BadRequest,
        };
        Failure::new(kind, format!("cannot read {shown}: {e}"))
    };
    let file = File::open(path).map_err(fail)?;
    if !file.metadata().map_err(fail)?.is_file() {
        return Err(Failure::new(FailureKind::BadRequest, format!("{shown} is not a regular file")));
    }
    let mut head = Vec::new();
    let mut file = file.take(HEAD);
    file.read_to_end(&mut head).map_err(fail)?;
    let found = of_content(&head);
    // A dump may be at the end of a long log.
    if found.as_ref().is_err_and(|f| f.message.starts_with(NOTHING)) && !head.contains(&0) {
        file.set_limit(MAX_DUMP - HEAD);
        file.read_to_end(&mut head).map_err(fail)?;
        if is_dump(&head) {
            return Ok(FileKind::Dump);
        }
        if TextLog::is_one(&head) {
            return Ok(FileKind::Lines);
        }
    }
    found.map_err(|mut f| {
        f.message = format!("{shown}: {}", f.message);
        f
    })
}

fn of_content(head: &[u8]) -> Result<FileKind, Failure> {
    let starts = |with: &[u8]| head.starts_with(with);
    if is_core(head) {
        return Ok(FileKind::Core);
    }
    if starts(b"\x7fELF") {
        return Err(Failure::new(FailureKind::BadRequest, "a program, not a core of one")
            .fix("adit exec BIN launches it; adit core BIN CORE opens a core"));
    }
    if starts(b"go 1.") && head.get(..16).is_some_and(|h| h.windows(6).any(|w| w == b" trace")) {
        return Ok(FileKind::Trace);
    }
    if starts(&[0x1f, 0x8b]) {
        if is_profile(head) {
            return Ok(FileKind::Profile);
        }
        return Err(Failure::new(FailureKind::BadRequest, "a gzip file, and no profile is in it")
            .fix("a core or a dump has to be unpacked first (gzip -d)"));
    }
    if starts(&[0x28, 0xb5, 0x2f, 0xfd]) || starts(b"\xfd7zXZ") || starts(b"\x04\x22\x4d\x18") {
        return Err(
            Failure::new(FailureKind::BadRequest, "a compressed file").fix("unpack it first (zstd -d, xz -d, lz4 -d)")
        );
    }
    if is_dump(head) {
        return Ok(FileKind::Dump);
    }
    if is_profile(head) {
        return Ok(FileKind::Profile);
    }
    if TextLog::is_one(head) {
        return Ok(FileKind::Lines);
    }
    if head.is_empty() {
        return Err(Failure::new(FailureKind::BadRequest, "an empty file"));
    }
    Err(Failure::new(
        FailureKind::BadRequest,
        format!("{NOTHING}: looked for an ELF core, a snapshot of adit, a goroutine dump, a trace and a profile"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn told_by_content() {
        let mut core = b"\x7fELF\x02\x01\x01".to_vec();
        core.resize(16, 0);
        core.extend([4, 0, 62, 0]);
        assert_eq!(of_content(&core).ok(), Some(FileKind::Core));
        core[16] = 2;
        assert_eq!(of_content(b"go 1.26 trace\x00\x00\x00").ok(), Some(FileKind::Trace));
        for (bytes, says) in [
            (&core[..], "a program, not a core"),
            (&[0x1f, 0x8b, 8], "no profile is in it"),
            (b"", "empty"),
            (b"\x28\xb5\x2f\xfd...", "compressed"),
            (b"<html>", "not recognised"),
        ] {
            let f = of_content(bytes).expect_err(says);
            assert!(f.message.contains(says), "{}", f.message);
        }
    }
}
