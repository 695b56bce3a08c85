//! Floor 10: the command line: what was asked for, and which part of the house does it.

pub mod args;
mod build;
mod crash;
pub mod credentials;
mod dap;
mod delve_config;
pub mod demo;
mod doctor;
mod documents;
pub mod host_args;
mod k8s;
mod launch_json;
mod log;
mod remote;
pub mod secrets;
pub mod target;
pub mod wire;

pub use build::test_flags;
pub use documents::{completions, manual};

use crate::backend::client::Client;
use crate::backend::protocol::{Failure, FailureKind, LaunchSpec, PROTOCOL_VERSION, TargetSpec};
use crate::backend::{fetch, oncpu};
use crate::base::text::printable_str;
use crate::model::HeapBy;
use crate::profile::diff::Thresholds;
use crate::{batch, config, tui};
use args::{Cli, Common, Sub};
use clap::{CommandFactory, Parser};
use std::io::{self, BufWriter, IsTerminal, Write};

/// Runs adit; returns the exit code.
pub fn main() -> u8 {
    crash::install();
    let words: Vec<_> = std::env::args_os().collect();
    if dap::is_dap(&words) {
        return adapter(&words);
    }
    let cli = match Cli::try_parse() {
        Ok(c) => c,
        Err(e) => {
            // Help and versions go to the output, errors to the error stream; a closed one is nobody's business.
            let _closed = e.print();
            return if e.use_stderr() { batch::exit::USAGE } else { batch::exit::DONE };
        }
    };
    if let Err(e) = log::init(cli.common.log.as_deref()) {
        let f = Failure::new(FailureKind::BadRequest, format!("--log: {e}"));
        return fail(&f, false, &cli.common);
    }
    let json = wants_json(&cli);
    let trusted = cli.common.cacert.as_deref().map_or(Ok(()), fetch::trust);
    let done = trusted.and_then(|()| run(&cli));
    k8s::leave_all();
    remote::leave_all();
    match done {
        Ok(code) => code,
        // The reader of our output went away, as `head` does: no error of the user's.
        Err(f) if f.kind == FailureKind::Cancelled => batch::exit::DONE,
        Err(f) => fail(&f, json, &cli.common),
    }
}

/// `adit dap`, whose flags are Delve's.
fn adapter(words: &[std::ffi::OsString]) -> u8 {
    match dap::parse(words) {
        Ok(a) => dap::run(&a).unwrap_or_else(|f| fail(&f, false, &Common::default())),
        Err(e) => {
            let _closed = e.print();
            if e.use_stderr() { batch::exit::USAGE } else { batch::exit::DONE }
        }
    }
}

fn fail(f: &Failure, json: bool, common: &Common) -> u8 {
    let style = batch::Style { json, color: color(common, io::stderr().is_terminal()) };
    batch::report(f, style, &mut io::stdout().lock(), &mut io::stderr().lock());
    batch::exit_code(f)
}

fn wants_json(cli: &Cli) -> bool {
    match &cli.command {
        Some(Sub::Goroutines(g)) => g.json,
        Some(Sub::Diagnose(d)) => d.json,
        Some(Sub::Refs(r)) => r.json,
        Some(Sub::Prof(p)) => p.json,
        Some(Sub::Timeline(t)) => t.json,
        Some(Sub::K8s(k)) => k.what.json(),
        Some(Sub::Waits { json, .. }) => *json,
        Some(
            Sub::Stack { json, .. } | Sub::Snapshot { json, .. } | Sub::Doctor { json, .. } | Sub::Rescue { json, .. },
        ) => *json,
        _ => false,
    }
}

/// Colours in plain output?
fn color(common: &Common, terminal: bool) -> bool {
    let set = |k: &str| std::env::var_os(k).is_some_and(|v| !v.is_empty());
    match common.color {
        args::Color::Never => false,
        args::Color::Auto => !set("NO_COLOR") && (terminal || set("CLICOLOR_FORCE")),
        _ => true,
    }
}

