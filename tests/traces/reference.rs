//! What Go's own reader says of a trace: `internal/trace` of a toolchain is copied to a module where it can be imported, and asked.

use serde_json::Value;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::common;

/// The release whose reader is asked.
pub const RELEASE: &str = "go1.27.3";

/// Where a toolchain is.
pub fn goroot(toolchain: &str) -> PathBuf {
    let out = common::go().args(["env", "GOROOT"]).env("GOTOOLCHAIN", toolchain).output().expect("go env");
    assert!(out.status.success(), "{toolchain}: {}", String::from_utf8_lossy(&out.stderr));
    PathBuf::from(String::from_utf8_lossy(&out.stdout).trim())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for e in fs::read_dir(from).expect("internal/trace").flatten() {
        let name = e.file_name().to_string_lossy().into_owned();
        if name.ends_with(".go") && !name.ends_with("_test.go") {
            let text = fs::read_to_string(e.path()).expect("source").replace("\"internal/trace", "\"reference/trace");
            fs::write(to.join(name), text).expect("a copy");
        }
    }
}

/// Builds the program.
pub fn program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("trace-reference");
        let src = goroot(RELEASE).join("src/internal/trace");
        for part in ["", "internal/tracev1", "tracev2", "version"] {
            copy(&src.join(part), &dir.join("trace").join(part));
        }
        fs::write(dir.join("go.mod"), "module reference\n\ngo 1.24\n").expect("go.mod");
        fs::write(dir.join("main.go"), include_str!("reference.go").replace("\"TRACE\"", "\"reference/trace\""))
            .expect("main.go");
        let mut c = common::go();
        c.current_dir(&dir)
            .args(["build", "-o", "reference", "."])
            .env("GOTOOLCHAIN", RELEASE)
            .env("GOFLAGS", "-mod=mod");
        let out = c.output().expect("go build");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        dir.join("reference")
    })
}

/// Asks about many files at once.
pub fn ask(files: &[PathBuf]) -> HashMap<PathBuf, Value> {
    let mut all = HashMap::new();
    for some in files.chunks(64) {
        let out = Command::new(program()).args(some).output().expect("the reference runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        for line in String::from_utf8_lossy(&out.stdout).lines() {
            let v: Value = serde_json::from_str(line).expect("JSON");
            all.insert(PathBuf::from(v["File"].as_str().expect("a path")), v);
        }
    }
    all
}
