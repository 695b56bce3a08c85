//! The evidence as text: findings, which detectors looked, goroutine groups, the wait graph; for a file or a ticket.

use super::goroutines::{Row, group_title};
use super::waits::WaitRowKind;
use super::{Session, triage};
use crate::base::{clock::human_ns, text::printable_str};
use crate::model::{CycleStep, Finding, GroupBy, Location, ReadMode, WaitObject, WaitOp};

impl Session {
    /// Everything that is known of what is wrong, as lines of text.
    pub fn evidence(&self) -> String {
        let mut out = String::new();
        let mut line = |t: &str| {
            out.push_str(t.trim_end());
            out.push('\n');
        };
        line(&format!("adit evidence, {}", (self.clock)()));
        if let Some(t) = &self.target {
            let pid = t.pid.map_or(String::new(), |p| format!("  pid {p}"));
            line(&printable_str(&format!("{}{pid}  {} {}", t.exe, t.go, t.arch), 500));
        }
        if let Some(d) = self.triage.asked.data() {
            let how = match self.triage.read.mode {
                ReadMode::Observed => "read while it ran",
                ReadMode::Stopped => "read at a stop",
                ReadMode::Offline => "read from a file",
            };
            line(&format!("{} goroutines, {how}, looked at in {}", d.goroutines, human_ns(d.took_us * 1_000)));
            if let Some((objects, bytes)) = d.heap {
                line(&format!("heap: {objects} objects, {}", triage::human_bytes(bytes)));
            }
            line("");
            line(&format!("FINDINGS {}", d.findings.len()));
            if d.findings.is_empty() {
                line("no known pattern");
            }
            for (i, f) in d.findings.iter().enumerate() {
                line("");
                for l in finding_lines(i + 1, f) {
                    line(&l);
                }
            }
            line("");
            line("DETECTORS");
            for r in &d.detectors {
                let state = if r.ran { "looked" } else { "could not look" };
                let why = if r.reason.is_empty() { String::new() } else { format!(": {}", r.reason) };
                line(&printable_str(&format!("  {:<18} {state}{why}", r.kind.name()), 500));
            }
            if d.muted > 0 {
                line(&format!("  {} findings muted: {}", d.muted, self.triage.mutes.join(", ")));
            }
        } else {
            line("no diagnosis yet");
        }
        line("");
        line(&format!("GOROUTINES as listed: {} in {} rows", self.list.goroutines, self.list.total));
        for i in 0..self.list.total.min(1_000) {
            let text = match self.list.row(i) {
                Some(Row::Group(g)) => {
                    let wait = g.wait_ns.map_or("-".into(), |(_, b)| human_ns(b));
                    let state = g.sample.wait_reason.as_deref().unwrap_or(g.sample.state.name());
                    let title = group_title(g, GroupBy::User);
                    format!("  {:>7}  {state:<16} {wait:<8} {title}  {}", g.count, at(&g.sample.user))
                }
                Some(Row::Goroutine(g)) => {
                    let state = g.wait_reason.as_deref().unwrap_or(g.state.name());
                    format!("  {:>7}  {state:<16} {}  {}", g.id, g.user.short_function(), at(&g.user))
                }
                None => continue,
            };
            line(&printable_str(&text, 400));
        }
        if !self.waits.rows().is_empty() {
            line("");
            line("WAIT GRAPH");
            for r in self.waits.rows() {
                line(&printable_str(&self.wait_row(r), 400));
            }
        }
        out
    }

    /// A row of the wait graph as text.
    pub fn wait_row(&self, r: &super::waits::WaitRow) -> String {
        let indent = "  ".repeat(r.depth as usize + 1);
        let mark = r.mark.map_or("", |m| m.word());
        match &r.kind {
            WaitRowKind::Goroutine { node, by, again } => {
                let by = by.map_or(String::new(), |(_, e)| format!("held by ({}) ", e.name()));
                let again = if *again { " (see above)" } else { "" };
                format!("{indent}{by}{}{again}  {mark}", self.wait_goroutines(*node))
            }
            WaitRowKind::Object { node, op, nobody } => {
                let object = self.waits.object(*node).map_or(String::new(), object_text);
                let nobody = if *nobody { "  (no holder known)" } else { "" };
                format!("{indent}--{}--> {object}{nobody}", op_word(*op))
            }
            WaitRowKind::More(n) => format!("{indent}and {n} more"),
            WaitRowKind::Chain { from, op, object, holders } => {
                let object = self.waits.object(*object).map_or(String::new(), object_text);
                let by: Vec<String> =
                    holders.iter().map(|(n, e)| format!("{} ({})", self.wait_goroutines(*n), e.name())).collect();
                let by = if by.is_empty() { String::new() } else { format!(" --held by--> {}", by.join(", ")) };
                format!("{indent}{} --{}--> {object}{by}  {mark}", self.wait_goroutines(*from), op_word(*op))
            }
        }
    }

