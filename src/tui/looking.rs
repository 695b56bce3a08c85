//! Verbs of Triage, Waits and Data.

use super::app::App;
use super::panes::PaneId;
use super::popups::{Overlay, choice::Choice};
use crate::base::GoroutineId;
use crate::base::clock::human_ns;
use crate::command::Ui;
use crate::session::Tone;
use std::io::Write;
use std::path::PathBuf;

impl App {
    /// The wait graph around a goroutine; none: the one under the cursor, or the selected one.
    pub(super) fn waits_around(&mut self, g: Option<GoroutineId>) {
        let own = self.panes[self.focused() as usize].goroutine(&self.session).map(|p| p.0);
        let g = g.or(own).or_else(|| self.peeked().map(|p| p.0)).or(self.session.goroutine);
        self.session.waits.around = g;
        self.session.waits.scope = Default::default();
        self.go_workspace(5);
        self.try_focus(PaneId::Waits);
        if let Some(g) = g {
            self.panes[PaneId::Waits as usize].seek(&mut self.session, &format!("g{g}"));
        }
    }

    pub(super) fn mute_selected(&mut self) {
        if !self.pane_verb(&Ui::MuteSelected) {
            self.session.say(Tone::Note, "x mutes a finding or a group of goroutines; :mute TEXT mutes any function");
        }
    }

    pub(super) fn refs_selected(&mut self) {
        if self.pane_verb(&Ui::RefsSelected) {
            return;
        }
        let word = self.word();
        match word {
            Some(w) => self.run_line(&format!("refs {w}"), true),
            None => self.push_prompt("refs "),
        }
    }

    /// Asks before the target is stopped.
    pub(super) fn ask_snapshot(&mut self, file: &str) {
        if let Some(why) = self.session.why_no_snapshot() {
            return self.session.say(Tone::Warn, &format!("no snapshot: {why}"));
        }
        let (count, _, last) = self.session.triage.pauses;
        let last = (count > 0).then(|| human_ns(last * 1_000));
        self.snapshot_file = (!file.is_empty()).then(|| PathBuf::from(file));
        self.overlays.push(Overlay::Choice(Choice::snapshot(last, (!file.is_empty()).then(|| file.to_string()))));
    }

    /// Writes the evidence: never over a file that is there already unless it was named.
    /// What trace points recorded: on the screen, or in a file by its ending.
    pub(super) fn show_calls(&mut self, file: &str) {
        let hits = &self.session.hits;
        if hits.sums().is_empty() {
            return self.session.say(Tone::Note, "no calls were recorded: `:trace FUNCTION` records them");
        }
        if file.is_empty() {
            let lines = hits.table();
            self.session.answer =
                Some(crate::session::Answer { title: "Calls recorded by trace points".into(), lines });
            return;
        }
        let text = if file.ends_with(".folded") { hits.folded() } else { hits.csv() };
        match std::fs::write(file, text) {
            Ok(()) => self.session.say(Tone::Note, &format!("calls written to {file}")),
            Err(e) => self.session.say(Tone::Error, &format!("{file}: {e}")),
        }
    }

    pub(super) fn write_evidence(&mut self, file: &str) {
        if self.session.triage.asked.data().is_none() {
            return self.session.say(Tone::Note, "no findings yet: 1 looks for them");
        }
        let text = self.session.evidence();
        let write = || -> std::io::Result<PathBuf> {
            if !file.is_empty() {
                std::fs::write(file, &text)?;
                return Ok(PathBuf::from(file));
            }
            let id = self.session.target.as_ref().and_then(|t| t.pid).map_or("file".into(), |p| p.to_string());
            for n in 1.. {
                let path = PathBuf::from(format!("adit-evidence-{id}-{n}.txt"));
                match std::fs::OpenOptions::new().write(true).create_new(true).open(&path) {
                    Ok(mut f) => {
                        f.write_all(text.as_bytes())?;
                        return Ok(path);
                    }
                    Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && n < 10_000 => {}
                    Err(e) => return Err(e),
                }
            }
            Err(std::io::Error::other("no free name"))
        };
        match write() {
            Ok(path) => {
                let text = format!("evidence written to {}", path.display());
                self.session.say(Tone::Note, &text);
            }
            Err(e) => {
                let text = format!("no evidence written: {e} (:evidence FILE names another place)");
                self.session.say(Tone::Error, &text);
            }
        }
    }
}
