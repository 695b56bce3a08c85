//! `database/sql` pools: all connections in use, and others wait. Who has them, and what these do, says whether it is a queue that
//! moves or one that stands.

use super::super::case::{Case, Draft};
use super::super::reach::depends;
use super::super::stuck::Cause;
use super::PATIENCE;
use crate::base::{LoadAddr, Memory};
use crate::goruntime::StackStart;
use crate::goruntime::value::Reader;
use crate::model::{Finding, FindingClass, FindingKind, Severity};
use crate::symbols::dwarf::{GoType, TypeKind};

/// Goroutines whose frames are looked through for connections.
const LOOKED: usize = 5_000;
/// Holders named.
const NAMED: usize = 5;
/// Where it is waited for a connection.
const WAITS_IN: &str = "database/sql.(*DB).conn";

fn waits(c: &Case<'_>, i: u32) -> bool {
    let s = &c.a.look.seen[i as usize];
    s.stable && s.reason.starts_with("select") && s.calls(|f| f == WAITS_IN)
}

/// Is a cause about goroutines that wait for a connection? They have a finding of their own.
pub(super) fn about(c: &Case<'_>, x: &Cause) -> bool {
    x.members.iter().chain(&x.victims).any(|m| waits(c, *m))
}

/// A pool.
struct Pool {
    db: LoadAddr,
    open: i64,
    max: i64,
}

/// Who has a connection.
struct Holder {
    who: u32,
    what: String,
    /// It waits for something outside of the database.
    away: bool,
    /// It waits for another connection.
    nested: bool,
}

/// Goroutines that wait in `database/sql.(*DB).conn` for one of the connections, all of which are in use. That they do at this moment
/// is no trouble: there is when they have for long, when they can never get one, or when all who have one wait for something else.
pub(super) fn sql_pool(c: &Case<'_>) -> Result<Vec<Finding>, String> {
    let waiting: Vec<u32> = (0..c.a.look.seen.len() as u32).filter(|i| waits(c, *i)).collect();
    let Some(&first) = waiting.first() else { return Ok(Vec::new()) };
    let pool = pool(c, first);
    if pool.as_ref().is_some_and(|p| p.max <= 0 || p.open < p.max) {
        return Ok(Vec::new());
    }
    let holders = pool.as_ref().map(|p| holders(c, p)).unwrap_or_default();
    let oldest = waiting.iter().filter_map(|w| c.waited(*w)).max().unwrap_or(0);
    let never = c.a.reach.as_ref().is_some_and(|r| waiting.iter().all(|w| r.leaked[*w as usize]));
    let all = pool.as_ref().is_some_and(|p| holders.len() as i64 >= p.max);
    let nested = all && holders.iter().all(|h| h.nested);
    let away = all && holders.iter().all(|h| h.away || h.nested);
    let sure = oldest >= PATIENCE || never || nested;
    if !sure && !away {
        return Ok(Vec::new());
    }
    let in_use = pool.as_ref().map_or_else(
        || "all connections are in use".to_string(),
        |p| format!("{} of {} connections are in use", p.open, p.max),
    );
    let mut why = Vec::new();
    if nested {
        why.push("who has a connection waits for another one".to_string());
    } else if never {
        why.push(c.unreachable(FindingClass::Strong));
    }
    if away && !nested {
        why.push("all who have one wait for something else".into());
    }
    if oldest >= PATIENCE {
        why.push(format!("the first has waited for {}", crate::base::clock::human_ns(oldest)));
    }
    why.extend(holders.iter().take(NAMED).map(|h| format!("{} has {}", user(c, h.who), h.what)));
    if let Some(more) = holders.len().checked_sub(NAMED).filter(|n| *n > 0) {
        why.push(format!("{more} more have one"));
    }
    if holders.is_empty() {
        why.push("who has them cannot be told".into());
    }
    let next = if nested {
        "do not ask for a second connection while holding one: close the Rows first, or use the transaction for both"
    } else if away {
        "close Rows and end transactions before waiting for anything else"
    } else {
        "see what the queries wait for; give them a context with a deadline, and SetMaxOpenConns a higher number if the load is real"
    };
    let mut members: Vec<u32> = holders.iter().map(|h| h.who).collect();
    let victims: Vec<u32> = waiting.iter().copied().filter(|w| !members.contains(w)).collect();
    let victims = if members.is_empty() { Vec::new() } else { victims };
    if members.is_empty() {
        members.clone_from(&waiting);
    }
    Ok(vec![c.finding(Draft {
        kind: FindingKind::SqlPool,
        class: if sure { FindingClass::Strong } else { FindingClass::Likely },
        severity: if sure { Severity::Medium } else { Severity::Info },
        summary: format!("sql.DB: {in_use}, {} wait for one", waiting.len()),
        why,
        next: vec![next.into()],
        object: None,
        cycle: Vec::new(),
        members,
        victims,
    })])
}

