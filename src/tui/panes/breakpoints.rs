//! Breakpoints: place, state, condition, hits.

use super::stack::{frame_name, place};
use super::{Ctx, Cursor, Handled, Pane};
use crate::base::text::printable_str;
use crate::command::{Action, BreakpointEdit, BreakpointName, Do, Ui};
use crate::model::{Breakpoint, StopReason};
use crate::session::{Interest, Session};
use crate::tui::look::Pen;
use ratatui::{buffer::Buffer, layout::Rect, style::Style};

/// The pane.
#[derive(Default)]
pub struct BreakpointsPane {
    cursor: Cursor,
}

impl BreakpointsPane {
    fn selected<'a>(&self, s: &'a Session) -> Option<&'a Breakpoint> {
        s.breakpoints.get(self.cursor.at)
    }
}

impl Pane for BreakpointsPane {
    fn title(&self, s: &Session, _ctx: &Ctx) -> (String, String) {
        let n = s.breakpoints.len();
        (if n == 0 { "Breakpoints".into() } else { format!("Breakpoints {n}") }, String::new())
    }
    fn interests(&self, _s: &Session, _ctx: &Ctx, _rows: u16) -> Vec<Interest> {
        Vec::new()
    }
    fn draw(&mut self, s: &Session, ctx: &Ctx, area: Rect, buf: &mut Buffer) {
        let look = ctx.look;
        if s.breakpoints.is_empty() {
            let mut line = |row: u16, t: &str| {
                Pen::new(buf, area, row, look.style("dim"), look).put(t, Style::default());
            };
            line(0, "none planted: the target's text is untouched");
            if s.control() {
                line(1, "b on a line of Source, or :break main.f if x > 3");
            }
            return;
        }
        self.cursor.clamp(s.breakpoints.len(), area.height as usize);
        let hit = s.stop.as_ref().filter(|_| s.held()).and_then(|st| match st.reason {
            StopReason::Breakpoint(id) | StopReason::StepInterrupted(id) => Some(id),
            _ => None,
        });
        let wide = area.width >= 60;
        for (i, b) in s.breakpoints.iter().enumerate().skip(self.cursor.top).take(area.height as usize) {
            let base = if ctx.focused && i == self.cursor.at { look.style("selection") } else { look.style("text") };
            let mut pen = Pen::new(buf, area, (i - self.cursor.top) as u16, base, look);
            let watches = matches!(b.spec.place, crate::model::BreakpointPlace::Watch { .. });
            let (mark, style) = match (b.spec.enabled, b.problem.is_empty() && (!b.at.is_empty() || watches)) {
                (true, true) => (look.marks().breakpoint, look.style("breakpoint")),
                (true, false) => ("!", look.style("warn")),
                (false, _) => (look.marks().disabled, look.style("breakpoint.off")),
            };
            pen.put(if hit == Some(b.id) { ">" } else { " " }, look.style("key"));
            pen.put(mark, style).skip(1);
            pen.right(&b.id.to_string(), 2, look.style("text"));
            let at = b.at.first().map_or_else(|| printable_str(b.spec.place.text(), 100), |l| place(l));
            pen.column_end(&at, if wide { 22 } else { 15 }, look.style("user"));
            // Of conditional ones: how often it was reached, too.
            let hits = match b.reached > b.hits {
                true => format!("hits {}/{}", b.hits, b.reached),
                false => format!("hits {}", b.hits),
            };
            pen.column(&hits, if b.reached > b.hits { 14 } else { 9 }, look.style("dim"));
            if wide {
                let name = b.at.first().map_or_else(String::new, |l| frame_name(l));
                let more = if b.at.len() > 1 { format!(" +{}", b.at.len() - 1) } else { String::new() };
                pen.column(&format!("{name}{more}"), pen.room() / 2, look.style("text"));
            }
            if !b.problem.is_empty() {
                pen.put(&printable_str(&b.problem, 200), look.style("warn"));
                continue;
            }
            if !b.spec.name.is_empty() {
                pen.put(&format!("{} ", b.spec.name), look.style("key"));
            }
            if !b.spec.condition.is_empty() {
                pen.put(&format!("if {} ", printable_str(&b.spec.condition, 200)), look.style("value"));
            }
            if let Some(h) = b.spec.hits {
                pen.put(&format!("when hits {h} "), look.style("value"));
            }
            let traits = crate::session::sentences::traits(b);
            if !traits.is_empty() {
                pen.put(&printable_str(traits.trim_start(), 200), look.style("value")).skip(1);
            }
            if !b.spec.enabled {
                pen.put("off", look.style("dim"));
            } else if b.cost_ns > 0 && wide {
                pen.put(&format!("{} a hit", crate::session::lanes::length(b.cost_ns)), look.style("dim"));
            } else if watches {
                pen.put("by debug register", look.style("dim"));
            } else if b.at.is_empty() {
                pen.put("waits for code", look.style("dim"));
            }
        }
    }
    fn act(&mut self, s: &mut Session, _ctx: &Ctx, ui: &Ui) -> Handled {
        if self.cursor.act(ui, s.breakpoints.len()) {
            return Handled::Yes;
        }
        let Some(b) = self.selected(s) else { return Handled::No };
        let name = BreakpointName::Id(b.id.0);
        match ui {
            Ui::ToggleSelected => Handled::Then(Do::Session(Action::EditBreakpoint(name, BreakpointEdit::Toggle))),
            Ui::ClearSelected => Handled::Then(Do::Session(Action::Clear(name))),
            Ui::Enter => {
                s.goto = b.at.first().map(|l| (l.file.clone(), l.line));
                Handled::Yes
            }
            _ => Handled::No,
        }
    }
    fn cursor_row(&self) -> Option<u16> {
        Some(self.cursor.row())
    }
    fn place(&self, s: &Session, _ctx: &Ctx) -> Option<(String, u32)> {
        self.selected(s)?.at.first().map(|l| (l.file.clone(), l.line))
    }
    fn word(&self, s: &Session) -> Option<String> {
        self.selected(s).map(|b| b.id.to_string())
    }
}
