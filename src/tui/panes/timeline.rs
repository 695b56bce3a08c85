//! The timeline: a lane for each P, the collector, stops of the world, heap, goroutines, queues; a cursor on a lane and a moment.

use super::{Ctx, Handled, Pane};
use crate::base::GoroutineId;
use crate::command::{Action, Do, Ui};
use crate::model::{Activity, BANDS, Cell, Cells, Lane, LaneKind, TimelineSource, TimelineView};
use crate::session::lanes;
use crate::session::{Interest, Session, Tone};
use crate::tui::look::{Look, Pen, fit};
use ratatui::{buffer::Buffer, layout::Rect, style::Style};

/// Columns of a lane's name.
const NAME: u16 = 12;
/// Columns of the words behind a lane, where there is room.
const NOTE: u16 = 20;
const NARROW_NOTE: u16 = 11;
/// Least height of the pane for an overview, and for a map of utilisation.
const OVERVIEW_HEIGHT: u16 = 11;
const MAP_HEIGHT: u16 = 20;
/// Columns between two times on the axis.
const TICK: usize = 16;

/// The pane.
pub struct TimelinePane {
    top: usize,
    row: u16,
    width: u16,
    height: u16,
}

impl Default for TimelinePane {
    /// Before the first drawing it takes the smallest screen for the true one.
    fn default() -> Self {
        TimelinePane { top: 0, row: 0, width: 78, height: 12 }
    }
}

/// Name, columns, note.
fn parts(width: u16) -> (u16, u16) {
    let note = match width {
        0..=59 => 0,
        60..=99 => NARROW_NOTE,
        _ => NOTE,
    };
    (width.saturating_sub(NAME + note + u16::from(note > 0)), note)
}

fn style(look: &Look, kind: LaneKind, c: &Cell) -> Style {
    look.style(match c.activity {
        Activity::Unknown | Activity::Idle => "dim",
        Activity::Running if lanes::runs(kind) => "state.running",
        Activity::Running => "text",
        Activity::Marking | Activity::Assist | Activity::Sweeping => "state.other",
        Activity::Syscall => "state.syscall",
        Activity::Stopped => "error",
        Activity::Runnable | Activity::Blocked => "state.runnable",
    })
}

fn source(s: TimelineSource) -> &'static str {
    match s {
        TimelineSource::Trace => "execution trace",
        TimelineSource::Sampled => "sampled, nothing stopped",
        TimelineSource::Text => "gctrace/schedtrace lines",
        TimelineSource::Perf => "perf events",
        TimelineSource::Kernel => "the kernel's sums",
        TimelineSource::Ours => "ours",
    }
}

/// The sources of a view, in words. Where there are several, the letter of each stands before its lanes.
fn sources(v: &TimelineView) -> String {
    let code = !v.functions.is_empty();
    if v.over.is_empty() {
        return format!("{}{}", source(v.source), if code { " + perf" } else { "" });
    }
    let mut all: Vec<&str> = [v.source].iter().chain(&v.over).map(|s| lanes::source(*s)).collect();
    all.extend(code.then_some("perf"));
    all.join(" + ")
}

/// How many rows each lane gets: code and amounts more than one where there is room, the heap before other amounts.
fn heights(lanes: &[&Lane], height: usize) -> Vec<u16> {
    let mut rows = vec![1u16; lanes.len().min(height)];
    let mut left = height - rows.len();
    for (i, l) in lanes.iter().enumerate().take(rows.len()) {
        if left > 0 && has_code(l) {
            rows[i] += 1;
            left -= 1;
        }
    }
    for (kind, most) in [(LaneKind::Heap, 4), (LaneKind::Goroutines, 3), (LaneKind::RunQueue, 3)] {
        if let Some(i) = lanes.iter().take(rows.len()).position(|l| l.kind == kind) {
            let more = left.min(most - 1);
            rows[i] += more as u16;
            left -= more;
        }
    }
    rows
}

/// Is it told which functions ran?
fn has_code(l: &Lane) -> bool {
    matches!(&l.cells, Cells::States(c) if c.iter().any(|c| c.function.is_some()))
}

/// A style for each function, so that neighbours differ.
fn function_style(look: &Look, f: Option<u16>) -> Style {
    match f {
        None => look.style("dim"),
        Some(f) => look.style(["flame.1", "flame.2", "flame.3", "flame.4"][usize::from(f % 4)]),
    }
}

