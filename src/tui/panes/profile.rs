//! The functions of a profile as a table, and the lines of the chosen one.

use super::flame::short;
use super::{Ctx, Cursor, Handled, Pane};
use crate::base::text::printable_str;
use crate::command::Ui;
use crate::model::{Pair, ProfileLines, ProfileQuery, ProfileRow, ProfileView};
use crate::profile::units::{change, human, percent, signed};
use crate::session::source::Source;
use crate::session::{Interest, Session, Tone};
use crate::tui::look::{Look, Pen};
use ratatui::{buffer::Buffer, layout::Rect, style::Style};

/// Rows asked for beyond those on the screen, so that moving down waits for nothing.
const AHEAD: u32 = 100;
/// Source lines before the first that has a value.
const BEFORE: u32 = 3;

/// The table.
#[derive(Default)]
pub struct TablePane {
    cursor: Cursor,
}

/// Verbs that mean the same in all panes of the workspace.
pub fn shared(s: &mut Session, ui: &Ui) -> Handled {
    match ui {
        Ui::TurnProfile => s.turn_profile(),
        Ui::NextKind => s.next_kind(),
        Ui::NormalizeProfile => {
            s.profile.normalize = !s.profile.normalize;
            let text = if s.profile.normalize { "shares are compared" } else { "values are compared as they are" };
            s.say(Tone::Note, text);
        }
        _ => return Handled::No,
    }
    Handled::Yes
}

fn unit(v: &ProfileView) -> &str {
    v.kinds.get(v.kind as usize).map_or("", |k| k.unit.as_str())
}

/// Style for what grew or shrank.
fn by_change(p: Pair, look: &Look) -> Style {
    look.style(match p.change().signum() {
        1 => "error",
        -1 => "header.observe",
        _ => "text",
    })
}

fn no_profile(s: &Session, ctx: &Ctx, area: Rect, buf: &mut Buffer) {
    let text = match s.profile.view.failure() {
        Some(why) if s.has_profile() => why,
        _ if s.has_profile() => "adding up the profile",
        _ => "no profile is open",
    };
    for (i, l) in super::entries::wrap(text, area.width as usize).iter().enumerate() {
        Pen::new(buf, area, i as u16, ctx.look.style("dim"), ctx.look).put(l, Style::default());
    }
}

impl TablePane {
    fn row<'a>(&self, s: &'a Session) -> Option<&'a ProfileRow> {
        s.profile.view.data()?.rows.get(self.cursor.at)
    }
}

