//! Real Delve servers: `dlv --headless` of several releases, on loopback.

use super::{DEBUG, Debuggee, build_with};
use adit::backend::protocol::{DelveSpec, TargetSpec};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A Delve, and a Go toolchain that it supports.
#[derive(Clone, Debug)]
pub struct Release {
    pub dlv: PathBuf,
    /// `1.21`.
    pub name: &'static str,
    /// Of the programs that it debugs here.
    pub go: &'static str,
}

/// The releases to be tested that are installed: `ADIT_DLV` and `ADIT_DLVS` (as the Makefile sets them), else where the set-up puts them.
pub fn releases() -> Vec<Release> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
        .unwrap_or_default()
        .join("adit/bin");
    let given = std::env::var("ADIT_DLVS").unwrap_or_default();
    let mut all: Vec<PathBuf> = given.split_whitespace().map(PathBuf::from).collect();
    all.extend(["v1.21.2", "v1.24.2"].map(|v| cache.join(format!("dlv-{v}/dlv"))));
    all.extend(super::dlv::dlv());
    all.push(cache.join("dlv"));
    let only = std::env::var("ADIT_DLV_RELEASE").ok();
    let mut found: Vec<Release> = Vec::new();
    for dlv in all {
        let Ok(out) = Command::new(&dlv).arg("version").output() else { continue };
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let known = [("1.21", "go1.21.13"), ("1.24", "go1.24.11"), ("1.27", "go1.27.3")];
        let Some((name, go)) = known.into_iter().find(|(n, _)| text.contains(&format!("Version: {n}."))) else {
            continue;
        };
        if found.iter().all(|r| r.name != name) && only.as_deref().is_none_or(|o| o == name) {
            found.push(Release { dlv, name, go });
        }
    }
    if found.len() < 3 && only.is_none() {
        println!("only {:?} of Delve 1.21, 1.24 and 1.27 are installed: the others are left out", found);
    }
    found
}

/// A server, ended (by pid) with its owner.
pub struct Server {
    child: Child,
    pub address: String,
    said: Arc<Mutex<String>>,
}

impl Server {
    /// `dlv WORDS… --headless --listen=127.0.0.1:0`, once it listens.
    pub fn start(dlv: &Path, words: &[&str]) -> Server {
        Server::start_at(dlv, words, "127.0.0.1:0")
    }
    pub fn start_at(dlv: &Path, words: &[&str], listen: &str) -> Server {
        let split = words.iter().position(|w| *w == "--").unwrap_or(words.len());
        let (ours, programs) = words.split_at(split);
        let mut c = Command::new(dlv);
        c.args(ours).arg(format!("--listen={listen}"));
        if ours.first() != Some(&"dap") {
            c.args(["--headless", "--check-go-version=false"]);
        }
        c.args(programs);
        let home = std::env::temp_dir();
        let mut child = c
            .env("XDG_CONFIG_HOME", home.join("adit-no-config"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("dlv starts");
        let said = Arc::new(Mutex::new(String::new()));
        let (tx, rx) = std::sync::mpsc::channel();
        let mut out = BufReader::new(child.stdout.take().expect("its output"));
        let sink = said.clone();
        std::thread::spawn(move || {
            let mut line = String::new();
            while out.read_line(&mut line).is_ok_and(|n| n > 0) {
                if let Some((_, at)) = line.split_once("listening at: ") {
                    let _heard = tx.send(at.trim().to_string());
                }
                sink.lock().expect("not poisoned").push_str(&std::mem::take(&mut line));
            }
        });
        let (sink, mut err) = (said.clone(), child.stderr.take().expect("its errors"));
        std::thread::spawn(move || {
            let mut buf = [0; 4096];
            while let Ok(n @ 1..) = err.read(&mut buf) {
                sink.lock().expect("not poisoned").push_str(&String::from_utf8_lossy(&buf[..n]));
            }
        });
        let address = match listen.strip_prefix("unix:") {
            Some(path) => {
                let end = Instant::now() + Duration::from_secs(30);
                while !Path::new(path).exists() && Instant::now() < end {
                    std::thread::sleep(Duration::from_millis(5));
                }
                listen.to_string()
            }
            None => rx
                .recv_timeout(Duration::from_secs(60))
                .unwrap_or_else(|_| panic!("dlv does not listen: {}", said.lock().expect("not poisoned"))),
        };
        Server { child, address, said }
    }
    /// What it and its program have said.
    pub fn said(&self) -> String {
        self.said.lock().expect("not poisoned").clone()
    }
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }
    /// Does it still run?
    pub fn lives(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
    /// Waits for its end.
    pub fn ends(&mut self) -> bool {
        let end = Instant::now() + Duration::from_secs(30);
        while self.lives() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        !self.lives()
    }
    /// One call of its own, over a connection of its own, as another client would make it.
    pub fn ask(&self, method: &str, params: serde_json::Value) -> serde_json::Value {
        self.ask_for(Duration::from_secs(20), method, params).expect("an answer")
    }
    /// The same; none if no answer comes within this time.
    pub fn ask_for(&self, most: Duration, method: &str, params: serde_json::Value) -> Option<serde_json::Value> {
        use std::io::Write;
        let mut s = std::net::TcpStream::connect(&self.address).expect("it serves");
        s.set_read_timeout(Some(most)).expect("a socket");
        let line = serde_json::json!({"method": format!("RPCServer.{method}"), "params": [params], "id": 1});
        s.write_all(format!("{line}\n").as_bytes()).expect("asked");
        let mut answer = String::new();
        match BufReader::new(s).read_line(&mut answer) {
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => None,
            read => {
                read.expect("an answer");
                Some(serde_json::from_str(&answer).expect("JSON"))
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may end itself; a program that it started ends with it when it is asked to end.
        let pid = nix::unistd::Pid::from_raw(self.pid());
        if self.lives() {
            let _gone = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
            let end = Instant::now() + Duration::from_secs(5);
            while self.lives() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Its address, to be opened.
pub fn spec(server: &Server) -> TargetSpec {
    TargetSpec::Delve(DelveSpec { address: server.address.clone(), ..DelveSpec::default() })
}

/// A server that has launched a program of the tests, and a session with it.
pub fn launch(r: &Release, program: &str, args: &[&str]) -> (Server, Debuggee) {
    let exe = build_with(program, DEBUG, r.go);
    let mut words = vec!["exec", exe.to_str().expect("a path"), "--accept-multiclient", "--"];
    words.extend(args);
    let server = Server::start(&r.dlv, &words);
    let d = Debuggee::open(spec(&server)).unwrap_or_else(|e| panic!("{}: {e}", r.name));
    (server, d)
}
