//! The wait graph as rows: who waits for what, held by whom. Terminal-free; panes draw the rows.

use super::asked::Asked;
use super::{Purpose, Session};
use crate::backend::protocol::{Request, WaitQuery};
use crate::base::GoroutineId;
use crate::model::{EdgeKind, Evidence, Goroutine, ReadInfo, WaitGraph, WaitNode, WaitObject, WaitOp, WaitScope};
use rustc_hash::FxHashSet;

/// Nodes asked for.
pub const NODES: u32 = 400;

/// Holders of one object that are shown.
const HOLDERS: usize = 8;

/// Why a row stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It waits for itself in the end.
    Cycle,
    /// Nothing that runs can reach what it waits for.
    Leak,
}

impl Mark {
    /// The word on screens.
    pub fn word(self) -> &'static str {
        match self {
            Mark::Cycle => "CYCLE",
            Mark::Leak => "LEAK",
        }
    }
}

/// What a row says. Numbers are indices of nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitRowKind {
    /// Goroutines; below an object: its holder, and how that is known.
    Goroutine {
        /// Which.
        node: u32,
        /// The object above that it holds, and how that is known.
        by: Option<(u32, Evidence)>,
        /// It is shown with what it waits for further up.
        again: bool,
    },
    /// What the goroutines above wait for.
    Object {
        /// Which.
        node: u32,
        /// What they want to do.
        op: WaitOp,
        /// Nobody is known who holds or serves it.
        nobody: bool,
    },
    /// That many more hold or serve the object above.
    More(usize),
    /// Goroutines, what they wait for and who holds it, in one line.
    Chain {
        /// Who waits.
        from: u32,
        /// What they want to do.
        op: WaitOp,
        /// What they wait for.
        object: u32,
        /// Who holds it.
        holders: Vec<(u32, Evidence)>,
    },
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitRow {
    /// How far in.
    pub depth: u16,
    /// What it says.
    pub kind: WaitRowKind,
    /// The goroutine node that it is about.
    pub goroutines: u32,
    /// Something is below it, and whether that is shown.
    pub open: Option<bool>,
    /// Why it stands out.
    pub mark: Option<Mark>,
    /// The same for the same row in every answer.
    pub key: String,
}

/// The wait graph, and how it is looked at.
#[derive(Default)]
pub struct WaitView {
    /// The newest graph.
    pub asked: Asked<WaitQuery, WaitGraph>,
    /// How it was read.
    pub read: ReadInfo,
    /// The goroutine that is asked about.
    pub around: Option<GoroutineId>,
    /// Which part.
    pub scope: WaitScope,
    /// One line a wait, instead of a tree.
    pub flat: bool,
    closed: FxHashSet<String>,
    rows: Vec<WaitRow>,
}

impl WaitView {
    /// What the Waits workspace asks.
    pub fn query(&self, memory: bool) -> WaitQuery {
        WaitQuery { around: self.around, scope: self.scope, fold: true, limit: NODES, no_heap: !memory }
    }
    /// The rows.
    pub fn rows(&self) -> &[WaitRow] {
        &self.rows
    }
    /// The graph that the rows are of.
    pub fn graph(&self) -> Option<&WaitGraph> {
        self.asked.data()
    }
    /// A node that is goroutines: how many, their first ids, one of them.
    pub fn goroutines(&self, node: u32) -> Option<(u64, &[GoroutineId], &Goroutine)> {
        match self.graph()?.nodes.get(node as usize)? {
            WaitNode::Goroutines { count, ids, sample, .. } => Some((*count, ids, sample)),
            WaitNode::Object(_) => None,
        }
    }
    /// A node that is an object.
    pub fn object(&self, node: u32) -> Option<&WaitObject> {
        match self.graph()?.nodes.get(node as usize)? {
            WaitNode::Object(o) => Some(o),
            WaitNode::Goroutines { .. } => None,
        }
    }
    /// Is this goroutine in the graph?
    pub fn has(&self, g: GoroutineId) -> bool {
        self.graph().is_some_and(|graph| graph.nodes.iter().any(|n| contains(n, g)))
    }
    /// Tree or lines.
    pub fn toggle_view(&mut self) {
        self.flat = !self.flat;
        self.rebuild();
    }
    /// Shows or hides what is below a row.
    pub fn fold(&mut self, key: &str, open: bool) {
        if open {
            self.closed.remove(key);
        } else {
            self.closed.insert(key.to_string());
        }
        self.rebuild();
    }
    /// Only a part, or everything again.
    pub fn toggle_scope(&mut self, scope: WaitScope) {
        self.scope = if self.scope == scope { WaitScope::All } else { scope };
    }
    fn rebuild(&mut self) {
        let around = self.asked.question().and_then(|q| q.around);
        self.rows = match self.asked.data() {
            Some(g) => Builder::new(g, around, &self.closed).rows(self.flat),
            None => Vec::new(),
        };
    }
}

