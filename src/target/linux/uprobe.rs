//! Uprobes by perf events: the kernel notes registers and the top of the stack whenever a thread comes by an instruction. Nobody is
//! stopped, and the kernel takes the probe out again when its descriptors are closed, even if we are killed.
//!
//! Each thread has a descriptor and a ring for each place, since events are inherited by new threads only without rings.

use crate::arch::Registers;
use crate::base::Tid;
use crate::base::clock::monotonic_ns;
use crate::target::TargetError;
use perf_event_open::config::{Clock, Cpu, Opts, Priv, Proc, RecordIdFormat, RegsMask, SampleOn, Size};
use perf_event_open::count::Counter;
use perf_event_open::event::dp::DynamicPmu;
use perf_event_open::sample::Sampler;
use perf_event_open::sample::record::Record;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;

/// The kernel's number for this kind of event.
const TYPE: &str = "/sys/bus/event_source/devices/uprobe/type";
/// Sizes of a ring in pages, as powers of two, the largest that is granted is taken: users may lock 516 KiB, root more.
const RINGS: [u8; 4] = [8, 6, 4, 2];
/// Largest part of a stack that is noted, bytes.
pub const MAX_STACK: u32 = 4096;
/// General registers, flags and PC, by the bits of asm/perf_regs.h (AX BX CX DX SI DI BP SP IP FLAGS, then R8 to R15 from bit 16).
const REGISTERS: u64 = 0x3ff | 0xff << 16;

/// After so many ns what was noted is in its ring.
const SETTLED: i64 = 500_000;

/// A place in the file that is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// Offset in the file.
    pub offset: u64,
    /// Bytes of stack to note, a multiple of 8.
    pub stack: u32,
}

/// A thread came by.
#[derive(Clone, Debug, PartialEq)]
pub struct Passage {
    /// Which.
    pub tid: Tid,
    /// When, ns of CLOCK_MONOTONIC.
    pub at_ns: i64,
    /// Index of the site.
    pub site: usize,
    /// Its registers; the thread pointer is not among them.
    pub regs: Registers,
    /// Its stack from the stack pointer on.
    pub stack: Vec<u8>,
}

/// Probes at some places of one process's executable.
pub struct Uprobes {
    ty: u32,
    path: CString,
    sites: Vec<Site>,
    threads: BTreeMap<Tid, Vec<(Counter, Sampler)>>,
    /// Drained, and so new that another ring may still get something older.
    held: Vec<Passage>,
    /// Passages that did not fit into the rings.
    pub lost: u64,
}

impl Uprobes {
    /// Probes for these threads.
    ///
    /// # Errors
    /// The kernel has no uprobes, does not permit them, or cannot probe one of the instructions.
    pub fn open(exe: &str, sites: &[Site], threads: &[Tid]) -> Result<Uprobes, TargetError> {
        let os = |e: io::Error| TargetError::os("uprobe", e);
        let ty = std::fs::read_to_string(TYPE).map_err(os)?;
        let ty = ty.trim().parse().map_err(|_| os(io::ErrorKind::Unsupported.into()))?;
        let path = CString::new(exe).map_err(|e| os(e.into()))?;
        let mut u = Uprobes { ty, path, sites: sites.to_vec(), threads: BTreeMap::new(), held: Vec::new(), lost: 0 };
        for tid in threads {
            u.add_thread(*tid)?;
        }
        Ok(u)
    }

    /// Takes a new thread in. One that is gone already is no error.
    pub fn add_thread(&mut self, tid: Tid) -> Result<(), TargetError> {
        if self.threads.contains_key(&tid) {
            return Ok(());
        }
        let mut all = Vec::new();
        for s in &self.sites {
            match self.event(tid, *s) {
                Ok(e) => all.push(e),
                Err(e) if e.raw_os_error() == Some(libc::ESRCH) => return Ok(()),
                Err(e) => return Err(TargetError::os("uprobe", e)),
            }
        }
        self.threads.insert(tid, all);
        Ok(())
    }

