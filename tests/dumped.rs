//! `:dump FILE` at a stop: a core that adit, Delve and gdb open, in which everything that reads works as at the stop itself.
#![allow(clippy::expect_used, clippy::unwrap_used)]

#[path = "builds/kinds.rs"]
#[allow(dead_code)]
mod kinds;

mod common;

use adit::backend::protocol::*;
use adit::model::Variable;
use common::dlv::dlv;
use common::{DEBUG, DEFAULT, Debuggee, build, line_of};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const STRIPPED: &[&str] = &["-ldflags=-s -w"];

fn frames(d: &mut Debuggee) -> Vec<(String, u32)> {
    match d.call(Request::Stack { goroutine: None, depth: 50, defers: false }) {
        Ok(Reply::Stack { stack, .. }) => stack.frames.iter().map(|f| (f.at.function.clone(), f.at.line)).collect(),
        other => panic!("{other:?}"),
    }
}

/// Name, type and value of every variable of every frame.
fn variables(d: &mut Debuggee) -> Vec<(String, String, String)> {
    let mut all = Vec::new();
    for frame in 0..frames(d).len() as u32 {
        let frame = FrameRef { goroutine: None, frame };
        match d.call(Request::Scope { frame, limits: LoadLimits::default() }) {
            Ok(Reply::Variables { variables, .. }) => {
                let row = |v: Variable| (v.name, v.type_name, v.value);
                all.extend(variables.into_iter().map(row));
            }
            Ok(other) => panic!("{other:?}"),
            Err(e) => all.push(("".into(), "".into(), e.to_string())),
        }
    }
    all
}

fn eval(d: &mut Debuggee, expression: &str) -> String {
    let r = Request::Eval { frame: FrameRef::default(), expression: expression.into(), limits: LoadLimits::default() };
    match d.call(r) {
        Ok(Reply::Value { value, .. }) => value.value,
        other => format!("{other:?}"),
    }
}

/// Stops a program where all its variables are set, and writes a core.
fn dumped(flags: &[&str], dir: &Path) -> (PathBuf, PathBuf, Debuggee) {
    let exe = build("values", flags);
    let mut d = Debuggee::launch(&exe, &[]);
    d.break_at(&format!("main.go:{}", line_of("values", "fmt.Println(\"ready\")")));
    d.resume(ResumeKind::Continue).expect("the end of show");
    let core = dir.join("it.core");
    match d.call(Request::Snapshot { file: Some(core.clone()) }) {
        Ok(Reply::Snapshot { file_bytes, .. }) => assert!(file_bytes > 1 << 20),
        other => panic!("{other:?}"),
    }
    (exe, core, d)
}

#[test]
fn reads_as_the_stop_does() {
    for flags in [DEBUG, DEFAULT, STRIPPED, &["-buildmode=pie"]] {
        let dir = tempfile::tempdir().unwrap();
        let (_, core, mut live) = dumped(flags, dir.path());
        let mut d = Debuggee::open(TargetSpec::File { path: core, exe: None }).unwrap();
        assert_eq!(frames(&mut live), frames(&mut d), "{flags:?}");
        let (before, after) = (variables(&mut live), variables(&mut d));
        assert!(before.len() >= if flags == STRIPPED { 3 } else { 20 }, "{flags:?} {before:?}");
        assert_eq!(before, after, "{flags:?}");
        let expressions: &[&str] = match flags == STRIPPED {
            true => &["arg0", "*(*int)(0x0)"],
            false => &["len(many)", "sl[1] + 40", "m[\"one\"]", "p.Name", "main.Global", "e3.(data).Name", "nosuch"],
        };
        for e in expressions {
            assert_eq!(eval(&mut live, e), eval(&mut d, e), "{flags:?} {e}");
        }
    }
}

#[test]
fn delve_and_gdb_open_it() {
    let dir = tempfile::tempdir().unwrap();
    let (exe, core, mut d) = dumped(DEBUG, dir.path());
    let at = d.at();
    match dlv() {
        None => println!("dlv is not installed: not compared"),
        Some(dlv) => {
            let mut child = Command::new(dlv)
                .arg("core")
                .args([&exe, &core])
                .args(["--allow-non-terminal-interactive=true", "--check-go-version=false"])
                .env("XDG_CONFIG_HOME", dir.path())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let commands = b"goroutines\ngoroutine 1\nprint sl\nprint m\nprint e3\nexit\n";
            child.stdin.take().unwrap().write_all(commands).unwrap();
            let out = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&out.stdout);
            let line = at.rsplit(':').next().unwrap();
            assert!(said.contains(&format!("main.go:{line} main.show")), "{said}");
            assert!(said.contains(&eval(&mut d, "sl")), "{said}");
            assert!(said.contains("\"one\": 1"), "{said}");
            assert!(said.contains("interface {}(main.Inner) {X: 1, Y: 2, Name: \"in\"}"), "{said}");
        }
    }
    match Command::new("gdb")
        .args(["-q", "-batch", "-nx", "-ex", "bt 3", "-ex", "p 'main.Global'"])
        .args([&exe, &core])
        .output()
    {
        Err(_) => println!("gdb is not installed: not compared"),
        Ok(out) => {
            let said = String::from_utf8_lossy(&out.stdout);
            assert!(said.contains("main.show (") && said.contains("= 42"), "{said}");
        }
    }
}

/// A C program with a Go library, and a program with a plugin: the core leads to both files.
#[test]
fn libraries_and_plugins_are_found_in_a_core() {
    let release = kinds::own_release(&["1.21.13", "1.22.10", "1.23.9", "1.24.11", "1.25.5", "1.26.8", "1.27.3"]);
    let dir = tempfile::tempdir().unwrap();
    for name in ["c-shared", "plugin"] {
        let kind = kinds::KINDS.iter().find(|k| k.name == name).unwrap();
        let mut running = None;
        let mut live = match kind.build(&release).unwrap() {
            kinds::Target::Library(r) => {
                let spec = TargetSpec::Attach { pid: r.pid(), exe: None, control: true };
                running = Some(r);
                let mut d = Debuggee::open(spec).unwrap();
                d.call(Request::Pause).unwrap();
                d.wait_stop();
                d
            }
            kinds::Target::Plugin { host, plugin } => {
                let mut d = Debuggee::launch(&host, &[&plugin.to_string_lossy()]);
                d.break_at("main.opened");
                d.resume(ResumeKind::Continue).expect("the plugin is open");
                d
            }
            kinds::Target::Program(_) => unreachable!("neither is a program of its own"),
        };
        live.break_at("depot.Handle");
        live.resume(ResumeKind::Continue).expect("an order");
        let core = dir.path().join(name);
        live.call(Request::Snapshot { file: Some(core.clone()) }).unwrap();
        let mut d = Debuggee::open(TargetSpec::File { path: core, exe: None }).unwrap();
        assert!(frames(&mut d)[0].0.ends_with("depot.Handle"), "{name} {:?}", frames(&mut d));
        assert_eq!(frames(&mut live), frames(&mut d), "{name}");
        assert_eq!(variables(&mut live), variables(&mut d), "{name}");
        drop(live);
        drop(running);
    }
}
