//! The tables of field offsets say what each release's own DWARF says.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod goprog;

use adit::base::mmap::FileBytes;
use adit::goruntime::Layout;
use adit::symbols::{Symbols, SymbolsError};
use goprog::{DEBUG, MATRIX, build};

#[test]
fn tables_agree_with_dwarf() {
    for tool in MATRIX {
        let s = Symbols::load(FileBytes::open(&build("shapes", tool, DEBUG)).unwrap()).unwrap();
        let table = Layout::of(&s).unwrap();
        assert!(!table.from_dwarf);
        s.load_dwarf().unwrap();
        let own = Layout::of(&s).unwrap();
        assert!(own.from_dwarf);
        let text = |l: &Layout| {
            format!("{:#?}", (l.g, l.m, l.sudog, l.hchan, l.defer, l.panic, l.heap, l.sched, l.timer, l.poll, l.gc))
        };
        assert_eq!(text(&table), text(&own), "{tool}");
    }
}

#[test]
fn other_programs_are_refused_by_name() {
    let load = |p: &str| Symbols::load(FileBytes::open(std::path::Path::new(p)).unwrap()).err();
    assert_eq!(load("/bin/sh"), Some(SymbolsError::NotGo));
    assert_eq!(load(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")), Some(SymbolsError::NotElf));
}

/// A program that says it was built by a release that nobody here has seen.
fn from_the_future(name: &str, flags: &[&str]) -> Vec<u8> {
    let mut bytes = std::fs::read(build(name, "go1.26.8", flags)).unwrap();
    let (old, new) = (b"go1.26.8", b"go1.29.1");
    let places: Vec<usize> = bytes.windows(old.len()).enumerate().filter(|w| w.1 == old).map(|w| w.0).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + new.len()].copy_from_slice(new);
    }
    bytes
}

#[test]
fn a_release_of_the_future_is_read_by_its_dwarf_or_refused() {
    let load = |flags: &[&str]| Symbols::load(FileBytes::from_vec(from_the_future("shapes", flags))).unwrap();
    let s = load(DEBUG);
    assert_eq!(s.go_version().short(), "go1.29.1");
    let l = Layout::of(&s).unwrap();
    let known = Symbols::load(FileBytes::open(&build("shapes", "go1.26.8", DEBUG)).unwrap()).unwrap();
    assert!(l.from_dwarf);
    assert_eq!(format!("{:?}", l.g), format!("{:?}", Layout::of(&known).unwrap().g));
    let note = adit::goruntime::layout::note(s.go_version()).unwrap();
    assert!(note.contains("go1.29.1") && note.contains("1.27"), "{note}");
    assert_eq!(adit::goruntime::layout::note(known.go_version()), None);
    let e = Layout::of(&load(&["-ldflags=-s -w"])).unwrap_err().to_string();
    assert!(e.contains("go1.29.1") && e.contains("no DWARF"), "{e}");
}
