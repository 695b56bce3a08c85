//! Attributes of launch and attach configurations: Delve's (`service/dap/types.go`), told apart and checked.

use serde_json::{Map, Value};
use std::path::PathBuf;

/// A rule for paths: the editor's beginning, and the program's.
pub(crate) type Rule = (String, String);

/// What a launch is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Build the package and run it.
    #[default]
    Debug,
    /// Build the package's tests and run them.
    Test,
    /// Run a program.
    Exec,
    /// Look at a core, or at a snapshot.
    Core,
}

/// A launch configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Launch {
    pub mode: Mode,
    pub program: String,
    pub args: Vec<String>,
    pub cwd: String,
    pub build_flags: Vec<String>,
    pub output: String,
    pub no_debug: bool,
    /// Output as events, even where there is a terminal for it.
    pub remote_output: bool,
    pub core_file: String,
    pub dlv_cwd: String,
    pub env: Vec<(String, String)>,
    pub unset: Vec<String>,
    pub stdin: Option<PathBuf>,
    pub stdout: Option<PathBuf>,
    pub stderr: Option<PathBuf>,
    pub rebuild: bool,
    pub common: Common,
}

/// An attach configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Attach {
    pub remote: bool,
    pub pid: i32,
    pub wait_for: String,
    pub exe: Option<PathBuf>,
    pub common: Common,
}

/// What both have, and what `dlv config` changes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Common {
    pub stop_on_entry: bool,
    pub stack_trace_depth: u32,
    /// 0 for Delve's 512.
    pub max_string_len: u32,
    /// 0 for Delve's 64.
    pub max_array_values: u32,
    pub show_global_variables: bool,
    pub show_registers: bool,
    pub hide_system_goroutines: bool,
    pub goroutine_filters: String,
    pub show_pprof_labels: Vec<String>,
    pub substitute_path: Vec<Rule>,
    pub show_raw_strings: bool,
    pub follow_exec: bool,
}

impl Default for Common {
    fn default() -> Self {
        Common {
            stop_on_entry: false,
            stack_trace_depth: 50,
            max_string_len: 0,
            max_array_values: 0,
            show_global_variables: false,
            show_registers: false,
            hide_system_goroutines: false,
            goroutine_filters: String::new(),
            show_pprof_labels: Vec::new(),
            substitute_path: Vec::new(),
            show_raw_strings: false,
            follow_exec: false,
        }
    }
}

/// Reads attributes; what has the wrong type is said in Delve's words.
struct Attributes<'a>(&'a Map<String, Value>);

