//! `adit dap` against real processes: every request, every way to begin and to end, and messages that are none.
//!
//! Recorded sessions of editors are in `tests/dap_sessions.rs`.

mod common;

use adit::target::linux::procfs;
use common::dap::{Editor, Via, named};
use common::heart::Heart;
use common::{DEBUG, build, line_of, source_dir};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn file() -> String {
    source_dir("editor").join("main.go").display().to_string()
}

fn line(text: &str) -> u32 {
    line_of("editor", text)
}

fn exec(args: &[&str]) -> Value {
    json!({"mode": "exec", "program": build("editor", DEBUG).display().to_string(), "args": args})
}

/// A session stopped at a line.
fn stopped_at(arguments: Value, text: &str) -> (Editor, Value) {
    let mut e = Editor::start(Via::Listen, &["--listen=127.0.0.1:0"]);
    let set = e.begin("launch", arguments, &file(), &[line(text)]);
    assert_eq!(set["breakpoints"][0]["verified"], true, "{set}");
    assert_eq!(set["breakpoints"][0]["line"], line(text));
    let stop = e.stopped();
    assert_eq!(stop["reason"], "breakpoint", "{stop}");
    assert_eq!(stop["hitBreakpointIds"][0], set["breakpoints"][0]["id"]);
    (e, stop["threadId"].clone())
}

fn gone(pid: i32) -> bool {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        if !procfs::alive(pid) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    false
}

