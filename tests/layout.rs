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
