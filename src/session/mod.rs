//! Floor 7: the debugging session as the user sees it, without a terminal.
