//! What has to hold in any run of a program: one goroutine on a P, nobody wakes who is not asleep.

use super::super::fault::Trouble;
use super::parse::{EVENTS, Event, Frame, ev, fake};
use rustc_hash::FxHashMap;

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Status {
    #[default]
    Dead,
    Runnable,
    Running,
    Waiting,
}
use Status::{Dead, Runnable, Running, Waiting};

#[derive(Clone, Copy, Default)]
struct Go {
    status: Status,
    /// It waits for the network.
    network: bool,
    /// The stack that it was created with, until it starts.
    create: Option<u32>,
    assist: bool,
}

#[derive(Clone, Copy, Default)]
struct Proc {
    running: bool,
    g: u64,
    sweep: bool,
}

#[derive(Default)]
struct State {
    gs: FxHashMap<u64, Go>,
    ps: FxHashMap<i32, Proc>,
    tasks: FxHashMap<u64, ()>,
    regions: FxHashMap<u64, Vec<(u64, u64)>>,
    gc: bool,
    stw: bool,
}

/// Checks events one after the other, and puts some on the Ps that are none.
pub(super) struct Verifier(State);

impl Verifier {
    pub(super) fn new() -> Verifier {
        let mut s = State::default();
        s.gs.insert(0, Go { status: Running, ..Go::default() });
        Verifier(s)
    }

    /// The next event.
    pub(super) fn check(&mut self, e: &mut Event, stacks: &FxHashMap<u32, Vec<Frame>>) -> Result<(), Trouble> {
        self.0.event(e)?;
        if e.stack != 0 && stacks.get(&e.stack).is_none_or(Vec::is_empty) {
            e.stack = 0;
        }
        Ok(())
    }
}

fn bad<T>(e: &Event, what: &str) -> Result<T, Trouble> {
    let name = EVENTS.get(usize::from(e.typ)).map_or("", |d| d.0);
    Err(Trouble::order(format!("{name} of g {} on p {}: {what} (time {})", e.g, e.p, e.ts)))
}

fn begin(open: &mut bool, e: &Event) -> Result<(), Trouble> {
    if std::mem::replace(open, true) {
        return bad(e, "the previous one is not ended");
    }
    Ok(())
}

fn end(open: &mut bool, e: &Event) -> Result<(), Trouble> {
    if !std::mem::replace(open, false) {
        return bad(e, "none began");
    }
    Ok(())
}

impl State {
    fn go(&self, g: u64) -> Go {
        self.gs.get(&g).copied().unwrap_or_default()
    }

    /// The goroutine of the event runs on its P.
    fn running(&self, e: &Event, nobody: bool) -> Result<(), Trouble> {
        if self.go(e.g).status != Running {
            return bad(e, "it is not running");
        }
        if self.ps.get(&e.p).copied().unwrap_or_default().g != e.g {
            return bad(e, "it does not run there");
        }
        if !nobody && e.g == 0 {
            return bad(e, "nobody runs there");
        }
        Ok(())
    }

    /// The goroutine leaves its P.
    fn leaves(&mut self, e: &Event, status: Status) -> Result<(), Trouble> {
        self.running(e, false)?;
        let g = self.gs.entry(e.g).or_default();
        (g.status, g.network) = (status, e.typ == ev::GO_BLOCK_NET);
        self.ps.entry(e.p).or_default().g = 0;
        Ok(())
    }

