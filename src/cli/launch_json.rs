//! `.vscode/launch.json`: the configurations that a project has for its editor, opened without the editor.
//!
//! JSON with comments and trailing commas; the variables of
//! <https://code.visualstudio.com/docs/reference/variables-reference> that make sense without an open file.

use super::args::Common;
use super::build;
use crate::backend::protocol::{Failure, FailureKind, LaunchSpec, Redirects, TargetSpec};
use crate::dap::config::{self, Launch, Mode};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Where the file is, from a folder upwards.
const FILE: &str = ".vscode/launch.json";

fn bad(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::BadRequest, message)
}

/// The file of the folder or of one above it, and the workspace that it is in.
fn find(from: &Path) -> Result<(PathBuf, PathBuf), Failure> {
    let found = from.ancestors().find(|d| d.join(FILE).is_file());
    found.map(|d| (d.join(FILE), d.to_path_buf())).ok_or_else(|| {
        bad(format!("there is no {FILE} in {} or above it", from.display())).fix("adit debug builds the package here")
    })
}

/// Configurations for Go, in their order.
fn configurations(text: &str, file: &Path) -> Result<Vec<Value>, Failure> {
    let parsed: Result<Value, _> = jsonc_parser::parse_to_serde_value(text, &Default::default());
    let whole = parsed.map_err(|e| bad(format!("{}: {e}", file.display()).replace('\n', " ")))?;
    let all = whole["configurations"].as_array().cloned().unwrap_or_default();
    Ok(all.into_iter().filter(|c| c["type"] == "go").collect())
}

fn name_of(c: &Value) -> &str {
    c["name"].as_str().unwrap_or("")
}

/// The one that is asked for.
fn choose(all: Vec<Value>, name: Option<&str>, file: &Path) -> Result<Value, Failure> {
    let names: Vec<String> = all.iter().map(|c| format!("{:?}", name_of(c))).collect();
    let found = match name {
        None => all.into_iter().next(),
        Some(n) => all.into_iter().find(|c| name_of(c) == n),
    };
    found.ok_or_else(|| {
        let f = file.display();
        match name {
            None => bad(format!("{f} has no configuration of type \"go\"")),
            Some(n) => {
                bad(format!("{f} has no configuration {n:?} for Go")).fix(format!("it has {}", names.join(", ")))
            }
        }
    })
}

/// Replaces variables in all texts.
fn expand(v: &Value, workspace: &Path, here: &Path) -> Result<Value, Failure> {
    Ok(match v {
        Value::String(s) => Value::String(expand_text(s, workspace, here)?),
        Value::Array(a) => a.iter().map(|x| expand(x, workspace, here)).collect::<Result<_, _>>()?,
        Value::Object(o) => {
            let one = |(k, x): (&String, &Value)| Ok((k.clone(), expand(x, workspace, here)?));
            Value::Object(o.iter().map(one).collect::<Result<_, Failure>>()?)
        }
        other => other.clone(),
    })
}

fn expand_text(s: &str, workspace: &Path, here: &Path) -> Result<String, Failure> {
    let (mut out, mut rest) = (String::new(), s);
    while let Some(at) = rest.find("${") {
        let Some(len) = rest[at..].find('}') else { break };
        out += &rest[..at];
        let name = &rest[at + 2..at + len];
        rest = &rest[at + len + 1..];
        let base = || workspace.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        out += &match name {
            "workspaceFolder" | "workspaceRoot" => workspace.display().to_string(),
            "workspaceFolderBasename" => base(),
            // There is no open file; the folder that one is in is what such configurations mean.
            "cwd" | "fileDirname" => here.display().to_string(),
            "userHome" => std::env::var("HOME").unwrap_or_default(),
            "pathSeparator" | "/" => "/".into(),
            n => match n.strip_prefix("env:") {
                Some(n) => std::env::var(n).unwrap_or_default(),
                None => {
                    return Err(bad(format!("${{{name}}} means something in an editor only"))
                        .fix("write it out in the configuration, or use adit debug, test, exec or attach"));
                }
            },
        };
    }
    Ok(out + rest)
}