impl Pane for TablePane {
    fn title(&self, s: &Session, _ctx: &Ctx) -> (String, String) {
        let Some(v) = s.profile.view.data().filter(|_| s.has_profile()) else {
            return ("Functions".into(), String::new());
        };
        let kind = v.kinds.get(v.kind as usize).map_or("", |k| k.name.as_str());
        (format!("Functions {} by {}", v.total_rows, printable_str(kind, 40)), printable_str(&v.verdict, 100))
    }
    fn interests(&self, s: &Session, ctx: &Ctx, rows: u16) -> Vec<Interest> {
        if !s.has_profile() {
            return vec![Interest::ProfileSources];
        }
        let rows = u32::from(rows) + self.cursor.top as u32 + AHEAD;
        let search = ctx.search.unwrap_or("").to_string();
        vec![Interest::Profile(ProfileQuery { rows: rows.next_multiple_of(AHEAD), search, ..ProfileQuery::default() })]
    }
    fn draw(&mut self, s: &Session, ctx: &Ctx, area: Rect, buf: &mut Buffer) {
        let look = ctx.look;
        let Some(v) = s.profile.view.data().filter(|_| s.has_profile()) else { return no_profile(s, ctx, area, buf) };
        let height = usize::from(area.height.saturating_sub(1));
        self.cursor.clamp(v.total_rows as usize, height);
        let u = unit(v);
        let dim = Style::default();
        let mut head = Pen::new(buf, area, 0, look.style("dim"), look);
        head.skip(1);
        match v.base {
            Some(_) => head.right("BASE", 9, dim).right("NOW", 9, dim).right("CHANGE", 10, dim).right("%", 6, dim),
            None => head.right("FLAT", 9, dim).right("%", 6, dim).right("CUM", 9, dim).right("%", 6, dim),
        };
        head.put("FUNCTION", dim);
        for (i, r) in v.rows.iter().enumerate().skip(self.cursor.top).take(height) {
            let under = i == self.cursor.at && ctx.focused;
            let base = if under { look.style("text").patch(look.style("selection")) } else { look.style("text") };
            let mut pen = Pen::new(buf, area, (i - self.cursor.top) as u16 + 1, base, look);
            pen.put(if under { look.marks().select } else { " " }, look.style("key"));
            if v.base.is_some() {
                // What a library function takes belongs to who calls it: its own part is shown, but it is not what to look at.
                let (b, style) = match r.blame.is_zero() {
                    true => (r.flat, look.style("dim")),
                    false => (r.blame, by_change(r.blame, look)),
                };
                pen.right(&human(b.base, u), 9, look.style("dim")).right(&human(b.new, u), 9, look.style("value"));
                pen.right(&signed(b.change(), u), 10, style).right(&change(b.base, b.new), 6, style);
            } else {
                let all = v.total.new;
                pen.right(&human(r.flat.new, u), 9, look.style("value"));
                pen.right(&percent(r.flat.new, all), 6, look.style("dim"));
                pen.right(&human(r.cum.new, u), 9, look.style("value"));
                pen.right(&percent(r.cum.new, all), 6, look.style("dim"));
            }
            let name = printable_str(&r.name, 300);
            let name = if name.chars().count() > pen.room() { short(&name).to_string() } else { name };
            pen.put(&name, look.style(if r.found { "match" } else { "user" }));
        }
    }
    fn act(&mut self, s: &mut Session, _ctx: &Ctx, ui: &Ui) -> Handled {
        let total = s.profile.view.data().map_or(0, |v| v.total_rows as usize);
        if self.cursor.act(ui, total) {
            if let Some(name) = self.row(s).map(|r| r.name.clone()) {
                s.profile.choose(&name);
            }
            return Handled::Yes;
        }
        match ui {
            Ui::Enter => match self.row(s).map(|r| r.name.clone()) {
                // Whoever calls it, as a graph.
                Some(name) => {
                    s.profile.choose(&name);
                    s.profile.reverse = true;
                    s.profile.zoom = vec![name];
                    Handled::Then(crate::command::Do::Ui(Ui::ProfileTable))
                }
                None => Handled::No,
            },
            Ui::ZoomOutProfile => {
                if s.profile.zoom.pop().is_none() && !s.leave_profile() {
                    s.say(Tone::Note, "all of it is shown");
                }
                Handled::Yes
            }
            _ => shared(s, ui),
        }
    }
    fn cursor_row(&self) -> Option<u16> {
        Some(self.cursor.row() + 1)
    }
    fn place(&self, s: &Session, _ctx: &Ctx) -> Option<(String, u32)> {
        let r = self.row(s)?;
        (!r.file.is_empty()).then(|| (r.file.to_string(), r.line.max(1)))
    }
    fn word(&self, s: &Session) -> Option<String> {
        self.row(s).map(|r| r.name.to_string())
    }
    fn search(&mut self, s: &Session, text: &str, forward: bool, stay: bool) -> Option<bool> {
        let rows = &s.profile.view.data()?.rows;
        let name = |i: usize| rows.get(i).map(|r| &*r.name);
        match super::list::find(name, rows.len(), self.cursor.at, text, forward, stay) {
            Some(i) => {
                self.cursor.at = i;
                Some(true)
            }
            None => Some(false),
        }
    }
}

/// The lines.
#[derive(Default)]
pub struct LinesPane {
    cursor: Cursor,
    of: String,
}

/// A line that is shown: its number and values.
type Line = (u32, Pair, Pair);

fn chosen(s: &Session) -> Option<(&ProfileView, &ProfileLines)> {
    let v = s.profile.view.data().filter(|_| s.has_profile())?;
    // Functions of one name in several files: the largest.
    let l = v.lines.iter().filter(|l| l.name == s.profile.function);
    Some((v, l.max_by_key(|l| l.lines.iter().map(|l| l.2.weight()).max())?))
}

/// From a little before the first line with a value to a little behind the last, as far as the file goes.
fn lines(l: &ProfileLines, length: Option<usize>) -> Vec<Line> {
    let (Some(first), Some(last)) = (l.lines.first(), l.lines.last()) else { return Vec::new() };
    let Some(length) = length else { return l.lines.clone() };
    let last = last.0.saturating_add(BEFORE).min(length as u32);
    let value = |n: u32| l.lines.iter().find(|x| x.0 == n).copied().unwrap_or((n, Pair::default(), Pair::default()));
    (first.0.saturating_sub(BEFORE).max(1)..=last.max(first.0)).map(value).collect()
}

