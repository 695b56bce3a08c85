//! All events of a trace in order and checked, again and again: what has to be known of later ones is found by reading it before.
//!
//! The format puts each P's events in batches, the clock and the stacks at the end, and ends of system calls where somebody got round to write them. So a
//! trace is read three times: for those ends and the tables; for what has to hold, and which system calls block; and for the events themselves.
//! What is kept of them is one batch of each P, the ends of system calls, and a bit for each call.

use super::super::fault::Trouble;
use super::order::{Merge, Moved, Settling, is_moved};
use super::parse::{Event, Parser, ev};
use super::verify::Verifier;
use rustc_hash::FxHashMap;

/// The events of a trace.
pub(super) struct Stream {
    parser: Parser,
    merge: Merge,
    moved: Vec<Moved>,
    next_moved: usize,
    /// The next one that stays where it is, and its number.
    stays: Option<Moved>,
    seq: u64,
    first: i64,
    tick: f64,
    verifier: Verifier,
    /// Of each system call whether it blocked.
    blocks: Vec<u64>,
}

impl Stream {
    /// Reads the trace twice. The error is that for which Go's reader refuses it.
    pub(super) fn new(mut parser: Parser) -> Result<Stream, Trouble> {
        let mut settling = Settling::default();
        let mut merge = begin(&parser);
        while let Some(e) = merge.next(|p| parser.batch(p))? {
            settling.see(&e)?;
        }
        let (moved, first) = settling.finish()?;
        let tick = parser.tick()?;
        let merge = begin(&parser);
        let verifier = Verifier::new();
        let mut s = Stream {
            parser,
            merge,
            moved,
            next_moved: 0,
            stays: None,
            seq: 0,
            first,
            tick,
            verifier,
            blocks: Vec::new(),
        };
        s.begin_again();
        s.check()?;
        s.begin_again();
        Ok(s)
    }

    fn begin_again(&mut self) {
        self.parser.begin_again();
        self.merge = begin(&self.parser);
        (self.next_moved, self.seq, self.stays) = (0, 0, None);
        self.verifier = Verifier::new();
    }

    /// Second pass: what has to hold, and which system calls block: the next event of their goroutine says it.
    fn check(&mut self) -> Result<(), Trouble> {
        let mut open: FxHashMap<u64, usize> = FxHashMap::default();
        let mut calls = 0;
        while let Some(e) = self.next()? {
            if let Some(call) = open.remove(&e.g)
                && e.typ == ev::GO_SYS_BLOCK
            {
                self.blocks[call / 64] |= 1 << (call % 64);
            }
            if e.typ == ev::GO_SYSCALL {
                self.blocks.resize(calls / 64 + 1, 0);
                open.insert(e.g, calls);
                calls += 1;
            }
        }
        Ok(())
    }

    /// The next event; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Event>, Trouble> {
        let Stream { parser, merge, .. } = self;
        while self.stays.is_none() {
            match merge.next(|p| parser.batch(p))? {
                Some(e) => {
                    self.stays = (!is_moved(&e)).then_some((self.seq, e));
                    self.seq += 1;
                }
                None => break,
            }
        }
        let moved = self.moved.get(self.next_moved);
        let mut e = match (self.stays, moved) {
            (None, None) => return Ok(None),
            (Some((n, e)), m) if m.is_none_or(|m| (e.ts, n) < (m.1.ts, m.0)) => {
                self.stays = None;
                e
            }
            (_, Some(m)) => {
                self.next_moved += 1;
                m.1
            }
            (Some((_, e)), None) => {
                self.stays = None;
                e
            }
        };
        parser.place(&mut e, self.first, self.tick);
        self.verifier.check(&mut e, &parser.stacks)?;
        Ok(Some(e))
    }

    /// Did a system call block, by its number?
    pub(super) fn blocks(&self, call: usize) -> bool {
        self.blocks.get(call / 64).is_some_and(|w| w >> (call % 64) & 1 == 1)
    }

    /// What the events refer to.
    pub(super) fn parser(&mut self) -> &mut Parser {
        &mut self.parser
    }
}

fn begin(parser: &Parser) -> Merge {
    let (ids, samples) = parser.parts();
    Merge::of(ids, samples)
}
