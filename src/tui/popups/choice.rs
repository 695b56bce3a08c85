//! A question with a few answers, the harmless one first.

use super::{Outcome, centred, open_box};
use crate::tui::look::{Look, Pen};
use crossterm::event::{KeyCode, KeyEvent};
use ratatui::{buffer::Buffer, layout::Rect, style::Style};

/// What can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Leave adit; the target is let go and runs on.
    DetachAndQuit,
    /// Resume the target, then suspend adit.
    ResumeAndSuspend,
    /// Suspend adit, the target stays held.
    SuspendHeld,
    /// Stop the target for a moment and copy it.
    Snapshot,
    /// Nothing.
    Stay,
}

/// The question.
pub struct Choice {
    title: String,
    text: Vec<String>,
    answers: Vec<(char, String, Answer)>,
    at: usize,
}

impl Choice {
    /// What becomes of the target when adit ends.
    pub fn quit(target: &str, held: bool, launched: bool, leaving: Option<(String, String)>) -> Choice {
        let mut text = vec![match held {
            true => format!("{target} is held by us."),
            false => format!("{target} is running."),
        }];
        if launched {
            text.push("Ending it instead: Esc, then :kill".into());
        }
        let go = if held { "put everything back, resume it and leave" } else { "let it run on and leave" };
        let leave = match leaving {
            Some((stands, runs)) => {
                text[0] = format!("{target} {}.", if held { "stands" } else { "is running" });
                format!("leave: {}", if held { stands } else { runs })
            }
            None => format!("detach: {go}"),
        };
        Choice {
            title: "Quit".into(),
            text,
            answers: vec![('d', leave, Answer::DetachAndQuit), ('n', "stay here".into(), Answer::Stay)],
            at: 0,
        }
    }
    /// Suspending while the target is held.
    pub fn suspend() -> Choice {
        Choice {
            title: "Suspend".into(),
            text: vec!["The target is held; while adit is suspended nobody can resume it.".into()],
            answers: vec![
                ('r', "resume it, then suspend".into(), Answer::ResumeAndSuspend),
                ('h', "suspend, it stays held".into(), Answer::SuspendHeld),
                ('n', "stay here".into(), Answer::Stay),
            ],
            at: 0,
        }
    }
    /// A snapshot: what it costs the program.
    pub fn snapshot(last: Option<String>, file: Option<String>) -> Choice {
        let mut text = vec!["The whole program stands for one short stop while it is copied.".to_string()];
        text.push(match last {
            Some(l) => format!("The last one took {l}. Then it runs on; the copy is shown."),
            None => "The time is measured and shown. It then runs on; the copy is shown.".to_string(),
        });
        if let Some(f) = file {
            text.push(format!("The copy is written to {f}."));
        }
        Choice {
            title: "Snapshot".into(),
            text,
            answers: vec![
                ('s', "take it: one stop, then the program runs on".into(), Answer::Snapshot),
                ('n', "not now: nothing is stopped".into(), Answer::Stay),
            ],
            at: 0,
        }
    }
    pub(super) fn key(&mut self, key: KeyEvent) -> Outcome {
        let n = self.answers.len();
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') => return Outcome::Close,
            KeyCode::Enter => return Outcome::Answer(self.answers[self.at].2),
            KeyCode::Down | KeyCode::Char('j') | KeyCode::Tab => self.at = (self.at + 1) % n,
            KeyCode::Up | KeyCode::Char('k') | KeyCode::BackTab => self.at = (self.at + n - 1) % n,
            KeyCode::Char(c) => {
                if let Some(a) = self.answers.iter().find(|a| a.0 == c) {
                    return Outcome::Answer(a.2);
                }
            }
            _ => {}
        }
        Outcome::Stay
    }
    pub(super) fn draw(&mut self, look: &Look, screen: Rect, buf: &mut Buffer) -> Option<(u16, u16)> {
        let height = self.text.len() + self.answers.len() + 4;
        let area = open_box(look, centred(screen, 72, height as u16), &self.title, "Esc stays", buf);
        let inner = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
        let mut row = 0;
        for t in &self.text {
            Pen::new(buf, inner, row, Style::default(), look).put(t, look.style("text"));
            row += 1;
        }
        row += 1;
        for (i, (c, text, _)) in self.answers.iter().enumerate() {
            let base = if i == self.at { look.style("selection") } else { look.style("text") };
            let mark = if i == self.at { look.marks().select } else { " " };
            Pen::new(buf, inner, row, base, look)
                .put(mark, look.style("key"))
                .put(&format!(" {c} "), look.style("key"))
                .put(text, Style::default());
            row += 1;
        }
        None
    }
}
