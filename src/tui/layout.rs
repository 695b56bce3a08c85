//! Where panes are: presets of each workspace for each class of screen size.

use super::panes::PaneId;
use ratatui::layout::Rect;

/// A place on the screen for one pane of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The panes that share it, `[` and `]` choose.
    pub panes: &'static [PaneId],
    /// Where.
    pub area: Rect,
}

/// How much the screen can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Nothing but a note.
    Note,
    /// One pane at a time.
    List,
    /// One column.
    Small,
    /// Two columns.
    Medium,
    /// Three columns.
    Wide,
}

/// The class of a size.
pub fn class(w: u16, h: u16) -> Class {
    match (w, h) {
        (w, h) if w < 60 || h < 15 => Class::Note,
        (w, h) if w < 80 || h < 24 => Class::List,
        (w, _) if w < 100 => Class::Small,
        (w, _) if w < 160 => Class::Medium,
        _ => Class::Wide,
    }
}

/// Workspaces: number, name, short name; those of later releases say which key helps instead.
pub const WORKSPACES: [(u8, &str, &str, Option<&str>); 9] = [
    (1, "Triage", "Triage", None),
    (2, "Goroutines", "Gs", None),
    (3, "Debug", "Src", None),
    (4, "Data", "Vars", None),
    (5, "Waits", "Waits", None),
    (6, "Timeline", "Time", None),
    (7, "Profiles", "Prof", None),
    (8, "Breakpoints", "Brk", None),
    (9, "Log", "Log", None),
];

use PaneId::*;

/// The slots of a workspace.
pub fn slots(workspace: u8, area: Rect) -> Vec<Slot> {
    let class = class(area.width, area.height + 4);
    let tall = area.height + 4 >= 36;
    match (workspace, class) {
        (_, Class::Note) => Vec::new(),
        (1, Class::List) => vec![slot(&[Findings, Detail, Goroutines, Stack, Defers, Source, Vars], area)],
        (4, Class::List) => vec![slot(&[Vars, Heap, Refs, Stack, Source], area)],
        (5, Class::List) => vec![slot(&[Waits, Stack, Defers, Source, Vars], area)],
        (2, Class::List) => vec![slot(&[Goroutines, Stack, Defers, Source], area)],
        (8, Class::List) => vec![slot(&[Breakpoints, Source], area)],
        (6, Class::List) => vec![slot(&[Timeline, Spans, Stack, Source, Goroutines], area)],
        (7, Class::List) => vec![slot(&[Flame, Table, Lines], area)],
        (9, Class::List) => vec![slot(&[Log, Output], area)],
        (_, Class::List) => {
            vec![slot(&[Source, Stack, Vars, Goroutines, Breakpoints, Output, Log, Assembly, Defers, Waits], area)]
        }
        (1, class) => triage(class, area),
        (4, class) => data(class, area),
        (5, class) => waits(class, area),
        (6, class) => timeline(class, area),
        (7, class) => profiles(class, area),
        (2, Class::Small) => {
            let (a, b) = rows(area, area.height.saturating_sub(9));
            vec![slot(&[Goroutines], a), slot(&[Stack, Source, Vars, Defers], b)]
        }
        (2, Class::Medium) => {
            let (a, b) = rows(area, area.height * 11 / 20);
            let (l, r) = columns(b, b.width / 2);
            vec![slot(&[Goroutines], a), slot(&[Stack, Vars, Defers], l), slot(&[Source], r)]
        }
        (2, Class::Wide) => {
            let (l, r) = columns(area, area.width * 11 / 20);
            let (a, b) = rows(r, r.height * 2 / 5);
            vec![slot(&[Goroutines], l), slot(&[Stack, Vars, Defers], a), slot(&[Source], b)]
        }
        (8, _) => {
            let (a, b) = rows(area, (area.height / 3).max(7));
            vec![slot(&[Breakpoints], a), slot(&[Source], b)]
        }
        (9, Class::Wide) => {
            let (l, r) = columns(area, area.width / 2);
            vec![slot(&[Log], l), slot(&[Output], r)]
        }
        (9, _) => {
            let (a, b) = rows(area, area.height * 2 / 3);
            vec![slot(&[Log], a), slot(&[Output], b)]
        }
        (_, Class::Small) => {
            let (a, b) = rows(area, area.height.saturating_sub((area.height * 2 / 5).clamp(8, 16)));
            let (l, r) = columns(b, b.width / 2 - 2);
            vec![
                slot(&[Source, Assembly], a),
                slot(&[Stack, Defers], l),
                slot(&[Vars, Breakpoints, Output, Goroutines, Log, Waits], r),
            ]
        }
        (_, class) => {
            let (main, strip) =
                if tall { rows(area, area.height.saturating_sub(area.height / 7)) } else { (area, Rect::ZERO) };
            let (a, b) = rows(main, main.height * 6 / 10);
            let (src, gs) = columns(a, a.width * 3 / 5);
            let mut v = vec![slot(&[Source, Assembly], src)];
            let third = b.width / 3;
            match (class, tall) {
                (Class::Wide, true) => {
                    v.push(slot(&[Goroutines], gs));
                    let (st, rest) = columns(b, third);
                    let (vars, bp) = columns(rest, third);
                    v.extend([slot(&[Stack, Defers], st), slot(&[Vars], vars), slot(&[Breakpoints], bp)]);
                    let (o, l) = columns(strip, strip.width / 2);
                    v.extend([slot(&[Output, Waits], o), slot(&[Log], l)]);
                }
                (_, true) => {
                    v.push(slot(&[Goroutines], gs));
                    let (st, rest) = columns(b, third);
                    let (vars, bp) = columns(rest, third);
                    v.extend([slot(&[Stack, Defers], st), slot(&[Vars], vars), slot(&[Breakpoints], bp)]);
                    v.push(slot(&[Output, Log, Waits], strip));
                }
                (_, false) => {
                    v.push(slot(&[Goroutines, Output, Log, Waits], gs));
                    let (st, vars) = columns(b, b.width * 2 / 5);
                    v.extend([slot(&[Stack, Defers], st), slot(&[Vars, Breakpoints], vars)]);
                }
            }
            v
        }
    }
}