#[test]
fn values_are_shown_as_delve_shows_them() {
    let (mut e, thread) = stopped_at(exec(&["a"]), "// at the end of look");
    let (frame, locals, all) = e.locals(&thread);
    let value = |n: &str| named(&all, n)["value"].as_str().unwrap_or("").to_string();
    assert_eq!(value("n"), "45");
    assert_eq!(value("small"), "200 = 0xc8");
    assert_eq!(value("z"), "(1 + -2i)");
    assert_eq!(value("bytes"), "[]uint8 len: 5, cap: 5, [104,101,108,108,111]");
    assert!(
        value("first").starts_with("*main.item {Name: \"apple\", Price: 1.5, Tags: []string len: 2, cap: 2, "),
        "{}",
        value("first")
    );
    assert!(value("many").ends_with("...") && value("many").len() < 300);
    assert_eq!(named(&all, "many")["indexedVariables"], 200);
    assert_eq!(named(&all, "any")["type"], "interface {}(*main.item)");
    assert_eq!(value("done"), "chan int 1/3");
    // Inside a pointer is what it points to, without a name; inside that are fields.
    let inner = e.variables(&named(&all, "first")["variablesReference"]);
    assert_eq!(
        (inner.len(), inner[0]["name"].as_str(), inner[0]["evaluateName"].as_str()),
        (1, Some(""), Some("(*first)"))
    );
    let fields = e.variables(&inner[0]["variablesReference"]);
    assert_eq!(named(&fields, "Name")["evaluateName"], "(*first).Name");
    let data = e.variables(&named(&all, "any")["variablesReference"]);
    assert_eq!(data[0]["evaluateName"], "any.(data)");
    // Pages.
    let page = json!({"variablesReference": named(&all, "many")["variablesReference"], "filter": "indexed", "start": 190, "count": 5});
    let page = e.ok("variables", page);
    assert_eq!(page["variables"][4]["name"], "[194]");
    assert_eq!(page["variables"][4]["value"], "37636");
    // Maps: key and value in one row, and the length beside them.
    let entries = e.variables(&named(&all, "prices")["variablesReference"]);
    assert_eq!(named(&entries, "len()")["value"], "2");
    assert_eq!(named(&entries, "\"pear\"")["evaluateName"], "prices[\"pear\"]");
    let text = e.variables(&named(&all, "bytes")["variablesReference"]);
    assert_eq!(named(&text, "string()")["value"], "\"hello\"");
    // Expressions in every context.
    for (context, expression, want) in [
        ("watch", "n + 1", "46"),
        ("hover", "second.next.Name", "\"apple\""),
        ("repl", "len(many)", "200"),
        ("variables", "small", "200 = 0xc8"),
    ] {
        let r = e.ok("evaluate", json!({"expression": expression, "frameId": frame, "context": context}));
        assert_eq!(r["result"], want, "{context} {expression}");
    }
    let short = e.ok("evaluate", json!({"expression": "long", "frameId": frame, "context": "watch"}));
    assert!(short["result"].as_str().is_some_and(|s| s.contains("...+488 more")), "{short}");
    let whole = e.ok("evaluate", json!({"expression": "long", "frameId": frame, "context": "clipboard"}));
    assert_eq!(whole["result"].as_str().map(str::len), Some(1002));
    let bad = e.call("evaluate", json!({"expression": "nothing", "frameId": frame}));
    assert_eq!((bad["success"].as_bool(), bad["body"]["error"]["showUser"].as_bool()), (Some(false), Some(true)));
    assert!(
        e.refused("evaluate", json!({"expression": "1 +", "context": "repl"}))
            .starts_with("Unable to evaluate expression: ")
    );
    // Outer frames have their own variables.
    let frames = e.frames(&thread);
    assert_eq!(frames[1]["name"], "main.main");
    assert_eq!(frames.last().map(|f| f["presentationHint"].clone()), Some(json!("subtle")));
    let outer = e.ok("evaluate", json!({"expression": "what", "frameId": frames[1]["id"]}));
    assert_eq!(outer["result"], "\"a\"");
    // Assignments.
    let set = e.ok("setVariable", json!({"variablesReference": locals, "name": "n", "value": "100"}));
    assert_eq!(set["value"], "100");
    e.event(&["invalidated"]);
    let many = &named(&all, "many")["variablesReference"];
    assert_eq!(e.ok("setVariable", json!({"variablesReference": many, "name": "[199]", "value": "-1"}))["value"], "-1");
    assert_eq!(
        e.ok("setExpression", json!({"expression": "second.Price", "value": "2.5", "frameId": frame}))["value"],
        "2.5"
    );
    let r = e.ok("evaluate", json!({"expression": "n + many[199]", "frameId": frame}));
    assert_eq!(r["result"], "99");
    assert!(
        e.refused("setVariable", json!({"variablesReference": locals, "name": "n", "value": "\"x\""}))
            .contains("Unable to set")
    );
    assert!(
        e.refused("setVariable", json!({"variablesReference": 1, "name": "n", "value": "1"}))
            .contains("unknown reference 1")
    );
    assert!(e.refused("variables", json!({"variablesReference": 99})).contains("unknown reference 99"));
    assert!(e.refused("scopes", json!({"frameId": 1})).contains("unknown frame id 1"));
    // Completions.
    let c = e.ok("completions", json!({"frameId": frame, "text": "1 + sec", "column": 8}));
    assert_eq!(c["targets"][0]["label"], "second");
    assert_eq!((c["targets"][0]["start"].as_i64(), c["targets"][0]["length"].as_i64()), (Some(5), Some(3)));
    let c = e.ok("completions", json!({"frameId": frame, "text": "first.", "column": 7}));
    assert!(c["targets"].as_array().is_some_and(|t| t.iter().any(|t| t["label"] == "Tags")), "{c}");
    let c = e.ok("completions", json!({"frameId": frame, "text": "main.dou", "column": 9}));
    assert_eq!(c["targets"][0]["label"], "double");
    e.ok("disconnect", json!({}));
    assert_eq!(e.finish(), Some(0));
}

