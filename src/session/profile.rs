//! Profiles as the user looks at them: which kind, from which end, how near; of a running process also which can be had.

use super::asked::Asked;
use super::{Interest, Purpose, Session, Tone};
use crate::backend::protocol::Request;
use crate::model::{DIFF_THRESHOLDS, ProfileQuery, ProfileSource, ProfileView, TargetKind};
use std::sync::Arc;

/// Rows of the table that are asked for at least, so that the first function is known whatever is shown.
const ROWS: u32 = 1;

/// Profiles that can be had of a process, and why none can.
pub type Sources = (Vec<ProfileSource>, String);

/// The state of the workspace.
#[derive(Default)]
pub struct ProfileState {
    /// What is drawn.
    pub view: Asked<ProfileQuery, ProfileView>,
    /// What can be had of the process.
    pub sources: Asked<(), Sources>,
    /// A profile of the process is open.
    pub fetched: bool,
    /// The one that is being fetched.
    pub fetching: Option<String>,
    /// The function that the panes beside the graph are about.
    pub function: Arc<str>,
    /// Names from the root to what fills the width.
    pub zoom: Vec<Arc<str>>,
    /// Kind of value; none for the profile's own choice.
    kind: Option<u32>,
    /// From the leaves.
    pub reverse: bool,
    /// Shares are compared.
    pub normalize: bool,
    /// Only these stacks.
    pub focus: String,
    /// From where on a difference counts: samples, and percent; none for the usual.
    pub thresholds: Option<(u64, u32)>,
    /// The verdict of this comparison was not said yet.
    unsaid: bool,
    /// Moves on with every other profile or base.
    stamp: u64,
    asking: Option<ProfileQuery>,
}

impl ProfileState {
    /// Another function for the panes beside the graph.
    pub fn choose(&mut self, name: &Arc<str>) {
        self.function = name.clone();
    }

    /// The question that visible panes have together.
    fn add(&mut self, part: &ProfileQuery) {
        let q = self.asking.get_or_insert_with(|| ProfileQuery {
            kind: self.kind,
            reverse: self.reverse,
            normalize: self.normalize,
            focus: self.focus.clone(),
            thresholds: self.thresholds,
            zoom: self.zoom.clone(),
            rows: ROWS,
            ..ProfileQuery::default()
        });
        q.columns = q.columns.max(part.columns);
        q.depth = q.depth.max(part.depth);
        q.rows = q.rows.max(part.rows);
        for (to, from) in [(&mut q.search, &part.search), (&mut q.lines, &part.lines)] {
            if !from.is_empty() {
                to.clone_from(from);
            }
        }
    }
}

impl Session {
    /// Is there a profile to look at?
    pub fn has_profile(&self) -> bool {
        self.profile.fetched || self.target.as_ref().is_some_and(|t| t.kind == TargetKind::Profile)
    }

    /// Is it compared with another?
    pub fn profile_is_compared(&self) -> bool {
        self.profile.view.data().is_some_and(|v| v.base.is_some())
    }

    /// Sets from where on a difference counts, `SAMPLES [PERCENT]`, or says it.
    pub(super) fn set_thresholds(&mut self, text: &str) {
        let (samples, percent) = self.profile.thresholds.unwrap_or(DIFF_THRESHOLDS);
        let mut words = text.split_whitespace();
        let parsed = match (words.next(), words.next(), words.next()) {
            (None, ..) => Ok((samples, percent)),
            (Some(s), None, _) => s.parse().map(|s| (s, percent)),
            (Some(s), Some(p), None) => s.parse().and_then(|s| Ok((s, p.trim_end_matches('%').parse()?))),
            _ => "".parse::<u64>().map(|_| (0, 0)),
        };
        match parsed {
            Ok((samples, percent)) => {
                if !text.trim().is_empty() {
                    self.profile.thresholds = Some((samples, percent));
                    self.profile.unsaid = self.profile_is_compared();
                }
                let text = format!("a difference counts from {samples} samples and {percent}% on");
                self.say(Tone::Note, &text);
            }
            Err(_) => self.say(Tone::Warn, "usage: thresholds SAMPLES [PERCENT], whole numbers: thresholds 200 50"),
        }
    }

