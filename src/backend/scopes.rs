//! What a client may do: each request needs scopes, and the host grants some. The host enforces it; clients only show it.

use super::protocol::{Failure, FailureKind, Request, ResumeKind, TargetSpec};
use crate::model::{BreakpointPlace, BreakpointSpec, TriggerAction};

/// One thing that may be permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum Scope {
    /// What the program is: names, sources, code, breakpoints that are set.
    ReadMeta,
    /// Goroutines, their stacks, what they wait for, scheduler and collector; no values of variables.
    ReadGoroutines,
    /// Values of variables, arguments and captured ones.
    ReadVars,
    /// Raw memory and registers.
    ReadMemory,
    /// Values that look like secrets.
    ReadSecrets,
    /// Profiles.
    Profile,
    /// Execution traces.
    Trace,
    /// Log and trace points.
    ProbeLog,
    /// Watchpoints that do not stop.
    ProbeWatch,
    /// Stopping it.
    ControlStop,
    /// Stepping it, starting it, its input.
    ControlStep,
    /// Writing variables, registers and memory.
    WriteVars,
    /// Calling its functions.
    Call,
    /// Copies of its memory in files.
    Core,
    /// Ending it.
    Kill,
}

use Scope::*;

impl Scope {
    /// All, with their names.
    pub const ALL: &'static [(&'static str, Scope)] = &[
        ("read:meta", ReadMeta),
        ("read:goroutines", ReadGoroutines),
        ("read:vars", ReadVars),
        ("read:memory", ReadMemory),
        ("read:secrets", ReadSecrets),
        ("profile", Profile),
        ("trace", Trace),
        ("probe:log", ProbeLog),
        ("probe:watch", ProbeWatch),
        ("control:stop", ControlStop),
        ("control:step", ControlStep),
        ("write:vars", WriteVars),
        ("call", Call),
        ("core", Core),
        ("kill", Kill),
    ];

    /// As it is written.
    pub fn name(self) -> &'static str {
        Scope::ALL.iter().find(|s| s.1 == self).map_or("", |s| s.0)
    }
}

const OBSERVER: &[Scope] = &[ReadMeta, ReadGoroutines, ReadVars, Profile];
const DIAGNOSE: &[Scope] = &[ReadMeta, ReadGoroutines, ReadVars, Profile, Trace, ProbeLog, ControlStop];

/// What is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scopes(u16);

impl Scopes {
    /// Everything.
    pub const FULL: Scopes = Scopes((1 << Scope::ALL.len()) - 1);
    /// Nothing.
    pub const NONE: Scopes = Scopes(0);

    /// With one more.
    pub fn and(self, s: Scope) -> Scopes {
        Scopes(self.0 | 1 << s as u16)
    }

    /// What both grant.
    pub fn of(self, other: Scopes) -> Scopes {
        Scopes(self.0 & other.0)
    }

    /// Is it granted?
    pub fn has(self, s: Scope) -> bool {
        self.0 & 1 << s as u16 != 0
    }

    /// Presets and names, separated by commas: `observer`, `diagnose`, `debug`, `full`, `read:vars`, …
    ///
    /// # Errors
    /// One that there is not: all that there are.
    pub fn parse(text: &str) -> Result<Scopes, String> {
        let mut all = Scopes::NONE;
        for word in text.split(',').map(str::trim).filter(|w| !w.is_empty()) {
            let more: Vec<Scope> = match word {
                "observer" => OBSERVER.to_vec(),
                "diagnose" => DIAGNOSE.to_vec(),
                "debug" => Scope::ALL.iter().map(|s| s.1).filter(|s| !matches!(s, Kill | ReadSecrets)).collect(),
                "full" => Scope::ALL.iter().map(|s| s.1).collect(),
                other => match Scope::ALL.iter().find(|s| s.0 == other) {
                    Some(s) => vec![s.1],
                    None => {
                        let known: Vec<&str> = Scope::ALL.iter().map(|s| s.0).collect();
                        return Err(format!(
                            "no such scope: {other}; observer, diagnose, debug, full, {}",
                            known.join(", ")
                        ));
                    }
                },
            };
            all = more.into_iter().fold(all, Scopes::and);
        }
        Ok(all)
    }

    /// As it is written: all names.
    pub fn text(self) -> String {
        let names: Vec<&str> = Scope::ALL.iter().filter(|s| self.has(s.1)).map(|s| s.0).collect();
        names.join(",")
    }

    /// What a client with these scopes gets to ask: the request, with less in it if only a part is permitted.
    ///
    /// # Errors
    /// A scope is missing.
    pub fn permit(self, mut r: Request) -> Result<Request, Failure> {
        // Deferred calls and panics have values of variables with them.
        if !self.has(ReadVars) {
            match &mut r {
                Request::Stack { defers, .. } => *defers = false,
                Request::Goroutines(q) => q.defers = false,
                _ => {}
            }
        }
        match needs(&r).into_iter().find(|s| !self.has(*s)) {
            None => Ok(r),
            Some(s) => Err(Failure::new(
                FailureKind::Permission,
                format!("this needs the scope {}, which was not granted", s.name()),
            )
            .fix("whoever started the host grants it with --scopes")),
        }
    }
}

