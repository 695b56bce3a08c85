//! The stack of a goroutine, each frame's pending deferred calls under it, the creator last.

use super::{Ctx, Cursor, Handled, Pane};
use crate::base::text::printable_str;
use crate::command::{Action, Do, FrameMove, Ui};
use crate::model::{Location, Stack};
use crate::session::{Interest, Session};
use crate::tui::look::Pen;
use ratatui::{buffer::Buffer, layout::Rect};
use std::sync::Arc;

/// The pane.
#[derive(Default)]
pub struct StackPane {
    cursor: Cursor,
    shown: Option<(Option<crate::base::GoroutineId>, u32)>,
}

enum Line {
    Frame(usize),
    Defer(usize, usize),
    Panic(String),
    Created(Arc<Location>, u64),
    Note(String),
}

fn lines(stack: &Stack) -> Vec<Line> {
    let mut out = Vec::new();
    for p in &stack.panics {
        out.push(Line::Panic(super::defers::panic_text(p)));
    }
    for (i, f) in stack.frames.iter().enumerate() {
        out.push(Line::Frame(i));
        out.extend((0..f.defers.len()).map(|d| Line::Defer(i, d)));
    }
    if stack.more {
        out.push(Line::Note(format!("more than {} frames", stack.frames.len())));
    }
    out.extend(stack.problems.iter().map(|p| Line::Note(printable_str(p, 300))));
    if let Some(c) = &stack.created_by {
        out.push(Line::Created(c.at.clone(), c.goroutine.0));
    }
    out
}

impl StackPane {
    fn stack<'a>(&self, s: &'a Session, ctx: &Ctx) -> Option<(&'a Result<Stack, String>, bool)> {
        match ctx.peek {
            Some(g) => s.stack_of(Some(g)),
            None => s.stack_of(s.goroutine),
        }
    }
    fn len(&self, s: &Session, ctx: &Ctx) -> usize {
        match self.stack(s, ctx) {
            Some((Ok(st), _)) => lines(st).len(),
            _ => 0,
        }
    }
}

