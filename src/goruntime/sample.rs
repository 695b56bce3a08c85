//! One look at scheduler and collector of a running program, in two batched reads and without stopping it: cheap enough for a
//! thousand a second.
//!
//! A look is not a moment: its words are read within some microseconds, so a goroutine that is just switched can show up on two Ps or none.

use super::GoRuntime;
use super::g::{SCAN_BIT, status};
use super::layout::{GcLayout, SchedLayout};
use crate::base::{GoroutineId, LoadAddr, Memory, MemoryError, ReadOp, Tid};

/// More Ps or Ms than any program has.
const MAX: usize = 1 << 16;
/// Looks between two walks of the list of Ms, which grows and shrinks.
const WALK_EVERY: u32 = 64;
/// Pauses that the runtime keeps (`mstats.pause_ns`).
const PAUSES: u32 = 256;

/// What a P was seen to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProcState {
    /// Nothing, or it looks for work.
    #[default]
    Idle,
    /// It runs a goroutine.
    Running,
    /// A mark worker is on it.
    Marking,
    /// Its goroutine pays for allocations by marking.
    Assist,
    /// Its goroutine is in a system call, and nobody has taken the P.
    Syscall,
    /// It stands still for the collector or another stop of the world.
    Stopped,
}

/// One P.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcSample {
    /// `p.id`.
    pub id: u32,
    /// What it did.
    pub state: ProcState,
    /// The goroutine on it.
    pub goroutine: Option<GoroutineId>,
    /// The thread that has it.
    pub tid: Option<Tid>,
    /// Goroutines in its queue, the next one included.
    pub queued: u32,
    /// `p.schedtick`: rises with every goroutine that it starts (not those that inherit a time slice).
    pub schedtick: u32,
}

/// One M.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadSample {
    /// Its thread id.
    pub tid: Tid,
    /// The P that it has.
    pub proc: Option<u32>,
    /// What it did for Go: as its P, or in a system call without one.
    pub state: ProcState,
    /// The goroutine on it.
    pub goroutine: Option<GoroutineId>,
}

/// A goroutine that is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowedSample {
    /// Which.
    pub goroutine: GoroutineId,
    /// `g.atomicstatus` without the scan bit; none once it is gone.
    pub status: Option<u32>,
    /// Number of its wait reason.
    pub reason: u8,
}

/// A pause of the collector (both of a cycle together).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Number of the cycle, from 1.
    pub cycle: u32,
    /// How long, ns.
    pub ns: u64,
    /// When it ended, ns since 1970.
    pub end: u64,
}

/// One look.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// All Ps.
    pub procs: Vec<ProcSample>,
    /// All Ms.
    pub threads: Vec<ThreadSample>,
    /// Goroutines in the global queue.
    pub queued: u32,
    /// Threads in a system call or in C for a goroutine.
    pub syscalls: u32,
    /// Goroutines, the runtime's own not counted (as `runtime.NumGoroutine`); none when the layout does not say.
    pub goroutines: Option<u32>,
    /// The world is being or is stopped.
    pub stopping: bool,
    /// The collector marks.
    pub marking: bool,
    /// `work.cycles`: cycles begun.
    pub cycles: u32,
    /// Cycles ended.
    pub ended: u32,
    /// Live heap, bytes.
    pub heap: u64,
    /// Heap at which the next cycle is to end, bytes; 0 if it is off.
    pub goal: u64,
    /// Time in all pauses of the collector, ns.
    pub pause_total_ns: u64,
    /// Pauses that ended since the last look, the oldest first; at most the last 256 cycles.
    pub pauses: Vec<Pause>,
    /// Those that are followed.
    pub followed: Vec<FollowedSample>,
}

/// What is kept from look to look.
#[derive(Debug)]
pub struct Sampler {
    sched: SchedLayout,
    gc: GcLayout,
    at: At,
    procs: Vec<LoadAddr>,
    machines: Vec<(LoadAddr, Tid)>,
    follow: Vec<(GoroutineId, LoadAddr)>,
    looks: u32,
    ended: Option<u32>,
}

/// Where the runtime's variables are.
#[derive(Debug)]
struct At {
    allp: LoadAddr,
    allm: LoadAddr,
    allglen: LoadAddr,
    sched: LoadAddr,
    work: LoadAddr,
    gcphase: LoadAddr,
    control: LoadAddr,
    memstats: LoadAddr,
}

