//! Floor 5: the native debugger.
