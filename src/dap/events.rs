//! News of the target as events, under Delve's names; and what is to be said of an exception.

use super::breakpoints::Kind;
use super::message::{Call, Trouble, id};
use super::session::{Going, Phase, Session};
use super::types::OnThread;
use crate::backend::protocol::*;
use crate::base::BreakpointId;
use crate::model::{Hit, HitKind, Stack, Stop, StopReason};
use serde_json::{Value, json};

/// Ids of the debugger's own breakpoints, as in Delve.
const PANIC_ID: i32 = -1;
const THROW_ID: i32 = -2;

impl Session {
    /// Deals with one piece of news.
    pub async fn hear(&mut self, n: Notice) {
        match n {
            Notice::Stopped(stop) => self.stopped(*stop).await,
            Notice::Resumed { .. } => {
                self.running = self.phase == Phase::Live;
                self.untold = None;
            }
            Notice::Output(bytes) => {
                let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
                self.out.printed("stdout", &text);
            }
            Notice::Exited { status, signal } => self.exited(status, signal.as_deref()).await,
            Notice::Detached { reason } => {
                if self.phase != Phase::Ended {
                    self.out.console(&reason);
                    self.ended();
                }
            }
            Notice::Breakpoint(b) => self.breakpoint_changed(&b),
            Notice::BreakpointGone(n) => self.breakpoint_gone(n),
            Notice::Hits { hits, lost } => self.hits(&hits, lost),
            Notice::Log { level: LogLevel::Info, text } => tracing::info!("host: {text}"),
            Notice::Log { text, .. } => self.out.console(&text),
            Notice::Progress { .. } | Notice::Budget(_) | Notice::Target(_) | Notice::Driver { .. } => {}
        }
    }

    async fn exited(&mut self, status: Option<i32>, signal: Option<&str>) {
        self.printer.finish().await;
        self.drain_printed();
        // As Delve: the negative number of the signal that killed it.
        let number = signal.and_then(|s| s.parse::<nix::sys::signal::Signal>().ok()).map_or(0, |s| -(s as i32));
        let code = status.unwrap_or(number);
        let pid = self.target.info.pid.unwrap_or(0);
        self.out.console(&format!("Process {pid} has exited with status {code}"));
        self.out.event("exited", json!({"exitCode": code}));
        self.ended();
    }

    /// Which kind of stop, by Delve's names, and what goes with it.
    fn describe(&mut self, stop: &Stop) -> Value {
        let text = |s: &str| json!(s);
        match &stop.reason {
            StopReason::Launched => json!({"reason": "entry"}),
            StopReason::Paused if self.going == Going::Jump => json!({"reason": "goto"}),
            StopReason::Paused if self.going == Going::ToEntry => json!({"reason": "entry"}),
            StopReason::Paused => json!({"reason": "pause"}),
            StopReason::StepDone if self.going == Going::ToEntry => json!({"reason": "entry"}),
            StopReason::StepDone | StopReason::CallReturned => json!({"reason": "step"}),
            StopReason::Breakpoint(n) | StopReason::StepInterrupted(n) => {
                json!({"reason": self.reason_of(*n), "hitBreakpointIds": [n.0]})
            }
            StopReason::HardcodedBreakpoint => json!({"reason": "breakpoint", "hitBreakpointIds": []}),
            StopReason::UnrecoveredPanic(m) => {
                self.exception = Some(("panic".into(), m.clone()));
                json!({"reason": "exception", "description": "panic", "text": text(m), "hitBreakpointIds": [PANIC_ID]})
            }
            StopReason::FatalError(m) => {
                self.exception = Some(("fatal error".into(), m.clone()));
                json!({
                    "reason": "exception", "description": "fatal error", "text": text(m),
                    "hitBreakpointIds": [THROW_ID],
                })
            }
            StopReason::ConditionFailed(n, why) => {
                self.exception = Some(("runtime error".into(), why.clone()));
                json!({
                    "reason": "exception", "description": "runtime error", "text": text(why),
                    "hitBreakpointIds": [n.0],
                })
            }
            StopReason::Watchpoint { id, old, new } => {
                let what = self.name_of(*id);
                json!({
                    "reason": "data breakpoint", "hitBreakpointIds": [id.0],
                    "text": format!("{what}: {old} → {new}"),
                })
            }
            StopReason::WatchEnded(n, why) => {
                json!({"reason": "data breakpoint", "hitBreakpointIds": [n.0], "description": text(why), "text": text(why)})
            }
            StopReason::Condition(what) => json!({"reason": "pause", "description": text(what), "text": text(what)}),
            StopReason::Exec(to) => json!({"reason": "pause", "description": text(to), "text": text(to)}),
        }
    }

