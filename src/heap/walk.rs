//! Everything that roots reach, breadth first: for each object who reached it first (so that paths are shortest), from which root, and
//! as what type. Sums by type and by root, and who keeps an object alive, come from one walk.

use super::frames::StackScanner;
use super::mark::ObjectId;
use super::roots::RootKind;
use super::spans::{Heap, word};
use super::types::{Leads, TypeId, Types};
use crate::arch::Registers;
use crate::base::{GoroutineId, LoadAddr};
use crate::goruntime::value::Reader;
use crate::goruntime::{G, GoroutineList};
use crate::model::{HeapBy, HeapObject, HeapRow, HeapSummary, Location, RefStep, References};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Bit of a parent that says it is a root.
const ROOT: u32 = 1 << 31;
/// Steps of a path that are shown.
const MAX_PATH: usize = 200;

/// A root word.
#[derive(Clone, Debug)]
enum Source {
    Global(LoadAddr),
    Special(LoadAddr),
    Stack { goroutine: GoroutineId, at: LoadAddr, place: Arc<Location> },
}

/// The walk.
pub struct HeapWalk<'a> {
    heap: Heap<'a>,
    types: Types<'a>,
    sources: Vec<Source>,
    /// By object number: 0 not reached, else 1 + number of the object that reached it, or ROOT + number of the root.
    parent: Vec<u32>,
    ty: Vec<TypeId>,
    /// By object number: the site that reached it first.
    site: Vec<u32>,
    sites: Vec<String>,
    live: (u64, u64),
}

