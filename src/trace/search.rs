//! The next or previous mark in a timeline: a function, a goroutine, a reason to wait, a user task, region or log line, a collector cycle, a stop.

use super::exec::event::{Event, GoState, NONE, Transition};
use super::exec::format::ev;
use super::exec::{Chunk, Fault, Kind, Reader};
use crate::base::GoroutineId;
use crate::model::{LaneKind, Mark, MarkQuery};
use rustc_hash::{FxHashMap, FxHashSet};

/// What is searched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// In small letters.
    text: String,
    goroutine: Option<u64>,
}

impl Wanted {
    /// As somebody typed it: `g17` and `17` are a goroutine, all else is part of a name, whatever its case.
    pub fn of(text: &str) -> Wanted {
        let text = text.trim().to_lowercase();
        let digits = text.strip_prefix('g').unwrap_or(&text);
        Wanted { goroutine: digits.parse().ok(), text }
    }

    /// Is it in this name?
    pub fn in_name(&self, name: &str) -> bool {
        !self.text.is_empty() && self.goroutine.is_none() && contains(name, &self.text)
    }

    /// Is it this goroutine?
    pub fn is_goroutine(&self, g: u64) -> bool {
        self.goroutine == Some(g)
    }
}

/// `text` is in small letters.
fn contains(name: &str, text: &str) -> bool {
    if name.is_ascii() {
        let (name, text) = (name.as_bytes(), text.as_bytes());
        return name.windows(text.len().max(1)).any(|w| w.eq_ignore_ascii_case(text));
    }
    name.to_lowercase().contains(text)
}

/// Does a time lie beyond `from` in the direction of the search, and nearer than what was found?
pub(super) fn nearer(q: &MarkQuery, at: i64, found: Option<i64>) -> bool {
    if q.forward {
        at > q.from_ns && found.is_none_or(|f| at < f)
    } else {
        at < q.from_ns && found.is_none_or(|f| at > f)
    }
}

/// The nearer of two marks.
pub fn nearest(q: &MarkQuery, a: Option<Mark>, b: Option<Mark>) -> Option<Mark> {
    match (a, b) {
        (Some(a), Some(b)) if nearer(q, b.at_ns, Some(a.at_ns)) => Some(b),
        (a, b) => a.or(b),
    }
}

/// A generation while it is searched.
pub(super) struct Search<'a> {
    q: &'a MarkQuery,
    wanted: &'a Wanted,
    /// Goroutines whose own function is wanted.
    goroutines: &'a FxHashSet<i64>,
    strings: FxHashMap<u64, bool>,
    stacks: FxHashMap<u64, Option<u64>>,
}

