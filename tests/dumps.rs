//! Goroutine dumps as every Go release prints them (tests/dumps, made by `make dumps`), alone and out of logs.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod common;

use adit::backend::protocol::*;
use adit::base::GoroutineId;
use adit::dumps::Dump;
use adit::model::*;
use common::oneshot::{arg, error, functions, json};
use std::fs;
use std::path::{Path, PathBuf};

const RELEASES: &[&str] = &["1.21.13", "1.22.10", "1.23.9", "1.24.11", "1.25.5", "1.26.6", "1.27.3"];

fn path(release: &str, form: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dumps").join(format!("{release}-{form}.txt"))
}

fn read(release: &str, form: &str) -> String {
    fs::read_to_string(path(release, form)).unwrap()
}

/// Goroutines of the user's, by function of the user's frame.
fn users(d: &Dump) -> Vec<Goroutine> {
    d.goroutines().into_iter().filter(|g| !g.system).collect()
}

fn check(what: &str, d: &Dump, states: bool) {
    let all = users(d);
    assert_eq!(all.len(), 9, "{what}: {:?}", all.iter().map(|g| &g.user.function).collect::<Vec<_>>());
    let with =
        |f: &str| all.iter().filter(|g| g.stack.iter().flatten().any(|x| x.at.function == f)).collect::<Vec<_>>();
    let lockers = with("main.(*cart).total");
    assert_eq!(lockers.len(), 3, "{what}");
    let line = |g: &Goroutine, f: &str| g.stack.iter().flatten().find(|x| x.at.function == f).map(|x| x.at.line);
    assert!(lockers.iter().all(|g| line(g, "main.(*cart).total") == Some(19)), "{what}");
    assert!(lockers.iter().all(|g| g.user.function == "main.(*cart).total"), "{what}");
    assert_eq!(with("main.receive[...]").len(), 1, "{what}");
    assert!(
        all.iter().all(|g| g.user.file.starts_with("/srv/stuck/") || g.user.file.starts_with("/usr/local/go/")),
        "{what}"
    );
    if !states {
        return;
    }
    let reasons: Vec<&str> = all.iter().filter_map(|g| g.wait_reason.as_deref()).collect();
    for r in ["chan receive", "select", "chan receive (nil chan)", "sleep"] {
        assert!(reasons.contains(&r), "{what}: {r} of {reasons:?}");
    }
    assert!(lockers.iter().all(|g| g.wait_reason.as_deref() == Some("sync.Mutex.Lock")), "{what}");
    for g in all.iter().filter(|g| g.id.0 != 1) {
        let by = g.created_by.as_ref().unwrap_or_else(|| panic!("{what}: {g:?}"));
        assert_eq!((by.at.function.as_str(), by.goroutine), ("main.main", GoroutineId(1)), "{what}");
        assert!(by.at.line >= 32 && by.at.file == "/srv/stuck/main.go", "{what}");
    }
    let select = all.iter().find(|g| g.wait_reason.as_deref() == Some("select")).unwrap();
    assert!(d.get(select.id).unwrap().locked, "{what}: it is locked to its thread");
    assert!(all.iter().all(|g| g.wait_ns.is_none()), "{what}");
}

#[test]
fn every_release_and_form() {
    for release in RELEASES {
        for form in ["all", "quit", "debug1", "debug2"] {
            let what = format!("{release} {form}");
            let d = Dump::parse(read(release, form).as_bytes()).unwrap_or_else(|| panic!("{what}"));
            check(&what, &d, form != "debug1");
            let notes = d.notes.join(" ");
            match form {
                "all" => assert!(notes.contains("panic: order 7 is lost"), "{what}: {notes}"),
                "quit" => assert!(notes.contains("SIGQUIT"), "{what}: {notes}"),
                "debug1" => assert!(notes.contains("ids are made up"), "{what}: {notes}"),
                _ => assert!(notes.is_empty(), "{what}: {notes}"),
            }
            // What the runtime itself runs is told apart, where the dump has it.
            assert_eq!(d.goroutines.iter().any(|p| p.row.system), form == "quit", "{what}");
            let labelled = d.goroutines.iter().filter(|p| !p.row.labels.is_empty()).count();
            let has_labels = form == "debug1" || ["1.26.6", "1.27.3"].contains(release);
            assert_eq!(labelled, usize::from(has_labels), "{what}");
            if has_labels {
                let g = users(&d).into_iter().find(|g| !g.labels.is_empty()).unwrap();
                assert!(g.labels.contains(&("tenant".into(), "acme".into())), "{what}");
                assert!(g.labels.contains(&("path".into(), "/a b".into())), "{what}");
            }
        }
    }
    // Each thread of a crash prints what it ran: nothing is there twice.
    check("crash", &Dump::parse(read("1.27.3", "crash").as_bytes()).unwrap(), true);
}

