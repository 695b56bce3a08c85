//! The end of a session: disconnect, terminate, and an editor that vanished.
//!
//! What was launched ends with the session; what was attached to runs on, unless the user asked for its end in so many words.

use super::message::{Call, Trouble, id, sentence};
use super::session::{Phase, Session};
use super::types::Disconnect;
use crate::backend::protocol::*;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::time::{Duration, Instant};

/// How long a process may take to end itself when it was asked to, before it is killed.
const GRACE: Duration = Duration::from_secs(2);

impl Session {
    pub async fn disconnect(&mut self, c: &Call) -> Result<(), Trouble> {
        let a: Disconnect = c.args()?;
        let wanted = a.terminate_debuggee == Some(true);
        let done = self.let_go(wanted).await;
        match done {
            Ok(()) => self.out.respond(c, Value::Null),
            Err(f) => {
                self.out.refuse(c, &Trouble::new(id::DISCONNECT, "Error while disconnecting", sentence(&f)));
            }
        }
        self.finish_output().await;
        self.ended();
        self.over = true;
        Ok(())
    }

    /// Ends what was launched, lets go what was attached to. `kill` is the user's wish to end the latter, too.
    async fn let_go(&mut self, kill: bool) -> Result<(), Failure> {
        if self.host.is_none() {
            return Ok(());
        }
        let launched = self.target.info.launched;
        if self.phase == Phase::Ended || self.target.dead {
            self.out.console("Detaching");
        } else if launched || kill {
            self.out.console("Detaching and terminating target process");
        } else {
            self.out.console("Detaching without terminating target process");
        }
        let result = self.ask(Request::Detach { kill: launched }).await;
        self.host = None;
        match result {
            Ok(_) => {}
            // It ended by itself meanwhile.
            Err(f) if matches!(f.kind, FailureKind::Gone | FailureKind::Host) => return Ok(()),
            Err(f) => return Err(f),
        }
        if kill && !launched && self.phase != Phase::Ended && !self.target.dead {
            self.end_attached().await;
        }
        Ok(())
    }

    /// The user asked to end a program that was attached to, and we are off it: as one would from a shell, gently first.
    async fn end_attached(&mut self) {
        let Some(pid) = self.target.info.pid.filter(|p| *p > 1).map(Pid::from_raw) else { return };
        let _gone_is_what_is_wanted = kill(pid, Signal::SIGTERM);
        let patience = Instant::now() + GRACE;
        while kill(pid, None).is_ok() {
            if Instant::now() > patience {
                let _gone_is_what_is_wanted = kill(pid, Signal::SIGKILL);
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// `terminate`: a launched program is asked to end (SIGTERM), so that it can tidy up; its end is told when it comes.
    /// A program that was attached to is let go.
    pub async fn terminate(&mut self, c: &Call) -> Result<(), Trouble> {
        self.out.respond(c, Value::Null);
        let alive = matches!(self.phase, Phase::Configuring | Phase::Live) && !self.target.dead;
        let pid = self.target.info.pid.filter(|p| alive && *p > 1).map(Pid::from_raw);
        match pid {
            Some(pid) if self.target.info.launched => {
                let _gone_is_what_is_wanted = kill(pid, Signal::SIGTERM);
                if !self.running {
                    // Its breakpoints must not keep it from ending.
                    self.forget_handles();
                    self.clear_all_breakpoints().await;
                    if self.ask(Request::Resume { kind: ResumeKind::Continue, goroutine: None }).await.is_ok() {
                        self.running = true;
                    }
                }
            }
            _ => {
                if let Err(f) = self.let_go(false).await {
                    self.out.console(&sentence(&f));
                }
                self.ended();
            }
        }
        Ok(())
    }

    async fn finish_output(&mut self) {
        self.printer.finish().await;
        self.drain_printed();
    }

    /// The last things, whatever ended the session. A host whose client goes ends the target or lets it go, as is right.
    pub async fn leave(&mut self) {
        if self.host.is_some() {
            // Nobody hears what this says.
            let _gone_is_fine = self.let_go(false).await;
        }
        if let Some(exe) = self.target.built.take() {
            let _gone_is_fine = std::fs::remove_file(exe);
        }
    }
}
