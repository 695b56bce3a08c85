//! Leaving Delve: what is ours is taken out of the program, which then runs or stands as it was found, or as it is.
//!
//! Nothing is ever ended from here. A server without `--accept-multiclient` ends with its only client, and with it, by Delve's own
//! decision, a program that it started; one that it attached to is detached from.

use super::breakpoints::open;
use super::driver::{Driver, Run};
use super::wire;
use crate::backend::protocol::Notice;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Longest wait for each answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest wait for the program to stand.
const STAND: Duration = Duration::from_secs(5);
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
        let going = matches!(self.run, Run::Going(_));
        let ids = open(&self.book).ids();
        let detaches = !self.multiclient && self.attached;
        if going && ids.is_empty() && !detaches {
            return;
        }
        if going && !self.make_stand() {
            return;
        }
        for id in ids {
            // One that is gone already is as good.
            let _gone = self.control.call::<Value>("ClearBreakpoint", json!({"Id": id, "Name": ""}), PATIENCE);
        }
        if self.state.step_in_progress || going {
            let _none_under_way = self.control.call::<Value>("CancelNext", json!({}), PATIENCE);
        }
        if detaches {
            let _ends_with_it = self.control.call::<Value>("Detach", json!({"Kill": false}), PATIENCE);
        } else if self.multiclient && (going || self.found_running) {
            // As Delve's own client does it: the command is sent and its answer not waited for.
            self.control.send("Command", json!({"name": "continue"}), |_| {});
        }
    }

    fn make_stand(&self) -> bool {
        self.control.send("Command", json!({"name": "halt"}), |_| {});
        let t0 = Instant::now();
        while t0.elapsed() < STAND {
            match self.control.call::<wire::StateOut>("State", json!({"NonBlocking": true}), PATIENCE) {
                Ok(out) if out.state.as_ref().is_some_and(|s| !s.running) => return true,
                Ok(_) => std::thread::sleep(LOOK),
                Err(_) => return false,
            }
        }
        false
    }
}
