//! The attach doctor: what the kernel would say to an attach, in its order, with one cause and one fix each.

use super::credentials::{Credentials, PERFMON, SYS_ADMIN, SYS_PTRACE, names, readable};
use super::procfs;
use crate::base::text::printable_str;
use serde::Serialize;
use std::fs;
use std::path::Path;

/// One check.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub check: &'static str,
    /// Fine?
    pub ok: bool,
    /// What was found.
    pub found: String,
    /// What to do about it; empty when fine.
    pub fix: String,
}

fn ok(check: &'static str, found: impl Into<String>) -> Check {
    Check { check, ok: true, found: found.into(), fix: String::new() }
}
fn bad(check: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Check {
    Check { check, ok: false, found: found.into(), fix: fix.into() }
}

/// In a pod?
fn in_pod() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}

/// How to come by the capability, here.
fn how_to_gain(us: &Credentials) -> String {
    let own = if in_pod() { "kubectl debug --profile=general" } else { "docker run --cap-add=SYS_PTRACE" };
    if us.bounding & SYS_PTRACE == 0 {
        return format!(
            "it cannot be gained from here (it is not in the bounding set): start adit outside of this sandbox, or in one that has it ({own})"
        );
    }
    if in_pod() && us.uids[1] != 0 {
        // kubernetes/kubectl#1650: what is added to a container's set is root's alone.
        return "the container has the capability, its user does not: run as root in it (kubectl debug --custom with runAsUser 0)".into();
    }
    match us.no_new_privileges {
        true => "start adit from outside of this sandbox: no_new_privs is set, so that sudo gains nothing".into(),
        false => "run adit with CAP_SYS_PTRACE (sudo; in a container docker exec -u 0)".into(),
    }
}

/// All checks that need no target.
pub fn system() -> Vec<Check> {
    let mut v = vec![platform()];
    let us = Credentials::ours();
    v.push(match (us.may_trace(), Credentials::in_first_namespace()) {
        (true, true) => ok("capability", "CAP_SYS_PTRACE is held: processes of any user can be attached to"),
        (true, false) => {
            ok("capability", "CAP_SYS_PTRACE is held, for processes of this user namespace and of those below it")
        }
        (false, _) => ok("capability", "no CAP_SYS_PTRACE: only processes of your own user can be attached to"),
    });
    v.push(privileges(&us));
    v.push(yama(&us));
    v.push(seccomp());
    v.extend(lsm(None));
    v.push(memory(None));
    v
}

/// What of us can never be more.
fn privileges(us: &Credentials) -> Check {
    let filter = if us.filtered { ", calls are filtered by seccomp" } else { "" };
    match us.no_new_privileges {
        true => ok("privileges", format!("no_new_privs is set: sudo gains nothing here{filter}")),
        false => ok("privileges", format!("can be gained (sudo){filter}")),
    }
}

fn platform() -> Check {
    let version = fs::read_to_string("/proc/version").unwrap_or_default();
    let kernel = version.split_whitespace().nth(2).unwrap_or("?").to_string();
    let runsc = version.contains("gVisor")
        || fs::read_to_string("/proc/sys/kernel/osrelease").is_ok_and(|r| r.contains("gvisor"));
    if runsc {
        return bad(
            "kernel",
            "gVisor: its ptrace is limited",
            "read goroutines without stopping (adit PID), or debug outside the sandbox",
        );
    }
    ok("kernel", format!("Linux {kernel}"))
}

fn yama(us: &Credentials) -> Check {
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok();
    yama_of(scope.and_then(|s| s.trim().parse::<u32>().ok()), us)
}

