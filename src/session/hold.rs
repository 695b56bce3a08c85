//! How long the target may stand, as the host says, and the wish to hold it.

use super::{Purpose, RunState, Session, Tone};
use crate::backend::protocol::Request;
use crate::model::BudgetState;
use std::time::{Duration, Instant};

/// Keys are passed on as signs of attention so often.
const ATTENTION: Duration = Duration::from_secs(1);

/// What the host said last.
#[derive(Debug, Default)]
pub struct Account {
    said: Option<(BudgetState, Instant)>,
    attention: Option<Instant>,
}

impl Session {
    /// One of several clients drives.
    pub(super) fn driven_by(&mut self, you: bool, who: &str, clients: u32) {
        let text = match (you, who) {
            (true, _) => format!("you drive; {clients} clients are at this host"),
            (false, "") => format!("nobody drives; {clients} clients are at this host"),
            (false, who) => format!("{who} drives, you watch (:take-over)"),
        };
        self.say(Tone::Note, &text);
    }

    pub(super) fn put_budget(&mut self, b: BudgetState) {
        self.account.said = Some((b, self.now));
    }

    /// The account of this session, if it has one.
    pub fn budget(&self) -> Option<&BudgetState> {
        self.account.said.as_ref().map(|s| &s.0)
    }

    /// The target is held: so long still.
    pub fn hold_left(&self) -> Option<Duration> {
        let (b, at) = self.account.said.as_ref()?;
        let left = Duration::from_millis(b.hold_left_ms?);
        self.control().then(|| left.saturating_sub(self.now.saturating_duration_since(*at)))
    }

    /// When the countdown says something else.
    pub(super) fn next_second(&self) -> Option<Instant> {
        let left = self.hold_left().filter(|l| !l.is_zero())?;
        Some(self.now + Duration::from_nanos(u64::from(left.subsec_nanos()) + 1_000_000))
    }

    /// The user pressed a key.
    pub fn attention(&mut self) {
        let recent = self.account.attention.is_some_and(|t| self.now.saturating_duration_since(t) < ATTENTION);
        if self.hold_left().is_some() && !recent {
            self.account.attention = Some(self.now);
            self.ask(Purpose::Other("attention"), Request::Alive { key: true });
        }
    }

    pub(super) fn hold(&mut self, on: bool, reason: String) {
        if !on && matches!(self.state, RunState::Running) && self.hold_left().is_none() {
            return self.say(Tone::Note, "it runs");
        }
        let words = if on { "to hold the target" } else { "to let it run" };
        self.ask(Purpose::Other(words), Request::Hold { on, reason });
    }
}