    fn event(&mut self, e: &mut Event) -> Result<(), Trouble> {
        match e.typ {
            ev::PROC_START => begin(&mut self.ps.entry(e.p).or_default().running, e),
            ev::PROC_STOP => {
                let p = self.ps.entry(e.p).or_default();
                end(&mut p.running, e)?;
                if p.g != 0 { bad(e, "a goroutine runs there") } else { Ok(()) }
            }
            ev::GC_START => {
                begin(&mut self.gc, e)?;
                e.p = fake::GC;
                Ok(())
            }
            ev::GC_DONE => end(&mut self.gc, e),
            ev::STW_START => begin(&mut self.stw, e),
            ev::STW_DONE => end(&mut self.stw, e),
            ev::SWEEP_START => begin(&mut self.ps.entry(e.p).or_default().sweep, e),
            ev::SWEEP_DONE => end(&mut self.ps.entry(e.p).or_default().sweep, e),
            ev::ASSIST_START => begin(&mut self.gs.entry(e.g).or_default().assist, e),
            ev::ASSIST_DONE => {
                // It may have been in one when the trace began.
                self.gs.entry(e.g).or_default().assist = false;
                Ok(())
            }
            ev::GO_WAITING | ev::GO_IN_SYSCALL => self.change(e, e.g, Runnable, Waiting),
            ev::GO_SYS_EXIT => self.change(e, e.g, Waiting, Runnable),
            ev::GO_CREATE => {
                self.running(e, true)?;
                if self.gs.contains_key(&e.args[0]) {
                    return bad(e, "it exists already");
                }
                let create = Some(e.args[1] as u32);
                self.gs.insert(e.args[0], Go { status: Runnable, create, ..Go::default() });
                Ok(())
            }
            ev::GO_START | ev::GO_START_LABEL => self.start(e),
            ev::GO_END => {
                self.leaves(e, Dead)?;
                self.regions.remove(&e.g);
                Ok(())
            }
            ev::GO_STOP => self.leaves(e, Dead),
            ev::GO_SCHED | ev::GO_PREEMPT => self.leaves(e, Runnable),
            ev::GO_UNBLOCK => self.unblock(e),
            ev::GO_SYSCALL => self.running(e, false),
            ev::GO_SYS_BLOCK | ev::GO_SLEEP | ev::GO_BLOCK | ev::GO_BLOCK_SEND..=ev::GO_BLOCK_NET | ev::GO_BLOCK_GC => {
                self.leaves(e, Waiting)
            }
            ev::TASK_CREATE => match self.tasks.insert(e.args[0], ()) {
                Some(()) => bad(e, "task id conflicts"),
                None => Ok(()),
            },
            ev::TASK_END => {
                self.tasks.remove(&e.args[0]);
                Ok(())
            }
            ev::REGION => self.region(e),
            _ => Ok(()),
        }
    }

    fn change(&mut self, e: &Event, g: u64, from: Status, to: Status) -> Result<(), Trouble> {
        let go = self.gs.entry(g).or_default();
        if go.status != from {
            return bad(e, "it is in another state");
        }
        (go.status, go.network) = (to, false);
        Ok(())
    }

    fn start(&mut self, e: &mut Event) -> Result<(), Trouble> {
        self.change(e, e.g, Runnable, Running)?;
        let p = self.ps.entry(e.p).or_default();
        if p.g != 0 {
            return bad(e, "another goroutine runs there");
        }
        p.g = e.g;
        if let Some(stack) = self.gs.entry(e.g).or_default().create.take() {
            e.stack = stack;
        }
        Ok(())
    }

    fn unblock(&mut self, e: &mut Event) -> Result<(), Trouble> {
        if self.go(e.g).status != Running {
            return bad(e, "it is not running");
        }
        if e.p != fake::TIMER && self.ps.get(&e.p).copied().unwrap_or_default().g != e.g {
            return bad(e, "it does not run there");
        }
        let network = self.go(e.args[0]).network;
        self.change(e, e.args[0], Waiting, Runnable)?;
        if network {
            e.p = fake::NETPOLL;
        }
        Ok(())
    }

    fn region(&mut self, e: &Event) -> Result<(), Trouble> {
        let open = self.regions.entry(e.g).or_default();
        let this = (e.args[0], e.args[2]);
        match e.args[1] {
            0 => open.push(this),
            1 => {
                if open.last().is_some_and(|r| *r != this) {
                    return bad(e, "misuse of region: another one is innermost");
                }
                open.pop();
            }
            _ => return bad(e, "invalid user region mode"),
        }
        Ok(())
    }
}
