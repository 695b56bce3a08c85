//! All samples of one or several files as one tree of call paths, with what they were taken with.

use super::tree::{Growing, ROOT, Tree};
use crate::model::{Profile, ProfileFrame, ProfileFunction, ValueKind};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Bytes that the samples, paths, names and labels of all files may take together.
pub const MAX_MEMORY: usize = 384 << 20;

/// Why files do not make one profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallsError {
    /// Another kind of profile.
    #[error("of another kind: it has {has}, and what was read before has {before}: nothing is in both")]
    Kinds {
        /// Kinds of this file.
        has: String,
        /// Those of the files before it.
        before: String,
    },
    /// It would take more memory than is allowed.
    #[error("needs more than {} MiB of memory", MAX_MEMORY >> 20)]
    TooLarge,
    /// No value at all.
    #[error("no kind of value in it")]
    NoKinds,
}

/// A label of a sample.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Label {
    /// Key.
    pub key: Arc<str>,
    /// Value; a number is written with its unit (`512 bytes`).
    pub value: Arc<str>,
}

/// Where and with which labels samples were taken; its values are beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Innermost node of its stack.
    pub node: u32,
    /// Index of its labels.
    pub labels: u32,
}

/// When and how long a profile was taken, and what is to be said of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Begin, ns since 1970; 0 if not known.
    pub time_ns: i64,
    /// Length of all files together, ns; 0 if not known.
    pub duration_ns: i64,
    /// Ns, bytes, … between two samples; 0 if not known.
    pub period: i64,
    /// What came with it.
    pub notes: Vec<String>,
}

/// Samples by call path.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    /// What each value counts.
    pub kinds: Vec<ValueKind>,
    /// The kind shown first.
    pub shown: usize,
    /// Functions.
    pub functions: Vec<ProfileFunction>,
    /// Distinct frames.
    pub frames: Vec<ProfileFrame>,
    /// Paths; keys are frames.
    pub tree: Tree,
    /// Samples: those of the profile, then those of the one it is compared with.
    pub samples: Vec<Sample>,
    /// Where the latter begin; none if it is not compared.
    pub base: Option<usize>,
    /// Values of all samples, `kinds.len()` for each.
    pub values: Vec<i64>,
    /// Distinct sets of labels; the first has none.
    pub labels: Vec<Box<[Label]>>,
    /// About the profile, and about the one it is compared with.
    pub facts: [Facts; 2],
}

impl Calls {
    /// Values of a sample.
    pub fn values_of(&self, sample: usize) -> &[i64] {
        let k = self.kinds.len();
        self.values.get(sample * k..(sample + 1) * k).unwrap_or(&[])
    }
    /// The kind that counts samples or events: what thresholds are about.
    pub fn count_kind(&self, kind: usize) -> usize {
        let of = |n: &str| self.kinds.iter().position(|k| k.name == n);
        let own = match self.kinds.get(kind).map_or("", |k| k.name.as_str()) {
            "inuse_space" | "inuse_objects" => of("inuse_objects"),
            "alloc_space" | "alloc_objects" => of("alloc_objects"),
            _ => None,
        };
        own.or_else(|| self.kinds.iter().position(|k| k.unit == "count")).unwrap_or(kind)
    }
    /// The kind with a name (`cpu`, `inuse_space`); also as pprof's index.
    pub fn kind_named(&self, name: &str) -> Option<usize> {
        let by_name = self.kinds.iter().position(|k| k.name == name);
        by_name.or_else(|| name.parse().ok().filter(|i| *i < self.kinds.len()))
    }
}

/// Files on their way into one [`Calls`].
#[derive(Default)]
pub struct Builder {
    calls: Calls,
    growing: Growing,
    strings: FxHashMap<Arc<str>, ()>,
    function_ids: FxHashMap<ProfileFunction, u32>,
    frame_ids: FxHashMap<ProfileFrame, u32>,
    label_ids: FxHashMap<Box<[Label]>, u32>,
    /// Where each value of the present file comes from; none for a kind that it lacks.
    order: Vec<Option<usize>>,
    /// Kinds that all files so far have.
    common: Vec<bool>,
    /// Kinds of the present file.
    stride: usize,
    used: usize,
}

impl Builder {
    /// Nothing yet.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// From here on samples are of the profile that the others are compared with.
    pub fn begin_base(&mut self) {
        self.calls.base = Some(self.calls.samples.len());
    }

