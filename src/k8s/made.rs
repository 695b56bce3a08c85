//! Pods that adit makes: one on a program's node that sees the node's processes (`--way node`), and a copy of a pod whose program is started
//! under the debugger (`adit k8s debug`). Each is deleted at the end, and ends by itself after some hours where that cannot be done.

use super::inside::BUSY;
use super::kubectl::{Kubectl, QUICK, RUNNING};
use super::objects::{Pod, State};
use super::preflight::{Preflight, Way, Wish};
use super::ways::{self, IN_IMAGE, Inside, Leaves, Stuck, There, new_name, settle};
use crate::backend::client::Client;
use crate::backend::native::budget::Watched;
use crate::backend::protocol::{Failure, FailureKind};
use crate::base::text::{last_line, printable_str};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// What the label says that all of our pods have.
pub const BY: (&str, &str) = ("app.kubernetes.io/managed-by", "adit");
/// The annotation that names the pod that one is for.
pub const FOR: &str = "adit/for";
/// A pod that nobody deletes ends after so many seconds.
const DEADLINE: u32 = 4 * 3600;
/// Where a copy has adit: a volume of its own.
const VOLUME: &str = "adit";
const FOLDER: &str = "/.adit";
/// Longest name that a pod's containers see as their host's whole name.
const MAX_NAME: usize = 63;

/// `NAME-adit-RANDOM`, of the container's name that ends in the same.
fn pod_name(of: &str, container: &str) -> String {
    let random = container.rsplit('-').next().unwrap_or_default();
    let room = MAX_NAME - "-adit-".len() - random.len();
    let stem: String = of.chars().take(room).collect();
    format!("{}-adit-{random}", stem.trim_end_matches(['-', '.']))
}

fn metadata(name: &str, of: &Pod) -> Value {
    json!({"name": name, "labels": {BY.0: BY.1}, "annotations": {FOR: of.metadata.name}})
}

/// A pod on a node, with the node's processes.
fn on_node(p: &Preflight, name: &str, container: &str, image: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata(name, &p.pod), "spec": {
        "nodeName": p.pod.spec.node_name, "hostPID": true, "restartPolicy": "Never", "activeDeadlineSeconds": DEADLINE,
        "terminationGracePeriodSeconds": 5, "automountServiceAccountToken": false, "enableServiceLinks": false,
        "tolerations": [{"operator": "Exists"}],
        "containers": [{"name": container, "image": image, "command": [IN_IMAGE, "inside", "park", container],
            "securityContext": {"runAsUser": 0, "capabilities": {"add": ["SYS_PTRACE"]}}}]}})
}

/// The id that the runtime gave a container, without the runtime's name.
fn container_id(pod: &Pod, container: &str) -> Option<String> {
    let s = pod.status.container_statuses.iter().find(|s| s.name == container)?;
    let id = s.container_id.rsplit('/').next().unwrap_or_default();
    (id.len() >= 12 && id.bytes().all(|b| b.is_ascii_alphanumeric())).then(|| id.to_string())
}

/// By a pod on the program's node.
pub(super) fn node(k: &Arc<Kubectl>, p: &Preflight, wish: &Wish) -> Result<Inside, Stuck> {
    let k = Arc::new(k.elsewhere(wish.node_namespace.as_deref()));
    let id = container_id(&p.pod, &p.container.name).ok_or_else(|| {
        Failure::new(FailureKind::Unavailable, format!("the runtime's id of {} is not known", p.container.name))
            .fix("does the container run? kubectl describe pod says what it waits for")
    })?;
    let container = new_name()?;
    let name = pod_name(&p.pod.metadata.name, &container);
    make(&k, &name, &container, wish, &on_node(p, &name, &container, &wish.image))?;
    let there = There::new(&k, &name, &container, IN_IMAGE);
    settle(there, Some(&id), wish, Way::Node, Leaves::Pod).inspect_err(|_| {
        if let Some(left) = delete(&k, &name) {
            tracing::warn!("{left}");
        }
    })
}

