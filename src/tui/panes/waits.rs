//! Who waits for whom: as a tree from each waiter to what holds it up, or each wait in one line.

use super::stack::{frame_name, place};
use super::{Ctx, Cursor, Handled, Pane};
use crate::backend::protocol::WaitQuery;
use crate::base::GoroutineId;
use crate::base::clock::human_ns;
use crate::base::text::thousands;
use crate::command::{Action, Do, Ui};
use crate::model::{Evidence, Goroutine, Location, WaitKind, WaitObject, WaitOp, WaitScope};
use crate::session::report::{object_name, object_short, object_text, op_word};
use crate::session::waits::{Mark, NODES, WaitRow, WaitRowKind};
use crate::session::{Interest, Session};
use crate::tui::look::Pen;
use ratatui::{buffer::Buffer, layout::Rect, style::Style};
use std::sync::Arc;

/// The workspace that is about waits; elsewhere the pane is about the goroutine that other panes are about.
const WORKSPACE: u8 = 5;

/// The pane.
#[derive(Default)]
pub struct WaitsPane {
    cursor: Cursor,
    /// The row under the cursor, to find it again in another answer.
    key: Option<String>,
    /// Lines above the rows.
    head: u16,
}

impl WaitsPane {
    fn query(&self, s: &Session, ctx: &Ctx) -> WaitQuery {
        if ctx.workspace == WORKSPACE {
            return s.waits.query(s.caps.memory);
        }
        // Beside other panes it follows the cursor: the heap is left alone.
        let around = ctx.peek.or(s.goroutine);
        WaitQuery { around, scope: WaitScope::All, fold: true, limit: NODES, no_heap: true }
    }
    fn row<'a>(&self, s: &'a Session) -> Option<&'a WaitRow> {
        s.waits.rows().get(self.cursor.at)
    }
    /// The cursor goes to the row that it was on.
    fn settle(&mut self, s: &Session) {
        let rows = s.waits.rows();
        match &self.key {
            Some(k) if rows.get(self.cursor.at).is_none_or(|r| r.key != *k) => {
                if let Some(i) = rows.iter().position(|r| r.key == *k) {
                    self.cursor.at = i;
                }
            }
            _ => {}
        }
        self.cursor.at = self.cursor.at.min(rows.len().saturating_sub(1));
    }
    fn moved(&mut self, s: &Session) {
        self.key = self.row(s).map(|r| r.key.clone());
    }
    fn follow(&mut self, s: &mut Session) -> Handled {
        let Some(row) = self.row(s).cloned() else { return Handled::Yes };
        let holder = match &row.kind {
            WaitRowKind::Goroutine { node, .. } => return open(s, *node),
            // What holds it is the next row, if anything does.
            WaitRowKind::Object { nobody: false, .. } => {
                self.cursor.at += 1;
                self.moved(s);
                return Handled::Yes;
            }
            WaitRowKind::Object { .. } | WaitRowKind::More(_) => None,
            WaitRowKind::Chain { holders, .. } => holders.first().map(|(n, _)| *n),
        };
        let Some(holder) = holder else { return open(s, row.goroutines) };
        match s.waits.rows().iter().position(|r| r.goroutines == holder) {
            Some(i) => {
                self.cursor.at = i;
                self.moved(s);
                Handled::Yes
            }
            None => open(s, holder),
        }
    }
}

/// Goes to a goroutine, or lists those that are alike.
fn open(s: &mut Session, node: u32) -> Handled {
    let Some((count, ids, sample)) = s.waits.goroutines(node) else { return Handled::Yes };
    if count <= 1 || ids.len() <= 1 {
        return Handled::Then(Do::Session(Action::Goroutine(Some(sample.id))));
    }
    let (ids, title) = (ids.to_vec(), format!("waiting in {}", sample.user.short_function()));
    s.list.show_ids(ids, title, count);
    Handled::Then(Do::Ui(Ui::Focus("goroutines")))
}

