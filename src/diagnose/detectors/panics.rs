//! Panics and Goexit under way on a goroutine that waits: its deferred calls are blocked, its locks stay locked.

use super::super::case::{Case, Draft};
use super::super::shown::object_name;
use super::PATIENCE;
use crate::model::{Finding, FindingClass, FindingKind, Severity};

pub(super) fn in_flight(c: &Case<'_>) -> Result<Vec<Finding>, String> {
    let mut out = Vec::new();
    for (i, s) in c.a.look.seen.iter().enumerate() {
        if s.system || !s.stable || s.g.panics.is_nil() || !s.g.waits() {
            continue;
        }
        let panics = c.target.rt.panics(c.target.mem, &s.g);
        // A recovered one is over but for its clean-up.
        let Some(p) = panics.iter().find(|p| !p.recovered) else { continue };
        let what = if p.goexit {
            "runtime.Goexit".to_string()
        } else {
            format!("panic({})", crate::base::text::printable_str(&p.value, 120))
        };
        let held = &c.a.graph.holds[i];
        let mut why = vec![format!("{what} runs deferred calls, and one of them waits: {}", s.reason)];
        let i = i as u32;
        why.extend(held.iter().filter_map(|h| h.lock).map(|l| format!("it still holds {}", c.lock_name(l, i))));
        // A deferred call that waits for a while is nothing yet: its wait must be one that cannot end, or last, or keep a lock.
        let cause = c.a.causes.iter().find(|x| x.members.contains(&i) || x.victims.contains(&i));
        let (class, severity, state) = match cause {
            Some(x) if held.is_empty() => (x.class, Severity::Medium, "is stuck"),
            Some(x) => (x.class, Severity::High, "is stuck"),
            None if !held.is_empty() || c.waited(i).is_some_and(|ns| ns >= PATIENCE) => {
                (FindingClass::Likely, Severity::Medium, "waits")
            }
            None => continue,
        };
        out.push(c.finding(Draft {
            kind: FindingKind::PanicInFlight,
            class,
            severity,
            summary: format!("{what} {state} in a deferred call, {}", c.place_text(i)),
            object: s.found.on.first().map(|o| c.object(o, Some(i))),
            why: {
                why.extend(s.found.on.first().map(|o| format!("it waits for {}", object_name(&c.object(o, Some(i))))));
                why
            },
            next: vec!["a deferred call must not wait for what the panicking function still holds".into()],
            cycle: Vec::new(),
            members: vec![i],
            victims: Vec::new(),
        }));
    }
    Ok(out)
}
