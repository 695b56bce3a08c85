//! The session, driven by hand.

use super::*;
use crate::backend::protocol::{FromHost, Notice, Reply};
use crate::base::Tid;
use crate::model::StopReason;

fn stop(epoch: u64) -> Stop {
    Stop {
        epoch: StopEpoch(epoch),
        reason: StopReason::StepDone,
        goroutine: Some(GoroutineId(1)),
        thread: Tid(1),
        at: Arc::default(),
        returned: Vec::new(),
        stop_us: 1,
        copied: false,
    }
}

/// A session stopped under control, the number of its last request, and what it sent.
struct Rig {
    s: Session,
    next: u64,
    sent: Vec<(u64, Request)>,
}

impl Rig {
    fn new() -> Rig {
        let start = Start { target: Some(TargetSpec::Launch(Default::default())), ..Start::default() };
        let mut r = Rig { s: Session::new(start), next: 0, sent: Vec::new() };
        r.flush();
        r.answer(1, Reply::Hello { version: crate::backend::protocol::PROTOCOL_VERSION, adit: String::new() });
        let caps = Caps { control: true, observe: true, variables: true, ..Caps::default() };
        r.answer(2, Reply::Opened { target: Arc::default(), caps, stop: Some(stop(1)) });
        r
    }
    fn flush(&mut self) {
        let (next, sent) = (&mut self.next, &mut self.sent);
        self.s.flush(|r| {
            *next += 1;
            sent.push((*next, r));
            *next
        });
    }
    fn answer(&mut self, id: u64, reply: Reply) {
        self.s.handle(FromHost::Reply { id, result: Ok(reply) });
        self.flush();
    }
    fn id(&self, hit: impl Fn(&Request) -> bool) -> u64 {
        self.sent.iter().rev().find(|(_, r)| hit(r)).map_or(0, |(id, _)| *id)
    }
}

fn stack(function: &str) -> Stack {
    let at = Arc::new(Location { function: function.into(), ..Location::default() });
    Stack { goroutine: GoroutineId(1), frames: vec![Frame { at, ..Frame::default() }], ..Stack::default() }
}

#[test]
fn an_answer_from_before_the_last_stop_is_dropped() {
    let mut r = Rig::new();
    r.s.want(&[Interest::Stack, Interest::Scope]);
    r.flush();
    let asked = r.id(|r| matches!(r, Request::Stack { .. }));
    r.s.perform(Action::Resume(ResumeKind::Next));
    r.flush();
    r.s.handle(FromHost::Notice(Notice::Stopped(Box::new(stop(3)))));
    r.answer(asked, Reply::Stack { epoch: StopEpoch(1), stack: stack("old") });
    assert!(r.s.stack().is_none());
    r.s.want(&[Interest::Stack]);
    r.flush();
    let again = r.id(|r| matches!(r, Request::Stack { .. }));
    assert!(again > asked);
    r.answer(again, Reply::Stack { epoch: StopEpoch(3), stack: stack("new") });
    assert_eq!(r.s.stack().map(|s| s.frames[0].at.function.as_str()), Some("new"));
}

#[test]
fn of_two_windows_the_later_wins_in_any_order() {
    let mut r = Rig::new();
    r.s.list.set_listing(goroutines::Listing::Flat);
    r.s.want(&[Interest::Goroutines(10)]);
    r.flush();
    let first = r.id(|r| matches!(r, Request::Goroutines(_)));
    r.s.list.set_filter("main");
    r.s.want(&[Interest::Goroutines(10)]);
    r.flush();
    let second = r.id(|r| matches!(r, Request::Goroutines(_)));
    assert!(second > first);
    let rows = |n: usize| Reply::Goroutines {
        epoch: StopEpoch(1),
        read: Default::default(),
        total: n as u64,
        rows: vec![Default::default(); n],
    };
    r.answer(second, rows(2));
    r.answer(first, rows(7));
    assert_eq!(r.s.list.total, 2);
}

#[test]
fn a_second_resume_waits_for_the_first() {
    let mut r = Rig::new();
    r.s.perform(Action::Resume(ResumeKind::Continue));
    r.s.perform(Action::Resume(ResumeKind::Next));
    r.flush();
    assert_eq!(r.sent.iter().filter(|(_, r)| matches!(r, Request::Resume { .. })).count(), 1);
    assert!(r.s.message.as_ref().is_some_and(|m| m.text.contains("runs")));
}

#[test]
fn steps_typed_fast_are_done_one_by_one_until_something_else_happens() {
    let resumes = |r: &Rig| r.sent.iter().filter(|(_, r)| matches!(r, Request::Resume { .. })).count();
    let mut r = Rig::new();
    for _ in 0..4 {
        r.s.perform(Action::Resume(ResumeKind::Next));
        r.flush();
    }
    assert_eq!(resumes(&r), 1);
    r.s.handle(FromHost::Notice(Notice::Stopped(Box::new(stop(2)))));
    r.flush();
    assert_eq!(resumes(&r), 2);
    let other = Stop { reason: StopReason::Breakpoint(BreakpointId(1)), ..stop(3) };
    r.s.handle(FromHost::Notice(Notice::Stopped(Box::new(other))));
    r.flush();
    assert_eq!((resumes(&r), &r.s.state), (2, &RunState::Stopped));
}

#[test]
fn waiting_shows_after_a_while_and_old_data_stays() {
    let mut r = Rig::new();
    r.s.want(&[Interest::Stack]);
    r.flush();
    assert_eq!(r.s.waiting_for(), None);
    assert!(r.s.deadline().is_some());
    r.s.now += PATIENCE;
    assert!(r.s.waiting_for().is_some());
    assert_eq!(r.s.deadline().filter(|d| *d > r.s.now), None);
    assert!(r.s.cancel_waiting());
}