/// Findings first, then goroutines by where they stand, then the selected finding in full.
fn triage(class: Class, area: Rect) -> Vec<Slot> {
    match class {
        Class::Wide => {
            let (main, strip) = rows(area, area.height.saturating_sub((area.height / 6).min(10)));
            let (l, r) = columns(main, main.width / 2);
            let (findings, rest) = rows(l, l.height * 3 / 10);
            let (detail, source) = rows(rest, rest.height / 2);
            let (groups, rest) = rows(r, r.height * 3 / 10);
            let (stack, waits) = rows(rest, rest.height / 2);
            let (vars, log) = columns(strip, strip.width / 2);
            vec![
                slot(&[Findings], findings),
                slot(&[Goroutines], groups),
                slot(&[Detail], detail),
                slot(&[Stack, Defers], stack),
                slot(&[Source], source),
                slot(&[Waits], waits),
                slot(&[Vars], vars),
                slot(&[Log], log),
            ]
        }
        Class::Medium => {
            let (findings, rest) = rows(area, (area.height / 4).max(6));
            let (groups, rest) = rows(rest, (area.height * 3 / 10).max(6));
            let (l, r) = columns(rest, rest.width / 2);
            let mut v = vec![slot(&[Findings], findings), slot(&[Goroutines], groups), slot(&[Detail], l)];
            if r.height >= 14 {
                let (stack, source) = rows(r, r.height / 2);
                v.extend([slot(&[Stack, Defers, Vars], stack), slot(&[Source, Waits], source)]);
            } else {
                v.push(slot(&[Stack, Defers, Vars, Source, Waits], r));
            }
            v
        }
        _ => {
            let (findings, rest) = rows(area, (area.height * 7 / 20).max(6));
            let (groups, detail) = rows(rest, (area.height * 7 / 20).max(5));
            vec![
                slot(&[Findings], findings),
                slot(&[Goroutines], groups),
                slot(&[Detail, Stack, Defers, Source, Vars, Waits], detail),
            ]
        }
    }
}

/// Variables, the heap, and who keeps what alive.
fn data(class: Class, area: Rect) -> Vec<Slot> {
    match class {
        Class::Wide => {
            let (main, strip) = rows(area, area.height * 3 / 5);
            let (vars, heap) = columns(main, main.width / 2);
            let (refs, stack) = columns(strip, strip.width / 2);
            vec![slot(&[Vars], vars), slot(&[Heap], heap), slot(&[Refs], refs), slot(&[Stack, Source], stack)]
        }
        Class::Medium => {
            let (a, b) = rows(area, area.height / 2);
            let (vars, stack) = columns(a, a.width * 3 / 5);
            vec![slot(&[Vars], vars), slot(&[Stack, Source], stack), slot(&[Heap, Refs], b)]
        }
        _ => {
            let (a, b) = rows(area, area.height / 2);
            vec![slot(&[Vars, Stack, Source], a), slot(&[Heap, Refs], b)]
        }
    }
}

