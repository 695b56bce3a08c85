//! What the cluster says, as much of it as is needed. Field names are the API's (core/v1, apps/v1); what is unknown is passed over.

use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// `null` is the same as nothing: servers write both.
fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(d: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(d)?.unwrap_or_default())
}

macro_rules! objects {
    ($($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident: $t:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Deserialize, PartialEq)]
        #[serde(rename_all = "camelCase", default)]
        pub struct $name {
            $($(#[$fdoc])* #[serde(deserialize_with = "nullable")] pub $field: $t,)*
        }
    )*};
}

objects! {
    /// Metadata of anything.
    Meta {
        /// Its name.
        name: String,
        /// Its namespace.
        namespace: String,
        /// Labels.
        labels: BTreeMap<String, String>,
        /// Annotations.
        annotations: BTreeMap<String, String>,
        /// It is being deleted since.
        deletion_timestamp: Option<String>,
        /// What made it.
        owner_references: Vec<Reference>,
    }
    /// Another object.
    Reference {
        /// `ReplicaSet`, …
        kind: String,
        /// Its name.
        name: String,
    }
    /// A pod.
    Pod {
        /// Name and labels.
        metadata: Meta,
        /// What was asked for.
        spec: PodSpec,
        /// What is.
        status: PodStatus,
    }
    /// A list of pods.
    Pods {
        /// The pods.
        items: Vec<Pod>,
    }
    /// What a pod is to be.
    PodSpec {
        /// Its containers.
        containers: Vec<Container>,
        /// Containers that were added while it runs.
        ephemeral_containers: Vec<Container>,
        /// For all of its containers.
        security_context: Security,
        /// The containers see each other's processes.
        share_process_namespace: bool,
        /// They see the node's.
        #[serde(rename = "hostPID")]
        host_pid: bool,
        /// Where it runs.
        node_name: String,
        /// The runtime's class: gVisor, Kata.
        runtime_class_name: String,
        /// Seconds between SIGTERM and SIGKILL.
        termination_grace_period_seconds: Option<u64>,
        /// Volumes.
        volumes: Vec<Volume>,
    }
    /// A volume, as far as to know that it is scratch space.
    Volume {
        /// Its name.
        name: String,
        /// It is an empty folder of the pod.
        empty_dir: Option<serde_json::Value>,
    }
    /// A container.
    Container {
        /// Its name.
        name: String,
        /// Its image.
        image: String,
        /// Its program, in place of the image's.
        command: Vec<String>,
        /// Arguments, in place of the image's.
        args: Vec<String>,
        /// For it alone.
        security_context: Security,
        /// Restarts it.
        liveness_probe: Option<Probe>,
        /// Takes it out of service.
        readiness_probe: Option<Probe>,
        /// Holds the others back until it has succeeded once.
        startup_probe: Option<Probe>,
        /// Ports that it names.
        ports: Vec<Port>,
        /// Volumes in it.
        volume_mounts: Vec<Mount>,
        /// Of an ephemeral one: whose processes it sees.
        target_container_name: String,
    }
    /// A port.
    Port {
        /// Its number.
        container_port: u16,
        /// Its name.
        name: String,
    }
    /// A volume in a container.
    Mount {
        /// Which.
        name: String,
        /// Where.
        mount_path: String,
        /// It cannot be written.
        read_only: bool,
    }
    /// Who a container runs as, and what it may.
    Security {
        /// Its user.
        run_as_user: Option<u32>,
        /// It must not be root.
        run_as_non_root: Option<bool>,
        /// Its files cannot be written.
        read_only_root_filesystem: Option<bool>,
        /// It may do anything.
        privileged: Option<bool>,
    }
    /// A probe of the kubelet; what is not said is as the API has it by default: every 10 s, 1 s, 3 times.
    Probe {
        /// Seconds between two.
        period_seconds: Option<u32>,
        /// Seconds until an answer counts as none.
        timeout_seconds: Option<u32>,
        /// So many failures in a row count.
        failure_threshold: Option<u32>,
        /// Seconds between SIGTERM and SIGKILL when it fails.
        termination_grace_period_seconds: Option<u64>,
    }
    /// What a pod is.
    PodStatus {
        /// `Running`, …
        phase: String,
        /// Ready and others.
        conditions: Vec<Condition>,
        /// Its containers.
        container_statuses: Vec<ContainerStatus>,
        /// Those that run before them.
        init_container_statuses: Vec<ContainerStatus>,
        /// Those that were added.
        ephemeral_container_statuses: Vec<ContainerStatus>,
    }
    /// One thing that is so or not.
    Condition {
        /// Which.
        r#type: String,
        /// `True`, `False`, `Unknown`.
        status: String,
        /// `Unschedulable`, …
        reason: String,
        /// In words.
        message: String,
    }
    /// What a container is.
    ContainerStatus {
        /// Its name.
        name: String,
        /// What it does.
        state: State,
        /// How often it was restarted.
        restart_count: u32,
        /// `containerd://…`: the runtime's name for it.
        #[serde(rename = "containerID")]
        container_id: String,
    }
    /// One of three.
    State {
        /// It runs.
        running: Option<serde_json::Value>,
        /// It is over.
        terminated: Option<Reason>,
        /// It is not yet.
        waiting: Option<Reason>,
    }
    /// Why.
    Reason {
        /// `ErrImagePull`, `Completed`, …
        reason: String,
        /// In words.
        message: String,
        /// Its exit code.
        exit_code: i32,
    }
    /// A deployment, a stateful set, …: what has pods.
    Workload {
        /// Its name.
        metadata: Meta,
        /// What it is to be.
        spec: WorkloadSpec,
    }
    /// Which pods are its own.
    WorkloadSpec {
        /// By their labels.
        selector: Selector,
    }
    /// A choice by labels.
    Selector {
        /// Labels that they have.
        match_labels: BTreeMap<String, String>,
        /// More.
        match_expressions: Vec<Expression>,
    }
    /// One requirement.
    Expression {
        /// The label.
        key: String,
        /// `In`, `NotIn`, `Exists`, `DoesNotExist`.
        operator: String,
        /// Of these.
        values: Vec<String>,
    }
    /// Objects of several kinds.
    Things {
        /// The objects, each with its `kind`.
        items: Vec<serde_json::Value>,
    }
    /// A lease: who leads.
    Lease {
        /// Its name.
        metadata: Meta,
        /// Who holds it.
        spec: LeaseSpec,
    }
    /// Who holds a lease.
    LeaseSpec {
        /// The holder, as it calls itself.
        holder_identity: String,
        /// Seconds after which one that was not renewed may be taken.
        lease_duration_seconds: Option<u32>,
    }
    /// A horizontal autoscaler.
    Scaler {
        /// Its name.
        metadata: Meta,
        /// What it scales.
        spec: ScalerSpec,
    }
    /// What is scaled.
    ScalerSpec {
        /// The workload.
        scale_target_ref: Reference,
        /// Pods at least; 1 where it is not said.
        min_replicas: Option<u32>,
        /// Pods at most.
        max_replicas: u32,
    }
    /// A disruption budget.
    Budget {
        /// Its name.
        metadata: Meta,
        /// Of which pods.
        spec: WorkloadSpec,
        /// How many may be missing.
        status: BudgetStatus,
    }
    /// How many may be missing.
    BudgetStatus {
        /// So many may go now.
        disruptions_allowed: u32,
        /// So many are healthy.
        current_healthy: u32,
        /// So many have to be.
        desired_healthy: u32,
    }
    /// A namespace.
    Namespace {
        /// Its labels.
        metadata: Meta,
    }
    /// A node.
    Node {
        /// What it is.
        status: NodeStatus,
    }
    /// What a node is.
    NodeStatus {
        /// Its system.
        node_info: NodeInfo,
    }
    /// A node's system.
    NodeInfo {
        /// `linux`.
        operating_system: String,
        /// `amd64`.
        architecture: String,
        /// The runtime and its version.
        container_runtime_version: String,
    }
}

