//! Keeps the processor of a thread that is hit again and again from going to sleep between two hits.
//!
//! While such a thread stands, its processor has nothing to do. In a virtual machine an idle processor is given back to the hypervisor (HLT),
//! and getting it back takes nearly as long as all else that a hit costs: 54 µs a hit instead of 33 were measured (medians of six, by turns),
//! with `guest_halt_poll_ns` at 0, as it is by default. So meanwhile a thread of ours spins there, of the class that runs only when nobody else wants to (SCHED_IDLE). Where
//! the program is in another control group that class says nothing to it; so the thread also gives way every 20 µs.

use super::{procfs, sys};
use crate::base::Tid;
use crate::base::clock::monotonic_ns;
use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::unistd::{Pid, SysconfVar, sysconf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread::Thread;

/// For so long after a hit the next is expected, ns.
const KEPT: u64 = 200_000;
/// How often it is asked on which processor the thread is, ns.
const ASK: u64 = 5_000_000;
/// Hits of one thread in a row before its processor is kept awake: where several are hit, none has the time to sleep.
const ROW: u32 = 8;
/// Turns of spinning before the processor is offered to others: about 20 µs.
const SPINS: u32 = 400;

/// Keeps one processor awake at a time. Its thread begins with the first need and ends with it.
#[derive(Default)]
pub struct Awake {
    shared: Arc<Shared>,
    thread: Option<Thread>,
    ask_at: u64,
    /// Who was hit last, and how often in a row.
    hit: (Tid, u32),
    /// When it was last asked, there was a processor without work.
    needed: bool,
}

#[derive(Default)]
struct Shared {
    /// CLOCK_MONOTONIC, ns.
    until: AtomicU64,
    cpu: AtomicUsize,
    asleep: AtomicBool,
    end: AtomicBool,
}

impl Awake {
    /// A thread of the process was hit just now: if it was all the time, its processor stays awake for a moment. Costs nearly nothing.
    pub fn keep(&mut self, pid: i32, tid: Tid) {
        self.hit = (tid, if self.hit.0 == tid { self.hit.1.saturating_add(1) } else { 1 });
        if self.hit.1 < ROW {
            return;
        }
        let now = monotonic_ns();
        if now >= self.ask_at {
            self.ask_at = now + ASK;
            self.needed = self.ask(pid, tid);
        }
        if self.needed {
            self.stay(now);
        }
    }

    /// Is there a processor that could sleep? Where everybody has something to do none can.
    fn ask(&mut self, pid: i32, tid: Tid) -> bool {
        if procfs::runnable().is_none_or(|n| n > processors() + usize::from(self.spins())) {
            return false;
        }
        // Where we are ourselves nobody sleeps.
        if let Some(cpu) = procfs::processor(pid, tid).filter(|c| sched_getcpu() != Ok(*c)) {
            self.aim(cpu);
        }
        true
    }

    fn aim(&mut self, cpu: usize) {
        self.shared.cpu.store(cpu, SeqCst);
        if self.thread.is_none() {
            self.begin();
        }
    }

    fn stay(&self, now: u64) {
        self.shared.until.store(now + KEPT, SeqCst);
        if let Some(t) = self.thread.as_ref().filter(|_| self.shared.asleep.load(SeqCst)) {
            t.unpark();
        }
    }

    fn spins(&self) -> bool {
        self.thread.is_some() && !self.shared.asleep.load(SeqCst)
    }

    fn begin(&mut self) {
        let shared = self.shared.clone();
        let started = std::thread::Builder::new().name("adit-awake".into()).stack_size(64 << 10).spawn(move || {
            if let Err(e) = shared.spin() {
                tracing::debug!("processors go to sleep between hits: {e}");
            }
        });
        match started {
            Ok(t) => self.thread = Some(t.thread().clone()),
            Err(e) => {
                tracing::debug!("processors go to sleep between hits: {e}");
                self.ask_at = u64::MAX;
            }
        }
    }
}

/// The machine's processors; ours may be fewer, but `/proc/loadavg` is about all.
fn processors() -> usize {
    let n = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten();
    n.and_then(|n| usize::try_from(n).ok()).unwrap_or(1)
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.shared.end.store(true, SeqCst);
        if let Some(t) = &self.thread {
            t.unpark();
        }
    }
}

impl Shared {
    fn spin(&self) -> std::io::Result<()> {
        sys::set_idle()?;
        let mut on = usize::MAX;
        while !self.end.load(SeqCst) {
            let cpu = self.cpu.load(SeqCst);
            if cpu != on {
                let mut set = CpuSet::new();
                set.set(cpu)?;
                sched_setaffinity(Pid::from_raw(0), &set)?;
                on = cpu;
            }
            if monotonic_ns() < self.until.load(SeqCst) {
                (0..SPINS).for_each(|_| std::hint::spin_loop());
                std::thread::yield_now();
                continue;
            }
            self.asleep.store(true, SeqCst);
            // Nobody who came since then has seen that we sleep.
            if monotonic_ns() >= self.until.load(SeqCst) && !self.end.load(SeqCst) {
                std::thread::park();
            }
            self.asleep.store(false, SeqCst);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn comes(what: impl Fn() -> bool) -> bool {
        // A thread of its class may wait long for its turn.
        for _ in 0..6000 {
            if what() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    #[test]
    fn it_spins_while_hits_come_and_not_longer() {
        let mut awake = Awake::default();
        (awake.ask_at, awake.needed) = (u64::MAX, true);
        let shared = awake.shared.clone();
        awake.aim(sched_getcpu().expect("a processor"));
        assert!(comes(|| shared.asleep.load(SeqCst)), "it did not run");
        let until = || shared.until.load(SeqCst);
        (0..ROW as i32).for_each(|i| awake.keep(0, Tid(i % 2)));
        assert_eq!(until(), 0, "several are hit");
        (0..ROW).for_each(|_| awake.keep(0, Tid(7)));
        assert!(until() > 0);
        assert!(comes(|| !shared.asleep.load(SeqCst) || monotonic_ns() > until()));
        assert!(comes(|| shared.asleep.load(SeqCst)), "it went on");
        drop(awake);
        assert!(comes(|| Arc::strong_count(&shared) == 1), "it is still there");
    }
}