    fn wait_goroutines(&self, node: u32) -> String {
        let Some((count, _, sample)) = self.waits.goroutines(node) else { return String::new() };
        let n = if count > 1 { format!("{count} x ") } else { String::new() };
        format!("{n}g{} {} {}", sample.id, sample.user.short_function(), at(&sample.user))
    }
}

/// `cart.go:46`.
fn at(l: &Location) -> String {
    if l.file.is_empty() { format!("{}", l.pc) } else { format!("{}:{}", l.base_file(), l.line) }
}

/// What somebody wants to do, as an edge says it.
pub fn op_word(op: WaitOp) -> &'static str {
    match op {
        WaitOp::Send => "send",
        WaitOp::Receive => "recv",
        WaitOp::Lock => "Lock",
        WaitOp::Rlock => "RLock",
        WaitOp::Wait => "Wait",
        WaitOp::Read => "read",
        WaitOp::Write => "write",
        WaitOp::Sleep => "sleep",
    }
}

/// `Cache.mu`, else `chan int 0xc000…`: how an object is called in one word.
pub fn object_name(o: &WaitObject) -> String {
    let kind = format!("{:?}", o.kind).to_lowercase();
    let text = match (&o.name, &o.type_name, o.addr) {
        // As frames are written: `(*Store).mu`, not `(*main.Store).mu`.
        (Some(n), _, _) => n.strip_prefix("main.").unwrap_or(n).replacen("(*main.", "(*", 1),
        (None, Some(t), Some(a)) => format!("{t} {a}"),
        (None, Some(t), None) => format!("nil {t}"),
        (None, None, Some(a)) => format!("{kind} {a}"),
        (None, None, None) => kind,
    };
    printable_str(&text, 120)
}

/// Its name and state: `Audit.events buffered 256 of 256`.
pub fn object_short(o: &WaitObject) -> String {
    printable_str(format!("{} {}", object_name(o), o.state).trim_end(), 200)
}

/// Its name, type and state: `Audit.events chan main.Event buffered 256 of 256`.
pub fn object_text(o: &WaitObject) -> String {
    let mut t = object_name(o);
    if let (Some(_), Some(ty)) = (&o.name, &o.type_name) {
        t = format!("{t} {ty}");
    }
    if !o.state.is_empty() {
        t.push_str(&format!(" {}", o.state));
    }
    printable_str(&t, 200)
}

/// `g88 -> Cache.mu -> g4127 -> Store.mu -> g88`.
pub fn cycle_text(cycle: &[CycleStep], arrow: &str) -> String {
    let mut names: Vec<String> = cycle
        .iter()
        .map(|c| match c {
            CycleStep::Goroutine(g) => format!("g{g}"),
            CycleStep::Object(o) => object_name(o),
        })
        .collect();
    names.extend(names.first().cloned());
    names.join(&format!(" {arrow} "))
}

fn finding_lines(n: usize, f: &Finding) -> Vec<String> {
    let mut v = vec![format!("{n}. {} {} ({}): {}", f.severity.name(), f.kind.name(), f.class.name(), f.summary)];
    v.push(format!("   at {} {}", f.at.function, at(&f.at)));
    let mut facts = format!("   {} goroutines", f.count);
    if let Some(ns) = f.oldest_ns {
        facts.push_str(&format!(", oldest {}", human_ns(ns)));
    }
    if let Some(r) = f.per_second {
        facts.push_str(&format!(", {r:+.1} a second"));
    }
    v.push(facts);
    if let Some(o) = &f.object {
        v.push(format!("   object {}", object_text(o)));
    }
    if !f.cycle.is_empty() {
        v.push(format!("   cycle {}", cycle_text(&f.cycle, "->")));
    }
    v.extend(f.why.iter().map(|w| format!("   why:  {w}")));
    v.extend(f.next.iter().map(|w| format!("   next: {w}")));
    let list = |ids: &[crate::base::GoroutineId]| ids.iter().map(|g| format!("g{g}")).collect::<Vec<_>>().join(" ");
    if !f.goroutines.is_empty() {
        v.push(format!("   goroutines {}", list(&f.goroutines)));
    }
    if f.victim_count > 0 {
        v.push(format!("   {} wait because of it: {}", f.victim_count, list(&f.victims)));
    }
    v.iter().map(|l| printable_str(l, 2_000)).collect()
}
