//! Root causes: stuck goroutines by the cycle or the goroutine at which their waiting begins; the others are its victims.

use super::graph::{Graph, Object, is_lock};
use super::look::Look;
use super::reach::Reach;
use crate::model::{Evidence, FindingClass, FindingKind, WaitKind, WaitOp};
use crate::waits::lockflow::Mode;
use std::collections::VecDeque;

/// One cause.
#[derive(Clone, Debug)]
pub struct Cause {
    /// What it is.
    pub kind: FindingKind,
    /// How sure.
    pub class: FindingClass,
    /// Goroutines that it is about (indices of the look).
    pub members: Vec<u32>,
    /// Goroutines that wait because of them.
    pub victims: Vec<u32>,
    /// Objects that its members wait for.
    pub objects: Vec<u32>,
    /// A cycle: goroutine, object that it waits for, how the next one's hold is known.
    pub cycle: Vec<(u32, u32, Evidence)>,
}

/// Finds them. `sure`: what reachability says is of one moment; `alone(who, object)`: no other goroutine refers to it.
pub fn causes(
    look: &Look<'_>,
    graph: &Graph,
    reach: Option<&Reach>,
    sure: bool,
    alone: &dyn Fn(u32, u32) -> bool,
) -> Vec<Cause> {
    let n = look.seen.len();
    let leaked = |i: u32| reach.is_some_and(|r| r.leaked[i as usize]);
    // Lock edges always count; other edges only where nobody else can come.
    let next: Vec<Vec<(u32, u32, Evidence)>> = (0..n as u32)
        .map(|i| {
            if !look.seen[i as usize].stable || graph.waits[i as usize].is_empty() {
                return Vec::new();
            }
            let edges = graph.edges(i).filter(|(o, h)| {
                let lock = is_lock(graph.objects[*o as usize].on.kind);
                (lock && h.evidence != Evidence::Exclusion) || leaked(i)
            });
            edges.map(|(o, h)| (h.who, o, h.evidence)).collect()
        })
        .collect();
    let component = components(&next);
    let mut causes: Vec<Cause> = Vec::new();
    let mut cause_of: Vec<Option<u32>> = vec![None; n];
    let mut members: Vec<Vec<u32>> = vec![Vec::new(); component.iter().max().map_or(0, |m| *m as usize + 1)];
    for (i, c) in component.iter().enumerate() {
        members[*c as usize].push(i as u32);
    }
    for m in members {
        let turns = m.len() > 1 || next[m[0] as usize].iter().any(|e| e.0 == m[0]);
        if turns {
            let cycle = shortest_cycle(&m, &next, &component);
            let cause = of_cycle(look, graph, &m, cycle, sure, &leaked);
            for i in &m {
                cause_of[*i as usize] = Some(causes.len() as u32);
            }
            causes.push(cause);
        }
    }
    // Leaked goroutines that wait for nobody in particular are causes of their own.
    for i in 0..n as u32 {
        if leaked(i) && cause_of[i as usize].is_none() && next[i as usize].is_empty() {
            cause_of[i as usize] = Some(causes.len() as u32);
            causes.push(of_sink(look, graph, i, sure, alone));
        }
    }
    // All others that wait for a cause's members are its victims: backwards from the members.
    let mut back: Vec<Vec<u32>> = vec![Vec::new(); n];
    for (i, edges) in next.iter().enumerate() {
        for e in edges {
            back[e.0 as usize].push(i as u32);
        }
    }
    let mut work: VecDeque<u32> = (0..n as u32).filter(|i| cause_of[*i as usize].is_some()).collect();
    while let Some(i) = work.pop_front() {
        let c = cause_of[i as usize];
        for &w in &back[i as usize] {
            if cause_of[w as usize].is_none() {
                cause_of[w as usize] = c;
                if let Some(c) = c {
                    causes[c as usize].victims.push(w);
                }
                work.push_back(w);
            }
        }
    }
    for c in &mut causes {
        c.victims.sort_unstable();
    }
    causes
}

