//! What the scheduler and the collector do: single words of a running process, a picture of one moment where it stands.

use super::GoRuntime;
use crate::base::{GoroutineId, LoadAddr, Memory, Tid};

/// More Ps or Ms than any program has.
const MAX: u64 = 1 << 16;

/// One P.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Proc {
    /// `p.id`.
    pub id: u32,
    /// 0 idle, 1 running, 2 in a system call (up to 1.25), 3 stopped for the collector, 4 dead.
    pub status: u32,
    /// Goroutines in its queue, the next one included.
    pub queued: u32,
    /// Counts schedulings.
    pub schedtick: u32,
}

/// One M.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Its thread; 0 for the extra M.
    pub tid: Tid,
    /// The goroutine that it runs or is in a system call for.
    pub goroutine: Option<GoroutineId>,
    /// In C code.
    pub in_c: bool,
    /// Parked.
    pub blocked: bool,
    /// A goroutine is locked to it.
    pub locked: bool,
}

/// The scheduler.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scheduler {
    /// Ps.
    pub procs: Vec<Proc>,
    /// Ms.
    pub machines: Vec<Machine>,
    /// Goroutines in the global queue.
    pub queued: u32,
    /// Idle Ps.
    pub idle_procs: u32,
    /// Someone wants the world to stop.
    pub stopping: bool,
    /// Ps that have not stopped yet.
    pub stop_wait: u32,
}

/// The collector.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Collector {
    /// 0 off, 1 mark, 2 mark termination.
    pub phase: u32,
    /// Cycles completed.
    pub cycles: u32,
    /// GOGC; -1 off.
    pub percent: i32,
    /// GOMEMLIMIT, bytes; `i64::MAX` for none.
    pub limit: i64,
    /// Live heap, bytes.
    pub live: u64,
    /// Heap at which the last cycle began, bytes.
    pub goal: u64,
    /// Share of the CPU that it took since the program began.
    pub cpu_fraction: f64,
}

impl GoRuntime {
    /// Reads the scheduler; none when its layout or place is not known.
    pub fn scheduler(&self, mem: &dyn Memory) -> Option<Scheduler> {
        let (l, g) = (self.layout().sched?, self.globals());
        let (allp, sched) = (g.allp?, g.sched?);
        let u32_at = |at: LoadAddr| mem.read_u32(at).ok();
        let n = mem.read_u64(allp.add(8)).ok()?.min(MAX);
        let first = mem.read_ptr(allp).ok()?;
        let mut out = Scheduler {
            queued: u32_at(sched.add(l.runq_size.or(l.runqsize)?))?,
            idle_procs: u32_at(sched.add(l.npidle))?,
            stopping: mem.read_u8(sched.add(l.gcwaiting)).ok()? != 0,
            stop_wait: u32_at(sched.add(l.stopwait))?,
            ..Scheduler::default()
        };
        for i in 0..n {
            let p = mem.read_ptr(first.add(i * 8)).ok()?;
            let next = mem.read_u64(p.add(l.p_runnext)).ok()? != 0;
            let in_queue = u32_at(p.add(l.p_runqtail))?.wrapping_sub(u32_at(p.add(l.p_runqhead))?);
            out.procs.push(Proc {
                id: u32_at(p.add(l.p_id))?,
                status: u32_at(p.add(l.p_status))?,
                // The two ends are read one after the other: a torn pair is no queue.
                queued: if in_queue <= 256 { in_queue } else { 0 } + u32::from(next),
                schedtick: u32_at(p.add(l.p_schedtick))?,
            });
        }
        let mut m = mem.read_ptr(g.allm?).ok()?;
        for _ in 0..MAX {
            if m.is_nil() {
                break;
            }
            let curg = mem.read_ptr(m.add(self.layout().m.curg)).unwrap_or_default();
            let goid = if curg.is_nil() { None } else { mem.read_u64(curg.add(self.layout().g.goid)).ok() };
            let flag = |o: u64| mem.read_u8(m.add(o)).is_ok_and(|b| b != 0);
            out.machines.push(Machine {
                tid: Tid(mem.read_u64(m.add(self.layout().m.procid)).unwrap_or(0) as i32),
                goroutine: goid.filter(|n| *n != 0).map(GoroutineId),
                in_c: flag(l.m_incgo),
                blocked: flag(l.m_blocked),
                locked: mem.read_u64(m.add(l.m_lockedg)).is_ok_and(|g| g != 0),
            });
            m = mem.read_ptr(m.add(l.m_alllink)).unwrap_or_default();
        }
        Some(out)
    }

    /// The collector's phase (`runtime.gcphase`): 0 off, 1 mark, 2 mark termination; none when its place is not known.
    pub fn collector_phase(&self, mem: &dyn Memory) -> Option<u32> {
        mem.read_u32(self.globals().gcphase?).ok()
    }

    /// Reads the collector; none when its layout or place is not known.
    pub fn collector(&self, mem: &dyn Memory) -> Option<Collector> {
        let (l, g) = (self.layout().gc?, self.globals());
        let control = g.gc_controller?;
        let u64_at = |at: LoadAddr| mem.read_u64(at).ok();
        Some(Collector {
            phase: mem.read_u32(g.gcphase?).ok()?,
            cycles: mem.read_u32(g.work?.add(l.cycles)).ok()?,
            percent: mem.read_u32(control.add(l.gc_percent)).ok()?.cast_signed(),
            limit: u64_at(control.add(l.memory_limit))?.cast_signed(),
            live: u64_at(control.add(l.heap_live))?,
            goal: u64_at(control.add(l.last_heap_goal))?,
            cpu_fraction: f64::from_bits(u64_at(g.memstats?.add(l.gc_cpu_fraction))?),
        })
    }
}
