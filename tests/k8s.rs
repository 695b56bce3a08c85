//! Programs in pods, through a stand-in for kubectl that answers as a cluster does and really runs what it is told to, in namespaces.
#![allow(clippy::unwrap_used)]

#[path = "k8s/cluster.rs"]
mod cluster;
mod common;
#[path = "k8s/watched.rs"]
mod watched;

use adit::backend::protocol::*;
use adit::engine::Loaded;
use adit::engine::rescue::differences;
use adit::k8s::kubectl::Kubectl;
use adit::k8s::preflight::{Way, Wish, pods};
use adit::k8s::ways::{self, Entered, Inside};
use adit::k8s::{Named, pods as several};
use adit::model::*;
use cluster::{Cluster, IMAGE, USER};
use common::boxes::{self, Boxed};
use common::screen::Screen;
use common::*;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A pod with the heartbeat program.
fn beating(uid: u32, shell: bool) -> Cluster {
    let mut c = Cluster::new();
    c.pod("web-a", "heartbeat", &["/tmp/beat", "120"], uid, shell);
    c
}

/// Ticks of the heartbeat, as seen from outside.
fn beats(b: &Boxed) -> u64 {
    let bytes = std::fs::read(b.root.path().join("tmp/beat")).expect("the heartbeat");
    u64::from_le_bytes(bytes[..8].try_into().unwrap())
}

fn beats_on(b: &Boxed) -> bool {
    let from = beats(b);
    soon(|| beats(b) > from + 5)
}

fn soon(what: impl Fn() -> bool) -> bool {
    common::within(Duration::from_secs(20), what).is_some()
}

/// The program is as it was: it runs, its text is the file's, nobody traces it, and no process of ours is left to it.
fn unharmed(b: &Boxed) {
    assert!(soon(|| adit::target::linux::procfs::tracer_of(b.pid) == 0), "let go");
    assert!(beats_on(b), "it runs");
    assert_eq!(b.zombies(), Vec::<String>::new(), "nothing is left to it");
    let l = Loaded::open(b.pid, None).expect("readable");
    for s in l.sym.image().segments().iter().filter(|s| s.exec) {
        let file = l.sym.image().bytes_at(s.addr, s.file_size as usize).expect("text");
        assert_eq!(differences(&*l.mem, l.bias.to_load(s.addr), file).len(), 0, "text is the file's");
    }
}

/// Goes in as `adit k8s` does.
fn enter(c: &Cluster, wish: Wish) -> Result<Box<Inside>, Failure> {
    let mut k = Kubectl::of(c.kubectl(), None, None);
    let found = pods(&mut k, &Named::parse("web-a")?)?;
    let looked = several::look_at(&k, found, &wish)?;
    match ways::enter(&Arc::new(k), &looked[0], &wish, &|said| println!("{said}"))? {
        Entered::Inside(i) => Ok(i),
        Entered::Endpoint(_) => panic!("an endpoint"),
    }
}

fn wish() -> Wish {
    Wish { image: IMAGE.into(), profile: "dev", adit: Some(env!("CARGO_BIN_EXE_adit").into()), ..Wish::default() }
}

fn debuggee(i: &Inside) -> Debuggee {
    let client = i.connect("dev", true).expect("connected");
    let spec = TargetSpec::Attach { pid: i.process.pid, exe: None, control: true };
    Debuggee::over(client, spec).expect("attached")
}

/// Breakpoints across namespaces of users, processes and mounts, by every way that has a host in the pod.
#[test]
fn debugging_in_a_pod() {
    if !boxes::possible() {
        return;
    }
    for (uid, way) in
        [(USER, Way::Debug), (USER, Way::DebugSameUser), (USER, Way::Exec), (0, Way::DebugSameUser), (0, Way::Exec)]
    {
        let mut c = beating(uid, way == Way::Exec);
        if way == Way::DebugSameUser {
            c.level("baseline");
        }
        let i = enter(&c, Wish { way: Some(way), ..wish() }).unwrap_or_else(|f| panic!("{way:?} as {uid}: {f}"));
        assert_eq!((i.process.pid, i.process.uid, i.way), (1, uid, way));
        let mut d = debuggee(&i);
        let b = d.break_at("main.hot");
        let stop = d.wait_stop().expect("a stop");
        assert_eq!(stop.reason, StopReason::Breakpoint(b.id), "{way:?}");
        d.call(Request::ClearBreakpoint(b.id)).expect("cleared");
        d.resume(ResumeKind::Next).expect("a stop");
        d.call(Request::Detach { kill: false }).expect("detached");
        drop(d);
        drop(i);
        let boxed = c.boxed("web-a");
        unharmed(boxed);
        assert_eq!(c.added("web-a").len(), usize::from(way != Way::Exec), "{way:?}");
        // What was copied there is gone.
        let left: Vec<_> =
            std::fs::read_dir(boxed.root.path().join("tmp")).unwrap().flatten().map(|e| e.file_name()).collect();
        assert_eq!(left, ["beat"], "{way:?}");
    }
}

