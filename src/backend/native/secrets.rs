//! When secrets are hidden, and how they come to be shown.

use super::Host;
use super::budget::Limits;
use crate::backend::protocol::*;
use crate::backend::scopes::Scope;
use std::path::Path;

/// What to ask for instead.
const REVEAL: &str = "`reveal REASON` shows secrets (scope read:secrets); what looks like none can be printed as it is";

impl Host {
    /// Decides for a target that is being opened: as was said, or in `prod`, where it was not launched to be debugged.
    pub(super) fn hide_secrets(&mut self, spec: &TargetSpec) {
        let ours = matches!(spec, TargetSpec::Launch(_));
        let on = self.redact.unwrap_or(self.budget.limits().profile == Limits::PROD.profile && !ours);
        self.redaction.set(on);
    }

    /// Shows them from now on, for a reason that is on record; without one, hides them again.
    pub(super) fn reveal(&mut self, reason: &str) {
        match reason.trim() {
            "" => {
                let spec = self.opened.as_ref().map(|o| o.0.clone()).unwrap_or(TargetSpec::Here);
                self.hide_secrets(&spec);
            }
            _ => self.redaction.set(false),
        }
        if let Some(i) = &self.inspector {
            i.forget();
        }
        let what = if self.redaction.is_on() { "hidden" } else { "shown" };
        let text = format!("secrets are {what} from now on");
        self.outbox.notice(Notice::Log { level: LogLevel::Warn, text });
    }

    /// What cannot be redacted is not done while secrets are hidden.
    pub(super) fn whole_only(&mut self, r: Request) -> Result<Request, Failure> {
        if !self.redaction.is_on() {
            return Ok(r);
        }
        let no = |what: &str| Err(Failure::new(FailureKind::Permission, what).fix(REVEAL));
        match &r {
            Request::Memory { .. } => no("raw memory holds secrets as they are, and they are hidden here"),
            Request::Registers(_) => no("registers hold what is hidden here as it is"),
            // Where nothing may be changed there are no calls anyway.
            Request::Call { .. } if self.may_write() => {
                no("what a call makes of hidden values could not be told from other text")
            }
            Request::Snapshot { file: Some(f) } => self.raw_file(f).map(|()| r),
            Request::SetTrigger(t) => match &t.action {
                crate::model::TriggerAction::Snapshot(f) => self.raw_file(f).map(|()| r),
                crate::model::TriggerAction::Stop => Ok(r),
            },
            _ => Ok(r),
        }
    }

    /// A file with all that is in memory: only for who may see secrets, and not without a word.
    fn raw_file(&mut self, file: &Path) -> Result<(), Failure> {
        let may = self.by.as_ref().map_or(self.scopes, |p| p.scopes.of(self.scopes));
        if !may.has(Scope::ReadSecrets) {
            let text = "a copy in a file holds secrets as they are: it needs the scope read:secrets, too";
            return Err(Failure::new(FailureKind::Permission, text).fix("whoever started the host grants it"));
        }
        let text = format!("{} will hold all that is in memory, secrets as they are", file.display());
        self.outbox.notice(Notice::Log { level: LogLevel::Warn, text });
        Ok(())
    }
}