    /// Why there is no profile to look at and none can be fetched.
    pub fn why_no_profile(&self) -> Option<&'static str> {
        match self.target.as_ref().map(|t| t.kind) {
            None => Some(""),
            _ if self.caps.profiles => None,
            Some(TargetKind::Delve) => Some("a remote dlv has no profiles: adit prof http://HOST:PORT fetches one"),
            _ => Some("this file has no profile in it: adit prof FILE opens one"),
        }
    }

    pub(super) fn want_profile(&mut self, part: &ProfileQuery) {
        if self.has_profile() {
            self.profile.add(part);
        }
    }

    pub(super) fn want_sources(&mut self) {
        if self.why_no_profile().is_some() || self.has_profile() {
            return;
        }
        if let Some(serial) = self.profile.sources.want(&(), self.profile.stamp, self.now) {
            self.ask(Purpose::ProfileSources { serial }, Request::ProfileSources);
        }
    }

    /// Sends what visible panes ask together.
    pub(super) fn ask_profile(&mut self) {
        let Some(q) = self.profile.asking.take() else { return };
        let quiet = self.profile.view.data().is_some();
        if let Some(serial) = self.profile.view.want(&q, self.profile.stamp, self.now) {
            self.ask_quietly(Purpose::Profile { serial }, Request::Profile(q), quiet);
        }
    }

    pub(super) fn profile_known(&mut self, serial: u64, result: Result<ProfileView, String>) {
        let p = &mut self.profile;
        if !p.view.put(serial, result, self.now) {
            return;
        }
        if let Some(first) = p.view.data().and_then(|v| v.rows.first())
            && p.function.is_empty()
        {
            p.function = first.name.clone();
        }
        let verdict = p.view.data().filter(|v| v.base.is_some()).map(|v| v.verdict.clone());
        if let Some(text) = verdict.filter(|_| std::mem::take(&mut p.unsaid)) {
            self.say(Tone::Note, &text);
        }
    }

    pub(super) fn sources_known(&mut self, serial: u64, result: Result<Sources, String>) {
        self.profile.sources.put(serial, result, self.now);
    }

    /// Fetches a profile of the process; the screen goes on meanwhile.
    pub(super) fn fetch_profile(&mut self, url: String) {
        if self.profile.fetching.is_some() {
            return self.say(Tone::Warn, "a profile is being fetched already");
        }
        self.say(Tone::Note, &format!("fetching {url}"));
        self.profile.fetching = Some(url.clone());
        self.ask(Purpose::ProfileFetch, Request::ProfileFetch { url });
    }

    pub(super) fn profile_fetched(&mut self, result: Result<(), String>) {
        let url = self.profile.fetching.take().unwrap_or_default();
        match result {
            Ok(()) => {
                self.profile.fetched = true;
                self.other_profile();
                self.say(Tone::Note, &format!("here it is; Backspace goes back to the list ({url})"));
            }
            Err(why) => self.say(Tone::Error, &why),
        }
    }

    /// Compares with another profile; none ends it.
    pub(super) fn compare_profile(&mut self, base: String) {
        if !self.has_profile() {
            return self.say(Tone::Warn, "there is no profile to compare");
        }
        let base: Vec<String> = if base.is_empty() {
            Vec::new()
        } else if base.contains("://") {
            vec![base]
        } else {
            // The host may have another working directory.
            vec![std::path::absolute(&base).map_or(base, |p| p.display().to_string())]
        };
        let what = base.first().map_or("the comparison ends".into(), |b| format!("comparing with {b}"));
        self.say(Tone::Note, &what);
        self.ask(Purpose::ProfileBase, Request::ProfileBase { base });
    }

    pub(super) fn profile_compared(&mut self) {
        self.profile.stamp += 1;
        self.profile.unsaid = true;
        self.message = None;
    }

    /// Another profile: what was chosen in the last one means nothing.
    fn other_profile(&mut self) {
        let p = &mut self.profile;
        *p = ProfileState {
            stamp: p.stamp + 1,
            fetched: p.fetched,
            view: std::mem::take(&mut p.view),
            sources: std::mem::take(&mut p.sources),
            ..ProfileState::default()
        };
        p.view.clear();
    }

    /// Another process behind the same session: its profiles are others.
    pub(super) fn forget_profiles(&mut self) {
        self.profile.fetched = false;
        self.profile.fetching = None;
        self.profile.sources.clear();
        self.other_profile();
    }

    /// The process was read anew: what it serves is asked for again.
    pub(super) fn profiles_refreshed(&mut self) {
        if !self.has_profile() {
            self.profile.stamp += 1;
        }
    }

    /// Back from a fetched profile to what can be had.
    pub fn leave_profile(&mut self) -> bool {
        if !self.profile.fetched {
            return false;
        }
        self.profile.fetched = false;
        self.other_profile();
        true
    }

    /// Only stacks with a function or file that matches; empty for all.
    pub(super) fn focus_profile(&mut self, text: String) {
        if let Err(e) = regex::Regex::new(&text) {
            let why = e.to_string().lines().last().unwrap_or("").trim().to_string();
            return self.say(Tone::Warn, &format!("{text}: {why}"));
        }
        self.profile.focus = text;
        self.profile.zoom.clear();
    }

    /// The profile's next kind of value.
    pub fn next_kind(&mut self) {
        let Some((kind, n)) = self.profile.view.data().map(|v| (v.kind, v.kinds.len() as u32)) else { return };
        self.profile.kind = Some((self.profile.kind.unwrap_or(kind) + 1) % n.max(1));
        let name =
            self.profile.view.data().and_then(|v| v.kinds.get(self.profile.kind? as usize)).map(|k| k.name.clone());
        self.say(Tone::Note, &format!("values: {}", name.unwrap_or_default()));
    }

    /// From the roots, or from the leaves.
    pub fn turn_profile(&mut self) {
        self.profile.reverse = !self.profile.reverse;
        self.profile.zoom.clear();
        let text = if self.profile.reverse { "callers below what they call" } else { "callees below their callers" };
        self.say(Tone::Note, text);
    }

    /// The interest of panes that need only the chosen function.
    pub fn profile_lines(&self) -> Interest {
        Interest::Profile(ProfileQuery { lines: self.profile.function.to_string(), ..ProfileQuery::default() })
    }
}
