//! Floor 4: what a parked goroutine waits for.
