//! What Ps and threads were seen to execute: stacks at moments, from samples of the kernel's.

use super::columns::{Grid, States};
use crate::goruntime::pcinfo::is_internal;
use crate::model::{LaneKind, Location};
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Stacks that are kept, of all lanes.
const STACKS: usize = 1 << 16;
/// Functions in one view.
const FUNCTIONS: u16 = 2_000;

/// A stack, leaf first.
pub type Frames = Arc<[Location]>;

/// Stacks by lane, in order of time.
#[derive(Default)]
pub(super) struct Code {
    lanes: BTreeMap<LaneKind, VecDeque<(i64, Frames)>>,
    count: usize,
}

impl Code {
    /// One more; with too many those before `cut` go.
    pub(super) fn add(&mut self, lane: LaneKind, at: i64, stack: Frames, cut: i64) {
        self.lanes.entry(lane).or_default().push_back((at, stack));
        self.count += 1;
        if self.count > STACKS {
            for c in self.lanes.values_mut() {
                let n = c.partition_point(|s| s.0 < cut).max(1).min(c.len());
                c.drain(..n);
                self.count -= n;
            }
        }
    }

    /// The first stack of a lane between two times.
    pub(super) fn first_in(&self, lane: LaneKind, from: i64, to: i64) -> Vec<Location> {
        let Some(c) = self.lanes.get(&lane) else { return Vec::new() };
        let i = c.partition_point(|s| s.0 < from);
        c.get(i).filter(|s| s.0 <= to).map(|s| s.1.to_vec()).unwrap_or_default()
    }

    /// Tells each column of a lane which function it was.
    pub(super) fn fill(&self, lane: LaneKind, grid: Grid, states: &mut States, functions: &mut Functions) {
        let Some(c) = self.lanes.get(&lane) else { return };
        let first = c.partition_point(|s| s.0 < grid.from_ns);
        for (at, stack) in c.range(first..).take_while(|s| s.0 < grid.to_ns()) {
            if let Some(f) = functions.of(stack) {
                states.function(*at, f);
            }
        }
    }

    /// All of Ps.
    pub(super) fn of_procs(&self) -> impl Iterator<Item = (LaneKind, &(i64, Frames))> {
        let procs = self.lanes.iter().filter(|l| matches!(l.0, LaneKind::Proc(_)));
        procs.flat_map(|(lane, c)| c.iter().map(|s| (*lane, s)))
    }
}

/// Names of functions that cells are about.
#[derive(Default)]
pub(super) struct Functions {
    pub(super) names: Vec<String>,
    places: FxHashMap<String, u16>,
}

impl Functions {
    /// The place of the function that a stack is shown as: the first that is not the runtime's own.
    fn of(&mut self, stack: &[Location]) -> Option<u16> {
        let shown = stack.iter().find(|l| !is_internal(&l.function)).or(stack.first())?;
        if let Some(n) = self.places.get(&shown.function) {
            return Some(*n);
        }
        let n = u16::try_from(self.names.len()).ok().filter(|n| *n < FUNCTIONS)?;
        self.names.push(shown.function.clone());
        self.places.insert(shown.function.clone(), n);
        Some(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Cells;

    #[test]
    fn columns_are_named_after_what_the_program_did() {
        let stack = |names: &[&str]| -> Frames {
            names.iter().map(|n| Location { function: n.to_string(), ..Location::default() }).collect()
        };
        let (mut c, lane) = (Code::default(), LaneKind::Proc(0));
        for (at, names) in [
            (1, &["runtime.memmove", "main.copy"][..]),
            (2, &["main.copy"]),
            (3, &["main.other"]),
            (12, &["runtime.gcDrain"]),
        ] {
            c.add(lane, at, stack(names), 0);
        }
        let grid = Grid { from_ns: 0, column_ns: 10, columns: 3 };
        let (mut states, mut functions) = (States::new(grid), Functions::default());
        c.fill(lane, grid, &mut states, &mut functions);
        let Cells::States(cells) = states.cells() else { panic!("states") };
        let named: Vec<Option<&str>> =
            cells.iter().map(|c| c.function.map(|f| functions.names[usize::from(f)].as_str())).collect();
        assert_eq!(named, [Some("main.copy"), Some("runtime.gcDrain"), None]);
        assert_eq!(c.first_in(lane, 3, 9)[0].function, "main.other");
        for i in 0..(STACKS as i64 * 2) {
            c.add(lane, 20 + i, stack(&["main.copy"]), 20 + i / 2);
        }
        assert!(c.count <= STACKS);
    }
}
