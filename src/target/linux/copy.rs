//! A copy of a living process: registers and resident memory of one moment, taken in a stop as short as the copying.
//!
//! Everything that takes time is done before the stop: sizes are known from the page tables and the room is there,
//! page by page. While the process stands the page tables are read once more, so that nothing new is missed, and copied.

use super::memory::ProcessMemory;
use super::procfs::{self, Mapping};
use super::sys;
use super::tracer::{Event, State, Tracer};
use crate::arch::Registers;
use crate::base::clock::monotonic_ns;
use crate::base::mmap::{Buffer, FileBytes};
use crate::base::{LoadAddr, Memory, ReadOp, Tid};
use crate::target::TargetError;
use crate::target::pieces::Builder;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const PAGE: u64 = 4096;
/// Largest copy, bytes; also not more than half of the memory that is free.
const LIMIT: u64 = 4 << 30;
/// Room beyond what is resident before the stop, bytes: the process runs until then.
const SLACK: u64 = 32 << 20;
/// Most bytes and ranges that one thread copies at a time.
const BATCH: u64 = 2 << 20;
const BATCH_RANGES: usize = 1024;
/// So many batches one thread copies alone.
const ALONE: usize = 3;
/// How long threads that the kernel cannot stop now (a fork under way, a disk that hangs) are waited for.
const PATIENCE: Duration = Duration::from_millis(50);
/// Bits of `/proc/PID/pagemap` (Documentation/admin-guide/mm/pagemap.rst).
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
const OF_FILE: u64 = 1 << 61;

/// Why no copy was made.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Too much.
    #[error("{} MiB of the process's memory are resident: a copy may take {} MiB here (4 GiB, and half of the free memory)", .resident >> 20, .limit >> 20)]
    TooLarge {
        /// Bytes to copy.
        resident: u64,
        /// Bytes that may be.
        limit: u64,
    },
    /// No room after all.
    #[error("no memory for the copy: {0}")]
    NoRoom(std::io::Error),
    /// It would have taken longer than the process may stand.
    #[error("copying {} MiB takes longer than the process may stand", .0 >> 20)]
    TooSlow(u64),
    /// The process.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// It became another program.
    #[error("the process replaced its program (exec) while it was being stopped")]
    Exec,
}

/// What was copied.
pub struct Copied {
    /// Private memory of the process; the rest is in its files.
    pub memory: Builder,
    /// Mappings at the moment.
    pub maps: Vec<Mapping>,
    /// Registers of all threads that stood.
    pub registers: Vec<(Tid, Registers)>,
    /// From the first interrupt to the last thread let go.
    pub pause: Duration,
    /// Bytes copied.
    pub bytes: u64,
    /// CLOCK_MONOTONIC of the moment, nanoseconds.
    pub clock_ns: u64,
}

/// Resident pages that lie side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    addr: u64,
    len: u64,
}

/// Room for a copy, made ready while the process runs.
pub struct Plan {
    pid: i32,
    pagemap: File,
    limit: u64,
    room: Buffer,
    /// The copying must be over then.
    deadline: Option<Instant>,
}

/// The bytes, before they are put in order.
pub struct Raw {
    runs: Vec<Run>,
    maps: Vec<Mapping>,
    buffers: Vec<Buffer>,
    /// Pages that could not be read.
    failed: Vec<u64>,
    clock_ns: u64,
}

/// How much a copy may take.
fn free() -> u64 {
    LIMIT.min(procfs::available_memory().unwrap_or(u64::MAX) / 2)
}

impl Plan {
    /// Finds out how much there is to copy and makes room. Nothing is stopped.
    pub fn prepare(pid: i32) -> Result<Plan, CopyError> {
        Plan::within(pid, free(), SLACK)
    }

    /// As [`Plan::prepare`], of a process that stands already: it waits for every page of room, and needs none beyond what it has.
    pub fn at_a_stop(pid: i32) -> Result<Plan, CopyError> {
        Plan::within(pid, free(), 0)
    }