fn contains(n: &WaitNode, g: GoroutineId) -> bool {
    matches!(n, WaitNode::Goroutines { ids, sample, .. } if sample.id == g || ids.contains(&g))
}

struct Builder<'a> {
    graph: &'a WaitGraph,
    closed: &'a FxHashSet<String>,
    out: Vec<Vec<(u32, EdgeKind)>>,
    held: Vec<bool>,
    on_cycle: FxHashSet<u32>,
    around: Option<u32>,
    shown: FxHashSet<u32>,
    rows: Vec<WaitRow>,
}

impl<'a> Builder<'a> {
    fn new(graph: &'a WaitGraph, around: Option<GoroutineId>, closed: &'a FxHashSet<String>) -> Builder<'a> {
        let n = graph.nodes.len();
        let (mut out, mut held) = (vec![Vec::new(); n], vec![false; n]);
        for e in &graph.edges {
            let (from, to) = (e.from as usize, e.to as usize);
            if from < n && to < n {
                out[from].push((e.to, e.kind));
                held[to] |= matches!(e.kind, EdgeKind::Held(_));
            }
        }
        let on_cycle = graph.cycles.iter().flatten().copied().collect();
        let around = around.and_then(|g| graph.nodes.iter().position(|n| contains(n, g))).map(|i| i as u32);
        Builder { graph, closed, out, held, on_cycle, around, shown: FxHashSet::default(), rows: Vec::new() }
    }

    /// Goroutine nodes in the order in which they are worth a look: the one asked about, cycles, leaks, the many.
    fn order(&self) -> Vec<u32> {
        let place: Vec<u32> = self.graph.cycles.iter().flatten().copied().collect();
        let mut v: Vec<(u8, u64, u32)> = Vec::new();
        for (i, n) in self.graph.nodes.iter().enumerate() {
            let WaitNode::Goroutines { count, leaked, .. } = n else { continue };
            let i = i as u32;
            v.push(match () {
                _ if self.around == Some(i) => (0, 0, i),
                _ if self.on_cycle.contains(&i) => (1, place.iter().position(|p| *p == i).unwrap_or(0) as u64, i),
                _ if *leaked => (2, u64::MAX - count, i),
                _ => (3, u64::MAX - count, i),
            });
        }
        v.sort_unstable();
        v.into_iter().map(|(_, _, i)| i).collect()
    }

    fn rows(mut self, flat: bool) -> Vec<WaitRow> {
        let order = self.order();
        if flat {
            for n in order {
                self.chains(n);
            }
            return self.rows;
        }
        let first = |b: &Self, n: u32| b.around == Some(n) || b.on_cycle.contains(&n) || b.leaked(n);
        for n in order.iter().copied().filter(|n| first(&self, *n) || !self.held[*n as usize]).collect::<Vec<_>>() {
            if !self.shown.contains(&n) && (!self.out[n as usize].is_empty() || self.around == Some(n)) {
                self.tree(n, 0, None, &mut Vec::new());
            }
        }
        for n in order {
            if !self.shown.contains(&n) && !self.out[n as usize].is_empty() {
                self.tree(n, 0, None, &mut Vec::new());
            }
        }
        self.rows
    }

    fn leaked(&self, n: u32) -> bool {
        matches!(self.graph.nodes.get(n as usize), Some(WaitNode::Goroutines { leaked: true, .. }))
    }

    fn mark(&self, n: u32) -> Option<Mark> {
        match () {
            _ if self.on_cycle.contains(&n) => Some(Mark::Cycle),
            _ if self.leaked(n) => Some(Mark::Leak),
            _ => None,
        }
    }

    fn key(&self, n: u32) -> String {
        match &self.graph.nodes[n as usize] {
            WaitNode::Goroutines { sample, .. } => format!("g{}", sample.id),
            WaitNode::Object(o) => match (o.addr, &o.name) {
                (Some(a), _) => format!("o{a}"),
                (None, Some(name)) => format!("o{name}"),
                (None, None) => format!("o{:?}{}", o.kind, o.state),
            },
        }
    }

    fn chains(&mut self, n: u32) {
        for (object, kind) in self.out[n as usize].clone() {
            let EdgeKind::Waits(op) = kind else { continue };
            let holders = self.holders(object);
            let key = format!("{}{}", self.key(n), self.key(object));
            let mark = self.mark(n);
            let kind = WaitRowKind::Chain { from: n, op, object, holders };
            self.rows.push(WaitRow { depth: 0, kind, goroutines: n, open: None, mark, key });
        }
    }

    fn holders(&self, object: u32) -> Vec<(u32, Evidence)> {
        self.out[object as usize]
            .iter()
            .filter_map(|(to, k)| match k {
                EdgeKind::Held(e) => Some((*to, *e)),
                EdgeKind::Waits(_) => None,
            })
            .collect()
    }

    fn tree(&mut self, n: u32, depth: u16, by: Option<(u32, Evidence)>, path: &mut Vec<u32>) {
        // Deep chains are cut where they would not fit on a screen any more.
        let again = !self.shown.insert(n) || path.len() > 40;
        let waits: Vec<(u32, WaitOp)> = self.out[n as usize]
            .iter()
            .filter_map(|(to, k)| match k {
                EdgeKind::Waits(op) => Some((*to, *op)),
                EdgeKind::Held(_) => None,
            })
            .collect();
        let key = self.key(n);
        // Only what begins a tree is folded: below it there is one chain.
        let open = (depth == 0 && !waits.is_empty()).then(|| !self.closed.contains(&key));
        let kind = WaitRowKind::Goroutine { node: n, by, again };
        let mark = if depth == 0 || (again && path.contains(&n)) { self.mark(n) } else { None };
        let row_key = format!("{}{key}", path.iter().map(|p| self.key(*p)).collect::<String>());
        self.rows.push(WaitRow { depth, kind, goroutines: n, open, mark, key: if depth == 0 { key } else { row_key } });
        if again || open == Some(false) {
            if open == Some(false) {
                self.hide(n);
            }
            return;
        }
        path.push(n);
        for (object, op) in waits {
            let holders = self.holders(object);
            let kind = WaitRowKind::Object { node: object, op, nobody: holders.is_empty() };
            let key = format!("{}{}", path.iter().map(|p| self.key(*p)).collect::<String>(), self.key(object));
            self.rows.push(WaitRow { depth: depth + 1, kind, goroutines: n, open: None, mark: None, key });
            let left = holders.len().saturating_sub(HOLDERS);
            for (holder, evidence) in holders.into_iter().take(HOLDERS) {
                self.tree(holder, depth + 2, Some((object, evidence)), path);
            }
            if left > 0 {
                let key = format!("{}more{}", path.iter().map(|p| self.key(*p)).collect::<String>(), self.key(object));
                let kind = WaitRowKind::More(left);
                self.rows.push(WaitRow { depth: depth + 2, kind, goroutines: n, open: None, mark: None, key });
            }
        }
        path.pop();
    }

    /// What a closed row hides counts as shown: it must not come up again further down.
    fn hide(&mut self, n: u32) {
        for (object, _) in self.out[n as usize].clone() {
            for (holder, _) in self.holders(object) {
                if self.shown.insert(holder) {
                    self.hide(holder);
                }
            }
        }
    }
}

