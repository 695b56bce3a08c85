//! What of a profile is looked at, and how: one kind of value, some of the paths, by function or by line, from either end.

use super::calls::Calls;
use super::tree::{Growing, NO_KEY, ROOT, Tree};
use crate::model::{Pair, ProfileFrame, ValueKind};
use regex::Regex;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// What makes two frames one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum By {
    /// The function's name.
    #[default]
    Function,
    /// Its name, file and line. With a base, lines count from the function's first one, so that builds can be compared.
    Line,
}

/// Which samples, and how.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Kind of value.
    pub kind: usize,
    /// Only stacks with a frame whose function or file matches.
    pub focus: Option<Regex>,
    /// Only stacks without such a frame.
    pub ignore: Option<Regex>,
    /// Frames that are left out of all stacks.
    pub hide: Option<Regex>,
    /// Only samples with a label of this key whose value matches; all of them must.
    pub tags: Vec<(String, Regex)>,
    /// What makes two frames one.
    pub by: By,
    /// Paths begin at the innermost frame.
    pub reverse: bool,
    /// The base's values are scaled so that both sum up to the same.
    pub normalize: bool,
}

/// What a node of a [`View`] stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Function.
    pub name: Arc<str>,
    /// File; of several functions of that name, the first one's.
    pub file: Arc<str>,
    /// Line; the function's first one where keys are functions, 0 if not known.
    pub line: u32,
    /// Of the standard library or the runtime.
    pub library: bool,
}

/// A profile as it is looked at.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Paths; keys are indices of `keys`.
    pub tree: Tree,
    /// What nodes stand for.
    pub keys: Vec<Key>,
    /// Value of the samples that end at each node.
    pub own: Vec<Pair>,
    /// Value of all samples through each node.
    pub sum: Vec<Pair>,
    /// Number of samples or events that end at each node; where the profile is compared only.
    pub counts: Vec<Pair>,
    /// Sum over all samples that there are, selected or not, without signs.
    pub total: Pair,
    /// What the values count.
    pub kind: ValueKind,
    /// Is it compared?
    pub compared: bool,
}

impl View {
    /// Looks at a profile.
    pub fn new(calls: &Calls, s: &Selection) -> View {
        let names = Names::new(calls, s);
        let by_node = names.per_node(calls, s);
        let (total, scale) = totals(calls, s);
        let mut grow = Grower { tree: Growing::default(), own: vec![Pair::default()], counts: Vec::new() };
        if calls.base.is_some() {
            grow.counts.push(Pair::default());
        }
        let chosen: Vec<bool> = calls.labels.iter().map(|set| has_tags(set, &s.tags)).collect();
        let forward = if s.reverse { Vec::new() } else { grow.paths(calls, &by_node) };
        let mut back: Vec<u32> = Vec::new();
        let count_kind = calls.count_kind(s.kind);
        for (i, sample) in calls.samples.iter().enumerate() {
            if !by_node.selected[sample.node as usize] || !chosen.get(sample.labels as usize).is_some_and(|c| *c) {
                continue;
            }
            let values = calls.values_of(i);
            let is_base = calls.base.is_some_and(|b| i >= b);
            let pair = |kind: usize| {
                let v = values.get(kind).copied().unwrap_or(0);
                if is_base { Pair { new: 0, base: scaled(v, scale) } } else { Pair { new: v, base: 0 } }
            };
            let node = if s.reverse {
                // Found once for each path, not for each sample.
                if back.is_empty() {
                    back = vec![NO_KEY; calls.tree.len()];
                }
                let at = &mut back[sample.node as usize];
                if *at == NO_KEY {
                    *at = grow.backwards(calls, &by_node, sample.node);
                }
                *at
            } else {
                forward[sample.node as usize]
            };
            grow.own[node as usize] += pair(s.kind);
            if !grow.counts.is_empty() {
                grow.counts[node as usize] += pair(count_kind);
            }
        }
        let kind = calls.kinds.get(s.kind).cloned().unwrap_or_default();
        grow.finish(names.keys, total, kind, calls.base.is_some())
    }

