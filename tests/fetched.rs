//! Profiles over HTTP: from a server of ours that answers well and badly, and from a real program that serves its own.

mod common;

use adit::backend::protocol::{Reply, Request, TargetSpec};
use adit::model::{ProfileQuery, ProfileSource};
use common::oneshot::{arg, error, json};
use common::screen::Screen;
use common::{DEFAULT, Debuggee, build};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Serves one answer after the other, then ends.
fn serve(answers: Vec<Vec<u8>>) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let l = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = format!("http://{}", l.local_addr().expect("an address"));
    let served = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for a in answers {
            let (s, _) = l.accept().expect("a client");
            let mut r = BufReader::new(s.try_clone().expect("a socket"));
            let mut first = String::new();
            r.read_line(&mut first).expect("a request");
            let mut line = String::new();
            while r.read_line(&mut line).is_ok_and(|n| n > 2) {
                line.clear();
            }
            let mut s = s;
            // A client that has seen enough closes.
            let _closed = s.write_all(&a);
            asked.push(first.trim().to_string());
        }
        asked
    });
    (at, served)
}

/// A child that ends with its owner.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn profiles_come_over_tls_from_whom_somebody_stands_for() {
    let dir = tempfile::tempdir().expect("a folder");
    let authority = dir.path().join("ca.pem");
    let mut c = Command::new(build("tlsprof", DEFAULT));
    let mut child =
        Ends(c.args(["60", arg(&authority)]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it runs"));
    let mut port = String::new();
    BufReader::new(child.0.stdout.take().expect("a pipe")).read_line(&mut port).expect("a port");
    let port = port.trim();
    let heap = format!("https://localhost:{port}/debug/pprof/heap");
    let v = json(&["prof", &heap, "--cacert", arg(&authority)]);
    assert!(v["kinds"].to_string().contains("inuse_space"), "{v}");
    assert!(v["functions"].to_string().contains("main.main"), "{v}");
    // Nobody stands for it here, or for another name; and there is no way to look away.
    let (code, text) = error(&["prof", &heap]);
    assert!(code == 5 && text.contains("certificate") && text.contains("--cacert"), "{code}: {text}");
    let (code, text) = error(&["prof", &heap.replace("localhost", "127.0.0.1"), "--cacert", arg(&authority)]);
    assert!(code == 5 && text.contains("certificate"), "{code}: {text}");
    let out = common::oneshot::adit(&["prof", &heap, "--insecure"]);
    assert!(out.status.code() == Some(2) && String::from_utf8_lossy(&out.stderr).contains("--insecure"), "{out:?}");
    // What is no certificate.
    std::fs::write(&authority, "-----BEGIN CERTIFICATE-----\nnonsense").expect("written");
    for (file, said) in [(arg(&authority), "cert"), ("/nowhere/ca.pem", "No such file"), (arg(dir.path()), "directory")]
    {
        let (code, text) = error(&["prof", &heap, "--cacert", file]);
        assert!(code == 2 && text.contains(said) && text.contains("BEGIN CERTIFICATE"), "{file}: {code}: {text}");
    }
    // Plain HTTP where TLS is spoken, and the other way.
    let (code, text) = error(&["prof", &heap.replace("https", "http")]);
    assert!(code == 5 && text.contains("400"), "{code}: {text}");
    let (at, served) = serve(vec![b"HTTP/1.1 200 OK\r\n\r\n".to_vec()]);
    let (code, _) = error(&["prof", &at.replace("http", "https")]);
    assert_eq!(code, 5);
    drop(served);
}

#[test]
fn profiles_come_over_http() {
    let exe = build("regress", DEFAULT);
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("allocs.pb.gz");
    let run = Command::new(exe).args(["-what", "allocs", "-out", arg(&file)]).output().expect("run");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let bytes = std::fs::read(&file).expect("a profile");
    let functions = |from: &str| json(&["prof", from, "--top", "0"])["functions"].clone();
    let want = functions(arg(&file));
    assert!(want.as_array().is_some_and(|a| a.len() > 5), "{want}");
    let with = |head: &str, body: &[u8]| [format!("HTTP/1.1 {head}\r\n\r\n").as_bytes(), body].concat();
    let sized = with(&format!("200 OK\r\nContent-Length: {}", bytes.len()), &bytes);
    let (a, b) = bytes.split_at(bytes.len() / 2);
    let chunk = |b: &[u8]| [format!("{:x}\r\n", b.len()).as_bytes(), b, b"\r\n"].concat();
    let chunked = with("200 OK\r\nTransfer-Encoding: chunked", &[chunk(a), chunk(b), chunk(&[])].concat());
    let cut = with(&format!("200 OK\r\nContent-Length: {}", bytes.len()), a);
    let busy = with("500 Internal Server Error\r\nContent-Length: 35", b"Could not enable CPU profiling: \x1b[2J");
    let moved = with("302 Found\r\nLocation: http://example.invalid/\r\nContent-Length: 0", b"");
    let (at, served) = serve(vec![sized, chunked, cut, busy, moved]);
    assert_eq!(functions(&at), want);
    let address = format!("{at}/debug/pprof/profile?seconds=1");
    assert_eq!(functions(&address), want);
    let (code, text) = error(&["prof", &address]);
    assert!(code == 5 && text.contains("byte"), "cut off: {code}: {text}");
    let (code, text) = error(&["prof", &address]);
    assert!(code == 5 && text.contains("500") && text.contains("\\x1b"), "{code}: {text}");
    let (code, text) = error(&["prof", &address]);
    assert!(code == 5 && text.contains("302"), "{code}: {text}");
    let asked = served.join().expect("served");
    assert_eq!(asked[0], "GET /debug/pprof/profile?seconds=5 HTTP/1.1");
    assert_eq!(asked[1], "GET /debug/pprof/profile?seconds=1 HTTP/1.1");
    let (code, text) = error(&["prof", &at]);
    assert!(code == 5 && text.contains("net/http/pprof"), "nobody there: {code}: {text}");
}

/// A program that runs for the time of a test.
struct Running(Child, String);

impl Running {
    fn start(name: &str) -> Running {
        let mut child = Command::new(build(name, DEFAULT)).stdout(Stdio::piped()).spawn().expect("started");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("output")).read_line(&mut line).expect("a line");
        Running(child, line)
    }
    fn observed(&self) -> Debuggee {
        let spec = TargetSpec::Attach { pid: self.0.id().cast_signed(), exe: None, control: false };
        Debuggee::open(spec).expect("opened")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _status = self.0.wait();
    }
}

