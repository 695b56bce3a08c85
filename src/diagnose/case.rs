//! What detectors look at: one analysed look, and the tools to make findings of it.

use super::graph::Graph;
use super::history::History;
use super::look::{Look, Stillness};
use super::reach::Reach;
use super::shown::Names;
use super::stuck::{Cause, causes};
use crate::arch::Registers;
use crate::base::{GoroutineId, LoadAddr, Memory, MemoryError};
use crate::goruntime::sched::{Collector, Scheduler};
use crate::goruntime::{GoRuntime, GoroutineList};
use crate::heap::{Heap, HeapOptions, ObjectId};
use crate::model::{
    CycleStep, Evidence, Finding, FindingClass, FindingKind, Location, Severity, WaitKind, WaitObject, WaitOn,
};
use rustc_hash::FxHasher;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

/// A target at a moment.
pub struct Target<'a> {
    /// The runtime.
    pub rt: &'a GoRuntime,
    /// Memory.
    pub mem: &'a dyn Memory,
    /// The goroutines.
    pub list: &'a GoroutineList,
    /// Registers by thread, where it stands still.
    pub registers: &'a HashMap<i32, Registers>,
    /// It stands still, or is a copy.
    pub stopped: bool,
    /// It is a file: nothing will ever change.
    pub offline: bool,
    /// The process, if it is one.
    pub pid: Option<i32>,
}

/// One look, analysed.
pub struct Analysis<'a> {
    /// Goroutines.
    pub look: Look<'a>,
    /// The heap, or why there is none.
    pub heap: Result<Heap<'a>, String>,
    /// Reachability, with the heap.
    pub reach: Option<Reach>,
    /// Who waits for whom.
    pub graph: Graph,
    /// Root causes of being stuck.
    pub causes: Vec<Cause>,
    /// The scheduler.
    pub scheduler: Option<Scheduler>,
    /// The collector.
    pub collector: Option<Collector>,
}

/// Passes over a target that runs: a reference that moves while the heap is walked can be missed once, seldom twice (five times in
/// ten thousand looks at a program in constant motion), hardly three times.
const PASSES: usize = 3;
/// Between passes, and before the last look at those that are said to be stuck: who is not has moved by then.
const PAUSE: Duration = Duration::from_millis(5);

