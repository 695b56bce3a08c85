//! Several sources on one clock: one picture. Where one that says more knows a column, it is its word that counts; the columns that it does not
//! reach are those of the source under it.

use crate::model::{Cell, Cells, Lane, LaneKind, Overview, TimelineSource, TimelineView};

/// Does `over` say more about this lane than `under`?
fn says_more(kind: LaneKind, over: TimelineSource, under: TimelineSource) -> bool {
    match (over, under) {
        (TimelineSource::Trace, _) => true,
        // Lines have each pause and mark phase by itself; what they have beside that is coarser than looks.
        (TimelineSource::Text, TimelineSource::Sampled) => {
            matches!(kind, LaneKind::Collector | LaneKind::StopTheWorld)
        }
        _ => false,
    }
}

/// Lays `over` on `under`: both of the same columns.
pub fn overlay(mut under: TimelineView, over: TimelineView) -> TimelineView {
    let step = under.column_ns.cast_signed();
    let whole = |i: usize| {
        let begin = under.from_ns.saturating_add((i as i64).saturating_mul(step));
        begin >= over.extent.0 && begin.saturating_add(step) <= over.extent.1
    };
    let known = over.lanes.iter().map(|l| l.kind).collect::<Vec<_>>();
    for lane in over.lanes {
        match under.lanes.iter_mut().find(|l| l.kind == lane.kind) {
            Some(l) => merge(l, lane, under.source, over.source, &whole),
            None => under.lanes.push(Lane { sources: vec![(0, over.source)], ..lane }),
        }
    }
    // A lane is named after its source where not all are the same.
    for l in under.lanes.iter_mut().filter(|l| !known.contains(&l.kind) && l.sources.is_empty()) {
        l.sources = vec![(0, own(l.kind, under.source))];
    }
    under.lanes.sort_by_key(|l| l.kind.place());
    under.extent = (under.extent.0.min(over.extent.0), under.extent.1.max(over.extent.1));
    under.growing |= over.growing;
    under.problem = under.problem.or(over.problem);
    under.wall_ns = under.wall_ns.or(over.wall_ns);
    if let (Some(a), Some(b)) = (&mut under.overview, over.overview)
        && over.source == TimelineSource::Trace
    {
        over_all(a, b);
    }
    under.over.push(over.source);
    under
}

fn own(kind: LaneKind, source: TimelineSource) -> TimelineSource {
    if kind == LaneKind::OurStops { TimelineSource::Ours } else { source }
}

fn merge(under: &mut Lane, over: Lane, below: TimelineSource, above: TimelineSource, whole: &dyn Fn(usize) -> bool) {
    let wins = says_more(under.kind, above, below);
    let mut from: Vec<(u16, TimelineSource)> = Vec::new();
    let n = match &under.cells {
        Cells::States(c) => c.len(),
        Cells::Levels(l) => l.len(),
    };
    // What is there already may itself be of several sources.
    let before = |i: usize| under.source(i).unwrap_or(below);
    for i in 0..n {
        let (has, lacks) = match (&under.cells, &over.cells) {
            (Cells::States(a), Cells::States(b)) => {
                (b.get(i).is_some_and(Cell::is_known), !a.get(i).is_some_and(Cell::is_known))
            }
            (Cells::Levels(a), Cells::Levels(b)) => {
                (b.get(i).is_some_and(Option::is_some), !a.get(i).is_some_and(Option::is_some))
            }
            _ => (false, false),
        };
        let taken = has && (lacks || (wins && whole(i)));
        let source = if taken { above } else { before(i) };
        if from.last().is_none_or(|l| l.1 != source) {
            from.push((i as u16, source));
        }
    }
    let taken = |i: usize| from.iter().rev().find(|s| usize::from(s.0) <= i).is_some_and(|s| s.1 == above);
    match (&mut under.cells, &over.cells) {
        (Cells::States(a), Cells::States(b)) => {
            // Which code ran is the samples' to say, whoever says who ran it.
            let take = |(_, (to, c)): (usize, (&mut Cell, &Cell))| *to = Cell { function: to.function, ..*c };
            a.iter_mut().zip(b).enumerate().filter(|c| taken(c.0)).for_each(take);
        }
        (Cells::Levels(a), Cells::Levels(b)) => {
            a.iter_mut().zip(b).enumerate().filter(|c| taken(c.0)).for_each(|(_, (to, l))| *to = *l);
        }
        _ => {}
    }
    if under.note.is_empty() {
        under.note = over.note;
    }
    under.sources = from;
}

fn over_all(under: &mut Overview, over: Overview) {
    for (i, b) in over.busy.iter().enumerate().filter(|b| b.1.is_some()) {
        if let Some(to) = under.busy.get_mut(i) {
            *to = *b;
        }
        if let (Some(to), Some(b)) = (under.bands.get_mut(i), over.bands.get(i)) {
            *to = *b;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Activity, Level};

    fn view(source: TimelineSource, extent: (i64, i64), kind: LaneKind, cells: Cells) -> TimelineView {
        let lanes = vec![Lane::new(kind, cells, String::new())];
        TimelineView { source, extent, column_ns: 10, lanes, ..TimelineView::default() }
    }
    fn states(all: &[Activity]) -> Cells {
        let cell = |a: &Activity| Cell { activity: *a, function: Some(3), ..Cell::default() };
        Cells::States(all.iter().map(cell).collect())
    }

    #[test]
    fn the_one_that_says_more_counts_as_far_as_it_reaches() {
        use Activity::{Idle, Marking, Running, Unknown};
        let looks = view(TimelineSource::Sampled, (0, 50), LaneKind::Proc(0), states(&[Idle; 5]));
        // It begins in the middle of the second column and ends with the fourth.
        let trace = states(&[Unknown, Running, Running, Marking, Unknown]);
        let v = overlay(looks, view(TimelineSource::Trace, (15, 40), LaneKind::Proc(0), trace));
        let Cells::States(c) = &v.lanes[0].cells else { panic!("states") };
        assert_eq!(c.iter().map(|c| c.activity).collect::<Vec<_>>(), [Idle, Idle, Running, Marking, Idle]);
        assert!(c.iter().all(|c| c.function == Some(3)));
        let s = TimelineSource::Sampled;
        assert_eq!(v.lanes[0].sources, [(0, s), (2, TimelineSource::Trace), (4, s)]);
        assert_eq!((v.lanes[0].source(1), v.lanes[0].source(3)), (Some(s), Some(TimelineSource::Trace)));
        assert_eq!(v.over, [TimelineSource::Trace]);
    }

    #[test]
    fn what_one_alone_has_is_added_and_what_is_coarser_fills_holes() {
        let level = |n| Some(Level { min: n, max: n, last: n });
        let looks = view(TimelineSource::Sampled, (10, 20), LaneKind::Heap, Cells::Levels(vec![None, level(7)]));
        let lines = Cells::Levels(vec![level(5), level(6)]);
        let mut text = view(TimelineSource::Text, (0, 20), LaneKind::Heap, lines);
        text.lanes.push(Lane::new(LaneKind::RunQueue, Cells::Levels(vec![level(1); 2]), String::new()));
        let v = overlay(looks, text);
        assert_eq!(v.lanes[0].cells, Cells::Levels(vec![level(5), level(7)]));
        assert_eq!(v.lanes[1].sources, [(0, TimelineSource::Text)]);
        assert_eq!((v.extent, v.lanes[0].source(0)), ((0, 20), Some(TimelineSource::Text)));
    }
}
