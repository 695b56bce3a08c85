//! What happened, for the Log pane: the last lines only, and never values above what the user asked to see.

use crate::backend::protocol::LogLevel;
use crate::base::{ring::Ring, text};

/// Lines kept.
pub const LOG_LINES: usize = 2_000;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Clock time when it came.
    pub time: String,
    /// How important.
    pub level: LogLevel,
    /// Escaped text.
    pub text: String,
}

/// The ring behind the Log pane.
pub struct Log {
    lines: Ring<LogLine>,
}

impl Default for Log {
    fn default() -> Self {
        Log { lines: Ring::new(LOG_LINES) }
    }
}

impl Log {
    /// Adds text, line by line, escaped and capped; it goes to the log file, too.
    pub fn push(&mut self, time: &str, level: LogLevel, text: &str) {
        for line in text.lines() {
            match level {
                LogLevel::Error => tracing::error!("{line}"),
                LogLevel::Warn => tracing::warn!("{line}"),
                LogLevel::Info => tracing::info!("{line}"),
            }
        }
        self.push_here_only(time, level, text);
    }
    /// Adds text that may hold values of the target: it stays in memory.
    pub fn push_here_only(&mut self, time: &str, level: LogLevel, text: &str) {
        for line in text.lines() {
            let text = text::printable_str(&line.replace('\t', "    "), 2_000);
            self.lines.push(LogLine { time: time.to_string(), level, text });
        }
    }
    /// Oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &LogLine> + ExactSizeIterator {
        self.lines.iter()
    }
    /// Lines held.
    pub fn len(&self) -> usize {
        self.lines.len()
    }
    /// None yet?
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
    /// Lines that were pushed out.
    pub fn dropped(&self) -> u64 {
        self.lines.dropped()
    }
}