impl TimelinePane {
    /// Times over the columns, counted from the newest (what grows) or the begin.
    fn axis(s: &Session, look: &Look, area: Rect, columns: u16, buf: &mut Buffer) {
        let Some(v) = s.timeline.drawn() else { return };
        let mut pen = Pen::new(buf, area, 0, look.style("dim"), look);
        pen.column("", usize::from(NAME) - 1, Style::default());
        let mut at = 0usize;
        while at + TICK / 2 < usize::from(columns) {
            let t = v.from_ns.saturating_add((at as u64 * v.column_ns).cast_signed());
            // On a fixed grid, so that labels stand still while time goes on.
            let text = match v.wall_ns {
                Some(w) => lanes::time_of_day(t.saturating_add(w), v.column_ns),
                None => format!("+{}", lanes::length(t.saturating_sub(v.extent.0).max(0).cast_unsigned())),
            };
            pen.column(&fit(&text, TICK - 1, ""), TICK - 1, Style::default());
            at += TICK;
        }
    }

    /// The whole run over the lanes: how busy the Ps were, with the part that is shown marked. How many rows it took.
    fn overview(s: &Session, look: &Look, area: Rect, row: u16, buf: &mut Buffer) -> u16 {
        let Some((v, o)) = s.timeline.drawn().and_then(|v| Some((v, v.overview.as_ref()?))) else { return 0 };
        let (columns, _) = parts(area.width);
        let map = !o.bands.is_empty() && area.height >= MAP_HEIGHT;
        let rows: Vec<(String, Vec<char>)> = match map {
            true => (0..BANDS)
                .rev()
                .map(|b| (format!("{}-{}%", b * 100 / BANDS, (b + 1) * 100 / BANDS), lanes::band(o, b, look.ascii)))
                .collect(),
            false => vec![("whole run".into(), lanes::bar(o, look.ascii))],
        };
        let end = v.from_ns.saturating_add((v.column_ns.saturating_mul(u64::from(columns))).cast_signed());
        let known = |i: usize| o.busy.get(i).is_some_and(Option::is_some);
        for (n, (name, chars)) in rows.iter().enumerate() {
            let mut pen = Pen::new(buf, area, row + n as u16, look.style("dim"), look);
            pen.skip(1).column(name, usize::from(NAME) - 2, Style::default());
            let mut mark = [0; 4];
            for (i, c) in chars.iter().enumerate().take(usize::from(columns)) {
                let at = o.from_ns.saturating_add((i as u64).saturating_mul(o.column_ns).cast_signed());
                let seen = at < end && at.saturating_add(o.column_ns.cast_signed()) > v.from_ns && known(i);
                let st =
                    if seen { look.style("state.running").patch(look.style("selection")) } else { look.style("dim") };
                pen.put(c.encode_utf8(&mut mark), st);
            }
        }
        rows.len() as u16
    }

    /// The functions that ran in a lane.
    fn code(s: &Session, look: &Look, lane: &Lane, area: Rect, row: u16, buf: &mut Buffer) {
        let (Some(v), Cells::States(cells)) = (s.timeline.drawn(), &lane.cells) else { return };
        let (columns, _) = parts(area.width);
        let mut pen = Pen::new(buf, area, row, look.style("text"), look);
        pen.column("", usize::from(NAME) - 1, Style::default());
        let mut mark = [0; 4];
        for (c, f) in lanes::functions(cells, &v.functions, look.ascii).into_iter().take(usize::from(columns)) {
            pen.put(c.encode_utf8(&mut mark), function_style(look, f));
        }
    }

    /// A lane, over so many rows from this one on.
    fn lane(&self, s: &Session, ctx: &Ctx, lane: &Lane, area: Rect, (row, rows): (u16, u16), buf: &mut Buffer) {
        if has_code(lane) && rows == 2 {
            self.row_of(s, ctx, lane, area, (row, 0, 1), buf);
            return Self::code(s, ctx.look, lane, area, row + 1, buf);
        }
        for above in 0..rows - 1 {
            self.row_of(s, ctx, lane, area, (row + above, usize::from(rows - 1 - above), usize::from(rows)), buf);
        }
        self.row_of(s, ctx, lane, area, (row + rows - 1, 0, usize::from(rows)), buf);
    }

