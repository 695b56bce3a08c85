//! What can be told from goroutine dumps: states, wait reasons, places, minutes. No objects, no holders, no heap.

use super::Options;
use crate::base::GoroutineId;
use crate::model::{DetectorRun, Diagnosis, Finding, FindingClass, FindingKind, Goroutine, GoroutineState, Severity};
use rustc_hash::FxHasher;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

/// Goroutines at one place, waiting for the same, from which on it is worth a guess.
const MANY: usize = 20;
/// How long the longest of them must have waited, nanoseconds (dumps count minutes, from the first on).
const PATIENCE: u64 = 60_000_000_000;
/// HTTP connections with open bodies.
const BODIES: usize = 10;

/// Goroutines at one place with one reason.
struct Group<'g> {
    members: Vec<&'g Goroutine>,
    reason: String,
}

impl Group<'_> {
    fn oldest(&self) -> Option<u64> {
        self.members.iter().filter_map(|g| g.wait_ns).max()
    }
    fn place(&self) -> String {
        let at = &self.members[0].user;
        format!("{} {}:{}", at.short_function(), at.base_file(), at.line)
    }
    fn calls(&self, function: &str) -> bool {
        self.members[0].stack.iter().flatten().any(|f| f.at.function == function)
    }
    fn finding(
        &self,
        kind: FindingKind,
        class: FindingClass,
        severity: Severity,
        listed: usize,
        words: [&str; 3],
    ) -> Finding {
        let mut ids: Vec<GoroutineId> = self.members.iter().map(|g| g.id).collect();
        ids.sort_unstable();
        ids.truncate(listed);
        let at = self.members[0].user.clone();
        let mut h = FxHasher::default();
        (kind, &at.function, &at.file, at.line).hash(&mut h);
        Finding {
            kind,
            class,
            severity,
            goroutines: ids,
            count: self.members.len() as u64,
            victims: Vec::new(),
            victim_count: 0,
            object: None,
            cycle: Vec::new(),
            oldest_ns: self.oldest(),
            per_second: None,
            summary: format!("{} {}", words[0], self.place()),
            why: vec![words[1].to_string()],
            next: vec![words[2].to_string()],
            key: h.finish(),
            at,
        }
    }
}

/// Diagnoses the goroutines of a dump.
pub fn diagnose_text(goroutines: &[Goroutine], options: &Options) -> Diagnosis {
    let mut groups: BTreeMap<(String, u32, String), Group<'_>> = BTreeMap::new();
    let users: Vec<&Goroutine> = goroutines.iter().filter(|g| !g.system).collect();
    for g in &users {
        let reason = g.wait_reason.as_deref().unwrap_or(g.state.name()).to_string();
        let key = (g.user.function.clone(), g.user.line, reason.clone());
        groups.entry(key).or_insert_with(|| Group { members: Vec::new(), reason }).members.push(g);
    }
    let listed = options.listed;
    let mut findings = Vec::new();
    for g in groups.values() {
        let r = g.reason.as_str();
        let main = g.members.len() == 1 && g.members[0].id.0 == 1;
        let severity = if g.members.len() >= MANY { Severity::High } else { Severity::Medium };
        let old = g.oldest().is_some_and(|ns| ns >= PATIENCE);
        if r.contains("nil chan") {
            let words = [
                "nil channel",
                "the wait reason says it: an operation on a nil channel never ends",
                "see where the channel should have been made",
            ];
            findings.push(g.finding(FindingKind::NilChannel, FindingClass::Proof, severity, listed, words));
        } else if r.contains("no cases") && !main {
            let words = [
                "select {}",
                "a select without cases never ends",
                "if it is meant to keep the program alive, wait for a signal or a context instead",
            ];
            findings.push(g.finding(FindingKind::EmptySelect, FindingClass::Proof, severity, listed, words));
        } else if g.members.iter().any(|m| m.state == GoroutineState::Leaked) {
            let words = [
                "leaked at",
                "the runtime's own leak detector marked them: nothing that can run reaches what they wait for",
                "see who should be at the other end",
            ];
            findings.push(g.finding(FindingKind::ChannelLeak, FindingClass::Strong, severity, listed, words));
        } else if g.members.len() >= BODIES && r == "select" && old && g.calls("net/http.(*persistConn).readLoop") {
            let words = [
                "HTTP connections wait for their response's body,",
                "readLoop waits in a select, not for the network",
                "close response bodies",
            ];
            findings.push(g.finding(FindingKind::HttpBodyLeak, FindingClass::Likely, Severity::Medium, listed, words));
        } else if g.members.len() >= MANY && old && (r.starts_with("chan ") || r == "select") {
            let words = [
                "many wait for long,",
                "a dump tells places and minutes only: whether anyone is at the other end cannot be seen",
                "take a snapshot of the running program: it proves it or not",
            ];
            findings.push(g.finding(FindingKind::ChannelLeak, FindingClass::Likely, Severity::Medium, listed, words));
        } else if g.members.len() >= MANY && (r.starts_with("sync.Mutex") || r.starts_with("sync.RWMutex")) {
            let words = [
                "many wait for a lock,",
                "a dump does not tell who holds it",
                "look for a goroutine that waits for something else inside the same functions; a snapshot names the holder",
            ];
            findings.push(g.finding(FindingKind::LockConvoy, FindingClass::Likely, Severity::Medium, listed, words));
        }
    }
    let before = findings.len();
    findings.retain(|f| {
        !options.mutes.iter().any(|m| f.at.function.contains(m.as_str()) || f.summary.contains(m.as_str()))
    });
    let muted = (before - findings.len()) as u64;
    findings.sort_by(|a, b| (b.severity, b.class, b.count, a.key).cmp(&(a.severity, a.class, a.count, b.key)));
    let told = [
        FindingKind::NilChannel,
        FindingKind::EmptySelect,
        FindingKind::ChannelLeak,
        FindingKind::HttpBodyLeak,
        FindingKind::LockConvoy,
    ];
    let detectors = FindingKind::ALL
        .iter()
        .map(|k| DetectorRun {
            kind: *k,
            ran: told.contains(k),
            reason: if told.contains(k) {
                "by wait reasons, places and minutes only"
            } else {
                "a goroutine dump has no memory"
            }
            .into(),
        })
        .collect();
    Diagnosis { findings, detectors, muted, goroutines: users.len() as u64, ..Diagnosis::default() }
}
