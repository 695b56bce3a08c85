//! `noDebug`: the program runs by itself; its output and its end are told.

use super::config::Launch;
use super::message::{Call, Trouble, id};
use super::session::{Phase, Session, unsupported};
use serde_json::{Value, json};
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use tokio::process::{Child, Command};

/// A program that runs without a debugger.
pub(super) struct Plain {
    child: Child,
}

/// The end of it; never, without one.
pub(super) async fn ended(p: &mut Option<Plain>) -> std::io::Result<ExitStatus> {
    match p {
        Some(p) => p.child.wait().await,
        None => std::future::pending().await,
    }
}

fn failed(why: String) -> Trouble {
    Trouble::new(id::LAUNCH, "Failed to launch", why).shown()
}

impl Session {
    /// Runs it; there is no `initialized`, so that the editor sets no breakpoints.
    pub fn run_plain(&mut self, c: &Call, l: &Launch, exe: &Path, cwd: &Path) -> Result<(), Trouble> {
        let mut command = Command::new(exe);
        command.args(&l.args).current_dir(cwd).envs(l.env.iter().map(|(k, v)| (k, v))).kill_on_drop(true);
        for name in &l.unset {
            command.env_remove(name);
        }
        let open = |at: &Path, write: bool| {
            let at = cwd.join(at);
            let f = if write { File::create(&at) } else { File::open(&at) };
            f.map(Stdio::from).map_err(|e| failed(format!("{}: {e}", at.display())))
        };
        let terminal = self.terminal.clone().filter(|_| !l.remote_output);
        command.stdin(match (&l.stdin, &terminal) {
            (Some(p), _) | (None, Some(p)) => open(p, false)?,
            (None, None) => Stdio::null(),
        });
        for (category, to) in [("stdout", &l.stdout), ("stderr", &l.stderr)] {
            let end = match (to, &terminal) {
                (Some(p), _) => open(p, true)?,
                (None, Some(t)) => {
                    let f = File::options().write(true).open(t);
                    f.map(Stdio::from).map_err(|e| failed(format!("{}: {e}", t.display())))?
                }
                (None, None) => self.printer.pipe(category).map_err(|e| failed(format!("a pipe: {e}")))?.stdio(),
            };
            if category == "stdout" {
                command.stdout(end)
            } else {
                command.stderr(end)
            };
        }
        let child = command.spawn().map_err(|e| failed(format!("{}: {e}", exe.display())))?;
        drop(command); // and with it our copies of the pipes' ends
        self.plain = Some(Plain { child });
        self.phase = Phase::Live;
        self.out.respond(c, Value::Null);
        Ok(())
    }

    /// While it runs there is little to ask.
    pub async fn in_plain_run(&mut self, c: &Call) -> Result<Option<Value>, Trouble> {
        match c.command.as_str() {
            "disconnect" | "terminate" => {
                if let Some(p) = &mut self.plain {
                    let pid = p.child.id().unwrap_or(0);
                    self.out.console(&format!("Terminating process {pid}"));
                    let _it_may_have_ended = p.child.start_kill();
                    let status = p.child.wait().await;
                    self.plain_ended(status).await;
                }
                self.over |= c.command == "disconnect";
                Ok(Some(Value::Null))
            }
            "restart" => Err(unsupported(c)),
            other => Err(Trouble::new(id::NOT_STARTED, "noDebug mode", format!("unable to process '{other}' request"))),
        }
    }

    pub async fn plain_ended(&mut self, status: std::io::Result<ExitStatus>) {
        self.plain = None;
        self.printer.finish().await;
        self.drain_printed();
        let code = match status {
            Ok(s) => s.code().unwrap_or_else(|| -s.signal().unwrap_or(0)),
            Err(_gone_unseen) => 0,
        };
        self.out.console(&format!("Process has exited with status {code}"));
        self.out.event("exited", json!({"exitCode": code}));
        self.ended();
    }
}
