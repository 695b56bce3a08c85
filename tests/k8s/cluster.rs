//! A cluster for a test: what the stand-in for kubectl answers from, and the programs in its pods.

use crate::common::boxes::{self, Boxed};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

pub const IMAGE: &str = "registry.test/adit:1";
/// A user that is not root.
pub const USER: u32 = 4_711;

pub struct Cluster {
    dir: tempfile::TempDir,
    image: tempfile::TempDir,
    pub what: Value,
    pub pods: Vec<(String, Boxed)>,
}

impl Cluster {
    pub fn new() -> Cluster {
        let dir = boxes::open_folder();
        let image = boxes::image();
        let kubectl = dir.path().join("kubectl");
        let text = format!(
            "#!/bin/sh\nKUBE_STANDIN='{}' exec '{}' \"$@\"\n",
            dir.path().display(),
            boxes::standin().display()
        );
        std::fs::write(&kubectl, text).expect("written");
        std::fs::set_permissions(&kubectl, std::fs::Permissions::from_mode(0o755)).expect("chmod");
        let what = json!({
            "namespace": {"metadata": {"name": "shop", "labels": {}}},
            "node": {"status": {"nodeInfo": {"operatingSystem": "linux", "architecture": "amd64", "containerRuntimeVersion": "containerd://2.0.0"}}},
            "images": {IMAGE: image.path()},
            "pods": {},
            "workloads": {"deployment/web": {"metadata": {"name": "web", "namespace": "shop"},
                "spec": {"selector": {"matchLabels": {"app": "web"}}}}},
        });
        let c = Cluster { dir, image, what, pods: Vec::new() };
        c.write();
        c
    }

    fn write(&self) {
        std::fs::write(self.dir.path().join("cluster.json"), self.what.to_string()).expect("written");
    }

    /// Changes what there is.
    pub fn set(&mut self, key: &str, value: Value) -> &mut Cluster {
        self.what[key] = value;
        self.write();
        self
    }

    /// Pod Security enforces a level.
    pub fn level(&mut self, level: &str) -> &mut Cluster {
        self.what["namespace"]["metadata"]["labels"] = json!({"pod-security.kubernetes.io/enforce": level});
        self.set("level", json!(level))
    }

    /// Changes a field of a pod's spec: its container's.
    pub fn container(&mut self, pod: &str, key: &str, value: Value) {
        self.what["pods"][pod]["object"]["spec"]["containers"][0][key] = value;
        self.write();
    }

    /// A pod with a real program in namespaces of its own.
    pub fn pod(&mut self, name: &str, program: &str, args: &[&str], uid: u32, shell: bool) -> &Boxed {
        let b = Boxed::program(program, args, uid, shell);
        self.describe(name, b.pid, uid, 0);
        self.pods.push((name.to_string(), b));
        &self.pods[self.pods.len() - 1].1
    }

    /// A pod in words only.
    pub fn describe(&mut self, name: &str, pid: i32, uid: u32, port: u16) {
        let object = json!({"metadata": {"name": name, "namespace": "shop", "labels": {"app": "web"}},
            "spec": {"nodeName": "n1", "containers": [{"name": "app", "image": "shop/web:1", "securityContext": {"runAsUser": uid},
                "livenessProbe": {"httpGet": {"path": "/healthz"}}}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        self.what["pods"][name] = json!({"object": object, "pid": pid, "uid": uid, "port": port});
        self.write();
    }

    pub fn boxed(&self, name: &str) -> &Boxed {
        &self.pods.iter().find(|p| p.0 == name).expect("a pod").1
    }

    pub fn kubectl(&self) -> PathBuf {
        self.dir.path().join("kubectl")
    }

    /// The image's root, to see what is left in it.
    pub fn image(&self) -> PathBuf {
        self.image.path().to_path_buf()
    }

    /// `adit ARGS` with this cluster.
    pub fn adit(&self, args: &[&str]) -> Output {
        let mut c = Command::new(env!("CARGO_BIN_EXE_adit"));
        c.args(args).env("ADIT_KUBECTL", self.kubectl()).env("ADIT_IMAGE", IMAGE);
        c.output().expect("adit runs")
    }

    /// What it prints as JSON, and its exit code.
    pub fn json(&self, args: &[&str]) -> (Value, i32) {
        let out = self.adit(&[args, &["--json"]].concat());
        let text = String::from_utf8_lossy(&out.stdout);
        let v = serde_json::from_str(&text)
            .unwrap_or_else(|e| panic!("{args:?}: {e}: {text}\n{}", String::from_utf8_lossy(&out.stderr)));
        (v, out.status.code().unwrap_or(-1))
    }

    /// What it says on both streams, and its exit code.
    pub fn text(&self, args: &[&str]) -> (String, i32) {
        let out = self.adit(args);
        let both = [out.stdout, out.stderr].concat();
        (String::from_utf8_lossy(&both).into_owned(), out.status.code().unwrap_or(-1))
    }

    /// Commands that kubectl was given, and forgets them.
    pub fn calls(&self) -> Vec<Vec<String>> {
        let path = self.dir.path().join("calls");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let _none_yet = std::fs::remove_file(&path);
        text.lines().map(|l| serde_json::from_str(l).expect("a call")).collect()
    }

    /// The subcommands of the calls.
    pub fn verbs(&self) -> Vec<String> {
        let verb = |c: Vec<String>| c.into_iter().find(|w| !w.starts_with("--")).unwrap_or_default();
        self.calls().into_iter().map(verb).collect()
    }

    /// Debug containers that were added to a pod.
    pub fn added(&self, pod: &str) -> Vec<Value> {
        let dir = std::fs::read_dir(self.dir.path().join("added").join(pod));
        let read = |p: PathBuf| serde_json::from_str(&std::fs::read_to_string(p).expect("read")).expect("JSON");
        dir.map(|d| d.flatten().map(|e| read(e.path())).collect()).unwrap_or_default()
    }
}
