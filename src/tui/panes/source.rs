//! Source of the selected frame: colours, breakpoints, where it stands, values beside the line.

use super::{Ctx, Cursor, Handled, Pane};
use crate::base::text::printable_str;
use crate::command::{Action, Do, Ui};
use crate::model::{Location, VarKind};
use crate::session::source::Source;
use crate::session::{Interest, Session};
use crate::tui::look::{Pen, fit_end};
use ratatui::{buffer::Buffer, layout::Rect, style::Style};

/// The pane.
#[derive(Default)]
pub struct SourcePane {
    file: String,
    cursor: Cursor,
    left: usize,
    column: usize,
    follows: Option<(Option<crate::base::GoroutineId>, u32, String, u32, u64)>,
    centre: bool,
    /// The user was led here: it stays while this goroutine's frame is selected and the target has not moved.
    hold: Option<(Option<crate::base::GoroutineId>, u32, u64)>,
}

impl SourcePane {
    fn go(&mut self, file: &str, line: u32) {
        if self.file != file {
            self.file = file.to_string();
            self.left = 0;
        }
        self.cursor.at = line.saturating_sub(1) as usize;
        self.column = 0;
        self.centre = true;
    }
    /// Where the pane should be if the user has not moved it since.
    fn target<'a>(&self, s: &'a Session, ctx: &'a Ctx) -> Option<&'a Location> {
        match ctx.peek {
            Some(_) => ctx.place,
            None => s.place().map(|l| l.as_ref()),
        }
    }
    fn follow(&mut self, s: &Session, ctx: &Ctx) {
        let Some(at) = self.target(s, ctx) else { return };
        let key = (
            ctx.peek.or(s.goroutine),
            if ctx.peek.is_some() { 0 } else { s.frame },
            at.file.clone(),
            at.line,
            s.epoch.0,
        );
        if self.follows.as_ref() != Some(&key) && !at.file.is_empty() {
            let (file, line) = (at.file.clone(), at.line);
            let held = self.hold == Some((key.0, key.1, key.4));
            self.follows = Some(key);
            if !held {
                self.hold = None;
                self.go(&file, line);
            }
        }
    }
    fn len(&self, s: &Session) -> usize {
        s.sources.text(&self.file).map_or(0, |t| t.lines.len())
    }
    fn line<'a>(&self, s: &'a Session) -> Option<&'a str> {
        s.sources.text(&self.file)?.lines.get(self.cursor.at).map(String::as_str)
    }
}

