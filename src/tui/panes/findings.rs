//! Findings: what is wrong, worst first.

use super::entries::{Entries, Entry};
use super::{Ctx, Cursor, Handled, Pane};
use crate::base::GoroutineId;
use crate::base::clock::human_ns;
use crate::base::text::{printable_str, thousands};
use crate::command::{Action, Do, Ui};
use crate::model::{Diagnosis, Finding, FindingClass, Location, ReadMode, Severity, TargetKind};
use crate::session::goroutines::Listing;
use crate::session::triage::Frozen;
use crate::session::{Interest, Session};
use crate::tui::look::Pen;
use ratatui::{buffer::Buffer, layout::Rect, style::Style};
use std::sync::Arc;

/// The pane; the selection is the session's.
#[derive(Default)]
pub struct FindingsPane {
    cursor: Cursor,
    /// Scrolls the text that stands in for findings.
    text: Entries,
    lines: usize,
}

/// How old what is shown is, in a few words that do not change while nothing does.
pub fn freshness(s: &Session) -> String {
    let kind = s.target.as_ref().map_or(TargetKind::Process, |t| t.kind);
    match &s.triage.frozen {
        Some(Frozen::ByUser) => return "frozen (p goes on)".into(),
        Some(Frozen::Cancelled) => return "look cancelled (p goes on)".into(),
        Some(Frozen::Snapshot { at, pause_us }) => {
            return format!("snapshot {at}, stood {}", human_ns(pause_us * 1_000));
        }
        None => {}
    }
    match (kind, s.triage.read.mode) {
        (TargetKind::Core, _) => "from a core".into(),
        (TargetKind::Snapshot, _) => "from a snapshot".into(),
        (TargetKind::Dump, _) => "from a dump".into(),
        _ if s.live() => "live, nothing stopped".into(),
        (_, ReadMode::Stopped) => "at the stop".into(),
        _ => String::new(),
    }
}

impl Pane for FindingsPane {
    fn title(&self, s: &Session, _ctx: &Ctx) -> (String, String) {
        let t = &s.triage;
        let mut title = match t.asked.data() {
            Some(d) => format!("Findings {}", d.findings.len()),
            None => "Findings".into(),
        };
        if let Some(n) = t.asked.data().map(|d| d.muted).filter(|n| *n > 0) {
            title.push_str(&format!("  {} muted", thousands(n)));
        }
        if t.asked.data().is_some() && t.asked.failure().is_some() && t.frozen.is_none() {
            return (title, "the newest look failed".into());
        }
        (title, freshness(s))
    }
    fn interests(&self, _s: &Session, _ctx: &Ctx, _rows: u16) -> Vec<Interest> {
        vec![Interest::Findings]
    }
    fn draw(&mut self, s: &Session, ctx: &Ctx, area: Rect, buf: &mut Buffer) {
        let look = ctx.look;
        self.lines = 0;
        let findings = s.triage.findings();
        if findings.is_empty() {
            let lines = instead(s);
            self.lines = lines.len();
            self.text.draw(&lines, 0, ctx.focused && lines.len() > 1, look.style("text"), look, (area, buf));
            return;
        }
        if area.height == 0 {
            return;
        }
        let w = Widths::new(area.width as usize, findings);
        w.heading(&mut Pen::new(buf, area, 0, look.style("dim"), look));
        let height = area.height as usize - 1;
        self.cursor.at = s.triage.at();
        self.cursor.clamp(findings.len(), height);
        let shown = findings.iter().enumerate().skip(self.cursor.top).take(height);
        let mut row = 1;
        for (i, f) in shown {
            let under = i == self.cursor.at;
            let base = match (under, ctx.focused) {
                (true, true) => look.style("selection"),
                (true, false) => look.style("current-line"),
                _ => look.style("text"),
            };
            let mut pen = Pen::new(buf, area, row, base, look);
            pen.put(if under { look.marks().select } else { " " }, look.style("key"));
            w.finding(&mut pen, f, ctx);
            row += 1;
        }
        if let Some(d) = s.triage.asked.data() {
            let letters = (w.class == 1).then(|| "C: P proof  S strong  L likely".to_string());
            let failed = s.triage.asked.failure().filter(|_| s.triage.frozen.is_none());
            let failed = failed.map(|why| format!("the newest look failed: {why}"));
            for text in [failed, looking(s), unseen(d), letters].into_iter().flatten() {
                if row < area.height {
                    Pen::new(buf, area, row, look.style("dim"), look).skip(1).put(&text, Style::default());
                    row += 1;
                }
            }
        }
    }
    fn act(&mut self, s: &mut Session, _ctx: &Ctx, ui: &Ui) -> Handled {
        let len = s.triage.findings().len();
        if len == 0 {
            return if self.text.act(ui, self.lines) { Handled::Yes } else { Handled::No };
        }
        self.cursor.at = s.triage.at();
        if self.cursor.act(ui, len) {
            s.triage.select(self.cursor.at);
            return Handled::Yes;
        }
        match ui {
            Ui::Enter | Ui::Right => {
                let Some(f) = s.triage.finding().cloned() else { return Handled::Yes };
                open(s, &f)
            }
            Ui::MuteSelected => match s.triage.finding().map(mute_text) {
                Some(t) => Handled::Then(Do::Session(Action::Mute(t))),
                None => Handled::Yes,
            },
            _ => Handled::No,
        }
    }
    fn cursor_row(&self) -> Option<u16> {
        Some(if self.lines > 0 { self.text.row() } else { self.cursor.row() + 1 })
    }
    fn place(&self, s: &Session, _ctx: &Ctx) -> Option<(String, u32)> {
        let at = &s.triage.finding()?.at;
        (!at.file.is_empty()).then(|| (at.file.clone(), at.line))
    }
    fn goroutine(&self, s: &Session) -> Option<(GoroutineId, Arc<Location>)> {
        let f = s.triage.finding()?;
        Some((*f.goroutines.first()?, f.at.clone()))
    }
    fn key(&self, s: &Session) -> Option<String> {
        s.triage.finding().map(|f| f.key.to_string())
    }
    fn seek(&mut self, s: &mut Session, key: &str) {
        if let Ok(key) = key.parse() {
            s.triage.select_key(key);
        }
    }
}

