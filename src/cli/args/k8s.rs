//! `adit k8s …` and what it runs in the pod.

use crate::backend::native::budget::Watched;
use crate::k8s::preflight::Way;
use crate::model::FindingClass;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Programs in pods.
#[derive(Args, Clone, Debug)]
pub struct K8sArgs {
    /// What to do there.
    #[command(subcommand)]
    pub what: K8sSub,
}

/// Where in the cluster, and how to get there.
#[derive(Args, Clone, Debug)]
pub struct WhereArgs {
    /// POD, or deploy/NAME, statefulset/NAME, daemonset/NAME
    #[arg(value_name = "POD")]
    pub target: String,
    /// Namespace
    #[arg(short, long, value_name = "NS")]
    pub namespace: Option<String>,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Container of the program
    #[arg(short, long, value_name = "NAME")]
    pub container: Option<String>,
    /// Print the commands that would be run; none that changes anything is
    #[arg(long)]
    pub dry_run: bool,
    /// adit's image for debug containers
    #[arg(long, value_name = "IMAGE", env = "ADIT_IMAGE", hide_env_values = true)]
    pub image: Option<String>,
    /// User of the program, where only its image says it
    #[arg(long, value_name = "UID")]
    pub user: Option<u32>,
    /// This way in alone; without it, the best that is open
    #[arg(long, value_name = "WAY", value_parser = ways())]
    pub way: Option<String>,
    /// Namespace of the pod that the way `node` makes; the program's own without it
    #[arg(long, value_name = "NS")]
    pub node_namespace: Option<String>,
    /// Port of the program's net/http/pprof, for the way `endpoint`
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// The process in the container, where there are several Go programs
    #[arg(long, value_name = "PID")]
    pub pid: Option<i32>,
}

/// All pods of a deployment, …
#[derive(Args, Clone, Debug)]
pub struct AllArgs {
    /// All pods, not one
    #[arg(long)]
    pub all: bool,
    /// So many at a time
    #[arg(long, value_name = "N", default_value_t = 3, requires = "all")]
    pub max_parallel: usize,
}

