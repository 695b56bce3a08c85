//! Machine code around the selected frame's position, with the source lines it belongs to.

use super::{Ctx, Cursor, Handled, Pane};
use crate::base::text::{hex, printable_str};
use crate::command::Ui;
use crate::session::{Interest, Session};
use crate::tui::look::Pen;
use ratatui::{buffer::Buffer, layout::Rect, style::Style};

/// The pane.
#[derive(Default)]
pub struct AssemblyPane {
    cursor: Cursor,
    /// The position that was centred.
    shown: Option<u64>,
}

impl Pane for AssemblyPane {
    fn title(&self, s: &Session, _ctx: &Ctx) -> (String, String) {
        match s.code() {
            Some(Ok((f, _))) => (format!("Code  {}", printable_str(f, 100)), String::new()),
            _ => ("Code".into(), String::new()),
        }
    }
    fn interests(&self, _s: &Session, _ctx: &Ctx, _rows: u16) -> Vec<Interest> {
        vec![Interest::Stack, Interest::Code]
    }
    fn draw(&mut self, s: &Session, ctx: &Ctx, area: Rect, buf: &mut Buffer) {
        let look = ctx.look;
        let code = match s.code() {
            Some(Ok((_, code))) => code,
            other => {
                let text = match other {
                    Some(Err(why)) => why.as_str(),
                    _ if s.stop.is_none() => "the target runs: Ctrl-C pauses",
                    _ => "",
                };
                Pen::new(buf, area, 0, look.style("unavailable"), look).put(text, Style::default());
                return;
            }
        };
        let height = area.height as usize;
        let here = code.iter().position(|i| i.current);
        let pc = here.map(|i| code[i].pc.0);
        if pc != self.shown {
            self.shown = pc;
            self.cursor.at = here.unwrap_or(0);
            self.cursor.top = self.cursor.at.saturating_sub(height / 3);
        }
        self.cursor.clamp(code.len(), height);
        let old = if s.old() { look.style("stale") } else { look.style("text") };
        let mut line = self.cursor.top.checked_sub(1).and_then(|i| code.get(i)).map(|i| i.line);
        for (i, c) in code.iter().enumerate().skip(self.cursor.top).take(height) {
            let under = ctx.focused && i == self.cursor.at;
            let mut base = if c.current { old.patch(look.style("current-line")) } else { old };
            if under && !c.current {
                base = base.patch(look.style("selection"));
            }
            let mut pen = Pen::new(buf, area, (i - self.cursor.top) as u16, base, look);
            pen.put(if c.current { "=>" } else { "  " }, look.style("key"));
            pen.put(if c.breakpoint { look.marks().breakpoint } else { " " }, look.style("breakpoint"));
            // A line's number stands at its first instruction only.
            let number = if line == Some(c.line) { String::new() } else { c.line.to_string() };
            line = Some(c.line);
            pen.right(&number, 5, look.style("line-number"));
            pen.put(&format!("{}  ", c.pc), look.style("dim"));
            if pen.room() > 60 {
                let bytes = hex(&c.bytes);
                pen.column(&bytes, 20, look.style("dim"));
            }
            let text = printable_str(&c.text, 200);
            let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
            pen.put(word, look.style("syntax.keyword")).skip(1).put(rest, Style::default());
        }
    }
    fn act(&mut self, s: &mut Session, _ctx: &Ctx, ui: &Ui) -> Handled {
        let len = match s.code() {
            Some(Ok((_, code))) => code.len(),
            _ => 0,
        };
        if self.cursor.act(ui, len) { Handled::Yes } else { Handled::No }
    }
    fn cursor_row(&self) -> Option<u16> {
        Some(self.cursor.row())
    }
}
