//! `adit dap` against real processes: every request.
//!
//! How sessions begin and end is in `tests/dap_ends.rs`, recorded sessions of editors in `tests/dap_sessions.rs`.

mod common;

use common::dap::{Editor, Via, exec, file, line, named, stopped_at};
use serde_json::{Value, json};

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
