//! Text to read: help, keys, answers. It can be filtered by typing after `/`.

use super::{Outcome, centred, input::Input, open_box};
use crate::tui::look::{Look, Pen};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::{buffer::Buffer, layout::Rect, style::Style};

/// A line: text in a key column, text beside it.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// A heading stays while lines are filtered.
    pub heading: bool,
    /// It has no left column.
    pub flat: bool,
    /// Shown in the key colour, in a column of its own.
    pub left: String,
    /// The rest.
    pub right: String,
}

impl Line {
    /// Plain text.
    pub fn text(t: impl Into<String>) -> Line {
        Line { right: t.into(), flat: true, ..Line::default() }
    }
    /// A heading.
    pub fn heading(t: impl Into<String>) -> Line {
        Line { heading: true, left: t.into(), ..Line::default() }
    }
    /// A key or name, and what it does.
    pub fn pair(left: impl Into<String>, right: impl Into<String>) -> Line {
        Line { left: left.into(), right: right.into(), ..Line::default() }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Heading,
    Flat,
    Pair,
}

/// The overlay.
pub struct TextView {
    title: String,
    lines: Vec<Line>,
    left_width: usize,
    top: usize,
    height: usize,
    width: usize,
    filter: Input,
    typing: bool,
    /// Closed by any key.
    pub note: bool,
}

impl TextView {
    /// Lines under a title.
    pub fn new(title: &str, lines: Vec<Line>) -> TextView {
        let left_width = lines.iter().filter(|l| !l.heading).map(|l| l.left.chars().count()).max().unwrap_or(0);
        TextView {
            title: title.into(),
            lines,
            left_width: left_width.min(24),
            top: 0,
            height: 10,
            width: 70,
            filter: Input::default(),
            typing: false,
            note: false,
        }
    }
    fn shown(&self) -> Vec<&Line> {
        let f = self.filter.text.to_lowercase();
        let hit = |l: &&Line| {
            f.is_empty() || l.heading || l.left.to_lowercase().contains(&f) || l.right.to_lowercase().contains(&f)
        };
        let all: Vec<&Line> = self.lines.iter().filter(hit).collect();
        if f.is_empty() {
            return all;
        }
        // Headings with nothing under them go.
        let keep = |i: usize| !all[i].heading || all.get(i + 1).is_some_and(|n| !n.heading);
        (0..all.len()).filter(|i| keep(*i)).map(|i| all[i]).filter(|l| l.heading || !l.right.is_empty()).collect()
    }
    pub(super) fn key(&mut self, key: KeyEvent) -> Outcome {
        if self.note {
            return match key.code {
                KeyCode::Char('?') => Outcome::Line("help".into()),
                KeyCode::Char(c @ '1'..='9') => Outcome::Line(format!("workspace {c}")),
                KeyCode::Char(':') => Outcome::Line("prompt".into()),
                _ => Outcome::Close,
            };
        }
        if self.typing {
            match key.code {
                KeyCode::Enter => self.typing = false,
                KeyCode::Esc => {
                    self.typing = false;
                    self.filter.set("");
                }
                _ => {
                    self.filter.key(key);
                    self.top = 0;
                }
            }
            return Outcome::Stay;
        }
        let last = self.rows(self.width).len().saturating_sub(self.height);
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        match (key.code, ctrl) {
            (KeyCode::Esc, _) if !self.filter.text.is_empty() => self.filter.set(""),
            (KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q' | '?'), _) => return Outcome::Close,
            (KeyCode::Char('c'), true) => return Outcome::Close,
            (KeyCode::Char('/'), _) => self.typing = true,
            (KeyCode::Char(':'), _) => return Outcome::Line("prompt".into()),
            (KeyCode::Char('d'), true) | (KeyCode::PageDown | KeyCode::Char(' '), _) => self.top += self.height / 2,
            (KeyCode::Char('u'), true) | (KeyCode::PageUp, _) => self.top = self.top.saturating_sub(self.height / 2),
            (KeyCode::Char('j') | KeyCode::Down, _) => self.top += 1,
            (KeyCode::Char('k') | KeyCode::Up, _) => self.top = self.top.saturating_sub(1),
            (KeyCode::Char('g') | KeyCode::Home, _) => self.top = 0,
            (KeyCode::Char('G') | KeyCode::End, _) => self.top = last,
            _ => {}
        }
        self.top = self.top.min(last);
        Outcome::Stay
    }
    /// Lines broken to a width: left column, text, heading.
    fn rows(&self, width: usize) -> Vec<(String, String, Kind)> {
        let left_width = self.left_column(width);
        let room = width.saturating_sub(if left_width > 0 { left_width + 2 } else { 0 }).max(10);
        let mut out = Vec::new();
        for l in self.shown() {
            let mut left = l.left.clone();
            if !l.heading && !l.flat && left.chars().count() > left_width {
                // A long left side gets a line of its own.
                out.push((std::mem::take(&mut left), String::new(), Kind::Pair));
            }
            let kind = match (l.heading, l.flat) {
                (true, _) => Kind::Heading,
                (_, true) => Kind::Flat,
                _ => Kind::Pair,
            };
            let room = if l.flat { width } else { room };
            let mut rest = l.right.as_str();
            loop {
                let (now, next) = break_at(rest, room);
                out.push((std::mem::take(&mut left), now.to_string(), kind));
                if next.is_empty() {
                    break;
                }
                rest = next;
            }
        }
        out
    }
    fn left_column(&self, width: usize) -> usize {
        self.left_width.min(if width < 90 { 16 } else { 24 })
    }
    pub(super) fn draw(&mut self, look: &Look, screen: Rect, buf: &mut Buffer) -> Option<(u16, u16)> {
        let widest = self.lines.iter().map(|l| l.right.chars().count()).max().unwrap_or(0);
        let lead = if self.left_width > 0 { self.left_width + 2 } else { 0 };
        let width = ((widest + lead + 4).clamp(40, 110) as u16).min(screen.width.saturating_sub(2));
        self.width = width.saturating_sub(4) as usize;
        let lines = self.rows(self.width);
        let wanted = (lines.len() as u16).saturating_add(2);
        let area = centred(screen, width, wanted.min(screen.height.saturating_sub(2)));
        let note = match (self.note, self.typing, self.filter.text.is_empty()) {
            (true, ..) => "any key closes".to_string(),
            (_, true, _) => format!("/{}", self.filter.text),
            (_, false, false) => format!("/{}  Esc all", self.filter.text),
            _ => "j k scroll  / filter  Esc".to_string(),
        };
        let inner = open_box(look, area, &self.title, &note, buf);
        self.height = inner.height as usize;
        let inner = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
        let top = self.top.min(lines.len().saturating_sub(self.height));
        let left_width = self.left_column(self.width);
        for (row, (left, right, kind)) in lines.iter().skip(top).take(self.height).enumerate() {
            let mut pen = Pen::new(buf, inner, row as u16, Style::default(), look);
            match kind {
                Kind::Heading => pen.put(left, look.style("title.focus")),
                Kind::Flat => pen.put(right, look.style("text")),
                Kind::Pair if right.is_empty() => pen.put(left, look.style("key")),
                Kind::Pair => pen.column(left, left_width + 1, look.style("key")).put(right, look.style("text")),
            };
        }
        if lines.len() > top + self.height && inner.height > 0 {
            let text = format!(" {} more lines ", lines.len() - top - self.height);
            let y = area.bottom() - 1;
            buf.set_stringn(area.x + 2, y, &text, area.width.saturating_sub(4) as usize, look.style("dim"));
        }
        None
    }
}

/// As many words as fit, and the rest.
fn break_at(text: &str, room: usize) -> (&str, &str) {
    let Some((end, _)) = text.char_indices().nth(room) else { return (text, "") };
    match text[..end].rfind(' ').filter(|i| !text[..*i].trim().is_empty()) {
        Some(i) => (&text[..i], text[i..].trim_start()),
        None => (&text[..end], &text[end..]),
    }
}
