//! A flame graph, root on top: a box for each function in each path, as wide as its part. Of a process without a profile, the
//! list of those that can be had.

use super::{Ctx, Cursor, Handled, Pane};
use crate::base::text::printable_str;
use crate::command::{Action, Do, Ui};
use crate::model::{FlameCell, ProfileQuery, ProfileSource, ProfileView};
use crate::profile::units::{change, human, percent};
use crate::session::{Interest, Session, Tone};
use crate::tui::look::{Look, Pen, fit};
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
};
use std::sync::Arc;

/// Styles of boxes; the name decides.
const STYLES: [&str; 4] = ["flame.1", "flame.2", "flame.3", "flame.4"];
/// From this part of change on a box is coloured, and strongly.
const CHANGED: f64 = 0.02;

/// The pane.
pub struct FlamePane {
    /// Level and begin of the box under the cursor.
    at: (u32, u64),
    top: u32,
    width: u16,
    row: u16,
    list: Cursor,
}

impl Default for FlamePane {
    /// Before the first drawing it takes the smallest screen for the true one.
    fn default() -> Self {
        FlamePane { at: (0, 0), top: 0, width: 78, row: 0, list: Cursor::default() }
    }
}

fn sources(s: &Session) -> &[ProfileSource] {
    s.profile.sources.data().map_or(&[], |d| &d.0)
}

/// Value of a box against all, in words.
pub fn describe(v: &ProfileView, c: &FlameCell) -> String {
    let unit = v.kinds.get(v.kind as usize).map_or("", |k| k.unit.as_str());
    let name = if c.folded > 0 { format!("{} narrow ones", c.folded) } else { printable_str(&c.name, 300) };
    let p = c.value;
    if v.base.is_some() {
        return format!("{name}  {} to {} ({})", human(p.base, unit), human(p.new, unit), change(p.base, p.new));
    }
    let own = if c.own.new != 0 { format!(", {} its own", human(c.own.new, unit)) } else { String::new() };
    format!("{name}  {} ({}){own}", human(p.new, unit), percent(p.new, v.selected.new))
}

/// A name without the path of its package.
pub fn short(name: &str) -> &str {
    let head = name.find(['(', '[']).unwrap_or(name.len());
    name[..head].rfind('/').map_or(name, |i| &name[i + 1..])
}

/// What of all is found or selected, in words; none when it is all.
fn share(v: &ProfileView, ctx: &Ctx) -> Option<String> {
    let sum = human(v.selected.new, v.kinds.get(v.kind as usize).map_or("", |k| &k.unit));
    match ctx.search {
        Some(_) if v.found.weight() > 0 => Some(format!("found {} of {sum}", percent(v.found.new, v.selected.new))),
        Some(_) => Some("found nothing".into()),
        None if v.selected.new != v.total.new => {
            Some(format!("{sum}, {} of all", percent(v.selected.new, v.total.new)))
        }
        None => None,
    }
}

