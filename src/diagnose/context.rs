//! Contexts: does a goroutine wait for one to be cancelled?

use super::look::{Look, Seen};
use super::stuck::Cause;
use crate::base::LoadAddr;
use crate::goruntime::StackStart;
use crate::goruntime::value::Reader;
use crate::model::{FindingKind, WaitOp};
use crate::symbols::dwarf::{GoType, TypeKind};
use rustc_hash::FxHashMap;

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

/// A context that nobody but its watcher had is gone: only its Done channel is left, on the stack. That it was one is told by the frame,
/// which has a context and nothing else that the channel could come from.
pub fn name_causes(look: &Look<'_>, causes: &mut [Cause]) {
    let mut known: FxHashMap<LoadAddr, bool> = FxHashMap::default();
    for c in causes.iter_mut().filter(|c| c.kind == FindingKind::ChannelLeak && c.cycle.is_empty()) {
        let all = c.members.iter().all(|m| {
            let s = &look.seen[*m as usize];
            let done = matches!(&s.found.on[..], [o] if o.type_name.as_deref() == Some("chan struct {}")
                && o.op == WaitOp::Receive && o.buffer == Some((0, 0)));
            let pc = s.frames.iter().find(|f| f.info.frames.iter().any(|l| !l.internal && !l.plumbing)).map(|f| f.pc);
            done && pc.is_some_and(|pc| *known.entry(pc).or_insert_with(|| only_a_context(look, s).unwrap_or(false)))
        });
        if all && !c.members.is_empty() {
            c.kind = FindingKind::ContextLeak;
        }
    }
}

/// Has the user's innermost frame a context, and no channel of `struct {}` nor a pointer to something with one?
fn only_a_context(look: &Look<'_>, s: &Seen) -> Option<bool> {
    let r = Reader::new(look.rt, look.mem)?;
    let walked = look.rt.stack(look.mem, StackStart::Parked(s.g.addr), 20, false).ok()?;
    let own = |f: &crate::model::Frame| !f.hidden && !crate::goruntime::pcinfo::is_plumbing(&f.at.function);
    let scope = look.rt.frame_scope(&walked, walked.stack.frames.iter().position(own)?, None)?;
    let channel = |t: &GoType| t.name.contains("chan struct {}");
    let mut context = false;
    for v in r.scope(&scope) {
        let inner = match v.ty.kind {
            TypeKind::Pointer { elem: Some(e) } => Some(r.dwarf.go_type(e)),
            _ => None,
        };
        let fields = inner.iter().flat_map(|t| t.fields()).chain(v.ty.fields());
        if channel(&v.ty)
            || inner.as_deref().is_some_and(channel)
            || fields.into_iter().any(|f| channel(&r.dwarf.go_type(f.ty)))
        {
            return Some(false);
        }
        context |= v.ty.name == "context.Context";
    }
    Some(context)
}