/// The host in a debug container outlives its line; one beside the program lets go.
#[test]
fn a_line_that_breaks() {
    if !boxes::possible() {
        return;
    }
    for way in [Way::Debug, Way::Exec] {
        let c = beating(USER, true);
        let i = enter(&c, Wish { way: Some(way), ..wish() }).expect("in");
        let mut d = debuggee(&i);
        let b = d.break_at("main.hot");
        let stop = d.wait_stop().expect("a stop");
        d.stop = None;
        // kubectl dies; it is a child of ours.
        let own = own_children(if way == Way::Debug { "relay" } else { "supervise" });
        assert_eq!(own.len(), 1, "{own:?}");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(own[0]), nix::sys::signal::Signal::SIGKILL).expect("killed");
        let begun = Instant::now();
        match way {
            Way::Debug => {
                let again = d.wait_stop().expect("the same stop");
                assert_eq!((again.epoch, &again.reason), (stop.epoch, &stop.reason));
                assert!(d.logs.iter().any(|l| l.contains("there again")), "{:?}", d.logs);
                match d.call(Request::Breakpoints) {
                    Ok(Reply::Breakpoints(all)) => assert!(all.iter().any(|x| x.id == b.id)),
                    other => panic!("{other:?}"),
                }
            }
            _ => assert!(soon(|| beats_on(c.boxed("web-a")))),
        }
        println!("{way:?}: taken up again after {:?}", begun.elapsed());
        let _lost_or_detached = d.call(Request::Detach { kill: false });
        drop(d);
        drop(i);
        unharmed(c.boxed("web-a"));
    }
}

/// Children of this process with a word in their command line.
fn own_children(word: &str) -> Vec<i32> {
    let me = std::process::id().to_string();
    let mut found = Vec::new();
    for e in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(status) = std::fs::read_to_string(e.path().join("status")) else { continue };
        let ours = status.lines().any(|l| l.strip_prefix("PPid:").is_some_and(|p| p.trim() == me));
        let line = std::fs::read(e.path().join("cmdline")).unwrap_or_default();
        if ours && String::from_utf8_lossy(&line).split('\0').any(|w| w == word) {
            found.extend(e.file_name().to_string_lossy().parse::<i32>());
        }
    }
    found
}

#[test]
fn one_shots_and_a_container_that_is_used_again() {
    if !boxes::possible() {
        return;
    }
    let c = beating(USER, false);
    let (v, code) = c.json(&["goroutines", "k8s://shop/web-a"]);
    assert!(code == 0 && v["count"].as_u64().unwrap() >= 5, "{v}");
    assert_eq!(v["target"]["pid"], 1);
    assert!(v["target"]["exe"].as_str().is_some_and(|e| e.ends_with("/app")), "{v}");
    let first = c.added("web-a");
    assert_eq!((first.len(), &first[0]["uid"]), (1, &json!(0)), "root, by --custom");
    assert!(c.verbs().contains(&"debug".to_string()));
    let (v, code) = c.json(&["k8s", "diagnose", "web-a"]);
    assert!(code == 0 && v["schema"] == "adit/diagnosis/1", "{v}");
    assert_eq!(c.added("web-a").len(), 1, "the same container");
    assert!(!c.verbs().contains(&"debug".to_string()));
    unharmed(c.boxed("web-a"));
    // Its process ends when it is told to; what stays is said.
    let (v, code) = c.json(&["k8s", "cleanup", "web-a"]);
    let done = v["pods"][0]["containers"][0]["done"].as_str().unwrap_or("").to_string();
    assert!(code == 0 && done.contains("was ended") && done.contains("stays in the pod's spec"), "{v}");
    let (text, code) = c.text(&["k8s", "cleanup", "deploy/web"]);
    assert!(code == 0 && text.contains("(ended): it stays"), "{text}");
    // Then the next one is a new one.
    let (_, code) = c.json(&["k8s", "diagnose", "web-a"]);
    assert_eq!((code, c.added("web-a").len()), (0, 2));
    unharmed(c.boxed("web-a"));
}

