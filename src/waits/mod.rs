//! Floor 4: what a parked goroutine waits for.
//!
//! One file a primitive, one row in [`PRIMITIVES`]. A primitive says whether a goroutine's wait reason is its own and
//! then names the objects; what it cannot find it leaves out.

mod channel;

use crate::base::Memory;
use crate::goruntime::{G, GoRuntime};
use crate::model::WaitOn;

/// A kind of thing that goroutines wait for.
pub struct Primitive {
    /// For lists and tests.
    pub name: &'static str,
    /// Is a wait reason this primitive's?
    pub applies: fn(reason: &str) -> bool,
    /// The objects that a goroutine waits on.
    pub find: fn(rt: &GoRuntime, mem: &dyn Memory, g: &G, reason: &str) -> Vec<WaitOn>,
}

/// All of them.
pub const PRIMITIVES: &[Primitive] = &[channel::CHAN, channel::SELECT];

/// What goroutine `g` waits for; empty if it does not wait, or nobody knows on what.
pub fn waits_on(rt: &GoRuntime, mem: &dyn Memory, g: &G) -> Vec<WaitOn> {
    if g.parked_at().is_none() {
        return Vec::new();
    }
    let Some(reason) = rt.wait_reason(g.wait_reason) else { return Vec::new() };
    PRIMITIVES.iter().find(|p| (p.applies)(&reason)).map_or_else(Vec::new, |p| (p.find)(rt, mem, g, &reason))
}
