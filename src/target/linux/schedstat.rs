//! What the kernel sums up for each thread of a process: time on a processor, time ready and waiting for one, time slices
//! (`/proc/PID/task/TID/schedstat`, Documentation/scheduler/sched-stats.rst). It needs no right but to see the process.

use super::procfs;
use crate::base::Tid;
use crate::target::TargetError;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Threads that are followed.
const THREADS: usize = 512;
/// Readings between two looks for new threads.
const LIST_EVERY: u32 = 8;

/// One thread, since the reading before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadSums {
    /// Which.
    pub tid: Tid,
    /// The reading before, ns.
    pub from_ns: i64,
    /// This one, ns.
    pub to_ns: i64,
    /// On a processor meanwhile, ns.
    pub run_ns: u64,
    /// Ready meanwhile, ns.
    pub wait_ns: u64,
    /// Time slices meanwhile.
    pub slices: u64,
}

struct Thread {
    file: File,
    before: Option<(i64, [u64; 3])>,
}

/// Sums of all threads of a process.
pub struct SchedSums {
    pid: i32,
    threads: BTreeMap<i32, Thread>,
    readings: u32,
}

/// Three numbers in one line.
fn parse(text: &[u8]) -> Option<[u64; 3]> {
    let mut words = std::str::from_utf8(text).ok()?.split_ascii_whitespace().map(str::parse);
    let mut next = || words.next()?.ok();
    Some([next()?, next()?, next()?])
}

impl SchedSums {
    /// Of this process; nothing is read yet.
    pub fn new(pid: i32) -> SchedSums {
        SchedSums { pid, threads: BTreeMap::new(), readings: 0 }
    }

    /// Reads at `now` (ns of CLOCK_MONOTONIC). The first reading of a thread gives nothing.
    pub fn read(&mut self, now: i64) -> Result<Vec<ThreadSums>, TargetError> {
        if self.readings.is_multiple_of(LIST_EVERY) {
            self.list()?;
        }
        self.readings = self.readings.wrapping_add(1);
        let mut out = Vec::with_capacity(self.threads.len());
        let mut buf = [0; 96];
        self.threads.retain(|tid, t| {
            // A thread that ended meanwhile cannot be read.
            let Some(sums) = t.file.read_at(&mut buf, 0).ok().and_then(|n| parse(&buf[..n])) else { return false };
            if let Some((from_ns, b)) = t.before.replace((now, sums)).filter(|b| b.0 < now) {
                let since = |i: usize| sums[i].saturating_sub(b[i]);
                let (run_ns, wait_ns, slices) = (since(0), since(1), since(2));
                out.push(ThreadSums { tid: Tid(*tid), from_ns, to_ns: now, run_ns, wait_ns, slices });
            }
            true
        });
        Ok(out)
    }

    fn list(&mut self) -> Result<(), TargetError> {
        for tid in procfs::threads(self.pid)? {
            if self.threads.contains_key(&tid.0) || self.threads.len() >= THREADS {
                continue;
            }
            match File::open(format!("/proc/{}/task/{}/schedstat", self.pid, tid.0)) {
                Ok(file) => drop(self.threads.insert(tid.0, Thread { file, before: None })),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound && procfs::alive(self.pid) => {}
                Err(e) => return Err(TargetError::os("schedstat", e)),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_thread_runs_and_a_sleeping_one_does_not() {
        assert_eq!(parse(b"12 3 45\n"), Some([12, 3, 45]));
        assert_eq!(parse(b"12 x 45\n"), None);
        let mut s = SchedSums::new(std::process::id().cast_signed());
        let now = || crate::base::clock::monotonic_ns().cast_signed();
        assert!(s.read(now()).expect("our own").is_empty());
        let me = Tid(nix::unistd::gettid().as_raw());
        let t0 = std::time::Instant::now();
        while t0.elapsed() < std::time::Duration::from_millis(60) {
            std::hint::black_box(t0);
        }
        let sums = s.read(now()).expect("our own");
        let mine = sums.iter().find(|t| t.tid == me).expect("this thread");
        assert!(mine.run_ns + mine.wait_ns > 40_000_000 && mine.to_ns - mine.from_ns >= 60_000_000, "{mine:?}");
    }
}
