//! Symbols of real Go programs, checked against the binutils and Go tools.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod goprog;

use adit::base::{FileAddr, mmap::FileBytes};
use adit::symbols::{FunctionMatch, LineMatch, Symbols};
use goprog::{DEBUG, MATRIX, build, go};
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

fn load(p: &Path) -> Symbols {
    Symbols::load(FileBytes::open(p).unwrap()).unwrap()
}

/// `go tool addr2line` answers for many addresses: function, file:line.
fn addr2line(exe: &Path, addrs: &[u64]) -> Vec<(String, String)> {
    let mut c = go()
        .args(["tool", "addr2line"])
        .arg(exe)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let text: String = addrs.iter().map(|a| format!("{a:#x}\n")).collect();
    let mut stdin = c.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let out = c.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines.chunks(2).map(|c| (c[0].to_string(), c[1].to_string())).collect()
}

#[test]
fn function_table_agrees_with_the_symbol_table() {
    for (tool, flags) in [("", DEBUG), ("", &[][..]), ("", &["-buildmode=pie"][..]), ("go1.22.10", &[][..])] {
        let exe = build("shapes", tool, flags);
        let s = load(&exe);
        let nm = go().args(["tool", "nm"]).arg(&exe).output().unwrap();
        let mut checked = 0;
        for line in String::from_utf8_lossy(&nm.stdout).lines() {
            let mut w = line.split_whitespace();
            let (Some(addr), Some(kind), Some(name)) = (w.next(), w.next(), w.next()) else { continue };
            if !matches!(kind, "T" | "t") || !name.starts_with("main.") {
                continue;
            }
            let addr = FileAddr(u64::from_str_radix(addr, 16).unwrap());
            let f = s.function_at(addr).unwrap_or_else(|| panic!("{name} at {addr}"));
            assert_eq!((f.entry, s.function_name(f)), (addr, name), "{tool} {flags:?}");
            checked += 1;
        }
        assert!(checked > 6, "{checked}");
        assert_eq!(s.image().is_pie(), flags.iter().any(|f| f.contains("pie")));
    }
}

#[test]
fn lines_agree_with_addr2line() {
    let builds = [
        ("", DEBUG),
        ("", &[][..]),
        ("go1.22.10", &[][..]),
        ("", &["-buildmode=pie"][..]),
        ("", &["-ldflags=-compressdwarf=false"][..]),
    ];
    for (tool, flags) in builds {
        let exe = build("shapes", tool, flags);
        let s = load(&exe);
        assert!(s.has_dwarf());
        let mut addrs = Vec::new();
        for f in s.functions().filter(|f| s.function_name(*f).starts_with("main.")) {
            addrs.extend(s.line_rows(f).iter().filter(|r| r.line > 0).map(|r| r.pc));
        }
        assert!(addrs.len() > 50);
        let want = addr2line(&exe, &addrs.iter().map(|a| a.0).collect::<Vec<_>>());
        for (a, (function, at)) in addrs.iter().zip(&want) {
            let got = s.inline_frames(*a);
            assert_eq!(*at, format!("{}:{}", got[0].file, got[0].line), "{a} {flags:?}");
            assert_eq!(function, got[got.len() - 1].function, "{a} {flags:?}");
        }
        // DWARF's rows say what the function table says (the last row of an address counts).
        let (mut same, mut all) = (0, 0);
        for f in s.functions().filter(|f| s.function_name(*f).starts_with("main.")) {
            let rows = s.line_rows(f);
            for (i, r) in rows.iter().enumerate().filter(|(_, r)| r.line > 0) {
                if rows.get(i + 1).is_some_and(|n| n.pc == r.pc) {
                    continue;
                }
                let l = s.location(r.pc).unwrap();
                all += 1;
                same += usize::from((r.file, r.line) == (l.file, l.line));
            }
        }
        assert!(same * 100 >= all * 98, "{flags:?}: {same} of {all}");
    }
}

#[test]
fn every_release_and_stripped() {
    for tool in MATRIX {
        for flags in [&["-ldflags=-s -w"][..], DEBUG, &["-buildmode=pie", "-ldflags=-s -w"][..]] {
            let s = load(&build("shapes", tool, flags));
            assert_eq!(s.go_version().text.as_str(), *tool);
            let m = s.moduledata().expect("moduledata");
            assert!(m.types.start < m.types.end && m.data.start < m.data.end, "{m:?}");
            assert_eq!(s.has_dwarf(), flags == DEBUG, "{tool} {flags:?}");
            assert_eq!(s.is_optimised(), flags != DEBUG);
            let f = s.find_function("main.calls").expect("main.calls");
            let at = s.inline_frames(f.entry);
            assert!((37..=38).contains(&at[at.len() - 1].line), "{tool} {flags:?} {at:?}");
            if flags != DEBUG {
                // small() is inlined into calls(): its frame must come from the inline tree.
                let inner = (f.entry.0..f.end.0).map(|pc| s.inline_frames(FileAddr(pc))).find(|v| v.len() == 2);
                let inner = inner.unwrap_or_else(|| panic!("{tool}: no inlined frame"));
                assert_eq!((inner[0].function, inner[0].line, inner[0].start_line), ("main.small", 24, 23));
                assert_eq!((inner[1].function, inner[1].line), ("main.calls", 38));
                assert!(!s.inlined_calls(f).is_empty());
            }
            match s.pcs_for_line("main.go", 49) {
                LineMatch::Found { file, pcs } => {
                    assert!(file.ends_with("shapes/main.go") && pcs.len() == 1, "{tool} {flags:?} {pcs:x?}")
                }
                o => panic!("{tool} {flags:?} {o:?}"),
            }
            let g = s.find_function("runtime.goexit").unwrap();
            assert!(s.function_flags(g).top_frame && s.function_flags(g).asm);
        }
    }
}

