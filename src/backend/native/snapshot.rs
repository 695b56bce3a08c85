//! Copies on request: everything is answered from one until it is refreshed, or the process is moved under control.

use super::inspect::Inspector;
use super::{Host, from_engine, no_target};
use crate::backend::protocol::*;
use crate::base::StopEpoch;
use std::io;
use std::path::Path;
use std::sync::Arc;

impl Host {
    /// Copies the process (a core: packs it), writes the copy if asked to, and answers from it from now on.
    pub(super) fn snapshot(&mut self, file: Option<&Path>) -> Result<Reply, Failure> {
        let loaded = self.loaded.clone().ok_or_else(no_target)?;
        if let Some(path) = file.filter(|p| p.symlink_metadata().is_ok()) {
            return Err(cannot_write(path, &io::ErrorKind::AlreadyExists.into()));
        }
        let write = |path: &Path, done: io::Result<u64>| done.map_err(|e| cannot_write(path, &e));
        if let Some(core) = &loaded.origin.core {
            let file_bytes = file.map(|p| write(p, loaded.pack(core, p))).transpose()?.unwrap_or(0);
            return Ok(Reply::Snapshot { epoch: self.state().epoch, pause_us: 0, bytes: 0, file_bytes });
        }
        let (copied, at) = match &mut self.engine {
            None => (loaded.copy(), None),
            Some(e) if e.is_gone() => return Err(Failure::new(FailureKind::Gone, "the process is gone")),
            Some(e) => {
                let at = e.state();
                (e.copy(), at.stopped.then_some(at.thread))
            }
        };
        let copied = copied.map_err(|e| from_engine(&e));
        // A breakpoint may have been met on the way, in control mode.
        self.tell();
        let copy = loaded.of_copy(copied?, self.new_epoch(), at);
        let reply = Reply::Snapshot {
            epoch: copy.state.epoch,
            pause_us: copy.state.pause_us,
            bytes: copy.bytes,
            file_bytes: file.map(|p| write(p, copy.write(p))).transpose()?.unwrap_or(0),
        };
        self.copy = Some(Arc::new(copy.state));
        self.inspector = Some(Inspector::start(copy.loaded));
        Ok(reply)
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
