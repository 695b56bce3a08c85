//! The `:` line with completion, and the search line.

use super::{Outcome, input::Input};
use crate::backend::protocol::SymbolKind;
use crate::base::text::printable_str;
use crate::command::{Arg, COMMANDS, look_up, usage};
use crate::session::Session;
use crate::tui::look::{Look, Pen};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::{buffer::Buffer, layout::Rect, style::Style};

/// Completions shown.
const SHOWN: usize = 8;

/// The command line.
pub struct Prompt {
    /// What is typed.
    pub input: Input,
    history: Vec<String>,
    back: Option<usize>,
    chosen: Option<usize>,
    typed: String,
}

/// The last row of the screen.
fn last_row(screen: Rect) -> Rect {
    Rect { y: screen.bottom().saturating_sub(1), height: screen.height.min(1), ..screen }
}

impl Prompt {
    /// A command line that begins with a text.
    pub fn new(text: &str, history: &[String]) -> Prompt {
        Prompt { input: Input::new(text), history: history.to_vec(), back: None, chosen: None, typed: text.into() }
    }

    /// What could be meant: replacement of the whole line, and what it is.
    fn completions(&self, s: &Session) -> Vec<(String, String)> {
        let line = if self.chosen.is_some() { &self.typed } else { &self.input.text };
        let Some((word, rest)) = line.split_once(' ') else {
            let mut v: Vec<(String, String)> = COMMANDS
                .iter()
                .filter(|c| c.name.starts_with(line.as_str()) || c.aliases.iter().any(|a| a == line))
                .map(|c| (c.name.to_string(), c.doc.to_string()))
                .collect();
            v.sort_by_key(|(n, _)| {
                (!COMMANDS.iter().any(|c| c.name == n && c.aliases.contains(&line.as_str())), n.len())
            });
            return v;
        };
        let Ok((c, _)) = look_up(word) else { return Vec::new() };
        let head = line[..line.len() - rest.len() + rest.rfind(' ').map_or(0, |i| i + 1)].to_string();
        let part = &line[head.len()..];
        let with = |name: &str, what: String| (format!("{head}{name}"), what);
        match c.arg {
            Arg::Place if s.completions.0 == part => s.completions.1.iter().map(|n| with(n, String::new())).collect(),
            Arg::Expression => s
                .vars
                .roots
                .iter()
                .filter(|n| n.var.name.starts_with(part))
                .map(|n| with(&n.var.name, printable_str(&n.var.type_name, 60)))
                .collect(),
            Arg::Breakpoint => s
                .breakpoints
                .iter()
                .filter(|b| b.id.to_string().starts_with(part))
                .map(|b| with(&b.id.to_string(), crate::session::breakpoint_sentence(b)))
                .collect(),
            Arg::Command => {
                COMMANDS.iter().filter(|c| c.name.starts_with(part)).map(|c| with(c.name, c.doc.to_string())).collect()
            }
            Arg::Setting if c.name == "theme" => crate::config::theme::SHIPPED
                .iter()
                .filter(|(n, _)| n.starts_with(part))
                .map(|(n, _)| with(n, String::new()))
                .collect(),
            Arg::Setting => {
                ["mouse", "nomouse"].iter().filter(|n| n.starts_with(part)).map(|n| with(n, String::new())).collect()
            }
            _ => Vec::new(),
        }
    }

    fn ask(&self, s: &mut Session) {
        let Some((word, rest)) = self.input.text.split_once(' ') else { return };
        let Ok((c, _)) = look_up(word) else { return };
        let part = rest.rsplit(' ').next().unwrap_or("");
        if c.arg == Arg::Place && part.len() >= 2 {
            let kind = if part.contains(".go") { SymbolKind::Sources } else { SymbolKind::Functions };
            s.complete(kind, part);
        }
    }

    pub(super) fn key(&mut self, key: KeyEvent, s: &mut Session) -> Outcome {
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        match (key.code, ctrl) {
            (KeyCode::Esc, _) | (KeyCode::Char('c'), true) => return Outcome::Close,
            (KeyCode::Backspace, _) if self.input.text.is_empty() => return Outcome::Close,
            (KeyCode::Enter, _) => {
                let line = self.input.text.trim().to_string();
                return if line.is_empty() { Outcome::Close } else { Outcome::Line(line) };
            }
            (KeyCode::Tab | KeyCode::BackTab, _) => self.choose(key.code == KeyCode::Tab, s),
            (KeyCode::Up, _) | (KeyCode::Char('p'), true) => self.recall(true),
            (KeyCode::Down, _) | (KeyCode::Char('n'), true) => self.recall(false),
            _ => {
                if self.input.key(key) {
                    self.chosen = None;
                    self.ask(s);
                }
            }
        }
        Outcome::Stay
    }

