//! Flags of `adit host`, and of what is done with its record.

use super::credentials::AdmitArgs;
use crate::backend::native::budget::Watched;
use clap::ValueEnum;
use std::path::PathBuf;

/// `adit host`.
#[derive(Clone, Debug, clap::Args)]
pub struct HostArgs {
    /// Speak over standard input and output
    #[arg(long)]
    pub stdio: bool,
    /// Listen at a socket, `unix:PATH`, for clients of this user, or at a port, `tls:HOST:PORT`, for who has a known key
    #[arg(long, value_name = "ADDR", conflicts_with = "stdio")]
    pub listen: Option<String>,
    /// Connect standard input and output to the host of this name, started if there is none (what `adit ssh://…` does)
    #[arg(long, value_name = "NAME", conflicts_with_all = ["stdio", "listen"])]
    pub relay: Option<String>,
    /// Say which version and protocol this is
    #[arg(long, hide = true)]
    pub protocol: bool,
    /// Somebody else watches the program: limits beside the profile's, milliseconds: STOP,HOLD,REST (0 for none)
    #[arg(long, value_name = "MS,MS,MS", hide = true)]
    pub at_most: Option<Watched>,
    /// What clients may do: observer, diagnose, debug, full, or names (read:vars, control:stop, …), separated by commas
    #[arg(long, value_name = "SCOPES", default_value = "full")]
    pub scopes: String,
    /// Record every action in FILE (hash-chained lines of JSON, no values)
    #[arg(long, value_name = "FILE")]
    pub audit: Option<PathBuf>,
    /// When the record cannot be written: do nothing (closed), or go on (open)
    #[arg(long, value_name = "POLICY", value_enum, default_value = "closed")]
    pub audit_policy: Policy,
    /// Whom to let in.
    #[command(flatten)]
    pub admit: AdmitArgs,
    /// The process that clients get to see
    #[arg(requires = "listen")]
    pub pid: Option<i32>,
}

/// `--audit-policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Policy {
    /// Nothing is done that cannot be recorded
    Closed,
    /// Things are done all the same
    Open,
}

/// `adit audit …`.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum AuditSub {
    /// Check that no line was changed, taken out or put in
    Verify {
        /// The log
        file: PathBuf,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}