impl Pane for StackPane {
    fn title(&self, s: &Session, ctx: &Ctx) -> (String, String) {
        let g = ctx.peek.or(s.goroutine);
        let depth = match self.stack(s, ctx) {
            Some((Ok(st), _)) if !st.more => format!("depth {}", st.frames.len()),
            _ => String::new(),
        };
        (g.map_or("Stack".into(), |g| format!("Stack g{g}")), depth)
    }
    fn interests(&self, _s: &Session, ctx: &Ctx, _rows: u16) -> Vec<Interest> {
        vec![ctx.peek.map_or(Interest::Stack, Interest::StackOf)]
    }
    fn draw(&mut self, s: &Session, ctx: &Ctx, area: Rect, buf: &mut Buffer) {
        let look = ctx.look;
        let (stack, fresh) = match self.stack(s, ctx) {
            Some((Ok(st), fresh)) => (st, fresh),
            Some((Err(why), _)) => {
                Pen::new(buf, area, 0, look.style("unavailable"), look).put(why, Default::default());
                return;
            }
            None => {
                let text = match (ctx.peek.or(s.goroutine), s.control()) {
                    (None, false) => "no goroutine selected: Enter in Goroutines",
                    (None, true) if s.stop.is_none() => "the target runs: Ctrl-C pauses",
                    _ => "",
                };
                Pen::new(buf, area, 0, look.style("dim"), look).put(text, Default::default());
                return;
            }
        };
        let lines = lines(stack);
        // Of the goroutine under another pane's cursor the frame that its variables are of.
        let selected = match ctx.peek {
            None => Some(s.frame as usize),
            Some(g) => Some(s.first_frame(Some(g), &stack.frames) as usize),
        };
        let key = (Some(stack.goroutine), selected.unwrap_or(0) as u32);
        if selected.is_some() && self.shown != Some(key) {
            self.shown = Some(key);
            let at = lines.iter().position(|l| matches!(l, Line::Frame(i) if Some(*i) == selected));
            self.cursor.at = at.unwrap_or(0);
        }
        self.cursor.clamp(lines.len(), area.height as usize);
        let old = if !fresh && s.old() { look.style("stale") } else { look.style("text") };
        let longest = |f: &crate::model::Frame| {
            f.defers
                .iter()
                .map(|d| place(d.statement.as_ref().unwrap_or(&d.at)).len())
                .fold(place(&f.at).len(), usize::max)
        };
        let created = stack.created_by.as_ref().map_or(0, |c| place(&c.at).len());
        let widest = stack.frames.iter().map(longest).max().unwrap_or(8).max(created);
        let place_width = widest.min(area.width as usize * 2 / 5);
        let digits = stack.frames.len().saturating_sub(1).to_string().len().max(2);
        for (row, line) in lines.iter().skip(self.cursor.top).take(area.height as usize).enumerate() {
            let under = ctx.focused && row as u16 == self.cursor.row();
            let base = if under { old.patch(look.style("selection")) } else { old };
            let mut pen = Pen::new(buf, area, row as u16, base, look);
            match line {
                Line::Frame(i) => {
                    let f = &stack.frames[*i];
                    let here = selected == Some(*i);
                    let style = look.style(if f.hidden { "hidden" } else { "user" });
                    let style = if here { look.style("current-line").patch(style) } else { style };
                    pen.put(if here { look.marks().select } else { " " }, style);
                    pen.right(&i.to_string(), digits, look.style("line-number"));
                    let mut name = frame_name(&f.at);
                    if f.inlined {
                        name.push_str(" (inlined)");
                    }
                    let room = pen.room().saturating_sub(place_width + 1);
                    pen.column(&name, room, style);
                    pen.column_end(&place(&f.at), place_width, look.style("dim"));
                }
                Line::Defer(i, d) => {
                    let d = &stack.frames[*i].defers[*d];
                    let at = d.statement.as_ref().unwrap_or(&d.at);
                    pen.skip(digits + 2).put("defer ", look.style("defer"));
                    let room = pen.room().saturating_sub(place_width + 1);
                    pen.column(&frame_name_of(&d.function), room, look.style("defer"));
                    pen.column_end(&place(at), place_width, look.style("dim"));
                }
                Line::Panic(p) => {
                    pen.skip(1).put(p, look.style("error"));
                }
                Line::Created(at, g) => {
                    pen.skip(1).put("created by ", look.style("dim"));
                    let by = if *g == 0 { String::new() } else { format!(" in g{g}") };
                    let room = pen.room().saturating_sub(place_width + 1);
                    pen.column(&format!("{}{by}", frame_name(at)), room, look.style("hidden"));
                    pen.column_end(&place(at), place_width, look.style("dim"));
                }
                Line::Note(n) => {
                    pen.skip(1).put(n, look.style("dim"));
                }
            }
        }
    }
    fn act(&mut self, s: &mut Session, ctx: &Ctx, ui: &Ui) -> Handled {
        let len = self.len(s, ctx);
        if self.cursor.act(ui, len) {
            return Handled::Yes;
        }
        let Ui::Enter = ui else { return Handled::No };
        let what = match self.stack(s, ctx) {
            Some((Ok(st), _)) => lines(st).into_iter().nth(self.cursor.at).map(|l| match l {
                Line::Defer(f, d) => {
                    let d = &st.frames[f].defers[d];
                    Err(d.statement.clone().unwrap_or_else(|| d.at.clone()))
                }
                Line::Created(at, _) => Err(at),
                Line::Frame(i) => Ok(i as u32),
                _ => Ok(s.frame),
            }),
            _ => None,
        };
        match what {
            Some(Ok(frame)) => {
                if let Some(g) = ctx.peek {
                    s.select_goroutine(g);
                }
                self.shown = None;
                Handled::Then(Do::Session(Action::Frame(FrameMove::To(frame))))
            }
            Some(Err(at)) => {
                s.goto = Some((at.file.clone(), at.line));
                Handled::Yes
            }
            None => Handled::Yes,
        }
    }
    fn cursor_row(&self) -> Option<u16> {
        Some(self.cursor.row())
    }
    fn place(&self, s: &Session, ctx: &Ctx) -> Option<(String, u32)> {
        let (Ok(st), _) = self.stack(s, ctx)? else { return None };
        match lines(st).get(self.cursor.at)? {
            Line::Frame(i) => st.frames.get(*i).map(|f| (f.at.file.clone(), f.at.line)),
            _ => None,
        }
    }
}

/// `(*Cart).Total` of the main package, `http.(*conn).serve` of others.
pub fn frame_name(at: &Location) -> String {
    if at.function.is_empty() { format!("{}", at.pc) } else { frame_name_of(&at.function) }
}

/// The same of a function's full name.
pub fn frame_name_of(function: &str) -> String {
    let short = crate::model::location::short_function(function);
    printable_str(short.strip_prefix("main.").filter(|s| s.starts_with('(')).unwrap_or(short), 200)
}

/// `cart.go:46`.
pub fn place(at: &Location) -> String {
    if at.file.is_empty() { String::new() } else { printable_str(&format!("{}:{}", at.base_file(), at.line), 200) }
}
