//! What happened: the session's log, newest at the bottom.

use super::{Ctx, Cursor, Handled, Pane};
use crate::backend::protocol::LogLevel;
use crate::command::Ui;
use crate::session::{Interest, Session, log::LogLine};
use crate::tui::look::Pen;
use ratatui::{buffer::Buffer, layout::Rect};

/// The pane.
#[derive(Default)]
pub struct LogPane {
    cursor: Cursor,
    /// The user went up: new lines do not move the window.
    away: bool,
}

impl Pane for LogPane {
    fn title(&self, s: &Session, _ctx: &Ctx) -> (String, String) {
        let dropped = match s.log.dropped() {
            0 => String::new(),
            n => format!("{n} older lines dropped"),
        };
        ("Log".into(), dropped)
    }
    fn interests(&self, _s: &Session, _ctx: &Ctx, _rows: u16) -> Vec<Interest> {
        Vec::new()
    }
    fn draw(&mut self, s: &Session, ctx: &Ctx, area: Rect, buf: &mut Buffer) {
        let look = ctx.look;
        if !self.away {
            self.cursor.at = s.log.len().saturating_sub(1);
        }
        self.cursor.clamp(s.log.len(), area.height as usize);
        for (i, l) in s.log.iter().enumerate().skip(self.cursor.top).take(area.height as usize) {
            let under = ctx.focused && self.away && i == self.cursor.at;
            let base = if under { look.style("selection") } else { look.style("text") };
            let mut pen = Pen::new(buf, area, (i - self.cursor.top) as u16, base, look);
            let (word, style) = match l.level {
                LogLevel::Error => ("error ", look.style("error")),
                LogLevel::Warn => ("warn  ", look.style("warn")),
                LogLevel::Info => ("", look.style("text")),
            };
            pen.put(&l.time, look.style("dim")).skip(1).put(word, style);
            super::source::put_matches(&mut pen, &l.text, style, ctx);
        }
    }
    fn act(&mut self, s: &mut Session, _ctx: &Ctx, ui: &Ui) -> Handled {
        if !self.cursor.act(ui, s.log.len()) {
            return Handled::No;
        }
        self.away = self.cursor.at + 1 < s.log.len();
        Handled::Yes
    }
    fn cursor_row(&self) -> Option<u16> {
        Some(self.cursor.row())
    }
    fn search(&mut self, s: &Session, text: &str, forward: bool, stay: bool) -> Option<bool> {
        let lines: Vec<&LogLine> = s.log.iter().collect();
        let hit = super::list::find(
            |i| lines.get(i).map(|l| l.text.as_str()),
            lines.len(),
            self.cursor.at,
            text,
            forward,
            stay,
        );
        if let Some(i) = hit {
            (self.cursor.at, self.away) = (i, i + 1 < lines.len());
        }
        Some(hit.is_some())
    }
}
