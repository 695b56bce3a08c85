//! pprof's format (`runtime/pprof/proto.go` of the Go distribution, `profile.proto` of github.com/google/pprof): what
//! Go and most other profilers write. Strings come last in it, and functions after the places that use them, so paths are kept
//! by location id first and get their names at the end.

use super::calls::{Builder, CallsError, Facts, Label, Sample};
use super::tree::{Growing, ROOT};
use super::wire::{Stream, Value, WireError, fields};
use crate::base::bytes::CursorError;
use crate::base::text::printable_str;
use crate::model::{ProfileFrame, ProfileFunction, ValueKind};
use regex::Regex;
use rustc_hash::FxHashMap;
use std::io::Read;
use std::sync::Arc;

/// Longest name kept, characters.
const MAX_NAME: usize = 4_096;
/// Location ids from here on are given new numbers.
const DIRECT: u64 = 1 << 31;
/// Sample types of one file; Go writes four at most.
const MAX_KINDS: usize = 64;

/// Why a profile could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PprofError {
    /// Its bytes.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// Its memory or kinds.
    #[error(transparent)]
    Calls(#[from] CallsError),
    /// What is in it does not fit together.
    #[error("damaged: {0}")]
    Inconsistent(String),
}

#[derive(Clone, Copy, Default)]
struct Line {
    function: u64,
    line: i64,
}

#[derive(Clone, Copy, Default)]
struct Location {
    mapping: u64,
    address: u64,
    /// Where its lines are, in `lines`; innermost first.
    lines: (u32, u32),
}

#[derive(Clone, Copy, Default)]
struct Function {
    name: u64,
    system_name: u64,
    file: u64,
    start_line: i64,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct RawLabel {
    key: u32,
    text: u32,
    number: i64,
    unit: u32,
}

/// What a file has, before its names are known.
#[derive(Default)]
struct Raw {
    kinds: Vec<(u64, u64)>,
    paths: Growing,
    /// Numbers of locations whose ids are large.
    large: FxHashMap<u64, u32>,
    samples: Vec<(u32, u32)>,
    values: Vec<i64>,
    sets: FxHashMap<Box<[RawLabel]>, u32>,
    locations: FxHashMap<u32, Location>,
    lines: Vec<Line>,
    functions: FxHashMap<u64, Function>,
    files: FxHashMap<u64, u64>,
    text: Vec<u8>,
    text_ends: Vec<u32>,
    shown: u64,
    drop: u64,
    keep: u64,
    comments: Vec<u64>,
    facts: Facts,
    used: usize,
}

/// Reads an unpacked profile into a builder.
pub fn read(from: impl Read, into: &mut Builder) -> Result<(), PprofError> {
    let mut s = Stream::new(from);
    let mut raw = Raw::default();
    let mut ids = Vec::new();
    loop {
        let at = s.at();
        let Some((field, value)) = s.next_field()? else { break };
        raw.field(field, value, &mut ids).map_err(|e| match e {
            Trouble::Bytes(e) => {
                PprofError::Wire(WireError::Bad { at: at + e.at as u64, what: NAMES[field.min(16) as usize] })
            }
            Trouble::Large => PprofError::Calls(CallsError::TooLarge),
            Trouble::Late => PprofError::Inconsistent("a sample type comes after the first sample".into()),
        })?;
    }
    raw.paths.freeze();
    raw.large = FxHashMap::default();
    raw.resolve(into)
}

/// What each field is, for a message about a damaged one.
const NAMES: [&str; 17] = [
    "",
    "a sample type",
    "a sample",
    "a mapping",
    "a location",
    "a function",
    "a string",
    "drop_frames",
    "keep_frames",
    "the time",
    "the duration",
    "the period's type",
    "the period",
    "a comment",
    "the default type",
    "the doc",
    "a field",
];

enum Trouble {
    Bytes(CursorError),
    Large,
    Late,
}

impl From<CursorError> for Trouble {
    fn from(e: CursorError) -> Trouble {
        Trouble::Bytes(e)
    }
}

/// A string's number; there are never so many that one is out of reach.
fn index(v: Value) -> u32 {
    u32::try_from(v.number()).unwrap_or(u32::MAX)
}

impl Raw {
    fn charge(&mut self, bytes: usize) -> Result<(), Trouble> {
        self.used += bytes;
        if self.used > super::calls::MAX_MEMORY { Err(Trouble::Large) } else { Ok(()) }
    }

