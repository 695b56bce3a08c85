//! A cursor in a list with a window on it.

use crate::command::Ui;

/// Position and window.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor {
    /// The row under the cursor.
    pub at: usize,
    /// The first row on the screen.
    pub top: usize,
    rows: usize,
}

impl Cursor {
    /// Keeps cursor and window inside `len` rows shown in `height` lines.
    pub fn clamp(&mut self, len: usize, height: usize) {
        self.rows = height;
        self.at = self.at.min(len.saturating_sub(1));
        if self.at < self.top {
            self.top = self.at;
        }
        if height > 0 && self.at >= self.top + height {
            self.top = self.at + 1 - height;
        }
        self.top = self.top.min(len.saturating_sub(height.min(len)));
    }
    /// Moves as a verb says. False for verbs that do not move.
    pub fn act(&mut self, ui: &Ui, len: usize) -> bool {
        let half = (self.rows / 2).max(1) as i32;
        let by = match ui {
            Ui::Move(n) => *n,
            Ui::Page(n) => n * half,
            Ui::Top => i32::MIN,
            Ui::Bottom => i32::MAX,
            _ => return false,
        };
        self.at = (self.at as i64 + by as i64).clamp(0, len.saturating_sub(1) as i64) as usize;
        true
    }
    /// The cursor's line in the window.
    pub fn row(&self) -> u16 {
        self.at.saturating_sub(self.top) as u16
    }
}

/// The next index, going round, whose text contains `text` (case ignored unless it has capitals).
pub fn find<'a>(
    lines: impl Fn(usize) -> Option<&'a str>,
    len: usize,
    from: usize,
    text: &str,
    forward: bool,
    stay: bool,
) -> Option<usize> {
    let exact = text.chars().any(char::is_uppercase);
    let hit =
        |i: usize| lines(i).is_some_and(|l| if exact { l.contains(text) } else { l.to_lowercase().contains(text) });
    let first = if stay { 0 } else { 1 };
    (first..len + first)
        .map(|n| if forward { (from + n) % len.max(1) } else { (from + len - n % len.max(1)) % len.max(1) })
        .find(|i| hit(*i))
}
