//! The budget at work: stops that may not last are copied and the program goes on; holds; what is due is done.

use super::budget::{Due, Limits, for_copying};
use super::{Host, from_engine};
use crate::backend::audit;
use crate::backend::protocol::*;
use crate::backend::scopes::Scopes;
use crate::engine::control::Go;
use crate::engine::hits::Guard;
use crate::engine::{Engine, Happened};
use crate::model::*;
use std::time::{Duration, Instant};

impl Host {
    /// May the client ask that? It is recorded either way, if it is an action.
    pub(super) fn permitted(&mut self, r: Request) -> Result<Request, Failure> {
        let what =
            self.audit.as_ref().and_then(|a| a.action(&r)).map(|(name, facts)| (name, facts, audit::scopes_of(&r)));
        let permitted = self.may_now().and_then(|s| s.permit(r));
        let (Some(a), Some((name, mut facts, scopes))) = (&mut self.audit, what) else { return permitted };
        if let Some(f) = facts.as_object_mut() {
            f.insert("target".into(), serde_json::json!(self.loaded.as_ref().map(|l| l.pid)));
            f.insert("scope".into(), scopes.into());
            if let Some(p) = &self.by {
                f.insert("client".into(), p.who.clone().into());
            }
            f.insert("granted".into(), permitted.is_ok().into());
        }
        match a.record(name, facts) {
            Err(e) if a.closed => Err(Failure::new(
                FailureKind::Permission,
                format!("the audit log cannot be written: {e}; nothing is done without it"),
            )
            .fix("make room for it, or start the host with --audit-policy open")),
            Err(e) => {
                let text = format!("the audit log cannot be written: {e}");
                self.outbox.notice(Notice::Log { level: LogLevel::Error, text });
                permitted
            }
            Ok(()) => permitted,
        }
    }

    /// What the client at hand may do: what its token or key grants, of what this host grants at all.
    fn may_now(&self) -> Result<Scopes, Failure> {
        match &self.by {
            None => Ok(self.scopes),
            Some(p) => match &p.problem {
                Some(why) => Err(Failure::new(FailureKind::Permission, why.clone()).fix("ask for a new token")),
                None => p.scopes_now().map(|s| s.of(self.scopes)),
            },
        }
    }

    /// The program stood.
    pub(super) fn on_record(&mut self, pauses: &[(Instant, Duration)]) {
        for (began, long) in pauses {
            self.budget.stood(*began, *long);
            if let Some(a) = &mut self.audit {
                // What was asked for is on record; this is what it came to.
                let us = long.as_micros() as u64;
                let _said_with_the_next_action = a.record("stood", serde_json::json!({"pause_us": us}));
            }
        }
    }

    /// What breakpoints may cost.
    pub(super) fn guard(&self) -> Option<Guard> {
        (self.budget.limits().profile == Limits::PROD.profile).then_some(Guard::PRODUCTION)
    }

    pub(super) fn may_write(&self) -> bool {
        self.budget.limits().writes
    }

    pub(super) fn may_not_write(&self) -> Failure {
        let profile = self.budget.limits().profile;
        Failure::new(FailureKind::BadState, format!("profile {profile}: nothing of the process may be changed"))
            .fix("start adit with --profile staging or dev")
    }

    /// Is there time for a stop?
    pub(super) fn may_stop(&mut self) -> Result<(), Failure> {
        self.budget.may_stop(Instant::now()).map_err(|wait| {
            let l = self.budget.limits();
            let all = l.minute.unwrap_or_default().as_millis();
            let message =
                format!("the {all} ms that the program may stand in a minute are spent (profile {})", l.profile);
            Failure::new(FailureKind::Limit, message).fix(format!("in {} s there is time again", wait.as_secs() + 1))
        })
    }

    /// A stop now is copied at once.
    pub(super) fn may_not_last(&self) -> bool {
        !self.budget.is_held() && self.budget.limits().look.is_some_and(|d| d.is_zero())
    }

    /// Copies the process where it stands and lets it go on; the client looks at the copy.
    pub(super) fn keep(&mut self, mut stop: Stop) {
        if let Some(e) = &mut self.engine {
            e.permit_stops(false);
        }
        // Not what is planned, but as it is, should anything go wrong.
        let copied = self.copy_stop();
        let went = self.go_on();
        match (copied, went) {
            (_, Err(f)) => self.end(&f.to_string()),
            (Ok(epoch), _) => {
                stop.epoch = epoch;
                stop.copied = true;
                self.kept = true;
                self.last_stop = Some(stop.clone());
                self.outbox.notice(Notice::Stopped(Box::new(stop)));
            }
            (Err(f), _) => {
                let epoch = self.state().epoch;
                self.outbox.notice(Notice::Stopped(Box::new(stop)));
                self.outbox.notice(Notice::Resumed { epoch });
                let text = format!("no copy of this stop could be taken: {f}; a log point or `hold` may do");
                self.outbox.notice(Notice::Log { level: LogLevel::Warn, text });
            }
        }
    }

