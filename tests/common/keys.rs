//! Users with keys of their own, and hosts at ports that know them.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

const ADIT: &str = env!("CARGO_BIN_EXE_adit");

/// A home of its own.
pub struct Home(tempfile::TempDir);

impl Home {
    pub fn new() -> Home {
        Home(tempfile::tempdir().expect("a folder"))
    }
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    /// Where its configuration is.
    pub fn config(&self) -> PathBuf {
        self.path("config")
    }
    pub fn command(&self, args: &[&str]) -> Command {
        self.command_in(&[], args)
    }
    /// As [`Home::command`], run by another program: `nsenter` and its arguments.
    pub fn command_in(&self, by: &[String], args: &[&str]) -> Command {
        let mut words = by.iter().map(String::as_str).chain([ADIT]).chain(args.iter().copied());
        let mut c = Command::new(words.next().expect("a program"));
        c.args(words).env("XDG_CONFIG_HOME", self.config()).env("HOME", self.0.path());
        c.env_remove("ADIT_TOKEN").stdin(Stdio::null());
        c
    }
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("adit")
    }
    pub fn ok(&self, args: &[&str]) -> String {
        let out = self.run(args);
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).trim().to_string()
    }
    /// What is said of a failure: one line, and its fix.
    pub fn fails(&self, args: &[&str]) -> String {
        let out = self.run(args);
        assert!(!out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stdout));
        String::from_utf8_lossy(&out.stderr).into_owned()
    }
    /// Its key.
    pub fn key(&self) -> String {
        self.ok(&["key"]).split(' ').next().expect("a key").to_string()
    }
    /// A list of those who may come, with itself in it, who may do all.
    pub fn clients(&self) -> PathBuf {
        let list = self.path("clients");
        std::fs::write(&list, format!("{} full me\n", self.key())).expect("written");
        list
    }
    /// Writes a token to a file.
    pub fn token(&self, name: &str, args: &[&str]) -> String {
        let token = self.ok(&[&["token", "new"], args].concat());
        let path = self.path(name);
        std::fs::write(&path, token).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
        path.display().to_string()
    }
}

/// A host at a port, ended (by pid) with the test.
pub struct AtPort {
    pub child: Child,
    /// `address:port`.
    pub at: String,
    /// The key that it shows.
    pub key: String,
}

impl AtPort {
    /// On this machine's loopback.
    pub fn start(home: &Home, pid: i32, flags: &[&str]) -> AtPort {
        AtPort::start_in(home, &[], "127.0.0.1", pid, "dev", flags)
    }
    /// Run by another program, at an address that is there, under a profile.
    pub fn start_in(home: &Home, by: &[String], ip: &str, pid: i32, profile: &str, flags: &[&str]) -> AtPort {
        let at = format!("tls:{ip}:0");
        let mut c = home.command_in(by, &["host", "--listen", &at, &pid.to_string(), "--profile", profile]);
        let mut child = c.args(flags).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("a host");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let at = line.split("tls:").nth(1).unwrap_or_else(|| panic!("{line}"));
        let at = at.split(',').next().expect("an address").to_string();
        let key = line.split("key ").nth(1).and_then(|k| k.split(',').next()).expect("a key").to_string();
        AtPort { child, at, key }
    }
    /// As a target.
    pub fn url(&self) -> String {
        format!("tls://{}", self.at)
    }
}

impl Drop for AtPort {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A path as a word.
pub fn word(p: &Path) -> String {
    p.display().to_string()
}
