//! Copies on request: everything is answered from one until it is refreshed, or the process is moved under control.

use super::inspect::Inspector;
use super::{Host, from_engine, no_target};
use crate::backend::protocol::*;
use crate::base::StopEpoch;
use crate::base::clock::human_ns;
use crate::engine::snapshot::Copy;
use crate::engine::{EngineError, Loaded};
use crate::target::core::CoreFile;
use crate::target::linux::copy::Plan;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// What a file is made of.
enum Source {
    Copy(Box<Copy>),
    Core(Box<Loaded>, Arc<CoreFile>),
}

impl Host {
    /// Copies the process (a core: packs it), writes the copy if asked to, and answers from it from now on.
    pub(super) fn snapshot(&mut self, id: u64, file: Option<PathBuf>) {
        let taken = self.may_stop().and_then(|()| self.take_copy(file.as_deref(), false));
        // A breakpoint may have been met on the way, in control mode.
        self.tell();
        match (taken, file) {
            (Err(f), _) => self.outbox.reply(id, Err(f)),
            (Ok((reply, _)), None) => self.outbox.reply(id, Ok(reply)),
            (Ok((reply, source)), Some(path)) => {
                let out = self.outbox.sender();
                let done = move |result| drop(out.blocking_send(FromHost::Reply { id, result }));
                if let Err(f) = write_later(reply, source, path, done) {
                    self.outbox.reply(id, Err(f));
                }
            }
        }
    }

    /// Copies the process to a file because of a condition; what is looked at stays the running process.
    pub(super) fn copy_because(&mut self, said: &str, path: PathBuf) -> Result<(), Failure> {
        let taken = self.may_stop().and_then(|()| self.take_copy(Some(&path), false));
        self.tell();
        let (reply, source) = taken?;
        self.forget_copy();
        let (out, said, shown) = (self.outbox.sender(), said.to_string(), path.display().to_string());
        let done = move |result: Result<Reply, Failure>| {
            let (level, text) = match result {
                Ok(Reply::Snapshot { pause_us, file_bytes, .. }) => {
                    let pause = human_ns(pause_us * 1_000);
                    (LogLevel::Warn, format!("{said}: copied to {shown}, {file_bytes} bytes; it stood {pause}"))
                }
                Ok(_) => (LogLevel::Warn, format!("{said}: copied to {shown}")),
                Err(f) => (LogLevel::Error, format!("{said}: {f}")),
            };
            drop(out.blocking_send(FromHost::Notice(Notice::Log { level, text })));
        };
        write_later(reply, source, path, done)
    }

    /// Copies the process and answers from the copy from now on; the copy's epoch.
    pub(super) fn copy_stop(&mut self) -> Result<StopEpoch, Failure> {
        self.take_copy(None, true)?;
        Ok(self.state().epoch)
    }

    /// With `leave`, a program that stands goes on as soon as its memory has been copied, before the copy is put in order.
    fn take_copy(&mut self, file: Option<&Path>, leave: bool) -> Result<(Reply, Source), Failure> {
        let loaded = self.loaded.clone().ok_or_else(no_target)?;
        if let Some(path) = file.filter(|p| p.symlink_metadata().is_ok()) {
            return Err(cannot_write(path, &io::ErrorKind::AlreadyExists.into()));
        }
        if let Some(core) = loaded.origin.core.clone() {
            let reply = Reply::Snapshot { epoch: self.state().epoch, pause_us: 0, bytes: 0, file_bytes: 0 };
            return Ok((reply, Source::Core(Box::new(loaded), core)));
        }
        let failed = |e: EngineError| from_engine(&e);
        let mut before = None;
        let (copied, at) = match self.engine {
            None => (loaded.copy().map_err(failed)?, None),
            Some(_) => {
                let pid = loaded.pid;
                let stands = self.engine.as_ref().is_some_and(|e| !e.is_running());
                // It waits for us: not for another thread as well.
                let plan = if stands { Plan::at_a_stop(pid) } else { self.beside(move || Plan::prepare(pid))? };
                let plan = plan.map_err(|e| failed(e.into()))?;
                let deadline = self.copy_deadline();
                let e = self.engine()?;
                let at = e.state();
                before = Some(at.epoch);
                let taken = e.copy(plan.until(deadline)).map_err(failed)?;
                if leave {
                    self.go_on()?;
                    before = self.engine.as_ref().map(|e| e.state().epoch);
                }
                let copied = self.beside(move || taken.finish())?;
                (copied.map_err(|e| failed(e.into()))?, at.stopped.then_some(at.thread))
            }
        };
        // It stopped while the copy was put in order: then the stop is what is looked at.
        let overtaken = before.is_some() && self.engine.as_ref().map(|e| e.state().epoch) != before;
        let epoch = if overtaken { self.state().epoch } else { self.new_epoch() };
        let copy = loaded.of_copy(copied, epoch, at);
        let (epoch, pause_us) = (copy.state.epoch, copy.state.pause_us);
        let reply = Reply::Snapshot { epoch, pause_us, bytes: copy.bytes, file_bytes: 0 };
        if self.engine.is_none() {
            let pause = Duration::from_micros(pause_us);
            self.budget.stood(Instant::now() - pause, pause);
        }
        if !overtaken {
            self.copy = Some(Arc::new(copy.state.clone()));
            self.inspector = Some(Inspector::start(copy.loaded.clone()));
        }
        Ok((reply, Source::Copy(Box::new(copy))))
    }

