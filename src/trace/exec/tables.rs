//! What the events of a generation refer to: strings, stacks, clocks.

use super::fault::Trouble;
use super::format::{Format, ev, limit};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Most bytes of tables that one generation may take in memory. Real ones have a few MB.
const MAX_TABLES: usize = 256 << 20;

/// The number at `at`, and where the next one begins. As Go's: 10 bytes at most, none of them lost.
#[inline]
pub(super) fn uvarint(data: &[u8], at: usize) -> Option<(u64, usize)> {
    let first = *data.get(at)?;
    if first < 0x80 {
        return Some((u64::from(first), at + 1));
    }
    let mut v = u64::from(first & 0x7f);
    for i in 1..10 {
        let b = *data.get(at + i)?;
        if b < 0x80 {
            if i == 9 && b > 1 {
                return None;
            }
            return Some((v | u64::from(b) << (7 * i), at + i + 1));
        }
        v |= u64::from(b & 0x7f) << (7 * i);
    }
    None
}

/// Places by id: ids are small and dense in all but damaged files.
#[derive(Clone, Debug, Default)]
struct Ids {
    dense: Vec<u32>,
    sparse: FxHashMap<u64, u32>,
}

const DENSE: u64 = 1 << 18;

impl Ids {
    #[inline]
    fn get(&self, id: u64) -> Option<u32> {
        match usize::try_from(id).ok().and_then(|i| self.dense.get(i)) {
            Some(&n) if n != u32::MAX => Some(n),
            _ if id >= DENSE => self.sparse.get(&id).copied(),
            _ => None,
        }
    }
    /// False if it is there already, or is 0, which is always there.
    fn put(&mut self, id: u64, n: u32) -> bool {
        if id == 0 || self.get(id).is_some() {
            return false;
        }
        if id < DENSE {
            let i = id as usize;
            if self.dense.len() <= i {
                self.dense.resize(i + 1, u32::MAX);
            }
            self.dense[i] = n;
        } else {
            self.sparse.insert(id, n);
        }
        true
    }
}

/// One frame, by ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RawFrame {
    /// Address.
    pub pc: u64,
    /// String id of the function.
    pub func: u64,
    /// String id of the file.
    pub file: u64,
    /// Line.
    pub line: u64,
}

/// A CPU sample.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When: clock units while it is read, ns afterwards.
    pub time: i64,
    /// Thread.
    pub m: i64,
    /// P.
    pub p: i64,
    /// Goroutine.
    pub g: i64,
    /// Stack id.
    pub stack: u64,
}

/// Clocks read at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The trace's, clock units.
    pub units: u64,
    /// CLOCK_MONOTONIC, ns.
    pub mono: u64,
    /// Wall clock, s since 1970.
    pub seconds: u64,
    /// And ns.
    pub nanoseconds: u64,
}

/// The tables of one generation.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    strings: Vec<Arc<str>>,
    string_ids: Ids,
    /// Frames of all stacks, one behind the other.
    frames: Vec<RawFrame>,
    stacks: Vec<(u32, u32)>,
    stack_ids: Ids,
    /// ns of a clock unit.
    pub(super) unit_ns: Option<f64>,
    /// Clocks, if the format has them.
    pub snapshot: Option<Snapshot>,
    bytes: usize,
}

