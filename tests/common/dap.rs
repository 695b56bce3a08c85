//! An editor's end of a debug adapter session with the real binary, over TCP (either way round) or standard input and output.

use super::{DEBUG, build, line_of, source_dir};
use adit::target::linux::procfs;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Longest wait for anything.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How editor and adapter meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// The adapter listens.
    Listen,
    /// The editor listens.
    Client,
    /// Standard input and output.
    Stdio,
}

/// A session. Dropping it breaks the connection and waits for the adapter's end.
pub struct Editor {
    pub child: Child,
    to: Option<Box<dyn Write + Send>>,
    socket: Option<TcpStream>,
    from: Receiver<Option<Value>>,
    seq: i64,
    events: VecDeque<Value>,
    pub responses: Vec<Value>,
    /// All events, for messages of failed tests.
    pub log: Vec<String>,
    pub output: String,
}

fn command(args: &[&str], dir: &Path) -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_adit"));
    c.args(args).current_dir(dir).stderr(Stdio::inherit());
    if let Ok(go) = std::env::var("ADIT_GO") {
        c.args(["--go", &go]);
    }
    c
}

/// One message of a stream; none at its end.
fn message(r: &mut impl BufRead) -> Option<Value> {
    let mut len = 0;
    loop {
        let mut line = String::new();
        if r.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("not a header: {line:?}"));
        assert_eq!(name, "Content-Length");
        len = value.trim().parse().expect("a length");
    }
    let mut body = vec![0; len];
    r.read_exact(&mut body).ok()?;
    Some(serde_json::from_slice(&body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&body))))
}

impl Editor {
    /// Starts `adit dap` with an editor's flags.
    pub fn start(via: Via, flags: &[&str]) -> Editor {
        Editor::start_in(via, flags, Path::new("."))
    }

    /// As [`Editor::start`], in a folder, as editors start it in their project's.
    pub fn start_in(via: Via, flags: &[&str], dir: &Path) -> Editor {
        let (tx, from) = channel();
        let read = move |stream: Box<dyn Read + Send>| {
            std::thread::spawn(move || {
                let mut r = BufReader::new(stream);
                while let Some(v) = message(&mut r) {
                    if tx.send(Some(v)).is_err() {
                        return;
                    }
                }
                let _nobody_waits = tx.send(None);
            });
        };
        let tcp = |s: TcpStream| -> (Box<dyn Write + Send>, Box<dyn Read + Send>, Option<TcpStream>) {
            s.set_nodelay(true).expect("nodelay");
            let (a, b) = (s.try_clone().expect("a copy"), s.try_clone().expect("a copy"));
            (Box::new(a), Box::new(b), Some(s))
        };
        let (child, (to, stream, socket)) = match via {
            Via::Listen => {
                let mut c = command(&[&["dap"], flags].concat(), dir);
                let mut child = c.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("adit dap");
                let mut out = BufReader::new(child.stdout.take().expect("its output"));
                let mut line = String::new();
                out.read_line(&mut line).expect("a line");
                let addr = line.trim().strip_prefix("DAP server listening at: ");
                let addr = addr.unwrap_or_else(|| panic!("not Delve's line: {line:?}"));
                (child, tcp(TcpStream::connect(addr).expect("connected")))
            }
            Via::Client => {
                let l = TcpListener::bind("127.0.0.1:0").expect("a listener");
                let at = format!("--client-addr=127.0.0.1:{}", l.local_addr().expect("an address").port());
                let mut c = command(&[&["dap"], flags, &[at.as_str()]].concat(), dir);
                let child = c.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("adit dap");
                (child, tcp(l.accept().expect("the adapter dials in").0))
            }
            Via::Stdio => {
                let mut c = command(&[&["dap", "--stdio"], flags].concat(), dir);
                let mut child = c.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("adit dap");
                let to: Box<dyn Write + Send> = Box::new(child.stdin.take().expect("its input"));
                let from: Box<dyn Read + Send> = Box::new(child.stdout.take().expect("its output"));
                (child, (to, from, None))
            }
        };
        read(stream);
        Editor {
            child,
            to: Some(to),
            socket,
            from,
            seq: 0,
            events: VecDeque::new(),
            responses: Vec::new(),
            log: Vec::new(),
            output: String::new(),
        }
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        let to = self.to.as_mut().expect("connected");
        // The other end may have hung up already: that is seen by who reads.
        let _gone = to.write_all(bytes).and_then(|()| to.flush());
    }

