//! What else acts on a pod when it stands: leases that it holds (leader election), autoscalers that count it, disruption budgets.
//!
//! A holder of a lease renews it; when it was not renewed for `leaseDurationSeconds`, another takes it (coordination.k8s.io/v1). client-go's
//! holder gives up by itself sooner, after its renew deadline, which the lease does not say: by default 10 s of 15 s, tried every 2 s
//! (client-go `tools/leaderelection`); and what gives up, exits as a rule. Only leases of the pod's own namespace are seen.

use super::kubectl::Kubectl;
use super::objects::{Budget, Lease, Pod, Scaler, Things};
use super::preflight::{bad, ok};
use super::probes::{Pause, seconds};
use crate::backend::native::budget::Limits;
use crate::backend::protocol::Failure;
use crate::base::text::printable_str;
use crate::target::linux::doctor::Check;
use serde::Serialize;
use serde_json::Value;

/// As kubectl takes the kinds.
const KINDS: &str = "leases.coordination.k8s.io,horizontalpodautoscalers.autoscaling,poddisruptionbudgets.policy";
/// A lease without a duration is held for so long: client-go's default, seconds.
const LEASE: u32 = 15;

/// What there is in a namespace.
#[derive(Clone, Debug, Default)]
pub struct Around {
    leases: Vec<Lease>,
    scalers: Vec<Scaler>,
    budgets: Vec<Budget>,
    /// What may not be looked at, as the cluster says it.
    unknown: Vec<String>,
}

/// A lease that a pod holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// Its name.
    pub lease: String,
    /// Another may take it when it was not renewed for so long, milliseconds.
    pub lost_ms: u64,
}

impl Around {
    /// Asks the cluster, once for all three: what may be seen is answered, what may not is refused beside it.
    ///
    /// # Errors
    /// kubectl cannot be run.
    pub fn ask(k: &Kubectl) -> Result<Around, Failure> {
        let a = k.ask(&["get", KINDS, "-o", "json"])?;
        let mut around = Around::default();
        let things = serde_json::from_slice::<Things>(&a.out);
        if !a.status.success() {
            let lines = a.err.lines().map(str::trim).filter(|l| !l.is_empty());
            around.unknown = lines.map(unseen).collect();
            if around.unknown.is_empty() {
                around.unknown.push(a.why());
            }
        } else if let Err(e) = &things {
            around.unknown.push(format!("what kubectl answered is not understood: {e}"));
        }
        things.map(|t| t.items).unwrap_or_default().into_iter().for_each(|v| around.take(v));
        Ok(around)
    }

    /// One of the objects. One that is not as it should be is one that is not known.
    fn take(&mut self, v: Value) {
        let kind = v.get("kind").and_then(Value::as_str).unwrap_or_default();
        let read = match kind {
            "Lease" => serde_json::from_value(v).map(|l| self.leases.push(l)),
            "HorizontalPodAutoscaler" => serde_json::from_value(v).map(|s| self.scalers.push(s)),
            "PodDisruptionBudget" => serde_json::from_value(v).map(|b| self.budgets.push(b)),
            _ => Ok(()),
        };
        if let Err(e) = read {
            self.unknown.push(format!("an object of the namespace is not understood: {e}"));
        }
    }

    /// The leases that a pod holds.
    pub fn held(&self, pod: &Pod) -> Vec<Held> {
        let name = &pod.metadata.name;
        let own = self.leases.iter().filter(|l| names(&l.spec.holder_identity, name));
        own.map(|l| Held {
            lease: printable_str(&l.metadata.name, 253),
            lost_ms: u64::from(l.spec.lease_duration_seconds.unwrap_or(LEASE)) * 1_000,
        })
        .collect()
    }

    /// What is to be said about a pod; nothing about what does not concern it.
    pub fn checks(&self, pod: &Pod, pause: &Pause, profile: &str) -> Vec<Check> {
        let limits = Limits::named(profile).unwrap_or(Limits::PROD);
        let mut all: Vec<Check> = self.held(pod).iter().map(|h| lease_check(h, pod, &limits)).collect();
        all.extend(self.scalers.iter().filter(|s| s.scales(pod)).map(scaler_check));
        let selected = |b: &&Budget| b.spec.selector.fits(&pod.metadata.labels);
        all.extend(self.budgets.iter().filter(selected).map(|b| budget_check(b, pause)));
        if !self.unknown.is_empty() {
            all.push(ok("around", format!("not known, though it may matter: {}", self.unknown.join("; "))));
        }
        all
    }
}

/// Of a refusal, which kind may not be listed; else the line.
///
/// `Error from server (Forbidden): leases.coordination.k8s.io is forbidden: User "dev" cannot list resource "leases" in API group …`
fn unseen(line: &str) -> String {
    let kind = line.split_once("cannot list resource \"").and_then(|(_, rest)| rest.split('"').next());
    kind.map_or_else(|| printable_str(line, 300), |k| format!("you may not list {}", printable_str(k, 60)))
}

/// Does an identity name a pod? client-go's users make it of the host's name, mostly with something behind it: `web-0_5c0f…`.
fn names(identity: &str, pod: &str) -> bool {
    let of_a_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    !pod.is_empty()
        && identity
            .match_indices(pod)
            .any(|(at, _)| !identity[..at].ends_with(of_a_name) && !identity[at + pod.len()..].starts_with(of_a_name))
}

