//! Builds Go programs for the debugger: without optimisation, into a folder of our own.

use super::args::Common;
use crate::backend::protocol::{BuildSpec, Failure, FailureKind};
use std::{
    hash::{Hash, Hasher},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A program that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The executable.
    pub exe: PathBuf,
    /// How it was built, to build it again.
    pub spec: BuildSpec,
    /// The package's folder.
    pub dir: PathBuf,
}

/// The go command: `--go`, or the one on the path.
pub fn go(common: &Common) -> PathBuf {
    common.go.clone().unwrap_or_else(|| PathBuf::from("go"))
}

/// A folder for what is built: the cache, or a temporary one.
pub fn folder() -> Result<PathBuf, Failure> {
    let tries = [crate::config::cache_dir(), Some(std::env::temp_dir().join("adit"))];
    for dir in tries.into_iter().flatten() {
        let dir = dir.join("build");
        if std::fs::create_dir_all(&dir).is_ok() {
            return Ok(dir);
        }
    }
    Err(Failure::new(FailureKind::Build, "no folder to build in")
        .fix("set XDG_CACHE_HOME or TMPDIR to one that can be written"))
}

fn build_failure(what: &str, text: &str) -> Failure {
    Failure::new(FailureKind::Build, format!("{what}\n{}", text.trim_end()))
}

fn no_go(go: &Path, e: &std::io::Error) -> Failure {
    Failure::new(FailureKind::Build, format!("{}: {e}", go.display())).fix("install Go, or name it with --go PATH")
}

/// `go list` of one field.
fn list(go: &Path, cwd: &Path, format: &str, package: &str) -> Result<String, Failure> {
    let out = Command::new(go)
        .args(["list", "-f", format, "--", package])
        .current_dir(cwd)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| no_go(go, &e))?;
    if !out.status.success() {
        let text = String::from_utf8_lossy(&out.stderr);
        return Err(build_failure(&format!("go list {package} failed"), &text));
    }
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_string())
}

/// Builds a package, or its tests.
pub fn build(common: &Common, package: &str, tests: bool) -> Result<Built, Failure> {
    let cwd = std::env::current_dir().map_err(|e| Failure::new(FailureKind::Build, format!("current folder: {e}")))?;
    build_in(common, &cwd, package, &[], tests)
}

/// As [`build`], from a folder and with flags of the user's own.
pub fn build_in(common: &Common, cwd: &Path, package: &str, flags: &[String], tests: bool) -> Result<Built, Failure> {
    let go = go(common);
    let cwd = cwd.to_path_buf();
    let is_file = package.ends_with(".go");
    let dir = if is_file {
        cwd.join(package).parent().map_or(cwd.clone(), Path::to_path_buf)
    } else {
        let found = list(&go, &cwd, "{{.Name}}\t{{.Dir}}", package)?;
        let (name, dir) = found.split_once('\t').unwrap_or(("", ""));
        if !tests && name != "main" {
            return Err(Failure::new(FailureKind::Build, format!("{package} is package {name}, not a program"))
                .fix("name a main package, or debug its tests with adit test"));
        }
        PathBuf::from(dir)
    };
    let name = dir.file_name().map_or("program".into(), |n| n.to_string_lossy().into_owned());
    let mut h = rustc_hash::FxHasher::default();
    (&dir, tests, is_file.then_some(package)).hash(&mut h);
    let exe =
        folder()?.join(format!("{:08x}", h.finish() as u32)).join(if tests { format!("{name}.test") } else { name });
    if let Some(parent) = exe.parent() {
        std::fs::create_dir_all(parent)
            .map_err(|e| Failure::new(FailureKind::Build, format!("{}: {e}", parent.display())))?;
    }
    let mut args: Vec<String> = if tests { vec!["test".into(), "-c".into()] } else { vec!["build".into()] };
    args.extend(["-gcflags=all=-N -l".into(), "-o".into(), exe.to_string_lossy().into_owned()]);
    args.extend(flags.iter().cloned());
    args.push(package.to_string());
    let spec = BuildSpec { go, args, cwd };
    run(&spec)?;
    if !exe.exists() {
        return Err(Failure::new(FailureKind::Build, format!("{package} has no test files")));
    }
    Ok(Built { exe, spec, dir })
}

/// Runs a build; what the compiler says is in the failure.
pub fn run(spec: &BuildSpec) -> Result<(), Failure> {
    let out = Command::new(&spec.go)
        .args(&spec.args)
        .current_dir(&spec.cwd)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| no_go(&spec.go, &e))?;
    if out.status.success() {
        return Ok(());
    }
    let text = [String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr)].concat();
    Err(build_failure("the build failed", &text))
}

/// `-run X` as the test binary takes it: `-test.run X`.
pub fn test_flags(args: &[String]) -> Vec<String> {
    const KNOWN: &[&str] = &[
        "run",
        "v",
        "count",
        "timeout",
        "bench",
        "benchmem",
        "benchtime",
        "short",
        "parallel",
        "cpu",
        "failfast",
        "fuzz",
        "list",
        "skip",
        "shuffle",
    ];
    args.iter()
        .map(|a| {
            let bare = a.trim_start_matches('-');
            let name = bare.split('=').next().unwrap_or(bare);
            if a.starts_with('-') && KNOWN.contains(&name) { format!("-test.{bare}") } else { a.clone() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn test_flags_are_the_binarys() {
        let v = |s: &str| s.split(' ').map(String::from).collect::<Vec<_>>();
        assert_eq!(
            test_flags(&v("-run TestX -v -test.count=1 -my flag")),
            v("-test.run TestX -test.v -test.count=1 -my flag")
        );
    }
}
