//! Floor 8: one table of commands and their verbs.