impl LinesPane {
    fn all(s: &Session) -> Vec<Line> {
        let Some((_, l)) = chosen(s) else { return Vec::new() };
        lines(l, s.sources.text(&l.file).map(|t| t.lines.len()))
    }
}

impl Pane for LinesPane {
    fn title(&self, s: &Session, _ctx: &Ctx) -> (String, String) {
        let file = chosen(s).map_or(String::new(), |(_, l)| l.file.rsplit('/').next().unwrap_or("").to_string());
        let name = if s.has_profile() { printable_str(short(&s.profile.function), 100) } else { String::new() };
        (format!("Lines {name}"), printable_str(&file, 60))
    }
    fn interests(&self, s: &Session, _ctx: &Ctx, _rows: u16) -> Vec<Interest> {
        if !s.has_profile() {
            return vec![Interest::ProfileSources];
        }
        let mut v = vec![s.profile_lines()];
        if let Some((_, l)) = chosen(s).filter(|(_, l)| !l.file.is_empty()) {
            v.push(Interest::Source(l.file.to_string()));
        }
        v
    }
    fn draw(&mut self, s: &Session, ctx: &Ctx, area: Rect, buf: &mut Buffer) {
        let look = ctx.look;
        let Some((v, l)) = chosen(s) else {
            let text = match s.profile.view.data() {
                Some(_) if s.has_profile() && s.profile.view.pending().is_none() => "no lines are known of it",
                _ => "",
            };
            Pen::new(buf, area, 0, look.style("dim"), look).put(text, Style::default());
            return;
        };
        let text = s.sources.text(&l.file);
        let all = Self::all(s);
        if self.of != *l.name {
            // The line with the most is where one looks first.
            let most = all.iter().enumerate().max_by_key(|(_, x)| (x.1.weight(), x.2.weight())).map_or(0, |m| m.0);
            self.cursor.at = most;
            self.cursor.top = most.saturating_sub(usize::from(area.height) / 3);
            if text.is_some() || matches!(s.sources.get(&l.file), Some(Source::Missing(_))) {
                self.of = l.name.to_string();
            }
        }
        self.cursor.clamp(all.len(), area.height.into());
        let u = unit(v);
        let value = |p: Pair| match (v.base.is_some(), p.is_zero()) {
            (_, true) => String::new(),
            (true, _) => signed(p.change(), u),
            _ => human(p.new, u),
        };
        for (i, (n, flat, cum)) in all.iter().enumerate().skip(self.cursor.top).take(area.height.into()) {
            let under = i == self.cursor.at && ctx.focused;
            let base = if under { look.style("text").patch(look.style("selection")) } else { look.style("text") };
            let mut pen = Pen::new(buf, area, (i - self.cursor.top) as u16, base, look);
            pen.put(if under { look.marks().select } else { " " }, look.style("key"));
            let of = |p: Pair| if v.base.is_some() { by_change(p, look) } else { look.style("value") };
            pen.right(&value(*flat), 9, of(*flat)).right(&value(*cum), 9, of(*cum));
            pen.right(&n.to_string(), 5, look.style("line-number"));
            let line = text.and_then(|t| t.lines.get(*n as usize - 1)).map_or("", String::as_str);
            let quiet = flat.is_zero() && cum.is_zero();
            pen.put(line, look.style(if quiet { "dim" } else { "text" }));
        }
        if let Some(Source::Missing(why)) = s.sources.get(&l.file) {
            let row = (all.len() - self.cursor.top.min(all.len())) as u16;
            for (i, t) in super::entries::wrap(why, area.width as usize).iter().enumerate() {
                Pen::new(buf, area, row + i as u16, look.style("unavailable"), look).put(t, Style::default());
            }
        }
    }
    fn act(&mut self, s: &mut Session, _ctx: &Ctx, ui: &Ui) -> Handled {
        if self.cursor.act(ui, Self::all(s).len()) { Handled::Yes } else { shared(s, ui) }
    }
    fn cursor_row(&self) -> Option<u16> {
        Some(self.cursor.row())
    }
    fn place(&self, s: &Session, _ctx: &Ctx) -> Option<(String, u32)> {
        let (_, l) = chosen(s)?;
        let line = Self::all(s).get(self.cursor.at)?.0;
        (!l.file.is_empty()).then(|| (l.file.to_string(), line))
    }
}
