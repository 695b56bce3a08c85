//! Breakpoints of all kinds. Each request names all of its kind that shall be: what is there and not named is removed, what is
//! there is changed, what is new is set. Nothing is stopped for it.

use super::message::{Call, Trouble, id, sentence};
use super::session::{Session, failed};
use super::types::{DataInfo, Lines, SetBreakpoints, SetExceptions, WantedBreakpoint};
use crate::backend::protocol::*;
use crate::base::BreakpointId;
use crate::model::{Access, Breakpoint, BreakpointPlace, BreakpointSpec, HitCondition};
use serde_json::{Value, json};

/// Which request a breakpoint came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Source,
    Function,
    Instruction,
    Data,
}

/// A breakpoint that exists.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub kind: Kind,
    /// By what the editor names it: file and line, name, address, data.
    pub key: String,
    /// The file, for those of a source.
    pub file: String,
    pub id: BreakpointId,
    pub spec: BreakpointSpec,
    /// It has a place, and why not.
    pub verified: bool,
    pub problem: String,
}

/// One that is wanted.
struct Wanted {
    key: String,
    frame: FrameRef,
    spec: Result<BreakpointSpec, String>,
}

/// Are the braces of a log message in pairs, and something in them?
fn check_log(message: &str) -> Result<(), String> {
    let (mut depth, mut inside) = (0, String::new());
    for c in message.chars() {
        match c {
            '{' => {
                depth += 1;
                if depth == 1 {
                    inside.clear();
                    continue;
                }
            }
            '}' if depth == 0 => return Err("invalid log point format, unexpected '}'".into()),
            '}' => {
                depth -= 1;
                if depth == 0 && inside.trim().is_empty() {
                    return Err("empty evaluation string".into());
                }
            }
            _ => {}
        }
        inside.push(c);
    }
    if depth > 0 { Err("invalid log point format".into()) } else { Ok(()) }
}

/// Condition, hit count and message of what was asked for.
fn finish(mut spec: BreakpointSpec, w: &WantedBreakpoint) -> Result<BreakpointSpec, String> {
    let given = |s: &Option<String>| s.as_deref().map(str::trim).unwrap_or("").to_string();
    spec.condition = given(&w.condition);
    let hits = given(&w.hit_condition);
    if !hits.is_empty() {
        let bad = || {
            format!(
                "unable to parse breakpoint hit condition: {hits:?} (a number, or one with == != > >= < <= % before it)"
            )
        };
        spec.hits = Some(HitCondition::parse(&hits).ok_or_else(bad)?);
    }
    let log = w.log_message.clone().unwrap_or_default();
    if !log.is_empty() {
        check_log(&log)?;
        spec.actions.run_on = true;
        spec.actions.log = log;
    }
    Ok(spec)
}

/// A function breakpoint's name is a function, or a file or function and a line.
fn function_spec(w: &WantedBreakpoint) -> Result<BreakpointSpec, String> {
    let name = w.name.trim();
    if name.starts_with('.') {
        return Err("breakpoint names that are relative paths are not supported".into());
    }
    let odd = name.is_empty() || name.starts_with(['*', '/', '+', '-']) || name.parse::<i64>().is_ok();
    if odd {
        return Err(format!(
            "breakpoint name {name:?} could not be parsed as a function. name must be in the format 'funcName', \
             'funcName:line' or 'fileName:line'"
        ));
    }
    finish(BreakpointSpec::at(name), w)
}

fn instruction_spec(w: &WantedBreakpoint) -> Result<BreakpointSpec, String> {
    let text = w.instruction_reference.trim();
    let at = super::memory::address(text).ok_or_else(|| format!("{text:?} is not an address"))?;
    let at = at.wrapping_add_signed(w.offset.unwrap_or(0));
    finish(BreakpointSpec::at(&format!("*{at:#x}")), w)
}