fn run(cli: &Cli) -> Result<u8, Failure> {
    let common = &cli.common;
    let Some(sub) = &cli.command else {
        let Some(target) = &cli.target else {
            let mut help = Cli::command();
            let _closed = help.print_help();
            return Ok(batch::exit::USAGE);
        };
        if let Some(done) = full_screen_elsewhere(common, target, false) {
            return done;
        }
        return open_screen(common, target::spec_of(target, None)?);
    };
    match sub {
        Sub::Attach { target, exe } => {
            if let Some(done) = full_screen_elsewhere(common, target, true) {
                return done;
            }
            let bad = |_| {
                let text = format!("{}: no process id", printable_str(target, 100));
                Failure::new(FailureKind::BadRequest, text)
                    .fix("adit attach PID, ssh://[USER@]HOST/PID or k8s://[NAMESPACE/]POD")
            };
            let pid = target.parse().map_err(bad)?;
            full_screen(common, TargetSpec::Attach { pid, exe: exe.clone(), control: true }, None, false)
        }
        Sub::Connect { address, exe } => {
            let mut spec = target::remote(address, exe.clone())?;
            let mut common = common.clone();
            // Delve's rules first: of two that fit, the one given last is taken.
            common.substitute_path = delve_config::rules().into_iter().chain(common.substitute_path).collect();
            spec.rules.clone_from(&common.substitute_path);
            full_screen(&common, TargetSpec::Delve(spec), None, false)
        }
        Sub::Core { bin, core } => open_screen(common, target::file(core, Some(bin.clone()))?),
        Sub::Open { file, exe } => open_screen(common, target::file(file, exe.clone())?),
        Sub::Exec { bin, args } => {
            let exe = std::fs::canonicalize(bin).map_err(|e| {
                Failure::new(FailureKind::BadBinary, format!("{}: {e}", bin.display())).fix("name an executable file")
            })?;
            launch(common, LaunchSpec { exe, args: args.clone(), ..LaunchSpec::default() }, false)
        }
        Sub::Debug { package, args } => {
            needs_terminal()?;
            let b = build::build(common, package, false)?;
            let spec = LaunchSpec { exe: b.exe, args: args.clone(), build: Some(b.spec), ..LaunchSpec::default() };
            launch(common, spec, false)
        }
        Sub::Test { package, args } => {
            needs_terminal()?;
            let b = build::build(common, package, true)?;
            let spec = LaunchSpec {
                exe: b.exe,
                args: test_flags(args),
                // `go test` runs tests in the package's folder.
                cwd: Some(b.dir),
                build: Some(b.spec),
                ..LaunchSpec::default()
            };
            launch(common, spec, false)
        }
        Sub::Launch { name } => {
            needs_terminal()?;
            let (spec, rules) = launch_json::target(common, name.as_deref())?;
            let mut common = common.clone();
            common.substitute_path.extend(rules);
            full_screen(&common, spec, None, false)
        }
        Sub::Demo => {
            needs_terminal()?;
            launch(common, demo::build(common)?, true)
        }
        Sub::Goroutines(g) => {
            let args = batch::Goroutines {
                stack: g.stack,
                defers: g.defers,
                all: g.all,
                group: g.by(),
                filter: g.filter.clone().unwrap_or_default(),
                style: style(common, g.json),
            };
            let (mut client, target) = target::open(common, &g.target, g.exe.clone(), g.consistent)?;
            batch::goroutines(&mut client, &target, &args, &mut out())
        }
        Sub::Stack { target, id, exe, depth, json } => {
            let args = batch::StackOf { goroutine: *id, depth: *depth, style: style(common, *json) };
            let (mut client, target) = target::open(common, target, exe.clone(), false)?;
            batch::stack(&mut client, &target, &args, &mut out())
        }
        Sub::Diagnose(d) => {
            let args = batch::Diagnose {
                min: d.class(),
                no_heap: d.no_heap,
                mutes: d.mute.clone(),
                style: style(common, d.json),
            };
            let (mut client, target) = target::open(common, &d.target, d.exe.clone(), d.consistent)?;
            batch::diagnose(&mut client, &target, &args, &mut out())
        }
        Sub::Refs(r) => {
            let args = batch::RefsOf {
                object: r.object.clone(),
                goroutine: r.goroutine,
                frame: r.frame,
                by: if r.by == "site" { HeapBy::Site } else { HeapBy::Type },
                count: r.top,
                style: style(common, r.json),
            };
            let (mut client, target) = target::open(common, &r.target, r.exe.clone(), r.consistent)?;
            batch::refs(&mut client, &target, &args, &mut out())
        }
        Sub::Prof(p) => profile(common, p),
        Sub::Waits { target, goroutine, exe, consistent, json } => {
            let args = batch::WaitsOf { goroutine: *goroutine, style: style(common, *json) };
            let (mut client, target) = target::open(common, target, exe.clone(), *consistent)?;
            batch::waits(&mut client, &target, &args, &mut out())
        }
        Sub::Timeline(t) => {
            let args = batch::TimelineOf {
                millis: (t.seconds.clamp(0.0, 86_400.0) * 1_000.0) as u64,
                columns: t.columns,
                threads: t.threads,
                code: t.code,
                ascii: common.ascii,
                by: t.by(),
                of: t.of(),
                style: style(common, t.json),
            };
            if t.strict {
                crate::backend::traced::check(&t.target)?;
            }
            let (mut client, target) = target::open(common, &t.target, t.exe.clone(), false)?;
            batch::timeline(&mut client, &target, &args, &mut out())
        }
        Sub::Snapshot { target, output, force, exe, json } => {
            let (mut client, target) = target::open(common, target, exe.clone(), false)?;
            let args = batch::Snapshot { file: output.clone(), force: *force, style: style(common, *json) };
            batch::snapshot(&mut client, &target, &args, &mut out())
        }
        Sub::Doctor { pid, json } => wire::doctor(*pid, *json),
        Sub::Rescue { pid, all, json } => wire::rescue(*pid, *all, *json),
        // Reached with flags of adit's own before it.
        Sub::Dap { args } => {
            let words: Vec<_> =
                ["adit", "dap"].into_iter().map(Into::into).chain(args.iter().map(Into::into)).collect();
            Ok(adapter(&words))
        }
        Sub::Host(h) if h.protocol => print(format!("{} {PROTOCOL_VERSION}\n", env!("CARGO_PKG_VERSION")).as_bytes()),
        Sub::Host(h) => wire::host_main(h, common),
        Sub::K8s(k) => k8s::run(common, &k.what),
        Sub::Inside(i) => k8s::inside_main(i, common),
        Sub::Audit { what: args::AuditSub::Verify { file, json } } => wire::audit_verify(file, *json),
        Sub::Token { what } => print(credentials::token(what)?.as_bytes()),
        Sub::Key { new } => print(credentials::key(*new)?.as_bytes()),
        Sub::Guard { journal, hook } => wire::guard_main(journal, hook),
        Sub::Completions { shell } => print(&completions(*shell)),
        Sub::Man => print(&manual()),
    }
}

