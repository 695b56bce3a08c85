//! Builds the Go programs of `tests/programs` at test time, once per toolchain and set of flags.
#![allow(dead_code, clippy::expect_used)]

pub mod live;

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The go command: `ADIT_GO` (set by the Makefile, which may have had to install one), else the one on PATH.
pub fn go() -> Command {
    Command::new(std::env::var("ADIT_GO").unwrap_or_else(|_| "go".into()))
}

/// Directory of a test program.
pub fn program_dir(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(name)
}

/// Builds program `name` with a toolchain (`""` for the machine's own) and `go build` flags.
pub fn build(name: &str, toolchain: &str, flags: &[&str]) -> PathBuf {
    let dir = program_dir(name);
    let mut h = DefaultHasher::new();
    (name, toolchain, flags).hash(&mut h);
    for e in std::fs::read_dir(&dir).expect("a test program").flatten() {
        std::fs::read(e.path()).unwrap_or_default().hash(&mut h);
    }
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{:016x}", h.finish()));
    if out.exists() {
        return out;
    }
    let tmp = out.with_extension(format!("tmp{}", std::process::id()));
    let mut c = go();
    c.current_dir(&dir).arg("build").args(flags).arg("-o").arg(&tmp).env("GOFLAGS", "").env("GOWORK", "off");
    if !toolchain.is_empty() {
        c.env("GOTOOLCHAIN", toolchain);
    }
    let r = c.output().expect("the go command");
    assert!(r.status.success(), "go build {name} {toolchain} {flags:?}: {}", String::from_utf8_lossy(&r.stderr));
    std::fs::rename(&tmp, &out).expect("rename");
    out
}

/// Unoptimised flags.
pub const DEBUG: &[&str] = &["-gcflags=all=-N -l"];
/// Toolchains of the version matrix; others than the machine's own are fetched through the module proxy.
pub const MATRIX: &[&str] = &["go1.21.13", "go1.22.10", "go1.23.9", "go1.24.11", "go1.25.5", "go1.26.8", "go1.27.3"];