/// Small reads that are made at once.
#[derive(Default)]
struct Batch {
    at: Vec<(LoadAddr, usize)>,
    bytes: Vec<u8>,
    ok: Vec<bool>,
}

impl Batch {
    fn add(&mut self, at: LoadAddr, len: usize) -> usize {
        self.at.push((at, len));
        self.at.len() - 1
    }
    fn read(&mut self, mem: &dyn Memory) -> Result<(), MemoryError> {
        self.bytes.resize(self.at.len() * 8, 0);
        let buffers = self.bytes.chunks_exact_mut(8);
        let mut ops: Vec<ReadOp<'_>> =
            self.at.iter().zip(buffers).map(|(a, b)| ReadOp { addr: a.0, buf: &mut b[..a.1], ok: false }).collect();
        mem.read_scatter(&mut ops)?;
        self.ok = ops.iter().map(|o| o.ok).collect();
        Ok(())
    }
    /// The word, zero extended; 0 where it could not be read.
    fn get(&self, i: usize) -> u64 {
        let bytes = self.bytes.get(i * 8..i * 8 + 8).filter(|_| self.ok.get(i) == Some(&true));
        bytes.and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
    }
}

/// Numbers of a P's reads.
struct ProcReads {
    id: usize,
    status: usize,
    m: usize,
    tick: usize,
    head: usize,
    tail: usize,
    next: usize,
    mode: Option<usize>,
    free: Option<usize>,
}

/// Numbers of a G's reads.
struct GReads {
    id: usize,
    status: usize,
    reason: usize,
    assist: Option<usize>,
}

impl Sampler {
    /// A sampler of this program; none when the layouts or places of what it reads are not known.
    pub fn new(rt: &GoRuntime) -> Option<Sampler> {
        let g = rt.globals();
        let at = At {
            allp: g.allp?,
            allm: g.allm?,
            allglen: g.allglen,
            sched: g.sched?,
            work: g.work?,
            gcphase: g.gcphase?,
            control: g.gc_controller?,
            memstats: g.memstats?,
        };
        Some(Sampler {
            sched: rt.layout().sched?,
            gc: rt.layout().gc?,
            at,
            procs: Vec::new(),
            machines: Vec::new(),
            follow: Vec::new(),
            looks: 0,
            ended: None,
        })
    }

    /// Which goroutines to look at one by one, and where their `g` is.
    pub fn follow(&mut self, who: Vec<(GoroutineId, LoadAddr)>) {
        self.follow = who;
    }

    /// The goroutines that are followed.
    pub fn followed(&self) -> impl Iterator<Item = GoroutineId> {
        self.follow.iter().map(|f| f.0)
    }

