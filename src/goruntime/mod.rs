//! Floor 3: the Go runtime's structures over memory and symbols.
