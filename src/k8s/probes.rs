//! For how long a container may stand before somebody acts on it, from the probes that the kubelet makes.
//!
//! A probe fails when it is not answered within `timeoutSeconds`; `failureThreshold` failures in a row count (kubernetes.io, "Configure
//! Liveness, Readiness and Startup Probes"). The worst moment for a pause to begin is just before a probe: then the first fails after
//! one timeout, and the n-th after n - 1 periods and one timeout.

use super::objects::{Container, Probe};
use crate::backend::native::budget::Watched;
use serde::Serialize;
use std::time::Duration;

/// A probe's defaults in the API: period 10 s, timeout 1 s, three failures.
const PERIOD: u32 = 10;
const TIMEOUT: u32 = 1;
const FAILURES: u32 = 3;

/// One kind of probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Patience {
    /// A pause shorter than this fails no probe, milliseconds.
    pub unnoticed_ms: u64,
    /// One as long as this has the probe's consequence, if it begins at the worst moment, milliseconds.
    pub acts_ms: u64,
    /// A pause may be so long: the program has half a timeout left to answer in, milliseconds.
    pub hold_ms: u64,
    /// After a pause it was probed again within this, milliseconds.
    pub rest_ms: u64,
}

/// What the kubelet would do when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pause {
    /// Restarts the container.
    pub liveness: Option<Patience>,
    /// Takes it out of service.
    pub readiness: Option<Patience>,
    /// The pause that is safe: half of the shortest timeout, milliseconds; none without probes.
    pub safe_ms: Option<u64>,
}

fn patience(p: &Probe) -> Patience {
    // Zero is not valid in the API; a server that says so means the default.
    let or = |v: Option<u32>, d| u64::from(v.filter(|v| *v > 0).unwrap_or(d));
    let (period, timeout) = (or(p.period_seconds, PERIOD), or(p.timeout_seconds, TIMEOUT));
    let failures = or(p.failure_threshold, FAILURES);
    let acts_ms = ((failures - 1) * period + timeout) * 1_000;
    Patience {
        unnoticed_ms: timeout * 1_000,
        acts_ms,
        hold_ms: acts_ms - timeout * 500,
        rest_ms: (period + timeout) * 1_000,
    }
}

impl Pause {
    /// For a container.
    pub fn of(c: &Container) -> Pause {
        let liveness = c.liveness_probe.as_ref().map(patience);
        let readiness = c.readiness_probe.as_ref().map(patience);
        let shortest = [liveness, readiness].into_iter().flatten().map(|p| p.unnoticed_ms).min();
        Pause { liveness, readiness, safe_ms: shortest.map(|ms| ms / 2) }
    }

    /// In words: what happens after how long.
    pub fn text(&self) -> String {
        let after = |p: Patience| seconds(p.acts_ms);
        let mut all = Vec::new();
        match self.liveness {
            Some(p) => all.push(format!("the kubelet restarts the container if it stands for {}", after(p))),
            None => all.push("no liveness probe: the kubelet never restarts it for standing".into()),
        }
        if let Some(p) = self.readiness {
            all.push(format!("it is out of service after {}", after(p)));
        }
        if let Some(ms) = self.safe_ms {
            all.push(format!("up to {} no probe fails (safe: {})", seconds(2 * ms), seconds(ms)));
        }
        all.join("; ")
    }

    /// As limits for whoever stops the program; `leases` are the durations of those that it holds, milliseconds.
    ///
    /// Of a lease half may pass: the holder tries again every few seconds, and gives up after two thirds of it (client-go's defaults).
    pub fn watched(&self, leases: impl Iterator<Item = u64>) -> Watched {
        let ms = Duration::from_millis;
        let lease = leases.min();
        let hold = self.liveness.map(|p| p.hold_ms).into_iter().chain(lease.map(|d| d / 2)).min();
        let rest = self.liveness.map(|p| p.rest_ms).into_iter().chain(lease.map(|d| d / 2)).max();
        let stop = self.safe_ms.into_iter().chain(lease.map(|d| d / 2)).min();
        Watched { stop: stop.map(ms), hold: hold.map(ms), rest: hold.and(rest).map(ms) }
    }
}

/// `1 s`, `500 ms`, `2.5 s`.
pub(super) fn seconds(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        _ if ms.is_multiple_of(1_000) => format!("{} s", ms / 1_000),
        _ => format!("{:.1} s", ms as f64 / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(period: u32, timeout: u32, failures: u32) -> Option<Probe> {
        let some = |n| (n > 0).then_some(n);
        Some(Probe {
            period_seconds: some(period),
            timeout_seconds: some(timeout),
            failure_threshold: some(failures),
            ..Probe::default()
        })
    }

    #[test]
    fn the_worst_moment() {
        for (p, unnoticed, acts) in [
            (probe(0, 0, 0), 1_000, 21_000),
            (probe(5, 2, 1), 2_000, 2_000),
            (probe(2, 1, 5), 1_000, 9_000),
            // A timeout longer than its period.
            (probe(1, 5, 2), 5_000, 6_000),
        ] {
            let c = Container { liveness_probe: p.clone(), ..Container::default() };
            let got = Pause::of(&c);
            assert_eq!(got.liveness.map(|p| (p.unnoticed_ms, p.acts_ms)), Some((unnoticed, acts)), "{p:?}");
            assert_eq!(got.liveness.map(|p| p.hold_ms), Some(acts - unnoticed / 2));
            assert_eq!(got.safe_ms, Some(unnoticed / 2));
        }
    }

    #[test]
    fn words() {
        let c = Container { liveness_probe: probe(0, 0, 0), readiness_probe: probe(2, 1, 1), ..Container::default() };
        let p = Pause::of(&c);
        assert_eq!(
            p.text(),
            "the kubelet restarts the container if it stands for 21 s; it is out of service after 1 s; up to 1 s no probe fails (safe: 500 ms)"
        );
        let w = |p: &Pause, leases: &[u64]| p.watched(leases.iter().copied()).to_string();
        assert_eq!(w(&p, &[]), "500,20500,11000");
        assert_eq!(w(&p, &[6_000, 15_000]), "500,3000,11000");
        assert_eq!(w(&Pause::default(), &[]), "0,0,0");
        assert_eq!(w(&Pause::default(), &[6_000]), "3000,3000,3000");
    }
}
