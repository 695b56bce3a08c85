//! The JSON of the contract, written by hand into bytes: key order is part of it, and 100,000 goroutines must not take
//! time. Places repeat: their text is made once for each shared location.

use crate::backend::protocol::Failure;
use crate::base::LoadAddr;
use crate::model::{
    Defer, Frame, Goroutine, Location, PanicRecord, ReadInfo, TargetInfo, TargetKind, Variable, WaitKind, WaitOn,
    WaitOp,
};
use rustc_hash::FxHashMap;
use std::{io::Write, sync::Arc};

/// A string literal.
pub fn string(out: &mut Vec<u8>, s: &str) {
    out.push(b'"');
    let bytes = s.as_bytes();
    let mut from = 0;
    for (i, &b) in bytes.iter().enumerate() {
        if b >= 0x20 && b != b'"' && b != b'\\' && b != 0x7f {
            continue;
        }
        out.extend_from_slice(&bytes[from..i]);
        from = i + 1;
        match b {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(b >> 4)]);
                out.push(HEX[usize::from(b & 15)]);
            }
        }
    }
    out.extend_from_slice(&bytes[from..]);
    out.push(b'"');
}

/// A number.
pub fn number(out: &mut Vec<u8>, mut n: u64) {
    let mut buf = [0u8; 20];
    let mut i = buf.len();
    loop {
        i -= 1;
        buf[i] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&buf[i..]);
}

/// `"0x…"`.
pub fn address(out: &mut Vec<u8>, a: LoadAddr) {
    out.extend_from_slice(b"\"0x");
    let mut shift = 60;
    while shift > 0 && a.0 >> shift == 0 {
        shift -= 4;
    }
    loop {
        out.push(b"0123456789abcdef"[(a.0 >> shift & 15) as usize]);
        if shift == 0 {
            break;
        }
        shift -= 4;
    }
    out.push(b'"');
}

/// `{"error":{…}}`.
pub fn failure(out: &mut Vec<u8>, f: &Failure) {
    out.push(b'{');
    error(out, f);
    out.extend_from_slice(b"}\n");
}

/// `"error":{…}`.
pub fn error(out: &mut Vec<u8>, f: &Failure) {
    let kind = serde_json::to_string(&f.kind).unwrap_or_else(|_| "\"internal\"".into());
    out.extend_from_slice(b"\"error\":{\"kind\":");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b",\"message\":");
    string(out, &f.message);
    if let Some(fix) = &f.fix {
        out.extend_from_slice(b",\"fix\":");
        string(out, fix);
    }
    out.push(b'}');
}

/// `"target":{…}`.
pub fn target(out: &mut Vec<u8>, t: &TargetInfo) {
    let kind = match t.kind {
        TargetKind::Process => "process",
        TargetKind::Core => "core",
        TargetKind::Snapshot => "snapshot",
        TargetKind::Dump => "dump",
        TargetKind::Delve => "delve",
        TargetKind::Trace => "trace",
        TargetKind::Profile => "profile",
    };
    out.extend_from_slice(b"\"target\":{\"kind\":");
    string(out, kind);
    if let Some(pid) = t.pid.and_then(|p| u64::try_from(p).ok()) {
        out.extend_from_slice(b",\"pid\":");
        number(out, pid);
    }
    for (key, value) in [("exe", &t.exe), ("go", &t.go), ("arch", &t.arch)] {
        if !value.is_empty() {
            out.push(b',');
            string(out, key);
            out.push(b':');
            string(out, value);
        }
    }
    boolean(out, ",\"stripped\":", t.stripped);
    boolean(out, ",\"optimised\":", t.optimised);
    // What a file lacks decides how far to trust the rest.
    if t.kind != TargetKind::Process && !t.notes.is_empty() {
        out.extend_from_slice(b",\"notes\":[");
        for (i, n) in t.notes.iter().enumerate() {
            comma(out, i);
            string(out, n);
        }
        out.push(b']');
    }
    out.push(b'}');
}

