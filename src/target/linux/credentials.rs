//! May one process look into another? The kernel's rule (`__ptrace_may_access`, kernel/ptrace.c; `cap_ptrace_access_check`,
//! security/commoncap.c) as far as it can be followed from `/proc`, so that its bare EPERM gets a cause.

use super::procfs;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

/// CAP_SYS_PTRACE, CAP_SYS_ADMIN and CAP_PERFMON, as bits of a set.
pub const SYS_PTRACE: u64 = 1 << 19;
/// See [`SYS_PTRACE`].
pub const SYS_ADMIN: u64 = 1 << 21;
/// See [`SYS_PTRACE`].
pub const PERFMON: u64 = 1 << 38;

/// Who a process is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Real, effective and saved user.
    pub uids: [u32; 3],
    /// Real, effective and saved group.
    pub gids: [u32; 3],
    /// Effective, permitted and bounding capabilities.
    pub effective: u64,
    /// See `effective`.
    pub permitted: u64,
    /// See `effective`.
    pub bounding: u64,
    /// It and what it starts can gain no privileges: sudo does not work.
    pub no_new_privileges: bool,
    /// Seccomp filters that its calls pass.
    pub filtered: bool,
    /// Its user namespace; none where that cannot be seen.
    pub namespace: Option<String>,
    /// It is not dumpable: its files under `/proc` belong to root though it is another user's.
    pub closed: bool,
}

fn three(text: Option<&String>) -> [u32; 3] {
    let mut all = text.map(|t| t.split_whitespace().map(|n| n.parse().unwrap_or(u32::MAX))).into_iter().flatten();
    [0; 3].map(|_| all.next().unwrap_or(u32::MAX))
}

impl Credentials {
    /// Of a process; none if there is none.
    pub fn of(pid: i32) -> Option<Credentials> {
        let s = procfs::status(pid)?;
        let mut c = Credentials::read(&s);
        c.namespace = fs::read_link(format!("/proc/{pid}/ns/user")).ok().map(|p| p.to_string_lossy().into_owned());
        // The owner of these files is its effective user, or root when it is not dumpable (proc(5)).
        let owner = fs::metadata(format!("/proc/{pid}/mem")).ok().map(|m| m.uid());
        c.closed = owner.is_some_and(|o| o != c.uids[1]);
        Some(c)
    }

    /// Ours.
    pub fn ours() -> Credentials {
        Credentials::of(std::process::id() as i32).unwrap_or_default()
    }

    fn read(s: &BTreeMap<String, String>) -> Credentials {
        let caps = |k| s.get(k).and_then(|v| u64::from_str_radix(v, 16).ok()).unwrap_or(0);
        Credentials {
            uids: three(s.get("Uid")),
            gids: three(s.get("Gid")),
            effective: caps("CapEff"),
            permitted: caps("CapPrm"),
            bounding: caps("CapBnd"),
            no_new_privileges: s.get("NoNewPrivs").is_some_and(|v| v == "1"),
            filtered: s.get("Seccomp").is_some_and(|v| v == "2"),
            namespace: None,
            closed: false,
        }
    }

    /// Is it the same user as ours, and the same group, in all respects?
    pub fn same_user(&self, them: &Credentials) -> bool {
        them.uids == [self.uids[1]; 3]
    }

    /// See [`Credentials::same_user`].
    pub fn same_group(&self, them: &Credentials) -> bool {
        them.gids == [self.gids[1]; 3]
    }

    /// The capability is held.
    pub fn may_trace(&self) -> bool {
        self.effective & SYS_PTRACE != 0
    }

    /// Is the namespace of this process the machine's first one, whose capabilities count for everything?
    pub fn in_first_namespace() -> bool {
        let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        map.split_whitespace().eq(["0", "0", "4294967295"])
    }
}

/// `/proc/PID/mem` can be opened: the kernel's own answer to all of it.
pub fn readable(pid: i32) -> bool {
    fs::File::open(format!("/proc/{pid}/mem")).is_ok()
}

/// Names of the capabilities in a set, as far as Linux 6 has them (linux/capability.h).
pub fn names(set: u64) -> Vec<&'static str> {
    const ALL: [&str; 41] = [
        "CHOWN",
        "DAC_OVERRIDE",
        "DAC_READ_SEARCH",
        "FOWNER",
        "FSETID",
        "KILL",
        "SETGID",
        "SETUID",
        "SETPCAP",
        "LINUX_IMMUTABLE",
        "NET_BIND_SERVICE",
        "NET_BROADCAST",
        "NET_ADMIN",
        "NET_RAW",
        "IPC_LOCK",
        "IPC_OWNER",
        "SYS_MODULE",
        "SYS_RAWIO",
        "SYS_CHROOT",
        "SYS_PTRACE",
        "SYS_PACCT",
        "SYS_ADMIN",
        "SYS_BOOT",
        "SYS_NICE",
        "SYS_RESOURCE",
        "SYS_TIME",
        "SYS_TTY_CONFIG",
        "MKNOD",
        "LEASE",
        "AUDIT_WRITE",
        "AUDIT_CONTROL",
        "SETFCAP",
        "MAC_OVERRIDE",
        "MAC_ADMIN",
        "SYSLOG",
        "WAKE_ALARM",
        "BLOCK_SUSPEND",
        "AUDIT_READ",
        "PERFMON",
        "BPF",
        "CHECKPOINT_RESTORE",
    ];
    ALL.iter().enumerate().filter(|(i, _)| set & (1 << i) != 0).map(|(_, n)| *n).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_file() {
        let text = "Uid:\t0\t1000\t1000\t1000\nGid:\t5\t5\t5\t5\nCapEff:\t0000000000080000\nCapPrm:\t00000000a80425fb\nCapBnd:\t0\nNoNewPrivs:\t1\nSeccomp:\t2";
        let s = text.lines().filter_map(|l| l.split_once(':')).map(|(k, v)| (k.to_string(), v.trim().to_string()));
        let c = Credentials::read(&s.collect());
        assert_eq!((c.uids, c.gids), ([0, 1000, 1000], [5; 3]));
        assert!(c.may_trace() && c.no_new_privileges && c.filtered);
        assert_eq!(names(c.effective), ["SYS_PTRACE"]);
        assert_eq!(names(c.permitted).len(), 14);
        assert_eq!(names(1 << 40), ["CHECKPOINT_RESTORE"]);
        let us = Credentials { uids: [1000; 3], gids: [5; 3], ..Credentials::default() };
        assert!(!us.same_user(&c) && us.same_group(&c));
    }

    #[test]
    fn ourselves() {
        let c = Credentials::ours();
        assert!(c.same_user(&c) && c.same_group(&c) && !c.closed && c.namespace.is_some());
        assert!(readable(std::process::id() as i32));
    }
}
