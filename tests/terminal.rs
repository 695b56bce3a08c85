//! The real event loop on a real (pseudo) terminal, against the scripted host: what is sent, what is restored.

mod common;
mod shop;

use adit::backend::replay::scripted;
use adit::tui::{Options, Outcome};
use common::seen::Seen;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use shop::Shop;
use std::{
    io::Write,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Not a test: the program that the tests run in a terminal.
#[test]
fn child() {
    if std::env::var_os("ADIT_TEST_CHILD").is_none() {
        return;
    }
    let mut shop = Shop::new(std::env::var("ADIT_TEST_CHILD").is_ok_and(|v| v != "observe"));
    let client = scripted(Box::new(move |r| shop.answer(r)));
    let spec = adit::backend::protocol::TargetSpec::Launch(Default::default());
    let end = adit::tui::run(client, Options { target: Some(spec), ascii: true, ..Options::default() });
    let code = match end {
        Ok(Outcome::Left) => 40,
        Ok(Outcome::Signal(n)) => 50 + n,
        _ => 60,
    };
    println!("after the screen");
    std::process::exit(code);
}

struct Tty {
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    seen: Arc<Mutex<Seen>>,
}

impl Tty {
    fn new(cols: u16, rows: u16) -> Tty {
        Tty::with(cols, rows, "control")
    }
    fn with(cols: u16, rows: u16, mode: &str) -> Tty {
        let pty = native_pty_system().openpty(PtySize { cols, rows, pixel_width: 0, pixel_height: 0 }).expect("a pty");
        let mut c = CommandBuilder::new(std::env::current_exe().expect("ourselves"));
        c.args(["--exact", "child", "--nocapture", "--quiet"]);
        c.env("ADIT_TEST_CHILD", mode);
        c.env("TERM", "xterm-256color");
        c.env_remove("NO_COLOR");
        let child = pty.slave.spawn_command(c).expect("spawned");
        let out = pty.master.try_clone_reader().expect("a reader");
        let seen = Seen::by(out, if cols == 0 { 80 } else { cols }, if rows == 0 { 24 } else { rows });
        let keys = pty.master.take_writer().expect("a writer");
        Tty { child, master: pty.master, keys, seen }
    }
    fn text(&self) -> String {
        self.seen.lock().expect("not poisoned").text()
    }
    fn bytes(&self) -> usize {
        self.seen.lock().expect("not poisoned").raw.len()
    }
    fn raw(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().expect("not poisoned").raw).into_owned()
    }
    fn until(&self, what: &str, hit: impl Fn(&Tty) -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !hit(self) {
            assert!(Instant::now() < end, "{what} never came; the screen is\n{}", self.text());
            std::thread::yield_now();
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
    fn wait_for(&self, text: &str) {
        self.until(text, |t| t.text().contains(text));
    }
    fn send(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("typed");
        self.keys.flush().expect("typed");
    }
    fn signal(&self, n: nix::sys::signal::Signal) {
        let pid = self.child.process_id().expect("a pid");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), n).expect("signalled");
    }
    fn code(&mut self) -> u32 {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            if let Ok(Some(s)) = self.child.try_wait() {
                return s.exit_code();
            }
            assert!(Instant::now() < end, "it does not end; the screen is\n{}", self.text());
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
    /// Waits until nothing has come for so long; how many bytes there are then.
    fn quiet(&self, long: Duration) -> usize {
        let (mut last, mut since) = (self.bytes(), Instant::now());
        while since.elapsed() < long {
            std::thread::park_timeout(Duration::from_millis(5));
            if self.bytes() != last {
                (last, since) = (self.bytes(), Instant::now());
            }
        }
        last
    }
    fn restored(&self) {
        self.wait_for("after the screen");
        let raw = self.raw();
        for (what, seq) in [("alternate screen", "\x1b[?1049l"), ("cursor", "\x1b[?25h"), ("paste", "\x1b[?2004l")] {
            assert!(raw.contains(seq), "{what} was not restored");
        }
    }
}

#[test]
fn steps_and_leaves_as_it_came() {
    let mut t = Tty::new(80, 24);
    t.wait_for("stopped at breakpoint 2");
    t.send("n");
    t.wait_for("stepped to");
    t.send("q");
    t.wait_for("stay here");
    t.send("\r");
    assert_eq!(t.code(), 40);
    t.restored();
}

#[test]
fn an_idle_screen_sends_nothing_and_a_step_little() {
    let mut t = Tty::new(80, 24);
    t.wait_for("stopped at breakpoint 2");
    t.wait_for("hit 3");
    let before = t.quiet(Duration::from_secs(1));
    // The idle second is over: another two must add nothing.
    t.quiet(Duration::from_secs(2));
    assert_eq!(t.bytes(), before, "an idle screen must not send");
    t.send("n");
    t.wait_for("stepped to");
    let after = t.quiet(Duration::from_millis(300));
    assert!(after - before <= 2_048, "a step sent {} bytes", after - before);
    t.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(t.code(), 50 + 15);
    t.restored();
}

#[test]
fn a_live_screen_sends_nothing_when_nothing_changed() {
    let mut t = Tty::with(120, 40, "observe");
    t.wait_for("channel-leak");
    t.wait_for("never block the request");
    let before = t.quiet(Duration::from_secs(1));
    // Two looks and more.
    t.quiet(Duration::from_secs(5));
    assert_eq!(t.bytes(), before, "a look that says the same must not send");
    t.send("q");
    assert_eq!(t.code(), 40);
    t.restored();
}

#[test]
fn signals_restore_the_terminal() {
    use nix::sys::signal::Signal::*;
    for s in [SIGHUP, SIGINT, SIGTERM, SIGQUIT] {
        let mut t = Tty::new(100, 30);
        t.wait_for("stopped at breakpoint 2");
        t.signal(s);
        assert_eq!(t.code(), 50 + s as u32, "{s}");
        t.restored();
    }
}

#[test]
fn sizes_change_and_may_be_nothing() {
    let mut t = Tty::new(0, 0);
    t.wait_for("stopped at breakpoint 2");
    t.master.resize(PtySize { cols: 120, rows: 40, pixel_width: 0, pixel_height: 0 }).expect("resized");
    t.seen.lock().expect("not poisoned").parser.screen_mut().set_size(40, 120);
    t.wait_for("held since");
    t.master.resize(PtySize { cols: 20, rows: 5, pixel_width: 0, pixel_height: 0 }).expect("resized");
    t.until("the note", |t| t.raw().contains("adit needs"));
    t.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(t.code(), 65);
}

#[test]
fn suspends_and_comes_back() {
    let mut t = Tty::new(80, 24);
    t.wait_for("stopped at breakpoint 2");
    t.send("\x1a");
    t.wait_for("resume it, then suspend");
    t.send("h");
    t.until("the terminal given back", |t| t.raw().contains("\x1b[?1049l"));
    let pid = t.child.process_id().expect("a pid");
    t.until("a stopped process", |_| {
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|s| s.rsplit(") ").next().is_some_and(|r| r.starts_with('T')))
    });
    let before = t.raw().matches("\x1b[?1049h").count();
    t.signal(nix::sys::signal::Signal::SIGCONT);
    t.until("the screen again", |t| t.raw().matches("\x1b[?1049h").count() > before);
    t.wait_for("stopped at breakpoint 2");
    t.send("n");
    t.wait_for("stepped to");
    t.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(t.code(), 65);
    t.restored();
}

#[test]
fn pasted_text_does_nothing_by_itself() {
    let mut t = Tty::new(80, 24);
    t.wait_for("stopped at breakpoint 2");
    t.send("\x1b[200~cnsq\r\x1b[201~");
    t.wait_for("pasted text is taken");
    assert!(!t.text().contains("running"));
    t.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(t.code(), 65);
}
