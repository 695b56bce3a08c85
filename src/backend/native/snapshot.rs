//! Copies on request: everything is answered from one until it is refreshed, or the process is moved under control.

use super::inspect::Inspector;
use super::{Host, from_engine, no_target};
use crate::backend::protocol::*;
use crate::base::StopEpoch;
use crate::engine::Loaded;
use crate::engine::snapshot::Copy;
use crate::target::core::CoreFile;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a file is made of.
enum Source {
    Copy(Box<Copy>),
    Core(Box<Loaded>, Arc<CoreFile>),
}

impl Host {
    /// Copies the process (a core: packs it), writes the copy if asked to, and answers from it from now on.
    pub(super) fn snapshot(&mut self, id: u64, file: Option<PathBuf>) {
        let taken = self.take_copy(file.as_deref());
        // A breakpoint may have been met on the way, in control mode.
        self.tell();
        match (taken, file) {
            (Err(f), _) => self.outbox.reply(id, Err(f)),
            (Ok((reply, _)), None) => self.outbox.reply(id, Ok(reply)),
            (Ok((reply, source)), Some(path)) => self.write_later(id, reply, source, path),
        }
    }

    fn take_copy(&mut self, file: Option<&Path>) -> Result<(Reply, Source), Failure> {
        let loaded = self.loaded.clone().ok_or_else(no_target)?;
        if let Some(path) = file.filter(|p| p.symlink_metadata().is_ok()) {
            return Err(cannot_write(path, &io::ErrorKind::AlreadyExists.into()));
        }
        if let Some(core) = loaded.origin.core.clone() {
            let reply = Reply::Snapshot { epoch: self.state().epoch, pause_us: 0, bytes: 0, file_bytes: 0 };
            return Ok((reply, Source::Core(Box::new(loaded), core)));
        }
        let (copied, at) = match &mut self.engine {
            None => (loaded.copy(), None),
            Some(e) if e.is_gone() => return Err(Failure::new(FailureKind::Gone, "the process is gone")),
            Some(e) => {
                let at = e.state();
                (e.copy(), at.stopped.then_some(at.thread))
            }
        };
        let copied = copied.map_err(|e| from_engine(&e))?;
        let copy = loaded.of_copy(copied, self.new_epoch(), at);
        let (epoch, pause_us) = (copy.state.epoch, copy.state.pause_us);
        let reply = Reply::Snapshot { epoch, pause_us, bytes: copy.bytes, file_bytes: 0 };
        self.copy = Some(Arc::new(copy.state.clone()));
        self.inspector = Some(Inspector::start(copy.loaded.clone()));
        Ok((reply, Source::Copy(Box::new(copy))))
    }

    /// Writing takes as long as the disk does: on a thread of its own, so that no breakpoint waits for it.
    fn write_later(&mut self, id: u64, mut reply: Reply, source: Source, path: PathBuf) {
        let out = self.outbox.out.clone();
        let write = move || {
            let done = match &source {
                Source::Copy(copy) => copy.write(&path),
                Source::Core(loaded, core) => loaded.pack(core, &path),
            };
            if let (Ok(n), Reply::Snapshot { file_bytes, .. }) = (&done, &mut reply) {
                *file_bytes = *n;
            }
            let result = done.map(|_| reply).map_err(|e| cannot_write(&path, &e));
            let _client_is_gone = out.blocking_send(FromHost::Reply { id, result });
        };
        if let Err(e) = std::thread::Builder::new().name("snapshot".into()).spawn(write) {
            let f = Failure::new(FailureKind::Internal, format!("no thread to write the file: {e}"));
            self.outbox.reply(id, Err(f));
        }
    }

    fn new_epoch(&mut self) -> StopEpoch {
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