#[test]
fn functions_are_called_and_text_is_assigned() {
    let (mut e, thread) = stopped_at(exec(&[]), "// at the end of look");
    let (frame, locals, _) = e.locals(&thread);
    let call = |text: &str| json!({"expression": text, "frameId": frame, "context": "repl"});
    let r = e.ok("evaluate", call("call double(5)"));
    assert_eq!(r["result"], "10", "{r}");
    // Numbers of before the call are void: a call may have moved anything.
    let (frame, _, _) = e.locals(&thread);
    let call = |text: &str| json!({"expression": text, "frameId": frame, "context": "repl"});
    let r = e.ok("evaluate", call("call first.label()"));
    assert_eq!(r["result"], "\"apple!\"", "{r}");
    let results = e.variables(&r["variablesReference"]);
    assert_eq!((results.len(), results[0]["value"].as_str()), (1, Some("\"apple!\"")));
    assert!(e.refused("evaluate", call("call nothing(1)")).contains("nothing"));
    let outer = e.frames(&thread)[1]["id"].clone();
    assert!(
        e.refused("evaluate", json!({"expression": "call double(1)", "frameId": outer}))
            .contains("topmost stack frame")
    );
    drop(locals);
    let (_, locals, all) = e.locals(&thread);
    let second = &named(&all, "second")["variablesReference"];
    let set = e.ok("setVariable", json!({"variablesReference": second, "name": "Name", "value": "\"quince\""}));
    assert_eq!(set["value"], "\"quince\"");
    let (frame, _, _) = e.locals(&thread);
    let r = e.ok("evaluate", json!({"expression": "second.Name", "frameId": frame, "context": "watch"}));
    assert_eq!(r["result"], "\"quince\"");
    drop(locals);
    // No stop was told for any of it.
    assert_eq!(e.log.iter().filter(|l| l.contains("\"event\":\"stopped\"")).count(), 1);
    e.ok("disconnect", json!({}));
}

#[test]
fn data_that_is_written_stops() {
    let (mut e, thread) = stopped_at(exec(&[]), "// in watched");
    let (_, locals, _) = e.locals(&thread);
    let info = e.ok("dataBreakpointInfo", json!({"variablesReference": locals, "name": "count"}));
    assert!(
        e.refused("dataBreakpointInfo", json!({"variablesReference": locals, "name": "none"}))
            .contains("field none not found")
    );
    let set = e.ok("setDataBreakpoints", json!({"breakpoints": [{"dataId": info["dataId"], "accessType": "write"}]}));
    assert_eq!(set["breakpoints"][0]["verified"], true, "{set}");
    e.ok("setBreakpoints", json!({"source": {"path": file()}, "breakpoints": []}));
    e.ok("continue", json!({"threadId": thread}));
    let stop = e.stopped();
    assert_eq!(
        (stop["reason"].as_str(), &stop["hitBreakpointIds"][0]),
        (Some("data breakpoint"), &set["breakpoints"][0]["id"])
    );
    assert!(stop["text"].as_str().is_some_and(|t| t.starts_with("count: ")), "{stop}");
    // It ends with the function that it was in.
    loop {
        e.ok("continue", json!({"threadId": thread}));
        let next = e.event(&["stopped", "terminated", "breakpoint"]);
        if next["event"] == "breakpoint" {
            assert_eq!(next["body"]["reason"], "removed");
            break;
        }
        assert_eq!(next["body"]["reason"], "data breakpoint", "{next}");
    }
    e.ok("disconnect", json!({}));
}

