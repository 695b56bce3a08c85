//! `adit dap`: every way in which a session begins and ends, and messages that are none.

mod common;

use adit::target::linux::procfs;
use common::dap::{Editor, Via, exec, file, gone, line, named};
use common::heart::Heart;
use common::{DEBUG, build, line_of, source_dir};
use serde_json::{Value, json};
use std::time::Duration;

#[test]
fn launches_of_every_mode() {
    // Built here, with environment and folder; stopped on entry; restarted.
    let dir = source_dir("editor").display().to_string();
    let mut e = Editor::start(Via::Client, &["--log-dest=/dev/null", "--check-go-version=false"]);
    let args = json!({"mode": "debug", "program": ".", "dlvCwd": dir, "stopOnEntry": true,
        "env": {"EDITOR_SAYS": "good evening", "HOME": std::env::var("HOME").unwrap_or_default()}, "buildFlags": "-tags=x"});
    e.begin("launch", args, &file(), &[line("EDITOR_SAYS")]);
    let stop = e.stopped();
    assert_eq!(stop["reason"], "entry");
    assert_eq!(e.at(&stop["threadId"]), format!("main.main:{}", line("func main")));
    e.ok("continue", json!({"threadId": stop["threadId"]}));
    let stop = e.stopped();
    assert_eq!(stop["reason"], "breakpoint");
    e.ok("restart", json!({}));
    e.event(&["initialized"]);
    e.ok("configurationDone", Value::Null);
    let entry = e.stopped();
    assert_eq!(entry["reason"], "entry", "stopOnEntry holds for the new one, too");
    e.ok("continue", json!({"threadId": entry["threadId"]}));
    let again = e.stopped();
    assert_eq!((again["reason"].as_str(), &again["hitBreakpointIds"]), (Some("breakpoint"), &stop["hitBreakpointIds"]));
    e.ok("continue", json!({"threadId": again["threadId"]}));
    e.wait_output("good evening 8");
    e.event(&["terminated"]);
    e.ok("disconnect", json!({"restart": false}));
    assert_eq!(e.finish(), Some(0));

    // Tests.
    let mut e = Editor::start(Via::Listen, &["-l", "127.0.0.1:0"]);
    let test = source_dir("editor").join("main_test.go").display().to_string();
    let at = std::fs::read_to_string(&test)
        .expect("the test")
        .lines()
        .position(|l| l.contains("in the test"))
        .expect("a line") as u32
        + 1;
    e.begin(
        "launch",
        json!({"mode": "test", "program": dir, "dlvCwd": dir, "args": ["-test.run", "TestDouble", "-test.v"]}),
        &test,
        &[at],
    );
    let stop = e.stopped();
    let (_, _, all) = e.locals(&stop["threadId"]);
    assert_eq!(named(&all, "got")["value"], "8");
    e.ok("continue", json!({"threadId": stop["threadId"]}));
    e.wait_output("PASS");
    e.event(&["terminated"]);
    e.ok("disconnect", Value::Null);

    // Without a debugger.
    let mut e = Editor::start(Via::Listen, &[]);
    e.ok("initialize", json!({"adapterID": "go"}));
    let mut plain = exec(&["exit"]);
    plain["noDebug"] = json!(true);
    e.ok("launch", plain);
    assert!(e.log.iter().all(|l| !l.contains("\"initialized\"")));
    assert_eq!(e.event(&["exited"])["body"]["exitCode"], 3);
    e.event(&["terminated"]);
    e.ok("disconnect", Value::Null);
    let mut e = Editor::start(Via::Listen, &[]);
    e.ok("initialize", json!({"adapterID": "go"}));
    let mut plain = exec(&["spin"]);
    plain["noDebug"] = json!(true);
    e.ok("launch", plain);
    assert!(e.refused("threads", Value::Null).contains("unable to process 'threads' request"));
    e.ok("disconnect", Value::Null);
    e.event(&["terminated"]);

    // Files instead of events.
    let tmp = tempfile::tempdir().expect("a folder");
    let (out, err) = (tmp.path().join("out"), tmp.path().join("err"));
    let mut e = Editor::start(Via::Listen, &[]);
    let mut files = exec(&[]);
    files["stdoutTo"] = json!(out.display().to_string());
    files["stderrTo"] = json!(err.display().to_string());
    e.begin("launch", files, "", &[]);
    e.event(&["terminated"]);
    e.ok("disconnect", Value::Null);
    assert!(std::fs::read_to_string(out).expect("a file").starts_with("to stdout 42"));
    assert_eq!(std::fs::read_to_string(err).expect("a file"), "to stderr pear\n");
}

