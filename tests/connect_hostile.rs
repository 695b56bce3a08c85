//! What answers at the address of `adit connect` may be anything: every failure is one line with cause and fix, the terminal is as it was,
//! and no answer takes adit down.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;

use adit::backend::protocol::*;
use adit::base::GoroutineId;
use adit::model::*;
use common::headless::{Server, releases};
use common::screen::Screen;
use common::*;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a fake server does with a call: the line that it writes; none closes the connection.
type Answers = Arc<dyn Fn(&str, u64) -> Option<Vec<u8>> + Send + Sync>;

/// Makes a result.
type Make = Box<dyn Fn() -> String + Send + Sync>;

/// Listens; gives its address.
fn fake(answers: Answers) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for s in listener.incoming().flatten() {
            let answers = answers.clone();
            std::thread::spawn(move || serve(s, &answers));
        }
    });
    address
}

fn serve(s: TcpStream, answers: &Answers) {
    let mut out = s.try_clone().expect("a socket");
    let mut lines = BufReader::new(s);
    let mut line = String::new();
    while lines.read_line(&mut line).is_ok_and(|n| n > 0) {
        let call: Value = serde_json::from_str(&line).unwrap_or_default();
        line.clear();
        let method = call["method"].as_str().unwrap_or("").trim_start_matches("RPCServer.").to_string();
        match answers(&method, call["id"].as_u64().unwrap_or(0)) {
            Some(bytes) if out.write_all(&bytes).is_ok() => {}
            _ => return drop(out.shutdown(std::net::Shutdown::Both)),
        }
    }
}

fn line(id: u64, result: &Value) -> Option<Vec<u8>> {
    Some(format!("{}\n", json!({"id": id, "result": result, "error": null})).into_bytes())
}

/// A Delve that is stopped in `main.f`, as far as it is asked at the opening.
fn plain(method: &str) -> Value {
    let place = json!({"pc": 0x4a_0000, "file": "/src/main.go", "line": 7, "function": {"name": "main.f"}});
    match method {
        "GetVersion" => {
            json!({"DelveVersion": "Version: 1.27.2", "APIVersion": 2, "TargetGoVersion": "Go cmd/compile go1.27.3"})
        }
        "IsMulticlient" => json!({"IsMulticlient": true}),
        "AttachedToExistingProcess" => json!({"Answer": true}),
        "State" | "Command" => {
            json!({"State": {"Pid": 0, "currentThread": {"id": 5, "pc": 0x4a_0000, "goroutineID": 1, "file": "/src/main.go",
            "line": 7, "function": {"name": "main.f"}},
            "currentGoroutine": {"id": 1, "currentLoc": place, "userCurrentLoc": place, "threadID": 5, "status": 2}}})
        }
        _ => json!({}),
    }
}

fn spec(address: &str) -> TargetSpec {
    TargetSpec::Delve(DelveSpec { address: address.into(), ..DelveSpec::default() })
}

/// The failure of opening an address.
fn refused(address: &str) -> Failure {
    let t0 = Instant::now();
    let f = match Debuggee::open(spec(address)) {
        Ok(d) => panic!("{address} opened: {:?}", d.target),
        Err(f) => f,
    };
    assert!(t0.elapsed() < Duration::from_secs(20), "{address}: it took {:?}", t0.elapsed());
    assert!(!f.message.contains('\n') && f.message.len() < 400 && f.fix.is_some(), "{f:?}");
    assert!(!f.message.contains('\x1b'), "{f:?}");
    f
}

fn says(bytes: &'static [u8]) -> String {
    fake(Arc::new(move |_, _| Some(bytes.to_vec())))
}