impl FlamePane {
    fn cell<'a>(&self, v: &'a ProfileView) -> Option<&'a FlameCell> {
        v.cells.iter().find(|c| (c.depth, c.start) == self.at).or_else(|| v.cells.first())
    }

    /// The widest box of a level that lies over or under a part of the width.
    fn beside(v: &ProfileView, depth: u32, from: u64, to: u64) -> Option<&FlameCell> {
        let touches = |c: &&FlameCell| c.depth == depth && c.start < to && c.start + c.width > from;
        v.cells.iter().filter(touches).max_by_key(|c| c.width)
    }

    fn go(&mut self, s: &mut Session, to: Option<(u32, u64, Arc<str>)>) {
        if let Some((depth, start, name)) = to {
            self.at = (depth, start);
            if !name.is_empty() {
                s.profile.choose(&name);
            }
        }
    }

    fn step(&self, v: &ProfileView, ui: &Ui) -> Option<(u32, u64, Arc<str>)> {
        let c = self.cell(v)?;
        let (from, to) = (c.start, c.start + c.width.max(1));
        let deepest = v.cells.iter().map(|c| c.depth).max().unwrap_or(0);
        let found = match ui {
            Ui::Move(0) => Some(c),
            Ui::Move(n) if *n > 0 => Self::beside(v, c.depth + 1, from, to),
            Ui::Move(_) => Self::beside(v, c.depth.checked_sub(1)?, from, to),
            Ui::Left => v.cells.iter().filter(|x| x.depth == c.depth && x.start < c.start).max_by_key(|x| x.start),
            Ui::Right => v.cells.iter().filter(|x| x.depth == c.depth && x.start > c.start).min_by_key(|x| x.start),
            Ui::Page(n) => {
                let mut at = Some(c);
                for _ in 0..8 {
                    let here = at?;
                    let depth = if *n > 0 { here.depth + 1 } else { here.depth.saturating_sub(1) };
                    match Self::beside(v, depth, here.start, here.start + here.width.max(1)) {
                        Some(next) => at = Some(next),
                        None => break,
                    }
                }
                at
            }
            Ui::Top => v.cells.first(),
            Ui::Bottom => Self::beside(v, deepest, 0, u64::MAX),
            _ => return None,
        };
        found.map(|c| (c.depth, c.start, c.name.clone()))
    }

    /// The names from the box on top to the one under the cursor.
    fn path(v: &ProfileView, c: &FlameCell) -> Vec<Arc<str>> {
        let mut path: Vec<Arc<str>> = Vec::new();
        for depth in 1..=c.depth {
            let over = v
                .cells
                .iter()
                .find(|x| x.depth == depth && x.start <= c.start && x.start + x.width >= c.start + c.width);
            match over {
                Some(x) if x.folded == 0 => path.push(x.name.clone()),
                _ => break,
            }
        }
        path
    }

    fn graph(&mut self, v: &ProfileView, ctx: &Ctx, area: Rect, buf: &mut Buffer) {
        let look = ctx.look;
        let rows = u32::from(area.height.saturating_sub(1));
        self.width = area.width;
        let Some(under) = self.cell(v).cloned() else {
            Pen::new(buf, area, 0, look.style("dim"), look).put("no samples are selected", Style::default());
            return;
        };
        self.at = (under.depth, under.start);
        // The box under the cursor is on the screen, with one level below it where there is one.
        let lowest = under.depth + u32::from(under.depth < v.levels);
        if lowest >= self.top + rows {
            self.top = lowest + 1 - rows.max(1);
        }
        self.top = self.top.min(under.depth);
        self.row = u16::try_from(under.depth - self.top).unwrap_or(0);
        for c in v.cells.iter().filter(|c| c.depth >= self.top && c.depth < self.top + rows) {
            let selected = (c.depth, c.start) == self.at;
            draw_cell(v, c, selected && ctx.focused, (c.depth - self.top) as u16, look, area, buf);
        }
        let mut pen = Pen::new(buf, area, rows as u16, look.style("text"), look);
        pen.put(&describe(v, &under), look.style("value"));
        let below = v.levels.saturating_sub((self.top + rows).saturating_sub(1));
        let end = match share(v, ctx) {
            Some(text) => text,
            None if below > 0 && rows > 0 => format!("{below} levels below"),
            None => String::new(),
        };
        pen.at_end(&end, look.style("dim"));
    }

    fn offers(&mut self, s: &Session, ctx: &Ctx, area: Rect, buf: &mut Buffer) {
        let look = ctx.look;
        let all = sources(s);
        let mut row = 0;
        let mut line = |text: &str, style: &str, buf: &mut Buffer| {
            for l in super::entries::wrap(text, area.width as usize) {
                Pen::new(buf, area, row, look.style(style), look).put(&l, Style::default());
                row += 1;
            }
        };
        match (s.why_no_profile(), s.profile.sources.failure(), s.profile.sources.data()) {
            (Some(why), _, _) => line(why, "unavailable", buf),
            (None, Some(why), _) => line(why, "error", buf),
            (None, None, None) => line("looking for profiles of the process", "dim", buf),
            (None, None, Some((v, why))) if v.is_empty() => line(why, "unavailable", buf),
            (None, None, Some((_, why))) => {
                let text = s.profile.fetching.as_ref().map_or_else(|| why.clone(), |url| format!("fetching {url}"));
                line(&text, "dim", buf);
                self.list.clamp(all.len(), usize::from(area.height.saturating_sub(row)));
                for (i, x) in all.iter().enumerate().skip(self.list.top) {
                    let under = i == self.list.at && ctx.focused;
                    let base =
                        if under { look.style("text").patch(look.style("selection")) } else { look.style("text") };
                    let mut pen = Pen::new(buf, area, row + (i - self.list.top) as u16, base, look);
                    pen.put(if under { look.marks().select } else { " " }, look.style("key"));
                    pen.column(&printable_str(&x.name, 40), 22, look.style("key"));
                    pen.put(&printable_str(&x.about, 200), look.style("text"));
                }
            }
        }
    }
}

