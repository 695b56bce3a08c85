//! Floor 4: goroutine dumps: the text that a program prints when it panics or gets SIGQUIT, and what `goroutine?debug=1`
//! and `debug=2` of pprof serve. Text in, [`Goroutine`]s with stacks out; no memory, no symbols.

mod lines;
mod profile;
mod traceback;

use crate::base::{GoroutineId, LoadAddr};
use crate::goruntime::pcinfo::{is_internal, is_plumbing};
use crate::model::{CreatedBy, Frame, Goroutine, Location};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Longest dump taken, bytes.
pub const MAX_DUMP: u64 = 1 << 30;

/// One goroutine of a dump.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    /// All but the stack.
    pub row: Goroutine,
    /// Innermost first; shared by those that a profile counts together.
    pub frames: Arc<[Frame]>,
    /// There were more frames than the program printed.
    pub more: bool,
    /// It is locked to its thread (`runtime.LockOSThread`).
    pub locked: bool,
    /// Why there are no frames, if the dump says it.
    pub problem: Option<String>,
}

/// A whole dump.
#[derive(Clone, Debug, Default)]
pub struct Dump {
    /// By id.
    pub goroutines: Vec<Parsed>,
    /// What is missing and what follows; the program's last words.
    pub notes: Vec<String>,
}

impl Dump {
    /// Reads a dump out of whatever surrounds it; none if there is none.
    pub fn parse(text: &[u8]) -> Option<Dump> {
        let mut b = Building::default();
        let text = String::from_utf8_lossy(text);
        let mut trace = traceback::Reader::default();
        let mut counts = profile::Reader::default();
        lines::each(&text, |line| {
            if !counts.line(line, &mut b) {
                trace.line(line, &mut b);
            }
        });
        counts.finish(&mut b);
        trace.finish(&mut b);
        b.dump()
    }

    /// All goroutines with their stacks.
    pub fn goroutines(&self) -> Vec<Goroutine> {
        let all = self.goroutines.iter();
        all.map(|p| Goroutine { stack: Some(p.frames.to_vec()), ..p.row.clone() }).collect()
    }
    /// One goroutine.
    pub fn get(&self, id: GoroutineId) -> Option<&Parsed> {
        self.goroutines.binary_search_by_key(&id, |p| p.row.id).ok().and_then(|i| self.goroutines.get(i))
    }
}

/// Does a text have a dump in it?
pub fn is_dump(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    text.lines().any(|l| profile::is_header(l) || traceback::is_header(l))
}

/// What is shared while a dump is read.
#[derive(Default)]
struct Building {
    places: FxHashMap<(String, String, u32, u64), Arc<Location>>,
    by_id: FxHashMap<u64, Parsed>,
    /// Goroutines whose ids the text does not have.
    nameless: u64,
    repeated: bool,
    message: Option<String>,
}

impl Building {
    fn place(&mut self, function: &str, file: &str, line: u32, pc: u64) -> Arc<Location> {
        let key = (function.to_string(), file.to_string(), line, pc);
        let make = || Arc::new(Location { function: function.into(), file: file.into(), line, pc: LoadAddr(pc) });
        self.places.entry(key).or_insert_with(make).clone()
    }

    /// Completes what follows from the frames, and keeps it. Of a goroutine that is there twice the fuller one stays.
    fn add(&mut self, mut p: Parsed) {
        if let Some(first) = p.frames.first() {
            p.row.at = first.at.clone();
        }
        let outside = |f: &&Frame| !is_plumbing(&f.at.function);
        let user = p.frames.iter().find(outside).or_else(|| p.frames.iter().find(|f| !f.hidden));
        p.row.user = user.or(p.frames.first()).map_or_else(Arc::default, |f| f.at.clone());
        let entry = p.frames.iter().rev().find(|f| f.at.function != "runtime.goexit").filter(|_| !p.more);
        p.row.system = entry.is_some_and(|f| {
            let n = f.at.function.as_str();
            let users = matches!(n, "runtime.main" | "runtime.handleAsyncEvent" | "runtime.corostart");
            // A user's stack that the dump shows only the top of begins in the runtime, too: then its creator tells.
            let creator = p.row.created_by.as_ref().is_none_or(|c| c.at.function.starts_with("runtime."));
            n.starts_with("runtime.") && !users && creator
        });
        p.row.entry = entry.map(|f| f.at.clone());
        let id = p.row.id.0;
        match self.by_id.get(&id) {
            Some(old) if old.frames.len() > p.frames.len() => self.repeated = true,
            Some(_) => {
                self.repeated = true;
                self.by_id.insert(id, p);
            }
            None => drop(self.by_id.insert(id, p)),
        }
    }

    fn dump(self) -> Option<Dump> {
        if self.by_id.is_empty() {
            return None;
        }
        let mut goroutines: Vec<Parsed> = self.by_id.into_values().collect();
        goroutines.sort_by_key(|p| p.row.id);
        let mut notes: Vec<String> = self.message.into_iter().collect();
        if self.nameless > 0 {
            notes.push(
                "a profile with debug=1 has neither ids nor states: the ids are made up, and debug=2 says more".into(),
            );
        }
        if self.repeated {
            notes.push("some goroutines are in the text more than once: the one with more frames is shown".into());
        }
        Some(Dump { goroutines, notes })
    }
}

/// A frame of a dump.
fn frame(at: Arc<Location>, inlined: bool) -> Frame {
    Frame { hidden: is_internal(&at.function), at, inlined, ..Frame::default() }
}

/// Frames numbered from the innermost.
fn numbered(mut frames: Vec<Frame>) -> Arc<[Frame]> {
    for (i, f) in frames.iter_mut().enumerate() {
        f.index = i as u32;
    }
    frames.into()
}

/// Who made a goroutine; `id` 0 when the text does not say it (up to 1.20).
fn created(at: Arc<Location>, id: u64) -> CreatedBy {
    CreatedBy { at, goroutine: GoroutineId(id) }
}