impl<'a> Search<'a> {
    pub(super) fn new(q: &'a MarkQuery, wanted: &'a Wanted, goroutines: &'a FxHashSet<i64>) -> Search<'a> {
        Search { q, wanted, goroutines, strings: FxHashMap::default(), stacks: FxHashMap::default() }
    }

    /// The nearest mark in what the reader has.
    pub(super) fn run(&mut self, mut reader: Reader) -> Result<Option<Mark>, Fault> {
        let mut found: Option<Mark> = None;
        let mut c = Chunk::default();
        while reader.next(&mut c)? {
            for e in &c.events {
                if !nearer(self.q, e.time, found.as_ref().map(|m| m.at_ns)) {
                    if !self.q.forward && e.time >= self.q.from_ns {
                        return Ok(found);
                    }
                    continue;
                }
                if let Some(what) = self.hit(e, &c) {
                    let lane = match u32::try_from(e.p) {
                        Ok(p) => LaneKind::Proc(p),
                        Err(_) => self.q.lane,
                    };
                    let g = match e.transition() {
                        Some(Transition::Go { g, .. }) => g,
                        _ => e.g,
                    };
                    let goroutine = (g != NONE && g > 0).then(|| GoroutineId(g.cast_unsigned()));
                    found = Some(Mark { lane, at_ns: e.time, what, goroutine });
                    if self.q.forward {
                        return Ok(found);
                    }
                }
            }
        }
        Ok(found)
    }

    fn string(&mut self, c: &Chunk, id: u64) -> bool {
        let wanted = self.wanted;
        id != 0 && *self.strings.entry(id).or_insert_with(|| wanted.in_name(c.tables.text(id)))
    }

    /// The first function of a stack that is wanted.
    fn stack(&mut self, c: &Chunk, id: u64) -> Option<String> {
        if id == 0 {
            return None;
        }
        if !self.stacks.contains_key(&id) {
            let found = c.tables.stack(id).iter().map(|f| f.func).find(|f| self.string(c, *f));
            self.stacks.insert(id, found);
        }
        self.stacks.get(&id).copied().flatten().map(|f| c.tables.text(f).to_string())
    }

    fn hit(&mut self, e: &Event, c: &Chunk) -> Option<String> {
        match e.transition() {
            Some(Transition::Go { g, old, new }) => return self.moved(e, c, (g, old, new)),
            Some(Transition::Proc { .. }) => return None,
            None => {}
        }
        let named = |what: &str, id: u64| Some(format!("{what} {}", c.tables.text(id)));
        match (e.kind(), e.typ) {
            (Kind::TaskBegin, _) if self.string(c, e.args[2]) => named("task", e.args[2]),
            (Kind::RegionBegin, _) if self.string(c, e.args[1]) => named("region", e.args[1]),
            (Kind::Log, _) if self.string(c, e.args[1]) || self.string(c, e.args[2]) => {
                Some(format!("log {}: {}", c.tables.text(e.args[1]), c.tables.text(e.args[2])))
            }
            (Kind::StackSample, _) => self.stack(c, e.args[0]).map(|f| format!("sample in {f}")),
            (_, ev::STW_BEGIN) => {
                let what = format!("stop-the-world ({})", c.tables.text(e.args[0]));
                (self.wanted.in_name(&what) || self.wanted.in_name("stw")).then_some(what)
            }
            (_, ev::GC_BEGIN) => self.wanted.in_name("GC concurrent mark phase").then(|| "GC mark phase".to_string()),
            (_, ev::ASSIST_BEGIN) => self.wanted.in_name("GC mark assist").then(|| "GC mark assist".to_string()),
            _ => None,
        }
    }

    fn moved(&mut self, e: &Event, c: &Chunk, (g, old, new): (i64, GoState, GoState)) -> Option<String> {
        let turns = new == GoState::Running && old == GoState::Runnable;
        if turns || old == GoState::NotExist || new == GoState::NotExist {
            let said = match (old, new) {
                (GoState::NotExist, _) => "created",
                (_, GoState::NotExist) => "ends",
                _ => "runs",
            };
            if self.wanted.is_goroutine(g.max(0).cast_unsigned()) || self.goroutines.contains(&g) {
                return Some(format!("g{g} {said}"));
            }
        }
        if self.string(c, e.reason()) {
            return Some(format!("g{g} waits: {}", c.tables.text(e.reason())));
        }
        let own = self.stack(c, e.transition_stack());
        // What unblocked somebody is a mark, too; that a goroutine goes on where it was is none.
        own.or_else(|| if turns { None } else { self.stack(c, e.stack()) }).map(|f| format!("g{g} in {f}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goroutine_or_part_of_a_name() {
        let w = Wanted::of(" g17 ");
        assert!(w.is_goroutine(17) && !w.in_name("g17"));
        assert!(Wanted::of("17").is_goroutine(17));
        let w = Wanted::of("Conn).Serve");
        assert!(w.in_name("net/http.(*conn).serve") && !w.in_name("net/http.(*conn).server2x".get(..12).unwrap_or("")));
        assert!(Wanted::of("größe").in_name("main.GRÖSSE") == "main.grösse".contains("größe"));
        assert!(!Wanted::of("").in_name("x"));
    }

    #[test]
    fn nearer_in_the_direction_of_the_search() {
        let q = |forward| MarkQuery { from_ns: 10, forward, ..MarkQuery::default() };
        assert!(nearer(&q(true), 11, Some(12)) && !nearer(&q(true), 10, None) && !nearer(&q(true), 13, Some(12)));
        assert!(nearer(&q(false), 9, Some(8)) && !nearer(&q(false), 11, None));
    }
}
