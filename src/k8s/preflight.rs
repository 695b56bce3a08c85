//! Before anything is done to a pod: what it is, what one may do, which ways are open and what each does to it.

use super::around::{Around, Held};
use super::kubectl::Kubectl;
use super::objects::{Container, Namespace, Node, Pod, Pods, Workload};
use super::probes::{Pause, seconds};
use super::{NAMED, Named};
use crate::backend::native::budget::{Limits, Watched};
use crate::backend::protocol::{Failure, FailureKind, PROTOCOL_VERSION};
use crate::base::text::{last_line, printable_str};
use crate::target::linux::doctor::Check;
use serde::Serialize;
use std::time::Duration;

/// A way to a program in a pod, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// A debug container as root with SYS_PTRACE.
    Debug,
    /// A debug container as the program's own user, without capabilities.
    DebugSameUser,
    /// adit copied into the program's container.
    Exec,
    /// The program's own endpoint (net/http/pprof).
    Endpoint,
    /// A pod of ours on the program's node, with the node's processes.
    Node,
}

impl Way {
    /// All, best first, with their names.
    pub const ALL: [(&'static str, Way); 5] = [
        ("debug", Way::Debug),
        ("debug-same-user", Way::DebugSameUser),
        ("exec", Way::Exec),
        ("endpoint", Way::Endpoint),
        ("node", Way::Node),
    ];
    /// As it is written.
    pub fn name(self) -> &'static str {
        Way::ALL.iter().find(|w| w.1 == self).map_or("", |w| w.0)
    }
}

/// What is wanted.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Container; the only one, or the pod's default one, where none is said.
    pub container: Option<String>,
    /// Image of debug containers.
    pub image: String,
    /// The program's user, where the pod's spec does not say.
    pub user: Option<u32>,
    /// This way alone.
    pub way: Option<Way>,
    /// Namespace of pods on nodes; the program's own where none is said.
    pub node_namespace: Option<String>,
    /// Port of the endpoint.
    pub port: Option<u16>,
    /// The process in the container.
    pub pid: Option<i32>,
    /// The adit that is copied where there is none; this one where none is said (tests run in another program).
    pub adit: Option<std::path::PathBuf>,
    /// How careful to be: `prod`, `staging`, `dev`.
    pub profile: &'static str,
}

/// May one do it?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Right {
    /// Yes.
    Yes,
    /// No.
    No,
    /// The cluster does not say.
    Unknown(String),
}

/// What holds for all pods of a namespace.
#[derive(Clone, Debug)]
pub struct Rights {
    /// Adding debug containers: `patch pods/ephemeralcontainers`.
    pub debug: Right,
    /// Running something in them: `create pods/exec`.
    pub exec: Right,
    /// `create pods/attach`.
    pub attach: Right,
    /// `create pods/portforward`.
    pub forward: Right,
    /// Pod Security level that the namespace enforces; none where it is not known.
    pub level: Option<String>,
}

/// Rights that the ways need: field, verb, subresource.
const NEEDED: [(&str, &str); 4] =
    [("patch", "ephemeralcontainers"), ("create", "exec"), ("create", "attach"), ("create", "portforward")];

impl Rights {
    /// Asks the cluster.
    ///
    /// # Errors
    /// kubectl cannot be run.
    pub fn ask(k: &Kubectl) -> Result<Rights, Failure> {
        let mut all = Vec::new();
        for (verb, sub) in NEEDED {
            let a = k.ask(&["auth", "can-i", verb, "pods", &format!("--subresource={sub}")])?;
            let said = String::from_utf8_lossy(&a.out);
            // Warnings may stand before it.
            all.push(match last_line(&said).split(' ').next() {
                Some("yes") => Right::Yes,
                Some("no") => Right::No,
                _ => Right::Unknown(a.why()),
            });
        }
        let mut all = all.into_iter();
        let mut next = || all.next().unwrap_or(Right::No);
        let (debug, exec, attach, forward) = (next(), next(), next(), next());
        let namespace = k.namespace.clone().unwrap_or_else(|| "default".into());
        // Who may not look at the namespace tries, and is told then.
        let level = k.get::<Namespace>(&["get", "namespace", &namespace, "-o", "json"]).ok().map(|n| {
            n.metadata.labels.get("pod-security.kubernetes.io/enforce").cloned().unwrap_or("privileged".into())
        });
        Ok(Rights { debug, exec, attach, forward, level })
    }
}

