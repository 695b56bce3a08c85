//! A profile of a running process from the kernel's perf events, on a thread of its own for as long as it takes.

use super::{Host, from_open, no_target};
use crate::backend::protocol::*;
use crate::engine::Loaded;
use crate::engine::OpenError;
use crate::profile::oncpu::OnCpuProfile;
use crate::target::TargetError;
use crate::target::linux::perf::OnCpu;
use std::time::{Duration, Instant, SystemTime};

/// Between two emptyings of the rings, and looks for new threads.
const PACE: Duration = Duration::from_millis(50);
/// Longest profile.
const LONGEST: Duration = Duration::from_secs(600);
/// Samples a second of each thread, at most.
const MOST_HZ: u32 = 1_000;

impl Host {
    /// Samples for a while and answers then.
    pub(super) fn sample_cpu(&mut self, id: u64, millis: u64, hz: u32) {
        let loaded = match &self.loaded {
            Some(l) if l.process.is_some() => l.clone(),
            Some(_) => {
                let f = Failure::new(FailureKind::Unavailable, "a core or snapshot does not run: it has no profile");
                return self.outbox.reply(id, Err(f.fix("adit prof FILE shows a profile that was written")));
            }
            None => return self.outbox.reply(id, Err(no_target())),
        };
        let out = self.outbox.out.clone();
        let length = Duration::from_millis(millis).min(LONGEST);
        let work = move || {
            let result = take(&loaded, length, hz.clamp(1, MOST_HZ)).map_err(|e| from_open(&OpenError::Target(e)));
            let _client_is_gone = out.blocking_send(FromHost::Reply { id, result });
        };
        if let Err(e) = std::thread::Builder::new().name("cpu-profile".into()).spawn(work) {
            let f = Failure::new(FailureKind::Internal, format!("no thread for the profile: {e}"));
            self.outbox.reply(id, Err(f));
        }
    }
}

fn take(loaded: &Loaded, length: Duration, hz: u32) -> Result<Reply, TargetError> {
    let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i64);
    let t0 = Instant::now();
    let mut cpu = OnCpu::open(loaded.pid, hz)?;
    let mut profile = OnCpuProfile::new(&loaded.rt, hz);
    let mut ended = false;
    while t0.elapsed() < length && !ended {
        std::thread::sleep(PACE.min(length.saturating_sub(t0.elapsed())));
        cpu.drain().iter().for_each(|s| profile.add(&s.pcs));
        // A process that ended has a profile all the same.
        match cpu.add_threads() {
            Err(TargetError::NoProcess(_)) => ended = true,
            other => other?,
        }
    }
    cpu.drain().iter().for_each(|s| profile.add(&s.pcs));
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
    let profile = profile.finish(began, t0.elapsed().as_nanos() as i64, notes);
    Ok(Reply::CpuProfile(Box::new(profile)))
}