    fn field(&mut self, field: u64, v: Value, ids: &mut Vec<u64>) -> Result<(), Trouble> {
        match field {
            1 => {
                let mut k = (0, 0);
                fields(v.bytes(), |f, v| {
                    match f {
                        1 => k.0 = v.number(),
                        2 => k.1 = v.number(),
                        _ => {}
                    }
                    Ok(())
                })?;
                if self.kinds.len() >= MAX_KINDS {
                    return Err(Trouble::Large);
                }
                if !self.samples.is_empty() {
                    return Err(Trouble::Late);
                }
                self.kinds.push(k);
            }
            2 => self.sample(v.bytes(), ids)?,
            3 => {
                let (mut id, mut file) = (0, 0);
                fields(v.bytes(), |f, v| {
                    match f {
                        1 => id = v.number(),
                        5 => file = v.number(),
                        _ => {}
                    }
                    Ok(())
                })?;
                self.charge(24)?;
                self.files.insert(id, file);
            }
            4 => self.location(v.bytes())?,
            5 => {
                let (mut id, mut f) = (0, Function::default());
                fields(v.bytes(), |n, v| {
                    match n {
                        1 => id = v.number(),
                        2 => f.name = v.number(),
                        3 => f.system_name = v.number(),
                        4 => f.file = v.number(),
                        5 => f.start_line = v.number() as i64,
                        _ => {}
                    }
                    Ok(())
                })?;
                self.charge(64)?;
                self.functions.insert(id, f);
            }
            6 => {
                self.charge(v.bytes().len() + 4)?;
                self.text.extend_from_slice(v.bytes());
                self.text_ends.push(self.text.len() as u32);
            }
            7 => self.drop = v.number(),
            8 => self.keep = v.number(),
            9 => self.facts.time_ns = v.number() as i64,
            10 => self.facts.duration_ns = v.number() as i64,
            12 => self.facts.period = v.number() as i64,
            13 => {
                let all = &mut self.comments;
                v.numbers(|n| {
                    if all.len() < 100 {
                        all.push(n)
                    }
                })?;
            }
            14 => self.shown = v.number(),
            _ => {}
        }
        Ok(())
    }

    fn sample(&mut self, message: &[u8], ids: &mut Vec<u64>) -> Result<(), Trouble> {
        ids.clear();
        let from = self.values.len();
        let mut set: Vec<RawLabel> = Vec::new();
        let values = &mut self.values;
        fields(message, |f, v| {
            match f {
                1 => v.numbers(|n| ids.push(n))?,
                2 => v.numbers(|n| values.push(n as i64))?,
                3 => {
                    let mut l = RawLabel::default();
                    fields(v.bytes(), |f, v| {
                        match f {
                            1 => l.key = index(v),
                            2 => l.text = index(v),
                            3 => l.number = v.number() as i64,
                            4 => l.unit = index(v),
                            _ => {}
                        }
                        Ok(())
                    })?;
                    set.push(l);
                }
                _ => {}
            }
            Ok(())
        })?;
        // Exactly one value for each kind, whatever this sample says.
        self.values.resize(from + self.kinds.len(), 0);
        let before = self.paths.parent.len();
        let mut node = ROOT;
        for id in ids.iter().rev() {
            let id = if *id < DIRECT {
                *id as u32
            } else {
                let next = (DIRECT + self.large.len() as u64) as u32;
                *self.large.entry(*id).or_insert(next)
            };
            node = self.paths.child(node, id);
        }
        let new = self.paths.parent.len() - before;
        self.charge(8 + 8 * self.kinds.len() + 40 * new)?;
        let set = self.set(&set)?;
        self.samples.push((node, set));
        Ok(())
    }