/// Goes to the goroutines of a finding.
pub fn open(s: &mut Session, f: &Finding) -> Handled {
    match f.goroutines.as_slice() {
        [] => {
            if !f.at.file.is_empty() {
                s.goto = Some((f.at.file.clone(), f.at.line));
            }
            Handled::Yes
        }
        [one] => Handled::Then(Do::Session(Action::Goroutine(Some(*one)))),
        many => {
            s.list.show_ids(many.to_vec(), format!("{} {}", f.kind.name(), f.at.short_function()), f.count);
            Handled::Then(Do::Ui(Ui::Focus("goroutines")))
        }
    }
}

/// What a mute rule for this finding says.
pub fn mute_text(f: &Finding) -> String {
    if f.at.function.is_empty() { f.summary.clone() } else { f.at.function.clone() }
}

/// As frames are written: `(*Store).mu`, not `(*main.Store).mu`.
pub fn brief(text: &str) -> String {
    text.replace("(*main.", "(*")
}

/// `HIGH`.
pub fn severity_word(s: Severity) -> (&'static str, &'static str) {
    match s {
        Severity::High => ("HIGH", "error"),
        Severity::Medium => ("MED", "warn"),
        Severity::Info => ("INFO", "dim"),
    }
}

/// How a class is drawn: the surer, the stronger.
pub fn class_style(c: FindingClass) -> &'static str {
    match c {
        FindingClass::Proof => "title.focus",
        FindingClass::Strong => "text",
        FindingClass::Likely => "dim",
    }
}

/// `+9/s`, `+0.1/s`.
pub fn trend(f: &Finding) -> String {
    match f.per_second {
        None => String::new(),
        Some(r) if r.abs() < 0.05 => "-".into(),
        Some(r) if r.abs() >= 9.95 => format!("{r:+.0}/s"),
        Some(r) => format!("{}/s", format!("{r:+.1}").trim_end_matches(".0")),
    }
}

/// The first look left the heap alone, and the second is under way.
fn looking(s: &Session) -> Option<String> {
    let busy = s.triage.asked.pending().is_some() && !s.triage.complete(s.caps.memory);
    busy.then(|| "walking the heap for leaks".to_string())
}

/// Detectors that could not look.
fn unseen(d: &Diagnosis) -> Option<String> {
    let off: Vec<&str> = d.detectors.iter().filter(|r| !r.ran).map(|r| r.kind.name()).collect();
    (!off.is_empty())
        .then(|| format!("{} of {} detectors could not look: {}", off.len(), d.detectors.len(), off.join(" ")))
}