    /// Looks once.
    pub fn look(&mut self, rt: &GoRuntime, mem: &dyn Memory) -> Result<Sample, MemoryError> {
        if self.looks.is_multiple_of(WALK_EVERY) || self.procs.is_empty() {
            self.walk(rt, mem)?;
        }
        self.looks = self.looks.wrapping_add(1);
        let (s, gc, at) = (&self.sched, &self.gc, &self.at);
        let mut b = Batch::default();
        let count = b.add(at.allp.add(8), 8);
        let phase = b.add(at.gcphase, 4);
        let stopping = b.add(at.sched.add(s.gcwaiting), 1);
        let queued = s.runq_size.or(s.runqsize).map(|o| b.add(at.sched.add(o), 4));
        let cycles = b.add(at.work.add(gc.cycles), 4);
        let ended = b.add(at.memstats.add(gc.numgc), 4);
        let heap = b.add(at.control.add(gc.heap_live), 8);
        let goal = b.add(at.control.add(gc.percent_heap_goal.unwrap_or(gc.last_heap_goal)), 8);
        let total = b.add(at.memstats.add(gc.pause_total_ns), 8);
        let made = b.add(at.allglen, 8);
        let frees: Vec<usize> = [s.free_gs, s.free_gs_with_stack, s.free_gs_without_stack, s.system_gs]
            .into_iter()
            .flatten()
            .map(|o| b.add(at.sched.add(o), 4))
            .collect();
        let procs: Vec<ProcReads> = self.procs.iter().map(|p| proc_reads(s, *p, &mut b)).collect();
        let m = &rt.layout().m;
        let machines: Vec<usize> = self.machines.iter().map(|at| b.add(at.0.add(m.curg), 8)).collect();
        b.read(mem)?;
        let mut gs = Batch::default();
        let mut current: Vec<Option<GReads>> = Vec::with_capacity(machines.len());
        for &i in &machines {
            let g = LoadAddr(b.get(i));
            current.push((!g.is_nil()).then(|| g_reads(rt, g, &mut gs)));
        }
        let follow: Vec<GReads> = self.follow.iter().map(|f| g_reads(rt, f.1, &mut gs)).collect();
        gs.read(mem)?;

        let mut out = Sample {
            queued: queued.map_or(0, |i| b.get(i) as u32),
            stopping: b.get(stopping) != 0,
            marking: b.get(phase) != 0,
            cycles: b.get(cycles) as u32,
            ended: b.get(ended) as u32,
            heap: b.get(heap),
            goal: Some(b.get(goal)).filter(|g| *g < 1 << 62).unwrap_or(0),
            pause_total_ns: b.get(total),
            ..Sample::default()
        };
        let is_in_syscall = |g: &GReads| gs.get(g.status) as u32 & !SCAN_BIT == status::SYSCALL;
        let with_g = |(m, g): (&(LoadAddr, Tid), &Option<GReads>)| {
            let in_syscall = g.as_ref().is_some_and(is_in_syscall);
            let goroutine = g.as_ref().filter(|_| in_syscall).map(|g| gs.get(g.id)).filter(|n| *n != 0);
            ThreadSample {
                tid: m.1,
                state: if in_syscall { ProcState::Syscall } else { ProcState::Idle },
                goroutine: goroutine.map(GoroutineId),
                proc: None,
            }
        };
        out.threads = self.machines.iter().zip(&current).map(with_g).collect();
        let mut free: u64 = frees.iter().map(|i| u64::from(b.get(*i) as u32)).sum();
        for p in &procs {
            free += p.free.map_or(0, |i| u64::from(b.get(i) as u32));
            let machine = LoadAddr(b.get(p.m));
            let at = self.machines.iter().position(|m| m.0 == machine);
            let tid = at.map(|i| self.machines[i].1);
            let g = at.and_then(|i| current[i].as_ref());
            let p = ProcSample { tid, ..proc_sample(&b, &gs, p, g, out.stopping) };
            if let Some(t) = at.and_then(|i| out.threads.get_mut(i)) {
                (t.proc, t.state, t.goroutine) = (Some(p.id), p.state, p.goroutine);
            }
            out.procs.push(p);
        }
        out.goroutines = s.system_gs.map(|_| b.get(made).saturating_sub(free).min(u64::from(u32::MAX)) as u32);
        out.syscalls = current.iter().flatten().filter(|g| is_in_syscall(g)).count() as u32;
        for (r, (id, _)) in follow.iter().zip(&self.follow) {
            let there = gs.get(r.id) == id.0;
            let status = there.then(|| gs.get(r.status) as u32 & !SCAN_BIT);
            out.followed.push(FollowedSample { goroutine: *id, status, reason: gs.get(r.reason) as u8 });
        }
        if b.get(count) as usize != self.procs.len() {
            self.looks = 0; // GOMAXPROCS changed
        }
        self.pauses(mem, &mut out)?;
        Ok(out)
    }

    /// The pauses since the last look, which the runtime keeps in a ring.
    fn pauses(&mut self, mem: &dyn Memory, out: &mut Sample) -> Result<(), MemoryError> {
        let before = self.ended.replace(out.ended).unwrap_or(out.ended);
        let new = out.ended.wrapping_sub(before).min(PAUSES);
        let (Some(lens), Some(ends)) = (self.gc.pause_ns, self.gc.pause_end) else { return Ok(()) };
        if new == 0 {
            return Ok(());
        }
        let mut b = Batch::default();
        let cycles = (0..new).rev().map(|back| out.ended.wrapping_sub(back));
        let slot = |c: u32| u64::from(c.wrapping_sub(1) % PAUSES) * 8;
        let at = self.at.memstats;
        let reads: Vec<_> =
            cycles.map(|c| (c, b.add(at.add(lens + slot(c)), 8), b.add(at.add(ends + slot(c)), 8))).collect();
        b.read(mem)?;
        out.pauses = reads.into_iter().map(|(cycle, n, e)| Pause { cycle, ns: b.get(n), end: b.get(e) }).collect();
        Ok(())
    }