/// What to do there.
#[derive(Subcommand, Clone, Debug)]
pub enum K8sSub {
    /// Open the program on the full screen, in control mode (nothing is stopped until asked)
    Attach {
        /// Where.
        #[command(flatten)]
        at: WhereArgs,
    },
    /// Start the program under the debugger in a copy of its pod, stopped at main.main; the copy serves nobody and is deleted at the end
    Debug {
        /// Where.
        #[command(flatten)]
        at: WhereArgs,
        /// The program and its arguments, where only its image says them
        #[arg(last = true, value_name = "PROGRAM ARGS")]
        command: Vec<String>,
    },
    /// Bring a copy of the program here: a file that opens in all of adit; with --all, one of each pod
    Snapshot {
        /// Where.
        #[command(flatten)]
        at: WhereArgs,
        /// How many.
        #[command(flatten)]
        all: AllArgs,
        /// The file to write; with --all, the folder
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
        /// Replace files that are there
        #[arg(long)]
        force: bool,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// What is wrong: leaks, deadlocks, who holds the lock; with --all, in all pods, with goroutines grouped across them
    Diagnose {
        /// Where.
        #[command(flatten)]
        at: WhereArgs,
        /// How many.
        #[command(flatten)]
        all: AllArgs,
        /// Exit code 1 only for findings that are at least so sure
        #[arg(long, value_name = "CLASS", value_parser = super::classes(), default_value = "strong")]
        min: String,
        /// Leave out findings whose place, summary or kind contains TEXT
        #[arg(long, value_name = "TEXT")]
        mute: Vec<String>,
        /// Leave the heap alone: faster, no leaks
        #[arg(long)]
        no_heap: bool,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// A profile from the program's net/http/pprof, through a forwarded port
    Prof {
        /// Where.
        #[command(flatten)]
        at: WhereArgs,
        /// Which: profile (processor time), heap, allocs, goroutine, mutex, block, threadcreate
        #[arg(long, value_name = "KIND", value_parser = profiles(), default_value = "profile")]
        kind: String,
        /// How long to measure processor time
        #[arg(long, value_name = "N", default_value_t = 5)]
        seconds: u32,
        /// Rows at most, 0 for all
        #[arg(long, value_name = "N")]
        top: Option<usize>,
        /// Write a flame graph
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Before anything is done: the pod, your rights, for how long it may stand, which ways in are open and what each does
    Doctor {
        /// Where.
        #[command(flatten)]
        at: WhereArgs,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// End the processes of adit's debug containers and remove copies of adit
    Cleanup {
        /// Where.
        #[command(flatten)]
        at: WhereArgs,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
}

impl K8sSub {
    /// Where it is to be done.
    pub fn at(&self) -> &WhereArgs {
        match self {
            K8sSub::Attach { at }
            | K8sSub::Debug { at, .. }
            | K8sSub::Snapshot { at, .. }
            | K8sSub::Diagnose { at, .. }
            | K8sSub::Prof { at, .. }
            | K8sSub::Doctor { at, .. }
            | K8sSub::Cleanup { at, .. } => at,
        }
    }

    /// One JSON object is asked for.
    pub fn json(&self) -> bool {
        match self {
            K8sSub::Attach { .. } | K8sSub::Debug { .. } => false,
            K8sSub::Snapshot { json, .. }
            | K8sSub::Diagnose { json, .. }
            | K8sSub::Prof { json, .. }
            | K8sSub::Doctor { json, .. }
            | K8sSub::Cleanup { json, .. } => *json,
        }
    }
}

impl WhereArgs {
    /// The way that was said.
    pub fn way(&self) -> Option<Way> {
        Way::ALL.iter().find(|w| Some(w.0) == self.way.as_deref()).map(|w| w.1)
    }
}

/// The class of a word that clap has checked.
pub fn class(word: &str) -> FindingClass {
    FindingClass::ALL.into_iter().find(|c| c.name() == word).unwrap_or(FindingClass::Strong)
}

fn ways() -> PossibleValuesParser {
    PossibleValuesParser::new(Way::ALL.iter().map(|w| w.0))
}

fn profiles() -> PossibleValuesParser {
    PossibleValuesParser::new(["profile", "heap", "allocs", "goroutine", "mutex", "block", "threadcreate"])
}

impl super::ProfArgs {
    /// A report about one address.
    pub fn of(url: String, top: Option<usize>, svg: Option<PathBuf>, json: bool) -> super::ProfArgs {
        super::ProfArgs {
            files: vec![url],
            seconds: 0.0,
            diff: Vec::new(),
            top,
            kind: None,
            lines: false,
            tree: false,
            peek: None,
            list: None,
            focus: None,
            ignore: None,
            hide: None,
            tag: Vec::new(),
            normalize: false,
            min_samples: 0,
            min_change: 0.0,
            svg,
            folded: None,
            json,
        }
    }
}

/// What adit does in the pod itself.
#[derive(Subcommand, Clone, Debug)]
pub enum InsideSub {
    /// Say which adit this is
    #[command(name = "self")]
    Own,
    /// Say which processes there are
    Look {
        /// Of the container with this id alone
        #[arg(long)]
        of: Option<String>,
    },
    /// Put a copy of adit into a folder
    Install {
        /// The folder.
        folder: PathBuf,
    },
    /// Keep a debug container alive
    Park {
        /// Its name.
        container: String,
        /// Ends when nobody was there for so many seconds
        #[arg(long, default_value_t = crate::k8s::ways::IDLE.as_secs())]
        idle: u64,
    },
    /// End it
    Unpark {
        /// Its name.
        container: String,
    },
    /// Tie standard input and output to a host that the parked process starts
    Relay {
        /// The container's name.
        container: String,
        /// The session's name.
        session: String,
        /// Who else watches the program: STOP,HOLD,REST in milliseconds
        #[arg(long, default_value = "0,0,0")]
        at_most: Watched,
    },
    /// A host on standard input and output
    Supervise {
        /// Who else watches the program: STOP,HOLD,REST in milliseconds
        #[arg(long, default_value = "0,0,0")]
        at_most: Watched,
    },
    /// Write a snapshot of a process to standard output
    Snapshot {
        /// The process.
        pid: i32,
    },
}
