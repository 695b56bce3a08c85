//! The ptrace token: owns the tracees of one process. Not `Send`: the kernel ties tracing to the thread that seized.
//!
//! It moves threads and reports what happened to them; what a trap means is the engine's business. A stop that stays
//! is *kill-safe*: the thread sits in PTRACE_EVENT_STOP (or holds an undelivered ordinary signal), so that the kernel lets it
//! run on unharmed if we die.

use super::{procfs, sys, sys::WaitStatus};
use crate::arch::Registers;
use crate::base::Tid;
use crate::target::TargetError;
use std::collections::BTreeMap;
use std::io;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

/// How long a thread that was let go and interrupted at once may take to stand: it needs a processor for that, and others want it, too.
const PARK: Duration = Duration::from_secs(10);
/// Longest wait for one instruction of a thread, before it is interrupted and afterwards.
const STEP_PATIENCE: Duration = Duration::from_millis(200);

const OPTIONS: i32 =
    libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_TRACEFORK | libc::PTRACE_O_TRACEVFORK | libc::PTRACE_O_TRACEEXEC;

/// How a thread stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Executing, or about to.
    Running,
    /// In PTRACE_EVENT_STOP: nothing pending, safe to leave.
    Parked,
    /// In a signal-delivery-stop of this signal, which is delivered when it goes on.
    Holds(i32),
    /// In a signal-delivery-stop of a SIGTRAP that must never be delivered; `si_code` tells its source.
    Trapped(i32),
    /// Group-stopped by SIGSTOP and the like, and left so (PTRACE_LISTEN).
    GroupStopped,
}

impl State {
    /// Can registers be read?
    pub fn stands(self) -> bool {
        !matches!(self, State::Running | State::GroupStopped)
    }
}

/// One traced thread.
#[derive(Clone, Copy, Debug)]
pub struct Thread {
    /// How it stands.
    pub state: State,
    /// A signal taken from it while it was being stepped; delivered when it goes on.
    pub deferred_signal: i32,
}

/// What happened to a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// SIGTRAP with this `si_code`; the thread is `Trapped`.
    Trap(Tid, i32),
    /// A signal for the program; the thread `Holds` it.
    Signal(Tid, i32),
    /// PTRACE_EVENT_STOP after an interrupt; the thread is `Parked`.
    Parked(Tid),
    /// A new thread; it stands at its first instruction (`Parked`), its creator too.
    NewThread(Tid, Tid),
    /// The thread (first) forked a process (second), which stands; `bool`: it shares memory (vfork).
    NewProcess(Tid, i32, bool),
    /// `execve`: the process has a new program and one thread, which stands.
    Exec(Tid),
    /// A thread is gone.
    ThreadGone(Tid),
    /// The process is gone: exit status or signal.
    Exited(Option<i32>, Option<i32>),
}

/// Control over one process.
pub struct Tracer {
    pid: i32,
    threads: BTreeMap<Tid, Thread>,
    exited: Option<Event>,
    /// Children sharing memory between vfork and exec.
    _not_send: PhantomData<*const ()>,
}

impl Tracer {
    /// Seizes all threads of a running process. Nothing stops.
    pub fn attach(pid: i32) -> Result<Tracer, TargetError> {
        procfs::check_attachable(pid)?;
        let mut t = Tracer { pid, threads: BTreeMap::new(), exited: None, _not_send: PhantomData };
        // Threads may be born while we go through the list; repeat until a pass finds nothing new. A thread born of a
        // seized one arrives by itself (TRACECLONE) and seizing it again fails with EPERM, which is not an error then.
        loop {
            let mut news = 0;
            let threads = procfs::threads(pid).inspect_err(|_| t.release_all())?;
            for tid in threads {
                if t.threads.contains_key(&tid) {
                    continue;
                }
                match sys::seize(tid, OPTIONS) {
                    Ok(()) => {
                        t.threads.insert(tid, Thread { state: State::Running, deferred_signal: 0 });
                        news += 1;
                    }
                    Err(e) if e.raw_os_error() == Some(libc::ESRCH) => {}
                    // A thread that is ending is refused with EPERM, too. (The kernel names the tracing thread, not its process.)
                    Err(_) if !procfs::alive(tid.0) => {}
                    Err(_) if procfs::tracer_of(tid.0) == nix::unistd::gettid().as_raw() => {}
                    Err(e) => {
                        t.release_all();
                        return Err(refused(pid, e));
                    }
                }
            }
            if news == 0 {
                return if t.threads.is_empty() { Err(TargetError::NoProcess(pid)) } else { Ok(t) };
            }
        }
    }