/// By the setting (Documentation/admin-guide/LSM/Yama.rst). In a container it cannot be written, and is not ours to write anywhere.
fn yama_of(scope: Option<u32>, us: &Credentials) -> Check {
    let gain = || how_to_gain(us);
    match scope {
        None => ok("yama", "not active"),
        Some(0) => ok("yama", "ptrace_scope 0: your own processes can be attached to"),
        Some(1 | 2) if us.may_trace() => ok("yama", "ptrace_scope restricts attaching, CAP_SYS_PTRACE lifts it"),
        Some(1) => bad(
            "yama",
            "ptrace_scope 1: only a parent, or a process with CAP_SYS_PTRACE, may attach",
            format!(
                "{}; or start the program with `adit exec`, or let it call prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY)",
                gain()
            ),
        ),
        Some(2) => bad("yama", "ptrace_scope 2: only CAP_SYS_PTRACE may attach", gain()),
        Some(_) => bad("yama", "ptrace_scope 3: attaching is off until reboot", "use profiles or a core dump"),
    }
}

fn seccomp() -> Check {
    // ptrace and process_vm_readv of a pid that cannot exist: the kernel says ESRCH, a seccomp filter EPERM or ENOSYS.
    let nobody = crate::base::Tid(i32::MAX - 1);
    let mut byte = [0u8];
    let errs = [
        ("ptrace", super::sys::interrupt(nobody).err()),
        ("process_vm_readv", super::sys::read_ranges(nobody.0, &mut [(0, &mut byte)]).err()),
    ];
    for (call, err) in errs {
        if err.as_ref().and_then(std::io::Error::raw_os_error) != Some(libc::ESRCH) {
            return bad(
                "seccomp",
                format!(
                    "this container's seccomp profile blocks {call} ({})",
                    err.map_or("no error".into(), |e| e.to_string())
                ),
                "use the runtime's default profile (Docker 19.03 or newer on kernel 4.8 or newer allows it), or add SYS_PTRACE, which lifts it",
            );
        }
    }
    ok("seccomp", "ptrace and process_vm_readv are allowed")
}

/// All checks for one process, in the kernel's order.
pub fn process(pid: i32) -> Vec<Check> {
    let mut v = Vec::new();
    let Some(st) = procfs::status(pid) else {
        let seen = procfs::processes().map_or(0, |all| all.len());
        v.push(bad(
            "process",
            format!("no process {pid} here ({seen} processes are visible)"),
            "in a container, share the target's pid namespace (kubectl debug --target=CONTAINER) and use the pid as seen there",
        ));
        return v;
    };
    v.push(if procfs::alive(pid) {
        let ns = st.get("NSpid").map_or("", String::as_str);
        let inner =
            if ns.split_whitespace().count() > 1 { format!(", pids by namespace: {ns}") } else { String::new() };
        ok("process", format!("{pid} is {}{inner}", procfs::name(pid)))
    } else {
        bad("process", format!("{pid} has exited and waits for its parent"), "nothing to attach to")
    });
    v.push(match procfs::tracer_of(pid) {
        0 => ok("tracer", "nobody is attached"),
        t => bad(
            "tracer",
            format!("{} (pid {t}) is attached; only one tracer is possible", procfs::name(t)),
            format!("end that debugger, or read without control: adit {pid}"),
        ),
    });
    let (us, them) = (Credentials::ours(), Credentials::of(pid).unwrap_or_default());
    v.extend(rules(pid, &us, &them));
    v.push(exe(pid));
    v.push(memory(fs::metadata(format!("/proc/{pid}/exe")).ok().map(|m| m.len())));
    v
}

/// What the kernel asks before it lets one process look into another, in its order.
fn rules(pid: i32, us: &Credentials, them: &Credentials) -> Vec<Check> {
    let mut v = vec![seccomp(), user(us, them), dumpable(us, them), capabilities(us, them), yama(us)];
    v.extend(lsm(Some(pid)));
    if v.iter().all(|c| c.ok) && procfs::alive(pid) && !readable(pid) {
        v.push(bad(
            "access",
            "the kernel refuses all the same, and none of the rules above says why",
            "an LSM (AppArmor, SELinux, Landlock) may forbid it: its log says so (dmesg); use profiles or a core dump",
        ));
    }
    v
}

fn ids(three: &[u32; 3]) -> String {
    match three {
        [a, b, c] if a == b && b == c => a.to_string(),
        [a, b, c] => format!("{a}/{b}/{c}"),
    }
}

