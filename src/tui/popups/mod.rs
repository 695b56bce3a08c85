//! What lies over the panes and takes the keys while it is there.

pub mod breakpoint;
pub mod choice;
pub mod input;
pub mod palette;
pub mod prompt;
pub mod text;

use super::look::Look;
use crate::command::Do;
use crate::session::Session;
use crossterm::event::KeyEvent;
use ratatui::{buffer::Buffer, layout::Rect};

/// One overlay.
pub enum Overlay {
    /// The `:` line.
    Prompt(prompt::Prompt),
    /// The search or filter line.
    Search(prompt::Search),
    /// All commands by name, or files.
    Palette(palette::Palette),
    /// Help, keys, answers.
    Text(text::TextView),
    /// A question.
    Choice(choice::Choice),
    /// The breakpoint editor.
    Breakpoint(Box<breakpoint::Editor>),
}

/// What an overlay makes of a key.
pub enum Outcome {
    /// It stays.
    Stay,
    /// It is done.
    Close,
    /// It is done, and this is to be done.
    Run(Do),
    /// It is done, and this command line is to be run.
    Line(String),
    /// The search text so far; `true` when it is final.
    Search(String, bool),
    /// An answer to a question.
    Answer(choice::Answer),
    /// A setting that needs no more than this message.
    Say(String),
}

impl Overlay {
    /// A key.
    pub fn key(&mut self, key: KeyEvent, s: &mut Session) -> Outcome {
        match self {
            Overlay::Prompt(p) => p.key(key, s),
            Overlay::Search(p) => p.key(key),
            Overlay::Palette(p) => p.key(key),
            Overlay::Text(t) => t.key(key),
            Overlay::Choice(c) => c.key(key),
            Overlay::Breakpoint(b) => b.key(key),
        }
    }
    /// Pasted text: it goes into input lines only and never runs anything.
    pub fn paste(&mut self, text: &str) {
        match self {
            Overlay::Prompt(p) => p.input.paste(text),
            Overlay::Search(p) => p.input.paste(text),
            Overlay::Palette(p) => p.paste(text),
            Overlay::Breakpoint(b) => b.paste(text),
            Overlay::Text(_) | Overlay::Choice(_) => {}
        }
    }
    /// Draws; returns where the cursor is.
    pub fn draw(&mut self, s: &Session, look: &Look, screen: Rect, buf: &mut Buffer) -> Option<(u16, u16)> {
        match self {
            Overlay::Prompt(p) => p.draw(s, look, screen, buf),
            Overlay::Search(p) => p.draw(look, screen, buf),
            Overlay::Palette(p) => p.draw(look, screen, buf),
            Overlay::Text(t) => t.draw(look, screen, buf),
            Overlay::Choice(c) => c.draw(look, screen, buf),
            Overlay::Breakpoint(b) => b.draw(look, screen, buf),
        }
    }
}

/// Empties an area and draws a box there.
pub fn open_box(look: &Look, area: Rect, title: &str, note: &str, buf: &mut Buffer) -> Rect {
    ratatui::widgets::Widget::render(ratatui::widgets::Clear, area, buf);
    buf.set_style(area, look.style("popup"));
    look.frame(buf, area, title, note, true)
}

/// A box of at most this size in the middle of the screen.
pub fn centred(screen: Rect, width: u16, height: u16) -> Rect {
    let (w, h) = (width.min(screen.width), height.min(screen.height));
    Rect { x: screen.x + (screen.width - w) / 2, y: screen.y + (screen.height - h) / 2, width: w, height: h }
}
