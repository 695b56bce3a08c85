//! The real binary's one-shots, as scripts call them.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

/// Runs `adit ARGS`.
pub fn adit(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_adit")).args(args).output().expect("adit runs")
}

/// Runs `adit ARGS --json`, which must succeed.
pub fn json(args: &[&str]) -> Value {
    let out = adit(&[args, &["--json"]].concat());
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "adit {args:?}: {:?} {text} {}", out.status, String::from_utf8_lossy(&out.stderr));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("adit {args:?}: {e}: {text}"))
}

/// As [`json`], for what must fail: exit code and message, which is one line.
pub fn error(args: &[&str]) -> (i32, String) {
    let out = adit(&[args, &["--json"]].concat());
    let v: Value = serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|e| panic!("adit {args:?}: {e}: {}", String::from_utf8_lossy(&out.stdout)));
    let message = v["error"]["message"].as_str().unwrap_or_else(|| panic!("adit {args:?} did not fail: {v}"));
    assert!(!message.contains('\n') && message.len() < 500, "{message}");
    (out.status.code().unwrap_or(-1), format!("{message}; {}", v["error"]["fix"].as_str().unwrap_or("")))
}

/// A path as an argument.
pub fn arg(p: &Path) -> &str {
    p.to_str().expect("a path in UTF-8")
}

/// Functions of a goroutine's stack.
pub fn functions(g: &Value) -> Vec<&str> {
    let frames = g["stack"].as_array().map_or(&[][..], |v| v);
    frames.iter().filter_map(|f| f["function"].as_str()).collect()
}

/// The goroutine that was started with this function.
pub fn of<'a>(list: &'a Value, entry: &str) -> &'a Value {
    let all = list["goroutines"].as_array().expect("goroutines");
    all.iter().find(|g| g["entry"]["function"] == entry).unwrap_or_else(|| panic!("no goroutine of {entry} in {list}"))
}

/// Checks a list of what `tests/programs/parked` has (with SPIN set), read with `--all --stack 60`.
pub fn check_parked(what: &str, v: &Value, spins: bool) {
    let word = |entry: &str, key: &str| of(v, entry)[key].as_str().unwrap_or("").to_string();
    assert_eq!(word("main.receiver", "wait_reason"), "chan receive", "{what}");
    assert_eq!(of(v, "main.receiver")["created_by"]["function"], "main.main", "{what}");
    assert_eq!(word("main.sender", "wait_reason"), "chan send", "{what}");
    assert_eq!(word("main.selecter", "wait_reason"), "select", "{what}");
    assert!(word("main.locker", "wait_reason").contains("Mutex"), "{what}");
    assert_eq!(of(v, "main.labelled")["labels"]["tenant"], "acme", "{what}");
    assert_eq!(functions(of(v, "main.deep")).iter().filter(|f| **f == "main.deep").count(), 51, "{what}");
    assert_eq!(functions(of(v, "main.receiver")).last(), Some(&"runtime.goexit"), "{what}");
    let main = functions(of(v, "runtime.main"));
    assert!(main.contains(&"main.main"), "{what}: {main:?}");
    if spins {
        let spin = functions(of(v, "main.spin"));
        assert!(spin.contains(&"main.spin"), "{what}: a goroutine that ran has its own stack: {spin:?}");
        // Or it was preempted just then.
        assert!(["running", "runnable"].contains(&word("main.spin", "state").as_str()), "{what}");
    }
}