fn of_sink(look: &Look<'_>, graph: &Graph, i: u32, sure: bool, alone: &dyn Fn(u32, u32) -> bool) -> Cause {
    let s = &look.seen[i as usize];
    let objects: Vec<u32> = graph.waits[i as usize].iter().map(|w| w.0).collect();
    let first = s.found.on.first().map_or(WaitKind::Other, |o| o.kind);
    let by_reason = s.reason.contains("nil chan") || s.reason.contains("no cases");
    let kind = match first {
        _ if s.reason.contains("nil chan") => FindingKind::NilChannel,
        _ if s.reason.contains("no cases") => FindingKind::EmptySelect,
        WaitKind::Mutex | WaitKind::Rwmutex => FindingKind::OrphanLock,
        WaitKind::Once => FindingKind::OnceDeadlock,
        WaitKind::Waitgroup => FindingKind::WaitgroupStuck,
        WaitKind::Cond => FindingKind::CondStuck,
        _ if super::context::waits_for_context(look, s) => FindingKind::ContextLeak,
        _ => FindingKind::ChannelLeak,
    };
    let class = if by_reason || sure { FindingClass::Proof } else { FindingClass::Strong };
    let mut cause = Cause { kind, class, members: vec![i], victims: Vec::new(), objects, cycle: Vec::new() };
    // A lock that only its one waiter refers to: it took the lock itself earlier, unless a goroutine did that has ended.
    if kind == FindingKind::OrphanLock
        && let [n] = cause.objects[..]
        && let [(_, op)] = graph.objects[n as usize].waiters[..]
        && op != WaitOp::Rlock
        && graph.objects[n as usize].held.iter().all(|h| h.who == i)
        && alone(i, n)
    {
        cause.kind = FindingKind::DoubleLock;
        cause.cycle = vec![(i, n, Evidence::Exclusion)];
    }
    cause
}

fn of_cycle(
    look: &Look<'_>,
    graph: &Graph,
    members: &[u32],
    cycle: Vec<(u32, u32, Evidence)>,
    sure: bool,
    leaked: &dyn Fn(u32) -> bool,
) -> Cause {
    let objects = {
        let mut v: Vec<u32> = cycle.iter().map(|c| c.1).collect();
        v.sort_unstable();
        v.dedup();
        v
    };
    let of = |n: &u32| -> &Object { &graph.objects[*n as usize] };
    let kinds: Vec<WaitKind> = objects.iter().map(|n| of(n).on.kind).collect();
    let has = |k: &[WaitKind]| kinds.iter().any(|x| k.contains(x));
    let locks = kinds.iter().filter(|k| is_lock(**k)).count();
    let kind = if locks == kinds.len() {
        if has(&[WaitKind::Once]) {
            FindingKind::OnceDeadlock
        } else if cycle.iter().any(|c| reads_again(graph, c.0, c.1)) {
            FindingKind::RwrDeadlock
        } else if cycle.len() == 1 {
            FindingKind::DoubleLock
        } else {
            FindingKind::LockCycle
        }
    } else if locks > 0 {
        FindingKind::MixedDeadlock
    } else if has(&[WaitKind::Waitgroup]) {
        FindingKind::WaitgroupStuck
    } else if has(&[WaitKind::Cond]) {
        FindingKind::CondStuck
    } else if cycle.iter().all(|c| super::context::waits_for_context(look, &look.seen[c.0 as usize])) {
        FindingKind::ContextLeak
    } else {
        FindingKind::ChannelLeak
    };
    // A cycle of locks whose holders are known by defers or frames needs no reachability; all its members were seen unmoved.
    let known = cycle.iter().all(|c| c.2 != Evidence::Exclusion) && locks == kinds.len();
    let class = match known || (sure && cycle.iter().all(|c| leaked(c.0))) {
        true => FindingClass::Proof,
        false => FindingClass::Strong,
    };
    let on_cycle: Vec<u32> = {
        let mut v: Vec<u32> = cycle.iter().map(|c| c.0).collect();
        v.sort_unstable();
        v.dedup();
        v
    };
    let victims = members.iter().copied().filter(|m| !on_cycle.contains(m)).collect();
    Cause { kind, class, members: on_cycle, victims, objects, cycle }
}

