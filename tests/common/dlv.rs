//! Delve's terminal client, driven over pipes: the reference for stepping and values.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The `dlv` to compare with: `ADIT_DLV`, else the one on PATH.
pub fn dlv() -> Option<PathBuf> {
    let path = std::env::var_os("ADIT_DLV").map_or_else(|| PathBuf::from("dlv"), PathBuf::from);
    Command::new(&path).arg("version").output().ok().filter(|o| o.status.success()).map(|_| path)
}

/// A session.
pub struct Dlv {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    pub over: bool,
    attached: bool,
}

impl Dlv {
    /// Starts `dlv exec EXE -- ARGS`, stopped before the program's first instruction.
    pub fn exec(dlv: &Path, exe: &Path, args: &[&str]) -> Dlv {
        let mut c = Command::new(dlv);
        c.arg("exec").arg(exe).args([
            "--allow-non-terminal-interactive=true",
            "--check-go-version=false",
            "-r",
            "stdout:/dev/null",
            "-r",
            "stderr:/dev/null",
        ]);
        if !args.is_empty() {
            c.arg("--").args(args);
        }
        let home = exe.parent().expect("a folder");
        let mut child = c
            .env("XDG_CONFIG_HOME", home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dlv starts");
        let (stdin, stdout) = (child.stdin.take().expect("stdin"), child.stdout.take().expect("stdout"));
        let mut d = Dlv { child, stdin, stdout, over: false, attached: false };
        d.read();
        d
    }
    /// Attaches to a process; detaches, leaving it running, when dropped.
    pub fn attach(dlv: &Path, pid: i32) -> Dlv {
        let mut c = Command::new(dlv);
        c.args(["attach", &pid.to_string(), "--allow-non-terminal-interactive=true", "--check-go-version=false"]);
        let mut child =
            c.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("dlv starts");
        let (stdin, stdout) = (child.stdin.take().expect("stdin"), child.stdout.take().expect("stdout"));
        let mut d = Dlv { child, stdin, stdout, over: false, attached: true };
        d.read();
        d
    }
    fn read(&mut self) -> String {
        let mut text = Vec::new();
        let mut buf = [0; 4096];
        while !text.ends_with(b"(dlv) ") {
            match self.stdout.read(&mut buf) {
                Ok(0) | Err(_) => {
                    self.over = true;
                    break;
                }
                Ok(n) => text.extend_from_slice(&buf[..n]),
            }
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        let mut out = String::new();
        let mut rest = text.trim_end_matches("(dlv) ");
        while let Some(i) = rest.find("\u{1b}[") {
            out += &rest[..i];
            rest = &rest[i + 2..];
            rest = rest.find('m').map_or("", |m| &rest[m + 1..]);
        }
        out + rest
    }
    /// Runs one command and gives what it printed.
    pub fn run(&mut self, command: &str) -> String {
        if self.over || self.stdin.write_all(format!("{command}\n").as_bytes()).is_err() {
            return String::new();
        }
        let out = self.read();
        self.over |= out.contains("has exited with status");
        out
    }
    /// `function:line` of the last `> ` line of a stop, none if the program ended.
    pub fn place(out: &str) -> Option<String> {
        let line = out.lines().rev().find(|l| l.starts_with("> "))?;
        let (head, tail) = line[2..].split_once("() ")?;
        let function =
            head.rsplit_once("] ").filter(|(h, _)| h.starts_with('[') && !h.contains("](")).map_or(head, |p| p.1);
        let n = tail.split(' ').next()?.rsplit(':').next()?.to_string();
        let short = adit::model::location::short_function(function).to_string();
        Some(format!("{short}:{n}"))
    }
    /// Names that `args` or `locals` lists, with the short form of their values.
    pub fn names(out: &str) -> Vec<(String, String)> {
        let ok =
            |n: &str| !n.is_empty() && n.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '(' | ')' | '~'));
        let pairs = out.lines().filter_map(|l| l.split_once(" = "));
        pairs.filter(|(n, _)| ok(n)).map(|(n, v)| (n.to_string(), v.to_string())).collect()
    }
}

impl Drop for Dlv {
    fn drop(&mut self) {
        // A launched program is killed by `y`; an attached one is asked about killing too, and `n` is given first.
        let _gone = self.stdin.write_all(if self.attached { b"exit\nn\n" } else { b"exit\ny\n" });
        for _ in 0..200 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}