/// Reports, or the screen where nothing else was asked for.
fn profile(common: &Common, p: &args::ProfArgs) -> Result<u8, Failure> {
    let written = p.svg.is_some() || p.folded.is_some();
    let asked = p.report();
    let terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    let narrowed = p.kind.is_some() || p.focus.is_some() || p.ignore.is_some() || p.hide.is_some() || !p.tag.is_empty();
    if asked.is_none() && !written && !p.json && !narrowed && terminal {
        return full_screen(
            common,
            TargetSpec::Profile { sources: absolute(&sampled(p, &p.files)), base: absolute(&sampled(p, &p.diff)) },
            None,
            false,
        );
    }
    let args = batch::Prof {
        files: sampled(p, &p.files),
        base: sampled(p, &p.diff),
        report: asked.or((!written).then_some(batch::ReportOf::Top)),
        top: p.top.unwrap_or(batch::PROFILE_ROWS),
        kind: p.kind.clone(),
        lines: p.lines,
        focus: p.focus.clone(),
        ignore: p.ignore.clone(),
        hide: p.hide.clone(),
        tags: p.tag.clone(),
        normalize: p.normalize,
        thresholds: Thresholds { min_samples: p.min_samples, min_change: p.min_change / 100.0 },
        svg: p.svg.clone(),
        folded: p.folded.clone(),
        substitute: common.substitute_path.clone(),
        style: style(common, p.json),
    };
    batch::prof(&args, &mut out())
}

/// A process id where there is no such file is a process to be sampled.
fn sampled(p: &args::ProfArgs, files: &[String]) -> Vec<String> {
    let named = |f: &String| match f.parse::<i32>() {
        Ok(pid) if pid > 0 && !std::path::Path::new(f).exists() => oncpu::source(pid, p.seconds),
        _ => f.clone(),
    };
    files.iter().map(named).collect()
}

/// The host may have another working directory one day.
fn absolute(files: &[String]) -> Vec<String> {
    let whole = |f: &String| std::path::absolute(f).map_or_else(|_| f.clone(), |p| p.display().to_string());
    files.iter().map(|f| if fetch::is_url(f) || f.starts_with(oncpu::SCHEME) { f.clone() } else { whole(f) }).collect()
}

fn style(common: &Common, json: bool) -> batch::Style {
    batch::Style { json, color: !json && color(common, io::stdout().is_terminal()) }
}

fn out() -> BufWriter<io::Stdout> {
    BufWriter::with_capacity(1 << 16, io::stdout())
}

