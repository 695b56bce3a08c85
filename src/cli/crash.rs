//! What happens when adit itself fails: the terminal comes back, a report is written, the target is let go.

use crate::base::redact::{Patterns, Redaction};
use std::{io::Write, path::PathBuf, sync::Once};

static ONCE: Once = Once::new();

/// Sets the panic hook.
pub fn install() {
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            let fatal = crate::tui::terminal::panic_ends_it();
            if fatal {
                crate::tui::terminal::restore();
            }
            let place = info.location().map_or(String::new(), |l| format!(" at {}:{}", l.file(), l.line()));
            let mut what = info
                .payload()
                .downcast_ref::<&str>()
                .map(|s| s.to_string())
                .or_else(|| info.payload().downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "no message".into());
            // A message may quote what was being read.
            if let Ok(x) = Redaction::new(Patterns::default()) {
                x.set(true);
                x.clean(&mut what);
            }
            let thread = std::thread::current().name().unwrap_or("?").to_string();
            let mut report = format!("adit {} failed{place} (thread {thread}): {what}\n\n", env!("CARGO_PKG_VERSION"));
            report.push_str(&format!("{}\n\n", std::backtrace::Backtrace::force_capture()));
            for l in super::log::last_lines() {
                report.push_str(&l);
                report.push('\n');
            }
            let written = write(&report);
            if !fatal {
                // A worker's: the screen goes on, the log says what is missing.
                tracing::error!("a part of adit failed{place}: {what}");
                return;
            }
            let mut err = std::io::stderr().lock();
            let _nobody = writeln!(err, "adit failed{place}: {what}");
            let _nobody = writeln!(err, "the host puts the target's text back and lets it run on");
            if let Some(path) = written {
                let _nobody = writeln!(err, "report: {}", path.display());
            }
        }));
    });
}

fn write(report: &str) -> Option<PathBuf> {
    let folder = crate::config::state_dir().unwrap_or_else(std::env::temp_dir);
    let name = format!("crash-{}.txt", std::process::id());
    std::fs::create_dir_all(&folder).ok()?;
    let path = folder.join(name);
    std::fs::write(&path, report).ok()?;
    Some(path)
}