/// Notes what [`node`] would run.
pub(super) fn plan_node(k: &Kubectl, p: &Preflight, wish: &Wish) -> Result<(), Failure> {
    let (container, name) = (format!("{}RANDOM", super::preflight::prefix()), "NAME");
    let there = k.elsewhere(wish.node_namespace.as_deref());
    create(&there, &on_node(p, name, &container, &wish.image))?;
    there.note(there.line(&ways::strs(&ways::inside_words(
        name,
        &container,
        IN_IMAGE,
        &["look", "--of", "ID"],
        false,
    ))));
    there.note(there.line(&["delete", "pod", name, "--wait=false"]));
    k.note(there.noted().join("\n"));
    Ok(())
}

/// May pods be deleted? None is made that would have to stay.
fn may_delete(k: &Kubectl) -> Result<(), Failure> {
    let a = k.ask(&["auth", "can-i", "delete", "pods"])?;
    if last_line(&String::from_utf8_lossy(&a.out)).split(' ').next() == Some("no") {
        return Err(Failure::new(FailureKind::Permission, "you may not delete pods, so none is made")
            .fix("a Role with the verbs create and delete on pods, bound to you"));
    }
    Ok(())
}

fn create(k: &Kubectl, manifest: &Value) -> Result<(), Failure> {
    let text = manifest.to_string();
    match k.change(&["create", "-f", "-"], Some(text.as_bytes()), RUNNING)? {
        Some(a) if !a.status.success() => Err(k.refused(&a)),
        _ => Ok(()),
    }
}

/// Makes a pod, and waits until one of its containers runs; one that does not come up is deleted.
fn make(k: &Kubectl, name: &str, container: &str, wish: &Wish, manifest: &Value) -> Result<(), Stuck> {
    if wish.image.is_empty() {
        return Err(Stuck::Image(ways::no_image()));
    }
    may_delete(k)?;
    create(k, manifest)?;
    ways::started(k, name, container, &wish.image, &|p| state(p, container)).map_err(|s| {
        let said = delete(k, name).unwrap_or_else(|| format!("the pod {name} was deleted again"));
        let (Stuck::Next(f) | Stuck::Image(f) | Stuck::Over(f)) = s;
        Stuck::Over(Failure { message: format!("{}; {said}", f.message), ..f })
    })
}

/// What one of the containers does; while those before it are busy, what they do.
fn state(pod: &Pod, container: &str) -> State {
    let all = &pod.status;
    if let Some(why) = all.conditions.iter().find(|c| c.r#type == "PodScheduled" && c.status == "False") {
        return State::waiting(&why.reason, &why.message);
    }
    let before = all.init_container_statuses.iter().map(|s| &s.state).find(|s| match (&s.waiting, &s.terminated) {
        (Some(w), _) => w.reason != "PodInitializing",
        (_, Some(t)) => t.exit_code != 0,
        _ => false,
    });
    let own = all.container_statuses.iter().find(|s| s.name == container).map(|s| &s.state);
    before.or(own).cloned().unwrap_or_default()
}

/// Deletes a pod of ours; why it could not be, and what to do.
pub(super) fn delete(k: &Kubectl, name: &str) -> Option<String> {
    let words = ["delete", "pod", name, "--wait=false"];
    let why = match k.change(&words, None, QUICK) {
        Ok(Some(a)) if !a.status.success() && !a.err.contains("NotFound") => a.why(),
        Ok(_) => return None,
        Err(f) => f.message,
    };
    let hours = DEADLINE / 3600;
    Some(format!("the pod {name} could not be deleted ({why}); it ends by itself after {hours} h: {}", k.line(&words)))
}

/// Ends one of our pods, unless a session is going on there; why it was not.
///
/// # Errors
/// kubectl cannot be run.
pub(super) fn end(k: &Kubectl, pod: &Pod) -> Result<Option<String>, Failure> {
    let name = &pod.metadata.name;
    for c in &pod.spec.containers {
        // `adit inside park NAME` is what ours run.
        let [adit, "inside", "park", parked] = c.command.iter().map(String::as_str).collect::<Vec<_>>()[..] else {
            continue;
        };
        let runs = pod.status.container_statuses.iter().any(|s| s.name == c.name && s.state.running.is_some());
        if !runs {
            continue;
        }
        let words = ways::inside_words(name, &c.name, adit, &["unpark", parked], false);
        // One that cannot be asked is deleted like one that has ended.
        if let Some(a) = k.change(&ways::strs(&words), None, RUNNING)?
            && a.err.contains(BUSY)
        {
            return Ok(Some(a.why()));
        }
    }
    Ok(delete(k, name))
}

