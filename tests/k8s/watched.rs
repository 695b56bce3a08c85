//! What else acts on a pod that is debugged, and pods that adit makes.

use super::*;
use adit::k8s::made;

/// What else acts on a pod that stands is said, and what may not be looked at.
#[test]
fn leases_autoscalers_and_budgets() {
    let mut c = Cluster::new();
    c.describe("web-a", 0, USER, 0);
    c.set(
        "around",
        json!([
            {"kind": "Lease", "metadata": {"name": "web-leader"}, "spec": {"holderIdentity": "web-a_4eb0", "leaseDurationSeconds": 6}},
            {"kind": "Lease", "metadata": {"name": "other"}, "spec": {"holderIdentity": "web-ab_4eb0", "leaseDurationSeconds": 2}},
            {"kind": "PodDisruptionBudget", "metadata": {"name": "pdb"}, "spec": {"selector": {"matchLabels": {"app": "web"}}},
                "status": {"disruptionsAllowed": 0, "currentHealthy": 2, "desiredHealthy": 2}},
            {"kind": "HorizontalPodAutoscaler", "metadata": {"name": "hpa"}, "spec": {"maxReplicas": 6, "minReplicas": 3,
                "scaleTargetRef": {"kind": "Deployment", "name": "web"}}},
        ]),
    );
    let owned = json!([{"kind": "ReplicaSet", "name": "web-6cb4"}]);
    c.what["pods"]["web-a"]["object"]["metadata"]["ownerReferences"] = owned;
    c.what["pods"]["web-a"]["object"]["metadata"]["labels"]["pod-template-hash"] = json!("6cb4");
    c.set("noisy", json!(false));
    let (text, code) = c.text(&["k8s", "doctor", "web-a"]);
    println!("{text}");
    assert_eq!(code, 0);
    for says in [
        "web-a holds the lease web-leader: who stands for 6 s loses it to another",
        "adit lets it go after 500 ms, held (H) after 3 s",
        "hpa keeps 3 to 6 pods",
        "pdb wants 2 healthy pods, 2 are",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    assert!(!text.contains("the lease other"), "{text}");
    let (v, _) = c.json(&["k8s", "doctor", "web-a"]);
    assert_eq!(v["pods"][0]["leases"], json!([{"lease": "web-leader", "lost_ms": 6000}]));
    c.set("no", json!(["list horizontalpodautoscalers", "list poddisruptionbudgets"]));
    let (text, _) = c.text(&["k8s", "doctor", "web-a"]);
    assert!(text.contains("holds the lease web-leader") && !text.contains("hpa keeps"), "{text}");
    assert!(
        text.contains("may matter: you may not list horizontalpodautoscalers; you may not list poddisruptionbudgets"),
        "{text}"
    );
}

/// A hold ends before the kubelet acts, is not made longer, and the next waits until the program was probed again.
#[test]
fn a_hold_ends_before_the_kubelet_acts() {
    if !boxes::possible() {
        return;
    }
    let mut c = beating(USER, false);
    c.container("web-a", "livenessProbe", json!({"periodSeconds": 2, "timeoutSeconds": 1, "failureThreshold": 2}));
    let i = enter(&c, Wish { profile: "prod", ..wish() }).expect("in");
    assert_eq!(i.watched.to_string(), "500,2500,3000");
    let client = i.connect("prod", true).expect("connected");
    let mut d = Debuggee::over(client, TargetSpec::Attach { pid: 1, exe: None, control: true }).expect("attached");
    let hold = |d: &mut Debuggee, reason: &str| d.call(Request::Hold { on: true, reason: reason.into() });
    hold(&mut d, "").expect("held");
    d.wait_stop().expect("a stop");
    let f = hold(&mut d, "one more look").expect_err("longer");
    assert!(f.message.contains("not held longer"), "{f}");
    let b = c.boxed("web-a");
    let (begun, stood_at) = (Instant::now(), beats(b));
    assert!(soon(|| beats(b) > stood_at));
    assert!(begun.elapsed() < Duration::from_millis(2_900), "it ran again after {:?}", begun.elapsed());
    let f = hold(&mut d, "").expect_err("at once");
    assert!(f.message.contains("again in"), "{f}");
    d.call(Request::Detach { kill: false }).expect("detached");
    drop((d, i));
    unharmed(b);
}

/// A line whose pod is no more is not made again.
#[test]
fn a_pod_that_is_deleted() {
    if !boxes::possible() {
        return;
    }
    let mut c = beating(USER, false);
    let i = enter(&c, wish()).expect("in");
    let mut d = debuggee(&i);
    let pods = c.what["pods"].clone();
    c.set("pods", json!({}));
    let own = own_children("relay");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(own[0]), nix::sys::signal::Signal::SIGKILL).expect("killed");
    let begun = Instant::now();
    assert_eq!(d.wait_stop(), None, "it is over");
    assert!(begun.elapsed() < Duration::from_secs(20), "told after {:?}", begun.elapsed());
    c.set("pods", pods);
    drop((d, i));
    // The host there lets go when it has not heard of anybody for long enough.
    assert!(beats_on(c.boxed("web-a")));
}