    fn set(&mut self, set: &[RawLabel]) -> Result<u32, Trouble> {
        if let Some(i) = self.sets.get(set) {
            return Ok(*i);
        }
        self.charge(100 + 24 * set.len())?;
        let id = self.sets.len() as u32;
        self.sets.insert(set.into(), id);
        Ok(id)
    }

    fn location(&mut self, message: &[u8]) -> Result<(), Trouble> {
        let (mut id, mut l) = (0, Location::default());
        let from = self.lines.len() as u32;
        let lines = &mut self.lines;
        fields(message, |f, v| {
            match f {
                1 => id = v.number(),
                2 => l.mapping = v.number(),
                3 => l.address = v.number(),
                4 => {
                    let mut line = Line::default();
                    fields(v.bytes(), |f, v| {
                        match f {
                            1 => line.function = v.number(),
                            2 => line.line = v.number() as i64,
                            _ => {}
                        }
                        Ok(())
                    })?;
                    lines.push(line);
                }
                _ => {}
            }
            Ok(())
        })?;
        l.lines = (from, self.lines.len() as u32);
        self.charge(56 + 16 * (l.lines.1 - from) as usize)?;
        let id = if id < DIRECT {
            id as u32
        } else {
            let next = (DIRECT + self.large.len() as u64) as u32;
            *self.large.entry(id).or_insert(next)
        };
        self.locations.insert(id, l);
        Ok(())
    }

    fn text(&self, i: u64) -> Result<String, PprofError> {
        let missing = || PprofError::Inconsistent(format!("there is no string {i}"));
        let i = usize::try_from(i).map_err(|_| missing())?;
        // Index 0 is the empty string, also where no table was written.
        if i == 0 {
            return Ok(String::new());
        }
        let end = *self.text_ends.get(i).ok_or_else(missing)? as usize;
        let from = self.text_ends[i - 1] as usize;
        let text = String::from_utf8_lossy(&self.text[from..end]);
        Ok(text.chars().take(MAX_NAME).collect())
    }

    fn resolve(mut self, into: &mut Builder) -> Result<(), PprofError> {
        let mut kinds = Vec::new();
        for (name, unit) in &self.kinds {
            kinds.push(ValueKind { name: self.text(*name)?, unit: self.text(*unit)? });
        }
        let default = self.text(self.shown)?;
        let shown = kinds.iter().position(|k| k.name == default).unwrap_or(kinds.len().saturating_sub(1));
        for c in std::mem::take(&mut self.comments) {
            let note = printable_str(&self.text(c)?, 300);
            self.facts.notes.push(note);
        }
        let prune = Prune::new(&self.text(self.drop)?, &self.text(self.keep)?);
        into.begin(&kinds, shown, std::mem::take(&mut self.facts))?;

        let nodes = self.nodes(&prune, into)?;
        let mut sets = vec![0; self.sets.len()];
        for (set, id) in std::mem::take(&mut self.sets) {
            let mut out = Vec::with_capacity(set.len());
            for l in set {
                out.push(self.label(l, into)?);
            }
            sets[id as usize] = into.label_set(out)?;
        }
        self.text = Vec::new();
        self.paths = Growing::default();
        let samples = std::mem::take(&mut self.samples);
        let of = |(node, set): (u32, u32)| Sample { node: nodes[node as usize], labels: sets[set as usize] };
        into.samples(samples.into_iter().map(of), self.values)?;
        Ok(())
    }

    fn label(&self, l: RawLabel, into: &mut Builder) -> Result<Label, PprofError> {
        let text = |i: u32| self.text(i.into());
        let value = match (l.text, text(l.unit)?) {
            (0, unit) if unit.is_empty() => l.number.to_string(),
            (0, unit) => format!("{} {unit}", l.number),
            (t, _) => text(t)?,
        };
        Ok(Label { key: into.string(&text(l.key)?), value: into.string(&value) })
    }