#[test]
fn what_is_no_delve_is_said_in_one_line() {
    for (address, words) in [
        ("127.0.0.1:1".to_string(), "nothing listens"),
        ("unix:/nowhere/at/all".into(), "nothing listens"),
        ("no-such-host.invalid:4040".into(), "not found"),
        (says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "HTTP/1.1 400"),
        (says(b"SSH-2.0-OpenSSH_9.9\r\n"), "SSH-2.0"),
        (says(b"\x1b[2J\x1b]0;x\x07\xff\xfe\n"), "\\x1b"),
        (says(b"{\"id\":1,\"result\":[1,2,3],\"error\":null}\n"), "is not understood"),
        (
            says(b"{\"id\":1,\"result\":null,\"error\":\"rpc: can't find service\\nsecond line\"}\n"),
            "can't find service",
        ),
        (says(b"[]\n"), "no answer of Delve's"),
        (fake(Arc::new(|_, _| None)), "closed the connection without an answer"),
        (fake(Arc::new(|_, _| Some(Vec::new()))), "says nothing for 5 s"),
        // Version 1, and it cannot be switched.
        (
            fake(Arc::new(|m, id| match m {
                "GetVersion" => line(id, &json!({"DelveVersion": "Version: 1.5.0", "APIVersion": 1})),
                _ => Some(
                    format!("{}\n", json!({"id": id, "result": null, "error": "unknown API version"})).into_bytes(),
                ),
            })),
            "API version 1 and not version 2",
        ),
    ] {
        let f = refused(&address);
        assert!(f.message.contains(words), "{words}: {f:?}");
    }
}

/// An answer that has no end is given up, without taking its length in memory for ever.
#[test]
fn an_endless_answer_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        let (mut s, _) = listener.accept().expect("a client");
        let mut buf = [0; 1024];
        let _asked = s.read(&mut buf);
        let junk = vec![b'x'; 1 << 20];
        while s.write_all(&junk).is_ok() {}
    });
    let f = refused(&address);
    assert!(f.message.contains("longer than 64 MiB") || f.message.contains("says nothing"), "{f:?}");
}

/// `dlv dap` serves editors; `--api-version=1` is Delve's default up to 1.23 or so, and is switched as `dlv connect` does.
#[test]
fn other_servers_of_delve() {
    for r in releases() {
        let mut dap = Server::start(&r.dlv, &["dap"]);
        let f = refused(&dap.address.clone());
        assert!(
            f.fix.as_deref().is_some_and(|f| f.contains("dlv dap") && f.contains("--headless")),
            "{}: {f:?}",
            r.name
        );
        dap.lives();
        if r.name == "1.21" {
            let exe = build_with("shop", DEBUG, r.go);
            let one =
                Server::start(&r.dlv, &["exec", exe.to_str().unwrap(), "--api-version=1", "--accept-multiclient"]);
            let d = Debuggee::open(spec(&one.address)).expect("switched");
            assert!(d.target.notes.iter().any(|n| n.contains("switched to 2")), "{:?}", d.target.notes);
        }
        // A second client of a server that takes one.
        let exe = build_with("shop", DEBUG, r.go);
        let single = Server::start(&r.dlv, &["exec", exe.to_str().unwrap()]);
        let first = Debuggee::open(spec(&single.address)).expect("the first");
        assert!(first.target.notes.iter().any(|n| n.contains("--accept-multiclient")), "{:?}", first.target.notes);
        let f = refused(&single.address);
        assert!(f.message.contains("only client"), "{}: {f:?}", r.name);
    }
}

/// A port that is not on loopback: said aloud, on the screen.
#[test]
fn a_port_that_others_reach() {
    let own = std::net::UdpSocket::bind("0.0.0.0:0").and_then(|s| {
        s.connect("192.0.2.1:9")?;
        s.local_addr()
    });
    let Some(ip) = own.ok().map(|a| a.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified()) else {
        println!("left out: this machine has no address but loopback");
        return;
    };
    let loopback = fake(Arc::new(|m, id| line(id, &plain(m))));
    let mut quiet = Debuggee::open(spec(&loopback)).expect("opened");
    quiet.call(Request::Breakpoints).expect("answered");
    assert!(quiet.logs.is_empty() && quiet.target.notes.iter().any(|n| n.contains("no authentication")));
    let listener = TcpListener::bind((ip, 0)).expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        let answers: Answers = Arc::new(|m, id| line(id, &plain(m)));
        for s in listener.incoming().flatten() {
            let answers = answers.clone();
            std::thread::spawn(move || serve(s, &answers));
        }
    });
    let s = Screen::start(200, 40, &["connect", &address]);
    let text = s.wait_for("unauthenticated and unencrypted");
    assert!(text.contains("ssh -L"), "{text}");
}

