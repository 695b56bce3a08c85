//! A profile of a running process from the kernel's perf events: which code its threads execute, with nothing in the program that it has to serve.

use super::native::from_open;
use super::protocol::{Failure, FailureKind};
use crate::engine::{Loaded, OpenError};
use crate::model::Profile;
use crate::profile::oncpu::OnCpuProfile;
use crate::target::TargetError;
use crate::target::linux::perf::OnCpu;
use std::time::{Duration, Instant, SystemTime};

/// How such a profile is named among files and addresses: `perf://PID?seconds=5&hz=99`.
pub const SCHEME: &str = "perf://";
/// Seconds where nothing is said.
pub const SECONDS: f64 = 5.0;
/// Samples a second of each thread where nothing is said.
const HZ: u32 = 99;
/// Between two emptyings of the rings, and looks for new threads.
const PACE: Duration = Duration::from_millis(50);
/// Longest profile.
const LONGEST: Duration = Duration::from_secs(600);
/// Samples a second of each thread, at most.
const MOST_HZ: u32 = 1_000;

/// The name of a profile of a process.
pub fn source(pid: i32, seconds: f64) -> String {
    format!("{SCHEME}{pid}?seconds={seconds}")
}

/// Samples as a name says; it takes as long as it says.
pub fn fetch(source: &str) -> Result<Profile, Failure> {
    let wrong = || Failure::new(FailureKind::BadRequest, format!("{source} is not perf://PID?seconds=N&hz=N"));
    let (pid, rest) = source.strip_prefix(SCHEME).ok_or_else(wrong)?.split_once('?').ok_or_else(wrong)?;
    let pid: i32 = pid.parse().map_err(|_| wrong())?;
    let value = |key: &str| rest.split('&').find_map(|p| p.strip_prefix(key)?.strip_prefix('='));
    let seconds: f64 = value("seconds").map_or(Ok(SECONDS), str::parse).map_err(|_| wrong())?;
    let hz: u32 = value("hz").map_or(Ok(HZ), str::parse).map_err(|_| wrong())?;
    let length = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
    let loaded = Loaded::open(pid, None).map_err(|e| from_open(&e))?;
    take(&loaded, length, hz).map_err(|e| from_open(&OpenError::Target(e)))
}

/// Samples for so long, ten minutes at most.
pub fn take(loaded: &Loaded, length: Duration, hz: u32) -> Result<Profile, TargetError> {
    let (length, hz) = (length.min(LONGEST), hz.clamp(1, MOST_HZ));
    let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i64);
    let t0 = Instant::now();
    let mut cpu = OnCpu::open(loaded.pid, hz, false)?;
    let mut profile = OnCpuProfile::new(&loaded.rt, hz);
    let mut ended = false;
    while t0.elapsed() < length && !ended {
        std::thread::sleep(PACE.min(length.saturating_sub(t0.elapsed())));
        cpu.drain().samples.iter().for_each(|s| profile.add(&s.pcs));
        // A process that ended has a profile all the same.
        match cpu.add_threads() {
            Err(TargetError::NoProcess(_)) => ended = true,
            other => other?,
        }
    }
    cpu.drain().samples.iter().for_each(|s| profile.add(&s.pcs));
    let mut notes = vec![format!("perf events, {hz} samples a second of each thread's time on a processor")];
    if !cpu.counts_kernel() {
        notes.push("time in the kernel is not in it: that is forbidden here (kernel.perf_event_paranoid)".into());
    }
    if cpu.lost > 0 {
        notes.push(format!("{} samples were lost: the machine was too busy", cpu.lost));
    }
    if ended {
        notes.push("the process ended before the time was over".into());
    }
    Ok(profile.finish(began, t0.elapsed().as_nanos() as i64, notes))
}