/// Is our capability worth something for it? That of a user namespace ends with it.
fn reaches(us: &Credentials, them: &Credentials) -> bool {
    us.may_trace() && (us.namespace == them.namespace || Credentials::in_first_namespace())
}

fn user(us: &Credentials, them: &Credentials) -> Check {
    let (mine, theirs) = (us.uids[1], ids(&them.uids));
    if reaches(us, them) {
        return ok("user", format!("target runs as uid {theirs}, CAP_SYS_PTRACE is held"));
    }
    if us.same_user(them) && us.same_group(them) {
        return ok("user", format!("same user (uid {mine}) and group"));
    }
    let what = match us.same_user(them) {
        true => format!("the target's group is {}, yours {}", ids(&them.gids), us.gids[1]),
        false => format!("target runs as uid {theirs}, you as {mine}"),
    };
    if us.may_trace() {
        let text = format!("{what}; CAP_SYS_PTRACE is held in this user namespace, and the target is not in it");
        return bad(
            "user",
            text,
            "run adit in the target's user namespace, or in one above it (outside of this container)",
        );
    }
    let other = them.uids.iter().any(|u| *u != them.uids[0]);
    let fix = match (us.same_user(them), other) {
        (false, false) => format!(
            "run adit as uid {} and gid {}, or with the capability: {}",
            them.uids[0],
            them.gids[0],
            how_to_gain(us)
        ),
        _ => how_to_gain(us),
    };
    bad("user", format!("{what}, without CAP_SYS_PTRACE"), fix)
}

fn dumpable(us: &Credentials, them: &Credentials) -> Check {
    match them.closed {
        true if !reaches(us, them) => bad(
            "dumpable",
            "the target is not dumpable: setuid, file capabilities, a file that its user cannot read, or PR_SET_DUMPABLE 0",
            how_to_gain(us),
        ),
        true => ok("dumpable", "it is not dumpable; CAP_SYS_PTRACE lifts that"),
        false => ok("dumpable", "its /proc files are open to its user"),
    }
}

/// Without the capability, nobody looks into one who may do more than oneself.
fn capabilities(us: &Credentials, them: &Credentials) -> Check {
    let more = them.permitted & !us.permitted;
    if reaches(us, them) {
        return ok("capability", "CAP_SYS_PTRACE is held");
    }
    if more == 0 || us.namespace != them.namespace && them.namespace.is_some() {
        return ok("capability", "no CAP_SYS_PTRACE; none is needed for a process that may do no more than you");
    }
    let all = names(more);
    let some = all.iter().take(4).copied().collect::<Vec<_>>().join(", ");
    let rest = if all.len() > 4 { format!(" and {} more", all.len() - 4) } else { String::new() };
    bad("capability", format!("the target has capabilities that you lack: {some}{rest}"), how_to_gain(us))
}

/// AppArmor's profiles and SELinux's labels of us and of a process, where there are any.
fn lsm(pid: Option<i32>) -> Vec<Check> {
    let label = |p: &str| {
        let text = fs::read_to_string(format!("/proc/{p}/attr/current")).ok()?;
        Some(text.trim_end_matches(['\0', '\n']).to_string()).filter(|t| !t.is_empty())
    };
    let denies = fs::read_to_string("/sys/fs/selinux/booleans/deny_ptrace").is_ok_and(|t| t.starts_with('1'));
    lsm_of(label("self"), pid.and_then(|p| label(&p.to_string())), denies)
}