    /// Value of the samples that were selected.
    pub fn selected(&self) -> Pair {
        self.sum.first().copied().unwrap_or_default()
    }
    /// The key of a node; none of the root.
    pub fn key(&self, node: u32) -> Option<&Key> {
        self.keys.get(*self.tree.key.get(node as usize)? as usize)
    }
    /// The node that is reached by these names, as far as there is one.
    pub fn find(&self, path: &[Arc<str>]) -> u32 {
        let mut at = ROOT;
        for name in path {
            match self.tree.children(at).find(|c| self.key(*c).is_some_and(|k| k.name == *name)) {
                Some(c) => at = c,
                None => break,
            }
        }
        at
    }
}

fn has_tags(set: &[super::calls::Label], tags: &[(String, Regex)]) -> bool {
    tags.iter().all(|(k, re)| set.iter().any(|l| *l.key == **k && re.is_match(&l.value)))
}

fn scaled(v: i64, scale: f64) -> i64 {
    if scale == 1.0 { v } else { (v as f64 * scale).round() as i64 }
}

/// Sums without signs, and what the base is to be multiplied with.
fn totals(calls: &Calls, s: &Selection) -> (Pair, f64) {
    let mut t = Pair::default();
    for i in 0..calls.samples.len() {
        let v = calls.values_of(i).get(s.kind).copied().unwrap_or(0).saturating_abs();
        t += if calls.base.is_some_and(|b| i >= b) { Pair { new: 0, base: v } } else { Pair { new: v, base: 0 } };
    }
    let scale = if s.normalize && t.base != 0 && t.new != 0 { t.new as f64 / t.base as f64 } else { 1.0 };
    t.base = scaled(t.base, scale);
    (t, scale)
}

/// Keys of frames.
struct Names {
    keys: Vec<Key>,
    of_frame: Vec<u32>,
}

/// What is known of each node of the profile's own tree.
struct PerNode {
    /// Its key; none if it is hidden.
    key: Vec<u32>,
    /// Is its path selected?
    selected: Vec<bool>,
}

impl Names {
    fn new(calls: &Calls, s: &Selection) -> Names {
        let library = Library::of(calls);
        let mut n = Names { keys: Vec::new(), of_frame: Vec::with_capacity(calls.frames.len()) };
        // The first function of each name: the profile's before the base's.
        let mut first: FxHashMap<Arc<str>, u32> = FxHashMap::default();
        for (i, f) in calls.functions.iter().enumerate() {
            first.entry(f.name.clone()).or_insert(i as u32);
        }
        let mut ids: FxHashMap<(u32, Arc<str>, u32), u32> = FxHashMap::default();
        let nobody = Arc::<str>::from("");
        for f in &calls.frames {
            let Some(function) = calls.functions.get(f.function as usize) else {
                n.of_frame.push(NO_KEY);
                continue;
            };
            let first = first.get(&function.name).copied().unwrap_or(f.function);
            let model = &calls.functions[first as usize];
            let (file, line) = match s.by {
                By::Function => (&model.file, model.start_line),
                By::Line if calls.base.is_some() => (&model.file, moved(f, function.start_line, model.start_line)),
                By::Line => (&function.file, f.line),
            };
            let id = match s.by {
                By::Function => (first, nobody.clone(), 0),
                By::Line => (first, file.clone(), line),
            };
            let keys = &mut n.keys;
            n.of_frame.push(*ids.entry(id).or_insert_with(|| {
                let library = library.has(&function.name, &function.file);
                keys.push(Key { name: function.name.clone(), file: file.clone(), line, library });
                (keys.len() - 1) as u32
            }));
        }
        n
    }

    fn per_node(&self, calls: &Calls, s: &Selection) -> PerNode {
        let matching = |re: &Option<Regex>| -> Option<Vec<bool>> {
            let re = re.as_ref()?;
            let functions: Vec<bool> =
                calls.functions.iter().map(|f| re.is_match(&f.name) || re.is_match(&f.file)).collect();
            Some(calls.frames.iter().map(|f| functions.get(f.function as usize).is_some_and(|m| *m)).collect())
        };
        let (focus, ignore, hide) = (matching(&s.focus), matching(&s.ignore), matching(&s.hide));
        let n = calls.tree.len();
        let mut out = PerNode { key: vec![NO_KEY; n], selected: vec![false; n] };
        let mut focused = vec![focus.is_none(); n];
        let mut ignored = vec![false; n];
        let hit = |set: &Option<Vec<bool>>, frame: usize| set.as_ref().is_some_and(|v| v[frame]);
        for i in 1..n {
            let (p, frame) = (calls.tree.parent[i] as usize, calls.tree.key[i] as usize);
            focused[i] = focused[p] || hit(&focus, frame);
            ignored[i] = ignored[p] || hit(&ignore, frame);
            if !hit(&hide, frame) {
                out.key[i] = self.of_frame[frame];
            }
        }
        for i in 0..n {
            out.selected[i] = focused[i] && !ignored[i];
        }
        out
    }
}