    /// One row of it; its name stands in the lowest.
    fn row_of(
        &self,
        s: &Session,
        ctx: &Ctx,
        lane: &Lane,
        area: Rect,
        (row, part, rows): (u16, usize, usize),
        buf: &mut Buffer,
    ) {
        let look = ctx.look;
        let (columns, note) = parts(area.width);
        let current = s.timeline.current().is_some_and(|l| l.kind == lane.kind);
        let base = if current && ctx.focused { look.style("selection") } else { look.style("text") };
        let mut pen = Pen::new(buf, area, row, look.style("text"), look);
        let lowest = part == 0;
        pen.put(if lowest && current && ctx.focused { look.marks().select } else { " " }, look.style("key"));
        let name = if lowest { lanes::name(lane.kind) } else { String::new() };
        let width = usize::from(NAME) - 2;
        let name = format!("{:<width$}", fit(&name, width, look.marks().more));
        pen.put(&name, if lowest { base } else { look.style("text") });
        // Several sources: which one this lane is from.
        let several = s.timeline.drawn().filter(|v| lowest && !v.over.is_empty());
        let letter = several.map_or(' ', |v| lanes::source_mark(lane, v.source));
        pen.put(letter.encode_utf8(&mut [0; 4]), look.style("dim"));
        let top = lanes::top(lane);
        let cursor = s.timeline.column();
        let mut mark = [0; 4];
        let n = match &lane.cells {
            Cells::States(c) => c.len(),
            Cells::Levels(l) => l.len(),
        };
        for i in 0..n.min(usize::from(columns)) {
            let (c, mut st) = match &lane.cells {
                Cells::States(c) => (lanes::state(lane.kind, &c[i], look.ascii), style(look, lane.kind, &c[i])),
                Cells::Levels(l) => {
                    (lanes::level_of(l[i].as_ref(), top, look.ascii, (part, rows)), look.style("value"))
                }
            };
            if i == cursor && ctx.focused {
                st = st.patch(look.style("selection"));
            }
            pen.put(c.encode_utf8(&mut mark), st);
        }
        if note > 0 && lowest {
            pen.skip(1 + usize::from(columns).saturating_sub(n));
            let mut text = lanes::note(lane, note < NOTE);
            if let Some(v) = several.filter(|_| note >= NOTE) {
                text = format!("{text} {}", lanes::sources(lane, v.source)).trim_start().to_string();
            }
            pen.put(&fit(&text, usize::from(note), look.marks().more), look.style("dim"));
        }
    }
}

impl Pane for TimelinePane {
    fn title(&self, s: &Session, _ctx: &Ctx) -> (String, String) {
        let Some(v) = s.timeline.drawn() else { return ("Timeline".into(), String::new()) };
        let span = v.column_ns.saturating_mul(u64::from(parts(self.width).0.max(1)));
        let t = format!("Timeline {}  {}", lanes::length(span), sources(v));
        let mut note = match v.source {
            TimelineSource::Sampled => format!("{}/s", v.rate),
            _ if v.growing => "reading".into(),
            _ => String::new(),
        };
        if v.lost > 0 {
            note += &format!(" {} lost", v.lost);
        }
        if !s.timeline.follows() && v.growing {
            note += "  . is now";
        }
        (t, note)
    }

    fn interests(&self, _s: &Session, _ctx: &Ctx, _rows: u16) -> Vec<Interest> {
        vec![Interest::Timeline(parts(self.width).0)]
    }

    fn draw(&mut self, s: &Session, ctx: &Ctx, area: Rect, buf: &mut Buffer) {
        (self.width, self.height) = (area.width, area.height);
        let look = ctx.look;
        let Some(v) = s.timeline.drawn() else {
            let (text, style) = match (s.why_no_timeline(), s.timeline.view.failure()) {
                (Some(why), _) => (why, "unavailable"),
                (None, Some(why)) => (why, "error"),
                _ => ("looking", "dim"),
            };
            for (i, l) in super::entries::wrap(text, area.width as usize).iter().enumerate() {
                Pen::new(buf, area, i as u16, look.style(style), look).put(l, Style::default());
            }
            return;
        };
        let (columns, _) = parts(area.width);
        Self::axis(s, look, area, columns, buf);
        let all: Vec<&Lane> = s.timeline.lanes().collect();
        let at = all.iter().position(|l| l.kind == s.timeline.lane).unwrap_or(0);
        // A small pane is for its lanes.
        let over = if area.height >= OVERVIEW_HEIGHT { Self::overview(s, look, area, 1, buf) } else { 0 };
        let height = usize::from(area.height.saturating_sub(2 + over)).max(1);
        // The lane under the cursor is seen, as few others as possible move.
        self.top = self.top.min(all.len().saturating_sub(height)).min(at).max((at + 1).saturating_sub(height));
        let heights = heights(&all[self.top..], height);
        let mut row = 1 + over;
        for (i, (lane, rows)) in all[self.top..].iter().zip(heights).enumerate() {
            self.lane(s, ctx, lane, area, (row, rows), buf);
            row += rows;
            if i + self.top == at {
                self.row = row - 1;
            }
        }
        let last = area.height.saturating_sub(1);
        let text = v.problem.clone().unwrap_or_else(|| s.moment_sentence());
        let st = if v.problem.is_some() { "error" } else { "text" };
        Pen::new(buf, area, last, look.style(st), look).skip(1).put(&text, Style::default());
    }

