//! Goroutines: groups or rows, as many as can be seen.

use super::stack::{frame_name, place};
use super::{Ctx, Handled, Pane};
use crate::base::clock::human_ns;
use crate::base::text::{printable_str, thousands};
use crate::command::{Action, Do, Ui};
use crate::model::{Goroutine, GoroutineGroup, GoroutineState, GroupBy, ReadMode, WaitOn};
use crate::session::goroutines::{Listing, Row, group_title};
use crate::session::{Interest, Session};
use crate::tui::look::Pen;
use ratatui::{buffer::Buffer, layout::Rect, style::Style};

/// The pane; its window is the session's.
#[derive(Default)]
pub struct GoroutinesPane {
    rows: u64,
}

impl Pane for GoroutinesPane {
    fn title(&self, s: &Session, _ctx: &Ctx) -> (String, String) {
        let l = &s.list;
        let mut t = match &l.listing {
            Listing::Groups(by) => {
                let mut t =
                    format!("Goroutines {} in {} groups by {}", thousands(l.goroutines), thousands(l.total), by.name());
                if l.goroutines == 0 {
                    t = format!("Goroutines by {}", by.name());
                }
                t
            }
            Listing::Members { title, .. } => {
                format!("{}: {} goroutines", printable_str(title, 60), thousands(l.total))
            }
            Listing::Flat => format!("Goroutines {}", thousands(l.total)),
            Listing::Ids { title, of, .. } if *of > l.total => {
                format!("{}: {} of {} goroutines", printable_str(title, 60), thousands(l.total), thousands(*of))
            }
            Listing::Ids { title, .. } => format!("{}: {} goroutines", printable_str(title, 60), thousands(l.total)),
        };
        if !l.filter.text.is_empty() {
            t.push_str(&format!("  /{}", printable_str(&l.filter_text(), 40)));
        }
        let note = match l.read.mode {
            _ if l.generation().is_none() => String::new(),
            // Figures that change with each look would be sent with each look.
            ReadMode::Observed if s.ticking() => "live, not stopped".to_string(),
            ReadMode::Observed => format!("read in {}, not stopped", human_ns(l.read.took_us * 1_000)),
            ReadMode::Stopped => "at the stop".to_string(),
            ReadMode::Offline => "from a file".to_string(),
        };
        (t, note)
    }
    fn interests(&self, _s: &Session, _ctx: &Ctx, rows: u16) -> Vec<Interest> {
        vec![Interest::Goroutines(u64::from(rows.saturating_sub(1)))]
    }
    fn draw(&mut self, s: &Session, ctx: &Ctx, area: Rect, buf: &mut Buffer) {
        let (look, l) = (ctx.look, &s.list);
        if area.height == 0 {
            return;
        }
        self.rows = u64::from(area.height - 1);
        if let Some(why) = &l.failure {
            Pen::new(buf, area, 0, look.style("error"), look).put(why, Style::default());
            return;
        }
        if l.generation().is_some() && l.total == 0 {
            let text =
                if l.filter.text.is_empty() { "no goroutines" } else { "no goroutine matches; Esc clears the filter" };
            Pen::new(buf, area, 0, look.style("dim"), look).put(text, Style::default());
            return;
        }
        let old = if !s.list_fresh() && s.old() { look.style("stale") } else { look.style("text") };
        let w = Widths::new(area.width as usize, matches!(l.listing, Listing::Groups(_)));
        w.heading(&mut Pen::new(buf, area, 0, look.style("dim"), look), &l.listing);
        let shown = self.rows.min(l.total.saturating_sub(l.top));
        for i in 0..shown {
            let index = l.top + i;
            let under = index == l.cursor;
            let base = match (under, ctx.focused) {
                (true, true) => old.patch(look.style("selection")),
                (true, false) => old.patch(look.style("current-line")),
                _ => old,
            };
            let mut pen = Pen::new(buf, area, i as u16 + 1, base, look);
            match l.row(index) {
                Some(Row::Group(g)) => w.group(&mut pen, g, ctx, &l.listing, s.triage.muted(&g.sample.user.function)),
                Some(Row::Goroutine(g)) => w.goroutine(&mut pen, g, ctx, s.goroutine == Some(g.id)),
                None => {
                    pen.skip(1).put(look.marks().more, look.style("dim"));
                }
            }
        }
        if shown + 1 < u64::from(area.height) {
            let text = match (l.hidden_system, l.filter.system) {
                (0, _) => String::new(),
                _ if matches!(l.listing, Listing::Members { .. } | Listing::Ids { .. }) => {
                    " Esc goes back to the groups".to_string()
                }
                (n, _) => format!(" {} runtime goroutines hidden (S shows them)", thousands(n)),
            };
            Pen::new(buf, area, shown as u16 + 1, look.style("dim"), look).put(&text, Style::default());
        }
    }
    fn act(&mut self, s: &mut Session, _ctx: &Ctx, ui: &Ui) -> Handled {
        let l = &mut s.list;
        let rows = self.rows.max(2) as i64;
        match ui {
            Ui::Move(n) => l.move_by(i64::from(*n)),
            Ui::Page(n) => l.move_by(i64::from(*n) * rows / 2),
            Ui::Top => l.cursor = 0,
            Ui::Bottom => l.cursor = l.total.saturating_sub(1),
            Ui::CycleGroup => l.cycle(),
            Ui::ToggleSystem => l.toggle_system(),
            Ui::Enter | Ui::Right => match l.selected() {
                Some(Row::Group(g)) if g.count > 1 || matches!(ui, Ui::Right) => l.open_group(),
                Some(Row::Group(g)) => {
                    let id = g.sample.id;
                    return Handled::Then(Do::Session(Action::Goroutine(Some(id))));
                }
                Some(Row::Goroutine(g)) => {
                    let id = g.id;
                    return Handled::Then(Do::Session(Action::Goroutine(Some(id))));
                }
                None => {}
            },
            Ui::MuteSelected => {
                return match l.sample().map(|g| g.user.function.clone()).filter(|f| !f.is_empty()) {
                    Some(f) => Handled::Then(Do::Session(Action::Mute(f))),
                    None => Handled::No,
                };
            }
            Ui::Left => {
                l.close_group();
            }
            Ui::Cancel => {
                if !l.close_group() {
                    if l.filter.text.is_empty() {
                        return Handled::No;
                    }
                    l.set_filter("");
                }
            }
            _ => return Handled::No,
        }
        s.list.scroll(self.rows);
        Handled::Yes
    }
    fn cursor_row(&self) -> Option<u16> {
        None
    }
    fn goroutine(&self, s: &Session) -> Option<(crate::base::GoroutineId, std::sync::Arc<crate::model::Location>)> {
        s.list.sample().map(|g| (g.id, g.user.clone()))
    }
    fn place(&self, s: &Session, _ctx: &Ctx) -> Option<(String, u32)> {
        s.list.sample().map(|g| (g.user.file.clone(), g.user.line))
    }
}