/// The line of a frame as it would be in another build of its function.
fn moved(f: &ProfileFrame, start: u32, other: u32) -> u32 {
    if f.line >= start && start > 0 && other > 0 { f.line - start + other } else { f.line }
}

/// Tells the standard library's functions.
struct Library {
    roots: Vec<Arc<str>>,
}

impl Library {
    /// Where the runtime is, there is all of it.
    fn of(calls: &Calls) -> Library {
        let mut roots: Vec<Arc<str>> = Vec::new();
        for f in calls.functions.iter().filter(|f| f.name.starts_with("runtime.")) {
            if let Some(at) = f.file.find("/src/runtime/").map(|at| at + 5)
                && !roots.iter().any(|r| **r == f.file[..at])
            {
                roots.push(Arc::from(&f.file[..at]));
            }
        }
        Library { roots }
    }

    fn has(&self, name: &str, file: &str) -> bool {
        let package = package(name);
        // The first element of an import path has a dot in it, except for the standard library's and for main.
        if package == "main" || package.split('/').next().is_some_and(|p| p.contains('.')) {
            return false;
        }
        let dir = file.rsplit_once('/').map_or("", |d| d.0);
        match file.strip_prefix('/') {
            _ if file.is_empty() => true,
            Some(_) if !self.roots.is_empty() => self.roots.iter().any(|r| file.starts_with(&**r)),
            Some(_) => dir.strip_suffix(package).is_some_and(|d| d.ends_with("/src/")),
            // A trimmed path: `fmt/print.go`.
            None => package.is_empty() || dir == package,
        }
    }
}

/// `encoding/json` of `encoding/json.(*Decoder).Decode`; empty for names of assembly code.
fn package(name: &str) -> &str {
    let head = name.split(['(', '[']).next().unwrap_or("");
    let from = head.rfind('/').map_or(0, |i| i + 1);
    head[from..].find('.').map_or("", |dot| &head[..from + dot])
}

struct Grower {
    tree: Growing,
    own: Vec<Pair>,
    counts: Vec<Pair>,
}

impl Grower {
    fn child(&mut self, parent: u32, key: u32) -> u32 {
        let n = self.tree.child(parent, key);
        if n as usize >= self.own.len() {
            self.own.push(Pair::default());
            if !self.counts.is_empty() {
                self.counts.push(Pair::default());
            }
        }
        n
    }

    /// Where each node of the profile went; nodes that no selected sample goes through are not made.
    fn paths(&mut self, calls: &Calls, by: &PerNode) -> Vec<u32> {
        let n = calls.tree.len();
        let mut wanted = vec![false; n];
        for s in &calls.samples {
            wanted[s.node as usize] |= by.selected[s.node as usize];
        }
        for i in (1..n).rev() {
            if wanted[i] {
                wanted[calls.tree.parent[i] as usize] = true;
            }
        }
        let mut to = vec![ROOT; n];
        for i in 1..n {
            let parent = to[calls.tree.parent[i] as usize];
            to[i] = if wanted[i] && by.key[i] != NO_KEY { self.child(parent, by.key[i]) } else { parent };
        }
        to
    }

    /// The node of a path from its other end.
    fn backwards(&mut self, calls: &Calls, by: &PerNode, node: u32) -> u32 {
        let (mut at, mut to) = (node, ROOT);
        while at != ROOT {
            let key = by.key[at as usize];
            if key != NO_KEY {
                to = self.child(to, key);
            }
            at = calls.tree.parent[at as usize];
        }
        to
    }

