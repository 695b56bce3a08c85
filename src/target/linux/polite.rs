//! Reading must not take the processor from the target: threads that only look run at a lower priority.

use super::sys;
use std::sync::{Once, OnceLock};

/// Niceness of threads that only look, at least. A woken thread of the target goes before them; on an idle machine they run as fast as ever.
const NICE: i32 = 10;

/// Time slice of such threads, a little longer than what others have (0.7 to 2.8 ms by the number of processors). Linux from 6.6 on lets a thread finish its
/// slice whatever its niceness, but for a woken one that asks for less (EEVDF, from 6.12 on): so those of the target go first at once. A much longer one
/// would keep out a woken thread that has had more than its share: 86 ms were seen with 100 ms.
const SLICE_NS: u64 = 3_000_000;

/// The shortest.
const SHORT_SLICE_NS: u64 = 100_000;

/// Lowers the priority of the calling thread, for good. Never call it on a thread that starts processes: they would inherit it.
pub fn this_thread() {
    // On Linux all calls are about one thread, whatever POSIX says (setpriority(2), "C library/kernel differences").
    let lower = |now: i32| {
        let nice = now.max(NICE);
        // Refused where a filter of system calls has no such one; the niceness is then to be had by the older call.
        sys::set_schedule(nice, SLICE_NS, false).or_else(|_| rustix::process::setpriority_process(None, nice))
    };
    if let Err(e) = rustix::process::getpriority_process(None).and_then(lower) {
        tracing::debug!("this thread keeps its priority: {e}");
    }
}

/// For a thread that wakes often, does some microseconds of work and must not come late: it asks for the shortest slice there is, and gets it at once
/// (EEVDF, from Linux 6.12 on). Behind the thread of the target that it is to look at, it would find that one idle always; and a target stands
/// until the thread that has stopped it has had its turns.
pub fn promptly() {
    let ask = |nice: i32| sys::set_schedule(nice, SHORT_SLICE_NS, true);
    if let Err(e) = rustix::process::getpriority_process(None).map_err(Into::into).and_then(ask) {
        tracing::debug!("this thread may come late: {e}");
    }
}

/// For the thread that has to be there before the kernel lets go of what a dead tracer traced.
pub fn at_once() {
    if let Err(e) = sys::set_real_time() {
        tracing::debug!("no real-time priority: {e}");
        promptly();
    }
}

/// Has rayon's threads, which share long reads, run at that priority.
pub fn readers() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if let Err(e) = rayon::ThreadPoolBuilder::new().start_handler(|_| this_thread()).build_global() {
            tracing::debug!("readers keep their priority: {e}");
        }
    });
}

/// Does what is done again and again beside a target that runs: with one reader fewer than there are processors, so that a thread of the
/// target that wakes finds one free. `f` runs on another thread; what it shares out with rayon goes to the same few.
pub fn aside<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    static POOL: OnceLock<Option<rayon::ThreadPool>> = OnceLock::new();
    let pool = POOL.get_or_init(|| {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get().saturating_sub(1).max(1));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).start_handler(|_| this_thread()).build();
        pool.inspect_err(|e| tracing::debug!("no readers of their own: {e}")).ok()
    });
    match pool {
        Some(pool) => pool.install(f),
        None => f(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_thread_that_asks_gives_way() {
        let niceness = || rustix::process::getpriority_process(None).expect("its own priority");
        let before = niceness();
        let inside = std::thread::spawn(move || {
            this_thread();
            niceness()
        });
        assert_eq!(inside.join().expect("it ends"), NICE.max(before));
        assert_eq!(niceness(), before);
        assert_eq!(aside(niceness), NICE.max(before));
        assert_eq!(niceness(), before);
    }
}
