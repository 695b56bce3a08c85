//! The selected finding in full: what it is, the evidence, the circle, what to do next. Without findings: the goroutines under
//! the other cursor.

use super::entries::{Entries, Entry};
use super::findings::{brief, class_style, mute_text, severity_word, trend};
use super::stack::{frame_name, place};
use super::{Ctx, Handled, Pane};
use crate::base::clock::human_ns;
use crate::base::text::{printable_str, thousands};
use crate::base::{GoroutineId, LoadAddr};
use crate::command::{Action, Do, Ui};
use crate::model::{CycleStep, Finding, FindingClass, Location};
use crate::session::goroutines::Row;
use crate::session::report::{cycle_text, object_name, object_text};
use crate::session::{Interest, Session};
use ratatui::{buffer::Buffer, layout::Rect};
use std::sync::Arc;

/// The pane.
#[derive(Default)]
pub struct DetailPane {
    lines: Entries,
    shown: Option<u64>,
}

/// What a line leads to.
#[derive(Clone)]
enum To {
    Nothing,
    Goroutine(GoroutineId),
    /// All goroutines of the finding, or all its victims.
    Goroutines(bool),
    Place,
    Object(LoadAddr),
}

const LABELS: usize = 7;

fn entries(f: &Finding) -> Vec<Entry<To>> {
    let mut v: Vec<Entry<To>> = Vec::new();
    let mut put = |label: &str, text: String, style: &'static str, to: To| {
        v.push(Entry { label: label.into(), indent: 0, text: printable_str(&brief(&text), 2_000), style, to });
    };
    let (word, style) = severity_word(f.severity);
    put(word, f.summary.clone(), style, To::Nothing);
    if !f.cycle.is_empty() {
        put("Cycle", cycle_text(&f.cycle, "->"), "user", To::Nothing);
        for (i, step) in f.cycle.iter().enumerate() {
            let CycleStep::Goroutine(g) = step else { continue };
            let text = match f.cycle.get((i + 1) % f.cycle.len()) {
                Some(CycleStep::Object(o)) => format!("g{g} waits for {}", object_name(o)),
                _ => format!("g{g}"),
            };
            put("", text, "text", To::Goroutine(*g));
        }
    }
    if let Some(o) = &f.object {
        put("Object", object_text(o), "user", o.addr.map_or(To::Nothing, To::Object));
    }
    for (label, lines) in [("Why", &f.why), ("Next", &f.next)] {
        for (i, w) in lines.iter().enumerate() {
            put(if i == 0 { label } else { "" }, w.clone(), "text", To::Nothing);
        }
    }
    let class = match f.class {
        FindingClass::Proof => "proof: no schedule can undo it",
        FindingClass::Strong => "strong: it would need an actor that cannot be seen",
        FindingClass::Likely => "likely: statistical",
    };
    put("Class", class.into(), class_style(f.class), To::Nothing);
    if !f.at.function.is_empty() {
        put("At", format!("{} {}", frame_name(&f.at), place(&f.at)), "user", To::Place);
    }
    let mut since = Vec::new();
    if let Some(ns) = f.oldest_ns {
        since.push(format!("oldest {}", human_ns(ns)));
    }
    if f.per_second.is_some_and(|r| r.abs() >= 0.05) {
        since.push(trend(f));
    }
    if !since.is_empty() {
        put("Since", since.join(", "), "text", To::Nothing);
    }
    for (label, ids, count, victims) in
        [("Who", &f.goroutines, f.count, false), ("Victims", &f.victims, f.victim_count, true)]
    {
        let more = if (ids.len() as u64) < count { " and more" } else { "" };
        let names: Vec<String> = ids.iter().take(30).map(|g| format!("g{g}")).collect();
        let more = if ids.len() > 30 { " and more" } else { more };
        match ids.as_slice() {
            [] => {}
            [one] => put(label, format!("g{one}"), "text", To::Goroutine(*one)),
            _ => {
                put(label, format!("{}: {}{more}", thousands(count), names.join(" ")), "text", To::Goroutines(victims))
            }
        }
    }
    v
}

/// Without findings: what there is to know of the goroutines under the other cursor.
fn group_entries(s: &Session) -> Vec<Entry<To>> {
    let mut v: Vec<Entry<To>> = Vec::new();
    let Some(g) = s.list.sample() else { return v };
    let mut put = |label: &str, text: String, style: &'static str, to: To| {
        v.push(Entry { label: label.into(), indent: 0, text: printable_str(&text, 2_000), style, to });
    };
    let state = g.wait_reason.as_deref().unwrap_or(g.state.name());
    let at = format!("{} {}", frame_name(&g.user), place(&g.user));
    match s.list.selected() {
        Some(Row::Group(group)) => {
            let wait = match group.wait_ns {
                Some((a, b)) if a != b => format!(", for {} to {}", human_ns(a), human_ns(b)),
                Some((a, _)) => format!(", for {}", human_ns(a)),
                None => String::new(),
            };
            put("Group", format!("{} in {state}{wait}: {at}", thousands(group.count)), "user", To::Goroutine(g.id));
            let ids: Vec<String> = group.ids.iter().take(20).map(|g| format!("g{g}")).collect();
            let more = if (ids.len() as u64) < group.count { " and more" } else { "" };
            put("Who", format!("{}{more}", ids.join(" ")), "text", To::Goroutine(g.id));
        }
        _ => put("One", format!("g{} {state}: {at}", g.id), "user", To::Goroutine(g.id)),
    }
    for w in &g.waits_on {
        put("Waits", super::goroutines::wait_text(w), "text", w.addr.map_or(To::Nothing, To::Object));
    }
    if let Some(c) = &g.created_by {
        let by = if c.goroutine.0 == 0 { String::new() } else { format!(" in g{}", c.goroutine) };
        put("By", format!("{} {}{by}", frame_name(&c.at), place(&c.at)), "text", To::Nothing);
    }
    if let Some(e) = &g.entry {
        put("Began", format!("{} {}", frame_name(e), place(e)), "text", To::Nothing);
    }
    if !g.labels.is_empty() {
        let labels: Vec<String> = g.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        put("Labels", labels.join(" "), "text", To::Nothing);
    }
    v
}

