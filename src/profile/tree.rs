//! A tree of call paths: stacks that begin alike share nodes. Everything is summed in one pass over flat arrays.

use rustc_hash::FxHashMap;

/// The node that all paths begin at.
pub const ROOT: u32 = 0;
/// Key of the root.
pub const NO_KEY: u32 = u32::MAX;

/// Nodes in preorder: a node's subtree is what follows it, up to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// Parent of each; the root is its own.
    pub parent: Vec<u32>,
    /// What each stands for.
    pub key: Vec<u32>,
    /// Where each subtree ends.
    pub end: Vec<u32>,
}

impl Tree {
    /// Nodes, the root counted.
    pub fn len(&self) -> usize {
        self.parent.len()
    }
    /// Nothing but a root?
    pub fn is_empty(&self) -> bool {
        self.parent.len() <= 1
    }
    /// Children of a node, in order.
    pub fn children(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        let end = self.end.get(node as usize).copied().unwrap_or(0);
        let mut next = node + 1;
        std::iter::from_fn(move || {
            (next < end).then(|| {
                let n = next;
                next = self.end[n as usize].max(n + 1);
                n
            })
        })
    }
    /// The nodes from below the root to a node.
    pub fn path(&self, node: u32) -> Vec<u32> {
        let mut at = node;
        let mut path = Vec::new();
        while at != ROOT {
            path.push(at);
            at = self.parent[at as usize];
        }
        path.reverse();
        path
    }
    /// Visits all nodes but the root: `enter` before and `leave` after what is below each.
    pub fn walk(&self, mut visit: impl FnMut(Step)) {
        let mut open: Vec<u32> = Vec::new();
        for n in 1..self.len() as u32 {
            while let Some(last) = open.pop_if(|o| self.end[*o as usize] <= n) {
                visit(Step::Leave(last));
            }
            visit(Step::Enter(n));
            open.push(n);
        }
        for last in open.into_iter().rev() {
            visit(Step::Leave(last));
        }
    }
}

/// A step of [`Tree::walk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Down to a node.
    Enter(u32),
    /// Back from it.
    Leave(u32),
}

/// A tree being made: a child is found again by parent and key.
#[derive(Clone, Debug)]
pub struct Growing {
    /// Parent of each node; always an older one.
    pub parent: Vec<u32>,
    /// Key of each.
    pub key: Vec<u32>,
    known: FxHashMap<(u32, u32), u32>,
}

impl Default for Growing {
    fn default() -> Self {
        Growing { parent: vec![ROOT], key: vec![NO_KEY], known: FxHashMap::default() }
    }
}

impl Growing {
    /// The child of a node with a key, made if it is not there.
    pub fn child(&mut self, parent: u32, key: u32) -> u32 {
        *self.known.entry((parent, key)).or_insert_with(|| {
            self.parent.push(parent);
            self.key.push(key);
            (self.parent.len() - 1) as u32
        })
    }
    /// Forgets how children are found; what was made stays.
    pub fn freeze(&mut self) {
        self.known = FxHashMap::default();
    }
    /// The tree in preorder, and where each node went.
    pub fn finish(self) -> (Tree, Vec<u32>) {
        let Growing { parent, key, known } = self;
        drop(known);
        let n = parent.len();
        // Sizes of subtrees, leaves first; then each node's place behind its older siblings.
        let mut size = vec![1u32; n];
        for i in (1..n).rev() {
            size[parent[i] as usize] += size[i];
        }
        let mut place = vec![0u32; n];
        let mut free: Vec<u32> = vec![0; n];
        free[0] = 1;
        for i in 1..n {
            let p = parent[i] as usize;
            place[i] = free[p];
            free[p] += size[i];
            free[i] = place[i] + 1;
        }
        drop(free);
        let mut t = Tree { parent: vec![ROOT; n], key: vec![NO_KEY; n], end: vec![n as u32; n] };
        for i in 1..n {
            let at = place[i] as usize;
            t.parent[at] = place[parent[i] as usize];
            t.key[at] = key[i];
            t.end[at] = place[i] + size[i];
        }
        (t, place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_share_their_beginnings() {
        let mut g = Growing::default();
        let mut add = |path: &[u32]| path.iter().fold(ROOT, |n, k| g.child(n, *k));
        let nodes = [add(&[1, 2, 3]), add(&[1, 4]), add(&[1, 2, 5]), add(&[6]), add(&[1, 2, 3])];
        assert_eq!(nodes[0], nodes[4]);
        let (t, place) = g.finish();
        assert_eq!(t.key, [NO_KEY, 1, 2, 3, 5, 4, 6]);
        assert_eq!(t.end, [7, 6, 5, 4, 5, 6, 7]);
        let keys = |n: u32| t.path(place[n as usize]).iter().map(|p| t.key[*p as usize]).collect::<Vec<_>>();
        assert_eq!((keys(nodes[2]), keys(nodes[3])), (vec![1, 2, 5], vec![6]));
        assert_eq!(t.children(1).map(|c| t.key[c as usize]).collect::<Vec<_>>(), [2, 4]);
        let mut steps = Vec::new();
        t.walk(|s| {
            steps.push(match s {
                Step::Enter(n) => t.key[n as usize] as i64,
                Step::Leave(n) => -(t.key[n as usize] as i64),
            })
        });
        assert_eq!(steps, [1, 2, 3, -3, 5, -5, -2, 4, -4, -1, 6, -6]);
    }
}