    fn act(&mut self, s: &mut Session, _ctx: &Ctx, ui: &Ui) -> Handled {
        let t = &mut s.timeline;
        match ui {
            Ui::Move(n) => t.move_lane(i64::from(*n)),
            Ui::Top => t.to_begin(),
            Ui::Bottom | Ui::TimeNow => t.to_now(),
            Ui::Left => t.move_column(-1),
            Ui::Right => t.move_column(1),
            Ui::Page(n) => t.move_column(i64::from(*n) * i64::from(parts(self.width).0 / 4)),
            Ui::TimeZoom(closer) => t.zoom(if *closer { 0.5 } else { 2.0 }),
            Ui::BriefLanes => t.brief = !t.brief,
            Ui::ThreadLanes => {
                let text = match t.toggle_threads() {
                    true => "a lane for each thread (M), and what the kernel lets it do (cpu)",
                    false => "no lanes of threads",
                };
                s.say(Tone::Note, text);
            }
            Ui::HeatMap => {
                let small = self.height < MAP_HEIGHT;
                let text = match t.toggle_heat() {
                    true if small => "how many Ps were how busy: the pane is too low for it (+ on a pane zooms it)",
                    true => "the whole run: how many of the Ps were how busy",
                    false => "the whole run: how busy all Ps were together",
                };
                s.say(Tone::Note, text);
            }
            Ui::NextMark(forward) => s.find_mark("", *forward),
            Ui::NextSource => {
                let text = match t.next_source() {
                    Some(Some(to)) => format!("from {} alone", source(to)),
                    Some(None) => "from all sources".to_string(),
                    None => {
                        "there is one source only: a program launched with GODEBUG=gctrace=1, or :record, gives another"
                            .into()
                    }
                };
                s.say(Tone::Note, &text);
            }
            Ui::FollowSelected => return self.follow(s),
            Ui::Enter => {
                return match t.cell().and_then(|c| c.goroutine) {
                    Some(g) => Handled::Then(Do::Session(Action::Goroutine(Some(g)))),
                    None => {
                        s.say(Tone::Note, "no goroutine at this moment of this lane");
                        Handled::Yes
                    }
                };
            }
            _ => return Handled::No,
        }
        Handled::Yes
    }

    fn cursor_row(&self) -> Option<u16> {
        Some(self.row)
    }
    fn word(&self, s: &Session) -> Option<String> {
        s.timeline.cell()?.goroutine.map(|g| format!("g{}", g.0))
    }
    fn key(&self, s: &Session) -> Option<String> {
        Some(format!("{:?} {}", s.timeline.lane, s.timeline.moment()?))
    }
}

impl TimelinePane {
    /// A lane for the goroutine under the cursor, or else the selected one.
    fn follow(&self, s: &mut Session) -> Handled {
        let here = match s.timeline.current().map(|l| l.kind) {
            Some(LaneKind::Goroutine(g)) => Some(g),
            _ => s.timeline.cell().and_then(|c| c.goroutine),
        };
        let Some(g) = here.or(s.goroutine) else {
            s.say(Tone::Note, "no goroutine here: move to one, or select one with :goroutine ID");
            return Handled::Yes;
        };
        let GoroutineId(id) = g;
        let gone = s.timeline.followed.contains(&g);
        let text = match (s.timeline.follow(g), gone) {
            (false, _) => "eight goroutines are followed already: G on one of their lanes ends that".to_string(),
            (true, true) => format!("g{id} is no longer followed"),
            (true, false) => format!("g{id} has a lane of its own"),
        };
        s.say(Tone::Note, &text);
        Handled::Yes
    }
}