fn draw_cell(v: &ProfileView, c: &FlameCell, selected: bool, row: u16, look: &Look, area: Rect, buf: &mut Buffer) {
    let scale = |x: u64| -> u16 {
        let w = u128::from(area.width) * u128::from(x) / u128::from(v.width.max(1));
        w.min(u128::from(area.width)) as u16
    };
    let (x0, x1) = (scale(c.start), scale(c.start.saturating_add(c.width)));
    let width = usize::from(x1.saturating_sub(x0)).max(1);
    let mut style = match () {
        // Not filled among what is filled, or the other way round.
        _ if selected => look.style("flame.cursor"),
        _ if c.folded > 0 => look.style("flame.folded"),
        _ if v.base.is_some() => changed(c, look),
        _ => {
            let h = c.name.bytes().fold(7u32, |h, b| h.wrapping_mul(31).wrapping_add(u32::from(b)));
            look.style(STYLES[(h >> 3) as usize % STYLES.len()])
        }
    };
    if c.found {
        style = style.patch(look.style("flame.found"));
    }
    let sep = if look.ascii { "|" } else { "▏" };
    // Without fills a box is seen by what stands in it.
    let filled = style.bg.is_some() || style.add_modifier.contains(Modifier::REVERSED);
    let fill = match (filled, look.ascii) {
        (true, _) => " ",
        (false, true) => ".",
        (false, false) => "·",
    };
    let mark = match (v.base.is_some(), c.value.change().signum()) {
        (true, 1) if c.folded == 0 => "+",
        (true, -1) if c.folded == 0 => "-",
        _ => "",
    };
    let name =
        if c.folded > 0 { format!("{}", c.folded) } else { format!("{mark}{}", printable_str(short(&c.name), 200)) };
    let name = if c.found { format!("*{name}") } else { name };
    let text = if width == 1 { sep.to_string() } else { format!("{sep}{}", fit(&name, width - 1, look.marks().more)) };
    let x = area.x + x0.min(area.width.saturating_sub(1));
    let y = area.y + row;
    let (end, _) = buf.set_stringn(x, y, &text, width, style);
    for x in end..(x + width as u16).min(area.right()) {
        buf[(x, y)].set_symbol(fill).set_style(style);
    }
}

/// Red for more, blue for less; the signs before names say it without colours.
fn changed(c: &FlameCell, look: &Look) -> Style {
    let part = c.value.change() as f64 / (c.value.weight().max(1)) as f64;
    look.style(match part {
        p if p >= 0.3 => "flame.more",
        p if p >= CHANGED => "flame.bit-more",
        p if p <= -0.3 => "flame.less",
        p if p <= -CHANGED => "flame.bit-less",
        _ => "flame.same",
    })
}