/// `"read":{…}`.
pub fn read(out: &mut Vec<u8>, r: &ReadInfo) {
    out.extend_from_slice(b"\"read\":{\"mode\":");
    string(out, super::mode_name(r.mode));
    for (key, n) in [("pause_us", r.pause_us), ("retries", r.retries), ("took_us", r.took_us)] {
        out.push(b',');
        string(out, key);
        out.push(b':');
        number(out, n);
    }
    if r.taken_at != 0 {
        out.extend_from_slice(b",\"taken_at\":");
        number(out, r.taken_at);
    }
    out.push(b'}');
}

fn boolean(out: &mut Vec<u8>, key: &str, v: bool) {
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(if v { b"true" } else { b"false" });
}

/// Writes rows; remembers the text of locations that several rows share.
#[derive(Default)]
pub struct Rows {
    places: FxHashMap<usize, Box<[u8]>>,
    kept: Vec<Arc<Location>>,
}

impl Rows {
    /// The keys of a place, without braces.
    fn place(&mut self, out: &mut Vec<u8>, at: &Arc<Location>) {
        let key = Arc::as_ptr(at) as usize;
        if let Some(text) = self.places.get(&key) {
            out.extend_from_slice(text);
            return;
        }
        let from = out.len();
        place(out, at);
        if Arc::strong_count(at) > 1 {
            // Kept alive, so that its address cannot be given to another one.
            self.kept.push(at.clone());
            self.places.insert(key, out[from..].into());
        }
    }
    fn braced(&mut self, out: &mut Vec<u8>, key: &str, at: &Arc<Location>) {
        out.extend_from_slice(key.as_bytes());
        out.push(b'{');
        self.place(out, at);
        out.push(b'}');
    }
    /// One goroutine.
    pub fn goroutine(&mut self, out: &mut Vec<u8>, g: &Goroutine) {
        out.extend_from_slice(b"{\"id\":");
        number(out, g.id.0);
        out.extend_from_slice(b",\"state\":\"");
        out.extend_from_slice(g.state.name().as_bytes());
        out.push(b'"');
        if let Some(r) = &g.wait_reason {
            out.extend_from_slice(b",\"wait_reason\":");
            string(out, r);
        }
        if let Some(n) = g.wait_ns {
            out.extend_from_slice(b",\"wait_ns\":");
            number(out, n);
        }
        boolean(out, ",\"system\":", g.system);
        if let Some(t) = g.thread.and_then(|t| u64::try_from(t.0).ok()) {
            out.extend_from_slice(b",\"thread\":");
            number(out, t);
        }
        if !g.labels.is_empty() {
            out.extend_from_slice(b",\"labels\":{");
            for (i, (k, v)) in g.labels.iter().enumerate() {
                comma(out, i);
                string(out, k);
                out.push(b':');
                string(out, v);
            }
            out.push(b'}');
        }
        if known(&g.at) {
            self.braced(out, ",\"at\":", &g.at);
        }
        if known(&g.user) {
            self.braced(out, ",\"user\":", &g.user);
        }
        if let Some(c) = &g.created_by {
            out.extend_from_slice(b",\"created_by\":{");
            self.place(out, &c.at);
            if c.goroutine.0 != 0 {
                out.extend_from_slice(b",\"goroutine\":");
                number(out, c.goroutine.0);
            }
            out.push(b'}');
        }
        if let Some(e) = &g.entry {
            self.braced(out, ",\"entry\":", e);
        }
        if !g.waits_on.is_empty() {
            out.extend_from_slice(b",\"waits_on\":[");
            for (i, w) in g.waits_on.iter().enumerate() {
                comma(out, i);
                wait(out, w);
            }
            out.push(b']');
        }
        if let Some(frames) = &g.stack {
            self.frames(out, frames);
        }
        if let Some(defers) = &g.defers {
            self.defers(out, defers.iter());
        }
        if g.torn {
            boolean(out, ",\"torn\":", true);
        }
        out.push(b'}');
    }
    /// `,"stack":[…]`.
    pub fn frames(&mut self, out: &mut Vec<u8>, frames: &[Frame]) {
        out.extend_from_slice(b",\"stack\":[");
        for (i, f) in frames.iter().enumerate() {
            comma(out, i);
            out.push(b'{');
            self.place(out, &f.at);
            boolean(out, ",\"inlined\":", f.inlined);
            out.push(b'}');
        }
        out.push(b']');
    }
    /// `,"defers":[…]`.
    pub fn defers<'a>(&mut self, out: &mut Vec<u8>, defers: impl Iterator<Item = &'a Defer>) {
        out.extend_from_slice(b",\"defers\":[");
        for (i, d) in defers.enumerate() {
            comma(out, i);
            out.push(b'{');
            // The deferred function is what the entry is about; where it is comes with it.
            let named = Location { function: d.function.clone(), ..(*d.at).clone() };
            place(out, &named);
            out.extend_from_slice(b",\"frame\":");
            number(out, u64::from(d.frame));
            if let Some(r) = d.receiver {
                out.extend_from_slice(b",\"receiver\":");
                address(out, r);
            }
            if let Some(s) = &d.statement {
                self.braced(out, ",\"statement\":", s);
            }
            if !d.captures.is_empty() {
                out.extend_from_slice(b",\"captures\":[");
                for (i, (name, value)) in d.captures.iter().enumerate() {
                    comma(out, i);
                    out.extend_from_slice(b"{\"name\":");
                    string(out, name);
                    out.extend_from_slice(b",\"value\":");
                    string(out, value);
                    out.push(b'}');
                }
                out.push(b']');
            }
            let kind = if d.range_func {
                "range-func"
            } else if d.open_coded {
                "open-coded"
            } else {
                "record"
            };
            out.extend_from_slice(b",\"kind\":");
            string(out, kind);
            boolean(out, ",\"recovers\":", d.recovers);
            out.push(b'}');
        }
        out.push(b']');
    }
}

