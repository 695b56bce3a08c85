//! The entry: takes the terminal, opens the target, runs until the user leaves, gives everything back.

use super::app::App;
use super::event_loop::{self, End};
use super::highlight::Highlighter;
use super::keymap::KeyMap;
use super::look::Look;
use super::terminal::Tty;
use super::theme::{ColorChoice, Palette, Theme};
use crate::backend::client::Client;
use crate::backend::protocol::{Failure, FailureKind, TargetSpec};
use crate::config::{Config, state};
use crate::model::BreakpointSpec;
use crate::session::{Session, Start, Tone};
use std::{path::PathBuf, sync::Arc};
use tokio::sync::Notify;

/// How the screen is to be; what is none is as the files of the user say.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What to open.
    pub target: Option<TargetSpec>,
    /// Theme.
    pub theme: Option<String>,
    /// Key map.
    pub keys: Option<String>,
    /// ASCII only.
    pub ascii: bool,
    /// Colours.
    pub color: ColorChoice,
    /// Send as little as possible.
    pub low_bandwidth: bool,
    /// Mouse from the start.
    pub mouse: bool,
    /// The first workspace.
    pub workspace: Option<u8>,
    /// Show the newcomer's note.
    pub demo: bool,
    /// Rules for finding sources.
    pub substitute_path: Vec<(String, String)>,
    /// The user's files.
    pub config: Config,
    /// Where breakpoints are kept between sessions, and under which name; none for nowhere.
    pub state: Option<(PathBuf, String)>,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The user left.
    Left,
    /// A signal ended it.
    Signal(i32),
    /// The target could not be opened.
    Failed(Failure),
}

fn io_failure(e: std::io::Error) -> Failure {
    Failure::new(FailureKind::Internal, format!("terminal: {e}"))
        .fix("run it in a terminal, or use a one-shot: adit goroutines PID")
}

/// Runs the full screen.
pub fn run(mut client: Client, options: Options) -> Result<Outcome, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new(FailureKind::Internal, format!("event loop: {e}")))?;
    let wake = Arc::new(Notify::new());
    let (mut app, mouse, low) = prepare(&options, {
        let wake = wake.clone();
        move || wake.notify_one()
    });
    let term = std::env::var("TERM").unwrap_or_default();
    let sync = !low && !matches!(term.as_str(), "" | "dumb" | "linux" | "vt100" | "vt220");
    let mut tty = Tty::enter(sync, mouse).map_err(io_failure)?;
    super::hangup::watch();
    let end = runtime.block_on(event_loop::run(&mut app, &mut client, &mut tty, wake, low));
    drop(tty);
    keep(&mut app, &options);
    // A reader of keys may sit in a blocking call; it must not hold up the way out.
    runtime.shutdown_background();
    if let Some(f) = app.session.open_failure.take() {
        return Ok(Outcome::Failed(f));
    }
    match end.map_err(io_failure)? {
        End::Quit => Ok(Outcome::Left),
        End::Signal(n) => Ok(Outcome::Signal(n)),
        End::Hangup => Ok(Outcome::Signal(nix::libc::SIGHUP)),
    }
}

