//! Deferred calls that have not run, of the whole stack, in the order in which they will run; panics under way on top.

use super::stack::{frame_name, frame_name_of, place};
use super::{Ctx, Cursor, Handled, Pane};
use crate::base::text::printable_str;
use crate::command::Ui;
use crate::model::{Defer, PanicRecord, Stack};
use crate::session::{Interest, Session};
use crate::tui::look::Pen;
use ratatui::{buffer::Buffer, layout::Rect, style::Style};

/// The pane.
#[derive(Default)]
pub struct DefersPane {
    cursor: Cursor,
}

enum Line<'a> {
    Panic(&'a PanicRecord),
    /// Number from 1, frame, call.
    Call(usize, usize, &'a Defer),
}

fn lines(stack: &Stack) -> Vec<Line<'_>> {
    let panics = stack.panics.iter().map(Line::Panic);
    let calls = stack.frames.iter().enumerate().flat_map(|(i, f)| f.defers.iter().map(move |d| (i, d)));
    panics.chain(calls.enumerate().map(|(n, (frame, d))| Line::Call(n + 1, frame, d))).collect()
}

fn stack_of<'a>(s: &'a Session, ctx: &Ctx) -> Option<(&'a Result<Stack, String>, bool)> {
    s.stack_of(ctx.peek.or(s.goroutine))
}

/// `panic "boom", recovered by main.f.func1 cart.go:12`.
pub fn panic_text(p: &PanicRecord) -> String {
    if p.goexit {
        return "runtime.Goexit: deferred calls run, then the goroutine ends".into();
    }
    let how = match (&p.recovered_by, p.recovered) {
        (_, true) => "recovered".to_string(),
        (Some(at), _) => format!("{} {} may recover it", frame_name(at), place(at)),
        (None, _) => "nobody recovers it: the program will end".to_string(),
    };
    printable_str(&format!("panic {}: {how}", p.value), 400)
}

impl Pane for DefersPane {
    fn title(&self, s: &Session, ctx: &Ctx) -> (String, String) {
        let g = ctx.peek.or(s.goroutine);
        let title = g.map_or("Defers".into(), |g| format!("Defers g{g}"));
        let note = match stack_of(s, ctx) {
            Some((Ok(st), _)) => match st.frames.iter().map(|f| f.defers.len()).sum::<usize>() {
                0 => String::new(),
                n => format!("{n} pending, next first"),
            },
            _ => String::new(),
        };
        (title, note)
    }
    fn interests(&self, _s: &Session, ctx: &Ctx, _rows: u16) -> Vec<Interest> {
        vec![ctx.peek.map_or(Interest::Stack, Interest::StackOf)]
    }
    fn draw(&mut self, s: &Session, ctx: &Ctx, area: Rect, buf: &mut Buffer) {
        let look = ctx.look;
        let (stack, fresh) = match stack_of(s, ctx) {
            Some((Ok(st), fresh)) => (st, fresh),
            other => {
                let text = match other {
                    Some((Err(why), _)) => why.as_str(),
                    _ if ctx.peek.or(s.goroutine).is_none() => "no goroutine selected: Enter in Goroutines",
                    _ => "",
                };
                Pen::new(buf, area, 0, look.style("dim"), look).put(text, Style::default());
                return;
            }
        };
        let lines = lines(stack);
        if lines.is_empty() {
            let text = "no deferred call is pending, no panic under way";
            Pen::new(buf, area, 0, look.style("dim"), look).put(text, Style::default());
            return;
        }
        let legend = legend(&lines);
        let foot = u16::from(!legend.is_empty() && area.height as usize > lines.len());
        self.cursor.clamp(lines.len(), (area.height - foot) as usize);
        let old = if !fresh && s.old() { look.style("stale") } else { look.style("text") };
        let w = Widths::new(area.width as usize, &lines);
        let shown = lines.iter().enumerate().skip(self.cursor.top).take((area.height - foot) as usize);
        for (i, line) in shown {
            let under = ctx.focused && i == self.cursor.at;
            let base = if under { old.patch(look.style("selection")) } else { old };
            let mut pen = Pen::new(buf, area, (i - self.cursor.top) as u16, base, look);
            pen.put(if under { look.marks().select } else { " " }, look.style("key"));
            match line {
                Line::Panic(p) => {
                    let style = if p.recovered || p.goexit { "warn" } else { "error" };
                    pen.put(&panic_text(p), look.style(style));
                }
                Line::Call(n, frame, d) => w.call(&mut pen, *n, stack, *frame, d, ctx),
            }
        }
        if foot > 0 {
            Pen::new(buf, area, area.height - 1, look.style("dim"), look).skip(1).put(&legend, Style::default());
        }
    }
    fn act(&mut self, s: &mut Session, ctx: &Ctx, ui: &Ui) -> Handled {
        let to = {
            let Some((Ok(stack), _)) = stack_of(s, ctx) else { return Handled::No };
            let lines = lines(stack);
            if self.cursor.act(ui, lines.len()) {
                return Handled::Yes;
            }
            match lines.get(self.cursor.at) {
                Some(Line::Call(_, _, d)) => Some(d.at.clone()),
                Some(Line::Panic(p)) => p.recovered_by.clone(),
                None => None,
            }
        };
        if *ui != Ui::Enter {
            return Handled::No;
        }
        match to.filter(|at| !at.file.is_empty()) {
            Some(at) => s.goto = Some((at.file.clone(), at.line)),
            None => s.say(crate::session::Tone::Note, "no source is known for this"),
        }
        Handled::Yes
    }
    fn cursor_row(&self) -> Option<u16> {
        Some(self.cursor.row())
    }
    fn place(&self, s: &Session, ctx: &Ctx) -> Option<(String, u32)> {
        let (Ok(stack), _) = stack_of(s, ctx)? else { return None };
        match lines(stack).get(self.cursor.at)? {
            Line::Call(_, _, d) => Some((d.at.file.clone(), d.at.line)),
            Line::Panic(_) => None,
        }
    }
}

