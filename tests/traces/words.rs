//! Events in the words of `reference.go`, and their hash.

use adit::trace::exec::event::{Event, GoState, ProcState, Transition};
use adit::trace::exec::format::ev;
use adit::trace::exec::{Chunk, Kind, Mode, Reader, Store, Tables};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

#[derive(Default)]
pub struct Report {
    pub error: Option<String>,
    pub events: u64,
    pub kinds: BTreeMap<&'static str, u64>,
    pub order: u64,
}

fn go(s: GoState) -> &'static str {
    match s {
        GoState::Undetermined => "Undetermined",
        GoState::NotExist => "NotExist",
        GoState::Runnable => "Runnable",
        GoState::Running => "Running",
        GoState::Waiting => "Waiting",
        GoState::Syscall => "Syscall",
    }
}

fn proc(s: ProcState) -> &'static str {
    match s {
        ProcState::Undetermined => "Undetermined",
        ProcState::NotExist => "NotExist",
        ProcState::Running => "Running",
        ProcState::Idle => "Idle",
    }
}

fn stack(t: &Tables, id: u64, out: &mut String) {
    for f in t.stack(id) {
        let _ = write!(out, " {}:{}", t.text(f.func), f.line);
    }
}

pub fn words(e: &Event, c: &Chunk) -> String {
    let t = &c.tables;
    let mut s = format!("{} {} {} {} {}", e.kind().name(), e.time, e.m, e.p, e.g);
    let _ = match e.kind() {
        Kind::StateTransition => {
            let _ = match e.transition().expect("a transition") {
                Transition::Go { g, old, new } => write!(s, " g{g} {} {} {}", go(old), go(new), t.text(e.reason())),
                Transition::Proc { p, old, new } => write!(s, " p{p} {} {}", proc(old), proc(new)),
            };
            stack(t, e.transition_stack(), &mut s);
            Ok(())
        }
        Kind::Metric => write!(s, " {}", e.args[0]),
        Kind::RangeBegin | Kind::RangeActive | Kind::RangeEnd => match e.typ {
            ev::STW_BEGIN | ev::STW_END => write!(s, " stop-the-world ({})", t.text(e.args[0])),
            ev::GC_BEGIN | ev::GC_ACTIVE | ev::GC_END => write!(s, " GC concurrent mark phase"),
            ev::SWEEP_BEGIN | ev::SWEEP_ACTIVE | ev::SWEEP_END => write!(s, " GC incremental sweep"),
            _ => write!(s, " GC mark assist"),
        },
        Kind::TaskBegin => write!(s, " {} {} {}", e.args[0], e.args[1], t.text(e.args[2])),
        Kind::TaskEnd => {
            let name = e.args[3].checked_sub(1).map_or("", |i| &c.names[i as usize]);
            write!(s, " {} {} {name}", e.args[0], e.args[2])
        }
        Kind::RegionBegin | Kind::RegionEnd => write!(s, " {} {}", e.args[0], t.text(e.args[1])),
        Kind::Log => write!(s, " {} {} {}", e.args[0], t.text(e.args[1]), t.text(e.args[2])),
        Kind::Label => write!(s, " {}", t.text(e.args[0])),
        _ => Ok(()),
    };
    stack(t, e.stack(), &mut s);
    s
}

/// Reads all of a trace; `each` sees every line.
pub fn read(store: Arc<dyn Store>, mode: Mode, mut each: impl FnMut(&str)) -> Report {
    let mut r = Report { order: 0xcbf2_9ce4_8422_2325, ..Report::default() };
    let mut reader = match Reader::open(store, mode) {
        Ok(reader) => reader,
        Err(f) => {
            r.error = Some(f.to_string());
            return r;
        }
    };
    let mut c = Chunk::default();
    loop {
        match reader.next(&mut c) {
            Ok(true) => {}
            Ok(false) => return r,
            Err(f) => {
                r.error = Some(f.to_string());
                return r;
            }
        }
        for e in &c.events {
            r.events += 1;
            *r.kinds.entry(e.kind().name()).or_default() += 1;
            let w = words(e, &c);
            for b in w.bytes().chain([b'\n']) {
                r.order = (r.order ^ u64::from(b)).wrapping_mul(0x100_0000_01b3);
            }
            each(&w);
        }
    }
}