/// While a session is going on its container is not ended.
#[test]
fn cleaning_up_under_somebody() {
    if !boxes::possible() {
        return;
    }
    let c = beating(USER, true);
    let i = enter(&c, wish()).expect("in");
    let d = debuggee(&i);
    let (text, code) = c.text(&["k8s", "cleanup", "web-a"]);
    assert!(code == 5 && text.contains("sessions are going on"), "{text}");
    drop(d);
    // A copy that a client which was killed has left.
    let tmp = c.boxed("web-a").root.path().join("tmp");
    let left = tmp.join("adit-0.1.0-1-01234567.s0011");
    std::fs::write(&left, "x").unwrap();
    std::fs::write(tmp.join("adit-notes.txt"), "x").unwrap();
    let (text, _) = c.text(&["k8s", "cleanup", "web-a"]);
    assert!(text.contains("/tmp/adit-0.1.0-1-01234567.s0011 removed") && !left.exists(), "{text}");
    assert!(tmp.join("adit-notes.txt").exists());
}

/// Each way falls to the next, and says why.
#[test]
fn ways_fall_to_the_next() {
    if !boxes::possible() {
        return;
    }
    let mut c = beating(USER, true);
    // Pod Security: what a preflight knows it does not try; what it cannot know, the API server says.
    c.level("baseline").set("namespace", json!(null));
    let (text, code) = c.text(&["k8s", "diagnose", "web-a"]);
    assert!(code == 0 && text.contains("debug: kubectl: Error from server (Forbidden)"), "{text}");
    assert!(text.contains("violates PodSecurity \"baseline:latest\""), "{text}");
    assert_eq!(c.added("web-a")[0]["uid"], USER, "the program's own user");
    // Without images, and without a word about them.
    let mut c = beating(USER, true);
    c.set("images", json!({}));
    let (text, code) = c.text(&["k8s", "diagnose", "web-a"]);
    assert!(code == 0 && text.contains("does not start: ErrImagePull"), "{text}");
    assert_eq!(c.added("web-a").len(), 1, "the same image is not tried twice: what is added stays");
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_adit"))
        .args(["k8s", "diagnose", "web-a"])
        .env("ADIT_KUBECTL", c.kubectl())
        .env_remove("ADIT_IMAGE")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success() && said.contains("no image for a debug container is named"), "{said}");
    // The capability is added and worth nothing (kubectl#1650): the same user then.
    let mut c = beating(USER, false);
    c.set("no_caps", json!(true));
    let (text, code) = c.text(&["k8s", "diagnose", "web-a"]);
    assert!(code == 0 && text.contains("debug: ") && text.contains("CAP_SYS_PTRACE"), "{text}");
    assert!(c.added("web-a").iter().any(|e| e["uid"] == USER));
    // An old kubectl without --custom runs as the image's user, which may not read another's program; nor is there a shell.
    // (Its own log stands between what kubectl says.)
    let mut c = beating(USER, false);
    c.set("old_kubectl", json!(true)).set("noisy", json!(true));
    let (text, code) = c.text(&["k8s", "diagnose", "web-a"]);
    assert_eq!(code, 5, "{text}");
    for says in [
        "no way into web-a: debug: ",
        "there is no shell in app",
        "endpoint: no profiles are served at port 6060: nobody listens there",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    unharmed(c.boxed("web-a"));
}

/// The user that only an image says is asked for.
#[test]
fn a_user_that_only_the_image_says() {
    if !boxes::possible() {
        return;
    }
    let mut c = beating(USER, true);
    c.level("baseline");
    c.container("web-a", "securityContext", json!({}));
    let (_, code) = c.json(&["k8s", "diagnose", "web-a", "--way", "debug-same-user"]);
    assert_eq!((code, &c.added("web-a")[0]["uid"]), (0, &json!(USER)));
    let mut c = beating(USER, false);
    c.container("web-a", "securityContext", json!({}));
    let (text, code) = c.text(&["k8s", "diagnose", "web-a", "--way", "debug-same-user"]);
    assert!(code == 5 && text.contains("--user UID"), "{text}");
    let (_, code) = c.json(&["k8s", "diagnose", "web-a", "--way", "debug-same-user", "--user", &USER.to_string()]);
    assert_eq!(code, 0);
}

