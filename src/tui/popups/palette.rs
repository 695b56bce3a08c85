//! Everything that can be chosen by a part of its name: commands with their keys and why they are off, or files.

use super::{Outcome, centred, input::Input, open_box};
use crate::tui::look::{Look, Pen};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use nucleo_matcher::{
    Config, Matcher,
    pattern::{CaseMatching, Normalization, Pattern},
};
use ratatui::{buffer::Buffer, layout::Rect};

/// One thing to choose.
#[derive(Clone, Debug)]
pub struct Item {
    /// What is typed for it.
    pub name: String,
    /// Its key.
    pub key: String,
    /// What it does.
    pub doc: String,
    /// Why it cannot be chosen now.
    pub off: Option<String>,
    /// The command line that it runs.
    pub line: String,
    /// It needs more: the line opens in the prompt instead.
    pub ask: bool,
}

/// The overlay.
pub struct Palette {
    title: String,
    items: Vec<Item>,
    input: Input,
    at: usize,
    top: usize,
    matcher: Matcher,
}

impl Palette {
    /// These items under a title.
    pub fn new(title: &str, items: Vec<Item>) -> Palette {
        Palette {
            title: title.into(),
            items,
            input: Input::default(),
            at: 0,
            top: 0,
            matcher: Matcher::new(Config::DEFAULT),
        }
    }
    /// Other items, the text stays.
    pub fn replace(&mut self, items: Vec<Item>) {
        self.items = items;
    }
    /// What is typed.
    pub fn text(&self) -> &str {
        &self.input.text
    }
    pub(super) fn paste(&mut self, text: &str) {
        self.input.paste(text);
    }
    fn hits(&mut self) -> Vec<usize> {
        if self.input.text.is_empty() {
            return (0..self.items.len()).collect();
        }
        let pattern = Pattern::parse(&self.input.text, CaseMatching::Smart, Normalization::Smart);
        let mut buf = Vec::new();
        let mut scored: Vec<(u32, usize)> = Vec::new();
        for (i, item) in self.items.iter().enumerate() {
            let name = pattern.score(nucleo_matcher::Utf32Str::new(&item.name, &mut buf), &mut self.matcher);
            let doc = pattern.score(nucleo_matcher::Utf32Str::new(&item.doc, &mut buf), &mut self.matcher);
            if let Some(score) = name.map(|n| n + 1_000).or(doc) {
                scored.push((score, i));
            }
        }
        scored.sort_by_key(|(s, i)| (std::cmp::Reverse(*s), *i));
        scored.into_iter().map(|(_, i)| i).collect()
    }
    pub(super) fn key(&mut self, key: KeyEvent) -> Outcome {
        let hits = self.hits();
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        match (key.code, ctrl) {
            (KeyCode::Esc, _) | (KeyCode::Char('c'), true) => return Outcome::Close,
            (KeyCode::Down | KeyCode::Tab, _) | (KeyCode::Char('n' | 'j'), true) => {
                self.at = (self.at + 1).min(hits.len().saturating_sub(1));
            }
            (KeyCode::Up | KeyCode::BackTab, _) | (KeyCode::Char('p' | 'k'), true) => {
                self.at = self.at.saturating_sub(1);
            }
            (KeyCode::PageDown, _) => self.at = (self.at + 10).min(hits.len().saturating_sub(1)),
            (KeyCode::PageUp, _) => self.at = self.at.saturating_sub(10),
            (KeyCode::Enter, _) => {
                let Some(item) = hits.get(self.at).map(|i| &self.items[*i]) else { return Outcome::Stay };
                if let Some(why) = &item.off {
                    return Outcome::Say(why.clone());
                }
                let line = if item.ask { format!("prompt {}", item.line) } else { item.line.clone() };
                return Outcome::Line(line);
            }
            _ => {
                if self.input.key(key) {
                    self.at = 0;
                }
            }
        }
        Outcome::Stay
    }
    pub(super) fn draw(&mut self, look: &Look, screen: Rect, buf: &mut Buffer) -> Option<(u16, u16)> {
        let hits = self.hits();
        let height = screen.height.saturating_sub(4).min(22);
        let area = centred(screen, 96.min(screen.width.saturating_sub(2)), height);
        let inner = open_box(look, area, &self.title, "Enter runs  Esc", buf);
        let inner = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
        Pen::new(buf, inner, 0, look.style("text"), look)
            .put("> ", look.style("key"))
            .put(&self.input.text, look.style("text"));
        let list = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
        let rows = list.height as usize;
        self.at = self.at.min(hits.len().saturating_sub(1));
        self.top = self.top.min(self.at).max((self.at + 1).saturating_sub(rows));
        let names = self.items.iter().map(|i| i.name.chars().count()).max().unwrap_or(0).min(inner.width as usize / 2);
        let keys = self.items.iter().map(|i| i.key.chars().count()).max().unwrap_or(0).min(12);
        for (row, i) in hits.iter().skip(self.top).take(rows).enumerate() {
            let item = &self.items[*i];
            let base = if self.top + row == self.at { look.style("selection") } else { look.style("text") };
            let mut pen = Pen::new(buf, list, row as u16, base, look);
            let style = if item.off.is_some() { look.style("dim") } else { look.style("text") };
            pen.column(&item.name, names, style);
            if keys > 0 {
                pen.column(&item.key, keys, look.style("key"));
            }
            pen.put(item.off.as_deref().unwrap_or(&item.doc), look.style("dim"));
        }
        Some((inner.x + 2 + self.input.column(), inner.y))
    }
}