/// `,"panics":[…]`.
pub fn panics(out: &mut Vec<u8>, panics: &[PanicRecord]) {
    out.extend_from_slice(b",\"panics\":[");
    for (i, p) in panics.iter().enumerate() {
        comma(out, i);
        out.extend_from_slice(b"{\"value\":");
        string(out, &p.value);
        boolean(out, ",\"recovered\":", p.recovered);
        boolean(out, ",\"goexit\":", p.goexit);
        if let Some(at) = &p.recovered_by {
            out.extend_from_slice(b",\"recovered_by\":{");
            place(out, at);
            out.push(b'}');
        }
        out.push(b'}');
    }
    out.push(b']');
}

/// One variable.
pub fn variable(out: &mut Vec<u8>, v: &Variable) {
    out.extend_from_slice(b"{\"name\":");
    string(out, &v.name);
    out.extend_from_slice(b",\"type\":");
    string(out, &v.type_name);
    out.extend_from_slice(b",\"value\":");
    string(out, &v.value);
    if !v.addr.is_nil() {
        out.extend_from_slice(b",\"addr\":");
        address(out, v.addr);
    }
    if v.flags.argument {
        boolean(out, ",\"argument\":", true);
    }
    if v.unavailable.is_some() {
        boolean(out, ",\"unavailable\":", true);
    }
    out.push(b'}');
}

/// A comma before all but the first.
pub fn comma(out: &mut Vec<u8>, i: usize) {
    if i > 0 {
        out.push(b',');
    }
}

fn known(at: &Location) -> bool {
    !at.function.is_empty() || !at.file.is_empty() || !at.pc.is_nil()
}

/// The keys of a place, without braces.
pub fn place(out: &mut Vec<u8>, at: &Location) {
    let mut n = 0;
    for (key, value) in [("\"function\":", &at.function), ("\"file\":", &at.file)] {
        if !value.is_empty() {
            comma(out, n);
            out.extend_from_slice(key.as_bytes());
            string(out, value);
            n += 1;
        }
    }
    if at.line > 0 {
        comma(out, n);
        out.extend_from_slice(b"\"line\":");
        number(out, u64::from(at.line));
        n += 1;
    }
    if !at.pc.is_nil() || n == 0 {
        comma(out, n);
        out.extend_from_slice(b"\"pc\":");
        address(out, at.pc);
    }
}

