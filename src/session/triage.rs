//! Findings: when they are looked for, which one is selected, what is muted.
//!
//! Of a running target that is only read, a new look is taken every two seconds while somebody sees the findings, later if
//! looking takes long. Nothing of that is asked while the display is frozen or a snapshot is shown.

use super::asked::Asked;
use super::{Purpose, RunState, Session, Tone};
use crate::backend::protocol::{DiagnoseQuery, Request};
use crate::base::{clock::human_ns, text::printable_str};
use crate::model::{Diagnosis, Finding, ReadInfo, TargetKind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Shortest time between two looks.
pub const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Looking may take this part of the time at most.
const LOOK_SHARE: u32 = 10;
/// Goroutine ids asked for of each finding.
pub const LISTED: u32 = 200;

/// Why no new look is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frozen {
    /// The user wants to read in peace.
    ByUser,
    /// The user cancelled a look.
    Cancelled,
    /// A copy of one moment is shown.
    Snapshot {
        /// Clock time.
        at: String,
        /// How long the target stood, microseconds.
        pause_us: u64,
    },
}

/// Findings and what belongs to them.
#[derive(Default)]
pub struct Triage {
    /// The newest diagnosis.
    pub asked: Asked<DiagnoseQuery, Diagnosis>,
    /// How it was read.
    pub read: ReadInfo,
    /// Frames that the user does not want to hear of.
    pub mutes: Vec<String>,
    /// Why it stands still.
    pub frozen: Option<Frozen>,
    /// Stops that we caused, and the microseconds of all and of the last.
    pub pauses: (u32, u64, u64),
    selected: Option<u64>,
    at: usize,
    /// The user has chosen a finding.
    chosen: bool,
    pub(super) due: Option<Instant>,
    pub(super) shown: bool,
}

impl Triage {
    /// Nothing known yet, these functions muted.
    pub fn new(mutes: Vec<String>) -> Triage {
        Triage { mutes, ..Triage::default() }
    }
    /// The findings; empty while there is no diagnosis.
    pub fn findings(&self) -> &[Finding] {
        self.asked.data().map_or(&[], |d| &d.findings)
    }
    /// Position of the selected finding.
    pub fn at(&self) -> usize {
        self.at
    }
    /// The selected finding.
    pub fn finding(&self) -> Option<&Finding> {
        self.findings().get(self.at)
    }
    /// Selects by position.
    pub fn select(&mut self, at: usize) {
        self.chosen = true;
        self.put(at);
    }
    fn put(&mut self, at: usize) {
        self.at = at.min(self.findings().len().saturating_sub(1));
        self.selected = self.finding().map(|f| f.key);
    }
    /// Selects by key. False when there is no such finding (any more).
    pub fn select_key(&mut self, key: u64) -> bool {
        let Some(at) = self.findings().iter().position(|f| f.key == key) else { return false };
        self.put(at);
        true
    }
    /// Does the diagnosis say all that can be said? The first look leaves the heap alone, to be quick.
    pub fn complete(&self, memory: bool) -> bool {
        self.asked.question().is_some_and(|q| !q.no_heap || !memory)
    }
    /// Is what this function does muted?
    pub fn muted(&self, function: &str) -> bool {
        self.mutes.iter().any(|m| function.contains(m.as_str()))
    }
    fn query(&self, no_heap: bool) -> DiagnoseQuery {
        DiagnoseQuery { listed: LISTED, mutes: self.mutes.clone(), no_heap }
    }
    /// New findings are here: the selection stays on its finding, unless the worst one was not known when it was made.
    fn settle(&mut self, first: bool) {
        if first && !self.chosen {
            self.put(0);
        } else if !self.selected.is_some_and(|key| self.select_key(key)) {
            self.put(self.at);
        }
    }
    pub(super) fn schedule(&mut self, now: Instant) {
        self.due = Some(now + LOOK_EVERY.max(self.asked.took() * LOOK_SHARE));
    }
}

impl Session {
    /// Is what is shown read anew by itself?
    pub fn live(&self) -> bool {
        let process = self.target.as_ref().is_some_and(|t| t.kind == TargetKind::Process);
        process && !self.control() && self.state == RunState::Running && self.triage.frozen.is_none()
    }

    /// Live, and somebody sees the findings.
    pub fn ticking(&self) -> bool {
        self.live() && self.triage.shown
    }

    pub(super) fn want_findings(&mut self) {
        self.triage.shown = true;
        if !self.readable() {
            return;
        }
        let first = self.triage.asked.data().is_none() && self.triage.asked.failure().is_none();
        let q = self.triage.query(first || !self.caps.memory);
        if let Some(serial) = self.triage.asked.want(&q, self.generation, self.now) {
            let quiet = self.triage.complete(self.caps.memory);
            self.ask_quietly(Purpose::Diagnose { serial }, Request::Diagnose(q), quiet);
        }
        self.tick();
    }

    fn tick(&mut self) {
        let busy = self.triage.asked.pending().is_some() || self.asked(|p| *p == Purpose::Refresh);
        if !self.live() || busy || self.ticked() {
            return;
        }
        if self.triage.due.is_some_and(|t| self.now >= t) {
            self.ask_quietly(Purpose::Tick, Request::Refresh, true);
        }
    }

    fn ticked(&self) -> bool {
        self.outbox.iter().any(|o| o.purpose == Purpose::Tick)
            || self.pending.values().any(|p| p.purpose == Purpose::Tick)
    }

