//! The command line as clap sees it. Help texts here are the manual page, too.

pub use super::host_args::{AuditSub, HostArgs, Policy};
use super::secrets::RedactArgs;
use crate::batch::ReportOf;
use crate::config::theme::SHIPPED;
use crate::model::{FindingClass, GroupBy, TraceFilter, TraceReportKind};
use crate::tui::theme::ColorChoice;
use clap::{Args, Parser, Subcommand, ValueEnum, builder::PossibleValuesParser};
use std::path::PathBuf;

pub mod k8s;

/// A full-screen debugger for Go programs that never harms its target.
///
/// `adit PID` looks at a running process without stopping it. `adit debug` builds the package here and stops at main.main.
#[derive(Parser, Debug)]
#[command(name = "adit", version, max_term_width = 100, disable_help_subcommand = true)]
pub struct Cli {
    /// What to open: a process id (observe mode, nothing is stopped), a core, a snapshot, a goroutine dump, a profile, the address of a dlv --headless.
    #[arg(value_name = "TARGET")]
    pub target: Option<String>,
    /// What to do instead.
    #[command(subcommand)]
    pub command: Option<Sub>,
    /// Flags that all commands take.
    #[command(flatten)]
    pub common: Common,
}

/// Flags that all commands take.
#[derive(Args, Clone, Debug, Default)]
pub struct Common {
    /// Working directory of the launched program
    #[arg(long, global = true, value_name = "DIR")]
    pub cwd: Option<PathBuf>,
    /// Add to the launched program's environment
    #[arg(long, global = true, value_name = "K=V", value_parser = pair)]
    pub env: Vec<(String, String)>,
    /// Terminal for the launched program's input and output
    #[arg(long, global = true, value_name = "TTY")]
    pub tty: Option<PathBuf>,
    /// Look for sources recorded under FROM in TO
    #[arg(long, global = true, value_name = "FROM=TO", value_parser = pair)]
    pub substitute_path: Vec<(String, String)>,
    /// The go command to build with
    #[arg(long, global = true, value_name = "PATH")]
    pub go: Option<PathBuf>,
    /// Theme
    #[arg(long, global = true, value_name = "NAME", value_parser = themes())]
    pub theme: Option<String>,
    /// Key map
    #[arg(long, global = true, value_name = "NAME", value_parser = presets())]
    pub keys: Option<String>,
    /// Borders and marks in ASCII
    #[arg(long, global = true)]
    pub ascii: bool,
    /// Colours
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value = "auto", hide_default_value = true)]
    pub color: Color,
    /// Send as little as possible to the terminal
    #[arg(long, global = true)]
    pub low_bandwidth: bool,
    /// Write a log to FILE (no values of the target are in it)
    #[arg(long, global = true, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Who alone may sign the certificates of https addresses (PEM), instead of whom the system believes
    #[arg(long, global = true, value_name = "FILE")]
    pub cacert: Option<PathBuf>,
    /// Keep nothing between sessions
    #[arg(long, global = true)]
    pub no_state: bool,
    /// The dlv at ADDR was started with --accept-multiclient: a one-shot that leaves it ends nothing
    #[arg(long, global = true)]
    pub multiclient: bool,
    /// About hosts elsewhere.
    #[command(flatten)]
    pub remote: super::credentials::RemoteArgs,
    /// About secrets.
    #[command(flatten)]
    pub redact: RedactArgs,
    /// How careful to be with the target
    #[arg(long, global = true, value_name = "PROFILE", value_enum, default_value = "prod", hide_default_value = true)]
    pub profile: Profile,
}

/// `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// As the environment says
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
    /// 24 bits
    True,
    /// 256 colours
    #[value(name = "256")]
    Indexed,
    /// 16 colours
    #[value(name = "16")]
    Ansi,
}

impl Color {
    /// As the screen takes it.
    pub fn choice(self) -> ColorChoice {
        match self {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
            Color::True => ColorChoice::True,
            Color::Indexed => ColorChoice::Indexed,
            Color::Ansi => ColorChoice::Ansi,
        }
    }
}

/// `--profile`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// Production: the strictest limits
    #[default]
    Prod,
    /// Staging
    Staging,
    /// Development
    Dev,
}

impl Profile {
    /// As on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Profile::Prod => "prod",
            Profile::Staging => "staging",
            Profile::Dev => "dev",
        }
    }
}

