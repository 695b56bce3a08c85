//! Floor 5: findings over goroutines, waits and heap.
//!
//! One look at the target is analysed once (wait-for graph, reachability, root causes), then each detector of [`DETECTORS`] says
//! what it sees in it. A detector that could not run says why. Of a running target nothing is stopped: what is claimed as
//! proof either needs only goroutines that did not move meanwhile, or that nothing moved at all.

mod case;
mod context;
mod detectors;
pub mod graph;
mod history;
pub mod look;
pub mod picture;
pub mod reach;
pub mod shown;
pub mod stuck;
pub mod text;

pub use case::{Analysis, Case, Target};
pub use detectors::{DETECTORS, Detector};
pub use history::History;

use crate::model::{DetectorRun, Diagnosis, Finding, FindingKind};
use std::time::Instant;

/// What the user wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Goroutine ids listed in a finding, at most.
    pub listed: usize,
    /// Findings that contain one of these texts are left out.
    pub mutes: Vec<String>,
    /// Leave the heap alone.
    pub no_heap: bool,
    /// Bytes of heap with pointers that may be copied.
    pub heap_limit: u64,
}

/// Goroutines that become more where something else is found about them already are told there: how fast is evidence for that.
fn told_once(findings: &mut Vec<Finding>) {
    let (growing, mut rest): (Vec<Finding>, Vec<Finding>) =
        std::mem::take(findings).into_iter().partition(|f| f.kind == FindingKind::GoroutineGrowth);
    for g in growing {
        // Some may have moved while they were looked at: those are not told of a leak.
        let same = |f: &&mut Finding| f.at == g.at && f.class >= g.class && f.count * 10 >= g.count * 9;
        match rest.iter_mut().find(same) {
            Some(f) => f.why.extend(g.why),
            None => rest.push(g),
        }
    }
    *findings = rest;
}

/// Diagnoses a target.
pub fn diagnose(
    target: &Target<'_>,
    history: &mut History,
    options: &Options,
) -> Result<Diagnosis, crate::base::MemoryError> {
    let t0 = Instant::now();
    let analysis = Analysis::make(target, options.no_heap, options.heap_limit)?;
    let heap = analysis.heap.as_ref();
    let walked = heap.ok().map(|h| analysis.reach.as_ref().map_or((u64::from(h.slots()), 0), |r| r.live));
    history.add(target, &analysis);
    let case = Case::new(target, &analysis, history, options.listed);
    let mut findings: Vec<Finding> = Vec::new();
    let mut runs = Vec::new();
    for d in DETECTORS {
        let (ran, reason) = match (d.run)(&case) {
            Ok(found) => {
                findings.extend(found);
                let limited = d.needs_heap.then_some(heap.err()).flatten();
                (true, limited.map(|e| format!("without the heap: {e}")).unwrap_or_default())
            }
            Err(why) => (false, why),
        };
        runs.push(DetectorRun { kind: d.kind, ran, reason });
    }
    let before = findings.len();
    findings.retain(|f| {
        let text =
            |m: &String| f.at.function.contains(m.as_str()) || f.summary.contains(m.as_str()) || f.kind.name() == m;
        !options.mutes.iter().any(text)
    });
    let muted = (before - findings.len()) as u64;
    told_once(&mut findings);
    history.trends(&mut findings);
    findings.sort_by(|a, b| {
        (b.severity, b.class, b.count, a.kind, a.key).cmp(&(a.severity, a.class, a.count, b.kind, b.key))
    });
    Ok(Diagnosis {
        findings,
        detectors: runs,
        muted,
        goroutines: analysis.look.seen.iter().filter(|s| !s.system).count() as u64,
        heap: walked,
        took_us: t0.elapsed().as_micros() as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FindingClass, Location, Severity};
    use std::sync::Arc;

    fn finding(kind: FindingKind, class: FindingClass, function: &str, count: u64) -> Finding {
        Finding {
            kind,
            class,
            severity: Severity::Medium,
            goroutines: Vec::new(),
            count,
            victims: Vec::new(),
            victim_count: 0,
            object: None,
            cycle: Vec::new(),
            at: Arc::new(Location { function: function.into(), ..Location::default() }),
            oldest_ns: None,
            per_second: None,
            summary: String::new(),
            why: vec![kind.name().into()],
            next: Vec::new(),
            key: 0,
        }
    }

    /// Growth is evidence for what is found at the same place about the same goroutines, and a finding of its own elsewhere.
    #[test]
    fn growth_is_told_once() {
        use FindingClass::{Likely, Proof};
        use FindingKind::{ChannelLeak, GoroutineGrowth};
        let leak = finding(ChannelLeak, Proof, "main.send", 300);
        for (growth, told) in [
            (finding(GoroutineGrowth, Likely, "main.send", 300), true),
            (finding(GoroutineGrowth, Likely, "main.recv", 300), false),
            (finding(GoroutineGrowth, Likely, "main.send", 310), true),
            (finding(GoroutineGrowth, Likely, "main.send", 400), false),
        ] {
            let mut all = vec![growth, leak.clone()];
            told_once(&mut all);
            assert_eq!(all.len(), if told { 1 } else { 2 });
            assert_eq!(all[0].why.len(), if told { 2 } else { 1 }, "{all:?}");
        }
    }
}
