//! Which code a process's threads execute, from the kernel's perf events: nothing is stopped, nothing is written to the process, and the kernel
//! ends it all when we end.
//!
//! The event is `cpu-clock`, which every machine has; call chains follow frame pointers, which Go code has on amd64 and arm64.

use crate::base::Tid;
use crate::target::TargetError;
use crate::target::linux::procfs;
use perf_event_open::config::{CallChain as Chains, Clock, Cpu, Opts, Priv, Proc, RecordIdFormat, SampleOn};
use perf_event_open::count::Counter;
use perf_event_open::event::sw::Software;
use perf_event_open::sample::Sampler;
use perf_event_open::sample::record::Record;
use perf_event_open::sample::record::ctx::Switch;
use perf_event_open::sample::record::sample::CallChain;
use std::collections::BTreeMap;
use std::io;

/// Pages of each thread's ring, as a power of two. Users have 516 KiB for all their rings (`kernel.perf_event_mlock_kb`): 40 threads.
const RING: u8 = 1;
/// The same for more samples a second than this.
const BIG_RING: u8 = 3;
const OFTEN: u32 = 200;
/// A thread was on a processor here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuSample {
    /// Which thread.
    pub tid: Tid,
    /// When, ns of CLOCK_MONOTONIC.
    pub at_ns: i64,
    /// The PC, then return addresses, leaf first; empty where the kernel saw no user code.
    pub pcs: Vec<u64>,
}

/// The kernel switched a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuSwitch {
    /// Which thread.
    pub tid: Tid,
    /// When, ns of CLOCK_MONOTONIC.
    pub at_ns: i64,
    /// Onto a processor, or off one.
    pub on: bool,
    /// It would have run on (told from Linux 4.17 on).
    pub preempted: bool,
}

/// What was seen between two looks at the rings; each thread's own in the order of time.
#[derive(Clone, Debug, Default)]
pub struct Drained {
    /// Samples.
    pub samples: Vec<CpuSample>,
    /// Switches, where they are told.
    pub switches: Vec<CpuSwitch>,
}

/// Sampling of all threads of a process.
pub struct OnCpu {
    pid: i32,
    hz: u32,
    threads: BTreeMap<i32, (Counter, Sampler)>,
    kernel: bool,
    switches: bool,
    /// Samples that the kernel had to drop.
    pub lost: u64,
}

fn open(tid: i32, hz: u32, kernel: bool, switches: bool) -> io::Result<(Counter, Sampler)> {
    let mut opts = Opts {
        exclude: Priv { kernel: !kernel, hv: true, idle: true, ..Priv::default() },
        sample_on: SampleOn::Freq(u64::from(hz)),
        timer: Some(Clock::Monotonic),
        record_id_format: RecordIdFormat { task: true, time: true, ..RecordIdFormat::default() },
        ..Opts::default()
    };
    opts.sample_format.call_chain =
        Some(Chains { exclude_user: false, exclude_kernel: true, defer_user: false, max_stack_frames: 0 });
    opts.extra_record.ctx_switch = switches;
    opts.record_id_all = switches;
    let counter = Counter::new(Software::CpuClock, (Proc(tid.cast_unsigned()), Cpu::ALL), &opts)?;
    let sampler = counter.sampler(if hz > OFTEN || switches { BIG_RING } else { RING })?;
    counter.enable()?;
    Ok((counter, sampler))
}

fn time(t: Option<u64>) -> i64 {
    t.unwrap_or(0).min(i64::MAX as u64).cast_signed()
}

impl OnCpu {
    /// Begins to sample `hz` times a second of each thread's own time, and, if `switches`, to be told of its switches where that is possible. The
    /// error says what forbids it.
    pub fn open(pid: i32, hz: u32, switches: bool) -> Result<OnCpu, TargetError> {
        let mut s = OnCpu { pid, hz, threads: BTreeMap::new(), kernel: true, switches, lost: 0 };
        // Time in the kernel counts for the Go code that asked for it, as in Go's own profiles; where that is forbidden, user code alone. Rings
        // for switches are larger than users may have with many threads.
        let mut result = s.begin();
        for (kernel, switches) in [(false, switches), (false, false)] {
            if !matches!(result, Err(TargetError::Denied { .. })) {
                break;
            }
            (s.kernel, s.switches) = (kernel, switches);
            s.threads.clear();
            result = s.begin();
        }
        result.map(|()| s)
    }

    /// Are switches told?
    pub fn tells_switches(&self) -> bool {
        self.switches
    }

    /// Does time in system calls count?
    pub fn counts_kernel(&self) -> bool {
        self.kernel
    }

    fn begin(&mut self) -> Result<(), TargetError> {
        self.add_threads()?;
        if self.threads.is_empty() { Err(TargetError::NoProcess(self.pid)) } else { Ok(()) }
    }

    /// Takes threads in that are new.
    pub fn add_threads(&mut self) -> Result<(), TargetError> {
        let all = procfs::threads(self.pid)?;
        for tid in &all {
            if self.threads.contains_key(&tid.0) {
                continue;
            }
            match open(tid.0, self.hz, self.kernel, self.switches) {
                Ok(t) => drop(self.threads.insert(tid.0, t)),
                // It ended meanwhile.
                Err(e) if e.raw_os_error() == Some(libc::ESRCH) => {}
                Err(e) => return Err(self.refused(e)),
            }
        }
        self.threads.retain(|t, _| all.contains(&Tid(*t)));
        Ok(())
    }

    fn refused(&self, e: io::Error) -> TargetError {
        let paranoid = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap_or_default();
        let why = match e.raw_os_error() {
            Some(libc::EACCES | libc::EPERM) => format!(
                "perf events are forbidden here (kernel.perf_event_paranoid is {}; CAP_PERFMON or 2 and the same user would do)",
                paranoid.trim()
            ),
            Some(libc::ENOSYS | libc::ENOENT | libc::EOPNOTSUPP) => "this kernel has no perf events for it".to_string(),
            Some(libc::EMFILE) => "too many threads for the limit of open files (ulimit -n)".to_string(),
            _ => return TargetError::os("perf_event_open", e),
        };
        TargetError::Denied { pid: self.pid, what: "sample", why }
    }

    /// What was seen since the last time.
    pub fn drain(&mut self) -> Drained {
        let mut out = Drained::default();
        for (tid, (_, sampler)) in &self.threads {
            let Some(records) = sampler.iter() else { continue };
            for (_, record) in records {
                match record {
                    Record::Sample(s) => {
                        let user = |c: &CallChain| match c {
                            CallChain::User(pcs) => Some(pcs.clone()),
                            _ => None,
                        };
                        let pcs = s.call_chain.as_ref().and_then(|c| c.iter().find_map(user)).unwrap_or_default();
                        out.samples.push(CpuSample { tid: Tid(*tid), at_ns: time(s.record_id.time), pcs });
                    }
                    Record::CtxSwitch(w) => {
                        let at_ns = time(w.record_id.and_then(|r| r.time));
                        let (on, preempted) = match w.info {
                            Switch::InFrom(_) => (true, false),
                            Switch::OutTo { preempt, .. } => (false, preempt),
                        };
                        out.switches.push(CpuSwitch { tid: Tid(*tid), at_ns, on, preempted });
                    }
                    Record::LostRecords(l) => self.lost += l.lost_records,
                    Record::LostSamples(l) => self.lost += l.lost_samples,
                    _ => {}
                }
            }
        }
        out
    }
}
