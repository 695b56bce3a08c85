//! `configurationDone`: the editor has said what it wants; the program is set going.

use super::message::{Call, Trouble, sentence};
use super::session::{Going, Phase, Session};
use crate::backend::protocol::*;
use crate::model::{Stop, StopReason};
use serde_json::{Value, json};

impl Session {
    pub async fn configuration_done(&mut self, c: &Call) -> Result<(), Trouble> {
        self.out.console("Type 'dlv help' for list of commands.");
        self.out.respond(c, Value::Null);
        if self.phase != Phase::Configuring {
            return Ok(());
        }
        self.phase = Phase::Live;
        if self.target.dead {
            self.show_dead();
            return Ok(());
        }
        let launched = self.target.info.launched;
        match (launched, self.config.stop_on_entry) {
            (true, true) => {
                self.going = Going::ToEntry;
                let to = Request::Resume { kind: ResumeKind::To("main.main".into()), goroutine: None };
                match self.ask(to).await {
                    Ok(_) => self.running = true,
                    // A program without a main.main that can be found stands at its first instruction.
                    Err(f) => self.stopped_here(&sentence(&f)),
                }
            }
            (true, false) => self.go_on().await,
            (false, _) if self.untold.is_some() => {
                if let Some(body) = self.untold.take() {
                    self.out.event("stopped", body);
                }
            }
            (false, true) => {
                self.going = Going::ToEntry;
                if let Err(f) = self.ask(Request::Pause).await {
                    self.out.console(&sentence(&f));
                }
            }
            (false, false) => {}
        }
        Ok(())
    }

    /// Continues; what goes wrong is a stop that says so.
    pub async fn go_on(&mut self) {
        self.going = Going::On;
        match self.ask(Request::Resume { kind: ResumeKind::Continue, goroutine: None }).await {
            Ok(_) => self.running = true,
            Err(f) => self.stopped_here(&sentence(&f)),
        }
    }

    /// A stop without a move: why.
    pub fn stopped_here(&mut self, why: &str) {
        let body = json!({
            "reason": "exception", "description": "runtime error", "text": why,
            "threadId": self.thread_of_stop(), "allThreadsStopped": true,
        });
        self.exception = Some(("runtime error".into(), why.to_string()));
        self.out.event("stopped", body);
    }

    /// A core or snapshot stands for ever.
    fn show_dead(&mut self) {
        let thread = self.thread_of_stop();
        let mut body = json!({"reason": "pause", "threadId": thread, "allThreadsStopped": true});
        if let Some(Stop { reason: StopReason::UnrecoveredPanic(m), .. }) = &self.stop {
            body["reason"] = json!("exception");
            body["description"] = json!("panic");
            body["text"] = json!(m);
        }
        self.out.event("stopped", body);
    }
}