    /// When the next look is due.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let busy = self.triage.asked.pending().is_some() || self.ticked();
        if self.ticking() && !busy { self.triage.due } else { None }
    }

    /// What was read is old, but nobody is to be told: the new follows at once.
    pub(super) fn quiet_generation(&mut self) {
        self.generation += 1;
        self.list_asked = None;
    }

    pub(super) fn diagnosed(&mut self, serial: u64, result: Result<(ReadInfo, Diagnosis), String>) {
        let (read, result) = match result {
            Ok((r, d)) => (Some(r), Ok(d)),
            Err(e) => (None, Err(e)),
        };
        let first = !self.triage.complete(self.caps.memory);
        if self.triage.asked.put(serial, result, self.now) {
            self.triage.read = read.unwrap_or(self.triage.read);
            self.old_since = None;
            self.triage.settle(first);
        }
        self.triage.schedule(self.now);
    }

    pub(super) fn freeze(&mut self) {
        let text = match self.triage.frozen.take() {
            Some(_) => {
                self.triage.due = Some(self.now);
                self.triage.asked.drop_pending();
                "live again"
            }
            None if self.live() => {
                self.triage.frozen = Some(Frozen::ByUser);
                "frozen: what is shown stays; the program runs on (p goes on)"
            }
            None => "nothing is live here: what is shown does not change by itself",
        };
        self.say(Tone::Note, text);
    }

    /// Why no snapshot can be taken.
    pub fn why_no_snapshot(&self) -> Option<String> {
        let kind = self.target.as_ref().map_or(TargetKind::Process, |t| t.kind);
        match kind {
            _ if self.target.is_none() => Some("no target is open".into()),
            TargetKind::Core | TargetKind::Snapshot | TargetKind::Dump => {
                Some("a file is looked at: it is one moment already".into())
            }
            _ if self.held() => Some("the target stands: what is shown is one moment already".into()),
            _ if !self.caps.snapshot => Some("no snapshot can be taken of this target here".into()),
            _ => None,
        }
    }

    pub(super) fn take_snapshot(&mut self, file: Option<PathBuf>) {
        if let Some(why) = self.why_no_snapshot() {
            return self.say(Tone::Warn, &why);
        }
        let name = file.as_ref().map(|f| f.display().to_string());
        self.ask(Purpose::Snapshot { file: name }, Request::Snapshot { file });
    }

    pub(super) fn snapshot_taken(&mut self, file: Option<String>, pause_us: u64, bytes: u64, file_bytes: u64) {
        self.new_generation();
        self.list_asked = None;
        let (n, total, _) = self.triage.pauses;
        self.triage.pauses = (n + 1, total + pause_us, pause_us);
        self.triage.frozen = Some(Frozen::Snapshot { at: (self.clock)(), pause_us });
        let mut text =
            format!("snapshot: the program stood for {}, {} copied", human_ns(pause_us * 1_000), human_bytes(bytes));
        if let Some(f) = file {
            text.push_str(&format!(", {} written to {f}", human_bytes(file_bytes)));
        }
        text.push_str("; it runs again, p goes back to it");
        self.say(Tone::Note, &text);
    }

    pub(super) fn mute(&mut self, text: &str) {
        if !self.triage.mutes.iter().any(|m| m == text) {
            self.triage.mutes.push(text.to_string());
        }
        self.say(Tone::Note, &format!("muted: {} (:unmute takes it back)", printable_str(text, 200)));
    }

    pub(super) fn unmute(&mut self, text: &str) {
        if text.is_empty() {
            return self.show_mutes();
        }
        let before = self.triage.mutes.len();
        self.triage.mutes.retain(|m| m != text && text != "all");
        match before - self.triage.mutes.len() {
            0 => self.say(Tone::Warn, &format!("{} is not muted; :mutes lists what is", printable_str(text, 200))),
            n => self.say(Tone::Note, &format!("{n} mute rules taken back")),
        }
    }

    pub(super) fn show_mutes(&mut self) {
        let mut lines: Vec<String> = self.triage.mutes.iter().map(|m| printable_str(m, 300)).collect();
        if lines.is_empty() {
            lines.push("nothing is muted: x on a finding or group, or :mute TEXT".into());
        } else {
            lines.push(String::new());
            lines.push("Findings at functions that contain one of these are left out.".into());
            lines.push(":unmute TEXT takes one back, :unmute all every one.".into());
        }
        self.answer = Some(super::Answer { title: "muted".into(), lines });
    }
}

/// Bytes as a person reads them: `812 B`, `61.2M`, `1.4G`.
pub fn human_bytes(n: u64) -> String {
    const UNITS: [&str; 4] = ["K", "M", "G", "T"];
    if n < 1_000 {
        return format!("{n} B");
    }
    let mut v = n as f64;
    let mut unit = "";
    for u in UNITS {
        v /= 1_024.0;
        unit = u;
        if v < 999.5 {
            break;
        }
    }
    if v < 9.95 { format!("{v:.1}{unit}") } else { format!("{v:.0}{unit}") }
}

#[cfg(test)]
mod tests {
    use super::human_bytes;
    #[test]
    fn bytes_are_short() {
        for (n, want) in [(0, "0 B"), (999, "999 B"), (1_000, "1.0K"), (64_000_000, "61M"), (1_500_000_000, "1.4G")] {
            assert_eq!(human_bytes(n), want);
        }
    }
}