#[test]
fn out_of_logs() {
    for form in ["all", "quit", "debug1", "debug2"] {
        let plain = read("1.27.3", form);
        let want = Dump::parse(plain.as_bytes()).unwrap().goroutines();
        let each = |f: &dyn Fn(usize, &str) -> String| -> String {
            plain.lines().enumerate().map(|(i, l)| f(i, l) + "\n").collect()
        };
        let forms: Vec<(&str, String)> = vec![
            ("CRLF", plain.replace('\n', "\r\n")),
            (
                "lines around it",
                format!("2026/11/24 12:00:00 starting\n{plain}exit status 2\n2026/11/24 12:00:01 (again)\n"),
            ),
            ("docker compose", each(&|_, l| format!("shop-1  | {l}"))),
            ("containerd", each(&|i, l| format!("2026-11-24T14:58:50.{i}Z stderr F {l}"))),
            ("klog", each(&|i, l| format!("E1124 14:58:{:02}.{i:06} 7 main.go:7] {l}", i % 60))),
            ("syslog", each(&|i, l| format!("Nov 24 14:58:{:02} host shop[77]: {}", i % 60, l.replace('\t', "#011")))),
            ("JSON", each(&|_, l| serde_json::json!({"log": format!("{l}\n"), "stream": "stderr"}).to_string())),
            ("a line in one field", serde_json::json!({"level": "error", "message": plain}).to_string()),
            (
                "other lines between",
                each(&|i, l| match i % 3 {
                    0 => format!("shop-1  | {l}\ndb-1  | LOG: select (1)"),
                    _ => format!("shop-1  | {l}"),
                }),
            ),
        ];
        for (what, text) in forms {
            let d = Dump::parse(text.as_bytes()).unwrap_or_else(|| panic!("{form}, {what}: nothing found"));
            let got = d.goroutines();
            assert_eq!(got.len(), want.len(), "{form}, {what}");
            for (g, w) in got.iter().zip(&want) {
                assert_eq!(g, w, "{form}, {what}");
            }
        }
    }
}

#[test]
fn cut_and_damaged_text_does_no_harm() {
    for form in ["quit", "debug1", "crash"] {
        let text = read("1.27.3", form);
        let bytes = text.as_bytes();
        let whole = Dump::parse(bytes).unwrap().goroutines.len();
        let mut x = 12_345u32;
        for n in (0..bytes.len()).step_by(131) {
            let some = Dump::parse(&bytes[..n]).map_or(0, |d| d.goroutines.len());
            assert!(some <= whole);
            let mut bad = bytes.to_vec();
            for _ in 0..20 {
                x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = x as usize % bad.len();
                bad[at] = (x >> 24) as u8;
            }
            let _any = Dump::parse(&bad);
        }
    }
    assert!(Dump::parse(b"").is_none() && Dump::parse(&[0xff; 100]).is_none());
}

#[test]
fn one_shots_and_the_protocol() {
    let p = path("1.27.3", "quit");
    let v = json(&["goroutines", arg(&p), "--stack", "20"]);
    assert_eq!((&v["target"]["kind"], &v["read"]["mode"], &v["count"]), (&"dump".into(), &"offline".into(), &9.into()));
    let all = json(&["goroutines", arg(&p), "--all"]);
    assert!(all["count"].as_u64().unwrap() > 9);
    let main = v["goroutines"].as_array().unwrap().iter().find(|g| g["id"] == 1).unwrap();
    assert!(functions(main).contains(&"main.main"), "{main}");
    let groups = json(&["goroutines", arg(&p), "--group", "stack"]);
    assert_eq!(groups["groups"][0]["count"], 3, "three wait for one lock: {groups}");
    let one = json(&["goroutines", arg(&p), "--where", "nil chan"]);
    assert_eq!(one["count"], 1);
    let st = json(&["stack", arg(&p), "1"]);
    assert!(st["stack"].as_array().unwrap().len() >= 3 && st.get("variables").is_none(), "{st}");
    let (_, text) = error(&["stack", arg(&p), "4711"]);
    assert!(text.contains("no goroutine 4711"), "{text}");
    let dir = tempfile::tempdir().unwrap();
    let (_, text) = error(&["snapshot", arg(&p), "-o", arg(&dir.path().join("x"))]);
    assert!(text.contains("has no memory"), "{text}");

    let mut d = common::Debuggee::open(TargetSpec::File { path: p, exe: None }).unwrap();
    assert!(d.target.kind == TargetKind::Dump && d.target.notes[0].contains("SIGQUIT"));
    let f = d.call(Request::Pause).expect_err("refused");
    assert!(f.kind == FailureKind::BadState && f.message.contains("cannot be run"), "{f:?}");
    for r in [Request::Threads, Request::PackageVariables { filter: ".".into(), limits: LoadLimits::default() }] {
        assert!(d.call(r).is_err_and(|f| f.kind == FailureKind::Unavailable && f.message.contains("no memory")));
    }
    let by = GroupBy::Wait;
    let query = GroupQuery { filter: GoroutineFilter::default(), by, start: 0, count: 50 };
    let Ok(Reply::Groups { groups, goroutines, hidden_system, .. }) = d.call(Request::Groups(query.clone())) else {
        panic!("no groups");
    };
    assert!(goroutines == 9 && hidden_system > 0);
    let locks = groups.iter().find(|g| g.label == "sync.Mutex.Lock").unwrap();
    let members = Request::GroupMembers { query, key: locks.key, start: 1, count: 10 };
    let Ok(Reply::Goroutines { total, rows, .. }) = d.call(members) else { panic!("no members") };
    assert_eq!((total, rows.len()), (3, 2));
    // A dump behind a long log is found, too; what is none is said.
    let log = dir.path().join("log");
    fs::write(&log, "2026/11/24 12:00:00 a line of a log\n".repeat(4000) + &read("1.22.10", "all")).unwrap();
    assert_eq!(json(&["goroutines", arg(&log)])["count"], 9);
    fs::write(&log, "2026/11/24 12:00:00 a line of a log\n".repeat(4000)).unwrap();
    let (code, text) = error(&["goroutines", arg(&log)]);
    assert!(code == 2 && text.contains("not recognised") && text.contains("goroutine dump"), "{code} {text}");
}
