//! Floor 9: the screen; ratatui lives only here.
