//! What `/proc` says of a process.

use crate::base::{LoadBias, Tid};
use crate::target::TargetError;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

/// The fields of `/proc/PID/status` by name.
pub fn status(pid: i32) -> Option<BTreeMap<String, String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(text.lines().filter_map(|l| l.split_once(':')).map(|(k, v)| (k.to_string(), v.trim().to_string())).collect())
}

/// Who traces it; 0 for nobody.
pub fn tracer_of(pid: i32) -> i32 {
    status(pid).and_then(|s| s.get("TracerPid")?.parse().ok()).unwrap_or(0)
}

/// How often a thread has been taken off a processor: the same number again says that it has not run in between.
pub fn switches(pid: i32, tid: Tid) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{}/status", tid.0)).ok()?;
    let counts = text.lines().filter(|l| l.contains("voluntary_ctxt_switches:"));
    counts.map(|l| l.rsplit(':').next()?.trim().parse::<u64>().ok()).sum()
}

/// `comm` of a process, or `?`.
pub fn name(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).map_or_else(|_| "?".into(), |s| s.trim().to_string())
}

/// The command line with spaces between its words; empty when it cannot be read.
pub fn command_line(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim_end_matches('\0').replace('\0', " ")
}

/// The auxiliary vector.
pub fn auxv(pid: i32) -> Result<Vec<u8>, TargetError> {
    let path = format!("/proc/{pid}/auxv");
    fs::read(&path).map_err(|e| TargetError::os(path, e))
}

/// Does the process exist (and is no zombie)?
pub fn alive(pid: i32) -> bool {
    status(pid).is_some_and(|s| s.get("State").is_some_and(|v| !v.starts_with('Z') && !v.starts_with('X')))
}

/// All processes that are to be seen here, in no order.
///
/// # Errors
/// `/proc` cannot be read.
pub fn processes() -> std::io::Result<Vec<i32>> {
    Ok(fs::read_dir("/proc")?.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect())
}

/// Its threads.
pub fn threads(pid: i32) -> Result<Vec<Tid>, TargetError> {
    let dir = fs::read_dir(format!("/proc/{pid}/task")).map_err(|_| TargetError::NoProcess(pid))?;
    Ok(dir.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok().map(Tid)).collect())
}

/// TCP ports on which a process listens, by its own network name space, with whether they can be reached over the loopback of IPv4
/// or of IPv6; ascending.
pub fn listening(pid: i32) -> Vec<(u16, bool)> {
    let mut inodes = BTreeSet::new();
    for f in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
        let to = fs::read_link(f.path()).unwrap_or_default();
        if let Some(n) = to.to_str().and_then(|t| t.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok()) {
            inodes.insert(n);
        }
    }
    let mut ports = BTreeMap::new();
    for (file, v6) in [("tcp6", true), ("tcp", false)] {
        let text = fs::read_to_string(format!("/proc/{pid}/net/{file}")).unwrap_or_default();
        for l in text.lines().skip(1) {
            if let Some((port, v4)) = listener(l, v6, &inodes) {
                let known = ports.entry(port).or_insert(v4);
                *known |= v4;
            }
        }
    }
    ports.into_iter().collect()
}

/// A line of `/proc/PID/net/tcp`: port, and whether it is bound to IPv4's loopback or to any address.
fn listener(line: &str, v6: bool, inodes: &BTreeSet<u64>) -> Option<(u16, bool)> {
    const LISTEN: &str = "0A";
    let w: Vec<&str> = line.split_whitespace().collect();
    let (address, port) = w.get(1)?.split_once(':')?;
    if *w.get(3)? != LISTEN || !inodes.contains(&w.get(9)?.parse().ok()?) {
        return None;
    }
    let any = address.bytes().all(|b| b == b'0');
    let loopback = match v6 {
        true => address == "00000000000000000000000001000000",
        false => address.ends_with("7F"),
    };
    // Any address of IPv6 takes IPv4's, too, in Go programs.
    (any || loopback).then_some((u16::from_str_radix(port, 16).ok()?, any || !v6))
}

/// Does a process see the same network as we do?
pub fn same_network(pid: i32) -> bool {
    let ns = |p: String| fs::read_link(format!("/proc/{p}/ns/net")).ok();
    ns(pid.to_string()).is_some_and(|a| ns("self".into()) == Some(a))
}

/// Start time in clock ticks since boot (field 22 of `stat`): with the pid, it names a process for ever.
pub fn start_time(pid: i32) -> Option<u64> {
    stat_field(&format!("/proc/{pid}/stat"), 22)?.parse().ok()
}

/// The processor on which a thread is, or was last (field 39).
pub fn processor(pid: i32, tid: Tid) -> Option<usize> {
    stat_field(&format!("/proc/{pid}/task/{}/stat", tid.0), 39)?.parse().ok()
}

/// Threads of the whole machine that run or could.
pub fn runnable() -> Option<usize> {
    fs::read_to_string("/proc/loadavg").ok()?.split(' ').nth(3)?.split('/').next()?.parse().ok()
}

/// A field of a `stat` by its number in proc(5), from 3 on.
fn stat_field(path: &str, number: usize) -> Option<String> {
    let stat = fs::read_to_string(path).ok()?;
    // The command name is in parentheses and may hold anything; fields count from behind it.
    stat.get(stat.rfind(')')? + 2..)?.split(' ').nth(number.checked_sub(3)?).map(str::to_string)
}