    /// Has it run if it stands; says whether it stood.
    fn let_run(&mut self) -> Result<bool, Failure> {
        let Some(e) = self.engine.as_mut().filter(|e| !e.is_gone() && !e.is_running()) else { return Ok(false) };
        e.cancel_step();
        e.proceed(&Go::Continue, None).map_err(|e| from_engine(&e))?;
        Ok(true)
    }

    /// From a stop, without a word to the client; what else happened is told.
    pub(super) fn go_on(&mut self) -> Result<(), Failure> {
        if !self.let_run()? {
            return Ok(());
        }
        let happened = self.engine()?.take_happened();
        self.note_stops(&happened);
        let rest: Vec<Happened> = happened.into_iter().filter(|h| !matches!(h, Happened::Resumed(_))).collect();
        if let Some(e) = &mut self.engine {
            e.put_back(rest);
        }
        Ok(())
    }

    /// How long the copying may take.
    pub(super) fn copy_deadline(&self) -> Option<Instant> {
        let since = self.engine.as_ref().and_then(Engine::standing_since).unwrap_or_else(Instant::now);
        let now = Instant::now();
        self.budget.stop_may_last(since).map(|most| now + for_copying((since + most).saturating_duration_since(now)))
    }

    /// The client is done with the copy of a stop.
    pub(super) fn leave_copy(&mut self) {
        self.kept = false;
        let epoch = self.new_epoch();
        self.forget_copy();
        self.outbox.notice(Notice::Resumed { epoch });
    }

    /// Stops last from now on, or no more.
    pub(super) fn hold(&mut self, on: bool, reason: &str) -> Result<(), Failure> {
        self.engine()?;
        if !on {
            self.budget.release(Instant::now());
            if self.kept {
                self.leave_copy();
            }
            let e = self.engine()?;
            return if e.is_running() { Ok(()) } else { e.proceed(&Go::Continue, None).map_err(|e| from_engine(&e)) };
        }
        self.budget.hold(Instant::now(), reason).map_err(|m| Failure::new(FailureKind::BadRequest, m))?;
        if self.kept {
            self.leave_copy();
        }
        let e = self.engine()?;
        e.permit_stops(true);
        e.pause().map_err(|e| from_engine(&e))
    }

    /// A message came.
    pub(super) fn heard(&mut self, r: &Request) {
        let (alive, key) = match r {
            Request::Alive { key } => (!key, *key),
            Request::Resume { .. } | Request::Pause | Request::Hold { .. } => (false, true),
            _ => (false, false),
        };
        self.budget.heard(Instant::now(), alive, key);
    }

    /// Keeps the books, and does what is due.
    pub(super) fn account(&mut self) {
        let now = Instant::now();
        let mut passed = 0;
        let pauses = self.engine.as_mut().map(Engine::take_pauses).unwrap_or_default();
        self.on_record(&pauses);
        if let Some(e) = &mut self.engine {
            self.budget.standing(e.standing_since().filter(|_| !e.is_gone()));
            let time = self.budget.may_stop(now).is_ok();
            if !self.kept && !time {
                passed = e.take_passed();
            }
            e.permit_stops(!self.kept && time);
        }
        if passed > 0 {
            let text =
                format!("breakpoints were passed {passed} times: the program may not be stopped again this minute");
            self.outbox.notice(Notice::Log { level: LogLevel::Warn, text });
        }
        if let Some(due) = self.budget.due(now) {
            self.do_what_is_due(due);
        }
        let news = self.budget.news();
        if self.told != Some(news) {
            self.told = Some(news);
            self.outbox.notice(Notice::Budget(Box::new(self.budget.state(now))));
        }
    }

    fn do_what_is_due(&mut self, due: Due) {
        let warn = |text: String| Notice::Log { level: LogLevel::Warn, text };
        match due {
            Due::Keep => {
                let Some(stop) = self.last_stop.clone() else { return };
                self.keep(stop);
            }
            Due::Resume(why) => {
                if self.kept {
                    return;
                }
                // First it runs, then it is said why.
                let done = self.let_run();
                if done == Ok(false) {
                    return;
                }
                self.tell();
                match done {
                    Ok(_) => self.outbox.notice(warn(format!("the program goes on: {why}"))),
                    Err(f) => self.end(&f.to_string()),
                }
            }
            Due::Detach(why) => self.end(&why),
            Due::Say(text) => self.outbox.notice(warn(text)),
        }
    }
}