impl Session {
    pub async fn set_source_breakpoints(&mut self, c: &Call) -> Result<Value, Trouble> {
        let mut a: SetBreakpoints = c.args()?;
        let Some(path) = a.source.path.filter(|p| !p.is_empty()) else {
            return Err(Trouble::new(id::BREAKPOINTS, "Unable to set or clear breakpoints", "empty file path"));
        };
        if a.breakpoints.is_empty() {
            let old = a.lines.iter().map(|l| WantedBreakpoint { line: *l, ..WantedBreakpoint::default() });
            a.breakpoints = old.collect();
        }
        let file = self.program_path(&path);
        let wanted = a.breakpoints.iter().map(|w| Wanted {
            key: format!("{path}:{}:{}", w.line, w.column.unwrap_or(0)),
            frame: FrameRef::default(),
            spec: finish(BreakpointSpec::at(&format!("{file}:{}", w.line)), w),
        });
        let wanted = wanted.collect();
        Ok(self.set_all(Kind::Source, &path, wanted).await)
    }

    pub async fn set_function_breakpoints(&mut self, c: &Call) -> Result<Value, Trouble> {
        let a: SetBreakpoints = c.args()?;
        let one =
            |w: &WantedBreakpoint| Wanted { key: w.name.clone(), frame: FrameRef::default(), spec: function_spec(w) };
        Ok(self.set_all(Kind::Function, "", a.breakpoints.iter().map(one).collect()).await)
    }

    pub async fn set_instruction_breakpoints(&mut self, c: &Call) -> Result<Value, Trouble> {
        let a: SetBreakpoints = c.args()?;
        let one = |w: &WantedBreakpoint| Wanted {
            key: format!("{}+{}", w.instruction_reference, w.offset.unwrap_or(0)),
            frame: FrameRef::default(),
            spec: instruction_spec(w),
        };
        Ok(self.set_all(Kind::Instruction, "", a.breakpoints.iter().map(one).collect()).await)
    }

    pub async fn set_data_breakpoints(&mut self, c: &Call) -> Result<Value, Trouble> {
        let a: SetBreakpoints = c.args()?;
        let one = |w: &WantedBreakpoint| {
            let parts: Vec<&str> = w.data_id.splitn(3, ',').collect();
            let parsed = match parts[..] {
                [g, f, e] => g.parse::<i64>().ok().zip(f.parse::<u32>().ok()).map(|(g, f)| (g, f, e)),
                _ => None,
            };
            let access = match w.access_type.as_deref() {
                None | Some("write") => Ok(Access::Write),
                Some("readWrite") => Ok(Access::ReadWrite),
                Some("read") => Err("the processor cannot watch reads alone: use readWrite".to_string()),
                Some(other) => Err(format!("unknown access type: {other:?}")),
            };
            let malformed = || format!("malformed data ID: {:?}", w.data_id);
            let place = parsed.ok_or_else(malformed);
            let frame = place.as_ref().map_or_else(
                |_| FrameRef::default(),
                |(g, f, _)| FrameRef { goroutine: Session::goroutine(*g), frame: *f },
            );
            let spec = place.and_then(|(_, _, e)| finish(BreakpointSpec::watch(e, access?), w));
            Wanted { key: w.data_id.clone(), frame, spec }
        };
        Ok(self.set_all(Kind::Data, "", a.breakpoints.iter().map(one).collect()).await)
    }

    /// Brings the breakpoints of a kind (and file) to what is wanted; the answer has one for each.
    async fn set_all(&mut self, kind: Kind, file: &str, wanted: Vec<Wanted>) -> Value {
        let gone: Vec<BreakpointId> = self
            .breakpoints
            .iter()
            .filter(|b| b.kind == kind && b.file == file && !wanted.iter().any(|w| w.key == b.key))
            .map(|b| b.id)
            .collect();
        for n in gone {
            self.clear(n).await;
        }
        let mut out: Vec<Value> = Vec::new();
        for (i, w) in wanted.iter().enumerate() {
            if wanted[..i].iter().any(|x| x.key == w.key) {
                out.push(json!({"verified": false, "message": "breakpoint already exists"}));
                continue;
            }
            let spec = match &w.spec {
                Ok(s) => s.clone(),
                Err(why) => {
                    out.push(json!({"verified": false, "message": why}));
                    continue;
                }
            };
            let known = self.breakpoints.iter().position(|b| b.kind == kind && b.file == file && b.key == w.key);
            let result = match known {
                // Unchanged ones keep their counts.
                Some(n) if self.breakpoints[n].spec == spec && self.breakpoints[n].verified => {
                    let id = self.breakpoints[n].id;
                    self.find(id).await
                }
                Some(n) => {
                    let id = self.breakpoints[n].id;
                    let edit = Request::EditBreakpoint { id, spec: spec.clone() };
                    self.one(edit).await
                }
                None => self.one(Request::SetBreakpoint { spec: spec.clone(), frame: w.frame }).await,
            };
            match result {
                Ok(b) => {
                    let placed = Placed {
                        kind,
                        key: w.key.clone(),
                        file: file.to_string(),
                        id: b.id,
                        spec,
                        verified: is_verified(&b),
                        problem: b.problem.clone(),
                    };
                    match known {
                        Some(n) => self.breakpoints[n] = placed,
                        None => self.breakpoints.push(placed),
                    }
                    out.push(self.described(&b));
                }
                Err(f) => out.push(json!({"verified": false, "message": sentence(&f)})),
            }
        }
        json!({ "breakpoints": out })
    }

