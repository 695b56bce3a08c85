//! Reports as pprof makes them: functions by their own and by all their value, who calls whom, values by line.

use super::tree::{NO_KEY, ROOT, Step};
use super::view::View;
use crate::model::Pair;
use regex::Regex;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One function (or line) of a profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Index of its key.
    pub key: u32,
    /// Value of the samples that end in it.
    pub flat: Pair,
    /// Value of the samples that go through it, each counted once however often the function is on the stack.
    pub cum: Pair,
    /// Flat, and what the library functions that it called have on top of it; of a library function only what was called
    /// by no function of the program. All of these sum up to the whole profile.
    pub blame: Pair,
    /// Samples or events in `blame`; where the profile is compared only.
    pub count: Pair,
}

/// Rows of all keys, in no order.
pub fn rows(v: &View) -> Vec<Row> {
    let mut rows: Vec<Row> = (0..v.keys.len() as u32).map(|key| Row { key, ..Row::default() }).collect();
    let mut on_path = vec![0u32; v.keys.len()];
    // The innermost function of the program itself on the way to each node.
    let mut mine: Vec<u32> = vec![NO_KEY; v.tree.len()];
    v.tree.walk(|step| match step {
        Step::Enter(n) => {
            let (i, key) = (n as usize, v.tree.key[n as usize]);
            let k = key as usize;
            if on_path[k] == 0 {
                rows[k].cum += v.sum[i];
            }
            on_path[k] += 1;
            rows[k].flat += v.own[i];
            mine[i] = if v.keys[k].library { mine[v.tree.parent[i] as usize] } else { key };
            let blamed = if mine[i] == NO_KEY { k } else { mine[i] as usize };
            rows[blamed].blame += v.own[i];
            if let Some(c) = v.counts.get(i) {
                rows[blamed].count += *c;
            }
        }
        Step::Leave(n) => on_path[v.tree.key[n as usize] as usize] -= 1,
    });
    rows
}

/// Rows with something in them, as pprof orders them: by flat, by cum, by name.
pub fn top(v: &View) -> Vec<Row> {
    let mut all = rows(v);
    all.retain(|r| !r.cum.is_zero() || !r.flat.is_zero());
    let size = |p: Pair| Reverse(if v.compared { p.change() } else { p.new }.unsigned_abs());
    let name = |r: &Row| (v.keys[r.key as usize].name.clone(), v.keys[r.key as usize].line);
    all.sort_by_cached_key(|r| (size(r.flat), size(r.cum), name(r)));
    all
}

/// A function with those that called it and those that it called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peek {
    /// The function.
    pub row: Row,
    /// Callers and how much came through them, largest first.
    pub callers: Vec<(u32, Pair)>,
    /// Callees, largest first.
    pub callees: Vec<(u32, Pair)>,
}

/// Callers and callees of the functions whose names match, in the order of [`top`].
pub fn peek(v: &View, name: &Regex) -> Vec<Peek> {
    let wanted: Vec<bool> = v.keys.iter().map(|k| name.is_match(&k.name)).collect();
    let mut edges: FxHashMap<(u32, u32), (Pair, u32)> = FxHashMap::default();
    let edge = |n: u32| {
        let p = v.tree.parent[n as usize];
        let (a, b) = (v.tree.key[p as usize], v.tree.key[n as usize]);
        let counts = p != ROOT && a != b && (wanted[a as usize] || wanted[b as usize]);
        counts.then_some((a, b))
    };
    v.tree.walk(|step| match step {
        Step::Enter(n) => {
            if let Some(e) = edge(n) {
                let (sum, on_path) = edges.entry(e).or_default();
                if *on_path == 0 {
                    *sum += v.sum[n as usize];
                }
                *on_path += 1;
            }
        }
        Step::Leave(n) => {
            if let Some((_, on_path)) = edge(n).and_then(|e| edges.get_mut(&e)) {
                *on_path -= 1;
            }
        }
    });
    let mut of: FxHashMap<u32, [Vec<(u32, Pair)>; 2]> = FxHashMap::default();
    for ((a, b), (sum, _)) in edges {
        if wanted[b as usize] {
            of.entry(b).or_default()[0].push((a, sum));
        }
        if wanted[a as usize] {
            of.entry(a).or_default()[1].push((b, sum));
        }
    }
    let sorted = |mut l: Vec<(u32, Pair)>| {
        l.sort_by_cached_key(|(k, p)| (Reverse(p.weight()), v.keys[*k as usize].name.clone()));
        l
    };
    let rows = top(v).into_iter().filter(|r| wanted[r.key as usize]);
    rows.map(|row| {
        let [callers, callees] = of.remove(&row.key).unwrap_or_default();
        Peek { row, callers: sorted(callers), callees: sorted(callees) }
    })
    .collect()
}

/// The lines of one function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    /// Function.
    pub name: Arc<str>,
    /// File.
    pub file: Arc<str>,
    /// Flat and cum by line.
    pub lines: BTreeMap<u32, (Pair, Pair)>,
    /// Sums of the lines, as pprof has them.
    pub total: (Pair, Pair),
}

/// Lines of the functions whose names match, of a view by line; by name.
pub fn list(v: &View, name: &Regex) -> Vec<Lines> {
    let mut of: BTreeMap<(Arc<str>, Arc<str>), Lines> = BTreeMap::new();
    for r in rows(v) {
        let k = &v.keys[r.key as usize];
        if !name.is_match(&k.name) || (r.cum.is_zero() && r.flat.is_zero()) {
            continue;
        }
        let (name, file) = (k.name.clone(), k.file.clone());
        let l = of.entry((name.clone(), file.clone())).or_insert_with(|| Lines {
            name,
            file,
            lines: BTreeMap::new(),
            total: Default::default(),
        });
        let at = l.lines.entry(k.line).or_default();
        for sum in [at, &mut l.total] {
            sum.0 += r.flat;
            sum.1 += r.cum;
        }
    }
    of.into_values().collect()
}
