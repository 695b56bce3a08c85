//! The program that Delve has: what is known of it when it is opened, and starting it again.

use super::breakpoints::open;
use super::client::{Answer, decode};
use super::connect;
use super::driver::{Driver, Event, Run};
use super::reader::failure;
use super::wire;
use super::worker::Job;
use crate::backend::protocol::*;
use crate::base::go_version::GoVersion;
use crate::base::mmap::FileBytes;
use crate::model::*;
use crate::symbols::Symbols;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

impl Driver<'_> {
    /// What the state and the machine say of the program.
    pub(super) fn learn(&mut self, state: &wire::State, go: &str) {
        let pid = (state.pid > 0).then_some(state.pid);
        let release = GoVersion::parse(go.find("go1").map_or("", |at| &go[at..]));
        let here = pid.is_some_and(|pid| runs_here(pid, &state.command_line));
        let file = match (&self.spec.exe, pid) {
            (Some(f), _) => Some(f.clone()),
            (None, Some(pid)) if here => Some(format!("/proc/{pid}/exe").into()),
            _ => None,
        };
        let local = file.and_then(|f| match load(&f) {
            Ok(s) => Some(Arc::new(s)),
            Err(why) => {
                self.target.notes.push(format!("{}: {why}: lines with code are not marked", f.display()));
                None
            }
        });
        let t = &mut self.target;
        t.pid = pid;
        t.go = release.short().trim_end_matches(';').to_string();
        // Paths with blanks are cut short here; it is for the header only.
        t.exe = state.command_line.split(' ').next().unwrap_or("").to_string();
        if t.exe.is_empty() {
            t.exe.clone_from(&self.spec.address);
        }
        match &local {
            Some(s) => {
                t.build = crate::engine::open::build_facts(s);
                t.arch = "amd64".into();
                (t.optimised, t.stripped) = (s.is_optimised(), !s.has_dwarf_section());
                t.pie = s.image().is_pie();
                t.main_package.clone_from(&s.build_info().path);
                t.go = s.go_version().short().to_string();
            }
            None => t.build = BuildFacts { go: t.go.clone(), ..BuildFacts::default() },
        }
        let go = t.go.clone();
        self.job(Job::Know { go, local, same_machine: here });
    }

    /// What becomes of the program when we leave, while it stands and while it runs.
    pub(super) fn leaving(&self) -> (String, String) {
        let (stands, runs) = match (self.multiclient, self.attached) {
            (true, _) if self.found_running => {
                ("Delve stays, and the program runs on", "Delve stays, and the program runs on")
            }
            (true, _) => {
                ("Delve stays, and the program stands, as it was found", "Delve stays, and the program runs on")
            }
            (false, true) => ["Delve lets the program run on, and ends"; 2].into(),
            (false, false) => ["Delve ends, and with it the program that it started"; 2].into(),
        };
        (stands.to_string(), runs.to_string())
    }

    pub(super) fn opened(&mut self, stop: Option<Stop>) {
        let Some(id) = self.opening.take() else { return };
        let reply = Reply::Opened { target: Arc::new(self.target.clone()), caps: self.caps, stop };
        self.outbox.reply(id, Ok(reply));
        self.target.notes.clear();
        if std::mem::take(&mut self.exposed) {
            let text = connect::warning(&self.address);
            self.outbox.notice(Notice::Log { level: LogLevel::Error, text });
        }
    }

    pub(super) fn restart(&mut self, id: u64, rebuild: bool, args: Option<Vec<String>>) {
        let refuse = |what: &str, fix: &str| Failure::new(FailureKind::Unavailable, what).fix(fix);
        if self.attached {
            let f = refuse("Delve attached to this process: it cannot start it again", "start the program by itself");
            return self.outbox.reply(id, Err(f));
        }
        if rebuild {
            // Asked for it, Delve ends the program before it finds out that it cannot build it.
            let f = refuse("Delve does not say whether it can build this program", "dlv connect, then rebuild");
            return self.outbox.reply(id, Err(f));
        }
        match &mut self.run {
            Run::Going(g) => {
                g.restart = Some((id, args));
                g.paused = true;
                self.halt();
            }
            _ => {
                let inbox = self.inbox.clone();
                let ask = json!({"Position": "", "ResetArgs": args.is_some(), "NewArgs": args, "Rerecord": false,
                                 "Rebuild": false, "NewRedirects": ["", "", ""]});
                self.control.send("Restart", ask, move |a| inbox.put(Event::Restarted(id, a)));
            }
        }
    }

    pub(super) fn restarted(&mut self, id: u64, a: Answer) {
        let out: wire::Restarted = match decode("Restart", a) {
            Ok(out) => out,
            Err(e) => return self.outbox.reply(id, Err(failure(e))),
        };
        self.run = Run::Stopped;
        for d in out.discarded {
            let b = d.breakpoint.map_or(0, |b| b.id);
            let text = format!("breakpoint {b} has no place any more: {}", d.reason);
            self.outbox.notice(Notice::Log { level: LogLevel::Warn, text });
            open(&self.book).forget(b);
            self.outbox.notice(Notice::BreakpointGone(crate::base::BreakpointId(b)));
        }
        let inbox = self.inbox.clone();
        self.control.send("State", json!({"NonBlocking": false}), move |a| inbox.put(Event::Fresh(id, a)));
    }
}

/// Is the process with this id here the program that Delve has? Its port may have come through a tunnel.
fn runs_here(pid: i32, command_line: &str) -> bool {
    let Ok(bytes) = std::fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    let words: Vec<String> =
        bytes.split(|b| *b == 0).filter(|w| !w.is_empty()).map(|w| String::from_utf8_lossy(w).into_owned()).collect();
    !command_line.is_empty() && words.join(" ") == command_line.trim()
}

fn load(file: &Path) -> Result<Symbols, String> {
    let bytes = FileBytes::open(file).map_err(|e| e.to_string())?;
    Symbols::load(bytes).map_err(|e| e.to_string())
}
