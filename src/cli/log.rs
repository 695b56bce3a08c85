//! Logs: never to the screen. A file if asked for, and the last lines in memory, which a crash writes down.

use crate::base::{ring::Ring, text::printable_str};
use std::{
    fmt::Write as _,
    fs::File,
    io::Write as _,
    path::Path,
    sync::{Mutex, OnceLock},
};
use tracing::{Event, Level, Subscriber, field::Visit};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt, util::SubscriberInitExt};

/// Lines kept for a crash.
const KEEP: usize = 2_000;

static LAST: OnceLock<Mutex<Ring<String>>> = OnceLock::new();

struct Lines {
    file: Option<Mutex<File>>,
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        let _string = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn enabled(&self, m: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        *m.level() <= Level::INFO && m.target().starts_with("adit")
    }
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        let level = event.metadata().level();
        let line = format!("{} {level:<5} {}", crate::session::utc_clock(), printable_str(&text.0, 2_000));
        if let Some(f) = &self.file
            && let Ok(mut f) = f.lock()
        {
            // A full disk must not end a session.
            let _lost = writeln!(f, "{line}");
        }
        if let Ok(mut last) = LAST.get_or_init(|| Mutex::new(Ring::new(KEEP))).lock() {
            last.push(line);
        }
    }
}

/// Begins logging.
pub fn init(file: Option<&Path>) -> std::io::Result<()> {
    let file = match file {
        Some(path) => Some(Mutex::new(File::options().create(true).append(true).open(path)?)),
        None => None,
    };
    // A second call (tests) keeps the first.
    let _already = tracing_subscriber::registry().with(Lines { file }).try_init();
    Ok(())
}

/// The last lines, for a crash report.
pub fn last_lines() -> Vec<String> {
    match LAST.get().map(Mutex::try_lock) {
        Some(Ok(ring)) => ring.iter().cloned().collect(),
        _ => Vec::new(),
    }
}
