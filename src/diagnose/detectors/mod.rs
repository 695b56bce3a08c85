//! The table of detectors.

mod channels;
mod growth;
mod libraries;
mod locks;
mod panics;
mod pools;
mod runtime;
mod sql;
mod stuck;

use super::Case;
use crate::model::{Finding, FindingKind};

/// How long a goroutine must have waited before a wait that may be ordinary is called trouble, nanoseconds.
const PATIENCE: u64 = 30_000_000_000;

/// One detector.
pub struct Detector {
    /// What it finds.
    pub kind: FindingKind,
    /// What for, in a line.
    pub doc: &'static str,
    /// Without the heap it sees less.
    pub needs_heap: bool,
    /// Looks; or why it cannot.
    pub run: fn(&Case<'_>) -> Result<Vec<Finding>, String>,
}

const fn row(
    kind: FindingKind,
    needs_heap: bool,
    doc: &'static str,
    run: fn(&Case<'_>) -> Result<Vec<Finding>, String>,
) -> Detector {
    Detector { kind, doc, needs_heap, run }
}

/// All of them.
#[rustfmt::skip]
pub const DETECTORS: &[Detector] = &[
    row(FindingKind::NilChannel, false, "sends to or receives from a nil channel", channels::nil_channel),
    row(FindingKind::EmptySelect, false, "select without cases", channels::empty_select),
    row(FindingKind::ChannelLeak, true, "channels that nobody can serve", channels::channel_leak),
    row(FindingKind::DoubleLock, false, "a goroutine waits for a lock that it holds", locks::double_lock),
    row(FindingKind::LockCycle, false, "locks taken in opposite orders", locks::lock_cycle),
    row(FindingKind::RwrDeadlock, false, "a reader waits behind a writer that waits for it", locks::rwr),
    row(FindingKind::OrphanLock, true, "locks that nobody is left to unlock", locks::orphan),
    row(FindingKind::LockConvoy, false, "a lock held across slow work", locks::convoy),
    row(FindingKind::WaitgroupStuck, true, "WaitGroups that never reach zero", stuck::waitgroup),
    row(FindingKind::CondStuck, true, "Conds that nobody will signal", stuck::cond),
    row(FindingKind::ContextLeak, true, "contexts that nobody cancels", channels::context_leak),
    row(FindingKind::HttpBodyLeak, false, "HTTP response bodies not closed", libraries::http_body),
    row(FindingKind::SqlPool, false, "exhausted database/sql pools that do not move", sql::sql_pool),
    row(FindingKind::PoolExhausted, true, "semaphores and limits whose holders wait for them", pools::exhausted),
    row(FindingKind::Stall, true, "pipelines whose only consumer is blocked elsewhere", pools::stall),
    row(FindingKind::TimerLeak, false, "tickers and timers that pile up", growth::timers),
    row(FindingKind::GoroutineGrowth, false, "more and more goroutines at one place", growth::goroutines),
    row(FindingKind::ThreadStuck, false, "threads long in a system call or in C", runtime::thread_stuck),
    row(FindingKind::Starvation, false, "goroutines ready to run that do not run", runtime::starvation),
    row(FindingKind::GcPressure, false, "a collector in trouble", runtime::gc_pressure),
    row(FindingKind::PanicInFlight, false, "panics and Goexit whose deferred calls are blocked", panics::in_flight),
    row(FindingKind::OnceDeadlock, false, "sync.Once that waits for itself", locks::once),
    row(FindingKind::Quiescent, false, "nothing moves and nothing will", stuck::quiescent),
    row(FindingKind::HeapGrowth, true, "a heap that grows from look to look", growth::heap),
    row(FindingKind::MixedDeadlock, true, "cycles through a lock and something else", locks::mixed),
];

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn every_kind_has_its_detector() {
        for k in FindingKind::ALL {
            assert_eq!(DETECTORS.iter().filter(|d| d.kind == *k).count(), 1, "{}", k.name());
        }
    }
}