    async fn one(&mut self, r: Request) -> Result<Breakpoint, Failure> {
        match self.ask(r).await? {
            Reply::Breakpoint(b) => Ok(*b),
            Reply::Breakpoints(mut all) if !all.is_empty() => Ok(all.remove(0)),
            _ => Err(Failure::new(FailureKind::Host, "the host named no breakpoint")),
        }
    }

    async fn find(&mut self, n: BreakpointId) -> Result<Breakpoint, Failure> {
        let all = match self.ask(Request::Breakpoints).await? {
            Reply::Breakpoints(all) => all,
            _ => Vec::new(),
        };
        let found = all.into_iter().find(|b| b.id == n);
        found.ok_or_else(|| Failure::new(FailureKind::BadRequest, "the breakpoint is gone"))
    }

    async fn clear(&mut self, n: BreakpointId) {
        self.breakpoints.retain(|b| b.id != n);
        // It may have gone by itself (data that is no more).
        let _gone_is_what_is_wanted = self.ask(Request::ClearBreakpoint(n)).await;
    }

    pub async fn clear_all_breakpoints(&mut self) {
        for b in std::mem::take(&mut self.breakpoints) {
            let _gone_is_what_is_wanted = self.ask(Request::ClearBreakpoint(b.id)).await;
        }
        (self.panics, self.throws) = (false, false);
    }

    /// A breakpoint as the editor is told of it.
    fn described(&self, b: &Breakpoint) -> Value {
        let mut v = json!({"id": b.id.0, "verified": is_verified(b)});
        if !b.problem.is_empty() {
            v["message"] = json!(b.problem);
        }
        if let Some(at) = b.at.first() {
            v["instructionReference"] = json!(format!("{:#x}", at.pc.0));
            if !at.file.is_empty() {
                let path = self.editor_path(&at.file);
                v["line"] = json!(at.line);
                v["source"] = json!({"name": path.rsplit('/').next().unwrap_or(""), "path": path});
            }
        }
        v
    }

    /// News of a breakpoint: hits are nothing to tell, a place found or lost is.
    pub fn breakpoint_changed(&mut self, b: &Breakpoint) {
        let Some(known) = self.breakpoints.iter_mut().find(|k| k.id == b.id) else { return };
        let verified = is_verified(b);
        if (known.verified, &known.problem) == (verified, &b.problem) {
            return;
        }
        (known.verified, known.problem) = (verified, b.problem.clone());
        let body = json!({"reason": "changed", "breakpoint": self.described(b)});
        self.out.event("breakpoint", body);
    }

    /// What the user calls a breakpoint.
    pub fn name_of(&self, n: BreakpointId) -> String {
        self.breakpoints.iter().find(|b| b.id == n).map_or_else(String::new, |b| b.spec.place.text().to_string())
    }

    pub fn set_exception_breakpoints(&mut self, c: &Call) -> Result<Value, Trouble> {
        let a: SetExceptions = c.args()?;
        let all: Vec<&str> =
            a.filters.iter().map(String::as_str).chain(a.filter_options.iter().map(|o| o.filter_id.as_str())).collect();
        self.panics = all.contains(&"unrecovered-panic");
        self.throws = all.contains(&"runtime-fatal-throw");
        let one = |name: &&str| match *name {
            "unrecovered-panic" => json!({"id": -1, "verified": true}),
            "runtime-fatal-throw" => json!({"id": -2, "verified": true}),
            other => json!({"verified": false, "message": format!("there is no exception filter {other:?}")}),
        };
        Ok(json!({"breakpoints": all.iter().map(one).collect::<Vec<_>>()}))
    }