/// A copy of a pod, in which adit starts the program.
pub struct Copied {
    k: Arc<Kubectl>,
    there: There,
    pod: String,
    deleted: bool,
}

impl Copied {
    /// The copy's name.
    pub fn pod(&self) -> &str {
        &self.pod
    }

    /// A client of a host in the copy's container of the program.
    ///
    /// # Errors
    /// None answers.
    pub fn connect(&self, profile: &str) -> Result<Client, Failure> {
        self.there.connect(profile, Watched::default(), true)
    }

    /// Deletes it; why it could not be, and what to do.
    pub fn leave(&mut self) -> Option<String> {
        if std::mem::replace(&mut self.deleted, true) {
            return None;
        }
        delete(&self.k, &self.pod)
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        if let Some(left) = self.leave() {
            tracing::warn!("{left}");
        }
    }
}

/// Makes a copy of a pod whose container of the program runs adit, which is put there by a container before it. The copy is alone: without
/// the labels by which services and controllers find the pod, and without probes. None under `--dry-run`, when commands are only noted.
///
/// # Errors
/// It may not be made; it does not come up.
pub fn copy(k: &Arc<Kubectl>, p: &Preflight, wish: &Wish) -> Result<Option<Copied>, Failure> {
    let whole: Value = k.get(&["get", "pod", &p.pod.metadata.name, "-o", "json"])?;
    let container = if k.dry_run { format!("{}RANDOM", super::preflight::prefix()) } else { new_name()? };
    let name = pod_name(&p.pod.metadata.name, &container);
    let of = &p.container.name;
    let manifest = copied(&whole, p, &name, &container, &wish.image)
        .ok_or_else(|| Failure::new(FailureKind::Host, "the pod's spec is not as it should be"))?;
    if k.dry_run {
        create(k, &manifest)?;
        let host = ways::host_words(Some((of, "SESSION")), wish.profile, Watched::default());
        let words = ways::inside_words(&name, of, &format!("{FOLDER}/adit"), &ways::strs(&host), true);
        k.note(k.line(&ways::strs(&words)));
        k.note(k.line(&["delete", "pod", &name, "--wait=false"]));
        return Ok(None);
    }
    make(k, &name, of, wish, &manifest).map_err(|s| {
        let (Stuck::Next(f) | Stuck::Image(f) | Stuck::Over(f)) = s;
        f
    })?;
    let there = There::new(k, &name, of, &format!("{FOLDER}/adit"));
    Ok(Some(Copied { k: k.clone(), there, pod: name, deleted: false }))
}

/// The command of the program: what was said, else what the pod's spec says; the image's own is not known here.
///
/// # Errors
/// It is not said; it has no path.
pub fn command(p: &Preflight, said: &[String]) -> Result<Vec<String>, Failure> {
    let c = &p.container;
    let own = || c.command.iter().chain(&c.args).cloned().collect::<Vec<_>>();
    let all = if said.is_empty() && !c.command.is_empty() { own() } else { said.to_vec() };
    let fix = format!("say it behind the pod: adit k8s debug {} -- /PATH/PROGRAM ARGS", p.pod.metadata.name);
    let fail = |m: String| Failure::new(FailureKind::BadRequest, m).fix(fix.clone());
    match all.first() {
        None => Err(fail(format!("the command of {} is known to its image alone", c.name))),
        Some(w) if !w.contains('/') => Err(fail(format!("{}: a path is needed", printable_str(w, 100)))),
        // Kubernetes puts variables in; nobody does that for us.
        Some(_) if said.is_empty() && all.iter().any(|w| w.contains("$(")) => {
            Err(fail("the command has variables in it, which the cluster would put in".into()))
        }
        Some(_) => Ok(all),
    }
}

