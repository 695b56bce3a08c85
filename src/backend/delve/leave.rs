//! Leaving Delve: what is ours is taken out of the program, which then runs or stands as it was found, or as it is.
//!
//! Nothing is ever ended from here. A server without `--accept-multiclient` ends with its only client, and with it, by Delve's own
//! decision, a program that it started; one that it attached to is detached from.

use super::breakpoints::open;
use super::driver::{Driver, Run};
use super::wire;
use super::worker::Job;
use crate::backend::protocol::Notice;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Longest wait for each answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest wait for the program to stand.
const STAND: Duration = Duration::from_secs(5);
/// Times that the program is let run until it does.
const TRIES: u32 = 20;
/// What is left of an earlier stop has stopped it again after so long.
const MOMENT: Duration = Duration::from_millis(30);
/// A stop is asked for again after so long.
const AGAIN: Duration = Duration::from_millis(500);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(5);

impl Driver<'_> {
    /// Leaves for good.
    pub(super) fn leave(&mut self, why: &str) {
        if !self.lost && !matches!(self.run, Run::Exited) {
            self.put_back();
        }
        self.finished = true;
        // What the connections' ends say is no news any more.
        self.lost = true;
        self.control.close();
        self.reads.close();
        self.outbox.notice(Notice::Detached { reason: why.to_string() });
        self.outbox.flush();
    }

    fn put_back(&mut self) {
        let (going, undisturbed) = match &self.run {
            Run::Going(g) => (true, g.undisturbed()),
            _ => (false, false),
        };
        let detaches = !self.multiclient && self.attached;
        if undisturbed && self.changing.is_empty() && open(&self.book).ids().is_empty() && !detaches {
            return;
        }
        if going && !self.make_stand() {
            return;
        }
        // What the reader does to breakpoints at this moment is still done, so that it can be undone.
        let (done, finished) = std::sync::mpsc::channel();
        self.job(Job::Finish(done));
        let _or_it_takes_too_long = finished.recv_timeout(PATIENCE);
        for id in open(&self.book).ids() {
            // One that is gone already is as good.
            let _gone = self.control.call::<Value>("ClearBreakpoint", json!({"Id": id, "Name": ""}), PATIENCE);
        }
        if self.state.step_in_progress || going {
            let _none_under_way = self.control.call::<Value>("CancelNext", json!({}), PATIENCE);
        }
        if detaches {
            // A trap that is queued behind the one that stopped the program would kill it without a tracer: it runs for a moment in
            // clean text, and is stopped once more.
            if self.let_run() {
                self.make_stand();
            }
            let _ends_with_it = self.control.call::<Value>("Detach", json!({"Kill": false}), PATIENCE);
        } else if self.multiclient && (going || self.found_running) {
            self.let_run();
        }
    }

    /// Lets the program run, and sees to it that it does: what is left of an earlier stop may stop it at once. False when it has ended.
    fn let_run(&self) -> bool {
        for _ in 0..TRIES {
            self.control.send("Command", json!({"name": "continue"}), |_| {});
            std::thread::sleep(MOMENT);
            match self.control.call::<wire::StateOut>("State", json!({"NonBlocking": true}), PATIENCE) {
                Ok(out) => {
                    let s = out.state.unwrap_or_default();
                    // Another client's breakpoint is another client's business.
                    if s.running || s.threads.iter().any(|t| t.breakpoint.is_some()) {
                        return true;
                    }
                }
                Err(_ended) => return false,
            }
        }
        true
    }

    fn make_stand(&self) -> bool {
        let t0 = Instant::now();
        let mut asked: Option<Instant> = None;
        while t0.elapsed() < STAND {
            // A stop that is asked for at the wrong moment has no effect, as Delve says itself.
            if asked.is_none_or(|t| t.elapsed() > AGAIN) {
                asked = Some(Instant::now());
                self.control.send("Command", json!({"name": "halt"}), |_| {});
            }
            match self.control.call::<wire::StateOut>("State", json!({"NonBlocking": true}), PATIENCE) {
                Ok(out) if out.state.as_ref().is_some_and(|s| !s.running) => return true,
                Ok(_) => std::thread::sleep(LOOK),
                Err(_) => return false,
            }
        }
        false
    }
}
