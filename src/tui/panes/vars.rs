//! Variables of the selected frame as a tree that is filled where it is opened.

use super::{Ctx, Cursor, Handled, Pane};
use crate::base::text::printable_str;
use crate::command::Ui;
use crate::session::vars::{Node, Row, RowKind};
use crate::session::{Interest, RunState, Session};
use crate::tui::look::{Pen, fit};
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Style,
    text::{Line, Span, Text},
    widgets::StatefulWidget,
};
use tui_tree_widget::{Tree, TreeItem, TreeState};
use unicode_width::UnicodeWidthStr;

/// The pane.
#[derive(Default)]
pub struct VarsPane {
    cursor: Cursor,
    /// The widget's view of what the session has open and the cursor is on; set anew for each drawing.
    tree: TreeState<Id>,
}

/// A line among its siblings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Id {
    /// A variable by position.
    Node(usize),
    /// What follows the children that are here.
    Rest,
}

impl VarsPane {
    fn open(&mut self, s: &mut Session, open: bool) {
        let Some(row) = s.vars.rows().into_iter().nth(self.cursor.at) else { return };
        let path = row.path.clone();
        match row.kind {
            RowKind::More(_) => {
                if open {
                    s.more_children(&path);
                }
            }
            RowKind::Node(n) if !open && !n.open && path.len() > 1 => {
                // Closing what is closed goes to the parent.
                let parent = &path[..path.len() - 1];
                let at = s.vars.rows().iter().position(|r| r.path == parent);
                self.cursor.at = at.unwrap_or(self.cursor.at);
            }
            _ => s.open_variable(&path, open),
        }
    }
    fn node<'a>(&self, s: &'a Session) -> Option<&'a Node> {
        match s.vars.rows().into_iter().nth(self.cursor.at)?.kind {
            RowKind::Node(n) => Some(n),
            _ => None,
        }
    }
}

impl Pane for VarsPane {
    fn title(&self, s: &Session, ctx: &Ctx) -> (String, String) {
        let (g, frame) = s.viewed();
        let frame = match s.stack_of(g) {
            Some((Ok(_), _)) => format!("  frame {frame}"),
            _ => String::new(),
        };
        // Beside the stack of another goroutine it must say whose they are.
        let whose = match g {
            Some(g) if ctx.peek.is_some() => format!(" of g{g}"),
            _ => String::new(),
        };
        (format!("Vars{whose}{frame}"), String::new())
    }
    fn interests(&self, _s: &Session, ctx: &Ctx, _rows: u16) -> Vec<Interest> {
        match ctx.peek {
            Some(g) => vec![Interest::StackOf(g), Interest::ScopeOf(g)],
            None => vec![Interest::Stack, Interest::Scope],
        }
    }
    fn draw(&mut self, s: &Session, ctx: &Ctx, area: Rect, buf: &mut Buffer) {
        let look = ctx.look;
        let rows = s.vars.rows();
        self.cursor.clamp(rows.len(), area.height as usize);
        let note = match (&s.vars_problem, &s.target) {
            (Some(p), _) => Some(p.as_str()),
            (None, Some(t)) if !s.caps.variables && t.stripped => Some("no variables: the binary is stripped of DWARF"),
            (None, Some(_)) if !s.caps.variables => Some("no variables: no type information"),
            _ if rows.is_empty() && s.vars_fresh() => Some("no variables in scope"),
            _ if rows.is_empty() && s.state == RunState::Running && s.control() => {
                Some("the target runs: Ctrl-C pauses")
            }
            _ if s.viewed().0.is_none() && !s.control() => Some("no goroutine selected: Enter in Goroutines"),
            _ => None,
        };
        if let Some(n) = note {
            Pen::new(buf, area, 0, look.style("unavailable"), look).put(n, Default::default());
            return;
        }
        let old = if !s.vars_fresh() && s.old() { look.style("stale") } else { look.style("text") };
        let names = rows.iter().filter_map(|r| name_width(r)).max().unwrap_or(1).min(area.width as usize / 3);
        // Text is made for lines near the window only.
        let height = area.height as usize;
        let near = self.cursor.top.saturating_sub(height)..self.cursor.top + 2 * height;
        let text = |i: usize, r: &Row| {
            if !near.contains(&i) {
                return Text::default();
            }
            let under = ctx.focused && i == self.cursor.at;
            let base = if under { old.patch(look.style("selection")) } else { old };
            let indent = 2 * depth(r);
            let room = (area.width as usize).saturating_sub(indent + 1);
            let mut line = Writer { spans: Vec::new(), room, base, more: look.marks().more };
            match r.kind {
                RowKind::Node(n) => write_node(n, names.saturating_sub(indent), &mut line, ctx),
                RowKind::More(left) => {
                    line.put(&format!(" {} {left} more", look.marks().more), look.style("key"));
                }
                RowKind::Wait => {
                    line.put(&format!(" {}", look.marks().more), look.style("dim"));
                }
                RowKind::Failed(why) => {
                    line.put(&format!(" {why}"), look.style("unavailable"));
                }
            }
            Text::from(Line::from(line.spans)).style(base)
        };
        let Ok(items) = items(&rows, &mut 0, 0, &text) else { return };
        self.tree.close_all();
        for r in &rows {
            if matches!(r.kind, RowKind::Node(n) if n.open) {
                self.tree.open(id(r));
            }
        }
        self.tree.scroll_up(usize::MAX);
        self.tree.scroll_down(self.cursor.top);
        self.tree.select(rows.get(self.cursor.at).map(id).unwrap_or_default());
        let marks = look.marks();
        let Ok(tree) = Tree::new(&items) else { return };
        tree.style(old)
            .node_open_symbol(marks.open)
            .node_closed_symbol(marks.closed)
            .node_no_children_symbol(" ")
            .render(area, buf, &mut self.tree);
        self.cursor.top = self.tree.get_offset();
    }
    fn act(&mut self, s: &mut Session, _ctx: &Ctx, ui: &Ui) -> Handled {
        let len = s.vars.rows().len();
        match ui {
            Ui::Right => self.open(s, true),
            Ui::Left => self.open(s, false),
            Ui::Enter => {
                let open = self.node(s).is_none_or(|n| !n.open);
                self.open(s, open);
            }
            Ui::RefsSelected => {
                return match self.word(s) {
                    Some(w) => Handled::Then(crate::command::Do::Session(crate::command::Action::Refs(w))),
                    None => Handled::No,
                };
            }
            ui if self.cursor.act(ui, len) => {}
            _ => return Handled::No,
        }
        Handled::Yes
    }
    fn cursor_row(&self) -> Option<u16> {
        Some(self.cursor.row())
    }
    fn word(&self, s: &Session) -> Option<String> {
        let n = self.node(s)?;
        Some(if n.var.expression.is_empty() { n.var.name.clone() } else { n.var.expression.clone() })
    }
    fn search(&mut self, s: &Session, text: &str, forward: bool, stay: bool) -> Option<bool> {
        let rows = s.vars.rows();
        let texts: Vec<String> = rows
            .iter()
            .map(|r| match r.kind {
                RowKind::Node(n) => format!("{} {} {}", n.var.name, n.var.type_name, n.var.value),
                _ => String::new(),
            })
            .collect();
        let hit =
            super::list::find(|i| texts.get(i).map(String::as_str), texts.len(), self.cursor.at, text, forward, stay);
        if let Some(i) = hit {
            self.cursor.at = i;
        }
        Some(hit.is_some())
    }
}

