//! TEMPORARY
use super::Worker;
use crate::backend::protocol::*;
use crate::base::*;
use crate::engine::StopState;
use crate::model::Stack;
use std::sync::Arc;
#[derive(Default)]
pub(super) struct Lists;
impl Lists {
    pub fn forget(&mut self) {}
}
fn no<T>() -> Result<T, Failure> {
    Err(Failure::new(FailureKind::Unavailable, "temporary"))
}
impl Worker {
    pub(super) fn goroutines(&mut self, _s: &Arc<StopState>, _q: &GoroutineQuery) -> Result<Reply, Failure> {
        no()
    }
    pub(super) fn groups(&mut self, _s: &Arc<StopState>, _q: &GroupQuery) -> Result<Reply, Failure> {
        no()
    }
    pub(super) fn group_members(
        &mut self,
        _s: &Arc<StopState>,
        _q: &GroupQuery,
        _k: u64,
        _st: u64,
        _c: u64,
    ) -> Result<Reply, Failure> {
        no()
    }
    pub(super) fn stack_of(
        &self,
        _s: &StopState,
        _g: Option<GoroutineId>,
        _d: u32,
        _df: bool,
    ) -> Result<Stack, Failure> {
        no()
    }
}
