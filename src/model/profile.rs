//! Values by stack: what a pprof file, perf samples and the blocking profiles of a trace come to.

use serde::{Deserialize, Serialize};
use std::ops::AddAssign;
use std::sync::Arc;

/// What a value counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ValueKind {
    /// `cpu`, `inuse_space`, `delay`…
    pub name: String,
    /// `nanoseconds`, `bytes`, `count`…
    pub unit: String,
}

/// A function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProfileFunction {
    /// Name with package.
    pub name: Arc<str>,
    /// File.
    pub file: Arc<str>,
    /// First line; 0 if not known.
    pub start_line: u32,
}

/// One frame of a stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProfileFrame {
    /// Index of its function.
    pub function: u32,
    /// Line; 0 if not known.
    pub line: u32,
    /// Inlined into the next one.
    pub inlined: bool,
}

/// Values by stack. Equal stacks appear once for each set of labels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// What each value counts.
    pub kinds: Vec<ValueKind>,
    /// The kind shown first.
    pub shown: usize,
    /// Functions.
    pub functions: Vec<ProfileFunction>,
    /// Distinct frames.
    pub frames: Vec<ProfileFrame>,
    /// Indices into `frames` of all stacks, leaf first, one behind the other.
    pub stacks: Vec<u32>,
    /// Where each sample's stack ends in `stacks`; it begins where the one before ends.
    pub ends: Vec<u32>,
    /// Values of all samples, `kinds.len()` for each.
    pub values: Vec<i64>,
    /// Begin, ns since 1970; 0 if not known.
    pub time_ns: i64,
    /// Length, ns; 0 if not known.
    pub duration_ns: i64,
    /// What came with it: comments, what is lost or cut.
    pub notes: Vec<String>,
}

/// A value in the profile, and in the one it is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pair {
    /// In the profile.
    pub new: i64,
    /// In the base; 0 if it is not compared.
    pub base: i64,
}

impl Pair {
    /// How much it grew.
    pub fn change(self) -> i64 {
        self.new.saturating_sub(self.base)
    }
    /// The larger of both, without signs.
    pub fn weight(self) -> u64 {
        self.new.unsigned_abs().max(self.base.unsigned_abs())
    }
    /// Nothing in either.
    pub fn is_zero(self) -> bool {
        self.new == 0 && self.base == 0
    }
}

impl AddAssign for Pair {
    fn add_assign(&mut self, o: Pair) {
        self.new = self.new.saturating_add(o.new);
        self.base = self.base.saturating_add(o.base);
    }
}

/// From where on a difference counts where nobody says otherwise: samples, percent.
pub const DIFF_THRESHOLDS: (u64, u32) = (200, 50);

/// What of an opened profile is to be seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileQuery {
    /// Kind of value by its number; none for the one that the profile wants to be shown first.
    pub kind: Option<u32>,
    /// Callers on top of callees turned round: paths begin at the innermost function.
    pub reverse: bool,
    /// The base's values scaled to the same sum.
    pub normalize: bool,
    /// Only stacks with a function or file that matches this regular expression; empty for all.
    pub focus: String,
    /// What is marked as found: a text in names of functions, in any case; empty for nothing.
    pub search: String,
    /// Names from the root to the node that fills the width.
    pub zoom: Vec<Arc<str>>,
    /// Columns for the flame graph; 0 for none of it.
    pub columns: u32,
    /// Levels of it below the one zoomed to, at most.
    pub depth: u32,
    /// Rows of the table, at most.
    pub rows: u32,
    /// Lines of this function; empty for none.
    pub lines: String,
    /// From where on a difference counts: samples, and percent; none for [`DIFF_THRESHOLDS`].
    #[serde(default)]
    pub thresholds: Option<(u64, u32)>,
}

/// A box of a flame graph.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlameCell {
    /// Level; 0 is the one zoomed to.
    pub depth: u32,
    /// Where it begins and how wide it is, in units of [`ProfileView::width`].
    pub start: u64,
    /// Its width.
    pub width: u64,
    /// Value of all samples through it.
    pub value: Pair,
    /// Value of the samples that end in it.
    pub own: Pair,
    /// Function; empty for boxes that are too narrow to be shown one by one.
    pub name: Arc<str>,
    /// How many these are.
    pub folded: u32,
    /// It is what is searched for.
    pub found: bool,
}

/// A row of a profile's table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileRow {
    /// Function.
    pub name: Arc<str>,
    /// Its file.
    pub file: Arc<str>,
    /// Its first line; 0 if not known.
    pub line: u32,
    /// Value of the samples that end in it.
    pub flat: Pair,
    /// Value of the samples through it.
    pub cum: Pair,
    /// Flat, and what library functions that it called have.
    pub blame: Pair,
    /// It is what is searched for.
    pub found: bool,
}

/// The lines of a function that have values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileLines {
    /// Function.
    pub name: Arc<str>,
    /// File.
    pub file: Arc<str>,
    /// Line, flat, cum; ascending.
    pub lines: Vec<(u32, Pair, Pair)>,
}

/// A profile as it was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileView {
    /// What it was read from.
    pub source: String,
    /// What it is compared with.
    pub base: Option<String>,
    /// Kinds of value.
    pub kinds: Vec<ValueKind>,
    /// The kind shown.
    pub kind: u32,
    /// Sum over all samples.
    pub total: Pair,
    /// Sum over those that are selected.
    pub selected: Pair,
    /// Of those, the ones with what is searched for on their stacks.
    pub found: Pair,
    /// Length, ns; 0 if not known.
    pub duration_ns: i64,
    /// From the root to what is zoomed to; the last one is the box on top.
    pub zoom: Vec<FlameCell>,
    /// What the full width stands for.
    pub width: u64,
    /// Boxes below, by level.
    pub cells: Vec<FlameCell>,
    /// Levels that there are in all.
    pub levels: u32,
    /// The table.
    pub rows: Vec<ProfileRow>,
    /// Rows that there are in all.
    pub total_rows: u32,
    /// The lines asked for.
    pub lines: Vec<ProfileLines>,
    /// What the comparison comes to, in words.
    pub verdict: String,
    /// What is to be said of it.
    pub notes: Vec<String>,
}

/// A profile of a running process that can be had.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileSource {
    /// `CPU for 5 s`, `heap`…
    pub name: String,
    /// Where it is fetched from; empty for what cannot be had.
    pub url: String,
    /// What it tells, or why it cannot be had.
    pub about: String,
}
