//! The heap as sums: by type, or by what keeps objects alive.

use super::{Ctx, Cursor, Handled, Pane};
use crate::base::clock::human_ns;
use crate::base::text::{printable_str, thousands};
use crate::command::{Action, Do, Ui};
use crate::model::{HeapBy, HeapRow};
use crate::session::triage::human_bytes;
use crate::session::{Interest, Session};
use crate::tui::look::Pen;
use ratatui::{buffer::Buffer, layout::Rect, style::Style};

/// The pane.
#[derive(Default)]
pub struct HeapPane {
    cursor: Cursor,
    name: Option<String>,
}

fn rows(s: &Session) -> &[HeapRow] {
    s.heap.sums.data().map_or(&[], |h| &h.rows)
}

impl Pane for HeapPane {
    fn title(&self, s: &Session, _ctx: &Ctx) -> (String, String) {
        let by = match s.heap.by {
            HeapBy::Type => "type",
            HeapBy::Site => "what keeps it alive",
        };
        let t = match s.heap.sums.data() {
            Some(h) => format!("Heap {} by {by}, {} garbage", human_bytes(h.live.1), human_bytes(h.garbage.1)),
            None => format!("Heap by {by}"),
        };
        let note = match s.heap.sums.data() {
            Some(_) if !s.heap_fresh() && s.heap.sums.pending().is_none() => "old: :heap walks it anew".into(),
            Some(_) => format!("walked in {}", human_ns(s.heap.read.took_us * 1_000)),
            None => String::new(),
        };
        (t, note)
    }
    fn interests(&self, _s: &Session, _ctx: &Ctx, _rows: u16) -> Vec<Interest> {
        vec![Interest::Heap]
    }
    fn draw(&mut self, s: &Session, ctx: &Ctx, area: Rect, buf: &mut Buffer) {
        let look = ctx.look;
        if let Some(h) = s.heap.sums.data() {
            let all = rows(s);
            if let Some(i) = self.name.as_ref().and_then(|n| all.iter().position(|r| r.name == *n)) {
                self.cursor.at = i;
            }
            let height = (area.height as usize).saturating_sub(1);
            self.cursor.clamp(all.len(), height);
            let new = s.heap.sums.question() == Some(&s.heap.by);
            let old = if s.heap_fresh() || new { look.style("text") } else { look.style("stale") };
            let dim = Style::default();
            let head = if s.heap.by == HeapBy::Type { "TYPE" } else { "KEPT ALIVE BY" };
            Pen::new(buf, area, 0, look.style("dim"), look)
                .skip(1)
                .right("BYTES", 7, dim)
                .right("%", 4, dim)
                .right("OBJECTS", 10, dim)
                .put(head, dim);
            let total = h.live.1.max(1);
            for (i, r) in all.iter().enumerate().skip(self.cursor.top).take(height) {
                let under = i == self.cursor.at;
                let base = if under && ctx.focused { old.patch(look.style("selection")) } else { old };
                let mut pen = Pen::new(buf, area, (i - self.cursor.top) as u16 + 1, base, look);
                pen.put(if under && ctx.focused { look.marks().select } else { " " }, look.style("key"));
                pen.right(&human_bytes(r.bytes), 7, look.style("value"));
                pen.right(&format!("{:.1}", r.bytes as f64 * 100.0 / total as f64), 4, look.style("dim"));
                pen.right(&thousands(r.count), 10, look.style("text"));
                pen.put(&printable_str(&r.name, 300), look.style("type"));
            }
            let mut row = 1 + all.len().saturating_sub(self.cursor.top) as u16;
            let mut line = |text: String| {
                Pen::new(buf, area, row, look.style("dim"), look).skip(1).put(&text, Style::default());
                row += 1;
            };
            if s.target.as_ref().is_some_and(|t| t.stripped) {
                line("the binary is stripped: types are known only where the runtime knows them".into());
            }
            let left = h.total_rows.saturating_sub(all.len() as u64);
            if left > 0 {
                line(format!("{} more rows", thousands(left)));
            }
            line(format!(
                "live {} in {} objects; garbage not yet collected {} in {}",
                human_bytes(h.live.1),
                thousands(h.live.0),
                human_bytes(h.garbage.1),
                thousands(h.garbage.0)
            ));
            return;
        }
        let (text, style) = match (s.why_no_heap(), s.heap.sums.failure(), s.heap.sums.pending()) {
            (Some(why), _, _) => (why, "unavailable"),
            (None, Some(why), None) => (why, "error"),
            _ => ("walking the heap", "dim"),
        };
        for (i, l) in super::entries::wrap(text, area.width as usize).iter().enumerate() {
            Pen::new(buf, area, i as u16, look.style(style), look).put(l, Style::default());
        }
    }
    fn act(&mut self, s: &mut Session, _ctx: &Ctx, ui: &Ui) -> Handled {
        let all = rows(s);
        if self.cursor.act(ui, all.len()) {
            self.name = all.get(self.cursor.at).map(|r| r.name.clone());
            return Handled::Yes;
        }
        match ui {
            Ui::CycleGroup => {
                s.heap.toggle();
                self.name = None;
                self.cursor = Cursor::default();
                Handled::Yes
            }
            Ui::RefsSelected | Ui::Enter => match all.get(self.cursor.at).filter(|r| r.sample.0 != 0) {
                Some(r) => Handled::Then(Do::Session(Action::Refs(r.sample.to_string()))),
                None => Handled::No,
            },
            _ => Handled::No,
        }
    }
    fn cursor_row(&self) -> Option<u16> {
        Some(self.cursor.row() + 1)
    }
    fn key(&self, _s: &Session) -> Option<String> {
        self.name.clone()
    }
    fn seek(&mut self, _s: &mut Session, key: &str) {
        self.name = Some(key.to_string());
    }
    fn search(&mut self, s: &Session, text: &str, forward: bool, stay: bool) -> Option<bool> {
        let all = rows(s);
        let name = |i: usize| all.get(i).map(|r| r.name.as_str());
        let hit = super::list::find(name, all.len(), self.cursor.at, text, forward, stay);
        if let Some(i) = hit {
            self.cursor.at = i;
            self.name = all.get(i).map(|r| r.name.clone());
        }
        Some(hit.is_some())
    }
}