fn lsm_of(ours: Option<String>, theirs: Option<String>, denies: bool) -> Vec<Check> {
    let mut v = Vec::new();
    if denies {
        v.push(bad(
            "selinux",
            "deny_ptrace is on: nothing can be attached to",
            "setsebool deny_ptrace off, by who runs the machine",
        ));
    }
    // `docker-default (enforce)` is AppArmor's form, `user:role:type:level` SELinux's.
    let free = |l: &String| l.starts_with("unconfined") || l.contains(":unconfined_t:");
    match (ours, theirs) {
        (Some(o), Some(t)) if o == t => v.push(ok("lsm", format!("both have the profile {}", printable_str(&o, 100)))),
        (Some(o), _) if free(&o) => v.push(ok("lsm", "unconfined")),
        (Some(o), Some(t)) => v.push(bad(
            "lsm",
            format!(
                "your profile is {}, the target's {}: such a profile may trace its own alone, as a rule",
                printable_str(&o, 100),
                printable_str(&t, 100)
            ),
            "run adit with the target's profile, or unconfined (docker run --security-opt apparmor=unconfined)",
        )),
        (Some(o), None) => v.push(ok("lsm", format!("profile {}", printable_str(&o, 100)))),
        (None, _) => {}
    }
    v
}

/// Memory that our group may still take; `file` is the length of the target's executable, bytes.
fn memory(file: Option<u64>) -> Check {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    memory_of(left(&groups, Path::new("/sys/fs/cgroup")), file)
}

/// What is needed: 36 MB were measured for a program of 2 MB, 43 MB for one of 57 MB without debug information. With it, what is packed
/// in the file is unpacked when variables are asked for: taken as once the file.
fn needed(file: u64) -> u64 {
    (48 << 20) + file
}

fn memory_of(left: Option<u64>, file: Option<u64>) -> Check {
    let mib = |n: u64| n.div_ceil(1 << 20);
    match (left, file.map(needed)) {
        (None, _) => ok("memory", "not limited"),
        (Some(l), Some(n)) if l < n => bad(
            "memory",
            format!("about {} MiB are needed, {} MiB are left in this group", mib(n), mib(l)),
            "raise the container's memory limit, or run adit outside of it: past the limit the kernel may end the target",
        ),
        (Some(l), _) => ok("memory", format!("{} MiB are left in this group", mib(l))),
    }
}

/// Bytes left to the narrowest group that we are in: of version 2 `memory.max`, of version 1 `memory.limit_in_bytes`.
fn left(groups: &str, root: &Path) -> Option<u64> {
    let number = |p: std::path::PathBuf| fs::read_to_string(p).ok()?.trim().parse::<u64>().ok();
    let mut least = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(kinds), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let (base, max, now) = match kinds {
            "" => (root.to_path_buf(), "memory.max", "memory.current"),
            k if k.split(',').any(|k| k == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes", "memory.usage_in_bytes")
            }
            _ => continue,
        };
        // In a container its own group is the root of what is mounted.
        let own = base.join(path.trim_start_matches('/'));
        let own = if own.is_dir() { own } else { base.clone() };
        for dir in own.ancestors().take_while(|d| d.starts_with(&base)) {
            // No limit is `max`, or a number near the largest.
            if let (Some(max), Some(now)) = (number(dir.join(max)).filter(|m| *m < 1 << 60), number(dir.join(now))) {
                let l = max.saturating_sub(now);
                least = Some(least.map_or(l, |m: u64| m.min(l)));
            }
        }
    }
    least
}

fn exe(pid: i32) -> Check {
    match procfs::exe(pid) {
        Ok((p, _)) if p.ends_with(" (deleted)") => {
            ok("executable", format!("{p}: replaced on disk; the running one is read through /proc/{pid}/exe"))
        }
        Ok((p, _)) => ok("executable", p),
        Err(e) => bad("executable", e.to_string(), "give it with --exe"),
    }
}

/// The first failing check, as one line for an error message.
pub fn why_denied(pid: i32) -> String {
    // The executable's check asks us back, so it is not run here.
    let Some(them) = Credentials::of(pid) else { return "no such process".into() };
    match rules(pid, &Credentials::ours(), &them).into_iter().find(|c| !c.ok) {
        Some(c) => format!("{}: {}", c.found, c.fix),
        None => "the kernel refused (EPERM); an LSM such as AppArmor or SELinux may forbid it".into(),
    }
}

