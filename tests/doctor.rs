//! The attach doctor in the places where attaching does not work: other users, capabilities taken away, seccomp filters, user
//! namespaces, programs that are not dumpable. It has to name the cause, and what it says of a process has to be what then happens.
#![allow(clippy::unwrap_used)]

mod common;

use common::boxes::{self, DEFAULT_CAPS, in_box};
use common::build;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Child;

/// Two users that are not root.
const ONE: u32 = 4_711;
const OTHER: u32 = 4_712;

/// Programs where every user may run them.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let dir = boxes::open_folder();
        for (from, to) in [(PathBuf::from(env!("CARGO_BIN_EXE_adit")), "adit"), (build("heartbeat", &[]), "app")] {
            let to = dir.path().join(to);
            std::fs::hard_link(&from, &to).or_else(|_| std::fs::copy(&from, &to).map(drop)).unwrap();
        }
        std::fs::create_dir(dir.path().join("beats")).unwrap();
        std::fs::set_permissions(dir.path().join("beats"), std::fs::Permissions::from_mode(0o777)).unwrap();
        Place { dir }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// The heartbeat program in a box.
    fn program(&self, exe: &str, spec: Value) -> Program {
        let beat = self.path(&format!("beats/{}", std::fs::read_dir(self.dir.path().join("beats")).unwrap().count()));
        let mut spec = spec;
        spec["args"] = json!([self.path(exe), beat, "120"]);
        let (child, pid) = boxes::start(&spec);
        Program { child, pid }
    }

    /// What the doctor says of a process when it runs in a box, and whether goroutines can be read from there.
    fn ask(&self, pid: i32, spec: Value) -> Asked {
        let run = |args: &[&str]| {
            let mut spec = spec.clone();
            spec["args"] = json!([&[self.path("adit").as_str()], args].concat());
            let out = in_box(spec);
            let text = String::from_utf8_lossy(&out.stdout).into_owned();
            let v: Value = serde_json::from_str(&text)
                .unwrap_or_else(|e| panic!("{args:?}: {e}: {text} {}", String::from_utf8_lossy(&out.stderr)));
            v
        };
        let pid = pid.to_string();
        Asked { doctor: run(&["doctor", &pid, "--json"]), goroutines: run(&["goroutines", &pid, "--json"]) }
    }
}

struct Program {
    child: Child,
    pid: i32,
}