/// A way that was asked for and is closed says why; a debug container that runs is gone into without the right to add one.
#[test]
fn a_container_that_runs_needs_no_right_to_add_one() {
    if !boxes::possible() {
        return;
    }
    let mut c = beating(USER, false);
    c.set("no", json!(["patch ephemeralcontainers"]));
    let (text, code) = c.text(&["k8s", "diagnose", "web-a", "--way", "debug"]);
    assert!(code == 5 && text.contains("debug: you may not patch pods/ephemeralcontainers"), "{text}");
    c.set("no", json!([]));
    assert_eq!(c.text(&["k8s", "diagnose", "web-a"]).1, 0);
    c.set("no", json!(["patch ephemeralcontainers"]));
    let (text, code) = c.text(&["k8s", "diagnose", "web-a", "--way", "debug"]);
    assert!(code == 0 && c.added("web-a").len() == 1, "{text}");
    unharmed(c.boxed("web-a"));
}

/// The program from its start in a copy of its pod, which is deleted; the pod itself is left alone.
#[test]
fn a_copy_of_a_pod() {
    if !boxes::possible() {
        return;
    }
    let mut c = beating(USER, true);
    c.what["pods"]["web-a"]["root"] = json!(c.boxed("web-a").root.path());
    c.container("web-a", "command", json!(["/app", "/tmp/copied", "60"]));
    let mut k = Kubectl::of(c.kubectl(), None, None);
    let found = pods(&mut k, &Named::parse("web-a").unwrap()).expect("found");
    let k = Arc::new(k);
    let p = several::look_at(&k, found, &wish()).expect("looked").remove(0);
    let words = made::command(&p, &[]).expect("a command");
    let mut copy = made::copy(&k, &p, &wish()).expect("a copy").expect("no dry run");
    let client = copy.connect("dev").expect("connected");
    let spec =
        LaunchSpec { exe: (&words[0]).into(), args: words[1..].to_vec(), size: (80, 24), ..LaunchSpec::default() };
    let mut d = Debuggee::over(client, TargetSpec::Launch(spec)).expect("launched");
    assert_eq!(d.stop.as_ref().map(|s| s.at.function.clone()).as_deref(), Some("main.main"));
    d.break_at("main.hot");
    let stop = d.resume(ResumeKind::Continue).expect("a stop");
    assert!(matches!(stop.reason, StopReason::Breakpoint(_)), "{stop:?}");
    // While somebody is there it is not cleaned away.
    let (text, code) = c.text(&["k8s", "cleanup", "web-a"]);
    assert!(code == 5 && text.contains("still runs") && text.contains("sessions are going on"), "{text}");
    drop(d);
    assert_eq!(copy.leave(), None);
    assert!(c.calls().iter().any(|w| w.contains(&"delete".into()) && w.contains(&copy.pod().into())));
    // One that was left behind by a client that was killed.
    std::mem::forget(made::copy(&k, &p, &wish()).expect("a copy"));
    let (text, code) = c.text(&["k8s", "cleanup", "web-a"]);
    assert!(code == 0 && text.contains("was deleted"), "{text}");
    assert!(beats_on(c.boxed("web-a")));
    // What only the image knows has to be said.
    let (text, code) = c.text(&["k8s", "debug", "web-a", "--dry-run"]);
    assert!(code == 0 && text.contains("create -f -") && text.contains("initContainers"), "{text}");
    c.container("web-a", "command", json!(null));
    let (text, code) = c.text(&["k8s", "debug", "web-a", "--dry-run"]);
    assert!(code == 2 && text.contains("known to its image alone"), "{text}");
}

/// A pod on the node is made only when it is asked for, is deleted, and is not made where it could not be.
#[test]
fn a_pod_on_the_node() {
    if !boxes::possible() {
        return;
    }
    let mut c = beating(USER, false);
    let node = ["k8s", "diagnose", "web-a", "--way", "node"];
    let (text, code) = c.text(&node);
    assert!(code == 5 && text.contains("runtime's id of app is not known"), "{text}");
    c.what["pods"]["web-a"]["object"]["status"]["containerStatuses"] =
        json!([{"name": "app", "containerID": "containerd://0123456789abcdef0123456789abcdef"}]);
    c.set("no", json!(["delete pods"]));
    let (text, code) = c.text(&node);
    assert!(code == 5 && text.contains("you may not delete pods, so none is made"), "{text}");
    c.set("no", json!([]));
    c.calls();
    // No process here has that container's cgroup.
    let (text, code) = c.text(&node);
    assert!(code == 5 && text.contains("no processes are to be seen there"), "{text}");
    let verbs = c.verbs();
    assert!(verbs.contains(&"create".into()) && verbs.last() == Some(&"delete".into()), "{verbs:?}");
    c.set("images", json!({}));
    let (text, code) = c.text(&node);
    assert!(code == 5 && text.contains("ErrImagePull") && text.contains("was deleted again"), "{text}");
    c.level("baseline");
    let (text, code) = c.text(&node);
    assert!(code == 5 && text.contains("hostPID=true") && text.contains("--node-namespace"), "{text}");
    unharmed(c.boxed("web-a"));
}