/// Who called the package: `g7 main.list users.go:30`.
fn user(c: &Case<'_>, who: u32) -> String {
    let s = &c.a.look.seen[who as usize];
    let frames: Vec<_> = s.frames.iter().flat_map(|f| &f.info.frames).collect();
    let inside = frames.iter().rposition(|l| l.at.function.starts_with("database/sql."));
    match inside.and_then(|n| frames.get(n + 1)).filter(|l| !l.at.function.starts_with("runtime.")) {
        Some(l) => format!("g{} {} {}:{}", s.g.goid, l.at.short_function(), l.at.base_file(), l.at.line),
        None => c.goroutine(who),
    }
}

/// The pool that a goroutine waits for, and `numOpen` and `maxOpen` of it; needs DWARF.
fn pool(c: &Case<'_>, who: u32) -> Option<Pool> {
    let (rt, mem) = (c.target.rt, c.target.mem);
    let r = Reader::new(rt, mem)?;
    let walked = rt.stack(mem, StackStart::Parked(c.a.look.seen[who as usize].g.addr), 40, false).ok()?;
    let i = walked.stack.frames.iter().position(|f| f.at.function == WAITS_IN)?;
    let db = r.local(&rt.frame_scope(&walked, i, None)?, "db")?;
    let db = LoadAddr(r.word(&db.place, 0).ok()?);
    let t = r.dwarf.go_type(r.dwarf.type_by_name("database/sql.DB")?);
    let number = |name: &str| Some(mem.read_u64(db.add(t.field(name)?.offset)).ok()?.cast_signed());
    Some(Pool { db, open: number("numOpen")?, max: number("maxOpen")? })
}

/// Goroutines with a variable that has one of the pool's connections.
fn holders(c: &Case<'_>, pool: &Pool) -> Vec<Holder> {
    let (rt, mem) = (c.target.rt, c.target.mem);
    let Some(r) = Reader::new(rt, mem) else { return Vec::new() };
    let mut out = Vec::new();
    let seen = c.a.look.seen.iter().enumerate();
    // Helpers of the package wait for the end of what others hold.
    let may = |s: &super::super::look::Seen| !s.system && s.stable && !s.calls(|f| f.contains(").awaitDone"));
    for (i, s) in seen.filter(|(_, s)| may(s)).take(LOOKED) {
        let Ok(walked) = rt.stack(mem, StackStart::Parked(s.g.addr), 40, false) else { continue };
        let what = (0..walked.stack.frames.len()).find_map(|n| {
            let f = &walked.stack.frames[n].at.function;
            if f.starts_with("runtime.") || f == WAITS_IN {
                return None;
            }
            let scope = rt.frame_scope(&walked, n, None)?;
            r.scope(&scope).iter().find_map(|v| {
                let TypeKind::Pointer { elem: Some(e) } = v.ty.kind else { return None };
                let t = r.dwarf.go_type(e);
                let at = LoadAddr(r.word(&v.place, 0).ok().filter(|a| *a != 0)?);
                in_use(&r, mem, &t, at, pool).then(|| what_text(&t.name))
            })
        });
        // Only if it stands where it stood when its wait was read.
        let stands = || rt.read_g(mem, s.g.addr).is_ok_and(|g| g.goid == s.g.goid && g.same_wait(&s.g));
        if let Some(what) = what.filter(|_| stands()) {
            let nested = waits(c, i as u32);
            let inside = s.calls(|f| f.starts_with("database/sql."));
            let away = !inside && s.found.on.first().is_some_and(|o| depends(o.kind));
            out.push(Holder { who: i as u32, what, away, nested });
        }
    }
    out
}

fn what_text(t: &str) -> String {
    match t {
        "database/sql.driverConn" => "one in a call".into(),
        t => format!("an open *{}", t.rsplit('/').next().unwrap_or(t)),
    }
}

/// Is it something of the package that keeps one of the pool's connections now?
fn in_use(r: &Reader<'_>, mem: &dyn Memory, t: &GoType, at: LoadAddr, pool: &Pool) -> bool {
    let pointer = |t: &GoType, at: LoadAddr, name: &str| mem.read_ptr(at.add(t.field(name)?.offset)).ok();
    // Flags are a bool, an int32 or an atomic with its value last; all of them less than a word.
    let set = |t: &GoType, at: LoadAddr, name: &str| -> Option<bool> {
        let f = t.field(name)?;
        let size = r.dwarf.go_type(f.ty).size.clamp(1, 8);
        Some(mem.read_vec(at.add(f.offset), size as usize).ok()?.iter().any(|b| *b != 0))
    };
    let connection = |dc: LoadAddr| -> Option<bool> {
        let t = r.dwarf.go_type(r.dwarf.type_by_name("database/sql.driverConn")?);
        Some(!dc.is_nil() && pointer(&t, dc, "db")? == pool.db && set(&t, dc, "inUse")?)
    };
    let answer = || match t.name.as_str() {
        "database/sql.Rows" => Some(!set(t, at, "closed")? && connection(pointer(t, at, "dc")?)?),
        "database/sql.Tx" | "database/sql.Conn" => Some(!set(t, at, "done")? && connection(pointer(t, at, "dc")?)?),
        "database/sql.driverConn" => connection(at),
        _ => None,
    };
    answer().unwrap_or(false)
}