    fn within(pid: i32, limit: u64, slack: u64) -> Result<Plan, CopyError> {
        let path = format!("/proc/{pid}/pagemap");
        let pagemap = File::open(&path).map_err(|e| match e.kind() {
            ErrorKind::PermissionDenied => {
                TargetError::Denied { pid, what: "copy", why: super::doctor::why_denied(pid) }
            }
            ErrorKind::NotFound => TargetError::NoProcess(pid),
            _ => TargetError::os(format!("open {path}"), e),
        })?;
        let resident = total(&resident(&pagemap, &procfs::maps(pid)?)?);
        if resident > limit {
            return Err(CopyError::TooLarge { resident, limit });
        }
        let growth = if slack > 0 { resident / 16 + slack } else { 0 };
        let room = Buffer::reserve((resident + growth) as usize).map_err(CopyError::NoRoom)?;
        Ok(Plan { pid, pagemap, limit, room, deadline: None })
    }

    /// Gives the copy up when it is not done then.
    pub fn until(self, deadline: Option<Instant>) -> Plan {
        Plan { deadline, ..self }
    }

    /// Copies. The process stands.
    pub fn copy(self, mem: &ProcessMemory) -> Result<Raw, CopyError> {
        let clock_ns = monotonic_ns();
        let maps = procfs::maps(self.pid)?;
        let runs = resident(&self.pagemap, &maps)?;
        let size = total(&runs);
        if size > self.limit {
            return Err(CopyError::TooLarge { resident: size, limit: self.limit });
        }
        let mut buffers = vec![self.room];
        if let Some(more) = size.checked_sub(buffers[0].len() as u64).filter(|n| *n > 0) {
            buffers.push(Buffer::reserve(more as usize).map_err(CopyError::NoRoom)?);
        }
        let runs = split_at(runs, buffers[0].len() as u64);
        let failed = copy_runs(mem, &runs, &mut buffers, self.deadline).ok_or(CopyError::TooSlow(size))?;
        Ok(Raw { runs, maps, buffers, failed, clock_ns })
    }
}

/// All that had to be taken while the process stood.
pub struct Taken {
    /// Memory.
    pub raw: Raw,
    /// Registers of its threads.
    pub registers: Vec<(Tid, Registers)>,
    /// How long it stood for it.
    pub pause: Duration,
}

impl Taken {
    /// Puts the copy in order; nobody waits for that.
    pub fn finish(self) -> Result<Copied, CopyError> {
        let clock_ns = self.raw.clock_ns;
        let (memory, maps, bytes) = self.raw.finish()?;
        Ok(Copied { memory, maps, registers: self.registers, pause: self.pause, bytes, clock_ns })
    }
}

impl Raw {
    /// Puts the copy in order; the process runs again. Bytes copied, too.
    fn finish(self) -> Result<(Builder, Vec<Mapping>, u64), CopyError> {
        let mut out = Builder::default();
        let buffers: Vec<FileBytes> =
            self.buffers.into_iter().map(Buffer::freeze).collect::<Result<_, _>>().map_err(CopyError::NoRoom)?;
        let mut at = buffers.iter();
        let (mut buffer, mut offset) = (at.next(), 0u64);
        for run in &self.runs {
            if buffer.is_some_and(|b| offset + run.len > b.len() as u64) {
                (buffer, offset) = (at.next(), 0);
            }
            let Some(b) = buffer else { break };
            // Around pages that could not be read.
            let mut from = run.addr;
            let bad = self.failed.iter().copied().filter(|p| (run.addr..run.addr + run.len).contains(p));
            for stop in bad.chain([run.addr + run.len]) {
                out.bytes(from, stop - from, b, offset + (from - run.addr));
                from = stop + PAGE;
            }
            offset += run.len;
        }
        let bad: u64 = self.failed.len() as u64 * PAGE;
        let failed_in = |m: &Mapping| self.failed.iter().any(|p| (m.start..m.end).contains(p));
        for m in self.maps.iter().filter(|m| wanted(m) && m.inode == 0 && !failed_in(m)) {
            out.zeros(m.start, m.end - m.start);
        }
        Ok((out, self.maps, total(&self.runs) - bad))
    }
}

