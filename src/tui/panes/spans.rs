//! What happened in the timeline's lane around its cursor, one span a line.

use super::{Ctx, Cursor, Handled, Pane};
use crate::base::GoroutineId;
use crate::base::text::printable_str;
use crate::command::{Action, Do, Ui};
use crate::model::{Location, Span};
use crate::session::lanes;
use crate::session::{Answer, Interest, Session, Tone};
use crate::tui::look::Pen;
use ratatui::{buffer::Buffer, layout::Rect, style::Style};
use std::sync::Arc;

/// The pane.
#[derive(Default)]
pub struct SpansPane {
    cursor: Cursor,
    /// Begin of the span under the cursor, once the user moved there.
    chosen: Option<i64>,
}

fn spans(s: &Session) -> &[Span] {
    s.timeline.spans.data().map_or(&[], Vec::as_slice)
}

/// Time of day, or since the begin: what stands still while time goes on.
fn when(s: &Session, at: i64) -> String {
    let Some(v) = s.timeline.drawn() else { return String::new() };
    match v.wall_ns {
        Some(w) => lanes::time_of_day(at.saturating_add(w), 0),
        None => format!("+{}", lanes::length(at.saturating_sub(v.extent.0).max(0).cast_unsigned())),
    }
}

/// All that is known of a span.
fn event(s: &Session, x: &Span) -> Answer {
    let who = x.goroutine.map_or(String::new(), |g| format!("  g{}", g.0));
    let len = x.to_ns.map_or("not over".into(), |t| lanes::length(t.saturating_sub(x.from_ns).max(0).cast_unsigned()));
    let mut lines = vec![format!("{}{who}  from {} for {len}", lanes::activity(x.activity), when(s, x.from_ns))];
    lines.extend((!x.what.is_empty()).then(|| printable_str(&x.what, 300)));
    lines.extend(x.proc.map(|p| format!("on P{p}")));
    lines.extend(x.thread.filter(|t| *t > 0).map(|t| format!("on thread {t}")));
    lines.extend(x.by.map(|g| format!("ended by g{}", g.0)));
    lines.push(String::new());
    lines.extend(x.stack.iter().map(|l| printable_str(&format!("{}  {}:{}", l.function, l.file, l.line), 500)));
    Answer { title: format!("{} at {}", lanes::name(x.lane), when(s, x.from_ns)), lines }
}

impl Pane for SpansPane {
    fn title(&self, s: &Session, _ctx: &Ctx) -> (String, String) {
        let lane = s.timeline.current().map_or(String::new(), |l| lanes::name(l.kind));
        (
            format!("Moment {lane}"),
            s.timeline.drawn().map_or(String::new(), |_| {
                format!("{}{} spans", spans(s).len(), if s.timeline.spans_cut() { "+" } else { "" })
            }),
        )
    }
    fn interests(&self, _s: &Session, _ctx: &Ctx, _rows: u16) -> Vec<Interest> {
        vec![Interest::Spans]
    }
    fn draw(&mut self, s: &Session, ctx: &Ctx, area: Rect, buf: &mut Buffer) {
        let look = ctx.look;
        let all = spans(s);
        if all.is_empty() {
            let text = match (s.timeline.spans.failure(), s.timeline.current().map(|l| l.kind)) {
                (Some(why), _) => why,
                (None, Some(k)) if lanes::is_amount(k) => "an amount: it has no spans; a P, GC or STW has",
                _ => "nothing was seen here",
            };
            Pen::new(buf, area, 0, look.style("dim"), look).put(text, Style::default());
            return;
        }
        let now = s.timeline.exact().or(s.timeline.moment()).unwrap_or(0);
        // Where the user did not choose, the span at the timeline's cursor.
        let at = match self.chosen {
            Some(t) => all.iter().position(|x| x.from_ns >= t),
            None => all.iter().rposition(|x| x.from_ns <= now),
        };
        self.cursor.at = at.unwrap_or(0);
        let height = usize::from(area.height.saturating_sub(1));
        self.cursor.clamp(all.len(), height);
        let dim = Style::default();
        Pen::new(buf, area, 0, look.style("dim"), look)
            .skip(1)
            .right("FROM", 15, dim)
            .right("FOR", 8, dim)
            .column("WHAT", 9, dim)
            .column("WHO", 8, dim)
            .put("WHERE", dim);
        for (i, x) in all.iter().enumerate().skip(self.cursor.top).take(height) {
            let under = i == self.cursor.at;
            let base = if under && ctx.focused {
                look.style("text").patch(look.style("selection"))
            } else {
                look.style("text")
            };
            let mut pen = Pen::new(buf, area, (i - self.cursor.top) as u16 + 1, base, look);
            pen.put(if under && ctx.focused { look.marks().select } else { " " }, look.style("key"));
            pen.right(&when(s, x.from_ns), 15, look.style("dim"));
            let len =
                x.to_ns.map_or("..".into(), |t| lanes::length(t.saturating_sub(x.from_ns).max(0).cast_unsigned()));
            pen.right(&len, 8, look.style("value"));
            pen.column(lanes::activity(x.activity), 9, look.style("text"));
            let who = x.goroutine.map_or(String::new(), |g| format!("g{}", g.0));
            pen.column(&who, 8, look.style("key"));
            let place = x
                .stack
                .first()
                .map_or(String::new(), |l| format!("{} {}:{}  ", l.short_function(), l.base_file(), l.line));
            let by = x.by.map_or(String::new(), |g| format!("  ended by g{}", g.0));
            pen.put(&printable_str(&format!("{place}{}{by}", x.what), 300), look.style("dim"));
        }
    }
    fn act(&mut self, s: &mut Session, _ctx: &Ctx, ui: &Ui) -> Handled {
        let n = spans(s).len();
        if self.cursor.act(ui, n) {
            self.chosen = spans(s).get(self.cursor.at).map(|x| x.from_ns);
            return Handled::Yes;
        }
        let here = spans(s).get(self.cursor.at).cloned();
        match (ui, here) {
            (Ui::Enter, Some(x)) if !x.stack.is_empty() => {
                s.answer = Some(event(s, &x));
                Handled::Yes
            }
            (Ui::Enter, Some(Span { goroutine: Some(g), .. })) => {
                Handled::Then(Do::Session(Action::Goroutine(Some(g))))
            }
            (Ui::BlockedBy, Some(Span { by: Some(g), .. })) => Handled::Then(Do::Session(Action::Goroutine(Some(g)))),
            (Ui::BlockedBy, _) => {
                s.say(Tone::Note, "who ended this wait is not known here (execution traces tell it)");
                Handled::Yes
            }
            (Ui::FollowSelected, Some(Span { goroutine: Some(g), .. })) => {
                s.timeline.follow(g);
                Handled::Yes
            }
            (Ui::NextMark(forward), _) => {
                self.chosen = None;
                s.find_mark("", *forward);
                Handled::Yes
            }
            (Ui::TimeNow, _) => {
                self.chosen = None;
                s.timeline.to_now();
                Handled::Yes
            }
            _ => Handled::No,
        }
    }
    fn before(&mut self, _s: &Session, ctx: &Ctx) {
        if !ctx.focused {
            self.chosen = None;
        }
    }
    fn cursor_row(&self) -> Option<u16> {
        Some(self.cursor.row() + 1)
    }
    fn goroutine(&self, s: &Session) -> Option<(GoroutineId, Arc<Location>)> {
        let x = spans(s).get(self.cursor.at)?;
        Some((x.goroutine?, Arc::new(x.stack.first().cloned().unwrap_or_default())))
    }
}