impl Pane for SourcePane {
    fn before(&mut self, s: &Session, ctx: &Ctx) {
        self.follow(s, ctx);
    }
    fn title(&self, s: &Session, ctx: &Ctx) -> (String, String) {
        let at = self.target(s, ctx).filter(|l| l.file == self.file);
        let base = self.file.rsplit('/').next().unwrap_or("");
        let mut title = if base.is_empty() { "Source".into() } else { format!("Source {}", printable_str(base, 80)) };
        if let Some(l) = at {
            title.push_str(&format!("  {}", printable_str(l.short_function(), 100)));
        }
        let note = s.sources.text(&self.file).map_or("", |t| t.origin.as_str());
        (title, fit_end(note, 40, ctx.look.marks().more))
    }
    fn interests(&self, _s: &Session, ctx: &Ctx, _rows: u16) -> Vec<Interest> {
        let mut v = Vec::new();
        if !self.file.is_empty() {
            v.push(Interest::Source(self.file.clone()));
        }
        if ctx.peek.is_none() {
            v.push(Interest::Stack);
        }
        v
    }
    fn draw(&mut self, s: &Session, ctx: &Ctx, area: Rect, buf: &mut Buffer) {
        let look = ctx.look;
        let text = match s.sources.get(&self.file) {
            Some(Source::Text(t)) => t,
            Some(Source::Missing(why)) => return self.missing(why, ctx, area, buf),
            _ => {
                let t = match (s.target.is_some(), self.target(s, ctx)) {
                    (true, None) if s.control() => {
                        "the target runs: Ctrl-C pauses, b needs a line: :break FILE:LINE or :list FILE:LINE"
                    }
                    (true, None) => "no goroutine selected: Enter on one in 1, 2 or 5",
                    (true, Some(l)) if l.file.is_empty() => {
                        "no source is known for this address; :disassemble shows the code"
                    }
                    _ => "",
                };
                Pen::new(buf, area, 0, look.style("dim"), look).put(t, Style::default());
                return;
            }
        };
        let height = area.height as usize;
        if std::mem::take(&mut self.centre) {
            // A third from the top, as the eye expects what comes next.
            let at = self.cursor.at;
            let inside = at >= self.cursor.top && at < self.cursor.top + height.saturating_sub(2);
            if !inside {
                self.cursor.top = at.saturating_sub(height / 3);
            }
        }
        self.cursor.clamp(text.lines.len(), height);
        let at = self.target(s, ctx).filter(|l| l.file == self.file).map(|l| l.line as usize);
        let digits = (text.lines.len().to_string().len() + 1).max(4);
        let old = s.old() && !s.vars_fresh() && s.control();
        let colours = ctx.highlight.lines(&self.file, text);
        for row in 0..height {
            let i = self.cursor.top + row;
            let Some(line) = text.lines.get(i) else { break };
            let current = at == Some(i + 1);
            let under = ctx.focused && i == self.cursor.at;
            let mut base = look.style("text");
            if current {
                base = base.patch(look.style("current-line"));
            }
            let mut pen = Pen::new(buf, area, row as u16, base, look);
            pen.put(
                if current {
                    "=>"
                } else if under {
                    "> "
                } else {
                    "  "
                },
                look.style("key"),
            );
            let (mark, style) = self.gutter(s, i + 1, ctx);
            pen.put(mark, style);
            let number = look.style(if under { "key" } else { "line-number" });
            pen.right(&(i + 1).to_string(), digits, if old { look.style("stale") } else { number });
            pen.skip(1);
            let room = pen.room();
            match colours.as_ref().and_then(|c| c.get(i)).filter(|_| ctx.search.is_none()) {
                Some(parts) => put_coloured(&mut pen, line, parts, self.left, look),
                None => {
                    let shown: String = line.chars().skip(self.left).collect();
                    put_matches(&mut pen, &shown, Style::default(), ctx);
                }
            }
            if current && ctx.peek.is_none() && s.vars_fresh() {
                let used = room - pen.room();
                inline_values(&mut pen, s, line, used, ctx);
            }
        }
    }
    fn act(&mut self, s: &mut Session, ctx: &Ctx, ui: &Ui) -> Handled {
        let len = self.len(s);
        match ui {
            Ui::List(to) if to.is_empty() => {
                (self.follows, self.hold) = (None, None);
                self.follow(s, ctx);
            }
            Ui::Left => {
                self.column = self.column.saturating_sub(1);
                self.left = self.left.saturating_sub(8);
            }
            Ui::Right => self.left = (self.left + 8).min(200),
            Ui::BreakHere if len > 0 => {
                let (file, line) = (self.file.clone(), self.cursor.at as u32 + 1);
                return Handled::Then(Do::Session(Action::ToggleAt { file, line }));
            }
            Ui::RunToCursor if len > 0 => {
                let to = format!("{}:{}", self.file, self.cursor.at + 1);
                return Handled::Then(Do::Session(Action::Resume(crate::backend::protocol::ResumeKind::To(to))));
            }
            ui => {
                if !self.cursor.act(ui, len) {
                    return Handled::No;
                }
            }
        }
        Handled::Yes
    }
    fn cursor_row(&self) -> Option<u16> {
        Some(self.cursor.row())
    }
    fn place(&self, _s: &Session, _ctx: &Ctx) -> Option<(String, u32)> {
        (!self.file.is_empty()).then(|| (self.file.clone(), self.cursor.at as u32 + 1))
    }
    fn word(&self, s: &Session) -> Option<String> {
        let line = self.line(s)?;
        // Without a column the first name on the line that is a variable in scope, else the first name at all.
        let words: Vec<&str> = names(line).collect();
        let known = words.iter().find(|w| s.vars.roots.iter().any(|n| n.var.name == **w));
        known.or(words.iter().find(|w| !KEYWORDS.contains(w))).map(|w| w.to_string())
    }
    fn show(&mut self, file: &str, line: u32) {
        self.go(file, line);
    }
    fn key(&self, _s: &Session) -> Option<String> {
        (!self.file.is_empty()).then(|| format!("{}:{}", self.file, self.cursor.at + 1))
    }
    fn seek(&mut self, s: &mut Session, key: &str) {
        let Some((file, line)) = key.rsplit_once(':') else { return };
        self.go(file, line.parse().unwrap_or(1));
        self.hold = Some((s.goroutine, s.frame, s.epoch.0));
    }
    fn search(&mut self, s: &Session, text: &str, forward: bool, stay: bool) -> Option<bool> {
        let lines = &s.sources.text(&self.file)?.lines;
        let hit =
            super::list::find(|i| lines.get(i).map(String::as_str), lines.len(), self.cursor.at, text, forward, stay);
        if let Some(i) = hit {
            self.cursor.at = i;
            self.centre = true;
        }
        Some(hit.is_some())
    }
}