/// Every request over every kind of wrong answer: a failure or an empty answer, in time, and adit goes on.
#[test]
fn answers_of_the_wrong_kind() {
    let frame = FrameRef::default();
    let limits = LoadLimits::default();
    let list = GoroutineQuery {
        filter: GoroutineFilter::default(),
        start: 0,
        count: 10,
        stack: 2,
        defers: true,
        names: false,
    };
    let groups = GroupQuery { filter: GoroutineFilter::default(), by: GroupBy::Stack, start: 0, count: 10 };
    let requests = [
        Request::Goroutines(list),
        Request::Groups(groups),
        Request::Stack { goroutine: Some(GoroutineId(1)), depth: 10, defers: true },
        Request::Scope { frame, limits },
        Request::Eval { frame, expression: "x".into(), limits },
        Request::Set { frame, expression: "x".into(), value: "1".into() },
        Request::PackageVariables { filter: ".".into(), limits },
        Request::Disassemble { frame },
        Request::Registers(frame),
        Request::Threads,
        Request::Memory { addr: adit::base::LoadAddr(64), len: 4096 },
        Request::Symbols { kind: SymbolKind::Functions, filter: String::new(), count: 10 },
        Request::Breakpoints,
        Request::SetBreakpoint { spec: BreakpointSpec::at("main.f"), frame },
        Request::SetBreakpoint { spec: BreakpointSpec::watch("x", Access::Write), frame },
        Request::ClearBreakpoint(adit::base::BreakpointId(3)),
        Request::Diagnose(DiagnoseQuery::default()),
        Request::Jump { goroutine: None, to: "main.f".into() },
    ];
    let deep = (0..100_000).map(|_| "[").collect::<String>();
    let wrong: Vec<(&str, Make)> = vec![
        ("null", Box::new(|| "null".into())),
        ("a number", Box::new(|| "7".into())),
        ("a list", Box::new(|| "[{}]".into())),
        ("nothing in it", Box::new(|| "{}".into())),
        ("nested", Box::new(move || deep.clone() + "]")),
        (
            "wrong types",
            Box::new(|| {
                r#"{"Variable":{"kind":"x"},"Goroutines":{"id":1},"Locations":7,"Args":[[]],"Variables":"no","Regs":[1],"Mem":"***","Disassemble":{},
               "Threads":{"a":1},"Funcs":[1],"Breakpoints":[true],"Breakpoint":[]}"#.replace('\n', "")
            }),
        ),
        (
            "hostile values",
            Box::new(|| {
                json!({
                "Variable": {"name": "\u{1b}[2J", "type": "\u{1b}]0;x", "kind": 23, "len": i64::MAX, "cap": -1, "addr": u64::MAX, "base": 1,
                             "children": [{"kind": 25, "len": -5}, {"kind": 22, "children": []}]},
                "Variables": [{"name": "m", "type": "map[x]y", "kind": 21, "len": -3, "children": [{"kind": 24, "len": -1}]},
                              {"name": "c", "kind": 18, "addr": 1, "children": [{"name": "qcount", "value": "18446744073709551615"}]}],
                "Args": [{"name": "~r0", "kind": 9999, "flags": 65535, "value": "\u{202e}"}],
                "Goroutines": [{"id": -4}, {"id": i64::MAX, "status": u64::MAX, "waitReason": i64::MIN, "waitSince": i64::MIN,
                                "currentLoc": {"line": i64::MIN, "file": "\u{1b}[31m", "function": {"name": "\u{1b}[0m"}}}],
                "Nextg": 0,
                "Locations": [{"pc": u64::MAX, "line": i64::MAX, "FrameOffset": i64::MIN, "Defers": [{"Unreadable": "\u{1b}"}], "pcs": [u64::MAX]}],
                "Regs": [{"Name": "\u{1b}", "Value": "\t"}], "Mem": "AAAA".repeat(50_000), "Disassemble": [{"Bytes": "***", "Text": "\u{1b}"}],
                "Threads": [{"id": i32::MIN, "goroutineID": i64::MIN}], "Funcs": ["\u{1b}[2J"], "Breakpoints": [{"id": i32::MAX, "line": -1}],
                "Breakpoint": {"id": i32::MIN}, "id": 9, "Addrs": [0]
            })
            .to_string()
            }),
        ),
    ];
    for (what, make) in wrong {
        let address = fake(Arc::new(move |m, id| match m {
            "GetVersion" | "IsMulticlient" | "AttachedToExistingProcess" | "State" | "Command" => line(id, &plain(m)),
            _ => Some(format!("{{\"id\":{id},\"result\":{},\"error\":null}}\n", make()).into_bytes()),
        }));
        let mut d = Debuggee::open(spec(&address)).unwrap_or_else(|f| panic!("{what}: {f}"));
        for r in &requests {
            let t0 = Instant::now();
            match d.call(r.clone()) {
                Ok(_) => {}
                // What is no JSON at all ends the connection, which is said.
                Err(f) => assert!(!f.message.is_empty() && !f.message.contains(['\n', '\x1b']), "{what} {r:?}: {f:?}"),
            }
            assert!(t0.elapsed() < Duration::from_secs(10), "{what} {r:?}");
        }
    }
}