impl Drop for Program {
    fn drop(&mut self) {
        // It dies with its parent.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

struct Asked {
    doctor: Value,
    goroutines: Value,
}

impl Asked {
    /// Its failing checks: name, what was found, fix.
    fn failing(&self) -> Vec<(String, String, String)> {
        let all = self.doctor["checks"].as_array().unwrap();
        let text = |c: &Value, k: &str| c[k].as_str().unwrap().to_string();
        all.iter().filter(|c| c["ok"] == false).map(|c| (text(c, "check"), text(c, "found"), text(c, "fix"))).collect()
    }

    /// The first failing check is this one, and says these; and nothing can be read.
    fn refuses(&self, check: &str, found: &str, fix: &str) {
        let f = self.failing();
        let first = f.first().unwrap_or_else(|| panic!("all is well: {}", self.doctor));
        assert_eq!(first.0, check, "{f:?}");
        assert!(first.1.contains(found), "{found}: {first:?}");
        assert!(first.2.contains(fix), "{fix}: {first:?}");
        assert_eq!(
            (&self.doctor["ok"], &self.doctor["possible"]["observe"]),
            (&json!(false), &json!(false)),
            "{}",
            self.doctor
        );
        let error = self.goroutines["error"]["message"].as_str().unwrap_or_else(|| panic!("{}", self.goroutines));
        assert!(error.contains(found) && !error.contains('\n'), "the same cause: {error}");
    }

    /// Nothing fails, and goroutines are read.
    fn permits(&self) {
        assert_eq!(self.failing(), Vec::new(), "{}", self.doctor);
        assert_eq!(self.doctor["possible"]["control"], true, "{}", self.doctor);
        assert!(self.goroutines["count"].as_u64() >= Some(5), "{}", self.goroutines);
    }
}

fn user(uid: u32) -> Value {
    json!({"uid": uid, "all_caps": true})
}

#[test]
fn users_and_capabilities() {
    if !boxes::possible() {
        return;
    }
    let place = Place::new();
    let other = place.program("app", user(OTHER));
    place.ask(other.pid, user(OTHER)).permits();
    place.ask(other.pid, json!({"uid": 0, "all_caps": true})).permits();
    place.ask(other.pid, user(ONE)).refuses(
        "user",
        "target runs as uid 4712, you as 4711, without CAP_SYS_PTRACE",
        "uid 4712",
    );
    // Root as containers have it.
    let a = place.ask(other.pid, json!({"uid": 0, "caps": DEFAULT_CAPS}));
    a.refuses("user", "you as 0, without CAP_SYS_PTRACE", "not in the bounding set");
    // Where privileges cannot be gained, sudo is no advice.
    let a = place.ask(other.pid, json!({"uid": ONE, "all_caps": true, "no_new_privileges": true}));
    a.refuses("user", "without CAP_SYS_PTRACE", "no_new_privs is set");
    assert!(!a.failing()[0].2.contains("(sudo"));
    // In a pod: kubectl#1650.
    let in_pod = json!({"uid": ONE, "all_caps": true, "env": ["KUBERNETES_SERVICE_HOST=10.0.0.1"]});
    place.ask(other.pid, in_pod).refuses("user", "without CAP_SYS_PTRACE", "kubectl debug --custom with runAsUser 0");
    // The same user, who may do less.
    let root = place.program("app", json!({"uid": 0, "all_caps": true}));
    let a = place.ask(root.pid, json!({"uid": 0, "caps": DEFAULT_CAPS}));
    a.refuses("capability", "the target has capabilities that you lack: DAC_READ_SEARCH", "bounding set");
    // Both as containers have it: that is enough.
    let same = place.program("app", json!({"uid": 0, "caps": DEFAULT_CAPS}));
    place.ask(same.pid, json!({"uid": 0, "caps": DEFAULT_CAPS})).permits();
}

#[test]
fn seccomp_filters() {
    if !boxes::possible() {
        return;
    }
    let place = Place::new();
    let p = place.program("app", user(ONE));
    for call in ["ptrace", "process_vm_readv"] {
        let a = place.ask(p.pid, json!({"uid": ONE, "all_caps": true, "seccomp": call}));
        let f = a.failing();
        assert_eq!(f.first().map(|f| f.0.as_str()), Some("seccomp"), "{f:?}");
        assert!(f[0].1.contains(&format!("blocks {call} ")) && f[0].2.contains("SYS_PTRACE"), "{f:?}");
        assert_eq!(a.doctor["possible"]["control"], false, "{}", a.doctor);
    }
}

/// A program whose file its user cannot read is not dumpable.
#[test]
fn what_is_not_dumpable() {
    if !boxes::possible() {
        return;
    }
    let place = Place::new();
    std::fs::copy(build("heartbeat", &[]), place.path("closed")).unwrap();
    std::fs::set_permissions(place.path("closed"), std::fs::Permissions::from_mode(0o711)).unwrap();
    let p = place.program("closed", user(ONE));
    place.ask(p.pid, user(ONE)).refuses("dumpable", "is not dumpable", "CAP_SYS_PTRACE (sudo");
    place.ask(p.pid, json!({"uid": 0, "all_caps": true})).permits();
}

/// A capability is worth something in its own user namespace and below.
#[test]
fn user_namespaces() {
    if !boxes::possible() {
        return;
    }
    let place = Place::new();
    let outside = place.program("app", user(ONE));
    let a = place.ask(outside.pid, json!({"uid": 0, "all_caps": true, "userns": true}));
    a.refuses("user", "CAP_SYS_PTRACE is held in this user namespace, and the target is not in it", "in one above it");
    // From above it is.
    let inside = place.program("app", json!({"uid": 7, "all_caps": true, "userns": true}));
    place.ask(inside.pid, json!({"uid": 0, "all_caps": true})).permits();
    // And from beside it: whoever is root there.
    place.ask(inside.pid, json!({"uid": 0, "all_caps": true, "join": inside.pid})).permits();
    // A number of another namespace of processes means nothing here.
    let a = place.ask(outside.pid, json!({"uid": 0, "all_caps": true, "userns": true, "pidns": true, "mounts": true}));
    let f = a.failing();
    assert!(f[0].0 == "process" && f[0].2.contains("kubectl debug --target=CONTAINER"), "{f:?}");
}

#[test]
fn yama() {
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    let Ok(scope) = scope else {
        println!("this kernel has no Yama: tried by its settings only (target/linux/doctor.rs)");
        return;
    };
    if !boxes::possible() || scope.trim() != "1" {
        println!("ptrace_scope is {}: not ours to change", scope.trim());
        return;
    }
    let place = Place::new();
    let p = place.program("app", user(ONE));
    place.ask(p.pid, user(ONE)).refuses("yama", "ptrace_scope 1", "PR_SET_PTRACER");
}

/// Who traces it already, and what there is without a target.
#[test]
fn traced_and_without_a_target() {
    let heart = common::heart::Heart::start(&build("heartbeat", &[]));
    let d = common::Debuggee::attach(heart.pid());
    let out = common::oneshot::adit(&["doctor", &heart.pid().to_string(), "--json"]);
    let v: Value = serde_json::from_slice(&out.stdout).unwrap();
    let tracer = v["checks"].as_array().unwrap().iter().find(|c| c["check"] == "tracer").unwrap().clone();
    assert!(tracer["ok"] == false && tracer["fix"].as_str().unwrap().contains("read without control"), "{tracer}");
    assert_eq!((&v["possible"]["observe"], &v["possible"]["control"]), (&json!(true), &json!(false)));
    drop(d);
    let out = common::oneshot::adit(&["doctor"]);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    for check in ["kernel", "capability", "privileges", "yama", "seccomp", "memory"] {
        assert!(text.lines().any(|l| l.contains(check)), "{check}: {text}");
    }
    assert!(Path::new("/proc/self").exists());
}
