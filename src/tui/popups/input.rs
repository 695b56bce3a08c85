//! One line of text that is being typed.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// The line.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// What is typed so far.
    pub text: String,
    /// Byte position of the cursor.
    at: usize,
}

impl Input {
    /// A line that begins with a text.
    pub fn new(text: &str) -> Input {
        Input { text: text.to_string(), at: text.len() }
    }
    /// Another text, cursor at its end.
    pub fn set(&mut self, text: &str) {
        *self = Input::new(text);
    }
    /// Columns before the cursor.
    pub fn column(&self) -> u16 {
        self.text[..self.at].width() as u16
    }
    /// Pasted text: line ends become spaces, control characters are dropped.
    pub fn paste(&mut self, text: &str) {
        for c in text.chars().take(4_096) {
            let c = if c == '\n' || c == '\t' { ' ' } else { c };
            if !c.is_control() {
                self.text.insert(self.at, c);
                self.at += c.len_utf8();
            }
        }
    }
    fn before(&self) -> usize {
        self.text[..self.at].grapheme_indices(true).next_back().map_or(0, |(i, _)| i)
    }
    fn after(&self) -> usize {
        self.text[self.at..].graphemes(true).next().map_or(self.at, |g| self.at + g.len())
    }
    fn word_before(&self) -> usize {
        let head = self.text[..self.at].trim_end();
        head.rfind(char::is_whitespace).map_or(0, |i| i + 1)
    }
    /// Edits; false for keys that do not.
    pub fn key(&mut self, key: KeyEvent) -> bool {
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        match (key.code, ctrl) {
            (KeyCode::Char('a'), true) | (KeyCode::Home, _) => self.at = 0,
            (KeyCode::Char('e'), true) | (KeyCode::End, _) => self.at = self.text.len(),
            (KeyCode::Char('u'), true) => {
                self.text.drain(..self.at);
                self.at = 0;
            }
            (KeyCode::Char('k'), true) => self.text.truncate(self.at),
            (KeyCode::Char('w'), true) => {
                let from = self.word_before();
                self.text.drain(from..self.at);
                self.at = from;
            }
            (KeyCode::Backspace, _) => {
                let from = self.before();
                self.text.drain(from..self.at);
                self.at = from;
            }
            (KeyCode::Delete, _) => {
                let to = self.after();
                self.text.drain(self.at..to);
            }
            (KeyCode::Left, _) => self.at = self.before(),
            (KeyCode::Right, _) => self.at = self.after(),
            (KeyCode::Char(c), false) if !key.modifiers.contains(KeyModifiers::ALT) => {
                self.text.insert(self.at, c);
                self.at += c.len_utf8();
            }
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn edits_by_grapheme() {
        let mut i = Input::new("añb");
        let key = |c| KeyEvent::new(c, KeyModifiers::NONE);
        i.key(key(KeyCode::Left));
        i.key(key(KeyCode::Backspace));
        assert_eq!((i.text.as_str(), i.column()), ("ab", 1));
        i.paste("x\ny\x1b");
        assert_eq!(i.text, "ax yb");
        i.key(KeyEvent::new(KeyCode::Char('w'), KeyModifiers::CONTROL));
        assert_eq!(i.text, "ax b");
    }
}
