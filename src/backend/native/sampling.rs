//! The sampler thread: looks at scheduler and collector of the running target, as long as somebody wants to know, and tells the host
//! when a condition on the run holds.

use super::from_open;
use crate::backend::protocol::*;
use crate::base::clock::monotonic_ns;
use crate::base::{GoroutineId, LoadAddr, MemoryError, Tid};
use crate::engine::{Loaded, OpenError};
use crate::goruntime::sample::Sampler;
use crate::model::{
    LaneKind, Mark, MarkQuery, Overview, Span, TimelineQuery, TimelineSummary, TimelineView, TriggerSpec, TriggerState,
};
use crate::target::TargetError;
use crate::target::linux::perf::OnCpu;
use crate::target::linux::polite;
use crate::target::linux::schedstat::SchedSums;
use crate::target::linux::wake::Doorbell;
use crate::trace::Source;
use crate::trace::columns::Grid;
use crate::trace::kernel::{Sums, Switch};
use crate::trace::sampled::{Frames, Sampled};
use crate::trace::trigger::Trigger;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// Looks a second.
const RATE: u32 = 100;
/// Perf samples a second of each thread that is on a processor.
const CODE_HZ: u32 = 99;
/// Looks between two emptyings of the perf rings, and looks for new threads.
const CODE_EVERY: u64 = 5;
/// Nobody asked for so long: the looks end. What was seen stays.
const PATIENCE: Duration = Duration::from_secs(30);

/// A condition that was set.
struct Set {
    trigger: Trigger,
    spec: TriggerSpec,
    fired: Option<String>,
}

/// What both sides see.
struct State {
    seen: Sampled,
    follow: Vec<GoroutineId>,
    asked: Instant,
    running: bool,
    /// The target stands: nothing is worth a look.
    standing: Option<i64>,
    triggers: Vec<Set>,
    /// Which code runs is wanted, too.
    code: bool,
    /// What the kernel says of threads is wanted, too.
    threads: bool,
    /// Those that fired and are not dealt with yet.
    fired: Vec<(TriggerSpec, String)>,
    over: bool,
}

/// The host's handle on it. Dropping it ends the thread.
pub(super) struct Sampling {
    loaded: Loaded,
    bell: Doorbell,
    state: Arc<Mutex<State>>,
}

fn lock(s: &Mutex<State>) -> MutexGuard<'_, State> {
    s.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Sampling {
    fn drop(&mut self) {
        lock(&self.state).over = true;
    }
}

impl Sampling {
    pub(super) fn new(loaded: Loaded, bell: Doorbell) -> Sampling {
        let reasons = loaded.rt.wait_reasons().to_vec();
        let state = State {
            seen: Sampled::new(RATE, reasons),
            follow: Vec::new(),
            asked: Instant::now(),
            running: false,
            standing: None,
            triggers: Vec::new(),
            code: false,
            threads: false,
            fired: Vec::new(),
            over: false,
        };
        Sampling { loaded, bell, state: Arc::new(Mutex::new(state)) }
    }

