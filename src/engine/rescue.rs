//! Putting back what a killed debugger, ours or another's, left in a process's text.

use super::journal;
use super::open::go_image;
use crate::base::{LoadAddr, Memory};
use crate::target::linux::memory::ProcessMemory;
use crate::target::linux::procfs;
use std::collections::BTreeMap;
use std::time::Duration;

/// What was found and done for one process.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Rescued {
    /// The process.
    pub pid: i32,
    /// Its executable.
    pub exe: String,
    /// Bytes put back.
    pub repaired: u64,
    /// Bytes of text that differ from the file and are no breakpoint: not touched.
    pub other_differences: u64,
    /// What to know, one line.
    pub message: String,
}

const INT3: u8 = 0xcc;
/// Whoever was in what is taken out next has left after so long.
const LEAVES: Duration = Duration::from_millis(50);

/// Repairs one process: everything on record for it, then every int3 in its text that is not in the file.
pub fn rescue(pid: i32) -> Result<Rescued, super::OpenError> {
    if !procfs::alive(pid) {
        return Err(crate::target::TargetError::NoProcess(pid).into());
    }
    let tracer = procfs::tracer_of(pid);
    if tracer != 0 {
        return Err(crate::target::TargetError::Traced { pid, tracer, tracer_name: procfs::name(tracer) }.into());
    }
    let (exe, _) = procfs::exe(pid)?;
    let mem = ProcessMemory::open(pid)?;
    let mut done = Rescued { pid, exe: exe.clone(), ..Rescued::default() };
    let start = procfs::start_time(pid);
    for file in journal::of(pid, start) {
        // Its guardian knows which threads are still under way in what it changed; one that hangs is not waited for.
        let _done = journal::is_free_within(&file, journal::GUARDIAN);
        let Ok((_, entries)) = journal::read(&file) else { continue };
        // Traps first: who meets one comes back to it by way of the hook, whose code comes last.
        for (pass, of) in [|n| n == 1, |n| n == 8, |n| n != 1 && n != 8].into_iter().enumerate() {
            let before = done.repaired;
            for e in entries.iter().filter(|e| of(e.original.len())) {
                let now = mem.read_vec(e.addr, e.original.len()).map_err(super::EngineError::from)?;
                if now != e.original && (e.original.len() > 1 || now.first() == Some(&INT3)) {
                    mem.write(e.addr, &e.original).map_err(super::EngineError::from)?;
                    done.repaired += now.iter().zip(&e.original).filter(|(a, b)| a != b).count() as u64;
                }
            }
            if pass < 2 && done.repaired > before {
                std::thread::sleep(LEAVES);
            }
        }
        let _someone_removed_it = std::fs::remove_file(&file);
    }
    let (_, sym, bias) = go_image(pid, None)?;
    for s in sym.image().segments().iter().filter(|s| s.exec) {
        let Some(file) = sym.image().bytes_at(s.addr, s.file_size as usize) else { continue };
        let at = bias.to_load(s.addr);
        for (addr, (now, clean)) in differences(&mem, at, file) {
            if now == INT3 {
                mem.write(addr, &[clean]).map_err(super::EngineError::from)?;
                done.repaired += 1;
            } else {
                done.other_differences += 1;
            }
        }
    }
    done.message = match (done.repaired, done.other_differences) {
        (0, 0) => "its text equals the file: nothing to do".into(),
        (n, 0) => format!("{n} bytes put back; its text equals the file now"),
        (n, d) => format!("{n} bytes put back; {d} other bytes differ from the file and were left alone"),
    };
    Ok(done)
}

/// Bytes of memory at `at` that differ from `file`: (in memory, in the file).
pub fn differences(mem: &dyn Memory, at: LoadAddr, file: &[u8]) -> BTreeMap<LoadAddr, (u8, u8)> {
    const CHUNK: usize = 1 << 20;
    let mut out = BTreeMap::new();
    for (i, part) in file.chunks(CHUNK).enumerate() {
        let base = at.add((i * CHUNK) as u64);
        let Ok(now) = mem.read_vec(base, part.len()) else { continue };
        if now != part {
            for (j, (n, f)) in now.iter().zip(part).enumerate().filter(|(_, (n, f))| n != f) {
                out.insert(base.add(j as u64), (*n, *f));
            }
        }
    }
    out
}

/// All processes on record. Journals of processes that are gone are removed.
pub fn rescue_all() -> Vec<Result<Rescued, super::OpenError>> {
    let mut pids = std::collections::BTreeSet::new();
    for file in journal::all() {
        let Ok((header, _)) = journal::read(&file) else { continue };
        if procfs::start_time(header.pid) == Some(header.start_time) {
            let held = procfs::tracer_of(header.pid) == header.host && header.host != 0;
            if !held {
                pids.insert(header.pid);
            }
        } else {
            let _someone_removed_it = std::fs::remove_file(&file);
        }
    }
    pids.into_iter().map(rescue).collect()
}