    fn event(&self, tid: Tid, s: Site) -> io::Result<(Counter, Sampler)> {
        let mut opts = Opts {
            exclude: Priv { kernel: true, hv: true, ..Priv::default() },
            sample_on: SampleOn::Count(1),
            timer: Some(Clock::Monotonic),
            record_id_format: RecordIdFormat { task: true, time: true, ..RecordIdFormat::default() },
            ..Opts::default()
        };
        opts.sample_format.user_regs = Some(RegsMask(REGISTERS));
        opts.sample_format.user_stack = Some(Size(s.stack));
        // The kernel reads the path while it opens the event.
        let event =
            DynamicPmu { ty: self.ty, config: 0, config1: self.path.as_ptr() as u64, config2: s.offset, config3: 0 };
        let counter = Counter::new(event, (Proc(tid.0.cast_unsigned()), Cpu::ALL), &opts)?;
        let mut last = None;
        for pages in RINGS {
            match counter.sampler(pages) {
                Ok(sampler) => {
                    counter.enable()?;
                    return Ok((counter, sampler));
                }
                Err(e) => last = Some(e),
            }
        }
        Err(last.unwrap_or_else(|| io::ErrorKind::OutOfMemory.into()))
    }

    /// A thread is gone; what it left comes with the next drain.
    pub fn forget(&mut self, tid: Tid) {
        if let Some(events) = self.threads.remove(&tid) {
            self.lost += drain(tid, &events, &mut self.held);
        }
    }

    /// What happened since the last time, in order of time; with `all`, up to now (all threads stand or are gone).
    pub fn drain(&mut self, all: bool) -> Vec<Passage> {
        let until = monotonic_ns() as i64 - SETTLED;
        let mut out = std::mem::take(&mut self.held);
        for (tid, events) in &self.threads {
            self.lost += drain(*tid, events, &mut out);
        }
        // Of equal times the one at the earlier site: entries come first.
        out.sort_by_key(|p| (p.at_ns, p.site));
        if !all {
            let end = out.partition_point(|p| p.at_ns <= until);
            self.held = out.split_off(end);
        }
        out
    }
}

fn drain(tid: Tid, events: &[(Counter, Sampler)], out: &mut Vec<Passage>) -> u64 {
    let mut lost = 0;
    for (site, (_, sampler)) in events.iter().enumerate() {
        let Some(records) = sampler.iter() else { continue };
        for (_, record) in records {
            match record {
                Record::Sample(s) => {
                    let at_ns = s.record_id.time.unwrap_or(0).min(i64::MAX as u64).cast_signed();
                    let Some((raw, _)) = &s.user_regs else { continue };
                    let Some(regs) = registers(raw) else { continue };
                    out.push(Passage { tid, at_ns, site, regs, stack: s.user_stack.unwrap_or_default() });
                }
                Record::LostRecords(l) => lost += l.lost_records,
                Record::LostSamples(l) => lost += l.lost_samples,
                _ => {}
            }
        }
    }
    lost
}

/// From the kernel's order to DWARF's.
fn registers(raw: &[u64]) -> Option<Registers> {
    let [ax, bx, cx, dx, si, di, bp, sp, ip, flags, r8, r9, r10, r11, r12, r13, r14, r15] = *raw else { return None };
    let gp = [ax, dx, cx, bx, si, di, bp, sp, r8, r9, r10, r11, r12, r13, r14, r15, ip];
    Some(Registers { gp, flags, fs_base: 0, xmm: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_by_name() {
        let raw: Vec<u64> = (0..18).collect();
        let r = registers(&raw).expect("eighteen");
        // AX, DX, CX, BX, SI, DI, BP, SP, R8, …, R15, IP
        assert_eq!(r.gp, [0, 3, 2, 1, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17, 8]);
        assert_eq!((r.flags, REGISTERS.count_ones()), (9, 18));
        assert!(registers(&raw[1..]).is_none());
    }
}