/// Can probes be put into programs by the kernel (uprobes)? Needs CAP_PERFMON or CAP_SYS_ADMIN of the machine itself.
pub fn uprobes() -> bool {
    let us = Credentials::ours();
    Credentials::in_first_namespace()
        && us.effective & (SYS_ADMIN | PERFMON) != 0
        && fs::exists("/sys/bus/event_source/devices/uprobe").unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn settings_of_yama() {
        let us = |caps| Credentials { effective: caps, bounding: u64::MAX, uids: [7; 3], ..Credentials::default() };
        for (scope, caps, fine) in [
            (None, 0, true),
            (Some(0), 0, true),
            (Some(1), 0, false),
            (Some(1), SYS_PTRACE, true),
            (Some(2), 0, false),
            (Some(2), SYS_PTRACE, true),
            (Some(3), SYS_PTRACE, false),
        ] {
            let c = yama_of(scope, &us(caps));
            assert_eq!(c.ok, fine, "{scope:?} {c:?}");
            assert!(!c.fix.contains("sysctl") && !c.fix.contains("ptrace_scope"), "{c:?}");
        }
        // sudo is no way where it gains nothing.
        let c = yama_of(Some(1), &Credentials { no_new_privileges: true, ..us(0) });
        assert!(!c.fix.contains("(sudo") && c.fix.contains("PR_SET_PTRACER"), "{c:?}");
    }

    #[test]
    fn profiles() {
        let l = |s: &str| Some(s.to_string());
        let one = |o, t, d: bool| lsm_of(o, t, d).first().map(|c| c.ok);
        assert_eq!(one(None, None, false), None);
        assert_eq!(one(l("docker-default (enforce)"), l("docker-default (enforce)"), false), Some(true));
        assert_eq!(one(l("docker-default (enforce)"), l("unconfined"), false), Some(false));
        assert_eq!(one(l("unconfined"), l("docker-default (enforce)"), false), Some(true));
        assert_eq!(one(l("a:b:container_t:s0:c1,c2"), l("a:b:container_t:s0:c3,c4"), false), Some(false));
        assert_eq!(one(l("u:r:unconfined_t:s0"), l("a:b:container_t:s0"), false), Some(true));
        assert_eq!(one(l("unconfined"), None, true), Some(false));
    }

    #[test]
    fn room_in_groups() {
        let dir = tempfile::tempdir().expect("a folder");
        let put = |d: &str, f: &str, t: &str| {
            fs::create_dir_all(dir.path().join(d)).expect("made");
            fs::write(dir.path().join(d).join(f), t).expect("written");
        };
        put("a/b", "memory.max", "max\n");
        put("a/b", "memory.current", "5\n");
        put("a", "memory.max", "104857600\n");
        put("a", "memory.current", "4194304\n");
        put("memory/v1", "memory.limit_in_bytes", "9223372036854771712\n");
        put("memory/v1", "memory.usage_in_bytes", "9\n");
        assert_eq!(left("0::/a/b\n", dir.path()), Some(96 << 20));
        assert_eq!(left("4:memory:/v1\n3:cpu:/\n", dir.path()), None);
        assert_eq!(left("", dir.path()), None);
        // A group that is named as the machine sees it: ours is the root here.
        put("", "memory.max", "10\n");
        put("", "memory.current", "20\n");
        assert_eq!(left("0::/kubepods/x\n", dir.path()), Some(0));
        assert!(memory_of(Some(200 << 20), Some(100 << 20)).ok && !memory_of(Some(96 << 20), Some(100 << 20)).ok);
        assert!(memory_of(None, Some(1 << 40)).ok);
    }

    #[test]
    fn every_failure_has_a_fix() {
        let mut all = system();
        all.extend(process(std::process::id() as i32));
        all.extend(process(0x3fff_fff0));
        assert!(all.iter().any(|c| !c.ok));
        for c in all {
            assert_eq!(c.ok, c.fix.is_empty(), "{c:?}");
            assert!(!c.found.contains('\n'));
        }
    }
}
