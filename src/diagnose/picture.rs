//! The wait graph as model data: a part of it, around a goroutine, cycles and leaks first, equal waiters folded.

use super::case::Case;
use super::graph::Object;
use crate::base::GoroutineId;
use crate::model::{EdgeKind, Goroutine, WaitEdge, WaitGraph, WaitNode, WaitScope};
use rustc_hash::{FxHashMap, FxHashSet};

/// Ids named of a folded node.
const IDS: usize = 16;
/// Objects of a whole graph that get names.
const NAMED: usize = 500;

/// Which part, and how.
#[derive(Clone, Copy, Debug, Default)]
pub struct PictureOptions {
    /// What is connected to this goroutine first.
    pub around: Option<GoroutineId>,
    /// Only a part.
    pub scope: WaitScope,
    /// Equal waiters become one node.
    pub fold: bool,
    /// Nodes at most; 0 for all.
    pub limit: usize,
}

struct Builder<'c, 'a> {
    c: &'c Case<'a>,
    options: PictureOptions,
    graph: WaitGraph,
    goroutines: FxHashMap<u32, u32>,
    objects: FxHashMap<u32, u32>,
    edges: FxHashSet<(u32, u32)>,
}

/// Draws it.
pub fn picture(c: &Case<'_>, options: PictureOptions) -> WaitGraph {
    let g = &c.a.graph;
    let mut b = Builder {
        c,
        options,
        graph: WaitGraph { heap_walked: c.a.reach.is_some(), ..WaitGraph::default() },
        goroutines: FxHashMap::default(),
        objects: FxHashMap::default(),
        edges: FxHashSet::default(),
    };
    b.graph.waiting = g.waits.iter().filter(|w| !w.is_empty()).count() as u64;
    let on_cycle: FxHashSet<u32> =
        c.a.causes.iter().filter(|x| !x.cycle.is_empty()).flat_map(|x| x.objects.clone()).collect();
    let behind: FxHashSet<u32> =
        c.a.causes
            .iter()
            .filter(|x| !x.cycle.is_empty())
            .flat_map(|x| x.victims.iter().chain(&x.members))
            .flat_map(|m| g.waits[*m as usize].iter().map(|w| w.0))
            .collect();
    let leaked = |o: &Object| c.a.reach.as_ref().is_some_and(|r| o.waiters.iter().any(|w| r.leaked[w.0 as usize]));
    let near = options.around.map(|id| b.connected(id)).unwrap_or_default();
    let wanted = |n: &u32| match options.scope {
        WaitScope::All => true,
        WaitScope::Cycles => on_cycle.contains(n) || behind.contains(n),
        WaitScope::Leaks => leaked(&g.objects[*n as usize]),
    };
    let mut order: Vec<u32> = (0..g.objects.len() as u32).filter(wanted).collect();
    order.sort_by_key(|n| {
        let o = &g.objects[*n as usize];
        (!near.contains(n), !on_cycle.contains(n), !leaked(o), std::cmp::Reverse(o.waiters.len()), *n)
    });
    for n in order {
        if options.limit > 0 && b.graph.nodes.len() >= options.limit {
            b.graph.truncated = true;
            break;
        }
        b.object(n);
    }
    b.cycles();
    b.graph
}

impl Builder<'_, '_> {
    /// Objects that can be come to from a goroutine along edges, in any direction, a few steps far.
    fn connected(&self, id: GoroutineId) -> FxHashSet<u32> {
        const STEPS: usize = 6;
        let g = &self.c.a.graph;
        let mut objects = FxHashSet::default();
        let Ok(start) = self.c.a.look.seen.binary_search_by_key(&id.0, |s| s.g.goid) else { return objects };
        let mut people: FxHashSet<u32> = FxHashSet::from_iter([start as u32]);
        for _ in 0..STEPS {
            let before = objects.len() + people.len();
            for (n, o) in g.objects.iter().enumerate() {
                let touches =
                    o.waiters.iter().any(|w| people.contains(&w.0)) || o.held.iter().any(|h| people.contains(&h.who));
                if touches && objects.insert(n as u32) {
                    people.extend(o.held.iter().map(|h| h.who));
                    if o.waiters.len() < 64 {
                        people.extend(o.waiters.iter().map(|w| w.0));
                    }
                }
            }
            if objects.len() + people.len() == before {
                break;
            }
        }
        objects
    }

    fn row(&self, i: u32) -> Goroutine {
        let s = &self.c.a.look.seen[i as usize];
        let mut g = self.c.target.list.row(s.row).unwrap_or_default();
        g.waits_on = s.found.on.clone();
        g
    }

    fn goroutine(&mut self, who: &[u32]) -> u32 {
        let first = who[0];
        if let Some(n) = self.goroutines.get(&first) {
            return *n;
        }
        let n = self.graph.nodes.len() as u32;
        let leaked = self.c.a.reach.as_ref().is_some_and(|r| r.leaked[first as usize]);
        let ids = who.iter().take(IDS).map(|i| self.c.a.look.seen[*i as usize].id()).collect();
        let sample = Box::new(self.row(first));
        self.graph.nodes.push(WaitNode::Goroutines { count: who.len() as u64, ids, sample, leaked });
        for i in who {
            self.goroutines.insert(*i, n);
        }
        n
    }

    fn edge(&mut self, from: u32, to: u32, kind: EdgeKind) {
        if self.edges.insert((from, to)) {
            self.graph.edges.push(WaitEdge { from, to, kind });
        }
    }

    fn object(&mut self, n: u32) {
        let c = self.c;
        let o = &c.a.graph.objects[n as usize];
        let node = self.graph.nodes.len() as u32;
        self.objects.insert(n, node);
        // Names cost time: only where somebody will look at them.
        let shown = match self.options.limit == 0 && c.a.graph.objects.len() > NAMED {
            true => super::shown::object(&o.on, None),
            false => c.graph_object(n),
        };
        self.graph.nodes.push(WaitNode::Object(shown));
        let special =
            |i: u32| !c.a.graph.holds[i as usize].is_empty() || c.a.causes.iter().any(|x| x.members.contains(&i));
        let mut folded: FxHashMap<(u64, crate::model::WaitOp, bool), Vec<u32>> = FxHashMap::default();
        let mut order = Vec::new();
        for &(who, op) in &o.waiters {
            let s = &c.a.look.seen[who as usize];
            let alone =
                !self.options.fold || self.goroutines.contains_key(&who) || (o.waiters.len() < 1000 && special(who));
            let key = match alone {
                true => (u64::from(who), op, true),
                false => (c.target.list.place_key(s.row).unwrap_or(0), op, false),
            };
            folded
                .entry(key)
                .or_insert_with(|| {
                    order.push(key);
                    Vec::new()
                })
                .push(who);
        }
        for key in order {
            let who = &folded[&key];
            let from = self.goroutine(who);
            self.edge(from, node, EdgeKind::Waits(key.1));
        }
        let mut held = o.held.clone();
        held.sort_by_key(|h| (h.evidence, h.who));
        for h in held {
            let to = self.goroutine(&[h.who]);
            self.edge(node, to, EdgeKind::Held(h.evidence));
        }
    }

    fn cycles(&mut self) {
        for x in self.c.a.causes.iter().filter(|x| !x.cycle.is_empty()) {
            let path: Option<Vec<u32>> = x
                .cycle
                .iter()
                .flat_map(|(who, o, _)| [self.goroutines.get(who).copied(), self.objects.get(o).copied()])
                .collect();
            self.graph.cycles.extend(path);
        }
    }
}