/// How the call is kept, as a letter: open-coded in the frame, of a range-over-func body, else in the runtime's list.
fn letter(d: &Defer) -> &'static str {
    match (d.range_func, d.open_coded) {
        (true, _) => "r",
        (false, true) => "o",
        (false, false) => "h",
    }
}

fn legend(lines: &[Line]) -> String {
    let mut out: Vec<&str> = Vec::new();
    let calls = || lines.iter().filter_map(|l| if let Line::Call(_, _, d) = l { Some(*d) } else { None });
    for (l, text) in [("o", "o open-coded"), ("h", "h on the heap"), ("r", "r range-over-func")] {
        if calls().any(|d| letter(d) == l) {
            out.push(text);
        }
    }
    if calls().any(|d| d.recovers) {
        out.push("R recovers");
    }
    out.join("  ")
}

struct Widths {
    number: usize,
    place: usize,
    frame: usize,
}

impl Widths {
    fn new(width: usize, lines: &[Line]) -> Widths {
        let widest = |l: &Line| match l {
            Line::Call(_, _, d) => d.statement.as_ref().map_or(0, |at| place(at).len()),
            Line::Panic(_) => 0,
        };
        let place = lines.iter().map(widest).max().unwrap_or(0).min(width / 3);
        let number = lines.len().to_string().len();
        Widths { number, place, frame: if width < 76 { 0 } else { width / 5 } }
    }
    fn call(&self, pen: &mut Pen, n: usize, stack: &Stack, frame: usize, d: &Defer, ctx: &Ctx) {
        let look = ctx.look;
        pen.right(&n.to_string(), self.number, look.style("line-number"));
        pen.put(letter(d), look.style("dim")).put(if d.recovers { "R " } else { "  " }, look.style("key"));
        let tail = self.place + 1 + if self.frame > 0 { self.frame + 1 } else { 0 };
        let room = pen.room().saturating_sub(tail);
        let own = stack.frames.get(frame).is_some_and(|f| f.hidden);
        pen.column(&call_text(d), room, look.style(if own { "hidden" } else { "defer" }));
        if self.frame > 0 {
            let name = stack.frames.get(frame).map_or(String::new(), |f| frame_name(&f.at));
            pen.column(&name, self.frame, look.style("user"));
        }
        let at = d.statement.as_ref().map_or(String::new(), |at| place(at));
        pen.column_end(&at, self.place, look.style("dim"));
    }
}

/// `sync.(*Mutex).Unlock on 0xc000…`, `main.f.func1 i=3 err=nil`.
fn call_text(d: &Defer) -> String {
    let mut t = if d.function.is_empty() { d.at.pc.to_string() } else { frame_name_of(&d.function) };
    if !d.captures.is_empty() {
        let args: Vec<String> = d.captures.iter().map(|(n, v)| format!("{n}={v}")).collect();
        t.push_str(&format!("  {}", args.join(" ")));
    } else if let Some(r) = d.receiver {
        t.push_str(&format!("  on {r}"));
    }
    printable_str(&t, 400)
}