    /// Work on another thread while this one goes on serving the target: its breakpoints do not wait.
    fn beside<T: Send + 'static>(&mut self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
        let (tx, rx) = channel();
        let run = move || drop(tx.send(work()));
        let no_thread =
            |e: &dyn std::fmt::Display| Failure::new(FailureKind::Internal, format!("no thread for the copy: {e}"));
        std::thread::Builder::new().name("copy".into()).spawn(run).map_err(|e| no_thread(&e))?;
        loop {
            match rx.recv_timeout(Duration::from_millis(1)) {
                Ok(done) => return Ok(done),
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(e) = self.pump() {
                        self.trouble(&e);
                        return Err(from_engine(&e));
                    }
                }
                Err(e) => return Err(no_thread(&e)),
            }
        }
    }

    pub(super) fn new_epoch(&mut self) -> StopEpoch {
        match &mut self.engine {
            Some(e) => e.new_moment(),
            None => {
                self.observe_epoch.0 += 1;
                self.observe_epoch
            }
        }
    }

    /// What was read is old; a copy is dropped. A core does not change.
    pub(super) fn refresh(&mut self) {
        if self.loaded.as_ref().is_some_and(|l| l.origin.core.is_some()) {
            return;
        }
        if self.copy.is_some() || self.engine.is_none() {
            self.new_epoch();
        }
        self.forget_copy();
        self.find_modules();
        if let Some(i) = &self.inspector {
            i.forget();
        }
    }

    /// Reads go to the process again.
    pub(super) fn forget_copy(&mut self) {
        let Some(loaded) = self.loaded.as_ref().filter(|l| l.origin.core.is_none()) else { return };
        if self.copy.take().is_some() {
            self.inspector = Some(Inspector::start(loaded.clone()));
        }
    }
}

/// Writing takes as long as the disk does: on a thread of its own, so that no breakpoint waits for it. `done` gets the reply, completed.
fn write_later(
    mut reply: Reply,
    source: Source,
    path: PathBuf,
    done: impl FnOnce(Result<Reply, Failure>) + Send + 'static,
) -> Result<(), Failure> {
    let write = move || {
        let written = match &source {
            Source::Copy(copy) => copy.write(&path),
            Source::Core(loaded, core) => loaded.pack(core, &path),
        };
        if let (Ok(n), Reply::Snapshot { file_bytes, .. }) = (&written, &mut reply) {
            *file_bytes = *n;
        }
        done(written.map(|_| reply).map_err(|e| cannot_write(&path, &e)));
    };
    let spawned = std::thread::Builder::new().name("snapshot".into()).spawn(write);
    spawned.map(drop).map_err(|e| Failure::new(FailureKind::Internal, format!("no thread to write the file: {e}")))
}

fn cannot_write(path: &Path, e: &io::Error) -> Failure {
    let kind = match e.kind() {
        io::ErrorKind::PermissionDenied => FailureKind::Permission,
        _ => FailureKind::BadRequest,
    };
    let why = match e.kind() {
        io::ErrorKind::AlreadyExists => "it is there already".to_string(),
        _ => e.to_string(),
    };
    let f = Failure::new(kind, format!("cannot write {}: {why}", path.display()));
    match e.kind() {
        io::ErrorKind::AlreadyExists => f.fix("choose another name, or overwrite it with --force"),
        io::ErrorKind::StorageFull => f.fix("write it where there is room"),
        _ => f,
    }
}