/// Makes the app: session, theme, keys. Also: mouse, low bandwidth.
pub fn prepare(o: &Options, wake: impl Fn() + Send + 'static) -> (App, bool, bool) {
    let set = &o.config.settings;
    let low = o.low_bandwidth || set.low_bandwidth;
    let kept = o.state.as_ref().map(|(dir, exe)| state::load(dir, exe)).unwrap_or_default();
    let mut rules: Vec<(String, String)> = set.substitute_path.iter().map(|r| (r.from.clone(), r.to.clone())).collect();
    rules.extend(o.substitute_path.iter().cloned());
    let breakpoints: Vec<BreakpointSpec> = kept.breakpoints;
    let mut mutes = kept.mutes;
    mutes.extend(set.mute.iter().filter(|m| !m.is_empty()).cloned());
    let mut session = Session::new(Start { target: o.target.clone(), breakpoints, substitute: rules, mutes });

    let color = match (o.color, set.color.as_deref()) {
        (ColorChoice::Auto, Some("always")) => ColorChoice::Always,
        (ColorChoice::Auto, Some("never")) => ColorChoice::Never,
        (ColorChoice::Auto, Some("true")) => ColorChoice::True,
        (ColorChoice::Auto, Some("256")) => ColorChoice::Indexed,
        (ColorChoice::Auto, Some("16")) => ColorChoice::Ansi,
        (c, _) => c,
    };
    let env = |k: &str| std::env::var(k).ok();
    let palette = Palette::choose(color, low, env);
    let user = o.config.theme.clone();
    let name =
        o.theme.clone().or(set.theme.clone()).or(user.as_ref().map(|u| u.name.clone()).filter(|n| !n.is_empty()));
    let name = name.unwrap_or_else(|| if palette == Palette::Mono { "mono".into() } else { "dark".into() });
    let (theme, mut problems) = Theme::build(&name, user.as_ref(), palette);
    let preset = o.keys.clone().or(set.keys.clone()).unwrap_or_else(|| "default".into());
    let mut file = crate::config::keys::preset(&preset).unwrap_or_else(|| {
        problems.push(format!("no key map {preset}; using default"));
        crate::config::keys::preset("default").unwrap_or_default()
    });
    if let Some(mine) = &o.config.keys {
        file.patch(mine);
    }
    let (keys, more) = KeyMap::build(&file);
    problems.extend(more);
    problems.extend(o.config.problems.iter().map(|p| p.text.clone()));
    for p in &problems {
        session.say(Tone::Warn, p);
    }
    let ascii = o.ascii || set.ascii || ascii_only(env);
    let mut app = App::new(session, Look { theme, ascii }, keys, Highlighter::new(wake));
    app.theme = Box::new(move |n| Theme::build(n, user.as_ref(), palette).0);
    app.layouts = kept.layout;
    app.session.timeline.slow = low;
    if set.diff.min_samples.is_some() || set.diff.min_change.is_some() {
        let (samples, percent) = crate::model::DIFF_THRESHOLDS;
        let t = (set.diff.min_samples.unwrap_or(samples), set.diff.min_change.unwrap_or(percent));
        app.session.profile.thresholds = Some(t);
    }
    app.welcome = o.demo;
    app.first_workspace = o.workspace;
    (app, o.mouse || set.mouse, low)
}

/// Terminals and locales that cannot show more than ASCII.
fn ascii_only(env: impl Fn(&str) -> Option<String>) -> bool {
    let term = env("TERM").unwrap_or_default();
    if matches!(term.as_str(), "linux" | "dumb" | "vt100" | "vt220") {
        return true;
    }
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|k| env(k).filter(|v| !v.is_empty()));
    // Without any locale most terminals of today are UTF-8 (containers set none).
    locale.is_some_and(|l| {
        let l = l.to_lowercase();
        !l.contains("utf-8") && !l.contains("utf8") && l != "c" && l != "posix"
    })
}

/// Keeps breakpoints for the next session with this program.
fn keep(app: &mut App, o: &Options) {
    let Some((dir, exe)) = &o.state else { return };
    if app.session.target.is_none() {
        return;
    }
    app.put_layout_by();
    // In observe mode there are no breakpoints of ours: those of earlier sessions stay.
    let breakpoints = match app.session.control() {
        true => app.session.breakpoints_to_keep(),
        false => state::load(dir, exe).breakpoints,
    };
    // What the configuration mutes is not this program's.
    let everywhere = &o.config.settings.mute;
    let mutes = app.session.triage.mutes.iter().filter(|m| !everywhere.contains(m)).cloned().collect();
    let state = state::State { exe: exe.clone(), breakpoints, layout: app.layouts.clone(), mutes, welcomed: true };
    if let Err(e) = state::save(dir, &state) {
        tracing::warn!("state was not kept: {e}");
    }
}