/// The same on the screen: what is hostile is escaped, what is broken is said, and the terminal is left as it was.
#[test]
fn the_screen_survives() {
    let hostile = fake(Arc::new(|m, id| match m {
        "Stacktrace" => line(
            id,
            &json!({"Locations": [{"pc": 0x4a_0000, "line": 7, "file": "/src/\u{1b}[2J.go", "function": {"name": "main.\u{1b}[31mf"}}]}),
        ),
        "ListLocalVars" => line(
            id,
            &json!({"Variables": [{"name": "\u{1b}[5mx", "type": "string", "kind": 24, "addr": 1, "value": "\u{1b}[2Jboo", "len": 7}]}),
        ),
        "Command" => None,
        m => line(id, &plain(m)),
    }));
    let mut s = Screen::start(100, 30, &["connect", &hostile]);
    let text = s.wait_for("boo");
    assert!(text.contains("\\x1b[2Jboo"), "{text}");
    // Half-way through a command the server is gone.
    s.send("c");
    s.wait_for("detached: Delve at 127.0.0.1");
    s.send("q");
    s.wait_end();
    let mut s = Screen::start(100, 30, &["connect", "127.0.0.1:1"]);
    s.wait_end();
    let end = s.until("the failure", |t| t.contains("nothing listens at 127.0.0.1:1"));
    assert!(end.lines().filter(|l| !l.trim().is_empty()).count() <= 5, "{end}");
    assert_eq!(s.child.wait().expect("ended").exit_code(), 5);
}

/// Without a word that dlv stays, a one-shot does not even connect.
#[test]
fn one_shots_end_nobodys_program() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().expect("an address").to_string();
    listener.set_nonblocking(true).expect("set");
    for args in [vec!["goroutines", &at], vec!["stack", &at, "1"], vec!["diagnose", &at]] {
        let (code, text) = common::oneshot::error(&args);
        assert!(code == 2 && text.contains("--accept-multiclient") && text.contains("--multiclient"), "{code} {text}");
    }
    assert!(listener.accept().is_err(), "nobody came");
}
