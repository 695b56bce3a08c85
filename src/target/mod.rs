//! Floor 3: the debuggee as the operating system shows it.