impl Tables {
    /// Is there such a string? 0 is the empty one.
    #[inline]
    pub fn has_string(&self, id: u64) -> bool {
        id == 0 || self.string_ids.get(id).is_some()
    }
    /// A string.
    pub fn string(&self, id: u64) -> Option<&Arc<str>> {
        self.strings.get(self.string_ids.get(id)? as usize)
    }
    /// A string, or an empty one.
    pub fn text(&self, id: u64) -> &str {
        self.string(id).map_or("", |s| s)
    }
    /// Is there such a stack? 0 is the empty one.
    #[inline]
    pub fn has_stack(&self, id: u64) -> bool {
        id == 0 || self.stack_ids.get(id).is_some()
    }
    /// The frames of a stack, leaf first.
    pub fn stack(&self, id: u64) -> &[RawFrame] {
        let place = self.stack_ids.get(id).and_then(|i| self.stacks.get(i as usize));
        place.and_then(|&(from, to)| self.frames.get(from as usize..to as usize)).unwrap_or_default()
    }
    /// Stacks there are.
    pub fn stack_count(&self) -> usize {
        self.stacks.len()
    }
    /// What is added to a time of the trace to get ns since 1970, if the format tells.
    pub fn wall_ns(&self) -> Option<i64> {
        let s = self.snapshot?;
        let wall = i64::try_from(s.seconds)
            .ok()?
            .checked_mul(1_000_000_000)?
            .checked_add(i64::try_from(s.nanoseconds).ok()?)?;
        wall.checked_sub(self.ns(s.units))
    }
    /// Clock units to ns, as Go computes it.
    #[inline]
    pub(super) fn ns(&self, units: u64) -> i64 {
        to_ns(units, self.unit_ns.unwrap_or(64.0))
    }

    fn room(&mut self, bytes: usize) -> Result<(), Trouble> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > MAX_TABLES {
            return Err(Trouble::Limit {
                what: "bytes of strings, stacks and samples in a generation",
                limit: MAX_TABLES,
            });
        }
        Ok(())
    }

    pub(super) fn add_string(&mut self, id: u64, s: &str) -> Result<(), Trouble> {
        self.room(s.len() + 48)?;
        if !self.string_ids.put(id, self.strings.len() as u32) {
            return Err(Trouble::form(format!("multiple strings with the same ID: id={id}")));
        }
        self.strings.push(s.into());
        Ok(())
    }

    pub(super) fn add_stack(&mut self, id: u64, frames: &[RawFrame]) -> Result<(), Trouble> {
        self.room(size_of_val(frames) + 24)?;
        if !self.stack_ids.put(id, self.stacks.len() as u32) {
            return Err(Trouble::form(format!("multiple stacks with the same ID: id={id}")));
        }
        let from = self.frames.len() as u32;
        self.frames.extend_from_slice(frames);
        self.stacks.push((from, self.frames.len() as u32));
        Ok(())
    }

    /// A batch of strings.
    pub(super) fn read_strings(&mut self, data: &[u8]) -> Result<(), Trouble> {
        let mut at = 1;
        while at < data.len() {
            if data[at] != ev::STRING {
                return Err(Trouble::form(format!("expected string event, got {}", data[at])));
            }
            let (id, next) = number(data, at + 1)?;
            let (len, next) = number(data, next)?;
            if len > limit::STRING {
                return Err(Trouble::form(format!("invalid string size {len}, maximum is {}", limit::STRING)));
            }
            let text = data.get(next..next + len as usize).ok_or_else(|| {
                Trouble::form(format!("failed to read full string: read {} but wanted {len}", data.len() - next))
            })?;
            self.add_string(id, &String::from_utf8_lossy(text))?;
            at = next + len as usize;
        }
        Ok(())
    }

    /// A batch of stacks.
    pub(super) fn read_stacks(&mut self, data: &[u8]) -> Result<(), Trouble> {
        let mut at = 1;
        let mut frames = Vec::new();
        while at < data.len() {
            if data[at] != ev::STACK {
                return Err(Trouble::form(format!("expected stack event, got {}", data[at])));
            }
            let (id, next) = number(data, at + 1)?;
            let (count, mut next) = number(data, next)?;
            if count > limit::FRAMES {
                return Err(Trouble::form(format!("invalid stack size {count}, maximum is {}", limit::FRAMES)));
            }
            frames.clear();
            for _ in 0..count {
                let mut field = || -> Result<u64, Trouble> {
                    let (v, n) = number(data, next)?;
                    next = n;
                    Ok(v)
                };
                frames.push(RawFrame { pc: field()?, func: field()?, file: field()?, line: field()? });
            }
            self.add_stack(id, &frames)?;
            at = next;
        }
        Ok(())
    }

    /// A batch of CPU samples.
    pub(super) fn read_samples(&mut self, data: &[u8], into: &mut Vec<Sample>) -> Result<(), Trouble> {
        let mut at = 1;
        while at < data.len() {
            if data[at] != ev::CPU_SAMPLE {
                return Err(Trouble::form(format!("expected CPU sample event, got {}", data[at])));
            }
            at += 1;
            let mut field = || -> Result<u64, Trouble> {
                let (v, n) = number(data, at)?;
                at = n;
                Ok(v)
            };
            let (time, m, p, g, stack) = (field()?, field()?, field()?, field()?, field()?);
            let g = if g == 0 { super::event::NONE } else { g.cast_signed() };
            self.room(size_of::<Sample>())?;
            into.push(Sample { time: time.cast_signed(), m: m.cast_signed(), p: p.cast_signed(), g, stack });
        }
        Ok(())
    }

    /// A batch with the frequency and, where the format has them, clocks.
    pub(super) fn read_clocks(&mut self, data: &[u8], base: u64, format: &Format) -> Result<(), Trouble> {
        let mut at = usize::from(format.clocks);
        let mut units = base;
        while at < data.len() {
            let typ = data[at];
            at += 1;
            let mut field = || -> Result<u64, Trouble> {
                let (v, n) = number(data, at)?;
                at = n;
                Ok(v)
            };
            match typ {
                ev::FREQUENCY => {
                    if self.unit_ns.is_some() {
                        return Err(Trouble::form("found multiple frequency events"));
                    }
                    self.unit_ns = Some(1.0 / (field()? as f64 / 1e9));
                }
                ev::CLOCK_SNAPSHOT if format.clocks => {
                    if self.snapshot.is_some() {
                        return Err(Trouble::form("found multiple clock snapshot events"));
                    }
                    units = units.wrapping_add(field()?);
                    self.snapshot = Some(Snapshot { units, mono: field()?, seconds: field()?, nanoseconds: field()? });
                }
                _ => return Err(Trouble::form(format!("expected frequency or clock snapshot event, got {typ}"))),
            }
        }
        Ok(())
    }

    /// Every name that a frame has is there. As in Go, the first frame seen with an address stands for all.
    pub(super) fn check(&self) -> Result<(), Trouble> {
        let mut first: FxHashMap<u64, ()> = FxHashMap::default();
        for f in &self.frames {
            if first.insert(f.pc, ()).is_some() {
                continue;
            }
            if !self.has_string(f.func) {
                return Err(Trouble::form(format!("found invalid func string ID {} for a stack", f.func)));
            }
            if !self.has_string(f.file) {
                return Err(Trouble::form(format!("found invalid file string ID {} for a stack", f.file)));
            }
        }
        Ok(())
    }
}

