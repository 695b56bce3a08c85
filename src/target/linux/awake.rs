//! Keeps the processor of a thread that is hit again and again from going to sleep between two hits.
//!
//! While such a thread stands, its processor has nothing to do. In a virtual machine an idle processor is given back to the hypervisor (HLT),
//! and getting it back takes as long as all else that a hit costs: 78 µs a hit instead of 44 were measured (medians, by turns), with
//! `guest_halt_poll_ns` at 0, as it is by default. So meanwhile a thread of ours spins there, of the class that runs only when nobody else wants to (SCHED_IDLE). Where
//! the program is in another control group that class says nothing to it; so the thread also gives way every 20 µs.

use super::{procfs, sys};
use crate::base::Tid;
use crate::base::clock::monotonic_ns;
use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread::Thread;

/// For so long after a hit the next is expected, ns.
const KEPT: u64 = 200_000;
/// How often it is asked on which processor the thread is, ns.
const ASK: u64 = 5_000_000;
/// Turns of spinning before the processor is offered to others: about 20 µs.
const SPINS: u32 = 400;

/// Keeps one processor awake at a time. Its thread begins with the first need and ends with it.
#[derive(Default)]
pub struct Awake {
    shared: Arc<Shared>,
    thread: Option<Thread>,
    ask_at: u64,
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
    /// A thread of the process was hit just now, and just before: its processor stays awake for a moment. Costs nearly nothing.
    pub fn keep(&mut self, pid: i32, tid: Tid) {
        let now = monotonic_ns();
        self.shared.until.store(now + KEPT, SeqCst);
        if now >= self.ask_at {
            self.ask_at = now + ASK;
            // Where we are ourselves nobody sleeps.
            let Some(cpu) = procfs::processor(pid, tid).filter(|c| sched_getcpu() != Ok(*c)) else { return };
            self.shared.cpu.store(cpu, SeqCst);
            if self.thread.is_none() {
                self.begin();
            }
        }
        if let Some(t) = self.thread.as_ref().filter(|_| self.shared.asleep.load(SeqCst)) {
            t.unpark();
        }
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
        if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
            return; // there is no other processor
        }
        let me = std::process::id() as i32;
        let mut awake = Awake::default();
        let shared = awake.shared.clone();
        // Any other thread is, sooner or later, on another processor than we are.
        let tids = procfs::threads(me).expect("threads");
        for tid in tids.iter().cycle().take_while(|_| !shared.asleep.load(SeqCst)).take(60_000) {
            if awake.thread.is_none() {
                awake.ask_at = 0;
                awake.keep(me, *tid);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(shared.asleep.load(SeqCst), "it did not run, or went on");
        awake.keep(me, tids[0]);
        assert!(comes(|| !shared.asleep.load(SeqCst) || monotonic_ns() > shared.until.load(SeqCst)));
        assert!(comes(|| shared.asleep.load(SeqCst)), "it went on");
        drop(awake);
        assert!(comes(|| Arc::strong_count(&shared) == 1), "it is still there");
    }
}