/// Does a goroutine wait to read-lock what it (or another member) holds for reading, behind a queued writer?
fn reads_again(graph: &Graph, who: u32, object: u32) -> bool {
    let o = &graph.objects[object as usize];
    let wants = o.waiters.contains(&(who, WaitOp::Rlock));
    o.on.kind == WaitKind::Rwmutex && wants && o.held.iter().any(|h| h.mode == Some(Mode::Read))
}

/// Strongly connected components (Tarjan, without recursion): the number of its component for each node.
fn components(next: &[Vec<(u32, u32, Evidence)>]) -> Vec<u32> {
    let n = next.len();
    let (mut index, mut low, mut comp) = (vec![u32::MAX; n], vec![0u32; n], vec![u32::MAX; n]);
    let (mut stack, mut calls): (Vec<u32>, Vec<(u32, usize)>) = (Vec::new(), Vec::new());
    let (mut count, mut comps) = (0u32, 0u32);
    for root in 0..n as u32 {
        if index[root as usize] != u32::MAX {
            continue;
        }
        calls.push((root, 0));
        while let Some((v, edge)) = calls.pop() {
            let u = v as usize;
            if edge == 0 {
                index[u] = count;
                low[u] = count;
                count += 1;
                stack.push(v);
            }
            if let Some(e) = next[u].get(edge) {
                calls.push((v, edge + 1));
                let w = e.0 as usize;
                if index[w] == u32::MAX {
                    calls.push((e.0, 0));
                } else if comp[w] == u32::MAX {
                    low[u] = low[u].min(index[w]);
                }
                continue;
            }
            if low[u] == index[u] {
                while let Some(w) = stack.pop() {
                    comp[w as usize] = comps;
                    if w == v {
                        break;
                    }
                }
                comps += 1;
            }
            if let Some(&(parent, _)) = calls.last() {
                low[parent as usize] = low[parent as usize].min(low[u]);
            }
        }
    }
    comp
}

/// The shortest cycle within one component; of equal ones that of the lowest goroutine.
fn shortest_cycle(members: &[u32], next: &[Vec<(u32, u32, Evidence)>], component: &[u32]) -> Vec<(u32, u32, Evidence)> {
    const STARTS: usize = 64;
    let mut best: Vec<(u32, u32, Evidence)> = Vec::new();
    for &start in members.iter().take(STARTS) {
        let mut from: std::collections::HashMap<u32, (u32, u32, Evidence)> = Default::default();
        let mut queue = VecDeque::from([start]);
        'search: while let Some(v) = queue.pop_front() {
            for &(w, o, ev) in &next[v as usize] {
                if component[w as usize] != component[start as usize] {
                    continue;
                }
                if w == start {
                    let mut path = vec![(v, o, ev)];
                    let mut at = v;
                    while at != start {
                        let (p, o, ev) = from[&at];
                        path.push((p, o, ev));
                        at = p;
                    }
                    path.reverse();
                    if best.is_empty() || path.len() < best.len() {
                        best = path;
                    }
                    break 'search;
                }
                from.entry(w).or_insert_with(|| {
                    queue.push_back(w);
                    (v, o, ev)
                });
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn components_and_cycles() {
        let e = |v: &[u32]| v.iter().map(|w| (*w, 0, Evidence::Defer)).collect::<Vec<_>>();
        // 0 -> 1 -> 2 -> 0, 3 -> 0, 4 -> 4, 5
        let next = vec![e(&[1]), e(&[2]), e(&[0]), e(&[0]), e(&[4]), e(&[])];
        let c = components(&next);
        assert!(c[0] == c[1] && c[1] == c[2] && c[3] != c[0] && c[4] != c[5]);
        assert_eq!(shortest_cycle(&[0, 1, 2], &next, &c).iter().map(|x| x.0).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(shortest_cycle(&[4], &next, &c).len(), 1);
    }
}