fn kind(v: &Value) -> &'static str {
    match v {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn wrong(v: &Value, key: &str, want: &str) -> String {
    format!("cannot unmarshal {} into \"{key}\" of type {want}", kind(v))
}

impl<'a> Attributes<'a> {
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|v| !v.is_null())
    }
    fn text(&self, key: &str) -> Result<String, String> {
        match self.get(key) {
            None => Ok(String::new()),
            Some(Value::String(s)) => Ok(s.clone()),
            Some(v) => Err(wrong(v, key, "string")),
        }
    }
    fn path(&self, key: &str) -> Result<Option<PathBuf>, String> {
        Ok(Some(self.text(key)?).filter(|s| !s.is_empty()).map(PathBuf::from))
    }
    fn flag(&self, key: &str) -> Result<bool, String> {
        match self.get(key) {
            None => Ok(false),
            Some(Value::Bool(b)) => Ok(*b),
            Some(v) => Err(wrong(v, key, "bool")),
        }
    }
    fn number(&self, key: &str) -> Result<i64, String> {
        match self.get(key) {
            None => Ok(0),
            Some(v) => v.as_i64().ok_or_else(|| wrong(v, key, "int")),
        }
    }
    fn small(&self, key: &str) -> Result<u32, String> {
        Ok(self.number(key)?.clamp(0, i64::from(u32::MAX)) as u32)
    }
    fn texts(&self, key: &str) -> Result<Vec<String>, String> {
        let Some(v) = self.get(key) else { return Ok(Vec::new()) };
        let all = v.as_array().ok_or_else(|| wrong(v, key, "[]string"))?;
        all.iter().map(|x| x.as_str().map(String::from).ok_or_else(|| wrong(x, key, "string"))).collect()
    }
    fn build_flags(&self) -> Result<Vec<String>, String> {
        match self.get("buildFlags") {
            None => Ok(Vec::new()),
            Some(Value::String(s)) => Ok(split_words(s)),
            Some(Value::Array(_)) => self.texts("buildFlags"),
            Some(v) => Err(wrong(v, "buildFlags", "[]string or string")),
        }
    }
    fn rules(&self) -> Result<Vec<Rule>, String> {
        let Some(v) = self.get("substitutePath") else { return Ok(Vec::new()) };
        let shape = || format!(r#"cannot use {v} as 'substitutePath' of type {{"from":string, "to":string}}"#);
        let one = |x: &Value| {
            let part = |k: &str| match x.get(k) {
                Some(Value::String(s)) => Ok(s.clone()),
                Some(Value::Null) | None if x.is_object() => {
                    Err("'substitutePath' requires both 'from' and 'to' entries".to_string())
                }
                _ => Err(shape()),
            };
            Ok((part("from")?, part("to")?))
        };
        v.as_array().ok_or_else(shape)?.iter().map(one).collect()
    }
    #[allow(clippy::type_complexity)] // what to set and what to take away
    fn env(&self) -> Result<(Vec<(String, String)>, Vec<String>), String> {
        let (mut set, mut unset) = (Vec::new(), Vec::new());
        let Some(v) = self.get("env") else { return Ok((set, unset)) };
        for (k, v) in v.as_object().ok_or_else(|| wrong(v, "env", "map[string]string"))? {
            if k.is_empty() || k.contains(['=', '\0']) {
                return Err(format!("failed to setenv({k}) - invalid argument"));
            }
            match v {
                Value::String(s) => set.push((k.clone(), s.clone())),
                Value::Null => unset.push(k.clone()),
                v => return Err(wrong(v, &format!("env.{k}"), "string")),
            }
        }
        Ok((set, unset))
    }
    fn common(&self) -> Result<Common, String> {
        let depth = self.small("stackTraceDepth")?;
        let backend = self.text("backend")?;
        if !matches!(backend.as_str(), "" | "default" | "native") {
            return Err(format!("backend {backend:?} is not there: adit has one of its own (leave the attribute out)"));
        }
        Ok(Common {
            stop_on_entry: self.flag("stopOnEntry")?,
            stack_trace_depth: if depth == 0 { 50 } else { depth },
            max_string_len: self.small("maxStringLen")?,
            max_array_values: self.small("maxArrayValues")?,
            show_global_variables: self.flag("showGlobalVariables")?,
            show_registers: self.flag("showRegisters")?,
            hide_system_goroutines: self.flag("hideSystemGoroutines")?,
            goroutine_filters: self.text("goroutineFilters")?,
            show_pprof_labels: self.texts("showPprofLabels")?,
            substitute_path: self.rules()?,
            show_raw_strings: self.flag("showRawStrings")?,
            follow_exec: self.flag("followExec")?,
        })
    }
}

/// A launch configuration of a request's arguments.
pub(crate) fn launch(arguments: &Value) -> Result<Launch, String> {
    let empty = Map::new();
    let a = Attributes(arguments.as_object().unwrap_or(&empty));
    let mode = match a.text("mode")?.as_str() {
        "" | "debug" => Mode::Debug,
        "test" => Mode::Test,
        "exec" => Mode::Exec,
        "core" => Mode::Core,
        "replay" => return Err("mode \"replay\" plays rr's traces, which adit does not; \"core\" opens a core".into()),
        other => return Err(format!("unsupported 'mode' attribute {other:?}")),
    };
    let remote_output = match a.text("outputMode")?.as_str() {
        "remote" => true,
        "" | "local" => false,
        other => return Err(format!("unsupported 'outputMode' attribute {other:?}")),
    };
    let (env, unset) = a.env()?;
    Ok(Launch {
        mode,
        program: a.text("program")?,
        args: a.texts("args")?,
        cwd: a.text("cwd")?,
        build_flags: a.build_flags()?,
        output: a.text("output")?,
        no_debug: a.flag("noDebug")?,
        remote_output,
        core_file: a.text("coreFilePath")?,
        dlv_cwd: a.text("dlvCwd")?,
        env,
        unset,
        stdin: a.path("stdinFrom")?,
        stdout: a.path("stdoutTo")?,
        stderr: a.path("stderrTo")?,
        rebuild: a.get("rebuild").and_then(Value::as_bool).unwrap_or(true),
        common: a.common()?,
    })
}

