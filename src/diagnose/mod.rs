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

use crate::model::{DetectorRun, Diagnosis, Finding};
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
