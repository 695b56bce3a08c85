//! Floor 7: programs in pods. The way there is the user's own kubectl, with whatever logs them in; the host there is the one that ssh starts.
//!
//! `kubectl` runs it, `objects` reads what it answers, `preflight` says what would happen and which way is open, `ways` goes in,
//! `inside` is what runs in the pod, `pods` goes to several at once.

pub mod around;
pub mod endpoint;
pub mod inside;
pub mod kubectl;
pub mod made;
pub mod objects;
pub mod pods;
pub mod preflight;
pub mod probes;
pub mod push;
pub mod ways;

use crate::backend::protocol::{Failure, FailureKind};
use crate::base::text::printable_str;

/// Debug containers of ours are named so, then by protocol and something random.
pub const NAMED: &str = "adit-";

/// What a word names in a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// `pod`, `deployment`, …: as kubectl names the kind.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
}

/// Kinds that have pods, by the words for them.
const KINDS: &[(&str, &[&str])] = &[
    ("pod", &["pod", "pods", "po"]),
    ("deployment", &["deployment", "deployments", "deploy"]),
    ("statefulset", &["statefulset", "statefulsets", "sts"]),
    ("daemonset", &["daemonset", "daemonsets", "ds"]),
    ("replicaset", &["replicaset", "replicasets", "rs"]),
];

impl Named {
    /// `POD`, `pod/NAME`, `deploy/NAME`, …
    ///
    /// # Errors
    /// It is none of these.
    pub fn parse(word: &str) -> Result<Named, Failure> {
        let (kind, name) = word.split_once('/').unwrap_or(("pod", word));
        let kind = KINDS.iter().find(|k| k.1.contains(&kind)).map(|k| k.0);
        match kind {
            Some(kind) if is_name(name) => Ok(Named { kind, name: name.to_string() }),
            _ => Err(Failure::new(
                FailureKind::BadRequest,
                format!("{}: neither a pod nor something that has pods", printable_str(word, 100)),
            )
            .fix("POD, or deploy/NAME, statefulset/NAME, daemonset/NAME, replicaset/NAME")),
        }
    }
}

/// A name as Kubernetes gives them (RFC 1123 subdomain): goes to kubectl as an argument, never as an option.
pub fn is_name(text: &str) -> bool {
    let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-' || c == b'.';
    let ends = |c: Option<&u8>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let b = text.as_bytes();
    b.len() <= 253 && b.iter().all(|c| fits(*c)) && ends(b.first()) && ends(b.last())
}

/// What an address says: namespace, pod, container.
pub type Address = (Option<String>, Named, Option<String>);

/// `k8s://[NAMESPACE/]POD[/CONTAINER]`; none if it is something else. Of two parts the first is the namespace.
///
/// # Errors
/// It is one, but not well-formed.
pub fn address(word: &str) -> Option<Result<Address, Failure>> {
    let rest = word.strip_prefix("k8s://")?;
    let parts: Vec<&str> = rest.split('/').collect();
    let (ns, pod, container) = match parts[..] {
        [pod] => (None, pod, None),
        [ns, pod] => (Some(ns), pod, None),
        [ns, pod, container] => (Some(ns), pod, Some(container)),
        _ => (None, "", None),
    };
    if ![Some(pod), ns, container].into_iter().flatten().all(is_name) {
        return Some(Err(Failure::new(
            FailureKind::BadRequest,
            format!("{}: not the address of a pod", printable_str(word, 100)),
        )
        .fix("k8s://POD, k8s://NAMESPACE/POD or k8s://NAMESPACE/POD/CONTAINER; adit k8s attach deploy/NAME takes what has pods")));
    }
    let pod = Named { kind: "pod", name: pod.to_string() };
    Some(Ok((ns.map(String::from), pod, container.map(String::from))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        for (word, kind, name) in [
            ("web-0", "pod", "web-0"),
            ("pod/web-0", "pod", "web-0"),
            ("deploy/web", "deployment", "web"),
            ("sts/db.x", "statefulset", "db.x"),
        ] {
            assert_eq!(Named::parse(word).ok(), Some(Named { kind, name: name.into() }), "{word}");
        }
        for word in ["", "-oyaml", "deploy/-x", "svc/web", "Web", "a b", "deploy/", "web-", "--as=root"] {
            assert!(Named::parse(word).is_err_and(|f| !f.message.contains('\n')), "{word}");
        }
        let at = |w: &str| address(w).and_then(Result::ok);
        let pod = || Named { kind: "pod", name: "web-0".into() };
        assert_eq!(at("k8s://web-0"), Some((None, pod(), None)));
        assert_eq!(at("k8s://shop/web-0"), Some((Some("shop".into()), pod(), None)));
        assert_eq!(at("k8s://shop/web-0/app"), Some((Some("shop".into()), pod(), Some("app".into()))));
        assert!(address("web-0").is_none());
        for word in ["k8s://", "k8s:///web", "k8s://a/b/c/d", "k8s://-n/x"] {
            assert!(address(word).is_some_and(|r| r.is_err()), "{word}");
        }
    }
}