/// Copies a process that nobody controls: attached to, stopped, copied, let go. All by this thread, but the copying.
pub fn take(pid: i32, mem: &ProcessMemory) -> Result<Copied, CopyError> {
    let plan = Plan::prepare(pid)?;
    let mut tracer = Tracer::attach(pid)?;
    let t0 = Instant::now();
    let events = tracer.stop_all(PATIENCE);
    let mut trouble = None;
    for e in events {
        match e {
            Event::NewProcess(_, child, _) => {
                // Caught by our watching for threads; it is nothing to us.
                if matches!(sys::wait(Tid(child), true), Ok(sys::WaitStatus::Event(..) | sys::WaitStatus::Signal(_))) {
                    Tracer::release_child(child);
                }
            }
            Event::Exec(_) => trouble = Some(CopyError::Exec),
            Event::Exited(..) => trouble = Some(CopyError::Target(TargetError::Exited)),
            _ => {}
        }
    }
    let (registers, raw) = match trouble {
        Some(e) => (Vec::new(), Err(e)),
        None => (registers(&tracer), plan.copy(mem)),
    };
    tracer.let_go();
    Taken { raw: raw?, registers, pause: t0.elapsed() }.finish()
}

/// Registers of all threads that stand.
pub fn registers(tracer: &Tracer) -> Vec<(Tid, Registers)> {
    let standing = tracer.threads().filter(|t| t.1.state != State::Running && t.1.state != State::GroupStopped);
    standing.filter_map(|(tid, _)| Some((tid, tracer.registers_with_vectors(tid).ok()?))).collect()
}

fn total(runs: &[Run]) -> u64 {
    runs.iter().map(|r| r.len).sum()
}

/// Is it memory that a copy has? The program's own: private and readable, not code, not the kernel's pages.
pub fn wanted(m: &Mapping) -> bool {
    let p = m.perms.as_bytes();
    let kernels = m.path.starts_with("[v");
    p.first() == Some(&b'r') && p.get(2) != Some(&b'x') && p.get(3) == Some(&b'p') && !kernels
}

/// Resident pages that must be copied: all of writable memory, elsewhere those that differ from the file.
fn resident(pagemap: &File, maps: &[Mapping]) -> Result<Vec<Run>, CopyError> {
    let mut runs: Vec<Run> = Vec::new();
    let mut buf = vec![0u8; 256 << 10];
    for m in maps.iter().filter(|m| wanted(m)) {
        let writable = m.perms.as_bytes().get(1) == Some(&b'w');
        let mut at = m.start;
        while at < m.end {
            let n = ((m.end - at) / PAGE).min(buf.len() as u64 / 8);
            let part = &mut buf[..n as usize * 8];
            pagemap
                .read_exact_at(part, at / PAGE * 8)
                .map_err(|e| TargetError::os("read the process's page table (pagemap)", e))?;
            for (i, e) in part.chunks_exact(8).enumerate() {
                let e = e.try_into().map_or(0, u64::from_le_bytes);
                if e & (PRESENT | SWAPPED) == 0 || (!writable && e & OF_FILE != 0) {
                    continue;
                }
                let addr = at + i as u64 * PAGE;
                match runs.last_mut() {
                    Some(r) if r.addr + r.len == addr => r.len += PAGE,
                    _ => runs.push(Run { addr, len: PAGE }),
                }
            }
            at += n * PAGE;
        }
    }
    Ok(runs)
}

/// Splits the run that reaches over `limit` bytes from the first, so that it fits two buffers.
fn split_at(runs: Vec<Run>, limit: u64) -> Vec<Run> {
    let mut sum = 0;
    let mut out = Vec::with_capacity(runs.len() + 1);
    for r in runs {
        let left = limit.saturating_sub(sum);
        if left > 0 && left < r.len {
            out.push(Run { addr: r.addr, len: left });
            out.push(Run { addr: r.addr + left, len: r.len - left });
        } else {
            out.push(r);
        }
        sum += r.len;
    }
    out
}