/// Commands.
#[derive(Subcommand, Clone, Debug)]
pub enum Sub {
    /// Open a process in control mode (nothing is stopped until asked)
    Attach {
        /// Process id, or ssh://[USER@]HOST/PID
        #[arg(value_name = "PID")]
        target: String,
        /// Executable to take symbols from
        #[arg(long, value_name = "BIN")]
        exe: Option<PathBuf>,
    },
    /// Open a core
    Core {
        /// The program
        bin: PathBuf,
        /// Its core, or a snapshot
        core: PathBuf,
    },
    /// Open a file: a core, a snapshot, a goroutine dump, a profile, an address of a profile
    Open {
        /// The file
        file: PathBuf,
        /// The program of a core, when the core does not lead to it
        #[arg(long, value_name = "BIN")]
        exe: Option<PathBuf>,
    },
    /// Drive a remote `dlv --headless`: the same screens, without what Delve does not know
    ///
    /// What is on the way is neither authenticated nor encrypted: use it on this machine, or through `ssh -L`. The program is never
    /// ended from here. With --accept-multiclient Delve stays when adit leaves; without it Delve ends with its only client.
    Connect {
        /// HOST:PORT or unix:PATH
        address: String,
        /// The program's file here, for lines with code and finding its sources; found by itself if it runs here
        #[arg(long, value_name = "BIN")]
        exe: Option<PathBuf>,
    },
    /// Launch a program, stopped at main.main
    Exec {
        /// The program
        bin: PathBuf,
        /// Its arguments
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Build a package with all=-N -l and launch it, stopped at main.main
    Debug {
        /// The package; the one here by default
        #[arg(default_value = ".", hide_default_value = true)]
        package: String,
        /// The program's arguments
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Build a package's tests and launch them, stopped at main.main
    Test {
        /// The package; the one here by default
        #[arg(default_value = ".", hide_default_value = true)]
        package: String,
        /// Test flags: -run NAME, -v, …
        #[arg(last = true, value_name = "TESTFLAGS")]
        args: Vec<String>,
    },
    /// Launch or attach as a configuration of .vscode/launch.json says
    Launch {
        /// Its name; without one, the first for Go
        name: Option<String>,
    },
    /// Build and open a small Go program with a leak, a lock cycle, traffic and GC
    Demo,
    /// List goroutines
    Goroutines(GoroutinesArgs),
    /// One goroutine: frames, defers, panics, variables if there are any
    Stack {
        /// Process id, core, snapshot or goroutine dump
        target: String,
        /// Goroutine id
        id: u64,
        /// Executable to take symbols from
        #[arg(long, value_name = "BIN")]
        exe: Option<PathBuf>,
        /// Frames at most
        #[arg(long, value_name = "N", default_value_t = 1_000, hide_default_value = true)]
        depth: u32,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// What is wrong: leaks, deadlocks, who holds the lock, with the evidence
    Diagnose(DiagnoseArgs),
    /// Who keeps an object alive; without an object, what the live heap is made of
    Refs(RefsArgs),
    /// The wait-for graph: goroutines, what they wait for, who holds it
    Waits {
        /// Process id, core, snapshot or goroutine dump
        target: String,
        /// Around this goroutine
        #[arg(long, value_name = "ID")]
        goroutine: Option<u64>,
        /// Executable to take symbols from
        #[arg(long, value_name = "BIN")]
        exe: Option<PathBuf>,
        /// Take a short stop, so that all is of one moment
        #[arg(long)]
        consistent: bool,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Profiles: what takes the time or the memory, and what changed since another one
    ///
    /// Reads pprof profiles of every kind (packed or not), their text (debug=1), folded stacks, and addresses of a running
    /// program's net/http/pprof (http://127.0.0.1:6060 for a CPU profile of 5 s). Without a report on a terminal, it opens
    /// the screen.
    Prof(ProfArgs),
    /// What scheduler and collector do: sampled from a running process without stopping it, or from an execution trace
    Timeline(TimelineArgs),
    /// Write one file that opens in all of adit on another machine: a process as it is now, or a core with its program
    ///
    /// The process stands only while its memory is copied. The file is an ELF core: gdb and Delve open it, too. It has all
    /// that was in memory, secrets included.
    Snapshot {
        /// Process id, or a core
        target: String,
        /// The file to write
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
        /// Replace the file if it is there
        #[arg(long)]
        force: bool,
        /// Executable to take symbols from
        #[arg(long, value_name = "BIN")]
        exe: Option<PathBuf>,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// What is possible here, what is not, the one fix for each
    Doctor {
        /// A process to ask about
        pid: Option<i32>,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Put back text that a killed debugger left patched
    Rescue {
        /// Process id
        #[arg(required_unless_present = "all")]
        pid: Option<i32>,
        /// All processes
        #[arg(long, conflicts_with = "pid")]
        all: bool,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Serve an editor: a debug adapter that takes the flags and configurations of `dlv dap`
    ///
    /// `adit dap --help` lists the flags. It prints `DAP server listening at: HOST:PORT`, serves one session and ends.
    #[command(disable_help_flag = true)]
    Dap {
        /// Flags of `dlv dap`; --stdio for standard input and output
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FLAGS")]
        args: Vec<String>,
    },
    /// The host: owns the target for a client at the other end of a pipe
    #[command(hide = true)]
    Host(HostArgs),
    /// Programs in the pods of a Kubernetes cluster, through your own kubectl
    K8s(k8s::K8sArgs),
    /// What adit does in a pod
    #[command(hide = true, subcommand)]
    Inside(k8s::InsideSub),
    /// The record of what was done to programs
    Audit {
        /// What of it
        #[command(subcommand)]
        what: AuditSub,
    },
    /// Tokens: what a host's clients may do, for how long
    Token {
        /// What of it
        #[command(subcommand)]
        what: super::credentials::TokenSub,
    },
    /// Show the fingerprint of your key, by which hosts and clients over TLS know you
    Key {
        /// Make a new one
        #[arg(long)]
        new: bool,
    },
    /// Puts the text of a program back when the host that journals here is killed
    #[command(hide = true)]
    Guard {
        /// The journal.
        journal: PathBuf,
        /// Where a hook may go.
        hook: String,
    },
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// `adit goroutines`.
#[derive(Args, Clone, Debug)]
pub struct GoroutinesArgs {
    /// Process id, core, snapshot or goroutine dump
    pub target: String,
    /// Executable to take symbols from
    #[arg(long, value_name = "BIN")]
    pub exe: Option<PathBuf>,
    /// Frames of each
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub stack: u32,
    /// Pending defers of each
    #[arg(long)]
    pub defers: bool,
    /// The runtime's own, too
    #[arg(long)]
    pub all: bool,
    /// In groups
    #[arg(long, value_name = "BY", value_parser = groups())]
    pub group: Option<String>,
    /// Only those that contain a text (id, state, wait reason, function, file:line, label); !TEXT leaves them out
    #[arg(long = "where", value_name = "EXPR")]
    pub filter: Option<String>,
    /// Copy the process in a short stop, so that all is of one moment
    #[arg(long)]
    pub consistent: bool,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// `adit timeline`.
#[derive(Args, Clone, Debug)]
pub struct TimelineArgs {
    /// Process id, execution trace, or a log with gctrace or schedtrace lines
    pub target: String,
    /// How long to look at a process
    #[arg(long, value_name = "N", default_value_t = 5.0)]
    pub seconds: f64,
    /// Columns
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub columns: u16,
    /// Lanes of threads, too; of a process also what the kernel let them do
    #[arg(long)]
    pub threads: bool,
    /// Which functions ran on the Ps of a process, by the kernel's perf events
    #[arg(long)]
    pub code: bool,
    /// A report instead of the picture; beside it in JSON (traces)
    #[arg(long, value_name = "BY", value_parser = reports())]
    pub by: Option<String>,
    /// The report about user regions of this name alone: regions (default), network, sync, syscall, sched
    #[arg(long, value_name = "NAME", conflicts_with = "task")]
    pub region: Option<String>,
    /// The report about a user task, by number or name, and its parts: tasks (default), network, sync, syscall, sched
    #[arg(long, value_name = "ID|NAME")]
    pub task: Option<String>,
    /// Refuse a damaged trace, as Go's own reader does, instead of showing what is left of it
    #[arg(long)]
    pub strict: bool,
    /// Executable to take symbols from
    #[arg(long, value_name = "BIN")]
    pub exe: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// `adit diagnose`.
#[derive(Args, Clone, Debug)]
pub struct DiagnoseArgs {
    /// Process id, core, snapshot or goroutine dump
    pub target: String,
    /// Exit code 1 only for findings that are at least so sure
    #[arg(long, value_name = "CLASS", value_parser = classes(), default_value = "strong")]
    pub min: String,
    /// Leave out findings whose place, summary or kind contains TEXT
    #[arg(long, value_name = "TEXT")]
    pub mute: Vec<String>,
    /// Leave the heap alone: faster, no leaks
    #[arg(long)]
    pub no_heap: bool,
    /// Executable to take symbols from
    #[arg(long, value_name = "BIN")]
    pub exe: Option<PathBuf>,
    /// Take a short stop, so that all is of one moment
    #[arg(long)]
    pub consistent: bool,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// `adit prof`.
#[derive(Args, Clone, Debug)]
pub struct ProfArgs {
    /// Profiles: files, addresses, ids of processes to sample, or execution traces (FILE#sync: also network, syscall, sched, cpu, functions); several are added up
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<String>,
    /// How long to sample a process
    #[arg(long, value_name = "N", default_value_t = 5.0)]
    pub seconds: f64,
    /// Compare with this profile: what has more than it, what less; exit code 1 when a function has more
    #[arg(long, value_name = "BASE")]
    pub diff: Vec<String>,
    /// Rows at most, 0 for all
    #[arg(long, value_name = "N")]
    pub top: Option<usize>,
    /// Kind of value: cpu, samples, inuse_space, delay, … as the profile names it
    #[arg(long = "type", value_name = "T")]
    pub kind: Option<String>,
    /// Rows by source line instead of by function
    #[arg(long)]
    pub lines: bool,
    /// Call paths from the roots
    #[arg(long, conflicts_with_all = ["peek", "list"])]
    pub tree: bool,
    /// Callers and callees of the functions that match
    #[arg(long, value_name = "RE", conflicts_with = "list")]
    pub peek: Option<String>,
    /// Values by source line of the functions that match
    #[arg(long, value_name = "RE")]
    pub list: Option<String>,
    /// Only stacks with a function or file that matches
    #[arg(long, value_name = "RE")]
    pub focus: Option<String>,
    /// Only stacks without such a function or file
    #[arg(long, value_name = "RE")]
    pub ignore: Option<String>,
    /// Leave frames that match out of all stacks
    #[arg(long, value_name = "RE")]
    pub hide: Option<String>,
    /// Only samples with a label KEY whose value matches
    #[arg(long, value_name = "KEY=RE", value_parser = pair)]
    pub tag: Vec<(String, String)>,
    /// Compare shares: the base is scaled to the same sum
    #[arg(long, requires = "diff")]
    pub normalize: bool,
    /// Samples (objects, contentions) that a function must have for a verdict
    #[arg(long, value_name = "N", default_value_t = 200, requires = "diff")]
    pub min_samples: u64,
    /// Percent by which it must have changed
    #[arg(long, value_name = "PERCENT", default_value_t = 50.0, value_parser = percent, requires = "diff")]
    pub min_change: f64,
    /// Write a flame graph
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Write folded stacks
    #[arg(long, value_name = "FILE")]
    pub folded: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

impl ProfArgs {
    /// The report asked for; none where only files are to be written, or nothing was said.
    pub fn report(&self) -> Option<ReportOf> {
        match (&self.peek, &self.list) {
            (Some(re), _) => Some(ReportOf::Peek(re.clone())),
            (_, Some(re)) => Some(ReportOf::List(re.clone())),
            _ if self.tree => Some(ReportOf::Tree),
            _ if self.top.is_some() || self.lines => Some(ReportOf::Top),
            _ => None,
        }
    }
}

fn percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').parse::<f64>() {
        Ok(n) if n.is_finite() && n >= 0.0 => Ok(n),
        _ => Err("a number of percent is needed".into()),
    }
}

/// `adit refs`.
#[derive(Args, Clone, Debug)]
pub struct RefsArgs {
    /// Process id, core or snapshot
    pub target: String,
    /// The object: 0xADDRESS, or an expression in a goroutine's frame
    pub object: Option<String>,
    /// Goroutine whose variables the expression may use
    #[arg(long, value_name = "ID")]
    pub goroutine: Option<u64>,
    /// Frame of it
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub frame: u32,
    /// Sum the heap by type, or by what keeps it alive
    #[arg(long, value_name = "BY", value_parser = PossibleValuesParser::new(["type", "site"]), default_value = "type")]
    pub by: String,
    /// Paths or rows at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub top: u32,
    /// Executable to take symbols from
    #[arg(long, value_name = "BIN")]
    pub exe: Option<PathBuf>,
    /// Take a short stop, so that all is of one moment
    #[arg(long)]
    pub consistent: bool,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

impl DiagnoseArgs {
    /// The class asked for.
    pub fn class(&self) -> FindingClass {
        FindingClass::ALL.into_iter().find(|c| c.name() == self.min).unwrap_or(FindingClass::Strong)
    }
}

pub(in crate::cli) fn classes() -> PossibleValuesParser {
    PossibleValuesParser::new(FindingClass::ALL.iter().map(|c| c.name()))
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((k, v)) if !k.is_empty() => Ok((k.to_string(), v.to_string())),
        _ => Err("two parts with = between them are needed".into()),
    }
}

fn themes() -> PossibleValuesParser {
    PossibleValuesParser::new(SHIPPED.iter().map(|(n, _)| *n))
}

fn presets() -> PossibleValuesParser {
    PossibleValuesParser::new(crate::config::keys::PRESETS.iter().map(|(n, _)| *n))
}

fn groups() -> PossibleValuesParser {
    PossibleValuesParser::new(GroupBy::ALL.iter().map(|g| g.name()))
}

fn reports() -> PossibleValuesParser {
    PossibleValuesParser::new(TraceReportKind::ALL.iter().map(|k| k.0))
}

impl TimelineArgs {
    /// The report asked for.
    pub fn by(&self) -> Option<TraceReportKind> {
        TraceReportKind::ALL.into_iter().find(|k| Some(k.0) == self.by.as_deref()).map(|k| k.1)
    }

    /// The part of the trace that it is about.
    pub fn of(&self) -> Option<TraceFilter> {
        let task = self.task.as_deref().map(TraceFilter::task);
        self.region.clone().map(TraceFilter::Region).or(task)
    }
}

impl GoroutinesArgs {
    /// The grouping asked for.
    pub fn by(&self) -> Option<GroupBy> {
        GroupBy::ALL.into_iter().find(|g| Some(g.name()) == self.group.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Cli {
        Cli::try_parse_from(line.split(' ')).unwrap_or_else(|e| panic!("{line}: {e}"))
    }

    #[test]
    fn clap_agrees_with_itself() {
        Cli::command().debug_assert();
    }
    #[test]
    fn the_forms_of_the_contract() {
        assert_eq!(parse("adit 1234").target.as_deref(), Some("1234"));
        assert_eq!(parse("adit 1234 --theme light").common.theme.as_deref(), Some("light"));
        let c = parse("adit --theme light debug ./cmd/x -- -v 3");
        assert!(matches!(c.command, Some(Sub::Debug { package, args }) if package == "./cmd/x" && args == ["-v", "3"]));
        let c = parse("adit exec ./a --env A=1 --env B=2 --substitute-path /x=/y -- b");
        assert_eq!((c.common.env.len(), c.common.substitute_path.len()), (2, 1));
        let c = parse("adit core ./shop core.7 --theme light");
        assert!(
            matches!(c.command, Some(Sub::Core { bin, core }) if bin.ends_with("shop") && core.ends_with("core.7"))
        );
        let c = parse("adit snapshot 7 -o x.adit --force");
        assert!(matches!(c.command, Some(Sub::Snapshot { force: true, .. })));
        let c = parse("adit open core.7 --exe ./shop");
        assert!(matches!(c.command, Some(Sub::Open { exe: Some(_), .. })));
        let c = parse("adit goroutines 7 --group wait --where !select --stack 3 --defers --all --json");
        assert!(matches!(c.command, Some(Sub::Goroutines(g)) if g.by() == Some(GroupBy::Wait) && g.json));
        assert!(Cli::try_parse_from(["adit", "rescue"]).is_err());
        assert!(Cli::try_parse_from(["adit", "--env", "A", "demo"]).is_err());
    }
}