    /// Somebody wants to know: the looks begin or go on.
    fn wanted(&self) -> Result<MutexGuard<'_, State>, Failure> {
        let mut s = lock(&self.state);
        s.asked = Instant::now();
        if !s.running && !s.seen.ended {
            let sampler = Sampler::new(&self.loaded.rt).ok_or_else(|| {
                Failure::new(FailureKind::Unavailable, "where this program's scheduler keeps its state is not known")
                    .fix("a build with DWARF (without -ldflags=-w) tells it")
            })?;
            let (state, loaded, bell) = (self.state.clone(), self.loaded.clone(), self.bell.clone());
            let looks = move || watch(&state, &loaded, sampler, &bell);
            std::thread::Builder::new().name("sampler".into()).spawn(looks).map_err(|e| {
                Failure::new(FailureKind::Internal, format!("no thread that looks at the scheduler: {e}"))
            })?;
            s.running = true;
        }
        Ok(s)
    }

    fn asked(&self, q: &TimelineQuery) -> Result<MutexGuard<'_, State>, Failure> {
        let mut s = self.wanted()?;
        if s.follow != q.goroutines {
            s.follow.clone_from(&q.goroutines);
        }
        s.threads = q.threads;
        Ok(s)
    }

    /// What looks alone show, with an overview of them.
    pub(super) fn shown(&self, q: &TimelineQuery) -> Result<TimelineView, Failure> {
        Ok(self.asked(q)?.seen.shown(q))
    }

    /// The same, with the overview on a grid that others share.
    pub(super) fn view_with(&self, q: &TimelineQuery, whole: Grid) -> Result<(TimelineView, Overview), Failure> {
        let mut s = self.asked(q)?;
        Ok((s.seen.view(q), s.seen.overview(whole, q.heat)))
    }

    /// First and last look, ns.
    pub(super) fn extent(&self) -> Result<(i64, i64), Failure> {
        Ok(self.wanted()?.seen.extent())
    }

    /// When a collector cycle ended, if it is one of the last.
    pub(super) fn cycle_end(&self, number: u64) -> Option<i64> {
        lock(&self.state).seen.cycle_end(number)
    }

    /// Wall clock less the clock of all times, ns, while another source is shown.
    pub(super) fn wall(&self) -> Result<Option<i64>, Failure> {
        Ok(self.wanted()?.seen.wall_ns())
    }

    pub(super) fn spans(&self, lane: LaneKind, from_ns: i64, to_ns: i64, count: usize) -> Result<Vec<Span>, Failure> {
        Ok(self.wanted()?.seen.spans(lane, from_ns, to_ns, count))
    }

    /// The nearest mark in what was seen.
    pub(super) fn find(&self, q: &MarkQuery) -> Result<Option<Mark>, Failure> {
        Ok(self.wanted()?.seen.find(q).mark)
    }

    pub(super) fn summary(&self) -> Result<TimelineSummary, Failure> {
        Ok(self.wanted()?.seen.summary())
    }

    /// The target stands from now on.
    pub(super) fn stopped(&self) {
        lock(&self.state).standing.get_or_insert(monotonic_ns().cast_signed());
    }

    /// It runs again.
    pub(super) fn resumed(&self) {
        let mut s = lock(&self.state);
        if let Some(from) = s.standing.take() {
            s.seen.our_stop(from, monotonic_ns().cast_signed());
        }
    }

    /// Perf events on or off. The error says why they cannot be had.
    pub(super) fn code(&self, on: bool) -> Result<(), Failure> {
        if on {
            // Whether it is permitted is to be told now, and not by a thread that has nobody to tell.
            OnCpu::open(self.loaded.pid, CODE_HZ, true).map_err(|e| from_open(&OpenError::Target(e)))?;
        }
        self.wanted()?.code = on;
        Ok(())
    }

    /// Sets a condition; `Err` says what is wrong with it.
    pub(super) fn set(&self, spec: TriggerSpec) -> Result<Vec<TriggerState>, Failure> {
        let trigger =
            Trigger::parse(&spec.condition).map_err(|e| Failure::new(FailureKind::BadRequest, e.to_string()))?;
        let mut s = self.wanted()?;
        s.triggers.retain(|t| t.spec.condition != spec.condition);
        s.triggers.push(Set { trigger, spec, fired: None });
        Ok(states(&s))
    }

    /// Removes a condition, all with an empty text.
    pub(super) fn clear(&self, condition: &str) -> Vec<TriggerState> {
        let mut s = lock(&self.state);
        s.triggers.retain(|t| !condition.is_empty() && t.spec.condition != condition);
        states(&s)
    }

    /// Conditions that held since this was asked last.
    pub(super) fn take_fired(&self) -> Vec<(TriggerSpec, String)> {
        std::mem::take(&mut lock(&self.state).fired)
    }
}

fn states(s: &State) -> Vec<TriggerState> {
    s.triggers.iter().map(|t| TriggerState { spec: t.spec.clone(), fired: t.fired.clone() }).collect()
}

/// What the kernel is asked for, beside looks.
#[derive(Default)]
struct Asking {
    cpu: Option<OnCpu>,
    /// When switches were told last.
    since: Option<i64>,
    sums: Option<SchedSums>,
}

impl Asking {
    /// What threads executed since the last time, and the switches between them.
    fn code(&mut self, loaded: &Loaded, state: &Mutex<State>) -> Result<(), TargetError> {
        let cpu = match &mut self.cpu {
            Some(c) => c,
            None => {
                self.since = None;
                self.cpu.insert(OnCpu::open(loaded.pid, CODE_HZ, true)?)
            }
        };
        // What happens from here on is for the next time.
        let now = monotonic_ns().cast_signed();
        cpu.add_threads()?;
        let drained = cpu.drain();
        let told = cpu.tells_switches();
        let samples: Vec<(i64, Tid, Frames)> =
            drained.samples.into_iter().map(|s| (s.at_ns, s.tid, locations(loaded, &s.pcs))).collect();
        let mut s = lock(state);
        for (at, tid, stack) in samples {
            s.seen.add_code(at, tid, stack);
        }
        if told {
            let mut off = 0;
            for w in drained.switches {
                let to = match (w.on, w.preempted) {
                    (true, _) => Switch::On,
                    (false, true) => Switch::Preempted,
                    (false, false) => Switch::Asleep,
                };
                off += u64::from(!w.on);
                s.seen.switch(w.tid, w.at_ns, to);
            }
            let ns = self.since.map_or(0, |t| (now - t).max(0).cast_unsigned());
            s.seen.switches_known(now, off, ns);
            self.since = Some(now);
        }
        Ok(())
    }

