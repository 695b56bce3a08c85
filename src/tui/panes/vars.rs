//! Variables of the selected frame as a tree that is filled where it is opened.

use super::{Ctx, Cursor, Handled, Pane};
use crate::base::text::printable_str;
use crate::command::Ui;
use crate::session::vars::{Node, Row, RowKind};
use crate::session::{Interest, RunState, Session};
use crate::tui::look::Pen;
use ratatui::{buffer::Buffer, layout::Rect};

/// The pane.
#[derive(Default)]
pub struct VarsPane {
    cursor: Cursor,
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
        let frame = s.selected_frame().map_or(String::new(), |f| format!("  frame {}", f.index));
        // Beside the stack of another goroutine it must say whose they are.
        let whose = match (ctx.peek, s.goroutine) {
            (Some(p), Some(g)) if p != g => format!(" of g{g}"),
            _ => String::new(),
        };
        (format!("Vars{whose}{frame}"), String::new())
    }
    fn interests(&self, _s: &Session, _ctx: &Ctx, _rows: u16) -> Vec<Interest> {
        vec![Interest::Stack, Interest::Scope]
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
            _ if rows.is_empty() && s.goroutine.is_none() && !s.control() => {
                Some("no goroutine selected: Enter in Goroutines")
            }
            _ => None,
        };
        if let Some(n) = note {
            Pen::new(buf, area, 0, look.style("unavailable"), look).put(n, Default::default());
            return;
        }
        let old = if !s.vars_fresh() && s.old() { look.style("stale") } else { look.style("text") };
        let names = rows.iter().filter_map(|r| name_width(r)).max().unwrap_or(1).min(area.width as usize / 3);
        for (i, r) in rows.iter().enumerate().skip(self.cursor.top).take(area.height as usize) {
            let row = (i - self.cursor.top) as u16;
            let under = ctx.focused && i == self.cursor.at;
            let base = if under { old.patch(look.style("selection")) } else { old };
            let mut pen = Pen::new(buf, area, row, base, look);
            let indent = 2 * r.path.len().saturating_sub(1);
            pen.skip(indent);
            match r.kind {
                RowKind::Node(n) => draw_node(n, names.saturating_sub(indent), &mut pen, ctx),
                RowKind::More(left) => {
                    pen.skip(4).put(&format!("{} {left} more", look.marks().more), look.style("key"));
                }
                RowKind::Wait => {
                    pen.skip(4).put(look.marks().more, look.style("dim"));
                }
                RowKind::Failed(why) => {
                    pen.skip(4).put(why, look.style("unavailable"));
                }
            }
        }
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

fn name_width(r: &Row) -> Option<usize> {
    match r.kind {
        RowKind::Node(n) => Some(2 * r.path.len().saturating_sub(1) + n.var.name.chars().count()),
        _ => None,
    }
}

fn draw_node(n: &Node, names: usize, pen: &mut Pen, ctx: &Ctx) {
    let (look, v) = (ctx.look, &n.var);
    let marks = look.marks();
    let tree = match (v.children > 0 && v.handle != 0, n.open) {
        (false, _) => " ",
        (true, true) => marks.open,
        (true, false) => marks.closed,
    };
    // Changed is told without colour, too.
    pen.put(tree, look.style("dim")).put(if n.changed { "*" } else { " " }, look.style("changed"));
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
    if !value.starts_with(&ty) && !value.starts_with(&format!("*{ty}")) {
        let room = pen.room();
        if room > ty.chars().count() + 6 {
            pen.put(&ty, look.style("type")).put(" = ", look.style("dim"));
        }
    }
    pen.put(&value, look.style(if n.changed { "changed" } else { "value" }));
}
