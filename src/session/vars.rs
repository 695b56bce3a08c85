//! The variables of the selected frame as a tree that grows where somebody looks.

use crate::model::Variable;
use rustc_hash::{FxHashMap, FxHashSet};

/// Children asked for at once.
pub const PAGE: u64 = 64;

/// Where a node is: positions from the roots down.
pub type Path = Vec<usize>;

/// How far a node's children are here.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Load {
    /// Nobody looked.
    #[default]
    Not,
    /// On the way.
    Asked,
    /// Here, at least a first page.
    Here,
    /// They cannot be had.
    Failed(String),
}

/// A variable and what is below it.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// The value.
    pub var: Variable,
    /// It differs from the last stop in this function.
    pub changed: bool,
    /// The user wants to see the children.
    pub open: bool,
    /// Children so far.
    pub children: Vec<Node>,
    /// How far they are.
    pub load: Load,
}

/// A line of the tree as it is drawn.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// Where.
    pub path: Path,
    /// What.
    pub kind: RowKind<'a>,
}

/// Kinds of line.
#[derive(Clone, Copy, Debug)]
pub enum RowKind<'a> {
    /// A variable.
    Node(&'a Node),
    /// Children that are not here yet: how many.
    More(u64),
    /// Being fetched.
    Wait,
    /// Why there is nothing.
    Failed(&'a str),
}

/// The tree.
#[derive(Default)]
pub struct VarTree {
    /// Function that the roots belong to.
    pub function: String,
    /// Arguments and locals.
    pub roots: Vec<Node>,
    open: FxHashSet<String>,
    before: FxHashMap<String, String>,
}

impl VarTree {
    /// New roots. Values are compared with those of the last stop if it was in the same function; nodes that were open
    /// open again: their paths are returned, to be asked for.
    pub fn replace(&mut self, function: &str, variables: Vec<Variable>, new_stop: bool) -> Vec<Path> {
        if new_stop || function != self.function {
            let same = function == self.function;
            let mut before = FxHashMap::default();
            if same {
                remember(&self.roots, function, &mut before);
            }
            self.before = before;
        }
        self.function = function.to_string();
        self.roots = variables.into_iter().map(|v| self.node(v, function)).collect();
        self.opened_below(&[])
    }
    fn node(&self, var: Variable, prefix: &str) -> Node {
        let key = format!("{prefix}/{}", var.name);
        let changed = var.flags.changed || self.before.get(&key).is_some_and(|v| *v != var.value);
        Node { changed, open: var.handle != 0 && self.open.contains(&key), var, ..Node::default() }
    }
    fn opened_below(&self, path: &[usize]) -> Vec<Path> {
        let children = if path.is_empty() { Some(&self.roots) } else { self.at(path).map(|n| &n.children) };
        children
            .into_iter()
            .flatten()
            .enumerate()
            .filter(|(_, n)| n.open && n.load == Load::Not)
            .map(|(i, _)| {
                let mut p = path.to_vec();
                p.push(i);
                p
            })
            .collect()
    }
    /// The node at a path.
    pub fn at(&self, path: &[usize]) -> Option<&Node> {
        let (first, rest) = path.split_first()?;
        let mut n = self.roots.get(*first)?;
        for i in rest {
            n = n.children.get(*i)?;
        }
        Some(n)
    }
    /// The node at a path, to change it.
    pub fn at_mut(&mut self, path: &[usize]) -> Option<&mut Node> {
        let (first, rest) = path.split_first()?;
        let mut n = self.roots.get_mut(*first)?;
        for i in rest {
            n = n.children.get_mut(*i)?;
        }
        Some(n)
    }
    fn key(&self, path: &[usize]) -> String {
        let mut key = self.function.clone();
        for n in 1..=path.len() {
            if let Some(node) = self.at(&path[..n]) {
                key.push('/');
                key.push_str(&node.var.name);
            }
        }
        key
    }
    /// Opens or closes a node. True when its children must be asked for.
    pub fn set_open(&mut self, path: &[usize], open: bool) -> bool {
        let key = self.key(path);
        let Some(n) = self.at_mut(path) else { return false };
        if n.var.children == 0 || n.var.handle == 0 {
            return false;
        }
        n.open = open;
        let ask = open && n.load == Load::Not;
        if open {
            self.open.insert(key);
        } else {
            self.open.remove(&key);
        }
        ask
    }
    /// Children that arrived; returns paths below that were open before.
    pub fn add_children(&mut self, path: &[usize], start: u64, variables: Vec<Variable>) -> Vec<Path> {
        let key = self.key(path);
        let nodes: Vec<Node> = variables.into_iter().map(|v| self.node(v, &key)).collect();
        if let Some(n) = self.at_mut(path) {
            n.children.truncate(start as usize);
            n.children.extend(nodes);
            n.load = Load::Here;
        }
        self.opened_below(path)
    }
    /// The lines of the tree, top to bottom.
    pub fn rows(&self) -> Vec<Row<'_>> {
        let mut out = Vec::new();
        push_rows(&self.roots, &mut Vec::new(), &mut out);
        out
    }
}

fn push_rows<'a>(nodes: &'a [Node], path: &mut Path, out: &mut Vec<Row<'a>>) {
    for (i, n) in nodes.iter().enumerate() {
        path.push(i);
        out.push(Row { path: path.clone(), kind: RowKind::Node(n) });
        if n.open {
            push_rows(&n.children, path, out);
            let left = n.var.children.saturating_sub(n.children.len() as u64);
            match &n.load {
                Load::Failed(why) => out.push(Row { path: path.clone(), kind: RowKind::Failed(why) }),
                Load::Here if left > 0 => out.push(Row { path: path.clone(), kind: RowKind::More(left) }),
                Load::Not | Load::Asked => out.push(Row { path: path.clone(), kind: RowKind::Wait }),
                _ => {}
            }
        }
        path.pop();
    }
}

fn remember(nodes: &[Node], prefix: &str, out: &mut FxHashMap<String, String>) {
    for n in nodes {
        let key = format!("{prefix}/{}", n.var.name);
        remember(&n.children, &key, out);
        out.insert(key, n.var.value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    fn var(name: &str, value: &str, children: u64) -> Variable {
        Variable { name: name.into(), value: value.into(), children, handle: children, ..Variable::default() }
    }
    #[test]
    fn marks_what_changed_in_the_same_function() {
        let mut t = VarTree::default();
        t.replace("main.f", vec![var("i", "1", 0), var("c", "x", 2)], true);
        assert!(!t.roots[0].changed);
        assert!(t.set_open(&[1], true));
        t.add_children(&[1], 0, vec![var("a", "1", 0), var("b", "2", 0)]);
        let ask = t.replace("main.f", vec![var("i", "2", 0), var("c", "x", 2)], true);
        assert!(t.roots[0].changed && !t.roots[1].changed);
        assert_eq!(ask, vec![vec![1]]);
        t.add_children(&[1], 0, vec![var("a", "1", 0), var("b", "3", 0)]);
        assert!(!t.roots[1].children[0].changed && t.roots[1].children[1].changed);
        assert_eq!(t.rows().len(), 4);
        t.replace("main.g", vec![var("i", "9", 0)], true);
        assert!(!t.roots[0].changed);
    }
    #[test]
    fn pages() {
        let mut t = VarTree::default();
        t.replace("f", vec![var("s", "…", 100)], true);
        t.set_open(&[0], true);
        t.add_children(&[0], 0, (0..64).map(|i| var(&format!("[{i}]"), "0", 0)).collect());
        assert!(matches!(t.rows().last().map(|r| r.kind), Some(RowKind::More(36))));
    }
}
