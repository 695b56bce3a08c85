//! A second process that puts the target's text back when the host is killed by a signal that nobody can handle.
//!
//! It waits for a robust lock that the engine thread holds. When that thread dies, the kernel marks the lock and wakes the guardian
//! before it lets go of the threads that were traced, and the thread's further locks keep the kernel busy meanwhile. The guardian then
//! writes the bytes on record through `/proc/PID/mem`, which needs no ptrace. A thread that was reporting a hit at that very moment gets
//! its SIGTRAP, and the hook on the runtime's signal handler has it leave without harm, or come back until its trap is gone: then it does
//! not matter how late the guardian is.

use super::EngineError;
use super::hook::{Hook, Hooked, Shield};
use super::journal::{self, Header};
use crate::base::{LoadAddr, Memory, Tid};
use crate::target::linux::debugreg::{self, REGISTERS};
use crate::target::linux::memory::ProcessMemory;
use crate::target::linux::sys::{self, RobustLocks};
use crate::target::linux::tracer::Tracer;
use crate::target::linux::{detached, polite, procfs};
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Where in the shared file it says that threads have debug registers set, beside the first lock.
const WATCHING: u64 = 2048;
/// And that the target runs with something of ours in it.
const ARMED: u64 = 2056;
/// Behind the locks: how many traps are on record (u64), then address and byte of each, 16 bytes.
const TRAPS: u64 = RobustLocks::SIZE;
/// Traps that are put back at once; what is beyond is found in the journal.
const MAX_TRAPS: usize = 4096;
/// The tracer's threads are gone for good after so long.
const PATIENCE: Duration = Duration::from_millis(500);
/// A copy of an instruction that a thread was sent to has run after so long.
const COPY_RUNS: Duration = Duration::from_millis(50);

/// The host's end.
pub struct Guardian {
    locks: RobustLocks,
    file: File,
    watching: bool,
    armed: bool,
    traps: BTreeSet<LoadAddr>,
}

impl Guardian {
    /// Starts one, from this adit binary, for the journal at this path. The calling thread is the one whose death it waits for.
    pub fn start(adit: &Path, journal: &Path, hook: Option<Hook>) -> io::Result<Guardian> {
        let name = c"adit-guard";
        let file = File::from(nix::sys::memfd::memfd_create(name, nix::sys::memfd::MFdFlags::MFD_CLOEXEC)?);
        file.set_len(TRAPS + 8 + 16 * MAX_TRAPS as u64)?;
        let locks = RobustLocks::map(&file)?;
        locks.take_all()?;
        let mut command = Command::new(adit);
        command
            .arg("guard")
            .arg(journal)
            .arg(serde_json::to_string(&hook)?)
            .stdin(Stdio::from(file.try_clone()?))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Err(e) = detached::start(&mut command) {
            locks.give_back();
            return Err(e);
        }
        Ok(Guardian { locks, file, watching: false, armed: false, traps: BTreeSet::new() })
    }

    /// A trap is about to be planted where this byte belongs.
    pub fn trap(&mut self, at: LoadAddr, byte: u8) {
        let n = self.traps.len();
        if n >= MAX_TRAPS || !self.traps.insert(at) {
            return;
        }
        let mut entry = [0; 16];
        entry[..8].copy_from_slice(&at.0.to_le_bytes());
        entry[8] = byte;
        let said = self.file.write_all_at(&entry, TRAPS + 8 + 16 * n as u64);
        let said = said.and_then(|()| self.file.write_all_at(&(n as u64 + 1).to_le_bytes(), TRAPS));
        if let Err(e) = said {
            tracing::warn!("the guardian knows of {at} by the journal only: {e}");
        }
    }

    /// The target is about to run with something of ours in it, or stands and is clean.
    pub fn arm(&mut self, on: bool) {
        if self.armed != on {
            self.armed = self.file.write_all_at(&[u8::from(on)], ARMED).is_ok() == on;
        }
    }

    /// Threads have debug registers set, or no more.
    pub fn watch(&mut self, on: bool) {
        if self.watching != on {
            self.watching = self.file.write_all_at(&[u8::from(on)], WATCHING).is_ok() && on;
        }
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        self.locks.give_back();
    }
}

/// The main function of the guardian: returns when it is not needed any more, or has done its work.
pub fn main(journal: &Path, hook: &str) -> io::Result<()> {
    detached::be_deaf();
    sys::ignore_signal(libc::SIGTERM);
    let shared = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let locks = RobustLocks::map(&shared)?;
    let hook: Option<Hook> = serde_json::from_str(hook)?;
    let (header, _) = journal::read(journal)?;
    // Where files cannot be locked a rescue does not wait for us.
    let _claim = journal::claim(journal);
    let mem = ProcessMemory::open(header.pid).map_err(io::Error::other)?;
    polite::at_once();
    if !locks.wait()? {
        return Ok(());
    }
    let mut watching = [0];
    let known = shared.read_exact_at(&mut watching, WATCHING);
    let watching = known.is_err() || watching[0] != 0;
    let mut armed = [1];
    let _then_it_counts_as_armed = shared.read_exact_at(&mut armed, ARMED);
    if armed[0] == 0 {
        return std::fs::remove_file(journal);
    }
    // What must be done before the kernel lets the threads go.
    let traps = traps_on_record(&shared).unwrap_or_default();
    for (at, byte) in &traps {
        let _the_journal_has_it_too = mem.write(*at, &[*byte]);
    }
    let at: Vec<LoadAddr> = traps.iter().map(|t| t.0).collect();
    // In place already, as a rule; else what reports a hit just then may be saved by this, if it comes in time.
    let (_, record) = journal::read(journal)?;
    let in_place = |h: Hook| h.adopt(&mem, &record).or_else(|| h.set(&mem, &at));
    let hooked = hook.filter(|_| watching || !at.is_empty()).and_then(in_place);
    // The rest has time.
    repair(journal, &header, &mem, hooked, watching)
}