impl SourcePane {
    fn missing(&self, why: &str, ctx: &Ctx, area: Rect, buf: &mut Buffer) {
        let look = ctx.look;
        let lines = [
            (format!("no source: {}", printable_str(&self.file, 300)), "warn"),
            (why.to_string(), "dim"),
            (String::new(), "dim"),
            (":path FROM TO maps recorded paths to local ones; :disassemble shows machine code".into(), "dim"),
        ];
        for (row, (text, style)) in lines.iter().enumerate() {
            Pen::new(buf, area, row as u16, look.style(style), look).put(text, Style::default());
        }
    }
    fn gutter(&self, s: &Session, line: usize, ctx: &Ctx) -> (&'static str, Style) {
        let (look, mut found) = (ctx.look, None);
        for b in s.breakpoints_at(&self.file, line as u32) {
            found = Some(found.unwrap_or(false) || b.spec.enabled);
        }
        match found {
            Some(true) => (look.marks().breakpoint, look.style("breakpoint")),
            Some(false) => (look.marks().disabled, look.style("breakpoint.off")),
            None if s.sources.has_code(&self.file, line as u32) => (look.marks().code, look.style("dim")),
            None => (" ", Style::default()),
        }
    }
}

const KEYWORDS: &[&str] = &[
    "break",
    "case",
    "chan",
    "const",
    "continue",
    "default",
    "defer",
    "else",
    "fallthrough",
    "for",
    "func",
    "go",
    "goto",
    "if",
    "import",
    "interface",
    "map",
    "package",
    "range",
    "return",
    "select",
    "struct",
    "switch",
    "type",
    "var",
];

/// The identifiers of a line.
fn names(line: &str) -> impl Iterator<Item = &str> {
    let code = line.split("//").next().unwrap_or("");
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|w| w.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_'))
}

fn put_coloured(
    pen: &mut Pen,
    line: &str,
    parts: &[(usize, &'static str)],
    left: usize,
    look: &crate::tui::look::Look,
) {
    let mut skip = left;
    let mut from = 0;
    for (len, what) in parts {
        let to = (from + len).min(line.len());
        let Some(part) = line.get(from..to) else { return };
        from = to;
        let n = part.chars().count();
        if skip >= n {
            skip -= n;
            continue;
        }
        let part: String = part.chars().skip(std::mem::take(&mut skip)).collect();
        pen.put(&part, look.style(what));
    }
}

/// Text with what is searched for marked.
pub fn put_matches(pen: &mut Pen, text: &str, style: Style, ctx: &Ctx) {
    let Some(search) = ctx.search.filter(|s| !s.is_empty()) else {
        pen.put(text, style);
        return;
    };
    let exact = search.chars().any(char::is_uppercase);
    let hay = if exact { text.to_string() } else { text.to_lowercase() };
    let mut from = 0;
    for (at, m) in hay.match_indices(search) {
        // Lower case may have other lengths: then the line is shown without marks.
        let (Some(before), Some(hit)) = (text.get(from..at), text.get(at..at + m.len())) else { break };
        pen.put(before, style).put(hit, style.patch(ctx.look.style("match")));
        from = at + m.len();
    }
    if let Some(rest) = text.get(from..) {
        pen.put(rest, style);
    }
}

/// Values of the variables named on the line, at its end.
fn inline_values(pen: &mut Pen, s: &Session, line: &str, used: usize, ctx: &Ctx) {
    let mut seen: Vec<&str> = Vec::new();
    for w in names(line) {
        if !seen.contains(&w) {
            seen.push(w);
        }
    }
    // What changed since the last stop is worth a look, too.
    seen.extend(s.vars.roots.iter().filter(|n| n.changed).map(|n| n.var.name.as_str()).filter(|n| !line.contains(n)));
    let mut text = String::new();
    for w in seen {
        let Some(n) = s.vars.roots.iter().rev().find(|n| n.var.name == w && n.var.unavailable.is_none()) else {
            continue;
        };
        // The type is known from the source: `error nil` is `nil` here, `main.Item {…}` is `Item {…}`.
        let bare = n.var.value.strip_prefix(n.var.type_name.as_str()).map(str::trim_start).filter(|v| *v == "nil");
        let value = bare.unwrap_or_else(|| n.var.value.strip_prefix("main.").unwrap_or(&n.var.value));
        let short = value.chars().count() <= 32;
        let plain = !matches!(n.var.kind, VarKind::Pointer | VarKind::Func | VarKind::UnsafePointer | VarKind::Chan);
        if short && plain {
            text.push_str(&format!("{w}={}  ", printable_str(value, 32)));
        }
    }
    let text = text.trim_end();
    if !text.is_empty() && pen.room() > 6 {
        pen.skip(if used < 48 {
            (48 - used).min(pen.room().saturating_sub(text.chars().count() + 1)).max(2)
        } else {
            2
        });
        pen.put(text, ctx.look.style("syntax.comment"));
    }
}
