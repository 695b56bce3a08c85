//! The doctor's report: what is possible here, what is not, and the one fix for each.

use super::wire;
use crate::target::linux::doctor::Check;
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
    /// `go1.27.3`, when it is a Go program that can be read.
    pub go: Option<String>,
}

/// Opens the process for reading, adds what that says to the checks, and concludes.
pub fn possible(pid: i32, checks: &mut Vec<Check>) -> Possible {
    let attachable = checks.iter().all(|c| c.ok);
    let loaded = wire::load(pid);
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
            checks.push(Check { check: "go", ok: true, found, fix: String::new() });
            checks.push(if variables {
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
        Err(f) if checks.iter().all(|c| c.ok) => checks.push(Check {
            check: "go",
            ok: false,
            found: f.message,
            fix: f.fix.unwrap_or_else(|| "give the program's file with --exe".into()),
        }),
        Err(_) => {}
    }
    Possible { observe, control: attachable && observe, variables, go }
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
            "possible now: observe {}, control {}, variables {}",
            yes(p.observe),
            yes(p.control),
            yes(p.variables)
        );
    }
    out
}