fn traps_on_record(shared: &File) -> io::Result<Vec<(LoadAddr, u8)>> {
    let mut n = [0; 8];
    shared.read_exact_at(&mut n, TRAPS)?;
    let n = usize::try_from(u64::from_le_bytes(n)).unwrap_or(0).min(MAX_TRAPS);
    let mut bytes = vec![0; 16 * n];
    shared.read_exact_at(&mut bytes, TRAPS + 8)?;
    let entry = |e: &[u8]| Some((LoadAddr(u64::from_le_bytes(e.get(..8)?.try_into().ok()?)), *e.get(8)?));
    Ok(bytes.chunks_exact(16).filter_map(entry).collect())
}

/// Puts back what is on record: copied instructions when they have run. Threads whose hits nobody will deal with leave meanwhile.
fn repair(path: &Path, header: &Header, mem: &ProcessMemory, hooked: Option<Hooked>, watching: bool) -> io::Result<()> {
    let (_, entries) = journal::read(path)?;
    let put = |traps: bool| {
        let mut all = true;
        for e in entries.iter().filter(|e| (e.original.len() == 1) == traps) {
            let is = mem.read_vec(e.addr, e.original.len());
            if is.as_ref().is_ok_and(|b| *b != e.original) {
                all &= mem.write(e.addr, &e.original).is_ok();
            }
        }
        all
    };
    let traps = put(true);
    // Another program by the same number is none of ours.
    std::thread::sleep(COPY_RUNS);
    if procfs::start_time(header.pid) != Some(header.start_time) {
        return std::fs::remove_file(path);
    }
    if watching {
        clear_debug_registers(header.pid);
    }
    let mut all = traps;
    if let Some(h) = hooked {
        wait_until_free(header.pid);
        all &= h.unhook(mem);
        std::thread::sleep(COPY_RUNS);
        all &= h.restore(mem);
    }
    all &= put(false);
    if all { std::fs::remove_file(path) } else { Ok(()) }
}

/// Until the kernel has let the threads of the dead tracer go, and their signals were delivered.
fn wait_until_free(pid: i32) {
    let begun = Instant::now();
    while procfs::tracer_of(pid) != 0 && begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(COPY_RUNS);
}

/// Debug registers stay set in the threads when their tracer dies.
fn clear_debug_registers(pid: i32) {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Ok(mut t) = Tracer::attach(pid) {
            t.stop_all(PATIENCE);
            let tids: Vec<Tid> = t.threads().filter(|t| t.1.state.stands()).map(|t| t.0).collect();
            for tid in tids {
                let _gone_is_fine = debugreg::set(tid, &[None; REGISTERS]);
            }
            t.release_all();
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

impl super::Engine {
    /// Is something of ours in the target while it runs?
    pub(super) fn say_armed(&mut self, yes: bool) {
        if let Some(g) = self.traps.guardian() {
            g.arm(yes);
        }
    }

    /// Has the target guarded by another process from now on, if it is on record.
    ///
    /// # Errors
    /// It could not be started: a host that is killed then leaves its breakpoints to `adit rescue`.
    pub fn be_guarded(&mut self, adit: &Path) -> Result<(), EngineError> {
        let Some(path) = self.traps.journal_path() else { return Ok(()) };
        let area = self.sym.find_function("runtime.schedinit");
        let hook = area.zip(self.rt.globals().test_sigtrap).map(|(f, word)| Hook {
            area: self.bias.to_load(f.entry),
            len: f.end.since(f.entry),
            word,
        });
        let g =
            Guardian::start(adit, path, hook).map_err(|e| EngineError::State(format!("no guardian process: {e}")))?;
        let shield = hook
            .zip(area)
            .and_then(|(h, f)| Shield::new(h, &self.mem, self.sym.text(f.entry, usize::try_from(h.len).ok()?)?));
        self.traps.be_guarded(g, shield);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_notice_a_thread_that_dies() {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(RobustLocks::SIZE).expect("its size");
        let held = RobustLocks::map(&file).expect("mapped");
        std::thread::scope(|s| {
            s.spawn(|| held.take_all().expect("taken")).join().expect("it ends without giving them back");
        });
        let other = RobustLocks::map(&file).expect("mapped");
        assert!(other.wait().expect("an answer"), "its owner died");
        // And one who gives them back.
        let file = tempfile::tempfile().expect("a file");
        file.set_len(RobustLocks::SIZE).expect("its size");
        let held = RobustLocks::map(&file).expect("mapped");
        held.take_all().expect("taken");
        let other = RobustLocks::map(&file).expect("mapped");
        std::thread::scope(|s| {
            let waits = s.spawn(|| other.wait().expect("an answer"));
            held.give_back();
            assert!(!waits.join().expect("it ends"));
        });
    }
}
