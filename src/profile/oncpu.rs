//! On-CPU samples of a running process as a profile: PCs become functions and lines, inlined ones included. What the runtime does for itself gets a
//! frame of its own at the root, so that collector and scheduler stand beside the program in a flame graph.

use crate::base::LoadAddr;
use crate::goruntime::GoRuntime;
use crate::model::{Profile, ProfileFrame, ProfileFunction, ValueKind};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Which functions at the bottom of a stack, or anywhere in it, say that the runtime works for itself. The first that fits counts.
const OWN: &[(&str, &[&str])] = &[
    ("[GC assist]", &["runtime.gcAssistAlloc", "runtime.gcAssistAlloc1"]),
    (
        "[GC]",
        &[
            "runtime.gcBgMarkWorker",
            "runtime.gcDrain",
            "runtime.bgsweep",
            "runtime.bgscavenge",
            "runtime.gcStart",
            "runtime.gcMarkTermination",
            "runtime.gcMarkDone",
            "runtime.markroot",
            "runtime.sweepone",
        ],
    ),
    (
        "[scheduler]",
        &[
            "runtime.schedule",
            "runtime.findRunnable",
            "runtime.park_m",
            "runtime.mstart1",
            "runtime.stopm",
            "runtime.startm",
            "runtime.goschedImpl",
            "runtime.wakep",
        ],
    ),
    ("[sysmon]", &["runtime.sysmon"]),
];
/// Code that is not in Go's tables: C, the vDSO, a damaged chain.
const FOREIGN: &str = "[not Go]";
/// Time for which the kernel gave no user code.
const KERNEL: &str = "[kernel]";

/// A profile while it is made.
pub struct OnCpuProfile<'a> {
    rt: &'a GoRuntime,
    profile: Profile,
    functions: FxHashMap<(Arc<str>, Arc<str>), u32>,
    frames: FxHashMap<ProfileFrame, u32>,
    stacks: FxHashMap<Vec<u32>, usize>,
    period_ns: i64,
}

impl<'a> OnCpuProfile<'a> {
    /// An empty one of samples `hz` times a second.
    pub fn new(rt: &'a GoRuntime, hz: u32) -> OnCpuProfile<'a> {
        let kind = |name: &str, unit: &str| ValueKind { name: name.into(), unit: unit.into() };
        let kinds = vec![kind("samples", "count"), kind("cpu", "nanoseconds")];
        OnCpuProfile {
            rt,
            profile: Profile { kinds, shown: 1, ..Profile::default() },
            functions: FxHashMap::default(),
            frames: FxHashMap::default(),
            stacks: FxHashMap::default(),
            period_ns: 1_000_000_000 / i64::from(hz.max(1)),
        }
    }

    fn function(&mut self, name: &str, file: &str, start_line: u32) -> u32 {
        let key: (Arc<str>, Arc<str>) = (name.into(), file.into());
        if let Some(f) = self.functions.get(&key) {
            return *f;
        }
        let n = self.profile.functions.len() as u32;
        self.profile.functions.push(ProfileFunction { name: key.0.clone(), file: key.1.clone(), start_line });
        self.functions.insert(key, n);
        n
    }

    fn frame(&mut self, f: ProfileFrame) -> u32 {
        let profile = &mut self.profile;
        *self.frames.entry(f).or_insert_with(|| {
            profile.frames.push(f);
            profile.frames.len() as u32 - 1
        })
    }

    /// One sample: PC and return addresses, leaf first.
    pub fn add(&mut self, pcs: &[u64]) {
        let mut stack = Vec::with_capacity(pcs.len() + 2);
        let mut own = None;
        for (i, pc) in pcs.iter().enumerate() {
            let Some(info) = self.rt.pcs().get(LoadAddr(*pc), i == 0) else {
                // One strange frame says as much as ten.
                if stack.last().is_none_or(|l| self.name(*l) != FOREIGN) {
                    let function = self.function(FOREIGN, "", 0);
                    stack.push(self.frame(ProfileFrame { function, ..ProfileFrame::default() }));
                }
                continue;
            };
            let n = info.frames.len();
            for (k, l) in info.frames.iter().enumerate() {
                let name = l.at.function.as_str();
                own = own.or_else(|| OWN.iter().find(|o| o.1.contains(&name)).map(|o| o.0));
                let function = self.function(name, &l.at.file, l.start_line);
                stack.push(self.frame(ProfileFrame { function, line: l.at.line, inlined: k + 1 < n }));
            }
        }
        let root = if pcs.is_empty() { Some(KERNEL) } else { own };
        if let Some(name) = root {
            let function = self.function(name, "", 0);
            stack.push(self.frame(ProfileFrame { function, ..ProfileFrame::default() }));
        }
        let (p, period) = (&mut self.profile, self.period_ns);
        let at = *self.stacks.entry(stack).or_insert_with_key(|s| {
            p.stacks.extend(s);
            p.ends.push(p.stacks.len() as u32);
            p.values.extend([0, 0]);
            p.ends.len() - 1
        });
        p.values[at * 2] += 1;
        p.values[at * 2 + 1] += period;
    }

    fn name(&self, frame: u32) -> &str {
        let f = self.profile.frames.get(frame as usize).and_then(|f| self.profile.functions.get(f.function as usize));
        f.map_or("", |f| &f.name)
    }

    /// What it came to. `time_ns` is when it began (since 1970).
    pub fn finish(mut self, time_ns: i64, duration_ns: i64, notes: Vec<String>) -> Profile {
        self.profile.time_ns = time_ns;
        self.profile.duration_ns = duration_ns;
        self.profile.notes = notes;
        self.profile
    }
}
