//! The doctor's report: what is possible here, what is not, and the one fix for each.

use super::wire;
use crate::backend::native::endpoints;
use crate::target::linux::doctor::{self as checks, Check};
use serde::Serialize;
use std::fmt::Write;

/// What works on a process.
#[derive(Debug, Serialize)]
pub struct Possible {
    /// Goroutines without stopping.
    pub observe: bool,
    /// Stops, steps, breakpoints.
    pub control: bool,
    /// Variables and expressions.
    pub variables: bool,
    /// A copy in a file, for which it stands some milliseconds.
    pub snapshot: bool,
    /// Log and trace points that the kernel serves, without stops.
    pub uprobes: bool,
    /// Watchpoints by the processor's debug registers.
    pub watchpoints: bool,
    /// Where it serves its profiles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profiles: Option<String>,
    /// Why nowhere.
    #[serde(skip)]
    pub no_profiles: String,
    /// `go1.27.3`, when it is a Go program that can be read.
    pub go: Option<String>,
}

/// Opens the process for reading, adds what that says to the checks, and concludes.
pub fn possible(pid: i32, all: &mut Vec<Check>) -> Possible {
    let attachable = all.iter().all(|c| c.ok);
    let loaded = wire::load(pid);
    let found = loaded.as_ref().map_or_else(|_| Err("not known".into()), |l| endpoints(pid, l));
    let (profiles, no_profiles) = match found {
        Ok(at) => (Some(at), String::new()),
        Err(why) => (None, why),
    };
    let (observe, variables, go) = match &loaded {
        Ok(l) => (true, l.sym.has_dwarf(), Some(l.sym.go_version().short().to_string())),
        Err(_) => (false, false, None),
    };
    match loaded {
        Ok(l) => {
            let how = if l.sym.is_optimised() { "optimised" } else { "unoptimised" };
            let found = format!(
                "{} program, {how}{}",
                l.sym.go_version().short(),
                if l.sym.image().is_pie() { ", PIE" } else { "" }
            );
            all.push(Check { check: "go", ok: true, found, fix: String::new() });
            all.push(if variables {
                Check {
                    check: "debug info",
                    ok: true,
                    found: "DWARF: variables and types are available".into(),
                    fix: String::new(),
                }
            } else {
                Check {
                    check: "debug info",
                    ok: true,
                    found: "none: functions and lines work, variables do not (give the unstripped build with --exe)"
                        .into(),
                    fix: String::new(),
                }
            });
        }
        Err(f) if all.iter().all(|c| c.ok) => all.push(Check {
            check: "go",
            ok: false,
            found: f.message,
            fix: f.fix.unwrap_or_else(|| "give the program's file with --exe".into()),
        }),
        Err(_) => {}
    }
    let control = attachable && observe;
    let uprobes = observe && checks::uprobes();
    Possible {
        observe,
        control,
        variables,
        snapshot: control,
        uprobes,
        watchpoints: control,
        profiles,
        no_profiles,
        go,
    }
}

/// As text.
pub fn text(checks: &[Check], possible: Option<&Possible>) -> String {
    let mut out = String::new();
    let width = checks.iter().map(|c| c.check.len()).max().unwrap_or(0);
    for c in checks {
        let mark = if c.ok { "ok  " } else { "FAIL" };
        let _string_writes_do_not_fail = writeln!(out, "{mark} {:width$}  {}", c.check, c.found);
        if !c.ok {
            let _string_writes_do_not_fail = writeln!(out, "     {:width$}  fix: {}", "", c.fix);
        }
    }
    if let Some(p) = possible {
        let yes = |b| if b { "yes" } else { "no" };
        let _string_writes_do_not_fail = writeln!(
            out,
            "possible now: observe {}, control {}, variables {}, snapshot {}, uprobes {}, watchpoints {}, profiles {}",
            yes(p.observe),
            yes(p.control),
            yes(p.variables),
            yes(p.snapshot),
            yes(p.uprobes),
            yes(p.watchpoints),
            match &p.profiles {
                Some(at) => at.clone(),
                None => format!("no ({})", p.no_profiles),
            }
        );
    }
    out
}