/// All scopes that a request needs. Without a wildcard: whoever adds a request has to decide.
pub fn needs(r: &Request) -> Vec<Scope> {
    match r {
        Request::Hello { .. }
        | Request::Alive { .. }
        | Request::ClientGone
        | Request::Token { .. }
        | Request::TakeOver => Vec::new(),
        Request::Open(t) => match t {
            TargetSpec::Attach { control: true, .. } | TargetSpec::Delve { .. } => vec![ReadMeta, ControlStop],
            TargetSpec::Launch(_) => vec![ReadMeta, ControlStep],
            _ => vec![ReadMeta],
        },
        Request::Refresh
        | Request::Source { .. }
        | Request::CodeLines { .. }
        | Request::Disassemble { .. }
        | Request::Code { .. }
        | Request::Symbols { .. }
        | Request::Breakpoints
        | Request::ResizePty { .. }
        | Request::ClearBreakpoint(_)
        | Request::Detach { kill: false } => vec![ReadMeta],
        Request::Goroutines(q) if q.defers => vec![ReadGoroutines, ReadVars],
        Request::Stack { defers: true, .. } => vec![ReadGoroutines, ReadVars],
        Request::Goroutines(_)
        | Request::Stack { .. }
        | Request::Groups(_)
        | Request::GroupMembers { .. }
        | Request::GoroutinesById { .. }
        | Request::GoroutineNames(_)
        | Request::Threads
        | Request::Diagnose(_)
        | Request::Waits(_)
        | Request::Heap { .. }
        | Request::Timeline(_)
        | Request::Spans { .. }
        | Request::FindMark(_)
        | Request::TimelineSummary => vec![ReadGoroutines],
        Request::Scope { .. }
        | Request::Children { .. }
        | Request::Eval { .. }
        | Request::PackageVariables { .. }
        | Request::Values { .. }
        | Request::Refs { .. } => vec![ReadVars],
        Request::Memory { .. } | Request::Registers(_) => vec![ReadMemory],
        Request::Reveal { .. } => vec![ReadSecrets],
        Request::Profile(_)
        | Request::ProfileBase { .. }
        | Request::ProfileSources
        | Request::ProfileFetch { .. }
        | Request::TimelineCode { .. } => vec![Profile],
        Request::Record { .. }
        | Request::TraceReport(_)
        | Request::TraceReportOf { .. }
        | Request::TraceOver { .. } => vec![Trace],
        Request::SetBreakpoint { spec, .. } | Request::EditBreakpoint { spec, .. } => breakpoint(spec),
        Request::SetTrigger(t) => match t.action {
            TriggerAction::Stop => vec![ControlStop],
            TriggerAction::Snapshot(_) => vec![ControlStop, Core],
        },
        Request::ClearTrigger { .. } => vec![ControlStop],
        Request::Snapshot { file: None } => vec![ControlStop],
        Request::Snapshot { file: Some(_) } => vec![ControlStop, Core],
        Request::Resume { kind: ResumeKind::Continue, .. } | Request::Pause | Request::Hold { .. } => vec![ControlStop],
        Request::Resume { .. }
        | Request::CancelStep
        | Request::Restart { .. }
        | Request::Redirect(_)
        | Request::Input(_) => vec![ControlStep],
        Request::Set { .. } | Request::SetMemory { .. } | Request::SetRegister { .. } | Request::Jump { .. } => {
            vec![WriteVars]
        }
        Request::Call { .. } => vec![ReadVars, super::scopes::Scope::Call],
        Request::Detach { kill: true } => vec![Kill],
    }
}

fn breakpoint(spec: &BreakpointSpec) -> Vec<Scope> {
    let a = &spec.actions;
    let mut all = match (&spec.place, a.run_on) {
        (BreakpointPlace::Watch { .. }, true) => vec![ProbeWatch, ReadVars],
        (BreakpointPlace::Watch { .. }, false) => vec![ProbeWatch, ReadVars, ControlStop],
        (_, true) => vec![ProbeLog],
        (_, false) => vec![ControlStop],
    };
    // Whether a condition holds says something of what it is about.
    if !spec.condition.is_empty() || !a.log.is_empty() || !a.values.is_empty() || a.trace {
        all.push(ReadVars);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        assert_eq!(Scopes::parse("read:meta, kill").map(Scopes::text), Ok("read:meta,kill".into()));
        assert_eq!((Scopes::parse(""), Scopes::parse("full")), (Ok(Scopes::NONE), Ok(Scopes::FULL)));
        assert!(Scopes::parse("observer").is_ok_and(|s| s.has(ReadVars) && !s.has(ControlStop) && !s.has(ReadMemory)));
        assert!(Scopes::parse("debug").is_ok_and(|s| s.has(Core) && !s.has(Kill) && !s.has(ReadSecrets)));
        assert!(Scopes::parse("everything").is_err_and(|e| e.contains("observer")));
        for (name, s) in Scope::ALL {
            assert_eq!((s.name(), Scopes::parse(name)), (*name, Ok(Scopes::NONE.and(*s))));
        }
    }

    #[test]
    fn less_is_asked_where_less_is_permitted() {
        let r = Request::Stack { goroutine: None, depth: 5, defers: true };
        let none = Scopes::NONE.and(ReadGoroutines);
        assert!(matches!(none.permit(r.clone()), Ok(Request::Stack { defers: false, .. })));
        assert!(matches!(none.and(ReadVars).permit(r), Ok(Request::Stack { defers: true, .. })));
    }
}