    fn finish(self, keys: Vec<Key>, total: Pair, kind: ValueKind, compared: bool) -> View {
        let (tree, place) = self.tree.finish();
        let put = |v: Vec<Pair>| {
            let mut out = vec![Pair::default(); v.len()];
            for (i, p) in v.into_iter().enumerate() {
                out[place[i] as usize] = p;
            }
            out
        };
        let (own, counts) = (put(self.own), put(self.counts));
        let mut sum = own.clone();
        for i in (1..sum.len()).rev() {
            let v = sum[i];
            sum[tree.parent[i] as usize] += v;
        }
        View { tree, keys, own, sum, counts, total, kind, compared }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::calls::Builder;
    use crate::profile::folded;

    fn calls(text: &str, base: Option<&str>) -> Calls {
        let mut b = Builder::new();
        folded::read(text.as_bytes(), &mut b).expect("read");
        if let Some(base) = base {
            b.begin_base();
            folded::read(base.as_bytes(), &mut b).expect("read");
        }
        b.finish()
    }
    fn text(v: &View) -> Vec<String> {
        let name = |n: u32| v.key(n).map_or(String::new(), |k| k.name.to_string());
        let path = |n: u32| v.tree.path(n).into_iter().map(name).collect::<Vec<_>>().join(";");
        (0..v.tree.len() as u32)
            .filter(|n| !v.own[*n as usize].is_zero())
            .map(|n| format!("{} {}", path(n), v.own[n as usize].new))
            .collect()
    }
    fn re(text: &str) -> Option<Regex> {
        Regex::new(text).ok()
    }

    #[test]
    fn some_paths_from_either_end() {
        let c = calls("a;b;c 3\na;d 2\na;b 1\ne 4\n", None);
        let see = |s: Selection| text(&View::new(&c, &s));
        assert_eq!(see(Selection::default()), ["a;b 1", "a;b;c 3", "a;d 2", "e 4"]);
        assert_eq!(see(Selection { focus: re("b"), ..Selection::default() }), ["a;b 1", "a;b;c 3"]);
        assert_eq!(see(Selection { ignore: re("[cd]"), ..Selection::default() }), ["a;b 1", "e 4"]);
        assert_eq!(see(Selection { hide: re("b"), ..Selection::default() }), ["a 1", "a;c 3", "a;d 2", "e 4"]);
        assert_eq!(see(Selection { reverse: true, ..Selection::default() }), ["c;b;a 3", "d;a 2", "b;a 1", "e 4"]);
        let v = View::new(&c, &Selection::default());
        assert_eq!((v.total.new, v.selected().new, v.sum[v.find(&["a".into(), "b".into()]) as usize].new), (10, 10, 4));
    }
    #[test]
    fn a_base_stands_beside_it() {
        let c = calls("a;b 30\na 10\n", Some("a;b 10\nz 10\n"));
        let v = View::new(&c, &Selection { normalize: true, ..Selection::default() });
        assert_eq!((v.total, v.selected()), (Pair { new: 40, base: 40 }, Pair { new: 40, base: 40 }));
        assert_eq!(v.own[v.find(&["a".into(), "b".into()]) as usize], Pair { new: 30, base: 20 });
        assert_eq!(v.own[v.find(&["z".into()]) as usize], Pair { new: 0, base: 20 });
    }
    #[test]
    fn the_standard_library_is_told_by_path_and_place() {
        let l = Library { roots: vec!["/usr/local/go/src/".into()] };
        let none = Library { roots: Vec::new() };
        for (name, file, library) in [
            ("fmt.Println", "/usr/local/go/src/fmt/print.go", true),
            ("encoding/json.(*Decoder).Decode", "/usr/local/go/src/encoding/json/stream.go", true),
            ("slices.Sort[go.shape.[]example.com/x.T]", "/usr/local/go/src/slices/sort.go", true),
            ("main.main", "/home/me/main.go", false),
            ("main.main.func1", "main.go", false),
            ("shop/cart.Total", "/home/me/shop/cart/cart.go", false),
            ("example.com/x/json.Decode", "/go/pkg/mod/example.com/x@v1.0.0/json/d.go", false),
            ("example.com/x/json.Decode", "example.com/x@v1.0.0/json/d.go", false),
            ("sync.(*Mutex).Unlock", "sync/mutex.go", true),
        ] {
            assert_eq!(l.has(name, file), library, "{name}");
            assert_eq!(none.has(name, file), library, "{name} without a root");
        }
    }
}