    /// The builder's node for each path of locations.
    fn nodes(&self, prune: &Prune, into: &mut Builder) -> Result<Vec<u32>, PprofError> {
        let mut frames: FxHashMap<u32, Arc<[(u32, bool)]>> = FxHashMap::default();
        let mut functions: FxHashMap<u64, (u32, bool)> = FxHashMap::default();
        let mut nodes = vec![ROOT; self.paths.parent.len()];
        // Paths that end where frames are dropped.
        let mut closed = vec![false; nodes.len()];
        for n in 1..nodes.len() {
            let (parent, id) = (self.paths.parent[n] as usize, self.paths.key[n]);
            let list = match frames.get(&id) {
                Some(l) => l.clone(),
                None => {
                    let l = self.frames_of(id, prune, &mut functions, into)?;
                    frames.insert(id, l.clone());
                    l
                }
            };
            let (mut node, mut end) = (nodes[parent], closed[parent]);
            for (frame, dropped) in list.iter() {
                end |= dropped;
                if !end {
                    node = into.child(node, *frame)?;
                }
            }
            (nodes[n], closed[n]) = (node, end);
        }
        Ok(nodes)
    }

    /// Frames of a location, outermost first, and whether each is to be dropped with all that it called.
    fn frames_of(
        &self,
        id: u32,
        prune: &Prune,
        functions: &mut FxHashMap<u64, (u32, bool)>,
        into: &mut Builder,
    ) -> Result<Arc<[(u32, bool)]>, PprofError> {
        let l = self
            .locations
            .get(&id)
            .ok_or_else(|| PprofError::Inconsistent(format!("a sample is at location {id}, which is not there")))?;
        let lines = &self.lines[l.lines.0 as usize..l.lines.1 as usize];
        if lines.is_empty() {
            let name = self.nameless(l)?;
            let named = ProfileFunction { name: into.string(&name), ..ProfileFunction::default() };
            let function = into.function(named)?;
            let frame = into.frame(ProfileFrame { function, line: 0, inlined: false })?;
            return Ok(Arc::from([(frame, prune.drops(&name))]));
        }
        let mut out = Vec::with_capacity(lines.len());
        for (i, line) in lines.iter().enumerate().rev() {
            let (function, dropped) = match functions.get(&line.function) {
                Some(f) => *f,
                None => {
                    let f = self.function(line.function, prune, into)?;
                    functions.insert(line.function, f);
                    f
                }
            };
            let inlined = i + 1 < lines.len();
            let line = u32::try_from(line.line).unwrap_or(0);
            out.push((into.frame(ProfileFrame { function, line, inlined })?, dropped));
        }
        Ok(Arc::from(out))
    }

    fn function(&self, id: u64, prune: &Prune, into: &mut Builder) -> Result<(u32, bool), PprofError> {
        let f = self
            .functions
            .get(&id)
            .ok_or_else(|| PprofError::Inconsistent(format!("function {id} is named but not there")))?;
        let mut name = self.text(f.name)?;
        if name.is_empty() {
            name = self.text(f.system_name)?;
        }
        if name.is_empty() {
            // As pprof writes it.
            name = "<unknown>".into();
        }
        let dropped = prune.drops(&name);
        let function = ProfileFunction {
            name: into.string(&name),
            file: into.string(&self.text(f.file)?),
            start_line: u32::try_from(f.start_line).unwrap_or(0),
        };
        Ok((into.function(function)?, dropped))
    }

    /// A place that has no function: the file it is in, as pprof writes it, or its address.
    fn nameless(&self, l: &Location) -> Result<String, PprofError> {
        let file = self.text(self.files.get(&l.mapping).copied().unwrap_or(0))?;
        let base = file.rsplit('/').next().unwrap_or("");
        Ok(if base.is_empty() { format!("{:#x}", l.address) } else { format!("[{base}]") })
    }
}

/// The profile's own wish which frames are to be left out, with all that they called.
struct Prune(Option<(Regex, Option<Regex>)>);

impl Prune {
    fn new(drop: &str, keep: &str) -> Prune {
        let whole = |r: &str| Regex::new(&format!("^(?:{r})$")).ok();
        Prune(if drop.is_empty() {
            None
        } else {
            whole(drop).map(|d| (d, if keep.is_empty() { None } else { whole(keep) }))
        })
    }
    fn drops(&self, name: &str) -> bool {
        self.0.as_ref().is_some_and(|(d, k)| d.is_match(name) && !k.as_ref().is_some_and(|k| k.is_match(name)))
    }
}
