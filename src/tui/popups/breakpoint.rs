//! The breakpoint editor: place, condition, hit count, name, on or off.

use super::{Outcome, centred, input::Input, open_box};
use crate::command::{Action, BreakpointEdit, BreakpointName, Do};
use crate::model::{Breakpoint, BreakpointPlace, BreakpointSpec, HitCondition};
use crate::tui::look::{Look, Pen};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::{buffer::Buffer, layout::Rect};

const COUNT: usize = 6;
const FIELDS: [(&str, &str); COUNT] = [
    ("place", "main.go:10, main.f, (*T).M, /regex/"),
    ("condition", "a Go expression: len(items) > 3"),
    ("hits", "== 3, > 10, % 100: stop only then"),
    ("log", "text with {expressions}: logs it and runs on"),
    ("record", "expressions, separated by ;"),
    ("name", "letters and digits"),
];

/// The editor.
pub struct Editor {
    id: Option<i32>,
    fields: [Input; COUNT],
    /// What it was; what has no field here stays.
    was: BreakpointSpec,
    enabled: bool,
    at: usize,
    problem: String,
}

impl Editor {
    /// For one that exists.
    pub fn of(b: &Breakpoint) -> Editor {
        let place = b.spec.place.text();
        let hits = b.spec.hits.map_or(String::new(), |h| h.to_string());
        let record = b.spec.actions.values.join("; ");
        let fields = [place, &b.spec.condition, &hits, &b.spec.actions.log, &record, &b.spec.name].map(Input::new);
        let was = b.spec.clone();
        Editor { id: Some(b.id.0), fields, was, enabled: b.spec.enabled, at: 1, problem: String::new() }
    }
    /// For a new one.
    pub fn at(place: &str) -> Editor {
        let fields = [place, "", "", "", "", ""].map(Input::new);
        Editor { id: None, fields, was: BreakpointSpec::at(place), enabled: true, at: 1, problem: String::new() }
    }
    pub(super) fn paste(&mut self, text: &str) {
        if let Some(f) = self.fields.get_mut(self.at) {
            f.paste(text);
        }
    }
    fn spec(&self) -> Result<BreakpointSpec, String> {
        let [place, condition, hits, log, record, name] =
            std::array::from_fn(|i| self.fields[i].text.trim().to_string());
        if place.is_empty() {
            return Err("a place is needed".into());
        }
        let hits = match hits.as_str() {
            "" => None,
            h => Some(HitCondition::parse(h).ok_or("hits: ==, !=, >, >=, <, <= or % and a number")?),
        };
        let mut spec = self.was.clone();
        if self.id.is_none() {
            spec.place = BreakpointPlace::Spec(place);
        }
        (spec.condition, spec.hits, spec.name, spec.enabled) = (condition, hits, name, self.enabled);
        let a = &mut spec.actions;
        if a.log.is_empty() != log.is_empty() {
            a.run_on = !log.is_empty() || a.trace;
        }
        a.log = log;
        a.values = record.split(';').map(|e| e.trim().to_string()).filter(|e| !e.is_empty()).collect();
        Ok(spec)
    }
    pub(super) fn key(&mut self, key: KeyEvent) -> Outcome {
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        let rows = FIELDS.len() + 1;
        match (key.code, ctrl) {
            (KeyCode::Esc, _) | (KeyCode::Char('c'), true) => return Outcome::Close,
            (KeyCode::Down | KeyCode::Tab, _) => self.at = (self.at + 1) % rows,
            (KeyCode::Up | KeyCode::BackTab, _) => self.at = (self.at + rows - 1) % rows,
            (KeyCode::Char(' '), _) if self.at == FIELDS.len() => self.enabled = !self.enabled,
            (KeyCode::Enter, _) => match self.spec() {
                Ok(spec) => {
                    return Outcome::Run(Do::Session(match self.id {
                        Some(id) => {
                            Action::EditBreakpoint(BreakpointName::Id(id), BreakpointEdit::Spec(Box::new(spec)))
                        }
                        None => Action::Break(Box::new(spec)),
                    }));
                }
                Err(e) => self.problem = e,
            },
            _ => {
                // The place of one that exists stays.
                let fixed = self.at == 0 && self.id.is_some();
                if let Some(f) = self.fields.get_mut(self.at).filter(|_| !fixed) {
                    f.key(key);
                    self.problem.clear();
                }
            }
        }
        Outcome::Stay
    }
    pub(super) fn draw(&mut self, look: &Look, screen: Rect, buf: &mut Buffer) -> Option<(u16, u16)> {
        let title = self.id.map_or("New breakpoint".into(), |id| format!("Breakpoint {id}"));
        let area = centred(screen, 74, 5 + COUNT as u16);
        let inner = open_box(look, area, &title, "Tab next  Enter saves  Esc", buf);
        let inner = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
        let mut cursor = None;
        for (i, (name, hint)) in FIELDS.iter().enumerate() {
            let here = i == self.at;
            let mut pen = Pen::new(buf, inner, i as u16, look.style("text"), look);
            pen.put(if here { look.marks().select } else { " " }, look.style("key"));
            pen.column(name, 11, look.style(if here { "key" } else { "dim" }));
            let text = &self.fields[i].text;
            let style = if i == 0 && self.id.is_some() { look.style("dim") } else { look.style("text") };
            if text.is_empty() {
                pen.skip(usize::from(here)).put(hint, look.style("dim"));
            } else {
                pen.put(text, style);
            }
            if here {
                cursor = Some((inner.x + 13 + self.fields[i].column(), inner.y + i as u16));
            }
        }
        let here = self.at == FIELDS.len();
        Pen::new(buf, inner, FIELDS.len() as u16, look.style("text"), look)
            .put(if here { look.marks().select } else { " " }, look.style("key"))
            .column("enabled", 11, look.style(if here { "key" } else { "dim" }))
            .put(if self.enabled { "yes" } else { "no" }, look.style("text"))
            .put("   Space changes", look.style("dim"));
        Pen::new(buf, inner, FIELDS.len() as u16 + 1, look.style("text"), look).put(&self.problem, look.style("error"));
        cursor
    }
}