fn lines(s: &Session) -> Vec<Entry<To>> {
    s.triage.finding().map_or_else(|| group_entries(s), entries)
}

impl DetailPane {
    fn group(&self, s: &Session, ui: &Ui) -> Handled {
        match (ui, group_entries(s).into_iter().nth(self.lines.at).map(|e| e.to)) {
            (Ui::Enter, Some(To::Goroutine(g))) => Handled::Then(Do::Session(Action::Goroutine(Some(g)))),
            (Ui::Enter | Ui::RefsSelected, Some(To::Object(a))) => {
                Handled::Then(Do::Session(Action::Refs(a.to_string())))
            }
            _ => Handled::No,
        }
    }
    fn under<'a>(&self, s: &'a Session) -> Option<(&'a Finding, To)> {
        let f = s.triage.finding()?;
        let to = entries(f).into_iter().nth(self.lines.at).map_or(To::Nothing, |e| e.to);
        Some((f, to))
    }
}

impl Pane for DetailPane {
    fn title(&self, s: &Session, _ctx: &Ctx) -> (String, String) {
        match s.triage.finding() {
            Some(f) => (format!("Detail: {} #{}", f.kind.name(), s.triage.at() + 1), f.class.name().into()),
            None if s.list.sample().is_some() => ("Detail: goroutines".into(), String::new()),
            None => ("Detail".into(), String::new()),
        }
    }
    fn interests(&self, _s: &Session, _ctx: &Ctx, _rows: u16) -> Vec<Interest> {
        vec![Interest::Findings]
    }
    fn draw(&mut self, s: &Session, ctx: &Ctx, area: Rect, buf: &mut Buffer) {
        let look = ctx.look;
        let key = s.triage.finding().map_or_else(|| s.list.cursor, |f| f.key);
        if self.shown != Some(key) {
            self.shown = Some(key);
            self.lines = Entries::default();
        }
        self.lines.draw(&lines(s), LABELS, ctx.focused, look.style("text"), look, (area, buf));
    }
    fn act(&mut self, s: &mut Session, _ctx: &Ctx, ui: &Ui) -> Handled {
        if self.lines.act(ui, lines(s).len()) {
            return Handled::Yes;
        }
        let Some((f, to)) = self.under(s) else { return self.group(s, ui) };
        match ui {
            Ui::Enter => match to {
                To::Goroutine(g) => Handled::Then(Do::Session(Action::Goroutine(Some(g)))),
                To::Goroutines(victims) => {
                    let (ids, n, what) = match victims {
                        true => (f.victims.clone(), f.victim_count, "victims of "),
                        false => (f.goroutines.clone(), f.count, ""),
                    };
                    let title = format!("{what}{} {}", f.kind.name(), f.at.short_function());
                    s.list.show_ids(ids, title, n);
                    Handled::Then(Do::Ui(Ui::Focus("goroutines")))
                }
                To::Place => {
                    s.goto = Some((f.at.file.clone(), f.at.line));
                    Handled::Yes
                }
                To::Object(a) => Handled::Then(Do::Session(Action::Refs(a.to_string()))),
                To::Nothing => {
                    let f = f.clone();
                    super::findings::open(s, &f)
                }
            },
            Ui::MuteSelected => Handled::Then(Do::Session(Action::Mute(mute_text(f)))),
            Ui::RefsSelected => match (to, f.object.as_ref().and_then(|o| o.addr)) {
                (To::Object(a), _) | (_, Some(a)) => Handled::Then(Do::Session(Action::Refs(a.to_string()))),
                _ => Handled::No,
            },
            _ => Handled::No,
        }
    }
    fn cursor_row(&self) -> Option<u16> {
        Some(self.lines.row())
    }
    fn place(&self, s: &Session, _ctx: &Ctx) -> Option<(String, u32)> {
        let at = &s.triage.finding()?.at;
        (!at.file.is_empty()).then(|| (at.file.clone(), at.line))
    }
    fn goroutine(&self, s: &Session) -> Option<(GoroutineId, Arc<Location>)> {
        let (f, to) = self.under(s)?;
        match to {
            // Where another member stands is known once its stack is here.
            To::Goroutine(g) if f.goroutines.first() != Some(&g) => {
                let at = s.stack_of(Some(g)).and_then(|(st, _)| {
                    let st = st.as_ref().ok()?;
                    st.frames.iter().find(|f| !f.hidden && !f.system_stack).map(|f| f.at.clone())
                });
                Some((g, at.unwrap_or_default()))
            }
            _ => Some((*f.goroutines.first()?, f.at.clone())),
        }
    }
    fn key(&self, _s: &Session) -> Option<String> {
        Some(self.lines.at.to_string())
    }
    fn seek(&mut self, s: &mut Session, key: &str) {
        self.shown = s.triage.finding().map(|f| f.key);
        self.lines.at = key.parse().unwrap_or(0);
    }
}