impl Pane for WaitsPane {
    fn before(&mut self, s: &Session, _ctx: &Ctx) {
        self.settle(s);
    }
    fn title(&self, s: &Session, ctx: &Ctx) -> (String, String) {
        let q = self.query(s, ctx);
        let mut t = "Waits".to_string();
        match q.scope {
            WaitScope::All => {}
            WaitScope::Cycles => t.push_str(": cycles only"),
            WaitScope::Leaks => t.push_str(": leaks only"),
        }
        if let Some(g) = q.around {
            t.push_str(&format!(" around g{g}"));
        }
        let note = match s.waits.graph() {
            Some(g) if ctx.workspace == WORKSPACE => {
                let more = if g.truncated { ", more left out" } else { "" };
                let cycles = match g.cycles.len() {
                    0 => String::new(),
                    1 => ", 1 cycle".to_string(),
                    n => format!(", {n} cycles"),
                };
                format!("{} goroutines wait{cycles}{more}", thousands(g.waiting))
            }
            _ => String::new(),
        };
        (t, note)
    }
    fn interests(&self, s: &Session, ctx: &Ctx, _rows: u16) -> Vec<Interest> {
        vec![Interest::Waits(self.query(s, ctx))]
    }
    fn draw(&mut self, s: &Session, ctx: &Ctx, area: Rect, buf: &mut Buffer) {
        let look = ctx.look;
        self.settle(s);
        let q = self.query(s, ctx);
        let rows = s.waits.rows();
        let note = note(s, &q);
        self.head = 0;
        if let Some((text, style)) = &note {
            for (i, l) in super::entries::wrap(text, area.width as usize).iter().enumerate() {
                Pen::new(buf, area, i as u16, look.style(style), look).put(l, Style::default());
                self.head += 1;
            }
        }
        let legend = legend(rows);
        let left = area.height.saturating_sub(self.head);
        let foot = u16::from(!legend.is_empty() && left > 7);
        let height = left.saturating_sub(foot);
        self.cursor.clamp(rows.len(), height as usize);
        let old = if !s.waits_fresh(&q) && s.waits.asked.pending().is_some() && s.old() {
            look.style("stale")
        } else {
            look.style("text")
        };
        for (i, r) in rows.iter().enumerate().skip(self.cursor.top).take(height as usize) {
            let base = match (i == self.cursor.at, ctx.focused) {
                (true, true) => old.patch(look.style("selection")),
                (true, false) if ctx.workspace == WORKSPACE => old.patch(look.style("current-line")),
                _ => old,
            };
            let mut pen = Pen::new(buf, area, self.head + (i - self.cursor.top) as u16, base, look);
            pen.put(if i == self.cursor.at && ctx.focused { look.marks().select } else { " " }, look.style("key"));
            draw_row(&mut pen, s, r, ctx);
        }
        if foot > 0 {
            let row = self.head + height;
            Pen::new(buf, area, row, look.style("dim"), look).skip(1).put(&legend, Style::default());
        }
    }
    fn act(&mut self, s: &mut Session, ctx: &Ctx, ui: &Ui) -> Handled {
        self.settle(s);
        if self.cursor.act(ui, s.waits.rows().len()) {
            self.moved(s);
            return Handled::Yes;
        }
        match ui {
            Ui::Enter => return self.follow(s),
            Ui::WaitPart(scope) if ctx.workspace == WORKSPACE => s.waits.toggle_scope(*scope),
            Ui::ToggleView => {
                s.waits.toggle_view();
                (self.cursor.at, self.key) = (0, None);
            }
            Ui::Fold | Ui::Left | Ui::Right => {
                // From inside a tree it is the whole tree that is folded.
                let rows = s.waits.rows();
                let root = (0..=self.cursor.at).rev().find(|i| rows.get(*i).is_some_and(|r| r.depth == 0));
                let Some((at, open, key)) = root.and_then(|i| Some((i, rows[i].open?, rows[i].key.clone()))) else {
                    return Handled::Yes;
                };
                let to = match ui {
                    Ui::Fold => !open,
                    _ => matches!(ui, Ui::Right),
                };
                if to != open {
                    s.waits.fold(&key, to);
                    self.cursor.at = at;
                    self.moved(s);
                }
            }
            Ui::Cancel if ctx.workspace == WORKSPACE && s.waits.scope != WaitScope::All => {
                s.waits.scope = WaitScope::All;
            }
            Ui::Cancel if ctx.workspace == WORKSPACE && s.waits.around.is_some() => s.waits.around = None,
            Ui::RefsSelected => {
                let addr = self.row(s).and_then(|r| match &r.kind {
                    WaitRowKind::Object { node, .. } | WaitRowKind::Chain { object: node, .. } => {
                        s.waits.object(*node)?.addr
                    }
                    WaitRowKind::Goroutine { .. } | WaitRowKind::More(_) => None,
                });
                return match addr {
                    Some(a) => Handled::Then(Do::Session(Action::Refs(a.to_string()))),
                    None => Handled::No,
                };
            }
            _ => return Handled::No,
        }
        Handled::Yes
    }
    fn cursor_row(&self) -> Option<u16> {
        Some(self.head + self.cursor.row())
    }
    fn place(&self, s: &Session, _ctx: &Ctx) -> Option<(String, u32)> {
        let (_, at) = self.goroutine(s)?;
        (!at.file.is_empty()).then(|| (at.file.clone(), at.line))
    }
    fn goroutine(&self, s: &Session) -> Option<(GoroutineId, Arc<Location>)> {
        let (_, _, sample) = s.waits.goroutines(self.row(s)?.goroutines)?;
        Some((sample.id, sample.user.clone()))
    }
    fn search(&mut self, s: &Session, text: &str, forward: bool, stay: bool) -> Option<bool> {
        let texts: Vec<String> = s.waits.rows().iter().map(|r| s.wait_row(r)).collect();
        let line = |i: usize| texts.get(i).map(String::as_str);
        let hit = super::list::find(line, texts.len(), self.cursor.at, text, forward, stay);
        if let Some(i) = hit {
            self.cursor.at = i;
            self.moved(s);
        }
        Some(hit.is_some())
    }
    fn key(&self, s: &Session) -> Option<String> {
        self.row(s).map(|r| r.key.clone())
    }
    fn seek(&mut self, s: &mut Session, key: &str) {
        self.key = Some(key.to_string());
        self.settle(s);
    }
}

