//! Floor 1: plain data that crosses floors. Screens, JSON, snapshots and the wire are made from it.
//!
//! Public fields, serde, no behaviour beyond naming; it knows nothing of how the data was read.

pub mod breakpoint;
pub mod caps;
pub mod defer;
pub mod frame;
pub mod goroutine;
pub mod location;
pub mod stop;
pub mod target;
pub mod thread;
pub mod variable;
pub mod wait;

pub use breakpoint::{Breakpoint, BreakpointPlace, BreakpointSpec, HitCondition, HitOp};
pub use caps::Caps;
pub use defer::{Defer, PanicRecord};
pub use frame::{Frame, Stack};
pub use goroutine::{CreatedBy, Goroutine, GoroutineFilter, GoroutineGroup, GoroutineState, GroupBy};
pub use location::Location;
pub use stop::{Stop, StopReason};
pub use target::{ReadInfo, ReadMode, TargetInfo, TargetKind};
pub use thread::Thread;
pub use variable::{Unavailable, VarFlags, VarKind, Variable};
pub use wait::{WaitKind, WaitOn, WaitOp};