/// A way, judged.
#[derive(Clone, Debug, Serialize)]
pub struct Judged {
    /// Which.
    pub way: Way,
    /// Why it is closed; none if it may be tried.
    pub closed: Option<String>,
    /// What it does to the pod.
    pub effect: String,
}

/// What was found before going in.
#[derive(Clone, Debug)]
pub struct Preflight {
    /// The pod.
    pub pod: Pod,
    /// Its container.
    pub container: Container,
    /// For how long it may stand.
    pub pause: Pause,
    /// What that means for who stops it.
    pub watched: Watched,
    /// Leases that it holds.
    pub leases: Vec<Held>,
    /// The program's user, where it is known.
    pub user: Option<u32>,
    /// A debug container of ours that is there and runs.
    pub debug_container: Option<String>,
    /// All ways, best first.
    pub ways: Vec<Judged>,
    /// What was looked at.
    pub checks: Vec<Check>,
}

impl Preflight {
    /// The best that may be tried.
    pub fn way(&self) -> Option<&Judged> {
        self.ways.iter().find(|w| w.closed.is_none())
    }
}

/// Pods of what was named, those that run, by name. The namespace is learned.
///
/// # Errors
/// There is none; kubectl refuses.
pub fn pods(k: &mut Kubectl, named: &Named) -> Result<Vec<Pod>, Failure> {
    let mut found = match named.kind {
        "pod" => vec![k.get::<Pod>(&["get", "pod", &named.name, "-o", "json"])?],
        kind => {
            let w: Workload = k.get(&["get", kind, &named.name, "-o", "json"])?;
            let selector = w.spec.selector.text().ok_or_else(|| {
                Failure::new(FailureKind::Host, format!("{kind}/{} does not say which pods are its own", named.name))
                    .fix("name a pod")
            })?;
            k.namespace = Some(w.metadata.namespace).filter(|n| !n.is_empty()).or(k.namespace.take());
            k.get::<Pods>(&["get", "pods", "-l", &selector, "-o", "json"])?.items
        }
    };
    let (all, phase) = (found.len(), found.first().map(|p| p.status.phase.clone()).unwrap_or_default());
    found.retain(Pod::runs);
    found.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    if let Some(ns) = found.first().map(|p| p.metadata.namespace.clone()).filter(|n| !n.is_empty()) {
        k.namespace = Some(ns);
    }
    if found.is_empty() {
        let what = match (named.kind, all) {
            ("pod", _) => format!("the pod {} does not run: {}", named.name, printable_str(&phase, 40)),
            (kind, 0) => format!("{kind}/{} has no pods", named.name),
            (kind, n) => format!("none of the {n} pods of {kind}/{} runs", named.name),
        };
        return Err(
            Failure::new(FailureKind::Gone, what).fix("kubectl describe says why; kubectl get pods lists what runs")
        );
    }
    Ok(found)
}