#[test]
fn steps_stacks_and_the_end() {
    let (mut e, thread) = stopped_at(exec(&[]), "n := double(21)");
    let move_by = |e: &mut Editor, command: &str, extra: Value| {
        let mut a = json!({"threadId": thread});
        if let Some(g) = extra.as_str() {
            a["granularity"] = json!(g);
        }
        e.ok(command, a);
        let stop = e.stopped();
        assert_eq!(stop["reason"], "step", "{command}: {stop}");
        e.at(&thread)
    };
    assert_eq!(move_by(&mut e, "stepIn", Value::Null), format!("main.double:{}", line("func double")));
    assert_eq!(move_by(&mut e, "next", Value::Null), format!("main.double:{}", line("// in double")));
    let before = e.frames(&thread)[0]["instructionPointerReference"].clone();
    move_by(&mut e, "stepIn", json!("instruction"));
    assert_ne!(e.frames(&thread)[0]["instructionPointerReference"], before);
    assert_eq!(move_by(&mut e, "stepOut", Value::Null), format!("main.look:{}", line("n := double(21)")));
    let frame = e.frames(&thread)[0]["id"].clone();
    let scopes = e.ok("scopes", json!({"frameId": frame}));
    assert_eq!(scopes["scopes"][1]["presentationHint"], "returnValue", "{scopes}");
    let returned = e.variables(&scopes["scopes"][1]["variablesReference"]);
    assert_eq!(returned[0]["value"], "42", "{returned:?}");
    assert_eq!(move_by(&mut e, "next", json!("statement")), format!("main.look:{}", line("// before stderr")));
    // The stack in parts.
    let part = e.ok("stackTrace", json!({"threadId": thread, "startFrame": 1, "levels": 1}));
    assert_eq!(part["stackFrames"][0]["name"], "main.main");
    assert!(part["totalFrames"].as_i64().is_some_and(|n| n > 2));
    assert!(e.refused("stepInTargets", json!({"frameId": part["stackFrames"][0]["id"]})).contains("cannot process"));
    // Back to an earlier line, without running anything.
    let targets = e.ok("gotoTargets", json!({"source": {"path": file()}, "line": line("n := double(21)")}));
    let target = targets["targets"][0]["id"].clone();
    e.ok("goto", json!({"threadId": thread, "targetId": target}));
    assert_eq!(e.stopped()["reason"], "goto");
    assert_eq!(e.at(&thread), format!("main.look:{}", line("n := double(21)")));
    assert!(e.refused("goto", json!({"threadId": thread, "targetId": 77})).contains("unknown target"));
    assert_eq!(e.ok("gotoTargets", json!({"source": {"path": file()}, "line": 1}))["targets"], json!([]));
    assert_eq!(move_by(&mut e, "next", Value::Null), format!("main.look:{}", line("// before stderr")));
    e.ok("setBreakpoints", json!({"source": {"path": file()}, "breakpoints": []}));
    assert_eq!(e.ok("continue", json!({"threadId": thread}))["allThreadsContinued"], true);
    let exited = e.event(&["exited"]);
    assert_eq!(exited["body"]["exitCode"], 0);
    e.event(&["terminated"]);
    assert!(e.output.contains("to stdout 42 1") && e.output.contains("to stderr pear"), "{}", e.output);
    assert!(e.output.contains("result"), "what it wrote last came before its end: {}", e.output);
    assert!(e.refused("evaluate", json!({"expression": "1"})).len() > 5);
    e.ok("disconnect", json!({"terminateDebuggee": true}));
    assert_eq!(e.finish(), Some(0));
}

