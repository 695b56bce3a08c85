//! The boxes of a flame graph, cut to what can be seen: what is narrower than a column is folded into its neighbour.

use super::tree::ROOT;
use super::view::View;
use crate::model::FlameCell;
use std::sync::Arc;

/// A flame graph.
#[derive(Clone, Debug, Default)]
pub struct Flame {
    /// What the full width stands for.
    pub width: u64,
    /// Boxes, the one zoomed to first, then level by level within each.
    pub cells: Vec<FlameCell>,
    /// Levels that there are below the one zoomed to, shown or not.
    pub levels: u32,
}

/// Widths of all nodes. Compared profiles are as wide as the larger of both, so that what is gone can be seen, too.
pub fn widths(v: &View) -> Vec<u64> {
    let mut w: Vec<u64> = v.own.iter().map(|p| p.weight()).collect();
    for i in (1..w.len()).rev() {
        let (p, x) = (v.tree.parent[i] as usize, w[i]);
        w[p] = w[p].saturating_add(x);
    }
    w
}

/// Boxes from `node` on, `columns` wide and at most `depth` levels below it. Children stand by size, the largest first.
pub fn flame(v: &View, widths: &[u64], node: u32, columns: u32, depth: u32, found: &[bool]) -> Flame {
    let mut out = Flame { width: widths.get(node as usize).copied().unwrap_or(0), ..Flame::default() };
    if v.tree.parent.is_empty() || columns == 0 {
        return out;
    }
    out.levels = levels(v, node);
    let least = (out.width / u64::from(columns)).max(1);
    let mut todo = vec![(node, 0u32, 0u64)];
    while let Some((n, level, start)) = todo.pop() {
        out.cells.push(cell(v, widths, n, level, start, found));
        if level >= depth {
            continue;
        }
        let mut children: Vec<u32> = v.tree.children(n).filter(|c| widths[*c as usize] > 0).collect();
        children.sort_by_cached_key(|c| {
            let name: Arc<str> = v.key(*c).map_or_else(|| Arc::from(""), |k| k.name.clone());
            (std::cmp::Reverse(widths[*c as usize]), name)
        });
        let mut at = start;
        let mut small = FlameCell { depth: level + 1, ..FlameCell::default() };
        for c in children {
            let w = widths[c as usize];
            if w >= least {
                todo.push((c, level + 1, at));
            } else {
                if small.folded == 0 {
                    small.start = at;
                }
                small.folded += 1;
                small.width += w;
                small.value += v.sum[c as usize];
                small.own += v.own[c as usize];
                small.found |= found_below(v, c, found);
            }
            at = at.saturating_add(w);
        }
        if small.width >= least {
            out.cells.push(small);
        }
    }
    out
}

/// Boxes from the root to a node, the node's own included.
pub fn way(v: &View, widths: &[u64], node: u32, found: &[bool]) -> Vec<FlameCell> {
    let mut out = vec![cell(v, widths, ROOT, 0, 0, found)];
    out.extend(v.tree.path(node).iter().zip(1..).map(|(n, level)| cell(v, widths, *n, level, 0, found)));
    out
}

fn cell(v: &View, widths: &[u64], n: u32, depth: u32, start: u64, found: &[bool]) -> FlameCell {
    let i = n as usize;
    FlameCell {
        depth,
        start,
        width: widths[i],
        value: v.sum[i],
        own: v.own[i],
        name: v.key(n).map_or_else(|| Arc::from("all"), |k| k.name.clone()),
        folded: 0,
        found: v.tree.key.get(i).and_then(|k| found.get(*k as usize)).is_some_and(|f| *f),
    }
}

fn found_below(v: &View, n: u32, found: &[bool]) -> bool {
    !found.is_empty() && (n..v.tree.end[n as usize]).any(|i| found.get(v.tree.key[i as usize] as usize) == Some(&true))
}

fn levels(v: &View, node: u32) -> u32 {
    let mut depth = vec![0u32; v.tree.len()];
    let mut most = 0;
    for n in node + 1..v.tree.end[node as usize] {
        let d = depth[v.tree.parent[n as usize] as usize] + 1;
        depth[n as usize] = d;
        most = most.max(d);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::calls::Builder;
    use crate::profile::folded;
    use crate::profile::view::Selection;

    #[test]
    fn narrow_boxes_are_folded_and_nothing_is_lost() {
        let mut text = String::from("main;big;deep 500\nmain;mid 300\n");
        for i in 0..200 {
            text.push_str(&format!("main;small{i} 1\n"));
        }
        let mut b = Builder::new();
        folded::read(text.as_bytes(), &mut b).expect("read");
        let v = View::new(&b.finish(), &Selection::default());
        let w = widths(&v);
        let f = flame(&v, &w, ROOT, 100, 9, &[]);
        assert_eq!((f.width, f.levels), (1_000, 3));
        let at = |level: u32| -> Vec<(String, u64, u64, u32)> {
            let mut l: Vec<_> = f
                .cells
                .iter()
                .filter(|c| c.depth == level)
                .map(|c| (c.name.to_string(), c.start, c.width, c.folded))
                .collect();
            l.sort_by_key(|c| c.1);
            l
        };
        assert_eq!(at(1), [("main".into(), 0, 1_000, 0)]);
        assert_eq!(at(2), [("big".into(), 0, 500, 0), ("mid".into(), 500, 300, 0), ("".into(), 800, 200, 200)]);
        let below = v.find(&["main".into(), "big".into()]);
        assert_eq!(flame(&v, &w, below, 80, 9, &[]).width, 500);
        assert_eq!(way(&v, &w, below, &[]).len(), 3);
    }
}