/// An attach configuration of a request's arguments.
pub(crate) fn attach(arguments: &Value) -> Result<Attach, String> {
    let empty = Map::new();
    let a = Attributes(arguments.as_object().unwrap_or(&empty));
    let remote = match a.text("mode")?.as_str() {
        "" | "local" => false,
        "remote" => true,
        other => return Err(format!("unsupported 'mode' attribute {other:?}")),
    };
    // Editors that ask their user for it send what was typed.
    let pid = match a.get("processId") {
        Some(Value::String(s)) => s.trim().parse().map_err(|_| format!("'processId' {s:?} is no number"))?,
        _ => a.number("processId")?,
    };
    let pid = i32::try_from(pid).ok().filter(|p| *p >= 0).ok_or_else(|| format!("there is no process {pid}"))?;
    Ok(Attach { remote, pid, wait_for: a.text("waitFor")?, exe: a.path("program")?, common: a.common()? })
}

/// Splits at blanks, `'…'` and `"…"` kept together, as a shell would.
pub(crate) fn split_words(text: &str) -> Vec<String> {
    let (mut out, mut word, mut quote, mut any) = (Vec::new(), String::new(), None, false);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some('"') | None, '\\') => word.extend(chars.next()),
            (Some(_), c) => word.push(c),
            (None, '\'' | '"') => (quote, any) = (Some(c), true),
            (None, c) if c.is_whitespace() => {
                if any || !word.is_empty() {
                    out.push(std::mem::take(&mut word));
                }
                any = false;
            }
            (None, c) => word.push(c),
        }
    }
    if any || !word.is_empty() {
        out.push(word);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn attributes() {
        let l = launch(&json!({
            "mode": "test", "program": "/x", "args": ["-test.v"], "env": {"A": "1", "B": null}, "stackTraceDepth": 3,
            "buildFlags": "-tags=integration -ldflags='-X main.Hello=World'", "noDebug": null, "unknown": 7,
            "substitutePath": [{"from": "/a", "to": ""}],
        }))
        .expect("a configuration");
        assert_eq!((l.mode, l.common.stack_trace_depth), (Mode::Test, 3));
        assert_eq!(l.build_flags, ["-tags=integration", "-ldflags=-X main.Hello=World"]);
        assert_eq!((l.env, l.unset), (vec![("A".into(), "1".into())], vec!["B".to_string()]));
        assert_eq!(l.common.substitute_path, [("/a".to_string(), String::new())]);
        let a = attach(&json!({"processId": "12", "stopOnEntry": true})).expect("a configuration");
        assert_eq!((a.pid, a.common.stop_on_entry, a.common.stack_trace_depth), (12, true, 50));
    }

    #[test]
    fn wrong_ones_say_so() {
        for (v, says) in [
            (json!({"program": 1}), r#"cannot unmarshal number into "program" of type string"#),
            (json!({"args": "x"}), r#"cannot unmarshal string into "args" of type []string"#),
            (json!({"buildFlags": 1}), r#"cannot unmarshal number into "buildFlags" of type []string or string"#),
            (json!({"substitutePath": [{"from": "a"}]}), "requires both"),
            (json!({"substitutePath": 123}), "cannot use 123 as 'substitutePath'"),
            (json!({"env": {"A": 1}}), "env.A"),
            (json!({"mode": "fly"}), "unsupported 'mode' attribute \"fly\""),
            (json!({"mode": "replay"}), "rr"),
            (json!({"backend": "rr"}), "backend"),
            (json!({"outputMode": "x"}), "outputMode"),
            (json!({"stopOnEntry": "yes"}), "of type bool"),
        ] {
            let e = launch(&v).expect_err("it is wrong");
            assert!(e.contains(says), "{v}: {e}");
        }
        assert!(attach(&json!({"processId": -4})).is_err());
        assert!(attach(&json!({"processId": "abc"})).is_err());
    }
}
