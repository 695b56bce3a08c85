//! All goroutines in short: a hundred thousand names are one message of a few bytes each.

use super::Worker;
use crate::backend::protocol::*;
use crate::engine::StopState;
use crate::model::{GoroutineFilter, Location};
use rustc_hash::FxHashMap;
use std::sync::Arc;

impl Worker {
    pub(super) fn goroutine_names(
        &mut self,
        state: &Arc<StopState>,
        filter: &GoroutineFilter,
    ) -> Result<Reply, Failure> {
        let (list, _) = self.list(state, true)?;
        let rows = self.rows(&list, filter);
        let mut functions = Vec::new();
        // Rows at one place share its location.
        let mut known: FxHashMap<*const Location, u32> = FxHashMap::default();
        let mut out = Vec::with_capacity(rows.len());
        for i in rows.iter() {
            let Some(g) = list.row(*i as usize) else { continue };
            let function = *known.entry(Arc::as_ptr(&g.user)).or_insert_with(|| {
                functions.push(g.user.function.clone());
                functions.len() as u32 - 1
            });
            out.push(NamedGoroutine { id: g.id, function, thread: g.thread, labels: g.labels });
        }
        Ok(Reply::GoroutineNames { epoch: state.epoch, functions, rows: out })
    }
}
