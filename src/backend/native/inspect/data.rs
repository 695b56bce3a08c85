//! TEMPORARY
use super::Worker;
use crate::backend::protocol::*;
use crate::base::*;
use crate::engine::StopState;
use std::sync::Arc;
#[derive(Default)]
pub(super) struct Values;
impl Values {
    pub fn at(&mut self, _e: StopEpoch) {}
}
fn no<T>() -> Result<T, Failure> {
    Err(Failure::new(FailureKind::Unavailable, "temporary"))
}
impl Worker {
    pub(super) fn scope(&mut self, _s: &Arc<StopState>, _f: FrameRef, _l: LoadLimits) -> Result<Reply, Failure> {
        no()
    }
    pub(super) fn children(
        &mut self,
        _s: &Arc<StopState>,
        _h: u64,
        _st: u64,
        _c: u64,
        _l: LoadLimits,
    ) -> Result<Reply, Failure> {
        no()
    }
    pub(super) fn eval(
        &mut self,
        _s: &Arc<StopState>,
        _f: FrameRef,
        _e: &str,
        _l: LoadLimits,
    ) -> Result<Reply, Failure> {
        no()
    }
    pub(super) fn set(&mut self, _s: &Arc<StopState>, _f: FrameRef, _e: &str, _v: &str) -> Result<Reply, Failure> {
        no()
    }
    pub(super) fn package_variables(
        &mut self,
        _s: &Arc<StopState>,
        _f: &str,
        _l: LoadLimits,
    ) -> Result<Reply, Failure> {
        no()
    }
}