    /// Finds Ps and Ms.
    fn walk(&mut self, rt: &GoRuntime, mem: &dyn Memory) -> Result<(), MemoryError> {
        let n = (mem.read_u64(self.at.allp.add(8))? as usize).min(MAX);
        let first = mem.read_ptr(self.at.allp)?;
        let mut b = Batch::default();
        for i in 0..n {
            b.add(first.add(i as u64 * 8), 8);
        }
        b.read(mem)?;
        self.procs = (0..n).map(|i| LoadAddr(b.get(i))).filter(|p| !p.is_nil()).collect();
        self.machines.clear();
        let mut m = mem.read_ptr(self.at.allm)?;
        while !m.is_nil() && self.machines.len() < MAX {
            let tid = mem.read_u64(m.add(rt.layout().m.procid)).unwrap_or(0);
            self.machines.push((m, Tid(tid as i32))); // 0 until its thread has begun
            m = mem.read_ptr(m.add(self.sched.m_alllink)).unwrap_or_default();
        }
        Ok(())
    }
}

fn proc_reads(s: &SchedLayout, p: LoadAddr, b: &mut Batch) -> ProcReads {
    ProcReads {
        id: b.add(p.add(s.p_id), 4),
        status: b.add(p.add(s.p_status), 4),
        m: b.add(p.add(s.p_m), 8),
        tick: b.add(p.add(s.p_schedtick), 4),
        head: b.add(p.add(s.p_runqhead), 4),
        tail: b.add(p.add(s.p_runqtail), 4),
        next: b.add(p.add(s.p_runnext), 8),
        mode: s.p_mark_worker_mode.map(|o| b.add(p.add(o), 8)),
        free: s.p_free_gs.or(s.p_free_gs_list).map(|o| b.add(p.add(o), 4)),
    }
}

fn g_reads(rt: &GoRuntime, g: LoadAddr, b: &mut Batch) -> GReads {
    let l = &rt.layout().g;
    GReads {
        id: b.add(g.add(l.goid), 8),
        status: b.add(g.add(l.status), 4),
        reason: b.add(g.add(l.waitreason), 1),
        assist: l.in_mark_assist.map(|o| b.add(g.add(o), 1)),
    }
}

fn proc_sample(b: &Batch, gs: &Batch, p: &ProcReads, g: Option<&GReads>, stopping: bool) -> ProcSample {
    let in_queue = (b.get(p.tail) as u32).wrapping_sub(b.get(p.head) as u32);
    let goroutine = g.map(|g| gs.get(g.id)).filter(|n| *n != 0).map(GoroutineId);
    let running = g.map(|g| gs.get(g.status) as u32 & !SCAN_BIT);
    let marking = p.mode.is_some_and(|i| b.get(i) != 0);
    let assists = g.and_then(|g| g.assist).is_some_and(|i| gs.get(i) != 0);
    let state = match (b.get(p.status), running) {
        (3, _) => ProcState::Stopped,
        // Stopping takes Ps one by one; those that still run have not noticed yet.
        (1, Some(_)) if marking => ProcState::Marking,
        (2, _) | (1, Some(status::SYSCALL)) => ProcState::Syscall,
        (1, Some(status::RUNNING)) if assists => ProcState::Assist,
        // It was the thread's when the P was read. That it waits a moment later, when it was read itself, makes a short run no shorter.
        (1, Some(_)) => ProcState::Running,
        (1, _) if stopping => ProcState::Stopped,
        _ => ProcState::Idle,
    };
    ProcSample {
        id: b.get(p.id) as u32,
        state,
        goroutine: goroutine.filter(|_| !matches!(state, ProcState::Idle | ProcState::Stopped)),
        // The two ends are read one after the other: a torn pair is no queue.
        queued: if in_queue <= 256 { in_queue } else { 0 } + u32::from(b.get(p.next) != 0),
        schedtick: b.get(p.tick) as u32,
        tid: None,
    }
}