impl Session {
    pub(super) fn want_waits(&mut self, q: &WaitQuery) {
        if !self.readable() {
            return;
        }
        let known = self.waits.asked.question().is_some_and(|k| k.around == q.around && k.scope == q.scope);
        let mut q = q.clone();
        // Another part: first without the heap, to be quick. Leaks cannot be seen without it.
        q.no_heap |= !known && self.waits.asked.failure().is_none() && q.scope != WaitScope::Leaks;
        if let Some(serial) = self.waits.asked.want(&q, self.generation, self.now) {
            let quiet = self.waits.asked.question() == Some(&q);
            self.ask_quietly(Purpose::Waits { serial }, Request::Waits(q), quiet);
        }
    }

    pub(super) fn waits_known(&mut self, serial: u64, result: Result<(ReadInfo, WaitGraph), String>) {
        let (read, result) = match result {
            Ok((r, g)) => (Some(r), Ok(g)),
            Err(e) => (None, Err(e)),
        };
        if self.waits.asked.put(serial, result, self.now) {
            self.waits.read = read.unwrap_or(self.waits.read);
            self.old_since = None;
            self.waits.rebuild();
        }
    }

    /// Is the wait graph that is here the one that this question is about, and of now?
    pub fn waits_fresh(&self, q: &WaitQuery) -> bool {
        self.waits.asked.fresh(q, self.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{WaitEdge, WaitKind};

    fn g(id: u64, count: u64, leaked: bool) -> WaitNode {
        let sample = Box::new(Goroutine { id: GoroutineId(id), ..Goroutine::default() });
        WaitNode::Goroutines { count, ids: vec![GoroutineId(id)], sample, leaked }
    }
    fn o(name: &str) -> WaitNode {
        let name = Some(name.to_string());
        WaitNode::Object(WaitObject { kind: WaitKind::Mutex, addr: None, type_name: None, name, state: String::new() })
    }
    fn graph() -> WaitGraph {
        let nodes = vec![g(1, 9, false), o("A"), g(2, 1, false), o("B"), g(3, 1, false), g(4, 500, true), o("C")];
        let w = |from, to| WaitEdge { from, to, kind: EdgeKind::Waits(WaitOp::Lock) };
        let h = |from, to| WaitEdge { from, to, kind: EdgeKind::Held(Evidence::Defer) };
        // 1 -> A -> 2 -> B -> 3 -> A: 2 and 3 are a cycle, 1 waits for it; 4 waits for C, which nobody holds.
        let edges = vec![w(0, 1), h(1, 2), w(2, 3), h(3, 4), w(4, 1), w(5, 6)];
        WaitGraph { nodes, edges, cycles: vec![vec![2, 3, 4, 1]], ..WaitGraph::default() }
    }
    fn view(around: Option<u64>) -> WaitView {
        let mut v = WaitView { around: around.map(GoroutineId), ..WaitView::default() };
        let q = v.query(true);
        let now = std::time::Instant::now();
        let serial = v.asked.send(&q, 1, now);
        v.asked.put(serial, Ok(graph()), now);
        v.rebuild();
        v
    }
    fn roots(v: &WaitView) -> Vec<u32> {
        v.rows().iter().filter(|r| r.depth == 0).map(|r| r.goroutines).collect()
    }

    #[test]
    fn cycles_first_then_leaks_then_the_rest() {
        let mut v = view(None);
        assert_eq!(roots(&v), [2, 5, 0]);
        assert_eq!(v.rows()[0].mark, Some(Mark::Cycle));
        let back = &v.rows()[4];
        assert!(matches!(back.kind, WaitRowKind::Goroutine { node: 2, again: true, .. }), "{back:?}");
        assert!(matches!(v.rows()[6].kind, WaitRowKind::Object { nobody: true, .. }));
        let key = v.rows()[0].key.clone();
        v.fold(&key, false);
        assert_eq!(roots(&v), [2, 5, 0], "what is folded does not come up elsewhere");
        v.toggle_view();
        assert_eq!(roots(&v), [2, 4, 5, 0]);
    }
    #[test]
    fn the_goroutine_asked_about_comes_first() {
        assert_eq!(roots(&view(Some(1)))[0], 0);
        assert!(!view(Some(77)).has(GoroutineId(77)));
    }
}