#[test]
fn what_cannot_be_launched_says_why() {
    for (arguments, says) in [
        (json!({"mode": "exec"}), "The program attribute is missing"),
        (json!({"mode": "fly", "program": "x"}), "unsupported 'mode' attribute \"fly\""),
        (json!({"mode": "exec", "program": "/nowhere/x"}), "/nowhere/x"),
        (json!({"mode": "exec", "program": "/etc/passwd"}), "Failed to launch"),
        (json!({"mode": "core", "program": "x"}), "'coreFilePath' attribute is missing"),
        (json!({"mode": "exec", "program": 7}), "cannot unmarshal number into \"program\" of type string"),
        (
            json!({"mode": "debug", "program": "./nothing", "dlvCwd": source_dir("editor").display().to_string()}),
            "Build error: Check the debug console",
        ),
        (json!({"mode": "debug", "program": ".", "dlvCwd": "/nowhere"}), "failed to chdir"),
    ] {
        let mut e = Editor::start(Via::Stdio, &[]);
        e.ok("initialize", json!({"adapterID": "go"}));
        assert!(e.refused("threads", Value::Null).contains("No debug session started"));
        let said = e.refused("launch", arguments.clone());
        assert!(said.contains(says) && said.starts_with("Failed to launch"), "{arguments}: {said}");
        e.ok("disconnect", Value::Null);
        assert_eq!(e.finish(), Some(0));
    }
    let mut e = Editor::start(Via::Stdio, &[]);
    assert!(e.refused("initialize", json!({"pathFormat": "uri"})).contains("pathFormat"));
    assert!(e.refused("initialize", json!({"linesStartAt1": false})).contains("1-based line"));
    e.ok("initialize", json!({}));
    for (arguments, says) in [
        (json!({}), "'processId' or 'waitFor' attribute is missing"),
        (json!({"processId": 1, "waitFor": "x"}), "mutually exclusive"),
        (json!({"processId": 999_999_999}), "999999999"),
        (json!({"mode": "remote"}), "no debugger found"),
    ] {
        let said = e.refused("attach", arguments.clone());
        assert!(said.contains(says) && said.starts_with("Failed to attach"), "{arguments}: {said}");
    }
    assert!(e.refused("fly", json!({})).len() > 5);
    e.ok("disconnect", Value::Null);
}

#[test]
fn attached_processes_are_never_harmed() {
    let exe = build("heartbeat", DEBUG);
    let source = source_dir("heartbeat").join("main.go").display().to_string();
    let hot = line_of("heartbeat", "func hot(");
    // Each way to leave, in the middle of a stop and while breakpoints are hit.
    for (stand, end) in
        [(true, "disconnect"), (false, "disconnect"), (true, "vanish"), (false, "vanish"), (true, "terminate")]
    {
        let heart = Heart::start(&exe);
        let mut e = Editor::start(Via::Listen, &[]);
        let set = e.begin("attach", json!({"processId": heart.pid()}), &source, &[hot + 1]);
        assert_eq!(set["breakpoints"][0]["verified"], true, "{set}");
        assert!(e.log.iter().any(|l| l.contains("\"capabilities\":{\"supportTerminateDebuggee\":true}")));
        let stop = e.stopped();
        assert_eq!(stop["reason"], "breakpoint");
        if !stand {
            e.ok(
                "setBreakpoints",
                json!({"source": {"path": source}, "breakpoints": [{"line": hot + 1, "condition": "i < 0"}]}),
            );
            e.ok("continue", json!({"threadId": stop["threadId"]}));
            assert!(heart.beats_on(3), "it runs");
        }
        match end {
            "disconnect" => drop(e.ok("disconnect", json!({"terminateDebuggee": false}))),
            "terminate" => drop(e.ok("terminate", json!({}))),
            _ => e.vanish(),
        }
        assert!(heart.released(), "{end}: let go");
        assert!(heart.beats_on(5), "{end}, standing {stand}: it lives");
        assert_eq!(heart.changed_bytes(), 0, "{end}, standing {stand}: its text is as it was");
    }
    // Only a wish in so many words ends it.
    let heart = Heart::start(&exe);
    let mut e = Editor::start(Via::Listen, &[]);
    e.begin("attach", json!({"processId": heart.pid(), "stopOnEntry": true}), "", &[]);
    assert_eq!(e.stopped()["reason"], "entry");
    assert!(e.refused("restart", json!({})).contains("did not create"));
    e.ok("disconnect", json!({"terminateDebuggee": true}));
    assert!(!heart.beats_on(3), "it was asked to end");
}