impl Pane for FlamePane {
    fn title(&self, s: &Session, ctx: &Ctx) -> (String, String) {
        if !s.has_profile() {
            return ("Profiles".into(), String::new());
        }
        let Some(v) = s.profile.view.data() else { return ("Profile".into(), String::new()) };
        let kind = v.kinds.get(v.kind as usize).cloned().unwrap_or_default();
        let mut t = format!("Flame {}", printable_str(&kind.name, 40));
        if s.profile.reverse {
            t.push_str(", callers");
        }
        if let Some(b) = &v.base {
            t.push_str(&format!(" against {}", printable_str(b.rsplit('/').next().unwrap_or(b), 60)));
        }
        if !s.profile.focus.is_empty() {
            t.push_str(&format!(", focus {}", printable_str(&s.profile.focus, 60)));
        }
        if let Some(z) = v.zoom.last().filter(|_| v.zoom.len() > 1) {
            t.push_str(&format!(", in {}", printable_str(short(&z.name), 100)));
        }
        let note = share(v, ctx).unwrap_or_else(|| human(v.selected.new, &kind.unit));
        (t, note)
    }
    fn interests(&self, s: &Session, ctx: &Ctx, rows: u16) -> Vec<Interest> {
        if !s.has_profile() {
            return vec![Interest::ProfileSources];
        }
        vec![Interest::Profile(ProfileQuery {
            columns: u32::from(self.width),
            depth: self.top + u32::from(rows),
            search: ctx.search.unwrap_or("").to_string(),
            ..ProfileQuery::default()
        })]
    }
    fn draw(&mut self, s: &Session, ctx: &Ctx, area: Rect, buf: &mut Buffer) {
        if !s.has_profile() {
            return self.offers(s, ctx, area, buf);
        }
        match (s.profile.view.data(), s.profile.view.failure()) {
            (_, Some(why)) => {
                for (i, l) in super::entries::wrap(why, area.width as usize).iter().enumerate() {
                    Pen::new(buf, area, i as u16, ctx.look.style("error"), ctx.look).put(l, Style::default());
                }
            }
            (Some(v), None) => self.graph(v, ctx, area, buf),
            (None, None) => {
                self.width = area.width;
                Pen::new(buf, area, 0, ctx.look.style("dim"), ctx.look).put("adding up the profile", Style::default());
            }
        }
    }
    fn act(&mut self, s: &mut Session, _ctx: &Ctx, ui: &Ui) -> Handled {
        if !s.has_profile() {
            let n = sources(s).len();
            if self.list.act(ui, n) {
                return Handled::Yes;
            }
            return match (ui, sources(s).get(self.list.at).map(|x| x.url.clone())) {
                (Ui::Enter, Some(url)) => Handled::Then(Do::Session(Action::ProfileFetch(url))),
                _ => Handled::No,
            };
        }
        match ui {
            Ui::ZoomOutProfile => {
                if s.profile.zoom.pop().is_none() && !s.leave_profile() {
                    s.say(Tone::Note, "all of it is shown");
                }
                self.at = (0, 0);
                self.top = 0;
                return Handled::Yes;
            }
            Ui::TurnProfile | Ui::NextKind | Ui::NormalizeProfile => {
                if *ui == Ui::TurnProfile {
                    self.at = (0, 0);
                    self.top = 0;
                }
                return super::profile::shared(s, ui);
            }
            _ => {}
        }
        let Some(v) = s.profile.view.data() else { return Handled::No };
        if *ui == Ui::Enter {
            let path = self.cell(v).map(|c| Self::path(v, c)).unwrap_or_default();
            if path.is_empty() {
                s.say(Tone::Note, "it fills the width already; Backspace goes out");
            } else {
                let mut zoom: Vec<Arc<str>> = v.zoom.iter().skip(1).map(|c| c.name.clone()).collect();
                zoom.extend(path);
                s.profile.zoom = zoom;
                self.at = (0, 0);
                self.top = 0;
            }
            return Handled::Yes;
        }
        if !matches!(ui, Ui::Move(_) | Ui::Page(_) | Ui::Left | Ui::Right | Ui::Top | Ui::Bottom) {
            return Handled::No;
        }
        let to = self.step(v, ui);
        self.go(s, to);
        Handled::Yes
    }
    fn cursor_row(&self) -> Option<u16> {
        Some(self.row)
    }
    fn word(&self, s: &Session) -> Option<String> {
        let c = self.cell(s.profile.view.data()?)?;
        (c.folded == 0).then(|| c.name.to_string())
    }
    fn search(&mut self, s: &Session, text: &str, forward: bool, stay: bool) -> Option<bool> {
        let v = s.profile.view.data()?;
        let exact = text.chars().any(char::is_uppercase);
        let hit = |c: &FlameCell| if exact { c.name.contains(text) } else { c.name.to_lowercase().contains(text) };
        let mut hits: Vec<(u32, u64)> = v.cells.iter().filter(|c| hit(c)).map(|c| (c.depth, c.start)).collect();
        hits.sort_unstable();
        if stay && hits.contains(&self.at) {
            return Some(true);
        }
        let next = if forward {
            hits.iter().find(|h| **h > self.at).or(hits.first())
        } else {
            hits.iter().rev().find(|h| **h < self.at).or(hits.last())
        };
        match next {
            Some(h) => {
                self.at = *h;
                Some(true)
            }
            // What is folded can be found by the next answer: its share is in the title.
            None => Some(v.rows.iter().any(|r| r.name.to_lowercase().contains(&text.to_lowercase()))),
        }
    }
}