    /// Sends a request; its number.
    pub fn send(&mut self, command: &str, arguments: Value) -> i64 {
        self.seq += 1;
        let mut m = json!({"seq": self.seq, "type": "request", "command": command});
        if !arguments.is_null() {
            m["arguments"] = arguments;
        }
        let text = m.to_string();
        self.raw(format!("Content-Length: {}\r\n\r\n{text}", text.len()).as_bytes());
        self.seq
    }

    /// The next message; none at the end of the stream.
    fn next(&mut self, deadline: Instant, what: &str) -> Option<Value> {
        match self.from.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(v) => v,
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("{what} did not come; so far:\n{}", self.log.join("\n")),
        }
    }

    fn sort(&mut self, v: Value) {
        self.log.push(v.to_string().chars().take(400).collect());
        if v["event"] == "output" {
            self.output += v["body"]["output"].as_str().unwrap_or("");
        }
        match v["type"].as_str() {
            Some("event") => self.events.push_back(v),
            _ => self.responses.push(v),
        }
    }

    /// The response to a request.
    pub fn response(&mut self, seq: i64) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(i) = self.responses.iter().position(|r| r["request_seq"] == seq) {
                return self.responses.remove(i);
            }
            match self.next(deadline, &format!("the response to {seq}")) {
                Some(v) => self.sort(v),
                None => panic!("the adapter hung up before the response to {seq}:\n{}", self.log.join("\n")),
            }
        }
    }

    /// Sends and waits.
    pub fn call(&mut self, command: &str, arguments: Value) -> Value {
        let seq = self.send(command, arguments);
        self.response(seq)
    }

    /// As [`Editor::call`], for what must succeed: the body.
    pub fn ok(&mut self, command: &str, arguments: Value) -> Value {
        let r = self.call(command, arguments);
        assert_eq!(r["success"], true, "{command}: {r}");
        r["body"].clone()
    }

    /// As [`Editor::call`], for what must fail: the message.
    pub fn refused(&mut self, command: &str, arguments: Value) -> String {
        let r = self.call(command, arguments);
        assert_eq!(r["success"], false, "{command}: {r}");
        let format = r["body"]["error"]["format"].as_str().unwrap_or_else(|| panic!("no error in {r}")).to_string();
        assert!(!r["message"].as_str().unwrap_or("").is_empty(), "{r}");
        format
    }

    /// The next event of one of these names; others are passed over.
    pub fn event(&mut self, names: &[&str]) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            while let Some(e) = self.events.pop_front() {
                if names.contains(&e["event"].as_str().unwrap_or("")) {
                    return e;
                }
            }
            match self.next(deadline, &format!("{names:?}")) {
                Some(v) => self.sort(v),
                None => panic!("the adapter hung up before {names:?}:\n{}", self.log.join("\n")),
            }
        }
    }

    /// The body of the next `stopped`.
    pub fn stopped(&mut self) -> Value {
        let e = self.event(&["stopped", "terminated"]);
        assert_eq!(e["event"], "stopped", "{}", self.log.join("\n"));
        e["body"].clone()
    }

    /// Waits until the program's output contains a text.
    pub fn wait_output(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.output.contains(text) {
            match self.next(deadline, &format!("output {text:?}")) {
                Some(v) => self.sort(v),
                None => panic!("the adapter hung up before output {text:?}:\n{}", self.log.join("\n")),
            }
        }
    }

    /// `initialize`, `launch` or `attach`, breakpoints by file and line, `configurationDone`.
    pub fn begin(&mut self, request: &str, arguments: Value, file: &str, lines: &[u32]) -> Value {
        self.ok("initialize", json!({
            "clientID": "test", "adapterID": "go", "pathFormat": "path", "linesStartAt1": true, "columnsStartAt1": true,
            "supportsVariableType": true, "supportsVariablePaging": true, "supportsInvalidatedEvent": true,
            "supportsMemoryEvent": true,
        }));
        let opened = self.send(request, arguments);
        self.initialized(opened);
        let all: Vec<Value> = lines.iter().map(|l| json!({"line": l})).collect();
        let set = if lines.is_empty() {
            Value::Null
        } else {
            self.ok("setBreakpoints", json!({"source": {"path": file}, "breakpoints": all}))
        };
        self.ok("configurationDone", Value::Null);
        let r = self.response(opened);
        assert_eq!(r["success"], true, "{r}");
        set
    }

    /// Waits for `initialized`; a refused launch is a failed test.
    pub fn initialized(&mut self, opened: i64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(r) = self.responses.iter().find(|r| r["request_seq"] == opened) {
                assert_eq!(r["success"], true, "{r}\n{}", self.log.join("\n"));
            }
            if self.events.iter().any(|e| e["event"] == "initialized") {
                self.event(&["initialized"]);
                return;
            }
            match self.next(deadline, "initialized") {
                Some(v) => self.sort(v),
                None => panic!("the adapter hung up:\n{}", self.log.join("\n")),
            }
        }
    }

    /// Frames of a thread: name and line.
    pub fn frames(&mut self, thread: &Value) -> Vec<Value> {
        let b = self.ok("stackTrace", json!({"threadId": thread, "startFrame": 0, "levels": 20}));
        b["stackFrames"].as_array().expect("frames").clone()
    }

    /// `function:line` of a thread's innermost frame.
    pub fn at(&mut self, thread: &Value) -> String {
        let f = self.frames(thread);
        format!("{}:{}", f[0]["name"].as_str().unwrap_or(""), f[0]["line"])
    }

    /// Variables of a reference by name.
    pub fn variables(&mut self, reference: &Value) -> Vec<Value> {
        let b = self.ok("variables", json!({"variablesReference": reference}));
        b["variables"].as_array().expect("variables").clone()
    }

    /// Frame id and variables of the innermost frame.
    pub fn locals(&mut self, thread: &Value) -> (Value, Value, Vec<Value>) {
        let frame = self.frames(thread)[0]["id"].clone();
        let scopes = self.ok("scopes", json!({"frameId": frame}));
        let reference = scopes["scopes"][0]["variablesReference"].clone();
        let all = self.variables(&reference);
        (frame, reference, all)
    }

    /// Breaks the connection without a word.
    pub fn vanish(&mut self) {
        self.to = None;
        if let Some(s) = self.socket.take() {
            let _gone = s.shutdown(std::net::Shutdown::Both);
        }
    }

    /// Waits for the adapter's end; its exit code.
    pub fn finish(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait().expect("waited") {
                Some(s) => return s.code(),
                None if Instant::now() > deadline => panic!("the adapter does not end:\n{}", self.log.join("\n")),
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        self.vanish();
        if std::thread::panicking() {
            let _ended = self.child.kill();
        }
        let _reaped = self.child.wait();
    }
}