#[test]
fn names_as_people_type_them() {
    let s = load(&build("shapes", "", &[]));
    let one = |t: &str| match s.resolve_function_suffix(t) {
        FunctionMatch::Found { name, functions, inlined } => (name, functions.len(), inlined.len()),
        o => panic!("{t}: {o:?}"),
    };
    assert_eq!(one("main.small"), ("main.small".into(), 0, 1));
    assert_eq!(one("main.Sum"), ("main.Sum".into(), 2, 0));
    assert_eq!(one("(*Circle).Area"), ("main.(*Circle).Area".into(), 1, 0));
    assert_eq!(one("Circle.Area"), ("main.(*Circle).Area".into(), 1, 0));
    assert_eq!(one("strings.ToUpper").0, "strings.ToUpper");
    assert!(matches!(s.resolve_function_suffix("Area"), FunctionMatch::Ambiguous(_)));
    assert_eq!(s.resolve_function_suffix("nosuch"), FunctionMatch::None);
    assert!(matches!(s.pcs_for_line("main.go", 3), LineMatch::NoCode { .. }));
    assert!(matches!(s.pcs_for_line("nosuch.go", 3), LineMatch::NoFile));
}

#[test]
fn damaged_dwarf_leaves_the_function_table() {
    let exe = build("shapes", "", &["-ldflags=-compressdwarf=false"]);
    let mut bytes = std::fs::read(&exe).unwrap();
    let s = load(&exe);
    let abbrev = s.image().section(".debug_abbrev").unwrap().file.clone();
    bytes[abbrev].fill(0xff);
    let s = Symbols::load(FileBytes::from_vec(bytes.clone())).unwrap();
    assert!(!s.has_dwarf());
    assert!(s.notes().iter().any(|n| n.contains("damaged")), "{:?}", s.notes());
    assert!(s.find_function("main.main").is_some());
    // Cut anywhere: an error or symbols, never a panic.
    for part in 1..40 {
        let cut = bytes.len() * part / 40;
        let _ = Symbols::load(FileBytes::from_vec(bytes[..cut].to_vec()));
    }
}

/// Figures for a large binary: `ADIT_MEASURE=/path cargo test --release --test symbols -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement, not a check"]
fn measure() {
    let Ok(path) = std::env::var("ADIT_MEASURE") else { return };
    let t = Instant::now();
    let s = load(Path::new(&path));
    println!("load {:?}, {} functions", t.elapsed(), s.pclntab().len());
    let t = Instant::now();
    println!("dwarf {} {:?}", s.has_dwarf(), t.elapsed());
    if let Some(d) = s.dwarf() {
        let t = Instant::now();
        println!("index {:?} {:?}", d.index().counts(), t.elapsed());
    }
    let t = Instant::now();
    println!("names {} {:?}", s.function_names().len(), t.elapsed());
    let t = Instant::now();
    println!("line {:?} {:?}", s.pcs_for_line("runtime/proc.go", 6000), t.elapsed());
}

/// Prints what locations resolve to, to be compared with another debugger: `ADIT_EXE=…`, locations on `ADIT_LOCS`.
#[test]
#[ignore = "for comparison by hand"]
fn show_locations() {
    let (Ok(exe), Ok(locs)) = (std::env::var("ADIT_EXE"), std::env::var("ADIT_LOCS")) else { return };
    let s = load(Path::new(&exe));
    for l in locs.lines() {
        let mut pcs: Vec<u64> = Vec::new();
        match l.rsplit_once(':').and_then(|(f, n)| Some((f, n.parse::<u32>().ok()?))) {
            Some((f, n)) => match s.pcs_for_line(f, n) {
                LineMatch::Found { pcs: p, .. } => pcs.extend(p.iter().map(|p| p.0)),
                _ => {
                    println!("{l}\tERR");
                    continue;
                }
            },
            None => match s.resolve_function_suffix(l) {
                FunctionMatch::Found { functions, inlined, .. } => {
                    pcs.extend(functions.iter().map(|f| s.pc_after_prologue(*f).0));
                    pcs.extend(inlined.iter().map(|p| p.0));
                }
                _ => {
                    println!("{l}\tERR");
                    continue;
                }
            },
        }
        pcs.sort_unstable();
        let pcs: Vec<String> = pcs.iter().map(|p| format!("{p:x}")).collect();
        println!("{l}\t[{}]", pcs.join(" "));
    }
}
