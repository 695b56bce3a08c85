//! Contexts: does a goroutine wait for one to be cancelled?

use super::look::{Look, Seen};
use crate::base::LoadAddr;

/// Where `context.cancelCtx` keeps the channel of `done` (an `atomic.Value`: type word, data word), 1.21 to 1.27.
pub const DONE: u64 = 24;

/// The `cancelCtx` whose Done channel this is, among objects that refer to the channel: its first word is the interface table of the
/// parent, a type of package context or one that implements it.
pub fn cancel_ctx(look: &Look<'_>, from: LoadAddr, offset: u64) -> Option<LoadAddr> {
    let ctx = from.add(offset).offset(-(DONE as i64 + 8));
    let itab = look.mem.read_ptr(ctx).ok().filter(|i| !i.is_nil())?;
    let t = look.rt.runtime_type(look.mem, look.mem.read_ptr(itab.add(8)).ok()?)?;
    let word = look.rt.runtime_type(look.mem, look.mem.read_ptr(ctx.add(DONE)).ok()?)?;
    (word.name == "chan struct {}" && !t.name.is_empty()).then_some(ctx)
}

/// Is one of the channels that it waits for a context's? Told by the channel's element and by who calls: a receive of `struct {}` in a
/// function whose context is at hand.
pub fn waits_for_context(look: &Look<'_>, s: &Seen) -> bool {
    s.found.on.iter().any(|o| {
        let (Some(addr), Some(t)) = (o.addr, &o.type_name) else { return false };
        t == "chan struct {}" && look.contexts.contains(&addr)
    })
}
