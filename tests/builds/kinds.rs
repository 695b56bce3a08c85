//! The ways to build tests/programs/builds, each built once and kept.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What comes of a build, to be opened.
pub enum Target {
    /// To be launched.
    Program(PathBuf),
    /// A program that opens a plugin.
    Plugin { host: PathBuf, plugin: PathBuf },
    /// A C program, which runs, with the library in it.
    Library(Running),
}

/// A program that is ended with its owner.
pub struct Running(Child);

impl Running {
    pub fn pid(&self) -> i32 {
        self.0.id() as i32
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _status = self.0.wait();
    }
}

/// A way to build.
pub struct Kind {
    pub name: &'static str,
    pub flags: &'static [&'static str],
    /// A short run looks at it on the oldest and the newest release, too.
    pub everywhere: bool,
    /// Function at the bottom of the stack that handles orders.
    pub root: &'static str,
}

const fn kind(name: &'static str, flags: &'static [&'static str]) -> Kind {
    Kind { name, flags, everywhere: false, root: "main.main" }
}

/// All of them.
pub const KINDS: &[Kind] = &[
    Kind { everywhere: true, ..kind("optimised", &[]) },
    kind("`-gcflags='all=-N -l'`", &["-gcflags=all=-N -l"]),
    Kind { everywhere: true, ..kind("`-ldflags='-s -w'`", &["-ldflags=-s -w"]) },
    kind("`-buildmode=pie`", &["-buildmode=pie"]),
    Kind { everywhere: true, ..kind("PIE, stripped", &["-buildmode=pie", "-ldflags=-s -w"]) },
    kind("`-trimpath`", &["-trimpath"]),
    kind("vendored", &["-mod=vendor"]),
    kind("cgo", &["-tags=withcgo"]),
    kind("`-race`", &["-race"]),
    Kind { root: "main.RunDepot", ..kind("c-shared", &["-buildmode=c-shared", "-tags=shared"]) },
    Kind { root: "main.main", ..kind("plugin", &["-buildmode=plugin"]) },
];

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/builds")
}

fn depot() -> String {
    std::fs::read_to_string(dir().join("depot/depot.go")).expect("depot.go")
}

/// The vendored package is a copy: lines are the same.
pub fn vendored_copy_is_the_same() {
    let vendored = std::fs::read_to_string(dir().join("vendor/example.com/depot/depot.go")).expect("the vendored copy");
    assert_eq!(vendored, depot(), "run `go mod vendor` in tests/programs/builds");
}

/// The line of depot.go that is marked so.
pub fn line(mark: &str) -> u32 {
    let text = depot();
    let at = text.lines().position(|l| l.contains(&format!("// {mark}")));
    at.unwrap_or_else(|| panic!("no line of depot.go is marked {mark}")) as u32 + 1
}

fn go() -> Command {
    Command::new(std::env::var("ADIT_GO").unwrap_or_else(|_| "go".into()))
}

/// Which of the releases the toolchain at hand is, else the newest that is not newer.
pub fn own_release(releases: &[&str]) -> String {
    let out = go().args(["env", "GOVERSION"]).current_dir("/").output().expect("the go command");
    let text = String::from_utf8_lossy(&out.stdout).trim().trim_start_matches("go").to_string();
    let minor = |v: &str| v.split('.').nth(1).and_then(|m| m.parse::<u32>().ok()).unwrap_or(0);
    let same =
        releases.iter().find(|r| **r == text).or_else(|| releases.iter().rev().find(|r| minor(r) <= minor(&text)));
    same.unwrap_or(&releases[0]).to_string()
}

impl Kind {
    /// Builds it with a release and makes it ready to be opened.
    pub fn build(&self, release: &str) -> Result<Target, String> {
        match self.name {
            "plugin" => Ok(Target::Plugin {
                host: self.go_build(release, &["-tags=plughost"], ".")?,
                plugin: self.go_build(release, self.flags, "./plug")?,
            }),
            "c-shared" => {
                let library = self.go_build(release, self.flags, ".")?;
                let mut child = Command::new(loader()?)
                    .arg(&library)
                    .stdout(Stdio::piped())
                    .stderr(Stdio::null())
                    .spawn()
                    .map_err(|e| e.to_string())?;
                let mut out = BufReader::new(child.stdout.take().expect("its output"));
                let running = Running(child);
                let mut said = String::new();
                out.read_line(&mut said).map_err(|e| e.to_string())?;
                std::mem::forget(out); // the pipe stays open
                if said.trim() == "loaded" {
                    Ok(Target::Library(running))
                } else {
                    Err(format!("the C program said {said}"))
                }
            }
            _ => Ok(Target::Program(self.go_build(release, self.flags, ".")?)),
        }
    }

    fn go_build(&self, release: &str, flags: &[&str], package: &str) -> Result<PathBuf, String> {
        let mut h = DefaultHasher::new();
        (release, flags, package, depot()).hash(&mut h);
        for file in ["main.go", "cgo.go", "shared.go", "plughost.go", "plug/plug.go", "go.mod"] {
            std::fs::read(dir().join(file)).expect("a source file").hash(&mut h);
        }
        let name = self.name.replace(|c: char| !c.is_ascii_alphanumeric(), "");
        let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("builds-{name}-{release}-{:016x}", h.finish()));
        if out.exists() {
            return Ok(out);
        }
        let tmp = out.with_extension(format!("tmp{}", std::process::id()));
        let mut c = go();
        c.current_dir(dir()).arg("build").args(flags).env("GOFLAGS", "").env("GOWORK", "off");
        if !flags.contains(&"-mod=vendor") {
            c.arg("-mod=mod");
        }
        let done = c.arg("-o").arg(&tmp).arg(package).env("GOTOOLCHAIN", format!("go{release}")).output();
        let done = done.map_err(|e| e.to_string())?;
        if !done.status.success() {
            return Err(format!("go build: {}", String::from_utf8_lossy(&done.stderr)));
        }
        std::fs::rename(&tmp, &out).map_err(|e| e.to_string())?;
        Ok(out)
    }
}

/// The C program that loads the library and calls it, again and again.
fn loader() -> Result<PathBuf, String> {
    let source = dir().join("c/loader.c");
    let mut h = DefaultHasher::new();
    std::fs::read(&source).map_err(|e| e.to_string())?.hash(&mut h);
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("builds-loader-{:016x}", h.finish()));
    if !out.exists() {
        let done =
            Command::new("cc").arg("-o").arg(&out).arg(&source).arg("-ldl").output().map_err(|e| e.to_string())?;
        if !done.status.success() {
            return Err(String::from_utf8_lossy(&done.stderr).into_owned());
        }
    }
    Ok(out)
}