#[test]
fn a_process_is_waited_for() {
    let tmp = tempfile::tempdir().expect("a folder");
    let name = format!("awaited{}", std::process::id());
    let exe = tmp.path().join(&name);
    std::fs::copy(build("heartbeat", DEBUG), &exe).expect("a copy");
    let mut e = Editor::start(Via::Listen, &[]);
    e.ok("initialize", json!({"adapterID": "go"}));
    let opened = e.send("attach", json!({"mode": "local", "waitFor": name}));
    std::thread::sleep(Duration::from_millis(200));
    let heart = Heart::start(&exe);
    e.initialized(opened);
    assert_eq!(find_process(&mut e), Some(heart.pid()));
    e.ok("disconnect", json!({}));
    assert!(heart.released() && heart.beats_on(3));
    // An editor that leaves while nothing came.
    let mut e = Editor::start(Via::Listen, &[]);
    e.ok("initialize", json!({"adapterID": "go"}));
    e.send("attach", json!({"waitFor": "nothing-is-called-so"}));
    e.ok("disconnect", json!({}));
    assert_eq!(e.finish(), Some(0));
}

#[test]
fn a_program_that_has_ended_is_started_again() {
    let mut e = Editor::start(Via::Listen, &[]);
    e.begin("launch", exec(&["exit"]), "", &[]);
    assert_eq!(e.event(&["exited"])["body"]["exitCode"], 3);
    e.event(&["terminated"]);
    e.ok("restart", json!({"arguments": {"request": "launch", "mode": "exec", "program": "x", "args": []}}));
    e.event(&["initialized"]);
    let at = json!([{"line": line("// at the end of look")}]);
    e.ok("setBreakpoints", json!({"source": {"path": file()}, "breakpoints": at}));
    e.ok("configurationDone", Value::Null);
    let stop = e.stopped();
    assert_eq!(stop["reason"], "breakpoint");
    e.ok("continue", json!({"threadId": stop["threadId"]}));
    e.wait_output("to stdout 42 1");
    assert_eq!(e.event(&["exited"])["body"]["exitCode"], 0);
    e.ok("disconnect", Value::Null);
}

#[test]
fn cores_are_looked_at() {
    // Written by the kernel's own rules would need settings of the machine: a snapshot is an ELF core, too.
    let tmp = tempfile::tempdir().expect("a folder");
    let core = tmp.path().join("core");
    let exe = build("heartbeat", DEBUG);
    let heart = Heart::start(&exe);
    let pid = heart.pid().to_string();
    let done = common::oneshot::adit(&["snapshot", &pid, "-o", core.to_str().expect("a path")]);
    assert!(done.status.success(), "{done:?}");
    drop(heart);
    let mut e = Editor::start(Via::Listen, &[]);
    let arguments =
        json!({"mode": "core", "program": exe.display().to_string(), "coreFilePath": core.display().to_string()});
    e.begin("launch", arguments, "", &[]);
    e.stopped();
    let all = e.ok("threads", Value::Null);
    let main = all["threads"].as_array().expect("threads").iter().find(|t| t["id"] == 1).expect("goroutine 1").clone();
    let frames = e.frames(&main["id"]);
    assert!(frames.iter().any(|f| f["name"] == "main.main"), "{frames:?}");
    for command in ["continue", "next"] {
        assert!(e.refused(command, json!({"threadId": 1})).contains("cannot be run"), "{command}");
    }
    e.ok("disconnect", json!({}));
    assert_eq!(e.finish(), Some(0));
}

#[test]
fn launched_ones_end_with_the_session() {
    for end in ["disconnect", "vanish", "terminate", "garbage"] {
        let mut e = Editor::start(if end == "vanish" { Via::Stdio } else { Via::Listen }, &[]);
        e.begin("launch", exec(&["spin"]), "", &[]);
        let pid = find_process(&mut e);
        let pid = pid.expect("a process id");
        assert!(procfs::alive(pid));
        match end {
            "disconnect" => drop(e.ok("disconnect", json!({"terminateDebuggee": false}))),
            "terminate" => {
                e.ok("terminate", json!({}));
                e.event(&["terminated"]);
            }
            "garbage" => e.raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
            _ => e.vanish(),
        }
        assert!(gone(pid), "{end}: {pid} lives on");
        drop(e);
    }
}