fn print(text: &[u8]) -> Result<u8, Failure> {
    let mut o = out();
    o.write_all(text)
        .and_then(|()| o.flush())
        .map_err(|e| Failure::new(FailureKind::Cancelled, format!("output: {e}")))?;
    Ok(batch::exit::DONE)
}

/// What there is to look at, nothing stopped: a process in observe mode, or a file.
fn open_screen(common: &Common, spec: TargetSpec) -> Result<u8, Failure> {
    full_screen(common, spec, None, false)
}

/// Before a build that takes its time: the full screen needs a terminal.
fn needs_terminal() -> Result<(), Failure> {
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        return Ok(());
    }
    Err(Failure::new(FailureKind::Unavailable, "the full screen needs a terminal")
        .fix("run it in a terminal, or use a one-shot: adit goroutines PID, adit stack PID ID"))
}

fn launch(common: &Common, mut spec: LaunchSpec, demo: bool) -> Result<u8, Failure> {
    if let Some(dir) = &common.cwd {
        spec.cwd = Some(dir.clone());
    }
    spec.env.extend(common.env.iter().cloned());
    spec.tty = common.tty.clone();
    if spec.size == (0, 0) {
        spec.size = (80, 24);
    }
    full_screen(common, TargetSpec::Launch(spec), None, demo)
}

fn full_screen(common: &Common, spec: TargetSpec, workspace: Option<u8>, demo: bool) -> Result<u8, Failure> {
    full_screen_at(common, None, spec, workspace, demo)
}

/// As [`full_screen`], of a host elsewhere; none if that is not what the word names.
fn full_screen_elsewhere(common: &Common, word: &str, control: bool) -> Option<Result<u8, Failure>> {
    if k8s::is_address(word) {
        return Some(needs_terminal().and_then(|()| k8s::full_screen(common, word, control)));
    }
    let open = |(place, spec)| {
        needs_terminal()?;
        full_screen_at(common, Some(remote::connect(&place, common)?), spec, None, false)
    };
    remote::parse(word, control).map(|found| found.map(open)).unwrap_or_else(|f| Some(Err(f)))
}

/// `--redact` is refused for a host elsewhere.
fn not_ours_to_hide(common: &Common) -> Result<(), Failure> {
    let Some(_) = common.redact.said() else { return Ok(()) };
    let text = "whoever runs the host there decides what is hidden";
    Err(Failure::new(FailureKind::BadRequest, text)
        .fix("start the host with --redact; `reveal REASON` shows secrets to who has the scope read:secrets"))
}

fn full_screen_at(
    common: &Common,
    elsewhere: Option<Client>,
    spec: TargetSpec,
    workspace: Option<u8>,
    demo: bool,
) -> Result<u8, Failure> {
    needs_terminal()?;
    let config = config::load(config::config_dir().as_deref());
    let keep = !common.no_state && config.settings.state.unwrap_or(true);
    let name = match &spec {
        TargetSpec::Launch(l) => l.exe.to_string_lossy().into_owned(),
        // Files come and go, and a server's breakpoints are several clients': nothing is kept for them.
        TargetSpec::File { .. } | TargetSpec::Profile { .. } | TargetSpec::Here | TargetSpec::Delve(_) => String::new(),
        _ if elsewhere.is_some() => String::new(),
        TargetSpec::Attach { pid, exe, .. } => match exe {
            Some(e) => e.to_string_lossy().into_owned(),
            None => std::fs::read_link(format!("/proc/{pid}/exe"))
                .map_or_else(|_| String::new(), |p| p.to_string_lossy().into_owned()),
        },
    };
    let state = config::state_dir().filter(|_| keep && !name.is_empty()).map(|d| (d, name));
    let client = match elsewhere {
        Some(c) => not_ours_to_hide(common).map(|()| c)?,
        None => wire::connect_host(common)?,
    };
    let options = tui::Options {
        target: Some(spec),
        theme: common.theme.clone(),
        keys: common.keys.clone(),
        ascii: common.ascii,
        color: common.color.choice(),
        low_bandwidth: common.low_bandwidth,
        mouse: false,
        workspace,
        demo,
        substitute_path: common.substitute_path.clone(),
        config,
        state,
    };
    match tui::run(client, options)? {
        tui::Outcome::Left => Ok(batch::exit::DONE),
        tui::Outcome::Signal(n) => Ok(u8::try_from(128 + n).unwrap_or(batch::exit::INTERRUPTED)),
        tui::Outcome::Failed(f) => Err(f),
    }
}