impl<'a> HeapWalk<'a> {
    /// Walks a heap; `list` are the goroutines whose stacks are roots.
    pub fn of(heap: Heap<'a>, list: &GoroutineList, registers: &HashMap<i32, Registers>) -> HeapWalk<'a> {
        let (rt, mem) = (heap.rt, heap.mem);
        let n = heap.slots() as usize;
        let mut w = HeapWalk {
            types: Types::new(Reader::new(rt, mem)),
            heap,
            sources: Vec::new(),
            parent: vec![0; n],
            ty: vec![0; n],
            site: vec![0; n],
            sites: vec!["(unknown)".into()],
            live: (0, 0),
        };
        let mut queue: VecDeque<u32> = VecDeque::new();
        let mut site_of: FxHashMap<String, u32> = FxHashMap::default();
        for r in w.heap.roots() {
            let (name, ty) = match r.kind {
                RootKind::Global => w.global(r.at),
                RootKind::Special => ("finalizers".to_string(), 0),
            };
            let source = match r.kind {
                RootKind::Global => Source::Global(r.at),
                RootKind::Special => Source::Special(r.at),
            };
            let site = w.site_number(&mut site_of, name);
            w.root(source, r.value, ty, site, &mut queue);
        }
        let by_g: HashMap<u64, &Registers> = registers
            .values()
            .filter_map(|r| Some((rt.current_g(mem, r.fs_base).filter(|c| !c.curg.is_nil())?.curg.0, r)))
            .collect();
        let mut scanner = StackScanner::new(rt, mem);
        for row in 0..list.len() {
            let Some(g) = list.g(row).and_then(|g| rt.read_g(mem, g).ok()).filter(G::alive) else { continue };
            let mut words = Vec::new();
            let heap = &w.heap;
            let mut keep = |x: super::StackWords| {
                if heap.may_contain(x.value) {
                    words.push(x);
                }
            };
            let frames = scanner.scan(&g, by_g.get(&g.addr.0).copied(), &mut keep);
            for x in words {
                let f = frames.get(x.frame as usize).and_then(|f| f.info.frames.last());
                let place = f.map(|l| l.at.clone()).unwrap_or_default();
                let site = w.site_number(&mut site_of, place.function.clone());
                let source = Source::Stack { goroutine: GoroutineId(g.goid), at: LoadAddr(x.at), place };
                w.root(source, x.value, 0, site, &mut queue);
            }
        }
        w.follow(queue);
        w
    }

    fn site_number(&mut self, known: &mut FxHashMap<String, u32>, name: String) -> u32 {
        if name.is_empty() {
            return 0;
        }
        let next = self.sites.len() as u32;
        let n = *known.entry(name.clone()).or_insert(next);
        if n == next {
            self.sites.push(name);
        }
        n
    }

    /// Name of the package variable at an address, and the type that its word there points to.
    fn global(&mut self, at: LoadAddr) -> (String, TypeId) {
        let Some((v, off)) = self.heap.rt.package_variable_at(at) else { return Default::default() };
        let (name, id) = (v.name.clone(), self.types.of(&v.ty));
        let leads = self.types.leads(id, off).cloned();
        let before = self.heap.mem.read_u64(at.offset(-8)).unwrap_or(0);
        (name, self.target(leads, before))
    }

    /// The type that a word leads to; `before` is the word in front of it.
    fn target(&mut self, leads: Option<Leads>, before: u64) -> TypeId {
        let (rt, mem) = (self.heap.rt, self.heap.mem);
        match leads {
            Some(Leads::To(id)) => id,
            Some(Leads::Dynamic { methods }) => {
                let t = if methods { mem.read_u64(LoadAddr(before).add(8)).unwrap_or(0) } else { before };
                let t = LoadAddr(t);
                let Some(desc) = rt.runtime_type(mem, t) else { return 0 };
                // The interface holds the pointer itself, or points to the value.
                if desc.direct {
                    let elem = rt.runtime_elem(mem, &desc).unwrap_or_default();
                    return self.types.runtime(elem, || Some(desc.name.trim_start_matches('*').to_string()));
                }
                self.types.runtime(t, || Some(desc.name.clone()))
            }
            None => 0,
        }
    }

    fn number(&self, o: ObjectId) -> u32 {
        self.heap.spans()[o.span as usize].first + o.slot
    }

    fn reach(&mut self, value: u64, parent: u32, ty: TypeId, site: u32, queue: &mut VecDeque<u32>) {
        let Some((span, slot)) = self.heap.find(value) else { return };
        let n = self.number(ObjectId { span, slot });
        let i = n as usize;
        let (base, _) = self.heap.object(span, slot);
        // Only a pointer to the start of the data tells the type of the whole.
        let header = self.heap.header_type(span, slot);
        let start = base.0 + header.map_or(0, |h| h.1);
        if self.parent[i] == 0 {
            self.parent[i] = parent;
            self.site[i] = site;
            let s = &self.heap.spans()[span as usize];
            self.live.0 += 1;
            self.live.1 += s.elemsize;
            if let Some((t, _)) = header {
                let (rt, mem) = (self.heap.rt, self.heap.mem);
                self.ty[i] = self.types.runtime(t, || rt.runtime_type(mem, t).map(|d| d.name));
            }
            queue.push_back(n);
        }
        if self.ty[i] == 0 && value == start {
            self.ty[i] = ty;
        }
    }

    fn root(&mut self, source: Source, value: u64, ty: TypeId, site: u32, queue: &mut VecDeque<u32>) {
        if self.heap.find(value).is_some() {
            self.sources.push(source);
            let n = ROOT | (self.sources.len() - 1) as u32;
            self.reach(value, n, ty, site, queue);
        }
    }

    fn follow(&mut self, mut queue: VecDeque<u32>) {
        let mut words: Vec<(u64, u64)> = Vec::new();
        while let Some(n) = queue.pop_front() {
            let Some((span, slot)) = self.heap.by_number(n) else { continue };
            words.clear();
            self.heap.pointers(span, slot, &mut |o, v| words.push((o, v)));
            let (ty, site) = (self.ty[n as usize], self.site[n as usize]);
            let skip = self.heap.header_type(span, slot).map_or(0, |h| h.1);
            for &(off, value) in &words {
                if !self.heap.may_contain(value) {
                    continue;
                }
                let leads = if ty == 0 { None } else { self.types.leads(ty, off - skip.min(off)).cloned() };
                let before = self.before(span, slot, off);
                let to = self.target(leads, before);
                self.reach(value, n + 1, to, site, &mut queue);
            }
        }
    }

    fn before(&self, span: u32, slot: u32, off: u64) -> u64 {
        let s = &self.heap.spans()[span as usize];
        off.checked_sub(8).map_or(0, |o| word(&self.heap.contents[span as usize], u64::from(slot) * s.elemsize + o))
    }

    fn describe(&self, n: u32) -> HeapObject {
        let Some((span, slot)) = self.heap.by_number(n) else { return HeapObject::default() };
        let (addr, size) = self.heap.object(span, slot);
        let name = &self.types.get(self.ty[n as usize]).name;
        HeapObject {
            addr,
            size,
            type_name: (!name.is_empty()).then(|| name.clone()),
            noscan: self.heap.spans()[span as usize].noscan,
        }
    }

    /// Sums by type or by who reached first.
    pub fn summary(&self, by: HeapBy, count: usize) -> HeapSummary {
        let mut rows: FxHashMap<(u32, u64, bool), HeapRow> = FxHashMap::default();
        let mut garbage = (0u64, 0u64);
        for (span, s) in self.heap.spans().iter().enumerate() {
            for slot in 0..s.nelems {
                let n = (s.first + slot) as usize;
                if self.parent[n] == 0 {
                    if self.heap.has_alloc_bit(s, slot) {
                        garbage.0 += 1;
                        garbage.1 += s.elemsize;
                    }
                    continue;
                }
                let key = match by {
                    HeapBy::Type if self.ty[n] == 0 => (0, s.elemsize, s.noscan),
                    HeapBy::Type => (self.ty[n], 0, false),
                    HeapBy::Site => (self.site[n], 0, false),
                };
                let row = rows
                    .entry(key)
                    .or_insert_with(|| HeapRow { sample: self.heap.object(span as u32, slot).0, ..HeapRow::default() });
                row.count += 1;
                row.bytes += s.elemsize;
            }
        }
        let mut out: Vec<HeapRow> = rows
            .into_iter()
            .map(|((id, size, noscan), row)| {
                let name = match by {
                    HeapBy::Site => self.sites.get(id as usize).cloned().unwrap_or_default(),
                    HeapBy::Type if id == 0 => {
                        format!("{size} bytes, {}", if noscan { "no pointers" } else { "with pointers" })
                    }
                    HeapBy::Type => self.types.get(id).name.clone(),
                };
                HeapRow { name, ..row }
            })
            .collect();
        // Several descriptors may have one name.
        out.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        out.dedup_by(|b, a| {
            let same = a.name == b.name;
            if same {
                a.count += b.count;
                a.bytes += b.bytes;
            }
            same
        });
        out.sort_unstable_by(|a, b| (b.bytes, &a.name).cmp(&(a.bytes, &b.name)));
        let total_rows = out.len() as u64;
        out.truncate(count);
        HeapSummary { rows: out, total_rows, live: self.live, garbage }
    }

    /// Who keeps the object at an address alive: shortest paths, each through another direct referrer.
    pub fn references(&self, at: LoadAddr, count: usize) -> Option<References> {
        let (span, slot) = self.heap.find(at.0)?;
        let target = self.number(ObjectId { span, slot });
        let mut paths: Vec<Vec<RefStep>> = Vec::new();
        // Roots that refer to it directly, then objects that do.
        for (i, s) in self.sources.iter().enumerate() {
            let here = match s {
                Source::Global(a) | Source::Special(a) => self.heap.mem.read_u64(*a).ok(),
                Source::Stack { at, .. } => self.heap.mem.read_u64(*at).ok(),
            };
            if here.and_then(|v| self.heap.find(v)) == Some((span, slot)) {
                paths.push(vec![self.source_step(i), self.object_step(target, 0)]);
            }
        }
        let mut seen: FxHashSet<u32> = FxHashSet::default();
        for (sp, s) in self.heap.spans().iter().enumerate().filter(|(_, s)| !s.noscan) {
            for sl in 0..s.nelems {
                let n = s.first + sl;
                if self.parent[n as usize] == 0 || n == target {
                    continue;
                }
                let mut hit = None;
                self.heap.pointers(sp as u32, sl, &mut |o, v| {
                    if hit.is_none() && self.heap.find(v) == Some((span, slot)) {
                        hit = Some(o);
                    }
                });
                if let Some(off) = hit
                    && seen.insert(n)
                    && seen.len() <= 100_000
                {
                    paths.extend(self.path_through(n, off, target));
                }
            }
        }
        paths.sort_by_key(Vec::len);
        let roots = paths.len() as u64;
        paths.truncate(count.max(1));
        Some(References { object: self.describe(target), paths, roots, retained: None })
    }

    fn path_through(&self, referrer: u32, off: u64, target: u32) -> Option<Vec<RefStep>> {
        let mut steps = vec![self.object_step(target, 0), self.object_step(referrer, off)];
        let mut at = referrer;
        while steps.len() < MAX_PATH {
            let p = self.parent[at as usize];
            if p & ROOT != 0 {
                steps.push(self.source_step((p & !ROOT) as usize));
                steps.reverse();
                return Some(steps);
            }
            let parent = p.checked_sub(1)?;
            if parent == target {
                return None; // it keeps itself alive: no reason
            }
            steps.push(self.object_step(parent, self.offset_of(parent, at)));
            at = parent;
        }
        None
    }

    fn offset_of(&self, parent: u32, child: u32) -> u64 {
        let (Some((ps, pl)), Some(c)) = (self.heap.by_number(parent), self.heap.by_number(child)) else { return 0 };
        let mut at = 0;
        let mut found = false;
        self.heap.pointers(ps, pl, &mut |o, v| {
            if !found && self.heap.find(v) == Some(c) {
                (at, found) = (o, true);
            }
        });
        at
    }

    fn object_step(&self, n: u32, offset: u64) -> RefStep {
        let skip = self.heap.by_number(n).and_then(|(s, l)| self.heap.header_type(s, l)).map_or(0, |h| h.1);
        let field = match offset {
            0 if skip == 0 && self.ty[n as usize] == 0 => None,
            o => self.types.field(self.ty[n as usize], o - skip.min(o)),
        };
        RefStep::Object { object: self.describe(n), offset, field: field.filter(|f| !f.is_empty()) }
    }

    fn source_step(&self, i: usize) -> RefStep {
        match &self.sources[i] {
            Source::Global(addr) => {
                let name = self.heap.rt.package_variable_at(*addr).map(|(v, _)| v.name.clone());
                RefStep::Global { name: name.unwrap_or_else(|| format!("package variable at {addr}")), addr: *addr }
            }
            Source::Special(addr) => RefStep::Special { what: "finalizer or cleanup".into(), addr: *addr },
            Source::Stack { goroutine, at, place } => {
                RefStep::Stack { goroutine: *goroutine, at: place.clone(), variable: None, addr: *at }
            }
        }
    }
}
