//! How things are drawn: the theme, the marks, and a pen that never writes outside its line.

use super::theme::Theme;
use ratatui::{buffer::Buffer, layout::Rect, style::Style};
use unicode_width::UnicodeWidthStr;

/// Theme and character set.
#[derive(Clone, Debug)]
pub struct Look {
    /// Styles.
    pub theme: Theme,
    /// Borders and marks in ASCII.
    pub ascii: bool,
}

/// Marks used in panes.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Marks {
    pub open: &'static str,
    pub closed: &'static str,
    pub breakpoint: &'static str,
    pub disabled: &'static str,
    pub code: &'static str,
    pub select: &'static str,
    pub more: &'static str,
    pub sep: &'static str,
    pub dash: &'static str,
}

impl Look {
    /// A style.
    pub fn style(&self, what: &str) -> Style {
        self.theme.get(what)
    }
    /// The marks.
    pub fn marks(&self) -> Marks {
        if self.ascii {
            Marks {
                open: "v",
                closed: ">",
                breakpoint: "@",
                disabled: "o",
                code: ".",
                select: ">",
                more: "...",
                sep: "|",
                dash: "-",
            }
        } else {
            Marks {
                open: "▾",
                closed: "▸",
                breakpoint: "●",
                disabled: "○",
                code: "·",
                select: "▸",
                more: "…",
                sep: "│",
                dash: "─",
            }
        }
    }
    /// A box with a title left and a note right; returns what is inside. The focused one has double lines, so that it can be
    /// told without colours.
    pub fn frame(&self, buf: &mut Buffer, area: Rect, title: &str, note: &str, focused: bool) -> Rect {
        if area.width < 4 || area.height < 2 {
            return Rect { height: 0, ..area };
        }
        let border = self.style(if focused { "border.focus" } else { "border" });
        let (tl, tr, bl, br, h, v) = match (self.ascii, focused) {
            (true, true) => ("+", "+", "+", "+", "=", "|"),
            (true, false) => ("+", "+", "+", "+", "-", "|"),
            (false, true) => ("┏", "┓", "┗", "┛", "━", "┃"),
            (false, false) => ("┌", "┐", "└", "┘", "─", "│"),
        };
        let (x0, x1, y0, y1) = (area.x, area.right() - 1, area.y, area.bottom() - 1);
        for x in x0 + 1..x1 {
            buf[(x, y0)].set_symbol(h).set_style(border);
            buf[(x, y1)].set_symbol(h).set_style(border);
        }
        for y in y0 + 1..y1 {
            buf[(x0, y)].set_symbol(v).set_style(border);
            buf[(x1, y)].set_symbol(v).set_style(border);
        }
        for (x, y, s) in [(x0, y0, tl), (x1, y0, tr), (x0, y1, bl), (x1, y1, br)] {
            buf[(x, y)].set_symbol(s).set_style(border);
        }
        let style = self.style(if focused { "title.focus" } else { "title" });
        let room = area.width as usize - 4;
        let title = if focused { format!("[{title}]") } else { format!(" {title} ") };
        let title = fit(&title, room, self.marks().more);
        buf.set_stringn(x0 + 2, y0, &title, room, style);
        let left = room.saturating_sub(title.width());
        if !note.is_empty() && note.width() + 3 <= left {
            let x = x1 - 2 - note.width() as u16;
            buf.set_stringn(x - 1, y0, format!(" {note} "), note.width() + 2, self.style("title"));
        }
        Rect { x: x0 + 1, y: y0 + 1, width: area.width - 2, height: area.height - 2 }
    }
}

/// Text that fits into `room` columns; what is cut is marked.
pub fn fit(text: &str, room: usize, more: &str) -> String {
    if text.width() <= room {
        return text.to_string();
    }
    let keep = room.saturating_sub(more.width());
    let mut out = String::new();
    let mut w = 0;
    for c in text.chars() {
        let cw = unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
        if w + cw > keep {
            break;
        }
        out.push(c);
        w += cw;
    }
    if room >= more.width() {
        out.push_str(more);
    }
    out
}

/// The end of a text that fits: for paths, where the end says most.
pub fn fit_end(text: &str, room: usize, more: &str) -> String {
    if text.width() <= room {
        return text.to_string();
    }
    let keep = room.saturating_sub(more.width());
    let n = text.chars().count();
    let tail: String = text.chars().skip(n.saturating_sub(keep)).collect();
    format!("{more}{tail}")
}

/// Writes along one line and knows where it ends.
pub struct Pen<'a> {
    buf: &'a mut Buffer,
    x: u16,
    y: u16,
    end: u16,
    base: Style,
    more: &'static str,
}

impl<'a> Pen<'a> {
    /// A pen on a line of an area; `base` lies under all styles and fills the line.
    pub fn new(buf: &'a mut Buffer, area: Rect, row: u16, base: Style, look: &Look) -> Pen<'a> {
        let y = area.y + row;
        if row < area.height {
            buf.set_style(Rect { y, height: 1, ..area }, base);
        }
        let end = if row < area.height { area.right() } else { area.x };
        Pen { buf, x: area.x, y, end, base, more: look.marks().more }
    }
    /// Columns left.
    pub fn room(&self) -> usize {
        self.end.saturating_sub(self.x) as usize
    }
    /// Writes; text that does not fit is cut and marked.
    pub fn put(&mut self, text: &str, style: Style) -> &mut Self {
        let room = self.room();
        if room > 0 {
            let text = fit(text, room, self.more);
            let (x, _) = self.buf.set_stringn(self.x, self.y, &text, room, self.base.patch(style));
            self.x = x;
        }
        self
    }
    /// Writes into a column of a width, left-aligned, and a space after it.
    pub fn column(&mut self, text: &str, width: usize, style: Style) -> &mut Self {
        let width = width.min(self.room());
        let text = fit(text, width, self.more);
        let pad = width.saturating_sub(text.width());
        self.put(&text, style);
        self.skip(pad + 1)
    }
    /// As [`Pen::column`], right-aligned.
    pub fn right(&mut self, text: &str, width: usize, style: Style) -> &mut Self {
        let width = width.min(self.room());
        let text = fit(text, width, self.more);
        self.skip(width.saturating_sub(text.width()));
        self.put(&text, style);
        self.skip(1)
    }
    /// As [`Pen::column`], the end kept when it is cut.
    pub fn column_end(&mut self, text: &str, width: usize, style: Style) -> &mut Self {
        let text = fit_end(text, width.min(self.room()), self.more);
        self.column(&text, width, style)
    }
    /// Leaves columns free.
    pub fn skip(&mut self, n: usize) -> &mut Self {
        self.x = self.x.saturating_add(n as u16).min(self.end);
        self
    }
    /// Writes at the right end, if there is room.
    pub fn at_end(&mut self, text: &str, style: Style) -> &mut Self {
        let w = text.width();
        if w < self.room() {
            self.x = self.end - w as u16;
            self.put(text, style);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn cuts_and_marks() {
        assert_eq!(fit("abcdef", 4, "…"), "abc…");
        assert_eq!(fit("日本語", 5, "…"), "日本…");
        assert_eq!(fit_end("/a/b/c.go", 6, "…"), "…/c.go");
    }
}