/// What to open for a configuration of the project here; and its rules for paths, as `--substitute-path` takes them.
pub fn target(common: &Common, name: Option<&str>) -> Result<(TargetSpec, Vec<(String, String)>), Failure> {
    let here = std::env::current_dir().map_err(|e| bad(format!("current folder: {e}")))?;
    let (file, workspace) = find(&here)?;
    let text = std::fs::read_to_string(&file).map_err(|e| bad(format!("{}: {e}", file.display())))?;
    let c = expand(&choose(configurations(&text, &file)?, name, &file)?, &workspace, &here)?;
    let wrong = |why: String| bad(format!("{}: configuration {:?}: {why}", file.display(), name_of(&c)));
    match c["request"].as_str() {
        Some("launch") => {
            let l = config::launch(&c).map_err(wrong)?;
            let rules = reversed(&l.common.substitute_path);
            Ok((launch(common, l, &workspace)?, rules))
        }
        Some("attach") => {
            let a = config::attach(&c).map_err(wrong)?;
            if a.remote || a.pid == 0 {
                return Err(wrong("it names no process of this machine (processId)".into()));
            }
            let rules = reversed(&a.common.substitute_path);
            Ok((TargetSpec::Attach { pid: a.pid, exe: a.exe, control: true }, rules))
        }
        _ => Err(wrong("its request is neither launch nor attach".into())),
    }
}

/// An editor's rules lead from its paths to the program's, ours the other way.
fn reversed(rules: &[config::Rule]) -> Vec<(String, String)> {
    rules.iter().map(|(editor, program)| (program.clone(), editor.clone())).collect()
}

fn launch(common: &Common, l: Launch, workspace: &Path) -> Result<TargetSpec, Failure> {
    let base = workspace.join(&l.dlv_cwd);
    if l.program.is_empty() {
        return Err(bad("the configuration names no program"));
    }
    let program = base.join(&l.program);
    if l.mode == Mode::Core {
        return super::target::file(&base.join(&l.core_file), Some(program));
    }
    let (exe, build, dir) = match l.mode {
        Mode::Exec => (program, None, None),
        mode => {
            let tests = mode == Mode::Test;
            // The go command wants to be in the module.
            let inside = if program.is_dir() { program.clone() } else { base.clone() };
            let b = build::build_in(common, &inside, &program.to_string_lossy(), &l.build_flags, tests)?;
            (b.exe, Some(b.spec), tests.then_some(b.dir))
        }
    };
    let cwd = if l.cwd.is_empty() { dir.unwrap_or(base) } else { base.join(&l.cwd) };
    let spec = LaunchSpec {
        exe,
        args: l.args,
        cwd: Some(common.cwd.clone().unwrap_or(cwd)),
        env: l.env.into_iter().chain(common.env.iter().cloned()).collect(),
        unset: l.unset,
        tty: common.tty.clone(),
        build,
        size: (80, 24),
        redirects: Box::new(Redirects { stdin: l.stdin, stdout: l.stdout, stderr: l.stderr }),
        ..LaunchSpec::default()
    };
    Ok(TargetSpec::Launch(spec))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TEXT: &str = r#"{
        // made by an editor
        "version": "0.2.0",
        "configurations": [
            {"name": "py", "type": "debugpy", "request": "launch"},
            {"name": "one", "type": "go", "request": "launch", "program": "${workspaceFolder}/cmd", "env": {"P": "${env:PATH}"},},
            {"name": "two", "type": "go", "request": "attach", "processId": 7}, /* more */
        ],
    }"#;

    #[test]
    fn comments_names_and_variables() {
        let file = Path::new("/w/.vscode/launch.json");
        let all = configurations(TEXT, file).expect("configurations");
        assert_eq!(all.iter().map(name_of).collect::<Vec<_>>(), ["one", "two"]);
        let one = choose(all.clone(), None, file).expect("the first");
        let one = expand(&one, Path::new("/w"), Path::new("/w/x")).expect("expanded");
        assert_eq!(one["program"], "/w/cmd");
        assert_eq!(one["env"]["P"], json!(std::env::var("PATH").unwrap_or_default()));
        let e = choose(all, Some("three"), file).expect_err("there is none");
        assert!(e.fix.is_some_and(|f| f.contains("\"one\", \"two\"")), "{}", e.message);
        assert!(configurations("{", file).is_err_and(|e| e.message.contains("launch.json")));
        let x = |s: &str| expand_text(s, Path::new("/w/shop"), Path::new("/w/shop/a"));
        assert_eq!(
            x("${fileDirname}|${workspaceFolderBasename}|${/}|$x ${").ok().as_deref(),
            Some("/w/shop/a|shop|/|$x ${")
        );
        assert!(x("${command:pickProcess}").is_err_and(|e| e.message.contains("an editor only")));
    }
}
