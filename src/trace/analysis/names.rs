//! Strings and stacks of all generations, each once: their ids change from one generation to the next.

use crate::base::LoadAddr;
use crate::model::{Location, Profile, ProfileFrame, ProfileFunction, ValueKind};
use crate::trace::exec::Tables;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Strings kept at most.
const MAX_STRINGS: usize = 1 << 18;
/// Stacks kept at most.
const MAX_STACKS: usize = 1 << 17;
/// What stands for those that come later.
const MORE: &str = "(more than are kept)";

/// A frame: function, file, line, address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Frame {
    function: u32,
    file: u32,
    line: u32,
    pc: u64,
}

/// Strings and stacks by numbers that stay. 0 is the empty one of both.
pub struct Names {
    strings: Vec<Arc<str>>,
    string_ids: FxHashMap<Arc<str>, u32>,
    frames: Vec<Frame>,
    frame_ids: FxHashMap<Frame, u32>,
    stacks: Vec<Box<[u32]>>,
    stack_ids: FxHashMap<Box<[u32]>, u32>,
    /// Stacks for which there was no room.
    left_out: u64,
    /// Of this generation, by id.
    local_strings: FxHashMap<u64, u32>,
    local_stacks: Vec<u32>,
}

impl Default for Names {
    fn default() -> Self {
        let mut n = Names {
            strings: Vec::new(),
            string_ids: FxHashMap::default(),
            frames: Vec::new(),
            frame_ids: FxHashMap::default(),
            stacks: vec![Box::default()],
            stack_ids: FxHashMap::default(),
            left_out: 0,
            local_strings: FxHashMap::default(),
            local_stacks: Vec::new(),
        };
        n.string("");
        n.string(MORE);
        n
    }
}

impl Names {
    /// Ids mean something else from here on.
    pub fn next_generation(&mut self) {
        self.local_strings.clear();
        self.local_stacks.clear();
    }

    /// A number for a text.
    pub fn string(&mut self, s: &str) -> u32 {
        if let Some(n) = self.string_ids.get(s) {
            return *n;
        }
        if self.strings.len() >= MAX_STRINGS {
            return 1;
        }
        let (n, s) = (self.strings.len() as u32, Arc::<str>::from(s));
        self.strings.push(s.clone());
        self.string_ids.insert(s, n);
        n
    }

    /// A number for a string of the generation.
    pub fn of_string(&mut self, t: &Tables, id: u64) -> u32 {
        if id == 0 {
            return 0;
        }
        if let Some(n) = self.local_strings.get(&id) {
            return *n;
        }
        let n = self.string(t.text(id));
        self.local_strings.insert(id, n);
        n
    }

    /// A number for a stack of the generation.
    #[inline]
    pub fn of_stack(&mut self, t: &Tables, id: u64) -> u32 {
        match usize::try_from(id).ok().and_then(|i| self.local_stacks.get(i)) {
            Some(n) if *n != u32::MAX => *n,
            _ => self.new_stack(t, id),
        }
    }

    fn new_stack(&mut self, t: &Tables, id: u64) -> u32 {
        let mut frames = Vec::with_capacity(16);
        for f in t.stack(id) {
            let (function, file) = (self.of_string(t, f.func), self.of_string(t, f.file));
            let f = Frame { function, file, line: f.line as u32, pc: f.pc };
            let new = self.frames.len() as u32;
            let n = *self.frame_ids.entry(f).or_insert(new);
            if n == new {
                self.frames.push(f);
            }
            frames.push(n);
        }
        let n = match self.stack_ids.get(frames.as_slice()) {
            Some(n) => *n,
            None if frames.is_empty() => 0,
            None if self.stacks.len() >= MAX_STACKS => {
                self.left_out += 1;
                0
            }
            None => {
                let n = self.stacks.len() as u32;
                self.stacks.push(frames.clone().into());
                self.stack_ids.insert(frames.into(), n);
                n
            }
        };
        // Ids count from 1; what a damaged file has is looked up each time.
        if let Some(i) = usize::try_from(id).ok().filter(|i| *i < 1 << 20) {
            if self.local_stacks.len() <= i {
                self.local_stacks.resize(i + 1, u32::MAX);
            }
            self.local_stacks[i] = n;
        }
        n
    }

    /// A text.
    pub fn text(&self, n: u32) -> &str {
        self.strings.get(n as usize).map_or("", |s| s)
    }

    /// The outermost function of a stack: what its goroutine was started with.
    pub fn root(&self, stack: u32) -> Option<u32> {
        let last = *self.stacks.get(stack as usize)?.last()?;
        // Some stacks end in a frame without a name.
        Some(self.frames[last as usize].function).filter(|f| *f != 0)
    }

    /// The frames of a stack, leaf first.
    pub fn stack(&self, n: u32) -> Vec<Location> {
        let frames = self.stacks.get(n as usize).map(|s| &**s).unwrap_or_default();
        let location = |i: &u32| {
            let f = self.frames[*i as usize];
            let (function, file) = (self.text(f.function).to_string(), self.text(f.file).to_string());
            Location { function, file, line: f.line, pc: LoadAddr(f.pc) }
        };
        frames.iter().map(location).collect()
    }

    /// Values by stack as a profile.
    pub fn profile(&self, kinds: &[(&str, &str)], shown: usize, rows: &[(u32, Vec<i64>)]) -> Profile {
        let mut functions: FxHashMap<(u32, u32), u32> = FxHashMap::default();
        let mut frames: FxHashMap<(u32, u32), u32> = FxHashMap::default();
        let kind = |k: &(&str, &str)| ValueKind { name: k.0.into(), unit: k.1.into() };
        let mut p = Profile { kinds: kinds.iter().map(kind).collect(), shown, ..Profile::default() };
        for (stack, values) in rows {
            for i in self.stacks.get(*stack as usize).map(|s| &**s).unwrap_or_default() {
                let f = self.frames[*i as usize];
                let new = p.functions.len() as u32;
                let function = *functions.entry((f.function, f.file)).or_insert(new);
                if function == new {
                    let name = |n: u32| self.strings.get(n as usize).cloned().unwrap_or_default();
                    p.functions.push(ProfileFunction { name: name(f.function), file: name(f.file), start_line: 0 });
                }
                let new = p.frames.len() as u32;
                let frame = *frames.entry((function, f.line)).or_insert(new);
                if frame == new {
                    p.frames.push(ProfileFrame { function, line: f.line, inlined: false });
                }
                p.stacks.push(frame);
            }
            p.ends.push(p.stacks.len() as u32);
            p.values.extend(values);
        }
        if self.left_out > 0 {
            p.notes.push(format!(
                "the trace has more than the {MAX_STACKS} stacks that are told apart: (no stack) stands for the rest"
            ));
        }
        p
    }
}