struct Widths {
    state: usize,
    wait: usize,
    name: usize,
    place: usize,
    creator: usize,
}

impl Widths {
    fn new(width: usize, groups: bool) -> Widths {
        let (state, wait) = match width {
            // Too narrow for all: what it does says more than for how long.
            0..44 => (11, 0),
            44..60 => (11, 6),
            60..100 => (15, 7),
            _ => (16, if groups { 13 } else { 8 }),
        };
        let left = width.saturating_sub(9 + state + wait + if wait > 0 { 3 } else { 2 });
        let place = if width < 60 { 0 } else { (left / 4).clamp(12, 22) };
        let creator = if width < 70 { 0 } else { left * 3 / 10 };
        let name = left.saturating_sub(place + creator + 2);
        Widths { state, wait, name, place, creator }
    }
    fn heading(&self, pen: &mut Pen, listing: &Listing) {
        let s = Style::default();
        let first = if matches!(listing, Listing::Groups(_)) { "COUNT" } else { "ID" };
        pen.skip(1).right(first, 7, s).column("STATE", self.state, s);
        self.wait(pen, "WAIT", s);
        match listing {
            Listing::Groups(GroupBy::Label) => pen.column("LABEL", self.name, s),
            Listing::Groups(GroupBy::Entry) => pen.column("STARTED AS", self.name, s),
            Listing::Groups(GroupBy::Creator) => pen.column("CREATED BY", self.name, s),
            _ => pen.column("USER FRAME", self.name, s),
        };
        if self.place > 0 {
            pen.column("", self.place, s);
        }
        if self.creator > 0 {
            let last = match listing {
                Listing::Groups(GroupBy::Creator | GroupBy::Label | GroupBy::Entry) => "FOR EXAMPLE",
                Listing::Groups(_) => "CREATED BY",
                _ => "WAITS ON / CREATED BY",
            };
            pen.column(last, self.creator, s);
        }
    }
    fn wait(&self, pen: &mut Pen, text: &str, style: Style) {
        if self.wait > 0 {
            pen.column(text, self.wait, style);
        }
    }
    fn state(&self, pen: &mut Pen, g: &Goroutine, ctx: &Ctx) {
        let style = ctx.look.style(match g.state {
            GoroutineState::Running => "state.running",
            GoroutineState::Runnable => "state.runnable",
            GoroutineState::Syscall => "state.syscall",
            GoroutineState::Waiting => "state.waiting",
            _ => "state.other",
        });
        let text = g.wait_reason.as_deref().unwrap_or(g.state.name());
        let text = printable_str(text, 60).replace("chan receive", "chan recv");
        pen.column(&text, self.state, style);
    }
    fn group(&self, pen: &mut Pen, g: &GoroutineGroup, ctx: &Ctx, listing: &Listing, muted: bool) {
        let look = ctx.look;
        let Listing::Groups(by) = listing else { return };
        let mark = match (muted, g.count > 1) {
            (true, _) => "x",
            (false, true) => look.marks().closed,
            (false, false) => " ",
        };
        pen.put(mark, look.style("dim"));
        pen.right(&thousands(g.count), 7, look.style("text"));
        self.state(pen, &g.sample, ctx);
        let wait = match g.wait_ns {
            None => "-".to_string(),
            Some((a, b)) if human_ns(a) == human_ns(b) => human_ns(a),
            Some((_, longest)) if self.wait < 10 => human_ns(longest),
            Some((a, b)) => format!("{}-{}", human_ns(a), human_ns(b)),
        };
        self.wait(pen, &wait, look.style("text"));
        let s = &g.sample;
        match by {
            GroupBy::Creator | GroupBy::Entry | GroupBy::Label => {
                let at = match by {
                    GroupBy::Creator => s.created_by.as_ref().map(|c| c.at.as_ref()),
                    GroupBy::Entry => s.entry.as_deref(),
                    _ => None,
                };
                let name = at.map_or_else(|| printable_str(&group_title(g, *by), 100), frame_name);
                self.named(pen, &name, &at.map_or_else(String::new, place), ctx);
                if self.creator > 0 {
                    pen.column(
                        &format!("{} {}", frame_name(&s.user), place(&s.user)),
                        self.creator,
                        look.style("hidden"),
                    );
                }
            }
            _ => self.at(pen, s, ctx),
        }
    }
    fn at(&self, pen: &mut Pen, g: &Goroutine, ctx: &Ctx) {
        self.named(pen, &frame_name(&g.user), &place(&g.user), ctx);
        if self.creator > 0 {
            let by = g.created_by.as_ref().map_or_else(String::new, |c| frame_name(&c.at));
            pen.column(&by, self.creator, ctx.look.style("hidden"));
        }
    }
    /// A name left and its place right, in one column: what one does not need the other may have.
    fn named(&self, pen: &mut Pen, name: &str, place: &str, ctx: &Ctx) {
        let look = ctx.look;
        if self.place == 0 {
            pen.column(name, self.name, look.style("user"));
            return;
        }
        let both = self.name + 1 + self.place;
        let place_width = place.chars().count().min(both / 2);
        pen.column(name, both - place_width - 1, look.style("user"));
        pen.column_end(place, place_width, look.style("dim"));
    }
    fn goroutine(&self, pen: &mut Pen, g: &Goroutine, ctx: &Ctx, current: bool) {
        let look = ctx.look;
        let mark = match (current, g.torn) {
            (true, _) => "*",
            (false, true) => "~",
            _ => " ",
        };
        pen.put(mark, look.style("key"));
        pen.right(&g.id.to_string(), 7, look.style("text"));
        self.state(pen, g, ctx);
        self.wait(pen, &g.wait_ns.map_or("-".into(), human_ns), look.style("text"));
        match g.waits_on.first() {
            Some(w) if self.creator > 0 => {
                self.named(pen, &frame_name(&g.user), &place(&g.user), ctx);
                pen.column(&wait_text(w), self.creator, look.style("defer"));
            }
            _ => self.at(pen, g, ctx),
        }
    }
}

/// `recv main.q chan int 0/8`.
pub fn wait_text(w: &WaitOn) -> String {
    let mut t = format!("{:?}", w.op).to_lowercase();
    match (&w.name, &w.type_name) {
        (Some(n), _) => t.push_str(&format!(" {n}")),
        (None, Some(ty)) => t.push_str(&format!(" {ty}")),
        (None, None) => t.push_str(&format!(" {:?}", w.kind).to_lowercase()),
    }
    if let Some((n, cap)) = w.buffer {
        t.push_str(&format!(" {n}/{cap}"));
    } else if let Some(d) = &w.detail {
        t.push_str(&format!(" {d}"));
    }
    match w.peers.as_slice() {
        [] => {}
        [one] => t.push_str(&format!(" g{one}")),
        [one, ..] => t.push_str(&format!(" g{one} and more")),
    }
    if w.name.is_none()
        && let Some(a) = w.addr
    {
        t.push_str(&format!(" {a}"));
    }
    printable_str(&t, 200)
}