    /// No more samples.
    fn no_code(&mut self, state: &Mutex<State>) {
        if self.cpu.take().is_some_and(|c| c.tells_switches()) {
            lock(state).seen.switches_over();
        }
    }

    /// How long threads ran and waited for a processor since the last time, where switches are not told one by one.
    fn sums(&mut self, loaded: &Loaded, state: &Mutex<State>) -> Result<(), TargetError> {
        if self.cpu.as_ref().is_some_and(OnCpu::tells_switches) {
            self.sums = None;
            return Ok(());
        }
        let found = self.sums.get_or_insert_with(|| SchedSums::new(loaded.pid)).read(monotonic_ns().cast_signed())?;
        let sums: Vec<(Tid, Sums)> = found
            .into_iter()
            .map(|s| (s.tid, Sums { from: s.from_ns, to: s.to_ns, run: s.run_ns, wait: s.wait_ns, slices: s.slices }))
            .collect();
        lock(state).seen.add_sums(&sums);
        Ok(())
    }
}

fn locations(loaded: &Loaded, pcs: &[u64]) -> Frames {
    let at = |(i, pc): (usize, &u64)| loaded.rt.pcs().get(LoadAddr(*pc), i == 0);
    let infos = pcs.iter().enumerate().filter_map(at);
    infos.flat_map(|i| i.frames.iter().map(|f| (*f.at).clone()).collect::<Vec<_>>()).collect()
}

/// Wall clock less monotonic clock, ns.
fn wall_less_mono() -> i64 {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i64);
    wall - monotonic_ns().cast_signed()
}

fn watch(state: &Mutex<State>, loaded: &Loaded, mut sampler: Sampler, bell: &Doorbell) {
    polite::promptly();
    let (rt, mem) = (&*loaded.rt, &*loaded.mem);
    let pace = Duration::from_secs(1) / RATE;
    let mut next = Instant::now();
    let mut follow = Vec::new();
    let mut asking = Asking::default();
    let mut round = 0u64;
    let mut random = monotonic_ns() | 1;
    loop {
        round += 1;
        // The clock first: what is read is at most some microseconds younger.
        let (at, wall) = (monotonic_ns().cast_signed(), wall_less_mono());
        let look = sampler.look(rt, mem);
        let mut s = lock(state);
        if s.over || (s.asked.elapsed() > PATIENCE && s.triggers.iter().all(|t| t.fired.is_some())) {
            s.running = false;
            return;
        }
        match look {
            Ok(_) if s.standing.is_some() => {}
            Ok(sample) => {
                s.seen.add(at, &sample, wall);
                let mut rings = false;
                let State { triggers, fired, .. } = &mut *s;
                for t in triggers.iter_mut().filter(|t| t.fired.is_none()) {
                    if let Some(v) = t.trigger.met(&sample) {
                        let said = t.trigger.said(v);
                        fired.push((t.spec.clone(), said.clone()));
                        t.fired = Some(said);
                        rings = true;
                    }
                }
                if rings {
                    bell.ring();
                }
            }
            Err(e) => {
                // One unreadable page may be a moment's; a process that is gone, or a refusal, is not.
                s.seen.problem = Some(e.to_string());
                if matches!(e, MemoryError::Gone | MemoryError::Denied(_)) {
                    s.seen.ended = true;
                    s.running = false;
                    return;
                }
            }
        }
        let wanted = (s.follow != follow).then(|| s.follow.clone());
        let (code, threads) = (s.code, s.threads);
        drop(s);
        if !code {
            asking.no_code(state);
        }
        if round.is_multiple_of(CODE_EVERY) {
            let asked = if code { asking.code(loaded, state) } else { Ok(()) };
            if let Err(e) = asked {
                let mut s = lock(state);
                s.seen.problem = Some(format!("perf events: {e}"));
                s.code = false;
            }
            if threads && let Err(e) = asking.sums(loaded, state) {
                lock(state).seen.problem = Some(e.to_string());
            }
        }
        if let Some(ids) = wanted {
            let found = |id: &GoroutineId| Some((*id, rt.find_goroutine(mem, *id)?));
            sampler.follow(ids.iter().filter_map(found).collect());
            follow = ids;
        }
        // Somewhere in each period: programs have timers, too, and what keeps step with them sees always the same moment.
        next += pace;
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let now = Instant::now();
        match (next + pace.mul_f64((random >> 11) as f64 / (1u64 << 53) as f64)).checked_duration_since(now) {
            Some(left) => std::thread::sleep(left),
            None => next = now, // too late for this one; the history counts it
        }
    }
}