    pub async fn breakpoint_locations(&mut self, c: &Call) -> Result<Value, Trouble> {
        let a: Lines = c.args()?;
        let file = self.program_path(&a.source.path.unwrap_or_default());
        let lines =
            self.code_lines(&file).await.map_err(failed(id::BREAKPOINTS, "Unable to list breakpoint locations"))?;
        let (from, to) = (a.line, a.end_line.unwrap_or(a.line));
        let inside = lines.iter().filter(|l| (from..=to).contains(&i64::from(**l)));
        Ok(json!({"breakpoints": inside.map(|l| json!({"line": l})).collect::<Vec<_>>()}))
    }

    /// Can a value be watched, and by what name?
    pub async fn data_breakpoint_info(&mut self, c: &Call) -> Result<Value, Trouble> {
        const SUMMARY: &str = "Could not get data breakpoint info";
        let a: DataInfo = c.args()?;
        let no = |why: String| Err(Trouble::new(id::DATA_INFO, SUMMARY, why));
        let (frame, expression, shown) = match a.variables_reference.filter(|r| *r != 0) {
            Some(r) => {
                let Some(held) = self.held(r) else { return no(format!("variable reference {r} unknown")) };
                let Some(child) = held.tree.children.iter().find(|v| v.name == a.name).cloned() else {
                    let named = self.evaluate_name(r, &a.name).await;
                    return match named {
                        Ok((frame, e)) => Ok(data_info(frame, &e, &e)),
                        Err(_) => no(format!("field {} not found", a.name)),
                    };
                };
                if let Some(why) = &child.unreadable {
                    return no(format!("field {} is unreadable: {why}", a.name));
                }
                let (frame, e) = match self.evaluate_name(r, &a.name).await {
                    Ok(found) => found,
                    Err(_) if child.addr.is_nil() => return no(format!("{} is not in memory", a.name)),
                    Err(_) => {
                        let e = format!("*(*\"{}\")({:#x})", child.type_name, child.addr.0);
                        (FrameRef::default(), e)
                    }
                };
                (frame, e.clone(), e)
            }
            None => {
                let frame = self.frame(a.frame_id).unwrap_or_default();
                (frame, a.name.clone(), a.name.clone())
            }
        };
        Ok(data_info(frame, &expression, &shown))
    }
}

fn data_info(frame: FrameRef, expression: &str, shown: &str) -> Value {
    let goroutine = frame.goroutine.map_or(-1, |g| g.0 as i64);
    json!({
        "dataId": format!("{goroutine},{},{expression}", frame.frame),
        "description": shown,
        "accessTypes": ["write", "readWrite"],
        "canPersist": false,
    })
}

fn is_verified(b: &Breakpoint) -> bool {
    let data = matches!(b.spec.place, BreakpointPlace::Watch { .. });
    b.problem.is_empty() && (data || !b.at.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_messages() {
        for ok in ["", "x", "i = {i}", "{ a[T{1}] } and {b}"] {
            assert_eq!(check_log(ok), Ok(()), "{ok}");
        }
        for (bad, says) in [("}", "unexpected"), ("{", "invalid log point"), ("{ }", "empty"), ("a{b", "invalid")] {
            assert!(check_log(bad).is_err_and(|e| e.contains(says)), "{bad}");
        }
    }

    #[test]
    fn names_of_functions() {
        let spec = |n: &str| function_spec(&WantedBreakpoint { name: n.into(), ..WantedBreakpoint::default() });
        assert!(spec("main.work").is_ok() && spec("main.go:7").is_ok());
        for bad in ["", "*0x1000", "/re/", "+1", "12", "./main.go:3"] {
            assert!(spec(bad).is_err(), "{bad}");
        }
        let w = WantedBreakpoint { hit_condition: Some("often".into()), ..WantedBreakpoint::default() };
        assert!(finish(BreakpointSpec::at("x"), &w).is_err_and(|e| e.contains("hit condition")));
    }
}