/// What is to be said above the rows, or in their place.
fn note(s: &Session, q: &WaitQuery) -> Option<(String, &'static str)> {
    let say = |t: &str| Some((t.to_string(), "dim"));
    if let Some(why) = s.waits.asked.failure().filter(|_| s.waits.asked.pending().is_none()) {
        return Some((format!("no wait graph: {why}"), "error"));
    }
    let Some(g) = s.waits.graph() else {
        return match s.readable() {
            _ if s.target.is_none() => None,
            true => say("looking who waits for whom"),
            false => say("the target runs: Ctrl-C pauses"),
        };
    };
    if s.waits.asked.question() != Some(q) {
        return if s.waits.rows().is_empty() { say("looking who waits for whom") } else { None };
    }
    if let Some(a) = q.around.filter(|a| q.scope == WaitScope::All && !s.waits.has(*a)) {
        let rest = if s.waits.rows().is_empty() { "" } else { "; others:" };
        return Some((format!("nothing blocks on g{a}, and it waits for nothing{rest}"), "dim"));
    }
    if s.waits.rows().is_empty() {
        return match q.scope {
            WaitScope::All if g.waiting == 0 => say("nothing blocks: no goroutine waits for another"),
            WaitScope::All => say("nothing blocks on this goroutine, and it waits for nothing"),
            WaitScope::Cycles => say("no cycle (c shows everything)"),
            WaitScope::Leaks if !g.heap_walked => {
                say("the heap was not walked: leaks are not known here (l shows everything)")
            }
            WaitScope::Leaks => {
                say("no leak: something that runs can reach whatever is waited for (l shows everything)")
            }
        };
    }
    None
}

