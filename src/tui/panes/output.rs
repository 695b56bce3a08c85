//! What the program writes, as its terminal would show it.

use super::{Ctx, Handled, Pane};
use crate::base::text::printable_str;
use crate::command::Ui;
use crate::session::{Interest, Session};
use crate::tui::look::Pen;
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier, Style},
};

/// The pane.
#[derive(Default)]
pub struct OutputPane {
    back: usize,
    rows: usize,
}

fn color(c: vt100::Color) -> Option<Color> {
    match c {
        vt100::Color::Default => None,
        vt100::Color::Idx(n) => Some(Color::Indexed(n)),
        vt100::Color::Rgb(r, g, b) => Some(Color::Rgb(r, g, b)),
    }
}

impl Pane for OutputPane {
    fn title(&self, s: &Session, _ctx: &Ctx) -> (String, String) {
        let note = if self.back > 0 { format!("{} lines back, G newest", self.back) } else { String::new() };
        let _ = s;
        ("Output".into(), note)
    }
    fn interests(&self, _s: &Session, _ctx: &Ctx, _rows: u16) -> Vec<Interest> {
        Vec::new()
    }
    fn draw(&mut self, s: &Session, ctx: &Ctx, area: Rect, buf: &mut Buffer) {
        let look = ctx.look;
        self.rows = area.height as usize;
        if s.output.bytes == 0 {
            let text = match (&s.target, s.caps.output) {
                (Some(t), true) if t.launched => "nothing written yet",
                (Some(_), false) => "the program writes to its own terminal",
                _ => "",
            };
            Pen::new(buf, area, 0, look.style("dim"), look).put(text, Style::default());
            return;
        }
        let screen = s.output.screen();
        let (rows, cols) = screen.size();
        // The last lines with something on them, when the pane is lower than the program's terminal.
        let used =
            (0..rows).rev().find(|r| !screen.contents_between(*r, 0, *r, cols).trim().is_empty()).map_or(0, |r| r + 1);
        let first = used.saturating_sub(area.height);
        for row in 0..area.height.min(rows.saturating_sub(first)) {
            let mut pen = Pen::new(buf, area, row, Style::default(), look);
            for col in 0..cols.min(area.width) {
                let Some(cell) = screen.cell(first + row, col) else { break };
                if cell.is_wide_continuation() {
                    continue;
                }
                let mut style = Style { fg: color(cell.fgcolor()), bg: color(cell.bgcolor()), ..Style::default() };
                for (on, m) in [
                    (cell.bold(), Modifier::BOLD),
                    (cell.italic(), Modifier::ITALIC),
                    (cell.underline(), Modifier::UNDERLINED),
                    (cell.inverse(), Modifier::REVERSED),
                ] {
                    if on {
                        style = style.add_modifier(m);
                    }
                }
                let text = if cell.has_contents() { printable_str(cell.contents(), 8) } else { " ".into() };
                pen.put(&text, style);
            }
        }
    }
    fn act(&mut self, s: &mut Session, _ctx: &Ctx, ui: &Ui) -> Handled {
        let half = (self.rows / 2).max(1) as i64;
        let by = match ui {
            Ui::Move(n) => -i64::from(*n),
            Ui::Page(n) => -i64::from(*n) * half,
            Ui::Top => i64::MAX / 2,
            Ui::Bottom => i64::MIN / 2,
            _ => return Handled::No,
        };
        self.back = s.output.scroll((self.back as i64).saturating_add(by).max(0) as usize);
        Handled::Yes
    }
}
