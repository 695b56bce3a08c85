//! Well-known libraries: HTTP bodies that were not closed.

use super::super::case::{Case, Draft};
use super::PATIENCE;
use crate::model::{Finding, FindingClass, FindingKind, Severity};

/// Connections from which on waiting bodies are a leak.
const BODIES: usize = 10;

/// `persistConn.readLoop` reads from the network while its connection is idle; it waits in a select while the body that it handed out
/// has not been read to its end or closed (net/http/transport.go).
pub(super) fn http_body(c: &Case<'_>) -> Result<Vec<Finding>, String> {
    let members: Vec<u32> = (0..c.a.look.seen.len() as u32)
        .filter(|i| {
            let s = &c.a.look.seen[*i as usize];
            let old = c.waited(*i).is_some_and(|ns| ns >= PATIENCE);
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