/// Goroutines of all replicas, grouped across them.
#[test]
fn all_replicas() {
    if !boxes::possible() {
        return;
    }
    let mut c = Cluster::new();
    c.pod("web-a", "parked", &["1841"], USER, false);
    c.pod("web-b", "parked", &["11"], USER, false);
    c.pod("web-c", "sick", &["lock-cycle"], 0, false);
    let (text, code) = c.text(&["k8s", "diagnose", "deploy/web"]);
    assert!(code == 2 && text.contains("there are 3 pods: web-a, web-b, web-c"), "{text}");
    let (text, code) = c.text(&["k8s", "diagnose", "deploy/web", "--all", "--max-parallel", "2"]);
    println!("{text}");
    assert_eq!(code, 1, "findings: {text}");
    assert!(text.contains("on 3 pods") && text.contains("1,842 on web-a, 12 on web-b"), "{text}");
    assert!(text.lines().any(|l| l.starts_with("web-c  HIGH lock-cycle")), "{text}");
    let (v, _) = c.json(&["k8s", "diagnose", "deploy/web", "--all"]);
    let group = v["groups"]
        .as_array()
        .unwrap()
        .iter()
        .find(|g| g["pods"].as_array().unwrap().len() == 2 && g["count"].as_u64() >= Some(1854));
    let group = group.unwrap_or_else(|| panic!("{v}"));
    assert_eq!(group["pods"][0]["pod"], "web-a");
    let findings = v["pods"][2]["findings"].as_array().unwrap();
    assert!(findings.iter().any(|f| f["kind"] == "lock-cycle"), "{v}");
    // One that cannot be looked at does not keep the others from it.
    c.describe("web-d", 0, USER, 0);
    let (text, code) = c.text(&["k8s", "diagnose", "deploy/web", "--all", "--no-heap"]);
    assert!(
        code == 5 && text.contains("web-d: not looked at: no way into web-d") && text.contains("on 3 of 4 pods"),
        "{text}"
    );
    // Copies of all, which open.
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("copies");
    let (text, code) = c.text(&["k8s", "snapshot", "deploy/web", "--all", "-o", folder.to_str().unwrap()]);
    assert!(code == 5 && text.contains("12 on web-b"), "{text}");
    let file = folder.join("web-c.adit");
    let out = common::oneshot::adit(&["diagnose", file.to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(1), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(!folder.join("web-d.adit").exists());
}

#[test]
fn a_copy_comes_here() {
    if !boxes::possible() {
        return;
    }
    let c = beating(USER, false);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("web.adit");
    let (v, code) = c.json(&["k8s", "snapshot", "web-a", "-o", file.to_str().unwrap()]);
    assert!(code == 0 && v["pods"][0]["goroutines"].as_u64() >= Some(5), "{v}");
    assert!(v["pods"][0]["read"]["pause_us"].as_u64().is_some_and(|us| us > 0 && us < 500_000), "{v}");
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let g = common::oneshot::json(&["goroutines", file.to_str().unwrap()]);
    assert_eq!(g["target"]["kind"], "snapshot");
    // Nothing of it is in the pod, and a file that is there is not replaced.
    assert!(
        !std::fs::read_dir(c.image())
            .unwrap()
            .flatten()
            .any(|e| e.metadata().unwrap().len() > 1 << 20 && e.file_name() != "adit" && e.path().is_file())
    );
    let (text, code) = c.text(&["k8s", "snapshot", "web-a", "-o", file.to_str().unwrap()]);
    assert!(code == 2 && text.contains("--force"), "{text}");
    let (_, code) = c.text(&["k8s", "snapshot", "web-a", "-o", file.to_str().unwrap(), "--force"]);
    assert_eq!(code, 0);
    unharmed(c.boxed("web-a"));
}

/// The full screen over kubectl.
#[test]
fn the_screen_in_a_pod() {
    if !boxes::possible() {
        return;
    }
    let c = beating(USER, false);
    let env = [("ADIT_KUBECTL", c.kubectl().display().to_string()), ("ADIT_IMAGE", IMAGE.to_string())];
    let mut s = Screen::start_with(120, 40, &["k8s", "attach", "web-a", "--profile", "dev"], &env);
    s.wait_for("CONTROL");
    s.send("3");
    s.command("break main.hot");
    s.wait_for("stopped: bp 1");
    s.send("q");
    s.wait_for("d detach");
    s.send("d");
    assert!(soon(|| adit::target::linux::procfs::tracer_of(c.boxed("web-a").pid) == 0), "{}", s.text());
    drop(s);
    unharmed(c.boxed("web-a"));
}

/// What only serves its own endpoint.
#[test]
fn an_endpoint() {
    let mut c = Cluster::new();
    let mut child =
        std::process::Command::new(build("served", &[])).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    use std::io::BufRead;
    std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.split([' ', ':']).nth(2).unwrap().parse().unwrap();
    c.describe("web-a", 0, USER, port);
    c.set("no", json!(["patch ephemeralcontainers", "create exec"]));
    let (v, code) = c.json(&["k8s", "diagnose", "web-a"]);
    assert!(code == 0 && v["target"]["kind"] == "dump", "{v}");
    let (v, code) = c.json(&["goroutines", "k8s://shop/web-a"]);
    assert!(code == 0 && v["count"].as_u64() >= Some(2), "{v}");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("dump.txt");
    let (text, code) = c.text(&["k8s", "snapshot", "web-a", "-o", file.to_str().unwrap()]);
    assert!(code == 0 && std::fs::read_to_string(&file).unwrap().starts_with("goroutine "), "{text}");
    let (v, code) = c.json(&["k8s", "prof", "web-a", "--kind", "heap", "--port", "6060"]);
    assert!(code == 0 && v.to_string().contains("main.fill"), "{v}");
    c.set("no", json!(["patch ephemeralcontainers", "create exec", "create portforward"]));
    let (text, code) = c.text(&["k8s", "diagnose", "web-a"]);
    assert!(code == 5 && text.contains("you may not create pods/portforward"), "{text}");
    let _ended = child.kill();
    let _status = child.wait();
}

/// What is said before anything is done.
#[test]
fn preflight() {
    let mut c = Cluster::new();
    c.describe("web-a", 0, USER, 0);
    let (text, code) = c.text(&["k8s", "doctor", "web-a"]);
    println!("{text}");
    assert_eq!(code, 0);
    for says in [
        "ok   pod              shop/web-a, ready, on n1",
        "ok   node             linux/amd64, containerd://2.0.0",
        "runs as user 4711",
        "you may patch pods/ephemeralcontainers",
        "the kubelet restarts the container if it stands for 21 s",
        "safe: 500 ms",
        "stays until the pod ends",
        "way in: debug\n",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    // Nothing but questions.
    assert!(c.verbs().iter().all(|v| v == "get" || v == "auth"));
    c.level("restricted").set("no", json!(["create exec", "create attach"]));
    c.container("web-a", "livenessProbe", json!({"periodSeconds": 1, "failureThreshold": 1}));
    let (v, code) = c.json(&["k8s", "doctor", "deploy/web", "--profile", "staging"]);
    let pod = &v["pods"][0];
    assert_eq!((code, &pod["way"], &pod["pause"]["liveness"]["acts_ms"]), (0, &json!("endpoint"), &json!(1000)));
    let check = |name: &str| pod["checks"].as_array().unwrap().iter().find(|c| c["check"] == name).unwrap().clone();
    assert_eq!(check("exec")["fix"], "a Role with the verb create on pods/exec, bound to you");
    // A stop that a probe would notice is not made, in whatever profile with limits.
    let found = check("probes")["found"].as_str().unwrap().to_string();
    assert!(found.ends_with("adit lets it go after 500 ms, held (H) after 500 ms"), "{found}");
    let (v, _) = c.json(&["k8s", "doctor", "deploy/web", "--profile", "dev"]);
    assert!(v["pods"][0]["checks"].to_string().contains("in profile dev it may be held without end"), "{v}");
    assert_eq!(check("attach")["ok"], true);
    c.set("node", json!({"status": {"nodeInfo": {"operatingSystem": "linux", "architecture": "arm64"}}}));
    let (text, _) = c.text(&["k8s", "doctor", "web-a"]);
    assert!(text.contains("FAIL node") && text.contains("way debug: closed: the node is linux/arm64"), "{text}");
    c.set("no", json!(["create exec", "create portforward"]));
    let (text, code) = c.text(&["k8s", "doctor", "web-a"]);
    assert!(code == 5 && text.contains("way in: none"), "{text}");
}

/// Every command, and none that changes anything.
#[test]
fn dry_run() {
    let mut c = Cluster::new();
    c.describe("web-a", 0, USER, 0);
    let (text, code) = c.text(&["k8s", "attach", "deploy/web", "--dry-run", "--context", "my ctx"]);
    println!("{text}");
    assert_eq!(code, 0);
    for says in [
        "'--context=my ctx' get deployment web -o json   # only reads: was run",
        "auth can-i patch pods --subresource=ephemeralcontainers",
        "printf %s '{\"securityContext\":{\"runAsNonRoot\":false,\"runAsUser\":0}}' | ",
        "--namespace=shop debug web-a --image=registry.test/adit:1 --target=app --container=adit-p",
        "--profile=general --custom=/dev/stdin --attach=false --quiet -- /adit inside park adit-p",
        "exec -i web-a -c adit-p",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    assert!(c.verbs().iter().all(|v| v == "get" || v == "auth"));
    for (way, says) in [
        ("debug-same-user", "--profile=restricted"),
        ("exec", "exec -i web-a -c app -- sh -c '"),
        ("endpoint", "port-forward --address=127.0.0.1 web-a :6060"),
    ] {
        let (text, code) = c.text(&["k8s", "snapshot", "web-a", "-o", "/nowhere/x", "--dry-run", "--way", way]);
        assert!(code == 0 && text.contains(says), "{way}: {text}");
    }
    let (text, code) = c.text(&["k8s", "cleanup", "web-a", "--dry-run"]);
    assert!(code == 0 && text.contains("exec web-a -c app -- sh -c"), "{text}");
    assert!(c.verbs().iter().all(|v| v == "get" || v == "auth"));
}

/// One line with cause and fix.
#[test]
fn what_goes_wrong() {
    let mut c = Cluster::new();
    c.describe("web-a", 0, USER, 0);
    let line = |c: &Cluster, args: &[&str]| {
        let (v, code) = c.json(args);
        let m = v["error"]["message"].as_str().unwrap_or_else(|| panic!("{v}")).to_string();
        assert!(!m.contains('\n') && v["error"]["fix"].is_string(), "{v}");
        (m, code)
    };
    for (args, says, code) in [
        (vec!["k8s", "diagnose", "nobody"], "pods \"nobody\" not found", 5),
        (vec!["k8s", "diagnose", "deploy/nobody"], "deployments.apps \"nobody\" not found", 5),
        (vec!["k8s", "diagnose", "svc/web"], "neither a pod nor something that has pods", 2),
        (vec!["k8s", "diagnose", "web-a", "--context", "nowhere"], "does not exist", 2),
        (vec!["k8s", "diagnose", "web-a", "-c", "side"], "has no container side", 2),
        (vec!["goroutines", "k8s://a/b/c/d"], "not the address of a pod", 2),
    ] {
        let (m, got) = line(&c, &args);
        assert!(m.contains(says) && got == code, "{args:?}: {m} ({got})");
    }
    c.set("down", json!(true));
    let (m, code) = line(&c, &["k8s", "diagnose", "web-a"]);
    assert!(code == 5 && m.contains("Unable to connect to the server"), "{m}");
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_adit"))
        .args(["k8s", "doctor", "web-a"])
        .env("ADIT_KUBECTL", "/nowhere/kubectl")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(
        out.status.code() == Some(5)
            && said.contains("cannot run /nowhere/kubectl")
            && said.contains("install kubectl"),
        "{said}"
    );
    let mut c = Cluster::new();
    c.describe("web-a", 0, USER, 0);
    c.set("pods", json!({"web-a": {"object": {"metadata": {"name": "web-a"}, "spec": {"containers": []}, "status": {"phase": "Pending"}}}}));
    let (m, code) = line(&c, &["k8s", "diagnose", "web-a"]);
    assert!(code == 3 && m.contains("does not run: Pending"), "{m}");
}

/// A recipe for an image that has adit alone in it.
#[test]
fn the_recipe_is_there() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/Dockerfile"))
        .expect("deploy/Dockerfile");
    for line in ["FROM scratch", "USER 65532:65532", "USER 0:0", "ENTRYPOINT [\"/adit\"]"] {
        assert!(text.lines().any(|l| l.starts_with(line)), "{line}");
    }
}