#[test]
fn breakpoints_of_all_kinds() {
    let mut e = Editor::start(Via::Stdio, &[]);
    e.ok("initialize", json!({"adapterID": "go"}));
    let opened = e.send("launch", exec(&[]));
    e.initialized(opened);
    let at = |text: &str, more: Value| {
        let mut v = json!({"line": line(text)});
        for (k, x) in more.as_object().expect("an object") {
            v[k.as_str()] = x.clone();
        }
        v
    };
    let list = json!([
        at("// in watched", json!({"condition": "i == 2"})),
        at("// in init", json!({})),
        at("// in double", json!({"hitCondition": "> 5"})),
        at("many[i] = i", json!({"hitCondition": "never"})),
        at("func main", json!({"logMessage": "a {"})),
        json!({"line": 1}),
    ]);
    let set = e.ok("setBreakpoints", json!({"source": {"path": file()}, "breakpoints": list}));
    let ok: Vec<bool> = set["breakpoints"].as_array().expect("a list").iter().map(|b| b["verified"] == true).collect();
    assert_eq!(ok, [true, true, true, false, false, false], "{set}");
    for (i, says) in [(3, "hit condition"), (4, "invalid log point"), (5, "no code")] {
        assert!(set["breakpoints"][i]["message"].as_str().is_some_and(|m| m.contains(says)), "{set}");
    }
    let f = e.ok(
        "setFunctionBreakpoints",
        json!({"breakpoints": [{"name": "main.look"}, {"name": "nothing"}, {"name": "/x/"}]}),
    );
    assert_eq!(
        (f["breakpoints"][0]["verified"].as_bool(), f["breakpoints"][1]["verified"].as_bool()),
        (Some(true), Some(false))
    );
    assert!(f["breakpoints"][2]["message"].as_str().is_some_and(|m| m.contains("could not be parsed as a function")));
    let x = e.ok("setExceptionBreakpoints", json!({"filters": ["unrecovered-panic"]}));
    assert_eq!(x["breakpoints"][0]["id"], -1);
    let l = e.ok(
        "breakpointLocations",
        json!({"source": {"path": file()}, "line": line("func double"), "endLine": line("// in double")}),
    );
    assert_eq!(l["breakpoints"].as_array().map(Vec::len), Some(2), "{l}");
    e.ok("configurationDone", Value::Null);
    e.response(opened);
    // init functions run before main.main.
    let stop = e.stopped();
    assert_eq!(e.at(&stop["threadId"]), format!("main.init.0:{}", line("// in init")));
    let thread = stop["threadId"].clone();
    let go = json!({"threadId": thread});
    e.ok("continue", go.clone());
    let stop = e.stopped();
    assert_eq!(
        (stop["reason"].as_str(), &stop["hitBreakpointIds"][0]),
        (Some("function breakpoint"), &f["breakpoints"][0]["id"])
    );
    // By address.
    let pc = e.frames(&thread)[0]["instructionPointerReference"].clone();
    let code = e.ok("disassemble", json!({"memoryReference": pc, "instructionOffset": 0, "instructionCount": 4}));
    let address = code["instructions"][3]["address"].clone();
    let i = e.ok("setInstructionBreakpoints", json!({"breakpoints": [{"instructionReference": address}]}));
    assert_eq!(i["breakpoints"][0]["verified"], true, "{i}");
    e.ok("continue", go.clone());
    let stop = e.stopped();
    assert_eq!(stop["reason"], "instruction breakpoint");
    assert_eq!(e.frames(&thread)[0]["instructionPointerReference"], address);
    e.ok("setInstructionBreakpoints", json!({"breakpoints": []}));
    e.ok("continue", go.clone());
    let stop = e.stopped();
    assert_eq!(stop["hitBreakpointIds"][0], set["breakpoints"][0]["id"], "{stop}");
    let (frame, _, all) = e.locals(&thread);
    assert_eq!(named(&all, "i")["value"], "2");
    // Data.
    let info = e.ok("dataBreakpointInfo", json!({"name": "count", "frameId": frame}));
    assert_eq!(info["description"], "count");
    let none = e.ok(
        "setDataBreakpoints",
        json!({"breakpoints": [
            {"dataId": info["dataId"], "accessType": "read"}, {"dataId": "x", "accessType": "write"},
        ]}),
    );
    assert_eq!(none["breakpoints"][0]["verified"], false);
    assert!(none["breakpoints"][1]["message"].as_str().is_some_and(|m| m.contains("malformed data ID")));
    e.ok("setBreakpoints", json!({"source": {"path": file()}, "breakpoints": []}));
    e.ok("setFunctionBreakpoints", json!({"breakpoints": []}));
    e.ok("continue", go);
    e.event(&["terminated"]);
    e.ok("disconnect", Value::Null);
    assert_eq!(e.finish(), Some(0));
}

#[test]
fn log_points_write_and_never_stop() {
    let mut e = Editor::start(Via::Listen, &[]);
    e.ok("initialize", json!({"adapterID": "go"}));
    let opened = e.send("launch", exec(&[]));
    e.initialized(opened);
    let log = json!({"line": line("// in watched"), "logMessage": "i is {i} of {count}"});
    let set = e.ok("setBreakpoints", json!({"source": {"path": file()}, "breakpoints": [log]}));
    assert_eq!(set["breakpoints"][0]["verified"], true, "{set}");
    e.ok("configurationDone", Value::Null);
    let end = e.event(&["stopped", "terminated"]);
    assert_eq!(end["event"], "terminated", "{}", e.log.join("\n"));
    // The kernel's records may be read when the program has ended: then nobody knows any more whose goroutine's they were.
    assert!(e.output.contains("]: i is 2 of 1\n"), "{}", e.output);
    assert_eq!(e.output.matches("]: i is").count(), 3, "{}", e.output);
    e.ok("disconnect", Value::Null);
}

