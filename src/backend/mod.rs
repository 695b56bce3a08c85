//! Floor 6: the one door to a target.

pub mod protocol;