/// The container that is meant.
///
/// # Errors
/// There is no such, or it has to be said which: all of them.
pub fn container(pod: &Pod, wish: Option<&str>) -> Result<Container, Failure> {
    let all = &pod.spec.containers;
    let names = || all.iter().map(|c| printable_str(&c.name, 63)).collect::<Vec<_>>().join(", ");
    let name = &pod.metadata.name;
    let bad = |m: String| Failure::new(FailureKind::BadRequest, m).fix(format!("-c with one of: {}", names()));
    if let Some(w) = wish {
        return pod
            .container(w)
            .cloned()
            .ok_or_else(|| bad(format!("{name} has no container {}", printable_str(w, 63))));
    }
    let default = pod.metadata.annotations.get("kubectl.kubernetes.io/default-container");
    match (default.and_then(|d| pod.container(d)), &all[..]) {
        (Some(c), _) => Ok(c.clone()),
        (None, [c]) => Ok(c.clone()),
        _ => Err(bad(format!("{name} has {} containers: which one?", all.len()))),
    }
}

pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Check {
    Check { check, ok: true, found: found.into(), fix: String::new() }
}

pub(super) fn bad(check: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Check {
    Check { check, ok: false, found: found.into(), fix: fix.into() }
}

/// Looks at one pod.
///
/// # Errors
/// It is not said which container; kubectl cannot be run.
pub fn look(k: &Kubectl, pod: Pod, wish: &Wish, rights: &Rights, around: &Around) -> Result<Preflight, Failure> {
    let c = container(&pod, wish.container.as_deref())?;
    let pause = Pause::of(&c);
    let user = wish.user.or_else(|| pod.user_of(&c));
    let mut checks = Vec::new();
    let at = if pod.spec.node_name.is_empty() { "no node yet" } else { &pod.spec.node_name };
    let ready = if pod.ready() { "ready" } else { "not ready" };
    checks.push(ok("pod", format!("{}/{}, {ready}, on {at}", pod.metadata.namespace, pod.metadata.name)));
    let (node, other) = node(k, &pod);
    checks.push(node);
    checks.push(container_check(&pod, &c, user));
    checks.extend(rights_checks(rights));
    checks.push(level_check(rights));
    if let Some(class) = sandbox(&pod) {
        let text = format!("the runtime class {class} is a sandbox: its ptrace is limited or not there");
        checks.push(bad("runtime", text, "read goroutines without stopping, or use --way endpoint"));
    }
    let debug_container = ours(&pod, &c.name);
    let old = pod.spec.ephemeral_containers.iter().filter(|e| e.name.starts_with(NAMED)).count();
    checks.push(match (&debug_container, old) {
        (Some(d), _) => ok("debug container", format!("{d} runs and is used again")),
        (None, 0) => ok("debug container", "none of adit's in the pod"),
        (None, n) => ok("debug container", format!("{n} of adit's in the pod's spec, none that runs for {}", c.name)),
    });
    let leases = around.held(&pod);
    let watched = pause.watched(leases.iter().map(|l| l.lost_ms));
    checks.push(probes_check(&pod, &pause, watched, wish.profile));
    checks.extend(around.checks(&pod, &pause, wish.profile));
    let ways = Way::ALL.map(|(_, way)| {
        let closed = match wish.way {
            Some(w) if w != way => Some(format!("--way {} was said", w.name())),
            None if way == Way::Node => Some("it sees all programs of the node: --way node has to be said".into()),
            _ => closed(way, &pod, &c, user, rights, other.as_deref(), debug_container.is_some()),
        };
        Judged { way, closed, effect: effect(way, &c, user, debug_container.as_deref(), wish) }
    });
    Ok(Preflight { pod, container: c, pause, watched, leases, user, debug_container, ways: ways.into(), checks })
}

/// The node's system, and why it is the wrong one.
fn node(k: &Kubectl, pod: &Pod) -> (Check, Option<String>) {
    if pod.spec.node_name.is_empty() {
        return (ok("node", "not known"), None);
    }
    match k.get::<Node>(&["get", "node", &pod.spec.node_name, "-o", "json"]) {
        Err(f) => (ok("node", format!("not known: {}", f.message)), None),
        Ok(n) => {
            let i = &n.status.node_info;
            let text = format!("{}/{}, {}", i.operating_system, i.architecture, i.container_runtime_version);
            let text = printable_str(&text, 200);
            match (i.operating_system.as_str(), i.architecture.as_str()) {
                ("linux", "amd64") | ("", "") => (ok("node", text), None),
                (os, arch) => {
                    let why = format!("the node is {}/{}", printable_str(os, 20), printable_str(arch, 20));
                    (bad("node", text, "adit runs on linux/amd64: only --way endpoint is open"), Some(why))
                }
            }
        }
    }
}

fn container_check(pod: &Pod, c: &Container, user: Option<u32>) -> Check {
    let mut text = c.name.clone();
    text += &match user {
        Some(0) => ", runs as root".to_string(),
        Some(u) => format!(", runs as user {u}"),
        None => ", runs as the user of its image (--user says which)".to_string(),
    };
    if pod.non_root(c) {
        text += ", must not be root";
    }
    if c.security_context.read_only_root_filesystem == Some(true) {
        text += ", its files cannot be written";
    }
    if pod.spec.share_process_namespace {
        text += ", shares the pod's processes";
    }
    ok("container", text)
}

fn rights_checks(r: &Rights) -> Vec<Check> {
    let say = |check, right: &Right, verb: &str, what: &str, loses: &str| match right {
        Right::Yes => ok(check, format!("you may {verb} {what}")),
        Right::Unknown(why) => ok(check, format!("whether you may {verb} {what} is not known: {why}")),
        Right::No => {
            let fix = format!("a Role with the verb {verb} on {what}, bound to you");
            bad(check, format!("you may not {verb} {what}: {loses}"), fix)
        }
    };
    vec![
        say("debug", &r.debug, "patch", "pods/ephemeralcontainers", "no debug containers"),
        say("exec", &r.exec, "create", "pods/exec", "nothing can be run in the pod"),
        match &r.attach {
            Right::No => ok("attach", "you may not create pods/attach: not needed"),
            other => say("attach", other, "create", "pods/attach", ""),
        },
        say("port-forward", &r.forward, "create", "pods/portforward", "no endpoints"),
    ]
}

fn level_check(r: &Rights) -> Check {
    match r.level.as_deref() {
        None => ok("pod security", "not known: you may not look at the namespace"),
        Some("privileged") => ok("pod security", "privileged: SYS_PTRACE may be added"),
        Some(level) => ok(
            "pod security",
            format!(
                "{}: SYS_PTRACE may not be added, a debug container has to be the program's own user",
                printable_str(level, 40)
            ),
        ),
    }
}

fn probes_check(pod: &Pod, pause: &Pause, watched: Watched, profile: &str) -> Check {
    let grace = pod.spec.termination_grace_period_seconds.unwrap_or(30);
    let text = format!("{}; {grace} s from SIGTERM to SIGKILL", pause.text());
    let limits = Limits::named(profile).unwrap_or(Limits::PROD);
    let secs = |d: Option<Duration>| seconds(d.unwrap_or_default().as_millis() as u64);
    match (pause.liveness, limits.stop) {
        (Some(_), None) => {
            let why = format!(
                "in profile {} it may be held without end, and nothing ends that before the kubelet acts",
                limits.profile
            );
            bad("probes", format!("{text}; {why}"), "use --profile prod or staging")
        }
        _ if watched == Watched::default() => ok("probes", text),
        _ => {
            let l = limits.watched(watched);
            ok("probes", format!("{text}; adit lets it go after {}, held (H) after {}", secs(l.stop), secs(l.hold)))
        }
    }
}

/// A runtime that is a sandbox, by its class.
fn sandbox(pod: &Pod) -> Option<String> {
    let class = &pod.spec.runtime_class_name;
    ["gvisor", "runsc", "kata"].iter().any(|s| class.to_ascii_lowercase().contains(s)).then(|| printable_str(class, 63))
}

/// A debug container of this protocol that runs for this container.
fn ours(pod: &Pod, target: &str) -> Option<String> {
    let prefix = prefix();
    let runs = |name: &str| pod.ephemeral(name).is_some_and(|s| s.running.is_some());
    let fits = |e: &&Container| e.name.starts_with(&prefix) && e.target_container_name == target && runs(&e.name);
    pod.spec.ephemeral_containers.iter().rfind(fits).map(|e| e.name.clone())
}

/// How names of debug containers begin that this adit can talk to.
pub fn prefix() -> String {
    format!("{NAMED}p{PROTOCOL_VERSION}-")
}

/// Why a way is closed.
fn closed(
    way: Way,
    pod: &Pod,
    c: &Container,
    user: Option<u32>,
    r: &Rights,
    other_system: Option<&str>,
    there: bool,
) -> Option<String> {
    let level = r.level.as_deref().unwrap_or("privileged");
    if way != Way::Endpoint
        && let Some(why) = other_system
    {
        return Some(why.into());
    }
    match way {
        Way::Endpoint => (r.forward == Right::No).then(|| "you may not create pods/portforward".into()),
        _ if r.exec == Right::No => Some("you may not create pods/exec".into()),
        Way::Exec | Way::Node => None,
        // A debug container that runs is only gone into.
        _ if there => None,
        _ if r.debug == Right::No => Some("you may not patch pods/ephemeralcontainers".into()),
        _ if pod.metadata.annotations.contains_key("kubernetes.io/config.mirror") => {
            Some("a static pod takes no debug containers".into())
        }
        Way::Debug if level != "privileged" => {
            Some(format!("the namespace enforces {}, which forbids SYS_PTRACE", printable_str(level, 40)))
        }
        Way::Debug => None,
        Way::DebugSameUser if user == Some(0) && (level == "restricted" || pod.non_root(c)) => {
            Some("the program runs as root, which a second container may not".into())
        }
        Way::DebugSameUser => None,
    }
}

/// The port of the program's endpoint: said, named so in the pod's spec, or the usual one.
pub fn port(c: &Container, wish: &Wish) -> u16 {
    let named = c.ports.iter().find(|c| c.name.contains("pprof") || c.name.contains("debug"));
    wish.port.or(named.map(|n| n.container_port)).unwrap_or(6060)
}

/// What a way does to the pod, exactly.
fn effect(way: Way, c: &Container, user: Option<u32>, there: Option<&str>, wish: &Wish) -> String {
    let container = &c.name;
    let debug = |who: &str| match there {
        Some(name) => format!("uses the debug container {name}; the pod's spec stays as it is"),
        None => format!(
            "adds a container {}… ({}, {who}) to the pod's spec, where it stays until the pod ends; it sees the processes of {container} \
             and counts against the pod's memory; nothing is restarted; its process ends 30 min after the last session",
            prefix(),
            wish.image
        ),
    };
    match way {
        Way::Debug => debug("root, SYS_PTRACE"),
        Way::DebugSameUser => match user {
            Some(u) => debug(&format!("user {u}, no capabilities")),
            None => debug("the program's user, asked for in the container, no capabilities"),
        },
        Way::Exec => format!(
            "copies adit into the container {container}, runs it there as the container's user and within its memory limit, and removes it at the \
             end; the pod's spec stays as it is"
        ),
        Way::Node => format!(
            "makes a pod on the program's node that sees all processes of the node ({}, root, SYS_PTRACE, hostPID), in a namespace that has to \
             permit privileged pods (--node-namespace), and deletes it at the end; the program's pod stays as it is",
            wish.image
        ),
        Way::Endpoint => format!(
            "forwards a port of this machine to port {}, where the program has to serve net/http/pprof, and reads a goroutine dump; the program \
             makes it itself, and stands meanwhile; the pod stays as it is",
            port(c, wish)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(level: Option<&str>) -> Rights {
        let yes = || Right::Yes;
        Rights { debug: yes(), exec: yes(), attach: yes(), forward: yes(), level: level.map(String::from) }
    }

    fn pod(json: &str) -> Pod {
        serde_json::from_str(json).expect("a pod")
    }

    #[test]
    fn which_ways_are_closed() {
        let plain = pod(r#"{"spec":{"containers":[{"name":"app","securityContext":{"runAsUser":65532}}]}}"#);
        let root = pod(r#"{"spec":{"containers":[{"name":"app","securityContext":{"runAsUser":0}}]}}"#);
        let fixed = pod(
            r#"{"metadata":{"annotations":{"kubernetes.io/config.mirror":"x"}},"spec":{"containers":[{"name":"app"}]}}"#,
        );
        let no = |r: &Rights, debug, exec, forward| Rights { debug, exec, forward, ..r.clone() };
        let all = rights(Some("privileged"));
        let cases: Vec<(&Pod, Rights, Option<&str>, &[&str])> = vec![
            (&plain, all.clone(), None, &["debug", "debug-same-user", "exec", "endpoint"]),
            (&plain, rights(None), None, &["debug", "debug-same-user", "exec", "endpoint"]),
            (&plain, rights(Some("baseline")), None, &["debug-same-user", "exec", "endpoint"]),
            (&root, rights(Some("restricted")), None, &["exec", "endpoint"]),
            (&root, rights(Some("baseline")), None, &["debug-same-user", "exec", "endpoint"]),
            (&fixed, all.clone(), None, &["exec", "endpoint"]),
            (&plain, no(&all, Right::No, Right::Yes, Right::Yes), None, &["exec", "endpoint"]),
            (&plain, no(&all, Right::Yes, Right::No, Right::Yes), None, &["endpoint"]),
            (&plain, no(&all, Right::No, Right::No, Right::No), None, &[]),
            (&plain, all.clone(), Some("the node is linux/arm64"), &["endpoint"]),
        ];
        for (pod, r, system, open) in cases {
            let c = container(pod, None).expect("one container");
            let user = pod.user_of(&c);
            let got: Vec<&str> = Way::ALL
                .iter()
                .filter(|w| w.1 != Way::Node && closed(w.1, pod, &c, user, &r, system, false).is_none())
                .map(|w| w.0)
                .collect();
            assert_eq!(got, open, "{r:?} {system:?}");
        }
    }

    #[test]
    fn which_container() {
        let p = pod(r#"{"metadata":{"name":"w"},"spec":{"containers":[{"name":"app"},{"name":"proxy"}]}}"#);
        let f = container(&p, None).expect_err("two");
        assert!(f.fix.is_some_and(|f| f.contains("app, proxy")));
        assert_eq!(container(&p, Some("proxy")).map(|c| c.name).ok().as_deref(), Some("proxy"));
        assert!(container(&p, Some("x")).is_err());
        let p = pod(
            r#"{"metadata":{"annotations":{"kubectl.kubernetes.io/default-container":"b"}},"spec":{"containers":[{"name":"a"},{"name":"b"}]}}"#,
        );
        assert_eq!(container(&p, None).map(|c| c.name).ok().as_deref(), Some("b"));
    }

    #[test]
    fn one_that_runs_is_used_again() {
        let text = |state: &str, target: &str, name: &str| {
            format!(
                r#"{{"spec":{{"containers":[{{"name":"app"}}],"ephemeralContainers":[{{"name":"{name}","targetContainerName":"{target}"}}]}},
                "status":{{"ephemeralContainerStatuses":[{{"name":"{name}","state":{{"{state}":{{}}}}}}]}}}}"#
            )
        };
        let name = format!("{}x", prefix());
        assert_eq!(ours(&pod(&text("running", "app", &name)), "app"), Some(name.clone()));
        assert_eq!(ours(&pod(&text("terminated", "app", &name)), "app"), None);
        assert_eq!(ours(&pod(&text("running", "other", &name)), "app"), None);
        assert_eq!(ours(&pod(&text("running", "app", "adit-p0-x")), "app"), None);
    }
}
