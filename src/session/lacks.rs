//! What a kind of target has nothing of: commands and workspaces that are greyed for it, and why.

use super::{Needs, Session};
use crate::model::TargetKind;

const GRAPH: &str = "the wait graph needs what is behind channels and locks, which Delve does not decode";
const HEAP: &str = "Delve has no walk of the heap: run adit where the program runs, or open a core";
const TIMELINE: &str = "a remote dlv has no timeline";
const PROFILES: &str = "a remote dlv has no profiles: adit prof http://HOST:PORT fetches one";
const SNAPSHOT: &str = "no snapshot is taken through Delve: dlv connect, then dump FILE writes a core";
const TERMINAL: &str = "the program's input and output are at the terminal of Delve's server";
const BUILD: &str = "Delve does not say whether it can build this program: dlv connect, then rebuild";

/// Commands that a remote Delve has nothing for, and why. The backend says the same to whoever asks all the same.
pub const DELVE: &[(&str, &str)] = &[
    ("waits", GRAPH),
    ("cycles", GRAPH),
    ("leaks", GRAPH),
    ("blocked-by", GRAPH),
    ("heap", HEAP),
    ("refs", HEAP),
    ("timeline", TIMELINE),
    ("code", TIMELINE),
    ("record", TIMELINE),
    ("report", TIMELINE),
    ("when", "a remote dlv has no conditions on the run"),
    ("profiles", PROFILES),
    ("snapshot", SNAPSHOT),
    ("dump", SNAPSHOT),
    ("freeze", "nothing is live over a remote dlv: it is read while it stands"),
    ("input", TERMINAL),
    ("rebuild", BUILD),
];

/// Workspaces that have nothing else to show; Data has the variables, and Triage what wait reasons and places tell.
const DELVE_WORKSPACES: &[(u8, &str)] = &[(5, GRAPH), (6, TIMELINE), (7, PROFILES)];

impl Session {
    fn is_delve(&self) -> bool {
        self.target.as_ref().is_some_and(|t| t.kind == TargetKind::Delve)
    }

    /// Why a command, by its name and needs, makes no sense now or with this target.
    pub fn why_off(&self, command: &str, needs: Needs) -> Option<String> {
        let lacking = DELVE.iter().find(|r| r.0 == command && self.is_delve());
        lacking.map(|r| r.1.to_string()).or_else(|| self.why_not(needs))
    }

    /// Why a whole workspace (its number) has nothing to show of this target; none if it has, or shows itself why not.
    pub fn why_no_workspace(&self, n: u8) -> Option<&'static str> {
        DELVE_WORKSPACES.iter().find(|r| r.0 == n && self.is_delve()).map(|r| r.1)
    }

    /// Why there is no heap over a remote Delve.
    pub(super) fn delve_has_no_heap(&self) -> Option<&'static str> {
        self.is_delve().then_some(HEAP)
    }
}