/// Clock units to ns: floating point, cut, and what does not fit is the least number, as on the machines that Go's reader runs on.
#[inline]
pub(super) fn to_ns(units: u64, unit_ns: f64) -> i64 {
    let ns = units as f64 * unit_ns;
    if ns < 9.223_372_036_854_775e18 && ns >= i64::MIN as f64 { ns as i64 } else { i64::MIN }
}

fn number(data: &[u8], at: usize) -> Result<(u64, usize), Trouble> {
    uvarint(data, at).ok_or_else(|| Trouble::form("found invalid uvarint"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_go_reads_them() {
        assert_eq!(uvarint(&[0x85, 0x80, 0x00], 0), Some((5, 3)));
        let mut max = vec![0xff; 9];
        max.push(1);
        assert_eq!(uvarint(&max, 0), Some((u64::MAX, 10)));
        max[9] = 2;
        assert_eq!(uvarint(&max, 0), None);
        assert_eq!(uvarint(&[0x80; 11], 0), None);
        assert_eq!(uvarint(&[0x80], 0), None);
    }

    #[test]
    fn ids_are_taken_once() {
        let mut t = Tables::default();
        assert!(t.add_string(0, "x").is_err());
        t.add_string(u64::MAX, "far").expect("new");
        t.add_string(3, "near").expect("new");
        assert!(t.add_string(3, "near").is_err() && t.add_string(u64::MAX, "far").is_err());
        assert_eq!((t.text(3), t.text(u64::MAX), t.text(4), t.has_string(0)), ("near", "far", "", true));
    }
}
