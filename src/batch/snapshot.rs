//! `adit snapshot`.

use super::{Style, exit, json, unexpected, write_failure};
use crate::backend::client::Client;
use crate::backend::protocol::{Failure, FailureKind, Reply, Request};
use crate::base::text::printable_str;
use crate::model::TargetInfo;
use std::io::Write;
use std::path::PathBuf;

/// Where to write, and how to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The file.
    pub file: PathBuf,
    /// An existing file is replaced.
    pub force: bool,
    /// Text or JSON.
    pub style: Style,
}

/// Writes it; returns the exit code.
pub fn snapshot(client: &mut Client, target: &TargetInfo, args: &Snapshot, out: &mut dyn Write) -> Result<u8, Failure> {
    let file = std::path::absolute(&args.file).unwrap_or_else(|_| args.file.clone());
    // The host never replaces a file: the old one goes only when the new one is whole.
    let replaces = args.force && file.is_file();
    let first = if replaces { beside(&file) } else { file.clone() };
    let (pause_us, bytes, file_bytes) = match client.call(Request::Snapshot { file: Some(first.clone()) })? {
        Reply::Snapshot { pause_us, bytes, file_bytes, .. } => (pause_us, bytes, file_bytes),
        other => return Err(unexpected(&other)),
    };
    if replaces {
        std::fs::rename(&first, &file).map_err(|e| {
            Failure::new(
                FailureKind::Internal,
                format!("cannot replace {}: {e}; it is in {}", file.display(), first.display()),
            )
        })?;
    }
    let name = file.to_string_lossy();
    let mut buf = Vec::new();
    if args.style.json {
        buf.extend_from_slice(b"{\"schema\":\"adit/snapshot/1\",");
        json::target(&mut buf, target);
        buf.extend_from_slice(b",\"file\":");
        json::string(&mut buf, &name);
        for (key, n) in [(",\"file_bytes\":", file_bytes), (",\"bytes\":", bytes), (",\"pause_us\":", pause_us)] {
            buf.extend_from_slice(key.as_bytes());
            json::number(&mut buf, n);
        }
        buf.extend_from_slice(b"}\n");
    } else {
        let mib = |n: u64| n.div_ceil(1 << 20);
        let stood = match bytes {
            0 => String::new(),
            _ => format!(", {} MiB of memory, the process stood for {:.1} ms", mib(bytes), pause_us as f64 / 1e3),
        };
        let _vec = writeln!(buf, "{}: {} MiB{stood}", printable_str(&name, 4_096), mib(file_bytes));
    }
    out.write_all(&buf).and_then(|()| out.flush()).map_err(write_failure)?;
    Ok(exit::DONE)
}

/// A name in the same folder that nobody has.
fn beside(file: &std::path::Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".new{}", std::process::id()));
    file.with_file_name(name)
}
