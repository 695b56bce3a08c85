//! Part of the protocol: how a program is started, and built.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How to start a program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchSpec {
    /// The executable.
    pub exe: PathBuf,
    /// Its arguments, without argv[0].
    pub args: Vec<String>,
    /// Working directory; none for ours.
    pub cwd: Option<PathBuf>,
    /// Added to (or replacing in) the environment.
    pub env: Vec<(String, String)>,
    /// A terminal to use for its input and output; none for a pty of its own.
    pub tty: Option<PathBuf>,
    /// Leave it running when the session ends, instead of killing it.
    pub leave: bool,
    /// How to build it again, where we built it.
    pub build: Option<BuildSpec>,
    /// Size of the pty: columns, rows.
    pub size: (u16, u16),
    /// Files in place of the terminal.
    #[serde(default)]
    pub redirects: Box<Redirects>,
    /// Variables to take out of the environment.
    #[serde(default)]
    pub unset: Vec<String>,
    /// Stay before the first instruction, so that what runs before `main.main` can be stopped, too.
    #[serde(default)]
    pub early: bool,
}

/// A `go build` or `go test -c` that made the executable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildSpec {
    /// The go command.
    pub go: PathBuf,
    /// Its arguments, `build`, `-gcflags=all=-N -l`, …; the output path included.
    pub args: Vec<String>,
    /// Where to run it.
    pub cwd: PathBuf,
}

/// Files that a launched program reads and writes instead of its terminal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirects {
    /// Standard input.
    pub stdin: Option<PathBuf>,
    /// Standard output.
    pub stdout: Option<PathBuf>,
    /// Standard error.
    pub stderr: Option<PathBuf>,
}

impl Redirects {
    /// Is there nothing left for a terminal?
    pub fn all(&self) -> bool {
        self.stdin.is_some() && self.stdout.is_some() && self.stderr.is_some()
    }
}