    /// Begins a file: the first one's kinds are the profile's, in that order. What a later one lacks is left out of the whole, and what only it has;
    /// there must be something that all have.
    pub fn begin(&mut self, kinds: &[ValueKind], shown: usize, facts: Facts) -> Result<(), CallsError> {
        if kinds.is_empty() {
            return Err(CallsError::NoKinds);
        }
        if self.calls.kinds.is_empty() {
            self.calls.kinds = kinds.to_vec();
            self.calls.shown = shown.min(kinds.len() - 1);
            self.common = vec![true; kinds.len()];
            self.label_ids.insert(Box::default(), 0);
        }
        self.stride = kinds.len();
        self.order = self.calls.kinds.iter().map(|k| kinds.iter().position(|x| x == k)).collect();
        let common: Vec<bool> = self.common.iter().zip(&self.order).map(|(c, at)| *c && at.is_some()).collect();
        if !common.contains(&true) {
            let named = |k: &ValueKind| format!("{} ({})", k.name, k.unit);
            let list = |all: &mut dyn Iterator<Item = &ValueKind>| all.map(named).collect::<Vec<_>>().join(", ");
            return Err(CallsError::Kinds {
                has: list(&mut kinds.iter()),
                before: list(&mut self.calls.kinds.iter().zip(&self.common).filter(|k| *k.1).map(|k| k.0)),
            });
        }
        self.common = common;
        // What later files have besides is not in the first.
        let more = kinds.iter().filter(|k| !self.calls.kinds.contains(k)).map(|k| k.name.as_str());
        let more: Vec<&str> = more.collect();
        if !more.is_empty() {
            let note = format!("{} is not in all files: left out", more.join(", "));
            let notes = &mut self.calls.facts[0].notes;
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        let f = &mut self.calls.facts[usize::from(self.calls.base.is_some())];
        f.time_ns = if f.time_ns == 0 { facts.time_ns } else { f.time_ns.min(facts.time_ns) };
        f.duration_ns = f.duration_ns.saturating_add(facts.duration_ns);
        f.period = f.period.max(facts.period);
        for n in facts.notes {
            if !f.notes.contains(&n) {
                f.notes.push(n);
            }
        }
        Ok(())
    }

    fn charge(&mut self, bytes: usize) -> Result<(), CallsError> {
        self.used = self.used.saturating_add(bytes);
        if self.used > MAX_MEMORY { Err(CallsError::TooLarge) } else { Ok(()) }
    }

    /// One shared copy of a text.
    pub fn string(&mut self, text: &str) -> Arc<str> {
        if let Some((known, ())) = self.strings.get_key_value(text) {
            return known.clone();
        }
        let s: Arc<str> = Arc::from(text);
        self.strings.insert(s.clone(), ());
        s
    }

    /// A function.
    pub fn function(&mut self, f: ProfileFunction) -> Result<u32, CallsError> {
        if let Some(i) = self.function_ids.get(&f) {
            return Ok(*i);
        }
        self.charge(160 + f.name.len())?;
        let id = self.calls.functions.len() as u32;
        self.calls.functions.push(f.clone());
        self.function_ids.insert(f, id);
        Ok(id)
    }

    /// A frame.
    pub fn frame(&mut self, f: ProfileFrame) -> Result<u32, CallsError> {
        if let Some(i) = self.frame_ids.get(&f) {
            return Ok(*i);
        }
        self.charge(40)?;
        let id = self.calls.frames.len() as u32;
        self.calls.frames.push(f);
        self.frame_ids.insert(f, id);
        Ok(id)
    }

    /// The path one frame longer than another.
    pub fn child(&mut self, parent: u32, frame: u32) -> Result<u32, CallsError> {
        let before = self.growing.parent.len();
        let n = self.growing.child(parent, frame);
        if self.growing.parent.len() > before {
            self.charge(40)?;
        }
        Ok(n)
    }

    /// A set of labels.
    pub fn label_set(&mut self, set: Vec<Label>) -> Result<u32, CallsError> {
        if let Some(i) = self.label_ids.get(&*set) {
            return Ok(*i);
        }
        self.charge(100 + set.iter().map(|l| 32 + l.value.len()).sum::<usize>())?;
        let id = self.label_ids.len() as u32;
        self.label_ids.insert(set.into(), id);
        Ok(id)
    }

    /// All samples of a file, with the values of its kinds one behind the other.
    pub fn samples(&mut self, all: impl ExactSizeIterator<Item = Sample>, values: Vec<i64>) -> Result<(), CallsError> {
        let kinds = self.order.len();
        self.charge(all.len() * (8 + 8 * kinds))?;
        self.calls.samples.extend(all);
        let as_they_are = self.order.iter().enumerate().all(|(i, at)| Some(i) == *at);
        if as_they_are && self.calls.values.is_empty() && values.len() == self.calls.samples.len() * kinds {
            self.calls.values = values;
            return Ok(());
        }
        for v in values.chunks_exact(self.stride.max(1)) {
            self.calls.values.extend(self.order.iter().map(|at| at.and_then(|at| v.get(at)).copied().unwrap_or(0)));
        }
        Ok(())
    }

    /// Samples with the values of the present file's kinds.
    pub fn sample(&mut self, node: u32, labels: u32, values: &[i64]) -> Result<(), CallsError> {
        self.charge(8 + 8 * self.order.len())?;
        self.calls.samples.push(Sample { node, labels });
        for at in &self.order {
            self.calls.values.push(at.and_then(|at| values.get(at)).copied().unwrap_or(0));
        }
        Ok(())
    }

    /// A profile that is in memory already.
    pub fn add(&mut self, p: &Profile) -> Result<(), CallsError> {
        let facts = Facts { time_ns: p.time_ns, duration_ns: p.duration_ns, period: 0, notes: p.notes.clone() };
        self.begin(&p.kinds, p.shown, facts)?;
        let mut functions = Vec::with_capacity(p.functions.len());
        for f in &p.functions {
            functions.push(self.function(f.clone())?);
        }
        let mut from = 0;
        for (i, end) in p.ends.iter().enumerate() {
            let end = (*end as usize).clamp(from, p.stacks.len());
            let mut node = ROOT;
            for frame in p.stacks[from..end].iter().rev() {
                let f = p.frames.get(*frame as usize).copied().unwrap_or_default();
                let Some(function) = functions.get(f.function as usize).copied() else { continue };
                let frame = self.frame(ProfileFrame { function, ..f })?;
                node = self.child(node, frame)?;
            }
            from = end;
            let k = p.kinds.len();
            self.sample(node, 0, p.values.get(i * k..(i + 1) * k).unwrap_or(&[]))?;
        }
        Ok(())
    }

    /// All files as one.
    pub fn finish(self) -> Calls {
        let Builder { mut calls, growing, label_ids, strings, function_ids, frame_ids, common, .. } = self;
        drop((strings, function_ids, frame_ids));
        leave_out(&mut calls, &common);
        calls.labels = vec![Box::default(); label_ids.len()];
        for (set, id) in label_ids {
            calls.labels[id as usize] = set;
        }
        let (tree, place) = growing.finish();
        calls.tree = tree;
        for s in &mut calls.samples {
            s.node = place.get(s.node as usize).copied().unwrap_or(ROOT);
        }
        calls
    }
}

/// Kinds that not all files have go.
fn leave_out(calls: &mut Calls, common: &[bool]) {
    let n = common.len();
    if common.iter().all(|c| *c) {
        return;
    }
    let gone: Vec<&str> = calls.kinds.iter().zip(common).filter(|k| !k.1).map(|k| k.0.name.as_str()).collect();
    calls.facts[0].notes.push(format!("{} is not in all files: left out", gone.join(", ")));
    // In place: a second copy of all values would be half the memory there is.
    let mut to = 0;
    for from in 0..calls.values.len() {
        if common[from % n] {
            calls.values[to] = calls.values[from];
            to += 1;
        }
    }
    calls.values.truncate(to);
    let shown = calls.kinds.get(calls.shown).cloned();
    let mut keep = common.iter();
    calls.kinds.retain(|_| keep.next().is_some_and(|c| *c));
    calls.shown = calls.kinds.iter().position(|k| Some(k) == shown.as_ref()).unwrap_or(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_stacks_become_paths_and_kinds_are_found_by_name() {
        let kind = |n: &str| ValueKind { name: n.into(), unit: "count".into() };
        let function = |n: &str| ProfileFunction { name: n.into(), ..ProfileFunction::default() };
        let frame = |function| ProfileFrame { function, ..ProfileFrame::default() };
        let p = Profile {
            kinds: vec![kind("a"), kind("b")],
            functions: vec![function("main"), function("f"), function("g")],
            frames: vec![frame(0), frame(1), frame(2)],
            stacks: vec![1, 0, 2, 0, 0],
            ends: vec![2, 4, 5],
            values: vec![1, 10, 2, 20, 3, 30],
            ..Profile::default()
        };
        let mut b = Builder::new();
        b.add(&p).expect("added");
        b.begin_base();
        let other = Profile { kinds: vec![kind("b"), kind("a")], ..p.clone() };
        b.add(&other).expect("added");
        let none = b.add(&Profile { kinds: vec![kind("c")], ..p.clone() }).expect_err("nothing in common");
        assert_eq!(
            none.to_string(),
            "of another kind: it has c (count), and what was read before has a (count), b (count): nothing is in both"
        );
        let c = b.finish();
        assert_eq!((c.tree.len(), c.samples.len(), c.base), (4, 6, Some(3)));
        assert_eq!((c.values_of(1), c.values_of(4)), (&[2, 20][..], &[20, 2][..]));
        assert_eq!(c.samples[2].node, 1);
        // What not all have is left out, whichever file has it.
        let mut b = Builder::new();
        b.add(&Profile { shown: 1, ..p.clone() }).expect("added");
        let other = Profile { kinds: vec![kind("c"), kind("b")], ..p };
        b.add(&other).expect("b is in both");
        let c = b.finish();
        assert_eq!((c.kinds, c.shown, c.samples.len()), (vec![kind("b")], 0, 6));
        assert_eq!(c.values, [10, 20, 30, 10, 20, 30]);
        assert_eq!(c.facts[0].notes, ["c is not in all files: left out", "a is not in all files: left out"]);
    }
}