/// Path of the executable as the kernel knows it (for display) and the path to open it by (works for deleted and
/// replaced files, and across mount namespaces).
pub fn exe(pid: i32) -> Result<(String, PathBuf), TargetError> {
    let link = PathBuf::from(format!("/proc/{pid}/exe"));
    match fs::read_link(&link) {
        Ok(p) => Ok((p.to_string_lossy().into_owned(), link)),
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(TargetError::Denied { pid, what: "read", why: super::doctor::why_denied(pid) })
        }
        Err(_) if !alive(pid) => Err(TargetError::NoProcess(pid)),
        Err(e) => Err(TargetError::os(format!("read {}", link.display()), e)),
    }
}

/// One line of `/proc/PID/maps`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// End, exclusive.
    pub end: u64,
    /// `r-xp`.
    pub perms: String,
    /// Offset in the file.
    pub offset: u64,
    /// Inode, 0 for anonymous memory.
    pub inode: u64,
    /// Path or `[stack]`, as the kernel prints it.
    pub path: String,
}

/// All mappings.
pub fn maps(pid: i32) -> Result<Vec<Mapping>, TargetError> {
    let path = format!("/proc/{pid}/maps");
    let text = fs::read_to_string(&path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => TargetError::NoProcess(pid),
        std::io::ErrorKind::PermissionDenied => {
            TargetError::Denied { pid, what: "read", why: super::doctor::why_denied(pid) }
        }
        _ => TargetError::os(path, e),
    })?;
    Ok(text.lines().filter_map(parse_mapping).collect())
}

/// Path by which the file behind a mapping can be opened, as the process sees it; none if it has been replaced or removed.
pub fn mapped_file(pid: i32, m: &Mapping) -> Option<PathBuf> {
    use std::os::unix::fs::MetadataExt;
    let seen = PathBuf::from(format!("/proc/{pid}/root{}", m.path));
    if fs::metadata(&seen).is_ok_and(|f| f.ino() == m.inode) {
        return Some(seen);
    }
    // Leads to the file itself, but is for the privileged.
    let direct = PathBuf::from(format!("/proc/{pid}/map_files/{:x}-{:x}", m.start, m.end));
    fs::metadata(&direct).is_ok().then_some(direct)
}

/// Memory that can be had without pushing anybody out, bytes: of the machine (`MemAvailable`) and, in a container, of its control group
/// (`memory.max` less `memory.current`, version 2).
pub fn available_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let machine = line.split_whitespace().next()?.parse::<u64>().ok()? << 10;
    let number = |f: &str| fs::read_to_string(format!("/sys/fs/cgroup/{f}")).ok()?.trim().parse::<u64>().ok();
    let group = number("memory.max").map(|max| max.saturating_sub(number("memory.current").unwrap_or(0)));
    Some(group.map_or(machine, |g| g.min(machine)))
}

fn parse_mapping(line: &str) -> Option<Mapping> {
    let mut f = line.splitn(6, ' ');
    let (start, end) = f.next()?.split_once('-')?;
    let perms = f.next()?.to_string();
    let offset = u64::from_str_radix(f.next()?, 16).ok()?;
    f.next()?;
    let inode = f.next()?.parse().ok()?;
    let path = f.next().unwrap_or("").trim_start().to_string();
    Some(Mapping {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        perms,
        offset,
        inode,
        path,
    })
}

/// What was added to the file addresses of the main executable, from its program entry point in the auxiliary vector
/// (AT_ENTRY), which also holds when the file was deleted or replaced.
pub fn load_bias(pid: i32, file_entry: u64) -> Result<LoadBias, TargetError> {
    const AT_ENTRY: u64 = 9;
    for pair in auxv(pid)?.chunks_exact(16) {
        let word = |i: usize| pair[i..i + 8].iter().rev().fold(0u64, |a, b| a << 8 | u64::from(*b));
        if word(0) == AT_ENTRY {
            return Ok(LoadBias(word(8).wrapping_sub(file_entry)));
        }
    }
    Err(TargetError::Exited)
}

/// Can it be attached to at all? Existence, and nobody else tracing.
pub fn check_attachable(pid: i32) -> Result<(), TargetError> {
    if !alive(pid) {
        return Err(TargetError::NoProcess(pid));
    }
    match tracer_of(pid) {
        0 => Ok(()),
        tracer => Err(TargetError::Traced { pid, tracer, tracer_name: name(tracer) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn reads_ourselves() {
        let me = std::process::id() as i32;
        assert!(alive(me) && tracer_of(me) == 0 && start_time(me).is_some_and(|t| t > 0));
        assert!(threads(me).is_ok_and(|t| t.contains(&Tid(me))));
        assert!(maps(me).is_ok_and(|m| m.iter().any(|m| m.perms.starts_with("r-x"))));
        assert!(matches!(check_attachable(0x3fff_fff0), Err(TargetError::NoProcess(_))));
    }
    #[test]
    fn a_path_with_spaces() {
        let m = parse_mapping("00400000-0048d000 r-xp 00001000 fe:00 1234                       /tmp/a b (deleted)");
        assert_eq!(m.map(|m| (m.offset, m.inode, m.path)), Some((0x1000, 1234, "/tmp/a b (deleted)".into())));
    }
}