/// The `process` event may have been read over while `initialized` was waited for.
fn find_process(e: &mut Editor) -> Option<i32> {
    let line = e.log.iter().find(|l| l.contains("systemProcessId"))?;
    let v: Value = serde_json::from_str(line).ok()?;
    v["body"]["systemProcessId"].as_i64().and_then(|p| i32::try_from(p).ok())
}

#[test]
fn pause_and_breakpoints_while_it_runs() {
    let mut e = Editor::start(Via::Listen, &[]);
    e.begin("launch", exec(&["spin"]), "", &[]);
    let t = e.ok("threads", Value::Null);
    assert_eq!(t["threads"], json!([{"id": -1, "name": "Current"}]));
    for (command, says) in [
        ("stackTrace", "debuggee is running"),
        ("setDataBreakpoints", "Can not set data breakpoints"),
        ("next", "debuggee is running"),
    ] {
        assert!(e.refused(command, json!({"threadId": 1})).contains(says), "{command}");
    }
    e.ok("pause", json!({"threadId": 1}));
    let stop = e.stopped();
    assert_eq!((stop["reason"].as_str(), stop["allThreadsStopped"].as_bool()), (Some("pause"), Some(true)));
    e.ok("pause", json!({"threadId": 1}));
    e.ok("continue", json!({"threadId": stop["threadId"]}));
    // Set while it runs, and hit; it was not stopped for that.
    let set =
        e.ok("setBreakpoints", json!({"source": {"path": file()}, "breakpoints": [{"line": line("// in double")}]}));
    assert_eq!(set["breakpoints"][0]["verified"], true);
    let stop = e.stopped();
    assert_eq!(
        (stop["reason"].as_str(), &stop["hitBreakpointIds"][0]),
        (Some("breakpoint"), &set["breakpoints"][0]["id"])
    );
    e.ok("disconnect", Value::Null);
}

#[test]
fn messages_that_are_none() {
    // A body that is no request is refused, and the session goes on.
    let mut e = Editor::start(Via::Listen, &[]);
    for body in [
        "{",
        "[]",
        "null",
        "\"x\"",
        "{\"seq\":9,\"type\":\"event\",\"event\":\"x\"}",
        "{\"seq\":9,\"type\":\"request\"}",
        "\u{0}\u{1}",
    ] {
        e.raw(format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    }
    e.raw(b"Content-Length: 3\r\n\r\n\xff\xfe\xfd");
    for (command, arguments) in
        [("variables", json!({"variablesReference": "x"})), ("launch", json!([1])), ("stackTrace", json!({}))]
    {
        assert_eq!(e.call(command, arguments)["success"], false, "{command}");
    }
    let refused = e.responses.iter().filter(|r| r["success"] == false).count();
    assert_eq!(refused, 8, "{:?}", e.responses);
    e.ok("initialize", json!({"adapterID": "go"}));
    assert!(e.refused("initialize", json!({"linesStartAt1": "yes"})).contains("arguments of initialize"));
    e.ok("disconnect", Value::Null);
    assert_eq!(e.finish(), Some(0));
    // Framing that is none ends the session, whatever was going on.
    for bytes in [
        &b"Content-Length: 99999999999999999999\r\n\r\n{}"[..],
        b"Content-Length: 4000000000\r\n\r\n",
        b"\r\n\r\n{}",
        b"Content-Length: -5\r\n\r\n",
        b"x",
        b"Content-Length: 50\r\n\r\n{",
    ] {
        for started in [false, true] {
            let mut e = Editor::start(Via::Listen, &[]);
            let mut pid = None;
            if started {
                e.begin("launch", exec(&["spin"]), "", &[]);
                pid = find_process(&mut e);
            }
            e.raw(bytes);
            // Some of these wait for more, which does not come.
            e.vanish();
            assert_eq!(e.finish(), Some(0), "{:?}", String::from_utf8_lossy(bytes));
            assert!(pid.is_none_or(gone));
        }
    }
    // Requests in the wrong order.
    let mut e = Editor::start(Via::Stdio, &[]);
    for command in
        ["configurationDone", "continue", "next", "stackTrace", "setBreakpoints", "evaluate", "pause", "goto"]
    {
        assert!(e.refused(command, json!({"threadId": 1})).contains("No debug session started"), "{command}");
    }
    assert!(e.refused("restart", Value::Null).contains("not running"));
    e.begin("launch", exec(&["spin"]), "", &[]);
    assert!(e.refused("launch", exec(&[])).contains("already in progress"));
    assert!(e.refused("attach", json!({"processId": 1})).contains("already in progress"));
    e.ok("configurationDone", Value::Null);
    e.ok("disconnect", Value::Null);
}
