//! Labelled lines that wrap: a cursor goes from one to the next, however many rows each takes.

use crate::command::Ui;
use crate::tui::look::{Look, Pen};
use ratatui::{buffer::Buffer, layout::Rect, style::Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// One line.
pub struct Entry<T> {
    /// Left column; empty under a line that has the label already.
    pub label: String,
    /// Columns further in.
    pub indent: usize,
    /// Escaped text.
    pub text: String,
    /// Style of the text.
    pub style: &'static str,
    /// What Enter goes to.
    pub to: T,
}

/// Cursor and window in such lines.
#[derive(Default)]
pub struct Entries {
    /// The line under the cursor.
    pub at: usize,
    top: usize,
    height: usize,
    row: u16,
}

impl Entries {
    /// Moves as a verb says. False for verbs that do not move.
    pub fn act(&mut self, ui: &Ui, len: usize) -> bool {
        let half = (self.height / 2).max(1) as i64;
        let by = match ui {
            Ui::Move(n) => i64::from(*n),
            Ui::Page(n) => i64::from(*n) * half,
            Ui::Top => i64::MIN / 2,
            Ui::Bottom => i64::MAX / 2,
            _ => return false,
        };
        self.at = (self.at as i64 + by).clamp(0, len.saturating_sub(1) as i64) as usize;
        true
    }
    /// The row of the last drawing that the cursor was on.
    pub fn row(&self) -> u16 {
        self.row
    }
    /// Draws, `labels` columns for the labels.
    pub fn draw<T>(
        &mut self,
        entries: &[Entry<T>],
        labels: usize,
        focused: bool,
        base: Style,
        look: &Look,
        (area, buf): (Rect, &mut Buffer),
    ) {
        self.height = area.height as usize;
        self.at = self.at.min(entries.len().saturating_sub(1));
        let gap = usize::from(labels > 0);
        let mut rows: Vec<(usize, bool, String)> = Vec::new();
        let mut place = (0, 0);
        for (i, e) in entries.iter().enumerate() {
            let room = (area.width as usize).saturating_sub(1 + labels + gap + e.indent);
            let from = rows.len();
            for (n, part) in wrap(&e.text, room.max(8)).into_iter().enumerate() {
                rows.push((i, n == 0, part));
            }
            if i == self.at {
                place = (from, rows.len());
            }
        }
        // All of the line under the cursor, its first row before its last.
        if place.1 > self.top + self.height {
            self.top = place.1 - self.height;
        }
        if place.0 < self.top {
            self.top = place.0;
        }
        self.top = self.top.min(rows.len().saturating_sub(self.height));
        self.row = place.0.saturating_sub(self.top) as u16;
        for (row, (i, first, text)) in rows.iter().skip(self.top).take(self.height).enumerate() {
            let e = &entries[*i];
            let base = if focused && *i == self.at { base.patch(look.style("selection")) } else { base };
            let mut pen = Pen::new(buf, area, row as u16, base, look);
            let mark = if focused && *i == self.at && *first { look.marks().select } else { " " };
            pen.put(mark, look.style("key"));
            if labels > 0 {
                pen.column(if *first { &e.label } else { "" }, labels, look.style("title.focus"));
            }
            pen.skip(e.indent).put(text, look.style(e.style));
        }
    }
}

/// Words into rows of at most `room` columns; a longer word is cut into pieces.
pub fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut rows = Vec::new();
    let mut row = String::new();
    for word in text.split(' ') {
        let mut word = word.to_string();
        if !row.is_empty() && row.width() + 1 + word.width() > room {
            rows.push(std::mem::take(&mut row));
        } else if !row.is_empty() {
            row.push(' ');
        }
        while row.width() + word.width() > room {
            let mut w = row.width();
            let cut = word
                .char_indices()
                .find(|(_, c)| {
                    w += c.width().unwrap_or(0);
                    w > room
                })
                .map_or(word.len(), |(i, _)| i);
            if cut == 0 && row.is_empty() {
                break;
            }
            let rest = word.split_off(cut);
            row.push_str(&word);
            rows.push(std::mem::take(&mut row));
            word = rest;
        }
        row.push_str(&word);
    }
    rows.push(row);
    rows
}

#[cfg(test)]
mod tests {
    use super::wrap;
    #[test]
    fn wraps_words_and_cuts_long_ones() {
        assert_eq!(wrap("a bb ccc", 4), ["a bb", "ccc"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("", 3), [""]);
        assert_eq!(wrap("日本語", 2), ["日", "本", "語"]);
        assert_eq!(wrap("ab cdefg", 3), ["ab", "cde", "fg"]);
    }
}
