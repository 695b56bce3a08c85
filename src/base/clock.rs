//! Time in the unit that the Go runtime and the kernel share: CLOCK_MONOTONIC nanoseconds.

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds of CLOCK_MONOTONIC, the clock of `runtime.nanotime` on Linux.
pub fn monotonic_ns() -> u64 {
    match clock_gettime(ClockId::CLOCK_MONOTONIC) {
        Ok(t) => t.tv_sec() as u64 * 1_000_000_000 + t.tv_nsec() as u64,
        Err(_) => 0, // cannot fail for this clock on Linux
    }
}

/// Nanoseconds as a person reads them: `38ms`, `4.2s`, `3m02s`, `6h12m`.
pub fn human_ns(ns: u64) -> String {
    let us = ns / 1_000;
    let ms = us / 1_000;
    let s = ms / 1_000;
    match () {
        _ if us < 1_000 => format!("{us}us"),
        _ if ms < 1_000 => format!("{ms}ms"),
        _ if s < 10 => format!("{}.{}s", s, ms % 1_000 / 100),
        _ if s < 60 => format!("{s}s"),
        _ if s < 3_600 => format!("{}m{:02}s", s / 60, s % 60),
        _ if s < 172_800 => format!("{}h{:02}m", s / 3_600, s % 3_600 / 60),
        _ => format!("{}d", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn reads_like_a_clock() {
        for (ns, want) in [
            (950, "0us"),
            (38_000_000, "38ms"),
            (4_250_000_000, "4.2s"),
            (182_000_000_000, "3m02s"),
            (22_320_000_000_000, "6h12m"),
        ] {
            assert_eq!(human_ns(ns), want);
        }
        assert!(monotonic_ns() > 0);
    }
}