#[test]
fn exceptions() {
    for (what, id, says) in [("panic", "panic", "broken 8"), ("throw", "fatal error", "unlock of unlocked mutex")] {
        let mut e = Editor::start(Via::Listen, &[]);
        e.begin("launch", exec(&[what]), "", &[]);
        let stop = e.stopped();
        assert_eq!((stop["reason"].as_str(), stop["description"].as_str()), (Some("exception"), Some(id)), "{stop}");
        assert!(stop["text"].as_str().is_some_and(|t| t.contains(says)), "{stop}");
        let info = e.ok("exceptionInfo", json!({"threadId": stop["threadId"]}));
        assert_eq!(info["exceptionId"], id);
        assert!(info["description"].as_str().is_some_and(|d| d.contains(says)), "{info}");
        assert!(info["details"]["stackTrace"].as_str().is_some_and(|s| s.contains("in main.main\n")), "{info}");
        assert!(e.refused("exceptionInfo", json!({"threadId": 4711})).contains("no exception found"));
        e.ok("continue", json!({"threadId": stop["threadId"]}));
        let exited = e.event(&["exited"]);
        assert_eq!(exited["body"]["exitCode"], 2);
        e.ok("disconnect", Value::Null);
    }
    // Not wanted: not seen.
    let mut e = Editor::start(Via::Listen, &[]);
    e.ok("initialize", json!({"adapterID": "go"}));
    let opened = e.send("launch", exec(&["panic"]));
    e.initialized(opened);
    e.ok("setExceptionBreakpoints", json!({"filters": []}));
    e.ok("configurationDone", Value::Null);
    assert_eq!(e.event(&["stopped", "exited"])["event"], "exited");
    e.ok("disconnect", Value::Null);
}

#[test]
fn memory_code_sources_and_modules() {
    let (mut e, thread) = stopped_at(exec(&[]), "// at the end of look");
    let (frame, _, all) = e.locals(&thread);
    let many = named(&all, "many")["memoryReference"].clone();
    let bytes = named(&all, "bytes")["memoryReference"].clone();
    let m = e.ok("readMemory", json!({"memoryReference": bytes, "count": 5}));
    assert_eq!((m["data"].as_str(), m["unreadableBytes"].as_i64()), (Some("aGVsbG8="), Some(0)));
    let m = e.ok("readMemory", json!({"memoryReference": "0x10", "count": 8}));
    assert_eq!((m["data"].as_str(), m["unreadableBytes"].as_i64()), (Some(""), Some(8)));
    assert!(e.refused("readMemory", json!({"memoryReference": "x", "count": 8})).contains("unknown memoryReference"));
    assert!(e.refused("readMemory", json!({"memoryReference": bytes, "count": -1})).contains("negative count"));
    let w = e.ok("writeMemory", json!({"memoryReference": many, "offset": 8, "data": "Kgo="}));
    assert_eq!(w["bytesWritten"], 2);
    e.event(&["memory"]);
    let r = e.ok("evaluate", json!({"expression": "many[1]", "frameId": frame}));
    assert_eq!(r["result"], "2602");
    assert!(e.refused("writeMemory", json!({"memoryReference": bytes, "data": "%"})).contains("base64"));
    assert!(e.refused("writeMemory", json!({"memoryReference": bytes, "data": ""})).contains("empty"));
    // Text cannot be overwritten: that would harm the program.
    let pc = e.frames(&thread)[0]["instructionPointerReference"].clone();
    assert!(
        e.refused("writeMemory", json!({"memoryReference": pc, "data": "zA=="})).starts_with("Unable to write memory")
    );
    let code = e.ok(
        "disassemble",
        json!({"memoryReference": pc, "instructionOffset": -50, "instructionCount": 100, "resolveSymbols": true}),
    );
    let rows = code["instructions"].as_array().expect("rows");
    assert_eq!((rows.len(), &rows[50]["address"]), (100, &pc));
    assert!(rows.iter().all(|r| r["instruction"] != "invalid instruction"));
    assert_eq!(rows[50]["symbol"], "main.look");
    for bad in ["x", "0x10"] {
        e.refused("disassemble", json!({"memoryReference": bad, "instructionCount": 1}));
    }
    let none = e.ok("disassemble", json!({"memoryReference": "0x0", "instructionOffset": -4, "instructionCount": 3}));
    assert_eq!(none["instructions"][2]["instruction"], "invalid instruction");
    let sources = e.ok("loadedSources", Value::Null);
    assert!(sources["sources"].as_array().is_some_and(|s| s.iter().any(|s| s["path"] == file().as_str())));
    let text = e.ok("source", json!({"source": {"path": file()}, "sourceReference": 0}));
    assert!(text["content"].as_str().is_some_and(|t| t.contains("func look")));
    assert!(e.refused("source", json!({"source": {"path": "/etc/passwd"}})).contains("not a source file"));
    assert!(e.refused("source", json!({"sourceReference": 44})).contains("unknown sourceReference"));
    let modules = e.ok("modules", json!({}));
    assert_eq!(modules["totalModules"], 1);
    assert_eq!(modules["modules"][0]["isOptimized"], false);
    e.ok("disconnect", Value::Null);
}

