//! Sessions of editors, message by message, against real processes. Each file of `tests/dap` is one: JSON lines, the first of
//! which says which editor and how it reaches the adapter; then requests with what is expected of their answers, events that must
//! come, in this order, and the exit code.
//!
//! `"${name}"` is a saved or given value, `"${line:TEXT}"` the line of the program with that text. An expected object is part of
//! what comes, so are the elements of an expected list; text that begins with `~` is a regular expression.

mod common;

use common::dap::{Editor, Via};
use common::heart::Heart;
use common::{DEBUG, build, line_of, source_dir};
use serde_json::{Map, Value, json};

struct Replay {
    file: String,
    program: String,
    saved: Map<String, Value>,
}

impl Replay {
    /// Puts values in place of their names.
    fn fill(&self, v: &Value) -> Value {
        match v {
            Value::String(s) => self.fill_text(s),
            Value::Array(a) => a.iter().map(|x| self.fill(x)).collect(),
            Value::Object(o) => {
                let name = |k: &String| self.fill_text(k).as_str().unwrap_or(k).to_string();
                Value::Object(o.iter().map(|(k, x)| (name(k), self.fill(x))).collect())
            }
            other => other.clone(),
        }
    }
    fn fill_text(&self, s: &str) -> Value {
        let Some(name) = s.strip_prefix("${").and_then(|n| n.strip_suffix('}')) else { return json!(s) };
        if let Some(text) = name.strip_prefix("line:") {
            return json!(line_of(&self.program, text));
        }
        if let Some(name) = name.strip_suffix(":text") {
            return json!(self.saved[name].to_string());
        }
        self.saved.get(name).unwrap_or_else(|| panic!("{}: nothing is saved as {name}", self.file)).clone()
    }

    fn check(&self, step: &Value, got: &Value) {
        let want = self.fill(&step["expect"]);
        if let Err(why) = matches(&want, got, "") {
            panic!("{}: {step}\n  {why}\n  in {got}", self.file);
        }
    }

    fn save(&mut self, step: &Value, got: &Value) {
        for (name, at) in step["save"].as_object().into_iter().flatten() {
            let at = at.as_str().unwrap_or("");
            let v = got.pointer(at).unwrap_or_else(|| panic!("{}: {step}: no {at} in {got}", self.file));
            self.saved.insert(name.clone(), v.clone());
        }
    }
}

fn matches(want: &Value, got: &Value, at: &str) -> Result<(), String> {
    match (want, got) {
        (Value::Null, _) => Ok(()),
        (Value::String(w), Value::String(g)) if w.starts_with('~') => {
            let re = regex::Regex::new(&w[1..]).map_err(|e| e.to_string())?;
            if re.is_match(g) { Ok(()) } else { Err(format!("{at}: {g:?} does not match {w}")) }
        }
        (Value::Object(w), Value::Object(_)) => {
            w.iter().try_for_each(|(k, x)| matches(x, &got[k.as_str()], &format!("{at}/{k}")))
        }
        (Value::Array(w), Value::Array(g)) if !w.is_empty() => w.iter().enumerate().try_for_each(|(i, x)| {
            let any = g.iter().any(|y| matches(x, y, "").is_ok());
            if any { Ok(()) } else { Err(format!("{at}/{i}: nothing like {x}")) }
        }),
        _ if want == got => Ok(()),
        _ => Err(format!("{at}: {got} instead of {want}")),
    }
}