fn sources(d: &mut Debuggee) -> (Vec<ProfileSource>, String) {
    match d.call(Request::ProfileSources) {
        Ok(Reply::ProfileSources { sources, why }) => (sources, why),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_program_that_serves_its_profiles() {
    let p = Running::start("served");
    let address = p.1.split(' ').nth(1).expect("an address").to_string();
    let mut d = p.observed();
    let (all, why) = sources(&mut d);
    assert!(why.contains(&address), "{why}");
    let names: Vec<&str> = all.iter().map(|s| s.name.as_str()).collect();
    for n in ["CPU for 5 s", "heap", "allocations", "goroutines", "mutex", "block", "threads", "tickets"] {
        assert!(names.contains(&n), "{n} of {names:?}");
    }
    let q = ProfileQuery { columns: 80, depth: 40, rows: 100, ..ProfileQuery::default() };
    assert!(d.call(Request::Profile(q.clone())).is_err_and(|f| f.message.contains("no profile is open")));
    let url = |name: &str| all.iter().find(|s| s.name == name).map(|s| s.url.clone()).expect(name);
    assert!(matches!(d.call(Request::ProfileFetch { url: url("heap") }), Ok(Reply::Done)));
    let Ok(Reply::Profile(v)) = d.call(Request::Profile(q.clone())) else { panic!("no heap") };
    assert!(v.rows.iter().any(|r| &*r.name == "main.fill" && r.flat.new > 8 << 20), "{:?}", v.rows);
    assert!(v.cells.iter().any(|c| &*c.name == "main.fill"));
    // Compared with what it is a little later: nothing was added.
    assert!(matches!(d.call(Request::ProfileBase { base: vec![url("heap")] }), Ok(Reply::Done)));
    let Ok(Reply::Profile(v)) = d.call(Request::Profile(q.clone())) else { panic!("no heap") };
    assert!(v.base.is_some() && v.verdict.starts_with("no function"), "{}", v.verdict);
    // A client cannot send the host anywhere else.
    let foreign = Request::ProfileFetch { url: "http://127.0.0.1:1/debug/pprof/heap".into() };
    assert!(d.call(foreign).is_err_and(|f| f.message.contains("no profile of this process")));
    // While a CPU profile is measured, other questions are answered.
    let t0 = Instant::now();
    let text = std::thread::scope(|s| {
        let cpu = s.spawn(|| json(&["prof", &format!("http://{address}/debug/pprof/profile?seconds=1"), "--top", "5"]));
        sources(&mut d);
        cpu.join().expect("a profile")
    });
    assert!(t0.elapsed().as_secs_f64() >= 1.0);
    assert!(text["functions"].as_array().is_some_and(|f| f.iter().any(|f| f["function"] == "main.spin")), "{text}");
}

#[test]
fn a_program_without_handlers_says_what_to_do() {
    let p = Running::start("parked");
    let (all, why) = sources(&mut p.observed());
    // What needs nothing of the program may be there; what it would have to serve is not.
    assert!(all.iter().all(|s| !s.url.starts_with("http")), "{all:?}");
    assert!(why.contains("no net/http/pprof") && why.contains("adit prof FILE"), "{why}");
}

#[test]
fn the_screen_of_a_file_and_of_a_process() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("allocs.pb.gz");
    let run =
        Command::new(build("regress", DEFAULT)).args(["-what", "allocs", "-out", arg(&file)]).output().expect("run");
    assert!(run.status.success());
    // Opened by its content, and by the command that prints where there is no terminal.
    let flame = "Flame inuse_space";
    for args in [&[arg(&file)][..], &["prof", arg(&file)], &["prof", arg(&file), "--diff", arg(&file)]] {
        let mut t = Screen::start(100, 30, args);
        t.until(flame, |s| s.contains("[Flame alloc_space") || s.contains(flame));
        t.send("c");
        t.wait_for("values: ");
        // Nothing changes: nothing is sent.
        std::thread::sleep(Duration::from_millis(1_200));
        let before = t.bytes();
        std::thread::sleep(Duration::from_millis(800));
        assert_eq!(t.bytes(), before, "an idle screen must not send");
        t.send("q");
        t.wait_end();
    }
    let p = Running::start("served");
    let mut t = Screen::start(100, 30, &[&p.0.id().to_string()]);
    t.wait_for("OBSERVE");
    t.send("7");
    let list = t.wait_for("what is alive in memory");
    // Where perf events may be used they are first in the list.
    let above = list.lines().filter(|l| l.contains("CPU for ")).count();
    t.send(&format!("{}\r", "j".repeat(above)));
    t.wait_for("Flame inuse_space");
    t.wait_for("main.fill");
    // Backspace leads to the list again.
    t.send("\x7f");
    t.wait_for("CPU for 5 s");
    t.send("q");
    t.wait_end();
}
