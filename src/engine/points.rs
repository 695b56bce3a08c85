//! The temporary breakpoints of one step: where, for which goroutine and frame, and what a hit means (Delve's breaklets).

use super::go::GoContext;
use crate::base::{GoroutineId, LoadAddr, Tid};

/// Who a step is about: a goroutine, or a thread that runs none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// `runtime.curg.goid == id`.
    Goroutine(GoroutineId),
    /// This thread.
    Thread(Tid),
}

impl Who {
    /// Is it the one that hit?
    pub fn is(self, tid: Tid, cx: &GoContext) -> bool {
        match self {
            Who::Goroutine(id) => cx.goid == Some(id),
            Who::Thread(t) => t == tid,
        }
    }
}

/// What happens when a point's conditions hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The step is done.
    Next,
    /// The step is done if the function was called by a panic (or, with `on_return`, by deferreturn at one of these return
    /// addresses of the frame).
    NextDefer {
        /// Stop on a normal return too.
        on_return: bool,
    },
    /// An indirect call: find out where it goes and break there.
    Call,
    /// `go` statement: the new goroutine is about to be queued; follow it.
    NewGoroutine,
    /// A range-over-func body entered on the line where the step began: begin the step anew from there.
    RangeBody,
    /// Control came back into the iterator from a body: the body's own points are over.
    BodyReturned,
}

/// One temporary breakpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Where.
    pub addr: LoadAddr,
    /// Whose hit counts.
    pub who: Who,
    /// Distance of the frame's CFA from the top of the stack (`runtime.frameoff`, negative), so that it survives stack growth; none
    /// for any frame.
    pub frame: Option<i64>,
    /// What a hit means.
    pub kind: Kind,
    /// The step ends on return from a function: its results are wanted.
    pub returns_from: Option<LoadAddr>,
    /// No longer in effect.
    pub off: bool,
}

impl Point {
    /// A point that ends the step in frame `frame`.
    pub fn next(addr: LoadAddr, who: Who, frame: Option<i64>) -> Point {
        Point { addr, who, frame, kind: Kind::Next, returns_from: None, off: false }
    }
    /// With another meaning.
    pub fn kind(mut self, kind: Kind) -> Point {
        self.kind = kind;
        self
    }
}

/// A step under way.
#[derive(Clone, Debug)]
pub struct Step {
    /// Whose.
    pub who: Who,
    /// Its points.
    pub points: Vec<Point>,
    /// `step`, not `next`: calls are entered.
    pub into: bool,
    /// Begun in the body of a range-over-func loop: that body's frame.
    pub body_frame: Option<i64>,
}

impl Step {
    /// Addresses in effect.
    pub fn addresses(&self) -> impl Iterator<Item = LoadAddr> + '_ {
        self.points.iter().filter(|p| !p.off).map(|p| p.addr)
    }
}