/// Copies all runs into the buffers, in order, with two threads. Pages that could not be read are returned; nothing if it was not done in time.
fn copy_runs(mem: &ProcessMemory, runs: &[Run], buffers: &mut [Buffer], deadline: Option<Instant>) -> Option<Vec<u64>> {
    let mut rest = buffers.iter_mut().map(|b| &mut b[..]);
    let mut room = rest.next().unwrap_or_default();
    let mut batches: Vec<Vec<ReadOp<'_>>> = vec![Vec::new()];
    let mut in_batch = 0;
    for run in runs {
        if (room.len() as u64) < run.len {
            room = rest.next().unwrap_or_default();
        }
        let (mut at, mut left) = (run.addr, run.len);
        while left > 0 {
            let n = left.min(BATCH - in_batch);
            let (buf, later) = std::mem::take(&mut room).split_at_mut(n as usize);
            room = later;
            if let Some(b) = batches.last_mut() {
                b.push(ReadOp { addr: LoadAddr(at), buf, ok: false });
            }
            (at, left, in_batch) = (at + n, left - n, in_batch + n);
            if in_batch >= BATCH || batches.last().is_some_and(|b| b.len() >= BATCH_RANGES) {
                batches.push(Vec::new());
                in_batch = 0;
            }
        }
    }
    let much = batches.len() > ALONE;
    let queue = Mutex::new(batches.into_iter());
    let failed = Mutex::new(Vec::new());
    let late = AtomicBool::new(false);
    let work = || {
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(mut ops) = next else { return };
            if deadline.is_some_and(|d| Instant::now() >= d) {
                late.store(true, Relaxed);
                return;
            }
            let all_failed = mem.read_scatter(&mut ops).is_err();
            for op in ops.iter_mut().filter(|o| all_failed || !o.ok) {
                for (i, page) in op.buf.chunks_mut(PAGE as usize).enumerate() {
                    let at = op.addr.add(i as u64 * PAGE);
                    if mem.read(at, page).is_err() {
                        failed.lock().unwrap_or_else(PoisonError::into_inner).push(at.0);
                    }
                }
            }
        }
    };
    std::thread::scope(|s| {
        // Without a second thread this one does it all; a second one that finds nothing to do would be waited for.
        let _second = much.then(|| std::thread::Builder::new().name("copy".into()).spawn_scoped(s, work));
        work();
    });
    let mut failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.sort_unstable();
    (!late.into_inner()).then_some(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_split_where_the_room_ends() {
        let r = |addr, len| Run { addr, len };
        assert_eq!(split_at(vec![r(0, 10), r(20, 10)], 15), [r(0, 10), r(20, 5), r(25, 5)]);
        assert_eq!(split_at(vec![r(0, 10), r(20, 10)], 10), [r(0, 10), r(20, 10)]);
        assert_eq!(split_at(vec![r(0, 10)], 0), [r(0, 10)]);
    }

    #[test]
    fn too_much_is_refused_before_anything_is_stopped() {
        let ours = vec![1u8; 8 << 20];
        let e = Plan::within(std::process::id() as i32, 1 << 20, 0).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(e.contains("are resident") && e.contains("may take 1 MiB"), "{e}");
        assert_eq!(ours.iter().map(|b| u64::from(*b)).sum::<u64>(), 8 << 20);
        assert!(matches!(Plan::within(0x3fff_fff0, 1 << 20, 0), Err(CopyError::Target(TargetError::NoProcess(_)))));
    }

    #[test]
    fn our_own_memory_is_copied() {
        // A page that was written, one that was not, and both again behind them.
        let pid = std::process::id() as i32;
        let mut own = memmap2::MmapMut::map_anon(4 * PAGE as usize).expect("memory");
        own[10] = 1;
        own[2 * PAGE as usize + 10] = 2;
        let at = own.as_ptr() as u64;
        let plan = Plan::prepare(pid).expect("a plan");
        let raw = plan.copy(&ProcessMemory::open(pid).expect("ourselves")).expect("copied");
        let taken = Taken { raw, registers: Vec::new(), pause: Duration::ZERO };
        let copied = taken.finish().expect("in order");
        own[10] = 7;
        let m = copied.memory.finish();
        let byte = |off: u64| m.read_u8(LoadAddr(at + off)).ok();
        assert_eq!((byte(10), byte(PAGE), byte(2 * PAGE + 10), byte(3 * PAGE)), (Some(1), Some(0), Some(2), Some(0)));
        assert!(copied.bytes > 2 * PAGE && copied.clock_ns > 0);
    }
}
