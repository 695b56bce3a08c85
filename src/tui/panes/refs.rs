//! Who keeps an object alive: paths from roots to it, shortest first.

use super::entries::{Entries, Entry};
use super::stack::{frame_name, place};
use super::{Ctx, Handled, Pane};
use crate::base::text::{printable_str, thousands};
use crate::base::{GoroutineId, LoadAddr};
use crate::command::{Action, Do, Ui};
use crate::model::{HeapObject, Location, RefStep, References};
use crate::session::triage::human_bytes;
use crate::session::{Interest, Session};
use ratatui::{buffer::Buffer, layout::Rect};
use std::sync::Arc;

/// The pane.
#[derive(Default)]
pub struct RefsPane {
    lines: Entries,
    shown: Option<LoadAddr>,
}

/// What a line leads to.
#[derive(Clone)]
enum To {
    Nothing,
    Frame(GoroutineId, Arc<Location>),
    Object(LoadAddr),
    Global(String),
}

const LABELS: usize = 7;

fn object_text(o: &HeapObject) -> String {
    let ty = match (&o.type_name, o.noscan) {
        (Some(t), _) => t.clone(),
        (None, true) => "data without pointers".into(),
        (None, false) => "object of unknown type".into(),
    };
    printable_str(&format!("{ty} {}  {}", o.addr, human_bytes(o.size)), 300)
}

fn entries(r: &References) -> Vec<Entry<To>> {
    let mut v = Vec::new();
    let mut put = |label: &str, indent: usize, text: String, style: &'static str, to: To| {
        v.push(Entry { label: label.into(), indent, text: printable_str(&text, 600), style, to });
    };
    put("Object", 0, object_text(&r.object), "user", To::Object(r.object.addr));
    let mut facts = Vec::new();
    if let Some(n) = r.retained {
        facts.push(format!("keeps {} alive that nothing else does", human_bytes(n)));
    }
    match (r.paths.len() as u64, r.roots) {
        (0, _) => facts.push("nothing refers to it: it is garbage".into()),
        (n, roots) if roots > n => facts.push(format!("{} roots reach it, {n} shown", thousands(roots))),
        (1, _) => facts.push("one root reaches it".into()),
        (n, _) => facts.push(format!("{n} roots reach it")),
    }
    put("", 0, facts.join("; "), if r.paths.is_empty() { "warn" } else { "text" }, To::Nothing);
    for path in &r.paths {
        for (i, step) in path.iter().enumerate() {
            let indent = 2 * i.min(12);
            match step {
                RefStep::Global { name, addr } => {
                    let name = if name.is_empty() { addr.to_string() } else { name.clone() };
                    put("global", indent, name.clone(), "key", To::Global(name));
                }
                RefStep::Stack { goroutine, at, variable, addr } => {
                    let var = variable.clone().unwrap_or_else(|| addr.to_string());
                    let text = format!("g{goroutine} {} {}  {var}", frame_name(at), place(at));
                    put("stack", indent, text, "key", To::Frame(*goroutine, at.clone()));
                }
                RefStep::Special { what, addr } => put("runtime", indent, format!("{what} {addr}"), "key", To::Nothing),
                RefStep::Object { object, offset, field } => {
                    let last = i + 1 == path.len();
                    let via = match (field, last) {
                        (_, true) => String::new(),
                        (Some(f), _) if f.starts_with(['.', '[']) => format!("  {f}"),
                        (Some(f), _) => format!("  .{f}"),
                        (None, _) => format!("  +{offset:#x}"),
                    };
                    let text = format!("{}{via}", object_text(object));
                    put("", indent, text, if last { "title.focus" } else { "text" }, To::Object(object.addr));
                }
            }
        }
    }
    v
}

impl RefsPane {
    fn to(&self, s: &Session) -> Option<To> {
        entries(s.heap.refs.data()?).into_iter().nth(self.lines.at).map(|e| e.to)
    }
}

impl Pane for RefsPane {
    fn title(&self, s: &Session, _ctx: &Ctx) -> (String, String) {
        match s.heap.refs.newest() {
            Some(q) => (format!("References to {}", printable_str(&q.object, 60)), String::new()),
            None => ("References".into(), String::new()),
        }
    }
    fn interests(&self, _s: &Session, _ctx: &Ctx, _rows: u16) -> Vec<Interest> {
        Vec::new()
    }
    fn draw(&mut self, s: &Session, ctx: &Ctx, area: Rect, buf: &mut Buffer) {
        let look = ctx.look;
        let refs = &s.heap.refs;
        let said = match (refs.failure(), refs.pending(), refs.data()) {
            (Some(why), None, _) => Some((why, "error")),
            (_, Some(_), None) => Some(("looking for who refers to it", "dim")),
            (_, _, None) => match s.why_no_heap() {
                Some(why) => Some((why, "unavailable")),
                None => {
                    Some(("r on a variable, a heap row or an object shows who keeps it alive; :refs EXPRESSION", "dim"))
                }
            },
            _ => None,
        };
        if let Some((text, style)) = said {
            let lines = [Entry { label: String::new(), indent: 0, text: text.into(), style, to: () }];
            self.lines.draw(&lines, 0, false, look.style("text"), look, (area, buf));
            return;
        }
        let Some(r) = refs.data() else { return };
        if self.shown != Some(r.object.addr) {
            self.shown = Some(r.object.addr);
            self.lines = Entries::default();
        }
        // Of an older question while the new one is on its way.
        let base = if refs.pending().is_some() { look.style("stale") } else { look.style("text") };
        self.lines.draw(&entries(r), LABELS, ctx.focused, base, look, (area, buf));
    }
    fn act(&mut self, s: &mut Session, _ctx: &Ctx, ui: &Ui) -> Handled {
        let len = s.heap.refs.data().map_or(0, |r| entries(r).len());
        if self.lines.act(ui, len) {
            return Handled::Yes;
        }
        let refs = |a: LoadAddr| Handled::Then(Do::Session(Action::Refs(a.to_string())));
        match (ui, self.to(s)) {
            (Ui::Enter, Some(To::Frame(g, at))) => {
                s.select_frame_at(g, &at);
                Handled::Then(Do::Ui(Ui::Workspace(3)))
            }
            (Ui::Enter | Ui::RefsSelected, Some(To::Object(a))) => refs(a),
            (Ui::Enter, Some(To::Global(name))) => {
                Handled::Then(Do::Session(Action::Print { expression: name, frame: None }))
            }
            _ => Handled::No,
        }
    }
    fn cursor_row(&self) -> Option<u16> {
        Some(self.lines.row())
    }
    fn place(&self, s: &Session, _ctx: &Ctx) -> Option<(String, u32)> {
        match self.to(s)? {
            To::Frame(_, at) if !at.file.is_empty() => Some((at.file.clone(), at.line)),
            _ => None,
        }
    }
    fn key(&self, _s: &Session) -> Option<String> {
        Some(self.lines.at.to_string())
    }
    fn seek(&mut self, s: &mut Session, key: &str) {
        self.shown = s.heap.refs.data().map(|r| r.object.addr);
        self.lines.at = key.parse().unwrap_or(0);
    }
}