impl<'a> Analysis<'a> {
    /// Looks, walks the heap, builds the graph, finds causes.
    pub fn make(t: &Target<'a>, no_heap: bool, heap_limit: u64) -> Result<Analysis<'a>, MemoryError> {
        let mut a = Self::pass(t, no_heap, heap_limit)?;
        a.conclude();
        for _ in 1..PASSES {
            if a.look.still || a.causes.is_empty() {
                break;
            }
            // What was found must be found again, in goroutines that have not moved since.
            std::thread::sleep(PAUSE);
            let again = Self::pass(t, no_heap, heap_limit)?;
            match again.look.still {
                true => a = again,
                false => a.confirm(&again),
            }
            a.conclude();
        }
        // Proof without stillness rests on the members alone.
        let proven = |c: &Cause| c.class == FindingClass::Proof && !c.cycle.is_empty();
        if !a.look.still && a.causes.iter().any(proven) {
            std::thread::sleep(PAUSE);
            let mut causes = std::mem::take(&mut a.causes);
            causes.retain(|c| !proven(c) || c.cycle.iter().all(|s| a.look.unmoved(s.0)));
            a.causes = causes;
        }
        Ok(a)
    }

    /// Graph and causes of what was seen.
    fn conclude(&mut self) {
        self.graph = Graph::build(&self.look, self.reach.as_ref().zip(self.heap.as_ref().ok()));
        let alone = |who: u32, object: u32| {
            let (Some(reach), Ok(heap)) = (&self.reach, &self.heap) else { return false };
            let addr = self.graph.objects[object as usize].on.addr;
            addr.is_some_and(|at| reach.referrers_of(heap, at).iter().all(|r| r.0 == who))
        };
        self.causes = causes(&self.look, &self.graph, self.reach.as_ref(), self.look.still, &alone);
        super::context::name_causes(&self.look, &mut self.causes);
    }

    fn pass(t: &Target<'a>, no_heap: bool, limit: u64) -> Result<Analysis<'a>, MemoryError> {
        let stillness = Stillness::begin(t.rt, t.mem);
        let limit = if limit == 0 { HeapOptions::default().limit } else { limit };
        let heap = match no_heap {
            true => Err("left alone as asked".to_string()),
            false => {
                let options = HeapOptions { stopped: t.stopped, limit };
                Heap::read(t.rt, t.mem, options).map_err(|e| e.to_string())
            }
        };
        let mut look = Look::read(t.rt, t.mem, t.list, t.registers, t.stopped, heap.as_ref().ok())?;
        let mut reach = None;
        if let Ok(h) = &heap {
            let found = Reach::find(&look, h);
            for (from, offset, to) in &found.met {
                let at = h.object(from.span, from.slot).0;
                let chan = h.object(to.span, to.slot).0;
                if super::context::cancel_ctx(&look, at, *offset).is_some() {
                    look.contexts.insert(chan);
                }
            }
            reach = Some(found);
        }
        if !t.stopped {
            look.check(t.mem)?;
            look.still = stillness.holds(t.rt, t.mem);
        }
        Ok(Analysis {
            look,
            heap,
            reach,
            graph: Graph::default(),
            causes: Vec::new(),
            scheduler: t.rt.scheduler(t.mem),
            collector: t.rt.collector(t.mem),
        })
    }

    /// Keeps of what was found what a second pass found, too.
    fn confirm(&mut self, again: &Analysis<'_>) {
        let mut reach = self.reach.as_mut();
        for (i, s) in self.look.seen.iter_mut().enumerate() {
            let j = again.look.seen.binary_search_by_key(&s.g.goid, |x| x.g.goid).ok();
            let other = j.map(|j| &again.look.seen[j]);
            s.stable &= other.is_some_and(|o| o.stable && o.same(s));
            if let Some(reach) = &mut reach {
                let leaked_again = j.is_some_and(|j| again.reach.as_ref().is_some_and(|r| r.leaked[j]));
                reach.leaked[i] &= s.stable && leaked_again;
            }
        }
    }
}

/// One analysed look with its history.
pub struct Case<'a> {
    /// The target.
    pub target: &'a Target<'a>,
    /// The look.
    pub a: &'a Analysis<'a>,
    /// Looks before this one.
    pub history: &'a History,
    /// Goroutine ids listed in a finding, at most.
    pub listed: usize,
    /// Names of objects.
    names: OnceCell<Option<Names<'a>>>,
}

/// A finding being written.
pub struct Draft {
    /// What.
    pub kind: FindingKind,
    /// How sure.
    pub class: FindingClass,
    /// How bad.
    pub severity: Severity,
    /// Whom it is about: indices of the look.
    pub members: Vec<u32>,
    /// Who waits for them.
    pub victims: Vec<u32>,
    /// The object.
    pub object: Option<WaitObject>,
    /// The cycle.
    pub cycle: Vec<CycleStep>,
    /// One line.
    pub summary: String,
    /// Evidence.
    pub why: Vec<String>,
    /// What to do.
    pub next: Vec<String>,
}

impl<'a> Case<'a> {
    /// For detectors to look at.
    pub fn new(target: &'a Target<'a>, a: &'a Analysis<'a>, history: &'a History, listed: usize) -> Case<'a> {
        Case { target, a, history, listed, names: OnceCell::new() }
    }
    /// The causes of one kind.
    pub fn causes(&self, kind: FindingKind) -> impl Iterator<Item = &Cause> {
        self.a.causes.iter().filter(move |c| c.kind == kind)
    }
    /// The user's place of a goroutine.
    pub fn place(&self, i: u32) -> Arc<Location> {
        let s = &self.a.look.seen[i as usize];
        let user = self.target.list.row(s.row).map(|r| r.user).unwrap_or_default();
        // Who called the standard library says more than where in it: its files are beside those of the runtime.
        let library = s.frames.last().and_then(|f| f.info.frames.last()).and_then(|l| {
            let file = &l.at.file;
            file.rfind("/runtime/").filter(|_| l.at.function.starts_with("runtime.")).map(|n| file[..=n].to_string())
        });
        let Some(library) = library else { return user };
        // Nor do wrappers that the compiler and cgo write.
        let written = |at: &Location| {
            let made = at.file.starts_with('<') || at.file.starts_with("_cgo_") || at.function.contains("._Cfunc_");
            !made && !at.file.is_empty() && !at.file.starts_with(&library)
        };
        if written(&user) {
            return user;
        }
        let mut frames = s.frames.iter().flat_map(|f| &f.info.frames);
        frames.find(|l| !l.internal && !l.plumbing && written(&l.at)).map_or(user, |l| l.at.clone())
    }
    /// `g88 main.(*Store).Get store.go:118`.
    pub fn goroutine(&self, i: u32) -> String {
        format!("g{} {}", self.a.look.seen[i as usize].g.goid, self.place_text(i))
    }
    /// `main.(*Store).Get store.go:118`.
    pub fn place_text(&self, i: u32) -> String {
        let at = self.place(i);
        format!("{} {}:{}", at.short_function(), at.file.rsplit('/').next().unwrap_or(""), at.line)
    }
    /// How long a goroutine has waited, nanoseconds, where the runtime noted it.
    pub fn waited(&self, i: u32) -> Option<u64> {
        self.target.list.row(self.a.look.seen[i as usize].row)?.wait_ns
    }
    /// An object as it is shown, named with the help of a goroutine that waits for it.
    pub fn object(&self, on: &WaitOn, waiter: Option<u32>) -> WaitObject {
        let names = self.names.get_or_init(|| Names::new(self.target.rt, self.target.mem));
        let s = waiter.map(|w| &self.a.look.seen[w as usize]);
        super::shown::object(on, names.as_ref().and_then(|n| n.of(on.addr?, s.map(|s| s.g.addr))))
    }
    /// An object of the graph.
    pub fn graph_object(&self, n: u32) -> WaitObject {
        let o = &self.a.graph.objects[n as usize];
        self.object(&o.on, o.waiters.first().map(|w| w.0))
    }
    /// The frame in which a goroutine holds a lock: `main.(*Store).Get store.go:118`.
    pub fn held_in(&self, holder: u32, lock: LoadAddr) -> Option<String> {
        let hold = self.a.graph.holds.get(holder as usize)?.iter().find(|h| h.lock == Some(lock))?;
        let frame = self.a.look.seen[holder as usize].frames.get(hold.frame as usize)?;
        let at = &frame.info.frames.last()?.at;
        Some(format!("{} {}:{}", at.short_function(), at.base_file(), at.line))
    }
    /// The name of a lock, as a goroutine that holds it knows it.
    pub fn lock_name(&self, lock: LoadAddr, holder: u32) -> String {
        let names = Names::new(self.target.rt, self.target.mem);
        let g = self.a.look.seen[holder as usize].g.addr;
        let name = names.as_ref().and_then(|n| n.of(lock, Some(g)));
        name.map_or_else(|| format!("the lock at {lock}"), |n| format!("{n} ({lock})"))
    }
    /// Names of objects of the graph; with addresses where different ones have the same name.
    pub fn names(&self, objects: &[u32]) -> Vec<String> {
        let shown: Vec<WaitObject> = objects.iter().map(|n| self.graph_object(*n)).collect();
        let names: Vec<String> = shown.iter().map(super::shown::object_name).collect();
        let twin = |i: usize| (0..names.len()).any(|j| names[j] == names[i] && objects[j] != objects[i]);
        (0..names.len())
            .map(|i| match shown[i].addr.filter(|_| twin(i)) {
                Some(a) => format!("{} {a}", names[i]),
                None => names[i].clone(),
            })
            .collect()
    }
    /// Objects that refer to what is at an address.
    pub fn referrer_objects(&self, to: ObjectId) -> usize {
        self.a.reach.as_ref().map_or(0, |r| r.met.iter().filter(|m| m.2 == to).count())
    }

    /// Writes a finding.
    pub fn finding(&self, d: Draft) -> Finding {
        let ids = |v: &[u32]| -> Vec<GoroutineId> {
            let mut ids: Vec<GoroutineId> = v.iter().map(|i| self.a.look.seen[*i as usize].id()).collect();
            ids.sort_unstable();
            ids.truncate(self.listed);
            ids
        };
        let at = d.members.first().map(|i| self.place(*i)).unwrap_or_default();
        let mut h = FxHasher::default();
        (d.kind, &at.function, &at.file, at.line).hash(&mut h);
        if !d.cycle.is_empty() {
            d.object.as_ref().and_then(|o| o.addr).hash(&mut h);
        }
        Finding {
            kind: d.kind,
            class: d.class,
            severity: d.severity,
            goroutines: ids(&d.members),
            count: d.members.len() as u64,
            victims: ids(&d.victims),
            victim_count: d.victims.len() as u64,
            object: d.object,
            cycle: d.cycle,
            at,
            oldest_ns: d.members.iter().filter_map(|i| self.waited(*i)).max(),
            per_second: None,
            summary: d.summary,
            why: d.why,
            next: d.next,
            key: h.finish(),
        }
    }

    /// A cycle of a cause as steps and as lines of evidence.
    pub fn cycle(&self, c: &Cause) -> (Vec<CycleStep>, Vec<String>) {
        let (mut steps, mut why) = (Vec::new(), Vec::new());
        let names = self.names(&c.cycle.iter().map(|s| s.1).collect::<Vec<_>>());
        for (n, (who, object, evidence)) in c.cycle.iter().enumerate() {
            let o = self.graph_object(*object);
            let next = c.cycle[(n + 1) % c.cycle.len()].0;
            let holder = self.a.look.seen[next as usize].g.goid;
            let name = &names[n];
            let lock = super::graph::is_lock(o.kind);
            let how = match evidence {
                Evidence::Runtime => format!("is kept by g{holder}: a queued writer keeps new readers out"),
                _ if !lock && *evidence == Evidence::Defer => {
                    format!("waits for g{holder}: a pending deferred call of it would call Done")
                }
                _ if !lock => format!("could be served by g{holder}, which refers to it and waits itself"),
                _ if o.kind == WaitKind::Once => format!("is being run by g{holder}"),
                Evidence::Defer => format!("is held by g{holder}: a pending deferred call unlocks it"),
                Evidence::Frame => format!("is held by g{holder}: it stands between Lock and Unlock"),
                Evidence::Exclusion if *who == next => {
                    format!("is held by g{holder}, or by a goroutine that has ended: no other goroutine refers to it")
                }
                Evidence::Exclusion => {
                    format!("is held by g{holder}: no other goroutine outside its queue refers to it")
                }
            };
            why.push(format!("{} waits for {name}", self.goroutine(*who)));
            let place = o.addr.and_then(|a| self.held_in(next, a)).map(|p| format!(", in {p}")).unwrap_or_default();
            why.push(format!("{name} {how}{place}"));
            steps.push(CycleStep::Goroutine(self.a.look.seen[*who as usize].id()));
            steps.push(CycleStep::Object(o));
        }
        (steps, why)
    }

    /// The words for how reachability is known.
    pub fn unreachable(&self, class: FindingClass) -> String {
        match (class, self.target.stopped) {
            (FindingClass::Proof, true) => "nothing that can run reaches it: precise walk of the heap at a stop".into(),
            (FindingClass::Proof, false) => {
                "nothing that can run reaches it: precise walk of the heap, during which nothing ran".into()
            }
            _ => format!(
                "nothing that can run was seen to reach it, in {PASSES} walks of the heap while the program ran (a snapshot proves it)"
            ),
        }
    }
}
