//! Flags about secrets, and what the configuration says of them.

use super::args::Profile;
use crate::backend::protocol::{Failure, FailureKind};
use crate::base::redact::{Patterns, Redaction};
use crate::config;
use clap::{Args, ValueEnum};
use std::sync::Arc;

/// On, or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// On
    On,
    /// Off
    Off,
}

/// `--redact`.
#[derive(Args, Clone, Debug, Default)]
pub struct RedactArgs {
    /// Hide what looks like a secret, by name or shape: on in profile prod, else off
    #[arg(long = "redact", global = true, value_name = "WHEN", value_enum)]
    pub when: Option<Switch>,
}

impl RedactArgs {
    /// As was said, if it was.
    pub fn said(&self) -> Option<bool> {
        self.when.map(|w| w == Switch::On)
    }

    /// For a one-shot, which launches nothing.
    pub fn for_reading(&self, profile: Profile) -> bool {
        self.said().unwrap_or(profile == Profile::Prod)
    }
}

/// With the patterns of `[redact]` in the user's configuration.
pub fn redaction() -> Result<Arc<Redaction>, Failure> {
    let c = config::load(config::config_dir().as_deref()).settings.redact;
    let patterns = Patterns::new(&c.names, &c.shapes, &c.show)
        .map_err(|e| Failure::new(FailureKind::BadRequest, e).fix("[redact] in config.toml"))?;
    let made = Redaction::new(patterns)
        .map_err(|e| Failure::new(FailureKind::Internal, format!("no random numbers for redaction: {e}")))?;
    Ok(Arc::new(made))
}