impl Selector {
    /// As `kubectl get -l` takes it; none for one that it cannot say.
    pub fn text(&self) -> Option<String> {
        let mut all: Vec<String> = self.match_labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        for e in &self.match_expressions {
            let (key, values) = (&e.key, e.values.join(","));
            all.push(match e.operator.as_str() {
                "In" => format!("{key} in ({values})"),
                "NotIn" => format!("{key} notin ({values})"),
                "Exists" => key.clone(),
                "DoesNotExist" => format!("!{key}"),
                _ => return None,
            });
        }
        // An empty one would choose everything.
        (!all.is_empty()).then(|| all.join(","))
    }
}

impl Selector {
    /// Does it choose what has these labels? An empty one chooses all; an operator that is not known, nothing.
    pub fn fits(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels.iter().all(|(k, v)| labels.get(k) == Some(v))
            && self.match_expressions.iter().all(|e| {
                let has = labels.get(&e.key);
                match e.operator.as_str() {
                    "In" => has.is_some_and(|v| e.values.contains(v)),
                    "NotIn" => has.is_none_or(|v| !e.values.contains(v)),
                    "Exists" => has.is_some(),
                    "DoesNotExist" => has.is_none(),
                    _ => false,
                }
            })
    }
}

impl State {
    /// Of a container that waits.
    pub fn waiting(reason: &str, message: &str) -> State {
        let why = Reason { reason: reason.into(), message: message.into(), ..Reason::default() };
        State { waiting: Some(why), ..State::default() }
    }
}

