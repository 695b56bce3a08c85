//! Well-known libraries: HTTP bodies that were not closed, exhausted database pools.

use super::super::case::{Case, Draft};
use crate::base::LoadAddr;
use crate::goruntime::StackStart;
use crate::goruntime::value::Reader;
use crate::model::{Finding, FindingClass, FindingKind, Severity};
use std::time::Duration;

/// Connections from which on waiting bodies are a leak.
const BODIES: usize = 10;
/// How long they must have stood, where it can be told.
const PATIENCE: Duration = Duration::from_secs(30);

/// `persistConn.readLoop` reads from the network while its connection is idle; it waits in a select while the body that it handed out
/// has not been read to its end or closed (net/http/transport.go).
pub(super) fn http_body(c: &Case<'_>) -> Result<Vec<Finding>, String> {
    let members: Vec<u32> = (0..c.a.look.seen.len() as u32)
        .filter(|i| {
            let s = &c.a.look.seen[*i as usize];
            let old = c.waited(*i).is_some_and(|ns| u128::from(ns) >= PATIENCE.as_nanos());
            s.stable && &*s.reason == "select" && old && s.calls(|f| f == "net/http.(*persistConn).readLoop")
        })
        .collect();
    if members.len() < BODIES {
        return Ok(Vec::new());
    }
    Ok(vec![c.finding(Draft {
        kind: FindingKind::HttpBodyLeak,
        class: FindingClass::Likely,
        severity: Severity::Medium,
        summary: format!("{} HTTP connections wait for their response's body to be read or closed", members.len()),
        why: vec!["readLoop waits in a select, not for the network: the body that it handed out is still open".into()],
        next: vec![
                "`defer resp.Body.Close()` after every request, and read the body to its end to reuse the connection"
                    .into(),
            ],
        object: None,
        cycle: Vec::new(),
        members,
        victims: Vec::new(),
    })])
}

/// Goroutines that wait in `database/sql.(*DB).conn` for one of the connections, all of which are in use.
pub(super) fn sql_pool(c: &Case<'_>) -> Result<Vec<Finding>, String> {
    let waits = |s: &super::super::look::Seen| {
        s.stable && s.reason.starts_with("select") && s.calls(|f| f == "database/sql.(*DB).conn")
    };
    let waiting: Vec<u32> = (0..c.a.look.seen.len() as u32).filter(|i| waits(&c.a.look.seen[*i as usize])).collect();
    let Some(&first) = waiting.first() else { return Ok(Vec::new()) };
    let numbers = pool_numbers(c, first);
    if let Some((open, max)) = numbers
        && (max == 0 || open < max)
    {
        return Ok(Vec::new());
    }
    let holders: Vec<u32> = (0..c.a.look.seen.len() as u32)
        .filter(|i| {
            let s = &c.a.look.seen[*i as usize];
            let uses = |f: &str| {
                ["database/sql.(*Rows).", "database/sql.(*Tx).", "database/sql.(*Conn).", "database/sql.(*Stmt)."]
                    .iter()
                    .any(|p| f.starts_with(p))
            };
            !waiting.contains(i) && s.calls(uses)
        })
        .collect();
    let use_text = numbers.map_or_else(
        || "all connections are in use".to_string(),
        |(o, m)| format!("{o} of {m} connections are in use"),
    );
    let mut why = vec![use_text.clone(), format!("{} goroutines wait in (*DB).conn", waiting.len())];
    why.extend(holders.iter().take(5).map(|h| format!("{} uses one", c.goroutine(*h))));
    Ok(vec![c.finding(Draft {
        kind: FindingKind::SqlPool,
        class: FindingClass::Strong,
        severity: Severity::Medium,
        summary: format!("sql.DB: {use_text}, {} queued", waiting.len()),
        why,
        next: vec!["close Rows, end transactions, and do not ask for a second connection while holding one; SetMaxOpenConns if the load is real".into()],
        object: None,
        cycle: Vec::new(),
        members: waiting,
        victims: holders,
    })])
}

/// `DB.numOpen` and `DB.maxOpen` of the pool that a goroutine waits for; needs DWARF.
fn pool_numbers(c: &Case<'_>, who: u32) -> Option<(i64, i64)> {
    let (rt, mem) = (c.target.rt, c.target.mem);
    let r = Reader::new(rt, mem)?;
    let walked = rt.stack(mem, StackStart::Parked(c.a.look.seen[who as usize].g.addr), 40, false).ok()?;
    let i = walked.stack.frames.iter().position(|f| f.at.function == "database/sql.(*DB).conn")?;
    let db = r.local(&rt.frame_scope(&walked, i, None)?, "db")?;
    let at = LoadAddr(r.word(&db.place, 0).ok()?);
    let t = r.dwarf.go_type(r.dwarf.type_by_name("database/sql.DB")?);
    let number = |name: &str| Some(mem.read_u64(at.add(t.field(name)?.offset)).ok()?.cast_signed());
    Some((number("numOpen")?, number("maxOpen")?))
}