fn replay(path: &std::path::Path) {
    let file = path.file_name().expect("a name").to_string_lossy().into_owned();
    let text = std::fs::read_to_string(path).expect("a session");
    let parsed = |(i, l): (usize, &str)| -> Value {
        serde_json::from_str(l).unwrap_or_else(|e| panic!("{file}:{}: {e}", i + 1))
    };
    let mut steps = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()).map(parsed);
    let head = steps.next().expect("a first line");
    let program = head["process"].as_str().unwrap_or("editor").to_string();
    let exe = build(&program, DEBUG);
    let heart = head["process"].as_str().map(|_| Heart::start(&exe));
    let dir = source_dir(&program);
    let mut saved = Map::new();
    saved.insert("exe".into(), json!(exe.display().to_string()));
    saved.insert("dir".into(), json!(dir.display().to_string()));
    saved.insert("source".into(), json!(dir.join("main.go").display().to_string()));
    if let Some(h) = &heart {
        saved.insert("pid".into(), json!(h.pid()));
    }
    let mut r = Replay { file: file.clone(), program, saved };
    let via = match head["via"].as_str() {
        Some("client") => Via::Client,
        Some("stdio") => Via::Stdio,
        _ => Via::Listen,
    };
    let flags: Vec<&str> = head["flags"].as_array().expect("flags").iter().filter_map(Value::as_str).collect();
    let mut e = Editor::start_in(via, &flags, &dir);
    let mut waiting: Map<String, Value> = Map::new();
    let mut ended = false;
    for step in steps {
        if let Some(command) = step["send"].as_str() {
            let seq = e.send(command, r.fill(&step["arguments"]));
            if let Some(name) = step["as"].as_str() {
                waiting.insert(name.into(), json!(seq));
                continue;
            }
            let got = e.response(seq);
            if let Some(why) = step.get("fails") {
                assert_eq!(got["success"], false, "{}: {step}: {got}", r.file);
                let said = &got["body"]["error"]["format"];
                matches(why, said, "").unwrap_or_else(|e| panic!("{}: {step}: {e}", r.file));
                continue;
            }
            assert_eq!(got["success"], true, "{}: {step}: {got}\n{}", r.file, e.log.join("\n"));
            r.check(&step, &got["body"]);
            r.save(&step, &got["body"]);
        } else if let Some(name) = step["response"].as_str() {
            let seq = waiting.get(name).and_then(Value::as_i64).expect("a request that was sent");
            let got = e.response(seq);
            assert_eq!(got["success"], true, "{}: {step}: {got}", r.file);
        } else if let Some(name) = step["event"].as_str() {
            let mut got = e.event(&[name])["body"].clone();
            // Output comes in pieces that nobody promises: several lines at once, or a part of one.
            let mut pieces: Map<String, Value> = Map::new();
            while name == "output" && matches(&r.fill(&step["expect"]), &got, "").is_err() {
                let category = got["category"].as_str().unwrap_or_default().to_string();
                let before = pieces.get(&category).and_then(Value::as_str).unwrap_or_default();
                let all = json!(format!("{before}{}", got["output"].as_str().unwrap_or_default()));
                pieces.insert(category, all.clone());
                got["output"] = all;
                if matches(&r.fill(&step["expect"]), &got, "").is_ok() {
                    break;
                }
                got = e.event(&["output", "terminated"])["body"].clone();
                assert!(got.get("output").is_some(), "{}: {step}: it never came\n{}", r.file, e.log.join("\n"));
            }
            r.check(&step, &got);
            r.save(&step, &got);
        } else if let Some(code) = step["end"].as_i64() {
            assert_eq!(e.finish().map(i64::from), Some(code), "{}", r.file);
            ended = true;
        } else {
            panic!("{}: what is this? {step}", r.file);
        }
    }
    assert!(ended, "{}: it has no end", r.file);
    if let Some(h) = heart {
        assert!(h.released() && h.beats_on(5), "{}: the process lives", r.file);
        assert_eq!(h.changed_bytes(), 0, "{}: its text is as it was", r.file);
    }
}

#[test]
fn sessions_of_editors() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dap");
    let all = std::fs::read_dir(dir).expect("sessions").flatten().map(|e| e.path());
    let mut files: Vec<_> = all.filter(|p| p.extension().is_some_and(|x| x == "jsonl")).collect();
    files.sort();
    assert!(files.len() >= 12, "twelve sessions");
    let mut bad = Vec::new();
    for f in &files {
        if let Err(p) = std::panic::catch_unwind(|| replay(f)) {
            let why = p.downcast_ref::<String>().cloned().or_else(|| p.downcast_ref::<&str>().map(|s| s.to_string()));
            bad.push(format!("{}: {}", f.display(), why.unwrap_or_default()));
        }
    }
    assert!(bad.is_empty(), "{} of {} sessions:\n{}", bad.len(), files.len(), bad.join("\n\n"));
}