fn lease_check(h: &Held, pod: &Pod, limits: &Limits) -> Check {
    let text = format!(
        "{} holds the lease {}: who stands for {} loses it to another; client-go's holder gives up by itself after its renew deadline, by \
         default two thirds of that, and then exits as a rule",
        pod.metadata.name,
        h.lease,
        seconds(h.lost_ms)
    );
    match limits.stop {
        None => bad(
            "lease",
            format!("{text}; in profile {} it may be held without end", limits.profile),
            "use --profile prod or staging, or a pod that does not lead",
        ),
        Some(_) => ok("lease", format!("{text}; adit lets it go after {}", seconds(h.lost_ms / 2))),
    }
}

fn scaler_check(s: &Scaler) -> Check {
    let found = format!(
        "{} keeps {} to {} pods: one that stands uses no processor time and counts as idle; when pods are taken away this may be one of them",
        printable_str(&s.metadata.name, 253),
        s.spec.min_replicas.unwrap_or(1),
        s.spec.max_replicas
    );
    ok("autoscaler", found)
}

fn budget_check(b: &Budget, pause: &Pause) -> Check {
    let s = &b.status;
    let name = printable_str(&b.metadata.name, 253);
    let mut found = format!("{name} wants {} healthy pods, {} are", s.desired_healthy, s.current_healthy);
    found += &match pause.readiness {
        None => "; one that stands still counts as healthy: it has no readiness probe".to_string(),
        Some(p) => {
            let after = seconds(p.acts_ms);
            match s.disruptions_allowed {
                0 => format!(
                    "; one that is out of service, after {after}, is one too few: evictions wait, and so do drains of nodes"
                ),
                n => format!("; {n} may be missing, and one that stands for {after} is one of them"),
            }
        }
    };
    ok("disruption", found)
}

impl Scaler {
    /// Is a pod one of those that it counts?
    fn scales(&self, pod: &Pod) -> bool {
        let to = &self.spec.scale_target_ref;
        pod.metadata.owner_references.iter().any(|o| {
            let same = o.kind == to.kind && o.name == to.name;
            // A deployment's pods belong to a replica set that is named after it, with the hash of the pods' template behind.
            let hash = pod.metadata.labels.get("pod-template-hash");
            let deployed = hash.and_then(|h| o.name.strip_suffix(h.as_str())?.strip_suffix('-'));
            same || (to.kind == "Deployment" && o.kind == "ReplicaSet" && deployed == Some(to.name.as_str()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_identity() {
        for (identity, is) in [
            ("web-0", true),
            ("web-0_5c0f2d1e-1a2b", true),
            ("shop/web-0", true),
            ("external-web-0", false),
            ("web-01", false),
            ("web-0.web", false),
            ("web-01_x,web-0_y", true),
            ("", false),
        ] {
            assert_eq!(names(identity, "web-0"), is, "{identity}");
        }
        assert!(!names("x", ""));
    }

    fn pod() -> Pod {
        serde_json::from_str(
            r#"{"metadata":{"name":"web-7d9f-x","labels":{"app":"web","pod-template-hash":"7d9f"},
              "ownerReferences":[{"kind":"ReplicaSet","name":"web-7d9f"}]}}"#,
        )
        .expect("a pod")
    }

    fn around(items: &str) -> Around {
        let mut a = Around::default();
        serde_json::from_str::<Vec<Value>>(items).expect("JSON").into_iter().for_each(|v| a.take(v));
        assert!(a.unknown.is_empty(), "{a:?}");
        a
    }

    #[test]
    fn what_concerns_a_pod() {
        let a = around(
            r#"[{"kind":"Lease","metadata":{"name":"web"},"spec":{"holderIdentity":"web-7d9f-x_1","leaseDurationSeconds":6}},
                {"kind":"Lease","metadata":{"name":"other"},"spec":{"holderIdentity":"web-7d9f-xy","leaseDurationSeconds":6}},
                {"kind":"Lease","metadata":{"name":"none"},"spec":null},
                {"kind":"HorizontalPodAutoscaler","metadata":{"name":"a"},"spec":{"scaleTargetRef":{"kind":"Deployment","name":"web"},"maxReplicas":9}},
                {"kind":"HorizontalPodAutoscaler","metadata":{"name":"b"},"spec":{"scaleTargetRef":{"kind":"Deployment","name":"we"},"maxReplicas":9}},
                {"kind":"PodDisruptionBudget","metadata":{"name":"p"},"spec":{"selector":{"matchLabels":{"app":"web"}}},"status":{"desiredHealthy":2,"currentHealthy":2}},
                {"kind":"PodDisruptionBudget","metadata":{"name":"q"},"spec":{"selector":{"matchLabels":{"app":"db"}}}}]"#,
        );
        assert_eq!(a.held(&pod()), [Held { lease: "web".into(), lost_ms: 6_000 }]);
        let checks = |profile| a.checks(&pod(), &Pause::default(), profile);
        let prod = checks("prod");
        assert_eq!(
            prod.iter().map(|c| (c.check, c.ok)).collect::<Vec<_>>(),
            [("lease", true), ("autoscaler", true), ("disruption", true)]
        );
        assert!(prod[0].found.contains("lease web: who stands for 6 s"), "{}", prod[0].found);
        assert!(prod[0].found.ends_with("adit lets it go after 3 s"), "{}", prod[0].found);
        assert!(prod[1].found.starts_with("a keeps 1 to 9 pods"), "{}", prod[1].found);
        assert!(!checks("dev")[0].ok && checks("staging")[0].ok);
        assert!(a.checks(&Pod::default(), &Pause::default(), "prod").is_empty());
    }
}