/// How far in a row is.
fn depth(r: &Row) -> usize {
    match r.kind {
        RowKind::Node(_) => r.path.len().saturating_sub(1),
        _ => r.path.len(),
    }
}

/// A row as the widget names it.
fn id(r: &Row) -> Vec<Id> {
    let mut id: Vec<Id> = r.path.iter().map(|i| Id::Node(*i)).collect();
    if !matches!(r.kind, RowKind::Node(_)) {
        id.push(Id::Rest);
    }
    id
}

/// The rows of one level from `at` on, with what is below them. What could be opened has a child for the widget, so that
/// it shows the mark; it is drawn only once it is open, and then the rows have children.
fn items(
    rows: &[Row],
    at: &mut usize,
    level: usize,
    text: &dyn Fn(usize, &Row) -> Text<'static>,
) -> std::io::Result<Vec<TreeItem<'static, Id>>> {
    let mut out = Vec::new();
    while let Some(r) = rows.get(*at).filter(|r| depth(r) == level) {
        let here = text(*at, r);
        *at += 1;
        let name = id(r).pop().unwrap_or(Id::Rest);
        let mut below = items(rows, at, level + 1, text)?;
        if below.is_empty() && matches!(r.kind, RowKind::Node(n) if n.var.children > 0 && n.var.handle != 0) {
            below.push(TreeItem::new_leaf(Id::Rest, ""));
        }
        out.push(TreeItem::new(name, here, below)?);
    }
    Ok(out)
}

/// Writes spans along one line and knows where it ends.
struct Writer {
    spans: Vec<Span<'static>>,
    room: usize,
    base: Style,
    more: &'static str,
}

impl Writer {
    fn put(&mut self, text: &str, style: Style) -> &mut Writer {
        if self.room > 0 {
            let text = fit(text, self.room, self.more);
            self.room = self.room.saturating_sub(text.width());
            self.spans.push(Span::styled(text, self.base.patch(style)));
        }
        self
    }
    fn column(&mut self, text: &str, width: usize, style: Style) -> &mut Writer {
        let text = fit(text, width.min(self.room), self.more);
        let pad = width.saturating_sub(text.width()) + 1;
        self.put(&text, style);
        let pad = " ".repeat(pad.min(self.room));
        self.put(&pad, Style::default())
    }
}

fn name_width(r: &Row) -> Option<usize> {
    match r.kind {
        RowKind::Node(n) => Some(2 * r.path.len().saturating_sub(1) + n.var.name.chars().count()),
        _ => None,
    }
}

fn write_node(n: &Node, names: usize, pen: &mut Writer, ctx: &Ctx) {
    let (look, v) = (ctx.look, &n.var);
    // Changed is told without colour, too.
    pen.put(if n.changed { "*" } else { " " }, look.style("changed"));
    let mut name = if v.name.is_empty() { "*".to_string() } else { printable_str(&v.name, 100) };
    if v.flags.shadowed {
        name = format!("({name})");
    }
    let style = if v.flags.shadowed { look.style("dim") } else { look.style("text") };
    pen.column(&name, names.max(name.chars().count().min(24)), style);
    if v.unavailable.is_some() {
        pen.put(&printable_str(&v.value, 300), look.style("unavailable"));
        return;
    }
    let value = printable_str(&v.value, 600);
    // Composite values begin with their type already.
    let ty = printable_str(&v.type_name, 120);
    let named = value.starts_with(&ty) || value.starts_with(&format!("*{ty}"));
    if !named && pen.room > ty.chars().count() + 6 {
        pen.put(&ty, look.style("type")).put(" = ", look.style("dim"));
    }
    pen.put(&value, look.style(if n.changed { "changed" } else { "value" }));
    if v.flags.from_slot {
        pen.put(" (no longer kept: as passed)", look.style("dim"));
    }
}