    fn choose(&mut self, forward: bool, s: &Session) {
        if self.chosen.is_none() {
            self.typed = self.input.text.clone();
        }
        let all = self.completions(s);
        let n = all.len().min(SHOWN);
        if n == 0 {
            return;
        }
        let at = match (self.chosen, forward) {
            (None, true) => 0,
            (None, false) => n - 1,
            (Some(i), true) => (i + 1) % n,
            (Some(i), false) => (i + n - 1) % n,
        };
        self.chosen = Some(at);
        self.input.set(&all[at].0);
    }

    fn recall(&mut self, older: bool) {
        let n = self.history.len();
        self.chosen = None;
        self.back = match (self.back, older) {
            (None, true) if n > 0 => Some(n - 1),
            (Some(i), true) => Some(i.saturating_sub(1)),
            (Some(i), false) if i + 1 < n => Some(i + 1),
            _ => None,
        };
        let text = self.back.and_then(|i| self.history.get(i)).cloned().unwrap_or_default();
        self.input.set(&text);
    }

    pub(super) fn draw(&mut self, s: &Session, look: &Look, screen: Rect, buf: &mut Buffer) -> Option<(u16, u16)> {
        let row = last_row(screen);
        let all = self.completions(s);
        let n = all.len().min(SHOWN).min(screen.height.saturating_sub(2) as usize);
        let hint = match self.input.text.split_once(' ').map(|(w, _)| look_up(w)) {
            Some(Ok((c, _))) if n == 0 => Some(format!("{}   {}", usage(c), c.doc)),
            _ => None,
        };
        let height = (n + usize::from(hint.is_some())) as u16;
        let list = Rect { y: row.y.saturating_sub(height), height, ..row };
        ratatui::widgets::Widget::render(ratatui::widgets::Clear, list, buf);
        let names = all.iter().take(n).map(|(t, _)| t.chars().count()).max().unwrap_or(0).min(48);
        for (i, (text, what)) in all.iter().take(n).enumerate() {
            let base = if self.chosen == Some(i) { look.style("selection") } else { look.style("popup") };
            Pen::new(buf, list, i as u16, base, look)
                .skip(1)
                .column(&printable_str(text, 200), names + 1, look.style("key"))
                .put(what, look.style("dim"));
        }
        if let Some(h) = hint {
            Pen::new(buf, list, n as u16, look.style("popup"), look).skip(1).put(&h, look.style("dim"));
        }
        draw_line(":", &self.input, look, row, buf)
    }
}

fn draw_line(lead: &str, input: &Input, look: &Look, row: Rect, buf: &mut Buffer) -> Option<(u16, u16)> {
    ratatui::widgets::Widget::render(ratatui::widgets::Clear, row, buf);
    Pen::new(buf, row, 0, look.style("text"), look).put(lead, look.style("key")).put(&input.text, Style::default());
    let x = (row.x + lead.len() as u16 + input.column()).min(row.right().saturating_sub(1));
    Some((x, row.y))
}

/// The search line: each key searches anew.
pub struct Search {
    /// What is typed.
    pub input: Input,
}

impl Search {
    /// A search that begins with a text.
    pub fn new(text: &str) -> Search {
        Search { input: Input::new(text) }
    }
    pub(super) fn key(&mut self, key: KeyEvent) -> Outcome {
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        match (key.code, ctrl) {
            (KeyCode::Esc, _) | (KeyCode::Char('c'), true) => Outcome::Search(String::new(), true),
            (KeyCode::Enter, _) => Outcome::Search(self.input.text.clone(), true),
            _ if self.input.key(key) => Outcome::Search(self.input.text.clone(), false),
            _ => Outcome::Stay,
        }
    }
    pub(super) fn draw(&mut self, look: &Look, screen: Rect, buf: &mut Buffer) -> Option<(u16, u16)> {
        draw_line("/", &self.input, look, last_row(screen), buf)
    }
}