/// The contract's word for a kind of wait.
pub fn kind_name(k: WaitKind) -> &'static str {
    match k {
        WaitKind::Chan => "chan",
        WaitKind::Select => "select",
        WaitKind::Mutex => "mutex",
        WaitKind::Rwmutex => "rwmutex",
        WaitKind::Waitgroup => "waitgroup",
        WaitKind::Cond => "cond",
        WaitKind::Semaphore => "semaphore",
        WaitKind::Once => "once",
        WaitKind::Timer => "timer",
        WaitKind::Io => "io",
        WaitKind::Gc => "gc",
        WaitKind::Syscall => "syscall",
        WaitKind::DebugCall => "debug-call",
        WaitKind::Other => "other",
    }
}

/// The contract's word for an operation.
pub fn op_name(o: WaitOp) -> &'static str {
    match o {
        WaitOp::Send => "send",
        WaitOp::Receive => "receive",
        WaitOp::Lock => "lock",
        WaitOp::Rlock => "rlock",
        WaitOp::Wait => "wait",
        WaitOp::Read => "read",
        WaitOp::Write => "write",
        WaitOp::Sleep => "sleep",
    }
}

fn wait(out: &mut Vec<u8>, w: &WaitOn) {
    out.extend_from_slice(b"{\"kind\":");
    string(out, kind_name(w.kind));
    out.extend_from_slice(b",\"op\":");
    string(out, op_name(w.op));
    if let Some(a) = w.addr {
        out.extend_from_slice(b",\"addr\":");
        address(out, a);
    }
    if let Some(t) = &w.type_name {
        out.extend_from_slice(b",\"type\":");
        string(out, t);
    }
    if let Some(n) = &w.name {
        out.extend_from_slice(b",\"name\":");
        string(out, n);
    }
    if let Some((len, cap)) = w.buffer {
        let _into_a_vec = write!(out, ",\"len\":{len},\"cap\":{cap}");
    }
    if let Some(d) = &w.detail {
        out.extend_from_slice(b",\"detail\":");
        string(out, d);
    }
    if !w.peers.is_empty() {
        out.extend_from_slice(b",\"peers\":[");
        for (i, g) in w.peers.iter().enumerate() {
            comma(out, i);
            number(out, g.0);
        }
        out.push(b']');
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::protocol::FailureKind;
    use crate::base::GoroutineId;

    #[test]
    fn strings_are_json() {
        let hard = "a\"b\\\n\u{1}\u{7f}é\u{202e}";
        let mut out = Vec::new();
        string(&mut out, hard);
        assert_eq!(serde_json::from_slice::<String>(&out).expect("valid"), hard);
    }
    #[test]
    fn addresses_and_numbers() {
        for n in [0, 7, 16, 0xc0001a2060, u64::MAX] {
            let (mut a, mut b) = (Vec::new(), Vec::new());
            address(&mut a, LoadAddr(n));
            number(&mut b, n);
            assert_eq!(String::from_utf8_lossy(&a), format!("\"{n:#x}\""));
            assert_eq!(String::from_utf8_lossy(&b), n.to_string());
        }
    }
    #[test]
    fn absent_facts_are_left_out() {
        let mut out = Vec::new();
        let g = Goroutine { id: GoroutineId(7), ..Goroutine::default() };
        Rows::default().goroutine(&mut out, &g);
        assert_eq!(String::from_utf8_lossy(&out), r#"{"id":7,"state":"waiting","system":false}"#);
    }
    #[test]
    fn failures() {
        let mut out = Vec::new();
        failure(&mut out, &Failure::new(FailureKind::NoProcess, "no process 9").fix("ps"));
        assert_eq!(
            String::from_utf8_lossy(&out),
            "{\"error\":{\"kind\":\"no-process\",\"message\":\"no process 9\",\"fix\":\"ps\"}}\n"
        );
    }
}
