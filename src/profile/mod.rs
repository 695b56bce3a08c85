//! Floor 4: profiles: values by stack, what they sum up to, how two of them differ.
//!
//! It draws nothing and fetches nothing: bytes come in ([`load`]), are kept as a tree of call paths ([`calls`]), looked at by a
//! selection of them ([`view`]), and come out as reports ([`report`], [`diff`]) and graphs ([`flame`], [`svg`], [`folded`]).

pub mod calls;
pub mod diff;
pub mod flame;
pub mod folded;
pub mod legacy;
pub mod load;
pub mod oncpu;
pub mod pprof;
pub mod report;
pub mod svg;
pub mod tree;
pub mod units;
pub mod view;
pub mod wire;