/// What the letters of evidence mean, as far as there are any.
fn legend(rows: &[WaitRow]) -> String {
    let mut used: Vec<Evidence> = Vec::new();
    for r in rows {
        match &r.kind {
            WaitRowKind::Goroutine { by: Some((_, e)), .. } => used.push(*e),
            WaitRowKind::Chain { holders, .. } => used.extend(holders.iter().map(|(_, e)| *e)),
            _ => {}
        }
    }
    used.sort_unstable();
    used.dedup();
    let text = |e: &Evidence| match e {
        Evidence::Defer => "(d) deferred unlock",
        Evidence::Frame => "(f) frame between Lock and Unlock",
        Evidence::Runtime => "(r) runtime's record",
        Evidence::Exclusion => "(i) refers to it",
    };
    used.iter().map(text).collect::<Vec<_>>().join("  ")
}

fn draw_row(pen: &mut Pen, s: &Session, r: &WaitRow, ctx: &Ctx) {
    let (look, marks) = (ctx.look, ctx.look.marks());
    let mark = r.mark.map_or("", Mark::word);
    let mark_style = look.style(if r.mark == Some(Mark::Cycle) { "error" } else { "warn" });
    match &r.kind {
        WaitRowKind::Goroutine { node, by, again } => {
            let fold = match r.open {
                Some(true) => marks.open,
                Some(false) => marks.closed,
                None => " ",
            };
            pen.put(fold, look.style("dim")).skip(1 + 2 * r.depth as usize);
            if !mark.is_empty() && r.depth == 0 {
                pen.column(mark, 5, mark_style);
            }
            if let Some((held, e)) = by {
                let word = s.waits.object(*held).map_or("held by", held_word);
                pen.put(word, look.style("dim")).skip(1);
                goroutines(pen, s, *node, Brief::All, ctx);
                pen.put(&format!(" ({})", e.letter()), look.style("key"));
            } else {
                goroutines(pen, s, *node, Brief::All, ctx);
            }
            if *again {
                let text = if mark.is_empty() { " see above".to_string() } else { format!(" closes the {mark}") };
                pen.put(&text, if mark.is_empty() { look.style("dim") } else { mark_style });
            }
        }
        WaitRowKind::Object { node, op, nobody } => {
            pen.skip(2 + 2 * r.depth as usize);
            edge(pen, op_word(*op), false, ctx);
            let Some(o) = s.waits.object(*node) else { return };
            let text = if *nobody { nobody_text(o, *op, s, r) } else { None };
            object(pen, o, text.map_or(0, |t| t.len() + 1), ctx);
            if let Some(text) = text {
                pen.skip(1).put(text, look.style("warn"));
            }
        }
        WaitRowKind::More(n) => {
            pen.skip(2 + 2 * r.depth as usize).put(&format!("and {n} more"), look.style("dim"));
        }
        WaitRowKind::Chain { from, op, object: node, holders } => {
            pen.skip(1);
            let Some(o) = s.waits.object(*node) else { return };
            if !mark.is_empty() {
                pen.column(mark, 5, mark_style);
            }
            // The holder is worth more than places, ages and types.
            let brief = match pen.room() {
                0..130 => Brief::Name,
                130..170 => Brief::Place,
                _ => Brief::All,
            };
            goroutines(pen, s, *from, brief, ctx);
            pen.skip(1);
            edge(pen, op_word(*op), brief == Brief::Name, ctx);
            match brief {
                Brief::Name => {
                    pen.put(&format!("[{}]", object_name(o)), look.style("type"));
                }
                _ => object(pen, o, if holders.is_empty() { 20 } else { 50 }, ctx),
            }
            for (i, (holder, e)) in holders.iter().enumerate() {
                pen.skip(1);
                if i == 2 {
                    pen.put(&format!("+{} more", holders.len() - 2), look.style("dim"));
                    break;
                }
                edge(pen, &format!("{} ({})", held_word(o), e.letter()), brief == Brief::Name, ctx);
                goroutines(pen, s, *holder, brief, ctx);
            }
            if holders.is_empty()
                && let Some(text) = nobody_text(o, *op, s, r)
            {
                pen.skip(1).put(text, look.style("warn"));
            }
        }
    }
}

