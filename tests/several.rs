//! Several clients of one host: one drives, the others watch; tokens; lines over TLS.
#![allow(clippy::unwrap_used)]

mod common;

use adit::backend::client::Client;
use adit::backend::protocol::*;
use adit::backend::tls::{self, Identity};
use adit::backend::wire;
use adit::model::*;
use common::heart::Heart;
use common::keys::{AtPort, Home};
use common::listening::{Listening, client};
use common::*;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

fn heart() -> Heart {
    Heart::start(&build("heartbeat", DEBUG))
}

fn open(path: &Path) -> Debuggee {
    Debuggee::over(client(path).expect("a line").0, TargetSpec::Here).expect("opened")
}

/// Who is said to drive, in the news that come soon.
fn driver(d: &mut Debuggee, wanted: bool) {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        match d.client.try_recv() {
            Some(FromHost::Notice(Notice::Driver { you, .. })) if you == wanted => return,
            _ => assert!(Instant::now() < end, "no news of who drives"),
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn one_drives_and_the_others_watch() {
    let heart = heart();
    let host = Listening::start(heart.pid(), "dev", &[]);
    let mut a = open(&host.path);
    let b = a.break_at("main.hot");
    a.wait_stop().expect("a stop");
    let (mut w, mut v) = (open(&host.path), open(&host.path));
    assert!(w.stop.is_some(), "it stands, and a newcomer is told so");
    // Watching: all that only reads; nothing that changes what others see.
    let stack = Request::Stack { goroutine: None, depth: 5, defers: true };
    assert!(matches!(w.call(stack.clone()), Ok(Reply::Stack { stack, .. }) if !stack.frames.is_empty()));
    let frame = FrameRef::default();
    let refused = [
        Request::Pause,
        Request::Resume { kind: ResumeKind::Continue, goroutine: None },
        Request::SetBreakpoint { spec: BreakpointSpec::at("main.main"), frame },
        Request::ClearBreakpoint(b.id),
        Request::Set { frame, expression: "main.sink".into(), value: "1".into() },
        Request::Hold { on: true, reason: String::new() },
        Request::Snapshot { file: None },
        Request::Detach { kill: true },
        Request::Reveal { reason: "x".into() },
    ];
    for r in refused {
        let f = w.call(r.clone()).expect_err("it watches");
        assert!(
            f.message.contains("drives, you watch") && f.fix.unwrap().contains("take-over"),
            "{r:?}: {}",
            f.message
        );
    }
    // News are for all.
    a.call(Request::ClearBreakpoint(b.id)).expect("cleared");
    (w.stop, v.stop) = (None, None);
    a.resume(ResumeKind::Next).expect("a step");
    let at = a.stop.as_ref().map(|s| (s.epoch, s.at.line));
    for x in [&mut w, &mut v] {
        x.wait_stop();
        assert_eq!(x.stop.as_ref().map(|s| (s.epoch, s.at.line)), at);
    }
    // Taking over, and back.
    w.call(Request::TakeOver).expect("taken over");
    driver(&mut a, false);
    assert!(a.call(Request::Pause).expect_err("it watches now").message.contains("drives"));
    w.resume(ResumeKind::Next).expect("a step");
    // Leaving harms nobody: neither a watcher's nor the driver's.
    v.call(Request::Detach { kill: false }).expect("left");
    drop(v);
    assert!(matches!(a.call(stack.clone()), Ok(Reply::Stack { .. })));
    w.call(Request::Detach { kill: false }).expect("left");
    drop(w);
    driver(&mut a, false);
    a.call(Request::Hold { on: true, reason: String::new() }).expect("nobody drove, so it does now");
    a.call(Request::Resume { kind: ResumeKind::Continue, goroutine: None }).expect("goes on");
    assert!(heart.beats_on(3));
    a.call(Request::Detach { kill: false }).expect("detached");
    assert!(heart.released() && heart.is_put_back() && heart.beats_on(3));
}

#[test]
fn a_watcher_that_is_slow_or_gone_harms_nobody() {
    let heart = heart();
    let host = Listening::start(heart.pid(), "dev", &[]);
    let mut a = open(&host.path);
    // It asks for much, and takes nothing.
    let mut slow = socket(&host.path).expect("a line");
    slow.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut byte = [0];
    while byte != *b"\n" {
        slow.read_exact(&mut byte).expect("a greeting");
    }
    let say = |s: &mut std::os::unix::net::UnixStream, id, request| wire::write(s, &ToHost::new(id, request));
    say(&mut slow, 1, Request::Hello { version: PROTOCOL_VERSION }).unwrap();
    say(&mut slow, 2, Request::Open(TargetSpec::Here)).unwrap();
    let names = || Request::Symbols { kind: SymbolKind::Functions, filter: String::new(), count: 100_000 };
    let asks = std::thread::spawn(move || {
        let mut n = 0;
        while n < 20_000 && say(&mut slow, 3 + n, names()).is_ok() {
            n += 1;
        }
        n
    });
    // One that vanishes in the middle of a word.
    let mut gone = socket(&host.path).expect("a line");
    gone.write_all(&[200, 0, 0, 0, 1]).unwrap();
    drop(gone);
    a.break_at("main.hot");
    a.wait_stop().expect("a stop");
    let mut longest = Duration::ZERO;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(8) || !asks.is_finished() {
        let t = Instant::now();
        a.resume(ResumeKind::Continue).expect("a stop");
        longest = longest.max(t.elapsed());
        assert!(begun.elapsed() < Duration::from_secs(60), "the slow one is never cut off");
    }
    println!("the slow one had {} questions taken; the driver's longest wait {longest:?}", asks.join().unwrap());
    assert!(longest < Duration::from_secs(5), "{longest:?}");
    let rss = std::fs::read_to_string(format!("/proc/{}/status", host.child.id())).unwrap();
    let rss: u64 =
        rss.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap().trim().split(' ').next().unwrap().parse().unwrap();
    assert!(rss < 400 << 10, "{rss} KiB");
    a.call(Request::Detach { kill: false }).expect("detached");
    assert!(heart.released() && heart.is_put_back() && heart.beats_on(3));
}

#[test]
fn tokens_grant_what_they_say_and_no_longer() {
    let (heart, home) = (heart(), Home::new());
    let pid = heart.pid().to_string();
    home.ok(&["token", "key"]);
    let public = home.path("config/adit/token.key.pub").display().to_string();
    let audit = home.path("audit").display().to_string();
    let host = Listening::start(heart.pid(), "dev", &["--token-key", &public, "--audit", &audit, "--scopes", "debug"]);
    let at = format!("unix:{}", host.path.display());
    // Without one: nothing, of every kind.
    let mut c: Client = client(&host.path).expect("a line").0;
    c.call(Request::Hello { version: PROTOCOL_VERSION }).expect("hello");
    for r in [Request::Open(TargetSpec::Here), Request::Threads, Request::Pause, Request::Detach { kill: false }] {
        let f = c.call(r).expect_err("refused");
        assert_eq!(f.kind, FailureKind::Permission, "{f}");
    }
    drop(c);
    assert!(home.fails(&["goroutines", &at]).contains("read:meta"));
    // With one: what it says.
    let good = home.token("good", &["--scopes", "observer", "--expires", "1h", "--target", &pid, "--to", "bob"]);
    assert!(home.ok(&["goroutines", &at, "--token", &good]).contains("goroutines"));
    let text = std::fs::read_to_string(&good).unwrap();
    let out = home.command(&["goroutines", &at]).env("ADIT_TOKEN", &text).output().unwrap();
    assert!(out.status.success(), "{out:?}");
    let mut piped = home
        .command(&["goroutines", &at, "--token", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    piped.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(piped.wait_with_output().unwrap().status.success());
    let mut c = client(&host.path).expect("a line").0;
    c.call(Request::Token { token: text.clone() }).expect("good");
    c.call(Request::Open(TargetSpec::Here)).expect("opened");
    let f = c.call(Request::Pause).expect_err("refused");
    assert!(f.message.contains("control:stop"), "{f}");
    // No more than the host grants, whatever a token says.
    let much = home.token("much", &["--scopes", "full", "--expires", "1h"]);
    c.call(Request::Token { token: std::fs::read_to_string(&much).unwrap() }).expect("good");
    let f = c.call(Request::Detach { kill: true }).expect_err("refused");
    assert!(f.message.contains("kill"), "{f}");
    // Damaged, of another process, of another key, expired.
    let mut bytes = text.into_bytes();
    let last = bytes.len() - 9;
    bytes[last] = if bytes[last] == b'A' { b'B' } else { b'A' };
    std::fs::write(&good, bytes).unwrap();
    assert!(home.fails(&["goroutines", &at, "--token", &good]).contains("was changed"));
    let other = home.token("other", &["--scopes", "observer", "--expires", "1h", "--target", "1"]);
    assert!(home.fails(&["goroutines", &at, "--token", &other]).contains("for process 1 only"));
    let foreign = Home::new();
    foreign.ok(&["token", "key"]);
    let foreign = foreign.token("t", &["--scopes", "full", "--expires", "1h"]);
    assert!(home.fails(&["goroutines", &at, "--token", &foreign]).contains("not signed with the key of this host"));
    let short = home.token("short", &["--scopes", "observer", "--expires", "2s"]);
    let mut d = client(&host.path).expect("a line").0;
    d.call(Request::Token { token: std::fs::read_to_string(&short).unwrap() }).expect("still good");
    d.call(Request::Open(TargetSpec::Here)).expect("still good");
    std::thread::sleep(Duration::from_millis(3100));
    let f = d.call(Request::Threads).expect_err("over");
    assert!(f.message.contains("expired"), "{f}");
    assert!(home.fails(&["goroutines", &at, "--token", &short]).contains("expired"));
    // Files that others may read; keys in each other's place; nonsense.
    std::fs::set_permissions(&much, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(home.fails(&["goroutines", &at, "--token", &much]).contains("chmod 600"));
    let private = home.path("config/adit/token.key").display().to_string();
    assert!(
        home.fails(&["host", "--listen", "unix:/tmp/x", &pid, "--token-key", &private]).contains("the one that checks")
    );
    assert!(home.fails(&["token", "new", "--scopes", "all", "--expires", "1h"]).contains("no such scope"));
    assert!(home.fails(&["token", "new", "--scopes", "full", "--expires", "1y"]).contains("30m"));
    let record = std::fs::read_to_string(&audit).unwrap();
    assert!(record.contains("bob (token ") && record.contains("\"granted\":false"), "{record}");
    assert!(!record.contains("adit1."), "no tokens in the record");
    assert!(heart.beats_on(3));
}

#[test]
fn secrets_are_shown_only_while_all_may_see_them() {
    let (heart, home) = (heart(), Home::new());
    home.ok(&["token", "key"]);
    let public = home.path("config/adit/token.key.pub").display().to_string();
    let host = Listening::start(heart.pid(), "prod", &["--token-key", &public]);
    let with = |scopes: &str| {
        let file = home.token(scopes, &["--scopes", scopes, "--expires", "1h", "--to", scopes]);
        let mut c = client(&host.path).expect("a line").0;
        c.call(Request::Token { token: std::fs::read_to_string(file).unwrap() }).expect("good");
        Debuggee::over(c, TargetSpec::Here).expect("opened")
    };
    let memory = || Request::Memory { addr: adit::base::LoadAddr(0x401000), len: 8 };
    let mut a = with("full");
    assert!(a.call(memory()).expect_err("hidden").message.contains("raw memory"));
    a.call(Request::Reveal { reason: "ticket 1".into() }).expect("shown");
    a.call(memory()).expect("shown");
    let mut w = with("observer");
    let f = a.call(memory()).expect_err("hidden again");
    assert!(f.message.contains("raw memory"), "{f}");
    let f = a.call(Request::Reveal { reason: "ticket 1".into() }).expect_err("not while somebody else sees it");
    assert!(f.message.contains("observer") && f.message.contains("may not see secrets"), "{f}");
    let f = w.call(Request::Reveal { reason: "me too".into() }).expect_err("refused");
    assert_eq!(f.kind, FailureKind::BadState, "{f}");
    assert!(heart.beats_on(3));
}

#[test]
fn over_tls_both_ends_know_each_other() {
    let heart = heart();
    let (there, here) = (Home::new(), Home::new());
    let ours = here.ok(&["key"]).split(' ').next().unwrap().to_string();
    assert!(tls::is_fingerprint(&ours));
    let clients = there.path("clients");
    let list = clients.display().to_string();
    let host = AtPort::start(&there, heart.pid(), &["--clients", &list]);
    let url = format!("tls://{}", host.at);
    assert_eq!(there.ok(&["key"]).split(' ').next(), Some(host.key.as_str()));
    // Not known here, shows another key, not known there.
    let said = here.fails(&["goroutines", &url]);
    assert!(said.contains("not known here yet") && said.contains(&host.key) && said.lines().count() <= 2, "{said}");
    let wrong = ours.clone();
    assert!(here.fails(&["goroutines", &url, "--pin", &wrong]).contains("another key"));
    assert!(here.fails(&["goroutines", &url, "--pin", "SHA256:x"]).contains("43 characters"));
    let said = here.fails(&["goroutines", &url, "--pin", &host.key]);
    assert!(said.contains("does not know our key") && said.contains(&ours), "{said}");
    // Both know each other; once it was pinned it is remembered.
    std::fs::write(&clients, format!("# who may come\n{ours} observer bob's machine\n")).unwrap();
    assert!(here.ok(&["goroutines", &url, "--pin", &host.key]).contains("goroutines"));
    assert!(here.ok(&["goroutines", &url]).contains("goroutines"));
    // What the list grants is all.
    let text = here.fails(&["goroutines", &url, "--consistent"]);
    assert!(text.contains("control:stop"), "{text}");
    std::fs::write(&clients, format!("{ours} nonsense bob\n")).unwrap();
    here.fails(&["goroutines", &url]);
    // An expired certificate, under the same and under a new key.
    let identity = here.path("config/adit/identity.pem");
    std::fs::write(&identity, Identity::generate(-1).unwrap()).unwrap();
    let ours = here.ok(&["key"]).split(' ').next().unwrap().to_string();
    std::fs::write(&clients, format!("{ours} observer bob\n")).unwrap();
    let said = here.fails(&["goroutines", &url]);
    assert!(said.contains("our key's certificate has expired") && said.contains("adit key --new"), "{said}");
    // No key at all, no TLS at all, half a word: nothing is said, and others are served.
    let plain = |bytes: &[u8]| {
        let mut s = std::net::TcpStream::connect(&host.at).unwrap();
        s.set_read_timeout(Some(Duration::from_secs(12))).unwrap();
        s.write_all(bytes).unwrap();
        let mut got = Vec::new();
        let _reset = s.read_to_end(&mut got);
        assert!(!String::from_utf8_lossy(&got).contains("adit-host"), "{got:?}");
    };
    plain(b"GET / HTTP/1.0\r\n\r\n");
    plain(&[22, 3, 1, 0xff, 0xff, 1, 2, 3]);
    let mut half = std::net::TcpStream::connect(&host.at).unwrap();
    half.write_all(&[22]).unwrap();
    here.ok(&["key", "--new"]);
    let ours = here.ok(&["key"]).split(' ').next().unwrap().to_string();
    std::fs::write(&clients, format!("{ours} debug bob\n")).unwrap();
    assert!(here.ok(&["goroutines", &url, "--consistent"]).contains("goroutines"));
    drop(half);
    drop(host);
    // Another host at the same place: the key has changed.
    assert!(here.fails(&["goroutines", &url]).contains("cannot connect"));
    assert!(here.fails(&["goroutines", "tls://nowhere"]).contains("no host and port"));
    assert!(here.fails(&["host", "--listen", "tcp:127.0.0.1:0", "1"]).contains("not an address"));
    assert!(heart.beats_on(3) && heart.is_put_back());
}

#[test]
fn a_session_over_tls() {
    let heart = heart();
    let home = Home::new();
    let key = home.ok(&["key"]).split(' ').next().unwrap().to_string();
    let list = home.path("clients");
    std::fs::write(&list, format!("{key} full me\n")).unwrap();
    let host = AtPort::start(&home, heart.pid(), &["--clients", &list.display().to_string()]);
    let identity = Identity::read(&std::fs::read_to_string(home.path("config/adit/identity.pem")).unwrap()).unwrap();
    let (at, want) = (host.at.clone(), host.key.clone());
    let connect = Box::new(move |_| {
        let want = want.clone();
        let (s, _) = tls::connect(&at, &identity, Box::new(move |p| p == want))
            .map_err(|e| Failure::new(FailureKind::Host, e.to_string()))?;
        Ok(adit::backend::link::Line::over(s).unwrap())
    });
    let (c, traffic) = adit::backend::link::client(connect).expect("a line");
    let mut d = Debuggee::over(c, TargetSpec::Here).expect("opened");
    let b = d.break_at("main.hot");
    d.wait_stop().expect("a stop");
    d.call(Request::ClearBreakpoint(b.id)).expect("cleared");
    for _ in 0..20 {
        d.resume(ResumeKind::Next).expect("a step");
    }
    // Much at once, both ways.
    match d.call(Request::Symbols { kind: SymbolKind::Functions, filter: String::new(), count: 100_000 }) {
        Ok(Reply::Symbols { names, total }) => assert!(names.len() as u64 == total && total > 1000),
        other => panic!("{other:?}"),
    }
    let f = d.call(Request::Source { file: "x".repeat(3 << 20) }).expect_err("no such file");
    assert!(!f.message.is_empty());
    println!("{} bytes came", traffic.received.load(std::sync::atomic::Ordering::Relaxed));
    d.call(Request::Detach { kill: false }).expect("detached");
    assert!(heart.released() && heart.is_put_back() && heart.beats_on(3));
}

#[test]
fn when_one_left_and_the_other_is_gone_the_program_runs() {
    let heart = heart();
    let host = Listening::start(heart.pid(), "dev", &[]);
    let mut a = open(&host.path);
    a.break_at("main.hot");
    a.wait_stop().expect("a stop");
    let w = open(&host.path);
    a.call(Request::Detach { kill: false }).expect("left");
    drop(a);
    drop(w);
    assert!(heart.released(), "let go");
    assert!(heart.is_put_back() && heart.beats_on(3));
}

#[test]
fn who_has_opened_nothing_keeps_no_program_waiting() {
    let heart = heart();
    let host = Listening::start(heart.pid(), "dev", &[]);
    let mut a = open(&host.path);
    a.break_at("main.hot");
    a.wait_stop().expect("a stop");
    let stranger = client(&host.path).expect("a line");
    a.call(Request::Detach { kill: false }).expect("left");
    drop(a);
    assert!(heart.released(), "let go");
    assert!(heart.is_put_back() && heart.beats_on(3));
    drop(stranger);
}