/// Of a pod its copy.
fn copied(whole: &Value, p: &Preflight, name: &str, parked: &str, image: &str) -> Option<Value> {
    let mut spec = whole.get("spec")?.as_object()?.clone();
    for gone in ["nodeName", "ephemeralContainers", "hostname", "subdomain", "setHostnameAsFQDN", "schedulingGates"] {
        spec.remove(gone);
    }
    spec.insert("restartPolicy".into(), json!("Never"));
    spec.insert("activeDeadlineSeconds".into(), json!(DEADLINE));
    list(&mut spec, "volumes")?.push(json!({"name": VOLUME, "emptyDir": {}}));
    let mounts = |read_only| json!({"name": VOLUME, "mountPath": FOLDER, "readOnly": read_only});
    let mut security = Value::Null;
    for c in list(&mut spec, "containers")? {
        let c = c.as_object_mut()?;
        for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
            c.remove(probe);
        }
        if c.get("name")?.as_str()? == p.container.name {
            security = c.get("securityContext").cloned().unwrap_or(Value::Null);
            c.remove("lifecycle");
            c.remove("args");
            let adit = format!("{FOLDER}/adit");
            c.insert("command".into(), json!([adit, "inside", "park", p.container.name]));
            list(c, "volumeMounts")?.push(mounts(true));
        }
    }
    let mut first = json!({"name": parked, "image": image, "command": [IN_IMAGE, "inside", "install", FOLDER],
        "volumeMounts": [mounts(false)]});
    if !security.is_null() {
        first.as_object_mut()?.insert("securityContext".into(), security);
    }
    list(&mut spec, "initContainers")?.push(first);
    Some(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata(name, &p.pod), "spec": spec}))
}

/// A list of an object, empty where there is none.
fn list<'v>(of: &'v mut Map<String, Value>, key: &str) -> Option<&'v mut Vec<Value>> {
    let v = of.entry(key).or_insert_with(|| json!([]));
    if v.is_null() {
        *v = json!([]);
    }
    v.as_array_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_pods() {
        assert_eq!(pod_name("web-7d9f-x", "adit-p3-0a1b2c3d"), "web-7d9f-x-adit-0a1b2c3d");
        let long = pod_name(&"a".repeat(200), "adit-p3-0a1b2c3d");
        assert!(long.len() == MAX_NAME && long.ends_with("a-adit-0a1b2c3d"), "{long}");
        assert!(crate::k8s::is_name(&pod_name(&format!("{}-bbbbbbbbbb", "a".repeat(48)), "adit-p3-0a1b2c3d")));
    }

    #[test]
    fn ids() {
        let of = |id: &str| {
            let text = format!(r#"{{"status":{{"containerStatuses":[{{"name":"app","containerID":"{id}"}}]}}}}"#);
            container_id(&serde_json::from_str(&text).expect("a pod"), "app")
        };
        assert_eq!(of("containerd://0123456789abcdef").as_deref(), Some("0123456789abcdef"));
        assert_eq!(of(""), None);
        assert_eq!(of("containerd://../../../../x"), None);
    }

    #[test]
    fn what_a_container_waits_for() {
        let of =
            |status: &str| state(&serde_json::from_str(&format!("{{\"status\":{status}}}")).expect("a pod"), "app");
        let s = of(
            r#"{"conditions":[{"type":"PodScheduled","status":"False","reason":"Unschedulable","message":"0/1 nodes"}]}"#,
        );
        assert_eq!(s.waiting.map(|w| (w.reason, w.message)), Some(("Unschedulable".into(), "0/1 nodes".into())));
        let s = of(r#"{"containerStatuses":[{"name":"app","state":{"waiting":{"reason":"PodInitializing"}}}],
              "initContainerStatuses":[{"name":"i","state":{"waiting":{"reason":"ErrImagePull"}}}]}"#);
        assert_eq!(s.waiting.map(|w| w.reason).as_deref(), Some("ErrImagePull"));
        let s = of(r#"{"containerStatuses":[{"name":"app","state":{"running":{}}}],
              "initContainerStatuses":[{"name":"i","state":{"terminated":{"exitCode":0}}}]}"#);
        assert!(s.running.is_some());
    }
}
