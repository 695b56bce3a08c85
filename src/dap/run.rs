//! Going on: continue, steps, pause, and moving a goroutine to another line.

use super::message::{Call, Trouble, id, sentence};
use super::session::{Going, Session, failed};
use super::types::{Lines, OnThread};
use crate::backend::protocol::*;
use serde_json::{Value, json};

/// Delve's words for a step that another goroutine's breakpoint interrupted.
const INTERRUPTED: &str = "Unable to step while the previous step is interrupted by a breakpoint.\n\
    Use 'Continue' to resume the original step command.";

impl Session {
    pub async fn resume(&mut self, c: &Call) -> Result<(), Trouble> {
        if self.target.dead {
            return Err(Trouble::new(id::RUNNING, "Unable to continue", "a core or snapshot cannot be run"));
        }
        self.out.respond(c, json!({"allThreadsContinued": true}));
        self.go_on().await;
        Ok(())
    }

    pub async fn step(&mut self, c: &Call) -> Result<(), Trouble> {
        let a: OnThread = c.args()?;
        if self.target.dead {
            return Err(Trouble::new(id::RUNNING, "Unable to step", "a core or snapshot cannot be run"));
        }
        // The answer and this come before any stop.
        self.out.event("continued", json!({"threadId": a.thread_id, "allThreadsContinued": true}));
        self.out.respond(c, Value::Null);
        let instruction = a.granularity.as_deref() == Some("instruction");
        let kind = match (c.command.as_str(), instruction) {
            ("next", true) => ResumeKind::NextInstruction,
            ("stepIn", true) => ResumeKind::StepInstruction,
            ("next", false) => ResumeKind::Next,
            ("stepIn", false) => ResumeKind::Step,
            _ => ResumeKind::StepOut,
        };
        self.going = Going::Step;
        match self.ask(Request::Resume { kind, goroutine: Session::goroutine(a.thread_id) }).await {
            Ok(_) => self.running = true,
            Err(f) if f.message.contains("a step is under way") => {
                self.out.console(&format!("invalid command: {INTERRUPTED}"));
                self.exception = Some(("invalid command".into(), INTERRUPTED.into()));
                self.out.event(
                    "stopped",
                    json!({
                        "reason": "exception", "description": "invalid command", "text": INTERRUPTED,
                        "threadId": self.thread_of_stop(), "allThreadsStopped": true,
                    }),
                );
            }
            Err(f) => {
                let body = json!({
                    "reason": "error", "text": sentence(&f),
                    "threadId": self.thread_of_stop(), "allThreadsStopped": true,
                });
                self.out.event("stopped", body);
            }
        }
        Ok(())
    }

    pub async fn pause(&mut self, c: &Call) -> Result<(), Trouble> {
        if self.running {
            self.pausing = true;
            self.ask(Request::Pause).await.map_err(failed(id::HALT, "Unable to halt execution"))?;
        }
        // A stop that was there already has been told.
        self.out.respond(c, Value::Null);
        Ok(())
    }

    /// Lines of a file that can be gone to.
    pub async fn goto_targets(&mut self, c: &Call) -> Result<Value, Trouble> {
        let a: Lines = c.args()?;
        let path = a.source.path.unwrap_or_default();
        let file = self.program_path(&path);
        let lines = self.code_lines(&file).await.map_err(failed(id::GOTO, "Unable to find goto targets"))?;
        let Ok(line) = u32::try_from(a.line) else { return Ok(json!({"targets": []})) };
        if !lines.contains(&line) {
            return Ok(json!({"targets": []}));
        }
        let known = self.targets.iter().position(|t| *t == (file.clone(), line));
        let n = known.unwrap_or_else(|| {
            self.targets.push((file.clone(), line));
            self.targets.len() - 1
        });
        let name = path.rsplit('/').next().unwrap_or("");
        Ok(json!({"targets": [{"id": n + 1, "label": format!("{name}:{line}"), "line": line}]}))
    }

    pub async fn goto(&mut self, c: &Call) -> Result<(), Trouble> {
        let a: OnThread = c.args()?;
        let target = a.target_id.and_then(|n| usize::try_from(n - 1).ok()).and_then(|n| self.targets.get(n)).cloned();
        let Some((file, line)) = target else {
            return Err(Trouble::new(id::GOTO, "Unable to go there", "unknown target"));
        };
        self.going = Going::Jump;
        let jump = Request::Jump { goroutine: Session::goroutine(a.thread_id), to: format!("{file}:{line}") };
        self.ask(jump).await.map_err(failed(id::GOTO, "Unable to go there"))?;
        self.out.respond(c, Value::Null);
        Ok(())
    }

    /// Lines of a file that have code.
    pub async fn code_lines(&mut self, file: &str) -> Result<Vec<u32>, Failure> {
        match self.ask(Request::CodeLines { file: file.to_string() }).await? {
            Reply::CodeLines { lines, .. } => Ok(lines),
            _ => Ok(Vec::new()),
        }
    }
}