    /// Seizes a process that has one thread (before its exec).
    pub(super) fn seize_one(pid: i32, exit_kill: bool) -> Result<Tracer, TargetError> {
        let options = OPTIONS | if exit_kill { libc::PTRACE_O_EXITKILL } else { 0 };
        sys::seize(Tid(pid), options).map_err(|e| refused(pid, e))?;
        let threads = BTreeMap::from([(Tid(pid), Thread { state: State::Running, deferred_signal: 0 })]);
        Ok(Tracer { pid, threads, exited: None, _not_send: PhantomData })
    }

    /// Waits until the seized child has exec'ed and stands; an exit before that is an error.
    pub(super) fn wait_for_exec(&mut self, tid: Tid) -> Result<(), TargetError> {
        loop {
            match sys::wait(tid, true).map_err(|e| TargetError::os("wait", e))? {
                WaitStatus::Exited(_) | WaitStatus::Signaled(_) => return Err(TargetError::Exited),
                WaitStatus::Event(libc::PTRACE_EVENT_EXEC, _) => break,
                WaitStatus::Signal(sig) => drop(sys::cont(tid, sig)),
                WaitStatus::Event(..) => drop(sys::cont(tid, 0)),
                WaitStatus::None => {}
            }
        }
        // An exec stop is a trap: turn it into a kill-safe one.
        self.set(tid, State::Trapped(0));
        self.park(tid).map(drop)
    }

