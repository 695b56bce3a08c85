//! `adit dap`: takes the flags of `dlv dap`, so that an editor set up for Delve needs another program's name and nothing else.

use super::args::Profile;
use super::secrets::Switch;
use crate::backend::host;
use crate::backend::protocol::Failure;
use crate::batch::exit;
use crate::dap;
use clap::{Parser, builder::BoolishValueParser};
use std::ffi::OsString;
use std::path::PathBuf;

/// A debug adapter (Debug Adapter Protocol) for editors; takes the flags of `dlv dap`.
///
/// It listens, prints `DAP server listening at: HOST:PORT`, serves one session and ends. Launch and attach configurations are
/// Delve's.
#[derive(Parser, Debug)]
#[command(name = "adit dap", version, max_term_width = 100)]
pub struct DapArgs {
    /// Where to listen: HOST:PORT, or unix:PATH
    #[arg(short, long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: String,
    /// Connect to an editor that waits there, instead
    #[arg(long, value_name = "ADDR")]
    client_addr: Option<String>,
    /// Speak over standard input and output, instead
    #[arg(long)]
    stdio: bool,
    /// Write a log
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = BoolishValueParser::new(), hide_default_value = true, hide_possible_values = true)]
    log: bool,
    /// What to log: `dap` for the conversation
    #[arg(long, value_name = "COMPONENTS")]
    log_output: Option<String>,
    /// File, or number of an open file descriptor, for the log
    #[arg(long, value_name = "DEST")]
    log_dest: Option<String>,
    /// Refuse other users of this machine
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "true", value_parser = BoolishValueParser::new(), hide_default_value = true, hide_possible_values = true)]
    only_same_user: bool,
    /// The go command to build with
    #[arg(long, value_name = "PATH", default_value = "go")]
    go: PathBuf,
    /// Working directory
    #[arg(long, value_name = "DIR")]
    wd: Option<PathBuf>,
    /// Hide what looks like a secret, by name or shape
    #[arg(long, value_name = "WHEN", value_enum)]
    redact: Option<Switch>,
    #[command(flatten)]
    ignored: Ignored,
}

/// Flags of Delve that change nothing here: adit debugs every version of Go that it knows, and a debug adapter has no terminal.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Taken for Delve's sake, without effect")]
#[allow(dead_code)]
struct Ignored {
    /// Every version is taken
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    check_go_version: Option<String>,
    /// It always is
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    headless: Option<String>,
    /// One session, one editor
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    accept_multiclient: Option<String>,
    /// There is one
    #[arg(long, value_name = "N")]
    api_version: Option<String>,
    /// There is one
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
    /// The configuration has them
    #[arg(long, value_name = "FLAGS")]
    build_flags: Option<String>,
    /// For a terminal
    #[arg(long, value_name = "FILE")]
    init: Option<String>,
    /// For a terminal
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    allow_non_terminal_interactive: Option<String>,
    /// The configuration has stdinFrom, stdoutTo, stderrTo
    #[arg(short, long, value_name = "RULE")]
    redirect: Vec<String>,
    /// The kernel's choice
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    disable_aslr: Option<String>,
}

/// Is this command line for the adapter? Its flags are Delve's, and some mean something else elsewhere.
pub fn is_dap(args: &[OsString]) -> bool {
    args.get(1).is_some_and(|a| a == "dap")
}

/// Reads the flags behind `adit dap`.
pub fn parse(args: &[OsString]) -> Result<DapArgs, clap::Error> {
    DapArgs::try_parse_from(std::iter::once(OsString::from("adit dap")).chain(args.iter().skip(2).cloned()))
}

/// Serves one session; returns the exit code.
pub fn run(a: &DapArgs) -> Result<u8, Failure> {
    if let Some(dir) = &a.wd {
        std::env::set_current_dir(dir).map_err(|e| {
            Failure::new(crate::backend::protocol::FailureKind::BadRequest, format!("--wd {}: {e}", dir.display()))
        })?;
    }
    let conversation = a.log_output.as_deref().is_none_or(|o| o.is_empty() || o.split(',').any(|c| c == "dap"));
    let options = dap::Options {
        listen: a.listen.clone(),
        client_addr: a.client_addr.clone(),
        stdio: a.stdio,
        only_same_user: a.only_same_user,
        log: a.log && conversation,
        log_dest: a.log_dest.clone(),
        go: a.go.clone(),
    };
    // Whoever debugs from an editor is at work on the program: conditions may cost what they cost.
    let redact = a.redact.map(|w| w == Switch::On);
    dap::serve(&options, move || host::start(Profile::Dev.word(), redact))?;
    Ok(exit::DONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> DapArgs {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        assert!(is_dap(&words));
        parse(&words).unwrap_or_else(|e| panic!("{line}: {e}"))
    }

    #[test]
    fn what_editors_say() {
        // VS Code, nvim-dap-go, Helix, Zed, dape, dap-mode.
        let a = parsed(
            "adit dap --check-go-version=false --log=true --log-output=dap,debugger --log-dest=3 --client-addr=:41234",
        );
        assert_eq!((a.client_addr.as_deref(), a.log, a.log_dest.as_deref()), (Some(":41234"), true, Some("3")));
        assert_eq!(parsed("adit dap -l 127.0.0.1:38697").listen, "127.0.0.1:38697");
        assert_eq!(parsed("adit dap --listen=:0 --only-same-user=false --headless").listen, ":0");
        assert!(!parsed("adit dap --only-same-user=false").only_same_user && parsed("adit dap").only_same_user);
        assert!(!parsed("adit dap --log-output dap").log);
        let all = "adit dap --headless=true --accept-multiclient --api-version=2 --backend=default --disable-aslr --log -r stdout:x";
        assert!(parsed(all).log);
    }
}