/// Who waits for whom, and the goroutine under the cursor.
fn waits(class: Class, area: Rect) -> Vec<Slot> {
    match class {
        Class::Wide => {
            let (l, r) = columns(area, area.width * 11 / 20);
            let (stack, rest) = rows(r, r.height * 2 / 5);
            let (source, vars) = rows(rest, rest.height * 3 / 5);
            vec![slot(&[Waits], l), slot(&[Stack, Defers], stack), slot(&[Source], source), slot(&[Vars], vars)]
        }
        Class::Medium => {
            let (a, b) = rows(area, area.height * 11 / 20);
            let (l, r) = columns(b, b.width / 2);
            vec![slot(&[Waits], a), slot(&[Stack, Defers, Vars], l), slot(&[Source], r)]
        }
        _ => {
            let (a, b) = rows(area, area.height.saturating_sub(8));
            vec![slot(&[Waits], a), slot(&[Stack, Defers, Source, Vars], b)]
        }
    }
}

/// What was done when, the moment under the cursor, and the goroutine that it leads to.
fn timeline(class: Class, area: Rect) -> Vec<Slot> {
    match class {
        Class::Wide => {
            let (a, b) = rows(area, area.height * 3 / 5);
            let (spans, rest) = columns(b, b.width * 2 / 5);
            let (stack, source) = columns(rest, rest.width / 2);
            vec![slot(&[Timeline], a), slot(&[Spans], spans), slot(&[Stack, Defers], stack), slot(&[Source], source)]
        }
        Class::Medium => {
            let (a, b) = rows(area, area.height * 3 / 5);
            let (l, r) = columns(b, b.width / 2);
            vec![slot(&[Timeline], a), slot(&[Spans], l), slot(&[Stack, Source, Defers], r)]
        }
        _ => {
            let (a, b) = rows(area, area.height.saturating_sub(6));
            vec![slot(&[Timeline], a), slot(&[Spans, Stack, Source], b)]
        }
    }
}

/// The graph, the functions, and the lines of the one under the cursor.
fn profiles(class: Class, area: Rect) -> Vec<Slot> {
    match class {
        Class::Wide => {
            let (l, r) = columns(area, area.width * 3 / 5);
            let (table, lines) = rows(r, r.height / 2);
            vec![slot(&[Flame], l), slot(&[Table], table), slot(&[Lines], lines)]
        }
        Class::Medium => {
            let (a, b) = rows(area, area.height * 11 / 20);
            let (l, r) = columns(b, b.width / 2);
            vec![slot(&[Flame], a), slot(&[Table], l), slot(&[Lines], r)]
        }
        _ => {
            let (a, b) = rows(area, area.height.saturating_sub(7));
            vec![slot(&[Flame, Table], a), slot(&[Lines], b)]
        }
    }
}

/// One slot grown: half of the screen at zoom 1, all of it at zoom 2.
pub fn zoomed(mut all: Vec<Slot>, focus: usize, zoom: u8, area: Rect) -> Vec<Slot> {
    if zoom == 0 || focus >= all.len() || all.len() == 1 {
        return all;
    }
    if zoom >= 2 {
        return vec![Slot { area, ..all.swap_remove(focus) }];
    }
    let s = all[focus].clone();
    let above = s.area.y + s.area.height / 2 < area.y + area.height / 2;
    let (a, b) = rows(area, area.height * if above { 13 } else { 7 } / 20);
    let (big, small) = if above { (a, b) } else { (b, a) };
    // The first of the others keeps the rest: for the source, its stack; for all else, the source.
    let other = all.iter().enumerate().find(|(i, _)| *i != focus).map(|(_, o)| o.panes);
    let mut v = vec![Slot { area: big, ..s }];
    if let Some(panes) = other {
        v.push(Slot { panes, area: small });
    }
    v
}

fn slot(panes: &'static [PaneId], area: Rect) -> Slot {
    Slot { panes, area }
}

fn rows(r: Rect, first: u16) -> (Rect, Rect) {
    let first = first.min(r.height);
    (Rect { height: first, ..r }, Rect { y: r.y + first, height: r.height - first, ..r })
}

fn columns(r: Rect, first: u16) -> (Rect, Rect) {
    let first = first.min(r.width);
    (Rect { width: first, ..r }, Rect { x: r.x + first, width: r.width - first, ..r })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panes_fill_the_screen_and_do_not_overlap() {
        for (w, h) in [(60, 15), (79, 40), (80, 24), (99, 50), (100, 24), (120, 40), (159, 30), (200, 60), (400, 100)] {
            let area = Rect::new(0, 2, w, h - 4);
            for n in [1, 2, 3, 4, 5, 6, 7, 8, 9] {
                let v = slots(n, area);
                assert_eq!(v.iter().map(|s| s.area.area()).sum::<u32>(), area.area(), "{n} at {w}x{h}");
                for (i, a) in v.iter().enumerate() {
                    assert!(a.area.width >= 8 && a.area.height >= 3, "{n} at {w}x{h}: {a:?}");
                    assert!(v[i + 1..].iter().all(|b| !a.area.intersects(b.area)), "{n} at {w}x{h}");
                }
            }
        }
    }
}
