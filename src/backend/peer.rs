//! Who is at the other end of a line to a host that serves several.

use super::protocol::{Failure, FailureKind, Notice, Request};
use super::scopes::{Scope, Scopes, needs};
use super::token;
use crate::model::StopReason;

/// A client, as the host knows it. Never sent: the host that a line leads to says who is at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its number at this host.
    pub number: u32,
    /// For the record: user, key, token.
    pub who: String,
    /// What it may do, at most.
    pub scopes: Scopes,
    /// Until when, seconds since 1970.
    pub until: Option<u64>,
    /// Why a token that it showed was not taken.
    pub problem: Option<String>,
}

impl Peer {
    /// What it may do now.
    ///
    /// # Errors
    /// Its token has expired.
    pub fn scopes_now(&self) -> Result<Scopes, Failure> {
        match self.until {
            Some(t) if t <= token::now() => {
                Err(Failure::new(FailureKind::Permission, "the token has expired").fix("ask for a new one"))
            }
            _ => Ok(self.scopes),
        }
    }
}

/// Does it change what others see, so that one client alone may ask for it?
pub fn drives(r: &Request) -> bool {
    let control = [
        Scope::ControlStop,
        Scope::ControlStep,
        Scope::WriteVars,
        Scope::Call,
        Scope::Kill,
        Scope::ProbeLog,
        Scope::ProbeWatch,
        Scope::Trace,
    ];
    match r {
        Request::Open(_) => false,
        Request::ClearBreakpoint(_)
        | Request::EditBreakpoint { .. }
        | Request::Reveal { .. }
        | Request::TimelineCode { .. }
        | Request::ProfileBase { .. }
        | Request::ProfileFetch { .. }
        | Request::ResizePty { .. } => true,
        Request::TraceReport(_) | Request::TraceReportOf { .. } => false,
        r => needs(r).iter().any(|s| control.contains(s)),
    }
}

/// News, without what a client may not see; none of it, perhaps.
pub fn filtered(scopes: Scopes, n: &Notice) -> Option<Notice> {
    let (any, vars) = (scopes != Scopes::NONE, scopes.has(Scope::ReadVars));
    if !any {
        return None;
    }
    if vars {
        return Some(n.clone());
    }
    match n {
        Notice::Stopped(s) => {
            let mut s = s.clone();
            s.returned.clear();
            let hidden = || "(needs the scope read:vars)".to_string();
            match &mut s.reason {
                StopReason::UnrecoveredPanic(t) | StopReason::ConditionFailed(_, t) => *t = hidden(),
                StopReason::Watchpoint { old, new, .. } => (*old, *new) = (hidden(), hidden()),
                _ => {}
            }
            Some(Notice::Stopped(s))
        }
        Notice::Hits { .. } | Notice::Output(_) => None,
        other => Some(other.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Stop;

    #[test]
    fn news_are_for_those_who_may_see_them() {
        let stop = Stop {
            epoch: Default::default(),
            reason: StopReason::UnrecoveredPanic("password".into()),
            goroutine: None,
            thread: crate::base::Tid(1),
            at: Default::default(),
            returned: Vec::new(),
            stop_us: 0,
            copied: false,
        };
        let n = Notice::Stopped(Box::new(stop));
        let meta = Scopes::NONE.and(Scope::ReadMeta);
        assert_eq!(filtered(Scopes::NONE, &n), None);
        assert!(!format!("{:?}", filtered(meta, &n)).contains("password"));
        assert_eq!(filtered(meta, &Notice::Output(b"x".to_vec())), None);
        assert_eq!(filtered(Scopes::FULL, &n), Some(n));
        assert!(drives(&Request::Pause) && drives(&Request::Detach { kill: true }) && !drives(&Request::Threads));
    }
}
