//! Builds what is to be debugged: without optimisation, from the folder and with the flags of the configuration.

use super::config::{Launch, Mode};
use super::message::{Trouble, id};
use super::session::Session;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::process::Command;

/// A program to launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Built {
    pub exe: PathBuf,
    /// The package's folder, where tests run.
    pub dir: Option<PathBuf>,
}

/// The words of the build, output path included.
fn words(l: &Launch, exe: &Path) -> Vec<String> {
    let mut w: Vec<String> = match l.mode {
        Mode::Test => vec!["test".into(), "-c".into()],
        _ => vec!["build".into()],
    };
    w.extend(["-o".into(), exe.to_string_lossy().into_owned()]);
    // As Delve does it: the user's own gcflags would replace ours, and are meant to.
    w.extend(["-gcflags".into(), "all=-N -l".into()]);
    w.extend(l.build_flags.iter().cloned());
    w.push(l.program.clone());
    w
}

/// A name that no other session uses: in the user's cache, or in the temporary folder.
fn output(l: &Launch, cwd: &Path) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    if !l.output.is_empty() {
        return cwd.join(&l.output);
    }
    let name = format!("__debug_bin{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let tries = [crate::config::cache_dir(), Some(std::env::temp_dir().join("adit"))];
    for dir in tries.into_iter().flatten() {
        let dir = dir.join("build");
        if std::fs::create_dir_all(&dir).is_ok() {
            return dir.join(name);
        }
    }
    cwd.join(name)
}

impl Session {
    fn command(&self, l: &Launch, cwd: &Path) -> Command {
        let mut c = Command::new(&self.go);
        c.current_dir(cwd).envs(l.env.iter().map(|(k, v)| (k, v))).stdin(Stdio::null()).kill_on_drop(true);
        for name in &l.unset {
            c.env_remove(name);
        }
        c
    }

    /// Builds; complaints go to the editor's console. An editor that leaves ends the build.
    pub async fn build(&mut self, l: &Launch, cwd: &Path) -> Result<Built, Trouble> {
        let exe = output(l, cwd);
        let what = if l.mode == Mode::Test { "tests of " } else { "" };
        self.out.event("output", json!({"category": "stdout", "output": format!("Building {what}{}\n", l.program)}));
        let words = words(l, &exe);
        let mut c = self.command(l, cwd);
        c.args(&words);
        let shown = format!("{} {}", self.go.display(), words.join(" "));
        let out = match self.finish_command(c).await? {
            Ok(o) => o,
            Err(e) => {
                return Err(self.build_failed(&shown, &format!("{e}; install Go, or name it with --go"), ""));
            }
        };
        if !out.status.success() {
            let text = [String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr)].concat();
            let _nothing_was_built = std::fs::remove_file(&exe);
            return Err(self.build_failed(&shown, &out.status.to_string(), &text));
        }
        if !exe.exists() {
            return Err(self.build_failed(&shown, "no test files", ""));
        }
        let dir = if l.mode == Mode::Test { self.package_dir(l, cwd).await? } else { None };
        Ok(Built { exe, dir })
    }

    fn build_failed(&mut self, command: &str, why: &str, said: &str) -> Trouble {
        let text = format!("Build Error: {command}\n{} ({why})\n", said.trim());
        self.out.event("output", json!({"category": "stderr", "output": text}));
        Trouble::new(id::LAUNCH, "Failed to launch", "Build error: Check the debug console for details.")
    }

    /// Where tests of the package run, as `go test` does it.
    async fn package_dir(&mut self, l: &Launch, cwd: &Path) -> Result<Option<PathBuf>, Trouble> {
        let mut c = self.command(l, cwd);
        c.args(["list", "-f", "{{.Dir}}", "--", &l.program]);
        let found = self.finish_command(c).await?.ok().filter(|o| o.status.success());
        let dir = found.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_string());
        Ok(dir.filter(|d| !d.is_empty() && !d.contains('\n')).map(PathBuf::from))
    }

    /// Waits for a command, and hears an editor that leaves.
    async fn finish_command(&mut self, mut c: Command) -> Result<std::io::Result<std::process::Output>, Trouble> {
        let child = c.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = match child {
            Ok(c) => Box::pin(c.wait_with_output()),
            Err(e) => return Ok(Err(e)),
        };
        loop {
            tokio::select! {
                done = &mut child => return Ok(done),
                i = self.inbox.recv() => {
                    if self.interrupts(i.unwrap_or(super::message::Incoming::End(None)), false) {
                        // Dropping it kills the command.
                        return Err(Trouble::new(id::LAUNCH, "Failed to launch", "the editor ended the session"));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn the_go_command() {
        let l = Launch {
            program: "./cmd/x".into(),
            build_flags: vec!["-tags=a".into()],
            output: "out".into(),
            ..Launch::default()
        };
        let exe = output(&l, Path::new("/w"));
        assert_eq!(exe, Path::new("/w/out"));
        assert_eq!(words(&l, &exe).join(" "), "build -o /w/out -gcflags all=-N -l -tags=a ./cmd/x");
        let t = Launch { mode: Mode::Test, ..l };
        assert!(words(&t, &exe).join(" ").starts_with("test -c -o /w/out"));
        let (a, b) = (Launch::default(), Launch::default());
        assert_ne!(output(&a, Path::new("/w")), output(&b, Path::new("/w")));
    }
}
