//! Arguments of breakpoints that do more than stop: trace points, log points, watchpoints, and what is done at hits.

use super::parse::{breakpoint_args, split_words, word};
use super::{Action, BreakpointEdit, BreakpointName, Do};
use crate::base::{BreakpointId, GoroutineId};
use crate::model::{Access, BreakpointSpec, HitCondition};
use crate::session::action::ActionEdit;

type Made = Result<Do, String>;

fn set(spec: BreakpointSpec) -> Made {
    Ok(Do::Session(Action::Break(Box::new(spec))))
}

/// Flags before the place: `-once`, `-g ID`, `-per-g`, `-after ID`, `-hits "> 5"`.
pub fn flagged(text: &str) -> Result<BreakpointSpec, String> {
    let mut rest = text.trim();
    let (mut once, mut per_goroutine, mut goroutine, mut after, mut hits) = (false, false, None, None, None);
    while rest.starts_with('-') && !rest[1..].starts_with(|c: char| c.is_ascii_digit()) {
        let (flag, more) = word(rest);
        rest = more;
        let mut value = |what: &str| -> Result<String, String> {
            let first = split_words(rest).first().cloned().ok_or(format!("{flag} needs {what}"))?;
            let quoted = rest.starts_with(['"', '\'']);
            rest = rest[first.len() + 2 * usize::from(quoted)..].trim_start();
            Ok(first)
        };
        match flag {
            "-once" => once = true,
            "-per-g" => per_goroutine = true,
            "-g" => {
                let id = value("the id of a goroutine")?;
                let id = id.trim_start_matches('g').parse().map_err(|_| format!("{id} is not a goroutine id"))?;
                goroutine = Some(GoroutineId(id));
            }
            "-after" => {
                let id = value("the number of a breakpoint")?;
                after = Some(BreakpointId(id.parse().map_err(|_| format!("{id} is not the number of a breakpoint"))?));
            }
            "-hits" => {
                let h = value("a comparison, as \"> 5\"")?;
                hits = Some(HitCondition::parse(&h).ok_or(format!("{h}: ==, !=, >, >=, <, <= or % and a number"))?);
            }
            other => return Err(format!("break knows -once, -g, -per-g, -after and -hits, not {other}")),
        }
    }
    let mut spec = breakpoint_args(rest)?;
    (spec.temporary, spec.per_goroutine, spec.goroutine, spec.after) = (once, per_goroutine, goroutine, after);
    spec.hits = hits;
    Ok(spec)
}

/// `[FLAGS] [NAME] FUNCTION [if CONDITION]`.
pub fn trace(text: &str) -> Made {
    if text.is_empty() {
        return Err(String::new());
    }
    let mut spec = flagged(text)?;
    (spec.actions.run_on, spec.actions.trace) = (true, true);
    set(spec)
}

/// `PLACE TEXT`, the text in quotes or not.
pub fn log(text: &str) -> Made {
    let (place, line) = word(text);
    if line.is_empty() {
        return Err(String::new());
    }
    let line = line.strip_prefix('"').and_then(|l| l.strip_suffix('"')).unwrap_or(line);
    let mut spec = BreakpointSpec::at(place);
    (spec.actions.run_on, spec.actions.log) = (true, line.to_string());
    set(spec)
}

/// `[-w | -rw] [-run] EXPRESSION [if CONDITION]`.
pub fn watch(text: &str) -> Made {
    let (mut access, mut run_on, mut rest) = (Access::Write, false, text.trim());
    while let (flag @ ("-w" | "-rw" | "-r" | "-run"), more) = word(rest) {
        match flag {
            "-w" => access = Access::Write,
            "-rw" => access = Access::ReadWrite,
            "-run" => run_on = true,
            _ => return Err("the processor cannot watch reads alone: -rw".into()),
        }
        rest = more;
    }
    let (expression, condition) = rest.split_once(" if ").unwrap_or((rest, ""));
    if expression.is_empty() {
        return Err(String::new());
    }
    let mut spec = BreakpointSpec::watch(expression.trim(), access);
    spec.condition = condition.trim().to_string();
    spec.actions.run_on = run_on;
    set(spec)
}

/// `ID print EXPRESSION`, `stack N`, `log TEXT`, `run`, `stop`, `stop-after N`, `trace`, `exact`, `nothing`.
pub fn on(text: &str) -> Made {
    let (id, what) = word(text);
    let (verb, rest) = word(what);
    let number = || rest.parse::<u64>().map_err(|_| format!("{verb} needs a number"));
    let edit = match verb {
        "print" | "p" if !rest.is_empty() => ActionEdit::Value(rest.to_string()),
        "stack" | "bt" => ActionEdit::Stack(if rest.is_empty() { 16 } else { number()? as u32 }),
        "log" if !rest.is_empty() => ActionEdit::Log(rest.trim_matches('"').to_string()),
        "trace" => ActionEdit::Trace,
        "run" => ActionEdit::RunOn(true),
        "stop" => ActionEdit::RunOn(false),
        "stop-after" => ActionEdit::StopAfter(number()?),
        "exact" => ActionEdit::Exact,
        "nothing" => ActionEdit::Nothing,
        "cond" | "condition" => return super::parse::condition(&format!("{id} {rest}")),
        _ => return Err(String::new()),
    };
    Ok(Do::Session(Action::EditBreakpoint(BreakpointName::parse(id), BreakpointEdit::Actions(edit))))
}

/// `[-COUNT] [-size N] ADDRESS-OR-EXPRESSION`: bytes at an address.
pub fn examine(text: &str) -> Made {
    let (mut count, mut rest) = (64, text.trim());
    while let Some(flag) = rest.strip_prefix('-') {
        let (n, more) = word(flag);
        count = n.parse().map_err(|_| format!("-{n} is not a number of bytes"))?;
        rest = more;
    }
    if rest.is_empty() || !(1..=4096).contains(&count) {
        return Err(if rest.is_empty() { String::new() } else { "1 to 4096 bytes at a time".into() });
    }
    Ok(Do::Session(Action::Examine { at: rest.to_string(), count }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(d: Made) -> BreakpointSpec {
        match d {
            Ok(Do::Session(Action::Break(s))) => *s,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_come_before_the_place() {
        let s = flagged("-once -g 5 -hits \"> 3\" -after 2 -per-g main.go:10 if x > 1").expect("parses");
        assert!(s.temporary && s.per_goroutine);
        assert_eq!((s.goroutine, s.after), (Some(GoroutineId(5)), Some(BreakpointId(2))));
        assert_eq!((s.place.text(), s.condition.as_str()), ("main.go:10", "x > 1"));
        assert_eq!(s.hits, HitCondition::parse("> 3"));
        assert_eq!(flagged("-3").expect("a line above").place.text(), "-3");
        assert!(flagged("-sometimes main.f").is_err() && flagged("-g").is_err());
    }

    #[test]
    fn probes() {
        let s = spec(trace("main.f if n > 2"));
        assert!(s.actions.trace && s.actions.run_on && s.condition == "n > 2");
        let s = spec(log("main.go:3 \"i is {i}\""));
        assert_eq!((s.place.text(), s.actions.log.as_str()), ("main.go:3", "i is {i}"));
        let s = spec(watch("-rw -run a.b if a.b > 3"));
        assert_eq!(s.place, BreakpointSpec::watch("a.b", Access::ReadWrite).place);
        assert!(s.actions.run_on && s.condition == "a.b > 3");
        assert!(watch("-r x").is_err() && log("main.go:3").is_err() && on("1 dance").is_err());
    }
}