impl Pod {
    /// It runs, and is not on its way out.
    pub fn runs(&self) -> bool {
        self.status.phase == "Running" && self.metadata.deletion_timestamp.is_none()
    }
    /// It serves.
    pub fn ready(&self) -> bool {
        self.status.conditions.iter().any(|c| c.r#type == "Ready" && c.status == "True")
    }
    /// A container of the application.
    pub fn container(&self, name: &str) -> Option<&Container> {
        self.spec.containers.iter().find(|c| c.name == name)
    }
    /// The state of a container that was added.
    pub fn ephemeral(&self, name: &str) -> Option<&State> {
        self.status.ephemeral_container_statuses.iter().find(|s| s.name == name).map(|s| &s.state)
    }
    /// The user that a container is said to run as: its own, else the pod's; the image's is not known here.
    pub fn user_of(&self, c: &Container) -> Option<u32> {
        c.security_context.run_as_user.or(self.spec.security_context.run_as_user)
    }
    /// Is it forbidden to be root?
    pub fn non_root(&self, c: &Container) -> bool {
        c.security_context.run_as_non_root.or(self.spec.security_context.run_as_non_root).unwrap_or(false)
    }
    /// Folders of a container that can be written whatever its file system is: empty folders of the pod.
    pub fn scratch(&self, c: &Container) -> Vec<String> {
        let empty = |name: &str| self.spec.volumes.iter().any(|v| v.name == name && v.empty_dir.is_some());
        c.volume_mounts.iter().filter(|m| !m.read_only && empty(&m.name)).map(|m| m.mount_path.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_and_unknown_fields() {
        let p: Pod = serde_json::from_str(
            r#"{"apiVersion":"v1","metadata":{"name":"w","labels":null},"spec":{"containers":[{"name":"app","livenessProbe":null,
              "securityContext":{"runAsUser":7},"ports":null}],"hostPID":true,"volumes":[{"name":"t","emptyDir":{}}],"new":[1]},
              "status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}"#,
        )
        .expect("read");
        assert!(p.runs() && p.ready() && p.spec.host_pid);
        assert_eq!(p.user_of(&p.spec.containers[0]), Some(7));
        assert!(serde_json::from_str::<Pods>(r#"{"items":null}"#).is_ok_and(|l| l.items.is_empty()));
        assert!(serde_json::from_str::<Pod>(r#"{"spec":"x"}"#).is_err());
    }

    #[test]
    fn selectors() {
        let s: Selector = serde_json::from_str(
            r#"{"matchLabels":{"app":"web"},"matchExpressions":[{"key":"tier","operator":"In","values":["a","b"]},
              {"key":"old","operator":"DoesNotExist"}]}"#,
        )
        .expect("read");
        assert_eq!(s.text().as_deref(), Some("app=web,tier in (a,b),!old"));
        assert_eq!(Selector::default().text(), None);
        let labels = |all: &[(&str, &str)]| all.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        assert!(s.fits(&labels(&[("app", "web"), ("tier", "b")])));
        for not in
            [&[("app", "web")][..], &[("app", "web"), ("tier", "c")], &[("app", "web"), ("tier", "a"), ("old", "")]]
        {
            assert!(!s.fits(&labels(not)), "{not:?}");
        }
        assert!(Selector::default().fits(&labels(&[])));
    }
}