/// One of a list of variables.
pub fn named<'a>(all: &'a [Value], name: &str) -> &'a Value {
    all.iter().find(|v| v["name"] == name).unwrap_or_else(|| panic!("no {name} in {all:?}"))
}

pub fn file() -> String {
    source_dir("editor").join("main.go").display().to_string()
}

pub fn line(text: &str) -> u32 {
    line_of("editor", text)
}

pub fn exec(args: &[&str]) -> Value {
    json!({"mode": "exec", "program": build("editor", DEBUG).display().to_string(), "args": args})
}

/// A session stopped at a line.
pub fn stopped_at(arguments: Value, text: &str) -> (Editor, Value) {
    let mut e = Editor::start(Via::Listen, &["--listen=127.0.0.1:0"]);
    let set = e.begin("launch", arguments, &file(), &[line(text)]);
    assert_eq!(set["breakpoints"][0]["verified"], true, "{set}");
    assert_eq!(set["breakpoints"][0]["line"], line(text));
    let stop = e.stopped();
    assert_eq!(stop["reason"], "breakpoint", "{stop}");
    assert_eq!(stop["hitBreakpointIds"][0], set["breakpoints"][0]["id"]);
    (e, stop["threadId"].clone())
}

pub fn gone(pid: i32) -> bool {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        if !procfs::alive(pid) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    false
}
