//! Reading must not take the processor from the target: threads that only look run at a lower priority.

use std::sync::Once;

/// Niceness of threads that only look, at least. A woken thread of the target goes before them; on an idle machine they run as fast as ever.
const NICE: i32 = 10;

/// Lowers the priority of the calling thread, for good. Never call it on a thread that starts processes: they would inherit it.
pub fn this_thread() {
    // On Linux both calls are about one thread, whatever POSIX says (setpriority(2), "C library/kernel differences").
    let lower = |now: i32| rustix::process::setpriority_process(None, now.max(NICE));
    if let Err(e) = rustix::process::getpriority_process(None).and_then(lower) {
        tracing::debug!("this thread keeps its priority: {e}");
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
    }
}
