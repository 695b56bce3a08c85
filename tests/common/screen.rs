//! The real binary in a pseudo-terminal, with a screen to look at.

use super::seen::Seen;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A terminal with adit in it.
pub struct Screen {
    pub child: Box<dyn Child + Send + Sync>,
    _master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    seen: Arc<Mutex<Seen>>,
    _home: tempfile::TempDir,
}

impl Screen {
    /// Starts `adit ARGS` in a terminal of that size, with a home folder of its own.
    pub fn start(cols: u16, rows: u16, args: &[&str]) -> Screen {
        let mut c = CommandBuilder::new(env!("CARGO_BIN_EXE_adit"));
        c.args(args);
        Screen::run(cols, rows, c)
    }
    /// As [`Screen::start`], with more in its environment.
    pub fn start_with(cols: u16, rows: u16, args: &[&str], env: &[(&str, String)]) -> Screen {
        let mut c = CommandBuilder::new(env!("CARGO_BIN_EXE_adit"));
        c.args(args);
        for (k, v) in env {
            c.env(k, v);
        }
        Screen::run(cols, rows, c)
    }
    /// As [`Screen::start`], run by another program (`nsenter` and its arguments), which becomes it, with the configuration in a folder.
    pub fn start_in(by: &[String], config: &std::path::Path, cols: u16, rows: u16, args: &[&str]) -> Screen {
        let mut words = by.iter().map(String::as_str).chain([env!("CARGO_BIN_EXE_adit")]).chain(args.iter().copied());
        let mut c = CommandBuilder::new(words.next().expect("a program"));
        c.args(words);
        c.env("XDG_CONFIG_HOME", config);
        Screen::run(cols, rows, c)
    }
    /// As [`Screen::start`], in the terminal of a `script` process: killing that one is what closing a window is to adit.
    pub fn start_in_window(cols: u16, rows: u16, args: &[&str]) -> Screen {
        let mut c = CommandBuilder::new("script");
        c.args(["-q", "-c", &format!("exec {} {}", env!("CARGO_BIN_EXE_adit"), args.join(" ")), "/dev/null"]);
        Screen::run(cols, rows, c)
    }
    /// As [`Screen::start_in_window`], but nobody sends it a signal when the window closes: it is no terminal of its session.
    pub fn start_without_signals(cols: u16, rows: u16, args: &[&str]) -> Screen {
        let mut c = CommandBuilder::new("script");
        c.args(["-q", "-c", &format!("exec setsid -w {} {}", env!("CARGO_BIN_EXE_adit"), args.join(" ")), "/dev/null"]);
        Screen::run(cols, rows, c)
    }
    fn run(cols: u16, rows: u16, mut c: CommandBuilder) -> Screen {
        let pty = native_pty_system().openpty(PtySize { cols, rows, pixel_width: 0, pixel_height: 0 }).expect("a pty");
        let home = tempfile::tempdir().expect("a home");
        c.env("TERM", "xterm-256color");
        c.env("HOME", home.path());
        for (k, d) in [("XDG_CONFIG_HOME", "config"), ("XDG_STATE_HOME", "state")] {
            // Not where the test has said another one.
            if c.get_env(k).is_none() || std::env::var_os(k).as_deref() == c.get_env(k) {
                c.env(k, home.path().join(d));
            }
        }
        c.cwd(home.path());
        let child = pty.slave.spawn_command(c).expect("adit starts");
        drop(pty.slave);
        let out = pty.master.try_clone_reader().expect("a reader");
        let seen = Seen::by(out, cols, rows);
        let keys = pty.master.take_writer().expect("a writer");
        Screen { child, _master: pty.master, keys, seen, _home: home }
    }
    /// What is on it.
    pub fn text(&self) -> String {
        self.seen.lock().expect("not poisoned").text()
    }
    /// Bytes received so far.
    pub fn bytes(&self) -> usize {
        self.seen.lock().expect("not poisoned").raw.len()
    }
    /// Waits for a condition on the text.
    pub fn until(&self, what: &str, hit: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let text = self.text();
            if hit(&text) {
                return text;
            }
            assert!(Instant::now() < end, "{what} never came; the screen is\n{text}");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
    /// Waits for a text.
    pub fn wait_for(&self, text: &str) -> String {
        self.until(text, |t| t.contains(text))
    }
    /// Types.
    pub fn send(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("typed");
        self.keys.flush().expect("typed");
    }
    /// A `:` command.
    pub fn command(&mut self, line: &str) {
        self.send(&format!(":{line}\r"));
    }
    /// The process.
    pub fn pid(&self) -> i32 {
        self.child.process_id().expect("a pid") as i32
    }
    /// Waits for the end, and for the last that it wrote: that comes a moment after it.
    pub fn wait_end(&mut self) {
        let end = Instant::now() + Duration::from_secs(20);
        while !matches!(self.child.try_wait(), Ok(Some(_))) {
            assert!(Instant::now() < end, "it does not end; the screen is\n{}", self.text());
            std::thread::park_timeout(Duration::from_millis(5));
        }
        // Somebody else may still have the terminal.
        let end = Instant::now() + Duration::from_secs(2);
        while !self.seen.lock().expect("not poisoned").ended && Instant::now() < end {
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}