fn edge(pen: &mut Pen, word: &str, short: bool, ctx: &Ctx) {
    let d = ctx.look.marks().dash.repeat(if short { 1 } else { 2 });
    let head = if ctx.look.ascii { ">" } else { "▸" };
    pen.put(&format!("{d}{word}{d}{head} "), ctx.look.style("defer"));
}

/// The object, and room left for what follows it.
fn object(pen: &mut Pen, o: &WaitObject, tail: usize, ctx: &Ctx) {
    let look = ctx.look;
    let room = pen.room().saturating_sub(tail + 2);
    let text = object_text(o);
    let text = if text.chars().count() > room { object_short(o) } else { text };
    pen.put("[", look.style("dim")).put(&text, look.style("type")).put("]", look.style("dim"));
}

fn nobody_text(o: &WaitObject, op: WaitOp, s: &Session, r: &WaitRow) -> Option<&'static str> {
    let walked = s.waits.graph().is_some_and(|g| g.heap_walked);
    let leaked = r.mark == Some(Mark::Leak) || leaks(s, r.goroutines);
    match (o.kind, op) {
        (WaitKind::Chan | WaitKind::Select, WaitOp::Send) if leaked => Some("nobody receives"),
        (WaitKind::Chan | WaitKind::Select, WaitOp::Receive) if leaked => Some("nobody sends"),
        _ if leaked => Some("nobody wakes it"),
        (WaitKind::Mutex | WaitKind::Rwmutex, _) if walked => Some("no holder found"),
        (WaitKind::Mutex | WaitKind::Rwmutex, _) => Some("holder not known"),
        _ => None,
    }
}

fn leaks(s: &Session, node: u32) -> bool {
    let node = s.waits.graph().and_then(|g| g.nodes.get(node as usize));
    matches!(node, Some(crate::model::WaitNode::Goroutines { leaked: true, .. }))
}

/// `g88 (*Store).Get store.go:118 3m02s`, `1,842 x (*Audit).Record.func1 audit.go:41`.
fn goroutines(pen: &mut Pen, s: &Session, node: u32, brief: Brief, ctx: &Ctx) {
    let look = ctx.look;
    let Some((count, _, sample)) = s.waits.goroutines(node) else { return };
    let who = if count > 1 { format!("{} x ", thousands(count)) } else { format!("g{} ", sample.id) };
    pen.put(&who, look.style("key"));
    pen.put(&frame_name(&sample.user), look.style("user"));
    let at = place(&sample.user);
    if !at.is_empty() && brief != Brief::Name {
        pen.put(&format!(" {at}"), look.style("dim"));
    }
    if brief == Brief::All {
        pen.put(&age(sample), look.style("dim"));
    }
}

/// What the holders of an object do.
fn held_word(o: &WaitObject) -> &'static str {
    match o.kind {
        WaitKind::Mutex | WaitKind::Rwmutex | WaitKind::Semaphore | WaitKind::Once => "held by",
        _ => "could be served by",
    }
}

/// How much is said of goroutines in one line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Brief {
    Name,
    Place,
    All,
}

fn age(g: &Goroutine) -> String {
    g.wait_ns.map_or(String::new(), |ns| format!(" {}", human_ns(ns)))
}
