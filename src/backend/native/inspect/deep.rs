//! What may take long: diagnosis, wait graph, heap. A thread of its own, so that a large heap never delays a stack or a list.

use super::{Message, Worker};
use crate::backend::protocol::*;
use crate::base::{LoadAddr, MemoryError};
use crate::diagnose::picture::{PictureOptions, picture};
use crate::diagnose::{Analysis, Case, History, Options, Target, diagnose};
use crate::engine::StopState;
use crate::goruntime::{ListOptions, RuntimeError};
use crate::heap::{Heap, HeapOptions, HeapWalk};
use crate::model::ReadInfo;
use crate::target::linux::procfs;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Instant;

/// Is a request for this thread?
pub(super) fn is_deep(r: &Request) -> bool {
    matches!(r, Request::Diagnose(_) | Request::Waits(_) | Request::Refs { .. } | Request::Heap { .. })
}

/// The thread's own state: looks before this one.
pub(super) struct Deep {
    worker: Worker,
    history: History,
}

impl Deep {
    pub(super) fn new(worker: Worker) -> Deep {
        Deep { worker, history: History::default() }
    }

    pub(super) fn run(mut self, rx: &Receiver<Message>) {
        while let Ok(m) = rx.recv() {
            let Message::Job(job) = m else { continue };
            let result = self.answer(job.request, &job.state);
            if job.out.blocking_send(FromHost::Reply { id: job.id, result }).is_err() {
                return;
            }
        }
    }

    fn answer(&mut self, request: Request, state: &Arc<StopState>) -> Result<Reply, Failure> {
        let t0 = Instant::now();
        let loaded = self.worker.loaded.clone();
        let (rt, mem) = (&*loaded.rt, &*loaded.mem);
        let failed = |e: MemoryError| super::goroutines::failed(&RuntimeError::Memory(e));
        let options = ListOptions { stopped: state.stopped };
        let list =
            rt.list(mem, &state.registers, loaded.now_ns(), options).map_err(|e| super::goroutines::failed(&e))?;
        let target = Target {
            rt,
            mem,
            list: &list,
            registers: &state.registers,
            stopped: state.stopped,
            offline: loaded.process.is_none(),
            pid: loaded.process.is_some().then_some(loaded.pid),
        };
        let read =
            |retries: u64| ReadInfo { retries, took_us: t0.elapsed().as_micros() as u64, ..loaded.read_info(state) };
        match request {
            Request::Diagnose(q) => {
                let options = Options {
                    listed: q.listed as usize,
                    mutes: q.mutes,
                    no_heap: q.no_heap,
                    heap_limit: self.heap_limit(),
                };
                let diagnosis = diagnose(&target, &mut self.history, &options).map_err(failed)?;
                let diagnosis = Box::new(diagnosis);
                Ok(Reply::Diagnosis { epoch: state.epoch, read: read(list.retries), diagnosis })
            }
            Request::Waits(q) => {
                let analysis = Analysis::make(&target, q.no_heap, self.heap_limit()).map_err(failed)?;
                let case = Case::new(&target, &analysis, &self.history, 16);
                let options =
                    PictureOptions { around: q.around, scope: q.scope, fold: q.fold, limit: q.limit as usize };
                let graph = Box::new(picture(&case, options));
                Ok(Reply::Waits { epoch: state.epoch, read: read(list.retries), graph })
            }
            Request::Refs { object, frame, count } => self.refs(&target, state, &object, frame, count as usize),
            Request::Heap { by, count } => {
                let walk = self.walk(&target)?;
                let heap = Box::new(walk.summary(by, count as usize));
                Ok(Reply::Heap { epoch: state.epoch, read: read(list.retries), heap })
            }
            other => Err(Failure::new(FailureKind::Internal, format!("not a question for this thread: {other:?}"))),
        }
    }
}

impl Deep {
    /// Bytes of heap with pointers that may be copied: half of what memory there is; a file is not copied.
    fn heap_limit(&self) -> u64 {
        match self.worker.loaded.process {
            Some(_) => procfs::available_memory().map_or(HeapOptions::default().limit, |n| n / 2),
            None => u64::MAX,
        }
    }

    /// Everything that roots reach, with how and as what type.
    fn walk<'t>(&self, t: &Target<'t>) -> Result<HeapWalk<'t>, Failure> {
        let options = HeapOptions { stopped: t.stopped, limit: self.heap_limit() };
        let heap = Heap::read(t.rt, t.mem, options)
            .map_err(|e| Failure::new(FailureKind::Unavailable, format!("cannot walk the heap: {e}")))?;
        Ok(HeapWalk::of(heap, t.list, t.registers))
    }

    fn refs(
        &mut self,
        t: &Target<'_>,
        state: &Arc<StopState>,
        object: &str,
        frame: FrameRef,
        count: usize,
    ) -> Result<Reply, Failure> {
        let (at, ty) = match object.strip_prefix("0x").map(|h| u64::from_str_radix(h, 16)) {
            Some(Ok(a)) => (LoadAddr(a), None),
            Some(Err(_)) => {
                return Err(Failure::new(FailureKind::BadRequest, format!("{object} is not an address")));
            }
            None => self.worker.address_of(state, frame, object)?,
        };
        let walk = self.walk(t)?;
        let mut references = walk.references(at, count).ok_or_else(|| {
            Failure::new(FailureKind::BadRequest, format!("{object}: there is no heap object at {at}"))
                .fix("give the address of a heap object, or an expression that points to one")
        })?;
        // The expression's type, where no path told it.
        if references.object.type_name.is_none() && references.object.addr == at {
            references.object.type_name = ty;
        }
        Ok(Reply::Refs { epoch: state.epoch, references: Box::new(references) })
    }
}