    /// Process id.
    pub fn pid(&self) -> i32 {
        self.pid
    }
    /// All threads and how they stand.
    pub fn threads(&self) -> impl Iterator<Item = (Tid, Thread)> + '_ {
        self.threads.iter().map(|(k, v)| (*k, *v))
    }
    /// One thread.
    pub fn thread(&self, tid: Tid) -> Option<Thread> {
        self.threads.get(&tid).copied()
    }
    /// How the process ended, once it has.
    pub fn exited(&self) -> Option<Event> {
        self.exited
    }

    fn set(&mut self, tid: Tid, state: State) {
        if let Some(t) = self.threads.get_mut(&tid) {
            t.state = state;
        }
    }

    /// Registers of a standing thread.
    pub fn registers(&self, tid: Tid) -> Result<Registers, TargetError> {
        sys::registers(tid).map_err(|e| gone(e, "read registers"))
    }
    /// Registers with vector registers.
    pub fn registers_with_vectors(&self, tid: Tid) -> Result<Registers, TargetError> {
        sys::registers_with_vectors(tid).map_err(|e| gone(e, "read registers"))
    }
    /// Writes the registers of a standing thread.
    pub fn set_registers(&self, tid: Tid, regs: &Registers) -> Result<(), TargetError> {
        sys::set_registers(tid, regs).map_err(|e| gone(e, "write registers"))
    }

    /// The extended state (vector registers and more) of a standing thread.
    pub fn extended_state(&self, tid: Tid) -> Result<Vec<u8>, TargetError> {
        sys::extended_state(tid).map_err(|e| gone(e, "read the vector registers"))
    }
    /// Gives it back.
    pub fn set_extended_state(&self, tid: Tid, state: &mut [u8]) -> Result<(), TargetError> {
        sys::set_extended_state(tid, state).map_err(|e| gone(e, "write the vector registers"))
    }
    /// Writes the low halves of vector registers of a standing thread.
    pub fn set_vectors(&self, tid: Tid, values: &[(usize, u64)]) -> Result<(), TargetError> {
        sys::set_vectors(tid, values).map_err(|e| gone(e, "write the vector registers"))
    }

    /// Collects what happened, without waiting.
    pub fn poll(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        let running: Vec<Tid> = self.threads.iter().filter(|(_, t)| !t.state.stands()).map(|(k, _)| *k).collect();
        for tid in &running {
            self.poll_thread(*tid, &mut events);
        }
        // One that stood when the program exited has died since, and nobody let it run on: the process does not end before it is waited for.
        if events.is_empty() && running.len() < self.threads.len() {
            events = self.poll_standing();
        }
        // Nor before one whose maker was killed in the middle of saying so: it is ours and unknown.
        if self.threads.len() == 1 && events.is_empty() {
            for tid in procfs::threads(self.pid).unwrap_or_default() {
                self.threads.entry(tid).or_insert(Thread { state: State::Running, deferred_signal: 0 });
            }
        }
        events
    }

    /// Collects what happened to threads that stand: only death can.
    pub fn poll_standing(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        let standing: Vec<Tid> = self.threads.keys().copied().collect();
        for tid in standing {
            self.poll_thread(tid, &mut events);
        }
        events
    }

    /// Collects what happened to one thread.
    fn poll_thread(&mut self, tid: Tid, events: &mut Vec<Event>) {
        match sys::wait(tid, false) {
            Ok(WaitStatus::None) => {}
            Ok(status) => self.take_status(tid, status, events),
            // ECHILD: it vanished in an exec or its exit was collected with the process.
            Err(_) => self.forget(tid, None, events),
        }
    }

    fn forget(&mut self, tid: Tid, how: Option<Event>, events: &mut Vec<Event>) {
        if self.threads.remove(&tid).is_none() {
            return;
        }
        if tid.0 == self.pid || self.threads.is_empty() {
            self.threads.clear();
            let e = how.unwrap_or(Event::Exited(None, None));
            self.exited = Some(e);
            events.push(e);
        } else {
            events.push(Event::ThreadGone(tid));
        }
    }

    fn take_status(&mut self, tid: Tid, status: WaitStatus, events: &mut Vec<Event>) {
        match status {
            WaitStatus::None => {}
            WaitStatus::Exited(code) => self.forget(tid, Some(Event::Exited(Some(code), None)), events),
            WaitStatus::Signaled(sig) => self.forget(tid, Some(Event::Exited(None, Some(sig))), events),
            WaitStatus::Signal(libc::SIGTRAP) => {
                let code = sys::signal_code(tid).map_or(0, |c| c.1);
                // Sent by kill or tgkill (SI_USER, SI_TKILL, SI_QUEUE): the program's own business.
                if code <= 0 {
                    self.set(tid, State::Holds(libc::SIGTRAP));
                    events.push(Event::Signal(tid, libc::SIGTRAP));
                } else {
                    self.set(tid, State::Trapped(code));
                    events.push(Event::Trap(tid, code));
                }
            }
            WaitStatus::Signal(sig) => {
                self.set(tid, State::Holds(sig));
                events.push(Event::Signal(tid, sig));
            }
            WaitStatus::Event(libc::PTRACE_EVENT_STOP, libc::SIGTRAP) => {
                self.set(tid, State::Parked);
                events.push(Event::Parked(tid));
            }
            WaitStatus::Event(libc::PTRACE_EVENT_STOP, _) => {
                // A group-stop: leave it to the program's job control.
                self.set(tid, State::GroupStopped);
                let _gone_shows_in_wait = sys::listen(tid);
            }
            WaitStatus::Event(libc::PTRACE_EVENT_CLONE, _) => {
                self.set(tid, State::Trapped(0));
                if let Ok(new) = sys::event_message(tid) {
                    let new = Tid(new as i32);
                    self.threads.insert(new, Thread { state: State::Running, deferred_signal: 0 });
                    events.push(Event::NewThread(tid, new));
                }
            }
            WaitStatus::Event(e @ (libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK), _) => {
                self.set(tid, State::Trapped(0));
                if let Ok(new) = sys::event_message(tid) {
                    events.push(Event::NewProcess(tid, new as i32, e == libc::PTRACE_EVENT_VFORK));
                }
            }
            WaitStatus::Event(libc::PTRACE_EVENT_EXEC, _) => {
                self.threads.retain(|t, _| t.0 == self.pid);
                self.threads.insert(Tid(self.pid), Thread { state: State::Trapped(0), deferred_signal: 0 });
                events.push(Event::Exec(Tid(self.pid)));
            }
            WaitStatus::Event(..) => {
                self.set(tid, State::Trapped(0));
                let _gone_shows_in_wait = self.resume(tid);
            }
        }
    }

    /// Lets a standing thread run on, delivering the signal that it holds.
    pub fn resume(&mut self, tid: Tid) -> Result<(), TargetError> {
        let Some(t) = self.threads.get_mut(&tid) else { return Ok(()) };
        if !t.state.stands() {
            return Ok(());
        }
        let sig = match t.state {
            State::Holds(s) => s,
            // In a signal-delivery-stop a signal taken earlier can be put in the trap's place; elsewhere the kernel
            // ignores it, and it is sent anew.
            State::Trapped(c) if c != 0 => std::mem::take(&mut t.deferred_signal),
            _ => 0,
        };
        let late = std::mem::take(&mut t.deferred_signal);
        t.state = State::Running;
        if late != 0 {
            let _thread_may_be_gone = nix::errno::Errno::result(tgkill(self.pid, tid, late));
        }
        ok_if_gone(sys::cont(tid, sig), "continue a thread")
    }

    /// Starts one instruction of a standing thread; its completion is a `Trap` with `TRAP_TRACE`. A signal it holds is kept
    /// back until it is resumed.
    pub fn start_step(&mut self, tid: Tid) -> Result<(), TargetError> {
        let Some(t) = self.threads.get_mut(&tid) else { return Ok(()) };
        if let State::Holds(s) = t.state {
            t.deferred_signal = s;
        }
        t.state = State::Running;
        ok_if_gone(sys::single_step(tid, 0), "step a thread")
    }

    /// One instruction of a standing thread while nothing else runs, signals held back. False: it went away.
    pub fn step_alone(&mut self, tid: Tid, events: &mut Vec<Event>) -> Result<bool, TargetError> {
        self.start_step(tid)?;
        let mut deadline = Instant::now() + STEP_PATIENCE;
        let mut interrupted = false;
        loop {
            if !self.await_thread(tid, deadline) {
                // A system call that blocks: leave it; the interrupt below makes the thread stand again.
                if interrupted {
                    return Ok(false);
                }
                interrupted = true;
                ok_if_gone(sys::interrupt(tid), "interrupt a thread")?;
                deadline = Instant::now() + STEP_PATIENCE;
                continue;
            }
            let mut got = Vec::new();
            self.poll_thread(tid, &mut got);
            match got.first() {
                Some(Event::Trap(..)) => return Ok(true),
                Some(Event::Parked(_)) => return Ok(interrupted),
                Some(Event::Signal(_, sig)) => {
                    // It came before the instruction ran: keep it for later and try again; faults are the instruction's own.
                    if matches!(*sig, libc::SIGSEGV | libc::SIGBUS | libc::SIGFPE | libc::SIGILL) {
                        return Ok(true);
                    }
                    self.start_step(tid)?;
                }
                Some(e @ (Event::Exited(..) | Event::ThreadGone(_))) => {
                    events.push(*e);
                    return Ok(false);
                }
                Some(e) => {
                    events.push(*e);
                    return Ok(true);
                }
                None => return Ok(false),
            }
        }
    }

    /// Waits (without reaping) until a thread has something to report; false at the deadline.
    fn await_thread(&self, tid: Tid, deadline: Instant) -> bool {
        use nix::sys::wait::{Id, WaitPidFlag, waitid};
        let flags = WaitPidFlag::WEXITED
            | WaitPidFlag::WSTOPPED
            | WaitPidFlag::WNOWAIT
            | WaitPidFlag::WNOHANG
            | WaitPidFlag::__WALL;
        let mut spins = 0u32;
        loop {
            match waitid(Id::Pid(nix::unistd::Pid::from_raw(tid.0)), flags) {
                Ok(nix::sys::wait::WaitStatus::StillAlive) => {}
                _ => return true, // something, also a signal that nix has no name for (EINVAL) or ECHILD
            }
            if Instant::now() >= deadline {
                return false;
            }
            spins += 1;
            if spins > 50 {
                std::thread::sleep(Duration::from_micros(30));
            } else {
                std::thread::yield_now();
            }
        }
    }

    /// Stops all threads. What happened to them on the way is reported; threads that the kernel cannot stop within
    /// `patience` (uninterruptible sleep) stay `Running` and stop as soon as they can.
    pub fn stop_all(&mut self, patience: Duration) -> Vec<Event> {
        let mut events = Vec::new();
        let mut waiting: Vec<Tid> = Vec::new();
        for (tid, t) in &self.threads {
            if !t.state.stands() {
                let _gone_shows_in_wait = sys::interrupt(*tid);
                waiting.push(*tid);
            }
        }
        let deadline = Instant::now() + patience;
        let mut spins = 0u32;
        while !waiting.is_empty() {
            let mut news = Vec::new();
            for tid in &waiting {
                self.poll_thread(*tid, &mut news);
            }
            for e in &news {
                if let Event::NewThread(_, new) = e {
                    let _gone_shows_in_wait = sys::interrupt(*new);
                    waiting.push(*new);
                }
            }
            events.extend(news);
            waiting.retain(|t| self.threads.get(t).is_some_and(|t| t.state == State::Running));
            if waiting.is_empty() || Instant::now() > deadline {
                break;
            }
            spins += 1;
            if spins > 100 {
                std::thread::sleep(Duration::from_micros(30));
            } else {
                std::thread::yield_now();
            }
        }
        events
    }

    /// Is an int3 trap queued behind this thread's stop, not yet reported?
    pub fn trap_is_pending(&self, tid: Tid) -> bool {
        sys::trap_pending(tid).unwrap_or(false)
    }

    /// Makes a standing thread's stop kill-safe: a trap is swallowed and the thread sits in PTRACE_EVENT_STOP. Registers
    /// (a rewound PC) must have been set before. A queued trap that comes to light is returned as an event, to be rewound and
    /// parked in its turn.
    pub fn park(&mut self, tid: Tid) -> Result<Option<Event>, TargetError> {
        for _ in 0..16 {
            match self.thread(tid).map(|t| t.state) {
                Some(State::Trapped(_)) => {}
                Some(State::Parked) if self.trap_is_pending(tid) => {}
                _ => return Ok(None),
            }
            let queued = self.thread(tid).is_some_and(|t| t.state == State::Parked);
            // The kernel looks at interrupts before signals: to bring a queued trap to light there must be none.
            if !queued {
                ok_if_gone(sys::interrupt(tid), "interrupt a thread")?;
            }
            ok_if_gone(sys::cont(tid, 0), "park a thread")?;
            self.set(tid, State::Running);
            if !self.await_thread(tid, Instant::now() + PARK) {
                return Err(TargetError::os("park a thread", io::Error::from(io::ErrorKind::TimedOut)));
            }
            let mut got = Vec::new();
            self.poll_thread(tid, &mut got);
            match got.first().copied() {
                Some(Event::Parked(_)) if !queued => return Ok(None),
                Some(Event::Parked(_)) | None => {}
                Some(e) => return Ok(Some(e)),
            }
        }
        Ok(None)
    }

    /// Interrupts one running thread.
    pub fn interrupt(&self, tid: Tid) -> Result<(), TargetError> {
        ok_if_gone(sys::interrupt(tid), "interrupt a thread")
    }

    /// Detaches from a process made by fork, which stands, letting it run. The caller has cleaned its text.
    pub fn release_child(pid: i32) {
        let _gone_is_fine = sys::detach(Tid(pid), 0);
    }

    /// Ends the process and collects it. Only for processes that we launched.
    pub fn kill(&mut self) {
        sys::kill_process(self.pid);
        let deadline = Instant::now() + Duration::from_secs(2);
        while !self.threads.is_empty() && Instant::now() < deadline {
            let all: Vec<Tid> = self.threads.keys().copied().collect();
            let mut events = Vec::new();
            for tid in all {
                self.poll_thread(tid, &mut events);
            }
            for (tid, t) in self.threads() {
                if t.state.stands() {
                    let _dying = sys::cont(tid, 0);
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Detaches from all threads, which must stand and hold no trap, delivering the signals they hold.
    pub fn release_all(&mut self) {
        let mut late = Vec::new();
        for (tid, t) in std::mem::take(&mut self.threads) {
            let sig = if let State::Holds(s) = t.state { s } else { 0 };
            if t.deferred_signal != 0 {
                let _thread_may_be_gone = nix::errno::Errno::result(tgkill(self.pid, tid, t.deferred_signal));
            }
            if sys::detach(tid, sig).is_err() {
                late.push(tid); // not standing (seized a moment ago), or killed meanwhile
            }
        }
        let_go_when_they_come(late);
    }

    /// Ends an attachment that changed nothing: all run on as if we had not been there, traps of the program's own included.
    pub fn let_go(&mut self) {
        let mut late = Vec::new();
        for (tid, t) in std::mem::take(&mut self.threads) {
            let sig = match t.state {
                State::Holds(s) => s,
                State::Trapped(c) if c != 0 => libc::SIGTRAP,
                _ => 0,
            };
            if !t.state.stands() || sys::detach(tid, sig).is_err() {
                late.push(tid);
            }
        }
        let_go_when_they_come(late);
    }
}

/// Threads that could not be stopped in time, or stand with their whole process, can be let go only once they have come to us, and must
/// be, since nobody else would let them run. None is waited for alone: the first thread of a process that was killed is not reported
/// before all others are.
fn let_go_when_they_come(mut late: Vec<Tid>) {
    for tid in &late {
        let _gone_shows_in_wait = sys::interrupt(*tid);
    }
    while !late.is_empty() {
        let mut born = Vec::new();
        late.retain(|tid| match sys::wait(*tid, false) {
            Ok(WaitStatus::None) => true,
            Ok(WaitStatus::Signal(s)) => sys::detach(*tid, s).is_err(),
            Ok(WaitStatus::Event(e, _)) => {
                // Threads and processes that it makes are ours, too, from their first instruction.
                if matches!(e, libc::PTRACE_EVENT_CLONE | libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK) {
                    born.extend(sys::event_message(*tid).map(|new| Tid(new as i32)));
                }
                sys::detach(*tid, 0).is_err()
            }
            Ok(WaitStatus::Exited(_) | WaitStatus::Signaled(_)) | Err(_) => false,
        });
        late.append(&mut born);
        if !late.is_empty() {
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}

fn tgkill(pid: i32, tid: Tid, sig: i32) -> i32 {
    sys::tgkill(pid, tid, sig)
}

fn ok_if_gone(r: io::Result<()>, what: &str) -> Result<(), TargetError> {
    match r {
        Err(e) if e.raw_os_error() != Some(libc::ESRCH) => Err(TargetError::os(what, e)),
        _ => Ok(()),
    }
}

fn gone(e: io::Error, what: &str) -> TargetError {
    if e.raw_os_error() == Some(libc::ESRCH) { TargetError::Exited } else { TargetError::os(what, e) }
}

fn refused(pid: i32, e: io::Error) -> TargetError {
    match e.raw_os_error() {
        Some(libc::ESRCH) => TargetError::NoProcess(pid),
        Some(libc::EPERM | libc::EACCES) => match procfs::tracer_of(pid) {
            0 => TargetError::Denied { pid, what: "attach to", why: super::doctor::why_denied(pid) },
            tracer => TargetError::Traced { pid, tracer, tracer_name: procfs::name(tracer) },
        },
        _ => TargetError::os(format!("attach to process {pid}"), e),
    }
}

/// Lets go of a traced task that may be running.
pub fn release_running(tid: Tid) {
    if sys::detach(tid, 0).is_err() && sys::interrupt(tid).is_ok() && sys::wait(tid, true).is_ok() {
        let _gone_is_fine = sys::detach(tid, 0);
    }
}