    fn reason_of(&self, n: BreakpointId) -> &'static str {
        match self.breakpoints.iter().find(|b| b.id == n).map(|b| b.kind) {
            Some(Kind::Function) => "function breakpoint",
            Some(Kind::Instruction) => "instruction breakpoint",
            Some(Kind::Data) => "data breakpoint",
            _ => "breakpoint",
        }
    }

    async fn stopped(&mut self, stop: Stop) {
        let unwanted = match stop.reason {
            StopReason::UnrecoveredPanic(_) => !self.panics,
            StopReason::FatalError(_) => !self.throws,
            _ => false,
        };
        self.running = false;
        self.forget_handles();
        if unwanted && !self.pausing {
            self.stop = Some(stop);
            self.go_on().await;
            return;
        }
        let own_call = stop.reason == StopReason::CallReturned;
        let mut body = self.describe(&stop);
        let interrupted = matches!(stop.reason, StopReason::StepInterrupted(_));
        if self.pausing && body["reason"] != "exception" && body["reason"] != "entry" {
            body["reason"] = json!("pause");
        }
        self.pausing = false;
        self.going = Going::On;
        let ended = match &stop.reason {
            StopReason::WatchEnded(n, _) => Some(*n),
            _ => None,
        };
        self.stop = Some(stop);
        if own_call {
            return;
        }
        body["threadId"] = json!(self.thread_of_stop());
        body["allThreadsStopped"] = json!(true);
        if self.phase == Phase::Configuring {
            // A process that was attached to runs on, and met a breakpoint: it is told when the editor is ready for it.
            self.untold = Some(body);
            return;
        }
        self.out.event("stopped", body);
        if interrupted {
            self.out.console("Step interrupted by a breakpoint. Use 'Continue' to resume the original step command.");
        }
        if let Some(n) = ended {
            self.breakpoint_gone(n);
        }
    }

    /// A breakpoint went by itself.
    fn breakpoint_gone(&mut self, n: BreakpointId) {
        let before = self.breakpoints.len();
        self.breakpoints.retain(|b| b.id != n);
        if self.breakpoints.len() < before {
            self.out.event("breakpoint", json!({"reason": "removed", "breakpoint": {"id": n.0, "verified": false}}));
        }
    }

    /// What log points recorded.
    fn hits(&mut self, hits: &[Hit], lost: u64) {
        for h in hits {
            let goroutine = h.goroutine.map_or(0, |g| g.0);
            let what = match &h.kind {
                HitKind::Reached => h.text.clone(),
                HitKind::Accessed { old, new } if h.text.is_empty() => {
                    format!("{}: {old} → {new}", self.name_of(h.breakpoint))
                }
                HitKind::Entered | HitKind::Returned(_) if h.text.is_empty() => {
                    let values: Vec<String> = h.values.iter().map(|(n, v)| format!("{n} = {v}")).collect();
                    let arrow = if h.kind == HitKind::Entered { "" } else { " =>" };
                    format!("{}{arrow} ({})", h.at.short_function(), values.join(", "))
                }
                _ => h.text.clone(),
            };
            let mut body = json!({"category": "stdout", "output": format!("> [Go {goroutine}]: {what}\n")});
            if !h.at.file.is_empty() {
                body["source"] = json!({"path": self.editor_path(&h.at.file)});
                body["line"] = json!(h.at.line);
            }
            self.out.event("output", body);
        }
        if lost > 0 {
            self.out.console(&format!("{lost} hits were not recorded: there were too many"));
        }
    }

    pub async fn exception_info(&mut self, c: &Call) -> Result<Value, Trouble> {
        const SUMMARY: &str = "Unable to get exception info";
        let a: OnThread = c.args()?;
        let Some((exception, description)) = self.exception.clone() else {
            return Err(Trouble::new(id::EXCEPTION, SUMMARY, "no runtime error found"));
        };
        if a.thread_id != self.thread_of_stop() {
            let why = format!("no exception found for goroutine {}", a.thread_id);
            return Err(Trouble::new(id::EXCEPTION, SUMMARY, why));
        }
        let mut body = json!({"exceptionId": exception, "description": description, "breakMode": "unhandled"});
        if exception != "invalid command" {
            let stack = self.stack_text(a.thread_id).await;
            body["details"] = json!({"stackTrace": stack, "message": description, "typeName": exception});
        }
        Ok(body)
    }

    /// The stack as Delve's terminal prints it.
    async fn stack_text(&mut self, thread: i64) -> String {
        let depth = self.config.stack_trace_depth;
        let ask = Request::Stack { goroutine: Session::goroutine(thread), depth, defers: false };
        let stack: Stack = match self.ask(ask).await {
            Ok(Reply::Stack { stack, .. }) => stack,
            Ok(_) => Stack::default(),
            Err(f) => return format!("Error getting stack trace: {f}"),
        };
        let digits = stack.frames.len().saturating_sub(1).max(1).to_string().len();
        let all = stack.frames.iter().all(|f| f.at.function.starts_with("runtime."));
        let mut out = String::from("Stack:\n");
        for f in stack.frames.iter().filter(|f| all || !f.at.function.starts_with("runtime.")) {
            let file = self.editor_path(&f.at.file);
            let pad = " ".repeat(digits + 3);
            out += &format!("\t{:>digits$}  {:#018x} in {}\n", f.index, f.at.pc.0, f.at.function);
            out += &format!("\t{pad}at {file}:{}\n", f.at.line);
        }
        if stack.more {
            out += "\t(truncated)\n";
        }
        out
    }
}
