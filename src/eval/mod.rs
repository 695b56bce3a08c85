//! Floor 4: the expression language.