#[test]
fn commands_in_the_console() {
    let (mut e, thread) = stopped_at(exec(&[]), "// at the end of look");
    let frame = e.frames(&thread)[0]["id"].clone();
    let mut say = |text: &str| {
        let r = e.call("evaluate", json!({"expression": text, "frameId": frame, "context": "repl"}));
        match r["success"] == true {
            true => r["body"]["result"].as_str().unwrap_or("").to_string(),
            false => format!("error: {}", r["body"]["error"]["format"].as_str().unwrap_or("")),
        }
    };
    assert!(say("dlv help").contains("dlv config"));
    assert!(say("dlv help sources").contains("Print list of source files"));
    assert!(say("dlv sources editor/main.go$").ends_with("editor/main.go"));
    assert_eq!(say("dlv types ^main.item$"), "main.item");
    assert!(say("dlv config -list").contains("stackTraceDepth\t50"));
    assert!(say("dlv config stackTraceDepth 2").ends_with("Updated"));
    assert!(say("dlv config showRegisters true").contains("true"));
    assert!(say("dlv config showGlobalVariables true").contains("true"));
    assert!(say("dlv target list").starts_with("*\t"));
    assert!(say("dlv x -fmt hex -count 5 -x &bytes[0]").contains("0x68   0x65"));
    assert!(say("dlv nothing").starts_with("error: Unable to run dlv command: command not available"));
    let stack = e.ok("stackTrace", json!({"threadId": thread}));
    assert_eq!(stack["stackFrames"].as_array().map(Vec::len), Some(2), "the depth was changed");
    let scopes = e.ok("scopes", json!({"frameId": stack["stackFrames"][0]["id"]}));
    let names: Vec<&str> =
        scopes["scopes"].as_array().expect("scopes").iter().filter_map(|s| s["name"].as_str()).collect();
    assert_eq!(names, ["Locals", "Globals (package main)", "Registers"]);
    let globals = e.variables(&scopes["scopes"][1]["variablesReference"]);
    assert_eq!(
        (named(&globals, "total")["value"].as_str(), named(&globals, "total")["evaluateName"].as_str()),
        (Some("8"), Some("main.total"))
    );
    let registers = e.variables(&scopes["scopes"][2]["variablesReference"]);
    assert!(named(&registers, "   rsp")["value"].as_str().is_some_and(|v| v.starts_with("0x")), "{registers:?}");
    e.ok("disconnect", Value::Null);
}

#[test]
fn goroutines_are_threads() {
    let (mut e, thread) = stopped_at(exec(&["crowd", "3000"]), "// the crowd waits");
    let all = e.ok("threads", Value::Null);
    let all = all["threads"].as_array().expect("threads");
    assert!(all.len() > 3000, "all of them, not 1,024: {}", all.len());
    assert_eq!(all[0]["id"], thread, "the selected one first");
    assert!(all[0]["name"].as_str().is_some_and(|n| n.starts_with("* [Go 1] main.crowd (Thread ")), "{}", all[0]);
    let waiting = all.iter().filter(|t| t["name"].as_str().is_some_and(|n| n.ends_with("main.crowd.func1"))).count();
    assert_eq!(waiting, 3000);
    let other = all.iter().find(|t| t["name"].as_str().is_some_and(|n| n.ends_with("main.crowd.func1"))).expect("one");
    let frames = e.frames(&other["id"]);
    assert!(frames.iter().any(|f| f["name"] == "main.crowd.func1"), "{frames:?}");
    e.ok("evaluate", json!({"expression": "dlv config hideSystemGoroutines true", "context": "repl"}));
    let users = e.ok("threads", Value::Null);
    assert_eq!(users["threads"].as_array().map(Vec::len), Some(3001));
    e.ok("evaluate", json!({"expression": "dlv config goroutineFilters -with running", "context": "repl"}));
    let running = e.ok("threads", Value::Null);
    assert_eq!(running["threads"].as_array().map(Vec::len), Some(1), "{running}");
    e.ok("disconnect", Value::Null);
}

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