/// What stands where there are no findings.
fn instead(s: &Session) -> Vec<Entry<()>> {
    let line = |text: String, style: &'static str| Entry { label: String::new(), indent: 0, text, style, to: () };
    let t = &s.triage;
    let Some(d) = t.asked.data() else {
        let (text, style) = match (t.asked.failure(), t.asked.pending()) {
            (Some(why), None) => (format!("no findings: {why}"), "error"),
            _ if s.target.is_none() => (String::new(), "dim"),
            _ if !s.readable() => ("the target runs: Ctrl-C pauses, then findings are of the stop".into(), "dim"),
            _ => ("looking for known patterns".into(), "dim"),
        };
        return vec![line(text, style)];
    };
    if !t.complete(s.caps.memory) && t.asked.failure().is_none() {
        return vec![line("nothing so far; walking the heap for leaks".into(), "dim")];
    }
    let groups = match (&s.list.listing, s.list.generation()) {
        (Listing::Groups(_), Some(_)) => format!("{} groups", thousands(s.list.total)),
        _ => format!("{} goroutines", thousands(d.goroutines)),
    };
    let mut v = vec![line(format!("no known pattern; {groups} to look at by hand"), "text")];
    if d.muted > 0 {
        let what = if d.muted == 1 { "finding is" } else { "findings are" };
        v.push(line(format!("{} {what} muted (:mutes)", thousands(d.muted)), "warn"));
    }
    let ran: Vec<&str> = d.detectors.iter().filter(|r| r.ran).map(|r| r.kind.name()).collect();
    if !ran.is_empty() {
        v.push(line(format!("{} detectors looked: {}", ran.len(), ran.join(" ")), "dim"));
    }
    for r in d.detectors.iter().filter(|r| !r.ran || !r.reason.is_empty()) {
        let (how, style) = if r.ran { ("limited", "dim") } else { ("could not look", "warn") };
        v.push(line(format!("{} {how}: {}", r.kind.name(), printable_str(&r.reason, 300)), style));
    }
    v
}

struct Widths {
    kind: usize,
    class: usize,
    what: usize,
    oldest: usize,
    trend: usize,
}

impl Widths {
    fn new(width: usize, findings: &[Finding]) -> Widths {
        let longest = findings.iter().map(|f| f.kind.name().len()).max().unwrap_or(4);
        let oldest = if findings.iter().any(|f| f.oldest_ns.is_some()) { 6 } else { 0 };
        let trend = findings.iter().map(|f| trend(f).len()).max().unwrap_or(0);
        let trend = if trend > 0 { trend.max(5) } else { 0 };
        // A narrow screen has room for a letter: the word is in Detail.
        let class = if width < 100 { 1 } else { 6 };
        let kind = longest.min(if width < 100 { 14 } else { 18 });
        let used = 1 + 5 + kind + 1 + class + 1 + 7;
        let rest = width.saturating_sub(used + oldest + usize::from(oldest > 0) + trend + usize::from(trend > 0));
        Widths { kind, class, what: rest, oldest, trend }
    }
    fn heading(&self, pen: &mut Pen) {
        let s = Style::default();
        pen.skip(1).column("SEV", 4, s).column("KIND", self.kind, s);
        pen.column(if self.class > 1 { "CLASS" } else { "C" }, self.class, s);
        pen.right("COUNT", 6, s).column("WHAT", self.what, s);
        if self.oldest > 0 {
            pen.right("OLDEST", self.oldest, s);
        }
        if self.trend > 0 {
            pen.right("TREND", self.trend, s);
        }
    }
    fn finding(&self, pen: &mut Pen, f: &Finding, ctx: &Ctx) {
        let look = ctx.look;
        let (word, style) = severity_word(f.severity);
        pen.column(word, 4, look.style(style));
        pen.column(f.kind.name(), self.kind, look.style("user"));
        let class = if self.class > 1 { f.class.name().to_string() } else { f.class.name()[..1].to_uppercase() };
        pen.column(&class, self.class, look.style(class_style(f.class)));
        pen.right(&thousands(f.count), 6, look.style("text"));
        pen.column(&printable_str(&brief(&f.summary), 400), self.what, look.style("text"));
        if self.oldest > 0 {
            pen.right(&f.oldest_ns.map_or("-".into(), human_ns), self.oldest, look.style("text"));
        }
        if self.trend > 0 {
            pen.right(&trend(f), self.trend, look.style("changed"));
        }
    }
}
