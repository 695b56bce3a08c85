//! The attach doctor: what the kernel would say to an attach, in its order, with one cause and one fix each.

use super::procfs;
use serde::Serialize;
use std::fs;

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

const CAP_SYS_PTRACE: u64 = 1 << 19;

fn my_caps() -> u64 {
    let me = std::process::id() as i32;
    procfs::status(me).and_then(|s| u64::from_str_radix(s.get("CapEff")?, 16).ok()).unwrap_or(0)
}

/// All checks that need no target.
pub fn system() -> Vec<Check> {
    let mut v = vec![platform()];
    v.push(if my_caps() & CAP_SYS_PTRACE != 0 {
        ok("capability", "CAP_SYS_PTRACE is held: processes of any user can be attached to")
    } else {
        ok("capability", "no CAP_SYS_PTRACE: only processes of your own user can be attached to")
    });
    v.push(yama());
    v.push(seccomp());
    v
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

fn yama() -> Check {
    let scope =
        fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok().and_then(|s| s.trim().parse::<u32>().ok());
    let privileged = my_caps() & CAP_SYS_PTRACE != 0;
    match scope {
        None => ok("yama", "not active"),
        Some(0) => ok("yama", "ptrace_scope 0: your own processes can be attached to"),
        Some(1 | 2) if privileged => ok("yama", "ptrace_scope restricts attaching, CAP_SYS_PTRACE lifts it"),
        Some(1) => bad(
            "yama",
            "ptrace_scope 1: only a parent, or a process with CAP_SYS_PTRACE, may attach",
            "run adit with sudo, or start the program with `adit exec`; the target can also call prctl(PR_SET_PTRACER)",
        ),
        Some(2) => bad("yama", "ptrace_scope 2: only CAP_SYS_PTRACE may attach", "run adit with CAP_SYS_PTRACE (sudo)"),
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
                "use the runtime's default profile of Docker 19.03 / kernel 4.8 or newer, or --cap-add=SYS_PTRACE",
            );
        }
    }
    ok("seccomp", "ptrace and process_vm_readv are allowed")
}

/// All checks for one process, in the kernel's order.
pub fn process(pid: i32) -> Vec<Check> {
    let mut v = Vec::new();
    let Some(st) = procfs::status(pid) else {
        let seen = fs::read_dir("/proc").map_or(0, |d| {
            d.flatten()
                .filter(|e| e.file_name().to_str().is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit())))
                .count()
        });
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
    v.push(ids(&st));
    v.push(dumpable(pid));
    v.push(yama());
    v.push(seccomp());
    v.push(exe(pid));
    v
}

fn ids(st: &std::collections::BTreeMap<String, String>) -> Check {
    let all = |m: &std::collections::BTreeMap<String, String>, k: &str| -> Vec<String> {
        m.get(k).map(|s| s.split_whitespace().take(3).map(String::from).collect()).unwrap_or_default()
    };
    let me = procfs::status(std::process::id() as i32).unwrap_or_default();
    let mine = all(&me, "Uid").get(1).cloned().unwrap_or_default();
    let theirs = all(st, "Uid");
    if my_caps() & CAP_SYS_PTRACE != 0 {
        ok("user", format!("target runs as uid {}, CAP_SYS_PTRACE is held", theirs.join("/")))
    } else if theirs.iter().all(|u| *u == mine) {
        ok("user", format!("same user (uid {mine})"))
    } else {
        bad(
            "user",
            format!("target runs as uid {}, you as {mine} without CAP_SYS_PTRACE", theirs.join("/")),
            format!("run adit as uid {} or with CAP_SYS_PTRACE (sudo)", theirs.first().map_or("?", String::as_str)),
        )
    }
}

fn dumpable(pid: i32) -> Check {
    match fs::read_link(format!("/proc/{pid}/exe")) {
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => bad(
            "dumpable",
            "its /proc files are closed to you: another user's, setuid, file capabilities or PR_SET_DUMPABLE 0",
            "run adit as root or with CAP_SYS_PTRACE",
        ),
        _ => ok("dumpable", "its /proc files are open to you"),
    }
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
    let Some(st) = procfs::status(pid) else { return "no such process".into() };
    for c in [ids(&st), dumpable(pid), yama(), seccomp()] {
        if !c.ok {
            return format!("{}: {}", c.found, c.fix);
        }
    }
    "the kernel refused (EPERM); an LSM such as AppArmor or SELinux may forbid it".into()
}

#[cfg(test)]
mod tests {
    use super::*;
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
