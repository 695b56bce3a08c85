//! What is being looked at, and how a read of it was made.

use serde::{Deserialize, Serialize};

/// Kinds of target, as JSON names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum TargetKind {
    /// A live process.
    #[default]
    Process,
    /// An ELF core.
    Core,
    /// One of our snapshots.
    Snapshot,
    /// A goroutine dump in text.
    Dump,
    /// A remote `dlv --headless`.
    Delve,
    /// An execution trace.
    Trace,
    /// A pprof profile.
    Profile,
}

/// The target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetInfo {
    /// What kind of thing it is.
    pub kind: TargetKind,
    /// Process id, where there is one.
    pub pid: Option<i32>,
    /// Path of the executable.
    pub exe: String,
    /// Arguments it was launched with, where we launched it.
    pub args: Vec<String>,
    /// `go1.27.3`; empty for a program that is not Go's.
    pub go: String,
    /// `amd64`, `arm64`.
    pub arch: String,
    /// No DWARF in the file.
    pub stripped: bool,
    /// The main package was compiled with optimisation.
    pub optimised: bool,
    /// Position-independent executable.
    pub pie: bool,
    /// Did we start it? Only then may it be killed.
    pub launched: bool,
    /// Import path of the main package, from build info.
    pub main_package: String,
    /// Things worth telling the user once: what is missing and what follows.
    pub notes: Vec<String>,
    /// What its sources were, from build info.
    #[serde(default)]
    pub build: BuildFacts,
    /// What becomes of it when adit leaves, while it stands and while it runs, where that is not the usual: let go, it runs on.
    #[serde(default)]
    pub leaving: Option<(String, String)>,
}

/// From what a program was built: by this its sources are found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildFacts {
    /// Release: `go1.26.8`.
    pub go: String,
    /// Path of the main module.
    pub module: String,
    /// Modules that it depends on and their versions, replacements applied.
    pub deps: Vec<(String, String)>,
    /// Modules that others, or folders, stand in for.
    pub replaced: Vec<Replacement>,
    /// Commit; empty if not recorded.
    pub vcs_revision: String,
    /// There were uncommitted changes.
    pub vcs_modified: bool,
}

/// A `replace` of go.mod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replacement {
    /// Module path as the sources import it.
    pub path: String,
    /// Version required.
    pub version: String,
    /// What stands in for it: a module path, or a folder that begins with `.` or `/`.
    pub by: String,
    /// Its version; of folders none.
    pub by_version: String,
}

/// How goroutines and values were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum ReadMode {
    /// From the running process, nothing stopped.
    #[default]
    Observed,
    /// At a stop.
    Stopped,
    /// From a file.
    Offline,
}

/// Facts about one read, for the `read` object of the JSON output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadInfo {
    /// With or without a stop.
    pub mode: ReadMode,
    /// How long the target stood for it, microseconds.
    pub pause_us: u64,
    /// Goroutines that moved while being read and were read again.
    pub retries: u64,
    /// How long the read took, microseconds.
    pub took_us: u64,
    /// Wall clock of the moment that was copied, seconds since 1970; 0 for what was read just now.
    pub taken_at: u64,
}
